/* SPDX-License-Identifier: Apache-2.0 */
/* api/placement.h - which nodes the rules of a pod spec allow: nodeSelector, required node affinity, tolerations. Pure.
 * Rules about other pods and about room are the scheduler's (platform/scheduler/fit.h). */
#pragma once

#include "api/obj.h"

/* nodeSelector and affinity.nodeAffinity.required... of a pod spec, or of anything that has them in the same places. */
bool placement_selects(const struct json *spec, const struct obj *node);
/* One nodeSelectorTerm; an empty one matches nothing. */
bool placement_term_matches(const struct json *term, const struct obj *node);
/* A NodeSelector (nodeSelectorTerms) against a node. */
bool node_selector_matches(const struct json *selector, const struct obj *node);
/* The first taint of the node, PreferNoSchedule ones apart, that is not put up with; NULL if none. exempt: taints whose key
 * begins like this do not count; NULL: all do. */
const struct json *placement_untolerated(
	const struct json *tolerations, const struct obj *node, const char *exempt);
