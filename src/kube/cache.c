/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include "api/meta.h"
#include "api/selector.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/keymap.h"

#include <malloc.h>

#define CACHE_PAGE 500
/* API servers restart often and quickly. */
#define CACHE_RETRY_MIN_MS 50
#define CACHE_RETRY_MAX_MS 5000
/* A watch that lasted this long was a working one: the next failure is a first one again. */
#define CACHE_WATCH_GOOD_MS 1000
#define CACHE_FAILURES_LOGGED 3 /* one or two are a restart */
/* After a change: a tree is three times its text, and most objects are looked at when they change only. */
#define CACHE_SQUEEZE_MS 15000

struct index {
	index_fn *fn;
	struct keymap values; /* value -> struct keymap of key -> object (borrowed) */
};
struct handler {
	cache_fn *fn;
	void *arg;
};
struct listener {
	loop_fn *fn;
	void *arg;
};

struct cache {
	struct kube_client *client;
	const struct kind *kind;
	char *ns, *label_selector, *field_selector;
	struct selector *labels;
	struct field_selector *fields;
	bool bad_selector;

	struct keymap objs; /* key -> struct obj, owned */
	struct index *indexes;
	size_t n_indexes, cap_indexes;
	struct handler *handlers;
	size_t n_handlers, cap_handlers;
	struct listener *on_synced, *on_moved;
	size_t n_synced, cap_synced, n_moved, cap_moved;

	uint64_t rv;
	bool started, synced, must_list;
	struct kube_call *call; /* the list or the watch under way */
	struct loop_timer *timer, *squeeze;
	int64_t watch_since;
	int failures;
};

static void cache_go(void *arg);

/* ---- indexes ---- */
struct emit {
	struct index *index;
	const struct obj *o;
	bool add;
};

static void index_apply(void *arg, const char *value)
{
	const struct emit *x = arg;
	struct keymap *keys = keymap_get(&x->index->values, value);

	if (x->add) {
		if (!keys) {
			keys = MEM_NEW(struct keymap);
			keymap_put(&x->index->values, value, keys);
		}
		keymap_put(keys, obj_key(x->o), (void *)x->o);
		return;
	}
	if (!keys)
		return; /* the same value emitted twice */
	keymap_take(keys, obj_key(x->o));
	if (keys->len)
		return;
	keymap_take(&x->index->values, value);
	keymap_done(keys, NULL);
	free(keys);
}

static void indexes_apply(struct cache *c, const struct obj *o, bool add)
{
	for (size_t i = 0; i < c->n_indexes; i++) {
		struct emit x = { .index = &c->indexes[i], .o = o, .add = add };

		c->indexes[i].fn(o, index_apply, &x);
	}
}

static void keys_free(void *p)
{
	keymap_done(p, NULL);
	free(p);
}

void index_by_owner_uid(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	JSON_EACH (it, json_get(meta_of(obj_json(o)), "ownerReferences"))
		if (json_get_str(it.val, "uid"))
			emit(emit_arg, json_get_str(it.val, "uid"));
}

void index_by_namespace(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	emit(emit_arg, obj_namespace(o));
}

/* ---- changes ---- */
static void tell(struct cache *c, const struct obj *old, const struct obj *new)
{
	for (size_t i = 0; i < c->n_handlers; i++)
		c->handlers[i].fn(c->handlers[i].arg, old, new);
}

static void cache_remove(struct cache *c, const char *key)
{
	CLEANUP(obj_unrefp) struct obj *old = keymap_get(&c->objs, key);

	if (!old)
		return;
	indexes_apply(c, old, false);
	keymap_take(&c->objs, key);
	tell(c, old, NULL);
}

static void cache_put(struct cache *c, const struct obj *o)
{
	CLEANUP(obj_unrefp) struct obj *old = NULL;
	const struct obj *had = keymap_get(&c->objs, obj_key(o));

	if (had && obj_rv(had) == obj_rv(o) && str_eq(obj_uid(had), obj_uid(o)))
		return;
	/* Another object of the same name: whoever cares for the first one has to hear of its end. */
	if (had && !str_eq(obj_uid(had), obj_uid(o)))
		cache_remove(c, obj_key(o));
	old = keymap_put(&c->objs, obj_key(o), obj_ref(o));
	if (old)
		indexes_apply(c, old, false);
	indexes_apply(c, o, true);
	if (!loop_timer_armed(c->squeeze))
		loop_timer_set(c->squeeze, CACHE_SQUEEZE_MS);
	tell(c, old, o);
}

