/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies in protobuf (kubernetes-api.md 2.8): one transcoder to JSON, driven by the tables of protobuf.h. What comes out
 * is what the same client would have sent as JSON. */
#include "platform/codec/protobuf.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/codec/codec.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX \
	(JSON_DEPTH_MAX / 2 - 2) /* messages; a list between two of them is a level of its own in JSON */

/* ---- the wire ---- */
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
struct reader {
	const uint8_t *at, *end;
};
struct value {
	int num;
	enum wire wire;
	uint64_t n;         /* varint or fixed */
	struct reader data; /* bytes */
};

static int malformed(struct err *e, const char *what)
{
	return err_set(e, ERR_BAD_REQUEST, "the body of the request is no valid protobuf: %s", what);
}

static int read_varint(struct reader *r, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t b = *r->at++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return malformed(e, "a number does not end");
}

static int read_fixed(struct reader *r, size_t n, uint64_t *ret, struct err *e)
{
	if ((size_t)(r->end - r->at) < n)
		return malformed(e, "it ends within a number");
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		*ret |= (uint64_t)r->at[i] << (8 * i);
	r->at += n;
	return 0;
}

/* 1: a field was read; 0: the end; -1: malformed. Groups are not used by Kubernetes. */
static int read_value(struct reader *r, struct value *v, struct err *e)
{
	uint64_t tag;

	if (r->at == r->end)
		return 0;
	if (read_varint(r, &tag, e) < 0)
		return -1;
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return malformed(e, "a field number is out of range");
	*v = (struct value){ .num = (int)(tag >> 3), .wire = (enum wire)(tag & 7) };
	switch (v->wire) {
	case WIRE_VARINT:
		return read_varint(r, &v->n, e) < 0 ? -1 : 1;
	case WIRE_64:
		return read_fixed(r, 8, &v->n, e) < 0 ? -1 : 1;
	case WIRE_32:
		return read_fixed(r, 4, &v->n, e) < 0 ? -1 : 1;
	case WIRE_BYTES:
		if (read_varint(r, &v->n, e) < 0)
			return -1;
		if (v->n > (uint64_t)(r->end - r->at))
			return malformed(e, "a value is longer than the body");
		v->data = (struct reader){ r->at, r->at + v->n };
		r->at += v->n;
		return 1;
	}
	return malformed(e, "a wire type is unknown");
}

/* ---- decoding ---- */
struct decoder {
	struct json_doc *d;
	struct err *e;
	size_t depth;
};

static int decode_message(
	struct decoder *c, const struct protobuf_message *m, struct reader r, struct json *o);

static int wrong_wire(struct decoder *c)
{
	return malformed(c->e, "a value has another wire type than its field");
}

/* Numbers and bytes of a small message with known fields: Time, Quantity, IntOrString and the like. */
#define SMALL_MAX 4
struct small {
	uint64_t n[SMALL_MAX];
	struct reader data[SMALL_MAX];
};

static int read_small(struct decoder *c, struct reader r, struct small *ret)
{
	struct value v;
	int got;

	*ret = (struct small){ 0 };
	while ((got = read_value(&r, &v, c->e)) > 0) {
		if (v.num >= SMALL_MAX)
			continue;
		ret->n[v.num] = v.n;
		ret->data[v.num] = v.data;
	}
	return got;
}

static struct json *text_of(struct decoder *c, struct reader r)
{
	return json_new_strn(c->d, r.at ? (const char *)r.at : "", (size_t)(r.end - r.at));
}

static int decode_time(struct decoder *c, struct reader r, bool micro, struct json **ret)
{
	char buf[TIME_TEXT_MAX];
	struct small s;
	int64_t seconds;

	if (r.at == r.end) { /* Go's zero time */
		*ret = json_new_null(c->d);
		return 0;
	}
	if (read_small(c, r, &s) < 0)
		return -1;
	seconds = (int64_t)s.n[1];
	if (seconds < -INT64_C(62135596800) || seconds > INT64_C(253402300799) || s.n[2] > 999999999)
		return malformed(c->e, "a time is out of range");
	time_rfc3339(seconds * 1000, buf);
	if (micro)
		*ret = json_new_strf(c->d, "%.19s.%06uZ", buf, (unsigned)(s.n[2] / 1000));
	else
		*ret = json_new_str(c->d, buf);
	return 0;
}

static int decode_int_or_string(struct decoder *c, struct reader r, struct json **ret)
{
	struct small s;

	if (read_small(c, r, &s) < 0)
		return -1;
	*ret = s.n[1] == 1 ? text_of(c, s.data[3]) : json_new_i64(c->d, (int32_t)s.n[2]);
	return 0;
}

