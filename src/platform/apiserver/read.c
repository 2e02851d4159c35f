/* SPDX-License-Identifier: Apache-2.0 */
/* get and list: from memory, serialised once per object whoever reads it (kubernetes-api.md 2.6). */
#include "platform/apiserver/server.h"

#include "base/mem.h"
#include "platform/callout/convert.h"
#include "base/yaml.h"
#include "platform/request/listopts.h"

#include <string.h>

/* Longer answers are sent in pieces as the client takes them: eight readers of a large collection shall not cost eight copies
 * of it. */
#define LIST_STREAM_FROM (512 * 1024)
#define LIST_PIECE (128 * 1024)
#define LIST_AHEAD (512 * 1024)
#define LIST_STUCK_MS 60000

struct list {
	struct apiserver *s;
	struct request *r;
	struct resource *res; /* referenced */
	struct listopts o;
	struct rev_wait *wait;
	struct convert *convert;
	/* found */
	const struct obj **items; /* referenced, in the version asked for */
	size_t n, cap;
	int64_t left;     /* objects behind the page */
	const char *next; /* key of the first one of those: borrowed from the object */
	struct obj *next_obj;
	uint64_t rv;
	/* answering */
	enum shape shape;
	enum table_include include;
	size_t at;
	struct loop_timer *stuck;
};

static void list_free(struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		obj_unref(l->items[i]);
	free(l->items);
	obj_unref(l->next_obj);
	objects_wait_cancel(l->wait);
	convert_cancel(l->convert);
	loop_timer_free(l->stuck);
	listopts_done(&l->o);
	resource_unref(l->res);
	free(l);
}

static void list_aborted(void *arg)
{
	list_free(arg);
}

/* ---- gathering ---- */
static bool list_add(void *arg, const struct obj *o)
{
	struct list *l = arg;
	bool parsed = obj_parsed(o), matches = listopts_match(&l->o, o);

	if (!parsed)
		obj_compact(o); /* nobody else has to do with a tree that was made for this */
	if (!matches)
		return true;
	if (l->o.limit > 0 && l->n == (size_t)l->o.limit) {
		if (!l->next_obj)
			l->next_obj = obj_ref(o);
		l->left++;
		return !listopts_selects(&l->o); /* counting the rest is for lists without selectors */
	}
	l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = convert_remote(l->res) ? obj_ref(o) : object_present(l->res, o);
	return true;
}

static void gather_now(struct list *l, const char *from)
{
	const struct bucket *b = objects_bucket_of(l->s->objects, l->res);
	const struct obj *o;

	for (size_t i = bucket_seek(b, from); (o = bucket_at(b, i)); i++)
		if (!str_starts(obj_key(o), l->o.prefix) || !list_add(l, o))
			break;
}

/* 410 with a token that goes on from the present (2.6). */
static int list_expired(struct list *l)
{
	CLEANUP(mem_freep) char *token = l->o.has_continue ? continue_token(0, l->o.cont_key) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	if (l->o.has_continue)
		err_set(&e, ERR_EXPIRED,
			"The provided continue parameter is too old to display a consistent list result. You "
			"can start a new list "
			"without the continue parameter, or use the continue token in this response to "
			"retrieve the remainder of "
			"the results. Continuing with the provided token results in an inconsistent list - "
			"objects that were "
			"created, modified, or deleted between the time the first chunk was returned and now "
			"may show up in the "
			"list.");
	else
		err_set(&e, ERR_EXPIRED, "The resourceVersion for the provided list is too old.");
	d = status_from_err(&e, NULL, NULL, NULL);
	if (token)
		json_set_str(d, json_need_obj(d, json_root(d), "metadata"), "continue", token);
	request_reply_json(l->r, 410, json_root(d));
	return -1;
}

static int gather(struct list *l)
{
	struct bucket *b = objects_bucket_of(l->s->objects, l->res);
	bool exact = l->o.match == RV_MATCH_EXACT ||
		     (l->o.has_rv && l->o.rv > 0 && l->o.limit > 0 && l->o.match == RV_MATCH_NONE);
	uint64_t at = l->o.has_continue ? l->o.cont_rv : exact ? l->o.rv : 0;
	const char *from = l->o.has_continue ? l->o.cont_key : l->o.prefix;

	l->rv = objects_revision(l->s->objects);
	if (at == 0 || at >= l->rv) {
		gather_now(l, from);
		return 0;
	}
	objects_need_past(l->s->objects, at);
	if (at < bucket_since(b))
		return list_expired(l);
	l->rv = at;
	bucket_each_at(b, at, from, l->o.prefix, list_add, l);
	return 0;
}

