/* SPDX-License-Identifier: Apache-2.0 */
/* platform/agent/cgroup.h - control groups of containers, v1, v2 or both at once (each controller is looked for where it is). The
 * OCI runtime makes a container's group at the path we name; here it is changed, read, emptied and removed. Paths are
 * within the hierarchies: "/coracle0/podUID/NAME". */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct cgroup_limits {
	int64_t memory;      /* bytes; -1: none */
	int64_t cpu_request; /* milli-CPUs; 0: the least */
	int64_t cpu_limit;   /* milli-CPUs; -1: none */
};
/* As the kernel's v1 interface and the OCI configuration count. */
#define CGROUP_CPU_PERIOD 100000
int64_t cgroup_shares(int64_t milli);
int64_t cgroup_quota(int64_t milli); /* -1: none */

struct cgroups;
struct cgroups *cgroups_new(void);
void cgroups_free(struct cgroups *g);
bool cgroups_v2(const struct cgroups *g); /* nothing but v2 */
/* Live change. Fails, changing nothing of memory, when more is in use than the new limit. */
int cgroup_set(const struct cgroups *g, const char *path, const struct cgroup_limits *l, struct err *e);
/* File with a line "oom_kill N"; the caller frees. */
char *cgroup_oom_file(const struct cgroups *g, const char *path);
bool cgroup_memory(const struct cgroups *g, const char *path, int64_t *ret_bytes);
/* SIGKILL to every process in it and below. */
void cgroup_kill(const struct cgroups *g, const char *path);
/* Removes it and everything below, in every hierarchy. Groups with processes stay. */
bool cgroup_there(const struct cgroups *g, const char *path);
void cgroup_remove(const struct cgroups *g, const char *path);
