/* SPDX-License-Identifier: Apache-2.0 */
/* The last stage of a write: into the store, if what it builds on still stands. */
#include "platform/apiserver/write_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/callout/convert.h"

#include <string.h>

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
	now = bucket_latest(op_bucket(op), op->key, &rev);
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
	const struct obj *there = bucket_latest(op_bucket(op), key, &rev);

	if (objects_pending(op->s->objects, op_bucket(op), key))
		return op_wait_for_key(op, key);
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
	objects_put(op->s->objects, op_bucket(op), TAKE(op->draft), 0, committed, op);
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
		objects_remove(op->s->objects, op_bucket(op), op->old, committed, op);
	else
		objects_put(op->s->objects, op_bucket(op), marked, op->old_rev, committed, op);
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
		objects_remove(op->s->objects, op_bucket(op), op->result, committed, op);
		return STAGE_WAIT;
	}
	objects_put(op->s->objects, op_bucket(op), TAKE(op->draft), op->old_rev, committed, op);
	return STAGE_WAIT;
}

int op_commit(struct op *op)
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
