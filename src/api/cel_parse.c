/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to a tree; macros become folds. Names are resolved later (cel_check.c). */
#include "api/cel_int.h"

#include <string.h>

struct parser {
	struct cel_source *src;
	size_t at;
	struct cel_token t; /* the next one */
	unsigned depth;
	size_t n_nodes;
	bool failed;
};

static struct cel_node *parse_expr(struct parser *ps);

static struct cel_node *fail(struct parser *ps, uint32_t pos, const char *what)
{
	if (!ps->failed)
		cel_complain(ps->src, pos, "%s", what);
	ps->failed = true;
	return NULL;
}

static void advance(struct parser *ps)
{
	cel_lex(ps->src, &ps->at, &ps->t);
	if (ps->t.tok == TOK_BAD)
		ps->failed = true;
}

static bool at(const struct parser *ps, const char *punct)
{
	return ps->t.tok == TOK_PUNCT && ps->t.len == strlen(punct) &&
	       memcmp(ps->t.text, punct, ps->t.len) == 0;
}

static bool accept(struct parser *ps, const char *punct)
{
	if (!at(ps, punct))
		return false;
	advance(ps);
	return true;
}

/* As the grammar of others lists them */
#define BEGINS_EXPRESSION                                                                                \
	"{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, " \
	"BYTES, IDENTIFIER}"

static bool unexpected(struct parser *ps, const char *wanted)
{
	CLEANUP(mem_freep) char *what = NULL;

	if (ps->t.tok == TOK_END)
		what = str_printf("Syntax error: mismatched input '<EOF>' expecting %s", wanted);
	else
		what = str_printf("Syntax error: mismatched input '%.*s' expecting %s",
			(int)(ps->t.len < 40 ? ps->t.len : 40), ps->t.text, wanted);
	fail(ps, ps->t.pos, what);
	return false;
}

static bool expect(struct parser *ps, const char *punct)
{
	CLEANUP(mem_freep) char *wanted = NULL;

	if (accept(ps, punct))
		return true;
	wanted = str_printf("'%s'", punct);
	return unexpected(ps, wanted);
}

/* ---- nodes ---- */

static struct cel_node *node(struct parser *ps, enum cel_op op, uint32_t pos)
{
	struct cel_node *n;

	if (++ps->n_nodes > CEL_NODES_MAX)
		return fail(ps, pos, "expression has too many parts");
	n = arena_alloc(ps->src->arena, sizeof(*n));
	n->op = op;
	n->pos = pos;
	return n;
}

static bool add_arg(struct parser *ps, struct cel_node *n, struct cel_node *arg)
{
	if (!n || !arg)
		return false;
	if (n->n == n->cap) {
		struct cel_node **more;

		n->cap = n->cap ? n->cap * 2 : 2;
		more = arena_alloc(ps->src->arena, n->cap * sizeof(struct cel_node *));
		if (n->n)
			memcpy(more, n->args, n->n * sizeof(struct cel_node *));
		n->args = more;
	}
	n->args[n->n++] = arg;
	return true;
}

static struct cel_node *call(
	struct parser *ps, const char *name, uint32_t pos, struct cel_node *a, struct cel_node *b)
{
	struct cel_node *n = node(ps, N_CALL, pos);

	if (!n || !add_arg(ps, n, a) || (b && !add_arg(ps, n, b)))
		return NULL;
	n->name = name;
	n->name_len = strlen(name);
	return n;
}

/* ---- names ---- */

static bool is_reserved(const struct cel_token *t)
{
	static const char *const words[] = { "as", "break", "const", "continue", "else", "for", "function",
		"if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
		NULL };

	for (size_t i = 0; words[i]; i++)
		if (strlen(words[i]) == t->len && memcmp(words[i], t->text, t->len) == 0)
			return true;
	return false;
}

static bool is_word(const struct cel_token *t, const char *word)
{
	return t->tok == TOK_IDENT && t->len == strlen(word) && memcmp(word, t->text, t->len) == 0;
}

