/* SPDX-License-Identifier: Apache-2.0 */
/* What virt-handler does about a guest and its node: decisions only, no I/O. */
#include "kubevirt/handler/guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "api/patch.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/handler/node.h"

#define NOW 1767323045000 /* 2026-01-02T03:04:05Z */
#define GI (1LL << 30)

#define VMI(phase, more)                                                                     \
	"{'apiVersion':'kubevirt.io/"                                                        \
	"v1','kind':'VirtualMachineInstance','metadata':{'name':'vm','namespace':'default'," \
	"'uid':'u1','resourceVersion':'7','labels':{'kubevirt.io/"                           \
	"nodeName':'n1'}},'spec':{'domain':{'memory':"                                       \
	"{'guest':'2Gi','maxGuest':'4Gi'}}},'status':{'phase':'" phase "','nodeName':'n1'" more "}}"
#define BOOTED "'memory':{'guestAtBoot':'1Gi','guestRequested':'1Gi','guestCurrent':'1Gi'}"
#define HOT(reason) \
	"," BOOTED ",'conditions':[{'type':'HotMemoryChange','status':'True','reason':'" reason "'}]"
#define POD(spec, status)                                                                                    \
	"{'metadata':{'name':'p','namespace':'default','annotations':{'kubevirt.io/"                         \
	"memory-overhead-bytes':'268435456'}},"                                                              \
	"'spec':{'containers':[{'name':'compute','resources':{'requests':{'memory':'" spec                   \
	"'}}}]},'status':{'phase':"                                                                          \
	"'Running','podIP':'10.44.0.9','podIPs':[{'ip':'10.44.0.9'}],'containerStatuses':[{'name':'compute'" \
	",'state':"                                                                                          \
	"{'running':{}},'resources':{'requests':{'memory':'" status "'}}}]}}"
#define STATE(phase, requested, current)                                                                  \
	"{'phase':'" phase                                                                                \
	"','machine':'pc-q35-7.2','memory':{'guestAtBoot':1073741824,'requested':" #requested             \
	",'current':" #current                                                                            \
	",'max':4294967296,'resizing':false},'cpus':{'sockets':1,'cores':2,'threads':1},"                 \
	"'guest':{'agent':false},'interfaces':[{'name':'default','mac':'02:00:00:00:00:01','masquerade':" \
	"true}],"                                                                                         \
	"'disks':[{'name':'root','target':'vda','size':1048576}]}"

struct scene {
	struct obj *vmi, *pod;
	struct json_doc *state;
	struct guest_facts facts;
	struct kv_config config;
	struct guest_view view;
	struct plan *plan;
	struct json_doc *after; /* the VMI with the plan's patches */
	struct str text;
};

