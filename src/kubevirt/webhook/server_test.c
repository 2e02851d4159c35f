/* SPDX-License-Identifier: Apache-2.0 */
/* virt-api as its clients meet it: true TLS on loopback, the fake API server behind it, a stand-in for virt-handler that
 * echoes the console. kubevirt-api.md 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "base/ws.h"
#include "kube/fake_api.h"
#include "kubevirt/api/handler_api.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/webhook/server.h"

#define PATIENCE_MS 20000
#define NS "/apis/subresources.kubevirt.io/v1/namespaces/default/"

/* ---- a transport that answers what the fake does not know: /version and access reviews ---- */

struct answered {
	struct world *w;
	struct kube_request r;
	struct loop_timer *timer;
	void *inner;
	int status;
	char *body;
	struct answered *next; /* those passed on are freed at the end */
};

struct world {
	struct answered *passed_on;
	struct loop *loop;
	struct fake_api *api;
	struct kube_transport inner;
	struct kube_client *client;
	struct virt_api *virt_api;
	struct key_pair ca, proxy_ca;
	struct http_server *handler;
	struct tls_ctx *as_proxy, *as_nobody;
	int port, handler_port;
	char *handler_asked; /* last path asked of the handler */
	/* result of the last request */
	bool done;
	int status;
	struct str body;
	struct http_stream *stream;
};

static void answer(void *arg)
{
	struct answered *x = arg;
	struct kube_request r = x->r;
	int status = x->status;
	CLEANUP(mem_freep) char *body = TAKE(x->body);
	loop_timer_free(x->timer);
	free(x);
	r.done(r.arg, status, body, strlen(body), NULL);
}

static void *transport_call(void *self, const struct kube_request *r)
{
	struct answered *x = MEM_NEW(struct answered);
	x->w = self;
	x->r = *r;
	if (str_eq(r->path, "/version")) {
		x->status = 200;
		x->body = mem_strdup("{\"gitVersion\":\"v1.30.0\"}");
	} else if (str_starts(r->path, "/apis/authorization.k8s.io/v1/subjectaccessreviews")) {
		struct err e;
		CLEANUP(json_doc_freep) struct json_doc *d = json_parse(r->body, r->len, &e);
		bool ok = str_eq(json_at_str(json_root(d), "/spec/user"), "kate") &&
			  str_eq(json_at_str(json_root(d), "/spec/resourceAttributes/group"),
				  "subresources.kubevirt.io");
		x->status = 201;
		json_put(d, json_root(d), "/status/allowed", json_new_bool(d, ok));
		json_put_str(d, json_root(d), "/metadata/name", "review");
		x->body = json_write(json_root(d), NULL);
	} else {
		x->inner = x->w->inner.call(x->w->inner.self, r);
		x->next = x->w->passed_on;
		x->w->passed_on = x;
		return x;
	}
	x->timer = loop_timer_new(x->w->loop, answer, x);
	loop_timer_set(x->timer, 0);
	return x;
}

static void transport_cancel(void *self, void *handle)
{
	struct answered *x = handle;
	if (x->inner) {
		x->w->inner.cancel(x->w->inner.self, x->inner);
		return;
	}
	loop_timer_free(x->timer);
	free(x->body);
	free(x);
}

static void transport_free(void *self)
{
	struct world *w = self;
	if (w->inner.free)
		w->inner.free(w->inner.self);
}

/* ---- virt-handler ---- */

struct echo {
	struct http_stream *s;
};
static void echo_data(void *arg, const void *data, size_t len)
{
	struct echo *x = arg;
	http_stream_write(x->s, data, len);
}
static void echo_closed(void *arg, const struct err *e)
{
	free(arg);
}

static void handler_serve(void *arg, struct http_req *r)
{
	static const struct http_stream_ops ops = { .data = echo_data, .closed = echo_closed };
	struct world *w = arg;
	const struct strv *orgs;
	const char *cn;

	free(w->handler_asked);
	w->handler_asked = str_printf("%s %s", http_req_method(r), http_req_path(r));
	if (!http_req_client_cert(r, &cn, &orgs) || !str_eq(cn, KV_CN_HANDLER_CLIENT)) {
		http_req_reply(r, 401, NULL, NULL, 0);
	} else if (str_ends(http_req_path(r), "/console")) {
		struct echo *x = MEM_NEW(struct echo);
		x->s = http_req_upgrade(r, HANDLER_CONSOLE_PROTO);
		http_stream_start(x->s, &ops, x);
	} else {
		http_req_reply(r, 200, NULL, NULL, 0);
	}
}

