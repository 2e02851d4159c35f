/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http2_test_client.h"

#include "base/http_io.h"
#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000
#define HEADERS_MAX 128

struct http2_tc {
	struct loop *loop;
	struct http_dial *dial;
	struct bufferevent *bev;
	nghttp2_session *session;
	struct http2_tc_call *calls;
	struct str raw;
	int goaways, pongs;
	unsigned goaway_code, reset_code;
	bool closed;
};

struct http2_tc_call {
	struct http2_tc *c;
	struct http2_tc_call *next, **prev;
	struct http_call_spec spec;
	char *method, *path, *body;
	size_t sent, unread; /* unread: withheld from the window while paused */
	int32_t id;
	int status;
	struct strv names, values;
	struct str in;
	bool paused, endless;
};

static void call_free(struct http2_tc_call *h)
{
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	if (h->id && h->c->session)
		(void)nghttp2_session_set_stream_user_data(h->c->session, h->id, NULL);
	free(h->method);
	free(h->path);
	free(h->body);
	strv_done(&h->names);
	strv_done(&h->values);
	str_done(&h->in);
	free(h);
}

static void fill_response(struct http2_tc_call *h, struct http_header *room, struct http_response *r)
{
	*r = (struct http_response){ .status = h->status, .headers = room };
	for (size_t i = 0; i < h->names.len && i < HEADERS_MAX; i++)
		room[r->n_headers++] = (struct http_header){ h->names.items[i], h->values.items[i] };
	if (!h->spec.data) {
		r->body = str_cstr(&h->in);
		r->len = h->in.len;
	}
}

static void call_end(struct http2_tc_call *h, bool ok)
{
	struct http_header room[HEADERS_MAX];
	struct http_response r;
	struct err e;

	fill_response(h, room, &r);
	if (!ok)
		err_set(&e, ERR_UNREACHABLE, "the stream was reset or the connection lost");
	h->spec.done(h->spec.arg, ok ? &r : NULL, ok ? NULL : &e);
	call_free(h);
}

static void flush(struct http2_tc *c)
{
	const uint8_t *data;
	ssize_t n;

	while (c->session && c->bev && (n = nghttp2_session_mem_send(c->session, &data)) > 0)
		bufferevent_write(c->bev, data, (size_t)n);
}

/* ---- nghttp2 ---- */

static struct http2_tc_call *call_of(nghttp2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s, id);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct http2_tc_call *h = call_of(s, f->hd.stream_id);
	int64_t status = 0;

	if (!h)
		return 0;
	if (*name == ':') {
		(void)str_to_i64((const char *)value, 100, 599, &status);
		h->status = (int)status;
		return 0;
	}
	strv_add(&h->names, (const char *)name);
	strv_add(&h->values, (const char *)value);
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct http2_tc *c = arg;
	struct http2_tc_call *h = call_of(s, f->hd.stream_id);
	struct http_header room[HEADERS_MAX];
	struct http_response r;

	if (f->hd.type == NGHTTP2_GOAWAY) {
		c->goaways++;
		c->goaway_code = f->goaway.error_code;
	} else if (f->hd.type == NGHTTP2_PING) {
		c->pongs += f->hd.flags & NGHTTP2_FLAG_ACK;
	} else if (f->hd.type == NGHTTP2_RST_STREAM) {
		c->reset_code = f->rst_stream.error_code;
	} else if (f->hd.type == NGHTTP2_HEADERS && h && h->spec.head && h->status >= 200) {
		fill_response(h, room, &r);
		h->spec.head(h->spec.arg, &r);
	}
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
	struct http2_tc_call *h = call_of(s, id);

	(void)nghttp2_session_consume_connection(s, len);
	if (!h)
		return 0;
	if (h->paused)
		h->unread += len;
	else
		(void)nghttp2_session_consume_stream(s, id, len);
	if (h->spec.data)
		h->spec.data(h->spec.arg, data, len);
	else
		str_addn(&h->in, (const char *)data, len);
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
	struct http2_tc_call *h = call_of(s, id);

	if (h)
		call_end(h, code == NGHTTP2_NO_ERROR && h->status);
	return 0;
}

static ssize_t on_read(nghttp2_session *s, int32_t id, uint8_t *buf, size_t length, uint32_t *flags,
	nghttp2_data_source *source, void *arg)
{
	struct http2_tc_call *h = source->ptr;
	size_t n = h->spec.len - h->sent;

	if (n > length)
		n = length;
	if (n)
		memcpy(buf, h->body + h->sent, n);
	h->sent += n;
	if (h->endless && !n)
		return NGHTTP2_ERR_DEFERRED;
	if (h->sent == h->spec.len && !h->endless)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void submit(struct http2_tc_call *h)
{
	nghttp2_nv nv[4 + HEADERS_MAX];
	size_t n = 0;
	nghttp2_data_provider body = { .source.ptr = h, .read_callback = on_read };
	const char *fixed[] = { ":method", h->method, ":scheme", "https", ":authority", "server.test",
		":path", h->path };

	for (size_t i = 0; i < ARRAY_LEN(fixed); i += 2)
		nv[n++] = (nghttp2_nv){ (uint8_t *)fixed[i], (uint8_t *)fixed[i + 1], strlen(fixed[i]),
			strlen(fixed[i + 1]), NGHTTP2_NV_FLAG_NONE };
	for (size_t i = 0; i < h->spec.n_headers && n < ARRAY_LEN(nv); i++)
		nv[n++] = (nghttp2_nv){ (uint8_t *)h->spec.headers[i].name,
			(uint8_t *)h->spec.headers[i].value, strlen(h->spec.headers[i].name),
			strlen(h->spec.headers[i].value), NGHTTP2_NV_FLAG_NONE };
	h->id = nghttp2_submit_request(
		h->c->session, NULL, nv, n, h->spec.len || h->endless ? &body : NULL, h);
	MUST(h->id > 0);
}

/* ---- the connection ---- */

static void gone(struct http2_tc *c)
{
	c->closed = true;
	if (c->bev)
		bufferevent_free(TAKE(c->bev));
	while (c->calls)
		call_end(c->calls, false);
}

static void bev_read(struct bufferevent *bev, void *arg)
{
	struct http2_tc *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_iovec v;

	while (c->bev && evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len) {
		if (nghttp2_session_mem_recv(c->session, v.iov_base, v.iov_len) < 0) {
			gone(c);
			return;
		}
		evbuffer_drain(in, v.iov_len);
	}
	flush(c);
}

static void bev_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		gone(arg);
}

