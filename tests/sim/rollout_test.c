/* SPDX-License-Identifier: Apache-2.0 */
/* rollout.md 6, one by one, in the simulated world: numbers in comments are those of its list; "decision" is decisions.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"
#include "world.h"

#define T1 "a non-live-updatable field was changed in the template spec"
#define STAGE "{'spec':{'configuration':{'vmRolloutStrategy':'Stage'}}}"
#define LIVE "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}"
#define NO_GATE \
	"{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':['InPlaceHotplug']}}}}"
#define MIGRATE "{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}"
#define SOON 2000

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);

	world_init(w, 1, true);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	assert_string_equal(str_cstr(&w->broken), "");
	world_done(w);
	free(w);
	return 0;
}

/* ---- shorthands; the VM is v0 ---- */
static void run_vm(struct world *w, const char *memory)
{
	user_vm(w, "v0", "Always", memory);
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

/* domain: members beside devices; spec: members of the VMI spec beside it, with a comma in front. */
static void run_special(struct world *w, const char *domain, const char *spec)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'apiVersion':'kubevirt.io/"
		"v1','kind':'VirtualMachine','metadata':{'name':'v0'},'spec':{'runStrategy':'Always',"
		"'template':{'spec':{'domain':{'devices':{},%s}%s}}}}",
		domain, spec);
	struct err e = { 0 };

	if (user_create(w, &kind_vm, text, &e) < 0)
		fail_msg("%s", e.msg);
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static void edit(struct world *w, const char *template_spec)
{
	CLEANUP(mem_freep) char *text = str_printf("{'spec':{'template':{'spec':%s}}}", template_spec);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

static void memory(struct world *w, const char *size)
{
	user_memory(w, "v0", size);
	world_run(w, SOON);
}

static void restart(struct world *w)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'status':{'stateChangeRequests':[{'action':'Stop','uid':'%s'},{'action':'Start'}]}}",
		meta_str(world_vmi(w, "v0"), "uid"));

	assert_int_equal(user_merge(w, &kind_vm, "v0", "status", text), 0);
	world_run(w, 10000);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static const char *condition(struct world *w, const char *type, const char *field)
{
	return json_get_str(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type), field);
}

static const char *rr(struct world *w)
{
	return condition(w, COND_RESTART_REQUIRED, "message");
}

#define assert_rr(w, text) assert_non_null_text(rr(w), text, __LINE__)
static void assert_non_null_text(const char *have, const char *want, int line)
{
	if (!have || !strstr(have, want))
		fail_msg(
			"line %d: \"%s\" is not in \"%s\"", line, want, have ? have : "(no RestartRequired)");
}
#define assert_no_rr(w)                                                    \
	do {                                                               \
		if (rr(w))                                                 \
			fail_msg("unexpected RestartRequired: %s", rr(w)); \
	} while (0)

static const char *vmi_text(struct world *w, const char *at)
{
	return json_str_or(json_at(world_vmi(w, "v0"), at), "(none)");
}
#define assert_vmi(w, at, text) assert_string_equal(vmi_text(w, at), text)

static struct guest *guest(struct world *w)
{
	return world_guest(w, meta_str(world_vmi(w, "v0"), "uid"));
}

static const struct obj *pod(struct world *w)
{
	return fake_api_at(w->api, &kind_pod, 0);
}

static const char *pod_memory(struct world *w, const char *which)
{
	const struct json *c = compute_in(json_at(obj_json(pod(w)), "/spec/containers"), NULL);

	return json_str_or(json_at(json_get(json_get(c, "resources"), which), "/memory"), "(none)");
}

static size_t events(struct world *w, const char *reason)
{
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_event, i)); i++)
		n += str_eq(json_get_str(obj_json(o), "reason"), reason);
	return n;
}

static void put_migration(struct world *w, const char *state)
{
	struct json_doc *d = obj_draft(fake_api_get(w->api, &kind_vmi, "default/v0"));
	CLEANUP(json_doc_freep) struct json_doc *m = json_lit(state);

	json_put(d, json_root(d), "/status/migrationState", json_copy(d, json_root(m)));
	fake_api_put(w->api, &kind_vmi, d);
	world_run(w, SOON);
}

/* ---- the comparison ---- */
/* 2; decisions 1, 7 */
static void under_stage_an_edit_waits(void **state)
{
	struct world *w = *state;

	user_config(
		w, "{'spec':{'configuration':{'vmRolloutStrategy':null}}}"); /* decision 1: unset is Stage */
	run_vm(w, "4Gi");
	memory(w, "6Gi");
	assert_rr(w,
		"memory updated in template spec: spec.template.spec.domain.memory.guest \"4Gi\" -> \"6Gi\"");
	assert_vmi(w, "/spec/domain/memory/guest", "4Gi");
	assert_int_equal(guest(w)->memory, 4 * GI);
	assert_int_equal(events(w, "RestartRequired"), 1);
	memory(w, "4Gi");
	assert_no_rr(w);
	assert_int_equal(events(w, "RestartNotRequired"), 1);
}

/* decision 4: labels are part of the template; 13: under LiveUpdate they neither count nor reach the instance */
static void template_labels_count_under_stage_only(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	user_merge(w, &kind_vm, "v0", NULL, "{'spec':{'template':{'metadata':{'labels':{'app':'y'}}}}}");
	world_run(w, SOON);
	assert_no_rr(w);
	assert_string_equal(meta_label(world_vmi(w, "v0"), "app"), "x");
	user_config(w, STAGE);
	world_run(w, SOON);
	assert_rr(w, "spec.template.metadata.labels");
}

