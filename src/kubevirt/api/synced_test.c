/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/synced.h"

/* rollout.md 6.15: a key, a beginning, a bare star */
static void keys_are_meant_by_name_or_by_beginning(void **state)
{
	CLEANUP(synced_keys_done) struct synced_keys k = { 0 };

	synced_keys_add(&k.annotations, "vendor.io/*,one,*,,kubevirt.io/*");
	synced_keys_add(&k.labels, "tier");
	assert_true(synced_annotation(&k, "vendor.io/a"));
	assert_true(synced_annotation(&k, "one"));
	assert_false(synced_annotation(&k, "one.more"));
	assert_false(synced_annotation(&k, "other")); /* not by the bare star */
	assert_false(synced_annotation(&k, "kubevirt.io/vm-generation"));
	assert_false(synced_annotation(&k, "sub.kubevirt.io/x"));
	assert_true(synced_label(&k, "tier"));
	assert_false(synced_label(&k, "vendor.io/a"));
	assert_false(synced_label(NULL, "tier"));
	/* 6.14 */
	assert_true(synced_annotation(NULL, "descheduler.alpha.kubernetes.io/evict"));
	assert_true(synced_annotation(NULL, "kubevirt.io/skip-backup-hooks"));
}

static void only_synced_keys_follow(void **state)
{
	CLEANUP(synced_keys_done) struct synced_keys k = { 0 };
	static const char has[] =
		"{'metadata':{'labels':{'tier':'a','app':'x'},'annotations':{'v/gone':'1','mine':'2'}}}";
	CLEANUP(json_doc_freep) struct json_doc *was = json_lit(has);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(has);
	const struct json *have = json_get(json_root(was), "metadata");
	CLEANUP(json_doc_freep) struct json_doc *want = json_lit("{'v/new':'3','other':'4'}");
	CLEANUP(json_doc_freep) struct json_doc *labels = json_lit("{'tier':'b','app':'y'}");
	struct json *root = json_root(d);

	synced_keys_add(&k.annotations, "v/*");
	synced_keys_add(&k.labels, "tier");
	assert_true(synced_follow(&k, have, json_root(labels), json_root(want), NULL, NULL));
	synced_follow(&k, have, json_root(labels), json_root(want), d, root);
	CLEANUP(mem_freep) char *text = json_write(root, NULL);
	assert_string_equal(text, "{\"metadata\":{\"labels\":{\"tier\":\"b\",\"app\":\"x\"},"
				  "\"annotations\":{\"mine\":\"2\",\"v/new\":\"3\"}}}");
	assert_false(synced_follow(
		&k, json_get(root, "metadata"), json_root(labels), json_root(want), NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_meant_by_name_or_by_beginning),
		cmocka_unit_test(only_synced_keys_follow),
	};

	return cmocka_run_group_tests_name("synced", tests, NULL, NULL);
}
