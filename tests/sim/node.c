/* SPDX-License-Identifier: Apache-2.0 */
/* The node of the simulated world: an agent that runs pods. Each step looks at everything there is; writes are whole and
 * immediate. */
#include "world.h"

#include "api/meta.h"
#include "api/placement.h"
#include "api/quantity.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

#define LINGER_MS 20000

struct one {
	struct world *w;
	const struct obj *o;
	struct json_doc *d;
	struct json *root, *status;
};

static struct one edit(struct world *w, const struct obj *o)
{
	struct one e = { .w = w, .o = o, .d = obj_draft(o) };

	e.root = json_root(e.d);
	e.status = json_need_obj(e.d, e.root, "status");
	return e;
}

static void keep(struct one *e, const struct kind *k)
{
	if (json_eq(obj_json(e->o), e->root))
		json_doc_free(e->d);
	else
		fake_api_put(e->w->api, k, e->d);
	e->d = NULL;
}

static void cond(struct one *e, const char *type, const char *status, const char *reason, const char *message)
{
	cond_set(e->d, e->status, type, status, reason, message, loop_wall_ms(e->w->loop));
}

/* ---- the agent ---- */
static void pod_resources(struct one *e)
{
	const struct json *want =
		json_get(compute_in(json_at(e->root, "/spec/containers"), NULL), "resources");
	struct json *have = (struct json *)compute_in(json_get(e->status, "containerStatuses"), NULL);

	if (json_eq(json_get(have, "resources"), want)) {
		cond_remove(e->d, e->status, "PodResizePending");
		return;
	}
	if (e->w->faults.room && quantity_bytes(json_at(want, "/requests/memory")) > e->w->faults.room) {
		cond(e, "PodResizePending", "True", "Infeasible", "Node didn't have enough capacity: memory");
		return;
	}
	if (e->w->faults.no_room &&
		(quantity_bytes(json_at(want, "/requests/memory")) >
				quantity_bytes(json_at(have, "/resources/requests/memory")) ||
			quantity_millis(json_at(want, "/requests/cpu")) >
				quantity_millis(json_at(have, "/resources/requests/cpu")))) {
		cond(e, "PodResizePending", "True", "Infeasible", "Node didn't have enough capacity: memory");
		return;
	}
	cond_remove(e->d, e->status, "PodResizePending");
	json_set_copy(e->d, have, "resources", want);
}

static void pod_start(struct one *e)
{
	struct json *list, *c;

	if (e->w->faults.image_error) {
		CLEANUP(json_doc_freep)
		struct json_doc *w = json_lit("[{'name':'compute','state':{'waiting':{'reason':'ErrImagePull'"
					      ",'message':'no such image'}}}]");
		json_set_copy(e->d, e->status, "containerStatuses", json_root(w));
		return;
	}
	json_remove(e->status, "containerStatuses");
	list = json_need_arr(e->d, e->status, "containerStatuses");
	c = json_new_obj(e->d);
	json_append(e->d, list, c);
	json_set_str(e->d, c, "name", POD_CONTAINER_COMPUTE);
	json_set_bool(e->d, c, "ready", true);
	json_put(e->d, c, "/state/running", json_new_obj(e->d));
	json_set_copy(e->d, c, "resources",
		json_get(compute_in(json_at(e->root, "/spec/containers"), NULL), "resources"));
	json_set_str(e->d, e->status, "phase", "Running");
	json_set_str(e->d, e->status, "qosClass", "Burstable");
	json_set_str(e->d, e->status, "podIP", "10.0.0.5");
}

static void pod_end(struct one *e, bool well)
{
	struct json *c = (struct json *)compute_in(json_get(e->status, "containerStatuses"), NULL);
	struct json *state = json_new_obj(e->d), *t = json_new_obj(e->d);

	json_set_str(e->d, e->status, "phase", well ? "Succeeded" : "Failed");
	cond(e, COND_READY, "False", "PodCompleted", NULL);
	if (!c)
		return;
	json_set_i64(e->d, t, "exitCode", well ? 0 : 1);
	json_set_str(e->d, t, "reason", well ? "Completed" : "Error");
	json_set(e->d, state, "terminated", t);
	json_set(e->d, c, "state", state);
}

/* The first that its rules allow; where none does, the first: the rest of the scheduler is not pretended. */
static const char *node_for(struct world *w, const struct json *pod)
{
	const struct obj *o;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_node, i)); i++)
		if (placement_selects(json_get(pod, "spec"), o))
			return obj_name(o);
	return WORLD_NODE;
}

static const char *owner_uid(const struct obj *o)
{
	return json_str_or(json_get(meta_controller_ref(obj_json(o)), "uid"), "");
}

static void agent_pod(struct world *w, const struct obj *pod)
{
	struct guest *g = world_guest(w, owner_uid(pod));
	struct one e;
	const char *phase;

	if (sim_is_attachment(pod)) {
		sim_attachment_step(w, pod);
		return;
	}
	if (obj_deleting(pod)) {
		if (g->state == GUEST_RUNS) {
			g->state = GUEST_SHUT_DOWN; /* SIGTERM, and the guest obeyed */
			g->ended_ms = loop_wall_ms(w->loop);
		}
		if (!world_chance(w, 300))
			fake_api_remove(w->api, &kind_pod, obj_key(pod));
		return;
	}
	e = edit(w, pod);
	phase = json_str_or(json_get(e.status, "phase"), "");
	if (!str_empty(json_at_str(e.root, "/spec/nodeName")) && !world_chance(w, w->faults.slow))
		pod_networks(e.d, e.root);
	if (str_empty(json_at_str(e.root, "/spec/nodeName"))) {
		if (w->faults.unschedulable) {
			cond(&e, COND_POD_SCHEDULED, "False", "Unschedulable",
				"0/1 nodes are available: 1 Insufficient memory.");
		} else {
			json_put_str(e.d, e.root, "/spec/nodeName", node_for(w, e.root));
			json_set_str(e.d, e.status, "phase", "Pending");
			cond(&e, COND_POD_SCHEDULED, "True", NULL, NULL);
		}
	} else if (str_eq(phase, "Pending")) {
		pod_start(&e);
	} else if (str_eq(phase, "Running") && g->state > GUEST_RUNS &&
		   (g->released || loop_wall_ms(w->loop) > g->ended_ms + LINGER_MS)) {
		pod_end(&e, g->state == GUEST_SHUT_DOWN);
	} else if (str_eq(phase, "Running")) {
		pod_resources(&e);
		cond(&e, COND_READY,
			cond_is(json_get(e.status, "conditions"), POD_GATE_UNPAUSED, "True") ? "True"
											     : "False",
			NULL, NULL);
	}
	keep(&e, &kind_pod);
}

void node_step(struct world *w)
{
	const struct obj *o;

	if (w->faults.handler_down)
		handler_kill(w);
	else if (!w->handler)
		handler_start(w);
	/* Backwards: what is looked at may go. */
	for (size_t i = fake_api_len(w->api, &kind_pod); i-- > 0;)
		if ((o = fake_api_at(w->api, &kind_pod, i)))
			agent_pod(w, o);
	launchers_step(w);
	migrations_step(w);
}