/* 6, 7, 8, 9 */
static void a_staged_edit_is_cleared_by_revert_or_restart(void **state)
{
	struct world *w = *state;
	const char *since;
	CLEANUP(mem_freep) char *before = NULL;

	run_vm(w, "1Gi");
	edit(w, "{'hostname':'b'}");
	assert_rr(w, T1 ": spec.template.spec.hostname \"a\" -> \"b\"");
	assert_vmi(w, "/spec/hostname", "a");
	edit(w, "{'hostname':'a'}");
	assert_no_rr(w);

	edit(w, "{'hostname':'b'}");
	before = mem_strdup(condition(w, COND_RESTART_REQUIRED, "lastTransitionTime"));
	/* 12: another one joins, the time stands */
	edit(w, "{'terminationGracePeriodSeconds':5}");
	since = condition(w, COND_RESTART_REQUIRED, "lastTransitionTime");
	assert_string_equal(since, before);
	assert_rr(w, T1);
	assert_rr(w, "spec.template.spec.hostname \"a\" -> \"b\"");
	assert_rr(w, "spec.template.spec.terminationGracePeriodSeconds (none) -> 5");
	restart(w);
	assert_no_rr(w);
	assert_vmi(w, "/spec/hostname", "b");
}

/* decision 7: capped */
static void a_long_list_is_cut(void **state)
{
	struct world *w = *state;
	struct str text = { 0 };

	run_vm(w, "1Gi");
	str_add(&text, "{'terminationGracePeriodSeconds':1,'schedulerName':'s','priorityClassName':'p','"
		       "domain':{'chassis':{"
		       "'version':'b','serial':'c','asset':'d','sku':'e','manufacturer':'");
	for (int i = 0; i < 300; i++)
		str_addc(&text, 'x');
	str_add(&text, "'},'ioThreadsPolicy':'auto','clock':{'timezone':'UTC','timer':{'hpet':{'present':"
		       "true},'pit':{'present':true}}}}}");
	edit(w, str_cstr(&text));
	assert_rr(w, T1 ": spec.template.spec.");
	assert_rr(w, "xxx...");
	assert_rr(w, "; and 2 more");
	assert_true(strlen(rr(w)) <= 1100);
	str_done(&text);
}

/* 10, decision 6 */
static void what_is_staged_blocks_what_is_live(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	edit(w, "{'hostname':'b'}");
	memory(w, "2Gi");
	edit(w, "{'nodeSelector':{'zone':'a'}}");
	assert_rr(w, T1 ": spec.template.spec.hostname \"a\" -> \"b\"; ");
	assert_rr(w, "spec.template.spec.domain.memory.guest \"1Gi\" -> \"2Gi\"");
	assert_rr(w, "spec.template.spec.nodeSelector.zone (none) -> \"a\"");
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	assert_vmi(w, "/spec/nodeSelector/zone", "(none)");
	edit(w, "{'hostname':'a'}");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_vmi(w, "/spec/nodeSelector/zone", "a");
}

/* 17, 19, 20 */
static void a_start_leaves_a_revision(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *first = NULL;
	CLEANUP(mem_freep) char *second = NULL;

	run_vm(w, "1Gi");
	first = str_printf("revision-start-vm-%s-1", meta_str(world_vm(w, "v0"), "uid"));
	assert_string_equal(obj_name(fake_api_at(w->api, &kind_controllerrevision, 0)), first);
	assert_vmi(w, "/status/virtualMachineRevisionName", first);
	restart(w); /* the same generation: the same revision */
	assert_int_equal(fake_api_len(w->api, &kind_controllerrevision), 1);

	user_merge(w, &kind_vm, "v0", NULL, "{'spec':{'runStrategy':'RerunOnFailure'}}");
	world_run(w, SOON);
	assert_no_rr(w);
	assert_string_equal(meta_annotation(world_vmi(w, "v0"), ANN_VM_GENERATION), "2");
	assert_int_equal(json_i64(json_at(world_vm(w, "v0"), "/status/observedGeneration")), 2);

	memory(w, "2Gi"); /* live: the revision goes on describing the boot */
	assert_int_equal(json_i64(json_at(world_vm(w, "v0"), "/status/observedGeneration")), 2);
	assert_int_equal(json_i64(json_at(world_vm(w, "v0"), "/status/desiredGeneration")), 3);
	/* which is nothing that those who wait for a condition should wait for */
	JSON_EACH (it, json_at(world_vm(w, "v0"), "/status/conditions"))
		assert_int_equal(json_i64(json_get(it.val, "observedGeneration")), 3);
	restart(w);
	second = str_printf("revision-start-vm-%s-3", meta_str(world_vm(w, "v0"), "uid"));
	assert_int_equal(fake_api_len(w->api, &kind_controllerrevision), 1);
	assert_string_equal(obj_name(fake_api_at(w->api, &kind_controllerrevision, 0)), second);
	assert_int_equal(guest(w)->boot, 2 * GI);
}

