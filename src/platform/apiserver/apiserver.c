/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and stopping the server. */
#include "platform/apiserver/apiserver.h"

#include "api/status.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/config.h"
#include "platform/auth/accounts.h"
#include "platform/admission/admission.h"
#include "platform/apiserver/aggregate.h"
#include "platform/request/audit.h"
#include "platform/auth/auth.h"
#include "platform/callout/backend.h"
#include "platform/kinds/builtin.h"
#include "platform/apiserver/bootstrap.h"
#include "platform/callout/convert.h"
#include "platform/apiserver/crd.h"
#include "platform/apiserver/deadline.h"
#include "platform/apiserver/expire.h"
#include "platform/apiserver/flow.h"
#include "platform/apiserver/metrics.h"
#include "platform/admission/plugins.h"
#include "platform/admission/quota.h"
#include "platform/auth/roles.h"
#include "platform/apiserver/service.h"
#include "platform/apiserver/server.h"
#include "platform/admission/policy.h"
#include "platform/apiserver/shared_pki.h"
#include "platform/apiserver/signer.h"

#include <malloc.h>
#include <string.h>

/* Housekeeping while there is anything to keep: bookmarks, old history, parsed trees. Idle servers set no timer. */
#define TICK_MS 10000

static void tick(void *arg)
{
	struct apiserver *s = arg;
	int64_t now = loop_mono_ms(s->loop);
	bool again = s->watches != NULL;

	server_watches_tick(s, now);
	again |= objects_tidy(s->objects, now);
	malloc_trim(0);
	if (again)
		loop_timer_set(s->tick, TICK_MS);
}

void server_after_change(struct apiserver *s)
{
	if (!loop_timer_armed(s->tick))
		loop_timer_set(s->tick, TICK_MS);
}

/* Errors below HTTP look like all others: a Status (kubernetes-api.md 2.1). */
static const char *reject_http(void *arg, int status, const char *why, struct str *body)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct err e = { 0 };

	(void)arg;
	/* no code has these two: 408 is Timeout as 504 is, 431 a bad request (RFC 6585) */
	err_set(&e,
		status == 408   ? ERR_TIMEOUT
		: status == 431 ? ERR_BAD_REQUEST
				: err_from_wire(status, NULL),
		"%s", why);
	d = status_from_err(&e, NULL, NULL, NULL);
	json_set_i64(d, json_root(d), "code", status);
	json_write_to(json_root(d), body);
	str_addc(body, '\n');
	return "application/json";
}

/* ---- TLS ---- */
static int renew_tls(struct apiserver *s, struct err *e)
{
	CLEANUP(mem_freep) char *cas = str_printf("%s%s", s->pki.ca.cert_pem, s->pki.front_ca.cert_pem);
	const struct tls_server_spec spec = {
		.cert_pem = s->pki.serving.cert_pem, .key_pem = s->pki.serving.key_pem, .client_ca_pem = cas
	};
	CLEANUP(tls_unrefp) struct tls_ctx *tls = tls_server_new(&spec, e);

	if (!tls)
		return -1;
	if (s->http) {
		http_server_set_tls(s->http, tls);
		return 0;
	}
	s->http = http_server_new(s->loop, &(struct http_server_spec){ .tls = tls,
						   .handler = server_http,
						   .reject = reject_http,
						   .arg = s,
						   .body_max = BODY_READ_MAX });
	return 0;
}

void server_http(void *arg, struct http_req *h)
{
	struct apiserver *s = arg;

	server_serve(s, request_new_http(s->loop, h));
}

static int write_kubeconfig(struct apiserver *s, struct err *e)
{
	struct kube_config c = { .host = (char *)"127.0.0.1",
		.port = s->port,
		.ca_pem = s->pki.ca.cert_pem,
		.cert_pem = s->pki.admin.cert_pem,
		.key_pem = s->pki.admin.key_pem,
		.namespace = (char *)"default" };
	CLEANUP(mem_freep) char *text = kube_config_text(&c, "coracle");

	s->kubeconfig = file_join(s->data_dir, "kubeconfig");
	return file_write_atomic(s->kubeconfig, text, strlen(text), 0600, e);
}

/* ---- starting ---- */
static void make_buckets(struct apiserver *s)
{
	const struct group_version *gv;

	for (size_t i = 0; (gv = registry_gv_at(s->objects->registry, i)); i++)
		for (size_t j = 0; j < gv->n; j++)
			if (!gv->items[j]->def->transient)
				objects_bucket_of(s->objects, gv->items[j]);
}

