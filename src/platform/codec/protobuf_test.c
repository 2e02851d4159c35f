/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/codec/protobuf.h"

#include "base/mem.h"
#include "base/test_util.h"
#include "platform/codec/codec.h"
#include "platform/kinds/builtin.h"

#include <stdio.h>
#include <string.h>

/* ---- writing messages as clients do ---- */
static void put_varint(struct str *out, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		str_addc(out, (char)(0x80 | (v & 0x7f)));
	str_addc(out, (char)v);
}

static void put_bytes(struct str *out, unsigned num, const void *data, size_t len)
{
	put_varint(out, num << 3 | 2);
	put_varint(out, len);
	str_addn(out, data, len);
}

static void put_text(struct str *out, unsigned num, const char *text)
{
	put_bytes(out, num, text, strlen(text));
}

static void put_int(struct str *out, unsigned num, int64_t v)
{
	put_varint(out, num << 3);
	put_varint(out, (uint64_t)v);
}

/* Moves a message into a field of another one. */
static void put_message(struct str *out, unsigned num, struct str *m)
{
	put_bytes(out, num, str_cstr(m), m->len);
	str_done(m);
}

static void put_entry(struct str *out, unsigned num, const char *key, const char *value)
{
	struct str m = { 0 };

	put_text(&m, 1, key);
	put_text(&m, 2, value);
	put_message(out, num, &m);
}

/* The envelope around raw, which is emptied. */
static struct str envelope(const char *api_version, const char *kind, struct str *raw)
{
	struct str out = { 0 }, type = { 0 };

	str_addn(&out, "k8s", 4);
	put_text(&type, 1, api_version);
	put_text(&type, 2, kind);
	put_message(&out, 1, &type);
	put_message(&out, 2, raw);
	put_text(&out, 3, "");
	put_text(&out, 4, "");
	return out;
}

static struct json_doc *decode(const struct str *body, struct err *e)
{
	struct json_doc *d = NULL;

	return protobuf_decode(NULL, NULL, body->data, body->len, &d, e) < 0 ? NULL : d;
}

static void expect(const char *api_version, const char *kind, struct str *raw, const char *want)
{
	CLEANUP(str_done) struct str body = envelope(api_version, kind, raw);
	CLEANUP(json_doc_freep) struct json_doc *wanted = json_lit(want);
	struct err e = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = decode(&body, &e);

	if (!d)
		fail_msg("%s", e.msg);
	CLEANUP(mem_freep) char *have = json_write(json_root(d), NULL);
	if (!json_eq(json_root(d), json_root(wanted)))
		fail_msg("have %s", have);
}

/* ---- what comes out ---- */
/* kubernetes-api.md 8.12 */
static void a_configmap_is_what_json_would_have_said(void **state)
{
	struct str raw = { 0 }, meta = { 0 };

	put_text(&meta, 1, "x");
	put_text(&meta, 2, ""); /* generateName */
	put_int(&meta, 7, 0);   /* generation */
	put_text(&meta, 8, ""); /* creationTimestamp: the zero time */
	put_entry(&meta, 11, "app", "a");
	put_message(&raw, 1, &meta);
	put_entry(&raw, 2, "a", "b");
	put_entry(&raw, 2, "empty", "");
	put_entry(&raw, 3, "bin", "q");
	put_int(&raw, 4, 0);  /* immutable: a pointer, so false was meant */
	put_int(&raw, 99, 1); /* of a later version */
	expect("v1", "ConfigMap", &raw,
		"{'kind':'ConfigMap','apiVersion':'v1','metadata':{'name':'x','creationTimestamp':null,'"
		"labels':{'app':'a'}},"
		"'data':{'a':'b','empty':''},'binaryData':{'bin':'cQ=='},'immutable':false}");
}

