/* SPDX-License-Identifier: Apache-2.0 */
/* Gates and the effective cluster configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/config.h"
#include "kubevirt/api/validate.h"

static struct kv_config config_of(const char *configuration, struct json_doc **keep)
{
	struct kv_config c;
	CLEANUP(mem_freep) char *text = str_printf("{'spec':{'configuration':%s}}", configuration);
	*keep = json_lit(text);
	kv_config_from(json_root(*keep), &c);
	return c;
}

#define CONFIG(c, text)                                          \
	CLEANUP(json_doc_freep) struct json_doc *c##_doc = NULL; \
	struct kv_config c = config_of(text, &c##_doc)

/* decision 1; rollout.md 6.3 the other way round */
static void unset_strategy_is_stage(void **s)
{
	struct kv_config none;
	kv_config_from(NULL, &none);
	assert_int_equal(none.rollout, ROLLOUT_STAGE);
	CONFIG(empty, "{}");
	assert_int_equal(empty.rollout, ROLLOUT_STAGE);
	CONFIG(null, "{'vmRolloutStrategy':null}");
	assert_int_equal(null.rollout, ROLLOUT_STAGE);
	CONFIG(live, "{'vmRolloutStrategy':'LiveUpdate'}");
	assert_int_equal(live.rollout, ROLLOUT_LIVE_UPDATE);
	CONFIG(stage, "{'vmRolloutStrategy':'Stage'}");
	assert_int_equal(stage.rollout, ROLLOUT_STAGE);
}

/* decision 2 */
static void live_update_gate_switched_off_holds_stage(void **s)
{
	CONFIG(off, "{'vmRolloutStrategy':'LiveUpdate','developerConfiguration':{'disabledFeatureGates':['"
		    "VMLiveUpdateFeatures']}}");
	assert_int_equal(off.rollout, ROLLOUT_STAGE);
	CONFIG(on, "{'vmRolloutStrategy':'LiveUpdate','developerConfiguration':{'featureGates':['"
		   "VMLiveUpdateFeatures']}}");
	assert_int_equal(on.rollout, ROLLOUT_LIVE_UPDATE);
}

/* kubevirt-api.md 0: GA > featureGates > disabledFeatureGates > stage; decisions 11, 20 */
static void gates_follow_their_stage(void **s)
{
	CONFIG(dflt, "{}");
	assert_true(gate_on(&dflt.gates, GATE_IN_PLACE_HOTPLUG));
	assert_false(gate_on(&dflt.gates, GATE_CPU_HOT_UNPLUG));
	assert_true(gate_on(&dflt.gates, GATE_LIVE_MIGRATION));
	assert_true(gate_on(&dflt.gates, GATE_IMAGE_VOLUME));
	CONFIG(set, "{'developerConfiguration':{'featureGates':['CPUHotUnplug','ImageVolume','NoSuchGate'],"
		    "'disabledFeatureGates':['InPlaceHotplug','LiveMigration','ImageVolume']}}");
	assert_false(gate_on(&set.gates, GATE_IN_PLACE_HOTPLUG));
	assert_true(gate_on(&set.gates, GATE_CPU_HOT_UNPLUG));
	assert_true(gate_on(&set.gates, GATE_LIVE_MIGRATION));
	assert_true(gate_on(&set.gates, GATE_IMAGE_VOLUME));
}

/* rollout.md 1.1: zero and {} mean not set */
static void zero_values_do_not_override(void **s)
{
	CONFIG(c, "{'liveUpdateConfiguration':{'maxHotplugRatio':0,'maxCpuSockets':0,'maxGuest':'0'}}");
	assert_int_equal(c.max_hotplug_ratio, 4);
	assert_int_equal(c.max_cpu_sockets, 0);
	assert_int_equal(c.max_guest, 0);
	CONFIG(set, "{'liveUpdateConfiguration':{'maxHotplugRatio':2,'maxCpuSockets':10,'maxGuest':'8Gi'}}");
	assert_int_equal(set.max_hotplug_ratio, 2);
	assert_int_equal(set.max_cpu_sockets, 10);
	assert_int_equal(set.max_guest, 8LL << 30);
}

