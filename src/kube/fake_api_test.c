/* SPDX-License-Identifier: Apache-2.0 */
/* What the fake does itself; the rules it shares with the server are tested in api/. */
#include "kube/fake_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"

static const struct kind widget = { .group = "demo.io",
	.version = "v1",
	.kind = "Widget",
	.plural = "widgets",
	.namespaced = true,
	.has_status = true };
static const struct kind pod = {
	.group = "", .version = "v1", .kind = "Pod", .plural = "pods", .namespaced = true, .has_status = true
};
static const struct kind namespace = {
	.group = "", .version = "v1", .kind = "Namespace", .plural = "namespaces", .has_status = true
};

struct fixture {
	struct loop *loop;
	struct fake_api *api;
	struct kube_client *client;
};

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct kube_transport t;

	f->loop = loop_new_sim(1700000000000);
	f->api = fake_api_new(f->loop);
	fake_api_add_kind(f->api, &widget);
	fake_api_add_kind(f->api, &pod);
	fake_api_add_kind(f->api, &namespace);
	t = fake_api_transport(f->api, "test");
	f->client = kube_client_new_transport(f->loop, &t);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kube_client_free(f->client);
	fake_api_free(f->api);
	loop_free(f->loop);
	free(f);
	return 0;
}

static struct obj *create(struct fixture *f, const struct kind *k, const char *ns, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	struct obj *o = NULL;
	struct err e = { 0 };

	if (kube_create_wait(f->client, k, ns, json_root(d), &o, &e) < 0)
		fail_msg("%s", e.msg);
	return o;
}

static struct obj *make(struct fixture *f, const char *text)
{
	return create(f, &widget, "n", text);
}

static int patch(struct fixture *f, const struct kind *k, const char *ns, const char *name, const char *sub,
	enum kube_patch type, const char *text, struct obj **ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);

	return kube_patch_wait(f->client, k, ns, name, sub, type, json_root(d), ret, e);
}

static void creating_gives_identity_and_a_second_one_exists(void **state)
{
	struct fixture *f = *state;
	CLEANUP(obj_unrefp)
	struct obj *o = make(f, "{'apiVersion':'demo.io/v1','kind':'Widget',"
				"'metadata':{'name':'w'},'spec':{'a':1},'status':{'x':1}}");
	CLEANUP(json_doc_freep) struct json_doc *again = obj_draft(o);
	struct err e = { 0 };

	assert_int_equal(strlen(obj_uid(o)), 36);
	assert_string_equal(obj_key(o), "n/w");
	assert_int_equal(obj_generation(o), 1);
	assert_null(json_get(obj_json(o), "status"));
	json_remove_at(json_root(again), "/metadata/resourceVersion");
	assert_int_equal(kube_create_wait(f->client, &widget, "n", json_root(again), NULL, &e), -1);
	assert_int_equal(e.code, ERR_EXISTS);
	assert_int_equal(fake_api_writes(f->api), 1);
}

static void names_can_be_made(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++)
		obj_unref(create(f, &widget, "n",
			"{'apiVersion':'demo.io/v1','kind':'Widget','metadata':"
			"{'generateName':'w-'}}"));
	assert_int_equal(fake_api_len(f->api, &widget), 20);
	assert_int_equal(strlen(obj_name(fake_api_at(f->api, &widget, 0))), 7);
}

