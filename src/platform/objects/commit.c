/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a write into the store and back: queued with its revision, seen by later writes at once, by readers and watchers
 * only when it is durable. */
#include "platform/objects/objects_impl.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/codec/value.h"

#include <string.h>

struct commit {
	struct objects *s;
	struct bucket *bucket;
	struct obj *obj; /* in a shared store without a revision until it is acknowledged */
	bool removal;
	commit_fn *done;
	void *arg;
	/* shared stores: one write of a key at a time, the next one waits */
	uint64_t token, expect;
	struct commit *follower;
	struct commit *next, **prev;
};

/* What stands for the revision of a write under way where the store gives revisions only with the acknowledgement. */
#define TOKEN (1ULL << 63)

/* Members in the order apiVersion, kind, metadata, rest. */
void objects_normalize(struct json_doc *d)
{
	static const char *const first[] = { "apiVersion", "kind", "metadata" };
	struct json *root = json_root(d), *ordered;
	size_t i = 0;
	bool fine = true;

	JSON_EACH (it, root) {
		if (i < ARRAY_LEN(first) && !str_eq(it.key, first[i]))
			fine = false;
		if (++i == ARRAY_LEN(first))
			break;
	}
	if (fine && i == ARRAY_LEN(first))
		return;
	ordered = json_new_obj(d);
	for (i = 0; i < ARRAY_LEN(first); i++)
		json_set(d, ordered, first[i], json_new_null(d));
	for (struct json_iter it = json_iter(root); json_next(&it);) {
		const char *key = it.key;
		struct json *v = it.val;

		json_iter_remove(&it);
		json_set(d, ordered, key, v);
	}
	json_set_root(d, ordered);
}

/* Known to everybody from here on; or refused. */
static void commit_end(struct commit *c, uint64_t rev, const struct err *e)
{
	struct objects *s = c->s;
	int64_t now = loop_mono_ms(s->loop);

	s->commits--;
	bucket_settle(c->bucket, obj_key(c->obj));
	if (!e && c->removal)
		bucket_remove(c->bucket, c->obj, rev, now);
	else if (!e)
		bucket_put(c->bucket, c->obj, rev, now);
	if (c->done)
		c->done(c->arg, e ? NULL : c->obj, e);
	else if (e && !(e->code == ERR_CONFLICT && store_shared(s->store))) /* another server was faster */
		log_error("apiserver: %s '%s': %s", bucket_storage(c->bucket), obj_key(c->obj), e->msg);
	if (!e)
		objects_wake_waits(s);
	s->ops->changed(s->arg);
	if (bucket_len(c->bucket) >= OBJECTS_COMPACT_FROM)
		obj_compact(c->obj);
}

static void commit_done(void *arg, uint64_t rev, const struct err *e)
{
	struct commit *c = arg;

	commit_end(c, rev, e);
	obj_unref(c->obj);
	free(c);
}

static void commit_write(struct commit *c, uint64_t expect, store_done_fn *done)
{
	CLEANUP(str_done) struct str key = { 0 }, value = { 0 };
	const char *text;
	size_t len;

	objects_store_key(c->bucket, obj_key(c->obj), &key);
	if (!c->removal) {
		text = obj_text(c->obj, &len);
		value_without_rv(text, len, &value);
	}
	store_write(c->s->store, &(struct store_write){ .key = key.data,
					 .value = c->removal ? NULL : value.data,
					 .len = value.len,
					 .expect = expect,
					 .done = done,
					 .arg = c });
}

/* ---- a store that others write to, too ---- */
static struct obj *with_revision(const struct commit *c, uint64_t rev)
{
	CLEANUP(str_done) struct str bare = { 0 }, text = { 0 };
	const char *old;
	struct obj *o;
	size_t len;

	if (c->removal)
		return objects_last_state(c->obj, rev);
	old = obj_text(c->obj, &len);
	value_without_rv(old, len, &bare);
	value_with_rv(bare.data, bare.len, rev, &text);
	o = obj_from_text(text.data, text.len, NULL);
	MUST(o);
	return o;
}

/* What was made on the ground of the write that came to this: it goes on, or has lost its ground. */
static struct commit *release_follower(struct commit *c, uint64_t rev, bool failed)
{
	struct commit *f = c->follower;

	if (!f)
		return NULL;
	if (!failed && (f->expect == c->token || (f->expect == 0 && c->removal)))
		f->expect = c->removal ? 0 : rev;
	else
		return f;
	return NULL;
}

static void shared_done(void *arg, uint64_t rev, const struct err *e)
{
	struct commit *c = arg, *lost, *follower;
	CLEANUP(mem_freep) char *key = mem_strdup(obj_key(c->obj));
	struct objects *s = c->s;
	struct err conflict = { 0 };

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	if (!e) {
		struct obj *o = with_revision(c, rev);

		obj_unref(c->obj);
		c->obj = o;
	}
	follower = c->follower;
	lost = release_follower(c, rev, e != NULL);
	commit_end(c, rev, e);
	objects_wake_key(s, c->bucket, key);
	if (lost) {
		err_set(&conflict, ERR_CONFLICT, "what the write builds on was refused");
		shared_done(lost, 0, &conflict);
	} else if (follower) {
		commit_write(follower, follower->expect, shared_done);
	}
	obj_unref(c->obj);
	free(c);
}

