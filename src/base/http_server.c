/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/http_conn.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_BACKLOG 1024
#define ACCEPT_RETRY_MS 100
#define UNSENT_MAX (256 * 1024) /* of earlier answers; the next request waits while there is more */
#define BODY_ROOM_FIRST (64 * 1024)

static void server_unref(struct http_server *s)
{
	if (--s->refs)
		return;
	tls_unref(s->tls);
	free(s);
}

/* ---- connections: life ---- */

static void conn_free(struct http_conn *c)
{
	struct http_server *s = c->srv;

	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	loop_timer_free(c->timer);
	if (c->cert) {
		free(c->cert->cn);
		strv_done(&c->cert->orgs);
		free(c->cert);
	}
	free(c->peer);
	free(c);
	server_unref(s);
}

/* The connection is over (its bufferevent is gone); whoever is below us on the stack frees it. */
static void conn_dead(struct http_conn *c)
{
	c->dead = true;
	loop_timer_stop(c->timer);
	if (!c->busy)
		conn_free(c);
}

static void conn_end_req(struct http_conn *c)
{
	struct http_req *r = c->req;

	if (!r)
		return;
	c->req = NULL;
	r->conn = NULL;
	if (c->state == CONN_ANSWER)
		http_req_gone(r);
	else
		http_req_free(r); /* its handler never saw it */
}

void http_conn_drop(struct http_conn *c)
{
	c->busy++;
	bufferevent_free(TAKE(c->bev));
	conn_end_req(c);
	c->busy--;
	conn_dead(c);
}

void http_conn_drop_later(struct http_conn *c)
{
	c->stuck = true;
	loop_timer_set(c->timer, 0);
}

/* Flushes and closes in the background. */
static void conn_close(struct http_conn *c, bool linger)
{
	http_bev_close(c->srv->loop, TAKE(c->bev), linger);
	conn_end_req(c);
	conn_dead(c);
}

static void server_gone(void *arg)
{
	struct http_server *s = arg;

	s->n_conns--;
	server_unref(s);
}

struct http_stream *http_conn_detach(struct http_conn *c)
{
	struct http_server *s = c->srv;
	struct http_stream *st = http_stream_adopt(s->loop, TAKE(c->bev), server_gone, s);

	s->n_conns++; /* the stream counts on */
	s->refs++;
	c->req = NULL;
	conn_dead(c);
	return st;
}

/* Deadlines move with every request; the timer is only set when it would ring too late. */
static void conn_deadline(struct http_conn *c, int64_t in_ms)
{
	c->deadline = loop_mono_ms(c->srv->loop) + in_ms;
	if (loop_timer_armed(c->timer) && c->rings_at <= c->deadline)
		return;
	c->rings_at = c->deadline;
	loop_timer_set(c->timer, in_ms);
}

static void conn_refuse(struct http_conn *c, int status, const char *why);

static void conn_timeout(void *arg)
{
	struct http_conn *c = arg;
	int64_t left = c->deadline - loop_mono_ms(c->srv->loop);

	if (c->stuck) {
		http_conn_drop(c);
		return;
	}
	if (!c->deadline)
		return;
	if (left > 0)
		conn_deadline(c, left);
	else if (c->state == CONN_BODY || (c->state == CONN_HEAD && http_bev_unread(c->bev)))
		conn_refuse(c, 408, "the request did not arrive in time");
	else
		http_conn_drop(c);
}

/* ---- reading requests ---- */

/* An answer to something that never became a request; ends the connection. */
static void conn_refuse(struct http_conn *c, int status, const char *why)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = { { 400, "Bad Request" }, { 408, "Request Timeout" },
		{ 413, "Request Entity Too Large" }, { 431, "Request Header Fields Too Large" },
		{ 501, "Not Implemented" } };
	const char *reason = "Error";

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			reason = reasons[i].reason;
	evbuffer_add_printf(bufferevent_get_output(c->bev),
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s\n",
		status, reason, strlen(why) + 1, why);
	conn_close(c, true);
}

