/* SPDX-License-Identifier: Apache-2.0 */
/* A change of the number of sockets in place, steps 4 and 5 of kubevirt/api/handoff.h. rollout.md 3.2, 7.4,
 * 7.5, 7.12; decisions 10, 11, 20. */
#include "kubevirt/handler/guest.h"

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"

#define RETRY_MS 1000 /* after the first failure; doubles */
#define MESSAGE_MAX 800

static const struct json *compute(const struct json *list)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), POD_CONTAINER_COMPUTE))
			return it.val;
	return NULL;
}

static int64_t sockets_of(const struct json *cpu)
{
	int64_t n = json_i64(json_get(cpu, "sockets"));

	return n > 0 ? n : 1;
}

/* ---- the pod ---- */
/* What the pod has to request: rollout.md 3.2, 4. */
static int64_t pod_need(const struct guest_view *v, const struct json *vmi)
{
	const struct json *cpu = json_at(vmi, "/spec/domain/cpu");
	int64_t given = quantity_millis(json_at(vmi, "/spec/domain/resources/requests/cpu"));
	const char *text = meta_annotation(obj_json(v->pod), ANN_CPU_RATIO);
	int64_t ratio;

	if (json_bool(json_get(cpu, "dedicatedCpuPlacement")))
		return vcpu_count(cpu) * 1000;
	if (given >= 0)
		return given;
	if (!text || !str_to_i64(text, 1, INT32_MAX, &ratio))
		ratio = v->config->cpu_allocation_ratio;
	return vcpu_count(cpu) * 1000 / ratio;
}

static bool granted(const struct json *asked, const struct json *has, const char *which, int64_t need)
{
	int64_t want = quantity_millis(json_at(asked, which));

	if (want < need)
		return false;
	/* A node that does not tell gives what is asked for. */
	return !has || want < 0 || quantity_millis(json_at(has, which)) >= want;
}

/* Does the pod, as the node reports it, hold the CPUs that the instance wants? */
static bool pod_covers(const struct guest_view *v, const struct json *vmi)
{
	const struct json *pod = v->pod ? obj_json(v->pod) : NULL;
	const struct json *asked = json_get(compute(json_at(pod, "/spec/containers")), "resources");
	const struct json *has = json_get(compute(json_at(pod, "/status/containerStatuses")), "resources");
	int64_t limit = quantity_millis(json_at(vmi, "/spec/domain/resources/limits/cpu"));

	return pod && granted(asked, has, "/requests/cpu", pod_need(v, vmi)) &&
	       (!json_at(asked, "/limits/cpu") || granted(asked, has, "/limits/cpu", limit));
}

/* ---- results ---- */
bool guest_cpus_are(const struct guest_facts *f, int64_t sockets)
{
	const struct json *told = json_get(f->state, "cpus");

	return !f->cpus.busy && json_i64(json_get(told, "sockets")) == sockets &&
	       !json_bool(json_get(told, "changing"));
}

static void finish(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t sockets)
{
	struct json *status = json_need_obj(d, vmi, "status");

	json_set_i64(d, json_need_obj(d, status, "currentCPUTopology"), "sockets", sockets);
	cond_remove(d, status, COND_HOT_CPU);
}

/* What is there stays, is told, and is what the status says (guest_status.c). */
static void give_up(
	const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_cpus_step *ret)
{
	CLEANUP(mem_freep)
	char *target = str_printf("%lld", (long long)sockets_of(json_at(vmi, "/spec/domain/cpu")));

	ret->failure = mem_strndup(v->facts->cpus.error ? v->facts->cpus.error : "unknown", MESSAGE_MAX);
	cond_set(d, json_need_obj(d, vmi, "status"), COND_HOT_CPU, "False", HOT_CPU_FAILED, ret->failure,
		v->now);
	meta_set_annotation(d, vmi, ANN_HOT_CPU_TARGET, target);
}

static int64_t retry_at(const struct guest_cpus *c)
{
	return c->failures > 0 ? c->failed_at + ((int64_t)RETRY_MS << (c->failures - 1)) : 0;
}

static void ask(const struct guest_view *v, int64_t wanted, int64_t has, struct guest_cpus_step *ret)
{
	const struct guest_cpus *c = &v->facts->cpus;
	int64_t at = c->target == wanted ? retry_at(c) : 0;

	if (v->now < at) {
		ret->again_at = at;
		return;
	}
	ret->set = wanted;
	ret->remove = wanted < has && gate_on(&v->config->gates, GATE_CPU_HOT_UNPLUG);
}

