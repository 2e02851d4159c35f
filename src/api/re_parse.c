/* SPDX-License-Identifier: Apache-2.0 */
#include "api/re_prog.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define GROUP_DEPTH_MAX 200
#define REPEAT_MAX 1000 /* RE2's own bound */
#define INFINITE UINT32_MAX
#define CODE_POINT_MAX 0x10ffffu

enum node_kind { N_EMPTY, N_SET, N_CAT, N_ALT, N_REPEAT, N_ASSERT };
struct node {
	enum node_kind kind;
	struct node *a, *b;
	uint32_t min, max; /* of N_REPEAT; of N_SET: first range and count */
	enum re_assert check;
	bool lazy; /* of N_REPEAT: the shortest is tried first */
};

struct parser {
	const unsigned char *begin, *p, *end;
	struct arena *arena;
	struct re_prog *prog;
	bool fold, dot_all, lines, lazy;
	int depth;
	struct err *e;
};

static struct node *parse_alt(struct parser *ps);

static struct node *fail(struct parser *ps, const char *what)
{
	err_set(ps->e, ERR_INVALID, "%s", what);
	return NULL;
}

/* As Go's regexp says it, with the part that is meant. */
static struct node *fail_at(
	struct parser *ps, const char *what, const unsigned char *from, const unsigned char *to)
{
	err_set(ps->e, ERR_INVALID, "%s: `%.*s`", what, (int)(to - from), (const char *)from);
	return NULL;
}

uint32_t re_decode(const unsigned char **p, const unsigned char *end)
{
	uint32_t c = *(*p)++;
	int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

	if (!more)
		return c;
	for (c &= 0x3fu >> more; more && *p < end; more--)
		c = c << 6 | (*(*p)++ & 0x3f);
	return c;
}

static struct node *node_new(struct parser *ps, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = arena_alloc(ps->arena, sizeof(*n));

	*n = (struct node){ .kind = kind, .a = a, .b = b };
	return n;
}

/* ---- sets of characters ---- */

struct set {
	struct re_range *r;
	size_t n, cap;
};

static void set_freep(struct set *s)
{
	free(s->r);
}

static void set_add(struct set *s, uint32_t lo, uint32_t hi)
{
	s->r = mem_grow(s->r, &s->cap, s->n + 1, sizeof(*s->r));
	s->r[s->n++] = (struct re_range){ lo, hi };
}

static int compare_ranges(const void *a, const void *b)
{
	uint32_t x = ((const struct re_range *)a)->lo, y = ((const struct re_range *)b)->lo;

	return x < y ? -1 : x > y;
}

static void set_tidy(struct set *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->r, s->n, sizeof(*s->r), compare_ranges);
	for (size_t i = 0; i < s->n; i++) {
		if (n && s->r[i].lo <= s->r[n - 1].hi + 1) {
			if (s->r[i].hi > s->r[n - 1].hi)
				s->r[n - 1].hi = s->r[i].hi;
		} else {
			s->r[n++] = s->r[i];
		}
	}
	s->n = n;
}

static void set_invert(struct set *s)
{
	CLEANUP(set_freep) struct set old = *s;
	uint32_t from = 0;

	set_tidy(&old);
	*s = (struct set){ 0 };
	for (size_t i = 0; i < old.n; i++) {
		if (old.r[i].lo > from)
			set_add(s, from, old.r[i].lo - 1);
		from = old.r[i].hi + 1;
	}
	if (from <= CODE_POINT_MAX)
		set_add(s, from, CODE_POINT_MAX);
}

static void set_fold(struct set *s)
{
	size_t n = s->n;

	for (size_t i = 0; i < n; i++) {
		struct re_range r = s->r[i];

		for (uint32_t c = 'A'; c <= 'Z'; c++) {
			if (r.lo <= c && c <= r.hi)
				set_add(s, c + 32, c + 32);
			if (r.lo <= c + 32 && c + 32 <= r.hi)
				set_add(s, c, c);
		}
	}
}

static struct node *set_node(struct parser *ps, struct set *s)
{
	struct re_prog *g = ps->prog;
	struct node *n = node_new(ps, N_SET, NULL, NULL);

	if (ps->fold)
		set_fold(s);
	set_tidy(s);
	n->min = (uint32_t)g->n_ranges;
	n->max = (uint32_t)s->n;
	for (size_t i = 0; i < s->n; i++) {
		g->ranges = mem_grow(g->ranges, &g->cap_ranges, g->n_ranges + 1, sizeof(*g->ranges));
		g->ranges[g->n_ranges++] = s->r[i];
	}
	return n;
}

