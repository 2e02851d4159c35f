/* SPDX-License-Identifier: Apache-2.0 */
/* Times out of /proc: what a process calls itself must not matter. */
#include "kubevirt/launcher/launcher_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void times_are_behind_the_name(void **state)
{
	static const char tail[] = " S 1 2 3 0 -1 4194560 5 6 7 8 250 75 9 10 20 0 3 0 1234 5678 90";
	static const char *const names[] = { "12 (qemu-system-x86)", "12 (CPU 0/TCG)", "12 (a ) S 9 9)",
		"12 ())" };
	int64_t user, system;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CLEANUP(mem_freep) char *line = str_printf("%s%s", names[i], tail);
		assert_true(stats_cpu_times(line, 100, &user, &system));
		assert_int_equal(user, 2500);
		assert_int_equal(system, 750);
	}
}

static void nonsense_is_no_time(void **state)
{
	static const char *const lines[] = { "", "12", "12 (qemu", "12 (qemu)", "12 (qemu) S 1 2 3",
		"12 (qemu) S 1 2 3 0 -1 4194560 5 6 7 8 x y" };
	int64_t user = -1, system = -1;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(stats_cpu_times(lines[i], 100, &user, &system));
	assert_false(stats_cpu_times("12 (q) S 1 2 3 0 -1 4 5 6 7 8 250 75 9", 0, &user, &system));
	assert_int_equal(user, -1);
	assert_int_equal(system, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_behind_the_name),
		cmocka_unit_test(nonsense_is_no_time),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
