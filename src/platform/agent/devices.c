/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/impl.h"

/* The one list of extended resources that stand for device files. Who offers them writes the node's capacity. */
static const struct {
	const char *resource, *path;
} devices[] = {
	{ "devices.kubevirt.io/kvm", "/dev/kvm" },
	{ "devices.kubevirt.io/tun", "/dev/net/tun" },
	{ "devices.kubevirt.io/vhost-net", "/dev/vhost-net" },
	{ "devices.kubevirt.io/vhost-vsock", "/dev/vhost-vsock" },
	{ "devices.kubevirt.io/sev", "/dev/sev" },
};

const char *device_path(const char *resource)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		if (str_eq(devices[i].resource, resource))
			return devices[i].path;
	return NULL;
}
