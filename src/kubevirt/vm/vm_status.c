/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM's status says. kubevirt-api.md 3.1, 3.2. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vm/vm_impl.h"

/* ---- printableStatus: first match wins ---- */
struct facts {
	const struct vm_seen *s;
	const struct vm_turn *t;
	const struct json *vmi;
	enum vmi_phase phase;
	bool live; /* an instance that has not ended */
};

static bool is_terminating(const struct facts *f)
{
	return obj_deleting(f->s->vm);
}
static bool is_stopping(const struct facts *f)
{
	return f->live && (obj_deleting(f->s->vmi) || f->t->act == ACT_STOP);
}
static bool is_migrating(const struct facts *f)
{
	return f->live && vmi_migrating(f->vmi);
}
static bool is_paused(const struct facts *f)
{
	return f->phase == VMI_RUNNING && vmi_cond_is(f->vmi, COND_PAUSED, "True");
}
static bool is_running(const struct facts *f)
{
	return f->phase == VMI_RUNNING;
}
static bool has_reason(const struct facts *f, const char *cond, const char *reason)
{
	return f->live && vmi_cond_is(f->vmi, cond, "False") &&
	       str_eq(json_get_str(vmi_cond(f->vmi, cond), "reason"), reason);
}
static bool lacks_claim(const struct facts *f)
{
	return has_reason(f, COND_SYNCHRONIZED, "FailedPvcNotFound");
}
/* Also the claims of the default class, which are bound when the launcher pod is placed. */
static bool waits_for_binding(const struct facts *f)
{
	if (!f->s->claim || !f->live || f->phase >= VMI_SCHEDULED)
		return false;
	JSON_EACH (it, json_at(f->vmi, "/spec/volumes")) {
		const char *name = volume_hotpluggable(it.val) ? NULL : volume_claim(it.val);
		const struct obj *claim = name ? f->s->claim(f->s->claim_arg, name) : NULL;

		if (claim && !str_eq(json_at_str(obj_json(claim), "/status/phase"), "Bound"))
			return true;
	}
	return false;
}
static bool is_unschedulable(const struct facts *f)
{
	return has_reason(f, COND_POD_SCHEDULED, "Unschedulable");
}
static bool image_error(const struct facts *f)
{
	return has_reason(f, COND_SYNCHRONIZED, "ErrImagePull");
}
static bool image_back_off(const struct facts *f)
{
	return has_reason(f, COND_SYNCHRONIZED, "ImagePullBackOff");
}
static bool is_starting(const struct facts *f)
{
	return (f->live && f->phase < VMI_RUNNING) || f->t->act == ACT_START;
}
static bool is_crash_looping(const struct facts *f)
{
	enum run_strategy s = f->t->strategy;

	return !f->live && json_i64(json_at(f->t->status, "/startFailure/consecutiveFailCount")) > 0 &&
	       (s == RUN_ALWAYS || s == RUN_RERUN_ON_FAILURE || s == RUN_ONCE);
}
static bool is_stopped(const struct facts *f)
{
	return !f->live;
}
static bool waits_for_sync(const struct facts *f)
{
	return f->phase == VMI_WAITING_FOR_SYNC;
}
static bool always(const struct facts *f)
{
	return true;
}

static const struct {
	const char *text;
	bool (*when)(const struct facts *f);
} printable[] = {
	{ "Terminating", is_terminating },
	{ "Stopping", is_stopping },
	{ "Migrating", is_migrating },
	{ "Paused", is_paused },
	{ "Running", is_running },
	{ "ErrorPvcNotFound", lacks_claim },
	{ "ErrorUnschedulable", is_unschedulable },
	{ "WaitingForVolumeBinding", waits_for_binding },
	{ "ErrImagePull", image_error },
	{ "ImagePullBackOff", image_back_off },
	{ "Starting", is_starting },
	{ "CrashLoopBackOff", is_crash_looping },
	{ "Stopped", is_stopped },
	{ "WaitingForReceiver", waits_for_sync },
	{ "Unknown", always },
};

const char *vm_printable_status(const struct vm_seen *s, const struct vm_turn *t)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const struct facts f = {
		.s = s, .t = t, .vmi = vmi, .phase = vmi_phase(vmi), .live = vmi && !vmi_is_final(vmi)
	};

	for (size_t i = 0; i < ARRAY_LEN(printable); i++)
		if (printable[i].when(&f))
			return printable[i].text;
	return "Unknown";
}

/* ---- conditions ---- */
static bool is_own(const char *type)
{
	static const char *const own[] = { COND_READY, COND_FAILURE, COND_RESTART_REQUIRED, NULL };
	return str_in(type, own);
}

static void put_condition(struct json_doc *d, struct json *status, const struct json *c)
{
	struct json *list = json_need_arr(d, status, "conditions");

	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "type"), json_get_str(c, "type"))) {
			if (!json_eq(it.val, c))
				json_replace_item(d, list, it.i, json_copy(d, c));
			return;
		}
	json_append(d, list, json_copy(d, c));
}

/* Why no instance gets to run outlives each of them: until one has. */
static bool tells_of_failed_starts(const struct vm_turn *t, const char *type)
{
	return str_eq(type, COND_SYNCHRONIZED) && json_get(t->status, "startFailure");
}

