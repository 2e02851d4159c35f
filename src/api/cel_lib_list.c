/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, sets and optionals. */
#include "api/cel_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))
#define FLATTEN_DEPTH_MAX 32

/* ---- Kubernetes' lists ---- */

static struct cel_value f_is_sorted(ARGS)
{
	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	for (size_t i = 1; i < a[0].list->n; i++) {
		struct cel_value x = cel_list_at(r, a[0].list, i - 1), y = cel_list_at(r, a[0].list, i);
		int c = cel_compare(r, &x, &y);

		if (!cel_pay(r, 1))
			return cel_over_budget();
		if (c == 2)
			return cel_no_overload();
		if (c == 1)
			return cel_bool(false);
	}
	return cel_bool(true);
}

static struct cel_value plus(struct cel_run *r, const struct cel_value *x, const struct cel_value *y)
{
	const struct cel_value both[2] = { *x, *y };

	return cel_find_fn("_+_", 3)->call(r, NULL, both, 2);
}

static struct cel_value f_sum(ARGS)
{
	struct cel_value sum;

	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	if (!a[0].list->n) /* which zero, only the type of the list would know */
		return n->type && n->type->kind == T_DOUBLE     ? cel_double(0)
		       : n->type && n->type->kind == T_UINT     ? cel_uint(0)
		       : n->type && n->type->kind == T_DURATION ? cel_duration(0)
								: cel_int(0);
	sum = cel_list_at(r, a[0].list, 0);
	if (sum.kind != CEL_INT && sum.kind != CEL_UINT && sum.kind != CEL_DOUBLE && sum.kind != CEL_DURATION)
		return cel_no_overload();
	for (size_t i = 1; i < a[0].list->n && sum.kind != CEL_ERROR; i++) {
		struct cel_value v = cel_list_at(r, a[0].list, i);

		if (!cel_pay(r, 1))
			return cel_over_budget();
		sum = plus(r, &sum, &v);
	}
	return sum;
}

static struct cel_value extreme(struct cel_run *r, const struct cel_value *v, int want, const char *name)
{
	struct cel_value best;

	if (v->kind != CEL_LIST)
		return cel_no_overload();
	if (!v->list->n)
		return cel_fail(r, "%s called on empty list", name);
	best = cel_list_at(r, v->list, 0);
	for (size_t i = 1; i < v->list->n; i++) {
		struct cel_value x = cel_list_at(r, v->list, i);
		int c = cel_compare(r, &x, &best);

		if (!cel_pay(r, 1))
			return cel_over_budget();
		if (c == 2)
			return cel_no_overload();
		if (c == want)
			best = x;
	}
	return best;
}

static struct cel_value f_min(ARGS)
{
	return extreme(r, &a[0], -1, "min");
}

static struct cel_value f_max(ARGS)
{
	return extreme(r, &a[0], 1, "max");
}

/* ---- the lists extension ---- */

static struct cel_value f_slice(ARGS)
{
	struct cel_value *items;

	if (a[0].kind != CEL_LIST || a[1].kind != CEL_INT || a[2].kind != CEL_INT)
		return cel_no_overload();
	if (a[1].i < 0 || a[2].i < 0)
		return cel_fail(r, "cannot slice(%" PRId64 ", %" PRId64 "), negative indexes not supported",
			a[1].i, a[2].i);
	if (a[1].i > a[2].i)
		return cel_fail(r,
			"cannot slice(%" PRId64 ", %" PRId64
			"), start index must be less than or equal to end index",
			a[1].i, a[2].i);
	if ((uint64_t)a[2].i > a[0].list->n)
		return cel_fail(r, "cannot slice(%" PRId64 ", %" PRId64 "), list is length %zu", a[1].i,
			a[2].i, a[0].list->n);
	items = cel_items(r, (size_t)(a[2].i - a[1].i));
	if (!items)
		return cel_over_budget();
	for (int64_t i = a[1].i; i < a[2].i; i++)
		items[i - a[1].i] = cel_list_at(r, a[0].list, (size_t)i);
	return cel_list_of(r, items, (size_t)(a[2].i - a[1].i));
}

static size_t flat_size(struct cel_run *r, const struct cel_list *l, int64_t depth)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n && cel_pay(r, 1); i++) {
		struct cel_value v = cel_list_at(r, l, i);

		n += depth > 0 && v.kind == CEL_LIST ? flat_size(r, v.list, depth - 1) : 1;
	}
	return n;
}

static void flatten(struct cel_run *r, const struct cel_list *l, int64_t depth, struct cel_value *out,
	size_t *at, size_t max)
{
	for (size_t i = 0; i < l->n && !r->broke; i++) {
		struct cel_value v = cel_list_at(r, l, i);

		if (depth > 0 && v.kind == CEL_LIST)
			flatten(r, v.list, depth - 1, out, at, max);
		else if (*at < max)
			out[(*at)++] = v;
	}
}

