/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of running VMs where it is not plain: below the start, above the maximum, where the cluster, the node or the launcher
 * does not play along. Behaviours by their numbers in rollout.md 6 and 7. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "api/meta.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

#define SOON 3000
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

/* ---- shorthands; the VM is v0 ---- */
static void run_vm(struct world *w, const char *annotations, const char *memory)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{'name':'v0'},"
			   "'spec':{'runStrategy':'Always','template':{'metadata':{'annotations':{%s}},"
			   "'spec':{'domain':{'devices':{},'memory':{%s}}}}}}",
			annotations, memory);
	struct err e = { 0 };

	if (user_create(w, &kind_vm, text, &e) < 0)
		fail_msg("%s", e.msg);
	world_run(w, SOON);
	assert_int_equal(vmi_phase(world_vmi(w, "v0")), VMI_RUNNING);
}

static void memory(struct world *w, const char *members)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'spec':{'template':{'spec':{'domain':{'memory':{%s}}}}}}", members);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

static const char *condition(struct world *w, const char *type, const char *field)
{
	return json_get_str(cond_find(json_at(world_vm(w, "v0"), "/status/conditions"), type), field);
}

static void assert_part(const char *have, const char *want, int line)
{
	if (!have || !strstr(have, want))
		fail_msg("line %d: \"%s\" is not in \"%s\"", line, want, have ? have : "(nothing)");
}
#define assert_rr(w, text) assert_part(condition(w, COND_RESTART_REQUIRED, "message"), text, __LINE__)
#define assert_no_rr(w) assert_null(condition(w, COND_RESTART_REQUIRED, "message"))
#define assert_hot(w, text) assert_part(condition(w, COND_HOT_MEMORY, "message"), text, __LINE__)

static struct guest *guest(struct world *w)
{
	return world_guest(w, meta_str(world_vmi(w, "v0"), "uid"));
}

static int64_t max_guest(struct world *w)
{
	return vmi_guest_max(world_vmi(w, "v0"));
}

/* ---- below the start: rollout.md 7.6 ---- */
static void a_guest_with_a_floor_shrinks_below_its_start(void **state)
{
	struct world *w = *state;

	run_vm(w, "'coracle.dev/memory-floor':'1Gi'", "'guest':'3Gi'");
	memory(w, "'guest':'1Gi'");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, GI);
	assert_int_equal(guest(w)->boot, 3 * GI);
	assert_int_equal(vmi_guest_at_boot(world_vmi(w, "v0")), 3 * GI);
	memory(w, "'guest':'4Gi'");
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 4 * GI);
}

/* 56 stays for those who did not ask */
static void without_a_floor_the_start_is_the_least(void **state)
{
	struct world *w = *state;

	run_vm(w, "'coracle.dev/memory-floor':'3Gi'", "'guest':'2Gi'"); /* above the start: no floor */
	memory(w, "'guest':'1Gi'");
	assert_rr(w, "to a value lower than what the VM started with");
	assert_int_equal(guest(w)->memory, 2 * GI);
}

/* ---- above the maximum: rollout.md 7.7, decision 12 ---- */
static void a_maximum_is_raised_where_room_was_reserved(void **state)
{
	struct world *w = *state;

	run_vm(w, "'coracle.dev/memory-room':'8Gi'", "'guest':'1Gi','maxGuest':'2Gi'");
	memory(w, "'guest':'4Gi','maxGuest':'6Gi'"); /* in one edit */
	assert_no_rr(w);
	assert_int_equal(max_guest(w), 6 * GI);
	assert_int_equal(guest(w)->memory, 4 * GI);
	memory(w, "'maxGuest':'16Gi'"); /* more than was reserved */
	assert_rr(w, "spec.template.spec.domain.memory.maxGuest");
	assert_int_equal(max_guest(w), 6 * GI);
	memory(w, "'guest':'1Gi','maxGuest':'2Gi'"); /* as it was started */
	assert_no_rr(w);
	assert_int_equal(max_guest(w), 2 * GI);
	assert_int_equal(guest(w)->memory, GI);
	assert_true(world_quiet(w, HOUR));
}

