/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/handler.h - virt-handler: the guests of one node. Watches the node's VMIs and
 * launcher pods, tells the launchers what to do and the API what they say, marks the node, serves
 * pause, reset and console to virt-api (kubevirt/api/handler_api.h).
 *
 * Holds nothing that is not in the API, in the launchers or in the VMs' directories: killed and started
 * again it takes up where it was, and no guest notices. */
#pragma once

#include "base/loop.h"
#include "kube/client.h"
#include "qemu/accel.h"

struct handler;
struct handler_spec {
	struct loop *loop;
	struct kube_client *client;
	const char *node, *ns;     /* of ours; ns: the install namespace */
	const char *host_dir;      /* KUBEVIRT_HOST_DIR */
	int launcher_uid;          /* owner of VMs' directories; -1: leave them */
	const char *host;          /* to listen at; NULL: all addresses */
	int port, health_port;     /* 0: any */
	const char *kvm;           /* NULL: /dev/kvm */
	const char *qemu;          /* to ask for machine types; NULL: that of this architecture */
	accel_measure_fn *measure; /* NULL: the real one */
	/* A server listens (which: "console" or "health"), or can not; may be NULL. */
	void (*listening)(void *arg, const char *which, int port, const struct err *e);
	void *arg;
};
/* Texts must live as long as the handler. */
int handler_new(const struct handler_spec *spec, struct handler **ret, struct err *e);
/* Before the client and the loop. Guests go on. */
void handler_free(struct handler *h);
/* Orderly end: the node takes no more VMs until another handler is there; then done(). At most
 * HANDLER_STOP_MS. */
#define HANDLER_STOP_MS 2000
void handler_stop(struct handler *h, loop_fn *done, void *arg);
