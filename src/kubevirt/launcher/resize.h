/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/resize.h - changing a running guest's memory through virtio-mem (qemu.md 5.1).
 *
 * QEMU only records a wish (`requested-size`); the guest's driver plugs and unplugs when it can, refuses silently, and
 * the event that tells is up to a second late. So the size is polled: each 3 ms for 300 ms, then each 50 ms, until it
 * is reached or 30 s are over. Shrinking goes in steps of at most a quarter, because the driver takes every free page
 * it can get, and is refused where the guest's own numbers say that it would not fit. What was not reached is said,
 * not hidden.
 *
 * Up to VM_MEM_DEVICES devices: the first is there from boot; the second is plugged when the guest first needs more than the
 * first can give, because its maximum was raised (rollout.md 7.7). They are filled in order and emptied in reverse. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "qemu/qmp.h"
#include "qemu/vm_config.h"

#define RESIZE_FAST_MS 300
#define RESIZE_POLL_FAST_MS 3
#define RESIZE_POLL_SLOW_MS 50
#define RESIZE_FOLLOW_MS 1000
#define RESIZE_DEADLINE_MS 30000
#define RESIZE_SHRINK_DIVISOR 4
#define RESIZE_STATS_LAG_MS 5000         /* statistics older than this after a change do not know it yet */
#define RESIZE_OFFLINE_MIN (64ull << 20) /* less is the kernel's own book-keeping */
#define RESIZE_MARGIN (192ull << 20) /* kept above what the guest uses; its kernel's own part is in here */

/* What the balloon driver reports; 0: unknown. */
struct guest_stats {
	uint64_t total, available;
};

/* How a guest was started. Bytes. */
struct resize_spec {
	uint64_t base; /* main memory: can not be taken back */
	uint64_t
		boot; /* what it was started with; base, or more when the rest came by the first device (rollout.md 7.6) */
	uint64_t max;  /* == base: no device */
	uint64_t room; /* how far max can be raised; below max: not at all */
	uint64_t block;
	const struct vm_config *config; /* for the second device; borrowed. NULL: there is none */
};
/* Pure checks before anything is sent (qemu.md 16.18, 16.22). ERR_INVALID with numbers. */
int resize_check(const struct resize_spec *spec, uint64_t current, const struct guest_stats *s,
	uint64_t wanted, struct err *e);
/* The next size on the way from current down to wanted (all in guest bytes). */
uint64_t resize_next_step(const struct resize_spec *spec, uint64_t current, uint64_t wanted);

struct resize;
struct resize_ops {
	/* current, requested or the activity changed. */
	void (*changed)(void *arg);
};
struct resize *resize_new(
	struct loop *l, const struct resize_spec *spec, const struct resize_ops *ops, void *arg);
void resize_free(struct resize *r);
/* NULL: QEMU is gone, a request that runs fails. Before the client is freed, or after it failed all its calls. */
void resize_set_qmp(struct resize *r, struct qmp *q);
void resize_set_stats(struct resize *r, const struct guest_stats *s);
/* Something may have changed the size: an event, a guest reset. */
void resize_look(struct resize *r);

/* complete: the wanted size is there. e: refused or interrupted; ERR_CONFLICT: a newer request took over. Called once. */
typedef void resize_done_fn(void *arg, bool complete, const struct err *e);
void resize_request(struct resize *r, uint64_t wanted, resize_done_fn *fn, void *arg);
/* The maximum from now on, as far as there is room; lower than what is wanted now: that. Returns what it became. */
uint64_t resize_set_max(struct resize *r, uint64_t max);
uint64_t resize_max(const struct resize *r);

uint64_t resize_current(const struct resize *r); /* guest memory now: boot + plugged */
uint64_t resize_requested(const struct resize *r);
bool resize_active(const struct resize *r);
/* Plugged, but not taken into use by the guest's operating system, as far as its statistics tell; 0: all is (or
 * unknown). */
uint64_t resize_offline(const struct resize *r);
const char *resize_error(const struct resize *r); /* of the last request; "" */