static void conn_refuse_err(struct http_conn *c, const struct err *e)
{
	conn_refuse(c, e->code == ERR_TOO_LARGE ? 431 : e->code == ERR_NOT_IMPLEMENTED ? 501 : 400, e->msg);
}

static int req_parse_target(struct http_req *r, struct err *e)
{
	CLEANUP(str_done) struct str path = { 0 };
	const char *t = r->head.target, *q = strchr(t, '?');

	if (url_decode(t, q ? (size_t)(q - t) : strlen(t), false, &path, e) < 0)
		return -1;
	r->path = str_take(&path);
	return q ? url_query_parse(q + 1, &r->query, e) : 0;
}

/* The head is there: may its body come? false: refused */
static bool conn_begin_req(struct http_conn *c, struct http_req *r)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	r->conn = c;
	c->req = r;
	c->state = CONN_BODY;
	c->scan = (struct http_scan){ 0 };
	c->chunked = (struct http_chunked){ 0 };
	/* an upgrade with a body is an ordinary request (RFC 9110 7.8) */
	if (r->head.body != HTTP_NO_BODY) {
		r->head.upgrade = false;
		conn_deadline(c, c->srv->body_timeout_ms);
	}
	if (r->head.body == HTTP_BODY_LENGTH && r->head.length > c->srv->body_max) {
		conn_refuse(c, 413, "request body is too large");
		return false;
	}
	if (r->head.body != HTTP_NO_BODY && r->head.expect_continue && !evbuffer_get_length(in))
		evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
	return true;
}

/* false: no whole head yet, or refused */
static bool conn_read_head(struct http_conn *c)
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
			conn_deadline(c, c->srv->head_timeout_ms);
		return false;
	}
	if (n < 0) {
		conn_refuse_err(c, &e);
		return false;
	}
	r = MEM_NEW(struct http_req);
	r->loop = c->srv->loop;
	if (http_request_parse(data, (size_t)n, &r->head, &e) < 0 || req_parse_target(r, &e) < 0) {
		http_req_free(r);
		conn_refuse_err(c, &e);
		return false;
	}
	evbuffer_drain(in, (size_t)n);
	return conn_begin_req(c, r);
}

static bool body_length(struct http_conn *c, struct evbuffer *in)
{
	struct http_req *r = c->req;
	size_t want = (size_t)r->head.length - r->body.len, have = evbuffer_get_length(in);
	size_t n = have < want ? have : want;

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

/* 1: complete; 0: more to come; -1: refused */
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
			conn_refuse_err(c, &e);
			return -1;
		}
		if (len > c->srv->body_max - r->body.len) {
			conn_refuse(c, 413, "request body is too large");
			return -1;
		}
		if (len)
			str_addn(&r->body, piece, len);
		evbuffer_drain(in, (size_t)n);
	}
	return c->chunked.done;
}

static bool conn_read_body(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	if (c->req->head.body == HTTP_BODY_LENGTH)
		return body_length(c, in);
	if (c->req->head.body == HTTP_BODY_CHUNKED)
		return body_chunked(c, in) > 0;
	return true;
}

/* Serves what has arrived, request after request, until one is being answered later. */
static void conn_serve(struct http_conn *c)
{
	c->busy++;
	while (!c->dead && c->state != CONN_ANSWER) {
		if (c->state == CONN_HEAD && (http_bev_unsent(c->bev) > UNSENT_MAX || !conn_read_head(c)))
			break;
		if (!conn_read_body(c))
			break;
		c->state = CONN_ANSWER;
		c->deadline = 0;
		c->srv->handler(c->srv->arg, c->req);
	}
	c->busy--;
	if (c->dead)
		conn_free(c);
}

