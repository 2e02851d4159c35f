/* SPDX-License-Identifier: Apache-2.0 */
/* kubernetes-api.md, part 8 of what is wanted under load: a fair queue, and 429 for those who ask for too much. */
#include "platform/apiserver/flow.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test_util.h"

#include <string.h>

static int64_t now_us;
static int64_t clock_us(void)
{
	return now_us;
}

struct world {
	struct loop *loop;
	struct flow *flow;
	struct str told; /* "a1 " for a run, "a1! " for a refusal */
};
struct one {
	struct flow_entry entry;
	struct world *w;
	const char *name;
	int64_t takes_us;
	bool keeps_seat;
};

static void ran(struct flow_entry *e)
{
	struct one *o = CONTAINER_OF(e, struct one, entry);

	str_addf(&o->w->told, "%s ", o->name);
	now_us += o->takes_us;
	if (!o->keeps_seat)
		flow_leave(o->w->flow, e);
}

static void refused(struct flow_entry *e)
{
	struct one *o = CONTAINER_OF(e, struct one, entry);

	str_addf(&o->w->told, "%s! ", o->name);
}

static struct one one(struct world *w, const char *name, int64_t takes_us, bool keeps_seat)
{
	return (struct one){ .entry = { .run = ran, .refuse = refused },
		.w = w,
		.name = name,
		.takes_us = takes_us,
		.keeps_seat = keeps_seat };
}

static void enter(struct one *o)
{
	char user[2] = { o->name[0], '\0' };

	flow_enter(o->w->flow, user, &o->entry);
}

static void begin(struct world *w, const struct flow_limits *l)
{
	*w = (struct world){ .loop = loop_new_sim(0) };
	now_us = 1000000;
	w->flow = flow_new(w->loop, l, clock_us);
}

