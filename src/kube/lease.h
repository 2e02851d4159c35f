/* SPDX-License-Identifier: Apache-2.0 */
/* kube/lease.h - leader election over coordination.k8s.io Leases (client-go's protocol: 15 s lease, 2 s retry; but renewed
 * each 4 s, for every renewal is a durable write, and given up after 12 s, so that a stall of 8 s is outlived). A released
 * lease (orderly stop) is taken over at once, not after 15 s. */
#pragma once

#include "kube/client.h"

#define LEASE_DURATION_MS 15000
#define LEASE_RENEW_DEADLINE_MS 12000
#define LEASE_RENEW_MS 4000
#define LEASE_RETRY_MS 2000
struct lease_ops {
	void (*leading)(void *arg); /* now we lead */
	void (*lost)(void *arg);    /* no longer: the program should end */
};
struct lease;
struct lease *lease_new(struct kube_client *c, const char *ns, const char *name, const char *identity,
	const struct lease_ops *ops, void *arg);
bool lease_is_leader(const struct lease *l);
/* Gives the lease back (done() when the server has it, or failed), then frees. */
void lease_release(struct lease *l, loop_fn *done, void *arg);
void lease_free(struct lease *l); /* without giving back */