/* 11 as decision 6 has it: what waits for a restart holds everything back, whatever the reason */
static void sockets_that_wait_hold_tolerations_back(void **state)
{
	struct world *w = *state;

	run_special(w, "'memory':{'guest':'1Gi'},'cpu':{'sockets':2}", "");
	edit(w, "{'domain':{'cpu':{'sockets':9}}}"); /* H1 */
	edit(w, "{'tolerations':[{'key':'k','operator':'Exists'}]}");
	assert_rr(w, "CPU sockets updated in template spec to a value higher than what's available: "
		     "spec.template.spec.domain.cpu.sockets 2 -> 9; spec.template.spec.tolerations");
	assert_int_equal(json_len(json_at(world_vmi(w, "v0"), "/spec/tolerations")), 0);
	/* nor is it a failure that the one would have to wait for a migration besides */
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z'}");
	assert_null(condition(w, COND_FAILURE, "reason"));
	edit(w, "{'domain':{'cpu':{'sockets':2}}}");
	assert_no_rr(w);
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "TolerationsChangeError");
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z','endTimestamp':'2023-11-14T22:13:50Z'}");
	assert_vmi(w, "/spec/tolerations/0/key", "k");
}

/* 1 and 3 as decision 1 has them; 4 */
static void the_strategy_is_one_of_two(void **state)
{
	struct world *w = *state;

	user_config(w, "{'spec':{'configuration':{'vmRolloutStrategy':null}}}");
	run_special(w, "'memory':{'guest':'1Gi'},'cpu':{'sockets':2,'maxSockets':8}", "");
	edit(w, "{'domain':{'cpu':{'sockets':4}}}");
	assert_rr(w, "spec.template.spec.domain.cpu.sockets 2 -> 4");
	assert_int_equal(json_i64(json_at(world_vmi(w, "v0"), "/spec/domain/cpu/sockets")), 2);
	assert_int_equal(user_config(w, "{'spec':{'configuration':{'vmRolloutStrategy':'Foo'}}}"), -1);
	user_config(w, LIVE);
	world_run(w, SOON);
	assert_no_rr(w);
	assert_int_equal(json_i64(json_at(world_vmi(w, "v0"), "/spec/domain/cpu/sockets")), 4);
}

/* 21 */
static void conditions_are_mirrored_but_those_of_the_instance(void **state)
{
	struct world *w = *state;
	struct json_doc *d;

	run_vm(w, "1Gi");
	d = obj_draft(fake_api_get(w->api, &kind_vmi, "default/v0"));
	cond_set(d, json_get(json_root(d), "status"), COND_FAILURE, "True", "X", NULL, 0);
	cond_set(d, json_get(json_root(d), "status"), COND_RESTART_REQUIRED, "True", "X", NULL, 0);
	fake_api_put(w->api, &kind_vmi, d);
	guest(w)->paused = true;
	world_run(w, SOON);
	assert_string_equal(condition(w, COND_PAUSED, "status"), "True");
	assert_null(condition(w, COND_FAILURE, "status"));
	assert_null(condition(w, COND_RESTART_REQUIRED, "status"));
	assert_string_equal(json_at_str(world_vm(w, "v0"), "/status/printableStatus"), "Paused");
	/* a paused guest is not ready, by the pod's gate */
	assert_string_equal(condition(w, COND_READY, "status"), "False");
}

/* 22 */
static void quantities_count_by_value(void **state)
{
	struct world *w = *state;
	uint64_t vmi_rv;

	run_vm(w, "1024Mi");
	vmi_rv = obj_rv(fake_api_get(w->api, &kind_vmi, "default/v0"));
	memory(w, "1Gi");
	assert_no_rr(w);
	assert_int_equal(guest(w)->set_memory_calls, 0);
	assert_string_equal(vmi_text(w, "/spec/domain/memory/guest"), "1Gi");
	(void)vmi_rv;
}

/* ---- memory ---- */
/* 49, 63, 70; handoff.h */
static void memory_grows_in_place_and_shrinks_to_its_start(void **state)
{
	struct world *w = *state;
	uint64_t writes;

	run_vm(w, "1Gi");
	assert_vmi(w, "/spec/domain/memory/maxGuest", "4Gi");
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	writes = fake_api_writes(w->api);
	memory(w, "2Gi");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_int_equal(guest(w)->boot, GI);
	assert_int_equal(guest(w)->set_memory_calls, 1); /* 55: once is enough */
	assert_int_equal(events(w, "LiveUpdate"), 1);
	assert_int_equal(events(w, "MemoryUpdated"), 1);
	assert_vmi(w, "/status/memory/guestRequested", "2Gi");
	assert_null(vmi_cond(world_vmi(w, "v0"), COND_HOT_MEMORY));
	assert_string_equal(pod_memory(w, "requests"), "2336Mi");
	/* VMI spec, HotMemoryChange, resize, its end, the VM's status twice; the person's; two events */
	assert_in_range(fake_api_writes(w->api) - writes, 7, 6 + 1 + 2);
	/* 57: boot 1Gi, now 2Gi, set to 1536Mi */
	memory(w, "1536Mi");
	assert_int_equal(guest(w)->memory, 3 * GI / 2);
	assert_string_equal(pod_memory(w, "requests"), "1824Mi");
	memory(w, "1Gi");
	assert_int_equal(guest(w)->memory, GI);
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	assert_no_rr(w);
	assert_int_equal(w->pods_made, 1);
}

/* 54 */
static void requests_and_limits_follow_the_guest(void **state)
{
	struct world *w = *state;

	run_special(w,
		"'memory':{'guest':'1Gi'},'resources':{'requests':{'memory':'1Gi'},'limits':{'memory':'4Gi'}"
		"}",
		"");
	memory(w, "2Gi");
	assert_vmi(w, "/spec/domain/resources/requests/memory", "2Gi");
	assert_vmi(w, "/spec/domain/resources/limits/memory", "5Gi");
	assert_int_equal(guest(w)->memory, 2 * GI);
	memory(w, "1Gi"); /* and back to where it began */
	assert_vmi(w, "/spec/domain/resources/requests/memory", "1Gi");
	assert_vmi(w, "/spec/domain/resources/limits/memory", "4Gi");
}

