/* SPDX-License-Identifier: Apache-2.0 */
/* platform/describe/describe.h - what the server says of itself: discovery and OpenAPI, driven by the registry alone.
 * Authentication and authorization are done before. Each answers if the path is its own, and returns false (nothing
 * answered) otherwise:
 *   discovery.c: /api, /apis, /apis/G, /apis/G/V, /api/v1 (legacy and aggregated), for local group versions, and the merged
 *     documents for remote ones (kubernetes-api.md 1.2, 5.4); /apis/G/V of a remote one is proxied by the caller. /version.
 *   openapi.c: /openapi/v2, /openapi/v3, /openapi/v3/... (1.4) */
#pragma once

#include "platform/kinds/registry.h"
#include "platform/request/request.h"

struct discovery;
struct discovery *discovery_new(struct registry *g); /* caches keyed by registry_changes() */
void discovery_free(struct discovery *d);
bool discovery_serve(struct discovery *d, struct request *r);
struct openapi;
struct openapi *openapi_new(struct registry *g);
void openapi_free(struct openapi *o);
bool openapi_serve(struct openapi *o, struct request *r);
