/* SPDX-License-Identifier: Apache-2.0 */
/* Names to variables, calls to functions, and whether the types fit: what is wrong is said when the rule is written. */
#include "api/cel_int.h"

#include <string.h>

struct local {
	const char *name;
	const struct cel_type *type;
};
struct checker {
	struct cel_source *src;
	struct arena *a;
	const struct cel_env *env;
	struct cel_program *p;
	struct local locals[CEL_LOCALS_MAX];
	unsigned n_locals;
	unsigned mixed; /* within the arguments of format(), where literals may have entries of all types */
	const struct cel_type **bound; /* of type variables */
	size_t n_bound, cap_bound;
	struct undo { /* what they stood for before: to take back what did not fit */
		size_t var;
		const struct cel_type *was;
	} * trail;
	size_t n_trail, cap_trail;
};

static const struct cel_type *check(struct checker *c, struct cel_node *n);

static const struct cel_type *simple(struct checker *c, const char *letter)
{
	return cel_type_read(c->a, &letter, NULL);
}

static const struct cel_type *complain(struct checker *c, const struct cel_node *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static const struct cel_type *complain(struct checker *c, const struct cel_node *n, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	cel_complain(c->src, n->pos, "%s", str_cstr(&text));
	return simple(c, "D");
}

/* ---- type variables ---- */

static const struct cel_type *fresh(struct checker *c)
{
	struct cel_type *t = arena_alloc(c->a, sizeof(*t));

	t->kind = T_VAR;
	t->var = c->n_bound;
	c->bound = mem_grow(c->bound, &c->cap_bound, c->n_bound + 1, sizeof(struct cel_type *));
	c->bound[c->n_bound++] = NULL;
	return t;
}

static const struct cel_type *resolve(const struct checker *c, const struct cel_type *t)
{
	MUST(t);
	while (t->kind == T_VAR && c->bound[t->var])
		t = c->bound[t->var];
	return t;
}

static bool mentions(const struct checker *c, const struct cel_type *t, const struct cel_type *var)
{
	t = resolve(c, t);
	if (t == var)
		return true;
	return (t->a && mentions(c, t->a, var)) || (t->b && mentions(c, t->b, var));
}

/* What is known by now; open variables count as dyn. */
static const struct cel_type *settle(struct checker *c, const struct cel_type *t)
{
	t = resolve(c, t);
	if (!t->a && !t->b)
		return t;
	if (t->kind != T_LIST && t->kind != T_MAP && t->kind != T_OPTIONAL)
		return t;
	return cel_type_make(c->a, t->kind, settle(c, t->a), t->b ? settle(c, t->b) : NULL);
}

static bool nullable(const struct cel_type *t)
{
	switch (t->kind) {
	case T_NULL:
	case T_DURATION:
	case T_TIMESTAMP:
	case T_SCHEMA:
	case T_STRUCT:
	case T_OPAQUE:
	case T_OPTIONAL:
		return true;
	default:
		return false;
	}
}

static bool fits(struct checker *c, const struct cel_type *from, const struct cel_type *to);

static void set_bound(struct checker *c, size_t var, const struct cel_type *to)
{
	c->trail = mem_grow(c->trail, &c->cap_trail, c->n_trail + 1, sizeof(*c->trail));
	c->trail[c->n_trail++] = (struct undo){ var, c->bound[var] };
	c->bound[var] = to;
}

static bool bind(struct checker *c, const struct cel_type *var, const struct cel_type *to)
{
	if (var == to)
		return true;
	if (mentions(c, to, var))
		return false;
	set_bound(c, var->var, to);
	return true;
}

/* A variable already stands for something: what fits it may be more general, then that is what it stands for. */
static bool widen(struct checker *c, const struct cel_type *from, const struct cel_type *var)
{
	const struct cel_type *now = resolve(c, var);

	if (!fits(c, from, now))
		return false;
	from = resolve(c, from);
	if ((from->kind == T_DYN && now->kind != T_DYN && now->kind != T_VAR) ||
		(now->kind == T_NULL && from->kind != T_NULL && from->kind != T_VAR))
		set_bound(c, var->var, from);
	return true;
}

static bool fits(struct checker *c, const struct cel_type *from, const struct cel_type *to)
{
	const struct cel_type *x = resolve(c, from), *y;

	if (to->kind == T_VAR && c->bound[to->var])
		return widen(c, from, to);
	y = resolve(c, to);
	if (x == y)
		return true;
	if (y->kind == T_VAR)
		return bind(c, y, x);
	if (x->kind == T_VAR)
		return bind(c, x, y);
	if (x->kind == T_DYN || y->kind == T_DYN)
		return true;
	if (x->kind == T_NULL || y->kind == T_NULL)
		return nullable(x) && nullable(y);
	if (x->kind != y->kind)
		return false;
	switch (x->kind) {
	case T_LIST:
	case T_OPTIONAL:
		return fits(c, x->a, y->a);
	case T_MAP:
		return fits(c, x->a, y->a) && fits(c, x->b, y->b);
	case T_SCHEMA:
		return x->schema == y->schema && x->root == y->root;
	case T_STRUCT:
		return str_eq(x->name, y->name) && x->n == y->n;
	case T_OPAQUE:
		return str_eq(x->name, y->name);
	default:
		return true;
	}
}

/* As fits(), but without traces if it does not. */
static bool try_fit(
	struct checker *c, const struct cel_type *const *from, const struct cel_type *const *to, size_t n)
{
	size_t mark = c->n_trail;

	for (size_t i = 0; i < n; i++) {
		if (fits(c, from[i], to[i]))
			continue;
		while (c->n_trail > mark) {
			c->n_trail--;
			c->bound[c->trail[c->n_trail].var] = c->trail[c->n_trail].was;
		}
		return false;
	}
	return true;
}

static bool wrong_type(
	struct checker *c, const struct cel_node *n, const struct cel_type *is, const struct cel_type *want)
{
	CLEANUP(str_done) struct str a = { 0 }, b = { 0 };

	cel_type_text(settle(c, want), &a);
	cel_type_text(settle(c, is), &b);
	complain(c, n, "expected type '%s' but found '%s'", str_cstr(&a), str_cstr(&b));
	return false;
}

static bool demand(
	struct checker *c, const struct cel_node *n, const struct cel_type *is, const struct cel_type *want)
{
	return try_fit(c, &is, &want, 1) || wrong_type(c, n, is, want);
}

/* ---- calls ---- */
#define ARGS_MAX 16
struct overload {
	bool member;
	size_t n;
	const struct cel_type *args[ARGS_MAX], *result;
};

/* The next overload of a signature text; false at its end. */
static bool next_overload(struct checker *c, const char **sig, struct overload *o)
{
	const struct cel_type *vars[2];

	if (!**sig)
		return false;
	vars[0] = fresh(c);
	vars[1] = fresh(c);
	*o = (struct overload){ 0 };
	while (**sig != ':') {
		if (**sig == '.') {
			o->member = true;
			(*sig)++;
			continue;
		}
		MUST(o->n < ARGS_MAX);
		o->args[o->n++] = cel_type_read(c->a, sig, vars);
		MUST(o->args[o->n - 1]);
	}
	(*sig)++;
	o->result = cel_type_read(c->a, sig, vars);
	MUST(o->result);
	if (**sig == '|')
		(*sig)++;
	return true;
}

static const struct cel_type *no_overload(struct checker *c, const struct cel_node *n, const char *name,
	const struct cel_type *const *args, size_t n_args, bool member)
{
	CLEANUP(str_done) struct str text = { 0 };
	size_t i = 0;

	if (member) {
		cel_type_text(settle(c, args[i++]), &text);
		str_addc(&text, '.');
	}
	str_addc(&text, '(');
	for (bool first = true; i < n_args; i++, first = false) {
		str_add(&text, first ? "" : ", ");
		cel_type_text(settle(c, args[i]), &text);
	}
	str_addc(&text, ')');
	return complain(c, n, "found no matching overload for '%s' applied to '%s'", name, str_cstr(&text));
}

static bool same_type(struct checker *c, const struct cel_type *x, const struct cel_type *y)
{
	x = resolve(c, x);
	y = resolve(c, y);
	if (x == y)
		return true;
	if (x->kind != y->kind || x->kind == T_DYN || x->kind == T_VAR)
		return false;
	if (x->a && y->a && !same_type(c, x->a, y->a))
		return false;
	return !x->b || !y->b || same_type(c, x->b, y->b);
}

static const struct cel_type *resolve_call(
	struct checker *c, struct cel_node *n, const struct cel_type *const *args, size_t n_args, bool member)
{
	const struct cel_type *result = NULL;
	const char *sig = n->fn->sigs;
	struct overload o;

	while (next_overload(c, &sig, &o)) {
		if (o.member != member || o.n != n_args || !try_fit(c, args, o.args, n_args))
			continue;
		if (!result)
			result = settle(c, o.result);
		else if (result->kind != T_DYN && !same_type(c, result, o.result))
			result = simple(c, "D");
	}
	return result ? result : no_overload(c, n, n->name, args, n_args, member);
}

/* a.b.c, if the node is nothing but names. */
static bool qualified(const struct cel_node *n, struct str *out)
{
	if (n->op == N_IDENT) {
		str_addn(out, n->name, n->name_len);
		return true;
	}
	if (n->op != N_SELECT || !qualified(n->args[0], out))
		return false;
	str_addc(out, '.');
	str_addn(out, n->name, n->name_len);
	return true;
}

static const struct re *keep_re(struct checker *c, struct cel_node *n, const struct cel_node *pattern)
{
	CLEANUP(mem_freep) char *text = mem_strndup(pattern->value.s, pattern->value.n);
	struct cel_program *p = c->p;
	struct re *re = NULL;
	struct err e = { 0 };

	if (strlen(text) != pattern->value.n || re_compile(text, &re, &e) < 0) {
		complain(c, pattern, "invalid %s argument", n->name);
		return NULL;
	}
	p->res = mem_grow(p->res, &p->cap_res, p->n_res + 1, sizeof(struct re *));
	p->res[p->n_res++] = re;
	return re;
}

/* What can be known to fail from a literal alone. */
static void check_literals(struct checker *c, struct cel_node *n)
{
	const struct cel_node *last = n->n ? n->args[n->n - 1] : NULL;
	int64_t sec;
	int32_t nano, offset;

	if (!last)
		return;
	if (n->n == 1 && last->op == N_CONST && last->value.kind == CEL_STRING) {
		if (str_eq(n->name, "duration") && !cel_parse_duration(last->value.s, last->value.n, &sec))
			complain(c, last, "invalid duration argument");
		else if (str_eq(n->name, "timestamp") &&
			 !cel_parse_timestamp(last->value.s, last->value.n, &sec, &nano, &offset))
			complain(c, last, "invalid timestamp argument");
	}
	if (n->n < 2 || n->args[1]->op != N_CONST || n->args[1]->value.kind != CEL_STRING)
		return;
	if (str_eq(n->name, "matches") || str_eq(n->name, "find") || str_eq(n->name, "findAll"))
		n->re = keep_re(c, n, n->args[1]);
}

/* Conversions of literals are made when the program is, and so is format() of nothing but literals. */
static void check_conversion(struct checker *c, const struct cel_node *n)
{
	static const char *const names[] = { "bool", "bytes", "double", "int", "string", "uint", NULL };
	bool formats =
		n->n == 2 && str_eq(n->name, "format") && n->args[1]->op == N_LIST && !n->args[1]->optional;
	struct cel_value v;
	struct cel_run *r;

	if (!(n->n == 1 && str_in(n->name, names)) && !formats)
		return;
	for (size_t i = 0; i < n->n; i++)
		if (n->args[i]->op != N_CONST && !(formats && i == 1))
			return;
	for (size_t i = 0; formats && i < n->args[1]->n; i++)
		if (n->args[1]->args[i]->op != N_CONST)
			return;
	r = cel_run_new();
	v = cel_eval_node(r, n);
	if (v.kind == CEL_ERROR && formats)
		complain(c, n->args[1], "%s", v.s);
	else if (v.kind == CEL_ERROR)
		str_addf(&c->src->fatal, "%s%s", c->src->fatal.len ? "; " : "", v.s);
	cel_run_free(r);
}

static const struct cel_type *check_call(struct checker *c, struct cel_node *n)
{
	const struct cel_type *args[ARGS_MAX], *t;
	const struct cel_fn *fn = NULL;
	bool member = n->member;

	if (member) {
		CLEANUP(str_done) struct str name = { 0 };

		if (qualified(n->args[0], &name)) {
			str_addc(&name, '.');
			str_addn(&name, n->name, n->name_len);
			fn = cel_find_fn(str_cstr(&name), name.len);
		}
		if (fn) { /* the function's own name has dots: there is no receiver */
			n->name = fn->name;
			n->name_len = strlen(fn->name);
			n->args++;
			n->n--;
			n->member = member = false;
		}
	}
	if (n->n > ARGS_MAX)
		return complain(c, n, "too many arguments");
	if (!fn)
		fn = cel_find_fn(n->name, n->name_len);
	for (size_t i = 0; i < n->n; i++) {
		bool mixed = member && i == 1 && str_eq(n->name, "format");

		c->mixed += mixed;
		args[i] = check(c, n->args[i]);
		c->mixed -= mixed;
	}
	if (!fn)
		return complain(c, n, "undeclared reference to '%s' (in container '')", n->name);
	n->fn = fn;
	check_literals(c, n);
	t = resolve_call(c, n, args, n->n, member);
	if (!c->src->n_errors)
		check_conversion(c, n);
	return t;
}

/* ---- names ---- */

static const struct cel_type *type_value(struct checker *c, struct cel_node *n, const char *name)
{
	static const char letters[] = "NbiudsyrtTQUICVFZHGRK";
	static const char *const others[] = { "dyn", "list", "map", "optional_type", NULL };
	const char *found = NULL;

	for (size_t i = 0; letters[i] && !found; i++) {
		const char *p = letters + i;
		const struct cel_type *t = cel_type_read(c->a, &p, NULL);

		if (str_eq(t->name, name))
			found = t->name;
	}
	for (size_t i = 0; others[i] && !found; i++)
		if (str_eq(others[i], name))
			found = others[i];
	if (!found)
		return NULL;
	n->op = N_CONST;
	n->n = 0;
	n->value = (struct cel_value){ .kind = CEL_TYPE, .s = found, .n = strlen(found) };
	return simple(c, "T");
}

static bool find_variable(struct checker *c, struct cel_node *n, const struct cel_type **ret)
{
	for (unsigned i = c->n_locals; i-- > 0 && !n->member;) {
		if (str_eq(c->locals[i].name, n->name)) {
			n->op = N_LOCAL;
			n->slot = i;
			*ret = c->locals[i].type;
			return true;
		}
	}
	for (size_t i = 0; i < c->env->n; i++) {
		if (str_eq(c->env->vars[i].name, n->name)) {
			n->op = N_GLOBAL;
			n->slot = (unsigned)i;
			c->p->uses[i] = true;
			*ret = c->env->vars[i].type;
			return true;
		}
	}
	return false;
}

static const struct cel_type *check_ident(struct checker *c, struct cel_node *n)
{
	const struct cel_type *t = NULL;

	if (find_variable(c, n, &t))
		return t;
	t = type_value(c, n, n->name);
	if (t)
		return t;
	return complain(c, n, "undeclared reference to '%s' (in container '')", n->name);
}

/* google.protobuf.Duration and the like: types are named like fields of something */
static const struct cel_type *check_qualified(struct checker *c, struct cel_node *n)
{
	CLEANUP(str_done) struct str name = { 0 };
	const struct cel_node *root = n;
	struct cel_node probe;
	const struct cel_type *t;

	if (!qualified(n, &name))
		return NULL;
	while (root->op == N_SELECT)
		root = root->args[0];
	probe = *root;
	if (find_variable(c, &probe, &t) && probe.op == N_LOCAL)
		return NULL;
	/* a variable may have dots in its name: authorizer.requestResource */
	probe.name = str_cstr(&name);
	if (find_variable(c, &probe, &t)) {
		n->op = N_GLOBAL;
		n->slot = probe.slot;
		n->n = 0;
		return t;
	}
	probe.name = root->name;
	if (find_variable(c, &probe, &t))
		return NULL;
	return type_value(c, n, str_cstr(&name));
}

static const struct cel_type *field_of(struct checker *c, struct cel_node *n, const struct cel_type *t)
{
	CLEANUP(str_done) struct str text = { 0 };
	const struct cel_type *f;

	t = resolve(c, t);
	switch (t->kind) {
	case T_DYN:
	case T_VAR:
		return simple(c, "D");
	case T_MAP:
		demand(c, n, t->a, simple(c, "s"));
		return t->b;
	case T_OPTIONAL:
		f = resolve(c, field_of(c, n, t->a));
		return f->kind == T_OPTIONAL ? f : cel_type_make(c->a, T_OPTIONAL, f, NULL);
	case T_SCHEMA:
	case T_STRUCT:
		f = cel_type_field(c->a, t, n->name, n->name_len);
		if (t->kind == T_SCHEMA && strstr(n->name, "__") &&
			cel_unescape(n->name, n->name_len, &text)) {
			n->field = arena_strndup(c->a, str_cstr(&text), text.len);
			n->field_len = text.len;
		}
		return f ? f : complain(c, n, "undefined field '%s'", n->name);
	default:
		cel_type_text(settle(c, t), &text);
		return complain(c, n, "type '%s' does not support field selection", str_cstr(&text));
	}
}

static const struct cel_type *check_select(struct checker *c, struct cel_node *n)
{
	const struct cel_type *t = n->op == N_SELECT ? check_qualified(c, n) : NULL, *f;

	if (t)
		return t;
	t = check(c, n->args[0]);
	f = field_of(c, n, t);
	if (n->op == N_HAS)
		return simple(c, "b");
	if (n->op == N_SELECT)
		return f;
	f = resolve(c, f);
	return f->kind == T_OPTIONAL ? f : cel_type_make(c->a, T_OPTIONAL, f, NULL);
}

/* ---- literals ---- */

static const struct cel_type *check_const(struct checker *c, const struct cel_node *n)
{
	switch (n->value.kind) {
	case CEL_BOOL:
		return simple(c, "b");
	case CEL_INT:
		return simple(c, "i");
	case CEL_UINT:
		return simple(c, "u");
	case CEL_DOUBLE:
		return simple(c, "d");
	case CEL_STRING:
		return simple(c, "s");
	case CEL_BYTES:
		return simple(c, "y");
	case CEL_NULL:
		return simple(c, "N");
	default:
		return simple(c, "T");
	}
}

/* They fit, but does one of them only do so because it may be anything? */
static bool alike(const struct checker *c, const struct cel_type *x, const struct cel_type *y)
{
	x = resolve(c, x);
	y = resolve(c, y);
	if (x->kind == T_VAR || y->kind == T_VAR || x->kind == T_NULL || y->kind == T_NULL)
		return true;
	if (x->kind != y->kind)
		return false;
	return (!x->a || !y->a || alike(c, x->a, y->a)) && (!x->b || !y->b || alike(c, x->b, y->b));
}

/* Entries of one literal are of one type. */
static const struct cel_type *join(struct checker *c, const struct cel_node *n, bool optional,
	const struct cel_type *so_far, const struct cel_type *t)
{
	t = resolve(c, t);
	if (optional) {
		demand(c, n, t, cel_type_make(c->a, T_OPTIONAL, fresh(c), NULL));
		t = t->kind == T_OPTIONAL ? resolve(c, t->a) : simple(c, "D");
	}
	if (so_far && c->mixed && (!try_fit(c, &t, &so_far, 1) || !alike(c, t, so_far)))
		return simple(c, "D");
	if (!so_far || !demand(c, n, t, so_far))
		return so_far ? so_far : t;
	if (!alike(c, t, so_far)) {
		wrong_type(c, n, t, so_far);
		return so_far;
	}
	return resolve(c, so_far)->kind == T_NULL ? t : so_far;
}

static const struct cel_type *check_list(struct checker *c, struct cel_node *n)
{
	const struct cel_type *t = NULL;

	for (size_t i = 0; i < n->n; i++)
		t = join(c, n->args[i], n->optional && n->optional[i], t, check(c, n->args[i]));
	return cel_type_make(c->a, T_LIST, t ? t : fresh(c), NULL);
}

static const struct cel_type *check_map(struct checker *c, struct cel_node *n)
{
	const struct cel_type *k = NULL, *v = NULL;

	for (size_t i = 0; i + 1 < n->n; i += 2) {
		k = join(c, n->args[i], false, k, check(c, n->args[i]));
		v = join(c, n->args[i + 1], n->optional && n->optional[i / 2], v, check(c, n->args[i + 1]));
	}
	return cel_type_make(c->a, T_MAP, k ? k : fresh(c), v ? v : fresh(c));
}

/* ---- macros ---- */

static bool push(struct checker *c, const struct cel_node *n, const char *name, const struct cel_type *t)
{
	if (c->n_locals == CEL_LOCALS_MAX) {
		complain(c, n, "too many variables in scope");
		return false;
	}
	c->locals[c->n_locals++] = (struct local){ name, t };
	return true;
}

static void range_types(struct checker *c, const struct cel_node *n, const struct cel_type *range,
	const struct cel_type **k, const struct cel_type **v)
{
	CLEANUP(str_done) struct str text = { 0 };

	*k = *v = simple(c, "D");
	range = resolve(c, range);
	if (range->kind == T_LIST) {
		*k = n->two ? simple(c, "i") : range->a;
		*v = range->a;
	} else if (range->kind == T_MAP) {
		*k = range->a;
		*v = range->b;
	} else if (range->kind != T_DYN && range->kind != T_VAR) {
		cel_type_text(settle(c, range), &text);
		complain(c, n->args[0],
			"expression of type '%s' cannot be range of a comprehension (must be list, map, or "
			"dynamic)",
			str_cstr(&text));
	}
}

static const struct cel_type *fold_result(struct checker *c, const struct cel_node *n,
	const struct cel_type *range, const struct cel_type *k, const struct cel_type *step)
{
	const struct cel_type *t;

	switch (n->fold) {
	case FOLD_ALL:
	case FOLD_EXISTS:
	case FOLD_ONE:
		demand(c, n->args[1], step, simple(c, "b"));
		return simple(c, "b");
	case FOLD_FILTER:
		demand(c, n->args[1], step, simple(c, "b"));
		return cel_type_make(c->a, T_LIST, k, NULL);
	case FOLD_SORT:
		demand(c, n->args[0], range, cel_type_make(c->a, T_LIST, fresh(c), NULL));
		return range;
	case FOLD_MAP:
	case FOLD_LIST:
		return cel_type_make(c->a, T_LIST, step, NULL);
	case FOLD_TMAP:
		return cel_type_make(c->a, T_MAP, k, step);
	case FOLD_ENTRY:
		t = cel_type_make(c->a, T_MAP, fresh(c), fresh(c));
		demand(c, n->args[1], step, t);
		return t;
	}
	return simple(c, "D");
}

static const struct cel_type *check_fold(struct checker *c, struct cel_node *n)
{
	const struct cel_type *range = check(c, n->args[0]), *k, *v, *step, *result;
	unsigned before = c->n_locals;

	range_types(c, n, range, &k, &v);
	n->slot = c->n_locals;
	n->slot2 = c->n_locals + 1;
	if (!push(c, n, n->var, k) || (n->two && !push(c, n, n->var2, v))) {
		c->n_locals = before;
		return simple(c, "D");
	}
	if (n->guarded)
		demand(c, n->args[2], check(c, n->args[2]), simple(c, "b"));
	step = check(c, n->args[1]);
	c->n_locals = before;
	result = fold_result(c, n, range, k, step);
	return result;
}

static const struct cel_type *check_opt_map(struct checker *c, struct cel_node *n)
{
	const struct cel_type *in = fresh(c), *opt = cel_type_make(c->a, T_OPTIONAL, in, NULL), *t;

	demand(c, n->args[0], check(c, n->args[0]), opt);
	n->slot = c->n_locals;
	if (!push(c, n, n->var, resolve(c, in)))
		return simple(c, "D");
	t = check(c, n->args[1]);
	c->n_locals--;
	if (n->op == N_OPT_MAP)
		return cel_type_make(c->a, T_OPTIONAL, t, NULL);
	opt = cel_type_make(c->a, T_OPTIONAL, fresh(c), NULL);
	demand(c, n->args[1], t, opt);
	return opt;
}

/* ---- the tree ---- */

static const struct cel_type *check_logic(struct checker *c, struct cel_node *n)
{
	const struct cel_type *b = simple(c, "b"), *t[2] = { 0 }, *want[2] = { b, b };

	for (size_t i = 0; i < n->n; i++) {
		const struct cel_type *next = check(c, n->args[i]);

		t[0] = i ? t[0] : next;
		t[1] = next;
		if (i && !try_fit(c, t, want, 2))
			no_overload(c, n, n->op == N_OR ? "_||_" : "_&&_", t, 2, false);
		t[0] = i ? b : next;
	}
	return b;
}

static const struct cel_type *check_cond(struct checker *c, struct cel_node *n)
{
	const struct cel_type *any = fresh(c), *want[3] = { simple(c, "b"), any, any }, *t[3];

	for (size_t i = 0; i < 3; i++)
		t[i] = check(c, n->args[i]);
	if (!try_fit(c, t, want, 3))
		return no_overload(c, n, "_?_:_", t, 3, false);
	return settle(c, any);
}

static const struct cel_type *check(struct checker *c, struct cel_node *n)
{
	switch (n->op) {
	case N_CONST:
		return check_const(c, n);
	case N_IDENT:
	case N_LOCAL:
	case N_GLOBAL:
		return check_ident(c, n);
	case N_SELECT:
	case N_HAS:
	case N_OPT_SELECT:
		return check_select(c, n);
	case N_CALL:
		return check_call(c, n);
	case N_AND:
	case N_OR:
		return check_logic(c, n);
	case N_COND:
		return check_cond(c, n);
	case N_LIST:
		return check_list(c, n);
	case N_MAP:
		return check_map(c, n);
	case N_FOLD:
		return check_fold(c, n);
	case N_OPT_MAP:
	case N_OPT_FLAT_MAP:
		return check_opt_map(c, n);
	}
	return NULL;
}

bool cel_check(struct cel_source *src, const struct cel_env *env, struct cel_program *p)
{
	CLEANUP(mem_freep) struct checker *c = MEM_NEW(struct checker);

	*c = (struct checker){ .src = src, .a = p->arena, .env = env, .p = p };
	p->type = check(c, p->root);
	if (p->type)
		p->type = settle(c, p->type);
	free(c->bound);
	free(c->trail);
	return src->n_errors == 0;
}

/* ---- the door ---- */

static void source_done(struct cel_source *src)
{
	str_done(&src->errors);
	str_done(&src->fatal);
}

static bool result_fits(const struct cel_type *is, const struct cel_type *want)
{
	if (!want || want->kind == T_DYN)
		return true;
	if (is->kind != want->kind)
		return false;
	return (!is->a || !want->a || result_fits(is->a, want->a)) &&
	       (!is->b || !want->b || result_fits(is->b, want->b));
}

static int wrong_result(const struct cel_type *is, const struct cel_type *want, struct err *e)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(str_done) struct str got = { 0 };

	cel_type_text(want, &text);
	cel_type_text(is, &got);
	return err_set(e, ERR_INVALID, "must evaluate to %s but got %s", str_cstr(&text), str_cstr(&got));
}

