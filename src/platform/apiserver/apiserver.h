/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/apiserver.h - the embedded Kubernetes API server (kubernetes-api.md). Knows nothing of virtual machines,
 * pods' processes or networks: who runs those registers hooks, and is otherwise a client like any other.
 *
 * One loop, one thread. The server owns everything it makes; the store is the caller's. */
#pragma once

#include "base/http.h"
#include "kube/client.h"
#include "store/store.h"

#define APISERVER_PORT 6443

/* A request that a node has to answer: pods/log, exec, attach, portforward. The request is authorized; the hook answers
 * it, upgrade included, at once or later. */
struct node_request {
	const char *verb;      /* "log", "exec", "attach", "portforward" */
	const struct obj *pod; /* borrowed for the call */
	struct http_req *http;
};
typedef void node_proxy_fn(void *arg, const struct node_request *r);

struct apiserver_spec {
	const char *data_dir; /* pki/ and kubeconfig go here */
	const char *
		host; /* to listen on besides 127.0.0.1, e.g. the bridge address; NULL: none. May be added later */
	int port; /* 0: any free one */
	struct store *store;
	const char *const
		*extra_sans; /* names and addresses for the serving certificate; NULL-terminated or NULL */
	node_proxy_fn *node_proxy; /* may be set later; NULL: 503 */
	void *node_proxy_arg;
	const char *audit_log; /* file; NULL: no audit */
	unsigned max_inflight; /* of one user; 0: FLOW_SEATS_USER */
	unsigned plugins_off;  /* admission switched off: plugins_parse() */
	bool bare; /* no ServiceAccount admission, no default ServiceAccounts: for suites without controllers */
};
struct apiserver;
/* Loads the store, makes what is missing (certificates, bootstrap objects, kubeconfig) and listens. Runs the loop for the
 * first commit only. */
struct apiserver *apiserver_new(struct loop *l, const struct apiserver_spec *spec, struct err *e);
/* Ends watches cleanly and answers what can be answered; the store stays. Runs the loop: not from a callback. NULL is fine. */
void apiserver_free(struct apiserver *s);
int apiserver_port(const struct apiserver *s);
/* Another address to listen on at the same port, such as a bridge that came later. */
int apiserver_listen(struct apiserver *s, const char *host, struct err *e);
void apiserver_set_node_proxy(struct apiserver *s, node_proxy_fn *fn, void *arg);
/* For the parts of the same program: requests as bytes, answers when the loop turns. NULL groups: {"system:masters"}. */
struct kube_transport apiserver_transport(struct apiserver *s, const char *user, const char *const *groups);
/* Paths of what it made, owned by the server. */
const char *apiserver_kubeconfig(const struct apiserver *s); /* DIR/kubeconfig, 0600 */
const char *apiserver_ca_pem(const struct apiserver *s);
/* A service-account token as the token subresource would give it; pod may be NULL. The caller frees. */
int apiserver_token(struct apiserver *s, const char *ns, const char *service_account, const struct obj *pod,
	int64_t seconds, char **ret, struct err *e);
