/* SPDX-License-Identifier: Apache-2.0 */
/* virt-handler of the simulated world: its true decisions (kubevirt/handler/guest.h), with launchers that are pretended. What it
 * knows of them (struct guest_facts) is its own and goes with it when it dies; the launchers and their guests go on. One program
 * stands for those of all nodes. */
#include "world.h"

#include <inttypes.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"
#include "kubevirt/wire/wire.h"

#define NAME "guests"
#define UIDS_MAX 16

/* ---- launchers ---- */
static enum wire_phase launcher_phase(const struct guest *g)
{
	switch (g->state) {
	case GUEST_RUNS:
		return g->paused ? WIRE_PHASE_PAUSED : WIRE_PHASE_RUNNING;
	case GUEST_SHUT_DOWN:
		return WIRE_PHASE_SUCCEEDED;
	case GUEST_CRASHED:
		return WIRE_PHASE_FAILED;
	default:
		return WIRE_PHASE_IDLE;
	}
}

static void tell_memory(struct json_doc *d, const struct guest *g)
{
	struct json *m = json_new_obj(d);

	json_set_i64(d, m, "guestAtBoot", g->boot);
	json_set_i64(d, m, "requested", g->requested);
	json_set_i64(d, m, "current", g->memory);
	json_set_i64(d, m, "max", g->max);
	json_set_bool(d, m, "resizing", g->due_memory > 0);
	json_set(d, json_root(d), "memory", m);
}

static void tell_cpus(struct json_doc *d, const struct guest *g)
{
	struct json *c = json_new_obj(d);

	json_set_i64(d, c, "sockets", g->sockets);
	json_set_i64(d, c, "cores", g->cores);
	json_set_i64(d, c, "threads", g->threads);
	json_set_i64(d, c, "maxSockets", g->max_sockets);
	json_set_bool(d, c, "changing", g->due_sockets > 0);
	json_set(d, json_root(d), "cpus", c);
}

/* STATE, kubevirt/wire/wire.h. */
static struct json_doc *launcher_state(const struct guest *g)
{
	struct json_doc *d = json_lit("{'machine':'pc-q35-7.2','guest':{'booted':true}}");

	json_set_str(d, json_root(d), "phase", wire_phase_name(launcher_phase(g)));
	if (g->state == GUEST_CRASHED)
		json_set_str(d, json_root(d), "reason", g->ran ? "QemuCrashed" : "PrepareFailed");
	if (g->state == GUEST_RUNS) {
		tell_memory(d, g);
		tell_cpus(d, g);
		sim_nics_tell(d, g);
		sim_volumes_tell(d, g);
	}
	return d;
}

const struct obj *world_pod_of(struct world *w, const char *uid)
{
	const struct obj *o;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_pod, i)); i++)
		if (str_eq(json_get_str(meta_controller_ref(obj_json(o)), "uid"), uid) && !obj_deleting(o) &&
			!sim_is_attachment(o))
			return o;
	return NULL;
}

static int64_t pod_has(const struct obj *pod, const char *what)
{
	const struct json *c = compute_in(json_at(obj_json(pod), "/status/containerStatuses"), NULL);

	return quantity_bytes(json_get(json_at(c, "/resources/requests"), what));
}

/* The VMs of this world give no memory requests of their own, so that of the pod covers the guest. */
static void check_covered(struct world *w, const struct guest *g)
{
	const struct obj *pod = world_pod_of(w, g->uid);

	if (pod && g->memory > g->boot && pod_has(pod, "memory") < g->memory)
		world_broken(w, "a guest has more memory than its pod");
}

static void answer_memory(struct guest *g, bool complete, const char *error)
{
	struct guest_memory *m = &g->link.facts.memory;

	if (!m->busy || m->target != g->due_memory)
		return; /* who asked is not there any more, or wants something else by now */
	*m = (struct guest_memory){
		.done = true, .complete = complete, .target = m->target, .current = g->memory, .error = error
	};
}

static void take_memory(struct world *w, struct guest *g)
{
	int64_t wanted = g->due_memory;
	bool differs = wanted != g->memory;

	if (wanted < g->floor || wanted > g->max)
		world_broken(w, "the guest is told to take %" PRId64 ", which it can not", wanted);
	if (differs && world_chance(w, w->faults.lost)) {
		answer_memory(g, false, "no answer in time");
		g->link.facts.memory.passing = g->link.facts.memory.done;
	} else if (differs && world_chance(w, w->faults.refuse)) {
		answer_memory(g, false, "the guest refused");
	} else if (differs && world_chance(w, w->faults.partial)) {
		g->memory += (wanted - g->memory) / 2;
		g->requested = wanted;
		answer_memory(g, false, NULL);
	} else {
		g->memory = g->requested = wanted;
		answer_memory(g, true, NULL);
	}
	g->due_memory = 0;
	check_covered(w, g);
}

