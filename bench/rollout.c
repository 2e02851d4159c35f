/* SPDX-License-Identifier: Apache-2.0 */
/* bench-rollout: one change of memory, rolled out to many running VMs.
 *
 *   bench-rollout N [PID]...      with KUBECONFIG: an API server, and a virt-controller of it that runs already; PIDs: theirs
 *
 * Stands for the nodes and the user: an agent that starts and resizes pods by writing that it did, virt-handler by its true
 * decisions (kubevirt/handler/guest.h), launchers that answer at once. Makes N VMs of 1Gi, waits until all run and nobody
 * writes, patches each to 2Gi and waits until each guest has it. Prints one line of JSON: seconds by the clock and of processor
 * (of PIDs together), and per VM every revision the rollout took (the patch itself and events included), and the events of
 * them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/controller.h"
#include "kube/keymap.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/handler/guest.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

#define NODE "bench-node"
#define NS "default"
#define VMS_MAX 10000
#define AT_ONCE 64
#define STEP_MS 20
#define QUIET_MS 1500
#define STAT_MAX 4096
#define LIMIT_MS 300000
#define FROM (1LL << 30)
#define TO (2LL << 30)

struct launcher {
	struct guest_facts facts;
	struct json_doc *state;
};
struct bench {
	struct loop *loop;
	struct kube_client *nodes, *user;
	struct controller_set *set;
	struct cache *vmis;
	struct keymap launchers; /* by uid */
	int n, sent, answered;
	char **pids;
	char failure[256];
	struct loop_timer *tick;
};

/* ---- launchers ---- */
static struct launcher *launcher_of(struct bench *b, const char *uid)
{
	struct launcher *l = keymap_get(&b->launchers, uid);

	if (!l) {
		l = MEM_NEW(struct launcher);
		l->state = json_lit("{'phase':'Idle'}");
		l->facts.state = json_root(l->state);
		keymap_put(&b->launchers, uid, l);
	}
	return l;
}

static void launcher_free(void *arg)
{
	struct launcher *l = arg;

	json_doc_free(l->state);
	free(l);
}

static void has_memory(struct launcher *l, int64_t bytes, bool boot)
{
	struct json *m = json_need_obj(l->state, json_root(l->state), "memory");

	if (boot)
		json_set_i64(l->state, m, "guestAtBoot", bytes);
	json_set_i64(l->state, m, "requested", bytes);
	json_set_i64(l->state, m, "current", bytes);
}

static void act(
	void *env, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct bench *b = env;
	const struct json *args = json_root(i->doc);
	struct launcher *l = launcher_of(b, json_get_str(args, "uid"));

	if (str_eq(i->action, GUEST_ATTACH)) {
		l->facts.attached = l->facts.connected = true;
	} else if (str_eq(i->action, GUEST_START)) {
		l->facts.start = GUEST_START_ACCEPTED;
		json_set_str(l->state, json_root(l->state), "phase", "Running");
		json_set_bool(
			l->state, json_need_obj(l->state, json_root(l->state), "guest"), "booted", true);
		has_memory(l, FROM, true);
	} else if (str_eq(i->action, GUEST_SET_MEMORY)) {
		int64_t bytes = json_i64(json_get(args, "bytes"));

		has_memory(l, bytes, false);
		l->facts.memory = (struct guest_memory){
			.done = true, .complete = true, .target = bytes, .current = bytes
		};
	} else if (str_eq(i->action, GUEST_MEMORY_SEEN)) {
		l->facts.memory = (struct guest_memory){ 0 };
	}
	controllers_kick(b->set, "bench-nodes", i->key);
	done(done_arg, NULL);
}

