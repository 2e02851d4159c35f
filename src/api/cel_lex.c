/* SPDX-License-Identifier: Apache-2.0 */
/* Text of an expression to tokens. */
#include "api/cel_int.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define ERRORS_MAX 20

void cel_complain(struct cel_source *src, uint32_t pos, const char *fmt, ...)
{
	size_t line = 1, from = 0, to, col = 1;
	va_list ap;

	if (src->n_errors++ >= ERRORS_MAX)
		return;
	for (size_t i = 0; i < pos && i < src->len; i++) {
		if (src->text[i] == '\n') {
			line++;
			from = i + 1;
		}
	}
	for (size_t i = from; i < pos && i < src->len; i++)
		col += ((unsigned char)src->text[i] & 0xc0) != 0x80;
	to = from + strcspn(src->text + from, "\n");
	str_addf(&src->errors, "%sERROR: <input>:%zu:%zu: ", src->errors.len ? "\n" : "", line, col);
	va_start(ap, fmt);
	str_addv(&src->errors, fmt, ap);
	va_end(ap);
	str_add(&src->errors, "\n | ");
	str_addn(&src->errors, src->text + from, to - from);
	str_add(&src->errors, "\n | ");
	for (size_t i = 1; i < col; i++)
		str_addc(&src->errors, '.');
	str_addc(&src->errors, '^');
}

static struct cel_token *bad(struct cel_source *src, struct cel_token *t, size_t pos, const char *what)
{
	cel_complain(src, (uint32_t)pos, "Syntax error: %s", what);
	t->tok = TOK_BAD;
	return t;
}

/* ---- numbers ---- */

static size_t digits(const struct cel_source *src, size_t at, bool hex)
{
	while (at < src->len &&
		(hex ? isxdigit((unsigned char)src->text[at]) : isdigit((unsigned char)src->text[at])))
		at++;
	return at;
}

static void lex_integer(struct cel_source *src, size_t from, size_t *at, bool hex, struct cel_token *t)
{
	bool is_uint = *at < src->len && (src->text[*at] | 32) == 'u';
	CLEANUP(mem_freep) char *text = mem_strndup(src->text + from, *at - from);
	unsigned long long v;

	errno = 0;
	v = strtoull(hex ? text + 2 : text, NULL, hex ? 16 : 10);
	*at += is_uint;
	/* one more than INT64_MAX: may stand behind a minus */
	if (errno || (!is_uint && v > (uint64_t)INT64_MAX + 1)) {
		bad(src, t, from, is_uint ? "invalid uint literal" : "invalid int literal");
		return;
	}
	t->value = (struct cel_value){ .kind = is_uint ? CEL_UINT : CEL_INT };
	t->value.u = v;
	t->value.n = !is_uint && v > INT64_MAX; /* noted: only with a minus */
}

static void lex_number(struct cel_source *src, size_t *at, struct cel_token *t)
{
	const char *s = src->text;
	size_t from = *at;
	bool real = false;

	t->tok = TOK_VALUE;
	if (s[from] == '0' && (s[from + 1] | 32) == 'x' && isxdigit((unsigned char)s[from + 2])) {
		*at = digits(src, from + 2, true);
		lex_integer(src, from, at, true, t);
		return;
	}
	*at = digits(src, from, false);
	if (s[*at] == '.' && isdigit((unsigned char)s[*at + 1])) {
		real = true;
		*at = digits(src, *at + 1, false);
	}
	if ((s[*at] | 32) == 'e') {
		size_t exp = *at + 1 + (s[*at + 1] == '+' || s[*at + 1] == '-');

		if (isdigit((unsigned char)s[exp])) {
			real = true;
			*at = digits(src, exp, false);
		}
	}
	if (!real) {
		lex_integer(src, from, at, false, t);
		return;
	}
	CLEANUP(mem_freep) char *text = mem_strndup(s + from, *at - from);
	t->value = cel_double(strtod(text, NULL));
}

/* ---- strings ---- */

