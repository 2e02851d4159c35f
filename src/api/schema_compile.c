/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema_int.h"

#include <string.h>

#include "api/fields.h"
#include "base/mem.h"

/* Everything of a compiled schema lives in its root's arena, apart from regular expressions and lists of strings. */
struct schema_own {
	struct arena *arena;
	struct json_doc *doc; /* defaults, enums, rules */
	struct re **res;
	size_t n_res, cap_res;
	struct strv **lists;
	size_t n_lists, cap_lists;
	struct schema_rules **rules;
	size_t n_rules, cap_rules;
};

/* Most nodes are leaves that say nothing but their type: one of each is enough. */
#define LEAVES_MAX 32

struct compiler {
	struct schema_own *own;
	struct causes *causes;
	struct schema *meta;
	struct schema *leaves[LEAVES_MAX], *spare;
	size_t n_leaves;
};

/* What a node stands for: decides what it may and must say. */
enum place { AT_ROOT, AT_FIELD, AT_ITEMS, AT_JUNCTOR };

static struct schema *compile(struct compiler *c, const struct json *j, const char *at, enum place place);

static uint64_t load8(const char *s)
{
	uint64_t w;

	memcpy(&w, s, sizeof(w));
	return w;
}

static uint64_t load4(const char *s)
{
	uint32_t w;

	memcpy(&w, s, sizeof(w));
	return w;
}

static uint64_t stir(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0xff51afd7ed558ccdu;
	return h ^ h >> 32;
}

/* Asked for each member of each object that is written: eight bytes at a time, the last of them for a second time where
 * the length does not divide. The names in the table are a schema's; who may write one gains nothing by names that collide. */
uint32_t schema_hash(const char *s, size_t len)
{
	uint64_t h = len * 0x9e3779b97f4a7c15u;

	for (size_t at = 0; at + 8 < len; at += 8)
		h = stir(h, load8(s + at));
	if (len >= 8)
		h = stir(h, load8(s + len - 8));
	else if (len >= 4)
		h = stir(h, load4(s) << 32 | load4(s + len - 4));
	else if (len > 0)
		h = stir(h, (uint64_t)(unsigned char)s[0] << 16 | (uint64_t)(unsigned char)s[len / 2] << 8 |
				    (unsigned char)s[len - 1]);
	return (uint32_t)h;
}

static void required(struct compiler *c, const char *at, const char *member, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	cause_required(c->causes, path, detail);
}

static void forbidden(struct compiler *c, const char *at, const char *member, const char *detail)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	cause_forbidden(c->causes, path, "%s", detail);
}

static const char *keep_str(struct compiler *c, const char *s)
{
	return arena_strdup(c->own->arena, s);
}

static struct strv *own_list(struct compiler *c, struct strv *v)
{
	struct schema_own *o = c->own;

	o->lists = mem_grow(o->lists, &o->cap_lists, o->n_lists + 1, sizeof(*o->lists));
	o->lists[o->n_lists++] = v;
	return v;
}

static void read_strings(struct compiler *c, const struct json *list, struct strv *v)
{
	if (!json_len(list))
		return;
	own_list(c, v);
	JSON_EACH (it, list)
		if (json_is_str(it.val))
			strv_add(v, json_str(it.val));
}

static void read_type(
	struct compiler *c, struct schema *s, const struct json *j, const char *at, enum place place)
{
	static const char *const names[] = { "", "object", "array", "string", "integer", "number", "boolean",
		NULL };
	const struct json *t = json_get(j, "type");
	CLEANUP(mem_freep) char *path = str_printf("%s.type", at);

	if (!str_empty(json_str(t))) {
		for (size_t i = 1; names[i]; i++)
			if (str_eq(names[i], json_str(t)))
				s->type = (enum schema_type)i;
		if (s->type == ST_ANY)
			cause_not_supported(c->causes, path, t, names + 1);
		return;
	}
	if (place == AT_JUNCTOR || (s->flags & (SF_INT_OR_STRING | SF_PRESERVE)))
		return;
	cause_required(c->causes, path,
		place == AT_ROOT    ? "must not be empty at the root"
		: place == AT_ITEMS ? "must not be empty for specified array items"
				    : "must not be empty for specified object fields");
}

