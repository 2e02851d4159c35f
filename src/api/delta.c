/* SPDX-License-Identifier: Apache-2.0 */
/* A delta is the length of its text, then operations until that is reached, all numbers in groups of seven bits,
 * low ones first: n << 1 | 0, then n bytes     these n << 1 | 1, then distance    n bytes of the base,
 * `distance` (zigzag) from the end of the last piece of it
 *
 * Pieces are found by a table of the base's blocks; a match is then made as long as it is, to both sides. What
 * both texts begin and end with is most of it, and never looked up. */
#include "api/delta.h"

#include "base/mem.h"

#include <string.h>

#define BLOCK 16
#define TABLE_MIN 64
#define TABLE_MAX 16384 /* entries; blocks of longer texts are further apart */

struct maker {
	const char *base, *to;
	size_t base_len, to_len;
	uint32_t *table; /* position + 1 */
	size_t size;     /* a power of two */
	size_t literal;  /* of `to`: what is not told yet begins here */
	size_t cursor;   /* of base: end of the last piece */
	struct str *out;
};

static void add_number(struct str *out, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		str_addc(out, (char)(n | 0x80));
	str_addc(out, (char)n);
}

static bool read_number(const char **p, const char *end, uint64_t *ret)
{
	uint64_t n = 0;

	for (unsigned shift = 0; *p < end && shift < 63; shift += 7) {
		unsigned char c = (unsigned char)*(*p)++;

		n |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = n;
			return true;
		}
	}
	return false;
}

static size_t slot_of(const struct maker *m, const char *p)
{
	uint64_t a, b;

	memcpy(&a, p, 8);
	memcpy(&b, p + 8, 8);
	a = (a ^ (b << 23 | b >> 41)) * 0x9e3779b97f4a7c15u;
	return (size_t)(a >> 40) & (m->size - 1);
}

static void add_literal(struct maker *m, size_t upto)
{
	if (upto == m->literal)
		return;
	add_number(m->out, (upto - m->literal) << 1);
	str_addn(m->out, m->to + m->literal, upto - m->literal);
	m->literal = upto;
}

/* to[at, at + n) is base[from, from + n). */
static void add_piece(struct maker *m, size_t at, size_t from, size_t n)
{
	int64_t distance = (int64_t)from - (int64_t)m->cursor;

	if (n == 0)
		return;
	add_literal(m, at);
	add_number(m->out, n << 1 | 1);
	add_number(m->out, (uint64_t)distance << 1 ^ (uint64_t)(distance >> 63));
	m->cursor = from + n;
	m->literal = at + n;
}

static void fill_table(struct maker *m, size_t from, size_t end)
{
	size_t step = BLOCK;

	while ((end - from) / step > TABLE_MAX)
		step *= 2;
	for (m->size = TABLE_MIN; m->size < (end - from) / step; m->size *= 2)
		;
	m->table = mem_zalloc(m->size * sizeof(*m->table));
	for (size_t p = from; p + BLOCK <= end; p += step)
		m->table[slot_of(m, m->base + p)] = (uint32_t)p + 1;
}

/* How far two texts agree from their beginning, and from their ends. */
static size_t common_head(const char *a, const char *b, size_t max)
{
	size_t n = 0;

	for (; n + 8 <= max && memcmp(a + n, b + n, 8) == 0; n += 8)
		;
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

static size_t common_tail(const char *a_end, const char *b_end, size_t max)
{
	size_t n = 0;

	for (; n + 8 <= max && memcmp(a_end - n - 8, b_end - n - 8, 8) == 0; n += 8)
		;
	while (n < max && a_end[-1 - (ptrdiff_t)n] == b_end[-1 - (ptrdiff_t)n])
		n++;
	return n;
}

/* What lies between the common beginning and the common end. */
static void match_middle(struct maker *m, size_t from, size_t end)
{
	for (size_t t = from; t + BLOCK <= end;) {
		size_t p = m->table[slot_of(m, m->to + t)], n = BLOCK, back = 0, room;

		if (p == 0 || memcmp(m->base + --p, m->to + t, BLOCK) != 0) {
			t++;
			continue;
		}
		room = end - t < m->base_len - p ? end - t : m->base_len - p;
		n += common_head(m->base + p + n, m->to + t + n, room - n);
		while (t - back > m->literal && p > back && m->base[p - back - 1] == m->to[t - back - 1])
			back++;
		add_piece(m, t - back, p - back, n + back);
		t += n;
	}
}

void delta_make(const char *base, size_t base_len, const char *to, size_t to_len, struct str *out)
{
	size_t shorter = base_len < to_len ? base_len : to_len, head, tail;
	struct maker m = { .base = base, .to = to, .base_len = base_len, .to_len = to_len, .out = out };

	MUST(base_len < UINT32_MAX && to_len < UINT32_MAX);
	head = common_head(base, to, shorter);
	tail = common_tail(base + base_len, to + to_len, shorter - head);
	add_number(out, to_len);
	add_piece(&m, 0, 0, head);
	if (to_len - tail - head >= BLOCK && base_len >= BLOCK) {
		/* all of the base: what moved may have come from anywhere */
		fill_table(&m, 0, base_len);
		match_middle(&m, head, to_len - tail);
		free(m.table);
	}
	add_literal(&m, to_len - tail);
	add_piece(&m, to_len - tail, base_len - tail, tail);
}

bool delta_len(const char *delta, size_t len, size_t *ret)
{
	uint64_t n;

	if (!read_number(&delta, delta + len, &n))
		return false;
	*ret = (size_t)n;
	return true;
}

bool delta_apply(const char *base, size_t base_len, const char *delta, size_t len, char *out, size_t out_len)
{
	const char *p = delta, *end = delta + len;
	uint64_t n, d;
	size_t done = 0;
	int64_t cursor = 0;

	if (!read_number(&p, end, &n) || n != out_len)
		return false;
	while (p < end) {
		bool piece;

		if (!read_number(&p, end, &n))
			return false;
		piece = n & 1;
		n >>= 1;
		if (n > out_len - done)
			return false;
		if (!piece) {
			if (n > (uint64_t)(end - p))
				return false;
			memcpy(out + done, p, n);
			p += n;
		} else {
			if (!read_number(&p, end, &d))
				return false;
			cursor += (int64_t)(d >> 1 ^ -(d & 1));
			if (cursor < 0 || (uint64_t)cursor > base_len || n > base_len - (uint64_t)cursor)
				return false;
			memcpy(out + done, base + cursor, n);
			cursor += (int64_t)n;
		}
		done += n;
	}
	return done == out_len;
}
