/* SPDX-License-Identifier: Apache-2.0 */
/* Calling webhooks: mutating ones one after the other, validating ones at once (kubernetes-api.md 5.1). */
#include "platform/admission/admission.h"

#include "platform/request/audit.h"
#include "platform/auth/auth.h"
#include "platform/callout/callout.h"
#include "platform/callout/convert.h"
#include "platform/request/request_impl.h"
#include "platform/admission/webhook.h"

#include "api/patch.h"
#include "base/mem.h"

#include <string.h>

#define REVIEW_MAX (8 * 1024 * 1024)

/* One webhook's turn in one admission. */
struct turn {
	struct admission *a;
	struct hook *hook;
	struct resource *res;     /* the version it gets; referenced */
	struct obj *object, *old; /* in that version, if it is another one than the request's */
	struct convert *convert;
	struct backend *backend;
	struct http_call *call;
	char uid[37];
	bool called, changed_after; /* mutating: ran; somebody later changed the object */
	struct json_doc *status;    /* refused or failed */
};
struct admission {
	struct admitter *adm;
	bool mutating, reinvoking;
	struct resource *res;
	char *sub, *operation, *ns, *name, *options_kind;
	struct user user;
	bool dry_run, changed;
	struct obj *old; /* in the version of res */
	struct json_doc *object, *options;
	struct strv *warnings;
	struct request **client;
	struct turn *turns;
	size_t n, at, left;
	admission_fn *fn;
	void *arg;
	struct loop_timer *later; /* a result without any call */
};

static void turn_done(struct turn *t)
{
	http_call_cancel(t->call);
	convert_cancel(t->convert);
	obj_unref(t->object);
	obj_unref(t->old);
	backend_unref(t->backend);
	resource_unref(t->res);
	hook_unref(t->hook);
	json_doc_free(t->status);
}

static void admission_free(struct admission *a)
{
	for (size_t i = 0; i < a->n; i++)
		turn_done(&a->turns[i]);
	free(a->turns);
	resource_unref(a->res);
	obj_unref(a->old);
	json_doc_free(a->object);
	json_doc_free(a->options);
	user_done(&a->user);
	loop_timer_free(a->later);
	free(a->sub);
	free(a->operation);
	free(a->ns);
	free(a->name);
	free(a->options_kind);
	free(a);
}

void admission_cancel(struct admission *a)
{
	if (a)
		admission_free(a);
}

static void finish(struct admission *a)
{
	struct json_doc *status = NULL, *object = NULL;
	admission_fn *fn = a->fn;
	void *arg = a->arg;

	for (size_t i = 0; i < a->n && !status; i++)
		status = TAKE(a->turns[i].status);
	if (!status && a->changed)
		object = TAKE(a->object);
	admission_free(a);
	fn(arg, status, object);
}

/* ---- the review ---- */
/* What it is about, as those see it who are asked. */
static struct admission_in in_of(const struct admission *a)
{
	return (struct admission_in){ .res = a->res,
		.sub = a->sub,
		.operation = a->operation,
		.ns = a->ns,
		.name = a->name,
		.user = &a->user,
		.dry_run = a->dry_run,
		.old = a->old,
		.object = a->object ? json_root(a->object) : NULL,
		.options = a->options ? json_root(a->options) : NULL,
		.options_kind = a->options_kind };
}

/* The request's object and the old one as the webhook gets them. */
static const struct json *object_of(const struct turn *t)
{
	return t->object ? obj_json(t->object) : t->a->object ? json_root(t->a->object) : NULL;
}

static const struct json *old_of(const struct turn *t)
{
	return t->old ? obj_json(t->old) : t->a->old ? obj_json(t->a->old) : NULL;
}

static void set_object(struct json_doc *d, struct json *r, const char *key, const struct json *o)
{
	if (o)
		json_set_copy(d, r, key, o);
	else
		json_set(d, r, key, json_new_null(d));
}

static void set_options(struct json_doc *d, struct json *r, const struct admission *a)
{
	struct json *o;

	if (!a->options_kind) {
		json_set(d, r, "options", json_new_null(d));
		return;
	}
	json_set_copy(d, r, "options", a->options ? json_root(a->options) : NULL);
	if (!a->options)
		json_set(d, r, "options", json_new_obj(d));
	o = json_get(r, "options");
	json_set_str(d, o, "kind", a->options_kind);
	json_set_str(d, o, "apiVersion", "meta.k8s.io/v1");
}

