/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_io.h"

#include "base/mem.h"

#define PIPE_UNSENT_MAX (256 * 1024)
/* After one direction has ended, the other may stay silent for so long: a peer that closed both without our seeing it
 * (a TLS end looks the same) must not keep the pipe. */
#define PIPE_HALF_OPEN_MS 60000

struct pipe_side {
	struct pipe *pipe;
	struct http_stream *s;
	struct pipe_side *peer;
	bool eof;
};

struct pipe {
	struct pipe_side a, b;
	struct loop_timer *timer;
	http_pipe_done_fn *fn;
	void *arg;
};

static void pipe_end(void *arg)
{
	struct pipe *p = arg;
	http_pipe_done_fn *fn = p->fn;
	void *fn_arg = p->arg;

	if (p->a.s)
		http_stream_close(TAKE(p->a.s));
	if (p->b.s)
		http_stream_close(TAKE(p->b.s));
	loop_timer_free(p->timer);
	free(p);
	if (fn)
		fn(fn_arg);
}

static void pipe_half_open(struct pipe *p)
{
	if (p->a.eof || p->b.eof)
		loop_timer_set(p->timer, PIPE_HALF_OPEN_MS);
}

static void pipe_data(void *arg, const void *data, size_t len)
{
	struct pipe_side *from = arg;

	http_stream_write(from->peer->s, data, len);
	if (http_stream_pending(from->peer->s) > PIPE_UNSENT_MAX)
		http_stream_pause(from->s, true);
	pipe_half_open(from->pipe);
}

static void pipe_drained(void *arg)
{
	struct pipe_side *side = arg;

	http_stream_pause(side->peer->s, false);
	pipe_half_open(side->pipe);
}

static void pipe_eof(void *arg)
{
	struct pipe_side *side = arg;

	side->eof = true;
	if (side->peer->eof) {
		pipe_end(side->pipe); /* closing flushes */
		return;
	}
	http_stream_shut(side->peer->s);
	pipe_half_open(side->pipe);
}

static void pipe_closed(void *arg, const struct err *e)
{
	struct pipe_side *side = arg;

	side->s = NULL; /* gone with this call */
	pipe_end(side->pipe);
}

static const struct http_stream_ops pipe_ops = {
	.data = pipe_data, .drained = pipe_drained, .closed = pipe_closed
};

void http_stream_pipe(struct http_stream *a, struct http_stream *b, http_pipe_done_fn *fn, void *arg)
{
	struct pipe *p = MEM_NEW(struct pipe);

	*p = (struct pipe){ .a = { .pipe = p, .s = a, .peer = &p->b },
		.b = { .pipe = p, .s = b, .peer = &p->a } };
	p->fn = fn;
	p->arg = arg;
	p->timer = loop_timer_new(http_stream_loop(a), pipe_end, p);
	http_stream_on_eof(a, pipe_eof);
	http_stream_on_eof(b, pipe_eof);
	http_stream_start(a, &pipe_ops, &p->a);
	http_stream_start(b, &pipe_ops, &p->b);
}
