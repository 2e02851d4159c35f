/* SPDX-License-Identifier: Apache-2.0 */
#include "api/kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

static const struct kind pods = {
	.group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true
};
static const struct kind vms = { .group = "kubevirt.io",
	.version = "v1",
	.kind = "VirtualMachine",
	.plural = "virtualmachines",
	.namespaced = true };
static const struct kind nodes = { .group = "", .version = "v1", .kind = "Node", .plural = "nodes" };

static void expect_path(
	const struct kind *k, const char *ns, const char *name, const char *sub, const char *want)
{
	CLEANUP(str_done) struct str s = { 0 };

	kind_path(k, ns, name, sub, &s);
	assert_string_equal(str_cstr(&s), want);
}

/* kubernetes-api.md 1.1 */
static void paths_follow_the_url_space(void **state)
{
	expect_path(&pods, "ns", "x", "log", "/api/v1/namespaces/ns/pods/x/log");
	expect_path(&pods, NULL, NULL, NULL, "/api/v1/pods");
	expect_path(&pods, "ns", NULL, "log", "/api/v1/namespaces/ns/pods");
	expect_path(
		&vms, "ns", "a b/c", NULL, "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/a%20b%2Fc");
	expect_path(&nodes, "ignored", "n", "status", "/api/v1/nodes/n/status");
	expect_path(&vms, "ns", "x", "sev/setup",
		"/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/x/sev/setup");
}

static void names_and_keys_round_trip(void **state)
{
	char buf[KIND_API_VERSION_MAX];
	CLEANUP(mem_freep) char *gr = kind_group_resource(&vms);
	CLEANUP(mem_freep) char *core = kind_group_resource(&pods);
	CLEANUP(mem_freep) char *key = kind_key("ns", "x");
	CLEANUP(mem_freep) char *bare = kind_key("", "x");
	CLEANUP(mem_freep) char *ns = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	CLEANUP(mem_freep) char *ns2 = NULL;
	CLEANUP(mem_freep) char *name2 = NULL;

	assert_string_equal(kind_api_version(&pods, buf), "v1");
	assert_string_equal(kind_api_version(&vms, buf), "kubevirt.io/v1");
	assert_string_equal(gr, "virtualmachines.kubevirt.io");
	assert_string_equal(core, "pods");
	assert_string_equal(key, "ns/x");
	assert_string_equal(bare, "x");
	kind_key_split(key, &ns, &name);
	assert_string_equal(ns, "ns");
	assert_string_equal(name, "x");
	kind_key_split(bare, &ns2, &name2);
	assert_string_equal(ns2, "");
	assert_string_equal(name2, "x");
}

static void kinds_are_the_same_by_group_and_plural(void **state)
{
	struct kind other = pods;

	other.version = "v2";
	assert_true(kind_is(&pods, &other));
	assert_false(kind_is(&pods, &nodes));
	assert_false(kind_is(&pods, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_follow_the_url_space),
		cmocka_unit_test(names_and_keys_round_trip),
		cmocka_unit_test(kinds_are_the_same_by_group_and_plural),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
