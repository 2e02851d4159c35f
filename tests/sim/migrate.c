/* SPDX-License-Identifier: Apache-2.0 */
/* Live migration as the simulated world has it: what virt-controller decided is taken, some time passes, and the guest is on the
 * other node with everything its instance wants, or where and what it was. The rest of KubeVirt's migrations is not pretended. */
#include "world.h"

#include "api/meta.h"
#include "api/placement.h"
#include "api/quantity.h"
#include "base/time.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/migration/cpu.h"
#include "kubevirt/migration/memory.h"
#include "kubevirt/vmi/facts.h"
#include "kubevirt/vmi/render.h"

static void put_time(struct world *w, struct json_doc *d, const char *which)
{
	char at[TIME_TEXT_MAX];

	json_set_str(d, json_need_obj(d, json_need_obj(d, json_root(d), "status"), "migrationState"), which,
		time_rfc3339(loop_wall_ms(w->loop), at));
}

static void set_outcome(struct json_doc *d, const char *which)
{
	json_set_bool(d, json_at(json_root(d), "/status/migrationState"), which, true);
}

static void put_phase(struct world *w, const struct obj *vmim, const char *phase)
{
	struct json_doc *d = obj_draft(vmim);
	struct json *status = json_need_obj(d, json_root(d), "status"), *stamp = json_new_obj(d);
	char at[TIME_TEXT_MAX];

	json_set_str(d, status, "phase", phase);
	json_set_str(d, stamp, "phase", phase);
	json_set_str(d, stamp, "phaseTransitionTimestamp", time_rfc3339(loop_wall_ms(w->loop), at));
	json_append(d, json_need_arr(d, status, "phaseTransitionTimestamps"), stamp);
	fake_api_put(w->api, &kind_vmim, d);
}

static void begin(struct world *w, const struct obj *vmi, struct guest *g, const struct obj *vmim)
{
	struct json_doc *d = obj_draft(vmi);

	json_remove(json_get(json_root(d), "status"), "migrationState");
	put_time(w, d, "startTimestamp");
	json_set_str(d, json_at(json_root(d), "/status/migrationState"), "migrationUid", obj_uid(vmim));
	g->moved_ms = loop_wall_ms(w->loop) + 200 + (int64_t)rng_below(&w->rng, 2000);
	fake_api_put(w->api, &kind_vmi, d);
	put_phase(w, vmim, "Running");
}

/* Decision 14: another node, else the same. */
static const char *target_of(struct world *w, const struct json *vmi)
{
	const char *now = meta_label(vmi, LABEL_NODE_NAME);
	const struct obj *o;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_node, i)); i++)
		if (!str_eq(obj_name(o), now) && placement_selects(json_get(vmi, "spec"), o))
			return obj_name(o);
	return now;
}

/* What its new pod is made for: the guest comes as it is, and is resized then (migration/memory.h). */
static struct obj *as_it_comes(const struct obj *vmi, const struct guest *g)
{
	struct json_doc *d = obj_draft(vmi);
	struct json *root = json_root(d);
	char text[QUANTITY_TEXT_MAX];

	if (vmi_guest_wanted(root) < g->memory)
		json_put_str(d, root, "/spec/domain/memory/guest", quantity_bytes_text(g->memory, text));
	if (vmi_sockets_wanted(root) < g->sockets)
		json_put(d, root, "/spec/domain/cpu/sockets", json_new_i64(d, g->sockets));
	return obj_from_doc(d);
}

/* The pod of the target takes the place of the other, which had its name here. */
static void put_target_pod(struct world *w, const struct obj *vmi, const struct guest *g,
	const struct kv_config *config, const char *node)
{
	const struct obj *pod = world_pod_of(w, obj_uid(vmi));
	CLEANUP(obj_unrefp) struct obj *larger = as_it_comes(vmi, g);
	CLEANUP(json_doc_freep)
	struct json_doc *made = launcher_pod_render(&(struct render_pod_in){ .vmi = larger,
		.config = config,
		.launcher_image = w->vmi_env.launcher_image,
		.host_dir = w->vmi_env.host_dir });
	const struct json *resources =
		json_get(compute_in(json_at(json_root(made), "/spec/containers"), NULL), "resources");
	struct json_doc *d = obj_draft(pod);
	struct json *root = json_root(d);

	json_set_copy(d, (struct json *)compute_in(json_at(root, "/spec/containers"), NULL), "resources",
		resources);
	json_set_copy(d, (struct json *)compute_in(json_at(root, "/status/containerStatuses"), NULL),
		"resources", resources);
	json_put_str(d, root, "/spec/nodeName", node);
	meta_set_annotation(
		d, root, ANN_MEMORY_OVERHEAD, meta_annotation(json_root(made), ANN_MEMORY_OVERHEAD));
	meta_set_annotation(d, root, ANN_CPU_RATIO, meta_annotation(json_root(made), ANN_CPU_RATIO));
	meta_set_annotation(d, root, ANN_POD_VCPUS, meta_annotation(json_root(made), ANN_POD_VCPUS));
	meta_set_annotation(d, root, ANN_NETWORKS, meta_annotation(json_root(made), ANN_NETWORKS));
	pod_networks(d, root);
	cond_remove(d, json_get(root, "status"), "PodResizePending");
	fake_api_put(w->api, &kind_pod, d);
}

