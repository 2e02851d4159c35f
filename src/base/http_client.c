/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/http_io.h"
#include "base/http_parse.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNS_MAX_DEFAULT 64
#define CONNECT_TIMEOUT_DEFAULT_MS 5000
#define BODY_MAX_DEFAULT (64 * 1024 * 1024)
#define IDLE_CLOSE_MS 60000 /* below our server's HTTP_IDLE_TIMEOUT_MS and Go's 180 s: it is us who closes */

/* One connection, dialling (dial), idle (neither) or with a call. */
struct client_conn {
	struct http_client *client;
	struct client_conn *next, **prev;
	struct http_dial *dial;
	struct bufferevent *bev;
	struct http_call *call;
	struct loop_timer *idle_timer;
	struct http_scan scan;
	struct http_chunked chunked;
	uint64_t left;  /* of a body with a length */
	bool used;      /* has carried an answer before */
	bool any_bytes; /* of the present answer */
	bool have_head, eof;
	bool gone; /* freed but for its memory: conn_read() is on the stack */
	int busy;
};

struct http_call {
	struct http_client *client;
	struct http_call *next, **prev; /* in client->waiting while conn is NULL */
	struct client_conn *conn;
	struct http_call_spec spec; /* method copied; path, headers and body are in request */
	char *method;
	struct str request, body;
	struct http_head head;
	struct loop_timer *timer;
	int busy; /* its callbacks on the stack */
	bool retried, paused, dead;
};

struct http_client {
	struct loop *loop;
	char *host, *unix_path, *authority;
	int port, connect_timeout_ms;
	size_t conns_max, n_conns;
	struct tls_ctx *tls;
	struct client_conn *conns;
	struct http_call *waiting, **waiting_end;
	int busy;
	bool dead;
};

static void client_fill(struct http_client *c);
static void client_enter(struct http_client *c)
{
	c->busy++;
}

static void client_leave(struct http_client *c)
{
	if (--c->busy || !c->dead)
		return;
	tls_unref(c->tls);
	free(c->host);
	free(c->unix_path);
	free(c->authority);
	free(c);
}

/* ---- calls: life ---- */

static void waiting_add(struct http_call *h, bool front)
{
	struct http_client *c = h->client;

	h->prev = front ? &c->waiting : c->waiting_end;
	h->next = *h->prev;
	*h->prev = h;
	if (h->next)
		h->next->prev = &h->next;
	else
		c->waiting_end = &h->next;
}

static void waiting_remove(struct http_call *h)
{
	if (!h->prev)
		return;
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	else
		h->client->waiting_end = h->prev;
	h->prev = NULL;
	h->next = NULL;
}

static void call_free(struct http_call *h)
{
	h->dead = true;
	loop_timer_stop(h->timer);
	if (h->busy)
		return;
	loop_timer_free(h->timer);
	http_head_done(&h->head);
	str_done(&h->request);
	str_done(&h->body);
	free(h->method);
	free(h);
}

static struct http_response call_response(const struct http_call *h)
{
	return (struct http_response){ .status = h->head.status,
		.headers = h->head.headers,
		.n_headers = h->head.n_headers,
		.body = h->spec.data ? NULL : str_cstr(&h->body),
		.len = h->body.len };
}

/* The call has left connection and queue: its last callback, and the end of it. */
static void call_done(struct http_call *h, const struct err *e)
{
	struct http_response r = call_response(h);

	h->busy++;
	h->spec.done(h->spec.arg, e ? NULL : &r, e);
	h->busy--;
	call_free(h);
}

/* ---- connections ---- */

static void cconn_free(struct client_conn *k)
{
	struct http_client *c = k->client;

	*k->prev = k->next;
	if (k->next)
		k->next->prev = k->prev;
	c->n_conns--;
	http_dial_cancel(k->dial);
	if (k->bev)
		bufferevent_free(k->bev);
	loop_timer_free(k->idle_timer);
	k->gone = true;
	if (!k->busy)
		free(k);
}

static void cconn_idle_timeout(void *arg)
{
	cconn_free(arg);
}

