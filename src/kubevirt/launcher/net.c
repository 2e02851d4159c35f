/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/net.h"

#include <stdio.h>
#include <string.h>

static void add_ports(const struct domain_nic *n, bool udp, struct strv *ret)
{
	struct str list = { 0 };

	for (size_t i = 0; i < n->n_forwards; i++)
		if (n->forwards[i].udp == udp)
			str_addf(&list, "%s%u", list.len ? "," : "", n->forwards[i].port);
	strv_add(ret, udp ? "-u" : "-t");
	if (!list.len && n->all_ports && !udp)
		str_addf(&list, "%d-%d", NET_DEFAULT_PORTS_FIRST, NET_DEFAULT_PORTS_LAST);
	strv_add(ret, list.len ? list.data : "none");
	str_done(&list);
}

void net_passt_argv(const struct domain *d, const struct domain_nic *n, int fd, struct strv *ret)
{
	strv_add(ret, NET_PASST);
	strv_add(ret, "-f");
	strv_add(ret, "-q");
	strv_add(ret, "-e"); /* to stderr, there is no system log in a pod */
	strv_add(ret, "-F");
	strv_addf(ret, "%d", fd);
	if (n->binding == NIC_MASQUERADE) {
		strv_add(ret, "-4");
		strv_add(ret, "-a");
		strv_add(ret, n->guest_ip);
		strv_add(ret, "-n");
		strv_addf(ret, "%d", n->prefix);
		strv_add(ret, "-g");
		strv_add(ret, n->gateway);
		strv_add(ret, "--no-map-gw"); /* the gateway is not a door to the pod's own loopback */
	}
	for (size_t i = 0; i < d->n_dns; i++) {
		strv_add(ret, "-D");
		strv_add(ret, d->dns[i]);
	}
	if (d->search) {
		strv_add(ret, "-S");
		strv_add(ret, d->search);
	}
	add_ports(n, false, ret);
	add_ports(n, true, ret);
}

static void forward(const struct domain_nic *n, bool udp, int port, struct strv *ret)
{
	strv_addf(ret, "%s::%d-%s:%d", udp ? "udp" : "tcp", port,
		n->binding == NIC_MASQUERADE ? n->guest_ip : "", port);
}

void net_slirp(const struct domain *d, const struct domain_nic *n, net_can_bind_fn *can_bind,
	struct strv *hostfwd, struct vm_nic *ret)
{
	ret->netdev = VM_NET_SLIRP;
	if (n->binding == NIC_MASQUERADE) {
		struct arena *a = d->arena;
		int last = 0;

		/* slirp's own resolver stands at the third address of the network */
		sscanf(n->gateway, "%*d.%*d.%*d.%d", &last);
		ret->net = arena_printf(a, "%s/%d", n->gateway, n->prefix);
		ret->host = n->gateway;
		ret->dhcp_start = n->guest_ip;
		ret->dns = arena_printf(
			a, "%.*s%d", (int)(strrchr(n->gateway, '.') - n->gateway) + 1, n->gateway, last + 2);
	}
	for (size_t i = 0; i < n->n_forwards; i++)
		forward(n, n->forwards[i].udp, n->forwards[i].port, hostfwd);
	for (int port = NET_DEFAULT_PORTS_FIRST; n->all_ports && port <= NET_DEFAULT_PORTS_LAST; port++)
		if (can_bind(false, (uint16_t)port))
			forward(n, false, port, hostfwd);
	ret->hostfwd = hostfwd;
}