static void set_memory(struct world *w, struct guest *g, int64_t bytes, int64_t max)
{
	if (!g->link.facts.connected || g->state != GUEST_RUNS || guest_memory_is(&g->link.facts, bytes))
		return;
	/* Told again what it has been told, by one who knows that. */
	if (g->memory == bytes && g->requested == bytes && !g->due_memory)
		world_broken(w, "the guest is told twice to take %" PRId64, bytes);
	if (max > g->max && max <= g->room)
		g->max = max;
	g->set_memory_calls++;
	g->link.facts.memory = (struct guest_memory){ .busy = true, .target = bytes };
	g->due_memory = bytes;
	g->due_ms = loop_wall_ms(w->loop) + (int64_t)rng_below(&w->rng, 200);
}

static void guest_end(struct world *w, struct guest *g, enum guest_state how)
{
	if (g->state >= GUEST_SHUT_DOWN)
		return;
	g->state = how;
	g->ended_ms = loop_wall_ms(w->loop);
	g->due_memory = g->due_sockets = 0;
}

static int64_t field(const struct json *vmi, const char *at)
{
	int64_t n = json_i64(json_at(vmi, at));

	return n > 0 ? n : 1;
}

static void guest_start_it(struct world *w, struct guest *g, const struct json *vmi, int64_t bytes)
{
	if (g->state != GUEST_NONE)
		return;
	g->link.facts.start = GUEST_START_ACCEPTED;
	if (world_chance(w, w->faults.fail_start)) {
		guest_end(w, g, GUEST_CRASHED);
		return;
	}
	g->state = GUEST_RUNS;
	g->ran = true;
	g->boot = g->memory = g->requested = bytes > 0 ? bytes : vmi_guest_wanted(vmi);
	g->max = vmi_guest_limit(vmi);
	g->floor = vmi_guest_floor(vmi);
	g->room = vmi_guest_room(vmi);
	g->sockets = g->boot_sockets = field(vmi, "/spec/domain/cpu/sockets");
	g->cores = field(vmi, "/spec/domain/cpu/cores");
	g->threads = field(vmi, "/spec/domain/cpu/threads");
	sim_nics_new(w, g, vmi);
	sim_volumes_new(g);
	g->max_sockets = json_i64(json_at(vmi, "/spec/domain/cpu/maxSockets"));
}

/* ---- virt-handler: what it knows ---- */
static void forget(struct guest *g)
{
	json_doc_free(g->link.state);
	free(g->link.key);
	g->link = (struct sim_link){ 0 };
}

static void take_state(struct world *w, struct guest *g)
{
	struct json_doc *d = launcher_state(g);

	if (g->link.state && json_eq(json_root(d), json_root(g->link.state))) {
		json_doc_free(d);
		return;
	}
	json_doc_free(g->link.state);
	g->link.state = d;
	g->link.facts.state = json_root(d);
	controllers_kick(w->handler, NAME, g->link.key);
}

static bool launcher_alive(struct world *w, const struct guest *g)
{
	const struct obj *pod = world_pod_of(w, g->uid);
	const struct json *c =
		pod ? compute_in(json_at(obj_json(pod), "/status/containerStatuses"), NULL) : NULL;

	return json_is_obj(json_at(c, "/state/running"));
}

static void link_step(struct world *w, struct guest *g)
{
	struct guest_facts *f = &g->link.facts;
	bool alive;

	if (!g->link.key || f->detached)
		return;
	alive = launcher_alive(w, g);
	if (f->connected && !alive) {
		f->connected = false;
		f->memory.busy = f->cpus.busy = f->nic.busy = false;
		controllers_kick(w->handler, NAME, g->link.key);
	} else if (!f->connected && alive && world_chance(w, 800)) {
		f->connected = true;
		controllers_kick(w->handler, NAME, g->link.key);
	}
	/* What a launcher said last stands in its directory. */
	if (f->connected || g->state != GUEST_NONE)
		take_state(w, g);
	if (f->memory.done || f->cpus.done || f->nic.done)
		controllers_kick(w->handler, NAME, g->link.key);
}

void launchers_step(struct world *w)
{
	for (size_t i = 0; i < w->n_guests; i++) {
		struct guest *g = &w->guests[i];

		if (g->due_memory && g->state == GUEST_RUNS && loop_wall_ms(w->loop) >= g->due_ms &&
			!world_chance(w, w->faults.slow))
			take_memory(w, g);
		sim_cpus_step(w, g);
		sim_nics_step(w, g);
		sim_volumes_step(w, g);
		if (w->handler)
			link_step(w, g);
	}
}

/* ---- virt-handler: the program ---- */
static void add_uid(const char **uids, size_t *n, const char *uid)
{
	for (size_t i = 0; i < *n; i++)
		if (str_eq(uids[i], uid))
			return;
	if (!str_empty(uid) && *n < UIDS_MAX)
		uids[(*n)++] = uid;
}

static const struct obj *bound_pod(struct cache *pods, const char *uid)
{
	const struct obj *o;

	for (size_t i = 0; (o = cache_index_at(pods, 0, uid, i)); i++)
		if (!str_empty(json_at_str(obj_json(o), "/spec/nodeName")) && !sim_is_attachment(o))
			return o;
	return NULL;
}

