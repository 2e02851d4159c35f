/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 (RFC 9113) on a server's connection, by nghttp2.
 *
 * nghttp2's callbacks only note what came; handlers are called afterwards, in order, from http2_turn(): so a handler may do
 * anything, also end the connection it is called for. Answers gather per stream and go on as the client's windows and
 * the connection's output allow: at most UNSENT_MAX bytes wait in the latter, the rest counts as the stream's own. */
#include "base/http_conn.h"

#include "base/log.h"
#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define UNSENT_MAX (64 * 1024)
#define UNSENT_LOW (16 * 1024)     /* more is fetched below that */
#define STREAM_WINDOW (256 * 1024) /* of request bodies; they are bounded by body_max, this is about speed */
#define CONN_WINDOW (1024 * 1024)
#define FIELD_OVERHEAD 32     /* RFC 9113 6.5.2: what a field counts beside its text */
#define RESETS_BURST 1000     /* streams a client may reset at once; rapid reset, CVE-2023-44487 */
#define RESETS_PER_S 200      /* and in the long run */
#define ACKS_MAX 100          /* unsent answers to PING and SETTINGS; CVE-2019-9512, 9515 */
#define SETTINGS_MAX 32       /* entries of one SETTINGS frame */
#define CONTROL_PER_S 1000    /* frames that ask for nothing: PING, SETTINGS, PRIORITY, empty DATA */
#define FIELDS_REMEMBERED 512 /* bytes of HPACK's table for answers: they differ little */
#define EXTRA_FIELDS_MAX 64   /* of an answer */

enum stream_state {
	STREAM_HEAD,    /* fields are coming */
	STREAM_BODY,    /* body is coming */
	STREAM_ARRIVED, /* the handler is to be called */
	STREAM_HANDLED
};

struct h2_stream {
	struct http2 *h2;
	struct h2_stream *next, **prev;
	struct h2_stream *queue_next;
	struct http_req *req; /* NULL: ended, or refused */
	struct str fields;    /* while STREAM_HEAD: "name\0value\0" n_fields times */
	struct str out;       /* unsent, from out_at on */
	size_t out_at, fields_size;
	int64_t since; /* the beginning, then the last progress */
	const char *why;
	int32_t id;
	int refuse; /* status: answered by the server itself, with why */
	unsigned short n_fields;
	unsigned char state;
	bool queued, closed, stuck, drained;
	bool ended;    /* everything has been written */
	bool deferred; /* nghttp2 waits for http2_resume() */
	bool whole;    /* the request's last frame has come */
};

struct http2 {
	struct http_conn *c;
	nghttp2_session *session;
	struct h2_stream *streams;             /* list */
	struct h2_stream *queue, **queue_tail; /* something is to be done for them */
	size_t n_streams;
	int64_t control_since;
	int64_t head_since; /* a header block is open; 0: none */
	int64_t sent_at;    /* the output last got smaller */
	unsigned control;
	bool framed; /* the session has the server's buffer for frames */
	bool woken, settled, stopping;
};

static int64_t now_ms(const struct http2 *h2)
{
	return loop_mono_ms(h2->c->srv->loop);
}

/* ---- streams ---- */

static void enqueue(struct h2_stream *st)
{
	struct http2 *h2 = st->h2;

	if (st->queued)
		return;
	st->queued = true;
	st->queue_next = NULL;
	*h2->queue_tail = st;
	h2->queue_tail = &st->queue_next;
}

static struct h2_stream *dequeue(struct http2 *h2)
{
	struct h2_stream *st = h2->queue;

	if (!st)
		return NULL;
	h2->queue = st->queue_next;
	if (!h2->queue)
		h2->queue_tail = &h2->queue;
	st->queued = false;
	return st;
}

/* Not while queued. The request is the caller's. */
static void stream_free(struct h2_stream *st)
{
	*st->prev = st->next;
	if (st->next)
		st->next->prev = st->prev;
	st->h2->n_streams--;
	str_done(&st->fields);
	str_done(&st->out);
	free(st);
}

