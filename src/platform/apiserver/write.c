/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. Each goes through the same stages, which are functions of the table below; webhooks make it wait between two of
 * them. What it builds on may have changed meanwhile: then it starts again, unless the client named the version it means. */
#include "platform/apiserver/write.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/callout/convert.h"
#include "platform/admission/plugins.h"
#include "platform/admission/policy.h"
#include "platform/admission/quota.h"
#include "platform/apiserver/service.h"
#include "platform/admission/webhook.h"

#include <string.h>

struct op *op_new(struct apiserver *s, struct resource *res, enum op_kind kind, const struct user *u,
	const char *ns, const char *name)
{
	struct op *op = MEM_NEW(struct op);

	op->s = s;
	op->res = resource_ref(res);
	op->kind = kind;
	op->ns = mem_strdup(res->kind->namespaced && ns ? ns : "");
	op->name = name ? mem_strdup(name) : NULL;
	op->key = name ? kind_key(op->ns, name) : NULL;
	op->sub = mem_strdup("");
	user_copy(&op->user, u);
	return op;
}

void op_free(struct op *op)
{
	admission_cancel(op->admission);
	objects_wait_cancel(op->wait);
	convert_cancel(op->convert);
	quota_settle(&op->quota, op->err.code != ERR_NONE);
	service_settle(op->service);
	resource_unref(op->res);
	free(op->ns);
	free(op->name);
	free(op->key);
	free(op->sub);
	free(op->manager);
	user_done(&op->user);
	json_doc_free(op->input);
	json_doc_free(op->draft);
	json_doc_free(op->status);
	obj_unref(op->old);
	obj_unref(op->seen);
	obj_unref(op->shown);
	obj_unref(op->result);
	strv_done(&op->warnings);
	causes_done(&op->causes);
	free(op);
}

static struct write_env env_of(struct op *op)
{
	return (struct write_env){ .now_ms = loop_wall_ms(op->s->loop),
		.dry_run = op->dry_run,
		.sub = op->sub,
		.get = objects_env_get,
		.arg = op->s->objects };
}

static struct bucket *bucket_of(struct op *op)
{
	return objects_bucket_of(op->s->objects, op->res);
}

/* ---- stages: 0 go on, 1 wait, -1 failed ---- */
enum { STAGE_GO = 0, STAGE_WAIT = 1, STAGE_FAIL = -1 };

/* False: it could not be, and that is the end. */
static bool converted(struct op *op, const struct err *e)
{
	op->convert = NULL;
	if (!e)
		return true;
	err_copy(&op->err, e);
	op->done(op);
	return false;
}

static void old_seen(void *arg, struct obj *const *objs, const struct err *e)
{
	struct op *op = arg;

	if (!converted(op, e))
		return;
	op->seen = obj_ref(objs[0]);
	op_run(op);
}

static int see_old(struct op *op)
{
	const struct obj *old = op->old;
	char av[KIND_API_VERSION_MAX];

	if (!old || (op->seen = convert_known(op->s->callouts, op->res, old)))
		return STAGE_GO;
	op->convert = convert_start(
		op->s->callouts, op->res, kind_api_version(op->res->kind, av), &old, 1, false, old_seen, op);
	return STAGE_WAIT;
}

static void forget_base(struct op *op)
{
	obj_unref(op->old);
	obj_unref(op->seen);
	obj_unref(op->shown);
	op->old = op->seen = op->shown = NULL;
	op->old_rev = 0;
}

/* ---- a store that others write to, too ---- */
#define AGAIN_PAUSE_MAX_MS 64

static void run_again(void *arg, bool reached)
{
	struct op *op = arg;

	op->wait = NULL;
	(void)reached;
	op_run(op);
}

/* Another write of the key is under way: it is not known yet what there will be to build on. */
static int wait_for_key(struct op *op, const char *key)
{
	op->stage = 0;
	json_doc_free(op->draft);
	op->draft = NULL;
	op->wait = objects_wait_key(op->s->objects, bucket_of(op), key, run_again, op);
	return STAGE_WAIT;
}

