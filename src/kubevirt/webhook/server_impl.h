/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/server_impl.h - for this directory only: the parts of virt-api's server. */
#pragma once

#include "base/http.h"
#include "kube/cache.h"
#include "kubevirt/api/config.h"
#include "kubevirt/webhook/lifecycle.h"
#include "kubevirt/webhook/review.h"
#include "kubevirt/webhook/server.h"

#define SUBRESOURCES_GROUP "subresources.kubevirt.io"
#define SUBRESOURCES_PREFIX "/apis/" SUBRESOURCES_GROUP "/"

/* Which requests come from the API server's proxy, and the header names it uses. */
struct front_proxy {
	struct strv ca_hashes;     /* SHA-256 of each CA certificate's DER, hex */
	struct strv allowed_names; /* common names; empty: any */
	char *user_header, *group_header, *extra_prefix;
};

struct bridge;
struct virt_api {
	struct virt_api_spec spec;
	char *install_ns;
	struct cache *kubevirts, *api_secret, *handler_secret, *kubevirt_ca, *authentication;
	struct loop_timer *reload;
	const struct obj *kubevirt;
	struct json_doc *config_of; /* its copy, which config borrows from */
	struct kv_config config;
	struct front_proxy proxy;
	struct tls_ctx *server_tls, *handler_tls;
	struct http_server *http;
	struct bridge *bridges;
	struct review_count {
		uint64_t allowed, refused;
	} reviews[HOOK_ID_MAX]; /* by hook id */
	uint64_t subresource_requests;
	bool listening;
};

/* fetch.c: what a pure decision wants to look up (it_lookup), by requests. */
#define FETCH_MAX 16
struct fetch {
	struct virt_api *api;
	struct it_lookup lookup;
	struct fetched {
		const struct kind *kind;
		char *ns, *name;
		struct obj *o; /* NULL: there is none */
	} items[FETCH_MAX];
	size_t n;
	struct kube_call *kube;
	void (*again)(void *arg, const struct err *e);
	void *arg;
};
/* again: the decision has to be made again; or, with an error, can not be made. */
void fetch_init(
	struct fetch *f, struct virt_api *a, void (*again)(void *arg, const struct err *e), void *arg);
void fetch_done(struct fetch *f);
/* After a decision. True: it lacks something, which is being fetched; else it holds. */
bool fetch_pending(struct fetch *f);

/* One request for a subresource, while it is looked into. Lives as the context of its http_req. */
struct call {
	struct virt_api *api;
	struct http_req *req;
	/* the path: .../VERSION/namespaces/NS/RESOURCE/NAME/SUB/REST */
	char *version, *ns, *resource, *name, *sub, *rest;
	const struct lifecycle_verb *verb;
	struct json_doc *body;
	struct obj *vm, *vmi;
	struct lifecycle_out out;
	struct fetch fetch;
	size_t step;
	int tries;
	struct kube_call *kube;      /* in flight */
	struct http_client *handler; /* to virt-handler */
	struct http_call *handler_call;
	char *handler_ip;
	void (*then)(struct call *c); /* what follows what is in flight */
};

/* trust.c: certificates, keys and the front proxy's CA, from the caches */
void trust_reload(struct virt_api *a);
void trust_done(struct virt_api *a);
/* access.c: who asks, and may they? then(c) if so; else the request has been answered. verb as in RBAC. */
void access_check(struct call *c, const char *rbac_verb, void (*then)(struct call *c));
/* discovery.c: true if the request was answered */
bool discovery_serve(struct virt_api *a, struct http_req *r);
/* hooks.c */
void hooks_serve(struct virt_api *a, const struct hook *h, struct http_req *r);
/* verbs.c: everything below SUBRESOURCES_PREFIX VERSION/namespaces/ */
void verbs_serve(struct virt_api *a, struct http_req *r);
void call_fail(struct call *c, const struct err *e); /* answers with a Status */
/* Fetches the VMI (absent is no failure) into c->vmi, then goes on. */
void call_get_vmi(struct call *c, void (*then)(struct call *c));
/* handler.c: finds the virt-handler of a node, then goes on with c->handler. */
void handler_find(struct call *c, const char *node, void (*then)(struct call *c));
/* streams.c */
void console_serve(struct call *c);
void portforward_serve(struct call *c);
void bridges_end(struct virt_api *a);
size_t bridges_open(const struct virt_api *a);

/* Answers */
void reply_json(struct http_req *r, int status, const struct json *v);
void reply_err(struct http_req *r, const struct err *e);
