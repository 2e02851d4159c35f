/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fields.h"

#include <string.h>

#include "base/mem.h"

#define REF_DEPTH_MAX 24 /* a table that contains itself ends here, with "anything" */

/* What is passed down while a schema is made. */
struct maker {
	struct json_doc *d;
	bool patch_keys; /* strategic merge keys beside list-map keys: built-in kinds only, CRDs have no such words */
	fields_ref_fn *ref; /* or NULL: everything inlined */
	void *ref_arg;
	const struct field_table *chain[REF_DEPTH_MAX];
	size_t depth;
};

static struct json *table_schema(struct maker *m, const struct field_table *t);

static bool is_ref(enum field_type t)
{
	return t == F_REF || t == F_REF_LIST || t == F_REF_MAP;
}

/* One step of a row's path: a name followed by any number of "[]" and "{}". */
struct step {
	const char *name;
	size_t len;
	const char *tail; /* at "[]", "{}" or the end of the step */
	size_t tail_len;
};

static bool next_step(const char **p, struct step *s)
{
	if (!**p)
		return false;
	s->name = *p;
	s->len = strcspn(*p, ".[{");
	s->tail = *p + s->len;
	s->tail_len = strcspn(s->tail, ".");
	*p = s->tail + s->tail_len;
	if (**p == '.')
		(*p)++;
	return true;
}

/* ---- schemas ---- */

static void set_type(struct json_doc *d, struct json *s, const char *type, const char *format)
{
	json_set_str(d, s, "type", type);
	if (format)
		json_set_str(d, s, "format", format);
}

static void set_int_or_string(struct json_doc *d, struct json *s)
{
	static const char *const types[] = { "integer", "string" };
	struct json *any = json_need_arr(d, s, "anyOf");

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct json *t = json_new_obj(d);

		json_set_str(d, t, "type", types[i]);
		json_append(d, any, t);
	}
	json_set_bool(d, s, "x-kubernetes-int-or-string", true);
}

static void put_scalar(struct json_doc *d, struct json *s, enum field_type type)
{
	switch (type) {
	case F_STRING:
		set_type(d, s, "string", NULL);
		break;
	case F_INT:
		set_type(d, s, "integer", "int64");
		break;
	case F_INT32:
		set_type(d, s, "integer", "int32");
		break;
	case F_BOOL:
		set_type(d, s, "boolean", NULL);
		break;
	case F_NUMBER:
		set_type(d, s, "number", "double");
		break;
	case F_QUANTITY:
		json_set_str(d, s, "pattern", FIELDS_QUANTITY_PATTERN);
		set_int_or_string(d, s);
		break;
	case F_INT_OR_STRING:
		set_int_or_string(d, s);
		break;
	case F_TIME:
		set_type(d, s, "string", "date-time");
		json_set_bool(d, s, "nullable", true);
		break;
	case F_BYTES:
		set_type(d, s, "string", "byte");
		break;
	case F_ANY:
		json_set_bool(d, s, "x-kubernetes-preserve-unknown-fields", true);
		break;
	case F_OBJECT:
	case F_MAP:
	case F_REF:
	case F_REF_MAP:
		set_type(d, s, "object", NULL);
		break;
	case F_LIST:
	case F_REF_LIST:
		set_type(d, s, "array", NULL);
		break;
	}
}

static struct json *scalar_schema(struct json_doc *d, enum field_type type)
{
	struct json *s = json_new_obj(d);

	put_scalar(d, s, type);
	return s;
}

/* Lists in a map are lists of strings. */
static struct json *value_schema(struct json_doc *d, enum field_type type)
{
	struct json *s = scalar_schema(d, type);

	if (type == F_LIST)
		json_set(d, s, "items", scalar_schema(d, F_STRING));
	return s;
}

static struct json *ref_schema(struct maker *m, const struct field_table *t)
{
	CLEANUP(mem_freep) char *where = m->ref && t && t->name ? m->ref(m->ref_arg, t) : NULL;
	size_t same = 0;

	if (where) {
		struct json *s = json_new_obj(m->d);

		json_set_str(m->d, s, "$ref", where);
		return s;
	}
	for (size_t i = 0; i < m->depth; i++)
		same += m->chain[i] == t;
	if (same > 0 || m->depth == REF_DEPTH_MAX || !t)
		return scalar_schema(m->d, F_ANY);
	return table_schema(m, t);
}

