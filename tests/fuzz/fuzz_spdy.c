/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from outside. The first byte says how large the pieces are that they come in; the peer's streams are answered, paused,
 * ended and given up as their data says, so that frames meet streams in every state. */
#include "base/mem.h"
#include "base/spdy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct peer {
	struct at *all; /* freed at the end: streams end in many ways */
	struct spdy_stream *paused;
	size_t written;
	bool over;
};
struct at {
	struct at *next;
	struct peer *p;
	struct spdy_stream *s;
};

static void c_start(void *c, struct spdy *y)
{
}

static void c_write(void *c, const void *data, size_t len)
{
	struct peer *p = c;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum ^= ((const uint8_t *)data)[i];
	p->written += len + (sum & 1);
}

static size_t c_pending(const void *c)
{
	return 0;
}

static void c_pause(void *c, bool paused)
{
}

static void c_close(void *c)
{
}

static void s_data(void *arg, const void *data, size_t len)
{
	struct at *a = arg;

	switch (*(const uint8_t *)data % 8) {
	case 0:
		spdy_end(a->s);
		break;
	case 1:
		if (a->p->paused == a->s)
			a->p->paused = NULL;
		spdy_forget(a->s);
		break;
	case 2:
		if (!a->p->paused) {
			spdy_pause(a->s, true);
			a->p->paused = a->s;
		}
		break;
	default:
		spdy_send(a->s, data, len);
		break;
	}
}

static void s_end(void *arg)
{
	struct at *a = arg;

	spdy_end(a->s);
}

static void s_reset(void *arg, unsigned status)
{
	struct at *a = arg;

	if (a->p->paused == a->s)
		a->p->paused = NULL;
}

static void y_opened(void *arg, struct spdy_stream *s)
{
	static const struct spdy_stream_ops ops = { s_data, s_end, s_reset };
	struct peer *p = arg;
	struct at *a;

	if (spdy_stream_header(s, "refuse"))
		return;
	a = MEM_NEW(struct at);
	*a = (struct at){ p->all, p, s };
	p->all = a;
	spdy_accept(s, &ops, a);
}

static void y_closed(void *arg, const struct err *e)
{
	((struct peer *)arg)->over = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct spdy_carrier carrier = { c_start, c_write, c_pending, c_pause, c_close };
	static const struct spdy_ops ops = { y_opened, NULL, y_closed };
	CLEANUP(loop_freep) struct loop *l = loop_new_sim(0);
	size_t step = len ? *data + 1u : 1;
	struct peer p = { 0 };
	struct spdy *y = spdy_new(l, &carrier, &p);

	spdy_start(y, &ops, &p);
	for (size_t at = 1; at < len && !p.over; at += step) {
		size_t n = len - at < step ? len - at : step;
		CLEANUP(mem_freep) uint8_t *piece = mem_dup(data + at, n);

		spdy_feed(y, piece, n);
		if (!p.over && p.paused)
			spdy_pause(TAKE(p.paused), false);
		while (!p.over && loop_step(l, 0))
			;
	}
	if (!p.over)
		spdy_close(y);
	while (p.all) {
		struct at *a = p.all;

		p.all = a->next;
		free(a);
	}
	return 0;
}
