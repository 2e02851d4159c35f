/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_conn.h - a server's connections and requests. Private to base/http_server.c and base/http_req.c.
 *
 * A connection serves one request at a time; what a client sends ahead stays unread. A connection whose client has
 * gone is freed at once; its request then lives on without connection (conn NULL) until the handler ends it, unless
 * it has an abort callback: then it ends with that call. */
#pragma once

#include "base/http_io.h"
#include "base/http_parse.h"
#include "base/ossl.h"
#include "base/url.h"

struct http_server {
	struct loop *loop;
	struct tls_ctx *tls;
	http_handler_fn *handler;
	void *arg;
	size_t body_max, conns_max, n_conns;
	int head_timeout_ms, body_timeout_ms, idle_timeout_ms;
	struct evconnlistener **listeners;
	size_t n_listeners, listeners_cap;
	struct http_conn *conns;   /* list */
	struct loop_timer *resume; /* accepting again after running out of descriptors */
	int refs;                  /* one per connection or upgraded stream, and the owner's */
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
	struct bufferevent *bev;
	struct http_req *req; /* from the end of its head to the end of its answer */
	struct loop_timer *timer;
	int64_t deadline, rings_at; /* deadline 0: none; the timer may ring before it */
	char *peer;
	struct peer_cert *cert;
	struct http_scan scan;
	struct http_chunked chunked;
	enum conn_state state;
	int busy; /* calls out of it on the stack: freeing waits */
	bool cert_known, dead, stopped, stuck;
};

enum req_state { REQ_WAITING, REQ_STREAMING };

struct http_req {
	struct loop *loop;
	struct http_conn *conn; /* NULL: client gone */
	struct http_head head;
	char *path;
	struct url_query query;
	struct str body, extra;
	struct strv joined;              /* names and values of repeated headers */
	bool extra_type, extra_encoding; /* the handler added its own */
	enum req_state state;
	bool chunked, stuck, aborting;
	void *ctx;
	void (*ctx_free)(void *);
	loop_fn *abort_fn, *drained_fn;
	void *abort_arg, *drained_arg;
};

void http_req_free(struct http_req *r);
/* The client is gone: tells the handler. */
void http_req_gone(struct http_req *r);
/* The answer has been written: the next request, or the end. keep: the connection may go on. */
void http_conn_answered(struct http_conn *c, bool keep);
/* Frees without flushing. */
void http_conn_drop(struct http_conn *c);
/* The same in a later turn. */
void http_conn_drop_later(struct http_conn *c);
/* Takes the connection's bufferevent out, as a stream, and frees the rest. */
struct http_stream *http_conn_detach(struct http_conn *c);
