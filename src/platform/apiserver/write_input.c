/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a write: options, body, and the draft they make (kubernetes-api.md 2.5, 2.8, 3). */
#include "platform/apiserver/write.h"

#include "base/mem.h"
#include "base/time.h"
#include "base/yaml.h"

#include <string.h>
#include <strings.h>

#define MANAGER_MAX 128
static const char *const body_types[] = { "application/json", "application/yaml",
	"application/vnd.kubernetes.protobuf" };
static const struct {
	const char *type;
	enum op_patch patch;
} patch_types[] = {
	{ "application/json-patch+json", OP_PATCH_JSON },
	{ "application/merge-patch+json", OP_PATCH_MERGE },
	{ "application/apply-patch+yaml", OP_PATCH_APPLY },
	{ "application/strategic-merge-patch+json", OP_PATCH_STRATEGIC },
};

static bool type_is(const char *header, const char *type)
{
	size_t n = strlen(type);

	return strncasecmp(header, type, n) == 0 &&
	       (header[n] == '\0' || header[n] == ';' || header[n] == ' ');
}

/* ---- options ---- */
static int unsupported(struct op *op, const char *field, const char *value, const char *const *allowed)
{
	static const char *const kinds[] = { "CreateOptions", "UpdateOptions", "PatchOptions",
		"DeleteOptions" };
	const struct kind k = {
		.group = "meta.k8s.io", .version = "v1", .kind = kinds[op->kind], .plural = "options"
	};
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	cause_not_supported(&op->causes, field, json_new_str(d, value), allowed);
	return causes_to_err(&op->causes, &k, "", &op->err);
}

static int read_dry_run(struct op *op)
{
	static const char *const allowed[] = { "All", NULL };
	const char *name, *value;
	const struct json *body =
		op->kind == OP_DELETE && op->input ? json_get(json_root(op->input), "dryRun") : NULL;

	for (size_t i = 0; request_query_each(op->r, &i, &name, &value);) {
		if (!str_eq(name, "dryRun") || str_empty(value))
			continue;
		if (!str_eq(value, "All"))
			return unsupported(op, "dryRun", value, allowed);
		op->dry_run = true;
	}
	JSON_EACH (it, body) {
		if (!str_eq(json_str(it.val), "All"))
			return unsupported(op, "dryRun", json_str_or(it.val, ""), allowed);
		op->dry_run = true;
	}
	return 0;
}

static int read_validation(struct op *op)
{
	static const char *const allowed[] = { "Ignore", "Strict", "Warn", NULL };
	const char *v = request_query(op->r, "fieldValidation");

	op->validation = FIELDS_WARN;
	if (str_empty(v))
		return 0;
	if (!str_in(v, allowed))
		return unsupported(op, "fieldValidation", v, allowed);
	op->validation = str_eq(v, "Strict") ? FIELDS_STRICT
			 : str_eq(v, "Warn") ? FIELDS_WARN
					     : FIELDS_IGNORE;
	return 0;
}

static int read_manager(struct op *op)
{
	const char *v = request_query(op->r, "fieldManager"), *agent = request_header(op->r, "User-Agent");
	bool apply = op->kind == OP_PATCH && op->patch == OP_PATCH_APPLY;
	static const struct kind options = {
		.group = "meta.k8s.io", .version = "v1", .kind = "PatchOptions", .plural = "patchoptions"
	};

	if (str_empty(v) && apply) {
		cause_required(&op->causes, "fieldManager", "is required for apply patch");
		return causes_to_err(&op->causes, &options, "", &op->err);
	}
	if (!str_empty(v) && strlen(v) > MANAGER_MAX) {
		cause_too_long(&op->causes, "fieldManager", MANAGER_MAX);
		return causes_to_err(&op->causes, &options, "", &op->err);
	}
	if (str_empty(v)) {
		v = str_empty(agent) ? "unknown" : agent;
		op->manager = mem_strndup(v, strcspn(v, "/"));
		if (strlen(op->manager) > MANAGER_MAX)
			op->manager[MANAGER_MAX] = '\0';
	} else {
		op->manager = mem_strdup(v);
	}
	op->force = query_true(op->r, "force");
	return 0;
}

static int unsupported_media(struct op *op)
{
	CLEANUP(str_done) struct str list = { 0 };

	if (op->kind == OP_PATCH)
		for (size_t i = 0; i < ARRAY_LEN(patch_types); i++)
			if (patch_types[i].patch != OP_PATCH_STRATEGIC || op->res->origin == ORIGIN_BUILTIN)
				str_addf(&list, "%s%s", list.len ? ", " : "", patch_types[i].type);
	return err_set(&op->err, ERR_UNSUPPORTED_MEDIA_TYPE,
		"the body of the request was in an unknown format - accepted media types include: %s",
		str_cstr(&list));
}

