/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/objects/bucket.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test_util.h"

#include <malloc.h>
#include <string.h>

static struct obj *object_in(const char *ns, const char *name, uint64_t rev)
{
	struct json_doc *d = json_lit("{'metadata':{}}");
	struct json *meta = json_get(json_root(d), "metadata");

	json_set_str(d, meta, "namespace", ns);
	json_set_str(d, meta, "name", name);
	json_set_strf(d, meta, "resourceVersion", "%llu", (unsigned long long)rev);
	return obj_from_doc(d);
}

static struct obj *object(const char *name, uint64_t rev)
{
	return object_in("n", name, rev);
}

static void put(struct bucket *b, const char *name, uint64_t rev, int64_t now)
{
	CLEANUP(obj_unrefp) struct obj *o = object(name, rev);

	bucket_put(b, o, rev, now);
}

static void take(struct bucket *b, const char *name, uint64_t rev, int64_t now)
{
	CLEANUP(obj_unrefp) struct obj *o = object(name, rev);

	bucket_remove(b, o, rev, now);
}

static bool add_text(void *arg, const struct obj *o)
{
	str_addf(arg, "%s@%llu ", obj_name(o), (unsigned long long)obj_rv(o));
	return true;
}

static void then(struct bucket *b, uint64_t rev, const char *from, const char *want)
{
	CLEANUP(str_done) struct str got = { 0 };

	bucket_each_at(b, rev, from, "n/", add_text, &got);
	assert_string_equal(str_cstr(&got), want);
}

static void the_past_can_be_read(void **state)
{
	struct bucket *b = bucket_new("things");

	put(b, "a", 1, 0);
	put(b, "c", 2, 0);
	put(b, "a", 3, 0);
	put(b, "b", 4, 0);
	take(b, "c", 5, 0);
	put(b, "a", 6, 0);
	put(b, "c", 7, 0);
	then(b, 0, "n/", "");
	then(b, 1, "n/", "a@1 ");
	then(b, 2, "n/", "a@1 c@2 ");
	then(b, 3, "n/", "a@3 c@2 ");
	then(b, 4, "n/", "a@3 b@4 c@2 ");
	then(b, 5, "n/", "a@3 b@4 ");
	then(b, 6, "n/", "a@6 b@4 ");
	then(b, 7, "n/", "a@6 b@4 c@7 ");
	then(b, 4, "n/b", "b@4 c@2 ");
	bucket_free(b);
}

static void queued_writes_are_seen_by_writers_only(void **state)
{
	struct bucket *b = bucket_new("things");
	CLEANUP(obj_unrefp) struct obj *one = object("a", 1), *two = object("a", 2);
	uint64_t rev;

	bucket_queue(b, "n/a", one, 1);
	bucket_queue(b, "n/a", two, 2);
	assert_null(bucket_get(b, "n/a"));
	assert_ptr_equal(bucket_latest(b, "n/a", &rev), two);
	assert_int_equal(rev, 2);
	bucket_settle(b, "n/a");
	bucket_put(b, one, 1, 0);
	assert_ptr_equal(bucket_get(b, "n/a"), one);
	assert_ptr_equal(bucket_latest(b, "n/a", &rev), two);
	bucket_queue(b, "n/a", NULL, 3);
	assert_null(bucket_latest(b, "n/a", &rev));
	assert_int_equal(rev, 0);
	bucket_settle(b, "n/a");
	bucket_settle(b, "n/a"); /* both failed: what is stored counts again */
	assert_ptr_equal(bucket_latest(b, "n/a", &rev), one);
	assert_int_equal(rev, 1);
	bucket_free(b);
}

static void history_is_kept_by_age_and_number(void **state)
{
	struct bucket *b = bucket_new("things");

	for (uint64_t i = 1; i <= 1000; i++)
		put(b, "a", i, (int64_t)i * 1000);
	/* 1000 s: the last 300 s are there */
	assert_int_equal(bucket_since(b), 699);
	assert_int_equal(bucket_change_at(b, bucket_change_seek(b, 800))->rev, 801);
	bucket_forget(b, 10 * BUCKET_HISTORY_MS);
	assert_int_equal(bucket_since(b), 900); /* BUCKET_HISTORY_MIN stay */
	bucket_free(b);
}

struct seen {
	struct bucket_watch w;
	struct str text;
	bool leave;
	struct seen *drop;
};

static void seen_change(struct bucket_watch *w, const struct bucket_change *c)
{
	struct seen *s = CONTAINER_OF(w, struct seen, w);

	str_addf(&s->text, "%d%s ", c->type, obj_name(c->obj));
	if (s->leave)
		bucket_watch_remove(w);
	if (s->drop)
		bucket_watch_remove(&s->drop->w);
}

static void seen_gone(struct bucket_watch *w)
{
	str_add(&CONTAINER_OF(w, struct seen, w)->text, "gone");
}

