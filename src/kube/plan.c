/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/plan.h"

#include "api/meta.h"
#include "api/patch.h"
#include "base/mem.h"

#include <inttypes.h>

struct plan {
	struct intent *items;
	size_t len, cap;
	bool again, failed;
	int64_t again_ms;
	struct err failure;
};

struct plan *plan_new(void)
{
	return MEM_NEW(struct plan);
}

void plan_clear(struct plan *p)
{
	for (size_t i = 0; i < p->len; i++) {
		struct intent *it = &p->items[i];

		free(it->key);
		free(it->reason);
		free(it->message);
		json_doc_free(it->doc);
		obj_unref(it->about);
	}
	p->len = 0;
	p->again = p->failed = false;
	err_clear(&p->failure);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	plan_clear(p);
	free(p->items);
	free(p);
}

static struct intent *plan_add(
	struct plan *p, enum intent_type type, const struct kind *k, const char *key, struct json_doc *doc)
{
	struct intent *it;

	p->items = mem_grow(p->items, &p->cap, p->len + 1, sizeof(p->items[0]));
	it = &p->items[p->len++];
	*it = (struct intent){ .type = type, .kind = k, .key = key ? mem_strdup(key) : NULL, .doc = doc };
	return it;
}

/* The key a document names itself; with generateName the name is left to the server and the key ends in '/'. */
static struct intent *plan_add_doc(
	struct plan *p, enum intent_type type, const struct kind *k, struct json_doc *o)
{
	const struct json *root = json_root(o);
	char *key = kind_key(meta_str(root, "namespace"), meta_str(root, "name"));
	struct intent *it = plan_add(p, type, k, NULL, o);

	it->key = key;
	return it;
}

void plan_create(struct plan *p, const struct kind *k, struct json_doc *o)
{
	plan_add_doc(p, INTENT_CREATE, k, o);
}

void plan_ensure(struct plan *p, const struct kind *k, struct json_doc *o)
{
	plan_add_doc(p, INTENT_CREATE, k, o)->ignore_missing = true;
}

void plan_create_sub(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *o)
{
	plan_add(p, INTENT_CREATE, k, key, o)->sub = sub;
}

void plan_update(struct plan *p, const struct kind *k, const char *sub, struct json_doc *o)
{
	plan_add_doc(p, INTENT_UPDATE, k, o)->sub = sub;
}

void plan_patch(struct plan *p, const struct kind *k, const char *key, const char *sub, enum kube_patch type,
	struct json_doc *patch)
{
	struct intent *it = plan_add(p, INTENT_PATCH, k, key, patch);

	it->sub = sub;
	it->patch = type;
}

void plan_patch_json(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *ops)
{
	plan_patch(p, k, key, sub, KUBE_PATCH_JSON, ops);
}

void plan_patch_merge(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *patch)
{
	plan_patch(p, k, key, sub, KUBE_PATCH_MERGE, patch);
}

/* The part of an object that a write through this door can change. */
static struct json_doc *part_of(const struct kind *k, const char *sub, const struct json *o)
{
	struct json_doc *d;
	struct json *meta;

	if (str_eq(sub, "status")) {
		d = json_doc_new();
		json_set_root(d, json_new_obj(d));
		if (json_get(o, "status"))
			json_set_copy(d, json_root(d), "status", json_get(o, "status"));
		return d;
	}
	d = json_doc_from(o);
	if (!sub && k->has_status)
		json_remove(json_root(d), "status");
	meta = json_get(json_root(d), "metadata");
	json_remove(meta, "managedFields");
	json_remove(meta, "resourceVersion");
	return d;
}

static void plan_guarded(struct plan *p, const struct kind *k, const struct obj *seen, const char *sub,
	struct json_doc *ops, struct json *list)
{
	struct json *guard = json_new_obj(ops);
	struct intent *it;

	json_set_str(ops, guard, "op", "test");
	json_set_str(ops, guard, "path", "/metadata/resourceVersion");
	json_set_strf(ops, guard, "value", "%" PRIu64, obj_rv(seen));
	json_insert(ops, list, 0, guard);
	json_set_root(ops, list);
	it = plan_add(p, INTENT_PATCH, k, obj_key(seen), ops);
	it->sub = sub;
	it->patch = KUBE_PATCH_JSON;
	it->guarded = true;
}

bool plan_change(
	struct plan *p, const struct kind *k, const struct obj *old, const char *sub, struct json_doc *draft)
{
	CLEANUP(json_doc_freep) struct json_doc *new = draft;
	CLEANUP(json_doc_freep) struct json_doc *from = part_of(k, sub, obj_json(old));
	CLEANUP(json_doc_freep) struct json_doc *to = part_of(k, sub, json_root(new));
	struct json_doc *ops;

