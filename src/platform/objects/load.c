/* SPDX-License-Identifier: Apache-2.0 */
/* What a store has, brought to memory. What stands comes first, and then the server is ready; the history follows bit by bit,
 * newest first, or as far back as somebody asks for: watches go on from where they were, mostly a moment ago. */
#include "base/log.h"
#include "base/mem.h"
#include "platform/codec/value.h"
#include "platform/objects/objects_impl.h"
#include "store/revs.h"

#include <string.h>

#define PAST_DELAY_MS 200 /* who starts with the server has it to himself */
#define PAST_PIECE 16     /* changes between two looks at the clock */
#define PAST_SLICE_MS 1

/* The oldest version of a key that was read so far; NULL: at that time there was none. */
struct tail {
	struct obj *obj;
};
struct past {
	struct objects *s;
	struct loop_timer *timer;
	uint64_t from; /* revision everything was read at */
	uint64_t since;
	int64_t at_ms;
	struct tail *tails;
	size_t n_tails, cap_tails;
	struct revs *tail_of; /* store key to place in tails + 1 */
	struct str text;
};

static int load_row(void *arg, const struct store_row *r, struct err *e)
{
	struct past *l = arg;
	const char *key;
	struct bucket *b;
	CLEANUP(obj_unrefp) struct obj *o = NULL;

	if (l->s->ops->foreign(l->s->arg, r->key, r->value, r->len))
		return 0;
	b = objects_bucket_of_key(l->s, r->key, &key);
	if (!b)
		return err_set(e, ERR_INTERNAL, "the store has a key '%s' that is no object's", r->key);
	o = objects_from_value(r->value, r->len, r->rev, e);
	if (!o)
		return err_wrap(e, "object '%s' in the store", r->key);
	obj_compact(o);
	bucket_load(b, o);
	return 0;
}

/* ---- the history ---- */
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
	struct past *l, const struct store_change *c, const struct obj *newer, struct err *e)
{
	struct obj_facts f;
	struct obj *o = NULL;

	str_clear(&l->text);
	value_with_rv(c->old, c->old_len, c->prev_rev, &l->text);
	if (newer && facts_of(&l->text, &f))
		o = obj_older(newer, l->text.data, l->text.len, c->prev_rev, &f);
	return o ? o : obj_from_text(l->text.data, l->text.len, e);
}

/* The object as it was when everything was read: writes may have gone on since. */
static const struct obj *state_then(const struct past *l, const struct bucket *b, const char *key)
{
	const struct obj *o = bucket_get(b, key);
	const struct bucket_change *c;

	if (o && obj_rv(o) <= l->from)
		return o;
	for (size_t i = bucket_change_seek(b, l->from); (c = bucket_change_at(b, i)); i++)
		if (str_eq(obj_key(c->obj), key))
			return c->old;
	return NULL;
}

static struct tail *tail_of(
	struct past *l, const struct store_change *c, const struct bucket *b, const char *key)
{
	size_t at = (size_t)revs_get(l->tail_of, c->key);

	if (!at) {
		l->tails = mem_grow(l->tails, &l->cap_tails, l->n_tails + 1, sizeof(*l->tails));
		l->tails[l->n_tails++].obj = obj_ref(state_then(l, b, key));
		revs_set(l->tail_of, c->key, at = l->n_tails);
	}
	return &l->tails[at - 1];
}

/* Every value is read once: what a change made of its key is what the next one calls old, or stands still. It is packed at
 * once, as it would be without a restart. */
static int load_change(void *arg, const struct store_change *c, struct err *e)
{
	struct past *l = arg;
	const char *key;
	struct bucket *b;
	struct tail *t;
	CLEANUP(obj_unrefp) struct obj *now = NULL;
	CLEANUP(obj_unrefp) struct obj *old = NULL;

	if (l->s->ops->foreign(l->s->arg, c->key, NULL, 0))
		return 0;
	b = objects_bucket_of_key(l->s, c->key, &key);
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
	if (now && now != bucket_get(b, key)) /* the tree of what stands may be in use */
		obj_compact(now);
	obj_unref(t->obj);
	t->obj = obj_ref(old);
	if (now)
		bucket_load_change(b, c->rev, old, now, c->deleted, l->at_ms);
	return 0;
}

static void past_free(struct past *l)
{
	for (size_t i = 0; i < l->n_tails; i++) {
		if (l->tails[i].obj)
			obj_compact(l->tails[i].obj);
		obj_unref(l->tails[i].obj);
	}
	loop_timer_free(l->timer);
	free(l->tails);
	revs_free(l->tail_of);
	str_done(&l->text);
	free(l);
}

void objects_drop_past(struct objects *s)
{
	if (s->past)
		past_free(TAKE(s->past));
}

static void reach_back(struct objects *s, uint64_t since)
{
	for (size_t i = 0; i < s->n_buckets; i++)
		bucket_set_since(s->buckets[i], since);
}

static const struct store_load_ops load_ops = { load_row, load_change };

/* As far back as rev, or until the time is over. */
static void read_past(struct objects *s, uint64_t rev, int64_t until_ms)
{
	struct store_past got = { .since = s->past->since, .more = true };
	struct err e = { 0 };

	while (got.more && got.since > rev && (until_ms < 0 || loop_mono_ms(s->loop) < until_ms))
		if (store_load_past(s->store, PAST_PIECE, &load_ops, s->past, &got, &e) < 0) {
			log_error("apiserver: history before revision %llu: %s",
				(unsigned long long)got.since, e.msg);
			got.more = false;
		}
	s->past->since = got.since;
	reach_back(s, got.since);
	if (!got.more || !got.since) /* nothing has been written yet, or nothing was before that */
		objects_drop_past(s);
}

static void past_due(void *arg)
{
	struct objects *s = arg;

	read_past(s, 0, loop_mono_ms(s->loop) + PAST_SLICE_MS);
	if (s->past)
		loop_timer_set(s->past->timer, 0);
}

void objects_need_past(struct objects *s, uint64_t rev)
{
	if (s->past && s->past->since > rev)
		read_past(s, rev, -1);
}

uint64_t objects_since(const struct objects *s)
{
	return s->past ? s->past->since : store_compacted(s->store);
}

int objects_load(struct objects *s, struct err *e)
{
	struct past *l = MEM_NEW(struct past);
	bool more = false;

	*l = (struct past){ .s = s, .tail_of = revs_new(), .at_ms = loop_mono_ms(s->loop) };
	l->timer = loop_timer_new(s->loop, past_due, s);
	l->from = UINT64_MAX; /* nothing is written before this has returned */
	if (store_load_rows(s->store, &load_ops, l, &more, e) < 0) {
		past_free(l);
		return -1;
	}
	if (!more) {
		past_free(l);
		reach_back(s, store_compacted(s->store));
		return 0;
	}
	s->past = l;
	l->from = l->since = store_revision(s->store);
	reach_back(s, l->since);
	loop_timer_set(l->timer, PAST_DELAY_MS);
	return 0;
}
