/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs of a running VM, in the simulated world: numbers in comments are those of rollout.md 6, limits those of its section 7. */
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

#define M "CPU sockets updated in template spec"
#define H1 M " to a value higher than what's available"
#define H2 "Reduction of CPU socket count requires a restart"
#define STAGE "{'spec':{'configuration':{'vmRolloutStrategy':'Stage'}}}"
#define LIVE "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}"
#define GATES(which, name) "{'spec':{'configuration':{'developerConfiguration':{'" which "':['" name "']}}}}"
#define NO_IN_PLACE GATES("disabledFeatureGates", "InPlaceHotplug")
#define IN_PLACE "{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':null}}}}"
#define UNPLUG GATES("featureGates", "CPUHotUnplug")
#define METHODS(list) "{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':[" list "]}}}"
#define MIGRATE METHODS("'LiveMigrate'")
#define SOON 2000
#define HOUR 3600000

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

/* ---- shorthands; the VM is v0, on a network that can be migrated ---- */
/* cpu: the domain's cpu and what is to stand beside it */
static void run_with(struct world *w, const char *cpu)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'v0'},"
			   "'spec':{'runStrategy':'Always','template':{'spec':{'domain':{'devices':{"
			   "'interfaces':[{'name':'default','masquerade':{}}]},'memory':{'guest':'1Gi'},%s},"
			   "'networks':[{'name':'default','pod':{}}]}}}}",
			cpu);
	struct err e = { 0 };

	if (user_create(w, &kind_vm, text, &e) < 0)
		fail_msg("%s", e.msg);
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static void run(struct world *w, int sockets)
{
	CLEANUP(mem_freep) char *cpu = str_printf("'cpu':{'sockets':%d}", sockets);

	run_with(w, cpu);
}

static void edit(struct world *w, const char *domain)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'spec':{'template':{'spec':{'domain':%s}}}}", domain);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

static void sockets(struct world *w, int n)
{
	CLEANUP(mem_freep) char *text = str_printf("{'cpu':{'sockets':%d}}", n);

	edit(w, text);
}

static const char *condition(struct world *w, const char *type, const char *field)
{
	return json_get_str(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type), field);
}

#define assert_rr(w, text) assert_rr_at(condition(w, COND_RESTART_REQUIRED, "message"), text, __LINE__)
static void assert_rr_at(const char *have, const char *want, int line)
{
	if (!have || !strstr(have, want))
		fail_msg(
			"line %d: \"%s\" is not in \"%s\"", line, want, have ? have : "(no RestartRequired)");
}
#define assert_no_rr(w) assert_null(condition(w, COND_RESTART_REQUIRED, "message"))

static struct guest *guest(struct world *w)
{
	return world_guest(w, json_str_or(json_at(world_vmi(w, "v0"), "/metadata/uid"), ""));
}

static int64_t vmi_number(struct world *w, const char *at)
{
	return json_i64(json_at(world_vmi(w, "v0"), at));
}

#define assert_vmi(w, at, text) \
	assert_string_equal(json_str_or(json_at(world_vmi(w, "v0"), at), "(none)"), text)

static const char *pod_cpu(struct world *w, const char *which)
{
	const struct json *pod = obj_json(world_pod_of(w, guest(w)->uid));
	const struct json *c = compute_in(json_at(pod, "/status/containerStatuses"), NULL);

	return json_str_or(json_get(json_get(json_get(c, "resources"), which), "cpu"), "(none)");
}

static const char *pod_memory(struct world *w)
{
	const struct json *pod = obj_json(world_pod_of(w, guest(w)->uid));
	const struct json *c = compute_in(json_at(pod, "/status/containerStatuses"), NULL);

	return json_str_or(json_at(c, "/resources/requests/memory"), "(none)");
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

/* ---- up ---- */
/* 1, 3, 31; 37 as it is in place: the condition is there until the guest has them, then it is gone */
static void sockets_are_added_in_place(void **state)
{
	struct world *w = *state;

	run(w, 2);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/maxSockets"), 8);
	assert_string_equal(pod_cpu(w, "requests"), "200m");
	assert_string_equal(pod_memory(w), "1320Mi");
	sockets(w, 4);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 4);
	assert_int_equal(guest(w)->set_cpus_calls, 1);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 4);
	assert_int_equal(vmi_number(w, "/status/currentCPUTopology/sockets"), 4);
	assert_vmi(w, "/spec/domain/resources/requests/cpu", "(none)");
	assert_string_equal(pod_cpu(w, "requests"), "400m");
	assert_string_equal(pod_memory(w), "1336Mi"); /* 8Mi of overhead each (kubevirt-api.md 7.1) */
	assert_vmi(w, "/status/memory/memoryOverhead", "312Mi"); /* which follows the pod: 3.3, 6. */
	assert_null(vmi_cond(world_vmi(w, "v0"), COND_HOT_CPU));
	assert_int_equal(events(w, "LiveUpdate"), 1);
	assert_int_equal(events(w, "CPUUpdated"), 1);
	assert_int_equal(w->pods_made, 1);
	assert_true(world_quiet(w, HOUR));
}

