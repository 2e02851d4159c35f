/* SPDX-License-Identifier: Apache-2.0 */
/* What virt-handler does about the number of a guest's sockets. Numbers are those of rollout.md 6. */
#include "kubevirt/handler/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/patch.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"

#define NOW 1700000000000

#define CPU(sockets, more) "'cpu':{'sockets':" sockets ",'cores':1,'threads':1,'maxSockets':8" more "}"
/* The condition is from :00. */
#define HOT(status, reason)                                                                   \
	"'conditions':[{'type':'HotVCPUChange','status':'" status "','reason':'" reason "','" \
	"lastTransitionTime':'2023-11-14T22:10:00Z'}]"
#define MOVED(node, at)                                                                          \
	",'migrationState':{'completed':true,'targetNode':'" node "','startTimestamp':'2023-11-" \
	"14T22:10:05Z','endTimestamp':'" at "'}"
#define HERE MOVED("n1", "2023-11-14T22:10:20Z")

struct scene {
	struct obj *vmi, *pod;
	struct json_doc *state;
	struct guest_facts facts;
	struct kv_config config;
	struct guest_view view;
	struct plan *plan;
	struct json_doc *after; /* the VMI with the plan's patches */
};

static void scene_init(struct scene *s, const char *cpu, const char *status, const char *pod_cpu, int has)
{
	CLEANUP(mem_freep)
	char *vmi = str_printf(
		"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachineInstance','metadata':{'name':'vm',"
		"'namespace':'default','uid':'u1','resourceVersion':'7','labels':{'kubevirt.io/"
		"nodeName':'n1',"
		"'kubevirt.io/"
		"vmi-pod-cpu-resource-limits':'4'}},'spec':{'domain':{%s}},'status':{'phase':'Running',"
		"'nodeName':'n1','currentCPUTopology':{'sockets':%d,'cores':1,'threads':1},%s}}",
		cpu, has, status);
	CLEANUP(mem_freep)
	char *pod = str_printf(
		"{'metadata':{'name':'p','namespace':'default'},'spec':{'containers':[{'name':'compute',"
		"'resources':{'requests':{'cpu':'%s'}}}]},'status':{'phase':'Running','containerStatuses':[{"
		"'name':'compute','state':{'running':{}},'resources':{'requests':{'cpu':'%s'}}}]}}",
		pod_cpu, pod_cpu);
	CLEANUP(mem_freep)
	char *state = str_printf(
		"{'phase':'Running','cpus':{'sockets':%d,'cores':1,'threads':1,'changing':false}}", has);

	memset(s, 0, sizeof(*s));
	s->vmi = obj_from_doc(json_lit(vmi));
	s->pod = obj_from_doc(json_lit(pod));
	s->state = json_lit(state);
	s->facts = (struct guest_facts){ .attached = true, .connected = true, .state = json_root(s->state) };
	kv_config_from(NULL, &s->config);
	s->view = (struct guest_view){ .key = "default/vm",
		.uid = "u1",
		.node = "n1",
		.vmi = s->vmi,
		.pod = s->pod,
		.facts = &s->facts,
		.config = &s->config,
		.now = NOW };
	s->plan = plan_new();
}

static void scene_done(struct scene *s)
{
	obj_unref(s->vmi);
	obj_unref(s->pod);
	json_doc_free(s->state);
	json_doc_free(s->after);
	plan_free(s->plan);
}

static void run(struct scene *s)
{
	struct err e;

	plan_clear(s->plan);
	json_doc_free(TAKE(s->after));
	guest_decide(&s->view, s->plan);
	s->after = obj_draft(s->vmi);
	for (size_t i = 0; i < plan_len(s->plan); i++) {
		const struct intent *it = plan_at(s->plan, i);
		struct json_doc *next;

		if (it->type != INTENT_PATCH)
			continue;
		assert_int_equal(patch_json(json_root(s->after), json_root(it->doc), &next, &e), 0);
		json_doc_free(s->after);
		s->after = next;
	}
}

static const struct json *cond(const struct scene *s)
{
	return cond_find(json_at(json_root(s->after), "/status/conditions"), COND_HOT_CPU);
}

static int64_t topology(const struct scene *s)
{
	return json_i64(json_at(json_root(s->after), "/status/currentCPUTopology/sockets"));
}

static const struct intent *find(const struct scene *s, enum intent_type type, const char *name)
{
	for (size_t i = 0; i < plan_len(s->plan); i++) {
		const struct intent *it = plan_at(s->plan, i);

		if (it->type == type && str_eq(type == INTENT_ACTION ? it->action : it->reason, name))
			return it;
	}
	return NULL;
}

/* Sockets it asks for; 0: it does not. */
static int64_t asks(const struct scene *s)
{
	const struct intent *it = find(s, INTENT_ACTION, GUEST_SET_CPUS);

	return it ? json_i64(json_get(json_root(it->doc), "sockets")) : 0;
}

#define SCENE(s, cpu, status, pod_cpu, has)                  \
	struct scene s __attribute__((cleanup(scene_done))); \
	scene_init(&s, cpu, status, pod_cpu, has);           \
	run(&s)