static void add_utf8(struct str *out, uint32_t c)
{
	if (c < 0x80) {
		str_addc(out, (char)c);
	} else if (c < 0x800) {
		str_addc(out, (char)(0xc0 | c >> 6));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		str_addc(out, (char)(0xe0 | c >> 12));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		str_addc(out, (char)(0xf0 | c >> 18));
		str_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		str_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		str_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

static bool read_digits(const char **p, const char *end, int n, int base, uint32_t *ret)
{
	uint32_t v = 0;

	for (; n > 0; n--, (*p)++) {
		int c = *p < end ? (unsigned char)**p : 0, d;

		d = isdigit(c) ? c - '0' : isxdigit(c) ? (c | 32) - 'a' + 10 : 99;
		if (d >= base)
			return false;
		v = v * (uint32_t)base + (uint32_t)d;
	}
	*ret = v;
	return true;
}

/* Behind a backslash. */
static bool read_escape(const char **p, const char *end, bool bytes, struct str *out)
{
	static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
	char c = *p < end ? *(*p)++ : '\0';
	const char *at = c ? strchr(from, c) : NULL;
	uint32_t v;
	bool ok;

	if (at) {
		str_addc(out, to[at - from]);
		return true;
	}
	if (c == 'x' || c == 'X') {
		ok = read_digits(p, end, 2, 16, &v);
	} else if (c == 'u' && !bytes) {
		ok = read_digits(p, end, 4, 16, &v);
	} else if (c == 'U' && !bytes) {
		ok = read_digits(p, end, 8, 16, &v);
	} else if (c >= '0' && c <= '3') {
		(*p)--;
		ok = read_digits(p, end, 3, 8, &v);
	} else {
		return false;
	}
	if (!ok || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return false;
	if (bytes)
		str_addc(out, (char)v);
	else
		add_utf8(out, v);
	return true;
}

static void lex_string(struct cel_source *src, size_t *at, bool raw, bool bytes, struct cel_token *t)
{
	const char *p = src->text + *at, *end = src->text + src->len;
	char quote = *p;
	size_t n_quotes = end - p >= 3 && p[1] == quote && p[2] == quote ? 3 : 1;
	CLEANUP(str_done) struct str out = { 0 };

	for (p += n_quotes;;) {
		if (p >= end || (n_quotes == 1 && (*p == '\n' || *p == '\r'))) {
			bad(src, t, t->pos, "unterminated string");
			*at = src->len;
			return;
		}
		if (*p == quote && (n_quotes == 1 || (end - p >= 3 && p[1] == quote && p[2] == quote)))
			break;
		if (*p != '\\' || raw) {
			str_addc(&out, *p++);
			continue;
		}
		p++;
		if (!read_escape(&p, end, bytes, &out)) {
			bad(src, t, (size_t)(p - src->text), "invalid escape sequence");
			*at = src->len;
			return;
		}
	}
	*at = (size_t)(p - src->text) + n_quotes;
	t->tok = TOK_VALUE;
	t->value = cel_strn(arena_strndup(src->arena, str_cstr(&out), 0), 0);
	if (out.len) {
		char *copy = arena_alloc(src->arena, out.len + 1);

		memcpy(copy, out.data, out.len);
		t->value = cel_strn(copy, out.len);
	}
	if (bytes)
		t->value.kind = CEL_BYTES;
}

/* ---- tokens ---- */

static bool is_name(int c)
{
	return c == '_' || (c < 128 && isalnum(c));
}

static void skip_space(const struct cel_source *src, size_t *at)
{
	while (*at < src->len) {
		char c = src->text[*at];

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
			(*at)++;
		else if (c == '/' && src->text[*at + 1] == '/')
			*at += strcspn(src->text + *at, "\n");
		else
			break;
	}
}

/* r"..", b'..', br"..": how many letters stand before the quote; 0 if this is no such string. */
static size_t string_prefix(const struct cel_source *src, size_t at, bool *ret_raw, bool *ret_bytes)
{
	size_t n = 0;

	*ret_raw = *ret_bytes = false;
	while (n < 2) {
		char c = (char)(src->text[at + n] | 32);

		if (c == 'r' && !*ret_raw)
			*ret_raw = true;
		else if (c == 'b' && !*ret_bytes)
			*ret_bytes = true;
		else
			break;
		n++;
	}
	return src->text[at + n] == '"' || src->text[at + n] == '\'' ? n : 0;
}

void cel_lex(struct cel_source *src, size_t *at, struct cel_token *t)
{
	static const char pairs[][3] = { "==", "!=", "<=", ">=", "&&", "||" };
	bool raw, bytes;
	size_t n;
	int c;

	skip_space(src, at);
	*t = (struct cel_token){ .tok = TOK_END, .pos = (uint32_t)*at, .text = src->text + *at };
	if (*at >= src->len)
		return;
	c = (unsigned char)src->text[*at];
	if (c == '"' || c == '\'') {
		lex_string(src, at, false, false, t);
	} else if ((n = string_prefix(src, *at, &raw, &bytes)) > 0) {
		*at += n;
		lex_string(src, at, raw, bytes, t);
	} else if (isdigit(c) || (c == '.' && isdigit((unsigned char)src->text[*at + 1]))) {
		lex_number(src, at, t);
		if (t->tok == TOK_VALUE && *at < src->len && is_name((unsigned char)src->text[*at]))
			bad(src, t, *at, "unexpected letter behind a number");
	} else if (is_name(c)) {
		while (*at < src->len && is_name((unsigned char)src->text[*at]))
			(*at)++;
		t->tok = TOK_IDENT;
	} else {
		t->tok = TOK_PUNCT;
		for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
			if (strncmp(t->text, pairs[i], 2) == 0)
				*at += 1;
		*at += 1;
		if (*at == t->pos + 1 && !strchr("()[]{}.,:?!<>+-*/%", c)) {
			CLEANUP(mem_freep)
			char *what = str_printf("token recognition error at: '%c'", c < 128 ? c : '?');
			bad(src, t, t->pos, what);
		}
	}
	t->len = *at - t->pos;
}