/* replicas 0 is wanted, "" is not */
static void zero_counts_where_it_means_something(void **state)
{
	struct str raw = { 0 }, spec = { 0 }, template = { 0 }, pod = { 0 }, container = { 0 }, port = { 0 },
		   probe = { 0 }, get = { 0 }, handler = { 0 }, number = { 0 }, resources = { 0 },
		   quantity = { 0 }, limit = { 0 };

	put_int(&number, 1, 0);
	put_int(&number, 2, 8080);
	put_text(&number, 3, "");
	put_text(&get, 1, "/healthz");
	put_message(&get, 2, &number);
	put_message(&handler, 2, &get);
	put_message(&probe, 1, &handler); /* its members stand in the probe */
	put_int(&probe, 4, 10);
	put_text(&port, 1, "");
	put_int(&port, 3, 80);
	put_text(&quantity, 1, "1Gi");
	put_text(&limit, 1, "memory");
	put_message(&limit, 2, &quantity);
	put_message(&resources, 1, &limit);
	put_text(&container, 1, "c");
	put_text(&container, 3, "sh");
	put_text(&container, 3, "-c");
	put_message(&container, 6, &port);
	put_message(&container, 8, &resources);
	put_message(&container, 10, &probe);
	put_text(&container, 14, ""); /* imagePullPolicy */
	put_int(&container, 16, 0);   /* stdin */
	put_message(&pod, 2, &container);
	put_text(&pod, 3, "");
	put_int(&pod, 4, 0); /* terminationGracePeriodSeconds */
	put_int(&pod, 11, 1);
	put_message(&template, 2, &pod);
	put_int(&spec, 1, 0);
	put_message(&spec, 3, &template);
	put_message(&raw, 2, &spec);
	put_text(&raw, 3, "");
	expect("apps/v1", "Deployment", &raw,
		"{'kind':'Deployment','apiVersion':'apps/"
		"v1','spec':{'replicas':0,'template':{'spec':{'containers':[{'name':'c',"
		"'command':['sh','-c'],'ports':[{'containerPort':80}],'resources':{'limits':{'memory':'1Gi'}}"
		","
		"'livenessProbe':{'httpGet':{'path':'/healthz','port':8080},'periodSeconds':10}}],"
		"'terminationGracePeriodSeconds':0,'hostNetwork':true}}},'status':{}}");
}

/* kubernetes-api.md 2.8: times, ports by name, packed numbers, raw JSON, lists in messages */
static void the_small_messages_of_kubernetes_become_scalars(void **state)
{
	struct str raw = { 0 }, spec = { 0 }, time = { 0 }, port = { 0 }, number = { 0 }, extra = { 0 },
		   entry = { 0 }, ids = { 0 }, context = { 0 };

	put_int(&time, 1, 1767323045);
	put_int(&time, 2, 123456789);
	put_text(&spec, 1, "me");
	put_message(&spec, 4, &time);
	put_message(&raw, 2, &spec);
	expect("coordination.k8s.io/v1", "Lease", &raw,
		"{'kind':'Lease','apiVersion':'coordination.k8s.io/v1','spec':{'holderIdentity':'me',"
		"'renewTime':'2026-01-02T03:04:05.123456Z'}}");
	put_int(&number, 1, 1);
	put_text(&number, 3, "http");
	put_int(&port, 3, 80);
	put_message(&port, 4, &number);
	put_message(&spec, 1, &port);
	put_message(&raw, 2, &spec);
	expect("v1", "Service", &raw,
		"{'kind':'Service','apiVersion':'v1','spec':{'ports':[{'port':80,'targetPort':'http'}]}}");
	put_text(&extra, 1, "a");
	put_text(&extra, 1, "b");
	put_text(&entry, 1, "scopes");
	put_message(&entry, 2, &extra);
	put_text(&spec, 3, "jane");
	put_message(&spec, 5, &entry);
	put_message(&raw, 2, &spec);
	expect("authorization.k8s.io/v1", "SubjectAccessReview", &raw,
		"{'kind':'SubjectAccessReview','apiVersion':'authorization.k8s.io/v1','spec':{'user':'jane',"
		"'extra':{'scopes':['a','b']}}}");
	put_text(&spec, 1, "{\"a\":[1]}");
	put_message(&raw, 2, &spec);
	put_int(&raw, 3, 7);
	expect("apps/v1", "ControllerRevision", &raw,
		"{'kind':'ControllerRevision','apiVersion':'apps/v1','data':{'a':[1]},'revision':7}");
	put_varint(&ids, 5);
	put_varint(&ids, 300);
	put_message(&context, 4, &ids); /* packed, as other languages write it */
	put_int(&context, 4, 6);
	put_message(&spec, 14, &context);
	put_message(&raw, 2, &spec);
	expect("v1", "Pod", &raw,
		"{'kind':'Pod','apiVersion':'v1','spec':{'securityContext':{'supplementalGroups':[5,300,6]}}"
		"}");
}

