/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/report.h"

#include "api/meta.h"
#include "base/mem.h"

static const struct row {
	const char *reason, *message;
	const char *available, *progressing, *degraded; /* NULL: left as it is */
} rows[] = {
	[SITUATION_DEPLOYING] = { "DeploymentInProgress", "Deploying the components.", "False", "True",
		"False" },
	[SITUATION_UPDATING] = { "UpdateInProgress", "Transitioning to another version.", "True", "True",
		"True" },
	[SITUATION_READY] = { "AllComponentsReady", "All components are ready.", "True", "False", "False" },
	[SITUATION_FAILED] = { "DeploymentFailed", NULL, "False", "False", "True" },
	[SITUATION_FOREIGN] = { "ExistingDeployment", NULL, NULL, NULL, NULL },
	[SITUATION_DELETING] = { "DeletionInProgress", "Deletion was triggered", "False", "False", "True" },
	[SITUATION_DELETE_FAILED] = { "DeletionFailed", NULL, NULL, NULL, NULL },
};

void report_situation(
	struct json_doc *d, struct json *status, enum situation s, const char *message, int64_t now_ms)
{
	const struct row *row = &rows[s];
	const char *text = message ? message : row->message;

	if (row->available) {
		cond_set(d, status, "Available", row->available, row->reason, text, now_ms);
		cond_set(d, status, "Progressing", row->progressing, row->reason, text, now_ms);
		cond_set(d, status, "Degraded", row->degraded, row->reason, text, now_ms);
	}
	switch (s) {
	case SITUATION_FAILED:
	case SITUATION_FOREIGN:
	case SITUATION_DELETE_FAILED:
		cond_set(d, status, "Synchronized", "False", row->reason, text, now_ms);
		break;
	case SITUATION_UPDATING:
	case SITUATION_DELETING:
		cond_remove(d, status, "Created");
		cond_remove(d, status, "Synchronized");
		break;
	case SITUATION_DEPLOYING:
	case SITUATION_READY:
		cond_remove(d, status, "Synchronized");
		break;
	}
}

void report_created(struct json_doc *d, struct json *status, int64_t now_ms)
{
	cond_set(d, status, "Created", "True", "AllResourcesCreated", "All resources were created.", now_ms);
}

static void report_version(
	struct json_doc *d, struct json *status, const struct target *t, const char *ns, const char *prefix)
{
	CLEANUP(mem_freep) char *config = target_config_text(t, ns);
	CLEANUP(mem_freep) char *version = str_printf("%sKubeVirtVersion", prefix);
	CLEANUP(mem_freep) char *registry = str_printf("%sKubeVirtRegistry", prefix);
	CLEANUP(mem_freep) char *id = str_printf("%sDeploymentID", prefix);
	CLEANUP(mem_freep) char *whole = str_printf("%sDeploymentConfig", prefix);

	json_set_str(d, status, version, t->version);
	json_set_str(d, status, registry, t->registry);
	json_set_str(d, status, id, t->id);
	json_set_str(d, status, whole, config);
}

void report_target(struct json_doc *d, struct json *status, const struct target *t, const char *ns)
{
	report_version(d, status, t, ns, "target");
}

void report_observed(struct json_doc *d, struct json *status, const struct target *t, const char *ns)
{
	report_version(d, status, t, ns, "observed");
}
