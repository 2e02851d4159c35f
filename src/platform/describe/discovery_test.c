/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/describe/serve_test.h"

#include <stdio.h>

#define AS(version) "application/json;g=apidiscovery.k8s.io;v=" version ";as=APIGroupDiscoveryList"
#define ACCEPT_CURRENT AS("v2") "," AS("v2beta1") ",application/json"

/* The item of a list whose member `key` is `value`. */
static const struct json *named(const struct json *list, const char *key, const char *value)
{
	JSON_EACH (it, list)
		if (str_eq(json_at_str(it.val, key), value))
			return it.val;
	return NULL;
}

static bool has_text(const struct json *list, const char *text)
{
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), text))
			return true;
	return false;
}

/* kubernetes-api.md 8.1 */
static void api_answers_v1_without_any_resource(void **state)
{
	struct bed *b = bed_new(false);
	CLEANUP(json_doc_freep) struct json_doc *d = bed_json(b, "/api", NULL);
	CLEANUP(json_doc_freep) struct json_doc *groups = bed_json(b, "/apis", NULL);

	assert_string_equal(json_at_str(json_root(d), "/kind"), "APIVersions");
	assert_string_equal(json_at_str(json_root(d), "/versions/0"), "v1");
	assert_true(str_starts(
		json_at_str(json_root(d), "/serverAddressByClientCIDRs/0/serverAddress"), "127.0.0.1:"));
	assert_true(json_is_arr(json_at(json_root(groups), "/groups")));
	bed_free(b);
}

/* kubernetes-api.md 8.2 */
static void aggregated_discovery_has_its_type_and_tag(void **state)
{
	struct bed *b = bed_new(true);
	const struct served *s = bed_ask(b, "GET", "/apis", ACCEPT_CURRENT, NULL);
	CLEANUP(mem_freep) char *tag = mem_strdup(s->tag);

	assert_int_equal(s->status, 200);
	assert_string_equal(s->type, AS("v2"));
	assert_string_equal(s->cache, "public");
	s = bed_ask(b, "GET", "/apis", ACCEPT_CURRENT, tag);
	assert_int_equal(s->status, 304);
	assert_int_equal(s->body.len, 0);
	assert_string_equal(s->tag, tag);
	widgets_add(b->registry, "Paint.");
	s = bed_ask(b, "GET", "/apis", ACCEPT_CURRENT, tag);
	assert_int_equal(s->status, 200);
	assert_string_not_equal(s->tag, tag);
	bed_free(b);
}

/* kubernetes-api.md 8.3 */
static void older_clients_get_what_they_ask_for(void **state)
{
	struct bed *b = bed_new(true);
	const struct served *s = bed_ask(b, "GET", "/apis", "application/json", NULL);

	assert_string_equal(s->type, "application/json");
	assert_non_null(strstr(s->body.data, "\"APIGroupList\""));
	s = bed_ask(b, "GET", "/apis", AS("v2beta1") ",application/json", NULL);
	assert_string_equal(s->type, AS("v2beta1"));
	assert_non_null(strstr(s->body.data, "\"apidiscovery.k8s.io/v2beta1\""));
	s = bed_ask(b, "GET", "/apis", "application/vnd.kubernetes.protobuf", NULL);
	assert_int_equal(s->status, 406);
	bed_free(b);
}