static void scene_init(struct scene *s, const char *vmi, const char *pod, const char *state)
{
	memset(s, 0, sizeof(*s));
	s->vmi = vmi ? obj_from_doc(json_lit(vmi)) : NULL;
	s->pod = pod ? obj_from_doc(json_lit(pod)) : NULL;
	s->state = state ? json_lit(state) : NULL;
	s->facts = (struct guest_facts){
		.attached = true, .connected = true, .state = s->state ? json_root(s->state) : NULL
	};
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

static void run(struct scene *s)
{
	struct err e;

	plan_clear(s->plan);
	str_clear(&s->text);
	json_doc_free(TAKE(s->after));
	guest_decide(&s->view, s->plan);
	plan_text(s->plan, &s->text);
	if (!s->vmi)
		return;
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

static void scene_done(struct scene *s)
{
	obj_unref(s->vmi);
	obj_unref(s->pod);
	json_doc_free(s->state);
	json_doc_free(s->after);
	plan_free(s->plan);
	str_done(&s->text);
}

static const char *at(const struct scene *s, const char *pointer)
{
	return json_str_or(json_at(json_root(s->after), pointer), "");
}

static const struct json *cond(const struct scene *s, const char *type)
{
	return cond_find(json_at(json_root(s->after), "/status/conditions"), type);
}

static const struct intent *action(const struct scene *s, const char *name)
{
	for (size_t i = 0; i < plan_len(s->plan); i++)
		if (plan_at(s->plan, i)->type == INTENT_ACTION && str_eq(plan_at(s->plan, i)->action, name))
			return plan_at(s->plan, i);
	return NULL;
}

static bool event(const struct scene *s, const char *reason, const char *message)
{
	for (size_t i = 0; i < plan_len(s->plan); i++) {
		const struct intent *it = plan_at(s->plan, i);

		if (it->type == INTENT_EVENT && str_eq(it->reason, reason) && strstr(it->message, message))
			return true;
	}
	return false;
}

static int64_t number(const struct intent *i, const char *name)
{
	assert_non_null(i);
	return json_i64(json_get(json_root(i->doc), name));
}

/* ---- life ---- */
static void a_bound_pod_gets_its_directory_before_there_is_an_instance(void **state)
{
	struct scene s;

	scene_init(&s, NULL, POD("1312Mi", "1312Mi"), NULL);
	s.view.facts = NULL;
	run(&s);
	assert_non_null(action(&s, GUEST_ATTACH));
	scene_done(&s);
}

static void a_guest_is_started_when_its_container_runs(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Scheduled", ""), POD("1312Mi", "1312Mi"), "{'phase':'Idle'}");
	run(&s);
	assert_non_null(action(&s, GUEST_START));
	assert_int_equal(plan_len(s.plan), 1);
	/* no KVM asked for: emulation, whatever the configuration says */
	assert_true(json_bool(json_get(json_root(action(&s, GUEST_START)->doc), "emulate")));
	s.facts.start = GUEST_START_ASKED;
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);

	scene_init(&s, VMI("Scheduling", ""), POD("1312Mi", "1312Mi"), "{'phase':'Idle'}");
	run(&s);
	assert_int_equal(plan_len(s.plan), 0); /* virt-controller's still: handoff.h */
	scene_done(&s);
}

static void a_pod_with_kvm_is_not_emulated(void **state)
{
	struct scene s;
	struct json *args;

	scene_init(&s, VMI("Scheduled", ""),
		"{'metadata':{'name':'p'},'spec':{'containers':[{'name':'compute','resources':{'limits':"
		"{'devices.kubevirt.io/"
		"kvm':'1'}}}]},'status':{'containerStatuses':[{'name':'compute','state':{'running':{}}}]}}",
		"{'phase':'Idle'}");
	run(&s);
	args = json_root(action(&s, GUEST_START)->doc);
	assert_false(json_bool(json_get(args, "emulate")));
	assert_false(json_bool(json_get(args, "allowEmulation")));
	s.config.use_emulation = true;
	run(&s);
	assert_true(json_bool(json_get(json_root(action(&s, GUEST_START)->doc), "allowEmulation")));
	scene_done(&s);
}

/* A change between creation and start: the pod is as large as it was, so is the guest at first. */
static void a_guest_boots_with_the_size_its_pod_was_made_for(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Scheduled", "," BOOTED), POD("1312Mi", "1312Mi"), "{'phase':'Idle'}");
	run(&s);
	assert_int_equal(number(action(&s, GUEST_START), "bytes"), GI);
	scene_done(&s);
}

static void a_running_guest_fills_the_status(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Scheduled", ",'interfaces':[{'name':'default','x':1}]"), POD("1312Mi", "1312Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_string_equal(at(&s, "/status/phase"), "Running");
	assert_string_equal(at(&s, "/status/phaseTransitionTimestamps/0/phase"), "Running");
	assert_string_equal(at(&s, "/status/phaseTransitionTimestamps/0/phaseTransitionTimestamp"),
		"2026-01-02T03:04:05Z");
	assert_string_equal(at(&s, "/status/machine/type"), "pc-q35-7.2");
	assert_string_equal(at(&s, "/status/memory/guestAtBoot"), "1Gi");
	assert_string_equal(at(&s, "/status/memory/guestRequested"), "1Gi");
	assert_string_equal(at(&s, "/status/memory/guestCurrent"), "1Gi");
	/* masquerade: the pod's address, kubevirt-api.md 4 */
	assert_string_equal(at(&s, "/status/interfaces/0/ipAddress"), "10.44.0.9");
	assert_string_equal(at(&s, "/status/interfaces/0/mac"), "02:00:00:00:00:01");
	assert_int_equal(json_i64(json_at(json_root(s.after), "/status/interfaces/0/x")), 1);
	assert_string_equal(at(&s, "/status/volumeStatus/0/target"), "vda");
	assert_int_equal(json_i64(json_at(json_root(s.after), "/status/currentCPUTopology/cores")), 2);
	assert_true(event(&s, "Created", "VirtualMachineInstance defined."));
	assert_true(event(&s, "Started", "VirtualMachineInstance started."));
	/* and then nothing more */
	obj_unref(s.vmi);
	s.vmi = obj_from_doc(json_doc_from(json_root(s.after)));
	s.view.vmi = s.vmi;
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);
}

