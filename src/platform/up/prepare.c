/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/prepare.h"

#include "base/mem.h"
#include "platform/agent/agent.h"
#include "platform/up/release.h"

#include <pthread.h>
#include <signal.h>

struct prepare {
	struct loop *loop;
	struct prepare_spec spec;
	prepare_done_fn *fn;
	void *arg;
	pthread_t thread;
	bool threaded, told;
	/* the thread's, until it has posted */
	struct net *net;
	struct strv missing;
	struct err err;
};

static int store_programs(struct prepare *p)
{
	CLEANUP(mem_freep) char *own = release_own_dir(&p->err);

	if (!p->spec.programs)
		return 0;
	if (!own)
		return -1;
	return release_store(p->spec.data_dir, p->spec.version, own, p->spec.programs, &p->missing, &p->err);
}

static void finished(void *arg)
{
	struct prepare *p = arg;

	p->told = true;
	p->fn(p->arg, TAKE(p->net), &p->missing, p->err.code ? &p->err : NULL);
}

static void *work(void *arg)
{
	struct prepare *p = arg;
	CLEANUP(mem_freep) char *runtime = NULL;

	/* Remembered in the data directory; a failure is the agent's to tell. */
	agent_runtime_try(p->spec.data_dir, &runtime, NULL);
	p->net = net_new(p->loop, p->spec.data_dir, &p->err);
	if (p->net && store_programs(p) < 0) {
		net_free(p->net);
		p->net = NULL;
	}
	loop_post(p->loop, finished, p);
	return NULL;
}

struct prepare *prepare_start(struct loop *l, const struct prepare_spec *spec, prepare_done_fn *fn, void *arg)
{
	struct prepare *p = MEM_NEW(struct prepare);
	sigset_t all, before;

	p->loop = l;
	p->spec = *spec;
	p->fn = fn;
	p->arg = arg;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p->threaded = pthread_create(&p->thread, NULL, work, p) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!p->threaded)
		work(p);
	return p;
}

void prepare_free(struct prepare *p)
{
	if (!p)
		return;
	if (p->threaded)
		pthread_join(p->thread, NULL);
	while (!p->told) /* it is posted: an outcome that nobody takes would be lost, and so would we */
		loop_step(p->loop, -1);
	net_free(p->net);
	strv_done(&p->missing);
	free(p);
}
