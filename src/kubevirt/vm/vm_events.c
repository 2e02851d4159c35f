/* SPDX-License-Identifier: Apache-2.0 */
/* How a live change ended, told on the VM: kubectl describe vm tells the whole story then (rollout.md 5.2). What
 * the VM's status said before is the memory of the pass: each end is told once. */
#include "api/meta.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

static bool has_memory(const struct json *vmi)
{
	return vmi_guest_current(vmi) == vmi_guest_wanted(vmi);
}

static void tell_memory(const struct vm_seen *s, const struct json *vmi, struct plan *out)
{
	plan_event(out, s->vm, false, "MemoryUpdated", "the guest has %s of memory now",
		json_str_or(json_at(vmi, "/status/memory/guestCurrent"), "the wanted amount"));
}

static bool has_cpus(const struct json *vmi)
{
	return vcpu_count(json_at(vmi, "/status/currentCPUTopology")) ==
	       vcpu_count(json_at(vmi, "/spec/domain/cpu"));
}

static void tell_cpus(const struct vm_seen *s, const struct json *vmi, struct plan *out)
{
	plan_event(out, s->vm, false, "CPUUpdated", "the guest has %lld CPUs now",
		(long long)vcpu_count(json_at(vmi, "/status/currentCPUTopology")));
}

/* The condition that the VM repeats is gone from its instance, or has become False. */
static const struct {
	const char *condition;
	bool (*has)(const struct json *vmi);
	void (*tell)(const struct vm_seen *s, const struct json *vmi, struct plan *out);
	const char *failed, *text; /* KubeVirt's text */
} changes[] = {
	{ COND_HOT_CPU, has_cpus, tell_cpus, "CPUUpdateFailed", "failed to change vCPUs" },
	{ COND_HOT_MEMORY, has_memory, tell_memory, "MemoryUpdateFailed", "failed to update guest memory" },
};

void vm_outcome_events(const struct vm_seen *s, struct plan *out)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const struct json *told = json_at(obj_json(s->vm), "/status/conditions");

	if (vmi_phase(vmi) != VMI_RUNNING)
		return;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const char *type = changes[i].condition;
		const struct json *now = vmi_cond(vmi, type);

		if (cond_is(told, type, "True") && !now && changes[i].has(vmi))
			changes[i].tell(s, vmi, out);
		else if (vmi_cond_is(vmi, type, "False") && !cond_is(told, type, "False"))
			plan_event(out, s->vm, true, changes[i].failed, "%s: %s", changes[i].text,
				json_str_or(json_get(now, "message"), "see the instance's events"));
	}
}

/* A change that has to wait its turn is a Failure in KubeVirt's words (rollout.md 5.3); said when it begins. */
void vm_busy_event(const struct vm_seen *s, const struct edits *r, struct plan *out)
{
	const struct json *told = json_at(obj_json(s->vm), "/status/conditions");

	if (r->busy_reason && !str_eq(json_get_str(cond_find(told, COND_FAILURE), "reason"), r->busy_reason))
		plan_event(out, s->vm, true, r->busy_reason, "%s", r->busy_message);
}
