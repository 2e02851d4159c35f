/* SPDX-License-Identifier: Apache-2.0 */
/* A change of memory in place: handoff.h, rollout.md 3.3 and 7.4, decisions 10, 11. All levels, no edges: a pass derives the
 * condition and the pod's memory from what the instance wants, what virt-handler has said, and what the node has given. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_hot.h"

/* The instance's limit; else one that its namespace asks for (a quota, a range): in proportion to the request. */
static int64_t needed_limit(const struct hot *h, const struct pod_resources *need)
{
	if (h->asked.limit < 0 || need->memory_limit >= 0)
		return h->asked.limit < 0 ? -1 : need->memory_limit;
	if (h->asked.request <= 0)
		return h->asked.limit;
	return (int64_t)((__int128)need->memory_request * h->asked.limit / h->asked.request);
}

static bool read_pod(struct hot *h)
{
	const struct vmi_seen *s = h->t->s;
	const struct json *o = obj_json(s->pod);
	const char *text = meta_annotation(o, ANN_MEMORY_OVERHEAD);
	struct pod_resources r;
	int64_t overhead = -1;

	if (!hot_read_pod(h))
		return false;
	if (text && !str_to_i64(text, 0, INT64_MAX, &overhead))
		overhead = -1;
	if (overhead >= 0)
		overhead += pod_vcpu_overhead(vmi_vcpus_since(h->t->vmi, o), s->config);
	pod_resources_of(h->t->vmi, s->config, overhead, &r);
	if (r.hugepage_size)
		h->fixed = "memory of huge pages can not grow in place";
	h->need = (struct hot_share){ r.memory_request, needed_limit(h, &r) };
	return true;
}

/* What stands in the condition while it is under way here: the pod's trouble, else what virt-handler says of its attempts. */
static const char *told(const struct hot *h)
{
	const struct json *c = vmi_cond(h->t->vmi, COND_HOT_MEMORY);
	const char *trouble = hot_pod_trouble(h);

	if (!trouble && meta_annotation(h->t->vmi, ANN_HOT_MEMORY_FAILURES) &&
		str_eq(json_get_str(c, "reason"), HOT_MEMORY_IN_PLACE))
		return json_get_str(c, "message");
	return trouble;
}

/* True: under way, here or by a migration to come. */
static void under_way(const struct hot *h, struct plan *out)
{
	CLEANUP(mem_freep) char *why = hot_obstacle(h);

	/* rollout.md 3.3, 2.: for whoever renders the target of a migration */
	meta_set_label(h->t->d, h->t->vmi, LABEL_MEMORY_OVERHEAD_RATIO, h->t->s->config->overhead_ratio_text);
	/* What it has needs no room. But its launcher may be at what was wanted before, and only virt-handler can say that it is
	 * not: until then the pod keeps what was granted. */
	if (!why || h->wanted == vmi_guest_current(h->t->vmi)) {
		hot_under_way(h, HOT_MEMORY_IN_PLACE, told(h));
		/* First the pod, then the guest; the other way round when it shrinks. */
		hot_resize(h, hot_wished(h), out);
		return;
	}
	CLEANUP(mem_freep)
	char *text = str_printf("memory can not be changed in place: %s; it waits for a live migration", why);
	hot_under_way(h, HOT_MEMORY_NEEDS_MIGRATION, text);
}

void vmi_hot_memory(struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	const struct json *c = vmi_cond(t->vmi, COND_HOT_MEMORY);
	const char *status = json_get_str(c, "status");
	int64_t requested = vmi_guest_requested(t->vmi);
	struct hot h = hot_of(&hot_kind_memory, t);

	if (t->phase != VMI_RUNNING || obj_deleting(s->vmi) || !s->pod || obj_deleting(s->pod) ||
		vmi_guest_limit(t->vmi) < 0 || h.wanted < 0 || requested < 0 || vmi_migrating(t->vmi) ||
		!read_pod(&h))
		return;
	if (str_eq(status, "False") && vmi_hot_memory_target(t->vmi) == h.wanted)
		return; /* tried, and it failed: another value is another try (H4) */
	if (!str_eq(status, "True"))
		meta_set_label(t->d, t->vmi, LABEL_MEMORY_OVERHEAD_RATIO, NULL);
	if (!c && h.wanted == requested) {
		if (!hot_refused(&h))
			meta_set_annotation(t->d, t->vmi, ANN_RESIZE_REFUSED, NULL);
		hot_resize(&h, h.need, out);
		return;
	}
	under_way(&h, out);
}
