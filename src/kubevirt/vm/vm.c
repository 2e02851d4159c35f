/* SPDX-License-Identifier: Apache-2.0 */
/* From what a pass has seen to its plan. The status goes first: what it records (failed starts, requests to start again) is
 * evidence that the writes behind it destroy. */
#include "kubevirt/vm/vm.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vm/vm_impl.h"

/* Our finalizer on the instance held it until what became of it was counted; virt-handler's is gone by then. */
static void plan_let_go(const struct obj *vmi, struct plan *out)
{
	struct json_doc *d;

	if (!obj_deleting(vmi) || meta_has_finalizer(obj_json(vmi), FINALIZER_VMI) ||
		!meta_has_finalizer(obj_json(vmi), FINALIZER_VM))
		return;
	d = obj_draft(vmi);
	meta_set_finalizer(d, json_root(d), FINALIZER_VM, false);
	plan_change(out, &kind_vmi, vmi, NULL, d);
}

/* An instance whose VM is gone, or is another one of the same name by now: nobody else takes our finalizer off it. */
static void plan_let_go_orphan(const struct vm_seen *s, struct plan *out)
{
	const struct json *owner = meta_controller_ref(obj_json(s->foreign));

	if (str_eq(json_get_str(owner, "kind"), "VirtualMachine"))
		plan_let_go(s->foreign, out);
}

static void plan_start(
	const struct vm_seen *s, const struct vm_turn *t, struct json_doc *revision, struct plan *out)
{
	CLEANUP(mem_freep) char *name = vm_revision_name(s->vm);

	plan_ensure(out, &kind_controllerrevision, revision);
	plan_create(out, &kind_vmi, vm_instance_render(s, t->paused));
	plan_event(out, s->vm, false, "SuccessfulCreate",
		"Started the virtual machine by creating the new virtual machine instance %s",
		obj_name(s->vm));
	for (size_t i = 0; i < s->n_revisions; i++)
		if (!str_eq(obj_name(s->revisions[i]), name))
			plan_delete(out, &kind_controllerrevision, obj_key(s->revisions[i]),
				obj_uid(s->revisions[i]), -1);
	vm_types_forget(s, out);
}

static void plan_stop(const struct vm_seen *s, struct plan *out)
{
	plan_delete(out, &kind_vmi, obj_key(s->vmi), obj_uid(s->vmi), -1);
	plan_event(out, s->vm, false, "SuccessfulDelete",
		"Stopped the virtual machine by deleting the virtual machine instance %s", obj_uid(s->vmi));
}

static bool restart_required(const struct json *status)
{
	return cond_is(json_get(status, "conditions"), COND_RESTART_REQUIRED, "True");
}

static void plan_restart_events(const struct vm_seen *s, const struct vm_turn *t, struct plan *out)
{
	bool was = restart_required(json_get(obj_json(s->vm), "status")), is = restart_required(t->status);
	const struct json *c = cond_find(json_get(t->status, "conditions"), COND_RESTART_REQUIRED);

	if (is && !was)
		plan_event(
			out, s->vm, false, "RestartRequired", "%s", json_str_or(json_get(c, "message"), ""));
	else if (was && !is)
		plan_event(out, s->vm, false, "RestartNotRequired", "%s",
			s->vmi ? "the running instance has everything that the template asks for again"
			       : "there is no running instance that could differ from the template");
}

/* The instance's own events go out of sight with it, so the VM says it too. */
static void plan_failed_start_event(const struct vm_seen *s, const struct vm_turn *t, struct plan *out)
{
	const char *was = json_at_str(obj_json(s->vm), "/status/startFailure/lastFailedVMIUID");
	const char *is = json_at_str(t->status, "/startFailure/lastFailedVMIUID");
	const struct json *why = s->vmi ? vmi_cond(obj_json(s->vmi), COND_SYNCHRONIZED) : NULL;

	if (is && !str_eq(was, is))
		plan_event(out, s->vm, true, "FailedStart",
			"The virtual machine instance ended before it ran: %s",
			json_str_or(json_get(why, "message"), "see its events and its launcher's log"));
}