void http_conn_answered(struct http_conn *c, bool keep)
{
	c->req = NULL;
	if (!keep || c->srv->stopping) {
		conn_close(c, http_bev_unread(c->bev) > 0);
		return;
	}
	c->state = CONN_HEAD;
	conn_deadline(c, c->srv->idle_timeout_ms);
	if (!c->busy && http_bev_unread(c->bev))
		bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

static void conn_read(struct bufferevent *bev, void *arg)
{
	conn_serve(arg);
}

static void conn_sent(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	if (c->state == CONN_HEAD && http_bev_unread(bev)) {
		conn_serve(c);
	} else if (c->req && c->req->drained_fn && !http_bev_unsent(bev)) {
		c->busy++;
		c->req->drained_fn(c->req->drained_arg);
		c->busy--;
		if (c->dead)
			conn_free(c);
	}
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	if (http_bev_eof(what) && c->state == CONN_HEAD && http_bev_unsent(bev)) {
		bufferevent_enable(bev, EV_WRITE);
		conn_close(c, false); /* the answers before it still go out */
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		http_conn_drop(c);
	}
}

/* ---- listening ---- */

static char *peer_name(const struct sockaddr *sa)
{
	char ip[INET6_ADDRSTRLEN] = "";

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		return str_printf("%s:%d", ip, ntohs(in->sin_port));
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
		return str_printf("[%s]:%d", ip, ntohs(in->sin6_port));
	}
	return mem_strdup("unix");
}

static void server_accept(
	struct evconnlistener *el, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct http_server *s = arg;
	struct bufferevent *bev = NULL;
	struct http_conn *c;
	/* TLS is for the network; a Unix socket is guarded by its mode */
	bool tls = s->tls && sa->sa_family != AF_UNIX;

	if (s->n_conns >= s->conns_max) {
		close(fd);
		return;
	}
	http_fd_tune(fd);
	bev = http_bev_new(s->loop, fd, tls ? s->tls : NULL, NULL, NULL);
	if (!bev)
		return;
	c = MEM_NEW(struct http_conn);
	c->srv = s;
	s->refs++;
	s->n_conns++;
	c->bev = bev;
	c->peer = peer_name(sa);
	c->timer = loop_timer_new(s->loop, conn_timeout, c);
	c->next = s->conns;
	c->prev = &s->conns;
	if (c->next)
		c->next->prev = &c->next;
	s->conns = c;
	conn_deadline(c, s->head_timeout_ms);
	bufferevent_setcb(bev, conn_read, conn_sent, conn_event, c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void server_resume(void *arg)
{
	struct http_server *s = arg;

	for (size_t i = 0; i < s->n_listeners; i++)
		evconnlistener_enable(s->listeners[i]);
}

/* Out of descriptors, most likely: the backlog stays readable, so wait instead of spinning. */
static void server_accept_failed(struct evconnlistener *el, void *arg)
{
	struct http_server *s = arg;

	log_error("accepting a connection: %s", strerror(EVUTIL_SOCKET_ERROR()));
	for (size_t i = 0; i < s->n_listeners; i++)
		evconnlistener_disable(s->listeners[i]);
	loop_timer_set(s->resume, ACCEPT_RETRY_MS);
}

static void server_add_listener(struct http_server *s, int fd)
{
	struct evconnlistener *el = evconnlistener_new(loop_event_base(s->loop), server_accept, s,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0 /* listens already */, fd);

	MUST(el);
	evconnlistener_set_error_cb(el, server_accept_failed);
	s->listeners = mem_grow(
		s->listeners, &s->listeners_cap, s->n_listeners + 1, sizeof(struct evconnlistener *));
	s->listeners[s->n_listeners++] = el;
}

static int listen_tcp(const struct addrinfo *a, int *ret_port, struct err *e)
{
	CLEANUP(fd_closep) int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	int on = 1, ret;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, ACCEPT_BACKLOG) < 0 ||
		getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return err_sys(e, "socket");
	*ret_port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
						   : ((struct sockaddr_in *)&sa)->sin_port);
	ret = fd;
	fd = -1;
	return ret;
}

