/* SPDX-License-Identifier: Apache-2.0 */
#include "store/revs.h"

#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define KEYS 700

static void a_key_is_at_the_revision_it_was_last_given(void **state)
{
	struct revs *r = revs_new();

	assert_int_equal(revs_get(r, "/a"), 0);
	revs_set(r, "/a", 1);
	revs_set(r, "/b", 2);
	revs_set(r, "/a", 3);
	assert_int_equal(revs_get(r, "/a"), 3);
	assert_int_equal(revs_get(r, "/b"), 2);
	assert_int_equal(revs_len(r), 2);
	revs_set(r, "/a", 0);
	revs_set(r, "/never", 0);
	assert_int_equal(revs_get(r, "/a"), 0);
	assert_int_equal(revs_len(r), 1);
	revs_free(r);
}

/* Against the simplest thing that can not be wrong: an array. Removals move what others probed past. */
static void it_agrees_with_an_array_whatever_is_done(void **state)
{
	struct revs *r = revs_new();
	uint64_t want[KEYS] = { 0 };
	uint32_t x = 12345;
	size_t n = 0;
	CLEANUP(mem_freep) struct rev_entry *sorted = NULL;

	for (uint64_t i = 1; i < 60000; i++) {
		char key[32];
		size_t k;

		x = x * 1664525u + 1013904223u;
		k = (x >> 8) % KEYS;
		snprintf(key, sizeof(key), "/registry/pods/%zu", k);
		want[k] = (x >> 28) < 7 ? 0 : i;
		revs_set(r, key, want[k]);
		k = (x >> 12) % KEYS;
		snprintf(key, sizeof(key), "/registry/pods/%zu", k);
		assert_int_equal(revs_get(r, key), want[k]);
	}
	for (size_t k = 0; k < KEYS; k++)
		n += want[k] > 0;
	assert_int_equal(revs_len(r), n);
	sorted = revs_sorted(r);
	for (size_t i = 0; i < n; i++) {
		size_t k = strtoul(strrchr(sorted[i].key, '/') + 1, NULL, 10);

		assert_int_equal(sorted[i].rev, want[k]);
		assert_true(i == 0 || strcmp(sorted[i - 1].key, sorted[i].key) < 0);
	}
	revs_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_at_the_revision_it_was_last_given),
		cmocka_unit_test(it_agrees_with_an_array_whatever_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