/* rollout.md 3.3, 1.: an overcommitted request jumps to the guest's size and leaves the limit alone */
static void an_overcommitted_request_jumps(void **state)
{
	struct world *w = *state;

	run_special(w,
		"'memory':{'guest':'1Gi'},'resources':{'requests':{'memory':'512Mi'},'limits':{'memory':'4Gi'"
		"}}",
		"");
	memory(w, "2Gi");
	assert_vmi(w, "/spec/domain/resources/requests/memory", "2Gi");
	assert_vmi(w, "/spec/domain/resources/limits/memory", "4Gi");
}

/* 56 (H8), 58 (H9, shadowed by H7), 60 (H7) */
static void memory_that_can_not_go_live_is_staged_with_its_reason(void **state)
{
	struct world *w = *state;

	run_vm(w, "2Gi");
	memory(w, "1Gi");
	assert_rr(w, "memory updated in template spec to a value lower than what the VM started with: "
		     "spec.template.spec.domain.memory.guest \"2Gi\" -> \"1Gi\"");
	memory(w, "16Gi");
	assert_rr(w,
		"memory hotplug not supported, Guest memory is greater than the configured maxGuest memory");
	memory(w, "3001Mi");
	assert_rr(w, "memory hotplug not supported, Guest memory must be 2Mi aligned");
	assert_vmi(w, "/spec/domain/memory/guest", "2Gi");
	assert_int_equal(guest(w)->set_memory_calls, 0);
	memory(w, "2Gi");
	assert_no_rr(w);
}

/* 59, first half: H5 counts where a migration would be the way; decision 10 */
static void only_migratable_guests_grow_by_migration(void **state)
{
	struct world *w = *state;

	run_special(w, "'memory':{'guest':'1Gi'}", ""); /* bridge on the pod network */
	assert_true(vmi_cond_is(world_vmi(w, "v0"), COND_LIVE_MIGRATABLE, "False"));
	memory(w, "2Gi");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 2 * GI);
	user_config(w, NO_GATE);
	memory(w, "3Gi");
	assert_rr(w, "memory updated in template spec. Memory-hotplug is only available for migratable VMs");
}

/* 59, second half: H6; decision 12: it says so and gets room at its next start */
static void a_guest_without_room_says_so(void **state)
{
	struct world *w = *state;

	user_config(w, STAGE);
	run_vm(w, "1Gi");
	assert_vmi(w, "/spec/domain/memory/maxGuest", "(none)");
	user_config(w, LIVE);
	memory(w, "2Gi");
	assert_rr(w,
		"memory updated in template spec. Memory-hotplug is not available for this VM configuration");
	assert_rr(w, "without room for more memory");
	restart(w);
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/maxGuest", "8Gi");
	assert_int_equal(guest(w)->boot, 2 * GI);
}

/* 61, 76 */
static void during_a_migration_changes_wait_with_a_reason(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z'}");
	memory(w, "2Gi");
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "HotPlugMemoryError");
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/guest", "1Gi");
	edit(w, "{'nodeSelector':{'zone':'a'}}");
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "AffinityChangeError");
	edit(w, "{'nodeSelector':null,'tolerations':[{'key':'k','operator':'Exists'}]}");
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "TolerationsChangeError");
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z','endTimestamp':'2023-11-14T22:13:50Z'}");
	assert_null(condition(w, COND_FAILURE, "reason"));
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_vmi(w, "/spec/tolerations/0/key", "k");
}

/* 62, 67 (H4); limit 12 of rollout.md 7: the same value is not tried twice, another one is */
static void a_failed_change_is_tried_again_only_with_another_value(void **state)
{
	struct world *w = *state;
	int calls;

	run_vm(w, "1Gi");
	w->faults.refuse = 1000;
	memory(w, "2Gi");
	assert_true(vmi_cond_is(world_vmi(w, "v0"), COND_HOT_MEMORY, "False"));
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), "Memory Hotplug Failed");
	assert_rr(w, "memory updated in template spec. Memory-hotplug failed and is not available for this "
		     "VM configuration: "
		     "spec.template.spec.domain.memory.guest \"1Gi\" -> \"2Gi\"");
	calls = guest(w)->set_memory_calls;
	world_run(w, 60000);
	assert_int_equal(guest(w)->set_memory_calls, calls);
	w->faults.refuse = 0;
	memory(w, "3Gi");
	assert_int_equal(guest(w)->memory, 3 * GI);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
}

static void a_failed_change_can_be_reverted(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	w->faults.partial = 1000;
	memory(w, "2Gi");
	assert_int_equal(guest(w)->memory, 3 * GI / 2);
	assert_rr(w, "\"1536Mi\" -> \"2Gi\""); /* what the guest really has */
	w->faults.partial = 0;
	memory(w, "1Gi");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, GI);
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
}

/* The same where nothing can be done in place any more: the guest still has too much, and it is said (sim, seed 468). */
static void a_partial_change_is_not_forgotten_without_the_gate(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	w->faults.partial = 1000;
	memory(w, "2Gi");
	user_config(w, NO_GATE);
	memory(w, "1Gi");
	assert_int_equal(guest(w)->memory, 3 * GI / 2);
	assert_rr(w, "\"1536Mi\" -> \"1Gi\"");
}

