/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client.h"

#include "api/status.h"
#include "base/crypto.h"
#include "base/http.h"
#include "kube/client_impl.h"

#include <string.h>

/* The server gives up after 34 s for writes and 60 s for reads (kubernetes-api.md 2.5); it should be the one to say so. */
#define CALL_TIMEOUT_MS 65000

/* ---- clients ---- */
static struct kube_client *client_make(struct loop *l, const struct kube_transport *t)
{
	struct kube_client *c = MEM_NEW(struct kube_client);

	c->loop = l;
	c->transport = *t;
	return c;
}

struct kube_client *kube_client_new_transport(struct loop *l, const struct kube_transport *t)
{
	return client_make(l, t);
}

struct kube_client *kube_client_new(struct loop *l, const struct kube_config *config, struct err *e)
{
	struct kube_transport t = https_transport(l, config, e);
	struct kube_client *c;

	if (!t.call)
		return NULL;
	c = client_make(l, &t);
	crypto_random(&c->rng.state, sizeof(c->rng.state));
	return c;
}

void kube_client_free(struct kube_client *c)
{
	if (!c)
		return;
	while (c->calls)
		kube_call_cancel(c->calls);
	if (c->transport.free)
		c->transport.free(c->transport.self);
	free(c->manager);
	free(c);
}

struct loop *kube_client_loop(const struct kube_client *c)
{
	return c->loop;
}

void kube_client_set_manager(struct kube_client *c, const char *manager)
{
	free(c->manager);
	c->manager = manager ? mem_strdup(manager) : NULL;
}

uint64_t kube_client_random(struct kube_client *c)
{
	return rng_next(&c->rng);
}

/* ---- calls ---- */
struct kube_call *call_new(struct kube_client *c, const struct kind *k, void *arg)
{
	struct kube_call *h = MEM_NEW(struct kube_call);

	h->c = c;
	h->kind = k;
	h->arg = arg;
	h->next = c->calls;
	if (c->calls)
		c->calls->prev = h;
	c->calls = h;
	return h;
}

static void call_free(struct kube_call *h)
{
	for (size_t i = 0; i < h->n_items; i++)
		obj_unref(h->items[i]);
	free(h->items);
	free(h->path);
	free(h->token);
	str_done(&h->line);
	free(h);
}

void call_end(struct kube_call *h)
{
	if (h->prev)
		h->prev->next = h->next;
	else
		h->c->calls = h->next;
	if (h->next)
		h->next->prev = h->prev;
	h->over = true;
	h->c = NULL;
	if (!h->holds)
		call_free(h);
}

void call_hold(struct kube_call *h)
{
	h->holds++;
}

void call_release(struct kube_call *h)
{
	h->holds--;
	if (!h->holds && h->over)
		call_free(h);
}

void call_start(struct kube_call *h, const struct kube_request *r)
{
	h->handle = h->c->transport.call(h->c->transport.self, r);
}

void kube_call_cancel(struct kube_call *h)
{
	if (!h || h->over)
		return;
	if (h->handle)
		h->c->transport.cancel(h->c->transport.self, h->handle);
	h->handle = NULL;
	call_end(h);
}

int answer_error(int status, const void *body, size_t len, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (status < 400)
		return 0;
	d = body ? json_parse(body, len, NULL) : NULL;
	if (d)
		return status_to_err(json_root(d), status, e);
	/* A proxy or an aggregated server that speaks no Status. */
	return err_set(e, err_from_wire(status, NULL), "the server answered %d: %.*s", status,
		(int)(len < 256 ? len : 256), body ? (const char *)body : "");
}

void path_add(struct str *path, const char *name, const char *value)
{
	str_addc(path, strchr(str_cstr(path), '?') ? '&' : '?');
	str_add(path, name);
	str_addc(path, '=');
	url_encode(value, path);
}

