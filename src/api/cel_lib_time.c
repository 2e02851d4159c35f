/* SPDX-License-Identifier: Apache-2.0 */
/* Durations and timestamps. Time zones are UTC or a fixed offset: names of zones need a data base, and so are refused. */
#include "api/cel_int.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))
#define NS INT64_C(1000000000)

/* ---- text ---- */

static bool read_unit(const char **p, const char *end, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 },
		{ "ms", 1000000 }, { "s", NS }, { "m", 60 * NS }, { "h", 3600 * NS } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if ((size_t)(end - *p) >= len && memcmp(*p, units[i].name, len) == 0) {
			*p += len;
			*ret_ns = units[i].ns;
			return true;
		}
	}
	return false;
}

/* One "1.5h". */
static bool read_part(const char **p, const char *end, __int128 *total)
{
	__int128 whole = 0, frac = 0, scale = 1;
	const char *from = *p;
	int64_t unit;
	size_t digits;

	for (; *p < end && isdigit((unsigned char)**p); (*p)++)
		if ((whole = whole * 10 + (**p - '0')) > INT64_MAX)
			return false;
	digits = (size_t)(*p - from);
	if (*p < end && **p == '.') {
		for ((*p)++; *p < end && isdigit((unsigned char)**p); (*p)++, digits++) {
			if (scale < NS * NS) {
				frac = frac * 10 + (**p - '0');
				scale *= 10;
			}
		}
	}
	if (!digits || !read_unit(p, end, &unit))
		return false;
	*total += whole * unit + frac * unit / scale;
	return *total <= (__int128)INT64_MAX + 1;
}

bool cel_parse_duration(const char *s, size_t n, int64_t *ret_ns)
{
	const char *p = s, *end = s + n;
	bool negative = n && *p == '-';
	__int128 total = 0;

	if (n && (*p == '-' || *p == '+'))
		p++;
	if (end - p == 1 && *p == '0') {
		*ret_ns = 0;
		return true;
	}
	if (p == end)
		return false;
	while (p < end)
		if (!read_part(&p, end, &total))
			return false;
	if (!negative && total > INT64_MAX)
		return false;
	*ret_ns = (int64_t)(negative ? -total : total);
	return true;
}

void cel_duration_text(int64_t ns, struct str *out)
{
	uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	char frac[16];
	size_t len;

	str_addf(out, "%s%llu", ns < 0 ? "-" : "", (unsigned long long)(size / NS));
	if (size % NS) {
		len = (size_t)snprintf(frac, sizeof(frac), ".%09llu", (unsigned long long)(size % NS));
		while (len > 1 && frac[len - 1] == '0')
			frac[--len] = '\0';
		str_add(out, frac);
	}
	str_addc(out, 's');
}

