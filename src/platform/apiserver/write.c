/* SPDX-License-Identifier: Apache-2.0 */
/* Writes. Each goes through the same stages, which are functions of the table below; webhooks make it wait between two of
 * them. What it builds on may have changed meanwhile: then it starts again, unless the client named the version it means. */
#include "platform/apiserver/write.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/callout/convert.h"
#include "platform/admission/plugins.h"
#include "platform/admission/quota.h"
#include "platform/apiserver/service.h"
#include "platform/apiserver/write_impl.h"

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

struct bucket *op_bucket(struct op *op)
{
	return objects_bucket_of(op->s->objects, op->res);
}

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
int op_wait_for_key(struct op *op, const char *key)
{
	op->stage = 0;
	json_doc_free(op->draft);
	op->draft = NULL;
	op->wait = objects_wait_key(op->s->objects, op_bucket(op), key, run_again, op);
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
	if (!creates && objects_pending(op->s->objects, op_bucket(op), op->key))
		return op_wait_for_key(op, op->key);
	op->created = false;
	if (!creates)
		op->old = obj_ref(bucket_latest(op_bucket(op), op->key, &op->old_rev));
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
	return plugins_validate(&write) < 0 ? STAGE_FAIL : op_ask(op, false);
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

/* STAGE_WAIT from the last one means that the result came or will come through op->done. */
static int (*const stages[])(struct op *op) = { stage_base, stage_draft, op_mutate, stage_finish,
	stage_validate, stage_store, stage_quota, op_commit };

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
