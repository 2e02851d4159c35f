/* SPDX-License-Identifier: Apache-2.0 */
#include "api/obj.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static void reads_metadata_once(void **state)
{
	struct obj *o = obj_from_doc(json_lit(
		"{'kind':'X','metadata':{'name':'n','namespace':'s','uid':'u',"
		"'resourceVersion':'42','generation':3,'deletionTimestamp':'2026-01-01T00:00:00Z'}}"));

	assert_string_equal(obj_name(o), "n");
	assert_string_equal(obj_namespace(o), "s");
	assert_string_equal(obj_uid(o), "u");
	assert_string_equal(obj_key(o), "s/n");
	assert_int_equal(obj_rv(o), 42);
	assert_int_equal(obj_generation(o), 3);
	assert_true(obj_deleting(o));
	obj_unref(o);
}

static void absent_metadata_is_empty(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n','deletionTimestamp':null}}"));

	assert_string_equal(obj_key(o), "n");
	assert_string_equal(obj_namespace(o), "");
	assert_string_equal(obj_uid(o), "");
	assert_int_equal(obj_rv(o), 0);
	assert_false(obj_deleting(o));
}

static void text_is_kept_and_tree_comes_back(void **state)
{
	static const char text[] = "{ \"metadata\":{\"name\":\"n\"},  \"x\":1 }";
	CLEANUP(obj_unrefp) struct obj *o = obj_from_text(text, strlen(text), NULL);
	size_t len = 0;

	assert_non_null(o);
	obj_compact(o);
	assert_string_equal(obj_name(o), "n");
	assert_string_equal(obj_text(o, &len), text);
	assert_int_equal(len, strlen(text));
	assert_int_equal(json_i64(json_get(obj_json(o), "x")), 1);
	/* made once */
	assert_ptr_equal(obj_json(o), obj_json(o));
	assert_ptr_equal(obj_text(o, NULL), obj_text(o, NULL));
}

static void drafts_do_not_touch_the_object(void **state)
{
	CLEANUP(obj_unrefp) struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n'},'x':1}"));
	CLEANUP(json_doc_freep) struct json_doc *d = obj_draft(o);

	json_set_i64(d, json_root(d), "x", 2);
	assert_int_equal(json_i64(json_get(obj_json(o), "x")), 1);
	obj_compact(o); /* no text yet: the tree stays */
	assert_string_equal(obj_text(o, NULL), "{\"metadata\":{\"name\":\"n\"},\"x\":1}");
}

