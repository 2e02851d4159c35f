/* SPDX-License-Identifier: Apache-2.0 */
/* Two sample controllers against the fake API on the simulated loop: groups make items, a runner starts them. */
#include "kube/controller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"
#include "kube/rng.h"

#define SEEDS 200
#define FINALIZER "demo.io/items"
#define START_MS 1700000000000

static const struct kind group_kind = { .group = "demo.io",
	.version = "v1",
	.kind = "Group",
	.plural = "groups",
	.namespaced = true,
	.has_status = true };
static const struct kind item_kind = { .group = "demo.io",
	.version = "v1",
	.kind = "Item",
	.plural = "items",
	.namespaced = true,
	.has_status = true };
static const struct kind event_kind = {
	.group = "", .version = "v1", .kind = "Event", .plural = "events", .namespaced = true
};

/* ---- the sample controllers ---- */
struct settings {
	bool generate; /* names made by the server: a second look too early would make too many */
};

static void plan_item(const struct look *l, const struct obj *group, int n, struct plan *out)
{
	const struct settings *env = look_env(l);
	struct json_doc *d = json_lit("{'apiVersion':'demo.io/v1','kind':'Item','metadata':{}}");
	struct json *root = json_root(d), *meta = json_get(root, "metadata");

	json_set_str(d, meta, "namespace", obj_namespace(group));
	json_set_strf(d, meta, env->generate ? "generateName" : "name", env->generate ? "%s-" : "%s-%d",
		obj_name(group), n);
	meta_add_owner(d, root, "demo.io/v1", "Group", obj_name(group), obj_uid(group), true);
	plan_create(out, &item_kind, d);
}

static bool item_runs(const struct obj *o)
{
	return str_eq(json_at_str(obj_json(o), "/status/phase"), "Running");
}

struct items {
	const struct obj *live[64];
	int n, running, all;
};

static void find_items(const struct look *l, const struct obj *group, struct items *ret)
{
	struct cache *c = look_cache(l, &item_kind);
	const struct obj *o;

	for (size_t i = 0; (o = cache_index_at(c, 0, obj_uid(group), i)); i++) {
		ret->all++;
		if (obj_deleting(o))
			continue;
		assert_true(ret->n < 64);
		ret->live[ret->n++] = o;
		ret->running += item_runs(o);
	}
}

static bool has_item(const struct items *items, const struct obj *group, int n)
{
	CLEANUP(mem_freep) char *name = str_printf("%s-%d", obj_name(group), n);

	for (int i = 0; i < items->n; i++)
		if (str_eq(obj_name(items->live[i]), name))
			return true;
	return false;
}

static void group_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct settings *env = look_env(l);
	const struct obj *group = look_get(l, &group_kind, key);
	struct items items = { 0 };
	struct json_doc *d;
	int want;

	if (!group)
		return;
	find_items(l, group, &items);
	want = obj_deleting(group) ? 0 : (int)json_i64(json_at(obj_json(group), "/spec/replicas"));
	d = obj_draft(group);
	meta_set_finalizer(d, json_root(d), FINALIZER, !obj_deleting(group) || items.all > 0);
	plan_change(out, &group_kind, group, NULL, d);
	for (int i = 0, missing = want - items.n; missing > 0; i++) {
		if (!env->generate && has_item(&items, group, i))
			continue;
		plan_item(l, group, i, out);
		missing--;
	}
	for (int i = want; i < items.n; i++)
		plan_delete(out, &item_kind, obj_key(items.live[i]), obj_uid(items.live[i]), -1);
	if (obj_deleting(group) && !items.all)
		return;
	d = obj_draft(group);
	json_put(d, json_root(d), "/status/ready", json_new_i64(d, items.running));
	json_put(d, json_root(d), "/status/observedGeneration", json_new_i64(d, obj_generation(group)));
	plan_change(out, &group_kind, group, "status", d);
}

static void runner_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *o = look_get(l, &item_kind, key);
	struct json_doc *d;

	if (!o || obj_deleting(o) || item_runs(o))
		return;
	d = obj_draft(o);
	json_put_str(d, json_root(d), "/status/phase", "Running");
	plan_change(out, &item_kind, o, "status", d);
	plan_event(out, o, false, "Started", "item %s runs", obj_name(o));
}

