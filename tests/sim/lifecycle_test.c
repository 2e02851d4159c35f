/* SPDX-License-Identifier: Apache-2.0 */
/* How instances come and go: kubevirt-api.md 3, 4, in the simulated world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "world.h"

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

static const char *printable(struct world *w)
{
	return json_str_or(json_at(world_vm(w, "v0"), "/status/printableStatus"), "(none)");
}

static const char *condition(struct world *w, const char *type, const char *field)
{
	return json_get_str(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type), field);
}

static struct guest *guest(struct world *w)
{
	return world_guest(w, meta_str(world_vmi(w, "v0"), "uid"));
}

static void guest_ends(struct world *w, enum guest_state how)
{
	struct guest *g = guest(w);

	g->state = how;
	g->ended_ms = loop_wall_ms(w->loop);
	world_run(w, 5000);
}

static void request(struct world *w, const char *list)
{
	CLEANUP(mem_freep) char *text = str_printf("{'status':{'stateChangeRequests':%s}}", list);

	assert_int_equal(user_merge(w, &kind_vm, "v0", "status", text), 0);
	world_run(w, 5000);
}

static bool runs(struct world *w)
{
	return world_vmi(w, "v0") && vmi_phase(world_vmi(w, "v0")) == VMI_RUNNING;
}

/* kubevirt-api.md 3, 4: from the VM to a running guest, and everything it leaves on the way */
static void a_vm_starts(void **state)
{
	struct world *w = *state;
	const struct json *vm, *vmi;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	vm = world_vm(w, "v0");
	vmi = world_vmi(w, "v0");
	assert_true(runs(w));
	assert_string_equal(printable(w), "Running");
	assert_true(json_bool(json_at(vm, "/status/created")) && json_bool(json_at(vm, "/status/ready")));
	assert_true(meta_has_finalizer(vm, FINALIZER_VM));
	assert_true(meta_has_finalizer(vmi, FINALIZER_VM) && meta_has_finalizer(vmi, FINALIZER_VMI));
	assert_string_equal(meta_label(vmi, LABEL_NODE_NAME), WORLD_NODE);
	assert_string_equal(json_at_str(vmi, "/status/nodeName"), WORLD_NODE);
	assert_int_equal(json_len(json_at(vmi, "/status/activePods")), 1);
	assert_string_equal(json_at_str(vmi, "/status/migrationMethod"), "BlockMigration");
	assert_string_equal(json_at_str(vmi, "/status/qosClass"), "Burstable");
	assert_true(vmi_cond_is(vmi, COND_READY, "True") && vmi_cond_is(vmi, COND_LIVE_MIGRATABLE, "True"));
	/* one entry per phase we were in */
	assert_true(vmi_since(vmi, VMI_SCHEDULING) && vmi_since(vmi, VMI_SCHEDULED) &&
		    vmi_since(vmi, VMI_RUNNING));
	assert_true(world_quiet(w, 3600000));
}

static void a_guest_that_ends_is_started_again_or_not(void **state)
{
	static const struct {
		const char *strategy;
		bool after_shut_down, after_crash, kept;
	} rows[] = {
		{ "Always", true, true, false },
		{ "RerunOnFailure", false, true, false },
		{ "Manual", false, false, true },
		{ "Once", false, false, true },
	};
	struct world *w = *state;

	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		bool crash = i & 1, again = crash ? rows[i / 2].after_crash : rows[i / 2].after_shut_down;

		user_vm(w, "v0", rows[i / 2].strategy, "1Gi");
		world_run(w, SOON);
		if (!world_vmi(w, "v0"))
			request(w, "[{'action':'Start'}]");
		assert_true(runs(w));
		guest_ends(w, crash ? GUEST_CRASHED : GUEST_SHUT_DOWN);
		world_run(w, 60000);
		if (runs(w) != again || (!again && rows[i / 2].kept != (world_vmi(w, "v0") != NULL)))
			fail_msg("%s after a %s", rows[i / 2].strategy, crash ? "crash" : "shutdown");
		user_delete(w, &kind_vm, "v0");
		world_run(w, 10000);
		assert_null(world_vm(w, "v0"));
	}
}

/* kubevirt-api.md 2.1, 3: restart is [Stop uid, Start] */
static void a_restart_makes_a_new_instance(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *uid = NULL;
	CLEANUP(mem_freep) char *list = NULL;

	user_vm(w, "v0", "Manual", "1Gi");
	world_run(w, SOON);
	assert_null(world_vmi(w, "v0"));
	assert_string_equal(printable(w), "Stopped");
	request(w, "[{'action':'Start'}]");
	assert_true(runs(w));
	uid = mem_strdup(meta_str(world_vmi(w, "v0"), "uid"));
	list = str_printf("[{'action':'Stop','uid':'%s'},{'action':'Start'}]", uid);
	request(w, list);
	assert_true(runs(w));
	assert_string_not_equal(meta_str(world_vmi(w, "v0"), "uid"), uid);
	assert_null(json_at(world_vm(w, "v0"), "/status/stateChangeRequests"));
	assert_int_equal(fake_api_len(w->api, &kind_pod), 1);
}

