/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a schema as it is written in a CustomResourceDefinition, in Kubernetes' words and order (kubernetes-api.md
 * 4, 8.81): first whether it is structural, then what structural schemas may not say. */
#include "api/schema.h"

#include <stdlib.h>
#include <string.h>

#include "api/re.h"
#include "base/mem.h"

enum level { AT_ROOT, AT_ITEMS, AT_FIELD };

static bool says(const struct json *s, const char *word)
{
	const struct json *v = json_get(s, word);

	return v && !json_is_null(v);
}

static const char *type_of(const struct json *s)
{
	return json_str_or(json_get(s, "type"), "");
}

static bool is_true(const struct json *s, const char *word)
{
	return json_bool(json_get(s, word));
}

static void text_required(struct causes *c, const char *at, const char *member, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	cause_required(c, path, detail);
}

static void text_forbidden(struct causes *c, const char *at, const char *member, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	cause_forbidden(c, path, "%s", detail);
}

static void text_invalid(
	struct causes *c, const char *at, const char *member, const struct json *v, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	if (v)
		cause_invalid(c, path, v, "%s", detail);
	else
		cause_text(c, "FieldValueInvalid", path, "Invalid value: \"\": %s", detail);
}

/* type is not what something else asks for: absent, or another one */
static void bad_type(struct causes *c, const char *at, const struct json *s, const char *detail)
{
	if (*type_of(s))
		text_invalid(c, at, "type", json_get(s, "type"), detail);
	else
		text_required(c, at, "type", detail);
}

/* ---- structural: what the arms of allOf, anyOf, oneOf and not may say ---- */
static void check_arms(
	const struct json *v, bool skip_any, bool skip_first, const char *at, struct causes *c);

static void arm_words(const struct json *v, const char *at, struct causes *c)
{
	static const struct {
		const char *word, *detail;
		char is; /* what counts as said: s(tring), b(ool), l(ist), v(alue) */
	} words[] = {
		{ "type", "must be empty to be structural", 's' },
		{ "additionalProperties", "must be undefined to be structural", 'v' },
		{ "default", "must be undefined to be structural", 'v' },
		{ "title", "must be empty to be structural", 's' },
		{ "description", "must be empty to be structural", 's' },
		{ "nullable", "must be false to be structural", 'b' },
		{ "x-kubernetes-preserve-unknown-fields", "must be false to be structural", 'b' },
		{ "x-kubernetes-embedded-resource", "must be false to be structural", 'b' },
		{ "x-kubernetes-int-or-string", "must be false to be structural", 'b' },
		{ "x-kubernetes-list-map-keys", "must be empty to be structural", 'l' },
		{ "x-kubernetes-list-type", "must be undefined to be structural", 'v' },
		{ "x-kubernetes-map-type", "must be undefined to be structural", 'v' },
		{ "x-kubernetes-validations", "must be empty to be structural", 'l' },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const struct json *m = json_get(v, words[i].word);
		bool said = words[i].is == 's'   ? json_str_len(m) > 0
			    : words[i].is == 'b' ? json_bool(m)
			    : words[i].is == 'l' ? json_len(m) > 0
						 : says(v, words[i].word);

		if (said)
			text_forbidden(c, at, words[i].word, words[i].detail);
	}
	if (json_get(json_get(v, "properties"), "metadata"))
		text_forbidden(c, at, "properties[metadata]", "must not be specified in a nested context");
}

static void check_arm(const struct json *v, bool skip_any, const char *at, struct causes *c)
{
	if (!json_is_obj(v))
		return;
	check_arms(v, skip_any, false, at, c);
	if (json_is_obj(json_get(v, "items"))) {
		CLEANUP(mem_freep) char *path = str_printf("%s.items", at);

		check_arm(json_get(v, "items"), false, path, c);
	}
	JSON_EACH (it, json_get(v, "properties")) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, it.key);

		check_arm(it.val, false, path, c);
	}
	arm_words(v, at, c);
}

static void check_pattern(const struct json *s, const char *at, struct causes *c)
{
	const struct json *pattern = json_get(s, "pattern");
	struct re *re = NULL;
	struct err e = { 0 };

	if (json_str_len(pattern) == 0)
		return;
	if (re_compile(json_str(pattern), &re, &e) < 0) {
		CLEANUP(mem_freep) char *path = str_printf("%s.pattern", at);

		cause_invalid(c, path, pattern, "must be a valid regular expression, but isn't: %s", e.msg);
	}
	re_free(re);
}

