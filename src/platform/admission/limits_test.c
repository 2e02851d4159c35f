/* SPDX-License-Identifier: Apache-2.0 */
/* What LimitRanges and ResourceQuotas make of objects, as pure functions. */
#include "platform/admission/limits.h"

#include "base/mem.h"
#include "base/test_util.h"
#include "platform/admission/quota.h"

static char *usage(const char *plural, const char *object)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(object);
	CLEANUP(amounts_done) struct amounts a = { 0 };
	struct str s = { 0 };

	quota_usage("", plural, json_root(d), &a);
	amounts_text(&a, &s);
	return str_take(&s);
}

static void a_pod_uses_what_its_containers_ask_for(void **state)
{
	CLEANUP(mem_freep)
	char *got =
		usage("pods", "{'spec':{'overhead':{'cpu':'5m'},'containers':["
			      "{'resources':{'requests':{'cpu':'100m','memory':'1Gi'},'limits':{'cpu':1}}},"
			      "{'resources':{'requests':{'cpu':'0.2','example.com/gpu':2}}}],"
			      "'initContainers':[{'resources':{'requests':{'memory':'3Gi'}}},"
			      "{'restartPolicy':'Always','resources':{'requests':{'cpu':'10m'}}}]}}");

	(void)state;
	assert_string_equal(got, "count/pods=1,cpu=315m,limits.cpu=1005m,memory=3Gi,pods=1,requests.cpu=315m,"
				 "requests.example.com/gpu=2,requests.memory=3Gi");
}

static void an_ended_pod_uses_its_entry_only(void **state)
{
	CLEANUP(mem_freep)
	char *got = usage("pods", "{'spec':{'containers':[{'resources':{'requests':{'cpu':1}}}]},"
				  "'status':{'phase':'Failed'}}");

	(void)state;
	assert_string_equal(got, "count/pods=1");
}

static void services_and_claims_use_more_than_a_count(void **state)
{
	CLEANUP(mem_freep)
	char *svc = usage("services", "{'spec':{'type':'LoadBalancer','ports':[{},{}]}}");
	CLEANUP(mem_freep)
	char *pvc = usage("persistentvolumeclaims",
		"{'spec':{'storageClassName':'gold','resources':{'requests':{'storage':'2Gi'}}}}");

	(void)state;
	assert_string_equal(svc, "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2");
	assert_string_equal(pvc, "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/"
				 "persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/"
				 "requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi");
}

static void scopes_choose_pods(void **state)
{
	static const struct {
		const char *spec, *pod;
		bool in;
	} cases[] = {
		{ "{}", "{'spec':{}}", true },
		{ "{'scopes':['BestEffort']}", "{'spec':{'containers':[{}]}}", true },
		{ "{'scopes':['NotBestEffort']}", "{'spec':{'containers':[{}]}}", false },
		{ "{'scopes':['Terminating']}", "{'spec':{'activeDeadlineSeconds':0}}", true },
		{ "{'scopes':['NotTerminating']}", "{'spec':{'activeDeadlineSeconds':1}}", false },
		{ "{'scopeSelector':{'matchExpressions':[{'scopeName':'PriorityClass','operator':'NotIn',"
		  "'values':['a']}]}}",
			"{'spec':{'priorityClassName':'b'}}", true },
		{ "{'scopeSelector':{'matchExpressions':[{'scopeName':'PriorityClass','operator':'Exists'}]}"
		  "}",
			"{'spec':{}}", false },
		{ "{'scopes':['CrossNamespacePodAffinity']}",
			"{'spec':{'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution'"
			":"
			"[{'namespaces':['x']}]}}}}",
			true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_doc_freep) struct json_doc *spec = json_lit(cases[i].spec);
		CLEANUP(json_doc_freep) struct json_doc *pod = json_lit(cases[i].pod);

		if (quota_in_scope(json_root(spec), "", "pods", json_root(pod)) != cases[i].in)
			fail_msg("%s with %s", cases[i].spec, cases[i].pod);
	}
}

static void a_quota_says_whose_objects_count(void **state)
{
	static const char *const names[][3] = { { "count/jobs.batch", "batch", "jobs" },
		{ "limits.cpu", "", "pods" }, { "requests.storage", "", "persistentvolumeclaims" },
		{ "services.nodeports", "", "services" }, { "secrets", "", "secrets" } };
	char *group = NULL, *plural = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_true(quota_subject(names[i][0], &group, &plural));
		assert_string_equal(group, names[i][1]);
		assert_string_equal(plural, names[i][2]);
		free(group);
		free(plural);
	}
	assert_false(quota_subject("nonsense", &group, &plural));
}

static void a_range_fills_in_what_is_open(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *range = json_lit("{'spec':{'limits':[{'type':'Container','max':{'cpu':'2'},'min':{"
					  "'memory':'1Mi'},'default':{'memory':'5Mi'}}]}}");
	CLEANUP(json_doc_freep)
	struct json_doc *pod =
		json_lit("{'spec':{'containers':[{'name':'a','resources':{'limits':{'cpu':'1'}}}]}}");
	CLEANUP(strv_done) struct strv notes = { 0 };
	const struct json *r;

	(void)state;
	limitrange_default(range, json_root(range));
	limits_fill(json_root(range), pod, json_root(pod), &notes);
	r = json_at(json_root(pod), "/spec/containers/0/resources");
	assert_string_equal(json_at_str(r, "/limits/cpu"), "1");
	assert_string_equal(json_at_str(r, "/limits/memory"), "5Mi");
	assert_string_equal(json_at_str(r, "/requests/cpu"), "2");
	assert_string_equal(json_at_str(r, "/requests/memory"), "5Mi");
	assert_int_equal(notes.len, 2);
	assert_string_equal(notes.items[0], "cpu, memory request for container a");
	assert_string_equal(notes.items[1], "memory limit for container a");
}

static void quantities_add_up_exactly(void **state)
{
	struct quantity a, b;
	char buf[QUANTITY_TEXT_MAX];

	(void)state;
	assert_int_equal(quantity_parse("1500m", &a, NULL), 0);
	assert_int_equal(quantity_parse("2", &b, NULL), 0);
	quantity_sub(&a, &b);
	assert_string_equal(quantity_text(&a, buf), "-500m");
	quantity_add(&a, &b);
	assert_string_equal(quantity_text(&a, buf), "1500m");
	a = (struct quantity){ .format = 'd' };
	assert_int_equal(quantity_parse("1Gi", &b, NULL), 0);
	quantity_add(&a, &b);
	assert_string_equal(quantity_text(&a, buf), "1Gi");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_uses_what_its_containers_ask_for),
		cmocka_unit_test(an_ended_pod_uses_its_entry_only),
		cmocka_unit_test(services_and_claims_use_more_than_a_count),
		cmocka_unit_test(scopes_choose_pods),
		cmocka_unit_test(a_quota_says_whose_objects_count),
		cmocka_unit_test(a_range_fills_in_what_is_open),
		cmocka_unit_test(quantities_add_up_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
