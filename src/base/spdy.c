/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spdy.h"

#include "base/mem.h"
#include "base/spdy_head.h"

#include <string.h>

#define VERSION 3
#define HEAD_BYTES 8
#define ID_MASK 0x7fffffffu
#define DATA_MAX 65536                        /* of a data frame that we send */
#define ACKNOWLEDGE (SPDY_WINDOW_DEFAULT / 4) /* taken bytes that are worth a WINDOW_UPDATE */
#define SETTINGS_INITIAL_WINDOW 7
#define WINDOW_MAX INT32_MAX

enum { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, PING = 6, GOAWAY, HEADERS, WINDOW_UPDATE };
enum { FLAG_FIN = 1, FLAG_UNIDIRECTIONAL = 2 };
enum { GOAWAY_OK, GOAWAY_PROTOCOL_ERROR };

struct spdy_stream {
	struct spdy *y;
	struct spdy_stream *next, **prev;
	uint32_t id;
	struct spdy_headers headers;
	const struct spdy_stream_ops *ops; /* NULL: not accepted yet */
	void *arg;
	struct str out;     /* what the peer's windows do not take yet */
	int64_t window;     /* that the peer has left for us; below 0 before it showed that it counts */
	size_t unconfirmed; /* bytes taken since our last WINDOW_UPDATE */
	bool fin_wanted, ended, peer_ended, paused;
};

struct spdy {
	struct loop *loop;
	const struct spdy_carrier *carrier;
	void *c;
	const struct spdy_ops *ops;
	void *arg;
	struct spdy_inflate *inflate;
	struct spdy_deflate *deflate;
	struct spdy_stream *streams;
	size_t n_streams, n_paused;
	uint32_t last_id; /* newest stream of the peer's */
	struct str in;
	struct loop_timer *kick; /* frames that waited for the end of a pause */
	/* the data frame under way */
	uint32_t data_id;
	size_t data_left;
	bool data_fin;
	int64_t window, initial_window;
	size_t unconfirmed;
	bool peer_counts; /* it has windows of its own */
	int busy;
	bool ended;
};

/* ---- frames out ---- */
static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void send_bytes(struct spdy *y, const void *data, size_t len)
{
	if (!y->ended && y->c)
		y->carrier->write(y->c, data, len);
}

static void control_head(uint8_t *p, int type, int flags, size_t len)
{
	put32(p, 0x80000000u | VERSION << 16 | (uint32_t)type);
	put32(p + 4, (uint32_t)flags << 24 | (uint32_t)len);
}

static void send_control(struct spdy *y, int type, const uint32_t *words, size_t n)
{
	uint8_t frame[HEAD_BYTES + 8];

	control_head(frame, type, 0, 4 * n);
	for (size_t i = 0; i < n; i++)
		put32(frame + HEAD_BYTES + 4 * i, words[i]);
	send_bytes(y, frame, HEAD_BYTES + 4 * n);
}

static void send_reset(struct spdy *y, uint32_t id, unsigned why)
{
	send_control(y, RST_STREAM, (uint32_t[]){ id, why }, 2);
}

static void send_reply(struct spdy *y, uint32_t id)
{
	CLEANUP(str_done) struct str frame = { 0 };
	uint8_t head[HEAD_BYTES + 4] = { 0 };

	str_addn(&frame, (char *)head, sizeof(head));
	spdy_deflate_block(y->deflate, NULL, 0, &frame);
	control_head((uint8_t *)frame.data, SYN_REPLY, 0, frame.len - HEAD_BYTES);
	put32((uint8_t *)frame.data + HEAD_BYTES, id);
	send_bytes(y, frame.data, frame.len);
}

static void send_data(struct spdy_stream *s, const char *data, size_t len, bool fin)
{
	CLEANUP(str_done) struct str frame = { 0 };
	uint8_t head[HEAD_BYTES];

	put32(head, s->id);
	put32(head + 4, (fin ? (uint32_t)FLAG_FIN << 24 : 0) | (uint32_t)len);
	str_reserve(&frame, sizeof(head) + len);
	str_addn(&frame, (char *)head, sizeof(head));
	if (len)
		str_addn(&frame, data, len);
	s->window -= (int64_t)len;
	s->y->window -= (int64_t)len;
	send_bytes(s->y, frame.data, frame.len);
}

static size_t room(const struct spdy_stream *s)
{
	int64_t n = s->window < s->y->window ? s->window : s->y->window;

	if (!s->y->peer_counts)
		return DATA_MAX;
	return n <= 0 ? 0 : n < DATA_MAX ? (size_t)n : DATA_MAX;
}

