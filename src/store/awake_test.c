/* SPDX-License-Identifier: Apache-2.0 */
#include "store/awake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void pause_us(long us)
{
	nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
}

static int64_t used_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void a_wait_now_and_then_is_left_alone(void **state)
{
	struct awake *a = awake_new();

	for (int i = 0; i < 3; i++) {
		awake_hold(a);
		pause_us(2L * AWAKE_RUN_US);
	}
	assert_int_equal(awake_holds(a), 0);
	awake_free(a);
}

static void a_run_of_waits_is_held_from_the_second_on(void **state)
{
	struct awake *a = awake_new();

	for (int i = 0; i < 1000; i++)
		awake_hold(a);
	assert_true(awake_holds(a) > 0); /* all but one, unless somebody else had the processor meanwhile */
	awake_free(a);
}

static void what_a_run_began_ends_by_itself(void **state)
{
	struct awake *a = awake_new();
	int64_t began;

	for (int i = 0; i < 1000; i++)
		awake_hold(a);
	pause_us(20L * AWAKE_US);
	began = used_us();
	pause_us(50000);
	assert_true(used_us() - began < 10000);
	awake_free(a);
}

static void none_is_as_good_as_one_that_does_nothing(void **state)
{
	awake_hold(NULL);
	awake_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_now_and_then_is_left_alone),
		cmocka_unit_test(a_run_of_waits_is_held_from_the_second_on),
		cmocka_unit_test(what_a_run_began_ends_by_itself),
		cmocka_unit_test(none_is_as_good_as_one_that_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