static struct node *char_node(struct parser *ps, uint32_t c)
{
	CLEANUP(set_freep) struct set s = { 0 };

	set_add(&s, c, c);
	return set_node(ps, &s);
}

/* \d \w \s and their opposites; false if c is none of them. */
static bool set_add_class(struct set *s, unsigned char c)
{
	CLEANUP(set_freep) struct set one = { 0 };

	switch (c | 32) {
	case 'd':
		set_add(&one, '0', '9');
		break;
	case 'w':
		set_add(&one, '0', '9');
		set_add(&one, 'A', 'Z');
		set_add(&one, '_', '_');
		set_add(&one, 'a', 'z');
		break;
	case 's':
		set_add(&one, '\t', '\n');
		set_add(&one, '\f', '\r');
		set_add(&one, ' ', ' ');
		break;
	default:
		return false;
	}
	if (!(c & 32))
		set_invert(&one);
	for (size_t i = 0; i < one.n; i++)
		set_add(s, one.r[i].lo, one.r[i].hi);
	return true;
}

static const struct {
	const char *name;
	struct re_range r[4];
	size_t n;
} posix_classes[] = {
	{ "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } }, 3 },
	{ "alpha", { { 'A', 'Z' }, { 'a', 'z' } }, 2 },
	{ "ascii", { { 0, 127 } }, 1 },
	{ "blank", { { '\t', '\t' }, { ' ', ' ' } }, 2 },
	{ "cntrl", { { 0, 31 }, { 127, 127 } }, 2 },
	{ "digit", { { '0', '9' } }, 1 },
	{ "graph", { { '!', '~' } }, 1 },
	{ "lower", { { 'a', 'z' } }, 1 },
	{ "print", { { ' ', '~' } }, 1 },
	{ "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } }, 4 },
	{ "space", { { '\t', '\r' }, { ' ', ' ' } }, 2 },
	{ "upper", { { 'A', 'Z' } }, 1 },
	{ "word", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } }, 4 },
	{ "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } }, 3 },
};

/* [:name:] or [:^name:] at p; false if there is none. */
static bool set_add_posix(struct parser *ps, struct set *s)
{
	const char *p = (const char *)ps->p + 2;
	bool invert = *p == '^';
	size_t n = strcspn(p + invert, ":");

	for (size_t i = 0; i < ARRAY_LEN(posix_classes); i++) {
		if (strlen(posix_classes[i].name) != n ||
			strncmp(posix_classes[i].name, p + invert, n) != 0 ||
			strncmp(p + invert + n, ":]", 2) != 0)
			continue;
		CLEANUP(set_freep) struct set one = { 0 };
		for (size_t k = 0; k < posix_classes[i].n; k++)
			set_add(&one, posix_classes[i].r[k].lo, posix_classes[i].r[k].hi);
		if (invert)
			set_invert(&one);
		for (size_t k = 0; k < one.n; k++)
			set_add(s, one.r[k].lo, one.r[k].hi);
		ps->p = (const unsigned char *)p + invert + n + 2;
		return true;
	}
	return false;
}

static bool read_hex(struct parser *ps, uint32_t *ret)
{
	bool braces = ps->p < ps->end && *ps->p == '{';
	int n = 0, max = braces ? 6 : 2;
	uint32_t v = 0;

	ps->p += braces;
	while (n < max && ps->p < ps->end && str_hex(*ps->p) >= 0) {
		v = v * 16 + (uint32_t)str_hex(*ps->p++);
		n++;
	}
	if (!n || (!braces && n != 2) || v > CODE_POINT_MAX)
		return false;
	if (braces && (ps->p >= ps->end || *ps->p++ != '}'))
		return false;
	*ret = v;
	return true;
}

/* Behind a backslash: one character. */
static bool read_escape(struct parser *ps, uint32_t *ret)
{
	static const char from[] = "afnrtv", to[] = "\a\f\n\r\t\v";
	unsigned char c = *ps->p++;
	const char *at;

	if (c == 'x')
		return read_hex(ps, ret);
	if (c >= '0' && c <= '7') {
		uint32_t v = c - '0';

		if (c != '0' && (ps->p >= ps->end || *ps->p < '0' || *ps->p > '7'))
			return false; /* \1 would be a back reference */
		for (int i = 0; i < 2 && ps->p < ps->end && *ps->p >= '0' && *ps->p <= '7'; i++)
			v = v * 8 + (uint32_t)(*ps->p++ - '0');
		*ret = v;
		return true;
	}
	if (c && (at = strchr(from, c))) {
		*ret = (unsigned char)to[at - from];
		return true;
	}
	*ret = c;
	return c && c < 128 && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c);
}

