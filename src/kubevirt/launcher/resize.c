/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/resize.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/launcher/sm.h"
#include "qemu/qmp_cmds.h"

#include <string.h>

/* What is awaited. */
enum { R_IDLE, R_PLUG, R_SET, R_WATCH, R_SETTLE };
static const struct sm_state states[] = {
	[R_IDLE] = { "idle", SM_TO(R_SET) | SM_TO(R_PLUG) },
	[R_PLUG] = { "plug", SM_TO(R_SET) | SM_TO(R_IDLE) }, /* object-add, device_add of the second device */
	[R_SET] = { "set", SM_TO(R_WATCH) | SM_TO(R_IDLE) | SM_TO(R_SET) },      /* qom-set of this step */
	[R_WATCH] = { "watch", SM_TO(R_SET) | SM_TO(R_SETTLE) | SM_TO(R_IDLE) }, /* the guest */
	[R_SETTLE] = { "settle", SM_TO(R_IDLE) | SM_TO(R_SET) },                 /* qom-set back to what is */
};

struct device {
	uint64_t size, requested, plugged; /* size 0: it is not there */
	uint64_t read;                     /* plugged, as the reading under way has it */
	bool told;                         /* requested is what QEMU was told */
};

struct resize {
	struct loop *loop;
	struct qmp *qmp;
	const struct resize_ops *ops;
	void *arg;
	struct resize_spec spec;
	struct device devices[VM_MEM_DEVICES];
	uint64_t plugged, requested; /* of all devices; requested: as QEMU holds it */
	struct guest_stats stats;
	struct sm sm;
	struct loop_timer *poll;
	unsigned asking;       /* qom-gets on their way */
	bool ask_failed;       /* one of them did */
	unsigned sets;         /* qom-sets on their way; only the last one's answer counts */
	struct err set_error;  /* of those, the first that failed */
	uint64_t wanted, step; /* without the main memory */
	int64_t step_start, deadline;
	resize_done_fn *fn;
	void *fn_arg;
	char error[256];
	uint64_t kernel_part, offline; /* kernel_part: of the boot memory, never in MemTotal */
	int64_t plugged_at;            /* when `plugged` changed last */
};

/* ---- pure ---- */

static unsigned long long mib(uint64_t bytes)
{
	return bytes >> 20;
}

static uint64_t top_of(const struct resize_spec *s)
{
	return s->max > s->boot ? s->max : s->boot;
}

int resize_check(const struct resize_spec *spec, uint64_t current, const struct guest_stats *s,
	uint64_t wanted, struct err *e)
{
	uint64_t used, top = top_of(spec);

	if (wanted < spec->base)
		return err_set(e, ERR_INVALID,
			"%lluMi is below the %lluMi the guest booted with: this needs a restart", mib(wanted),
			mib(spec->base));
	if (wanted > top && top == spec->base)
		return err_set(e, ERR_INVALID,
			"no room for more memory was reserved when the guest started: this needs a restart");
	if (wanted > top)
		return err_set(
			e, ERR_INVALID, "%lluMi is above the maximum of %lluMi", mib(wanted), mib(top));
	if ((wanted - spec->base) % spec->block)
		return err_set(e, ERR_INVALID, "%llu bytes more than at boot are no multiple of %lluMi",
			(unsigned long long)(wanted - spec->base), mib(spec->block));
	if (wanted >= current || !s->total || s->available > s->total)
		return 0;
	/* Both from one report, which may be older than `current`. What the kernel keeps for itself is in the margin. */
	used = s->total - s->available;
	if (wanted < used + RESIZE_MARGIN)
		return err_set(e, ERR_INVALID,
			"%lluMi is less than the %lluMi the guest uses and a margin of %lluMi", mib(wanted),
			mib(used), mib(RESIZE_MARGIN));
	return 0;
}

uint64_t resize_next_step(const struct resize_spec *spec, uint64_t current, uint64_t wanted)
{
	uint64_t most = current / RESIZE_SHRINK_DIVISOR, next;

	if (wanted >= current || current - wanted <= most)
		return wanted;
	next = current - most;
	next = spec->base + (next - spec->base + spec->block - 1) / spec->block * spec->block;
	/* A page as large as the whole step: one of them all the same. */
	if (next >= current)
		next = current - spec->block;
	return next < wanted ? wanted : next;
}

