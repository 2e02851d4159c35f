/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/flow.h - whose request runs next when there are more than can run. Everybody gets the same share: a user who
 * asks for much waits behind those who ask for little, and is refused (429) when too many of its requests wait, or one waits too
 * long. Nothing waits while there is room.
 *
 * Two things are scarce: seats (requests whose answer has not begun, most of them waiting for the store or a webhook), and the
 * loop's time. A user's share is counted in the time its requests took (start-time fair queueing): of those who wait, the one who
 * has had least goes first. */
#pragma once

#include "base/loop.h"

#define FLOW_SEATS 800       /* requests at work in all */
#define FLOW_SEATS_USER 400  /* and of one user */
#define FLOW_QUEUE_USER 400  /* waiting requests of one user; the next one is refused */
#define FLOW_WAIT_MS 15000   /* longer than this nobody waits */
#define FLOW_WINDOW_US 10000 /* within so much time ... */
#define FLOW_BUDGET_US 5000  /* ... requests may take so much of it before others have to queue */
#define FLOW_RETRY_AFTER_S 1 /* what the refused are told */

struct flow;
struct flow_user;
struct flow_limits {
	unsigned seats, seats_user, queue_user; /* 0: the defaults above */
	int wait_ms;
};
/* clock_us may be NULL: the monotonic clock. */
struct flow *flow_new(struct loop *l, const struct flow_limits *limits, int64_t (*clock_us)(void));
void flow_free(struct flow *f); /* entries that still wait are forgotten, without a call */

/* One request; embedded in what the caller keeps of it. Zero-initialise. */
struct flow_entry {
	/* The request's turn: at once within flow_enter(), or later. Ends with flow_leave(), within or after. */
	void (*run)(struct flow_entry *e);
	/* It may not: too many wait, or it has waited too long. The entry is forgotten before the call. */
	void (*refuse)(struct flow_entry *e);
	/* private */
	struct flow_user *user;
	struct flow_entry *next;
	int64_t waits_since;
	bool waiting, seated;
};
void flow_enter(struct flow *f, const char *user, struct flow_entry *e);
/* The answer has begun, or the client has gone, waiting or not. Once more does no harm. */
void flow_leave(struct flow *f, struct flow_entry *e);

unsigned flow_seats_taken(const struct flow *f);
unsigned flow_waiting(const struct flow *f);
uint64_t flow_refused(const struct flow *f);
