/* SPDX-License-Identifier: Apache-2.0 */
/* virt-api: admission webhooks and the aggregated API subresources.kubevirt.io. See docs/man/virt-api.8. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "kube/client.h"
#include "kubevirt/webhook/server.h"

static const char usage[] = "usage: virt-api [--port N] [--host ADDRESS] [--namespace NS] [--kubeconfig "
			    "FILE] [--handler-port N]\n"
			    "                [--verbose] [--version]\n";

struct program {
	struct loop *loop;
	int status;
};

static void on_ready(void *arg, int port, const struct err *e)
{
	struct program *p = arg;

	if (!e) {
		log_info("listening on port %d", port);
		return;
	}
	log_error("%s", e->msg);
	p->status = 1;
	loop_stop(p->loop);
}

static void on_signal(void *arg)
{
	struct program *p = arg;
	loop_stop(p->loop);
}

static int number(const char *text, int *ret)
{
	int64_t n;
	if (!str_to_i64(text, 0, 65535, &n)) {
		fprintf(stderr, "virt-api: not a port: %s\n", text);
		return -1;
	}
	*ret = (int)n;
	return 0;
}

/* 0: go on; 1: done; -1: bad */
static int options(int argc, char **argv, struct virt_api_spec *spec, const char **kubeconfig, bool *verbose)
{
	static const struct option longs[] = { { "port", required_argument, NULL, 'p' },
		{ "host", required_argument, NULL, 'H' }, { "namespace", required_argument, NULL, 'n' },
		{ "kubeconfig", required_argument, NULL, 'k' },
		{ "handler-port", required_argument, NULL, 'q' }, { "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };

	for (int o; (o = getopt_long(argc, argv, "p:n:vh", longs, NULL)) != -1;) {
		switch (o) {
		case 'p':
			if (number(optarg, &spec->port) < 0)
				return -1;
			break;
		case 'q':
			if (number(optarg, &spec->handler_port) < 0)
				return -1;
			break;
		case 'H':
			spec->host = optarg;
			break;
		case 'n':
			spec->install_ns = optarg;
			break;
		case 'k':
			*kubeconfig = optarg;
			break;
		case 'v':
			*verbose = true;
			break;
		case 'V':
			printf("virt-api %s\n", CORACLE_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			fputs(usage, stderr);
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *ns = getenv("POD_NAMESPACE"), *kubeconfig = NULL;
	struct program p = { 0 };
	struct virt_api_spec spec = { .install_ns = str_empty(ns) ? KV_NAMESPACE_DEFAULT : ns,
		.port = KV_PORT_API,
		.ready = on_ready,
		.arg = &p };
	struct kube_config config = { 0 };
	bool verbose = false;
	struct err e;

	int rc = options(argc, argv, &spec, &kubeconfig, &verbose);
	if (rc)
		return rc < 0 ? 2 : 0;
	log_init("virt-api", verbose ? LOG_DEBUG : LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	if (kube_config_load(kubeconfig, &config, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	p.loop = spec.loop = loop_new();
	spec.client = kube_client_new(p.loop, &config, &e);
	if (!spec.client) {
		log_error("%s", e.msg);
		return 1;
	}
	kube_client_set_manager(spec.client, "virt-api");
	struct virt_api *api = virt_api_new(&spec);
	struct loop_signal *term = loop_signal_new(p.loop, SIGTERM, on_signal, &p);
	struct loop_signal *intr = loop_signal_new(p.loop, SIGINT, on_signal, &p);
	loop_run(p.loop);
	log_info("ending");
	virt_api_free(api);
	kube_client_free(spec.client);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_free(p.loop);
	kube_config_done(&config);
	return p.status;
}
