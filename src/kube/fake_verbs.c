/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the fake API. kubernetes-api.md 2. */
#include "kube/fake_api.h"

#include "api/meta.h"
#include "api/patch.h"
#include "base/url.h"
#include "kube/fake_impl.h"

#include <inttypes.h>
#include <string.h>

#define NAME_TRIES 8
#define POD_GRACE_SECONDS 30
#define WATCH_SECONDS_DEFAULT 1800
#define UNKNOWN_FORMAT                                                                      \
	"the body of the request was in an unknown format - accepted media types include: " \
	"application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"

struct request {
	struct fake_call *call;
	struct fake_api *f;
	struct fake_kind *fk;
	char *ns, *name, *sub, *key;
	struct keymap query; /* values owned */
	struct json_doc *body;
	struct causes causes;
};

static void request_done(struct request *r)
{
	free(r->ns);
	free(r->name);
	free(r->sub);
	free(r->key);
	keymap_done(&r->query, free);
	json_doc_free(r->body);
	causes_done(&r->causes);
}

/* ---- answers ---- */
static void answer(struct request *r, int status, const struct json *v)
{
	r->call->status = status;
	json_write_to(v, &r->call->answer);
}

static void answer_obj(struct request *r, int status, const struct obj *o)
{
	answer(r, status, obj_json(o));
}

static void answer_err(struct request *r, const struct err *e)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = status_from_err(e, r->fk ? r->fk->k : NULL, r->name, &r->causes);

	if (str_eq(e->msg, PATCH_REJECTED))
		json_set(d, json_root(d), "details", json_new_obj(d));
	answer(r, err_http(e->code), json_root(d));
}

/* ---- reading the request ---- */
static void read_query(struct request *r, char *text)
{
	while (text && *text) {
		char *pair = str_next(&text, '&'), *value = pair, *name = str_next(&value, '=');

		value = value ? value : name + strlen(name);
		free(keymap_put(&r->query, name, url_decoded(value, strlen(value), true)));
	}
}

static const char *query(const struct request *r, const char *name)
{
	return keymap_get(&r->query, name);
}

static struct fake_kind *find_kind(
	const struct fake_api *f, const char *group, const char *version, const char *plural)
{
	for (size_t i = 0; i < f->n_kinds; i++) {
		const struct kind *k = f->kinds[i]->k;

		if (str_eq(k->group, group) && str_eq(k->version, version) && str_eq(k->plural, plural))
			return f->kinds[i];
	}
	return NULL;
}