/* ---- the world ---- */

static void make_cert(
	const struct key_pair *ca, const char *cn, const char *dns, bool server, struct key_pair *ret)
{
	const char *dns_names[] = { dns, NULL }, *ips[] = { "127.0.0.1", NULL };
	const struct cert_spec spec = { .common_name = cn,
		.dns_names = dns ? dns_names : NULL,
		.ip_addrs = server ? ips : NULL,
		.is_ca = !ca,
		.server = server,
		.client = ca && !server,
		.not_before_ms = 1600000000000,
		.not_after_ms = 4000000000000 };
	struct err e;
	if (cert_make(&spec, ca, ret, &e) < 0)
		fail_msg("%s", e.msg);
}

static void put_secret(struct world *w, const char *name, const struct key_pair *kp)
{
	CLEANUP(str_done) struct str cert = { 0 }, key = { 0 };
	struct json_doc *d =
		json_lit("{'apiVersion':'v1','kind':'Secret','metadata':{'namespace':'kubevirt'},'data':{}}");
	b64_encode(kp->cert_pem, strlen(kp->cert_pem), false, &cert);
	b64_encode(kp->key_pem, strlen(kp->key_pem), false, &key);
	json_put_str(d, json_root(d), "/metadata/name", name);
	json_put_str(d, json_root(d), "/data/tls.crt", cert.data);
	json_put_str(d, json_root(d), "/data/tls.key", key.data);
	fake_api_put(w->api, &kind_secret, d);
}

static void put(struct world *w, const struct kind *k, const char *text)
{
	fake_api_put(w->api, k, json_lit(text));
}

static void ready(void *arg, int port, const struct err *e)
{
	struct world *w = arg;
	if (e)
		fail_msg("%s", e->msg);
	w->port = port;
}

static void run_until(struct world *w, const bool *flag)
{
	int64_t end = loop_mono_ms(w->loop) + PATIENCE_MS;
	while (!*flag && loop_mono_ms(w->loop) < end)
		loop_step(w->loop, 50);
	assert_true(*flag);
}

static void start_handler(struct world *w, const struct key_pair *cert)
{
	struct err e;
	const struct tls_server_spec tls = {
		.cert_pem = cert->cert_pem, .key_pem = cert->key_pem, .client_ca_pem = w->ca.cert_pem
	};
	struct tls_ctx *ctx = tls_server_new(&tls, &e);
	assert_non_null(ctx);
	const struct http_server_spec spec = { .tls = ctx, .handler = handler_serve, .arg = w };
	w->handler = http_server_new(w->loop, &spec);
	assert_int_equal(http_server_listen(w->handler, NULL, 0, &w->handler_port, &e), 0);
	tls_unref(ctx);
}

static void put_trust(struct world *w)
{
	struct json_doc *ca =
		json_lit("{'metadata':{'name':'kubevirt-ca','namespace':'kubevirt'},'data':{}}");
	json_put_str(ca, json_root(ca), "/data/ca-bundle", w->ca.cert_pem);
	fake_api_put(w->api, &kind_configmap, ca);
	struct json_doc *auth = json_lit("{'metadata':{'name':'extension-apiserver-authentication','"
					 "namespace':'kube-system'},'data':{}}");
	json_put_str(auth, json_root(auth), "/data/requestheader-username-headers", "[\"X-Remote-User\"]");
	json_put_str(auth, json_root(auth), "/data/requestheader-group-headers", "[\"X-Remote-Group\"]");
	json_put_str(auth, json_root(auth), "/data/requestheader-allowed-names", "[\"front-proxy\"]");
	json_put_str(auth, json_root(auth), "/data/requestheader-client-ca-file", w->proxy_ca.cert_pem);
	fake_api_put(w->api, &kind_configmap, auth);
}

