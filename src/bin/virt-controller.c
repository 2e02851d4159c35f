/* SPDX-License-Identifier: Apache-2.0 */
/* virt-controller: keeps virtual machines and their instances as they are declared. One of several replicas leads. See
 * docs/man/virt-controller.8. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/lease.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/synced.h"
#include "kubevirt/health/health.h"
#include "kubevirt/health/metrics.h"
#include "kubevirt/migration/migration.h"
#include "kubevirt/node/node.h"
#include "kubevirt/vm/vm.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/fleet.h"
#include "kubevirt/vmi/outdated.h"
#include "kubevirt/vmi/vmi.h"

#define LEASE_NAME "virt-controller"
#define STOP_MS 3000 /* for giving the lease back */

static const char usage[] =
	"usage: virt-controller --launcher-image IMAGE [--port N] [--host ADDRESS] [--namespace NS]\n"
	"                       [--kubeconfig FILE] [--identity NAME] [--verbose] [--version]\n"
	"                       [--additional-launcher-annotations-sync KEYS]\n"
	"                       [--additional-launcher-labels-sync KEYS]\n";

struct options {
	const char *launcher_image, *host, *ns, *kubeconfig, *identity;
	int port;
	bool verbose;
	struct synced_keys synced;
};

struct program {
	struct options o;
	struct loop *loop;
	struct kube_client *client;
	struct cache *kubevirts; /* for health, which a standby tells as well */
	struct health *health;
	struct lease *lease;
	struct controller_set *set;            /* while leading */
	struct cache *vms, *vmis, *migrations; /* of the set */
	struct cache *types[5];                /* of instance types, preferences and revisions; of the set */
	struct outdated *outdated;             /* likewise */
	struct loop_timer *stop;
	struct vm_env vm_env;
	struct vmi_env vmi_env;
	struct node_env node_env;
	bool stopping;
	int status;
};

static const char *env_or(const char *name, const char *deflt)
{
	const char *v = getenv(name);

	return str_empty(v) ? deflt : v;
}

/* ---- leading ---- */
static void on_leading(void *arg)
{
	static const struct kind *const types[] = { &kind_instancetype, &kind_clusterinstancetype,
		&kind_preference, &kind_clusterpreference, &kind_controllerrevision };
	struct program *p = arg;

	log_info("leading");
	p->node_env.started_ms = loop_wall_ms(p->loop);
	p->set = controllers_new(p->client, KV_VIRT_CONTROLLER);
	controllers_add(p->set, &vm_controller, &p->vm_env);
	controllers_add(p->set, &vmi_controller, &p->vmi_env);
	controllers_add(p->set, &node_controller, &p->node_env);
	controllers_add(p->set, &updater_controller, NULL);
	controllers_add(p->set, &vmim_controller, NULL);
	for (size_t i = 0; i < ARRAY_LEN(p->types); i++)
		p->types[i] = controllers_cache(p->set, types[i]);
	p->vms = controllers_cache(p->set, &kind_vm);
	p->vmis = controllers_cache(p->set, &kind_vmi);
	p->migrations = controllers_cache(p->set, &kind_vmim);
	p->outdated = outdated_new(p->client, p->vmis, controllers_cache(p->set, &kind_kubevirt));
	controllers_start(p->set);
}

/* Another one may lead already: whatever we still do could collide with it. */
static void on_lost(void *arg)
{
	struct program *p = arg;

	if (p->stopping)
		return;
	log_error("lost the lease %s", LEASE_NAME);
	p->status = 1;
	loop_stop(p->loop);
}

/* ---- metrics ---- */
static struct fleet_list list_of(const struct cache *c)
{
	struct fleet_list l = { .items = mem_alloc((cache_len(c) + 1) * sizeof(l.items[0])) };
	const struct obj *o;

	for (size_t i = 0; (o = cache_at(c, i)); i++)
		l.items[l.n++] = o;
	return l;
}

static const struct json *get_type(
	struct it_lookup *l, const struct kind *k, const char *ns, const char *name)
{
	const struct program *p = l->arg;
	CLEANUP(mem_freep) char *key = kind_key(k->namespaced ? ns : NULL, name);
	const struct obj *o = NULL;

	for (size_t i = 0; i < ARRAY_LEN(p->types) && !o; i++)
		if (cache_kind(p->types[i]) == k)
			o = cache_get(p->types[i], key);
	return o ? obj_json(o) : NULL;
}

static void fleet(struct program *p, struct str *out)
{
	struct it_lookup types = { .get = get_type, .arg = p };
	struct kv_config config;
	struct fleet f = { .vms = list_of(p->vms),
		.vmis = list_of(p->vmis),
		.migrations = list_of(p->migrations),
		.types = &types,
		.config = &config };

	kv_config_cached(p->kubevirts, &config);
	fleet_metrics(&f, out);
	free(f.vms.items);
	free(f.vmis.items);
	free(f.migrations.items);
}

static void on_metrics(void *arg, struct str *out)
{
	struct program *p = arg;

	metric_family(out, "kubevirt_virt_controller_leading_status", "gauge", "Whether this replica leads.");
	metric_i64(out, "kubevirt_virt_controller_leading_status", NULL, p->set != NULL);
	if (!p->set)
		return;
	fleet(p, out);
	controllers_metrics(p->set, out);
}