/* The instance's conditions by type, and away with it; not those that mean something else on a VM (rollout.md 6.21). */
static void mirror_conditions(struct vm_turn *t, const struct json *vmi)
{
	JSON_EACH (it, json_get(t->status, "conditions")) {
		const char *type = json_get_str(it.val, "type");
		if (!is_own(type) && !vmi_cond(vmi, type) && !tells_of_failed_starts(t, type))
			json_iter_remove(&it);
	}
	JSON_EACH (it, json_at(vmi, "/status/conditions"))
		if (!is_own(json_get_str(it.val, "type")))
			put_condition(t->doc, t->status, it.val);
}

static void ready_condition(const struct vm_seen *s, struct vm_turn *t, const struct json *vmi)
{
	const struct json *ready = vmi_cond(vmi, COND_READY);

	if (ready)
		put_condition(t->doc, t->status, ready);
	else if (vmi)
		cond_set(t->doc, t->status, COND_READY, "False", "GuestNotRunning",
			"Guest VM is not reported as running", s->now);
	else
		cond_set(
			t->doc, t->status, COND_READY, "False", "VMINotExists", "VMI does not exist", s->now);
}

void vm_report_refusal(const struct obj *vm, const struct err *e, int64_t now, struct plan *out)
{
	struct json_doc *d = obj_draft(vm);

	cond_set(d, json_need_obj(d, json_root(d), "status"), COND_FAILURE, "True", VM_REFUSED, e->msg, now);
	if (plan_change(out, &kind_vm, vm, "status", d))
		plan_event(out, vm, true, VM_REFUSED, "Failed to create the virtual machine instance: %s",
			e->msg);
}

static void failure_condition(const struct vm_seen *s, struct vm_turn *t, const struct edits *r)
{
	const struct json *was = cond_find(json_get(t->status, "conditions"), COND_FAILURE);

	if (s->types && s->types->failure)
		cond_set(t->doc, t->status, COND_FAILURE, "True", s->types->failure, s->types->why.msg,
			s->now);
	else if (s->foreign && !s->vmi && vm_run_table(t->strategy, INST_NONE) != ACT_KEEP)
		cond_set(t->doc, t->status, COND_FAILURE, "True", VM_REFUSED,
			"a VirtualMachineInstance of this name exists that does not belong to this "
			"VirtualMachine",
			s->now);
	else if (t->act == ACT_START && was && str_eq(json_get_str(was, "reason"), VM_REFUSED))
		return; /* until it is made */
	else if (r->busy_reason)
		cond_set(t->doc, t->status, COND_FAILURE, "True", r->busy_reason, r->busy_message, s->now);
	else
		cond_remove(t->doc, t->status, COND_FAILURE);
}

/* Derived afresh in every pass; the time stands as long as it is True. Gone with the instance (rollout.md 2.5). While there is
 * nothing to compare with it stays as it is: an instance on its way down, or a revision that is not there. */
static void restart_condition(const struct vm_seen *s, struct vm_turn *t, const struct edits *r)
{
	const struct json *now = cond_find(json_get(t->status, "conditions"), COND_RESTART_REQUIRED);

	if (r->known && r->staged) {
		CLEANUP(mem_freep) char *text = rollout_message(r, json_get_str(now, "message"));
		cond_set(t->doc, t->status, COND_RESTART_REQUIRED, "True", NULL, text, s->now);
	} else if ((r->known && !r->retried) || !s->vmi) {
		cond_remove(t->doc, t->status, COND_RESTART_REQUIRED);
	}
}

void vm_stamp_conditions(struct json_doc *d, struct json *status, int64_t generation)
{
	JSON_EACH (it, json_get(status, "conditions"))
		json_set_i64(d, it.val, "observedGeneration", generation);
}

/* status.observedGeneration stays behind after a live update (rollout.md 6.20), and `kubectl wait --for=condition` goes by it
 * unless the condition says its own. */
static void generations(const struct vm_seen *s, struct vm_turn *t)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const char *text = meta_annotation(vmi, ANN_VM_GENERATION);
	int64_t observed;

	vm_stamp_conditions(t->doc, t->status, obj_generation(s->vm));
	if (!vmi)
		return;
	if (text && str_to_i64(text, 0, INT64_MAX, &observed))
		json_set_i64(t->doc, t->status, "observedGeneration", observed);
	json_set_i64(t->doc, t->status, "desiredGeneration", obj_generation(s->vm));
}

void vm_status(const struct vm_seen *s, struct vm_turn *t, const struct edits *r)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;

	ready_condition(s, t, vmi);
	failure_condition(s, t, r);
	restart_condition(s, t, r);
	mirror_conditions(t, vmi);
	if (vmi) {
		json_set_bool(t->doc, t->status, "created", true);
	} else {
		json_remove(t->status, "created");
	}
	if (vmi_cond_is(vmi, COND_READY, "True"))
		json_set_bool(t->doc, t->status, "ready", true);
	else
		json_remove(t->status, "ready");
	generations(s, t);
	json_set_str(t->doc, t->status, "printableStatus", vm_printable_status(s, t));
}
