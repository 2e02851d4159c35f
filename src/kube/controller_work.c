/* SPDX-License-Identifier: Apache-2.0 */
/* One key on its way: decide, carry out, retry, hold. kube/controller.h has the rules. */
#include "kube/controller.h"

#include "api/meta.h"
#include "api/semantics.h"
#include "base/log.h"
#include "kube/controller_impl.h"

#include <inttypes.h>
#include <string.h>

/* A cache that does not show our write by then: watch broken or another selector. Deciding on it costs a conflict at worst. */
#define BARRIER_MAX_MS 5000
#define RESYNC_MS 100
/* Conflicts in a row before they are backed off from like other failures. */
#define RESYNC_EAGER 3
/* What was refused is refused again, unless the refusal hung on something we do not watch. */
#define PARK_MS 300000
/* A failed "test" operation looks like any other failed patch (kubernetes-api.md 3). */
#define PATCH_FAILED_TEXT "the server rejected our request due to an error in our request"

struct action_call {
	struct work *work; /* NULL: the set is gone */
	bool starting, finished;
	struct err e;
};

static void work_go_on(struct work *w);

/* ---- barriers ---- */
static struct barrier *barrier_add(struct work *w, enum barrier_type type, struct cache *cache, int64_t ms)
{
	struct barrier *b;

	w->barriers = mem_grow(w->barriers, &w->cap_barriers, w->n_barriers + 1, sizeof(w->barriers[0]));
	b = &w->barriers[w->n_barriers++];
	*b = (struct barrier){ .type = type, .cache = cache, .until = loop_mono_ms(w->ctrl->set->loop) + ms };
	return b;
}

static void barrier_drop(struct work *w, size_t i)
{
	free(w->barriers[i].key);
	free(w->barriers[i].uid);
	w->barriers[i] = w->barriers[--w->n_barriers];
}

static bool barrier_passed(const struct barrier *b, int64_t now)
{
	const struct obj *o = b->key && b->cache ? cache_get(b->cache, b->key) : NULL;

	if (now >= b->until)
		return true;
	switch (b->type) {
	case BARRIER_RV:
		return cache_rv(b->cache) >= b->rv;
	case BARRIER_MOVED:
		if (b->key)
			return (o ? obj_rv(o) : 0) != b->rv;
		return b->cache && cache_rv(b->cache) > b->rv;
	case BARRIER_GOING:
		return !o || !str_eq(obj_uid(o), b->uid) || obj_deleting(o);
	case BARRIER_GONE:
		return !o || !str_eq(obj_uid(o), b->uid);
	}
	return true;
}

/* After a successful write: every cache of ours that will see it has to, before we look again. */
static void barriers_after(struct work *w, const struct intent *it, const struct obj *answer)
{
	const struct json *finalizers = answer ? json_get(meta_of(obj_json(answer)), "finalizers") : NULL;
	const struct json *grace =
		it->type == INTENT_DELETE ? json_get(json_root(it->doc), "gracePeriodSeconds") : NULL;
	/* No object in the answer: removed. Marked ones come back as they are now. */
	bool at_once = it->type != INTENT_DELETE || !answer ||
		       (!json_len(finalizers) && json_is_int(grace) && json_i64(grace) == 0);

	for (size_t i = 0; i < w->ctrl->n_watches; i++) {
		struct cache *c = w->ctrl->caches[i];
		const struct obj *cached;
		struct barrier *b;

		if (!kind_is(cache_kind(c), it->kind))
			continue;
		cached = cache_get(c, answer && !it->sub ? obj_key(answer) : it->key);
		if (it->type == INTENT_DELETE || (answer && write_is_gone(obj_json(answer)))) {
			if (!cached || (answer && !str_eq(obj_uid(answer), obj_uid(cached))))
				continue;
			b = barrier_add(w, at_once ? BARRIER_GONE : BARRIER_GOING, c, BARRIER_MAX_MS);
			b->key = mem_strdup(obj_key(cached));
			b->uid = mem_strdup(obj_uid(cached));
		} else if (it->type == INTENT_CREATE && it->sub && cached) {
			/* Bindings and evictions are answered without the object they change. It may have been faster. */
			if (obj_rv(cached) > w->seen[i])
				continue;
			b = barrier_add(w, BARRIER_MOVED, c, BARRIER_MAX_MS);
			b->key = mem_strdup(it->key);
			b->rv = obj_rv(cached);
		} else if (answer && (cached || cache_covers(c, answer))) {
			b = barrier_add(w, BARRIER_RV, c, BARRIER_MAX_MS);
			b->rv = obj_rv(answer);
		}
	}
}