static int load_pki(struct apiserver *s, const struct apiserver_spec *spec, struct err *e)
{
	CLEANUP(mem_freep) char *dir = file_join(s->data_dir, "pki");
	CLEANUP(strv_done) struct strv sans = { 0 };

	for (size_t i = 0; spec->extra_sans && spec->extra_sans[i]; i++)
		strv_add(&sans, spec->extra_sans[i]);
	if (spec->host)
		strv_add(&sans, spec->host);
	if (shared_pki_sync(s, dir, e) < 0)
		return -1;
	return pki_load(&s->pki, dir, (const char *const *)strv_argv(&sans), loop_wall_ms(s->loop), e);
}

static int listen_all(struct apiserver *s, const struct apiserver_spec *spec, struct err *e)
{
	if (renew_tls(s, e) < 0 || http_server_listen(s->http, "127.0.0.1", spec->port, &s->port, e) < 0)
		return -1;
	if (spec->host && !str_eq(spec->host, "127.0.0.1") &&
		http_server_listen(s->http, spec->host, s->port, NULL, e) < 0)
		return -1;
	return write_kubeconfig(s, e);
}

static int start(struct apiserver *s, const struct apiserver_spec *spec, struct err *e)
{
	if (file_mkdirs(s->data_dir, 0700, e) < 0)
		return -1;
	if (spec->audit_log && !(s->audit = audit_open(s->loop, spec->audit_log, e)))
		return -1;
	builtin_register(s->objects->registry);
	make_buckets(s);
	objects_follow(s->objects);
	if (objects_load(s->objects, e) < 0 || load_pki(s, spec, e) < 0)
		return -1;
	s->crds = crds_new(s);
	bootstrap_make(s);
	s->namespaces = namespaces_new(s);
	local_apis_sync(s);
	while (s->objects->commits > 0)
		loop_step(s->loop, -1);
	if (store_trouble(s->objects->store)) {
		err_copy(e, store_trouble(s->objects->store));
		return err_wrap(e, "write the first objects");
	}
	s->discovery = discovery_new(s->objects->registry);
	s->openapi = openapi_new(s->objects->registry);
	admitter_follow(s->admitter);
	s->roles = roles_new(s->objects);
	if (!s->bare) {
		s->accounts = accounts_new(s->auth);
		s->signer = signer_new(s);
	}
	s->aggregator = aggregator_new(s);
	s->expirer = expirer_new(s);
	if (listen_all(s, spec, e) < 0)
		return -1;
	bootstrap_service(s, spec->host ? spec->host : "127.0.0.1");
	return 0;
}

static void something_changed(void *arg)
{
	server_after_change(arg);
}

static void renewed(void *arg)
{
	server_watches_expire(arg);
}

static bool foreign(void *arg, const char *store_key, const char *value, size_t len)
{
	return shared_pki_take(arg, store_key, value, len);
}

static const struct objects_ops object_ops = { something_changed, renewed, foreign };

struct apiserver *apiserver_new(struct loop *l, const struct apiserver_spec *spec, struct err *e)
{
	struct apiserver *s = MEM_NEW(struct apiserver);

	s->loop = l;
	s->data_dir = mem_strdup(spec->data_dir);
	s->bare = spec->bare;
	s->node_proxy = spec->node_proxy;
	s->node_proxy_arg = spec->node_proxy_arg;
	s->objects = objects_new(l, spec->store, registry_new(), &object_ops, s);
	s->auth = auth_new(s->objects, &s->pki);
	s->callouts = callouts_new(s->objects, &s->pki);
	s->admitter = admitter_new(s->objects, s->auth, s->callouts,
		spec->plugins_off | (spec->bare ? 1U << PLUGIN_ACCOUNT | 1U << PLUGIN_QUOTA : 0));
	s->metrics = metrics_new();
	s->deadlines = deadlines_new(l);
	s->flow = flow_new(l, &(struct flow_limits){ .seats_user = spec->max_inflight }, NULL);
	s->tick = loop_timer_new(l, tick, s);
	if (start(s, spec, e) < 0) {
		err_wrap(e, "start the API server in '%s'", spec->data_dir);
		apiserver_free(s);
		return NULL;
	}
	log_info("apiserver: listening on 127.0.0.1:%d, revision %llu", s->port,
		(unsigned long long)objects_revision(s->objects));
	return s;
}

