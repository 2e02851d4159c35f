/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_io.h"

#include "base/mem.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 10000

/* Life: made -> started -> ended (closed() called, or http_stream_close()) -> freed. Inside its own callbacks a stream
 * is never freed but marked, and freed when the callback has returned. */
struct http_stream {
	struct loop *loop;
	struct bufferevent *bev; /* NULL while dialling and when dead */
	struct http_dial *dial;
	struct evbuffer *early; /* written while dialling */
	const struct http_stream_ops *ops;
	void *arg;
	loop_fn *on_eof;
	loop_fn *gone;
	void *gone_arg;
	struct loop_timer *fail_timer;
	struct err *fail; /* what closed() will tell */
	int busy;
	bool paused, eof, eof_told, shut, ended;
};

static struct http_stream *stream_new(struct loop *l)
{
	struct http_stream *s = MEM_NEW(struct http_stream);

	s->loop = l;
	return s;
}

struct loop *http_stream_loop(const struct http_stream *s)
{
	return s->loop;
}

/* Frees, once no callback of ours is on the stack. flush: what is unsent still goes out. */
static void stream_release(struct http_stream *s, bool flush)
{
	s->ended = true;
	s->ops = NULL;
	if (s->bev && !flush)
		bufferevent_free(TAKE(s->bev));
	if (s->busy)
		return;
	if (s->bev) /* what the peer has still under way must not cost it our last bytes */
		http_bev_close(s->loop, s->bev, !s->eof);
	http_dial_cancel(s->dial);
	if (s->early)
		evbuffer_free(s->early);
	loop_timer_free(s->fail_timer);
	free(s->fail);
	if (s->gone)
		s->gone(s->gone_arg);
	free(s);
}

static void stream_end(struct http_stream *s, const struct err *e)
{
	const struct http_stream_ops *ops = s->ops;

	s->ended = true;
	s->busy++;
	if (ops && ops->closed)
		ops->closed(s->arg, e);
	s->busy--;
	stream_release(s, e->code == ERR_NONE);
}

static void stream_fail_now(void *arg)
{
	struct http_stream *s = arg;
	struct err e = *s->fail;

	if (s->ops)
		stream_end(s, &e);
}

/* closed() comes in a later turn. */
static void stream_fail(struct http_stream *s, const struct err *e)
{
	if (s->fail)
		return;
	s->fail = mem_dup(e, sizeof(*e));
	s->fail_timer = loop_timer_new(s->loop, stream_fail_now, s);
	loop_timer_set(s->fail_timer, 0);
}

static void stream_at_eof(struct http_stream *s)
{
	static const struct err none = { .code = ERR_NONE };

	if (!s->on_eof) {
		stream_end(s, &none);
	} else if (!s->eof_told) {
		s->eof_told = true;
		s->on_eof(s->arg);
	}
}

static void stream_read(struct bufferevent *bev, void *arg)
{
	struct http_stream *s = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_iovec v;

	s->busy++;
	while (!s->ended && !s->paused && evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len) {
		s->ops->data(s->arg, v.iov_base, v.iov_len);
		if (s->bev)
			evbuffer_drain(in, v.iov_len);
	}
	s->busy--;
	if (s->ended)
		stream_release(s, true);
	else if (s->eof && !s->paused)
		stream_at_eof(s);
}

static void stream_sent(struct bufferevent *bev, void *arg)
{
	struct http_stream *s = arg;

	if (http_bev_unsent(bev))
		return;
	if (s->shut)
		http_bev_shut(bev);
	if (!s->ops->drained)
		return;
	s->busy++;
	s->ops->drained(s->arg);
	s->busy--;
	if (s->ended)
		stream_release(s, true);
}

static void stream_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_stream *s = arg;
	struct err e;

	if (http_bev_eof(what)) {
		s->eof = true;
		bufferevent_enable(bev, EV_WRITE); /* the TLS layer stops both directions */
		stream_read(bev, s);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		http_bev_err(bev, "stream", &e);
		stream_end(s, &e);
	}
}

