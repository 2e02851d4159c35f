/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/up.h - the embedded platform as one program: store, API server, controllers with the
 * scheduler, node agent, and what is
 * put into a new cluster. The parts talk to the API server by its in-process transport, as clients like any other.
 *
 * Order: the server answers first, everything else follows in the next turns of the loop. One per process. */
#pragma once

#include "kube/client.h"
#include "store/store.h"

#define UP_STOP_GRACE_MS 5000 /* for our own pods; then they are killed */
#define UP_LOG_MAX (16 << 20) /* DIR/logs/coracle.log at start; then it becomes coracle.log.1 */

struct up_spec {
	const char *data_dir; /* absolute */
	int port;             /* 0: any free one */
	const char *version;  /* of our programs: name of the release */
	bool controllers;     /* scheduler and controllers; of servers that share a store one runs them */
	struct store_choice store;
	const char *listen;    /* an address besides 127.0.0.1; NULL: none */
	bool agent;            /* pods run on this host */
	bool bare;             /* see apiserver.h */
	const char *audit_log; /* the same */
	unsigned max_inflight;
	unsigned plugins_off;
	const char *const *programs; /* put into the release store; NULL-terminated; NULL: none */
	/* Program of the release whose `--print-manifest` is applied and whose `--print-cr` is made once; NULL: nothing is
	 * installed. It gets --image coracle.dev/PROGRAM:VERSION and --host-dir DIR/HOST_DIR. */
	const char *installer, *host_dir;
	/* Lines for the user, without end of line. */
	void (*say)(void *arg, const char *line);
	/* The server answers; agent and all are up; up_stop() is through. */
	void (*answering)(void *arg);
	void (*started)(void *arg);
	void (*stopped)(void *arg);
	/* Something that `up` can not go on without has failed: stop it. */
	void (*failed)(void *arg, const struct err *e);
	void *arg;
};
struct up;
/* spec is copied, not what it points to. Fails if the store or the port can not be had. */
struct up *up_start(struct loop *l, const struct up_spec *spec, struct err *e);
int up_port(const struct up *u);
const char *up_kubeconfig(const struct up *u);
struct kube_client *up_client(const struct up *u); /* an administrator's */
/* Stops our own pods, or all of them if `down` asked for that; all others run on. stopped() follows. */
void up_stop(struct up *u);
size_t up_left_running(const struct up *u); /* pods; after stopped() */
void up_free(struct up *u);
