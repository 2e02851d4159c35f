/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, page by page, and watches, line by line. kubernetes-api.md 2.6, 2.7. */
#include "kube/client.h"

#include "api/status.h"
#include "kube/client_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIST_TIMEOUT_MS 65000
/* An informer's watch lasts 300 to 600 s; a connection that died unnoticed is given up a little later. */
#define WATCH_SECONDS_MIN 300
#define WATCH_SECONDS_SPREAD 300
#define WATCH_GRACE_MS 30000
#define WATCH_LINE_MAX (2 * OBJ_BYTES_MAX)

static void path_of_list(struct str *path, const struct kind *k, const struct kube_list_opts *o)
{
	kind_path(k, o && !str_empty(o->ns) ? o->ns : NULL, NULL, NULL, path);
	if (o && !str_empty(o->label_selector))
		path_add(path, "labelSelector", o->label_selector);
	if (o && !str_empty(o->field_selector))
		path_add(path, "fieldSelector", o->field_selector);
}

/* Lists of built-in kinds leave apiVersion and kind of their items out. */
static struct obj *object_of(const struct json *v, const struct kind *k)
{
	struct json_doc *d = json_doc_from(v);
	char version[KIND_API_VERSION_MAX];

	if (!json_get_str(json_root(d), "kind"))
		json_set_str(d, json_root(d), "kind", k->kind);
	if (!json_get_str(json_root(d), "apiVersion"))
		json_set_str(d, json_root(d), "apiVersion", kind_api_version(k, version));
	return obj_from_doc(d);
}

/* ---- lists ---- */
static void list_page(struct kube_call *h);

static void list_finish(struct kube_call *h, uint64_t rv, const struct err *e)
{
	kube_list_fn *fn = h->list;
	void *arg = h->arg;
	static struct obj *const none[1];

	call_hold(h);
	call_end(h);
	if (e)
		fn(arg, NULL, 0, 0, e);
	else
		fn(arg, h->items ? h->items : none, h->n_items, rv, NULL);
	call_release(h);
}

static void list_done(void *arg, int status, const void *body, size_t len, const struct err *failure)
{
	struct kube_call *h = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };
	const char *token;
	uint64_t rv = 0;

	h->handle = NULL;
	if (failure) {
		list_finish(h, 0, failure);
		return;
	}
	if (answer_error(status, body, len, &e) < 0) {
		list_finish(h, 0, &e);
		return;
	}
	d = json_parse(body, len, &e);
	if (!d || !json_is_obj(json_root(d))) {
		err_set(&e, ERR_INTERNAL, "the list of %s is no JSON object", h->kind->plural);
		list_finish(h, 0, &e);
		return;
	}
	JSON_EACH (it, json_get(json_root(d), "items")) {
		h->items = mem_grow(h->items, &h->cap_items, h->n_items + 1, sizeof(h->items[0]));
		h->items[h->n_items++] = object_of(it.val, h->kind);
	}
	token = json_at_str(json_root(d), "/metadata/continue");
	free(h->token);
	h->token = str_empty(token) ? NULL : mem_strdup(token);
	if (h->token) {
		list_page(h);
		return;
	}
	str_to_u64(json_str_or(json_at(json_root(d), "/metadata/resourceVersion"), ""), &rv);
	list_finish(h, rv, NULL);
}

static void list_page(struct kube_call *h)
{
	CLEANUP(str_done) struct str path = { 0 };
	struct kube_request r = {
		.method = "GET", .timeout_ms = LIST_TIMEOUT_MS, .done = list_done, .arg = h
	};
	char limit[16];

	str_add(&path, h->path);
	snprintf(limit, sizeof(limit), "%d", h->limit);
	if (h->limit > 0)
		path_add(&path, "limit", limit);
	if (h->token)
		path_add(&path, "continue", h->token);
	else if (h->any_version)
		path_add(&path, "resourceVersion", "0");
	r.path = str_cstr(&path);
	call_start(h, &r);
}

struct kube_call *kube_list(struct kube_client *c, const struct kind *k, const struct kube_list_opts *o,
	kube_list_fn *fn, void *arg)
{
	struct kube_call *h = call_new(c, k, arg);
	struct str path = { 0 };

	path_of_list(&path, k, o);
	h->path = str_take(&path);
	h->limit = o ? o->limit : 0;
	h->any_version = o && o->any_version;
	h->list = fn;
	list_page(h);
	return h;
}