static void a_maximum_can_not_go_below_the_size(void **state)
{
	struct world *w = *state;

	run_vm(w, "'coracle.dev/memory-room':'8Gi'", "'guest':'1Gi','maxGuest':'2Gi'");
	memory(w, "'guest':'4Gi','maxGuest':'6Gi'");
	/* virt-api refuses 4Gi of 2Gi; the strategy changes meanwhile and it is let through */
	user_config(w, "{'spec':{'configuration':{'vmRolloutStrategy':'Stage'}}}");
	memory(w, "'maxGuest':'2Gi'");
	user_config(w, "{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}");
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, 4 * GI);
	memory(w, "'maxGuest':'6Gi'");
	assert_no_rr(w);
	assert_int_equal(max_guest(w), 6 * GI);
}

static void without_room_a_maximum_is_staged(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi','maxGuest':'2Gi'");
	memory(w, "'maxGuest':'4Gi'");
	assert_rr(w, "a non-live-updatable field was changed in the template spec: "
		     "spec.template.spec.domain.memory.maxGuest \"2Gi\" -> \"4Gi\"");
	assert_int_equal(max_guest(w), 2 * GI);
	memory(w, "'maxGuest':'2Gi'");
	assert_no_rr(w);
}

/* ---- a cluster that can not resize pods: rollout.md 7.4 ---- */
static void without_pods_resize_it_goes_the_way_of_a_migration(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi'");
	w->faults.no_resize = true;
	memory(w, "'guest':'2Gi'");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_hot(w, "the API server does not resize the pod (");
	assert_hot(w, "could not find the requested resource");
	assert_rr(w, "live migration is not enabled"); /* decision 19 */
	assert_true(world_quiet(w, HOUR));
	user_config(w, "{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}");
	world_run(w, SOON);
	assert_no_rr(w); /* it waits, and says what for */
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_int_equal(guest(w)->set_memory_calls, 0);
	memory(w, "'guest':'1Gi'"); /* nothing was touched */
	assert_null(condition(w, COND_HOT_MEMORY, "reason"));
	assert_no_rr(w);
	w->faults.no_resize = false; /* a newer cluster */
	memory(w, "'guest':'2Gi'");
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_no_rr(w);
	assert_null(meta_annotation(world_vmi(w, "v0"), ANN_RESIZE_REFUSED));
}

/* A quota is in the way, and then it is not: nobody has to edit the VM again. */
#define QUOTA(hard, used)                                                                         \
	"{'metadata':{'namespace':'default','name':'q'},'spec':{'hard':{'requests.memory':'" hard \
	"'}},'status':{'used':{'requests.memory':'" used "'}}}"
static void room_in_a_quota_is_used_when_it_comes(void **state)
{
	struct world *w = *state;

	fake_api_put(w->api, &kind_resourcequota, json_lit(QUOTA("2500Mi", "1312Mi")));
	user_config(w, "{'spec':{'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}");
	run_vm(w, "", "'guest':'1Gi'");
	memory(w, "'guest':'3Gi'");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_hot(w, "exceeded quota");
	fake_api_put(w->api, &kind_resourcequota, json_lit(QUOTA("3Gi", "1312Mi"))); /* not enough */
	world_run(w, SOON);
	assert_hot(w, "exceeded quota");
	assert_true(world_quiet(w, HOUR));
	fake_api_put(w->api, &kind_resourcequota, json_lit(QUOTA("8Gi", "1312Mi")));
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, 3 * GI);
	assert_null(condition(w, COND_HOT_MEMORY, "reason"));
	assert_null(meta_annotation(world_vmi(w, "v0"), ANN_RESIZE_REFUSED));
	assert_true(world_quiet(w, HOUR));
}

/* ---- failures: rollout.md 7.12 ---- */
static void passing_failures_are_tried_five_times(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi'");
	w->faults.lost = 1000;
	memory(w, "'guest':'2Gi'");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "status"), "True");
	assert_hot(w, " of 5: no answer in time");
	assert_no_rr(w);
	world_run(w, 30000);
	assert_int_equal(guest(w)->set_memory_calls, HOT_MEMORY_ATTEMPTS_MAX);
	assert_string_equal(condition(w, COND_HOT_MEMORY, "status"), "False");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), "Memory Hotplug Failed");
	assert_rr(w, "Memory-hotplug failed");
	assert_true(world_quiet(w, HOUR));
	w->faults.lost = 0;
	memory(w, "'guest':'3Gi'"); /* another value is another attempt */
	assert_no_rr(w);
	assert_int_equal(guest(w)->memory, 3 * GI);
}