/* Takes the call off its connection, which can not be used any more. */
static void call_leave_conn(struct http_call *h)
{
	struct client_conn *k = TAKE(h->conn);

	if (k)
		cconn_free(k);
}

static void call_fail(struct http_call *h, const struct err *e)
{
	struct http_client *c = h->client;
	struct err copy = *e;

	client_enter(c);
	waiting_remove(h);
	call_leave_conn(h);
	call_done(h, &copy);
	client_fill(c);
	client_leave(c);
}

static void call_timeout(void *arg)
{
	struct http_call *h = arg;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "%s to %s: no answer within %d ms", h->method, h->client->authority,
		h->spec.timeout_ms);
	call_fail(h, &e);
}

static bool is_idempotent(const char *method)
{
	return str_in(method, (const char *const[]){ "GET", "HEAD", "PUT", "DELETE", "OPTIONS", NULL });
}

/* The connection broke under its call. A server may close an idle connection just as we take it: that is no failure
 * of the call, if nothing of an answer came and the call may be repeated (RFC 9110 9.2.2). */
static void cconn_broken(struct client_conn *k, const struct err *e)
{
	struct http_call *h = k->call;
	struct http_client *c = k->client;

	if (!h) {
		cconn_free(k);
		return;
	}
	if (!k->used || k->any_bytes || h->retried || !is_idempotent(h->method)) {
		call_fail(h, e);
		return;
	}
	h->retried = true;
	call_leave_conn(h);
	waiting_add(h, true);
	client_fill(c);
}

/* The answer is complete. */
static void cconn_complete(struct client_conn *k)
{
	struct http_call *h = TAKE(k->call);
	struct http_client *c = k->client;
	bool keep = h->head.keep_alive && !http_bev_unread(k->bev) && !http_bev_unsent(k->bev);

	client_enter(c);
	h->conn = NULL;
	if (keep) {
		k->used = true;
		bufferevent_enable(k->bev, EV_READ);
		loop_timer_set(k->idle_timer, IDLE_CLOSE_MS);
	} else {
		cconn_free(k);
	}
	call_done(h, NULL);
	client_fill(c);
	client_leave(c);
}

static void cconn_upgraded(struct client_conn *k)
{
	struct http_call *h = TAKE(k->call);
	struct http_client *c = k->client;
	struct http_stream *s = http_stream_adopt(c->loop, TAKE(k->bev), NULL, NULL);
	struct http_response r = call_response(h);

	client_enter(c);
	h->conn = NULL;
	cconn_free(k);
	h->busy++;
	h->spec.upgraded(h->spec.arg, &r, s);
	h->busy--;
	call_free(h);
	client_fill(c);
	client_leave(c);
}

/* ---- reading an answer ---- */

static void cconn_bad(struct client_conn *k, const struct err *why)
{
	struct err e;

	err_set(&e, ERR_UNREACHABLE, "%s to %s: %s", k->call->method, k->client->authority, why->msg);
	call_fail(k->call, &e);
}

static void call_head(struct http_call *h)
{
	struct http_response r = call_response(h);

	h->busy++;
	h->spec.head(h->spec.arg, &r);
	h->busy--;
	if (h->dead)
		call_free(h);
}

static void call_data(struct http_call *h, const void *data, size_t len)
{
	h->busy++;
	h->spec.data(h->spec.arg, data, len);
	h->busy--;
	if (h->dead)
		call_free(h);
}