	if (json_eq(json_root(from), json_root(to)))
		return false;
	ops = json_doc_new();
	plan_guarded(p, k, old, sub, ops, patch_diff(ops, json_root(from), json_root(to), false));
	return true;
}

void plan_confirm(struct plan *p, const struct kind *k, const struct obj *seen)
{
	struct json_doc *ops = json_doc_new();

	plan_guarded(p, k, seen, NULL, ops, json_new_arr(ops));
}

void plan_delete(
	struct plan *p, const struct kind *k, const char *key, const char *uid, int64_t grace_seconds)
{
	struct json_doc *d =
		json_lit("{'kind':'DeleteOptions','apiVersion':'v1','propagationPolicy':'Background'}");

	if (!str_empty(uid))
		json_put_str(d, json_root(d), "/preconditions/uid", uid);
	if (grace_seconds >= 0)
		json_set_i64(d, json_root(d), "gracePeriodSeconds", grace_seconds);
	plan_add(p, INTENT_DELETE, k, key, d)->ignore_missing = true;
}

void plan_event(
	struct plan *p, const struct obj *about, bool warning, const char *reason, const char *fmt, ...)
{
	struct intent *it = plan_add(p, INTENT_EVENT, NULL, obj_key(about), NULL);
	struct str text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	it->about = obj_ref(about);
	it->warning = warning;
	it->reason = mem_strdup(reason);
	it->message = str_take(&text);
}

void plan_action(struct plan *p, const char *action, const char *key, struct json_doc *args)
{
	plan_add(p, INTENT_ACTION, NULL, key, args)->action = action;
}

void plan_again_at(struct plan *p, int64_t wall_ms)
{
	if (p->again && p->again_ms <= wall_ms)
		return;
	p->again = true;
	p->again_ms = wall_ms;
}

void plan_fail(struct plan *p, const struct err *e)
{
	if (p->failed)
		return; /* the first reason is the one to know */
	p->failed = true;
	err_copy(&p->failure, e);
}

static struct json *guard_of(const struct intent *it)
{
	return it->guarded ? json_at(json_root(it->doc), "/0") : NULL;
}

void plan_went_on(struct plan *p, size_t i, const struct obj *answer)
{
	const struct intent *it = &p->items[i];
	CLEANUP(mem_freep) char *from = NULL;

	if (!guard_of(it) || !answer)
		return;
	from = mem_strdup(json_get_str(guard_of(it), "value"));
	for (size_t j = i + 1; j < p->len; j++) {
		struct json *guard = guard_of(&p->items[j]);

		if (guard && kind_is(p->items[j].kind, it->kind) && str_eq(p->items[j].key, it->key) &&
			str_eq(json_get_str(guard, "value"), from))
			json_set_strf(p->items[j].doc, guard, "value", "%" PRIu64, obj_rv(answer));
	}
}

size_t plan_len(const struct plan *p)
{
	return p->len;
}

const struct intent *plan_at(const struct plan *p, size_t i)
{
	return i < p->len ? &p->items[i] : NULL;
}

bool plan_again(const struct plan *p, int64_t *ret_wall_ms)
{
	if (p->again)
		*ret_wall_ms = p->again_ms;
	return p->again;
}

const struct err *plan_failure(const struct plan *p)
{
	return p->failed ? &p->failure : NULL;
}

static void intent_text(const struct intent *it, struct str *out)
{
	static const char *const verbs[] = {
		[INTENT_CREATE] = "create",
		[INTENT_UPDATE] = "update",
		[INTENT_PATCH] = "patch",
		[INTENT_DELETE] = "delete",
		[INTENT_EVENT] = "event",
		[INTENT_ACTION] = "action",
	};

	str_addf(out, "%s ", verbs[it->type]);
	if (it->type == INTENT_ACTION)
		str_addf(out, "%s ", it->action);
	if (it->kind)
		str_addf(out, "%s ", it->kind->plural);
	str_add(out, it->key ? it->key : "");
	if (it->sub)
		str_addf(out, " %s", it->sub);
	if (it->type == INTENT_EVENT)
		str_addf(out, " %s %s: %s", it->warning ? "Warning" : "Normal", it->reason, it->message);
	if ((it->type == INTENT_PATCH || it->type == INTENT_ACTION) && it->doc) {
		str_addc(out, ' ');
		json_write_to(json_root(it->doc), out);
	}
	str_addc(out, '\n');
}

void plan_text(const struct plan *p, struct str *out)
{
	for (size_t i = 0; i < p->len; i++)
		intent_text(&p->items[i], out);
}
