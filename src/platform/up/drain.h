/* SPDX-License-Identifier: Apache-2.0 */
/* platform/up/drain.h - `coracle down`: ends what runs on this host so that it comes back with the next up.
 *
 * The node is closed for new pods and marked; pods that are part of something larger and never
 * restart in place (a VM's launcher, a
 * job's pod) are deleted with their own grace, and their owners make new ones that wait for the node; every other pod is stopped
 * with the control plane and runs again in place. */
#pragma once

#include "kube/client.h"

#define DRAIN_ANNOTATION "coracle.dev/down"
#define DRAIN_ALL_MARK "run/stop-all" /* below DIR: the stopping `up` stops every pod, not only our own */
#define DRAIN_EXTRA_MS 30000          /* beyond the longest grace of a pod */

/* One of our own programs that is simply restarted: what stops with the control plane. */
bool drain_is_ours(const struct obj *pod);
/* To be deleted by `down`. */
bool drain_deletes(const struct obj *pod);
bool drain_marked(const struct obj *node);
struct json_doc *drain_undo(void); /* merge patch for the node */

/* Waits; runs the client's loop. say: a line for the user each time something has changed. */
int drain_wait(struct kube_client *c, void (*say)(void *arg, const char *line), void *arg, struct err *e);
