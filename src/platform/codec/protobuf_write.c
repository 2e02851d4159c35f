/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in protobuf (kubernetes-api.md 2.8): the transcoder of protobuf.c the other way, by the same tables. A member the
 * tables do not know is left out, as is null. */
#include "platform/codec/protobuf.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/codec/codec.h"
#include "platform/codec/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2 };
#define VARINT_MAX 10

static size_t varint(uint64_t v, char buf[VARINT_MAX])
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		buf[n++] = (char)(v | 0x80);
	buf[n++] = (char)v;
	return n;
}

static void put_varint(struct str *out, uint64_t v)
{
	char buf[VARINT_MAX];

	str_addn(out, buf, varint(v, buf));
}

static void put_tag(struct str *out, int num, enum wire wire)
{
	put_varint(out, (uint64_t)num << 3 | wire);
}

static void put_bytes(struct str *out, int num, const void *data, size_t len)
{
	put_tag(out, num, WIRE_BYTES);
	put_varint(out, len);
	if (len > 0)
		str_addn(out, data, len);
}

static void put_number(struct str *out, int num, int64_t v)
{
	put_tag(out, num, WIRE_VARINT);
	put_varint(out, (uint64_t)v);
}

/* A value whose length is known when it is written: most are short, and leave one byte for it. */
static size_t open_value(struct str *out, int num)
{
	put_tag(out, num, WIRE_BYTES);
	str_addc(out, 0);
	return out->len;
}

static void close_value(struct str *out, size_t at)
{
	size_t len = out->len - at, n;
	char buf[VARINT_MAX];

	n = varint(len, buf);
	if (n > 1) {
		for (size_t i = 1; i < n; i++)
			str_addc(out, 0);
		memmove(out->data + at + n - 1, out->data + at, len);
	}
	memcpy(out->data + at - 1, buf, n);
}

/* ---- values ---- */
static void put_message(struct str *out, const struct protobuf_message *m, const struct json *o);

static void put_text(struct str *out, int num, const struct json *v)
{
	put_bytes(out, num, json_str_or(v, ""), json_str_len(v));
}

/* Seconds and nanoseconds: the fraction is read from the text, which may be finer than a millisecond. */
static void put_time(struct str *out, int num, const struct json *v)
{
	const char *text = json_str_or(v, ""), *dot = strchr(text, '.');
	int64_t ms, nanos = 0, unit = 100000000;
	size_t at;

	if (!time_parse(text, &ms))
		return;
	for (const char *p = dot ? dot + 1 : ""; *p >= '0' && *p <= '9' && unit; p++, unit /= 10)
		nanos += (*p - '0') * unit;
	at = open_value(out, num);
	put_number(out, 1, (ms - ((ms % 1000) + 1000) % 1000) / 1000);
	put_number(out, 2, nanos);
	close_value(out, at);
}

static void put_quantity(struct str *out, int num, const struct json *v)
{
	size_t at = open_value(out, num);

	if (json_is_str(v)) {
		put_text(out, 1, v);
	} else {
		CLEANUP(str_done) struct str text = { 0 };

		json_write_to(v, &text);
		put_bytes(out, 1, text.data, text.len);
	}
	close_value(out, at);
}

static void put_int_or_string(struct str *out, int num, const struct json *v)
{
	size_t at = open_value(out, num);

	put_number(out, 1, json_is_str(v));
	put_number(out, 2, json_is_str(v) ? 0 : json_i64(v));
	put_text(out, 3, v);
	close_value(out, at);
}

static void put_raw(struct str *out, int num, const struct json *v)
{
	CLEANUP(str_done) struct str text = { 0 };
	size_t at = open_value(out, num);

	json_write_to(v, &text);
	put_bytes(out, 1, text.data, text.len);
	close_value(out, at);
}

static void put_base64(struct str *out, int num, const struct json *v)
{
	CLEANUP(str_done) struct str bytes = { 0 };

	if (b64_decode(json_str_or(v, ""), json_str_len(v), false, &bytes, NULL) == 0)
		put_bytes(out, num, bytes.data, bytes.len);
}

static void put_strings(struct str *out, int num, int item_num, const struct json *v)
{
	size_t at = open_value(out, num);

	JSON_EACH (it, v)
		put_text(out, item_num, it.val);
	close_value(out, at);
}

