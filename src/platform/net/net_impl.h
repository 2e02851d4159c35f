/* SPDX-License-Identifier: Apache-2.0 */
/* platform/net/net_impl.h - what the files of the pod network share. Nobody else includes it. */
#pragma once

#include "base/proc.h"
#include "platform/net/net.h"

#include <net/if.h>

#define NET_ATTACH_TIMEOUT_MS 10000

struct net {
	struct loop *loop;
	int n;
	char bridge[IFNAMSIZ];
	char bridge_ip[INET_ADDRSTRLEN], host_ip[INET_ADDRSTRLEN];
	char **taken; /* by host number - 2: uid */
	size_t next;
};

struct net_job {
	struct net *net;
	struct proc_run *run;
	char veth[IFNAMSIZ], bridge[IFNAMSIZ]; /* the host's end, and what it goes onto */
	char *path, *batch;
	net_done_fn *fn;
	void *arg;
};

/* The host's end of j onto its bridge and up. */
int net_join_bridge(const struct net_job *j, struct err *e);
void net_remove_bridges(
	int instance); /* those that were made for secondary networks, as far as nobody uses them */