static void forget_outcome(struct op *op)
{
	err_clear(&op->err);
	causes_done(&op->causes);
	json_doc_free(op->status);
	json_doc_free(op->draft);
	obj_unref(op->result);
	strv_done(&op->warnings);
	op->status = NULL;
	op->draft = NULL;
	op->result = NULL;
	op->same = op->warned = false;
	op->stage = 0;
}

static void judged_again(void *arg, bool reached)
{
	struct op *op = arg;

	op->wait = NULL;
	if (!reached) {
		forget_outcome(op);
		err_set(&op->err, ERR_TIMEOUT, "the store does not tell its newest state");
	} else if (objects_revision(op->s->objects) != op->view) {
		forget_outcome(op);
		op_run(op);
		return;
	}
	op->done(op);
}

/* A refusal may come of our not knowing yet what was written through another server: what is refused is judged once more
 * with everything known, unless nothing new has come. */
static void refused(struct op *op)
{
	static const unsigned by_others = 1U << ERR_NOT_FOUND | 1U << ERR_CONFLICT | 1U << ERR_EXISTS |
					  1U << ERR_FORBIDDEN | 1U << ERR_INVALID;

	/* with quota booked it was judged on the newest state already */
	if (!op->fresh && !op->quota.hold && !op->s->objects->stopping && (by_others & 1U << op->err.code)) {
		op->fresh = true;
		op->view = objects_revision(op->s->objects);
		op->wait = objects_wait_sync(op->s->objects, judged_again, op);
		if (op->wait)
			return;
	}
	op->done(op);
}

/* What the write builds on. Also where another try begins. */
static int stage_base(struct op *op)
{
	bool creates = op->kind == OP_CREATE;

	forget_base(op);
	if (!creates && objects_pending(op->s->objects, bucket_of(op), op->key))
		return wait_for_key(op, op->key);
	op->created = false;
	if (!creates)
		op->old = obj_ref(bucket_latest(bucket_of(op), op->key, &op->old_rev));
	if (!creates && !op->old) {
		bool may_create =
			str_empty(op->sub) && ((op->kind == OP_UPDATE && op->res->rules.create_on_update) ||
						      (op->kind == OP_PATCH && op->patch == OP_PATCH_APPLY));

		if (!may_create)
			return err_not_found(&op->err, op->res->kind, op->name);
		creates = true;
	}
	op->created = creates;
	return see_old(op);
}

/* What is the server's to say is not there for webhooks to see either. */
static int wipe_meta(struct op *op)
{
	static const char *const wiped[] = { "uid", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "selfLink" };
	struct json *meta = json_need_obj(op->draft, json_root(op->draft), "metadata");
	const char *ns = json_get_str(meta, "namespace");

	for (size_t i = 0; i < ARRAY_LEN(wiped); i++)
		json_remove(meta, wiped[i]);
	if (!op->res->kind->namespaced)
		return 0;
	if (!str_empty(ns) && !str_eq(ns, op->ns))
		return err_set(&op->err, ERR_BAD_REQUEST,
			"the namespace of the provided object does not match the namespace sent on the "
			"request");
	json_set_str(op->draft, meta, "namespace", op->ns);
	return 0;
}

static int stage_draft(struct op *op)
{
	if (op->kind == OP_DELETE)
		return special_check(op);
	if (op_make_draft(op) < 0)
		return STAGE_FAIL;
	if (op->created && wipe_meta(op) < 0)
		return STAGE_FAIL;
	return special_check(op);
}

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

static int call_webhooks(struct op *op, bool mutating)
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
static int stage_mutate(struct op *op)
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
	return call_webhooks(op, true);
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

static void random_suffix(struct apiserver *s, char ret[6])
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint32_t n[5];

	crypto_random(n, sizeof(n));
	for (int i = 0; i < 5; i++)
		ret[i] = letters[n[i] % (sizeof(letters) - 1)];
	ret[5] = '\0';
}

