/* SPDX-License-Identifier: Apache-2.0 */
/* Whole VMs with what they name applied. */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/instancetype/instancetype.h"

#define TEMPLATE_SPEC "spec.template.spec"

static int find_both(
	const struct json *vm, struct it_lookup *l, struct it_found found[IT_SIDES], struct err *e)
{
	for (int side = 0; side < IT_SIDES; side++)
		if (it_find(vm, (enum it_side)side, l, &found[side], e) < 0)
			return -1;
	return 0;
}

static int apply(
	struct json_doc *d, struct json *template, const struct it_found found[IT_SIDES], struct err *e)
{
	const struct json *type = found[IT_INSTANCETYPE].spec, *preference = found[IT_PREFERENCE].spec;
	CLEANUP(strv_done) struct strv conflicts = { 0 };
	CLEANUP(mem_freep) char *spread = it_spread_problem(type, preference);

	if (spread)
		return err_set(e, ERR_INVALID, "%s", spread);
	it_apply(d, template, TEMPLATE_SPEC, type, preference, &conflicts);
	if (!conflicts.len)
		return 0;
	CLEANUP(mem_freep) char *all = strv_join(&conflicts, ", ");
	return err_set(e, ERR_INVALID, IT_CONFLICT, all);
}

/* What KubeVirt adds by itself when it starts a VM, before it applies preferences. */
static void own_devices(
	struct json_doc *d, struct json *template, const struct json *preference, const struct kv_config *c)
{
	static const char *const wishes[][2] = {
		{ "preferredAutoattachPodInterface", "autoattachPodInterface" },
		{ "preferredAutoattachInputDevice", "autoattachInputDevice" },
	};
	struct json *spec = json_need_obj(d, template, "spec");
	struct json *devices = json_need_obj(d, json_need_obj(d, spec, "domain"), "devices");

	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		const struct json *want = json_get(json_get(preference, "devices"), wishes[i][0]);
		if (!json_is_null(want) && json_is_null(json_get(devices, wishes[i][1])))
			json_set_copy(d, devices, wishes[i][1], want);
	}
	vmi_default_devices(d, spec, c);
}

int instancetype_expand(const struct json *vm, enum it_purpose purpose, const struct kv_config *c,
	struct it_lookup *l, struct json_doc **ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct it_found found[IT_SIDES];

	*ret = NULL;
	if (find_both(vm, l, found, e) < 0)
		return -1;
	if (!it_matcher(vm, IT_INSTANCETYPE) && !it_matcher(vm, IT_PREFERENCE))
		return 0;
	d = json_doc_from(json_at(vm, "/spec/template"));
	if (!json_is_obj(json_root(d)))
		return err_set(e, ERR_INVALID, "missing virtual machine template");
	if (purpose == IT_START)
		own_devices(d, json_root(d), found[IT_PREFERENCE].spec, c);
	if (apply(d, json_root(d), found, e) < 0)
		return -1;
	*ret = TAKE(d);
	return 0;
}

int instancetype_expand_vm(const struct json *vm, const struct kv_config *c, struct it_lookup *l,
	struct json_doc **ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *template = NULL;
	const struct defaults_in in = { .config = c, .for_vm = true };
	struct json_doc *d;

	if (instancetype_expand(vm, IT_START, c, l, &template, e) < 0)
		return -1;
	*ret = NULL;
	if (!template)
		return 0;
	d = json_doc_from(vm);
	struct json *spec = json_get(json_root(d), "spec"), *status = json_get(json_root(d), "status");
	json_set_copy(d, spec, "template", json_root(template));
	vmi_default_spec(d, json_need_obj(d, json_get(spec, "template"), "spec"), &in);
	json_remove(spec, "instancetype");
	json_remove(spec, "preference");
	for (int side = 0; side < IT_SIDES && json_is_obj(status); side++)
		json_remove(status, it_ref_field((enum it_side)side));
	*ret = d;
	return 0;
}

void it_annotate(struct json_doc *d, struct json *vmi, const struct json *vm)
{
	static const char *const annotations[IT_SIDES][2] = {
		[IT_INSTANCETYPE] = { ANN_CLUSTER_INSTANCETYPE, ANN_INSTANCETYPE },
		[IT_PREFERENCE] = { ANN_CLUSTER_PREFERENCE, ANN_PREFERENCE },
	};
	for (int side = 0; side < IT_SIDES; side++) {
		const struct json *m = it_matcher(vm, (enum it_side)side);
		const struct kind *k = m ? it_kind(m, (enum it_side)side) : NULL;

		if (k)
			meta_set_annotation(
				d, vmi, annotations[side][k->namespaced], json_get_str(m, "name"));
	}
}
