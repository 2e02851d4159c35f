/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold. None of it uses the code under test to find out what is right. */
#include "world.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"

static bool pod_alive(const struct json *pod)
{
	const char *phase =
		json_str_or(json_at_str(pod, "/status/phase") ? json_at(pod, "/status/phase") : NULL, "");

	return !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed");
}

/* Never two launchers for one VM: their guests would write the same disks. */
void check_pod_created(struct world *w, const struct json *pod)
{
	const char *vm = json_get_str(meta_controller_ref(pod), "name");
	const struct obj *o;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_pod, i)); i++)
		if (str_eq(json_get_str(meta_controller_ref(obj_json(o)), "name"), vm) &&
			pod_alive(obj_json(o)) && !str_eq(obj_name(o), meta_str(pod, "name")) &&
			!sim_is_attachment(o) && !str_eq(meta_label(pod, LABEL_APP), KV_HOTPLUG_DISK))
			world_broken(w, "pod %s is made while %s lives", meta_str(pod, "name"), obj_name(o));
}

/* ---- what happens to a guest is told, once (rollout.md 5.2) ---- */
static const struct {
	const char *reason, *condition; /* condition: of a failure */
} stories[SIM_STORIES] = {
	[STORY_CPUS] = { "CPUUpdated", NULL },
	[STORY_MEMORY] = { "MemoryUpdated", NULL },
	[STORY_CPUS_FAILED] = { "CPUUpdateFailed", COND_HOT_CPU },
	[STORY_MEMORY_FAILED] = { "MemoryUpdateFailed", COND_HOT_MEMORY },
};

static int64_t cpus(const struct json *vmi)
{
	const struct json *t = json_at(vmi, "/status/currentCPUTopology");

	return json_i64(json_get(t, "sockets")) * json_i64(json_get(t, "cores")) *
	       json_i64(json_get(t, "threads"));
}

/* It has come to rest at something that was not there before. */
static bool memory_is_new(const struct json *vmi, const struct json *old)
{
	int64_t current = vmi_guest_current(vmi), requested = vmi_guest_requested(vmi);

	return current == requested && !vmi_cond_is(vmi, COND_HOT_MEMORY, "True") &&
	       (current != vmi_guest_current(old) || requested != vmi_guest_requested(old));
}

void check_shown(struct world *w, const struct json *vmi, const struct json *old)
{
	if (vmi_phase(old) != VMI_RUNNING)
		return;
	w->shown[STORY_CPUS] += cpus(vmi) != cpus(old);
	w->shown[STORY_MEMORY] += memory_is_new(vmi, old);
}

static void check_failures_shown(struct world *w, const struct json *vm, const struct json *old)
{
	const struct json *is = json_at(vm, "/status/conditions"), *was = json_at(old, "/status/conditions");

	if (!str_empty(meta_str(vm, "deletionTimestamp")))
		return; /* nobody asks any more */
	for (size_t i = 0; i < SIM_STORIES; i++)
		w->shown[i] += stories[i].condition && cond_is(is, stories[i].condition, "False") &&
			       !cond_is(was, stories[i].condition, "False");
}

void check_event_written(struct world *w, const struct json *event, const struct json *old)
{
	for (size_t i = 0; i < SIM_STORIES; i++)
		if (str_eq(json_get_str(event, "reason"), stories[i].reason) &&
			str_eq(json_at_str(event, "/involvedObject/kind"), "VirtualMachine"))
			w->told[i] +=
				(int)(json_i64(json_get(event, "count")) - json_i64(json_get(old, "count")));
}

/* A program that dies behind a write takes its event along. */
static void check_stories(struct world *w)
{
	for (size_t i = 0; i < SIM_STORIES && !w->lossy; i++) {
		bool died = stories[i].condition ? w->controller_died : w->handler_died;

		if (w->told[i] > w->shown[i] || (w->told[i] < w->shown[i] && !died))
			world_broken(
				w, "%d times %s, told %d times", w->shown[i], stories[i].reason, w->told[i]);
	}
}