/* Whatever status came with a new object is gone by now, and with it the defaults of its members. */
static void default_status(struct op *op)
{
	const struct schema *s = schema_member(resource_schema(op->res), "status");
	struct json *status = json_get(json_root(op->draft), "status");

	if (op->res->rules.builtin && s && status)
		schema_default(s, op->draft, status);
	else if (!op->res->rules.builtin) /* or the default of all of it */
		schema_default(resource_schema(op->res), op->draft, json_root(op->draft));
}

static int finish_create(struct op *op)
{
	char uid[37], suffix[6] = "";
	struct create_in in = { .ns = op->res->kind->namespaced ? op->ns : NULL,
		.uid = uid,
		.suffix5 = suffix,
		.now_ms = loop_wall_ms(op->s->loop),
		.dry_run = op->dry_run };
	struct json *meta = json_need_obj(op->draft, json_root(op->draft), "metadata");

	crypto_uuid(uid);
	if (!str_empty(json_get_str(meta, "generateName")))
		random_suffix(op->s, suffix);
	if (op->kind != OP_CREATE) {
		json_set_str(op->draft, meta, "name", op->name);
		json_remove(meta, "resourceVersion");
	}
	if (write_create(&op->res->rules, &in, op->draft, &op->causes, &op->err) < 0)
		return -1;
	default_status(op);
	return 0;
}

static enum write_part part_of(const struct op *op)
{
	return str_eq(op->sub, "status") || str_eq(op->sub, "approval") ? WRITE_STATUS : WRITE_MAIN;
}

/* What the draft is compared with: while a webhook converts, all is done in the version of the URL. */
static const struct obj *base_of(const struct op *op)
{
	return convert_remote(op->res) ? op->seen : op->old;
}

static const struct json *base_json(const struct op *op)
{
	const struct obj *base = base_of(op);

	return base ? obj_json(base) : NULL;
}

static int finish_update(struct op *op)
{
	return write_update(&op->res->rules, part_of(op), base_of(op), op->draft, loop_wall_ms(op->s->loop),
		&op->same, &op->causes, &op->err);
}

/* Everything that is wrong with the object, in one answer. */
static int check_object(struct op *op)
{
	const struct json *old = base_json(op), *o = json_root(op->draft);
	struct write_env env = env_of(op);
	const char *name = json_at_str(o, "/metadata/name");
	CLEANUP(causes_done) struct causes tolerated = { 0 };
	bool wrong_type = false;

	schema_validate_noting(resource_schema(op->res), o, old, &op->causes, &tolerated);
	for (size_t i = 0; i < tolerated.len; i++)
		strv_addf(&op->warnings, "%s: %s", tolerated.items[i].field, tolerated.items[i].message);
	if (op->res->origin == ORIGIN_CRD)
		scale_validate(op->res, o, &op->causes);
	if (op->res->def->hooks.validate && op->causes.len == 0)
		op->res->def->hooks.validate(&env, o, old, &op->causes);
	if (op->causes.len == 0)
		return STAGE_GO;
	for (size_t i = 0; i < op->causes.len; i++)
		wrong_type |= str_eq(op->causes.items[i].reason, "FieldValueTypeInvalid");
	causes_to_err(&op->causes, op->res->kind, name ? name : "", &op->err);
	/* kube-apiserver's decoder never lets these through for its own kinds */
	if (wrong_type && op->res->origin == ORIGIN_BUILTIN) {
		err_set(&op->err, ERR_BAD_REQUEST,
			"%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal: %s: %s",
			op->res->kind->kind, op->res->kind->version, op->res->kind->kind,
			op->causes.items[0].field, op->causes.items[0].message);
		causes_done(&op->causes);
	}
	return STAGE_FAIL;
}

static int prepare_object(struct op *op)
{
	const struct json *old = op->old ? obj_json(op->old) : NULL;
	struct write_env env = env_of(op);

	if (op->res->def->hooks.prepare &&
		op->res->def->hooks.prepare(&env, op->draft, json_root(op->draft), old, &op->err) < 0)
		return STAGE_FAIL;
	return special_prepare(op);
}

