/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/aggregate.h"

#include "base/mem.h"

struct aggregator *aggregator_new(struct apiserver *s)
{
	return NULL;
}

void aggregator_free(struct aggregator *a)
{
}

void aggregate_proxy(struct apiserver *s, struct request *r, const char *group, const char *version)
{
	struct err e = { 0 };

	err_set(&e, ERR_UNAVAILABLE, "service unavailable");
	request_fail(r, &e, NULL, NULL, NULL);
}