static void read_flags(struct schema *s, const struct json *j)
{
	static const struct {
		const char *key;
		unsigned flag;
	} flags[] = {
		{ "nullable", SF_NULLABLE },
		{ "x-kubernetes-int-or-string", SF_INT_OR_STRING },
		{ "x-kubernetes-preserve-unknown-fields", SF_PRESERVE },
		{ "x-kubernetes-embedded-resource", SF_EMBEDDED },
		{ "exclusiveMinimum", SF_EXCLUSIVE_MIN },
		{ "exclusiveMaximum", SF_EXCLUSIVE_MAX },
	};
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (json_bool(json_get(j, flags[i].key)))
			s->flags |= flags[i].flag;
	if ((s->flags & SF_INT_OR_STRING) && str_eq(json_get_str(j, "pattern"), FIELDS_QUANTITY_PATTERN))
		s->flags |= SF_QUANTITY;
	if (str_eq(json_get_str(j, "x-kubernetes-map-type"), "atomic"))
		s->flags |= SF_MAP_ATOMIC;
	const char *strategy = json_get_str(j, "x-kubernetes-patch-strategy");
	if (strategy && strstr(strategy, "merge"))
		s->flags |= SF_MERGES;
	if (strategy && strstr(strategy, "retainKeys"))
		s->flags |= SF_RETAIN_KEYS;
}

static int64_t read_count(const struct json *j, const char *key)
{
	const struct json *v = json_get(j, key);

	return json_is_num(v) ? json_i64(v) : -1;
}

static void read_numbers(struct schema *s, const struct json *j)
{
	const struct json *min = json_get(j, "minimum"), *max = json_get(j, "maximum");

	if (json_is_num(min)) {
		s->flags |= SF_HAS_MIN;
		s->min = json_num(min);
	}
	if (json_is_num(max)) {
		s->flags |= SF_HAS_MAX;
		s->max = json_num(max);
	}
	s->multiple_of = json_num(json_get(j, "multipleOf"));
	s->min_len = read_count(j, "minLength");
	s->max_len = read_count(j, "maxLength");
	s->min_items = read_count(j, "minItems");
	s->max_items = read_count(j, "maxItems");
	s->min_props = read_count(j, "minProperties");
	s->max_props = read_count(j, "maxProperties");
}

static void read_texts(struct compiler *c, struct schema *s, const struct json *j, const char *at)
{
	const char *pattern = json_get_str(j, "pattern"), *format = json_get_str(j, "format");
	struct schema_own *o = c->own;
	struct err e = { 0 };

	if (!str_empty(pattern)) {
		if (re_compile(pattern, &s->pattern, &e) < 0) {
			CLEANUP(mem_freep) char *path = str_printf("%s.pattern", at);
			cause_invalid(c->causes, path, json_get(j, "pattern"),
				"must be a valid regular expression, but isn't: %s", e.msg);
		} else {
			o->res = mem_grow(o->res, &o->cap_res, o->n_res + 1, sizeof(struct re *));
			o->res[o->n_res++] = s->pattern;
			s->pattern_text = keep_str(c, pattern);
		}
	}
	if (str_eq(format, "int32"))
		s->flags |= SF_INT32;
	s->check_format = schema_format(format);
	if (s->check_format)
		s->format = keep_str(c, format);
	if (json_len(json_get(j, "enum")))
		s->enums = json_copy(o->doc, json_get(j, "enum"));
}

