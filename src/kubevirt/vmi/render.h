/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/render.h - the launcher pod of an instance, and what its compute container needs. Pure. kubevirt-api.md 7. */
#pragma once

#include "api/obj.h"
#include "kubevirt/api/config.h"

/* Of the compute container. Bytes and milli-CPUs; -1: not set. */
struct pod_resources {
	int64_t cpu_request, cpu_limit;
	int64_t memory_request, memory_limit; /* overhead included */
	int64_t overhead;
	int64_t hugepages; /* bytes of them */
	const char *hugepage_size;
};
/* overhead < 0: computed; else as given, for a pod that exists: what was computed at its birth stays. */
void pod_resources_of(
	const struct json *vmi, const struct kv_config *c, int64_t overhead, struct pod_resources *ret);
/* kubevirt-api.md 7.1: what QEMU and its helpers take beside the guest's memory. */
int64_t pod_memory_overhead(const struct json *vmi, const struct kv_config *c);

struct render_pod_in {
	const struct obj *vmi;
	const struct kv_config *config;
	const char *launcher_image, *host_dir;
	bool kvm; /* nodes offer devices.kubevirt.io/kvm */
};
struct json_doc *launcher_pod_render(const struct render_pod_in *in);
/* Fixed by the instance's uid: a second attempt to make it finds the first. Caller frees. */
char *launcher_pod_name(const struct obj *vmi);
/* The container called compute in a list of containers or their statuses; NULL if there is none. */
const struct json *compute_in(const struct json *list, size_t *ret_i);
