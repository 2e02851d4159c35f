/* SPDX-License-Identifier: Apache-2.0 */
/* base/loop_impl.h - private to base/loop*.c.
 *
 * Timers and later-calls of both implementations live in one heap ordered by (due time, order of asking); so a
 * simulated loop runs them in the order a real one would. An implementation only waits and delivers descriptors. */
#pragma once

#include "base/loop.h"

#include <pthread.h>
#include <stdbool.h>

struct loop_entry {
	int64_t due;  /* of loop_mono_ms() */
	uint64_t seq; /* order of asking */
	size_t pos;   /* in the heap, from 1; 0: not armed */
	loop_fn *fn;
	void *arg;
	bool once;   /* a later-call: freed before it runs */
	bool at_end; /* loop_timer_at_end() */
};

struct loop_post {
	struct loop_post *next;
	loop_fn *fn;
	void *arg;
};

struct loop_ops {
	bool (*step)(struct loop *l, int max_wait_ms);
	void (*read_clocks)(struct loop *l); /* fills mono and wall */
	void (*wake)(struct loop *l);        /* from any thread */
	void (*free)(struct loop *l);
	void (*armed)(
		struct loop *l); /* an entry was armed: a wait under way may be too long; NULL: never waits */
};

struct loop {
	const struct loop_ops *ops;
	void *impl;
	int64_t mono, wall;
	bool clocks_read; /* in this turn */
	bool stop;
	bool in_step;
	struct loop_entry **heap;
	size_t n_heap, cap_heap;
	uint64_t seq;
	pthread_mutex_t lock; /* guards the posts, nothing else */
	struct loop_post *posts, **posts_end;
};

struct loop *loop_impl_new(const struct loop_ops *ops, void *impl);
void loop_impl_arm(struct loop *l, struct loop_entry *e, int64_t in_ms);
void loop_impl_disarm(struct loop *l, struct loop_entry *e);
/* Turns what other threads posted into later-calls. */
void loop_impl_take_posts(struct loop *l);
/* The next entry, or NULL. */
static inline struct loop_entry *loop_impl_top(const struct loop *l)
{
	return l->n_heap ? l->heap[0] : NULL;
}
/* Takes the next entry out and runs it. */
void loop_impl_run_top(struct loop *l);