/* decision 3 */
static void both_batch_spellings_count_and_the_apis_wins(void **s)
{
	struct kv_config c;
	CLEANUP(json_doc_freep)
	struct json_doc *guide = json_lit("{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['"
					  "Evict'],'batchEvictSize':3,'batchEvictInterval':'2m'}}}");
	kv_config_from(json_root(guide), &c);
	assert_int_equal(c.eviction_batch_size, 3);
	assert_int_equal(c.eviction_batch_interval_ms, 120000);
	assert_int_equal(c.workload_methods, KV_UPDATE_EVICT);
	CLEANUP(json_doc_freep)
	struct json_doc *both = json_lit("{'spec':{'workloadUpdateStrategy':{'batchEvictSize':3,'"
					 "batchEvictionSize':7,'batchEvictionInterval':'30s',"
					 "'batchEvictInterval':'2m'}}}");
	kv_config_from(json_root(both), &c);
	assert_int_equal(c.eviction_batch_size, 7);
	assert_int_equal(c.eviction_batch_interval_ms, 30000);
	struct strv w = { 0 };
	kubevirt_warnings(json_root(guide), NULL, &w);
	assert_int_equal(w.len, 2);
	assert_non_null(strstr(w.items[0], "batchEvictionSize"));
	strv_done(&w);
}

/* rollout.md 6.5, decision 2: one warning when it is newly listed, none when it stays */
static void listing_a_settled_gate_warns_once(void **s)
{
	CLEANUP(json_doc_freep) struct json_doc *before = json_lit("{'spec':{}}");
	CLEANUP(json_doc_freep)
	struct json_doc *after = json_lit("{'spec':{'configuration':{'developerConfiguration':{'featureGates'"
					  ":['VMLiveUpdateFeatures']}}}}");
	struct strv w = { 0 };
	kubevirt_warnings(json_root(after), json_root(before), &w);
	assert_int_equal(w.len, 1);
	assert_non_null(strstr(w.items[0], "VMLiveUpdateFeatures"));
	kubevirt_warnings(json_root(after), json_root(after), &w);
	assert_int_equal(w.len, 1);
	strv_done(&w);
}

