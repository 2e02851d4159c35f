/* SPDX-License-Identifier: Apache-2.0 */
/* platform/net/nad.h - NetworkAttachmentDefinitions: which secondary networks a pod asks for, what they are, what it is told.
 *
 * The annotations and the kind are the de-facto standard of the Network Plumbing Working Group that Multus implements; whoever
 * speaks it finds here what he finds there. Of the network plugins "bridge" without address management is served; everything
 * else is refused by name, never ignored. Pure. */
#pragma once

#include "api/kind.h"
#include "base/err.h"
#include "base/json.h"
#include "platform/net/net.h"

#define NAD_ANNOTATION "k8s.v1.cni.cncf.io/networks"
#define NAD_STATUS_ANNOTATION "k8s.v1.cni.cncf.io/network-status"
#define NAD_REQUESTS_MAX 32
#define NAD_CONFIG_MAX 65536
#define NAD_DEFAULT_BRIDGE "cni0"

extern const struct kind nad_kind;
struct json_doc *nad_crd(void); /* the CustomResourceDefinition */

struct nad_request {
	char *ns, *name;
	char ifname[NET_IFNAME_MAX]; /* netN, by its place in the list, unless asked for */
	char mac[18];                /* "": none was asked for */
};
/* The annotation's value: JSON, or "ns/name@ifname,name2". ERR_INVALID. On failure *ret_n is 0. */
int nad_requests_parse(const char *text, const char *pod_ns, struct nad_request ret[NAD_REQUESTS_MAX],
	size_t *ret_n, struct err *e);
void nad_requests_done(struct nad_request *list, size_t n);

/* spec.config of a definition: fills bridge and mtu. ERR_INVALID: no JSON, or a plugin or an option that is not served. */
int nad_config_parse(const char *config, struct net_link *ret, struct err *e);
