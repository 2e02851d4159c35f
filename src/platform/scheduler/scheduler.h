/* SPDX-License-Identifier: Apache-2.0 */
/* platform/scheduler/scheduler.h - binds pods to nodes. One pass looks at every waiting pod against one account of what is taken,
 * so that two pods never get the same room. Reacts to pods, nodes and freed room at once. */
#pragma once

#include "kube/controller.h"

#define SCHEDULER_NAME "default-scheduler" /* pods of other schedulers are left alone */
#define SCHEDULER_BATCH 100                /* bindings in one pass */
extern const struct controller scheduler_controller;