/* ---- pods, as an agent reports them ---- */
static void plan_pod(const struct obj *pod, struct plan *out)
{
	const struct json *o = obj_json(pod);
	const struct json *want = json_get(compute_in(json_at(o, "/spec/containers"), NULL), "resources");
	struct json_doc *d;
	struct json *status, *box;

	if (str_empty(json_at_str(o, "/spec/nodeName"))) {
		d = json_lit("{'apiVersion':'v1','kind':'Binding','metadata':{},'target':{'apiVersion':'v1','"
			     "kind':'"
			     "Node','name':'" NODE "'}}");
		json_put_str(d, json_root(d), "/metadata/name", obj_name(pod));
		json_put_str(d, json_root(d), "/metadata/namespace", obj_namespace(pod));
		plan_create_sub(out, &kind_pod, obj_key(pod), "binding", d);
		return;
	}
	d = obj_draft(pod);
	status = json_need_obj(d, json_root(d), "status");
	box = (struct json *)compute_in(json_get(status, "containerStatuses"), NULL);
	if (!box) {
		box = json_new_obj(d);
		json_append(d, json_need_arr(d, status, "containerStatuses"), box);
		json_set_str(d, box, "name", POD_CONTAINER_COMPUTE);
		json_set_str(d, box, "image", "i");
		json_set_str(d, box, "imageID", "i");
		json_set_i64(d, box, "restartCount", 0);
		json_set_bool(d, box, "ready", true);
		json_put(d, box, "/state/running", json_new_obj(d));
		json_set_str(d, status, "phase", "Running");
	}
	json_set_copy(d, box, "resources", want);
	plan_change(out, &kind_pod, pod, "status", d);
}

/* ---- one pass over one instance: admission, agent, virt-handler ---- */
static void decide(const struct look *l, const char *key, struct plan *out)
{
	struct bench *b = (struct bench *)look_env(l);
	const struct obj *vmi = look_get(l, &kind_vmi, key),
			 *pod = cache_index_at(look_cache(l, &kind_pod), 0, key, 0);
	struct kv_config config;
	struct guest_view v = { .key = key, .node = NODE, .config = &config, .pod = pod, .now = look_now(l) };

	if (!vmi)
		return;
	kv_config_cached(look_cache(l, &kind_kubevirt), &config);
	if (!json_at(obj_json(vmi), "/status/memory")) { /* virt-api's part */
		struct json_doc *d = obj_draft(vmi);
		const struct defaults_in in = {
			.config = &config, .uuid = "00000000-0000-4000-8000-000000000000", .serial = "1"
		};

		vmi_default_create(d, json_root(d), &in);
		plan_change(out, &kind_vmi, vmi, NULL, d);
		return;
	}
	if (pod)
		plan_pod(pod, out);
	v.uid = obj_uid(vmi);
	v.facts = &launcher_of(b, v.uid)->facts;
	if (str_eq(meta_label(obj_json(vmi), LABEL_NODE_NAME), NODE)) {
		v.vmi = vmi;
		guest_decide(&v, out);
	}
}

static void index_by_owner(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	key_owner(NULL, o, emit, emit_arg);
}

static const struct controller nodes = { .name = "bench-nodes",
	.decide = decide,
	.action = act,
	.watches = { { .kind = &kind_vmi, .keys = key_self },
		{ .kind = &kind_pod, .keys = key_owner, .index = index_by_owner },
		{ .kind = &kind_kubevirt } } };

/* ---- the user ---- */
static void on_sent(void *arg, const struct obj *o, const struct err *e)
{
	struct bench *b = arg;

	b->answered++;
	if (e && !b->failure[0])
		str_copy(b->failure, sizeof(b->failure), e->msg);
}

static void on_tick(void *arg)
{
	loop_stop(arg);
}

static void pass(struct bench *b, int ms)
{
	loop_timer_set(b->tick, ms);
	loop_run(b->loop);
}

/* Processor seconds of the programs it was told of. */
static double processor(const struct bench *b)
{
	double sum = 0;

	for (char **pid = b->pids; *pid; pid++) {
		CLEANUP(mem_freep) char *path = str_printf("/proc/%s/stat", *pid);
		CLEANUP(mem_freep) char *text = NULL;
		unsigned long user = 0, kernel = 0;
		const char *at;

		if (file_read(path, STAT_MAX, &text, NULL, NULL) < 0 || !(at = strrchr(text, ')')))
			continue;
		if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) ==
			2)
			sum += (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
	}
	return sum;
}

