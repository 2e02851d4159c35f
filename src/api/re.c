/* SPDX-License-Identifier: Apache-2.0 */
/* A set of program positions walks along the text. Where that comes to few different sets, they are computed once, at
 * compile time, as a table of states: the usual pattern of a schema then costs a look-up per character. */
#include "api/re.h"

#include <string.h>

#include "api/re_prog.h"
#include "base/mem.h"

#define DFA_STATES_MAX 256
#define DFA_CLASSES_MAX 128
#define DFA_WORK_MAX 1000000 /* steps spent on the table before it is given up */
#define NO_CHAR UINT32_MAX

enum { ACCEPTS = 1, ACCEPTS_AT_END = 2, DEAD = 4 };

struct dfa {
	uint32_t *bounds; /* first character of each class */
	size_t n_classes, n_states;
	uint8_t ascii[128]; /* class of a character */
	uint16_t *next;     /* [state][class] */
	uint8_t *flags;     /* of states */
};

struct re {
	struct re_prog prog;
	bool has_dfa;
	struct dfa dfa;
};

/* A set of positions: members in order of arrival, and who is in by position. */
struct set {
	uint32_t *members;
	uint32_t *mark; /* == stamp: is in */
	uint32_t n, stamp;
};

/* What assertions look at: the characters on both sides. */
struct place {
	uint32_t before, after; /* NO_CHAR: none */
};

struct walk {
	const struct re_prog *g;
	struct set sets[2];
	uint32_t *stack;
	uint64_t work;
};

static void walk_init(struct walk *w, const struct re_prog *g)
{
	*w = (struct walk){ .g = g, .stack = mem_alloc((2 * g->n + 2) * sizeof(uint32_t)) };
	for (int i = 0; i < 2; i++) {
		w->sets[i].members = mem_alloc(g->n * sizeof(uint32_t));
		w->sets[i].mark = mem_zalloc(g->n * sizeof(uint32_t));
	}
}

static void walk_done(struct walk *w)
{
	for (int i = 0; i < 2; i++) {
		free(w->sets[i].members);
		free(w->sets[i].mark);
	}
	free(w->stack);
}

static void set_reset(struct set *s)
{
	s->n = 0;
	s->stamp++;
}