static const struct controller group_controller = { .name = "group",
	.decide = group_decide,
	.watches = { { .kind = &group_kind, .keys = key_self },
		{ .kind = &item_kind, .keys = key_owner, .index = index_by_owner_uid } } };
static const struct controller runner_controller = {
	.name = "runner", .decide = runner_decide, .watches = { { .kind = &item_kind, .keys = key_self } }
};

/* ---- the world ---- */
struct world {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct controller_set *set;
	struct settings settings;
	struct rng rng;
	int items_made;
};

static int count_items(void *arg, const struct kind *k, const char *sub, struct json_doc *d, struct json *o,
	const struct json *old, struct causes *c, struct err *e)
{
	struct world *w = arg;

	if (kind_is(k, &item_kind) && o && !old)
		w->items_made++;
	return 0;
}

static void start_program(struct world *w)
{
	struct kube_transport t = fake_api_transport(w->api, "program");

	w->client = kube_client_new_transport(w->loop, &t);
	w->set = controllers_new(w->client, "test");
	controllers_seed(w->set, rng_next(&w->rng));
	controllers_add(w->set, &group_controller, &w->settings);
	controllers_add(w->set, &runner_controller, &w->settings);
	controllers_start(w->set);
}

static void kill_program(struct world *w)
{
	fake_api_disconnect(w->api, "program");
	controllers_free(w->set);
	kube_client_free(w->client);
}

static void world_init(struct world *w, uint64_t seed)
{
	*w = (struct world){ .loop = loop_new_sim(START_MS), .rng = { seed } };
	w->api = fake_api_new(w->loop);
	fake_api_add_kind(w->api, &group_kind);
	fake_api_add_kind(w->api, &item_kind);
	fake_api_add_kind(w->api, &event_kind);
	fake_api_admit(w->api, count_items, w);
	start_program(w);
}

static void world_done(struct world *w)
{
	kill_program(w);
	fake_api_free(w->api);
	loop_free(w->loop);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run(struct world *w, int64_t ms)
{
	struct loop_timer *t = loop_timer_new(w->loop, stop, w->loop);

	loop_timer_set(t, ms);
	loop_run(w->loop);
	loop_timer_free(t);
}

static void put_group(struct world *w, const char *name, int replicas)
{
	CLEANUP(mem_freep) char *key = str_printf("n/%s", name);
	const struct obj *old = fake_api_get(w->api, &group_kind, key);
	struct json_doc *d = old ? obj_draft(old) : json_lit("{'metadata':{'namespace':'n','generation':1}}");

	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put(d, json_root(d), "/spec/replicas", json_new_i64(d, replicas));
	if (old)
		json_put(d, json_root(d), "/metadata/generation", json_new_i64(d, obj_generation(old) + 1));
	fake_api_put(w->api, &group_kind, d);
}

static size_t items_of(struct world *w, const struct obj *group, bool running)
{
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &item_kind, i)); i++)
		n += meta_owned_by(obj_json(o), obj_uid(group)) && (!running || item_runs(o));
	return n;
}

static bool settled(struct world *w)
{
	const struct obj *g;
	size_t all = 0;

	for (size_t i = 0; (g = fake_api_at(w->api, &group_kind, i)); i++) {
		int64_t want = json_i64(json_at(obj_json(g), "/spec/replicas"));

		all += items_of(w, g, false);
		if (obj_deleting(g) || items_of(w, g, false) != (size_t)want ||
			items_of(w, g, true) != (size_t)want ||
			json_i64(json_at(obj_json(g), "/status/ready")) != want ||
			json_i64(json_at(obj_json(g), "/status/observedGeneration")) != obj_generation(g))
			return false;
	}
	return all == fake_api_len(w->api, &item_kind);
}

static void assert_settles(struct world *w, uint64_t seed)
{
	for (int s = 0; s < 600 && !settled(w); s++)
		run(w, 1000);
	if (!settled(w))
		fail_msg("seed %" PRIu64 " does not settle", seed);
}

static void assert_quiet(struct world *w, uint64_t seed)
{
	uint64_t rv;

	run(w, 5000); /* events may still be under way */
	rv = fake_api_rv(w->api);
	run(w, 900000); /* watches end and begin anew meanwhile */
	if (fake_api_rv(w->api) != rv)
		fail_msg("seed %" PRIu64 ": a quiet world was written to", seed);
	assert_true(controllers_idle(w->set));
}

