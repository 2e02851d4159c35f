/* SPDX-License-Identifier: Apache-2.0 */
/* domain.cpu.sockets: rollout.md 2.4 (H1 to H3), 2.5 (the trap), 3.2. */
#include "api/quantity.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vm/vm_impl.h"

#define PATH "spec.template.spec.domain.cpu.sockets"
#define H1 "CPU sockets updated in template spec to a value higher than what's available"
#define H2 "Reduction of CPU socket count requires a restart"
#define H3 "ARM doesn't support CPU hotplug"
#define NOT_YET "CPU sockets updated in template spec. This version can not add CPUs to a running guest"
#define STAGED "CPU sockets updated in template spec"

static const char *first_refusal(const struct vm_seen *s, const struct json *vmi, int64_t wanted, int64_t now)
{
	int64_t max = json_i64(json_at(vmi, "/spec/domain/cpu/maxSockets"));

	if (!rollout_live(s))
		return STAGED;
	if (wanted > max && wanted > now)
		return H1;
	if (wanted < now)
		return H2;
	if (str_eq(json_at_str(vmi, "/spec/architecture"), "arm64"))
		return H3;
	return s->env->cpu_hotplug ? NULL : NOT_YET;
}

/* Requests and limits the VM gives grow by a pod CPU share per vCPU (rollout.md 3.2, 2.). From the template and the sockets
 * at start, which are those of the start revision. */
static void grow(struct json_doc *d, struct json *vmi, const struct json *given, const char *which,
	int64_t delta_milli)
{
	int64_t milli = quantity_millis(json_at(json_get(given, which), "/cpu"));
	char text[QUANTITY_TEXT_MAX], path[64] = "/spec/domain/resources/";

	if (milli < 0)
		return;
	str_copy(path + sizeof("/spec/domain/resources/") - 1,
		sizeof(path) - sizeof("/spec/domain/resources/") + 1, which);
	json_need_obj(d, json_need_obj(d, json_at(vmi, "/spec/domain"), "resources"), which);
	json_set_str(d, json_at(vmi, path), "cpu", quantity_milli_text(milli + delta_milli, text));
}

static void apply(const struct vm_seen *s, struct edits *r, const struct json *template, int64_t wanted)
{
	struct json *vmi = rollout_vmi(s, r);
	const struct json *boot = json_at(s->start, "/spec/domain/cpu");
	const struct json *given = json_at(template, "/domain/resources");
	int64_t share = 1000 / s->config->cpu_allocation_ratio;
	int64_t delta = (vcpu_count_sockets(boot, wanted) - vcpu_count(boot)) * share;

	json_set_i64(r->vmi, json_at(vmi, "/spec/domain/cpu"), "sockets", wanted);
	grow(r->vmi, vmi, given, "requests", delta);
	grow(r->vmi, vmi, given, "limits", delta);
}

void rollout_cpu(const struct vm_seen *s, struct edits *r)
{
	const struct json *vmi = obj_json(s->vmi), *template = json_get(s->template, "spec");
	const struct json *is = json_at(template, "/domain/cpu/sockets"),
			  *was = json_at(vmi, "/spec/domain/cpu/sockets");
	const struct json *boot = json_at(s->start, "/spec/domain/cpu");
	int64_t wanted = json_i64(is), now = json_i64(was);
	struct change *c;

	/* 0 or absent asks for nothing, unless something was asked for at the start. */
	if (!wanted && json_i64(json_get(boot, "sockets")))
		wanted = 1;
	if (!wanted || !now || wanted == now || !json_is_obj(boot) ||
		!json_is_obj(json_at(template, "/domain/cpu")))
		return;
	c = rollout_add(r, PATH, was, is, LIVE_CPU_SOCKETS);
	c->why = first_refusal(s, vmi, wanted, now);
	c->staged = c->why != NULL;
	if (c->staged)
		return;
	if (vmi_cond_is(vmi, COND_HOT_CPU, "True"))
		rollout_busy(r, "HotPlugCPUError", "CPU hotplug is in progress");
	else if (vmi_migrating(vmi))
		rollout_busy(r, "HotPlugCPUError", "CPU hotplug waits for the end of a migration");
	else if (vmi_phase(vmi) == VMI_RUNNING)
		apply(s, r, template, wanted);
}
