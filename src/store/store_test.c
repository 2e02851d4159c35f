/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of store.h, kept by every implementation (kubernetes-api.md 7). */
#include "store/store.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/etcd_member.h"

enum which { MEM, SQLITE, ETCD };
/* The etcd of all tests that want one; each has a prefix of its own. */
static struct etcd_member member;

struct world {
	enum which which;
	struct loop *loop;
	struct store *store;
	char *dir, *path; /* SQLite */
	char *prefix;     /* etcd */
	uint64_t base;    /* revision at the beginning */
	int compact_every_ms;
	/* acknowledgements in the order they came */
	uint64_t acked[8192];
	enum err_code codes[8192];
	size_t n;
	/* what a load gave */
	struct str rows, changes;
	struct str told; /* what happened, in the order it was told */
};

static void acknowledged(void *arg, uint64_t rev, const struct err *e)
{
	struct world *w = arg;

	w->acked[w->n] = rev - w->base;
	w->codes[w->n++] = e ? e->code : ERR_NONE;
	if (e)
		str_addf(&w->told, "%s ", err_name(e->code));
	else
		str_addf(&w->told, "own@%llu ", (unsigned long long)(rev - w->base));
}

/* Stops a test that wants an etcd if there is none. */
static struct world *need(void **state)
{
	struct world *w = *state;

	if (!w->store)
		skip();
	return w;
}

