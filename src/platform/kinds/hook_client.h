/* SPDX-License-Identifier: Apache-2.0 */
/* platform/kinds/hook_client.h - what may be said of how a webhook is reached: clientConfig of webhook configurations and of
 * conversions, and the versions of reviews it understands. In Kubernetes' words. */
#pragma once

#include "api/status.h"

/* at: path of the clientConfig. */
void hook_client_check(const struct json *client, const char *at, struct causes *c);
/* none: what is said if there are none; NULL: nothing more than that it is required. */
void hook_versions_check(const struct json *versions, const char *at, const char *none, struct causes *c);
