/* SPDX-License-Identifier: Apache-2.0 */
/* store/store_etcd.h - the inside of the store on etcd: store_etcd.c (writes, the order of things, failures), store_etcd_load.c
 * (start, catching up after a gap), store_etcd_compact.c. docs/decisions/0013-etcd-store.md says why it is as it is. */
#pragma once

#include "base/mem.h"
#include "store/etcd_grpc.h"
#include "store/etcd_link.h"
#include "store/etcd_proto.h"
#include "store/store.h"

#define ETCD_TICK_MS 200
/* A member that says nothing for the first is asked something; if it keeps silent for the second, it is left. Together with
 * the tick and a new connection less than the 2 s that watches may be interrupted. */
#define ETCD_QUIET_MS 400
#define ETCD_SILENT_MS 800
#define ETCD_ANSWER_MAX_MS 4000 /* a call that takes longer: another member may be better off */
#define ETCD_WRITE_MAX_MS 30000 /* a write; clients give up after 34 s (kubernetes-api.md 2.5) */
#define ETCD_SYNC_MAX_MS 10000
#define ETCD_OUTAGE_MS 3000 /* without a member that long: store_trouble() */
#define ETCD_OPEN_MAX_MS 15000
#define ETCD_LOAD_MAX_MS 120000
#define ETCD_CLOSE_MAX_MS 5000
#define ETCD_SPACE_EVERY_MS 2000 /* is there room again? */
#define ETCD_HISTORY_MAX 10000   /* revisions of the past read at start */
#define ETCD_HISTORY_MAX_MS 10000
#define ETCD_PAGE_FIRST 32 /* keys asked for at once; then as many as make about ... */
#define ETCD_PAGE_BYTES (8 * 1024 * 1024)
#define ETCD_PAGE_MAX 5000
#define ETCD_BUCKETS 1024

#define ETCD_TXN "/etcdserverpb.KV/Txn"
#define ETCD_RANGE "/etcdserverpb.KV/Range"
#define ETCD_COMPACT "/etcdserverpb.KV/Compact"
#define ETCD_WATCH "/etcdserverpb.Watch/Watch"

enum write_state {
	WRITE_WAITS, /* for a member */
	WRITE_SENT,
	WRITE_ACCEPTED, /* as rev; its event is still to come */
	WRITE_REFUSED,  /* told when everything up to `target` has been told */
	WRITE_UNKNOWN   /* the connection broke: an event tells, or that there is none up to `target` */
};
struct etcd_write {
	struct store_etcd *s;
	char *key; /* etcd's */
	struct str value;
	bool deletes, overtaken; /* overtaken: the first event of the key since was not ours */
	enum write_state state;
	uint64_t expect, rev, mark; /* mark: the one it was sent under */
	uint64_t target;            /* 0: not known yet */
	int64_t deadline;
	struct grpc_call *call;
	bool answered;
	store_done_fn *done;
	void *arg;
	struct etcd_write *hash_next, *next, **prev;
};

enum sync_state { SYNC_NEW, SYNC_ASKED, SYNC_WAITS };
struct store_wait {
	enum sync_state state;
	uint64_t target;
	int64_t deadline;
	store_sync_fn *fn;
	void *arg;
	struct store_wait *next, **prev;
};

/* A message of the watch that is not done with. */
struct etcd_batch {
	char *data;
	struct etcd_read events;
	struct etcd_batch *next;
};

struct store_etcd {
	struct store base;
	struct loop *loop;
	struct etcd_link *link;
	char *own, *prefix, *from, *to; /* of the objects' keys */
	char *head;                     /* put by every write: its revision is that of the newest one */
	char *mark;                     /* of this server: writes are void once it is put anew */
	/* this connection */
	struct grpc_call *marking, *watch, *asking;
	uint64_t mark_rev;     /* 0: not marked yet */
	uint64_t term;         /* of the member's leader; 0: not known yet */
	unsigned silent_ticks; /* since it was asked for a sign of life */
	struct str answer;     /* of marking */
	struct str asked;      /* of asking */
	/* events */
	bool open, loaded, loading; /* loading: events wait */
	int64_t watch_ids, live_id, past_id;
	uint64_t resume; /* the watch begins here */
	uint64_t skip;   /* events up to here are in what was loaded */
	struct etcd_batch *batches, **batches_end;
	bool pumping;
	/* writes, by key and in the order made */
	struct etcd_write *by_key[ETCD_BUCKETS], *writes, **writes_end;
	struct store_wait *waits;
	struct loop_timer *tick;
	int64_t lost_at; /* lost_at: mono ms since when there is no marked connection; 0: there is one */
	bool full;       /* the alarm NOSPACE */
	int64_t full_asked;
	struct etcd_past *past; /* the history, while it is read */
	struct etcd_compact *compact;
	struct etcd_reload *reload;
};

static inline struct store_etcd *store_etcd_of(struct store *s)
{
	return CONTAINER_OF(s, struct store_etcd, base);
}

/* ---- store_etcd.c ---- */
void store_etcd_pump(struct store_etcd *s);   /* goes on with events */
void store_etcd_settle(struct store_etcd *s); /* what waited for the present revision */
void store_etcd_finish(struct etcd_write *w, uint64_t rev, enum err_code code, const char *text);
/* Adds a watch of the objects; prev: for the history. */
void store_etcd_watch(struct store_etcd *s, bool prev, uint64_t start);
void store_etcd_send(struct etcd_write *w);
struct grpc_call *store_etcd_call(struct store_etcd *s, const char *path, const struct str *message,
	const struct grpc_call_ops *ops, void *arg);
char *store_etcd_own_key(const struct store_etcd *s, struct etcd_bytes key); /* the caller frees */
void store_etcd_put_mark(struct store_etcd *s);

/* ---- store_etcd_load.c ---- */
int store_etcd_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);
/* Reads everything again, because events are gone; tells by store_follow_ops. */
void store_etcd_reload(struct store_etcd *s);
void store_etcd_reload_free(struct store_etcd *s); /* of a connection that ended, too */
/* A message of the history's watch. */
void store_etcd_past(struct store_etcd *s, const struct etcd_watch_answer *a);

/* ---- store_etcd_compact.c ---- */
struct etcd_compact *store_etcd_compact_new(struct store_etcd *s, int every_ms);
void store_etcd_compact_down(struct etcd_compact *c); /* its calls are void */
void store_etcd_compact_free(struct etcd_compact *c);
void store_etcd_compact(struct store *s, uint64_t before);
