/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/mem.h"
#include "base/yaml_scalar.h"

#include <string.h>
#include <yaml.h>

/* YAML is turned into JSON text, which then goes through json_parse(): one place decides on duplicate keys, depth and
 * how a tree lies in memory, and an alias is a copy of text. */

/* A few nested aliases can stand for more than any memory; also all texts of anchors together. As much as the body of a
 * request may have without them (HTTP_BODY_MAX): what two kilobytes stand for takes as long to read. */
#define YAML_EXPAND_MAX (3 * 1024 * 1024)
#define DUPS_LOOKED_FOR_MAX 1000 /* keys of one mapping: beyond that nobody is told */

struct anchor {
	char *name;
	char *text; /* its JSON */
	size_t len;
};

struct reader {
	yaml_parser_t p;
	yaml_event_t ev;
	bool have_ev;
	struct str out;
	struct anchor *anchors;
	size_t n_anchors, cap_anchors;
	size_t aliases, expanded;
	int depth;
	struct strv *dups; /* or NULL */
	struct err *e;
};

static int read_node(struct reader *r);

static int fail_at(struct reader *r, yaml_mark_t at, const char *what)
{
	return err_set(r->e, ERR_BAD_REQUEST, "invalid YAML: line %zu, column %zu: %s", at.line + 1,
		at.column + 1, what);
}

static int fail(struct reader *r, const char *what)
{
	return fail_at(r, r->ev.start_mark, what);
}

static int next_event(struct reader *r)
{
	if (r->have_ev)
		yaml_event_delete(&r->ev);
	r->have_ev = false;
	if (!yaml_parser_parse(&r->p, &r->ev)) {
		MUST(r->p.error != YAML_MEMORY_ERROR);
		const char *why = r->p.problem ? r->p.problem : "can not be read";
		if (r->p.error == YAML_READER_ERROR)
			return err_set(r->e, ERR_BAD_REQUEST, "invalid YAML: byte %zu: %s",
				r->p.problem_offset, why);
		return fail_at(r, r->p.problem_mark, why);
	}
	r->have_ev = true;
	return 0;
}

static int spend(struct reader *r, size_t bytes)
{
	r->expanded += bytes;
	if (r->expanded > YAML_EXPAND_MAX)
		return fail(r, "anchors and aliases expand to too much");
	return 0;
}

/* Remembers what was written from `start` on under the name (taken, may be NULL). */
static int keep_anchor(struct reader *r, char *name, size_t start)
{
	if (!name)
		return 0;
	size_t len = r->out.len - start;
	r->anchors = mem_grow(r->anchors, &r->cap_anchors, r->n_anchors + 1, sizeof(*r->anchors));
	r->anchors[r->n_anchors++] = (struct anchor){ name, mem_strndup(r->out.data + start, len), len };
	return spend(r, len);
}

static char *take_anchor_name(const yaml_char_t *name)
{
	return name ? mem_strdup((const char *)name) : NULL;
}

/* An anchor is known only behind its node, so that no node can hold itself. */
static int read_alias(struct reader *r)
{
	const char *name = (const char *)r->ev.data.alias.anchor;

	if (++r->aliases > YAML_ALIAS_MAX)
		return fail(r, "too many aliases");
	for (size_t i = r->n_anchors; i > 0; i--) {
		const struct anchor *a = &r->anchors[i - 1];

		if (!str_eq(a->name, name))
			continue;
		if (spend(r, a->len))
			return -1;
		str_addn(&r->out, a->text, a->len);
		return next_event(r);
	}
	return fail(r, "unknown anchor");
}

static int resolve_event(struct reader *r, struct yaml_scalar *ret)
{
	const char *s = (const char *)r->ev.data.scalar.value;
	size_t len = r->ev.data.scalar.length;
	const char *tag = (const char *)r->ev.data.scalar.tag;

	if (!tag) {
		*ret = (struct yaml_scalar){ .kind = YS_STR };
		if (r->ev.data.scalar.plain_implicit)
			*ret = yaml_resolve(s, len);
		return 0;
	}
	const char *why = yaml_resolve_tagged(tag, s, len, ret);
	return why ? fail(r, why) : 0;
}

static int read_scalar(struct reader *r)
{
	char *anchor = take_anchor_name(r->ev.data.scalar.anchor);
	size_t start = r->out.len;
	struct yaml_scalar v;

	if (resolve_event(r, &v)) {
		free(anchor);
		return -1;
	}
	if (v.kind == YS_STR || v.kind == YS_MERGE)
		yaml_add_quoted(&r->out, (const char *)r->ev.data.scalar.value, r->ev.data.scalar.length);
	else
		str_add(&r->out, v.json);
	if (v.kind == YS_NOT_JSON) {
		free(anchor);
		return fail(r, "infinity and NaN have no JSON form");
	}
	return keep_anchor(r, anchor, start) ? -1 : next_event(r);
}

