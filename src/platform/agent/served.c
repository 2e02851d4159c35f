/* SPDX-License-Identifier: Apache-2.0 */
/* What clients hold open: ends with the agent. */
#include "platform/agent/serve.h"

void served_add(struct agent *a, struct served *s, void (*stop)(struct served *))
{
	s->stop = stop;
	s->next = a->served;
	s->prev = &a->served;
	if (s->next)
		s->next->prev = &s->next;
	a->served = s;
}

void served_remove(struct served *s)
{
	if (!s->prev)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
}

void served_stop_all(struct agent *a)
{
	while (a->served) {
		struct served *s = a->served;

		served_remove(s);
		s->stop(s);
	}
}
