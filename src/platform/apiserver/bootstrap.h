/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/bootstrap.h - the objects a cluster is born with (kubernetes-api.md 1.5, 2.4,
 * 5.2), and those every namespace
 * gets. Made when missing, at each start; what is there is left alone. */
#pragma once

#include "platform/apiserver/server.h"

void bootstrap_make(struct apiserver *s);
/* An APIService per local group version; call when the registry has changed. */
void local_apis_sync(struct apiserver *s);
/* Service default/kubernetes, and where it leads now. */
void bootstrap_service(struct apiserver *s, const char *host);
/* This server stops: others of the same store are left. Before the last writes are waited for. */
void bootstrap_leave(struct apiserver *s);
/* Makes the ServiceAccount and the CA's ConfigMap of every namespace, now and later. */
struct namespaces *namespaces_new(struct apiserver *s);
void namespaces_free(struct namespaces *n);
