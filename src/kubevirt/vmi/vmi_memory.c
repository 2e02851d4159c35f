/* SPDX-License-Identifier: Apache-2.0 */
/* A change of memory in place: handoff.h, rollout.md 3.3 and 7.4, decisions 10, 11. All levels, no edges: a pass derives the
 * condition and the pod's memory from what the instance wants, what virt-handler has said, and what the node has given. */
#include <inttypes.h>
#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_impl.h"
#include "kubevirt/api/kinds.h"

struct hot {
	struct vmi_turn *t;
	int64_t wanted, requested;
	struct pod_resources need;
	int64_t request, limit;         /* what the pod asks for; -1: none */
	int64_t granted, granted_limit; /* what the node has given it */
	size_t compute;                 /* index of the container */
};

static bool read_pod(struct hot *h)
{
	const struct vmi_seen *s = h->t->s;
	const struct json *o = obj_json(s->pod);
	const struct json *c = compute_in(json_at(o, "/spec/containers"), &h->compute);
	const char *text = meta_annotation(o, ANN_MEMORY_OVERHEAD);
	const struct json *status;
	int64_t overhead = -1;

	if (!c)
		return false;
	if (text && !str_to_i64(text, 0, INT64_MAX, &overhead))
		overhead = -1;
	if (overhead >= 0)
		overhead += pod_vcpu_overhead(vmi_vcpus_since(h->t->vmi, o), s->config);
	pod_resources_of(h->t->vmi, s->config, overhead, &h->need);
	h->request = quantity_bytes(json_at(c, "/resources/requests/memory"));
	h->limit = quantity_bytes(json_at(c, "/resources/limits/memory"));
	status = json_get(compute_in(json_at(o, "/status/containerStatuses"), NULL), "resources");
	h->granted = quantity_bytes(json_at(status, "/requests/memory"));
	h->granted_limit = quantity_bytes(json_at(status, "/limits/memory"));
	if (h->granted < 0) /* a node that does not tell gives what is asked for */
		h->granted = h->request;
	if (h->granted_limit < 0)
		h->granted_limit = h->limit;
	return true;
}

struct size {
	int64_t request, limit; /* limit -1: the pod has none */
};

/* A limit that the instance does not ask for, but its namespace (a quota, a range): in proportion to the request. */
static int64_t given_limit(const struct hot *h)
{
	if (h->request <= 0)
		return h->limit;
	return (int64_t)((__int128)h->need.memory_request * h->limit / h->request);
}

static struct size needed(const struct hot *h)
{
	int64_t limit = h->need.memory_limit >= 0 ? h->need.memory_limit : given_limit(h);

	return (struct size){ h->need.memory_request, h->limit >= 0 ? limit : -1 };
}

/* While a change is under way the pod is never smaller than what it was given, for the guest may use it; and it asks for no
 * more than is needed now: an earlier wish that the node could not fulfil is taken back. */
static struct size wished(const struct hot *h)
{
	struct size s = needed(h);

	if (s.request < h->granted)
		s.request = h->granted;
	if (s.limit >= 0 && s.limit < h->granted_limit)
		s.limit = h->granted_limit;
	return s;
}

static bool asks_for(const struct hot *h, struct size s)
{
	return h->request == s.request && h->limit == s.limit;
}

static void plan_resize(const struct hot *h, struct size to, struct plan *out)
{
	const struct obj *pod = h->t->s->pod;
	struct json_doc *d;
	struct json *c;
	char text[QUANTITY_TEXT_MAX];

	if (asks_for(h, to))
		return;
	d = obj_draft(pod);
	c = json_item(json_at(json_root(d), "/spec/containers"), h->compute);
	json_put_str(d, c, "/resources/requests/memory", quantity_bytes_text(to.request, text));
	if (to.limit >= 0)
		json_put_str(d, c, "/resources/limits/memory", quantity_bytes_text(to.limit, text));
	plan_change(out, &kind_pod, pod, "resize", d);
}

/* Why the API server would not resize the pod for what is wanted now; NULL: nothing of the kind is known. */
static const char *refused(const struct hot *h)
{
	const char *text = meta_annotation(h->t->vmi, ANN_RESIZE_REFUSED);
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64 " ", h->wanted);

	return text && str_starts(text, target) ? text + strlen(target) : NULL;
}

void vmi_report_no_resize(const struct obj *vmi, const char *pod, const struct err *e, struct plan *out)
{
	struct json_doc *d;
	CLEANUP(mem_freep) char *text = NULL;

	if (e->code == ERR_NOT_FOUND && strstr(e->msg, pod))
		return; /* it is the pod that is gone */
	d = obj_draft(vmi);
	text = str_printf("%" PRId64 " %.200s", vmi_guest_wanted(obj_json(vmi)), e->msg);
	meta_set_annotation(d, json_root(d), ANN_RESIZE_REFUSED, text);
	if (plan_change(out, &kind_vmi, vmi, NULL, d))
		plan_event(out, vmi, true, "PodResizeRefused", "Resizing the launcher pod: %s", e->msg);
}