static bool is_word(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(enum re_assert check, struct place at)
{
	switch (check) {
	case RE_BEGIN:
		return at.before == NO_CHAR;
	case RE_END:
		return at.after == NO_CHAR;
	case RE_LINE_BEGIN:
		return at.before == NO_CHAR || at.before == '\n';
	case RE_LINE_END:
		return at.after == NO_CHAR || at.after == '\n';
	case RE_WORD_EDGE:
		return is_word(at.before) != is_word(at.after);
	case RE_NO_WORD_EDGE:
		return is_word(at.before) == is_word(at.after);
	}
	return false;
}

/* Adds a position and all that is reached from it without a character. */
static void add(struct walk *w, struct set *s, uint32_t pc, struct place at)
{
	const struct re_inst *code = w->g->code;
	size_t depth = 0;

	w->stack[depth++] = pc;
	while (depth) {
		pc = w->stack[--depth];
		if (s->mark[pc] == s->stamp)
			continue;
		s->mark[pc] = s->stamp;
		s->members[s->n++] = pc;
		w->work++;
		switch (code[pc].op) {
		case RE_SPLIT:
			w->stack[depth++] = code[pc].y;
			w->stack[depth++] = code[pc].x;
			break;
		case RE_JUMP:
			w->stack[depth++] = code[pc].x;
			break;
		case RE_ASSERT:
			if (holds((enum re_assert)code[pc].x, at))
				w->stack[depth++] = pc + 1;
			break;
		case RE_RANGES:
		case RE_MATCH:
			break;
		}
	}
}

static bool set_matches(const struct walk *w, const struct set *s)
{
	uint32_t last = (uint32_t)w->g->n - 1; /* the only RE_MATCH */

	return s->mark[last] == s->stamp;
}

static bool in_ranges(const struct re_range *r, size_t n, uint32_t c)
{
	while (n) {
		size_t half = n / 2;

		if (c < r[half].lo) {
			n = half;
		} else if (c > r[half].hi) {
			r += half + 1;
			n -= half + 1;
		} else {
			return true;
		}
	}
	return false;
}

/* Where the members of `from` get by reading c; a new match may start there as well. */
static void step(struct walk *w, const struct set *from, struct set *to, uint32_t c, struct place at)
{
	set_reset(to);
	for (uint32_t i = 0; i < from->n; i++) {
		const struct re_inst *in = &w->g->code[from->members[i]];

		w->work++;
		if (in->op == RE_RANGES && in_ranges(w->g->ranges + in->x, in->y, c))
			add(w, to, from->members[i] + 1, at);
	}
	add(w, to, 0, at);
}

static bool walk_text(const struct re_prog *g, const unsigned char *p, const unsigned char *end)
{
	struct walk w;
	int cur = 0;
	struct place at = { .before = NO_CHAR };
	const unsigned char *ahead = p;
	bool found;

	walk_init(&w, g);
	at.after = ahead < end ? re_decode(&ahead, end) : NO_CHAR;
	set_reset(&w.sets[0]);
	add(&w, &w.sets[0], 0, at);
	while (!(found = set_matches(&w, &w.sets[cur])) && at.after != NO_CHAR && w.work < RE_WORK_MAX) {
		uint32_t c = at.after;

		at.before = c;
		at.after = ahead < end ? re_decode(&ahead, end) : NO_CHAR;
		step(&w, &w.sets[cur], &w.sets[!cur], c, at);
		cur = !cur;
	}
	walk_done(&w);
	return found;
}

/* ---- the table ---- */

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Cuts all characters into classes that no set of the program tells apart. */
static bool make_classes(const struct re_prog *g, struct dfa *d)
{
	size_t n = 0, unique = 1;
	CLEANUP(mem_freep) uint32_t *cuts = mem_alloc((2 * g->n_ranges + 1) * sizeof(uint32_t));

	cuts[n++] = 0;
	for (size_t i = 0; i < g->n_ranges; i++) {
		cuts[n++] = g->ranges[i].lo;
		cuts[n++] = g->ranges[i].hi + 1;
	}
	qsort(cuts, n, sizeof(*cuts), compare_u32);
	for (size_t i = 1; i < n; i++)
		if (cuts[i] != cuts[unique - 1])
			cuts[unique++] = cuts[i];
	if (unique > DFA_CLASSES_MAX)
		return false;
	d->n_classes = unique;
	d->bounds = TAKE(cuts);
	for (uint32_t c = 0, k = 0; c < 128; c++) {
		while (k + 1 < unique && d->bounds[k + 1] <= c)
			k++;
		d->ascii[c] = (uint8_t)k;
	}
	return true;
}

/* States under construction: each is a set of positions, ended by NO_CHAR, in `members`. */
struct builder {
	struct walk w;
	struct dfa *d;
	uint32_t *members;
	size_t n_members, cap_members;
	size_t first[DFA_STATES_MAX];
	size_t cap_next, cap_flags;
};

static uint8_t flags_of(struct builder *b, const struct set *s, bool begin)
{
	struct place end = { .before = begin ? NO_CHAR : 'x', .after = NO_CHAR };
	struct set *tmp = &b->w.sets[1];
	uint8_t flags = set_matches(&b->w, s) ? ACCEPTS : 0;

	/* positions waiting at an assertion go on now */
	set_reset(tmp);
	for (uint32_t i = 0; i < s->n; i++)
		add(&b->w, tmp, s->members[i], end);
	if (set_matches(&b->w, tmp))
		flags |= ACCEPTS_AT_END;
	return flags;
}

/* The state of this set, found or made; -1 when there are too many. */
static int state_of(struct builder *b, struct set *s, bool begin)
{
	struct dfa *d = b->d;
	size_t n = 0, at = b->n_members;
	bool alive = false;

	for (uint32_t i = 0; i < s->n; i++) {
		enum re_op op = b->w.g->code[s->members[i]].op;

		if (op == RE_RANGES || op == RE_MATCH || op == RE_ASSERT) {
			b->members = mem_grow(b->members, &b->cap_members, at + n + 2, sizeof(*b->members));
			b->members[at + n++] = s->members[i];
			alive |= op == RE_RANGES;
		}
	}
	b->members = mem_grow(b->members, &b->cap_members, at + n + 2, sizeof(*b->members));
	if (n > 1)
		qsort(b->members + at, n, sizeof(*b->members), compare_u32);
	b->members[at + n++] = NO_CHAR;
	/* the first state is apart: only there does the text begin */
	for (size_t i = 1; i < d->n_states; i++)
		if (b->n_members - b->first[i] >= n &&
			memcmp(b->members + b->first[i], b->members + at, n * sizeof(*b->members)) == 0)
			return (int)i;
	if (d->n_states == DFA_STATES_MAX)
		return -1;
	d->flags = mem_grow(d->flags, &b->cap_flags, d->n_states + 1, sizeof(*d->flags));
	d->flags[d->n_states] = flags_of(b, s, begin);
	if (!alive)
		d->flags[d->n_states] |= DEAD;
	b->first[d->n_states] = at;
	b->n_members = at + n;
	return (int)d->n_states++;
}

static bool fill_state(struct builder *b, size_t state)
{
	struct dfa *d = b->d;
	struct place inside = { .before = 'x', .after = 'x' };

	d->next = mem_grow(d->next, &b->cap_next, (state + 1) * d->n_classes, sizeof(*d->next));
	for (size_t k = 0; k < d->n_classes; k++) {
		struct set *to = &b->w.sets[0];

		set_reset(to);
		for (size_t i = b->first[state]; b->members[i] != NO_CHAR; i++) {
			const struct re_inst *in = &b->w.g->code[b->members[i]];

			if (in->op == RE_RANGES && in_ranges(b->w.g->ranges + in->x, in->y, d->bounds[k]))
				add(&b->w, to, b->members[i] + 1, inside);
		}
		add(&b->w, to, 0, inside);
		int next = state_of(b, to, false);
		if (next < 0 || b->w.work > DFA_WORK_MAX)
			return false;
		d->next[state * d->n_classes + k] = (uint16_t)next;
	}
	return true;
}

static bool only_anchors(const struct re_prog *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->code[i].op == RE_ASSERT && g->code[i].x != RE_BEGIN && g->code[i].x != RE_END)
			return false;
	return true;
}