/* Most definitions never have an object: rules are compiled when they are first needed (schema_rules.c). */
static void read_rules(struct compiler *c, struct schema *s, const struct json *j)
{
	const struct json *rules = json_get(j, "x-kubernetes-validations");
	struct schema_own *o = c->own;

	if (!json_len(rules))
		return;
	s->rules = json_copy(o->doc, rules);
	s->rule_set = schema_rules_new();
	s->flags |= SF_HAS_RULES;
	o->rules = mem_grow(o->rules, &o->cap_rules, o->n_rules + 1, sizeof(struct schema_rules *));
	o->rules[o->n_rules++] = s->rule_set;
}

static void hash_props(struct compiler *c, struct schema *s)
{
	uint32_t cap = 4;

	while (cap < s->n_props * 2)
		cap *= 2;
	s->mask = cap - 1;
	s->slots = arena_alloc(c->own->arena, cap * sizeof(*s->slots));
	for (size_t i = 0; i < s->n_props; i++) {
		uint32_t at = s->props[i].hash & s->mask;

		while (s->slots[at])
			at = (at + 1) & s->mask;
		s->slots[at] = (uint32_t)i + 1;
	}
}

static void inherit(struct schema *s, const struct schema *below)
{
	if (below)
		s->flags |= below->flags & (SF_HAS_DEFAULT | SF_HAS_RULES);
}

static void read_props(
	struct compiler *c, struct schema *s, const struct json *j, const char *at, enum place place)
{
	const struct json *props = json_get(j, "properties");
	enum place below = place == AT_JUNCTOR ? AT_JUNCTOR : AT_FIELD;

	if (!json_len(props))
		return;
	s->props = arena_alloc(c->own->arena, json_len(props) * sizeof(*s->props));
	JSON_EACH (it, props) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, it.key);
		struct schema_prop *p = &s->props[s->n_props++];

		p->name = arena_strndup(c->own->arena, it.key, it.key_len);
		p->len = it.key_len;
		p->hash = schema_hash(it.key, it.key_len);
		p->s = compile(c, it.val, path, below);
		s->n_defaulted += p->s->deflt != NULL;
		inherit(s, p->s);
	}
	hash_props(c, s);
	if (!s->n_defaulted)
		return;
	s->defaulted = arena_alloc(c->own->arena, s->n_defaulted * sizeof(struct schema_prop *));
	for (size_t i = 0, n = 0; i < s->n_props; i++)
		if (s->props[i].s->deflt)
			s->defaulted[n++] = &s->props[i];
}

static void read_additional(
	struct compiler *c, struct schema *s, const struct json *j, const char *at, enum place place)
{
	const struct json *add = json_get(j, "additionalProperties");

	if (json_is_null(add))
		return;
	if (json_len(json_get(j, "properties")) && !json_bool(add))
		forbidden(c, at, "additionalProperties",
			"additionalProperties and properties are mutual exclusive");
	if (json_is_bool(add)) { /* false says nothing: unknown members are pruned anyway */
		if (json_bool(add))
			s->flags |= SF_ANY_MEMBERS;
		return;
	}
	CLEANUP(mem_freep) char *path = str_printf("%s.additionalProperties", at);
	s->additional = compile(c, add, path, place == AT_JUNCTOR ? AT_JUNCTOR : AT_FIELD);
	inherit(s, s->additional);
}

/* Keys of a list-map must be fields of its items, and present: required or defaulted. */
static void check_list_keys(struct compiler *c, const struct schema *s, const char *at)
{
	const struct schema *items = s->items;

	if (!s->list_keys.len)
		required(c, at, "x-kubernetes-list-map-keys",
			"must not be empty if x-kubernetes-list-type is map");
	if (!items || items->type != ST_OBJECT) {
		CLEANUP(mem_freep) char *path = str_printf("%s.items.type", at);
		cause_invalid(c->causes, path, NULL,
			"must be object if parent array's x-kubernetes-list-type is map");
		return;
	}
	for (size_t i = 0; i < s->list_keys.len; i++) {
		const char *key = s->list_keys.items[i];
		const struct schema *p = schema_prop_of(items, key, strlen(key));
		CLEANUP(mem_freep) char *path = str_printf("%s.x-kubernetes-list-map-keys[%zu]", at, i);

		if (!p || p == items->additional)
			cause_invalid(
				c->causes, path, NULL, "'%s' must have a schema in items.properties", key);
		else if (!p->deflt && !strv_has(&items->required, key))
			cause_required(c->causes, path,
				"this property is in x-kubernetes-list-map-keys, so it must have a "
				"default or be a required property");
	}
}

