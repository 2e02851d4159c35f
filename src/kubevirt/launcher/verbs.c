/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher does for each verb of the wire table; a verb without a function here does not link. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "qemu/qmp_cmds.h"

#include <string.h>

typedef void verb_fn(struct launcher *l, const struct json *args, struct wire_call *call);

static void answer_state(struct launcher *l, struct wire_call *call)
{
	CLEANUP(json_doc_freep) struct json_doc *d = state_json(l);

	wire_call_ok(call, json_root(d));
}

static void verb_hello(struct launcher *l, const struct json *args, struct wire_call *call)
{
	wire_call_subscribe(call);
	answer_state(l, call);
}

/* ---- start ---- */

static void answer_phase(struct launcher *l, struct wire_call *call)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	json_set_root(d, json_new_obj(d));
	json_set_str(d, json_root(d), "phase", wire_phase_name(l->phase));
	wire_call_ok(call, json_root(d));
}

static void save_request(struct launcher *l, const struct json *args)
{
	CLEANUP(mem_freep) char *path = file_join(l->dir, "domain.json"), *text = NULL;
	size_t len;
	struct err e;

	text = json_write(args, &len);
	if (file_write(path, text, len, 0600, &e) < 0)
		log_warn("%s", e.msg);
}

static void verb_start(struct launcher *l, const struct json *args, struct wire_call *call)
{
	struct domain *d = NULL;
	struct err e;

	if (l->domain) {
		/* A handler that was restarted asks again. */
		if (str_eq(l->domain->uid, json_at_str(args, "/vmi/metadata/uid"))) {
			answer_phase(l, call);
			return;
		}
		err_set(&e, ERR_CONFLICT, "this launcher belongs to the VMI with uid %s", l->domain->uid);
		wire_call_fail(call, &e);
		return;
	}
	if (l->phase != WIRE_PHASE_IDLE) {
		err_set(&e, ERR_CONFLICT, "start is not possible in phase %s", wire_phase_name(l->phase));
		wire_call_fail(call, &e);
		return;
	}
	if (domain_from_vmi(json_get(args, "vmi"), json_get(args, "host"), &d, &e) < 0) {
		wire_call_fail(call, &e);
		return;
	}
	if (nic_take_files(d, json_get(args, "host"), call, &e) < 0) {
		domain_free(d);
		wire_call_fail(call, &e);
		return;
	}
	d->allow_emulation |= l->spec.allow_emulation;
	l->domain = d;
	save_request(l, args);
	prepare_start(l);
	answer_phase(l, call);
}

/* ---- memory ---- */

struct memory_call {
	struct launcher *l;
	struct wire_call *call;
};

static void memory_done(void *arg, bool complete, const struct err *e)
{
	struct memory_call *m = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	if (e) {
		wire_call_fail(m->call, e);
	} else {
		d = json_doc_new();
		o = json_new_obj(d);
		json_set_i64(d, o, "requested", (int64_t)resize_requested(m->l->resize));
		json_set_i64(d, o, "current", (int64_t)resize_current(m->l->resize));
		json_set_bool(d, o, "complete", complete);
		wire_call_ok(m->call, o);
	}
	free(m);
}

static void verb_set_memory(struct launcher *l, const struct json *args, struct wire_call *call)
{
	struct memory_call *m = MEM_NEW(struct memory_call);

	m->l = l;
	m->call = call;
	if (json_get(args, "max"))
		resize_set_max(l->resize, json_u64(json_get(args, "max")));
	resize_request(l->resize, json_u64(json_get(args, "bytes")), memory_done, m);
}

/* ---- network cards ---- */

static void verb_plug_nic(struct launcher *l, const struct json *args, struct wire_call *call)
{
	nic_plug(l, args, call);
}

static void verb_unplug_nic(struct launcher *l, const struct json *args, struct wire_call *call)
{
	nic_unplug(l, args, call);
}

static void verb_set_link(struct launcher *l, const struct json *args, struct wire_call *call)
{
	nic_set_link(l, args, call);
}

/* ---- volumes ---- */

static void verb_offer_disk(struct launcher *l, const struct json *args, struct wire_call *call)
{
	plug_offer(l, args, call);
}

static void verb_plug_disk(struct launcher *l, const struct json *args, struct wire_call *call)
{
	plug_plug(l, args, call);
}

static void verb_unplug_disk(struct launcher *l, const struct json *args, struct wire_call *call)
{
	plug_unplug(l, args, call);
}

