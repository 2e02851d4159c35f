/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a difference: rollout.md 2.3, 6.22. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/vm/vm_impl.h"

static void note(void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	str_addf(arg, "%s|", shown);
}

/* The paths that differ, each with "|" behind it. */
static char *paths(const char *a, const char *b)
{
	CLEANUP(json_doc_freep) struct json_doc *x = json_lit(a);
	CLEANUP(json_doc_freep) struct json_doc *y = json_lit(b);
	struct str out = { 0 };

	spec_diff("", json_root(x), json_root(y), note, &out);
	return str_take(&out);
}

static void check(int line, const char *a, const char *b, const char *want)
{
	CLEANUP(mem_freep) char *have = paths(a, b);

	if (strcmp(have, want) != 0)
		fail_msg("line %d: \"%s\", wanted \"%s\"", line, have, want);
}
#define DIFF(a, b, want) check(__LINE__, a, b, want)
#define SAME(a, b) check(__LINE__, a, b, "")

static void null_and_empty_are_the_same(void **state)
{
	SAME("{}", "{'volumes':[],'nodeSelector':{},'hostname':'','affinity':null,'domain':{'devices':{},'"
		   "resources':{}}}");
	SAME("{'domain':{'cpu':{'sockets':0}}}", "{'domain':{'cpu':{}}}");
	/* what is left when their only field is taken out */
	SAME("{}", "{'affinity':{'nodeAffinity':{}},'domain':{'cpu':{},'memory':{},'firmware':{}}}");
	SAME("{}", "{'domain':{'cpu':{'dedicatedCpuPlacement':false},'devices':{'disableHotplug':false}}}");
	DIFF("{}", "{'domain':{'cpu':{'dedicatedCpuPlacement':true}}}", "domain.cpu.dedicatedCpuPlacement|");
	/* an empty object can say something */
	DIFF("{'domain':{'devices':{'interfaces':[{'name':'a','masquerade':{}}]}}}",
		"{'domain':{'devices':{'interfaces':[{'name':'a','bridge':{}}]}}}",
		"domain.devices.interfaces[a].masquerade|domain.devices.interfaces[a].bridge|");
	/* and so can false and zero */
	DIFF("{}", "{'domain':{'devices':{'autoattachGraphicsDevice':false}}}",
		"domain.devices.autoattachGraphicsDevice|");
	DIFF("{}", "{'terminationGracePeriodSeconds':0}", "terminationGracePeriodSeconds|");
}

static void quantities_are_compared_by_value(void **state)
{
	SAME("{'domain':{'memory':{'guest':'1024Mi'}}}", "{'domain':{'memory':{'guest':'1Gi'}}}");
	SAME("{'domain':{'resources':{'requests':{'cpu':'1000m','memory':'1Gi'}}}}",
		"{'domain':{'resources':{'requests':{'memory':1073741824,'cpu':1}}}}");
	DIFF("{'domain':{'resources':{'requests':{'memory':'1Gi'}}}}",
		"{'domain':{'resources':{'requests':{'memory':'1G'}}}}", "domain.resources.requests.memory|");
	/* text that only looks like one is text */
	DIFF("{'hostname':'1024Mi'}", "{'hostname':'1Gi'}", "hostname|");
}

static void items_with_names_are_matched_by_name(void **state)
{
	const char *two = "{'volumes':[{'name':'a','containerDisk':{'image':'x'}},{'name':'b','containerDisk'"
			  ":{'image':'y'}}]}";

	DIFF(two, "{'volumes':[{'name':'b','containerDisk':{'image':'y'}}]}", "volumes[a]|");
	DIFF(two,
		"{'volumes':[{'name':'a','containerDisk':{'image':'z'}},{'name':'b','containerDisk':{'image':"
		"'y'}},{'name':'c','emptyDisk':"
		"{'capacity':'1Gi'}}]}",
		"volumes[a].containerDisk.image|volumes[c]|");
	/* their order counts */
	DIFF(two,
		"{'volumes':[{'name':'b','containerDisk':{'image':'y'}},{'name':'a','containerDisk':{'image':"
		"'x'}}]}",
		"volumes|");
}

static void other_lists_are_matched_by_place(void **state)
{
	DIFF("{'tolerations':[{'key':'a'},{'key':'b'}]}", "{'tolerations':[{'key':'a'},{'key':'c'}]}",
		"tolerations[1].key|");
	DIFF("{'tolerations':[{'key':'a'}]}", "{'tolerations':[{'key':'a'},{'key':'c'}]}", "tolerations|");
	/* the same name twice: names tell nothing */
	DIFF("{'volumes':[{'name':'a'},{'name':'a'}]}", "{'volumes':[{'name':'a'},{'name':'b'}]}",
		"volumes[1].name|");
}

static void what_appears_is_told_field_by_field(void **state)
{
	DIFF("{}", "{'domain':{'memory':{'guest':'1Gi','hugepages':{'pageSize':'2Mi'}}}}",
		"domain.memory.guest|domain.memory.hugepages.pageSize|");
	DIFF("{'domain':{'cpu':{'sockets':1}}}", "{'domain':1}", "domain|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_and_empty_are_the_same),
		cmocka_unit_test(quantities_are_compared_by_value),
		cmocka_unit_test(items_with_names_are_matched_by_name),
		cmocka_unit_test(other_lists_are_matched_by_place),
		cmocka_unit_test(what_appears_is_told_field_by_field),
	};

	return cmocka_run_group_tests_name("spec_diff", tests, NULL, NULL);
}
