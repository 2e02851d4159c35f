/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: each server tries every STORE_COMPACT_EVERY_MS, one wins (kubernetes-api.md 7.3). The winner compacts what was the
 * present one round ago, so everything younger than that stays. The key and its use are kube-apiserver's. */
#include "store/store_etcd.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define COMPACT_KEY "compact_rev_key"

struct etcd_compact {
	struct store_etcd *s;
	struct loop_timer *timer;
	struct grpc_call *call;
	struct str answer;
	int64_t version; /* of the key, as of the last round */
	int64_t rev;     /* the present of the last round; 0: none yet */
	int every_ms;
};

static void message(void *arg, const void *data, size_t len)
{
	struct etcd_compact *c = arg;

	str_clear(&c->answer);
	str_addn(&c->answer, data, len);
}

static void compacted(void *arg, int status, const char *text)
{
	struct etcd_compact *c = arg;

	c->call = NULL;
	if (status != GRPC_OK && status != GRPC_OUT_OF_RANGE) /* out of range: it was done already */
		log_warn("store: compaction: %s", text);
}

static void compact_at(struct etcd_compact *c, int64_t rev)
{
	static const struct grpc_call_ops ops = { message, compacted };
	CLEANUP(str_done) struct str m = { 0 };

	etcd_put_compact(&m, rev);
	c->call = store_etcd_call(c->s, ETCD_COMPACT, &m, &ops, c);
}

static void round_done(void *arg, int status, const char *text)
{
	struct etcd_compact *c = arg;
	struct etcd_txn_answer a;
	int64_t before = c->rev;

	c->call = NULL;
	if (status != GRPC_OK || etcd_get_txn(str_cstr(&c->answer), c->answer.len, &a, NULL) < 0) {
		log_warn("store: compaction: %s", text);
		return;
	}
	c->rev = a.rev;
	if (!a.succeeded) { /* another server's round; or our first */
		c->version = a.n > 0 ? a.gets[0].version : 0;
		return;
	}
	c->version++;
	if (before > 0)
		compact_at(c, before);
}

static void round_begin(void *arg)
{
	static const struct grpc_call_ops ops = { message, round_done };
	struct etcd_compact *c = arg;
	CLEANUP(str_done) struct str m = { 0 };
	char rev[24];

	loop_timer_set(c->timer, c->every_ms);
	if (c->call || !etcd_link_client(c->s->link))
		return;
	snprintf(rev, sizeof(rev), "%lld", (long long)c->rev);
	etcd_txn_if_version(&m, COMPACT_KEY, c->version);
	etcd_txn_put(&m, ETCD_THEN, COMPACT_KEY, rev, strlen(rev));
	etcd_txn_get(&m, ETCD_ELSE, COMPACT_KEY, true);
	c->call = store_etcd_call(c->s, ETCD_TXN, &m, &ops, c);
}

struct etcd_compact *store_etcd_compact_new(struct store_etcd *s, int every_ms)
{
	struct etcd_compact *c = MEM_NEW(struct etcd_compact);

	c->s = s;
	c->every_ms = every_ms > 0 ? every_ms : STORE_COMPACT_EVERY_MS;
	c->timer = loop_timer_new(s->loop, round_begin, c);
	loop_timer_set(c->timer, c->every_ms);
	return c;
}

void store_etcd_compact_down(struct etcd_compact *c)
{
	if (c)
		grpc_call_forget(TAKE(c->call));
}

void store_etcd_compact_free(struct etcd_compact *c)
{
	if (!c)
		return;
	grpc_call_forget(c->call);
	loop_timer_free(c->timer);
	str_done(&c->answer);
	free(c);
}

void store_etcd_compact(struct store *base, uint64_t before)
{
	struct store_etcd *s = store_etcd_of(base);
	uint64_t keep = base->revision > STORE_HISTORY_MIN ? base->revision - STORE_HISTORY_MIN : 0;
	uint64_t at = before > 0 && before - 1 < keep ? before - 1 : keep;

	if (at == 0 || s->compact->call || !etcd_link_client(s->link))
		return;
	base->compacted = at;
	compact_at(s->compact, (int64_t)at);
}
