/* SPDX-License-Identifier: Apache-2.0 */
#include "api/semantics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"

#define NOW INT64_C(1767323045000) /* 2026-01-02T03:04:05Z */

static const struct kind widget_kind = { .group = "demo.io",
	.version = "v1",
	.kind = "Widget",
	.plural = "widgets",
	.namespaced = true,
	.has_status = true };
static const struct kind pod_kind = {
	.group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true, .has_status = true
};
static const struct kind namespace_kind = {
	.group = "", .version = "v1", .kind = "Namespace", .plural = "namespaces", .has_status = true
};
static const struct kind role_kind = {
	.group = "rbac.authorization.k8s.io", .version = "v1", .kind = "ClusterRole", .plural = "clusterroles"
};
static const struct write_rules widgets = {
	.kind = &widget_kind, .generation = GEN_ALL_BUT_STATUS, .needs_rv = true, .name_max = 253
};
static const struct write_rules pods = { .kind = &pod_kind, .name_max = 253, .grace_seconds = 30 };
static const struct write_rules namespaces = { .kind = &namespace_kind, .name_max = 63 };
static const struct write_rules roles = { .kind = &role_kind, .name_max = 253 };
static const struct create_in in = { .ns = "ns", .uid = "u-1", .suffix5 = "bcdfg", .now_ms = NOW };

static void expect_json(const struct json *got, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);

	if (!json_eq(got, json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(got, NULL);
		fail_msg("%s, not %s", text, want);
	}
}

/* kubernetes-api.md 8.17 */
static void create_replaces_what_is_the_servers(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'apiVersion':'demo.io/"
			 "v1','kind':'Widget','metadata':{'name':'x','uid':'mine','creationTimestamp':null,"
			 "'selfLink':'/"
			 "x','generation':7,'deletionTimestamp':'2020-01-01T00:00:00Z','labels':{'a':'b'}},"
			 "'spec':{},'status':{'s':1}}");
	struct err e = { 0 };

	assert_int_equal(write_create(&widgets, &in, d, NULL, &e), 0);
	expect_json(json_root(d),
		"{'apiVersion':'demo.io/"
		"v1','kind':'Widget','metadata':{'name':'x','namespace':'ns','uid':'u-1',"
		"'creationTimestamp':'2026-01-02T03:04:05Z','generation':1,'labels':{'a':'b'}},'spec':{}}");
}

/* kubernetes-api.md 8.18 */
static void generated_names_are_cut_and_suffixed(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'metadata':{'generateName':'x-'}}");
	CLEANUP(json_doc_freep)
	struct json_doc *l = json_lit("{'metadata':{'generateName':'"
				      "a123456789b123456789c123456789d123456789e123456789f123456789g-'}}");

	assert_int_equal(write_create(&widgets, &in, d, NULL, NULL), 0);
	assert_string_equal(meta_str(json_root(d), "name"), "x-bcdfg");
	assert_int_equal(write_create(&widgets, &in, l, NULL, NULL), 0);
	assert_int_equal(strlen(meta_str(json_root(l), "name")), 63);
}

static void expect_create(const struct write_rules *r, const char *text, enum err_code code, const char *part)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	struct err e = { 0 };
	int got = write_create(r, &in, d, NULL, &e);

	assert_int_equal(got, code == ERR_NONE ? 0 : -1);
	assert_int_equal(e.code, code);
	if (part && !strstr(e.msg, part))
		fail_msg("%s lacks %s", e.msg, part);
}

