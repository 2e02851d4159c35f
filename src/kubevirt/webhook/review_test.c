/* SPDX-License-Identifier: Apache-2.0 */
/* Admission reviews: patches, refusals and warnings as an API server reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "api/patch.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/configs.h"

static struct json_doc *answer(
	const char *path, const char *user, const char *op, const char *object, const char *old)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'request':{'uid':'u1','operation':'%s','userInfo':{'username':'%s'},"
				"'object':%s,'oldObject':%s}}",
		op, user, object, old);
	CLEANUP(json_doc_freep) struct json_doc *review = json_lit(text);
	const struct hook *h = hook_find(path);
	struct kv_config c;
	struct json_doc *d = NULL;
	struct err e;

	assert_non_null(h);
	kv_config_from(NULL, &c);
	struct review_env env = {
		.config = &c, .install_ns = "kubevirt", .uuid = "uuid", .serial = "serial"
	};
	if (review_answer(h, json_root(review), &env, &d, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(json_at_str(json_root(d), "/response/uid"), "u1");
	assert_string_equal(json_at_str(json_root(d), "/apiVersion"), "admission.k8s.io/v1");
	return d;
}

/* The object after the answer's patch. */
static struct json_doc *patched(const struct json_doc *answer_doc, const char *object)
{
	const char *b64 = json_at_str(json_root(answer_doc), "/response/patch");
	CLEANUP(json_doc_freep) struct json_doc *before = json_lit(object);
	CLEANUP(str_done) struct str text = { 0 };
	struct json_doc *after = NULL;
	struct err e;

	if (!b64)
		return json_doc_from(json_root(before));
	assert_string_equal(json_at_str(json_root(answer_doc), "/response/patchType"), "JSONPatch");
	assert_int_equal(b64_decode(b64, strlen(b64), false, &text, &e), 0);
	CLEANUP(json_doc_freep) struct json_doc *ops = json_parse(text.data, text.len, &e);
	if (patch_json(json_root(before), json_root(ops), &after, &e) < 0)
		fail_msg("%s", e.msg);
	return after;
}

static void a_new_vm_is_completed_by_patch(void **s)
{
	static const char vm[] = "{'metadata':{'name':'a'},'spec':{'runStrategy':'Always','template':{'spec':"
				 "{'domain':{'devices':{}}}}}}";
	CLEANUP(json_doc_freep)
	struct json_doc *d = answer("/virtualmachines-mutate", "kate", "CREATE", vm, "null");
	CLEANUP(json_doc_freep) struct json_doc *o = patched(d, vm);
	assert_true(json_bool(json_at(json_root(d), "/response/allowed")));
	assert_string_equal(json_at_str(json_root(o), "/spec/template/spec/domain/firmware/uuid"), "uuid");
	assert_string_equal(json_at_str(json_root(o), "/spec/runStrategy"), "Always");
}

/* rollout.md 4.3: a VMI has no status subresource, so foreign status writes must be undone here */
static void foreign_status_writes_are_undone(void **s)
{
	static const char old[] = "{'metadata':{'name':'a'},'spec':{},'status':{'phase':'Running'}}";
	static const char new[] = "{'metadata':{'name':'a'},'spec':{},'status':{'phase':'Failed'}}";
	CLEANUP(json_doc_freep)
	struct json_doc *foreign = answer("/virtualmachineinstances-mutate", "kate", "UPDATE", new, old);
	CLEANUP(json_doc_freep) struct json_doc *o = patched(foreign, new);
	assert_string_equal(json_at_str(json_root(o), "/status/phase"), "Running");
	CLEANUP(json_doc_freep)
	struct json_doc *own = answer("/virtualmachineinstances-mutate",
		"system:serviceaccount:kubevirt:kubevirt-handler", "UPDATE", new, old);
	CLEANUP(json_doc_freep) struct json_doc *o2 = patched(own, new);
	assert_string_equal(json_at_str(json_root(o2), "/status/phase"), "Failed");
}

/* kubevirt-api.md 1.1 */
static void refusals_carry_their_causes(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = answer("/virtualmachines-validate", "kate", "CREATE",
		"{'metadata':{'name':'a'},'spec':{'running':true,'runStrategy':'Always','template':{'spec':{'"
		"domain':{'devices':{}}}}}}",
		"null");
	const struct json *r = json_at(json_root(d), "/response");
	assert_false(json_bool(json_get(r, "allowed")));
	assert_int_equal(json_i64(json_at(r, "/status/code")), 422);
	assert_string_equal(json_at_str(r, "/status/reason"), "Invalid");
	assert_int_equal(json_len(json_at(r, "/status/details/causes")), 2);
	assert_string_equal(json_at_str(r, "/status/details/causes/0/field"), "spec.running");
	assert_non_null(strstr(json_at_str(r, "/status/message"),
		"mutually exclusive. Note that Running is deprecated, please use "
		"RunStrategy instead, no memory requested"));
	assert_string_equal(json_at_str(r, "/warnings/0"),
		"spec.running is deprecated, please use spec.runStrategy instead.");
}