/* The prepared object may again be what is stored: a PUT of stringData that changes nothing, say. */
static void compare_again(struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *copy = NULL;
	struct causes c = { 0 };
	struct err e = { 0 };
	bool same = false;

	if (op->created || op->same)
		return;
	copy = json_doc_from(json_root(op->draft));
	if (write_update(&op->res->rules, part_of(op), op->old, copy, loop_wall_ms(op->s->loop), &same, &c,
		    &e) == 0)
		op->same = same;
	causes_done(&c);
}

/* Stored in a version that is no longer the one to store: a write that changes nothing changes that. */
static bool is_stale(const struct op *op)
{
	char av[KIND_API_VERSION_MAX];

	return convert_remote(op->res) && op->old && !convert_is_in(op->old, convert_storage(op->res, av));
}

static int stage_finish(struct op *op)
{
	int ret;

	if (op->kind == OP_DELETE)
		return STAGE_GO;
	if (!convert_remote(op->res))
		object_to_stored(op->s->objects->registry, op->res, op->draft);
	op->same = false;
	ret = op->created ? finish_create(op) : finish_update(op);
	if (ret < 0) {
		if (op->err.code == ERR_INVALID && op->causes.len > 0)
			check_object(op);
		return STAGE_FAIL;
	}
	if (op->same && is_stale(op))
		op->same = false;
	if (op->same)
		return STAGE_GO;
	if (prepare_object(op) < 0 || check_object(op) < 0)
		return STAGE_FAIL;
	if (op->res->def->hooks.prepare && str_empty(op->sub))
		compare_again(op);
	return STAGE_GO;
}

static int stage_validate(struct op *op)
{
	struct plugin_write write;

	if (op->same)
		return STAGE_GO;
	write = op_plugin_write(op);
	return plugins_validate(&write) < 0 ? STAGE_FAIL : call_webhooks(op, false);
}

static void converted_to_stored(void *arg, struct obj *const *objs, const struct err *e)
{
	struct op *op = arg;

	if (!converted(op, e))
		return;
	op->draft = obj_draft(objs[0]);
	op_run(op);
}

/* The draft in the version that is stored. */
static int stage_store(struct op *op)
{
	char av[KIND_API_VERSION_MAX], own[KIND_API_VERSION_MAX];
	const struct obj *o;

	if (op->same || !op->draft || !convert_remote(op->res) ||
		str_eq(convert_storage(op->res, av), kind_api_version(op->res->kind, own)))
		return STAGE_GO;
	op->shown = obj_from_doc(TAKE(op->draft));
	o = op->shown;
	op->convert = convert_start(op->s->callouts, op->res, av, &o, 1, true, converted_to_stored, op);
	return STAGE_WAIT;
}

static void booked(void *arg, bool again, const struct err *e)
{
	struct op *op = arg;

	if (e) {
		err_copy(&op->err, e);
		op->done(op);
		return;
	}
	if (again)
		op->stage--;
	op_run_again(op, again ? op->quota.tries : 0);
}

static int stage_quota(struct op *op)
{
	const struct plugin_write write = op_plugin_write(op);

	if (op->same) {
		quota_settle(&op->quota, true); /* an earlier try's */
		return STAGE_GO;
	}
	return quota_book(&write, &op->quota, booked, op);
}

/* ---- committing ---- */
/* Who reads what was just written needs no webhook for it. */
static void note_shown(struct op *op, const struct obj *stored)
{
	struct json_doc *d = obj_draft(op->shown);
	struct obj *o;

	json_set_strf(d, json_need_obj(d, json_root(d), "metadata"), "resourceVersion", "%llu",
		(unsigned long long)obj_rv(stored));
	objects_normalize(d);
	o = obj_from_doc(d);
	convert_note(op->s->callouts, op->res, stored, o);
	obj_unref(o);
}