/* ---- the end ---- */
static void on_released(void *arg)
{
	struct program *p = arg;

	loop_stop(p->loop);
}

static void on_signal(void *arg)
{
	struct program *p = arg;

	if (p->stopping) {
		loop_stop(p->loop);
		return;
	}
	p->stopping = true;
	log_info("ending");
	controllers_free(TAKE(p->set));
	outdated_free(TAKE(p->outdated));
	p->vms = p->vmis = p->migrations = NULL;
	loop_timer_set(p->stop, STOP_MS);
	lease_release(TAKE(p->lease), on_released, p);
}

/* ---- start ---- */
/* 0: go on; 1: done; -1: bad */
static int options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "launcher-image", required_argument, NULL, 'l' },
		{ "port", required_argument, NULL, 'p' }, { "host", required_argument, NULL, 'H' },
		{ "namespace", required_argument, NULL, 'n' }, { "kubeconfig", required_argument, NULL, 'k' },
		{ "identity", required_argument, NULL, 'i' }, { "verbose", no_argument, NULL, 'v' },
		{ "additional-launcher-annotations-sync", required_argument, NULL, 'A' },
		{ "additional-launcher-labels-sync", required_argument, NULL, 'L' },
		{ "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 } };
	int64_t n;

	for (int c; (c = getopt_long(argc, argv, "l:p:n:vh", longs, NULL)) != -1;) {
		const char **text = c == 'l'   ? &o->launcher_image
				    : c == 'H' ? &o->host
				    : c == 'n' ? &o->ns
				    : c == 'k' ? &o->kubeconfig
				    : c == 'i' ? &o->identity
					       : NULL;
		if (text) {
			*text = optarg;
		} else if (c == 'p' && str_to_i64(optarg, 0, 65535, &n)) {
			o->port = (int)n;
		} else if (c == 'A' || c == 'L') {
			synced_keys_add(c == 'A' ? &o->synced.annotations : &o->synced.labels, optarg);
		} else if (c == 'v') {
			o->verbose = true;
		} else if (c == 'V') {
			puts("virt-controller " CORACLE_VERSION);
			return 1;
		} else if (c == 'h') {
			fputs(usage, stdout);
			return 1;
		} else {
			fputs(usage, stderr);
			return -1;
		}
	}
	if (o->launcher_image)
		return 0;
	fputs("virt-controller: --launcher-image is needed\n", stderr);
	return -1;
}

static void on_listening(void *arg, int port, const struct err *e)
{
	if (e)
		log_error("health: %s", e->msg);
	else
		log_info("health on port %d", port);
}

static int start(struct program *p, const struct kube_config *config, struct err *e)
{
	static const struct lease_ops ops = { on_leading, on_lost };

	p->client = kube_client_new(p->loop, config, e);
	if (!p->client)
		return -1;
	kube_client_set_manager(p->client, KV_VIRT_CONTROLLER);
	p->kubevirts = cache_new(p->client, &kind_kubevirt, NULL);
	cache_start(p->kubevirts);
	p->health = health_new(&(struct health_spec){ .loop = p->loop,
		.client = p->client,
		.ns = p->o.ns,
		.secret = KV_SECRET_CONTROLLER,
		.host = p->o.host,
		.port = p->o.port,
		.kubevirts = p->kubevirts,
		.metrics = on_metrics,
		.listening = on_listening,
		.arg = p });
	p->lease = lease_new(p->client, p->o.ns, LEASE_NAME, p->o.identity, &ops, p);
	return 0;
}

static void run(struct program *p)
{
	struct loop_signal *term = loop_signal_new(p->loop, SIGTERM, on_signal, p);
	struct loop_signal *intr = loop_signal_new(p->loop, SIGINT, on_signal, p);

	p->stop = loop_timer_new(p->loop, on_released, p);
	loop_run(p->loop);
	loop_timer_free(p->stop);
	loop_signal_free(term);
	loop_signal_free(intr);
}

int main(int argc, char **argv)
{
	char host[256] = "virt-controller";
	struct kube_config config = { 0 };
	struct program p = { .o = { .port = KV_PORT_METRICS } };
	struct err e;
	int rc;

	gethostname(host, sizeof(host) - 1);
	p.o.ns = env_or("POD_NAMESPACE", KV_NAMESPACE_DEFAULT);
	p.o.identity = env_or("POD_NAME", host);
	rc = options(argc, argv, &p.o);
	if (rc)
		return rc < 0 ? 2 : 0;
	log_init(KV_VIRT_CONTROLLER, p.o.verbose ? LOG_DEBUG : LOG_INFO);
	if (kube_config_load(p.o.kubeconfig, &config, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	p.vm_env.synced = &p.o.synced;
	p.vmi_env = (struct vmi_env){ .synced = &p.o.synced,
		.launcher_image = p.o.launcher_image,
		.host_dir = env_or(KV_HOST_DIR_ENV, KV_HOST_DIR_DEFAULT) };
	p.loop = loop_new();
	if (start(&p, &config, &e) < 0) {
		log_error("%s", e.msg);
		p.status = 1;
	} else {
		run(&p);
	}
	controllers_free(p.set);
	outdated_free(p.outdated);
	lease_free(p.lease);
	health_free(p.health);
	cache_free(p.kubevirts);
	kube_client_free(p.client);
	loop_free(p.loop);
	kube_config_done(&config);
	synced_keys_done(&p.o.synced);
	return p.status;
}