/* 37: on VM and VMI, as long as the node's agent does nothing */
static void the_condition_tells_that_it_is_under_way(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->faults.handler_down = true;
	sockets(w, 2);
	assert_true(vmi_cond_is(world_vmi(w, "v0"), COND_HOT_CPU, "True"));
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), "InPlaceHotplug");
	assert_int_equal(vmi_number(w, "/status/currentCPUTopology/sockets"), 1);
	assert_string_equal(pod_cpu(w, "requests"), "200m"); /* the pod first */
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 2);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

/* 30; and back to where it began by the next start */
static void requests_and_limits_follow_the_sockets(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'sockets':1},'resources':{'requests':{'cpu':'100m'},'limits':{'cpu':'400m'}}");
	sockets(w, 2);
	assert_vmi(w, "/spec/domain/resources/requests/cpu", "200m");
	assert_vmi(w, "/spec/domain/resources/limits/cpu", "500m");
	assert_string_equal(pod_cpu(w, "limits"), "500m");
	sockets(w, 3);
	assert_vmi(w, "/spec/domain/resources/requests/cpu", "300m");
	assert_vmi(w, "/spec/domain/resources/limits/cpu", "600m");
	assert_string_equal(pod_cpu(w, "requests"), "300m");
	assert_string_equal(pod_cpu(w, "limits"), "600m");
	assert_int_equal(guest(w)->sockets, 3);
	assert_no_rr(w);
}

/* A topology of which the sockets are not given has one; rollout.md 1.2 */
static void sockets_can_be_given_to_a_topology_without(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'cores':2}");
	sockets(w, 2);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 2);
	assert_string_equal(pod_cpu(w, "requests"), "400m"); /* 39: 1x2x1, then 2x2x1 */
	edit(w, "{'cpu':{'cores':4}}");                      /* 39 */
	assert_rr(w, "spec.template.spec.domain.cpu.cores 2 -> 4");
}

/* 71 of the CPU half; limit 11: the newest value of each */
static void cpu_and_memory_go_in_one_patch(void **state)
{
	struct world *w = *state;

	run(w, 1);
	edit(w, "{'cpu':{'sockets':3},'memory':{'guest':'2Gi'}}");
	assert_int_equal(guest(w)->sockets, 3);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_int_equal(guest(w)->set_cpus_calls, 1);
	assert_int_equal(guest(w)->set_memory_calls, 1);
	assert_no_rr(w);
	assert_null(condition(w, COND_FAILURE, "reason"));
}

/* 48: a CPU more changes nothing about the cards of the guest */
static void multiqueue_does_not_stand_in_the_way(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'sockets':2}");
	edit(w, "{'devices':{'networkInterfaceMultiqueue':null}}");
	assert_no_rr(w);
	user_merge(w, &kind_vm, "v0", NULL,
		"{'spec':{'template':{'spec':{'domain':{'devices':{'networkInterfaceMultiqueue':true}}}}}}");
	world_run(w, SOON);
	assert_rr(w, "networkInterfaceMultiqueue");
	edit(w, "{'devices':{'networkInterfaceMultiqueue':null}}");
	sockets(w, 4);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 4);
}

/* ---- staged ---- */
/* 2; decision 12: turning LiveUpdate on reaches what runs */
static void under_stage_sockets_wait(void **state)
{
	struct world *w = *state;

	user_config(w, STAGE);
	run(w, 2);
	sockets(w, 4);
	assert_rr(w, M ": spec.template.spec.domain.cpu.sockets 2 -> 4");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
	user_config(w, LIVE);
	world_run(w, SOON);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 4);
}

