/* SPDX-License-Identifier: Apache-2.0 */
/* A change of the number of sockets in place: handoff.h, rollout.md 3.2 and 7.4, decisions 10, 11, 20. All levels, no edges, as
 * with memory (vmi_memory.c): a pass derives the condition and the pod's CPU from what the instance wants, what virt-handler
 * has said, and what the node has given. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_hot.h"

static bool read_pod(struct hot *h)
{
	const struct vmi_seen *s = h->t->s;
	const char *text = meta_annotation(obj_json(s->pod), ANN_CPU_RATIO);
	struct kv_config config = *s->config;
	struct pod_resources r;
	int64_t ratio;

	if (!hot_read_pod(h))
		return false;
	if (json_bool(json_at(h->t->vmi, "/spec/domain/cpu/dedicatedCpuPlacement")))
		h->fixed = "a pod that runs gets no more dedicated CPUs";
	/* What the pod was made with: another ratio is for the pods of other instances. */
	if (text && str_to_i64(text, 1, INT32_MAX, &ratio))
		config.cpu_allocation_ratio = ratio;
	pod_resources_of(h->t->vmi, &config, 0, &r);
	h->need = (struct hot_share){ r.cpu_request, h->asked.limit >= 0 ? r.cpu_limit : -1 };
	return true;
}

/* rollout.md 7.12: migrations after which the guest still has not got them come to an end. */
static void give_up(const struct hot *h)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("%d live migrations did not bring the guest its CPUs: see the instance's events",
			HOT_CPU_MIGRATIONS);

	hot_under_way(h, HOT_CPU_FAILED, text);
	cond_set(h->t->d, h->t->status, COND_HOT_CPU, "False", HOT_CPU_FAILED, text, h->t->s->now);
}

static void under_way(const struct hot *h, struct plan *out)
{
	CLEANUP(mem_freep) char *why = hot_obstacle(h);

	/* What it has needs no room. But its launcher may be at what was wanted before, and only virt-handler can say that it is
	 * not: until then the pod keeps what was granted. */
	if (!why || h->wanted == vmi_sockets_current(h->t->vmi)) {
		hot_under_way(h, HOT_CPU_IN_PLACE, hot_pod_trouble(h));
		/* First the pod, then the guest; the other way round when there become fewer. */
		hot_resize(h, hot_wished(h), out);
		return;
	}
	if (hot_cpu_failures(h->t->vmi, h->wanted) >= HOT_CPU_MIGRATIONS) {
		give_up(h);
		return;
	}
	CLEANUP(mem_freep)
	char *text = str_printf("CPUs can not be changed in place: %s; they wait for a live migration", why);
	hot_under_way(h, HOT_CPU_NEEDS_MIGRATION, text);
}

/* rollout.md 3.2, 3. */
void vmi_hot_cpu(struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	const struct json *c = vmi_cond(t->vmi, COND_HOT_CPU);
	int64_t current = vmi_sockets_current(t->vmi);
	struct hot h = hot_of(&hot_kind_cpu, t);

	if (t->phase != VMI_RUNNING || obj_deleting(s->vmi) || !s->pod || obj_deleting(s->pod) ||
		!json_i64(json_at(t->vmi, "/spec/domain/cpu/maxSockets")) || current < 0 ||
		vmi_migrating(t->vmi) || !read_pod(&h))
		return;
	if (str_eq(json_get_str(c, "status"), "False") && vmi_hot_cpu_target(t->vmi) == h.wanted) {
		if (h.wanted == current) /* it came true after all */
			cond_remove(t->d, t->status, COND_HOT_CPU);
		return; /* tried, and it failed: another value is another try */
	}
	if (!c && h.wanted == current) {
		if (!hot_refused(&h))
			meta_set_annotation(t->d, t->vmi, ANN_CPU_RESIZE_REFUSED, NULL);
		meta_set_annotation(t->d, t->vmi, ANN_HOT_CPU_FAILURES, NULL);
		hot_resize(&h, h.need, out);
		return;
	}
	under_way(&h, out);
}
