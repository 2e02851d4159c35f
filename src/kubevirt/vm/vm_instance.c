/* SPDX-License-Identifier: Apache-2.0 */
/* The instance that a VM starts. kubevirt-api.md 3, "Starting". */
#include "kubevirt/vm/vm_impl.h"

#include <inttypes.h>

#include "api/meta.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"

static void copy_map(struct json_doc *d, struct json *meta, const struct json *template_meta, const char *key)
{
	if (json_len(json_get(template_meta, key)))
		json_set_copy(d, meta, key, json_get(template_meta, key));
}

/* Of the VM itself; its instance follows them later on, too (rollout_meta.c). */
static const char *const vm_keys[] = { ANN_SKIP_BACKUP_HOOKS, ANN_ENFORCE_PLACEMENT };

struct json_doc *vm_instance_render(const struct vm_seen *s, bool paused)
{
	const struct json *template = s->types && s->types->launch
					      ? json_root(s->types->launch)
					      : json_at(obj_json(s->vm), "/spec/template");
	struct json_doc *d =
		json_lit("{'apiVersion':'" KV_API_VERSION "','kind':'VirtualMachineInstance','metadata':{}}");
	struct json *root = json_root(d), *meta = json_get(root, "metadata"), *spec;
	CLEANUP(mem_freep) char *generation = str_printf("%" PRId64, obj_generation(s->vm));
	CLEANUP(mem_freep) char *revision = vm_revision_name(s->vm);
	char uuid[37];

	json_set_str(d, meta, "name", obj_name(s->vm));
	json_set_str(d, meta, "namespace", obj_namespace(s->vm));
	copy_map(d, meta, json_get(template, "metadata"), "labels");
	copy_map(d, meta, json_get(template, "metadata"), "annotations");
	for (size_t i = 0; i < ARRAY_LEN(vm_keys); i++)
		if (meta_annotation(obj_json(s->vm), vm_keys[i]))
			meta_set_annotation(
				d, root, vm_keys[i], meta_annotation(obj_json(s->vm), vm_keys[i]));
	it_annotate(d, root, obj_json(s->vm));
	meta_set_annotation(d, root, ANN_VM_GENERATION, generation);
	meta_set_finalizer(d, root, FINALIZER_VM, true);
	meta_add_owner(d, root, KV_API_VERSION, "VirtualMachine", obj_name(s->vm), obj_uid(s->vm), true);
	json_set_copy(d, root, "spec", json_get(template, "spec"));
	spec = json_need_obj(d, root, "spec");
	nic_drop_absent(spec, NULL, NULL);
	/* The guest keeps its identity over restarts, whoever made the VM. */
	if (str_empty(json_at_str(spec, "/domain/firmware/uuid"))) {
		crypto_uuid5(VM_FIRMWARE_UUID_NAMESPACE, obj_name(s->vm), uuid);
		json_put_str(d, spec, "/domain/firmware/uuid", uuid);
	}
	if (paused)
		json_set_str(d, spec, "startStrategy", "Paused");
	json_put_str(d, root, "/status/virtualMachineRevisionName", revision);
	return d;
}
