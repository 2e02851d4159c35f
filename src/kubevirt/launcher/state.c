/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "kubevirt/launcher/net.h"

#include <string.h>
#include <unistd.h>

#define TO(p) (1u << WIRE_PHASE_##p)
/* Which phase may follow which. */
static const unsigned phase_next[WIRE_PHASE_MAX] = {
	[WIRE_PHASE_IDLE] = TO(PREPARING) | TO(SUCCEEDED) | TO(FAILED),
	[WIRE_PHASE_PREPARING] = TO(STARTING) | TO(SUCCEEDED) | TO(FAILED),
	[WIRE_PHASE_STARTING] = TO(RUNNING) | TO(PAUSED) | TO(STOPPING) | TO(SUCCEEDED) | TO(FAILED),
	[WIRE_PHASE_RUNNING] = TO(PAUSED) | TO(STOPPING) | TO(SUCCEEDED) | TO(FAILED),
	[WIRE_PHASE_PAUSED] = TO(RUNNING) | TO(STOPPING) | TO(SUCCEEDED) | TO(FAILED),
	[WIRE_PHASE_STOPPING] = TO(SUCCEEDED) | TO(FAILED),
};

void phase_set(struct launcher *l, enum wire_phase p, const char *reason, const char *message)
{
	if (l->phase != p) {
		MUST(phase_next[l->phase] & (1u << p));
		log_info("%s -> %s%s%s%s%s", wire_phase_name(l->phase), wire_phase_name(p),
			reason ? ": " : "", reason ? reason : "", str_empty(message) ? "" : ": ",
			str_empty(message) ? "" : message);
	}
	l->phase = p;
	str_copy(l->reason, sizeof(l->reason), reason ? reason : "");
	str_copy(l->message, sizeof(l->message), message ? message : "");
	state_changed(l);
}

void state_changed(struct launcher *l)
{
	loop_timer_set(l->push, 0);
}

static void put_identity(struct launcher *l, struct json_doc *d, struct json *o)
{
	const struct domain *dom = l->domain;

	if (!dom)
		return;
	json_set_str(d, o, "name", dom->name);
	json_set_str(d, o, "namespace", dom->ns);
	json_set_str(d, o, "uid", dom->uid);
	json_set_str(d, o, "domain", dom->full);
	json_set_str(d, o, "machine", l->machine);
	if (l->config)
		json_set_str(d, o, "accelerator", l->config->accel == VM_KVM ? "kvm" : "tcg");
}

static void put_memory(struct launcher *l, struct json_doc *d, struct json *o)
{
	struct json *m;

	if (!l->resize)
		return;
	m = json_need_obj(d, o, "memory");
	json_set_i64(d, m, "guestAtBoot", (int64_t)l->domain->memory);
	json_set_i64(d, m, "requested", (int64_t)resize_requested(l->resize));
	json_set_i64(d, m, "current", (int64_t)resize_current(l->resize));
	json_set_i64(d, m, "max", (int64_t)resize_max(l->resize));
	json_set_str(d, m, "note", l->room_note);
	json_set_bool(d, m, "resizing", resize_active(l->resize));
	json_set_str(d, m, "error", resize_error(l->resize));
	json_set_i64(d, m, "offline", (int64_t)resize_offline(l->resize));
	if (l->stats.total) {
		json_set_i64(d, m, "guestTotal", (int64_t)l->stats.total);
		json_set_i64(d, m, "guestAvailable", (int64_t)l->stats.available);
	}
}

static void put_cpus(struct launcher *l, struct json_doc *d, struct json *k)
{
	json_set_i64(d, k, "sockets", l->cpus ? cpus_sockets(l->cpus) : l->domain->sockets);
	json_set_i64(d, k, "cores", l->domain->cores);
	json_set_i64(d, k, "threads", l->domain->threads);
	json_set_i64(d, k, "maxSockets", l->domain->max_sockets);
	json_set_bool(d, k, "changing", l->cpus && cpus_active(l->cpus));
	json_set_str(d, k, "error", l->cpus ? cpus_error(l->cpus) : "");
	json_set_i64(d, k, "unacknowledged", l->cpus ? cpus_unacknowledged(l->cpus) : 0);
}

