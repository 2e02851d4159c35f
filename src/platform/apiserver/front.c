/* SPDX-License-Identifier: Apache-2.0 */
/* The way of every request: who, on whose behalf, is it their turn, may they; then handler.c. */
#include "platform/request/audit.h"
#include "platform/auth/auth.h"
#include "platform/apiserver/deadline.h"
#include "platform/apiserver/flow.h"
#include "platform/apiserver/metrics.h"
#include "platform/apiserver/server.h"

#include "base/mem.h"

#include <string.h>

/* A request from its arrival to its end. */
struct visit {
	struct apiserver *s;
	struct request *r;
	struct flow_entry turn;
	struct audit_note *note;
	struct deadline due;
	struct rev_wait *wait; /* a token may be of another server's making */
	bool fresh;
	int status; /* of the answer that has begun */
};

/* ---- the end ---- */
static void visit_answered(void *arg, struct request *r, int status)
{
	struct visit *v = arg;

	v->status = status;
	deadline_over(&v->due);
	metrics_count(v->s, r, status);
	flow_leave(v->s->flow, &v->turn);
	if (v->note && str_eq(request_label_verb(r), "watch"))
		audit_write(v->s->audit, v->note, r, AUDIT_STARTED, status);
}

static void visit_ended(void *arg, struct request *r)
{
	struct visit *v = arg;

	audit_write(v->s->audit, v->note, r, AUDIT_COMPLETE, v->status);
	audit_note_free(v->note);
	objects_wait_cancel(v->wait);
	free(v);
}

/* ---- whether they may ---- */
static bool may(struct visit *v, const struct reqinfo *i, struct err *e)
{
	CLEANUP(str_done) struct str reason = { 0 };
	struct access a = { .user = request_user(v->r),
		.resource_request = i->resource_request,
		.verb = i->verb,
		.group = i->group,
		.version = i->version,
		.plural = i->plural,
		.sub = i->sub,
		.ns = i->ns,
		.name = i->name,
		.path = i->path };
	bool allowed = access_allowed(v->s->auth, &a, &reason);

	audit_annotate(v->note, "authorization.k8s.io/decision", allowed ? "allow" : "forbid");
	if (reason.len > 0)
		audit_annotate(v->note, "authorization.k8s.io/reason", reason.data);
	if (!allowed)
		access_denied(&a, reason.data, e);
	return allowed;
}

static void fail_forbidden(struct request *r, const struct reqinfo *i, const struct err *e)
{
	const struct kind k = { .group = i->group ? i->group : "",
		.version = i->version,
		.kind = i->plural,
		.plural = i->plural };

	request_fail(r, e, i->resource_request ? &k : NULL, i->name, NULL);
}

/* ---- their turn ---- */
static void visit_go(struct flow_entry *turn)
{
	struct visit *v = CONTAINER_OF(turn, struct visit, turn);
	struct request *r = v->r;
	const struct reqinfo *i = request_info(r);
	struct err e = { 0 };
	size_t len;

	request_body(r, &len);
	request_on_abort(r, NULL, NULL);
	if (!may(v, i, &e)) {
		fail_forbidden(r, i, &e);
	} else if (len > BODY_MAX) {
		err_set(&e, ERR_TOO_LARGE, "Request entity too large: limit is %d", BODY_MAX);
		request_fail(r, &e, NULL, NULL, NULL);
	} else {
		server_route(v->s, r, i);
	}
}

static void visit_refused(struct flow_entry *turn)
{
	struct visit *v = CONTAINER_OF(turn, struct visit, turn);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	CLEANUP(mem_freep) char *seconds = str_printf("%d", FLOW_RETRY_AFTER_S);
	struct err e = { 0 };

	err_set(&e, ERR_TOO_MANY_REQUESTS, "Too many requests, please try again later.");
	d = status_from_err(&e, NULL, NULL, NULL);
	json_set(d, json_need_obj(d, json_root(d), "details"), "retryAfterSeconds",
		json_new_i64(d, FLOW_RETRY_AFTER_S));
	request_add_header(v->r, "Retry-After", seconds);
	request_reply_json(v->r, 429, json_root(d));
}

static void visit_left(void *arg)
{
	struct visit *v = arg;

	flow_leave(v->s->flow, &v->turn);
}

/* Parts of this program are the system itself, and whoever asks for its health has to hear at once. */
static bool takes_turns(const struct request *r)
{
	static const char *const health[] = { "/healthz", "/livez", "/readyz" };

	for (size_t i = 0; i < ARRAY_LEN(health); i++)
		if (str_starts(request_path(r), health[i]))
			return false;
	return !request_in_process(r);
}

static void visit_enter(struct visit *v)
{
	const struct reqinfo *i = request_info(v->r);
	struct err e = { 0 };

	v->note = audit_begin(v->s->audit, v->r);
	request_set_audit(v->r, v->note);
	request_set_label(v->r, i->verb, "");
	if (impersonate(v->s->auth, v->r, &e) < 0) {
		audit_annotate(v->note, "authorization.k8s.io/decision", "forbid");
		fail_forbidden(v->r, i, &e);
	} else if (takes_turns(v->r) && deadline_begin(v->s, &v->due, v->r, i, &e) < 0) {
		request_fail(v->r, &e, NULL, NULL, NULL);
	} else if (takes_turns(v->r)) {
		request_on_abort(v->r, visit_left, v);
		flow_enter(v->s->flow, request_user(v->r)->name, &v->turn);
	} else {
		visit_go(&v->turn);
	}
}

static void visit_begin(struct visit *v);

static void visit_synced(void *arg, bool reached)
{
	struct visit *v = arg;

	v->wait = NULL;
	(void)reached;
	visit_begin(v);
}

static void visit_begin(struct visit *v)
{
	struct apiserver *s = v->s;
	struct err e = { 0 };

	if (s->objects->stopping) {
		/* client-go tries again by itself then; without it an informer lists anew */
		request_add_header(v->r, "Retry-After", "1");
		err_set(&e, ERR_UNAVAILABLE, "apiserver is shutting down");
	} else if (authenticate(s->auth, v->r, &e) == 0) {
		visit_enter(v);
		return;
	} else if (!v->fresh) {
		v->fresh = true;
		v->wait = objects_wait_sync(s->objects, visit_synced, v);
		if (v->wait)
			return;
	}
	v->note = audit_begin(s->audit, v->r);
	request_fail(v->r, &e, NULL, NULL, NULL);
}

void server_serve(void *arg, struct request *r)
{
	struct apiserver *s = arg;
	struct visit *v = MEM_NEW(struct visit);

	*v = (struct visit){ .s = s, .r = r, .turn = { .run = visit_go, .refuse = visit_refused } };
	request_on_status(r, visit_answered, v);
	request_on_end(r, visit_ended, v);
	visit_begin(v);
}
