/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's status as the API shows it, from what the agent knows. Nothing is done here. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "api/quantity.h"

#include <inttypes.h>
#include <string.h>

static bool ctr_has_run(const struct ctr *c)
{
	return c->state == CTR_RUNNING || c->state == CTR_ENDED || c->last.set;
}

static bool main_ends_well(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->class == CTR_MAIN && p->ctrs[i]->end.code != 0)
			return false;
	return true;
}

const char *pod_phase(const struct pod *p)
{
	bool all_run = true, all_over = true;

	if (p->fail_reason && p->finished)
		return "Failed";
	for (size_t i = 0; i < p->n_ctrs; i++) {
		const struct ctr *c = p->ctrs[i];

		if (c->class != CTR_MAIN)
			continue;
		all_run &= ctr_has_run(c);
		all_over &= c->state == CTR_ENDED && !c->shim;
	}
	/* What it was told before a restart of the host, of which nothing is left but the object. */
	if (p->finished && !all_over)
		return json_str_or(json_at(obj_json(p->obj), "/status/phase"), "Failed");
	if (all_over && (p->finished || (pod_terminating(p) && p->cleaned)))
		return main_ends_well(p) ? "Succeeded" : "Failed";
	return all_run ? "Running" : "Pending";
}

/* ---- one container ---- */
static void put_time(struct json_doc *d, struct json *o, const char *key, int64_t ms)
{
	char buf[TIME_TEXT_MAX];

	json_set_str(d, o, key, time_rfc3339(ms, buf));
}

static void put_terminated(struct json_doc *d, struct json *state, const struct ctr_end *e)
{
	struct json *t = json_need_obj(d, state, "terminated");

	json_set_i64(d, t, "exitCode", e->code);
	if (e->signal)
		json_set_i64(d, t, "signal", e->signal);
	json_set_str(d, t, "reason",
		e->start_failed ? "StartError"
		: e->oom        ? "OOMKilled"
		: !e->code      ? "Completed"
				: "Error");
	json_set_str(d, t, "message", e->message);
	put_time(d, t, "startedAt", e->started_ms);
	put_time(d, t, "finishedAt", e->finished_ms);
	json_set_strf(d, t, "containerID", "coracle://%s", e->id);
}

static void put_waiting(struct json_doc *d, struct json *state, const char *reason, const char *message)
{
	struct json *w = json_need_obj(d, state, "waiting");

	json_set_str(d, w, "reason", reason);
	json_set_str(d, w, "message", message);
}

static bool init_over(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		const struct ctr *c = p->ctrs[i];

		if (c->class == CTR_INIT && !(c->state == CTR_ENDED && c->end.code == 0))
			return false;
		if (c->class == CTR_SIDECAR && !c->started)
			return false;
	}
	return true;
}

static const struct vol *failed_volume(const struct pod *p)
{
	for (size_t i = 0; i < p->n_vols; i++)
		if (p->vols[i].error)
			return &p->vols[i];
	return NULL;
}

static void waiting_for(struct json_doc *d, struct json *state, const struct ctr *c)
{
	CLEANUP(mem_freep) char *text = NULL;
	const char *image = json_str_or(json_get(ctr_spec(c), "image"), "");
	const struct vol *v;

	if (c->image_message && c->image_failures > 1 && str_eq(c->image_reason, "ErrImagePull")) {
		text = str_printf(
			"Back-off pulling image \"%s\": %s: %s", image, c->image_reason, c->image_message);
		put_waiting(d, state, "ImagePullBackOff", text);
	} else if (c->image_message) {
		put_waiting(d, state, c->image_reason, c->image_message);
	} else if (c->config_error) {
		put_waiting(d, state, c->config_reason, c->config_error);
	} else if ((v = failed_volume(c->pod))) {
		put_waiting(d, state, v->failures > 1 ? "ImagePullBackOff" : "ErrImagePull", v->error);
	} else {
		put_waiting(d, state,
			c->class == CTR_MAIN && !init_over(c->pod) ? "PodInitializing" : "ContainerCreating",
			NULL);
	}
}