/* kubernetes-api.md 8.16, 2.2 */
static void create_refuses_bad_metadata(void **state)
{
	expect_create(
		&widgets, "{'metadata':{'name':'x','namespace':'other'}}", ERR_BAD_REQUEST, "namespace");
	expect_create(&widgets, "{'metadata':{'name':'x','resourceVersion':'5'}}", ERR_BAD_REQUEST,
		"resourceVersion");
	expect_create(&widgets, "{'metadata':{}}", ERR_INVALID,
		"Widget.demo.io \"\" is invalid: metadata.name: Required value: name or generateName is "
		"required");
	expect_create(&widgets, "{'metadata':{'name':'X'}}", ERR_INVALID,
		"a lowercase RFC 1123 subdomain must consist of");
	expect_create(&namespaces, "{'metadata':{'name':'a.b'}}", ERR_INVALID,
		"a lowercase RFC 1123 label must consist of");
	expect_create(
		&widgets, "{'metadata':{'name':'x','labels':{'a!':'b'}}}", ERR_INVALID, "metadata.labels");
	expect_create(&widgets, "{'metadata':{'name':'x','labels':{'a':'b c'}}}", ERR_INVALID,
		"a valid label must be");
	expect_create(&widgets, "{'metadata':{'name':'x','ownerReferences':[{'name':'y'}]}}", ERR_INVALID,
		"metadata.ownerReferences[0].uid");
	expect_create(&widgets,
		"{'metadata':{'name':'x','ownerReferences':[{'apiVersion':'v1','kind':'P','name':'y','uid':'"
		"1','controller':true},"
		"{'apiVersion':'v1','kind':'P','name':'z','uid':'2','controller':true}]}}",
		ERR_INVALID, "Only one reference");
	expect_create(&roles, "{'metadata':{'name':'kubevirt.io:operator'}}", ERR_NONE, NULL);
	expect_create(&roles, "{'metadata':{'name':'a/b'}}", ERR_INVALID, "may not contain '/'");
	expect_create(&namespaces, "{'metadata':{'name':'x','namespace':'dropped'}}", ERR_NONE, NULL);
}

static struct obj *stored(const char *spec_and_more)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'demo.io/"
		"v1','kind':'Widget','metadata':{'name':'x','namespace':'ns','uid':'u-1',"
		"'resourceVersion':'7','generation':3,'creationTimestamp':'2026-01-01T00:00:00Z'%s}",
		spec_and_more);

	return obj_from_doc(json_lit(text));
}

struct outcome {
	int r;
	bool same;
	struct err e;
	struct json_doc *d;
};

static void outcome_done(struct outcome *o)
{
	json_doc_free(o->d);
}

static struct outcome update(
	const struct write_rules *r, enum write_part part, const struct obj *old, const char *text)
{
	struct outcome o = { .d = json_lit(text) };

	o.r = write_update(r, part, old, o.d, NOW, &o.same, NULL, &o.e);
	return o;
}

#define WIDGET(meta, rest)                                                                                \
	"{'apiVersion':'demo.io/"                                                                         \
	"v1','kind':'Widget','metadata':{'name':'x','namespace':'ns','resourceVersion':'7'" meta "}" rest \
	"}"

/* kubernetes-api.md 8.23 */
static void writes_that_change_nothing_are_told(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *old = stored(",'managedFields':[{'manager':'m','time':'2026-01-01T00:00:00Z','fieldsV1':{"
				 "'f:spec':{}}}]},'spec':{'a':1,'b':2}");
	CLEANUP(outcome_done)
	struct outcome same = update(&widgets, WRITE_MAIN, old,
		WIDGET(",'managedFields':[{'manager':'m','time':'2026-02-02T00:00:00Z','fieldsV1':{'f:spec':{"
		       "}}}]",
			",'spec':{'b':2,'a':1},'status':{'ignored':1}"));
	CLEANUP(outcome_done)
	struct outcome other = update(&widgets, WRITE_MAIN, old,
		WIDGET(",'managedFields':[{'manager':'n','time':'2026-01-01T00:00:00Z','fieldsV1':{'f:spec':{"
		       "}}}]",
			",'spec':{'b':2,'a':1}"));

	assert_int_equal(same.r, 0);
	assert_true(same.same);
	assert_int_equal(other.r, 0);
	assert_false(other.same);
	assert_int_equal(json_i64(json_at(json_root(other.d), "/metadata/generation")), 3);
}