/* 32, 33; 10: what is staged blocks, and its revert lets go */
static void sockets_that_can_not_go_live_are_staged(void **state)
{
	struct world *w = *state;

	run(w, 2);
	sockets(w, 9);
	assert_rr(w, H1 ": spec.template.spec.domain.cpu.sockets 2 -> 9");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
	sockets(w, 1);
	assert_rr(w, H2 ": spec.template.spec.domain.cpu.sockets 2 -> 1");
	edit(w, "{'memory':{'guest':'2Gi'}}");
	assert_int_equal(guest(w)->memory, GI);
	sockets(w, 2);
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_int_equal(guest(w)->set_cpus_calls, 0);
}

/* 33 after a live change: what counts is what the guest has, not what it was started with */
static void back_to_the_start_is_a_reduction_too(void **state)
{
	struct world *w = *state;

	run(w, 1);
	sockets(w, 3);
	sockets(w, 1);
	assert_rr(w, H2 ": spec.template.spec.domain.cpu.sockets 3 -> 1");
	assert_int_equal(guest(w)->sockets, 3);
	sockets(w, 4); /* and up from there */
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 4);
}

/* 34 (H3), and without a maximum (H1, rollout.md 2.4) */
static void arm_has_no_cpu_hotplug(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'sockets':1,'maxSockets':4}");
	fake_api_put(w->api, &kind_vmi, ({
		struct json_doc *d = obj_draft(fake_api_get(w->api, &kind_vmi, "default/v0"));
		json_put_str(d, json_root(d), "/spec/architecture", "arm64");
		d;
	}));
	sockets(w, 2);
	assert_rr(w, "ARM doesn't support CPU hotplug");
}

/* rollout.md 2.5, the trap */
static void a_cpu_model_alone_asks_for_no_sockets(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'model':'host-model'}");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 1);
	assert_no_rr(w);
	sockets(w, 2);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 2);
	/* the field gone again is one socket again, and that one less: H2 */
	edit(w, "{'cpu':{'sockets':null}}");
	assert_rr(w, H2);
	assert_rr(w, "spec.template.spec.domain.cpu.sockets 2 -> (none)");
	sockets(w, 2);
	assert_no_rr(w);
}

/* 28: no topology, but a CPU request, is as many sockets as it needs, on the way back too */
static void sockets_made_of_a_request_are_what_it_goes_back_to(void **state)
{
	struct world *w = *state;

	run_with(w, "'cpu':{'model':'host-model'},'resources':{'requests':{'cpu':'2'}}");
	assert_int_equal(guest(w)->sockets, 2);
	w->faults.handler_down = true;
	sockets(w, 3);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 3);
	edit(w, "{'cpu':{'sockets':null}}"); /* before the guest has them */
	assert_no_rr(w);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 2);
}

/* ---- one after the other ---- */
/* decision 11 with limit 11: in place the newest value wins, the way back included */
static void the_newest_value_wins(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->faults.handler_down = true;
	sockets(w, 2);
	sockets(w, 4);
	assert_null(condition(w, COND_FAILURE, "reason"));
	sockets(w, 3);
	assert_no_rr(w);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 3);
	assert_int_equal(guest(w)->set_cpus_calls, 1);
	assert_string_equal(pod_cpu(w, "requests"), "300m");
	w->faults.handler_down = true;
	sockets(w, 4);
	sockets(w, 3);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_null(condition(w, COND_HOT_CPU, "reason"));
	assert_int_equal(guest(w)->set_cpus_calls, 1);
	assert_string_equal(pod_cpu(w, "requests"), "300m");
}

/* 35: KubeVirt's way is one at a time; the way back is open (limit 11) */
static void by_migration_it_is_one_at_a_time(void **state)
{
	struct world *w = *state;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	run(w, 1);
	sockets(w, 2);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_NEEDS_MIGRATION);
	assert_no_rr(w);
	sockets(w, 3);
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "HotPlugCPUError");
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 2);
	sockets(w,
		9); /* needs a restart whatever comes of the other; not in the order of 2.4, but said all the time */
	assert_rr(w, H1);
	sockets(w, 1);
	assert_null(condition(w, COND_FAILURE, "reason"));
	assert_null(condition(w, COND_HOT_CPU, "reason"));
	assert_string_equal(pod_cpu(w, "requests"), "100m");
	assert_int_equal(guest(w)->set_cpus_calls, 0);
}

