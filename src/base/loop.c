/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/loop_impl.h"
#include "base/mem.h"

#define LOOP_MS_MAX (INT64_MAX / 4) /* "never": keeps sums of times from overflowing */

struct loop_timer {
	struct loop *loop;
	struct loop_entry e;
};

/* ---- the heap ---- */

static bool before(const struct loop_entry *a, const struct loop_entry *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void place(struct loop *l, struct loop_entry *e, size_t i)
{
	l->heap[i] = e;
	e->pos = i + 1;
}

static void sift_up(struct loop *l, struct loop_entry *e, size_t i)
{
	while (i > 0 && before(e, l->heap[(i - 1) / 2])) {
		place(l, l->heap[(i - 1) / 2], i);
		i = (i - 1) / 2;
	}
	place(l, e, i);
}

static void sift_down(struct loop *l, struct loop_entry *e, size_t i)
{
	for (size_t kid; (kid = 2 * i + 1) < l->n_heap; i = kid) {
		if (kid + 1 < l->n_heap && before(l->heap[kid + 1], l->heap[kid]))
			kid++;
		if (!before(l->heap[kid], e))
			break;
		place(l, l->heap[kid], i);
	}
	place(l, e, i);
}

void loop_impl_disarm(struct loop *l, struct loop_entry *e)
{
	if (!e->pos)
		return;
	size_t i = e->pos - 1;
	struct loop_entry *last = l->heap[--l->n_heap];
	e->pos = 0;
	if (last == e)
		return;
	if (i > 0 && before(last, l->heap[(i - 1) / 2]))
		sift_up(l, last, i);
	else
		sift_down(l, last, i);
}

void loop_impl_arm(struct loop *l, struct loop_entry *e, int64_t in_ms)
{
	if (in_ms < 0)
		in_ms = 0;
	if (in_ms > LOOP_MS_MAX)
		in_ms = LOOP_MS_MAX;
	loop_impl_disarm(l, e);
	e->due = loop_mono_ms(l) + in_ms;
	e->seq = l->seq++;
	l->heap = mem_grow(l->heap, &l->cap_heap, l->n_heap + 1, sizeof(struct loop_entry *));
	sift_up(l, e, l->n_heap++);
	if (l->ops->armed)
		l->ops->armed(l);
}

void loop_impl_run_top(struct loop *l)
{
	struct loop_entry *e = l->heap[0];
	loop_fn *fn = e->fn;
	void *arg = e->arg;

	loop_impl_disarm(l, e);
	if (e->once)
		free(e);
	/* the callback may free the timer: e is not touched again */
	fn(arg);
}

/* ---- the loop ---- */

struct loop *loop_impl_new(const struct loop_ops *ops, void *impl)
{
	struct loop *l = MEM_NEW(struct loop);

	l->ops = ops;
	l->impl = impl;
	l->posts_end = &l->posts;
	MUST(pthread_mutex_init(&l->lock, NULL) == 0);
	return l;
}

/* From the start each time: a call may free other timers. */
static void run_last_calls(struct loop *l)
{
	for (size_t i = 0; i < l->n_heap;) {
		struct loop_entry *e = l->heap[i];

		if (!e->at_end) {
			i++;
			continue;
		}
		loop_impl_disarm(l, e);
		e->fn(e->arg);
		i = 0;
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	MUST(!l->in_step);
	run_last_calls(l);
	for (size_t i = 0; i < l->n_heap; i++) {
		l->heap[i]->pos = 0;
		if (l->heap[i]->once)
			free(l->heap[i]);
	}
	l->n_heap = 0;
	for (struct loop_post *p = l->posts, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	l->ops->free(l);
	pthread_mutex_destroy(&l->lock);
	free(l->heap);
	free(l);
}

void loop_freep(struct loop **l)
{
	loop_free(*l);
	*l = NULL;
}

bool loop_step(struct loop *l, int max_wait_ms)
{
	MUST(!l->in_step); /* a callback must not run the loop */
	l->in_step = true;
	bool more = l->ops->step(l, max_wait_ms);
	l->in_step = false;
	return more;
}

void loop_run(struct loop *l)
{
	while (!l->stop && loop_step(l, -1))
		;
	l->stop = false;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

static void need_clocks(struct loop *l)
{
	if (l->clocks_read)
		return;
	l->ops->read_clocks(l);
	l->clocks_read = true;
}

int64_t loop_mono_ms(struct loop *l)
{
	need_clocks(l);
	return l->mono;
}

int64_t loop_wall_ms(struct loop *l)
{
	need_clocks(l);
	return l->wall;
}

/* ---- timers ---- */

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_timer *t = MEM_NEW(struct loop_timer);

	t->loop = l;
	t->e.fn = fn;
	t->e.arg = arg;
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t in_ms)
{
	loop_impl_arm(t->loop, &t->e, in_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
	loop_impl_disarm(t->loop, &t->e);
}

void loop_timer_at_end(struct loop_timer *t)
{
	t->e.at_end = true;
}

bool loop_timer_armed(const struct loop_timer *t)
{
	return t->e.pos != 0;
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	/* an unarmed timer may outlive its loop */
	if (t->e.pos)
		loop_impl_disarm(t->loop, &t->e);
	free(t);
}

void loop_timer_freep(struct loop_timer **t)
{
	loop_timer_free(*t);
	*t = NULL;
}

/* ---- later ---- */

void loop_later(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_entry *e = MEM_NEW(struct loop_entry);

	e->fn = fn;
	e->arg = arg;
	e->once = true;
	loop_impl_arm(l, e, 0);
}

void loop_post(struct loop *l, loop_fn *fn, void *arg)
{
	struct loop_post *p = MEM_NEW(struct loop_post);

	p->fn = fn;
	p->arg = arg;
	pthread_mutex_lock(&l->lock);
	*l->posts_end = p;
	l->posts_end = &p->next;
	/* inside the lock: once it is released the loop may run the post, and stop and be freed */
	l->ops->wake(l);
	pthread_mutex_unlock(&l->lock);
}

void loop_impl_take_posts(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	struct loop_post *p = l->posts;
	l->posts = NULL;
	l->posts_end = &l->posts;
	pthread_mutex_unlock(&l->lock);

	while (p) {
		struct loop_post *next = p->next;
		loop_later(l, p->fn, p->arg);
		free(p);
		p = next;
	}
}
