/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/cpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/launcher/sm.h"
#include "qemu/qmp_cmds.h"
#include "qemu/vm_config.h"

#define ID_FMT "vcpu-%u-%u-%u"
#define ID_MAX 40
#define PERIPHERAL "/machine/peripheral/"

/* ACPI _OST: what the guest speaks about, and what it says. */
enum { OST_ADD = 1, OST_EJECT = 3 };
enum { OST_OK = 0, OST_EJECTING = 0x84 };

/* What is awaited. */
enum { C_IDLE, C_LOOK, C_ADD, C_ACCEPT, C_DEL, C_REMOVE, C_MAX };
static const struct sm_state states[C_MAX] = {
	[C_IDLE] = { "idle", SM_TO(C_LOOK) },
	[C_LOOK] = { "look", SM_TO(C_ADD) | SM_TO(C_DEL) | SM_TO(C_ACCEPT) | SM_TO(C_IDLE) | SM_TO(C_LOOK) },
	[C_ADD] = { "device_add", SM_TO(C_LOOK) | SM_TO(C_IDLE) },
	[C_ACCEPT] = { "the guest's acknowledgement", SM_TO(C_LOOK) | SM_TO(C_IDLE) },
	[C_DEL] = { "device_del", SM_TO(C_REMOVE) | SM_TO(C_LOOK) | SM_TO(C_IDLE) },
	[C_REMOVE] = { "the guest's consent", SM_TO(C_LOOK) | SM_TO(C_IDLE) },
};

struct slot {
	unsigned socket, core, thread;
	struct json_doc *device; /* of device_add: type and place as QEMU named them */
	char id[ID_MAX];         /* of the device that is there; "": the machine's own */
	bool there;
	bool asked; /* added to a running guest that has not acknowledged it */
};
struct cpus {
	struct loop *loop;
	struct qmp *qmp;
	const struct cpus_ops *ops;
	void *arg;
	struct cpus_spec spec;
	struct slot slots[VM_CPUS_MAX]; /* in ascending order, once looked at */
	size_t n_slots;
	unsigned sockets;
	struct sm sm;
	struct loop_timer *timer;
	unsigned wanted;
	bool may_remove, guest_runs;
	bool look_again;   /* while a command is on its way: what was read may be old */
	size_t at;         /* slot that C_ADD, C_DEL, C_REMOVE are about */
	int64_t deadline;  /* of removing */
	char refusal[256]; /* the guest keeps something; restored first, then told */
	cpus_done_fn *fn;
	void *fn_arg;
	char error[256];
};

static void look(struct cpus *c);

/* ---- what is told ---- */
unsigned cpus_sockets(const struct cpus *c)
{
	return c->sockets;
}

unsigned cpus_unacknowledged(const struct cpus *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < c->n_slots; i++)
		n += c->slots[i].there && c->slots[i].asked;
	return n;
}

bool cpus_active(const struct cpus *c)
{
	return c->sm.at != C_IDLE;
}

const char *cpus_error(const struct cpus *c)
{
	return c->error;
}

/* ---- the end of a request ---- */
static void finish(struct cpus *c, const struct err *e)
{
	cpus_done_fn *fn = TAKE(c->fn);

	if (c->sm.at != C_IDLE)
		sm_move(&c->sm, C_IDLE);
	loop_timer_stop(c->timer);
	str_copy(c->error, sizeof(c->error), e ? e->msg : "");
	c->ops->changed(c->arg);
	if (fn)
		fn(c->fn_arg, e);
}

/* QEMU has ended: cpus_set_qmp() follows and ends the request. */
static bool gone(const struct err *e)
{
	return e && e->code == ERR_UNREACHABLE;
}

/* ---- what QEMU has ---- */
static unsigned number(const struct json *props, const char *key)
{
	int64_t v = json_i64(json_get(props, key));

	return v < 0 || v > UINT16_MAX ? UINT16_MAX : (unsigned)v;
}

static int by_place(const void *va, const void *vb)
{
	const struct slot *a = va, *b = vb;

	if (a->socket != b->socket)
		return a->socket < b->socket ? -1 : 1;
	if (a->core != b->core)
		return a->core < b->core ? -1 : 1;
	return a->thread < b->thread ? -1 : a->thread > b->thread;
}