/* As much of it as the windows take; how much that was. */
static size_t send_some(struct spdy_stream *s, const char *data, size_t len)
{
	size_t at = 0, n;

	while (at < len && (n = room(s)) > 0) {
		n = n < len - at ? n : len - at;
		send_data(s, data + at, n, false);
		at += n;
	}
	return at;
}

static void flush(struct spdy_stream *s)
{
	if (s->out.len)
		str_drop_front(&s->out, send_some(s, s->out.data, s->out.len));
	if (!s->out.len && s->fin_wanted && !s->ended) {
		s->ended = true;
		send_data(s, NULL, 0, true);
	}
}

static void flush_all(struct spdy *y)
{
	for (struct spdy_stream *s = y->streams; s; s = s->next)
		flush(s);
}

/* ---- streams ---- */
static struct spdy_stream *find(const struct spdy *y, uint32_t id)
{
	struct spdy_stream *s = y->streams;

	while (s && s->id != id)
		s = s->next;
	return s;
}

static void stream_free(struct spdy_stream *s)
{
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->y->n_streams--;
	spdy_headers_done(&s->headers);
	str_done(&s->out);
	free(s);
}

uint32_t spdy_stream_id(const struct spdy_stream *s)
{
	return s->id;
}

const char *spdy_stream_header(const struct spdy_stream *s, const char *name)
{
	return spdy_headers_get(&s->headers, name);
}

void spdy_accept(struct spdy_stream *s, const struct spdy_stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
	send_reply(s->y, s->id);
}

void spdy_send(struct spdy_stream *s, const void *data, size_t len)
{
	size_t sent;

	if (s->fin_wanted || s->ended || s->y->ended || !len)
		return;
	sent = s->out.len ? 0 : send_some(s, data, len);
	if (sent < len)
		str_addn(&s->out, (const char *)data + sent, len - sent);
}

void spdy_end(struct spdy_stream *s)
{
	s->fin_wanted = true;
	flush(s);
}

size_t spdy_pending(const struct spdy_stream *s)
{
	return s->out.len + (s->y->c ? s->y->carrier->pending(s->y->c) : 0);
}

void spdy_pause(struct spdy_stream *s, bool paused)
{
	struct spdy *y = s->y;
	bool before = y->n_paused > 0;

	if (s->paused == paused)
		return;
	s->paused = paused;
	y->n_paused += paused ? 1 : (size_t)-1;
	if (before == (y->n_paused > 0) || y->ended)
		return;
	if (y->c)
		y->carrier->pause(y->c, paused);
	if (!paused && y->in.len)
		loop_timer_set(y->kick, 0);
}

void spdy_reset(struct spdy_stream *s, enum spdy_status why)
{
	send_reset(s->y, s->id, why);
	spdy_pause(s, false);
	stream_free(s);
}

void spdy_forget(struct spdy_stream *s)
{
	if (!s->ended) {
		spdy_reset(s, SPDY_CANCEL);
		return;
	}
	spdy_pause(s, false);
	stream_free(s);
}

/* ---- life ---- */
static void kicked(void *arg);

static void spdy_release(struct spdy *y)
{
	y->ended = true;
	if (y->busy)
		return;
	while (y->streams)
		stream_free(y->streams);
	if (y->c)
		y->carrier->close(y->c);
	loop_timer_free(y->kick);
	spdy_inflate_free(y->inflate);
	spdy_deflate_free(y->deflate);
	str_done(&y->in);
	free(y);
}

static void spdy_finish(struct spdy *y, const struct err *e)
{
	y->ended = true;
	y->busy++;
	y->ops->closed(y->arg, e);
	y->busy--;
	spdy_release(y);
}

/* The peer broke the rules. */
static void violation(struct spdy *y, const char *why)
{
	struct err e;

	send_control(y, GOAWAY, (uint32_t[]){ y->last_id, GOAWAY_PROTOCOL_ERROR }, 2);
	err_set(&e, ERR_BAD_REQUEST, "%s%s", str_starts(why, "spdy: ") ? "" : "spdy: ", why);
	spdy_finish(y, &e);
}

struct spdy *spdy_new(struct loop *l, const struct spdy_carrier *ops, void *c)
{
	struct spdy *y = MEM_NEW(struct spdy);

	y->loop = l;
	y->carrier = ops;
	y->c = c;
	y->kick = loop_timer_new(l, kicked, y);
	y->inflate = spdy_inflate_new();
	y->deflate = spdy_deflate_new();
	y->window = y->initial_window = SPDY_WINDOW_DEFAULT;
	return y;
}

void spdy_start(struct spdy *y, const struct spdy_ops *ops, void *arg)
{
	y->ops = ops;
	y->arg = arg;
	y->carrier->start(y->c, y);
}

void spdy_close(struct spdy *y)
{
	if (!y || y->ended)
		return;
	send_control(y, GOAWAY, (uint32_t[]){ y->last_id, GOAWAY_OK }, 2);
	spdy_release(y);
}

