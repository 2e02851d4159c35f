/* SPDX-License-Identifier: Apache-2.0 */
/* APIServices (kubernetes-api.md 5.4): which group versions somebody else serves, and whether that somebody answers. */
#include "platform/apiserver/aggregate.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/apiserver/aggregate_impl.h"
#include "platform/callout/backend.h"
#include "platform/apiserver/bootstrap.h"

#include <string.h>

#define CHECK_TIMEOUT_MS 5000
#define CHECK_AGAIN_MIN_MS 200
#define CHECK_AGAIN_MAX_MS 30000
#define DISCOVERY_MAX (4 * 1024 * 1024)

static const char *const followed[FOLLOWED] = { "apiregistration.k8s.io/apiservices", "services/specs",
	"services/endpoints", "discovery.k8s.io/endpointslices" };

/* One APIService with a Service behind it. */
struct remote {
	struct aggregator *g;
	char *name; /* of the APIService */
	char *group, *version;
	struct loop_timer *timer;
	struct http_call *call;
	struct backend *backend;
	int64_t again_ms; /* back-off of failed checks; 0: the last one passed */
	bool asked_again; /* something changed while a check was under way */
	struct remote *next;
};

static struct remote *remote_find(struct aggregator *g, const char *name)
{
	for (struct remote *m = g->remotes; m; m = m->next)
		if (str_eq(m->name, name))
			return m;
	return NULL;
}

static const struct obj *apiservice(struct aggregator *g, const char *name)
{
	return objects_get(g->s->objects, followed[0], name);
}

/* ---- the verdict ---- */
static void write_condition(
	struct apiserver *s, const char *name, bool available, const char *reason, const char *message)
{
	struct bucket *b = objects_bucket(s->objects, followed[0]);
	uint64_t rev;
	const struct obj *o = bucket_latest(b, name, &rev);
	struct json_doc *d;

	if (!o)
		return;
	d = obj_draft(o);
	if (cond_set(d, json_need_obj(d, json_root(d), "status"), "Available", available ? "True" : "False",
		    reason, message, loop_wall_ms(s->loop)))
		objects_put(s->objects, b, d, rev, NULL, NULL);
	else
		json_doc_free(d);
}

static void verdict(struct remote *m, bool available, const char *reason, const char *message,
	const struct obj *resources)
{
	const struct group_version *gv = registry_gv(m->g->s->objects->registry, m->group, m->version);

	registry_set_remote(m->g->s->objects->registry, m->group, m->version, available,
		resources ? resources
		: gv      ? gv->remote_resources
			  : NULL);
	write_condition(m->g->s, m->name, available, reason, message);
	if (available) {
		m->again_ms = 0;
		return;
	}
	m->again_ms = m->again_ms == 0 ? CHECK_AGAIN_MIN_MS : m->again_ms * 2;
	if (m->again_ms > CHECK_AGAIN_MAX_MS)
		m->again_ms = CHECK_AGAIN_MAX_MS;
}

static void check_over(struct remote *m)
{
	backend_unref(m->backend);
	m->backend = NULL;
	if (m->asked_again)
		loop_timer_set(m->timer, 0);
	else if (m->again_ms > 0)
		loop_timer_set(m->timer, m->again_ms);
	m->asked_again = false;
}

static void checked(void *arg, const struct http_response *r, const struct err *e)
{
	struct remote *m = arg;
	CLEANUP(mem_freep) char *why = NULL;
	CLEANUP(obj_unrefp) struct obj *resources = NULL;

	m->call = NULL;
	if (e && e->code != ERR_NONE)
		why = str_printf("failing or missing response from the backend's /apis/%s/%s: %s", m->group,
			m->version, e->msg);
	else if (r->status < 200 || r->status >= 400)
		why = str_printf("failing or missing response from the backend's /apis/%s/%s: bad status %d",
			m->group, m->version, r->status);
	else
		resources = obj_from_text(r->body, r->len, NULL);
	if (why)
		verdict(m, false, "FailedDiscoveryCheck", why, NULL);
	else
		verdict(m, true, "Passed", "all checks passed", resources);
	if (!why)
		remote_docs_fetch(m->g, m->name, m->group, m->version);
	check_over(m);
}

static int ask(struct remote *m, struct backend *b)
{
	static const struct http_header headers[] = { { "Accept", "application/json" },
		{ "X-Remote-User", "system:kube-aggregator" }, { "X-Remote-Group", "system:masters" } };
	CLEANUP(mem_freep) char *path = str_printf("/apis/%s/%s", m->group, m->version);
	const struct http_call_spec spec = { .method = "GET",
		.path = path,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.timeout_ms = CHECK_TIMEOUT_MS,
		.body_max = DISCOVERY_MAX,
		.done = checked,
		.arg = m };

	m->backend = b;
	m->call = http_client_call(b->client, &spec);
	return 0;
}

static void check(void *arg)
{
	struct remote *m = arg;
	const char *why = "FailedDiscoveryCheck";
	struct err e = { 0 };
	struct backend *b = aggregate_backend(m->g->s, m->name, &why, &e);

	if (!b) {
		verdict(m, false, why, e.msg, NULL);
		check_over(m);
		return;
	}
	ask(m, b);
}

static void check_soon(struct remote *m)
{
	if (m->call)
		m->asked_again = true;
	else
		loop_timer_set(m->timer, 0);
}

