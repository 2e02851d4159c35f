/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/webhook/server.h - virt-api: one HTTPS server that answers admission webhooks and the aggregated API
 * subresources.kubevirt.io. Everything it knows comes from the API server: the KubeVirt CR, its own certificate (Secret
 * KV_SECRET_API), the front proxy's CA (ConfigMap kube-system/extension-apiserver-authentication), the certificate it shows to
 * virt-handler. It listens once these are there, and follows them when they are rotated. */
#pragma once

#include "kube/client.h"
#include "kubevirt/api/names.h"

struct virt_api;
struct virt_api_spec {
	struct loop *loop;
	struct kube_client *client; /* borrowed */
	const char *install_ns;
	const char *host; /* address to listen on; NULL: all */
	int port;         /* 0: any */
	int handler_port; /* 0: KV_PORT_HANDLER */
	/* called once, when it listens, or could not (e not NULL) */
	void (*ready)(void *arg, int port, const struct err *e);
	void *arg;
};
struct virt_api *virt_api_new(const struct virt_api_spec *spec);
void virt_api_free(struct virt_api *a); /* ends open streams */
