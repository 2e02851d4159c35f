/* SPDX-License-Identifier: Apache-2.0 */
/* A change of the number of sockets in place: handoff.h, rollout.md 3.2 and 7.4, decisions 10, 11, 20. All levels, no edges, as
 * with memory (vmi_memory.c): a pass derives the condition and the pod's CPU from what the instance wants, what virt-handler
 * has said, and what the node has given. */
#include <inttypes.h>
#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_impl.h"

/* Milli-CPUs; limit -1: none. */
struct share {
	int64_t request, limit;
};
struct hot_cpu {
	struct vmi_turn *t;
	int64_t wanted, current; /* sockets */
	struct share need, asked, granted;
	size_t compute; /* index of the container */
};

static bool dedicated(const struct hot_cpu *h)
{
	return json_bool(json_at(h->t->vmi, "/spec/domain/cpu/dedicatedCpuPlacement"));
}

static struct share share_of(const struct json *resources)
{
	return (struct share){ quantity_millis(json_at(resources, "/requests/cpu")),
		quantity_millis(json_at(resources, "/limits/cpu")) };
}

static bool read_pod(struct hot_cpu *h)
{
	const struct vmi_seen *s = h->t->s;
	const struct json *o = obj_json(s->pod);
	const struct json *c = compute_in(json_at(o, "/spec/containers"), &h->compute);
	const char *text = meta_annotation(o, ANN_CPU_RATIO);
	struct kv_config config = *s->config;
	struct pod_resources r;
	int64_t ratio;

	if (!c)
		return false;
	/* What the pod was made with: another ratio is for the pods of other instances. */
	if (text && str_to_i64(text, 1, INT32_MAX, &ratio))
		config.cpu_allocation_ratio = ratio;
	pod_resources_of(h->t->vmi, &config, 0, &r);
	h->asked = share_of(json_get(c, "resources"));
	h->need = (struct share){ r.cpu_request, h->asked.limit >= 0 ? r.cpu_limit : -1 };
	h->granted =
		share_of(json_get(compute_in(json_at(o, "/status/containerStatuses"), NULL), "resources"));
	if (h->granted.request < 0) /* a node that does not tell gives what is asked for */
		h->granted = h->asked;
	return true;
}

/* While a change is under way never less than was granted, for the guest may use it. */
static struct share wished(const struct hot_cpu *h)
{
	struct share s = h->need;

	if (s.request < h->granted.request)
		s.request = h->granted.request;
	if (s.limit >= 0 && s.limit < h->granted.limit)
		s.limit = h->granted.limit;
	return s;
}

static bool asks_for(const struct hot_cpu *h, struct share s)
{
	return h->asked.request == s.request && h->asked.limit == s.limit;
}

/* Why the API server would not resize the pod for what is wanted now; NULL: nothing of the kind is known. */
static const char *refused(const struct hot_cpu *h)
{
	const char *text = meta_annotation(h->t->vmi, ANN_CPU_RESIZE_REFUSED);
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64 " ", h->wanted);

	return text && str_starts(text, target) ? text + strlen(target) : NULL;
}

static bool resizable(const struct hot_cpu *h)
{
	return !dedicated(h) && gate_on(&h->t->s->config->gates, GATE_IN_PLACE_HOTPLUG);
}

bool vmi_resizes_cpu(const struct json *ops)
{
	JSON_EACH (it, ops)
		if (str_ends(json_str_or(json_get(it.val, "path"), ""), "/cpu"))
			return true;
	return false;
}

void vmi_report_no_cpu_resize(const struct obj *vmi, const char *pod, const struct err *e, struct plan *out)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct json_doc *d;

	if (e->code == ERR_NOT_FOUND && strstr(e->msg, pod))
		return; /* it is the pod that is gone */
	d = obj_draft(vmi);
	text = str_printf("%" PRId64 " %.200s", vmi_sockets_wanted(obj_json(vmi)), e->msg);
	meta_set_annotation(d, json_root(d), ANN_CPU_RESIZE_REFUSED, text);
	if (plan_change(out, &kind_vmi, vmi, NULL, d))
		plan_event(out, vmi, true, "PodResizeRefused", "Resizing the launcher pod: %s", e->msg);
}

static void plan_resize(const struct hot_cpu *h, struct share to, struct plan *out)
{
	const struct obj *pod = h->t->s->pod;
	struct json_doc *d;
	struct json *c;
	char text[QUANTITY_TEXT_MAX];

	if (to.request < 0 || asks_for(h, to) || refused(h))
		return;
	d = obj_draft(pod);
	c = json_item(json_at(json_root(d), "/spec/containers"), h->compute);
	json_put_str(d, c, "/resources/requests/cpu", quantity_milli_text(to.request, text));
	if (to.limit >= 0)
		json_put_str(d, c, "/resources/limits/cpu", quantity_milli_text(to.limit, text));
	plan_change(out, &kind_pod, pod, "resize", d);
}

