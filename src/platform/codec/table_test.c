/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/codec/codec.h"

#include "base/test_util.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/widget_test.h"

#include <string.h>

#define NOW INT64_C(1767323100000) /* 2026-01-02T03:05:00Z */
#define MINUTE_AGO "2026-01-02T03:04:00Z"

static void table_list(struct resource *r, const struct obj *const *items, size_t n,
	const struct list_meta *m, enum table_include include, int64_t now_ms, struct str *out)
{
	table_begin(r, m, out);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			str_addc(out, ',');
		table_item(r, items[i], include, now_ms, out);
	}
	str_add(out, "]}\n");
}

static struct registry *registry_of_builtins(void)
{
	struct registry *g = registry_new();

	builtin_register(g);
	return g;
}

static struct obj *obj_lit(const char *text)
{
	return obj_from_doc(json_lit(text));
}

static struct json_doc *row_of(
	struct resource *r, const struct obj *o, bool definitions, bool bookmark, enum table_include include)
{
	CLEANUP(str_done) struct str out = { 0 };
	struct json_doc *d;
	struct err e = { 0 };

	table_row(r, o, definitions, bookmark, include, NOW, &out);
	d = json_parse(out.data, out.len, &e);
	if (!d)
		fail_msg("%s: %s", e.msg, out.data);
	return d;
}

/* The cell below a column. */
static const struct json *cell(const struct json *table, const char *column)
{
	size_t i = 0;

	JSON_EACH (it, json_get(table, "columnDefinitions")) {
		if (str_eq(json_get_str(it.val, "name"), column))
			return json_item(json_at(table, "/rows/0/cells"), i);
		i++;
	}
	fail_msg("there is no column %s", column);
	return NULL;
}

/* kubernetes-api.md 2.8 */
static void a_list_is_one_table(void **state)
{
	struct registry *g = registry_of_builtins();
	struct resource *r = registry_find(g, "", "v1", "namespaces");
	CLEANUP(obj_unrefp)
	struct obj *a = obj_lit("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'a','"
				"creationTimestamp':'" MINUTE_AGO "'},'status':{'phase':'Active'}}");
	CLEANUP(obj_unrefp)
	struct obj *b = obj_lit("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'b'}}");
	const struct obj *items[] = { a, b };
	struct list_meta m = { .rv = 42, .next = "to\"ken", .remaining = 3 };
	CLEANUP(str_done) struct str out = { 0 };

	table_list(r, items, 2, &m, TABLE_METADATA, NOW, &out);
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(out.data, out.len, NULL);
	const struct json *t = json_root(d);
	assert_string_equal(json_get_str(t, "kind"), "Table");
	assert_string_equal(json_get_str(t, "apiVersion"), "meta.k8s.io/v1");
	assert_string_equal(json_at_str(t, "/metadata/resourceVersion"), "42");
	assert_string_equal(json_at_str(t, "/metadata/continue"), "to\"ken");
	assert_int_equal(json_i64(json_at(t, "/metadata/remainingItemCount")), 3);
	assert_string_equal(json_at_str(t, "/columnDefinitions/0/name"), "Name");
	assert_string_equal(json_at_str(t, "/columnDefinitions/0/format"), "name");
	assert_int_equal(json_len(json_get(t, "rows")), 2);
	assert_string_equal(json_at_str(t, "/rows/0/cells/0"), "a");
	assert_string_equal(json_str(cell(t, "Status")), "Active");
	assert_string_equal(json_str(cell(t, "Age")), "60s");
	assert_string_equal(json_at_str(t, "/rows/1/cells/2"), "<unknown>");
	assert_string_equal(json_at_str(t, "/rows/1/object/kind"), "PartialObjectMetadata");
	assert_string_equal(json_at_str(t, "/rows/1/object/metadata/name"), "b");
	assert_null(json_at(t, "/rows/0/object/status"));
	registry_free(g);
}

