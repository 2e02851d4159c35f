/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/csr.h"

#include "api/meta.h"
#include "base/mem.h"
#include "platform/auth/auth.h"
#include "platform/apiserver/signer.h"
#include "platform/apiserver/write.h"

#include <string.h>

static void set_requester(struct op *op)
{
	static const char *const members[] = { "username", "uid", "groups", "extra" };
	CLEANUP(json_doc_freep) struct json_doc *who = json_lit("{}");
	struct json *spec = json_need_obj(op->draft, json_root(op->draft), "spec");

	user_to_json(who, json_root(who), &op->user);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *v = json_get(json_root(who), members[i]);

		json_remove(spec, members[i]);
		if (v)
			json_set_copy(op->draft, spec, members[i], v);
	}
}

static bool may_name(struct op *op, const char *verb, const char *name)
{
	const struct access a = { .user = &op->user,
		.resource_request = true,
		.verb = verb,
		.group = "certificates.k8s.io",
		.version = "v1",
		.plural = "signers",
		.name = name };

	return access_allowed(op->s->auth, &a, NULL);
}

/* The signer itself, or all of its domain. */
static int may(struct op *op, const char *verb)
{
	const char *signer = json_str_or(json_at(obj_json(op->old), "/spec/signerName"), "");
	const char *slash = strchr(signer, '/');
	CLEANUP(mem_freep)
	char *all = str_printf("%.*s/*", (int)(slash ? (size_t)(slash - signer) : strlen(signer)), signer);

	if (may_name(op, verb, signer) || may_name(op, verb, all))
		return 0;
	return op_refuse(op, "user not permitted to %s requests with signerName \"%s\"", verb, signer);
}

static bool is_verdict(const struct json *cond)
{
	const char *type = json_get_str(cond, "type");

	return str_eq(type, "Approved") || str_eq(type, "Denied");
}

static bool has_cond(const struct json *list, const struct json *cond)
{
	JSON_EACH (it, list) {
		if (json_eq(it.val, cond))
			return true;
	}
	return false;
}

/* Did the conditions of the kind (verdicts, or all others) change? */
static bool changed(const struct json *now, const struct json *old, bool verdicts)
{
	JSON_EACH (it, now) {
		if (is_verdict(it.val) == verdicts && !has_cond(old, it.val))
			return true;
	}
	JSON_EACH (it, old) {
		if (is_verdict(it.val) == verdicts && !has_cond(now, it.val))
			return true;
	}
	return false;
}

/* A verdict is for ever, and one or the other. */
static int check_verdict(struct op *op, const struct json *now, const struct json *old)
{
	bool approved = cond_find(now, "Approved"), denied = cond_find(now, "Denied");

	JSON_EACH (it, old) {
		if (is_verdict(it.val) && !cond_find(now, json_get_str(it.val, "type")))
			cause_forbidden(&op->causes, "status.conditions",
				"updates may not remove a condition of type \"%s\"",
				json_get_str(it.val, "type"));
	}
	if (approved && denied)
		cause_invalid(&op->causes, "status.conditions", now,
			"Approved and Denied conditions are mutually exclusive");
	return op->causes.len > 0 ? causes_to_err(&op->causes, op->res->kind, op->name, &op->err) : 0;
}

static void restore(struct op *op, const char *member)
{
	struct json *status = json_need_obj(op->draft, json_root(op->draft), "status");
	const struct json *v = json_get(json_get(obj_json(op->old), "status"), member);

	if (v)
		json_set_copy(op->draft, status, member, v);
	else
		json_remove(status, member);
}

static int approve(struct op *op, const struct json *now, const struct json *old)
{
	restore(op, "certificate");
	if (check_verdict(op, now, old) < 0)
		return -1;
	return changed(now, old, true) ? may(op, "approve") : 0;
}

static int sign(struct op *op, const struct json *now, const struct json *old)
{
	const struct json *was = json_at(obj_json(op->old), "/status/certificate"),
			  *is = json_at(json_root(op->draft), "/status/certificate");

	if (changed(now, old, true)) {
		cause_forbidden(&op->causes, "status.conditions",
			"updates may not add or remove a condition of type Approved or Denied");
		return causes_to_err(&op->causes, op->res->kind, op->name, &op->err);
	}
	return !json_eq(was, is) || changed(now, old, false) ? may(op, "sign") : 0;
}

int csr_prepare(struct op *op)
{
	const struct json *now = json_at(json_root(op->draft), "/status/conditions");
	const struct json *old = op->old ? json_at(obj_json(op->old), "/status/conditions") : NULL;

	if (op->created) {
		set_requester(op);
		return signer_check(op);
	}
	json_set_copy(op->draft, json_root(op->draft), "spec", json_get(obj_json(op->old), "spec"));
	if (str_eq(op->sub, "approval"))
		return approve(op, now, old);
	return str_eq(op->sub, "status") ? sign(op, now, old) : 0;
}
