/* SPDX-License-Identifier: Apache-2.0 */
/* coracle status: what runs, asked of the API server like any client. */
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "bin/coracle.h"
#include "kube/client.h"
#include "platform/clients/kinds.h"
#include "platform/up/instance.h"

#include <stdio.h>
#include <string.h>

#define PROC_FILE_MAX 8192

static const struct kind kind_kv = {
	.group = "kubevirt.io", .version = "v1", .kind = "KubeVirt", .plural = "kubevirts", .namespaced = true
};
static const struct kind kind_vm = { .group = "kubevirt.io",
	.version = "v1",
	.kind = "VirtualMachine",
	.plural = "virtualmachines",
	.namespaced = true };

struct listing {
	void (*row)(const struct obj *o);
	const char *head;
	bool done, failed;
	size_t n;
};

static const char *at(const struct obj *o, const char *pointer)
{
	return json_str_or(json_at(obj_json(o), pointer), "-");
}

static const char *condition(const struct obj *o, const char *type)
{
	JSON_EACH (it, json_at(obj_json(o), "/status/conditions"))
		if (str_eq(json_get_str(it.val, "type"), type))
			return json_str_or(json_get(it.val, "status"), "-");
	return "-";
}

static void node_row(const struct obj *o)
{
	printf("  node %-34s Ready=%s%s\n", obj_name(o), condition(o, "Ready"),
		json_bool(json_at(obj_json(o), "/spec/unschedulable")) ? ", closed" : "");
}

static void kubevirt_row(const struct obj *o)
{
	printf("  KubeVirt %s/%-22s %s, %s, Available=%s\n", obj_namespace(o), obj_name(o),
		at(o, "/status/phase"), at(o, "/status/observedKubeVirtVersion"), condition(o, "Available"));
}

static void pod_row(const struct obj *o)
{
	int64_t restarts = 0;
	char left[256];

	JSON_EACH (it, json_at(obj_json(o), "/status/containerStatuses"))
		restarts += json_i64(json_get(it.val, "restartCount"));
	snprintf(left, sizeof(left), "%s/%s", obj_namespace(o), obj_name(o));
	printf("  pod %-46s %s, Ready=%s, %lld restarts\n", left, at(o, "/status/phase"),
		condition(o, "Ready"), (long long)restarts);
}

static void vm_row(const struct obj *o)
{
	char left[256];

	snprintf(left, sizeof(left), "%s/%s", obj_namespace(o), obj_name(o));
	printf("  VM %-47s %s\n", left, at(o, "/status/printableStatus"));
}

static void listed(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct listing *l = arg;

	l->done = true;
	l->failed = e != NULL;
	l->n = n;
	for (size_t i = 0; i < n; i++)
		l->row(items[i]);
}

static bool list(
	struct loop *loop, struct kube_client *c, const struct kind *k, void (*row)(const struct obj *o))
{
	struct listing l = { .row = row };

	kube_list(c, k, &(struct kube_list_opts){ .any_version = true }, listed, &l);
	while (!l.done)
		loop_step(loop, -1);
	return !l.failed;
}

static long resident_kib(pid_t pid)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/%d/status", (int)pid);
	CLEANUP(mem_freep) char *text = NULL;
	const char *line;

	if (file_read(path, PROC_FILE_MAX, &text, NULL, NULL) < 0 || !(line = strstr(text, "VmRSS:")))
		return 0;
	return strtol(line + strlen("VmRSS:"), NULL, 10);
}

static int ask(const char *data_dir, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(data_dir, "kubeconfig");
	struct kube_config config = { 0 };
	struct loop *loop = loop_new();
	struct kube_client *c = NULL;
	int r = -1;

	if (kube_config_load(path, &config, e) == 0 && (c = kube_client_new(loop, &config, e))) {
		r = list(loop, c, &pk_node, node_row)
			    ? 0
			    : err_set(e, ERR_UNREACHABLE, "the API server does not answer");
		if (r == 0 && list(loop, c, &kind_kv, kubevirt_row)) {
			list(loop, c, &pk_pod, pod_row);
			list(loop, c, &kind_vm, vm_row);
		}
		kube_client_free(c);
	}
	kube_config_done(&config);
	loop_free(loop);
	return r;
}

int cmd_status(const struct args *a)
{
	struct instance i;
	struct err e = { 0 };

	instance_look(a->data_dir, &i);
	if (!i.running) {
		printf("No control plane runs in %s.\n", a->data_dir);
		return 3; /* as service managers mean it: not running */
	}
	printf("coracle %s, pid %d, port %d, %ld MiB resident, in %s\n", *i.version ? i.version : "?",
		(int)i.pid, i.port, resident_kib(i.pid) / 1024, a->data_dir);
	if (ask(a->data_dir, &e) < 0)
		return complain("%s", e.msg);
	return 0;
}
