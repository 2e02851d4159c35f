/* SPDX-License-Identifier: Apache-2.0 */
/* ControllerRevisions that hold what a VM got, and the VM's references to them. */
#include <inttypes.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/instancetype/instancetype.h"

void it_ref_done(struct it_ref *r)
{
	json_doc_free(r->ref);
	json_doc_free(r->create);
	*r = (struct it_ref){ 0 };
}

static char *revision_name(const struct json *vm, const struct json *object, const struct kind *k)
{
	return str_printf("%s-%s-%s-%s-%" PRId64, meta_str(vm, "name"), meta_str(object, "name"), k->version,
		meta_str(object, "uid"), json_i64(json_get(meta_of(object), "generation")));
}

/* The object without what is nobody's business but its own. */
static void put_data(struct json_doc *d, struct json *data, const struct json *object, const struct kind *k)
{
	static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion", "generation",
		"creationTimestamp" };
	struct json *meta = json_need_obj(d, data, "metadata");

	json_set_strf(d, data, "apiVersion", "%s/%s", k->group, k->version);
	json_set_str(d, data, "kind", k->kind);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (json_get(meta_of(object), kept[i]))
			json_set_copy(d, meta, kept[i], json_get(meta_of(object), kept[i]));
	json_set_copy(d, data, "spec", json_get(object, "spec"));
}

static struct json_doc *render(
	const struct json *vm, const struct json *object, const struct kind *k, const char *name)
{
	struct json_doc *d = json_lit("{'apiVersion':'apps/v1','kind':'ControllerRevision','metadata':{},"
				      "'data':{},'revision':0}");
	struct json *root = json_root(d);
	CLEANUP(mem_freep)
	char *generation = str_printf("%" PRId64, json_i64(json_get(meta_of(object), "generation")));

	json_put_str(d, root, "/metadata/name", name);
	json_put_str(d, root, "/metadata/namespace", meta_str(vm, "namespace"));
	meta_add_owner(
		d, root, KV_API_VERSION, kind_vm.kind, meta_str(vm, "name"), meta_str(vm, "uid"), true);
	meta_set_label(d, root, LABEL_IT_GENERATION, generation);
	meta_set_label(d, root, LABEL_IT_KIND, k->kind);
	meta_set_label(d, root, LABEL_IT_NAME, meta_str(object, "name"));
	meta_set_label(d, root, LABEL_IT_UID, meta_str(object, "uid"));
	meta_set_label(d, root, LABEL_IT_VERSION, k->version);
	put_data(d, json_get(root, "data"), object, k);
	return d;
}

static struct json_doc *render_ref(const struct json *matcher, const char *revision)
{
	static const char *const copied[] = { "name", "kind", "inferFromVolume",
		"inferFromVolumeFailurePolicy" };
	const char *given = json_get_str(matcher, "revisionName");
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	for (size_t i = 0; i < ARRAY_LEN(copied); i++)
		if (!str_empty(json_get_str(matcher, copied[i])))
			json_set_copy(d, o, copied[i], json_get(matcher, copied[i]));
	json_put_str(d, o, "/controllerRevisionRef/name", revision);
	if (!str_empty(given))
		json_set_bool(d, o, "pinned", true);
	return d;
}

int it_ref_decide(
	const struct json *vm, enum it_side side, struct it_lookup *l, struct it_ref *ret, struct err *e)
{
	const struct json *m = it_matcher(vm, side), *there;
	struct it_found found;

	*ret = (struct it_ref){ 0 };
	if (!m)
		return 0;
	if (it_find(vm, side, l, &found, e) < 0)
		return -1;
	if (found.revision) {
		ret->ref = render_ref(m, found.revision);
		return 0;
	}
	const struct kind *k = it_kind(m, side);
	CLEANUP(mem_freep) char *name = revision_name(vm, found.object, k);
	there = l->get(l, &kind_controllerrevision, meta_str(vm, "namespace"), name);
	/* the name says which object and which generation of it */
	if (there && !json_eq(json_at(there, "/data/spec"), found.spec))
		return err_set(
			e, ERR_INVALID, "found existing ControllerRevision with unexpected data: %s", name);
	ret->ref = render_ref(m, name);
	if (!there)
		ret->create = render(vm, found.object, k, name);
	return 0;
}
