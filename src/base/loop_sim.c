/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include "base/loop_impl.h"
#include "base/mem.h"

/* Not 0, so that code which takes 0 for "never" does not get away with it. */
#define SIM_MONO_START 1000000

static bool sim_step(struct loop *l, int max_wait_ms)
{
	(void)max_wait_ms; /* virtual time costs nothing */
	loop_impl_take_posts(l);

	struct loop_entry *e = loop_impl_top(l);
	if (!e)
		return false;
	if (e->due > l->mono) {
		l->wall += e->due - l->mono;
		l->mono = e->due;
	}
	loop_impl_run_top(l);
	return true;
}

static void sim_nothing(struct loop *l)
{
	(void)l;
}

static const struct loop_ops sim_ops = {
	.step = sim_step,
	.read_clocks = sim_nothing,
	.wake = sim_nothing,
	.free = sim_nothing,
};

struct loop *loop_new_sim(int64_t start_wall_ms)
{
	struct loop *l = loop_impl_new(&sim_ops, NULL);

	l->mono = SIM_MONO_START;
	l->wall = start_wall_ms;
	return l;
}

void loop_sim_advance(struct loop *l, int64_t ms)
{
	MUST(l->ops == &sim_ops && ms >= 0);
	l->mono += ms;
	l->wall += ms;
}
