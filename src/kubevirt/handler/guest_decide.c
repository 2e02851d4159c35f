/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/handler/guest.h"

#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/wire/wire.h"

#define GRACE_DEFAULT_S 30
#define REASON_MAX 128
#define MESSAGE_MAX 800 /* events hold 1024 bytes */

/* ---- reading ---- */
static const char *phase_of(const struct json *vmi)
{
	return json_str_or(json_at(vmi, "/status/phase"), "");
}

static bool is_final(const char *phase)
{
	return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static bool pod_ended(const struct obj *pod)
{
	return is_final(json_str_or(json_at(obj_json(pod), "/status/phase"), ""));
}

static const struct json *by_name(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

static bool compute_runs(const struct obj *pod)
{
	const struct json *list = pod ? json_at(obj_json(pod), "/status/containerStatuses") : NULL;

	return json_is_obj(json_at(by_name(list, POD_CONTAINER_COMPUTE), "/state/running"));
}

static bool wants_kvm(const struct obj *pod)
{
	const struct json *box =
		pod ? by_name(json_at(obj_json(pod), "/spec/containers"), POD_CONTAINER_COMPUTE) : NULL;

	return json_get(json_at(box, "/resources/limits"), RESOURCE_KVM) != NULL;
}

/* ---- actions ---- */
static struct json_doc *act_args(const struct guest_view *v)
{
	struct json_doc *d = json_doc_new();

	json_set_root(d, json_new_obj(d));
	json_set_str(d, json_root(d), "uid", v->uid);
	return d;
}

static void act(const struct guest_view *v, struct plan *out, const char *action)
{
	plan_action(out, action, v->key, act_args(v));
}

static void act_number(
	const struct guest_view *v, struct plan *out, const char *action, const char *name, int64_t n)
{
	struct json_doc *d = act_args(v);

	json_set_i64(d, json_root(d), name, n);
	plan_action(out, action, v->key, d);
}

/* ---- start ---- */
static void start(const struct guest_view *v, struct plan *out)
{
	const struct json *vmi = obj_json(v->vmi);
	struct json_doc *d = act_args(v);
	const char *missing;
	int64_t wanted = quantity_bytes(json_at(vmi, "/spec/domain/memory/guest"));
	int64_t boot = quantity_bytes(json_at(vmi, "/status/memory/guestRequested"));

	if (!guest_nic_taps(v, d, json_root(d), &missing)) {
		plan_event(out, v->vmi, true, "SyncFailed",
			"network %s: the pod's " ANN_NETWORK_STATUS
			" does not tell of it; is there nobody who attaches pods to such networks?",
			missing);
		json_doc_free(d);
		return;
	}
	json_set_bool(d, json_root(d), "emulate", !wants_kvm(v->pod));
	json_set_bool(d, json_root(d), "allowEmulation", !wants_kvm(v->pod) || v->config->use_emulation);
	/* A size changed since the VMI was made: its pod is still as large as it was then. */
	if (wanted > 0 && boot > 0 && boot != wanted)
		json_set_i64(d, json_root(d), "bytes", boot);
	plan_action(out, GUEST_START, v->key, d);
}

/* ---- the end ---- */
static int64_t grace_left(const struct guest_view *v, const struct json *vmi)
{
	const struct json *given = json_at(vmi, "/spec/terminationGracePeriodSeconds");
	int64_t grace = json_is_int(given) ? json_i64(given) : GRACE_DEFAULT_S, since;

	if (!time_parse(meta_str(vmi, "deletionTimestamp"), &since) || since > v->now)
		since = v->now;
	grace -= (v->now - since) / 1000;
	return grace < 0 ? 0 : grace;
}

static void stop(const struct guest_view *v, struct plan *out)
{
	int64_t grace = grace_left(v, obj_json(v->vmi));

	if (v->facts->stop_asked)
		return;
	if (grace > 0)
		plan_event(out, v->vmi, false, "ShuttingDown", "Signaled Graceful Shutdown");
	else
		plan_event(out, v->vmi, false, "Deleted", "Signaled Deletion");
	act_number(v, out, GUEST_SHUTDOWN, "graceSeconds", grace);
}

/* A guest that never got as far as running: why stands where people look. */
static bool never_ran(const char *reason)
{
	static const char *const list[] = { "PrepareFailed", "StartFailed", "StartRefused", NULL };

	return str_in(reason, list);
}

static void end(const struct guest_view *v, struct plan *out, bool succeeded, const char *given_reason,
	const char *given_message)
{
	/* A launcher's words go into objects and events of limited size. */
	CLEANUP(mem_freep) char *reason = mem_strndup(given_reason, REASON_MAX);
	CLEANUP(mem_freep) char *message = mem_strndup(given_message, MESSAGE_MAX);
	struct json_doc *d = obj_draft(v->vmi);
	struct json *vmi = json_root(d), *status = json_need_obj(d, vmi, "status");

	guest_status(v, d, vmi);
	guest_phase(v, d, vmi, succeeded ? "Succeeded" : "Failed");
	if (!succeeded) {
		json_set_str(d, status, "reason", reason);
		if (never_ran(reason))
			cond_set(
				d, status, COND_SYNCHRONIZED, "False", HANDOFF_START_FAILED, message, v->now);
	}
	plan_change(out, &kind_vmi, v->vmi, NULL, d);
	if (succeeded)
		plan_event(out, v->vmi, false, "Stopped", "The VirtualMachineInstance was shut down.");
	else if (never_ran(reason))
		plan_event(out, v->vmi, true, "SyncFailed", "%s", message);
	else
		plan_event(out, v->vmi, true, "Stopped", "The VirtualMachineInstance crashed. %s: %s", reason,
			message);
}

/* ---- a running guest ---- */
static void set_memory(const struct guest_view *v, struct plan *out, int64_t bytes)
{
	struct json_doc *d = act_args(v);
	int64_t max = quantity_bytes(json_at(obj_json(v->vmi), "/spec/domain/memory/maxGuest"));

	json_set_i64(d, json_root(d), "bytes", bytes);
	if (max > 0)
		json_set_i64(d, json_root(d), "max", max);
	plan_action(out, GUEST_SET_MEMORY, v->key, d);
}

static void run_cpus(const struct guest_view *v, const struct guest_cpus_step *step, struct plan *out)
{
	struct json_doc *d;

	if (step->failure)
		plan_event(
			out, v->vmi, true, "CPUHotplugFailed", "failed to change vCPUs: %s", step->failure);
	if (step->seen)
		act(v, out, GUEST_CPUS_SEEN);
	if (step->again_at)
		plan_again_at(out, step->again_at);
	if (!step->set)
		return;
	d = act_args(v);
	json_set_i64(d, json_root(d), "sockets", step->set);
	json_set_bool(d, json_root(d), "remove", step->remove);
	plan_action(out, GUEST_SET_CPUS, v->key, d);
}

static void run(const struct guest_view *v, struct plan *out)
{
	bool first = !str_eq(phase_of(obj_json(v->vmi)), "Running");
	struct guest_memory_step step = { 0 };
	struct guest_later later = { 0 };
	struct guest_cpus_step cpus = { 0 };
	struct json_doc *d = obj_draft(v->vmi);
	struct guest_news news = { 0 };
	struct json *vmi = json_root(d);
	bool written;

	guest_phase(v, d, vmi, "Running");
	guest_status(v, d, vmi);
	if (!obj_deleting(v->vmi)) {
		guest_cpus(v, d, vmi, &cpus);
		guest_memory(v, d, vmi, &step);
	}
	guest_volumes(v, d, vmi, &later);
	if (!first)
		news = guest_news(v, vmi);
	written = plan_change(out, &kind_vmi, v->vmi, NULL, d);
	guest_tell(v, &news, out);
	if (first) {
		plan_event(out, v->vmi, false, "Created", "VirtualMachineInstance defined.");
		plan_event(out, v->vmi, false, "Started", "VirtualMachineInstance started.");
		if (!str_empty(json_at_str(v->facts->state, "/memory/note")))
			plan_event(out, v->vmi, true, "LessRoomForMemory", "%.*s", MESSAGE_MAX,
				json_at_str(v->facts->state, "/memory/note"));
	}
	run_cpus(v, &cpus, out);
	free(cpus.failure);
	if (step.failure)
		plan_event(out, v->vmi, true, "MemoryHotplugFailed", "failed to update guest memory: %s",
			step.failure);
	if (step.seen)
		act(v, out, GUEST_MEMORY_SEEN);
	if (step.set)
		set_memory(v, out, step.set);
	if (step.again)
		plan_again_at(out, step.again);
	guest_later_plan(v, &later, written, out);
	if (!obj_deleting(v->vmi))
		guest_nics(v, obj_json(v->vmi), out);
	free(step.failure);
}

/* ---- the whole ---- */
static void decide_final(const struct guest_view *v, enum wire_phase launcher, struct plan *out)
{
	const struct guest_facts *f = v->facts;

	if (!f->connected) {
		if (!f->detached && (!v->pod || pod_ended(v->pod)))
			act(v, out, GUEST_DETACH);
		return;
	}
	/* Written off while nobody heard of it (a node that came back): it must not run on beside its
	 * successor. */
	if (launcher != WIRE_PHASE_SUCCEEDED && launcher != WIRE_PHASE_FAILED) {
		if (!f->kill_asked)
			act(v, out, GUEST_KILL);
	} else if (!f->release_asked) {
		act(v, out, GUEST_RELEASE);
	}
}

static void decide_idle(const struct guest_view *v, struct plan *out)
{
	const struct guest_facts *f = v->facts;
	const char *phase = phase_of(obj_json(v->vmi));

	if (!f->connected)
		return;
	if (str_eq(phase, "Running"))
		end(v, out, false, "LauncherRestarted", "its launcher knows nothing of it");
	else if (f->start == GUEST_START_REFUSED)
		end(v, out, false, "StartRefused", f->start_error);
	else if (obj_deleting(v->vmi))
		stop(v, out);
	else if (str_eq(phase, "Scheduled") && f->start == GUEST_START_NO && compute_runs(v->pod))
		start(v, out);
}

static void decide_guest(const struct guest_view *v, struct plan *out)
{
	const struct json *state = v->facts->state;
	const char *phase = phase_of(obj_json(v->vmi));
	enum wire_phase launcher;

	if (!wire_phase_parse(json_get_str(state, "phase"), &launcher))
		launcher = WIRE_PHASE_MAX; /* not known yet */
	if (is_final(phase)) {
		decide_final(v, launcher, out);
		return;
	}
	if (launcher == WIRE_PHASE_MAX)
		return;
	if (!str_eq(phase, "Scheduled") && !str_eq(phase, "Running"))
		return; /* not ours yet */
	if (WIRE_FINAL & (1u << launcher)) {
		end(v, out, launcher == WIRE_PHASE_SUCCEEDED, json_str_or(json_get(state, "reason"), ""),
			json_str_or(json_get(state, "message"), ""));
		return;
	}
	if (launcher == WIRE_PHASE_IDLE) {
		decide_idle(v, out);
		return;
	}
	if (!v->facts->connected)
		return;
	if (WIRE_GUEST & (1u << launcher))
		run(v, out);
	if (obj_deleting(v->vmi) && launcher != WIRE_PHASE_STOPPING)
		stop(v, out);
}

void guest_decide(const struct guest_view *v, struct plan *out)
{
	const struct guest_facts *f = v->facts;

	if (!v->vmi && !v->pod) {
		if (f)
			act(v, out, GUEST_FORGET);
		return;
	}
	/* Also when the pod has ended: the launcher has left its last words, and the directory has to
	 * be removed some day. */
	if (!f || !f->attached) {
		act(v, out, GUEST_ATTACH);
		return;
	}
	if (v->vmi && str_eq(json_at_str(obj_json(v->vmi), "/status/nodeName"), v->node))
		decide_guest(v, out);
}