/* rollout.md 1.3, decision 2 */
static void disabling_a_gate_may_draw_a_warning(void **s)
{
	static const struct {
		const char *gate, *text;
	} rows[] = {
		{ "VMLiveUpdateFeatures", "vmRolloutStrategy is ignored" },
		{ "LiveMigration", "can not be disabled" },
		{ "InPlaceHotplug", NULL },
		{ "NoSuchGate", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *text = str_printf("{'spec':{'configuration':{'developerConfiguration':{"
					"'disabledFeatureGates':['%s']}}}}",
			rows[i].gate);
		CLEANUP(json_doc_freep) struct json_doc *kv = json_lit(text);
		struct strv w = { 0 };

		kubevirt_warnings(json_root(kv), NULL, &w);
		assert_int_equal(w.len, rows[i].text != NULL);
		if (w.len)
			assert_non_null(strstr(w.items[0], rows[i].text));
		strv_done(&w);
		kubevirt_warnings(json_root(kv), json_root(kv), &w);
		assert_int_equal(w.len, 0);
		strv_done(&w);
	}
}

/* kubevirt-api.md 12.2: whole MiB per second, at least one */
static void bandwidth_is_rounded_to_mebibytes(void **s)
{
	CONFIG(little, "{'migrations':{'bandwidthPerMigration':'1Ki'}}");
	assert_int_equal(little.migrations.bandwidth_bytes, 1 << 20);
	CONFIG(more, "{'migrations':{'bandwidthPerMigration':'2200Ki','parallelMigrationsPerCluster':2}}");
	assert_int_equal(more.migrations.bandwidth_bytes, 2 << 20);
	assert_int_equal(more.migrations.parallel_per_cluster, 2);
	assert_int_equal(more.migrations.completion_timeout_gib, 150);
	CONFIG(none, "{}");
	assert_int_equal(none.migrations.bandwidth_bytes, 0);
}

static void machine_types_are_matched_by_pattern(void **s)
{
	CONFIG(c, "{}");
	struct str allowed = { 0 };
	assert_true(kv_machine_allowed(&c, KV_ARCH_AMD64, "pc-q35-7.2", NULL));
	assert_false(kv_machine_allowed(&c, KV_ARCH_AMD64, "pc-i440fx", &allowed));
	assert_string_equal(str_cstr(&allowed), "[q35* pc-q35*]");
	str_done(&allowed);
	CONFIG(own, "{'architectureConfiguration':{'amd64':{'emulatedMachines':['pc*']}}}");
	assert_true(kv_machine_allowed(&own, KV_ARCH_AMD64, "pc-i440fx", NULL));
	assert_false(kv_machine_allowed(&own, KV_ARCH_AMD64, "q35", NULL));
}

static void refused(const char *kv, const char *what)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(kv);
	struct causes causes = { 0 };
	kubevirt_validate(json_root(d), json_root(d), 1, &causes);
	assert_int_equal(causes.len, what ? 1 : 0);
	if (what && !strstr(causes.items[0].message, what))
		fail_msg("%s", causes.items[0].message);
	causes_done(&causes);
}

/* operator.md 1.6, rollout.md 1.3 */
static void bad_configurations_are_refused(void **s)
{
	refused("{'spec':{}}", NULL);
	refused("{'spec':{'configuration':{'developerConfiguration':{'featureGates':['A'],'"
		"disabledFeatureGates':['A']}}}}",
		"both enabled and disabled");
	refused("{'spec':{'customizeComponents':{'patches':[{'patch':'{'}]}}}", "not valid JSON");
	refused("{'spec':{'infra':{'replicas':0}}}", "can't be 0");
	refused("{'spec':{'certificateRotateStrategy':{'selfSigned':{'ca':{'duration':'1h'},'server':{'"
		"duration':'2h'}}}}}",
		"server.duration exceeds ca.duration");
	refused("{'spec':{'certificateRotateStrategy':{'selfSigned':{'ca':{'renewBefore':'200h'}}}}}",
		"ca.renewBefore");
	refused("{'spec':{'workloadUpdateStrategy':{'batchEvictionInterval':'soon'}}}", "not a duration");
	refused("{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['Pray']}}}",
		"unknown workload update method");

	struct causes causes = { 0 };
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'spec':{'uninstallStrategy':'BlockUninstallIfWorkloadsExist'}}");
	kubevirt_validate(json_root(d), NULL, 1, &causes);
	assert_string_equal(causes.items[0].message, "Kubevirt is already created");
	kubevirt_validate_delete(json_root(d), 0, &causes);
	assert_int_equal(causes.len, 1);
	kubevirt_validate_delete(json_root(d), 2, &causes);
	assert_int_equal(causes.len, 2);
	causes_done(&causes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unset_strategy_is_stage),
		cmocka_unit_test(live_update_gate_switched_off_holds_stage),
		cmocka_unit_test(gates_follow_their_stage),
		cmocka_unit_test(zero_values_do_not_override),
		cmocka_unit_test(both_batch_spellings_count_and_the_apis_wins),
		cmocka_unit_test(listing_a_settled_gate_warns_once),
		cmocka_unit_test(disabling_a_gate_may_draw_a_warning),
		cmocka_unit_test(bandwidth_is_rounded_to_mebibytes),
		cmocka_unit_test(machine_types_are_matched_by_pattern),
		cmocka_unit_test(bad_configurations_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