static void plan_live_events(const struct vm_seen *s, const struct edits *r, struct plan *out)
{
	for (size_t i = 0; i < r->n; i++)
		if (!r->items[i].staged && !r->items[i].waits)
			plan_event(out, s->vm, false, "LiveUpdate",
				"%s %s -> %s goes to the running instance", r->items[i].path,
				r->items[i].was ? r->items[i].was : "(none)",
				r->items[i].is ? r->items[i].is : "(none)");
}

/* The edits that go to the running instance, once. */
static bool plan_live(const struct vm_seen *s, struct edits *r, struct plan *out)
{
	if (!r->vmi || !plan_change(out, &kind_vmi, s->vmi, NULL, TAKE(r->vmi)))
		return false;
	plan_live_events(s, r, out);
	return true;
}

/* The new status says that the edit was seen, and nothing else. */
static bool only_seen(const struct vm_seen *s, const struct vm_turn *t)
{
	const struct json *was = json_get(obj_json(s->vm), "status");
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(t->status);

	json_set_i64(d, json_root(d), "desiredGeneration", json_i64(json_get(was, "desiredGeneration")));
	vm_stamp_conditions(d, json_root(d), json_i64(json_at(was, "/conditions/0/observedGeneration")));
	return json_eq(json_root(d), was);
}

/* The instance has been changed, and a condition that says so is about to be written: vmi_memory.c and vmi_cpu.c write one for
 * all that is asked here. What they leave alone, above all while a migration runs, would be waited for in vain. */
static bool in_transit(const struct vm_seen *s)
{
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;

	if (vmi_phase(vmi) != VMI_RUNNING || obj_deleting(s->vmi) || vmi_migrating(vmi))
		return false;
	if (vmi_guest_limit(vmi) >= 0 && vmi_guest_wanted(vmi) >= 0 && vmi_guest_requested(vmi) >= 0 &&
		vmi_guest_wanted(vmi) != vmi_guest_requested(vmi) && !vmi_cond(vmi, COND_HOT_MEMORY))
		return true;
	return json_i64(json_at(vmi, "/spec/domain/cpu/maxSockets")) && vmi_sockets_current(vmi) >= 0 &&
	       vmi_sockets_wanted(vmi) != vmi_sockets_current(vmi) && !vmi_cond(vmi, COND_HOT_CPU);
}

/* The guest's identity, made up at its start, becomes the VM's own (rollout.md 6.16). */
static void keep_uuid(const struct vm_seen *s, struct json_doc *d, struct json *root)
{
	static const char path[] = "/spec/template/spec/domain/firmware/uuid";
	const char *uuid = s->vmi ? json_at_str(obj_json(s->vmi), "/spec/domain/firmware/uuid") : NULL;

	if (!str_empty(uuid) && str_empty(json_at_str(root, path)) &&
		json_is_obj(json_at(root, "/spec/template/spec")))
		json_put_str(d, root, path, uuid);
}

/* Decision 13. The annotation says what was told already. True: there is something new to tell. */
static bool note_drift(const struct vm_seen *s, struct json_doc *d, struct json *root, char **ret)
{
	const char *told = meta_annotation(root, ANN_CONFIGURATION_DRIFT);

	if (!rollout_drift(s, ret) || str_eq(told, *ret))
		return false;
	meta_set_annotation(d, root, ANN_CONFIGURATION_DRIFT, *ret);
	return *ret != NULL;
}

static void plan_main(const struct vm_seen *s, const struct vm_turn *t, struct plan *out)
{
	struct json_doc *d = obj_draft(s->vm);
	struct json *root = json_root(d), *spec = json_get(root, "spec");
	CLEANUP(mem_freep) char *drift = NULL;
	CLEANUP(mem_freep) char *left = rollout_volumes_left(s);
	bool tell;

	meta_set_finalizer(d, root, FINALIZER_VM, true);
	if (meta_annotation(root, ANN_VOLUMES_AT_ONCE))
		meta_set_annotation(d, root, ANN_VOLUMES_AT_ONCE, left);
	keep_uuid(s, d, root);
	tell = note_drift(s, d, root, &drift);
	nic_drop_absent(json_at(spec, "/template/spec"), rollout_nics_gone, s);
	if (t->to_always && json_get(spec, "running"))
		json_set_bool(d, spec, "running", true);
	else if (t->to_always)
		json_set_str(d, spec, "runStrategy", "Always");
	plan_change(out, &kind_vm, s->vm, NULL, d);
	if (tell)
		plan_event(out, s->vm, false, "ConfigurationDrift",
			"the cluster's configuration would give this machine at its next start: %s", drift);
}

