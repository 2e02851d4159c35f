/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the tree of a program. Errors are values: && and || may still know better. */
#include "api/cel_int.h"

#include <string.h>

#define LIST_COST 10
#define MAP_COST 30
#define ARGS_MAX 16

static struct cel_value eval(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value v;

	if (r->depth >= CEL_WALK_MAX)
		return cel_fail(r, "evaluation nests too deeply");
	r->depth++;
	v = cel_eval_node(r, n);
	r->depth--;
	return r->broke ? cel_over_budget() : v;
}

/* ---- logic ---- */

static struct cel_value eval_logic(struct cel_run *r, const struct cel_node *n)
{
	bool decides = n->op == N_OR;
	struct cel_value err = { 0 };
	bool failed = false;

	for (size_t i = 0; i < n->n; i++) {
		struct cel_value v = eval(r, n->args[i]);

		if (v.kind == CEL_BOOL) {
			if (v.b == decides)
				return v;
			continue;
		}
		if (!failed)
			err = v.kind == CEL_ERROR ? v : cel_no_overload();
		failed = true;
	}
	return failed ? err : cel_bool(!decides);
}

static struct cel_value eval_cond(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value v = eval(r, n->args[0]);

	if (v.kind == CEL_ERROR)
		return v;
	if (v.kind != CEL_BOOL)
		return cel_no_overload();
	return eval(r, n->args[v.b ? 1 : 2]);
}

/* ---- members ---- */

static bool member_of(
	struct cel_run *r, const struct cel_map *m, const struct cel_node *n, struct cel_value *ret)
{
	if (n->field && m->raw && m->schema && !m->schema->additional)
		return cel_map_get(r, m, n->field, n->field_len, ret);
	return cel_map_get(r, m, n->name, n->name_len, ret);
}

static struct cel_value select_member(struct cel_run *r, const struct cel_node *n, const struct cel_value *of)
{
	struct cel_value v;

	if (of->kind == CEL_OPTIONAL) {
		if (!of->of)
			return *of;
		if (of->of->kind != CEL_MAP)
			return cel_no_overload();
		if (!member_of(r, of->of->map, n, &v))
			return cel_optional(r, NULL);
		return v.kind == CEL_ERROR || v.kind == CEL_OPTIONAL ? v : cel_optional(r, &v);
	}
	if (of->kind != CEL_MAP || !member_of(r, of->map, n, &v)) {
		v = cel_strn(n->name, n->name_len);
		return cel_no_key(r, &v);
	}
	return v;
}

static struct cel_value has_member(struct cel_run *r, const struct cel_node *n, const struct cel_value *of)
{
	struct cel_value v;

	if (of->kind == CEL_OPTIONAL) {
		if (!of->of)
			return cel_bool(false);
		of = of->of;
	}
	if (of->kind != CEL_MAP || !member_of(r, of->map, n, &v))
		return cel_bool(false);
	return v.kind == CEL_OPTIONAL ? cel_bool(v.of != NULL) : cel_bool(true);
}

static struct cel_value opt_member(struct cel_run *r, const struct cel_node *n, const struct cel_value *of)
{
	struct cel_value v;

	if (of->kind == CEL_OPTIONAL)
		return select_member(r, n, of);
	if (of->kind != CEL_MAP)
		return cel_no_overload();
	if (!member_of(r, of->map, n, &v))
		return cel_optional(r, NULL);
	return v.kind == CEL_ERROR || v.kind == CEL_OPTIONAL ? v : cel_optional(r, &v);
}

static struct cel_value eval_select(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value of = eval(r, n->args[0]);

	if (of.kind == CEL_ERROR)
		return of;
	if (n->op == N_SELECT)
		return select_member(r, n, &of);
	return n->op == N_HAS ? has_member(r, n, &of) : opt_member(r, n, &of);
}

static struct cel_value eval_call(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value args[ARGS_MAX];

	for (size_t i = 0; i < n->n; i++) {
		args[i] = eval(r, n->args[i]);
		if (args[i].kind == CEL_ERROR)
			return args[i];
		if (i == 0 && n->fn->lazy && args[0].kind == CEL_OPTIONAL && args[0].of)
			return n->fn->call(r, n, args, 1);
	}
	return n->fn->call(r, n, args, n->n);
}

/* ---- literals ---- */