static void an_empty_list_has_rows_all_the_same(void **state)
{
	struct registry *g = registry_of_builtins();
	struct list_meta m = { .rv = 7, .remaining = -1 };
	CLEANUP(str_done) struct str out = { 0 };

	table_list(registry_find(g, "", "v1", "pods"), NULL, 0, &m, TABLE_METADATA, NOW, &out);
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(out.data, out.len, NULL);
	assert_true(json_is_arr(json_get(json_root(d), "rows")));
	assert_null(json_at(json_root(d), "/metadata/continue"));
	assert_null(json_at(json_root(d), "/metadata/remainingItemCount"));
	registry_free(g);
}

/* kubernetes-api.md 8.72 */
static void watch_events_have_definitions_once(void **state)
{
	struct registry *g = registry_of_builtins();
	struct resource *r = registry_find(g, "", "v1", "configmaps");
	CLEANUP(obj_unrefp)
	struct obj *o =
		obj_lit("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','namespace':'n',"
			"'resourceVersion':'9'},'data':{'a':'1','b':'2'}}");
	CLEANUP(json_doc_freep) struct json_doc *first = row_of(r, o, true, false, TABLE_NONE);
	CLEANUP(json_doc_freep) struct json_doc *next = row_of(r, o, false, false, TABLE_OBJECT);
	CLEANUP(obj_unrefp)
	struct obj *mark = obj_lit("{'kind':'ConfigMap','apiVersion':'v1','metadata':{'resourceVersion':'11',"
				   "'annotations':{'k8s.io/initial-events-end':'true'}}}");
	CLEANUP(json_doc_freep) struct json_doc *bookmark = row_of(r, mark, false, true, TABLE_METADATA);

	assert_int_equal(json_i64(cell(json_root(first), "Data")), 2);
	assert_true(json_is_null(json_at(json_root(first), "/rows/0/object")));
	assert_true(json_is_null(json_get(json_root(next), "columnDefinitions")));
	assert_string_equal(json_at_str(json_root(next), "/metadata/resourceVersion"), "9");
	assert_string_equal(json_at_str(json_root(next), "/rows/0/object/data/a"), "1");
	assert_string_equal(json_at_str(json_root(bookmark), "/metadata/resourceVersion"), "11");
	assert_string_equal(json_at_str(json_root(bookmark),
				    "/rows/0/object/metadata/annotations/k8s.io~1initial-events-end"),
		"true");
	assert_int_equal(json_len(json_at(json_root(bookmark), "/rows/0/cells")),
		json_len(json_at(json_root(first), "/columnDefinitions")));
	registry_free(g);
}

/* kubernetes-api.md 2.8: "all start with Name but events" */
static void events_place_their_name_last(void **state)
{
	struct registry *g = registry_of_builtins();
	CLEANUP(obj_unrefp)
	struct obj *o = obj_lit(
		"{'apiVersion':'v1','kind':'Event','metadata':{'name':'e1','namespace':'n'},"
		"'reason':'Started','type':'Normal','message':'say \\'hi\\'','lastTimestamp':'" MINUTE_AGO
		"','involvedObject':{'kind':'Pod','name':'p'}}");
	CLEANUP(json_doc_freep)
	struct json_doc *d = row_of(registry_find(g, "", "v1", "events"), o, true, false, TABLE_METADATA);
	const struct json *t = json_root(d);

	assert_string_equal(json_at_str(t, "/columnDefinitions/0/name"), "Last Seen");
	assert_string_equal(json_at_str(t, "/rows/0/cells/0"), "60s");
	assert_string_equal(json_str(cell(t, "Object")), "pod/p");
	assert_string_equal(json_str(cell(t, "Name")), "e1");
	assert_int_equal(json_len(json_get(t, "columnDefinitions")), 10);
	assert_int_equal(json_i64(json_at(t, "/columnDefinitions/9/priority")), 1);
	registry_free(g);
}

