/* SPDX-License-Identifier: Apache-2.0 */
/* The server as the parts of its own program use it: a kube client over the in-process transport, on the memory store. What
 * goes over HTTP is in tests/api. */
#include "platform/apiserver/apiserver.h"

#include "api/kind.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test_util.h"
#include "kube/cache.h"

#include <stdlib.h>
#include <string.h>

struct world {
	struct loop *loop;
	struct store *store;
	struct apiserver *server;
	struct kube_client *client;
	char dir[32];
};

static const struct kind configmaps = { .group = "",
	.version = "v1",
	.kind = "ConfigMap",
	.plural = "configmaps",
	.singular = "configmap",
	.namespaced = true };

static void start(struct world *w)
{
	struct apiserver_spec spec = { .data_dir = w->dir, .store = w->store };
	struct kube_transport t;
	struct err e = { 0 };

	w->server = apiserver_new(w->loop, &spec, &e);
	if (!w->server)
		fail_msg("%s", e.msg);
	t = apiserver_transport(w->server, "system:test", NULL);
	w->client = kube_client_new_transport(w->loop, &t);
}

static int setup(void **state)
{
	struct world *w = MEM_NEW(struct world);

	strncpy(w->dir, "/tmp/apiserver-test-XXXXXX", sizeof(w->dir) - 1);
	assert_non_null(mkdtemp(w->dir));
	w->loop = loop_new();
	w->store = store_mem_new(w->loop);
	start(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	kube_client_free(w->client);
	apiserver_free(w->server);
	store_free(w->store);
	loop_free(w->loop);
	file_remove_tree(w->dir, NULL);
	free(w);
	return 0;
}

static void run_until(struct world *w, bool (*done)(void *), void *arg)
{
	for (int i = 0; i < 1000 && !done(arg); i++)
		loop_step(w->loop, 10);
	assert_true(done(arg));
}

static struct obj *create(struct world *w, const char *name)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'ConfigMap','data':{'a':'1'}}");
	struct obj *o = NULL;
	struct err e = { 0 };

	json_set_str(d, json_need_obj(d, json_root(d), "metadata"), "name", name);
	if (kube_create_wait(w->client, &configmaps, "default", json_root(d), &o, &e) < 0)
		fail_msg("%s", e.msg);
	return o;
}

