/* SPDX-License-Identifier: Apache-2.0 */
/* What carries SPDY: an upgraded connection, or the binary messages of a WebSocket ("tunnelled"). */
#include "base/mem.h"
#include "base/spdy.h"

/* ---- a connection ---- */
static void stream_data(void *arg, const void *data, size_t len)
{
	spdy_feed(arg, data, len);
}

static void stream_drained(void *arg)
{
	spdy_drained(arg);
}

static void stream_closed(void *arg, const struct err *e)
{
	spdy_lost(arg, e);
}

static void stream_start(void *c, struct spdy *y)
{
	static const struct http_stream_ops ops = { stream_data, stream_drained, stream_closed };

	http_stream_start(c, &ops, y);
}

static void stream_write(void *c, const void *data, size_t len)
{
	http_stream_write(c, data, len);
}

static size_t stream_pending(const void *c)
{
	return http_stream_pending(c);
}

static void stream_pause(void *c, bool paused)
{
	http_stream_pause(c, paused);
}

static void stream_close(void *c)
{
	http_stream_close(c);
}

struct spdy *spdy_over_stream(struct loop *l, struct http_stream *s)
{
	static const struct spdy_carrier carrier = { stream_start, stream_write, stream_pending, stream_pause,
		stream_close };

	return spdy_new(l, &carrier, s);
}

/* ---- a WebSocket ---- */
#define WS_CLOSE_NORMAL 1000

static void ws_carrier_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	spdy_feed(arg, data, len);
}

static void ws_carrier_start(void *c, struct spdy *y)
{
	static const struct ws_ops ops = { ws_carrier_message, stream_closed, stream_drained };

	ws_start(c, &ops, y);
}

static void ws_carrier_write(void *c, const void *data, size_t len)
{
	ws_send(c, WS_BINARY, data, len);
}

static size_t ws_carrier_pending(const void *c)
{
	return ws_pending(c);
}

static void ws_carrier_pause(void *c, bool paused)
{
	ws_pause(c, paused);
}

static void ws_carrier_close(void *c)
{
	ws_close(c, WS_CLOSE_NORMAL);
}

struct spdy *spdy_over_ws(struct loop *l, struct ws *w)
{
	static const struct spdy_carrier carrier = { ws_carrier_start, ws_carrier_write, ws_carrier_pending,
		ws_carrier_pause, ws_carrier_close };

	return spdy_new(l, &carrier, w);
}