static void end(struct world *w)
{
	assert_int_equal(flow_seats_taken(w->flow), 0);
	assert_int_equal(flow_waiting(w->flow), 0);
	flow_free(w->flow);
	loop_free(w->loop);
	str_done(&w->told);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

/* Whatever is due now, and what that makes due. */
static void turn(struct world *w)
{
	bool done = false;
	struct loop_timer *t = loop_timer_new(w->loop, set_true, &done);

	loop_timer_set(t, 1);
	while (!done)
		loop_step(w->loop, 0);
	loop_timer_free(t);
}

static void told(struct world *w, const char *want)
{
	assert_string_equal(str_cstr(&w->told), want);
	str_clear(&w->told);
}

static void requests_run_at_once_while_there_is_room(void **state)
{
	struct world w;
	struct one a, b;

	begin(&w, NULL);
	a = one(&w, "a1", 10, false);
	b = one(&w, "b1", 10, false);
	enter(&a);
	enter(&b);
	told(&w, "a1 b1 ");
	end(&w);
}

static void a_user_out_of_seats_waits_and_others_do_not(void **state)
{
	const struct flow_limits l = { .seats_user = 1 };
	struct world w;
	struct one a1, a2, b1;

	begin(&w, &l);
	a1 = one(&w, "a1", 10, true);
	a2 = one(&w, "a2", 10, false);
	b1 = one(&w, "b1", 10, false);
	enter(&a1);
	enter(&a2);
	enter(&b1);
	turn(&w);
	told(&w, "a1 b1 ");
	assert_int_equal(flow_waiting(w.flow), 1);
	flow_leave(w.flow, &a1.entry);
	flow_leave(w.flow, &a1.entry); /* once more does no harm */
	turn(&w);
	told(&w, "a2 ");
	end(&w);
}

static void the_user_who_had_least_goes_first(void **state)
{
	const struct flow_limits l = { .seats = 1 };
	struct world w;
	struct one held, many[3], few;

	begin(&w, &l);
	held = one(&w, "h", 1, true);
	enter(&held);
	many[0] = one(&w, "a1", 900, false);
	many[1] = one(&w, "a2", 900, false);
	many[2] = one(&w, "a3", 900, false);
	few = one(&w, "b1", 10, false);
	for (int i = 0; i < 3; i++)
		enter(&many[i]);
	enter(&few);
	flow_leave(w.flow, &held.entry);
	turn(&w);
	/* a and b begin alike; after one of each, or a's first, b is not behind all of a's */
	assert_true(str_starts(w.told.data, "h b1 a1 ") || str_starts(w.told.data, "h a1 b1 "));
	str_clear(&w.told);
	end(&w);
}

static void who_takes_all_the_time_leaves_the_rest_to_others(void **state)
{
	struct world w;
	struct one a1, a2, b1, held;

	begin(&w, NULL);
	held = one(&w, "h", 1, true); /* somebody else is at work */
	a1 = one(&w, "a1", FLOW_BUDGET_US, true);
	a2 = one(&w, "a2", 100, false);
	b1 = one(&w, "b1", 100, false);
	enter(&held);
	enter(&a1);
	enter(&a2); /* the window's budget is used up: queued */
	enter(&b1);
	told(&w, "h a1 ");
	turn(&w);
	told(&w, "b1 a2 ");
	flow_leave(w.flow, &a1.entry);
	flow_leave(w.flow, &held.entry);
	end(&w);
}

static void a_user_alone_is_not_held_up(void **state)
{
	struct world w;
	struct one a[3];

	begin(&w, NULL);
	a[0] = one(&w, "a1", 10 * FLOW_BUDGET_US, false);
	a[1] = one(&w, "a2", 10 * FLOW_BUDGET_US, false);
	a[2] = one(&w, "a3", 10 * FLOW_BUDGET_US, false);
	for (int i = 0; i < 3; i++)
		enter(&a[i]);
	told(&w, "a1 a2 a3 ");
	end(&w);
}

/* FLOW_QUEUE_USER, FLOW_SEATS_USER */
static void too_many_waiting_requests_of_one_user_are_refused(void **state)
{
	const struct flow_limits l = { .seats_user = 1, .queue_user = 2 };
	struct world w;
	struct one a[4], b;

	begin(&w, &l);
	a[0] = one(&w, "a1", 1, true);
	a[1] = one(&w, "a2", 1, false);
	a[2] = one(&w, "a3", 1, false);
	a[3] = one(&w, "a4", 1, false);
	b = one(&w, "b1", 1, false);
	for (int i = 0; i < 4; i++)
		enter(&a[i]);
	enter(&b);
	told(&w, "a1 a4! b1 ");
	assert_int_equal(flow_refused(w.flow), 1);
	flow_leave(w.flow, &a[0].entry);
	turn(&w);
	told(&w, "a2 a3 ");
	end(&w);
}

/* FLOW_WAIT_MS */
static void nobody_waits_longer_than_the_limit(void **state)
{
	const struct flow_limits l = { .seats_user = 1, .wait_ms = 50 };
	struct world w;
	struct one a1, a2;

	begin(&w, &l);
	a1 = one(&w, "a1", 1, true);
	a2 = one(&w, "a2", 1, false);
	enter(&a1);
	enter(&a2);
	loop_step(w.loop, 1000); /* the simulated clock jumps to the timer */
	told(&w, "a1 a2! ");
	flow_leave(w.flow, &a1.entry);
	end(&w);
}

static void a_client_that_goes_gives_its_place_back(void **state)
{
	const struct flow_limits l = { .seats = 1 };
	struct world w;
	struct one a1, a2, b1;

	begin(&w, &l);
	a1 = one(&w, "a1", 1, true);
	a2 = one(&w, "a2", 1, false);
	b1 = one(&w, "b1", 1, false);
	enter(&a1);
	enter(&a2);
	enter(&b1);
	flow_leave(w.flow, &a2.entry);
	flow_leave(w.flow, &a1.entry);
	turn(&w);
	told(&w, "a1 b1 ");
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_run_at_once_while_there_is_room),
		cmocka_unit_test(a_user_out_of_seats_waits_and_others_do_not),
		cmocka_unit_test(the_user_who_had_least_goes_first),
		cmocka_unit_test(who_takes_all_the_time_leaves_the_rest_to_others),
		cmocka_unit_test(a_user_alone_is_not_held_up),
		cmocka_unit_test(too_many_waiting_requests_of_one_user_are_refused),
		cmocka_unit_test(nobody_waits_longer_than_the_limit),
		cmocka_unit_test(a_client_that_goes_gives_its_place_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
