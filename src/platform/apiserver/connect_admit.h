/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/connect_admit.h - requests that connect to a pod rather than write an object: webhooks see them as
 * CONNECT, with the options of the query as object (kubernetes-api.md 5.1). */
#pragma once

#include "platform/apiserver/server.h"

typedef void connect_fn(struct apiserver *s, struct request *r, struct resource *res, const char *ns,
	const char *name, const char *sub);
/* fn if nobody objects, at once or in a later turn; else the request is answered. */
void connect_admitted(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i,
	connect_fn *fn);
