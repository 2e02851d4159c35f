/* SPDX-License-Identifier: Apache-2.0 */
/* What virt-controller counts: rollout.md 5.1, 3.1, 6.46. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/instancetype/test_lookup.h"
#include "kubevirt/vmi/fleet.h"

static bool is_outdated(const char *meta, const char *status)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'metadata':{'name':'a'%s},'status':{'phase':'Running'%s}}", meta, status);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);

	return fleet_outdated(json_root(d));
}

#define COND(type, status) ",'conditions':[{'type':'" type "','status':'" status "'}]"

static void what_is_outdated(void **state)
{
	assert_false(is_outdated("", ""));
	assert_true(is_outdated(",'labels':{'kubevirt.io/outdatedLauncherImage':''}", ""));
	/* 6.46: without any way of updating, the condition stays and is counted */
	assert_true(is_outdated("", COND("HotVCPUChange", "True")));
	assert_true(is_outdated("", COND("HotVCPUChange", "False")));
	assert_true(is_outdated("", COND("HotMemoryChange", "True")));
	assert_false(is_outdated("", COND("HotMemoryChange", "False")));
	assert_true(is_outdated("", COND("MigrationRequired", "True")));
	assert_true(is_outdated("", COND("VolumesChange", "True")));
	assert_false(is_outdated("", COND("LiveMigratable", "True")));
	/* one that goes, one that does not run, one that moves already, one that is told not to */
	assert_false(
		is_outdated(",'deletionTimestamp':'2026-01-01T00:00:00Z'", COND("HotVCPUChange", "True")));
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'status':{'phase':'Scheduled'" COND("HotVCPUChange", "True") "}}");
	assert_false(fleet_outdated(json_root(d)));
	assert_false(is_outdated("",
		",'migrationState':{'startTimestamp':'2026-01-01T00:00:00Z'}" COND("HotVCPUChange", "True")));
	assert_false(is_outdated(",'annotations':{'kubevirt.io/testWorkloadUpdateMigrationAbortion':''}",
		COND("HotVCPUChange", "True")));
}

static void take(struct fleet_list *l, const char *text)
{
	size_t cap = l->n;

	l->items = mem_grow(l->items, &cap, l->n + 1, sizeof(l->items[0]));
	l->items[l->n++] = obj_from_doc(json_lit(text));
}

static void drop(struct fleet_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		obj_unref((struct obj *)l->items[i]);
	free(l->items);
}

