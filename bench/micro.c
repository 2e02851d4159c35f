/* SPDX-License-Identifier: Apache-2.0 */
/* bench-micro: what one object costs, in nanoseconds, beside the floor of copying its text. One line of JSON each. */
#include "object.h"

#include "api/obj.h"
#include "api/patch.h"
#include "api/schema.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/kinds.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MEASURE_NS INT64_C(300000000)

struct bench {
	char *text, *yaml;
	size_t len, yaml_len;
	struct json_doc *doc, *patch, *merge;
	struct obj *obj;
	size_t sink;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void copy_text(struct bench *b)
{
	char *copy = mem_dup(b->text, b->len);

	b->sink += (size_t)copy[b->sink % b->len];
	free(copy);
}

static void parse(struct bench *b)
{
	struct json_doc *d = json_parse(b->text, b->len, NULL);

	b->sink += json_len(json_root(d));
	json_doc_free(d);
}

static void write_text(struct bench *b)
{
	size_t len;
	char *text = json_write(json_root(b->doc), &len);

	b->sink += len;
	free(text);
}

static void parse_yaml(struct bench *b)
{
	struct json_doc *d = yaml_parse(b->yaml, b->yaml_len, NULL);

	b->sink += json_len(json_root(d));
	json_doc_free(d);
}

static void draft(struct bench *b)
{
	struct json_doc *d = obj_draft(b->obj);

	b->sink += json_len(json_root(d));
	json_doc_free(d);
}

static void make_obj(struct bench *b)
{
	struct obj *o = obj_from_text(b->text, b->len, NULL);

	b->sink += strlen(obj_name(o));
	obj_unref(o);
}

static void apply_patch(struct bench *b)
{
	struct json_doc *d = NULL;

	if (patch_json(json_root(b->doc), json_root(b->patch), &d, NULL) == 0)
		b->sink += json_len(json_root(d));
	json_doc_free(d);
}

static void apply_merge(struct bench *b)
{
	struct json_doc *d = NULL;

	if (patch_merge(json_root(b->doc), json_root(b->merge), &d, NULL) == 0)
		b->sink += json_len(json_root(d));
	json_doc_free(d);
}

static const struct {
	const char *name;
	void (*fn)(struct bench *b);
} all[] = {
	{ "copy the text", copy_text },
	{ "parse JSON", parse },
	{ "write JSON", write_text },
	{ "parse YAML", parse_yaml },
	{ "make a shared object", make_obj },
	{ "draft of an object", draft },
	{ "JSON patch", apply_patch },
	{ "merge patch", apply_merge },
};

static double measure(struct bench *b, void (*fn)(struct bench *b))
{
	int64_t began = now_ns(), n = 0;

	while (now_ns() - began < MEASURE_NS)
		for (int i = 0; i < 100; i++, n++)
			fn(b);
	return (double)(now_ns() - began) / (double)n;
}

int main(void)
{
	struct bench b = { .text = object_text("vm") };
	struct str yaml = { 0 };

	b.len = strlen(b.text);
	b.doc = json_parse(b.text, b.len, NULL);
	b.patch =
		json_lit("[{'op':'replace','path':'/spec/template/spec/domain/memory/guest','value':'2Gi'}]");
	b.merge = json_lit("{'spec':{'template':{'spec':{'domain':{'memory':{'guest':'2Gi'}}}}}}");
	b.obj = obj_from_text(b.text, b.len, NULL);
	yaml_write(json_root(b.doc), &yaml);
	b.yaml = yaml.data;
	b.yaml_len = yaml.len;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		printf("{\"what\":\"%s\",\"bytes\":%zu,\"ns\":%.0f}\n", all[i].name, b.len,
			measure(&b, all[i].fn));
	return b.sink == 0;
}
