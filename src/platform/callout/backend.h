/* SPDX-License-Identifier: Apache-2.0 */
/* platform/callout/backend.h - reaching the servers that webhooks and APIServices name: a Service's ready endpoint, and a
 * pool of connections to it. */
#pragma once

#include "base/http.h"
#include "platform/auth/pki.h"
#include "platform/objects/objects.h"

#define BACKENDS_MAX 64

struct callouts {
	struct objects *objects; /* Services and their endpoints */
	const struct pki *pki;   /* the front proxy's certificate; may be loaded later */
	/* private */
	struct backend *backends;
	struct converter *converter; /* convert.h; NULL: not needed yet */
};
struct callouts *callouts_new(struct objects *objects, const struct pki *pki);
void callouts_end(struct callouts *out);  /* drops what is under way; nobody is called back */
void callouts_free(struct callouts *out); /* NULL is fine */

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
struct backend *backend_get(struct callouts *out, const struct backend_spec *spec, struct err *e);
void backend_unref(struct backend *b);

/* Address of a ready endpoint of a Service's port, from its EndpointSlices, else its Endpoints. *ret_why (may be NULL): the
 * reason as APIService conditions name it. The caller frees *ret_host. */
int service_resolve(struct objects *objects, const char *ns, const char *name, int port, char **ret_host,
	int *ret_port, const char **ret_why, struct err *e);