/* ---- watches ---- */
static void watch_finish(struct kube_call *h, const struct err *e)
{
	void (*ended)(void *arg, const struct err *e) = h->watch.ended;
	void *arg = h->arg;

	call_end(h);
	ended(arg, e);
}

/* The server is still sending, but we have heard enough. */
static void watch_break(struct kube_call *h, const struct err *e)
{
	if (h->handle)
		h->c->transport.cancel(h->c->transport.self, h->handle);
	h->handle = NULL;
	watch_finish(h, e);
}

static bool event_type(const char *text, enum kube_event *ret)
{
	static const char *const names[] = { [KUBE_ADDED] = "ADDED",
		[KUBE_MODIFIED] = "MODIFIED",
		[KUBE_DELETED] = "DELETED",
		[KUBE_BOOKMARK] = "BOOKMARK" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_eq(text, names[i])) {
			*ret = (enum kube_event)i;
			return true;
		}
	}
	return false;
}

static void watch_line(struct kube_call *h, const char *line, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	const struct json *object;
	enum kube_event type;
	struct err e = { 0 };

	d = json_parse(line, len, NULL);
	object = d ? json_get(json_root(d), "object") : NULL;
	if (!json_is_obj(object)) {
		err_set(&e, ERR_INTERNAL, "the watch of %s sent a line that is no event", h->kind->plural);
		watch_break(h, &e);
		return;
	}
	if (!event_type(json_get_str(json_root(d), "type"), &type)) {
		status_to_err(object, 500, &e);
		watch_break(h, &e);
		return;
	}
	o = object_of(object, h->kind);
	h->watch.event(h->arg, type, o);
}

static void watch_data(void *arg, int status, const void *data, size_t len)
{
	struct kube_call *h = arg;
	const char *at = data, *end = at + len, *nl;

	h->status = status;
	if (status >= 400 || !memchr(at, '\n', len)) {
		str_addn(&h->line, data, len);
		if (h->line.len > WATCH_LINE_MAX)
			watch_break(h, &(struct err){ .code = ERR_INTERNAL,
					       .msg = "a watch sent a line without end" });
		return;
	}
	call_hold(h);
	while (!h->over && (nl = memchr(at, '\n', (size_t)(end - at)))) {
		if (h->line.len) {
			struct str whole = h->line;

			h->line = (struct str){ 0 };
			str_addn(&whole, at, (size_t)(nl - at));
			watch_line(h, str_cstr(&whole), whole.len);
			str_done(&whole);
		} else if (nl > at) {
			watch_line(h, at, (size_t)(nl - at));
		}
		at = nl + 1;
	}
	if (!h->over && end > at)
		str_addn(&h->line, at, (size_t)(end - at));
	call_release(h);
}

static void watch_done(void *arg, int status, const void *body, size_t len, const struct err *failure)
{
	struct kube_call *h = arg;
	struct err e = { 0 };

	h->handle = NULL;
	if (failure)
		err_copy(&e, failure);
	else if (status >= 400)
		answer_error(status, len ? body : str_cstr(&h->line), len ? len : h->line.len, &e);
	watch_finish(h, e.code ? &e : NULL);
}

struct kube_call *kube_watch(struct kube_client *c, const struct kind *k, const struct kube_list_opts *o,
	uint64_t rv, const struct kube_watch_ops *ops, void *arg)
{
	struct kube_call *h = call_new(c, k, arg);
	CLEANUP(str_done) struct str path = { 0 };
	struct kube_request r = {
		.method = "GET", .stream = true, .data = watch_data, .done = watch_done, .arg = h
	};
	int seconds = WATCH_SECONDS_MIN + (int)rng_below(&c->rng, WATCH_SECONDS_SPREAD);
	char text[24];

	path_of_list(&path, k, o);
	path_add(&path, "watch", "true");
	path_add(&path, "allowWatchBookmarks", "true");
	snprintf(text, sizeof(text), "%" PRIu64, rv);
	path_add(&path, "resourceVersion", text);
	snprintf(text, sizeof(text), "%d", seconds);
	path_add(&path, "timeoutSeconds", text);
	h->watch = *ops;
	r.path = str_cstr(&path);
	r.timeout_ms = seconds * 1000 + WATCH_GRACE_MS;
	call_start(h, &r);
	return h;
}