/* The steps return false when they need more bytes. After each the connection may be gone. */
static bool read_head(struct client_conn *k)
{
	struct evbuffer *in = bufferevent_get_input(k->bev);
	size_t len = evbuffer_get_length(in);
	struct http_call *h = k->call;
	const char *data;
	struct err e;
	ssize_t n;

	if (!len)
		return false;
	k->any_bytes = true;
	len = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
	data = (const char *)evbuffer_pullup(in, (ssize_t)len);
	MUST(data);
	n = http_head_scan(&k->scan, data, len, HTTP_HEAD_MAX, &e);
	if (n == 0)
		return false;
	http_head_done(&h->head);
	if (n < 0 || http_response_parse(data, (size_t)n, h->method, &h->head, &e) < 0) {
		cconn_bad(k, &e);
		return true;
	}
	evbuffer_drain(in, (size_t)n);
	k->scan = (struct http_scan){ 0 };
	if (h->head.status == 101 && h->spec.upgraded) {
		cconn_upgraded(k);
	} else if (h->head.status == 101) {
		err_set(&e, ERR_UNREACHABLE, "an upgrade nobody asked for");
		cconn_bad(k, &e);
	} else if (h->head.status >= 200) { /* after 100 and 103 the answer follows */
		k->have_head = true;
		k->left = h->head.length;
		str_done(&h->request);
		if (h->spec.head)
			call_head(h);
	}
	return true;
}

/* One piece for the caller or the collected body. */
static void take_piece(struct client_conn *k, const char *piece, size_t len)
{
	struct http_call *h = k->call;
	size_t max = h->spec.body_max ? h->spec.body_max : BODY_MAX_DEFAULT;
	struct err e;

	if (!len)
		return;
	if (h->spec.data) {
		call_data(h, piece, len);
	} else if (len > max - h->body.len) {
		err_set(&e, ERR_TOO_LARGE, "%s to %s: the answer is larger than %zu bytes", h->method,
			k->client->authority, max);
		call_fail(h, &e);
	} else {
		str_addn(&h->body, piece, len);
	}
}

static bool body_complete(const struct client_conn *k)
{
	switch (k->call->head.body) {
	case HTTP_NO_BODY:
		return true;
	case HTTP_BODY_LENGTH:
		return k->left == 0;
	case HTTP_BODY_CHUNKED:
		return k->chunked.done;
	case HTTP_BODY_UNTIL_CLOSE:
		break;
	}
	return false;
}

static bool read_body(struct client_conn *k)
{
	struct evbuffer *in = bufferevent_get_input(k->bev);
	struct http_call *h = k->call;
	struct evbuffer_iovec v;
	const char *piece;
	size_t len, used;
	struct err e;

	if (evbuffer_peek(in, -1, NULL, &v, 1) < 1 || !v.iov_len)
		return false;
	piece = v.iov_base;
	used = len = v.iov_len;
	if (h->head.body == HTTP_BODY_LENGTH) {
		used = len = len < k->left ? len : (size_t)k->left;
		k->left -= len;
	} else if (h->head.body == HTTP_BODY_CHUNKED) {
		ssize_t n = http_chunked_feed(&k->chunked, v.iov_base, v.iov_len, &piece, &len, &e);
		if (n < 0) {
			cconn_bad(k, &e);
			return true;
		}
		used = (size_t)n;
	}
	/* The piece lies in the buffer: drained after the callback. */
	take_piece(k, piece, len);
	if (!k->gone)
		evbuffer_drain(in, used);
	return true;
}

static void cconn_eof(struct client_conn *k)
{
	struct http_call *h = k->call;
	struct err e;

	if (h && k->have_head && h->head.body == HTTP_BODY_UNTIL_CLOSE) {
		cconn_complete(k);
		return;
	}
	err_set(&e, ERR_UNREACHABLE, "%s: connection closed %s", k->client->authority,
		k->have_head ? "within the answer" : "without an answer");
	cconn_broken(k, &e);
}

static void conn_read(struct bufferevent *bev, void *arg)
{
	struct client_conn *k = arg;

	if (!k->call && http_bev_unread(bev)) { /* bytes nobody asked for */
		cconn_free(k);
		return;
	}
	k->busy++;
	while (!k->gone && k->call && !k->call->paused) {
		if (!k->have_head) {
			if (!read_head(k))
				break;
		} else if (body_complete(k)) {
			cconn_complete(k);
		} else if (!read_body(k)) {
			break;
		}
	}
	k->busy--;
	if (k->gone)
		free(k);
	else if (k->eof && (!k->call || !k->call->paused))
		cconn_eof(k);
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
	struct client_conn *k = arg;
	struct err e;

	if (what & BEV_EVENT_EOF) {
		k->eof = true;
		conn_read(bev, k); /* a paused call is told when it reads on */
	} else if (what & BEV_EVENT_ERROR) {
		http_bev_err(bev, k->client->authority, &e);
		cconn_broken(k, &e);
	}
}