static int read_patch_type(struct op *op)
{
	const char *type = request_header(op->r, "Content-Type");

	for (size_t i = 0; type && i < ARRAY_LEN(patch_types); i++) {
		if (!type_is(type, patch_types[i].type))
			continue;
		op->patch = patch_types[i].patch;
		if (op->patch == OP_PATCH_STRATEGIC && op->res->origin == ORIGIN_CRD)
			break;
		return 0;
	}
	return unsupported_media(op);
}

int op_read_options(struct op *op)
{
	if (op->kind == OP_PATCH && read_patch_type(op) < 0)
		return -1;
	if (read_dry_run(op) < 0 || read_validation(op) < 0)
		return -1;
	return op->kind == OP_DELETE ? 0 : read_manager(op);
}

/* ---- bodies ---- */
static bool is_protobuf(const char *body, size_t len)
{
	return len >= 4 && memcmp(body, "k8s\0", 4) == 0;
}

int body_decode(struct apiserver *s, struct request *r, struct resource *want, struct json_doc **ret,
	struct strv *dups, struct err *e)
{
	const char *type = request_header(r, "Content-Type");
	size_t len;
	const char *body = request_body(r, &len);
	struct json_doc *d;

	if (is_protobuf(body, len))
		return protobuf_decode(s->objects->registry, want, body, len, ret, e);
	if (str_empty(type) || type_is(type, body_types[0]))
		d = json_parse_dups(body, len, dups, e);
	else if (type_is(type, body_types[1]))
		d = yaml_parse_dups(body, len, dups, e);
	else
		return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE,
			"the body of the request was in an unknown format - accepted media types include: "
			"%s, %s, %s",
			body_types[0], body_types[1], body_types[2]);
	if (!d) {
		e->code = ERR_BAD_REQUEST;
		return err_wrap(e,
			"the object provided is unrecognized (must be of type %s): couldn't get "
			"version/kind; json "
			"parse error",
			want ? want->kind->kind : "DeleteOptions");
	}
	*ret = d;
	return 0;
}

/* The caller's duplicate keys are kept for the strictness check. */
static int read_object(struct op *op, struct strv *dups)
{
	if (body_decode(op->s, op->r, op->res, &op->input, dups, &op->err) < 0)
		return -1;
	if (!json_is_obj(json_root(op->input)))
		return err_set(&op->err, ERR_BAD_REQUEST,
			"the object provided is unrecognized (must be of type %s): couldn't get "
			"version/kind; json parse error: json: "
			"cannot unmarshal into Go value of type struct { APIVersion string; Kind string }",
			op->res->kind->kind);
	return 0;
}

static int note_field(struct op *op, struct str *strict, const char *what, const char *path)
{
	if (str_starts(path, "line ")) { /* of YAML */
		if (op->validation == FIELDS_STRICT)
			str_addf(strict, "%s\n  %s", strict->len ? "" : "yaml: unmarshal errors:", path);
		else if (op->validation == FIELDS_WARN && !op->warned)
			strv_addf(&op->warnings, "yaml: unmarshal errors: %s", path);
		return 0;
	}
	if (op->validation == FIELDS_STRICT)
		str_addf(strict, "%s%s field \"%s\"", strict->len ? ", " : "", what, path);
	else if (op->validation == FIELDS_WARN && !op->warned)
		strv_addf(&op->warnings, "%s field \"%s\"", what, path);
	return 0;
}

static int strict_error(struct op *op, const struct str *strict)
{
	if (op->kind == OP_PATCH)
		return err_set(&op->err, ERR_BAD_REQUEST, "strict decoding error: %s", strict->data);
	return err_set(&op->err, ERR_BAD_REQUEST,
		"%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
		op->res->kind->kind, op->res->kind->version, op->res->kind->kind, strict->data);
}

static int read_patch(struct op *op, struct strv *dups)
{
	CLEANUP(str_done) struct str strict = { 0 };
	size_t len;
	const char *body = request_body(op->r, &len);

	op->input = op->patch == OP_PATCH_APPLY ? yaml_parse_dups(body, len, dups, &op->err)
						: json_parse_dups(body, len, dups, &op->err);
	if (!op->input) {
		op->err.code = ERR_BAD_REQUEST;
		return err_wrap(&op->err, "error decoding patch");
	}
	for (size_t i = 0; i < dups->len; i++)
		note_field(op, &strict, "duplicate", dups->items[i]);
	return strict.len > 0 ? strict_error(op, &strict) : 0;
}

