/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/pods.h - what the workload controllers ask of pods and templates. Pure. */
#pragma once

#include "kube/controller.h"
#include "platform/clients/kinds.h"

bool pod_is_active(const struct obj *pod); /* not ended and not going */
bool pod_is_ready(const struct obj *pod);
/* Ready for at least min_ready_seconds; *ret_at (may be NULL) is when it will be, if ready but not yet long enough. */
bool pod_is_available(const struct obj *pod, int64_t min_ready_seconds, int64_t now_ms, int64_t *ret_at);
/* Hash of a pod template, 10 characters of Kubernetes' safe alphabet; collisions: the count is hashed too. */
void template_hash(const struct json *pod_template, int64_t collisions, char ret[16]);
/* A pod made from a template for an owner: labels, annotations, spec; name by generateName. */
struct json_doc *pod_from_template(const struct json *pod_template, const struct kind *owner_kind,
	const struct obj *owner, const char *generate_name);
/* The controller reference of o if it is of this kind, by uid; "" otherwise. */
const char *owner_uid(const struct obj *o, const char *kind);
/* 25% or 3 of a total. */
int64_t int_or_percent(const struct json *v, int64_t total, bool round_up);
/* Keys of the controller owner when it is of the kind: one function per kind. */
void key_owner_deployment(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg);
void key_owner_replicaset(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg);
void key_owner_daemonset(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg);
void key_owner_job(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg);