/* The first of the webhook's versions that is spoken here. */
static const char *review_version(const struct hook *h)
{
	JSON_EACH (it, json_get(json_root(h->doc), "admissionReviewVersions")) {
		if (str_eq(json_str(it.val), "v1"))
			return "admission.k8s.io/v1";
		if (str_eq(json_str(it.val), "v1beta1"))
			return "admission.k8s.io/v1beta1";
	}
	return "admission.k8s.io/v1";
}

static struct json_doc *review_of(struct turn *t)
{
	const struct admission *a = t->a;
	struct json_doc *d = json_lit("{'kind':'AdmissionReview','apiVersion':'','request':{}}");
	struct json *r = json_get(json_root(d), "request");
	struct admission_in in = in_of(a);

	crypto_uuid(t->uid);
	json_set_str(d, json_root(d), "apiVersion", review_version(t->hook));
	json_set_str(d, r, "uid", t->uid);
	admission_describe(d, r, &in, t->res);
	set_object(d, r, "object", object_of(t));
	set_object(d, r, "oldObject", old_of(t));
	set_options(d, r, a);
	return d;
}

/* ---- answers ---- */
static void refuse(struct turn *t, const struct json *result)
{
	const char *message = json_get_str(result, "message"), *reason = json_get_str(result, "reason");
	int64_t code = json_i64(json_get(result, "code"));
	struct json_doc *d = json_lit("{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Failure'}");
	struct json *o = json_root(d);

	if (!str_empty(message))
		json_set_strf(d, o, "message", "admission webhook \"%s\" denied the request: %s",
			t->hook->name, message);
	else if (!str_empty(reason))
		json_set_strf(d, o, "message", "admission webhook \"%s\" denied the request: %s",
			t->hook->name, reason);
	else
		json_set_strf(d, o, "message",
			"admission webhook \"%s\" denied the request without explanation", t->hook->name);
	if (!str_empty(reason))
		json_set_str(d, o, "reason", reason);
	if (json_is_obj(json_get(result, "details")))
		json_set_copy(d, o, "details", json_get(result, "details"));
	json_set_i64(d, o, "code", code < 400 ? 400 : code);
	t->status = d;
}

/* The webhook could not be asked, or talked nonsense: that counts as its policy says. */
static void failed(struct turn *t, const char *why)
{
	struct err e = { 0 };
	struct json *causes, *c;

	if (t->hook->ignore_failure)
		return;
	err_set(&e, ERR_INTERNAL, "Internal error occurred: failed calling webhook \"%s\": %s", t->hook->name,
		why);
	t->status = status_from_err(&e, NULL, NULL, NULL);
	causes =
		json_need_arr(t->status, json_need_obj(t->status, json_root(t->status), "details"), "causes");
	c = json_new_obj(t->status);
	json_set_strf(t->status, c, "message", "failed calling webhook \"%s\": %s", t->hook->name, why);
	json_append(t->status, causes, c);
}

/* Whatever the policy: the webhook was asked, and what it wants can not be done. */
static void failed_hard(struct turn *t, const char *why)
{
	struct err e = { 0 };

	err_set(&e, ERR_INTERNAL, "Internal error occurred: %s", why);
	json_doc_free(t->status);
	t->status = status_from_err(&e, NULL, NULL, NULL);
}

/* object is in the request's version; taken. */
static void take_object(struct turn *t, struct json_doc *object)
{
	struct admission *a = t->a;

	json_doc_free(a->object);
	a->object = object;
	a->changed = true;
	for (size_t i = 0; i < a->n; i++)
		if (&a->turns[i] != t)
			a->turns[i].changed_after |= a->turns[i].called;
}

static void turn_over(struct turn *t);
static void patch_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct turn *t = arg;

	t->convert = NULL;
	if (e)
		failed_hard(t, e->msg);
	else
		take_object(t, obj_draft(objs[0]));
	turn_over(t);
}

/* Between versions that one shape is stored for. */
static void localize(struct resource *from, struct resource *to, struct json_doc *d)
{
	char av[KIND_API_VERSION_MAX];

	if (from->def->hooks.to_stored)
		from->def->hooks.to_stored(d, json_root(d));
	if (to->def->hooks.from_stored)
		to->def->hooks.from_stored(d, json_root(d));
	json_set_str(d, json_root(d), "apiVersion", kind_api_version(to->kind, av));
}

