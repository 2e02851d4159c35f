/* SPDX-License-Identifier: Apache-2.0 */
#include "api/meta.h"

#include <string.h>

#include "base/mem.h"
#include "base/time.h"

const struct json *meta_of(const struct json *o)
{
	const struct json *m = json_get(o, "metadata");

	return json_is_obj(m) ? m : NULL;
}

const char *meta_str(const struct json *o, const char *field)
{
	return json_str_or(json_get(meta_of(o), field), "");
}

const char *meta_label(const struct json *o, const char *key)
{
	return json_get_str(json_get(meta_of(o), "labels"), key);
}

const char *meta_annotation(const struct json *o, const char *key)
{
	return json_get_str(json_get(meta_of(o), "annotations"), key);
}

/* One entry of a map of strings; a map that becomes empty goes as well, as Go's omitempty would have it. */
static bool set_entry(struct json_doc *d, struct json *o, const char *map, const char *key, const char *value)
{
	struct json *meta = json_get(o, "metadata");
	const struct json *old = json_get(json_get(meta, map), key);

	if (!value) {
		if (!old)
			return false;
		json_remove(json_get(meta, map), key);
		if (json_len(json_get(meta, map)) == 0)
			json_remove(meta, map);
		return true;
	}
	if (old && str_eq(json_str(old), value))
		return false;
	json_set_str(d, json_need_obj(d, json_need_obj(d, o, "metadata"), map), key, value);
	return true;
}

bool meta_set_label(struct json_doc *d, struct json *o, const char *key, const char *value)
{
	return set_entry(d, o, "labels", key, value);
}

bool meta_set_annotation(struct json_doc *d, struct json *o, const char *key, const char *value)
{
	return set_entry(d, o, "annotations", key, value);
}

bool meta_has_finalizer(const struct json *o, const char *name)
{
	JSON_EACH (it, json_get(meta_of(o), "finalizers"))
		if (str_eq(json_str(it.val), name))
			return true;
	return false;
}

bool meta_set_finalizer(struct json_doc *d, struct json *o, const char *name, bool present)
{
	if (meta_has_finalizer(o, name) == present)
		return false;
	if (present) {
		json_append_str(d, json_need_arr(d, json_need_obj(d, o, "metadata"), "finalizers"), name);
		return true;
	}
	struct json *meta = json_get(o, "metadata"), *list = json_get(meta, "finalizers");
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), name))
			json_iter_remove(&it);
	if (json_len(list) == 0)
		json_remove(meta, "finalizers");
	return true;
}

const struct json *meta_controller_ref(const struct json *o)
{
	JSON_EACH (it, json_get(meta_of(o), "ownerReferences"))
		if (json_bool(json_get(it.val, "controller")))
			return it.val;
	return NULL;
}

bool meta_owned_by(const struct json *o, const char *uid)
{
	JSON_EACH (it, json_get(meta_of(o), "ownerReferences"))
		if (str_eq(json_get_str(it.val, "uid"), uid))
			return true;
	return false;
}

void meta_add_owner(struct json_doc *d, struct json *o, const char *api_version, const char *kind,
	const char *name, const char *uid, bool controller)
{
	struct json *list = json_need_arr(d, json_need_obj(d, o, "metadata"), "ownerReferences"), *ref = NULL;

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "uid"), uid))
			ref = it.val;
	if (!ref) {
		ref = json_new_obj(d);
		json_append(d, list, ref);
	}
	json_set_str(d, ref, "apiVersion", api_version);
	json_set_str(d, ref, "kind", kind);
	json_set_str(d, ref, "name", name);
	json_set_str(d, ref, "uid", uid);
	if (controller) {
		json_set_bool(d, ref, "controller", true);
		json_set_bool(d, ref, "blockOwnerDeletion", true);
	}
}

const struct json *cond_find(const struct json *conditions, const char *type)
{
	JSON_EACH (it, conditions)
		if (str_eq(json_get_str(it.val, "type"), type))
			return it.val;
	return NULL;
}

bool cond_is(const struct json *conditions, const char *type, const char *status)
{
	return str_eq(json_get_str(cond_find(conditions, type), "status"), status);
}

static bool set_text(struct json_doc *d, struct json *c, const char *field, const char *value)
{
	if (str_empty(value))
		return json_remove(c, field);
	if (str_eq(json_get_str(c, field), value))
		return false;
	json_set_str(d, c, field, value);
	return true;
}

bool cond_set(struct json_doc *d, struct json *holder, const char *type, const char *status,
	const char *reason, const char *message, int64_t now_ms)
{
	struct json *list = json_need_arr(d, holder, "conditions");
	struct json *c = (struct json *)cond_find(list, type);
	bool changed = false;

	if (!c) {
		c = json_new_obj(d);
		json_set_str(d, c, "type", type);
		json_append(d, list, c);
	}
	if (!str_eq(json_get_str(c, "status"), status)) {
		char buf[TIME_TEXT_MAX];

		json_set_str(d, c, "status", status);
		json_set_str(d, c, "lastTransitionTime", time_rfc3339(now_ms, buf));
		changed = true;
	}
	changed |= set_text(d, c, "reason", reason);
	changed |= set_text(d, c, "message", message);
	return changed;
}

bool cond_remove(struct json_doc *d, struct json *holder, const char *type)
{
	struct json *list = json_get(holder, "conditions");
	bool found = false;

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "type"), type)) {
			json_iter_remove(&it);
			found = true;
		}
	return found;
}
