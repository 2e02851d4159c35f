/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/controller.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "kube/controller_impl.h"

#include <inttypes.h>

#define WORKERS_DEFAULT 16
/* Passes in one turn of the loop; the others of the program want their turns too. */
#define PASSES_PER_TURN 64

/* ---- what decide() sees ---- */
struct cache *look_cache(const struct look *l, const struct kind *k)
{
	const struct ctrl *c = l->ctrl;

	for (size_t i = 0; i < c->n_watches; i++)
		if (kind_is(cache_kind(c->caches[i]), k))
			return c->caches[i];
	MUST(!"a kind that is not among the watches");
	return NULL;
}

const struct obj *look_get(const struct look *l, const struct kind *k, const char *key)
{
	return cache_get(look_cache(l, k), key);
}

int64_t look_now(const struct look *l)
{
	return loop_wall_ms(l->ctrl->set->loop);
}

const void *look_env(const struct look *l)
{
	return l->ctrl->env;
}

uint64_t look_random(const struct look *l)
{
	return rng_next(&l->ctrl->set->rng);
}

void key_self(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	emit(emit_arg, obj_key(o));
}

void key_owner(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg)
{
	const struct json *ref = meta_controller_ref(obj_json(o));
	CLEANUP(mem_freep) char *key = NULL;

	if (!ref || !json_get_str(ref, "name"))
		return;
	key = kind_key(obj_namespace(o), json_get_str(ref, "name"));
	emit(emit_arg, key);
}

/* ---- caches ---- */
static bool same_scope(const struct controller_watch *a, const struct controller_watch *b)
{
	static const struct controller_watch all;

	if (!a)
		a = &all;
	if (!b)
		b = &all;
	return str_eq(a->ns, b->ns) && str_eq(a->label_selector, b->label_selector) &&
	       str_eq(a->field_selector, b->field_selector);
}

/* Index 0 belongs to who asked for it: another one makes a cache of its own. */
static struct cache *set_cache(
	struct controller_set *s, const struct kind *k, const struct controller_watch *spec)
{
	index_fn *index = spec ? spec->index : NULL;
	struct shared_cache *sc;

	for (size_t i = 0; i < s->n_caches; i++) {
		sc = &s->caches[i];
		if (!kind_is(cache_kind(sc->cache), k) || !same_scope(sc->spec, spec))
			continue;
		if (!index || index == sc->index)
			return sc->cache;
		if (!sc->index && !s->started && cache_indexes(sc->cache) == 0) {
			sc->index = index;
			cache_add_index(sc->cache, index);
			return sc->cache;
		}
	}
	MUST(!s->started);
	s->caches = mem_grow(s->caches, &s->cap_caches, s->n_caches + 1, sizeof(s->caches[0]));
	sc = &s->caches[s->n_caches++];
	*sc = (struct shared_cache){ .spec = spec, .index = index };
	sc->cache = cache_new(s->client, k,
		spec ? &(struct cache_opts){ spec->ns, spec->label_selector, spec->field_selector } : NULL);
	if (index)
		cache_add_index(sc->cache, index);
	return sc->cache;
}

struct cache *controllers_cache(struct controller_set *s, const struct kind *k)
{
	return set_cache(s, k, NULL);
}

struct cache *controllers_watch_cache(struct controller_set *s, const struct controller_watch *w)
{
	return set_cache(s, w->kind, w);
}

/* ---- one controller ---- */
static bool ctrl_synced(const struct ctrl *c)
{
	for (size_t i = 0; i < c->n_watches; i++)
		if (!cache_synced(c->caches[i]))
			return false;
	return true;
}

static void ctrl_pump(void *arg)
{
	struct ctrl *c = arg;
	const char *key;
	int passes = 0;

	if (!c->set->started || !ctrl_synced(c))
		return;
	while (c->in_flight < c->workers && passes++ < PASSES_PER_TURN && wq_take(c->queue, &key))
		work_run(c, key);
	if (c->in_flight < c->workers && wq_due(c->queue))
		loop_timer_set(c->pump, 0);
}

static void ctrl_synced_one(void *arg)
{
	struct ctrl *c = arg;

	loop_timer_set(c->pump, 0);
}

static void ctrl_check(void *arg)
{
	works_check(arg);
}

static void ctrl_emit(void *arg, const char *key)
{
	struct ctrl *c = arg;

	wq_add(c->queue, key);
}

static void ctrl_emit_later(void *arg, const char *key)
{
	const struct watch_hook *h = arg;

	wq_add_after(h->ctrl->queue, key, h->settle_ms);
}

static void ctrl_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct watch_hook *h = arg;
	bool later = h->settle_ms > 0 && old && new && !obj_deleting(new);
	key_emit_fn *emit = later ? ctrl_emit_later : ctrl_emit;
	void *emit_arg = later ? (void *)h : (void *)h->ctrl;

	if (old)
		h->keys(&h->ctrl->look, old, emit, emit_arg);
	if (new)
		h->keys(&h->ctrl->look, new, emit, emit_arg);
}