static struct cel_value eval_list(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value *items = cel_items(r, n->n + LIST_COST);
	size_t count = 0;

	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < n->n; i++) {
		struct cel_value v = eval(r, n->args[i]);

		if (v.kind == CEL_ERROR)
			return v;
		if (n->optional && n->optional[i]) {
			if (v.kind != CEL_OPTIONAL)
				return cel_no_overload();
			if (!v.of)
				continue;
			v = *v.of;
		}
		items[count++] = v;
	}
	return cel_list_of(r, items, count);
}

/* Grown as it goes; every look through it is paid for. */
struct map_maker {
	struct cel_pair *pairs;
	size_t n, cap;
};

/* unique: a key that is there already is an error, else it gets the new value. */
static struct cel_value map_put(struct cel_run *r, struct map_maker *m, const struct cel_value *key,
	const struct cel_value *val, bool unique)
{
	if (key->kind != CEL_STRING && key->kind != CEL_INT && key->kind != CEL_UINT &&
		key->kind != CEL_BOOL && key->kind != CEL_DOUBLE)
		return cel_fail(r, "unsupported key type: %s", cel_type_name(key));
	for (size_t i = 0; i < m->n; i++) {
		if (m->pairs[i].key.kind != key->kind || !cel_equal(r, &m->pairs[i].key, key))
			continue;
		if (unique) {
			struct cel_value e = cel_no_key(r, key);

			return cel_fail(r, "insert failed: key %s already exists",
				e.n > 13 ? e.s + strlen("no such key: ") : "");
		}
		m->pairs[i].val = *val;
		return cel_bool(true);
	}
	if (!cel_pay(r, 1 + m->n / 8))
		return cel_over_budget();
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 4;
		struct cel_pair *more = arena_alloc(r->arena, cap * sizeof(*more));

		if (m->n)
			memcpy(more, m->pairs, m->n * sizeof(*more));
		m->pairs = more;
		m->cap = cap;
	}
	m->pairs[m->n++] = (struct cel_pair){ *key, *val };
	return cel_bool(true);
}

static struct cel_value eval_map(struct cel_run *r, const struct cel_node *n)
{
	struct map_maker m = { 0 };

	if (!cel_pay(r, MAP_COST))
		return cel_over_budget();
	for (size_t i = 0; i + 1 < n->n; i += 2) {
		struct cel_value k = eval(r, n->args[i]), v, put;

		if (k.kind == CEL_ERROR)
			return k;
		v = eval(r, n->args[i + 1]);
		if (v.kind == CEL_ERROR)
			return v;
		if (n->optional && n->optional[i / 2]) {
			if (v.kind != CEL_OPTIONAL)
				return cel_no_overload();
			if (!v.of)
				continue;
			v = *v.of;
		}
		put = map_put(r, &m, &k, &v, false);
		if (put.kind == CEL_ERROR)
			return put;
	}
	return cel_map_of(r, m.pairs, m.n);
}

/* ---- folds ---- */

struct fold {
	struct cel_run *r;
	const struct cel_node *n;
	const struct cel_list *list; /* items, or keys */
	const struct cel_map *map;   /* of keys, or NULL */
	struct cel_value *out;       /* FOLD_MAP and so on */
	size_t n_out;
	struct map_maker pairs;
	size_t hits;
	struct cel_value error;
	bool failed;
};

/* The first failure is told; of conditions, the last, as upstream, whose loop goes on and may fail again. */
static void fail_last(struct fold *f, const struct cel_value *v)
{
	f->error = v->kind == CEL_ERROR ? *v : cel_no_overload();
	f->failed = true;
}

static void fail(struct fold *f, const struct cel_value *v)
{
	if (!f->failed)
		f->error = v->kind == CEL_ERROR ? *v : cel_no_overload();
	f->failed = true;
}

/* Sets the macro's variables for step i; false: one of them is an error. */
static bool set_variables(struct fold *f, size_t i, struct cel_value *ret_first)
{
	struct cel_run *r = f->r;
	struct cel_value v = cel_list_at(r, f->list, i), val;

	*ret_first = v;
	if (v.kind == CEL_ERROR) {
		fail(f, &v);
		return false;
	}
	if (!f->n->two) {
		r->locals[f->n->slot] = v;
		return true;
	}
	if (!f->map) {
		r->locals[f->n->slot] = cel_int((int64_t)i);
		r->locals[f->n->slot2] = v;
		return true;
	}
	if (!cel_map_find(r, f->map, &v, &val) || val.kind == CEL_ERROR) {
		fail(f, &val);
		return false;
	}
	r->locals[f->n->slot] = v;
	r->locals[f->n->slot2] = val;
	return true;
}