/* kubernetes-api.md 8.14, 2.4: options come in any version */
static void delete_options_are_read_in_any_group(void **state)
{
	static const char *const versions[] = { "v1", "meta.k8s.io/v1", "policy/v1", "kubevirt.io/v1" };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct str raw = { 0 }, pre = { 0 };
		CLEANUP(mem_freep)
		char *want = str_printf(
			"{'kind':'DeleteOptions','apiVersion':'%s','gracePeriodSeconds':0,"
			"'preconditions':{'uid':'u'},'propagationPolicy':'Background','dryRun':['All']}",
			versions[i]);

		put_int(&raw, 1, 0);
		put_text(&pre, 1, "u");
		put_message(&raw, 2, &pre);
		put_text(&raw, 4, "Background");
		put_text(&raw, 5, "All");
		expect(versions[i], "DeleteOptions", &raw, want);
	}
}

static void a_kind_without_a_table_is_refused_naming_json(void **state)
{
	static const char *const kinds[][2] = { { "kubevirt.io/v1", "VirtualMachine" }, { "v1", "Nope" },
		{ "apps.evil/v1", "Deployment" }, { "apps/v1beta1", "Deployment" } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct str raw = { 0 };
		CLEANUP(str_done) struct str body = envelope(kinds[i][0], kinds[i][1], &raw);
		struct err e = { 0 };

		assert_null(decode(&body, &e));
		assert_int_equal(e.code, ERR_UNSUPPORTED_MEDIA_TYPE);
		assert_non_null(strstr(e.msg, "application/json"));
	}
}

