/* SPDX-License-Identifier: Apache-2.0 */
/* What all that render use: objects from text, the list of them, the mark of who made them. */
#include "kubevirt/operator/render.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"

#include <string.h>

struct json *render_lit(struct json_doc *d, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *parsed = NULL;
	struct err e = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] == '\'')
			text.data[i] = '"';
	parsed = json_parse(text.data, text.len, &e);
	MUST(parsed);
	return json_copy(d, json_root(parsed));
}

void render_add(struct rendering *r, const struct kind *k, enum stage stage, struct json *o)
{
	struct rendered *item;

	r->items = mem_grow(r->items, &r->cap, r->len + 1, sizeof(*r->items));
	item = &r->items[r->len++];
	item->kind = k;
	item->stage = stage;
	item->o = o;
	item->key = kind_key(json_at_str(o, "/metadata/namespace"), json_at_str(o, "/metadata/name"));
}

void rendering_done(struct rendering *r)
{
	for (size_t i = 0; i < r->len; i++)
		free(r->items[i].key);
	free(r->items);
	json_doc_free(r->doc);
	*r = (struct rendering){ 0 };
}

static bool label_value_ok(const char *s)
{
	return s && *s && strlen(s) <= 63 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(s);
}

void render_mark(struct json_doc *d, struct json *o, const struct render_in *in)
{
	const struct json *spec = json_get(in->cr, "spec");
	const char *part_of = json_get_str(spec, "productName");
	const char *version = json_get_str(spec, "productVersion");
	const char *component = json_get_str(spec, "productComponent");

	meta_set_label(d, o, LABEL_MANAGED_BY, KV_VIRT_OPERATOR);
	/* An invalid label value is left out (operator.md 1.1). */
	if (label_value_ok(part_of))
		meta_set_label(d, o, "app.kubernetes.io/part-of", part_of);
	if (label_value_ok(version))
		meta_set_label(d, o, "app.kubernetes.io/version", version);
	meta_set_label(
		d, o, "app.kubernetes.io/component", label_value_ok(component) ? component : "kubevirt");
	meta_set_annotation(d, o, ANN_STRATEGY_VERSION, in->target->version);
	meta_set_annotation(d, o, ANN_STRATEGY_REGISTRY, in->target->registry);
	meta_set_annotation(d, o, ANN_STRATEGY_IDENTIFIER, in->target->id);
}