/* rollout.md 7.4; decision 19: no room, and migration not allowed: a restart is what remains */
static void a_node_without_room_is_told(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	w->faults.no_room = true;
	memory(w, "2Gi");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_rr(w, "The node can not give it in place and live migration is not enabled");
	assert_int_equal(guest(w)->set_memory_calls, 0);
	/* a smaller wish does not wait behind the larger one that the pod still asks for; RestartRequired does not come and
	 * go with each attempt */
	memory(w, "3Gi");
	assert_rr(w, "\"1Gi\" -> \"3Gi\"");
	memory(w, "2Gi");
	assert_int_equal(events(w, "RestartRequired"), 1);
	assert_int_equal(events(w, "RestartNotRequired"), 0);
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_string_equal(pod_memory(w, "requests"), "2336Mi");
	user_config(w, MIGRATE);
	world_run(w, SOON);
	assert_no_rr(w); /* it waits for the migration now */
	assert_true(world_quiet(w, 3600000));
	/* room again: nobody has to do anything */
	w->faults.no_room = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
}

/* What the pod asked for in vain must not stand in the way of what it has already (sim, seed 54019). */
static void room_that_is_there_is_used_after_a_wish_in_vain(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	w->faults.partial = 1000;
	memory(w, "2Gi"); /* the guest takes 1536Mi; its pod has room for all */
	w->faults.partial = 0;
	w->faults.no_room = true;
	memory(w, "3Gi"); /* in vain */
	assert_int_equal(guest(w)->memory, 3 * GI / 2);
	memory(w, "2Gi");
	assert_string_equal(pod_memory(w, "requests"), "2336Mi");
	assert_null(condition(w, COND_HOT_MEMORY, "reason"));
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 2 * GI);
}

/* decision 11 */
static void without_the_gate_a_migration_is_waited_for(void **state)
{
	struct world *w = *state;

	user_config(w, NO_GATE);
	user_config(w, MIGRATE);
	run_vm(w, "1Gi");
	memory(w, "2Gi"); /* slirp or passt: this VM is on masquerade and migratable */
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_vmi(w, "/spec/domain/memory/guest", "2Gi");
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	memory(w, "1Gi"); /* back before anything touched the guest */
	assert_null(condition(w, COND_HOT_MEMORY, "reason"));
	assert_no_rr(w);
	assert_int_equal(guest(w)->set_memory_calls, 0);
}

/* limit 11 of rollout.md 7: the newest value wins */
static void a_newer_value_overtakes(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	w->faults.handler_down = true;
	memory(w, "2Gi");
	memory(w, "3Gi");
	assert_null(condition(w, COND_FAILURE, "reason"));
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, 3 * GI);
	assert_int_equal(guest(w)->set_memory_calls, 1);
}

/* 72 */
static void memory_given_as_request_only_can_become_guest_memory(void **state)
{
	struct world *w = *state;

	run_special(w, "'resources':{'requests':{'memory':'1Gi'}}", "");
	edit(w, "{'domain':{'memory':{'guest':'1042Mi'}}}");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 1042LL * 1024 * 1024);
	/* and back: the field gone is what it was started with, and what is left of its parent says nothing */
	edit(w, "{'domain':{'memory':{'guest':null}}}");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, GI);
	assert_vmi(w, "/spec/domain/resources/requests/memory", "1Gi");
	edit(w, "{'domain':{'memory':null}}");
	assert_no_rr(w);
	assert_true(world_quiet(w, 3600000));
	/* under Stage the way back waits */
	edit(w, "{'domain':{'memory':{'guest':'1042Mi'}}}");
	user_config(w, STAGE);
	edit(w, "{'domain':{'memory':null}}");
	assert_rr(w, "spec.template.spec.domain.memory.guest \"1042Mi\" -> (none)");
}

/* What the instance got by default and is written into the template is no difference to what runs; under Stage it is an edit like
 * any other (decision 4). */
static void a_default_that_is_written_down_needs_no_restart(void **state)
{
	struct world *w = *state;

	run_special(w, "'memory':{'guest':'1Gi'},'cpu':{'sockets':2,'cores':1}", "");
	edit(w, "{'evictionStrategy':'None','domain':{'cpu':{'maxSockets':8,'model':'host-model','threads':1}"
		","
		"'memory':{'maxGuest':'4Gi'},'features':{'acpi':{}}}}");
	assert_no_rr(w);
	edit(w, "{'domain':{'cpu':{'sockets':3}}}"); /* and nothing is held back for it */
	assert_int_equal(guest(w)->sockets, 3);
	edit(w, "{'domain':{'cpu':{'maxSockets':6}}}");
	assert_rr(w, "spec.template.spec.domain.cpu.maxSockets (none) -> 6");
	edit(w, "{'domain':{'cpu':{'maxSockets':8,'model':'other'}}}");
	assert_rr(w, "spec.template.spec.domain.cpu.model (none) -> \"other\"");
	edit(w, "{'domain':{'cpu':{'model':null,'cores':null}}}");
	assert_rr(w, "spec.template.spec.domain.cpu.cores 1 -> (none)");
	edit(w, "{'domain':{'cpu':{'cores':1}}}");
	assert_no_rr(w);
	user_config(w, STAGE);
	world_run(w, SOON);
	assert_rr(w, "spec.template.spec.domain.cpu.maxSockets (none) -> 8");
}

