/* SPDX-License-Identifier: Apache-2.0 */
/* Placement is changed live, and KubeVirt leaves the guest where it is (rollout.md 3.4). Who opts in has it moved when its node
 * does not satisfy the rules any more: condition MigrationRequired (rollout.md 7.14). Rules about nodes only; those about other
 * pods count when the next pod is placed. */
#include "api/meta.h"
#include "api/placement.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/vmi_impl.h"

#define REASON "PlacementNotSatisfied"
#define OF_THE_NODE "node.kubernetes.io/" /* taints that tell of trouble; evictions see to them */

/* NULL: the node will do. Caller frees. */
static char *misfit(const struct json *spec, const struct obj *node)
{
	const struct json *taint;

	if (!placement_selects(spec, node))
		return str_printf("node %s does not match nodeSelector and affinity", obj_name(node));
	taint = placement_untolerated(json_get(spec, "tolerations"), node, OF_THE_NODE);
	if (taint)
		return str_printf("taint %s of node %s is not tolerated",
			json_str_or(json_get(taint, "key"), ""), obj_name(node));
	return NULL;
}

void vmi_placement(struct vmi_turn *t)
{
	const struct vmi_seen *s = t->s;
	const struct json *c = vmi_cond(t->vmi, COND_MIGRATION_REQUIRED);
	bool ours = str_eq(json_get_str(c, "reason"), REASON);
	CLEANUP(mem_freep) char *why = NULL;

	if (c && !ours)
		return; /* it is to move for another reason already */
	if (t->phase == VMI_RUNNING && s->node &&
		kv_opted(t->vmi, ANN_ENFORCE_PLACEMENT, s->config->enforce_placement))
		why = misfit(json_get(t->vmi, "spec"), s->node);
	if (why)
		cond_set(t->d, t->status, COND_MIGRATION_REQUIRED, "True", REASON, why, s->now);
	else if (ours)
		cond_remove(t->d, t->status, COND_MIGRATION_REQUIRED);
}