void objects_forget_pending(struct objects *s)
{
	while (s->pending) {
		struct commit *c = s->pending;

		s->pending = c->next;
		obj_unref(c->obj);
		free(c);
	}
}

static struct commit *last_of_key(const struct commit *c)
{
	struct commit *p = c->s->pending;

	while (p && (p->follower || p->bucket != c->bucket || !str_eq(obj_key(p->obj), obj_key(c->obj))))
		p = p->next;
	return p;
}

static void shared_start(struct commit *c)
{
	struct commit *before = last_of_key(c);

	c->next = c->s->pending;
	c->prev = &c->s->pending;
	if (c->next)
		c->next->prev = &c->next;
	c->s->pending = c;
	if (before)
		before->follower = c;
	else
		commit_write(c, c->expect, shared_done);
}

static void commit_start(struct objects *s, struct bucket *b, struct obj *o, bool removal, uint64_t rev,
	uint64_t expect, commit_fn *done, void *arg)
{
	struct commit *c = MEM_NEW(struct commit);

	*c = (struct commit){ .s = s, .bucket = b, .obj = o, .removal = removal, .done = done, .arg = arg };
	c->expect = expect;
	c->token = store_shared(s->store) ? TOKEN | ++s->tokens_given : 0;
	bucket_queue(b, obj_key(o), removal ? NULL : o, c->token ? c->token : rev);
	s->commits++;
	if (c->token)
		shared_start(c);
	else
		commit_write(c, expect, commit_done);
}

void objects_put(struct objects *s, struct bucket *b, struct json_doc *draft, uint64_t expect,
	commit_fn *done, void *arg)
{
	uint64_t rev = store_next(s->store);

	if (rev)
		json_set_strf(draft, json_need_obj(draft, json_root(draft), "metadata"), "resourceVersion",
			"%llu", (unsigned long long)rev);
	else
		json_remove(json_need_obj(draft, json_root(draft), "metadata"), "resourceVersion");
	objects_normalize(draft);
	commit_start(s, b, obj_from_doc(draft), false, rev, expect, done, arg);
}

void objects_remove(struct objects *s, struct bucket *b, const struct obj *old, commit_fn *done, void *arg)
{
	uint64_t rev = store_next(s->store), expect;

	if (bucket_latest(b, obj_key(old), &expect) != old)
		expect = obj_rv(old);
	commit_start(s, b, rev ? objects_last_state(old, rev) : obj_ref(old), true, rev, expect, done, arg);
}

const struct obj *objects_env_get(
	const struct write_env *env, const char *group, const char *plural, const char *key)
{
	struct objects *s = env->arg;
	struct resource *res = registry_storage(s->registry, group, plural);
	uint64_t rev;

	return res ? bucket_latest(objects_bucket_of(s, res), key, &rev) : NULL;
}

void objects_make(struct objects *s, const char *group, const char *plural, struct json_doc *doc)
{
	CLEANUP(json_doc_freep) struct json_doc *d = doc;
	CLEANUP(json_doc_freep)
	struct json_doc *status = NULL; /* which a create drops, but this one is ours */
	struct resource *res = registry_storage(s->registry, group, plural);
	struct json *meta = json_need_obj(d, json_root(d), "metadata");
	struct causes c = { 0 };
	struct err e = { 0 };
	char uid[37], suffix[6] = "xxxxx";
	uint64_t rev;
	CLEANUP(mem_freep) char *key = NULL;
	struct write_env env = {
		.now_ms = loop_wall_ms(s->loop), .sub = "", .get = objects_env_get, .arg = s
	};
	struct create_in in = { .ns = json_get_str(meta, "namespace"),
		.uid = uid,
		.suffix5 = suffix,
		.now_ms = loop_wall_ms(s->loop) };

	MUST(res);
	key = kind_key(in.ns, json_get_str(meta, "name"));
	if (bucket_latest(objects_bucket_of(s, res), key, &rev))
		return;
	crypto_uuid(uid);
	status = json_doc_from(json_get(json_root(d), "status"));
	schema_default(resource_schema(res), d, json_root(d));
	if (res->def->hooks.deflt)
		res->def->hooks.deflt(d, json_root(d));
	if (write_create(&res->rules, &in, d, &c, &e) < 0 ||
		(res->def->hooks.prepare && res->def->hooks.prepare(&env, d, json_root(d), NULL, &e) < 0)) {
		log_error("apiserver: make %s '%s': %s", plural, key, e.msg);
	} else {
		if (json_len(json_root(status)) > 0)
			json_set_copy(d, json_root(d), "status", json_root(status));
		objects_put(s, objects_bucket_of(s, res), TAKE(d), 0, NULL, NULL);
	}
	causes_done(&c);
}
