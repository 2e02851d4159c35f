/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/accel.h - can a guest really run here? (qemu.md 1)
 *
 * Opening /dev/kvm and making a vCPU succeed on hosts where no guest is usable, so the probe runs 64-bit guest code in
 * a child process and measures it. A child, because a hung KVM_RUN may ignore signals. */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#define ACCEL_PROBE_MS 500      /* then the child is killed: hung (qemu.md 16.1: verdict within 600 ms) */
#define ACCEL_LOOP_COUNT 200000 /* guest iterations asked for */
#define ACCEL_USABLE_PER_S 20000000.0 /* hardware does > 500 M; an interpreter 1 M */

#define ACCEL_VERDICTS(X)   \
	X(USABLE, "usable") \
	X(SLOW, "slow")     \
	X(BROKEN, "broken") \
	X(ABSENT, "absent") \
	X(DENIED, "denied") \
	X(HUNG, "hung")
enum accel_verdict {
#define X(id, name) ACCEL_##id,
	ACCEL_VERDICTS(X)
#undef X
};
const char *accel_name(enum accel_verdict v);

struct accel_result {
	enum accel_verdict verdict;
	double per_second; /* guest loop iterations; 0: none were counted */
	char text[200];    /* a sentence with the numbers, for a node condition */
};
typedef void accel_done_fn(void *arg, const struct accel_result *r);

/* What the child measured; made by accel_measure(), judged by accel_judge(). */
struct accel_sample {
	int step;        /* 0: ran; else the step that failed: see accel_kvm.c */
	int sys;         /* errno of that step */
	int exit_reason; /* of KVM_RUN; -1: EINTR */
	int port, value; /* for KVM_EXIT_IO */
	uint64_t done;   /* iterations */
	int64_t ns;
};
enum { ACCEL_STEP_OPEN = 1, ACCEL_STEP_SETUP, ACCEL_STEP_RUN, ACCEL_STEP_ARCH };
/* Runs the guest code in this very process; may never return. path: "/dev/kvm". */
void accel_measure(const char *path, struct accel_sample *ret);
void accel_judge(const struct accel_sample *s, struct accel_result *ret);

/* measure: NULL for accel_measure, or a test's own. Calls back once, unless freed before. */
struct accel_probe;
typedef void accel_measure_fn(const char *path, struct accel_sample *ret);
struct accel_probe *accel_probe_new(
	struct loop *l, const char *path, accel_measure_fn *measure, accel_done_fn *fn, void *arg);
void accel_probe_free(struct accel_probe *p);
/* The same, waiting; for command lines (doctor). */
void accel_probe_wait(const char *path, accel_measure_fn *measure, struct accel_result *ret);
