/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http2_client.h"

#include "base/http_io.h"
#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <string.h>
#include <strings.h>

#define STATUS_TEXT_MAX 3

struct http2_client {
	struct loop *loop;
	struct http2_client_ops ops;
	void *arg;
	char *authority, *what;
	bool tls;
	struct http_dial *dial;
	struct bufferevent *bev; /* NULL until connected */
	nghttp2_session *session;
	struct loop_timer *flush;
	struct http2_stream *streams;
	int64_t heard;
	struct err err; /* why it closed */
	struct loop_timer *closing;
};
struct http2_stream {
	struct http2_client *client;
	int32_t id;
	const struct http2_stream_ops *ops; /* NULL: cancelled */
	void *arg;
	struct str out;
	size_t sent; /* of out */
	bool out_end;
	int status;
	struct http_header *headers; /* owned */
	size_t n_headers;
	struct http2_stream *next, **prev;
};

/* ---- streams ---- */
static void stream_free(struct http2_stream *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	for (size_t i = 0; i < s->n_headers; i++) {
		free((char *)s->headers[i].name);
		free((char *)s->headers[i].value);
	}
	free(s->headers);
	str_done(&s->out);
	free(s);
}

static void flush_later(struct http2_client *c)
{
	if (!loop_timer_armed(c->flush))
		loop_timer_set(c->flush, 0);
}

static ssize_t give_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct http2_stream *s = source->ptr;
	size_t n = s->out.len - s->sent;

	if (n > len)
		n = len;
	if (n > 0)
		memcpy(buf, s->out.data + s->sent, n);
	s->sent += n;
	if (s->sent == s->out.len) {
		str_clear(&s->out);
		s->sent = 0;
		if (s->out_end)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		else if (n == 0)
			return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static nghttp2_nv pair(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE };
}

struct http2_stream *http2_post(struct http2_client *c, const char *path, const struct http_header *headers,
	size_t n, const struct http2_stream_ops *ops, void *arg)
{
	struct http2_stream *s = MEM_NEW(struct http2_stream);
	nghttp2_data_provider body = { .source.ptr = s, .read_callback = give_data };
	nghttp2_nv nv[4 + HTTP2_HEADERS_MAX];

	MUST(n <= HTTP2_HEADERS_MAX);
	*s = (struct http2_stream){
		.client = c, .ops = ops, .arg = arg, .next = c->streams, .prev = &c->streams
	};
	if (s->next)
		s->next->prev = &s->next;
	c->streams = s;
	nv[0] = pair(":method", "POST");
	nv[1] = pair(":scheme", c->tls ? "https" : "http");
	nv[2] = pair(":path", path);
	nv[3] = pair(":authority", c->authority);
	for (size_t i = 0; i < n; i++)
		nv[4 + i] = pair(headers[i].name, headers[i].value);
	s->id = nghttp2_submit_request(c->session, NULL, nv, 4 + n, &body, s);
	MUST(s->id >
		0); /* fails for lack of memory, and after 2^30 streams: the connection is renewed long before */
	flush_later(c);
	return s;
}

void http2_stream_write(struct http2_stream *s, const void *data, size_t len)
{
	str_addn(&s->out, data, len);
	nghttp2_session_resume_data(s->client->session, s->id); /* an error: it has not begun yet */
	flush_later(s->client);
}

void http2_stream_end(struct http2_stream *s)
{
	s->out_end = true;
	nghttp2_session_resume_data(s->client->session, s->id);
	flush_later(s->client);
}

void http2_stream_cancel(struct http2_stream *s)
{
	if (!s)
		return;
	s->ops = NULL;
	MUST(nghttp2_submit_rst_stream(s->client->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL) == 0);
	flush_later(s->client);
}

const char *http2_answer_header(const struct http2_answer *a, const char *name)
{
	for (size_t i = a->n; i-- > 0;) /* the last one counts: a trailer */
		if (strcasecmp(a->headers[i].name, name) == 0)
			return a->headers[i].value;
	return NULL;
}

/* ---- what nghttp2 tells ---- */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	char text[STATUS_TEXT_MAX + 1] = "";
	int64_t status = 0;

	if (!s || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
		if (value_len == STATUS_TEXT_MAX)
			memcpy(text, value, value_len);
		str_to_i64(text, 100, 599, &status);
		s->status = (int)status;
		return 0;
	}
	if (s->n_headers == HTTP2_HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!s->headers)
		s->headers = mem_alloc(HTTP2_HEADERS_MAX * sizeof(*s->headers));
	s->headers[s->n_headers++] = (struct http_header){ mem_strndup((const char *)name, name_len),
		mem_strndup((const char *)value, value_len) };
	return 0;
}

