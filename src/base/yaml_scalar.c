/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml_scalar.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TAG_PREFIX "tag:yaml.org,2002:"
#define EXACT_INT_MAX 0x1p53 /* up to here every integer has its own double */

static struct yaml_scalar scalar(enum yaml_kind kind, const char *json)
{
	struct yaml_scalar v = { .kind = kind };

	str_copy(v.json, sizeof(v.json), json);
	return v;
}

struct word {
	const char *text;
	enum yaml_kind kind;
	const char *json;
};

static const struct word words[] = {
	{ "", YS_NULL, "null" },
	{ "~", YS_NULL, "null" },
	{ "null", YS_NULL, "null" },
	{ "Null", YS_NULL, "null" },
	{ "NULL", YS_NULL, "null" },
	{ "y", YS_BOOL, "true" },
	{ "Y", YS_BOOL, "true" },
	{ "yes", YS_BOOL, "true" },
	{ "Yes", YS_BOOL, "true" },
	{ "YES", YS_BOOL, "true" },
	{ "true", YS_BOOL, "true" },
	{ "True", YS_BOOL, "true" },
	{ "TRUE", YS_BOOL, "true" },
	{ "on", YS_BOOL, "true" },
	{ "On", YS_BOOL, "true" },
	{ "ON", YS_BOOL, "true" },
	{ "n", YS_BOOL, "false" },
	{ "N", YS_BOOL, "false" },
	{ "no", YS_BOOL, "false" },
	{ "No", YS_BOOL, "false" },
	{ "NO", YS_BOOL, "false" },
	{ "false", YS_BOOL, "false" },
	{ "False", YS_BOOL, "false" },
	{ "FALSE", YS_BOOL, "false" },
	{ "off", YS_BOOL, "false" },
	{ "Off", YS_BOOL, "false" },
	{ "OFF", YS_BOOL, "false" },
	{ ".nan", YS_NOT_JSON, "" },
	{ ".NaN", YS_NOT_JSON, "" },
	{ ".NAN", YS_NOT_JSON, "" },
	{ ".inf", YS_NOT_JSON, "" },
	{ ".Inf", YS_NOT_JSON, "" },
	{ ".INF", YS_NOT_JSON, "" },
	{ "+.inf", YS_NOT_JSON, "" },
	{ "+.Inf", YS_NOT_JSON, "" },
	{ "+.INF", YS_NOT_JSON, "" },
	{ "-.inf", YS_NOT_JSON, "" },
	{ "-.Inf", YS_NOT_JSON, "" },
	{ "-.INF", YS_NOT_JSON, "" },
	{ "<<", YS_MERGE, "" },
};

#define WORD_MAX 5

static const struct word *find_word(const char *s, size_t len)
{
	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strlen(words[i].text) == len && memcmp(words[i].text, s, len) == 0)
			return &words[i];
	return NULL;
}

/* The base that a prefix names; moves *s behind it. A leading 0 alone is octal. */
static unsigned take_base(const char **s)
{
	const char *p = *s;

	if (p[0] != '0' || !p[1])
		return 10;
	char c = (char)(p[1] | 0x20);
	*s += 2;
	if (c == 'x')
		return 16;
	if (c == 'b')
		return 2;
	if (c == 'o')
		return 8;
	*s -= 1;
	return 8;
}

static bool parse_int(const char *s, struct yaml_scalar *ret)
{
	bool neg = *s == '-', sign = neg || *s == '+';
	uint64_t v = 0;

	s += sign;
	unsigned base = take_base(&s);
	if (!*s)
		return false;
	for (; *s; s++) {
		unsigned d = (unsigned)str_hex(*s);

		if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
			__builtin_add_overflow(v, (uint64_t)d, &v))
			return false;
	}
	/* only without a sign may it use the 64th bit */
	if (v > (uint64_t)INT64_MAX + neg && sign)
		return false;
	ret->kind = YS_INT;
	snprintf(ret->json, sizeof(ret->json), "%s%" PRIu64, neg && v ? "-" : "", v);
	return true;
}

static const char *skip_digits(const char *s)
{
	while (*s >= '0' && *s <= '9')
		s++;
	return s;
}

