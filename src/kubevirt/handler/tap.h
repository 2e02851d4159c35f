/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/handler/tap.h - the guest's end of a secondary network, in the pod's network namespace: the pod's interface and a tap
 * device on a bridge between the two, all named by the pod's interface ("pod" + hash): k6t-hash, taphash.
 *
 * The guest takes the interface's address over; the interface gets another one, or the bridge would keep the guest's frames.
 * The tap lives as long as somebody holds its descriptor, so nothing has to be taken back after a crash; everything else is
 * found again by name. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and to see the launcher's process. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* pid: a process of the pod. The descriptor is QEMU's kind: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR (qemu.md 9). ERR_NOT_FOUND: the pod
 * has no such interface; ERR_CONFLICT: a tap of that name is in use. */
int tap_open(pid_t pid, const char *pod_interface, const char *guest_mac, int *ret_fd, struct err *e);
/* The bridge, when no guest is on it any more. Missing is fine. */
void tap_close(pid_t pid, const char *pod_interface);
