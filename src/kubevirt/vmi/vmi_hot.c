/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/vmi/vmi_hot.h"

#include <inttypes.h>
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

const struct hot_kind hot_kind_cpu = { .resource = "cpu",
	.condition = COND_HOT_CPU,
	.target = ANN_HOT_CPU_TARGET,
	.refused = ANN_CPU_RESIZE_REFUSED,
	.wanted = vmi_sockets_wanted,
	.read = quantity_millis,
	.write = quantity_milli_text };
const struct hot_kind hot_kind_memory = { .resource = "memory",
	.condition = COND_HOT_MEMORY,
	.target = ANN_HOT_MEMORY_TARGET,
	.refused = ANN_RESIZE_REFUSED,
	.wanted = vmi_guest_wanted,
	.read = quantity_bytes,
	.write = quantity_bytes_text };

struct hot hot_of(const struct hot_kind *k, struct vmi_turn *t)
{
	return (struct hot){ .kind = k, .t = t, .wanted = k->wanted(t->vmi) };
}

/* ---- the pod ---- */
static struct hot_share share_of(const struct hot_kind *k, const struct json *resources)
{
	return (struct hot_share){ k->read(json_get(json_get(resources, "requests"), k->resource)),
		k->read(json_get(json_get(resources, "limits"), k->resource)) };
}

bool hot_read_pod(struct hot *h)
{
	const struct json *pod = obj_json(h->t->s->pod);
	const struct json *c = compute_in(json_at(pod, "/spec/containers"), &h->compute);
	const struct json *status = compute_in(json_at(pod, "/status/containerStatuses"), NULL);

	if (!c)
		return false;
	h->asked = share_of(h->kind, json_get(c, "resources"));
	h->granted = share_of(h->kind, json_get(status, "resources"));
	/* A node that does not tell gives what is asked for. */
	if (h->granted.request < 0)
		h->granted.request = h->asked.request;
	if (h->granted.limit < 0)
		h->granted.limit = h->asked.limit;
	return true;
}

struct hot_share hot_wished(const struct hot *h)
{
	struct hot_share s = h->need;

	if (s.request < h->granted.request)
		s.request = h->granted.request;
	if (s.limit >= 0 && s.limit < h->granted.limit)
		s.limit = h->granted.limit;
	return s;
}

static bool asks_for(const struct hot *h, struct hot_share s)
{
	return h->asked.request == s.request && h->asked.limit == s.limit;
}

/* A resize waits as a whole; whatever it waits for, this part is there already. */
static bool holds(const struct hot *h)
{
	return h->granted.request >= h->asked.request && h->granted.limit >= h->asked.limit;
}

static const struct json *pod_cond(const struct hot *h, const char *type)
{
	return cond_find(json_at(obj_json(h->t->s->pod), "/status/conditions"), type);
}

const char *hot_pod_trouble(const struct hot *h)
{
	const struct json *c = pod_cond(h, "PodResizeInProgress");

	return str_eq(json_get_str(c, "reason"), "Error") ? json_get_str(c, "message") : NULL;
}

/* ---- what stands in the way ---- */
static bool quota_has(const struct hot *h, const char *prefix, int64_t more)
{
	const struct vmi_seen *s = h->t->s;
	CLEANUP(mem_freep) char *key = str_printf("%s%s", prefix, h->kind->resource);

	return s->quota_has && s->quota_has(s->quota_arg, key, h->kind->read, more);
}

static bool quota_allows(const struct hot *h)
{
	struct hot_share to = hot_wished(h);
	int64_t request = to.request - h->asked.request, limit = to.limit - h->asked.limit;

	return quota_has(h, "requests.", request) && quota_has(h, "", request) &&
	       quota_has(h, "limits.", limit);
}

/* What has been refused is not asked for again, unless it was a quota's and there is room in it by now. */
static const char *refusal(const struct hot *h)
{
	const char *text = meta_annotation(h->t->vmi, h->kind->refused);
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64 " ", h->wanted);

	if (!text || !str_starts(text, target) || (strstr(text, "exceeded quota") && quota_allows(h)))
		return NULL;
	return text + strlen(target);
}

bool hot_refused(const struct hot *h)
{
	return refusal(h) != NULL;
}

static bool gate_is_on(const struct hot *h)
{
	return gate_on(&h->t->s->config->gates, GATE_IN_PLACE_HOTPLUG);
}

char *hot_obstacle(const struct hot *h)
{
	const struct json *c = pod_cond(h, "PodResizePending");

	if (!gate_is_on(h))
		return mem_strdup("the feature gate InPlaceHotplug is off");
	if (h->fixed)
		return mem_strdup(h->fixed);
	if (hot_refused(h))
		return str_printf("the API server does not resize the pod (%s)", refusal(h));
	/* The node's answer to what the pod asks for now, not to an earlier wish. */
	if (str_eq(json_get_str(c, "status"), "True") && asks_for(h, hot_wished(h)) && !holds(h))
		return str_printf("the node has no room (%s%s%s)",
			json_str_or(json_get(c, "reason"), "Deferred"),
			json_get_str(c, "message") ? ": " : "", json_str_or(json_get(c, "message"), ""));
	return NULL;
}

void hot_resize(const struct hot *h, struct hot_share to, struct plan *out)
{
	const struct obj *pod = h->t->s->pod;
	struct json_doc *d;
	struct json *resources;
	char text[QUANTITY_TEXT_MAX];

	if (to.request < 0 || asks_for(h, to) || h->fixed || !gate_is_on(h) || hot_refused(h))
		return;
	d = obj_draft(pod);
	resources = json_need_obj(
		d, json_item(json_at(json_root(d), "/spec/containers"), h->compute), "resources");
	json_set_str(d, json_need_obj(d, resources, "requests"), h->kind->resource,
		h->kind->write(to.request, text));
	if (to.limit >= 0)
		json_set_str(d, json_need_obj(d, resources, "limits"), h->kind->resource,
			h->kind->write(to.limit, text));
	plan_change(out, &kind_pod, pod, "resize", d);
}

static bool is_about(const struct hot_kind *k, const struct json *ops)
{
	CLEANUP(mem_freep) char *end = str_printf("/%s", k->resource);

	JSON_EACH (it, ops)
		if (str_ends(json_str_or(json_get(it.val, "path"), ""), end))
			return true;
	return false;
}

void vmi_report_no_resize(
	const struct obj *vmi, const char *pod, const struct json *ops, const struct err *e, struct plan *out)
{
	const struct hot_kind *k = is_about(&hot_kind_cpu, ops) ? &hot_kind_cpu : &hot_kind_memory;
	CLEANUP(mem_freep) char *text = NULL;
	struct json_doc *d;

	if (e->code == ERR_NOT_FOUND && strstr(e->msg, pod))
		return; /* it is the pod that is gone */
	d = obj_draft(vmi);
	text = str_printf("%" PRId64 " %.200s", k->wanted(obj_json(vmi)), e->msg);
	meta_set_annotation(d, json_root(d), k->refused, text);
	if (plan_change(out, &kind_vmi, vmi, NULL, d))
		plan_event(out, vmi, true, "PodResizeRefused", "Resizing the launcher pod: %s", e->msg);
}

/* ---- the condition ---- */
void hot_under_way(const struct hot *h, const char *reason, const char *message)
{
	CLEANUP(mem_freep) char *target = str_printf("%" PRId64, h->wanted);

	cond_set(h->t->d, h->t->status, h->kind->condition, "True", reason, message, h->t->s->now);
	meta_set_annotation(h->t->d, h->t->vmi, h->kind->target, target);
}
