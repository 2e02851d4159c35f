/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"

static const struct kind widget = { .group = "demo.io",
	.version = "v1",
	.kind = "Widget",
	.plural = "widgets",
	.namespaced = true,
	.has_status = true };
static const struct kind other = {
	.group = "demo.io", .version = "v1", .kind = "Other", .plural = "others", .namespaced = true
};

struct fixture {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
	struct cache *cache;
	struct str log; /* "+key -key ~key@rv " */
	int synced;
};

static void on_change(void *arg, const struct obj *old, const struct obj *new)
{
	struct fixture *f = arg;

	if (!old)
		str_addf(&f->log, "+%s ", obj_key(new));
	else if (!new)
		str_addf(&f->log, "-%s ", obj_key(old));
	else
		str_addf(&f->log, "~%s ", obj_key(new));
	/* Handlers see the new state. */
	assert_ptr_equal(cache_get(f->cache, obj_key(new ? new : old)), new);
}

static void on_synced(void *arg)
{
	struct fixture *f = arg;

	f->synced++;
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct kube_transport t;

	f->loop = loop_new_sim(1700000000000);
	f->api = fake_api_new(f->loop);
	fake_api_add_kind(f->api, &widget);
	fake_api_add_kind(f->api, &other);
	t = fake_api_transport(f->api, "test");
	f->client = kube_client_new_transport(f->loop, &t);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	cache_free(f->cache);
	kube_client_free(f->client);
	fake_api_free(f->api);
	loop_free(f->loop);
	str_done(&f->log);
	free(f);
	return 0;
}

static void make(struct fixture *f, const struct cache_opts *o)
{
	f->cache = cache_new(f->client, &widget, o);
	cache_on_change(f->cache, on_change, f);
	cache_on_synced(f->cache, on_synced, f);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run(struct fixture *f, int64_t ms)
{
	int64_t end = loop_mono_ms(f->loop) + ms;
	/* Something to do at the end, so that time gets there and no further. */
	struct loop_timer *t = loop_timer_new(f->loop, stop, f->loop);

	loop_timer_set(t, ms);
	loop_run(f->loop);
	loop_timer_free(t);
	assert_int_equal(loop_mono_ms(f->loop), end);
}

static void put(struct fixture *f, const char *name, const char *label)
{
	struct json_doc *d = json_lit("{'metadata':{'namespace':'n','labels':{}}}");

	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put_str(d, json_root(d), "/metadata/labels/l", label);
	fake_api_put(f->api, &widget, d);
}

static void assert_log(struct fixture *f, const char *want)
{
	assert_string_equal(str_cstr(&f->log), want);
	str_clear(&f->log);
}

static void lists_then_watches(void **state)
{
	struct fixture *f = *state;

	put(f, "b", "x");
	put(f, "a", "x");
	make(f, NULL);
	assert_false(cache_synced(f->cache));
	cache_start(f->cache);
	assert_log(f, ""); /* nothing calls back at once */
	run(f, 100);
	assert_int_equal(f->synced, 1);
	assert_true(cache_synced(f->cache));
	assert_log(f, "+n/a +n/b ");
	put(f, "c", "x");
	put(f, "b", "y");
	fake_api_remove(f->api, &widget, "n/a");
	run(f, 100);
	assert_log(f, "+n/c ~n/b -n/a ");
	assert_int_equal(cache_len(f->cache), 2);
	assert_string_equal(obj_key(cache_at(f->cache, 0)), "n/b");
	assert_string_equal(obj_key(cache_at(f->cache, 1)), "n/c");
	assert_null(cache_at(f->cache, 2));
	assert_int_equal(cache_rv(f->cache), fake_api_rv(f->api));
}

static void a_long_list_comes_in_pages(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1203; i++) {
		CLEANUP(mem_freep) char *name = str_printf("w%d", i);

		put(f, name, "x");
	}
	make(f, NULL);
	cache_start(f->cache);
	run(f, 1000);
	cache_relist(f->cache); /* the first list may have been answered from memory, in one piece */
	run(f, 1000);
	assert_int_equal(cache_len(f->cache), 1203);
	for (size_t i = 1; i < cache_len(f->cache); i++)
		assert_true(strcmp(obj_key(cache_at(f->cache, i - 1)), obj_key(cache_at(f->cache, i))) < 0);
}

static void bookmarks_move_the_version_and_tell_nobody(void **state)
{
	struct fixture *f = *state;

	make(f, NULL);
	cache_start(f->cache);
	run(f, 100);
	for (int i = 0; i < 5; i++)
		fake_api_put(f->api, &other, json_lit("{'metadata':{'name':'o','namespace':'n'}}"));
	run(f, 5000);
	assert_log(f, "");
	assert_int_equal(cache_rv(f->cache), fake_api_rv(f->api));
}

static void a_selector_turns_leaving_into_deletion(void **state)
{
	struct fixture *f = *state;
	struct json_doc *elsewhere = json_lit("{'metadata':{'name':'z','namespace':'m','labels':{'l':'x'}}}");

	put(f, "a", "x");
	put(f, "b", "y");
	make(f, &(struct cache_opts){ .ns = "n", .label_selector = "l=x" });
	cache_start(f->cache);
	run(f, 100);
	assert_log(f, "+n/a ");
	put(f, "a", "y");
	put(f, "b", "x");
	fake_api_put(f->api, &widget, elsewhere);
	run(f, 100);
	assert_log(f, "-n/a +n/b ");
	assert_true(cache_covers(f->cache, fake_api_get(f->api, &widget, "n/b")));
	assert_false(cache_covers(f->cache, fake_api_get(f->api, &widget, "n/a")));
	assert_false(cache_covers(f->cache, fake_api_get(f->api, &widget, "m/z")));
}

