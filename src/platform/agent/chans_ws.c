/* SPDX-License-Identifier: Apache-2.0 */
/* Channels in a WebSocket: the first byte of each message says which; in the base64 forms that is a digit, and the rest is
 * base64. */
#include "base/crypto.h"
#include "base/mem.h"
#include "base/ws.h"
#include "platform/agent/chans_impl.h"
#include "platform/agent/serve.h"

#include <string.h>

#define CLOSE_CHANNEL 255 /* v5: followed by the channel that ends */
#define WS_CLOSE_NORMAL 1000

struct wire {
	struct chans chans;
	struct ws *ws; /* NULL: gone */
	bool base64, closes;
};

static void send_on(struct chans *c, enum chan to, const void *data, size_t len)
{
	struct wire *w = (struct wire *)c;
	CLEANUP(str_done) struct str frame = { 0 };

	if (!w->ws)
		return;
	str_addc(&frame, (char)(w->base64 ? '0' + (int)to : (int)to));
	if (w->base64)
		b64_encode(data, len, false, &frame);
	else if (len)
		str_addn(&frame, data, len);
	ws_send(w->ws, w->base64 ? WS_TEXT : WS_BINARY, frame.data, frame.len);
}

static size_t pending(const struct chans *c)
{
	const struct wire *w = (const struct wire *)c;

	return w->ws ? ws_pending(w->ws) : 0;
}

static void pause_input(struct chans *c, bool paused)
{
	struct wire *w = (struct wire *)c;

	if (w->ws)
		ws_pause(w->ws, paused);
}

static void message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct wire *w = arg;
	const unsigned char *p = data;
	CLEANUP(str_done) struct str plain = { 0 };

	if (!len)
		return;
	if (w->closes && p[0] == CLOSE_CHANNEL) {
		if (len == 2 && p[1] == CHAN_STDIN)
			w->chans.ops->input_end(w->chans.arg);
	} else if (!w->base64) {
		chans_in(&w->chans, p[0] < CHANS ? p[0] : CHANS, p + 1, len - 1);
	} else if (p[0] >= '0' && b64_decode((const char *)p + 1, len - 1, false, &plain, NULL) == 0) {
		chans_in(&w->chans, p[0] - '0' < CHANS ? p[0] - '0' : CHANS, plain.data, plain.len);
	}
}

static void closed(void *arg, const struct err *e)
{
	struct wire *w = arg;

	w->ws = NULL;
	chans_gone(&w->chans);
}

static void drained(void *arg)
{
	struct wire *w = arg;

	w->chans.ops->drained(w->chans.arg);
}

static void start(struct chans *c)
{
	static const struct ws_ops ops = { message, closed, drained };
	struct wire *w = (struct wire *)c;

	/* An empty message tells clients that wait for one that they are through. */
	send_on(c, c->want.out ? CHAN_STDOUT : c->want.err ? CHAN_STDERR : CHAN_ERROR, "", 0);
	ws_start(w->ws, &ops, w);
	c->ops->ready(c->arg);
}

static void close_wire(struct chans *c)
{
	struct wire *w = (struct wire *)c;

	if (w->ws)
		ws_close(w->ws, WS_CLOSE_NORMAL);
}

struct chans *chans_ws(struct loop *l, struct http_req *r)
{
	static const char *const protocols[] = { "v5.channel.k8s.io", "v4.channel.k8s.io",
		"v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", NULL };
	static const struct chans_wire wire = { send_on, pending, pause_input, start, close_wire };
	const char *protocol = NULL;
	struct err e = { 0 };
	struct ws *ws = ws_accept(r, protocols, &protocol, &e);
	struct wire *w;

	if (!ws) {
		serve_error(r, e.code, "%s", e.msg);
		return NULL;
	}
	w = MEM_NEW(struct wire);
	w->chans.wire = &wire;
	w->ws = ws;
	w->closes = str_eq(protocol, "v5.channel.k8s.io");
	w->base64 = protocol && strstr(protocol, "base64");
	w->chans.status_text = !protocol || !str_starts(protocol, "v");
	return &w->chans;
}
