/* SPDX-License-Identifier: Apache-2.0 */
/* The strings extension. Positions count code points. */
#include "api/cel_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))
#define PRECISION_MAX 100

static bool are_strings(const struct cel_value *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].kind != CEL_STRING)
			return false;
	return true;
}

static size_t char_len(unsigned char c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Where character i begins; i may be the number of characters. */
static bool byte_at(const struct cel_value *s, int64_t i, size_t *ret)
{
	size_t at = 0;

	if (i < 0)
		return false;
	for (; i > 0 && at < s->n; i--)
		at += char_len((unsigned char)s->s[at]);
	*ret = at < s->n ? at : s->n;
	return i == 0;
}

static struct cel_value out_of_range(struct cel_run *r, int64_t i)
{
	return cel_fail(r, "index out of range: %" PRId64, i);
}

static struct cel_value f_char_at(ARGS)
{
	size_t at;

	if (a[0].kind != CEL_STRING || a[1].kind != CEL_INT || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	if (!byte_at(&a[0], a[1].i, &at))
		return out_of_range(r, a[1].i);
	return cel_strn(a[0].s + at, at < a[0].n ? char_len((unsigned char)a[0].s[at]) : 0);
}

/* ---- searching ---- */

static struct cel_value list_index(struct cel_run *r, const struct cel_value *a, bool last)
{
	int64_t found = -1;

	for (size_t i = 0; i < a[0].list->n; i++) {
		size_t k = last ? a[0].list->n - 1 - i : i;
		struct cel_value v = cel_list_at(r, a[0].list, k);

		if (!cel_pay(r, 1))
			return cel_over_budget();
		if (cel_equal(r, &v, &a[1])) {
			found = (int64_t)k;
			break;
		}
	}
	return cel_int(found);
}

static struct cel_value f_index_of(ARGS)
{
	const char *hit;
	size_t from = 0;

	if (a[0].kind == CEL_LIST && n_args == 2)
		return list_index(r, a, false);
	if (!are_strings(a, 2) || (n_args > 2 && a[2].kind != CEL_INT) || !cel_pay(r, (a[0].n + a[1].n) / 10))
		return cel_no_overload();
	if (n_args > 2 && a[2].i < 0)
		return out_of_range(r, a[2].i);
	if (n_args > 2 && !byte_at(&a[0], a[2].i, &from))
		return cel_int(a[1].n ? -1 : (int64_t)cel_chars(a[0].s, a[0].n));
	if (!a[1].n)
		return cel_int(n_args > 2 ? a[2].i : 0);
	hit = memmem(a[0].s + from, a[0].n - from, a[1].s, a[1].n);
	return cel_int(hit ? (int64_t)cel_chars(a[0].s, (size_t)(hit - a[0].s)) : -1);
}

static struct cel_value f_last_index_of(ARGS)
{
	size_t at;

	if (a[0].kind == CEL_LIST && n_args == 2)
		return list_index(r, a, true);
	if (!are_strings(a, 2) || (n_args > 2 && a[2].kind != CEL_INT) || !cel_pay(r, (a[0].n + a[1].n) / 10))
		return cel_no_overload();
	at = a[0].n;
	if (n_args > 2 && a[2].i < 0)
		return out_of_range(r, a[2].i);
	if (n_args > 2 && !byte_at(&a[0], a[2].i, &at) && a[1].n)
		return cel_int(-1);
	if (n_args > 2 && a[1].n && at == a[0].n)
		return cel_int(-1);
	if (!cel_pay(r, a[1].n ? at / 10 * (1 + a[1].n / 10) : 0))
		return cel_over_budget();
	for (size_t i = at + 1; i-- > 0;)
		if (a[0].n - i >= a[1].n && (!a[1].n || memcmp(a[0].s + i, a[1].s, a[1].n) == 0))
			return cel_int((int64_t)cel_chars(a[0].s, i));
	return cel_int(-1);
}

static struct cel_value f_substring(ARGS)
{
	size_t from, to;

	if (a[0].kind != CEL_STRING || a[1].kind != CEL_INT || (n_args > 2 && a[2].kind != CEL_INT) ||
		!cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	if (!byte_at(&a[0], a[1].i, &from))
		return out_of_range(r, a[1].i);
	to = a[0].n;
	if (n_args > 2 && !byte_at(&a[0], a[2].i, &to))
		return out_of_range(r, a[2].i);
	if (from > to)
		return cel_fail(
			r, "invalid substring range. start: %" PRId64 ", end: %" PRId64, a[1].i, a[2].i);
	return cel_strn(a[0].s + from, to - from);
}

/* ---- changing ---- */

static struct cel_value change_case(struct cel_run *r, const struct cel_value *v, char from, int by)
{
	struct cel_value c;
	char *s;

	if (v->kind != CEL_STRING)
		return cel_no_overload();
	c = cel_str_copy(r, v->s, v->n);
	if (c.kind != CEL_STRING)
		return c;
	s = (char *)c.s;
	for (size_t i = 0; i < c.n; i++)
		if (s[i] >= from && s[i] < from + 26)
			s[i] = (char)(s[i] + by);
	return c;
}

static struct cel_value f_lower(ARGS)
{
	return change_case(r, &a[0], 'A', 32);
}

static struct cel_value f_upper(ARGS)
{
	return change_case(r, &a[0], 'a', -32);
}

static bool is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x3000;
}

static uint32_t decode(const char *s, size_t n)
{
	uint32_t c = (unsigned char)s[0];
	size_t len = char_len((unsigned char)c);

	if (len == 1)
		return c;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len && i < n; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

static struct cel_value f_trim(ARGS)
{
	struct cel_value v = a[0];

	if (v.kind != CEL_STRING || !cel_pay(r, v.n / 10))
		return cel_no_overload();
	while (v.n && is_space(decode(v.s, v.n))) {
		size_t len = char_len((unsigned char)v.s[0]);

		v.s += len < v.n ? len : v.n;
		v.n -= len < v.n ? len : v.n;
	}
	while (v.n) {
		size_t at = v.n - 1;

		while (at && ((unsigned char)v.s[at] & 0xc0) == 0x80)
			at--;
		if (!is_space(decode(v.s + at, v.n - at)))
			break;
		v.n = at;
	}
	return v;
}

static struct cel_value finish(struct cel_run *r, const struct str *out)
{
	return cel_str_copy(r, str_cstr(out), out->len);
}

static struct cel_value f_replace(ARGS)
{
	CLEANUP(str_done) struct str out = { 0 };
	int64_t left = INT64_MAX;
	size_t at = 0;

	if (!are_strings(a, 3) || (n_args > 3 && a[3].kind != CEL_INT) || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	if (n_args > 3 && a[3].i >= 0)
		left = a[3].i;
	while (left-- > 0) {
		const char *hit = a[1].n ? memmem(a[0].s + at, a[0].n - at, a[1].s, a[1].n) : a[0].s + at;
		size_t to;

		if (!hit)
			break;
		to = (size_t)(hit - a[0].s);
		if (!cel_pay(r, 1 + a[2].n / 10))
			return cel_over_budget();
		str_addn(&out, a[0].s + at, to - at);
		str_addn(&out, a[2].s, a[2].n);
		at = to + a[1].n;
		if (a[1].n)
			continue;
		/* the empty string is before every character and at the end */
		if (at == a[0].n)
			break;
		str_addn(&out, a[0].s + at, char_len((unsigned char)a[0].s[at]));
		at += char_len((unsigned char)a[0].s[at]);
	}
	str_addn(&out, a[0].s + at, a[0].n - at);
	return finish(r, &out);
}

struct pieces {
	struct cel_value *items;
	size_t n, cap;
};

static bool add_piece(struct cel_run *r, struct pieces *p, const char *s, size_t n)
{
	if (!cel_pay(r, 2))
		return false;
	if (p->n == p->cap) {
		struct cel_value *more;

		p->cap = p->cap ? p->cap * 2 : 8;
		more = arena_alloc(r->arena, p->cap * sizeof(*more));
		if (p->n)
			memcpy(more, p->items, p->n * sizeof(*more));
		p->items = more;
	}
	p->items[p->n++] = cel_strn(s, n);
	return true;
}

static struct cel_value f_split(ARGS)
{
	struct pieces p = { 0 };
	int64_t max = n_args > 2 && a[2].kind == CEL_INT ? a[2].i : -1;
	size_t at = 0;

	if (!are_strings(a, 2) || (n_args > 2 && a[2].kind != CEL_INT) || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	while (max < 0 || (int64_t)p.n + 1 < max) {
		const char *hit;
		size_t to;

		if (a[1].n) {
			hit = memmem(a[0].s + at, a[0].n - at, a[1].s, a[1].n);
			if (!hit)
				break;
			to = (size_t)(hit - a[0].s);
		} else {
			if (at >= a[0].n)
				break;
			to = at + char_len((unsigned char)a[0].s[at]);
			if (to >= a[0].n)
				break;
		}
		if (!add_piece(r, &p, a[0].s + at, to - at))
			return cel_over_budget();
		at = to + a[1].n;
	}
	if (max != 0 && (a[1].n || a[0].n) && !add_piece(r, &p, a[0].s + at, a[0].n - at))
		return cel_over_budget();
	return cel_list_of(r, p.items, p.n);
}

static struct cel_value f_join(ARGS)
{
	CLEANUP(str_done) struct str out = { 0 };

	if (a[0].kind != CEL_LIST || (n_args > 1 && a[1].kind != CEL_STRING))
		return cel_no_overload();
	for (size_t i = 0; i < a[0].list->n; i++) {
		struct cel_value v = cel_list_at(r, a[0].list, i);

		if (v.kind != CEL_STRING)
			return v.kind == CEL_ERROR ? v : cel_no_overload();
		if (!cel_pay(r, 1 + (v.n + (n_args > 1 ? a[1].n : 0)) / 10) || out.len > CEL_STRING_MAX)
			return cel_over_budget();
		if (i && n_args > 1)
			str_addn(&out, a[1].s, a[1].n);
		str_addn(&out, v.s, v.n);
	}
	return finish(r, &out);
}

/* ---- quoting, formatting ---- */

static void add_quoted(const struct cel_value *v, struct str *out)
{
	static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";

	str_addc(out, '"');
	for (size_t i = 0; i < v->n; i++) {
		const char *at = v->s[i] ? strchr(from, v->s[i]) : NULL;

		if (at)
			str_addc(out, '\\');
		str_addc(out, at ? to[at - from] : v->s[i]);
	}
	str_addc(out, '"');
}

static struct cel_value f_quote(ARGS)
{
	CLEANUP(str_done) struct str out = { 0 };

	if (a[0].kind != CEL_STRING || !cel_pay(r, a[0].n / 5))
		return cel_no_overload();
	add_quoted(&a[0], &out);
	return finish(r, &out);
}

/* %s of anything; false: it has no text. */
static bool add_text(struct cel_run *r, const struct cel_value *v, struct str *out, int depth);

static bool add_list(struct cel_run *r, const struct cel_list *l, struct str *out, int depth)
{
	str_addc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		struct cel_value v = cel_list_at(r, l, i);

		str_add(out, i ? ", " : "");
		if (!add_text(r, &v, out, depth + 1))
			return false;
	}
	str_addc(out, ']');
	return true;
}

static int compare_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static bool add_map(struct cel_run *r, const struct cel_map *m, struct str *out, int depth)
{
	struct cel_value keys = cel_map_keys(r, m), v;
	CLEANUP(strv_done) struct strv entries = { 0 };

	if (keys.kind != CEL_LIST)
		return false;
	for (size_t i = 0; i < keys.list->n; i++) {
		struct str one = { 0 };
		bool ok = cel_map_find(r, m, &keys.list->items[i], &v) &&
			  add_text(r, &keys.list->items[i], &one, depth + 1);

		str_addc(&one, ':');
		ok = ok && add_text(r, &v, &one, depth + 1);
		strv_take(&entries, str_take(&one));
		if (!ok)
			return false;
	}
	if (entries.len)
		qsort(entries.items, entries.len, sizeof(char *), compare_text);
	str_addc(out, '{');
	for (size_t i = 0; i < entries.len; i++)
		str_addf(out, "%s%s", i ? ", " : "", entries.items[i]);
	str_addc(out, '}');
	return true;
}

static bool add_text(struct cel_run *r, const struct cel_value *v, struct str *out, int depth)
{
	if (depth > 32 || out->len > CEL_STRING_MAX ||
		!cel_pay(r, 1 + (v->kind == CEL_STRING ? v->n / 10 : 0)))
		return false;
	switch (v->kind) {
	case CEL_NULL:
		str_add(out, "null");
		return true;
	case CEL_BOOL:
		str_add(out, v->b ? "true" : "false");
		return true;
	case CEL_INT:
		str_addf(out, "%" PRId64, v->i);
		return true;
	case CEL_UINT:
		str_addf(out, "%" PRIu64, v->u);
		return true;
	case CEL_DOUBLE:
		if (depth && isfinite(v->d))
			str_addf(out, "%.6f", v->d);
		else
			cel_double_text(v->d, out);
		return true;
	case CEL_STRING:
	case CEL_BYTES:
		str_add(out, depth && v->kind == CEL_BYTES ? "b" : "");
		if (depth)
			add_quoted(v, out);
		else
			str_addn(out, v->s, v->n);
		return true;
	case CEL_TYPE:
		str_addn(out, v->s, v->n);
		return true;
	case CEL_DURATION:
	case CEL_TIMESTAMP:
		if (depth)
			str_add(out, v->kind == CEL_DURATION ? "duration(\"" : "timestamp(\"");
		if (v->kind == CEL_DURATION)
			cel_duration_text(v->i, out);
		else
			cel_timestamp_text(v, out);
		str_add(out, depth ? "\")" : "");
		return true;
	case CEL_LIST:
		return add_list(r, v->list, out, depth);
	case CEL_MAP:
		return add_map(r, v->map, out, depth);
	default:
		return false;
	}
}

static bool add_decimal(const struct cel_value *v, struct str *out)
{
	if (v->kind == CEL_INT)
		str_addf(out, "%" PRId64, v->i);
	else if (v->kind == CEL_UINT)
		str_addf(out, "%" PRIu64, v->u);
	else
		return false;
	return true;
}

static bool add_binary(const struct cel_value *v, struct str *out)
{
	uint64_t u = v->kind == CEL_INT && v->i < 0 ? 0 - v->u : v->u;
	char text[65];
	size_t at = sizeof(text);

	if (v->kind == CEL_BOOL)
		u = v->b;
	else if (v->kind != CEL_INT && v->kind != CEL_UINT)
		return false;
	do {
		text[--at] = (char)('0' + (u & 1));
		u >>= 1;
	} while (u);
	if (v->kind == CEL_INT && v->i < 0)
		str_addc(out, '-');
	str_addn(out, text + at, sizeof(text) - at);
	return true;
}

static bool add_hex(const struct cel_value *v, bool upper, struct str *out)
{
	uint64_t u = v->kind == CEL_INT && v->i < 0 ? 0 - v->u : v->u;

	if (v->kind == CEL_STRING || v->kind == CEL_BYTES) {
		for (size_t i = 0; i < v->n; i++)
			str_addf(out, upper ? "%02X" : "%02x", (unsigned)(unsigned char)v->s[i]);
		return true;
	}
	if (v->kind != CEL_INT && v->kind != CEL_UINT)
		return false;
	str_add(out, v->kind == CEL_INT && v->i < 0 ? "-" : "");
	if (upper)
		str_addf(out, "%" PRIX64, u);
	else
		str_addf(out, "%" PRIx64, u);
	return true;
}

static bool add_octal(const struct cel_value *v, struct str *out)
{
	uint64_t u = v->kind == CEL_INT && v->i < 0 ? 0 - v->u : v->u;

	if (v->kind != CEL_INT && v->kind != CEL_UINT)
		return false;
	str_addf(out, "%s%" PRIo64, v->kind == CEL_INT && v->i < 0 ? "-" : "", u);
	return true;
}

/* As an American printer has it: 1,234.50 */
static void add_grouped(const char *text, struct str *out)
{
	size_t whole = strspn(text + (*text == '-'), "0123456789");

	if (*text == '-')
		str_addc(out, *text++);
	for (size_t i = 0; i < whole; i++) {
		if (i && (whole - i) % 3 == 0)
			str_addc(out, ',');
		str_addc(out, text[i]);
	}
	str_add(out, text + whole);
}

/* 1.5e-07 as 1.5x10^-07, with the signs a printer has for that */
static void add_scientific(const char *text, struct str *out)
{
	static const char *const raised[] = { "\xe2\x81\xb0", "\xc2\xb9", "\xc2\xb2", "\xc2\xb3",
		"\xe2\x81\xb4", "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8",
		"\xe2\x81\xb9" };
	const char *e = strchr(text, 'e');

	str_addn(out, text, (size_t)(e - text));
	str_add(out, "\xc3\x97"
		     "10");
	if (*++e == '-')
		str_add(out, "\xe2\x81\xbb");
	for (e++; *e; e++)
		str_add(out, raised[*e - '0']);
}

static bool add_real(const struct cel_value *v, char verb, int precision, struct str *out)
{
	CLEANUP(mem_freep) char *text = NULL;

	if (v->kind != CEL_DOUBLE)
		return false;
	if (!isfinite(v->d)) {
		str_add(out, isnan(v->d) ? "NaN" : v->d > 0 ? "\xe2\x88\x9e" : "-\xe2\x88\x9e");
		return true;
	}
	text = str_printf(verb == 'f' ? "%.*f" : "%.*e", precision, v->d == 0 ? 0 : v->d);
	if (verb == 'f')
		add_grouped(text, out);
	else
		add_scientific(text, out);
	return true;
}

static bool add_verb(struct cel_run *r, char verb, int precision, const struct cel_value *v, struct str *out)
{
	switch (verb) {
	case 's':
		return add_text(r, v, out, 0);
	case 'd':
		return add_decimal(v, out);
	case 'f':
	case 'e':
		return add_real(v, verb, precision, out);
	case 'b':
		return add_binary(v, out);
	case 'x':
	case 'X':
		return cel_pay(r, v->kind == CEL_STRING || v->kind == CEL_BYTES ? v->n / 5 : 0) &&
		       add_hex(v, verb == 'X', out);
	case 'o':
		return add_octal(v, out);
	default:
		return false;
	}
}

static struct cel_value f_format(ARGS)
{
	CLEANUP(str_done) struct str out = { 0 };
	const char *p = a[0].s, *end = p + a[0].n;
	size_t next = 0;

	if (a[0].kind != CEL_STRING || a[1].kind != CEL_LIST || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	while (p < end) {
		int precision = 6;
		struct cel_value v;

		if (*p != '%' || (p + 1 < end && p[1] == '%')) {
			p += *p == '%';
			str_addc(&out, *p++);
			continue;
		}
		if (++p < end && *p == '.') {
			precision = 0;
			for (p++; p < end && *p >= '0' && *p <= '9' && precision <= PRECISION_MAX; p++)
				precision = precision * 10 + (*p - '0');
		}
		if (p >= end)
			return cel_fail(r, "unexpected end of string");
		if (precision > PRECISION_MAX)
			return cel_fail(r, "precision is too large");
		if (next >= a[1].list->n)
			return cel_fail(r, "index %zu out of range", next);
		v = cel_list_at(r, a[1].list, next++);
		if (v.kind == CEL_ERROR)
			return v;
		if (!add_verb(r, *p, precision, &v, &out))
			return cel_fail(r, "error during formatting: %%%c can not show a value of type %s",
				*p & 0x7f, cel_type_name(&v));
		p++;
	}
	return finish(r, &out);
}

/* ---- regular expressions ---- */

#define RE_COST 40 /* bytes of text times bytes of pattern per unit */

static struct cel_value with_re(struct cel_run *r, const struct cel_node *n, const struct cel_value *a,
	const struct re **ret, struct re **ret_own)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct err e = { 0 };

	*ret_own = NULL;
	if (!are_strings(a, 2))
		return cel_no_overload();
	if (!cel_pay(r, 1 + (a[0].n + 1) * (a[1].n / RE_COST + 1) / 10))
		return cel_over_budget();
	*ret = n->re;
	if (n->re)
		return cel_null();
	text = mem_strndup(a[1].s, a[1].n < RE_PATTERN_MAX ? a[1].n : RE_PATTERN_MAX);
	/* compiling may build tables */
	if (!cel_pay(r, 100 + a[1].n))
		return cel_over_budget();
	if (a[1].n > RE_PATTERN_MAX || strlen(text) != a[1].n || re_compile(text, ret_own, &e) < 0)
		return cel_fail(r, "error parsing regexp: %s", e.msg);
	*ret = *ret_own;
	return cel_null();
}

static struct cel_value f_matches(ARGS)
{
	CLEANUP(re_freep) struct re *own = NULL;
	const struct re *re = NULL;
	struct cel_value v = with_re(r, n, a, &re, &own);

	return v.kind == CEL_ERROR ? v : cel_bool(re_matches(re, a[0].s, a[0].n));
}

static struct cel_value f_find(ARGS)
{
	CLEANUP(re_freep) struct re *own = NULL;
	const struct re *re = NULL;
	size_t from, to;
	struct cel_value v = with_re(r, n, a, &re, &own);

	if (v.kind == CEL_ERROR)
		return v;
	return re_find(re, a[0].s, a[0].n, 0, &from, &to) ? cel_strn(a[0].s + from, to - from) : cel_str("");
}

static struct cel_value f_find_all(ARGS)
{
	CLEANUP(re_freep) struct re *own = NULL;
	const struct re *re = NULL;
	struct pieces p = { 0 };
	size_t at = 0, from, to;
	int64_t max = n_args > 2 && a[2].kind == CEL_INT ? a[2].i : -1;
	bool touched = false; /* an empty match right behind the last one does not count */
	struct cel_value v = with_re(r, n, a, &re, &own);

	if (v.kind == CEL_ERROR)
		return v;
	while ((max < 0 || (int64_t)p.n < max) && at <= a[0].n &&
		re_find(re, a[0].s, a[0].n, at, &from, &to)) {
		/* each search may look at all that is left */
		if (!cel_pay(r, 1 + (a[0].n - at) / 10))
			return cel_over_budget();
		if (!(from == to && touched && from == at) && !add_piece(r, &p, a[0].s + from, to - from))
			return cel_over_budget();
		touched = to > from;
		at = to > from ? to : to + (to < a[0].n ? char_len((unsigned char)a[0].s[to]) : 1);
	}
	return cel_list_of(r, p.items, p.n);
}

const struct cel_fn cel_fns_string[] = {
	{ "charAt", "s.i:s", f_char_at, false },
	{ "indexOf", "s.s:i|s.si:i|LA.A:i", f_index_of, false },
	{ "lastIndexOf", "s.s:i|s.si:i|LA.A:i", f_last_index_of, false },
	{ "substring", "s.i:s|s.ii:s", f_substring, false },
	{ "lowerAscii", "s.:s", f_lower, false },
	{ "upperAscii", "s.:s", f_upper, false },
	{ "trim", "s.:s", f_trim, false },
	{ "replace", "s.ss:s|s.ssi:s", f_replace, false },
	{ "split", "s.s:Ls|s.si:Ls", f_split, false },
	{ "join", "Ls.:s|Ls.s:s", f_join, false },
	{ "strings.quote", "s:s", f_quote, false },
	{ "format", "s.LD:s", f_format, false },
	{ "matches", "ss:b|s.s:b", f_matches, false },
	{ "find", "s.s:s", f_find, false },
	{ "findAll", "s.s:Ls|s.si:Ls", f_find_all, false },
	{ 0 },
};