/* ---- after a migration: rollout.md 3.2, 6. ---- */
/* The guest has come here since the change began to wait. */
static bool arrived(const struct guest_view *v, const struct json *vmi, const struct json *cond)
{
	const struct json *m = json_at(vmi, "/status/migrationState");
	int64_t since, ended;

	return str_eq(json_get_str(cond, "status"), "True") && json_bool(json_get(m, "completed")) &&
	       !json_bool(json_get(m, "failed")) && str_eq(json_get_str(m, "targetNode"), v->node) &&
	       time_parse(json_get_str(m, "endTimestamp"), &ended) &&
	       (!time_parse(json_get_str(cond, "lastTransitionTime"), &since) || ended > since);
}

/* Whole CPUs of its own, as the pod got them at the hand-over. */
static bool label_covers(const struct json *vmi)
{
	const char *text = meta_label(vmi, LABEL_POD_CPU_LIMITS);
	struct quantity q;

	return text && quantity_parse(text, &q, NULL) == 0 &&
	       quantity_ceil(&q) >= vcpu_count(json_at(vmi, "/spec/domain/cpu"));
}

/* Whatever came of it, it waits no more; virt-controller sees what differs still, and how often it was in vain. */
static void wait_over(struct json_doc *d, struct json *vmi)
{
	meta_set_label(d, vmi, LABEL_POD_CPU_LIMITS, NULL);
	cond_remove(d, json_need_obj(d, vmi, "status"), COND_HOT_CPU);
}

static void in_vain(
	struct json_doc *d, struct json *vmi, int64_t wanted, const char *why, struct guest_cpus_step *ret)
{
	CLEANUP(mem_freep)
	char *text = str_printf("%lld %d", (long long)wanted, hot_cpu_failures(vmi, wanted) + 1);

	ret->failure = mem_strndup(why, MESSAGE_MAX);
	meta_set_annotation(d, vmi, ANN_HOT_CPU_FAILURES, text);
	wait_over(d, vmi);
}

static void finalise(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t has,
	struct guest_cpus_step *ret)
{
	const struct guest_cpus *c = &v->facts->cpus;
	int64_t wanted = sockets_of(json_at(vmi, "/spec/domain/cpu"));
	bool own = json_bool(json_at(vmi, "/spec/domain/cpu/dedicatedCpuPlacement"));
	bool answered = c->done && c->target == wanted;

	if (own && !label_covers(vmi)) {
		in_vain(d, vmi, wanted, "its pod has fewer CPUs than the guest is to have", ret);
	} else if (!own && !pod_covers(v, vmi)) {
		return; /* it was made before the latest edit: the next migration */
	} else if (answered && c->error) {
		in_vain(d, vmi, wanted, c->error, ret);
	} else if (answered || guest_cpus_are(v->facts, wanted)) {
		finish(v, d, vmi, wanted);
		wait_over(d, vmi);
	} else if (!c->busy || c->target != wanted) {
		ret->set = wanted;
		ret->remove = wanted < has && gate_on(&v->config->gates, GATE_CPU_HOT_UNPLUG);
	}
}

void guest_cpus(const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_cpus_step *ret)
{
	const struct guest_cpus *c = &v->facts->cpus;
	const struct json *told = json_get(v->facts->state, "cpus");
	const struct json *cond = cond_find(json_at(vmi, "/status/conditions"), COND_HOT_CPU);
	int64_t wanted = sockets_of(json_at(vmi, "/spec/domain/cpu"));
	int64_t has = json_i64(json_get(told, "sockets"));

	ret->seen = c->done;
	if (told && !str_eq(json_get_str(cond, "reason"), HOT_CPU_IN_PLACE) && arrived(v, vmi, cond)) {
		finalise(v, d, vmi, has, ret);
		return;
	}
	if (!str_eq(json_get_str(cond, "status"), "True") ||
		!str_eq(json_get_str(cond, "reason"), HOT_CPU_IN_PLACE) || !told)
		return;
	if (c->done && c->target == wanted && !c->error) {
		finish(v, d, vmi, wanted);
		return;
	}
	if (c->done && c->target == wanted && (c->refused || c->failures >= GUEST_CPUS_TRIES)) {
		give_up(v, d, vmi, ret);
		return;
	}
	if (c->busy && c->target == wanted)
		return;
	if (guest_cpus_are(v->facts, wanted)) {
		finish(v, d, vmi, wanted);
		return;
	}
	/* Room first, then the guest; the other way round when there become fewer. */
	if (wanted > has && !pod_covers(v, vmi))
		return;
	ask(v, wanted, has, ret);
}