/* ---- the machine ---- */

uint64_t resize_current(const struct resize *r)
{
	return r->spec.base + r->plugged;
}

uint64_t resize_requested(const struct resize *r)
{
	return r->spec.base + (r->sm.at == R_IDLE ? r->requested : r->wanted);
}

bool resize_active(const struct resize *r)
{
	return r->sm.at != R_IDLE;
}

const char *resize_error(const struct resize *r)
{
	return r->error;
}

static void resize_end(struct resize *r, bool complete, const struct err *e)
{
	resize_done_fn *fn = TAKE(r->fn);

	if (r->sm.at != R_IDLE)
		sm_move(&r->sm, R_IDLE);
	str_copy(r->error, sizeof(r->error), e ? e->msg : "");
	if (!complete && !e)
		str_copy(r->error, sizeof(r->error), "the guest did not follow within the time limit");
	if (fn)
		fn(r->fn_arg, complete, e);
	r->ops->changed(r->arg);
}

static void resize_ask(struct resize *r);

/* When to look next; nothing if nothing is awaited. */
static void resize_schedule(struct resize *r)
{
	int64_t now = loop_mono_ms(r->loop);

	if (r->sm.at == R_WATCH)
		loop_timer_set(r->poll,
			now - r->step_start < RESIZE_FAST_MS ? RESIZE_POLL_FAST_MS : RESIZE_POLL_SLOW_MS);
	else if (r->sm.at == R_IDLE && r->qmp && r->plugged != r->requested)
		loop_timer_set(
			r->poll, RESIZE_FOLLOW_MS); /* a guest that boots, or was reset, plugs by itself */
}

/* How much of a total device i is to give. */
static uint64_t share(const struct resize *r, size_t i, uint64_t total)
{
	uint64_t before = 0;

	for (size_t k = 0; k < i; k++)
		before += r->devices[k].size;
	if (total <= before)
		return 0;
	return total - before < r->devices[i].size ? total - before : r->devices[i].size;
}

static uint64_t span(const struct resize *r)
{
	uint64_t all = 0;

	for (size_t i = 0; i < VM_MEM_DEVICES; i++)
		all += r->devices[i].size;
	return all;
}

static const char *path_of(size_t i)
{
	static const char *const paths[VM_MEM_DEVICES] = { "/machine/peripheral/vmem",
		"/machine/peripheral/vmem1" };

	return paths[i];
}

static void on_set(void *arg, const struct json *ret, const struct err *e)
{
	struct resize *r = arg;

	(void)ret;
	if (e && !r->set_error.code)
		err_copy(&r->set_error, e);
	for (size_t i = 0; e && i < VM_MEM_DEVICES; i++)
		r->devices[i].told = false;
	if (--r->sets)
		return;
	if (r->sm.at == R_SETTLE) {
		if (!r->set_error.code)
			r->requested = r->step;
		resize_end(r, r->plugged == r->wanted, NULL);
		resize_schedule(r);
		return;
	}
	if (r->sm.at != R_SET)
		return;
	if (r->set_error.code) {
		resize_end(r, false, &r->set_error);
		return;
	}
	r->requested = r->step;
	sm_move(&r->sm, R_WATCH);
	r->step_start = loop_mono_ms(r->loop);
	r->ops->changed(r->arg);
	resize_ask(r);
}

static void tell(struct resize *r, size_t i, uint64_t bytes)
{
	r->devices[i].told = true;
	r->devices[i].requested = bytes;
	r->sets++;
	qmp_send_qom_set(r->qmp,
		&(struct qmp_qom_set){ .path = path_of(i), .property = "requested-size", .value = bytes },
		on_set, r);
}

/* Each device its share. One that has been told is left alone, unless all have: a guest is kicked by being told again
 * (qemu.md 7.5). */
static void send_step(struct resize *r, uint64_t step)
{
	bool again = true;

	sm_move(&r->sm, R_SET);
	r->step = step;
	r->set_error = (struct err){ 0 };
	for (size_t i = 0; i < VM_MEM_DEVICES; i++)
		again = again && (!r->devices[i].size || (r->devices[i].told && r->devices[i].requested ==
											share(r, i, step)));
	for (size_t i = 0; i < VM_MEM_DEVICES; i++)
		if (r->devices[i].size &&
			(again || !r->devices[i].told || r->devices[i].requested != share(r, i, step)))
			tell(r, i, share(r, i, step));
}