static int decode_quantity(struct decoder *c, struct reader r, struct json **ret)
{
	struct small s;

	if (read_small(c, r, &s) < 0)
		return -1;
	*ret = s.data[1].at == s.data[1].end ? json_new_str(c->d, "0") : text_of(c, s.data[1]);
	return 0;
}

static int decode_raw(struct decoder *c, struct reader r, struct json **ret)
{
	struct small s;
	size_t len;

	if (read_small(c, r, &s) < 0)
		return -1;
	len = (size_t)(s.data[1].end - s.data[1].at);
	if (len == 0) {
		*ret = json_new_null(c->d);
		return 0;
	}
	CLEANUP(json_doc_freep) struct json_doc *raw = json_parse((const char *)s.data[1].at, len, c->e);
	if (!raw)
		return err_wrap(c->e, "an embedded object is not JSON");
	*ret = json_copy(c->d, json_root(raw));
	return 0;
}

static int decode_strings(struct decoder *c, struct reader r, int num, struct json *list)
{
	struct value v;
	int got;

	while ((got = read_value(&r, &v, c->e)) > 0) {
		if (v.num != num)
			continue;
		if (v.wire != WIRE_BYTES)
			return wrong_wire(c);
		json_append(c->d, list, text_of(c, v.data));
	}
	return got;
}

static int decode_schema(struct decoder *c, struct reader r, struct json **ret)
{
	*ret = json_new_obj(c->d);
	return decode_message(c, protobuf_message("apiextensions.v1.JSONSchemaProps"), r, *ret);
}

/* Unions of the CRD's schemas: O {schema=1, schemas=2}, B {allows=1, schema=2}, S {schema=1, property=2}. */
static int decode_union(struct decoder *c, char form, struct reader r, struct json **ret)
{
	struct json *one = NULL, *list = NULL;
	bool allows = false;
	struct value v;
	int got;

	while ((got = read_value(&r, &v, c->e)) > 0) {
		if (form == 'B' && v.num == 1) {
			allows = v.n != 0;
			continue;
		}
		if (v.num > 2)
			continue;
		if (v.wire != WIRE_BYTES)
			return wrong_wire(c);
		if (v.num == (form == 'B' ? 2 : 1)) {
			if (decode_schema(c, v.data, &one) < 0)
				return -1;
			continue;
		}
		list = list ? list : json_new_arr(c->d);
		if (form == 'S') {
			json_append(c->d, list, text_of(c, v.data));
		} else {
			struct json *item;

			if (decode_schema(c, v.data, &item) < 0)
				return -1;
			json_append(c->d, list, item);
		}
	}
	*ret = one ? one : form == 'B' ? json_new_bool(c->d, allows) : list ? list : json_new_null(c->d);
	return got;
}

static struct json *double_of(struct decoder *c, uint64_t bits)
{
	double v;

	memcpy(&v, &bits, sizeof(v));
	return v == v && v - v == 0 ? json_new_num(c->d, v)
				    : json_new_null(c->d); /* NaN and infinity are not JSON */
}

static struct json *bytes_of(struct decoder *c, struct reader r)
{
	CLEANUP(str_done) struct str text = { 0 };

	b64_encode(r.at, (size_t)(r.end - r.at), false, &text);
	return json_new_str(c->d, str_cstr(&text));
}

static int decode_wrapped(struct decoder *c, char form, struct reader r, struct json **ret)
{
	switch (form) {
	case 's':
		*ret = text_of(c, r);
		return 0;
	case 'y':
		*ret = bytes_of(c, r);
		return 0;
	case 't':
	case 'u':
		return decode_time(c, r, form == 'u', ret);
	case 'q':
		return decode_quantity(c, r, ret);
	case 'n':
		return decode_int_or_string(c, r, ret);
	case 'r':
		return decode_raw(c, r, ret);
	case 'L':
		*ret = json_new_arr(c->d);
		return decode_strings(c, r, 1, *ret);
	default:
		return decode_union(c, form, r, ret);
	}
}

/* One value of a field, whatever its shape. */
static int decode_one(struct decoder *c, const struct protobuf_message *in, const struct protobuf_field *f,
	const struct value *v, struct json **ret)
{
	if (f->scalar == 'b' || f->scalar == 'i') {
		if (v->wire != WIRE_VARINT)
			return wrong_wire(c);
		*ret = f->scalar == 'b' ? json_new_bool(c->d, v->n != 0) : json_new_i64(c->d, (int64_t)v->n);
		return 0;
	}
	if (f->scalar == 'd') {
		if (v->wire != WIRE_64)
			return wrong_wire(c);
		*ret = double_of(c, v->n);
		return 0;
	}
	if (v->wire != WIRE_BYTES)
		return wrong_wire(c);
	if (f->scalar)
		return decode_wrapped(c, f->scalar, v->data, ret);
	*ret = json_new_obj(c->d);
	return decode_message(c, protobuf_field_message(in->name, f), v->data, *ret);
}

