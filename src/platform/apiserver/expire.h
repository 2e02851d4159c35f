/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/expire.h - objects that vanish by themselves: Events, an hour after they were last written
 * (kubernetes-api.md 1.5, 7.2). They go as ordinary deletions that watchers see. */
#pragma once

#include "platform/apiserver/server.h"

struct expirer;
struct expirer *expirer_new(struct apiserver *s); /* for every registered resource with ttl_seconds */
void expirer_free(struct expirer *x);