static bool put_entries(struct fold *f, const struct cel_value *v)
{
	struct cel_value keys, val, put;

	if (v->kind != CEL_MAP) {
		fail(f, v);
		return false;
	}
	keys = cel_map_keys(f->r, v->map);
	for (size_t i = 0; keys.kind == CEL_LIST && i < keys.list->n; i++) {
		if (!cel_map_find(f->r, v->map, &keys.list->items[i], &val))
			continue;
		put = map_put(f->r, &f->pairs, &keys.list->items[i], &val, true);
		if (put.kind == CEL_ERROR) {
			fail(f, &put);
			return false;
		}
	}
	return true;
}

/* What a step's result does; false: nothing more can change the outcome. */
static bool take_step(struct fold *f, const struct cel_value *first, const struct cel_value *v)
{
	struct cel_value put;

	switch (f->n->fold) {
	case FOLD_ALL:
	case FOLD_EXISTS:
		if (v->kind != CEL_BOOL)
			fail(f, v);
		else if (v->b == (f->n->fold == FOLD_EXISTS))
			f->hits++;
		return f->hits == 0;
	case FOLD_ONE:
	case FOLD_FILTER:
		if (v->kind != CEL_BOOL) {
			fail_last(f, v);
			return true;
		}
		if (v->b && f->n->fold == FOLD_FILTER)
			f->out[f->n_out++] = *first;
		f->hits += v->b;
		return true;
	case FOLD_MAP:
	case FOLD_LIST:
	case FOLD_SORT:
		if (v->kind == CEL_ERROR) {
			fail(f, v);
			return false;
		}
		f->out[f->n_out++] = *v;
		return true;
	case FOLD_TMAP:
		put = v->kind == CEL_ERROR ? *v
					   : map_put(f->r, &f->pairs, &f->r->locals[f->n->slot], v, true);
		if (put.kind == CEL_ERROR) {
			fail(f, &put);
			return false;
		}
		return true;
	case FOLD_ENTRY:
		return put_entries(f, v);
	}
	return false;
}

static bool guard_passes(struct fold *f)
{
	struct cel_value v = eval(f->r, f->n->args[2]);

	if (v.kind == CEL_BOOL)
		return v.b;
	fail_last(f, &v);
	return false;
}

static void fold_steps(struct fold *f)
{
	for (size_t i = 0; i < f->list->n && !f->r->broke; i++) {
		struct cel_value first, v;

		(void)cel_pay(f->r, 2);
		if (!set_variables(f, i, &first))
			return;
		if (f->n->guarded && !guard_passes(f))
			continue;
		v = eval(f->r, f->n->args[1]);
		if (!take_step(f, &first, &v))
			return;
	}
}

struct sort_item {
	struct cel_value key, item;
	size_t i;
};
struct sort_ctx {
	struct cel_run *r;
	bool bad;
};

static int compare_items(const void *a, const void *b, void *arg)
{
	const struct sort_item *x = a, *y = b;
	struct sort_ctx *c = arg;
	int d = cel_compare(c->r, &x->key, &y->key);

	if (d > 1)
		c->bad = true;
	return d == -1 || d == 1 ? d : x->i < y->i ? -1 : 1;
}

static struct cel_value sorted_by(
	struct cel_run *r, const struct cel_list *list, const struct cel_value *keys)
{
	struct cel_value *out = cel_items(r, list->n);
	struct sort_ctx c = { .r = r };
	struct sort_item *items;

	if (!out || !cel_pay(r, list->n * 4))
		return cel_over_budget();
	items = arena_alloc(r->arena, (list->n + 1) * sizeof(*items));
	for (size_t i = 0; i < list->n; i++)
		items[i] = (struct sort_item){ keys[i], cel_list_at(r, list, i), i };
	qsort_r(items, list->n, sizeof(*items), compare_items, &c);
	if (c.bad)
		return cel_no_overload();
	for (size_t i = 0; i < list->n; i++)
		out[i] = items[i].item;
	return cel_list_of(r, out, list->n);
}

static struct cel_value fold_result(struct fold *f)
{
	enum cel_fold kind = f->n->fold;