/* ---- CPUs ---- */

struct cpus_call {
	struct launcher *l;
	struct wire_call *call;
};

static void cpus_done(void *arg, const struct err *e)
{
	struct cpus_call *m = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (e) {
		wire_call_fail(m->call, e);
	} else {
		d = json_doc_new();
		json_set_root(d, json_new_obj(d));
		json_set_i64(d, json_root(d), "sockets", cpus_sockets(m->l->cpus));
		wire_call_ok(m->call, json_root(d));
	}
	free(m);
}

static void verb_set_cpus(struct launcher *l, const struct json *args, struct wire_call *call)
{
	uint64_t sockets = json_u64(json_get(args, "sockets"));
	const struct cpus_request r = { .sockets =
						sockets > VM_CPUS_MAX ? VM_CPUS_MAX + 1 : (unsigned)sockets,
		.may_remove = json_u64(json_get(args, "remove")) > 0,
		.guest_runs = l->phase == WIRE_PHASE_RUNNING && l->booted };
	struct cpus_call *m = MEM_NEW(struct cpus_call);

	m->l = l;
	m->call = call;
	cpus_request(l->cpus, &r, cpus_done, m);
}

/* ---- simple QMP commands: the answer is QEMU's ---- */

static void simple_done(void *arg, const struct json *ret, const struct err *e)
{
	if (e)
		wire_call_fail(arg, e);
	else
		wire_call_ok(arg, NULL);
}

static bool without_qmp(struct launcher *l, struct wire_call *call)
{
	struct err e;

	if (l->qmp)
		return false;
	err_set(&e, ERR_UNAVAILABLE, "QEMU does not answer");
	wire_call_fail(call, &e);
	return true;
}

static void verb_pause(struct launcher *l, const struct json *args, struct wire_call *call)
{
	if (!without_qmp(l, call))
		qmp_send_stop(l->qmp, NULL, simple_done, call);
}

static void verb_unpause(struct launcher *l, const struct json *args, struct wire_call *call)
{
	if (!without_qmp(l, call))
		qmp_send_cont(l->qmp, NULL, simple_done, call);
}

static void verb_reset(struct launcher *l, const struct json *args, struct wire_call *call)
{
	if (!without_qmp(l, call))
		qmp_send_system_reset(l->qmp, NULL, simple_done, call);
}

static void verb_stats(struct launcher *l, const struct json *args, struct wire_call *call)
{
	if (!without_qmp(l, call))
		stats_answer(l, call);
}

/* ---- ending ---- */

static void verb_shutdown(struct launcher *l, const struct json *args, struct wire_call *call)
{
	const struct json *grace = json_get(args, "graceSeconds");
	uint64_t s = grace ? json_u64(grace) : l->domain ? (uint64_t)l->domain->grace_s : DOMAIN_GRACE_S;

	guest_stop(l, s > DOMAIN_GRACE_MAX_S ? DOMAIN_GRACE_MAX_S : (int)s);
	wire_call_ok(call, NULL);
}

static void verb_kill(struct launcher *l, const struct json *args, struct wire_call *call)
{
	guest_kill(l, "Killed", "killed on request");
	wire_call_ok(call, NULL);
}

static void verb_release(struct launcher *l, const struct json *args, struct wire_call *call)
{
	wire_call_ok(call, NULL);
	loop_stop(l->loop);
}

/* ---- console ---- */

static void verb_console(struct launcher *l, const struct json *args, struct wire_call *call)
{
	CLEANUP(str_done) struct str first = { 0 };
	enum console_mode mode;
	struct err e;
	int fd;

	if (!console_mode_parse(json_get_str(args, "mode"), &mode)) {
		err_set(&e, ERR_BAD_REQUEST, "console: mode must be takeover, shared or listen");
		wire_call_fail(call, &e);
		return;
	}
	if (!l->domain->serial_console) {
		err_set(&e, ERR_NOT_FOUND, "the VM has no serial console (autoattachSerialConsole is false)");
		wire_call_fail(call, &e);
		return;
	}
	fd = wire_call_take_fd(call, &first);
	if (fd >= 0)
		console_add(l->console, fd, mode, &first);
}

void verbs_dispatch(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call)
{
	static verb_fn *const fns[WIRE_VERB_MAX] = {
#define V(id, name, phases, limit) [WIRE_##id] = verb_##id,
		WIRE_VERBS(V)
#undef V
	};

	fns[v](arg, args, call);
}
