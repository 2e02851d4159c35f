/* SPDX-License-Identifier: Apache-2.0 */
/* Calling webhooks: mutating ones one after the other, validating ones at once (kubernetes-api.md 5.1). */
#include "platform/apiserver/admission.h"

#include "platform/apiserver/auth.h"
#include "platform/apiserver/backend.h"
#include "platform/apiserver/webhook.h"

#include "api/patch.h"
#include "base/mem.h"

#include <string.h>

#define REVIEW_MAX (8 * 1024 * 1024)

/* One webhook's turn in one admission. */
struct turn {
	struct admission *a;
	struct hook *hook;
	struct resource *res; /* the version it gets; referenced */
	struct backend *backend;
	struct http_call *call;
	char uid[37];
	bool called, changed_after; /* mutating: ran; somebody later changed the object */
	struct json_doc *status;    /* refused or failed */
};
struct admission {
	struct apiserver *s;
	bool mutating, reinvoking;
	struct resource *res;
	char *sub, *operation, *ns, *name, *options_kind;
	struct user user;
	bool dry_run, changed;
	struct obj *old; /* in the version of res */
	struct json_doc *object, *options;
	struct strv *warnings;
	struct turn *turns;
	size_t n, at, left;
	admission_fn *fn;
	void *arg;
	struct loop_timer *later; /* a result without any call */
};

