/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/net.h - user-mode networking of one interface: passt's command line, or QEMU's own (slirp). Pure. */
#pragma once

#include "kubevirt/launcher/domain.h"

#define NET_PASST "passt"
/* Without a list of ports KubeVirt forwards all. passt needs a socket for each, and neither its descriptors nor the memory of a
 * small VM allow 65535 of them, so the privileged ones are taken; list `ports` for others. */
#define NET_DEFAULT_PORTS "1-1023"

/* fd: passt's end of the socket pair. */
void net_passt_argv(const struct domain *d, const struct domain_nic *n, int fd, struct strv *ret);
/* Fills the slirp part of ret; strings live in the domain, forwards are added to hostfwd, which must outlive ret. */
void net_slirp(const struct domain *d, const struct domain_nic *n, struct strv *hostfwd, struct vm_nic *ret);