static void set_json_text(struct json_doc *d, struct json *s, const char *key, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *v = json_parse(text, strlen(text), NULL);

	if (v)
		json_set_copy(d, s, key, json_root(v));
}

static void set_enums(struct json_doc *d, struct json *s, const struct field *f)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(f->enums);
	struct json *list = json_need_arr(d, s, "enum");
	char *rest = copy;

	for (char *one; (one = str_next(&rest, '|'));) {
		int64_t n;

		if ((f->type == F_INT || f->type == F_INT32) && str_to_i64(one, INT64_MIN, INT64_MAX, &n))
			json_append(d, list, json_new_i64(d, n));
		else
			json_append_str(d, list, one);
	}
}

/* min and max are lengths for strings, lists and maps. */
static void set_bounds(struct json_doc *d, struct json *s, const struct field *f)
{
	const char *min = "minimum", *max = "maximum";
	bool size = true;

	switch (f->type) {
	case F_STRING:
	case F_BYTES:
		min = "minLength", max = "maxLength";
		break;
	case F_LIST:
	case F_REF_LIST:
		min = "minItems", max = "maxItems";
		break;
	case F_MAP:
	case F_REF_MAP:
	case F_OBJECT:
		min = "minProperties", max = "maxProperties";
		break;
	default:
		size = false;
	}
	if (f->min == 0 && f->max == 0)
		return;
	if (!size || f->min > 0)
		json_set_i64(d, s, min, f->min);
	if (f->max > f->min || (f->max == f->min && f->max))
		json_set_i64(d, s, max, f->max);
}

static void set_list_kind(struct maker *m, struct json *s, const struct field *f)
{
	bool list = f->type == F_LIST || f->type == F_REF_LIST;
	struct json_doc *d = m->d;

	if (f->flags & FIELD_ATOMIC)
		json_set_str(d, s, list ? "x-kubernetes-list-type" : "x-kubernetes-map-type", "atomic");
	else if (f->flags & FIELD_SET)
		json_set_str(d, s, "x-kubernetes-list-type", "set");
	else if (f->flags & FIELD_LIST_MAP)
		json_set_str(d, s, "x-kubernetes-list-type", "map");
	if (f->keys && (f->flags & FIELD_LIST_MAP)) {
		CLEANUP(mem_freep) char *copy = mem_strdup(f->keys);
		struct json *keys = json_need_arr(d, s, "x-kubernetes-list-map-keys");
		char *rest = copy;

		for (char *one; (one = str_next(&rest, ','));)
			json_append_str(d, keys, one);
	}
}

static void set_patch_kind(struct maker *m, struct json *s, const struct field *f)
{
	bool merge_keys =
		f->keys && !(f->flags & FIELD_REPLACE) && (m->patch_keys || !(f->flags & FIELD_LIST_MAP));
	bool merges = merge_keys || (f->flags & FIELD_MERGE);

	if ((f->flags & FIELD_REPLACE) && !f->keys)
		json_set_str(m->d, s, "x-kubernetes-patch-strategy", "replace");
	if (merge_keys) {
		const char *comma = strchrnul(f->keys, ',');

		json_set(m->d, s, "x-kubernetes-patch-merge-key",
			json_new_strn(m->d, f->keys, (size_t)(comma - f->keys)));
	}
	if (merges || (f->flags & FIELD_RETAIN_KEYS))
		json_set_str(m->d, s, "x-kubernetes-patch-strategy",
			!merges                          ? "retainKeys"
			: (f->flags & FIELD_RETAIN_KEYS) ? "merge,retainKeys"
							 : "merge");
}

static void set_doc(struct json_doc *d, struct json *s, const struct field *f)
{
	if (!f->doc)
		return;
	if ((f->flags & FIELD_DEPRECATED) && !str_starts(f->doc, "Deprecated"))
		json_set_strf(d, s, "description", "Deprecated: %s", f->doc);
	else
		json_set_str(d, s, "description", f->doc);
}

static void set_immutable(struct json_doc *d, struct json *s)
{
	struct json *rule = json_new_obj(d);

	json_set_str(d, rule, "rule", "self == oldSelf");
	json_set_str(d, rule, "message", "field is immutable");
	json_append(d, json_need_arr(d, s, "x-kubernetes-validations"), rule);
}

/* A reference takes no words beside itself, so the row's own stand around it. */
static struct json *single_ref_schema(struct maker *m, const struct field_table *t)
{
	struct json *s = ref_schema(m, t), *around;

