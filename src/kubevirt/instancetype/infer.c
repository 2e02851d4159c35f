/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that say which instance type and preference suit them: by labels of the claim, the DataVolume, or of what it is made
 * from. Texts are KubeVirt's. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/instancetype/admit.h"

#define KIND_SUFFIX "-kind"

struct infer {
	const struct json *vm;
	struct it_lookup *lookup;
	const char *label;
	const char *name, *kind; /* found; kind may be NULL */
	bool may_be_ignored;     /* the failure is about what the volume says, not that it is not there */
};

static int unable(struct infer *in, struct err *e, const char *text)
{
	in->may_be_ignored = true;
	return err_set(e, ERR_BAD_REQUEST, "%s", text);
}

/* 1: it says, 0: it does not */
static int labels(struct infer *in, const struct json *o)
{
	CLEANUP(mem_freep) char *kind = str_printf("%s" KIND_SUFFIX, in->label);

	if (!meta_label(o, in->label))
		return 0;
	in->name = meta_label(o, in->label);
	in->kind = meta_label(o, kind);
	return 1;
}

static int labels_or_fail(struct infer *in, const struct json *o, struct err *e)
{
	if (labels(in, o))
		return 0;
	CLEANUP(mem_freep)
	char *text = str_printf("unable to find required %s label on the volume", in->label);
	return unable(in, e, text);
}

static const struct json *fetch(
	struct infer *in, const struct kind *k, const char *ns, const char *name, struct err *e)
{
	const struct json *o = in->lookup->get(in->lookup, k, ns, name);

	if (!o)
		err_not_found(e, k, name);
	return o;
}

static int from(struct infer *in, const struct kind *k, const char *ns, const char *name, struct err *e)
{
	const struct json *o = fetch(in, k, ns, name, e);

	return o ? labels_or_fail(in, o, e) : -1;
}

/* {pvc: {name, namespace}} or {snapshot: ...}. 1: it is neither */
static int from_source(struct infer *in, const struct json *source, const char *ns, struct err *e)
{
	static const struct {
		const char *field;
		const struct kind *kind;
	} sources[] = { { "pvc", &kind_pvc }, { "snapshot", &kind_volumesnapshot } };

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct json *s = json_get(source, sources[i].field);
		if (json_is_obj(s))
			return from(in, sources[i].kind, json_str_or(json_get(s, "namespace"), ns),
				json_str_or(json_get(s, "name"), ""), e);
	}
	return 1;
}

static int from_data_source(struct infer *in, const char *ns, const char *name, struct err *e)
{
	const struct json *o = fetch(in, &kind_datasource, ns, name, e);
	int rc;

	if (!o)
		return -1;
	if (labels(in, o))
		return 0;
	rc = from_source(in, json_at(o, "/spec/source"), ns, e);
	return rc <= 0 ? rc
		       : unable(in, e,
				 "unable to infer defaults from DataSource that doesn't provide "
				 "DataVolumeSourcePVC or DataVolumeSourceSnapshot");
}

static int from_data_volume_spec(struct infer *in, const struct json *spec, struct err *e)
{
	const struct json *ref = json_get(spec, "sourceRef");
	const char *ns = meta_str(in->vm, "namespace"), *kind = json_str_or(json_get(ref, "kind"), "");
	int rc = from_source(in, json_get(spec, "source"), ns, e);

	if (rc <= 0)
		return rc;
	if (!json_is_obj(ref))
		return unable(in, e,
			"unable to infer defaults from DataVolumeSpec as DataVolumeSource is not supported");
	if (str_eq(kind, kind_datasource.kind))
		return from_data_source(in, json_str_or(json_get(ref, "namespace"), ns),
			json_str_or(json_get(ref, "name"), ""), e);
	CLEANUP(mem_freep)
	char *text = str_printf(
		"unable to infer defaults from DataVolumeSourceRef as Kind %s is not supported", kind);
	return unable(in, e, text);
}

static int from_data_volume(struct infer *in, const char *name, struct err *e)
{
	const char *ns = meta_str(in->vm, "namespace");
	const struct json *o;

	JSON_EACH (it, json_at(in->vm, "/spec/dataVolumeTemplates"))
		if (str_eq(json_at_str(it.val, "/metadata/name"), name))
			return from_data_volume_spec(in, json_get(it.val, "spec"), e);
	o = in->lookup->get(in->lookup, &kind_datavolume, ns, name);
	if (!o && in->lookup->pending)
		return -1;
	if (!o) /* its claim has its name, and outlives it */
		return from(in, &kind_pvc, ns, name, e);
	if (labels(in, o))
		return 0;
	return from_data_volume_spec(in, json_get(o, "spec"), e);
}

static int from_volume(struct infer *in, const char *name, struct err *e)
{
	JSON_EACH (it, json_at(in->vm, "/spec/template/spec/volumes")) {
		const struct json *claim = json_get(it.val, "persistentVolumeClaim");
		const struct json *dv = json_get(it.val, "dataVolume");

		if (!str_eq(json_get_str(it.val, "name"), name))
			continue;
		if (json_is_obj(claim))
			return from(in, &kind_pvc, meta_str(in->vm, "namespace"),
				json_str_or(json_get(claim, "claimName"), ""), e);
		if (json_is_obj(dv))
			return from_data_volume(in, json_str_or(json_get(dv, "name"), ""), e);
		CLEANUP(mem_freep)
		char *text =
			str_printf("unable to infer defaults from volume %s as type is not supported", name);
		return unable(in, e, text);
	}
	return err_set(e, ERR_BAD_REQUEST, "unable to find volume %s to infer defaults", name);
}

int it_infer(struct json_doc *d, struct json *vm, enum it_side side, struct it_lookup *l, struct err *e)
{
	const char *field = side == IT_INSTANCETYPE ? "instancetype" : "preference";
	const struct json *m = it_matcher(vm, side);
	const char *volume = json_get_str(m, "inferFromVolume");
	bool ignore = str_eq(json_get_str(m, "inferFromVolumeFailurePolicy"), "Ignore");
	struct infer in = { .vm = vm,
		.lookup = l,
		.label = side == IT_INSTANCETYPE ? LABEL_DEFAULT_INSTANCETYPE : LABEL_DEFAULT_PREFERENCE };

	if (!m || str_empty(volume))
		return 0;
	if (from_volume(&in, volume, e) < 0) {
		if (l->pending)
			return -1;
		if (!in.may_be_ignored || !ignore) {
			if (e)
				e->code = ERR_BAD_REQUEST;
			return -1;
		}
		json_remove(json_get(vm, "spec"), field);
		return 0;
	}
	struct json *matcher = json_new_obj(d);
	json_set_str(d, matcher, "name", in.name);
	if (!str_empty(in.kind))
		json_set_str(d, matcher, "kind", in.kind);
	json_set(d, json_get(vm, "spec"), field, matcher);
	/* The memory that stands there is what was to be used without a type */
	if (side == IT_INSTANCETYPE && ignore)
		json_remove_at(vm, "/spec/template/spec/domain/memory");
	return 0;
}