/* ---- tests ---- */
static void a_group_gets_its_items(void **state)
{
	struct world w;

	world_init(&w, 1);
	put_group(&w, "g", 3);
	assert_settles(&w, 0);
	assert_int_equal(fake_api_len(w.api, &item_kind), 3);
	assert_int_equal(fake_api_len(w.api, &event_kind), 3);
	assert_int_equal(w.items_made, 3);
	assert_true(loop_wall_ms(w.loop) - START_MS <= 1000);
	assert_quiet(&w, 0);
	world_done(&w);
}

/* Everything but lost answers (with names made by the server those can not be told from failures): never one too many. */
static void nothing_is_made_twice(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;
		struct fake_faults faults = { .seed = seed,
			.fail_request = 50,
			.conflict = 50,
			.drop_watch = 50,
			.expire_watch = 20,
			.repeat_event = 100,
			.latency_max_ms = 200 };
		int want = 0;

		world_init(&w, seed);
		w.settings.generate = true;
		fake_api_faults(w.api, &faults);
		for (int i = 0; i < 4; i++) {
			CLEANUP(mem_freep) char *name = str_printf("g%d", i);
			int n = (int)rng_below(&w.rng, 8);

			put_group(&w, name, n);
			want += n;
			run(&w, (int64_t)rng_below(&w.rng, 300));
		}
		assert_settles(&w, seed);
		if (w.items_made != want)
			fail_msg("seed %" PRIu64 ": %d items made, %d wanted", seed, w.items_made, want);
		fake_api_faults(w.api, &(struct fake_faults){ .seed = seed });
		assert_quiet(&w, seed);
		world_done(&w);
	}
}

static void delete_group(struct world *w, const char *name)
{
	struct err e;

	/* By another client, as a user would. */
	struct kube_transport t = fake_api_transport(w->api, "user");
	struct kube_client *c = kube_client_new_transport(w->loop, &t);

	for (int i = 0; i < 20 && kube_delete_wait(c, &group_kind, "n", name, NULL, &e) < 0; i++)
		if (e.code == ERR_NOT_FOUND)
			break;
	kube_client_free(c);
}

static void converges_whatever_fails(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;
		struct fake_faults faults = { .seed = seed,
			.fail_request = 80,
			.lose_answer = 80,
			.conflict = 80,
			.drop_watch = 80,
			.expire_watch = 40,
			.repeat_event = 100,
			.latency_max_ms = 300 };

		world_init(&w, seed);
		fake_api_faults(w.api, &faults);
		for (int i = 0; i < 12; i++) {
			CLEANUP(mem_freep) char *name = str_printf("g%d", (int)rng_below(&w.rng, 4));
			uint64_t what = rng_below(&w.rng, 10);

			if (what < 7)
				put_group(&w, name, (int)rng_below(&w.rng, 8));
			else if (what < 8)
				delete_group(&w, name);
			else {
				kill_program(&w);
				run(&w, (int64_t)rng_below(&w.rng, 1000));
				start_program(&w);
			}
			run(&w, (int64_t)rng_below(&w.rng, 2000));
		}
		assert_settles(&w, seed);
		fake_api_faults(w.api, &(struct fake_faults){ .seed = seed });
		assert_quiet(&w, seed);
		assert_true(settled(&w));
		world_done(&w);
	}
}

/* The answer to the patch that removes the last finalizer carries the old version; the cache shows the object for a while yet. */
static void what_is_gone_is_not_decided_on_again(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world w;
		CLEANUP(str_done) struct str text = { 0 };

		world_init(&w, seed);
		fake_api_faults(w.api, &(struct fake_faults){ .seed = seed, .latency_max_ms = 50 });
		put_group(&w, "g", 0);
		assert_settles(&w, seed);
		delete_group(&w, "g");
		for (int ms = 0; ms < 500; ms++) {
			controllers_kick(w.set, "group", "n/g");
			run(&w, 1);
		}
		assert_int_equal(fake_api_len(w.api, &group_kind), 0);
		controllers_metrics(w.set, &text);
		if (!strstr(str_cstr(&text), "controller_failures_total{controller=\"group\"} 0\n"))
			fail_msg("seed %" PRIu64 ": decided on what was gone", seed);
		world_done(&w);
	}
}

