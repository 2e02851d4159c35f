/* SPDX-License-Identifier: Apache-2.0 */
/* virt-operator: keeps one KubeVirt installed. Reads its surroundings from the environment (docs/man/virt-operator.8), elects
 * a leader, runs the controller of kubevirt/operator/install.h. */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kube/controller.h"
#include "kube/lease.h"
#include "kubevirt/api/names.h"
#include "kubevirt/operator/install.h"
#include "kubevirt/operator/render.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static const char *env_or(const char *name, const char *deflt)
{
	const char *v = getenv(name);

	return str_empty(v) ? deflt : v;
}

static void settings_read(struct operator_settings *s)
{
	static const char *const image_env[COMPONENT_MAX] = {
#define X(id, name, env) env,
		COMPONENTS(X)
#undef X
	};
	static const char extra[] = "KV_IO_EXTRA_ENV_";

	s->ns = mem_strdup(env_or("POD_NAMESPACE", KV_NAMESPACE_DEFAULT));
	s->version = mem_strdup(env_or("KUBEVIRT_VERSION", CORACLE_VERSION));
	s->host_dir = mem_strdup(env_or(KV_HOST_DIR_ENV, KV_HOST_DIR_DEFAULT));
	s->pod_name = mem_strdup(env_or("POD_NAME", "virt-operator"));
	for (int i = 0; i < COMPONENT_MAX; i++)
		if (getenv(image_env[i]))
			s->images[i] = mem_strdup(getenv(image_env[i]));
	if (!s->images[COMPONENT_OPERATOR] && getenv("OPERATOR_IMAGE"))
		s->images[COMPONENT_OPERATOR] = mem_strdup(getenv("OPERATOR_IMAGE"));
	for (char **p = environ; *p; p++)
		if (str_starts(*p, extra))
			strv_add(&s->extra_env, *p + sizeof(extra) - 1);
}

static void settings_done(struct operator_settings *s)
{
	free(s->ns);
	free(s->version);
	free(s->host_dir);
	free(s->pod_name);
	for (int i = 0; i < COMPONENT_MAX; i++)
		free(s->images[i]);
	strv_done(&s->extra_env);
}

struct program {
	struct loop *loop;
	struct controller_set *controllers;
	struct lease *lease;
	struct operator_settings settings;
	int status;
};

static void on_leading(void *arg)
{
	struct program *p = arg;

	log_info("leading");
	controllers_start(p->controllers);
}

static void on_lost(void *arg)
{
	struct program *p = arg;

	log_error("the lease is lost: another one leads");
	p->status = 1;
	loop_stop(p->loop);
}

static void on_released(void *arg)
{
	struct program *p = arg;

	loop_stop(p->loop);
}

static void on_signal(void *arg)
{
	struct program *p = arg;
	struct lease *lease = TAKE(p->lease);

	if (lease)
		lease_release(lease, on_released, p);
	else
		loop_stop(p->loop);
}

static int run(struct program *p)
{
	struct lease_ops ops = { .leading = on_leading, .lost = on_lost };
	struct kube_config config = { 0 };
	struct kube_client *client;
	struct loop_signal *term, *interrupt;
	struct err e = { 0 };

	p->loop = loop_new();
	if (kube_config_load(NULL, &config, &e) < 0 || !(client = kube_client_new(p->loop, &config, &e))) {
		log_error("%s", e.msg);
		kube_config_done(&config);
		return 1;
	}
	kube_client_set_manager(client, KV_VIRT_OPERATOR);
	p->controllers = controllers_new(client, KV_VIRT_OPERATOR);
	controllers_add(p->controllers, &operator_controller, &p->settings);
	term = loop_signal_new(p->loop, SIGTERM, on_signal, p);
	interrupt = loop_signal_new(p->loop, SIGINT, on_signal, p);
	p->lease = lease_new(client, p->settings.ns, KV_VIRT_OPERATOR, p->settings.pod_name, &ops, p);
	log_info("%s of %s in namespace %s", KV_VIRT_OPERATOR, p->settings.version, p->settings.ns);
	loop_run(p->loop);
	if (p->lease)
		lease_free(p->lease);
	controllers_free(p->controllers);
	loop_signal_free(term);
	loop_signal_free(interrupt);
	kube_client_free(client);
	kube_config_done(&config);
	loop_free(p->loop);
	return p->status;
}

static const char usage[] =
	"usage: virt-operator [--print-manifest | --print-cr] [--image IMAGE] [--namespace NS] [--host-dir "
	"DIR] [-v LEVEL]\n"
	"  Without --print-... it runs as the operator, in a pod or with KUBECONFIG.\n"
	"  --print-manifest  what has to be applied before it can run, as YAML\n"
	"  --print-cr        the KubeVirt object that asks for an installation\n"
	"  --image           image of virt-operator (VIRT_OPERATOR_IMAGE)\n"
	"  --namespace       where to install (POD_NAMESPACE; kubevirt)\n"
	"  --host-dir        directory on nodes for the virtual machines' files (KUBEVIRT_HOST_DIR)\n"
	"  -v                0 errors, 1 warnings, 2 information, 3 debugging\n";

static void replace(char **slot, const char *value)
{
	free(*slot);
	*slot = mem_strdup(value);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "print-manifest", no_argument, NULL, 'm' },
		{ "print-cr", no_argument, NULL, 'c' }, { "image", required_argument, NULL, 'i' },
		{ "namespace", required_argument, NULL, 'n' }, { "host-dir", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	CLEANUP(str_done) struct str out = { 0 };
	struct program p = { 0 };
	int opt, level = LOG_INFO, print = 0, status = 0;

	settings_read(&p.settings);
	while ((opt = getopt_long(argc, argv, "v:h", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
		case 'c':
			print = opt;
			break;
		case 'i':
			replace(&p.settings.images[COMPONENT_OPERATOR], optarg);
			break;
		case 'n':
			replace(&p.settings.ns, optarg);
			break;
		case 'd':
			replace(&p.settings.host_dir, optarg);
			break;
		case 'v':
			level = *optarg >= '0' && *optarg <= '3' ? *optarg - '0' : LOG_INFO;
			break;
		case 'V':
			puts(CORACLE_VERSION);
			settings_done(&p.settings);
			return 0;
		default:
			fputs(usage, opt == 'h' ? stdout : stderr);
			settings_done(&p.settings);
			return opt == 'h' ? 0 : 2;
		}
	}
	log_init(KV_VIRT_OPERATOR, level);
	if (print == 'm' && !p.settings.images[COMPONENT_OPERATOR])
		p.settings.images[COMPONENT_OPERATOR] =
			str_printf("coracle.dev/virt-operator:%s", p.settings.version);
	if (print == 'm')
		render_manifest(&p.settings, &out);
	else if (print == 'c')
		render_cr(&p.settings, &out);
	else
		status = run(&p);
	if (print)
		fwrite(out.data, 1, out.len, stdout);
	settings_done(&p.settings);
	return status;
}