void spdy_lost(struct spdy *y, const struct err *e)
{
	y->c = NULL;
	if (!y->ended)
		spdy_finish(y, e);
}

void spdy_drained(struct spdy *y)
{
	if (y->ended || !y->ops->drained)
		return;
	y->busy++;
	y->ops->drained(y->arg);
	y->busy--;
	if (y->ended)
		spdy_release(y);
}

/* ---- frames in ---- */
static void on_syn_stream(struct spdy *y, const uint8_t *p, size_t len, int flags)
{
	CLEANUP(spdy_headers_done) struct spdy_headers h = { 0 };
	struct spdy_stream *s;
	struct err e = { 0 };
	uint32_t id;

	if (len < 10 || spdy_inflate_block(y->inflate, p + 10, len - 10, &h, &e) < 0) {
		violation(y, e.code ? e.msg : "a stream without headers");
		return;
	}
	id = get32(p) & ID_MASK;
	if (!(id & 1) || id <= y->last_id) {
		violation(y, "a stream with a number that is not its to take");
		return;
	}
	y->last_id = id;
	if (y->n_streams >= SPDY_STREAMS_MAX) {
		send_reset(y, id, SPDY_REFUSED_STREAM);
		return;
	}
	s = MEM_NEW(struct spdy_stream);
	s->y = y;
	s->id = id;
	s->headers = h;
	h = (struct spdy_headers){ 0 };
	s->window = y->initial_window;
	s->peer_ended = flags & FLAG_FIN;
	s->ended = s->fin_wanted = flags & FLAG_UNIDIRECTIONAL;
	s->next = y->streams;
	s->prev = &y->streams;
	if (s->next)
		s->next->prev = &s->next;
	y->streams = s;
	y->n_streams++;
	y->ops->opened(y->arg, s);
	s = y->ended ? NULL : find(y, id);
	if (s && !s->ops)
		spdy_reset(s, SPDY_REFUSED_STREAM);
	else if (s && s->peer_ended)
		s->ops->end(s->arg);
}

/* Nothing in them for us, but the compression goes on through them. */
static void on_headers(struct spdy *y, const uint8_t *p, size_t len)
{
	CLEANUP(spdy_headers_done) struct spdy_headers h = { 0 };
	struct err e = { 0 };

	if (len < 4 || spdy_inflate_block(y->inflate, p + 4, len - 4, &h, &e) < 0)
		violation(y, e.code ? e.msg : "headers without a stream");
}

static void on_reset(struct spdy *y, const uint8_t *p, size_t len)
{
	struct spdy_stream *s;

	if (len != 8) {
		violation(y, "a reset of the wrong length");
		return;
	}
	s = find(y, get32(p) & ID_MASK);
	if (!s)
		return;
	spdy_pause(s, false);
	s->ended = s->fin_wanted = true;
	s->ops->reset(s->arg, get32(p + 4));
	s = y->ended ? NULL : find(y, get32(p) & ID_MASK);
	if (s)
		stream_free(s);
}

static void on_settings(struct spdy *y, const uint8_t *p, size_t len)
{
	size_t n = len >= 4 ? get32(p) : 0;

	if (len < 4 || (len - 4) % 8 || n != (len - 4) / 8) {
		violation(y, "settings of the wrong length");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t id = get32(p + 4 + 8 * i) & 0xffffff, value = get32(p + 8 + 8 * i);

		if (id != SETTINGS_INITIAL_WINDOW)
			continue;
		if (value > WINDOW_MAX) {
			violation(y, "a window that is too large");
			return;
		}
		y->peer_counts = true;
		for (struct spdy_stream *s = y->streams; s; s = s->next)
			s->window += (int64_t)value - y->initial_window;
		y->initial_window = value;
	}
	flush_all(y);
}

static void on_ping(struct spdy *y, const uint8_t *p, size_t len)
{
	uint32_t id = len == 4 ? get32(p) : 0;

	if (!id)
		violation(y, "a ping of the wrong length");
	else if (id & 1) /* the others would be answers to ours */
		send_control(y, PING, &id, 1);
}

static void on_window(struct spdy *y, const uint8_t *p, size_t len)
{
	uint32_t id = len == 8 ? get32(p) & ID_MASK : 0, delta = len == 8 ? get32(p + 4) & ID_MASK : 0;
	struct spdy_stream *s;

	if (!delta) {
		violation(y, "a window update without a size");
		return;
	}
	y->peer_counts = true;
	if (!id) {
		y->window += delta;
		if (y->window > WINDOW_MAX)
			violation(y, "a window that is too large");
		else
			flush_all(y);
		return;
	}
	s = find(y, id);
	if (!s)
		return;
	s->window += delta;
	if (s->window <= WINDOW_MAX) {
		flush(s);
		return;
	}
	send_reset(y, id, SPDY_FLOW_CONTROL_ERROR);
	s->ended = s->fin_wanted = true;
	s->ops->reset(s->arg, SPDY_FLOW_CONTROL_ERROR);
	s = y->ended ? NULL : find(y, id);
	if (s)
		spdy_forget(s);
}