static void a_paused_guest_is_running_and_paused(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", "," BOOTED), POD("1312Mi", "1312Mi"),
		STATE("Paused", 1073741824, 1073741824));
	run(&s);
	assert_string_equal(at(&s, "/status/phase"), "Running");
	assert_string_equal(json_get_str(cond(&s, COND_PAUSED), "message"), "VMI was paused by user");
	json_set_str(s.state, json_root(s.state), "reason", "PausedIOError");
	run(&s);
	assert_string_equal(json_get_str(cond(&s, COND_PAUSED), "reason"), "PausedIOError");
	json_set_str(s.state, json_root(s.state), "phase", "Running");
	obj_unref(s.vmi);
	s.vmi = obj_from_doc(json_doc_from(json_root(s.after)));
	s.view.vmi = s.vmi;
	run(&s);
	assert_null(cond(&s, COND_PAUSED));
	scene_done(&s);
}

/* ---- the end ---- */
static void the_end_is_told_before_the_launcher_is_released(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", "," BOOTED), POD("1312Mi", "1312Mi"),
		"{'phase':'Succeeded','reason':'GuestShutdown'}");
	run(&s);
	assert_string_equal(at(&s, "/status/phase"), "Succeeded");
	assert_true(event(&s, "Stopped", "was shut down"));
	assert_null(action(&s, GUEST_RELEASE));
	scene_done(&s);

	scene_init(&s, VMI("Succeeded", ""), POD("1312Mi", "1312Mi"),
		"{'phase':'Succeeded','reason':'GuestShutdown'}");
	run(&s);
	assert_int_equal(plan_len(s.plan), 1);
	assert_non_null(action(&s, GUEST_RELEASE));
	s.facts.release_asked = true;
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);
}

static void a_crash_is_failed_with_its_cause(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", "," BOOTED), POD("1312Mi", "1312Mi"),
		"{'phase':'Failed','reason':'GuestPanicked','message':'kernel panic'}");
	s.facts.connected = false; /* its last words, from the file */
	run(&s);
	assert_string_equal(at(&s, "/status/phase"), "Failed");
	assert_string_equal(at(&s, "/status/reason"), "GuestPanicked");
	assert_true(event(&s, "Stopped", "GuestPanicked: kernel panic"));
	assert_null(cond(&s, COND_SYNCHRONIZED));
	scene_done(&s);
}