/* ---- answering ---- */
static void add_meta(const struct list *l, const struct list_meta *m, struct str *out)
{
	str_addf(out, "\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)l->rv);
	if (m->next)
		str_addf(out, ",\"continue\":\"%s\"", m->next);
	if (m->remaining >= 0)
		str_addf(out, ",\"remainingItemCount\":%lld", (long long)m->remaining);
	str_add(out, "}");
}

/* Items of built-in lists carry neither apiVersion nor kind (2.6): those come first in every text. */
static void add_object(const struct list *l, const struct obj *o, struct str *out)
{
	size_t len, head;
	const char *text = obj_text(o, &len);
	const char *meta = l->res->origin == ORIGIN_BUILTIN && str_starts(text, "{\"apiVersion\":\"")
				   ? memmem(text, len < 512 ? len : 512, "\"metadata\":", 11)
				   : NULL;

	if (!meta) {
		str_addn(out, text, len);
		return;
	}
	head = (size_t)(meta - text);
	str_addc(out, '{');
	str_addn(out, meta, len - head);
}

static void add_item(const struct list *l, const struct obj *o, struct str *out)
{
	if (l->shape == SHAPE_TABLE)
		table_item(l->res, o, l->include, loop_wall_ms(l->s->loop), out);
	else if (l->shape == SHAPE_METADATA)
		metadata_only(o, out);
	else
		add_object(l, o, out);
}

/* At least: Tables and metadata are less than the objects. */
static bool is_long(const struct list *l)
{
	size_t size = 0, len;

	for (size_t i = 0; i < l->n && size <= LIST_STREAM_FROM; i++) {
		obj_text(l->items[i], &len);
		size += len + 1;
	}
	return size > LIST_STREAM_FROM;
}

static void add_head(const struct list *l, const struct list_meta *m, struct str *out)
{
	char av[KIND_API_VERSION_MAX];

	if (l->shape == SHAPE_TABLE) {
		table_begin(l->res, m, out);
		return;
	}
	if (l->shape == SHAPE_METADATA)
		str_add(out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",");
	else
		str_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",", l->res->list_kind,
			kind_api_version(l->res->kind, av));
	add_meta(l, m, out);
	str_add(out, ",\"items\":[");
}

/* Items from l->at on, until out has `most` bytes or there are no more. */
static void add_items(struct list *l, size_t most, struct str *out)
{
	for (; l->at < l->n && out->len < most; l->at++) {
		if (l->at > 0)
			str_addc(out, ',');
		add_item(l, l->items[l->at], out);
	}
	if (l->at == l->n)
		str_add(out, "]}\n");
}

static void reply_yaml(struct request *r, const struct str *json)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(json->data, json->len, NULL);
	CLEANUP(str_done) struct str out = { 0 };

	yaml_write(json_root(d), &out);
	request_reply(r, 200, "application/yaml", out.data, out.len);
}

static void list_is_stuck(void *arg)
{
	struct list *l = arg;
	struct request *r = l->r;

	list_free(l);
	request_kill(r);
}

static void list_feed(void *arg)
{
	struct list *l = arg;
	struct request *r = l->r;
	CLEANUP(str_done) struct str piece = { 0 };
	size_t fed = 0;

	/* compressed, little is pending of much that was worked on: others get their turn all the same */
	while (l->at < l->n && fed <= LIST_AHEAD && request_pending(r) <= LIST_AHEAD) {
		str_clear(&piece);
		add_items(l, LIST_PIECE, &piece);
		request_write(r, piece.data, piece.len);
		fed += piece.len;
	}
	if (l->at < l->n) {
		loop_timer_set(l->stuck, LIST_STUCK_MS);
		return;
	}
	list_free(l);
	request_end(r);
}

static void list_stream(struct list *l, const struct list_meta *m)
{
	CLEANUP(str_done) struct str head = { 0 };

	add_head(l, m, &head);
	l->stuck = loop_timer_new(l->s->loop, list_is_stuck, l);
	request_on_abort(l->r, list_aborted, l);
	request_compress(l->r); /* kubernetes-api.md 2.9 */
	request_stream(l->r, 200, "application/json");
	request_on_drained(l->r, list_feed, l);
	request_write(l->r, head.data, head.len);
	list_feed(l);
}