/* kubernetes-api.md 1.2: everything is in both forms, or in the right one of core and groups. */
static void both_forms_agree(void **state)
{
	struct bed *b = bed_new(true);
	CLEANUP(json_doc_freep) struct json_doc *all = bed_json(b, "/apis", AS("v2"));
	CLEANUP(json_doc_freep) struct json_doc *legacy = bed_json(b, "/apis/apps/v1", NULL);
	CLEANUP(json_doc_freep) struct json_doc *core = bed_json(b, "/api", AS("v2"));
	CLEANUP(json_doc_freep) struct json_doc *v1 = bed_json(b, "/api/v1", NULL);
	const struct json *apps = named(json_at(json_root(all), "/items"), "/metadata/name", "apps");
	const struct json *deploy = named(json_at(apps, "/versions/0/resources"), "/resource", "deployments");
	const struct json *entry = named(json_at(json_root(legacy), "/resources"), "/name", "deployments");
	const struct json *scale =
		named(json_at(json_root(legacy), "/resources"), "/name", "deployments/scale");

	assert_string_equal(json_at_str(deploy, "/responseKind/kind"), "Deployment");
	assert_string_equal(json_at_str(deploy, "/responseKind/group"), "apps");
	assert_string_equal(json_at_str(deploy, "/scope"), "Namespaced");
	assert_true(has_text(json_get(deploy, "shortNames"), "deploy"));
	assert_true(json_eq(json_get(deploy, "verbs"), json_get(entry, "verbs")));
	assert_string_equal(json_at_str(named(json_get(deploy, "subresources"), "/subresource", "scale"),
				    "/responseKind/group"),
		"autoscaling");
	assert_string_equal(json_at_str(entry, "/singularName"), "deployment");
	assert_non_null(json_get(entry, "storageVersionHash"));
	assert_string_equal(json_at_str(scale, "/group"), "autoscaling");
	assert_string_equal(json_at_str(scale, "/kind"), "Scale");
	assert_int_equal(json_len(json_at(json_root(core), "/items")), 1);
	assert_non_null(
		named(json_at(json_root(core), "/items/0/versions/0/resources"), "/resource", "pods"));
	assert_null(named(json_at(json_root(all), "/items"), "/metadata/name", ""));
	assert_string_equal(json_at_str(json_root(v1), "/groupVersion"), "v1");
	assert_string_equal(
		json_at_str(named(json_at(json_root(v1), "/resources"), "/name", "pods/eviction"), "/group"),
		"policy");
	bed_free(b);
}

/* kubernetes-api.md 8.4 */
static void a_custom_resource_is_there_at_once(void **state)
{
	struct bed *b = bed_new(true);
	const struct json *entry;

	assert_int_equal(bed_ask(b, "GET", "/apis/demo.io/v1", NULL, NULL)->status, 404);
	widgets_add(b->registry, "Paint.");
	CLEANUP(json_doc_freep) struct json_doc *list = bed_json(b, "/apis/demo.io/v1", NULL);
	CLEANUP(json_doc_freep) struct json_doc *group = bed_json(b, "/apis/demo.io", NULL);
	CLEANUP(json_doc_freep) struct json_doc *all = bed_json(b, "/apis/", AS("v2"));
	entry = named(json_at(json_root(list), "/resources"), "/name", "widgets");
	assert_true(has_text(json_get(entry, "shortNames"), "wd"));
	assert_true(has_text(json_get(entry, "categories"), "all"));
	assert_string_equal(json_at_str(json_root(group), "/preferredVersion/groupVersion"), "demo.io/v1");
	assert_non_null(named(json_at(json_root(all), "/items"), "/metadata/name", "demo.io"));
	registry_remove(b->registry, "demo.io", "v1", "widgets");
	assert_int_equal(bed_ask(b, "GET", "/apis/demo.io/v1", NULL, NULL)->status, 404);
	assert_int_equal(bed_ask(b, "GET", "/apis/demo.io", NULL, NULL)->status, 404);
	bed_free(b);
}

