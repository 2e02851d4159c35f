/* SPDX-License-Identifier: Apache-2.0 */
/* That a live change failed, or has to wait, told on the VM: kubectl describe vm tells the whole story then (rollout.md 5.2,
 * 5.3). What the VM's status said before is the memory of the pass: each is told once. virt-handler tells what has arrived
 * (handler/guest_tell.c). */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

/* The condition that the VM repeats has become False. */
static const struct {
	const char *condition, *reason, *text; /* KubeVirt's text */
} failures[] = {
	{ COND_HOT_CPU, "CPUUpdateFailed", "failed to change vCPUs" },
	{ COND_HOT_MEMORY, "MemoryUpdateFailed", "failed to update guest memory" },
};

void vm_failure_events(const struct vm_seen *s, struct plan *out)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const struct json *told = json_at(obj_json(s->vm), "/status/conditions");

	if (vmi_phase(vmi) != VMI_RUNNING)
		return;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const char *type = failures[i].condition;

		if (vmi_cond_is(vmi, type, "False") && !cond_is(told, type, "False"))
			plan_event(out, s->vm, true, failures[i].reason, "%s: %s", failures[i].text,
				json_str_or(json_get(vmi_cond(vmi, type), "message"),
					"see the instance's events"));
	}
}

/* A change that has to wait its turn is a Failure in KubeVirt's words (rollout.md 5.3); said when it begins. */
void vm_busy_event(const struct vm_seen *s, const struct edits *r, struct plan *out)
{
	const struct json *told = json_at(obj_json(s->vm), "/status/conditions");

	if (r->busy_reason && !str_eq(json_get_str(cond_find(told, COND_FAILURE), "reason"), r->busy_reason))
		plan_event(out, s->vm, true, r->busy_reason, "%s", r->busy_message);
}
