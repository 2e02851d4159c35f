/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_io.h"

#include "base/mem.h"
#include "base/ossl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void http_fd_tune(int fd)
{
	/* A silent peer is noticed within about a minute, whether it is being sent to or not. */
	static const struct {
		int level, name, value;
	} opts[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 30 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 10 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 60000 },
	};
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
		(domain != AF_INET && domain != AF_INET6))
		return;
	for (size_t i = 0; i < ARRAY_LEN(opts); i++)
		(void)setsockopt(fd, opts[i].level, opts[i].name, &opts[i].value, sizeof(int));
}

struct bufferevent *http_bev_new(struct loop *l, int fd, struct tls_ctx *tls, const char *host, struct err *e)
{
	struct bufferevent *bev;
	SSL *ssl;

	if (!tls) {
		bev = bufferevent_socket_new(loop_event_base(l), fd, HTTP_BEV_OPTIONS);
		MUST(bev);
	} else {
		ssl = tls_ssl_new(tls, host, e);
		if (!ssl) {
			close(fd);
			return NULL;
		}
		bev = bufferevent_openssl_socket_new(loop_event_base(l), fd, ssl,
			tls_is_server(tls) ? BUFFEREVENT_SSL_ACCEPTING : BUFFEREVENT_SSL_CONNECTING,
			HTTP_BEV_OPTIONS);
		MUST(bev);
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	}
	bufferevent_setwatermark(bev, EV_READ, 0, HTTP_READ_MARK);
	return bev;
}

int http_bev_err(struct bufferevent *bev, const char *what, struct err *e)
{
	int sys = EVUTIL_SOCKET_ERROR();
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	unsigned long lib = ssl ? bufferevent_get_openssl_error(bev) : 0;

	if (ssl && (lib || SSL_get_verify_result(ssl) != X509_V_OK || !SSL_is_init_finished(ssl)))
		return tls_conn_err(e, ssl, lib, what);
	if (ssl || !sys)
		return err_set(e, ERR_UNREACHABLE, "%s: connection lost", what);
	return err_set(e, ERR_UNREACHABLE, "%s: %s", what, strerror(sys));
}

size_t http_bev_unread(struct bufferevent *bev)
{
	return evbuffer_get_length(bufferevent_get_input(bev));
}

size_t http_bev_unsent(struct bufferevent *bev)
{
	return evbuffer_get_length(bufferevent_get_output(bev));
}

static size_t send_tls(SSL *ssl, const char *data, size_t len)
{
	size_t sent = 0, n;

	if (!SSL_is_init_finished(ssl))
		return 0;
	ERR_clear_error();
	while (sent < len && SSL_write_ex(ssl, data + sent, len - sent, &n) == 1)
		sent += n;
	ERR_clear_error(); /* libevent meets the same error with the rest */
	return sent;
}

static size_t send_now(struct bufferevent *bev, const char *data, size_t len)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	ssize_t n;

	if (len > HTTP_SEND_NOW_MAX || http_bev_unsent(bev) || !(bufferevent_get_enabled(bev) & EV_WRITE))
		return 0;
	if (ssl)
		return send_tls(ssl, data, len);
	n = send(bufferevent_getfd(bev), data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

/* The rest is one piece of memory: OpenSSL wants a write it could not end repeated with no fewer bytes. */
void http_bev_send(struct bufferevent *bev, const void *data, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(bev);
	size_t sent = send_now(bev, data, len);

	if (sent < len)
		MUST(evbuffer_expand(out, len - sent) == 0 &&
			evbuffer_add(out, (const char *)data + sent, len - sent) == 0);
}

/* With dirty shutdowns allowed, libevent's TLS calls a write that failed (EPIPE) an end, and would call it so again and again. */
bool http_bev_eof(short what)
{
	return (what & BEV_EVENT_EOF) && !(what & BEV_EVENT_WRITING);
}

void http_bev_shut(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (ssl && SSL_is_init_finished(ssl)) {
		(void)SSL_shutdown(ssl);
		ERR_clear_error();
	}
	(void)shutdown(bufferevent_getfd(bev), SHUT_WR);
}

struct closer {
	struct bufferevent *bev;
	struct loop_timer *timer;
	bool linger, shut;
};

static void closer_end(void *arg)
{
	struct closer *c = arg;

	loop_timer_free(c->timer);
	bufferevent_free(c->bev);
	free(c);
}

static void closer_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	evbuffer_drain(in, evbuffer_get_length(in));
}

static void closer_sent(struct bufferevent *bev, void *arg)
{
	struct closer *c = arg;

	if (c->shut || http_bev_unsent(bev))
		return;
	if (!c->linger) {
		closer_end(c);
		return;
	}
	c->shut = true;
	http_bev_shut(bev);
	loop_timer_set(c->timer, HTTP_LINGER_TIMEOUT_MS);
}

static void closer_event(struct bufferevent *bev, short what, void *arg)
{
	struct closer *c = arg;

	if (http_bev_eof(what) && http_bev_unsent(bev) && !c->shut) {
		c->linger = false; /* nothing more will come */
		bufferevent_enable(bev, EV_WRITE);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		closer_end(c);
	}
}

void http_bev_close(struct loop *l, struct bufferevent *bev, bool linger)
{
	struct closer *c;
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if ((ssl && !SSL_is_init_finished(ssl)) || (!linger && !http_bev_unsent(bev))) {
		bufferevent_free(bev);
		return;
	}
	c = MEM_NEW(struct closer);
	c->bev = bev;
	c->linger = linger;
	c->timer = loop_timer_new(l, closer_end, c);
	loop_timer_at_end(c->timer); /* nobody else knows of it */
	loop_timer_set(c->timer, HTTP_FLUSH_TIMEOUT_MS);
	bufferevent_setcb(bev, closer_read, closer_sent, closer_event, c);
	closer_read(bev, c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	closer_sent(bev, c);
}
