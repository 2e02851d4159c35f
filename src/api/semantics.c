/* SPDX-License-Identifier: Apache-2.0 */
#include "api/semantics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"

#define GENERATE_BASE_MAX 58
#define FINALIZERS_PATH "metadata.finalizers"

static bool is_core(const struct kind *k, const char *kind)
{
	return str_empty(k->group) && str_eq(k->kind, kind);
}

static int invalid_if_any(
	const struct write_rules *r, const struct json *o, const struct causes *c, struct err *e)
{
	if (!c->len)
		return 0;
	return causes_to_err(c, r->kind, meta_str(o, "name"), e);
}

/* ---- create ---- */

static int place_in_namespace(
	const struct write_rules *r, struct json_doc *d, struct json *meta, const char *ns, struct err *e)
{
	const char *have = json_str_or(json_get(meta, "namespace"), "");

	if (!r->kind->namespaced) {
		json_remove(meta, "namespace");
		return 0;
	}
	if (*have && ns && !str_eq(have, ns))
		return err_set(e, ERR_BAD_REQUEST,
			"the namespace of the provided object does not match the namespace sent on the "
			"request");
	if (ns)
		json_set_str(d, meta, "namespace", ns);
	return 0;
}

static void make_name(struct json_doc *d, struct json *meta, const char *suffix5)
{
	const char *base = json_str_or(json_get(meta, "generateName"), "");

	if (json_str_len(json_get(meta, "name")) || !*base || !suffix5)
		return;
	json_set_strf(d, meta, "name", "%.*s%s", GENERATE_BASE_MAX, base, suffix5);
}

/* Empty is as good as absent there, and is not kept. */
static void drop_empty(struct json *meta)
{
	static const char *const members[] = { "labels", "annotations", "finalizers", "ownerReferences" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *v = json_get(meta, members[i]);

		if (v && (json_is_null(v) || ((json_is_obj(v) || json_is_arr(v)) && json_len(v) == 0)))
			json_remove(meta, members[i]);
	}
}

int write_create(const struct write_rules *r, const struct create_in *in, struct json_doc *d,
	struct causes *c, struct err *e)
{
	static const char *const cleared[] = { "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
		"generation", "resourceVersion" };
	CLEANUP(causes_done) struct causes local = { 0 };
	struct json *o = json_root(d);
	char buf[TIME_TEXT_MAX];

	if (!json_is_obj(o))
		return err_set(e, ERR_BAD_REQUEST, "not a JSON object");
	struct json *meta = json_need_obj(d, o, "metadata");
	if (!c)
		c = &local;
	if (json_str_len(json_get(meta, "resourceVersion")) && !in->dry_run)
		return err_set(
			e, ERR_BAD_REQUEST, "resourceVersion should not be set on objects to be created");
	drop_empty(meta);
	if (place_in_namespace(r, d, meta, in->ns, e) < 0)
		return -1;
	make_name(d, meta, in->suffix5);
	for (size_t i = 0; i < ARRAY_LEN(cleared); i++)
		json_remove(meta, cleared[i]);
	json_set_str(d, meta, "uid", in->uid);
	json_set_str(d, meta, "creationTimestamp", time_rfc3339(in->now_ms, buf));
	if (r->generation != GEN_NONE)
		json_set_i64(d, meta, "generation", 1);
	/* a Node may be born with its status: its agent knows no other moment */
	if (r->kind->has_status && !is_core(r->kind, "Node"))
		json_remove(o, "status");
	if (r->kind->has_status && r->builtin)
		json_need_obj(d, o, "status");
	meta_validate(r, o, c);
	return invalid_if_any(r, o, c, e);
}

/* ---- update ---- */

static int check_identity(const struct write_rules *r, const struct obj *old, struct json_doc *d,
	struct json *meta, struct err *e)
{
	const char *name = json_str_or(json_get(meta, "name"), ""),
		   *ns = json_str_or(json_get(meta, "namespace"), "");
	const char *uid = json_str_or(json_get(meta, "uid"), "");

	if (!str_eq(name, obj_name(old)))
		return err_set(e, ERR_BAD_REQUEST,
			"the name of the object (%s) does not match the name on the URL (%s)", name,
			obj_name(old));
	if (*ns && r->kind->namespaced && !str_eq(ns, obj_namespace(old)))
		return err_set(e, ERR_BAD_REQUEST,
			"the namespace of the provided object does not match the namespace sent on the "
			"request");
	if (*uid && !str_eq(uid, obj_uid(old))) {
		CLEANUP(mem_freep) char *gr = kind_group_resource(r->kind);
		return err_set(e, ERR_CONFLICT,
			"Operation cannot be fulfilled on %s \"%s\": Precondition failed: UID in "
			"precondition: %s, UID in object "
			"meta: %s",
			gr, obj_name(old), uid, obj_uid(old));
	}
	json_set_str(d, meta, "namespace", *obj_namespace(old) ? obj_namespace(old) : NULL);
	return 0;
}