static bool is_keyword(const struct cel_token *t)
{
	return is_word(t, "true") || is_word(t, "false") || is_word(t, "null") || is_word(t, "in");
}

/* ---- macros ---- */

static const struct {
	const char *name;
	size_t n; /* arguments */
	enum cel_fold fold;
	bool two, filter; /* two variables; the argument before the last is a filter */
} macros[] = {
	{ "all", 2, FOLD_ALL, false, false },
	{ "exists", 2, FOLD_EXISTS, false, false },
	{ "exists_one", 2, FOLD_ONE, false, false },
	{ "map", 2, FOLD_MAP, false, false },
	{ "map", 3, FOLD_MAP, false, true },
	{ "filter", 2, FOLD_FILTER, false, false },
	{ "sortBy", 2, FOLD_SORT, false, false },
	{ "all", 3, FOLD_ALL, true, false },
	{ "exists", 3, FOLD_EXISTS, true, false },
	{ "existsOne", 3, FOLD_ONE, true, false },
	{ "transformList", 3, FOLD_LIST, true, false },
	{ "transformList", 4, FOLD_LIST, true, true },
	{ "transformMap", 3, FOLD_TMAP, true, false },
	{ "transformMap", 4, FOLD_TMAP, true, true },
	{ "transformMapEntry", 3, FOLD_ENTRY, true, false },
	{ "transformMapEntry", 4, FOLD_ENTRY, true, true },
};

static const char *macro_var(struct parser *ps, const struct cel_node *n)
{
	if (n->op != N_IDENT || n->name[0] == '.' || memchr(n->name, '.', n->name_len)) {
		fail(ps, n->pos, "argument must be a simple name");
		return NULL;
	}
	return n->name;
}

static struct cel_node *make_fold(struct parser *ps, struct cel_node *c, size_t k)
{
	struct cel_node *f = node(ps, N_FOLD, c->pos), **a = c->args + 1;
	size_t n = c->n - 1;

	if (!f || !(f->var = macro_var(ps, a[0])) || (macros[k].two && !(f->var2 = macro_var(ps, a[1]))))
		return NULL;
	if (macros[k].two && str_eq(f->var, f->var2))
		return fail(ps, a[1]->pos, "duplicate iteration variable name");
	f->fold = macros[k].fold;
	f->two = macros[k].two;
	f->guarded = macros[k].filter;
	f->name = macros[k].name;
	if (!add_arg(ps, f, c->args[0]) || !add_arg(ps, f, a[n - 1]) ||
		(f->guarded && !add_arg(ps, f, a[n - 2])))
		return NULL;
	return f;
}

/* x.optMap(v, expr) */
static struct cel_node *make_opt_map(struct parser *ps, struct cel_node *c, enum cel_op op)
{
	struct cel_node *f = node(ps, op, c->pos);

	if (!f || !(f->var = macro_var(ps, c->args[1])) || !add_arg(ps, f, c->args[0]) ||
		!add_arg(ps, f, c->args[2]))
		return NULL;
	return f;
}

static bool named(const struct cel_node *c, const char *name)
{
	return c->name_len == strlen(name) && memcmp(c->name, name, c->name_len) == 0;
}

static struct cel_node *expand_member(struct parser *ps, struct cel_node *c)
{
	for (size_t k = 0; k < ARRAY_LEN(macros); k++)
		if (c->n - 1 == macros[k].n && named(c, macros[k].name))
			return make_fold(ps, c, k);
	if (c->n == 3 && named(c, "optMap"))
		return make_opt_map(ps, c, N_OPT_MAP);
	if (c->n == 3 && named(c, "optFlatMap"))
		return make_opt_map(ps, c, N_OPT_FLAT_MAP);
	return c;
}

static struct cel_node *expand_has(struct parser *ps, struct cel_node *c)
{
	struct cel_node *s = c->args[0];

