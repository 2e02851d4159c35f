/* SPDX-License-Identifier: Apache-2.0 */
/* The objects in memory: one bucket per resource, filled from the store at start. */
#include "platform/objects/objects.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/codec/value.h"
#include "platform/objects/objects_impl.h"
#include "store/revs.h"

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
	bucket_set_since(s->buckets[at], store_compacted(s->store));
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
static struct bucket *bucket_of_key(struct objects *s, const char *store_key, const char **ret_key)
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

/* ---- loading ---- */
struct past_change {
	struct bucket *bucket;
	uint64_t rev;
	struct obj *old, *obj; /* obj NULL: not known */
	bool deleted;
};
/* The oldest version of a key that was read so far; NULL: at that time there was none. */
struct tail {
	struct obj *obj;
};
struct load {
	struct objects *s;
	struct past_change *changes; /* newest first */
	size_t n, cap;
	struct tail *tails;
	size_t n_tails, cap_tails;
	struct revs *tail_of; /* store key to place in tails + 1 */
	struct str text;
};

static struct obj *object_of(const char *value, size_t len, uint64_t rev, struct err *e)
{
	CLEANUP(str_done) struct str text = { 0 };

	value_with_rv(value, len, rev, &text);
	return obj_from_text(text.data, text.len, e);
}

static int load_row(void *arg, const struct store_row *r, struct err *e)
{
	struct load *l = arg;
	const char *key;
	struct bucket *b;
	CLEANUP(obj_unrefp) struct obj *o = NULL;

	if (l->s->ops->foreign(l->s->arg, r->key, r->value, r->len))
		return 0;
	b = bucket_of_key(l->s, r->key, &key);
	if (!b)
		return err_set(e, ERR_INTERNAL, "the store has a key '%s' that is no object's", r->key);
	o = object_of(r->value, r->len, r->rev, e);
	if (!o)
		return err_wrap(e, "object '%s' in the store", r->key);
	obj_compact(o);
	bucket_load(b, o);
	return 0;
}

struct obj *objects_last_state(const struct obj *old, uint64_t rev)
{
	struct json_doc *d = obj_draft(old);

	json_set_strf(d, json_need_obj(d, json_root(d), "metadata"), "resourceVersion", "%llu",
		(unsigned long long)rev);
	return obj_from_doc(d);
}

/* Histories are long, and old versions are mostly there to be packed away: no tree is made of them. */
static bool facts_of(const struct str *text, struct obj_facts *f)
{
	size_t len, uid_len;
	const char *uid = value_member_of(text->data, text->len, "metadata", "uid", &uid_len);
	const char *gen = value_member_of(text->data, text->len, "metadata", "generation", &len);
	CLEANUP(mem_freep) char *number = gen ? mem_strndup(gen, len) : NULL;

	if (!uid || uid_len < 2 || *uid != '"' || memchr(uid, '\\', uid_len))
		return false;
	*f = (struct obj_facts){ .uid = uid + 1, .uid_len = uid_len - 2 };
	if (gen && !str_to_i64(number, INT64_MIN, INT64_MAX, &f->generation))
		return false;
	gen = value_member_of(text->data, text->len, "metadata", "deletionTimestamp", &len);
	f->deleting = gen && *gen != 'n'; /* null */
	return true;
}

static struct obj *old_version(
	struct load *l, const struct store_change *c, const struct obj *newer, struct err *e)
{
	struct obj_facts f;
	struct obj *o = NULL;

	str_clear(&l->text);
	value_with_rv(c->old, c->old_len, c->prev_rev, &l->text);
	if (newer && facts_of(&l->text, &f))
		o = obj_older(newer, l->text.data, l->text.len, c->prev_rev, &f);
	return o ? o : obj_from_text(l->text.data, l->text.len, e);
}

static struct tail *tail_of(struct load *l, const struct store_change *c, struct bucket *b, const char *key)
{
	size_t at = (size_t)revs_get(l->tail_of, c->key);