static void a_refused_start_says_why(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Scheduled", ""), POD("1312Mi", "1312Mi"), "{'phase':'Idle'}");
	s.facts.start = GUEST_START_REFUSED;
	s.facts.start_error = "volumes of type sysprep are not supported";
	run(&s);
	assert_string_equal(at(&s, "/status/phase"), "Failed");
	assert_string_equal(json_get_str(cond(&s, COND_SYNCHRONIZED), "status"), "False");
	assert_string_equal(json_get_str(cond(&s, COND_SYNCHRONIZED), "message"), s.facts.start_error);
	assert_true(event(&s, "SyncFailed", "sysprep"));
	scene_done(&s);
}

static void deletion_shuts_down_with_what_is_left_of_the_grace(void **state)
{
	struct scene s;
	struct json_doc *d = json_lit(VMI("Running", "," BOOTED));

	json_put_str(d, json_root(d), "/metadata/deletionTimestamp", "2026-01-02T03:03:55Z"); /* 10 s ago */
	scene_init(&s, NULL, POD("1312Mi", "1312Mi"), STATE("Running", 1073741824, 1073741824));
	s.view.vmi = s.vmi = obj_from_doc(d);
	run(&s);
	assert_int_equal(number(action(&s, GUEST_SHUTDOWN), "graceSeconds"), 20);
	assert_true(event(&s, "ShuttingDown", "Signaled Graceful Shutdown"));
	s.facts.stop_asked = true;
	run(&s);
	assert_null(action(&s, GUEST_SHUTDOWN));
	s.facts.stop_asked = false;
	s.view.now += 60000;
	run(&s);
	assert_int_equal(number(action(&s, GUEST_SHUTDOWN), "graceSeconds"), 0);
	assert_true(event(&s, "Deleted", "Signaled Deletion"));
	/* it is stopping already: whoever asked, once is enough */
	json_set_str(s.state, json_root(s.state), "phase", "Stopping");
	run(&s);
	assert_null(action(&s, GUEST_SHUTDOWN));
	scene_done(&s);
}

/* A node that was written off comes back with the guest alive. */
static void a_guest_of_a_final_instance_is_killed(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Failed", ",'reason':'NodeUnresponsive'"), POD("1312Mi", "1312Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_non_null(action(&s, GUEST_KILL));
	assert_int_equal(plan_len(s.plan), 1);
	scene_done(&s);
}

static void what_is_gone_is_forgotten(void **state)
{
	struct scene s;

	scene_init(&s, NULL, NULL, STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_non_null(action(&s, GUEST_FORGET));
	scene_done(&s);
	/* ended, its launcher too: no reason to go on dialling; console.log stays */
	scene_init(&s, VMI("Succeeded", ""), NULL, "{'phase':'Succeeded'}");
	s.facts.connected = false;
	run(&s);
	assert_non_null(action(&s, GUEST_DETACH));
	s.facts.detached = true;
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);
}

static void an_unreachable_launcher_changes_nothing(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", "," BOOTED), POD("1312Mi", "1312Mi"),
		STATE("Running", 1073741824, 1073741824));
	s.facts.connected = false;
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);
}

static void another_nodes_instance_is_left_alone(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", "," BOOTED), POD("1312Mi", "1312Mi"),
		STATE("Running", 1073741824, 1073741824));
	s.view.node = "n2";
	run(&s);
	assert_int_equal(plan_len(s.plan), 0);
	scene_done(&s);
}

/* ---- memory: rollout.md 3.3, 7.4; handoff.h ---- */
static void growth_waits_for_the_pod(void **state)
{
	struct scene s;

	/* the controller has not raised the pod yet: the node reports all it was asked for, and it is
	 * too little */
	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("1280Mi", "1280Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
	/* raised in the spec, not on the node */
	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "1280Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_int_equal(number(action(&s, GUEST_SET_MEMORY), "bytes"), 2 * GI);
	scene_done(&s);
}

static void limits_count_too(void **state)
{
	struct scene s;
	struct json_doc *d = json_lit(POD("2304Mi", "2304Mi"));

	json_put_str(d, json_root(d), "/spec/containers/0/resources/limits/memory", "3Gi");
	json_put_str(d, json_root(d), "/status/containerStatuses/0/resources/limits/memory", "2Gi");
	scene_init(
		&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), NULL, STATE("Running", 1073741824, 1073741824));
	s.view.pod = s.pod = obj_from_doc(d);
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
}

