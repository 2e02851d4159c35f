/* SPDX-License-Identifier: Apache-2.0 */
/* The objects in memory: one bucket per resource, filled from the store at start. */
#include "platform/objects/objects.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/codec/value.h"
#include "platform/objects/objects_impl.h"

#include <string.h>

#define KEY_PREFIX "/registry/"

/* ---- buckets ---- */
static size_t bucket_place(const struct objects *s, const char *storage, bool *ret_found)
{
	size_t lo = 0, hi = s->n_buckets;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(bucket_storage(s->buckets[mid]), storage);

		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct bucket *objects_bucket(struct objects *s, const char *storage)
{
	bool found;
	size_t at = bucket_place(s, storage, &found);

	if (found)
		return s->buckets[at];
	s->buckets = mem_grow(s->buckets, &s->cap_buckets, s->n_buckets + 1, sizeof(*s->buckets));
	memmove(&s->buckets[at + 1], &s->buckets[at], (s->n_buckets - at) * sizeof(*s->buckets));
	s->n_buckets++;
	s->buckets[at] = bucket_new(storage);
	bucket_set_since(s->buckets[at], objects_since(s));
	return s->buckets[at];
}

struct bucket *objects_bucket_of(struct objects *s, struct resource *r)
{
	if (!r->bucket)
		r->bucket = objects_bucket(s, r->storage);
	return r->bucket;
}

/* The bucket itself stays: writes on their way and the history still stand on it, and the resource may come back. */
void objects_end_watches(struct objects *s, const char *storage)
{
	bool found;
	size_t at = bucket_place(s, storage, &found);

	if (found)
		bucket_end_watches(s->buckets[at]);
}

const struct bucket *objects_bucket_known(const struct objects *s, const char *storage)
{
	bool found;
	size_t at = bucket_place(s, storage, &found);

	return found ? s->buckets[at] : NULL;
}

const struct obj *objects_get(const struct objects *s, const char *storage, const char *key)
{
	const struct bucket *b = objects_bucket_known(s, storage);

	return b ? bucket_get(b, key) : NULL;
}

uint64_t objects_revision(const struct objects *s)
{
	return store_revision(s->store);
}

/* ---- keys of the store ---- */
void objects_store_key(const struct bucket *b, const char *key, struct str *out)
{
	str_add(out, KEY_PREFIX);
	str_add(out, bucket_storage(b));
	str_addc(out, '/');
	str_add(out, key);
}

/* A bucket is named "plural" or "group/plural" (custom resources always the latter, their groups have a dot). */
struct bucket *objects_bucket_of_key(struct objects *s, const char *store_key, const char **ret_key)
{
	const char *p = store_key + strlen(KEY_PREFIX);
	const char *slash = strchr(p, '/'), *second = slash ? strchr(slash + 1, '/') : NULL;
	CLEANUP(mem_freep) char *one = NULL;
	CLEANUP(mem_freep) char *two = NULL;
	bool found = false;

	if (!str_starts(store_key, KEY_PREFIX) || !slash)
		return NULL;
	one = mem_strndup(p, (size_t)(slash - p));
	bucket_place(s, one, &found);
	if (found || !second) {
		*ret_key = slash + 1;
		return objects_bucket(s, one);
	}
	two = mem_strndup(p, (size_t)(second - p));
	*ret_key = second + 1;
	return objects_bucket(s, two);
}

struct obj *objects_from_value(const char *value, size_t len, uint64_t rev, struct err *e)
{
	CLEANUP(str_done) struct str text = { 0 };

	value_with_rv(value, len, rev, &text);
	return obj_from_text(text.data, text.len, e);
}

struct obj *objects_last_state(const struct obj *old, uint64_t rev)
{
	struct json_doc *d = obj_draft(old);

	json_set_strf(d, json_need_obj(d, json_root(d), "metadata"), "resourceVersion", "%llu",
		(unsigned long long)rev);
	return obj_from_doc(d);
}

/* ---- what other servers write ---- */
static void publish(struct objects *s, struct bucket *b, struct obj *o, uint64_t rev)
{
	bucket_put(b, o, rev, loop_mono_ms(s->loop));
	if (bucket_len(b) >= OBJECTS_COMPACT_FROM)
		obj_compact(o);
}

static void publish_removal(struct objects *s, struct bucket *b, const struct obj *old, uint64_t rev)
{
	CLEANUP(obj_unrefp) struct obj *last = objects_last_state(old, rev);

	bucket_remove(b, last, rev, loop_mono_ms(s->loop));
}

static void other_changed(void *arg, const struct store_event *ev)
{
	struct objects *s = arg;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	const struct obj *old;
	const char *key;
	struct bucket *b;
	struct err e = { 0 };

	if (s->ops->foreign(s->arg, ev->key, ev->value, ev->len))
		return;
	b = objects_bucket_of_key(s, ev->key, &key);
	if (!b) {
		log_warn("apiserver: the store has a key '%s' that is no object's", ev->key);
		return;
	}
	old = bucket_get(b, key);
	if (ev->value) {
		o = objects_from_value(ev->value, ev->len, ev->rev, &e);
		if (!o) {
			log_error("apiserver: '%s' as another server wrote it: %s", ev->key, e.msg);
			return;
		}
		publish(s, b, o, ev->rev);
	} else if (old) {
		publish_removal(s, b, old, ev->rev);
	}
	objects_wake_waits(s);
	s->ops->changed(s->arg);
}

/* Everything anew: what is different is published as if it had just happened; clients begin again. */
struct reset_row {
	struct bucket *bucket;
	struct obj *obj;
};
struct reset {
	struct reset_row *rows;
	size_t n, cap;
};

static void reset_row(void *arg, const struct store_row *r)
{
	struct objects *s = arg;
	const char *key;
	struct bucket *b;
	struct obj *o;
	struct err e = { 0 };

	if (!s->reset)
		s->reset = MEM_NEW(struct reset);
	if (s->ops->foreign(s->arg, r->key, r->value, r->len) ||
		!(b = objects_bucket_of_key(s, r->key, &key)))
		return;
	o = objects_from_value(r->value, r->len, r->rev, &e);
	if (!o) {
		log_error("apiserver: '%s' as the store has it: %s", r->key, e.msg);
		return;
	}
	obj_compact(o);
	s->reset->rows = mem_grow(s->reset->rows, &s->reset->cap, s->reset->n + 1, sizeof(*s->reset->rows));
	s->reset->rows[s->reset->n++] = (struct reset_row){ b, o };
}

static int by_bucket_and_key(const void *a, const void *b)
{
	const struct reset_row *x = a, *y = b;

	if (x->bucket != y->bucket)
		return strcmp(bucket_storage(x->bucket), bucket_storage(y->bucket));
	return strcmp(obj_key(x->obj), obj_key(y->obj));
}

static int by_revision(const void *a, const void *b)
{
	uint64_t x = obj_rv(((const struct reset_row *)a)->obj),
		 y = obj_rv(((const struct reset_row *)b)->obj);

	return x < y ? -1 : x > y;
}

static void reset_removals(struct objects *s, struct bucket *b, uint64_t rev)
{
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(b, i));) {
		struct reset_row want = { b, (struct obj *)o };

		if (bsearch(&want, s->reset->rows, s->reset->n, sizeof(want), by_bucket_and_key))
			i++;
		else
			publish_removal(s, b, o, rev);
	}
}