/* One member of a bracket expression, or the end of a range. */
static bool read_member(struct parser *ps, uint32_t *ret)
{
	if (*ps->p == '\\' && ps->p + 1 < ps->end) {
		ps->p++;
		return read_escape(ps, ret);
	}
	*ret = re_decode(&ps->p, ps->end);
	return true;
}

static struct node *parse_brackets(struct parser *ps)
{
	CLEANUP(set_freep) struct set s = { 0 };
	const unsigned char *opens = ps->p - 1, *from;
	bool invert = ps->p < ps->end && *ps->p == '^';

	ps->p += invert;
	for (bool first = true;; first = false) {
		uint32_t lo, hi;

		if (ps->p >= ps->end)
			return fail_at(ps, "missing closing ]", opens, ps->end);
		if (*ps->p == ']' && !first)
			break;
		if (*ps->p == '[' && ps->p + 1 < ps->end && ps->p[1] == ':') {
			if (!set_add_posix(ps, &s))
				return fail(ps, "invalid character class");
			continue;
		}
		if (*ps->p == '\\' && ps->p + 1 < ps->end && set_add_class(&s, ps->p[1])) {
			ps->p += 2;
			continue;
		}
		from = ps->p;
		if (!read_member(ps, &lo))
			return fail(ps, "invalid escape sequence");
		hi = lo;
		if (ps->p + 1 < ps->end && *ps->p == '-' && ps->p[1] != ']') {
			ps->p++;
			if (!read_member(ps, &hi) || hi < lo)
				return fail_at(ps, "invalid character class range", from, ps->p);
		}
		set_add(&s, lo, hi);
	}
	ps->p++;
	if (ps->fold)
		set_fold(&s);
	if (invert)
		set_invert(&s);
	return set_node(ps, &s);
}

static struct node *assert_node(struct parser *ps, enum re_assert check)
{
	struct node *n = node_new(ps, N_ASSERT, NULL, NULL);

	n->check = check;
	return n;
}

static struct node *parse_escape(struct parser *ps)
{
	CLEANUP(set_freep) struct set s = { 0 };
	const unsigned char *from = ps->p - 1;
	uint32_t c;

	if (ps->p >= ps->end)
		return fail_at(ps, "trailing backslash at end of expression", ps->end, ps->end);
	switch (*ps->p) {
	case 'A':
		ps->p++;
		return assert_node(ps, RE_BEGIN);
	case 'z':
		ps->p++;
		return assert_node(ps, RE_END);
	case 'b':
		ps->p++;
		return assert_node(ps, RE_WORD_EDGE);
	case 'B':
		ps->p++;
		return assert_node(ps, RE_NO_WORD_EDGE);
	default:
		break;
	}
	if (set_add_class(&s, *ps->p)) {
		ps->p++;
		return set_node(ps, &s);
	}
	if (!read_escape(ps, &c))
		return fail_at(ps, "invalid escape sequence", from, from + 2 < ps->end ? from + 2 : ps->end);
	return char_node(ps, c);
}

/* Behind "(?": flags, a name, or nothing but ":". *ret_group: a group follows; else the flags hold on. */
static bool read_group_head(struct parser *ps, bool *ret_group)
{
	bool on = true;

	*ret_group = true;
	if (ps->p < ps->end && (*ps->p == 'P' || *ps->p == '<')) {
		ps->p += *ps->p == 'P';
		if (ps->p >= ps->end || *ps->p++ != '<')
			return false;
		while (ps->p < ps->end && *ps->p != '>')
			ps->p++;
		return ps->p < ps->end && *ps->p++ == '>';
	}
	for (; ps->p < ps->end; ps->p++) {
		switch (*ps->p) {
		case 'i':
			ps->fold = on;
			break;
		case 's':
			ps->dot_all = on;
			break;
		case 'm':
			ps->lines = on;
			break;
		case 'U':
			ps->lazy = on;
			break;
		case '-':
			on = false;
			break;
		case ':':
			ps->p++;
			return true;
		case ')':
			*ret_group = false;
			return true;
		default:
			return false;
		}
	}
	return false;
}

