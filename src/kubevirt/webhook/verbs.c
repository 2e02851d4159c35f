/* SPDX-License-Identifier: Apache-2.0 */
/* Subresources that are one request and one answer: fetch VM and VMI, let kubevirt/webhook/lifecycle.h decide, carry the steps
 * out in order, ask virt-handler if need be, answer. */
#include <string.h>

#include "api/fields.h"
#include "api/meta.h"
#include "api/schema.h"
#include "api/status.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "kubevirt/api/handler_api.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server_impl.h"

#define HANDLER_TIMEOUT_MS 15000
#define TRIES_MAX 15 /* as KubeVirt's virtctl */

static void call_free(void *arg)
{
	struct call *c = arg;

	kube_call_cancel(c->kube);
	if (c->handler_call)
		http_call_cancel(c->handler_call);
	http_client_free(c->handler);
	json_doc_free(c->body);
	obj_unref(c->vm);
	obj_unref(c->vmi);
	fetch_done(&c->fetch);
	lifecycle_done(&c->out);
	free(c->handler_ip);
	free(c->version);
	free(c->ns);
	free(c->resource);
	free(c->name);
	free(c->sub);
	free(c->rest);
	free(c);
}

void call_fail(struct call *c, const struct err *e)
{
	reply_err(c->req, e);
}

/* ---- answering ---- */

static void finish(struct call *c)
{
	if (c->out.reply)
		reply_json(c->req, c->out.status, c->out.reply);
	else
		http_req_reply(c->req, c->out.status, NULL, NULL, 0);
}

static void handler_answered(void *arg, const struct http_response *r, const struct err *e)
{
	struct call *c = arg;
	struct err mine;

	c->handler_call = NULL;
	if (e) {
		err_copy(&mine, e);
		err_wrap(&mine, "virt-handler at %s", c->handler_ip);
		call_fail(c, &mine);
	} else if (r->status >= 300) {
		http_req_reply(c->req, r->status, http_response_header(r, "Content-Type"), r->body, r->len);
	} else {
		finish(c);
	}
}

static void ask_handler(struct call *c)
{
	CLEANUP(mem_freep) char *path = str_printf(HANDLER_PATH_FMT, c->ns, c->name, c->out.handler_verb);
	const struct http_call_spec spec = { .method = "PUT",
		.path = path,
		.timeout_ms = HANDLER_TIMEOUT_MS,
		.done = handler_answered,
		.arg = c };
	c->handler_call = http_client_call(c->handler, &spec);
}

/* ---- steps ---- */

static void next_step(struct call *c);
static void look(struct call *c);

static void step_done(void *arg, int status, const void *body, size_t len, const struct err *e)
{
	struct call *c = arg;
	const struct lifecycle_step *s = &c->out.steps[c->step];
	struct err mine;

	c->kube = NULL;
	if (e) {
		call_fail(c, e);
		return;
	}
	if (status < 300) {
		c->step++;
		next_step(c);
		return;
	}
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(body, len, NULL);
	status_to_err(d ? json_root(d) : NULL, status, &mine);
	if (mine.code == ERR_NOT_FOUND) {
		call_fail(c, &mine);
		return;
	}
	if (c->out.again && !s->create && strstr(mine.msg, "rejected our request") &&
		++c->tries < TRIES_MAX) {
		lifecycle_done(&c->out);
		c->step = 0;
		obj_unref(TAKE(c->vm));
		obj_unref(TAKE(c->vmi));
		look(c);
		return;
	}
	/* A test operation that failed: somebody was faster. A create that was refused surfaces as 500 (kubevirt-api.md 2.1). */
	if (!s->create && (mine.code == ERR_INVALID || mine.code == ERR_CONFLICT) &&
		strstr(mine.msg, "rejected our request"))
		err_set(&mine, ERR_CONFLICT,
			"Operation cannot be fulfilled on %s.kubevirt.io \"%s\": the object has been "
			"modified; "
			"please try again",
			s->kind->singular, c->name);
	else if (mine.code != ERR_FORBIDDEN)
		mine.code = ERR_INTERNAL;
	call_fail(c, &mine);
}