static void shrinking_does_not_wait(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("3328Mi", "3328Mi"),
		STATE("Running", 3221225472, 3221225472));
	run(&s);
	assert_int_equal(number(action(&s, GUEST_SET_MEMORY), "bytes"), 2 * GI);
	scene_done(&s);
}

static void a_change_that_needs_a_migration_is_not_ours(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_NEEDS_MIGRATION)), POD("2304Mi", "2304Mi"),
		STATE("Running", 1073741824, 1073741824));
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	assert_non_null(cond(&s, COND_HOT_MEMORY));
	scene_done(&s);
}

static void a_complete_change_ends_the_condition(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 2147483648, 2147483648));
	s.facts.memory =
		(struct guest_memory){ .done = true, .complete = true, .target = 2 * GI, .current = 2 * GI };
	run(&s);
	assert_string_equal(at(&s, "/status/memory/guestCurrent"), "2Gi");
	assert_string_equal(at(&s, "/status/memory/guestRequested"), "2Gi");
	assert_string_equal(at(&s, "/status/memory/guestAtBoot"), "1Gi");
	assert_null(cond(&s, COND_HOT_MEMORY));
	assert_non_null(action(&s, GUEST_MEMORY_SEEN));
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
}

/* Restarted in the middle: the launcher's state tells that it is done. */
static void a_change_done_while_nobody_looked_is_found(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 2147483648, 2147483648));
	run(&s);
	assert_string_equal(at(&s, "/status/memory/guestCurrent"), "2Gi");
	assert_null(cond(&s, COND_HOT_MEMORY));
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
}

static void a_partial_change_is_told_as_it_is(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 1610612736, 1610612736));
	s.facts.memory = (struct guest_memory){ .done = true, .target = 2 * GI, .current = 1610612736 };
	run(&s);
	assert_string_equal(at(&s, "/status/memory/guestCurrent"), "1536Mi");
	assert_string_equal(at(&s, "/status/memory/guestRequested"), "1Gi");
	assert_string_equal(json_get_str(cond(&s, COND_HOT_MEMORY), "status"), "False");
	assert_string_equal(json_get_str(cond(&s, COND_HOT_MEMORY), "reason"), "Memory Hotplug Failed");
	assert_string_equal(json_get_str(cond(&s, COND_HOT_MEMORY), "message"),
		"2Gi were asked for, the guest took no more than 1536Mi");
	assert_true(event(&s, "MemoryHotplugFailed", "failed to update guest memory: 2Gi"));
	assert_null(action(&s, GUEST_SET_MEMORY));
	assert_non_null(action(&s, GUEST_MEMORY_SEEN));
	scene_done(&s);
}

static void a_guest_that_still_boots_is_asked_again(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 1073741824, 1073741824));
	s.facts.memory = (struct guest_memory){ .done = true, .target = 2 * GI, .current = GI };
	json_set_i64(s.state, json_root(s.state), "startedAtMs", NOW - 40000);
	run(&s);
	assert_int_equal(number(action(&s, GUEST_SET_MEMORY), "bytes"), 2 * GI);
	assert_true(cond_is(json_at(json_root(s.after), "/status/conditions"), COND_HOT_MEMORY, "True"));
	s.view.now += 300000; /* not for ever */
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	assert_true(cond_is(json_at(json_root(s.after), "/status/conditions"), COND_HOT_MEMORY, "False"));
	s.view.now = NOW;
	json_put(s.state, json_root(s.state), "/guest/booted", json_new_bool(s.state, true));
	run(&s);
	assert_true(cond_is(json_at(json_root(s.after), "/status/conditions"), COND_HOT_MEMORY, "False"));
	scene_done(&s);
}

