/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/defaults.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/validate.h"
#include "kubevirt/vmi/render.h"

static const struct kind *const kinds[] = { &kind_vm, &kind_vmi, &kind_kubevirt, &kind_vmim };
static const struct kind *const plain_kinds[] = { &kind_pod, &kind_pvc, &kind_node, &kind_event,
	&kind_namespace, &kind_resourcequota, &kind_controllerrevision, &kind_instancetype,
	&kind_clusterinstancetype, &kind_preference, &kind_clusterpreference };

void world_broken(struct world *w, const char *fmt, ...)
{
	va_list ap;

	str_addf(&w->broken, "%" PRId64 " ms: ", loop_wall_ms(w->loop) - WORLD_START_MS);
	va_start(ap, fmt);
	str_addv(&w->broken, fmt, ap);
	va_end(ap);
	str_addc(&w->broken, '\n');
}

bool world_chance(struct world *w, int per_mille)
{
	return per_mille > 0 && rng_below(&w->rng, 1000) < (uint64_t)per_mille;
}

/* ---- admission: what virt-api does ---- */
static void config_now(struct world *w, struct kv_config *ret)
{
	const struct obj *cr = fake_api_at(w->api, &kind_kubevirt, 0);

	kv_config_from(cr ? obj_json(cr) : NULL, ret);
}

static void trace_write(
	struct world *w, const struct kind *k, const char *sub, const struct json *o, const struct json *old)
{
	CLEANUP(mem_freep) char *spec = NULL;
	CLEANUP(mem_freep) char *status = NULL;

	if (!w->trace)
		return;
	spec = o ? json_write(json_get(o, "spec"), NULL) : NULL;
	status = o ? json_write(json_get(o, "status"), NULL) : NULL;
	printf("# %6" PRId64 " %s %s %s%s%s\n", loop_wall_ms(w->loop) - WORLD_START_MS,
		!old ? "create"
		: o  ? "write"
		     : "delete",
		k->plural, meta_str(o ? o : old, "name"), sub ? "/" : "", sub ? sub : "");
	if (o && kind_is(k, &kind_event))
		printf("#        %s: %s\n", json_str_or(json_get(o, "reason"), ""),
			json_str_or(json_get(o, "message"), ""));
	if (o && (kind_is(k, &kind_vm) || kind_is(k, &kind_vmi)))
		printf("#        %s\n#        %s\n", spec, status);
}

/* Of the one pod there is. */
static bool over_quota(struct world *w, const struct json *pod)
{
	const struct obj *quota = fake_api_get(w->api, &kind_resourcequota, "default/q");
	const struct json *hard =
		quota ? json_get(json_at(obj_json(quota), "/spec/hard"), "requests.memory") : NULL;

	return hard && quantity_bytes(json_at(compute_in(json_at(pod, "/spec/containers"), NULL),
			       "/resources/requests/memory")) > quantity_bytes(hard);
}

