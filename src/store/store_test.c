/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of store.h, kept by every implementation (kubernetes-api.md 7). */
#include "store/store.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	struct loop *loop;
	struct store *store;
	char *dir, *path; /* NULL: memory */
	/* acknowledgements in the order they came */
	uint64_t acked[8192];
	enum err_code codes[8192];
	size_t n;
	/* what a load gave */
	struct str rows, changes;
};

static void acknowledged(void *arg, uint64_t rev, const struct err *e)
{
	struct world *w = arg;

	w->acked[w->n] = rev;
	w->codes[w->n++] = e ? e->code : ERR_NONE;
}

static void put(struct world *w, const char *key, const char *value, uint64_t expect)
{
	store_write(w->store, &(struct store_write){ .key = key,
				      .value = value,
				      .len = value ? strlen(value) : 0,
				      .expect = expect,
				      .done = acknowledged,
				      .arg = w });
}

static void wait_for(struct world *w, size_t n)
{
	for (int i = 0; w->n < n && i < 10000; i++)
		loop_step(w->loop, 100);
	assert_int_equal(w->n, n);
}

static int load_row(void *arg, const struct store_row *r, struct err *e)
{
	struct world *w = arg;

	str_addf(&w->rows, "%s@%llu=%.*s ", r->key, (unsigned long long)r->rev, (int)r->len, r->value);
	return 0;
}

static int load_change(void *arg, const struct store_change *c, struct err *e)
{
	struct world *w = arg;

	str_addf(&w->changes, "%s@%llu<%llu%s:%.*s ", c->key, (unsigned long long)c->rev,
		(unsigned long long)c->prev_rev, c->deleted ? "x" : "", (int)c->old_len,
		c->old ? c->old : "");
	return 0;
}

static void load(struct world *w)
{
	static const struct store_load_ops ops = { load_row, load_change };
	struct err e = { 0 };

	str_clear(&w->rows);
	str_clear(&w->changes);
	assert_int_equal(store_load(w->store, &ops, w, &e), 0);
}

static void open_store(struct world *w)
{
	struct err e = { 0 };

	w->store = w->path ? store_sqlite_open(w->loop, w->path, &e) : store_mem_new(w->loop);
	if (!w->store)
		fail_msg("%s", e.msg);
}

static int setup(void **state, bool sqlite)
{
	struct world *w = MEM_NEW(struct world);
	char dir[] = "/tmp/store-test-XXXXXX";

	w->loop = loop_new();
	if (sqlite) {
		assert_non_null(mkdtemp(dir));
		w->dir = mem_strdup(dir);
		w->path = file_join(dir, "state.db");
	}
	open_store(w);
	*state = w;
	return 0;
}

static int setup_sqlite(void **state)
{
	return setup(state, true);
}

static int setup_mem(void **state)
{
	return setup(state, false);
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_free(w->store);
	loop_free(w->loop);
	if (w->dir)
		file_remove_tree(w->dir, NULL);
	free(w->dir);
	free(w->path);
	str_done(&w->rows);
	str_done(&w->changes);
	free(w);
	return 0;
}

static void a_write_is_acknowledged_with_the_next_revision(void **state)
{
	struct world *w = *state;

	assert_int_equal(store_next(w->store), 1);
	put(w, "/a", "one", 0);
	assert_int_equal(store_next(w->store), 2);
	assert_int_equal(store_revision(w->store), 0);
	assert_int_equal(w->n, 0); /* never from within */
	wait_for(w, 1);
	assert_int_equal(w->acked[0], 1);
	assert_int_equal(w->codes[0], ERR_NONE);
	assert_int_equal(store_revision(w->store), 1);
}

static void a_write_against_another_revision_is_refused(void **state)
{
	struct world *w = *state;

	put(w, "/a", "one", 0);
	put(w, "/a", "again", 0); /* there already, though only queued */
	put(w, "/a", "two", 1);
	put(w, "/a", NULL, 1); /* is at 3 by now */
	put(w, "/b", NULL, 7); /* no such key */
	wait_for(w, 5);
	assert_int_equal(w->codes[0], ERR_NONE);
	assert_int_equal(w->codes[1], ERR_CONFLICT);
	assert_int_equal(w->codes[2], ERR_NONE);
	assert_int_equal(w->codes[3], ERR_CONFLICT);
	assert_int_equal(w->codes[4], ERR_CONFLICT);
	load(w);
	assert_string_equal(w->rows.data, "/a@3=two ");
}

