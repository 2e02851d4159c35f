/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/crd.h"

#include "api/fields.h"
#include "base/mem.h"
#include "kubevirt/api/kind_defs.h"

const char *const category_all[] = { "all", NULL };
const struct crd_version v1_and_alpha[] = { { "v1", true, false }, { "v1alpha3", false, true }, { NULL } };

static const struct crd *const crds[] = {
#define OWN(id) &crd_##id,
#define CLIENT(id, ...)
#include "kubevirt/api/kinds.def"
#undef OWN
#undef CLIENT
};

static const struct crd *crd_of(const struct kind *k)
{
	for (size_t i = 0; i < ARRAY_LEN(crds); i++)
		if (crds[i]->kind == k)
			return crds[i];
	return NULL;
}

char *crd_name(const struct kind *k)
{
	return str_printf("%s.%s", k->plural, k->group);
}

static void set_strings(struct json_doc *d, struct json *o, const char *key, const char *const *list)
{
	if (!list || !list[0])
		return;
	struct json *a = json_new_arr(d);
	for (size_t i = 0; list[i]; i++)
		json_append_str(d, a, list[i]);
	json_set(d, o, key, a);
}

static struct json *names(struct json_doc *d, const struct kind *k)
{
	struct json *o = json_new_obj(d);
	CLEANUP(mem_freep) char *list_kind = str_printf("%sList", k->kind);

	json_set_str(d, o, "plural", k->plural);
	json_set_str(d, o, "singular", k->singular);
	json_set_str(d, o, "kind", k->kind);
	json_set_str(d, o, "listKind", list_kind);
	set_strings(d, o, "shortNames", k->short_names);
	set_strings(d, o, "categories", k->categories);
	return o;
}

static struct json *columns(struct json_doc *d, const struct crd_column *c)
{
	struct json *a = json_new_arr(d);
	for (; c && c->name; c++) {
		struct json *o = json_new_obj(d);
		json_set_str(d, o, "name", c->name);
		json_set_str(d, o, "type", c->type);
		json_set_str(d, o, "jsonPath", c->json_path);
		if (c->priority)
			json_set_i64(d, o, "priority", c->priority);
		json_append(d, a, o);
	}
	return a;
}

static struct json *subresources(struct json_doc *d, const struct kind *k)
{
	struct json *o = json_new_obj(d);
	if (k->has_status)
		json_set(d, o, "status", json_new_obj(d));
	if (k->has_scale) {
		struct json *s = json_need_obj(d, o, "scale");
		json_set_str(d, s, "specReplicasPath", ".spec.replicas");
		json_set_str(d, s, "statusReplicasPath", ".status.replicas");
		json_set_str(d, s, "labelSelectorPath", ".status.labelSelector");
	}
	return o;
}

static struct json *version(
	struct json_doc *d, const struct crd *c, const struct crd_version *v, const struct json *schema)
{
	struct json *o = json_new_obj(d);
	json_set_str(d, o, "name", v->name);
	json_set_bool(d, o, "served", true);
	json_set_bool(d, o, "storage", v->storage);
	if (v->deprecated) {
		json_set_bool(d, o, "deprecated", true);
		json_set_strf(d, o, "deprecationWarning",
			"%s/%s is now deprecated and will be removed in a future release.", c->kind->group,
			v->name);
	}
	json_set_copy(d, json_need_obj(d, o, "schema"), "openAPIV3Schema", schema);
	if (c->kind->has_status || c->kind->has_scale)
		json_set(d, o, "subresources", subresources(d, c->kind));
	if (c->columns)
		json_set(d, o, "additionalPrinterColumns", columns(d, c->columns));
	return o;
}

struct json *crd_render(struct json_doc *d, const struct kind *k)
{
	const struct crd *c = crd_of(k);
	MUST(c);
	struct crd_version only[2] = { { k->version, true, false }, { NULL } };
	CLEANUP(mem_freep) char *name = crd_name(k);
	CLEANUP(json_doc_freep) struct json_doc *schema = fields_kind_schema(k->fields);

	struct json *o = json_new_obj(d);
	json_set_str(d, o, "apiVersion", "apiextensions.k8s.io/v1");
	json_set_str(d, o, "kind", "CustomResourceDefinition");
	struct json *meta = json_need_obj(d, o, "metadata");
	json_set_str(d, meta, "name", name);
	json_set_str(d, json_need_obj(d, meta, "labels"),
		k == &kind_kubevirt ? "operator.kubevirt.io" : "kubevirt.io", "");
	struct json *spec = json_need_obj(d, o, "spec");
	json_set_str(d, spec, "group", k->group);
	json_set(d, spec, "names", names(d, k));
	json_set_str(d, spec, "scope", k->namespaced ? "Namespaced" : "Cluster");
	json_set_str(d, json_need_obj(d, spec, "conversion"), "strategy", "None");
	struct json *versions = json_need_arr(d, spec, "versions");
	for (const struct crd_version *v = c->versions ? c->versions : only; v->name; v++)
		json_append(d, versions, version(d, c, v, json_root(schema)));
	return o;
}

struct json_doc *crd_render_all(void)
{
	struct json_doc *d = json_doc_new();
	struct json *list = json_new_obj(d);

	json_set_root(d, list);
	json_set_str(d, list, "apiVersion", "v1");
	json_set_str(d, list, "kind", "List");
	struct json *items = json_need_arr(d, list, "items");
	for (size_t i = 0; i < ARRAY_LEN(crds); i++)
		if (crds[i] != &crd_kubevirt)
			json_append(d, items, crd_render(d, crds[i]->kind));
	return d;
}
