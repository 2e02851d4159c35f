/* SPDX-License-Identifier: Apache-2.0 */
/* platform/scheduler/requests.h - what a pod takes of a node: Kubernetes' rule, sum of its containers or the largest init container,
 * whichever is more, plus overhead. While a resize has not been carried out, the larger of wanted and given counts. */
#pragma once

#include "api/obj.h"

#define REQUESTS_MORE_MAX 16
struct requests {
	int64_t cpu_milli, memory;
	size_t n_more; /* extended resources and others, by name */
	struct {
		char *name;
		int64_t n;
	} more[REQUESTS_MORE_MAX];
};
void requests_of(const struct json *pod, struct requests *ret);
void requests_done(struct requests *r);
/* r += sign * other */
void requests_add(struct requests *r, const struct requests *other, int sign);
int64_t requests_more(const struct requests *r, const char *name);
/* Neither finished nor waiting for a node. */
bool pod_takes_room(const struct json *pod);
