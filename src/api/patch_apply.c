/* SPDX-License-Identifier: Apache-2.0 */
/* Server-side apply and the bookkeeping of owners (kubernetes-api.md 3). */
#include "api/patch.h"

#include <string.h>

#include "api/managers.h"
#include "api/meta.h"
#include "base/mem.h"

static const char first_apply[] = "before-first-apply";
static const char kubectl[] = "kubectl", last_applied[] = "kubectl.kubernetes.io/last-applied-configuration";

static int check_request(
	const struct schema *s, const struct json *applied, const struct apply_opts *o, struct err *e)
{
	const struct json *managed = json_get(meta_of(applied), "managedFields");

	if (!json_is_obj(applied))
		return err_set(e, ERR_BAD_REQUEST, "an applied configuration must be an object");
	if (str_empty(o->manager))
		return err_set(e, ERR_INVALID,
			"PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required "
			"for apply patch");
	if (json_len(managed))
		return err_set(e, ERR_BAD_REQUEST, "metadata.managedFields must be nil");
	if (!str_eq(json_get_str(applied, "apiVersion"), o->api_version))
		return err_set(e, ERR_BAD_REQUEST,
			"Incorrect version specified in apply patch. Specified patch version: %.100s, "
			"expected: %.100s",
			json_str_or(json_get(applied, "apiVersion"), ""), o->api_version);
	if (str_empty(json_get_str(applied, "kind")))
		return err_set(e, ERR_BAD_REQUEST, "Object 'Kind' is missing in the applied configuration");

	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(applied);
	CLEANUP(strv_done) struct strv unknown = { 0 };
	schema_prune(s, json_root(d), &unknown);
	if (!unknown.len)
		return 0;
	return err_set(e, ERR_INTERNAL,
		"failed to create typed patch object (%s/%s; %s, Kind=%s): .%s: field not declared in schema",
		meta_str(applied, "namespace"), meta_str(applied, "name"), o->api_version,
		json_get_str(applied, "kind"), unknown.items[0]);
}

static void set_of_object(
	const struct schema *s, const struct json *o, const char *subresource, struct fset *ret)
{
	fset_of(s, o, ret);
	fset_tidy(ret);
	managers_strip(ret, subresource);
}

/* Owners of the live object. One nobody ever kept books of belongs to a manager made up for it. */
static void read_owners(
	const struct schema *s, const struct json *live, const struct apply_opts *o, struct managers *ret)
{
	const struct json *list = json_get(meta_of(live), "managedFields");

	managers_read(ret, list);
	if (!live || json_len(list))
		return;
	struct manager *m = managers_add(ret, first_apply, "Update", o->api_version, "");
	set_of_object(s, live, "", &m->fields);
	manager_touch(m, o->now_ms);
}

/* ---- conflicts ---- */

struct report {
	struct causes *causes;
	char *who;
	struct str lines;
	size_t n;
};

static char *describe(const struct manager *m)
{
	struct str s = { 0 };

	str_addf(&s, "\"%s\"", m->name);
	if (*m->subresource)
		str_addf(&s, " with subresource \"%s\"", m->subresource);
	if (str_eq(m->operation, "Update"))
		str_addf(&s, " using %s", m->api_version);
	return str_take(&s);
}

static void report_path(void *arg, const char *path)
{
	struct report *r = arg;

	cause_text(r->causes, "FieldManagerConflict", path, "conflict with %s", r->who);
	str_addf(&r->lines, "\n- %s", path);
	r->n++;
}

/* "Apply failed with 1 conflict: conflict with "m": .spec.a", or a list for each manager. */
static int conflict_err(struct causes *c, size_t before, struct str *lines, size_t n, struct err *e)
{
	if (n == 1 && c->len > before)
		return err_set(e, ERR_CONFLICT, "Apply failed with 1 conflict: %s: %s",
			c->items[before].message, c->items[before].field);
	return err_set(e, ERR_CONFLICT, "Apply failed with %zu conflicts: %s", n, str_cstr(lines));
}