/* A resize waits as a whole; whatever it waits for, these CPUs are there already. */
static bool holds(const struct hot_cpu *h)
{
	return h->granted.request >= h->asked.request && h->granted.limit >= h->asked.limit;
}

/* Why it can not be done on this node; NULL: it can, as far as is known. Caller frees. */
static char *obstacle(const struct hot_cpu *h)
{
	const struct vmi_seen *s = h->t->s;
	const struct json *c = cond_find(json_at(obj_json(s->pod), "/status/conditions"), "PodResizePending");

	if (!gate_on(&s->config->gates, GATE_IN_PLACE_HOTPLUG))
		return mem_strdup("the feature gate InPlaceHotplug is off");
	if (dedicated(h))
		return mem_strdup("a pod that runs gets no more dedicated CPUs");
	if (refused(h))
		return str_printf("the API server does not resize the pod (%s)", refused(h));
	/* The node's answer to what the pod asks for now, not to an earlier wish. */
	if (c && str_eq(json_get_str(c, "status"), "True") && asks_for(h, wished(h)) && !holds(h))
		return str_printf("the node has no room (%s%s%s)",
			json_str_or(json_get(c, "reason"), "Deferred"),
			json_get_str(c, "message") ? ": " : "", json_str_or(json_get(c, "message"), ""));
	return NULL;
}

/* The node tries and fails, and tries on; NULL: it does not. */
static const char *pod_trouble(const struct hot_cpu *h)
{
	const struct json *c =
		cond_find(json_at(obj_json(h->t->s->pod), "/status/conditions"), "PodResizeInProgress");

	return str_eq(json_get_str(c, "reason"), "Error") ? json_get_str(c, "message") : NULL;
}

static void set_condition(const struct hot_cpu *h, const char *reason, const char *message)
{
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64, h->wanted);

	cond_set(h->t->d, h->t->status, COND_HOT_CPU, "True", reason, message, h->t->s->now);
	meta_set_annotation(h->t->d, h->t->vmi, ANN_HOT_CPU_TARGET, target);
}

/* rollout.md 7.12: migrations after which the guest still has not got them come to an end. */
static void give_up(const struct hot_cpu *h)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("%d live migrations did not bring the guest its CPUs: see the instance's events",
			HOT_CPU_MIGRATIONS);

	set_condition(h, HOT_CPU_FAILED, text);
	cond_set(h->t->d, h->t->status, COND_HOT_CPU, "False", HOT_CPU_FAILED, text, h->t->s->now);
}

static void under_way(const struct hot_cpu *h, struct plan *out)
{
	CLEANUP(mem_freep) char *why = obstacle(h);

	/* What it has needs no room. But its launcher may be at what was wanted before, and only virt-handler can say that it is
	 * not: until then the pod keeps what was granted. */
	if (!why || h->wanted == h->current) {
		set_condition(h, HOT_CPU_IN_PLACE, pod_trouble(h));
		/* First the pod, then the guest; the other way round when there become fewer. */
		if (resizable(h))
			plan_resize(h, wished(h), out);
		return;
	}
	if (hot_cpu_failures(h->t->vmi, h->wanted) >= HOT_CPU_MIGRATIONS) {
		give_up(h);
		return;
	}
	CLEANUP(mem_freep)
	char *text = str_printf("CPUs can not be changed in place: %s; they wait for a live migration", why);
	set_condition(h, HOT_CPU_NEEDS_MIGRATION, text);
}

/* rollout.md 3.2, 3. */
void vmi_hot_cpu(struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	const struct json *c = cond_find(json_get(t->status, "conditions"), COND_HOT_CPU);
	const char *status = json_get_str(c, "status");
	struct hot_cpu h = {
		.t = t, .wanted = vmi_sockets_wanted(t->vmi), .current = vmi_sockets_current(t->vmi)
	};

	if (t->phase != VMI_RUNNING || obj_deleting(s->vmi) || !s->pod || obj_deleting(s->pod) ||
		!json_i64(json_at(t->vmi, "/spec/domain/cpu/maxSockets")) || h.current < 0 ||
		vmi_migrating(t->vmi) || !read_pod(&h))
		return;
	if (str_eq(status, "False") && vmi_hot_cpu_target(t->vmi) == h.wanted) {
		if (h.wanted == h.current) /* it came true after all */
			cond_remove(t->d, t->status, COND_HOT_CPU);
		return; /* tried, and it failed: another value is another try */
	}
	if (!c && h.wanted == h.current) {
		if (!refused(&h))
			meta_set_annotation(t->d, t->vmi, ANN_CPU_RESIZE_REFUSED, NULL);
		meta_set_annotation(t->d, t->vmi, ANN_HOT_CPU_FAILURES, NULL);
		if (resizable(&h))
			plan_resize(&h, h.need, out);
		return;
	}
	under_way(&h, out);
}