static void the_pod_goes_first(void **state)
{
	SCENE(none, CPU("2", ""), HOT("True", HOT_CPU_IN_PLACE), "100m", 1);
	assert_int_equal(asks(&none), 0);
	assert_non_null(cond(&none));
	SCENE(room, CPU("2", ""), HOT("True", HOT_CPU_IN_PLACE), "200m", 1);
	assert_int_equal(asks(&room), 2);
	/* asked for, and not yet given */
	SCENE(asked, CPU("2", ""), HOT("True", HOT_CPU_IN_PLACE), "200m", 1);
	struct json_doc *d = obj_draft(asked.pod);
	json_put_str(d, json_item(json_at(json_root(d), "/status/containerStatuses"), 0),
		"/resources/requests/cpu", "100m");
	obj_unref(asked.pod);
	asked.view.pod = asked.pod = obj_from_doc(d);
	run(&asked);
	assert_int_equal(asks(&asked), 0);
	/* what is wanted itself, not the ratio's share, where the VM says so */
	SCENE(given, CPU("2", "") ",'resources':{'requests':{'cpu':'1500m'}}", HOT("True", HOT_CPU_IN_PLACE),
		"200m", 1);
	assert_int_equal(asks(&given), 0);
}

/* The end of the condition and the new topology in one patch (rollout.md 3.2). */
static void what_the_guest_has_is_told_with_the_end_of_the_condition(void **state)
{
	SCENE(s, CPU("2", ""), HOT("True", HOT_CPU_IN_PLACE), "200m", 1);
	s.facts.cpus = (struct guest_cpus){ .busy = true, .target = 2 };
	json_put(s.state, json_root(s.state), "/cpus/sockets", json_new_i64(s.state, 2));
	run(&s);
	assert_int_equal(asks(&s), 0);
	assert_int_equal(topology(&s), 1); /* it stands still until then */
	s.facts.cpus = (struct guest_cpus){ .done = true, .target = 2 };
	run(&s);
	assert_int_equal(topology(&s), 2);
	assert_null(cond(&s));
	assert_non_null(find(&s, INTENT_ACTION, GUEST_CPUS_SEEN));
	/* after a restart of ours nobody knows that it was asked: what is there says it */
	s.facts.cpus = (struct guest_cpus){ 0 };
	run(&s);
	assert_null(cond(&s));
	assert_int_equal(topology(&s), 2);
}

static void a_newer_value_is_sent_behind_the_older(void **state)
{
	SCENE(s, CPU("3", ""), HOT("True", HOT_CPU_IN_PLACE), "300m", 1);
	s.facts.cpus = (struct guest_cpus){ .busy = true, .target = 2 };
	run(&s);
	assert_int_equal(asks(&s), 3);
	s.facts.cpus = (struct guest_cpus){ .done = true, .target = 2 }; /* too late to be of interest */
	run(&s);
	assert_int_equal(asks(&s), 3);
	assert_non_null(cond(&s));
}

/* rollout.md 7.12 */
static void a_failure_is_tried_again_a_few_times(void **state)
{
	SCENE(s, CPU("2", ""), HOT("True", HOT_CPU_IN_PLACE), "200m", 1);
	int64_t at = 0;

	s.facts.cpus = (struct guest_cpus){
		.done = true, .target = 2, .error = "no answer", .failures = 2, .failed_at = NOW - 1000
	};
	run(&s);
	assert_int_equal(asks(&s), 0);
	assert_true(plan_again(s.plan, &at) && at == NOW + 1000);
	s.view.now = at;
	s.facts.cpus.done = false;
	run(&s);
	assert_int_equal(asks(&s), 2);
	s.facts.cpus.done = true;
	s.facts.cpus.failures = GUEST_CPUS_TRIES;
	run(&s);
	assert_string_equal(json_get_str(cond(&s), "status"), "False");
	assert_string_equal(json_get_str(cond(&s), "reason"), HOT_CPU_FAILED);
	assert_string_equal(json_get_str(cond(&s), "message"), "no answer");
	assert_non_null(find(&s, INTENT_EVENT, "CPUHotplugFailed"));
	assert_int_equal(topology(&s), 1);
}

/* What is refused is refused at once; decision 20: only the gate lets CPUs be taken away. */
static void a_refusal_is_final(void **state)
{
	SCENE(s, CPU("1", ""), HOT("True", HOT_CPU_IN_PLACE), "200m", 2);
	const struct intent *it = find(&s, INTENT_ACTION, GUEST_SET_CPUS);

	assert_non_null(it);
	assert_false(json_bool(json_get(json_root(it->doc), "remove")));
	s.config.gates.on[GATE_CPU_HOT_UNPLUG] = true;
	run(&s);
	it = find(&s, INTENT_ACTION, GUEST_SET_CPUS);
	assert_true(json_bool(json_get(json_root(it->doc), "remove")));
	s.facts.cpus = (struct guest_cpus){
		.done = true, .target = 1, .error = "under emulation", .failures = 1, .refused = true
	};
	run(&s);
	assert_string_equal(json_get_str(cond(&s), "status"), "False");
	assert_string_equal(
		json_at_str(json_root(s.after), "/metadata/annotations/coracle.dev~1hot-cpu-target"), "1");
	assert_int_equal(topology(&s), 2);
}