static int read_sequence(struct reader *r)
{
	char *anchor = take_anchor_name(r->ev.data.sequence_start.anchor);
	size_t start = r->out.len;

	str_addc(&r->out, '[');
	if (next_event(r))
		goto failed;
	while (r->ev.type != YAML_SEQUENCE_END_EVENT) {
		if (r->out.len > start + 1)
			str_addc(&r->out, ',');
		if (read_node(r))
			goto failed;
	}
	str_addc(&r->out, ']');
	return keep_anchor(r, anchor, start) ? -1 : next_event(r);
failed:
	free(anchor);
	return -1;
}

/* Keys of other types become strings, as in sigs.k8s.io/yaml. */
static int read_key(struct reader *r)
{
	struct yaml_scalar v;

	if (r->ev.type == YAML_ALIAS_EVENT) {
		size_t start = r->out.len;

		if (read_alias(r))
			return -1;
		return r->out.data[start] == '"' ? 0 : fail(r, "an alias used as a key is not a string");
	}
	if (r->ev.type != YAML_SCALAR_EVENT)
		return fail(r, "a key must be a scalar");
	if (resolve_event(r, &v))
		return -1;
	if (v.kind == YS_NULL || v.kind == YS_NOT_JSON)
		return fail(r, "unsupported type of key");
	if (v.kind == YS_STR || v.kind == YS_MERGE)
		return read_scalar(r);
	/* a number or boolean: its value, not its spelling */
	char *anchor = take_anchor_name(r->ev.data.scalar.anchor);
	size_t start = r->out.len;
	str_addf(&r->out, "\"%s\"", v.json);
	return keep_anchor(r, anchor, start) ? -1 : next_event(r);
}

static bool is_merge_key(const struct reader *r)
{
	return r->ev.type == YAML_SCALAR_EVENT && r->ev.data.scalar.plain_implicit &&
	       !r->ev.data.scalar.tag && str_eq((const char *)r->ev.data.scalar.value, "<<");
}

/* Moves the object written from `start` on into the members to merge, in front: who is named earlier wins. */
static int move_merged(struct reader *r, size_t start, struct str *merged)
{
	CLEANUP(str_done) struct str all = { 0 };
	size_t len = r->out.len - start;

	if (len < 2 || r->out.data[start] != '{')
		return fail(r, "only a mapping, or a sequence of them, can be merged");
	str_addn(&all, r->out.data + start + 1, len - 2);
	r->out.len = start;
	r->out.data[start] = '\0';
	if (!all.len)
		return 0;
	if (spend(r, merged->len))
		return -1;
	if (merged->len) {
		str_addc(&all, ',');
		str_addn(&all, merged->data, merged->len);
	}
	str_clear(merged);
	str_addn(merged, all.data, all.len);
	return 0;
}

static int read_merge(struct reader *r, struct str *merged)
{
	size_t start = r->out.len;

	if (next_event(r))
		return -1;
	if (r->ev.type != YAML_SEQUENCE_START_EVENT)
		return read_node(r) ? -1 : move_merged(r, start, merged);
	if (next_event(r))
		return -1;
	while (r->ev.type != YAML_SEQUENCE_END_EVENT)
		if (read_node(r) || move_merged(r, start, merged))
			return -1;
	return next_event(r);
}

/* Of equal keys json_parse() keeps the last: so the merged members go before the mapping's own. */
static void insert_merged(struct str *out, size_t start, const struct str *merged)
{
	CLEANUP(str_done) struct str own = { 0 };

	str_addn(&own, out->data + start + 1, out->len - start - 1);
	out->len = start + 1;
	str_addn(out, merged->data, merged->len);
	if (own.len)
		str_addc(out, ',');
	str_addn(out, str_cstr(&own), own.len);
}

/* The key that was just written, from `start` on. */
static void note_key(struct reader *r, struct strv *keys, size_t start, size_t line)
{
	if (!r->dups || keys->len >= DUPS_LOOKED_FOR_MAX)
		return;
	CLEANUP(mem_freep) char *key = mem_strndup(r->out.data + start, r->out.len - start);
	if (strv_has(keys, key))
		strv_addf(r->dups, "line %zu: key %s already set in map", line, key);
	else
		strv_add(keys, key);
}

static int read_members(struct reader *r, struct str *merged)
{
	CLEANUP(strv_done) struct strv keys = { 0 };
	size_t start = r->out.len;

	while (r->ev.type != YAML_MAPPING_END_EVENT) {
		if (is_merge_key(r)) {
			if (read_merge(r, merged))
				return -1;
			continue;
		}
		if (r->out.len > start)
			str_addc(&r->out, ',');
		size_t key_at = r->out.len, line = r->ev.start_mark.line + 1;
		if (read_key(r))
			return -1;
		note_key(r, &keys, key_at, line);
		str_addc(&r->out, ':');
		if (read_node(r))
			return -1;
	}
	return 0;
}