static void hold_arm(struct ctrl *c)
{
	int64_t first = INT64_MAX, now = loop_mono_ms(c->set->loop);

	for (size_t i = 0; i < c->n_held; i++)
		for (size_t j = 0; j < c->held[i]->n_barriers; j++)
			if (c->held[i]->barriers[j].until < first)
				first = c->held[i]->barriers[j].until;
	if (first == INT64_MAX)
		loop_timer_stop(c->hold);
	else
		loop_timer_set(c->hold, first > now ? first - now : 0);
}

/* ---- the end of a pass ---- */
void work_free(void *p)
{
	struct work *w = p;

	if (!w)
		return;
	kube_call_cancel(w->call);
	if (w->action)
		w->action->work = NULL;
	while (w->n_barriers)
		barrier_drop(w, 0);
	free(w->barriers);
	plan_free(w->plan);
	free(w->key);
	free(w);
}

static void work_leave(struct work *w)
{
	struct ctrl *c = w->ctrl;

	w->state = WORK_IDLE;
	wq_done(c->queue, w->key);
	if (!w->failures)
		work_free(keymap_take(&c->works, w->key));
}

static bool work_passed(struct work *w, int64_t now)
{
	for (size_t i = 0; i < w->n_barriers;) {
		if (barrier_passed(&w->barriers[i], now))
			barrier_drop(w, i);
		else
			i++;
	}
	return w->n_barriers == 0;
}

void works_check(struct ctrl *c)
{
	int64_t now = loop_mono_ms(c->set->loop);

	if (!c->n_held)
		return;
	for (size_t i = 0; i < c->n_held;) {
		struct work *w = c->held[i];

		if (!work_passed(w, now)) {
			i++;
			continue;
		}
		/* In the order they came: the queue hands them out that way. */
		c->n_held--;
		memmove(&c->held[i], &c->held[i + 1], (c->n_held - i) * sizeof(c->held[0]));
		work_leave(w);
	}
	hold_arm(c);
}

static void work_end(struct work *w)
{
	struct ctrl *c = w->ctrl;

	plan_clear(w->plan);
	c->in_flight--;
	c->busy_ms += (uint64_t)(loop_mono_ms(c->set->loop) - w->since);
	loop_timer_set(c->pump, 0);
	if (work_passed(w, loop_mono_ms(c->set->loop))) {
		work_leave(w);
		return;
	}
	w->state = WORK_HELD;
	c->held = mem_grow(c->held, &c->cap_held, c->n_held + 1, sizeof(c->held[0]));
	c->held[c->n_held++] = w;
	hold_arm(c);
}

static void work_succeed(struct work *w)
{
	int64_t at, now = loop_wall_ms(w->ctrl->set->loop);

	/* After the report of a refusal the key waits already. */
	if (!w->reporting) {
		w->failures = 0;
		if (plan_again(w->plan, &at))
			wq_add_after(w->ctrl->queue, w->key, at > now ? at - now : 0);
	}
	w->reporting = false;
	work_end(w);
}

static int64_t back_off_ms(struct work *w)
{
	int64_t ms = CONTROLLER_BACK_OFF_MIN_MS;

	for (int i = 1; i < w->failures && ms < CONTROLLER_BACK_OFF_MAX_MS; i++)
		ms *= 2;
	if (ms > CONTROLLER_BACK_OFF_MAX_MS)
		ms = CONTROLLER_BACK_OFF_MAX_MS;
	return ms - (int64_t)rng_below(&w->ctrl->set->rng, (uint64_t)(ms / 4));
}

static enum err_retry policy(const struct work *w, const struct intent *it, const struct err *e)
{
	enum err_retry r = err_retry(e->code);

	if (!it)
		return RETRY_BACK_OFF;
	if (it->guarded && e->code == ERR_INVALID && strstr(e->msg, PATCH_FAILED_TEXT))
		return RETRY_RESYNC;
	/* Only the end of the object itself ends the matter; a missing namespace or neighbour may come yet. */
	if (r == RETRY_FORGET && ((it->type == INTENT_CREATE && !it->sub) || !str_eq(it->key, w->key)))
		return RETRY_RESYNC;
	return r;
}