static void check_list_of_arms(
	const struct json *v, const char *word, bool skip_any_of_first, const char *at, struct causes *c)
{
	JSON_EACH (it, json_get(v, word)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s[%zu]", at, word, it.i);

		check_arm(it.val, skip_any_of_first && it.i == 0, path, c);
	}
}

static void check_arms(const struct json *v, bool skip_any, bool skip_first, const char *at, struct causes *c)
{
	if (!skip_any)
		check_list_of_arms(v, "anyOf", false, at, c);
	check_list_of_arms(v, "allOf", skip_first, at, c);
	check_list_of_arms(v, "oneOf", false, at, c);
	if (json_is_obj(json_get(v, "not"))) {
		CLEANUP(mem_freep) char *path = str_printf("%s.not", at);

		check_arm(json_get(v, "not"), false, path, c);
	}
	check_pattern(v, at, c);
}

/* [{type: integer}, {type: string}], which says no more than x-kubernetes-int-or-string does */
static bool is_int_or_string_pair(const struct json *any)
{
	return json_len(any) == 2 && json_len(json_item(any, 0)) == 1 && json_len(json_item(any, 1)) == 1 &&
	       str_eq(type_of(json_item(any, 0)), "integer") && str_eq(type_of(json_item(any, 1)), "string");
}

/* ---- structural: what stands outside the arms ---- */
static void need(const char *where, const char *by, struct causes *c)
{
	CLEANUP(mem_freep) char *detail = str_printf("because it is defined in %s", by);

	cause_required(c, where, detail);
}

/* What the arms speak of has to be there outside of them, too. */
static void complete_arm(
	const struct json *v, const struct json *s, const char *s_at, const char *v_at, struct causes *c);

static void complete(
	const struct json *v, const struct json *s, const char *s_at, const char *v_at, struct causes *c)
{
	static const char *const words[] = { "allOf", "anyOf", "oneOf" };

	if (json_is_obj(json_get(v, "not"))) {
		CLEANUP(mem_freep) char *path = str_printf("%s.not", v_at);

		complete_arm(json_get(v, "not"), s, s_at, path, c);
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		JSON_EACH (it, json_get(v, words[i])) {
			CLEANUP(mem_freep) char *path = str_printf("%s.%s[%zu]", v_at, words[i], it.i);

			complete_arm(it.val, s, s_at, path, c);
		}
}

static void complete_arm(
	const struct json *v, const struct json *s, const char *s_at, const char *v_at, struct causes *c)
{
	if (!json_is_obj(v))
		return;
	if (!json_is_obj(s)) {
		need(s_at, v_at, c);
		return;
	}
	complete(v, s, s_at, v_at, c);
	if (json_is_obj(json_get(v, "items"))) {
		CLEANUP(mem_freep) char *sp = str_printf("%s.items", s_at);
		CLEANUP(mem_freep) char *vp = str_printf("%s.items", v_at);

		complete_arm(json_get(v, "items"), json_get(s, "items"), sp, vp, c);
	}
	JSON_EACH (it, json_get(v, "properties")) {
		CLEANUP(mem_freep) char *sp = str_printf("%s.properties[%s]", s_at, it.key);
		CLEANUP(mem_freep) char *vp = str_printf("%s.properties[%s]", v_at, it.key);

		complete_arm(it.val, json_getn(json_get(s, "properties"), it.key, it.key_len), sp, vp, c);
	}
}

static void check_meta(
	const struct json *meta, bool typed, enum level level, const char *at, struct causes *c)
{
	static const char *const plain[] = { "type", "default", "required", "minimum", "maximum", "pattern",
		"format", "enum", "minLength", "maxLength", "minProperties", "maxProperties",
		"exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems",
		"externalDocs", "example", "properties", NULL };
	static const char *const values[] = { "required", "minimum", "maximum", "pattern", "format", "enum",
		"minLength", "maxLength", "minProperties", "maxProperties", "exclusiveMinimum",
		"exclusiveMaximum", "multipleOf", "minItems", "maxItems", "allOf", "anyOf", "oneOf", "not",
		NULL };
	bool more = false;

	if (typed && !str_eq(type_of(meta), "object"))
		text_invalid(c, at, "type", json_get(meta, "type"), "must be object");
	if (level != AT_ROOT)
		return;
	JSON_EACH (it, meta)
		more |= !str_in(it.key, plain) || str_in(it.key, values);
	JSON_EACH (it, json_get(meta, "properties"))
		more |= !str_eq(it.key, "name") && !str_eq(it.key, "generateName");
	if (more)
		cause_forbidden(c, at,
			"must not specify anything other than name and generateName, but metadata is "
			"implicitly specified");
}

static void check_type_meta(const struct json *s, enum level level, const char *at, struct causes *c)
{
	static const char *const strings[] = { "kind", "apiVersion" };
	const struct json *props = json_get(s, "properties");
	bool here = level == AT_ROOT || is_true(s, "x-kubernetes-embedded-resource");

	for (size_t i = 0; i < ARRAY_LEN(strings) && here; i++) {
		const struct json *p = json_get(props, strings[i]);
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, strings[i]);

		if (p && !str_eq(type_of(p), "string"))
			text_invalid(c, path, "type", json_get(p, "type"), "must be string");
	}
	if (json_is_obj(json_get(props, "metadata"))) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[metadata]", at);

		check_meta(json_get(props, "metadata"), here, level, path, c);
	}
}

