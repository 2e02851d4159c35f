/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that come and go in the simulated world: people who edit and ask, attachment pods, and launchers that are slow.
 * What must hold: a guest has what the template says, or RestartRequired lists it; no attachment pod goes while its volume
 * is in a guest; and in the end nothing is left that nobody wants. */
#include "world.h"

#include <string.h>

#include "api/meta.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/volume_rules.h"
#include "kubevirt/vmi/facts.h"

#define ROOT_V "{'name':'root','containerDisk':{'image':'registry/disk:v1'}}"
#define ROOT_D "{'name':'root','disk':{'bus':'virtio'}}"
#define HOT_V(name, claim) \
	"{'name':'" name "','persistentVolumeClaim':{'claimName':'" claim "','hotpluggable':true}}"
#define HOT_D(name) "{'name':'" name "','disk':{'bus':'scsi'}}"

/* ---- people ---- */
static void put_claims(struct world *w)
{
	static const char *const names[] = { "c0", "c1", "c2" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(mem_freep) char *key = str_printf("default/%s", names[i]);
		struct json_doc *d;

		if (fake_api_get(w->api, &kind_pvc, key))
			continue;
		d = json_lit("{'metadata':{'namespace':'default'},'spec':{'accessModes':['ReadWriteMany'],'"
			     "resources':{"
			     "'requests':{'storage':'1Gi'}}},'status':{'phase':'Bound'}}");
		json_put_str(d, json_root(d), "/metadata/name", names[i]);
		fake_api_put(w->api, &kind_pvc, d);
	}
}

void edit_plugged(struct world *w, const char *vm)
{
	static const struct {
		const char *volumes, *disks, *names;
	} forms[] = {
		{ ROOT_V, ROOT_D, "h0,h1" },
		{ ROOT_V "," HOT_V("h0", "c0"), ROOT_D "," HOT_D("h0"), "h0,h1" },
		{ ROOT_V "," HOT_V("h0", "c1"), ROOT_D "," HOT_D("h0"), "h0,h1" },
		{ HOT_V("h1", "c2") "," ROOT_V "," HOT_V("h0", "c0"), ROOT_D "," HOT_D("h0") "," HOT_D("h1"),
			"h0,h1" },
		{ ROOT_V "," HOT_V("h1", "c2"), ROOT_D "," HOT_D("h1"), "h1,h0" },
	};
	size_t i = rng_below(&w->rng, ARRAY_LEN(forms));
	/* as virt-api does for addvolume and removevolume */
	CLEANUP(mem_freep)
	char *marks = world_chance(w, 300) && world_vmi(w, vm)
			      ? str_printf("'metadata':{'annotations':{'" ANN_VOLUMES_AT_ONCE "':'%s'}},",
					forms[i].names)
			      : mem_strdup("");
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{%s'spec':{'template':{'spec':{'domain':{'devices':{'disks':[%s]}},'volumes':[%s]}}}}",
		marks, forms[i].disks, forms[i].volumes);

	put_claims(w);
	user_merge(w, &kind_vm, vm, NULL, text);
}

/* ---- attachment pods ---- */
bool sim_is_attachment(const struct obj *pod)
{
	return str_eq(meta_label(obj_json(pod), LABEL_APP), KV_HOTPLUG_DISK);
}

static struct sim_volume *find(struct guest *g, const char *id)
{
	for (size_t i = 0; i < g->n_volumes; i++)
		if (str_eq(g->volumes[i].id, id))
			return &g->volumes[i];
	return NULL;
}

static struct guest *guest_of(struct world *w, const struct obj *pod)
{
	return world_guest(w, json_str_or(json_get(meta_controller_ref(obj_json(pod)), "uid"), ""));
}

void sim_attachment_step(struct world *w, const struct obj *pod)
{
	struct guest *g = guest_of(w, pod);
	struct sim_volume *v = find(g, obj_name(pod));
	struct json_doc *d;

	if (obj_deleting(pod)) {
		if (g->state == GUEST_RUNS && v && v->phase != SIM_OFFERED &&
			str_eq(v->pod_uid, obj_uid(pod)))
			world_broken(w, "pod %s goes while its volume is in the guest", obj_name(pod));
		if (!world_chance(w, 300))
			fake_api_remove(w->api, &kind_pod, obj_key(pod));
		return;
	}
	if (world_chance(w, w->faults.slow))
		return;
	if (!json_at(obj_json(pod), "/status/containerStatuses")) {
		d = obj_draft(pod);
		json_put_str(d, json_root(d), "/spec/nodeName", WORLD_NODE);
		json_put_str(d, json_root(d), "/status/phase", "Running");
		json_append(d, json_need_arr(d, json_get(json_root(d), "status"), "containerStatuses"),
			json_new_obj(d));
		json_put(d, json_root(d), "/status/containerStatuses/0/state/running", json_new_obj(d));
		fake_api_put(w->api, &kind_pod, d);
		return;
	}
	/* It offers once, as soon as there is a launcher. */
	if (!v && g->state == GUEST_RUNS && g->n_volumes < SIM_VOLUMES_MAX) {
		bool offered = false;

		for (size_t i = 0; i < g->n_offered; i++)
			offered = offered || str_eq(g->offered[i], obj_uid(pod));
		if (offered)
			return;
		str_copy(g->offered[g->n_offered++ % SIM_OFFERS_MAX], 37, obj_uid(pod));
		if (g->n_offered > SIM_OFFERS_MAX)
			g->n_offered = SIM_OFFERS_MAX;
		v = &g->volumes[g->n_volumes++];
		*v = (struct sim_volume){ .phase = SIM_OFFERED };
		str_copy(v->id, sizeof(v->id), obj_name(pod));
		str_copy(v->pod_uid, sizeof(v->pod_uid), obj_uid(pod));
	}
}