static struct node *parse_group(struct parser *ps)
{
	bool fold = ps->fold, dot_all = ps->dot_all, lines = ps->lines, lazy = ps->lazy, group = true;
	struct node *n;

	if (++ps->depth > GROUP_DEPTH_MAX)
		return fail(ps, "expression nests too deeply");
	if (ps->p < ps->end && *ps->p == '?') {
		ps->p++;
		if (!read_group_head(ps, &group))
			return fail(ps, "invalid or unsupported Perl syntax");
	}
	n = group ? parse_alt(ps) : node_new(ps, N_EMPTY, NULL, NULL);
	if (!n)
		return NULL;
	if (ps->p >= ps->end || *ps->p != ')')
		return fail_at(ps, "missing closing )", ps->begin, ps->end);
	ps->p++;
	ps->depth--;
	if (group) {
		ps->fold = fold;
		ps->dot_all = dot_all;
		ps->lines = lines;
		ps->lazy = lazy;
	}
	return n;
}

static struct node *parse_atom(struct parser *ps)
{
	CLEANUP(set_freep) struct set s = { 0 };
	uint32_t c = re_decode(&ps->p, ps->end);

	switch (c) {
	case '(':
		return parse_group(ps);
	case '[':
		return parse_brackets(ps);
	case '\\':
		return parse_escape(ps);
	case '^':
		return assert_node(ps, ps->lines ? RE_LINE_BEGIN : RE_BEGIN);
	case '$':
		return assert_node(ps, ps->lines ? RE_LINE_END : RE_END);
	case '.':
		if (!ps->dot_all)
			set_add(&s, '\n', '\n');
		set_invert(&s);
		return set_node(ps, &s);
	case '*':
	case '+':
	case '?':
		return fail_at(ps, "missing argument to repetition operator", ps->p - 1, ps->p);
	default:
		return char_node(ps, c);
	}
}

static bool read_count(const unsigned char **p, const unsigned char *end, uint32_t *ret)
{
	uint32_t v = 0;
	const unsigned char *from = *p;

	while (*p < end && **p >= '0' && **p <= '9' && v <= REPEAT_MAX)
		v = v * 10 + (uint32_t)(*(*p)++ - '0');
	*ret = v;
	return *p > from;
}

/* {n}, {n,} or {n,m}; anything else is a literal brace. */
static bool read_braces(struct parser *ps, uint32_t *min, uint32_t *max)
{
	const unsigned char *p = ps->p + 1;

	if (!read_count(&p, ps->end, min))
		return false;
	*max = *min;
	if (p < ps->end && *p == ',') {
		p++;
		if (!read_count(&p, ps->end, max))
			*max = INFINITE;
	}
	if (p >= ps->end || *p != '}')
		return false;
	ps->p = p + 1;
	return true;
}

static struct node *parse_repeat(struct parser *ps)
{
	struct node *n = parse_atom(ps);

	while (n && ps->p < ps->end) {
		uint32_t min = 0, max = INFINITE;
		const unsigned char *from = ps->p;

		if (*ps->p == '*' || *ps->p == '+' || *ps->p == '?') {
			min = *ps->p == '+';
			max = *ps->p == '?' ? 1 : INFINITE;
			ps->p++;
		} else if (*ps->p != '{' || !read_braces(ps, &min, &max)) {
			break;
		}
		if (min > REPEAT_MAX || (max != INFINITE && (max > REPEAT_MAX || max < min)))
			return fail_at(ps, "invalid repeat count", from, ps->p);
		bool lazy = ps->lazy;
		if (ps->p < ps->end && *ps->p == '?') {
			ps->p++;
			lazy = !lazy;
		}
		n = node_new(ps, N_REPEAT, n, NULL);
		n->lazy = lazy;
		n->min = min;
		n->max = max;
	}
	return n;
}

static struct node *parse_cat(struct parser *ps)
{
	struct node *all = NULL;

	while (ps->p < ps->end && *ps->p != '|' && *ps->p != ')') {
		struct node *one = parse_repeat(ps);

		if (!one)
			return NULL;
		all = all ? node_new(ps, N_CAT, all, one) : one;
	}
	return all ? all : node_new(ps, N_EMPTY, NULL, NULL);
}

static struct node *parse_alt(struct parser *ps)
{
	struct node *all = parse_cat(ps);

	while (all && ps->p < ps->end && *ps->p == '|') {
		ps->p++;
		struct node *one = parse_cat(ps);
		if (!one)
			return NULL;
		all = node_new(ps, N_ALT, all, one);
	}
	return all;
}