static void put_schema(struct str *out, int num, const struct json *v)
{
	size_t at = open_value(out, num);

	put_message(out, protobuf_message("apiextensions.v1.JSONSchemaProps"), v);
	close_value(out, at);
}

/* The unions of decode_union(): O {schema=1, schemas=2}, B {allows=1, schema=2}, S {schema=1, property=2}. */
static void put_union(struct str *out, char form, int num, const struct json *v)
{
	size_t at = open_value(out, num);

	if (form == 'B') {
		put_number(out, 1, json_is_obj(v) || json_bool(v));
		if (json_is_obj(v))
			put_schema(out, 2, v);
	} else if (json_is_obj(v)) {
		put_schema(out, 1, v);
	} else {
		JSON_EACH (it, v) {
			if (form == 'S')
				put_text(out, 2, it.val);
			else
				put_schema(out, 2, it.val);
		}
	}
	close_value(out, at);
}

static void put_double(struct str *out, int num, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	put_tag(out, num, WIRE_64);
	for (int i = 0; i < 8; i++)
		str_addc(out, (char)(bits >> (8 * i)));
}

static void put_scalar(struct str *out, char form, int num, const struct json *v)
{
	switch (form) {
	case 's':
		put_text(out, num, v);
		break;
	case 'b':
		put_number(out, num, json_bool(v));
		break;
	case 'i':
		put_number(out, num, json_i64(v));
		break;
	case 'd':
		put_double(out, num, json_num(v));
		break;
	case 'y':
		put_base64(out, num, v);
		break;
	case 't':
	case 'u':
		put_time(out, num, v);
		break;
	case 'q':
		put_quantity(out, num, v);
		break;
	case 'n':
		put_int_or_string(out, num, v);
		break;
	case 'r':
		put_raw(out, num, v);
		break;
	case 'L':
		put_strings(out, num, 1, v);
		break;
	default:
		put_union(out, form, num, v);
	}
}

static void put_one(struct str *out, const struct protobuf_message *in, const struct protobuf_field *f,
	int num, const struct json *v)
{
	size_t at;

	if (f->scalar) {
		put_scalar(out, f->scalar, num, v);
		return;
	}
	at = open_value(out, num);
	put_message(out, protobuf_field_message(in->name, f), v);
	close_value(out, at);
}

static void put_entry(struct str *out, const struct protobuf_message *in, const struct protobuf_field *f,
	const struct json_iter *it)
{
	size_t at = open_value(out, f->num);

	put_bytes(out, 1, it->key, it->key_len);
	if (!json_is_null(it->val))
		put_one(out, in, f, 2, it->val);
	close_value(out, at);
}

/* Members that stand in the outer object: there is no message of their own if it has none of them. */
static void put_inlined(struct str *out, const struct protobuf_message *in, const struct protobuf_field *f,
	const struct json *o)
{
	size_t before = out->len, at = open_value(out, f->num);

	put_message(out, protobuf_field_message(in->name, f), o);
	if (out->len == at)
		out->len = before;
	else
		close_value(out, at);
}

static void put_field(struct str *out, const struct protobuf_message *m, const struct protobuf_field *f,
	const struct json *o)
{
	const struct json *v;

	if (f->shape == '^') {
		put_inlined(out, m, f, o);
		return;
	}
	v = json_getn(o, f->name, f->name_len);
	if (json_is_null(v))
		return;
	if (f->shape == '*') {
		JSON_EACH (it, v)
			put_one(out, m, f, f->num, it.val);
	} else if (f->shape == '%') {
		JSON_EACH (it, v)
			put_entry(out, m, f, &it);
	} else {
		put_one(out, m, f, f->num, v);
	}
}

static void put_message(struct str *out, const struct protobuf_message *m, const struct json *o)
{
	const char *at;
	struct protobuf_field f;

	if (!m || !json_is_obj(o))
		return;
	at = m->fields;
	while (protobuf_field_next(&at, &f) > 0)
		put_field(out, m, &f, o);
}

/* ---- the envelope ---- */
/* Returns where the object begins; to be closed by close_envelope(). */
static size_t open_envelope(struct str *out, const char *api_version, const char *kind)
{
	size_t at;

	str_addn(out, PROTOBUF_MAGIC, PROTOBUF_MAGIC_LEN);
	at = open_value(out, 1);
	put_bytes(out, 1, api_version, strlen(api_version));
	put_bytes(out, 2, kind, strlen(kind));
	close_value(out, at);
	return open_value(out, 2);
}

