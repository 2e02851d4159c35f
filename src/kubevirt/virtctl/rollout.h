/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/virtctl/rollout.h - what `virtctl rollout` shows, as pure functions over kubevirt/vm/rollout.h: the same
 * comparison that RestartRequired comes from. */
#pragma once

#include "base/str.h"
#include "kubevirt/vm/rollout.h"

/* Exit status of `rollout status`; 1 and 2 mean what they always mean. */
enum rollout_result {
	ROLLOUT_DONE = 0,    /* the guest has what the template asks for, or there is none */
	ROLLOUT_STAGED = 3,  /* something waits for a restart */
	ROLLOUT_PENDING = 4, /* something is on its way */
};
struct rollout_view {
	const struct obj *vm, *vmi; /* vmi NULL: it does not run */
	const struct kv_config *config;
	bool guessed;              /* config, from the VM's conditions: its object may not be read */
	const struct edits *edits; /* of rollout_list() */
};
enum rollout_result rollout_result(const struct rollout_view *v);
/* 0 to 1; below 0: it can not be known. c: one that is CHANGE_APPLYING or CHANGE_GOING. */
double rollout_progress(const struct rollout_view *v, const struct change *c);
#define ROLLOUT_BAR_WIDTH 20
/* "[##########----------]  50%" */
void rollout_bar(double progress, struct str *out);

void rollout_text(const struct rollout_view *v, struct str *out);
/* One line about what is on its way: for terminals, and for those who wait. */
void rollout_line(const struct rollout_view *v, struct str *out);
struct json_doc *rollout_json(const struct rollout_view *v);
/* What the guest lacks; true if there is any. */
bool rollout_diff(const struct rollout_view *v, struct str *out);
