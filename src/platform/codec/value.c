/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/codec/value.h"

#include <string.h>

/* The text is valid JSON; `end` guards against our own mistakes only. */
static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* From its quote. A quote ends it unless an odd number of backslashes stands before it. */
static const char *skip_string(const char *p, const char *end)
{
	const char *from = ++p;

	while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
		const char *b = p;

		while (b > from && b[-1] == '\\')
			b--;
		p++;
		if ((p - 1 - b) % 2 == 0)
			return p;
	}
	return end;
}

/* What skip_value() has to look at: quotes, brackets, commas. */
enum { PLAIN, QUOTE, OPEN, CLOSE, COMMA };
static const unsigned char marks[256] = {
	['"'] = QUOTE, ['{'] = OPEN, ['['] = OPEN, ['}'] = CLOSE, [']'] = CLOSE, [','] = COMMA
};

static const char *skip_value(const char *p, const char *end)
{
	int depth = 0;

	if (p < end && *p == '"')
		return skip_string(p, end);
	while (p < end) {
		switch (marks[(unsigned char)*p]) {
		case QUOTE:
			p = skip_string(p, end);
			continue;
		case OPEN:
			depth++;
			break;
		case CLOSE:
			if (depth-- == 0)
				return p;
			if (depth == 0)
				return p + 1;
			break;
		case COMMA:
			if (depth == 0)
				return p;
			break;
		}
		p++;
	}
	return end;
}

struct member {
	const char *key, *value, *end; /* end: behind the value */
	bool first;
};

/* whole false: the value's end is not wanted. */
static bool find_member(const char *obj, const char *end, const char *key, bool whole, struct member *ret)
{
	size_t n = strlen(key);
	bool first = true;

	for (const char *p = skip_space(obj + 1, end); p < end && *p == '"'; first = false) {
		const char *k = p, *v;

		p = skip_space(skip_string(p, end), end);
		v = skip_space(p + 1, end);
		if ((size_t)(end - k) > n + 1 && memcmp(k + 1, key, n) == 0 && k[n + 1] == '"') {
			*ret = (struct member){ k, v, whole ? skip_value(v, end) : end, first };
			return true;
		}
		p = skip_space(skip_value(v, end), end);
		if (p < end && *p == ',')
			p = skip_space(p + 1, end);
	}
	return false;
}

const char *value_member(const char *text, size_t len, const char *key, size_t *ret_len)
{
	struct member m;

	if (!find_member(text, text + len, key, true, &m))
		return NULL;
	*ret_len = (size_t)(m.end - m.value);
	return m.value;
}

const char *value_member_of(const char *text, size_t len, const char *outer, const char *key, size_t *ret_len)
{
	struct member o, m;

	if (!find_member(text, text + len, outer, false, &o) || *o.value != '{' ||
		!find_member(o.value, text + len, key, true, &m))
		return NULL;
	*ret_len = (size_t)(m.end - m.value);
	return m.value;
}

void value_without_rv(const char *text, size_t len, struct str *out)
{
	const char *end = text + len;
	struct member meta, rv;

	str_reserve(out, len);
	if (!find_member(text, end, "metadata", false, &meta) || *meta.value != '{' ||
		!find_member(meta.value, end, "resourceVersion", true, &rv)) {
		str_addn(out, text, len);
		return;
	}
	if (rv.first) {
		const char *p = skip_space(rv.end, end);

		str_addn(out, text, (size_t)(rv.key - text));
		str_addn(out, *p == ',' ? p + 1 : p, (size_t)(end - (*p == ',' ? p + 1 : p)));
	} else {
		const char *comma = rv.key;

		while (*comma != ',')
			comma--;
		str_addn(out, text, (size_t)(comma - text));
		str_addn(out, rv.end, (size_t)(end - rv.end));
	}
}

void value_with_rv(const char *text, size_t len, uint64_t rv, struct str *out)
{
	const char *end = text + len;
	struct member meta;
	const char *at;

	str_reserve(out, len + 48);
	if (!find_member(text, end, "metadata", false, &meta) || *meta.value != '{') {
		str_addn(out, text, len);
		return;
	}
	at = meta.value + 1;
	str_addn(out, text, (size_t)(at - text));
	str_addf(out, "\"resourceVersion\":\"%llu\"", (unsigned long long)rv);
	if (*skip_space(at, end) != '}')
		str_addc(out, ',');
	str_addn(out, at, (size_t)(end - at));
}