	if (!json_get(s, "$ref"))
		return s;
	around = json_new_obj(m->d);
	json_append(m->d, json_need_arr(m->d, around, "allOf"), s);
	return around;
}

static struct json *field_schema(struct maker *m, const struct field *f)
{
	struct json_doc *d = m->d;
	struct json *s = f->type == F_REF ? single_ref_schema(m, f->ref) : scalar_schema(d, f->type);

	if (f->type == F_REF_LIST)
		json_set(d, s, "items", ref_schema(m, f->ref));
	else if (f->type == F_REF_MAP)
		json_set(d, s, "additionalProperties", ref_schema(m, f->ref));
	else if (f->type == F_LIST)
		json_set(d, s, "items", scalar_schema(d, f->items));
	else if (f->type == F_MAP)
		json_set(d, s, "additionalProperties", value_schema(d, f->items));
	set_doc(d, s, f);
	if (f->format)
		json_set_str(d, s, "format", f->format);
	if (f->pattern)
		json_set_str(d, s, "pattern", f->pattern);
	if (f->enums)
		set_enums(d, s, f);
	set_bounds(d, s, f);
	if (f->flags & FIELD_NULLABLE)
		json_set_bool(d, s, "nullable", true);
	set_list_kind(m, s, f);
	set_patch_kind(m, s, f);
	if (f->flags & FIELD_OPEN)
		json_set_bool(d, s, "x-kubernetes-preserve-unknown-fields", true);
	if (f->flags & FIELD_EMBEDDED) {
		json_set_str(d, s, "type", "object");
		json_set_bool(d, s, "x-kubernetes-embedded-resource", true);
		json_set_bool(d, s, "x-kubernetes-preserve-unknown-fields", true);
	}
	if (f->flags & FIELD_IMMUTABLE)
		set_immutable(d, s);
	if (f->deflt)
		set_json_text(d, s, "default", f->deflt);
	return s;
}

/* The schema that holds the last step's property; NULL when a parent is unknown. */
static struct json *holder_of(struct json *root, const char *path, struct step *ret_last)
{
	struct json *at = root;
	struct step s;

	while (next_step(&path, &s)) {
		*ret_last = s;
		if (!*path)
			return at;
		at = json_getn(json_get(at, "properties"), s.name, s.len);
		for (size_t i = 0; i + 1 < s.tail_len && at; i += 2)
			at = json_get(at, s.tail[i] == '[' ? "items" : "additionalProperties");
		if (!at)
			return NULL;
	}
	return NULL;
}

static void add_row(struct maker *m, struct json *root, const struct field *f)
{
	struct step last;
	struct json *holder = holder_of(root, f->path, &last);

	if (!holder || last.tail_len)
		return; /* fields_check() reports it */
	CLEANUP(mem_freep) char *name = mem_strndup(last.name, last.len);
	json_set(m->d, json_need_obj(m->d, holder, "properties"), name, field_schema(m, f));
	if (f->flags & FIELD_REQUIRED)
		json_append_str(m->d, json_need_arr(m->d, holder, "required"), name);
}

static void add_rows(struct maker *m, struct json *root, const struct field_table *t)
{
	MUST(m->depth < REF_DEPTH_MAX);
	m->chain[m->depth++] = t;
	for (size_t i = 0; i < t->n; i++)
		add_row(m, root, &t->rows[i]);
	m->depth--;
}

static struct json *table_schema(struct maker *m, const struct field_table *t)
{
	struct json *s = json_new_obj(m->d);

	json_set_str(m->d, s, "type", "object");
	if (t->doc)
		json_set_str(m->d, s, "description", t->doc);
	if (t->atomic)
		json_set_str(m->d, s, "x-kubernetes-map-type", "atomic");
	add_rows(m, s, t);
	return s;
}

static struct maker maker_for(struct json_doc *d, const struct field_table *t)
{
	return (struct maker){ .d = d, .patch_keys = str_starts(t->name, "io.k8s.") };
}

struct json *fields_schema(struct json_doc *d, const struct field_table *t)
{
	struct maker m = maker_for(d, t);

	return table_schema(&m, t);
}

struct json *fields_schema_refs(
	struct json_doc *d, const struct field_table *t, fields_ref_fn *ref, void *arg)
{
	struct maker m = maker_for(d, t);

