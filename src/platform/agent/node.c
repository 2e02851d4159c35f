/* SPDX-License-Identifier: Apache-2.0 */
/* The Node object of this host and its lease. What others write to it (extended resources, conditions, labels) stays. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "api/quantity.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LEASE_NS "kube-node-lease"
#define LEASE_SECONDS 40
#define HEARTBEAT_MS 10000
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 10000
#define MEMORY_RESERVED (100LL << 20) /* kubelet's eviction threshold, which it keeps from pods */

struct node_reg {
	struct agent *agent;
	struct kube_call *call, *beat;
	struct loop_timer *retry, *heartbeat;
	int failures;
	bool registered, lease_made;
};

static void look(void *arg);

static int64_t memory_total(void)
{
	CLEANUP(mem_freep) char *text = NULL;
	char *at;

	if (file_read("/proc/meminfo", 65536, &text, NULL, NULL) < 0 || !(at = strstr(text, "MemTotal:")))
		return 0;
	return strtoll(at + 9, NULL, 10) * 1024;
}

static const char *arch_of(const char *machine)
{
	static const char *const map[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" },
		{ "s390x", "s390x" }, { "riscv64", "riscv64" }, { "ppc64le", "ppc64le" } };

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (str_eq(machine, map[i][0]))
			return map[i][1];
	return machine;
}

static void put_labels(const struct agent *a, struct json_doc *d, struct json *o)
{
	struct utsname u;

	uname(&u);
	meta_set_label(d, o, "kubernetes.io/hostname", a->node_name);
	meta_set_label(d, o, "kubernetes.io/os", "linux");
	meta_set_label(d, o, "kubernetes.io/arch", arch_of(u.machine));
	meta_set_label(d, o, "node-role.kubernetes.io/control-plane", "");
}

static void put_amounts(const struct agent *a, struct json_doc *d, struct json *o, int64_t memory)
{
	char buf[QUANTITY_TEXT_MAX];
	struct statvfs fs;

	/* Spelled as the server stores them: settle() compares. */
	json_set_str(d, o, "cpu", quantity_milli_text(a->cpu_millis, buf));
	json_set_str(d, o, "memory", quantity_bytes_text(memory / 1024 * 1024, buf));
	json_set_str(d, o, "pods", quantity_milli_text(AGENT_PODS_MAX * 1000LL, buf));
	hugepages_put(d, o);
	if (statvfs(a->dir, &fs) == 0)
		json_set_str(d, o, "ephemeral-storage",
			quantity_bytes_text((int64_t)fs.f_blocks * (int64_t)fs.f_frsize / 1024 * 1024, buf));
}

static void put_info(const struct agent *a, struct json_doc *d, struct json *status)
{
	struct json *i = json_need_obj(d, status, "nodeInfo");
	CLEANUP(mem_freep) char *id = NULL;
	CLEANUP(mem_freep) char *boot = NULL;
	struct utsname u;

	uname(&u);
	file_read("/etc/machine-id", 256, &id, NULL, NULL);
	file_read("/proc/sys/kernel/random/boot_id", 256, &boot, NULL, NULL);
	json_set_strf(d, i, "machineID", "%.*s", (int)strcspn(id ? id : "", "\n"), id ? id : "");
	json_set_strf(d, i, "systemUUID", "%.*s", (int)strcspn(id ? id : "", "\n"), id ? id : "");
	json_set_strf(d, i, "bootID", "%.*s", (int)strcspn(boot ? boot : "", "\n"), boot ? boot : "");
	json_set_str(d, i, "kernelVersion", u.release);
	json_set_str(d, i, "osImage", "Linux");
	json_set_strf(d, i, "containerRuntimeVersion", "coracle://%s", a->runtime.name);
	json_set_str(d, i, "kubeletVersion", CORACLE_VERSION);
	json_set_str(d, i, "kubeProxyVersion", "");
	json_set_str(d, i, "operatingSystem", "linux");
	json_set_str(d, i, "architecture", arch_of(u.machine));
}

static void put_addresses(const struct agent *a, struct json_doc *d, struct json *status)
{
	struct json *list = json_new_arr(d), *ip = json_new_obj(d), *name = json_new_obj(d);

	json_set_str(d, ip, "type", "InternalIP");
	json_set_str(d, ip, "address", net_host_ip(a->net));
	json_append(d, list, ip);
	json_set_str(d, name, "type", "Hostname");
	json_set_str(d, name, "address", a->node_name);
	json_append(d, list, name);
	json_set(d, status, "addresses", list);
}

static void put_status(const struct agent *a, struct json_doc *d, struct json *o, int64_t now)
{
	struct json *status = json_need_obj(d, o, "status");

	put_amounts(a, d, json_need_obj(d, status, "capacity"), a->memory_bytes + MEMORY_RESERVED);
	put_amounts(a, d, json_need_obj(d, status, "allocatable"), a->memory_bytes);
	put_info(a, d, status);
	put_addresses(a, d, status);
	cond_set(d, status, "MemoryPressure", "False", "KubeletHasSufficientMemory",
		"kubelet has sufficient memory available", now);
	cond_set(d, status, "DiskPressure", "False", "KubeletHasNoDiskPressure",
		"kubelet has no disk pressure", now);
	cond_set(d, status, "PIDPressure", "False", "KubeletHasSufficientPID",
		"kubelet has sufficient PID available", now);
	cond_set(d, status, "Ready", "True", "KubeletReady", "the node agent is running", now);
}