/* True: the turn is over when the conversion is. */
static bool take_patched(struct turn *t, struct json_doc *patched)
{
	struct admission *a = t->a;
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	const struct obj *one;
	char av[KIND_API_VERSION_MAX];

	if (!t->object) {
		take_object(t, patched);
		return false;
	}
	if (!convert_remote(a->res)) {
		localize(t->res, a->res, patched);
		take_object(t, patched);
		return false;
	}
	one = o = obj_from_doc(patched);
	t->convert = convert_start(a->adm->callouts, a->res, kind_api_version(a->res->kind, av), &one, 1,
		true, patch_converted, t);
	return true;
}

static bool same_type(const struct json *a, const struct json *b)
{
	return str_eq(json_get_str(a, "kind"), json_get_str(b, "kind")) &&
	       str_eq(json_get_str(a, "apiVersion"), json_get_str(b, "apiVersion"));
}

static bool apply_reply_patch(struct turn *t, const struct json *response)
{
	const char *text = json_get_str(response, "patch"), *type = json_get_str(response, "patchType");
	const struct json *object = object_of(t);
	CLEANUP(str_done) struct str raw = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *patch = NULL;
	CLEANUP(json_doc_freep) struct json_doc *patched = NULL;
	struct err e = { 0 };

	if (!t->a->mutating && (!str_empty(text) || type)) {
		failed(t, str_empty(text)
				  ? "received invalid webhook response: validating webhook may not return "
				    "response.patchType"
				  : "received invalid webhook response: validating webhook may not return "
				    "response.patch");
		return false;
	}
	if (str_empty(text) && !type)
		return false;
	if (str_empty(text) || (!type && str_eq(review_version(t->hook), "admission.k8s.io/v1"))) {
		failed(t, type ? "received invalid webhook response: webhook returned response.patchType but "
				 "not response.patch"
			       : "received invalid webhook response: webhook returned response.patch but not "
				 "response.patchType");
		return false;
	}
	if (type && !str_eq(type, "JSONPatch")) {
		failed(t, "received invalid webhook response: webhook returned invalid response.patchType");
		return false;
	}
	if (b64_decode(text, strlen(text), false, &raw, &e) < 0 ||
		!(patch = json_parse(str_cstr(&raw), raw.len, &e))) {
		failed_hard(t, e.msg);
		return false;
	}
	if (json_len(json_root(patch)) == 0)
		return false;
	if (!object) {
		CLEANUP(mem_freep)
		char *why = str_printf("admission webhook \"%s\" attempted to modify the object, which is "
				       "not supported for this operation",
			t->hook->name);

		failed_hard(t, why);
		return false;
	}
	if (patch_json(object, json_root(patch), &patched, &e) < 0) {
		failed_hard(t, e.msg);
		return false;
	}
	if (!same_type(object, json_root(patched))) {
		failed_hard(t, "a webhook may not make an object one of another kind");
		return false;
	}
	return !json_eq(json_root(patched), object) && take_patched(t, TAKE(patched));
}

/* Under the webhook's name, as the keys of several webhooks would meet otherwise. */
static void note_annotations(struct request *r, const struct hook *h, const struct json *notes)
{
	JSON_EACH (it, notes) {
		CLEANUP(mem_freep) char *key = str_printf("%s/%s", h->name, it.key);

		if (json_str(it.val))
			audit_annotate(request_audit(r), key, json_str(it.val));
	}
}

#define BAD_ANSWER_SHOWN 256
/* True: more has to be waited for. */
static bool read_reply(struct turn *t, const char *body, size_t len)
{
	struct err e = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(body, len, &e);
	const struct json *root = d ? json_root(d) : NULL, *r = json_get(root, "response");
	const char *av = json_get_str(root, "apiVersion"), *kind = json_get_str(root, "kind");

	if (!d) {
		CLEANUP(mem_freep)
		char *why =
			len ? str_printf("failed to call webhook: couldn't get version/kind; json parse "
					 "error: %s",
				      e.msg)
			    : str_printf("failed to call webhook: 0-length response with status code: 200");

		failed(t, why);
		return false;
	}
	if (!json_is_obj(r)) {
		failed(t, "received invalid webhook response: webhook response was absent");
		return false;
	}
	if (!str_eq(av, review_version(t->hook)) || !str_eq(kind, "AdmissionReview")) {
		CLEANUP(mem_freep)
		char *why = str_printf("received invalid webhook response: expected webhook response of %s, "
				       "Kind=AdmissionReview, got %.128s, Kind=%.64s",
			review_version(t->hook), av ? av : "/", kind ? kind : "");

		failed(t, why);
		return false;
	}
	if (!str_eq(json_get_str(r, "uid"), t->uid)) {
		CLEANUP(mem_freep)
		char *why = str_printf("received invalid webhook response: expected response.uid=\"%s\", got "
				       "\"%.64s\"",
			t->uid, json_str_or(json_get(r, "uid"), ""));

		failed(t, why);
		return false;
	}
	JSON_EACH (it, json_get(r, "warnings")) {
		if (json_str(it.val))
			strv_add(t->a->warnings, json_str(it.val));
	}
	if (t->a->client && *t->a->client)
		note_annotations(*t->a->client, t->hook, json_get(r, "auditAnnotations"));
	if (json_bool(json_get(r, "allowed")))
		return apply_reply_patch(t, r);
	refuse(t, json_get(r, "status"));
	return false;
}

