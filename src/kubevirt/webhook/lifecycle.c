/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/webhook/lifecycle.h"

#include "api/meta.h"
#include "api/status.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/webhook/lifecycle_impl.h"

/* ---- looking ---- */

static const char *phase_of(const struct json *vmi)
{
	return json_str_or(json_at(vmi, "/status/phase"), "");
}

static bool is_final(const struct json *vmi)
{
	return str_eq(phase_of(vmi), "Succeeded") || str_eq(phase_of(vmi), "Failed");
}

static bool is_running(const struct json *vmi)
{
	return str_eq(phase_of(vmi), "Running");
}

static const char *strategy_of(const struct json *vm)
{
	const char *text = json_at_str(vm, "/spec/runStrategy");
	if (text)
		return text;
	return json_bool(json_at(vm, "/spec/running")) ? "Always" : "Halted";
}

static bool dry_run(const struct json *body)
{
	JSON_EACH (it, json_get(body, "dryRun"))
		if (str_eq(json_str(it.val), "All"))
			return true;
	return false;
}

/* ---- refusing ---- */

static int conflict(struct err *e, const char *resource, const char *name, const char *text)
{
	return err_set(e, ERR_CONFLICT, "Operation cannot be fulfilled on %s.kubevirt.io \"%s\": %s",
		resource, name, text);
}

static int vm_conflict(struct err *e, const char *name, const char *text)
{
	return conflict(e, "virtualmachine", name, text);
}

static int vmi_conflict(struct err *e, const char *name, const char *text)
{
	return conflict(e, "virtualmachineinstance", name, text);
}

/* ---- steps ---- */

struct json *lifecycle_add_step(
	struct lifecycle_out *out, const struct kind *k, const char *sub, struct json_doc **ret_doc)
{
	MUST(out->n_steps < LIFECYCLE_STEPS_MAX);
	struct lifecycle_step *s = &out->steps[out->n_steps++];
	*s = (struct lifecycle_step){ .kind = k, .sub = sub, .ops = json_doc_new() };
	*ret_doc = s->ops;
	json_set_root(s->ops, json_new_arr(s->ops));
	return json_root(s->ops);
}

void lifecycle_add_op(
	struct json_doc *d, struct json *ops, const char *op, const char *path, const struct json *value)
{
	struct json *o = json_new_obj(d);
	json_set_str(d, o, "op", op);
	json_set_str(d, o, "path", path);
	if (!str_eq(op, "remove"))
		json_set_copy(d, o, "value", value);
	json_append(d, ops, o);
}

static void add_op_str(
	struct json_doc *d, struct json *ops, const char *op, const char *path, const char *value)
{
	CLEANUP(json_doc_freep) struct json_doc *v = json_doc_new();
	lifecycle_add_op(d, ops, op, path, json_new_str(v, value));
}

/* The run strategy in whichever field the user wrote it. */
static void set_strategy(struct lifecycle_out *out, const struct json *vm, bool run)
{
	struct json_doc *d;
	struct json *ops = lifecycle_add_step(out, &kind_vm, NULL, &d);

	if (json_is_bool(json_at(vm, "/spec/running"))) {
		CLEANUP(json_doc_freep) struct json_doc *v = json_doc_new();
		lifecycle_add_op(d, ops, "test", "/spec/running", json_new_bool(v, !run));
		lifecycle_add_op(d, ops, "replace", "/spec/running", json_new_bool(v, run));
		return;
	}
	add_op_str(d, ops, "test", "/spec/runStrategy", strategy_of(vm));
	add_op_str(d, ops, "replace", "/spec/runStrategy", run ? "Always" : "Halted");
}

static struct json *request(struct json_doc *d, const char *action, const char *uid)
{
	struct json *o = json_new_obj(d);
	json_set_str(d, o, "action", action);
	if (!str_empty(uid))
		json_set_str(d, o, "uid", uid);
	return o;
}

/* Puts requests in the VM's queue; takes `queue` over. A lone Stop replaces what is queued, anything else refuses
 * (kubevirt-api.md 3). Queuing also forgets failed starts. */