/* kubernetes-api.md 1.2, 5.4 */
static void remote_groups_are_merged_or_stale(void **state)
{
	struct bed *b = bed_new(true);
	CLEANUP(json_doc_freep)
	struct json_doc *doc = json_lit(
		"{'kind':'APIResourceList','groupVersion':'sub.demo.io/v1','resources':["
		"{'name':'widgets/start','singularName':'','namespaced':true,'kind':'','verbs':['update']},"
		"{'name':'version','singularName':'version','namespaced':false,'kind':'Version','verbs':['"
		"get']}]}");
	struct obj *o = obj_from_doc(TAKE(doc));
	const struct json *gv;

	registry_set_remote(b->registry, "sub.demo.io", "v1", true, o);
	CLEANUP(json_doc_freep) struct json_doc *fresh = bed_json(b, "/apis", AS("v2"));
	gv = json_at(
		named(json_at(json_root(fresh), "/items"), "/metadata/name", "sub.demo.io"), "/versions/0");
	assert_string_equal(json_at_str(gv, "/freshness"), "Current");
	assert_string_equal(json_at_str(named(json_get(gv, "resources"), "/resource", "widgets"),
				    "/subresources/0/subresource"),
		"start");
	assert_string_equal(
		json_at_str(named(json_get(gv, "resources"), "/resource", "version"), "/responseKind/group"),
		"sub.demo.io");
	assert_int_equal(bed_ask(b, "GET", "/apis/sub.demo.io/v1", NULL, NULL)->status,
		404); /* the proxy's business */
	registry_set_remote(b->registry, "sub.demo.io", "v1", false, o);
	CLEANUP(json_doc_freep) struct json_doc *stale = bed_json(b, "/apis", AS("v2"));
	gv = json_at(
		named(json_at(json_root(stale), "/items"), "/metadata/name", "sub.demo.io"), "/versions/0");
	assert_string_equal(json_at_str(gv, "/freshness"), "Stale");
	assert_int_equal(json_len(json_get(gv, "resources")), 0);
	assert_int_equal(bed_ask(b, "GET", "/apis/sub.demo.io", NULL, NULL)->status, 200);
	obj_unref(o);
	bed_free(b);
}

/* kubernetes-api.md 8.10 */
static void unknown_paths_are_not_answered_and_writes_refused(void **state)
{
	struct bed *b = bed_new(true);
	static const char *const foreign[] = { "/apis/nope", "/apis/nope/v1", "/apis/apps/v9",
		"/apis/apps/v1/deployments", "/apix", "/apis//", "/api/v2",
		"/apis/apps/v1/namespaces/x/deployments" };

	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		assert_int_equal(bed_ask(b, "GET", foreign[i], NULL, NULL)->status, 404);
	assert_int_equal(bed_ask(b, "POST", "/apis", NULL, NULL)->status, 405);
	assert_int_equal(bed_ask(b, "DELETE", "/api/v1", NULL, NULL)->status, 405);
	assert_int_equal(bed_ask(b, "GET", "/apis/apps/v1/", NULL, NULL)->status, 200);
	bed_free(b);
}

/* kubernetes-api.md 8.5: vMAJOR.MINOR.PATCH+letters, digits, dots, hyphens */
static void the_version_is_semver(void **state)
{
	struct bed *b = bed_new(false);
	CLEANUP(json_doc_freep) struct json_doc *d = bed_json(b, "/version", NULL);
	const char *v = json_at_str(json_root(d), "/gitVersion");
	unsigned major, minor, patch;
	int n = 0;

	assert_int_equal(sscanf(v, "v%u.%u.%u+%n", &major, &minor, &patch, &n), 3);
	assert_true(n > 0 && v[n]);
	assert_int_equal(strspn(v + n, "abcdefghijklmnopqrstuvwxyz0123456789.-"), strlen(v + n));
	assert_int_equal(strtol(json_at_str(json_root(d), "/minor"), NULL, 10), minor);
	bed_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(api_answers_v1_without_any_resource),
		cmocka_unit_test(aggregated_discovery_has_its_type_and_tag),
		cmocka_unit_test(older_clients_get_what_they_ask_for),
		cmocka_unit_test(both_forms_agree),
		cmocka_unit_test(a_custom_resource_is_there_at_once),
		cmocka_unit_test(remote_groups_are_merged_or_stale),
		cmocka_unit_test(unknown_paths_are_not_answered_and_writes_refused),
		cmocka_unit_test(the_version_is_semver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