/* /api/V/..., /apis/G/V/..., then [namespaces/NS/]plural[/name[/sub]]. */
static int read_path(struct request *r, struct err *e)
{
	CLEANUP(mem_freep) char *path = mem_strdup(r->call->path);
	CLEANUP(strv_done) struct strv part = { 0 };
	char *rest = path, *p = str_next(&rest, '?');
	const char *group = "";
	size_t i = 0;

	read_query(r, rest);
	for (p = p[0] == '/' ? p + 1 : p; p;) {
		const char *one = str_next(&p, '/');

		strv_take(&part, url_decoded(one, strlen(one), false));
	}
	if (part.len && str_eq(part.items[i], "apis") && part.len > 2) {
		group = part.items[1];
		i++;
	}
	i++; /* at the version */
	if (i + 1 >= part.len)
		return err_set(e, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (str_eq(part.items[i + 1], "namespaces") && part.len > i + 3 &&
		find_kind(r->f, group, part.items[i], part.items[i + 3])) {
		r->ns = mem_strdup(part.items[i + 2]);
		r->fk = find_kind(r->f, group, part.items[i], part.items[i + 3]);
		i += 4;
	} else {
		r->fk = find_kind(r->f, group, part.items[i], part.items[i + 1]);
		i += 2;
	}
	if (!r->fk)
		return err_set(e, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (part.len > i)
		r->name = mem_strdup(part.items[i]);
	if (part.len > i + 1)
		r->sub = mem_strdup(part.items[i + 1]);
	if (r->name)
		r->key = kind_key(r->ns, r->name);
	return 0;
}

static bool is_builtin(const struct kind *k)
{
	return !strchr(k->group, '.') || str_ends(k->group, ".k8s.io");
}

/* Whole objects: of built-in kinds what they are may be left out, of others not. */
static int check_kind(struct request *r, struct err *e)
{
	const struct kind *k = r->fk->k;
	struct json *o = json_root(r->body);
	const char *kind = json_get_str(o, "kind"), *version = json_get_str(o, "apiVersion");
	char own[KIND_API_VERSION_MAX];

	kind_api_version(k, own);
	if (!is_builtin(k) && (!kind || !version))
		return err_set(e, ERR_BAD_REQUEST, "Object '%s' is missing in '%s'",
			kind ? "apiVersion" : "Kind", r->call->body.data);
	if ((kind && !str_eq(kind, k->kind)) || (version && !str_eq(version, own)))
		return err_set(e, ERR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s",
			kind ? kind : k->kind, version ? version : own, k->kind);
	json_set_str(r->body, o, "apiVersion", own);
	json_set_str(r->body, o, "kind", k->kind);
	return 0;
}

static int check_names(struct request *r, struct err *e)
{
	const char *name = json_at_str(json_root(r->body), "/metadata/name");
	const char *ns = json_at_str(json_root(r->body), "/metadata/namespace");

	if (!str_empty(ns) && !str_eq(ns, r->ns ? r->ns : ""))
		return err_set(e, ERR_BAD_REQUEST,
			"the namespace of the provided object does not match the namespace sent on the "
			"request");
	if (r->name && name && !str_eq(name, r->name))
		return err_set(e, ERR_BAD_REQUEST,
			"the name of the object (%s) does not match the name on the URL (%s)", name, r->name);
	return 0;
}

static int read_body(struct request *r, struct err *e)
{
	bool whole = !r->sub && (str_eq(r->call->method, "POST") || str_eq(r->call->method, "PUT"));

	if (!r->call->body.len)
		return 0;
	r->body = json_parse(r->call->body.data, r->call->body.len, e);
	if (!r->body)
		return -1;
	return whole && (check_kind(r, e) < 0 || check_names(r, e) < 0) ? -1 : 0;
}

static bool is_dry(const struct request *r)
{
	return query(r, "dryRun") != NULL;
}

static int check_options(const struct request *r, struct err *e)
{
	if (is_dry(r) && !str_eq(query(r, "dryRun"), "All"))
		return err_set(e, ERR_INVALID, "dryRun: Unsupported value: \"%s\": supported values: \"All\"",
			query(r, "dryRun"));
	return 0;
}

static bool sub_known(const struct request *r)
{
	if (!r->sub)
		return true;
	if (str_eq(r->sub, "status"))
		return r->fk->k->has_status;
	return strv_has(&r->fk->main_subs, r->sub) ||
	       (str_eq(r->sub, "resize") && str_eq(r->fk->k->plural, "pods"));
}

/* ---- reads ---- */
static void serve_get(struct request *r)
{
	const struct obj *o = keymap_get(&r->fk->objs, r->key);
	struct err e;

	if (o) {
		answer_obj(r, 200, o);
		return;
	}
	err_not_found(&e, r->fk->k, r->name);
	answer_err(r, &e);
}

static int read_selectors(
	const struct request *r, struct selector **labels, struct field_selector **fields, struct err *e)
{
	if (!str_empty(query(r, "labelSelector")) &&
		selector_parse_labels(query(r, "labelSelector"), labels, e) < 0)
		return -1;
	if (!str_empty(query(r, "fieldSelector")) &&
		field_selector_parse(query(r, "fieldSelector"), fields, e) < 0)
		return -1;
	return 0;
}

/* Pages are read from the present, but carry the first page's version: what changed since comes by the watch. */
static void serve_list(struct request *r, const struct selector *labels, const struct field_selector *fields)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'metadata':{}}");
	struct json *root = json_root(d), *meta = json_get(root, "metadata"), *items, *item;
	const char *from = query(r, "continue"), *any = query(r, "resourceVersion"), *from_key;
	uint64_t limit = 0, rv = r->f->rv;
	char version[KIND_API_VERSION_MAX];

	if (query(r, "limit") && !str_eq(any, "0"))
		str_to_u64(query(r, "limit"), &limit);
	from_key = from ? strchr(from, ' ') : NULL;
	if (from_key) {
		CLEANUP(mem_freep) char *first = mem_strndup(from, (size_t)(from_key++ - from));

		str_to_u64(first, &rv);
	}
	json_set_strf(d, root, "kind", "%sList", r->fk->k->kind);
	json_set_str(d, root, "apiVersion", kind_api_version(r->fk->k, version));
	json_set_strf(d, meta, "resourceVersion", "%" PRIu64, rv);
	items = json_need_arr(d, root, "items");
	for (size_t i = 0; i < r->fk->objs.len; i++) {
		const struct obj *o = r->fk->objs.items[i].val;

		if ((from_key && strcmp(obj_key(o), from_key) <= 0) ||
			(r->ns && !str_eq(r->ns, obj_namespace(o))) ||
			!selector_matches(labels, json_get(meta_of(obj_json(o)), "labels")) ||
			(fields && !field_selector_matches(fields, obj_json(o))))
			continue;
		item = json_copy(d, obj_json(o));
		if (is_builtin(r->fk->k)) { /* 2.6 */
			json_remove(item, "kind");
			json_remove(item, "apiVersion");
		}
		json_append(d, items, item);
		if (limit && json_len(items) == limit && i + 1 < r->fk->objs.len) {
			json_set_strf(d, meta, "continue", "%" PRIu64 " %s", rv, obj_key(o));
			break;
		}
	}
	answer(r, 200, root);
}

