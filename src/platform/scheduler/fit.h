/* SPDX-License-Identifier: Apache-2.0 */
/* platform/scheduler/fit.h - does a pod fit a node? Pure: objects in, reason out. Shared by the scheduler and DaemonSets. */
#pragma once

#include "api/obj.h"
#include "api/placement.h"
#include "base/str.h"

/* What bound pods take from a node. Amounts: milli-CPUs for cpu, whole units for all else. */
#define USAGE_MAX 64
struct usage {
	struct {
		char name[128];
		int64_t amount;
	} items[USAGE_MAX];
	size_t n;
	int64_t pods;
};
void usage_add(struct usage *u, const struct obj *pod);
int64_t usage_of(const struct usage *u, const char *name);
/* What a pod asks for: the larger of its containers' sum and any init container, plus overhead; for a pod being resized the
 * larger of wanted and in force. */
void pod_requests(const struct obj *pod, struct usage *ret);

/* Whom anti-affinity and affinity look at. */
struct neighbours {
	const struct obj *const *pods; /* bound and active */
	size_t n_pods;
	const struct obj *const *nodes;
	size_t n_nodes;
	/* namespace's labels by name; NULL: unknown */
	const struct json *(*namespace_labels)(void *arg, const char *name);
	void *arg;
};

/* true, or false with why ("Insufficient memory", "node(s) had untolerated taint {a: b}"), in the words kubectl users know. */
bool fit_node(const struct obj *pod, const struct obj *node, const struct usage *used,
	const struct neighbours *n, struct str *why);
/* For DaemonSets: selectors, affinity and taints of a template's pod spec; neither room nor unschedulable count. */
bool fit_daemon(const struct json *pod_spec, const struct obj *node);
/* Higher is better: free share of cpu and memory, preferred affinity. */
int64_t fit_score(const struct obj *pod, const struct obj *node, const struct usage *used);