static struct tls_ctx *client_tls(struct world *w, const struct key_pair *kp)
{
	struct err e;
	const struct tls_client_spec spec = { .ca_pem = w->ca.cert_pem,
		.cert_pem = kp ? kp->cert_pem : NULL,
		.key_pem = kp ? kp->key_pem : NULL,
		.server_name = "virt-api.kubevirt.svc" };
	struct tls_ctx *t = tls_client_new(&spec, &e);
	if (!t)
		fail_msg("%s", e.msg);
	return t;
}

static int setup(void **state)
{
	static const struct kind *const kinds[] = { &kind_vm, &kind_vmi, &kind_vmim, &kind_kubevirt,
		&kind_secret, &kind_configmap, &kind_pod, &kind_pvc, &kind_clusterinstancetype };
	struct world *w = MEM_NEW(struct world);
	struct key_pair api = { 0 }, handler = { 0 }, handler_client = { 0 }, proxy = { 0 };

	w->loop = loop_new();
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fake_api_add_kind(w->api, kinds[i]);
	make_cert(NULL, "kubevirt.io", NULL, false, &w->ca);
	make_cert(NULL, "proxy-ca", NULL, false, &w->proxy_ca);
	make_cert(&w->ca, "virt-api", "virt-api.kubevirt.svc", true, &api);
	make_cert(&w->ca, KV_CN_HANDLER_SERVER, KV_CN_HANDLER_SERVER, true, &handler);
	make_cert(&w->ca, KV_CN_HANDLER_CLIENT, NULL, false, &handler_client);
	make_cert(&w->proxy_ca, "front-proxy", NULL, false, &proxy);
	put_secret(w, KV_SECRET_API, &api);
	put_secret(w, KV_SECRET_HANDLER, &handler_client);
	put_trust(w);
	put(w, &kind_kubevirt,
		"{'metadata':{'name':'kubevirt','namespace':'kubevirt'},'spec':{'configuration':{"
		"'vmRolloutStrategy':'LiveUpdate'}}}");
	put(w, &kind_pod,
		"{'metadata':{'name':'virt-handler-1','namespace':'kubevirt','labels':{'kubevirt.io':'virt-"
		"handler'}},"
		"'spec':{'nodeName':'node1'},'status':{'phase':'Running','podIP':'127.0.0.1'}}");
	w->inner = fake_api_transport(w->api, "virt-api");
	const struct kube_transport outer = { w, transport_call, transport_cancel, transport_free };
	w->client = kube_client_new_transport(w->loop, &outer);
	start_handler(w, &handler);
	w->as_proxy = client_tls(w, &proxy);
	w->as_nobody = client_tls(w, NULL);
	const struct virt_api_spec spec = { .loop = w->loop,
		.client = w->client,
		.install_ns = "kubevirt",
		.host = "127.0.0.1",
		.handler_port = w->handler_port,
		.ready = ready,
		.arg = w };
	w->virt_api = virt_api_new(&spec);
	for (int64_t end = loop_mono_ms(w->loop) + PATIENCE_MS; !w->port && loop_mono_ms(w->loop) < end;)
		loop_step(w->loop, 50);
	assert_true(w->port > 0);
	key_pair_done(&api);
	key_pair_done(&handler);
	key_pair_done(&handler_client);
	key_pair_done(&proxy);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	virt_api_free(w->virt_api);
	http_server_free(w->handler);
	for (int i = 0; i < 5; i++)
		loop_step(w->loop, 10);
	kube_client_free(w->client);
	while (w->passed_on) {
		struct answered *x = w->passed_on;
		w->passed_on = x->next;
		free(x);
	}
	fake_api_free(w->api);
	tls_unref(w->as_proxy);
	tls_unref(w->as_nobody);
	key_pair_done(&w->ca);
	key_pair_done(&w->proxy_ca);
	loop_free(w->loop);
	str_done(&w->body);
	free(w->handler_asked);
	free(w);
	return 0;
}

/* ---- asking ---- */

