/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/webhook/review.h"

#include "api/meta.h"
#include "api/patch.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/validate.h"

const struct hook hooks[] = {
	{ "/virtualmachines-mutate", "virtualmachines-mutator.kubevirt.io", HOOK_MUTATING, &kind_vm,
		"CREATE,UPDATE", NEEDS_NOTHING, HOOK_MUTATE_VM },
	{ "/virtualmachineinstances-mutate", "virtualmachineinstances-mutator.kubevirt.io", HOOK_MUTATING,
		&kind_vmi, "CREATE,UPDATE", NEEDS_NOTHING, HOOK_MUTATE_VMI },
	{ "/migration-mutate-create", "migrations-mutator.kubevirt.io", HOOK_MUTATING, &kind_vmim, "CREATE",
		NEEDS_NOTHING, HOOK_MUTATE_VMIM },
	{ "/virtualmachines-validate", "virtualmachine-validator.kubevirt.io", HOOK_VALIDATING, &kind_vm,
		"CREATE,UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_VM },
	/* Asked only about what may be refused: the status of every VM is written all the time. */
	{ "/status-validate", "virtualmachine-status-validator.kubevirt.io", HOOK_VALIDATING, &kind_vm,
		"UPDATE", NEEDS_VMI, HOOK_VALIDATE_VM_STATUS, .sub = "status",
		.when = "has(object.status) && has(object.status.volumeRequests)" },
	{ "/virtualmachineinstances-validate-create", "virtualmachineinstances-create-validator.kubevirt.io",
		HOOK_VALIDATING, &kind_vmi, "CREATE", NEEDS_NOTHING, HOOK_VALIDATE_VMI_CREATE },
	{ "/virtualmachineinstances-validate-update", "virtualmachineinstances-update-validator.kubevirt.io",
		HOOK_VALIDATING, &kind_vmi, "UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_VMI_UPDATE },
	{ "/migration-validate-create", "migration-create-validator.kubevirt.io", HOOK_VALIDATING, &kind_vmim,
		"CREATE", NEEDS_VMI_AND_MIGRATIONS, HOOK_VALIDATE_VMIM_CREATE },
	{ "/migration-validate-update", "migration-update-validator.kubevirt.io", HOOK_VALIDATING, &kind_vmim,
		"UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_VMIM_UPDATE },
	{ "/kubevirt-validate-create", "kubevirt-create-validator.kubevirt.io", HOOK_OPERATOR, &kind_kubevirt,
		"CREATE", NEEDS_KUBEVIRT_COUNT, HOOK_VALIDATE_KUBEVIRT_CREATE, true },
	{ "/kubevirt-validate-update", "kubevirt-update-validator.kubevirt.io", HOOK_OPERATOR, &kind_kubevirt,
		"UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_KUBEVIRT_UPDATE, true },
	{ "/kubevirt-validate-delete", "kubevirt-validator.kubevirt.io", HOOK_OPERATOR, &kind_kubevirt,
		"DELETE", NEEDS_VMI_COUNT, HOOK_VALIDATE_KUBEVIRT_DELETE },
	{ "/virtualmachineinstancetypes-validate",
		"virtualmachineinstancetype-validator.instancetype.kubevirt.io", HOOK_VALIDATING,
		&kind_instancetype, "CREATE,UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_INSTANCETYPE },
	{ "/virtualmachineclusterinstancetypes-validate",
		"virtualmachineclusterinstancetype-validator.instancetype.kubevirt.io", HOOK_VALIDATING,
		&kind_clusterinstancetype, "CREATE,UPDATE", NEEDS_NOTHING,
		HOOK_VALIDATE_CLUSTERINSTANCETYPE },
	{ "/virtualmachinepreferences-validate",
		"virtualmachinepreference-validator.instancetype.kubevirt.io", HOOK_VALIDATING,
		&kind_preference, "CREATE,UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_PREFERENCE },
	{ "/virtualmachineclusterpreferences-validate",
		"virtualmachineclusterpreference-validator.instancetype.kubevirt.io", HOOK_VALIDATING,
		&kind_clusterpreference, "CREATE,UPDATE", NEEDS_NOTHING, HOOK_VALIDATE_CLUSTERPREFERENCE },
	{ NULL },
};

const struct hook *hook_find(const char *path)
{
	for (const struct hook *h = hooks; h->path; h++)
		if (str_eq(h->path, path))
			return h;
	return NULL;
}

const char *review_vmi_name(const struct json *review, const char **ret_ns)
{
	*ret_ns = json_at_str(review, "/request/namespace");
	if (str_eq(json_at_str(review, "/request/object/kind"), kind_vm.kind))
		return json_at_str(review, "/request/object/metadata/name");
	return json_at_str(review, "/request/object/spec/vmiName");
}

/* What one hook sees and says. */
struct pass {
	const struct json *request, *object, *old;
	const struct review_env *env;
	bool trusted, create;
	struct causes *causes;
	struct strv *warnings;
};

/* A VMI has no status subresource: foreign writes to it are undone (rollout.md 4.3). */
static void restore_status(struct json_doc *d, struct json *o, const struct json *old)
{
	if (json_get(old, "status"))
		json_set_copy(d, o, "status", json_get(old, "status"));
	else
		json_remove(o, "status");
}

static int mutate(enum hook_id id, const struct pass *p, struct json_doc *d, struct err *e)
{
	const struct defaults_in in = {
		.config = p->env->config, .uuid = p->env->uuid, .serial = p->env->serial, .old = p->old
	};
	struct json *o = json_root(d);

	switch (id) {
	case HOOK_MUTATE_VM:
		if (it_mutate_vm(d, o, p->old, p->env->lookup, p->causes, e) < 0)
			return -1;
		vm_default(d, o, p->create, &in);
		break;
	case HOOK_MUTATE_VMI:
		if (p->create)
			vmi_default_create(d, o, &in);
		else if (!p->trusted)
			restore_status(d, o, p->old);
		break;
	case HOOK_MUTATE_VMIM:
		vmim_default_create(d, o);
		break;
	default:
		break;
	}
	return 0;
}

/* With instance type and preference applied to a copy; nothing is asked of a VM that stays as it is, or goes. */
static void validate_vm(const struct pass *p)
{
	const struct json *spec = json_get(p->object, "spec");
	CLEANUP(json_doc_freep) struct json_doc *expanded = NULL;

	if (p->old && (json_get(meta_of(p->object), "deletionTimestamp") ||
			      json_eq(spec, json_get(p->old, "spec"))))
		return;
	if (!vm_same_guest(p->object, p->old))
		it_validate_vm(p->object, p->env->config, p->env->lookup, &expanded, p->causes);
	if (!p->causes->len)
		vm_validate(expanded ? json_root(expanded) : p->object, p->old, p->env->config, p->causes);
}

static void validate(enum hook_id id, const struct pass *p)
{
	const struct kv_config *c = p->env->config;

	switch (id) {
	case HOOK_VALIDATE_VM:
		validate_vm(p);
		vm_warnings(p->object, p->warnings);
		break;
	case HOOK_VALIDATE_VM_STATUS:
		vm_validate_status(p->object, p->old, p->env->vmi, p->causes);
		break;
	case HOOK_VALIDATE_VMI_CREATE:
		vmi_validate_create(p->object, c, p->trusted, p->causes);
		break;
	case HOOK_VALIDATE_VMI_UPDATE:
		vmi_validate_update(p->object, p->old, p->trusted, p->causes);
		break;
	case HOOK_VALIDATE_VMIM_CREATE:
		vmim_validate_create(p->object, p->env->vmi, p->env->migrations, p->causes);
		break;
	case HOOK_VALIDATE_VMIM_UPDATE:
		vmim_validate_update(p->object, p->old, p->causes);
		break;
	case HOOK_VALIDATE_KUBEVIRT_CREATE:
		kubevirt_validate(p->object, NULL, p->env->count, p->causes);
		kubevirt_warnings(p->object, NULL, p->warnings);
		break;
	case HOOK_VALIDATE_KUBEVIRT_UPDATE:
		kubevirt_validate(p->object, p->old, 1, p->causes);
		if (!json_eq(json_get(p->object, "spec"), json_get(p->old, "spec")))
			kubevirt_warnings(p->object, p->old, p->warnings);
		break;
	case HOOK_VALIDATE_KUBEVIRT_DELETE:
		kubevirt_validate_delete(p->old, p->env->count, p->causes);
		break;
	case HOOK_VALIDATE_INSTANCETYPE:
	case HOOK_VALIDATE_CLUSTERINSTANCETYPE:
		it_validate(p->object, IT_INSTANCETYPE, p->causes, p->warnings);
		break;
	case HOOK_VALIDATE_PREFERENCE:
	case HOOK_VALIDATE_CLUSTERPREFERENCE:
		it_validate(p->object, IT_PREFERENCE, p->causes, p->warnings);
		break;
	default:
		break;
	}
}

/* kubevirt-api.md 1.1: 422, the first ten messages joined, every cause in the details. */
static void refuse(struct json_doc *d, struct json *response, const struct causes *causes)
{
	CLEANUP(str_done) struct str text = { 0 };
	struct json *status = json_need_obj(d, response, "status");
	struct json *list = json_need_arr(d, json_need_obj(d, status, "details"), "causes");

	for (size_t i = 0; i < causes->len; i++) {
		const struct cause *c = &causes->items[i];
		struct json *o = json_new_obj(d);
		json_set_str(d, o, "reason", c->reason);
		json_set_str(d, o, "message", c->message);
		json_set_str(d, o, "field", c->field);
		json_append(d, list, o);
		if (i < REVIEW_CAUSES_SHOWN)
			str_addf(&text, "%s%s", i ? ", " : "", c->message);
	}
	if (causes->len + causes->dropped > REVIEW_CAUSES_SHOWN)
		str_addf(&text, ", and %zu more validation errors",
			causes->len + causes->dropped - REVIEW_CAUSES_SHOWN);
	json_set_str(d, status, "status", "Failure");
	json_set_str(d, status, "message", str_cstr(&text));
	json_set_str(d, status, "reason", "Invalid");
	json_set_i64(d, status, "code", 422);
}

/* One reason that is no cause: what the request asks for can not be had. */
static void refuse_error(struct json_doc *d, struct json *response, const struct err *e)
{
	struct json *status = json_need_obj(d, response, "status");

	json_set_str(d, status, "status", "Failure");
	json_set_str(d, status, "message", e->msg);
	json_set_str(d, status, "reason", err_reason(e->code));
	json_set_i64(d, status, "code", err_http(e->code));
}

static void add_patch(
	struct json_doc *d, struct json *response, const struct json *before, const struct json *after)
{
	CLEANUP(json_doc_freep) struct json_doc *scratch = json_doc_new();
	CLEANUP(str_done) struct str b64 = { 0 };
	struct json *ops = patch_diff(scratch, before, after, false);
	size_t len;

	if (!json_len(ops))
		return;
	CLEANUP(mem_freep) char *text = json_write(ops, &len);
	b64_encode(text, len, false, &b64);
	json_set_str(d, response, "patchType", "JSONPatch");
	json_set_str(d, response, "patch", str_cstr(&b64));
}

int review_answer(const struct hook *h, const struct json *review, const struct review_env *env,
	struct json_doc **ret, struct err *e)
{
	const struct json *request = json_get(review, "request");
	const char *uid = json_get_str(request, "uid"), *operation = json_get_str(request, "operation");
	struct causes causes = { 0 };
	struct err why;
	CLEANUP(strv_done) struct strv warnings = { 0 };

	if (str_empty(uid) || str_empty(operation))
		return err_set(e, ERR_BAD_REQUEST, "not an AdmissionReview request");
	struct pass p = { .request = request,
		.object = json_get(request, "object"),
		.old = json_is_null(json_get(request, "oldObject")) ? NULL : json_get(request, "oldObject"),
		.env = env,
		.trusted = is_kubevirt_account(
			json_str_or(json_at(request, "/userInfo/username"), ""), env->install_ns),
		.create = str_eq(operation, "CREATE"),
		.causes = &causes,
		.warnings = &warnings };
	struct json_doc *d = json_doc_new();
	struct json *root = json_new_obj(d);
	json_set_root(d, root);
	json_set_str(d, root, "apiVersion", "admission.k8s.io/v1");
	json_set_str(d, root, "kind", "AdmissionReview");
	struct json *response = json_need_obj(d, root, "response");
	json_set_str(d, response, "uid", uid);

	if (h->side == HOOK_MUTATING && json_is_obj(p.object)) {
		CLEANUP(json_doc_freep) struct json_doc *after = json_doc_from(p.object);
		if (mutate(h->id, &p, after, &why) < 0)
			refuse_error(d, response, &why);
		else
			add_patch(d, response, p.object, json_root(after));
	} else if (h->side != HOOK_MUTATING) {
		validate(h->id, &p);
	}
	json_set_bool(d, response, "allowed", causes.len == 0 && !json_get(response, "status"));
	if (causes.len)
		refuse(d, response, &causes);
	for (size_t i = 0; i < warnings.len; i++)
		json_append_str(d, json_need_arr(d, response, "warnings"), warnings.items[i]);
	causes_done(&causes);
	*ret = d;
	return 0;
}