static int on_data(
	nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	if (s && s->ops)
		s->ops->data(s->arg, data, len);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	struct http2_answer a;

	if (!s)
		return 0;
	a = (struct http2_answer){ s->status, s->headers, s->n_headers, error };
	if (s->ops)
		s->ops->done(s->arg, &a);
	stream_free(s);
	return 0;
}

static nghttp2_session *session_new(struct http2_client *c)
{
	static const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW } };
	nghttp2_session_callbacks *cb;
	nghttp2_session *session;

	MUST(nghttp2_session_callbacks_new(&cb) == 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	MUST(nghttp2_session_client_new(&session, cb, c) == 0);
	nghttp2_session_callbacks_del(cb);
	MUST(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) == 0);
	MUST(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, HTTP2_CONN_WINDOW) == 0);
	return session;
}

/* ---- the connection ---- */
static void closed(void *arg)
{
	struct http2_client *c = arg;
	struct err e = c->err;

	c->ops.closed(c->arg, &e);
}

/* In a turn of its own: the caller may be in the middle of the session. */
static void close_later(struct http2_client *c)
{
	if (loop_timer_armed(c->closing))
		return;
	if (c->bev)
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	loop_timer_set(c->closing, 0);
}

static void flush(void *arg)
{
	struct http2_client *c = arg;
	const uint8_t *data;
	ssize_t n;

	if (!c->bev || loop_timer_armed(c->closing))
		return;
	while ((n = nghttp2_session_mem_send(c->session, &data)) > 0)
		MUST(bufferevent_write(c->bev, data, (size_t)n) == 0);
	if (n < 0)
		err_set(&c->err, ERR_UNREACHABLE, "%s: %s", c->what, nghttp2_strerror((int)n));
	else if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		err_set(&c->err, ERR_UNREACHABLE, "%s: the server has closed the session", c->what);
	else
		return;
	close_later(c);
}

static void readable(struct bufferevent *bev, void *arg)
{
	struct http2_client *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	ssize_t n = 0;

	c->heard = loop_mono_ms(c->loop);
	while (evbuffer_get_length(in) > 0 && n >= 0) {
		size_t len = evbuffer_get_contiguous_space(in);

		n = nghttp2_session_mem_recv(c->session, evbuffer_pullup(in, (ssize_t)len), len);
		evbuffer_drain(in, len);
	}
	if (n < 0) {
		err_set(&c->err, ERR_UNREACHABLE, "%s: %s", c->what, nghttp2_strerror((int)n));
		close_later(c);
		return;
	}
	flush(c);
}

static void event(struct bufferevent *bev, short what, void *arg)
{
	struct http2_client *c = arg;

	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	if (http_bev_eof(what))
		err_set(&c->err, ERR_UNREACHABLE, "%s: the server has closed the connection", c->what);
	else
		http_bev_err(bev, c->what, &c->err);
	close_later(c);
}

static void dialled(void *arg, struct bufferevent *bev, const struct err *e)
{
	struct http2_client *c = arg;

	c->dial = NULL;
	if (!bev) {
		err_copy(&c->err, e);
		close_later(c);
		return;
	}
	c->bev = bev;
	c->heard = loop_mono_ms(c->loop);
	bufferevent_setcb(bev, readable, NULL, event, c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	flush_later(c);
	c->ops.ready(c->arg);
}

struct http2_client *http2_client_new(
	struct loop *l, const struct http2_client_spec *spec, const struct http2_client_ops *ops, void *arg)
{
	struct http2_client *c = MEM_NEW(struct http2_client);
	bool v6 = strchr(spec->host, ':') != NULL;

	c->loop = l;
	c->ops = *ops;
	c->arg = arg;
	c->tls = spec->tls != NULL;
	c->authority = str_printf(v6 ? "[%s]:%d" : "%s:%d", spec->host, spec->port);
	c->what = mem_strdup(c->authority);
	c->session = session_new(c);
	c->flush = loop_timer_new(l, flush, c);
	c->closing = loop_timer_new(l, closed, c);
	c->dial = http_dial_new(l,
		&(struct http_dial_spec){ .host = spec->host,
			.port = spec->port,
			.tls = spec->tls,
			.timeout_ms = spec->connect_timeout_ms },
		dialled, c);
	return c;
}

void http2_client_free(struct http2_client *c)
{
	if (!c)
		return;
	http_dial_cancel(c->dial);
	while (c->streams)
		stream_free(c->streams);
	if (c->bev)
		bufferevent_free(c->bev);
	nghttp2_session_del(c->session);
	loop_timer_free(c->flush);
	loop_timer_free(c->closing);
	free(c->authority);
	free(c->what);
	free(c);
}

int64_t http2_client_heard(const struct http2_client *c)
{
	return c->heard;
}
