/* SPDX-License-Identifier: Apache-2.0 */
/* What the server itself knows about single kinds, beyond their tables: checks against other objects, and what admission
 * plugins do in kube-apiserver (kubernetes-api.md 2.4, 5.1). */
#include "platform/auth/accounts.h"
#include "platform/callout/convert.h"
#include "platform/apiserver/crd.h"
#include "platform/apiserver/csr.h"
#include "platform/admission/plugins.h"
#include "platform/admission/quota.h"
#include "platform/apiserver/service.h"
#include "platform/apiserver/write.h"

#include "api/meta.h"
#include "base/mem.h"

#include <string.h>

static bool is(const struct op *op, const char *group, const char *plural)
{
	return str_eq(op->res->kind->plural, plural) && str_eq(op->res->kind->group, group);
}

static const struct obj *latest(struct op *op, const char *storage, const char *key)
{
	uint64_t rev;

	return bucket_latest(objects_bucket(op->s->objects, storage), key, &rev);
}

/* ---- namespaces ---- */
struct plugin_write op_plugin_write(struct op *op)
{
	return (struct plugin_write){ .adm = op->s->admitter,
		.res = op->res,
		.ns = op->ns,
		.sub = op->sub,
		.name = op->name,
		.created = op->created,
		.dry_run = op->dry_run,
		.old = op->old,
		.draft = op->draft,
		.err = &op->err };
}

int op_refuse(struct op *op, const char *fmt, ...)
{
	const struct plugin_write w = op_plugin_write(op);
	va_list ap;

	va_start(ap, fmt);
	plugin_refusev(&w, fmt, ap);
	va_end(ap);
	return -1;
}

static int check_namespace(struct op *op)
{
	const struct obj *ns = latest(op, "namespaces", op->ns);

	if (!plugin_on(op->s->admitter, PLUGIN_LIFECYCLE))
		return 0;
	if (!ns) {
		err_set(&op->err, ERR_NOT_FOUND, "namespaces \"%s\" not found", op->ns);
		op->status = status_from_err(&op->err,
			registry_storage(op->s->objects->registry, "", "namespaces")->kind, op->ns, NULL);
		return -1;
	}
	if (!obj_deleting(ns))
		return 0;
	cause_text(&op->causes, "NamespaceTerminating", "metadata.namespace",
		"namespace %s is being terminated", op->ns);
	return op_refuse(
		op, "unable to create new content in namespace %s because it is being terminated", op->ns);
}

static int check_immortal(struct op *op)
{
	static const char *const immortal[] = { "default", "kube-system", "kube-public", NULL };

	if (is(op, "", "namespaces") && op->name && str_in(op->name, immortal) &&
		plugin_on(op->s->admitter, PLUGIN_LIFECYCLE))
		return op_refuse(op, "this namespace may not be deleted");
	return 0;
}

int special_check(struct op *op)
{
	if (op->kind == OP_DELETE)
		return check_immortal(op);
	if (!op->created)
		return 0;
	if (op->res->kind->namespaced && check_namespace(op) < 0)
		return -1;
	if (op->res->origin == ORIGIN_CRD && crd_terminating(op->s, op->res))
		return op_refuse(op, "create not allowed while custom resource definition is terminating");
	return 0;
}

/* ---- the nearly final object ---- */
/* What objects may still be stored in: versions of the spec, and the one they are stored in now. */
static int check_stored_versions(struct op *op)
{
	const struct json *o = json_root(op->draft), *stored = json_at(o, "/status/storedVersions");
	size_t i = 0;
	bool now = false;

	JSON_EACH (it, stored) {
		CLEANUP(mem_freep) char *at = str_printf("status.storedVersions[%zu]", i++);
		bool there = false;

		JSON_EACH (v, json_at(o, "/spec/versions")) {
			if (!str_eq(json_get_str(v.val, "name"), json_str(it.val)))
				continue;
			there = true;
			now |= json_bool(json_get(v.val, "storage"));
		}
		if (!there)
			cause_invalid(&op->causes, at, it.val, "must appear in spec.versions");
	}
	if (!now)
		cause_invalid(&op->causes, "status.storedVersions", stored,
			"must have the storage version of spec.versions");
	return op->causes.len > 0 ? causes_to_err(&op->causes, op->res->kind, op->name, &op->err) : 0;
}

static int prepare_crd(struct op *op)
{
	if (str_eq(op->sub, "status"))
		return check_stored_versions(op);
	crd_check(op, &op->causes);
	if (op->causes.len > 0)
		return causes_to_err(&op->causes, op->res->kind,
			json_at_str(json_root(op->draft), "/metadata/name"), &op->err);
	crd_prepare(op);
	return 0;
}

/* A Namespace's own finalizers go through its subresource alone. */
static void keep_namespace_finalizers(struct op *op)
{
	struct json *root = json_root(op->draft);

	if (!op->old || str_eq(op->sub, "finalize"))
		return;
	if (json_at(obj_json(op->old), "/spec/finalizers"))
		json_set_copy(op->draft, json_need_obj(op->draft, root, "spec"), "finalizers",
			json_at(obj_json(op->old), "/spec/finalizers"));
}

/* ObjectReferences of roleRef are for ever. */
static int check_role_ref(struct op *op)
{
	const struct json *now = json_get(json_root(op->draft), "roleRef");

	if (!op->old || json_eq(now, json_get(obj_json(op->old), "roleRef")))
		return 0;
	cause_invalid(&op->causes, "roleRef", now, "cannot change roleRef");
	return causes_to_err(&op->causes, op->res->kind, op->name, &op->err);
}

/* A token of nobody. */
static int check_secret(struct op *op)
{
	const struct json *o = json_root(op->draft);

	if (!str_eq(json_get_str(o, "type"), ACCOUNT_SECRET_TYPE) ||
		!str_empty(meta_annotation(o, ACCOUNT_NAME_NOTE)))
		return 0;
	cause_required(&op->causes, "metadata.annotations[" ACCOUNT_NAME_NOTE "]", "");
	return causes_to_err(&op->causes, op->res->kind, meta_str(o, "name"), &op->err);
}

int special_prepare(struct op *op)
{
	if (is(op, "", "pods") && str_eq(op->sub, "binding"))
		binding_status(op);
	else if (is(op, "", "namespaces"))
		keep_namespace_finalizers(op);
	else if (is(op, "", "services") && str_empty(op->sub))
		return service_allocate(op);
	else if (is(op, "certificates.k8s.io", "certificatesigningrequests"))
		return csr_prepare(op);
	else if (is(op, "", "secrets"))
		return check_secret(op);
	else if (is(op, "", "resourcequotas") && str_empty(op->sub))
		quota_prepare(op->s->admitter, op->ns, op->draft);
	else if (is(op, "apiextensions.k8s.io", "customresourcedefinitions"))
		return prepare_crd(op);
	else if (str_eq(op->res->kind->group, "rbac.authorization.k8s.io"))
		return check_role_ref(op) < 0 ? -1 : escalation_check(op);
	return 0;
}