/* What others own of the differing fields: taken from them under force, else reported. */
static int settle_conflicts(struct managers *all, const struct manager *self, const struct fset *differing,
	bool force, struct causes *causes, struct err *e)
{
	CLEANUP(causes_done) struct causes local = { 0 };
	CLEANUP(str_done) struct str lines = { 0 };
	struct causes *c = causes ? causes : &local;
	size_t before = c->len, n = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct manager *m = &all->items[i];
		CLEANUP(fset_done) struct fset both = { 0 };

		if (m == self)
			continue;
		fset_intersect(&m->fields, differing, &both);
		if (fset_empty(&both))
			continue;
		if (force) {
			fset_subtract(&m->fields, &both, false);
			continue;
		}
		struct report r = { .causes = c, .who = describe(m) };
		fset_each(&both, report_path, &r);
		str_addf(&lines, "%sconflicts with %s:%s", lines.len ? "\n" : "", r.who, str_cstr(&r.lines));
		n += r.n;
		free(r.who);
		str_done(&r.lines);
	}
	return n ? conflict_err(c, before, &lines, n, e) : 0;
}

static const char *last_applied_of(const struct json *o)
{
	return json_get_str(json_get(meta_of(o), "annotations"), last_applied);
}

/* kubectl going over from client-side apply: what the annotation says and still holds was its own all along. Conflicts over
 * other fields are reported; then the rest may be taken. */
static int settle_migration(const struct schema *s, struct managers *all, const struct manager *self,
	const struct fset *differing, const struct json *current, struct causes *causes, struct err *e)
{
	const char *text = last_applied_of(current);
	CLEANUP(json_doc_freep)
	struct json_doc *d = str_empty(text) ? NULL : json_parse(text, strlen(text), NULL);
	CLEANUP(fset_done) struct fset own = { 0 };
	CLEANUP(fset_done) struct fset changed = { 0 };
	CLEANUP(fset_done) struct fset foreign = { 0 };

	if (!d || !json_is_obj(json_root(d)))
		return settle_conflicts(all, self, differing, false, causes, e);
	schema_prune(s, json_root(d), NULL);
	set_of_object(s, json_root(d), "", &own);
	fset_differing(s, json_root(d), current, &changed);
	fset_subtract(&own, &changed, true);
	fset_copy(&foreign, differing);
	fset_subtract(&foreign, &own, false);
	fset_tidy(&foreign);
	if (settle_conflicts(all, self, &foreign, false, causes, e) < 0)
		return -1;
	return settle_conflicts(all, self, differing, true, NULL, e);
}

/* Client-side apply, should it come back, finds what was applied last. */
static void note_last_applied(struct json_doc *d, const struct json *applied)
{
	CLEANUP(json_doc_freep) struct json_doc *copy = NULL;
	CLEANUP(mem_freep) char *text = NULL;
	struct json *annotations = json_get(json_get(json_root(d), "metadata"), "annotations");

	if (str_empty(last_applied_of(json_root(d))))
		return;
	copy = json_doc_from(applied);
	json_remove(json_get(json_get(json_root(copy), "metadata"), "annotations"), last_applied);
	json_remove(json_get(json_root(copy), "metadata"), "managedFields");
	text = json_write(json_root(copy), NULL);
	json_set_strf(d, annotations, last_applied, "%s\n", text);
}

/* What this manager owned before and no longer lists goes, unless somebody else (or the new list itself) holds it. */
static void drop_unlisted(const struct schema *s, struct json *o, const struct managers *all,
	const struct manager *self, const struct fset *listed)
{
	CLEANUP(fset_done) struct fset gone = { 0 };
	CLEANUP(fset_done) struct fset kept = { 0 };

	fset_copy(&gone, &self->fields);
	fset_subtract(&gone, listed, false);
	fset_tidy(&gone);
	if (fset_empty(&gone))
		return;
	fset_add(&kept, listed);
	for (size_t i = 0; i < all->n; i++)
		if (&all->items[i] != self)
			fset_add(&kept, &all->items[i].fields);
	fset_tidy(&kept);
	fset_remove_from(s, o, &gone, &kept);
}