/* kubernetes-api.md 8.24 */
static void generations_count_what_the_rule_says(void **state)
{
	CLEANUP(obj_unrefp) struct obj *old = stored("},'spec':{'a':1},'status':{'s':1}");
	CLEANUP(outcome_done)
	struct outcome labels =
		update(&widgets, WRITE_MAIN, old, WIDGET(",'labels':{'l':'v'}", ",'spec':{'a':1}"));
	CLEANUP(outcome_done)
	struct outcome spec = update(&widgets, WRITE_MAIN, old, WIDGET("", ",'spec':{'a':2}"));
	CLEANUP(outcome_done)
	struct outcome other =
		update(&widgets, WRITE_MAIN, old, WIDGET("", ",'spec':{'a':1},'data':{'x':1}"));
	CLEANUP(outcome_done)
	struct outcome status = update(&widgets, WRITE_STATUS, old,
		WIDGET(",'labels':{'l':'v'}", ",'spec':{'a':9},'status':{'s':2}"));
	struct write_rules vmi = widgets;
	struct kind no_status = widget_kind;

	assert_int_equal(json_i64(json_at(json_root(labels.d), "/metadata/generation")), 3);
	assert_false(labels.same);
	assert_int_equal(json_i64(json_at(json_root(labels.d), "/status/s")), 1);
	assert_int_equal(json_i64(json_at(json_root(spec.d), "/metadata/generation")), 4);
	assert_int_equal(json_i64(json_at(json_root(other.d), "/metadata/generation")), 4);
	/* kubernetes-api.md 8.25 */
	assert_int_equal(json_i64(json_at(json_root(status.d), "/metadata/generation")), 3);
	assert_int_equal(json_i64(json_at(json_root(status.d), "/spec/a")), 1);
	assert_int_equal(json_i64(json_at(json_root(status.d), "/status/s")), 2);
	assert_null(json_at(json_root(status.d), "/metadata/labels"));
	assert_string_equal(meta_str(json_root(status.d), "uid"), "u-1");

	/* kubevirt-api.md 1.1: a kind without status subresource counts status writes */
	no_status.has_status = false;
	vmi.kind = &no_status;
	vmi.generation = GEN_ALL_BUT_META;
	CLEANUP(outcome_done)
	struct outcome counted =
		update(&vmi, WRITE_MAIN, old, WIDGET("", ",'spec':{'a':1},'status':{'s':2}"));
	assert_int_equal(json_i64(json_at(json_root(counted.d), "/metadata/generation")), 4);
}

/* kubernetes-api.md 8.20, 8.21 */
static void updates_are_guarded_by_version_and_uid(void **state)
{
	CLEANUP(obj_unrefp) struct obj *old = stored("},'spec':{}");
	CLEANUP(outcome_done)
	struct outcome stale = update(&widgets, WRITE_MAIN, old,
		"{'metadata':{'name':'x','namespace':'ns','resourceVersion':'6'},'spec':{}}");
	CLEANUP(outcome_done)
	struct outcome none =
		update(&widgets, WRITE_MAIN, old, "{'metadata':{'name':'x','namespace':'ns'},'spec':{}}");
	CLEANUP(outcome_done)
	struct outcome pod =
		update(&pods, WRITE_MAIN, old, "{'metadata':{'name':'x','namespace':'ns'},'spec':{'a':1}}");
	CLEANUP(outcome_done)
	struct outcome uid = update(&widgets, WRITE_MAIN, old, WIDGET(",'uid':'u-2'", ",'spec':{}"));
	CLEANUP(outcome_done)
	struct outcome name = update(&widgets, WRITE_MAIN, old,
		"{'metadata':{'name':'y','namespace':'ns','resourceVersion':'7'}}");

	assert_int_equal(stale.e.code, ERR_CONFLICT);
	assert_non_null(strstr(stale.e.msg, "the object has been modified; please apply your changes"));
	assert_int_equal(none.e.code, ERR_INVALID);
	assert_string_equal(none.e.msg, "Widget.demo.io \"x\" is invalid: metadata.resourceVersion: Invalid "
					"value: 0: must be specified for an update");
	assert_int_equal(pod.r, 0);
	assert_string_equal(meta_str(json_root(pod.d), "resourceVersion"), "7");
	assert_int_equal(uid.e.code, ERR_CONFLICT);
	assert_int_equal(name.e.code, ERR_BAD_REQUEST);
}

/* kubernetes-api.md 8.47 */
static void terminating_objects_get_no_new_finalizers(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *old = stored(",'deletionTimestamp':'2026-01-01T00:00:00Z','deletionGracePeriodSeconds':0,"
				 "'finalizers':['a.b/c']},'spec':{}");
	CLEANUP(outcome_done)
	struct outcome added =
		update(&widgets, WRITE_MAIN, old, WIDGET(",'finalizers':['a.b/c','d.e/f']", ",'spec':{}"));
	CLEANUP(outcome_done)
	struct outcome edited =
		update(&widgets, WRITE_MAIN, old, WIDGET(",'finalizers':['a.b/c']", ",'spec':{'a':1}"));
	CLEANUP(outcome_done)
	struct outcome emptied = update(&widgets, WRITE_MAIN, old, WIDGET(",'finalizers':[]", ",'spec':{}"));

	assert_int_equal(added.e.code, ERR_INVALID);
	assert_non_null(
		strstr(added.e.msg, "metadata.finalizers: Forbidden: no new finalizers can be added"));
	assert_int_equal(edited.r, 0);
	assert_false(write_is_gone(json_root(edited.d)));
	assert_true(write_is_gone(json_root(emptied.d)));
}