static void a_refusal_is_told_in_its_words(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 1073741824, 1073741824));
	s.facts.memory = (struct guest_memory){
		.done = true, .target = 2 * GI, .current = GI, .error = "no room was reserved"
	};
	run(&s);
	assert_string_equal(json_get_str(cond(&s, COND_HOT_MEMORY), "message"), "no room was reserved");
	assert_string_equal(at(&s, "/status/memory/guestCurrent"), "1Gi");
	scene_done(&s);
}

static void the_newest_value_wins(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Running", 3221225472, 1610612736));
	s.facts.memory = (struct guest_memory){ .busy = true, .target = 3 * GI };
	run(&s); /* 3Gi under way, 2Gi wanted now */
	assert_int_equal(number(action(&s, GUEST_SET_MEMORY), "bytes"), 2 * GI);
	s.facts.memory = (struct guest_memory){ .busy = true, .target = 2 * GI };
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	/* the end of the older one says nothing about the newer one */
	s.facts.memory =
		(struct guest_memory){ .done = true, .complete = true, .target = 3 * GI, .current = 3 * GI };
	run(&s);
	assert_non_null(cond(&s, COND_HOT_MEMORY));
	assert_int_equal(number(action(&s, GUEST_SET_MEMORY), "bytes"), 2 * GI);
	scene_done(&s);
}

static void a_paused_guest_is_asked_when_it_goes_on(void **state)
{
	struct scene s;

	scene_init(&s, VMI("Running", HOT(HOT_MEMORY_IN_PLACE)), POD("2304Mi", "2304Mi"),
		STATE("Paused", 1073741824, 1073741824));
	run(&s);
	assert_null(action(&s, GUEST_SET_MEMORY));
	assert_non_null(cond(&s, COND_HOT_MEMORY));
	scene_done(&s);
}

static void the_test_annotation_makes_it_fail(void **state)
{
	struct scene s;
	struct json_doc *d = json_lit(VMI("Running", HOT(HOT_MEMORY_IN_PLACE)));

	meta_set_annotation(d, json_root(d), ANN_TEST_MEMORY_FAIL, "true");
	scene_init(&s, NULL, POD("2304Mi", "2304Mi"), STATE("Running", 1073741824, 1073741824));
	s.view.vmi = s.vmi = obj_from_doc(d);
	run(&s);
	assert_string_equal(json_get_str(cond(&s, COND_HOT_MEMORY), "status"), "False");
	assert_null(action(&s, GUEST_SET_MEMORY));
	scene_done(&s);
}

/* ---- the node: kubevirt-api.md 8, qemu.md 1 ---- */
struct node_scene {
	struct obj *node;
	struct node_facts facts;
	struct plan *plan;
	struct json_doc *after;
};

static void node_run(struct node_scene *s, int64_t now)
{
	const struct node_view v = { .node = s->node, .facts = &s->facts, .now = now };
	struct json_doc *next;
	struct err e;

	plan_free(s->plan);
	s->plan = plan_new();
	node_decide(&v, s->plan);
	json_doc_free(s->after);
	s->after = obj_draft(s->node);
	for (size_t i = 0; i < plan_len(s->plan); i++) {
		assert_int_equal(
			patch_json(json_root(s->after), json_root(plan_at(s->plan, i)->doc), &next, &e), 0);
		json_doc_free(s->after);
		s->after = next;
	}
}

static void node_take(struct node_scene *s)
{
	obj_unref(s->node);
	s->node = obj_from_doc(json_doc_from(json_root(s->after)));
}

static void node_done(struct node_scene *s)
{
	obj_unref(s->node);
	plan_free(s->plan);
	json_doc_free(s->after);
	strv_done(&s->facts.machines);
}

