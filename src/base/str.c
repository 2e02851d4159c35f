/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TAKE_SLACK 16

void str_done(struct str *s)
{
	free(s->data);
	*s = (struct str){ 0 };
}

void str_clear(struct str *s)
{
	s->len = 0;
	if (s->data)
		s->data[0] = '\0';
}

void str_reserve(struct str *s, size_t extra)
{
	size_t need;

	MUST(!__builtin_add_overflow(s->len, extra, &need));
	MUST(need < SIZE_MAX);
	if (s->data && need + 1 <= s->cap)
		return;
	bool fresh = !s->data;
	s->data = mem_grow(s->data, &s->cap, need + 1 < 32 ? 32 : need + 1, 1);
	if (fresh)
		s->data[0] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_addn(s, text, strlen(text));
}

void str_addn(struct str *s, const char *text, size_t n)
{
	str_reserve(s, n);
	if (n)
		memcpy(s->data + s->len, text, n);
	s->len += n;
	s->data[s->len] = '\0';
}

void str_addc(struct str *s, char c)
{
	str_addn(s, &c, 1);
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	str_addv(s, fmt, ap);
	va_end(ap);
}

void str_addv(struct str *s, const char *fmt, va_list ap)
{
	va_list again;

	str_reserve(s, 64);
	va_copy(again, ap);
	int n = vsnprintf(s->data + s->len, s->cap - s->len, fmt, ap);
	MUST(n >= 0);
	if ((size_t)n >= s->cap - s->len) {
		str_reserve(s, (size_t)n);
		vsnprintf(s->data + s->len, s->cap - s->len, fmt, again);
	}
	va_end(again);
	s->len += (size_t)n;
}

void str_drop_front(struct str *s, size_t n)
{
	if (n > s->len)
		n = s->len;
	if (n == 0)
		return;
	memmove(s->data, s->data + n, s->len - n + 1);
	s->len -= n;
}

char *str_take(struct str *s)
{
	char *p = s->data ? s->data : mem_strdup("");

	/* what is taken lives longer than what grew */
	if (s->data && s->cap - s->len > TAKE_SLACK)
		p = mem_realloc(p, s->len + 1);
	*s = (struct str){ 0 };
	return p;
}

const char *str_cstr(const struct str *s)
{
	return s->data ? s->data : "";
}

char *str_printf(const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	return s.data;
}

bool str_eq(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

bool str_empty(const char *s)
{
	return !s || !*s;
}

bool str_starts(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	if (!s)
		return false;
	size_t n = strlen(s), m = strlen(suffix);
	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool str_in(const char *s, const char *const *list)
{
	if (!s || !list)
		return false;
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

bool str_to_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (str_empty(s))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	uint64_t u;
	int64_t v;
	bool neg = s && *s == '-';

	if (!s || !str_to_u64(neg ? s + 1 : s, &u))
		return false;
	if (neg) {
		if (u > (uint64_t)INT64_MAX + 1)
			return false;
		v = u == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)u;
	} else {
		if (u > INT64_MAX)
			return false;
		v = (int64_t)u;
	}
	if (v < min || v > max)
		return false;
	*ret = v;
	return true;
}

char *str_next(char **rest, char sep)
{
	char *part = *rest;

	if (!part)
		return NULL;
	char *p = strchr(part, sep);
	if (p && sep) {
		*p = '\0';
		*rest = p + 1;
	} else {
		*rest = NULL;
	}
	return part;
}

bool str_copy(char *to, size_t cap, const char *from)
{
	size_t n = strlen(from);

	MUST(cap > 0);
	bool fits = n < cap;
	if (!fits)
		n = cap - 1;
	memcpy(to, from, n);
	to[n] = '\0';
	return fits;
}

int str_hex(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *str_lower(const char *s)
{
	char *p = mem_strdup(s);

	for (char *q = p; *q; q++)
		if (*q >= 'A' && *q <= 'Z')
			*q += 'a' - 'A';
	return p;
}

void strv_done(struct strv *v)
{
	for (size_t i = 0; i < v->len; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct strv){ 0 };
}

void strv_add(struct strv *v, const char *s)
{
	strv_take(v, mem_strdup(s));
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	strv_take(v, str_take(&s));
}

void strv_take(struct strv *v, char *s)
{
	/* one more than asked, so that strv_argv() has room for its NULL */
	v->items = mem_grow(v->items, &v->cap, v->len + 2, sizeof(*v->items));
	v->items[v->len++] = s;
	v->items[v->len] = NULL;
}

bool strv_has(const struct strv *v, const char *s)
{
	for (size_t i = 0; i < v->len; i++)
		if (str_eq(v->items[i], s))
			return true;
	return false;
}

static int compare_items(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->len > 1)
		qsort(v->items, v->len, sizeof(*v->items), compare_items);
}

char **strv_argv(struct strv *v)
{
	v->items = mem_grow(v->items, &v->cap, v->len + 1, sizeof(*v->items));
	v->items[v->len] = NULL;
	return v->items;
}

char *strv_join(const struct strv *v, const char *sep)
{
	struct str s = { 0 };

	for (size_t i = 0; i < v->len; i++) {
		if (i)
			str_add(&s, sep);
		str_add(&s, v->items[i]);
	}
	return str_take(&s);
}
