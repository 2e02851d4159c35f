/* SPDX-License-Identifier: Apache-2.0 */
/* Of a network card: what its state may be on which network, its place, what DHCP tells, names of ports. kubevirt-api.md 6;
 * texts are KubeVirt's. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/api/validate_impl.h"

#define DHCP_PRIVATE_MIN 224
#define DHCP_PRIVATE_MAX 254

static void check_state(const struct check *k, const struct json *nic, const struct json *net, const char *at)
{
	CLEANUP(mem_freep) char *sub = str_printf("%s.state", at);
	const char *name = json_str_or(json_get(nic, "name"), ""), *state = json_get_str(nic, "state");
	bool absent = nic_absent(nic), vf = json_is_obj(json_get(nic, "sriov"));

	if (str_empty(state))
		return;
	if (vf && !absent)
		check_refuse(k, REASON_INVALID, sub,
			"\"%s\" interface's state \"%s\" is not supported for SR-IOV NICs", name, state);
	if (absent && !json_is_obj(json_get(nic, "bridge")))
		check_refuse(k, REASON_INVALID, sub,
			"\"%s\" interface's state \"%s\" is supported only for bridge binding", name, state);
	if (absent && net && !nic_is_secondary(net))
		check_refuse(k, REASON_INVALID, sub,
			"\"%s\" interface's state \"%s\" is not supported on default networks", name, state);
}

/* 0000:81:00.1 */
static void check_place(const struct check *k, const struct json *nic, const char *at)
{
	CLEANUP(mem_freep) char *sub = str_printf("%s.pciAddress", at);
	const char *place = json_get_str(nic, "pciAddress");
	unsigned d, b, s, f;
	char end;

	if (str_empty(place))
		return;
	if (strlen(place) != 12 || sscanf(place, "%4x:%2x:%2x.%1x%c", &d, &b, &s, &f, &end) != 4 ||
		s > 0x1f || f > 7)
		check_refuse(k, REASON_INVALID, sub, "interface %s.%s has malformed PCI address (%s).", k->at,
			sub, place);
}

static void check_dhcp(const struct check *k, const struct json *nic, const char *at)
{
	CLEANUP(mem_freep) char *sub = str_printf("%s.dhcpOptions", at);
	const struct json *dhcp = json_get(nic, "dhcpOptions");
	bool seen[DHCP_PRIVATE_MAX + 1] = { false };
	struct in_addr ip;

	JSON_EACH (it, json_get(dhcp, "privateOptions")) {
		int64_t n = json_i64(json_get(it.val, "option"));

		if (n < DHCP_PRIVATE_MIN || n > DHCP_PRIVATE_MAX) {
			check_refuse(k, REASON_INVALID, sub,
				"provided DHCPPrivateOptions are out of range, must be in range 224 to 254");
			continue;
		}
		if (seen[n])
			check_refuse(k, REASON_INVALID, sub,
				"Found Duplicates: you have provided duplicate DHCPPrivateOptions");
		seen[n] = true;
	}
	JSON_EACH (it, json_get(dhcp, "ntpServers"))
		if (inet_pton(AF_INET, json_str_or(it.val, ""), &ip) != 1) {
			CLEANUP(mem_freep) char *server = str_printf("%s.ntpServers[%zu]", sub, it.i);
			check_refuse(k, REASON_INVALID, server,
				"NTP servers must be a list of valid IPv4 addresses.");
		}
}

static void check_port_names(const struct check *k, const struct json *nic, const char *at)
{
	const struct json *ports = json_get(nic, "ports");

	JSON_EACH (it, ports) {
		const char *name = json_get_str(it.val, "name");
		int first = str_empty(name) ? -1 : check_index(ports, name);

		if (first < 0 || (size_t)first == it.i)
			continue;
		CLEANUP(mem_freep) char *sub = str_printf("%s.ports[%zu].name", at, it.i);
		check_refuse(k, REASON_DUPLICATE, sub, "Duplicate name of the port: %s", name);
	}
}

void check_nic_details(const struct check *k, const struct json *nic, const struct json *net, size_t i)
{
	CLEANUP(mem_freep) char *at = str_printf("domain.devices.interfaces[%zu]", i);

	check_state(k, nic, net, at);
	check_place(k, nic, at);
	check_dhcp(k, nic, at);
	check_port_names(k, nic, at);
}