static int check_version(const struct write_rules *r, const struct obj *old, const struct json *meta,
	struct causes *c, struct err *e)
{
	const char *rv = json_str_or(json_get(meta, "resourceVersion"), "");
	uint64_t n = 0;

	if (*rv && !str_to_u64(rv, &n))
		return err_set(e, ERR_BAD_REQUEST,
			"resourceVersion: Invalid value: \"%.64s\": must be a number", rv);
	if (!n) {
		if (!r->needs_rv)
			return 0;
		cause_text(c, "FieldValueInvalid", "metadata.resourceVersion",
			"Invalid value: 0: must be specified for an update");
		return causes_to_err(c, r->kind, obj_name(old), e);
	}
	if (n != obj_rv(old))
		return err_conflict(e, r->kind, obj_name(old));
	return 0;
}

/* These are the server's, whatever the client sends. */
static void restore_meta(struct json_doc *d, struct json *meta, const struct json *old_meta)
{
	static const char *const owned[] = { "uid", "resourceVersion", "generation", "creationTimestamp",
		"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink" };

	for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
		const struct json *v = json_get(old_meta, owned[i]), *now = json_get(meta, owned[i]);

		if (v && (!now || !json_eq(now, v)))
			json_set_copy(d, meta, owned[i], v);
		else if (!v && now)
			json_remove(meta, owned[i]);
	}
}

static void restore_member(struct json_doc *d, struct json *o, const struct json *old, const char *key)
{
	const struct json *v = json_get(old, key);

	if (v)
		json_set_copy(d, o, key, v);
	else
		json_remove(o, key);
}

/* Kubernetes' own kinds let labels, annotations and finalizers be changed through /status, with these exceptions. */
static bool status_moves_meta(const struct write_rules *r)
{
	return r->builtin && !str_eq(r->kind->kind, "CustomResourceDefinition") &&
	       !str_eq(r->kind->kind, "APIService");
}

/* Through /status nothing but the status is taken, and metadata where the kind allows it; who wrote may still be noted. */
static void keep_all_but_status(const struct write_rules *r, struct json_doc *d, const struct json *old)
{
	struct json *was = json_root(d), *o = json_copy(d, old);
	const struct json *status = json_get(was, "status"), *meta = json_get(was, "metadata"),
			  *managed = json_get(meta, "managedFields");

	if (status_moves_meta(r) && meta) {
		json_set_copy(d, o, "metadata", meta);
		if (str_eq(r->kind->kind, "Deployment"))
			restore_member(d, json_get(o, "metadata"), json_get(old, "metadata"), "labels");
	}
	if (status)
		json_set_copy(d, o, "status", status);
	else
		json_remove(o, "status");
	if (r->builtin)
		json_need_obj(d, o, "status");
	if (managed)
		json_set_copy(d, json_need_obj(d, o, "metadata"), "managedFields", managed);
	json_set_root(d, o);
}

static void guard_finalizers(const struct json *o, const struct json *old, struct causes *c)
{
	CLEANUP(str_done) struct str added = { 0 };

	JSON_EACH (it, json_get(meta_of(o), "finalizers"))
		if (json_is_str(it.val) && !meta_has_finalizer(old, json_str(it.val)))
			str_addf(&added, "%s\"%s\"", added.len ? ", " : "", json_str(it.val));
	if (added.len)
		cause_forbidden(c, FINALIZERS_PATH,
			"no new finalizers can be added if the object is being deleted, found new finalizers "
			"[]string{%s}",
			added.data);
}

static bool is_time_key(const char *key)
{
	return str_eq(key, "time");
}

static bool same_but_time(const struct json *a, const struct json *b)
{
	size_t na = 0, nb = 0;

	JSON_EACH (it, a) {
		if (is_time_key(it.key))
			continue;
		na++;
		if (!json_eq(it.val, json_get(b, it.key)))
			return false;
	}
	JSON_EACH (it, b)
		nb += !is_time_key(it.key);
	return na == nb;
}

static bool same_managed(const struct json *a, const struct json *b)
{
	struct json_iter x = json_iter(a), y = json_iter(b);

	if (json_len(a) != json_len(b))
		return false;
	while (json_next(&x) && json_next(&y))
		if (!same_but_time(x.val, y.val))
			return false;
	return true;
}

/* Every member of a but `skip` equals that of b, and b has no others. */
static bool same_members(const struct json *a, const struct json *b, const char *const *skip)
{
	size_t na = 0, nb = 0;

	JSON_EACH (it, a) {
		if (str_in(it.key, skip))
			continue;
		const struct json *other = json_getn(b, it.key, it.key_len);
		if (!other || !json_eq(it.val, other))
			return false;
		na++;
	}
	JSON_EACH (it, b)
		nb += !str_in(it.key, skip);
	return na == nb;
}

