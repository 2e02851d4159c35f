/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/node/node_impl.h - one pass over one node; for node.c and its test. */
#pragma once

#include "kubevirt/node/node.h"

struct node_seen {
	const char *name;
	const struct obj *node;        /* NULL: there is none of this name */
	const struct obj *const *vmis; /* those that say they are there */
	size_t n_vmis;
	bool handler; /* a healthy virt-handler pod is there */
	int64_t started_ms, now;
};
void node_decide_seen(const struct node_seen *s, struct plan *out);
