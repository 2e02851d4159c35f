/* SPDX-License-Identifier: Apache-2.0 */
/* Mistakes in field tables, as text: every table has a test that asks for them. */
#include "api/fields.h"

#include <string.h>

#include "api/schema.h"
#include "base/mem.h"

static void problem(struct str *out, const struct field *f, const char *what)
{
	str_addf(out, "%s: %s\n", f->path, what);
}

/* "a.b[].c" -> "a.b[]"; NULL at the top. */
static char *parent_path(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? mem_strndup(path, (size_t)(dot - path)) : NULL;
}

static const struct field *row_named(const struct field_table *t, const char *path, size_t len, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (strlen(t->rows[i].path) == len && memcmp(t->rows[i].path, path, len) == 0)
			return &t->rows[i];
	return NULL;
}

static void check_parent(const struct field_table *t, size_t i, struct str *out)
{
	const struct field *f = &t->rows[i];
	CLEANUP(mem_freep) char *parent = parent_path(f->path);

	if (!parent)
		return;
	size_t n = strcspn(parent, "[{"), len = strlen(parent);
	/* only the last step's brackets matter: those before belong to parents checked on their own */
	const char *last = strrchr(parent, '.');
	n = (size_t)(last ? last - parent : 0) + strcspn(last ? last : parent, "[{");
	const struct field *p = row_named(t, parent, n, i);
	if (!p) {
		problem(out, f, "its parent has no row before it");
		return;
	}
	bool list = parent[n] == '[', map = parent[n] == '{';
	if (list && p->type != F_LIST)
		problem(out, f, "its parent is not a list");
	else if (map && p->type != F_MAP)
		problem(out, f, "its parent is not a map");
	else if (n == len && p->type != F_OBJECT)
		problem(out, f, "its parent is not an object");
}

static void check_value(const struct field *f, struct str *out)
{
	if (f->deflt) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_parse(f->deflt, strlen(f->deflt), NULL);

		if (!d)
			problem(out, f, "its default is not JSON text");
	}
	bool ref = f->type == F_REF || f->type == F_REF_LIST || f->type == F_REF_MAP;
	if (ref != (f->ref != NULL))
		problem(out, f, ref ? "no table to refer to" : "refers to a table but has another type");
	if ((f->flags & FIELD_LIST_MAP) && !f->keys)
		problem(out, f, "a list-map without keys");
	if ((f->flags & FIELD_LIST_MAP) && (f->flags & (FIELD_ATOMIC | FIELD_SET)))
		problem(out, f, "has two list types");
	if ((f->flags & (FIELD_SET | FIELD_LIST_MAP)) && f->type != F_LIST && f->type != F_REF_LIST)
		problem(out, f, "has a list type but is no list");
}

bool fields_check(const struct field_table *t, struct str *problems)
{
	size_t before = problems->len;

	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->rows[i];
		size_t len = strlen(f->path);

		if (!len || strpbrk(f->path + len - 1, ".[]{}"))
			problem(problems, f, "does not end in a name");
		if (row_named(t, f->path, len, i))
			problem(problems, f, "stands there twice");
		check_parent(t, i, problems);
		check_value(f, problems);
	}
	if (problems->len > before)
		return false;

	/* what is left shows when the schema is compiled: bad patterns, defaults that do not fit, keys without fields */
	CLEANUP(json_doc_freep) struct json_doc *d = fields_kind_schema(t);
	CLEANUP(causes_done) struct causes c = { 0 };
	struct schema *s = NULL;
	struct err e = { 0 };
	if (schema_compile(json_root(d), "", &s, &c, &e) < 0) {
		for (size_t i = 0; i < c.len; i++)
			str_addf(problems, "%s: %s\n", c.items[i].field, c.items[i].message);
		if (!c.len)
			str_addf(problems, "%s\n", e.msg);
	}
	schema_free(s);
	return problems->len == before;
}