/* The guest is resized where it arrives, as far as its new pod and its launcher let it; its CPUs are virt-handler's part. */
static void arrive_memory(struct world *w, const struct obj *vmi, struct guest *g,
	const struct kv_config *config, struct json_doc *d)
{
	struct json *root = json_root(d);
	int64_t wanted = vmi_guest_wanted(root);
	bool refused =
		wanted != g->memory && vmi_cond(root, COND_HOT_MEMORY) && world_chance(w, w->faults.refuse);
	struct plan *events = plan_new();

	memory_handoff(d, root, world_pod_of(w, obj_uid(vmi)));
	CLEANUP(mem_freep) char *why = memory_handoff_short(root, config);
	if (why)
		world_broken(w, "the pod that was made for the guest does not hold it: %s", why);
	if (!refused && vmi_cond(root, COND_HOT_MEMORY)) /* else nothing was asked for yet */
		g->memory = g->requested = wanted;
	memory_arrived(
		d, root, vmi, why, refused ? "the guest refused" : NULL, loop_wall_ms(w->loop), events);
	plan_free(events);
}

static void arrive(struct world *w, const struct obj *vmi, struct guest *g, const struct kv_config *config)
{
	const char *node = target_of(w, obj_json(vmi));
	struct json_doc *d;
	struct json *root, *status;

	put_target_pod(w, vmi, g, config, node);
	d = obj_draft(vmi);
	root = json_root(d);
	status = json_get(root, "status");
	arrive_memory(w, vmi, g, config, d);
	g->due_memory = 0;
	g->link.facts.connected = false; /* another launcher */
	g->link.facts.memory = (struct guest_memory){ 0 };
	cpu_handoff(d, root, world_pod_of(w, obj_uid(vmi)));
	g->due_sockets = 0;
	g->link.facts.cpus = (struct guest_cpus){ 0 };
	g->link.facts.nic = (struct guest_nic){ 0 };
	sim_nics_forget(g);
	sim_nics_new(w, g, root);
	meta_set_label(d, root, LABEL_NODE_NAME, node);
	json_set_str(d, status, "nodeName", node);
	json_put_str(d, root, "/status/migrationState/targetNode", node);
	put_time(w, d, "targetNodeDomainReadyTimestamp"); /* from now on it is not aborted */
	set_outcome(d, "completed");
	put_time(w, d, "endTimestamp");
	fake_api_put(w->api, &kind_vmi, d);
}

static void fail(struct world *w, const struct obj *vmi)
{
	struct json_doc *d = obj_draft(vmi);

	set_outcome(d, "completed");
	set_outcome(d, "failed");
	put_time(w, d, "endTimestamp");
	fake_api_put(w->api, &kind_vmi, d);
}

static size_t siblings(struct world *w, const struct obj *vmim, const struct obj **ret)
{
	const char *vmi = json_at_str(obj_json(vmim), "/spec/vmiName");
	const struct obj *o;
	size_t n = 0;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vmim, i)) && n < MIGRATIONS_SEEN_MAX; i++)
		if (o != vmim && str_eq(json_at_str(obj_json(o), "/spec/vmiName"), vmi))
			ret[n++] = o;
	return n;
}

/* One that may begin now: not before it is known how the one before ended. */
static const struct obj *next_of(struct world *w, const char *vmi)
{
	const struct obj *o, *others[MIGRATIONS_SEEN_MAX];

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vmim, i)); i++)
		if (str_eq(json_at_str(obj_json(o), "/spec/vmiName"), vmi) &&
			str_eq(json_at_str(obj_json(o), "/status/phase"), "Running"))
			return NULL;

	for (size_t i = 0; (o = fake_api_at(w->api, &kind_vmim, i)); i++)
		if (str_eq(json_at_str(obj_json(o), "/spec/vmiName"), vmi) && !obj_deleting(o) &&
			str_eq(json_at_str(obj_json(o), "/status/phase"), "Pending") &&
			vmim_not_before(o, others, siblings(w, o, others)) <= loop_wall_ms(w->loop))
			return o;
	return NULL;
}

void migrations_step(struct world *w)
{
	struct kv_config config;
	const struct obj *o, *vmim;

	kv_config_from(obj_json(fake_api_at(w->api, &kind_kubevirt, 0)), &config);
	for (size_t i = 0; w->migrates && (o = fake_api_at(w->api, &kind_vmi, i)); i++) {
		struct guest *g = world_guest(w, obj_uid(o));
		const struct json *vmi = obj_json(o);

		if (vmi_phase(vmi) != VMI_RUNNING || g->state != GUEST_RUNS || !world_pod_of(w, obj_uid(o)))
			continue;
		if (!vmi_migrating(vmi)) {
			vmim = next_of(w, obj_name(o));
			if (vmim && (w->idle || world_chance(w, 300)))
				begin(w, o, g, vmim);
		} else if (g->moved_ms && loop_wall_ms(w->loop) >= g->moved_ms) {
			g->moved_ms = 0;
			if (world_chance(w, w->faults.fail_move))
				fail(w, o);
			else
				arrive(w, o, g, &config);
		}
	}
}