typedef void send_fn(struct bench *b, int i);

static void create_vm(struct bench *b, int i)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		json_lit("{'apiVersion':'kubevirt.io/"
			 "v1','kind':'VirtualMachine','metadata':{},'spec':{'runStrategy':'Always',"
			 "'template':{'spec':{'architecture':'amd64','domain':{'devices':{},'machine':{'type'"
			 ":'q35'},'memory':{'"
			 "guest':'1Gi'}}}}}}");

	json_put(d, json_root(d), "/metadata/name", json_new_strf(d, "vm-%d", i));
	kube_create(b->user, &kind_vm, NS, json_root(d), on_sent, b);
}

static void patch_vm(struct bench *b, int i)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'spec':{'template':{'spec':{'domain':{'memory':{'guest':'2Gi'}}}}}}");
	CLEANUP(mem_freep) char *name = str_printf("vm-%d", i);

	kube_patch(b->user, &kind_vm, NS, name, NULL, KUBE_PATCH_MERGE, json_root(d), on_sent, b);
}

static int all(struct bench *b, send_fn *fn, struct err *e)
{
	b->sent = b->answered = 0;
	while (b->answered < b->n && !b->failure[0]) {
		while (b->sent < b->n && b->sent - b->answered < AT_ONCE)
			fn(b, b->sent++);
		pass(b, 1);
	}
	return b->failure[0] ? err_set(e, ERR_SYSTEM, "%s", b->failure) : 0;
}

static int how_many(struct bench *b, int64_t bytes)
{
	const struct obj *o;
	int n = 0;

	for (size_t i = 0; (o = cache_at(b->vmis, i)); i++)
		n += vmi_phase(obj_json(o)) == VMI_RUNNING && vmi_guest_current(obj_json(o)) == bytes &&
		     !vmi_cond(obj_json(o), COND_HOT_MEMORY);
	return n;
}

static int until(struct bench *b, int64_t bytes, struct err *e)
{
	int64_t end = loop_mono_ms(b->loop) + LIMIT_MS;

	while (how_many(b, bytes) < b->n) {
		if (loop_mono_ms(b->loop) > end)
			return err_set(e, ERR_TIMEOUT, "%d of %d after %d s", how_many(b, bytes), b->n,
				LIMIT_MS / 1000);
		pass(b, STEP_MS + b->n / 50); /* looking takes a while, too */
	}
	return 0;
}

static int revision(struct bench *b, uint64_t *ret, int64_t *ret_events, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct str body = { 0 };
	int status, rc;

	rc = kube_raw_wait(b->user, "GET", "/api/v1/events?limit=1", NULL, NULL, 0, &status, &body, e);
	if (rc == 0 && (d = json_parse(str_cstr(&body), body.len, e)))
		rc = str_to_u64(json_str_or(json_at(json_root(d), "/metadata/resourceVersion"), ""), ret)
			     ? 0
			     : err_set(e, ERR_SYSTEM, "no resourceVersion");
	*ret_events = (int64_t)json_len(json_get(json_root(d), "items")) +
		      json_i64(json_at(json_root(d), "/metadata/remainingItemCount"));
	str_done(&body);
	return d ? rc : -1;
}

/* Nobody has written for a while. */
static int quiet(struct bench *b, uint64_t *ret, int64_t *ret_events, struct err *e)
{
	uint64_t before = 0, now;

	for (;;) {
		if (revision(b, &now, ret_events, e) < 0)
			return -1;
		if (now == before)
			break;
		before = now;
		pass(b, QUIET_MS);
	}
	*ret = now;
	return 0;
}

/* ---- setting up ---- */
static int make(struct bench *b, const struct kind *k, const char *ns, const struct json *o, struct err *e)
{
	CLEANUP(obj_unrefp) struct obj *made = NULL;

	if (kube_create_wait(b->user, k, ns, o, &made, e) < 0 && e->code != ERR_EXISTS)
		return -1;
	return 0;
}

