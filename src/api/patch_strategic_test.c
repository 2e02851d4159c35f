/* SPDX-License-Identifier: Apache-2.0 */
#include "api/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "api/fields.h"
#include "base/mem.h"

/* clang-format off */
FIELD_TABLE(pod_fields, "io.k8s.test.Pod", "A pod.",
	{ "spec", F_OBJECT, 0, "Spec." },
	{ "spec.containers", F_LIST, FIELD_LIST_MAP, "Containers.", .keys = "name" },
	{ "spec.containers[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "spec.containers[].image", F_STRING, 0, "Image." },
	{ "spec.containers[].args", F_LIST, FIELD_ATOMIC, "Args.", .items = F_STRING },
	{ "spec.containers[].env", F_LIST, FIELD_LIST_MAP, "Environment.", .keys = "name" },
	{ "spec.containers[].env[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "spec.containers[].env[].value", F_STRING, 0, "Value." },
	{ "spec.tolerations", F_LIST, FIELD_ATOMIC, "Tolerations." },
	{ "spec.tolerations[].key", F_STRING, 0, "Key." },
	{ "spec.volumes", F_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "Volumes.", .keys = "name" },
	{ "spec.volumes[].name", F_STRING, FIELD_REQUIRED, "Name." },
	{ "spec.volumes[].emptyDir", F_OBJECT, 0, "Directory." },
	{ "spec.volumes[].secret", F_OBJECT, 0, "Secret." },
	{ "spec.strategy", F_OBJECT, FIELD_RETAIN_KEYS, "Strategy." },
	{ "spec.strategy.type", F_STRING, 0, "Type." },
	{ "spec.nodeSelector", F_MAP, FIELD_ATOMIC, "Labels.", .items = F_STRING });
/* clang-format on */

static struct schema *schema;

static int set_up(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(&pod_fields);

	return schema_compile(json_root(d), "", &schema, NULL, NULL);
}

static int tear_down(void **state)
{
	schema_free(schema);
	return 0;
}

static void expect(const char *current, const char *patch, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *c = json_lit(current);
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit(patch);
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);
	CLEANUP(json_doc_freep) struct json_doc *got = NULL;
	struct err e = { 0 };

	if (patch_strategic(schema, json_root(c), json_root(p), &got, &e) < 0)
		fail_msg("%s", e.msg);
	if (!json_eq(json_root(got), json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(json_root(got), NULL);
		fail_msg("%s gives %s, not %s", patch, text, want);
	}
}

/* kubernetes-api.md 8.35 */
static void new_elements_come_in_front(void **state)
{
	expect("{'spec':{'containers':[{'name':'a','image':'1'}]}}",
		"{'spec':{'containers':[{'name':'b','image':'2'}]}}",
		"{'spec':{'containers':[{'name':'b','image':'2'},{'name':'a','image':'1'}]}}");
	expect("{'spec':{'containers':[{'name':'a','image':'1'},{'name':'b'}]}}",
		"{'spec':{'containers':[{'name':'a','image':'2'}]}}",
		"{'spec':{'containers':[{'name':'a','image':'2'},{'name':'b'}]}}");
	expect("{'spec':{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}}",
		"{'spec':{'containers':[{'name':'c','image':'1'},{'name':'n'}]}}",
		"{'spec':{'containers':[{'name':'a'},{'name':'b'},{'name':'c','image':'1'},{'name':'n'}]}}");
}

static void an_order_is_followed(void **state)
{
	expect("{'spec':{'containers':[{'name':'a'},{'name':'b'}]}}",
		"{'spec':{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}]}}",
		"{'spec':{'containers':[{'name':'b'},{'name':'a'}]}}");
	expect("{'spec':{'containers':[{'name':'a'},{'name':'live'},{'name':'b'}]}}",
		"{'spec':{'$setElementOrder/containers':[{'name':'a'},{'name':'b'},{'name':'n'}],"
		"'containers':[{'name':'n','image':'1'}]}}",
		"{'spec':{'containers':[{'name':'a'},{'name':'live'},{'name':'b'},{'name':'n','image':'1'}]}"
		"}");
	expect("{'metadata':{'finalizers':['a','b']}}",
		"{'metadata':{'$setElementOrder/finalizers':['b','c','a'],'finalizers':['c']}}",
		"{'metadata':{'finalizers':['b','c','a']}}");
	/* order of a list that is not there */
	expect("{'spec':{}}", "{'spec':{'$setElementOrder/containers':[{'name':'b'}]}}", "{'spec':{}}");
	expect("{'spec':{}}",
		"{'spec':{'$setElementOrder/"
		"containers':[{'name':'a'},{'name':'b'}],'containers':[{'name':'b'},{'name':'a'}]}}",
		"{'spec':{'containers':[{'name':'a'},{'name':'b'}]}}");
}

static void elements_are_deleted_and_replaced(void **state)
{
	expect("{'spec':{'containers':[{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]}"
	       "]}}",
		"{'spec':{'containers':[{'name':'a','env':[{'name':'X','$patch':'delete'}]}]}}",
		"{'spec':{'containers':[{'name':'a','env':[{'name':'Y','value':'2'}]}]}}");
	expect("{'spec':{'containers':[{'name':'a'},{'name':'b'}]}}",
		"{'spec':{'containers':[{'$patch':'replace'},{'name':'c'}]}}",
		"{'spec':{'containers':[{'name':'c'}]}}");
	expect("{'spec':{'a':1,'b':2}}", "{'spec':{'$patch':'replace','c':3}}", "{'spec':{'c':3}}");
	expect("{'spec':{'a':1}}", "{'spec':{'$patch':'delete'}}", "{'spec':{}}");
	expect("{'spec':{'a':{'b':1}}}", "{'spec':{'a':null}}", "{'spec':{}}");
	expect("{'spec':{}}", "{'spec':{'a':{'b':null,'c':1,'$patch':'merge'}}}", "{'spec':{'a':{'c':1}}}");
	expect("{'spec':{}}", "{'spec':{'containers':[{'name':'a','$patch':'delete'},{'name':'b'}]}}",
		"{'spec':{'containers':[{'name':'b'}]}}");
}

/* kubernetes-api.md 8.36 */
static void lists_without_key_replace(void **state)
{
	expect("{'spec':{'tolerations':[{'key':'a'}],'containers':[{'name':'a','args':['x']}]}}",
		"{'spec':{'tolerations':[{'key':'b'}],'containers':[{'name':'a','args':['y']}]}}",
		"{'spec':{'tolerations':[{'key':'b'}],'containers':[{'name':'a','args':['y']}]}}");
	expect("{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':['b','a']}}",
		"{'metadata':{'finalizers':['b','a']}}");
	expect("{'metadata':{'finalizers':['a']}}", "{'metadata':{'finalizers':['b']}}",
		"{'metadata':{'finalizers':['b','a']}}");
	expect("{'metadata':{'finalizers':['a','b']}}",
		"{'metadata':{'$deleteFromPrimitiveList/finalizers':['a']}}",
		"{'metadata':{'finalizers':['b']}}");
	expect("{'metadata':{'ownerReferences':[{'uid':'1','name':'x'}]}}",
		"{'metadata':{'ownerReferences':[{'uid':'1','name':'y'}]}}",
		"{'metadata':{'ownerReferences':[{'uid':'1','name':'y'}]}}");
	expect("{'spec':{'nodeSelector':{'a':'1'}}}", "{'spec':{'nodeSelector':{'b':'2'}}}",
		"{'spec':{'nodeSelector':{'a':'1','b':'2'}}}");
}

static void only_retained_keys_stay(void **state)
{
	expect("{'spec':{'strategy':{'type':'RollingUpdate','rollingUpdate':{}}}}",
		"{'spec':{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}}",
		"{'spec':{'strategy':{'type':'Recreate'}}}");
	expect("{'spec':{'volumes':[{'name':'v','emptyDir':{}}]}}",
		"{'spec':{'volumes':[{'$retainKeys':['name','secret'],'name':'v','secret':{}}]}}",
		"{'spec':{'volumes':[{'name':'v','secret':{}}]}}");
}

static void elements_without_key_are_refused(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *c = json_lit("{'spec':{'containers':[{'name':'a'}]}}");
	CLEANUP(json_doc_freep) struct json_doc *p = json_lit("{'spec':{'containers':[{'image':'x'}]}}");
	struct json_doc *got = NULL;
	struct err e = { 0 };

	assert_int_equal(patch_strategic(schema, json_root(c), json_root(p), &got, &e), -1);
	assert_int_equal(e.code, ERR_INTERNAL);
	assert_string_equal(e.msg, "map: {\"image\":\"x\"} does not contain declared merge key: name");
	assert_null(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_elements_come_in_front),
		cmocka_unit_test(an_order_is_followed),
		cmocka_unit_test(elements_are_deleted_and_replaced),
		cmocka_unit_test(lists_without_key_replace),
		cmocka_unit_test(only_retained_keys_stay),
		cmocka_unit_test(elements_without_key_are_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
