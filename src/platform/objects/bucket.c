/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/objects/bucket.h"

#include "base/mem.h"
#include "platform/objects/watchers.h"
#include "store/revs.h"

#include <string.h>

#define SAMPLE_USES 1000    /* objects of a kind change with time */
#define HISTORY_UNPACKED 64 /* newest changes: writers and watchers have just to do with those */

struct queued {
	char *key;
	const struct obj *obj; /* NULL: deletion */
	uint64_t rev;
	unsigned writes; /* queued for this key */
};
struct bucket {
	char *storage;
	const struct obj **objs; /* by key */
	size_t n, cap;
	struct queued *queue; /* in no order */
	size_t n_queue, cap_queue;
	struct revs *queued;           /* key to place in queue + 1 */
	struct bucket_change *history; /* a slice of a growing array: first..first+n */
	size_t first, n_history, cap_history;
	uint64_t since;
	const struct obj *sample; /* a deleted one, to tell others by what differs from it */
	unsigned sample_uses;
	bool unpacked; /* more of the history than its end may have texts or trees */
	struct watchers *watchers;
};

struct bucket *bucket_new(const char *storage)
{
	struct bucket *b = MEM_NEW(struct bucket);

	b->storage = mem_strdup(storage);
	b->watchers = watchers_new();
	b->queued = revs_new();
	return b;
}

static void change_done(struct bucket_change *c)
{
	obj_unref(c->old);
	obj_unref(c->obj);
}

void bucket_end_watches(struct bucket *b)
{
	struct bucket_watch *w;

	while ((w = watchers_any(b->watchers))) {
		bucket_watch_remove(w);
		w->gone(w);
	}
}

void bucket_free(struct bucket *b)
{
	if (!b)
		return;
	bucket_end_watches(b);
	watchers_free(b->watchers);
	for (size_t i = 0; i < b->n; i++)
		obj_unref(b->objs[i]);
	for (size_t i = 0; i < b->n_history; i++)
		change_done(&b->history[b->first + i]);
	for (size_t i = 0; i < b->n_queue; i++) {
		free(b->queue[i].key);
		obj_unref(b->queue[i].obj);
	}
	obj_unref(b->sample);
	free(b->objs);
	free(b->history);
	free(b->queue);
	revs_free(b->queued);
	free(b->storage);
	free(b);
}

const char *bucket_storage(const struct bucket *b)
{
	return b->storage;
}

