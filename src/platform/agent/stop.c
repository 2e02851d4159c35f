/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's last job in an ordered end: some pods' containers are stopped, nothing is started any
 * more. Their objects stay as they
 * are; the next agent starts the containers again. */
#include "platform/agent/impl.h"

struct stopping {
	loop_fn *done;
	void *arg;
	bool told;
};

static bool pod_active(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (ctr_active(p->ctrs[i]))
			return true;
	return false;
}

static int64_t grace_of(const struct pod *p, int64_t max_ms)
{
	const struct json *g = json_get(pod_spec(p), "terminationGracePeriodSeconds");
	int64_t ms = 1000 * (json_is_int(g) ? json_i64(g) : GRACE_DEFAULT_S);

	if (max_ms && ms > max_ms)
		ms = max_ms;
	return ms > 0 ? ms : 1;
}

static void tell(void *arg)
{
	struct agent *a = arg;

	a->stopping->done(a->stopping->arg);
}

void agent_stop_look(struct agent *a)
{
	if (!a->stopping || a->stopping->told)
		return;
	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *p = a->by_uid.items[i].val;

		if (p->halted && pod_active(p))
			return;
	}
	a->stopping->told = true;
	loop_later(a->loop, tell, a);
}

void agent_stop_pods(
	struct agent *a, agent_pick_fn *pick, void *pick_arg, int64_t max_grace_ms, loop_fn *done, void *arg)
{
	if (a->stopping)
		return;
	a->stopping = MEM_NEW(struct stopping);
	a->stopping->done = done;
	a->stopping->arg = arg;
	for (size_t i = 0; i < a->by_uid.len; i++) {
		struct pod *p = a->by_uid.items[i].val;

		p->halted = pick(pick_arg, p->obj);
		for (size_t j = 0; p->halted && j < p->n_ctrs; j++) {
			struct ctr *c = p->ctrs[j];

			if (!ctr_active(c))
				continue;
			c->stop_grace_ms = grace_of(p, max_grace_ms);
			ctr_stop(c, c->stop_grace_ms, NULL);
		}
	}
	agent_stop_look(a);
}

size_t agent_active(const struct agent *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->by_uid.len; i++)
		n += pod_active(a->by_uid.items[i].val);
	return n;
}