static int admit(void *arg, const struct kind *k, const char *sub, struct json_doc *d, struct json *o,
	const struct json *old, struct causes *c, struct err *e)
{
	struct world *w = arg;
	struct kv_config config;
	char uuid[40];
	const struct defaults_in in = {
		.config = &config, .uuid = w->no_identity ? NULL : uuid, .serial = uuid
	};

	config_now(w, &config);
	snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012d", ++w->n_uuids);
	if (o && kind_is(k, &kind_vm) && !sub) {
		vm_validate(o, old, &config, c);
		vm_default(d, o, !old, &in);
	}
	if (o && !old && kind_is(k, &kind_vmi)) {
		vmi_default_create(d, o, &in);
		w->vmis_made++;
	}
	if (o && !old && kind_is(k, &kind_vmim))
		vmim_default_create(d, o);
	if (o && !old && kind_is(k, &kind_pod)) {
		w->pods_made++;
		check_pod_created(w, o);
	}
	if (o && !old &&
		((w->faults.refuse_vmis && kind_is(k, &kind_vmi)) ||
			(w->faults.refuse_pods && kind_is(k, &kind_pod))))
		return err_set(e, ERR_FORBIDDEN, "exceeded quota: q, requested: 1, used: 1, limited: 1");
	if (w->faults.no_resize && str_eq(sub, "resize"))
		return err_set(e, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (o && str_eq(sub, "resize") && over_quota(w, o))
		return err_set(e, ERR_FORBIDDEN, "exceeded quota: q, requested: 1, used: 1, limited: 1");
	trace_write(w, k, sub, o, old);
	if (o && old && kind_is(k, &kind_vm))
		check_status_written(w, o, old);
	if (o && old && kind_is(k, &kind_vmi)) {
		check_vmi_written(w, o, old);
		check_shown(w, o, old);
	}
	if (o && kind_is(k, &kind_event))
		check_event_written(w, o, old);
	if (w->die_in && !w->person_busy && !--w->die_in) {
		w->dying = true;
		loop_stop(w->loop);
	}
	return c->len ? causes_to_err(c, k, meta_str(o, "name"), e) : 0;
}

/* ---- the program under test ---- */
void world_start(struct world *w)
{
	struct kube_transport t = fake_api_transport(w->api, "virt-controller");

	w->node_env.started_ms = loop_wall_ms(w->loop);
	w->client = kube_client_new_transport(w->loop, &t);
	w->set = controllers_new(w->client, KV_VIRT_CONTROLLER);
	controllers_seed(w->set, rng_next(&w->rng));
	controllers_add(w->set, &vm_controller, &w->vm_env);
	controllers_add(w->set, &vmi_controller, &w->vmi_env);
	controllers_add(w->set, &node_controller, &w->node_env);
	controllers_add(w->set, &updater_controller, NULL);
	controllers_add(w->set, &vmim_controller, NULL);
	controllers_start(w->set);
}

void world_kill(struct world *w)
{
	if (!w->set)
		return;
	w->controller_died = true;
	fake_api_disconnect(w->api, "virt-controller");
	controllers_free(TAKE(w->set));
	kube_client_free(TAKE(w->client));
}

static void add_kind(struct world *w, const struct kind *k, struct kind *bare)
{
	if (bare) {
		*bare = *k;
		bare->fields = NULL;
		k = bare;
	}
	fake_api_add_kind(w->api, k);
}

/* Static: the fake API keeps the pointers, and they say the same in every world. */
static struct kind *bare_kind(size_t i)
{
	static struct kind bare[ARRAY_LEN(kinds)];
	return &bare[i];
}

void world_init(struct world *w, uint64_t seed, bool schemas)
{
	struct kube_transport t;

	*w = (struct world){ .loop = loop_new_sim(WORLD_START_MS),
		.rng = { seed },
		.vmi_env = {
			.launcher_image = "coracle.dev/virt-launcher:v1", .host_dir = "/var/run/kubevirt" } };
	w->vm_env.synced = w->vmi_env.synced = &w->synced;
	w->api = fake_api_new(w->loop);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		add_kind(w, kinds[i], schemas ? NULL : bare_kind(i));
	for (size_t i = 0; i < ARRAY_LEN(plain_kinds); i++)
		fake_api_add_kind(w->api, plain_kinds[i]);
	fake_api_admit(w->api, admit, w);
	fake_api_collect_orphans(w->api, true);
	t = fake_api_transport(w->api, "user");
	w->user = kube_client_new_transport(w->loop, &t);
	fake_api_put(w->api, &kind_node,
		json_lit("{'metadata':{'name':'" WORLD_NODE
			 "','labels':{'kubevirt.io/schedulable':'true'}}}"));
	fake_api_put(w->api, &kind_kubevirt,
		json_lit("{'metadata':{'namespace':'kubevirt','name':'kubevirt','generation':1},"
			 "'spec':{'configuration':{'developerConfiguration':{},"
			 "'vmRolloutStrategy':'LiveUpdate'},'workloadUpdateStrategy':{}},"
			 "'status':{'phase':'Deployed'}}"));
	world_start(w);
	handler_start(w);
}

void world_done(struct world *w)
{
	world_kill(w);
	handler_kill(w);
	kube_client_free(w->user);
	fake_api_free(w->api);
	loop_free(w->loop);
	for (size_t i = 0; i < w->n_guests; i++)
		sim_nics_forget(&w->guests[i]);
	str_done(&w->broken);
	synced_keys_done(&w->synced);
}

/* ---- time ---- */
static void stop(void *arg)
{
	loop_stop(arg);
}

static void pass(struct world *w, int64_t ms)
{
	struct loop_timer *t = loop_timer_new(w->loop, stop, w->loop);

	loop_timer_set(t, ms);
	loop_run(w->loop);
	loop_timer_free(t);
	if (!w->dying)
		return;
	w->dying = false;
	if (w->die_handler) {
		handler_kill(w); /* node_step() has it started again */
	} else if (w->set) {
		world_kill(w);
		world_start(w);
	}
}

void world_run(struct world *w, int64_t ms)
{
	while (ms > 0) {
		int64_t step = w->idle ? 500 : 50 + (int64_t)rng_below(&w->rng, 100);

		step = step < ms ? step : ms;
		pass(w, step);
		node_step(w);
		ms -= step;
	}
	pass(w, 1);
}

bool world_settle(struct world *w, int64_t limit_ms)
{
	uint64_t rv = 0;

	w->idle = true;
	for (int64_t still = 0; limit_ms > 0; limit_ms -= 1000) {
		world_run(w, 1000);
		still = fake_api_rv(w->api) == rv ? still + 1 : 0;
		rv = fake_api_rv(w->api);
		/* A crash loop waits up to 300 s. */
		if (still == 10 && !world_quiet(w, 310000))
			still = 0;
		if (still >= 10)
			return true;
	}
	return false;
}

bool world_quiet(struct world *w, int64_t ms)
{
	uint64_t rv = fake_api_rv(w->api);

	pass(w, ms);
	node_step(w);
	pass(w, 1);
	return fake_api_rv(w->api) == rv && controllers_idle(w->set) && controllers_idle(w->handler);
}

/* ---- the person ---- */
int user_create(struct world *w, const struct kind *k, const char *text, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	int rc;

	w->person_busy = true;
	rc = kube_create_wait(w->user, k, "default", json_root(d), &o, e);
	w->person_busy = false;
	return rc;
}

static int person(struct world *w, const struct kind *k, const char *ns, const char *name, const char *sub,
	enum kube_patch type, const struct json *patch)
{
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	int rc;

	w->person_busy = true;
	w->edited_ms = loop_wall_ms(w->loop);
	rc = kube_patch_wait(w->user, k, ns, name, sub, type, patch, &o, NULL);
	w->person_busy = false;
	return rc;
}

static int merge(struct world *w, const struct kind *k, const char *ns, const char *name, const char *sub,
	const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);

	if (w->trace)
		printf("# %6" PRId64 " person: %s %s %s\n", loop_wall_ms(w->loop) - WORLD_START_MS,
			k->singular, name, text);
	return person(w, k, ns, name, sub, KUBE_PATCH_MERGE, json_root(d));
}