static int read_delete(struct op *op)
{
	size_t len;
	struct json *o;
	static const char *const queries[] = { "gracePeriodSeconds", "propagationPolicy",
		"orphanDependents" };
	const char *v;
	int64_t n;

	request_body(op->r, &len);
	if (len > 0)
		return body_decode(op->s, op->r, NULL, &op->input, NULL, &op->err);
	/* from the query, only without a body: never merged */
	op->input = json_doc_new();
	o = json_new_obj(op->input);
	json_set_root(op->input, o);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		v = request_query(op->r, queries[i]);
		if (str_empty(v))
			continue;
		if (i == 0 && !str_to_i64(v, INT64_MIN, INT64_MAX, &n))
			return err_set(
				&op->err, ERR_BAD_REQUEST, "gracePeriodSeconds: '%.32s' is not a number", v);
		if (i == 0)
			json_set_i64(op->input, o, queries[i], n);
		else if (i == 1)
			json_set_str(op->input, o, queries[i], v);
		else
			json_set_bool(op->input, o, queries[i], query_true(op->r, queries[i]));
	}
	return 0;
}

static const char *go_kind(const struct json *v, bool converted)
{
	if (json_is_obj(v))
		return converted ? "map" : "object";
	if (json_is_arr(v))
		return converted ? "slice" : "array";
	if (json_is_num(v))
		return !converted ? "number" : json_is_int(v) ? "int64" : "float64";
	return json_is_str(v) ? "string" : json_is_bool(v) ? "bool" : "null";
}

/* What their decoders say of a value of another type: patches meet it when the outcome is made into a Go value. */
static int misfit_error(struct op *op, const struct schema_misfit *m)
{
	CLEANUP(mem_freep) char *shown = NULL;
	bool restored = str_eq(m->want, "map") || str_eq(m->want, "array") || str_eq(m->want, "object");
	const char *want = str_eq(m->want, "array")    ? "slice"
			   : str_eq(m->want, "object") ? "struct"
						       : m->want;

	if (op->kind != OP_PATCH)
		return err_set(&op->err, ERR_BAD_REQUEST,
			"%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s into Go "
			"struct "
			"field %s.%.256s of type %s",
			op->res->kind->kind, op->res->kind->version, op->res->kind->kind,
			go_kind(m->val, false), op->res->kind->kind, m->path, m->want);
	shown = json_write(m->val, NULL);
	cause_text(&op->causes, "FieldValueInvalid", "patch", "Invalid value: %.256s: %s: cannot %s %s %s %s",
		shown, m->path, restored ? "restore" : "convert", restored ? want : go_kind(m->val, true),
		restored ? "from" : "to", restored ? go_kind(m->val, true) : want);
	return causes_to_err(&op->causes, op->res->kind, op->name ? op->name : "", &op->err);
}

/* Of custom resources only the metadata is made into a Go value. */
static int check_meta_types(struct op *op, const struct json *meta)
{
	struct schema_misfit m;

	if (op->kind == OP_PATCH || !json_is_obj(meta) ||
		schema_types_fit(schema_member(resource_schema(op->res), "metadata"), meta, &m))
		return 0;
	err_set(&op->err, ERR_BAD_REQUEST,
		"%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s into Go struct "
		"field "
		"ObjectMeta.%.256s of type %s",
		op->res->kind->kind, op->res->kind->version, op->res->kind->kind, go_kind(m.val, false),
		m.path, str_eq(m.want, "map") ? "map[string]string" : m.want);
	free(m.path);
	return -1;
}

static int check_times(struct op *op, const struct json *meta)
{
	static const char *const times[] = { "creationTimestamp", "deletionTimestamp" };
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		const char *text = json_get_str(meta, times[i]);

		if (text && !time_parse(text, &ms))
			return err_set(&op->err, ERR_BAD_REQUEST,
				"%s in version \"%s\" cannot be handled as a %s: parsing time \"%.64s\" as "
				"\"2006-01-02T15:04:05Z07:00\": cannot parse \"%.64s\" as \"2006\"",
				op->res->kind->kind, op->res->kind->version, op->res->kind->kind, text, text);
	}
	return 0;
}

int op_check_types(struct op *op, const struct json_doc *d)
{
	const struct json *meta = json_get(json_root(d), "metadata");
	struct schema_misfit m;

	if (op->kind != OP_PATCH && check_times(op, meta) < 0)
		return -1;
	if (op->res->origin != ORIGIN_BUILTIN)
		return check_meta_types(op, meta);
	if (schema_types_fit(resource_schema(op->res), json_root(d), &m))
		return 0;
	misfit_error(op, &m);
	free(m.path);
	return -1;
}