static void close_envelope(struct str *out, size_t at)
{
	close_value(out, at);
	put_bytes(out, 3, "", 0); /* neither encoded nor of another type */
	put_bytes(out, 4, "", 0);
}

/* Lists have no tables: they are all alike. */
static const struct protobuf_message *item_message(const char *api_version, const char *kind)
{
	CLEANUP(mem_freep) char *item = str_ends(kind, "List") ? mem_strndup(kind, strlen(kind) - 4) : NULL;

	return item ? protobuf_message_of(api_version, item) : NULL;
}

static void put_list(struct str *out, const struct protobuf_message *m, const struct json *list)
{
	size_t at = open_value(out, 1);

	put_message(out, protobuf_message("meta.v1.ListMeta"), json_get(list, "metadata"));
	close_value(out, at);
	JSON_EACH (it, json_get(list, "items")) {
		at = open_value(out, 2);
		put_message(out, m, it.val);
		close_value(out, at);
	}
}

bool protobuf_encode(const struct json *o, struct str *out)
{
	const char *api_version = json_get_str(o, "apiVersion"), *kind = json_get_str(o, "kind");
	const struct protobuf_message *m, *item = NULL;
	size_t at;

	if (str_empty(api_version) || str_empty(kind))
		return false;
	m = protobuf_message_of(api_version, kind);
	if (!m)
		item = item_message(api_version, kind);
	if (!m && !item)
		return false;
	at = open_envelope(out, api_version, kind);
	if (m)
		put_message(out, m, o);
	else
		put_list(out, item, o);
	close_envelope(out, at);
	return true;
}

/* ---- lists and events of stored objects ---- */
/* Parsed for this alone: the trees of a large collection shall not stay. */
static void put_text_message(struct str *out, const struct protobuf_message *m, const char *text, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *d = text ? json_parse(text, len, NULL) : NULL;

	if (d)
		put_message(out, m, json_root(d));
}

static void put_metadata(struct str *out, const struct obj *o)
{
	size_t len, n = 0, at = open_value(out, 1);
	const char *text = obj_text(o, &len), *meta = value_member(text, len, "metadata", &n);

	put_text_message(out, protobuf_message("meta.v1.ObjectMeta"), meta, n);
	close_value(out, at);
}

void protobuf_list(struct resource *r, const struct obj *const *items, size_t n, const struct list_meta *m,
	bool metadata_only, struct str *out)
{
	const struct protobuf_message *item;
	char av[KIND_API_VERSION_MAX], rv[24];
	size_t at, in, len;

	kind_api_version(r->kind, av);
	item = protobuf_message_of(av, r->kind->kind);
	at = metadata_only ? open_envelope(out, "meta.k8s.io/v1", "PartialObjectMetadataList")
			   : open_envelope(out, av, r->list_kind);
	in = open_value(out, 1);
	snprintf(rv, sizeof(rv), "%" PRIu64, m->rv);
	put_bytes(out, 2, rv, strlen(rv));
	if (!str_empty(m->next))
		put_bytes(out, 3, m->next, strlen(m->next));
	if (m->remaining > 0)
		put_number(out, 4, m->remaining);
	close_value(out, in);
	for (size_t i = 0; i < n; i++) {
		in = open_value(out, 2);
		if (metadata_only) {
			put_metadata(out, items[i]);
		} else {
			const char *text = obj_text(items[i], &len);

			put_text_message(out, item, text, len);
		}
		close_value(out, in);
	}
	close_envelope(out, at);
}

bool protobuf_object(const struct obj *o, bool metadata_only, struct str *out)
{
	size_t at;

	if (!metadata_only)
		return protobuf_encode(obj_json(o), out);
	at = open_envelope(out, "meta.k8s.io/v1", "PartialObjectMetadata");
	put_metadata(out, o);
	close_envelope(out, at);
	return true;
}

void protobuf_event(const char *type, const struct str *object, struct str *out)
{
	size_t start = out->len, at, raw, len;

	str_addn(out, "\0\0\0\0", 4);
	put_bytes(out, 1, type, strlen(type));
	at = open_value(out, 2);
	raw = open_value(out, 1);
	str_addn(out, object->data, object->len);
	close_value(out, raw);
	close_value(out, at);
	len = out->len - start - 4;
	for (int i = 0; i < 4; i++)
		out->data[start + (size_t)i] = (char)(len >> (24 - 8 * i));
}
