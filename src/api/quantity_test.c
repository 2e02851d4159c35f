/* SPDX-License-Identifier: Apache-2.0 */
#include "api/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

static const char *canonical(const char *text)
{
	static char buf[QUANTITY_TEXT_MAX];
	struct quantity q;
	struct err e = { 0 };

	if (quantity_parse(text, &q, &e) < 0)
		return "refused";
	return quantity_text(&q, buf);
}

static void canonical_forms(void **state)
{
	static const char *const pairs[][2] = {
		{ "2048Mi", "2Gi" },
		{ "0.1", "100m" },
		{ "1Gi", "1Gi" },
		{ "1073741824", "1073741824" },
		{ "1000", "1k" },
		{ "1500", "1500" },
		{ "500m", "500m" },
		{ "2e3", "2e3" },
		{ "12e6", "12e6" },
		{ "1E", "1E" },
		{ "1E3", "1e3" },
		{ "1000m", "1" },
		{ "0", "0" },
		{ "0Ki", "0" },
		{ "-0", "0" },
		{ "-1.5Gi", "-1536Mi" },
		{ "0.5Ki", "512" },
		{ "0.5Gi", "512Mi" },
		{ "100n", "100n" },
		{ ".5", "500m" },
		{ "5.", "5" },
		{ "+5", "5" },
		{ "1023Ki", "1023Ki" },
		{ "1Ki", "1Ki" },
		{ "1000Ki", "1000Ki" },
		{ "0.0000000001", "1n" },
		{ "1e-3", "1e-3" },
		{ "8Ei", "9223372036854775807" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "1e100", "9223372036854775807" },
		{ "1e-100", "1e-9" },
		{ "100000000000000000000000000E", "9223372036854775807" },
		{ "0.1Ki", "102400m" },
		{ "1.1Ki", "1127" },
		{ "00012", "12" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		assert_string_equal(canonical(pairs[i][0]), pairs[i][1]);
}

static void bad_texts_are_refused_with_the_text(void **state)
{
	static const char *const bad[] = { "", "Gi", "1gi", "1 Gi", "--1", "1e", "1e+-3", "1e++3", "1.2.3",
		"0x10", "1Kii", "1mm", "1 ", " 1", "e3", ".", "1e999999999999999999999" };
	struct quantity q = { .value = 77 };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(quantity_parse(bad[i], &q, &e), -1);
	assert_int_equal(q.value, 77);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(quantity_parse(NULL, &q, NULL), -1);
}

static void numbers_round_up_and_saturate(void **state)
{
	struct quantity q;

	assert_int_equal(quantity_parse("1500u", &q, NULL), 0);
	assert_int_equal(quantity_milli(&q), 2);
	assert_int_equal(quantity_ceil(&q), 1);
	assert_int_equal(quantity_parse("-1500u", &q, NULL), 0);
	assert_int_equal(quantity_milli(&q), -1);
	assert_int_equal(quantity_ceil(&q), 0);
	assert_int_equal(q.value, -1);
	assert_true(q.nano > 0);
	assert_int_equal(quantity_parse("7E", &q, NULL), 0);
	assert_true(quantity_milli(&q) == INT64_MAX);
	assert_true(quantity_ceil(&q) == INT64_C(7000000000000000000));
}

static void compares_across_formats(void **state)
{
	struct quantity a, b;

	assert_int_equal(quantity_parse("1Gi", &a, NULL), 0);
	assert_int_equal(quantity_parse("1073741824", &b, NULL), 0);
	assert_int_equal(quantity_cmp(&a, &b), 0);
	assert_int_equal(quantity_parse("1G", &b, NULL), 0);
	assert_int_equal(quantity_cmp(&a, &b), 1);
	assert_int_equal(quantity_cmp(&b, &a), -1);
}

static void reads_json_and_writes_sizes(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("['1Gi', 1073741824, 0.5, true, null, 'x']");
	const struct json *r = json_root(d);
	char buf[QUANTITY_TEXT_MAX];

	assert_int_equal(quantity_bytes(json_item(r, 0)), 1073741824);
	assert_int_equal(quantity_bytes(json_item(r, 1)), 1073741824);
	assert_int_equal(quantity_millis(json_item(r, 2)), 500);
	assert_int_equal(quantity_bytes(json_item(r, 3)), -1);
	assert_int_equal(quantity_bytes(json_item(r, 4)), -1);
	assert_int_equal(quantity_bytes(json_item(r, 5)), -1);
	assert_int_equal(quantity_bytes(NULL), -1);
	assert_string_equal(quantity_bytes_text(INT64_C(2147483648), buf), "2Gi");
	assert_string_equal(quantity_milli_text(200, buf), "200m");
	assert_string_equal(quantity_milli_text(2000, buf), "2");
}

/* Property: parsing the canonical text gives the same number and the same text again. */
static void canonical_text_round_trips(void **state)
{
	uint64_t x = 88172645463325252u;
	static const char formats[] = "dbe";

	for (int i = 0; i < 20000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		struct quantity q = { .value = (int64_t)(x >> (x % 60)), .format = formats[x % 3] }, back;
		char one[QUANTITY_TEXT_MAX], two[QUANTITY_TEXT_MAX];

		if (q.format != 'b' && (x >> 8) % 3 == 0 && q.value < INT64_MAX)
			q.nano = (int32_t)((x >> 16) % 1000000000);
		if ((x >> 5) % 5 == 0)
			q.value = -q.value;
		quantity_text(&q, one);
		assert_int_equal(quantity_parse(one, &back, NULL), 0);
		assert_int_equal(quantity_cmp(&q, &back), 0);
		if (q.format == 'd') /* the others may have no suffix to be told by */
			assert_string_equal(quantity_text(&back, two), one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_forms),
		cmocka_unit_test(bad_texts_are_refused_with_the_text),
		cmocka_unit_test(numbers_round_up_and_saturate),
		cmocka_unit_test(compares_across_formats),
		cmocka_unit_test(reads_json_and_writes_sizes),
		cmocka_unit_test(canonical_text_round_trips),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