static void check_embedded(const struct json *s, enum level level, const char *at, struct causes *c)
{
	static const char *const missing[] = { [AT_ROOT] = "must not be empty at the root",
		[AT_ITEMS] = "must not be empty for specified array items",
		[AT_FIELD] = "must not be empty for specified object fields" };
	bool embedded = is_true(s, "x-kubernetes-embedded-resource"),
	     either = is_true(s, "x-kubernetes-int-or-string"),
	     keeps = is_true(s, "x-kubernetes-preserve-unknown-fields");

	if (either && keeps)
		text_invalid(c, at, "x-kubernetes-preserve-unknown-fields",
			json_get(s, "x-kubernetes-preserve-unknown-fields"),
			"must be false if x-kubernetes-int-or-string is true");
	if (either && embedded)
		text_invalid(c, at, "x-kubernetes-embedded-resource",
			json_get(s, "x-kubernetes-embedded-resource"),
			"must be false if x-kubernetes-int-or-string is true");
	if (embedded && !str_eq(type_of(s), "object"))
		bad_type(c, at, s, "must be object if x-kubernetes-embedded-resource is true");
	else if (!*type_of(s) && !either && !keeps)
		text_required(c, at, "type", missing[level]);
	if (embedded && says(s, "additionalProperties"))
		text_forbidden(c, at, "additionalProperties",
			"must not be used if x-kubernetes-embedded-resource is set");
	if (embedded && !keeps && json_len(json_get(s, "properties")) == 0)
		text_required(c, at, "properties",
			"must not be empty if x-kubernetes-embedded-resource is true without "
			"x-kubernetes-preserve-unknown-fields");
}

static void structural(const struct json *s, enum level level, const char *at, struct causes *c)
{
	const struct json *items = json_get(s, "items"), *more = json_get(s, "additionalProperties"),
			  *first = json_item(json_get(s, "allOf"), 0);

	if (str_eq(type_of(s), "array") && !json_is_obj(items))
		text_required(c, at, "items", "must be specified");
	if (json_is_obj(items)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.items", at);

		structural(items, AT_ITEMS, path, c);
	}
	JSON_EACH (it, json_get(s, "properties")) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, it.key);

		structural(it.val, AT_FIELD, path, c);
	}
	if (more && !json_is_null(more) && level == AT_ROOT)
		text_forbidden(c, at, "additionalProperties", "must not be used at the root");
	if (json_is_obj(more)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.additionalProperties", at);

		structural(more, AT_FIELD, path, c);
	}
	check_arms(s, is_int_or_string_pair(json_get(s, "anyOf")),
		is_int_or_string_pair(json_get(first, "anyOf")), at, c);
	check_embedded(s, level, at, c);
	if (level == AT_ROOT && *type_of(s) && !str_eq(type_of(s), "object"))
		text_invalid(c, at, "type", json_get(s, "type"), "must be object at the root");
	check_type_meta(s, level, at, c);
}

