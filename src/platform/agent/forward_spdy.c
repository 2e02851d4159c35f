/* SPDX-License-Identifier: Apache-2.0 */
/* portforward.k8s.io (kubernetes-api.md 2.9): for every connection the client opens two streams with the same "requestid", one
 * for data and one for what went wrong. As SPDY/3.1, or SPDY/3.1 within a WebSocket. */
#include "base/http_parse.h"
#include "base/spdy.h"
#include "platform/agent/forward.h"

#include <inttypes.h>
#include <string.h>

#define PROTOCOL "portforward.k8s.io"
#define TUNNEL "SPDY/3.1+" PROTOCOL
#define PAIRS_MAX (SPDY_STREAMS_MAX / 2)
#define PAIR_MS 30000 /* until the second stream of a pair is there; until the client ends one that is over */

struct session {
	struct served served;
	struct agent *agent;
	struct spdy *y;
	char *uid, *pod;
	struct pair *pairs;
	size_t n_pairs;
};
struct pair {
	struct session *s;
	struct pair *next, **prev;
	int64_t id;
	int port;
	struct spdy_stream *data, *error; /* NULL: not there, or not any more */
	struct forward *to;
	struct loop_timer *timer;
	bool pod_over, client_over;
};

static void pair_free(struct pair *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	p->s->n_pairs--;
	forward_free(p->to);
	loop_timer_free(p->timer);
	free(p);
}

/* Both streams go, and with them the connection. */
static void pair_drop(struct pair *p)
{
	if (p->error) {
		spdy_end(p->error);
		spdy_forget(p->error);
	}
	if (p->data)
		spdy_forget(p->data);
	pair_free(p);
}

static void session_free(struct session *s)
{
	served_remove(&s->served);
	while (s->pairs)
		pair_free(s->pairs);
	free(s->uid);
	free(s->pod);
	free(s);
}

static void stop(struct served *served)
{
	struct session *s = (struct session *)served;

	spdy_close(s->y);
	session_free(s);
}

/* ---- from the pod ---- */
static void pod_data(void *arg, const void *data, size_t len)
{
	struct pair *p = arg;

	if (!p->data)
		return;
	spdy_send(p->data, data, len);
	if (spdy_pending(p->data) > FORWARD_UNSENT_MAX)
		forward_pause(p->to, true);
}

/* The client waits for the end of both streams; it may still be sending. */
static void over(struct pair *p)
{
	if (p->error)
		spdy_end(p->error);
	if (p->data)
		spdy_end(p->data);
	p->pod_over = true;
	if (p->client_over)
		pair_drop(p);
	else
		loop_timer_set(p->timer, PAIR_MS);
}

static void pod_end(void *arg)
{
	over(arg);
}

static void pod_drained(void *arg)
{
	struct pair *p = arg;

	if (p->data)
		spdy_pause(p->data, false);
}

static void pod_failed(void *arg, const char *why)
{
	struct pair *p = arg;
	CLEANUP(mem_freep)
	char *text =
		str_printf("error forwarding port %d to pod %s, uid %s: connecting to localhost:%d in the "
			   "pod: %s",
			p->port, p->s->pod, p->s->uid, p->port, why);

	if (p->error)
		spdy_send(p->error, text, strlen(text));
	if (p->data)
		spdy_pause(p->data, false);
	forward_free(TAKE(p->to));
	over(p);
}

/* ---- from the client ---- */
static void client_data(void *arg, const void *data, size_t len)
{
	struct pair *p = arg;

	if (!p->to)
		return;
	forward_write(p->to, data, len);
	if (forward_pending(p->to) > FORWARD_UNSENT_MAX)
		spdy_pause(p->data, true);
}

static void client_end(void *arg)
{
	struct pair *p = arg;

	p->client_over = true;
	if (p->pod_over)
		pair_drop(p);
	else if (p->to)
		forward_end(p->to);
}

static void client_reset(void *arg, unsigned status)
{
	struct pair *p = arg;

	p->data = NULL;
	pair_drop(p);
}

static void error_ignored(void *arg, const void *data, size_t len)
{
}

static void error_end(void *arg)
{
}

static void error_reset(void *arg, unsigned status)
{
	((struct pair *)arg)->error = NULL;
}

/* ---- pairs ---- */
static void timer_rings(void *arg)
{
	pair_drop(arg);
}