/* 36 */
static void during_a_migration_sockets_wait(void **state)
{
	struct world *w = *state;

	run(w, 1);
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z'}");
	sockets(w, 2);
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "HotPlugCPUError");
	assert_no_rr(w);
	assert_int_equal(vmi_number(w, "/spec/domain/cpu/sockets"), 1);
	put_migration(w, "{'startTimestamp':'2023-11-14T22:13:20Z','endTimestamp':'2023-11-14T22:13:50Z'}");
	assert_null(condition(w, COND_FAILURE, "reason"));
	assert_int_equal(guest(w)->sockets, 2);
}

/* ---- what does not work ---- */
/* limit 12: tried a few times, then it has failed; another value is another try */
static void a_failed_change_is_tried_again_only_with_another_value(void **state)
{
	struct world *w = *state;
	int calls;

	run(w, 1);
	w->faults.refuse = 1000;
	sockets(w, 2);
	world_run(w, 60000);
	assert_true(vmi_cond_is(world_vmi(w, "v0"), COND_HOT_CPU, "False"));
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_FAILED);
	assert_rr(w, M ". CPU hotplug failed for this VM configuration: "
		       "spec.template.spec.domain.cpu.sockets 1 -> 2");
	assert_int_equal(events(w, "CPUHotplugFailed"), 1);
	calls = guest(w)->set_cpus_calls;
	assert_true(calls <= GUEST_CPUS_TRIES);
	assert_true(world_quiet(w, HOUR));
	w->faults.refuse = 0;
	sockets(w, 3);
	assert_int_equal(guest(w)->sockets, 3);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

/* field reports 12101 and 14095 in their CPU form: the status says what is there, whatever was asked for */
static void a_partial_change_is_told_as_it_is(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->faults.partial = 1000;
	sockets(w, 4);
	assert_int_equal(guest(w)->sockets, 2);
	assert_int_equal(vmi_number(w, "/status/currentCPUTopology/sockets"), 2);
	assert_rr(w, "sockets 2 -> 4");
	w->faults.partial = 0;
	sockets(w, 2);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_CPU, "status"));
	assert_string_equal(pod_cpu(w, "requests"), "200m");
}

/* rollout.md 7.4, limit 10, decision 19; 46: no room, no migration, nobody is evicted: a restart is what remains */
static void a_node_without_room_is_told(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->faults.no_room = true;
	sockets(w, 2);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_NEEDS_MIGRATION);
	assert_non_null(strstr(condition(w, COND_HOT_CPU, "message"), "the node has no room (Infeasible"));
	assert_rr(w, "The node can not give them in place and live migration is not possible: "
		     "spec.template.spec.domain.cpu.sockets 1 -> 2");
	user_config(w, METHODS("'Evict'"));
	world_run(w, SOON);
	assert_rr(w, "1 -> 2");
	assert_int_equal(w->pods_made, 1);
	sockets(w, 3); /* another attempt, which takes nothing back until it has gone well */
	assert_rr(w, "1 -> 3");
	sockets(w, 2);
	assert_int_equal(events(w, "RestartNotRequired"), 0);
	user_config(w, MIGRATE);
	world_run(w, SOON);
	assert_no_rr(w); /* it waits for the migration now */
	assert_true(world_quiet(w, HOUR));
	w->faults.no_room = false; /* nobody has to do anything */
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 2);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

/* rollout.md 7.4: a cluster that does not serve pods/resize, or forbids it, is asked once for a value */
static void a_resize_that_is_refused_goes_the_other_way(void **state)
{
	struct world *w = *state;

	user_config(w, MIGRATE);
	run(w, 1);
	w->faults.no_resize = true;
	sockets(w, 2);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_NEEDS_MIGRATION);
	assert_non_null(
		strstr(condition(w, COND_HOT_CPU, "message"), "the API server does not resize the pod"));
	assert_no_rr(w);
	world_run(w, 60000);
	assert_true(world_quiet(w, HOUR));
	w->faults.no_resize = false;
	sockets(w, 3);
	assert_int_equal(guest(w)->sockets, 3);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

/* rollout.md 7.4: cpusets do not grow in place */
static void dedicated_cpus_wait_for_a_migration(void **state)
{
	struct world *w = *state;

	user_config(w, MIGRATE);
	run_with(w, "'cpu':{'sockets':2,'dedicatedCpuPlacement':true}");
	assert_string_equal(pod_cpu(w, "limits"), "2");
	sockets(w, 4);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_NEEDS_MIGRATION);
	assert_string_equal(pod_cpu(w, "limits"), "2");
	assert_int_equal(guest(w)->sockets, 2);
	assert_no_rr(w);
}