/* kubernetes-api.md 8.84 */
static void custom_columns_print_by_their_type(void **state)
{
	static const struct column columns[] = {
		{ .name = "Ready",
			.type = "string",
			.path = ".status.conditions[?(@.type=='Ready')].status" },
		{ .name = "Port", .type = "integer", .path = ".spec.ports[0]" },
		{ .name = "Many", .type = "string", .path = ".spec.ports" },
		{ .name = "On", .type = "boolean", .path = ".spec.on" },
		{ .name = "Bad", .type = "integer", .path = ".spec.name" },
		{ .name = "None", .type = "string", .path = ".spec.nothing" },
		{ .name = "Ratio", .type = "number", .path = ".spec.ratio", .priority = 1 },
		{ .name = "Since", .type = "date", .path = ".spec.since" },
		{ .name = "When", .type = "date", .path = ".spec.when" },
		{ .name = "Never", .type = "date", .path = ".spec.never" },
		{ .name = "Name", .type = "string", .path = ".spec.name" },
		{ .name = NULL },
	};
	struct registry *g = registry_new();
	CLEANUP(obj_unrefp)
	struct obj *o = obj_lit(
		"{'apiVersion':'demo.io/v1','kind':'Widget','metadata':{'name':'w'},'spec':{"
		"'ports':[80,81],'on':false,'name':'tab\\there','ratio':1.5,'since':'" MINUTE_AGO
		"','when':'soon'},"
		"'status':{'conditions':[{'type':'A','status':'x'},{'type':'Ready','status':'True'}]}}");

	widgets_add_with(g, "Paint.", columns);
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		row_of(registry_find(g, "demo.io", "v1", "widgets"), o, true, false, TABLE_METADATA);
	const struct json *t = json_root(d);
	assert_string_equal(json_str(cell(t, "Ready")), "True");
	assert_int_equal(json_i64(cell(t, "Port")), 80);
	assert_string_equal(json_str(cell(t, "Many")), "[80,81]");
	assert_true(json_is_bool(cell(t, "On")));
	assert_true(json_is_null(cell(t, "Bad")));
	assert_true(json_is_null(cell(t, "None")));
	assert_true(json_num(cell(t, "Ratio")) > 1.4 && json_num(cell(t, "Ratio")) < 1.6);
	assert_string_equal(json_str(cell(t, "Since")), "60s");
	assert_string_equal(json_str(cell(t, "When")), "<invalid>");
	assert_true(json_is_null(cell(t, "Never")));
	/* its own column of that name stands beside the one that is always there */
	assert_string_equal(json_at_str(t, "/rows/0/cells/0"), "w");
	assert_string_equal(json_at_str(t, "/rows/0/cells/11"), "tab\there");
	registry_free(g);
}

static void a_custom_resource_without_columns_has_name_and_age(void **state)
{
	struct registry *g = registry_new();
	CLEANUP(obj_unrefp)
	struct obj *o =
		obj_lit("{'apiVersion':'demo.io/"
			"v1','kind':'Widget','metadata':{'name':'w','creationTimestamp':'" MINUTE_AGO "'}}");

	widgets_add(g, "Paint.");
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		row_of(registry_find(g, "demo.io", "v1", "widgets"), o, true, false, TABLE_METADATA);
	assert_int_equal(json_len(json_get(json_root(d), "columnDefinitions")), 2);
	assert_string_equal(json_at_str(json_root(d), "/rows/0/cells/1"), "60s");
	registry_free(g);
}

