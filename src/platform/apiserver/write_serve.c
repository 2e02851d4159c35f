/* SPDX-License-Identifier: Apache-2.0 */
/* Writes as clients ask for them: one object, or a collection to be deleted; and the answers. */
#include "platform/apiserver/write.h"

#include "base/mem.h"
#include "platform/callout/convert.h"

#include <string.h>

/* ---- answering ---- */
static void send_warnings(struct op *op)
{
	for (size_t i = 0; i < op->warnings.len; i++)
		request_warn(op->r, "%s", op->warnings.items[i]);
}

static void reply_status(struct op *op, struct json_doc *d)
{
	int code = (int)json_i64(json_get(json_root(d), "code"));

	request_reply_json(op->r, code ? code : 500, json_root(d));
}

static void reply_deleted(struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (op->outcome == DELETE_NOW && !op->res->def->delete_returns) {
		d = status_success(op->res->kind, op->name, obj_uid(op->result));
		request_reply_json(op->r, 200, json_root(d));
		return;
	}
	reply_object(op->s, op->r, op->res, 200, op->result);
}

static void reply_scale_of(
	void *arg, struct request *r, struct resource *res, int status, const struct obj *o)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	(void)arg;
	d = scale_from(res, o, &e);
	if (d)
		request_reply_json(r, status, json_root(d));
	else
		request_fail(r, &e, res->kind, obj_name(o), NULL);
}

static void reply_scale(struct op *op)
{
	convert_then(op->s->callouts, op->r, op->res, 200, op->result, reply_scale_of, NULL);
}

/* A patch that does not apply is told without naming anything: details {} (2.1). */
static void fail_named(struct op *op, const char *name)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (op->err.code != ERR_INVALID || op->causes.len > 0 || op->kind != OP_PATCH ||
		!str_eq(op->err.msg, PATCH_REJECTED)) {
		request_fail(op->r, &op->err, op->res->kind, name, &op->causes);
		return;
	}
	d = status_from_err(&op->err, NULL, NULL, NULL);
	json_need_obj(d, json_root(d), "details");
	request_reply_json(op->r, 422, json_root(d));
}

static void op_reply(struct op *op)
{
	if (op->r && op->status) {
		send_warnings(op);
		reply_status(op, op->status);
	} else if (op->r && op->err.code != ERR_NONE) {
		const char *name = op->name    ? op->name
				   : op->draft ? json_at_str(json_root(op->draft), "/metadata/name")
					       : NULL;

		send_warnings(op);
		fail_named(op, name);
	} else if (op->r) {
		send_warnings(op);
		if (op->kind == OP_DELETE)
			reply_deleted(op);
		else if (str_eq(op->sub, "scale"))
			reply_scale(op);
		else
			reply_object(op->s, op->r, op->res, op->created ? 201 : 200, op->result);
	}
	op_free(op);
}

static void op_aborted(void *arg)
{
	struct op *op = arg;

	op->r = NULL; /* what was begun is finished */
}

/* ---- collections ---- */
/* A few at a time: ten thousand on their way at once would be a quarter of a gigabyte. */
#define COLLECTION_AT_ONCE 64
struct collection {
	struct apiserver *s;
	struct convert *convert;
	struct request *r;
	struct resource *res;
	struct json_doc *options;
	const struct obj **items;
	size_t n, cap, at, under_way;
	bool running, dry_run;
	struct user user;
	struct err err;
};

static void collection_aborted(void *arg)
{
	((struct collection *)arg)->r = NULL;
}

static void collection_list(struct collection *c)
{
	CLEANUP(str_done) struct str out = { 0 };
	char av[KIND_API_VERSION_MAX];
	size_t size = 512, len;

	for (size_t i = 0; i < c->n; i++) {
		obj_text(c->items[i], &len);
		size += len + 1;
	}
	str_reserve(&out, size);
	str_addf(&out,
		"{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%llu\"},"
		"\"items\":[",
		c->res->list_kind, kind_api_version(c->res->kind, av),
		(unsigned long long)objects_revision(c->s->objects));
	for (size_t i = 0; i < c->n; i++) {
		str_add(&out, i ? "," : "");
		obj_add_text(c->items[i], &out);
	}
	str_add(&out, "]}\n");
	request_reply(c->r, 200, "application/json", out.data, out.len);
}

static void collection_reply(struct collection *c)
{
	if (c->r)
		request_on_abort(c->r, NULL, NULL);
	if (c->r && c->err.code != ERR_NONE)
		request_fail(c->r, &c->err, c->res->kind, NULL, NULL);
	else if (c->r)
		collection_list(c);
	for (size_t i = 0; i < c->n; i++)
		obj_unref(c->items[i]);
	free(c->items);
	resource_unref(c->res);
	json_doc_free(c->options);
	user_done(&c->user);
	free(c);
}