/* ---- verbs ---- */
static void object_done(void *arg, int status, const void *body, size_t len, const struct err *failure)
{
	struct kube_call *h = arg;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	struct err e = { 0 };
	kube_done_fn *fn = h->done;
	void *fn_arg = h->arg;

	h->handle = NULL;
	call_end(h);
	if (failure)
		err_copy(&e, failure);
	else if (answer_error(status, body, len, &e) == 0 && len) {
		o = obj_from_text(body, len, &e);
		if (!o)
			e.code = ERR_INTERNAL; /* not our request was bad, the answer is */
		else if (str_eq(json_get_str(obj_json(o), "kind"), "Status"))
			obj_unref(TAKE(o));
	}
	fn(fn_arg, o, e.code ? &e : NULL);
}

static const char *const patch_types[] = {
	[KUBE_PATCH_JSON] = "application/json-patch+json",
	[KUBE_PATCH_MERGE] = "application/merge-patch+json",
	[KUBE_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
	[KUBE_PATCH_APPLY] = "application/apply-patch+yaml",
};

struct verb {
	const char *method, *type; /* type of the body */
	const struct kind *kind;
	const char *ns, *name, *sub;
	const struct json *body;
	bool write, apply;
};

static struct kube_call *verb_start(struct kube_client *c, const struct verb *v, kube_done_fn *fn, void *arg)
{
	struct kube_call *h = call_new(c, v->kind, arg);
	CLEANUP(str_done) struct str path = { 0 }, body = { 0 };
	struct kube_request r = { .method = v->method,
		.content_type = v->type,
		.timeout_ms = CALL_TIMEOUT_MS,
		.done = object_done,
		.arg = h };

	kind_path(v->kind, str_empty(v->ns) ? NULL : v->ns, v->name, v->sub, &path);
	if (v->write && c->manager)
		path_add(&path, "fieldManager", c->manager);
	if (v->apply) {
		if (!c->manager)
			path_add(&path, "fieldManager", "coracle");
		path_add(&path, "force", "true");
	}
	if (v->body)
		json_write_to(v->body, &body);
	h->done = fn;
	r.path = str_cstr(&path);
	r.body = v->body ? str_cstr(&body) : NULL;
	r.len = body.len;
	call_start(h, &r);
	return h;
}

struct kube_call *kube_get(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	kube_done_fn *fn, void *arg)
{
	return verb_start(c, &(struct verb){ .method = "GET", .kind = k, .ns = ns, .name = name }, fn, arg);
}

struct kube_call *kube_create(struct kube_client *c, const struct kind *k, const char *ns,
	const struct json *o, kube_done_fn *fn, void *arg)
{
	return kube_create_sub(c, k, ns, NULL, NULL, o, fn, arg);
}

struct kube_call *kube_create_sub(struct kube_client *c, const struct kind *k, const char *ns,
	const char *name, const char *sub, const struct json *o, kube_done_fn *fn, void *arg)
{
	struct verb v = { .method = "POST",
		.type = "application/json",
		.kind = k,
		.ns = ns,
		.name = name,
		.sub = sub,
		.body = o,
		.write = true };

	return verb_start(c, &v, fn, arg);
}

struct kube_call *kube_update(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, const struct json *o, kube_done_fn *fn, void *arg)
{
	struct verb v = { .method = "PUT",
		.type = "application/json",
		.kind = k,
		.ns = ns,
		.name = name,
		.sub = sub,
		.body = o,
		.write = true };

	return verb_start(c, &v, fn, arg);
}

struct kube_call *kube_patch(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, enum kube_patch type, const struct json *patch, kube_done_fn *fn, void *arg)
{
	struct verb v = { .method = "PATCH",
		.type = patch_types[type],
		.kind = k,
		.ns = ns,
		.name = name,
		.sub = sub,
		.body = patch,
		.write = true,
		.apply = type == KUBE_PATCH_APPLY };

	return verb_start(c, &v, fn, arg);
}

struct kube_call *kube_delete(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const struct json *options, kube_done_fn *fn, void *arg)
{
	struct verb v = { .method = "DELETE",
		.type = options ? "application/json" : NULL,
		.kind = k,
		.ns = ns,
		.name = name,
		.body = options };

	return verb_start(c, &v, fn, arg);
}

static void raw_done(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct kube_call *h = arg;
	kube_raw_fn *fn = h->raw;
	void *fn_arg = h->arg;

	h->handle = NULL;
	call_end(h);
	fn(fn_arg, status, body, len, e);
}

static struct kube_call *raw_start(struct kube_client *c, const char *method, const char *path,
	const char *content_type, const char *accept, const void *body, size_t len, kube_raw_fn *fn,
	void *arg)
{
	struct kube_call *h = call_new(c, NULL, arg);
	struct kube_request r = { .method = method,
		.path = path,
		.content_type = content_type,
		.accept = accept,
		.body = body,
		.len = len,
		.timeout_ms = CALL_TIMEOUT_MS,
		.done = raw_done,
		.arg = h };

	h->raw = fn;
	call_start(h, &r);
	return h;
}

struct kube_call *kube_raw(struct kube_client *c, const char *method, const char *path,
	const char *content_type, const void *body, size_t len, kube_raw_fn *fn, void *arg)
{
	return raw_start(c, method, path, content_type, NULL, body, len, fn, arg);
}

struct kube_call *kube_raw_accept(struct kube_client *c, const char *method, const char *path,
	const char *accept, kube_raw_fn *fn, void *arg)
{
	return raw_start(c, method, path, NULL, accept, NULL, 0, fn, arg);
}

/* ---- waiting ---- */
struct wait {
	struct obj *o;
	struct str body;
	int status;
	struct err e;
	bool ended;
};

static void wait_object(void *arg, const struct obj *o, const struct err *e)
{
	struct wait *w = arg;

	w->o = o ? obj_ref(o) : NULL;
	if (e)
		err_copy(&w->e, e);
	w->ended = true;
}

static void wait_raw(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct wait *w = arg;

	w->status = status;
	if (e)
		err_copy(&w->e, e);
	else if (len)
		str_addn(&w->body, body, len);
	w->ended = true;
}

static int wait_for(struct kube_client *c, struct kube_call *h, struct wait *w, struct err *e)
{
	while (!w->ended) {
		if (loop_step(c->loop, -1) || w->ended)
			continue;
		/* Only a simulated loop can run dry. */
		kube_call_cancel(h);
		return err_set(e, ERR_TIMEOUT, "the loop has nothing left that could bring the answer");
	}
	if (!w->e.code)
		return 0;
	err_copy(e, &w->e);
	return -1;
}

static int wait_for_object(
	struct kube_client *c, struct kube_call *h, struct wait *w, struct obj **ret, struct err *e)
{
	if (wait_for(c, h, w, e) < 0)
		return -1;
	if (ret)
		*ret = w->o;
	else
		obj_unref(w->o);
	return 0;
}

int kube_get_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	struct obj **ret, struct err *e)
{
	struct wait w = { 0 };

	return wait_for_object(c, kube_get(c, k, ns, name, wait_object, &w), &w, ret, e);
}

