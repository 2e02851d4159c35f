/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/defaults.h - what admission fills in. Pure: configuration and random texts come in from outside; the
 * same functions serve the webhook, the VM controller (what would this VM's VMI look like?) and the tests.
 * kubevirt-api.md 5, rollout.md 1.2, decisions 8 and 12. Functions only add what is missing; a second call changes
 * nothing. */
#pragma once

#include "kubevirt/api/config.h"

struct defaults_in {
	const struct kv_config *config;
	/* Random UUIDs for firmware.uuid and firmware.serial. NULL: leave those fields alone. */
	const char *uuid, *serial;
	/* The spec stays in a VM: no maxima, which are written to instances alone (rollout.md 1.2). */
	bool for_vm;
	/* A VM before this update; NULL: not known. What it was given at its creation is kept for a manifest that does not have
	 * it: `kubectl replace` must not change who the guest is. */
	const struct json *old;
};

/* VirtualMachine. create: also what is only given at creation (firmware identity, PCI topology). */
void vm_default(struct json_doc *d, struct json *vm, bool create, const struct defaults_in *in);
/* A VirtualMachineInstance being created: everything that kubevirt-api.md 5 lists, status included. */
void vmi_default_create(struct json_doc *d, struct json *vmi, const struct defaults_in *in);
/* Only the spec part of it: spec is a VMI spec or a VM's template.spec. name, ns may be NULL. */
void vmi_default_spec(struct json_doc *d, struct json *spec, const struct defaults_in *in);
/* What is added by itself: disks for volumes that have none, the card on the pod network, the tablet. No buses and models yet, so
 * that preferences can still choose them. */
void vmi_default_devices(struct json_doc *d, struct json *spec, const struct kv_config *c);
void vmim_default_create(struct json_doc *d, struct json *vmim);

/* ---- shared arithmetic ---- */
/* vCPUs of a topology {sockets,cores,threads}; zero or absent counts as 1, NULL is 1. */
int64_t vcpu_count(const struct json *cpu);
/* Same with sockets replaced (maxSockets for the maximum). */
int64_t vcpu_count_sockets(const struct json *cpu, int64_t sockets);
/* Sockets of a VMI spec's domain: those given, else as many as the CPU limit or request needs if no topology is given at all,
 * else 1. */
int64_t domain_sockets(const struct json *domain);
/* Guest memory of a VMI spec's domain: memory.guest, else request, limit, one hugepage. Bytes; -1: none given. */
int64_t domain_guest_memory(const struct json *domain);
/* Block size that guest sizes must be a multiple of: 2Mi, or 1Gi with 1Gi hugepages. */
int64_t domain_memory_block(const struct json *domain);

/* rollout.md 4.2, first failure wins: may this domain have its memory changed live? NULL if so, else why not (static text,
 * KubeVirt's wording). guest, max_guest in bytes, -1: not set. Architectures: amd64 and arm64 (decision 8). */
const char *memory_hotplug_check(
	const struct json *domain, const char *arch, int64_t guest, int64_t max_guest);
