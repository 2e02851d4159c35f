/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/controllers.h"

#include "base/mem.h"
#include "platform/controllers/gc.h"
#include "platform/scheduler/scheduler.h"

#include <stdlib.h>

static const struct controller *const all[] = { &scheduler_controller, &deployment_controller,
	&replicaset_controller, &daemonset_controller, &endpoints_controller, &namespace_controller,
	&pdb_controller, &volumes_controller };

struct platform_controllers {
	struct platform_env env;
	struct controller_set *set;
	struct gc *gc;
};

struct platform_controllers *platform_controllers_start(
	struct kube_client *c, const char *ca_pem, const char *data_dir)
{
	struct platform_controllers *p = MEM_NEW(struct platform_controllers);

	p->env.ca_pem = mem_strdup(ca_pem);
	p->env.data_dir = data_dir ? mem_strdup(data_dir) : NULL;
	p->env.client = c;
	p->set = controllers_new(c, "coracle");
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		controllers_add(p->set, all[i], &p->env);
	controllers_start(p->set);
	p->gc = gc_start(c);
	return p;
}

void platform_controllers_stop(struct platform_controllers *p)
{
	if (!p)
		return;
	gc_stop(p->gc);
	controllers_free(p->set);
	free(p->env.ca_pem);
	free(p->env.data_dir);
	free(p);
}

void platform_controllers_metrics(const struct platform_controllers *p, struct str *out)
{
	controllers_metrics(p->set, out);
}
