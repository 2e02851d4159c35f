/* SPDX-License-Identifier: Apache-2.0 */
/* Which instance type and which preference a VM means, and where they stand. */
#include "kubevirt/instancetype/instancetype.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"

static const struct {
	const char *field, *ref, *matcher_type;
	const struct kind *own, *cluster;
} sides[IT_SIDES] = {
	[IT_INSTANCETYPE] = { "instancetype", "instancetypeRef", "InstancetypeMatcher", &kind_instancetype,
		&kind_clusterinstancetype },
	[IT_PREFERENCE] = { "preference", "preferenceRef", "PreferenceMatcher", &kind_preference,
		&kind_clusterpreference },
};

const char *it_ref_field(enum it_side side)
{
	return sides[side].ref;
}

const struct json *it_matcher(const struct json *vm, enum it_side side)
{
	const struct json *m = json_get(json_get(vm, "spec"), sides[side].field);

	return json_is_obj(m) ? m : NULL;
}

/* Kind, singular or plural, in any case of letters. */
const struct kind *it_kind(const struct json *matcher, enum it_side side)
{
	const struct kind *both[] = { sides[side].own, sides[side].cluster };
	const char *text = json_get_str(matcher, "kind");

	if (str_empty(text))
		return sides[side].cluster;
	CLEANUP(mem_freep) char *word = str_lower(text);
	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		if (str_eq(word, both[i]->singular) || str_eq(word, both[i]->plural))
			return both[i];
	return NULL;
}

/* ---- in a revision ---- */
static int spec_of_revision(
	const struct json *revision, enum it_side side, struct it_found *ret, struct err *e)
{
	const struct json *data = json_get(revision, "data");
	const char *kind = json_str_or(json_get(data, "kind"), "");

	if (!str_eq(kind, sides[side].own->kind) && !str_eq(kind, sides[side].cluster->kind))
		return err_set(e, ERR_INVALID, "unexpected type in ControllerRevision %s: %s",
			meta_str(revision, "name"), *kind ? kind : "none");
	if (!json_is_obj(json_get(data, "spec")))
		return err_set(
			e, ERR_INVALID, "no spec in ControllerRevision %s", meta_str(revision, "name"));
	*ret = (struct it_found){ .spec = json_get(data, "spec"), .revision = meta_str(revision, "name") };
	return 0;
}

/* The status names one that the spec named until now: it was pinned, and is not any more. */
static bool was_pinned(const struct json *ref)
{
	return json_bool(json_get(ref, "pinned"));
}

/* 1: found, 0: none is meant, -1: it is not there, or makes no sense */
static int find_revision(
	const struct json *vm, enum it_side side, struct it_lookup *l, struct it_found *ret, struct err *e)
{
	const struct json *m = it_matcher(vm, side), *ref = json_get(json_get(vm, "status"), sides[side].ref);
	const char *given = json_get_str(m, "revisionName");
	const char *kept = json_at_str(ref, "/controllerRevisionRef/name");
	const char *name = !str_empty(given) ? given : was_pinned(ref) ? NULL : kept;
	const struct kind *k = it_kind(m, side);

	if (str_empty(name))
		return 0;
	const struct json *revision = l->get(l, &kind_controllerrevision, meta_str(vm, "namespace"), name);
	if (!revision)
		return err_not_found(e, &kind_controllerrevision, name);
	if (str_empty(given) &&
		(!k || !str_eq(meta_label(revision, LABEL_IT_NAME), json_get_str(m, "name")) ||
			!str_eq(meta_label(revision, LABEL_IT_KIND), k->kind)))
		return 0;
	return spec_of_revision(revision, side, ret, e) < 0 ? -1 : 1;
}

int it_find(
	const struct json *vm, enum it_side side, struct it_lookup *l, struct it_found *ret, struct err *e)
{
	const struct json *m = it_matcher(vm, side), *o;
	const struct kind *k = it_kind(m, side);
	const char *name = json_get_str(m, "name");
	int found;

	*ret = (struct it_found){ 0 };
	if (!m)
		return 0;
	found = find_revision(vm, side, l, ret, e);
	if (found)
		return found < 0 ? -1 : 0;
	if (!k)
		return err_set(e, ERR_INVALID, "got unexpected kind in %s: %s", sides[side].matcher_type,
			json_str_or(json_get(m, "kind"), ""));
	if (str_empty(name))
		return err_set(e, ERR_INVALID, "no name in %s", sides[side].matcher_type);
	o = l->get(l, k, k->namespaced ? meta_str(vm, "namespace") : NULL, name);
	if (!o)
		return err_not_found(e, k, name);
	*ret = (struct it_found){ .spec = json_get(o, "spec"), .object = o };
	return 0;
}