	m.ref = ref;
	m.ref_arg = arg;
	return table_schema(&m, t);
}

struct json_doc *fields_kind_schema(const struct field_table *t)
{
	static const struct field head[] = {
		{ "apiVersion", F_STRING, 0,
			"Version of the schema this object is written in, with its group." },
		{ "kind", F_STRING, 0, "Kind of the object." },
		{ "metadata", F_OBJECT, 0, NULL }, /* a definition must say nothing else of it */
	};
	struct json_doc *d = json_doc_new();
	struct maker m = maker_for(d, t);
	struct json *s = json_new_obj(d);

	json_set_root(d, s);
	json_set_str(d, s, "type", "object");
	if (t->doc)
		json_set_str(d, s, "description", t->doc);
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		add_row(&m, s, &head[i]);
	add_rows(&m, s, t);
	return d;
}

/* ---- looking up ---- */

/* How much of a concrete path a row's path covers: *ret_rest behind it. An index stands for "[]", any one segment for
 * "{}". */
static bool row_covers(const char *row, const char *path, const char **ret_rest)
{
	struct step s;

	while (next_step(&row, &s)) {
		if (strncmp(path, s.name, s.len) != 0 || (path[s.len] && path[s.len] != '.'))
			return false;
		path += s.len;
		for (size_t i = 0; i + 1 < s.tail_len; i += 2) {
			if (*path != '.')
				return false;
			size_t n = strcspn(path + 1, ".");
			if (s.tail[i] == '[' && strspn(path + 1, "0123456789") != n)
				return false;
			path += 1 + n;
		}
		if (!*row)
			break;
		if (*path != '.')
			return false;
		path++;
	}
	*ret_rest = *path == '.' ? path + 1 : path;
	return true;
}

/* Inside a row that has no rows of its own: scalars of a list or map, anything. */
static bool holds_rest(const struct field *f, const char *rest)
{
	switch (f->type) {
	case F_ANY:
	case F_MAP:
		return true;
	case F_LIST:
		return strspn(rest, "0123456789") == strlen(rest) || f->items == F_ANY || f->items == F_MAP;
	case F_OBJECT:
		return f->flags & (FIELD_EMBEDDED | FIELD_OPEN);
	default:
		return false;
	}
}

static const struct field *find_in_ref(const struct field *f, const char *rest)
{
	if (f->type != F_REF) {
		size_t n = strcspn(rest, ".");

		if (f->type == F_REF_LIST && strspn(rest, "0123456789") != n)
			return NULL;
		if (!rest[n])
			return f;
		rest += n + 1;
	}
	return f->ref ? fields_find(f->ref, rest) : NULL;
}

const struct field *fields_find(const struct field_table *t, const char *dotted_path)
{
	const struct field *best = NULL;
	const char *best_rest = NULL;

	for (size_t i = 0; i < t->n; i++) {
		const char *rest;

		if (!row_covers(t->rows[i].path, dotted_path, &rest))
			continue;
		if (best && strlen(rest) >= strlen(best_rest))
			continue;
		best = &t->rows[i];
		best_rest = rest;
	}
	if (!best || !*best_rest)
		return best;
	if (is_ref(best->type))
		return find_in_ref(best, best_rest);
	return holds_rest(best, best_rest) ? best : NULL;
}

struct visit {
	fields_visit_fn *fn;
	void *arg;
	const struct field_table *chain[REF_DEPTH_MAX];
	size_t depth;
};

static void visit_table(struct visit *v, const char *prefix, const struct field_table *t)
{
	for (size_t i = 0; i < v->depth; i++)
		if (v->chain[i] == t)
			return;
	if (v->depth == REF_DEPTH_MAX)
		return;
	v->chain[v->depth++] = t;
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->rows[i];
		CLEANUP(mem_freep) char *full = str_printf("%s%s", prefix, f->path);

		v->fn(v->arg, full, f);
		if (!is_ref(f->type) || !f->ref)
			continue;
		CLEANUP(mem_freep)
		char *below = str_printf("%s%s.", full,
			f->type == F_REF_LIST  ? "[]"
			: f->type == F_REF_MAP ? "{}"
					       : "");
		visit_table(v, below, f->ref);
	}
	v->depth--;
}

void fields_visit(const struct field_table *t, fields_visit_fn *fn, void *arg)
{
	struct visit v = { .fn = fn, .arg = arg };

	visit_table(&v, "", t);
}