/* ---- the program ---- */

static size_t emit_inst(struct re_prog *g, enum re_op op, uint32_t x, uint32_t y)
{
	if (g->n >= RE_PROGRAM_MAX)
		return RE_PROGRAM_MAX; /* noticed at the end */
	g->code = mem_grow(g->code, &g->cap, g->n + 1, sizeof(*g->code));
	g->code[g->n] = (struct re_inst){ op, x, y };
	return g->n++;
}

static void set_target(struct re_prog *g, size_t at, bool second)
{
	if (at >= g->n)
		return;
	if (second)
		g->code[at].y = (uint32_t)g->n;
	else
		g->code[at].x = (uint32_t)g->n;
}

/* What is tried first: only finding cares, matching does not. */
static void swap_targets(struct re_prog *g, size_t at)
{
	uint32_t x;

	if (at >= g->n)
		return;
	x = g->code[at].x;
	g->code[at].x = g->code[at].y;
	g->code[at].y = x;
}

static void emit(struct re_prog *g, const struct node *n);

static void emit_repeat(struct re_prog *g, const struct node *n)
{
	for (uint32_t i = 0; i < n->min && g->n < RE_PROGRAM_MAX; i++) {
		size_t before = g->n;

		emit(g, n->a);
		if (g->n == before)
			break; /* nothing, however often */
	}
	if (n->max == INFINITE) {
		size_t split = emit_inst(g, RE_SPLIT, 0, 0);

		set_target(g, split, false);
		emit(g, n->a);
		emit_inst(g, RE_JUMP, (uint32_t)split, 0);
		set_target(g, split, true);
		if (n->lazy)
			swap_targets(g, split);
		return;
	}
	size_t first = g->n, last = g->n;
	for (uint32_t i = n->min; i < n->max && g->n < RE_PROGRAM_MAX; i++) {
		size_t split = emit_inst(g, RE_SPLIT, 0, (uint32_t)last);

		set_target(g, split, false);
		last = split;
		emit(g, n->a);
	}
	/* the optional copies' ways out were chained through y */
	for (size_t at = last; g->n > first && at < g->n;) {
		size_t next = g->code[at].y;

		set_target(g, at, true);
		if (n->lazy)
			swap_targets(g, at);
		if (at == first)
			break;
		at = next;
	}
}

static void emit(struct re_prog *g, const struct node *n)
{
	size_t split, jump;

	if (g->n >= RE_PROGRAM_MAX)
		return;
	switch (n->kind) {
	case N_EMPTY:
		break;
	case N_SET:
		emit_inst(g, RE_RANGES, n->min, n->max);
		break;
	case N_ASSERT:
		emit_inst(g, RE_ASSERT, (uint32_t)n->check, 0);
		break;
	case N_CAT:
		emit(g, n->a);
		emit(g, n->b);
		break;
	case N_ALT:
		split = emit_inst(g, RE_SPLIT, 0, 0);
		set_target(g, split, false);
		emit(g, n->a);
		jump = emit_inst(g, RE_JUMP, 0, 0);
		set_target(g, split, true);
		emit(g, n->b);
		set_target(g, jump, false);
		break;
	case N_REPEAT:
		emit_repeat(g, n);
		break;
	}
}

int re_parse(const char *pattern, struct re_prog *ret, struct err *e)
{
	size_t len = strlen(pattern);
	struct re_prog g = { 0 };

	if (len > RE_PATTERN_MAX)
		return err_set(e, ERR_INVALID, "expression is longer than %d bytes", RE_PATTERN_MAX);
	CLEANUP(arena_freep) struct arena *arena = arena_new();
	struct parser ps = { .begin = (const unsigned char *)pattern,
		.p = (const unsigned char *)pattern,
		.end = (const unsigned char *)pattern + len,
		.arena = arena,
		.prog = &g,
		.e = e };
	struct node *n = parse_alt(&ps);
	if (n && ps.p < ps.end)
		n = fail_at(&ps, "unexpected )", ps.begin, ps.end);
	if (n) {
		emit(&g, n);
		emit_inst(&g, RE_MATCH, 0, 0);
		if (g.n < RE_PROGRAM_MAX) {
			*ret = g;
			return 0;
		}
		err_set(e, ERR_INVALID, "expression is too large");
	}
	re_prog_done(&g);
	return -1;
}

void re_prog_done(struct re_prog *p)
{
	free(p->code);
	free(p->ranges);
	*p = (struct re_prog){ 0 };
}