static void next_turn(struct admission *a);
static void turn_over(struct turn *t)
{
	struct admission *a = t->a;

	backend_unref(t->backend);
	t->backend = NULL;
	if (a->mutating && !t->status)
		next_turn(a);
	else if (a->mutating || --a->left == 0)
		finish(a);
}

/* As Go's client names what was called. */
static void add_called(const struct hook *h, struct str *out)
{
	if (h->url)
		str_add(out, h->url);
	else
		str_addf(out, "https://%s.%s.svc:%d%s%s", h->service, h->service_ns, h->port,
			h->path && *h->path == '/' ? "" : "/", h->path ? h->path : "");
	str_addf(out, "?timeout=%ds", h->timeout_ms / 1000);
}

static char *unreached(const struct turn *t, const struct err *e)
{
	struct str s = { 0 };

	str_add(&s, "failed to call webhook: Post \"");
	add_called(t->hook, &s);
	str_add(&s, "\": ");
	if (e->code == ERR_TIMEOUT)
		str_add(&s, "context deadline exceeded");
	else if (e->code == ERR_UNAVAILABLE && t->hook->service && strstr(e->msg, "is not present"))
		str_addf(&s, "service \"%s\" not found", t->hook->service);
	else if (e->code == ERR_UNAVAILABLE && t->hook->service && strstr(e->msg, "endpoints"))
		str_addf(&s, "no endpoints available for service \"%s\"", t->hook->service);
	else if (e->code == ERR_UNAVAILABLE && t->hook->service && strstr(e->msg, "not listening"))
		str_addf(&s, "no service port %d found for service \"%s\"", t->hook->port, t->hook->service);
	else
		str_add(&s, e->msg);
	return str_take(&s);
}

static char *bad_answer(const struct http_response *r)
{
	const char *type = http_response_header(r, "Content-Type");
	size_t n = r->len < BAD_ANSWER_SHOWN ? r->len : BAD_ANSWER_SHOWN;
	CLEANUP(mem_freep) char *shown = NULL;

	switch (r->status) {
	case 400:
		return mem_strdup(
			"failed to call webhook: the server rejected our request for an unknown reason");
	case 401:
		return mem_strdup(
			"failed to call webhook: the server has asked for the client to provide credentials");
	case 404:
		return mem_strdup("failed to call webhook: the server could not find the requested resource");
	case 503:
		return mem_strdup(
			"failed to call webhook: the server is currently unable to handle the request");
	case 504:
		return mem_strdup(
			"failed to call webhook: the server was unable to return a response in the time "
			"allotted, but may still be processing the request");
	default:
		break;
	}
	/* only a text is shown */
	shown = str_empty(type) || str_starts(type, "text/") ? mem_strndup(r->body ? r->body : "", n)
							     : mem_strdup("unknown");
	return str_printf("failed to call webhook: an error on the server (\"%s\") has prevented the request "
			  "from succeeding",
		shown);
}

static void answered(void *arg, const struct http_response *r, const struct err *e)
{
	struct turn *t = arg;
	CLEANUP(mem_freep) char *why = NULL;

	t->call = NULL;
	if (e && e->code != ERR_NONE) {
		why = unreached(t, e);
		failed(t, why);
	} else if (r->status != 200) {
		why = bad_answer(r);
		failed(t, why);
	} else if (read_reply(t, r->body, r->len)) {
		return;
	}
	turn_over(t);
}

