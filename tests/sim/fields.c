/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that people edit in the simulated world, and what must be said of them. Static ones are compared with the start
 * revision, those of placement with the instance, memory and sockets with the guest itself. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vmi/facts.h"

#define PATH "spec.template.spec."

static const struct sim_field {
	const char *at, *shown; /* below the template's spec */
	const char *values[4];
} statics[] = {
	{ "/hostname", "hostname", { "'a'", "'b'" } },
	{ "/subdomain", "subdomain", { "null", "'s'" } },
	{ "/terminationGracePeriodSeconds", "terminationGracePeriodSeconds", { "null", "0", "5" } },
	{ "/schedulerName", "schedulerName", { "null", "'s'" } },
	{ "/domain/chassis", "domain.chassis", { "null", "{'serial':'x'}", "{'serial':'y'}" } },
	{ "/domain/ioThreadsPolicy", "domain.ioThreadsPolicy", { "null", "'auto'", "'shared'" } },
	{ "/domain/clock", "domain.clock", { "null", "{'timezone':'UTC'}" } },
	{ "/domain/devices/rng", "domain.devices.rng", { "null", "{}" } },
	{ "/domain/devices/autoattachGraphicsDevice", "domain.devices.autoattachGraphicsDevice",
		{ "null", "false", "true" } },
	{ "/domain/cpu/cores", "domain.cpu.cores", { "1", "2" } },
	{ "/domain/cpu/maxSockets", "domain.cpu.maxSockets", { "null", "4", "6" } },
	{ "/domain/memory/maxGuest", "domain.memory.maxGuest", { "null", "'4Gi'", "'8Gi'" } },
};
static const struct sim_field placed[] = {
	{ "/nodeSelector", "nodeSelector", { "null", "{'zone':'a'}", "{'zone':'b'}" } },
	{ "/tolerations", "tolerations", { "null", "[{'key':'k','operator':'Exists'}]", "[]" } },
	{ "/affinity", "affinity",
		{ "null",
			"{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
			"nodeSelectorTerms':"
			"[{'matchExpressions':[{'key':'zone','operator':'In','values':['a']}]}]}}}",
			"{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'"
			"nodeSelectorTerms':"
			"[{'matchExpressions':[{'key':'zone','operator':'Exists'}]}]}}}" } },
};

/* ---- editing ---- */
static void edit_one(struct world *w, const char *vm, const struct sim_field *f)
{
	size_t n = 0, depth = 1;
	struct str text = { 0 };

	while (n < ARRAY_LEN(f->values) && f->values[n])
		n++;
	str_add(&text, "{'spec':{'template':{'spec':{'");
	for (const char *p = f->at + 1; *p; p++) {
		if (*p != '/') {
			str_addc(&text, *p);
			continue;
		}
		str_add(&text, "':{'");
		depth++;
	}
	str_addf(&text, "':%s", f->values[rng_below(&w->rng, n)]);
	for (depth += 3; depth; depth--)
		str_addc(&text, '}');
	user_merge(w, &kind_vm, vm, NULL, str_cstr(&text));
	str_done(&text);
}

void edit_static(struct world *w, const char *vm)
{
	edit_one(w, vm, &statics[rng_below(&w->rng, ARRAY_LEN(statics))]);
}

void edit_placement(struct world *w, const char *vm)
{
	edit_one(w, vm, &placed[rng_below(&w->rng, ARRAY_LEN(placed))]);
}

/* None that could be plugged: those have tests of their own. */
void edit_volumes(struct world *w, const char *vm)
{
	static const char *const forms[] = { "{'name':'root','containerDisk':{'image':'registry/disk:v1'}}",
		"{'name':'root','containerDisk':{'image':'registry/disk:v2'}}",
		("{'name':'root','containerDisk':{'image':'registry/disk:v1'}},"
		 "{'name':'extra','emptyDisk':{'capacity':'1Gi'}}") };
	CLEANUP(mem_freep)
	char *text = str_printf("{'spec':{'template':{'spec':{'volumes':[%s]}}}}",
		forms[rng_below(&w->rng, ARRAY_LEN(forms))]);

	user_merge(w, &kind_vm, vm, NULL, text);
}