static void become_watch(struct request *r, struct selector *labels, struct field_selector *fields)
{
	struct fake_call *c = r->call;
	uint64_t seconds = WATCH_SECONDS_DEFAULT;

	if (query(r, "timeoutSeconds"))
		str_to_u64(query(r, "timeoutSeconds"), &seconds);
	c->state = FAKE_WATCHING;
	c->status = 200;
	c->kind = r->fk;
	c->ns = TAKE(r->ns);
	c->labels = labels;
	c->fields = fields;
	if (query(r, "resourceVersion"))
		str_to_u64(query(r, "resourceVersion"), &c->seen);
	c->initial = c->seen == 0;
	c->told = c->seen;
	c->bookmarks = str_eq(query(r, "allowWatchBookmarks"), "true");
	c->ends = loop_mono_ms(r->f->loop) + (int64_t)seconds * 1000;
}

static void serve_collection(struct request *r)
{
	CLEANUP(selector_freep) struct selector *labels = NULL;
	CLEANUP(field_selector_freep) struct field_selector *fields = NULL;
	struct err e = { 0 };

	if (read_selectors(r, &labels, &fields, &e) < 0)
		answer_err(r, &e);
	else if (r->call->stream && str_eq(query(r, "watch"), "true"))
		become_watch(r, TAKE(labels), TAKE(fields));
	else
		serve_list(r, labels, fields);
}

/* ---- writes ---- */
static int admit(struct request *r, struct json_doc *d, const struct obj *old, struct err *e)
{
	for (size_t i = 0; i < r->f->n_admits; i++)
		if (r->f->admits[i].fn(r->f->admits[i].arg, r->fk->k, r->sub, d, d ? json_root(d) : NULL,
			    old ? obj_json(old) : NULL, &r->causes, e) < 0)
			return -1;
	return r->causes.len ? causes_to_err(&r->causes, r->fk->k, r->name, e) : 0;
}

static void shape(const struct request *r, struct json_doc *d)
{
	if (!r->fk->schema)
		return;
	schema_prune(r->fk->schema, json_root(d), NULL);
	schema_default(r->fk->schema, d, json_root(d));
}

static int check(struct request *r, const struct json *o, const struct obj *old, struct err *e)
{
	meta_validate(&r->fk->rules, o, &r->causes);
	if (r->fk->schema)
		schema_validate(r->fk->schema, o, old ? obj_json(old) : NULL, &r->causes);
	return r->causes.len ? causes_to_err(&r->causes, r->fk->k, meta_str(o, "name"), e) : 0;
}

static void suffix(struct fake_api *f, char ret[6])
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

	for (int i = 0; i < 5; i++)
		ret[i] = letters[rng_below(&f->rng, sizeof(letters) - 1)];
	ret[5] = '\0';
}