static void next_step(struct call *c)
{
	CLEANUP(str_done) struct str path = { 0 };
	size_t len;

	if (c->step == c->out.n_steps) {
		if (c->out.handler_verb && !c->out.dry_run)
			handler_find(c, json_at_str(obj_json(c->vmi), "/status/nodeName"), ask_handler);
		else
			finish(c);
		return;
	}
	const struct lifecycle_step *s = &c->out.steps[c->step];
	kind_path(s->kind, c->ns, s->create ? NULL : c->name, s->sub, &path);
	if (c->out.dry_run)
		str_add(&path, "?dryRun=All");
	CLEANUP(mem_freep) char *body = json_write(json_root(s->ops), &len);
	c->kube = kube_raw(c->api->spec.client, s->create ? "POST" : "PATCH", path.data,
		s->create ? "application/json" : "application/json-patch+json", body, len, step_done, c);
}

static void decide(struct call *c);
static void expand(struct call *c);

static void fetched(void *arg, const struct err *e)
{
	struct call *c = arg;

	if (e)
		call_fail(c, e);
	else if (c->verb)
		decide(c);
	else
		expand(c);
}

static void decide(struct call *c)
{
	struct lifecycle_in in = { .ns = c->ns,
		.name = c->name,
		.vm = c->vm ? obj_json(c->vm) : NULL,
		.vmi = c->vmi ? obj_json(c->vmi) : NULL,
		.body = c->body ? json_root(c->body) : NULL,
		.config = &c->api->config,
		.lookup = &c->fetch.lookup };
	struct err e;
	int rc = lifecycle_run(c->verb, &in, &c->out, &e);

	if (fetch_pending(&c->fetch))
		lifecycle_done(&c->out);
	else if (rc < 0)
		call_fail(c, &e);
	else
		next_step(c);
}

/* ---- looking ---- */

static void got_vmi(void *arg, const struct obj *o, const struct err *e)
{
	struct call *c = arg;

	c->kube = NULL;
	if (e && e->code != ERR_NOT_FOUND) {
		call_fail(c, e);
		return;
	}
	c->vmi = o ? obj_ref(o) : NULL;
	c->then(c);
}

void call_get_vmi(struct call *c, void (*then)(struct call *c))
{
	c->then = then;
	c->kube = kube_get(c->api->spec.client, &kind_vmi, c->ns, c->name, got_vmi, c);
}

static void after_vm(struct call *c)
{
	if (c->verb->wants_vmi)
		call_get_vmi(c, decide);
	else
		decide(c);
}

static void got_vm(void *arg, const struct obj *o, const struct err *e)
{
	struct call *c = arg;

	c->kube = NULL;
	if (e) {
		call_fail(c, e);
		return;
	}
	c->vm = obj_ref(o);
	after_vm(c);
}

static void look(struct call *c)
{
	if (c->verb->wants_vm)
		c->kube = kube_get(c->api->spec.client, &kind_vm, c->ns, c->name, got_vm, c);
	else
		after_vm(c);
}

/* Nobody has looked at this object yet: it is not on its way into the API server. */
static void check_schema(const struct json *o, struct causes *causes)
{
	CLEANUP(json_doc_freep) struct json_doc *text = fields_kind_schema(kind_vm.fields);
	struct schema *s = NULL;
	struct causes none = { 0 };

	MUST(schema_compile(json_root(text), "", &s, &none, NULL) == 0);
	schema_validate(s, o, NULL, causes);
	schema_free(s);
}

/* Answers, if it is not a VM of this namespace. */
static bool is_vm(struct call *c, const struct json *o)
{
	static const char not_valid[] = "Object is not a valid VirtualMachine";
	const char *ns = meta_str(o, "namespace");
	struct causes causes = { 0 };
	struct err e = { 0 };

	if (json_is_obj(o))
		check_schema(o, &causes);
	if (causes.len || !str_eq(json_get_str(o, "kind"), kind_vm.kind) ||
		!json_is_obj(json_at(o, "/spec/template/spec")) ||
		!(json_is_null(json_get(o, "metadata")) || json_is_obj(json_get(o, "metadata"))))
		err_set(&e, ERR_BAD_REQUEST, "%s", not_valid);
	else if (*ns && !str_eq(ns, c->ns))
		err_set(&e, ERR_BAD_REQUEST, "VM namespace must be empty or %s", c->ns);
	if (e.code) {
		CLEANUP(json_doc_freep) struct json_doc *d = status_from_err(&e, NULL, NULL, &causes);
		reply_json(c->req, 400, json_root(d));
	}
	causes_done(&causes);
	return !e.code;
}

