/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fieldset.h"

#include <string.h>

#include "api/members.h"
#include "api/schema_int.h"
#include "base/mem.h"

static bool granular_map(const struct schema *s, const struct json *v)
{
	return json_is_obj(v) && !schema_map_atomic(s);
}

static bool granular_list(const struct schema *s, const struct json *v)
{
	return json_is_arr(v) && schema_list_type(s) != SCHEMA_LIST_ATOMIC;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* {"name":"a"} with the keys sorted; an absent key counts with its default. */
static void add_keys(const struct schema *list, const struct json *item, struct str *out)
{
	const struct strv *keys = schema_list_keys(list);
	CLEANUP(mem_freep) const char **sorted = mem_alloc((keys->len + 1) * sizeof(*sorted));
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	memcpy(sorted, keys->items, keys->len * sizeof(*sorted));
	if (keys->len > 1)
		qsort(sorted, keys->len, sizeof(*sorted), compare_names);
	for (size_t i = 0; i < keys->len; i++) {
		const struct schema *p = schema_member(schema_items(list), sorted[i]);
		const struct json *v = json_get(item, sorted[i]);

		if (!v && p)
			v = p->deflt;
		if (v)
			json_set_copy(d, o, sorted[i], v);
	}
	json_write_to(o, out);
}

char *fset_item_key(const struct schema *list, const struct json *item)
{
	struct str s = { 0 };

	if (schema_list_type(list) == SCHEMA_LIST_MAP) {
		str_add(&s, "k:");
		add_keys(list, item, &s);
	} else {
		str_add(&s, "v:");
		json_write_to(item, &s);
	}
	return str_take(&s);
}

/* Items of a list by their element, for looking up. */
struct entry {
	char *key;
	struct json *item;
	size_t i;
};
struct index {
	struct entry *entries;
	size_t n;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int d = strcmp(x->key, y->key);

	return d ? d : x->i < y->i ? -1 : x->i > y->i;
}

static void index_make(struct index *x, const struct schema *s, const struct json *list)
{
	*x = (struct index){ .entries = mem_alloc((json_len(list) + 1) * sizeof(struct entry)) };
	JSON_EACH (it, list)
		x->entries[x->n++] = (struct entry){ fset_item_key(s, it.val), it.val, it.i };
	if (x->n > 1)
		qsort(x->entries, x->n, sizeof(struct entry), compare_entries);
}

static struct json *index_find(const struct index *x, const char *key)
{
	size_t lo = 0, hi = x->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(x->entries[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->n && strcmp(x->entries[lo].key, key) == 0 ? x->entries[lo].item : NULL;
}

static void index_done(struct index *x)
{
	for (size_t i = 0; i < x->n; i++)
		free(x->entries[i].key);
	free(x->entries);
}

/* Entries of maps are members by themselves, fields of structs only by what is in them. */
static bool is_declared(const struct schema *s, const char *key, size_t len)
{
	if (!s)
		return false;
	if (s->meta && str_eq(key, "metadata"))
		return true;
	const struct schema *p = schema_prop_of(s, key, len);
	return p && p != s->additional;
}

void fset_of(const struct schema *s, const struct json *v, struct fset *ret)
{
	if (granular_map(s, v)) {
		JSON_EACH (it, v) {
			struct fset *kid = fset_need_field(ret, it.key);

			fset_of(schema_member(s, it.key), it.val, kid);
			if (json_is_null(it.val) || (json_is_obj(it.val) && !json_len(it.val)) ||
				!is_declared(s, it.key, it.key_len))
				kid->member = true;
		}
	} else if (granular_list(s, v)) {
		JSON_EACH (it, v) {
			CLEANUP(mem_freep) char *key = fset_item_key(s, it.val);
			struct fset *kid = fset_need(ret, key);

			if (schema_list_type(s) == SCHEMA_LIST_MAP)
				fset_of(schema_items(s), it.val, kid);
			kid->member = true;
		}
	} else {
		ret->member = true;
	}
}

static void compare_maps(const struct schema *s, const struct json *old, const struct json *now,
	struct fset *changed, struct fset *removed)
{
	CLEANUP(members_done) struct members was_members = { 0 };
	CLEANUP(members_done) struct members is_members = { 0 };

	members_init(&was_members, old);
	members_init(&is_members, now);
	JSON_EACH (it, now) {
		const struct json *was = members_get(&was_members, it.key, it.key_len);

		if (was && json_eq(was, it.val))
			continue;
		struct fset *kid = fset_need_field(changed, it.key);
		if (was) {
			fset_compare(
				schema_member(s, it.key), was, it.val, kid, fset_need_field(removed, it.key));
		} else {
			fset_of(schema_member(s, it.key), it.val, kid);
			kid->member |= !is_declared(s, it.key, it.key_len) || fset_empty(kid);
		}
	}
	JSON_EACH (it, old)
		if (!members_get(&is_members, it.key, it.key_len))
			fset_need_field(removed, it.key)->member = true;
}

static void compare_lists(const struct schema *s, const struct json *old, const struct json *now,
	struct fset *changed, struct fset *removed)
{
	CLEANUP(index_done) struct index was = { 0 };
	CLEANUP(index_done) struct index is = { 0 };

	index_make(&was, s, old);
	index_make(&is, s, now);
	for (size_t i = 0; i < is.n; i++) {
		const char *key = is.entries[i].key;
		const struct json *before = index_find(&was, key);

		if (before && json_eq(before, is.entries[i].item))
			continue;
		struct fset *kid = fset_need(changed, key);
		if (before) {
			fset_compare(
				schema_items(s), before, is.entries[i].item, kid, fset_need(removed, key));
		} else {
			kid->member = true;
			if (schema_list_type(s) == SCHEMA_LIST_MAP)
				fset_of(schema_items(s), is.entries[i].item, kid);
			kid->member = true;
		}
	}
	for (size_t i = 0; i < was.n; i++)
		if (!index_find(&is, was.entries[i].key))
			fset_need(removed, was.entries[i].key)->member = true;
}

void fset_compare(const struct schema *s, const struct json *old, const struct json *now,
	struct fset *changed, struct fset *removed)
{
	if (granular_map(s, old) && granular_map(s, now)) {
		compare_maps(s, old, now, changed, removed);
	} else if (granular_list(s, old) && granular_list(s, now)) {
		compare_lists(s, old, now, changed, removed);
	} else if (!json_eq(old, now)) {
		/* what stood there went with all below it */
		if (json_is_obj(old) || json_is_arr(old))
			removed->member = granular_map(s, old) || granular_list(s, old);
		fset_of(s, now, changed);
		changed->member |= !granular_map(s, now) && !granular_list(s, now);
	}
}

void fset_differing(
	const struct schema *s, const struct json *applied, const struct json *live, struct fset *ret)
{
	if (granular_map(s, applied) && granular_map(s, live)) {
		CLEANUP(members_done) struct members members = { 0 };

		members_init(&members, live);
		JSON_EACH (it, applied) {
			const struct json *have = members_get(&members, it.key, it.key_len);

			if (have && json_eq(have, it.val))
				continue;
			struct fset *kid = fset_need_field(ret, it.key);
			if (have)
				fset_differing(schema_member(s, it.key), it.val, have, kid);
			else
				fset_of(schema_member(s, it.key), it.val, kid);
			kid->member |= !have;
		}
	} else if (granular_list(s, applied) && granular_list(s, live)) {
		CLEANUP(index_done) struct index have = { 0 };

		index_make(&have, s, live);
		JSON_EACH (it, applied) {
			CLEANUP(mem_freep) char *key = fset_item_key(s, it.val);
			const struct json *item = index_find(&have, key);

			if (item && json_eq(item, it.val))
				continue;
			struct fset *kid = fset_need(ret, key);
			if (item)
				fset_differing(schema_items(s), it.val, item, kid);
			else
				fset_of(schema_items(s), it.val, kid);
			kid->member |= !item;
		}
	} else if (!json_eq(applied, live)) {
		fset_of(s, applied, ret);
		ret->member = true;
	}
}

static int merge_lists(struct json_doc *d, const struct schema *s, struct json *live,
	const struct json *applied, struct err *e)
{
	CLEANUP(index_done) struct index have = { 0 };

	index_make(&have, s, live);
	JSON_EACH (it, applied) {
		CLEANUP(mem_freep) char *key = fset_item_key(s, it.val);
		struct json *item = index_find(&have, key);

		if (!item)
			json_append(d, live, json_copy(d, it.val));
		else if (json_is_obj(item) && json_is_obj(it.val) &&
			 fset_merge(d, schema_items(s), item, it.val, e) < 0)
			return -1;
	}
	return 0;
}

int fset_merge(struct json_doc *d, const struct schema *s, struct json *live, const struct json *applied,
	struct err *e)
{
	if (members_too_many(live, applied, e))
		return -1;
	JSON_EACH (it, applied) {
		const struct schema *below = schema_member(s, it.key);
		struct json *have = json_getn(live, it.key, it.key_len);
		int r = 0;

		if (granular_map(below, it.val) && granular_map(below, have))
			r = fset_merge(d, below, have, it.val, e);
		else if (granular_list(below, it.val) && granular_list(below, have))
			r = merge_lists(d, below, have, it.val, e);
		else if (!have || !json_eq(have, it.val))
			json_setn(d, live, it.key, it.key_len, json_copy(d, it.val));
		if (r < 0)
			return -1;
	}
	return 0;
}

/* true: v itself should go. A container emptied here goes too, unless somebody holds it or it is a top member. */
static bool remove_walk(
	const struct schema *s, struct json *v, const struct fset *gone, const struct fset *kept, int depth)
{
	bool touched = false;

	if (gone->member && !kept)
		return true;
	if (!json_is_obj(v) && !granular_list(s, v))
		return false;
	JSON_EACH (it, v) {
		CLEANUP(mem_freep) char *key = it.key ? str_printf("f:%s", it.key) : fset_item_key(s, it.val);
		const struct fset *kid = fset_kid(gone, key);
		const struct schema *below = it.key ? schema_member(s, it.key) : schema_items(s);

		if (!kid || !remove_walk(below, it.val, kid, kept ? fset_kid(kept, key) : NULL, depth + 1))
			continue;
		json_iter_remove(&it);
		touched = true;
	}
	return touched && !json_len(v) && !kept && depth > 1;
}

void fset_remove_from(
	const struct schema *s, struct json *v, const struct fset *gone, const struct fset *kept)
{
	remove_walk(s, v, gone, kept, 0);
}