static void collection_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct collection *c = arg;

	c->convert = NULL;
	if (e)
		err_copy(&c->err, e);
	for (size_t i = 0; !e && i < c->n; i++) {
		obj_unref(c->items[i]);
		c->items[i] = obj_ref(objs[i]);
	}
	collection_reply(c);
}

static void collection_end(struct collection *c)
{
	char av[KIND_API_VERSION_MAX];

	if (convert_remote(c->res) && c->n > 0 && c->err.code == ERR_NONE) {
		c->convert = convert_start(c->s->callouts, c->res, kind_api_version(c->res->kind, av),
			c->items, c->n, false, collection_converted, c);
		return;
	}
	for (size_t i = 0; !convert_remote(c->res) && i < c->n; i++) {
		const struct obj *was = c->items[i];

		c->items[i] = object_present(c->res, was);
		obj_unref(was);
	}
	collection_reply(c);
}

static void collection_next(struct collection *c);

static void collection_item_done(struct op *op)
{
	struct collection *c = op->arg;

	if (op->err.code != ERR_NONE && op->err.code != ERR_NOT_FOUND && c->err.code == ERR_NONE)
		err_copy(&c->err, &op->err);
	op_free(op);
	c->under_way--;
	collection_next(c);
}

static void collection_item(struct collection *c, const struct obj *o)
{
	struct op *op = op_new(c->s, c->res, OP_DELETE, &c->user, obj_namespace(o), obj_name(o));

	op->input = json_doc_from(json_root(c->options));
	op->dry_run = c->dry_run;
	op->done = collection_item_done;
	op->arg = c;
	c->under_way++;
	op_run(op);
}

static void collection_next(struct collection *c)
{
	if (c->running)
		return; /* an item was done at once: the loop below goes on */
	c->running = true;
	while (c->at < c->n && c->under_way < COLLECTION_AT_ONCE)
		collection_item(c, c->items[c->at++]);
	c->running = false;
	if (c->under_way == 0)
		collection_end(c);
}

static void delete_collection(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *reader = op_new(s, res, OP_DELETE, request_user(r), i->ns, NULL);
	struct collection *c;
	struct listopts o;
	const struct obj *item;
	struct bucket *b = objects_bucket_of(s->objects, res);

	reader->r = r;
	if (op_read_body(reader) < 0 || op_read_options(reader) < 0) {
		request_fail(r, &reader->err, res->kind, NULL, &reader->causes);
		op_free(reader);
		return;
	}
	if (listopts_read(r, res, i, false, &o) < 0) {
		op_free(reader);
		return;
	}
	c = MEM_NEW(struct collection);
	*c = (struct collection){ .s = s, .r = r, .res = resource_ref(res), .options = TAKE(reader->input) };
	for (size_t at = bucket_seek(b, o.prefix);
		(item = bucket_at(b, at)) && str_starts(obj_key(item), o.prefix); at++) {
		if (!listopts_match(&o, item))
			continue;
		c->items = mem_grow(c->items, &c->cap, c->n + 1, sizeof(*c->items));
		c->items[c->n++] = obj_ref(item);
	}
	listopts_done(&o);
	request_on_abort(r, collection_aborted, c);
	c->dry_run = reader->dry_run;
	user_copy(&c->user, request_user(r));
	collection_next(c);
	op_free(reader);
}

/* ---- from the handler ---- */
static enum op_kind kind_of(const struct reqinfo *i)
{
	return str_eq(i->verb, "create")   ? OP_CREATE
	       : str_eq(i->verb, "update") ? OP_UPDATE
	       : str_eq(i->verb, "patch")  ? OP_PATCH
					   : OP_DELETE;
}

static void serve_scale(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(mem_freep) char *key = kind_key(res->kind->namespaced ? i->ns : NULL, i->name);
	const struct obj *o = bucket_get(objects_bucket_of(s->objects, res), key);
	struct err e = { 0 };

	if (o) {
		convert_then(s->callouts, r, res, 200, o, reply_scale_of, NULL);
		return;
	}
	err_not_found(&e, res->kind, i->name);
	request_fail(r, &e, res->kind, i->name, NULL);
}

void server_write(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *op;
	bool read;

	if (str_eq(i->verb, "get")) {
		serve_scale(s, r, res, i);
		return;
	}
	if (server_write_action(s, r, res, i))
		return;
	if (str_eq(i->verb, "deletecollection")) {
		delete_collection(s, r, res, i);
		return;
	}
	op = op_new(s, res, kind_of(i), request_user(r), i->ns, i->name);
	op->r = r;
	op->done = op_reply;
	if (i->sub) {
		free(op->sub);
		op->sub = mem_strdup(i->sub);
	}
	request_on_abort(r, op_aborted, op);
	read = op->kind == OP_DELETE ? op_read_body(op) == 0 && op_read_options(op) == 0
				     : op_read_options(op) == 0 && op_read_body(op) == 0;
	if (read)
		op_run(op);
	else
		op_reply(op);
}
