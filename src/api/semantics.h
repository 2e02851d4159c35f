/* SPDX-License-Identifier: Apache-2.0 */
/* api/semantics.h - what an API server makes of a write, as pure functions: the server and the fake of the tests share them.
 * kubernetes-api.md 2.2-2.4. Neither storage, nor admission, nor authorization is done here. */
#pragma once

#include "api/kind.h"
#include "api/obj.h"
#include "api/status.h"

/* How a kind counts generations (2.2). */
enum gen_rule { GEN_NONE, GEN_SPEC, GEN_SPEC_AND_ANNOTATIONS, GEN_ALL_BUT_STATUS, GEN_ALL_BUT_META };
struct write_rules {
	const struct kind *kind;
	enum gen_rule generation;
	bool needs_rv;         /* PUT without resourceVersion is 422 (CRs, Lease, ...) */
	bool create_on_update; /* PUT to a missing object creates */
	int name_max;          /* 253 or 63 */
	bool builtin; /* shaped as Kubernetes' own: always shows a status, metadata may change through /status */
	bool orphans; /* a deletion that says nothing of dependents leaves them (Job, ReplicationController) */
	int64_t grace_seconds; /* default grace of deletion; 0: at once (30 for Pods on a node) */
};

/* Name rules, generateName, namespace from URL; clears uid, RV, deletion fields; sets uid, creationTimestamp, generation 1;
 * drops status where there is a status subresource. suffix5: five allowed characters for generateName, from the caller's
 * random source (semantics has none). uid likewise. Changes the draft. */
struct create_in {
	const char *ns; /* of the URL; NULL for cluster-scoped */
	const char *uid;
	const char *suffix5;
	int64_t now_ms;
	bool dry_run; /* a resourceVersion is then no mistake: nothing is looked at that would be stored */
};
int write_create(const struct write_rules *r, const struct create_in *in, struct json_doc *d,
	struct causes *c, struct err *e);

enum write_part { WRITE_MAIN, WRITE_STATUS };
/* Turns a proposed object (draft d: whole object after PUT or patch) into what is to be stored over `old`: checks uid and
 * resourceVersion (409), restores server-owned metadata, keeps status or everything but status, counts the generation, guards
 * finalizers of a terminating object. *ret_same: nothing changed (managedFields times ignored): no write, no event. */
int write_update(const struct write_rules *r, enum write_part part, const struct obj *old, struct json_doc *d,
	int64_t now_ms, bool *ret_same, struct causes *c, struct err *e);

/* DELETE. options: DeleteOptions tree or NULL. Result: remove now, or store a marked object (draft in *ret), or nothing to
 * do (already terminating, nothing shortened). */
enum delete_outcome { DELETE_NOW, DELETE_MARKED, DELETE_UNCHANGED };
int write_delete(const struct write_rules *r, const struct obj *old, const struct json *options,
	int64_t now_ms, enum delete_outcome *ret_outcome, struct json_doc **ret, struct err *e);
/* After an update: a terminating object without finalizers (and grace over) goes. */
bool write_is_gone(const struct json *o);

/* Name checks, adding causes. */
bool name_is_dns1123_label(const char *s);
bool name_is_dns1123_subdomain(const char *s);
/* What is wrong with a DNS-1035 label or a DNS-1123 subdomain, in apimachinery's words; NULL: nothing. The caller frees. */
char *name_label_1035_error(const char *s);
char *name_subdomain_error(const char *s);
bool name_is_label_key(const char *s); /* qualified name */
bool name_is_label_value(const char *s);
void meta_validate(const struct write_rules *r, const struct json *o,
	struct causes *c); /* labels, annotations, owners, ... */