static void stream_attach(struct http_stream *s)
{
	bufferevent_setcb(s->bev, stream_read, stream_sent, stream_event, s);
	bufferevent_enable(s->bev, s->paused ? EV_WRITE : EV_READ | EV_WRITE);
	bufferevent_trigger(s->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void http_stream_start(struct http_stream *s, const struct http_stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
	if (s->bev)
		stream_attach(s);
	else if (s->fail)
		loop_timer_set(s->fail_timer, 0); /* it may have fired while nobody listened */
}

void http_stream_on_eof(struct http_stream *s, loop_fn *fn)
{
	s->on_eof = fn;
}

size_t http_stream_pending(const struct http_stream *s)
{
	if (s->early)
		return evbuffer_get_length(s->early);
	return s->bev ? http_bev_unsent(s->bev) : 0;
}

void http_stream_write(struct http_stream *s, const void *data, size_t len)
{
	struct err e;

	if (s->ended || s->shut || !len)
		return;
	if (http_stream_pending(s) > HTTP_STREAM_BUFFER_MAX) {
		err_set(&e, ERR_TIMEOUT, "stream: the peer does not read");
		stream_fail(s, &e);
	} else if (s->bev) {
		MUST(bufferevent_write(s->bev, data, len) == 0);
	} else if (s->dial) {
		if (!s->early)
			s->early = evbuffer_new();
		MUST(s->early && evbuffer_add(s->early, data, len) == 0);
	}
}

void http_stream_shut(struct http_stream *s)
{
	if (s->shut || s->ended)
		return;
	s->shut = true;
	if (s->bev && !http_bev_unsent(s->bev))
		http_bev_shut(s->bev);
}

void http_stream_pause(struct http_stream *s, bool paused)
{
	if (s->paused == paused || s->ended)
		return;
	s->paused = paused;
	if (!s->bev)
		return;
	if (paused) {
		bufferevent_disable(s->bev, EV_READ);
		return;
	}
	if (!s->eof)
		bufferevent_enable(s->bev, EV_READ);
	bufferevent_trigger(s->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void http_stream_close(struct http_stream *s)
{
	if (s)
		stream_release(s, true);
}

struct http_stream *http_stream_adopt(struct loop *l, struct bufferevent *bev, loop_fn *gone, void *gone_arg)
{
	struct http_stream *s = stream_new(l);

	s->bev = bev;
	s->gone = gone;
	s->gone_arg = gone_arg;
	/* Until http_stream_start() nobody may be called; the kernel keeps what arrives. */
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(bev, EV_READ);
	return s;
}

struct http_stream *http_stream_dead(struct loop *l, const struct err *why)
{
	struct http_stream *s = stream_new(l);

	stream_fail(s, why);
	return s;
}

struct http_stream *http_stream_fd(struct loop *l, int fd)
{
	http_fd_tune(fd);
	evutil_make_socket_nonblocking(fd);
	return http_stream_adopt(l, http_bev_new(l, fd, NULL, NULL, NULL), NULL, NULL);
}

static void stream_dialled(void *arg, struct bufferevent *bev, const struct err *e)
{
	struct http_stream *s = arg;

	s->dial = NULL;
	if (!bev) {
		stream_fail(s, e);
		return;
	}
	s->bev = bev;
	if (s->early) {
		bufferevent_write_buffer(bev, s->early);
		evbuffer_free(TAKE(s->early));
	}
	bufferevent_disable(bev, EV_READ);
	if (s->ops)
		stream_attach(s);
	if (s->shut && !http_bev_unsent(bev))
		http_bev_shut(bev);
}

static struct http_stream *stream_dial(struct loop *l, const struct http_dial_spec *spec)
{
	struct http_stream *s = stream_new(l);

	s->dial = http_dial_new(l, spec, stream_dialled, s);
	return s;
}

struct http_stream *http_stream_unix(struct loop *l, const char *path, struct err *e)
{
	return stream_dial(
		l, &(struct http_dial_spec){ .unix_path = path, .timeout_ms = CONNECT_TIMEOUT_MS });
}

struct http_stream *http_stream_tcp(struct loop *l, const char *host, int port, struct err *e)
{
	if (str_empty(host) || port < 1 || port > 65535) {
		err_set(e, ERR_BAD_REQUEST, "\"%s\" port %d is no address", host ? host : "", port);
		return NULL;
	}
	return stream_dial(
		l, &(struct http_dial_spec){ .host = host, .port = port, .timeout_ms = CONNECT_TIMEOUT_MS });
}