static void stream_over(struct h2_stream *st)
{
	struct http_server *s = st->h2->c->srv;
	struct http_req *r = st->req;
	bool seen = st->state == STREAM_HANDLED;

	stream_free(st);
	if (!r)
		return;
	r->conn = NULL;
	r->stream = NULL;
	http_body_arrived(s, r);
	if (seen)
		http_req_gone(r);
	else
		http_req_free(r);
}

static void deadline_by(struct http2 *h2, int64_t in_ms)
{
	struct http_conn *c = h2->c;

	if (!c->deadline || c->deadline > now_ms(h2) + in_ms)
		http_conn_deadline(c, in_ms);
}

static struct h2_stream *stream_of(nghttp2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s, id);
}

static void reset(struct h2_stream *st, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, code);
}

static void refuse(struct h2_stream *st, int status, const char *why)
{
	st->refuse = status;
	st->why = why;
	enqueue(st);
}

/* ---- what comes in ---- */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct http2 *h2 = arg;

	if (hd->type != NGHTTP2_CONTINUATION)
		h2->head_since = 0;
	return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
	struct http2 *h2 = arg;
	struct h2_stream *st;

	h2->head_since = now_ms(h2);
	deadline_by(h2, h2->c->srv->head_timeout_ms);
	if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	st = MEM_NEW(struct h2_stream);
	st->h2 = h2;
	st->id = f->hd.stream_id;
	st->since = now_ms(h2);
	st->next = h2->streams;
	st->prev = &h2->streams;
	if (st->next)
		st->next->prev = &st->next;
	h2->streams = st;
	h2->n_streams++;
	(void)nghttp2_session_set_stream_user_data(session, st->id, st);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2_stream *st = stream_of(session, f->hd.stream_id);

	if (!st || st->state != STREAM_HEAD || st->refuse)
		return 0; /* trailers */
	st->fields_size += name_len + value_len + FIELD_OVERHEAD;
	if (st->fields_size > HTTP_HEAD_MAX || st->n_fields >= HTTP_HEADERS_MAX) {
		st->refuse = 431;
		st->why = "request head is too large";
		str_done(&st->fields);
		return 0;
	}
	str_addn(&st->fields, (const char *)name, name_len);
	str_addn(&st->fields, "", 1);
	str_addn(&st->fields, (const char *)value, value_len);
	str_addn(&st->fields, "", 1);
	st->n_fields++;
	return 0;
}

/* What could be read in two ways is refused, not dropped. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *f, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void ask_for_body(struct h2_stream *st)
{
	nghttp2_nv nv = { (uint8_t *)":status", (uint8_t *)"100", 7, 3, NGHTTP2_NV_FLAG_NONE };

	(void)nghttp2_submit_headers(st->h2->session, NGHTTP2_FLAG_NONE, st->id, NULL, &nv, 1, NULL);
}

/* All fields are there. */
static void head_arrived(struct h2_stream *st, bool has_body)
{
	struct http_conn *c = st->h2->c;
	struct http_req *r;
	struct err e;

	st->state = STREAM_BODY;
	if (st->refuse) {
		enqueue(st);
		return;
	}
	r = MEM_NEW(struct http_req);
	r->loop = c->srv->loop;
	if (memchr(st->fields.data, 0, st->fields.len) == NULL ||
		http_request_from_fields(&st->fields, st->n_fields, has_body, &r->head, &e) < 0 ||
		http_req_set_target(r, &e) < 0) {
		http_req_free(r);
		refuse(st, 400, "the request is malformed");
		return;
	}
	http_req_attach(r, c);
	r->stream = st;
	st->req = r;
	if (c->refusing) {
		refuse(st, 503, "the server has too many connections");
	} else if (r->head.body == HTTP_BODY_LENGTH && r->head.length > c->srv->body_max) {
		refuse(st, 413, "request body is too large");
	} else if (has_body) {
		deadline_by(st->h2, c->srv->body_timeout_ms);
		if (r->head.expect_continue)
			ask_for_body(st);
	}
}

static void request_arrived(struct h2_stream *st)
{
	st->whole = true;
	if (st->state != STREAM_BODY || st->refuse)
		return;
	st->state = STREAM_ARRIVED;
	enqueue(st);
}

