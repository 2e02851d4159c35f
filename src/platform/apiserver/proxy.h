/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/proxy.h - a request passed on to somebody else, who answers it: streamed with back-pressure, upgrades as a
 * pipe. Used for aggregated APIs, and for the proxy subresources of pods, services and nodes. */
#pragma once

#include "platform/request/request.h"

struct proxy_headers {
	struct http_header *items; /* texts are borrowed until proxy_run() */
	size_t n, cap;
	struct strv texts; /* owns what was made */
};
void proxy_headers_done(struct proxy_headers *h);
void proxy_headers_add(struct proxy_headers *h, const char *name, const char *value);
/* What the client sent, without its credentials and claims about who it is. */
void proxy_headers_incoming(struct proxy_headers *h, const struct request *r);

struct proxy_spec {
	struct http_client *client;
	loop_fn *release; /* when the client is not needed any more */
	void *arg;
	const char *path; /* with query */
	const struct proxy_headers *headers;
	/* Path of ours that stands for the backend's "/": redirects to the backend itself are led there. NULL: they stay. */
	const char *prefix;
	const char *authority; /* of the backend, as it may name itself in redirects */
};
void proxy_run(struct request *r, const struct proxy_spec *spec);