/* 2.6: taking away a size that the VM had at its start needs a restart; it is told as the guest has it, not as it was started */
static void a_size_that_is_taken_away_is_told_as_the_guest_has_it(void **state)
{
	struct world *w = *state;

	run_special(w,
		"'cpu':{'sockets':1},'memory':{'guest':'1Gi'},'resources':{'requests':{'memory':'1Gi'}}", "");
	edit(w, "{'domain':{'memory':{'guest':'2Gi'},'cpu':{'sockets':2}}}");
	assert_int_equal(guest(w)->memory, 2 * GI);
	edit(w, "{'domain':{'memory':null,'cpu':null}}");
	assert_rr(w, "spec.template.spec.domain.memory.guest \"2Gi\" -> (none)");
	assert_rr(w, "spec.template.spec.domain.cpu.sockets 2 -> (none)");
}

/* ---- placement: 73, 74, 75 ---- */
static void placement_is_copied_to_the_instance(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	edit(w, "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
		"nodeSelectorTerms':[{'matchExpressions':"
		"[{'key':'a','operator':'Exists'}]}]}}}}");
	assert_non_null(json_at(world_vmi(w, "v0"), "/spec/affinity/nodeAffinity"));
	edit(w, "{'affinity':null,'nodeSelector':{'zone':'a'}}");
	assert_null(json_at(world_vmi(w, "v0"), "/spec/affinity"));
	assert_vmi(w, "/spec/nodeSelector/zone", "a");
	edit(w, "{'nodeSelector':{'zone':'b'},'tolerations':[{'key':'k','operator':'Exists'}]}");
	assert_vmi(w, "/spec/nodeSelector/zone", "b");
	edit(w, "{'tolerations':[{'key':'k','operator':'Exists'},{'key':'l','operator':'Exists'}]}");
	assert_int_equal(json_len(json_at(world_vmi(w, "v0"), "/spec/tolerations")), 2);
	edit(w, "{'tolerations':null,'nodeSelector':null}");
	assert_int_equal(json_len(json_at(world_vmi(w, "v0"), "/spec/tolerations")), 0);
	assert_no_rr(w);
	assert_int_equal(w->pods_made, 1);
	user_config(w, STAGE); /* 76 */
	edit(w, "{'nodeSelector':{'zone':'a'}}");
	assert_rr(w,
		"placement updated in template spec: spec.template.spec.nodeSelector.zone (none) -> \"a\"");
}

/* ---- metadata that follow: 14, 15 ---- */
static void template_metadata(struct world *w, const char *metadata)
{
	CLEANUP(mem_freep) char *text = str_printf("{'spec':{'template':{'metadata':%s}}}", metadata);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

static void annotations_of_the_descheduler_follow(void **state)
{
	static const char evict[] = "descheduler.alpha.kubernetes.io/evict";
	struct world *w = *state;

	run_vm(w, "1Gi");
	template_metadata(w, "{'annotations':{'descheduler.alpha.kubernetes.io/evict':'true','other':'x'}}");
	assert_string_equal(meta_annotation(world_vmi(w, "v0"), evict), "true");
	assert_string_equal(meta_annotation(obj_json(pod(w)), evict), "true");
	assert_null(meta_annotation(world_vmi(w, "v0"), "other"));
	assert_no_rr(w);
	/* what does not reach the guest is not blocked by what waits for its restart */
	edit(w, "{'hostname':'b'}");
	template_metadata(w, "{'annotations':{'descheduler.alpha.kubernetes.io/evict':null}}");
	assert_rr(w, "hostname");
	assert_null(meta_annotation(world_vmi(w, "v0"), evict));
	assert_null(meta_annotation(obj_json(pod(w)), evict));
	/* an annotation of the VM itself, under either strategy */
	user_config(w, STAGE);
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'kubevirt.io/skip-backup-hooks':'true'}}}");
	template_metadata(w, "{'annotations':{'descheduler.alpha.kubernetes.io/evict':'true'}}");
	assert_string_equal(meta_annotation(obj_json(pod(w)), ANN_SKIP_BACKUP_HOOKS), "true");
	assert_null(meta_annotation(world_vmi(w, "v0"), evict)); /* decision 4 */
	assert_rr(w, "spec.template.metadata.annotations");
}

static void keys_given_by_pattern_follow(void **state)
{
	struct world *w = *state;

	synced_keys_add(&w->synced.annotations, "vendor.io/*,*");
	synced_keys_add(&w->synced.labels, "tier");
	run_vm(w, "1Gi");
	template_metadata(
		w, "{'annotations':{'vendor.io/a':'1','bare':'x'},'labels':{'tier':'t','app':'y'}}");
	assert_string_equal(meta_annotation(obj_json(pod(w)), "vendor.io/a"), "1");
	assert_null(meta_annotation(world_vmi(w, "v0"), "bare"));
	assert_string_equal(meta_label(obj_json(pod(w)), "tier"), "t");
	assert_string_equal(meta_label(obj_json(pod(w)), "app"), "x");
	template_metadata(w, "{'annotations':{'vendor.io/a':'2','vendor.io/b':'3'},'labels':{'tier':null}}");
	assert_string_equal(meta_annotation(obj_json(pod(w)), "vendor.io/a"), "2");
	assert_string_equal(meta_annotation(obj_json(pod(w)), "vendor.io/b"), "3");
	assert_null(meta_label(obj_json(pod(w)), "tier"));
	assert_no_rr(w);
}