/* ---- registering: look, create or change, look again ---- */
static void again(struct node_reg *n, const struct err *e)
{
	if (e->code != ERR_CONFLICT && e->code != ERR_EXISTS)
		log_warn("registering node %s: %s", n->agent->node_name, e->msg);
	loop_timer_set(n->retry, back_off_ms(++n->failures, RETRY_MIN_MS, RETRY_MAX_MS));
}

static void wrote(void *arg, const struct obj *o, const struct err *e)
{
	struct node_reg *n = arg;

	n->call = NULL;
	if (e)
		again(n, e);
	else
		look(n);
}

static void create(struct node_reg *n)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'apiVersion':'v1','kind':'Node','metadata':{},'spec':{}}");

	json_put_str(d, json_root(d), "/metadata/name", n->agent->node_name);
	put_labels(n->agent, d, json_root(d));
	put_status(n->agent, d, json_root(d), loop_wall_ms(n->agent->loop));
	n->call = kube_create(n->agent->client, &pk_node, NULL, json_root(d), wrote, n);
}

/* One write at a time: labels first, then status. */
static void settle(struct node_reg *n, const struct obj *o)
{
	struct agent *a = n->agent;
	CLEANUP(json_doc_freep) struct json_doc *labels = obj_draft(o);
	CLEANUP(json_doc_freep) struct json_doc *status = obj_draft(o);

	put_labels(a, labels, json_root(labels));
	put_status(a, status, json_root(status), loop_wall_ms(a->loop));
	n->failures = 0;
	if (!json_eq(json_root(labels), obj_json(o))) {
		n->call = kube_update(
			a->client, &pk_node, NULL, a->node_name, NULL, json_root(labels), wrote, n);
	} else if (!json_eq(json_root(status), obj_json(o))) {
		n->call = kube_update(
			a->client, &pk_node, NULL, a->node_name, "status", json_root(status), wrote, n);
	} else if (!n->registered) {
		n->registered = true;
		log_info("node %s is registered", a->node_name);
	}
}

static void got(void *arg, const struct obj *o, const struct err *e)
{
	struct node_reg *n = arg;

	n->call = NULL;
	if (o)
		settle(n, o);
	else if (e->code == ERR_NOT_FOUND)
		create(n);
	else
		again(n, e);
}

static void look(void *arg)
{
	struct node_reg *n = arg;

	if (!n->call)
		n->call = kube_get(n->agent->client, &pk_node, NULL, n->agent->node_name, got, n);
}

/* ---- heartbeat ---- */
static void beat_done(void *arg, const struct obj *o, const struct err *e)
{
	struct node_reg *n = arg;
	struct agent *a = n->agent;
	char now[TIME_TEXT_MAX];

	n->beat = NULL;
	if (e && e->code == ERR_NOT_FOUND && n->registered && !n->lease_made) {
		CLEANUP(json_doc_freep)
		struct json_doc *d = json_lit("{'apiVersion':'coordination.k8s.io/v1','kind':'Lease',"
					      "'metadata':{'namespace':'" LEASE_NS "'},'spec':{}}");

		n->lease_made = true; /* once a beat: a missing namespace must not make us spin */
		json_put_str(d, json_root(d), "/metadata/name", a->node_name);
		json_put_str(d, json_root(d), "/spec/holderIdentity", a->node_name);
		json_put(d, json_root(d), "/spec/leaseDurationSeconds", json_new_i64(d, LEASE_SECONDS));
		json_put_str(
			d, json_root(d), "/spec/renewTime", time_rfc3339_micro(loop_wall_ms(a->loop), now));
		n->beat = kube_create(a->client, &pk_lease, LEASE_NS, json_root(d), beat_done, n);
	} else if (e) {
		log_debug("lease of node %s: %s", a->node_name, e->msg);
	}
}

static void beat(void *arg)
{
	struct node_reg *n = arg;
	struct agent *a = n->agent;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'spec':{}}");
	char now[TIME_TEXT_MAX];

	loop_timer_set(n->heartbeat, HEARTBEAT_MS);
	if (n->beat)
		return;
	n->lease_made = false;
	json_put_str(d, json_root(d), "/spec/holderIdentity", a->node_name);
	json_put_str(d, json_root(d), "/spec/renewTime", time_rfc3339_micro(loop_wall_ms(a->loop), now));
	n->beat = kube_patch(a->client, &pk_lease, LEASE_NS, a->node_name, NULL, KUBE_PATCH_MERGE,
		json_root(d), beat_done, n);
}

static void node_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct node_reg *n = arg;

	/* Deleted by somebody, or called not ready while we were away */
	if (n->registered &&
		(!new || !cond_is(json_at(obj_json(new), "/status/conditions"), "Ready", "True"))) {
		n->registered = false;
		look(n);
	}
}

struct node_reg *node_reg_new(struct agent *a)
{
	struct node_reg *n = MEM_NEW(struct node_reg);

	n->agent = a;
	a->cpu_millis = 1000 * (int64_t)sysconf(_SC_NPROCESSORS_ONLN);
	a->memory_bytes = memory_total() - MEMORY_RESERVED;
	n->retry = loop_timer_new(a->loop, look, n);
	n->heartbeat = loop_timer_new(a->loop, beat, n);
	cache_on_change(a->nodes, node_changed, n);
	look(n);
	loop_timer_set(n->heartbeat, 500);
	return n;
}

void node_reg_free(struct node_reg *n)
{
	if (!n)
		return;
	kube_call_cancel(n->call);
	kube_call_cancel(n->beat);
	loop_timer_free(n->retry);
	loop_timer_free(n->heartbeat);
	free(n);
}