static struct pair *pair_get(struct session *s, int64_t id, int port)
{
	struct pair *p = s->pairs;

	while (p && p->id != id)
		p = p->next;
	if (p || s->n_pairs >= PAIRS_MAX)
		return p;
	p = MEM_NEW(struct pair);
	p->s = s;
	p->id = id;
	p->port = port;
	p->timer = loop_timer_new(s->agent->loop, timer_rings, p);
	loop_timer_set(p->timer, PAIR_MS);
	p->next = s->pairs;
	p->prev = &s->pairs;
	if (p->next)
		p->next->prev = &p->next;
	s->pairs = p;
	s->n_pairs++;
	return p;
}

static void pair_begin(struct pair *p)
{
	static const struct forward_ops ops = { pod_data, pod_end, pod_drained, pod_failed };
	const struct pod *pod = keymap_get(&p->s->agent->by_uid, p->s->uid);

	if (!p->data || !p->error)
		return;
	loop_timer_stop(p->timer);
	if (pod)
		p->to = forward_new(p->s->agent, pod, p->port, &ops, p);
	else
		pod_failed(p, "the pod has gone");
}

static void opened(void *arg, struct spdy_stream *stream)
{
	static const struct spdy_stream_ops data_ops = { client_data, client_end, client_reset },
					    error_ops = { error_ignored, error_end, error_reset };
	const char *type = spdy_stream_header(stream, "streamtype"),
		   *id = spdy_stream_header(stream, "requestid");
	bool data = str_eq(type, "data");
	int64_t port, number;
	struct pair *p;

	/* Clients from before requestid: the data stream is the one after the error stream. */
	number = -(int64_t)spdy_stream_id(stream) + (data ? 2 : 0);
	if ((!data && !str_eq(type, "error")) ||
		!str_to_i64(spdy_stream_header(stream, "port"), 1, 65535, &port) ||
		(id && !str_to_i64(id, 0, INT64_MAX, &number)))
		return; /* refused */
	p = pair_get(arg, number, (int)port);
	if (!p || p->to || p->port != port || (data ? p->data : p->error))
		return;
	if (data)
		p->data = stream;
	else
		p->error = stream;
	spdy_accept(stream, data ? &data_ops : &error_ops, p);
	pair_begin(p);
}

/* ---- the connection ---- */
static void drained(void *arg)
{
	struct session *s = arg;

	for (struct pair *p = s->pairs; p; p = p->next)
		if (p->data && p->to && spdy_pending(p->data) <= FORWARD_UNSENT_MAX)
			forward_pause(p->to, false);
}

static void closed(void *arg, const struct err *e)
{
	session_free(arg);
}

static void begin(struct agent *a, const struct pod *p, struct spdy *y)
{
	static const struct spdy_ops ops = { opened, drained, closed };
	struct session *s = MEM_NEW(struct session);

	s->agent = a;
	s->y = y;
	s->uid = mem_strdup(p->uid);
	s->pod = mem_strdup(obj_name(p->obj));
	served_add(a, &s->served, stop);
	spdy_start(y, &ops, s);
}

void forward_serve_spdy(struct agent *a, struct pod *p, struct http_req *r)
{
	const char *offered = http_req_header(r, "X-Stream-Protocol-Version");

	if (offered && !http_list_has(offered, PROTOCOL)) {
		http_req_add_header(r, "X-Accepted-Stream-Protocol-Versions", PROTOCOL);
		serve_error(r, ERR_FORBIDDEN,
			"unable to upgrade: unable to negotiate protocol: client supports [%.300s], server "
			"accepts [" PROTOCOL "]",
			offered);
		return;
	}
	http_req_add_header(r, "X-Stream-Protocol-Version", PROTOCOL);
	begin(a, p, spdy_over_stream(a->loop, http_req_upgrade(r, "SPDY/3.1")));
}

void forward_serve_tunnel(struct agent *a, struct pod *p, struct http_req *r)
{
	static const char *const protocols[] = { TUNNEL, NULL };
	struct err e = { 0 };
	struct ws *ws = ws_accept(r, protocols, NULL, &e);

	if (ws)
		begin(a, p, spdy_over_ws(a->loop, ws));
	else
		serve_error(r, e.code, "%s", e.msg);
}
