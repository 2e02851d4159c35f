/* SPDX-License-Identifier: Apache-2.0 */
/* Watches (kubernetes-api.md 2.7). A watch is a position in the history and a client that takes more or less
 * quickly: it is fed from the history until it has caught up, then event by event as they happen; a client that
 * lets WATCH_AHEAD bytes pile up falls back to the history, and is closed when it has not taken anything for
 * WATCH_STUCK_MS or the history has moved on without it. So a slow client costs neither memory nor anybody
 * else's time. */
#include "platform/apiserver/server.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/callout/convert.h"
#include "platform/request/listopts.h"

#include <string.h>

#define WATCH_AHEAD (1024 * 1024)
#define WATCH_STUCK_MS 30000
#define WATCH_BOOKMARK_MS 60000
#define WATCH_DEFAULT_S 1800 /* and up to twice that */
#define WATCH_LAST_BOOKMARK_MS 2000

enum watch_state { WATCH_INITIAL, WATCH_CATCH_UP, WATCH_LIVE };
struct watch {
	struct bucket_watch bw;
	struct apiserver *s;
	struct request *r;
	struct resource *res;
	struct listopts o;
	enum shape shape;
	enum table_include include;
	enum watch_state state;
	bool table_head_sent, initial_bookmark, waiting; /* waiting: for the client to take what is sent */
	uint64_t pos;                                    /* everything up to here is delivered */
	struct obj **initial;                            /* what is still to be sent as ADDED: a snapshot */
	size_t n_initial, at_initial;
	uint64_t initial_rv;
	struct rev_wait *wait;
	struct convert *convert;
	struct loop_timer *end; /* before the last bookmark, then at the end */
	bool last_bookmark;     /* is still to come */
	int64_t stuck_since, bookmark_at;
	struct watch *next, **prev;
};

static void watch_free(struct watch *w)
{
	bucket_watch_remove(&w->bw);
	for (size_t i = w->at_initial; i < w->n_initial; i++)
		obj_unref(w->initial[i]);
	free(w->initial);
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	objects_wait_cancel(w->wait);
	convert_cancel(w->convert);
	loop_timer_free(w->end);
	listopts_done(&w->o);
	resource_unref(w->res);
	free(w);
}

static void watch_aborted(void *arg)
{
	watch_free(arg);
}

static void watch_close(struct watch *w)
{
	struct request *r = w->r;

	watch_free(w);
	request_end(r);
}

/* ---- lines ---- */
static bool is_protobuf(const struct watch *w)
{
	return w->shape == SHAPE_PROTOBUF || w->shape == SHAPE_METADATA_PROTOBUF;
}

static void line_object(struct watch *w, const struct obj *o, bool bookmark, struct str *out)
{
	if (w->shape == SHAPE_TABLE) {
		table_row(
			w->res, o, !w->table_head_sent, bookmark, w->include, loop_wall_ms(w->s->loop), out);
		w->table_head_sent = true;
	} else if (w->shape == SHAPE_METADATA) {
		metadata_only(o, out);
	} else {
		obj_add_text(o, out);
	}
}

static void send_line(struct watch *w, const char *type, const struct obj *o, bool bookmark)
{
	CLEANUP(str_done) struct str line = { 0 }, object = { 0 };

	w->res->watch_events++;
	if (is_protobuf(w)) {
		protobuf_object(o, w->shape == SHAPE_METADATA_PROTOBUF, &object);
		protobuf_event(type, &object, &line);
		request_write(w->r, line.data, line.len);
		return;
	}
	str_addf(&line, "{\"type\":\"%s\",\"object\":", type);
	line_object(w, o, bookmark, &line);
	str_add(&line, "}\n");
	request_write(w->r, line.data, line.len);
}

static void send_bookmark(struct watch *w, uint64_t rv, bool initial_end)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	char av[KIND_API_VERSION_MAX];
	struct json *root = json_new_obj(d), *meta;

	json_set_root(d, root);
	json_set_str(d, root, "apiVersion", kind_api_version(w->res->kind, av));
	json_set_str(d, root, "kind", w->res->kind->kind);
	meta = json_need_obj(d, root, "metadata");
	json_set_strf(d, meta, "resourceVersion", "%llu", (unsigned long long)rv);
	json_set(d, meta, "creationTimestamp", json_new_null(d));
	if (initial_end)
		json_set_str(d, json_need_obj(d, meta, "annotations"), "k8s.io/initial-events-end", "true");
	o = obj_from_doc(TAKE(d));
	send_line(w, "BOOKMARK", o, true);
	w->bookmark_at = loop_mono_ms(w->s->loop) + WATCH_BOOKMARK_MS;
}

