/* SPDX-License-Identifier: Apache-2.0 */
/* Pruning and defaulting: one pass over the object each, one hashed look-up per member. */
#include "api/schema_int.h"

#include <string.h>

#include "api/quantity.h"
#include "base/mem.h"

static void add_path(struct str *s, const struct jpath *p)
{
	if (!p)
		return;
	add_path(s, p->up);
	if (!p->key) {
		str_addf(s, "[%zu]", p->index);
		return;
	}
	if (s->len)
		str_addc(s, p->of_map ? '[' : '.');
	str_addn(s, p->key, p->len);
	if (s->len && p->of_map)
		str_addc(s, ']');
}

char *jpath_text(const struct jpath *p)
{
	struct str s = { 0 };

	add_path(&s, p);
	return str_take(&s);
}

/* ---- null where a Go struct has none ---- */

static void drop_nulls(const struct schema *s, struct json *v);

/* An empty string where only words of a list may stand, or where there is a default: not set, in Go. */
static bool means_unset(const struct schema *s, const struct json *v)
{
	/* templates written by kubectl rollout undo have creationTimestamp: null */
	if (json_is_null(v))
		return s->type == ST_STRING && str_eq(s->format, "date-time");
	if (!json_is_str(v) || json_str_len(v) > 0 || s->type != ST_STRING)
		return false;
	JSON_EACH (it, s->enums)
		if (json_is_str(it.val) && json_str_len(it.val) == 0)
			return false;
	return s->enums || (json_is_str(s->deflt) && json_str_len(s->deflt) > 0);
}

static void drop_member_nulls(const struct schema *s, struct json *v)
{
	JSON_EACH (it, v) {
		const struct schema *below = s->meta && str_eq(it.key, "metadata")
						     ? s->meta
						     : schema_prop_of(s, it.key, it.key_len);

		if (json_is_null(it.val) && (!below || below != s->additional) &&
			!(below && (below->flags & SF_NULLABLE)) && !(s->flags & SF_PRESERVE))
			json_iter_remove(&it);
		else if (below && below != s->additional && means_unset(below, it.val))
			json_iter_remove(&it);
		else if (below)
			drop_nulls(below, it.val);
	}
}

static void drop_nulls(const struct schema *s, struct json *v)
{
	if (json_is_obj(v))
		drop_member_nulls(s, v);
	else if (json_is_arr(v) && s->items)
		JSON_EACH (it, v)
			drop_nulls(s->items, it.val);
}

void schema_drop_nulls(const struct schema *s, struct json *v)
{
	drop_nulls(s, v);
}

/* ---- quantities ---- */

/* NULL: as it is. Beyond 2^62 nothing is certain. */
static struct json *canonical(struct json_doc *d, const struct json *v)
{
	struct quantity q;
	char text[QUANTITY_TEXT_MAX];

	if ((!json_is_str(v) && !json_is_num(v)) || quantity_from_json(v, &q, NULL) < 0 ||
		q.value >= INT64_C(1) << 62 || q.value <= -(INT64_C(1) << 62))
		return NULL;
	quantity_text(&q, text);
	return str_eq(json_str(v), text) ? NULL : json_new_str(d, text);
}

void schema_canonicalize(const struct schema *s, struct json_doc *d, struct json *v)
{
	CLEANUP(strv_done) struct strv keys = { 0 };

	if (json_is_arr(v) && s->items)
		JSON_EACH (it, v)
			schema_canonicalize(s->items, d, it.val);
	if (!json_is_obj(v))
		return;
	JSON_EACH (it, v) {
		const struct schema *below = schema_prop_of(s, it.key, it.key_len);

		if (below && (below->flags & SF_QUANTITY))
			strv_add(&keys, it.key);
		else if (below)
			schema_canonicalize(below, d, it.val);
	}
	for (size_t i = 0; i < keys.len; i++) {
		struct json *now = canonical(d, json_get(v, keys.items[i]));

		if (now)
			json_set(d, v, keys.items[i], now);
	}
}

/* ---- types alone ---- */

static bool fits(
	const struct schema *s, const struct json *v, const struct jpath *at, struct schema_misfit *ret);

static bool members_fit(
	const struct schema *s, const struct json *v, const struct jpath *up, struct schema_misfit *ret)
{
	JSON_EACH (it, v) {
		struct jpath here = { .up = up, .key = it.key, .len = it.key_len };
		const struct schema *below = s->meta && str_eq(it.key, "metadata")
						     ? s->meta
						     : schema_prop_of(s, it.key, it.key_len);

		if (below && !fits(below, it.val, &here, ret))
			return false;
	}
	return true;
}