/* False: too many of them. */
static bool count_control(struct http2 *h2, const nghttp2_frame *f)
{
	bool idle =
		f->hd.type == NGHTTP2_PING || f->hd.type == NGHTTP2_SETTINGS ||
		f->hd.type == NGHTTP2_PRIORITY || f->hd.type == NGHTTP2_PRIORITY_UPDATE ||
		(f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && !(f->hd.flags & NGHTTP2_FLAG_END_STREAM));

	if (!idle)
		return true;
	if (now_ms(h2) - h2->control_since >= 1000) {
		h2->control_since = now_ms(h2);
		h2->control = 0;
	}
	return ++h2->control <= CONTROL_PER_S;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
	struct http2 *h2 = arg;
	struct h2_stream *st;

	if (!count_control(h2, f)) {
		(void)nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
		return 0;
	}
	if (f->hd.type == NGHTTP2_SETTINGS)
		h2->settled = true;
	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS)
		h2->head_since = 0;
	st = stream_of(session, f->hd.stream_id);
	if (!st)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && st->state == STREAM_HEAD)
		head_arrived(st, !(f->hd.flags & NGHTTP2_FLAG_END_STREAM));
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM)
		request_arrived(st);
	return 0;
}

static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct h2_stream *st = stream_of(session, id);
	struct http_server *s = ((struct http2 *)arg)->c->srv;

	if (!st || !st->req || st->state != STREAM_BODY || st->refuse)
		return 0;
	if (len > s->body_max - st->req->body.len) {
		refuse(st, 413, "request body is too large");
	} else if (!http_body_room(s, st->req, len)) {
		refuse(st, 503, "too many request bodies are arriving");
	} else {
		str_addn(&st->req->body, (const char *)data, len);
	}
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2_stream *st = stream_of(session, id);

	((struct http2 *)arg)->head_since = 0;
	if (!st)
		return 0;
	(void)nghttp2_session_set_stream_user_data(session, id, NULL);
	st->closed = true;
	enqueue(st);
	return 0;
}

/* ---- what goes out ---- */

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
	uint32_t *data_flags, nghttp2_data_source *source, void *arg)
{
	struct h2_stream *st = source->ptr;
	size_t n = st->out.len - st->out_at;

	if (n > length)
		n = length;
	if (n) {
		memcpy(buf, st->out.data + st->out_at, n);
		st->out_at += n;
		st->since = now_ms(st->h2);
	}
	if (st->out_at == st->out.len) {
		str_done(&st->out);
		st->out_at = 0;
		if (st->ended) {
			*data_flags |= NGHTTP2_DATA_FLAG_EOF;
		} else if (!n) {
			st->deferred = true;
			return NGHTTP2_ERR_DEFERRED;
		} else {
			st->drained = true;
			enqueue(st);
		}
	}
	return (ssize_t)n;
}