static struct slot *slot_of_id(struct slot *list, size_t n, const char *id)
{
	for (size_t i = 0; !str_empty(id) && i < n; i++)
		if (!strcmp(list[i].id, id))
			return &list[i];
	return NULL;
}

static void read_slot(const struct json *o, struct slot *s)
{
	const struct json *props = json_get(o, "props");
	const char *path = json_get_str(o, "qom-path");
	struct json *device;

	*s = (struct slot){ .socket = number(props, "socket-id"),
		.core = number(props, "core-id"),
		.thread = number(props, "thread-id"),
		.there = path != NULL };
	if (path && str_starts(path, PERIPHERAL))
		str_copy(s->id, sizeof(s->id), path + sizeof(PERIPHERAL) - 1);
	s->device = json_doc_new();
	device = json_new_obj(s->device);
	json_set_root(s->device, device);
	json_set_str(s->device, device, "driver", json_get_str(o, "type"));
	JSON_EACH (it, props)
		json_set_copy(s->device, device, it.key, it.val);
}

static void drop_slots(struct slot *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_doc_free(list[i].device);
}

static unsigned whole_sockets(const struct cpus *c)
{
	size_t each = (size_t)c->spec.cores * c->spec.threads, there = 0;

	while (there < c->n_slots && c->slots[there].there)
		there++;
	return (unsigned)(there / each);
}

static int read_slots(struct cpus *c, const struct json *list, struct err *e)
{
	size_t n = json_len(list), old = c->n_slots;
	CLEANUP(mem_freep) struct slot *before = NULL;

	if (n != (size_t)c->spec.max_sockets * c->spec.cores * c->spec.threads)
		return err_set(e, ERR_SYSTEM, "QEMU tells of %zu places for CPUs, not of %u", n,
			c->spec.max_sockets * c->spec.cores * c->spec.threads);
	before = mem_zalloc(sizeof(c->slots));
	memcpy(before, c->slots, sizeof(c->slots));
	JSON_EACH (it, list)
		read_slot(it.val, &c->slots[it.i]);
	c->n_slots = n;
	qsort(c->slots, n, sizeof(c->slots[0]), by_place);
	for (size_t i = 0; i < n; i++) {
		const struct slot *was = slot_of_id(before, old, c->slots[i].id);

		c->slots[i].asked = was && was->asked && c->slots[i].there;
	}
	drop_slots(before, old);
	c->sockets = whole_sockets(c);
	return 0;
}

/* ---- adding ---- */
static void on_added(void *arg, const struct json *ret, const struct err *e)
{
	struct cpus *c = arg;
	struct slot *s = &c->slots[c->at];

	if (gone(e))
		return;
	if (e) {
		s->asked = false;
		finish(c, e);
		return;
	}
	s->there = true;
	c->sockets = whole_sockets(c);
	look(c);
}

static void add(struct cpus *c, size_t at)
{
	struct slot *s = &c->slots[at];
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(json_root(s->device));

	c->at = at;
	s->asked = c->guest_runs;
	snprintf(s->id, sizeof(s->id), ID_FMT, s->socket, s->core, s->thread);
	json_set_str(d, json_root(d), "id", s->id);
	sm_move(&c->sm, C_ADD);
	qmp_send_device_add(c->qmp, &(struct qmp_device_add){ .device = json_root(d) }, on_added, c);
}

/* ---- removing ---- */
static void keep(struct cpus *c, const char *why)
{
	if (c->refusal[0])
		return;
	snprintf(c->refusal, sizeof(c->refusal), "the guest keeps its CPU %s: %.150s", c->slots[c->at].id,
		why);
	c->may_remove = false;
}

static void on_del(void *arg, const struct json *ret, const struct err *e)
{
	struct cpus *c = arg;

	if (c->sm.at != C_DEL || gone(e))
		return;
	if (e)
		keep(c, e->msg);
	if (e || c->look_again) {
		look(c);
		return;
	}
	sm_move(&c->sm, C_REMOVE);
	loop_timer_set(c->timer, c->deadline - loop_mono_ms(c->loop));
}

static void del(struct cpus *c, size_t at)
{
	c->at = at;
	c->look_again = false;
	sm_move(&c->sm, C_DEL);
	qmp_send_device_del(c->qmp, &(struct qmp_device_del){ .id = c->slots[at].id }, on_del, c);
}

