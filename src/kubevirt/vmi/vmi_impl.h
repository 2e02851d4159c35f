/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/vmi_impl.h - one pass over one instance: vmi_look.c fills struct vmi_seen, the rest is pure and works on one draft
 * of the instance, written once. */
#pragma once

#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"
#include "kubevirt/vmi/vmi.h"

#define VMI_PODS_MAX 8
#define AUTO_LIMIT_RATIO 2.0 /* kubevirt-api.md 7.1 */
#define AUTO_LIMIT_MAX 1000.0
#define VMI_ATTACHMENTS_MAX 256
/* An instance that has ended has its launcher told so by virt-handler; when that does not happen, the pod goes after this. */
#define VMI_FINAL_POD_MS 60000

struct vmi_seen {
	const struct obj *vmi;
	const struct obj *pods[VMI_PODS_MAX]; /* of this instance, in name order */
	size_t n_pods;
	const struct obj *pod;                              /* the launcher that counts, NULL: none */
	const struct obj *attachments[VMI_ATTACHMENTS_MAX]; /* its attachment pods */
	size_t n_attachments;
	/* A claim of its namespace; NULL: there is none. No function: claims are not known. */
	const struct obj *(*claim)(const void *claim_arg, const char *name);
	const void *claim_arg;
	const struct kv_config *config;
	const struct vmi_env *env;
	bool kvm, foreign;
	double auto_limit; /* see struct render_pod_in */
	/* Is there so much more of a quota's key ("requests.memory") in its namespace? No function: that is not known. */
	bool (*quota_has)(
		const void *quota_arg, const char *key, int64_t (*read)(const struct json *), int64_t more);
	const void *quota_arg;
	const struct obj *node; /* that it runs on; NULL: none, or not known */
	int64_t now;
};
struct vmi_turn {
	const struct vmi_seen *s;
	struct json_doc *d; /* the instance as it will be */
	struct json *vmi, *status;
	enum vmi_phase phase;
};

/* Phase: first matching row of a table. Fills what belongs to the new one. */
void vmi_next_phase(struct vmi_turn *t, struct plan *out);
void vmi_conditions(struct vmi_turn *t);
/* HotMemoryChange, and the compute container's memory. */
void vmi_hot_memory(struct vmi_turn *t, struct plan *out);
/* HotVCPUChange, and its CPU. */
void vmi_hot_cpu(struct vmi_turn *t, struct plan *out);
/* MigrationRequired when the node does not satisfy the rules of placement, for those who want that (rollout.md 7.14). */
void vmi_placement(struct vmi_turn *t);
/* status.volumeStatus as far as it is ours, and the attachment pods of volumes that are plugged (handoff.h). */
void vmi_volumes(struct vmi_turn *t, struct plan *out);
/* The first claim that the launcher pod needs and that is not there; NULL: none. */
const char *vmi_missing_claim(const struct vmi_seen *s);
struct render_pod_in vmi_render_in(const struct vmi_seen *s);
/* Cards that were unplugged leave the spec; MigrationRequired when one can not be attached in place (rollout.md 3.6). */
void vmi_nics(struct vmi_turn *t, struct plan *out);
void vmi_plan_networks(const struct vmi_turn *t, struct plan *out); /* the pod's annotation */
/* Facts about the pod that the instance repeats. */
void vmi_pod_facts(struct vmi_turn *t);
/* The server would not take the launcher pod: Synchronized False, reason FailedCreate, until there is one. */
void vmi_report_refusal(const struct obj *vmi, const struct err *e, int64_t now, struct plan *out);
/* It would not resize the launcher pod either (ops: that patch): for what is wanted now that is not tried again (handoff.h,
 * ANN_RESIZE_REFUSED, ANN_CPU_RESIZE_REFUSED). */
void vmi_report_no_resize(const struct obj *vmi, const char *pod, const struct json *ops, const struct err *e,
	struct plan *out);
void vmi_decide_seen(const struct vmi_seen *s, struct plan *out);

/* ---- the pod ---- */
bool pod_ended(const struct obj *pod); /* Succeeded or Failed */
bool pod_runs(const struct obj *pod);  /* bound, and the compute container runs */