static void a_part_of_the_program_is_a_client(void **state)
{
	struct world *w = *state;
	CLEANUP(obj_unrefp) struct obj *o = create(w, "one");
	CLEANUP(obj_unrefp) struct obj *got = NULL;
	CLEANUP(json_doc_freep)
	struct json_doc *patch = json_lit("[{'op':'replace','path':'/data/a','value':'2'}]");
	struct err e = { 0 };

	assert_true(obj_rv(o) > 0);
	assert_int_equal(kube_patch_wait(w->client, &configmaps, "default", "one", NULL, KUBE_PATCH_JSON,
				 json_root(patch), &got, &e),
		0);
	assert_string_equal(json_at_str(obj_json(got), "/data/a"), "2");
	assert_int_equal(kube_delete_wait(w->client, &configmaps, "default", "one", NULL, &e), 0);
	assert_int_equal(kube_delete_wait(w->client, &configmaps, "default", "one", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static bool cache_is_synced(void *arg)
{
	return cache_synced(arg);
}

struct count {
	struct cache *cache;
	size_t want;
};

static bool cache_has(void *arg)
{
	const struct count *c = arg;

	return cache_len(c->cache) == c->want;
}

static void a_cache_follows(void **state)
{
	struct world *w = *state;
	struct cache_opts opts = { .ns = "default" };
	struct cache *c = cache_new(w->client, &configmaps, &opts);
	struct count count = { c, 1 };

	cache_start(c);
	run_until(w, cache_is_synced, c);
	run_until(w, cache_has, &count); /* kube-root-ca.crt */
	obj_unref(create(w, "two"));
	obj_unref(create(w, "three"));
	count.want = 3;
	run_until(w, cache_has, &count);
	assert_non_null(cache_get(c, "default/two"));
	assert_int_equal(kube_delete_wait(w->client, &configmaps, "default", "two", NULL, NULL), 0);
	count.want = 2;
	run_until(w, cache_has, &count);
	cache_free(c);
}

static void who_is_not_allowed_is_refused(void **state)
{
	struct world *w = *state;
	static const char *const nobody[] = { "nobodies", NULL };
	struct kube_transport t = apiserver_transport(w->server, "eve", nobody);
	struct kube_client *eve = kube_client_new_transport(w->loop, &t);
	struct obj *o = NULL;
	struct err e = { 0 };

	assert_int_equal(kube_get_wait(eve, &configmaps, "default", "kube-root-ca.crt", &o, &e), -1);
	assert_int_equal(e.code, ERR_FORBIDDEN);
	kube_client_free(eve);
}

static void everything_is_there_after_a_restart(void **state)
{
	struct world *w = *state;
	CLEANUP(obj_unrefp) struct obj *o = create(w, "kept");
	CLEANUP(obj_unrefp) struct obj *got = NULL;
	struct err e = { 0 };

	kube_client_free(w->client);
	apiserver_free(w->server);
	start(w);
	assert_int_equal(kube_get_wait(w->client, &configmaps, "default", "kept", &got, &e), 0);
	assert_int_equal(obj_rv(got), obj_rv(o));
	assert_string_equal(obj_uid(got), obj_uid(o));
}

static void tokens_for_pods_are_made_and_taken(void **state)
{
	struct world *w = *state;
	CLEANUP(mem_freep) char *token = NULL;
	struct err e = { 0 };

	assert_int_equal(apiserver_token(w->server, "default", "default", NULL, 3600, &token, &e), 0);
	assert_true(strlen(token) > 100);
	assert_int_equal(apiserver_token(w->server, "default", "nobody", NULL, 3600, &token, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void written(void *arg, uint64_t rev, const struct err *e)
{
	assert_null(e);
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

/* kubernetes-api.md 8, 101: an Event whose hour is over goes, one that was written lately stays */
static void old_events_vanish(void **state)
{
	struct world *w = *state;
	static const struct kind events = {
		.group = "", .version = "v1", .kind = "Event", .plural = "events", .namespaced = true
	};
	static const char *const values[] = {
		"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"old\",\"namespace\":"
		"\"default\","
		"\"creationTimestamp\":\"2020-01-01T00:00:00Z\"}}",
		"{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"new\",\"namespace\":"
		"\"default\","
		"\"creationTimestamp\":\"2020-01-01T00:00:00Z\"},\"lastTimestamp\":\"2999-01-01T00:00:00Z\"}"
	};
	static const char *const keys[] = { "/registry/events/default/old", "/registry/events/default/new" };
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	struct err e = { 0 };

	kube_client_free(w->client);
	apiserver_free(w->server);
	for (size_t i = 0; i < 2; i++) {
		bool done = false;

		store_write(w->store, &(struct store_write){ .key = keys[i],
					      .value = values[i],
					      .len = strlen(values[i]),
					      .done = written,
					      .arg = &done });
		run_until(w, is_true, &done);
	}
	start(w);
	for (int i = 0; i < 20; i++)
		loop_step(w->loop, 5);
	assert_int_equal(kube_get_wait(w->client, &events, "default", "old", &o, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(kube_get_wait(w->client, &events, "default", "new", &o, &e), 0);
}

static void never(void *arg, const struct obj *o, const struct err *e)
{
	fail_msg("a cancelled call was answered");
}

static void cancelled_calls_are_not_answered(void **state)
{
	struct world *w = *state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c'}}");
	struct kube_call *c = kube_create(w->client, &configmaps, "default", json_root(d), never, NULL);

	kube_call_cancel(c);
	/* and once it is being written */
	c = kube_create(w->client, &configmaps, "default", json_root(d), never, NULL);
	loop_step(w->loop, 10);
	kube_call_cancel(c);
	for (int i = 0; i < 20; i++)
		loop_step(w->loop, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_part_of_the_program_is_a_client, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cache_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_not_allowed_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_is_there_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(tokens_for_pods_are_made_and_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(old_events_vanish, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled_calls_are_not_answered, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
