/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_io.h - connections below HTTP: dialling, closing, errors, streams over a bufferevent. Private to
 * base/http_*.c. All bufferevents here are made with BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS: nothing calls
 * back from inside a call. */
#pragma once

#include "base/http.h"

struct bufferevent;

#define HTTP_BEV_OPTIONS (BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)
#define HTTP_READ_MARK (HTTP_HEAD_MAX + 4096) /* unread bytes of a connection; reading stops there */
#define HTTP_SEND_NOW_MAX (64 * 1024)         /* longer ones are sent as the socket takes them */
#define HTTP_FLUSH_TIMEOUT_MS 30000           /* to get rid of the last bytes of a connection */
#define HTTP_LINGER_TIMEOUT_MS 2000           /* to read on after them */

void http_fd_tune(int fd); /* no delay, keep-alive probes; no-op for Unix sockets */
/* A bufferevent over a connected fd (taken), plain when tls is NULL. Callbacks unset, nothing enabled. */
struct bufferevent *http_bev_new(
	struct loop *l, int fd, struct tls_ctx *tls, const char *host, struct err *e);
/* What an error or EOF event means. Returns -1. */
int http_bev_err(struct bufferevent *bev, const char *what, struct err *e);
size_t http_bev_unread(struct bufferevent *bev);
size_t http_bev_unsent(struct bufferevent *bev);
/* Adds to what is to be sent. Where nothing waits before it, the socket gets it at once: libevent would first ask epoll
 * whether it may write, which costs more than writing. What the socket does not take goes the usual way, errors too. No
 * callback tells when all has been sent at once. */
void http_bev_send(struct bufferevent *bev, const void *data, size_t len);
bool http_bev_eof(short what); /* the peer sends no more; a connection that broke while we wrote is none */
/* Takes bev: flushes and frees it, in the background. linger: the peer may still be sending; read it away, so that no
 * reset destroys our last bytes. */
void http_bev_close(struct loop *l, struct bufferevent *bev, bool linger);
/* Sends the end of our direction. */
void http_bev_shut(struct bufferevent *bev);

/* A stream that owns bev; gone (may be NULL) tells when it has been freed. */
struct http_stream *http_stream_adopt(struct loop *l, struct bufferevent *bev, loop_fn *gone, void *gone_arg);
struct loop *http_stream_loop(const struct http_stream *s);
/* A stream that only reports its failure. */
struct http_stream *http_stream_dead(struct loop *l, const struct err *why);
/* fn instead of closed() at the end of the peer's direction; the stream stays writable. */
void http_stream_on_eof(struct http_stream *s, loop_fn *fn);
void http_stream_shut(struct http_stream *s); /* end of our direction, once everything is sent */

struct http_dial_spec {
	const char *host, *unix_path;
	int port, timeout_ms;
	struct tls_ctx *tls;
};
struct http_dial;
typedef void http_dial_fn(
	void *arg, struct bufferevent *bev /* taken; NULL on failure */, const struct err *e);
/* Resolves, connects, shakes hands. Calls back exactly once, later, unless cancelled. */
struct http_dial *http_dial_new(
	struct loop *l, const struct http_dial_spec *spec, http_dial_fn *fn, void *arg);
void http_dial_cancel(struct http_dial *d); /* NULL is fine */
