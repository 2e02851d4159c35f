/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/resize.h"

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/launcher/sm.h"
#include "qemu/qmp_cmds.h"
#include "qemu/vm_config.h"

#include <string.h>

#define VMEM_PATH "/machine/peripheral/vmem"

/* What is awaited. */
enum { R_IDLE, R_SET, R_WATCH, R_SETTLE };
static const struct sm_state states[] = {
	[R_IDLE] = { "idle", SM_TO(R_SET) },
	[R_SET] = { "set", SM_TO(R_WATCH) | SM_TO(R_IDLE) | SM_TO(R_SET) },      /* qom-set of this step */
	[R_WATCH] = { "watch", SM_TO(R_SET) | SM_TO(R_SETTLE) | SM_TO(R_IDLE) }, /* the guest */
	[R_SETTLE] = { "settle", SM_TO(R_IDLE) | SM_TO(R_SET) },                 /* qom-set back to what is */
};

struct resize {
	struct loop *loop;
	struct qmp *qmp;
	const struct resize_ops *ops;
	void *arg;
	uint64_t boot, max, plugged, requested; /* requested: as QEMU holds it, without boot */
	struct guest_stats stats;
	struct sm sm;
	struct loop_timer *poll;
	bool asking;           /* a qom-get is on its way */
	unsigned sets;         /* qom-sets on their way; only the last one's answer counts */
	uint64_t wanted, step; /* without boot */
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

int resize_check(uint64_t boot, uint64_t max, uint64_t current, const struct guest_stats *s, uint64_t wanted,
	struct err *e)
{
	uint64_t used;

	if (wanted < boot)
		return err_set(e, ERR_INVALID,
			"%lluMi is below the %lluMi the guest booted with: this needs a restart", mib(wanted),
			mib(boot));
	if (wanted > max && max == boot)
		return err_set(e, ERR_INVALID,
			"no room for more memory was reserved when the guest started: this needs a restart");
	if (wanted > max)
		return err_set(
			e, ERR_INVALID, "%lluMi is above the maximum of %lluMi", mib(wanted), mib(max));
	if ((wanted - boot) % VM_BLOCK_SIZE)
		return err_set(e, ERR_INVALID, "%llu bytes more than at boot are no multiple of 2Mi",
			(unsigned long long)(wanted - boot));
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

uint64_t resize_next_step(uint64_t boot, uint64_t current, uint64_t wanted)
{
	uint64_t most = current / RESIZE_SHRINK_DIVISOR, next;

	if (wanted >= current || current - wanted <= most)
		return wanted;
	next = current - most;
	next = boot + (next - boot + VM_BLOCK_SIZE - 1) / VM_BLOCK_SIZE * VM_BLOCK_SIZE;
	return next < wanted ? wanted : next;
}

/* ---- the machine ---- */

uint64_t resize_current(const struct resize *r)
{
	return r->boot + r->plugged;
}

uint64_t resize_requested(const struct resize *r)
{
	return r->boot + (r->sm.at == R_IDLE ? r->requested : r->wanted);
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

static void on_set(void *arg, const struct json *ret, const struct err *e)
{
	struct resize *r = arg;

	(void)ret;
	if (--r->sets)
		return;
	if (r->sm.at == R_SETTLE) {
		if (!e)
			r->requested = r->step;
		resize_end(r, r->plugged == r->wanted, NULL);
		resize_schedule(r);
		return;
	}
	if (r->sm.at != R_SET)
		return;
	if (e) {
		resize_end(r, false, e);
		return;
	}
	r->requested = r->step;
	sm_move(&r->sm, R_WATCH);
	r->step_start = loop_mono_ms(r->loop);
	r->ops->changed(r->arg);
	resize_ask(r);
}

static void send_step(struct resize *r, uint64_t step, int state)
{
	sm_move(&r->sm, state);
	r->step = step;
	r->sets++;
	qmp_send_qom_set(r->qmp,
		&(struct qmp_qom_set){ .path = VMEM_PATH, .property = "requested-size", .value = step },
		on_set, r);
}

/* A size was read while a request runs. */
static void resize_step(struct resize *r)
{
	uint64_t next;

	if (r->plugged == r->step && r->step == r->wanted) {
		resize_end(r, true, NULL);
		return;
	}
	if (loop_mono_ms(r->loop) >= r->deadline) {
		/* A grow stays wished for: a guest that boots later serves it. A shrink that was not honoured is taken
		 * back, else the driver would go on squeezing. */
		if (r->wanted < r->plugged)
			send_step(r, r->plugged / VM_BLOCK_SIZE * VM_BLOCK_SIZE, R_SETTLE);
		else
			resize_end(r, false, NULL);
		return;
	}
	if (r->plugged == r->step) {
		next = resize_next_step(r->boot, resize_current(r), r->boot + r->wanted) - r->boot;
		send_step(r, next, R_SET);
	}
}

static void on_size(void *arg, const struct json *ret, const struct err *e)
{
	struct resize *r = arg;
	uint64_t before = r->plugged;

	r->asking = false;
	if (e) {
		if (e->code != ERR_UNREACHABLE)
			log_warn("reading the size of the memory device: %s", e->msg);
		resize_schedule(r);
		return;
	}
	r->plugged = json_u64(ret);
	if (r->plugged != before)
		r->plugged_at = loop_mono_ms(r->loop);
	if (r->sm.at == R_WATCH)
		resize_step(r);
	if (r->plugged != before)
		r->ops->changed(r->arg);
	resize_schedule(r);
}

static void resize_ask(struct resize *r)
{
	if (!r->qmp || r->asking || r->boot == r->max)
		return;
	r->asking = true;
	qmp_send_qom_get(r->qmp, &(struct qmp_qom_get){ .path = VMEM_PATH, .property = "size" }, on_size, r);
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
	if (!r->plugged && s->total < r->boot)
		r->kernel_part = r->boot - s->total;
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
	r->asking = false;
	r->sets = 0; /* the client was freed: no answer comes any more */
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
	if (resize_check(r->boot, r->max, resize_current(r), &r->stats, wanted, &e) < 0) {
		str_copy(r->error, sizeof(r->error), e.msg);
		fn(arg, false, &e);
		return;
	}
	r->error[0] = '\0';
	r->fn = fn;
	r->fn_arg = arg;
	r->wanted = wanted - r->boot;
	r->deadline = loop_mono_ms(r->loop) + RESIZE_DEADLINE_MS;
	if (r->boot == r->max) {
		resize_end(r, true, NULL); /* the check left only: what it has already */
		return;
	}
	/* From any state: the newer value is sent behind the older one, in order. */
	send_step(r, resize_next_step(r->boot, resize_current(r), wanted) - r->boot, R_SET);
	r->ops->changed(r->arg);
}

struct resize *resize_new(
	struct loop *l, uint64_t boot, uint64_t max, const struct resize_ops *ops, void *arg)
{
	struct resize *r = MEM_NEW(struct resize);

	r->loop = l;
	r->boot = boot;
	r->max = max;
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
