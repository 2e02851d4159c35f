/* SPDX-License-Identifier: Apache-2.0 */
/* base/http.h - HTTP for both sides, over TCP, TLS or Unix sockets, on the loop.
 *
 * Server: HTTP/1.1, and HTTP/2 where a TLS client asks for it (ALPN); the handler sees no difference but that upgrades
 * exist in 1.1 only. One callback per request, called when head and body have arrived (bodies are bounded), or when the
 * head has arrived for requests that ask for an upgrade. The handler answers at once or later through the struct http_req; it
 * may stream (http_req_stream, _write, _end) with back-pressure, or take the raw connection over (http_req_upgrade).
 * Client: HTTP/1.1, one request at a time per pooled connection, bodies streamed to a callback.
 *
 * Every limit is a field of http_server_spec with a named default. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "base/tls.h"

#define HTTP_HEAD_MAX (64 * 1024)
#define HTTP_BODY_MAX (3 * 1024 * 1024) /* kubernetes-api.md 2.1: 413 beyond */
#define HTTP_HEADERS_MAX 100
#define HTTP_CONNS_MAX 12000
#define HTTP_REFUSALS_MAX 64 /* connections over that ceiling that are told so; more are closed at once */
#define HTTP_STREAMS_MAX 250 /* requests under way on one HTTP/2 connection */
#define HTTP_BODIES_MAX \
	(256 * 1024 * 1024) /* bytes of bodies that are arriving, of all connections: 503 beyond */
#define HTTP_HEAD_TIMEOUT_MS 10000
#define HTTP_BODY_TIMEOUT_MS 60000
#define HTTP_IDLE_TIMEOUT_MS 180000
#define HTTP_STREAM_BUFFER_MAX (4 * 1024 * 1024) /* unsent bytes of a stream before it counts as stuck */

struct http_header {
	const char *name, *value;
};

/* ---- byte streams: an upgraded or raw connection ---- */
struct http_stream;
struct http_stream_ops {
	void (*data)(void *arg, const void *data, size_t len);
	void (*drained)(void *arg); /* everything written has left; may be NULL */
	/* e->code ERR_NONE: clean end. Last call ever: the stream is gone when it returns, after sending what is unsent on a
	 * clean end. */
	void (*closed)(void *arg, const struct err *e);
};
void http_stream_start(struct http_stream *s, const struct http_stream_ops *ops, void *arg);
void http_stream_write(struct http_stream *s, const void *data, size_t len);
size_t http_stream_pending(const struct http_stream *s);    /* unsent bytes */
void http_stream_pause(struct http_stream *s, bool paused); /* stop reading: back-pressure */
void http_stream_close(struct http_stream *s); /* flushes, then closes and frees; no more callbacks */
/* Joins two streams with back-pressure; both are owned by the pipe, which ends when either does. */
typedef void http_pipe_done_fn(void *arg);
void http_stream_pipe(struct http_stream *a, struct http_stream *b, http_pipe_done_fn *fn, void *arg);
/* A Unix socket of another program as a stream. */
struct http_stream *http_stream_unix(struct loop *l, const char *path, struct err *e);
/* A TCP connection as a stream; connection failure arrives through closed(). */
struct http_stream *http_stream_tcp(struct loop *l, const char *host, int port, struct err *e);
struct http_stream *http_stream_fd(struct loop *l, int fd /* taken */);

/* ---- server ---- */
struct http_server;
struct http_req; /* lives until the answer is complete or the connection is gone */
typedef void http_handler_fn(void *arg, struct http_req *r);
/* Writes the body of an answer that the server gives without asking the handler: 400 (not HTTP), 408 (too slow), 413, 431
 * (too large), 501, 503 (too much at once). Returns its media type. */
typedef const char *http_reject_fn(void *arg, int status, const char *why, struct str *body);

struct http_server_spec {
	struct tls_ctx *tls; /* NULL: plain; Unix sockets always are */
	http_handler_fn *handler;
	http_reject_fn *reject; /* NULL: plain text */
	void *arg;              /* of both */
	/* 0: the defaults above */
	size_t body_max, conns_max, streams_max;
	int head_timeout_ms, body_timeout_ms, idle_timeout_ms;
};
struct http_server *http_server_new(struct loop *l, const struct http_server_spec *spec);
/* host NULL: 127.0.0.1. port 0: any; *ret_port tells (may be NULL). May be called several times. */
int http_server_listen(struct http_server *s, const char *host, int port, int *ret_port, struct err *e);
int http_server_listen_unix(struct http_server *s, const char *path, int mode, struct err *e);
/* For connections to come. If the context believes other client CAs than the one before it, the connections of that one are
 * retired: idle ones close, others when their answers are complete (Connection: close, GOAWAY; watches go on to their end), so
 * that no client goes on for ever with a certificate that nobody would accept any more, and is told 401 for it. */
void http_server_set_tls(struct http_server *s, struct tls_ctx *tls);
/* Stops accepting; idle connections close, busy ones finish (streams end cleanly and get their abort callback). */
void http_server_free(struct http_server *s);
size_t http_server_conns(const struct http_server *s);

const char *http_req_method(const struct http_req *r);
const char *http_req_path(const struct http_req *r);     /* decoded, without query */
const char *http_req_raw_path(const struct http_req *r); /* as sent, with query */
/* First value of a query parameter, decoded; NULL if absent, "" for a bare name. */
const char *http_req_query(const struct http_req *r, const char *name);
/* All parameters in order; *i starts at 0. false at the end. */
bool http_req_query_each(const struct http_req *r, size_t *i, const char **ret_name, const char **ret_value);
const char *http_req_header(
	const struct http_req *r, const char *name); /* case-insensitive; several are joined ", " */