static void a_later_attempt_may_do(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi'");
	w->faults.lost = 1000;
	memory(w, "'guest':'2Gi'");
	w->faults.lost = 0;
	world_run(w, 10000);
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
	assert_null(meta_annotation(world_vmi(w, "v0"), ANN_HOT_MEMORY_FAILURES));
	assert_no_rr(w);
}

/* What a guest takes later, by itself, ends the failure. */
static void what_comes_late_still_counts(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi'");
	w->faults.partial = 1000;
	memory(w, "'guest':'2Gi'");
	assert_rr(w, "\"1536Mi\" -> \"2Gi\"");
	assert_hot(w, "2Gi were asked for, the guest took no more than 1536Mi");
	guest(w)->memory = 2 * GI;
	world_run(w, SOON);
	assert_no_rr(w);
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
	assert_int_equal(vmi_guest_requested(world_vmi(w, "v0")), 2 * GI);
}

/* ---- rollout.md 3.3, 2. and 68 ---- */
static void huge_pages_wait_for_a_migration(void **state)
{
	struct world *w = *state;

	run_vm(w, "", "'guest':'1Gi','hugepages':{'pageSize':'2Mi'}");
	memory(w, "'guest':'2Gi'");
	assert_string_equal(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_NEEDS_MIGRATION);
	assert_hot(w, "memory of huge pages can not grow in place");
	assert_int_equal(guest(w)->memory, GI);
}

/* 63 */
static void the_overhead_ratio_is_told_while_it_is_under_way(void **state)
{
	struct world *w = *state;

	user_config(w, "{'spec':{'configuration':{'additionalGuestMemoryOverheadRatio':'1.5'}}}");
	run_vm(w, "", "'guest':'1Gi'");
	assert_null(meta_label(world_vmi(w, "v0"), LABEL_MEMORY_OVERHEAD_RATIO));
	w->faults.handler_down = true;
	memory(w, "'guest':'2Gi'");
	assert_string_equal(meta_label(world_vmi(w, "v0"), LABEL_MEMORY_OVERHEAD_RATIO), "1.5");
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_null(meta_label(world_vmi(w, "v0"), LABEL_MEMORY_OVERHEAD_RATIO));
	assert_int_equal(guest(w)->memory, 2 * GI);
}

/* ---- limits that the namespace wants: kubevirt-api.md 7.1 ---- */
static const char *pod_memory(struct world *w, const char *which)
{
	const struct json *c = compute_in(
		json_at(obj_json(world_pod_of(w, meta_str(world_vmi(w, "v0"), "uid"))), "/spec/containers"),
		NULL);

	return json_str_or(json_at(json_get(json_get(c, "resources"), which), "/memory"), "(none)");
}

static void a_quota_of_limits_gives_the_pod_one_which_grows_with_it(void **state)
{
	struct world *w = *state;

	fake_api_put(w->api, &kind_namespace, json_lit("{'metadata':{'name':'default'}}"));
	fake_api_put(w->api, &kind_resourcequota,
		json_lit("{'metadata':{'namespace':'default','name':'q'},'spec':{'hard':{'limits.memory':'"
			 "64Gi'}}}"));
	world_run(w, SOON);
	run_vm(w, "", "'guest':'1Gi'");
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	assert_string_equal(pod_memory(w, "limits"), "2624Mi");
	memory(w, "'guest':'2Gi'");
	assert_int_equal(guest(w)->memory, 2 * GI);
	assert_string_equal(pod_memory(w, "requests"), "2336Mi");
	assert_string_equal(pod_memory(w, "limits"), "4672Mi");
	memory(w, "'guest':'1Gi'");
	assert_string_equal(pod_memory(w, "limits"), "2624Mi");
	assert_true(world_quiet(w, HOUR));
}

