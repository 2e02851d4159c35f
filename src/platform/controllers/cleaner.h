/* SPDX-License-Identifier: Apache-2.0 */
/* platform/controllers/cleaner.h - one round of emptying a terminating namespace: deletes the
 * collection of every namespaced resource
 * that is served, looks what is left, and finalizes the namespace when nothing is. */
#pragma once

#include "kube/client.h"

#define CLEANER_AGAIN_MS 500
typedef void cleaner_done_fn(void *arg, const struct err *e);
/* done() once; content that is still there is no error. */
void cleaner_start(struct kube_client *c, const char *ns, cleaner_done_fn *fn, void *arg);
