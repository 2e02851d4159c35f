/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/flow.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"

#include <string.h>

#define FLOW_SLOTS 256 /* of the table of users at work */

/* Kept while it has a seat or waits; what it has had is then forgotten, and it begins anew with the least that anybody has. */
struct flow_user {
	char *name;
	struct flow_user *next;                         /* in its slot */
	struct flow_user *next_waiting, **prev_waiting; /* among those who wait; prev NULL: it does not */
	struct flow_entry *first, **last;
	unsigned n_waiting, seats;
	int64_t had_us;
};
struct flow {
	struct loop *loop;
	struct flow_limits limits;
	int64_t (*clock_us)(void);
	struct flow_user *slots[FLOW_SLOTS];
	struct flow_user *waiting_users;
	struct loop_timer *turn;  /* the next ones may run */
	struct loop_timer *check; /* somebody has waited too long */
	unsigned seats, n_waiting, n_users;
	uint64_t refused;
	int64_t window_us, spent_us; /* when it began, and how much of it is used */
	int64_t least_us;            /* what the last one to run had had: newcomers start there */
	unsigned depth;              /* of runs within runs */
};

static struct flow_limits with_defaults(const struct flow_limits *given)
{
	struct flow_limits l = given ? *given : (struct flow_limits){ 0 };

	l.seats = l.seats ? l.seats : FLOW_SEATS;
	l.seats_user = l.seats_user ? l.seats_user : FLOW_SEATS_USER;
	l.queue_user = l.queue_user ? l.queue_user : FLOW_QUEUE_USER;
	l.wait_ms = l.wait_ms ? l.wait_ms : FLOW_WAIT_MS;
	return l;
}

/* ---- users ---- */
static struct flow_user **slot_of(struct flow *f, const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &f->slots[h % FLOW_SLOTS];
}

static struct flow_user *user_need(struct flow *f, const char *name)
{
	struct flow_user **slot = slot_of(f, name), *u;

	for (u = *slot; u; u = u->next)
		if (str_eq(u->name, name))
			return u;
	u = MEM_NEW(struct flow_user);
	u->name = mem_strdup(name);
	u->last = &u->first;
	u->had_us = f->least_us;
	u->next = *slot;
	*slot = u;
	f->n_users++;
	return u;
}

static void user_free(struct flow_user *u)
{
	free(u->name);
	free(u);
}

static void user_drop_idle(struct flow *f, struct flow_user *u)
{
	struct flow_user **p = slot_of(f, u->name);

	if (u->seats > 0 || u->n_waiting > 0)
		return;
	while (*p != u)
		p = &(*p)->next;
	*p = u->next;
	f->n_users--;
	user_free(u);
}

static void user_joins_waiting(struct flow *f, struct flow_user *u)
{
	u->next_waiting = f->waiting_users;
	u->prev_waiting = &f->waiting_users;
	if (u->next_waiting)
		u->next_waiting->prev_waiting = &u->next_waiting;
	f->waiting_users = u;
}

static void user_leaves_waiting(struct flow_user *u)
{
	*u->prev_waiting = u->next_waiting;
	if (u->next_waiting)
		u->next_waiting->prev_waiting = u->prev_waiting;
	u->next_waiting = NULL;
	u->prev_waiting = NULL;
}

/* ---- the queue ---- */
static void queue_add(struct flow *f, struct flow_user *u, struct flow_entry *e)
{
	e->user = u;
	e->next = NULL;
	e->waiting = true;
	e->waits_since = loop_mono_ms(f->loop);
	*u->last = e;
	u->last = &e->next;
	if (u->n_waiting++ == 0)
		user_joins_waiting(f, u);
	f->n_waiting++;
	if (!loop_timer_armed(f->check))
		loop_timer_set(f->check, f->limits.wait_ms);
}

static void queue_remove(struct flow *f, struct flow_entry *e)
{
	struct flow_user *u = e->user;
	struct flow_entry **p = &u->first;

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	if (u->last == &e->next)
		u->last = p;
	e->waiting = false;
	if (--u->n_waiting == 0)
		user_leaves_waiting(u);
	f->n_waiting--;
}

static void refuse(struct flow *f, struct flow_entry *e)
{
	f->refused++;
	e->user = NULL;
	e->refuse(e);
}

/* ---- running ---- */
static bool seat_free(const struct flow *f, const struct flow_user *u)
{
	return f->seats < f->limits.seats && u->seats < f->limits.seats_user;
}