static void send_status(struct watch *w, const struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(e, NULL, NULL, NULL);
	CLEANUP(str_done) struct str line = { 0 }, object = { 0 };

	if (is_protobuf(w)) {
		protobuf_encode(json_root(d), &object);
		protobuf_event("ERROR", &object, &line);
		request_write(w->r, line.data, line.len);
		return;
	}
	str_add(&line, "{\"type\":\"ERROR\",\"object\":");
	json_write_to(json_root(d), &line);
	str_add(&line, "}\n");
	request_write(w->r, line.data, line.len);
}

static void send_expired(struct watch *w)
{
	struct err e = { 0 };

	err_set(&e, ERR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)w->pos,
		(unsigned long long)bucket_since(objects_bucket_of(w->s->objects, w->res)));
	send_status(w, &e);
}

/* ---- events ---- */
static bool in_scope(const struct watch *w, const struct obj *o)
{
	return str_starts(obj_key(o), w->o.prefix);
}

/* The whole line of a change, made once for all who watch the same version without a selector in between. */
static const struct str *shared_line(struct watch *w, const struct bucket_change *c)
{
	static const char *const types[] = { "ADDED", "MODIFIED", "DELETED" };
	struct apiserver *s = w->s;
	struct obj *o;

	if (s->line_rev == c->rev && s->line_res == w->res)
		return &s->line;
	o = convert_known(s->callouts, w->res, c->obj);
	str_clear(&s->line);
	str_addf(&s->line, "{\"type\":\"%s\",\"object\":", types[c->type]);
	obj_add_text(o, &s->line);
	str_add(&s->line, "}\n");
	obj_unref(o);
	s->line_rev = c->rev;
	s->line_res = w->res;
	return &s->line;
}

static void send_as(struct watch *w, const char *type, const struct obj *o)
{
	CLEANUP(obj_unrefp) struct obj *v = convert_known(w->s->callouts, w->res, o);

	send_line(w, type, v, false);
}

/* What it was, with the revision of its leaving. */
static void send_left(struct watch *w, const struct bucket_change *c)
{
	CLEANUP(obj_unrefp) struct obj *was = convert_known(w->s->callouts, w->res, c->old);
	CLEANUP(obj_unrefp) struct obj *last = objects_last_state(was, c->rev);

	send_line(w, "DELETED", last, false);
}

/* With selectors: entering is ADDED, leaving is DELETED with the old object and the new revision. */
static void send_selected(struct watch *w, const struct bucket_change *c)
{
	bool was = c->old && listopts_match(&w->o, c->old);
	bool is = c->type != BUCKET_DELETED && listopts_match(&w->o, c->obj);

	if (is) {
		send_as(w, was ? "MODIFIED" : "ADDED", c->obj);
	} else if (was && c->type == BUCKET_DELETED) {
		send_as(w, "DELETED", c->obj);
	} else if (was) {
		send_left(w, c);
	}
}

static void send_change(struct watch *w, const struct bucket_change *c)
{
	static const char *const types[] = { "ADDED", "MODIFIED", "DELETED" };

	w->pos = c->rev;
	if (!in_scope(w, c->obj))
		return;
	if (listopts_selects(&w->o)) {
		send_selected(w, c);
	} else if (w->shape == SHAPE_JSON) {
		const struct str *line = shared_line(w, c);

		w->res->watch_events++;
		request_write(w->r, line->data, line->len);
	} else {
		send_as(w, types[c->type], c->obj);
	}
}

/* ---- a webhook converts: objects are asked for before they are sent, some at a time ---- */
#define WATCH_CONVERT 100

static const struct obj *to_be_sent(const struct watch *w, const struct bucket_change *c)
{
	bool was, is;

	if (!in_scope(w, c->obj))
		return NULL;
	if (!listopts_selects(&w->o))
		return c->obj;
	was = c->old && listopts_match(&w->o, c->old);
	is = c->type != BUCKET_DELETED && listopts_match(&w->o, c->obj);
	return is || (was && c->type == BUCKET_DELETED) ? c->obj : was ? c->old : NULL;
}

static void watch_feed(struct watch *w);
static void watch_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct watch *w = arg;

	(void)objs; /* they are known now */
	w->convert = NULL;
	if (!e) {
		watch_feed(w);
		return;
	}
	send_status(w, e);
	watch_close(w);
}

static bool is_known(struct watch *w, const struct obj *o)
{
	CLEANUP(obj_unrefp) struct obj *v = convert_known(w->s->callouts, w->res, o);

	return v != NULL;
}

static void convert_some(struct watch *w, const struct obj *const *objs, size_t n)
{
	char av[KIND_API_VERSION_MAX];

	w->convert = convert_start(w->s->callouts, w->res, kind_api_version(w->res->kind, av), objs, n, false,
		watch_converted, w);
}