/* True for as long as it is required, and since when does not change (decision 5, rollout.md 2.5). */
void check_status_written(struct world *w, const struct json *vm, const struct json *old)
{
	const struct json *was = cond_find(json_at(old, "/status/conditions"), COND_RESTART_REQUIRED);
	const struct json *is = cond_find(json_at(vm, "/status/conditions"), COND_RESTART_REQUIRED);

	if (was && is &&
		!str_eq(json_get_str(was, "lastTransitionTime"), json_get_str(is, "lastTransitionTime")))
		world_broken(w, "%s: RestartRequired has another time", meta_str(vm, "name"));
	check_failures_shown(w, vm, old);
}

static void check_vm(struct world *w, const struct obj *o)
{
	const struct json *vm = obj_json(o), *vmi = world_vmi(w, obj_name(o));
	const char *strategy = json_at_str(vm, "/spec/runStrategy"),
		   *printable = json_at_str(vm, "/status/printableStatus");

	if (obj_deleting(o))
		world_broken(w, "%s is deleted and stays", obj_name(o));
	if (str_eq(strategy, "Always") && (!vmi || vmi_phase(vmi) != VMI_RUNNING))
		world_broken(w, "%s should run and does not (%s)", obj_name(o),
			vmi ? vmi_phase_name(vmi_phase(vmi)) : "no instance");
	if (str_eq(strategy, "Halted") && vmi)
		world_broken(w, "%s should not run and does", obj_name(o));
	if (vmi && vmi_phase(vmi) == VMI_RUNNING) {
		if (!str_eq(printable, "Running"))
			world_broken(w, "%s runs, and its status says %s", obj_name(o), printable);
		check_edits(w, obj_name(o), vm, vmi);
		check_plugged(w, obj_name(o), vmi);
		if (json_i64(json_at(vm, "/status/desiredGeneration")) != obj_generation(o))
			world_broken(w, "%s: desiredGeneration is behind", obj_name(o));
	} else if (cond_find(json_at(vm, "/status/conditions"), COND_RESTART_REQUIRED) && !vmi) {
		world_broken(w, "%s has RestartRequired without an instance", obj_name(o));
	}
	/* A start that nobody can have asked for through virt-api waits for the ended instance to be removed. */
	if (json_len(json_at(vm, "/status/stateChangeRequests")) && !vmi_is_final(vmi))
		world_broken(w, "%s still has requests", obj_name(o));
	if (!str_eq(json_at_str(vm, "/status/runStrategy"), strategy))
		world_broken(w, "%s: status.runStrategy is not the spec's", obj_name(o));
}

/* Nothing outlives what it was for. */
static void check_leftovers(struct world *w)
{
	const struct obj *o;
	size_t alive = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vmi, i)); i++) {
		if (!world_vm(w, obj_name(o)))
			world_broken(w, "instance %s has no VM", obj_name(o));
		if (obj_deleting(o))
			world_broken(w, "instance %s is deleted and stays", obj_name(o));
	}
	for (size_t i = 0; (o = fake_api_at(w->api, &kind_pod, i)); i++) {
		const struct json *vmi =
			world_vmi(w, json_str_or(json_get(meta_controller_ref(obj_json(o)), "name"), ""));
		if (!vmi || !meta_owned_by(obj_json(o), meta_str(vmi, "uid")))
			world_broken(w, "pod %s has no instance", obj_name(o));
		alive += pod_alive(obj_json(o)) && !sim_is_attachment(o);
	}
	for (size_t i = 0; (o = fake_api_at(w->api, &kind_controllerrevision, i)); i++) {
		const struct json *vm =
			world_vm(w, json_str_or(json_get(meta_controller_ref(obj_json(o)), "name"), ""));
		if (!vm || !meta_owned_by(obj_json(o), meta_str(vm, "uid")))
			world_broken(w, "revision %s has no VM", obj_name(o));
	}
	for (size_t i = 0; i < w->n_guests; i++)
		alive -= w->guests[i].state == GUEST_RUNS;
	if (alive)
		world_broken(w, "%zd launcher pods more than guests", (ssize_t)alive);
}

void check_settled(struct world *w)
{
	const struct obj *o;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vm, i)); i++)
		check_vm(w, o);
	check_leftovers(w);
	check_stories(w);
}