static void ctrl_watch(struct ctrl *c, const struct controller_watch *w)
{
	struct cache *cache = set_cache(c->set, w->kind, w);
	struct watch_hook *h = &c->hooks[c->n_watches];

	c->caches[c->n_watches++] = cache;
	*h = (struct watch_hook){ .ctrl = c, .keys = w->keys, .settle_ms = w->settle_ms };
	if (w->keys)
		cache_on_change(cache, ctrl_changed, h);
	cache_on_moved(cache, ctrl_check, c);
	cache_on_synced(cache, ctrl_synced_one, c);
}

static void ctrl_free(struct ctrl *c)
{
	keymap_done(&c->works, work_free);
	wq_free(c->queue);
	loop_timer_free(c->pump);
	loop_timer_free(c->hold);
	free(c->held);
	free(c);
}

/* ---- sets ---- */
struct controller_set *controllers_new(struct kube_client *client, const char *component)
{
	struct controller_set *s = MEM_NEW(struct controller_set);

	s->client = client;
	s->loop = kube_client_loop(client);
	s->component = mem_strdup(component);
	s->events = events_new(client, component, NULL);
	s->rng.state = kube_client_random(client);
	return s;
}

void controllers_set_host(struct controller_set *s, const char *host)
{
	MUST(!s->started);
	events_free(s->events);
	s->events = events_new(s->client, s->component, host);
}

struct event_recorder *controllers_events(struct controller_set *s)
{
	return s->events;
}

void controllers_add(struct controller_set *s, const struct controller *def, void *env)
{
	struct ctrl *c = MEM_NEW(struct ctrl);

	MUST(!s->started);
	c->set = s;
	c->def = def;
	c->env = env;
	c->look.ctrl = c;
	c->workers = def->workers > 0 ? (size_t)def->workers : WORKERS_DEFAULT;
	c->queue = wq_new(s->loop, ctrl_pump, c);
	c->pump = loop_timer_new(s->loop, ctrl_pump, c);
	c->hold = loop_timer_new(s->loop, ctrl_check, c);
	for (size_t i = 0; i < CONTROLLER_WATCHES_MAX && def->watches[i].kind; i++)
		ctrl_watch(c, &def->watches[i]);
	s->ctrls = mem_grow(s->ctrls, &s->cap_ctrls, s->n_ctrls + 1, sizeof(struct ctrl *));
	s->ctrls[s->n_ctrls++] = c;
}

void controllers_start(struct controller_set *s)
{
	s->started = true;
	for (size_t i = 0; i < s->n_caches; i++)
		cache_start(s->caches[i].cache);
	for (size_t i = 0; i < s->n_ctrls; i++)
		loop_timer_set(s->ctrls[i]->pump, 0);
}

void controllers_free(struct controller_set *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_caches; i++)
		cache_free(s->caches[i].cache);
	for (size_t i = 0; i < s->n_ctrls; i++)
		ctrl_free(s->ctrls[i]);
	events_free(s->events);
	free(s->component);
	free(s->caches);
	free(s->ctrls);
	free(s);
}

void controllers_kick(struct controller_set *s, const char *controller, const char *key)
{
	for (size_t i = 0; i < s->n_ctrls; i++)
		if (str_eq(s->ctrls[i]->def->name, controller))
			wq_add(s->ctrls[i]->queue, key);
}

bool controllers_idle(const struct controller_set *s)
{
	for (size_t i = 0; i < s->n_ctrls; i++) {
		const struct ctrl *c = s->ctrls[i];

		if (!ctrl_synced(c) || c->in_flight || c->n_held || wq_due(c->queue))
			return false;
	}
	return true;
}

void controllers_seed(struct controller_set *s, uint64_t seed)
{
	s->rng.state = seed;
}

struct metric {
	const char *name, *type, *help;
	uint64_t (*value)(const struct ctrl *c);
};

static uint64_t metric_depth(const struct ctrl *c)
{
	return wq_len(c->queue);
}
static uint64_t metric_in_flight(const struct ctrl *c)
{
	return c->in_flight;
}
static uint64_t metric_passes(const struct ctrl *c)
{
	return c->passes;
}
static uint64_t metric_failures(const struct ctrl *c)
{
	return c->failures;
}
static uint64_t metric_writes(const struct ctrl *c)
{
	return c->writes;
}
static uint64_t metric_busy(const struct ctrl *c)
{
	return c->busy_ms;
}

static const struct metric metrics[] = {
	{ "controller_queue_depth", "gauge", "Keys waiting, those due later included.", metric_depth },
	{ "controller_in_flight", "gauge", "Keys being carried out.", metric_in_flight },
	{ "controller_passes_total", "counter", "Decisions made.", metric_passes },
	{ "controller_failures_total", "counter", "Passes that failed.", metric_failures },
	{ "controller_writes_total", "counter", "API writes that succeeded.", metric_writes },
	{ "controller_busy_milliseconds_total", "counter", "Time from decision to the end of its writes.",
		metric_busy },
};

void controllers_metrics(const struct controller_set *s, struct str *out)
{
	for (size_t m = 0; m < ARRAY_LEN(metrics); m++) {
		str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help,
			metrics[m].name, metrics[m].type);
		for (size_t i = 0; i < s->n_ctrls; i++)
			str_addf(out, "%s{controller=\"%s\"} %" PRIu64 "\n", metrics[m].name,
				s->ctrls[i]->def->name, metrics[m].value(s->ctrls[i]));
	}
}
