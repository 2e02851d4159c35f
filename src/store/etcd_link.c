/* SPDX-License-Identifier: Apache-2.0 */
#include "store/etcd_link.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

struct etcd_link {
	struct loop *loop;
	struct tls_ctx *tls;
	struct etcd_link_ops ops;
	void *arg;
	struct url members[ETCD_MEMBERS_MAX];
	size_t n, at;
	size_t failed; /* attempts in a row */
	struct http2_client *client;
	bool up;
	struct loop_timer *again, *dropped;
	struct err err;
};

static void connect_now(void *arg);

/* Each member once at once, then with growing pauses. */
static void next_member(struct etcd_link *k)
{
	int64_t pause = 0;

	k->at = (k->at + 1) % k->n;
	k->failed++;
	if (k->failed >= k->n) {
		size_t doubled = k->failed / k->n - 1;

		pause = doubled > 10 ? ETCD_RETRY_MAX_MS : (int64_t)ETCD_RETRY_MIN_MS << doubled;
		if (pause > ETCD_RETRY_MAX_MS)
			pause = ETCD_RETRY_MAX_MS;
	}
	loop_timer_set(k->again, pause);
}

static void end(struct etcd_link *k)
{
	bool was = k->up;
	struct http2_client *client = TAKE(k->client);

	k->up = false;
	loop_timer_stop(k->dropped);
	if (was)
		log_info("store: left etcd member %s:%d: %s", k->members[k->at].host, k->members[k->at].port,
			k->err.msg);
	if (was)
		k->ops.down(k->arg, &k->err);
	http2_client_free(client);
	next_member(k);
}

static void closed(void *arg, const struct err *e)
{
	struct etcd_link *k = arg;

	err_copy(&k->err, e);
	end(k);
}

static void ready(void *arg)
{
	struct etcd_link *k = arg;

	k->up = true;
	k->ops.up(k->arg);
}

static void connect_now(void *arg)
{
	static const struct http2_client_ops ops = { ready, closed };
	struct etcd_link *k = arg;
	const struct url *m = &k->members[k->at];

	k->client = http2_client_new(k->loop,
		&(struct http2_client_spec){ .host = m->host,
			.port = m->port,
			.tls = str_eq(m->scheme, "https") ? k->tls : NULL,
			.connect_timeout_ms = ETCD_CONNECT_TIMEOUT_MS },
		&ops, k);
}

static void drop_now(void *arg)
{
	end(arg);
}

void etcd_link_drop(struct etcd_link *k, const char *why)
{
	if (!k->up || loop_timer_armed(k->dropped))
		return;
	err_set(&k->err, ERR_UNREACHABLE, "%s", why);
	loop_timer_set(k->dropped, 0);
}

void etcd_link_good(struct etcd_link *k)
{
	k->failed = 0;
	err_clear(&k->err);
}

const struct err *etcd_link_trouble(const struct etcd_link *k)
{
	return &k->err;
}

struct http2_client *etcd_link_client(struct etcd_link *k)
{
	return k->up ? k->client : NULL;
}

static int add_members(struct etcd_link *k, const char *urls, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(urls);
	char *rest = copy;

	while (rest) {
		const char *text = str_next(&rest, ',');
		struct url *m = &k->members[k->n];

		if (k->n == ETCD_MEMBERS_MAX)
			return err_set(e, ERR_BAD_REQUEST, "more than %d endpoints", ETCD_MEMBERS_MAX);
		if (url_parse(text, m, e) < 0)
			return err_wrap(e, "endpoint '%s'", text);
		k->n++;
		if (!str_eq(m->scheme, "http") && !str_eq(m->scheme, "https"))
			return err_set(e, ERR_BAD_REQUEST, "endpoint '%s' is neither http nor https", text);
		if (str_eq(m->scheme, "https") && !k->tls)
			return err_set(
				e, ERR_BAD_REQUEST, "endpoint '%s' needs a CA to check it against", text);
	}
	return 0;
}

struct etcd_link *etcd_link_new(struct loop *l, const char *urls, struct tls_ctx *tls,
	const struct etcd_link_ops *ops, void *arg, struct err *e)
{
	struct etcd_link *k = MEM_NEW(struct etcd_link);
	uint32_t first;

	k->loop = l;
	k->tls = tls_ref(tls);
	k->ops = *ops;
	k->arg = arg;
	k->again = loop_timer_new(l, connect_now, k);
	k->dropped = loop_timer_new(l, drop_now, k);
	if (add_members(k, urls, e) < 0) {
		etcd_link_free(k);
		return NULL;
	}
	crypto_random(&first, sizeof(first)); /* several servers shall not all go to the same member */
	k->at = first % k->n;
	loop_timer_set(k->again, 0);
	return k;
}

void etcd_link_free(struct etcd_link *k)
{
	if (!k)
		return;
	http2_client_free(k->client);
	loop_timer_free(k->again);
	loop_timer_free(k->dropped);
	for (size_t i = 0; i < k->n; i++)
		url_done(&k->members[i]);
	tls_unref(k->tls);
	free(k);
}
