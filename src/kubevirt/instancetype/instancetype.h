/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/instancetype/instancetype.h - what instance types and preferences make of a VM. An instance type says how large
 * a guest is, a preference fills in what the VM leaves open; a VM names one of each, and keeps what it got in
 * ControllerRevisions, so that a later edit of the type changes no VM that is there. rollout.md 2.1, 3.7, 4.1; names and texts
 * are KubeVirt's.
 *
 * Everything here is pure. What has to be looked up comes through struct it_lookup: from caches in virt-controller, by requests
 * in virt-api, which answers "pending" first and asks again when it has the object. */
#pragma once

#include "api/status.h"
#include "kubevirt/api/config.h"

enum it_side { IT_INSTANCETYPE, IT_PREFERENCE, IT_SIDES };

struct it_lookup {
	/* The object, borrowed; NULL: there is none, or (pending set) it is not known yet. ns NULL: cluster-wide. */
	const struct json *(*get)(
		struct it_lookup *l, const struct kind *k, const char *ns, const char *name);
	void *arg;
	bool pending; /* by get(): whatever is concluded from this call is void */
};

/* spec.instancetype or spec.preference of a VM; NULL: it names none. */
const struct json *it_matcher(const struct json *vm, enum it_side side);
/* The kind a matcher means, the cluster-wide one unless it says; NULL: a word for none. */
const struct kind *it_kind(const struct json *matcher, enum it_side side);

/* ---- finding (find.c) ---- */
struct it_found {
	const struct json *spec;   /* NULL: the VM names none */
	const struct json *object; /* whole; NULL when it was found in a revision */
	const char *revision;      /* the ControllerRevision it was found in; NULL: the object as it is now */
};
/* In the revision that the spec names; else in the one in the status, if it is of that name and kind; else the object itself.
 * vm: {metadata.namespace, spec, status}. ERR_NOT_FOUND, or ERR_INVALID for a kind or a revision that makes no sense. */
int it_find(
	const struct json *vm, enum it_side side, struct it_lookup *l, struct it_found *ret, struct err *e);

/* ---- applying (apply.c, preference.c) ---- */
/* Both specs (either may be NULL) onto a template {metadata, spec}. at: how its spec is called, "spec.template.spec".
 * Fields that both the template and the type give go to conflicts, with their paths; the template is half done then. */
void it_apply(struct json_doc *d, struct json *template, const char *at, const struct json *type,
	const struct json *preference, struct strv *conflicts);
void it_apply_preference(struct json_doc *d, struct json *template, const struct json *preference);
#define IT_CONFLICT "VM field(s) %s conflicts with selected instance type"

/* The vCPUs of the type can not be laid out as the preference wants. NULL if they can; else a text, the caller's. */
char *it_spread_problem(const struct json *type, const struct json *preference);
#define IT_SPREAD_FIELD "instancetype.spec.cpu.guest"
/* Does the VM, types and defaults applied, have what the preference requires? NULL if so; else why not (the caller's), and the
 * fields that lack it, ", " between them. rollout.md 6.91 */
char *it_requirements_problem(const struct json *type, const struct json *preference,
	const struct json *vmi_spec, struct str *ret_fields);

/* What an expansion is for. */
enum it_purpose {
	IT_COMPARE, /* the two sides of a comparison: nothing but what the VM, type and preference say */
	IT_START, /* an instance: disks, card and tablet that are added by themselves get the preferences too */
};
/* The template of a VM, {metadata, spec}, with type and preference applied. A VM that names none gives its template as it is:
 * *ret is NULL. Errors: those of it_find(), ERR_INVALID for conflicts. */
int instancetype_expand(const struct json *vm, enum it_purpose purpose, const struct kv_config *c,
	struct it_lookup *l, struct json_doc **ret, struct err *e);
/* The whole VM without instance type and preference, as expand-spec and the policies expand and expandAll give it: both applied,
 * and the defaults that a VM may hold (no maxima: rollout.md 1.2). NULL in *ret: it names none. */
int instancetype_expand_vm(const struct json *vm, const struct kv_config *c, struct it_lookup *l,
	struct json_doc **ret, struct err *e);
/* kubevirt.io/instancetype-name and its like, on an instance made from the VM. */
void it_annotate(struct json_doc *d, struct json *vmi, const struct json *vm);

/* ---- keeping (revision.c) ---- */
struct it_ref {
	struct json_doc *ref;    /* status.instancetypeRef or status.preferenceRef; NULL: none */
	struct json_doc *create; /* ControllerRevision that has to be made first; NULL: it is there */
};
void it_ref_done(struct it_ref *r);
/* How the VM's status should refer to what it found. The revision in force stays while name and kind do. A new name, or a
 * revisionName taken out of the spec, takes a fresh one. */
int it_ref_decide(
	const struct json *vm, enum it_side side, struct it_lookup *l, struct it_ref *ret, struct err *e);
const char *it_ref_field(enum it_side side); /* "instancetypeRef", "preferenceRef" */
#define IT_REASON_NOT_FOUND(side) \
	((side) == IT_INSTANCETYPE ? "FailedFindInstancetype" : "FailedFindPreference")

/* ---- admission (admit.c, infer.c, validate.c) ---- */
/* Mutation of a VM: checks what it refers to, replaces inferFromVolume by a name, fills in what a preference says about
 * architecture, machine type and storage class. Before other defaults. Causes: refused, with 422. Error: ERR_BAD_REQUEST. */
int it_mutate_vm(struct json_doc *d, struct json *vm, const struct json *old, struct it_lookup *l,
	struct causes *causes, struct err *e);
/* Validation: conflicts, layout, requirements. *ret: the VM as it is to be validated further, NULL: as it stands. What can not
 * be found is not refused: the VM controller says so, and waits for it. */
void it_validate_vm(const struct json *vm, const struct kv_config *c, struct it_lookup *l,
	struct json_doc **ret, struct causes *causes);
/* Instance types and preferences themselves, of either scope. */
void it_validate(const struct json *object, enum it_side side, struct causes *causes, struct strv *warnings);

/* ---- labels of revisions; of volumes that say what suits them ---- */
#define IT_GROUP "instancetype.kubevirt.io"
#define LABEL_IT_GENERATION IT_GROUP "/object-generation"
#define LABEL_IT_KIND IT_GROUP "/object-kind"
#define LABEL_IT_NAME IT_GROUP "/object-name"
#define LABEL_IT_UID IT_GROUP "/object-uid"
#define LABEL_IT_VERSION IT_GROUP "/object-version"
#define LABEL_DEFAULT_INSTANCETYPE IT_GROUP "/default-instancetype"
#define LABEL_DEFAULT_PREFERENCE IT_GROUP "/default-preference"
#define ANN_INSTANCETYPE "kubevirt.io/instancetype-name"
#define ANN_CLUSTER_INSTANCETYPE "kubevirt.io/cluster-instancetype-name"
#define ANN_PREFERENCE "kubevirt.io/preference-name"
#define ANN_CLUSTER_PREFERENCE "kubevirt.io/cluster-preference-name"
