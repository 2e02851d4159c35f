/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/workqueue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"

struct fixture {
	struct loop *loop;
	struct workqueue *q;
	int readies;
};

static void on_ready(void *arg)
{
	struct fixture *f = arg;

	f->readies++;
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->loop = loop_new_sim(0);
	f->q = wq_new(f->loop, on_ready, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	wq_free(f->q);
	loop_free(f->loop);
	free(f);
	return 0;
}

/* Takes everything that is due and gives it back; the keys in order. */
static char *drain(struct fixture *f)
{
	struct str out = { 0 };
	const char *key;

	while (wq_take(f->q, &key)) {
		str_addf(&out, "%s ", key);
		wq_done(f->q, key);
	}
	return str_take(&out);
}

static void assert_drains(struct fixture *f, const char *want)
{
	CLEANUP(mem_freep) char *got = drain(f);

	assert_string_equal(got, want);
}

static void ready_is_told_later_and_keys_come_in_the_order_added(void **state)
{
	struct fixture *f = *state;

	wq_add(f->q, "b");
	wq_add(f->q, "a");
	wq_add(f->q, "b");
	assert_int_equal(f->readies, 0);
	loop_step(f->loop, -1);
	assert_int_equal(f->readies, 1);
	assert_int_equal(wq_len(f->q), 2);
	assert_drains(f, "b a ");
	assert_int_equal(wq_len(f->q), 0);
}

static void delayed_keys_come_when_due_and_the_earlier_wish_wins(void **state)
{
	struct fixture *f = *state;

	wq_add_after(f->q, "late", 1000);
	wq_add_after(f->q, "soon", 10);
	wq_add_after(f->q, "late", 500);
	wq_add_after(f->q, "late", 2000);
	assert_false(wq_due(f->q));
	assert_drains(f, "");
	loop_sim_advance(f->loop, 499);
	assert_drains(f, "soon ");
	loop_sim_advance(f->loop, 1);
	assert_drains(f, "late ");
	assert_false(loop_step(f->loop, -1));
}

static void a_key_is_out_once_and_returns_if_added_meanwhile(void **state)
{
	struct fixture *f = *state;
	const char *key, *none;

	wq_add(f->q, "k");
	assert_true(wq_take(f->q, &key));
	wq_add(f->q, "k");
	wq_add_after(f->q, "k", 100);
	assert_false(wq_take(f->q, &none));
	assert_string_equal(key, "k");
	wq_done(f->q, key);
	assert_drains(f, "k ");
	assert_drains(f, "");
	loop_sim_advance(f->loop, 200);
	assert_drains(f, "");
}

static void ready_comes_again_after_done_while_there_is_more(void **state)
{
	struct fixture *f = *state;
	const char *key;

	wq_add(f->q, "a");
	wq_add(f->q, "b");
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(f->readies, 1);
	assert_true(wq_take(f->q, &key));
	wq_done(f->q, key);
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(f->readies, 2);
}

static void many_keys_keep_their_order(void **state)
{
	struct fixture *f = *state;
	const char *key;
	int64_t last = -1, n;

	for (int i = 0; i < 2000; i++) {
		CLEANUP(mem_freep) char *name = str_printf("%d", i);

		wq_add_after(f->q, name, (i * 7919) % 1000);
	}
	for (int ms = 0; ms < 1000; ms++, loop_sim_advance(f->loop, 1)) {
		while (wq_take(f->q, &key)) {
			assert_true(str_to_i64(key, 0, 2000, &n));
			assert_int_equal((n * 7919) % 1000, ms);
			last = n;
			wq_done(f->q, key);
		}
	}
	assert_true(last >= 0);
	assert_int_equal(wq_len(f->q), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			ready_is_told_later_and_keys_come_in_the_order_added, setup, teardown),
		cmocka_unit_test_setup_teardown(
			delayed_keys_come_when_due_and_the_earlier_wish_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_key_is_out_once_and_returns_if_added_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(
			ready_comes_again_after_done_while_there_is_more, setup, teardown),
		cmocka_unit_test_setup_teardown(many_keys_keep_their_order, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