static void on_done(void *arg, const struct http_response *r, const struct err *e)
{
	struct world *w = arg;
	w->done = true;
	w->status = e ? -1 : r->status;
	str_clear(&w->body);
	if (e)
		str_add(&w->body, e->msg);
	else
		str_addn(&w->body, r->body, r->len);
}

static void on_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	struct world *w = arg;
	w->done = true;
	w->status = r->status;
	w->stream = s;
}

/* user NULL: without front-proxy certificate. Returns the status; the body is in w->body. */
static int ask(struct world *w, const char *user, const char *method, const char *path, const char *body)
{
	const struct http_client_spec spec = {
		.host = "127.0.0.1", .port = w->port, .tls = user ? w->as_proxy : w->as_nobody
	};
	struct http_client *c = http_client_new(w->loop, &spec);
	const struct http_header headers[] = { { "X-Remote-User", user ? user : "kate" },
		{ "X-Remote-Group", "system:masters" } };
	CLEANUP(json_doc_freep) struct json_doc *d = body ? json_lit(body) : NULL;
	CLEANUP(mem_freep) char *text = d ? json_write(json_root(d), NULL) : NULL;
	const struct http_call_spec call = { .method = method,
		.path = path,
		.headers = headers,
		.n_headers = 2,
		.body = text,
		.len = text ? strlen(text) : 0,
		.timeout_ms = PATIENCE_MS,
		.done = on_done,
		.arg = w };

	w->done = false;
	http_client_call(c, &call);
	run_until(w, &w->done);
	http_client_free(c);
	return w->status;
}

static void body_has(struct world *w, const char *text)
{
	if (!strstr(str_cstr(&w->body), text))
		fail_msg("%s", str_cstr(&w->body));
}

/* ---- tests ---- */

static void discovery_needs_no_identity(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask(w, NULL, "GET", "/apis/subresources.kubevirt.io", NULL), 200);
	body_has(w, "\"preferredVersion\":{\"groupVersion\":\"subresources.kubevirt.io/v1\"");
	assert_int_equal(ask(w, NULL, "GET", "/apis/subresources.kubevirt.io/v1alpha3", NULL), 200);
	body_has(w, "virtualmachines/start");
	assert_int_equal(ask(w, NULL, "GET", "/apis/subresources.kubevirt.io/v1/version", NULL), 200);
	body_has(w, "\"gitVersion\":\"v0.");
	assert_int_equal(ask(w, NULL, "GET", "/apis/subresources.kubevirt.io/v1/healthz", NULL), 200);
	body_has(w, "\"connectivity\":\"ok\"");
	body_has(w, "\"config-resource-version\":\"");
	assert_int_equal(ask(w, NULL, "GET", "/nothing/here", NULL), 404);
}

static void only_the_proxy_may_speak_for_users(void **state)
{
	struct world *w = *state;
	put(w, &kind_vm,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'runStrategy':'Halted','template':{}}"
		",'status':{}}");
	assert_int_equal(ask(w, NULL, "PUT", NS "virtualmachines/a/start", NULL), 401);
	assert_int_equal(ask(w, "mallory", "PUT", NS "virtualmachines/a/start", NULL), 401);
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/a/start", NULL), 202);
	assert_int_equal(w->body.len, 0);
	assert_string_equal(
		json_at_str(obj_json(fake_api_get(w->api, &kind_vm, "default/a")), "/spec/runStrategy"),
		"Always");
}

static void refusals_are_statuses(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/none/start", NULL), 404);
	body_has(w, "\"reason\":\"NotFound\"");
	put(w, &kind_vm,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'runStrategy':'Always','template':{}}"
		"}");
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/a/start", NULL), 409);
	body_has(w, "Operation cannot be fulfilled on virtualmachine.kubevirt.io \\\"a\\\": Always does not "
		    "support manual start requests");
	assert_int_equal(ask(w, "kate", "GET", NS "virtualmachines/a/start", NULL), 405);
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/a/fly", NULL), 404);
	assert_int_equal(
		ask(w, "kate", "PUT", NS "virtualmachines/a/restart", "{'gracePeriodSeconds':7}"), 400);
	body_has(w, "For force restart, only gracePeriod=0 is supported for now");
}