static void put_crash_loop(struct json_doc *d, struct json *state, const struct ctr *c)
{
	CLEANUP(mem_freep)
	char *text = str_printf("back-off %" PRId64 "s restarting failed container=%s pod=%s_%s(%s)",
		back_off_ms(c->failures - 1, BACK_OFF_MIN_MS, BACK_OFF_MAX_MS) / 1000, c->name,
		obj_name(c->pod->obj), obj_namespace(c->pod->obj), c->pod->uid);

	put_waiting(d, state, "CrashLoopBackOff", text);
}

static void put_states(struct json_doc *d, struct json *s, const struct ctr *c)
{
	struct json *state = json_need_obj(d, s, "state"), *last = json_need_obj(d, s, "lastState"), *running;
	bool backing_off = c->state == CTR_ENDED && ctr_will_restart(c) && c->failures > 1;

	switch (c->state) {
	case CTR_RUNNING:
		running = json_need_obj(d, state, "running");
		put_time(d, running, "startedAt", c->started_ms);
		break;
	case CTR_ENDED:
		if (backing_off)
			put_crash_loop(d, state, c);
		else
			put_terminated(d, state, &c->end);
		break;
	default:
		waiting_for(d, state, c);
	}
	if (backing_off)
		put_terminated(d, last, &c->end);
	else if (c->last.set)
		put_terminated(d, last, &c->last);
}

/* Of a container that an earlier agent started: as it was told then. */
static const char *image_id_before(const struct ctr *c)
{
	const char *list = c->class == CTR_MAIN        ? "/status/containerStatuses"
			   : c->class == CTR_EPHEMERAL ? "/status/ephemeralContainerStatuses"
						       : "/status/initContainerStatuses";

	JSON_EACH (it, json_at(obj_json(c->pod->obj), list))
		if (str_eq(json_get_str(it.val, "name"), c->name))
			return json_str_or(json_get(it.val, "imageID"), "");
	return "";
}

static struct json *ctr_status(struct json_doc *d, const struct ctr *c)
{
	struct json *s = json_new_obj(d);
	const char *image = json_str_or(json_get(ctr_spec(c), "image"), "");

	json_set_str(d, s, "name", c->name);
	json_set_str(d, s, "image", image);
	json_set_str(d, s, "imageID", c->image ? c->image->digest_ref : image_id_before(c));
	if (c->attempted) {
		CLEANUP(mem_freep) char *id = ctr_id(c, c->attempt);

		json_set_strf(d, s, "containerID", "coracle://%s", id);
	}
	json_set_i64(d, s, "restartCount", c->attempt);
	json_set_bool(
		d, s, "ready", c->class == CTR_INIT ? c->state == CTR_ENDED && c->end.code == 0 : c->ready);
	json_set_bool(d, s, "started", c->state == CTR_RUNNING && c->started);
	put_states(d, s, c);
	if (c->resources) {
		const struct json *requests = json_get(json_root(c->resources), "requests");

		if (json_len(requests))
			json_set_copy(d, s, "allocatedResources", requests);
		json_set_copy(d, s, "resources", json_root(c->resources));
	}
	return s;
}

/* ---- conditions ---- */
static void unready_text(const struct pod *p, struct str *out)
{
	str_add(out, "containers with unready status: [");
	for (size_t i = 0, n = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->class == CTR_MAIN && !p->ctrs[i]->ready)
			str_addf(out, "%s%s", n++ ? " " : "", p->ctrs[i]->name);
	str_addc(out, ']');
}

static bool mains_ready(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i]->class != CTR_INIT && p->ctrs[i]->class != CTR_EPHEMERAL && !p->ctrs[i]->ready)
			return false;
	return true;
}

static const char *closed_gate(const struct pod *p, const struct json *conditions)
{
	JSON_EACH (it, json_get(pod_spec(p), "readinessGates")) {
		const char *type = json_str_or(json_get(it.val, "conditionType"), "");

		if (!cond_is(conditions, type, "True"))
			return type;
	}
	return NULL;
}