/* Turns of the loop in which the last answers leave. */
#define LAST_TURNS 20
#define LAST_WRITES_MS 5000

/* Writes under way are answered: they are queued, or will be refused. Watches end as if their time was up. */
static void finish_requests(struct apiserver *s)
{
	int64_t until = loop_mono_ms(s->loop) + LAST_WRITES_MS;

	s->objects->stopping = true;
	/* a store of our own always answers, a cluster may be gone */
	while (s->objects->commits > 0 && (!store_shared(s->objects->store) || loop_mono_ms(s->loop) < until))
		if (!loop_step(s->loop, 1000))
			break;
	server_watches_end(s);
	for (int i = 0; s->http && i < LAST_TURNS; i++)
		loop_step(s->loop, 0);
}

void apiserver_free(struct apiserver *s)
{
	struct registry *registry;

	if (!s)
		return;
	bootstrap_leave(s);
	finish_requests(s);
	store_follow(s->objects->store, NULL, NULL);
	aggregator_free(s->aggregator);
	admitter_end(s->admitter);
	services_free(s->services);
	roles_free(s->roles);
	accounts_free(s->accounts);
	signer_free(s->signer);
	callouts_end(s->callouts);
	namespaces_free(s->namespaces);
	expirer_free(s->expirer);
	crds_free(s->crds);
	if (s->http)
		http_server_free(s->http);
	for (int i = 0; s->http && i < LAST_TURNS; i++)
		loop_step(s->loop, 0); /* what it said last, to those who keep their connection open */
	flow_free(s->flow);
	deadlines_free(s->deadlines);
	audit_close(s->audit);
	discovery_free(s->discovery);
	openapi_free(s->openapi);
	registry = s->objects->registry;
	admitter_free(s->admitter);
	callouts_free(s->callouts);
	auth_free(s->auth);
	objects_free(s->objects);
	registry_free(registry);
	metrics_free(s->metrics);
	loop_timer_free(s->tick);
	str_done(&s->line);
	pki_done(&s->pki);
	free(s->data_dir);
	free(s->kubeconfig);
	free(s->shared_pki);
	free(s->service_host);
	free(s);
}

/* ---- what others ask of it ---- */
int apiserver_port(const struct apiserver *s)
{
	return s->port;
}

int apiserver_listen(struct apiserver *s, const char *host, struct err *e)
{
	CLEANUP(mem_freep) char *dir = file_join(s->data_dir, "pki");
	int made = pki_add_san(&s->pki, dir, host, loop_wall_ms(s->loop), e);

	if (made < 0 || (made > 0 && renew_tls(s, e) < 0))
		return -1;
	if (http_server_listen(s->http, host, s->port, NULL, e) < 0)
		return -1;
	bootstrap_service(s, host);
	return 0;
}

void apiserver_set_node_proxy(struct apiserver *s, node_proxy_fn *fn, void *arg)
{
	s->node_proxy = fn;
	s->node_proxy_arg = arg;
}

struct kube_transport apiserver_transport(struct apiserver *s, const char *user, const char *const *groups)
{
	static const char *const masters[] = { GROUP_MASTERS, NULL };
	struct user u = { .name = mem_strdup(user) };
	struct kube_transport t;

	for (groups = groups ? groups : masters; *groups; groups++)
		strv_add(&u.groups, *groups);
	if (!user_in(&u, GROUP_AUTHENTICATED))
		strv_add(&u.groups, GROUP_AUTHENTICATED);
	t = request_transport(s->loop, server_serve, s, &u);
	user_done(&u);
	return t;
}

const char *apiserver_kubeconfig(const struct apiserver *s)
{
	return s->kubeconfig;
}

const char *apiserver_ca_pem(const struct apiserver *s)
{
	return s->pki.ca.cert_pem;
}

int apiserver_token(struct apiserver *s, const char *ns, const char *service_account, const struct obj *pod,
	int64_t seconds, char **ret, struct err *e)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, service_account);
	struct token_spec spec = { .account = objects_get(s->objects, "serviceaccounts", key),
		.bound = pod,
		.bound_kind = "pod",
		.seconds = seconds };

	if (!spec.account)
		return err_set(e, ERR_NOT_FOUND, "serviceaccounts \"%s\" not found", service_account);
	return token_make(s->auth, &spec, ret, NULL, e);
}