/* False: it has to wait for the webhook. */
static bool initial_ready(struct watch *w)
{
	size_t left = w->n_initial - w->at_initial;

	if (!convert_remote(w->res) || is_known(w, w->initial[w->at_initial]))
		return true;
	convert_some(w, (const struct obj *const *)w->initial + w->at_initial,
		left < WATCH_CONVERT ? left : WATCH_CONVERT);
	return false;
}

static bool change_ready(struct watch *w, const struct bucket *b, size_t i)
{
	const struct obj *objs[WATCH_CONVERT], *o;
	const struct bucket_change *c = bucket_change_at(b, i);
	size_t n = 0;

	if (!convert_remote(w->res) || !(o = to_be_sent(w, c)) || is_known(w, o))
		return true;
	for (; n < WATCH_CONVERT && (c = bucket_change_at(b, i)); i++)
		if ((o = to_be_sent(w, c)))
			objs[n++] = o;
	convert_some(w, objs, n);
	return false;
}

/* ---- feeding ---- */
static bool client_behind(struct watch *w)
{
	if (request_pending(w->r) <= WATCH_AHEAD)
		return false;
	w->waiting = true;
	w->stuck_since = loop_mono_ms(w->s->loop);
	return true;
}

/* False: the client has to take some first. */
static bool feed_initial(struct watch *w)
{
	while (w->at_initial < w->n_initial) {
		struct obj *o = w->initial[w->at_initial];

		if (!initial_ready(w))
			return false;
		w->at_initial++;
		send_as(w, "ADDED", o);
		obj_unref(o);
		if (client_behind(w))
			return false;
	}
	free(w->initial);
	w->initial = NULL;
	w->n_initial = w->at_initial = 0;
	if (w->initial_bookmark)
		send_bookmark(w, w->initial_rv, true);
	w->initial_bookmark = false;
	w->state = WATCH_CATCH_UP;
	return true;
}

static bool feed_history(struct watch *w)
{
	struct bucket *b = objects_bucket_of(w->s->objects, w->res);
	const struct bucket_change *c;

	for (size_t i = bucket_change_seek(b, w->pos); (c = bucket_change_at(b, i)); i++) {
		if (!change_ready(w, b, i))
			return false;
		send_change(w, c);
		bucket_change_seen(b, i);
		if (client_behind(w))
			return false;
	}
	w->state = WATCH_LIVE;
	return true;
}

/* As far as the client takes it. Ends the watch if the history went on without it. */
static void watch_feed(struct watch *w)
{
	if (w->waiting || w->convert)
		return;
	if (w->state == WATCH_INITIAL && !feed_initial(w))
		return;
	if (w->state != WATCH_CATCH_UP)
		return;
	objects_need_past(w->s->objects, w->pos);
	if (w->pos < bucket_since(objects_bucket_of(w->s->objects, w->res))) {
		send_expired(w);
		watch_close(w);
		return;
	}
	feed_history(w);
}

static void watch_drained(void *arg)
{
	struct watch *w = arg;

	if (!w->waiting)
		return;
	w->waiting = false;
	watch_feed(w);
}

static void watch_changed(struct bucket_watch *bw, const struct bucket_change *c)
{
	struct watch *w = CONTAINER_OF(bw, struct watch, bw);

	if (w->state != WATCH_LIVE || c->rev <= w->pos)
		return;
	w->pos = c->rev - 1; /* what came before was not for it */
	if (convert_remote(w->res)) {
		w->state = WATCH_CATCH_UP;
		watch_feed(w);
		return;
	}
	send_change(w, c);
	if (client_behind(w))
		w->state = WATCH_CATCH_UP;
}

static void watch_gone(struct bucket_watch *bw)
{
	watch_close(CONTAINER_OF(bw, struct watch, bw));
}

/* ---- time ---- */
static void watch_bookmark(struct watch *w)
{
	if (w->state != WATCH_LIVE || !w->o.bookmarks || w->pos > objects_revision(w->s->objects))
		return;
	w->pos = objects_revision(w->s->objects);
	send_bookmark(w, w->pos, false);
}

static void watch_time_is_up(void *arg)
{
	struct watch *w = arg;

	if (!w->last_bookmark) {
		watch_close(w);
		return;
	}
	w->last_bookmark = false;
	loop_timer_set(w->end, WATCH_LAST_BOOKMARK_MS);
	watch_bookmark(w);
}

void server_watches_tick(struct apiserver *s, int64_t now_mono)
{
	struct watch *w = s->watches, *next;

	for (; w; w = next) {
		next = w->next;
		if (w->waiting && now_mono - w->stuck_since > WATCH_STUCK_MS) {
			struct request *r = w->r;

			log_info("apiserver: a watcher of %s takes nothing and is closed",
				w->res->kind->plural);
			watch_free(w);
			request_kill(r);
		} else if (!w->waiting && now_mono >= w->bookmark_at) {
			watch_bookmark(w);
		}
	}
}

