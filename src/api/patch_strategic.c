/* SPDX-License-Identifier: Apache-2.0 */
/* Strategic merge patches (kubernetes-api.md 3), after apimachinery's strategicpatch: maps merge, null deletes, lists replace
 * unless the schema names a key. New elements come before those the patch does not name, unless an order is given. */
#include "api/patch.h"

#include <string.h>

#include "api/members.h"
#include "base/mem.h"

#define COMPARISONS_MAX 4000000 /* of list elements: long lists on both sides are refused */

static const char set_order[] = "$setElementOrder/", delete_from[] = "$deleteFromPrimitiveList/";

static int merge_map(struct json_doc *d, const struct schema *s, struct json *into, const struct json *patch,
	struct err *e);

static bool is_directive(const char *key)
{
	return str_eq(key, "$patch") || str_eq(key, "$retainKeys") || str_starts(key, set_order) ||
	       str_starts(key, delete_from);
}

/* A copy for a place where nothing stood: without directives, nulls and elements to delete. */
static struct json *plain_copy(struct json_doc *d, const struct json *v)
{
	if (json_is_obj(v)) {
		struct json *o = json_new_obj(d);

		JSON_EACH (it, v)
			if (!is_directive(it.key) && !json_is_null(it.val))
				json_set(d, o, it.key, plain_copy(d, it.val));
		return o;
	}
	if (json_is_arr(v)) {
		struct json *a = json_new_arr(d);

		JSON_EACH (it, v)
			if (!json_get(it.val, "$patch"))
				json_append(d, a, plain_copy(d, it.val));
		return a;
	}
	return json_copy(d, v);
}

/* ---- lists ---- */

/* An element of the list being made. */
struct element {
	struct json *v;
	size_t was;  /* index in the live list, SIZE_MAX: new */
	size_t rank; /* index in the order asked for, SIZE_MAX: not named there */
};
struct list {
	struct element *items;
	size_t n, cap;
	const char *key; /* NULL: scalars */
};

static void list_done(struct list *l)
{
	free(l->items);
}

static void list_add(struct list *l, struct json *v, size_t was)
{
	l->items = mem_grow(l->items, &l->cap, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = (struct element){ v, was, SIZE_MAX };
}

static bool same_element(const char *key, const struct json *a, const struct json *b)
{
	if (!key)
		return json_eq(a, b);
	const struct json *ka = json_get(a, key), *kb = json_get(b, key);
	return ka && kb && json_eq(ka, kb);
}

static struct element *list_find(const struct list *l, const struct json *v)
{
	for (size_t i = 0; i < l->n; i++)
		if (same_element(l->key, l->items[i].v, v))
			return &l->items[i];
	return NULL;
}

static void list_remove(struct list *l, const struct json *v)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!same_element(l->key, l->items[i].v, v))
			l->items[n++] = l->items[i];
	l->n = n;
}

static int no_key(const struct json *v, const char *key, struct err *e)
{
	CLEANUP(mem_freep) char *text = json_write(v, NULL);

	return err_set(e, ERR_INTERNAL, "map: %.200s does not contain declared merge key: %s", text, key);
}

/* Takes the patch's elements into the list; `replace` is set if the patch says so, and then they are all there is. */
static int take_elements(
	struct json_doc *d, const struct schema *s, struct list *l, const struct json *patch, struct err *e)
{
	JSON_EACH (it, patch) {
		if (str_eq(json_get_str(it.val, "$patch"), "replace")) {
			l->n = 0;
		} else if (str_eq(json_get_str(it.val, "$patch"), "delete")) {
			if (l->key && !json_get(it.val, l->key))
				return no_key(it.val, l->key, e);
			list_remove(l, it.val);
		}
	}
	JSON_EACH (it, patch) {
		if (json_get(it.val, "$patch"))
			continue;
		if (l->key && (!json_is_obj(it.val) || !json_get(it.val, l->key)))
			return no_key(it.val, l->key, e);
		struct element *old = list_find(l, it.val);
		if (!old)
			list_add(l, plain_copy(d, it.val), SIZE_MAX);
		else if (l->key && merge_map(d, schema_items(s), old->v, it.val, e) < 0)
			return -1;
	}
	return 0;
}

