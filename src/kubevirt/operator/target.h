/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/target.h - which version is to run: from the operator's own image, its environment, and the KubeVirt CR.
 * operator.md 1.3, decision 16 (a set imageTag or imageRegistry beats the environment). Pure. */
#pragma once

#include "base/err.h"
#include "base/json.h"

/* Components that have an image of their own. id, name, variable that may name the image */
#define COMPONENTS(X)                                             \
	X(OPERATOR, "virt-operator", "VIRT_OPERATOR_IMAGE")       \
	X(API, "virt-api", "VIRT_API_IMAGE")                      \
	X(CONTROLLER, "virt-controller", "VIRT_CONTROLLER_IMAGE") \
	X(HANDLER, "virt-handler", "VIRT_HANDLER_IMAGE")          \
	X(LAUNCHER, "virt-launcher", "VIRT_LAUNCHER_IMAGE")

enum component {
#define X(id, name, env) COMPONENT_##id,
	COMPONENTS(X)
#undef X
		COMPONENT_MAX
};
const char *component_name(enum component c);

#define IMAGE_MAX 512
/* What a process is told by its surroundings; read once by main(). */
struct operator_settings {
	char *ns;                    /* where everything is installed: POD_NAMESPACE */
	char *version;               /* KUBEVIRT_VERSION, or the program's own */
	char *host_dir;              /* KUBEVIRT_HOST_DIR: handed on to every component */
	char *images[COMPONENT_MAX]; /* from the environment; NULL: derived from the operator's */
	struct strv extra_env;       /* KV_IO_EXTRA_ENV_X=v as "X=v" */
	char *pod_name;
};

struct target {
	char *registry; /* "coracle.dev" */
	char *prefix;   /* in front of component names, usually "" */
	char *version;  /* "v0.1.0" */
	char *images[COMPONENT_MAX];
	char id[41]; /* deployment id: any change of it rolls every component */
};
/* ERR_INVALID for an image or tag that is none (they end up in pod specs as they are). cr: the KubeVirt object. */
int target_compute(
	const struct operator_settings *s, const struct json *cr, struct target *ret, struct err *e);
void target_done(struct target *t);
/* The DeploymentConfig text of status (operator.md 1.2). Caller frees. */
char *target_config_text(const struct target *t, const char *ns);