static int create(struct request *r, struct json_doc *d, const struct obj **ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *draft = d;
	char uid[37], five[6];
	struct create_in in = {
		.ns = r->ns, .uid = uid, .suffix5 = five, .now_ms = loop_wall_ms(r->f->loop)
	};
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *there;

	fake_uid(r->f, uid);
	suffix(r->f, five);
	shape(r, draft);
	if (admit(r, draft, NULL, e) < 0)
		return -1;
	shape(r, draft);
	if (write_create(&r->fk->rules, &in, draft, &r->causes, e) < 0 ||
		check(r, json_root(draft), NULL, e) < 0)
		return -1;
	key = kind_key(meta_str(json_root(draft), "namespace"), meta_str(json_root(draft), "name"));
	there = keymap_get(&r->fk->objs, key);
	if (there) {
		err_exists(e, r->fk->k, meta_str(json_root(draft), "name"));
		return obj_deleting(there) ? err_wrap(e, "object is being deleted") : -1;
	}
	if (is_dry(r)) {
		answer(r, 201, json_root(draft));
		return 0;
	}
	*ret = fake_store(r->f, r->fk, TAKE(draft));
	r->f->writes++;
	return 0;
}

static void serve_create(struct request *r)
{
	const struct obj *o = NULL;
	struct err e = { 0 };
	int rc;

	if (!r->body) {
		err_set(&e, ERR_BAD_REQUEST, "a body is needed");
		answer_err(r, &e);
		return;
	}
	for (int i = 0; i < NAME_TRIES; i++) {
		rc = create(r, json_doc_from(json_root(r->body)), &o, &e);
		if (rc == 0 || e.code != ERR_EXISTS || json_at_str(json_root(r->body), "/metadata/name"))
			break;
	}
	if (o)
		answer_obj(r, 201, o);
	else if (rc < 0)
		answer_err(r, &e);
}

/* What a PUT or PATCH makes of the object. */
static int proposed(struct request *r, const struct obj *old, struct json_doc **ret, struct err *e)
{
	const char *type = r->call->content_type;
	const struct json *now = obj_json(old), *body = json_root(r->body);

	if (str_eq(r->call->method, "PUT")) {
		*ret = json_doc_from(body);
		return 0;
	}
	if (str_eq(type, "application/json-patch+json"))
		return patch_json(now, body, ret, e);
	if (str_eq(type, "application/merge-patch+json"))
		return patch_merge(now, body, ret, e);
	if (str_eq(type, "application/strategic-merge-patch+json")) {
		if (!is_builtin(r->fk->k))
			return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE, UNKNOWN_FORMAT);
		return r->fk->schema ? patch_strategic(r->fk->schema, now, body, ret, e)
				     : patch_merge(now, body, ret, e);
	}
	return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE, UNKNOWN_FORMAT);
}

/* pods/resize changes resources of containers and nothing else. */
static struct json_doc *only_resources(const struct obj *old, struct json_doc *d)
{
	CLEANUP(json_doc_freep) struct json_doc *draft = d;
	struct json_doc *out = obj_draft(old);
	const struct json *rv = json_at(json_root(draft), "/metadata/resourceVersion");

	JSON_EACH (to, json_at(json_root(out), "/spec/containers"))
		JSON_EACH (from, json_at(json_root(draft), "/spec/containers"))
			if (str_eq(json_get_str(to.val, "name"), json_get_str(from.val, "name")) &&
				json_get(from.val, "resources"))
				json_set_copy(out, to.val, "resources", json_get(from.val, "resources"));
	if (rv)
		json_set_copy(out, json_get(json_root(out), "metadata"), "resourceVersion", rv);
	return out;
}

/* Stores what write_update() made, or removes the object if that was the last finalizer. The answer then keeps the version. */
static void commit(struct request *r, const struct obj *old, struct json_doc *d, bool same)
{
	CLEANUP(json_doc_freep) struct json_doc *draft = d;

	if (same) {
		answer_obj(r, 200, old);
		return;
	}
	if (is_dry(r)) {
		answer(r, 200, json_root(draft));
		return;
	}
	r->f->writes++;
	if (write_is_gone(json_root(draft))) {
		json_put_str(draft, json_root(draft), "/metadata/resourceVersion",
			meta_str(obj_json(old), "resourceVersion"));
		answer(r, 200, json_root(draft));
		fake_erase(r->f, r->fk, r->key);
		return;
	}
	answer_obj(r, 200, fake_store(r->f, r->fk, TAKE(draft)));
}