static int again(struct op *op);
static void committed(void *arg, const struct obj *o, const struct err *e)
{
	struct op *op = arg;

	/* another server was faster: what it wrote is known by now */
	if (e && e->code == ERR_CONFLICT && store_shared(op->s->objects->store) && again(op) == STAGE_GO) {
		obj_unref(op->result);
		op->result = NULL;
		op_run_again(op, op->tries);
		return;
	}
	if (e && op->err.code == ERR_NONE)
		err_copy(&op->err, e);
	else if (!e && !op->result)
		op->result = obj_ref(o);
	if (!e && op->shown)
		note_shown(op, o);
	op->done(op);
}

static void no_op_durable(void *arg, bool reached)
{
	struct op *op = arg;

	op->wait = NULL;
	if (!reached)
		err_set(&op->err, ERR_INTERNAL, "the store did not confirm an earlier write");
	op->done(op);
}

/* The object as it is answers, once it is durable. */
static int finish_same(struct op *op)
{
	op->result = obj_ref(op->old);
	if (op->old_rev > objects_revision(op->s->objects)) {
		op->wait = objects_wait_revision(op->s->objects, op->old_rev, no_op_durable, op);
		return STAGE_WAIT;
	}
	op->done(op);
	return STAGE_WAIT;
}

/* What was read at the beginning is no longer what is there. */
static bool overtaken(struct op *op)
{
	uint64_t rev;
	const struct obj *now;

	if (op->created)
		return false;
	now = bucket_latest(bucket_of(op), op->key, &rev);
	return now != op->old;
}

static int again(struct op *op)
{
	if (++op->tries >= WRITE_TRIES_MAX)
		return err_conflict(&op->err, op->res->kind, op->name);
	op->stage = 0;
	json_doc_free(op->draft);
	op->draft = NULL;
	return STAGE_GO;
}

static int exists(struct op *op, const struct obj *o)
{
	err_exists(&op->err, op->res->kind, obj_name(o));
	if (obj_deleting(o))
		err_wrap(&op->err, "object is being deleted");
	return STAGE_FAIL;
}

static int commit_create(struct op *op)
{
	const struct json *meta = json_get(json_root(op->draft), "metadata");
	const char *name = json_get_str(meta, "name");
	CLEANUP(mem_freep) char *key = kind_key(op->ns, name);
	uint64_t rev;
	const struct obj *there = bucket_latest(bucket_of(op), key, &rev);

	if (objects_pending(op->s->objects, bucket_of(op), key))
		return wait_for_key(op, key);
	if (there && op->kind == OP_CREATE && !str_empty(json_get_str(meta, "generateName")) && !op->named &&
		++op->name_tries < GENERATE_NAME_TRIES_MAX)
		return again(op);
	if (there && op->kind == OP_CREATE)
		return exists(op, there);
	if (there)
		return again(op); /* apply or PUT found nothing at first */
	if (op->dry_run) {
		op->result = op->shown ? TAKE(op->shown) : obj_from_doc(TAKE(op->draft));
		op->done(op);
		return STAGE_WAIT;
	}
	objects_put(op->s->objects, bucket_of(op), TAKE(op->draft), 0, committed, op);
	return STAGE_WAIT;
}

/* kubernetes-api.md 1.5 */
static void warn_of_orphans(struct op *op, const struct json *options)
{
	if (op->res->rules.orphans && str_eq(op->res->kind->kind, "Job") &&
		!json_get(options, "propagationPolicy") && !json_get(options, "orphanDependents"))
		strv_add(&op->warnings, "child pods are preserved by default when jobs are deleted; set "
					"propagationPolicy=Background to remove them or set "
					"propagationPolicy=Orphan to suppress this warning");
}

static int commit_delete(struct op *op)
{
	const struct json *options = op->input ? json_root(op->input) : NULL;
	struct json_doc *marked = NULL;

	if (write_delete(&op->res->rules, op->old, options, loop_wall_ms(op->s->loop), &op->outcome, &marked,
		    &op->err) < 0)
		return STAGE_FAIL;
	warn_of_orphans(op, options);
	if (op->outcome == DELETE_UNCHANGED || op->dry_run) {
		json_doc_free(marked);
		return finish_same(op);
	}
	if (op->outcome == DELETE_NOW)
		objects_remove(op->s->objects, bucket_of(op), op->old, committed, op);
	else
		objects_put(op->s->objects, bucket_of(op), marked, op->old_rev, committed, op);
	return STAGE_WAIT;
}