static void read_list(
	struct compiler *c, struct schema *s, const struct json *j, const char *at, enum place place)
{
	const struct json *items = json_get(j, "items");
	const char *type = json_get_str(j, "x-kubernetes-list-type");

	if (json_is_obj(items)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.items", at);
		s->items = compile(c, items, path, place == AT_JUNCTOR ? AT_JUNCTOR : AT_ITEMS);
		inherit(s, s->items);
	} else if (s->type == ST_ARRAY) {
		required(c, at, "items", "must be specified");
	}
	read_strings(c, json_get(j, "x-kubernetes-list-map-keys"), &s->list_keys);
	if (str_eq(type, "map")) {
		s->list_type = SCHEMA_LIST_MAP;
		check_list_keys(c, s, at);
	} else if (str_eq(type, "set")) {
		s->list_type = SCHEMA_LIST_SET;
	} else if (type && !str_eq(type, "atomic")) {
		static const char *const known[] = { "atomic", "map", "set", NULL };
		CLEANUP(mem_freep) char *path = str_printf("%s.x-kubernetes-list-type", at);
		cause_not_supported(c->causes, path, json_get(j, "x-kubernetes-list-type"), known);
	}
	if (type && s->type != ST_ARRAY)
		required(c, at, "type", "must be array if x-kubernetes-list-type is specified");
	s->merge_key = keep_str(c, json_get_str(j, "x-kubernetes-patch-merge-key"));
	if (!s->merge_key && s->list_type == SCHEMA_LIST_MAP && s->list_keys.len)
		s->merge_key = s->list_keys.items[0];
}

/* [{type: integer}, {type: string}], which says no more than x-kubernetes-int-or-string does */
static bool is_int_or_string_pair(const struct json *any)
{
	return json_len(any) == 2 && json_len(json_item(any, 0)) == 1 && json_len(json_item(any, 1)) == 1 &&
	       str_eq(json_get_str(json_item(any, 0), "type"), "integer") &&
	       str_eq(json_get_str(json_item(any, 1), "type"), "string");
}

static bool is_redundant(
	const struct schema *s, const char *word, const struct json *list, const struct json *one)
{
	if (!(s->flags & SF_INT_OR_STRING))
		return false;
	if (str_eq(word, "anyOf"))
		return is_int_or_string_pair(list);
	return str_eq(word, "allOf") && json_len(one) == 1 && is_int_or_string_pair(json_get(one, "anyOf"));
}

static void read_junctor(struct compiler *c, const struct schema *s, const struct json *j, const char *word,
	const char *at, struct schema_arms *out)
{
	const struct json *list = json_get(j, word);

	if (!json_len(list))
		return;
	out->items = arena_alloc(c->own->arena, json_len(list) * sizeof(struct schema *));
	JSON_EACH (it, list) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s[%zu]", at, word, it.i);

		if (!is_redundant(s, word, list, it.val))
			out->items[out->n++] = compile(c, it.val, path, AT_JUNCTOR);
	}
}

static void read_junctors(struct compiler *c, struct schema *s, const struct json *j, const char *at)
{
	const struct json *no = json_get(j, "not");

	read_junctor(c, s, j, "allOf", at, &s->all_of);
	read_junctor(c, s, j, "anyOf", at, &s->any_of);
	read_junctor(c, s, j, "oneOf", at, &s->one_of);
	if (json_is_obj(no)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.not", at);
		s->not_of = compile(c, no, path, AT_JUNCTOR);
	}
}