static void requests_are_queued_in_the_status(void **state)
{
	struct world *w = *state;
	put(w, &kind_vm,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'runStrategy':'Always','template':{}}"
		",'status':{'ready':true}}");
	put(w, &kind_vmi,
		"{'metadata':{'name':'a','namespace':'default','uid':'77'},'spec':{'domain':{'devices':{}}},'"
		"status':{'phase':'Running'}}");
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/a/restart", "{}"), 202);
	const struct json *vm = obj_json(fake_api_get(w->api, &kind_vm, "default/a"));
	assert_string_equal(json_at_str(vm, "/status/stateChangeRequests/0/action"), "Stop");
	assert_string_equal(json_at_str(vm, "/status/stateChangeRequests/1/action"), "Start");
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachines/a/restart", "{}"), 500);
	body_has(w, "unable to complete request: stop/start already underway");
}

static void pause_goes_to_the_node(void **state)
{
	struct world *w = *state;
	put(w, &kind_vmi,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'domain':{'devices':{}}},"
		"'status':{'phase':'Running','nodeName':'node1'}}");
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachineinstances/a/pause", NULL), 200);
	assert_string_equal(w->handler_asked, "PUT /v1/namespaces/default/virtualmachineinstances/a/pause");
	put(w, &kind_vmi,
		"{'metadata':{'name':'b','namespace':'default'},'spec':{'domain':{'devices':{}}},"
		"'status':{'phase':'Running','nodeName':'node2'}}");
	assert_int_equal(ask(w, "kate", "PUT", NS "virtualmachineinstances/b/pause", NULL), 503);
}

static void webhooks_answer_reviews(void **state)
{
	struct world *w = *state;
	assert_int_equal(ask(w, NULL, "POST", "/virtualmachineinstances-mutate?timeout=10s",
				 "{'request':{'uid':'u','operation':'CREATE','userInfo':{'username':'x'},'"
				 "object':{'metadata':{'name':'a'},'spec':{"
				 "'domain':{'devices':{},'memory':{'guest':'1Gi'}}}}}}"),
		200);
	body_has(w, "\"allowed\":true");
	body_has(w, "\"patchType\":\"JSONPatch\"");
	assert_int_equal(ask(w, NULL, "POST", "/migration-validate-create",
				 "{'request':{'uid':'u','operation':'CREATE','namespace':"
				 "'default','userInfo':{},'object':{'metadata':{'name':'m','namespace':'"
				 "default'},'spec':{'vmiName':'gone'}}}}"),
		200);
	body_has(w, "the VMI \\\"default/gone\\\" does not exist");
	/* rollout.md 4.1: the instance is looked at */
	static const char request[] =
		"{'request':{'uid':'u','operation':'UPDATE','namespace':'default','userInfo':{},"
		"'object':{'kind':'VirtualMachine','metadata':{'name':'mv','namespace':'default'},"
		"'status':{'volumeRequests':[{'removeVolumeOptions':{'name':'a'}}]}},"
		"'oldObject':{'status':{}}}}";
	assert_int_equal(ask(w, NULL, "POST", "/status-validate", request), 200);
	body_has(w, "\"allowed\":true");
	put(w, &kind_vmi,
		"{'metadata':{'name':'mv','namespace':'default'},'spec':{'domain':{'devices':{}}},"
		"'status':{'migrationState':{'startTimestamp':'2026-01-01T00:00:00Z'}}}");
	assert_int_equal(ask(w, NULL, "POST", "/status-validate", request), 200);
	body_has(w, "Cannot handle volume requests while VMI migration is in progress");
	fake_api_remove(w->api, &kind_vmi, "default/mv");
	static const char delete_kv[] = "{'request':{'uid':'u','operation':'DELETE','userInfo':{},'object':"
					"null,'oldObject':{'metadata':{'name':'kubevirt'},"
					"'spec':{'uninstallStrategy':'BlockUninstallIfWorkloadsExist'}}}}";
	assert_int_equal(ask(w, NULL, "POST", "/kubevirt-validate-delete", delete_kv), 200);
	body_has(w, "\"allowed\":true");
	put(w, &kind_vmi, "{'metadata':{'name':'v','namespace':'default'},'spec':{'domain':{'devices':{}}}}");
	assert_int_equal(ask(w, NULL, "POST", "/kubevirt-validate-delete", delete_kv), 200);
	body_has(w,
		"Rejecting the uninstall request, since there are still Virtual Machine Instances present.");
	assert_int_equal(ask(w, NULL, "GET", "/metrics", NULL), 200);
	body_has(w, "{hook=\"migration-create-validator.kubevirt.io\",allowed=\"false\"} 1\n");
	body_has(w, "{hook=\"virtualmachineinstances-mutator.kubevirt.io\",allowed=\"true\"} 1\n");
	assert_int_equal(ask(w, NULL, "POST", "/virtualmachines-validate", "[]"), 400);
}

