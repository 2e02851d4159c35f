/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 (RFC 9112) on a server's connection. */
#include "base/http_conn.h"

#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#define UNSENT_MAX (256 * 1024) /* of earlier answers; the next request waits while there is more */
#define BODY_ROOM_FIRST (64 * 1024)

static const char *status_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} all[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 413, "Request Entity Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].status == status)
			return all[i].reason;
	return "Unknown";
}

static struct evbuffer *output(struct http_conn *c)
{
	return bufferevent_get_output(c->bev);
}

/* ---- reading requests ---- */

/* An answer to something that never became a request; ends the connection. */
static void refuse(struct http_conn *c, int status, const char *why)
{
	CLEANUP(str_done) struct str body = { 0 };
	const char *type = http_reject_body(c->srv, status, why, &body);

	evbuffer_add_printf(output(c),
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
		"Connection: close\r\n\r\n%s",
		status, status_reason(status), type, body.len,
		status == 503 ? "Retry-After: " HTTP_RETRY_AFTER_S "\r\n" : "", str_cstr(&body));
	http_conn_close(c, true);
}

static void refuse_err(struct http_conn *c, const struct err *e)
{
	refuse(c, e->code == ERR_TOO_LARGE ? 431 : e->code == ERR_NOT_IMPLEMENTED ? 501 : 400, e->msg);
}

static void refuse_body(struct http_conn *c, bool too_large)
{
	if (too_large)
		refuse(c, 413, "request body is too large");
	else
		refuse(c, 503, "too many request bodies are arriving");
}