/* kubevirt-api.md 3, crash-loop back-off */
static void instances_that_never_run_are_tried_less_and_less(void **state)
{
	struct world *w = *state;
	int64_t begun = loop_wall_ms(w->loop);

	w->faults.fail_start = 1000;
	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, 5000);
	assert_string_equal(printable(w), "CrashLoopBackOff");
	assert_int_equal(
		json_i64(json_at(world_vm(w, "v0"), "/status/startFailure/consecutiveFailCount")), 1);
	world_run(w, 600000);
	/* 10, 40, 90, 160, 250 s and up to half as much again, 300 s at most: at 600 s the fifth or sixth at most */
	assert_in_range(w->vmis_made, 4, 7);
	w->faults.fail_start = 0;
	world_run(w, 320000);
	assert_true(runs(w));
	assert_null(json_at(world_vm(w, "v0"), "/status/startFailure"));
	assert_true(loop_wall_ms(w->loop) - begun < 1000000);
}

static void what_keeps_it_from_starting_is_told(void **state)
{
	struct world *w = *state;

	w->faults.unschedulable = true;
	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	assert_string_equal(printable(w), "ErrorUnschedulable");
	assert_non_null(strstr(condition(w, COND_POD_SCHEDULED, "message"), "Insufficient memory"));
	w->faults.unschedulable = false;
	w->faults.image_error = true;
	world_run(w, SOON);
	assert_string_equal(printable(w), "ErrImagePull");
	assert_string_equal(condition(w, COND_SYNCHRONIZED, "message"), "no such image");
	assert_null(condition(w, COND_POD_SCHEDULED, "status"));
	w->faults.image_error = false;
	world_run(w, SOON);
	assert_string_equal(printable(w), "Running");
	assert_null(condition(w, COND_SYNCHRONIZED, "status"));
}

/* kubevirt-api.md 3.2, 4: FailedCreate. Told once, tried on, and forgotten when it works. */
static void what_the_server_refuses_is_told(void **state)
{
	struct world *w = *state;

	w->faults.refuse_vmis = true;
	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, 5000);
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "FailedCreate");
	assert_non_null(strstr(condition(w, COND_FAILURE, "message"), "exceeded quota"));
	assert_true(world_quiet(w, 1000) || world_quiet(w, 1000));
	w->faults.refuse_vmis = false;
	w->faults.refuse_pods = true;
	world_run(w, 65000);
	assert_null(condition(w, COND_FAILURE, "reason"));
	assert_string_equal(condition(w, COND_SYNCHRONIZED, "reason"), "FailedCreate");
	w->faults.refuse_pods = false;
	world_run(w, 65000);
	assert_true(runs(w));
	assert_null(condition(w, COND_SYNCHRONIZED, "reason"));
}

static void a_deleted_vm_takes_everything_along(void **state)
{
	struct world *w = *state;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	user_delete(w, &kind_vm, "v0");
	assert_non_null(world_vm(w, "v0"));
	world_run(w, 200);
	if (world_vm(w, "v0"))
		assert_string_equal(printable(w), "Terminating");
	world_run(w, 10000);
	assert_null(world_vm(w, "v0"));
	assert_int_equal(fake_api_len(w->api, &kind_vmi), 0);
	assert_int_equal(fake_api_len(w->api, &kind_pod), 0);
	assert_int_equal(fake_api_len(w->api, &kind_controllerrevision), 0);
	assert_true(world_quiet(w, 600000));
}

/* The instance waits for its guest, the VM for its instance. */
static void finalizers_hold_while_the_guest_runs(void **state)
{
	struct world *w = *state;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	w->faults.handler_down = true;
	user_delete(w, &kind_vm, "v0");
	world_run(w, 50);
	if (guest(w)->state == GUEST_RUNS) {
		assert_true(meta_has_finalizer(world_vm(w, "v0"), FINALIZER_VM));
		assert_true(meta_has_finalizer(world_vmi(w, "v0"), FINALIZER_VMI));
	}
	w->faults.handler_down = false;
	world_run(w, 10000);
	assert_null(world_vm(w, "v0"));
}

static void a_lost_pod_ends_its_instance(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *uid = NULL;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	uid = mem_strdup(meta_str(world_vmi(w, "v0"), "uid"));
	world_guest(w, uid)->state = GUEST_NONE; /* its node is not there to tell */
	w->faults.handler_down = true;
	fake_api_remove(w->api, &kind_pod, obj_key(fake_api_at(w->api, &kind_pod, 0)));
	world_run(w, SOON);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_true(runs(w));
	assert_string_not_equal(meta_str(world_vmi(w, "v0"), "uid"), uid);
}

