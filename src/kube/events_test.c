/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"

static const struct kind event_kind = {
	.group = "", .version = "v1", .kind = "Event", .plural = "events", .namespaced = true
};

struct fixture {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct event_recorder *events;
	struct obj *pod, *node;
};

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct kube_transport t;

	f->loop = loop_new_sim(1700000000000);
	f->api = fake_api_new(f->loop);
	fake_api_add_kind(f->api, &event_kind);
	t = fake_api_transport(f->api, "test");
	f->client = kube_client_new_transport(f->loop, &t);
	f->events = events_new(f->client, "agent", "host1");
	f->pod = obj_from_doc(
		json_lit("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'n','uid':'u1',"
			 "'resourceVersion':'7'}}"));
	f->node = obj_from_doc(
		json_lit("{'apiVersion':'v1','kind':'Node','metadata':{'name':'h','uid':'u2'}}"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	events_free(f->events);
	kube_client_free(f->client);
	fake_api_free(f->api);
	loop_free(f->loop);
	obj_unref(f->pod);
	obj_unref(f->node);
	free(f);
	return 0;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run(struct fixture *f, int64_t ms)
{
	struct loop_timer *t = loop_timer_new(f->loop, stop, f->loop);

	loop_timer_set(t, ms);
	loop_run(f->loop);
	loop_timer_free(t);
}

static const struct json *event(struct fixture *f, size_t i)
{
	assert_true(i < fake_api_len(f->api, &event_kind));
	return obj_json(fake_api_at(f->api, &event_kind, i));
}

static void an_event_says_about_what_by_whom_and_when(void **state)
{
	struct fixture *f = *state;
	const struct json *e;

	events_record(f->events, f->pod, true, "Failed", "it broke");
	run(f, 100);
	e = event(f, 0);
	assert_int_equal(strlen(json_at_str(e, "/metadata/name")), 2 + 16);
	assert_memory_equal(json_at_str(e, "/metadata/name"), "p.", 2);
	assert_string_equal(json_at_str(e, "/metadata/namespace"), "n");
	assert_string_equal(json_at_str(e, "/involvedObject/kind"), "Pod");
	assert_string_equal(json_at_str(e, "/involvedObject/apiVersion"), "v1");
	assert_string_equal(json_at_str(e, "/involvedObject/namespace"), "n");
	assert_string_equal(json_at_str(e, "/involvedObject/uid"), "u1");
	assert_string_equal(json_at_str(e, "/involvedObject/resourceVersion"), "7");
	assert_string_equal(json_at_str(e, "/type"), "Warning");
	assert_string_equal(json_at_str(e, "/reason"), "Failed");
	assert_string_equal(json_at_str(e, "/message"), "it broke");
	assert_string_equal(json_at_str(e, "/firstTimestamp"), "2023-11-14T22:13:20Z");
	assert_string_equal(json_at_str(e, "/source/component"), "agent");
	assert_string_equal(json_at_str(e, "/source/host"), "host1");
	assert_string_equal(json_at_str(e, "/reportingComponent"), "agent");
	assert_int_equal(json_i64(json_get(e, "count")), 1);
}

static void the_same_again_raises_the_count(void **state)
{
	struct fixture *f = *state;
	const struct json *e;

	for (int i = 0; i < 5; i++)
		events_record(f->events, f->pod, false, "R", "same"); /* while the first is under way */
	run(f, 60000);
	events_record(f->events, f->pod, false, "R", "same");
	run(f, 100);
	assert_int_equal(fake_api_len(f->api, &event_kind), 1);
	e = event(f, 0);
	assert_int_equal(json_i64(json_get(e, "count")), 6);
	assert_string_equal(json_at_str(e, "/firstTimestamp"), "2023-11-14T22:13:20Z");
	assert_string_equal(json_at_str(e, "/lastTimestamp"), "2023-11-14T22:14:20Z");
	events_record(f->events, f->pod, false, "R", "other");
	events_record(f->events, f->pod, true, "R", "same");
	run(f, 100);
	assert_int_equal(fake_api_len(f->api, &event_kind), 3);
}

/* rollout.md 5.2: kubectl describe tells the story in order */
static void names_grow_in_the_order_of_what_happened(void **state)
{
	static const char *const reasons[] = { "Zulu", "Mike", "Alpha", "Yankee", "Bravo" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		events_record(f->events, f->pod, false, reasons[i], "in one and the same millisecond");
		if (i == 2)
			run(f, 200);
	}
	run(f, 200);
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		assert_string_equal(json_at_str(event(f, i), "/reason"), reasons[i]);
}

static void long_ago_is_another_event(void **state)
{
	struct fixture *f = *state;

	events_record(f->events, f->pod, false, "R", "same");
	run(f, EVENTS_AGGREGATE_MS + 1000);
	events_record(f->events, f->pod, false, "R", "same");
	run(f, 100);
	assert_int_equal(fake_api_len(f->api, &event_kind), 2);
}

static void an_expired_event_is_made_anew(void **state)
{
	struct fixture *f = *state;
	CLEANUP(mem_freep) char *key = NULL;

	events_record(f->events, f->pod, false, "R", "same");
	run(f, 100);
	key = mem_strdup(obj_key(fake_api_at(f->api, &event_kind, 0)));
	fake_api_remove(f->api, &event_kind, key);
	events_record(f->events, f->pod, false, "R", "same");
	run(f, 100);
	assert_int_equal(fake_api_len(f->api, &event_kind), 1);
	assert_int_equal(json_i64(json_get(event(f, 0), "count")), 2);
}

static void events_of_cluster_scoped_objects_go_to_default(void **state)
{
	struct fixture *f = *state;

	events_record(f->events, f->node, false, "Up", "ready");
	run(f, 100);
	assert_string_equal(json_at_str(event(f, 0), "/metadata/namespace"), "default");
	assert_null(json_at_str(event(f, 0), "/involvedObject/namespace"));
}

static void a_short_failure_is_outlived_a_long_one_given_up(void **state)
{
	struct fixture *f = *state;

	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .fail_request = 1000 });
	events_record(f->events, f->pod, false, "R", "a");
	run(f, 500);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1 });
	run(f, 2000);
	assert_int_equal(fake_api_len(f->api, &event_kind), 1);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .fail_request = 1000 });
	events_record(f->events, f->pod, false, "R", "b");
	run(f, 60000);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1 });
	run(f, 60000);
	assert_int_equal(fake_api_len(f->api, &event_kind), 1);
}

static void memory_is_bounded(void **state)
{
	struct fixture *f = *state;
	char text[32];

	for (int i = 0; i < EVENTS_KNOWN_MAX + 100; i++) {
		snprintf(text, sizeof(text), "message %d", i);
		events_record(f->events, f->pod, false, "R", text);
		if (i % 100 == 0)
			run(f, 10);
	}
	run(f, 100);
	assert_true(fake_api_len(f->api, &event_kind) > EVENTS_KNOWN_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_event_says_about_what_by_whom_and_when, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_again_raises_the_count, setup, teardown),
		cmocka_unit_test_setup_teardown(names_grow_in_the_order_of_what_happened, setup, teardown),
		cmocka_unit_test_setup_teardown(long_ago_is_another_event, setup, teardown),
		cmocka_unit_test_setup_teardown(an_expired_event_is_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(
			events_of_cluster_scoped_objects_go_to_default, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_short_failure_is_outlived_a_long_one_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_bounded, setup, teardown),
	};

	log_set_level(LOG_ERROR); /* failures are made on purpose */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