/* ---- launchers ---- */
void sim_volumes_new(struct guest *g)
{
	g->n_volumes = g->n_offered = 0;
}

void sim_volumes_tell(struct json_doc *d, const struct guest *g)
{
	static const char *const phases[] = { [SIM_OFFERED] = "offered",
		[SIM_PLUGGING] = "plugging",
		[SIM_READY] = "ready",
		[SIM_UNPLUGGING] = "unplugging" };
	struct json *list = json_new_arr(d);

	for (size_t i = 0; i < g->n_volumes; i++) {
		struct json *o = json_new_obj(d);

		json_set_str(d, o, "id", g->volumes[i].id);
		json_set_str(d, o, "name", g->volumes[i].name);
		json_set_str(d, o, "phase", phases[g->volumes[i].phase]);
		json_set_str(d, o, "target", "sda");
		json_set_i64(d, o, "size", 1 << 30);
		json_set_str(d, o, "error", g->volumes[i].failed ? "QEMU refused" : "");
		json_append(d, list, o);
	}
	json_set(d, json_root(d), "volumes", list);
}

bool sim_volume_act(struct world *w, struct guest *g, const struct intent *i)
{
	const struct json *args = json_get(json_root(i->doc), "args");
	struct sim_volume *v = find(g, json_str_or(json_get(args, "id"), ""));
	bool plug = str_eq(i->action, GUEST_PLUG_DISK);

	if (!plug && !str_eq(i->action, GUEST_UNPLUG_DISK))
		return false;
	if (!g->link.facts.connected || g->state != GUEST_RUNS || !v)
		return true;
	if (plug && v->phase == SIM_OFFERED) {
		str_copy(v->name, sizeof(v->name), json_str_or(json_at(args, "/disk/name"), ""));
		for (size_t k = 0; k < g->n_volumes; k++)
			if (&g->volumes[k] != v && g->volumes[k].phase != SIM_OFFERED &&
				str_eq(g->volumes[k].name, v->name))
				world_broken(w, "two volumes %s are plugged", v->name);
		v->phase = SIM_PLUGGING;
	} else if (!plug && v->phase == SIM_OFFERED) {
		*v = g->volumes[--g->n_volumes];
	} else if (!plug && v->phase == SIM_READY) {
		v->phase = SIM_UNPLUGGING;
	}
	return true;
}

void sim_volumes_step(struct world *w, struct guest *g)
{
	for (size_t i = g->n_volumes; i-- > 0 && g->state == GUEST_RUNS;) {
		struct sim_volume *v = &g->volumes[i];

		if (world_chance(w, w->faults.slow + 200))
			continue;
		if (v->phase == SIM_OFFERED) {
			v->failed = false; /* another try */
		} else if (v->phase == SIM_PLUGGING) {
			v->failed = world_chance(w, w->faults.refuse);
			v->phase = v->failed ? SIM_OFFERED : SIM_READY;
		} else if (v->phase == SIM_UNPLUGGING) {
			*v = g->volumes[--g->n_volumes];
		}
	}
}

/* ---- what was expected ---- */
static const struct json *plugged(const struct json *spec, const char *name)
{
	const struct json *v = volume_named(json_get(spec, "volumes"), name);

	return v && volume_hotpluggable(v) ? v : NULL;
}

bool sim_volume_as_wanted(
	struct world *w, struct guest *g, const struct json *vmi, const struct json *spec, const char *name)
{
	const struct json *want = plugged(spec, name), *have = plugged(json_get(vmi, "spec"), name);

	if (!want || !have)
		return want == have;
	return str_eq(volume_claim(want), volume_claim(have));
}

/* The instance has come to rest with what it wants, in guest, status and pods. */
void check_plugged(struct world *w, const char *name, const struct json *vmi)
{
	struct guest *g = world_guest(w, meta_str(vmi, "uid"));
	size_t wanted = 0, ready = 0, entries = 0, pods = 0;
	const struct obj *o;

	JSON_EACH (it, json_at(vmi, "/spec/volumes"))
		wanted += volume_hotpluggable(it.val);
	for (size_t i = 0; i < g->n_volumes; i++)
		ready += g->volumes[i].phase == SIM_READY &&
			 plugged(json_get(vmi, "spec"), g->volumes[i].name) != NULL;
	JSON_EACH (it, json_at(vmi, "/status/volumeStatus")) {
		const char *phase = json_get_str(it.val, "phase");

		if (!json_get(it.val, "hotplugVolume"))
			continue;
		entries++;
		if (!str_eq(phase, "Ready"))
			world_broken(w, "%s: volume %s stays %s", name, json_get_str(it.val, "name"), phase);
	}
	for (size_t i = 0; (o = fake_api_at(w->api, &kind_pod, i)); i++)
		pods += sim_is_attachment(o) && meta_owned_by(obj_json(o), meta_str(vmi, "uid"));
	if (ready != wanted || g->n_volumes != wanted || entries != wanted || pods != wanted)
		world_broken(w,
			"%s: %zu volumes are wanted, %zu of %zu are in the guest, %zu in the status, %zu "
			"pods",
			name, wanted, ready, g->n_volumes, entries, pods);
	if (meta_annotation(world_vm(w, name), ANN_VOLUMES_AT_ONCE))
		world_broken(w, "%s: a request for volumes stays", name);
}
