/* SPDX-License-Identifier: Apache-2.0 */
/* base/http2_client.h - the client's side of HTTP/2 (RFC 9113): one connection, many streams, on the loop; over TLS (ALPN h2) or
 * plain with prior knowledge. For servers that speak nothing else (gRPC). Besides the server's side the only user of nghttp2.
 *
 * Nothing calls back from inside a call of this interface. What is written in one turn leaves in one piece at its end. */
#pragma once

#include "base/err.h"
#include "base/http.h"

#define HTTP2_WINDOW (8 * 1024 * 1024)       /* unread bytes a stream may be sent */
#define HTTP2_CONN_WINDOW (64 * 1024 * 1024) /* and all streams of a connection */
#define HTTP2_HEADERS_MAX 64                 /* of one answer, trailers included */

struct http2_client;
struct http2_client_spec {
	const char *host;
	int port;
	struct tls_ctx *tls;    /* made with alpn "h2"; NULL: plain */
	int connect_timeout_ms; /* resolving, connecting and the TLS handshake */
};
struct http2_client_ops {
	void (*ready)(void *arg); /* connected: streams leave at once (before that they wait) */
	/* The connection failed or ended, and all its streams with it, without a word to them. The client is to be freed. */
	void (*closed)(void *arg, const struct err *e);
};
struct http2_client *http2_client_new(
	struct loop *l, const struct http2_client_spec *spec, const struct http2_client_ops *ops, void *arg);
void http2_client_free(struct http2_client *c); /* its streams too; no more callbacks. NULL is fine */
int64_t http2_client_heard(const struct http2_client *c); /* mono ms of the last bytes that came */

struct http2_stream;
struct http2_answer {
	int status;                        /* 0: none came */
	const struct http_header *headers; /* and trailers */
	size_t n;
	uint32_t error; /* code of the reset (RFC 9113 7), 0: a clean end */
};
struct http2_stream_ops {
	void (*data)(void *arg, const void *data, size_t len);
	/* Last call; the stream is gone when it returns. */
	void (*done)(void *arg, const struct http2_answer *a);
};
/* A POST; headers besides the pseudo ones. Names and values are copied. */
struct http2_stream *http2_post(struct http2_client *c, const char *path, const struct http_header *headers,
	size_t n, const struct http2_stream_ops *ops, void *arg);
void http2_stream_write(struct http2_stream *s, const void *data, size_t len);
void http2_stream_end(struct http2_stream *s);    /* of our side */
void http2_stream_cancel(struct http2_stream *s); /* no more callbacks; gone. NULL is fine */
const char *http2_answer_header(const struct http2_answer *a, const char *name);