/* The version of the object that the intent was made from; 0 for none at all. false: it does not say. */
static bool made_from(const struct intent *it, uint64_t *ret_rv)
{
	const char *text = NULL;

	*ret_rv = 0;
	if (it->type == INTENT_CREATE && !it->sub)
		return true;
	if (it->type == INTENT_UPDATE)
		text = meta_str(json_root(it->doc), "resourceVersion");
	else if (it->type == INTENT_PATCH && it->guarded)
		text = json_at_str(json_root(it->doc), "/0/value");
	return text && str_to_u64(text, ret_rv);
}

/* Until the cache shows something newer than what we decided on; not long, for the conflict may have been another one. */
static void wait_for_move(struct work *w, const struct intent *it)
{
	struct barrier *b;
	uint64_t rv;

	for (size_t i = 0; it->kind && i < w->ctrl->n_watches; i++) {
		if (!kind_is(cache_kind(w->ctrl->caches[i]), it->kind))
			continue;
		b = barrier_add(w, BARRIER_MOVED, w->ctrl->caches[i], RESYNC_MS);
		b->rv = w->seen[i];
		if (made_from(it, &rv)) {
			b->rv = rv;
			b->key = mem_strdup(it->key);
		}
		return;
	}
	barrier_add(w, BARRIER_MOVED, NULL, RESYNC_MS);
}

static void relist(struct work *w, const struct intent *it)
{
	for (size_t i = 0; it->kind && i < w->ctrl->n_watches; i++)
		if (kind_is(cache_kind(w->ctrl->caches[i]), it->kind))
			cache_relist(w->ctrl->caches[i]);
}

/* A create that is not wanted; a subresource that is not wanted or not even there. Status is nobody's to refuse. */
static bool is_refusal(const struct intent *it, const struct err *e)
{
	bool refused = e->code == ERR_FORBIDDEN || e->code == ERR_INVALID || e->code == ERR_BAD_REQUEST;

	if (!it || it->type > INTENT_PATCH || str_eq(it->sub, "status"))
		return false;
	if (!it->sub)
		return refused && it->type == INTENT_CREATE;
	if (it->guarded && strstr(e->msg, PATCH_FAILED_TEXT))
		return false;
	return refused || e->code == ERR_NOT_FOUND || e->code == ERR_METHOD_NOT_ALLOWED;
}

/* One plan more. true: it is to be carried out. */
static bool report_refusal(struct work *w, const struct intent *it, const struct err *e)
{
	struct plan *report;

	if (!w->ctrl->def->refused || !is_refusal(it, e))
		return false;
	report = plan_new();
	w->ctrl->def->refused(&w->ctrl->look, w->key, it, e, report);
	plan_free(w->plan);
	w->plan = report;
	w->at = 0;
	w->reporting = true;
	return true;
}

static void work_fail(struct work *w, const struct intent *it, const struct err *e)
{
	struct ctrl *c = w->ctrl;
	enum err_retry p = policy(w, it, e);
	int64_t wait = 0;

	if (w->reporting) { /* best effort; the next attempt reports again */
		log_debug("%s: %s: reporting a refusal: %s", c->def->name, w->key, e->msg);
		w->reporting = false;
		work_end(w);
		return;
	}
	c->failures++;
	w->failures++;
	if (p == RETRY_RELIST)
		relist(w, it);
	if ((p == RETRY_RESYNC || p == RETRY_RELIST) && w->failures <= RESYNC_EAGER)
		wait_for_move(w, it);
	else if (p == RETRY_PARK)
		wait = PARK_MS;
	else
		wait = back_off_ms(w);
	if (p == RETRY_PARK || p == RETRY_BACK_OFF || (w->failures > RESYNC_EAGER && p != RETRY_FORGET))
		log_warn("%s: %s: %s; again in %" PRId64 " ms", c->def->name, w->key, e->msg, wait);
	else
		log_debug("%s: %s: %s", c->def->name, w->key, e->msg);
	if (p == RETRY_FORGET)
		w->failures = 0;
	else
		wq_add_after(c->queue, w->key, wait);
	if (report_refusal(w, it, e))
		work_go_on(w);
	else
		work_end(w);
}

