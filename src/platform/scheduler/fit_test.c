/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/scheduler/fit.h"

#include "base/mem.h"
#include "base/test_util.h"

static struct obj *make(const char *text)
{
	return obj_from_doc(json_lit(text));
}

static bool fits(const char *pod_text, const char *node_text, const char *bound_text, struct str *why)
{
	struct obj *pod = make(pod_text), *node = make(node_text),
		   *bound = bound_text ? make(bound_text) : NULL;
	struct usage used = { 0 };
	const struct obj *pods[] = { bound }, *nodes[] = { node };
	struct neighbours n = { pods, bound ? 1 : 0, nodes, 1, NULL, NULL };
	bool ok;

	if (bound)
		usage_add(&used, bound);
	ok = fit_node(pod, node, &used, &n, why);
	obj_unref(pod);
	obj_unref(node);
	obj_unref(bound);
	return ok;
}

static const char node[] =
	"{'metadata':{'name':'n1','labels':{'kubernetes.io/hostname':'n1','zone':'a'}},'status':"
	"{'allocatable':{'cpu':'2','memory':'4Gi','pods':'10'}}}";

static void a_pod_that_asks_for_too_much_is_told_of_what(void **state)
{
	CLEANUP(str_done) struct str why = { 0 };

	assert_false(fits("{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','resources':{'requests'"
			  ":{'memory':'5Gi'}}}]}}",
		node, NULL, &why));
	assert_string_equal(str_cstr(&why), "Insufficient memory");
}

static void what_is_bound_counts(void **state)
{
	CLEANUP(str_done) struct str why = { 0 };
	const char *pod = "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','resources':{'requests'"
			  ":{'cpu':'1500m'}}}]}}";

	assert_true(fits(pod, node, NULL, &why));
	assert_false(fits(pod, node,
		"{'metadata':{'name':'q'},'spec':{'nodeName':'n1','containers':[{'name':'c','resources':"
		"{'requests':{'cpu':'600m'}}}]}}",
		&why));
	assert_string_equal(str_cstr(&why), "Insufficient cpu");
}

/* A pod whose resize is not yet in force holds both what it had and what it wants: the larger. */
static void a_resize_counts_with_the_larger_amount(void **state)
{
	struct obj *pod = make(
		"{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','resources':{'requests':{'memory'"
		":'1Gi'}}}]},"
		"'status':{'containerStatuses':[{'name':'c','resources':{'requests':{'memory':'3Gi'}}}]}}");
	struct usage u;

	pod_requests(pod, &u);
	assert_true(usage_of(&u, "memory") == 3LL << 30);
	obj_unref(pod);
}

static void selectors_and_affinity_must_match(void **state)
{
	CLEANUP(str_done) struct str why = { 0 };

	assert_false(
		fits("{'metadata':{'name':'p'},'spec':{'nodeSelector':{'zone':'b'}}}", node, NULL, &why));
	assert_string_equal(str_cstr(&why), "node(s) didn't match Pod's node affinity/selector");
	assert_true(fits("{'metadata':{'name':'p'},'spec':{'affinity':{'nodeAffinity':{'"
			 "requiredDuringSchedulingIgnoredDuringExecution':"
			 "{'nodeSelectorTerms':[{'matchFields':[{'key':'metadata.name','operator':'In','"
			 "values':['n1']}]}]}}}}}",
		node, NULL, &why));
}

static void taints_need_tolerations(void **state)
{
	static const char tainted[] = "{'metadata':{'name':'n1'},'spec':{'taints':[{'key':'k','value':'v','"
				      "effect':'NoSchedule'}]}}";
	CLEANUP(str_done) struct str why = { 0 };

	assert_false(fits("{'metadata':{'name':'p'},'spec':{}}", tainted, NULL, &why));
	assert_string_equal(str_cstr(&why), "node(s) had untolerated taint {k: v}");
	assert_true(fits("{'metadata':{'name':'p'},'spec':{'tolerations':[{'key':'k','value':'v','effect':'"
			 "NoSchedule'}]}}",
		tainted, NULL, &why));
	assert_true(fits("{'metadata':{'name':'p'},'spec':{'tolerations':[{'operator':'Exists'}]}}", tainted,
		NULL, &why));
}

static void anti_affinity_keeps_a_second_one_away(void **state)
{
	static const char pod[] = "{'metadata':{'name':'p','namespace':'d','labels':{'a':'b'}},'spec':{'"
				  "affinity':{'podAntiAffinity':"
				  "{'requiredDuringSchedulingIgnoredDuringExecution':[{'labelSelector':{'"
				  "matchLabels':{'a':'b'}},"
				  "'topologyKey':'kubernetes.io/hostname'}]}}}}";
	CLEANUP(str_done) struct str why = { 0 };

	assert_true(fits(pod, node, NULL, &why));
	assert_false(fits(pod, node,
		"{'metadata':{'name':'q','namespace':'d','labels':{'a':'b'}},'spec':{'nodeName':'n1'}}",
		&why));
	assert_string_equal(str_cstr(&why), "node(s) didn't match pod anti-affinity rules");
}

static void a_cordoned_node_takes_nobody(void **state)
{
	CLEANUP(str_done) struct str why = { 0 };

	assert_false(fits("{'metadata':{'name':'p'},'spec':{}}",
		"{'metadata':{'name':'n1'},'spec':{'unschedulable':true}}", NULL, &why));
	assert_string_equal(str_cstr(&why), "node(s) were unschedulable");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_that_asks_for_too_much_is_told_of_what),
		cmocka_unit_test(what_is_bound_counts),
		cmocka_unit_test(a_resize_counts_with_the_larger_amount),
		cmocka_unit_test(selectors_and_affinity_must_match),
		cmocka_unit_test(taints_need_tolerations),
		cmocka_unit_test(anti_affinity_keeps_a_second_one_away),
		cmocka_unit_test(a_cordoned_node_takes_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
