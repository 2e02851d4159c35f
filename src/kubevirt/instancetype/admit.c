/* SPDX-License-Identifier: Apache-2.0 */
/* A VM that names an instance type or a preference, on its way in. rollout.md 3.7, 4.1. */
#include "kubevirt/instancetype/admit.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"

#define TEMPLATE_SPEC "spec.template.spec"

static void storage_class(struct json_doc *d, struct json *vm, const struct json *name)
{
	static const char *const forms[] = { "pvc", "storage" };

	if (str_empty(json_str(name)))
		return;
	JSON_EACH (it, json_at(vm, "/spec/dataVolumeTemplates"))
		for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
			struct json *claim = json_get(json_get(it.val, "spec"), forms[i]);
			if (json_is_obj(claim) && json_is_null(json_get(claim, "storageClassName")))
				json_set_copy(d, claim, "storageClassName", name);
		}
}

static void fill_in(struct json_doc *d, struct json *vm, const struct json *preference)
{
	struct json *spec = json_at(vm, "/spec/template/spec");
	const struct json *arch = json_get(preference, "preferredArchitecture");
	const struct json *machine = json_at(preference, "/machine/preferredMachineType");

	if (!json_is_obj(spec))
		return;
	if (!str_empty(json_str(arch)) && str_empty(json_get_str(spec, "architecture")))
		json_set_copy(d, spec, "architecture", arch);
	if (!str_empty(json_str(machine)) && str_empty(json_at_str(spec, "/domain/machine/type")))
		json_set_copy(
			d, json_need_obj(d, json_need_obj(d, spec, "domain"), "machine"), "type", machine);
	storage_class(d, vm, json_at(preference, "/volumes/preferredStorageClassName"));
}

/* Is there anything that a preference could fill in here? Most writes of a VM come later, and need not look it up. */
static bool is_open(const struct json *vm)
{
	const struct json *spec = json_at(vm, "/spec/template/spec");

	return str_empty(json_get_str(spec, "architecture")) ||
	       str_empty(json_at_str(spec, "/domain/machine/type")) ||
	       json_len(json_at(vm, "/spec/dataVolumeTemplates"));
}

int it_mutate_vm(struct json_doc *d, struct json *vm, const struct json *old, struct it_lookup *l,
	struct causes *causes, struct err *e)
{
	struct it_found preference;

	if (json_get(meta_of(vm), "deletionTimestamp"))
		return 0;
	it_validate_matchers(vm, old, causes);
	if (causes->len)
		return 0;
	for (int side = 0; side < IT_SIDES; side++)
		if (it_infer(d, vm, (enum it_side)side, l, e) < 0)
			return -1;
	if (is_open(vm) && it_find(vm, IT_PREFERENCE, l, &preference, NULL) == 0 && preference.spec)
		fill_in(d, vm, preference.spec);
	return 0;
}

/* The copy with defaults, which requirements are counted in: guest memory may come from a request. */
static void check_requirements(const struct json *type, const struct json *preference,
	const struct json *vmi_spec, const struct kv_config *c, struct causes *causes)
{
	const struct defaults_in in = { .config = c };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(vmi_spec);
	CLEANUP(str_done) struct str fields = { 0 };

	vmi_default_spec(d, json_root(d), &in);
	CLEANUP(mem_freep)
	char *problem = it_requirements_problem(type, preference, json_root(d), &fields);
	if (problem)
		cause_text(causes, "FieldValueNotFound", str_cstr(&fields),
			"failure checking preference requirements: %s", problem);
}

void it_validate_vm(const struct json *vm, const struct kv_config *c, struct it_lookup *l,
	struct json_doc **ret, struct causes *causes)
{
	struct it_found found[IT_SIDES];
	CLEANUP(strv_done) struct strv conflicts = { 0 };

	*ret = NULL;
	for (int side = 0; side < IT_SIDES; side++)
		if (it_find(vm, (enum it_side)side, l, &found[side], NULL) < 0)
			found[side] = (struct it_found){ 0 };
	const struct json *type = found[IT_INSTANCETYPE].spec, *preference = found[IT_PREFERENCE].spec;
	CLEANUP(mem_freep) char *spread = it_spread_problem(type, preference);

	if ((!type && !preference) || !json_is_obj(json_at(vm, "/spec/template/spec")))
		return;
	if (spread) {
		cause_text(causes, "FieldValueInvalid", IT_SPREAD_FIELD, "%s", spread);
		return;
	}
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(vm);
	struct json *template = json_at(json_root(d), "/spec/template");
	it_apply(d, template, TEMPLATE_SPEC, type, preference, &conflicts);
	for (size_t i = 0; i < conflicts.len; i++)
		cause_text(causes, "FieldValueInvalid", conflicts.items[i], IT_CONFLICT, conflicts.items[i]);
	/* A type that is not there yet will be looked at when it is. */
	if (!conflicts.len && (type || !it_matcher(vm, IT_INSTANCETYPE)))
		check_requirements(type, preference, json_get(template, "spec"), c, causes);
	if (!causes->len)
		*ret = TAKE(d);
}