static void each_door_writes_its_part_and_nothing_twice(void **state)
{
	struct fixture *f = *state;
	CLEANUP(obj_unrefp) struct obj *a = NULL;
	CLEANUP(obj_unrefp) struct obj *b = NULL;
	struct err e = { 0 };
	uint64_t rv;

	obj_unref(make(f, "{'apiVersion':'demo.io/v1','kind':'Widget',"
			  "'metadata':{'name':'w'},'spec':{'a':1}}"));
	assert_int_equal(patch(f, &widget, "n", "w", "status", KUBE_PATCH_MERGE,
				 "{'spec':{'a':2},'status':{'x':1}}", &a, &e),
		0);
	assert_int_equal(json_i64(json_at(obj_json(a), "/spec/a")), 1);
	assert_int_equal(json_i64(json_at(obj_json(a), "/status/x")), 1);
	assert_int_equal(obj_generation(a), 1);
	rv = obj_rv(a);
	assert_int_equal(patch(f, &widget, "n", "w", NULL, KUBE_PATCH_MERGE,
				 "{'spec':{'a':1},'status':{'x':2}}", &b, &e),
		0);
	assert_int_equal(obj_rv(b), rv);
	assert_int_equal(json_i64(json_at(obj_json(b), "/status/x")), 1);
	assert_int_equal(patch(f, &widget, "n", "w", "nothing", KUBE_PATCH_MERGE, "{}", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void a_stale_version_is_a_conflict(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	obj_unref(make(f, "{'apiVersion':'demo.io/v1','kind':'Widget',"
			  "'metadata':{'name':'w'},'spec':{'a':1}}"));
	assert_int_equal(patch(f, &widget, "n", "w", NULL, KUBE_PATCH_MERGE,
				 "{'metadata':{'resourceVersion':'1'},'spec':{'a':2}}", NULL, &e),
		-1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(patch(f, &widget, "n", "w", NULL, KUBE_PATCH_JSON,
				 "[{'op':'test','path':'/metadata/resourceVersion','value':'1'}]", NULL, &e),
		-1);
	assert_int_equal(e.code, ERR_INVALID);
}

static void finalizers_hold_a_deleted_object(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	obj_unref(make(f, "{'apiVersion':'demo.io/v1','kind':'Widget',"
			  "'metadata':{'name':'w','finalizers':['demo.io/x']}}"));
	assert_int_equal(kube_delete_wait(f->client, &widget, "n", "w", NULL, &e), 0);
	assert_true(obj_deleting(fake_api_get(f->api, &widget, "n/w")));
	assert_int_equal(patch(f, &widget, "n", "w", NULL, KUBE_PATCH_MERGE,
				 "{'metadata':{'finalizers':null}}", NULL, &e),
		0);
	assert_null(fake_api_get(f->api, &widget, "n/w"));
	assert_int_equal(kube_delete_wait(f->client, &widget, "n", "w", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void ignore(void *arg, const struct obj *o, const struct err *e)
{
	int *failures = arg;

	*failures += e != NULL;
}

static void pods_are_bound_resized_and_given_time(void **state)
{
	struct fixture *f = *state;
	CLEANUP(json_doc_freep)
	struct json_doc *binding = json_lit("{'target':{'kind':'Node','name':'host'}}");
	CLEANUP(json_doc_freep) struct json_doc *now = json_lit("{'gracePeriodSeconds':0}");
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	const struct json *stored;
	int failures = 0;
	struct err e = { 0 };

	obj_unref(create(f, &pod, "n",
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},"
		"'spec':{'containers':[{'name':'c','image':'i'}]}}"));
	kube_create_sub(f->client, &pod, "n", "p", "binding", json_root(binding), ignore, &failures);
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(failures, 0);
	assert_int_equal(patch(f, &pod, "n", "p", "resize", KUBE_PATCH_JSON,
				 "[{'op':'add','path':'/spec/containers/0/"
				 "resources','value':{'limits':{'memory':'1Gi'}}},"
				 "{'op':'replace','path':'/spec/containers/0/image','value':'other'}]",
				 &o, &e),
		0);
	stored = obj_json(fake_api_get(f->api, &pod, "n/p"));
	assert_string_equal(json_at_str(stored, "/spec/nodeName"), "host");
	assert_string_equal(json_at_str(stored, "/spec/containers/0/resources/limits/memory"), "1Gi");
	assert_string_equal(json_at_str(stored, "/spec/containers/0/image"), "i");
	assert_int_equal(kube_delete_wait(f->client, &pod, "n", "p", NULL, &e), 0);
	assert_true(obj_deleting(fake_api_get(f->api, &pod, "n/p")));
	assert_int_equal(kube_delete_wait(f->client, &pod, "n", "p", json_root(now), &e), 0);
	assert_null(fake_api_get(f->api, &pod, "n/p"));
}

static void namespaces_and_what_is_in_them_have_their_paths(void **state)
{
	struct fixture *f = *state;
	CLEANUP(obj_unrefp)
	struct obj *o =
		create(f, &namespace, NULL, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'n'}}");
	struct err e = { 0 };

	assert_string_equal(obj_key(o), "n");
	assert_int_equal(kube_get_wait(f->client, &namespace, NULL, "n", NULL, &e), 0);
	assert_int_equal(patch(f, &namespace, NULL, "n", "status", KUBE_PATCH_MERGE,
				 "{'status':{'phase':'Active'}}", NULL, &e),
		0);
	assert_string_equal(
		json_at_str(obj_json(fake_api_get(f->api, &namespace, "n")), "/status/phase"), "Active");
	assert_int_equal(kube_get_wait(f->client, &pod, "n", "p", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "pods \"p\" not found");
}

static int stamp(void *arg, const struct kind *k, const char *sub, struct json_doc *d, struct json *o,
	const struct json *old, struct causes *c, struct err *e)
{
	if (o && !old)
		meta_set_label(d, o, "stamped", "yes");
	if (o && json_at(o, "/spec/bad"))
		cause_forbidden(c, "spec.bad", "no");
	return 0;
}

static void admission_changes_and_refuses(void **state)
{
	struct fixture *f = *state;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	struct err e = { 0 };

	fake_api_admit(f->api, stamp, f);
	o = create(f, &widget, "n", "{'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'w'}}");
	assert_string_equal(meta_label(obj_json(o), "stamped"), "yes");
	assert_int_equal(
		patch(f, &widget, "n", "w", NULL, KUBE_PATCH_MERGE, "{'spec':{'bad':1}}", NULL, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_non_null(strstr(e.msg, "spec.bad"));
}

static void orphans_are_collected_when_asked(void **state)
{
	struct fixture *f = *state;
	CLEANUP(obj_unrefp)
	struct obj *owner = create(
		f, &widget, "n", "{'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'w'}}");
	struct json_doc *d = json_lit("{'metadata':{'name':'child','namespace':'n'}}");
	struct err e = { 0 };

	meta_add_owner(d, json_root(d), "demo.io/v1", "Widget", "w", obj_uid(owner), true);
	fake_api_put(f->api, &widget, d);
	fake_api_collect_orphans(f->api, true);
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(fake_api_len(f->api, &widget), 2);
	assert_int_equal(kube_delete_wait(f->client, &widget, "n", "w", NULL, &e), 0);
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(fake_api_len(f->api, &widget), 0);
}

static void a_lost_answer_leaves_the_write(void **state)
{
	struct fixture *f = *state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'w'}}");
	struct err e = { 0 };

	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .lose_answer = 1000 });
	assert_int_equal(kube_create_wait(f->client, &widget, "n", json_root(d), NULL, &e), -1);
	assert_int_equal(e.code, ERR_UNREACHABLE);
	assert_int_equal(fake_api_len(f->api, &widget), 1);
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .fail_request = 1000 });
	assert_int_equal(kube_delete_wait(f->client, &widget, "n", "w", NULL, &e), -1);
	assert_int_equal(e.code, ERR_INTERNAL);
	assert_int_equal(fake_api_len(f->api, &widget), 1);
}

static void the_dead_hear_nothing(void **state)
{
	struct fixture *f = *state;
	int failures = 0;
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'w'}}");

	kube_create(f->client, &widget, "n", json_root(d), ignore, &failures);
	fake_api_disconnect(f->api, "test");
	while (loop_step(f->loop, -1))
		;
	assert_int_equal(failures, 0);
	assert_int_equal(fake_api_len(f->api, &widget), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			creating_gives_identity_and_a_second_one_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(names_can_be_made, setup, teardown),
		cmocka_unit_test_setup_teardown(each_door_writes_its_part_and_nothing_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stale_version_is_a_conflict, setup, teardown),
		cmocka_unit_test_setup_teardown(finalizers_hold_a_deleted_object, setup, teardown),
		cmocka_unit_test_setup_teardown(pods_are_bound_resized_and_given_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			namespaces_and_what_is_in_them_have_their_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(admission_changes_and_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(orphans_are_collected_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_answer_leaves_the_write, setup, teardown),
		cmocka_unit_test_setup_teardown(the_dead_hear_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
