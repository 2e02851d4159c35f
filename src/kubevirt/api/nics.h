/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/nics.h - network cards of an instance and the interfaces of its pod, as three programs have to agree on them:
 * virt-controller asks for networks by the pod's annotation, whoever runs pods attaches them and says so in another one, and the
 * node's virt-handler connects the guest. rollout.md 3.6, kubevirt-api.md 9. Pure. */
#pragma once

#include "base/json.h"

/* The Network Plumbing Working Group's, as Multus has them. */
#define ANN_NETWORKS "k8s.v1.cni.cncf.io/networks"
#define ANN_NETWORK_STATUS "k8s.v1.cni.cncf.io/network-status"
#define NIC_IFNAME_MAX 16
#define NIC_MAC_LEN 18

/* The item of that name; NULL: none. */
const struct json *nic_named(const struct json *list, const char *name);
const struct json *nic_interface(const struct json *vmi_spec, const char *name);
const struct json *nic_network(const struct json *vmi_spec, const char *name);
bool nic_absent(const struct json *iface);
/* A network by a NetworkAttachmentDefinition, beside the pod's own. */
bool nic_is_secondary(const struct json *network);
/* Bound in a way that can be plugged into a running guest: by a bridge, or as a virtual function. */
bool nic_can_plug(const struct json *iface, const struct json *network);
/* Name of the pod's interface for a network: "pod" and eleven digits of a hash, as KubeVirt has it. */
void nic_pod_ifname(const char *network, char ret[NIC_IFNAME_MAX]);
/* The same address at every start of a VM, for those who did not ask for one. */
void nic_make_mac(const char *firmware_uuid, const char *name, char ret[NIC_MAC_LEN]);
/* "namespace/name" of its definition. Caller frees. */
char *nic_definition(const struct json *network, const char *ns);
/* What ANN_NICS_WAIT says that the pod has for a network, "": it is not attached. Caller frees; NULL: it does not wait. */
char *nic_waiting(const struct json *vmi, const char *network);

/* Takes absent cards that are picked (NULL: all), and their networks, out of a spec. */
typedef bool nic_pick_fn(const void *arg, const char *name);
void nic_drop_absent(struct json *vmi_spec, nic_pick_fn *pick, const void *arg);

/* What the annotations of a pod hold: an array of {name, namespace, interface, mac}; NULL: none, or not to be understood. */
struct json_doc *nic_annotation(const struct json *pod, const char *annotation);
/* The entry of a network in there, by the name of its interface in the pod. */
const struct json *nic_pod_entry(const struct json_doc *list, const char *network);
/* The networks that an instance's pod should be attached to: value of ANN_NETWORKS, NULL: none; caller frees. pod: as it is, NULL
 * for a new one. In a pod that runs, a network keeps the definition it was attached by, a virtual function can not be added,
 * and what the guest has not let go of yet stays. */
char *nic_networks_wanted(const struct json *vmi, const struct json *pod);