/* Days since 1970 of a date of the Gregorian calendar, and back. */
static int64_t days_from(int64_t y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct civil {
	int64_t year;
	int month, day, hour, minute, second, weekday, yearday;
};

static struct civil civil_from(int64_t sec)
{
	int64_t days = sec / 86400, rest = sec % 86400, z, era, doe, yoe, doy, mp;
	struct civil c;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	z = days + 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = yoe + era * 400 + (c.month <= 2);
	c.hour = (int)(rest / 3600);
	c.minute = (int)(rest / 60 % 60);
	c.second = (int)(rest % 60);
	c.weekday = (int)(((days % 7) + 11) % 7);
	c.yearday = (int)(days - days_from(c.year, 1, 1));
	return c;
}

static bool read_number(const char **p, const char *end, int digits, int max, int *ret)
{
	int v = 0;

	for (int i = 0; i < digits; i++, (*p)++) {
		if (*p >= end || !isdigit((unsigned char)**p))
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return v <= max;
}

static bool read_char(const char **p, const char *end, const char *any)
{
	if (*p >= end || !**p || !strchr(any, **p))
		return false;
	(*p)++;
	return true;
}

/* "+01:00"; `sign` may be left out in names of zones. */
static bool read_offset(const char **p, const char *end, bool need_sign, int *ret_sec)
{
	bool minus = *p < end && **p == '-';
	int h, m;

	if (!read_char(p, end, "+-") && need_sign)
		return false;
	if (!read_number(p, end, 2, 23, &h) || !read_char(p, end, ":") || !read_number(p, end, 2, 59, &m))
		return false;
	*ret_sec = (h * 3600 + m * 60) * (minus ? -1 : 1);
	return true;
}

bool cel_parse_timestamp(const char *s, size_t n, int64_t *ret_sec, int32_t *ret_nano, int32_t *ret_offset)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	const char *p = s, *end = s + n;
	int year, month, day, hour, minute, second, offset = 0;
	int32_t nano = 0;
	bool leap;

	if (!read_number(&p, end, 4, 9999, &year) || !read_char(&p, end, "-") ||
		!read_number(&p, end, 2, 12, &month) || !read_char(&p, end, "-") ||
		!read_number(&p, end, 2, 31, &day) || !read_char(&p, end, "Tt") ||
		!read_number(&p, end, 2, 23, &hour) || !read_char(&p, end, ":") ||
		!read_number(&p, end, 2, 59, &minute) || !read_char(&p, end, ":") ||
		!read_number(&p, end, 2, 59, &second))
		return false;
	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (!month || !day || day > lengths[month - 1] + (month == 2 && leap))
		return false;
	if (p < end && *p == '.') {
		int32_t scale = 100000000;
		const char *from = ++p;

		for (; p < end && isdigit((unsigned char)*p); p++, scale /= 10)
			nano += (*p - '0') * scale;
		if (p == from)
			return false;
	}
	if (!read_char(&p, end, "Zz") && !read_offset(&p, end, true, &offset))
		return false;
	if (p != end)
		return false;
	*ret_sec = days_from(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
	*ret_nano = nano;
	*ret_offset = offset;
	return true;
}

void cel_timestamp_text(const struct cel_value *t, struct str *out)
{
	int32_t offset = (int32_t)(uint32_t)t->n;
	struct civil c = civil_from(t->i + offset);
	char frac[16];
	size_t len;

	str_addf(out, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)c.year, c.month, c.day, c.hour, c.minute,
		c.second);
	if (t->nano) {
		len = (size_t)snprintf(frac, sizeof(frac), ".%09d", t->nano);
		while (len > 1 && frac[len - 1] == '0')
			frac[--len] = '\0';
		str_add(out, frac);
	}
	if (!offset)
		str_addc(out, 'Z');
	else
		str_addf(out, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 3600,
			abs(offset) / 60 % 60);
}

/* ---- making ---- */

static struct cel_value f_duration(ARGS)
{
	int64_t ns;

	if (a[0].kind == CEL_DURATION)
		return a[0];
	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (!cel_parse_duration(a[0].s, a[0].n, &ns))
		return cel_fail(r, "type conversion error from 'string' to 'google.protobuf.Duration'");
	return cel_duration(ns);
}

static struct cel_value f_timestamp(ARGS)
{
	int64_t sec;
	int32_t nano, offset;

	if (a[0].kind == CEL_TIMESTAMP)
		return a[0];
	if (a[0].kind == CEL_INT)
		return cel_timestamp(r, a[0].i, 0, 0);
	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (!cel_parse_timestamp(a[0].s, a[0].n, &sec, &nano, &offset))
		return cel_fail(r, "type conversion error from 'string' to 'google.protobuf.Timestamp'");
	return cel_timestamp(r, sec, nano, offset);
}

/* ---- parts ---- */

static bool zone_offset(const struct cel_value *v, int *ret_sec)
{
	const char *p = v->s, *end = v->s + v->n;

	*ret_sec = 0;
	if (v->n == 0 || (v->n == 3 && memcmp(p, "UTC", 3) == 0))
		return true;
	return read_offset(&p, end, false, ret_sec) && p == end;
}

/* The parts of a[0] in the zone a[1], if given. */
static bool parts(
	struct cel_run *r, const struct cel_value *a, size_t n, struct civil *ret, struct cel_value *ret_err)
{
	int offset = 0;

	if (a[0].kind != CEL_TIMESTAMP || (n > 1 && a[1].kind != CEL_STRING)) {
		*ret_err = cel_no_overload();
		return false;
	}
	if (n > 1 && !zone_offset(&a[1], &offset)) {
		*ret_err = cel_fail(r, "unknown time zone %.*s", (int)(a[1].n < 64 ? a[1].n : 64), a[1].s);
		return false;
	}
	*ret = civil_from(a[0].i + offset);
	return true;
}

#define PART(fn, expr)                                                  \
	static struct cel_value fn(ARGS)                                \
	{                                                               \
		struct cel_value e;                                     \
		struct civil c;                                         \
                                                                        \
		return parts(r, a, n_args, &c, &e) ? cel_int(expr) : e; \
	}
PART(f_year, c.year)
PART(f_month, c.month - 1)
PART(f_date, c.day)
PART(f_day_of_month, c.day - 1)
PART(f_day_of_week, c.weekday)
PART(f_day_of_year, c.yearday)
PART(f_ts_hours, c.hour)
PART(f_ts_minutes, c.minute)
PART(f_ts_seconds, c.second)

static struct cel_value f_hours(ARGS)
{
	return a[0].kind == CEL_DURATION ? cel_int(a[0].i / (3600 * NS)) : f_ts_hours(r, n, a, n_args);
}

static struct cel_value f_minutes(ARGS)
{
	return a[0].kind == CEL_DURATION ? cel_int(a[0].i / (60 * NS)) : f_ts_minutes(r, n, a, n_args);
}

static struct cel_value f_seconds(ARGS)
{
	return a[0].kind == CEL_DURATION ? cel_int(a[0].i / NS) : f_ts_seconds(r, n, a, n_args);
}

static struct cel_value f_millis(ARGS)
{
	if (a[0].kind == CEL_DURATION)
		return cel_int(a[0].i / 1000000);
	return a[0].kind == CEL_TIMESTAMP ? cel_int(a[0].nano / 1000000) : cel_no_overload();
}

#define OF_TIME "t.:i|t.s:i"
const struct cel_fn cel_fns_time[] = {
	{ "duration", "s:r|r:r", f_duration, false },
	{ "timestamp", "s:t|t:t|i:t", f_timestamp, false },
	{ "getFullYear", OF_TIME, f_year, false },
	{ "getMonth", OF_TIME, f_month, false },
	{ "getDate", OF_TIME, f_date, false },
	{ "getDayOfMonth", OF_TIME, f_day_of_month, false },
	{ "getDayOfWeek", OF_TIME, f_day_of_week, false },
	{ "getDayOfYear", OF_TIME, f_day_of_year, false },
	{ "getHours", OF_TIME "|r.:i", f_hours, false },
	{ "getMinutes", OF_TIME "|r.:i", f_minutes, false },
	{ "getSeconds", OF_TIME "|r.:i", f_seconds, false },
	{ "getMilliseconds", OF_TIME "|r.:i", f_millis, false },
	{ 0 },
};
