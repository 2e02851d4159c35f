/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/vm/rollout.h - what the edits of a VM mean for its running instance: one pure function from (start revision, VM,
 * instance, configuration) to a list of changes. The VM controller derives RestartRequired and the patch of the instance from
 * it, virtctl what it shows. rollout.md 2.3-2.6, decisions 1-7.
 *
 * No I/O, no clock, no log. Everything that goes in is borrowed; what comes out is the caller's, see rollout_done(). */
#pragma once

#include "api/obj.h"
#include "kubevirt/api/config.h"
#include "kubevirt/api/live.h"
#include "kubevirt/instancetype/instancetype.h"

struct rollout_in {
	const struct obj *vm;
	const struct obj *vmi;      /* NULL: it does not run */
	const struct obj *revision; /* how it was started, see rollout_revision(); NULL: not known */
	/* spec.template of the VM, and of the VM in the start revision, both with instance type and preference applied. NULL: as
	 * they stand in vm and revision (which is right for VMs without instance type and preference). */
	const struct json *template, *start;
	/* Instead of the two: where instance types, preferences and their revisions are to be found. NULL: nowhere. */
	struct it_lookup *types;
	const struct kv_config *config;
};

enum change_state {
	CHANGE_STAGED, /* waits for a restart: RestartRequired */
	CHANGE_GOING, /* is about to be brought to the instance, or waits for its turn (edits.busy_message) */
	CHANGE_APPLYING, /* the instance's spec has it, its guest not yet */
	CHANGE_LIVE,     /* changed since the start, and the guest has it */
};
/* One field that differs. Texts are the change's own but `why`. */
struct change {
	char *path;     /* "spec.template.spec.domain.memory.guest", items of named lists as [name] */
	char *was, *is; /* compact JSON; NULL: absent. was: what the instance has, or had at its start */
	enum live_class class;
	bool staged;     /* waits for a restart; else it is being brought to the instance by this pass */
	bool waits;      /* live, but not just now: edits.busy_message */
	const char *why; /* meaning, static text; NULL: it waits for the others */
	enum change_state state; /* by rollout_list() only */
};
struct edits {
	bool known; /* there is an instance to compare with; else nothing below counts */
	struct change *items;
	size_t n, cap;
	bool staged; /* any of them */
	/* What waited for a restart, since the node has no room, is tried with another value: how that goes is not known yet. */
	bool retried;
	struct json_doc *vmi; /* the instance as it should be; NULL: as it is */
	/* A live change that can not be made just now: VM condition Failure. */
	const char *busy_reason;
	char *busy_message;
	char *because;   /* another instance type or preference that staged changes come of; NULL: none */
	char *meaning;   /* of volumes that can not be migrated: text of items' why */
	size_t migrated; /* volumes whose claim is to change by migration */
};

/* Every edit since the start: those that wait, that are on their way, and that the guest has; staged ones first. */
void rollout_list(const struct rollout_in *in, struct edits *ret);
void rollout_done(struct edits *r);
const char *change_state_name(enum change_state s); /* "staged", "going", "applying", "live" */

/* Which of these start revisions the instance was started from (vmi may be NULL): the one it names, else the newest of this VM.
 * NULL: none of them. */
const struct obj *rollout_revision(
	const struct obj *vm, const struct obj *vmi, const struct obj *const *revisions, size_t n);

/* The message of RestartRequired: meaning of the first change, then every staged path with old and new value, as far as there is
 * room (decision 7). old: the message that stands there now; its first meaning is kept while it holds. Caller frees. */
char *rollout_message(const struct edits *r, const char *old);
#define ROLLOUT_PATHS_MAX 10
#define ROLLOUT_MESSAGE_MAX 1024
#define ROLLOUT_VALUE_MAX 80
