/* SPDX-License-Identifier: Apache-2.0 */
/* pods/eviction: a deletion that the PodDisruptionBudgets have a say in (kubernetes-api.md 1.5, 8.97). */
#include "platform/apiserver/write.h"

#include "api/meta.h"
#include "api/selector.h"
#include "base/mem.h"
#include "base/time.h"

#include <string.h>

#define BUDGETS "policy/poddisruptionbudgets"
#define DISRUPTED_MAX 2000 /* not yet confirmed by the controller */
#define RETRY_S 10
#define TRIES_MAX 20 /* against other servers */

struct eviction {
	struct op *op;         /* the deletion that it comes to */
	struct json_doc *body; /* Eviction */
	struct admit *admit;
	unsigned tries;
};

static void eviction_free(struct eviction *v)
{
	admit_cancel(v->admit);
	json_doc_free(v->body);
	free(v);
}

static void eviction_over(struct eviction *v)
{
	struct op *op = v->op;

	eviction_free(v);
	action_done(op);
}

/* ---- what the budget says ---- */
static int too_many(struct op *op, int retry_s, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int too_many(struct op *op, int retry_s, const char *fmt, ...)
{
	CLEANUP(str_done) struct str m = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&m, fmt, ap);
	va_end(ap);
	cause_text(&op->causes, "DisruptionBudget", "", "%s", m.data);
	err_set(&op->err, ERR_TOO_MANY_REQUESTS,
		"Cannot evict pod as it would violate the pod's disruption budget.");
	op->status = status_from_err(&op->err, NULL, NULL, &op->causes);
	if (retry_s == 0)
		return -1;
	json_set_i64(op->status, json_need_obj(op->status, json_root(op->status), "details"),
		"retryAfterSeconds", retry_s);
	if (op->r) {
		CLEANUP(mem_freep) char *text = str_printf("%d", retry_s);

		request_add_header(op->r, "Retry-After", text);
	}
	return -1;
}

static int check_budget(struct op *op, const struct obj *pdb)
{
	const struct json *o = obj_json(pdb), *st = json_get(o, "status");
	const struct json *cond = cond_find(json_get(st, "conditions"), "DisruptionAllowed");
	int64_t left = json_i64(json_get(st, "disruptionsAllowed"));

	if (json_i64(json_get(st, "observedGeneration")) < obj_generation(pdb))
		return too_many(op, RETRY_S,
			"The disruption budget %s is still being processed by the server.", obj_name(pdb));
	if (left < 0)
		return err_set(&op->err, ERR_FORBIDDEN,
			"poddisruptionbudget.policy \"%s\" is forbidden: pdb disruptions allowed is negative",
			obj_name(pdb));
	if (json_len(json_get(st, "disruptedPods")) > DISRUPTED_MAX)
		return err_set(&op->err, ERR_FORBIDDEN,
			"poddisruptionbudget.policy \"%s\" is forbidden: DisruptedPods map too big - too "
			"many "
			"evictions not confirmed by PDB controller",
			obj_name(pdb));
	if (left > 0)
		return 0;
	if (str_eq(json_get_str(cond, "status"), "False") &&
		str_eq(json_get_str(cond, "reason"), "SyncFailed"))
		return too_many(op, 0,
			"The disruption budget %s does not allow evicting pods currently because it failed "
			"sync: %s",
			obj_name(pdb), json_str_or(json_get(cond, "message"), ""));
	return too_many(op, 0, "The disruption budget %s needs %lld healthy pods and has %lld currently",
		obj_name(pdb), (long long)json_i64(json_get(st, "desiredHealthy")),
		(long long)json_i64(json_get(st, "currentHealthy")));
}

/* The one budget that covers the pod; -1 if there are several. */
static int find_budget(struct op *op, const struct obj *pod, const struct obj **ret)
{
	struct bucket *b = objects_bucket(op->s->objects, BUDGETS);
	CLEANUP(mem_freep) char *prefix = str_printf("%s/", op->ns);
	const struct obj *o;
	uint64_t rev;

	*ret = NULL;
	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix);
		i++) {
		CLEANUP(selector_freep) struct selector *s = NULL;

		if (selector_from_json(json_at(obj_json(o), "/spec/selector"), &s, NULL) < 0 ||
			!selector_matches(s, json_at(obj_json(pod), "/metadata/labels")))
			continue;
		if (*ret)
			return err_set(&op->err, ERR_INTERNAL,
				"This pod has more than one PodDisruptionBudget, which the eviction "
				"subresource does not support.");
		*ret = bucket_latest(b, obj_key(o), &rev); /* with what others are about to take */
	}
	return 0;
}

/* A pod that does no service, and so is missed by nobody. */
static bool counts_for_nothing(const struct obj *pod)
{
	static const char *const phases[] = { "Succeeded", "Failed", "Pending", NULL };

	return obj_deleting(pod) || str_in(json_str_or(json_at(obj_json(pod), "/status/phase"), ""), phases);
}

