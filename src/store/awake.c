/* SPDX-License-Identifier: Apache-2.0 */
#include "store/awake.h"

#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define AWAKE_SPINS 200 /* between two looks at the clock: some microseconds */

struct awake {
	pthread_t thread;
	int64_t last_us; /* of the waiting thread */
	uint64_t holds;
	_Atomic int64_t until_us;
	_Atomic int cpu; /* of who waits */
	_Atomic bool asleep, stopping;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void spin(void)
{
	for (int i = 0; i < AWAKE_SPINS; i++)
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#else
		__asm__ volatile("" ::: "memory");
#endif
}

static void follow(struct awake *a, int *at)
{
	cpu_set_t one;
	int cpu = a->cpu;

	if (cpu == *at)
		return;
	*at = cpu;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	/* refused where a processor was taken from us meanwhile: then on any */
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

static void *awake_run(void *arg)
{
	struct awake *a = arg;
	const struct sched_param none = { 0 };
	int at = -1;

	if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0)
		return NULL;
	while (!a->stopping) {
		while (now_us() < a->until_us) {
			follow(a, &at);
			spin();
		}
		pthread_mutex_lock(&a->lock);
		a->asleep = true;
		while (now_us() >= a->until_us && !a->stopping)
			pthread_cond_wait(&a->wake, &a->lock);
		a->asleep = false;
		pthread_mutex_unlock(&a->lock);
	}
	return NULL;
}

struct awake *awake_new(void)
{
	struct awake *a = MEM_NEW(struct awake);

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	if (pthread_create(&a->thread, NULL, awake_run, a) == 0)
		return a;
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

void awake_free(struct awake *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void awake_hold(struct awake *a)
{
	int cpu = a ? sched_getcpu() : -1;
	int64_t now = now_us(), since;

	if (cpu < 0)
		return;
	since = now - a->last_us;
	a->last_us = now;
	if (since > AWAKE_RUN_US)
		return;
	a->holds++;
	a->cpu = cpu;
	a->until_us = now + AWAKE_US;
	if (!a->asleep) /* it looks at until_us once more after it says so */
		return;
	pthread_mutex_lock(&a->lock);
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

uint64_t awake_holds(const struct awake *a)
{
	return a->holds;
}
