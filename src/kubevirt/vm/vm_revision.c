/* SPDX-License-Identifier: Apache-2.0 */
/* Start revisions: what the running instance was started from. rollout.md 2.1. */
#include "kubevirt/vm/vm_impl.h"

#include <inttypes.h>
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

char *vm_revision_name(const struct obj *vm)
{
	return str_printf("%s%s-%" PRId64, VM_REVISION_PREFIX, obj_uid(vm), obj_generation(vm));
}

bool vm_revision_of(const struct obj *revision, const struct obj *vm, int64_t *ret_generation)
{
	CLEANUP(mem_freep) char *prefix = str_printf("%s%s-", VM_REVISION_PREFIX, obj_uid(vm));

	return str_starts(obj_name(revision), prefix) &&
	       str_to_i64(obj_name(revision) + strlen(prefix), 0, INT64_MAX, ret_generation);
}

/* Names of instance type and preference revisions come from the status when the spec does not say. */
static void fill_matcher(
	struct json_doc *d, struct json *spec, const struct json *status, const char *field, const char *ref)
{
	struct json *matcher = json_get(spec, field);
	const char *name = json_at_str(json_get(status, ref), "/controllerRevisionRef/name");

	if (json_is_obj(matcher) && str_empty(json_get_str(matcher, "revisionName")) && !str_empty(name))
		json_set_str(d, matcher, "revisionName", name);
}

struct json_doc *vm_revision_render(const struct obj *vm, const struct json *status)
{
	const struct json *o = obj_json(vm);
	struct json_doc *d =
		json_lit("{'apiVersion':'apps/v1','kind':'ControllerRevision','metadata':{},'data':{}}");
	struct json *root = json_root(d), *data = json_get(root, "data");
	CLEANUP(mem_freep) char *name = vm_revision_name(vm);

	json_put_str(d, root, "/metadata/name", name);
	json_put_str(d, root, "/metadata/namespace", obj_namespace(vm));
	meta_add_owner(d, root, KV_API_VERSION, "VirtualMachine", obj_name(vm), obj_uid(vm), true);
	json_set_copy(d, data, "spec", json_get(o, "spec"));
	fill_matcher(d, json_get(data, "spec"), status, "instancetype", "instancetypeRef");
	fill_matcher(d, json_get(data, "spec"), status, "preference", "preferenceRef");
	json_set_i64(d, root, "revision", obj_generation(vm));
	return d;
}