static int commit_update(struct op *op)
{
	if (op->same)
		return finish_same(op);
	if (op->dry_run) {
		op->result = op->shown ? TAKE(op->shown) : obj_from_doc(TAKE(op->draft));
		op->done(op);
		return STAGE_WAIT;
	}
	if (write_is_gone(json_root(op->draft))) {
		/* answered as it would have been stored, with the old revision (2.4) */
		op->outcome = DELETE_NOW;
		op->result = obj_from_doc(TAKE(op->draft));
		objects_remove(op->s->objects, bucket_of(op), op->result, committed, op);
		return STAGE_WAIT;
	}
	objects_put(op->s->objects, bucket_of(op), TAKE(op->draft), op->old_rev, committed, op);
	return STAGE_WAIT;
}

static int stage_commit(struct op *op)
{
	if (op->s->objects->stopping)
		return err_set(&op->err, ERR_UNAVAILABLE, "the server is stopping");
	if (op->res->origin == ORIGIN_CRD && !registry_find(op->s->objects->registry, op->res->kind->group,
						     op->res->kind->version, op->res->kind->plural))
		return err_set(&op->err, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (overtaken(op))
		return again(op);
	if (op->kind == OP_DELETE)
		return commit_delete(op);
	return op->created ? commit_create(op) : commit_update(op);
}

/* STAGE_WAIT from the last one means that the result came or will come through op->done. */
static int (*const stages[])(struct op *op) = { stage_base, stage_draft, stage_mutate, stage_finish,
	stage_validate, stage_store, stage_quota, stage_commit };

void op_run(struct op *op)
{
	while (op->stage < ARRAY_LEN(stages)) {
		int ret = stages[op->stage++](op);

		if (ret == STAGE_WAIT)
			return;
		if (ret == STAGE_FAIL) {
			refused(op);
			return;
		}
	}
}

void op_run_again(struct op *op, unsigned n)
{
	uint32_t random;
	uint32_t most = n < 6 ? 1U << n : AGAIN_PAUSE_MAX_MS;

	crypto_random(&random, sizeof(random));
	if (n <= 1)
		op_run(op);
	else
		op->wait = objects_wait_pause(op->s->objects, random % most, run_again, op);
}

/* ---- answering ---- */
static void send_warnings(struct op *op)
{
	for (size_t i = 0; i < op->warnings.len; i++)
		request_warn(op->r, "%s", op->warnings.items[i]);
}

static void reply_status(struct op *op, struct json_doc *d)
{
	int code = (int)json_i64(json_get(json_root(d), "code"));

	request_reply_json(op->r, code ? code : 500, json_root(d));
}

static void reply_deleted(struct op *op)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (op->outcome == DELETE_NOW && !op->res->def->delete_returns) {
		d = status_success(op->res->kind, op->name, obj_uid(op->result));
		request_reply_json(op->r, 200, json_root(d));
		return;
	}
	reply_object(op->s, op->r, op->res, 200, op->result);
}

static void reply_scale_of(
	void *arg, struct request *r, struct resource *res, int status, const struct obj *o)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	(void)arg;
	d = scale_from(res, o, &e);
	if (d)
		request_reply_json(r, status, json_root(d));
	else
		request_fail(r, &e, res->kind, obj_name(o), NULL);
}

static void reply_scale(struct op *op)
{
	convert_then(op->s->callouts, op->r, op->res, 200, op->result, reply_scale_of, NULL);
}