/* What it names can not be found or does not fit: it is not started, and says why. */
static void block_start(const struct vm_seen *s, struct vm_turn *t, struct plan *out)
{
	const struct json *told = json_at(obj_json(s->vm), "/status/conditions");

	if (!s->types || !s->types->failure)
		return;
	if (t->act == ACT_START)
		t->act = ACT_KEEP;
	if (!str_eq(json_get_str(cond_find(told, COND_FAILURE), "message"), s->types->why.msg))
		plan_event(out, s->vm, true, s->types->failure, "%s", s->types->why.msg);
}

static void turn_begin(const struct vm_seen *s, struct vm_turn *t)
{
	*t = (struct vm_turn){ .doc = obj_draft(s->vm) };
	t->status = json_need_obj(t->doc, json_root(t->doc), "status");
}

/* The instance goes first, then the revisions, then the VM. */
static void decide_going(const struct vm_seen *s, struct plan *out)
{
	struct edits none = { 0 };
	struct vm_turn t;
	struct json_doc *d;

	if (!meta_has_finalizer(obj_json(s->vm), FINALIZER_VM))
		return; /* somebody else's finalizer holds it; our part is done */
	if (s->vmi) {
		turn_begin(s, &t);
		vm_status(s, &t, &none);
		plan_change(out, &kind_vm, s->vm, "status", t.doc);
		if (!obj_deleting(s->vmi))
			plan_stop(s, out);
		plan_let_go(s->vmi, out);
		return;
	}
	for (size_t i = 0; i < s->n_revisions; i++)
		plan_delete(out, &kind_controllerrevision, obj_key(s->revisions[i]), obj_uid(s->revisions[i]),
			-1);
	d = obj_draft(s->vm);
	meta_set_finalizer(d, json_root(d), FINALIZER_VM, false);
	plan_change(out, &kind_vm, s->vm, NULL, d);
}

static void decide_there(const struct vm_seen *s, struct plan *out)
{
	CLEANUP(json_doc_freep)
	struct json_doc *revision = NULL; /* made from the status before that is given away */
	struct edits r;
	struct vm_turn t;
	bool live;

	if (vm_types_rewrite(s, out))
		return;
	turn_begin(s, &t);
	vm_run(s, &t);
	rollout_compute(s, &r);
	plan_main(s, &t, out);
	block_start(s, &t, out);
	if (t.act != ACT_STOP)
		vm_types_keep(s, &t, out);
	vm_status(s, &t, &r);

	plan_restart_events(s, &t, out);
	plan_failed_start_event(s, &t, out);
	vm_busy_event(s, &r, out);
	/* A guest that waits for its memory need not wait for that to be written; the change of the instance wakes us again, with
	 * more to write. */
	live = t.act == ACT_KEEP && only_seen(s, &t) && (plan_live(s, &r, out) || in_transit(s));
	if (t.act == ACT_START)
		revision = vm_revision_render(s->vm, t.status);
	if (live) {
		json_doc_free(t.doc);
	} else {
		plan_change(out, &kind_vm, s->vm, "status", t.doc);
		vm_failure_events(s, out);
	}
	if (t.act == ACT_STOP)
		plan_stop(s, out);
	else if (t.act == ACT_START)
		plan_start(s, &t, TAKE(revision), out);
	else
		plan_live(s, &r, out);
	if (s->vmi)
		plan_let_go(s->vmi, out);
	if (t.retry_at)
		plan_again_at(out, t.retry_at);
	rollout_done(&r);
}

void vm_decide_seen(const struct vm_seen *s, struct plan *out)
{
	if (s->foreign)
		plan_let_go_orphan(s, out);
	if (!s->vm)
		return;
	if (obj_deleting(s->vm))
		decide_going(s, out);
	else
		decide_there(s, out);
}