int op_prune(struct op *op, struct json_doc *d, struct strv *dups)
{
	CLEANUP(strv_done) struct strv unknown = { 0 };
	CLEANUP(str_done) struct str strict = { 0 };

	schema_prune(
		resource_schema(op->res), json_root(d), op->validation == FIELDS_IGNORE ? NULL : &unknown);
	if (op->res->origin == ORIGIN_BUILTIN) { /* null is what their decoders take for nothing */
		schema_drop_nulls(resource_schema(op->res), json_root(d));
		schema_canonicalize(resource_schema(op->res), d, json_root(d));
	} else {
		strv_sort(&unknown);
	}
	for (size_t i = 0; i < unknown.len; i++)
		note_field(op, &strict, "unknown", unknown.items[i]);
	for (size_t i = 0; dups && i < dups->len; i++)
		note_field(op, &strict, "duplicate", dups->items[i]);
	op->warned = true;
	return strict.len > 0 ? strict_error(op, &strict) : op_check_types(op, d);
}

/* Scale and the like have other bodies than the resource. */
static bool body_is_resource(const struct op *op)
{
	return !str_eq(op->sub, "scale");
}

static int check_kind(struct op *op)
{
	struct json *o = json_root(op->input);
	const struct kind *k = op->res->kind;
	const char *kind = json_get_str(o, "kind"), *version = json_get_str(o, "apiVersion");
	char av[KIND_API_VERSION_MAX];

	kind_api_version(k, av);
	if (op->res->origin == ORIGIN_CRD && (str_empty(kind) || str_empty(version))) {
		CLEANUP(str_done) struct str text = { 0 };

		json_write_to(o, &text);
		return err_set(&op->err, ERR_BAD_REQUEST, "Object '%s' is missing in '%.256s'",
			str_empty(kind) ? "Kind" : "apiVersion", text.data);
	}
	if (!str_empty(kind) && !str_eq(kind, k->kind))
		return err_set(&op->err, ERR_BAD_REQUEST,
			"%.128s in version \"%.128s\" cannot be handled as a %s: the object provided is of "
			"another kind",
			kind, version ? version : "", k->kind);
	if (!str_empty(version) && !str_eq(version, av))
		return err_set(&op->err, ERR_BAD_REQUEST,
			"the API version in the data (%.256s) does not match the expected API version (%s)",
			version, av);
	json_set_str(op->input, o, "apiVersion", av);
	json_set_str(op->input, o, "kind", k->kind);
	return 0;
}

static int check_name(struct op *op, const struct json_doc *d)
{
	const char *name = json_at_str(json_root(d), "/metadata/name");

	if (op->kind == OP_CREATE || str_empty(op->name) || str_eq(name, op->name))
		return 0;
	if (str_empty(name) && op->kind == OP_UPDATE)
		return err_set(&op->err, ERR_BAD_REQUEST, "name must be provided");
	return err_set(&op->err, ERR_BAD_REQUEST,
		"the name of the object (%.253s) does not match the name on the URL (%.253s)",
		name ? name : "", op->name);
}

int op_read_body(struct op *op)
{
	CLEANUP(strv_done) struct strv dups = { 0 };
	int ret;

	if (op->kind == OP_DELETE)
		return read_delete(op);
	if (op->kind == OP_PATCH)
		return read_patch(op, &dups);
	ret = read_object(op, &dups);
	if (ret < 0 || !body_is_resource(op))
		return ret;
	if (check_kind(op) < 0 || check_name(op, op->input) < 0)
		return -1;
	return op_prune(op, op->input, &dups);
}

/* ---- drafts ---- */
/* The current object as the patch sees it: in the version of the URL. */
static int apply_patch(
	struct op *op, const struct json *patch, const struct json *current, struct json_doc **ret)
{
	char av[KIND_API_VERSION_MAX];
	struct apply_opts opts = { .manager = op->manager,
		.force = op->force,
		.subresource = op->sub,
		.api_version = kind_api_version(op->res->kind, av),
		.now_ms = loop_wall_ms(op->s->loop) };

	switch (op->patch) {
	case OP_PATCH_JSON:
		return patch_json(current, patch, ret, &op->err);
	case OP_PATCH_MERGE:
		return patch_merge(current, patch, ret, &op->err);
	case OP_PATCH_STRATEGIC:
		return patch_strategic(resource_schema(op->res), current, patch, ret, &op->err);
	case OP_PATCH_APPLY:
		return patch_apply(
			resource_schema(op->res), current, patch, &opts, ret, &op->causes, &op->err);
	}
	return -1;
}