static int decode_packed(struct decoder *c, struct reader r, struct json *list)
{
	uint64_t n = 0;

	while (r.at < r.end) {
		if (read_varint(&r, &n, c->e) < 0)
			return -1;
		json_append(c->d, list, json_new_i64(c->d, (int64_t)n));
	}
	return 0;
}

static int decode_repeated(struct decoder *c, const struct protobuf_message *in,
	const struct protobuf_field *f, const struct value *v, struct json *list)
{
	struct json *item;

	if (f->scalar == 'i' && v->wire == WIRE_BYTES)
		return decode_packed(c, v->data, list);
	if (decode_one(c, in, f, v, &item) < 0)
		return -1;
	json_append(c->d, list, item);
	return 0;
}

static struct json *empty_value(struct decoder *c, const struct protobuf_field *f)
{
	if (f->scalar == 's' || f->scalar == 'y')
		return json_new_str(c->d, "");
	if (f->scalar == 'i')
		return json_new_i64(c->d, 0);
	if (f->scalar == 'L')
		return json_new_arr(c->d);
	return f->scalar == 'q' ? json_new_str(c->d, "0")
	       : f->scalar      ? json_new_null(c->d)
				: json_new_obj(c->d);
}

static int decode_entry(struct decoder *c, const struct protobuf_message *in, const struct protobuf_field *f,
	struct reader r, struct json *map)
{
	struct reader key = { 0 };
	struct json *val = NULL;
	struct value v;
	int got;

	while ((got = read_value(&r, &v, c->e)) > 0) {
		if (v.num == 1 && v.wire == WIRE_BYTES)
			key = v.data;
		else if (v.num == 2 && decode_one(c, in, f, &v, &val) < 0)
			return -1;
	}
	if (got < 0)
		return -1;
	/* keys pass through a value: they are checked for being UTF-8 there */
	const struct json *name = text_of(c, key);
	json_setn(c->d, map, json_str(name), json_str_len(name), val ? val : empty_value(c, f));
	return 0;
}

/* Protobuf writes what JSON's omitempty leaves out. */
static bool is_omitted(const struct protobuf_field *f, const struct json *v)
{
	if (f->keep_zero || !f->scalar || !strchr("sbidy", f->scalar))
		return false;
	return json_is_str(v) ? json_str_len(v) == 0 : json_is_bool(v) ? !json_bool(v) : json_num(v) == 0;
}

static struct json *need_container(struct decoder *c, struct json *o, const struct protobuf_field *f)
{
	struct json *have = json_getn(o, f->name, f->name_len);

	if (have)
		return have;
	have = f->shape == '*' ? json_new_arr(c->d) : json_new_obj(c->d);
	json_setn(c->d, o, f->name, f->name_len, have);
	return have;
}

static int decode_field(struct decoder *c, const struct protobuf_message *m, const struct protobuf_field *f,
	const struct value *v, struct json *o)
{
	struct json *one;

	switch (f->shape) {
	case '^':
		return v->wire == WIRE_BYTES
			       ? decode_message(c, protobuf_field_message(m->name, f), v->data, o)
			       : wrong_wire(c);
	case '*':
		return decode_repeated(c, m, f, v, need_container(c, o, f));
	case '%':
		return v->wire == WIRE_BYTES ? decode_entry(c, m, f, v->data, need_container(c, o, f))
					     : wrong_wire(c);
	default:
		break;
	}
	if (decode_one(c, m, f, v, &one) < 0)
		return -1;
	if (!is_omitted(f, one))
		json_setn(c->d, o, f->name, f->name_len, one);
	return 0;
}

static bool field_find(const struct protobuf_message *m, int num, struct protobuf_field *ret)
{
	const char *at = m->fields;

	while (protobuf_field_next(&at, ret) > 0)
		if (ret->num == num)
			return true;
	return false;
}

static int decode_message(
	struct decoder *c, const struct protobuf_message *m, struct reader r, struct json *o)
{
	struct value v;
	int got;

