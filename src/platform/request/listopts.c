/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/request/listopts.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "platform/codec/value.h"

#include <inttypes.h>
#include <string.h>

#define CONTINUE_MAX 4096

void listopts_done(struct listopts *o)
{
	selector_free(o->labels);
	field_selector_free(o->fields);
	free(o->prefix);
	free(o->cont_key);
	*o = (struct listopts){ 0 };
}

bool listopts_selects(const struct listopts *o)
{
	return o->labels || o->fields;
}

/* A list asks thousands of objects for a few bytes of each: no tree of the whole is made for that. */
static bool labels_match(const struct selector *s, const struct obj *o)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const char *text, *labels;
	size_t len, n;

	if (obj_parsed(o))
		return selector_matches(s, json_at(obj_json(o), "/metadata/labels"));
	text = obj_text(o, &len);
	labels = value_member_of(text, len, "metadata", "labels", &n);
	d = labels ? json_parse(labels, n, NULL) : NULL;
	return selector_matches(s, d ? json_root(d) : NULL);
}

static bool is_named(const struct field_selector *s, const struct obj *o)
{
	const char *name = field_selector_value(s, "metadata.name");
	const char *ns = field_selector_value(s, "metadata.namespace");

	return (!name || str_eq(name, obj_name(o))) && (!ns || str_eq(ns, obj_namespace(o)));
}

bool listopts_match(const struct listopts *o, const struct obj *obj)
{
	if (o->labels && !labels_match(o->labels, obj))
		return false;
	return !o->fields || (is_named(o->fields, obj) && field_selector_matches(o->fields, obj_json(obj)));
}

/* ---- continue tokens ---- */
char *continue_token(uint64_t rv, const char *key)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(str_done) struct str text = { 0 };
	struct str out = { 0 };
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "v", "meta.k8s.io/v1");
	json_set_i64(d, o, "rv", (int64_t)rv);
	json_set_str(d, o, "start", key);
	json_write_to(o, &text);
	b64_encode(text.data, text.len, true, &out);
	return str_take(&out);
}

static int continue_read(const char *token, struct listopts *o, struct err *e)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const char *start;

	if (strlen(token) < CONTINUE_MAX && b64_decode(token, strlen(token), true, &text, NULL) == 0)
		d = json_parse(str_cstr(&text), text.len, NULL);
	start = d ? json_get_str(json_root(d), "start") : NULL;
	if (!start || !str_eq(json_get_str(json_root(d), "v"), "meta.k8s.io/v1"))
		return err_set(e, ERR_BAD_REQUEST,
			"continue key is not valid: illegal base64 data or unknown version");
	o->has_continue = true;
	o->cont_rv = json_u64(json_get(json_root(d), "rv"));
	o->cont_key = mem_strdup(start);
	return 0;
}

/* ---- selectors ---- */
/* The term at i may be asked for; it is led to where the value is. */
static bool selectable(const struct resource *res, struct field_selector *f, size_t i, const char *label)
{
	size_t len = strlen(label);

	if (str_eq(label, "metadata.name") || (str_eq(label, "metadata.namespace") && res->kind->namespaced))
		return true;
	for (const char *const *s = res->def->selectable; s && *s; s++) {
		const char *path = *s, *deflt = strchr(*s, '=');

		if (strcspn(*s, "|=") != len || memcmp(*s, label, len) != 0)
			continue;
		if (path[len] == '|')
			path += len + 1;
		if (path != *s || deflt)
			field_selector_map(f, i, path, strcspn(path, "="), deflt ? deflt + 1 : NULL);
		return true;
	}
	return false;
}

static int selectors_read(struct request *r, const struct resource *res, const struct reqinfo *i,
	struct listopts *o, struct err *e)
{
	const char *labels = request_query(r, "labelSelector"), *fields = request_query(r, "fieldSelector");
	CLEANUP(mem_freep)
	char *named = i->old_watch && i->name ? str_printf("metadata.name=%s%s%s", i->name,
							str_empty(fields) ? "" : ",", fields ? fields : "")
					      : NULL;
	const char *path;

	if (!str_empty(labels) && selector_parse_labels(labels, &o->labels, e) < 0) {
		e->code = ERR_BAD_REQUEST;
		return err_wrap(e, "unable to parse requirement");
	}
	if (named)
		fields = named;
	if (str_empty(fields))
		return 0;
	if (field_selector_parse(fields, &o->fields, e) < 0) {
		e->code = ERR_BAD_REQUEST;
		return -1;
	}
	for (size_t k = 0; field_selector_each(o->fields, &k, &path);)
		if (!selectable(res, o->fields, k - 1, path))
			return err_set(e, ERR_BAD_REQUEST,
				"Unable to find \"%s/%s, Resource=%s\" that match label selector \"%s\","
				" field selector \"%s\": field label not supported: %s",
				res->kind->group, res->kind->version, res->kind->plural, labels ? labels : "",
				fields, path);
	for (const char *const(*n)[2] = res->def->hooks.renamed; n && (*n)[0]; n++)
		field_selector_rename(o->fields, (*n)[0], (*n)[1]);
	return 0;
}

