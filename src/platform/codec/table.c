/* SPDX-License-Identifier: Apache-2.0 */
/* Tables as kubectl prints them (kubernetes-api.md 2.8): cells from a kind's columns, written as text at once. */
#include "base/mem.h"
#include "base/time.h"
#include "platform/codec/codec.h"
#include "platform/codec/value.h"

#include <inttypes.h>
#include <string.h>

/* What every row of one Table needs. */
struct sheet {
	const struct column *columns;
	struct jsonpath *const *paths;
	size_t n;
	bool name;    /* the column Name comes first by itself */
	bool builtin; /* a date that is not there is "<unknown>", not empty */
	int64_t now_ms;
	enum table_include include;
};

/* A built-in kind may place Name among its own columns (events do). */
static bool has_own_name(const struct resource *r, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n && r->origin == ORIGIN_BUILTIN; i++)
		if (str_eq(columns[i].name, "Name"))
			return true;
	return false;
}

static struct sheet sheet_of(struct resource *r, enum table_include include, int64_t now_ms)
{
	struct sheet s = { .now_ms = now_ms, .include = include, .builtin = r->origin == ORIGIN_BUILTIN };

	s.columns = resource_columns(r, &s.paths, &s.n);
	s.name = !has_own_name(r, s.columns, s.n);
	return s;
}

/* Nearly every text needs no escapes: a list of thousands should not make a tree per cell. */
static void put_text(struct str *out, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	size_t n = 0;

	while ((unsigned char)text[n] >= 0x20 && (unsigned char)text[n] < 0x7f && text[n] != '"' &&
		text[n] != '\\')
		n++;
	if (!text[n]) {
		str_addc(out, '"');
		str_addn(out, text, n);
		str_addc(out, '"');
		return;
	}
	d = json_doc_new();
	json_write_to(json_new_str(d, text), out);
}

/* ---- definitions ---- */
static void put_definition(struct str *out, const struct column *c)
{
	str_add(out, "{\"name\":");
	put_text(out, c->name);
	str_add(out, ",\"type\":");
	put_text(out, c->type);
	str_add(out, ",\"format\":");
	put_text(out, c->format ? c->format : "");
	str_add(out, ",\"description\":");
	put_text(out, c->doc ? c->doc : "");
	str_addf(out, ",\"priority\":%d}", c->priority);
}

static void put_definitions(struct str *out, const struct sheet *s)
{
	static const struct column name = {
		.name = "Name",
		.type = "string",
		.format = "name",
		.doc = "Name must be unique within a namespace. It is the name the object was created with.",
	};

	str_add(out, "[");
	if (s->name)
		put_definition(out, &name);
	for (size_t i = 0; i < s->n; i++) {
		if (s->name || i > 0)
			str_addc(out, ',');
		struct column c = s->columns[i];
		if (s->builtin && str_eq(c.name, "Age"))
			c.type = "string"; /* a date is what custom resources call it */
		put_definition(out, &c);
	}
	str_add(out, "]");
}

/* ---- cells ---- */
static void put_age(struct str *out, const struct sheet *s, const struct json *v)
{
	const char *text = json_str(v);
	char buf[TIME_TEXT_MAX];
	int64_t then;

	if (str_empty(text))
		str_add(out, s->builtin ? "\"<unknown>\"" : "null");
	else if (!time_parse(text, &then))
		str_add(out, "\"<invalid>\"");
	else
		str_addf(out, "\"%s\"", time_age(s->now_ms - then, buf));
}

/* Strings take whatever is found, as text; the other types only their own kind of value. */
static void put_found(struct str *out, const struct sheet *s, const char *type, const struct json *v)
{
	bool fits = true;

	if (str_eq(type, "date")) {
		put_age(out, s, v);
		return;
	}
	if (str_eq(type, "integer") && json_is_num(v)) {
		str_addf(out, "%" PRId64, json_i64(v));
		return;
	}
	if (str_eq(type, "integer") || str_eq(type, "number"))
		fits = json_is_num(v);
	else if (str_eq(type, "boolean"))
		fits = json_is_bool(v);
	else if (!json_is_str(v) && !json_is_null(v)) {
		CLEANUP(str_done) struct str text = { 0 };

		json_write_to(v, &text);
		put_text(out, str_cstr(&text));
		return;
	}
	if (fits && !json_is_null(v))
		json_write_to(v, out);
	else
		str_add(out, !s->builtin ? "null" : str_eq(type, "boolean") ? "false" : "\"\"");
}

