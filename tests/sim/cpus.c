/* SPDX-License-Identifier: Apache-2.0 */
/* CPUs of the pretended launchers: asked for sockets, they add or remove them a moment later, all of them, some, or none. */
#include "world.h"

#include <inttypes.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "kubevirt/vmi/render.h"

#define SHARE_MILLI 100 /* of a pod's CPU per vCPU, at the default ratio */

static void answer(struct world *w, struct guest *g, bool refused, const char *error)
{
	struct guest_cpus *c = &g->link.facts.cpus;

	if (!c->busy || c->target != g->due_sockets)
		return; /* who asked is not there any more, or wants something else by now */
	c->busy = false;
	c->done = true;
	c->refused = refused;
	c->error = error;
	if (error) {
		c->failures++;
		c->failed_at = loop_wall_ms(w->loop);
	}
}

/* The VMs of this world give no CPU requests of their own, or those of the ratio. */
static void check_covered(struct world *w, const struct guest *g)
{
	const struct obj *pod = world_pod_of(w, g->uid);
	const struct json *c =
		pod ? compute_in(json_at(obj_json(pod), "/status/containerStatuses"), NULL) : NULL;
	int64_t need = g->sockets * g->cores * g->threads * SHARE_MILLI;

	if (c && g->sockets > g->boot_sockets &&
		quantity_millis(json_at(c, "/resources/requests/cpu")) < need)
		world_broken(w, "a guest has %" PRId64 " sockets and its pod no CPU for them", g->sockets);
}

static void take(struct world *w, struct guest *g)
{
	int64_t wanted = g->due_sockets;

	if (wanted < 1 || wanted > g->max_sockets)
		world_broken(w, "the guest is told to have %" PRId64 " sockets, which it can not", wanted);
	if (wanted < g->sockets && !(g->may_remove && w->removable_cpus)) {
		answer(w, g, true, "the guest has more sockets: CPUs can not be removed");
	} else if (wanted != g->sockets && world_chance(w, w->faults.refuse)) {
		answer(w, g, world_chance(w, 500), "QEMU refused");
	} else if (wanted != g->sockets && world_chance(w, w->faults.partial)) {
		g->sockets += (wanted - g->sockets) / 2;
		answer(w, g, true, "the guest keeps its CPU");
	} else {
		g->sockets = wanted;
		answer(w, g, false, NULL);
	}
	g->due_sockets = 0;
	check_covered(w, g);
}

void sim_set_cpus(struct world *w, struct guest *g, int64_t sockets, bool remove)
{
	struct guest_cpus *c = &g->link.facts.cpus;

	if (!g->link.facts.connected || g->state != GUEST_RUNS || guest_cpus_are(&g->link.facts, sockets))
		return;
	if (g->sockets == sockets && !g->due_sockets)
		world_broken(w, "the guest is told twice to have %" PRId64 " sockets", sockets);
	g->set_cpus_calls++;
	if (c->target != sockets)
		c->failures = 0;
	*c = (struct guest_cpus){
		.busy = true, .target = sockets, .failures = c->failures, .failed_at = c->failed_at
	};
	g->due_sockets = sockets;
	g->may_remove = remove;
	g->due_cpus_ms = loop_wall_ms(w->loop) + (int64_t)rng_below(&w->rng, 200);
}

void sim_cpus_step(struct world *w, struct guest *g)
{
	if (g->due_sockets && g->state == GUEST_RUNS && loop_wall_ms(w->loop) >= g->due_cpus_ms &&
		!world_chance(w, w->faults.slow))
		take(w, g);
}

void sim_cpus_seen(struct guest *g)
{
	struct guest_cpus *c = &g->link.facts.cpus;

	c->done = false;
	if (!c->error)
		c->failures = 0;
}