/* ---- instance types: what a decision lacks is fetched, and it is made again ---- */
#define SMALL                                                                                                \
	"{'metadata':{'name':'small','uid':'u1','generation':1},'spec':{'cpu':{'guest':2},'memory':{'guest'" \
	":'1Gi'}}}"
#define REVIEW(spec, template)                                                                          \
	"{'request':{'uid':'u','operation':'CREATE','userInfo':{'username':'x'},'object':{'metadata':{" \
	"'name':'a','namespace':'default'},'spec':{'runStrategy':'Always'," spec                        \
	",'template':{'spec':" template "}}}}}"

static void reviews_see_the_instance_type(void **state)
{
	struct world *w = *state;
	put(w, &kind_clusterinstancetype, SMALL);
	assert_int_equal(ask(w, NULL, "POST", "/virtualmachines-validate",
				 REVIEW("'instancetype':{'name':'small'}",
					 "{'domain':{'devices':{},'cpu':{'sockets':1}}}")),
		200);
	body_has(w, "\"allowed\":false");
	body_has(w, "\"field\":\"spec.template.spec.domain.cpu.sockets\"");
	assert_int_equal(ask(w, NULL, "POST", "/virtualmachines-validate",
				 REVIEW("'instancetype':{'name':'small'}", "{'domain':{'devices':{}}}")),
		200);
	body_has(w, "\"allowed\":true");
	assert_int_equal(ask(w, NULL, "POST", "/virtualmachines-validate",
				 REVIEW("'instancetype':{'name':'none'}", "{'domain':{'devices':{}}}")),
		200);
	body_has(w, "\"allowed\":true");
	/* the claim says which */
	put(w, &kind_pvc,
		"{'metadata':{'name':'c','namespace':'default','labels':{'instancetype.kubevirt.io/"
		"default-instancetype':'small'}}}");
	assert_int_equal(
		ask(w, NULL, "POST", "/virtualmachines-mutate",
			REVIEW("'instancetype':{'inferFromVolume':'v'}",
				"{'domain':{'devices':{}},'volumes':[{'name':'v','persistentVolumeClaim':{"
				"'claimName':'c'}}]}")),
		200);
	body_has(w, "\"allowed\":true");
	assert_int_equal(
		ask(w, NULL, "POST", "/virtualmachines-mutate",
			REVIEW("'instancetype':{'inferFromVolume':'v'}",
				"{'domain':{'devices':{}},'volumes':[{'name':'v','persistentVolumeClaim':{"
				"'claimName':'none'}}]}")),
		200);
	body_has(w, "persistentvolumeclaims \\\"none\\\" not found");
	body_has(w, "\"code\":400");
}