int cel_compile(const char *text, const struct cel_env *env, const struct cel_type *want,
	struct cel_program **ret, struct err *e)
{
	CLEANUP(cel_program_freep) struct cel_program *p = MEM_NEW(struct cel_program);
	CLEANUP(source_done) struct cel_source src = { .text = text, .len = strlen(text) };

	p->arena = arena_new();
	p->n_vars = env->n;
	p->uses = arena_alloc(p->arena, env->n + 1);
	src.arena = p->arena;
	if (src.len > CEL_EXPRESSION_MAX)
		return err_set(e, ERR_INVALID,
			"compilation failed: expression code point size exceeds limit: size: %zu, limit %d",
			src.len, CEL_EXPRESSION_MAX);
	p->root = cel_parse(&src);
	if (!p->root || !cel_check(&src, env, p))
		return err_set(e, ERR_INVALID, "compilation failed: %s", str_cstr(&src.errors));
	if (src.fatal.len)
		return err_set(e, ERR_INVALID, "program instantiation failed: %s", src.fatal.data);
	if (!result_fits(p->type, want))
		return wrong_result(p->type, want, e);
	*ret = TAKE(p);
	return 0;
}

void cel_program_free(struct cel_program *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_res; i++)
		re_free(p->res[i]);
	free(p->res);
	arena_free(p->arena);
	free(p);
}

void cel_program_freep(struct cel_program **p)
{
	cel_program_free(*p);
	*p = NULL;
}

bool cel_program_uses(const struct cel_program *p, size_t var)
{
	return var < p->n_vars && p->uses[var];
}

const struct cel_type *cel_program_type(const struct cel_program *p)
{
	return p->type;
}