static void watchers_may_leave_while_being_told(void **state)
{
	struct bucket *b = bucket_new("things");
	struct seen s[3] = { 0 };

	for (size_t i = 0; i < 3; i++) {
		s[i].w.change = seen_change;
		s[i].w.gone = seen_gone;
		bucket_watch_add(b, &s[i].w, "");
	}
	s[0].leave = true;
	s[0].drop = &s[1]; /* the next one, which is about to be told */
	put(b, "a", 1, 0);
	put(b, "a", 2, 0);
	take(b, "a", 3, 0);
	bucket_free(b);
	assert_string_equal(str_cstr(&s[0].text), "0a ");
	assert_string_equal(str_cstr(&s[1].text), "");
	assert_string_equal(str_cstr(&s[2].text), "0a 1a 2a gone");
	for (size_t i = 0; i < 3; i++)
		str_done(&s[i].text);
}

static void watchers_are_told_of_their_scope_alone(void **state)
{
	static const char *const scopes[] = { "", "n/", "n/a", "m/", "n/a/", "a", "n/ab" };
	static const char *const want[] = { "0a 0ab 0a 1a 2a gone", "0a 0ab 1a 2a gone", "0a 1a 2a gone",
		"0a gone", "gone", "gone", "0ab gone" };
	struct bucket *b = bucket_new("things");
	struct seen s[ARRAY_LEN(scopes)] = { 0 };
	CLEANUP(obj_unrefp) struct obj *elsewhere = object_in("m", "a", 3);

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		s[i].w.change = seen_change;
		s[i].w.gone = seen_gone;
		bucket_watch_add(b, &s[i].w, scopes[i]);
	}
	put(b, "a", 1, 0);
	put(b, "ab", 2, 0);
	bucket_put(b, elsewhere, 3, 0);
	put(b, "a", 4, 0);
	assert_int_equal(bucket_watches(b), ARRAY_LEN(scopes));
	take(b, "a", 5, 0);
	bucket_free(b);
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		assert_string_equal(str_cstr(&s[i].text), want[i]);
		str_done(&s[i].text);
	}
}

/* The last one of a scope takes it along; the next one makes it anew. */
static void a_scope_may_end_while_it_is_told(void **state)
{
	struct bucket *b = bucket_new("things");
	struct seen s[3] = { 0 };

	for (size_t i = 0; i < 3; i++) {
		s[i].w.change = seen_change;
		s[i].w.gone = seen_gone;
		s[i].leave = true;
	}
	bucket_watch_add(b, &s[0].w, "n/a");
	s[0].drop = &s[1];
	bucket_watch_add(b, &s[1].w, "n/a");
	put(b, "a", 1, 0);
	assert_int_equal(bucket_watches(b), 0);
	put(b, "a", 2, 0);
	bucket_watch_add(b, &s[2].w, "n/a");
	put(b, "a", 3, 0);
	assert_int_equal(bucket_watches(b), 0);
	bucket_free(b);
	assert_string_equal(str_cstr(&s[0].text), "0a ");
	assert_string_equal(str_cstr(&s[1].text), "");
	assert_string_equal(str_cstr(&s[2].text), "1a ");
	for (size_t i = 0; i < 3; i++)
		str_done(&s[i].text);
}

/* The same as a list that is copied at each revision. */
static void any_past_is_right(void **state)
{
	struct chance chance = { 12345 };
	struct bucket *b = bucket_new("things");
	char *want[200];

	for (uint64_t rev = 1; rev < 200; rev++) {
		char name[3] = { (char)('a' + chance_below(&chance, 12)), 0 };
		CLEANUP(mem_freep) char *key = str_printf("n/%s", name);
		struct str now = { 0 };

		if (bucket_get(b, key) && chance_below(&chance, 3) == 0)
			take(b, name, rev, 0);
		else
			put(b, name, rev, 0);
		for (size_t i = 0; bucket_at(b, i); i++)
			add_text(&now, bucket_at(b, i));
		want[rev] = str_take(&now);
	}
	for (uint64_t rev = 1; rev < 200; rev++) {
		then(b, rev, "n/", want[rev]);
		free(want[rev]);
	}
	bucket_free(b);
}

/* ---- values of the past, which are kept as differences ---- */
enum { REVS = 3000, KEYS = 12 };

static struct obj *big_object(const char *name, uint64_t rev)
{
	struct json_doc *d = json_lit("{'metadata':{'namespace':'n','uid':'some-uid'},'data':{}}");
	struct json *meta = json_get(json_root(d), "metadata"), *data = json_get(json_root(d), "data");
	struct obj *o;

	json_set_str(d, meta, "name", name);
	json_set_strf(d, meta, "resourceVersion", "%llu", (unsigned long long)rev);
	for (uint64_t i = 0; i < 40; i++) {
		CLEANUP(mem_freep) char *key = str_printf("key-%llu", (unsigned long long)i);

		json_set_strf(d, data, key, "value %llu", (unsigned long long)(i == rev % 40 ? rev : i));
	}
	o = obj_from_doc(d);
	obj_text(o, NULL);
	return o;
}