/* An envelope that names no kind means the resource of the URL. */
static void the_kind_of_the_url_is_assumed(void **state)
{
	struct registry *g = registry_new();
	struct str raw = { 0 };
	struct json_doc *d = NULL;
	struct err e = { 0 };

	builtin_register(g);
	put_entry(&raw, 2, "a", "b");
	CLEANUP(str_done) struct str body = envelope("", "", &raw);
	assert_null(decode(&body, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	assert_int_equal(
		protobuf_decode(g, registry_find(g, "", "v1", "configmaps"), body.data, body.len, &d, &e), 0);
	assert_string_equal(json_at_str(json_root(d), "/kind"), "ConfigMap");
	assert_string_equal(json_at_str(json_root(d), "/data/a"), "b");
	json_doc_free(d);
	registry_free(g);
}

/* ---- bad input ---- */
static struct str a_pod(void)
{
	struct str raw = { 0 }, meta = { 0 }, spec = { 0 }, c = { 0 }, env = { 0 }, time = { 0 };

	put_int(&time, 1, 1767323045);
	put_text(&meta, 1, "p");
	put_message(&meta, 8, &time);
	put_entry(&meta, 11, "k", "v");
	put_text(&env, 1, "A");
	put_text(&env, 2, "B");
	put_text(&c, 1, "c");
	put_message(&c, 7, &env);
	put_message(&spec, 2, &c);
	put_int(&spec, 4, 30);
	put_message(&raw, 1, &meta);
	put_message(&raw, 2, &spec);
	return envelope("v1", "Pod", &raw);
}

static void a_cut_body_never_reads_beyond_itself(void **state)
{
	CLEANUP(str_done) struct str whole = a_pod();

	for (size_t n = 0; n < whole.len; n++) {
		char *exact = mem_dup(whole.data, n ? n : 1); /* so that the sanitizer sees a byte too far */
		struct json_doc *d = NULL;
		struct err e = { 0 };

		if (protobuf_decode(NULL, NULL, exact, n, &d, &e) < 0)
			assert_true(e.code == ERR_BAD_REQUEST || e.code == ERR_UNSUPPORTED_MEDIA_TYPE);
		json_doc_free(d);
		free(exact);
	}
}

static void changed_bytes_are_refused_or_read_but_never_crash(void **state)
{
	CLEANUP(str_done) struct str whole = a_pod();
	struct chance chance = { .state = 4711 };

	for (size_t round = 0; round < 20000; round++) {
		char *copy = mem_dup(whole.data, whole.len);
		struct json_doc *d = NULL;
		struct err e = { 0 };

		for (unsigned i = 0; i <= chance_below(&chance, 3); i++)
			copy[4 + chance_below(&chance, (unsigned)whole.len - 4)] = (char)chance_u64(&chance);
		if (protobuf_decode(NULL, NULL, copy, whole.len, &d, &e) == 0) {
			CLEANUP(mem_freep) char *text = json_write(json_root(d), NULL);

			assert_non_null(text);
		}
		json_doc_free(d);
		free(copy);
	}
}

static void deep_nesting_is_refused(void **state)
{
	struct str schema = { 0 }, raw = { 0 }, spec = { 0 }, version = { 0 }, validation = { 0 };
	struct err e = { 0 };

	put_text(&schema, 5, "object");
	for (size_t i = 0; i < 200; i++) {
		struct str outer = { 0 };

		put_message(&outer, 28, &schema); /* not: */
		schema = outer;
	}
	put_message(&validation, 1, &schema);
	put_message(&version, 4, &validation);
	put_message(&spec, 7, &version);
	put_message(&raw, 2, &spec);
	CLEANUP(str_done)
	struct str body = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw);
	assert_null(decode(&body, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
}

static void wrong_types_and_times_are_refused(void **state)
{
	struct str raw = { 0 }, meta = { 0 }, time = { 0 };
	struct err e = { 0 };

	put_int(&meta, 1, 5); /* name as a number */
	put_message(&raw, 1, &meta);
	CLEANUP(str_done) struct str number = envelope("v1", "ConfigMap", &raw);
	assert_null(decode(&number, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
	put_int(&time, 1, INT64_MAX);
	put_message(&meta, 8, &time);
	put_message(&raw, 1, &meta);
	CLEANUP(str_done) struct str late = envelope("v1", "ConfigMap", &raw);
	assert_null(decode(&late, &e));
	assert_int_equal(e.code, ERR_BAD_REQUEST);
}

/* ---- the tables ---- */
static void check_message(const struct protobuf_message *m)
{
	struct protobuf_field f;
	const char *at = m->fields;
	int got, last = 0;

	while ((got = protobuf_field_next(&at, &f)) > 0) {
		if (f.num <= last)
			fail_msg("%s: field %d is out of order", m->name, f.num);
		last = f.num;
		if (f.scalar ? !strchr("sbidytuqnrLOBS", f.scalar) : !protobuf_field_message(m->name, &f))
			fail_msg("%s: field %d has an unknown type", m->name, f.num);
	}
	if (got < 0)
		fail_msg("%s: malformed: %s", m->name, at);
}

static void the_tables_are_sound(void **state)
{
	size_t n;
	const struct protobuf_message *m = protobuf_messages(&n);

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(m[i - 1].name, m[i].name) >= 0)
			fail_msg("%s is out of order", m[i].name);
		check_message(&m[i]);
	}
}

/* kubernetes-api.md 2.8: "a 415 is final": every built-in kind can be sent */
static void every_builtin_kind_is_covered(void **state)
{
	struct registry *g = registry_new();
	const struct group_version *gv;

	builtin_register(g);
	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++) {
		for (size_t j = 0; j < gv->n; j++) {
			struct resource *r = gv->items[j];
			struct str raw = { 0 };
			char av[KIND_API_VERSION_MAX];
			CLEANUP(str_done)
			struct str body = envelope(kind_api_version(r->kind, av), r->kind->kind, &raw);
			struct err e = { 0 };
			CLEANUP(json_doc_freep) struct json_doc *d = decode(&body, &e);

			if (!d)
				fail_msg("%s %s: %s", av, r->kind->kind, e.msg);
		}
	}
	registry_free(g);
}

/* ---- there and back ---- */
/* Objects within objects have no apiVersion and kind in protobuf. */
extern const struct field_table claim_template_fields;
static bool has_no_number(const struct field_table *t, const struct field *f)
{
	return (t == &claim_template_fields && (str_eq(f->path, "apiVersion") || str_eq(f->path, "kind"))) ||
	       str_eq(f->path, "deleteOptions.apiVersion") || str_eq(f->path, "deleteOptions.kind");
}

static struct json *sample_of(struct json_doc *d, const struct field_table *t, size_t depth);

static struct json *parsed(struct json_doc *d, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *v = json_parse(text, strlen(text), NULL);

	return json_copy(d, json_root(v));
}

/* Something the type allows, other than what an absent member would mean. */
static struct json *sample_scalar(struct json_doc *d, enum field_type type, const struct field *f)
{
	switch (type) {
	case F_STRING:
		return json_new_str(d, f->format ? "2026-01-02T03:04:05.678901Z" : f->path);
	case F_INT:
	case F_INT32:
		return json_new_i64(d, type == F_INT ? -5000000000 : -7);
	case F_BOOL:
		return json_new_bool(d, true);
	case F_NUMBER:
		return json_new_num(d, 1.5);
	case F_QUANTITY:
		return json_new_str(d, "1500m");
	case F_INT_OR_STRING:
		return json_new_str(d, "25%");
	case F_TIME:
		return json_new_str(d, "2026-01-02T03:04:05Z");
	case F_BYTES:
		return json_new_str(d, "AAEC/w==");
	case F_ANY: /* a schema: the only kind of "anything" there is */
		return parsed(d, "{\"type\":\"string\"}");
	default:
		return json_new_obj(d);
	}
}

static struct json *sample_list(struct json_doc *d, struct json *item)
{
	struct json *list = json_new_arr(d);

	json_append(d, list, item);
	return list;
}

static struct json *sample_map(struct json_doc *d, struct json *value)
{
	struct json *map = json_new_obj(d);

	json_set(d, map, "a key", value);
	return map;
}

static struct json *sample_row(struct json_doc *d, const struct field *f, size_t depth)
{
	bool list = f->type == F_LIST || f->type == F_REF_LIST;
	struct json *one;

	if (f->flags & FIELD_OPEN)
		return parsed(d, "{\"f:spec\":{\"f:a\":{}}}");
	if (f->ref)
		one = sample_of(d, f->ref, depth + 1);
	else if (list || f->type == F_MAP)
		one = f->items == F_LIST ? sample_list(d, json_new_str(d, "one"))
					 : sample_scalar(d, f->items, f);
	else
		return sample_scalar(d, f->type, f);
	return list ? sample_list(d, one) : f->type == F_REF ? one : sample_map(d, one);
}

/* An object with every member its table has. A table within itself ends at the second. */
static struct json *sample_of(struct json_doc *d, const struct field_table *t, size_t depth)
{
	struct json *root = json_new_obj(d);

	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->rows[i];
		const char *path = f->path, *dot;
		struct json *at = root;

		if ((f->ref == t && depth > 1) || has_no_number(t, f))
			continue;
		for (; (dot = strchr(path, '.')); path = dot + 1) {
			size_t n = strcspn(path, "[{.");
			struct json *parent = at;

			at = json_getn(parent, path, n);
			if (path[n] == '[' && !json_is_obj(json_item(at, 0))) {
				at = json_new_arr(d);
				json_setn(d, parent, path, n, at);
				json_append(d, at, json_new_obj(d));
			}
			if (path[n] == '[')
				at = json_item(at, 0);
		}
		json_set(d, at, path, sample_row(d, f, depth));
	}
	return root;
}

static void report_difference(
	const char *kind, const struct json *want, const struct json *have, const char *at)
{
	JSON_EACH (it, want) {
		char path[512];
		const struct json *other;

		snprintf(path, sizeof(path), "%s.%s", at, it.key ? it.key : "[]");
		other = it.key ? json_get(have, it.key) : json_item(have, it.i);
		if (json_eq(it.val, other))
			continue;
		if (json_is_obj(it.val) || json_is_arr(it.val))
			report_difference(kind, it.val, other, path);
		fail_msg("%s: %s does not come back", kind, path);
	}
}

static void check_there_and_back(struct registry *g, const struct kind *k)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new(), *back = NULL;
	CLEANUP(str_done) struct str body = { 0 };
	char av[KIND_API_VERSION_MAX];
	struct err e = { 0 };
	struct json *o = sample_of(d, k->fields, 0);

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", kind_api_version(k, av));
	json_set_str(d, o, "kind", k->kind);
	json_set(d, o, "metadata", sample_of(d, &object_meta_fields, 0));
	if (!protobuf_encode(o, &body))
		fail_msg("%s %s has no table", av, k->kind);
	if (protobuf_decode(g, NULL, body.data, body.len, &back, &e) < 0)
		fail_msg("%s: %s", k->kind, e.msg);
	if (!json_eq(o, json_root(back)))
		report_difference(k->kind, o, json_root(back), "");
	assert_true(json_eq(json_root(back), o));
}

