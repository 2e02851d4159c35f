/* SPDX-License-Identifier: Apache-2.0 */
/* platform/objects/bucket.h - all objects of one resource in memory: an ordered map of shared objects, what is
 * queued to be written, the recent history, and the watchers (kubernetes-api.md 7.1). Reads never touch the
 * store.
 *
 * Only acknowledged writes are in the map and the history; queued ones are seen by bucket_latest() alone, for
 * the writes that build on them. Versions of a resource share a bucket. */
#pragma once

#include "api/obj.h"
#include "base/loop.h"

#define BUCKET_HISTORY_MS (5 * 60 * 1000) /* changes younger than this are always there */
#define BUCKET_HISTORY_MIN 100            /* and this many, whatever their age */

struct bucket;
struct bucket *bucket_new(const char *storage);
void bucket_free(struct bucket *b); /* ends the watches: gone() */
const char *bucket_storage(const struct bucket *b);

/* ---- reading; keys are "ns/name" or "name", in byte order ---- */
const struct obj *bucket_get(const struct bucket *b, const char *key);
size_t bucket_len(const struct bucket *b);
const struct obj *bucket_at(const struct bucket *b, size_t i);
/* First index whose key is not before `key`. */
size_t bucket_seek(const struct bucket *b, const char *key);
/* The object after all queued writes; *ret_rev its revision (0: there is none). */
const struct obj *bucket_latest(const struct bucket *b, const char *key, uint64_t *ret_rev);
/* A write of this key is queued. */
bool bucket_is_queued(const struct bucket *b, const char *key);

/* ---- writing ---- */
/* A write is queued in the store; o NULL: deletion. Each is settled once, in order. */
void bucket_queue(struct bucket *b, const char *key, const struct obj *o, uint64_t rev);
void bucket_settle(struct bucket *b, const char *key);
/* The write is durable: map, history, watchers. A deletion passes the last state with the deletion's revision in
 * it. */
void bucket_put(struct bucket *b, const struct obj *o, uint64_t rev, int64_t now_ms);
void bucket_remove(struct bucket *b, const struct obj *last, uint64_t rev, int64_t now_ms);
/* At start: an object as stored; and the changes of the past, newest first, also when later ones are there by now. They tell
 * nobody. Whoever has told all says how far they reach, by bucket_set_since(). */
void bucket_load(struct bucket *b, const struct obj *o);
void bucket_load_change(struct bucket *b, uint64_t rev, const struct obj *old, const struct obj *o,
	bool deleted, int64_t now_ms);
/* In place, without a change of revision (defaults of a changed schema). */
void bucket_replace(struct bucket *b, size_t i, struct obj *o /* taken */);

/* ---- history: but for the newest, old values are kept as what differs from the next one (obj_pack()) ---- */
enum bucket_change_type { BUCKET_ADDED, BUCKET_MODIFIED, BUCKET_DELETED };
struct bucket_change {
	uint64_t rev;
	enum bucket_change_type type;
	const struct obj *old; /* NULL: added */
	const struct obj *obj; /* DELETED: last state with the revision of the deletion */
	int64_t at_ms;
};
/* History holds every change after this. */
uint64_t bucket_since(const struct bucket *b);
void bucket_set_since(struct bucket *b, uint64_t rev);
void bucket_forget_all(struct bucket *b, uint64_t rev); /* no history: it begins after rev */
/* Index of the first change after rev. */
size_t bucket_change_seek(const struct bucket *b, uint64_t rev);
const struct bucket_change *bucket_change_at(const struct bucket *b, size_t i); /* NULL at the end */
/* Its values are not looked at any more: whoever reads a long history says so of each change, to keep it small. */
void bucket_change_seen(struct bucket *b, size_t i);
void bucket_forget(struct bucket *b, int64_t now_ms); /* drops what is old; rarely needed: writes do it too */
/* Drops parsed trees, and the texts of the history but for what differs from one version to the next. Between
 * two turns. */
void bucket_compact(struct bucket *b);

/* The objects in [from, to) by key as they were at revision rev (>= bucket_since()). fn false: stop. */
typedef bool bucket_each_fn(void *arg, const struct obj *o);
void bucket_each_at(
	struct bucket *b, uint64_t rev, const char *from, const char *prefix, bucket_each_fn *fn, void *arg);

/* ---- watchers ---- */
struct bucket_watch {
	void *arg;                                                             /* the owner's */
	void (*change)(struct bucket_watch *w, const struct bucket_change *c); /* may remove itself */
	void (*gone)(struct bucket_watch *w); /* the bucket ends; the watch is removed already */
	struct bucket_watch *next, **prev;    /* private */
	struct watch_scope *scope;            /* NULL once removed */
};
/* scope: of which keys it is told: "" all, "ns/" those of a namespace, or one whole key. */
void bucket_watch_add(struct bucket *b, struct bucket_watch *w, const char *scope);
void bucket_watch_remove(struct bucket_watch *w);
void bucket_end_watches(struct bucket *b); /* gone() for each */
size_t bucket_watches(const struct bucket *b);