static bool same_text(void *arg, const struct obj *o)
{
	char **texts = arg;

	assert_string_equal(obj_text(o, NULL), texts[obj_rv(o)]);
	return true;
}

static void history_says(struct bucket *b, char **texts, uint64_t from, bool trees)
{
	const struct bucket_change *c;

	for (size_t i = bucket_change_seek(b, from); (c = bucket_change_at(b, i)); i++) {
		CLEANUP(str_done) struct str s = { 0 };

		obj_add_text(c->obj, &s);
		assert_string_equal(str_cstr(&s), texts[c->rev]);
		if (c->old)
			same_text(texts, c->old);
		if (c->old && trees)
			assert_int_equal(json_len(json_get(obj_json(c->old), "data")), 40);
		bucket_change_seen(b, i);
	}
}

/* Changes, deletions, readers of the past, holders of old versions, housework and forgetting, all mixed: each
 * value is what was written, and what somebody holds keeps its place in memory. */
static void packed_history_is_what_was_written(void **state)
{
	struct chance chance = { 4711 };
	struct bucket *b = bucket_new("things");
	char *texts[REVS] = { 0 };
	struct obj *held[8] = { 0 };
	const char *held_text[8] = { 0 };

	for (uint64_t rev = 1; rev < REVS; rev++) {
		char name[3] = { (char)('a' + chance_below(&chance, KEYS)), 0 };
		CLEANUP(mem_freep) char *key = str_printf("n/%s", name);
		CLEANUP(obj_unrefp) struct obj *o = big_object(name, rev);
		unsigned h = chance_below(&chance, ARRAY_LEN(held));
		int64_t now = (int64_t)rev * 400; /* the last 750 are young */

		texts[rev] = mem_strdup(obj_text(o, NULL));
		if (bucket_get(b, key) && chance_below(&chance, 6) == 0)
			bucket_remove(b, o, rev, now);
		else
			bucket_put(b, o, rev, now);
		if (chance_below(&chance, 10) == 0) {
			obj_unrefp(&held[h]);
			held[h] = obj_ref(o);
			held_text[h] = obj_text(o, NULL);
		}
		if (chance_below(&chance, 30) == 0)
			bucket_compact(b);
		if (chance_below(&chance, 200) == 0)
			history_says(b, texts, bucket_since(b), chance_below(&chance, 2));
		if (chance_below(&chance, 100) == 0)
			bucket_each_at(b, rev - chance_below(&chance, (unsigned)(rev - bucket_since(b))),
				"n/", "n/", same_text, texts);
		for (size_t i = 0; i < ARRAY_LEN(held); i++)
			assert_true(!held[i] || strcmp(held_text[i], texts[obj_rv(held[i])]) == 0);
	}
	bucket_compact(b);
	history_says(b, texts, 0, true);
	bucket_free(b);
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		if (held[i])
			same_text(texts, held[i]);
		obj_unref(held[i]);
	}
	for (size_t i = 0; i < REVS; i++)
		free(texts[i]);
}

/* kubernetes-api.md 100, and what it may cost: five minutes of changes to large objects, or of objects that come and go. */
static void a_long_history_is_small(void **state)
{
	enum { CHANGES = 20000 };

	for (unsigned names = 0; names < 2; names++) {
		struct bucket *b = bucket_new("things");
		size_t before = mallinfo2().uordblks, whole = 0;

		for (uint64_t rev = 1; rev <= CHANGES; rev += 1 + names) {
			CLEANUP(mem_freep)
			char *name = str_printf("a%llu", names ? (unsigned long long)rev : 0);
			CLEANUP(obj_unrefp) struct obj *o = big_object(name, rev), *last = NULL;
			size_t len;

			obj_text(o, &len);
			whole += len;
			bucket_put(b, o, rev, 0);
			if (!names)
				continue;
			last = big_object(name, rev + 1);
			bucket_remove(b, last, rev + 1, 0);
			whole += len;
		}
		bucket_compact(b);
		assert_int_equal(bucket_since(b), 0);
		/* sanitizers count nothing here; they are not what this is for */
		if (mallinfo2().uordblks > before)
			assert_true(mallinfo2().uordblks - before < whole / 3);
		bucket_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_past_can_be_read),
		cmocka_unit_test(queued_writes_are_seen_by_writers_only),
		cmocka_unit_test(history_is_kept_by_age_and_number),
		cmocka_unit_test(watchers_may_leave_while_being_told),
		cmocka_unit_test(watchers_are_told_of_their_scope_alone),
		cmocka_unit_test(a_scope_may_end_while_it_is_told),
		cmocka_unit_test(any_past_is_right),
		cmocka_unit_test(packed_history_is_what_was_written),
		cmocka_unit_test(a_long_history_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