/* expand-vm-spec: the object comes in the body. */
static void expand(struct call *c)
{
	struct json *o = c->body ? json_root(c->body) : NULL;
	struct lifecycle_in in = {
		.ns = c->ns, .vm = o, .config = &c->api->config, .lookup = &c->fetch.lookup
	};
	struct err e;

	if (!is_vm(c, o))
		return;
	json_put_str(c->body, o, "/metadata/namespace", c->ns);
	int rc = lifecycle_expand(&in, &c->out, &e);
	if (fetch_pending(&c->fetch)) {
		lifecycle_done(&c->out);
	} else if (rc < 0) {
		e.code = ERR_BAD_REQUEST;
		call_fail(c, &e);
	} else {
		finish(c);
	}
}

/* ---- the way in ---- */

/* VERSION/namespaces/NS/RESOURCE/NAME/SUB[/REST], or VERSION/namespaces/NS/expand-vm-spec */
static bool split_path(struct call *c, const char *path)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(path + strlen(SUBRESOURCES_PREFIX));
	char *rest = copy;
	const char *part[6];
	size_t n = 0;

	while (rest && n < 6)
		part[n++] = str_next(&rest, '/');
	if (n < 4 || (!str_eq(part[0], "v1") && !str_eq(part[0], "v1alpha3")) ||
		!str_eq(part[1], "namespaces"))
		return false;
	c->version = mem_strdup(part[0]);
	c->ns = mem_strdup(part[2]);
	if (n == 4 && str_eq(part[3], "expand-vm-spec")) {
		c->resource = mem_strdup(part[3]);
		return true;
	}
	if (n != 6)
		return false;
	c->resource = mem_strdup(part[3]);
	c->name = mem_strdup(part[4]);
	c->sub = mem_strdup(part[5]);
	c->rest = rest ? mem_strdup(rest) : NULL;
	return !str_empty(c->name) && !str_empty(c->ns);
}

static int read_body(struct call *c, struct err *e)
{
	size_t len;
	const char *body = http_req_body(c->req, &len);

	if (!len)
		return 0;
	c->body = yaml_parse(body, len, e); /* JSON is a subset */
	if (!c->body)
		return -1;
	if (json_root(c->body) && !json_is_obj(json_root(c->body)) && !json_is_null(json_root(c->body)))
		return err_set(e, ERR_BAD_REQUEST, "the body must be an object");
	return 0;
}

static bool serve_stream(struct call *c, const char *method)
{
	bool vmi = str_eq(c->resource, kind_vmi.plural);

	if (!c->sub || !str_eq(method, "GET"))
		return false;
	if (vmi && str_eq(c->sub, "console") && !c->rest)
		access_check(c, "get", console_serve);
	else if ((vmi || str_eq(c->resource, kind_vm.plural)) && str_eq(c->sub, "portforward") && c->rest)
		access_check(c, "get", portforward_serve);
	else
		return false;
	return true;
}

void verbs_serve(struct virt_api *a, struct http_req *r)
{
	struct call *c = MEM_NEW(struct call);
	const char *method = http_req_method(r);
	struct err e;

	a->subresource_requests++;
	c->api = a;
	c->req = r;
	fetch_init(&c->fetch, a, fetched, c);
	http_req_set_ctx(r, c, call_free);
	if (!split_path(c, http_req_path(r))) {
		err_set(&e, ERR_NOT_FOUND, "the server could not find the requested resource");
		call_fail(c, &e);
		return;
	}
	if (serve_stream(c, method))
		return;
	if (read_body(c, &e) < 0) {
		call_fail(c, &e);
		return;
	}
	if (str_eq(c->resource, "expand-vm-spec") && str_eq(method, "PUT")) {
		access_check(c, "update", expand);
		return;
	}
	if (c->sub && !c->rest)
		c->verb = lifecycle_find(c->resource, c->sub, method);
	if (!c->verb) {
		bool other = c->sub && !c->rest && lifecycle_find(c->resource, c->sub, NULL);
		err_set(&e, other ? ERR_METHOD_NOT_ALLOWED : ERR_NOT_FOUND,
			other ? "the server does not allow this method on the requested resource"
			      : "the server could not find the requested resource");
		call_fail(c, &e);
		return;
	}
	access_check(c, str_eq(method, "GET") ? "get" : "update", look);
}