bool http_req_header_each(const struct http_req *r, size_t *i, struct http_header *ret);
const char *http_req_body(const struct http_req *r, size_t *ret_len);
bool http_req_wants_upgrade(const struct http_req *r); /* Connection: upgrade */
/* Verified client certificate: CN and Os; false if the client showed none. Borrowed. */
bool http_req_client_cert(const struct http_req *r, const char **ret_cn, const struct strv **ret_orgs);
/* SHA-256 over the issuing CA's DER, hex; tells front-proxy from user certificates. NULL without certificate. */
const char *http_req_client_issuer(const struct http_req *r);
const char *http_req_peer(const struct http_req *r); /* "127.0.0.1:4711" or "unix" */
/* The caller's context for this request; freed by fn when the request ends. */
void http_req_set_ctx(struct http_req *r, void *ctx, void (*free_fn)(void *));
void *http_req_ctx(const struct http_req *r);
/* Called once if the client goes away before the answer is complete; r is gone when it returns. Without it, r stays
 * valid until it is answered into the void: every request is answered, killed, or has an abort callback. */
void http_req_on_abort(struct http_req *r, loop_fn *fn, void *arg);

/* Called once when the answer begins, whoever gives it; 101 for an upgrade. Not if the request ends without one. */
typedef void http_answer_fn(void *arg, int status);
void http_req_on_answer(struct http_req *r, http_answer_fn *fn, void *arg);

void http_req_add_header(struct http_req *r, const char *name, const char *value); /* before the answer */
/* Whole answer; body is copied. type may be NULL. Ends the request. gzip: compress if the client takes it and len is
 * over 128 KiB. */
void http_req_reply(struct http_req *r, int status, const char *type, const void *body, size_t len);
/* Before http_req_stream(): compress if the client takes gzip. For long answers whose pieces need not arrive at once. */
void http_req_compress(struct http_req *r);
/* Streaming answer. The body of the request is gone once it has begun. */
void http_req_stream(struct http_req *r, int status, const char *type);
void http_req_write(struct http_req *r, const void *data, size_t len);
/* Unsent bytes of this answer; HTTP/2: without what waits in the connection's own, bounded buffer. */
size_t http_req_pending(const struct http_req *r);
/* Called each time everything written to a streaming answer has left (in that sense). A stream with more than
 * HTTP_STREAM_BUFFER_MAX unsent bytes when more is written is killed (abort callback, in a later turn). */
void http_req_on_drained(struct http_req *r, loop_fn *fn, void *arg);
void http_req_end(struct http_req *r);
void http_req_kill(struct http_req *r); /* drops the connection, or resets the HTTP/2 stream */
/* Upgrades exist in HTTP/1.1 only: over HTTP/2 these reset the stream (HTTP_1_1_REQUIRED) and return a dead one.
 * Answers 101 with the headers added so far plus Connection/Upgrade: proto, and hands the raw connection over. */
struct http_stream *http_req_upgrade(struct http_req *r, const char *proto);
/* Hands the connection over without answering: for a proxy that forwards the backend's own answer head. */
struct http_stream *http_req_detach(struct http_req *r);
/* The request head in HTTP/1.1's form (request line and headers), for proxies; owned by r. */
const char *http_req_head(const struct http_req *r, size_t *ret_len);

/* ---- client ---- */
struct http_client; /* a pool of connections to one origin */
struct http_client_spec {
	const char *host; /* name or address */
	int port;
	const char *unix_path;  /* instead of host and port */
	struct tls_ctx *tls;    /* NULL: plain */
	int conns_max;          /* 0: 64; requests beyond wait */
	int connect_timeout_ms; /* 0: 5000 */
};
struct http_client *http_client_new(struct loop *l, const struct http_client_spec *spec);
void http_client_free(
	struct http_client *c); /* pending calls end with ERR_UNREACHABLE, before this returns */

struct http_call;
struct http_response {
	int status;
	const struct http_header *headers;
	size_t n_headers;
	const char *body; /* whole body, when not streamed */
	size_t len;
};
const char *http_response_header(const struct http_response *r, const char *name);
struct http_call_spec {
	const char *method, *path; /* path with query, already encoded */
	const struct http_header *headers;
	size_t n_headers;
	const void *body; /* copied */
	size_t len;
	size_t body_max; /* of the answer; 0: 64 MiB */
	int timeout_ms;  /* whole call; 0: none (streams) */
	/* Streamed answer: head() then data() per piece; the final done() has no body. data NULL: collected. If the server
	 * ends it early, done() gets ERR_UNREACHABLE. */
	void (*head)(void *arg, const struct http_response *r);
	void (*data)(void *arg, const void *data, size_t len);
	/* Ends every call exactly once, unless cancelled. On failure r is NULL and e is set; an HTTP error status is no
	 * failure: e is NULL. */
	void (*done)(void *arg, const struct http_response *r, const struct err *e);
	/* For upgrades: called instead of done() on a 101; takes the stream. */
	void (*upgraded)(void *arg, const struct http_response *r, struct http_stream *s);
	void *arg;
};
struct http_call *http_client_call(struct http_client *c, const struct http_call_spec *spec);
void http_call_cancel(struct http_call *h); /* no more callbacks; frees it */
void http_call_pause(struct http_call *h, bool paused);

/* URL pieces. */
struct url {
	char *scheme, *host, *path; /* path with query; "/" if none. host without brackets */
	int port;                   /* scheme's default if none */
};
int url_parse(const char *text, struct url *ret, struct err *e);
void url_done(struct url *u);
void url_encode(const char *text, struct str *out); /* for a path segment or query value */