/* ---- sending ---- */

static void cconn_send(struct client_conn *k, struct http_call *h)
{
	k->call = h;
	h->conn = k;
	k->any_bytes = k->have_head = false;
	k->scan = (struct http_scan){ 0 };
	k->chunked = (struct http_chunked){ 0 };
	loop_timer_stop(k->idle_timer);
	if (h->paused)
		bufferevent_disable(k->bev, EV_READ);
	http_bev_send(k->bev, h->request.data, h->request.len);
}

static void cconn_dialled(void *arg, struct bufferevent *bev, const struct err *e)
{
	struct client_conn *k = arg;
	struct http_client *c = k->client;

	k->dial = NULL;
	if (!bev) {
		/* one failed dial fails one call: the others have, or get, dials of their own */
		struct http_call *h = c->waiting;
		client_enter(c);
		cconn_free(k);
		if (h)
			call_fail(h, e);
		client_leave(c);
		return;
	}
	k->bev = bev;
	bufferevent_setcb(bev, conn_read, NULL, conn_event, k);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	loop_timer_set(k->idle_timer, IDLE_CLOSE_MS);
	client_fill(c);
}

/* Whether an idle connection is still good. A server that restarts has closed it already, often in this very turn,
 * and a POST could not be sent twice. Unread bytes after an answer can only be the end; before the first one they may
 * be TLS session tickets. */