	if (s->op != N_SELECT)
		return fail(ps, s->pos, "invalid argument to has() macro");
	s->op = N_HAS;
	return s;
}

/* ---- primaries ---- */

static bool parse_args(struct parser *ps, struct cel_node *c)
{
	if (accept(ps, ")"))
		return true;
	do {
		if (!add_arg(ps, c, parse_expr(ps)))
			return false;
	} while (accept(ps, ","));
	return expect(ps, ")");
}

/* `?` before an entry of a list or map. */
static void note_optional(struct parser *ps, struct cel_node *n, size_t entry, bool *flags)
{
	(void)ps;
	flags[entry] = true;
	n->optional = flags;
}

#define OPTIONAL_ENTRIES_MAX 4096
static struct cel_node *parse_list(struct parser *ps)
{
	struct cel_node *n = node(ps, N_LIST, ps->t.pos);
	bool *flags = NULL;

	advance(ps);
	while (n && !at(ps, "]")) {
		uint32_t pos = ps->t.pos;

		if (accept(ps, "?")) {
			if (n->n >= OPTIONAL_ENTRIES_MAX)
				return fail(ps, pos, "too many entries");
			if (!flags)
				flags = arena_alloc(ps->src->arena, OPTIONAL_ENTRIES_MAX);
			note_optional(ps, n, n->n, flags);
		}
		if (!add_arg(ps, n, parse_expr(ps)))
			return NULL;
		if (!accept(ps, ","))
			break;
	}
	if (n && n->optional && n->n > OPTIONAL_ENTRIES_MAX)
		return fail(ps, n->pos, "too many entries");
	return n && expect(ps, "]") ? n : NULL;
}

static struct cel_node *parse_map(struct parser *ps)
{
	struct cel_node *n = node(ps, N_MAP, ps->t.pos);
	bool *flags = NULL;

	advance(ps);
	while (n && !at(ps, "}")) {
		uint32_t pos = ps->t.pos;

		if (accept(ps, "?")) {
			if (n->n / 2 >= OPTIONAL_ENTRIES_MAX)
				return fail(ps, pos, "too many entries");
			if (!flags)
				flags = arena_alloc(ps->src->arena, OPTIONAL_ENTRIES_MAX);
			note_optional(ps, n, n->n / 2, flags);
		}
		if (!add_arg(ps, n, parse_expr(ps)) || !expect(ps, ":") || !add_arg(ps, n, parse_expr(ps)))
			return NULL;
		if (!accept(ps, ","))
			break;
	}
	if (n && n->optional && n->n / 2 > OPTIONAL_ENTRIES_MAX)
		return fail(ps, n->pos, "too many entries");
	return n && expect(ps, "}") ? n : NULL;
}

static struct cel_node *parse_constant(struct parser *ps)
{
	struct cel_node *n = node(ps, N_CONST, ps->t.pos);

	if (!n)
		return NULL;
	if (ps->t.tok == TOK_VALUE)
		n->value = ps->t.value;
	else if (is_word(&ps->t, "null"))
		n->value = cel_null();
	else
		n->value = cel_bool(is_word(&ps->t, "true"));
	if (n->value.kind == CEL_INT && n->value.n)
		return fail(ps, n->pos, "Syntax error: invalid int literal");
	advance(ps);
	return n;
}

static struct cel_node *parse_name(struct parser *ps)
{
	bool absolute = accept(ps, ".");
	struct cel_node *n;
	uint32_t pos;

	if (ps->t.tok != TOK_IDENT) {
		unexpected(ps, "IDENTIFIER");
		return NULL;
	}
	if (is_reserved(&ps->t)) {
		CLEANUP(mem_freep)
		char *what = str_printf("reserved identifier: %.*s", (int)ps->t.len, ps->t.text);
		return fail(ps, ps->t.pos, what);
	}
	n = node(ps, N_IDENT, ps->t.pos);
	if (!n)
		return NULL;
	n->name = arena_strndup(ps->src->arena, ps->t.text, ps->t.len);
	n->name_len = ps->t.len;
	n->member = absolute; /* of a name: only what is global */
	advance(ps);
	pos = ps->t.pos;
	if (!accept(ps, "("))
		return n;
	n->op = N_CALL;
	n->pos = pos;
	n->member = false;
	if (!parse_args(ps, n))
		return NULL;
	return n->n == 1 && named(n, "has") ? expand_has(ps, n) : n;
}