static void the_node_is_marked_and_beats(void **state)
{
	struct node_scene s = { .node = obj_from_doc(json_lit(
					"{'metadata':{'name':'n1','resourceVersion':'3','labels':{"
					"'machine-type.node.kubevirt.io/"
					"pc-q35-2.0':'true'}},'status':{'capacity':{'cpu':'2'}}}")) };
	int64_t next;

	node_run(&s, NOW);
	assert_int_equal(plan_len(s.plan), 0); /* nothing is said before the probes have answered */
	s.facts.known = true;
	s.facts.kvm = (struct accel_result){ .verdict = ACCEL_SLOW, .text = "0.9 M iterations/s" };
	node_machines("Supported machines are:\npc-q35-7.2           Standard PC\nq35                  "
		      "Standard PC (alias)\nnone empty\n",
		&s.facts.machines);
	assert_int_equal(s.facts.machines.len, 2);
	node_run(&s, NOW);
	assert_string_equal(meta_label(json_root(s.after), LABEL_SCHEDULABLE), "true");
	assert_string_equal(meta_label(json_root(s.after), "machine-type.node.kubevirt.io/q35"), "true");
	assert_null(meta_label(json_root(s.after), "machine-type.node.kubevirt.io/pc-q35-2.0"));
	assert_string_equal(meta_annotation(json_root(s.after), ANN_HEARTBEAT), "2026-01-02T03:04:05Z");
	assert_string_equal(meta_annotation(json_root(s.after), ANN_NODE_ACCELERATOR), "tcg");
	/* an interpreting KVM is not offered */
	assert_null(json_get(json_at(json_root(s.after), "/status/allocatable"), RESOURCE_KVM));
	const struct json *c = cond_find(json_at(json_root(s.after), "/status/conditions"), NODE_COND_KVM);
	assert_string_equal(json_get_str(c, "status"), "False");
	assert_string_equal(json_get_str(c, "reason"), "KvmSlow");
	assert_string_equal(json_get_str(c, "message"), "0.9 M iterations/s");
	/* quiet until the next beat */
	node_take(&s);
	node_run(&s, NOW + 59000);
	assert_int_equal(plan_len(s.plan), 0);
	assert_true(plan_again(s.plan, &next));
	assert_int_equal(next, NOW + 60000);
	node_run(&s, NOW + 60000);
	assert_string_equal(meta_annotation(json_root(s.after), ANN_HEARTBEAT), "2026-01-02T03:05:05Z");
	/* decision 8, docs/decisions/0008: other architectures, when their QEMU has been found */
	assert_null(meta_label(json_root(s.after), "coracle.dev/emulates-arm64"));
	strv_add(&s.facts.emulates, "arm64");
	node_run(&s, NOW + 1000);
	assert_string_equal(meta_label(json_root(s.after), "coracle.dev/emulates-arm64"), "true");
	node_take(&s);
	strv_done(&s.facts.emulates);
	node_run(&s, NOW + 1000);
	assert_null(meta_label(json_root(s.after), "coracle.dev/emulates-arm64"));
	s.facts.stopping = true;
	node_run(&s, NOW + 1000);
	assert_string_equal(meta_label(json_root(s.after), LABEL_SCHEDULABLE), "false");
	node_done(&s);
}

static void a_usable_kvm_is_offered_and_withdrawn(void **state)
{
	struct node_scene s = { .node = obj_from_doc(json_lit(
					"{'metadata':{'name':'n1','resourceVersion':'3'},'status':{}}")) };

	s.facts.known = true;
	s.facts.kvm = (struct accel_result){ .verdict = ACCEL_USABLE, .text = "700 M iterations/s" };
	node_run(&s, NOW);
	assert_string_equal(
		json_get_str(json_at(json_root(s.after), "/status/allocatable"), RESOURCE_KVM), "1k");
	assert_string_equal(
		json_get_str(json_at(json_root(s.after), "/status/capacity"), RESOURCE_KVM), "1k");
	assert_string_equal(meta_annotation(json_root(s.after), ANN_NODE_ACCELERATOR), "kvm");
	node_take(&s);
	s.facts.kvm.verdict = ACCEL_BROKEN;
	node_run(&s, NOW);
	assert_null(json_get(json_at(json_root(s.after), "/status/allocatable"), RESOURCE_KVM));
	node_done(&s);
}