static bool cconn_alive(const struct client_conn *k)
{
	char byte;
	ssize_t n = recv(bufferevent_getfd(k->bev), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n < 0 ? errno == EAGAIN || errno == EWOULDBLOCK : n > 0 && !k->used;
}

static void client_dial(struct http_client *c)
{
	struct http_dial_spec spec = { .host = c->host,
		.unix_path = c->unix_path,
		.port = c->port,
		.tls = c->tls,
		.timeout_ms = c->connect_timeout_ms };
	struct client_conn *k = MEM_NEW(struct client_conn);

	k->client = c;
	k->idle_timer = loop_timer_new(c->loop, cconn_idle_timeout, k);
	k->next = c->conns;
	k->prev = &c->conns;
	if (k->next)
		k->next->prev = &k->next;
	c->conns = k;
	c->n_conns++;
	k->dial = http_dial_new(c->loop, &spec, cconn_dialled, k);
}

/* Gives waiting calls to idle connections, and dials for those left over. Calls nobody back. */
static void client_fill(struct http_client *c)
{
	size_t dialling = 0, waiting = 0;

	if (c->dead)
		return;
	for (struct client_conn *k = c->conns, *next; k; k = next) {
		next = k->next;
		if (k->dial)
			dialling++;
		if (k->dial || k->call || k->eof || !c->waiting)
			continue;
		if (!cconn_alive(k)) {
			cconn_free(k);
			continue;
		}
		struct http_call *h = c->waiting;
		waiting_remove(h);
		cconn_send(k, h);
	}
	for (struct http_call *h = c->waiting; h; h = h->next)
		waiting++;
	for (; dialling < waiting && c->n_conns < c->conns_max; dialling++)
		client_dial(c);
}

static bool has_header(const struct http_call_spec *spec, const char *name)
{
	return http_header_find(spec->headers, spec->n_headers, name) != NULL;
}

/* A header whose value could start another line is left out: it can only be somebody's attack or our bug. */
static bool is_clean(const char *s)
{
	return !s[strcspn(s, "\r\n")];
}

static void build_request(struct http_client *c, const struct http_call_spec *spec, struct str *out)
{
	bool body = spec->len || str_in(spec->method, (const char *const[]){ "POST", "PUT", "PATCH", NULL });

	MUST(http_is_token(spec->method) && !spec->path[strcspn(spec->path, " \r\n")]);
	str_addf(out, "%s %s HTTP/1.1\r\n", spec->method, *spec->path ? spec->path : "/");
	if (!has_header(spec, "Host"))
		str_addf(out, "Host: %s\r\n", c->authority);
	for (size_t i = 0; i < spec->n_headers; i++)
		if (http_is_token(spec->headers[i].name) && is_clean(spec->headers[i].value) &&
			strcasecmp(spec->headers[i].name, "Content-Length") != 0 &&
			strcasecmp(spec->headers[i].name, "Transfer-Encoding") != 0)
			str_addf(out, "%s: %s\r\n", spec->headers[i].name, spec->headers[i].value);
	if (body)
		str_addf(out, "Content-Length: %zu\r\n", spec->len);
	str_add(out, "\r\n");
	if (spec->len)
		str_addn(out, spec->body, spec->len);
}

struct http_call *http_client_call(struct http_client *c, const struct http_call_spec *spec)
{
	struct http_call *h = MEM_NEW(struct http_call);

	MUST(spec->done);
	h->client = c;
	h->spec = *spec;
	h->method = mem_strdup(spec->method);
	build_request(c, spec, &h->request);
	/* not ours beyond this call */
	h->spec.method = h->spec.path = NULL;
	h->spec.headers = NULL;
	h->spec.body = NULL;
	h->timer = loop_timer_new(c->loop, call_timeout, h);
	if (spec->timeout_ms > 0)
		loop_timer_set(h->timer, spec->timeout_ms);
	waiting_add(h, false);
	client_fill(c);
	return h;
}

void http_call_cancel(struct http_call *h)
{
	if (!h || h->dead)
		return;
	waiting_remove(h);
	call_leave_conn(h);
	client_fill(h->client);
	call_free(h);
}

void http_call_pause(struct http_call *h, bool paused)
{
	struct client_conn *k = h->conn;

	if (h->paused == paused)
		return;
	h->paused = paused;
	if (!k)
		return;
	if (paused) {
		bufferevent_disable(k->bev, EV_READ);
		return;
	}
	if (!k->eof)
		bufferevent_enable(k->bev, EV_READ);
	bufferevent_trigger(k->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

const char *http_response_header(const struct http_response *r, const char *name)
{
	return http_header_find(r->headers, r->n_headers, name);
}

/* ---- the pool ---- */

struct http_client *http_client_new(struct loop *l, const struct http_client_spec *spec)
{
	struct http_client *c = MEM_NEW(struct http_client);
	bool v6 = spec->host && strchr(spec->host, ':');

	c->loop = l;
	c->busy = 1; /* the owner */
	c->host = spec->host ? mem_strdup(spec->host) : NULL;
	c->unix_path = spec->unix_path ? mem_strdup(spec->unix_path) : NULL;
	c->port = spec->port;
	c->tls = tls_ref(spec->tls);
	if (spec->unix_path || !spec->host)
		c->authority = mem_strdup("localhost");
	else if (spec->port == (spec->tls ? 443 : 80))
		c->authority = str_printf(v6 ? "[%s]" : "%s", spec->host);
	else
		c->authority = str_printf(v6 ? "[%s]:%d" : "%s:%d", spec->host, spec->port);
	c->conns_max = spec->conns_max > 0 ? (size_t)spec->conns_max : CONNS_MAX_DEFAULT;
	c->connect_timeout_ms =
		spec->connect_timeout_ms > 0 ? spec->connect_timeout_ms : CONNECT_TIMEOUT_DEFAULT_MS;
	c->waiting_end = &c->waiting;
	return c;
}

void http_client_free(struct http_client *c)
{
	struct err e;

	if (!c || c->dead)
		return;
	c->dead = true;
	err_set(&e, ERR_UNREACHABLE, "%s: the client is being closed", c->authority);
	while (c->conns) {
		struct http_call *h = c->conns->call;
		if (h)
			call_fail(h, &e);
		else
			cconn_free(c->conns);
	}
	while (c->waiting)
		call_fail(c->waiting, &e);
	client_leave(c);
}
