/* SPDX-License-Identifier: Apache-2.0 */
/* api/meta.h - reading and changing metadata in trees: labels, annotations, finalizers, owner references, conditions.
 * "o" is a whole object, "d" the draft it lives in. Setters say whether anything changed. */
#pragma once

#include "base/json.h"

const struct json *meta_of(const struct json *o);              /* the metadata member or NULL */
const char *meta_str(const struct json *o, const char *field); /* "" if absent */
const char *meta_label(const struct json *o, const char *key); /* NULL if absent */
const char *meta_annotation(const struct json *o, const char *key);
bool meta_set_label(
	struct json_doc *d, struct json *o, const char *key, const char *value); /* NULL removes */
bool meta_set_annotation(
	struct json_doc *d, struct json *o, const char *key, const char *value); /* NULL removes */
bool meta_has_finalizer(const struct json *o, const char *name);
bool meta_set_finalizer(struct json_doc *d, struct json *o, const char *name, bool present);
/* The owner reference with controller: true, or NULL. */
const struct json *meta_controller_ref(const struct json *o);
bool meta_owned_by(const struct json *o, const char *uid);
void meta_add_owner(struct json_doc *d, struct json *o, const char *api_version, const char *kind,
	const char *name, const char *uid, bool controller);

/* Conditions: arrays of {type,status,reason,message,lastTransitionTime,lastProbeTime}. */
const struct json *cond_find(const struct json *conditions, const char *type);
bool cond_is(const struct json *conditions, const char *type, const char *status);
/* lastTransitionTime moves only when status changes (and is set at first). Empty reason/message are left out. Returns true if
 * anything changed. holder is the object holding "conditions" (usually the status). */
bool cond_set(struct json_doc *d, struct json *holder, const char *type, const char *status,
	const char *reason, const char *message, int64_t now_ms);
bool cond_remove(struct json_doc *d, struct json *holder, const char *type);