/* ---- subresources ---- */
static const struct kind pod_kind = {
	.group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true, .has_status = true
};

static void bind_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct obj *o = look_get(l, &pod_kind, key);

	if (o && !json_at(obj_json(o), "/spec/nodeName"))
		plan_create_sub(
			out, &pod_kind, key, "binding", json_lit("{'target':{'kind':'Node','name':'h'}}"));
}

static const struct controller bind_controller = {
	.name = "bind", .decide = bind_decide, .watches = { { .kind = &pod_kind, .keys = key_self } }
};

/* The answer is a Status: it is the cached pod that has to move. A second binding would be a conflict. */
static void a_pod_is_bound_once(void **state)
{
	struct world w;
	struct kube_transport t;
	CLEANUP(str_done) struct str text = { 0 };

	world_init(&w, 1);
	kill_program(&w);
	fake_api_add_kind(w.api, &pod_kind);
	fake_api_faults(w.api, &(struct fake_faults){ .seed = 1, .latency_max_ms = 50 });
	t = fake_api_transport(w.api, "program");
	w.client = kube_client_new_transport(w.loop, &t);
	w.set = controllers_new(w.client, "test");
	controllers_add(w.set, &bind_controller, NULL);
	controllers_start(w.set);
	for (int i = 0; i < 20; i++) {
		CLEANUP(mem_freep) char *name = str_printf("p%d", i);
		struct json_doc *d = json_lit("{'metadata':{'namespace':'n'},'spec':{}}");

		json_put_str(d, json_root(d), "/metadata/name", name);
		fake_api_put(w.api, &pod_kind, d);
		for (int ms = 0; ms < 200; ms++) {
			CLEANUP(mem_freep) char *key = str_printf("n/%s", name);

			controllers_kick(w.set, "bind", key);
			run(&w, 1);
		}
		assert_true(controllers_idle(w.set)); /* not held longer than it takes */
	}
	assert_int_equal(fake_api_writes(w.api), 20);
	assert_true(controllers_idle(w.set));
	controllers_metrics(w.set, &text);
	assert_non_null(strstr(str_cstr(&text), "controller_failures_total{controller=\"bind\"} 0\n"));
	world_done(&w);
}

/* ---- retry ---- */
struct script {
	struct world w;
	enum err_code refuse; /* what admission says to new items */
	int asked;
	struct str passes; /* "key@ms " */
	int actions;
	void (*done)(void *done_arg, const struct err *e);
	void *done_arg;
};

static int refuse(void *arg, const struct kind *k, const char *sub, struct json_doc *d, struct json *o,
	const struct json *old, struct causes *c, struct err *e)
{
	struct script *s = arg;

	if (!kind_is(k, &item_kind) || old)
		return 0;
	s->asked++;
	return s->refuse ? err_set(e, s->refuse, "refused") : 0;
}

static void script_init(struct script *s)
{
	memset(s, 0, sizeof(*s));
	world_init(&s->w, 1);
	fake_api_admit(s->w.api, refuse, s);
}

static void script_done(struct script *s)
{
	world_done(&s->w);
	str_done(&s->passes);
}

static void failures_are_backed_off_from(void **state)
{
	struct script s;

	script_init(&s);
	s.refuse = ERR_INTERNAL;
	put_group(&s.w, "g", 1);
	run(&s.w, 10000);
	/* 50 ms doubling to a minute, less a quarter at most: 50+100+...+6400 = 12750 */
	assert_in_range(s.asked, 7, 10);
	s.refuse = ERR_NONE;
	assert_settles(&s.w, 0);
	script_done(&s);
}

static void what_is_refused_waits_for_a_change(void **state)
{
	struct script s;

	script_init(&s);
	s.refuse = ERR_INVALID;
	put_group(&s.w, "g", 1);
	run(&s.w, 60000);
	assert_in_range(s.asked, 1, 2); /* the finalizer's own event may wake it once */
	s.refuse = ERR_NONE;
	put_group(&s.w, "g", 2);
	assert_settles(&s.w, 0);
	assert_int_equal(fake_api_len(s.w.api, &item_kind), 2);
	script_done(&s);
}