	if (!m)
		return err_set(c->e, ERR_INTERNAL, "a message of the protobuf tables is missing");
	if (++c->depth > DEPTH_MAX)
		return malformed(c->e, "it is nested too deeply");
	while ((got = read_value(&r, &v, c->e)) > 0) {
		struct protobuf_field f;

		if (field_find(m, v.num, &f) && decode_field(c, m, &f, &v, o) < 0)
			return -1;
	}
	c->depth--;
	return got;
}

/* ---- the envelope ---- */
struct envelope {
	char *api_version, *kind;
	struct reader raw;
	bool foreign; /* encoded or of another content type */
};

static void envelope_done(struct envelope *n)
{
	free(n->api_version);
	free(n->kind);
}

static char *take_text(struct reader r)
{
	return mem_strndup(r.at ? (const char *)r.at : "", (size_t)(r.end - r.at));
}

static int read_type(struct envelope *n, struct reader r, struct err *e)
{
	struct value v;
	int got;

	while ((got = read_value(&r, &v, e)) > 0) {
		char **to = v.num == 1 ? &n->api_version : v.num == 2 ? &n->kind : NULL;

		if (!to || v.wire != WIRE_BYTES)
			continue;
		free(*to);
		*to = take_text(v.data);
	}
	return got;
}

static int read_envelope(struct envelope *n, struct reader r, struct err *e)
{
	struct value v;
	int got;

	while ((got = read_value(&r, &v, e)) > 0) {
		if (v.wire != WIRE_BYTES)
			continue;
		if (v.num == 1 && read_type(n, v.data, e) < 0)
			return -1;
		if (v.num == 2)
			n->raw = v.data;
		if ((v.num == 3 || v.num == 4) && v.n > 0)
			n->foreign = true;
	}
	return got;
}

/* A group whose name starts like another's must not be read by its tables. */
static bool is_ours(const char *api_version)
{
	static const char *const plain[] = { "apps", "batch", "policy", "autoscaling", NULL };
	CLEANUP(mem_freep) char *group = mem_strndup(api_version, strcspn(api_version, "/"));

	return !strchr(api_version, '/') || str_in(group, plain) || str_ends(group, ".k8s.io");
}

const struct protobuf_message *protobuf_message_of(const char *api_version, const char *kind)
{
	static const char *const options[] = { "DeleteOptions", "CreateOptions", "UpdateOptions",
		"PatchOptions", "Status", NULL };
	const char *slash = strchr(api_version, '/');
	char name[256];

	if (str_in(kind, options))
		snprintf(name, sizeof(name), "meta.v1.%s", kind);
	else if (!is_ours(api_version))
		return NULL;
	else if (slash)
		snprintf(name, sizeof(name), "%.*s.%s.%s", (int)strcspn(api_version, "./"), api_version,
			slash + 1, kind);
	else
		snprintf(name, sizeof(name), "core.%s.%s", api_version, kind);
	return protobuf_message(name);
}

static int unsupported(struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED_MEDIA_TYPE,
		"the body of the request was in an unknown format - accepted media types include: "
		"application/json, application/yaml");
}

int protobuf_decode(const struct registry *g, struct resource *want, const void *body, size_t len,
	struct json_doc **ret, struct err *e)
{
	CLEANUP(envelope_done) struct envelope n = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct decoder c = { .d = d, .e = e };
	const uint8_t *bytes = body;
	char api_version[KIND_API_VERSION_MAX];
	const struct protobuf_message *m;
	struct json *o;

	if (len < PROTOBUF_MAGIC_LEN || memcmp(body, PROTOBUF_MAGIC, PROTOBUF_MAGIC_LEN) != 0)
		return malformed(e, "it does not begin as Kubernetes' does");
	if (read_envelope(&n, (struct reader){ bytes + PROTOBUF_MAGIC_LEN, bytes + len }, e) < 0)
		return -1;
	if (n.foreign)
		return unsupported(e);
	if (str_empty(n.kind) && want) {
		free(n.api_version);
		free(n.kind);
		n.api_version = mem_strdup(kind_api_version(want->kind, api_version));
		n.kind = mem_strdup(want->kind->kind);
	}
	if (str_empty(n.kind) || str_empty(n.api_version))
		return err_set(e, ERR_BAD_REQUEST, "Object 'Kind' is missing in the protobuf body");
	m = protobuf_message_of(n.api_version, n.kind);
	if (!m)
		return unsupported(e);
	o = json_new_obj(d);
	json_set_root(d, o);
	json_set_str(d, o, "kind", n.kind);
	json_set_str(d, o, "apiVersion", n.api_version);
	if (decode_message(&c, m, n.raw, o) < 0)
		return -1;
	if (!json_depth_ok(o))
		return malformed(e, "it is nested too deeply");
	*ret = TAKE(d);
	return 0;
}