/* Everything as it was at the start: whatever waited waits no more. */
void edit_revert(struct world *w, const char *vm)
{
	const struct json *vmi = world_vmi(w, vm), *start = vmi ? world_start_template(w, vmi) : NULL;
	CLEANUP(json_doc_freep)
	struct json_doc *ops = json_lit("[{'op':'replace','path':'/spec/template/spec'}]");

	if (!start)
		return;
	json_set_copy(ops, json_item(json_root(ops), 0), "value", json_get(start, "spec"));
	user_ops(w, &kind_vm, vm, json_root(ops));
}

/* ---- what was expected ---- */
struct claims {
	struct world *w;
	const char *name, *message;
	size_t expected, listed;
	bool cut;
};

static bool names(const char *message, const char *shown)
{
	CLEANUP(mem_freep) char *path = str_printf(PATH "%s", shown);
	size_t n = strlen(path);

	for (const char *p = message; (p = strstr(p, path)); p += n)
		if (strchr(" .[", p[n]))
			return true;
	return false;
}

static void claim(struct claims *c, const char *shown, bool differs)
{
	bool told = names(c->message, shown);

	c->expected += differs;
	c->listed += told;
	if (differs == told || (differs && c->cut))
		return;
	world_broken(c->w, "%s: %s %s, but RestartRequired says \"%s\"", c->name, shown,
		differs ? "differs" : "is as wanted", c->message);
}

static bool nothing(const struct json *v)
{
	return json_is_null(v) || (json_is_arr(v) && !json_len(v));
}

static bool same(const struct json *a, const struct json *b)
{
	return (nothing(a) && nothing(b)) || (!nothing(a) && !nothing(b) && json_eq(a, b));
}

/* Under LiveUpdate what the instance has already can be written down. */
static bool static_differs(const struct sim_field *f, const struct kv_config *config, const struct json *vmi,
	const struct json *start, const struct json *spec)
{
	const struct json *is = json_at(spec, f->at);
	bool has = config->rollout == ROLLOUT_LIVE_UPDATE && !nothing(is) &&
		   same(json_at(json_get(vmi, "spec"), f->at), is);

	return !same(json_at(start, f->at), is) && !has;
}

/* Decision 13, by its own arithmetic: what a start now would give. */
struct defaults {
	int64_t max_guest, max_sockets; /* 0: none */
};

static struct defaults defaults_now(const struct kv_config *c, const struct json *start)
{
	int64_t guest = quantity_bytes(json_at(start, "/domain/memory/guest"));
	int64_t sockets = json_i64(json_at(start, "/domain/cpu/sockets"));
	struct defaults d = { .max_guest = c->max_guest ? c->max_guest : guest * c->max_hotplug_ratio,
		.max_sockets = c->max_cpu_sockets ? c->max_cpu_sockets : sockets * c->max_hotplug_ratio };

	if (d.max_sockets < sockets)
		d.max_sockets = sockets;
	if (guest < GI || guest % (2 << 20) || guest > d.max_guest ||
		(c->rollout == ROLLOUT_STAGE && guest < 3 * GI))
		d.max_guest = 0;
	return d;
}

static bool given(const struct json *start, const struct json *now, const char *at)
{
	return !json_is_null(json_at(start, at)) || !json_is_null(json_at(now, at));
}

