/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_conn.h - a server's connections and requests. Private to base/http_server.c, base/http_req.c and the two
 * framings, base/http1_server.c and base/http2_server.c.
 *
 * A request knows nothing of its framing: it reaches its connection through struct http_framing. A connection of
 * HTTP/1.1 serves one request at a time, and what a client sends ahead stays unread; one of HTTP/2 serves many. A
 * connection whose client has gone is freed at once; its requests then live on without connection (conn NULL) until the
 * handler ends them, unless they have an abort callback: then they end with that call. */
#pragma once

#include "base/http_io.h"
#include "base/http_parse.h"
#include "base/ossl.h"
#include "base/url.h"

struct http2;
struct h2_stream;

struct http_server {
	struct loop *loop;
	struct tls_ctx *tls;
	http_handler_fn *handler;
	http_reject_fn *reject;
	void *arg;
	size_t body_max, conns_max, n_conns, streams_max;
	size_t bodies; /* bytes of request bodies that are still arriving, of all connections */
	int head_timeout_ms, body_timeout_ms, idle_timeout_ms;
	struct evconnlistener **listeners;
	size_t n_listeners, listeners_cap;
	struct http_conn *conns;   /* list */
	struct loop_timer *resume; /* accepting again after running out of descriptors */
	struct str scratch;        /* frames on their way into an output buffer */
	void *frame;               /* where HTTP/2 makes one, for all connections: see block_new() */
	size_t frame_size;
	int refs; /* one per connection or upgraded stream, and the owner's */
	bool stopping;
};

struct peer_cert {
	char *cn;
	struct strv orgs;
	char issuer[SHA256_HEX_LEN + 1];
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_ANSWER };

struct http_conn {
	struct http_server *srv;
	struct http_conn *next, **prev;
	const struct http_framing *framing;
	struct bufferevent *bev; /* NULL: lost, or given away */
	struct http2 *h2;        /* HTTP/2 */
	struct http_req *req;    /* HTTP/1.1: from the end of its head to the end of its answer */
	struct loop_timer *timer;
	int64_t deadline, rings_at; /* deadline 0: none; the timer may ring before it */
	char *peer;
	struct peer_cert *cert;
	struct http_scan scan;
	struct http_chunked chunked;
	enum conn_state state;
	int busy; /* calls out of it on the stack: freeing waits */
	bool cert_known, dead, stopped, stuck;
	bool retired;  /* shaken hands under an older context: ends with its current answer, or answers */
	bool refusing; /* over the ceiling: its first request is refused */
};

enum req_state { REQ_WAITING, REQ_STREAMING };

#define HTTP_PEER_MAX 64
struct http_req {
	struct loop *loop;
	struct http_conn *conn;   /* NULL: client gone */
	struct h2_stream *stream; /* HTTP/2 */
	char peer[HTTP_PEER_MAX]; /* stays known when the client has gone */
	struct http_head head;
	char *path, *raw_head;
	struct url_query query;
	struct str body, extra;
	struct strv joined; /* names and values of repeated headers */
	struct http_gzip *gzip;
	size_t counted;                  /* its part of the server's bodies */
	bool extra_type, extra_encoding; /* the handler added its own */
	bool chunked, stuck, aborting, compress;
	enum req_state state;
	void *ctx;
	void (*ctx_free)(void *);
	loop_fn *abort_fn, *drained_fn;
	http_answer_fn *answer_fn;
	void *answer_arg;
	void *abort_arg, *drained_arg;
};

/* A whole answer as a framing sends it. */
struct http_answer {
	int status;
	const char *type; /* NULL: none, or the handler's own */
	const void *body;
	size_t len; /* told, even where no body goes with it */
	bool gzip;  /* body is compressed */
	bool tell_length, no_body;
};

/* What the two versions do differently. reply and end take the request out of its connection (conn NULL); the caller
 * frees it. kill too. None calls the handler's callbacks from inside. */
struct http_framing {
	/* the connection: bytes have come; there is room for more to go; no more will come; the deadline has passed */
	void (*serve)(struct http_conn *c);
	void (*sent)(struct http_conn *c);
	void (*eof)(struct http_conn *c);
	void (*timeout)(struct http_conn *c);
	void (*stop)(
		struct http_conn *c); /* the server stops: ends streams, closes when the rest is answered */
	void (*retire)(struct http_conn *c); /* closes when all is answered; streams go on to their end */
	void (*gone)(struct http_conn *c);   /* the connection is lost: tells its requests */
	void (*free)(struct http_conn *c);
	void (*reply)(struct http_conn *c, struct http_req *r, const struct http_answer *a);
	void (*stream)(struct http_conn *c, struct http_req *r, int status, const char *type);
	void (*write)(struct http_conn *c, struct http_req *r, const void *data, size_t len);
	/* nothing was written after all (it is being compressed): drained comes in a later turn */
	void (*nudge)(struct http_conn *c, struct http_req *r);
	size_t (*pending)(const struct http_conn *c, const struct http_req *r);
	void (*end)(struct http_conn *c, struct http_req *r);
	void (*kill)(struct http_conn *c, struct http_req *r);
	/* the same in a later turn, with the abort callback: the client does not read */
	void (*stuck)(struct http_conn *c, struct http_req *r);
	struct http_stream *(*detach)(
		struct http_conn *c, struct http_req *r, const char *proto /* NULL: no 101 */);
};
extern const struct http_framing http1_framing, http2_framing;

/* ---- requests ---- */
void http_req_attach(struct http_req *r, struct http_conn *c);
/* The target of r->head: path and query. ERR_BAD_REQUEST. */
int http_req_set_target(struct http_req *r, struct err *e);
void http_req_free(struct http_req *r);
/* The client is gone: tells the handler. */
void http_req_gone(struct http_req *r);
/* Room for more bytes of a body that is arriving; false: all bodies together would be over HTTP_BODIES_MAX. */
bool http_body_room(struct http_server *s, struct http_req *r, size_t more);
void http_body_arrived(struct http_server *s, struct http_req *r); /* or will not any more */

/* ---- connections ---- */
/* Around everything that may call a handler: c stays valid in between. leave may free it. */
void http_conn_enter(struct http_conn *c);
void http_conn_leave(struct http_conn *c);
/* Deadlines move with every request; the timer is only set when it would ring too late. */
void http_conn_deadline(struct http_conn *c, int64_t in_ms);
/* Frees without flushing. */
void http_conn_drop(struct http_conn *c);
/* The same in a later turn. */
void http_conn_drop_later(struct http_conn *c);
/* Flushes and closes in the background. linger: the client may still be sending. */
void http_conn_close(struct http_conn *c, bool linger);
/* Takes the connection's bufferevent out, as a stream, and frees the rest. */
struct http_stream *http_conn_detach(struct http_conn *c);
/* HTTP/2 was agreed upon: sends its settings. */
void http2_start(struct http_conn *c);
/* A connection over a socket (taken) that no listener accepted, without TLS. For fuzzers. */
void http_server_take_fd(struct http_server *s, int fd, bool h2);

/* The body of an answer that no handler gives. Returns its media type. */
const char *http_reject_body(struct http_server *s, int status, const char *why, struct str *body);
#define HTTP_RETRY_AFTER_S "1" /* sent with 503 */