/* Between two turns nobody holds a tree (cache.h). */
static void cache_squeeze(void *arg)
{
	const struct cache *c = arg;

	for (size_t i = 0; i < c->objs.len; i++) {
		const struct obj *o = c->objs.items[i].val;

		obj_text(o, NULL);
		obj_compact(o);
	}
	malloc_trim(0);
}

static void cache_move(struct cache *c, uint64_t rv)
{
	c->rv = rv;
	for (size_t i = 0; i < c->n_moved; i++)
		c->on_moved[i].fn(c->on_moved[i].arg);
}

static void cache_replace(struct cache *c, struct obj *const *items, size_t n)
{
	struct keymap fresh = { 0 };
	CLEANUP(strv_done) struct strv gone = { 0 };

	for (size_t i = 0; i < n; i++)
		keymap_put(&fresh, obj_key(items[i]), items[i]);
	for (size_t i = 0; i < c->objs.len; i++)
		if (!keymap_get(&fresh, c->objs.items[i].key))
			strv_add(&gone, c->objs.items[i].key);
	for (size_t i = 0; i < gone.len; i++)
		cache_remove(c, gone.items[i]);
	for (size_t i = 0; i < fresh.len; i++)
		cache_put(c, fresh.items[i].val);
	keymap_done(&fresh, NULL);
}

/* ---- list and watch ---- */
static void cache_retry(struct cache *c, const struct err *e)
{
	int64_t wait = CACHE_RETRY_MIN_MS;

	c->failures++;
	if (c->failures == CACHE_FAILURES_LOGGED)
		log_warn("watching %s: %s; trying on", c->kind->plural, e ? e->msg : "ended at once");
	else
		log_debug("watching %s: %s", c->kind->plural, e ? e->msg : "ended at once");
	for (int i = 1; i < c->failures && wait < CACHE_RETRY_MAX_MS; i++)
		wait *= 2;
	if (wait > CACHE_RETRY_MAX_MS)
		wait = CACHE_RETRY_MAX_MS;
	if (c->failures > 1)
		wait -= (int64_t)(kube_client_random(c->client) % (uint64_t)(wait / 4));
	loop_timer_set(c->timer, wait);
}

static void watch_event(void *arg, enum kube_event type, const struct obj *o)
{
	struct cache *c = arg;

	/* Events come in order, so one that is not newer has been here before. */
	if (obj_rv(o) <= c->rv)
		return;
	c->failures = 0;
	if (type == KUBE_DELETED)
		cache_remove(c, obj_key(o));
	else if (type != KUBE_BOOKMARK)
		cache_put(c, o);
	cache_move(c, obj_rv(o));
}

static void watch_ended(void *arg, const struct err *e)
{
	struct cache *c = arg;
	bool good = loop_mono_ms(kube_client_loop(c->client)) - c->watch_since >= CACHE_WATCH_GOOD_MS;

	c->call = NULL;
	if (good)
		c->failures = 0;
	if (e && e->code == ERR_EXPIRED) {
		c->must_list = true;
		if (c->failures++ == 0) {
			loop_timer_set(c->timer, 0);
			return;
		}
	}
	if (e || !good)
		cache_retry(c, e);
	else
		loop_timer_set(c->timer, 0);
}

static void listed(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct cache *c = arg;
	bool first = !c->synced;

	c->call = NULL;
	if (e) {
		cache_retry(c, e);
		return;
	}
	c->must_list = false;
	cache_replace(c, items, n);
	c->synced = true;
	cache_move(c, rv);
	for (size_t i = 0; first && i < c->n_synced; i++)
		c->on_synced[i].fn(c->on_synced[i].arg);
	loop_timer_set(c->timer, 0);
}

static void cache_go(void *arg)
{
	struct cache *c = arg;
	static const struct kube_watch_ops ops = { .event = watch_event, .ended = watch_ended };
	struct kube_list_opts o = { .ns = c->ns,
		.label_selector = c->label_selector,
		.field_selector = c->field_selector,
		.limit = CACHE_PAGE,
		.any_version = !c->synced };

	MUST(!c->call);
	if (c->must_list) {
		c->call = kube_list(c->client, c->kind, &o, listed, c);
		return;
	}
	c->watch_since = loop_mono_ms(kube_client_loop(c->client));
	c->call = kube_watch(c->client, c->kind, &o, c->rv, &ops, c);
}

/* ---- the outside ---- */
struct cache *cache_new(struct kube_client *client, const struct kind *k, const struct cache_opts *o)
{
	struct cache *c = MEM_NEW(struct cache);
	struct err e = { 0 };

