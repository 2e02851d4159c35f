/* SPDX-License-Identifier: Apache-2.0 */
#include "api/quantity.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define NANO INT64_C(1000000000)
#define DIGITS_MAX 200     /* of a number as written */
#define EXPONENT_MAX 10000 /* beyond it every number is 0 or the cap anyway */

__extension__ typedef __int128 i128; /* nanos of INT64_MAX need 94 bits */
__extension__ typedef unsigned __int128 u128;

static const char binary_suffixes[] = "KMGTPE";
static const char decimal_suffixes[] = "num kMGTPE"; /* 10^-9 to 10^18 by threes */

/* A number as written: digits without point, and where the point stands. */
struct number {
	const char *digits[2]; /* whole part, fraction */
	size_t len[2];
	bool negative;
};

static bool read_number(const char **p, struct number *n)
{
	n->negative = **p == '-';
	if (**p == '-' || **p == '+')
		(*p)++;
	for (int part = 0; part < 2; part++) {
		if (part == 1) {
			if (**p != '.')
				break;
			(*p)++;
		}
		n->digits[part] = *p;
		while (**p >= '0' && **p <= '9')
			(*p)++;
		n->len[part] = (size_t)(*p - n->digits[part]);
	}
	return n->len[0] + n->len[1] > 0 && n->len[0] + n->len[1] <= DIGITS_MAX;
}

/* Suffix: *ret_bits for binary ones, else *ret_exp, a power of ten. */
static bool read_suffix(const char *s, int *ret_bits, int *ret_exp, char *ret_format)
{
	const char *at;

	*ret_bits = *ret_exp = 0;
	*ret_format = 'd';
	if (!*s)
		return true;
	if (!s[1] && *s != ' ' && (at = strchr(decimal_suffixes, *s))) {
		*ret_exp = (int)(at - decimal_suffixes) * 3 - 9;
		return true;
	}
	if (s[1] == 'i' && !s[2] && (at = strchr(binary_suffixes, *s))) {
		*ret_bits = (int)(at - binary_suffixes + 1) * 10;
		*ret_format = 'b';
		return true;
	}
	if (*s != 'e' && *s != 'E')
		return false;
	const char *digits = s[1] == '+' ? s + 2 : s + 1;
	int64_t exp;
	if ((digits == s + 2 && *digits == '-') || !str_to_i64(digits, -EXPONENT_MAX, EXPONENT_MAX, &exp))
		return false;
	*ret_exp = (int)exp;
	*ret_format = 'e';
	return true;
}

/* Digit at 10^-pos behind the point moved by exp; pos 0 is the units. */
static int digit_at(const struct number *n, int64_t pos, int exp)
{
	int64_t i = (int64_t)n->len[0] - 1 + pos + exp;

	if (i < 0 || i >= (int64_t)(n->len[0] + n->len[1]))
		return 0;
	if (i < (int64_t)n->len[0])
		return n->digits[0][i] - '0';
	return n->digits[1][i - (int64_t)n->len[0]] - '0';
}

/* Magnitude in nanos, rounded up, capped at INT64_MAX units: a bit of a resource is never none of it. */
static i128 magnitude(const struct number *n, int bits, int exp)
{
	const i128 cap = (i128)INT64_MAX * NANO;
	int64_t total = (int64_t)(n->len[0] + n->len[1]);
	u128 whole = 0, frac = 0;
	bool more = false;

	for (int64_t pos = -((int64_t)n->len[0] - 1 + exp); pos <= 0; pos++) {
		whole = whole * 10 + (u128)digit_at(n, pos, exp);
		if (whole > INT64_MAX)
			return cap;
	}
	for (int pos = 1; pos <= 18; pos++)
		frac = frac * 10 + (u128)digit_at(n, pos, exp);
	for (int64_t i = 0; i < total && !more; i++) {
		int64_t pos = i - ((int64_t)n->len[0] - 1) - exp;
		more = pos > 18 && digit_at(n, pos, exp);
	}
	whole <<= bits;
	if (whole > INT64_MAX)
		return cap;
	frac <<= bits; /* < 10^18 * 2^60 */
	i128 nanos = (i128)(whole * NANO + frac / NANO + (frac % NANO || more));
	return nanos > cap ? cap : nanos;
}

static void from_nanos(i128 nanos, struct quantity *q)
{
	i128 whole = nanos / NANO, rest = nanos % NANO;

	if (rest < 0) {
		rest += NANO;
		whole--;
	}
	q->value = (int64_t)whole;
	q->nano = (int32_t)rest;
}

static i128 to_nanos(const struct quantity *q)
{
	return (i128)q->value * NANO + q->nano;
}

