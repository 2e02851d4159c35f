/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to the SQLite store: older tables, a disk that refuses, a log that is longer than what is in it. */
#include "store/sqlite_log.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

struct world {
	char dir[64];
	char *path;
	struct loop *loop;
	struct store *store;
	enum err_code codes[64];
	size_t n;
	struct str said;
};

static int row(void *arg, const struct store_row *r, struct err *e)
{
	struct world *w = arg;

	str_addf(&w->said, "%s@%llu=%.*s ", r->key, (unsigned long long)r->rev, (int)r->len, r->value);
	return 0;
}

static int change(void *arg, const struct store_change *c, struct err *e)
{
	struct world *w = arg;

	str_addf(&w->said, "%s@%llu<%llu%s:%.*s ", c->key, (unsigned long long)c->rev,
		(unsigned long long)c->prev_rev, c->deleted ? "x" : "", (int)c->old_len,
		c->old ? c->old : "");
	return 0;
}

static const char *load(struct world *w)
{
	static const struct store_load_ops ops = { row, change };
	struct err e = { 0 };

	str_clear(&w->said);
	if (store_load(w->store, &ops, w, &e) < 0)
		fail_msg("%s", e.msg);
	return str_cstr(&w->said);
}

static void acknowledged(void *arg, uint64_t rev, const struct err *e)
{
	struct world *w = arg;

	w->codes[w->n++] = e ? e->code : ERR_NONE;
}

static uint64_t put(struct world *w, const char *key, const char *value, uint64_t expect)
{
	uint64_t rev = store_next(w->store);

	store_write(w->store, &(struct store_write){ .key = key,
				      .value = value,
				      .len = value ? strlen(value) : 0,
				      .expect = expect,
				      .done = acknowledged,
				      .arg = w });
	return rev;
}

static void wait_for(struct world *w, size_t n)
{
	for (int i = 0; w->n < n && i < 10000; i++)
		loop_step(w->loop, 100);
	assert_int_equal(w->n, n);
}

static void open_store(struct world *w)
{
	struct err e = { 0 };

	w->store = store_sqlite_open(w->loop, w->path, &e);
	if (!w->store)
		fail_msg("%s", e.msg);
}

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);

	snprintf(w->dir, sizeof(w->dir), "/tmp/sqlite-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->path = file_join(w->dir, "state.db");
	w->loop = loop_new();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_free(w->store);
	loop_free(w->loop);
	file_remove_tree(w->dir, NULL);
	str_done(&w->said);
	free(w->path);
	free(w);
	return 0;
}

/* The tables as the first version of this store left them: /a changed twice, /b made and deleted, /c older than the history. */
static void the_tables_of_format_1_are_converted(void **state)
{
	static const char old[] =
		"CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
		"INSERT INTO meta VALUES('format', 1), ('compact_rev', 3);"
		"CREATE TABLE current(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
		" rev INTEGER NOT NULL, create_rev INTEGER NOT NULL, value BLOB NOT NULL);"
		"CREATE TABLE log(rev INTEGER PRIMARY KEY, key TEXT NOT NULL,"
		" deleted INTEGER NOT NULL, prev_rev INTEGER NOT NULL, old BLOB);"
		"INSERT INTO current(key, rev, create_rev, value) VALUES('/a', 6, 1, 'a6'), ('/c', 2, 2, "
		"'c2');"
		"INSERT INTO log VALUES(4, '/b', 0, 0, NULL), (5, '/a', 0, 3, 'a3'), (6, '/a', 0, 5, 'a5'),"
		" (7, '/b', 1, 4, 'b4');";
	struct world *w = *state;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	for (int i = 0; i < 2; i++) {
		open_store(w);
		assert_int_equal(store_revision(w->store), 7);
		assert_int_equal(store_compacted(w->store), 3);
		assert_string_equal(load(w), "/a@6=a6 /c@2=c2 /b@7<4x:b4 /a@6<5:a5 /a@5<3:a3 /b@4<0: ");
		store_free(w->store);
	}
	open_store(w);
	put(w, "/c", "c8", 2);
	wait_for(w, 1);
	assert_int_equal(w->codes[0], ERR_NONE);
}

/* kubernetes-api.md 8, 98: what could not be written is told, and never was there; what builds on it falls with it. */
static void a_write_that_the_disk_refused_never_happened(void **state)
{
	struct world *w = *state;
	struct rlimit before, none = { 0 };
	uint64_t rev, kept;

	open_store(w);
	kept = put(w, "/kept", "1", 0);
	wait_for(w, 1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	rev = put(w, "/lost", "1", 0);
	put(w, "/lost", "2", rev);
	put(w, "/kept", "2", kept);
	wait_for(w, 4);
	assert_non_null(store_trouble(w->store));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	for (size_t i = 1; i < 4; i++)
		assert_int_not_equal(w->codes[i], ERR_NONE);
	assert_string_equal(load(w), "/kept@1=1 /kept@1<0: ");
	put(w, "/kept", "3", kept);
	put(w, "/lost", "3", 0);
	wait_for(w, 6);
	assert_int_equal(w->codes[4], ERR_NONE);
	assert_int_equal(w->codes[5], ERR_NONE);
	assert_null(store_trouble(w->store));
	store_free(w->store);
	open_store(w);
	assert_string_equal(load(w), "/kept@5=3 /lost@6=3 /lost@6<0: /kept@5<1:1 /kept@1<0: ");
}

static off_t wal_size(struct world *w)
{
	CLEANUP(mem_freep) char *path = str_printf("%s-wal", w->path);
	struct stat st = { 0 };

	return stat(path, &st) == 0 ? st.st_size : 0;
}

/* The log is made longer ahead of need; the zeroes in it are not taken for changes after a crash. */
static void room_ahead_in_the_log_is_not_read_as_changes(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *copy = file_join(w->dir, "copy");
	CLEANUP(mem_freep) char *wal = str_printf("%s-wal", w->path), *wal_copy = str_printf("%s-wal", copy);
	const char *files[][2] = { { w->path, copy }, { wal, wal_copy } };

	open_store(w);
	put(w, "/a", "1", 0);
	wait_for(w, 1);
	for (int i = 0; wal_size(w) < 1 << 20 && i < 6000; i++)
		loop_step(w->loop, 10);
	assert_true(wal_size(w) >= 1 << 20);
	put(w, "/b", "2", 0);
	wait_for(w, 2);
	/* as the disk is after a power cut now */
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		CLEANUP(mem_freep) char *data = NULL;
		struct err e = { 0 };
		size_t len;

		if (file_read(files[i][0], 64 << 20, &data, &len, &e) < 0 ||
			file_write(files[i][1], data, len, 0600, &e) < 0)
			fail_msg("%s", e.msg);
	}
	store_free(w->store);
	free(w->path);
	w->path = mem_strdup(copy);
	open_store(w);
	assert_string_equal(load(w), "/a@1=1 /b@2=2 /b@2<0: /a@1<0: ");
}

int main(void)
{
#define ONE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(the_tables_of_format_1_are_converted),
		ONE(a_write_that_the_disk_refused_never_happened),
		ONE(room_ahead_in_the_log_is_not_read_as_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