int kube_create_wait(struct kube_client *c, const struct kind *k, const char *ns, const struct json *o,
	struct obj **ret, struct err *e)
{
	struct wait w = { 0 };

	return wait_for_object(c, kube_create(c, k, ns, o, wait_object, &w), &w, ret, e);
}

int kube_patch_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const char *sub, enum kube_patch type, const struct json *patch, struct obj **ret, struct err *e)
{
	struct wait w = { 0 };

	return wait_for_object(c, kube_patch(c, k, ns, name, sub, type, patch, wait_object, &w), &w, ret, e);
}

int kube_delete_wait(struct kube_client *c, const struct kind *k, const char *ns, const char *name,
	const struct json *options, struct err *e)
{
	struct wait w = { 0 };

	return wait_for_object(c, kube_delete(c, k, ns, name, options, wait_object, &w), &w, NULL, e);
}

int kube_raw_wait(struct kube_client *c, const char *method, const char *path, const char *content_type,
	const void *body, size_t len, int *ret_status, struct str *ret_body, struct err *e)
{
	struct wait w = { 0 };
	struct kube_call *h = kube_raw(c, method, path, content_type, body, len, wait_raw, &w);

	if (wait_for(c, h, &w, e) < 0) {
		str_done(&w.body);
		return -1;
	}
	if (ret_status)
		*ret_status = w.status;
	if (ret_body) {
		str_done(ret_body);
		*ret_body = w.body;
	} else {
		str_done(&w.body);
	}
	return 0;
}