static int make_text(struct bench *b, const struct kind *k, const char *ns, const char *text, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);

	return make(b, k, ns, json_root(d), e);
}

static int prepare(struct bench *b, struct err *e)
{
	static const struct kind *const kinds[] = { &kind_kubevirt, &kind_vm, &kind_vmi, &kind_vmim,
		&kind_instancetype, &kind_clusterinstancetype, &kind_preference, &kind_clusterpreference };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

		if (make(b, &kind_crd, NULL, crd_render(d, kinds[i]), e) < 0)
			return -1;
	}
	if (make_text(b, &kind_namespace, NULL,
		    "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'kubevirt'}}", e) < 0 ||
		make_text(b, &kind_namespace, NULL,
			"{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" NS "'}}", e) < 0 ||
		make_text(b, &kind_node, NULL,
			"{'apiVersion':'v1','kind':'Node','metadata':{'name':'" NODE
			"','labels':{'kubevirt.io/schedulable':'true','kubernetes.io/arch':'amd64'}}}",
			e) < 0)
		return -1;
	for (int i = 0; i < 100; i++) { /* the kind is served a moment after it was made */
		if (make_text(b, &kind_kubevirt, "kubevirt",
			    "{'apiVersion':'kubevirt.io/"
			    "v1','kind':'KubeVirt','metadata':{'name':'kubevirt'},'spec':{"
			    "'configuration':{'vmRolloutStrategy':'LiveUpdate'}}}",
			    e) == 0)
			return 0;
		pass(b, 50);
	}
	return -1;
}

static int run(struct bench *b, struct err *e)
{
	uint64_t before, after;
	int64_t began, up, took, events_before, events;
	double cpu;

	if (prepare(b, e) < 0)
		return -1;
	b->set = controllers_new(b->nodes, "bench-nodes");
	controllers_add(b->set, &nodes, b);
	b->vmis = controllers_cache(b->set, &kind_vmi);
	controllers_start(b->set);
	began = loop_mono_ms(b->loop);
	if (all(b, create_vm, e) < 0 || until(b, FROM, e) < 0)
		return -1;
	up = loop_mono_ms(b->loop) - began;
	if (quiet(b, &before, &events_before, e) < 0)
		return -1;
	cpu = processor(b);
	began = loop_mono_ms(b->loop);
	if (all(b, patch_vm, e) < 0 || until(b, TO, e) < 0)
		return -1;
	took = loop_mono_ms(b->loop) - began;
	cpu = processor(b) - cpu;
	if (quiet(b, &after, &events, e) < 0)
		return -1;
	printf("{\"vms\":%d,\"upSeconds\":%.3f,\"seconds\":%.3f,\"cpuSeconds\":%.2f,\"writes\":%.2f,"
	       "\"events\":%.2f}\n",
		b->n, (double)up / 1000, (double)took / 1000, cpu, (double)(after - before) / b->n,
		(double)(events - events_before) / b->n);
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct kube_config c;
	struct err e = { 0 };
	int64_t n;
	int rc = -1;

	if (argc < 2 || !str_to_i64(argv[1], 1, VMS_MAX, &n)) {
		fprintf(stderr, "usage: bench-rollout N [PID]...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	log_init("bench-rollout", LOG_ERROR);
	b.n = (int)n;
	b.pids = argv + 2;
	b.loop = loop_new();
	b.tick = loop_timer_new(b.loop, on_tick, b.loop);
	if (kube_config_load(NULL, &c, &e) == 0 && (b.nodes = kube_client_new(b.loop, &c, &e)) &&
		(b.user = kube_client_new(b.loop, &c, &e)))
		rc = run(&b, &e);
	if (rc < 0)
		fprintf(stderr, "bench-rollout: %s\n", e.msg);
	controllers_free(b.set);
	kube_client_free(b.nodes);
	kube_client_free(b.user);
	keymap_done(&b.launchers, launcher_free);
	loop_timer_free(b.tick);
	loop_free(b.loop);
	return rc < 0;
}
