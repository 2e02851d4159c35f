/* SPDX-License-Identifier: Apache-2.0 */
/* store/store.h - where objects are kept: keys, values and one revision counter (kubernetes-api.md 7). The interface of three
 * implementations: SQLite, memory, etcd (etcd's is shared: other processes write to it too). A store knows nothing of what the
 * values are.
 *
 * Promises: a write that was acknowledged is there after any crash; revisions only grow and are never given twice;
 * writes are acknowledged in the order of their revisions. The caller keeps everything in memory and reads the store once, at
 * start. Loop thread only; what blocks happens on the store's own threads. */
#pragma once

#include "base/err.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX 1024
#define STORE_COMPACT_EVERY_MS (5 * 60 * 1000)
#define STORE_HISTORY_MIN 1000 /* changes kept whatever their age */

struct store;

struct store_row {
	const char *key;
	uint64_t rev; /* of its last change */
	const char *value;
	size_t len;
};
/* One change of the history. It tells the value *before*; the value after it is what the next change of the same key calls
 * old, or the row as it stands: each value is kept once. */
struct store_change {
	uint64_t rev, prev_rev; /* prev_rev 0: the key was created */
	const char *key;
	bool deleted;
	const char *old; /* NULL: created */
	size_t old_len;
};
struct store_load_ops {
	int (*row)(void *arg, const struct store_row *r, struct err *e); /* by key */
	int (*change)(
		void *arg, const struct store_change *c, struct err *e); /* newest first, after all rows */
};
/* Reads everything there is. Once, before the first write. An error of a callback stops it. */
int store_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* Or what stands alone: the history may be long, and nobody waits for it. *ret_more: there is some, for store_load_past();
 * a store that can not read it later tells it at once. */
int store_load_rows(
	struct store *s, const struct store_load_ops *ops, void *arg, bool *ret_more, struct err *e);
/* The next `max` changes of the history, while others write. ret->since: every change after this has been told by now. A
 * compaction ends it: what was not told by then is too old. */
struct store_past {
	uint64_t since;
	bool more;
};
int store_load_past(struct store *s, size_t max, const struct store_load_ops *ops, void *arg,
	struct store_past *ret, struct err *e);

uint64_t store_revision(const struct store *s);  /* of the newest acknowledged change */
uint64_t store_compacted(const struct store *s); /* the history holds every change after this */
/* The revision the next store_write() gets; 0 where it is only known when acknowledged, because others write too. */
uint64_t store_next(const struct store *s);
static inline bool store_shared(const struct store *s)
{
	return store_next(s) == 0;
}

/* Called once per write, from the loop, never from within store_write(). e NULL: it is durable. ERR_CONFLICT: the key is not at
 * the expected revision. ERR_INTERNAL: it could not be written (disk full): nothing changed. */
typedef void store_done_fn(void *arg, uint64_t rev, const struct err *e);
struct store_write {
	const char *key;   /* copied */
	const char *value; /* NULL: delete */
	size_t len;
	uint64_t
		expect; /* revision the key has now; 0: there is no such key. Earlier queued writes count as done (a shared
	store has at most one write of a key under way) */
	store_done_fn *done;
	void *arg;
};
/* The value is copied. */
void store_write(struct store *s, const struct store_write *w);

/* What others have written to a shared store, after the load: each change once, in the order of revisions, and in that order
 * with the done() of our own writes. A write that is refused for a change of another is told so after that change. */
struct store_event {
	const char *key;
	uint64_t rev;
	const char *value; /* NULL: deleted. Borrowed for the call */
	size_t len;
};
struct store_follow_ops {
	void (*change)(void *arg, const struct store_event *ev);
	/* We were cut off for so long that changes were missed: now the state as it is comes as rows, by key, then over(): what
	 * had no row is gone. store_revision() is that of the state. */
	void (*row)(void *arg, const struct store_row *r);
	void (*over)(void *arg);
};
void store_follow(struct store *s, const struct store_follow_ops *ops, void *arg); /* ops: static */
/* Calls back when everything that anybody was acknowledged before this call has been told; e: it could not be found out
 * (ERR_TIMEOUT). NULL: it is so already, and there is no call. */
struct store_wait;
typedef void store_sync_fn(void *arg, const struct err *e);
struct store_wait *store_sync(struct store *s, store_sync_fn *fn, void *arg);
void store_sync_cancel(struct store *s, struct store_wait *w); /* NULL is fine */
/* Drops history older than the newest STORE_HISTORY_MIN changes and than `before` (a revision). Happens by itself every
 * STORE_COMPACT_EVERY_MS for what is older than that; this is for tests. */
void store_compact(struct store *s, uint64_t before);
/* NULL if writes work, else why the last one failed. */
const struct err *store_trouble(const struct store *s);
/* Makes what is queued durable, then closes. Callbacks not yet made are dropped. NULL is fine. */
void store_free(struct store *s);

/* path is made if absent (0600). ERR_UNAVAILABLE if another process has it open. */
struct store *store_sqlite_open(struct loop *l, const char *path, struct err *e);
struct store *store_mem_new(struct loop *l);
/* Keys that begin with `own` are kept under `prefix`; others are not ours to keep. Runs the loop until a member answers. */
struct store_etcd_spec {
	const char *endpoints;                   /* "https://HOST:PORT,..." */
	const char *ca_pem, *cert_pem, *key_pem; /* NULL for http, or without client certificate */
	const char *own, *prefix;                /* "/registry" */
	const char *id; /* of this server among those of one prefix, the same after a restart; NULL: random */
	int compact_every_ms; /* 0: STORE_COMPACT_EVERY_MS */
};
struct store *store_etcd_open(struct loop *l, const struct store_etcd_spec *spec, struct err *e);

/* What the programs' --store options say. */
struct store_choice {
	const char *store;                          /* "sqlite", "mem", "etcd:ENDPOINTS"; NULL: sqlite */
	const char *etcd_ca, *etcd_cert, *etcd_key; /* files */
	const char *etcd_prefix;                    /* NULL: /registry */
};
struct store *store_open(struct loop *l, const char *data_dir, const struct store_choice *c, struct err *e);

/* ---- for implementations ---- */
struct store_ops {
	/* without past: the changes too */
	int (*load)(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
	int (*past)(struct store *s, size_t max, const struct store_load_ops *ops, void *arg,
		struct store_past *ret, struct err *e);
	void (*write)(struct store *s, const struct store_write *w);
	void (*compact)(struct store *s, uint64_t before);
	void (*free)(struct store *s);
	/* shared stores */
	struct store_wait *(*sync)(struct store *s, store_sync_fn *fn, void *arg);
	void (*sync_cancel)(struct store *s, struct store_wait *w);
};
struct store {
	const struct store_ops *ops;
	const struct store_follow_ops *follow; /* NULL: nobody listens */
	void *follow_arg;
	uint64_t revision, compacted, next;
	struct err trouble;
};
