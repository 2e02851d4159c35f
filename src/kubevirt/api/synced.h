/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/api/synced.h - labels and annotations that follow an edit while the guest runs: from the VM's template to its instance
 * and on to the launcher pod, removal too. All others are given at the start. rollout.md 2.6, 6.14, 6.15. Pure. */
#pragma once

#include "base/json.h"
#include "base/str.h"

/* Keys, or beginnings of keys that end in '*', beside the built-in ones. A bare '*' means nothing, and keys of KubeVirt's and
 * our own are never synced by a pattern: they have other writers. */
struct synced_keys {
	struct strv labels, annotations;
};
void synced_keys_done(struct synced_keys *k);
/* A comma-separated list, as on the command line. */
void synced_keys_add(struct strv *patterns, const char *list);

bool synced_label(const struct synced_keys *k, const char *key); /* k NULL: the built-in ones */
bool synced_annotation(const struct synced_keys *k, const char *key);
/* Makes the synced keys of the draft's metadata what they are in the two maps (NULL: empty). to: the root of d, or NULL to
 * find out only. True if anything differs; have: the metadata as they are. */
bool synced_follow(const struct synced_keys *k, const struct json *have, const struct json *labels,
	const struct json *annotations, struct json_doc *d, struct json *to);