static int check_applied(struct op *op)
{
	struct json *o = json_root(op->input);
	const char *name = json_at_str(o, "/metadata/name");
	bool scale = str_eq(op->sub, "scale");
	char buf[KIND_API_VERSION_MAX];
	const char *av = scale ? "autoscaling/v1" : kind_api_version(op->res->kind, buf),
		   *kind = scale ? "Scale" : op->res->kind->kind;

	if (!json_is_obj(o) || !str_eq(json_get_str(o, "kind"), kind) ||
		!str_eq(json_get_str(o, "apiVersion"), av))
		return err_set(&op->err, ERR_BAD_REQUEST, "apply needs apiVersion %s and kind %s in the body",
			av, kind);
	if (json_len(json_at(o, "/metadata/managedFields")) > 0)
		return err_set(&op->err, ERR_BAD_REQUEST, "metadata.managedFields must be nil");
	if (!str_empty(name) && !str_eq(name, op->name))
		return err_set(&op->err, ERR_BAD_REQUEST,
			"the name of the object (%.253s) does not match the name on the URL (%.253s)", name,
			op->name);
	json_set_str(op->input, json_need_obj(op->input, o, "metadata"), "name", op->name);
	return 0;
}

static int patch_scale(struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *scale = scale_from(op->res, op->seen, &op->err);
	CLEANUP(json_doc_freep) struct json_doc *patched = NULL;

	if (!scale || apply_patch(op, json_root(op->input), json_root(scale), &patched) < 0)
		return -1;
	return scale_into(op, json_root(patched));
}

/* A Scale that is applied comes to its one field of the object, which is what managedFields tell too. */
static int apply_scale(struct op *op, const struct json *current)
{
	CLEANUP(json_doc_freep) struct json_doc *whole = scale_applied(op);

	return whole ? apply_patch(op, json_root(whole), current, &op->draft) : -1;
}

static int draft_of_patch(struct op *op)
{
	CLEANUP(obj_unrefp) struct obj *current = NULL;

	if (op->patch == OP_PATCH_APPLY && check_applied(op) < 0)
		return -1;
	if (str_eq(op->sub, "scale") && op->patch != OP_PATCH_APPLY)
		return patch_scale(op);
	if (op->old)
		current = obj_ref(op->seen);
	if (str_eq(op->sub, "scale") ? apply_scale(op, obj_json(current)) < 0
				     : apply_patch(op, json_root(op->input),
					       current ? obj_json(current) : NULL, &op->draft) < 0)
		return -1;
	if (!json_is_obj(json_root(op->draft)))
		return err_set(&op->err, ERR_BAD_REQUEST, "the patched object is no object");
	if (current && (!str_eq(json_get_str(json_root(op->draft), "kind"), op->res->kind->kind) ||
			       !json_eq(json_get(json_root(op->draft), "apiVersion"),
				       json_get(obj_json(current), "apiVersion"))))
		return err_set(&op->err, ERR_BAD_REQUEST, "a patch can not change apiVersion or kind");
	return op_prune(op, op->draft, NULL);
}

/* Hooks of built-in kinds look at what the client sent. Of all others the body itself becomes the draft, and the rare second try
 * reads it again. */
static int draft_of_body(struct op *op)
{
	if (!op->input && !op->r)
		return err_set(&op->err, ERR_UNAVAILABLE, "the client left before another try");
	if (!op->input && op_read_body(op) < 0)
		return -1;
	op->named = !str_empty(json_at_str(json_root(op->input), "/metadata/name"));
	op->draft = op->res->origin == ORIGIN_CRD ? TAKE(op->input) : json_doc_from(json_root(op->input));
	return 0;
}

int op_make_draft(struct op *op)
{
	int ret;

	json_doc_free(op->draft);
	op->draft = NULL;
	if (str_eq(op->sub, "binding"))
		return binding_into(op);
	if (op->kind == OP_PATCH) {
		ret = draft_of_patch(op);
	} else if (str_eq(op->sub, "scale")) {
		ret = scale_into(op, json_root(op->input));
	} else {
		ret = draft_of_body(op);
	}
	if (ret < 0)
		return -1;
	if (!json_is_obj(json_get(json_root(op->draft), "metadata")) &&
		json_get(json_root(op->draft), "metadata"))
		return err_set(&op->err, ERR_BAD_REQUEST, "metadata is no object");
	if (check_name(op, op->draft) < 0)
		return -1;
	if (str_eq(op->sub, "finalize"))
		return finalize_into(op);
	return 0;
}