static void put_cell(struct str *out, const struct sheet *s, size_t i, const struct json *o)
{
	const struct column *c = &s->columns[i];
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct json *v = NULL;

	if (c->cell) {
		d = json_doc_new();
		v = c->cell(d, o, s->now_ms);
		if (v)
			json_write_to(v, out);
		else
			str_add(out, "null");
		return;
	}
	if (s->paths[i])
		v = jsonpath_first(s->paths[i], o);
	put_found(out, s, c->type, v);
}

static void put_cells(struct str *out, const struct sheet *s, const struct obj *o, bool empty)
{
	const struct json *root = empty ? NULL : obj_json(o);

	str_addc(out, '[');
	if (s->name && empty)
		str_add(out, "null");
	else if (s->name)
		put_text(out, obj_name(o));
	for (size_t i = 0; i < s->n; i++) {
		if (s->name || i > 0)
			str_addc(out, ',');
		if (empty)
			str_add(out, "null");
		else
			put_cell(out, s, i, root);
	}
	str_addc(out, ']');
}

/* ---- rows ---- */
static void put_object(struct str *out, enum table_include include, const struct obj *o)
{
	const char *text, *meta;
	size_t len, n;

	switch (include) {
	case TABLE_NONE:
		str_add(out, "null");
		break;
	case TABLE_OBJECT:
		text = obj_text(o, &len);
		str_addn(out, text, len);
		break;
	case TABLE_METADATA:
		str_add(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/"
			     "v1\",\"metadata\":");
		text = obj_text(o, &len);
		meta = value_member(text, len, "metadata", &n);
		str_addn(out, meta ? meta : "{}", meta ? n : 2);
		str_addc(out, '}');
		break;
	}
}

static void put_row(struct str *out, const struct sheet *s, const struct obj *o, bool bookmark)
{
	str_add(out, "{\"cells\":");
	put_cells(out, s, o, bookmark);
	str_add(out, ",\"object\":");
	put_object(out, bookmark ? TABLE_OBJECT : s->include, o);
	str_addc(out, '}');
}

static void put_head(struct str *out, const struct list_meta *m)
{
	str_addf(out,
		"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/"
		"v1\",\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"",
		m->rv);
	if (!str_empty(m->next)) {
		str_add(out, ",\"continue\":");
		put_text(out, m->next);
	}
	if (m->remaining > 0)
		str_addf(out, ",\"remainingItemCount\":%" PRId64, m->remaining);
	str_add(out, "},\"columnDefinitions\":");
}

void table_begin(struct resource *r, const struct list_meta *m, struct str *out)
{
	struct sheet s = sheet_of(r, TABLE_NONE, 0);

	put_head(out, m);
	put_definitions(out, &s);
	str_add(out, ",\"rows\":[");
}

void table_item(
	struct resource *r, const struct obj *o, enum table_include include, int64_t now_ms, struct str *out)
{
	struct sheet s = sheet_of(r, include, now_ms);
	bool parsed = obj_parsed(o);

	put_row(out, &s, o, false);
	if (!parsed)
		obj_compact(o); /* a Table of thousands shall not leave thousands of trees */
}

void table_row(struct resource *r, const struct obj *o, bool definitions, bool bookmark,
	enum table_include include, int64_t now_ms, struct str *out)
{
	struct sheet s = sheet_of(r, include, now_ms);
	struct list_meta m = { .rv = obj_rv(o) };

	put_head(out, &m);
	if (definitions)
		put_definitions(out, &s);
	else
		str_add(out, "null");
	str_add(out, ",\"rows\":[");
	put_row(out, &s, o, bookmark);
	str_add(out, "]}");
}