static void turn_done(struct turn *t)
{
	http_call_cancel(t->call);
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
static void set_gvk(struct json_doc *d, struct json *r, const char *key, const struct kind *k,
	const char *last, const char *value)
{
	struct json *o = json_need_obj(d, r, key);

	json_set_str(d, o, "group", k->group);
	json_set_str(d, o, "version", k->version);
	json_set_str(d, o, last, value);
}

/* pods/eviction carries an Eviction, /scale a Scale. */
static struct kind body_kind(const struct resource *res, const char *sub)
{
	const struct subresource *s = str_empty(sub) ? NULL : resource_sub(res, sub);
	struct kind k = *res->kind;

	if (s && s->kind) {
		k.kind = s->kind;
		k.group = s->group ? s->group : k.group;
		k.version = s->version ? s->version : k.version;
	}
	return k;
}

static void set_object(
	struct json_doc *d, struct json *r, const char *key, const struct turn *t, const struct json *o)
{
	char av[KIND_API_VERSION_MAX];

	if (!o) {
		json_set(d, r, key, json_new_null(d));
		return;
	}
	json_set_copy(d, r, key, o);
	if (t->res != t->a->res)
		json_set_str(d, json_get(r, key), "apiVersion", kind_api_version(t->res->kind, av));
}

static void set_options(struct json_doc *d, struct json *r, const struct admission *a)
{
	struct json *o;

	json_set_copy(d, r, "options", a->options ? json_root(a->options) : NULL);
	if (!a->options)
		json_set(d, r, "options", json_new_obj(d));
	o = json_get(r, "options");
	json_set_str(d, o, "kind", a->options_kind);
	json_set_str(d, o, "apiVersion", "meta.k8s.io/v1");
}

static struct json_doc *review_of(struct turn *t)
{
	const struct admission *a = t->a;
	struct json_doc *d =
		json_lit("{'kind':'AdmissionReview','apiVersion':'admission.k8s.io/v1','request':{}}");
	struct json *r = json_get(json_root(d), "request");
	struct kind sent = body_kind(t->res, a->sub), asked = body_kind(a->res, a->sub);

	crypto_uuid(t->uid);
	json_set_str(d, r, "uid", t->uid);
	set_gvk(d, r, "kind", &sent, "kind", sent.kind);
	set_gvk(d, r, "resource", t->res->kind, "resource", t->res->kind->plural);
	set_gvk(d, r, "requestKind", &asked, "kind", asked.kind);
	set_gvk(d, r, "requestResource", a->res->kind, "resource", a->res->kind->plural);
	if (!str_empty(a->sub)) {
		json_set_str(d, r, "subResource", a->sub);
		json_set_str(d, r, "requestSubResource", a->sub);
	}
	if (!str_empty(a->name))
		json_set_str(d, r, "name", a->name);
	if (!str_empty(a->ns))
		json_set_str(d, r, "namespace", a->ns);
	json_set_str(d, r, "operation", a->operation);
	user_to_json(d, json_need_obj(d, r, "userInfo"), &a->user);
	set_object(d, r, "object", t, a->object ? json_root(a->object) : NULL);
	set_object(d, r, "oldObject", t, a->old ? obj_json(a->old) : NULL);
	json_set_bool(d, r, "dryRun", a->dry_run);
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

static void apply_reply_patch(struct turn *t, const struct json *response)
{
	struct admission *a = t->a;
	const char *text = json_get_str(response, "patch");
	CLEANUP(str_done) struct str raw = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *patch = NULL;
	struct json_doc *patched = NULL;
	struct err e = { 0 };

	if (str_empty(text) || !a->mutating || !a->object)
		return;
	if (!str_eq(json_get_str(response, "patchType"), "JSONPatch")) {
		failed(t, "the patch in the response is no JSONPatch");
		return;
	}
	if (b64_decode(text, strlen(text), false, &raw, &e) < 0 ||
		!(patch = json_parse(str_cstr(&raw), raw.len, &e)) ||
		patch_json(json_root(a->object), json_root(patch), &patched, &e) < 0) {
		failed(t, e.msg);
		return;
	}
	if (json_eq(json_root(patched), json_root(a->object))) {
		json_doc_free(patched);
		return;
	}
	json_doc_free(a->object);
	a->object = patched;
	a->changed = true;
	for (size_t i = 0; i < a->n; i++)
		if (&a->turns[i] != t)
			a->turns[i].changed_after |= a->turns[i].called;
}

static void read_reply(struct turn *t, const char *body, size_t len)
{
	struct err e = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(body, len, &e);
	const struct json *r = d ? json_get(json_root(d), "response") : NULL;

	if (!d || !json_is_obj(r)) {
		failed(t, d ? "webhook response has no response" : e.msg);
		return;
	}
	if (!str_eq(json_get_str(r, "uid"), t->uid)) {
		failed(t, "expected response.uid to be the one of the request");
		return;
	}
	JSON_EACH (it, json_get(r, "warnings")) {
		if (json_str(it.val))
			strv_add(t->a->warnings, json_str(it.val));
	}
	if (!json_bool(json_get(r, "allowed")))
		refuse(t, json_get(r, "status"));
	else
		apply_reply_patch(t, r);
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

static void answered(void *arg, const struct http_response *r, const struct err *e)
{
	struct turn *t = arg;
	CLEANUP(mem_freep) char *why = NULL;

	t->call = NULL;
	if (e && e->code != ERR_NONE) {
		why = str_printf("failed to call webhook: %s", e->msg);
		failed(t, why);
	} else if (r->status != 200) {
		why = str_printf("failed to call webhook: the server answered %d", r->status);
		failed(t, why);
	} else {
		read_reply(t, r->body, r->len);
	}
	turn_over(t);
}

/* ---- calls ---- */
struct target {
	struct url url;
	char *path;
	struct backend_spec spec;
	char *host, *server_name;
};

static void target_done(struct target *g)
{
	url_done(&g->url);
	free(g->path);
	free(g->host);
	free(g->server_name);
}

static int find_target(struct turn *t, struct target *g, struct err *e)
{
	const struct hook *h = t->hook;
	const char *path;

	g->spec.ca_pem = h->ca_pem;
	if (h->url) {
		if (url_parse(h->url, &g->url, e) < 0)
			return -1;
		g->spec.host = g->url.host;
		g->spec.port = g->url.port;
		path = g->url.path;
	} else {
		if (service_resolve(t->a->s, h->service_ns ? h->service_ns : "", h->service ? h->service : "",
			    h->port, &g->host, &g->spec.port, NULL, e) < 0)
			return -1;
		g->server_name = str_printf("%s.%s.svc", h->service, h->service_ns);
		g->spec.host = g->host;
		g->spec.server_name = g->server_name;
		path = h->path ? h->path : "/";
	}
	g->path = str_printf("%s%s%stimeout=%ds", *path == '/' ? "" : "/", path,
		strchr(path, '?') ? "&" : "?", h->timeout_ms / 1000);
	return 0;
}

static int call(struct turn *t, struct err *e)
{
	static const struct http_header headers[] = { { "Content-Type", "application/json" },
		{ "Accept", "application/json" }, { "User-Agent", "kube-apiserver-admission" } };
	CLEANUP(target_done) struct target g = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *review = NULL;
	CLEANUP(str_done) struct str body = { 0 };
	struct http_call_spec spec = { .method = "POST",
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body_max = REVIEW_MAX,
		.timeout_ms = t->hook->timeout_ms,
		.done = answered,
		.arg = t };

	if (find_target(t, &g, e) < 0 || !(t->backend = backend_get(t->a->s, &g.spec, e)))
		return -1;
	review = review_of(t);
	json_write_to(json_root(review), &body);
	spec.path = g.path;
	spec.body = body.data;
	spec.len = body.len;
	t->call = http_client_call(t->backend->client, &spec);
	return 0;
}

static void turn_start(struct turn *t)
{
	CLEANUP(mem_freep) char *why = NULL;
	struct err e = { 0 };

	t->called = true;
	t->changed_after = false;
	if (t->a->dry_run && !t->hook->dry_run_ok) {
		err_set(&e, ERR_BAD_REQUEST, "admission webhook \"%s\" does not support dry run",
			t->hook->name);
		t->status = status_from_err(&e, NULL, NULL, NULL);
		turn_over(t);
		return;
	}
	if (call(t, &e) == 0)
		return;
	why = str_printf("failed to call webhook: %s", e.msg);
	failed(t, why);
	turn_over(t);
}

/* ---- order ---- */
static struct resource *wanted_as(const struct admission *a, const struct hook *h)
{
	struct hook_subject subject = { .s = a->s,
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
	return str_eq(in->res->kind->group, "admissionregistration.k8s.io") &&
	       strstr(in->res->kind->plural, "webhook");
}

static struct admission *admission_new(
	struct apiserver *s, bool mutating, const struct admission_in *in, struct strv *warnings)
{
	struct admission *a = MEM_NEW(struct admission);

	a->s = s;
	a->mutating = mutating;
	a->res = resource_ref(in->res);
	a->sub = mem_strdup(in->sub);
	a->operation = mem_strdup(in->operation);
	a->ns = mem_strdup(in->ns);
	a->name = mem_strdup(in->name);
	a->options_kind = mem_strdup(in->options_kind);
	user_copy(&a->user, in->user);
	a->dry_run = in->dry_run;
	a->old = in->old ? object_present(in->res, in->old) : NULL;
	a->object = in->object ? json_doc_from(in->object) : NULL;
	a->options = in->options ? json_doc_from(in->options) : NULL;
	a->warnings = warnings;
	return a;
}

/* Is anybody interested? Mutating hooks may become so by what others do to the object, so all are kept then. */
static bool anybody(struct hook **hooks, size_t n, const struct apiserver *s, const struct admission_in *in)
{
	struct hook_subject subject = { .s = (struct apiserver *)s,
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

struct admission *admission_start(struct apiserver *s, bool mutating, const struct admission_in *in,
	struct strv *warnings, admission_fn *fn, void *arg)
{
	size_t n;
	struct hook **hooks = webhooks_list(s, mutating, &n);
	struct admission *a;

	if (n == 0 || exempt(in) || !anybody(hooks, n, s, in))
		return NULL;
	a = admission_new(s, mutating, in, warnings);
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
	a->later = loop_timer_new(s->loop, begin, a);
	loop_timer_set(a->later, 0);
	return a;
}
