/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/node/node.h - the node controller: a node whose virt-handler has not been heard of for NODE_SILENT_MS takes no new
 * instances, and without a healthy virt-handler there its instances are given up. kubevirt-api.md 8. */
#pragma once

#include "kube/controller.h"

#define NODE_SILENT_MS 300000

struct node_env {
	/* Silence before this moment (wall ms) does not count: after an outage of the whole control plane, guests
	 * that went on must not be given up before their virt-handlers had time to come back. */
	int64_t started_ms;
};
extern const struct controller node_controller; /* env: struct node_env */
