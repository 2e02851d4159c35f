/* SPDX-License-Identifier: Apache-2.0 */
/* kube/client.h - the Kubernetes API from the client's side, asynchronously: verbs, lists, watches.
 *
 * A client sits on a transport: HTTPS (kube_client_new), or anything that answers requests in place of a server, such as the
 * fake API of tests (kube/fake_api.h) or the embedded server in the same process. Requests carry bytes, never pointers
 * into the server. Every call ends in exactly one done() unless cancelled. Objects passed to done() are borrowed. */
#pragma once

#include "api/kind.h"
#include "api/obj.h"
#include "base/loop.h"
#include "base/str.h"
#include "kube/config.h"

/* ---- transport ---- */
struct kube_request {
	const char *method, *path; /* path with query */
	const char *content_type;  /* NULL without body */
	const char *accept;        /* NULL: application/json */
	const void *body;          /* copied */
	size_t len;
	bool stream;    /* a watch: data() per piece */
	int timeout_ms; /* 0: none */
	void (*data)(void *arg, int status, const void *data, size_t len);
	/* body: whole answer unless streamed */
	void (*done)(void *arg, int status, const void *body, size_t len, const struct err *e);
	void *arg;
};
struct kube_transport {
	void *self;
	void *(*call)(void *self,
		const struct kube_request *r);    /* returns a handle; never calls back before returning */
	void (*cancel)(void *self, void *handle); /* no more callbacks */
	void (*free)(void *self);
};

struct kube_client;
struct kube_client *kube_client_new(struct loop *l, const struct kube_config *c, struct err *e);
struct kube_client *kube_client_new_transport(
	struct loop *l, const struct kube_transport *t /* copied; freed with the client */);
void kube_client_free(struct kube_client *c); /* cancels everything */
struct loop *kube_client_loop(const struct kube_client *c);
uint64_t kube_client_random(
	struct kube_client *c); /* for jitter and names; repeatable on any other transport than HTTPS */
/* Appended to writes as fieldManager; NULL: the server's default. */
void kube_client_set_manager(struct kube_client *c, const char *manager);

/* ---- verbs. ns NULL or "" for cluster-scoped kinds. ---- */
struct kube_call;
/* o: the object answered (NULL on failure and for Status answers); e: NULL on success. */
typedef void kube_done_fn(void *arg, const struct obj *o, const struct err *e);
struct kube_call *kube_get(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	kube_done_fn *fn, void *arg);
struct kube_call *kube_create(struct kube_client *c, const struct kind *k, const char *ns,
	const struct json *o, kube_done_fn *fn, void *arg);
/* sub NULL for the object, "status", "scale", "token", "binding", "eviction" ... */
struct kube_call *kube_create_sub(struct kube_client *c, const struct kind *k, const char *ns,
	const char *name, const char *sub, const struct json *o, kube_done_fn *fn, void *arg);
struct kube_call *kube_update(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, const struct json *o, kube_done_fn *fn, void *arg);
enum kube_patch { KUBE_PATCH_JSON, KUBE_PATCH_MERGE, KUBE_PATCH_STRATEGIC, KUBE_PATCH_APPLY };
struct kube_call *kube_patch(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, enum kube_patch type, const struct json *patch, kube_done_fn *fn, void *arg);
/* options: DeleteOptions or NULL */
struct kube_call *kube_delete(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const struct json *options, kube_done_fn *fn, void *arg);
/* Any path; for what has no kind (version, subresources.kubevirt.io, logs). */
typedef void kube_raw_fn(void *arg, int status, const void *body, size_t len, const struct err *e);
struct kube_call *kube_raw(struct kube_client *c, const char *method, const char *path,
	const char *content_type, const void *body, size_t len, kube_raw_fn *fn, void *arg);
/* Without a body, and asking for one media type: discovery documents. */
struct kube_call *kube_raw_accept(struct kube_client *c, const char *method, const char *path,
	const char *accept, kube_raw_fn *fn, void *arg);
void kube_call_cancel(struct kube_call *h); /* NULL is fine; drops the callback */

/* ---- lists and watches ---- */
struct kube_list_opts {
	const char *ns; /* NULL: all namespaces */
	const char *label_selector, *field_selector;
	int limit;        /* page size; pages are fetched on and joined */
	bool any_version; /* resourceVersion=0: whatever the server has at hand */
};
/* items is NULL on failure. rv: the list's resourceVersion. */
typedef void kube_list_fn(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e);
struct kube_call *kube_list(struct kube_client *c, const struct kind *k, const struct kube_list_opts *o,
	kube_list_fn *fn, void *arg);
enum kube_event { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK };
struct kube_watch_ops {
	void (*event)(void *arg, enum kube_event type, const struct obj *o);
	/* The watch is over: e NULL for a clean end, ERR_EXPIRED to list again, else a failure. Last call. */
	void (*ended)(void *arg, const struct err *e);
};
struct kube_call *kube_watch(struct kube_client *c, const struct kind *k, const struct kube_list_opts *o,
	uint64_t rv, const struct kube_watch_ops *ops, void *arg);

/* ---- waiting: for command lines and start-up code; runs the loop until the answer is there ---- */
int kube_get_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	struct obj **ret, struct err *e);
int kube_create_wait(struct kube_client *c, const struct kind *k, const char *ns, const struct json *o,
	struct obj **ret, struct err *e);
int kube_patch_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, enum kube_patch type, const struct json *patch, struct obj **ret, struct err *e);
int kube_delete_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const struct json *options, struct err *e);
int kube_raw_wait(struct kube_client *c, const char *method, const char *path, const char *content_type,
	const void *body, size_t len, int *ret_status, struct str *ret_body, struct err *e);