/* A patch that does not apply is told without naming anything: details {} (2.1). */
static void fail_named(struct op *op, const char *name)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	if (op->err.code != ERR_INVALID || op->causes.len > 0 || op->kind != OP_PATCH ||
		!str_eq(op->err.msg, PATCH_REJECTED)) {
		request_fail(op->r, &op->err, op->res->kind, name, &op->causes);
		return;
	}
	d = status_from_err(&op->err, NULL, NULL, NULL);
	json_need_obj(d, json_root(d), "details");
	request_reply_json(op->r, 422, json_root(d));
}

static void op_reply(struct op *op)
{
	if (op->r && op->status) {
		send_warnings(op);
		reply_status(op, op->status);
	} else if (op->r && op->err.code != ERR_NONE) {
		const char *name = op->name    ? op->name
				   : op->draft ? json_at_str(json_root(op->draft), "/metadata/name")
					       : NULL;

		send_warnings(op);
		fail_named(op, name);
	} else if (op->r) {
		send_warnings(op);
		if (op->kind == OP_DELETE)
			reply_deleted(op);
		else if (str_eq(op->sub, "scale"))
			reply_scale(op);
		else
			reply_object(op->s, op->r, op->res, op->created ? 201 : 200, op->result);
	}
	op_free(op);
}

static void op_aborted(void *arg)
{
	struct op *op = arg;

	op->r = NULL; /* what was begun is finished */
}

/* ---- collections ---- */
/* A few at a time: ten thousand on their way at once would be a quarter of a gigabyte. */
#define COLLECTION_AT_ONCE 64
struct collection {
	struct apiserver *s;
	struct convert *convert;
	struct request *r;
	struct resource *res;
	struct json_doc *options;
	const struct obj **items;
	size_t n, cap, at, under_way;
	bool running, dry_run;
	struct user user;
	struct err err;
};

static void collection_aborted(void *arg)
{
	((struct collection *)arg)->r = NULL;
}

static void collection_list(struct collection *c)
{
	CLEANUP(str_done) struct str out = { 0 };
	char av[KIND_API_VERSION_MAX];
	size_t size = 512, len;

	for (size_t i = 0; i < c->n; i++) {
		obj_text(c->items[i], &len);
		size += len + 1;
	}
	str_reserve(&out, size);
	str_addf(&out,
		"{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%llu\"},"
		"\"items\":[",
		c->res->list_kind, kind_api_version(c->res->kind, av),
		(unsigned long long)objects_revision(c->s->objects));
	for (size_t i = 0; i < c->n; i++) {
		str_add(&out, i ? "," : "");
		obj_add_text(c->items[i], &out);
	}
	str_add(&out, "]}\n");
	request_reply(c->r, 200, "application/json", out.data, out.len);
}

static void collection_reply(struct collection *c)
{
	if (c->r)
		request_on_abort(c->r, NULL, NULL);
	if (c->r && c->err.code != ERR_NONE)
		request_fail(c->r, &c->err, c->res->kind, NULL, NULL);
	else if (c->r)
		collection_list(c);
	for (size_t i = 0; i < c->n; i++)
		obj_unref(c->items[i]);
	free(c->items);
	resource_unref(c->res);
	json_doc_free(c->options);
	user_done(&c->user);
	free(c);
}

static void collection_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct collection *c = arg;

	c->convert = NULL;
	if (e)
		err_copy(&c->err, e);
	for (size_t i = 0; !e && i < c->n; i++) {
		obj_unref(c->items[i]);
		c->items[i] = obj_ref(objs[i]);
	}
	collection_reply(c);
}

static void collection_end(struct collection *c)
{
	char av[KIND_API_VERSION_MAX];

	if (convert_remote(c->res) && c->n > 0 && c->err.code == ERR_NONE) {
		c->convert = convert_start(c->s->callouts, c->res, kind_api_version(c->res->kind, av),
			c->items, c->n, false, collection_converted, c);
		return;
	}
	for (size_t i = 0; !convert_remote(c->res) && i < c->n; i++) {
		const struct obj *was = c->items[i];

		c->items[i] = object_present(c->res, was);
		obj_unref(was);
	}
	collection_reply(c);
}

static void collection_next(struct collection *c);

