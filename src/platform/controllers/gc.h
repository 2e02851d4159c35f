/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/gc.h - the garbage collector: what belongs to nobody any more goes (kubernetes-api.md 2.4). Watches every
 * kind that is served, keeps a graph of uids, and acts: background and foreground deletion of dependents, orphaning. An owner
 * missing from the graph is asked for by name before anything is deleted because of it. */
#pragma once

#include "kube/client.h"

#define GC_PARALLEL 16
#define GC_REDISCOVER_MS 50 /* after a change of what is served */
struct gc;
struct gc *gc_start(struct kube_client *c);
void gc_stop(struct gc *g);