int user_ops(struct world *w, const struct kind *k, const char *name, const struct json *ops)
{
	if (w->trace)
		printf("# %6" PRId64 " person: %s %s back to its start\n",
			loop_wall_ms(w->loop) - WORLD_START_MS, k->singular, name);
	return person(w, k, "default", name, NULL, KUBE_PATCH_JSON, ops);
}

int user_merge(struct world *w, const struct kind *k, const char *name, const char *sub, const char *text)
{
	return merge(w, k, "default", name, sub, text);
}

int user_config(struct world *w, const char *text)
{
	return merge(w, &kind_kubevirt, "kubevirt", "kubevirt", NULL, text);
}

int user_delete(struct world *w, const struct kind *k, const char *name)
{
	int rc;

	w->person_busy = true;
	rc = kube_delete_wait(w->user, k, "default", name, NULL, NULL);
	w->person_busy = false;
	return rc;
}

void user_vm(struct world *w, const char *name, const char *strategy, const char *memory)
{
	user_vm_with(w, name, strategy, memory, "");
}

void user_vm_with(
	struct world *w, const char *name, const char *strategy, const char *memory, const char *domain)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'apiVersion':'kubevirt.io/"
			   "v1','kind':'VirtualMachine','metadata':{'name':'%s'},'spec':{'runStrategy':'%s',"
			   "'template':{'metadata':{'labels':{'app':'x'}},'spec':{'hostname':'a','domain':{'"
			   "memory':{'guest':'%s'},%s'devices':{"
			   "'disks':[{'name':'root','disk':{'bus':'virtio'}}],'interfaces':[{'name':'default'"
			   ",'masquerade':{}}]}},"
			   "'networks':[{'name':'default','pod':{}}],'volumes':[{'name':'root','"
			   "containerDisk':{'image':'registry/disk:v1'}}]}}}}",
			name, strategy, memory, domain);

	user_create(w, &kind_vm, text, NULL);
}

void user_memory(struct world *w, const char *name, const char *memory)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'spec':{'template':{'spec':{'domain':{'memory':{'guest':'%s'}}}}}}", memory);

	user_merge(w, &kind_vm, name, NULL, text);
}

static const struct json *found(struct world *w, const struct kind *k, const char *name)
{
	CLEANUP(mem_freep) char *key = kind_key("default", name);
	const struct obj *o = fake_api_get(w->api, k, key);

	return o ? obj_json(o) : NULL;
}

const struct json *world_vmi_by_key(struct world *w, const char *key)
{
	const struct obj *o = fake_api_get(w->api, &kind_vmi, key);

	return o ? obj_json(o) : NULL;
}

const struct json *world_vm(struct world *w, const char *name)
{
	return found(w, &kind_vm, name);
}

const struct json *world_vmi(struct world *w, const char *name)
{
	return found(w, &kind_vmi, name);
}

struct guest *world_guest(struct world *w, const char *uid)
{
	for (size_t i = 0; i < w->n_guests; i++)
		if (str_eq(w->guests[i].uid, uid))
			return &w->guests[i];
	MUST(w->n_guests < WORLD_GUESTS_MAX);
	struct guest *g = &w->guests[w->n_guests++];
	*g = (struct guest){ 0 };
	str_copy(g->uid, sizeof(g->uid), uid);
	return g;
}
