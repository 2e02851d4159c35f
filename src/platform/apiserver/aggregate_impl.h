/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/aggregate_impl.h - between aggregate.c (who serves what, and do they answer) and proxy.c. */
#pragma once

#include "platform/apiserver/server.h"
#include "platform/callout/backend.h"

#define FOLLOWED 4 /* APIServices, Services, Endpoints, EndpointSlices */

struct remote;
struct remote_docs;
struct aggregator {
	struct apiserver *s;
	struct bucket_watch watches[FOLLOWED];
	struct remote *remotes;
	struct remote_docs *docs; /* being asked for */
};
/* The pool for an APIService's backend, referenced. *ret_why: reason for the Available condition. */
struct backend *aggregate_backend(struct apiserver *s, const char *name, const char **ret_why, struct err *e);

/* remote_docs.c: asks an APIService's backend for its OpenAPI documents and tells the registry. */
void remote_docs_fetch(struct aggregator *g, const char *name, const char *group, const char *version);
void remote_docs_end(struct aggregator *g);