int quantity_parse(const char *text, struct quantity *ret, struct err *e)
{
	struct number n = { 0 };
	struct quantity q = { 0 };
	const char *p = text;
	int bits, exp;
	char format;

	if (str_empty(text) || !read_number(&p, &n) || !read_suffix(p, &bits, &exp, &format))
		return err_set(e, ERR_INVALID,
			"quantity '%.64s' must match the regular expression "
			"'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
			text ? text : "");
	i128 nanos = magnitude(&n, bits, exp);
	if (format == 'b' && nanos > 0 && nanos < NANO)
		format = 'd';
	from_nanos(n.negative ? -nanos : nanos, &q);
	q.format = (int8_t)format;
	*ret = q;
	return 0;
}

int quantity_from_json(const struct json *v, struct quantity *ret, struct err *e)
{
	if (json_is_str(v))
		return quantity_parse(json_str(v), ret, e);
	if (!json_is_num(v))
		return err_set(e, ERR_INVALID, "a quantity must be a string or a number");
	CLEANUP(mem_freep) char *text = json_write(v, NULL);
	return quantity_parse(text, ret, e);
}

static char *put_number(char *buf, bool negative, u128 n, const char *suffix)
{
	char digits[48];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + (int)(n % 10));
		n /= 10;
	} while (n && i > 0);
	snprintf(buf, QUANTITY_TEXT_MAX, "%s%.*s%s", negative ? "-" : "", (int)(sizeof(digits) - i),
		digits + i, suffix);
	return buf;
}

static char *put_binary(char *buf, bool negative, u128 nanos)
{
	u128 units = nanos / NANO + (nanos % NANO != 0);
	char suffix[3] = "";

	for (int k = 0; k < 6 && units && units % 1024 == 0; k++) {
		units /= 1024;
		suffix[0] = binary_suffixes[k];
		suffix[1] = 'i';
	}
	return put_number(buf, negative, units, suffix);
}

static char *put_decimal(char *buf, bool negative, u128 nanos, bool exponent)
{
	int exp = -9;
	char suffix[8] = "";

	while (exp < 18 && nanos && nanos % 1000 == 0) {
		nanos /= 1000;
		exp += 3;
	}
	if (exp && exponent)
		snprintf(suffix, sizeof(suffix), "e%d", exp);
	else if (exp)
		suffix[0] = decimal_suffixes[(exp + 9) / 3];
	return put_number(buf, negative, nanos, suffix);
}

char *quantity_text(const struct quantity *q, char buf[QUANTITY_TEXT_MAX])
{
	i128 nanos = to_nanos(q);
	bool negative = nanos < 0;
	u128 size = (u128)(negative ? -nanos : nanos);

	if (!size)
		return put_number(buf, false, 0, "");
	/* below 1024 binary and decimal look alike, and fractions have no binary form */
	if (q->format == 'b' && size >= (u128)1024 * NANO)
		return put_binary(buf, negative, size);
	return put_decimal(buf, negative, size, q->format == 'e');
}

static void add_nanos(struct quantity *to, const struct quantity *n, int sign)
{
	const i128 cap = (i128)INT64_MAX * NANO;
	i128 sum = to_nanos(to) + sign * to_nanos(n);
	int8_t format = to->value || to->nano ? to->format : n->format;

	from_nanos(sum > cap ? cap : sum < -cap ? -cap : sum, to);
	to->format = format;
}

void quantity_add(struct quantity *to, const struct quantity *n)
{
	add_nanos(to, n, 1);
}

void quantity_sub(struct quantity *to, const struct quantity *n)
{
	add_nanos(to, n, -1);
}

int quantity_cmp(const struct quantity *a, const struct quantity *b)
{
	i128 x = to_nanos(a), y = to_nanos(b);

	return x < y ? -1 : x > y;
}

static int64_t rounded_up(const struct quantity *q, int64_t unit_nanos)
{
	i128 nanos = to_nanos(q), n = nanos / unit_nanos;

	if (nanos > 0 && nanos % unit_nanos)
		n++;
	if (n > INT64_MAX)
		return INT64_MAX;
	return n < INT64_MIN ? INT64_MIN : (int64_t)n;
}

int64_t quantity_milli(const struct quantity *q)
{
	return rounded_up(q, NANO / 1000);
}

int64_t quantity_ceil(const struct quantity *q)
{
	return rounded_up(q, NANO);
}

int64_t quantity_bytes(const struct json *v)
{
	struct quantity q;

	if (json_is_null(v) || quantity_from_json(v, &q, NULL) < 0)
		return -1;
	return quantity_ceil(&q);
}

int64_t quantity_millis(const struct json *v)
{
	struct quantity q;

	if (json_is_null(v) || quantity_from_json(v, &q, NULL) < 0)
		return -1;
	return quantity_milli(&q);
}

char *quantity_bytes_text(int64_t bytes, char buf[QUANTITY_TEXT_MAX])
{
	struct quantity q = { .value = bytes, .format = 'b' };

	return quantity_text(&q, buf);
}

char *quantity_milli_text(int64_t milli, char buf[QUANTITY_TEXT_MAX])
{
	struct quantity q = { .format = 'd' };

	from_nanos((i128)milli * (NANO / 1000), &q);
	return quantity_text(&q, buf);
}