static bool is_float(const char *s)
{
	s += *s == '-' || *s == '+';
	const char *whole = skip_digits(s), *end = whole;
	if (*whole == '.') {
		end = skip_digits(whole + 1);
		if (whole == s && end == whole + 1)
			return false;
	} else if (whole == s) {
		return false;
	}
	if (*end == 'e' || *end == 'E') {
		end++;
		end += *end == '-' || *end == '+';
		if (skip_digits(end) == end)
			return false;
		end = skip_digits(end);
	}
	return !*end;
}

/* Whole numbers lose their point, as Go's JSON encoder writes them: `cores: 2.0` is fit for an integer field. */
static bool parse_float(const char *s, struct yaml_scalar *ret)
{
	if (!is_float(s))
		return false;
	double f = strtod(s, NULL);
	if (isinf(f))
		return false;
	ret->kind = YS_FLOAT;
	if (f > -EXACT_INT_MAX && f < EXACT_INT_MAX && (double)(int64_t)f == f)
		snprintf(ret->json, sizeof(ret->json), "%" PRId64, (int64_t)f);
	else
		snprintf(ret->json, sizeof(ret->json), "%.17g", f);
	return true;
}

/* Longer texts of digits are strings: no number of 64 bits needs so many, and a float none that matter. */
#define NUMBER_TEXT_MAX 400

struct yaml_scalar yaml_resolve(const char *s, size_t len)
{
	const struct word *w = find_word(s, len);
	struct yaml_scalar v = { .kind = YS_STR };
	char plain[NUMBER_TEXT_MAX];
	size_t n = 0;

	if (w)
		return scalar(w->kind, w->json);
	bool dot = *s == '.';
	if (!dot && !(*s >= '0' && *s <= '9') && *s != '+' && *s != '-')
		return v;
	if (len >= sizeof(plain) || memchr(s, 0, len))
		return v;
	for (size_t i = 0; i < len; i++)
		if (dot || s[i] != '_')
			plain[n++] = s[i];
	plain[n] = '\0';
	if (!dot && parse_int(plain, &v))
		return v;
	if (parse_float(plain, &v))
		return v;
	return (struct yaml_scalar){ .kind = YS_STR };
}

const char *yaml_resolve_tagged(const char *tag, const char *s, size_t len, struct yaml_scalar *ret)
{
	static const struct {
		const char *tag;
		enum yaml_kind kind;
	} tags[] = {
		{ TAG_PREFIX "null", YS_NULL },
		{ TAG_PREFIX "bool", YS_BOOL },
		{ TAG_PREFIX "int", YS_INT },
		{ TAG_PREFIX "float", YS_FLOAT },
	};
	struct yaml_scalar v = yaml_resolve(s, len);

	if (str_eq(tag, TAG_PREFIX "binary"))
		return "!!binary is not supported";
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (!str_eq(tag, tags[i].tag))
			continue;
		if (v.kind != tags[i].kind && !(tags[i].kind == YS_FLOAT && v.kind == YS_INT) &&
			!(tags[i].kind == YS_FLOAT && v.kind == YS_NOT_JSON))
			return "the value does not fit its tag";
		*ret = v;
		return NULL;
	}
	/* strings, timestamps, and tags of somebody's own */
	*ret = (struct yaml_scalar){ .kind = YS_STR };
	return NULL;
}

/* Characters that YAML wants escaped though JSON does not: DEL, C1 controls, line separators, the byte order mark and
 * the two non-characters. Returns the code point and its length, or 0. */
static unsigned odd_char(const unsigned char *p, size_t left, size_t *ret_len)
{
	*ret_len = 1;
	if (p[0] == 0x7f)
		return 0x7f;
	*ret_len = 2;
	if (left >= 2 && p[0] == 0xc2 && p[1] < 0xa0)
		return p[1];
	*ret_len = 3;
	if (left < 3)
		return 0;
	unsigned c = (unsigned)((p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f));
	if ((p[0] & 0xf0) == 0xe0 &&
		(c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff))
		return c;
	return 0;
}

void yaml_add_quoted(struct str *out, const char *s, size_t len)
{
	str_addc(out, '"');
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t odd_len;
		unsigned odd = odd_char((const unsigned char *)s + i, len - i, &odd_len);

		if (odd) {
			str_addf(out, "\\u%04x", odd);
			i += odd_len;
			continue;
		}
		if (c == '"' || c == '\\')
			str_addc(out, '\\');
		if (c == '\n')
			str_add(out, "\\n");
		else if (c < 0x20)
			str_addf(out, "\\u%04x", c);
		else
			str_addc(out, (char)c);
		i++;
	}
	str_addc(out, '"');
}
