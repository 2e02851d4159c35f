/* SPDX-License-Identifier: Apache-2.0 */
/* Subresources that are not a part of their object: scale, binding, eviction, finalize (kubernetes-api.md 1.5, 2.3). */
#include "platform/apiserver/write.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"

#include <string.h>

/* ".spec.replicas" -> "/spec/replicas" */
static char *pointer_of(const char *dotted)
{
	char *p = mem_strdup(dotted);

	for (char *c = p; *c; c++)
		if (*c == '.')
			*c = '/';
	return p;
}

static const struct json *at_dotted(const struct json *o, const char *dotted)
{
	CLEANUP(mem_freep) char *p = str_empty(dotted) ? NULL : pointer_of(dotted);

	return p ? json_at(o, p) : NULL;
}

/* ---- scale ---- */
static char *selector_of(const struct json *v)
{
	CLEANUP(selector_freep) struct selector *s = NULL;
	struct str out = { 0 };

	if (json_is_str(v))
		return mem_strdup(json_str(v));
	if (json_is_obj(v) && selector_from_json(v, &s, NULL) == 0)
		selector_text(s, &out);
	return str_take(&out);
}

struct json_doc *scale_from(const struct resource *res, const struct obj *o, struct err *e)
{
	static const char *const copied[] = { "name", "namespace", "uid", "resourceVersion",
		"creationTimestamp" };
	const struct json *root = obj_json(o);
	CLEANUP(mem_freep) char *selector = selector_of(at_dotted(root, res->def->scale.selector));
	struct json_doc *d = json_lit(
		"{'kind':'Scale','apiVersion':'autoscaling/v1','metadata':{},'spec':{},'status':{}}");
	struct json *s = json_root(d), *meta = json_get(s, "metadata");

	(void)e;
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		if (json_get(meta_of(root), copied[i]))
			json_set_copy(d, meta, copied[i], json_get(meta_of(root), copied[i]));
	json_set_i64(
		d, json_get(s, "spec"), "replicas", json_i64(at_dotted(root, res->def->scale.spec_replicas)));
	json_set_i64(d, json_get(s, "status"), "replicas",
		json_i64(at_dotted(root, res->def->scale.status_replicas)));
	if (*selector)
		json_set_str(d, json_get(s, "status"), "selector", selector);
	return d;
}

static const char *go_type(const struct json *v)
{
	switch (json_type(v)) {
	case JSON_OBJ:
		return "map[string]interface {}";
	case JSON_ARR:
		return "[]interface {}";
	case JSON_STR:
		return "string";
	case JSON_BOOL:
		return "bool";
	case JSON_NULL:
		return "<nil>";
	case JSON_INT:
		return "int64";
	case JSON_UINT:
	case JSON_REAL:
		break;
	}
	return "float64";
}

static void bad_step(const char *path, const char *upto, size_t n, const struct json *v, const char *want,
	struct causes *c)
{
	CLEANUP(mem_freep) char *text = json_is_str(v) ? mem_strdup(json_str(v)) : json_write(v, NULL);

	cause_text(c, "FieldValueInvalid", path,
		"Invalid value: 0: %.*s accessor error: %s is of the type %s, expected %s", (int)n, upto,
		text, go_type(v), want);
}

static void check_count(const char *path, const struct json *o, struct causes *c)
{
	const char *p = path;

	while (*p == '.') {
		size_t n = strcspn(p + 1, ".") + 1;

		if (!json_is_obj(o)) {
			bad_step(path, path, (size_t)(p - path) + n, o, "map[string]interface{}", c);
			return;
		}
		o = json_getn(o, p + 1, n - 1);
		p += n;
		if (!o || (*p && json_is_null(o)))
			return;
	}
	if (json_type(o) != JSON_INT)
		bad_step(path, path, strlen(path), o, "int64", c);
	else if (json_i64(o) < 0)
		cause_invalid(c, path, o, "should be a non-negative integer");
	else if (json_i64(o) > INT32_MAX)
		cause_invalid(c, path, o, "should be less than or equal to %d", INT32_MAX);
}