static int change(struct request *r, const struct obj *old, enum write_part part, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	bool same = false;

	if (proposed(r, old, &d, e) < 0)
		return -1;
	if (str_eq(r->sub, "resize"))
		d = only_resources(old, TAKE(d));
	shape(r, d);
	if (admit(r, d, old, e) < 0)
		return -1;
	shape(r, d);
	if (write_update(&r->fk->rules, part, old, d, loop_wall_ms(r->f->loop), &same, &r->causes, e) < 0)
		return -1;
	if (!same && check(r, json_root(d), old, e) < 0)
		return -1;
	commit(r, old, TAKE(d), same);
	return 0;
}

static int apply(struct request *r, const struct obj *old, struct err *e)
{
	char version[KIND_API_VERSION_MAX];
	struct apply_opts o = { .manager = query(r, "fieldManager"),
		.api_version = kind_api_version(r->fk->k, version),
		.force = str_eq(query(r, "force"), "true"),
		.subresource = r->sub ? r->sub : "",
		.now_ms = loop_wall_ms(r->f->loop) };
	struct json_doc *d = NULL;
	const struct obj *made = NULL;
	bool same = false;

	if (!o.manager || !r->fk->schema)
		return err_set(e, ERR_BAD_REQUEST, "fake: apply needs a fieldManager and a kind with fields");
	if (patch_apply(
		    r->fk->schema, old ? obj_json(old) : NULL, json_root(r->body), &o, &d, &r->causes, e) < 0)
		return -1;
	if (!old) {
		if (create(r, d, &made, e) < 0)
			return -1;
		if (made)
			answer_obj(r, 201, made);
		return 0;
	}
	if (write_update(&r->fk->rules, str_eq(r->sub, "status") ? WRITE_STATUS : WRITE_MAIN, old, d,
		    o.now_ms, &same, &r->causes, e) < 0) {
		json_doc_free(d);
		return -1;
	}
	commit(r, old, d, same);
	return 0;
}

static void answer_unknown(struct request *r)
{
	struct err e = { 0 };

	err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
	answer_err(r, &e);
}

static void serve_change(struct request *r)
{
	CLEANUP(obj_unrefp) struct obj *old = keymap_get(&r->fk->objs, r->key);
	enum write_part part = str_eq(r->sub, "status") ? WRITE_STATUS : WRITE_MAIN;
	const struct obj *made = NULL;
	struct err e = { 0 };
	int rc;

	if (old)
		obj_ref(old);
	if (!sub_known(r) || !r->body)
		rc = err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
	else if (str_eq(r->call->content_type, "application/apply-patch+yaml"))
		rc = apply(r, old, &e);
	else if (!old && r->fk->rules.create_on_update && str_eq(r->call->method, "PUT")) {
		rc = create(r, json_doc_from(json_root(r->body)), &made, &e);
		if (made)
			answer_obj(r, 201, made);
	} else if (!old)
		rc = err_not_found(&e, r->fk->k, r->name);
	else
		rc = change(r, old, part, &e);
	if (rc < 0)
		answer_err(r, &e);
}

/* ---- deletion ---- */
static bool answers_object(const struct kind *k)
{
	static const char *const always[] = { "pods", "persistentvolumeclaims", "services", "serviceaccounts",
		"namespaces", NULL };

	return k->group[0] == '\0' && str_in(k->plural, always);
}

/* A pod on a node is given time, unless it has ended. */
static int64_t grace_of(const struct fake_kind *fk, const struct obj *o)
{
	const struct json *v = obj_json(o), *own = json_at(v, "/spec/terminationGracePeriodSeconds");
	const char *phase = json_at_str(v, "/status/phase");

	if (!str_eq(fk->k->plural, "pods") || fk->k->group[0] ||
		str_empty(json_at_str(v, "/spec/nodeName")) || str_eq(phase, "Succeeded") ||
		str_eq(phase, "Failed"))
		return 0;
	return own ? json_i64(own) : POD_GRACE_SECONDS;
}

struct json_doc *fake_delete(
	struct fake_api *f, struct fake_kind *fk, const char *key, const struct json *options, struct err *e)
{
	CLEANUP(obj_unrefp) struct obj *old = obj_ref(keymap_get(&fk->objs, key));
	struct write_rules rules = fk->rules;
	enum delete_outcome outcome;
	struct json_doc *d = NULL;

