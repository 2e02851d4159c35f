/* SPDX-License-Identifier: Apache-2.0 */
/* kube/controller_impl.h - the insides shared by controller.c (sets, queues, watches) and controller_work.c (one key's way
 * through decide, writes, retry and barrier). Nobody else includes this. */
#pragma once

#include "base/mem.h"
#include "kube/controller.h"
#include "kube/events.h"
#include "kube/keymap.h"
#include "kube/rng.h"

struct shared_cache {
	struct cache *cache;
	const struct controller_watch *spec; /* NULL: asked for by kind alone */
	index_fn *index;
};
struct controller_set {
	struct kube_client *client;
	struct loop *loop;
	char *component;
	struct event_recorder *events;
	struct shared_cache *caches;
	size_t n_caches, cap_caches;
	struct ctrl **ctrls;
	size_t n_ctrls, cap_ctrls;
	struct rng rng;
	bool started;
};
struct look {
	struct ctrl *ctrl;
};
struct watch_hook {
	struct ctrl *ctrl;
	key_map_fn *keys;
	int settle_ms;
};
struct ctrl {
	struct controller_set *set;
	const struct controller *def;
	void *env;
	struct look look;
	struct cache *caches[CONTROLLER_WATCHES_MAX];
	struct watch_hook hooks[CONTROLLER_WATCHES_MAX];
	size_t n_watches;
	size_t workers;
	struct workqueue *queue;
	struct keymap works; /* key -> struct work: those out of the queue, and those that failed */
	size_t in_flight;
	struct work **held; /* done, but for their barriers */
	size_t n_held, cap_held;
	struct loop_timer *pump, *hold;
	uint64_t passes, failures, writes, busy_ms;
};

enum barrier_type {
	BARRIER_RV,    /* the cache has reached rv */
	BARRIER_MOVED, /* with key: its object is not at rv any more; without: the cache has gone beyond rv */
	BARRIER_GOING, /* the object of that uid is gone or marked */
	BARRIER_GONE,
};
struct barrier {
	enum barrier_type type;
	struct cache *cache;
	uint64_t rv;
	char *key, *uid;
	int64_t until; /* mono ms: then it is waited for no longer */
};
enum work_state { WORK_IDLE, WORK_RUNNING, WORK_HELD };
struct work {
	struct ctrl *ctrl;
	char *key;
	enum work_state state;
	int failures;
	struct plan *plan;
	size_t at;      /* intent under way */
	bool reporting; /* the plan is that of controller.refused() */
	struct kube_call *call;
	struct action_call *action;
	uint64_t seen[CONTROLLER_WATCHES_MAX]; /* cache_rv() of each cache when decided */
	struct barrier *barriers;
	size_t n_barriers, cap_barriers;
	int64_t since;
};

void work_run(struct ctrl *c, const char *key);
void works_check(struct ctrl *c); /* lets go of held keys whose barriers are gone */
void work_free(void *w);
