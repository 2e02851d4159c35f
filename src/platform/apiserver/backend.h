/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/backend.h - reaching the servers that webhooks and APIServices name: a Service's ready endpoint, and a
 * pool of connections to it. */
#pragma once

#include "platform/apiserver/server.h"

#define BACKENDS_MAX 64

struct backend_spec {
	const char *host;
	int port;
	const char *server_name; /* verified; NULL: host */
	const char *ca_pem;      /* NULL: the system's */
	bool insecure;
	bool front_proxy; /* show the front proxy's client certificate */
};
struct backend {
	struct http_client *client;
	/* private */
	char *key;
	unsigned refs;
	struct backend *next;
};
/* Referenced: give back with backend_unref() when the call is over. */
struct backend *backend_get(struct apiserver *s, const struct backend_spec *spec, struct err *e);
void backend_unref(struct backend *b);
void backends_free(struct apiserver *s);

/* Address of a ready endpoint of a Service's port, from its EndpointSlices, else its Endpoints. *ret_why (may be NULL): the
 * reason as APIService conditions name it. The caller frees *ret_host. */
int service_resolve(struct apiserver *s, const char *ns, const char *name, int port, char **ret_host,
	int *ret_port, const char **ret_why, struct err *e);
