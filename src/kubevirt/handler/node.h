/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/node.h - what virt-handler says about its node: heartbeat, whether VMs may be placed
 * there, machine types, and whether guests really run under KVM. kubevirt-api.md 8, qemu.md 1. Pure. */
#pragma once

#include "base/str.h"
#include "kube/plan.h"
#include "qemu/accel.h"

#define NODE_BEAT_MS 60000 /* times 1 to 2.2 */
#define NODE_BEAT_SPREAD_MS 72000
#define NODE_KVM_COUNT "1k"                            /* guests share the device */
#define NODE_COND_KVM "KVMUsable"                      /* condition: the probe's verdict with its numbers */
#define ANN_NODE_ACCELERATOR "coracle.dev/accelerator" /* "kvm" or "tcg": how guests run here */
#define ANN_NODE_SKIP_LABELS "node-labeller.kubevirt.io/skip-node"
#define LABEL_NODE_CPU_MANAGER_OLD "cpumanager"

struct node_facts {
	bool known; /* both probes have answered */
	struct accel_result kvm;
	struct strv machines; /* types QEMU knows, of all its architectures; empty: no QEMU */
	struct strv emulates; /* architectures beside the node's own that guests can have here */
	bool stopping;        /* orderly shutdown */
};
struct node_view {
	const struct obj *node;
	const struct node_facts *facts;
	int64_t now;
	uint64_t random;
};
void node_decide(const struct node_view *v, struct plan *out);

/* Machine types out of `qemu-system-... -machine help`. */
void node_machines(const char *help, struct strv *ret);
