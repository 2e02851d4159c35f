/* SPDX-License-Identifier: Apache-2.0 */
/* platform/objects/objects.h - every object of the server: one bucket per resource in memory, filled from the store at start,
 * and the way of a write into the store and back. Reads never touch the store; a write is seen by later writes at once, by
 * readers and watchers when it is durable. Who may write what, and what is made of it before, is not known here.
 *
 * Loop thread only. */
#pragma once

#include "base/loop.h"
#include "platform/kinds/registry.h"
#include "platform/objects/bucket.h"
#include "store/store.h"

/* Smaller collections keep the trees of their objects until they are tidied up. */
#define OBJECTS_COMPACT_FROM 512
#define OBJECTS_WAIT_MS 3000 /* kubernetes-api.md 2.6: a list at a future revision */

/* What the owner is told, or asked. */
struct objects_ops {
	void (*changed)(void *arg); /* something did: housekeeping is due some time */
	void (*renewed)(void *arg); /* everything is about to be read anew: watches have to begin again */
	/* Is the row, under a key of the store, no object but the owner's? value NULL: it goes, or only the question. */
	bool (*foreign)(void *arg, const char *store_key, const char *value, size_t len);
};
struct objects {
	struct loop *loop; /* these three are the owner's, and outlive it */
	struct store *store;
	struct registry *registry;
	unsigned commits; /* queued in the store */
	bool stopping;    /* set by the owner: nothing more is written that nobody asked for */
	/* private */
	struct bucket **buckets; /* by storage */
	size_t n_buckets, cap_buckets;
	struct commit *pending; /* those of a shared store */
	uint64_t tokens_given;
	struct rev_wait *waits;
	struct reset *reset; /* everything is being read anew */
	struct past *past;   /* the history that is not read yet (load.c); NULL: it is */
	const struct objects_ops *ops;
	void *arg;
};
struct objects *objects_new(
	struct loop *l, struct store *store, struct registry *g, const struct objects_ops *ops, void *arg);
void objects_free(struct objects *s);   /* NULL is fine */
void objects_follow(struct objects *s); /* takes what other servers write; before objects_load() */
/* What stands; the history comes later, by itself. */
int objects_load(struct objects *s, struct err *e);
/* Before the history is looked at: has it reach back to rev, if there is so much. Not while anybody walks over it. */
void objects_need_past(struct objects *s, uint64_t rev);
/* Forgets old history, drops parsed trees; between two turns. True: more will be due later. */
bool objects_tidy(struct objects *s, int64_t now_mono);

/* ---- reading (objects.c) ---- */
struct bucket *objects_bucket(struct objects *s, const char *storage); /* made if absent */
struct bucket *objects_bucket_of(struct objects *s, struct resource *r);
const struct bucket *objects_bucket_known(const struct objects *s, const char *storage); /* or NULL */
void objects_end_watches(struct objects *s, const char *storage); /* the resource is no longer served */
/* Shorthand for lookups: the object as acknowledged. */
const struct obj *objects_get(const struct objects *s, const char *storage, const char *key);
uint64_t objects_revision(const struct objects *s);
/* A deleted object as watchers see it: the last state, with the revision of its deletion. */
struct obj *objects_last_state(const struct obj *old, uint64_t rev);

/* ---- committing (commit.c) ---- */
typedef void commit_fn(void *arg, const struct obj *o, const struct err *e);
/* Queues the draft (taken) as the new state of key, which is at revision `expect` now (bucket_latest()). done() comes after
 * memory and watchers have it, with the stored object. */
void objects_put(struct objects *s, struct bucket *b, struct json_doc *draft, uint64_t expect,
	commit_fn *done, void *arg);
/* Removes; done() gets the last state, with the deletion's revision. */
void objects_remove(struct objects *s, struct bucket *b, const struct obj *old, commit_fn *done, void *arg);
/* apiVersion, kind, metadata first: lists cut the first two off by that. */
void objects_normalize(struct json_doc *d);
/* Makes an object of the server's own unless it exists (queued counts). doc: whole object, taken. */
void objects_make(struct objects *s, const char *group, const char *plural, struct json_doc *doc);
/* For write_env.get; write_env.arg is the objects. */
const struct obj *objects_env_get(
	const struct write_env *env, const char *group, const char *plural, const char *key);

/* ---- waiting (waits.c). Each fn is called once, in a later turn; the handle is to cancel with ---- */
typedef void rev_wait_fn(void *arg, bool reached);
/* True when the revision has been reached, false after OBJECTS_WAIT_MS. */
struct rev_wait *objects_wait_revision(struct objects *s, uint64_t rev, rev_wait_fn *fn, void *arg);
/* Of a store that other servers write to, too (store.h), revisions of writes under way are not known: bucket_latest() gives a
 * token instead, good for objects_put() alone. What needs the object as it will be stored waits for the key: true when its
 * present write is settled. */
struct rev_wait *objects_wait_key(
	struct objects *s, struct bucket *b, const char *key, rev_wait_fn *fn, void *arg);
bool objects_pending(const struct objects *s, const struct bucket *b, const char *key);
/* False after a while. */
struct rev_wait *objects_wait_pause(struct objects *s, int64_t ms, rev_wait_fn *fn, void *arg);
/* True when memory has everything acknowledged by any server before this call; false: it could not be found out. NULL, and no
 * call: it is always so. */
struct rev_wait *objects_wait_sync(struct objects *s, rev_wait_fn *fn, void *arg);
void objects_wait_cancel(struct rev_wait *w); /* NULL is fine */