static void next_step(struct resize *r)
{
	send_step(r, resize_next_step(&r->spec, resize_current(r), r->spec.base + r->wanted) - r->spec.base);
}

/* What was not given up is asked for no more. */
static void settle(struct resize *r)
{
	sm_move(&r->sm, R_SETTLE);
	r->step = 0;
	r->set_error = (struct err){ 0 };
	for (size_t i = 0; i < VM_MEM_DEVICES; i++) {
		uint64_t has = r->devices[i].plugged / r->spec.block * r->spec.block;

		if (r->devices[i].size)
			tell(r, i, has);
		r->step += has;
	}
}

/* ---- the second device ---- */

static void on_unplugged(void *arg, const struct json *ret, const struct err *e)
{
	if (e)
		log_warn("removing the memory of a device that could not be added: %s", e->msg);
}

static void on_plugged(void *arg, const struct json *ret, const struct err *e)
{
	struct resize *r = arg;

	if (!e) {
		r->devices[1].size = vm_memory_spare(r->spec.config);
		r->devices[1].told = true;
	} else if (r->qmp) {
		qmp_send_object_del(r->qmp, &(struct qmp_object_del){ .id = "vmem1" }, on_unplugged, NULL);
	}
	if (r->sm.at != R_PLUG)
		return;
	if (e)
		resize_end(r, false, e);
	else
		next_step(r);
}

static void on_object(void *arg, const struct json *ret, const struct err *e)
{
	struct resize *r = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (e) {
		if (r->sm.at == R_PLUG)
			resize_end(r, false, e);
		return;
	}
	d = vm_memory_device(r->spec.config, 1);
	qmp_send_device_add(r->qmp, &(struct qmp_device_add){ .device = json_root(d) }, on_plugged, r);
}

static void plug(struct resize *r)
{
	CLEANUP(json_doc_freep) struct json_doc *d = vm_memory_object(r->spec.config, 1);

	sm_move(&r->sm, R_PLUG);
	qmp_send_object_add(r->qmp, &(struct qmp_object_add){ .object = json_root(d) }, on_object, r);
}

/* A size was read while a request runs. */
static void resize_step(struct resize *r)
{
	if (r->plugged == r->step && r->step == r->wanted) {
		resize_end(r, true, NULL);
		return;
	}
	if (loop_mono_ms(r->loop) >= r->deadline) {
		/* A grow stays wished for: a guest that boots later serves it. A shrink that was not honoured is taken
		 * back, else the driver would go on squeezing. */
		if (r->wanted < r->plugged)
			settle(r);
		else
			resize_end(r, false, NULL);
		return;
	}
	if (r->plugged == r->step) {
		next_step(r);
	}
}

/* All devices have been read. */
static void resize_read(struct resize *r)
{
	uint64_t before = r->plugged;

	r->plugged = 0;
	for (size_t i = 0; i < VM_MEM_DEVICES; i++)
		r->plugged += r->devices[i].plugged = r->devices[i].read;
	if (r->plugged != before)
		r->plugged_at = loop_mono_ms(r->loop);
	if (r->sm.at == R_WATCH)
		resize_step(r);
	if (r->plugged != before)
		r->ops->changed(r->arg);
	resize_schedule(r);
}

static void one_read(struct resize *r, size_t i, const struct json *ret, const struct err *e)
{
	if (e && e->code != ERR_UNREACHABLE)
		log_warn("reading the size of the memory device %s: %s", vm_memory_id(i), e->msg);
	r->ask_failed |= e != NULL;
	if (!e)
		r->devices[i].read = json_u64(ret);
	if (--r->asking)
		return;
	if (r->ask_failed)
		resize_schedule(r);
	else
		resize_read(r);
}

static void on_size(void *arg, const struct json *ret, const struct err *e)
{
	one_read(arg, 0, ret, e);
}

static void on_size_1(void *arg, const struct json *ret, const struct err *e)
{
	one_read(arg, 1, ret, e);
}

static void resize_ask(struct resize *r)
{
	static qmp_reply_fn *const fns[VM_MEM_DEVICES] = { on_size, on_size_1 };

	if (!r->qmp || r->asking)
		return;
	r->ask_failed = false;
	for (size_t i = 0; i < VM_MEM_DEVICES; i++) {
		if (!r->devices[i].size)
			continue;
		r->asking++;
		qmp_send_qom_get(
			r->qmp, &(struct qmp_qom_get){ .path = path_of(i), .property = "size" }, fns[i], r);
	}
}