static int enqueue(struct lifecycle_out *out, const struct json *vm, struct json_doc *queue, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *own = queue;
	const struct json *old = json_at(vm, "/status/stateChangeRequests"), *wanted = json_root(own);
	bool lone_stop = json_len(wanted) == 1 && str_eq(json_at_str(wanted, "/0/action"), "Stop");

	if (json_len(old) && !lone_stop)
		return err_set(e, ERR_INTERNAL, "unable to complete request: stop/start already underway");
	struct json_doc *d;
	struct json *ops = lifecycle_add_step(out, &kind_vm, "status", &d);
	if (!json_is_obj(json_get(vm, "status"))) {
		CLEANUP(json_doc_freep) struct json_doc *v = json_doc_new();
		struct json *status = json_new_obj(v);
		json_set_copy(v, status, "stateChangeRequests", wanted);
		lifecycle_add_op(d, ops, "test", "/status", NULL);
		lifecycle_add_op(d, ops, "add", "/status", status);
		return 0;
	}
	lifecycle_add_op(d, ops, "test", "/status/stateChangeRequests", old);
	lifecycle_add_op(d, ops, "add", "/status/stateChangeRequests", wanted);
	if (json_at(vm, "/status/startFailure"))
		lifecycle_add_op(d, ops, "remove", "/status/startFailure", NULL);
	return 0;
}

static struct json_doc *queue_new(void)
{
	struct json_doc *d = json_doc_new();
	json_set_root(d, json_new_arr(d));
	return d;
}

/* stop_uid NULL: no Stop; start: a Start behind it. */
static int enqueue_requests(struct lifecycle_out *out, const struct json *vm, const char *stop_uid,
	bool start, bool paused, struct err *e)
{
	struct json_doc *d = queue_new();

	if (stop_uid)
		json_append(d, json_root(d), request(d, "Stop", stop_uid));
	if (start) {
		struct json *o = request(d, "Start", NULL);
		if (paused)
			json_set_str(d, json_need_obj(d, o, "data"), "paused", "true");
		json_append(d, json_root(d), o);
	}
	return enqueue(out, vm, d, e);
}

static void set_grace(struct lifecycle_out *out, const struct json *vmi, int64_t seconds)
{
	static const char path[] = "/spec/terminationGracePeriodSeconds";
	const struct json *old = json_at(vmi, path);
	CLEANUP(json_doc_freep) struct json_doc *v = json_doc_new();
	struct json_doc *d;
	struct json *ops = lifecycle_add_step(out, &kind_vmi, NULL, &d);

	lifecycle_add_op(d, ops, "test", path, old);
	lifecycle_add_op(d, ops, old ? "replace" : "add", path, json_new_i64(v, seconds));
}

/* ---- virtual machines ---- */

static int start(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	const char *strategy = strategy_of(in->vm), *uid = meta_str(in->vmi, "uid"),
		   *phase = phase_of(in->vmi);
	bool paused = json_bool(json_get(in->body, "paused"));

	out->status = 202;
	if (in->vmi && !is_final(in->vmi) && !str_empty(phase) && !str_eq(phase, "Unknown"))
		return vm_conflict(e, in->name, "VM is already running");
	if (str_eq(strategy, "Halted")) {
		if (paused)
			return enqueue_requests(out, in->vm, NULL, true, true, e);
		set_strategy(out, in->vm, true);
		return 0;
	}
	if (str_eq(strategy, "Manual"))
		return enqueue_requests(
			out, in->vm, in->vmi && is_final(in->vmi) ? uid : NULL, true, paused, e);
	if (str_eq(strategy, "RerunOnFailure")) {
		if (str_eq(phase, "Failed"))
			return vm_conflict(
				e, in->name, "RerunOnFailure does not support starting VM from failed state");
		return enqueue_requests(
			out, in->vm, str_eq(phase, "Succeeded") ? uid : NULL, true, paused, e);
	}
	CLEANUP(mem_freep) char *text = str_printf("%s does not support manual start requests", strategy);
	return vm_conflict(e, in->name, text);
}

static int stop(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	const struct json *grace = json_get(in->body, "gracePeriod");
	const char *strategy = strategy_of(in->vm);
	bool live = in->vmi && !is_final(in->vmi), shorter = false;

	out->status = 202;
	if (json_is_num(grace) && json_i64(grace) < 0)
		return err_set(e, ERR_BAD_REQUEST, "gracePeriod has to be greater or equal to 0");
	if (json_is_num(grace) && live) {
		const struct json *old = json_at(in->vmi, "/spec/terminationGracePeriodSeconds");
		shorter = json_i64(grace) < (old ? json_i64(old) : 30);
		set_grace(out, in->vmi, json_i64(grace));
	}
	if (str_eq(strategy, "Halted")) {
		if (!live)
			return vm_conflict(e, in->name, "VM is not running");
		if (!shorter)
			return vm_conflict(e, in->name,
				"Halted only supports manual stop requests with a shorter graceperiod");
		return 0;
	}
	if (str_eq(strategy, "Manual") || str_eq(strategy, "RerunOnFailure")) {
		if (!live)
			return vm_conflict(e, in->name, "VM is not running");
		return enqueue_requests(out, in->vm, meta_str(in->vmi, "uid"), false, false, e);
	}
	set_strategy(out, in->vm, false);
	return 0;
}

