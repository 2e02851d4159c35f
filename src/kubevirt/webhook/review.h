/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/review.h - admission webhooks as pure functions: an AdmissionReview request in, one with the response out.
 * kubevirt-api.md 1.1, 5, 6; operator.md 1.6. The server in front of it fetches what a hook needs beyond the request. */
#pragma once

#include "api/kind.h"
#include "kubevirt/api/config.h"
#include "kubevirt/instancetype/instancetype.h"

#define REVIEW_CAUSES_SHOWN 10 /* in the message; all stand in details.causes */

/* What must be looked up before the hook can answer. */
enum review_needs {
	NEEDS_NOTHING,
	NEEDS_VMI,
	NEEDS_VMI_AND_MIGRATIONS,
	NEEDS_KUBEVIRT_COUNT,
	NEEDS_VMI_COUNT
};
struct review_env {
	const struct kv_config *config;
	const char *install_ns;
	const char *uuid, *serial; /* random texts for new VMs and VMIs */
	/* by the hook's needs */
	const struct json *vmi;        /* that of the VM, or the one a migration names; NULL: there is none */
	const struct json *migrations; /* array: the VMIMs of its namespace */
	size_t count;
	struct it_lookup *
		lookup; /* of instance types and what belongs to them; pending afterwards: fetch, and ask again */
};

enum hook_id {
	HOOK_MUTATE_VM,
	HOOK_MUTATE_VMI,
	HOOK_MUTATE_VMIM,
	HOOK_VALIDATE_VM,
	HOOK_VALIDATE_VM_STATUS,
	HOOK_VALIDATE_VMI_CREATE,
	HOOK_VALIDATE_VMI_UPDATE,
	HOOK_VALIDATE_VMIM_CREATE,
	HOOK_VALIDATE_VMIM_UPDATE,
	HOOK_VALIDATE_KUBEVIRT_CREATE,
	HOOK_VALIDATE_KUBEVIRT_UPDATE,
	HOOK_VALIDATE_KUBEVIRT_DELETE,
	HOOK_VALIDATE_INSTANCETYPE,
	HOOK_VALIDATE_CLUSTERINSTANCETYPE,
	HOOK_VALIDATE_PREFERENCE,
	HOOK_VALIDATE_CLUSTERPREFERENCE,
	HOOK_ID_MAX
};
enum hook_side { HOOK_MUTATING, HOOK_VALIDATING, HOOK_OPERATOR };
struct hook {
	const char *path;    /* "/virtualmachines-mutate" */
	const char *name;    /* "virtualmachines-mutator.kubevirt.io" */
	enum hook_side side; /* the configuration it stands in */
	const struct kind *kind;
	const char *operations; /* "CREATE,UPDATE" */
	enum review_needs needs;
	enum hook_id id;
	/* The request goes through while nobody answers. For the KubeVirt object alone: a wrong imageTag that keeps virt-api from
	 * starting must be mendable. KubeVirt's operator answers these hooks itself and has no such trouble. */
	bool may_be_missed;
	const char *sub;  /* "status"; NULL: the resource itself */
	const char *when; /* CEL: asked only if it holds; NULL: always */
};
extern const struct hook hooks[]; /* ends with a NULL path */
const struct hook *hook_find(const char *path);

/* Name of the VMI that the request's VM or migration is about (NULL if it says none), and its namespace. */
const char *review_vmi_name(const struct json *review, const char **ret_ns);
/* The answer for a review; ERR_BAD_REQUEST if it is none. */
int review_answer(const struct hook *h, const struct json *review, const struct review_env *env,
	struct json_doc **ret, struct err *e);