/* 38, 39, 40: by the migration that virt-controller asks for; the guest moves as it is and gets the rest there */
static void a_guest_that_moved_gets_its_sockets(void **state)
{
	struct world *w = *state;

	user_config(w, MIGRATE);
	w->migrates = true;
	run_with(w, "'cpu':{'sockets':2,'dedicatedCpuPlacement':true}");
	sockets(w, 4);
	assert_non_null(condition(w, COND_HOT_CPU, "status"));
	world_run(w, 60000);
	assert_null(condition(w, COND_HOT_CPU, "status"));
	assert_int_equal(guest(w)->sockets, 4);
	assert_int_equal(guest(w)->set_cpus_calls, 1);
	assert_int_equal(vmi_number(w, "/status/currentCPUTopology/sockets"), 4);
	assert_string_equal(pod_cpu(w, "limits"), "4");
	assert_null(meta_label(world_vmi(w, "v0"), LABEL_POD_CPU_LIMITS));
	assert_no_rr(w);
	user_config(w, NO_IN_PLACE);
	edit(w, "{'cpu':{'sockets':5}}");
	world_run(w, 60000);
	assert_int_equal(guest(w)->sockets, 5);
	assert_null(condition(w, COND_HOT_CPU, "status"));
	assert_true(world_quiet(w, HOUR));
}

/* limit 12: no endless row of migrations */
static void migrations_in_vain_come_to_an_end(void **state)
{
	struct world *w = *state;
	struct json_doc *d;

	user_config(w, NO_IN_PLACE);
	user_config(w, MIGRATE);
	run(w, 1);
	sockets(w, 2);
	d = obj_draft(fake_api_get(w->api, &kind_vmi, "default/v0"));
	meta_set_annotation(d, json_root(d), ANN_HOT_CPU_FAILURES, "2 5");
	fake_api_put(w->api, &kind_vmi, d);
	world_run(w, SOON);
	assert_string_equal(condition(w, COND_HOT_CPU, "status"), "False");
	assert_rr(w, M ". CPU hotplug failed for this VM configuration");
	sockets(w, 3);
	assert_no_rr(w);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_NEEDS_MIGRATION);
}

/* ---- down, where it is allowed: decision 20 ---- */
static void with_the_gate_sockets_are_removed(void **state)
{
	struct world *w = *state;

	user_config(w, UNPLUG);
	w->removable_cpus = true;
	run(w, 4);
	sockets(w, 2);
	assert_no_rr(w);
	assert_int_equal(guest(w)->sockets, 2);
	assert_int_equal(vmi_number(w, "/status/currentCPUTopology/sockets"), 2);
	assert_string_equal(pod_cpu(w, "requests"), "200m");
	assert_null(condition(w, COND_HOT_CPU, "status"));
	sockets(w, 3);
	assert_int_equal(guest(w)->sockets, 3);
}

/* Its pod was made for more vCPUs than it has by then (sim, seed 34016334 of the time). */
static void memory_grows_after_sockets_were_removed(void **state)
{
	struct world *w = *state;

	user_config(w, UNPLUG);
	w->removable_cpus = true;
	run(w, 4);
	sockets(w, 2);
	edit(w, "{'memory':{'guest':'2Gi'}}");
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
	assert_no_rr(w);
}

/* decision 20, rollout.md 7.5: what the guest keeps is said, and stays in the pod's account */
static void what_the_guest_keeps_is_told(void **state)
{
	struct world *w = *state;

	user_config(w, UNPLUG);
	w->removable_cpus = true;
	run(w, 4);
	w->faults.partial = 1000;
	sockets(w, 1);
	assert_int_equal(guest(w)->sockets, 3);
	assert_string_equal(condition(w, COND_HOT_CPU, "status"), "False");
	assert_string_equal(condition(w, COND_HOT_CPU, "message"), "the guest keeps its CPU");
	assert_rr(w, H2 ": spec.template.spec.domain.cpu.sockets 3 -> 1");
	assert_string_equal(pod_cpu(w, "requests"), "400m");
	assert_true(world_quiet(w, HOUR));
	w->faults.partial = 0;
	sockets(w, 3);
	assert_no_rr(w);
	assert_string_equal(pod_cpu(w, "requests"), "300m");
}