/* Takes the list over if it is sent in pieces: then it returns true, and the list frees itself. */
static bool list_reply(struct list *l)
{
	CLEANUP(mem_freep) char *token = l->next_obj ? continue_token(l->rv, obj_key(l->next_obj)) : NULL;
	struct list_meta m = {
		.rv = l->rv, .next = token, .remaining = token && !listopts_selects(&l->o) ? l->left : -1
	};
	CLEANUP(str_done) struct str out = { 0 };

	if (request_shape(l->r, l->res, true, &l->shape) < 0)
		return false;
	l->include = request_include(l->r);
	request_add_header(l->r, "Cache-Control", "no-cache, private");
	if (l->shape == SHAPE_PROTOBUF || l->shape == SHAPE_METADATA_PROTOBUF) {
		protobuf_list(l->res, l->items, l->n, &m, l->shape == SHAPE_METADATA_PROTOBUF, &out);
		request_reply(l->r, 200, PROTOBUF_TYPE, out.data, out.len);
		return false;
	}
	if (l->shape != SHAPE_YAML && request_http(l->r) && is_long(l)) {
		list_stream(l, &m);
		return true;
	}
	add_head(l, &m, &out);
	add_items(l, SIZE_MAX, &out);
	if (l->shape == SHAPE_YAML)
		reply_yaml(l->r, &out);
	else
		request_reply(l->r, 200, "application/json", out.data, out.len);
	return false;
}

static void list_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct list *l = arg;
	struct request *r = l->r;

	l->convert = NULL;
	request_on_abort(r, NULL, NULL);
	if (e) {
		list_free(l);
		request_fail(r, e, NULL, NULL, NULL);
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		obj_unref(l->items[i]);
		l->items[i] = obj_ref(objs[i]);
	}
	if (!list_reply(l))
		list_free(l);
}

static void list_run(struct list *l)
{
	char av[KIND_API_VERSION_MAX];

	if (gather(l) < 0) {
		list_free(l);
	} else if (convert_remote(l->res) && l->n > 0) {
		request_on_abort(l->r, list_aborted, l);
		l->convert = convert_start(l->s->callouts, l->res, kind_api_version(l->res->kind, av),
			l->items, l->n, false, list_converted, l);
	} else if (!list_reply(l)) {
		list_free(l);
	}
}

static void list_too_new(struct request *r, uint64_t rv, uint64_t now)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	struct err e = { 0 };

	err_set(&e, ERR_TIMEOUT, "Too large resource version: %llu, current: %llu", (unsigned long long)rv,
		(unsigned long long)now);
	cause_text(&c, "ResourceVersionTooLarge", "", "Too large resource version");
	d = status_from_err(&e, NULL, NULL, &c);
	json_set_i64(d, json_need_obj(d, json_root(d), "details"), "retryAfterSeconds", 1);
	request_reply_json(r, 504, json_root(d));
}

static void list_waited(void *arg, bool reached)
{
	struct list *l = arg;

	l->wait = NULL;
	if (reached) {
		list_run(l);
		return;
	}
	list_too_new(l->r, l->o.has_continue ? l->o.cont_rv : l->o.rv, objects_revision(l->s->objects));
	list_free(l);
}

static void list_start(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct list *l;
	struct listopts o;
	uint64_t wanted;

	if (listopts_read(r, res, i, false, &o) < 0)
		return;
	wanted = o.has_continue ? o.cont_rv : o.has_rv ? o.rv : 0;
	l = MEM_NEW(struct list);
	*l = (struct list){ .s = s, .r = r, .res = resource_ref(res), .o = o };
	/* a token may come from a server that knows more */
	if (wanted > objects_revision(s->objects)) {
		request_on_abort(r, list_aborted, l);
		l->wait = objects_wait_revision(s->objects, wanted, list_waited, l);
		return;
	}
	list_run(l);
}

void server_read(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *o;
	struct err e = { 0 };

	if (str_eq(i->verb, "list")) {
		list_start(s, r, res, i);
		return;
	}
	key = kind_key(res->kind->namespaced ? i->ns : NULL, i->name);
	o = bucket_get(objects_bucket_of(s->objects, res), key);
	if (o) {
		reply_object(s, r, res, 200, o);
		return;
	}
	err_not_found(&e, res->kind, i->name);
	request_fail(r, &e, res->kind, i->name, NULL);
}