static int by_text(const void *a, const void *b)
{
	const struct cause *x = a, *y = b;
	CLEANUP(mem_freep) char *tx = str_printf("%s: %s", x->field, x->message);
	CLEANUP(mem_freep) char *ty = str_printf("%s: %s", y->field, y->message);

	return strcmp(tx, ty);
}

/* ---- what may not be said ---- */
struct words {
	const char *no_defaults; /* why there may be none; NULL: they may be */
	bool in_meta;
};

static void check_unsupported(const struct json *s, const struct words *w, const char *at, struct causes *c)
{
	static const char *const types[] = { "array", "boolean", "integer", "number", "object", "string",
		NULL };
	static const char *const never[] = { "id", "additionalItems", "patternProperties", "definitions",
		"dependencies", "$ref" };

	if (*type_of(s) && !str_in(type_of(s), types)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.type", at);

		cause_not_supported(c, path, json_get(s, "type"), types);
	}
	if (w->no_defaults && says(s, "default")) {
		CLEANUP(mem_freep) char *detail = str_printf("must not be set %s", w->no_defaults);

		text_forbidden(c, at, "default", detail);
	}
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		CLEANUP(mem_freep) char *detail = str_printf("%s is not supported", never[i]);

		if (says(s, never[i]))
			text_forbidden(c, at, never[i], detail);
	}
	if (str_eq(type_of(s), "null"))
		text_forbidden(c, at, "type", "type cannot be set to null, use nullable as an alternative");
	if (json_len(json_get(s, "items")) > 0 && json_is_arr(json_get(s, "items")))
		text_forbidden(c, at, "items", "items must be a schema object and not an array");
	if (w->in_meta && is_true(s, "x-kubernetes-embedded-resource"))
		text_forbidden(
			c, at, "x-kubernetes-embedded-resource", "must not be used inside of resource meta");
	if (is_true(s, "uniqueItems"))
		text_forbidden(c, at, "uniqueItems",
			"uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
}

static void check_set_items(const struct json *items, const char *at, struct causes *c)
{
	const char *list = json_get_str(items, "x-kubernetes-list-type");
	static const char detail[] = "must be atomic as item of a list with x-kubernetes-list-type=set";
	CLEANUP(mem_freep) char *path = str_printf("%s.items", at);
	CLEANUP(mem_freep) char *member = NULL;

	if (str_eq(type_of(items), "array") && list && !str_eq(list, "atomic"))
		member = str_printf("%s.x-kubernetes-list-type", path);
	else if (str_eq(type_of(items), "object") &&
		 !str_eq(json_get_str(items, "x-kubernetes-map-type"), "atomic"))
		member = str_printf("%s.x-kubernetes-map-type", path);
	if (!member)
		return;
	/* Kubernetes shows the list type in both cases */
	if (list)
		cause_invalid(c, member, json_get(items, "x-kubernetes-list-type"), "%s", detail);
	else
		cause_text(c, "FieldValueInvalid", member, "Invalid value: null: %s", detail);
}

static void check_map_keys(const struct json *s, const struct json *items, const char *at, struct causes *c)
{
	const struct json *keys = json_get(s, "x-kubernetes-list-map-keys");

	JSON_EACH (it, keys) {
		const char *key = json_str_or(it.val, "");
		const struct json *p = json_get(json_get(items, "properties"), key);
		bool twice = false;

		if (p && (str_eq(type_of(p), "array") || str_eq(type_of(p), "object"))) {
			CLEANUP(mem_freep) char *path = str_printf("%s.items.properties[%s]", at, key);

			text_invalid(c, path, "type", json_get(items, "type"),
				"must be a scalar type if parent array's x-kubernetes-list-type is map");
		} else if (!p) {
			text_invalid(c, at, "x-kubernetes-list-map-keys", keys,
				"entries must all be names of item properties");
		}
		for (size_t i = 0; i < it.i; i++)
			twice |= str_eq(json_str(json_item(keys, i)), key);
		if (twice)
			text_invalid(c, at, "x-kubernetes-list-map-keys", keys,
				"must not contain duplicate entries");
	}
}

