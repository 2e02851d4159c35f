/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/builtin.h"

#include "base/mem.h"

/* As kube-apiserver's: which group kubectl prefers when a name is in several (kubernetes-api.md 1.2). */
static const struct {
	const char *group;
	int priority;
} group_priorities[] = {
	{ "", 18000 },
	{ "events.k8s.io", 17750 },
	{ "authentication.k8s.io", 17700 },
	{ "authorization.k8s.io", 17600 },
	{ "apiregistration.k8s.io", 18100 },
	{ "apps", 17800 },
	{ "autoscaling", 17500 },
	{ "batch", 17400 },
	{ "certificates.k8s.io", 17300 },
	{ "networking.k8s.io", 17200 },
	{ "policy", 17100 },
	{ "rbac.authorization.k8s.io", 17000 },
	{ "storage.k8s.io", 16800 },
	{ "apiextensions.k8s.io", 16700 },
	{ "admissionregistration.k8s.io", 16700 },
	{ "scheduling.k8s.io", 16600 },
	{ "coordination.k8s.io", 16500 },
	{ "node.k8s.io", 16300 },
	{ "discovery.k8s.io", 16200 },
};

const struct resource_def *const builtin_groups[] = { builtin_core, builtin_service, builtin_event,
	builtin_claim, builtin_pods, builtin_apps, builtin_rbac, builtin_admin, builtin_review, builtin_misc,
	builtin_more, builtin_autoscaling, NULL };

void builtin_register(struct registry *g)
{
	for (size_t i = 0; builtin_groups[i]; i++)
		for (const struct resource_def *def = builtin_groups[i]; def->kind.kind; def++)
			registry_add(g, def);
	for (size_t i = 0; i < ARRAY_LEN(group_priorities); i++)
		registry_set_priority(g, group_priorities[i].group, "v1", group_priorities[i].priority, 15);
	registry_set_priority(g, "autoscaling", "v2", 17500, 30);
}