static void queued_writes_build_on_each_other(void **state)
{
	struct world *w = *state;
	uint64_t rev = 0;

	for (int i = 0; i < 500; i++) {
		CLEANUP(mem_freep) char *v = str_printf("v%d", i);
		uint64_t next = store_next(w->store);

		put(w, "/a", v, rev);
		rev = next;
	}
	wait_for(w, 500);
	for (size_t i = 0; i < 500; i++) {
		assert_int_equal(w->codes[i], ERR_NONE);
		assert_int_equal(w->acked[i], i + 1);
	}
	load(w);
	assert_string_equal(w->rows.data, "/a@500=v499 ");
}

static void the_history_tells_every_value(void **state)
{
	struct world *w = *state;

	put(w, "/a", "a1", 0);
	put(w, "/b", "b2", 0);
	put(w, "/a", "a3", 1);
	put(w, "/b", NULL, 2);
	wait_for(w, 4);
	load(w);
	assert_string_equal(w->rows.data, "/a@3=a3 ");
	assert_string_equal(w->changes.data, "/b@4<2x:b2 /a@3<1:a1 /b@2<0: /a@1<0: ");
}

static void everything_is_there_after_a_restart(void **state)
{
	struct world *w = *state;

	put(w, "/a", "a1", 0);
	put(w, "/b", "b2", 0);
	put(w, "/a", NULL, 1);
	wait_for(w, 3);
	store_free(w->store);
	open_store(w);
	assert_int_equal(store_revision(w->store), 3);
	assert_int_equal(store_next(w->store), 4);
	load(w);
	assert_string_equal(w->rows.data, "/b@2=b2 ");
	assert_string_equal(w->changes.data, "/a@3<1x:a1 /b@2<0: /a@1<0: ");
	put(w, "/a", "new", 0);
	wait_for(w, 4);
	assert_int_equal(w->acked[3], 4);
}

static void what_is_queued_is_written_before_closing(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++) {
		CLEANUP(mem_freep) char *key = str_printf("/k%03d", i);

		put(w, key, "v", 0);
	}
	store_free(w->store);
	open_store(w);
	assert_int_equal(store_revision(w->store), 100);
}

static void a_second_process_is_kept_out(void **state)
{
	struct world *w = *state;
	struct err e = { 0 };

	assert_null(store_sqlite_open(w->loop, w->path, &e));
	assert_int_equal(e.code, ERR_UNAVAILABLE);
}

static void compaction_drops_old_history_and_keeps_the_newest(void **state)
{
	struct world *w = *state;
	uint64_t rev = 0;
	size_t n = 0;

	for (int i = 0; i < 5000; i++) {
		uint64_t next = store_next(w->store);

		put(w, "/a", "value", rev);
		rev = next;
	}
	wait_for(w, 5000);
	store_compact(w->store, 4500);
	for (int i = 0; store_compacted(w->store) < 4000 && i < 1000; i++)
		loop_step(w->loop, 10);
	assert_int_equal(store_compacted(w->store), 4000); /* STORE_HISTORY_MIN stay, whatever was asked */
	put(w, "/b", "x", 0);
	wait_for(w, 5001);
	if (w->path) { /* done in batches: the last one is in by now or soon */
		store_free(w->store);
		open_store(w);
		assert_true(store_compacted(w->store) == 4000);
	}
	load(w);
	for (const char *p = w->changes.data; (p = strchr(p, ' ')); p++)
		n++;
	assert_in_range(n, 1001, 2001 + 4000);
	assert_non_null(strstr(w->changes.data, "/a@4001<4000"));
	assert_int_equal(store_revision(w->store), 5001);
}

static void large_values_survive(void **state)
{
	struct world *w = *state;
	size_t len = 3 * 1024 * 1024;
	CLEANUP(mem_freep) char *v = mem_alloc(len + 1);

	memset(v, 'x', len);
	v[len] = '\0';
	put(w, "/big", v, 0);
	wait_for(w, 1);
	load(w);
	assert_int_equal(w->rows.len, len + strlen("/big@1= "));
}

#define BOTH(t)                                                     \
	cmocka_unit_test_setup_teardown(t, setup_sqlite, teardown), \
		cmocka_unit_test_setup_teardown(t, setup_mem, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_write_is_acknowledged_with_the_next_revision),
		BOTH(a_write_against_another_revision_is_refused),
		BOTH(queued_writes_build_on_each_other),
		BOTH(the_history_tells_every_value),
		BOTH(large_values_survive),
		BOTH(compaction_drops_old_history_and_keeps_the_newest),
		cmocka_unit_test_setup_teardown(everything_is_there_after_a_restart, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_queued_is_written_before_closing, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(a_second_process_is_kept_out, setup_sqlite, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
