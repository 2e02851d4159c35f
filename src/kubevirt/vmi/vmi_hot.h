/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/vmi_hot.h - another amount of something for a guest that runs, as far as it is the same for CPUs and memory:
 * what its launcher pod asks for and was given, how the pod is resized, what stands in the way of that (handoff.h). Pure.
 * Whose turn it is and how much is needed say vmi_cpu.c and vmi_memory.c. */
#pragma once

#include "api/quantity.h"
#include "kubevirt/vmi/vmi_impl.h"

struct hot_kind {
	const char *resource;                     /* of the compute container */
	const char *condition, *target, *refused; /* of the instance; the latter two are annotations */
	int64_t (*wanted)(const struct json *vmi);
	int64_t (*read)(const struct json *quantity);
	char *(*write)(int64_t n, char buf[QUANTITY_TEXT_MAX]);
};
extern const struct hot_kind hot_kind_cpu, hot_kind_memory;

/* Of a container; -1: none. */
struct hot_share {
	int64_t request, limit;
};
struct hot {
	const struct hot_kind *kind;
	struct vmi_turn *t;
	int64_t wanted;
	const char *fixed; /* why no pod of its kind is resized for that; NULL: that is none of them */
	struct hot_share asked, granted; /* by the pod; by its node */
	struct hot_share need;           /* of the pod, for what is wanted */
	size_t compute;                  /* index of the container */
};

struct hot hot_of(const struct hot_kind *k, struct vmi_turn *t);
/* asked, granted, compute. False: it has no such container. */
bool hot_read_pod(struct hot *h);
/* While a change is under way: what it needs, and never less than the pod was given, for the guest may use it. An earlier wish
 * that the node could not fulfil is taken back. */
struct hot_share hot_wished(const struct hot *h);
/* The API server has refused to resize the pod for what is wanted now. */
bool hot_refused(const struct hot *h);
/* Why it can not be done on this node; NULL: it can, as far as is known. Caller frees. */
char *hot_obstacle(const struct hot *h);
/* The node tries and fails, and tries on; NULL: it does not. */
const char *hot_pod_trouble(const struct hot *h);
/* Nothing where it asks for that already, or where its kind, the gate or the API server are against it. */
void hot_resize(const struct hot *h, struct hot_share to, struct plan *out);
/* True, about what is wanted now. */
void hot_under_way(const struct hot *h, const char *reason, const char *message);
