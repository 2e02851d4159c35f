/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/operator/report.h - the KubeVirt CR's status: phase, conditions, versions (operator.md 1.2, 1.4, 1.5). Changes the
 * draft; pure. */
#pragma once

#include "base/json.h"
#include "kubevirt/operator/target.h"

/* Rows of operator.md 1.4. */
enum situation {
	SITUATION_DEPLOYING,
	SITUATION_UPDATING,
	SITUATION_READY,
	SITUATION_FAILED,  /* an error in applying */
	SITUATION_FOREIGN, /* a second KubeVirt, or one in another namespace */
	SITUATION_DELETING,
	SITUATION_DELETE_FAILED,
};
void report_situation(
	struct json_doc *d, struct json *status, enum situation s, const char *message, int64_t now_ms);
/* Created=True: everything that was to be written is written. */
void report_created(struct json_doc *d, struct json *status, int64_t now_ms);
void report_target(struct json_doc *d, struct json *status, const struct target *t, const char *ns);
void report_observed(struct json_doc *d, struct json *status, const struct target *t, const char *ns);
/* An update has to be seen by those who poll each second (operator.md 1.5, decision 18). */
#define UPDATE_SHOWN_MS 2000
