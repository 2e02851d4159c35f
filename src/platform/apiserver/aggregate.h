/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/aggregate.h - group versions served by somebody else (kubernetes-api.md 5.4): APIServices, their
 * availability, and the proxy in front of them. */
#pragma once

#include "platform/apiserver/server.h"

struct aggregator *aggregator_new(
	struct apiserver *s); /* follows APIServices, Services and their endpoints */
void aggregator_free(struct aggregator *a);
/* The request goes to the backend of the group version, upgrades included; 503 if there is none. */
void aggregate_proxy(struct apiserver *s, struct request *r, const char *group, const char *version);
