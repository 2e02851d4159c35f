/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vmi/render.h - the launcher pod of an instance, and what its compute container needs. Pure. kubevirt-api.md 7. */
#pragma once

#include "api/obj.h"
#include "kubevirt/api/config.h"

#define RENDER_LAUNCHER "/usr/libexec/coracle/virt-launcher"
#define RENDER_VM_DIR_VOLUME "vm-dir"

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

/* The part of it that so many vCPUs more (or fewer) make. */
int64_t pod_vcpu_overhead(int64_t vcpus, const struct kv_config *c);

struct render_pod_in {
	const struct obj *vmi;
	const struct kv_config *config;
	const char *launcher_image, *host_dir;
	bool kvm; /* nodes offer devices.kubevirt.io/kvm */
	double auto_limit; /* memory limit of a pod that has none, in requests: its namespace wants one; 0: it does not */
	bool foreign; /* no node is of the guest's architecture, but some emulate it */
	/* A claim of the instance's namespace, NULL: there is none. No function: nothing is known of claims. */
	const struct obj *(*claim)(const void *claim_arg, const char *name);
	const void *claim_arg;
};
struct json_doc *launcher_pod_render(const struct render_pod_in *in);
/* render_volumes.c: adds volumes, what mounts them in container compute, and the init container that prepares images. */
void render_volumes(
	const struct render_pod_in *in, struct json_doc *d, struct json *pod_spec, struct json *compute);
/* The pod that brings one volume, which can be plugged, to the instance's node and hands its disk to the
 * launcher (handoff.h). volume, an item of spec.volumes. NULL: it is of no kind that can be plugged. */
struct json_doc *attachment_pod_render(
	const struct render_pod_in *in, const struct json *volume, const char *node);
/* Fixed by instance, volume and what it is made of. Caller frees. */
char *attachment_pod_name(const struct obj *vmi, const struct json *volume);
/* Fixed by the instance's uid: a second attempt to make it finds the first. Caller frees. */
char *launcher_pod_name(const struct obj *vmi);
/* The container called compute in a list of containers or their statuses; NULL if there is none. */
const struct json *compute_in(const struct json *list, size_t *ret_i);