/* ---- the guest's identity: 16 ---- */
static void an_identity_made_up_becomes_the_vms(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *uuid = NULL;
	CLEANUP(mem_freep) char *own = NULL;

	w->no_identity = true; /* a VM that was made before there was admission */
	run_vm(w, "1Gi");
	uuid = mem_strdup(vmi_text(w, "/spec/domain/firmware/uuid"));
	assert_int_equal(strlen(uuid), 36);
	assert_string_equal(json_at_str(world_vm(w, "v0"), "/spec/template/spec/domain/firmware/uuid"), uuid);
	assert_no_rr(w);
	/* our own write is no edit: the instance is as new as its VM */
	assert_int_equal(json_i64(json_at(world_vm(w, "v0"), "/status/observedGeneration")),
		obj_generation(fake_api_get(w->api, &kind_vm, "default/v0")));
	edit(w, "{'domain':{'firmware':{'uuid':'5d307ca9-b3ef-428c-8861-06e72d69f223'}}}");
	assert_rr(w, "spec.template.spec.domain.firmware.uuid");
	own = str_printf("{'domain':{'firmware':{'uuid':'%s'}}}", uuid);
	edit(w, own);
	assert_no_rr(w);
}

/* ---- the cluster's configuration: decisions 12, 13; rollout.md 7.3 ---- */
#define RATIO "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxHotplugRatio':2,'maxCpuSockets':6}}}}"
#define NO_RATIO "{'spec':{'configuration':{'liveUpdateConfiguration':null}}}"
static const char *drift(struct world *w)
{
	return meta_annotation(world_vm(w, "v0"), ANN_CONFIGURATION_DRIFT);
}

static void changed_defaults_are_told(void **state)
{
	struct world *w = *state;
	uint64_t writes;

	run_vm(w, "1Gi");
	assert_null(drift(w));
	user_config(w, RATIO);
	world_run(w, SOON);
	assert_string_equal(drift(w), "spec.domain.memory.maxGuest \"4Gi\" -> \"2Gi\"; "
				      "spec.domain.cpu.maxSockets 4 -> 6");
	assert_int_equal(events(w, "ConfigurationDrift"), 1);
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/maxGuest", "4Gi");
	memory(w, "3Gi"); /* within what it was started with */
	assert_int_equal(guest(w)->memory, 3 * GI);
	writes = fake_api_writes(w->api);
	user_config(w, "{'spec':{'configuration':{'imagePullPolicy':'Always'}}}");
	world_run(w, SOON);
	assert_int_equal(fake_api_writes(w->api) - writes, 1); /* said once */
	user_config(w, NO_RATIO);
	world_run(w, SOON);
	assert_null(drift(w));
	user_config(w, RATIO);
	world_run(w, SOON);
	restart(w);
	assert_null(drift(w));
	assert_vmi(w, "/spec/domain/memory/maxGuest", "6Gi"); /* 3Gi by now */
}

static void changed_defaults_are_rolled_out_on_demand(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'coracle.dev/rollout-configuration':'true'}}}");
	user_config(w, "{'spec':{'configuration':{'evictionStrategy':'LiveMigrate'}}}");
	world_run(w, SOON);
	assert_no_rr(w);
	assert_vmi(w, "/spec/evictionStrategy", "LiveMigrate"); /* live: nothing in the guest is touched */
	user_config(w, RATIO);
	world_run(w, SOON);
	assert_rr(w, "the cluster's configuration was changed: spec.template.spec.domain.memory.maxGuest "
		     "\"4Gi\" -> \"2Gi\"; spec.template.spec.domain.cpu.maxSockets 4 -> 6");
	user_config(w, NO_RATIO);
	world_run(w, SOON);
	assert_no_rr(w);
	/* for all VMs, but for those that do not want it */
	user_config(w, "{'metadata':{'annotations':{'coracle.dev/rollout-configuration':'true'}}}");
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'coracle.dev/rollout-configuration':null}}}");
	user_config(w, RATIO);
	world_run(w, SOON);
	assert_rr(w, "configuration");
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'coracle.dev/rollout-configuration':'false'}}}");
	world_run(w, SOON);
	assert_no_rr(w);
}

/* Where room was kept a larger maximum needs no restart; one that asks for it at once does not wait for the maximum. */
static void a_larger_maximum_reaches_kept_room(void **state)
{
	struct world *w = *state;

	user_config(w, "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxGuest':'2Gi'}}}}");
	assert_int_equal(
		user_create(w, &kind_vm,
			"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'v0',"
			"'annotations':{'coracle.dev/"
			"rollout-configuration':'true'}},'spec':{'runStrategy':'Always',"
			"'template':{'metadata':{'annotations':{'coracle.dev/"
			"memory-room':'8Gi'}},'spec':{'domain':"
			"{'devices':{},'memory':{'guest':'1Gi'}}}}}}",
			NULL),
		0);
	world_run(w, SOON);
	assert_vmi(w, "/spec/domain/memory/maxGuest", "2Gi");
	memory(w, "3Gi");
	assert_rr(w, "Guest memory is greater than the configured maxGuest memory");
	user_config(w, "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxGuest':'4Gi'}}}}");
	world_run(w, SOON);
	assert_no_rr(w);
	assert_vmi(w, "/spec/domain/memory/maxGuest", "4Gi");
	assert_int_equal(guest(w)->memory, 3 * GI);
	assert_null(drift(w));
	/* beyond the room, and below what the guest has */
	user_config(w, "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxGuest':'16Gi'}}}}");
	world_run(w, SOON);
	assert_rr(w, "the cluster's configuration was changed: spec.template.spec.domain.memory.maxGuest");
	user_config(w, "{'spec':{'configuration':{'liveUpdateConfiguration':{'maxGuest':'2Gi'}}}}");
	world_run(w, SOON);
	assert_rr(w, "the cluster's configuration was changed: spec.template.spec.domain.memory.maxGuest");
	assert_vmi(w, "/spec/domain/memory/maxGuest", "4Gi");
	assert_int_equal(guest(w)->memory, 3 * GI);
}

