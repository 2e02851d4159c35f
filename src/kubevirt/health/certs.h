/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/health/certs.h - a component's server certificate: the Secret that virt-operator keeps,
 * followed by a cache, so that a renewed certificate is in use at once. Pods mount no certificates. A
 * set that does not fit together is logged and the old one stays in use. Loop thread only. */
#pragma once

#include "base/tls.h"
#include "kube/client.h"

struct cert_watch;
struct cert_watch_spec {
	struct kube_client *client;
	const char *ns, *secret; /* the Secret with tls.crt and tls.key */
	/* Clients with a certificate of one of KV_CONFIGMAP_CA's are told apart, others are refused;
	 * false: none asked for. */
	bool client_ca;
	/* A first or another certificate; tls is borrowed. Never before the registering call has
	 * returned. */
	void (*changed)(void *arg, struct tls_ctx *tls);
	void *arg;
};
struct cert_watch *cert_watch_new(const struct cert_watch_spec *spec); /* texts copied */
void cert_watch_free(struct cert_watch *w);
