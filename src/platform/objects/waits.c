/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/objects/objects_impl.h"

#include "base/mem.h"

/* ---- waiting for a revision, for a key, for what others have written ---- */
struct rev_wait {
	struct objects *s;
	uint64_t rev;
	struct bucket *bucket; /* with key */
	char *key;
	struct store_wait *sync;
	rev_wait_fn *fn;
	void *arg;
	struct loop_timer *timer;
	struct rev_wait *next;
};

static void wait_unlink(struct rev_wait *w)
{
	struct rev_wait **p = &w->s->waits;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	loop_timer_free(w->timer);
	store_sync_cancel(w->s->store, w->sync);
	free(w->key);
}

static void wait_end(struct rev_wait *w, bool reached)
{
	rev_wait_fn *fn = w->fn;
	void *arg = w->arg;

	wait_unlink(w);
	free(w);
	fn(arg, reached);
}

static void wait_timed_out(void *arg)
{
	wait_end(arg, false);
}

struct rev_wait *objects_wait_revision(struct objects *s, uint64_t rev, rev_wait_fn *fn, void *arg)
{
	struct rev_wait *w = MEM_NEW(struct rev_wait);

	*w = (struct rev_wait){ .s = s, .rev = rev, .fn = fn, .arg = arg, .next = s->waits };
	w->timer = loop_timer_new(s->loop, wait_timed_out, w);
	loop_timer_set(w->timer, OBJECTS_WAIT_MS);
	s->waits = w;
	return w;
}

void objects_wait_cancel(struct rev_wait *w)
{
	if (!w)
		return;
	wait_unlink(w);
	free(w);
}

void objects_wake_waits(struct objects *s)
{
	struct rev_wait *w = s->waits, *next;

	for (; w; w = next) {
		next = w->next;
		if (w->rev && w->rev <= objects_revision(s))
			wait_end(w, true);
	}
}

bool objects_pending(const struct objects *s, const struct bucket *b, const char *key)
{
	return s->pending && bucket_is_queued(b, key);
}

struct rev_wait *objects_wait_key(
	struct objects *s, struct bucket *b, const char *key, rev_wait_fn *fn, void *arg)
{
	struct rev_wait *w = MEM_NEW(struct rev_wait);

	*w = (struct rev_wait){
		.s = s, .bucket = b, .key = mem_strdup(key), .fn = fn, .arg = arg, .next = s->waits
	};
	s->waits = w;
	return w;
}

struct rev_wait *objects_wait_pause(struct objects *s, int64_t ms, rev_wait_fn *fn, void *arg)
{
	struct rev_wait *w = MEM_NEW(struct rev_wait);

	*w = (struct rev_wait){ .s = s, .fn = fn, .arg = arg, .next = s->waits };
	w->timer = loop_timer_new(s->loop, wait_timed_out, w);
	loop_timer_set(w->timer, ms);
	s->waits = w;
	return w;
}

/* One at a time: it may begin the key's next write, for which the others wait again. */
void objects_wake_key(struct objects *s, const struct bucket *b, const char *key)
{
	struct rev_wait *w, *oldest;

	while (!objects_pending(s, b, key)) {
		oldest = NULL;
		for (w = s->waits; w; w = w->next)
			if (w->bucket == b && str_eq(w->key, key))
				oldest = w;
		if (!oldest)
			return;
		wait_end(oldest, true);
	}
}

static void synced(void *arg, const struct err *e)
{
	struct rev_wait *w = arg;

	w->sync = NULL;
	wait_end(w, !e);
}

struct rev_wait *objects_wait_sync(struct objects *s, rev_wait_fn *fn, void *arg)
{
	struct rev_wait *w;

	if (!store_shared(s->store))
		return NULL;
	w = MEM_NEW(struct rev_wait);
	*w = (struct rev_wait){ .s = s, .fn = fn, .arg = arg, .next = s->waits };
	s->waits = w;
	w->sync = store_sync(s->store, synced, w);
	return w;
}