/* ---- the next step from what is there ---- */
static bool missing(const struct cpus *c, unsigned sockets, size_t *ret)
{
	for (size_t i = 0; i < c->n_slots; i++)
		if (c->slots[i].socket < sockets && !c->slots[i].there) {
			*ret = i;
			return true;
		}
	return false;
}

static bool superfluous(const struct cpus *c, unsigned sockets, size_t *ret)
{
	for (size_t i = c->n_slots; i-- > 0;)
		if (c->slots[i].socket >= sockets && c->slots[i].there) {
			*ret = i;
			return true;
		}
	return false;
}

/* Sockets of which at least a part is there. */
static unsigned begun_sockets(const struct cpus *c)
{
	size_t at;

	return superfluous(c, 0, &at) ? c->slots[at].socket + 1 : 0;
}

static void too_many(struct cpus *c)
{
	struct err e;

	if (c->refusal[0])
		err_set(&e, ERR_INVALID, "%s", c->refusal);
	else if (!c->spec.removable)
		err_set(&e, ERR_INVALID,
			"the guest has %u sockets: under emulation CPUs can not be removed, this needs a "
			"restart",
			c->sockets);
	else
		err_set(&e, ERR_INVALID, "the guest has %u sockets, not %u", c->sockets, c->wanted);
	finish(c, &e);
}

static void await_guest(struct cpus *c)
{
	if (!c->guest_runs || !cpus_unacknowledged(c)) {
		finish(c, NULL);
		return;
	}
	sm_move(&c->sm, C_ACCEPT);
	loop_timer_set(c->timer, CPUS_ACCEPT_MS);
}

static void step(struct cpus *c)
{
	size_t at;

	if (superfluous(c, c->wanted, &at)) {
		if (c->may_remove && c->spec.removable && c->slots[at].id[0]) {
			del(c, at);
			return;
		}
		/* What it keeps, it keeps whole. */
		if (missing(c, begun_sockets(c), &at))
			add(c, at);
		else
			too_many(c);
		return;
	}
	if (missing(c, c->wanted, &at))
		add(c, at);
	else
		await_guest(c);
}

static void on_slots(void *arg, const struct json *ret, const struct err *e)
{
	struct cpus *c = arg;
	unsigned before = c->sockets;
	struct err mine;

	if (gone(e))
		return;
	if (e || read_slots(c, ret, &mine) < 0) {
		finish(c, e ? e : &mine);
		return;
	}
	if (c->sockets != before)
		c->ops->changed(c->arg);
	if (c->look_again) {
		look(c);
		return;
	}
	if (c->fn)
		step(c);
	else
		finish(c, NULL); /* something went by itself */
}

static void look(struct cpus *c)
{
	if (c->sm.at != C_LOOK)
		sm_move(&c->sm, C_LOOK);
	c->look_again = false;
	qmp_send_query_hotpluggable_cpus(c->qmp, NULL, on_slots, c);
}

static void on_timer(void *arg)
{
	struct cpus *c = arg;

	if (c->sm.at == C_ACCEPT) {
		log_warn("the guest has not acknowledged %u of its CPUs", cpus_unacknowledged(c));
		finish(c, NULL);
	} else if (c->sm.at == C_REMOVE) {
		keep(c, "it did not answer");
		look(c);
	}
}

/* ---- events ---- */
static void kept(struct cpus *c, const struct slot *s, const char *why)
{
	if ((c->sm.at != C_DEL && c->sm.at != C_REMOVE) || s != &c->slots[c->at])
		return;
	keep(c, why);
	if (c->sm.at == C_REMOVE)
		look(c);
	else
		c->look_again = true; /* it said so before QEMU's own answer */
}

void cpus_on_ost(struct cpus *c, const struct json *data)
{
	const struct json *info = json_get(data, "info");
	struct slot *s = slot_of_id(c->slots, c->n_slots, json_get_str(info, "device"));
	int64_t source = json_i64(json_get(info, "source")), status = json_i64(json_get(info, "status"));

	if (!s)
		return;
	if (source == OST_ADD && status == OST_OK && s->asked) {
		s->asked = false;
		c->ops->changed(c->arg);
		if (c->sm.at == C_ACCEPT && !cpus_unacknowledged(c))
			finish(c, NULL);
	} else if (source == OST_ADD && status != OST_OK) {
		log_warn("the guest does not use its CPU %s (status %lld)", s->id, (long long)status);
	} else if (source == OST_EJECT && status != OST_OK && status != OST_EJECTING) {
		kept(c, s, "it is in use");
	}
}