static void refuses_what_is_not_an_object(void **state)
{
	struct err e = { 0 };

	assert_null(obj_from_text("[1]", 3, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_null(obj_from_text("{", 1, &e));
	assert_null(obj_from_text("{}", (size_t)OBJ_BYTES_MAX * 3, &e));
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

static void lives_while_anybody_holds_it(void **state)
{
	struct obj *o = obj_from_doc(json_lit("{'metadata':{'name':'n'}}"));
	struct obj *again = obj_ref(o);

	obj_unref(o);
	assert_string_equal(obj_name(again), "n");
	obj_unrefp(&again);
	assert_null(again);
	obj_unref(NULL);
}

static struct obj *version_of(int rv, int round)
{
	struct json_doc *d = json_lit("{'metadata':{'namespace':'ns','name':'n','uid':'u'},'spec':{}}");
	struct json *meta = json_get(json_root(d), "metadata"), *spec = json_get(json_root(d), "spec");
	struct obj *o;

	json_set_strf(d, meta, "resourceVersion", "%d", rv);
	for (int i = 0; i < 30; i++) {
		char key[16];

		snprintf(key, sizeof(key), "field%d", i);
		json_set_strf(d, spec, key, "value %d", i == round % 30 ? round : i);
	}
	o = obj_from_doc(d);
	obj_text(o, NULL);
	return o;
}

enum { VERSIONS = 200 };

/* A history as the server keeps it: every version is there, and says what it said, whichever is asked for and in
 * any order; those that others go away first too. */
static void packed_versions_say_what_they_said(void **state)
{
	struct obj *all[VERSIONS];
	char *texts[VERSIONS];

	for (int i = 0; i < VERSIONS; i++) {
		all[i] = version_of(i + 1, i * 7);
		texts[i] = mem_strdup(obj_text(all[i], NULL));
		if (i > 0)
			assert_true(obj_pack(all[i - 1], all[i], 1));
	}
	for (int i = 0; i < VERSIONS; i++) {
		int k = i * 37 % VERSIONS;
		CLEANUP(str_done) struct str s = { 0 };
		size_t len = 0;

		obj_add_text(all[k], &s);
		assert_string_equal(str_cstr(&s), texts[k]);
		assert_string_equal(obj_text(all[k], &len), texts[k]);
		assert_int_equal(len, strlen(texts[k]));
		assert_int_equal(json_len(json_get(obj_json(all[k]), "spec")), 30);
		assert_string_equal(obj_key(all[k]), "ns/n");
		assert_string_equal(obj_name(all[k]), "n");
		assert_string_equal(obj_uid(all[k]), "u");
		assert_int_equal(obj_rv(all[k]), k + 1);
		obj_compact(all[k]);
		assert_string_equal(obj_text(all[k], NULL), texts[k]);
	}
	/* the newest first: the older ones still stand on it */
	for (int i = VERSIONS; i-- > 0;) {
		obj_unref(all[i]);
		if (i > 0)
			assert_string_equal(obj_text(all[i - 1], NULL), texts[i - 1]);
		free(texts[i]);
	}
}

/* Read back newest first, as from a store: the same, and no larger; the newest may get older in the usual way. */
static void versions_read_back_are_packed_at_once(void **state)
{
	static const struct obj_facts f = { .uid = "u", .uid_len = 1, .generation = 5, .deleting = true },
				      other = { .uid = "uu", .uid_len = 2 };
	struct obj *all[VERSIONS + 1];
	char *texts[VERSIONS + 1];
	size_t before;

	for (int i = 0; i <= VERSIONS; i++) {
		CLEANUP(obj_unrefp) struct obj *o = version_of(i + 1, i * 7);

		texts[i] = mem_strdup(obj_text(o, NULL));
	}
	all[VERSIONS - 1] = obj_from_text(texts[VERSIONS - 1], strlen(texts[VERSIONS - 1]), NULL);
	obj_compact(all[VERSIONS - 1]);
	assert_null(obj_older(all[VERSIONS - 1], texts[0], strlen(texts[0]), 1, &other));
	before = mallinfo2().uordblks;
	for (int i = VERSIONS - 1; i-- > 0;) {
		all[i] = obj_older(all[i + 1], texts[i], strlen(texts[i]), (uint64_t)i + 1, &f);
		assert_non_null(all[i]);
		obj_pack_older(all[i], all[i + 1]);
		obj_compact(all[i + 1]);
	}
	obj_compact(all[0]);
#ifndef __SANITIZE_ADDRESS__
	assert_true(mallinfo2().uordblks - before < VERSIONS * strlen(texts[0]) / 2);
#else
	(void)before;
#endif
	all[VERSIONS] = version_of(VERSIONS + 1, VERSIONS * 7);
	assert_true(obj_pack(all[VERSIONS - 1], all[VERSIONS], 1));
	for (int i = VERSIONS; i-- > 0;) {
		assert_string_equal(obj_text(all[i], NULL), texts[i]);
		assert_int_equal(obj_rv(all[i]), i + 1);
		assert_string_equal(obj_key(all[i]), "ns/n");
		obj_compact(all[i]);
	}
	assert_int_equal(obj_generation(all[3]), 5);
	assert_true(obj_deleting(all[3]));
	for (int i = 0; i <= VERSIONS; i++) {
		obj_unref(all[VERSIONS - i]);
		free(texts[i]);
	}
}

static void what_somebody_holds_is_not_packed(void **state)
{
	CLEANUP(obj_unrefp) struct obj *old = version_of(1, 1), *new = version_of(2, 2);
	const char *text = obj_text(old, NULL);
	struct obj *held = obj_ref(old);

	assert_false(obj_pack(old, new, 1));
	assert_ptr_equal(obj_text(held, NULL), text);
	obj_unref(held);
	assert_true(obj_pack(old, new, 1));
	/* one that is based on it is no stranger */
	CLEANUP(obj_unrefp) struct obj *newer = version_of(3, 3);
	assert_true(obj_pack(new, newer, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_metadata_once),
		cmocka_unit_test(absent_metadata_is_empty),
		cmocka_unit_test(text_is_kept_and_tree_comes_back),
		cmocka_unit_test(drafts_do_not_touch_the_object),
		cmocka_unit_test(refuses_what_is_not_an_object),
		cmocka_unit_test(lives_while_anybody_holds_it),
		cmocka_unit_test(packed_versions_say_what_they_said),
		cmocka_unit_test(versions_read_back_are_packed_at_once),
		cmocka_unit_test(what_somebody_holds_is_not_packed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
