/* SPDX-License-Identifier: Apache-2.0 */
/* What the server itself knows about single kinds, beyond their tables: checks against other objects, and what admission
 * plugins do in kube-apiserver (kubernetes-api.md 2.4, 5.1). */
#include "platform/apiserver/crd.h"
#include "platform/apiserver/write.h"

#include "base/mem.h"

#include <string.h>

static bool is(const struct op *op, const char *group, const char *plural)
{
	return str_eq(op->res->kind->plural, plural) && str_eq(op->res->kind->group, group);
}

static const struct obj *latest(struct op *op, const char *storage, const char *key)
{
	uint64_t rev;

	return bucket_latest(server_bucket(op->s, storage), key, &rev);
}

/* ---- namespaces ---- */
static int refuse(struct op *op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct op *op, const char *fmt, ...)
{
	CLEANUP(mem_freep) char *gr = kind_group_resource(op->res->kind);
	const char *name = op->name    ? op->name
			   : op->draft ? json_at_str(json_root(op->draft), "/metadata/name")
				       : NULL;
	CLEANUP(str_done) struct str m = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&m, fmt, ap);
	va_end(ap);
	return err_set(&op->err, ERR_FORBIDDEN, "%s \"%s\" is forbidden: %s", gr, name ? name : "", m.data);
}

static int check_namespace(struct op *op)
{
	const struct obj *ns = latest(op, "namespaces", op->ns);

	if (!ns) {
		err_set(&op->err, ERR_NOT_FOUND, "namespaces \"%s\" not found", op->ns);
		op->status = status_from_err(
			&op->err, server_resource_kind(op->s, "", "namespaces"), op->ns, NULL);
		return -1;
	}
	if (!obj_deleting(ns))
		return 0;
	cause_text(&op->causes, "NamespaceTerminating", "metadata.namespace",
		"namespace %s is being terminated", op->ns);
	return refuse(
		op, "unable to create new content in namespace %s because it is being terminated", op->ns);
}

static int check_immortal(struct op *op)
{
	static const char *const immortal[] = { "default", "kube-system", "kube-public", NULL };

	if (is(op, "", "namespaces") && op->name && str_in(op->name, immortal))
		return refuse(op, "this namespace may not be deleted");
	return 0;
}

/* ---- pods ---- */
static int check_account(struct op *op)
{
	const struct json *spec = json_get(json_root(op->draft), "spec");
	const char *name = json_get_str(spec, "serviceAccountName");
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *account;

	if (op->s->bare)
		return 0;
	if (str_empty(name))
		name = json_get_str(spec, "serviceAccount");
	if (str_empty(name))
		name = "default";
	key = kind_key(op->ns, name);
	account = latest(op, "serviceaccounts", key);
	if (account) {
		account_mount(op, obj_json(account));
		return 0;
	}
	return refuse(op, "error looking up service account %s: serviceaccount \"%s\" not found", key, name);
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
		return refuse(op, "create not allowed while custom resource definition is terminating");
	if (is(op, "", "pods"))
		return check_account(op);
	return 0;
}

/* ---- the nearly final object ---- */
static int prepare_crd(struct op *op)
{
	if (str_eq(op->sub, "status"))
		return 0;
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

int special_prepare(struct op *op)
{
	if (is(op, "", "pods") && str_eq(op->sub, "binding"))
		binding_status(op);
	else if (is(op, "", "namespaces"))
		keep_namespace_finalizers(op);
	else if (is(op, "apiextensions.k8s.io", "customresourcedefinitions"))
		return prepare_crd(op);
	else if (str_eq(op->res->kind->group, "rbac.authorization.k8s.io"))
		return check_role_ref(op) < 0 ? -1 : escalation_check(op);
	return 0;
}