int http_server_listen(struct http_server *s, const char *host, int port, int *ret_port, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *list = NULL;
	char text[16];
	int fd, rc, got_port = 0;

	if (!host || str_eq(host, "localhost"))
		host = "127.0.0.1";
	(void)snprintf(text, sizeof(text), "%d", port);
	rc = getaddrinfo(host, text, &hints, &list);
	if (rc)
		return err_set(e, ERR_BAD_REQUEST, "listen on %s port %d: %s", host, port, gai_strerror(rc));
	fd = listen_tcp(list, &got_port, e);
	freeaddrinfo(list);
	if (fd < 0)
		return err_wrap(e, "listen on %s port %d", host, port);
	server_add_listener(s, fd);
	if (ret_port)
		*ret_port = got_port;
	return 0;
}

int http_server_listen_unix(struct http_server *s, const char *path, int mode, struct err *e)
{
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (!str_copy(un.sun_path, sizeof(un.sun_path), path))
		return err_set(e, ERR_BAD_REQUEST, "listen on %s: path is too long for a socket", path);
	(void)unlink(path);
	/* nobody gets in between bind() and listen(), so the mode is set in time */
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || chmod(path, (mode_t)mode) < 0 ||
		listen(fd, ACCEPT_BACKLOG) < 0)
		return err_sys(e, "listen on %s", path);
	server_add_listener(s, fd);
	fd = -1;
	return 0;
}

/* ---- the server ---- */

struct http_server *http_server_new(struct loop *l, const struct http_server_spec *spec)
{
	struct http_server *s = MEM_NEW(struct http_server);

	s->loop = l;
	s->refs = 1;
	s->tls = tls_ref(spec->tls);
	s->handler = spec->handler;
	s->arg = spec->arg;
	s->body_max = spec->body_max ? spec->body_max : HTTP_BODY_MAX;
	s->conns_max = spec->conns_max ? spec->conns_max : HTTP_CONNS_MAX;
	s->head_timeout_ms = spec->head_timeout_ms ? spec->head_timeout_ms : HTTP_HEAD_TIMEOUT_MS;
	s->body_timeout_ms = spec->body_timeout_ms ? spec->body_timeout_ms : HTTP_BODY_TIMEOUT_MS;
	s->idle_timeout_ms = spec->idle_timeout_ms ? spec->idle_timeout_ms : HTTP_IDLE_TIMEOUT_MS;
	s->resume = loop_timer_new(l, server_resume, s);
	return s;
}

void http_server_set_tls(struct http_server *s, struct tls_ctx *tls)
{
	struct tls_ctx *old = s->tls;

	s->tls = tls_ref(tls);
	tls_unref(old);
}

size_t http_server_conns(const struct http_server *s)
{
	return s->n_conns;
}

/* A stream ends as such, so that watchers know there is no more to come (kubernetes-api.md 8, 69). */
static void conn_stop(struct http_conn *c)
{
	c->stopped = true;
	if (!c->bev)
		return;
	if (c->state != CONN_ANSWER) {
		conn_close(c, false);
	} else if (c->req->state == REQ_STREAMING) {
		if (c->req->chunked)
			evbuffer_add_printf(bufferevent_get_output(c->bev), "0\r\n\r\n");
		conn_close(c, false);
	}
}

void http_server_free(struct http_server *s)
{
	struct http_conn *c;

	if (!s)
		return;
	s->stopping = true;
	for (size_t i = 0; i < s->n_listeners; i++)
		evconnlistener_free(s->listeners[i]);
	free(s->listeners);
	s->listeners = NULL;
	s->n_listeners = 0;
	loop_timer_free(TAKE(s->resume));
	/* from the start each time: an abort callback may end other requests */
	do {
		for (c = s->conns; c && c->stopped; c = c->next)
			;
		if (c)
			conn_stop(c);
	} while (c);
	server_unref(s);
}