static void put_conditions(
	struct pod *p, struct json_doc *d, struct json *status, const char *phase, int64_t now)
{
	CLEANUP(str_done) struct str unready = { 0 };
	bool over = str_eq(phase, "Succeeded") || str_eq(phase, "Failed"), ready = !over && mains_ready(p);
	const char *reason = str_eq(phase, "Succeeded") ? "PodCompleted"
			     : str_eq(phase, "Failed")  ? "PodFailed"
							: "ContainersNotReady";
	const char *text = NULL, *gate;
	CLEANUP(mem_freep) char *gate_text = NULL;

	if (!cond_find(json_get(status, "conditions"), "PodScheduled"))
		cond_set(d, status, "PodScheduled", "True", NULL, NULL, now);
	if (init_over(p) || over)
		cond_set(d, status, "Initialized", "True", str_eq(phase, "Succeeded") ? "PodCompleted" : NULL,
			NULL, now);
	else
		cond_set(d, status, "Initialized", "False", "ContainersNotInitialized",
			"containers with incomplete status", now);
	if (!over) {
		unready_text(p, &unready);
		text = unready.data;
	}
	cond_set(d, status, "ContainersReady", ready ? "True" : "False", ready ? NULL : reason,
		ready ? NULL : text, now);
	gate = closed_gate(p, json_get(status, "conditions"));
	if (ready && gate) {
		gate_text = str_printf(
			"corresponding condition of pod readiness gate \"%s\" does not exist or is not True.",
			gate);
		cond_set(d, status, "Ready", "False", "ReadinessGatesNotReady", gate_text, now);
	} else {
		cond_set(d, status, "Ready", ready ? "True" : "False", ready ? NULL : reason,
			ready ? NULL : text, now);
	}
}

static void put_addresses(const struct pod *p, struct json_doc *d, struct json *status)
{
	const char *ip = pod_ip(p), *host = net_host_ip(p->agent->net);
	struct json *list = json_new_arr(d), *one = json_new_obj(d);

	json_set_str(d, status, "hostIP", host);
	json_set_str(d, one, "ip", host);
	json_append(d, list, one);
	json_set(d, status, "hostIPs", list);
	if (!*ip)
		return;
	json_set_str(d, status, "podIP", ip);
	list = json_new_arr(d);
	one = json_new_obj(d);
	json_set_str(d, one, "ip", ip);
	json_append(d, list, one);
	json_set(d, status, "podIPs", list);
}

struct json_doc *status_make(struct pod *p, int64_t now_ms)
{
	CLEANUP(json_doc_freep) struct json_doc *d = obj_draft(p->obj);
	struct json *status = json_need_obj(d, json_root(d), "status"), *inits = json_new_arr(d),
		    *mains = json_new_arr(d), *ephemeral = json_new_arr(d);
	const char *phase = pod_phase(p);
	bool blank = p->finished;

	json_set_str(d, status, "phase", phase);
	json_set_i64(d, status, "observedGeneration", obj_generation(p->obj));
	if (p->fail_reason && *p->fail_reason)
		json_set_str(d, status, "reason", p->fail_reason);
	if (p->fail_message)
		json_set_str(d, status, "message", p->fail_message);
	put_time(d, status, "startTime", p->start_ms);
	if (!p->cleaned)
		put_addresses(p, d, status);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		blank &= !p->ctrs[i]->attempted;
		json_append(d,
			p->ctrs[i]->class == CTR_MAIN        ? mains
			: p->ctrs[i]->class == CTR_EPHEMERAL ? ephemeral
							     : inits,
			ctr_status(d, p->ctrs[i]));
	}
	/* A finished pod whose remains are gone keeps what was told of it. */
	if (!blank) {
		json_set(d, status, "containerStatuses", mains);
		if (json_len(inits))
			json_set(d, status, "initContainerStatuses", inits);
		if (json_len(ephemeral))
			json_set(d, status, "ephemeralContainerStatuses", ephemeral);
	}
	put_conditions(p, d, status, phase, now_ms);
	resize_conditions(p, d, status, now_ms);
	if (json_eq(status, json_get(obj_json(p->obj), "status")))
		return NULL;
	return TAKE(d);
}