static void claim_drift(struct claims *c, const struct json *vm, const struct json *vmi,
	const struct json *start, const struct json *spec, const struct kv_config *config)
{
	const char *told =
		json_str_or(json_get(json_at(vm, "/metadata/annotations"), ANN_CONFIGURATION_DRIFT), "");
	bool opted = kv_opted(vm, ANN_ROLLOUT_CONFIGURATION, config->rollout_configuration);
	struct defaults d = defaults_now(config, start);
	const struct {
		const char *at, *shown;
		bool differs;
	} list[] = {
		{ "/domain/memory/maxGuest", "domain.memory.maxGuest",
			d.max_guest && d.max_guest != vmi_guest_max(vmi) },
		{ "/domain/cpu/maxSockets", "domain.cpu.maxSockets",
			d.max_sockets != json_i64(json_at(vmi, "/spec/domain/cpu/maxSockets")) },
		{ "/evictionStrategy", "evictionStrategy",
			!str_eq(json_at_str(vmi, "/spec/evictionStrategy"), config->eviction_strategy) },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		bool differs = list[i].differs && !given(start, spec, list[i].at);

		if (differs != (strstr(told, list[i].shown) != NULL))
			world_broken(c->w, "%s: %s %s, but the drift told is \"%s\"", c->name, list[i].shown,
				differs ? "drifts" : "does not drift", told);
		if (!given(start, spec, list[i].at))
			claim(c, list[i].shown, differs && opted);
	}
}

static void claim_volume(
	struct claims *c, const struct json *start, const struct json *spec, const char *name)
{
	const struct json *was = nic_named(json_get(start, "volumes"), name),
			  *is = nic_named(json_get(spec, "volumes"), name);
	CLEANUP(mem_freep) char *shown = str_printf("volumes[%s]", name);

	claim(c, shown, !same(was, is));
}

static void claim_nic(struct claims *c, const struct guest *g, const struct json *spec, const char *name)
{
	CLEANUP(mem_freep) char *nic = str_printf("domain.devices.interfaces[%s]", name);
	CLEANUP(mem_freep) char *net = str_printf("networks[%s]", name);
	bool differs = !sim_nic_as_wanted((struct guest *)g, spec, name);
	bool told = names(c->message, nic) || names(c->message, net);

	c->expected += differs;
	if (differs != told && !(differs && c->cut))
		world_broken(c->w, "%s: card %s %s, but RestartRequired says \"%s\"", c->name, name,
			differs ? "differs" : "is as wanted", c->message);
}

static void claim_plugged(
	struct claims *c, struct guest *g, const struct json *vmi, const struct json *spec, const char *name)
{
	CLEANUP(mem_freep) char *volume = str_printf("volumes[%s]", name);

	claim(c, volume, !sim_volume_as_wanted(c->w, g, vmi, spec, name));
}

const struct json *world_start_template(struct world *w, const struct json *vmi)
{
	const char *name = json_at_str(vmi, "/status/virtualMachineRevisionName");
	CLEANUP(mem_freep) char *key = kind_key("default", name ? name : "");
	const struct obj *o = fake_api_get(w->api, &kind_controllerrevision, key);

	return o ? json_at(obj_json(o), "/data/spec/template") : NULL;
}

/* Decision 6: nothing further goes to the guest while something is staged. What was decided a moment before an edit may still
 * arrive after it, and what the guest has already may be taken back at any time. */
#define IN_FLIGHT_MS 2000
void check_vmi_written(struct world *w, const struct json *vmi, const struct json *old)
{
	static const char *const live[] = { "/domain/memory/guest", "/domain/cpu/sockets", "/nodeSelector",
		"/tolerations", "/affinity" };
	const struct json *vm = world_vm(w, meta_str(vmi, "name")), *start = world_start_template(w, vmi);
	const struct json *spec = json_at(vm, "/spec/template/spec");
	const struct guest *g = world_guest(w, meta_str(vmi, "uid"));
	struct kv_config config;
	bool staged = false;

	kv_config_from(obj_json(fake_api_at(w->api, &kind_kubevirt, 0)), &config);
	if (!start || !vm || loop_wall_ms(w->loop) - w->edited_ms < IN_FLIGHT_MS)
		return;
	for (size_t i = 0; i < ARRAY_LEN(statics); i++)
		staged = staged || static_differs(&statics[i], &config, vmi, json_get(start, "spec"), spec);
	for (size_t i = 0; i < ARRAY_LEN(live) && staged; i++) {
		if ((i == 0 && vmi_guest_wanted(vmi) == g->memory) ||
			(i == 1 && json_i64(json_at(vmi, "/spec/domain/cpu/sockets")) == g->sockets))
			continue;
		if (!same(json_at(json_get(old, "spec"), live[i]), json_at(json_get(vmi, "spec"), live[i])))
			world_broken(w, "%s: %s goes live while something is staged", meta_str(vmi, "name"),
				live[i]);
	}
}