void resize_look(struct resize *r)
{
	resize_ask(r);
}

static void resize_poll(void *arg)
{
	resize_ask(arg);
}

void resize_set_stats(struct resize *r, const struct guest_stats *s)
{
	uint64_t current = resize_current(r), offline = 0;

	r->stats = *s;
	if (!s->total)
		return;
	if (!r->plugged && s->total < r->spec.base)
		r->kernel_part = r->spec.base - s->total;
	if (r->plugged && r->kernel_part && loop_mono_ms(r->loop) - r->plugged_at >= RESIZE_STATS_LAG_MS &&
		s->total + r->kernel_part + RESIZE_OFFLINE_MIN < current)
		offline = current - r->kernel_part - s->total;
	if (offline != r->offline) {
		r->offline = offline;
		r->ops->changed(r->arg);
	}
}

uint64_t resize_offline(const struct resize *r)
{
	return r->offline;
}

void resize_set_qmp(struct resize *r, struct qmp *q)
{
	r->qmp = q;
	r->asking = r->sets = 0; /* the client was freed: no answer comes any more */
	if (!q) {
		struct err e;

		loop_timer_stop(r->poll);
		err_set(&e, ERR_UNAVAILABLE, "the guest ended while its memory was being changed");
		if (r->sm.at != R_IDLE)
			resize_end(r, false, &e);
	}
}

void resize_request(struct resize *r, uint64_t wanted, resize_done_fn *fn, void *arg)
{
	struct err e;

	if (r->fn) {
		resize_done_fn *old = TAKE(r->fn);

		err_set(&e, ERR_CONFLICT, "a newer request for %lluMi took over", mib(wanted));
		old(r->fn_arg, false, &e);
	}
	if (!r->qmp) {
		err_set(&e, ERR_UNAVAILABLE, "there is no guest whose memory could be changed");
		fn(arg, false, &e);
		return;
	}
	if (resize_check(&r->spec, resize_current(r), &r->stats, wanted, &e) < 0) {
		str_copy(r->error, sizeof(r->error), e.msg);
		fn(arg, false, &e);
		return;
	}
	r->error[0] = '\0';
	r->fn = fn;
	r->fn_arg = arg;
	r->wanted = wanted - r->spec.base;
	r->deadline = loop_mono_ms(r->loop) + RESIZE_DEADLINE_MS;
	if (!r->devices[0].size) {
		resize_end(r, true, NULL); /* the check left only: what it has already */
		return;
	}
	/* From any state: the newer value is sent behind the older one, in order. */
	if (r->wanted > span(r) && r->sm.at != R_PLUG) {
		if (r->sm.at != R_IDLE)
			sm_move(&r->sm, R_IDLE);
		plug(r);
	} else if (r->sm.at != R_PLUG) {
		next_step(r);
	}
	r->ops->changed(r->arg);
}

uint64_t resize_max(const struct resize *r)
{
	return top_of(&r->spec);
}

uint64_t resize_set_max(struct resize *r, uint64_t max)
{
	uint64_t most = r->spec.base + r->devices[0].size;

	if (r->spec.config && vm_memory_spare(r->spec.config))
		most += vm_memory_spare(r->spec.config);
	if (!r->devices[0].size)
		return resize_max(r);
	max = max / r->spec.block * r->spec.block;
	if (max > most)
		max = most;
	if (max < resize_requested(r))
		max = resize_requested(r);
	r->spec.max = max;
	return max;
}

struct resize *resize_new(
	struct loop *l, const struct resize_spec *spec, const struct resize_ops *ops, void *arg)
{
	struct resize *r = MEM_NEW(struct resize);

	r->loop = l;
	r->spec = *spec;
	r->devices[0] =
		(struct device){ .size = top_of(spec) - spec->base, .requested = spec->boot - spec->base };
	r->requested = spec->boot - spec->base;
	r->ops = ops;
	r->arg = arg;
	r->sm.states = states;
	r->poll = loop_timer_new(l, resize_poll, r);
	return r;
}

void resize_free(struct resize *r)
{
	if (!r)
		return;
	loop_timer_free(r->poll);
	free(r);
}