/* ---- backends ---- */
struct backend *aggregate_backend(struct apiserver *s, const char *name, const char **ret_why, struct err *e)
{
	const struct obj *o = objects_get(s->objects, followed[0], name);
	const struct json *spec = o ? json_get(obj_json(o), "spec") : NULL, *svc = json_get(spec, "service");
	const char *sname = json_str_or(json_get(svc, "name"), ""),
		   *ns = json_str_or(json_get(svc, "namespace"), "");
	const struct json *ca = json_get(spec, "caBundle");
	CLEANUP(mem_freep) char *host = NULL;
	CLEANUP(mem_freep) char *server_name = str_printf("%s.%s.svc", sname, ns);
	CLEANUP(str_done) struct str pem = { 0 };
	struct backend_spec b = { .server_name = server_name, .front_proxy = true };

	if (!json_is_obj(svc)) {
		err_set(e, ERR_UNAVAILABLE, "no such APIService '%s'", name);
		return NULL;
	}
	if (service_resolve(s->objects, ns, sname,
		    json_get(svc, "port") ? (int)json_i64(json_get(svc, "port")) : 443, &host, &b.port,
		    ret_why, e) < 0)
		return NULL;
	if (json_str_len(ca) > 0 && b64_decode(json_str(ca), json_str_len(ca), false, &pem, e) < 0)
		return NULL;
	b.host = host;
	b.ca_pem = pem.len > 0 ? pem.data : NULL;
	b.insecure = json_bool(json_get(spec, "insecureSkipTLSVerify"));
	return backend_get(s->callouts, &b, e);
}

/* ---- following ---- */
static void remote_free(struct remote *m)
{
	http_call_cancel(m->call);
	backend_unref(m->backend);
	loop_timer_free(m->timer);
	free(m->name);
	free(m->group);
	free(m->version);
	free(m);
}

static void remote_remove(struct aggregator *g, const char *name)
{
	for (struct remote **p = &g->remotes; *p; p = &(*p)->next) {
		struct remote *m = *p;

		if (!str_eq(m->name, name))
			continue;
		*p = m->next;
		registry_remove_remote(g->s->objects->registry, m->group, m->version);
		remote_free(m);
		return;
	}
}

static void remote_need(struct aggregator *g, const struct obj *o)
{
	const struct json *spec = json_get(obj_json(o), "spec");
	const char *group = json_str_or(json_get(spec, "group"), ""),
		   *version = json_str_or(json_get(spec, "version"), "");
	struct remote *m = remote_find(g, obj_name(o));

	if (!json_is_obj(json_get(spec, "service"))) {
		remote_remove(g, obj_name(o));
		write_condition(g->s, obj_name(o), true, "Local", "Local APIServices are always available");
		return;
	}
	if (!m) {
		m = MEM_NEW(struct remote);
		*m = (struct remote){ .g = g,
			.name = mem_strdup(obj_name(o)),
			.group = mem_strdup(group),
			.version = mem_strdup(version),
			.next = g->remotes };
		m->timer = loop_timer_new(g->s->loop, check, m);
		g->remotes = m;
		registry_set_remote(g->s->objects->registry, group, version, false, NULL);
	}
	registry_set_priority(g->s->objects->registry, group, version,
		(int)json_i64(json_get(spec, "groupPriorityMinimum")),
		(int)json_i64(json_get(spec, "versionPriority")));
	check_soon(m);
}

static void apiservice_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct aggregator *g = CONTAINER_OF(w, struct aggregator, watches[0]);

	if (c->type == BUCKET_DELETED) {
		remote_remove(g, obj_name(c->obj));
		local_apis_sync(g->s); /* those of what is served here come back */
	} else if (!c->old ||
		   !json_eq(json_get(obj_json(c->old), "spec"), json_get(obj_json(c->obj), "spec"))) {
		remote_need(g, c->obj);
	}
}

/* A Service or its endpoints: whoever stands on it is looked at again. */
static void endpoint_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct aggregator *g = w->arg;
	const char *name = json_at_str(obj_json(c->obj), "/metadata/labels/kubernetes.io~1service-name");

	if (!name)
		name = obj_name(c->obj);
	for (struct remote *m = g->remotes; m; m = m->next) {
		const struct obj *o = apiservice(g, m->name);
		const struct json *svc = o ? json_at(obj_json(o), "/spec/service") : NULL;

		if (str_eq(json_get_str(svc, "name"), name) &&
			str_eq(json_get_str(svc, "namespace"), obj_namespace(c->obj))) {
			m->again_ms = 0;
			check_soon(m);
		}
	}
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

struct aggregator *aggregator_new(struct apiserver *s)
{
	struct aggregator *g = MEM_NEW(struct aggregator);
	const struct obj *o;

	g->s = s;
	for (size_t i = 0; i < FOLLOWED; i++) {
		g->watches[i].change = i == 0 ? apiservice_changed : endpoint_changed;
		g->watches[i].gone = never_gone;
		g->watches[i].arg = g;
		bucket_watch_add(objects_bucket(s->objects, followed[i]), &g->watches[i], "");
	}
	for (size_t i = 0; (o = bucket_at(objects_bucket(s->objects, followed[0]), i)); i++)
		remote_need(g, o);
	return g;
}

void aggregator_free(struct aggregator *g)
{
	if (!g)
		return;
	remote_docs_end(g);
	while (g->remotes) {
		struct remote *m = g->remotes;

		g->remotes = m->next;
		remote_free(m);
	}
	for (size_t i = 0; i < FOLLOWED; i++)
		bucket_watch_remove(&g->watches[i]);
	free(g);
}