int patch_apply(const struct schema *s, const struct json *current, const struct json *applied,
	const struct apply_opts *o, struct json_doc **ret, struct causes *causes, struct err *e)
{
	CLEANUP(managers_done) struct managers all = { 0 };
	CLEANUP(fset_done) struct fset listed = { 0 };
	CLEANUP(fset_done) struct fset differing = { 0 };

	if (check_request(s, applied, o, e) < 0)
		return -1;
	set_of_object(s, applied, o->subresource, &listed);
	read_owners(s, current, o, &all);
	struct manager *self = managers_find(
		&all, o->manager, "Apply", o->api_version, o->subresource ? o->subresource : "");
	if (!self)
		self = managers_add(
			&all, o->manager, "Apply", o->api_version, o->subresource ? o->subresource : "");
	if (current) {
		fset_differing(s, applied, current, &differing);
		fset_tidy(&differing);
		managers_strip(&differing, o->subresource);
	}
	if (current && !o->force && str_eq(o->manager, kubectl)
			? settle_migration(s, &all, self, &differing, current, causes, e) < 0
			: settle_conflicts(&all, self, &differing, o->force, causes, e) < 0)
		return -1;

	CLEANUP(json_doc_freep) struct json_doc *d = current ? json_doc_from(current) : json_doc_new();
	if (!json_is_obj(json_root(d)))
		json_set_root(d, json_new_obj(d));
	struct json *root = json_root(d);
	if (fset_merge(d, s, root, applied, e) < 0)
		return -1;
	drop_unlisted(s, root, &all, self, &listed);
	if (current && str_eq(o->manager, kubectl))
		note_last_applied(d, applied);
	if (!fset_eq(&self->fields, &listed) || !self->time || !str_eq(self->api_version, o->api_version)) {
		fset_done(&self->fields);
		fset_copy(&self->fields, &listed);
		free(self->api_version);
		self->api_version = mem_strdup(o->api_version);
		manager_touch(self, o->now_ms);
	}
	managers_write(&all, d, root);
	*ret = TAKE(d);
	return 0;
}

/* ---- other writes ---- */

/* [{}] in a write clears the books. */
static bool says_clear(const struct json *list)
{
	return json_len(list) == 1 && json_is_obj(json_item(list, 0)) && json_len(json_item(list, 0)) == 0;
}

void managed_fields_update(const struct schema *s, const struct json *old, struct json_doc *d, struct json *o,
	const struct apply_opts *opts)
{
	CLEANUP(managers_done) struct managers all = { 0 };
	CLEANUP(fset_done) struct fset changed = { 0 };
	CLEANUP(fset_done) struct fset removed = { 0 };
	const struct json *sent = json_get(meta_of(o), "managedFields");
	const char *sub = opts->subresource ? opts->subresource : "";

	if (says_clear(sent)) {
		json_remove(json_get(o, "metadata"), "managedFields");
		return;
	}
	managers_read(&all, json_len(sent) ? sent : json_get(meta_of(old), "managedFields"));
	if (old)
		fset_compare(s, old, o, &changed, &removed);
	else
		fset_of(s, o, &changed);
	fset_tidy(&changed);
	fset_tidy(&removed);
	managers_strip(&changed, sub);
	managers_strip(&removed, sub);
	for (size_t i = 0; i < all.n; i++) {
		fset_subtract(&all.items[i].fields, &removed, true);
		fset_subtract(&all.items[i].fields, &changed, false);
	}
	if (!fset_empty(&changed)) {
		struct manager *self = managers_find(&all, opts->manager, "Update", opts->api_version, sub);

		if (!self)
			self = managers_add(&all, opts->manager, "Update", opts->api_version, sub);
		fset_take(&self->fields, &changed);
		manager_touch(self, opts->now_ms);
	}
	managers_write(&all, d, o);
}
