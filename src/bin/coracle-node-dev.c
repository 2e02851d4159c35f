/* SPDX-License-Identifier: Apache-2.0 */
/* API server, scheduler, controllers and node agent in one process, for developing and testing the node
 * side by itself; `coracle up` takes its place.
 *
 *   coracle-node-dev DATA_DIR [PORT] */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/agent/agent.h"
#include "platform/apiserver/apiserver.h"
#include "platform/controllers/controllers.h"

#include <signal.h>
#include <stdio.h>

static void stop(void *arg)
{
	loop_stop(arg);
}

static void node_request(void *arg, const struct node_request *r)
{
	agent_serve(arg, r->verb, r->pod, r->http);
}

struct parts {
	struct loop *loop;
	struct net *net;
	struct apiserver *server;
	struct kube_client *clients[2];
	struct agent *agent;
	struct platform_controllers *controllers;
};

static int start(struct parts *p, struct apiserver_spec *spec, struct err *e)
{
	static const char *const users[] = { "system:node", "system:kube-controller-manager" };
	struct agent_spec as = { .data_dir = spec->data_dir };
	CLEANUP(mem_freep) char *db = file_join(spec->data_dir, "state.db");

	if (file_mkdirs(spec->data_dir, 0700, e) < 0 || !(p->net = net_new(p->loop, spec->data_dir, e)) ||
		!(spec->store = store_sqlite_open(p->loop, db, e)))
		return -1;
	spec->host = net_bridge_ip(p->net);
	p->server = apiserver_new(p->loop, spec, e);
	if (!p->server)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		struct kube_transport t = apiserver_transport(p->server, users[i], NULL);

		p->clients[i] = kube_client_new_transport(p->loop, &t);
	}
	as.net = p->net;
	as.api_host = net_bridge_ip(p->net);
	as.api_port = apiserver_port(p->server);
	p->agent = agent_start(p->loop, p->clients[0], &as, e);
	if (!p->agent)
		return -1;
	apiserver_set_node_proxy(p->server, node_request, p->agent);
	p->controllers =
		platform_controllers_start(p->clients[1], apiserver_ca_pem(p->server), spec->data_dir);
	printf("%s\n", apiserver_kubeconfig(p->server));
	fflush(stdout);
	return 0;
}

static void finish(struct parts *p)
{
	platform_controllers_stop(p->controllers);
	if (p->server)
		apiserver_set_node_proxy(p->server, NULL, NULL);
	agent_stop(p->agent);
	for (size_t i = 0; i < ARRAY_LEN(p->clients); i++)
		kube_client_free(p->clients[i]);
	apiserver_free(p->server);
	net_free(p->net);
}

int main(int argc, char **argv)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct apiserver_spec spec = { 0 };
	struct parts p = { 0 };
	struct loop_signal *term, *intr;
	struct err e = { 0 };
	int64_t port = 0;
	int r = 0;

	if (argc < 2 || (argc > 2 && !str_to_i64(argv[2], 0, 65535, &port))) {
		fprintf(stderr, "usage: coracle-node-dev DATA_DIR [PORT]\n");
		return 2;
	}
	log_init("node-dev", LOG_INFO);
	p.loop = l = loop_new();
	spec.data_dir = argv[1];
	spec.port = (int)port;
	term = loop_signal_new(l, SIGTERM, stop, l);
	intr = loop_signal_new(l, SIGINT, stop, l);
	if (start(&p, &spec, &e) < 0) {
		log_error("%s", e.msg);
		r = 1;
	} else {
		loop_run(l);
	}
	finish(&p);
	if (spec.store)
		store_free(spec.store);
	loop_signal_free(term);
	loop_signal_free(intr);
	return r;
}
