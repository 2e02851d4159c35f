/* SPDX-License-Identifier: Apache-2.0 */
#include "api/delta.h"

#include "base/mem.h"
#include "base/test_util.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 4000

static uint32_t seed = 7;
static uint32_t any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return below ? seed % below : 0;
}

static size_t round_trip(const struct str *base, const struct str *to)
{
	CLEANUP(str_done) struct str delta = { 0 };
	/* exact sizes, so that a byte too far is seen */
	CLEANUP(mem_freep) char *b = mem_dup(str_cstr(base), base->len);
	CLEANUP(mem_freep) char *d = NULL, *out = NULL;
	size_t len;

	delta_make(b, base->len, str_cstr(to), to->len, &delta);
	d = mem_dup(delta.data, delta.len);
	assert_true(delta_len(d, delta.len, &len));
	assert_int_equal(len, to->len);
	out = mem_alloc(len);
	assert_true(delta_apply(b, base->len, d, delta.len, out, len));
	assert_memory_equal(out, str_cstr(to), len);
	return delta.len;
}

/* Few letters, so that much repeats; or all bytes. */
static void random_text(struct str *s, size_t len)
{
	uint32_t letters = any(2) ? 256 : 1 + any(6);

	while (s->len < len)
		str_addc(s, (char)(letters == 256 ? any(256) : 'a' + any(letters)));
}

static void edit(const struct str *from, struct str *to)
{
	size_t at = 0;

	for (uint32_t edits = any(6); at<from->len; edits -= edits> 0) {
		size_t n = edits ? any((uint32_t)(from->len - at) + 1) : from->len - at;

		str_addn(to, from->data + at, n);
		at += n;
		if (any(2))
			random_text(to, to->len + any(40)); /* put in */
		if (any(2) && at < from->len)
			at += any((uint32_t)(from->len - at) + 1) / (1 + any(8)); /* taken out */
		if (any(4) == 0 && from->len > 0) {                               /* moved or doubled */
			size_t p = any((uint32_t)from->len);

			str_addn(to, from->data + p, any((uint32_t)(from->len - p) + 1));
		}
		if (!edits)
			break;
	}
}

static void any_edit_of_any_text_comes_back(void **state)
{
	for (int i = 0; i < ROUNDS; i++) {
		CLEANUP(str_done) struct str base = { 0 }, to = { 0 };

		random_text(&base, any(i % 50 == 0 ? 20000 : 400));
		edit(&base, &to);
		round_trip(&base, &to);
		round_trip(&to, &base);
	}
}

static void texts_without_anything_in_common_come_back(void **state)
{
	CLEANUP(str_done) struct str none = { 0 }, some = { 0 }, big = { 0 };

	str_add(&some, "something");
	while (big.len < 1500000)
		str_addf(&big, "%u,", any(UINT32_MAX));
	round_trip(&none, &none);
	round_trip(&none, &some);
	round_trip(&some, &none);
	round_trip(&some, &big);
	round_trip(&big, &some);
	assert_in_range(round_trip(&big, &big), 1, 12);
}

static void a_small_change_is_a_small_delta(void **state)
{
	static const char format[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{"
				     "\"resourceVersion\":\"%d\",\"name\":\"one\","
				     "\"managedFields\":[{\"manager\":\"a\",\"time\":\"2026-11-20T12:00:%"
				     "02dZ\"}]},\"data\":{\"filler\":\"%s\","
				     "\"round\":\"%d\",\"more\":\"%s\"}}";
	char filler[1500];
	CLEANUP(str_done) struct str a = { 0 }, b = { 0 };

	for (size_t i = 0; i < sizeof(filler) - 1; i++)
		filler[i] = (char)('a' + any(26));
	filler[sizeof(filler) - 1] = '\0';
	str_addf(&a, format, 123, 5, filler, 17, filler);
	str_addf(&b, format, 4711, 59, filler, 18, filler);
	assert_in_range(round_trip(&a, &b), 1, 64);
}

/* It comes from our own memory, but a delta on the wrong base shall be found out, not read past the end. */
static void what_is_no_delta_is_refused(void **state)
{
	CLEANUP(str_done) struct str base = { 0 }, to = { 0 }, delta = { 0 };
	char out[600];
	size_t len;

	random_text(&base, 500);
	str_addn(&to, base.data, 400);
	str_add(&to, "and an end of its own");
	delta_make(base.data, base.len, to.data, to.len, &delta);
	assert_false(delta_apply(base.data, 100, delta.data, delta.len, out, to.len));
	assert_false(delta_apply(base.data, base.len, delta.data, delta.len, out, to.len - 1));
	assert_false(delta_apply(base.data, base.len, delta.data, delta.len - 1, out, to.len));
	assert_false(delta_len("\xff\xff", 2, &len));
	for (int i = 0; i < 20000; i++) {
		CLEANUP(mem_freep) char *broken = mem_dup(delta.data, delta.len);

		broken[any((uint32_t)delta.len)] = (char)any(256);
		if (delta_len(broken, delta.len, &len) && len <= sizeof(out))
			delta_apply(base.data, base.len, broken, delta.len, out, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_edit_of_any_text_comes_back),
		cmocka_unit_test(texts_without_anything_in_common_come_back),
		cmocka_unit_test(a_small_change_is_a_small_delta),
		cmocka_unit_test(what_is_no_delta_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
