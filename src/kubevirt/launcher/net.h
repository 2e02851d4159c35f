/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/net.h - user-mode networking of one interface: QEMU's own (slirp), or passt. Pure.
 *
 * slirp is the default: passt as Debian 12 has it takes 21 MiB of memory a VM, more than the whole launcher may, and
 * holds back the first bytes of a server behind a forwarded port until the client has spoken. HOST.network chooses
 * passt, which is faster under KVM. */
#pragma once

#include "kubevirt/launcher/domain.h"

#define NET_PASST "passt"
/* Without a list of ports KubeVirt forwards all. Each takes a socket here, and 65535 of them are more than a process
 * gets, so the privileged ones are taken, as far as they can be; list `ports` for others. TCP only. */
#define NET_DEFAULT_PORTS_FIRST 1
#define NET_DEFAULT_PORTS_LAST 1023

/* fd: passt's end of the socket pair. */
void net_passt_argv(const struct domain *d, const struct domain_nic *n, int fd, struct strv *ret);
/* Fills the slirp part of ret; strings live in the domain, forwards are added to hostfwd, which must outlive ret. Of
 * the default ports those for which can_bind says yes. */
typedef bool net_can_bind_fn(bool udp, uint16_t port);
void net_slirp(const struct domain *d, const struct domain_nic *n, net_can_bind_fn *can_bind,
	struct strv *hostfwd, struct vm_nic *ret);