static void the_namespace_says_how_much_of_a_limit(void **state)
{
	struct world *w = *state;

	fake_api_put(w->api, &kind_namespace,
		json_lit("{'metadata':{'name':'default','labels':{'alpha.kubevirt.io/"
			 "auto-memory-limits-ratio':'1.5'}}}"));
	fake_api_put(w->api, &kind_resourcequota,
		json_lit("{'metadata':{'namespace':'default','name':'q'},'spec':{'hard':{'limits.memory':'"
			 "64Gi'}}}"));
	world_run(w, SOON);
	run_vm(w, "", "'guest':'1Gi'");
	assert_string_equal(pod_memory(w, "limits"), "1968Mi");
}

/* ---- reverted while the launcher is at it, and nobody is there who could tell it ---- */
#define IN_PLACE(which) \
	"{'spec':{'configuration':{'developerConfiguration':{'disabledFeatureGates':" which "}}}}"

static void sockets(struct world *w, const char *n)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'spec':{'template':{'spec':{'domain':{'cpu':{'sockets':%s}}}}}}", n);

	assert_int_equal(user_merge(w, &kind_vm, "v0", NULL, text), 0);
	world_run(w, SOON);
}

/* Meanwhile something stands in the way: the gate, or the node, which has no room for a CPU more. */
static void told_and_reverted(struct world *w, bool gate)
{
	user_vm_with(w, "v0", "Always", "1Gi", "'cpu':{'sockets':1,'cores':1,'threads':1},");
	world_run(w, SOON);
	w->faults.slow = 1000;
	memory(w, "'guest':'2Gi'");
	assert_int_equal(guest(w)->due_memory, 2 * GI);
	handler_kill(w);
	w->faults.handler_down = true;
	if (gate) {
		user_config(w, IN_PLACE("['InPlaceHotplug']"));
	} else {
		w->faults.no_room = true;
		sockets(w, "2");
	}
	memory(w, "'guest':'1Gi'");
	user_config(w, IN_PLACE("null"));
	w->faults.no_room = false;
	if (!gate)
		sockets(w, "1");
	world_run(w, 30 * SOON);
	assert_part(condition(w, COND_HOT_MEMORY, "reason"), HOT_MEMORY_IN_PLACE, __LINE__);
	assert_string_equal(pod_memory(w, "requests"), "2336Mi");
}

/* Until virt-handler knows, the pod keeps what the guest may still take. */
static void what_may_come_late_keeps_its_room(void **state)
{
	struct world *w = *state;

	told_and_reverted(w, false);
	w->faults.slow = 0;
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, 2 * GI);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, GI);
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
	assert_no_rr(w);
	assert_true(world_quiet(w, HOUR));
	check_settled(w);
}

static void what_has_not_come_is_taken_back(void **state)
{
	struct world *w = *state;

	told_and_reverted(w, true);
	w->faults.handler_down = false;
	world_run(w, SOON);
	assert_int_equal(guest(w)->due_memory, GI);
	w->faults.slow = 0;
	world_run(w, SOON);
	assert_int_equal(guest(w)->memory, GI);
	assert_string_equal(pod_memory(w, "requests"), "1312Mi");
	assert_null(condition(w, COND_HOT_MEMORY, "status"));
	assert_no_rr(w);
	assert_true(world_quiet(w, HOUR));
	check_settled(w);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_guest_with_a_floor_shrinks_below_its_start),
		T(without_a_floor_the_start_is_the_least),
		T(a_maximum_is_raised_where_room_was_reserved),
		T(a_maximum_can_not_go_below_the_size),
		T(without_room_a_maximum_is_staged),
		T(without_pods_resize_it_goes_the_way_of_a_migration),
		T(room_in_a_quota_is_used_when_it_comes),
		T(passing_failures_are_tried_five_times),
		T(a_later_attempt_may_do),
		T(what_comes_late_still_counts),
		T(huge_pages_wait_for_a_migration),
		T(a_quota_of_limits_gives_the_pod_one_which_grows_with_it),
		T(the_namespace_says_how_much_of_a_limit),
		T(the_overhead_ratio_is_told_while_it_is_under_way),
		T(what_may_come_late_keeps_its_room),
		T(what_has_not_come_is_taken_back),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
