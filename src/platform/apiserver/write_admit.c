/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a write is shown before it is final: defaults, plug-ins, webhooks, policies (kubernetes-api.md 5.1). */
#include "platform/apiserver/write_impl.h"

#include "base/mem.h"
#include "platform/admission/policy.h"
#include "platform/admission/webhook.h"

#include <string.h>

static void apply_defaults(struct op *op)
{
	if (str_eq(op->sub, "scale"))
		return;
	schema_default(resource_schema(op->res), op->draft, json_root(op->draft));
	if (op->res->def->hooks.deflt)
		op->res->def->hooks.deflt(op->draft, json_root(op->draft));
}

static const char *operation_of(const struct op *op)
{
	return op->kind == OP_DELETE                       ? "DELETE"
	       : op->created || str_eq(op->sub, "binding") ? "CREATE"
							   : "UPDATE";
}

/* Scale and Binding are what webhooks see of a write that comes to a change of the object behind. */
static bool has_own_body(const struct op *op)
{
	return str_eq(op->sub, "scale") || str_eq(op->sub, "binding");
}

static struct json_doc *own_body(struct op *op)
{
	CLEANUP(obj_unrefp) struct obj *whole = NULL;
	struct json_doc *d;

	if (str_eq(op->sub, "scale")) {
		whole = obj_from_doc(json_doc_from(json_root(op->draft)));
		return scale_from(op->res, whole, NULL);
	}
	d = json_doc_from(json_root(op->input));
	json_set_str(d, json_root(d), "apiVersion", "v1");
	json_set_str(d, json_root(d), "kind", "Binding");
	json_set_str(d, json_need_obj(d, json_root(d), "metadata"), "name", op->name);
	json_set_str(d, json_get(json_root(d), "metadata"), "namespace", op->ns);
	return d;
}

static int take_own_body(struct op *op, struct json_doc *body)
{
	json_doc_free(op->draft);
	op->draft = NULL;
	if (str_eq(op->sub, "scale")) {
		CLEANUP(json_doc_freep) struct json_doc *scale = body;

		return scale_into(op, json_root(scale));
	}
	json_doc_free(op->input);
	op->input = body;
	return binding_into(op);
}

static int take_admitted(struct op *op, struct json_doc *object)
{
	struct plugin_write write;

	if (has_own_body(op))
		return take_own_body(op, object);
	json_doc_free(op->draft);
	op->draft = object;
	schema_prune(resource_schema(op->res), json_root(object), NULL);
	if (op->res->origin == ORIGIN_BUILTIN)
		schema_canonicalize(resource_schema(op->res), object, json_root(object));
	if (op_check_types(op, object) < 0)
		return -1;
	apply_defaults(op);
	write = op_plugin_write(op);
	return plugins_mutate(&write);
}

static void admitted(void *arg, struct json_doc *status, struct json_doc *object)
{
	struct op *op = arg;

	op->admission = NULL;
	if (status) {
		op->status = status;
		json_doc_free(object);
		err_set(&op->err, ERR_FORBIDDEN, "refused by a webhook");
		op->done(op);
		return;
	}
	if (object && take_admitted(op, object) < 0)
		op->done(op);
	else
		op_run(op);
}

/* The options as the operation has them, whichever verb it came by. */
static struct json_doc *options_of(const struct op *op)
{
	struct json_doc *d =
		op->kind == OP_DELETE && op->input ? json_doc_from(json_root(op->input)) : json_lit("{}");
	static const char *const copied[] = { "fieldManager", "fieldValidation" };
	struct json *o = json_root(d);

	if (!json_is_obj(o)) {
		o = json_new_obj(d);
		json_set_root(d, o);
	}
	if (op->dry_run && !json_get(o, "dryRun"))
		json_append_str(d, json_need_arr(d, o, "dryRun"), "All");
	for (size_t i = 0; op->r && op->kind != OP_DELETE && i < ARRAY_LEN(copied); i++)
		if (!str_empty(request_query(op->r, copied[i])))
			json_set_str(d, o, copied[i], request_query(op->r, copied[i]));
	return d;
}

int op_ask(struct op *op, bool mutating)
{
	CLEANUP(json_doc_freep) struct json_doc *options = NULL;
	CLEANUP(json_doc_freep) struct json_doc *body = NULL;
	CLEANUP(json_doc_freep) struct json_doc *scale = NULL;
	CLEANUP(obj_unrefp) struct obj *old = NULL;
	const struct json *object = op->draft ? json_root(op->draft) : NULL;
	const char *name = op->name ? op->name : json_at_str(object, "/metadata/name");
	const char *operation = operation_of(op);
	struct admission_in in = { .res = op->res,
		.sub = op->sub,
		.operation = operation,
		.ns = op->ns,
		.name = name ? name : "",
		.user = &op->user,
		.dry_run = op->dry_run,
		.old = op->seen,
		.object = object,
		.client = &op->r,
		.options_kind = *operation == 'C'   ? "CreateOptions"
				: *operation == 'U' ? "UpdateOptions"
						    : "DeleteOptions" };

	bool hooks = plugin_on(op->s->admitter, mutating ? PLUGIN_MUTATING : PLUGIN_VALIDATING) &&
		     webhooks_any(op->s->admitter, mutating);
	bool policies = !mutating && plugin_on(op->s->admitter, PLUGIN_POLICY) &&
			policies_any(op->s->admitter->policies);

	if (!hooks && !policies)
		return STAGE_GO;
	options = options_of(op);
	in.options = json_root(options);
	if (op->draft && has_own_body(op)) {
		body = own_body(op);
		in.object = json_root(body);
		scale = str_eq(op->sub, "scale") ? scale_from(op->res, op->seen, NULL) : NULL;
		in.old = old = scale ? obj_from_doc(TAKE(scale)) : NULL;
	}
	if (policies && policies_ask(op->s->admitter->policies, &in, &op->warnings, &op->status) < 0)
		return err_set(&op->err, ERR_FORBIDDEN, "refused by a policy");
	if (!hooks)
		return STAGE_GO;
	op->admission = admission_start(op->s->admitter, mutating, &in, &op->warnings, admitted, op);
	return op->admission ? STAGE_WAIT : STAGE_GO;
}

static void note_manager(struct op *op);
int op_mutate(struct op *op)
{
	struct plugin_write write;

	if (op->draft)
		apply_defaults(op);
	/* Before admission, as kube-apiserver does: what plugins and webhooks fill in belongs to nobody, so that an apply of
	 * the same manager does not take it away, for it is not in what the manager applies. */
	if (op->draft && op->kind != OP_DELETE)
		note_manager(op);
	write = op_plugin_write(op);
	if (plugins_mutate(&write) < 0)
		return STAGE_FAIL;
	return op_ask(op, true);
}

static void note_manager(struct op *op)
{
	char av[KIND_API_VERSION_MAX];
	struct apply_opts opts = { .manager = op->manager,
		.subresource = op->sub,
		.api_version = kind_api_version(op->res->kind, av),
		.now_ms = loop_wall_ms(op->s->loop) };

	if (!op->manager || (op->kind == OP_PATCH && op->patch == OP_PATCH_APPLY))
		return;
	managed_fields_update(resource_schema(op->res), op->seen ? obj_json(op->seen) : NULL, op->draft,
		json_root(op->draft), &opts);
}