static void dfa_done(struct dfa *d)
{
	free(d->bounds);
	free(d->next);
	free(d->flags);
	*d = (struct dfa){ 0 };
}

static bool make_dfa(const struct re_prog *g, struct dfa *d)
{
	CLEANUP(mem_freep) struct builder *b = mem_zalloc(sizeof(*b));
	struct place start = { .before = NO_CHAR, .after = 'x' };
	bool ok = only_anchors(g) && make_classes(g, d);

	if (!ok)
		return false;
	b->d = d;
	walk_init(&b->w, g);
	set_reset(&b->w.sets[0]);
	add(&b->w, &b->w.sets[0], 0, start);
	state_of(b, &b->w.sets[0], true);
	for (size_t i = 0; ok && i < d->n_states; i++)
		ok = fill_state(b, i);
	walk_done(&b->w);
	free(b->members);
	if (!ok)
		dfa_done(d);
	return ok;
}

static size_t class_of(const struct dfa *d, uint32_t c)
{
	size_t lo = 0, hi = d->n_classes;

	if (c < 128)
		return d->ascii[c];
	while (hi - lo > 1) {
		size_t mid = (lo + hi) / 2;

		if (d->bounds[mid] <= c)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static bool dfa_matches(const struct dfa *d, const unsigned char *p, const unsigned char *end)
{
	size_t state = 0;

	while (p < end && !(d->flags[state] & ACCEPTS)) {
		size_t k = class_of(d, re_decode(&p, end));

		state = d->next[state * d->n_classes + k];
		/* nothing alive but what a new start brings, and that is the same set again: so it stays */
		if ((d->flags[state] & DEAD) && d->next[state * d->n_classes] == state)
			p = end;
	}
	return d->flags[state] & (ACCEPTS | (p == end ? ACCEPTS_AT_END : 0));
}

int re_compile(const char *pattern, struct re **ret, struct err *e)
{
	CLEANUP(re_freep) struct re *r = MEM_NEW(struct re);

	if (re_parse(pattern, &r->prog, e) < 0)
		return err_wrap(e, "error parsing regexp");
	r->has_dfa = make_dfa(&r->prog, &r->dfa);
	*ret = TAKE(r);
	return 0;
}

void re_free(struct re *r)
{
	if (!r)
		return;
	re_prog_done(&r->prog);
	dfa_done(&r->dfa);
	free(r);
}

void re_freep(struct re **r)
{
	re_free(*r);
	*r = NULL;
}

bool re_matches(const struct re *r, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;

	if (r->has_dfa)
		return dfa_matches(&r->dfa, p, p + len);
	return walk_text(&r->prog, p, p + len);
}

/* ---- where ---- */

/* Adds what begins at `start`; places[] says of each position where its match began. */
static void add_from(
	struct walk *w, struct set *s, size_t *places, uint32_t pc, struct place at, size_t start)
{
	uint32_t before = s->n;

	add(w, s, pc, at);
	for (uint32_t i = before; i < s->n; i++)
		places[s->members[i]] = start;
}

bool re_find(
	const struct re *r, const char *text, size_t len, size_t from, size_t *ret_start, size_t *ret_end)
{
	const struct re_prog *g = &r->prog;
	const unsigned char *begin = (const unsigned char *)text, *end = begin + len, *p = begin + from;
	CLEANUP(mem_freep) size_t *places = mem_alloc(2 * g->n * sizeof(*places));
	size_t *starts[2] = { places, places + g->n };
	struct place at = { .before = NO_CHAR };
	struct walk w;
	bool found = false;
	int cur = 0;

	for (const unsigned char *q = begin; q < p;)
		at.before = re_decode(&q, end);
	walk_init(&w, g);
	set_reset(&w.sets[0]);
	while (w.work < RE_WORK_MAX) {
		struct set *now = &w.sets[cur], *then = &w.sets[!cur];
		const unsigned char *next = p;
		struct place after;

		at.after = next < end ? re_decode(&next, end) : NO_CHAR;
		if (!found)
			add_from(&w, now, starts[cur], 0, at, (size_t)(p - begin));
		if (!now->n)
			break;
		after.before = at.after;
		const unsigned char *ahead = next;
		after.after = ahead < end ? re_decode(&ahead, end) : NO_CHAR;
		set_reset(then);
		for (uint32_t i = 0; i < now->n; i++) {
			uint32_t pc = now->members[i];
			const struct re_inst *in = &g->code[pc];

			if (in->op == RE_MATCH) {
				found = true;
				*ret_start = starts[cur][pc];
				*ret_end = (size_t)(p - begin);
				break; /* those behind would be found later only */
			}
			if (in->op == RE_RANGES && at.after != NO_CHAR &&
				in_ranges(g->ranges + in->x, in->y, at.after))
				add_from(&w, then, starts[!cur], pc + 1, after, starts[cur][pc]);
		}
		if (at.after == NO_CHAR)
			break;
		at.before = at.after;
		p = next;
		cur = !cur;
	}
	walk_done(&w);
	return found;
}