static struct cel_value f_flatten(ARGS)
{
	int64_t depth = n_args > 1 && a[1].kind == CEL_INT ? a[1].i : 1;
	struct cel_value *items;
	size_t at = 0, size;

	if (a[0].kind != CEL_LIST || (n_args > 1 && a[1].kind != CEL_INT))
		return cel_no_overload();
	if (depth < 0)
		return cel_fail(r, "level must be non-negative");
	if (depth > FLATTEN_DEPTH_MAX)
		depth = FLATTEN_DEPTH_MAX;
	size = flat_size(r, a[0].list, depth);
	items = cel_items(r, size);
	if (!items)
		return cel_over_budget();
	flatten(r, a[0].list, depth, items, &at, size);
	return cel_list_of(r, items, at);
}

struct sort_ctx {
	struct cel_run *r;
	bool bad;
};

static int compare(const void *x, const void *y, void *arg)
{
	struct sort_ctx *c = arg;
	int d = cel_compare(c->r, x, y);

	if (d > 1)
		c->bad = true;
	return d > 1 ? 0 : d;
}

static struct cel_value f_sort(ARGS)
{
	struct sort_ctx c = { .r = r };
	struct cel_value *items;
	size_t len;

	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	len = a[0].list->n;
	items = cel_items(r, len);
	if (!items || !cel_pay(r, len * 4))
		return cel_over_budget();
	for (size_t i = 0; i < len; i++)
		items[i] = cel_list_at(r, a[0].list, i);
	qsort_r(items, len, sizeof(*items), compare, &c);
	return c.bad ? cel_no_overload() : cel_list_of(r, items, len);
}

static struct cel_value f_distinct(ARGS)
{
	struct cel_value *items;
	size_t count = 0;

	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	items = cel_items(r, a[0].list->n);
	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < a[0].list->n; i++) {
		struct cel_value v = cel_list_at(r, a[0].list, i);
		size_t k = 0;

		while (k < count && !cel_equal(r, &items[k], &v))
			k++;
		if (!cel_pay(r, 1 + k))
			return cel_over_budget();
		if (k == count)
			items[count++] = v;
	}
	return cel_list_of(r, items, count);
}

static struct cel_value f_reverse(ARGS)
{
	struct cel_value *items;
	size_t len;

	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	len = a[0].list->n;
	items = cel_items(r, len);
	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < len; i++)
		items[i] = cel_list_at(r, a[0].list, len - 1 - i);
	return cel_list_of(r, items, len);
}

static struct cel_value f_range(ARGS)
{
	struct cel_value *items;

	if (a[0].kind != CEL_INT)
		return cel_no_overload();
	if (a[0].i < 0)
		return cel_fail(r, "lists.range: size must not be negative");
	items = cel_items(r, (size_t)a[0].i);
	if (!items)
		return cel_over_budget();
	for (int64_t i = 0; i < a[0].i; i++)
		items[i] = cel_int(i);
	return cel_list_of(r, items, (size_t)a[0].i);
}

static struct cel_value end_of(struct cel_run *r, const struct cel_value *v, bool last)
{
	struct cel_value item;

	if (v->kind != CEL_LIST)
		return cel_no_overload();
	if (!v->list->n)
		return cel_optional(r, NULL);
	item = cel_list_at(r, v->list, last ? v->list->n - 1 : 0);
	return item.kind == CEL_ERROR ? item : cel_optional(r, &item);
}

static struct cel_value f_first(ARGS)
{
	return end_of(r, &a[0], false);
}

static struct cel_value f_last(ARGS)
{
	return end_of(r, &a[0], true);
}

/* ---- sets ---- */

static bool list_has(struct cel_run *r, const struct cel_list *l, const struct cel_value *v)
{
	for (size_t i = 0; i < l->n && cel_pay(r, 1); i++) {
		struct cel_value x = cel_list_at(r, l, i);

		if (cel_equal(r, &x, v))
			return true;
	}
	return false;
}

static bool has_all(struct cel_run *r, const struct cel_list *l, const struct cel_list *of)
{
	for (size_t i = 0; i < of->n; i++) {
		struct cel_value v = cel_list_at(r, of, i);

		if (!list_has(r, l, &v))
			return false;
	}
	return true;
}

static bool two_lists(const struct cel_value *a)
{
	return a[0].kind == CEL_LIST && a[1].kind == CEL_LIST;
}

static struct cel_value f_set_contains(ARGS)
{
	return two_lists(a) ? cel_bool(has_all(r, a[0].list, a[1].list)) : cel_no_overload();
}

static struct cel_value f_set_equivalent(ARGS)
{
	if (!two_lists(a))
		return cel_no_overload();
	return cel_bool(has_all(r, a[0].list, a[1].list) && has_all(r, a[1].list, a[0].list));
}