static void dialled(void *arg, struct bufferevent *bev, const struct err *e)
{
	struct http2_tc *c = arg;

	c->dial = NULL;
	c->bev = bev;
	if (!bev) {
		gone(c);
		return;
	}
	bufferevent_setcb(bev, bev_read, NULL, bev_event, c);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (c->raw.len)
		bufferevent_write(bev, c->raw.data, c->raw.len);
	else
		flush(c);
}

struct http2_tc *http2_tc_new(struct loop *l, int port, struct tls_ctx *tls)
{
	struct http2_tc *c = MEM_NEW(struct http2_tc);
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;

	c->loop = l;
	MUST(nghttp2_session_callbacks_new(&cb) == 0 && nghttp2_option_new(&opt) == 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	MUST(nghttp2_session_client_new2(&c->session, cb, c, opt) == 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	MUST(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
	c->dial = http_dial_new(l,
		&(struct http_dial_spec){
			.host = "127.0.0.1", .port = port, .timeout_ms = CONNECT_TIMEOUT_MS, .tls = tls },
		dialled, c);
	return c;
}

void http2_tc_free(struct http2_tc *c)
{
	if (!c)
		return;
	while (c->calls)
		call_free(c->calls);
	http_dial_cancel(c->dial);
	if (c->bev)
		bufferevent_free(c->bev);
	nghttp2_session_del(c->session);
	str_done(&c->raw);
	free(c);
}

static struct http2_tc_call *call_new(struct http2_tc *c, const struct http_call_spec *spec, bool endless)
{
	struct http2_tc_call *h = MEM_NEW(struct http2_tc_call);

	h->c = c;
	h->spec = *spec;
	h->endless = endless;
	h->method = mem_strdup(spec->method);
	h->path = mem_strdup(spec->path);
	h->body = spec->len ? mem_dup(spec->body, spec->len) : NULL;
	h->next = c->calls;
	h->prev = &c->calls;
	if (h->next)
		h->next->prev = &h->next;
	c->calls = h;
	submit(h);
	flush(c);
	return h;
}

struct http2_tc_call *http2_tc_call(struct http2_tc *c, const struct http_call_spec *spec)
{
	return call_new(c, spec, false);
}

struct http2_tc_call *http2_tc_half_post(struct http2_tc *c, const struct http_call_spec *spec)
{
	return call_new(c, spec, true);
}

void http2_tc_cancel(struct http2_tc_call *h)
{
	struct http2_tc *c;

	if (!h)
		return;
	c = h->c;
	(void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, h->id, NGHTTP2_CANCEL);
	call_free(h);
	flush(c);
}

void http2_tc_pause(struct http2_tc_call *h, bool paused)
{
	h->paused = paused;
	if (paused)
		return;
	(void)nghttp2_session_consume_stream(h->c->session, h->id, h->unread);
	h->unread = 0;
	flush(h->c);
}

bool http2_tc_closed(const struct http2_tc *c)
{
	return c->closed;
}

int http2_tc_goaways(const struct http2_tc *c, unsigned *ret_code)
{
	if (ret_code)
		*ret_code = c->goaway_code;
	return c->goaways;
}

unsigned http2_tc_reset_code(const struct http2_tc *c)
{
	return c->reset_code;
}

void http2_tc_pings(struct http2_tc *c, int n)
{
	for (int i = 0; i < n; i++)
		(void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
	flush(c);
}

int http2_tc_pongs(const struct http2_tc *c)
{
	return c->pongs;
}

void http2_tc_rapid_reset(struct http2_tc *c, int n)
{
	nghttp2_nv nv[] = {
		{ (uint8_t *)":method", (uint8_t *)"GET", 7, 3, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)":scheme", (uint8_t *)"https", 7, 5, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)":authority", (uint8_t *)"a", 10, 1, NGHTTP2_NV_FLAG_NONE },
		{ (uint8_t *)":path", (uint8_t *)"/hold", 5, 5, NGHTTP2_NV_FLAG_NONE },
	};

	for (int i = 0; i < n; i++) {
		int32_t id = nghttp2_submit_request(c->session, NULL, nv, ARRAY_LEN(nv), NULL, NULL);

		flush(c);
		if (id > 0)
			(void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		flush(c);
	}
}

void http2_tc_raw(struct http2_tc *c, const void *data, size_t len)
{
	if (c->bev)
		bufferevent_write(c->bev, data, len);
	else
		str_addn(&c->raw, data, len);
}

void http2_tc_stop_reading(struct http2_tc *c)
{
	if (c->bev)
		bufferevent_disable(c->bev, EV_READ);
}
