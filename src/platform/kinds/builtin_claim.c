/* SPDX-License-Identifier: Apache-2.0 */
/* PersistentVolume and PersistentVolumeClaim; what is in their specs is in builtin_volume.c. */
#include "platform/kinds/builtin.h"

#include "base/mem.h"
#include "base/time.h"

FIELD_TABLE(pv_fields, "io.k8s.api.core.v1.PersistentVolume", "A piece of storage.",
	ROW_REF("spec", pv_spec_fields, "What it is."), ROW_OBJ("status", "What is."),
	ROW_STR("status.phase", "Phase."), ROW_STR("status.message", "Why, for people."),
	ROW_STR("status.reason", "Why."), ROW_TIME("status.lastPhaseTransitionTime", "Since when."));

static struct json *capacity_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *v = json_at(o, "/spec/capacity/storage");

	if (!v)
		v = json_at(o, "/status/capacity/storage");
	return v ? json_copy(d, v) : json_new_str(d, "");
}

static struct json *access_modes_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char *const names[][2] = { { "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" },
		{ "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" } };
	CLEANUP(str_done) struct str s = { 0 };
	bool claim = str_eq(json_get_str(o, "kind"), "PersistentVolumeClaim");
	const struct json *modes = json_at(o, claim ? "/status/accessModes" : "/spec/accessModes");

	if (claim && str_empty(json_at_str(o, "/spec/volumeName")))
		modes = NULL; /* not bound: neither size nor modes are known */
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		JSON_EACH (it, modes)
			if (str_eq(json_str(it.val), names[i][0]))
				str_addf(&s, "%s%s", s.len ? "," : "", names[i][1]);
	return json_new_str(d, str_cstr(&s));
}

static struct json *pv_claim_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const char *name = json_at_str(o, "/spec/claimRef/name");

	return name ? json_new_strf(d, "%s/%s", json_str_or(json_at(o, "/spec/claimRef/namespace"), ""), name)
		    : json_new_str(d, "");
}

static struct json *text_or(struct json_doc *d, const struct json *o, const char *pointer, const char *deflt)
{
	const char *s = json_at_str(o, pointer);

	return json_new_str(d, str_empty(s) ? deflt : s);
}

static struct json *attributes_class_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeAttributesClassName", "<unset>");
}

static struct json *pv_reason_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/status/reason", "");
}

static struct json *volume_mode_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeMode", "<unset>");
}

static struct json *claim_phase_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	if (json_at(o, "/metadata/deletionTimestamp"))
		return json_new_str(d, "Terminating");
	return text_or(d, o, "/status/phase", "");
}

static struct json *claim_volume_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeName", "");
}

static struct json *claim_class_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/storageClassName", "");
}

static const struct column pv_columns[] = {
	{ "Capacity", "string", NULL, "Size.", 0, NULL, capacity_cell },
	{ "Access Modes", "string", NULL, "Access modes.", 0, NULL, access_modes_cell },
	{ "Reclaim Policy", "string", NULL, "What happens when released.", 0,
		".spec.persistentVolumeReclaimPolicy", NULL },
	{ "Status", "string", NULL, "Phase.", 0, NULL, claim_phase_cell },
	{ "Claim", "string", NULL, "Claim.", 0, NULL, pv_claim_cell },
	{ "StorageClass", "string", NULL, "Class.", 0, ".spec.storageClassName", NULL },
	{ "VolumeAttributesClass", "string", NULL, "Class of attributes.", 0, NULL, attributes_class_cell },
	{ "Reason", "string", NULL, "Why it is in that phase.", 0, NULL, pv_reason_cell },
	COLUMN_AGE,
	{ "VolumeMode", "string", NULL, "Mode.", 1, NULL, volume_mode_cell },
	{ 0 },
};

static int pv_prepare(const struct write_env *env, struct json_doc *d, struct json *o, const struct json *old,
	struct err *e)
{
	if (!old)
		json_set_str(d, json_need_obj(d, o, "status"), "phase", "Pending");
	return 0;
}

FIELD_TABLE(pvc_fields, "io.k8s.api.core.v1.PersistentVolumeClaim", "A wish for storage.",
	ROW_REF("spec", pvc_spec_fields, "What is wanted."),
	ROW_REF("status", pvc_status_fields, "What is."));

static int pvc_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	default_str(d, json_need_obj(d, o, "spec"), "volumeMode", "Filesystem");
	if (!old)
		json_set_str(d, json_need_obj(d, o, "status"), "phase", "Pending");
	return 0;
}

/* But for what a bound claim may change, and what is decided later. */
static bool claim_spec_same(const struct json *a, const struct json *b)
{
	static const char *const later[] = { "volumeName", "storageClassName" };
	CLEANUP(json_doc_freep) struct json_doc *da = json_doc_from(a);
	CLEANUP(json_doc_freep) struct json_doc *db = json_doc_from(b);
	struct json *sides[2] = { json_root(da), json_root(db) };

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (str_empty(json_get_str(b, later[i]))) {
			json_remove(sides[0], later[i]);
			json_remove(sides[1], later[i]);
		}
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		json_remove(json_get(sides[i], "resources"), "requests");
		json_remove(sides[i], "volumeAttributesClassName");
	}
	return json_eq(sides[0], sides[1]);
}

static void pvc_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	if (json_len(json_at(o, "/spec/accessModes")) == 0)
		cause_required(c, "spec.accessModes", "at least 1 access mode is required");
	if (!json_at(o, "/spec/resources/requests/storage"))
		cause_required(c, "spec.resources[storage]", "");
	if (old && !claim_spec_same(json_get(o, "spec"), json_get(old, "spec")))
		cause_forbidden(c, "spec",
			"spec is immutable after creation except resources.requests and "
			"volumeAttributesClassName for bound claims");
}

static const struct column pvc_columns[] = {
	{ "Status", "string", NULL, "Phase.", 0, NULL, claim_phase_cell },
	{ "Volume", "string", NULL, "Volume.", 0, NULL, claim_volume_cell },
	{ "Capacity", "string", NULL, "Size.", 0, NULL, capacity_cell },
	{ "Access Modes", "string", NULL, "Access modes.", 0, NULL, access_modes_cell },
	{ "StorageClass", "string", NULL, "Class.", 0, NULL, claim_class_cell },
	{ "VolumeAttributesClass", "string", NULL, "Class of attributes.", 0, NULL, attributes_class_cell },
	COLUMN_AGE,
	{ "VolumeMode", "string", NULL, "Mode.", 1, NULL, volume_mode_cell },
	{ 0 },
};

static const char *const pv_names[] = { "pv", NULL };
static const char *const pvc_names[] = { "pvc", NULL };

const struct resource_def builtin_claim[] = {
	{ .kind = { CORE("PersistentVolume", "persistentvolumes", "persistentvolume"),
		  .short_names = pv_names, .has_status = true, .fields = &pv_fields },
		.subresources = status_only,
		.columns = pv_columns,
		.hooks = { .prepare = pv_prepare },
		.delete_returns = true },
	{ .kind = { CORE("PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim"),
		  .short_names = pvc_names, .namespaced = true, .has_status = true, .fields = &pvc_fields },
		.subresources = status_only,
		.columns = pvc_columns,
		.hooks = { .prepare = pvc_prepare, .validate = pvc_validate },
		.delete_returns = true },
	{ .kind = { 0 } },
};
