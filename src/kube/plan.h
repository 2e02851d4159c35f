/* SPDX-License-Identifier: Apache-2.0 */
/* kube/plan.h - what a pass of a controller wants done: API writes, events, when to look again. Pure data: making a plan does
 * nothing; kube/controller.c carries it out in order, stops at the first failure, and applies the retry policy of the error.
 * Keys are "ns/name" or "name". Documents are taken over. */
#pragma once

#include "api/kind.h"
#include "api/obj.h"
#include "kube/client.h"

enum intent_type {
	INTENT_CREATE,
	INTENT_UPDATE, /* PUT, with the resourceVersion in the document */
	INTENT_PATCH,
	INTENT_DELETE,
	INTENT_EVENT,
	INTENT_ACTION, /* something that is not an API write: see plan_action() */
};
struct intent {
	enum intent_type type;
	const struct kind *kind;
	char *key;
	const char *sub; /* static text or NULL */
	enum kube_patch patch;
	struct json_doc *doc;
	/* events */
	const struct obj *about; /* referenced */
	char *reason, *message;
	bool warning;
	/* actions */
	const char *action; /* static text */
	bool guarded; /* a patch that begins with a test of the resourceVersion: its failure is a conflict */
	bool ignore_missing; /* NOT_FOUND (delete) or EXISTS (create) counts as done */
};
struct plan;
struct plan *plan_new(void);
void plan_free(struct plan *p);
void plan_clear(struct plan *p);

void plan_create(struct plan *p, const struct kind *k, struct json_doc *o);
void plan_ensure(
	struct plan *p, const struct kind *k, struct json_doc *o); /* a create that is content if it exists */
/* POST to a subresource: "binding", "eviction" */
void plan_create_sub(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *o);
void plan_update(struct plan *p, const struct kind *k, const char *sub, struct json_doc *o);
/* ops: array of RFC 6902 operations */
void plan_patch_json(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *ops);
void plan_patch_merge(
	struct plan *p, const struct kind *k, const char *key, const char *sub, struct json_doc *patch);
void plan_patch(struct plan *p, const struct kind *k, const char *key, const char *sub, enum kube_patch type,
	struct json_doc *patch);
/* Turns what is (old) into what should be (draft) by one JSON patch guarded by a test of metadata.resourceVersion; nothing if
 * they are equal. sub "status" compares and sends only /status. Returns true if something was planned. */
bool plan_change(
	struct plan *p, const struct kind *k, const struct obj *old, const char *sub, struct json_doc *draft);
/* Writes nothing, and fails as a conflict when the object is another by now. For what must not be done (the rest of the plan)
 * because of an object as it once was: a cache is as far behind as its watch. */
void plan_confirm(struct plan *p, const struct kind *k, const struct obj *seen);
/* uid precondition and grace (-1: default) */
void plan_delete(
	struct plan *p, const struct kind *k, const char *key, const char *uid, int64_t grace_seconds);
void plan_event(struct plan *p, const struct obj *about, bool warning, const char *reason, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));
/* Carried out by the controller's own action function (a node agent starting a process, a handler telling a launcher). */
void plan_action(struct plan *p, const char *action, const char *key, struct json_doc *args);
void plan_again_at(struct plan *p, int64_t wall_ms); /* look at this key again then; the earliest wins */
/* The pass found a reason to fail after its writes: logged, retried with back-off. */
void plan_fail(struct plan *p, const struct err *e);

/* For the runner: intent i has been carried out and left the object as it is in `answer`. Later changes of the same object, made
 * from the same version, go on from there: nobody else has been between. */
void plan_went_on(struct plan *p, size_t i, const struct obj *answer);

size_t plan_len(const struct plan *p);
const struct intent *plan_at(const struct plan *p, size_t i);
bool plan_again(const struct plan *p, int64_t *ret_wall_ms);
const struct err *plan_failure(const struct plan *p); /* NULL: none */
/* One line an intent, for tests and debug logs: "create pods default/x", "patch virtualmachines default/vm status [...]". */
void plan_text(const struct plan *p, struct str *out);
