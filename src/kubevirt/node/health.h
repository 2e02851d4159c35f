/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/node/health.h - /healthz and /metrics of a component, over TLS. The certificate is that of a Secret in the install
 * namespace, followed when it is rotated; until it exists, one made for the occasion. */
#pragma once

#include "kube/client.h"

struct health;
struct health_spec {
	struct loop *loop;
	struct kube_client *client; /* borrowed */
	const char *install_ns, *secret;
	const char *host;                            /* NULL: all addresses */
	int port;                                    /* 0: any */
	void (*metrics)(void *arg, struct str *out); /* Prometheus text; may be NULL */
	void *arg;
};
int health_new(const struct health_spec *spec, struct health **ret, struct err *e);
void health_free(struct health *h);
int health_port(const struct health *h);