/* kubernetes-api.md 2.8: the columns of every kind, wide ones marked; any object, even an empty one, makes a row */
static void every_kind_has_its_columns(void **state)
{
	static const struct {
		const char *group, *plural, *columns;
	} kinds[] = {
		{ "", "nodes",
			"Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* "
			"Container-Runtime*" },
		{ "", "pods", "Name Ready Status Restarts Age IP* Node* Nominated-Node* Readiness-Gates*" },
		{ "apps", "deployments",
			"Name Ready Up-to-date Available Age Containers* Images* Selector*" },
		{ "apps", "daemonsets",
			"Name Desired Current Ready Up-to-date Available Node-Selector Age Containers* "
			"Images* Selector*" },
		{ "apps", "replicasets", "Name Desired Current Ready Age Containers* Images* Selector*" },
		{ "batch", "jobs", "Name Status Completions Duration Age Containers* Images* Selector*" },
		{ "", "services", "Name Type Cluster-IP External-IP Port(s) Age Selector*" },
		{ "discovery.k8s.io", "endpointslices", "Name AddressType Ports Endpoints Age" },
		{ "", "events",
			"Last-Seen Type Reason Object Subobject* Source* Message First-Seen* Count* Name*" },
		{ "", "configmaps", "Name Data Age" },
		{ "", "secrets", "Name Type Data Age" },
		{ "", "serviceaccounts", "Name Secrets Age" },
		{ "", "namespaces", "Name Status Age" },
		{ "", "persistentvolumeclaims",
			"Name Status Volume Capacity Access-Modes StorageClass VolumeAttributesClass Age "
			"VolumeMode*" },
		{ "apiextensions.k8s.io", "customresourcedefinitions", "Name Created-At" },
		{ "rbac.authorization.k8s.io", "roles", "Name Created-At" },
		{ "rbac.authorization.k8s.io", "clusterroles", "Name Created-At" },
		{ "rbac.authorization.k8s.io", "rolebindings",
			"Name Role Age Users* Groups* ServiceAccounts*" },
		{ "rbac.authorization.k8s.io", "clusterrolebindings",
			"Name Role Age Users* Groups* ServiceAccounts*" },
		{ "coordination.k8s.io", "leases", "Name Holder Age" },
		{ "apiregistration.k8s.io", "apiservices", "Name Service Available Age" },
		{ "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "Name Webhooks Age" },
		{ "admissionregistration.k8s.io", "validatingwebhookconfigurations", "Name Webhooks Age" },
		{ "policy", "poddisruptionbudgets",
			"Name Min-Available Max-Unavailable Allowed-Disruptions Age" },
		{ "scheduling.k8s.io", "priorityclasses", "Name Value Global-Default Age PreemptionPolicy" },
	};
	struct registry *g = registry_of_builtins();
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct resource *r = registry_find(g, kinds[i].group, "v1", kinds[i].plural);
		CLEANUP(obj_unrefp) struct obj *o = obj_lit("{'metadata':{'name':'x'}}");
		CLEANUP(str_done) struct str have = { 0 };

		assert_non_null(r);
		CLEANUP(json_doc_freep) struct json_doc *d = row_of(r, o, true, false, TABLE_METADATA);
		JSON_EACH (it, json_get(json_root(d), "columnDefinitions")) {
			CLEANUP(mem_freep) char *name = mem_strdup(json_get_str(it.val, "name"));

			for (char *p = name; *p; p++)
				*p = *p == ' ' ? '-' : *p;
			str_addf(&have, "%s%s%s", have.len ? " " : "", name,
				json_i64(json_get(it.val, "priority")) ? "*" : "");
		}
		if (str_eq(have.data, kinds[i].columns))
			continue;
		print_error("%s:\n  want %s\n  have %s\n", kinds[i].plural, kinds[i].columns, have.data);
		good = false;
	}
	registry_free(g);
	assert_true(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_one_table),
		cmocka_unit_test(an_empty_list_has_rows_all_the_same),
		cmocka_unit_test(watch_events_have_definitions_once),
		cmocka_unit_test(events_place_their_name_last),
		cmocka_unit_test(custom_columns_print_by_their_type),
		cmocka_unit_test(a_custom_resource_without_columns_has_name_and_age),
		cmocka_unit_test(every_kind_has_its_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