static void reset_over(void *arg)
{
	struct objects *s = arg;
	struct reset *r = s->reset ? s->reset : MEM_NEW(struct reset);
	uint64_t rev = objects_revision(s);

	s->reset = r;
	s->ops->renewed(s->arg);
	if (r->n > 0)
		qsort(r->rows, r->n, sizeof(*r->rows), by_bucket_and_key);
	for (size_t i = 0; i < s->n_buckets; i++)
		reset_removals(s, s->buckets[i], rev);
	if (r->n > 0)
		qsort(r->rows, r->n, sizeof(*r->rows), by_revision);
	for (size_t i = 0; i < r->n; i++) {
		const struct obj *now = bucket_get(r->rows[i].bucket, obj_key(r->rows[i].obj));

		if (!now || obj_rv(now) != obj_rv(r->rows[i].obj))
			publish(s, r->rows[i].bucket, r->rows[i].obj, obj_rv(r->rows[i].obj));
		obj_unref(r->rows[i].obj);
	}
	for (size_t i = 0; i < s->n_buckets; i++)
		bucket_forget_all(s->buckets[i], rev);
	free(r->rows);
	free(r);
	s->reset = NULL;
	objects_wake_waits(s);
	s->ops->changed(s->arg);
}

void objects_follow(struct objects *s)
{
	static const struct store_follow_ops ops = { other_changed, reset_row, reset_over };

	store_follow(s->store, &ops, s);
}

/* ---- life ---- */
struct objects *objects_new(
	struct loop *l, struct store *store, struct registry *g, const struct objects_ops *ops, void *arg)
{
	struct objects *s = MEM_NEW(struct objects);

	*s = (struct objects){ .loop = l, .store = store, .registry = g, .ops = ops, .arg = arg };
	return s;
}

void objects_free(struct objects *s)
{
	if (!s)
		return;
	objects_drop_past(s);
	for (size_t i = 0; i < s->n_buckets; i++)
		bucket_free(s->buckets[i]);
	free(s->buckets);
	objects_forget_pending(s);
	free(s);
}

/* What every request looks at: rules, webhooks, namespaces. Their trees stay, if they are not too many. */
static bool always_needed(const struct bucket *b)
{
	const char *storage = bucket_storage(b);

	return bucket_len(b) < OBJECTS_COMPACT_FROM &&
	       (str_starts(storage, "rbac.authorization.k8s.io/") ||
		       str_starts(storage, "admissionregistration.k8s.io/") || str_eq(storage, "namespaces"));
}

bool objects_tidy(struct objects *s, int64_t now)
{
	bool again = false;

	objects_need_past(s, 0); /* what is forgotten below is not read afterwards */
	for (size_t i = 0; i < s->n_buckets; i++) {
		struct bucket *b = s->buckets[i];

		bucket_forget(b, now);
		if (!always_needed(b))
			bucket_compact(b); /* between two turns nobody holds a tree */
		again |= bucket_change_at(b, BUCKET_HISTORY_MIN) != NULL;
	}
	return again;
}
