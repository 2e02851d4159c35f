/* SPDX-License-Identifier: Apache-2.0 */
/* store/awake.h - keeps a processor from falling asleep while its thread waits for the disk.
 *
 * A disk that syncs in 100 us has its answer there sooner than a processor of a virtual machine is back from sleep. So a
 * thread of the lowest priority there is (SCHED_IDLE) looks busy on the processor of the waiting one, and only there: the
 * two together never use more than one processor, and whoever else has work for it takes it at once. It does so only in a
 * run of waits, one soon after the other; who waits now and then never has it woken. docs/decisions/0024. */
#pragma once

#include <stdint.h>

#define AWAKE_RUN_US 2000 /* waits with less than this in between are a run */
#define AWAKE_US 300      /* for so long after the last one of them */

struct awake;
/* NULL: no thread could be made; everything works without. */
struct awake *awake_new(void);
void awake_free(struct awake *a);
/* For the thread that is about to wait, each time; what it begins ends by itself. NULL does nothing. */
void awake_hold(struct awake *a);
/* How often the thread was woken, or went on, for a wait: what tests look at. */
uint64_t awake_holds(const struct awake *a);