static void on_goaway(struct spdy *y)
{
	static const struct err none = { .code = ERR_NONE };

	/* It opens no more streams; those that are open it gives up with the connection. */
	spdy_finish(y, &none);
}

static void on_control(struct spdy *y, const uint8_t *head, size_t len)
{
	const uint8_t *p = head + HEAD_BYTES;

	switch (head[2] << 8 | head[3]) {
	case SYN_STREAM:
		on_syn_stream(y, p, len, head[4]);
		break;
	case SYN_REPLY:
	case HEADERS:
		on_headers(y, p, len);
		break;
	case RST_STREAM:
		on_reset(y, p, len);
		break;
	case SETTINGS:
		on_settings(y, p, len);
		break;
	case PING:
		on_ping(y, p, len);
		break;
	case GOAWAY:
		on_goaway(y);
		break;
	case WINDOW_UPDATE:
		on_window(y, p, len);
		break;
	default: /* 2.2.1: unknown ones are ignored */
		break;
	}
}

/* What was taken may come again. */
static void confirm(struct spdy *y, uint32_t id, size_t *unconfirmed, size_t len)
{
	*unconfirmed += len;
	if (*unconfirmed < ACKNOWLEDGE)
		return;
	send_control(y, WINDOW_UPDATE, (uint32_t[]){ id, (uint32_t)*unconfirmed }, 2);
	*unconfirmed = 0;
}

static void data_end(struct spdy *y)
{
	struct spdy_stream *s = y->data_fin ? find(y, y->data_id) : NULL;

	if (!s || s->peer_ended)
		return;
	s->peer_ended = true;
	s->ops->end(s->arg);
}

static void on_data(struct spdy *y, const uint8_t *p, size_t len)
{
	struct spdy_stream *s = find(y, y->data_id);

	confirm(y, 0, &y->unconfirmed, len);
	if (s && !s->peer_ended) {
		confirm(y, s->id, &s->unconfirmed, len);
		s->ops->data(s->arg, p, len);
	}
	y->data_left -= len;
	if (!y->ended && !y->data_left)
		data_end(y);
}

static void data_head(struct spdy *y, const uint8_t *p, size_t len)
{
	struct spdy_stream *s;

	y->data_id = get32(p) & ID_MASK;
	y->data_left = len;
	y->data_fin = p[4] & FLAG_FIN;
	if (!y->data_id) {
		violation(y, "data of no stream");
		return;
	}
	s = find(y, y->data_id);
	if (y->data_id > y->last_id)
		send_reset(y, y->data_id, SPDY_INVALID_STREAM);
	else if (s && s->peer_ended)
		send_reset(y, y->data_id, SPDY_STREAM_ALREADY_CLOSED);
	if (!len)
		data_end(y);
}

/* The next step with what is there: how many bytes it took, 0 if more are needed. */
static size_t step(struct spdy *y, const uint8_t *p, size_t have)
{
	size_t len;

	if (y->data_left) {
		len = have < y->data_left ? have : y->data_left;
		if (len)
			on_data(y, p, len);
		return len;
	}
	if (have < HEAD_BYTES)
		return 0;
	len = get32(p + 4) & 0xffffff;
	if (!(p[0] & 0x80)) {
		data_head(y, p, len);
		return HEAD_BYTES;
	}
	if ((p[0] & 0x7f) != 0 || p[1] != VERSION) {
		violation(y, "a frame of another version");
		return 0;
	}
	if (len > SPDY_CONTROL_MAX) {
		violation(y, "a control frame that is too large");
		return 0;
	}
	if (have < HEAD_BYTES + len)
		return 0;
	on_control(y, p, len);
	return HEAD_BYTES + len;
}

/* Frames are handled where they lie in y->in; what they occupied is dropped once at the end. */
static void kicked(void *arg)
{
	struct spdy *y = arg;
	size_t at = 0, used;

	y->busy++;
	while (!y->ended && !y->n_paused &&
		(used = step(y, (const uint8_t *)y->in.data + at, y->in.len - at)) > 0)
		at += used;
	y->busy--;
	if (y->ended)
		spdy_release(y);
	else if (at)
		str_drop_front(&y->in, at);
}

void spdy_feed(struct spdy *y, const void *data, size_t len)
{
	if (y->ended || !len)
		return;
	str_addn(&y->in, data, len);
	kicked(y);
}