/* The head is there: may its body come? false: refused */
static bool begin_req(struct http_conn *c, struct http_req *r)
{
	c->req = r;
	http_req_attach(r, c);
	c->state = CONN_BODY;
	c->scan = (struct http_scan){ 0 };
	c->chunked = (struct http_chunked){ 0 };
	if (c->refusing) {
		refuse(c, 503, "the server has too many connections");
		return false;
	}
	/* an upgrade with a body is an ordinary request (RFC 9110 7.8) */
	if (r->head.body != HTTP_NO_BODY) {
		r->head.upgrade = false;
		http_conn_deadline(c, c->srv->body_timeout_ms);
	}
	if (r->head.body == HTTP_BODY_LENGTH && r->head.length > c->srv->body_max) {
		refuse_body(c, true);
		return false;
	}
	if (r->head.body != HTTP_NO_BODY && r->head.expect_continue && !http_bev_unread(c->bev))
		evbuffer_add_printf(output(c), "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* false: no whole head yet, or refused */
static bool read_head(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in);
	const char *data;
	struct http_req *r;
	struct err e;
	bool first;
	ssize_t n;

	if (!len)
		return false;
	data = (const char *)evbuffer_pullup(in, (ssize_t)len);
	MUST(data);
	first = c->scan.pos == 0;
	n = http_head_scan(&c->scan, data, len, HTTP_HEAD_MAX, &e);
	if (n == 0) {
		if (first)
			http_conn_deadline(c, c->srv->head_timeout_ms);
		return false;
	}
	if (n < 0) {
		refuse_err(c, &e);
		return false;
	}
	r = MEM_NEW(struct http_req);
	r->loop = c->srv->loop;
	if (http_request_parse(data, (size_t)n, &r->head, &e) < 0 || http_req_set_target(r, &e) < 0) {
		http_req_free(r);
		refuse_err(c, &e);
		return false;
	}
	evbuffer_drain(in, (size_t)n);
	return begin_req(c, r);
}

/* 1: complete; 0: more to come; -1: refused */
static int body_length(struct http_conn *c, struct evbuffer *in)
{
	struct http_req *r = c->req;
	size_t want = (size_t)r->head.length - r->body.len, have = evbuffer_get_length(in);
	size_t n = have < want ? have : want;

	if (!http_body_room(c->srv, r, n)) {
		refuse_body(c, false);
		return -1;
	}
	/* room for what was announced, but not much before it comes */
	if (r->body.cap == 0)
		str_reserve(&r->body,
			r->head.length < BODY_ROOM_FIRST ? (size_t)r->head.length : BODY_ROOM_FIRST);
	str_reserve(&r->body, n);
	if (n)
		MUST(evbuffer_remove(in, r->body.data + r->body.len, n) == (int)n);
	r->body.len += n;
	if (r->body.data)
		r->body.data[r->body.len] = '\0';
	return n == want;
}

static int body_chunked(struct http_conn *c, struct evbuffer *in)
{
	struct http_req *r = c->req;
	struct evbuffer_iovec v;
	struct err e;

	while (!c->chunked.done && evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len) {
		const char *piece;
		size_t len;
		ssize_t n = http_chunked_feed(&c->chunked, v.iov_base, v.iov_len, &piece, &len, &e);

		if (n < 0) {
			refuse_err(c, &e);
			return -1;
		}
		if (len > c->srv->body_max - r->body.len || !http_body_room(c->srv, r, len)) {
			refuse_body(c, len > c->srv->body_max - r->body.len);
			return -1;
		}
		if (len)
			str_addn(&r->body, piece, len);
		evbuffer_drain(in, (size_t)n);
	}
	return c->chunked.done;
}

static bool read_body(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	if (c->req->head.body == HTTP_BODY_LENGTH)
		return body_length(c, in) > 0;
	if (c->req->head.body == HTTP_BODY_CHUNKED)
		return body_chunked(c, in) > 0;
	return true;
}

/* Serves what has arrived, request after request, until one is being answered later. */
static void http1_serve(struct http_conn *c)
{
	http_conn_enter(c);
	while (!c->dead && c->state != CONN_ANSWER) {
		if (c->state == CONN_HEAD && (http_bev_unsent(c->bev) > UNSENT_MAX || !read_head(c)))
			break;
		if (!read_body(c))
			break;
		c->state = CONN_ANSWER;
		c->deadline = 0;
		http_body_arrived(c->srv, c->req);
		c->srv->handler(c->srv->arg, c->req);
	}
	http_conn_leave(c);
}

/* ---- the connection ---- */

static void http1_sent(struct http_conn *c)
{
	if (c->state == CONN_HEAD && http_bev_unread(c->bev)) {
		http1_serve(c);
	} else if (c->req && c->req->drained_fn && !http_bev_unsent(c->bev)) {
		http_conn_enter(c);
		c->req->drained_fn(c->req->drained_arg);
		http_conn_leave(c);
	}
}

static void http1_eof(struct http_conn *c)
{
	if (c->state != CONN_HEAD || !http_bev_unsent(c->bev)) {
		http_conn_drop(c);
		return;
	}
	bufferevent_enable(c->bev, EV_WRITE);
	http_conn_close(c, false); /* the answers before it still go out */
}

static void http1_timeout(struct http_conn *c)
{
	if (c->state == CONN_BODY || (c->state == CONN_HEAD && http_bev_unread(c->bev)))
		refuse(c, 408, "the request did not arrive in time");
	else
		http_conn_drop(c);
}

/* A stream ends as such, so that watchers know there is no more to come (kubernetes-api.md 8, 69). */
static void http1_stop(struct http_conn *c)
{
	if (c->state != CONN_ANSWER) {
		http_conn_close(c, false);
	} else if (c->req->state == REQ_STREAMING) {
		if (c->req->chunked)
			evbuffer_add_printf(output(c), "0\r\n\r\n");
		http_conn_close(c, false);
	}
}

/* One that still shakes hands has sent nothing yet, but may be about to. */
static void http1_retire(struct http_conn *c)
{
	if (c->state == CONN_HEAD && !http_bev_unread(c->bev) &&
		SSL_is_init_finished(bufferevent_openssl_get_ssl(c->bev)))
		http_conn_close(c, true);
}

static void http1_gone(struct http_conn *c)
{
	struct http_req *r = TAKE(c->req);

	if (!r)
		return;
	r->conn = NULL;
	if (c->state == CONN_ANSWER) {
		http_req_gone(r);
	} else {
		http_body_arrived(c->srv, r);
		http_req_free(r); /* its handler never saw it */
	}
}

static void http1_free(struct http_conn *c)
{
	(void)c;
}

/* ---- answers ---- */

/* The answer has been written: the next request, or the end. keep: the connection may go on. */
static void answered(struct http_conn *c, struct http_req *r, bool keep)
{
	c->req = NULL;
	r->conn = NULL;
	if (!keep || c->srv->stopping || c->retired) {
		http_conn_close(c, http_bev_unread(c->bev) > 0);
		return;
	}
	c->state = CONN_HEAD;
	http_conn_deadline(c, c->srv->idle_timeout_ms);
	if (!c->busy && http_bev_unread(c->bev))
		bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void add_head(const struct http_req *r, struct str *out, int status, const char *type, bool gzip)
{
	str_addf(out, "HTTP/1.1 %d %s\r\n", status, status_reason(status));
	if (r->extra.len)
		str_addn(out, r->extra.data, r->extra.len);
	if (type) {
		str_add(out, "Content-Type: ");
		str_add(out, type);
		str_add(out, "\r\n");
	}
	if (gzip)
		str_add(out, "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
}

static void http1_reply(struct http_conn *c, struct http_req *r, const struct http_answer *a)
{
	CLEANUP(str_done) struct str head = { 0 };
	bool keep = r->head.keep_alive && !c->srv->stopping && !c->retired;
	size_t len = a->no_body ? 0 : a->len;
	struct evbuffer *out = output(c);

	add_head(r, &head, a->status, a->type, a->gzip);
	if (a->tell_length)
		str_addf(&head, "Content-Length: %zu\r\n", a->len);
	str_add(&head, keep ? "\r\n" : "Connection: close\r\n\r\n");
	/* one piece of memory: one TLS record, one packet if it fits */
	if (head.len + len <= HTTP_SEND_NOW_MAX) {
		str_addn(&head, a->body, len);
		http_bev_send(c->bev, head.data, head.len);
	} else {
		MUST(evbuffer_expand(out, head.len + len) == 0);
		MUST(evbuffer_add(out, head.data, head.len) == 0 && evbuffer_add(out, a->body, len) == 0);
	}
	answered(c, r, keep);
}

static void http1_stream(struct http_conn *c, struct http_req *r, int status, const char *type)
{
	CLEANUP(str_done) struct str head = { 0 };

	r->chunked = r->head.minor >= 1 && !str_eq(r->head.method, "HEAD");
	add_head(r, &head, status, type, r->gzip != NULL);
	if (r->head.minor >= 1)
		str_add(&head, "Transfer-Encoding: chunked\r\n");
	if (r->head.minor < 1 || c->retired)
		r->head.keep_alive = false;
	str_add(&head, r->head.keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
	MUST(bufferevent_write(c->bev, head.data, head.len) == 0);
}

static void http1_write(struct http_conn *c, struct http_req *r, const void *data, size_t len)
{
	struct evbuffer *out = output(c);
	char size[24];
	int n;

	if (!r->chunked) {
		MUST(evbuffer_add(out, data, len) == 0);
		return;
	}
	n = snprintf(size, sizeof(size), "%zx\r\n", len);
	MUST(evbuffer_expand(out, len + (size_t)n + 2) == 0);
	MUST(evbuffer_add(out, size, (size_t)n) == 0 && evbuffer_add(out, data, len) == 0 &&
		evbuffer_add(out, "\r\n", 2) == 0);
}

static void http1_nudge(struct http_conn *c, struct http_req *r)
{
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static size_t http1_pending(const struct http_conn *c, const struct http_req *r)
{
	return http_bev_unsent(c->bev);
}

static void http1_end(struct http_conn *c, struct http_req *r)
{
	if (r->chunked && !r->stuck)
		MUST(bufferevent_write(c->bev, "0\r\n\r\n", 5) == 0);
	answered(c, r, r->head.keep_alive && !r->stuck);
}

static void http1_kill(struct http_conn *c, struct http_req *r)
{
	c->req = NULL;
	r->conn = NULL;
	http_conn_drop(c);
}

static void http1_stuck(struct http_conn *c, struct http_req *r)
{
	http_conn_drop_later(c);
}

static struct http_stream *http1_detach(struct http_conn *c, struct http_req *r, const char *proto)
{
	CLEANUP(str_done) struct str head = { 0 };

	if (proto) {
		str_add(&head, "HTTP/1.1 101 Switching Protocols\r\n");
		if (r->extra.len)
			str_addn(&head, r->extra.data, r->extra.len);
		str_addf(&head, "Connection: Upgrade\r\nUpgrade: %s\r\n\r\n", proto);
		MUST(bufferevent_write(c->bev, head.data, head.len) == 0);
	}
	c->req = NULL;
	r->conn = NULL;
	return http_conn_detach(c);
}

const struct http_framing http1_framing = {
	.serve = http1_serve,
	.sent = http1_sent,
	.eof = http1_eof,
	.timeout = http1_timeout,
	.stop = http1_stop,
	.retire = http1_retire,
	.gone = http1_gone,
	.free = http1_free,
	.reply = http1_reply,
	.stream = http1_stream,
	.write = http1_write,
	.nudge = http1_nudge,
	.pending = http1_pending,
	.end = http1_end,
	.kill = http1_kill,
	.stuck = http1_stuck,
	.detach = http1_detach,
};