static void put(struct world *w, const char *key, const char *value, uint64_t expect)
{
	store_write(w->store, &(struct store_write){ .key = key,
				      .value = value,
				      .len = value ? strlen(value) : 0,
				      .expect = expect ? expect + w->base : 0,
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

	str_addf(&w->rows, "%s@%llu=%.*s ", r->key, (unsigned long long)(r->rev - w->base), (int)r->len,
		r->value);
	return 0;
}

static int load_change(void *arg, const struct store_change *c, struct err *e)
{
	struct world *w = arg;

	str_addf(&w->changes, "%s@%llu<%llu%s:%.*s ", c->key, (unsigned long long)(c->rev - w->base),
		(unsigned long long)(c->prev_rev ? c->prev_rev - w->base : 0), c->deleted ? "x" : "",
		(int)c->old_len, c->old ? c->old : "");
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

static struct store *open_another(struct world *w, struct err *e)
{
	if (w->which == ETCD)
		return store_etcd_open(w->loop,
			&(struct store_etcd_spec){ .endpoints = member.url,
				.own = "",
				.prefix = w->prefix,
				.compact_every_ms = w->compact_every_ms },
			e);
	return w->which == SQLITE ? store_sqlite_open(w->loop, w->path, e) : store_mem_new(w->loop);
}

static void open_store(struct world *w)
{
	struct err e = { 0 };

	w->store = open_another(w, &e);
	if (!w->store)
		fail_msg("%s", e.msg);
	if (w->which == ETCD && !w->base)
		w->base = store_revision(w->store); /* it counts for all tests */
}

static int setup(void **state, enum which which)
{
	struct world *w = MEM_NEW(struct world);
	char dir[] = "/tmp/store-test-XXXXXX", id[37];

	w->which = which;
	w->loop = loop_new();
	*state = w;
	if (which == SQLITE) {
		assert_non_null(mkdtemp(dir));
		w->dir = mem_strdup(dir);
		w->path = file_join(dir, "state.db");
	}
	if (which == ETCD && !member.pid)
		return 0; /* the test is skipped */
	crypto_uuid(id);
	w->prefix = str_printf("/%s", id);
	open_store(w);
	return 0;
}

static int setup_sqlite(void **state)
{
	return setup(state, SQLITE);
}

static int setup_mem(void **state)
{
	return setup(state, MEM);
}

static int setup_etcd(void **state)
{
	return setup(state, ETCD);
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
	str_done(&w->told);
	free(w->prefix);
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
	struct world *w = need(state);

	put(w, "/a", "a1", 0);
	wait_for(w, 1);
	put(w, "/b", "b2", 0);
	wait_for(w, 2);
	put(w, "/a", "a3", 1);
	wait_for(w, 3);
	put(w, "/b", NULL, 2);
	wait_for(w, 4);
	load(w);
	assert_string_equal(w->rows.data, "/a@3=a3 ");
	assert_string_equal(w->changes.data, "/b@4<2x:b2 /a@3<1:a1 /b@2<0: /a@1<0: ");
}

static void everything_is_there_after_a_restart(void **state)
{
	struct world *w = need(state);

	put(w, "/a", "a1", 0);
	wait_for(w, 1);
	put(w, "/b", "b2", 0);
	wait_for(w, 2);
	put(w, "/a", NULL, 1);
	wait_for(w, 3);
	store_free(w->store);
	open_store(w);
	assert_int_equal(store_revision(w->store) - w->base, 3);
	if (!store_shared(w->store))
		assert_int_equal(store_next(w->store), 4);
	load(w);
	assert_string_equal(w->rows.data, "/b@2=b2 ");
	assert_string_equal(w->changes.data, "/a@3<1x:a1 /b@2<0: /a@1<0: ");
	put(w, "/a", "new", 0);
	wait_for(w, 4);
	if (store_shared(w->store))
		assert_true(w->acked[3] > 3); /* servers that come and go count, too */
	else
		assert_int_equal(w->acked[3], 4);
}

static void what_is_queued_is_written_before_closing(void **state)
{
	struct world *w = need(state);

	for (int i = 0; i < 100; i++) {
		CLEANUP(mem_freep) char *key = str_printf("/k%03d", i);

		put(w, key, "v", 0);
	}
	store_free(w->store);
	open_store(w);
	assert_int_equal(store_revision(w->store) - w->base, 100);
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
	for (int i = 0; store_compacted(w->store) < 4000 && i < 6000; i++)
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
	struct world *w = need(state);
	size_t len = w->which == ETCD ? 1400 * 1024 : 3 * 1024 * 1024;
	CLEANUP(mem_freep) char *v = mem_alloc(len + 1);

	memset(v, 'x', len);
	v[len] = '\0';
	put(w, "/big", v, 0);
	wait_for(w, 1);
	load(w);
	assert_int_equal(w->rows.len, len + strlen("/big@1= "));
}

/* ---- shared stores ---- */
static void other_change(void *arg, const struct store_event *ev)
{
	struct world *w = arg;

	str_addf(&w->told, "%s@%llu=%.*s ", ev->key, (unsigned long long)(ev->rev - w->base), (int)ev->len,
		ev->value ? ev->value : "");
	if (!ev->value)
		str_add(&w->told, "x ");
	assert_int_equal(store_revision(w->store), ev->rev);
}

static void other_row(void *arg, const struct store_row *r)
{
	struct world *w = arg;

	str_addf(&w->told, "row:%s=%.*s ", r->key, (int)r->len, r->value);
}

static void other_over(void *arg)
{
	str_add(&((struct world *)arg)->told, "over ");
}

static const struct store_follow_ops follow_ops = { other_change, other_row, other_over };

static void wait_told(struct world *w, const char *text)
{
	for (int i = 0; !strstr(str_cstr(&w->told), text) && i < 1000; i++)
		loop_step(w->loop, 10);
	if (!strstr(str_cstr(&w->told), text))
		fail_msg("'%s' was never told: %s", text, str_cstr(&w->told));
}

/* A second server on the same keys. */
static void two_worlds(struct world *w, struct world *o)
{
	*o = *w;
	o->n = 0;
	o->rows = o->changes = o->told = (struct str){ 0 };
	open_store(o);
	store_follow(w->store, &follow_ops, w);
	store_follow(o->store, &follow_ops, o);
	load(w);
	load(o);
}

static void world_done(struct world *o)
{
	store_free(o->store);
	str_done(&o->rows);
	str_done(&o->changes);
	str_done(&o->told);
}

static void a_shared_store_tells_the_revision_when_it_is_done(void **state)
{
	struct world *w = need(state);

	assert_true(store_shared(w->store));
	put(w, "/a", "one", 0);
	assert_int_equal(store_revision(w->store), w->base);
	assert_int_equal(w->n, 0);
	wait_for(w, 1);
	assert_int_equal(w->acked[0], 1);
	assert_int_equal(store_revision(w->store), w->base + 1);
	put(w, "/a", "two", 1);
	wait_for(w, 2);
	put(w, "/a", NULL, 1);
	put(w, "/b", NULL, 7);
	put(w, "/c", NULL, 0);
	wait_for(w, 5);
	for (size_t i = 2; i < 5; i++)
		assert_int_equal(w->codes[i], ERR_CONFLICT);
	load(w);
	assert_string_equal(w->rows.data, "/a@2=two ");
}

static void what_others_write_is_told_between_our_own(void **state)
{
	struct world *w = need(state), o;

	two_worlds(w, &o);
	w->base = o.base = store_revision(w->store);
	put(w, "/a", "1", 0);
	wait_for(w, 1);
	wait_told(&o, "/a@");
	w->base = o.base = w->base + w->acked[0];
	str_clear(&w->told);
	put(&o, "/b", "2", 0);
	wait_for(&o, 1);
	wait_told(w, "/b@1=2 ");
	put(w, "/c", "3", 0);
	wait_for(w, 2);
	put(&o, "/b", NULL, 1);
	wait_for(&o, 2);
	wait_told(w, "x ");
	assert_string_equal(w->told.data, "/b@1=2 own@2 /b@3= x ");
	world_done(&o);
}

/* The writer that lost can look at once: what it lost against has been told. */
static void a_conflict_is_told_after_the_change_it_lost_against(void **state)
{
	struct world *w = need(state), o;

	two_worlds(w, &o);
	for (int i = 0; i < 50; i++) {
		CLEANUP(mem_freep) char *key = str_printf("/race%d", i);

		put(w, key, "mine", 0);
		put(&o, key, "theirs", 0);
	}
	wait_for(w, 50);
	wait_for(&o, 50);
	for (const char *p = w->told.data; (p = strstr(p, "CONFLICT")); p++) {
		size_t seen = 0, refused = 0;

		for (const char *q = w->told.data; q < p; q++)
			seen += strncmp(q, "=theirs", 7) == 0;
		for (const char *q = w->told.data; q <= p; q++)
			refused += strncmp(q, "CONFLICT", 8) == 0;
		assert_true(seen >= refused);
	}
	world_done(&o);
}

static void synced(void *arg, const struct err *e)
{
	str_addf(&((struct world *)arg)->told, e ? "unsynced " : "synced ");
}

static void sync_comes_after_everything_acknowledged_before(void **state)
{
	struct world *w = need(state), o;

	two_worlds(w, &o);
	for (int i = 0; i < 100; i++) {
		CLEANUP(mem_freep) char *key = str_printf("/k%d", i);
		CLEANUP(mem_freep) char *want = NULL;

		put(&o, key, "v", 0);
		wait_for(&o, (size_t)i + 1);
		want = str_printf("%s@%llu=v", key, (unsigned long long)o.acked[i]);
		str_clear(&w->told);
		assert_non_null(store_sync(w->store, synced, w));
		wait_told(w, "synced ");
		/* told now, or in an earlier round */
		assert_true(store_revision(w->store) >= o.acked[i] + o.base);
	}
	world_done(&o);
}

static void a_store_of_one_writer_is_always_in_sync(void **state)
{
	struct world *w = *state;

	assert_null(store_sync(w->store, synced, w));
}

/* Two servers write the same keys for a while: both tell the same changes in the same order, each once. */
static void both_servers_see_one_order(void **state)
{
	struct world *w = need(state), o;
	size_t n = 0;

	two_worlds(w, &o);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 10; i++) {
			CLEANUP(mem_freep) char *mine = str_printf("/r%d/w%d", round, i);
			CLEANUP(mem_freep) char *both = str_printf("/r%d/b%d", round, i);
			CLEANUP(mem_freep) char *theirs = str_printf("/r%d/o%d", round, i);

			put(w, mine, "1", 0);
			put(w, both, "2", 0);
			put(&o, both, "3", 0);
			put(&o, theirs, "4", 0);
			n += 2;
		}
		wait_for(w, n);
		wait_for(&o, n);
	}
	put(w, "/last", "w", 0);
	put(&o, "/latest", "o", 0);
	wait_for(w, n + 1);
	wait_for(&o, n + 1);
	wait_told(w, "/latest@");
	wait_told(&o, "/last@");
	for (struct world *x = w; x; x = x == w ? &o : NULL) {
		uint64_t last = 0;
		size_t told = 0;

		for (const char *p = x->told.data; (p = strchr(p, '@')); p++) {
			uint64_t rev = strtoull(p + 1, NULL, 10);

			assert_true(rev > last);
			last = rev;
			told++;
		}
		assert_int_equal(told, 40 * 30 + 2);
	}
	world_done(&o);
}

static void history_reaches_back_to_the_compaction(void **state)
{
	struct world *w = need(state);

	for (size_t i = 0; i < 1100; i++) {
		put(w, "/a", "value", i);
		wait_for(w, i + 1);
	}
	store_compact(w->store, w->base + 60);
	for (int i = 0; i < 50; i++)
		loop_step(w->loop, 10);
	assert_int_equal(store_compacted(w->store) - w->base, 59);
	store_free(w->store);
	open_store(w);
	load(w);
	assert_int_equal(store_compacted(w->store) - w->base, 59);
	assert_null(strstr(w->changes.data, "/a@59<"));
	assert_non_null(strstr(w->changes.data, " /a@60<59:value "));
}

static int start_etcd(void **state)
{
	if (!etcd_member_start(&member))
		print_message("no etcd here: its tests are skipped\n");
	return 0;
}

static int stop_etcd(void **state)
{
	etcd_member_stop(&member);
	return 0;
}

/* kubernetes-api.md 8, 100: each of two servers tries, what is younger than a round stays, nobody misses anything */
static void old_history_goes_round_by_round(void **state)
{
	struct world *w = need(state), o;
	enum { EVERY_MS = 300, WRITES = 400 };
	size_t told = 0;

	store_free(w->store);
	w->compact_every_ms = EVERY_MS;
	open_store(w);
	two_worlds(w, &o);
	for (size_t i = 0; i < WRITES; i++) {
		CLEANUP(mem_freep) char *key = str_printf("/k%zu", i);

		put(w, key, "v", 0);
		wait_for(w, i + 1);
		for (int64_t until = loop_mono_ms(w->loop) + 5; loop_mono_ms(w->loop) < until;)
			loop_step(w->loop, 1);
	}
	wait_told(&o, "/k399@");
	for (const char *p = o.told.data; (p = strchr(p, '@')); p++)
		told++;
	assert_int_equal(told, WRITES);
	w->compact_every_ms = 0;
	store_free(w->store);
	open_store(w);
	load(w);
	assert_true(store_compacted(w->store) > w->base + 10);
	assert_true(store_compacted(w->store) < w->base + w->acked[WRITES - 1]);
	assert_non_null(strstr(w->changes.data, "/k399@"));
	world_done(&o);
}

#define BOTH(t)                                                     \
	cmocka_unit_test_setup_teardown(t, setup_sqlite, teardown), \
		cmocka_unit_test_setup_teardown(t, setup_mem, teardown)
#define ON_ETCD(t) cmocka_unit_test_setup_teardown(t, setup_etcd, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(a_write_is_acknowledged_with_the_next_revision),
		BOTH(a_write_against_another_revision_is_refused),
		BOTH(queued_writes_build_on_each_other),
		BOTH(the_history_tells_every_value),
		BOTH(large_values_survive),
		BOTH(a_store_of_one_writer_is_always_in_sync),
		ON_ETCD(the_history_tells_every_value),
		ON_ETCD(large_values_survive),
		ON_ETCD(everything_is_there_after_a_restart),
		ON_ETCD(what_is_queued_is_written_before_closing),
		ON_ETCD(a_shared_store_tells_the_revision_when_it_is_done),
		ON_ETCD(what_others_write_is_told_between_our_own),
		ON_ETCD(a_conflict_is_told_after_the_change_it_lost_against),
		ON_ETCD(sync_comes_after_everything_acknowledged_before),
		ON_ETCD(both_servers_see_one_order),
		ON_ETCD(history_reaches_back_to_the_compaction),
		ON_ETCD(old_history_goes_round_by_round),
		BOTH(compaction_drops_old_history_and_keeps_the_newest),
		cmocka_unit_test_setup_teardown(everything_is_there_after_a_restart, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_queued_is_written_before_closing, setup_sqlite, teardown),
		cmocka_unit_test_setup_teardown(a_second_process_is_kept_out, setup_sqlite, teardown),
	};

	return cmocka_run_group_tests(tests, start_etcd, stop_etcd);
}