static void put_devices(struct launcher *l, struct json_doc *d, struct json *o)
{
	const struct domain *dom = l->domain;
	struct json *list = json_need_arr(d, o, "interfaces");
	unsigned letter[3] = { 0 };

	for (size_t i = 0; i < dom->n_nics; i++) {
		const struct domain_nic *n = &dom->nics[i];
		struct json *k = json_new_obj(d);

		json_set_str(d, k, "name", n->name);
		json_set_str(d, k, "mac", n->mac);
		if (n->binding == NIC_MASQUERADE)
			json_set_str(d, k, "guestIP", n->guest_ip);
		json_set_bool(d, k, "masquerade", n->binding == NIC_MASQUERADE);
		json_set_str(d, k, "backend",
			n->tap                            ? "tap"
			: str_eq(dom->network, NET_PASST) ? NET_PASST
							  : "slirp");
		json_set_str(d, k, "link", n->down ? "down" : "up");
		json_set_bool(d, k, "leaving", n->leaving);
		json_append(d, list, k);
	}
	list = json_need_arr(d, o, "disks");
	for (size_t i = 0; i < dom->n_disks; i++) {
		const struct domain_disk *n = &dom->disks[i];
		struct json *k;
		bool vd = n->bus == VM_VIRTIO;
		unsigned at = letter[vd ? 0 : n->cdrom ? 1 : 2]++;

		if (n->kind == VOL_NONE)
			continue; /* a drive; its medium is among the volumes */
		k = json_new_obj(d);
		json_set_str(d, k, "name", n->name);
		if (n->cdrom)
			json_set_strf(d, k, "target", "sr%u", at);
		else
			json_set_strf(d, k, "target", "%s%c", vd ? "vd" : "sd", (char)('a' + at % 26));
		if (l->images[i].virtual_size)
			json_set_i64(d, k, "size", (int64_t)l->images[i].virtual_size);
		json_append(d, list, k);
	}
}

struct json_doc *state_json(struct launcher *l)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *k;

	json_set_root(d, o);
	json_set_i64(d, o, "protocol", WIRE_PROTOCOL);
	json_set_str(d, o, "version", CORACLE_VERSION);
	json_set_str(d, o, "phase", wire_phase_name(l->phase));
	json_set_str(d, o, "reason", l->reason);
	json_set_str(d, o, "message", l->message);
	json_set_i64(d, o, "pid", getpid());
	if (l->qemu_pid > 0)
		json_set_i64(d, o, "qemuPid", l->qemu_pid);
	put_identity(l, d, o);
	if (!l->domain)
		return d;
	put_memory(l, d, o);
	put_cpus(l, d, json_need_obj(d, o, "cpus"));
	k = json_need_obj(d, o, "guest");
	json_set_bool(d, k, "booted", l->booted);
	json_set_bool(d, k, "agent", l->agent);
	json_set_i64(d, k, "reboots", l->reboots);
	put_devices(l, d, o);
	plug_state(l, d, o);
	if (l->started_wall)
		json_set_i64(d, o, "startedAtMs", l->started_wall);
	return d;
}

void state_push_due(void *arg)
{
	struct launcher *l = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = state_json(l);
	CLEANUP(mem_freep) char *path = file_join(l->dir, WIRE_STATE_FILE), *text = NULL;
	size_t len;
	struct err e;

	/* The file first: who was told may look there. */
	text = json_write(json_root(d), &len);
	if (file_write(path, text, len, 0600, &e) < 0)
		log_warn("%s", e.msg);
	wire_server_event(l->server, "state", json_root(d));
}