/* ---- numbers ---- */
static int number(struct request *r, const char *name, int64_t *ret, struct err *e)
{
	const char *v = request_query(r, name);

	if (str_empty(v))
		return 0;
	if (!str_to_i64(v, INT64_MIN, INT64_MAX, ret))
		return err_set(e, ERR_BAD_REQUEST, "strconv.ParseInt: parsing \"%s\": invalid syntax", v);
	return 0;
}

static int numbers_read(struct request *r, struct listopts *o, struct err *e)
{
	const char *rv = request_query(r, "resourceVersion");

	if (number(r, "limit", &o->limit, e) < 0 || number(r, "timeoutSeconds", &o->timeout_s, e) < 0)
		return -1;
	if (o->limit < 0)
		o->limit = 0;
	if (str_empty(rv))
		return 0;
	if (!str_to_u64(rv, &o->rv))
		return err_set(e, ERR_BAD_REQUEST,
			"Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax", rv, rv);
	o->has_rv = true;
	return 0;
}

static const char *const match_names[] = { "Exact", "NotOlderThan", NULL };
static int match_read(struct request *r, struct listopts *o, struct causes *c)
{
	const char *v = request_query(r, "resourceVersionMatch");
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	if (str_empty(v))
		return 0;
	o->match = str_eq(v, "Exact")          ? RV_MATCH_EXACT
		   : str_eq(v, "NotOlderThan") ? RV_MATCH_NOT_OLDER
					       : RV_MATCH_NONE;
	if (o->match == RV_MATCH_NONE)
		cause_not_supported(c, "resourceVersionMatch", json_new_str(d, v), match_names);
	return 0;
}

static void check_watch(const struct listopts *o, struct causes *c)
{
	if (o->initial == 1 && o->match != RV_MATCH_NOT_OLDER)
		cause_forbidden(c, "resourceVersionMatch",
			"sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	else if (o->initial < 0 && o->match != RV_MATCH_NONE)
		cause_forbidden(c, "resourceVersionMatch",
			"resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
}

static void check_list(const struct listopts *o, struct causes *c)
{
	if (o->initial >= 0)
		cause_forbidden(c, "sendInitialEvents", "sendInitialEvents is forbidden for list");
	if (o->match == RV_MATCH_NONE)
		return;
	if (o->has_continue)
		cause_forbidden(c, "resourceVersionMatch",
			"resourceVersionMatch is forbidden when continue is provided");
	if (!o->has_rv)
		cause_forbidden(c, "resourceVersionMatch",
			"resourceVersionMatch is forbidden unless resourceVersion is provided");
	else if (o->match == RV_MATCH_EXACT && o->rv == 0)
		cause_forbidden(c, "resourceVersionMatch",
			"resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
}

static int parts_read(struct request *r, struct resource *res, const struct reqinfo *i, bool watch,
	struct listopts *o, struct causes *c, struct err *e)
{
	static const struct kind list_options = {
		.group = "meta.k8s.io", .version = "v1", .kind = "ListOptions", .plural = "listoptions"
	};
	const char *cont = request_query(r, "continue");

	o->initial = request_query(r, "sendInitialEvents") ? query_true(r, "sendInitialEvents") : -1;
	o->bookmarks = query_true(r, "allowWatchBookmarks");
	if (selectors_read(r, res, i, o, e) < 0 || numbers_read(r, o, e) < 0)
		return -1;
	if (!watch && !str_empty(cont)) {
		if (continue_read(cont, o, e) < 0)
			return -1;
		if (o->has_rv && o->rv > 0)
			return err_set(e, ERR_BAD_REQUEST,
				"specifying resource version is not allowed when using continue");
	}
	match_read(r, o, c);
	if (watch)
		check_watch(o, c);
	else
		check_list(o, c);
	return c->len > 0 ? causes_to_err(c, &list_options, "", e) : 0;
}

int listopts_read(
	struct request *r, struct resource *res, const struct reqinfo *i, bool watch, struct listopts *ret)
{
	struct listopts o = { 0 };
	CLEANUP(causes_done) struct causes c = { 0 };
	struct str prefix = { 0 };
	struct err e = { 0 };

	if (parts_read(r, res, i, watch, &o, &c, &e) < 0) {
		request_fail(r, &e, e.code == ERR_INVALID ? NULL : res->kind, NULL, &c);
		listopts_done(&o);
		return -1;
	}
	if (i->ns && res->kind->namespaced)
		str_addf(&prefix, "%s/", i->ns);
	o.prefix = str_take(&prefix); /* watches by the thousand keep it: no more than it needs */
	*ret = o;
	return 0;
}
