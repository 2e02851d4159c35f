/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include "base/http_conn.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
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

static void server_unref(struct http_server *s)
{
	if (--s->refs)
		return;
	tls_unref(s->tls);
	str_done(&s->scratch);
	free(s->frame);
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
	c->framing->free(c);
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

void http_conn_enter(struct http_conn *c)
{
	c->busy++;
}

void http_conn_leave(struct http_conn *c)
{
	if (!--c->busy && c->dead)
		conn_free(c);
}

/* The connection is over (its bufferevent is gone); whoever is below us on the stack frees it. */
static void conn_dead(struct http_conn *c)
{
	http_conn_enter(c);
	c->dead = true;
	loop_timer_stop(c->timer);
	c->framing->gone(c);
	http_conn_leave(c);
}

void http_conn_drop(struct http_conn *c)
{
	bufferevent_free(TAKE(c->bev));
	conn_dead(c);
}

void http_conn_drop_later(struct http_conn *c)
{
	c->stuck = true;
	loop_timer_set(c->timer, 0);
}

void http_conn_close(struct http_conn *c, bool linger)
{
	http_bev_close(c->srv->loop, TAKE(c->bev), linger);
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
	conn_dead(c);
	return st;
}

void http_conn_deadline(struct http_conn *c, int64_t in_ms)
{
	c->deadline = loop_mono_ms(c->srv->loop) + in_ms;
	if (loop_timer_armed(c->timer) && c->rings_at <= c->deadline)
		return;
	c->rings_at = c->deadline;
	loop_timer_set(c->timer, in_ms);
}

static void conn_timeout(void *arg)
{
	struct http_conn *c = arg;
	int64_t left = c->deadline - loop_mono_ms(c->srv->loop);

	if (c->stuck)
		http_conn_drop(c);
	else if (c->deadline && left > 0)
		http_conn_deadline(c, left);
	else if (c->deadline)
		c->framing->timeout(c);
}

static void conn_read(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	c->framing->serve(c);
}

static void conn_sent(struct bufferevent *bev, void *arg)
{
	struct http_conn *c = arg;

	c->framing->sent(c);
}

/* The handshake has settled which version it is. */
static void conn_shaken(struct http_conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
	const unsigned char *proto = NULL;
	unsigned int len = 0;

	if (ssl)
		SSL_get0_alpn_selected(ssl, &proto, &len);
	if (len == 2 && memcmp(proto, "h2", 2) == 0)
		http2_start(c);
}

static void conn_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_conn *c = arg;

	if (what & BEV_EVENT_CONNECTED)
		conn_shaken(c);
	else if (http_bev_eof(what))
		c->framing->eof(c);
	else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		http_conn_drop(c);
}

/* ---- what the server says itself ---- */

const char *http_reject_body(struct http_server *s, int status, const char *why, struct str *body)
{
	if (s->reject)
		return s->reject(s->arg, status, why, body);
	str_addf(body, "%s\n", why);
	return "text/plain; charset=utf-8";
}

bool http_body_room(struct http_server *s, struct http_req *r, size_t more)
{
	if (more > HTTP_BODIES_MAX - s->bodies)
		return false;
	s->bodies += more;
	r->counted += more;
	return true;
}

void http_body_arrived(struct http_server *s, struct http_req *r)
{
	s->bodies -= r->counted;
	r->counted = 0;
}

/* ---- listening ---- */

static char *peer_name(const struct sockaddr *sa)
{
	char ip[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 16] = "unix";

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		(void)snprintf(text, sizeof(text), "%s:%d", ip, ntohs(in->sin_port));
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
		(void)snprintf(text, sizeof(text), "[%s]:%d", ip, ntohs(in->sin6_port));
	}
	return mem_strdup(text);
}

static struct http_conn *conn_new(struct http_server *s, struct bufferevent *bev, bool h2)
{
	struct http_conn *c = MEM_NEW(struct http_conn);

	c->srv = s;
	s->refs++;
	s->n_conns++;
	c->bev = bev;
	c->framing = &http1_framing;
	c->timer = loop_timer_new(s->loop, conn_timeout, c);
	c->next = s->conns;
	c->prev = &s->conns;
	if (c->next)
		c->next->prev = &c->next;
	s->conns = c;
	http_conn_deadline(c, s->head_timeout_ms);
	bufferevent_setcb(bev, conn_read, conn_sent, conn_event, c);
	if (h2)
		http2_start(c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	return c;
}

void http_server_take_fd(struct http_server *s, int fd, bool h2)
{
	(void)conn_new(s, http_bev_new(s->loop, fd, NULL, NULL, NULL), h2);
}

static void server_accept(
	struct evconnlistener *el, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct http_server *s = arg;
	struct bufferevent *bev = NULL;
	struct http_conn *c;
	/* TLS is for the network; a Unix socket is guarded by its mode */
	bool tls = s->tls && sa->sa_family != AF_UNIX;
	bool refusing = s->n_conns >= s->conns_max;

	if (refusing && s->n_conns - s->conns_max >= HTTP_REFUSALS_MAX) {
		close(fd);
		return;
	}
	http_fd_tune(fd);
	bev = http_bev_new(s->loop, fd, tls ? s->tls : NULL, NULL, NULL);
	if (!bev)
		return;
	c = conn_new(s, bev, false);
	c->peer = peer_name(sa);
	c->refusing = refusing;
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
	s->reject = spec->reject;
	s->arg = spec->arg;
	s->body_max = spec->body_max ? spec->body_max : HTTP_BODY_MAX;
	s->conns_max = spec->conns_max ? spec->conns_max : HTTP_CONNS_MAX;
	s->streams_max = spec->streams_max ? spec->streams_max : HTTP_STREAMS_MAX;
	s->head_timeout_ms = spec->head_timeout_ms ? spec->head_timeout_ms : HTTP_HEAD_TIMEOUT_MS;
	s->body_timeout_ms = spec->body_timeout_ms ? spec->body_timeout_ms : HTTP_BODY_TIMEOUT_MS;
	s->idle_timeout_ms = spec->idle_timeout_ms ? spec->idle_timeout_ms : HTTP_IDLE_TIMEOUT_MS;
	s->resume = loop_timer_new(l, server_resume, s);
	return s;
}

void http_server_set_tls(struct http_server *s, struct tls_ctx *tls)
{
	CLEANUP(tls_unrefp) struct tls_ctx *old = s->tls;
	struct http_conn *c, *next;

	s->tls = tls_ref(tls);
	if (tls_same_clients(tls, old))
		return;
	for (c = s->conns; c; c = next) {
		next = c->next;
		if (!c->bev || c->retired || !bufferevent_openssl_get_ssl(c->bev))
			continue;
		c->retired = true;
		c->framing->retire(c);
	}
}

size_t http_server_conns(const struct http_server *s)
{
	return s->n_conns;
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
		if (c) {
			c->stopped = true;
			if (c->bev)
				c->framing->stop(c);
		}
	} while (c);
	server_unref(s);
}
