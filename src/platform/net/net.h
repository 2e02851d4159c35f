/* SPDX-License-Identifier: Apache-2.0 */
/* platform/net/net.h - the pod network of one instance on this host: a bridge cor<N> with
 * 10.(40+N).0.1/16, one network namespace and
 * veth pair per pod, masquerading by an nft table of its own (coracle<N>). N is claimed for a data directory for good in
 * NET_CLAIM_DIR, so that instances run side by side.
 *
 * Everything is done by a few short-lived programs (ip, nft, unshare) and ioctls; all pieces can be found and removed
 * again by name after a crash. */
#pragma once

#include "base/loop.h"

#include <netinet/in.h>

#define NET_CLAIM_DIR "/run/coracle/net"
#define NET_INSTANCES_MAX 50 /* 10.40.0.0 to 10.89.0.0: clear of the service network 10.96.0.0 */

struct net;
/* Claims N for data_dir, brings bridge and nft table up (waits for the programs; milliseconds). */
struct net *net_new(struct loop *l, const char *data_dir, struct err *e);
void net_free(struct net *n); /* everything stays: pods go on */
int net_instance(const struct net *n);
const char *net_bridge_ip(const struct net *n); /* "10.40.0.1" */
const char *net_host_ip(const struct net *n);   /* address of the host's default route, else the bridge's */

/* An address for a pod; the same pod gets the same again. false: none left. Taken addresses are told at start by net_take(). */
bool net_alloc(struct net *n, const char *pod_uid, char ret_ip[INET_ADDRSTRLEN]);
void net_take(struct net *n, const char *pod_uid, const char *ip);

/* Makes the namespace file `path` (an empty file is made there and mounted over), with lo, eth0 and default route, and the
 * host's end on the bridge. done() once. Freeing the handle cancels. */
struct net_job;
typedef void net_done_fn(void *arg, const struct err *e);
struct net_job *net_attach(
	struct net *n, const char *pod_uid, const char *path, const char *ip, net_done_fn *fn, void *arg);
void net_job_free(struct net_job *j);
/* Unmounts the namespace and frees the address; the veth pair goes with it. Missing pieces are fine. */
void net_detach(struct net *n, const char *pod_uid, const char *path);

/* ---- secondary networks: another interface of a pod, on any bridge of the host (net/nad.h says which) ---- */
#define NET_IFNAME_MAX 16
struct net_link {
	char ifname[NET_IFNAME_MAX]; /* in the pod */
	char bridge
		[NET_IFNAME_MAX]; /* on the host; made if it is not there, and then removed with the instance */
	char mac[18];             /* "02:..." */
	int mtu;                  /* 0: the kernel's */
};
/* As net_attach(), into a namespace that is there. What an interrupted attempt left is replaced. */
struct net_job *net_plug(struct net *n, const char *pod_uid, const char *path, const struct net_link *l,
	net_done_fn *fn, void *arg);
/* Both ends; missing is fine. fn NULL: nobody waits, and NULL is returned. */
struct net_job *net_unplug(
	struct net *n, const char *pod_uid, const char *ifname, net_done_fn *fn, void *arg);
/* The address of a pod's interface when nobody asked for one: always the same. */
void net_make_mac(const char *pod_uid, const char *ifname, char ret[18]);

/* A TCP socket (non-blocking, close-on-exec) that lives in the namespace `path`; NULL: the host's. -1 on failure. The calling
 * thread is in there for the time of the call. */
int net_socket_in(const char *path, int family, struct err *e);

int net_claimed(const char *data_dir); /* N of an instance, -1 if it has none */
/* `coracle uninstall`: bridge, table and claim of data_dir. Nothing there is fine. */
int net_remove_all(const char *data_dir, struct err *e);
