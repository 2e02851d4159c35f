/* SPDX-License-Identifier: Apache-2.0 */
/* virt-handler: the guests of one node; see kubevirt/handler/handler.h. Takes its surroundings from the
 * environment: NODE_NAME, POD_NAMESPACE, KUBEVIRT_HOST_DIR. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kubevirt/api/names.h"
#include "kubevirt/handler/handler.h"

static const char usage[] = "usage: virt-handler [options]\n"
			    "  --node NAME         the node it runs on (NODE_NAME)\n"
			    "  --namespace NS      where KubeVirt is installed (POD_NAMESPACE; kubevirt)\n"
			    "  --host-dir DIR      directory of the virtual machines' files "
			    "(KUBEVIRT_HOST_DIR; /var/run/kubevirt)\n"
			    "  --kubeconfig FILE   how to reach the API server; in a pod that is known\n"
			    "  --host ADDRESS      listen there (all addresses)\n"
			    "  --port N            for virt-api (8186)\n"
			    "  --health-port N     for /healthz and /metrics (8443)\n"
			    "  --launcher-uid N    owner of the machines' directories (107)\n"
			    "  --kvm PATH          the KVM device (/dev/kvm)\n"
			    "  --qemu PATH         the QEMU to ask for its machine types\n"
			    "  --verbose           log more\n"
			    "  --version           print the version\n";

struct program {
	struct loop *loop;
	struct handler *handler;
	struct handler_spec spec;
	const char *kubeconfig;
	bool verbose, stopping;
	int status;
};

static const char *env_or(const char *name, const char *deflt)
{
	const char *v = getenv(name);

	return str_empty(v) ? deflt : v;
}

static void on_listening(void *arg, const char *which, int port, const struct err *e)
{
	struct program *p = arg;

	if (e) {
		p->status = 1;
		loop_stop(p->loop);
	}
}

static void on_stopped(void *arg)
{
	loop_stop(((struct program *)arg)->loop);
}

static void on_signal(void *arg)
{
	struct program *p = arg;

	if (p->stopping) {
		loop_stop(p->loop);
		return;
	}
	p->stopping = true;
	log_info("ending; the virtual machines go on");
	handler_stop(p->handler, on_stopped, p);
}

enum {
	OPT_NODE = 256,
	OPT_NAMESPACE,
	OPT_HOST_DIR,
	OPT_KUBECONFIG,
	OPT_HOST,
	OPT_PORT,
	OPT_HEALTH_PORT,
	OPT_UID,
	OPT_KVM,
	OPT_QEMU
};

static bool number(const char *text, int64_t max, int *ret)
{
	int64_t n;

	if (!str_to_i64(text, 0, max, &n)) {
		fprintf(stderr, "virt-handler: can not use \"%s\"\n", text);
		return false;
	}
	*ret = (int)n;
	return true;
}

/* Options with a value. */
static bool take(struct program *p, int o, const char *value)
{
	switch (o) {
	case OPT_NODE:
		p->spec.node = value;
		return true;
	case OPT_NAMESPACE:
		p->spec.ns = value;
		return true;
	case OPT_HOST_DIR:
		p->spec.host_dir = value;
		return true;
	case OPT_KUBECONFIG:
		p->kubeconfig = value;
		return true;
	case OPT_HOST:
		p->spec.host = value;
		return true;
	case OPT_PORT:
		return number(value, 65535, &p->spec.port);
	case OPT_HEALTH_PORT:
		return number(value, 65535, &p->spec.health_port);
	case OPT_UID:
		return number(value, INT32_MAX, &p->spec.launcher_uid);
	case OPT_KVM:
		p->spec.kvm = value;
		return true;
	case OPT_QEMU:
		p->spec.qemu = value;
		return true;
	default:
		return false;
	}
}

/* 0: go on; 1: done; -1: bad */
static int options(int argc, char **argv, struct program *p)
{
	static const struct option longs[] = { { "node", required_argument, NULL, OPT_NODE },
		{ "namespace", required_argument, NULL, OPT_NAMESPACE },
		{ "host-dir", required_argument, NULL, OPT_HOST_DIR },
		{ "kubeconfig", required_argument, NULL, OPT_KUBECONFIG },
		{ "host", required_argument, NULL, OPT_HOST }, { "port", required_argument, NULL, OPT_PORT },
		{ "health-port", required_argument, NULL, OPT_HEALTH_PORT },
		{ "launcher-uid", required_argument, NULL, OPT_UID },
		{ "kvm", required_argument, NULL, OPT_KVM }, { "qemu", required_argument, NULL, OPT_QEMU },
		{ "verbose", no_argument, NULL, 'v' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };

	for (int o; (o = getopt_long(argc, argv, "vh", longs, NULL)) != -1;) {
		if (o == 'v') {
			p->verbose = true;
		} else if (o == 'V') {
			puts("virt-handler " CORACLE_VERSION);
			return 1;
		} else if (o == 'h') {
			fputs(usage, stdout);
			return 1;
		} else if (!take(p, o, optarg)) {
			fputs(usage, stderr);
			return -1;
		}
	}
	if (optind < argc || str_empty(p->spec.node)) {
		fprintf(stderr, "virt-handler: %s\n",
			optind < argc ? "too many arguments" : "which node? NODE_NAME is empty");
		return -1;
	}
	return 0;
}

static int run(struct program *p)
{
	struct loop_signal *term, *intr;
	struct kube_config config = { 0 };
	struct err e;

	p->loop = p->spec.loop = loop_new();
	if (kube_config_load(p->kubeconfig, &config, &e) < 0 ||
		!(p->spec.client = kube_client_new(p->loop, &config, &e))) {
		log_error("%s", e.msg);
		kube_config_done(&config);
		loop_free(p->loop);
		return 1;
	}
	kube_client_set_manager(p->spec.client, KV_VIRT_HANDLER);
	if (handler_new(&p->spec, &p->handler, &e) < 0) {
		log_error("%s", e.msg);
		p->status = 1;
	} else {
		log_info("node %s, directory %s", p->spec.node, p->spec.host_dir);
		term = loop_signal_new(p->loop, SIGTERM, on_signal, p);
		intr = loop_signal_new(p->loop, SIGINT, on_signal, p);
		loop_run(p->loop);
		loop_signal_free(term);
		loop_signal_free(intr);
		handler_free(p->handler);
	}
	kube_client_free(p->spec.client);
	kube_config_done(&config);
	loop_free(p->loop);
	return p->status;
}

int main(int argc, char **argv)
{
	struct program p = { .spec = { .node = env_or("NODE_NAME", ""),
				     .ns = env_or("POD_NAMESPACE", KV_NAMESPACE_DEFAULT),
				     .host_dir = env_or(KV_HOST_DIR_ENV, KV_HOST_DIR_DEFAULT),
				     .launcher_uid = KV_LAUNCHER_UID,
				     .port = KV_PORT_HANDLER,
				     .health_port = KV_PORT_METRICS,
				     .listening = on_listening } };
	int rc = options(argc, argv, &p);

	if (rc)
		return rc < 0 ? 2 : 0;
	p.spec.arg = &p;
	log_init(KV_VIRT_HANDLER, p.verbose ? LOG_DEBUG : LOG_INFO);
	return run(&p);
}