static void what_waits_for_a_migration_is_left_alone(void **state)
{
	SCENE(waits, CPU("2", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION), "200m", 1);
	assert_int_equal(asks(&waits), 0);
	assert_non_null(cond(&waits));
	/* one to another node, one before the change was wanted, and one whose pod is too small */
	SCENE(other, CPU("2", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION) MOVED("n2", "2023-11-14T22:10:20Z"),
		"200m", 1);
	assert_int_equal(asks(&other), 0);
	SCENE(before, CPU("2", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION) MOVED("n1", "2023-11-14T22:09:20Z"),
		"200m", 1);
	assert_int_equal(asks(&before), 0);
	SCENE(small, CPU("2", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION) HERE, "100m", 1);
	assert_int_equal(asks(&small), 0);
	assert_non_null(cond(&small));
}

/* 40: dedicated CPUs by the label of the hand-over, which goes with the condition */
static void after_a_migration_the_guest_gets_what_waited(void **state)
{
	SCENE(s, CPU("4", ",'dedicatedCpuPlacement':true"), HOT("True", HOT_CPU_NEEDS_MIGRATION) HERE, "4",
		2);
	assert_int_equal(asks(&s), 4);
	assert_non_null(cond(&s));
	s.facts.cpus = (struct guest_cpus){ .done = true, .target = 4 };
	run(&s);
	assert_int_equal(topology(&s), 4);
	assert_null(cond(&s));
	assert_null(meta_label(json_root(s.after), LABEL_POD_CPU_LIMITS));
	/* 39 */
	SCENE(plain, CPU("2", ""), HOT("True", "") HERE, "200m", 1);
	assert_int_equal(asks(&plain), 2);
}

/* 41 */
static void a_pod_with_too_few_cpus_of_its_own_is_told(void **state)
{
	SCENE(s, CPU("5", ",'dedicatedCpuPlacement':true"), HOT("True", HOT_CPU_NEEDS_MIGRATION) HERE, "4",
		2);
	const struct intent *it = find(&s, INTENT_EVENT, "CPUHotplugFailed");

	assert_int_equal(asks(&s), 0);
	assert_true(it && it->warning && strstr(it->message, "failed to change vCPUs"));
	assert_null(cond(&s));
	assert_null(meta_label(json_root(s.after), LABEL_POD_CPU_LIMITS));
	assert_int_equal(topology(&s), 2);
	assert_int_equal(hot_cpu_failures(json_root(s.after), 5), 1);
	assert_int_equal(hot_cpu_failures(json_root(s.after), 6), 0);
}

/* 42: the migration is over all the same */
static void a_call_that_fails_after_a_migration_is_told(void **state)
{
	SCENE(s, CPU("2", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION) HERE, "200m", 1);

	s.facts.cpus = (struct guest_cpus){ .done = true, .target = 2, .error = "no", .failures = 1 };
	run(&s);
	assert_non_null(find(&s, INTENT_EVENT, "CPUHotplugFailed"));
	assert_null(cond(&s));
	assert_int_equal(topology(&s), 1);
	assert_int_equal(hot_cpu_failures(json_root(s.after), 2), 1);
}

/* Taken back while the launcher is at it: only when it has answered is it known that nothing comes late, into a pod that has
 * become smaller (sim, seed 33074946 of the time). */
static void what_is_taken_back_after_a_migration_is_waited_for(void **state)
{
	SCENE(s, CPU("1", ""), HOT("True", HOT_CPU_NEEDS_MIGRATION) HERE, "200m", 1);

	s.facts.cpus = (struct guest_cpus){ .busy = true, .target = 2 };
	run(&s);
	assert_non_null(cond(&s));
	assert_int_equal(asks(&s), 1);
	s.facts.cpus = (struct guest_cpus){ .busy = true, .target = 1 };
	run(&s);
	assert_non_null(cond(&s));
	assert_int_equal(asks(&s), 0);
	s.facts.cpus = (struct guest_cpus){ .done = true, .target = 1 };
	run(&s);
	assert_null(cond(&s));
	assert_int_equal(topology(&s), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pod_goes_first),
		cmocka_unit_test(what_the_guest_has_is_told_with_the_end_of_the_condition),
		cmocka_unit_test(a_newer_value_is_sent_behind_the_older),
		cmocka_unit_test(a_failure_is_tried_again_a_few_times),
		cmocka_unit_test(a_refusal_is_final),
		cmocka_unit_test(what_waits_for_a_migration_is_left_alone),
		cmocka_unit_test(after_a_migration_the_guest_gets_what_waited),
		cmocka_unit_test(a_pod_with_too_few_cpus_of_its_own_is_told),
		cmocka_unit_test(a_call_that_fails_after_a_migration_is_told),
		cmocka_unit_test(what_is_taken_back_after_a_migration_is_waited_for),
	};

	return cmocka_run_group_tests_name("guest_cpu", tests, NULL, NULL);
}