	if (!at) {
		l->tails = mem_grow(l->tails, &l->cap_tails, l->n_tails + 1, sizeof(*l->tails));
		l->tails[l->n_tails++].obj = obj_ref(bucket_get(b, key));
		revs_set(l->tail_of, c->key, at = l->n_tails);
	}
	return &l->tails[at - 1];
}

/* Every value is read once: what a change made of its key is what the next one calls old, or stands still. It is packed at
 * once, as it would be without a restart. */
static int load_change(void *arg, const struct store_change *c, struct err *e)
{
	struct load *l = arg;
	struct past_change *p;
	const char *key;
	struct bucket *b;
	struct tail *t;
	CLEANUP(obj_unrefp) struct obj *now = NULL;
	CLEANUP(obj_unrefp) struct obj *old = NULL;

	if (l->s->ops->foreign(l->s->arg, c->key, NULL, 0))
		return 0;
	b = bucket_of_key(l->s, c->key, &key);
	if (!b)
		return err_set(e, ERR_INTERNAL, "the history has a key '%s' that is no object's", c->key);
	t = tail_of(l, c, b, key);
	if (t->obj && !c->deleted && obj_rv(t->obj) == c->rev)
		now = obj_ref(t->obj);
	if (c->old && !(old = old_version(l, c, now, e)))
		return err_wrap(e, "old value of '%s' in the store", c->key);
	if (c->deleted && old)
		now = objects_last_state(old, c->rev);
	if (now && old)
		obj_pack_older(old, now);
	if (now)
		obj_compact(now);
	obj_unref(t->obj);
	t->obj = obj_ref(old);
	if (!now)
		return 0;
	l->changes = mem_grow(l->changes, &l->cap, l->n + 1, sizeof(*l->changes));
	p = &l->changes[l->n++];
	*p = (struct past_change){ b, c->rev, TAKE(old), TAKE(now), c->deleted };
	return 0;
}

static void load_history(struct load *l, int64_t now)
{
	for (size_t i = l->n; i-- > 0;) {
		const struct past_change *c = &l->changes[i];

		bucket_load_change(c->bucket, c->rev, c->old, c->obj, c->deleted, now);
	}
}

static void load_done(struct load *l)
{
	for (size_t i = 0; i < l->n_tails; i++) {
		if (l->tails[i].obj)
			obj_compact(l->tails[i].obj);
		obj_unref(l->tails[i].obj);
	}
	for (size_t i = 0; i < l->n; i++) {
		obj_unref(l->changes[i].old);
		obj_unref(l->changes[i].obj);
	}
	free(l->tails);
	free(l->changes);
	revs_free(l->tail_of);
	str_done(&l->text);
}

int objects_load(struct objects *s, struct err *e)
{
	static const struct store_load_ops ops = { load_row, load_change };
	struct load l = { .s = s, .tail_of = revs_new() };
	int ret = store_load(s->store, &ops, &l, e);

	if (ret == 0)
		load_history(&l, loop_mono_ms(s->loop));
	load_done(&l);
	return ret;
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
	b = bucket_of_key(s, ev->key, &key);
	if (!b) {
		log_warn("apiserver: the store has a key '%s' that is no object's", ev->key);
		return;
	}
	old = bucket_get(b, key);
	if (ev->value) {
		o = object_of(ev->value, ev->len, ev->rev, &e);
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
	if (s->ops->foreign(s->arg, r->key, r->value, r->len) || !(b = bucket_of_key(s, r->key, &key)))
		return;
	o = object_of(r->value, r->len, r->rev, &e);
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

	for (size_t i = 0; i < s->n_buckets; i++) {
		struct bucket *b = s->buckets[i];

		bucket_forget(b, now);
		if (!always_needed(b))
			bucket_compact(b); /* between two turns nobody holds a tree */
		again |= bucket_change_at(b, BUCKET_HISTORY_MIN) != NULL;
	}
	return again;
}