static void decide(const struct look *l, const char *key, struct plan *out)
{
	struct world *w = (struct world *)look_env(l);
	const struct obj *vmi = look_get(l, &kind_vmi, key), *cr = cache_at(look_cache(l, &kind_kubevirt), 0);
	const char *node = vmi ? meta_label(obj_json(vmi), LABEL_NODE_NAME) : NULL, *uids[UIDS_MAX];
	struct kv_config config;
	size_t n = 0;

	if (!node)
		vmi = NULL; /* nobody's yet */
	if (vmi)
		add_uid(uids, &n, obj_uid(vmi));
	for (size_t i = 0; i < w->n_guests; i++)
		if (str_eq(w->guests[i].link.key, key))
			add_uid(uids, &n, w->guests[i].uid);
	kv_config_from(cr ? obj_json(cr) : NULL, &config);
	for (size_t i = 0; i < n; i++) {
		struct guest *g = world_guest(w, uids[i]);
		const struct guest_view v = { .key = key,
			.uid = uids[i],
			.node = node,
			.vmi = vmi && str_eq(obj_uid(vmi), uids[i]) ? vmi : NULL,
			.pod = bound_pod(look_cache(l, &kind_pod), uids[i]),
			.facts = g->link.key ? &g->link.facts : NULL,
			.config = &config,
			.now = look_now(l) };

		guest_decide(&v, out);
	}
}

static void act(
	void *env, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct world *w = env;
	const struct json *args = json_root(i->doc), *vmi;
	struct guest *g = world_guest(w, json_str_or(json_get(args, "uid"), ""));
	struct guest_facts *f = &g->link.facts;

	if (sim_nic_act(w, g, i)) {
		if (str_eq(i->action, GUEST_NIC_SEEN))
			controllers_kick(w->handler, NAME, i->key);
		done(done_arg, NULL);
		return;
	}
	if (sim_volume_act(w, g, i)) {
		done(done_arg, NULL);
		return;
	}
	if (str_eq(i->action, GUEST_ATTACH)) {
		g->link.key = mem_strdup(i->key);
		f->attached = true;
		controllers_kick(w->handler, NAME, i->key);
	} else if (str_eq(i->action, GUEST_FORGET)) {
		forget(g);
	} else if (str_eq(i->action, GUEST_DETACH)) {
		f->detached = true;
	} else if (str_eq(i->action, GUEST_START)) {
		vmi = world_vmi_by_key(w, i->key);
		if (vmi && str_eq(meta_str(vmi, "uid"), g->uid))
			guest_start_it(w, g, vmi, json_i64(json_get(args, "bytes")));
	} else if (str_eq(i->action, GUEST_SET_MEMORY)) {
		set_memory(w, g, json_i64(json_get(args, "bytes")), json_i64(json_get(args, "max")));
	} else if (str_eq(i->action, GUEST_MEMORY_SEEN)) {
		f->memory = (struct guest_memory){ 0 };
	} else if (str_eq(i->action, GUEST_SET_CPUS)) {
		sim_set_cpus(w, g, json_i64(json_get(args, "sockets")), json_bool(json_get(args, "remove")));
	} else if (str_eq(i->action, GUEST_CPUS_SEEN)) {
		sim_cpus_seen(g);
	} else if (str_eq(i->action, GUEST_SHUTDOWN)) {
		f->stop_asked = true;
		guest_end(w, g, GUEST_SHUT_DOWN);
	} else if (str_eq(i->action, GUEST_KILL)) {
		f->kill_asked = true;
		guest_end(w, g, GUEST_CRASHED);
	} else if (str_eq(i->action, GUEST_RELEASE)) {
		f->release_asked = true;
		g->released = true;
	}
	done(done_arg, NULL);
}

static void index_by_uid(const struct obj *o, index_emit_fn *emit, void *emit_arg)
{
	emit(emit_arg, json_str_or(json_get(meta_controller_ref(obj_json(o)), "uid"), ""));
}

static const struct controller guests_controller = {
	.name = NAME,
	.decide = decide,
	.action = act,
	.watches = {
		{ .kind = &kind_vmi, .keys = key_self },
		{ .kind = &kind_pod, .keys = key_owner, .index = index_by_uid },
		{ .kind = &kind_kubevirt },
	},
};

void handler_start(struct world *w)
{
	struct kube_transport t = fake_api_transport(w->api, KV_VIRT_HANDLER);

	w->handler_client = kube_client_new_transport(w->loop, &t);
	w->handler = controllers_new(w->handler_client, KV_VIRT_HANDLER);
	controllers_seed(w->handler, rng_next(&w->rng));
	controllers_add(w->handler, &guests_controller, w);
	controllers_start(w->handler);
}

void handler_kill(struct world *w)
{
	if (!w->handler)
		return;
	w->handler_died = true;
	fake_api_disconnect(w->api, KV_VIRT_HANDLER);
	controllers_free(TAKE(w->handler));
	kube_client_free(TAKE(w->handler_client));
	for (size_t i = 0; i < w->n_guests; i++)
		forget(&w->guests[i]);
}
