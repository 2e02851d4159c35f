/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/instancetype/topology.h - for this directory: how the vCPUs of an instance type become sockets, cores and threads. */
#pragma once

#include "base/json.h"

enum it_layout { LAYOUT_SOCKETS, LAYOUT_CORES, LAYOUT_THREADS, LAYOUT_SPREAD, LAYOUT_ANY, LAYOUT_UNKNOWN };
enum it_across { ACROSS_SOCKETS_CORES, ACROSS_CORES_THREADS, ACROSS_ALL, ACROSS_UNKNOWN };
#define IT_THREADS_PER_CORE 2 /* under SocketsCoresThreads */

struct it_topology {
	int64_t sockets, cores, threads;
};
/* preference: its spec, NULL: none. */
void it_topology(int64_t vcpus, const struct json *preference, struct it_topology *ret);
/* ret_new (may be NULL): the word for it today, when an old one is used; else NULL. */
enum it_layout it_layout(const struct json *preference, const char **ret_new);
enum it_across it_across(const struct json *preference, int64_t *ret_ratio);
const char *it_across_name(enum it_across a);