/* decision 12: started under Stage, with room, since a guest of 4Gi pays nothing for it; 16738: the strategy changes under a VM
 * that runs, both ways */
static void live_update_reaches_what_runs_already(void **state)
{
	struct world *w = *state;

	user_config(w, STAGE);
	run_special(w, "'memory':{'guest':'4Gi'},'cpu':{'sockets':2}", "");
	assert_vmi(w, "/spec/domain/memory/maxGuest", "16Gi");
	assert_int_equal(json_i64(json_at(world_vmi(w, "v0"), "/spec/domain/cpu/maxSockets")), 8);
	edit(w, "{'domain':{'memory':{'guest':'6Gi'},'cpu':{'sockets':4}}}");
	assert_rr(w, "spec.template.spec.domain.memory.guest");
	assert_rr(w, "spec.template.spec.domain.cpu.sockets 2 -> 4");
	assert_int_equal(guest(w)->memory, 4 * GI);
	user_config(w, LIVE);
	world_run(w, SOON);
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 6 * GI);
	assert_int_equal(guest(w)->sockets, 4);
	user_config(w, STAGE);
	memory(w, "8Gi");
	assert_rr(w, "memory updated in template spec");
	assert_int_equal(guest(w)->memory, 6 * GI);
}

/* ---- placement that is enforced: rollout.md 7.14 ---- */
static void node_labels(struct world *w, const char *metadata_and_spec)
{
	fake_api_put(w->api, &kind_node, json_lit(metadata_and_spec));
	world_run(w, SOON);
}

static void placement_is_enforced_on_demand(void **state)
{
	struct world *w = *state;

	run_vm(w, "1Gi");
	edit(w, "{'nodeSelector':{'zone':'a'}}");
	assert_null(condition(w, COND_MIGRATION_REQUIRED, "status")); /* 74: the pod stays */
	user_merge(w, &kind_vm, "v0", NULL,
		"{'metadata':{'annotations':{'coracle.dev/enforce-placement':'true'}}}");
	world_run(w, SOON);
	assert_string_equal(condition(w, COND_MIGRATION_REQUIRED, "status"), "True");
	assert_string_equal(condition(w, COND_MIGRATION_REQUIRED, "reason"), "PlacementNotSatisfied");
	assert_no_rr(w);
	node_labels(w, "{'metadata':{'name':'" WORLD_NODE
		       "','labels':{'kubevirt.io/schedulable':'true','zone':'a'}}}");
	assert_null(condition(w, COND_MIGRATION_REQUIRED, "status"));
	edit(w, "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
		"nodeSelectorTerms'"
		":[{'matchExpressions':[{'key':'zone','operator':'NotIn','values':['a']}]}]}}}}");
	assert_string_equal(condition(w, COND_MIGRATION_REQUIRED, "status"), "True");
	edit(w, "{'affinity':null}");
	assert_null(condition(w, COND_MIGRATION_REQUIRED, "status"));
	node_labels(w,
		"{'metadata':{'name':'" WORLD_NODE
		"','labels':{'kubevirt.io/schedulable':'true','zone':'a'}},'spec':{'taints':[{'key':'gpu',"
		"'effect':'NoSchedule'},{'key':'node.kubernetes.io/not-ready','effect':'NoSchedule'}]}}");
	assert_non_null(strstr(condition(w, COND_MIGRATION_REQUIRED, "message"), "taint gpu"));
	edit(w, "{'tolerations':[{'key':'gpu','operator':'Exists'}]}");
	assert_null(condition(w, COND_MIGRATION_REQUIRED, "status"));
	assert_int_equal(w->pods_made, 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(under_stage_an_edit_waits),
		T(template_labels_count_under_stage_only),
		T(a_staged_edit_is_cleared_by_revert_or_restart),
		T(a_long_list_is_cut),
		T(what_is_staged_blocks_what_is_live),
		T(a_start_leaves_a_revision),
		T(sockets_that_wait_hold_tolerations_back),
		T(the_strategy_is_one_of_two),
		T(conditions_are_mirrored_but_those_of_the_instance),
		T(quantities_count_by_value),
		T(memory_grows_in_place_and_shrinks_to_its_start),
		T(requests_and_limits_follow_the_guest),
		T(an_overcommitted_request_jumps),
		T(memory_that_can_not_go_live_is_staged_with_its_reason),
		T(only_migratable_guests_grow_by_migration),
		T(a_guest_without_room_says_so),
		T(during_a_migration_changes_wait_with_a_reason),
		T(a_failed_change_is_tried_again_only_with_another_value),
		T(a_failed_change_can_be_reverted),
		T(a_partial_change_is_not_forgotten_without_the_gate),
		T(a_node_without_room_is_told),
		T(room_that_is_there_is_used_after_a_wish_in_vain),
		T(without_the_gate_a_migration_is_waited_for),
		T(a_newer_value_overtakes),
		T(memory_given_as_request_only_can_become_guest_memory),
		T(a_size_that_is_taken_away_is_told_as_the_guest_has_it),
		T(a_default_that_is_written_down_needs_no_restart),
		T(placement_is_copied_to_the_instance),
		T(annotations_of_the_descheduler_follow),
		T(keys_given_by_pattern_follow),
		T(an_identity_made_up_becomes_the_vms),
		T(changed_defaults_are_told),
		T(changed_defaults_are_rolled_out_on_demand),
		T(a_larger_maximum_reaches_kept_room),
		T(live_update_reaches_what_runs_already),
		T(placement_is_enforced_on_demand),
	};

	return cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
}