static struct cel_node *parse_primary(struct parser *ps)
{
	struct cel_node *n;

	if (ps->t.tok == TOK_VALUE ||
		(ps->t.tok == TOK_IDENT && is_keyword(&ps->t) && !is_word(&ps->t, "in")))
		return parse_constant(ps);
	if (accept(ps, "(")) {
		n = parse_expr(ps);
		return n && expect(ps, ")") ? n : NULL;
	}
	if (at(ps, "["))
		return parse_list(ps);
	if (at(ps, "{"))
		return parse_map(ps);
	if (at(ps, ".") || (ps->t.tok == TOK_IDENT && !is_word(&ps->t, "in")))
		return parse_name(ps);
	if (!ps->failed)
		unexpected(ps, BEGINS_EXPRESSION);
	return NULL;
}

static struct cel_node *parse_select(struct parser *ps, struct cel_node *of)
{
	uint32_t pos = ps->t.pos, open;
	bool optional;
	struct cel_node *n;

	advance(ps);
	optional = accept(ps, "?");
	if (ps->t.tok != TOK_IDENT || is_word(&ps->t, "in") || is_word(&ps->t, "true") ||
		is_word(&ps->t, "false") || is_word(&ps->t, "null")) {
		unexpected(ps, "IDENTIFIER");
		return NULL;
	}
	n = node(ps, optional ? N_OPT_SELECT : N_SELECT, pos);
	if (!n)
		return NULL;
	n->name = arena_strndup(ps->src->arena, ps->t.text, ps->t.len);
	n->name_len = ps->t.len;
	advance(ps);
	open = ps->t.pos;
	if (!add_arg(ps, n, of))
		return NULL;
	if (optional || !accept(ps, "("))
		return n;
	n->op = N_CALL;
	n->pos = open;
	n->member = true;
	return parse_args(ps, n) ? expand_member(ps, n) : NULL;
}

static struct cel_node *parse_index(struct parser *ps, struct cel_node *of)
{
	uint32_t pos = ps->t.pos;
	struct cel_node *i;
	bool optional;

	advance(ps);
	optional = accept(ps, "?");
	i = parse_expr(ps);
	if (!i || !expect(ps, "]"))
		return NULL;
	return call(ps, optional ? "_[?_]" : "_[_]", pos, of, i);
}

static struct cel_node *parse_member(struct parser *ps)
{
	struct cel_node *n = parse_primary(ps);

	while (n && !ps->failed) {
		if (at(ps, "."))
			n = parse_select(ps, n);
		else if (at(ps, "["))
			n = parse_index(ps, n);
		else if (at(ps, "{") && (n->op == N_IDENT || n->op == N_SELECT))
			return fail(ps, ps->t.pos, "messages can not be made here");
		else
			break;
	}
	return ps->failed ? NULL : n;
}

/* ---- operators ---- */

static struct cel_node *parse_unary(struct parser *ps)
{
	uint32_t pos = ps->t.pos;
	unsigned n = 0;
	struct cel_node *x;

	if (at(ps, "!")) {
		while (accept(ps, "!"))
			n++;
		x = parse_member(ps);
		return x && n % 2 ? call(ps, "!_", pos, x, NULL) : x;
	}
	while (at(ps, "-")) {
		advance(ps);
		n++;
	}
	if (n % 2 && ps->t.tok == TOK_VALUE &&
		(ps->t.value.kind == CEL_INT || ps->t.value.kind == CEL_DOUBLE)) {
		/* the sign belongs to the literal */
		if (ps->t.value.kind == CEL_INT)
			ps->t.value.u = 0 - ps->t.value.u;
		else
			ps->t.value.d = -ps->t.value.d;
		ps->t.value.n = 0;
		n = 0;
	}
	x = parse_member(ps);
	return x && n % 2 ? call(ps, "-_", pos, x, NULL) : x;
}