static void vms_are_expanded(void **state)
{
	struct world *w = *state;
	put(w, &kind_clusterinstancetype, SMALL);
	put(w, &kind_vm,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'runStrategy':'Halted',"
		"'instancetype':{'name':'small'},'template':{'spec':{'domain':{'devices':{}}}}}}");
	assert_int_equal(ask(w, "kate", "GET", NS "virtualmachines/a/expand-spec", NULL), 200);
	body_has(w, "\"guest\":\"1Gi\"");
	body_has(w, "\"sockets\":2");
	put(w, &kind_vm,
		"{'metadata':{'name':'b','namespace':'default'},'spec':{'runStrategy':'Halted',"
		"'instancetype':{'name':'none'},'template':{'spec':{'domain':{'devices':{}}}}}}");
	assert_int_equal(ask(w, "kate", "GET", NS "virtualmachines/b/expand-spec", NULL), 500);
	body_has(w, "\\\"none\\\" not found");

#define BODY(ns, spec)                                                                                  \
	"{'apiVersion':'kubevirt.io/v1','kind':'VirtualMachine','metadata':{" ns "'name':'a'},'spec':{" \
	"'runStrategy':'Always','instancetype':{'name':'small'},'template':{'spec':" spec "}}}"
	assert_int_equal(
		ask(w, "kate", "PUT", NS "expand-vm-spec", BODY("", "{'domain':{'devices':{}}}")), 200);
	body_has(w, "\"guest\":\"1Gi\"");
	assert_int_equal(ask(w, "kate", "PUT", NS "expand-vm-spec",
				 BODY("", "{'domain':{'devices':{},'cpu':{'cores':2}}}")),
		400);
	body_has(w, "VM field(s) spec.template.spec.domain.cpu.cores conflicts with selected instance type");
	assert_int_equal(ask(w, "kate", "PUT", NS "expand-vm-spec",
				 BODY("'namespace':'other',", "{'domain':{'devices':{}}}")),
		400);
	body_has(w, "VM namespace must be empty or default");
	assert_int_equal(ask(w, "kate", "PUT", NS "expand-vm-spec",
				 BODY("", "{'domain':{'devices':{'disks':['x']}}}")),
		400);
	body_has(w, "Object is not a valid VirtualMachine");
	body_has(w, "spec.template.spec.domain.devices.disks[0]");
	assert_int_equal(ask(w, "kate", "PUT", NS "expand-vm-spec", "{'kind':'VirtualMachine'}"), 400);
}

/* ---- console ---- */

struct terminal {
	struct str text;
	bool enough, closed;
};
static void on_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct terminal *t = arg;
	assert_int_equal(kind, WS_BINARY);
	str_addn(&t->text, data, len);
	t->enough = t->text.len >= 70000;
}
static void on_ws_closed(void *arg, const struct err *e)
{
	struct terminal *t = arg;
	t->closed = true;
}

static struct ws *open_stream(
	struct world *w, const char *name, const char *sub, struct http_client **ret_client)
{
	static const struct ws_ops ops = { on_message, on_ws_closed, NULL };
	const struct http_client_spec spec = { .host = "127.0.0.1", .port = w->port, .tls = w->as_proxy };
	struct http_client *c = http_client_new(w->loop, &spec);
	struct http_header headers[10] = { { "X-Remote-User", "kate" } };
	size_t n = 9;
	char key[WS_KEY_MAX];
	CLEANUP(mem_freep) char *path = str_printf(NS "virtualmachineinstances/%s/%s", name, sub);

	ws_client_headers(key, headers + 1, &n, "plain.kubevirt.io");
	const struct http_call_spec call = { .method = "GET",
		.path = path,
		.headers = headers,
		.n_headers = n + 1,
		.timeout_ms = PATIENCE_MS,
		.done = on_done,
		.upgraded = on_upgraded,
		.arg = w };
	w->done = false;
	w->stream = NULL;
	http_client_call(c, &call);
	run_until(w, &w->done);
	*ret_client = c;
	if (!w->stream)
		return NULL;
	struct ws *ws = ws_client(w->stream);
	struct terminal *t = MEM_NEW(struct terminal);
	ws_start(ws, &ops, t);
	http_client_free(c);
	*ret_client = (void *)t;
	return ws;
}

static void console_reaches_the_guest(void **state)
{
	struct world *w = *state;
	struct http_client *t_or_client;
	static char big[70000];
	put(w, &kind_vmi,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'domain':{'devices':{}}},"
		"'status':{'phase':'Running','nodeName':'node1'}}");
	struct ws *ws = open_stream(w, "a", "console", &t_or_client);
	struct terminal *t = (void *)t_or_client;
	if (!ws)
		fail_msg("%d %s", w->status, str_cstr(&w->body));
	memset(big, 'x', sizeof(big));
	ws_send(ws, WS_TEXT, "ignored", 7); /* text frames are skipped */
	ws_send(ws, WS_BINARY, big, sizeof(big));
	run_until(w, &t->enough);
	assert_int_equal(t->text.len, sizeof(big));
	ws_close(ws, 1000);
	str_done(&t->text);
	free(t);
	for (int i = 0; i < 5; i++)
		loop_step(w->loop, 10);
}