static bool fits(
	const struct schema *s, const struct json *v, const struct jpath *at, struct schema_misfit *ret)
{
	if (json_is_null(v) && (s->flags & SF_NULLABLE))
		return true;
	if (!schema_has_type(s, v)) {
		bool map = s->type == ST_OBJECT && s->additional && s->n_props == 0;

		*ret = (struct schema_misfit){ jpath_text(at), map ? "map" : schema_type_name(s), v };
		return false;
	}
	if (json_is_obj(v))
		return members_fit(s, v, at, ret);
	if (json_is_arr(v) && s->items)
		JSON_EACH (it, v) {
			struct jpath here = { .up = at, .index = it.i };

			if (!fits(s->items, it.val, &here, ret))
				return false;
		}
	return true;
}

bool schema_types_fit(const struct schema *s, const struct json *v, struct schema_misfit *ret)
{
	return fits(s, v, NULL, ret);
}

/* ---- pruning ---- */

static void prune(const struct schema *s, struct json *v, struct strv *unknown, const struct jpath *up);

/* additionalProperties: true takes any member, but says nothing of what may be in it: so nothing may, as in kube-apiserver. */
static void prune_all(struct json *v, struct strv *unknown, const struct jpath *up)
{
	JSON_EACH (it, v) {
		struct jpath here = { .up = up, .key = it.key, .len = it.key_len, .index = it.i };

		if (!it.key) {
			prune_all(it.val, unknown, &here);
			continue;
		}
		if (unknown)
			strv_take(unknown, jpath_text(&here));
		json_iter_remove(&it);
	}
}

static void prune_members(
	const struct schema *s, struct json *v, struct strv *unknown, const struct jpath *up)
{
	JSON_EACH (it, v) {
		struct jpath here = { .up = up, .key = it.key, .len = it.key_len };
		const struct schema *below;

		if (s->meta && schema_is_type_meta(s, it.key, it.key_len)) {
			if (it.key_len == strlen("metadata")) {
				prune(s->meta, it.val, unknown, &here);
				drop_nulls(s->meta, it.val);
			}
			continue;
		}
		below = schema_prop_of(s, it.key, it.key_len);
		if (below && json_is_null(it.val)) {
			/* null where there is none means absent, unless a default stands in for it */
			if (!(below->flags & SF_NULLABLE) && !below->deflt)
				json_iter_remove(&it);
		} else if (below) {
			prune(below, it.val, unknown, &here);
		} else if (s->flags & SF_PRESERVE) {
			continue;
		} else if (s->flags & SF_ANY_MEMBERS) {
			prune_all(it.val, unknown, &here);
		} else {
			if (unknown)
				strv_take(unknown, jpath_text(&here));
			json_iter_remove(&it);
		}
	}
}

static void prune(const struct schema *s, struct json *v, struct strv *unknown, const struct jpath *up)
{
	if (json_is_obj(v)) {
		/* the value of an int-or-string, or of a scalar, is refused later as a whole */
		if (s->type == ST_OBJECT || (s->flags & SF_PRESERVE))
			prune_members(s, v, unknown, up);
	} else if (json_is_arr(v) && s->items) {
		JSON_EACH (it, v) {
			struct jpath here = { .up = up, .index = it.i };

			prune(s->items, it.val, unknown, &here);
		}
	}
}

void schema_prune(const struct schema *s, struct json *v, struct strv *unknown)
{
	prune(s, v, unknown, NULL);
}

/* ---- defaulting ---- */

static bool fill(const struct schema *s, struct json_doc *d, struct json *v);

static bool fill_members(const struct schema *s, struct json_doc *d, struct json *v)
{
	bool changed = false;

	for (size_t i = 0; i < s->n_defaulted; i++) {
		const struct schema_prop *p = s->defaulted[i];
		const struct json *old = json_getn(v, p->name, p->len);

		if (old && (!json_is_null(old) || (p->s->flags & SF_NULLABLE)))
			continue;
		json_set_copy(d, v, p->name, p->s->deflt);
		changed = true;
	}
	JSON_EACH (it, v) {
		const struct schema *below = schema_prop_of(s, it.key, it.key_len);

		if (below && (below->flags & SF_HAS_DEFAULT))
			changed |= fill(below, d, it.val);
	}
	return changed;
}

static bool fill(const struct schema *s, struct json_doc *d, struct json *v)
{
	bool changed = false;

	if (json_is_obj(v))
		return fill_members(s, d, v);
	if (json_is_arr(v) && s->items && (s->items->flags & SF_HAS_DEFAULT))
		JSON_EACH (it, v)
			changed |= fill(s->items, d, it.val);
	return changed;
}

bool schema_default(const struct schema *s, struct json_doc *d, struct json *v)
{
	return (s->flags & SF_HAS_DEFAULT) && fill(s, d, v);
}