static int restart(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	const struct json *grace = json_get(in->body, "gracePeriodSeconds");
	const char *strategy = strategy_of(in->vm);

	out->status = 202;
	if (json_is_num(grace) && json_i64(grace) > 0)
		return err_set(
			e, ERR_BAD_REQUEST, "For force restart, only gracePeriod=0 is supported for now");
	if (json_is_num(grace) && json_i64(grace) < 0)
		return err_set(e, ERR_BAD_REQUEST, "gracePeriod has to be greater or equal to 0");
	if (str_eq(strategy, "Halted") || str_eq(strategy, "Once")) {
		CLEANUP(mem_freep)
		char *text = str_printf("RunStategy %s does not support manual restart requests", strategy);
		return vm_conflict(e, in->name, text);
	}
	if (!in->vmi)
		return vm_conflict(e, in->name, "VM is not running: Halted");
	if (cond_is(json_at(in->vm, "/status/conditions"), COND_VOLUMES_CHANGE, "True"))
		return vm_conflict(e, in->name, "VM recovery required: volumes are being migrated");
	if (json_is_num(grace) && !is_final(in->vmi))
		set_grace(out, in->vmi, 1);
	return enqueue_requests(out, in->vm, meta_str(in->vmi, "uid"), true, false, e);
}

static int migrate(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 202;
	if (!in->vmi)
		return err_not_found(e, &kind_vmi, in->name);
	if (!is_running(in->vmi))
		return vmi_conflict(e, in->name, "VM is not running");
	struct lifecycle_step *s = &out->steps[out->n_steps++];
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);
	*s = (struct lifecycle_step){ .kind = &kind_vmim, .ops = d, .create = true };
	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", KV_API_VERSION);
	json_set_str(d, o, "kind", kind_vmim.kind);
	json_put_str(d, o, "/metadata/generateName", VMIM_PREFIX_VM);
	json_put_str(d, o, "/metadata/namespace", in->ns);
	json_put_str(d, o, "/spec/vmiName", in->name);
	if (json_len(json_get(in->body, "addedNodeSelector")))
		json_set_copy(
			d, json_get(o, "spec"), "addedNodeSelector", json_get(in->body, "addedNodeSelector"));
	return 0;
}

int lifecycle_expand(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 200;
	if (instancetype_expand_vm(in->vm, in->config, in->lookup, &out->made, e) < 0)
		return -1;
	out->reply =
		out->made ? json_root(out->made) : in->vm; /* one that names nothing is its own expansion */
	return 0;
}

/* What makes no sense in a VM that is there is the server's trouble, as KubeVirt tells it. */
static int expand_spec(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	if (lifecycle_expand(in, out, e) == 0)
		return 0;
	if (e)
		e->code = ERR_INTERNAL;
	return -1;
}

/* ---- instances ---- */

static int need_running(const struct lifecycle_in *in, struct err *e)
{
	if (!in->vmi)
		return err_not_found(e, &kind_vmi, in->name);
	if (!is_running(in->vmi))
		return vmi_conflict(e, in->name, "VM is not running");
	return 0;
}

static bool is_paused(const struct json *vmi)
{
	return cond_is(json_at(vmi, "/status/conditions"), COND_PAUSED, "True");
}

static int pause_vmi(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	const struct json *probe = json_at(in->vmi, "/spec/livenessProbe");

	out->status = 200;
	if (need_running(in, e) < 0)
		return -1;
	if (is_paused(in->vmi))
		return vmi_conflict(e, in->name, "VMI is already paused");
	if (json_is_obj(probe) && !json_is_obj(json_get(probe, "guestAgentPing")))
		return err_set(e, ERR_FORBIDDEN,
			"virtualmachineinstance.kubevirt.io \"%s\" is forbidden: Pausing VMIs with "
			"LivenessProbe is currently not supported",
			in->name);
	out->handler_verb = "pause";
	return 0;
}

static int unpause_vmi(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 200;
	if (need_running(in, e) < 0)
		return -1;
	if (!is_paused(in->vmi))
		return vmi_conflict(e, in->name, "VMI is not paused");
	out->handler_verb = "unpause";
	return 0;
}

