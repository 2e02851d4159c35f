/* SPDX-License-Identifier: Apache-2.0 */
/* Port-forward by channels of a WebSocket, as the Python client does it (kubernetes-api.md 2.9): the query names the ports; port
 * number i has channels 2i for data and 2i+1 for errors. Both begin with the port as two bytes, the low one first. One
 * connection per port; when all are over, the WebSocket is. */
#include "base/crypto.h"
#include "base/ws.h"
#include "platform/agent/forward.h"

#include <string.h>

#define PORTS_MAX 64
#define WS_CLOSE_NORMAL 1000

struct port {
	struct session *s;
	int number, index;
	struct forward *to;
};
struct session {
	struct served served;
	struct ws *ws; /* NULL: gone */
	bool base64;
	struct port ports[PORTS_MAX];
	int n, open;
};

static void session_free(struct session *s)
{
	served_remove(&s->served);
	for (int i = 0; i < s->n; i++)
		forward_free(s->ports[i].to);
	if (s->ws)
		ws_close(s->ws, WS_CLOSE_NORMAL);
	free(s);
}

static void stop(struct served *s)
{
	session_free((struct session *)s);
}

static void send_on(struct session *s, int channel, const void *data, size_t len)
{
	CLEANUP(str_done) struct str frame = { 0 };

	str_addc(&frame, (char)(s->base64 ? '0' + channel : channel));
	if (s->base64)
		b64_encode(data, len, false, &frame);
	else
		str_addn(&frame, data, len);
	ws_send(s->ws, s->base64 ? WS_TEXT : WS_BINARY, frame.data, frame.len);
}

/* ---- from the pod ---- */
static void pod_data(void *arg, const void *data, size_t len)
{
	struct port *p = arg;

	send_on(p->s, 2 * p->index, data, len);
	if (ws_pending(p->s->ws) > FORWARD_UNSENT_MAX)
		for (int i = 0; i < p->s->n; i++)
			if (p->s->ports[i].to)
				forward_pause(p->s->ports[i].to, true);
}

static void look(struct session *s)
{
	bool full = false;

	for (int i = 0; i < s->n; i++)
		full |= s->ports[i].to && forward_pending(s->ports[i].to) > FORWARD_UNSENT_MAX;
	ws_pause(s->ws, full);
}

static void pod_end(void *arg)
{
	struct port *p = arg;

	forward_free(TAKE(p->to)); /* this way there is no end of one direction */
	if (--p->s->open == 0)
		session_free(p->s);
	else
		look(p->s);
}

static void pod_drained(void *arg)
{
	look(((struct port *)arg)->s);
}

static void pod_failed(void *arg, const char *why)
{
	struct port *p = arg;
	CLEANUP(mem_freep)
	char *text = str_printf("error forwarding port %d: connecting to localhost:%d in the pod: %s",
		p->number, p->number, why);

	send_on(p->s, 2 * p->index + 1, text, strlen(text));
	pod_end(p);
}

/* ---- from the client ---- */
static void message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct session *s = arg;
	const unsigned char *p = data;
	CLEANUP(str_done) struct str plain = { 0 };
	int channel = len ? p[0] - (s->base64 ? '0' : 0) : -1;
	struct forward *to =
		channel >= 0 && channel % 2 == 0 && channel / 2 < s->n ? s->ports[channel / 2].to : NULL;

	if (!to)
		return;
	if (!s->base64)
		forward_write(to, p + 1, len - 1);
	else if (b64_decode((const char *)p + 1, len - 1, false, &plain, NULL) == 0)
		forward_write(to, str_cstr(&plain), plain.len);
	look(s);
}

static void closed(void *arg, const struct err *e)
{
	struct session *s = arg;

	s->ws = NULL;
	session_free(s);
}

static void drained(void *arg)
{
	struct session *s = arg;

	for (int i = 0; i < s->n; i++)
		if (s->ports[i].to)
			forward_pause(s->ports[i].to, false);
}

/* ---- starting ---- */
static bool read_ports(struct http_req *r, struct session *s)
{
	const char *name, *value;

	for (size_t i = 0; http_req_query_each(r, &i, &name, &value);) {
		CLEANUP(mem_freep) char *copy = mem_strdup(value);

		if (!str_eq(name, "ports") && !str_eq(name, "port"))
			continue;
		for (char *rest = copy; rest;) {
			int64_t n;

			if (s->n >= PORTS_MAX || !str_to_i64(str_next(&rest, ','), 1, 65535, &n))
				return false;
			s->ports[s->n] = (struct port){ s, (int)n, s->n, NULL };
			s->n++;
		}
	}
	return s->n > 0;
}

static void begin(struct session *s, struct agent *a, const struct pod *p)
{
	static const struct ws_ops ops = { message, closed, drained };
	static const struct forward_ops forward_ops = { pod_data, pod_end, pod_drained, pod_failed };

	served_add(a, &s->served, stop);
	s->open = s->n;
	for (int i = 0; i < s->n; i++) {
		unsigned char number[2] = { (unsigned char)s->ports[i].number,
			(unsigned char)(s->ports[i].number >> 8) };

		send_on(s, 2 * i, number, sizeof(number));
		send_on(s, 2 * i + 1, number, sizeof(number));
		s->ports[i].to = forward_new(a, p, s->ports[i].number, &forward_ops, &s->ports[i]);
	}
	ws_start(s->ws, &ops, s);
}

void forward_serve_channels(struct agent *a, struct pod *p, struct http_req *r)
{
	static const char *const protocols[] = { "v4.channel.k8s.io", "v4.base64.channel.k8s.io", NULL };
	struct session *s = MEM_NEW(struct session);
	const char *protocol = NULL;
	struct err e = { 0 };

	if (!read_ports(r, s)) {
		serve_error(r, ERR_BAD_REQUEST,
			"query parameter \"ports\" is required: at most %d of 1 to 65535", PORTS_MAX);
		free(s);
		return;
	}
	s->ws = ws_accept(r, protocols, &protocol, &e);
	if (!s->ws) {
		serve_error(r, e.code, "%s", e.msg);
		free(s);
		return;
	}
	s->base64 = protocol && strstr(protocol, "base64");
	begin(s, a, p);
}
