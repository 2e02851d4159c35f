/* SPDX-License-Identifier: Apache-2.0 */
/* kube/config.h - how to reach an API server: from a kubeconfig file or from inside a pod. */
#pragma once

#include "base/err.h"

struct kube_config {
	char *host;
	int port;
	char *ca_pem;
	char *cert_pem, *key_pem; /* client certificate, or */
	char *token;              /* bearer token, or */
	char *token_path;         /* file read again when it changes (rotation) */
	char *namespace;          /* of the context or the pod; "default" otherwise */
	char *server_name;        /* tls-server-name, else NULL */
	bool insecure;
	char *user_agent;
};
void kube_config_done(struct kube_config *c);
/* path NULL: $KUBECONFIG, else in-cluster (KUBERNETES_SERVICE_HOST and the service account's files), else ~/.kube/config. */
int kube_config_load(const char *path, struct kube_config *ret, struct err *e);
/* Text of a kubeconfig with everything inlined (cluster, user, context named `name`). Caller frees. */
char *kube_config_text(const struct kube_config *c, const char *name);
