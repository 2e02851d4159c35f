/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/auth/roles.h"

#include "api/selector.h"
#include "base/mem.h"

#define STORAGE "rbac.authorization.k8s.io/clusterroles"

struct roles {
	struct objects *objects;
	struct bucket_watch watch;
	struct loop_timer *timer;
};

static const struct json *selectors_of(const struct obj *role)
{
	return json_at(obj_json(role), "/aggregationRule/clusterRoleSelectors");
}

static bool has_rule(const struct json *list, const struct json *rule)
{
	JSON_EACH (it, list) {
		if (json_eq(it.val, rule))
			return true;
	}
	return false;
}

static void add_rules(const struct json *rules, struct json_doc *d, struct json *list)
{
	JSON_EACH (it, rules) {
		if (!has_rule(list, it.val))
			json_append(d, list, json_copy(d, it.val));
	}
}

void role_rules(struct objects *objects, const struct obj *role, struct json_doc *d, struct json *list)
{
	const struct bucket *b = objects_bucket(objects, STORAGE);
	const struct obj *o;

	if (!selectors_of(role)) {
		add_rules(json_get(obj_json(role), "rules"), d, list);
		return;
	}
	JSON_EACH (it, selectors_of(role)) {
		CLEANUP(selector_freep) struct selector *sel = NULL;

		if (selector_from_json(it.val, &sel, NULL) < 0)
			continue;
		for (size_t i = 0; (o = bucket_at(b, i)); i++)
			if (!str_eq(obj_name(o), obj_name(role)) &&
				selector_matches(sel, json_at(obj_json(o), "/metadata/labels")))
				add_rules(json_get(obj_json(o), "rules"), d, list);
	}
}

static void sync_role(struct roles *r, const struct obj *role)
{
	struct bucket *b = objects_bucket(r->objects, STORAGE);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	uint64_t rev;
	const struct obj *now = bucket_latest(b, obj_key(role), &rev);

	if (!now || obj_deleting(now) || !selectors_of(now))
		return;
	d = obj_draft(now);
	json_set(d, json_root(d), "rules", json_new_arr(d));
	role_rules(r->objects, now, d, json_get(json_root(d), "rules"));
	if (!json_eq(json_get(json_root(d), "rules"), json_get(obj_json(now), "rules")))
		objects_put(r->objects, b, TAKE(d), rev, NULL, NULL);
}

/* Roles that are made of aggregated ones settle when those have: their change brings us here again. */
static void sync_all(void *arg)
{
	struct roles *r = arg;
	const struct obj *o;

	for (size_t i = 0; !r->objects->stopping && (o = bucket_at(objects_bucket(r->objects, STORAGE), i));
		i++)
		if (selectors_of(o))
			sync_role(r, o);
}

static void role_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct roles *r = CONTAINER_OF(w, struct roles, watch);

	(void)c;
	if (!loop_timer_armed(r->timer))
		loop_timer_set(r->timer, 0);
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

struct roles *roles_new(struct objects *objects)
{
	struct roles *r = MEM_NEW(struct roles);

	r->objects = objects;
	r->watch.change = role_changed;
	r->watch.gone = never_gone;
	r->timer = loop_timer_new(objects->loop, sync_all, r);
	bucket_watch_add(objects_bucket(objects, STORAGE), &r->watch, "");
	loop_timer_set(r->timer, 0);
	return r;
}

void roles_free(struct roles *r)
{
	if (!r)
		return;
	bucket_watch_remove(&r->watch);
	loop_timer_free(r->timer);
	free(r);
}
