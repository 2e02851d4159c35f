/* SPDX-License-Identifier: Apache-2.0 */
#include "base/time.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <stdio.h>

static void assert_text(int64_t ms, const char *want)
{
	char buf[TIME_TEXT_MAX];

	assert_string_equal(time_rfc3339(ms, buf), want);
}

static void known_times(void **state)
{
	char buf[TIME_TEXT_MAX];

	(void)state;
	assert_text(0, "1970-01-01T00:00:00Z");
	assert_text(-1, "1969-12-31T23:59:59Z");
	assert_text(951827696789, "2000-02-29T12:34:56Z");
	assert_text(1767323045000, "2026-01-02T03:04:05Z");
	assert_text(4102444800000, "2100-01-01T00:00:00Z");
	assert_string_equal(time_rfc3339_micro(1767323045678, buf), "2026-01-02T03:04:05.678000Z");
	assert_text(INT64_MAX, "9999-12-31T23:59:59Z");
	assert_text(INT64_MIN, "0000-01-01T00:00:00Z");
}

/* Counting day by day is the second opinion on the arithmetic. */
static void every_day_of_a_thousand_years_and_reads_back(void **state)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct chance c = { 32452843 };
	char buf[TIME_TEXT_MAX], want[TIME_TEXT_MAX];
	int64_t day = -134774, back; /* 1601-01-01 */

	(void)state;
	for (int y = 1601; y < 2601; y++)
		for (int m = 1; m <= 12; m++) {
			bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
			for (int d = 1; d <= days[m - 1] + (leap && m == 2); d++, day++) {
				unsigned ms = chance_below(&c, 86400000), s = ms / 1000;
				int64_t t = day * 86400000 + ms;

				snprintf(want, sizeof(want), "%04d-%02d-%02dT%02u:%02u:%02uZ", y, m, d,
					s / 3600, s / 60 % 60, s % 60);
				assert_string_equal(time_rfc3339(t, buf), want);
				assert_true(time_parse(time_rfc3339_micro(t, buf), &back));
				assert_true(back == t);
			}
		}
}

static void parse_takes_fractions_and_offsets(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01t00:00:00z", 0 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1969-12-31T18:30:00.5-05:30", 500 },
		{ "1970-01-01T00:00:00.123456789Z", 123 },
		{ "2024-02-29T00:00:00Z", 1709164800000 },
	};
	static const char *const bad[] = { "", "now", "1970-01-01", "1970-01-01T00:00:00",
		"1970-1-1T00:00:00Z", "2023-02-29T00:00:00Z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
		"1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:60Z",
		"1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx", "1970-01-01 00:00:00Z",
		"1970-01-01T00:00:00+0100", "1970-01-01T00:00:00+24:00" };
	int64_t ms = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(time_parse(good[i].text, &ms));
		assert_true(ms == good[i].ms);
	}
	ms = 77;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(time_parse(bad[i], &ms));
	assert_false(time_parse(NULL, &ms));
	assert_true(ms == 77);
}

static void ages_as_kubectl_prints_them(void **state)
{
	static const struct {
		int64_t s;
		const char *text;
	} ages[] = {
		{ -5, "<invalid>" },
		{ 0, "0s" },
		{ 75, "75s" },
		{ 119, "119s" },
		{ 120, "2m" },
		{ 265, "4m25s" },
		{ 599, "9m59s" },
		{ 600, "10m" },
		{ 10799, "179m" },
		{ 10800, "3h" },
		{ 10920, "3h2m" },
		{ 28800, "8h" },
		{ 172799, "47h" },
		{ 172800, "2d" },
		{ 180000, "2d2h" },
		{ 691200, "8d" },
		{ 63072000, "2y" },
		{ 63158400, "2y1d" },
		{ 315360000, "10y" },
	};
	char buf[TIME_TEXT_MAX];

	(void)state; /* kubernetes-api.md 2.8 */
	for (size_t i = 0; i < ARRAY_LEN(ages); i++)
		assert_string_equal(time_age(ages[i].s * 1000, buf), ages[i].text);
}

static void durations_as_go_reads_them(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "0", 0 },
		{ "1m30s", 90000 },
		{ "168h", 604800000 },
		{ "1.5h", 5400000 },
		{ "100ms", 100 },
		{ "-2s", -2000 },
		{ "+2s", 2000 },
		{ ".5s", 500 },
		{ "1h0m0.25s", 3600250 },
		{ "1500us", 1 },
		{ "1500\xc2\xb5s", 1 },
		{ "2000000ns", 2 },
		{ "0.3333333333333333333h", 1199999 },
	};
	static const char *const bad[] = { "", "1", "s", ".s", "1x", "1s ", "--1s", "1m-1s", "99999999999h",
		"1d" };
	int64_t ms = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(time_parse_duration(good[i].text, &ms));
		assert_true(ms == good[i].ms);
	}
	ms = 77;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(time_parse_duration(bad[i], &ms));
	assert_true(ms == 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_times),
		cmocka_unit_test(every_day_of_a_thousand_years_and_reads_back),
		cmocka_unit_test(parse_takes_fractions_and_offsets),
		cmocka_unit_test(ages_as_kubectl_prints_them),
		cmocka_unit_test(durations_as_go_reads_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
