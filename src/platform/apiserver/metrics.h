/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/metrics.h - counts for /metrics, in Prometheus' format (kubernetes-api.md 1.3). */
#pragma once

#include "platform/apiserver/server.h"

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
void metrics_count(void *server, struct request *r, int status); /* a request_status_fn */
void metrics_serve(struct apiserver *s, struct request *r);