struct deletion {
	int r;
	enum delete_outcome outcome;
	struct json_doc *d;
	struct err e;
};

static void deletion_done(struct deletion *x)
{
	json_doc_free(x->d);
}

static struct deletion delete (const struct write_rules *r, const struct obj *old, const char *options)
{
	struct deletion x = { .outcome = (enum delete_outcome)99 };
	CLEANUP(json_doc_freep) struct json_doc *o = options ? json_lit(options) : NULL;

	x.r = write_delete(r, old, o ? json_root(o) : NULL, NOW, &x.outcome, &x.d, &x.e);
	return x;
}

/* kubernetes-api.md 8.46, 8.48, 8.50 */
static void deletion_marks_or_removes(void **state)
{
	CLEANUP(obj_unrefp) struct obj *plain = stored("},'spec':{}");
	CLEANUP(obj_unrefp) struct obj *held = stored(",'finalizers':['a.b/c']},'spec':{}");
	CLEANUP(deletion_done)
	struct deletion now = delete (&widgets, plain, "{'propagationPolicy':'Background'}");
	CLEANUP(deletion_done) struct deletion marked = delete (&widgets, held, NULL);
	CLEANUP(deletion_done)
	struct deletion fore = delete (&widgets, plain, "{'propagationPolicy':'Foreground'}");
	CLEANUP(deletion_done) struct deletion orph = delete (&widgets, plain, "{'orphanDependents':true}");
	CLEANUP(deletion_done)
	struct deletion wrong = delete (&widgets, plain, "{'preconditions':{'uid':'u-2'}}");
	CLEANUP(deletion_done)
	struct deletion rv = delete (&widgets, plain, "{'preconditions':{'resourceVersion':'6'}}");
	CLEANUP(deletion_done)
	struct deletion bad = delete (&widgets, plain, "{'propagationPolicy':'Sideways'}");

	assert_int_equal(now.outcome, DELETE_NOW);
	assert_int_equal(marked.outcome, DELETE_MARKED);
	assert_string_equal(meta_str(json_root(marked.d), "deletionTimestamp"), "2026-01-02T03:04:05Z");
	assert_int_equal(json_i64(json_at(json_root(marked.d), "/metadata/deletionGracePeriodSeconds")), 0);
	assert_int_equal(json_i64(json_at(json_root(marked.d), "/metadata/generation")), 4);
	assert_int_equal(fore.outcome, DELETE_MARKED);
	assert_true(meta_has_finalizer(json_root(fore.d), "foregroundDeletion"));
	assert_true(meta_has_finalizer(json_root(orph.d), "orphan"));
	assert_int_equal(wrong.e.code, ERR_CONFLICT);
	assert_int_equal(rv.e.code, ERR_CONFLICT);
	assert_int_equal(bad.e.code, ERR_INVALID);

	CLEANUP(obj_unrefp) struct obj *going = obj_from_doc(json_doc_from(json_root(marked.d)));
	CLEANUP(deletion_done) struct deletion again = delete (&widgets, going, NULL);
	assert_int_equal(again.outcome, DELETE_UNCHANGED);
	assert_null(again.d);
}