static bool may_go_unhealthy(const struct obj *pod, const struct obj *pdb)
{
	const struct json *o = obj_json(pdb), *st = json_get(o, "status");
	const char *policy = json_at_str(o, "/spec/unhealthyPodEvictionPolicy");
	int64_t desired = json_i64(json_get(st, "desiredHealthy"));

	if (cond_is(json_at(obj_json(pod), "/status/conditions"), "Ready", "True"))
		return false;
	return str_eq(policy, "AlwaysAllow") ||
	       (desired > 0 && json_i64(json_get(st, "currentHealthy")) >= desired);
}

/* ---- the way to the deletion ---- */
/* Whoever watches the pod learns why it goes. */
static void mark(struct op *op)
{
	struct bucket *b = objects_bucket_of(op->s->objects, op->res);
	uint64_t rev;
	const struct obj *pod = bucket_latest(b, op->key, &rev);
	struct json_doc *d = pod ? obj_draft(pod) : NULL;

	if (!d)
		return;
	if (!op->dry_run &&
		cond_set(d, json_need_obj(d, json_root(d), "status"), "DisruptionTarget", "True",
			"EvictionByEvictionAPI", "Eviction API: evicting", loop_wall_ms(op->s->loop)))
		objects_put(op->s->objects, b, d, rev, NULL, NULL);
	else
		json_doc_free(d);
}

static void evict(struct eviction *v)
{
	struct op *op = v->op;

	eviction_free(v);
	mark(op);
	op_run(op);
}

static void decide(struct eviction *v);
static void taken(void *arg, const struct obj *o, const struct err *e)
{
	struct eviction *v = arg;

	(void)o;
	if (!e) {
		evict(v);
	} else if (e->code == ERR_CONFLICT && ++v->tries < TRIES_MAX) {
		decide(v);
	} else {
		err_copy(&v->op->err, e);
		eviction_over(v);
	}
}

/* One of the allowed disruptions is booked before the pod is touched: two evictions can not share one. */
static void take(struct eviction *v, const struct obj *pdb)
{
	struct op *op = v->op;
	struct json_doc *d = obj_draft(pdb);
	struct json *st = json_need_obj(d, json_root(d), "status");
	uint64_t rev;
	int64_t left = json_i64(json_get(st, "disruptionsAllowed")) - 1, now = loop_wall_ms(op->s->loop);
	char text[TIME_TEXT_MAX];

	json_set_i64(d, st, "disruptionsAllowed", left);
	json_set_str(d, json_need_obj(d, st, "disruptedPods"), op->name, time_rfc3339(now, text));
	if (left == 0)
		cond_set(d, st, "DisruptionAllowed", "False", "InsufficientPods", "", now);
	bucket_latest(objects_bucket(op->s->objects, BUDGETS), obj_key(pdb), &rev);
	objects_put(op->s->objects, objects_bucket(op->s->objects, BUDGETS), d, rev, taken, v);
}

static void decide(struct eviction *v)
{
	struct op *op = v->op;
	uint64_t rev;
	const struct obj *pod = bucket_latest(objects_bucket_of(op->s->objects, op->res), op->key, &rev),
			 *pdb = NULL;

	if (!pod)
		err_not_found(&op->err, op->res->kind, op->name);
	else if (!counts_for_nothing(pod) && find_budget(op, pod, &pdb) == 0 && pdb &&
		 !may_go_unhealthy(pod, pdb) && check_budget(op, pdb) == 0 && !op->dry_run) {
		take(v, pdb);
		return;
	}
	if (op->err.code != ERR_NONE)
		eviction_over(v);
	else
		evict(v);
}

static void admitted(void *arg, struct json_doc *status, const struct json *object)
{
	struct eviction *v = arg;
	struct op *op = v->op;

	v->admit = NULL;
	if (status) {
		op->status = json_doc_from(json_root(status));
		err_set(&op->err, ERR_FORBIDDEN, "refused by a webhook");
		eviction_over(v);
		return;
	}
	op->input = json_doc_from(json_get(object, "deleteOptions"));
	decide(v);
}

static int read_eviction(struct eviction *v)
{
	struct op *op = v->op;
	const char *name;

	if (op_read_options(op) < 0 || body_decode(op->s, op->r, NULL, &v->body, NULL, &op->err) < 0)
		return -1;
	name = json_at_str(json_root(v->body), "/metadata/name");
	if (!str_eq(name, op->name))
		return err_set(
			&op->err, ERR_BAD_REQUEST, "name in URL does not match name in Eviction object");
	JSON_EACH (it, json_at(json_root(v->body), "/deleteOptions/dryRun"))
		op->dry_run |= str_eq(json_str(it.val), "All");
	return 0;
}

void server_evict(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	struct op *op = action_new(s, r, res, i, OP_DELETE);
	struct eviction *v = MEM_NEW(struct eviction);
	struct admission_in in = { .res = res,
		.sub = "eviction",
		.operation = "CREATE",
		.name = op->name,
		.ns = op->ns,
		.user = &op->user,
		.client = &op->r,
		.options_kind = "CreateOptions" };
	struct admit *admit;

	v->op = op;
	if (read_eviction(v) < 0) {
		eviction_over(v);
		return;
	}
	in.dry_run = op->dry_run;
	in.object = json_root(v->body);
	admit = admit_start(s->admitter, &in, &op->warnings, admitted, v);
	if (admit)
		v->admit = admit;
}
