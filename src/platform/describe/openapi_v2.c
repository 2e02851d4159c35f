/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI v2: schemas cut down to what its readers can take (kubectl before 1.27), and the protobuf form of a document,
 * written from its JSON form by a table per message (gnostic's OpenAPIv2.proto). */
#include "platform/describe/openapi_int.h"

#include "base/mem.h"

#include <string.h>

/* ---- schemas ---- */
static void int_or_string_to_v2(struct json_doc *d, struct json *s)
{
	static const char *const gone[] = { "pattern", "x-kubernetes-int-or-string" };

	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		json_remove(s, gone[i]);
	json_set_str(d, s, "type", "string");
	json_set_str(d, s, "format", "int-or-string");
}

void openapi_schema_to_v2(struct json_doc *d, struct json *s)
{
	static const char *const gone[] = { "allOf", "anyOf", "oneOf", "not", "nullable",
		"x-kubernetes-validations" };
	static const char *const kept_unknown[] = { "properties", "items", "required" };
	static const char *const below[] = { "items", "additionalProperties" };
	const char *ref = json_at_str(s, "/allOf/0/$ref");

	if (ref)
		json_set_str(d, s, "$ref", ref);
	if (json_bool(json_get(s, "x-kubernetes-int-or-string")))
		int_or_string_to_v2(d, s);
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		json_remove(s, gone[i]);
	/* kubectl would refuse the fields beside those listed */
	if (json_bool(json_get(s, "x-kubernetes-preserve-unknown-fields")))
		for (size_t i = 0; i < ARRAY_LEN(kept_unknown); i++)
			json_remove(s, kept_unknown[i]);
	/* of a whole kind that keeps them no more is said than that it is an object */
	if (json_get(s, "x-kubernetes-group-version-kind"))
		json_remove(s, "x-kubernetes-preserve-unknown-fields");
	/* one array without items spoils the document for kubectl */
	if (str_eq(json_get_str(s, "type"), "array") && !json_get(s, "items"))
		json_remove(s, "type");
	JSON_EACH (it, json_get(s, "properties"))
		openapi_schema_to_v2(d, it.val);
	for (size_t i = 0; i < ARRAY_LEN(below); i++)
		if (json_is_obj(json_get(s, below[i])))
			openapi_schema_to_v2(d, json_get(s, below[i]));
}

/* ---- protobuf ---- */
enum pb_form {
	PB_STR,
	PB_BOOL,
	PB_INT,
	PB_NUM,
	PB_STRS,
	PB_MSG,
	PB_MSGS,
	PB_WRAPPED, /* a message with the value in its field 1 */
	PB_NAMED,   /* an object: a message of repeated {name = 1, value = 2} in field .inner */
	PB_ANY,     /* anything, as YAML in field 2 */
	PB_ANYS,
	PB_STR_LIST,   /* a string, or several: a message of repeated strings in field 1 */
	PB_ADDITIONAL, /* a schema (1) or a bool (2) */
	PB_PARAMS,
};
struct pb_field {
	const char *key;
	int num;
	enum pb_form form;
	const struct pb_msg *msg;
	int inner;
};
struct pb_msg {
	const struct pb_field *fields;
	size_t n;
	int extensions; /* repeated NamedAny for "x-..." */
};
#define PB_MSG_OF(id, ext, ...)                                       \
	static const struct pb_field id##_fields[] = { __VA_ARGS__ }; \
	static const struct pb_msg id = { id##_fields, ARRAY_LEN(id##_fields), ext }

static const struct pb_msg pb_schema;
static const struct pb_field pb_schema_fields[] = {
	{ "$ref", 1, PB_STR },
	{ "format", 2, PB_STR },
	{ "title", 3, PB_STR },
	{ "description", 4, PB_STR },
	{ "default", 5, PB_ANY },
	{ "multipleOf", 6, PB_NUM },
	{ "maximum", 7, PB_NUM },
	{ "exclusiveMaximum", 8, PB_BOOL },
	{ "minimum", 9, PB_NUM },
	{ "exclusiveMinimum", 10, PB_BOOL },
	{ "maxLength", 11, PB_INT },
	{ "minLength", 12, PB_INT },
	{ "pattern", 13, PB_STR },
	{ "maxItems", 14, PB_INT },
	{ "minItems", 15, PB_INT },
	{ "uniqueItems", 16, PB_BOOL },
	{ "maxProperties", 17, PB_INT },
	{ "minProperties", 18, PB_INT },
	{ "required", 19, PB_STRS },
	{ "enum", 20, PB_ANYS },
	{ "additionalProperties", 21, PB_ADDITIONAL },
	{ "type", 22, PB_STR_LIST },
	{ "items", 23, PB_WRAPPED, &pb_schema },
	{ "properties", 25, PB_NAMED, &pb_schema, 1 },
};
static const struct pb_msg pb_schema = { pb_schema_fields, ARRAY_LEN(pb_schema_fields), 31 };

PB_MSG_OF(pb_info, 7, { "title", 1, PB_STR }, { "version", 2, PB_STR });
PB_MSG_OF(pb_response, 5, { "description", 1, PB_STR }, { "schema", 2, PB_WRAPPED, &pb_schema });
PB_MSG_OF(pb_response_value, 0, { "", 1, PB_MSG, &pb_response });
PB_MSG_OF(pb_body, 6, { "description", 1, PB_STR }, { "name", 2, PB_STR }, { "in", 3, PB_STR },
	{ "required", 4, PB_BOOL }, { "schema", 5, PB_MSG, &pb_schema });
PB_MSG_OF(pb_query, 23, { "required", 1, PB_BOOL }, { "in", 2, PB_STR }, { "description", 3, PB_STR },
	{ "name", 4, PB_STR }, { "type", 6, PB_STR }, { "uniqueItems", 20, PB_BOOL });
PB_MSG_OF(pb_path, 22, { "required", 1, PB_BOOL }, { "in", 2, PB_STR }, { "description", 3, PB_STR },
	{ "name", 4, PB_STR }, { "type", 5, PB_STR }, { "uniqueItems", 19, PB_BOOL });
PB_MSG_OF(pb_operation, 13, { "tags", 1, PB_STRS }, { "description", 3, PB_STR },
	{ "operationId", 5, PB_STR }, { "produces", 6, PB_STRS }, { "consumes", 7, PB_STRS },
	{ "parameters", 8, PB_PARAMS }, { "responses", 9, PB_NAMED, &pb_response_value, 1 });
PB_MSG_OF(pb_path_item, 10, { "get", 2, PB_MSG, &pb_operation }, { "put", 3, PB_MSG, &pb_operation },
	{ "post", 4, PB_MSG, &pb_operation }, { "delete", 5, PB_MSG, &pb_operation },
	{ "patch", 8, PB_MSG, &pb_operation }, { "parameters", 9, PB_PARAMS });
PB_MSG_OF(pb_document, 16, { "swagger", 1, PB_STR }, { "info", 2, PB_MSG, &pb_info },
	{ "paths", 8, PB_NAMED, &pb_path_item, 2 }, { "definitions", 9, PB_NAMED, &pb_schema, 1 });

static size_t varint(uint64_t v, char buf[10])
{
	size_t n = 0;

	do {
		buf[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	return n;
}

static void pb_uint(struct str *out, uint64_t v)
{
	char buf[10];

	str_addn(out, buf, varint(v, buf));
}

static void pb_tag(struct str *out, int num, unsigned wire)
{
	pb_uint(out, (uint64_t)num << 3 | wire);
}

static void pb_bytes(struct str *out, int num, const char *text, size_t len)
{
	pb_tag(out, num, 2);
	pb_uint(out, len);
	str_addn(out, text, len);
}

/* A message's length comes before it: written behind, then moved apart. */
static size_t pb_begin(struct str *out, int num)
{
	pb_tag(out, num, 2);
	return out->len;
}

static void pb_end(struct str *out, size_t start)
{
	char buf[10];
	size_t len = out->len - start, n = varint(len, buf);

	str_addn(out, buf, n);
	memmove(out->data + start + n, out->data + start, len);
	memcpy(out->data + start, buf, n);
}

static void pb_message(struct str *out, const struct pb_msg *m, const struct json *v);

static void pb_any(struct str *out, int num, const struct json *v)
{
	CLEANUP(str_done) struct str text = { 0 };
	size_t at = pb_begin(out, num);

	json_write_to(v, &text);
	str_addc(&text, '\n');
	pb_bytes(out, 2, text.data, text.len);
	pb_end(out, at);
}

static void pb_named(struct str *out, const struct pb_field *f, const struct json *v)
{
	size_t at = pb_begin(out, f->num);

	JSON_EACH (it, v) {
		size_t entry = pb_begin(out, f->inner), value;

		pb_bytes(out, 1, it.key, it.key_len);
		value = pb_begin(out, 2);
		pb_message(out, f->msg, it.val);
		pb_end(out, value);
		pb_end(out, entry);
	}
	pb_end(out, at);
}

/* ParametersItem.parameter = 1; Parameter.body = 1, .non_body = 2; NonBodyParameter.query = 3, .path = 4. */
static void pb_params(struct str *out, int num, const struct json *list)
{
	JSON_EACH (it, list) {
		const char *in = json_get_str(it.val, "in");
		bool body = str_eq(in, "body"), path = str_eq(in, "path");
		size_t item = pb_begin(out, num), param = pb_begin(out, 1), one = pb_begin(out, body ? 1 : 2),
		       inner;

		if (body) {
			pb_message(out, &pb_body, it.val);
		} else {
			inner = pb_begin(out, path ? 4 : 3);
			pb_message(out, path ? &pb_path : &pb_query, it.val);
			pb_end(out, inner);
		}
		pb_end(out, one);
		pb_end(out, param);
		pb_end(out, item);
	}
}

static void pb_double(struct str *out, int num, double v)
{
	uint64_t bits;
	char buf[8];

	memcpy(&bits, &v, sizeof(bits));
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(bits >> (8 * i));
	pb_tag(out, num, 1);
	str_addn(out, buf, sizeof(buf));
}

static void pb_strings(struct str *out, int num, const struct json *v)
{
	if (json_is_str(v))
		pb_bytes(out, num, json_str(v), json_str_len(v));
	JSON_EACH (it, v)
		if (json_is_str(it.val))
			pb_bytes(out, num, json_str(it.val), json_str_len(it.val));
}

static void pb_put(struct str *out, const struct pb_field *f, const struct json *v)
{
	size_t at;

	switch (f->form) {
	case PB_STR:
	case PB_STRS:
		pb_strings(out, f->num, v);
		break;
	case PB_BOOL:
		pb_tag(out, f->num, 0);
		pb_uint(out, json_bool(v));
		break;
	case PB_INT:
		pb_tag(out, f->num, 0);
		pb_uint(out, (uint64_t)json_i64(v));
		break;
	case PB_NUM:
		pb_double(out, f->num, json_num(v));
		break;
	case PB_STR_LIST:
		at = pb_begin(out, f->num);
		pb_strings(out, 1, v);
		pb_end(out, at);
		break;
	case PB_ADDITIONAL:
		at = pb_begin(out, f->num);
		if (json_is_obj(v))
			pb_put(out, &(struct pb_field){ "", 1, PB_MSG, &pb_schema }, v);
		else
			pb_put(out, &(struct pb_field){ "", 2, PB_BOOL }, v);
		pb_end(out, at);
		break;
	case PB_MSG:
		at = pb_begin(out, f->num);
		pb_message(out, f->msg, v);
		pb_end(out, at);
		break;
	case PB_MSGS:
		JSON_EACH (it, v)
			pb_put(out, &(struct pb_field){ "", f->num, PB_MSG, f->msg }, it.val);
		break;
	case PB_WRAPPED:
		at = pb_begin(out, f->num);
		pb_put(out, &(struct pb_field){ "", 1, PB_MSG, f->msg }, v);
		pb_end(out, at);
		break;
	case PB_NAMED:
		pb_named(out, f, v);
		break;
	case PB_ANY:
		pb_any(out, f->num, v);
		break;
	case PB_ANYS:
		JSON_EACH (it, v)
			pb_any(out, f->num, it.val);
		break;
	case PB_PARAMS:
		pb_params(out, f->num, v);
		break;
	}
}

static void pb_extension(struct str *out, int num, const char *name, size_t len, const struct json *v)
{
	size_t at = pb_begin(out, num);

	pb_bytes(out, 1, name, len);
	pb_any(out, 2, v);
	pb_end(out, at);
}

static void pb_message(struct str *out, const struct pb_msg *m, const struct json *v)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct json *member = m->fields[i].key[0] ? json_get(v, m->fields[i].key) : v;

		if (!json_is_null(member))
			pb_put(out, &m->fields[i], member);
	}
	if (!m->extensions)
		return;
	JSON_EACH (it, v)
		if (str_starts(it.key, "x-"))
			pb_extension(out, m->extensions, it.key, it.key_len, it.val);
}

void openapi_v2_protobuf(const struct json *doc, struct str *out)
{
	pb_message(out, &pb_document, doc);
}