/* kubernetes-api.md 8.49 */
static void pods_on_a_node_get_their_grace(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *on_node = stored("},'spec':{'nodeName':'n','terminationGracePeriodSeconds':60}");
	CLEANUP(obj_unrefp) struct obj *unscheduled = stored("},'spec':{}");
	CLEANUP(obj_unrefp)
	struct obj *finished = stored("},'spec':{'nodeName':'n'},'status':{'phase':'Failed'}");
	CLEANUP(deletion_done) struct deletion own = delete (&pods, on_node, NULL);
	CLEANUP(deletion_done) struct deletion asked = delete (&pods, on_node, "{'gracePeriodSeconds':10}");
	CLEANUP(deletion_done)
	struct deletion negative = delete (&pods, on_node, "{'gracePeriodSeconds':-5}");
	CLEANUP(deletion_done) struct deletion zero = delete (&pods, on_node, "{'gracePeriodSeconds':0}");
	CLEANUP(deletion_done) struct deletion at_once = delete (&pods, unscheduled, NULL);
	CLEANUP(deletion_done) struct deletion over = delete (&pods, finished, NULL);

	assert_int_equal(own.outcome, DELETE_MARKED);
	assert_string_equal(meta_str(json_root(own.d), "deletionTimestamp"), "2026-01-02T03:05:05Z");
	assert_string_equal(meta_str(json_root(asked.d), "deletionTimestamp"), "2026-01-02T03:04:15Z");
	assert_int_equal(json_i64(json_at(json_root(negative.d), "/metadata/deletionGracePeriodSeconds")), 1);
	assert_int_equal(zero.outcome, DELETE_NOW);
	assert_int_equal(at_once.outcome, DELETE_NOW);
	assert_int_equal(over.outcome, DELETE_NOW);

	/* grace only shrinks, counted from the first DELETE */
	CLEANUP(obj_unrefp) struct obj *going = obj_from_doc(json_doc_from(json_root(asked.d)));
	CLEANUP(deletion_done) struct deletion longer = delete (&pods, going, "{'gracePeriodSeconds':20}");
	CLEANUP(deletion_done) struct deletion shorter = delete (&pods, going, "{'gracePeriodSeconds':4}");
	CLEANUP(deletion_done) struct deletion end = delete (&pods, going, "{'gracePeriodSeconds':0}");
	assert_int_equal(longer.outcome, DELETE_UNCHANGED);
	assert_int_equal(shorter.outcome, DELETE_MARKED);
	assert_string_equal(meta_str(json_root(shorter.d), "deletionTimestamp"), "2026-01-02T03:04:09Z");
	assert_int_equal(end.outcome, DELETE_NOW);
	assert_false(write_is_gone(obj_json(going)));
}

static void namespaces_wait_for_their_own_finalizers(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *ns = obj_from_doc(json_lit("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'x'}"
					       ",'spec':{'finalizers':['kubernetes']}}"));
	CLEANUP(deletion_done) struct deletion marked = delete (&namespaces, ns, NULL);

	assert_int_equal(marked.outcome, DELETE_MARKED);
	assert_string_equal(json_at_str(json_root(marked.d), "/status/phase"), "Terminating");
	assert_false(write_is_gone(json_root(marked.d)));
	json_remove_at(json_root(marked.d), "/spec/finalizers");
	assert_true(write_is_gone(json_root(marked.d)));
}

static void names_are_told_apart(void **state)
{
	assert_true(name_is_dns1123_label("a-1"));
	assert_false(name_is_dns1123_label("a.b"));
	assert_false(name_is_dns1123_label("-a"));
	assert_false(name_is_dns1123_label(""));
	assert_false(name_is_dns1123_label(NULL));
	assert_true(name_is_dns1123_subdomain("a.b-c.1"));
	assert_false(name_is_dns1123_subdomain("a..b"));
	assert_true(name_is_label_key("kubevirt.io/created-By_x"));
	assert_false(name_is_label_key("/x"));
	assert_false(name_is_label_key("a/b/c"));
	assert_false(name_is_label_key("Upper.io/x"));
	assert_true(name_is_label_value(""));
	assert_true(name_is_label_value("A.b_c"));
	assert_false(name_is_label_value("a b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_replaces_what_is_the_servers),
		cmocka_unit_test(generated_names_are_cut_and_suffixed),
		cmocka_unit_test(create_refuses_bad_metadata),
		cmocka_unit_test(writes_that_change_nothing_are_told),
		cmocka_unit_test(generations_count_what_the_rule_says),
		cmocka_unit_test(updates_are_guarded_by_version_and_uid),
		cmocka_unit_test(terminating_objects_get_no_new_finalizers),
		cmocka_unit_test(deletion_marks_or_removes),
		cmocka_unit_test(pods_on_a_node_get_their_grace),
		cmocka_unit_test(namespaces_wait_for_their_own_finalizers),
		cmocka_unit_test(names_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