static int read_mapping(struct reader *r)
{
	CLEANUP(str_done) struct str merged = { 0 };
	char *anchor = take_anchor_name(r->ev.data.mapping_start.anchor);
	size_t start = r->out.len;

	str_addc(&r->out, '{');
	if (next_event(r) || read_members(r, &merged)) {
		free(anchor);
		return -1;
	}
	if (merged.len)
		insert_merged(&r->out, start, &merged);
	str_addc(&r->out, '}');
	return keep_anchor(r, anchor, start) ? -1 : next_event(r);
}

/* Reads the node that the current event begins; afterwards the current event is the one behind it. */
static int read_node(struct reader *r)
{
	int ret;

	if (r->depth >= JSON_DEPTH_MAX)
		return fail(r, "nested too deep");
	r->depth++;
	switch (r->ev.type) {
	case YAML_SCALAR_EVENT:
		ret = read_scalar(r);
		break;
	case YAML_ALIAS_EVENT:
		ret = read_alias(r);
		break;
	case YAML_SEQUENCE_START_EVENT:
		ret = read_sequence(r);
		break;
	case YAML_MAPPING_START_EVENT:
		ret = read_mapping(r);
		break;
	default:
		ret = fail(r, "a value is missing");
	}
	r->depth--;
	return ret;
}

static void forget_anchors(struct reader *r)
{
	for (size_t i = 0; i < r->n_anchors; i++) {
		free(r->anchors[i].name);
		free(r->anchors[i].text);
	}
	r->n_anchors = 0;
}

/* The current event begins a document. Afterwards it is the one behind the document. */
static struct json_doc *read_document(struct reader *r)
{
	str_clear(&r->out);
	if (next_event(r) || read_node(r))
		return NULL;
	forget_anchors(r);
	struct json_doc *d = json_parse(r->out.data, r->out.len, r->e);
	if (d && next_event(r)) /* past the document's end */
		json_doc_freep(&d);
	return d;
}

static int read_stream(struct reader *r, yaml_doc_fn *fn, void *arg)
{
	/* Past the stream's start. NOLINTNEXTLINE(misc-redundant-expression): each call reads one */
	if (next_event(r) || next_event(r))
		return -1;
	while (r->ev.type == YAML_DOCUMENT_START_EVENT) {
		struct json_doc *d = read_document(r);

		if (!d)
			return -1;
		if (json_is_null(json_root(d)))
			json_doc_free(d);
		else if (fn(arg, d, r->e))
			return -1;
	}
	return 0;
}

static bool looks_like_json(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r'))
		i++;
	return i < len && (text[i] == '{' || text[i] == '[');
}

static int parse_all(
	const char *text, size_t len, yaml_doc_fn *fn, void *arg, struct strv *dups, struct err *e)
{
	struct reader r = { .e = e, .dups = dups };

	/* JSON may be indented with tabs, which YAML forbids; what looks like it may still be a flow mapping */
	if (looks_like_json(text, len)) {
		struct json_doc *d = json_parse_dups(text, len, dups, NULL);
		if (d)
			return fn(arg, d, e);
	}
	MUST(yaml_parser_initialize(&r.p));
	yaml_parser_set_input_string(&r.p, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&r.p, YAML_UTF8_ENCODING);
	int ret = read_stream(&r, fn, arg);
	if (r.have_ev)
		yaml_event_delete(&r.ev);
	yaml_parser_delete(&r.p);
	forget_anchors(&r);
	free(r.anchors);
	str_done(&r.out);
	return ret;
}

static int keep_only_one(void *arg, struct json_doc *doc, struct err *e)
{
	struct json_doc **ret = arg;

	if (*ret) {
		json_doc_free(doc);
		return err_set(e, ERR_BAD_REQUEST, "invalid YAML: more than one document");
	}
	*ret = doc;
	return 0;
}

int yaml_parse_all(const char *text, size_t len, yaml_doc_fn *fn, void *arg, struct err *e)
{
	return parse_all(text, len, fn, arg, NULL, e);
}

struct json_doc *yaml_parse(const char *text, size_t len, struct err *e)
{
	return yaml_parse_dups(text, len, NULL, e);
}

struct json_doc *yaml_parse_dups(const char *text, size_t len, struct strv *dups, struct err *e)
{
	struct json_doc *d = NULL;

	if (parse_all(text, len, keep_only_one, &d, dups, e)) {
		json_doc_free(d);
		return NULL;
	}
	if (!d) {
		d = json_doc_new();
		json_set_root(d, json_new_null(d));
	}
	return d;
}
