/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket endpoints: console and port forwarding. kubevirt-api.md 2.3: raw bytes in binary frames, subprotocol
 * plain.kubevirt.io if offered, failures as Status before the upgrade. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/ws.h"
#include "kubevirt/api/handler_api.h"
#include "kubevirt/webhook/server_impl.h"

#define UNSENT_MAX (256 * 1024) /* beyond this the other side is not read from */
#define PING_INTERVAL_MS 1000
#define HANDLER_TIMEOUT_MS 15000

static const char *const protocols[] = { "plain.kubevirt.io", NULL };

/* ---- a WebSocket and a byte stream, joined ---- */

struct bridge {
	struct virt_api *api;
	struct bridge *next;
	struct ws *ws;
	struct http_stream *stream;
	struct http_client *client; /* the stream's connection belongs to it; NULL: none */
	struct loop_timer *ping;
};

static void bridge_free(struct bridge *b)
{
	for (struct bridge **p = &b->api->bridges; *p; p = &(*p)->next)
		if (*p == b) {
			*p = b->next;
			break;
		}
	loop_timer_free(b->ping);
	http_client_free(b->client);
	free(b);
}

static void bridge_end(struct bridge *b, bool ws_open, bool stream_open)
{
	if (ws_open)
		ws_close(b->ws, 1000);
	if (stream_open)
		http_stream_close(b->stream);
	bridge_free(b);
}

static void on_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct bridge *b = arg;

	if (kind != WS_BINARY)
		return;
	http_stream_write(b->stream, data, len);
	if (http_stream_pending(b->stream) > UNSENT_MAX)
		ws_pause(b->ws, true);
}

static void on_ws_drained(void *arg)
{
	struct bridge *b = arg;
	http_stream_pause(b->stream, false);
}

static void on_ws_closed(void *arg, const struct err *e)
{
	bridge_end(arg, false, true);
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct bridge *b = arg;

	ws_send(b->ws, WS_BINARY, data, len);
	if (ws_pending(b->ws) > UNSENT_MAX)
		http_stream_pause(b->stream, true);
}

static void on_drained(void *arg)
{
	struct bridge *b = arg;
	ws_pause(b->ws, false);
}

static void on_closed(void *arg, const struct err *e)
{
	bridge_end(arg, true, false);
}

static void on_ping(void *arg)
{
	struct bridge *b = arg;

	ws_ping(b->ws);
	loop_timer_set(b->ping, PING_INTERVAL_MS);
}

static void bridge_start(
	struct virt_api *a, struct ws *w, struct http_stream *s, struct http_client *client, bool ping)
{
	static const struct ws_ops ws_ops = { on_message, on_ws_closed, on_ws_drained };
	static const struct http_stream_ops stream_ops = { on_data, on_drained, on_closed };
	struct bridge *b = MEM_NEW(struct bridge);

	*b = (struct bridge){ .api = a, .next = a->bridges, .ws = w, .stream = s, .client = client };
	a->bridges = b;
	if (ping) {
		b->ping = loop_timer_new(a->spec.loop, on_ping, b);
		loop_timer_set(b->ping, PING_INTERVAL_MS);
	}
	ws_start(w, &ws_ops, b);
	http_stream_start(s, &stream_ops, b);
}

size_t bridges_open(const struct virt_api *a)
{
	size_t n = 0;

	for (const struct bridge *b = a->bridges; b; b = b->next)
		n++;
	return n;
}

void bridges_end(struct virt_api *a)
{
	while (a->bridges)
		bridge_end(a->bridges, true, true);
}

/* Upgrades the client's request and joins it with s, which is taken in any case. */
static void join(struct call *c, struct http_stream *s, struct http_client *client, bool ping)
{
	struct virt_api *a = c->api;
	struct err e;
	struct ws *w = ws_accept(c->req, protocols, NULL, &e); /* ends the request, and with it c */

	if (!w) {
		call_fail(c, &e);
		http_stream_close(s);
		http_client_free(client);
		return;
	}
	bridge_start(a, w, s, client, ping);
}

static bool upgrade_wanted(struct call *c)
{
	struct err e;

	if (ws_wanted(c->req))
		return true;
	err_set(&e, ERR_BAD_REQUEST, "a WebSocket upgrade is expected");
	call_fail(c, &e);
	return false;
}

/* ---- console ---- */

static void handler_refused(void *arg, const struct http_response *r, const struct err *e)
{
	struct call *c = arg;
	struct err mine;

	c->handler_call = NULL;
	if (!e) {
		http_req_reply(c->req, r->status >= 300 ? r->status : 502,
			http_response_header(r, "Content-Type"), r->body, r->len);
		return;
	}
	err_copy(&mine, e);
	err_wrap(&mine, "virt-handler at %s", c->handler_ip);
	call_fail(c, &mine);
}

static void handler_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	struct call *c = arg;

	c->handler_call = NULL;
	join(c, s, TAKE(c->handler), false);
}

static void dial_console(struct call *c)
{
	CLEANUP(mem_freep) char *path = str_printf(HANDLER_PATH_FMT, c->ns, c->name, "console");
	static const struct http_header headers[] = { { "Connection", "Upgrade" },
		{ "Upgrade", HANDLER_CONSOLE_PROTO } };
	const struct http_call_spec spec = { .method = "GET",
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.timeout_ms = HANDLER_TIMEOUT_MS,
		.done = handler_refused,
		.upgraded = handler_upgraded,
		.arg = c };

	c->handler_call = http_client_call(c->handler, &spec);
}

static void console_checked(struct call *c)
{
	const char *node;
	struct err e;

	if (console_check(c->vmi ? obj_json(c->vmi) : NULL, c->name, &node, &e) < 0)
		call_fail(c, &e);
	else if (upgrade_wanted(c))
		handler_find(c, node, dial_console);
}

void console_serve(struct call *c)
{
	call_get_vmi(c, console_checked);
}

/* ---- port forwarding ---- */

static void portforward_checked(struct call *c)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(c->rest);
	char *rest = copy;
	const char *port_text = str_next(&rest, '/'), *proto = rest, *ip;
	int64_t port;
	struct err e;

	if (!str_to_i64(port_text, 1, 65535, &port))
		err_set(&e, ERR_BAD_REQUEST, "failed to parse port from request: %s", port_text);
	else if (proto && !str_eq(proto, "tcp"))
		err_set(&e, ERR_BAD_REQUEST, "protocol %s is not supported: tcp is", proto);
	else if (portforward_check(c->vmi ? obj_json(c->vmi) : NULL, c->name, &ip, &e) == 0) {
		if (!upgrade_wanted(c))
			return;
		struct http_stream *s = http_stream_tcp(c->api->spec.loop, ip, (int)port, &e);
		if (s) {
			join(c, s, NULL, true);
			return;
		}
		err_wrap(&e, "dialing VM at %s:%d", ip, (int)port);
		e.code = ERR_INTERNAL;
	}
	call_fail(c, &e);
}

void portforward_serve(struct call *c)
{
	call_get_vmi(c, portforward_checked);
}