/* ---- the map ---- */
size_t bucket_seek(const struct bucket *b, const char *key)
{
	size_t lo = 0, hi = b->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(obj_key(b->objs[mid]), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool at_key(const struct bucket *b, size_t i, const char *key)
{
	return i < b->n && str_eq(obj_key(b->objs[i]), key);
}

const struct obj *bucket_get(const struct bucket *b, const char *key)
{
	size_t i = bucket_seek(b, key);

	return at_key(b, i, key) ? b->objs[i] : NULL;
}

size_t bucket_len(const struct bucket *b)
{
	return b->n;
}

const struct obj *bucket_at(const struct bucket *b, size_t i)
{
	return i < b->n ? b->objs[i] : NULL;
}

static void map_insert(struct bucket *b, size_t i, const struct obj *o)
{
	b->objs = mem_grow(b->objs, &b->cap, b->n + 1, sizeof(*b->objs));
	memmove(&b->objs[i + 1], &b->objs[i], (b->n - i) * sizeof(*b->objs));
	b->objs[i] = obj_ref(o);
	b->n++;
}

/* ---- queued writes ---- */
static struct queued *queue_find(const struct bucket *b, const char *key)
{
	uint64_t at = revs_get(b->queued, key);

	return at ? &b->queue[at - 1] : NULL;
}

const struct obj *bucket_latest(const struct bucket *b, const char *key, uint64_t *ret_rev)
{
	const struct queued *q = b->n_queue > 0 ? queue_find(b, key) : NULL;
	const struct obj *o = q ? q->obj : bucket_get(b, key);

	*ret_rev = !o ? 0 : q ? q->rev : obj_rv(o);
	return o;
}

bool bucket_is_queued(const struct bucket *b, const char *key)
{
	return b->n_queue > 0 && queue_find(b, key);
}

void bucket_queue(struct bucket *b, const char *key, const struct obj *o, uint64_t rev)
{
	struct queued *q = queue_find(b, key);

	if (!q) {
		b->queue = mem_grow(b->queue, &b->cap_queue, b->n_queue + 1, sizeof(*b->queue));
		q = &b->queue[b->n_queue++];
		*q = (struct queued){ .key = mem_strdup(key) };
		revs_set(b->queued, key, b->n_queue);
	}
	obj_ref(o);
	obj_unref(q->obj);
	q->obj = o;
	q->rev = rev;
	q->writes++;
}

void bucket_settle(struct bucket *b, const char *key)
{
	struct queued *q = queue_find(b, key);

	if (!q || --q->writes > 0)
		return;
	obj_unref(q->obj);
	revs_set(b->queued, q->key, 0);
	free(q->key);
	*q = b->queue[--b->n_queue];
	if (q != &b->queue[b->n_queue])
		revs_set(b->queued, q->key, (uint64_t)(q - b->queue) + 1);
}

/* ---- history ---- */
static void history_make_room(struct bucket *b)
{
	if (b->first + b->n_history < b->cap_history)
		return;
	if (b->first > 0 && b->first >= b->n_history) {
		memcpy(b->history, b->history + b->first, b->n_history * sizeof(*b->history));
		b->first = 0;
		return;
	}
	b->history = mem_grow(b->history, &b->cap_history, b->first + b->n_history + 1, sizeof(*b->history));
}

static struct bucket_change *history_add(struct bucket *b, const struct bucket_change *c)
{
	struct bucket_change *to;

	history_make_room(b);
	to = &b->history[b->first + b->n_history++];
	*to = *c;
	obj_ref(to->old);
	obj_ref(to->obj);
	return to;
}

/* The last state of what is gone: no later version will tell it, but others of its kind look alike. */
static void last_pack(struct bucket *b, const struct obj *o)
{
	if (o == b->sample)
		return;
	if (!b->sample || b->sample_uses == SAMPLE_USES) {
		obj_unref(b->sample);
		b->sample = obj_ref(o);
		b->sample_uses = 0;
		obj_be_base(o);
		obj_compact(o);
		return;
	}
	b->sample_uses++;
	if (!obj_pack(o, b->sample, 1))
		b->unpacked = true;
}

/* The value before a change, by what differs from the value after it. It is the value after an earlier change
 * too, if that is still here. */
static void history_pack(struct bucket *b, size_t i)
{
	const struct bucket_change *c = &b->history[b->first + i], *made;
	unsigned owners = 1;

	if (!c->old) {
		obj_compact(c->obj);
		return;
	}
	made = bucket_change_at(b, bucket_change_seek(b, obj_rv(c->old) - 1));
	if (made && made->obj == c->old)
		owners++;
	if (!obj_pack(c->old, c->obj, owners))
		b->unpacked = true;
	if (c->type == BUCKET_DELETED)
		last_pack(b, c->obj);
}

/* As each change comes: the one that is old enough by now for nobody to work on its values. */
static void history_pack_next(struct bucket *b)
{
	if (b->n_history > HISTORY_UNPACKED)
		history_pack(b, b->n_history - 1 - HISTORY_UNPACKED);
}

void bucket_forget(struct bucket *b, int64_t now_ms)
{
	while (b->n_history > BUCKET_HISTORY_MIN && b->history[b->first].at_ms < now_ms - BUCKET_HISTORY_MS) {
		struct bucket_change *c = &b->history[b->first++];

		b->n_history--;
		b->since = c->rev;
		change_done(c);
	}
}

void bucket_forget_all(struct bucket *b, uint64_t rev)
{
	while (b->n_history > 0) {
		struct bucket_change *c = &b->history[b->first++];

		b->n_history--;
		change_done(c);
	}
	b->since = rev;
}

uint64_t bucket_since(const struct bucket *b)
{
	return b->since;
}

void bucket_set_since(struct bucket *b, uint64_t rev)
{
	b->since = rev;
}

size_t bucket_change_seek(const struct bucket *b, uint64_t rev)
{
	size_t lo = 0, hi = b->n_history;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (b->history[b->first + mid].rev <= rev)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct bucket_change *bucket_change_at(const struct bucket *b, size_t i)
{
	return i < b->n_history ? &b->history[b->first + i] : NULL;
}

/* ---- changes ---- */
void bucket_put(struct bucket *b, const struct obj *o, uint64_t rev, int64_t now_ms)
{
	size_t i = bucket_seek(b, obj_key(o));
	bool found = at_key(b, i, obj_key(o));
	struct bucket_change c = { .rev = rev,
		.type = found ? BUCKET_MODIFIED : BUCKET_ADDED,
		.old = found ? b->objs[i] : NULL,
		.obj = o,
		.at_ms = now_ms };

	history_add(b, &c);
	if (found) {
		obj_unref(b->objs[i]); /* the history holds it */
		b->objs[i] = obj_ref(o);
	} else {
		map_insert(b, i, o);
	}
	watchers_tell(b->watchers, obj_key(c.obj), &c);
	history_pack_next(b);
	bucket_forget(b, now_ms);
}

void bucket_remove(struct bucket *b, const struct obj *last, uint64_t rev, int64_t now_ms)
{
	size_t i = bucket_seek(b, obj_key(last));
	struct bucket_change c = { .rev = rev, .type = BUCKET_DELETED, .obj = last, .at_ms = now_ms };

	if (!at_key(b, i, obj_key(last)))
		return;
	c.old = b->objs[i];
	history_add(b, &c);
	obj_unref(b->objs[i]);
	b->n--;
	memmove(&b->objs[i], &b->objs[i + 1], (b->n - i) * sizeof(*b->objs));
	watchers_tell(b->watchers, obj_key(c.obj), &c);
	history_pack_next(b);
	bucket_forget(b, now_ms);
}

void bucket_load(struct bucket *b, const struct obj *o)
{
	map_insert(b, bucket_seek(b, obj_key(o)), o);
}

/* As much room before the first as there is in use. */
static void history_make_front(struct bucket *b)
{
	size_t room = b->n_history + HISTORY_UNPACKED;
	struct bucket_change *list;

	if (b->first > 0)
		return;
	list = mem_alloc((room + b->cap_history) * sizeof(*list));
	if (b->n_history > 0)
		memcpy(list + room, b->history, b->n_history * sizeof(*list));
	free(b->history);
	b->history = list;
	b->first = room;
	b->cap_history += room;
}

void bucket_load_change(struct bucket *b, uint64_t rev, const struct obj *old, const struct obj *o,
	bool deleted, int64_t now_ms)
{
	struct bucket_change c = { .rev = rev, .old = old, .obj = o, .at_ms = now_ms };

	c.type = deleted ? BUCKET_DELETED : old ? BUCKET_MODIFIED : BUCKET_ADDED;
	history_make_front(b);
	obj_ref(old);
	obj_ref(o);
	b->history[--b->first] = c;
	b->n_history++;
	b->unpacked |= deleted; /* its last state is told by another one's, when somebody tidies up */
}

void bucket_replace(struct bucket *b, size_t i, struct obj *o)
{
	obj_unref(b->objs[i]);
	b->objs[i] = o;
}

void bucket_change_seen(struct bucket *b, size_t i)
{
	const struct bucket_change *c = &b->history[b->first + i];

	if (i + HISTORY_UNPACKED >= b->n_history)
		return;
	obj_compact(c->obj);
	if (c->old)
		obj_compact(c->old);
}

void bucket_compact(struct bucket *b)
{
	size_t whole = b->n_history < HISTORY_UNPACKED ? b->n_history : HISTORY_UNPACKED;
	size_t packed = b->n_history - whole, i = b->unpacked ? 0 : packed;

	for (size_t k = 0; k < b->n; k++)
		obj_compact(b->objs[k]);
	b->unpacked = false;
	for (; i < b->n_history; i++) {
		const struct bucket_change *c = &b->history[b->first + i];

		if (i < packed) {
			history_pack(b, i);
			continue;
		}
		obj_compact(c->obj);
		if (c->old)
			obj_compact(c->old);
	}
}

/* ---- the past: undo what happened since ---- */
struct past {
	const char *key;
	const struct obj *then; /* NULL: it did not exist */
};

static int past_cmp(const void *a, const void *b)
{
	return strcmp(((const struct past *)a)->key, ((const struct past *)b)->key);
}

/* What the keys changed since rev were at rev: the old value of the first change of each. */
static struct past *past_collect(const struct bucket *b, uint64_t rev, size_t *ret_n)
{
	size_t from = bucket_change_seek(b, rev), n = 0, kept = 0;
	struct past *list = mem_alloc((b->n_history - from + 1) * sizeof(*list)), *sorted;

	for (size_t i = from; i < b->n_history; i++) {
		const struct bucket_change *c = &b->history[b->first + i];

		list[n].key = obj_key(c->obj);
		list[n++].then = c->old;
	}
	if (n == 0) {
		*ret_n = 0;
		return list;
	}
	sorted = mem_dup(list, n * sizeof(*list));
	qsort(sorted, n, sizeof(*sorted), past_cmp);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && str_eq(sorted[kept - 1].key, sorted[i].key))
			continue;
		sorted[kept++] = sorted[i];
	}
	for (size_t i = n; i-- > 0;) {
		struct past *p = bsearch(&list[i], sorted, kept, sizeof(*sorted), past_cmp);

		p->then = list[i].then; /* the oldest is assigned last */
	}
	free(list);
	*ret_n = kept;
	return sorted;
}

void bucket_each_at(
	struct bucket *b, uint64_t rev, const char *from, const char *prefix, bucket_each_fn *fn, void *arg)
{
	size_t n_past, p = 0, i = bucket_seek(b, from);
	struct past *past = past_collect(b, rev, &n_past);

	b->unpacked = true; /* by whoever looks at them */

	while (p < n_past && strcmp(past[p].key, from) < 0)
		p++;
	for (;;) {
		const struct obj *o = bucket_at(b, i);
		int cmp = !o ? 1 : p >= n_past ? -1 : strcmp(obj_key(o), past[p].key);

		if (!o && p >= n_past)
			break;
		if (cmp >= 0)
			o = past[p++].then;
		if (cmp <= 0)
			i++;
		if (!o)
			continue;
		if (!str_starts(obj_key(o), prefix) || !fn(arg, o))
			break;
	}
	free(past);
}

/* ---- watchers ---- */
void bucket_watch_add(struct bucket *b, struct bucket_watch *w, const char *scope)
{
	watchers_add(b->watchers, w, scope);
}

void bucket_watch_remove(struct bucket_watch *w)
{
	watchers_remove(w);
}

size_t bucket_watches(const struct bucket *b)
{
	return watchers_len(b->watchers);
}