static void all_families(void **state)
{
	struct kv_config c;
	struct fleet f = { .config = &c };
	CLEANUP(str_done) struct str out = { 0 };
	static const char *const lines[] = {
		"kubevirt_vmi_number_of_outdated 1",
		"kubevirt_vmi_phase_count{phase=\"running\"} 1",
		"kubevirt_vmi_migrations_in_unset_phase 1",
		"kubevirt_vmi_migrations_in_pending_phase 1",
		"kubevirt_vmi_migrations_in_scheduling_phase 0",
		"kubevirt_vmi_migrations_in_running_phase 2",
		"kubevirt_vmi_migration_succeeded{vmi=\"b\",vmim=\"m5\",namespace=\"n\"} 1",
		"kubevirt_vmi_migration_failed{vmi=\"b\",vmim=\"m6\",namespace=\"n\"} 1",
		/* the template, and what the instance is to have by now */
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"memory\",unit=\"bytes\","
		"source=\"guest\"} 1073741824",
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"memory\",unit=\"bytes\","
		"source=\"domain\"} 536870912",
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"memory\",unit=\"bytes\","
		"source=\"guest_effective\"} 2147483648",
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"cpu\",unit=\"sockets\","
		"source=\"domain\"} 2",
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"cpu\",unit=\"cores\","
		"source=\"requests\"} 0.250",
		"kubevirt_vm_resource_requests{name=\"b\",namespace=\"n\",resource=\"cpu\",unit=\"cores\","
		"source=\"guest_effective\"} 4",
		"kubevirt_vm_resource_limits{name=\"b\",namespace=\"n\",resource=\"memory\",unit=\"bytes\"} "
		"4294967296",
		"kubevirt_vm_resource_limits{name=\"b\",namespace=\"n\",resource=\"cpu\",unit=\"cores\"} 2",
		/* a VM that says nothing and does not run */
		"kubevirt_vm_resource_requests{name=\"a\",namespace=\"n\",resource=\"cpu\",unit=\"sockets\","
		"source=\"default\"} 1",
		"kubevirt_vm_resource_requests{name=\"a\",namespace=\"n\",resource=\"memory\",unit=\"bytes\","
		"source=\"guest_effective\"} 1048576",
		"kubevirt_vmi_launcher_memory_overhead_bytes{namespace=\"n\",name=\"b\"} 302000000",
	};

	kv_config_from(NULL, &c);
	take(&f.vms,
		"{'metadata':{'name':'a','namespace':'n'},'spec':{'template':{'spec':{'domain':{'resources'"
		":{'requests':{'memory':'1Mi'}}}}}}}");
	take(&f.vms, "{'metadata':{'name':'b','namespace':'n'},'spec':{'template':{'spec':{'domain':{'cpu':{"
		     "'sockets':2},'memory':{'guest':'1Gi'},'resources':{'requests':{'memory':'512Mi','cpu':"
		     "'250m'},'limits':{'memory':'4Gi','cpu':2}}}}}}}");
	take(&f.vmis,
		"{'metadata':{'name':'b','namespace':'n','labels':{'kubevirt.io/outdatedLauncherImage':''"
		"}},'spec':{'domain':{'cpu':{'sockets':4},'memory':{'guest':'2Gi'}}},'status':{'phase':"
		"'Running','memory':{'memoryOverhead':'302M'}}}");
	static const char *const phases[] = { "", "Pending", "Running", "TargetReady", "Succeeded",
		"Failed" };
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		CLEANUP(mem_freep)
		char *text = str_printf("{'metadata':{'name':'m%zu','namespace':'n'},'spec':{'vmiName':'b'},"
					"'status':{'phase':'%s'}}",
			i + 1, phases[i]);
		take(&f.migrations, text);
	}
	fleet_metrics(&f, &out);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		CLEANUP(mem_freep) char *line = str_printf("\n%s\n", lines[i]);
		if (!strstr(out.data, line))
			fail_msg("no %s in\n%s", lines[i], out.data);
	}
	/* a VM that gives no limits has none */
	assert_null(strstr(out.data, "kubevirt_vm_resource_limits{name=\"a\""));
	drop(&f.vms);
	drop(&f.vmis);
	drop(&f.migrations);
}

static void instance_types_count(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *types =
		json_lit("[{'kind':'VirtualMachineClusterInstancetype','metadata':{'name':'large'},"
			 "'spec':{'cpu':{'guest':2},'memory':{'guest':'2Gi'}}}]");
	struct it_lookup lookup = test_lookup(types);
	struct kv_config c;
	struct fleet f = { .config = &c, .types = &lookup };
	CLEANUP(str_done) struct str out = { 0 };

	kv_config_from(NULL, &c);
	take(&f.vms, "{'metadata':{'name':'a','namespace':'n'},'spec':{'instancetype':{'name':'large'},'"
		     "template':{"
		     "'spec':{'domain':{'devices':{}}}}}}");
	take(&f.vms,
		"{'metadata':{'name':'b','namespace':'n'},'spec':{'instancetype':{'name':'gone'},'template':{"
		"'spec':{'domain':{'devices':{}}}}}}");
	fleet_metrics(&f, &out);
	assert_non_null(strstr(out.data,
		"{name=\"a\",namespace=\"n\",resource=\"memory\",unit=\"bytes\",source=\"guest\"} "
		"2147483648\n"));
	assert_non_null(strstr(out.data,
		"{name=\"a\",namespace=\"n\",resource=\"cpu\",unit=\"sockets\",source=\"domain\"} "
		"2\n"));
	assert_non_null(
		strstr(out.data, "{name=\"b\",namespace=\"n\",resource=\"cpu\",unit=\"sockets\",source="
				 "\"default\"} 1\n"));
	drop(&f.vms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_outdated),
		cmocka_unit_test(all_families),
		cmocka_unit_test(instance_types_count),
	};

	return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
