/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines and the requests they make: kubevirt-api.md 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/virtctl/virtctl.h"

#define MAX_ARGS 12

static int parse(const char *line, struct virtctl *v, char **keep)
{
	char *argv[MAX_ARGS + 1] = { 0 };
	int argc = 0;
	char *rest = *keep = mem_strdup(line);
	for (char *word; (word = str_next(&rest, ' ')) && argc < MAX_ARGS;)
		argv[argc++] = word;
	return virtctl_parse(argc, argv, v);
}

static void requests(void **s)
{
	static const struct {
		const char *line, *path, *body;
	} rows[] = {
		{ "virtctl start a",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/start", "" },
		{ "virtctl start --paused a",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/start",
			"{\"paused\":true}" },
		{ "virtctl stop a --force --grace-period 0",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/stop",
			"{\"gracePeriod\":0}" },
		{ "virtctl restart a --force --grace-period=0",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/restart",
			"{\"gracePeriodSeconds\":0}" },
		{ "virtctl pause vmi a --dry-run",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/a/pause",
			"{\"dryRun\":[\"All\"]}" },
		{ "virtctl unpause vm a",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/a/unpause",
			"" },
		{ "virtctl migrate a --addedNodeSelector x=y",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/a/migrate",
			"{\"addedNodeSelector\":{\"x\":\"y\"}}" },
		{ "virtctl start ../x",
			"/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/..%2Fx/start", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(str_done) struct str path = { 0 }, body = { 0 };
		CLEANUP(mem_freep) char *keep = NULL;
		struct virtctl v;
		assert_int_equal(parse(rows[i].line, &v, &keep), 0);
		assert_int_equal(verbs_request(&v, "ns", &path, &body, NULL), 0);
		assert_string_equal(path.data, rows[i].path);
		assert_string_equal(str_cstr(&body), rows[i].body);
	}
}

static void volumes_are_added_and_removed(void **s)
{
	static const struct {
		const char *line, *body;
		bool data_volume;
	} rows[] = {
		{ "virtctl addvolume vm --volume-name=a",
			"{'name':'a','disk':{'disk':{'bus':'scsi'},'name':'a','serial':'a'},'volumeSource':{"
			"'persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}}" },
		{ "virtctl addvolume vm --volume-name=a --serial=S --cache=none --bus=virtio --persist "
		  "--dry-run",
			"{'name':'a','disk':{'disk':{'bus':'virtio'},'name':'a','serial':'S','cache':'none'},"
			"'volumeSource':{'dataVolume':{'name':'a','hotpluggable':true}},'dryRun':['All']}",
			true },
		{ "virtctl addvolume vm --volume-name=a --cache default --persist",
			"{'name':'a','disk':{'disk':{'bus':'scsi'},'name':'a','serial':'a'},'volumeSource':{"
			"'persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}}" },
		{ "virtctl addvolume vm --volume-name=iso --disk-type=cdrom --disk-name=cd",
			"{'name':'cd','disk':{'cdrom':{'bus':'scsi'},'name':'cd'},'volumeSource':{"
			"'persistentVolumeClaim':{'claimName':'iso','hotpluggable':true}}}" },
		{ "virtctl removevolume vm --volume-name=a --persist", "{'name':'a'}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep) struct json_doc *want = json_lit(rows[i].body), *got = NULL;
		CLEANUP(mem_freep) char *keep = NULL;
		CLEANUP(str_done) struct str body = { 0 };
		struct virtctl v;

		assert_int_equal(parse(rows[i].line, &v, &keep), 0);
		volumes_request(&v, rows[i].data_volume, &body);
		got = json_parse(body.data, body.len, NULL);
		if (!json_eq(json_root(got), json_root(want)))
			fail_msg("%s: %s", rows[i].line, body.data);
	}
}

static void bad_command_lines_are_refused(void **s)
{
	static const char *const lines[] = { "virtctl", "virtctl fly a", "virtctl start", "virtctl start a b",
		"virtctl pause a", "virtctl pause node a", "virtctl stop a --force",
		"virtctl stop a --grace-period 3", "virtctl stop a --grace-period x --force",
		"virtctl console a --timeout soon", "virtctl console a --timeout -3s",
		"virtctl start a --fast", "virtctl rollout a", "virtctl rollout undo a",
		"virtctl rollout status", "virtctl rollout status a -o yaml", "virtctl rollout status|diff a",
		"virtctl expand", "virtctl expand --vm a --file b", "virtctl expand a",
		"virtctl start a -o yaml" };
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CLEANUP(mem_freep) char *keep = NULL;
		struct virtctl v;
		if (parse(lines[i], &v, &keep) != -1)
			fail_msg("%s", lines[i]);
	}
}

static void options_stand_anywhere(void **s)
{
	CLEANUP(mem_freep) char *keep = NULL;
	struct virtctl v;
	assert_int_equal(parse("virtctl -n other console a --timeout 0.5 --kubeconfig /x", &v, &keep), 0);
	assert_string_equal(v.ns, "other");
	assert_string_equal(v.kubeconfig, "/x");
	assert_string_equal(v.args[0], "a");
	assert_true(v.timeout_minutes == 0.5);
	free(keep);
	assert_int_equal(parse("virtctl expand -f x.yaml -o yaml", &v, &keep), 0);
	assert_string_equal(v.file, "x.yaml");
	mem_freep(&keep);
	assert_int_equal(parse("virtctl expand --vm a", &v, &keep), 0);
	assert_string_equal(v.vm, "a");
	mem_freep(&keep);
	assert_int_equal(parse("virtctl rollout status -w --timeout 2 a -o json", &v, &keep), 0);
	assert_true(v.watch && v.timeout_given && v.timeout_minutes == 2);
	assert_string_equal(v.output, "json");
	assert_string_equal(v.args[1], "a");
	mem_freep(&keep);
	assert_int_equal(parse("virtctl rollout status -w --timeout 1m30s a", &v, &keep), 0);
	assert_true(v.timeout_minutes == 1.5);
}

static void the_escape_ends_typed_input(void **s)
{
	bool escape;
	assert_int_equal(console_until_escape("abc", 3, &escape), 3);
	assert_false(escape);
	assert_int_equal(console_until_escape("ab\x1d"
					      "c",
				 4, &escape),
		2);
	assert_true(escape);
}

static void versions_are_compared_to_the_minor(void **s)
{
	assert_false(version_differs("v0.1.0", "v0.1.7"));
	assert_true(version_differs("v0.1.0", "v0.2.0"));
	assert_true(version_differs("v0.1.0", "v0.10.0"));
	assert_true(version_differs("v0.1.0", "nonsense"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(volumes_are_added_and_removed),
		cmocka_unit_test(bad_command_lines_are_refused),
		cmocka_unit_test(options_stand_anywhere),
		cmocka_unit_test(the_escape_ends_typed_input),
		cmocka_unit_test(versions_are_compared_to_the_minor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