/* ---- actions, times, kicks ---- */
static void timed_decide(const struct look *l, const char *key, struct plan *out)
{
	struct script *s = (struct script *)look_env(l);
	int64_t ms = look_now(l) - START_MS;

	str_addf(&s->passes, "%s@%d ", key, (int)ms);
	if (str_eq(key, "n/timed") && ms < 10000)
		plan_again_at(out, START_MS + 10000);
	if (str_eq(key, "n/act") || str_eq(key, "n/slow"))
		plan_action(out, str_eq(key, "n/act") ? "quick" : "slow", key, json_lit("{'x':1}"));
}

static void timed_action(
	void *env, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct script *s = env;
	struct err e;

	s->actions++;
	assert_int_equal(json_i64(json_get(json_root(i->doc), "x")), 1);
	if (str_eq(i->action, "slow")) {
		s->done = done;
		s->done_arg = done_arg;
	} else if (s->actions == 1) {
		err_set(&e, ERR_UNAVAILABLE, "not yet");
		done(done_arg, &e);
	} else {
		done(done_arg, NULL);
	}
}

static const struct controller timed_controller = { .name = "timed",
	.decide = timed_decide,
	.action = timed_action,
	.watches = { { .kind = &group_kind } } };

static void timed_init(struct script *s)
{
	struct kube_transport t;

	script_init(s);
	kill_program(&s->w);
	t = fake_api_transport(s->w.api, "program");
	s->w.client = kube_client_new_transport(s->w.loop, &t);
	s->w.set = controllers_new(s->w.client, "test");
	controllers_add(s->w.set, &timed_controller, s);
	controllers_start(s->w.set);
}

static void looks_again_when_asked(void **state)
{
	struct script s;

	timed_init(&s);
	controllers_kick(s.w.set, "timed", "n/timed");
	run(&s.w, 60000);
	assert_string_equal(str_cstr(&s.passes), "n/timed@0 n/timed@10000 ");
	script_done(&s);
}

static void a_failed_action_is_tried_again(void **state)
{
	struct script s;

	timed_init(&s);
	controllers_kick(s.w.set, "timed", "n/act");
	run(&s.w, 60000);
	assert_int_equal(s.actions, 2);
	script_done(&s);
}

static void a_key_waits_for_its_own_action(void **state)
{
	struct script s;

	timed_init(&s);
	controllers_kick(s.w.set, "timed", "n/slow");
	run(&s.w, 1000);
	controllers_kick(s.w.set, "timed", "n/slow");
	controllers_kick(s.w.set, "timed", "n/other");
	run(&s.w, 1000);
	assert_string_equal(str_cstr(&s.passes), "n/slow@0 n/other@1000 ");
	assert_false(controllers_idle(s.w.set));
	s.done(s.done_arg, NULL);
	run(&s.w, 1000);
	assert_string_equal(str_cstr(&s.passes), "n/slow@0 n/other@1000 n/slow@2000 ");
	/* The set may go while an action is under way; its end then comes to nothing. */
	kill_program(&s.w);
	s.done(s.done_arg, NULL);
	start_program(&s.w);
	script_done(&s);
}

static void metrics_count_passes(void **state)
{
	struct script s;
	CLEANUP(str_done) struct str text = { 0 };

	timed_init(&s);
	controllers_kick(s.w.set, "timed", "n/other");
	run(&s.w, 1000);
	controllers_metrics(s.w.set, &text);
	assert_non_null(strstr(str_cstr(&text), "controller_passes_total{controller=\"timed\"} 1\n"));
	script_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_gets_its_items),
		cmocka_unit_test(what_is_gone_is_not_decided_on_again),
		cmocka_unit_test(a_pod_is_bound_once),
		cmocka_unit_test(failures_are_backed_off_from),
		cmocka_unit_test(what_is_refused_waits_for_a_change),
		cmocka_unit_test(looks_again_when_asked),
		cmocka_unit_test(a_failed_action_is_tried_again),
		cmocka_unit_test(a_key_waits_for_its_own_action),
		cmocka_unit_test(metrics_count_passes),
		cmocka_unit_test(nothing_is_made_twice),
		cmocka_unit_test(converges_whatever_fails),
	};

	log_set_level(LOG_ERROR); /* failures are made on purpose */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