	rules.grace_seconds = grace_of(fk, old);
	if (write_delete(&rules, old, options, loop_wall_ms(f->loop), &outcome, &d, e) < 0)
		return NULL;
	switch (outcome) {
	case DELETE_NOW:
		json_doc_free(d);
		f->writes++;
		fake_erase(f, fk, key);
		return answers_object(fk->k) ? obj_draft(old)
					     : status_success(fk->k, obj_name(old), obj_uid(old));
	case DELETE_MARKED:
		f->writes++;
		return obj_draft(fake_store(f, fk, d));
	case DELETE_UNCHANGED:
		break;
	}
	json_doc_free(d);
	return obj_draft(old);
}

static void serve_delete(struct request *r, const struct json *options)
{
	const struct obj *old = keymap_get(&r->fk->objs, r->key);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	if (!old)
		err_not_found(&e, r->fk->k, r->name);
	else if (admit(r, NULL, old, &e) == 0 && is_dry(r))
		d = obj_draft(old);
	else if (e.code == ERR_NONE)
		d = fake_delete(r->f, r->fk, r->key, options, &e);
	if (d)
		answer(r, 200, json_root(d));
	else
		answer_err(r, &e);
}

/* ---- subresources that are requests ---- */
static void serve_binding(struct request *r)
{
	const struct obj *pod = keymap_get(&r->fk->objs, r->key);
	const char *node = json_at_str(json_root(r->body), "/target/name");
	CLEANUP(json_doc_freep) struct json_doc *ok = NULL;
	struct json_doc *d;
	struct json *status;
	struct err e = { 0 };

	if (!pod || !node || !str_empty(json_at_str(obj_json(pod), "/spec/nodeName"))) {
		if (!pod)
			err_not_found(&e, r->fk->k, r->name);
		else
			err_set(&e, ERR_CONFLICT,
				"Operation cannot be fulfilled on pods/binding \"%s\": pod is already "
				"assigned or no node is named",
				r->name);
		answer_err(r, &e);
		return;
	}
	d = obj_draft(pod);
	json_put_str(d, json_root(d), "/spec/nodeName", node);
	status = json_need_obj(d, json_root(d), "status");
	cond_set(d, status, "PodScheduled", "True", NULL, NULL, loop_wall_ms(r->f->loop));
	fake_store(r->f, r->fk, d);
	r->f->writes++;
	ok = status_success(NULL, NULL, NULL);
	answer(r, 201, json_root(ok));
}

static void serve_post_sub(struct request *r)
{
	bool pods = str_eq(r->fk->k->plural, "pods") && !r->fk->k->group[0];
	struct err e = { 0 };

	if (pods && str_eq(r->sub, "binding") && r->body) {
		serve_binding(r);
	} else if (pods && str_eq(r->sub, "eviction")) {
		serve_delete(r, json_get(json_root(r->body), "deleteOptions"));
		if (r->call->status == 200)
			r->call->status = 201;
	} else {
		err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
		answer_err(r, &e);
	}
}

void fake_serve(struct fake_call *c)
{
	CLEANUP(request_done) struct request r = { .call = c, .f = c->client->f };
	const char *m = c->method;
	struct err e = { 0 };

	if (read_path(&r, &e) < 0 || check_options(&r, &e) < 0 || read_body(&r, &e) < 0)
		answer_err(&r, &e);
	else if (str_eq(m, "GET") && !sub_known(&r))
		answer_unknown(&r);
	else if (str_eq(m, "GET") && r.name)
		serve_get(&r);
	else if (str_eq(m, "GET"))
		serve_collection(&r);
	else if (str_eq(m, "POST") && !r.name)
		serve_create(&r);
	else if (str_eq(m, "POST") && r.sub)
		serve_post_sub(&r);
	else if ((str_eq(m, "PUT") || str_eq(m, "PATCH")) && r.name)
		serve_change(&r);
	else if (str_eq(m, "DELETE") && r.name && !r.sub)
		serve_delete(&r, r.body ? json_root(r.body) : NULL);
	else {
		err_set(&e, ERR_METHOD_NOT_ALLOWED,
			"the server does not allow this method on the requested resource");
		answer_err(&r, &e);
	}
}