	c->client = client;
	c->kind = k;
	c->must_list = true;
	c->timer = loop_timer_new(kube_client_loop(client), cache_go, c);
	c->squeeze = loop_timer_new(kube_client_loop(client), cache_squeeze, c);
	if (!o)
		return c;
	c->ns = o->ns ? mem_strdup(o->ns) : NULL;
	c->label_selector = o->label_selector ? mem_strdup(o->label_selector) : NULL;
	c->field_selector = o->field_selector ? mem_strdup(o->field_selector) : NULL;
	/* Selectors are written by us; the server refuses a bad one too, in words. */
	if (c->label_selector && selector_parse_labels(c->label_selector, &c->labels, &e) < 0)
		c->bad_selector = true;
	if (c->field_selector && field_selector_parse(c->field_selector, &c->fields, &e) < 0)
		c->bad_selector = true;
	return c;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	kube_call_cancel(c->call);
	loop_timer_free(c->timer);
	loop_timer_free(c->squeeze);
	for (size_t i = 0; i < c->n_indexes; i++)
		keymap_done(&c->indexes[i].values, keys_free);
	for (size_t i = 0; i < c->objs.len; i++)
		obj_unref(c->objs.items[i].val);
	keymap_done(&c->objs, NULL);
	free(c->indexes);
	free(c->handlers);
	free(c->on_synced);
	free(c->on_moved);
	selector_free(c->labels);
	field_selector_free(c->fields);
	free(c->ns);
	free(c->label_selector);
	free(c->field_selector);
	free(c);
}

const struct kind *cache_kind(const struct cache *c)
{
	return c->kind;
}

void cache_on_change(struct cache *c, cache_fn *fn, void *arg)
{
	c->handlers = mem_grow(c->handlers, &c->cap_handlers, c->n_handlers + 1, sizeof(c->handlers[0]));
	c->handlers[c->n_handlers++] = (struct handler){ fn, arg };
}

void cache_on_synced(struct cache *c, loop_fn *fn, void *arg)
{
	if (c->synced) {
		loop_later(kube_client_loop(c->client), fn, arg);
		return;
	}
	c->on_synced = mem_grow(c->on_synced, &c->cap_synced, c->n_synced + 1, sizeof(c->on_synced[0]));
	c->on_synced[c->n_synced++] = (struct listener){ fn, arg };
}

void cache_on_moved(struct cache *c, loop_fn *fn, void *arg)
{
	c->on_moved = mem_grow(c->on_moved, &c->cap_moved, c->n_moved + 1, sizeof(c->on_moved[0]));
	c->on_moved[c->n_moved++] = (struct listener){ fn, arg };
}

void cache_start(struct cache *c)
{
	if (c->started)
		return;
	c->started = true;
	loop_timer_set(c->timer, 0);
}

void cache_relist(struct cache *c)
{
	if (!c->started || (c->must_list && c->call))
		return;
	kube_call_cancel(TAKE(c->call));
	c->must_list = true;
	loop_timer_set(c->timer, 0);
}

bool cache_synced(const struct cache *c)
{
	return c->synced;
}

uint64_t cache_rv(const struct cache *c)
{
	return c->rv;
}

bool cache_covers(const struct cache *c, const struct obj *o)
{
	const struct json *v = obj_json(o);

	if (c->bad_selector || (!str_empty(c->ns) && !str_eq(c->ns, obj_namespace(o))))
		return false;
	return (!c->labels || selector_matches(c->labels, json_get(meta_of(v), "labels"))) &&
	       (!c->fields || field_selector_matches(c->fields, v));
}

const struct obj *cache_get(const struct cache *c, const char *key)
{
	return keymap_get(&c->objs, key);
}

size_t cache_len(const struct cache *c)
{
	return c->objs.len;
}

const struct obj *cache_at(const struct cache *c, size_t i)
{
	return i < c->objs.len ? c->objs.items[i].val : NULL;
}

int cache_add_index(struct cache *c, index_fn *fn)
{
	MUST(!c->started);
	c->indexes = mem_grow(c->indexes, &c->cap_indexes, c->n_indexes + 1, sizeof(c->indexes[0]));
	c->indexes[c->n_indexes] = (struct index){ .fn = fn };
	return (int)c->n_indexes++;
}

size_t cache_indexes(const struct cache *c)
{
	return c->n_indexes;
}

static const struct keymap *index_keys(const struct cache *c, int index, const char *value)
{
	MUST(index >= 0 && (size_t)index < c->n_indexes);
	return keymap_get(&c->indexes[index].values, value);
}

size_t cache_index_len(const struct cache *c, int index, const char *value)
{
	const struct keymap *keys = index_keys(c, index, value);

	return keys ? keys->len : 0;
}

const struct obj *cache_index_at(const struct cache *c, int index, const char *value, size_t i)
{
	const struct keymap *keys = index_keys(c, index, value);

	return keys && i < keys->len ? keys->items[i].val : NULL;
}
