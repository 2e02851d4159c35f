/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of etcd's API: requests byte for byte as its definition says, answers read whatever comes. */
#include "store/etcd_proto.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define assert_bytes(s, lit)                                          \
	do {                                                          \
		assert_int_equal((s)->len, sizeof(lit) - 1);          \
		assert_memory_equal((s)->data, lit, sizeof(lit) - 1); \
	} while (0)

static void requests_are_as_defined(void **state)
{
	CLEANUP(str_done) struct str out = { 0 };

	etcd_put_range(&out,
		&(struct etcd_range){ .key = "/a", .end = "/b", .limit = 300, .rev = 5, .keys_only = true });
	assert_bytes(&out, "\x0a\x02/a\x12\x02/b\x18\xac\x02\x20\x05\x40\x01");
	str_clear(&out);
	/* compare {target: MOD, key, mod_revision: 0}: the zero is said, it is one of several fields */
	etcd_txn_if_mod(&out, "k", 0);
	assert_bytes(&out, "\x0a\x07\x10\x02\x1a\x01k\x30\x00");
	str_clear(&out);
	etcd_txn_put(&out, ETCD_THEN, "k", "v", 1);
	assert_bytes(&out, "\x12\x08\x12\x06\x0a\x01k\x12\x01v");
	str_clear(&out);
	etcd_txn_delete(&out, ETCD_THEN, "k");
	assert_bytes(&out, "\x12\x05\x1a\x03\x0a\x01k");
	str_clear(&out);
	etcd_txn_get(&out, ETCD_ELSE, "k", false);
	assert_bytes(&out, "\x1a\x05\x0a\x03\x0a\x01k");
	str_clear(&out);
	etcd_put_watch(&out, &(struct etcd_watch){ .key = "a", .end = "b", .start = 7, .id = 1 });
	assert_bytes(&out, "\x0a\x0e\x0a\x01\x61\x12\x01\x62\x18\x07\x20\x01\x38\x01\x40\x01");
	str_clear(&out);
	etcd_put_progress(&out);
	assert_bytes(&out, "\x1a\x00");
}

#define KV_A "\x0a\x01k\x10\x02\x18\x03\x20\x02\x2a\x01v" /* key k, create 2, mod 3, version 2, value v */
#define HEAD "\x0a\x04\x18\x09\x20\x02"                   /* header: revision 9, term 2 */

static void a_page_of_keys_is_read(void **state)
{
	static const char msg[] = HEAD "\x12\x0c" KV_A "\x12\x03\x0a\x01m\x18\x01\x20\x05";
	struct etcd_range_answer a;
	struct etcd_kv kv;

	assert_int_equal(etcd_get_range(msg, sizeof(msg) - 1, &a, NULL), 0);
	assert_int_equal(a.rev, 9);
	assert_true(a.more);
	assert_int_equal(etcd_next_kv(&a.kvs, &kv, NULL), 1);
	assert_int_equal(kv.create_rev, 2);
	assert_int_equal(kv.mod_rev, 3);
	assert_int_equal(kv.version, 2);
	assert_memory_equal(kv.value.data, "v", 1);
	assert_int_equal(etcd_next_kv(&a.kvs, &kv, NULL), 1);
	assert_memory_equal(kv.key.data, "m", 1);
	assert_int_equal(kv.value.len, 0);
	assert_int_equal(etcd_next_kv(&a.kvs, &kv, NULL), 0);
}

/* gets: one that finds, one that does not */
static void the_outcome_of_a_txn_is_read(void **state)
{
	static const char msg[] = HEAD "\x1a\x10\x0a\x0e\x12\x0c" KV_A "\x1a\x02\x0a\x00";
	struct etcd_txn_answer a;

	assert_int_equal(etcd_get_txn(msg, sizeof(msg) - 1, &a, NULL), 0);
	assert_false(a.succeeded);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.gets[0].mod_rev, 3);
	assert_int_equal(a.gets[1].mod_rev, 0);
}

static void events_are_read(void **state)
{
	static const char msg[] = HEAD "\x10\x01\x5a\x0e\x12\x0c" KV_A
				       "\x5a\x11\x08\x01\x12\x05\x0a\x01k\x18\x04\x1a\x06\x18\x03\x2a\x02vv";
	struct etcd_watch_answer a;
	struct etcd_event ev;

	assert_int_equal(etcd_get_watch(msg, sizeof(msg) - 1, &a, NULL), 0);
	assert_int_equal(a.id, 1);
	assert_int_equal(a.term, 2);
	assert_false(a.canceled);
	assert_int_equal(etcd_next_event(&a.events, &ev, NULL), 1);
	assert_false(ev.deleted);
	assert_int_equal(ev.kv.mod_rev, 3);
	assert_int_equal(etcd_next_event(&a.events, &ev, NULL), 1);
	assert_true(ev.deleted);
	assert_true(ev.has_prev);
	assert_int_equal(ev.kv.mod_rev, 4);
	assert_int_equal(ev.prev.value.len, 2);
	assert_int_equal(etcd_next_event(&a.events, &ev, NULL), 0);
}

static void read_all(const char *data, size_t len)
{
	struct etcd_range_answer r;
	struct etcd_txn_answer t;
	struct etcd_watch_answer w;
	struct etcd_event ev;
	struct etcd_kv kv;
	struct err e = { 0 };

	if (etcd_get_range(data, len, &r, &e) == 0)
		while (etcd_next_kv(&r.kvs, &kv, &e) > 0)
			;
	etcd_get_txn(data, len, &t, &e);
	if (etcd_get_watch(data, len, &w, &e) == 0)
		while (etcd_next_event(&w.events, &ev, &e) > 0)
			;
}

/* The sanitizers are the judges: every cut, every byte another one, in memory of exactly that size. */
static void what_is_broken_is_refused_or_read_but_never_beyond_its_end(void **state)
{
	static const char msg[] = HEAD "\x10\x01\x1a\x10\x0a\x0e\x12\x0c" KV_A
				       "\x5a\x11\x08\x01\x12\x05\x0a\x01k\x18\x04\x1a\x06\x18\x03"
				       "\x2a\x02vv\x12\x0c" KV_A;
	static const uint8_t other[] = { 0x00, 0x01, 0x02, 0x0a, 0x12, 0x1a, 0x5a, 0x7f, 0x80, 0xff };

	for (size_t n = 0; n < sizeof(msg); n++) {
		CLEANUP(mem_freep) char *cut = n ? mem_dup(msg, n) : mem_alloc(1);

		read_all(cut, n);
		for (size_t k = 0; k < sizeof(other) && n + 1 < sizeof(msg); k++) {
			CLEANUP(mem_freep) char *all = mem_dup(msg, sizeof(msg) - 1);

			all[n] = (char)other[k];
			read_all(all, sizeof(msg) - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_as_defined),
		cmocka_unit_test(a_page_of_keys_is_read),
		cmocka_unit_test(the_outcome_of_a_txn_is_read),
		cmocka_unit_test(events_are_read),
		cmocka_unit_test(what_is_broken_is_refused_or_read_but_never_beyond_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