void scale_validate(const struct resource *res, const struct json *o, struct causes *c)
{
	const struct scale_paths *s = &res->def->scale;

	if (!str_empty(s->spec_replicas))
		check_count(s->spec_replicas, o, c);
	if (!str_empty(s->status_replicas))
		check_count(s->status_replicas, o, c);
}

static int scale_check(struct op *op, const struct json *n)
{
	if (str_empty(op->res->def->scale.spec_replicas))
		return err_set(&op->err, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (n && (!json_is_int(n) || json_i64(n) < 0)) {
		cause_invalid(&op->causes, "spec.replicas", n, "must be greater than or equal to 0");
		return causes_to_err(&op->causes, op->res->kind, op->name, &op->err);
	}
	return 0;
}

struct json_doc *scale_applied(struct op *op)
{
	const struct json *scale = json_root(op->input), *n = json_at(scale, "/spec/replicas");
	char av[KIND_API_VERSION_MAX];
	CLEANUP(mem_freep) char *p = NULL;
	struct json_doc *d;

	if (scale_check(op, n) < 0)
		return NULL;
	d = json_lit("{'metadata':{}}");
	json_set_str(d, json_root(d), "apiVersion", kind_api_version(op->res->kind, av));
	json_set_str(d, json_root(d), "kind", op->res->kind->kind);
	json_set_str(d, json_get(json_root(d), "metadata"), "name", op->name);
	p = pointer_of(op->res->def->scale.spec_replicas);
	if (n)
		json_put(d, json_root(d), p, json_new_i64(d, json_i64(n)));
	return d;
}

int scale_into(struct op *op, const struct json *scale)
{
	const struct json *n = json_at(scale, "/spec/replicas");
	const char *rv = json_at_str(scale, "/metadata/resourceVersion");
	CLEANUP(mem_freep) char *p = NULL;
	struct json *root;

	if (scale_check(op, n) < 0)
		return -1;
	p = pointer_of(op->res->def->scale.spec_replicas);
	op->draft = obj_draft(op->seen);
	root = json_root(op->draft);
	json_put(op->draft, root, p, json_new_i64(op->draft, json_i64(n)));
	if (!str_empty(rv))
		json_set_str(op->draft, json_need_obj(op->draft, root, "metadata"), "resourceVersion", rv);
	return 0;
}

/* ---- namespaces/finalize ---- */
int finalize_into(struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *body = TAKE(op->draft);
	const struct json *rv = json_at(json_root(body), "/metadata/resourceVersion");
	struct json *root;

	op->draft = obj_draft(op->old);
	root = json_root(op->draft);
	json_set(op->draft, json_need_obj(op->draft, root, "spec"), "finalizers", json_new_arr(op->draft));
	JSON_EACH (it, json_at(json_root(body), "/spec/finalizers")) {
		json_append(op->draft, json_at(root, "/spec/finalizers"), json_copy(op->draft, it.val));
	}
	if (json_str(rv))
		json_set_copy(op->draft, json_need_obj(op->draft, root, "metadata"), "resourceVersion", rv);
	return 0;
}

/* ---- pods/binding ---- */
int binding_into(struct op *op)
{
	const struct json *b = json_root(op->input);
	const char *node = json_at_str(b, "/target/name"), *uid = json_at_str(b, "/metadata/uid");
	const char *now = json_at_str(obj_json(op->old), "/spec/nodeName");
	struct json *meta;

	if (str_empty(node)) {
		cause_required(&op->causes, "target.name", "");
		return causes_to_err(&op->causes, op->res->kind, op->name, &op->err);
	}
	if (!str_empty(now))
		return err_set(&op->err, ERR_CONFLICT,
			"Operation cannot be fulfilled on pods/binding \"%s\": pod %s is already assigned to "
			"node \"%s\"",
			op->name, op->name, now);
	if (obj_deleting(op->old))
		return err_set(&op->err, ERR_CONFLICT,
			"Operation cannot be fulfilled on pods/binding \"%s\": pod %s is being deleted, "
			"cannot be assigned to a host",
			op->name, op->name);
	if (!str_empty(uid) && !str_eq(uid, obj_uid(op->old)))
		return err_set(&op->err, ERR_CONFLICT,
			"Operation cannot be fulfilled on pods/binding \"%s\": Precondition failed: UID in "
			"precondition: %s, UID in "
			"object meta: %s",
			op->name, uid, obj_uid(op->old));
	op->draft = obj_draft(op->old);
	json_set_str(op->draft, json_need_obj(op->draft, json_root(op->draft), "spec"), "nodeName", node);
	meta = json_need_obj(op->draft, json_root(op->draft), "metadata");
	JSON_EACH (it, json_at(b, "/metadata/annotations")) {
		json_set_copy(op->draft, json_need_obj(op->draft, meta, "annotations"), it.key, it.val);
	}
	return 0;
}

void binding_status(struct op *op)
{
	struct json *status = json_need_obj(op->draft, json_root(op->draft), "status");

	cond_set(op->draft, status, "PodScheduled", "True", NULL, NULL, loop_wall_ms(op->s->loop));
}

static void reply_done(struct request *r, const struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	for (size_t i = 0; i < op->warnings.len; i++)
		request_warn(r, "%s", op->warnings.items[i]);
	if (op->status) {
		int code = (int)json_i64(json_get(json_root(op->status), "code"));

		request_reply_json(r, code ? code : 500, json_root(op->status));
		return;
	}
	if (op->err.code != ERR_NONE) {
		request_fail(r, &op->err, op->res->kind, op->name, &op->causes);
		return;
	}
	d = json_lit("{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Success','code':201}");
	request_reply_json(r, 201, json_root(d));
}

void action_done(struct op *op)
{
	if (op->r)
		reply_done(op->r, op);
	op_free(op);
}

static void action_aborted(void *arg)
{
	((struct op *)arg)->r = NULL;
}

struct op *action_new(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i,
	enum op_kind kind)
{
	struct op *op = op_new(s, res, kind, request_user(r), i->ns, i->name);

	op->r = r;
	op->done = action_done;
	request_on_abort(r, action_aborted, op);
	return op;
}

static void serve_binding(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *op = action_new(s, r, res, i, OP_UPDATE);

	free(op->sub);
	op->sub = mem_strdup("binding");
	if (op_read_options(op) < 0 || body_decode(s, r, NULL, &op->input, NULL, &op->err) < 0)
		action_done(op);
	else
		op_run(op);
}

/* POST namespaces/NS/bindings: the pod is the one that the body names. */
void server_bind(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(json_doc_freep) struct json_doc *body = NULL;
	struct reqinfo of_pod = *i;
	const char *ns;
	struct err e = { 0 };
	struct op *op;

	if (body_decode(s, r, res, &body, NULL, &e) == 0) {
		of_pod.name = (char *)json_at_str(json_root(body), "/metadata/name");
		ns = json_at_str(json_root(body), "/metadata/namespace");
		if (str_empty(of_pod.name))
			err_set(&e, ERR_BAD_REQUEST, "name must be provided");
		else if (str_empty(i->ns) || (!str_empty(ns) && !str_eq(ns, i->ns)))
			err_set(&e, ERR_BAD_REQUEST,
				"the namespace of the provided object does not match the namespace sent on "
				"the request");
	}
	if (e.code != ERR_NONE) {
		request_fail(r, &e, res->kind, of_pod.name, NULL);
		return;
	}
	op = action_new(s, r, registry_find(s->objects->registry, "", "v1", "pods"), &of_pod, OP_UPDATE);
	free(op->sub);
	op->sub = mem_strdup("binding");
	op->input = TAKE(body);
	if (op_read_options(op) < 0)
		action_done(op);
	else
		op_run(op);
}

/* ---- dispatch ---- */
bool server_write_action(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	bool core = str_empty(res->kind->group) && str_eq(i->verb, "create") && i->sub;

	if (core && str_eq(res->kind->plural, "pods") && str_eq(i->sub, "binding"))
		serve_binding(s, r, res, i);
	else if (core && str_eq(res->kind->plural, "pods") && str_eq(i->sub, "eviction"))
		server_evict(s, r, res, i);
	else if (core && str_eq(res->kind->plural, "serviceaccounts") && str_eq(i->sub, "token"))
		server_token_request(s, r, res, i);
	else
		return false;
	return true;
}