static int reset_vmi(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 200;
	if (need_running(in, e) < 0)
		return -1;
	out->handler_verb = "reset";
	return 0;
}

/* The guest agent's answers stand in the VMI's status; without agent KubeVirt answers 500 (kubevirt-api.md 2.2). */
static int guest_os_info(const struct lifecycle_in *in, struct lifecycle_out *out, struct err *e)
{
	out->status = 200;
	if (!in->vmi)
		return err_not_found(e, &kind_vmi, in->name);
	if (!is_running(in->vmi))
		return err_set(e, ERR_INTERNAL, "VMI is not running");
	if (!cond_is(json_at(in->vmi, "/status/conditions"), COND_AGENT_CONNECTED, "True"))
		return err_set(e, ERR_INTERNAL, "VMI does not have guest agent connected");
	out->reply = json_at(in->vmi, "/status/guestOSInfo");
	return 0;
}

const struct lifecycle_verb lifecycle_verbs[] = {
	{ "virtualmachines", "start", "PUT", true, true, start },
	{ "virtualmachines", "stop", "PUT", true, true, stop },
	{ "virtualmachines", "restart", "PUT", true, true, restart },
	{ "virtualmachines", "migrate", "PUT", true, true, migrate },
	{ "virtualmachines", "addvolume", "PUT", true, true, lifecycle_vm_add_volume },
	{ "virtualmachines", "removevolume", "PUT", true, true, lifecycle_vm_remove_volume },
	{ "virtualmachineinstances", "addvolume", "PUT", false, true, lifecycle_vmi_add_volume },
	{ "virtualmachineinstances", "removevolume", "PUT", false, true, lifecycle_vmi_remove_volume },
	{ "virtualmachines", "expand-spec", "GET", true, false, expand_spec },
	{ "virtualmachineinstances", "pause", "PUT", false, true, pause_vmi },
	{ "virtualmachineinstances", "unpause", "PUT", false, true, unpause_vmi },
	{ "virtualmachineinstances", "reset", "PUT", false, true, reset_vmi },
	{ "virtualmachineinstances", "guestosinfo", "GET", false, true, guest_os_info },
	{ NULL },
};

const struct lifecycle_verb *lifecycle_find(const char *resource, const char *sub, const char *method)
{
	for (const struct lifecycle_verb *v = lifecycle_verbs; v->sub; v++)
		if (str_eq(v->resource, resource) && str_eq(v->sub, sub) &&
			(!method || str_eq(v->method, method)))
			return v;
	return NULL;
}

int lifecycle_run(const struct lifecycle_verb *v, const struct lifecycle_in *in, struct lifecycle_out *out,
	struct err *e)
{
	out->dry_run = dry_run(in->body);
	return v->fn(in, out, e);
}

void lifecycle_done(struct lifecycle_out *out)
{
	for (size_t i = 0; i < out->n_steps; i++)
		json_doc_free(out->steps[i].ops);
	out->n_steps = 0;
	json_doc_free(TAKE(out->made));
}

/* ---- streams ---- */

int console_check(const struct json *vmi, const char *name, const char **ret_node, struct err *e)
{
	if (!vmi)
		return err_not_found(e, &kind_vmi, name);
	if (str_eq(phase_of(vmi), "Failed"))
		return vmi_conflict(e, name, "VMI is in failed status");
	if (!is_running(vmi))
		return err_set(e, ERR_BAD_REQUEST, "VMI is not running");
	if (!json_bool_or(json_at(vmi, "/spec/domain/devices/autoattachSerialConsole"), true))
		return err_set(e, ERR_BAD_REQUEST, "No serial consoles are present.");
	const char *node = json_at_str(vmi, "/status/nodeName");
	if (str_empty(node))
		return err_set(e, ERR_BAD_REQUEST, "VMI is not running");
	*ret_node = node;
	return 0;
}

int portforward_check(const struct json *vmi, const char *name, const char **ret_ip, struct err *e)
{
	if (!vmi)
		return err_not_found(e, &kind_vmi, name);
	if (!is_running(vmi))
		return err_set(e, ERR_BAD_REQUEST, "VMI is not running");
	if (is_paused(vmi))
		return vmi_conflict(e, name, "VMI is paused");
	const char *ip = json_at_str(vmi, "/status/interfaces/0/ipAddress");
	if (str_empty(ip))
		return err_set(e, ERR_BAD_REQUEST, "no network interfaces are present");
	*ret_ip = ip;
	return 0;
}