/* ---- carrying out ---- */
static bool counts_as_done(const struct intent *it, const struct err *e)
{
	if (!it->ignore_missing)
		return false;
	return it->type == INTENT_CREATE ? e->code == ERR_EXISTS : e->code == ERR_NOT_FOUND;
}

static void call_done(void *arg, const struct obj *o, const struct err *e)
{
	struct work *w = arg;
	const struct intent *it = plan_at(w->plan, w->at);

	w->call = NULL;
	if (e && !counts_as_done(it, e)) {
		work_fail(w, it, e);
		return;
	}
	w->ctrl->writes++;
	if (!e) {
		barriers_after(w, it, o);
		plan_went_on(w->plan, w->at, o);
	}
	w->at++;
	work_go_on(w);
}

static void start_call(struct work *w, const struct intent *it)
{
	struct kube_client *client = w->ctrl->set->client;
	CLEANUP(mem_freep) char *ns = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	const struct json *doc = it->doc ? json_root(it->doc) : NULL;

	kind_key_split(it->key, &ns, &name);
	switch (it->type) {
	case INTENT_CREATE:
		w->call = kube_create_sub(client, it->kind, it->sub ? ns : meta_str(doc, "namespace"),
			it->sub ? name : NULL, it->sub, doc, call_done, w);
		break;
	case INTENT_UPDATE:
		w->call = kube_update(client, it->kind, ns, name, it->sub, doc, call_done, w);
		break;
	case INTENT_PATCH:
		w->call = kube_patch(client, it->kind, ns, name, it->sub, it->patch, doc, call_done, w);
		break;
	default:
		w->call = kube_delete(client, it->kind, ns, name, doc, call_done, w);
		break;
	}
}

static void action_done(void *arg, const struct err *e)
{
	struct action_call *a = arg;
	struct work *w = a->work;

	if (e)
		err_copy(&a->e, e);
	a->finished = true;
	if (a->starting)
		return; /* start_action() goes on */
	free(a);
	if (!w)
		return;
	w->action = NULL;
	if (e) {
		work_fail(w, plan_at(w->plan, w->at), e);
		return;
	}
	w->at++;
	work_go_on(w);
}

/* true: done already, *ret_e tells how */
static bool start_action(struct work *w, const struct intent *it, struct err *ret_e)
{
	struct action_call *a = MEM_NEW(struct action_call);

	MUST(w->ctrl->def->action);
	a->work = w;
	a->starting = true;
	w->action = a;
	w->ctrl->def->action(w->ctrl->env, it, action_done, a);
	a->starting = false;
	if (!a->finished)
		return false;
	w->action = NULL;
	err_copy(ret_e, &a->e);
	free(a);
	return true;
}

static void work_go_on(struct work *w)
{
	const struct intent *it;
	struct err e = { 0 };

	for (; (it = plan_at(w->plan, w->at)); w->at++) {
		if (it->type == INTENT_EVENT) {
			events_record(w->ctrl->set->events, it->about, it->warning, it->reason, it->message);
			continue;
		}
		if (it->type != INTENT_ACTION) {
			start_call(w, it);
			return;
		}
		if (!start_action(w, it, &e))
			return;
		if (e.code) {
			work_fail(w, it, &e);
			return;
		}
	}
	if (plan_failure(w->plan)) {
		err_copy(&e, plan_failure(w->plan));
		work_fail(w, NULL, &e);
		return;
	}
	work_succeed(w);
}

void work_run(struct ctrl *c, const char *key)
{
	struct work *w = keymap_get(&c->works, key);

	if (!w) {
		w = MEM_NEW(struct work);
		w->ctrl = c;
		w->key = mem_strdup(key);
		w->plan = plan_new();
		keymap_put(&c->works, key, w);
	}
	MUST(w->state == WORK_IDLE);
	w->state = WORK_RUNNING;
	w->since = loop_mono_ms(c->set->loop);
	w->at = 0;
	for (size_t i = 0; i < c->n_watches; i++)
		w->seen[i] = cache_rv(c->caches[i]);
	c->passes++;
	c->in_flight++;
	c->def->decide(&c->look, w->key, w->plan);
	if (log_on(LOG_DEBUG) && plan_len(w->plan)) {
		CLEANUP(str_done) struct str text = { 0 };

		plan_text(w->plan, &text);
		log_debug("%s: %s: %s", c->def->name, w->key, str_cstr(&text));
	}
	work_go_on(w);
}
