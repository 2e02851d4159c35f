/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ws.h"

#include "base/crypto.h"
#include "base/http_io.h"
#include "base/http_parse.h"
#include "base/mem.h"

#include <string.h>
#include <strings.h>

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define WS_CONTROL_MAX 125
#define WS_HEAD_MAX 14
#define WS_KEY_BYTES 16

enum { OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };
enum {
	CLOSE_NORMAL = 1000,
	CLOSE_GOING = 1001,
	CLOSE_PROTOCOL = 1002,
	CLOSE_NO_CODE = 1005,
	CLOSE_NOT_UTF8 = 1007,
	CLOSE_TOO_BIG = 1009
};

struct ws {
	struct http_stream *stream;
	const struct ws_ops *ops;
	void *arg;
	bool client;             /* we mask, the peer must not */
	struct str in;           /* bytes of an incomplete frame */
	struct loop_timer *kick; /* frames that waited for the end of a pause */
	struct str message;
	int message_op; /* of the message being put together; 0: none */
	int busy;
	bool ended, paused;
};

struct frame {
	bool fin;
	int op;
	uint64_t len;
	size_t head_len;
	uint8_t mask[4];
	bool masked;
};

/* ---- sending ---- */

static void send_frame(struct ws *w, int op, const void *data, size_t len)
{
	CLEANUP(str_done) struct str f = { 0 };
	uint8_t head[WS_HEAD_MAX], mask[4];
	size_t n = 2;

	head[0] = (uint8_t)(0x80 | op);
	if (len < 126) {
		head[1] = (uint8_t)len;
	} else if (len < 65536) {
		head[1] = 126;
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
		n = 4;
	} else {
		head[1] = 127;
		for (int i = 0; i < 8; i++)
			head[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
		n = 10;
	}
	str_reserve(&f, n + 4 + len);
	if (!w->client) {
		str_addn(&f, (char *)head, n);
		if (len)
			str_addn(&f, data, len);
	} else {
		crypto_random(mask, sizeof(mask));
		head[1] |= 0x80;
		str_addn(&f, (char *)head, n);
		str_addn(&f, (char *)mask, sizeof(mask));
		for (size_t i = 0; i < len; i++)
			f.data[f.len + i] = (char)(((const uint8_t *)data)[i] ^ mask[i & 3]);
		f.len += len;
	}
	http_stream_write(w->stream, f.data, f.len);
}

static void send_close(struct ws *w, int code)
{
	uint8_t b[2] = { (uint8_t)(code >> 8), (uint8_t)code };

	send_frame(w, OP_CLOSE, b, code == CLOSE_NO_CODE ? 0 : sizeof(b));
}

/* ---- life ---- */

static void ws_release(struct ws *w)
{
	w->ended = true;
	if (w->busy)
		return;
	if (w->stream)
		http_stream_close(w->stream);
	loop_timer_free(w->kick);
	str_done(&w->in);
	str_done(&w->message);
	free(w);
}

static void ws_end(struct ws *w, const struct err *e)
{
	w->ended = true;
	w->busy++;
	w->ops->closed(w->arg, e);
	w->busy--;
	ws_release(w);
}

/* The peer broke the rules. */
static void ws_violation(struct ws *w, int code, const char *why)
{
	struct err e;

	send_close(w, code);
	err_set(&e, code == CLOSE_TOO_BIG ? ERR_TOO_LARGE : ERR_BAD_REQUEST, "websocket: %s", why);
	ws_end(w, &e);
}

/* ---- receiving ---- */

static bool is_utf8(const uint8_t *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint8_t c = s[i];
		size_t more = c < 0x80 ? 0 : (c & 0xe0) == 0xc0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;
		uint32_t v = c & (more == 1 ? 0x1f : more == 2 ? 0x0f : 0x07);
		static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

		if (more == 0) {
			i++;
			continue;
		}
		if ((c & 0xc0) != 0xc0 || c >= 0xf8 || more >= len - i)
			return false;
		for (size_t k = 1; k <= more; k++) {
			if ((s[i + k] & 0xc0) != 0x80)
				return false;
			v = v << 6 | (s[i + k] & 0x3f);
		}
		if (v < least[more] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
			return false;
		i += more + 1;
	}
	return true;
}

/* 1: head complete; 0: needs more; -1: violation (*why) */
static int frame_head(const struct ws *w, const uint8_t *p, size_t len, struct frame *f, const char **why)
{
	size_t need = 2;

	if (len < need)
		return 0;
	*f = (struct frame){ .fin = p[0] & 0x80, .op = p[0] & 15, .masked = p[1] & 0x80, .len = p[1] & 127 };
	*why = p[0] & 0x70                                                  ? "reserved bits set"
	       : f->op > OP_PONG || (f->op > OP_BINARY && f->op < OP_CLOSE) ? "unknown opcode"
	       : f->masked == w->client                                     ? "wrong masking"
	       : f->op >= OP_CLOSE && (!f->fin || f->len > WS_CONTROL_MAX)
		       ? "fragmented or long control frame"
		       : NULL;
	if (*why)
		return -1;
	need += f->len == 126 ? 2 : f->len == 127 ? 8 : 0;
	f->head_len = need + (f->masked ? 4 : 0);
	if (len < f->head_len)
		return 0;
	if (need > 2) {
		f->len = 0;
		for (size_t i = 2; i < need; i++)
			f->len = f->len << 8 | p[i];
	}
	if (f->masked)
		memcpy(f->mask, p + need, 4);
	return 1;
}

static void on_close(struct ws *w, const char *data, size_t len)
{
	int code = len >= 2 ? (uint8_t)data[0] << 8 | (uint8_t)data[1] : CLOSE_NO_CODE;
	struct err e = { .code = ERR_NONE };

	send_close(w, code);
	if (code != CLOSE_NORMAL && code != CLOSE_GOING && code != CLOSE_NO_CODE)
		err_set(&e, ERR_UNREACHABLE, "websocket: the peer closed with %d", code);
	ws_end(w, &e);
}

static void on_message_end(struct ws *w)
{
	struct str m = w->message;
	int op = w->message_op;

	if (op == OP_TEXT && !is_utf8((uint8_t *)m.data, m.len)) {
		ws_violation(w, CLOSE_NOT_UTF8, "text is not UTF-8");
		return;
	}
	w->message = (struct str){ 0 };
	w->message_op = 0;
	w->ops->message(w->arg, op == OP_TEXT ? WS_TEXT : WS_BINARY, str_cstr(&m), m.len);
	str_done(&m);
}

static void on_frame(struct ws *w, const struct frame *f, char *data)
{
	size_t len = (size_t)f->len;

	for (size_t i = 0; f->masked && i < len; i++)
		data[i] = (char)((uint8_t)data[i] ^ f->mask[i & 3]);
	if (f->op == OP_CLOSE) {
		on_close(w, data, len);
	} else if (f->op == OP_PING) {
		send_frame(w, OP_PONG, data, len);
	} else if (f->op == OP_PONG) {
		return;
	} else if ((f->op == OP_CONTINUE) != (w->message_op != 0)) {
		ws_violation(w, CLOSE_PROTOCOL, "fragments out of order");
	} else {
		if (f->op != OP_CONTINUE)
			w->message_op = f->op;
		str_addn(&w->message, data, len);
		if (f->fin)
			on_message_end(w);
	}
}

/* Frames are handled where they lie in w->in; what they occupied is dropped once at the end. */
static void ws_work(struct ws *w)
{
	const char *why = NULL;
	struct frame f;
	size_t at = 0;

	while (!w->ended && !w->paused) {
		int r = frame_head(w, (const uint8_t *)w->in.data + at, w->in.len - at, &f, &why);
		if (r < 0)
			ws_violation(w, CLOSE_PROTOCOL, why);
		else if (r > 0 && f.len > WS_FRAME_MAX - (f.op < OP_CLOSE ? w->message.len : 0))
			ws_violation(w, CLOSE_TOO_BIG, "message is too large");
		if (r <= 0 || w->ended || f.len > w->in.len - at - f.head_len)
			break;
		on_frame(w, &f, w->in.data + at + f.head_len);
		at += f.head_len + (size_t)f.len;
	}
	if (at)
		str_drop_front(&w->in, at);
}

static void ws_kick(void *arg)
{
	struct ws *w = arg;

	w->busy++;
	ws_work(w);
	w->busy--;
	if (w->ended)
		ws_release(w);
}

static void on_data(void *arg, const void *data, size_t len)
{
	struct ws *w = arg;

	str_addn(&w->in, data, len);
	ws_kick(w);
}

static void on_drained(void *arg)
{
	struct ws *w = arg;

	if (w->ops->drained)
		w->ops->drained(w->arg);
}

static void on_closed(void *arg, const struct err *e)
{
	struct ws *w = arg;
	struct err gone = *e;

	w->stream = NULL; /* gone with this call */
	if (e->code == ERR_NONE)
		err_set(&gone, ERR_UNREACHABLE, "websocket: the connection ended without a close frame");
	ws_end(w, &gone);
}

static const struct http_stream_ops stream_ops = {
	.data = on_data, .drained = on_drained, .closed = on_closed
};

/* ---- the interface ---- */

static struct ws *ws_new(struct http_stream *s, bool client)
{
	struct ws *w = MEM_NEW(struct ws);

	w->stream = s;
	w->client = client;
	w->kick = loop_timer_new(http_stream_loop(s), ws_kick, w);
	return w;
}

bool ws_wanted(const struct http_req *r)
{
	const char *key = http_req_header(r, "Sec-WebSocket-Key");

	return http_req_wants_upgrade(r) && http_list_has(http_req_header(r, "Upgrade"), "websocket") &&
	       key && *key && str_eq(http_req_header(r, "Sec-WebSocket-Version"), "13");
}

static void accept_text(const char *key, struct str *out)
{
	CLEANUP(mem_freep) char *text = str_printf("%s" WS_GUID, key);
	uint8_t hash[20];

	crypto_sha1(text, strlen(text), hash);
	b64_encode(hash, sizeof(hash), false, out);
}

struct ws *ws_accept(
	struct http_req *r, const char *const *protocols, const char **ret_protocol, struct err *e)
{
	const char *offered = http_req_header(r, "Sec-WebSocket-Protocol");
	CLEANUP(str_done) struct str proof = { 0 };
	const char *chosen = NULL;

	if (!ws_wanted(r)) {
		err_set(e, ERR_BAD_REQUEST, "not a websocket request");
		return NULL;
	}
	for (; offered && protocols && *protocols && !chosen; protocols++)
		if (http_list_has(offered, *protocols))
			chosen = *protocols;
	if (!str_empty(offered) && !chosen) {
		err_set(e, ERR_BAD_REQUEST, "none of the websocket protocols \"%.200s\" is known", offered);
		return NULL;
	}
	accept_text(http_req_header(r, "Sec-WebSocket-Key"), &proof);
	http_req_add_header(r, "Sec-WebSocket-Accept", str_cstr(&proof));
	if (chosen)
		http_req_add_header(r, "Sec-WebSocket-Protocol", chosen);
	if (ret_protocol)
		*ret_protocol = chosen;
	return ws_new(http_req_upgrade(r, "websocket"), false);
}

void ws_start(struct ws *w, const struct ws_ops *ops, void *arg)
{
	w->ops = ops;
	w->arg = arg;
	http_stream_start(w->stream, &stream_ops, w);
}

void ws_send(struct ws *w, enum ws_kind kind, const void *data, size_t len)
{
	if (!w->ended && w->stream)
		send_frame(w, kind == WS_TEXT ? OP_TEXT : OP_BINARY, data, len);
}

size_t ws_pending(const struct ws *w)
{
	return w->stream ? http_stream_pending(w->stream) : 0;
}

void ws_pause(struct ws *w, bool paused)
{
	if (w->paused == paused || w->ended || !w->stream)
		return;
	w->paused = paused;
	http_stream_pause(w->stream, paused);
	if (!paused && w->in.len)
		loop_timer_set(w->kick, 0);
}

void ws_ping(struct ws *w)
{
	if (!w->ended && w->stream)
		send_frame(w, OP_PING, NULL, 0);
}

void ws_close(struct ws *w, int code)
{
	if (!w || w->ended)
		return;
	if (w->stream)
		send_close(w, code);
	ws_release(w);
}

void ws_client_headers(char key[WS_KEY_MAX], struct http_header *h, size_t *n, const char *protocol)
{
	CLEANUP(str_done) struct str text = { 0 };
	uint8_t b[WS_KEY_BYTES];
	size_t used = 0;

	MUST(*n >= 5);
	crypto_random(b, sizeof(b));
	b64_encode(b, sizeof(b), false, &text);
	MUST(str_copy(key, WS_KEY_MAX, str_cstr(&text)));
	h[used++] = (struct http_header){ "Connection", "Upgrade" };
	h[used++] = (struct http_header){ "Upgrade", "websocket" };
	h[used++] = (struct http_header){ "Sec-WebSocket-Version", "13" };
	h[used++] = (struct http_header){ "Sec-WebSocket-Key", key };
	if (protocol)
		h[used++] = (struct http_header){ "Sec-WebSocket-Protocol", protocol };
	*n = used;
}

bool ws_accepted(const char *key, const struct http_response *r)
{
	CLEANUP(str_done) struct str want = { 0 };

	accept_text(key, &want);
	return r->status == 101 && str_eq(http_response_header(r, "Sec-WebSocket-Accept"), str_cstr(&want));
}

struct ws *ws_client(struct http_stream *s)
{
	return ws_new(s, true);
}