void server_watches_end(struct apiserver *s)
{
	while (s->watches)
		watch_close(s->watches);
}

void server_watches_expire(struct apiserver *s)
{
	while (s->watches) {
		if (!s->watches->wait)
			send_expired(s->watches);
		watch_close(s->watches);
	}
}

static void set_timers(struct watch *w)
{
	int64_t ms = w->o.timeout_s * 1000;
	uint32_t extra;

	if (ms <= 0) {
		crypto_random(&extra, sizeof(extra));
		ms = (WATCH_DEFAULT_S + extra % WATCH_DEFAULT_S) * 1000LL;
	}
	w->end = loop_timer_new(w->s->loop, watch_time_is_up, w);
	w->last_bookmark = w->o.bookmarks && ms > 2 * WATCH_LAST_BOOKMARK_MS;
	loop_timer_set(w->end, w->last_bookmark ? ms - WATCH_LAST_BOOKMARK_MS : ms);
	w->bookmark_at = loop_mono_ms(w->s->loop) + WATCH_BOOKMARK_MS;
}

/* ---- starting ---- */
static void take_snapshot(struct watch *w)
{
	const struct bucket *b = objects_bucket_of(w->s->objects, w->res);
	size_t from = bucket_seek(b, w->o.prefix), cap = 0;
	const struct obj *o;

	for (size_t i = from; (o = bucket_at(b, i)) && str_starts(obj_key(o), w->o.prefix); i++) {
		if (!listopts_match(&w->o, o))
			continue;
		w->initial = mem_grow(w->initial, &cap, w->n_initial + 1, sizeof(*w->initial));
		w->initial[w->n_initial++] = obj_ref(o);
	}
	w->initial_rv = w->pos = objects_revision(w->s->objects);
	w->initial_bookmark = w->o.initial == 1 && w->o.bookmarks;
	w->state = WATCH_INITIAL;
}

/* What of the bucket it can ever be told about: most watches of 10,000 are of one namespace, or of one object, and none of
 * the others is visited when that changes. */
static void watch_scope(const struct watch *w, struct str *out)
{
	const char *ns = field_selector_value(w->o.fields, "metadata.namespace");
	const char *name = field_selector_value(w->o.fields, "metadata.name");
	bool namespaced = w->res->kind->namespaced;

	str_add(out, w->o.prefix);
	if (namespaced && !out->len && !str_empty(ns))
		str_addf(out, "%s/", ns);
	if (!str_empty(name) && (!namespaced || out->len))
		str_add(out, name);
}

static void watch_run(struct watch *w)
{
	CLEANUP(str_done) struct str scope = { 0 };
	bool any = !w->o.has_rv || w->o.rv == 0;

	if (w->o.initial == 1 || (any && w->o.initial < 0))
		take_snapshot(w);
	else
		w->state = WATCH_CATCH_UP, w->pos = any ? objects_revision(w->s->objects) : w->o.rv;
	request_stream_events(w->r, 200, is_protobuf(w) ? PROTOBUF_TYPE ";stream=watch" : "application/json");
	request_on_drained(w->r, watch_drained, w);
	watch_scope(w, &scope);
	bucket_watch_add(objects_bucket_of(w->s->objects, w->res), &w->bw, str_cstr(&scope));
	watch_feed(w);
}

static void watch_waited(void *arg, bool reached)
{
	struct watch *w = arg;
	struct request *r = w->r;
	struct err e = { 0 };

	w->wait = NULL;
	if (reached) {
		watch_run(w);
		return;
	}
	err_set(&e, ERR_TIMEOUT, "Too large resource version: %llu, current: %llu",
		(unsigned long long)w->o.rv, (unsigned long long)objects_revision(w->s->objects));
	watch_free(w);
	request_fail(r, &e, NULL, NULL, NULL);
}

void server_watch(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct listopts o;
	enum shape shape;
	struct watch *w;

	if (listopts_read(r, res, i, true, &o) < 0)
		return;
	if (request_shape(r, res, false, &shape) < 0) {
		listopts_done(&o);
		return;
	}
	w = MEM_NEW(struct watch);
	*w = (struct watch){ .s = s,
		.r = r,
		.res = resource_ref(res),
		.o = o,
		.shape = shape,
		.include = request_include(r),
		.next = s->watches,
		.prev = &s->watches };
	w->bw.change = watch_changed;
	w->bw.gone = watch_gone;
	if (w->next)
		w->next->prev = &w->next;
	s->watches = w;
	request_on_abort(r, watch_aborted, w);
	request_add_header(r, "Cache-Control", "no-cache, private");
	set_timers(w);
	server_after_change(s);
	/* initial events are never older than asked for */
	if (o.initial == 1 && o.rv > objects_revision(s->objects))
		w->wait = objects_wait_revision(s->objects, o.rv, watch_waited, w);
	else
		watch_run(w);
}
