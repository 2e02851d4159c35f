/* SPDX-License-Identifier: Apache-2.0 */
/* Labels and annotations that an instance takes over while it runs: rollout.md 2.6, 6.14, 6.15. Whatever is staged, for they do
 * not reach the guest; those of the template under LiveUpdate only (decision 4). */
#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/synced.h"
#include "kubevirt/vm/vm_impl.h"

/* Of the VM itself, not of its template: no edit of what runs, so both strategies let them through. */
static const char *const vm_keys[] = { ANN_SKIP_BACKUP_HOOKS, ANN_ENFORCE_PLACEMENT };

static void add_vm_keys(struct json_doc *d, const struct obj *vm)
{
	for (size_t i = 0; i < ARRAY_LEN(vm_keys); i++)
		if (meta_annotation(obj_json(vm), vm_keys[i]))
			json_set_str(d, json_root(d), vm_keys[i], meta_annotation(obj_json(vm), vm_keys[i]));
}

void rollout_synced(const struct vm_seen *s, struct edits *r)
{
	const struct json *now = json_get(obj_json(s->vmi), "metadata");
	const struct json *from = rollout_live(s) ? json_get(s->template, "metadata") : now;
	const struct json *labels = json_get(from, "labels"), *annotations = json_get(from, "annotations");
	CLEANUP(json_doc_freep)
	struct json_doc *want = json_is_obj(annotations) ? json_doc_from(annotations) : json_lit("{}");

	for (size_t i = 0; i < ARRAY_LEN(vm_keys); i++)
		if (!rollout_live(s) || !json_get(annotations, vm_keys[i]))
			json_remove(json_root(want), vm_keys[i]);
	add_vm_keys(want, s->vm);
	if (!synced_follow(s->env->synced, now, labels, json_root(want), NULL, NULL))
		return;
	struct json *vmi = rollout_vmi(s, r);
	synced_follow(s->env->synced, now, labels, json_root(want), r->vmi, vmi);
}