static void check_list_map(const struct json *s, const char *at, struct causes *c)
{
	const struct json *items = json_get(s, "items");

	if (json_len(json_get(s, "x-kubernetes-list-map-keys")) == 0)
		text_required(c, at, "x-kubernetes-list-map-keys",
			"must not be empty if x-kubernetes-list-type is map");
	if (!items || json_is_null(items))
		text_required(c, at, "items", "must have a schema if x-kubernetes-list-type is map");
	else if (!json_is_obj(items))
		text_invalid(c, at, "items", items,
			"must only have a single schema if x-kubernetes-list-type is map");
	else if (!str_eq(type_of(items), "object"))
		text_invalid(c, at, "items.type", json_get(items, "type"),
			"must be object if parent array's x-kubernetes-list-type is map");
	else
		check_map_keys(s, items, at, c);
}

/* Keys must be there, and not null; nor may the items be. */
static void check_item_presence(const struct json *s, const char *list, const char *at, struct causes *c)
{
	const struct json *items = json_get(s, "items");
	CLEANUP(mem_freep)
	char *detail = str_printf("cannot be nullable when x-kubernetes-list-type is %s", list);

	if (is_true(items, "nullable"))
		text_forbidden(c, at, "items.nullable", detail);
	if (!str_eq(list, "map"))
		return;
	JSON_EACH (it, json_get(s, "x-kubernetes-list-map-keys")) {
		const char *key = json_str_or(it.val, "");
		const struct json *p = json_get(json_get(items, "properties"), key);
		CLEANUP(mem_freep) char *path = str_printf("%s.items.properties[%s]", at, key);
		bool there = false;

		JSON_EACH (r, json_get(items, "required"))
			there |= str_eq(json_str(r.val), key);
		if (p && !there && !says(p, "default"))
			text_required(c, path, "default",
				"this property is in x-kubernetes-list-map-keys, so it must have a default "
				"or be "
				"a required property");
		if (is_true(p, "nullable"))
			text_forbidden(c, path, "nullable",
				"this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
	}
}

static void check_lists(const struct json *s, const char *at, struct causes *c)
{
	static const char *const known[] = { "atomic", "set", "map", NULL };
	const char *list = json_get_str(s, "x-kubernetes-list-type");
	const struct json *items = json_get(s, "items");

	if (list && !str_eq(type_of(s), "array"))
		bad_type(c, at, s, "must be array if x-kubernetes-list-type is specified");
	else if (str_eq(list, "set") && json_is_obj(items))
		check_set_items(items, at, c);
	if (list && !str_in(list, known)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.x-kubernetes-list-type", at);

		cause_not_supported(c, path, json_get(s, "x-kubernetes-list-type"), known);
	}
	if (json_len(json_get(s, "x-kubernetes-list-map-keys")) > 0) {
		if (!list)
			text_required(c, at, "x-kubernetes-list-type",
				"must be map if x-kubernetes-list-map-keys is non-empty");
		else if (!str_eq(list, "map"))
			text_invalid(c, at, "x-kubernetes-list-type", json_get(s, "x-kubernetes-list-type"),
				"must be map if x-kubernetes-list-map-keys is non-empty");
	}
	if (str_eq(list, "map"))
		check_list_map(s, at, c);
	if (json_is_obj(items) && (str_eq(list, "set") || str_eq(list, "map")))
		check_item_presence(s, list, at, c);
}

static void check_maps(const struct json *s, const char *at, struct causes *c)
{
	static const char *const known[] = { "atomic", "granular", NULL };
	const char *map = json_get_str(s, "x-kubernetes-map-type");
	const struct json *keeps = json_get(s, "x-kubernetes-preserve-unknown-fields");

	if (json_is_bool(keeps) && !json_bool(keeps))
		text_invalid(
			c, at, "x-kubernetes-preserve-unknown-fields", keeps, "must be true or undefined");
	if (map && !str_eq(type_of(s), "object"))
		bad_type(c, at, s, "must be object if x-kubernetes-map-type is specified");
	if (map && !str_in(map, known)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.x-kubernetes-map-type", at);

		cause_not_supported(c, path, json_get(s, "x-kubernetes-map-type"), known);
	}
}

static void check_words(
	const struct json *s, const struct words *w, bool root, const char *at, struct causes *c);

static void check_below(
	const struct json *s, const char *word, const struct words *w, const char *at, struct causes *c)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, word);

	if (json_is_obj(json_get(s, word)))
		check_words(json_get(s, word), w, false, path, c);
}

