/* SPDX-License-Identifier: Apache-2.0 */
/* Representations: an object in the version asked for, and in the shape asked for. */
#include "platform/callout/convert.h"
#include "platform/apiserver/server.h"

#include "base/mem.h"
#include "base/yaml.h"
#include "platform/codec/value.h"

#include <string.h>

#define AS(what) ";as=" what ";v=v1;g=meta.k8s.io"
#define AS_BETA(what) ";as=" what ";v=v1beta1;g=meta.k8s.io"
static const struct {
	const char *type;
	enum shape shape;
	int list;     /* 1: lists only, 0: single objects only, -1: both */
	bool builtin; /* not for custom resources */
} shapes[] = {
	{ "application/json", SHAPE_JSON, -1, false },
	{ "application/yaml", SHAPE_YAML, -1, false },
	{ PROTOBUF_TYPE, SHAPE_PROTOBUF, -1, true },
	{ "application/json" AS("Table"), SHAPE_TABLE, -1, false },
	{ "application/json" AS_BETA("Table"), SHAPE_TABLE, -1, false },
	{ "application/json" AS("PartialObjectMetadataList"), SHAPE_METADATA, 1, false },
	{ "application/json" AS("PartialObjectMetadata"), SHAPE_METADATA, 0, false },
	{ PROTOBUF_TYPE AS("PartialObjectMetadataList"), SHAPE_METADATA_PROTOBUF, 1, false },
	{ PROTOBUF_TYPE AS("PartialObjectMetadata"), SHAPE_METADATA_PROTOBUF, 0, false },
};

int request_shape(struct request *r, const struct resource *res, bool list, enum shape *ret)
{
	const char *offers[ARRAY_LEN(shapes)];
	enum shape found[ARRAY_LEN(shapes)];
	size_t n = 0;
	int choice;

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		bool whole = shapes[i].shape == SHAPE_JSON || shapes[i].shape == SHAPE_YAML ||
			     shapes[i].shape == SHAPE_PROTOBUF;

		if (shapes[i].list == !list || (shapes[i].builtin && res->origin != ORIGIN_BUILTIN) ||
			(!whole && res->def->transient))
			continue;
		found[n] = shapes[i].shape;
		offers[n++] = shapes[i].type;
	}
	choice = request_accept(r, offers, n);
	if (choice < 0) {
		request_fail_accept(r, offers, n);
		return -1;
	}
	*ret = found[choice];
	return 0;
}

enum table_include request_include(const struct request *r)
{
	const char *v = request_query(r, "includeObject");

	return str_eq(v, "Object") ? TABLE_OBJECT : str_eq(v, "None") ? TABLE_NONE : TABLE_METADATA;
}

void metadata_only(const struct obj *o, struct str *out)
{
	size_t len, n;
	const char *text = obj_text(o, &len), *meta = value_member(text, len, "metadata", &n);

	str_add(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
	if (meta)
		str_addn(out, meta, n);
	else
		str_add(out, "{}");
	str_addc(out, '}');
}

static void reply_in_version(
	void *arg, struct request *r, struct resource *res, int status, const struct obj *v)
{
	CLEANUP(str_done) struct str out = { 0 };
	enum shape shape;

	if (request_shape(r, res, false, &shape) < 0)
		return;
	request_add_header(r, "Cache-Control", "no-cache, private");
	switch (shape) {
	case SHAPE_TABLE:
		table_row(res, v, true, false, request_include(r),
			loop_wall_ms(((struct apiserver *)arg)->loop), &out);
		break;
	case SHAPE_METADATA:
		metadata_only(v, &out);
		break;
	case SHAPE_YAML:
		yaml_write(obj_json(v), &out);
		request_reply(r, status, "application/yaml", out.data, out.len);
		return;
	case SHAPE_JSON:
		request_reply_obj(r, status, v);
		return;
	case SHAPE_PROTOBUF:
	case SHAPE_METADATA_PROTOBUF:
		protobuf_object(v, shape == SHAPE_METADATA_PROTOBUF, &out);
		request_reply(r, status, PROTOBUF_TYPE, out.data, out.len);
		return;
	}
	request_reply(r, status, "application/json", out.data, out.len);
}

void reply_object(
	struct apiserver *s, struct request *r, struct resource *res, int status, const struct obj *o)
{
	convert_then(s->callouts, r, res, status, o, reply_in_version, s);
}