/* A launcher that nobody tells to end is ended. */
static void the_pod_of_an_ended_instance_does_not_stay_alive(void **state)
{
	struct world *w = *state;
	struct json_doc *d;

	user_vm(w, "v0", "Manual", "1Gi");
	request(w, "[{'action':'Start'}]");
	w->faults.handler_down = true;
	world_run(w, 200);
	d = obj_draft(fake_api_get(w->api, &kind_vmi, "default/v0"));
	vmi_enter_phase(d, json_root(d), VMI_FAILED, loop_wall_ms(w->loop));
	fake_api_put(w->api, &kind_vmi, d);
	world_run(w, 30000);
	assert_int_equal(fake_api_len(w->api, &kind_pod), 1);
	world_run(w, 45000);
	assert_int_equal(fake_api_len(w->api, &kind_pod), 0);
	assert_non_null(world_vmi(w, "v0")); /* Manual: it is left in place */
}

/* kubevirt-api.md 8 */
static void instances_of_a_dead_node_are_given_up(void **state)
{
	struct world *w = *state;
	char at[TIME_TEXT_MAX];
	struct json_doc *d;

	user_vm(w, "v0", "Manual", "1Gi");
	request(w, "[{'action':'Start'}]");
	assert_true(runs(w));
	d = obj_draft(fake_api_get(w->api, &kind_node, WORLD_NODE));
	meta_set_annotation(d, json_root(d), ANN_HEARTBEAT, time_rfc3339(loop_wall_ms(w->loop), at));
	fake_api_put(w->api, &kind_node, d);
	w->faults.handler_down = true;
	world_run(w, 290000);
	assert_true(runs(w));
	world_run(w, 20000);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_FAILED);
	assert_string_equal(json_at_str(world_vmi(w, "v0"), "/status/reason"), "NodeUnresponsive");
	assert_string_equal(
		meta_label(obj_json(fake_api_get(w->api, &kind_node, WORLD_NODE)), LABEL_SCHEDULABLE),
		"false");
}

/* An instance made by hand under the VM's name: left alone, told, and taken over from when it is gone. */
static void a_foreign_instance_is_waited_for(void **state)
{
	struct world *w = *state;
	struct err e;

	assert_int_equal(user_create(w, &kind_vmi,
				 "{'apiVersion':'kubevirt.io/"
				 "v1','kind':'VirtualMachineInstance','metadata':{'name':'v0'},"
				 "'spec':{'domain':{'devices':{},'memory':{'guest':'1Gi'}}}}",
				 &e),
		0);
	user_vm(w, "v0", "Always", "2Gi");
	world_run(w, SOON);
	assert_true(runs(w));
	assert_string_equal(condition(w, COND_FAILURE, "reason"), "FailedCreate");
	user_delete(w, &kind_vmi, "v0");
	world_run(w, 10000);
	assert_true(runs(w));
	assert_int_equal(guest(w)->boot, 2 * GI);
	assert_null(condition(w, COND_FAILURE, "reason"));
}

/* A start whose answer was lost is begun again with the next generation: the instance that is there tells what it was started
 * from (sim, seed 10057). */
static void an_instance_names_its_revision(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *newer = NULL;
	struct json_doc *d;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	world_kill(w);
	user_merge(w, &kind_vm, "v0", NULL, "{'spec':{'template':{'spec':{'hostname':'b'}}}}");
	newer = str_printf("revision-start-vm-%s-2", meta_str(world_vm(w, "v0"), "uid"));
	d = obj_draft(fake_api_at(w->api, &kind_controllerrevision, 0));
	json_put_str(d, json_root(d), "/metadata/name", newer);
	json_put_str(d, json_root(d), "/metadata/uid", "33333333-3333-4333-8333-333333333333");
	json_put_str(d, json_root(d), "/data/spec/template/spec/hostname", "b");
	fake_api_put(w->api, &kind_controllerrevision, d);
	world_start(w);
	world_run(w, SOON);
	assert_non_null(
		strstr(json_str_or(json_get(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"),
						    COND_RESTART_REQUIRED),
					   "message"),
			       ""),
			"hostname"));
}

/* decided by the pods' image, told by a label (kubevirt-api.md 4) */
static void outdated_launchers_are_marked(void **state)
{
	struct world *w = *state;

	user_vm(w, "v0", "Always", "1Gi");
	world_run(w, SOON);
	assert_null(meta_label(world_vmi(w, "v0"), LABEL_OUTDATED_LAUNCHER));
	world_kill(w);
	w->vmi_env.launcher_image = "coracle.dev/virt-launcher:v2";
	world_start(w);
	world_run(w, SOON);
	assert_non_null(meta_label(world_vmi(w, "v0"), LABEL_OUTDATED_LAUNCHER));
	assert_true(runs(w));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_vm_starts),
		T(a_guest_that_ends_is_started_again_or_not),
		T(a_restart_makes_a_new_instance),
		T(instances_that_never_run_are_tried_less_and_less),
		T(what_keeps_it_from_starting_is_told),
		T(what_the_server_refuses_is_told),
		T(a_deleted_vm_takes_everything_along),
		T(finalizers_hold_while_the_guest_runs),
		T(a_lost_pod_ends_its_instance),
		T(the_pod_of_an_ended_instance_does_not_stay_alive),
		T(instances_of_a_dead_node_are_given_up),
		T(a_foreign_instance_is_waited_for),
		T(an_instance_names_its_revision),
		T(outdated_launchers_are_marked),
	};

	return cmocka_run_group_tests_name("lifecycle", tests, NULL, NULL);
}
