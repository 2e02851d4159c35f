/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/up.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/lease.h"
#include "platform/agent/agent.h"
#include "platform/apiserver/apiserver.h"
#include "platform/controllers/controllers.h"
#include "platform/clients/kinds.h"
#include "platform/net/nad.h"
#include "platform/up/drain.h"
#include "platform/up/install.h"
#include "platform/up/prepare.h"
#include "platform/up/release.h"

#include <stdarg.h>
#include <stdio.h>

#define SAY_MAX 1024

struct up {
	struct loop *loop;
	struct up_spec spec;
	struct store *store;
	struct apiserver *server;
	struct kube_client *admin, *controllers_client, *agent_client;
	struct platform_controllers *controllers;
	struct lease *lease; /* of the controllers; NULL: there is nobody to share with */
	struct loop_timer *lease_lost;
	struct net *net;
	struct agent *agent;
	struct prepare *prepare;
	struct install *install;
	struct kube_call *uncordon, *networks;
	bool stopping;
	size_t left;
};

static void say(struct up *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct up *u, const char *fmt, ...)
{
	char line[SAY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (u->spec.say)
		u->spec.say(u->spec.arg, line);
}

static void give_up(struct up *u, struct err *e, const char *doing)
{
	err_wrap(e, "%s", doing);
	log_error("%s", e->msg);
	if (u->spec.failed)
		u->spec.failed(u->spec.arg, e);
}

static struct kube_client *client_for(struct up *u, const char *user)
{
	struct kube_transport t = apiserver_transport(u->server, user, NULL);
	struct kube_client *c = kube_client_new_transport(u->loop, &t);

	kube_client_set_manager(c, "coracle");
	return c;
}

/* ---- what is put into a new cluster ---- */
static void installed(void *arg, size_t n, const struct err *e)
{
	struct up *u = arg;
	struct err copy = { 0 };

	u->install = NULL;
	if (e) {
		err_copy(&copy, e);
		log_error("install: %s", copy.msg);
		say(u, "could not install %s: %s", u->spec.installer, copy.msg);
	} else if (n) {
		log_info("install: %zu objects written", n);
	}
	if (u->spec.started)
		u->spec.started(u->spec.arg);
}

static void install(struct up *u)
{
	CLEANUP(mem_freep) char *bin = release_bin(u->spec.data_dir, u->spec.version);
	CLEANUP(mem_freep) char *program = file_join(bin, u->spec.installer);
	CLEANUP(mem_freep) char *image = str_printf("coracle.dev/%s:%s", u->spec.installer, u->spec.version);
	CLEANUP(mem_freep) char *host_dir = file_join(u->spec.data_dir, u->spec.host_dir);
	CLEANUP(mem_freep) char *mark = file_join(u->spec.data_dir, "installed");
	struct install_source sources[] = {
		{ .argv = (char *const[]){ program, "--print-manifest", "--image", image, "--host-dir",
			  host_dir, NULL } },
		{ .argv = (char *const[]){ program, "--print-cr", NULL }, .make_only = true },
	};

	u->install = install_start(u->admin,
		&(struct install_spec){ .sources = sources, .n = ARRAY_LEN(sources), .mark = mark },
		installed, u);
}

/* ---- the node ---- */
static void serve_node(void *arg, const struct node_request *r)
{
	struct up *u = arg;

	agent_serve(u->agent, r->verb, r->pod, r->http);
}

static void uncordoned(void *arg, const struct obj *o, const struct err *e)
{
	struct up *u = arg;

	u->uncordon = NULL;
	if (e && e->code != ERR_NOT_FOUND)
		log_warn("taking back what `down` did to the node: %s", e->msg);
}

/* `coracle down` has closed the node, so that what it ended is not started again at once. */
static void node_got(void *arg, const struct obj *o, const struct err *e)
{
	struct up *u = arg;
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;

	u->uncordon = NULL;
	if (e || !drain_marked(o))
		return;
	d = drain_undo();
	u->uncordon = kube_patch(
		u->admin, &pk_node, NULL, obj_name(o), NULL, KUBE_PATCH_MERGE, json_root(d), uncordoned, u);
}

static void networks_made(void *arg, const struct obj *o, const struct err *e)
{
	struct up *u = arg;

	u->networks = NULL;
	if (e && e->code != ERR_EXISTS)
		log_warn("the kind NetworkAttachmentDefinition: %s", e->msg);
}

/* The node serves them, so the kind has to be there; one that somebody else put there is as good. */
static void make_networks_kind(struct up *u)
{
	static const struct kind crd = { .group = "apiextensions.k8s.io",
		.version = "v1",
		.kind = "CustomResourceDefinition",
		.plural = "customresourcedefinitions" };
	CLEANUP(json_doc_freep) struct json_doc *d = nad_crd();

	u->networks = kube_create(u->admin, &crd, NULL, json_root(d), networks_made, u);
}

static int start_node(struct up *u, struct err *e)
{
	struct agent_spec spec = { .data_dir = u->spec.data_dir,
		.api_port = up_port(u),
		.net = u->net,
		.api_host = net_bridge_ip(u->net) };

	if (apiserver_listen(u->server, spec.api_host, e) < 0)
		return -1;
	u->agent_client = client_for(u, "system:coracle:agent");
	u->agent = agent_start(u->loop, u->agent_client, &spec, e);
	if (!u->agent)
		return -1;
	apiserver_set_node_proxy(u->server, serve_node, u);
	if (agent_pods(u->agent))
		say(u, "%zu pod%s of an earlier run found", agent_pods(u->agent),
			agent_pods(u->agent) == 1 ? "" : "s");
	u->uncordon = kube_get(u->admin, &pk_node, NULL, agent_node_name(u->agent), node_got, u);
	make_networks_kind(u);
	return 0;
}

/* ---- start ---- */
static void all_started(struct up *u)
{
	if (u->spec.installer)
		install(u);
	else if (u->spec.started)
		u->spec.started(u->spec.arg);
}

static void prepared(void *arg, struct net *net, const struct strv *missing, struct err *e)
{
	struct up *u = arg;
	struct err failure = { 0 };

	u->net = net;
	if (u->stopping)
		return;
	if (e) {
		give_up(u, e, "prepare this host");
		return;
	}
	for (size_t i = 0; i < missing->len; i++) {
		log_warn("%s is not installed: pods that need it will not start", missing->items[i]);
		say(u, "warning: %s is not installed: pods that need it will not start", missing->items[i]);
	}
	if (start_node(u, &failure) < 0)
		give_up(u, &failure, "start the node");
	else
		all_started(u);
}

/* ---- the controllers: here, or in the one of several servers that holds the lease ---- */
static void start_controllers(void *arg)
{
	struct up *u = arg;

	if (!u->controllers && !u->stopping)
		u->controllers = platform_controllers_start(
			u->controllers_client, apiserver_ca_pem(u->server), u->spec.data_dir);
}

static void lease_lost(void *arg)
{
	struct up *u = arg;

	loop_timer_set(u->lease_lost, 0);
}

static void apply_for_lease(struct up *u)
{
	static const struct lease_ops ops = { start_controllers, lease_lost };
	char id[37];

	crypto_uuid(id);
	u->lease = lease_new(u->controllers_client, "kube-system", "coracle-controllers", id, &ops, u);
}

/* Another one has it, or soon will. */
static void leave_lease(void *arg)
{
	struct up *u = arg;

	log_warn("controllers: another server runs them from here on");
	platform_controllers_stop(TAKE(u->controllers));
	lease_free(TAKE(u->lease));
	if (!u->stopping)
		apply_for_lease(u);
}

/* In a turn of its own, so that requests that wait already are answered before the rest is started. */
static void answering(void *arg)
{
	struct up *u = arg;

	if (u->stopping)
		return;
	if (u->spec.answering)
		u->spec.answering(u->spec.arg);
	if (u->spec.controllers) {
		u->controllers_client = client_for(u, "system:coracle:controllers");
		if (store_shared(u->store))
			apply_for_lease(u);
		else
			start_controllers(u);
	}
	if (u->spec.agent)
		u->prepare = prepare_start(u->loop,
			&(struct prepare_spec){ u->spec.data_dir, u->spec.version, u->spec.programs },
			prepared, u);
	else
		all_started(u);
}

struct up *up_start(struct loop *l, const struct up_spec *spec, struct err *e)
{
	struct up *u = MEM_NEW(struct up);
	struct apiserver_spec server = { .data_dir = spec->data_dir,
		.port = spec->port,
		.host = spec->listen,
		.bare = spec->bare,
		.audit_log = spec->audit_log,
		.max_inflight = spec->max_inflight,
		.plugins_off = spec->plugins_off };

	u->loop = l;
	u->spec = *spec;
	u->store = store_open(l, spec->data_dir, &spec->store, e);
	server.store = u->store;
	if (u->store)
		u->server = apiserver_new(l, &server, e);
	if (!u->server) {
		store_free(u->store);
		free(u);
		return NULL;
	}
	u->lease_lost = loop_timer_new(l, leave_lease, u);
	u->admin = client_for(u, "system:coracle:up");
	loop_later(l, answering, u);
	return u;
}

int up_port(const struct up *u)
{
	return apiserver_port(u->server);
}

const char *up_kubeconfig(const struct up *u)
{
	return apiserver_kubeconfig(u->server);
}

struct kube_client *up_client(const struct up *u)
{
	return u->admin;
}

/* ---- stop ---- */
static void lease_given_back(void *arg)
{
	struct up *u = arg;

	if (u->spec.stopped)
		u->spec.stopped(u->spec.arg);
}

static void pods_stopped(void *arg)
{
	struct up *u = arg;

	u->left = agent_active(u->agent);
	if (u->spec.stopped)
		u->spec.stopped(u->spec.arg);
}

static bool stops_with_us(void *arg, const struct obj *pod)
{
	return *(const bool *)arg || drain_is_ours(pod);
}

void up_stop(struct up *u)
{
	CLEANUP(mem_freep) char *mark = file_join(u->spec.data_dir, DRAIN_ALL_MARK);
	bool all = file_exists(mark);

	if (u->stopping)
		return;
	u->stopping = true;
	install_free(TAKE(u->install));
	platform_controllers_stop(TAKE(u->controllers));
	if (u->agent)
		agent_stop_pods(u->agent, stops_with_us, &all, all ? 0 : UP_STOP_GRACE_MS, pods_stopped, u);
	else if (u->lease) /* the next server takes over at once */
		lease_release(TAKE(u->lease), lease_given_back, u);
	else if (u->spec.stopped)
		u->spec.stopped(u->spec.arg);
}

size_t up_left_running(const struct up *u)
{
	return u->left;
}

void up_free(struct up *u)
{
	if (!u)
		return;
	u->stopping = true;
	prepare_free(u->prepare);
	install_free(u->install);
	kube_call_cancel(u->uncordon);
	kube_call_cancel(u->networks);
	platform_controllers_stop(u->controllers);
	lease_free(u->lease);
	loop_timer_free(u->lease_lost);
	apiserver_set_node_proxy(u->server, NULL, NULL);
	agent_stop(u->agent);
	net_free(u->net);
	kube_client_free(u->agent_client);
	kube_client_free(u->controllers_client);
	kube_client_free(u->admin);
	apiserver_free(u->server);
	store_free(u->store);
	free(u);
}
