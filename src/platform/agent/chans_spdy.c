/* SPDX-License-Identifier: Apache-2.0 */
/* Channels as SPDY streams, named by the header "streamtype". The client opens error and what its query asks for; we begin when
 * all of them are there. */
#include "base/http_parse.h"
#include "base/mem.h"
#include "base/spdy.h"
#include "platform/agent/chans_impl.h"
#include "platform/agent/serve.h"

#include <string.h>

struct wire;
struct stream {
	struct wire *w;
	struct spdy_stream *s; /* NULL: not there, or not any more */
	enum chan id;
	bool seen;
};
struct wire {
	struct chans chans;
	struct spdy *y; /* NULL: gone */
	struct stream streams[CHANS];
	int version;
	bool started, ready;
};

static const char *const names[CHANS] = { "stdin", "stdout", "stderr", "error", "resize" };

static void send_on(struct chans *c, enum chan to, const void *data, size_t len)
{
	struct wire *w = (struct wire *)c;

	if (w->streams[to].s)
		spdy_send(w->streams[to].s, data, len);
}

static size_t pending(const struct chans *c)
{
	const struct wire *w = (const struct wire *)c;
	size_t n = 0;

	for (int i = CHAN_STDOUT; i <= CHAN_STDERR; i++)
		if (w->streams[i].s && spdy_pending(w->streams[i].s) > n)
			n = spdy_pending(w->streams[i].s);
	return n;
}

static void pause_input(struct chans *c, bool paused)
{
	struct wire *w = (struct wire *)c;

	if (w->streams[CHAN_STDIN].s)
		spdy_pause(w->streams[CHAN_STDIN].s, paused);
}

/* ---- streams ---- */
static void stream_data(void *arg, const void *data, size_t len)
{
	struct stream *s = arg;

	chans_in(&s->w->chans, s->id, data, len);
}

static void stream_end(void *arg)
{
	struct stream *s = arg;

	if (s->id == CHAN_STDIN)
		s->w->chans.ops->input_end(s->w->chans.arg);
}

static void stream_reset(void *arg, unsigned status)
{
	struct stream *s = arg;

	s->s = NULL;
	stream_end(s);
}

static bool wanted(const struct wire *w, enum chan id)
{
	const struct chans_want *want = &w->chans.want;

	switch (id) {
	case CHAN_STDIN:
		return want->in;
	case CHAN_STDOUT:
		return want->out;
	case CHAN_STDERR:
		return want->err;
	case CHAN_ERROR:
		return true;
	case CHAN_RESIZE:
		return want->tty && w->version >= 3;
	case CHANS:
		break;
	}
	return false;
}

static bool all_there(const struct wire *w)
{
	for (int i = 0; i < CHANS; i++)
		if (wanted(w, (enum chan)i) && !w->streams[i].seen)
			return false;
	return true;
}

static void opened(void *arg, struct spdy_stream *stream)
{
	static const struct spdy_stream_ops ops = { stream_data, stream_end, stream_reset };
	const char *type = spdy_stream_header(stream, "streamtype");
	struct wire *w = arg;
	int i = 0;

	while (i < CHANS && !str_eq(type, names[i]))
		i++;
	if (i == CHANS || w->streams[i].seen)
		return; /* refused */
	w->streams[i] = (struct stream){ w, stream, (enum chan)i, true };
	spdy_accept(stream, &ops, &w->streams[i]);
	if (w->ready || !all_there(w))
		return;
	w->ready = true;
	loop_timer_stop(w->chans.timer);
	w->chans.ops->ready(w->chans.arg);
}

/* ---- the connection ---- */
static void drained(void *arg)
{
	struct wire *w = arg;

	w->chans.ops->drained(w->chans.arg);
}

static void closed(void *arg, const struct err *e)
{
	struct wire *w = arg;

	w->y = NULL;
	chans_gone(&w->chans);
}

/* The second ring of the timer: streams are missing. */
static void start(struct chans *c)
{
	static const struct spdy_ops ops = { opened, drained, closed };
	struct wire *w = (struct wire *)c;

	if (w->started) {
		chans_gone(c);
		return;
	}
	w->started = true;
	loop_timer_set(c->timer, CHANS_OPEN_MS);
	spdy_start(w->y, &ops, w);
}

static void close_wire(struct chans *c)
{
	struct wire *w = (struct wire *)c;

	if (!w->y)
		return;
	for (int i = 0; i < CHANS; i++)
		if (w->streams[i].s)
			spdy_end(w->streams[i].s);
	spdy_close(w->y);
}

/* The first of the client's protocols that we know: 1 to 4; none offered is the first one there was. 0: answered. */
static int negotiate(struct http_req *r, const char **ret_name)
{
	static const char *const known[] = { "channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io",
		"v4.channel.k8s.io" };
	const char *offered = http_req_header(r, "X-Stream-Protocol-Version");
	CLEANUP(mem_freep) char *copy = mem_strdup(offered ? offered : "");

	for (char *rest = copy; offered && rest;) {
		char *name = str_next(&rest, ',');

		name += strspn(name, " \t");
		name[strcspn(name, " \t")] = '\0';
		for (int i = 0; i < (int)ARRAY_LEN(known); i++)
			if (str_eq(name, known[i])) {
				*ret_name = known[i];
				return i + 1;
			}
	}
	if (!offered)
		return 1;
	for (size_t i = ARRAY_LEN(known); i-- > 0;)
		http_req_add_header(r, "X-Accepted-Stream-Protocol-Versions", known[i]);
	serve_error(r, ERR_FORBIDDEN,
		"unable to upgrade: unable to negotiate protocol: client supports [%.300s]", offered);
	return 0;
}

struct chans *chans_spdy(struct loop *l, struct http_req *r)
{
	static const struct chans_wire wire = { send_on, pending, pause_input, start, close_wire };
	const char *name = NULL;
	int version = negotiate(r, &name);
	struct wire *w;

	if (!version)
		return NULL;
	if (name)
		http_req_add_header(r, "X-Stream-Protocol-Version", name);
	w = MEM_NEW(struct wire);
	w->chans.wire = &wire;
	w->chans.status_text = version < 4;
	w->version = version;
	w->y = spdy_over_stream(l, http_req_upgrade(r, "SPDY/3.1"));
	return &w->chans;
}
