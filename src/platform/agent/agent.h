/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/agent.h - the node agent ("kubelet's part"): registers this host as a Node, runs
 * the pods bound to it, reports their
 * status. Knows the API only through its client. Containers survive the agent (coracle-shim stands beside each) and are
 * found again at the next start under DIR/pods. */
#pragma once

#include "base/http.h"
#include "kube/client.h"
#include "platform/net/net.h"

#define AGENT_PODS_MAX 1000 /* the node's "pods" capacity */

struct agent_spec {
	const char *data_dir;  /* DIR: pods/, images/, releases/, logs/, volumes/ live there; absolute */
	const char *node_name; /* NULL: the host's name */
	const char *shim;      /* path of coracle-shim; NULL: beside our own program */
	const char *api_host;  /* what pods get as KUBERNETES_SERVICE_HOST and _PORT */
	int api_port;
	struct net *net; /* the caller's; outlives the agent */
};
struct agent;
/* Tries the OCI runtimes (waits for a trial run of each; tens of milliseconds, remembered in DIR/runtime), finds earlier pods
 * again, starts to watch. Fails if there is no usable runtime or DIR can not be used. */
struct agent *agent_start(
	struct loop *l, struct kube_client *c, const struct agent_spec *spec, struct err *e);
void agent_stop(struct agent *a); /* frees; containers run on */
/* The control plane ends: containers of the pods picked (asked within the call) are stopped, with their own grace but at most
 * max_grace_ms (0: no other limit), and nothing is started any more. Their objects stay; the next agent starts them again.
 * done() once; only agent_stop() may follow. */
typedef bool agent_pick_fn(void *arg, const struct obj *pod);
void agent_stop_pods(
	struct agent *a, agent_pick_fn *pick, void *pick_arg, int64_t max_grace_ms, loop_fn *done, void *arg);
size_t agent_active(const struct agent *a); /* pods of which a container runs */
const char *agent_node_name(const struct agent *a);
size_t agent_pods(const struct agent *a); /* known on this host */

/* Which OCI runtime works here, found out by running a container; dir takes the trial and its result. Caller frees *ret. For
 * `coracle doctor`. */
int agent_runtime_try(const char *dir, char **ret_program, struct err *e);

/* pods/log, exec, attach, portforward for the API server's node hook: answers r at once or later. verb is the subresource. */
void agent_serve(struct agent *a, const char *verb, const struct obj *pod, struct http_req *r);

/* `coracle uninstall`: kills every container of the data directory, unmounts everything below it, removes cgroups and the
 * network. For a program in which no agent runs. */
int agent_remove_all(const char *data_dir, struct err *e);
