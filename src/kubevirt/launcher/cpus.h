/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/cpus.h - changing a running guest's number of CPU sockets (qemu.md 6).
 *
 * The truth is QEMU's: every request begins by asking what is there, so that one that is repeated, or comes after a
 * restart, adds what is missing and nothing else. CPUs are added one by one in ascending order of socket, core and
 * thread (another order wedges the guest), each a device that can be removed again. A socket counts when all of it is
 * there. Socket 0 is the machine's own.
 *
 * A guest that runs says that its operating system has taken a CPU (ACPI _OST); this is awaited for a while, because
 * then the answer is as good as the guest's own. A guest without such a driver, or that boots, says nothing: it has the
 * CPUs all the same, and what was not acknowledged is told by cpus_unacknowledged().
 *
 * Removing is the guest's to grant; highest first. It is never tried unless the spec says that it is safe: under TCG
 * QEMU 7.2 crashes at the next add (decision 20). What the guest keeps, it keeps whole: a socket of which a part was given up
 * already is filled again. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "qemu/qmp.h"

#define CPUS_ACCEPT_MS 3000  /* for the guest to say that it has taken what was added */
#define CPUS_REMOVE_MS 60000 /* for the guest to give up what is to be removed (rollout.md 7.5) */

struct cpus_spec {
	unsigned cores, threads, max_sockets;
	unsigned sockets; /* there before anything was added */
	bool removable;
};
struct cpus_ops {
	/* Something that can be read below has changed. */
	void (*changed)(void *arg);
};
struct cpus;
struct cpus *cpus_new(struct loop *l, const struct cpus_spec *spec, const struct cpus_ops *ops, void *arg);
void cpus_free(struct cpus *c);
/* NULL: QEMU is gone, a request that runs fails. */
void cpus_set_qmp(struct cpus *c, struct qmp *q);

struct cpus_request {
	unsigned sockets;
	bool may_remove; /* if there are more: try to remove them; else that is refused */
	bool guest_runs; /* it is worth waiting for its acknowledgement */
};
/* e NULL: there are as many as wanted. Else what was reached is in cpus_sockets(): INVALID refused, or the guest keeps
 * them; CONFLICT a newer request took over; UNAVAILABLE the guest ended. Called once, also from within. */
typedef void cpus_done_fn(void *arg, const struct err *e);
void cpus_request(struct cpus *c, const struct cpus_request *r, cpus_done_fn *fn, void *arg);

/* QEMU's events of these names, whatever they are about. */
void cpus_on_ost(struct cpus *c, const struct json *data);     /* ACPI_DEVICE_OST */
void cpus_on_deleted(struct cpus *c, const struct json *data); /* DEVICE_DELETED */
void cpus_on_refused(struct cpus *c, const struct json *data); /* DEVICE_UNPLUG_GUEST_ERROR */
void cpus_on_reset(struct cpus *c); /* the guest begins anew, with all that is there */

unsigned cpus_sockets(const struct cpus *c); /* whole sockets that the machine has */
unsigned cpus_unacknowledged(
	const struct cpus *c); /* CPUs added to the running guest of which it said nothing */
bool cpus_active(const struct cpus *c);
const char *cpus_error(const struct cpus *c); /* of the last request; "" */