static void collection_item_done(struct op *op)
{
	struct collection *c = op->arg;

	if (op->err.code != ERR_NONE && op->err.code != ERR_NOT_FOUND && c->err.code == ERR_NONE)
		err_copy(&c->err, &op->err);
	op_free(op);
	c->under_way--;
	collection_next(c);
}

static void collection_item(struct collection *c, const struct obj *o)
{
	struct op *op = op_new(c->s, c->res, OP_DELETE, &c->user, obj_namespace(o), obj_name(o));

	op->input = json_doc_from(json_root(c->options));
	op->dry_run = c->dry_run;
	op->done = collection_item_done;
	op->arg = c;
	c->under_way++;
	op_run(op);
}

static void collection_next(struct collection *c)
{
	if (c->running)
		return; /* an item was done at once: the loop below goes on */
	c->running = true;
	while (c->at < c->n && c->under_way < COLLECTION_AT_ONCE)
		collection_item(c, c->items[c->at++]);
	c->running = false;
	if (c->under_way == 0)
		collection_end(c);
}

static void delete_collection(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *reader = op_new(s, res, OP_DELETE, request_user(r), i->ns, NULL);
	struct collection *c;
	struct listopts o;
	const struct obj *item;
	struct bucket *b = objects_bucket_of(s->objects, res);

	reader->r = r;
	if (op_read_body(reader) < 0 || op_read_options(reader) < 0) {
		request_fail(r, &reader->err, res->kind, NULL, &reader->causes);
		op_free(reader);
		return;
	}
	if (listopts_read(r, res, i, false, &o) < 0) {
		op_free(reader);
		return;
	}
	c = MEM_NEW(struct collection);
	*c = (struct collection){ .s = s, .r = r, .res = resource_ref(res), .options = TAKE(reader->input) };
	for (size_t at = bucket_seek(b, o.prefix);
		(item = bucket_at(b, at)) && str_starts(obj_key(item), o.prefix); at++) {
		if (!listopts_match(&o, item))
			continue;
		c->items = mem_grow(c->items, &c->cap, c->n + 1, sizeof(*c->items));
		c->items[c->n++] = obj_ref(item);
	}
	listopts_done(&o);
	request_on_abort(r, collection_aborted, c);
	c->dry_run = reader->dry_run;
	user_copy(&c->user, request_user(r));
	collection_next(c);
	op_free(reader);
}

/* ---- from the handler ---- */
static enum op_kind kind_of(const struct reqinfo *i)
{
	return str_eq(i->verb, "create")   ? OP_CREATE
	       : str_eq(i->verb, "update") ? OP_UPDATE
	       : str_eq(i->verb, "patch")  ? OP_PATCH
					   : OP_DELETE;
}

static void serve_scale(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(mem_freep) char *key = kind_key(res->kind->namespaced ? i->ns : NULL, i->name);
	const struct obj *o = bucket_get(objects_bucket_of(s->objects, res), key);
	struct err e = { 0 };

	if (o) {
		convert_then(s->callouts, r, res, 200, o, reply_scale_of, NULL);
		return;
	}
	err_not_found(&e, res->kind, i->name);
	request_fail(r, &e, res->kind, i->name, NULL);
}

void server_write(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *op;
	bool read;

	if (str_eq(i->verb, "get")) {
		serve_scale(s, r, res, i);
		return;
	}
	if (server_write_action(s, r, res, i))
		return;
	if (str_eq(i->verb, "deletecollection")) {
		delete_collection(s, r, res, i);
		return;
	}
	op = op_new(s, res, kind_of(i), request_user(r), i->ns, i->name);
	op->r = r;
	op->done = op_reply;
	if (i->sub) {
		free(op->sub);
		op->sub = mem_strdup(i->sub);
	}
	request_on_abort(r, op_aborted, op);
	read = op->kind == OP_DELETE ? op_read_body(op) == 0 && op_read_options(op) == 0
				     : op_read_options(op) == 0 && op_read_body(op) == 0;
	if (read)
		op_run(op);
	else
		op_reply(op);
}
