/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' authorizer: may the user of the request, or a service account, do this or that. */
#include "api/cel_int.h"

#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))
#define CHECK_COST 350000 /* what one question counts for, as upstream has it */

struct decision {
	bool allowed;
	const char *reason;
};

/* A copy of the question so far, to be narrowed. */
static struct cel_access *copy_of(struct cel_run *r, const struct cel_value *v)
{
	struct cel_access *copy = arena_alloc(r->arena, sizeof(*copy));

	if (v->p)
		*copy = *(const struct cel_access *)v->p;
	return copy;
}

static struct cel_value narrowed(
	struct cel_run *r, const struct cel_value *a, enum cel_kind from, enum cel_kind to, size_t offset)
{
	struct cel_access *copy;

	if (a[0].kind != from || a[1].kind != CEL_STRING)
		return cel_no_overload();
	copy = copy_of(r, &a[0]);
	*(const char **)((char *)copy + offset) = cel_cstr(r, &a[1]);
	return cel_opaque(to, copy);
}

#define NARROW(fn, from, to, member)                                                  \
	static struct cel_value fn(ARGS)                                              \
	{                                                                             \
		return narrowed(r, a, from, to, offsetof(struct cel_access, member)); \
	}
NARROW(f_path, CEL_AUTHORIZER, CEL_PATH_CHECK, path)
NARROW(f_group, CEL_AUTHORIZER, CEL_GROUP_CHECK, group)
NARROW(f_resource, CEL_GROUP_CHECK, CEL_RESOURCE_CHECK, resource)
NARROW(f_subresource, CEL_RESOURCE_CHECK, CEL_RESOURCE_CHECK, subresource)
NARROW(f_namespace, CEL_RESOURCE_CHECK, CEL_RESOURCE_CHECK, ns)
NARROW(f_name, CEL_RESOURCE_CHECK, CEL_RESOURCE_CHECK, name)

/* Selectors only ever narrow what is asked for; the rules here know none, so they change nothing. */
static struct cel_value f_selector(ARGS)
{
	return a[0].kind == CEL_RESOURCE_CHECK && a[1].kind == CEL_STRING ? a[0] : cel_no_overload();
}

static struct cel_value f_account(ARGS)
{
	struct cel_access *copy;

	if (a[0].kind != CEL_AUTHORIZER || a[1].kind != CEL_STRING || a[2].kind != CEL_STRING)
		return cel_no_overload();
	copy = copy_of(r, &a[0]);
	copy->account_ns = cel_cstr(r, &a[1]);
	copy->account = cel_cstr(r, &a[2]);
	return cel_opaque(CEL_AUTHORIZER, copy);
}

static struct cel_value f_check(ARGS)
{
	struct cel_access *copy;
	struct decision *d;

	if ((a[0].kind != CEL_PATH_CHECK && a[0].kind != CEL_RESOURCE_CHECK) || a[1].kind != CEL_STRING)
		return cel_no_overload();
	if (!r->authorize)
		return cel_fail(r, "there is no authorizer here");
	if (!cel_pay(r, CHECK_COST))
		return cel_over_budget();
	copy = copy_of(r, &a[0]);
	copy->verb = cel_cstr(r, &a[1]);
	d = arena_alloc(r->arena, sizeof(*d));
	d->reason = "";
	d->allowed = r->authorize(r->authorize_arg, copy, r->arena, &d->reason);
	return cel_opaque(CEL_DECISION, d);
}

static struct cel_value f_allowed(ARGS)
{
	return a[0].kind == CEL_DECISION ? cel_bool(((const struct decision *)a[0].p)->allowed)
					 : cel_no_overload();
}

static struct cel_value f_reason(ARGS)
{
	return a[0].kind == CEL_DECISION ? cel_str(((const struct decision *)a[0].p)->reason)
					 : cel_no_overload();
}

/* The rules are in memory: asking them does not fail. */
static struct cel_value f_errored(ARGS)
{
	return a[0].kind == CEL_DECISION ? cel_bool(false) : cel_no_overload();
}

static struct cel_value f_error(ARGS)
{
	return a[0].kind == CEL_DECISION ? cel_str("") : cel_no_overload();
}

struct cel_value cel_resource_check(struct cel_run *r, const struct cel_access *a)
{
	struct cel_access *copy = arena_alloc(r->arena, sizeof(*copy));

	*copy = *a;
	return cel_opaque(CEL_RESOURCE_CHECK, copy);
}

const struct cel_fn cel_fns_authz[] = {
	{ "path", "Z.s:H", f_path, false },
	{ "group", "Z.s:G", f_group, false },
	{ "serviceAccount", "Z.ss:Z", f_account, false },
	{ "resource", "G.s:R", f_resource, false },
	{ "subresource", "R.s:R", f_subresource, false },
	{ "namespace", "R.s:R", f_namespace, false },
	{ "name", "R.s:R", f_name, false },
	{ "fieldSelector", "R.s:R", f_selector, false },
	{ "labelSelector", "R.s:R", f_selector, false },
	{ "check", "H.s:K|R.s:K", f_check, false },
	{ "allowed", "K.:b", f_allowed, false },
	{ "reason", "K.:s", f_reason, false },
	{ "errored", "K.:b", f_errored, false },
	{ "error", "K.:s", f_error, false },
	{ 0 },
};