static void check_members(
	const struct json *s, const struct words *w, bool root, const char *at, struct causes *c)
{
	static const char *const meta[] = { "metadata", "kind", "apiVersion", NULL };

	JSON_EACH (it, json_get(s, "properties")) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, it.key);
		CLEANUP(mem_freep) char *why = str_printf("in top-level %s", it.key);
		struct words below = *w;

		if ((root || is_true(s, "x-kubernetes-embedded-resource")) && str_in(it.key, meta)) {
			below.in_meta = true;
			if (root)
				below.no_defaults = why;
		}
		check_words(it.val, &below, false, path, c);
	}
}

static void check_words(
	const struct json *s, const struct words *w, bool root, const char *at, struct causes *c)
{
	static const char *const arms[] = { "allOf", "oneOf", "anyOf" };
	const struct json *more = json_get(s, "additionalProperties");
	struct words below = *w;

	if (!json_is_obj(s))
		return;
	check_unsupported(s, w, at, c);
	if (json_len(json_get(s, "properties")) > 0 &&
		(json_is_obj(more) || (json_is_bool(more) && !json_bool(more))))
		text_forbidden(c, at, "additionalProperties",
			"additionalProperties and properties are mutual exclusive");
	if (w->in_meta)
		below.no_defaults = "inside additionalProperties applying to object metadata";
	check_below(s, "additionalProperties", &below, at, c);
	check_members(s, w, root, at, c);
	check_below(s, "not", w, at, c);
	for (size_t i = 0; i < ARRAY_LEN(arms); i++)
		JSON_EACH (it, json_get(s, arms[i])) {
			CLEANUP(mem_freep) char *path = str_printf("%s.%s[%zu]", at, arms[i], it.i);

			check_words(it.val, w, false, path, c);
		}
	check_below(s, "items", w, at, c);
	check_maps(s, at, c);
	check_lists(s, at, c);
}

/* ---- */
/* With a status of its own, .status is checked by what `properties` says of it: nothing else may speak of it. */
static void check_root_words(const struct json *s, const char *at, struct causes *c)
{
	static const char *const not_there[] = { "$schema", "$ref", "default", "enum", "maxProperties",
		"minProperties", "allOf", "oneOf", "anyOf", "not", "additionalProperties",
		"patternProperties", "dependencies", "additionalItems", "definitions", "nullable",
		"x-kubernetes-embedded-resource", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys",
		"x-kubernetes-list-type", "x-kubernetes-map-type" };

	if (*type_of(s) && !str_eq(type_of(s), "object")) {
		text_invalid(c, at, "type", json_get(s, "type"),
			"only \"object\" is allowed as the type at the root of the schema if the status "
			"subresource is "
			"enabled");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(not_there); i++) {
		if (!says(s, not_there[i]))
			continue;
		cause_invalid(c, at, s,
			"only [Description Type Format Title Maximum ExclusiveMaximum Minimum "
			"ExclusiveMinimum MaxLength "
			"MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items "
			"Properties ExternalDocs "
			"Example XPreserveUnknownFields XValidations] fields are allowed at the root of the "
			"schema if the "
			"status subresource is enabled");
		return;
	}
}

/* Kubernetes can not even read a schema that says these: then it tells nothing else that is wrong with its structure. */
static bool is_unreadable(const struct causes *c)
{
	for (size_t i = 0; i < c->len; i++)
		if (strstr(c->items[i].message, " is not supported") ||
			strstr(c->items[i].message, "items must be a schema object"))
			return true;
	return false;
}

static void give(const struct causes *from, struct causes *c)
{
	for (size_t i = 0; i < from->len; i++)
		cause_text(c, from->items[i].reason, from->items[i].field, "%s", from->items[i].message);
}

void schema_check(const struct json *s, const char *at, bool status, struct causes *c)
{
	CLEANUP(causes_done) struct causes found = { 0 };
	CLEANUP(causes_done) struct causes unsaid = { 0 };
	const struct words all = { 0 };

	if (status)
		check_root_words(s, at, c);
	if (is_true(s, "nullable"))
		text_forbidden(c, at, "nullable", "nullable cannot be true at the root");
	check_words(s, &all, true, at, &unsaid);
	if (!is_unreadable(&unsaid)) {
		structural(s, AT_ROOT, at, &found);
		complete(s, s, at, at, &found);
	}
	if (found.len > 1)
		qsort(found.items, found.len, sizeof(*found.items), by_text);
	give(&found, c);
	give(&unsaid, c);
}
