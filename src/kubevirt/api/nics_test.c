/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/nics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "api/meta.h"
#include "base/mem.h"

#define UUID "5d307ca9-b3ef-428c-8861-06e72d69f223"
#define VMI(nics, nets, status)                                                                          \
	"{'metadata':{'namespace':'ns','uid':'u'},'spec':{'domain':{'firmware':{'uuid':'" UUID           \
	"'},'devices':{'interfaces':[{'name':'default','masquerade':{}}" nics "]}},'networks':[{'name':" \
	"'default','pod':{}}" nets "]},'status':{'interfaces':[" status "]}}"
#define RED ",{'name':'red','bridge':{},'macAddress':'02-00-00-00-00-0A'}"
#define RED_NET ",{'name':'red','multus':{'networkName':'nad'}}"

/* The networks wanted, with ' for " */
static char *wanted(const char *vmi, const char *pod_networks)
{
	CLEANUP(json_doc_freep) struct json_doc *v = json_lit(vmi), *p = NULL;
	char *text;

	if (pod_networks) {
		CLEANUP(json_doc_freep) struct json_doc *list = json_lit(pod_networks);
		CLEANUP(mem_freep) char *value = json_write(json_root(list), NULL);

		p = json_lit("{'metadata':{}}");
		meta_set_annotation(p, json_root(p), ANN_NETWORKS, value);
	}
	text = nic_networks_wanted(json_root(v), p ? json_root(p) : NULL);
	for (char *c = text; c && *c; c++)
		if (*c == '"')
			*c = '\'';
	return text;
}

static void is_wanted(const char *vmi, const char *pod_networks, const char *want)
{
	CLEANUP(mem_freep) char *text = wanted(vmi, pod_networks);

	if (want)
		assert_string_equal(text ? text : "nothing", want);
	else
		assert_null(text);
}

static void a_pod_asks_for_the_secondary_networks_of_its_instance(void **state)
{
	CLEANUP(mem_freep) char *text = NULL;

	is_wanted(VMI("", "", ""), NULL, NULL);
	is_wanted(VMI(RED, RED_NET, ""), NULL,
		"[{'name':'nad','namespace':'ns','mac':'02:00:00:00:00:0a','interface':'podb1f51a511f1'}]");
	is_wanted(VMI(RED ",{'name':'blue','bridge':{},'state':'absent'}",
			  RED_NET ",{'name':'blue','multus':{'networkName':'other/nad'}}", ""),
		NULL,
		"[{'name':'nad','namespace':'ns','mac':'02:00:00:00:00:0a','interface':'podb1f51a511f1'}]");
	/* an address that nobody asked for is of the VM, not of its start */
	text = wanted(VMI(",{'name':'blue','sriov':{}}",
			      ",{'name':'blue','multus':{'networkName':'other/nad'}}", ""),
		NULL);
	assert_non_null(strstr(text, "{'name':'nad','namespace':'other','mac':'02:"));
}

#define HAS_RED "[{'name':'old','namespace':'ns','mac':'02:00:00:00:00:0b','interface':'podb1f51a511f1'}]"

static void a_pod_that_runs_keeps_what_its_guest_has(void **state)
{
	/* 87: another definition is for the next pod */
	is_wanted(VMI(RED, RED_NET, ""), HAS_RED, HAS_RED);
	/* absent: stays until the guest has let go */
	is_wanted(VMI(",{'name':'red','bridge':{},'state':'absent'}", RED_NET,
			  "{'name':'red','infoSource':'domain, multus-status'}"),
		HAS_RED, HAS_RED);
	is_wanted(VMI(",{'name':'red','bridge':{},'state':'absent'}", RED_NET,
			  "{'name':'red','infoSource':'multus-status'}"),
		HAS_RED, NULL);
	/* a virtual function can not be added to a pod that runs */
	is_wanted(VMI(",{'name':'blue','sriov':{}}", ",{'name':'blue','multus':{'networkName':'n'}}", ""),
		"[]", NULL);
	/* nonsense in the annotation is as nothing */
	is_wanted(VMI(RED, RED_NET, ""), "{}",
		"[{'name':'nad','namespace':'ns','mac':'02:00:00:00:00:0a','interface':'podb1f51a511f1'}]");
}

static void bindings_that_can_be_plugged(void **state)
{
	static const struct {
		const char *nic, *net;
		bool can;
	} rows[] = {
		{ "{'bridge':{}}", "{'multus':{'networkName':'n'}}", true },
		{ "{'sriov':{}}", "{'multus':{'networkName':'n'}}", true },
		{ "{'masquerade':{}}", "{'pod':{}}", false },
		{ "{'bridge':{}}", "{'pod':{}}", false },
		{ "{'bridge':{}}", "{'multus':{'networkName':'n','default':true}}", false },
		{ "{'binding':{'name':'x'}}", "{'multus':{'networkName':'n'}}", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CLEANUP(json_doc_freep)
		struct json_doc *nic = json_lit(rows[i].nic), *net = json_lit(rows[i].net);

		assert_int_equal(nic_can_plug(json_root(nic), json_root(net)), rows[i].can);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_asks_for_the_secondary_networks_of_its_instance),
		cmocka_unit_test(a_pod_that_runs_keeps_what_its_guest_has),
		cmocka_unit_test(bindings_that_can_be_plugged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
