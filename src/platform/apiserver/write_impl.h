/* SPDX-License-Identifier: Apache-2.0 */
/* platform/apiserver/write_impl.h - the stages of a write, which are in several files: write.c (their order, what it builds
 * on, the final object), write_admit.c (who is asked), write_commit.c (into the store). */
#pragma once

#include "platform/apiserver/write.h"

/* What a stage, and what it stands on, returns. -1: op->err or op->status says why. */
enum { STAGE_GO = 0, STAGE_WAIT = 1, STAGE_FAIL = -1 };

/* ---- stages ---- */
int op_mutate(struct op *op); /* defaults, plug-ins, mutating webhooks */
int op_commit(struct op *op);

/* Policies (only with the validating ones) and webhooks. */
int op_ask(struct op *op, bool mutating);
struct bucket *op_bucket(struct op *op);
/* Another write of the key is under way: all over again when it is through. Returns STAGE_WAIT. */
int op_wait_for_key(struct op *op, const char *key);