static void many_causes_are_counted(void **s)
{
	CLEANUP(str_done) struct str vm = { 0 };
	str_add(&vm, "{'metadata':{'name':'a'},'spec':{'runStrategy':'Always','template':{'spec':{'domain':{'"
		     "memory':{'guest':'1Gi'},"
		     "'devices':{'disks':[");
	for (int i = 0; i < 15; i++)
		str_addf(&vm, "%s{'name':'d%d'}", i ? "," : "", i);
	str_add(&vm, "]}}}}}}");
	CLEANUP(json_doc_freep)
	struct json_doc *d = answer("/virtualmachines-validate", "kate", "CREATE", vm.data, "null");
	const char *text = json_at_str(json_root(d), "/response/status/message");
	assert_true(str_ends(text, ", and 5 more validation errors"));
	assert_int_equal(json_len(json_at(json_root(d), "/response/status/details/causes")), 15);
}

/* decisions 2 and 3 */
static void kubevirt_edits_draw_warnings(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = answer("/kubevirt-validate-update", "kate", "UPDATE",
		"{'spec':{'configuration':{'developerConfiguration':{'featureGates':['VMLiveUpdateFeatures']}"
		"},"
		"'workloadUpdateStrategy':{'batchEvictSize':2}}}",
		"{'spec':{}}");
	assert_true(json_bool(json_at(json_root(d), "/response/allowed")));
	assert_int_equal(json_len(json_at(json_root(d), "/response/warnings")), 2);
}

static void a_migration_needs_its_instance(void **s)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = answer("/migration-validate-create", "kate", "CREATE",
		"{'metadata':{'name':'m','namespace':'ns'},'spec':{'vmiName':'gone'}}", "null");
	assert_string_equal(
		json_at_str(json_root(d), "/response/status/message"), "the VMI \"ns/gone\" does not exist");
}

static void what_is_no_review_is_refused(void **s)
{
	CLEANUP(json_doc_freep) struct json_doc *junk = json_lit("{'request':[]}");
	struct json_doc *d = NULL;
	struct kv_config c;
	struct err e;
	kv_config_from(NULL, &c);
	struct review_env env = { .config = &c, .install_ns = "kubevirt" };
	assert_int_equal(review_answer(&hooks[0], json_root(junk), &env, &d, &e), -1);
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_null(d);
}

static void configurations_name_every_hook_once(void **s)
{
	size_t n = 0;
	for (int side = HOOK_MUTATING; side <= HOOK_OPERATOR; side++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
		struct json *o = webhook_config_render(d, (enum hook_side)side, "kubevirt", NULL, "Q0E=");
		JSON_EACH (it, json_get(o, "webhooks")) {
			const struct hook *h = hook_find(json_at_str(it.val, "/clientConfig/service/path"));
			assert_non_null(h);
			assert_int_equal(h->side, side);
			CLEANUP(mem_freep)
			char *resource = str_printf("%s%s", h->kind->plural, h->sub ? "/status" : "");
			assert_string_equal(json_at_str(it.val, "/rules/0/resources/0"), resource);
			assert_true(str_eq(json_at_str(it.val, "/matchConditions/0/expression"), h->when));
			assert_string_equal(json_at_str(it.val, "/sideEffects"), "None");
			/* All must be asked, but for an edit of the KubeVirt object: that may be what brings virt-api back. */
			bool edit = h->kind == &kind_kubevirt && !str_eq(h->operations, "DELETE");
			assert_string_equal(json_at_str(it.val, "/failurePolicy"), edit ? "Ignore" : "Fail");
			n++;
		}
	}
	size_t all = 0;
	while (hooks[all].path)
		all++;
	assert_int_equal(n, all);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *svc = apiservice_render(d, "v1alpha3", "kubevirt", "Q0E=");
	assert_string_equal(json_at_str(svc, "/metadata/name"), "v1alpha3.subresources.kubevirt.io");
	assert_int_equal(json_i64(json_at(svc, "/spec/groupPriorityMinimum")), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_vm_is_completed_by_patch),
		cmocka_unit_test(foreign_status_writes_are_undone),
		cmocka_unit_test(refusals_carry_their_causes),
		cmocka_unit_test(many_causes_are_counted),
		cmocka_unit_test(kubevirt_edits_draw_warnings),
		cmocka_unit_test(a_migration_needs_its_instance),
		cmocka_unit_test(what_is_no_review_is_refused),
		cmocka_unit_test(configurations_name_every_hook_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