static int compare_ranks(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Those named in the order, in that order; between them the others, each before the first named one it stood before. */
static void put_in_order(struct list *l, const struct json *order)
{
	struct list named = { 0 }, others = { 0 };
	size_t i = 0, j = 0, n = 0;

	JSON_EACH (it, order) {
		struct element *x = json_get(it.val, "$patch") ? NULL : list_find(l, it.val);

		if (x && x->rank == SIZE_MAX)
			x->rank = it.i;
	}
	for (size_t k = 0; k < l->n; k++) {
		struct list *to = l->items[k].rank == SIZE_MAX ? &others : &named;

		list_add(to, l->items[k].v, l->items[k].was);
		to->items[to->n - 1].rank = l->items[k].rank;
	}
	if (named.n > 1)
		qsort(named.items, named.n, sizeof(*named.items), compare_ranks);
	while (i < others.n || j < named.n) {
		bool before =
			i < others.n &&
			(j >= named.n || (others.items[i].was != SIZE_MAX && named.items[j].was != SIZE_MAX &&
						 others.items[i].was < named.items[j].was));

		l->items[n++] = before ? others.items[i++] : named.items[j++];
	}
	list_done(&named);
	list_done(&others);
}

/* live, patch, order: lists or NULL. Puts the outcome under `name`. */
static int merge_list(struct json_doc *d, const struct schema *s, struct json *holder, const char *name,
	const struct json *patch, const struct json *order, struct err *e)
{
	struct json *live = json_get(holder, name);
	CLEANUP(list_done) struct list l = { .key = schema_merge_key(s) };
	size_t n = json_len(live) + 1, m = json_len(patch) + json_len(order) + 1;

	if (n > COMPARISONS_MAX / m)
		return err_set(e, ERR_TOO_LARGE, "lists of %zu and %zu elements are too long to merge", n, m);
	JSON_EACH (it, live)
		list_add(&l, it.val, it.i);
	if (patch && take_elements(d, s, &l, patch, e) < 0)
		return -1;
	if (patch)
		put_in_order(&l, patch);
	if (order) {
		for (size_t i = 0; i < l.n; i++)
			l.items[i].rank = SIZE_MAX;
		put_in_order(&l, order);
	}
	struct json *out = json_new_arr(d);
	for (size_t i = 0; i < l.n; i++)
		json_append(d, out, json_copy(d, l.items[i].v));
	json_set(d, holder, name, out);
	return 0;
}

static int delete_scalars(
	struct json_doc *d, struct json *holder, const char *name, const struct json *gone, struct err *e)
{
	struct json *live = json_get(holder, name);
	struct list l = { 0 };

	(void)d;
	if (json_len(live) > COMPARISONS_MAX / (json_len(gone) + 1))
		return err_set(e, ERR_TOO_LARGE, "lists are too long to merge");
	JSON_EACH (it, gone)
		list_add(&l, it.val, SIZE_MAX);
	JSON_EACH (it, live)
		if (list_find(&l, it.val))
			json_iter_remove(&it);
	list_done(&l);
	return 0;
}

/* ---- maps ---- */

static bool list_merges(const struct schema *s)
{
	return schema_merge_key(s) || schema_merges(s);
}

static void retain_keys(struct json *into, const struct json *keys)
{
	JSON_EACH (it, into) {
		bool kept = false;

		JSON_EACH (k, keys)
			kept |= str_eq(json_str(k.val), it.key);
		if (!kept)
			json_iter_remove(&it);
	}
}

static int merge_member(struct json_doc *d, const struct schema *s, struct json *into, const char *key,
	const struct json *patch, const struct json *order, struct err *e)
{
	struct json *live = json_get(into, key);

	if (json_is_null(patch)) {
		json_remove(into, key);
		return 0;
	}
	if (json_is_obj(live) && json_is_obj(patch))
		return merge_map(d, s, live, patch, e);
	if (json_is_arr(patch) && list_merges(s) && (json_is_arr(live) || order)) {
		if (!json_is_arr(live))
			json_set(d, into, key, json_new_arr(d));
		return merge_list(d, s, into, key, patch, order, e);
	}
	json_set(d, into, key, plain_copy(d, patch));
	return 0;
}

/* $setElementOrder/F where F itself is not patched. */
static int order_only(struct json_doc *d, const struct schema *s, struct json *into, const struct json *patch,
	const char *key, const struct json *order, struct err *e)
{
	if (json_get(patch, key) || !json_is_arr(json_get(into, key)) || !list_merges(schema_member(s, key)))
		return 0;
	return merge_list(d, schema_member(s, key), into, key, NULL, order, e);
}

static int merge_entry(struct json_doc *d, const struct schema *s, struct json *into,
	const struct json *patch, const char *key, const struct json *v, struct err *e)
{
	if (str_starts(key, set_order))
		return order_only(d, s, into, patch, key + strlen(set_order), v, e);
	if (str_starts(key, delete_from))
		return delete_scalars(d, into, key + strlen(delete_from), v, e);
	if (is_directive(key))
		return 0;
	CLEANUP(mem_freep) char *order = json_is_arr(v) ? str_printf("%s%s", set_order, key) : NULL;
	return merge_member(d, schema_member(s, key), into, key, v, order ? json_get(patch, order) : NULL, e);
}

static int merge_map(struct json_doc *d, const struct schema *s, struct json *into, const struct json *patch,
	struct err *e)
{
	const char *directive = json_get_str(patch, "$patch");

	if (members_too_many(into, patch, e))
		return -1;
	if (str_eq(directive, "replace") || str_eq(directive, "delete")) {
		json_clear(into);
		if (*directive == 'r')
			JSON_EACH (it, patch)
				if (!is_directive(it.key) && !json_is_null(it.val))
					json_set(d, into, it.key, plain_copy(d, it.val));
		return 0;
	}
	if (directive && !str_eq(directive, "merge"))
		return err_set(e, ERR_BAD_REQUEST, "Unknown patch type found: %.64s", directive);
	if (json_is_arr(json_get(patch, "$retainKeys")))
		retain_keys(into, json_get(patch, "$retainKeys"));
	JSON_EACH (it, patch)
		if (merge_entry(d, s, into, patch, it.key, it.val, e) < 0)
			return -1;
	return 0;
}

int patch_strategic(const struct schema *s, const struct json *current, const struct json *patch,
	struct json_doc **ret, struct err *e)
{
	if (!json_is_obj(patch))
		return err_set(e, ERR_BAD_REQUEST, "a strategic merge patch must be an object");
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(current);
	if (!json_is_obj(json_root(d)))
		json_set_root(d, json_new_obj(d));
	if (merge_map(d, s, json_root(d), patch, e) < 0)
		return -1;
	*ret = TAKE(d);
	return 0;
}