static bool resizable(const struct hot *h)
{
	return !h->need.hugepage_size && !refused(h) &&
	       gate_on(&h->t->s->config->gates, GATE_IN_PLACE_HOTPLUG);
}

/* A resize waits as a whole; whatever it waits for, this memory is there already. */
static bool holds(const struct hot *h)
{
	return h->granted >= h->request && h->granted_limit >= h->limit;
}

/* Why it can not be done on this node; NULL: it can, as far as is known. Caller frees. */
static char *obstacle(const struct hot *h)
{
	const struct vmi_seen *s = h->t->s;
	const struct json *c = cond_find(json_at(obj_json(s->pod), "/status/conditions"), "PodResizePending");

	if (!gate_on(&s->config->gates, GATE_IN_PLACE_HOTPLUG))
		return mem_strdup("the feature gate InPlaceHotplug is off");
	if (h->need.hugepage_size)
		return mem_strdup("memory of huge pages can not grow in place");
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
static const char *pod_trouble(const struct hot *h)
{
	const struct json *c =
		cond_find(json_at(obj_json(h->t->s->pod), "/status/conditions"), "PodResizeInProgress");

	return str_eq(json_get_str(c, "reason"), "Error") ? json_get_str(c, "message") : NULL;
}

/* What stands in the condition while it is under way here: the pod's trouble, else what virt-handler says of its attempts. */
static const char *told(const struct hot *h)
{
	const struct json *c = vmi_cond(h->t->vmi, COND_HOT_MEMORY);
	const char *trouble = pod_trouble(h);

	if (!trouble && meta_annotation(h->t->vmi, ANN_HOT_MEMORY_FAILURES) &&
		str_eq(json_get_str(c, "reason"), HOT_MEMORY_IN_PLACE))
		return json_get_str(c, "message");
	return trouble;
}

static void set_condition(const struct hot *h, const char *reason, const char *message)
{
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64, h->wanted);

	cond_set(h->t->d, h->t->status, COND_HOT_MEMORY, "True", reason, message, h->t->s->now);
	/* rollout.md 3.3, 2.: for whoever renders the target of a migration */
	meta_set_label(h->t->d, h->t->vmi, LABEL_MEMORY_OVERHEAD_RATIO, h->t->s->config->overhead_ratio_text);
	meta_set_annotation(h->t->d, h->t->vmi, ANN_HOT_MEMORY_TARGET, target);
}

/* True: under way, here or by a migration to come. */
static void under_way(const struct hot *h, struct plan *out)
{
	CLEANUP(mem_freep) char *why = obstacle(h);

	/* What it has needs no room. But its launcher may be at what was wanted before, and only virt-handler can say that it is
	 * not: until then the pod keeps what was granted. */
	if (!why || h->wanted == vmi_guest_current(h->t->vmi)) {
		set_condition(h, HOT_MEMORY_IN_PLACE, told(h));
		/* First the pod, then the guest; the other way round when it shrinks. */
		if (resizable(h))
			plan_resize(h, wished(h), out);
		return;
	}
	CLEANUP(mem_freep)
	char *text = str_printf("memory can not be changed in place: %s; it waits for a live migration", why);
	set_condition(h, HOT_MEMORY_NEEDS_MIGRATION, text);
}

void vmi_hot_memory(struct vmi_turn *t, struct plan *out)
{
	const struct vmi_seen *s = t->s;
	const struct json *c = cond_find(json_get(t->status, "conditions"), COND_HOT_MEMORY);
	const char *status = json_get_str(c, "status");
	struct hot h = {
		.t = t, .wanted = vmi_guest_wanted(t->vmi), .requested = vmi_guest_requested(t->vmi)
	};

	if (t->phase != VMI_RUNNING || obj_deleting(s->vmi) || !s->pod || obj_deleting(s->pod) ||
		vmi_guest_limit(t->vmi) < 0 || h.wanted < 0 || h.requested < 0 || vmi_migrating(t->vmi) ||
		!read_pod(&h))
		return;
	if (str_eq(status, "False") && vmi_hot_memory_target(t->vmi) == h.wanted)
		return; /* tried, and it failed: another value is another try (H4) */
	if (!str_eq(status, "True"))
		meta_set_label(t->d, t->vmi, LABEL_MEMORY_OVERHEAD_RATIO, NULL);
	if (!c && h.wanted == h.requested) {
		if (!refused(&h))
			meta_set_annotation(t->d, t->vmi, ANN_RESIZE_REFUSED, NULL);
		if (resizable(&h))
			plan_resize(&h, needed(&h), out);
		return;
	}
	under_way(&h, out);
}