/* virtctl rollout status: how far a change is that takes its time; one that does not costs no write */
static void a_slow_resize_is_followed_in_tenths(void **state)
{
	static const struct {
		const char *began; /* NOW is 03:04:05 */
		int64_t current;
		const char *told;
	} rows[] = {
		{ "2026-01-02T03:04:04Z", GI + GI / 2, "1Gi" },
		{ "2026-01-02T03:04:02Z", GI + GI / 16, "1Gi" },
		{ "2026-01-02T03:04:02Z", GI + GI / 2, "1536Mi" },
		{ "2026-01-02T03:04:02Z", 2 * GI, "2Gi" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *vmi = str_printf(
			VMI("Running", "," BOOTED ",'conditions':[{'type':'HotMemoryChange','status':'True',"
				       "'reason':'InPlaceHotplug','lastTransitionTime':'%s'}]"),
			rows[i].began);
		CLEANUP(mem_freep)
		char *told = str_printf(
			"{'phase':'Running','memory':{'guestAtBoot':1073741824,'requested':2147483648,"
			"'current':%lld,'max':4294967296,'resizing':true}}",
			(long long)rows[i].current);
		struct scene s;

		scene_init(&s, vmi, POD("2304Mi", "2304Mi"), told);
		s.facts.memory = (struct guest_memory){ .busy = true, .target = 2 * GI };
		run(&s);
		assert_string_equal(at(&s, "/status/memory/guestCurrent"), rows[i].told);
		assert_string_equal(at(&s, "/status/memory/guestRequested"), "1Gi");
		assert_non_null(cond(&s, "HotMemoryChange"));
		scene_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_resize_is_followed_in_tenths),
		cmocka_unit_test(a_bound_pod_gets_its_directory_before_there_is_an_instance),
		cmocka_unit_test(a_guest_is_started_when_its_container_runs),
		cmocka_unit_test(a_pod_with_kvm_is_not_emulated),
		cmocka_unit_test(a_guest_boots_with_the_size_its_pod_was_made_for),
		cmocka_unit_test(a_running_guest_fills_the_status),
		cmocka_unit_test(a_paused_guest_is_running_and_paused),
		cmocka_unit_test(the_end_is_told_before_the_launcher_is_released),
		cmocka_unit_test(a_crash_is_failed_with_its_cause),
		cmocka_unit_test(a_refused_start_says_why),
		cmocka_unit_test(deletion_shuts_down_with_what_is_left_of_the_grace),
		cmocka_unit_test(a_guest_of_a_final_instance_is_killed),
		cmocka_unit_test(what_is_gone_is_forgotten),
		cmocka_unit_test(an_unreachable_launcher_changes_nothing),
		cmocka_unit_test(another_nodes_instance_is_left_alone),
		cmocka_unit_test(growth_waits_for_the_pod),
		cmocka_unit_test(limits_count_too),
		cmocka_unit_test(shrinking_does_not_wait),
		cmocka_unit_test(a_change_that_needs_a_migration_is_not_ours),
		cmocka_unit_test(a_complete_change_ends_the_condition),
		cmocka_unit_test(a_change_done_while_nobody_looked_is_found),
		cmocka_unit_test(a_partial_change_is_told_as_it_is),
		cmocka_unit_test(a_guest_that_still_boots_is_asked_again),
		cmocka_unit_test(a_refusal_is_told_in_its_words),
		cmocka_unit_test(the_newest_value_wins),
		cmocka_unit_test(a_paused_guest_is_asked_when_it_goes_on),
		cmocka_unit_test(the_test_annotation_makes_it_fail),
		cmocka_unit_test(the_node_is_marked_and_beats),
		cmocka_unit_test(a_usable_kvm_is_offered_and_withdrawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