/* While the watch is away, changes pile up: 410 makes a new list, and what went is told. */
static void expiry_lists_again_and_tells_what_went(void **state)
{
	struct fixture *f = *state;
	struct fake_faults expire = { .seed = 3, .expire_watch = 1000 };

	put(f, "a", "x");
	put(f, "b", "x");
	make(f, NULL);
	cache_start(f->cache);
	run(f, 100);
	str_clear(&f->log);
	fake_api_faults(f->api, &expire);
	fake_api_remove(f->api, &widget, "n/a");
	put(f, "c", "x");
	run(f, 20000);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 3 });
	run(f, 20000);
	assert_log(f, "-n/a +n/c ");
	put(f, "d", "x");
	run(f, 1000);
	assert_log(f, "+n/d ");
}

static void another_object_of_the_same_name_is_deleted_and_added(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "x");
	make(f, NULL);
	cache_start(f->cache);
	run(f, 100);
	str_clear(&f->log);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 3, .fail_request = 1000, .drop_watch = 1000 });
	put(f, "b", "x"); /* ends the watch */
	run(f, 100);
	fake_api_remove(f->api, &widget, "n/a");
	put(f, "a", "x");
	cache_relist(f->cache);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 3 });
	run(f, 20000);
	assert_log(f, "-n/a +n/a +n/b ");
}

/* Whatever the watch suffers, the cache ends up like the server, and each change is told once, in a sequence that makes sense. */
static void is_true_in_the_end_whatever_happens(void **state)
{
	struct fixture *f = *state;
	struct fake_faults faults = { .seed = 11,
		.drop_watch = 100,
		.expire_watch = 50,
		.repeat_event = 300,
		.fail_request = 200,
		.latency_max_ms = 40 };

	fake_api_faults(f->api, &faults);
	make(f, NULL);
	cache_start(f->cache);
	for (int i = 0; i < 2000; i++) {
		CLEANUP(mem_freep) char *name = str_printf("w%d", (i * 7) % 23);
		CLEANUP(mem_freep) char *key = str_printf("n/%s", name);

		if (i % 3 == 2 && fake_api_get(f->api, &widget, key))
			fake_api_remove(f->api, &widget, key);
		else
			put(f, name, "x");
		run(f, i % 50);
	}
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1 });
	run(f, 60000);
	assert_int_equal(cache_len(f->cache), fake_api_len(f->api, &widget));
	for (size_t i = 0; i < cache_len(f->cache); i++) {
		assert_string_equal(obj_key(cache_at(f->cache, i)), obj_key(fake_api_at(f->api, &widget, i)));
		assert_int_equal(obj_rv(cache_at(f->cache, i)), obj_rv(fake_api_at(f->api, &widget, i)));
	}
}

static void by_label(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	emit(emit_arg, json_at_str(obj_json(o), "/metadata/labels/l"));
	emit(emit_arg, "all");
	emit(emit_arg, "all");
}

static void indexes_follow_changes(void **state)
{
	struct fixture *f = *state;

	put(f, "b", "x");
	put(f, "a", "x");
	make(f, NULL);
	assert_int_equal(cache_add_index(f->cache, by_label), 0);
	assert_int_equal(cache_add_index(f->cache, index_by_namespace), 1);
	cache_start(f->cache);
	run(f, 100);
	assert_int_equal(cache_index_len(f->cache, 0, "x"), 2);
	assert_string_equal(obj_name(cache_index_at(f->cache, 0, "x", 0)), "a");
	put(f, "a", "y");
	fake_api_remove(f->api, &widget, "n/b");
	run(f, 100);
	assert_int_equal(cache_index_len(f->cache, 0, "x"), 0);
	assert_null(cache_index_at(f->cache, 0, "x", 0));
	assert_int_equal(cache_index_len(f->cache, 0, "y"), 1);
	assert_int_equal(cache_index_len(f->cache, 0, "all"), 1);
	assert_int_equal(cache_index_len(f->cache, 1, "n"), 1);
	assert_ptr_equal(cache_index_at(f->cache, 1, "n", 0), cache_get(f->cache, "n/a"));
}

static void serves_on_while_the_server_is_away_and_is_back_at_once(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "x");
	make(f, NULL);
	cache_start(f->cache);
	run(f, 5000);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 5, .drop_watch = 1000, .fail_request = 1000 });
	put(f, "b", "x");
	run(f, 20);
	assert_int_equal(cache_len(f->cache), 1);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 5 });
	run(f, 60); /* the first retry comes after 50 ms */
	assert_int_equal(cache_len(f->cache), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lists_then_watches, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_list_comes_in_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(bookmarks_move_the_version_and_tell_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_selector_turns_leaving_into_deletion, setup, teardown),
		cmocka_unit_test_setup_teardown(expiry_lists_again_and_tells_what_went, setup, teardown),
		cmocka_unit_test_setup_teardown(
			another_object_of_the_same_name_is_deleted_and_added, setup, teardown),
		cmocka_unit_test_setup_teardown(is_true_in_the_end_whatever_happens, setup, teardown),
		cmocka_unit_test_setup_teardown(indexes_follow_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			serves_on_while_the_server_is_away_and_is_back_at_once, setup, teardown),
	};

	log_set_level(LOG_ERROR); /* failures are made on purpose */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