static bool same_object(const struct json *a, const struct json *b)
{
	static const char *const in_root[] = { "metadata", NULL }, *const in_meta[] = { "managedFields",
		NULL };
	const struct json *ma = json_get(a, "metadata"), *mb = json_get(b, "metadata");

	return same_members(a, b, in_root) && same_members(ma, mb, in_meta) &&
	       same_managed(json_get(ma, "managedFields"), json_get(mb, "managedFields"));
}

static bool counts(enum gen_rule rule, const struct json *a, const struct json *b)
{
	static const char *const meta_status[] = { "metadata", "status", "apiVersion", "kind", NULL };

	switch (rule) {
	case GEN_NONE:
		return false;
	case GEN_SPEC_AND_ANNOTATIONS:
		if (!json_eq(json_at(a, "/metadata/annotations"), json_at(b, "/metadata/annotations")))
			return true;
		return !json_eq(json_get(a, "spec"), json_get(b, "spec"));
	case GEN_SPEC:
		return !json_eq(json_get(a, "spec"), json_get(b, "spec"));
	case GEN_ALL_BUT_STATUS:
		return !same_members(a, b, meta_status);
	case GEN_ALL_BUT_META:
		return !same_members(a, b, meta_status) ||
		       !json_eq(json_get(a, "status"), json_get(b, "status"));
	}
	return false;
}

int write_update(const struct write_rules *r, enum write_part part, const struct obj *old, struct json_doc *d,
	int64_t now_ms, bool *ret_same, struct causes *c, struct err *e)
{
	CLEANUP(causes_done) struct causes local = { 0 };
	const struct json *was = obj_json(old);

	(void)now_ms;
	if (!json_is_obj(json_root(d)))
		return err_set(e, ERR_BAD_REQUEST, "not a JSON object");
	struct json *meta = json_need_obj(d, json_root(d), "metadata");
	if (!c)
		c = &local;
	if (check_identity(r, old, d, meta, e) < 0 || check_version(r, old, meta, c, e) < 0)
		return -1;
	if (part == WRITE_STATUS)
		keep_all_but_status(r, d, was);
	else if (r->kind->has_status)
		restore_member(d, json_root(d), was, "status");
	struct json *o = json_root(d);
	meta = json_need_obj(d, o, "metadata");
	drop_empty(meta);
	restore_meta(d, meta, meta_of(was));
	if (same_object(was, o)) {
		*ret_same = true;
		return 0;
	}
	if (obj_deleting(old))
		guard_finalizers(o, was, c);
	meta_validate(r, o, c);
	if (invalid_if_any(r, o, c, e) < 0)
		return -1;
	if (counts(r->generation, was, o))
		json_set_i64(d, meta, "generation", obj_generation(old) + 1);
	*ret_same = false;
	return 0;
}

/* ---- delete ---- */

/* A Namespace has finalizers of its own kind besides. */
static bool has_finalizers(const struct json *o, bool namespace)
{
	return json_len(json_get(meta_of(o), "finalizers")) ||
	       (namespace && json_len(json_at(o, "/spec/finalizers")));
}

bool write_is_gone(const struct json *o)
{
	const struct json *meta = meta_of(o);
	bool namespace =
		str_eq(json_get_str(o, "kind"), "Namespace") && str_eq(json_get_str(o, "apiVersion"), "v1");

	return !json_is_null(json_get(meta, "deletionTimestamp")) && !has_finalizers(o, namespace) &&
	       json_i64(json_get(meta, "deletionGracePeriodSeconds")) == 0;
}

static int check_preconditions(
	const struct write_rules *r, const struct obj *old, const struct json *options, struct err *e)
{
	const struct json *p = json_get(options, "preconditions");
	const char *uid = json_get_str(p, "uid"), *rv = json_get_str(p, "resourceVersion");
	CLEANUP(mem_freep) char *gr = kind_group_resource(r->kind);
	uint64_t n = 0;

	if (uid && !str_eq(uid, obj_uid(old)))
		return err_set(e, ERR_CONFLICT,
			"Operation cannot be fulfilled on %s \"%s\": Precondition failed: UID in "
			"precondition: %s, UID in object "
			"meta: %s",
			gr, obj_name(old), uid, obj_uid(old));
	if (rv && (!str_to_u64(rv, &n) || n != obj_rv(old)))
		return err_set(e, ERR_CONFLICT,
			"Operation cannot be fulfilled on %s \"%s\": the ResourceVersion in the precondition "
			"(%s) does not match the "
			"ResourceVersion in record (%" PRIu64 "). The object might have been modified",
			gr, obj_name(old), rv, obj_rv(old));
	return 0;
}

