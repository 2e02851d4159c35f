/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a CustomResourceDefinition, and the status a good one gets (kubernetes-api.md 4). */
#include "platform/apiserver/crd.h"

#include "api/meta.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/crd_spec.h"

#include <string.h>

void crd_check(struct op *op, struct causes *c)
{
	crd_spec_check(json_root(op->draft), op->old ? obj_json(op->old) : NULL, c);
}

/* ---- names: first come, first served ---- */
static bool names_clash(const struct json *names, const char *what)
{
	const char *self[] = { json_get_str(names, "plural"), json_get_str(names, "singular") };

	for (size_t i = 0; i < ARRAY_LEN(self); i++)
		if (str_eq(self[i], what))
			return true;
	JSON_EACH (it, json_get(names, "shortNames")) {
		if (str_eq(json_str(it.val), what))
			return true;
	}
	return false;
}

static const char *clash_with(const struct json *mine, const struct json *theirs)
{
	static const char *const members[] = { "plural", "singular" };
	static const char *const reasons[] = { "PluralConflict", "SingularConflict" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_get_str(mine, members[i]) && names_clash(theirs, json_get_str(mine, members[i])))
			return reasons[i];
	JSON_EACH (it, json_get(mine, "shortNames")) {
		if (json_str(it.val) && names_clash(theirs, json_str(it.val)))
			return "ShortNamesConflict";
	}
	if (str_eq(json_get_str(mine, "kind"), json_get_str(theirs, "kind")))
		return "KindConflict";
	if (str_eq(json_get_str(mine, "listKind"), json_get_str(theirs, "listKind")))
		return "ListKindConflict";
	return NULL;
}

static const char *find_clash(struct apiserver *s, const struct json *crd, const char **ret_other)
{
	const struct json *spec = json_get(crd, "spec");
	const struct bucket *b = objects_bucket(s->objects, CRD_STORAGE);
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(b, i)); i++) {
		const struct json *other = obj_json(o);
		const char *reason;

		if (str_eq(obj_name(o), json_at_str(crd, "/metadata/name")) ||
			!str_eq(json_at_str(other, "/spec/group"), json_get_str(spec, "group")))
			continue;
		reason = clash_with(json_get(spec, "names"), json_at(other, "/status/acceptedNames"));
		if (reason) {
			*ret_other = obj_name(o);
			return reason;
		}
	}
	return NULL;
}

static void note_stored(struct json_doc *d, struct json *o)
{
	struct json *stored = json_need_arr(d, json_need_obj(d, o, "status"), "storedVersions");

	JSON_EACH (it, json_at(o, "/spec/versions")) {
		bool there = false;

		JSON_EACH (s, stored)
			there |= str_eq(json_str(s.val), json_get_str(it.val, "name"));
		if (json_bool(json_get(it.val, "storage")) && !there)
			json_append_str(d, stored, json_str_or(json_get(it.val, "name"), ""));
	}
}

/* The conditions that names and neighbours give. */
static void judge_names(struct apiserver *s, struct json_doc *d)
{
	struct json *o = json_root(d), *status = json_need_obj(d, o, "status"), *none;
	int64_t now = loop_wall_ms(s->loop);
	const char *other = NULL, *reason = find_clash(s, o, &other);
	CLEANUP(mem_freep) char *message = NULL;

	if (!reason) {
		json_set_copy(d, status, "acceptedNames", json_at(o, "/spec/names"));
		cond_set(d, status, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
		cond_set(d, status, "Established", "True", "InitialNamesAccepted",
			"the initial names have been accepted", now);
		return;
	}
	message = str_printf("a name is already in use by %s", other);
	cond_set(d, status, "NamesAccepted", "False", reason, message, now);
	if (!cond_is(json_get(status, "conditions"), "Established", "True"))
		cond_set(d, status, "Established", "False", "NotAccepted", "not all names are accepted", now);
	if (!json_get(status, "acceptedNames")) {
		none = json_need_obj(d, status, "acceptedNames");
		json_set_str(d, none, "plural", "");
		json_set_str(d, none, "kind", "");
	}
}

void crd_prepare(struct op *op)
{
	if (!op->old)
		meta_set_finalizer(op->draft, json_root(op->draft), CRD_FINALIZER, true);
	if (op->old && obj_deleting(op->old))
		return;
	note_stored(op->draft, json_root(op->draft));
	judge_names(op->s, op->draft);
}

void crd_reconsider(struct apiserver *s)
{
	struct bucket *b = objects_bucket(s->objects, CRD_STORAGE);
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(b, i)); i++) {
		uint64_t rev;
		const struct obj *now = bucket_latest(b, obj_key(o), &rev);
		struct json_doc *d;

		if (!now || obj_deleting(now) ||
			!cond_is(json_at(obj_json(now), "/status/conditions"), "NamesAccepted", "False"))
			continue;
		d = obj_draft(now);
		judge_names(s, d);
		if (json_eq(json_root(d), obj_json(now)))
			json_doc_free(d);
		else
			objects_put(s->objects, b, d, rev, NULL, NULL);
	}
}