/* ---- calls ---- */
static int call(struct turn *t, struct err *e)
{
	static const struct http_header headers[] = { { "Content-Type", "application/json" },
		{ "Accept", "application/json" }, { "User-Agent", "kube-apiserver-admission" } };
	const struct hook *h = t->hook;
	const struct callout at = { .url = h->url,
		.service_ns = h->service_ns,
		.service = h->service,
		.path = h->path,
		.port = h->port,
		.ca_pem = h->ca_pem };
	CLEANUP(mem_freep) char *path = NULL;
	CLEANUP(json_doc_freep) struct json_doc *review = NULL;
	CLEANUP(str_done) struct str body = { 0 };
	struct http_call_spec spec = { .method = "POST",
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body_max = REVIEW_MAX,
		.timeout_ms = t->hook->timeout_ms,
		.done = answered,
		.arg = t };

	t->backend = callout_backend(t->a->adm->callouts, &at, h->timeout_ms / 1000, &path, e);
	if (!t->backend)
		return -1;
	review = review_of(t);
	json_write_to(json_root(review), &body);
	spec.path = path;
	spec.body = body.data;
	spec.len = body.len;
	t->call = http_client_call(t->backend->client, &spec);
	return 0;
}

static void turn_call(struct turn *t)
{
	CLEANUP(mem_freep) char *why = NULL;
	struct err e = { 0 };

	if (call(t, &e) == 0)
		return;
	why = unreached(t, &e);
	failed(t, why);
	turn_over(t);
}

static void turn_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct turn *t = arg;
	size_t i = 0;

	t->convert = NULL;
	if (e) {
		failed_hard(t, e->msg);
		turn_over(t);
		return;
	}
	if (t->a->object)
		t->object = obj_ref(objs[i++]);
	if (t->a->old)
		t->old = obj_ref(objs[i]);
	turn_call(t);
}

/* The objects in the version that the webhook asked for. */
static void turn_convert(struct turn *t)
{
	struct admission *a = t->a;
	CLEANUP(obj_unrefp) struct obj *now = NULL;
	struct json_doc *d;
	const struct obj *objs[2];
	char av[KIND_API_VERSION_MAX];
	size_t n = 0;

	if (!convert_remote(t->res)) {
		if (a->object) {
			d = json_doc_from(json_root(a->object));
			localize(a->res, t->res, d);
			t->object = obj_from_doc(d);
		}
		if (a->old) {
			d = obj_draft(a->old);
			localize(a->res, t->res, d);
			t->old = obj_from_doc(d);
		}
		turn_call(t);
		return;
	}
	if (a->object)
		objs[n++] = now = obj_from_doc(json_doc_from(json_root(a->object)));
	if (a->old)
		objs[n++] = a->old;
	t->convert = convert_start(a->adm->callouts, t->res, kind_api_version(t->res->kind, av), objs, n,
		true, turn_converted, t);
}

/* Eviction, Scale and the like have a version of their own. */
static bool body_is_resource(const struct admission *a)
{
	const struct subresource *sub = str_empty(a->sub) ? NULL : resource_sub(a->res, a->sub);

	return !sub || !sub->kind;
}

/* Do the webhook's match conditions hold? If that can not be said, its failure policy does. */
static bool conditions_hold(struct turn *t)
{
	const struct admission *a = t->a;
	struct admission_in in = in_of(a);
	struct request_values v;
	struct err e = { 0 };
	int holds;

	if (!t->hook->conditions)
		return true;
	request_values_init(&v, a->adm, &in, t->res);
	holds = match_conditions_ask(t->hook->conditions, &v, &e);
	request_values_done(&v);
	if (holds < 0 && !t->hook->ignore_failure) {
		CLEANUP(mem_freep) char *why = mem_strdup(e.msg);

		err_set(&e, ERR_FORBIDDEN, "%s%s%s \"%s\" is forbidden: %s", a->res->kind->plural,
			str_empty(a->res->kind->group) ? "" : ".", a->res->kind->group, a->name, why);
		t->status = status_from_err(&e, a->res->kind, a->name, NULL);
	}
	return holds > 0;
}

static void turn_start(struct turn *t)
{
	struct err e = { 0 };

	if (!conditions_hold(t)) {
		turn_over(t);
		return;
	}

	t->called = true;
	t->changed_after = false;
	obj_unref(t->object);
	obj_unref(t->old);
	t->object = t->old = NULL;
	if (t->a->dry_run && !t->hook->dry_run_ok) {
		err_set(&e, ERR_BAD_REQUEST, "admission webhook \"%s\" does not support dry run",
			t->hook->name);
		t->status = status_from_err(&e, NULL, NULL, NULL);
		turn_over(t);
		return;
	}
	if (t->res != t->a->res && body_is_resource(t->a))
		turn_convert(t);
	else
		turn_call(t);
}