	if ((kind == FOLD_ALL || kind == FOLD_EXISTS) && f->hits)
		return cel_bool(kind == FOLD_EXISTS);
	if (f->failed)
		return f->error;
	switch (kind) {
	case FOLD_ALL:
	case FOLD_EXISTS:
		return cel_bool(kind == FOLD_ALL);
	case FOLD_ONE:
		return cel_bool(f->hits == 1);
	case FOLD_TMAP:
	case FOLD_ENTRY:
		return cel_map_of(f->r, f->pairs.pairs, f->pairs.n);
	case FOLD_SORT:
		return sorted_by(f->r, f->list, f->out);
	default:
		return cel_list_of(f->r, f->out, f->n_out);
	}
}

static struct cel_value eval_fold(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value range = eval(r, n->args[0]);
	struct fold f = { .r = r, .n = n };

	if (range.kind == CEL_ERROR)
		return range;
	if (range.kind == CEL_MAP) {
		f.map = range.map;
		range = cel_map_keys(r, range.map);
	}
	if (range.kind != CEL_LIST)
		return range.kind == CEL_ERROR ? range : cel_no_overload();
	f.list = range.list;
	if (n->fold != FOLD_ALL && n->fold != FOLD_EXISTS && n->fold != FOLD_ONE) {
		f.out = cel_items(r, f.list->n);
		if (!f.out)
			return cel_over_budget();
	}
	fold_steps(&f);
	return fold_result(&f);
}

static struct cel_value eval_opt_map(struct cel_run *r, const struct cel_node *n)
{
	struct cel_value v = eval(r, n->args[0]);

	if (v.kind != CEL_OPTIONAL)
		return v.kind == CEL_ERROR ? v : cel_no_overload();
	if (!v.of)
		return v;
	r->locals[n->slot] = *v.of;
	v = eval(r, n->args[1]);
	if (v.kind == CEL_ERROR)
		return v;
	if (n->op == N_OPT_MAP)
		return cel_optional(r, &v);
	return v.kind == CEL_OPTIONAL ? v : cel_no_overload();
}

struct cel_value cel_eval_node(struct cel_run *r, const struct cel_node *n)
{
	if (n->op != N_CONST && !cel_pay(r, 1))
		return cel_over_budget();
	switch (n->op) {
	case N_CONST:
		return n->value;
	case N_LOCAL:
		return r->locals[n->slot];
	case N_GLOBAL:
		return r->vars[n->slot];
	case N_SELECT:
	case N_HAS:
	case N_OPT_SELECT:
		return eval_select(r, n);
	case N_CALL:
		return eval_call(r, n);
	case N_AND:
	case N_OR:
		return eval_logic(r, n);
	case N_COND:
		return eval_cond(r, n);
	case N_LIST:
		return eval_list(r, n);
	case N_MAP:
		return eval_map(r, n);
	case N_FOLD:
		return eval_fold(r, n);
	case N_OPT_MAP:
	case N_OPT_FLAT_MAP:
		return eval_opt_map(r, n);
	case N_IDENT:
		break;
	}
	return cel_fail(r, "undeclared reference");
}

/* ---- the door ---- */

int cel_eval(const struct cel_program *p, struct cel_run *r, const struct cel_value *vars,
	struct cel_value *ret, struct err *e)
{
	struct cel_value locals[CEL_LOCALS_MAX], *outer_locals = r->locals, v;
	const struct cel_value *outer_vars = r->vars;

	if (r->evals++ == 0) {
		r->cost = 0;
		r->broke = false;
	}
	r->locals = locals;
	r->vars = vars;
	v = eval(r, p->root);
	r->locals = outer_locals;
	r->vars = outer_vars;
	if (--r->evals == 0) {
		bool poor = r->cost > r->left;

		r->left = poor ? 0 : r->left - r->cost;
		if (poor)
			return err_set(e, ERR_TOO_LARGE,
				"validation failed due to running out of cost budget, no further validation "
				"rules will be run");
	}
	if (r->broke)
		return err_set(e, ERR_TOO_LARGE, "%s", cel_over_budget().s);
	if (v.kind == CEL_ERROR)
		return err_set(e, ERR_INVALID, "%s", v.s);
	*ret = v;
	return 0;
}

int cel_eval_bool(const struct cel_program *p, struct cel_run *r, const struct cel_value *vars, bool *ret,
	struct err *e)
{
	struct cel_value v;

	if (cel_eval(p, r, vars, &v, e) < 0)
		return -1;
	if (v.kind != CEL_BOOL)
		return err_set(e, ERR_INVALID, "the expression gave a %s, not a bool", cel_type_name(&v));
	*ret = v.b;
	return 0;
}