/* An answer that came before the request's end: the rest of it is not wanted. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
	struct h2_stream *st;

	if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
		!(f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	st = stream_of(session, f->hd.stream_id);
	if (st && !st->whole)
		reset(st, NGHTTP2_NO_ERROR);
	return 0;
}

static void resume(struct h2_stream *st)
{
	if (!st->deferred)
		return;
	st->deferred = false;
	(void)nghttp2_session_resume_data(st->h2->session, st->id);
}

/* Something is to be sent or done: once this turn is over, for all streams together. */
static void wake(struct http2 *h2)
{
	if (h2->c->busy || h2->woken || !h2->c->bev)
		return;
	h2->woken = true;
	bufferevent_trigger(h2->c->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* Moves frames into the output. False: the connection is beyond help. */
static bool pull(struct http2 *h2)
{
	struct evbuffer *out = bufferevent_get_output(h2->c->bev);
	struct str *scratch = &h2->c->srv->scratch;
	size_t have = evbuffer_get_length(out);
	const uint8_t *data;
	ssize_t n = 0;

	str_clear(scratch);
	while (have + scratch->len < UNSENT_MAX && (n = nghttp2_session_mem_send(h2->session, &data)) > 0)
		str_addn(scratch, (const char *)data, (size_t)n);
	/* one piece of memory: one TLS record, one packet if it fits */
	if (scratch->len)
		MUST(evbuffer_expand(out, scratch->len) == 0 &&
			evbuffer_add(out, scratch->data, scratch->len) == 0);
	return n >= 0;
}

struct fields {
	nghttp2_nv nv[EXTRA_FIELDS_MAX];
	size_t n;
	char status[8], length[24];
};

static void add_field(
	struct fields *f, const char *name, size_t name_len, const char *value, size_t value_len)
{
	if (f->n < EXTRA_FIELDS_MAX)
		f->nv[f->n++] = (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, name_len, value_len,
			NGHTTP2_NV_FLAG_NONE };
}

/* The handler's own, written as lines. extra is lower-cased in its names. */
static void add_extra(struct fields *f, struct str *extra)
{
	static const char *const of_connections[] = { "connection", "keep-alive", "proxy-connection",
		"transfer-encoding", "upgrade", NULL };
	char *p = extra->data, *end = p ? p + extra->len : NULL;

	while (p < end) {
		char *colon = strchr(p, ':'), *eol = strstr(colon, "\r\n");

		for (char *q = p; q < colon; q++)
			if (*q >= 'A' && *q <= 'Z')
				*q |= 0x20;
		*colon = '\0';
		if (!str_in(p, of_connections))
			add_field(f, p, (size_t)(colon - p), colon + 2, (size_t)(eol - colon - 2));
		p = eol + 2;
	}
}

static void fields_begin(struct fields *f, int status)
{
	f->n = 0;
	(void)snprintf(f->status, sizeof(f->status), "%d", status);
	add_field(f, ":status", 7, f->status, strlen(f->status));
}

static void add_type(struct fields *f, const char *type, bool gzip)
{
	if (type)
		add_field(f, "content-type", 12, type, strlen(type));
	if (gzip) {
		add_field(f, "content-encoding", 16, "gzip", 4);
		add_field(f, "vary", 4, "Accept-Encoding", 15);
	}
}

static void add_length(struct fields *f, size_t len)
{
	(void)snprintf(f->length, sizeof(f->length), "%zu", len);
	add_field(f, "content-length", 14, f->length, strlen(f->length));
}

static void submit(struct h2_stream *st, const struct fields *f, bool has_body)
{
	nghttp2_data_provider body = { .source.ptr = st, .read_callback = on_read };

	if (nghttp2_submit_response(st->h2->session, st->id, f->nv, f->n, has_body ? &body : NULL) != 0)
		reset(st, NGHTTP2_INTERNAL_ERROR);
}

/* How long a stream may go on like this; 0: for ever. */
static int64_t patience(const struct h2_stream *st)
{
	const struct http_server *s = st->h2->c->srv;

	if (st->state == STREAM_BODY && !st->refuse)
		return s->body_timeout_ms;
	if (!st->ended)
		return 0;
	return st->h2->stopping ? HTTP_FLUSH_TIMEOUT_MS : s->idle_timeout_ms;
}

/* The stream goes on without its request: what is unsent is to leave. */
static void let_go(struct h2_stream *st, struct http_req *r)
{
	st->req = NULL;
	st->drained = false;
	st->ended = true;
	st->since = now_ms(st->h2);
	r->conn = NULL;
	r->stream = NULL;
	deadline_by(st->h2, patience(st));
}

static void http2_reply(struct http_conn *c, struct http_req *r, const struct http_answer *a)
{
	struct h2_stream *st = r->stream;
	struct fields f;

	fields_begin(&f, a->status);
	add_extra(&f, &r->extra);
	add_type(&f, a->type, a->gzip);
	if (a->tell_length)
		add_length(&f, a->len);
	if (!a->no_body && a->len)
		str_addn(&st->out, a->body, a->len);
	submit(st, &f, st->out.len > 0);
	let_go(st, r);
	wake(st->h2);
}

static void http2_stream_begin(struct http_conn *c, struct http_req *r, int status, const char *type)
{
	struct h2_stream *st = r->stream;
	struct fields f;

	fields_begin(&f, status);
	add_extra(&f, &r->extra);
	add_type(&f, type, r->gzip != NULL);
	submit(st, &f, true);
	wake(st->h2);
}

static void http2_write(struct http_conn *c, struct http_req *r, const void *data, size_t len)
{
	struct h2_stream *st = r->stream;

	if (st->out_at > st->out.len / 2) {
		str_drop_front(&st->out, st->out_at);
		st->out_at = 0;
	}
	str_addn(&st->out, data, len);
	resume(st);
	wake(st->h2);
}

static void http2_nudge(struct http_conn *c, struct http_req *r)
{
	r->stream->drained = true;
	enqueue(r->stream);
	wake(r->stream->h2);
}

static size_t http2_pending(const struct http_conn *c, const struct http_req *r)
{
	return r->stream->out.len - r->stream->out_at;
}

static void http2_end(struct http_conn *c, struct http_req *r)
{
	struct h2_stream *st = r->stream;

	let_go(st, r);
	if (st->stuck)
		reset(st, NGHTTP2_CANCEL);
	else
		resume(st);
	wake(st->h2);
}

static void http2_kill(struct http_conn *c, struct http_req *r)
{
	struct h2_stream *st = r->stream;

	let_go(st, r);
	reset(st, NGHTTP2_INTERNAL_ERROR);
	wake(st->h2);
}

static void http2_stuck(struct http_conn *c, struct http_req *r)
{
	r->stream->stuck = true;
	enqueue(r->stream);
	wake(r->stream->h2);
}

static struct http_stream *http2_detach(struct http_conn *c, struct http_req *r, const char *proto)
{
	struct h2_stream *st = r->stream;

	let_go(st, r);
	reset(st, NGHTTP2_HTTP_1_1_REQUIRED);
	wake(st->h2);
	return NULL;
}

/* ---- the connection ---- */

static void goodbye(struct http2 *h2)
{
	(void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR, NULL, 0);
}

static void answer_refused(struct h2_stream *st)
{
	struct http_conn *c = st->h2->c;
	struct http_req *r = st->req;
	struct fields f;
	const char *type;

	if (r) {
		let_go(st, r);
		http_body_arrived(c->srv, r);
		http_req_free(r);
	}
	st->state = STREAM_HANDLED;
	st->ended = true;
	st->since = now_ms(st->h2);
	type = http_reject_body(c->srv, st->refuse, st->why, &st->out);
	fields_begin(&f, st->refuse);
	add_type(&f, type, false);
	if (st->refuse == 503)
		add_field(&f, "retry-after", 11, HTTP_RETRY_AFTER_S, strlen(HTTP_RETRY_AFTER_S));
	add_length(&f, st->out.len);
	submit(st, &f, true);
	if (c->refusing && !st->h2->stopping) {
		st->h2->stopping = true; /* closes once that is sent */
		goodbye(st->h2);
	}
}

/* What callbacks have noted for a stream. Calls handlers. */
static void attend(struct h2_stream *st)
{
	struct http_server *s = st->h2->c->srv;

	if (st->closed) {
		stream_over(st);
	} else if (st->refuse && st->state != STREAM_HANDLED) {
		answer_refused(st);
	} else if (st->stuck && st->req) {
		reset(st, NGHTTP2_CANCEL);
	} else if (st->state == STREAM_ARRIVED) {
		st->state = STREAM_HANDLED;
		http_body_arrived(s, st->req);
		s->handler(s->arg, st->req);
	} else if (st->drained) {
		st->drained = false;
		if (st->req && st->req->drained_fn && !http2_pending(st->h2->c, st->req))
			st->req->drained_fn(st->req->drained_arg);
	}
}

/* Nobody may hold a connection by doing nothing. Called after everything that may have changed its state. */
static void settle(struct http2 *h2)
{
	struct http_conn *c = h2->c;

	if (!nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session)) {
		http_conn_close(c, true);
	} else if (h2->stopping && !h2->n_streams && !nghttp2_session_want_write(h2->session)) {
		http_conn_close(c, true);
	} else if (!h2->n_streams && h2->settled && !h2->head_since) {
		http_conn_deadline(c, c->srv->idle_timeout_ms);
	}
}

static void http2_turn(struct http_conn *c)
{
	struct http2 *h2 = c->h2;
	struct h2_stream *st;

	http_conn_enter(c);
	h2->woken = false;
	do {
		while (!c->dead && (st = dequeue(h2)))
			attend(st);
		if (!c->dead && !pull(h2))
			http_conn_drop(c);
	} while (!c->dead && h2->queue);
	if (!c->dead)
		settle(h2);
	http_conn_leave(c);
}

static void http2_serve(struct http_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_iovec v;

	http_conn_enter(c);
	while (!c->dead && evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len) {
		ssize_t n = nghttp2_session_mem_recv(c->h2->session, v.iov_base, v.iov_len);

		if (n < 0) {
			log_debug("http2: %s: %s", c->peer ? c->peer : "?", nghttp2_strerror((int)n));
			(void)pull(c->h2); /* the GOAWAY that says why, if there is one */
			http_conn_close(c, true);
			break;
		}
		evbuffer_drain(in, v.iov_len);
		http2_turn(c);
	}
	http_conn_leave(c);
}

static void http2_sent(struct http_conn *c)
{
	if (http_bev_unsent(c->bev) <= UNSENT_LOW)
		c->h2->sent_at = now_ms(c->h2);
	http2_turn(c);
}

static void http2_eof(struct http_conn *c)
{
	for (struct h2_stream *st = c->h2->streams; st; st = st->next)
		if (st->req || st->out.len) {
			http_conn_drop(c);
			return;
		}
	bufferevent_enable(c->bev, EV_WRITE);
	http_conn_close(c, false);
}

static void http2_timeout(struct http_conn *c)
{
	struct http2 *h2 = c->h2;
	int64_t now = now_ms(h2), next = 0;
	bool dead = false;

	if (!h2->settled || (h2->head_since && now - h2->head_since >= c->srv->head_timeout_ms)) {
		http_conn_drop(c);
		return;
	}
	c->deadline = 0;
	if (!h2->n_streams) {
		goodbye(h2);
		(void)pull(h2);
		http_conn_close(c, true);
		return;
	}
	for (struct h2_stream *st = h2->streams; st; st = st->next) {
		int64_t limit = patience(st), left = st->since + limit - now;

		if (limit && left <= 0 && !st->ended)
			refuse(st, 408, "the request did not arrive in time");
		else if (limit && left <= 0 && http_bev_unsent(c->bev) && now - h2->sent_at >= limit)
			dead = true; /* not this stream alone */
		else if (limit && left <= 0)
			reset(st, NGHTTP2_CANCEL);
		if (limit && (!next || left < next))
			next = left > 0 ? left : limit;
	}
	if (dead) {
		http_conn_drop(c);
		return;
	}
	if (h2->head_since)
		next = c->srv->head_timeout_ms;
	if (next)
		http_conn_deadline(c, next);
	http2_turn(c);
}

/* Streaming answers end as such, so that watchers know there is no more to come; others are waited for. */
static void http2_stop(struct http_conn *c)
{
	struct http2 *h2 = c->h2;
	struct h2_stream *st;
	struct http_req *r;

	http_conn_enter(c);
	h2->stopping = true;
	goodbye(h2);
	do { /* from the start each time: an abort callback may end other requests */
		for (st = h2->streams; st; st = st->next)
			if (st->req && st->state == STREAM_HANDLED && st->req->state == REQ_STREAMING)
				break;
		if (st) {
			r = st->req;
			http2_end(c, r);
			http_req_gone(r);
		}
	} while (st && !c->dead);
	for (st = c->dead ? NULL : h2->streams; st; st = st->next)
		if (st->state < STREAM_ARRIVED)
			reset(st, NGHTTP2_REFUSED_STREAM);
	if (!c->dead) {
		deadline_by(h2, HTTP_FLUSH_TIMEOUT_MS);
		if (c->busy == 1)
			http2_turn(c);
	}
	http_conn_leave(c);
}

static void http2_retire(struct http_conn *c)
{
	c->h2->stopping = true;
	goodbye(c->h2);
	wake(c->h2);
}

static void http2_gone(struct http_conn *c)
{
	struct http2 *h2 = c->h2;

	if (!h2)
		return;
	while (dequeue(h2))
		;
	while (h2->streams) {
		/* whoever's abort callback queues another one here: nothing is sent any more */
		h2->streams->queued = true;
		stream_over(h2->streams);
	}
}

static void http2_free(struct http_conn *c)
{
	if (!c->h2)
		return;
	nghttp2_session_del(c->h2->session);
	free(c->h2);
}

const struct http_framing http2_framing = {
	.serve = http2_serve,
	.sent = http2_sent,
	.eof = http2_eof,
	.timeout = http2_timeout,
	.stop = http2_stop,
	.retire = http2_retire,
	.gone = http2_gone,
	.free = http2_free,
	.reply = http2_reply,
	.stream = http2_stream_begin,
	.write = http2_write,
	.nudge = http2_nudge,
	.pending = http2_pending,
	.end = http2_end,
	.kill = http2_kill,
	.stuck = http2_stuck,
	.detach = http2_detach,
};

/* ---- beginning ---- */

/* nghttp2 makes a buffer for the largest frame at once, and keeps it. Idle connections are the many, and what it gives out it
 * makes, whole, within one nghttp2_session_mem_send() and never looks at again; pull() copies it at once. So one buffer
 * serves all sessions. (What is more than one frame, a head of many fields, goes into further buffers, which are the
 * session's own and freed with it.) */
#define FRAME_BUFFER_MIN (16 * 1024)

static void *block_new(size_t size, void *arg)
{
	struct http2 *h2 = arg;
	struct http_server *s = h2->c->srv;

	if (size < FRAME_BUFFER_MIN || h2->framed || (s->frame && size != s->frame_size))
		return mem_alloc(size);
	if (!s->frame) {
		s->frame = mem_alloc(size);
		s->frame_size = size;
	}
	h2->framed = true;
	return s->frame;
}

static void block_free(void *p, void *arg)
{
	struct http2 *h2 = arg;

	if (p && p == h2->c->srv->frame)
		h2->framed = false;
	else
		free(p);
}

static void *block_zeroed(size_t n, size_t size, void *arg)
{
	MUST(!size || n <= SIZE_MAX / size);
	return mem_zalloc(n * size);
}

static void *block_resize(void *p, size_t size, void *arg)
{
	struct http2 *h2 = arg;
	const struct http_server *s = h2->c->srv;
	void *fresh;

	if (!p)
		return block_new(size, h2);
	if (p != s->frame)
		return mem_realloc(p, size);
	fresh = mem_alloc(size);
	memcpy(fresh, p, size < s->frame_size ? size : s->frame_size);
	block_free(p, h2);
	return fresh;
}

static nghttp2_session *session_new(struct http2 *h2)
{
	nghttp2_mem mem = { h2, block_new, block_free, block_zeroed, block_resize };
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *s;

	MUST(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_option_set_no_closed_streams(opt, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(opt, FIELDS_REMEMBERED);
	nghttp2_option_set_max_outbound_ack(opt, ACKS_MAX);
	nghttp2_option_set_max_settings(opt, SETTINGS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(opt, RESETS_BURST, RESETS_PER_S);
	MUST(nghttp2_session_server_new3(&s, cb, h2, opt, &mem) == 0);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return s;
}

void http2_start(struct http_conn *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)c->srv->streams_max },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	struct http2 *h2 = MEM_NEW(struct http2);

	h2->c = c;
	h2->queue_tail = &h2->queue;
	h2->session = session_new(h2);
	c->h2 = h2;
	c->framing = &http2_framing;
	bufferevent_setwatermark(c->bev, EV_WRITE, UNSENT_LOW, 0);
	MUST(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0);
	MUST(nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) == 0);
	if (c->retired) /* while it was shaking hands */
		http2_retire(c);
	wake(h2);
}