/* kubernetes-api.md 2.8, 12: the same object by either form, whatever its kind, and no member without a number */
static void every_field_of_every_kind_comes_back(void **state)
{
	struct registry *g = registry_new();
	const struct group_version *gv;

	builtin_register(g);
	for (size_t i = 0; (gv = registry_gv_at(g, i)); i++)
		for (size_t j = 0; j < gv->n; j++)
			check_there_and_back(g, gv->items[j]->kind);
	for (const struct kind *k = builtin_bodies; k->kind; k++)
		check_there_and_back(g, k);
	registry_free(g);
}

static void a_long_object_has_its_length_written(void **state)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 16383, 16384, 300000 };
	struct registry *g = registry_new();

	builtin_register(g);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new(), *back = NULL;
		CLEANUP(str_done) struct str body = { 0 }, text = { 0 };
		struct json *o = json_new_obj(d);
		struct err e = { 0 };

		for (size_t n = 0; n < sizes[i]; n++)
			str_addc(&text, 'x');
		json_set_root(d, o);
		json_set_str(d, o, "kind", "ConfigMap");
		json_set_str(d, o, "apiVersion", "v1");
		json_set_str(d, json_need_obj(d, o, "metadata"), "name", "a");
		json_set_str(d, json_need_obj(d, o, "data"), "k", str_cstr(&text));
		assert_true(protobuf_encode(o, &body));
		assert_int_equal(protobuf_decode(g, NULL, body.data, body.len, &back, &e), 0);
		assert_true(json_eq(json_root(back), o));
	}
	registry_free(g);
}

