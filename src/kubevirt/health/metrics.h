/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/health/metrics.h - metrics as Prometheus reads them, text format 0.0.4. All values of a family follow its head. */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define METRIC_LABELS_MAX 8
struct metric_label {
	const char *name, *value; /* value: any text, escaped here; NULL is "" */
};

/* type: "gauge" or "counter" */
void metric_family(struct str *out, const char *name, const char *type, const char *help);
/* labels end with a NULL name; NULL: none */
void metric_i64(struct str *out, const char *name, const struct metric_label *labels, int64_t value);
/* Thousandths: 1500 is written 1.500 */
void metric_milli(struct str *out, const char *name, const struct metric_label *labels, int64_t milli);