/* What structural schemas may not say at all, and what the arms of allOf, anyOf, oneOf and not may not. */
static void check_words(struct compiler *c, const struct json *j, const char *at, enum place place)
{
	static const char *const never[] = { "$ref", "definitions", "dependencies", "patternProperties",
		"additionalItems", "id", NULL };
	static const char *const not_in_junctors[] = { "type", "default", "additionalProperties", "nullable",
		"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
		"x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-map-type",
		"x-kubernetes-list-map-keys", "x-kubernetes-validations", NULL };

	if (json_bool(json_get(j, "uniqueItems")))
		forbidden(c, at, "uniqueItems",
			"uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
	JSON_EACH (it, j) {
		if (json_is_null(it.val))
			continue;
		if (str_in(it.key, never))
			forbidden(c, at, it.key,
				str_eq(it.key, "$ref") ? "$ref is not supported" : "must not be used");
		else if (place == AT_JUNCTOR && str_in(it.key, not_in_junctors))
			forbidden(c, at, it.key, "must be empty to be structural");
	}
}

static void read_default(struct compiler *c, struct schema *s, const struct json *j, const char *at)
{
	const struct json *d = json_get(j, "default");

	if (!d || json_is_null(d)) /* null is no default */
		return;
	s->deflt = json_copy(c->own->doc, d);
	s->flags |= SF_HAS_DEFAULT;
	CLEANUP(causes_done) struct causes wrong = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *pruned = json_doc_new();
	json_set_root(pruned, json_copy(pruned, d));
	schema_prune(s, json_root(pruned), NULL);
	if (!json_eq(json_root(pruned), d)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.default", at);
		cause_invalid(c->causes, path, d, "must not have unknown fields");
	}
	schema_validate_values(s, s->deflt, NULL, &wrong);
	for (size_t i = 0; i < wrong.len; i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.default", at);
		cause_text(c->causes, wrong.items[i].reason, path, "%s", wrong.items[i].message);
	}
}

/* Without anything of its own that is allocated: what equals it byte by byte means the same. */
static bool is_leaf(const struct schema *s)
{
	return !s->props && !s->additional && !s->items && !s->meta && !s->required.items &&
	       !s->list_keys.items && !s->merge_key && !s->deflt && !s->enums && !s->pattern && !s->format &&
	       !s->all_of.items && !s->any_of.items && !s->one_of.items && !s->not_of && !s->rules;
}

static struct schema *shared_leaf(struct compiler *c, struct schema *s)
{
	if (!is_leaf(s))
		return s;
	for (size_t i = 0; i < c->n_leaves; i++) {
		if (memcmp(c->leaves[i], s, sizeof(*s)) == 0) {
			memset(s, 0, sizeof(*s));
			c->spare = s;
			return c->leaves[i];
		}
	}
	if (c->n_leaves < LEAVES_MAX)
		c->leaves[c->n_leaves++] = s;
	return s;
}

static struct schema *compile(struct compiler *c, const struct json *j, const char *at, enum place place)
{
	struct schema *s = c->spare ? TAKE(c->spare) : arena_alloc(c->own->arena, sizeof(*s));

	if (place == AT_ROOT)
		s->flags |= SF_ROOT;
	check_words(c, j, at, place);
	read_flags(s, j);
	if (place != AT_JUNCTOR || json_get(j, "type"))
		read_type(c, s, j, at, place);
	if ((s->flags & SF_EMBEDDED) && s->type != ST_OBJECT)
		required(c, at, "type", "must be object if x-kubernetes-embedded-resource is true");
	if (s->flags & (SF_ROOT | SF_EMBEDDED))
		s->meta = c->meta;
	read_strings(c, json_get(j, "required"), &s->required);
	read_props(c, s, j, at, place);
	read_additional(c, s, j, at, place);
	read_list(c, s, j, at, place);
	read_numbers(s, j);
	read_texts(c, s, j, at);
	read_junctors(c, s, j, at);
	read_rules(c, s, j);
	read_default(c, s, j, at);
	return place == AT_ROOT ? s : shared_leaf(c, s);
}

static struct schema *compile_meta(struct compiler *c)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct schema *s;

	json_set_root(d, fields_schema(d, &schema_meta_table));
	s = compile(c, json_root(d), "metadata", AT_FIELD);
	return s;
}

