/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)
/* RFC 3339 knows years 0000 to 9999; anything outside is shown as the nearest of them */
#define MS_MIN INT64_C(-62167219200000)
#define MS_MAX INT64_C(253402300799999)

struct civil {
	int64_t year;
	int month, day, hour, minute, second, ms;
};

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from March, so that the leap
 * day is the last of its year, in eras of 400 years. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t days, struct civil *c)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c->year = yoe + era * 400 + (c->month <= 2);
}

static struct civil civil_from_ms(int64_t ms)
{
	struct civil c = { 0 };

	if (ms < MS_MIN)
		ms = MS_MIN;
	if (ms > MS_MAX)
		ms = MS_MAX;
	int64_t days = ms / MS_PER_DAY, rest = ms % MS_PER_DAY;
	if (rest < 0) {
		rest += MS_PER_DAY;
		days--;
	}
	civil_from_days(days, &c);
	c.ms = (int)(rest % 1000);
	rest /= 1000;
	c.second = (int)(rest % 60);
	c.minute = (int)(rest / 60 % 60);
	c.hour = (int)(rest / 3600);
	return c;
}

/* Objects are written with times by the thousand: without printf. Returns where the text ends. */
static char *put_number(char *to, int n, int digits)
{
	for (int i = digits; i-- > 0; n /= 10)
		to[i] = (char)('0' + n % 10);
	return to + digits;
}

#define SECOND_LEN 19 /* 2006-01-02T15:04:05 */

static char *put_second(const struct civil *c, char *to)
{
	to = put_number(to, (int)c->year, 4);
	*to++ = '-';
	to = put_number(to, c->month, 2);
	*to++ = '-';
	to = put_number(to, c->day, 2);
	*to++ = 'T';
	to = put_number(to, c->hour, 2);
	*to++ = ':';
	to = put_number(to, c->minute, 2);
	*to++ = ':';
	return put_number(to, c->second, 2);
}

char *time_rfc3339(int64_t ms, char buf[TIME_TEXT_MAX])
{
	struct civil c = civil_from_ms(ms);

	*put_second(&c, buf) = 'Z';
	buf[SECOND_LEN + 1] = '\0';
	return buf;
}

char *time_rfc3339_micro(int64_t ms, char buf[TIME_TEXT_MAX])
{
	struct civil c = civil_from_ms(ms);

	char *at = put_second(&c, buf);

	*at++ = '.';
	at = put_number(at, c.ms, 3);
	memcpy(at, "000Z", sizeof("000Z"));
	return buf;
}

/* Exactly n digits. */
static bool read_digits(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*ret = v;
	return true;
}

static bool read_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static int month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_date(const char **p, struct civil *c)
{
	int year;

	if (!read_digits(p, 4, &year) || !read_char(p, '-') || !read_digits(p, 2, &c->month) ||
		!read_char(p, '-') || !read_digits(p, 2, &c->day))
		return false;
	c->year = year;
	return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= month_days(year, c->month);
}

static bool read_clock(const char **p, struct civil *c)
{
	if (!read_digits(p, 2, &c->hour) || !read_char(p, ':') || !read_digits(p, 2, &c->minute) ||
		!read_char(p, ':') || !read_digits(p, 2, &c->second))
		return false;
	if (c->hour > 23 || c->minute > 59 || c->second > 59)
		return false;
	if (!read_char(p, '.'))
		return true;
	if (**p < '0' || **p > '9')
		return false;
	for (int scale = 100; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
		c->ms += (**p - '0') * scale;
	return true;
}

static bool read_offset(const char **p, int64_t *ret_ms)
{
	int h, m;

	if (read_char(p, 'Z') || read_char(p, 'z')) {
		*ret_ms = 0;
		return true;
	}
	int sign = **p == '-' ? -1 : 1;
	if (!read_char(p, '+') && !read_char(p, '-'))
		return false;
	if (!read_digits(p, 2, &h) || !read_char(p, ':') || !read_digits(p, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_ms = sign * (int64_t)(h * 60 + m) * 60000;
	return true;
}

bool time_parse(const char *text, int64_t *ret_ms)
{
	struct civil c = { 0 };
	int64_t offset;

	if (!text || !read_date(&text, &c))
		return false;
	if (!read_char(&text, 'T') && !read_char(&text, 't'))
		return false;
	if (!read_clock(&text, &c) || !read_offset(&text, &offset) || *text)
		return false;
	int64_t seconds = (int64_t)c.hour * 3600 + c.minute * 60 + c.second;
	*ret_ms = days_from_civil(c.year, c.month, c.day) * MS_PER_DAY + seconds * 1000 + c.ms - offset;
	return true;
}

struct unit {
	const char *name;
	int64_t ns;
};

/* Longest names first where one begins another. */
static const struct unit units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 }, /* micro sign */
	{ "\xce\xbcs", 1000 }, /* greek mu */
	{ "ms", 1000000 },
	{ "s", INT64_C(1000000000) },
	{ "m", INT64_C(60000000000) },
	{ "h", INT64_C(3600000000000) },
};

static const struct unit *read_unit(const char **p)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t n = 0;

		while (units[i].name[n] && (*p)[n] == units[i].name[n])
			n++;
		if (!units[i].name[n]) {
			*p += n;
			return &units[i];
		}
	}
	return NULL;
}

