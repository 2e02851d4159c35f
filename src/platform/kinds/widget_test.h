/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/widget_test.h - for tests: a custom resource, demo.io/v1 Widget. */
#pragma once

#include "api/obj.h"
#include "base/mem.h"
#include "platform/kinds/registry.h"

/* ---- a custom resource, whose schema has one field below spec ---- */
struct widget {
	struct resource_def def;
};

static inline struct obj *widget_crd(const char *color_doc)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'metadata':{'name':'widgets.demo.io'},'spec':{'versions':[{'name':'v1',"
		"'schema':{'openAPIV3Schema':{'type':'object','description':'A "
		"widget.','properties':{'spec':{'type':'object',"
		"'description':'What is "
		"wanted.','properties':{'color':{'type':'string'},'port':{'x-kubernetes-int-or-string':true},"
		"'any':{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'a':{'type'"
		":'string'}}},"
		"'maybe':{'type':'string','nullable':true}}}}}}}]}}");

	json_put_str(d, json_root(d),
		"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color/description",
		color_doc);
	return obj_from_doc(TAKE(d));
}

/* columns may be NULL */
static inline void widgets_add_with(struct registry *g, const char *color_doc, const struct column *columns)
{
	static const char *const shorts[] = { "wd", NULL }, *const categories[] = { "all", NULL };
	static const struct subresource subs[] = { { "status", NULL, NULL, NULL, VERBS_STATUS },
		{ "scale", "autoscaling", "v1", "Scale", VERBS_STATUS }, { 0 } };
	CLEANUP(obj_unrefp) struct obj *crd = widget_crd(color_doc);
	struct widget *w = MEM_NEW(struct widget);

	w->def = (struct resource_def){ .kind = { .group = "demo.io",
						.version = "v1",
						.kind = "Widget",
						.plural = "widgets",
						.singular = "widget",
						.short_names = shorts,
						.categories = categories,
						.namespaced = true,
						.has_status = true },
		.subresources = subs,
		.columns = columns };
	registry_add_crd(g, &w->def, crd, w, free);
}

static inline void widgets_add(struct registry *g, const char *color_doc)
{
	widgets_add_with(g, color_doc, NULL);
}