static void own_free(struct schema_own *o)
{
	for (size_t i = 0; i < o->n_res; i++)
		re_free(o->res[i]);
	for (size_t i = 0; i < o->n_lists; i++)
		strv_done(o->lists[i]);
	for (size_t i = 0; i < o->n_rules; i++)
		schema_rules_free(o->rules[i]);
	free(o->rules);
	free(o->res);
	free(o->lists);
	json_doc_free(o->doc);
	arena_free(o->arena);
	free(o);
}

int schema_compile(const struct json *openapi_v3, const char *at, struct schema **ret, struct causes *causes,
	struct err *e)
{
	CLEANUP(causes_done) struct causes local = { 0 };
	struct schema_own *own = MEM_NEW(struct schema_own);
	struct compiler c = { .own = own, .causes = causes ? causes : &local };
	size_t before = c.causes->len + c.causes->dropped;

	own->arena = arena_new();
	own->doc = json_doc_new();
	c.meta = compile_meta(&c);
	struct schema *s = compile(&c, openapi_v3, at ? at : "", AT_ROOT);
	if (s->type != ST_OBJECT)
		required(&c, at ? at : "", "type", "must be object at the root");
	if (c.causes->len + c.causes->dropped > before) {
		causes_to_err(c.causes, NULL, NULL, e);
		own_free(own);
		return -1;
	}
	s->own = own;
	*ret = s;
	return 0;
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	MUST(s->own); /* only a root can be freed */
	own_free(s->own);
}

/* ---- steps ---- */

const struct schema *schema_prop_of(const struct schema *s, const char *key, size_t len)
{
	if (s->slots) {
		uint32_t h = schema_hash(key, len);

		for (uint32_t at = h & s->mask; s->slots[at]; at = (at + 1) & s->mask) {
			const struct schema_prop *p = &s->props[s->slots[at] - 1];

			if (p->hash == h && p->len == len && memcmp(p->name, key, len) == 0)
				return p->s;
		}
	}
	return s->additional;
}

bool schema_is_type_meta(const struct schema *s, const char *key, size_t len)
{
	if (!(s->flags & (SF_ROOT | SF_EMBEDDED)))
		return false;
	return (len == 4 && memcmp(key, "kind", 4) == 0) || (len == 8 && memcmp(key, "metadata", 8) == 0) ||
	       (len == 10 && memcmp(key, "apiVersion", 10) == 0);
}

const struct schema *schema_member(const struct schema *s, const char *key)
{
	if (!s || !key)
		return NULL;
	if (s->meta && strcmp(key, "metadata") == 0)
		return s->meta;
	return schema_prop_of(s, key, strlen(key));
}

const struct schema *schema_items(const struct schema *s)
{
	return s ? s->items : NULL;
}

const char *schema_merge_key(const struct schema *list)
{
	return list ? list->merge_key : NULL;
}

bool schema_merges(const struct schema *list)
{
	return list && (list->flags & SF_MERGES);
}

bool schema_retain_keys(const struct schema *s)
{
	return s && (s->flags & SF_RETAIN_KEYS);
}

enum schema_list schema_list_type(const struct schema *s)
{
	return s ? s->list_type : SCHEMA_LIST_ATOMIC;
}

const struct strv *schema_list_keys(const struct schema *s)
{
	return s ? &s->list_keys : NULL;
}

bool schema_map_atomic(const struct schema *s)
{
	return s && (s->flags & SF_MAP_ATOMIC);
}