/* The device, or a part of it: QEMU names only ".../ID/lapic" (qemu.md 6). */
void cpus_on_deleted(struct cpus *c, const struct json *data)
{
	const char *path = json_get_str(data, "path"), *id = path;
	char own[ID_MAX];

	if (!id || !str_starts(id, PERIPHERAL "vcpu"))
		return;
	id += sizeof(PERIPHERAL) - 1;
	snprintf(own, sizeof(own), "%.*s", (int)strcspn(id, "/"), id);
	if (!slot_of_id(c->slots, c->n_slots, own) || !c->qmp)
		return;
	if (c->sm.at == C_IDLE || c->sm.at == C_REMOVE || c->sm.at == C_ACCEPT)
		look(c);
	else
		c->look_again = true; /* what is on its way was asked before */
}

void cpus_on_refused(struct cpus *c, const struct json *data)
{
	const struct slot *s = slot_of_id(c->slots, c->n_slots, json_get_str(data, "device"));

	if (s)
		kept(c, s, "it refused");
}

void cpus_on_reset(struct cpus *c)
{
	for (size_t i = 0; i < c->n_slots; i++)
		c->slots[i].asked = false;
}

/* ---- requests ---- */
static int check(const struct cpus *c, unsigned sockets, struct err *e)
{
	if (!c->qmp)
		return err_set(e, ERR_UNAVAILABLE, "there is no guest whose CPUs could be changed");
	if (!sockets)
		return err_set(e, ERR_INVALID, "a guest has at least one socket");
	if (sockets > c->spec.max_sockets)
		return err_set(e, ERR_INVALID,
			"%u sockets are more than the %u that were reserved when the guest started: this "
			"needs a restart",
			sockets, c->spec.max_sockets);
	return 0;
}

void cpus_request(struct cpus *c, const struct cpus_request *r, cpus_done_fn *fn, void *arg)
{
	struct err e;

	if (c->fn) {
		cpus_done_fn *old = TAKE(c->fn);

		err_set(&e, ERR_CONFLICT, "a newer request for %u sockets took over", r->sockets);
		old(c->fn_arg, &e);
	}
	if (check(c, r->sockets, &e) < 0) {
		str_copy(c->error, sizeof(c->error), e.msg);
		fn(arg, &e);
		return;
	}
	c->wanted = r->sockets;
	c->may_remove = r->may_remove;
	c->guest_runs = r->guest_runs;
	c->refusal[0] = c->error[0] = '\0';
	c->fn = fn;
	c->fn_arg = arg;
	c->deadline = loop_mono_ms(c->loop) + CPUS_REMOVE_MS;
	/* A command on its way leads here by itself. */
	if (c->sm.at == C_IDLE || c->sm.at == C_ACCEPT || c->sm.at == C_REMOVE) {
		loop_timer_stop(c->timer);
		look(c);
	}
	c->ops->changed(c->arg);
}

void cpus_set_qmp(struct cpus *c, struct qmp *q)
{
	struct err e;

	c->qmp = q;
	if (q || c->sm.at == C_IDLE)
		return;
	err_set(&e, ERR_UNAVAILABLE, "the guest ended while its CPUs were being changed");
	finish(c, &e);
}

struct cpus *cpus_new(struct loop *l, const struct cpus_spec *spec, const struct cpus_ops *ops, void *arg)
{
	struct cpus *c = MEM_NEW(struct cpus);

	c->loop = l;
	c->spec = *spec;
	c->sockets = spec->sockets;
	c->ops = ops;
	c->arg = arg;
	c->sm.states = states;
	c->timer = loop_timer_new(l, on_timer, c);
	return c;
}

void cpus_free(struct cpus *c)
{
	if (!c)
		return;
	loop_timer_free(c->timer);
	drop_slots(c->slots, c->n_slots);
	free(c);
}