/* One "1.5h" in nanoseconds; false as well on overflow. */
static bool read_quantity(const char **p, int64_t *ret_ns)
{
	int64_t whole = 0, part = 0, scale = 1;
	bool any = false;

	for (; **p >= '0' && **p <= '9'; (*p)++, any = true)
		if (__builtin_mul_overflow(whole, (int64_t)10, &whole) ||
			__builtin_add_overflow(whole, (int64_t)(**p - '0'), &whole))
			return false;
	if (read_char(p, '.'))
		for (; **p >= '0' && **p <= '9'; (*p)++, any = true)
			if (scale < INT64_C(1000000000000)) { /* finer digits do not matter */
				part = part * 10 + (**p - '0');
				scale *= 10;
			}
	const struct unit *u = any ? read_unit(p) : NULL;
	if (!u || __builtin_mul_overflow(whole, u->ns, &whole))
		return false;
	int64_t fraction = (int64_t)((double)part / (double)scale * (double)u->ns + 0.5);
	return !__builtin_add_overflow(whole, fraction, ret_ns);
}

bool time_parse_duration(const char *text, int64_t *ret_ms)
{
	int64_t total = 0, one;

	if (!text)
		return false;
	bool neg = *text == '-';
	if (*text == '-' || *text == '+')
		text++;
	if (text[0] == '0' && !text[1]) {
		*ret_ms = 0;
		return true;
	}
	if (!*text)
		return false;
	while (*text)
		if (!read_quantity(&text, &one) || __builtin_add_overflow(total, one, &total))
			return false;
	*ret_ms = (neg ? -total : total) / 1000000;
	return true;
}

/* "3h2m", or "3h" when the smaller part is 0 or not shown at this size. */
static void put_age(char *buf, int64_t big, char big_unit, int64_t small, char small_unit)
{
	if (small == 0)
		snprintf(buf, TIME_TEXT_MAX, "%" PRId64 "%c", big, big_unit);
	else
		snprintf(buf, TIME_TEXT_MAX, "%" PRId64 "%c%" PRId64 "%c", big, big_unit, small, small_unit);
}

/* The steps of apimachinery's duration.HumanDuration. */
char *time_age(int64_t ms, char buf[TIME_TEXT_MAX])
{
	int64_t s = ms / 1000, m = s / 60, h = s / 3600, d = h / 24, y = d / 365;

	if (s < -1)
		snprintf(buf, TIME_TEXT_MAX, "<invalid>");
	else if (s < 0)
		snprintf(buf, TIME_TEXT_MAX, "0s");
	else if (s < 120)
		put_age(buf, s, 's', 0, 0);
	else if (m < 10)
		put_age(buf, m, 'm', s % 60, 's');
	else if (m < 180)
		put_age(buf, m, 'm', 0, 0);
	else if (h < 8)
		put_age(buf, h, 'h', m % 60, 'm');
	else if (h < 48)
		put_age(buf, h, 'h', 0, 0);
	else if (h < 24 * 8)
		put_age(buf, d, 'd', h % 24, 'h');
	else if (h < 24 * 365 * 2)
		put_age(buf, d, 'd', 0, 0);
	else if (h < 24 * 365 * 8)
		put_age(buf, y, 'y', d % 365, 'd');
	else
		put_age(buf, y, 'y', 0, 0);
	return buf;
}

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	MUST(clock_gettime(id, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t time_wall_now(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t time_mono_now(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t time_mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}
