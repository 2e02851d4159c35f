/* SPDX-License-Identifier: Apache-2.0 */
/* kube/controller.h - the loop that every controller shares: key from the queue -> look at caches -> decide (a plan) -> carry
 * the plan out -> retry policy -> hold the key until the caches have seen what was written.
 *
 * A controller is a const table and a decide function. decide() reads caches and the clock through struct look, and writes a
 * plan; it does no I/O, logs nothing and keeps nothing between passes. All caches are filled before the first decide. */
#pragma once

#include "kube/cache.h"
#include "kube/plan.h"
#include "kube/workqueue.h"

#define CONTROLLER_WATCHES_MAX 24
#define CONTROLLER_BACK_OFF_MIN_MS 50
#define CONTROLLER_BACK_OFF_MAX_MS 60000

struct event_recorder;

struct look; /* what decide() may see */
const struct obj *look_get(const struct look *l, const struct kind *k, const char *key);
struct cache *look_cache(
	const struct look *l, const struct kind *k); /* read only; MUST be among the watches */
int64_t look_now(const struct look *l);              /* wall clock, ms */
const void *look_env(const struct look *l); /* the controller's fixed settings (struct passed at start) */
uint64_t look_random(const struct look *l); /* seeded in tests: for back-off jitter and names */

/* From a changed object to the keys that need a look; called for old and new. */
typedef void key_emit_fn(void *emit_arg, const char *key);
typedef void key_map_fn(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg);
void key_self(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg);
/* ns/name of the controller owner reference (any kind: the decide function finds out). */
void key_owner(const struct look *l, const struct obj *o, key_emit_fn *emit, void *emit_arg);

struct controller_watch {
	const struct kind *kind;
	key_map_fn *keys; /* NULL: only cached, wakes nobody */
	index_fn *index;  /* index 0 of that cache, or NULL */
	const char *label_selector, *field_selector, *ns;
	/* A change of an object wakes so much later, so that others in a row need one look only; coming and going wake
	 * at once. */
	int settle_ms;
};
struct controller {
	const char *name;
	void (*decide)(const struct look *l, const char *key, struct plan *out);
	struct controller_watch watches[CONTROLLER_WATCHES_MAX]; /* ends with kind NULL */
	/* For plan_action(): starts it; done(done_arg, NULL or error) exactly once, possibly before returning. */
	void (*action)(void *env, const struct intent *i, void (*done)(void *done_arg, const struct err *e),
		void *done_arg);
	/* Optional. The server refused to create an object (forbidden, invalid), or a write to a subresource (also: there is no
	 * such thing here): plans what to report about it. Called at every attempt; what it plans does not change when the
	 * next one is. */
	void (*refused)(const struct look *l, const char *key, const struct intent *i, const struct err *e,
		struct plan *out);
	int workers; /* keys in flight at once; 0: 16 */
};

/* Caches are shared by all controllers of a program: one per kind (and selector). */
struct controller_set;
struct controller_set *controllers_new(struct kube_client *c, const char *component /* event source */);
void controllers_set_host(
	struct controller_set *s, const char *host); /* source.host of events: the node; before start */
struct event_recorder *controllers_events(struct controller_set *s); /* for events that no plan records */
void controllers_add(struct controller_set *s, const struct controller *c, void *env);
void controllers_start(struct controller_set *s);
void controllers_free(struct controller_set *s);
struct cache *controllers_cache(
	struct controller_set *s, const struct kind *k); /* made if needed, before start */
/* The cache behind one watch of an added controller, with its selectors and index 0. */
struct cache *controllers_watch_cache(struct controller_set *s, const struct controller_watch *w);
void controllers_kick(
	struct controller_set *s, const char *controller, const char *key); /* something outside changed */
bool controllers_idle(
	const struct controller_set *s); /* nothing queued (but for later), nothing in flight, all synced */
void controllers_seed(struct controller_set *s, uint64_t seed); /* for look_random() */
/* Prometheus text of queue depth, passes, failures, durations, per controller. */
void controllers_metrics(const struct controller_set *s, struct str *out);