static bool budget_left(struct flow *f, int64_t now_us)
{
	if (now_us - f->window_us >= FLOW_WINDOW_US) {
		f->window_us = now_us;
		f->spent_us = 0;
	}
	return f->spent_us < FLOW_BUDGET_US;
}

/* The user may be gone when this returns. */
static void run(struct flow *f, struct flow_user *u, struct flow_entry *e)
{
	int64_t begun = f->clock_us(), took;

	e->user = u;
	e->seated = true;
	u->seats++; /* holds the user until the time is counted */
	u->seats++;
	f->seats++;
	if (u->had_us > f->least_us)
		f->least_us = u->had_us;
	f->depth++;
	e->run(e);
	f->depth--;
	took = f->clock_us() - begun;
	if (f->depth == 0)
		f->spent_us += took;
	u->had_us += took > 0 ? took : 1;
	u->seats--;
	user_drop_idle(f, u);
}

static struct flow_user *next_user(const struct flow *f)
{
	struct flow_user *best = NULL;

	for (struct flow_user *u = f->waiting_users; u; u = u->next_waiting)
		if (seat_free(f, u) && (!best || u->had_us < best->had_us))
			best = u;
	return best;
}

static void go_on(struct flow *f)
{
	if (f->n_waiting > 0 && !loop_timer_armed(f->turn))
		loop_timer_set(f->turn, 0);
}

static void run_waiting(void *arg)
{
	struct flow *f = arg;
	struct flow_user *u;

	f->window_us = f->clock_us();
	f->spent_us = 0;
	while (f->spent_us < FLOW_BUDGET_US && (u = next_user(f))) {
		struct flow_entry *e = u->first;

		queue_remove(f, e);
		run(f, u, e);
	}
	if (next_user(f))
		go_on(f); /* others who wait are woken when a seat is given back */
}

static void check_waiting(void *arg)
{
	struct flow *f = arg;
	int64_t now = loop_mono_ms(f->loop), oldest = now;
	bool again = true;

	while (again) { /* refusing may change the lists: from the start each time */
		again = false;
		for (struct flow_user *u = f->waiting_users; u && !again; u = u->next_waiting) {
			struct flow_entry *e = u->first;

			again = now - e->waits_since >= f->limits.wait_ms;
			if (!again) {
				oldest = e->waits_since < oldest ? e->waits_since : oldest;
				continue;
			}
			queue_remove(f, e);
			user_drop_idle(f, u);
			refuse(f, e);
		}
	}
	if (f->n_waiting > 0)
		loop_timer_set(f->check, oldest + f->limits.wait_ms - now);
}

/* ---- the callers' side ---- */
struct flow *flow_new(struct loop *l, const struct flow_limits *limits, int64_t (*clock_us)(void))
{
	struct flow *f = MEM_NEW(struct flow);

	f->loop = l;
	f->limits = with_defaults(limits);
	f->clock_us = clock_us ? clock_us : time_mono_us;
	f->turn = loop_timer_new(l, run_waiting, f);
	f->check = loop_timer_new(l, check_waiting, f);
	return f;
}

void flow_free(struct flow *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < FLOW_SLOTS; i++) {
		while (f->slots[i]) {
			struct flow_user *u = f->slots[i];

			f->slots[i] = u->next;
			user_free(u);
		}
	}
	loop_timer_free(f->turn);
	loop_timer_free(f->check);
	free(f);
}

void flow_enter(struct flow *f, const char *user, struct flow_entry *e)
{
	struct flow_user *u = user_need(f, user);
	/* a user alone has nobody to make room for */
	bool alone = f->n_users == 1;

	if (u->n_waiting == 0 && seat_free(f, u) && (alone || budget_left(f, f->clock_us()))) {
		run(f, u, e);
	} else if (u->n_waiting < f->limits.queue_user) {
		queue_add(f, u, e);
		if (seat_free(f, u))
			go_on(f);
	} else {
		refuse(f, e);
	}
}

void flow_leave(struct flow *f, struct flow_entry *e)
{
	struct flow_user *u = e->user;

	if (!u)
		return;
	if (e->waiting) {
		queue_remove(f, e);
	} else if (e->seated) {
		e->seated = false;
		u->seats--;
		f->seats--;
		go_on(f);
	}
	e->user = NULL;
	user_drop_idle(f, u);
}

unsigned flow_seats_taken(const struct flow *f)
{
	return f->seats;
}

unsigned flow_waiting(const struct flow *f)
{
	return f->n_waiting;
}

uint64_t flow_refused(const struct flow *f)
{
	return f->refused;
}
