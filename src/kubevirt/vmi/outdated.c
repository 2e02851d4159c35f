/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/vmi/outdated.h"

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/vmi/fleet.h"

#define FIELD "outdatedVirtualMachineInstanceWorkloads"

struct outdated {
	struct kube_client *client;
	struct cache *vmis, *kubevirts;
	struct loop_timer *settle;
	struct kube_call *call;
	int64_t count, since; /* since when it has been another one than is told */
};

static const struct obj *installation(const struct outdated *o)
{
	const struct obj *kv = cache_at(o->kubevirts, 0);
	const struct json *status = kv ? json_get(obj_json(kv), "status") : NULL;

	if (!kv || obj_deleting(kv) || !str_eq(json_get_str(status, "phase"), "Deployed") ||
		!str_eq(json_get_str(status, "observedDeploymentID"),
			json_get_str(status, "targetDeploymentID")))
		return NULL;
	return kv;
}

static bool is_told(const struct outdated *o, const struct obj *kv)
{
	const struct json *told = json_at(obj_json(kv), "/status/" FIELD);

	return json_is_num(told) && json_i64(told) == o->count;
}

/* A number that passes is not told; but one that never rests is, at last. */
static void look(struct outdated *o)
{
	const struct obj *kv = installation(o);
	int64_t now = loop_mono_ms(kube_client_loop(o->client)), wait;

	if (!kv || is_told(o, kv)) {
		loop_timer_stop(o->settle);
		return;
	}
	if (o->call)
		return;
	if (!loop_timer_armed(o->settle))
		o->since = now;
	wait = o->since + OUTDATED_LATEST_MS - now;
	loop_timer_set(o->settle, wait < 0 ? 0 : wait < OUTDATED_SETTLE_MS ? wait : OUTDATED_SETTLE_MS);
}

static void written(void *arg, const struct obj *answer, const struct err *e)
{
	struct outdated *o = arg;

	o->call = NULL;
	if (e)
		log_debug("outdated workloads: %s", e->msg);
	look(o); /* again, if it failed or is another number by now */
}

static void settled(void *arg)
{
	struct outdated *o = arg;
	const struct obj *kv = installation(o);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (!kv || is_told(o, kv) || !cache_synced(o->vmis))
		return;
	d = json_lit("{'status':{}}");
	json_set_i64(d, json_get(json_root(d), "status"), FIELD, o->count);
	o->call = kube_patch(o->client, &kind_kubevirt, obj_namespace(kv), obj_name(kv), "status",
		KUBE_PATCH_MERGE, json_root(d), written, o);
}

static void on_vmi(void *arg, const struct obj *old, const struct obj *new)
{
	struct outdated *o = arg;

	o->count += (new &&fleet_outdated(obj_json(new))) - (old && fleet_outdated(obj_json(old)));
	look(o);
}

static void on_kubevirt(void *arg, const struct obj *old, const struct obj *new)
{
	look(arg);
}

static void on_synced(void *arg)
{
	look(arg);
}

struct outdated *outdated_new(struct kube_client *c, struct cache *vmis, struct cache *kubevirts)
{
	struct outdated *o = MEM_NEW(struct outdated);

	*o = (struct outdated){ .client = c, .vmis = vmis, .kubevirts = kubevirts };
	o->settle = loop_timer_new(kube_client_loop(c), settled, o);
	cache_on_change(vmis, on_vmi, o);
	cache_on_synced(vmis, on_synced, o);
	cache_on_change(kubevirts, on_kubevirt, o);
	return o;
}

void outdated_free(struct outdated *o)
{
	if (!o)
		return;
	kube_call_cancel(o->call);
	loop_timer_free(o->settle);
	free(o);
}