/* ---- order ---- */
static struct resource *wanted_as(const struct admission *a, const struct hook *h)
{
	struct hook_subject subject = { .adm = a->adm,
		.res = a->res,
		.sub = a->sub,
		.operation = a->operation,
		.ns = a->ns,
		.object = a->object ? json_root(a->object) : NULL,
		.old = a->old ? obj_json(a->old) : NULL };

	return hook_matches(h, &subject);
}

/* Mutating: in order, each seeing what those before made of the object; then, once, those that asked to be called again
 * because somebody after them changed it. */
static void next_turn(struct admission *a)
{
	while (a->at < a->n || !a->reinvoking) {
		struct turn *t;
		struct resource *as;

		if (a->at == a->n) {
			a->reinvoking = true;
			a->at = 0;
			continue;
		}
		t = &a->turns[a->at++];
		if (a->reinvoking && !(t->hook->reinvoke && t->called && t->changed_after))
			continue;
		as = wanted_as(a, t->hook);
		if (!as)
			continue;
		resource_unref(t->res);
		t->res = resource_ref(as);
		turn_start(t);
		return;
	}
	finish(a);
}

static void all_turns(struct admission *a)
{
	a->left = a->n + 1; /* one for ourselves: nothing ends while we are starting */
	for (size_t i = 0; i < a->n; i++)
		turn_start(&a->turns[i]);
	if (--a->left == 0)
		finish(a);
}

static void begin(void *arg)
{
	struct admission *a = arg;

	if (a->mutating)
		next_turn(a);
	else
		all_turns(a);
}

/* ---- starting ---- */
static bool exempt(const struct admission_in *in)
{
	return str_eq(in->res->kind->group, "admissionregistration.k8s.io");
}

static struct admission *admission_new(
	struct admitter *adm, bool mutating, const struct admission_in *in, struct strv *warnings)
{
	struct admission *a = MEM_NEW(struct admission);

	a->adm = adm;
	a->mutating = mutating;
	a->res = resource_ref(in->res);
	a->sub = mem_strdup(in->sub);
	a->operation = mem_strdup(in->operation);
	a->ns = mem_strdup(in->ns);
	a->name = mem_strdup(in->name);
	a->options_kind = in->options_kind ? mem_strdup(in->options_kind) : NULL;
	user_copy(&a->user, in->user);
	a->dry_run = in->dry_run;
	a->old = in->old ? obj_ref(in->old) : NULL;
	a->object = in->object ? json_doc_from(in->object) : NULL;
	a->options = in->options ? json_doc_from(in->options) : NULL;
	a->warnings = warnings;
	a->client = in->client;
	return a;
}

/* Is anybody interested? Mutating hooks may become so by what others do to the object, so all are kept then. */
static bool anybody(struct hook **hooks, size_t n, struct admitter *adm, const struct admission_in *in)
{
	struct hook_subject subject = { .adm = adm,
		.res = in->res,
		.sub = in->sub,
		.operation = in->operation,
		.ns = in->ns,
		.object = in->object,
		.old = in->old ? obj_json(in->old) : NULL };

	for (size_t i = 0; i < n; i++)
		if (hook_matches(hooks[i], &subject))
			return true;
	return false;
}

struct admission *admission_start(struct admitter *adm, bool mutating, const struct admission_in *in,
	struct strv *warnings, admission_fn *fn, void *arg)
{
	size_t n;
	struct hook **hooks = webhooks_list(adm, mutating, &n);
	struct admission *a;

	if (n == 0 || exempt(in) || !anybody(hooks, n, adm, in))
		return NULL;
	a = admission_new(adm, mutating, in, warnings);
	a->fn = fn;
	a->arg = arg;
	a->turns = mem_zalloc(n * sizeof(*a->turns));
	for (size_t i = 0; i < n; i++) {
		struct resource *as = mutating ? NULL : wanted_as(a, hooks[i]);

		if (!mutating && !as)
			continue;
		hooks[i]->refs++;
		a->turns[a->n] =
			(struct turn){ .a = a, .hook = hooks[i], .res = as ? resource_ref(as) : NULL };
		a->n++;
	}
	a->later = loop_timer_new(adm->objects->loop, begin, a);
	loop_timer_set(a->later, 0);
	return a;
}