static void kinds_without_a_table_are_not_encoded(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str out = { 0 };
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "kubevirt.io/v1");
	json_set_str(d, o, "kind", "VirtualMachine");
	assert_false(protobuf_encode(o, &out));
	json_set_str(d, o, "kind", "VirtualMachineList");
	assert_false(protobuf_encode(o, &out));
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configmap_is_what_json_would_have_said),
		cmocka_unit_test(zero_counts_where_it_means_something),
		cmocka_unit_test(the_small_messages_of_kubernetes_become_scalars),
		cmocka_unit_test(delete_options_are_read_in_any_group),
		cmocka_unit_test(a_kind_without_a_table_is_refused_naming_json),
		cmocka_unit_test(the_kind_of_the_url_is_assumed),
		cmocka_unit_test(a_cut_body_never_reads_beyond_itself),
		cmocka_unit_test(changed_bytes_are_refused_or_read_but_never_crash),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(wrong_types_and_times_are_refused),
		cmocka_unit_test(the_tables_are_sound),
		cmocka_unit_test(every_builtin_kind_is_covered),
		cmocka_unit_test(every_field_of_every_kind_comes_back),
		cmocka_unit_test(a_long_object_has_its_length_written),
		cmocka_unit_test(kinds_without_a_table_are_not_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
