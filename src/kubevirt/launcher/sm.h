/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/sm.h - a small state machine as data: names and allowed moves in a table, checked on every move
 * (models.md 4.4). */
#pragma once

#include "base/mem.h"

struct sm_state {
	const char *name;
	unsigned next; /* bit per state it may move to */
};
struct sm {
	const struct sm_state *states;
	int at;
};
#define SM_TO(s) (1u << (s))

static inline void sm_move(struct sm *m, int to)
{
	MUST(m->states[m->at].next & SM_TO(to));
	m->at = to;
}
static inline const char *sm_name(const struct sm *m)
{
	return m->states[m->at].name;
}