static void guest_serve(void *arg, struct http_req *r)
{
	http_req_reply(r, 200, "text/plain", "from the guest", 14);
}

/* A port of the guest, here an HTTP server on loopback, reached through a WebSocket. */
static void ports_are_forwarded(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct world *w = *state;
	const struct http_server_spec spec = { .handler = guest_serve };
	struct http_server *guest = http_server_new(w->loop, &spec);
	struct http_client *t_or_client;
	struct err e;
	int port;

	assert_int_equal(http_server_listen(guest, NULL, 0, &port, &e), 0);
	put(w, &kind_vmi,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'domain':{'devices':{}}},'status':{'"
		"phase':'Running',"
		"'interfaces':[{'name':'default','ipAddress':'127.0.0.1'}]}}");
	CLEANUP(mem_freep) char *sub = str_printf("portforward/%d/tcp", port);
	struct ws *ws = open_stream(w, "a", sub, &t_or_client);
	struct terminal *t = (void *)t_or_client;
	if (!ws)
		fail_msg("%d %s", w->status, str_cstr(&w->body));
	ws_send(ws, WS_BINARY, request, strlen(request));
	run_until(w, &t->closed); /* the guest closes: so does the WebSocket, cleanly */
	assert_non_null(strstr(str_cstr(&t->text), "from the guest"));
	str_done(&t->text);
	free(t);
	http_server_free(guest);
	assert_null(open_stream(w, "a", "portforward/0", &t_or_client));
	assert_int_equal(w->status, 400);
	http_client_free(t_or_client);
}

/* kubevirt-api.md 2.3: failures come before the upgrade */
static void console_that_is_not_there_yet_is_400(void **state)
{
	struct world *w = *state;
	struct http_client *c;
	put(w, &kind_vmi,
		"{'metadata':{'name':'a','namespace':'default'},'spec':{'domain':{'devices':{}}},'status':{'"
		"phase':'Scheduling'}}");
	assert_null(open_stream(w, "a", "console", &c));
	assert_int_equal(w->status, 400);
	body_has(w, "VMI is not running");
	http_client_free(c);
	assert_null(open_stream(w, "nobody", "console", &c));
	assert_int_equal(w->status, 404);
	http_client_free(c);
}

/* A rotated certificate is used for new connections, without a restart. */
static void rotated_certificates_are_followed(void **state)
{
	struct world *w = *state;
	struct key_pair other_ca = { 0 }, api = { 0 };
	make_cert(NULL, "new-ca", NULL, false, &other_ca);
	make_cert(&other_ca, "virt-api", "virt-api.kubevirt.svc", true, &api);
	put_secret(w, KV_SECRET_API, &api);
	for (int64_t end = loop_mono_ms(w->loop) + 300; loop_mono_ms(w->loop) < end;)
		loop_step(w->loop, 20);
	assert_int_equal(ask(w, NULL, "GET", "/apis", NULL), -1); /* signed by a CA we do not know */
	tls_unref(w->as_nobody);
	key_pair_done(&w->ca);
	w->ca = other_ca;
	w->as_nobody = client_tls(w, NULL);
	assert_int_equal(ask(w, NULL, "GET", "/apis", NULL), 200);
	key_pair_done(&api);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(discovery_needs_no_identity),
		CASE(only_the_proxy_may_speak_for_users),
		CASE(refusals_are_statuses),
		CASE(requests_are_queued_in_the_status),
		CASE(pause_goes_to_the_node),
		CASE(webhooks_answer_reviews),
		CASE(reviews_see_the_instance_type),
		CASE(vms_are_expanded),
		CASE(console_reaches_the_guest),
		CASE(ports_are_forwarded),
		CASE(console_that_is_not_there_yet_is_400),
		CASE(rotated_certificates_are_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