/* decision 20: never under emulation, whatever the gate says */
static void under_emulation_nothing_is_removed(void **state)
{
	struct world *w = *state;

	user_config(w, UNPLUG);
	run(w, 2);
	sockets(w, 1);
	assert_rr(w, H2 ": spec.template.spec.domain.cpu.sockets 2 -> 1");
	assert_int_equal(guest(w)->sockets, 2);
	sockets(w, 2);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

/* ---- reverted while the launcher is at it, and nobody is there who could tell it ---- */
static void told_and_reverted(struct world *w, const char *meanwhile)
{
	run(w, 1);
	w->faults.slow = 1000;
	sockets(w, 4);
	assert_int_equal(guest(w)->due_sockets, 4);
	handler_kill(w);
	w->faults.handler_down = true;
	if (meanwhile)
		user_config(w, meanwhile);
	else
		w->faults.no_room = true;
	sockets(w, 1);
	edit(w, "{'memory':{'guest':'2Gi'}}");
	if (meanwhile)
		user_config(w, IN_PLACE);
	w->faults.no_room = false;
	edit(w, "{'memory':{'guest':'1Gi'}}");
	world_run(w, 30 * SOON);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_IN_PLACE);
	assert_string_equal(pod_cpu(w, "requests"), "400m");
}

/* Until virt-handler knows the pod keeps what the guest may still take (sim, seed 4001027 of the time). */
static void what_may_come_late_keeps_its_room(void **state)
{
	struct world *w = *state;

	told_and_reverted(w, NULL);
	w->faults.slow = 0;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 4);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_rr(w, H2 ": spec.template.spec.domain.cpu.sockets 4 -> 1");
	assert_string_equal(pod_cpu(w, "requests"), "400m");
	assert_true(world_quiet(w, HOUR));
	check_settled(w);
}

static void what_has_not_come_is_taken_back(void **state)
{
	struct world *w = *state;

	told_and_reverted(w, NO_IN_PLACE);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->due_sockets, 1);
	w->faults.slow = 0;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 1);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_CPU, "status"));
	assert_string_equal(pod_cpu(w, "requests"), "100m");
	assert_true(world_quiet(w, HOUR));
	check_settled(w);
}

/* CPUs that the node has given are not missing because memory is. */
static void memory_without_room_does_not_hold_up_cpus(void **state)
{
	struct world *w = *state;

	run(w, 1);
	w->faults.slow = 1000;
	sockets(w, 2);
	w->faults.no_room = true;
	edit(w, "{'memory':{'guest':'2Gi'}}");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_string_equal(condition(w, COND_HOT_CPU, "reason"), HOT_CPU_IN_PLACE);
	w->faults.slow = 0;
	world_run(w, SOON);
	assert_int_equal(guest(w)->sockets, 2);
	assert_null(condition(w, COND_HOT_CPU, "status"));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sockets_are_added_in_place),
		T(the_condition_tells_that_it_is_under_way),
		T(requests_and_limits_follow_the_sockets),
		T(sockets_can_be_given_to_a_topology_without),
		T(cpu_and_memory_go_in_one_patch),
		T(multiqueue_does_not_stand_in_the_way),
		T(under_stage_sockets_wait),
		T(sockets_that_can_not_go_live_are_staged),
		T(back_to_the_start_is_a_reduction_too),
		T(arm_has_no_cpu_hotplug),
		T(a_cpu_model_alone_asks_for_no_sockets),
		T(sockets_made_of_a_request_are_what_it_goes_back_to),
		T(the_newest_value_wins),
		T(by_migration_it_is_one_at_a_time),
		T(during_a_migration_sockets_wait),
		T(a_failed_change_is_tried_again_only_with_another_value),
		T(a_partial_change_is_told_as_it_is),
		T(a_node_without_room_is_told),
		T(a_resize_that_is_refused_goes_the_other_way),
		T(dedicated_cpus_wait_for_a_migration),
		T(a_guest_that_moved_gets_its_sockets),
		T(migrations_in_vain_come_to_an_end),
		T(with_the_gate_sockets_are_removed),
		T(memory_grows_after_sockets_were_removed),
		T(what_the_guest_keeps_is_told),
		T(under_emulation_nothing_is_removed),
		T(what_may_come_late_keeps_its_room),
		T(what_has_not_come_is_taken_back),
		T(memory_without_room_does_not_hold_up_cpus),
	};

	return cmocka_run_group_tests_name("rollout_cpu", tests, NULL, NULL);
}