static const char foreground[] = "foregroundDeletion", orphan[] = "orphan";

/* Sets the two finalizers of garbage collection as the policy says; without one they stay as they are. */
static int apply_policy(const struct write_rules *r, struct json_doc *d, struct json *o,
	const struct json *options, bool *ret_changed, struct err *e)
{
	const char *policy = json_get_str(options, "propagationPolicy");
	const struct json *orphan_dependents = json_get(options, "orphanDependents");

	*ret_changed = false;
	if (policy && json_is_bool(orphan_dependents))
		return err_set(e, ERR_INVALID,
			"DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: "
			"\"%.64s\": orphanDependents and deletionPropagation cannot be both set",
			policy);
	if (!policy && json_is_bool(orphan_dependents))
		policy = json_bool(orphan_dependents) ? "Orphan" : "Background";
	if (str_empty(policy) && r->orphans && !meta_has_finalizer(o, foreground))
		policy = "Orphan";
	if (str_empty(policy))
		return 0;
	if (!str_eq(policy, "Background") && !str_eq(policy, "Foreground") && !str_eq(policy, "Orphan"))
		return err_set(e, ERR_INVALID,
			"DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: "
			"\"%.64s\": supported "
			"values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
			policy);
	*ret_changed |= meta_set_finalizer(d, o, foreground, *policy == 'F');
	*ret_changed |= meta_set_finalizer(d, o, orphan, *policy == 'O');
	return 0;
}

/* Seconds a deletion waits. Pods wait only while a node runs them. */
static int64_t grace_of(const struct write_rules *r, const struct json *o, const struct json *options)
{
	const struct json *asked = json_get(options, "gracePeriodSeconds");
	int64_t period = r->grace_seconds;

	if (period <= 0)
		return 0;
	if (json_is_num(asked)) {
		period = json_i64(asked);
	} else if (is_core(r->kind, "Pod")) {
		const struct json *own = json_at(o, "/spec/terminationGracePeriodSeconds");

		if (json_is_num(own))
			period = json_i64(own);
	}
	if (period < 0)
		period = 1;
	if (is_core(r->kind, "Pod")) {
		const char *phase = json_at_str(o, "/status/phase");

		if (str_empty(json_at_str(o, "/spec/nodeName")) || str_eq(phase, "Succeeded") ||
			str_eq(phase, "Failed"))
			return 0;
	}
	return period;
}

static void set_deadline(struct json_doc *d, struct json *meta, int64_t at_ms, int64_t period)
{
	char buf[TIME_TEXT_MAX];

	json_set_str(d, meta, "deletionTimestamp", time_rfc3339(at_ms, buf));
	json_set_i64(d, meta, "deletionGracePeriodSeconds", period);
}

/* A second DELETE can only shorten the wait. */
static bool shorten(struct json_doc *d, struct json *meta, int64_t period)
{
	int64_t before = json_i64(json_get(meta, "deletionGracePeriodSeconds")), at_ms = 0;

	if (period >= before)
		return false;
	time_parse(json_str_or(json_get(meta, "deletionTimestamp"), ""), &at_ms);
	set_deadline(d, meta, at_ms - (before - period) * 1000, period);
	return true;
}

int write_delete(const struct write_rules *r, const struct obj *old, const struct json *options,
	int64_t now_ms, enum delete_outcome *ret_outcome, struct json_doc **ret, struct err *e)
{
	bool changed = false, namespace = is_core(r->kind, "Namespace");

	if (check_preconditions(r, old, options, e) < 0)
		return -1;
	CLEANUP(json_doc_freep) struct json_doc *d = obj_draft(old);
	struct json *o = json_root(d);
	if (apply_policy(r, d, o, options, &changed, e) < 0)
		return -1;
	struct json *meta = json_need_obj(d, o, "metadata");
	int64_t period = grace_of(r, o, options);

	if (obj_deleting(old)) {
		changed |= shorten(d, meta, period);
	} else if (has_finalizers(o, namespace) || period > 0) {
		set_deadline(d, meta, now_ms + period * 1000, period);
		if (r->generation != GEN_NONE || obj_generation(old) > 0)
			json_set_i64(d, meta, "generation", obj_generation(old) + 1);
		if (namespace)
			json_set_str(d, json_need_obj(d, o, "status"), "phase", "Terminating");
		changed = true;
	} else {
		*ret_outcome = DELETE_NOW;
		return 0;
	}
	if (write_is_gone(o) && !has_finalizers(o, namespace)) {
		*ret_outcome = DELETE_NOW;
		return 0;
	}
	*ret_outcome = changed ? DELETE_MARKED : DELETE_UNCHANGED;
	if (changed)
		*ret = TAKE(d);
	return 0;
}