/* rollout.md 7.1: the guest has what the spec says, or RestartRequired lists precisely the difference. */
void check_edits(struct world *w, const char *name, const struct json *vm, const struct json *vmi)
{
	const struct json *template = json_at(vm, "/spec/template"), *spec = json_get(template, "spec");
	const struct json *started = world_start_template(w, vmi), *start = json_get(started, "spec");
	const struct json *rr = cond_find(json_at(vm, "/status/conditions"), COND_RESTART_REQUIRED);
	const struct guest *g = world_guest(w, meta_str(vmi, "uid"));
	struct claims c = { .w = w, .name = name, .message = json_str_or(json_get(rr, "message"), "") };
	struct kv_config config;

	kv_config_from(obj_json(fake_api_at(w->api, &kind_kubevirt, 0)), &config);
	c.cut = strstr(c.message, " more") != NULL;
	if (!start) {
		world_broken(w, "%s: its start revision is not there", name);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(statics); i++) {
		bool drifts =
			!given(start, spec, statics[i].at) &&
			(strstr(statics[i].shown, "maxSockets") || strstr(statics[i].shown, "maxGuest"));
		if (!drifts)
			claim(&c, statics[i].shown, static_differs(&statics[i], &config, vmi, start, spec));
	}
	for (size_t i = 0; i < ARRAY_LEN(placed); i++)
		claim(&c, placed[i].shown,
			!same(json_at(json_get(vmi, "spec"), placed[i].at), json_at(spec, placed[i].at)));
	claim(&c, "domain.memory.guest", quantity_bytes(json_at(spec, "/domain/memory/guest")) != g->memory);
	claim(&c, "domain.cpu.sockets", json_i64(json_at(spec, "/domain/cpu/sockets")) != g->sockets);
	claim_volume(&c, start, spec, "root");
	claim_volume(&c, start, spec, "extra");
	claim_nic(&c, g, spec, "default");
	claim_nic(&c, g, spec, "n0");
	claim_plugged(&c, world_guest(w, meta_str(vmi, "uid")), vmi, spec, "h0");
	claim_plugged(&c, world_guest(w, meta_str(vmi, "uid")), vmi, spec, "h1");
	claim_drift(&c, vm, vmi, start, spec, &config);
	if (config.rollout == ROLLOUT_STAGE) /* decision 4 */
		c.expected +=
			!same(json_at(started, "/metadata/labels"), json_at(template, "/metadata/labels")) ||
			!same(json_at(started, "/metadata/annotations"),
				json_at(template, "/metadata/annotations"));
	if ((c.expected > 0) != (rr != NULL) || (rr && !str_eq(json_get_str(rr, "status"), "True")))
		world_broken(w, "%s: RestartRequired is %s: %s", name, rr ? "there for nothing" : "missing",
			c.message);
	/* An instance that wants something else would get it some day. */
	if (quantity_bytes(json_at(spec, "/domain/memory/guest")) == g->memory &&
		vmi_guest_wanted(vmi) != g->memory)
		world_broken(w, "%s: the instance wants other memory than the VM and its guest", name);
	if (json_i64(json_at(spec, "/domain/cpu/sockets")) == g->sockets &&
		json_i64(json_at(vmi, "/spec/domain/cpu/sockets")) != g->sockets)
		world_broken(w, "%s: the instance wants other sockets than the VM and its guest", name);
	if (quantity_bytes(json_at(vmi, "/status/memory/guestCurrent")) != g->memory)
		world_broken(w, "%s: guestCurrent is not what the guest has", name);
	if (json_i64(json_at(vmi, "/status/currentCPUTopology/sockets")) != g->sockets)
		world_broken(w, "%s: currentCPUTopology is not what the guest has", name);
}