static struct cel_value f_set_intersects(ARGS)
{
	if (!two_lists(a))
		return cel_no_overload();
	for (size_t i = 0; i < a[1].list->n; i++) {
		struct cel_value v = cel_list_at(r, a[1].list, i);

		if (list_has(r, a[0].list, &v))
			return cel_bool(true);
	}
	return cel_bool(false);
}

/* ---- optionals ---- */

static struct cel_value f_opt_of(ARGS)
{
	return cel_optional(r, &a[0]);
}

static struct cel_value f_opt_none(ARGS)
{
	(void)a;
	return cel_optional(r, NULL);
}

static bool is_zero(const struct cel_value *v)
{
	switch (v->kind) {
	case CEL_NULL:
		return true;
	case CEL_BOOL:
		return !v->b;
	case CEL_INT:
	case CEL_UINT:
	case CEL_DURATION:
		return !v->i;
	case CEL_DOUBLE:
		return v->d == 0;
	case CEL_STRING:
	case CEL_BYTES:
		return !v->n;
	case CEL_LIST:
		return !v->list->n;
	case CEL_MAP:
		return !cel_map_size(v->map);
	case CEL_OPTIONAL:
		return !v->of;
	default:
		return false;
	}
}

static struct cel_value f_opt_non_zero(ARGS)
{
	return cel_optional(r, is_zero(&a[0]) ? NULL : &a[0]);
}

static struct cel_value f_has_value(ARGS)
{
	return a[0].kind == CEL_OPTIONAL ? cel_bool(a[0].of != NULL) : cel_no_overload();
}

static struct cel_value f_value(ARGS)
{
	if (a[0].kind != CEL_OPTIONAL)
		return cel_no_overload();
	return a[0].of ? *a[0].of : cel_fail(r, "optional.none() dereference");
}

/* Called with one argument if that has a value. */
static struct cel_value f_or(ARGS)
{
	if (n_args < 2)
		return a[0];
	return a[0].kind == CEL_OPTIONAL && a[1].kind == CEL_OPTIONAL ? a[1] : cel_no_overload();
}

static struct cel_value f_or_value(ARGS)
{
	if (n_args < 2)
		return *a[0].of;
	return a[0].kind == CEL_OPTIONAL ? a[1] : cel_no_overload();
}

static struct cel_value f_unwrap(ARGS)
{
	struct cel_value *items;
	size_t count = 0;

	if (a[0].kind != CEL_LIST)
		return cel_no_overload();
	items = cel_items(r, a[0].list->n);
	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < a[0].list->n; i++) {
		struct cel_value v = cel_list_at(r, a[0].list, i);

		if (v.kind != CEL_OPTIONAL)
			return v.kind == CEL_ERROR ? v : cel_no_overload();
		if (v.of)
			items[count++] = *v.of;
	}
	return cel_list_of(r, items, count);
}

#define SORTED "Li.:b|Lu.:b|Ld.:b|Lb.:b|Lr.:b|Lt.:b|Ls.:b|Ly.:b"
#define EXTREME "Li.:i|Lu.:u|Ld.:d|Lb.:b|Lr.:r|Lt.:t|Ls.:s|Ly.:y"
#define SORT "Li.:Li|Lu.:Lu|Ld.:Ld|Lb.:Lb|Lr.:Lr|Lt.:Lt|Ls.:Ls|Ly.:Ly"
const struct cel_fn cel_fns_list[] = {
	{ "isSorted", SORTED, f_is_sorted, false },
	{ "sum", "Li.:i|Lu.:u|Ld.:d|Lr.:r", f_sum, false },
	{ "min", EXTREME, f_min, false },
	{ "max", EXTREME, f_max, false },
	{ "slice", "LA.ii:LA", f_slice, false },
	{ "flatten", "LLA.:LA|LD.i:LD", f_flatten, false },
	{ "sort", SORT, f_sort, false },
	{ "distinct", "LA.:LA", f_distinct, false },
	{ "reverse", "LA.:LA", f_reverse, false },
	{ "lists.range", "i:Li", f_range, false },
	{ "first", "LA.:OA", f_first, false },
	{ "last", "LA.:OA", f_last, false },
	{ "sets.contains", "LALA:b", f_set_contains, false },
	{ "sets.equivalent", "LALA:b", f_set_equivalent, false },
	{ "sets.intersects", "LALA:b", f_set_intersects, false },
	{ 0 },
};
const struct cel_fn cel_fns_optional[] = {
	{ "optional.of", "A:OA", f_opt_of, false },
	{ "optional.none", ":OA", f_opt_none, false },
	{ "optional.ofNonZeroValue", "A:OA", f_opt_non_zero, false },
	{ "optional.unwrap", "LOA:LA", f_unwrap, false },
	{ "unwrapOpt", "LOA.:LA", f_unwrap, false },
	{ "hasValue", "OA.:b", f_has_value, false },
	{ "value", "OA.:A", f_value, false },
	{ "or", "OA.OA:OA", f_or, true },
	{ "orValue", "OA.A:A", f_or_value, true },
	{ 0 },
};
