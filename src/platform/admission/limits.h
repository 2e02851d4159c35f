/* SPDX-License-Identifier: Apache-2.0 */
/* platform/admission/limits.h - what a LimitRange makes of single objects
 * (kubernetes-api.md 5.1, LimitRanger). Pure: no I/O, no clock. */
#pragma once

#include "platform/kinds/registry.h"

/* Fills in the requests and limits that the pod's containers leave open; what was set is noted in `notes` as the annotation
 * of upstream's plugin words it. */
void limits_fill(const struct json *range, struct json_doc *d, struct json *pod, struct strv *notes);
/* Why the object (a pod or a claim, by plural) breaks the range; upstream's texts. */
void limits_check(const struct json *range, const char *plural, const struct json *o, struct strv *ret_why);