static struct cel_node *parse_binary(struct parser *ps, int level)
{
	static const char *const ops[][8] = {
		{ "==", "!=", "<=", ">=", "<", ">", "in", NULL },
		{ "+", "-", NULL },
		{ "*", "/", "%", NULL },
	};
	static const char *const names[][8] = {
		{ "_==_", "_!=_", "_<=_", "_>=_", "_<_", "_>_", "@in", NULL },
		{ "_+_", "_-_", NULL },
		{ "_*_", "_/_", "_%_", NULL },
	};
	struct cel_node *left = level == 3 ? parse_unary(ps) : parse_binary(ps, level + 1), *right;

	if (level == 3)
		return left;
	for (;;) {
		uint32_t pos = ps->t.pos;
		size_t k = 0;

		while (ops[level][k] && !at(ps, ops[level][k]) &&
			!(ps->t.tok == TOK_IDENT && is_word(&ps->t, ops[level][k])))
			k++;
		if (!left || !ops[level][k])
			return left;
		advance(ps);
		right = parse_binary(ps, level + 1);
		left = right ? call(ps, names[level][k], pos, left, right) : NULL;
	}
}

/* a && b && c: one node, so that long chains are not deep */
static struct cel_node *parse_logic(struct parser *ps, enum cel_op op)
{
	const char *punct = op == N_OR ? "||" : "&&";
	struct cel_node *n = op == N_OR ? parse_logic(ps, N_AND) : parse_binary(ps, 0), *all = NULL;

	while (n && at(ps, punct)) {
		if (!all) {
			all = node(ps, op, ps->t.pos);
			if (!add_arg(ps, all, n))
				return NULL;
		}
		advance(ps);
		n = op == N_OR ? parse_logic(ps, N_AND) : parse_binary(ps, 0);
		if (!add_arg(ps, all, n))
			return NULL;
	}
	return n && all ? all : n;
}

static struct cel_node *parse_expr(struct parser *ps)
{
	struct cel_node *n, *yes, *no;
	uint32_t pos;

	if (ps->failed)
		return NULL;
	if (++ps->depth > CEL_DEPTH_MAX)
		return fail(ps, ps->t.pos, "expression recursion limit exceeded");
	n = parse_logic(ps, N_OR);
	pos = ps->t.pos;
	if (n && accept(ps, "?")) {
		struct cel_node *cond = node(ps, N_COND, pos);

		yes = parse_logic(ps, N_OR);
		no = yes && expect(ps, ":") ? parse_expr(ps) : NULL;
		if (!add_arg(ps, cond, n) || !add_arg(ps, cond, yes) || !add_arg(ps, cond, no))
			n = NULL;
		else
			n = cond;
	}
	ps->depth--;
	return ps->failed ? NULL : n;
}

/* Chains such as a + b + c are deep although nothing recursed to read them. */
static bool too_deep(const struct cel_node *n, unsigned left)
{
	if (!left)
		return true;
	for (size_t i = 0; i < n->n; i++)
		if (too_deep(n->args[i], left - 1))
			return true;
	return false;
}

struct cel_node *cel_parse(struct cel_source *src)
{
	struct parser ps = { .src = src };
	struct cel_node *n;

	advance(&ps);
	n = parse_expr(&ps);
	if (n && ps.t.tok != TOK_END && !ps.failed) {
		unexpected(&ps, "<EOF>");
		return NULL;
	}
	if (n && too_deep(n, CEL_DEPTH_MAX * 2))
		return fail(&ps, 0, "expression recursion limit exceeded");
	return ps.failed ? NULL : n;
}
