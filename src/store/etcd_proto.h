/* SPDX-License-Identifier: Apache-2.0 */
/* store/etcd_proto.h - the few messages of etcd's API (its rpc.proto and kv.proto, version 3) that a store needs: requests are
 * written, answers read. Protocol buffers' wire format: a field is a varint of (number << 3 | type), then the value. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct etcd_bytes {
	const char *data;
	size_t len;
};
static inline struct etcd_bytes etcd_text(const char *s)
{
	return (struct etcd_bytes){ s, __builtin_strlen(s) };
}

/* ---- requests; they are added to out ---- */
struct etcd_range {
	const char *key, *end; /* end NULL: the key alone */
	int64_t limit, rev;    /* 0: none, the newest */
	bool keys_only;
};
void etcd_put_range(struct str *out, const struct etcd_range *r);

/* A Txn is its parts one after the other: compares, then what is done if all hold, then what else. */
void etcd_txn_if_mod(struct str *out, const char *key, int64_t rev); /* rev 0: there is no such key */
void etcd_txn_if_version(struct str *out, const char *key, int64_t version);
enum etcd_branch { ETCD_THEN = 2, ETCD_ELSE = 3 };
void etcd_txn_put(struct str *out, enum etcd_branch b, const char *key, const char *value, size_t len);
void etcd_txn_delete(struct str *out, enum etcd_branch b, const char *key);
void etcd_txn_get(struct str *out, enum etcd_branch b, const char *key, bool keys_only);

void etcd_put_compact(struct str *out, int64_t rev);
struct etcd_watch {
	const char *key, *end;
	int64_t start;
	int64_t id; /* from 1 on */
	bool prev;  /* with the value before */
};
void etcd_put_watch(struct str *out, const struct etcd_watch *w);
void etcd_put_watch_cancel(struct str *out, int64_t id);
void etcd_put_progress(struct str *out);

/* ---- answers: pointers go into the message; ERR_BAD_REQUEST if it is not one ---- */
struct etcd_kv {
	struct etcd_bytes key, value;
	int64_t create_rev, mod_rev, version;
};
struct etcd_read { /* a cursor over the fields of a message */
	const uint8_t *p, *end;
	/* the field just read */
	uint32_t field;
	uint64_t number;
	struct etcd_bytes bytes;
};
/* 1: a field was read, 0: the end, -1: broken */
int etcd_next(struct etcd_read *r, struct err *e);
static inline struct etcd_read etcd_reader(const void *data, size_t len)
{
	return (struct etcd_read){ .p = data, .end = (const uint8_t *)data + len };
}

struct etcd_range_answer {
	int64_t rev; /* of the whole store when it answered */
	bool more;
	struct etcd_read kvs; /* etcd_next_kv() */
};
int etcd_get_range(const void *data, size_t len, struct etcd_range_answer *ret, struct err *e);
int etcd_next_kv(struct etcd_read *r, struct etcd_kv *ret, struct err *e); /* as etcd_next() */

#define ETCD_TXN_GETS_MAX 3
struct etcd_txn_answer {
	int64_t rev;
	bool succeeded;
	/* what the gets gave, in their order; mod_rev 0: no such key */
	struct etcd_kv gets[ETCD_TXN_GETS_MAX];
	size_t n;
};
int etcd_get_txn(const void *data, size_t len, struct etcd_txn_answer *ret, struct err *e);

struct etcd_event {
	bool deleted, has_prev;
	struct etcd_kv kv, prev;
};
struct etcd_watch_answer {
	int64_t rev, id, compact_rev;
	uint64_t term; /* of the member's leader; a larger one: there was an election */
	bool created, canceled;
	struct etcd_bytes reason;
	struct etcd_read events; /* etcd_next_event() */
};
int etcd_get_watch(const void *data, size_t len, struct etcd_watch_answer *ret, struct err *e);
int etcd_next_event(struct etcd_read *r, struct etcd_event *ret, struct err *e); /* as etcd_next() */
