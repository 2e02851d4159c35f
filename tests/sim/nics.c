/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards of the simulated world: what pods are attached to, what launchers plug and unplug, what people edit. Each
 * VM has a card "default" on the pod network and at times "n0" on a secondary one. rollout.md 3.6. */
#include "world.h"

#include <string.h>

#include "api/meta.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vmi/facts.h"

#define RETRY_MS 5000
#define DEFAULT_NIC "{'name':'default','masquerade':{}}"
#define DEFAULT_DOWN "{'name':'default','masquerade':{},'state':'down'}"
#define DEFAULT_NET "{'name':'default','pod':{}}"
#define N0(more) "{'name':'n0','bridge':{}" more "}"
#define N0_NET(name) "{'name':'n0','multus':{'networkName':'" name "'}}"

/* ---- people ---- */
void edit_nics(struct world *w, const char *vm)
{
	static const struct {
		const char *interfaces, *networks;
	} forms[] = {
		{ DEFAULT_NIC, DEFAULT_NET },
		{ DEFAULT_DOWN, DEFAULT_NET },
		{ DEFAULT_NIC "," N0(""), DEFAULT_NET "," N0_NET("x") },
		{ DEFAULT_NIC "," N0(""), DEFAULT_NET "," N0_NET("x") },
		{ DEFAULT_NIC "," N0(",'state':'down'"), DEFAULT_NET "," N0_NET("x") },
		{ DEFAULT_NIC "," N0(",'state':'absent'"), DEFAULT_NET "," N0_NET("x") },
		{ DEFAULT_NIC "," N0(""), DEFAULT_NET "," N0_NET("y") },
	};
	size_t i = rng_below(&w->rng, ARRAY_LEN(forms));
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'spec':{'template':{'spec':{'domain':{'devices':{'interfaces':[%s]}},'networks':[%s]}}}}",
		forms[i].interfaces, forms[i].networks);

	user_merge(w, &kind_vm, vm, NULL, text);
}

/* ---- the agent ---- */
/* The pod is attached to what its annotation asks for, and says so. True: that is done. */
bool pod_networks(struct json_doc *d, struct json *pod)
{
	CLEANUP(json_doc_freep) struct json_doc *asked = nic_annotation(pod, ANN_NETWORKS);
	CLEANUP(json_doc_freep) struct json_doc *told = json_lit("[]");
	CLEANUP(mem_freep) char *text = NULL;

	JSON_EACH (it, asked ? json_root(asked) : NULL) {
		struct json *o = json_new_obj(told);
		CLEANUP(mem_freep)
		char *name = str_printf("%s/%s", json_str_or(json_get(it.val, "namespace"), ""),
			json_str_or(json_get(it.val, "name"), ""));

		json_set_str(told, o, "name", name);
		json_set_str(told, o, "interface", json_get_str(it.val, "interface"));
		json_set_str(told, o, "mac", json_get_str(it.val, "mac"));
		json_append(told, json_root(told), o);
	}
	text = asked ? json_write(json_root(told), NULL) : NULL;
	return meta_set_annotation(d, pod, ANN_NETWORK_STATUS, text);
}

/* ---- launchers ---- */
static struct sim_nic *find(struct guest *g, const char *name)
{
	for (size_t i = 0; i < g->n_nics; i++)
		if (str_eq(g->nics[i].name, name))
			return &g->nics[i];
	return NULL;
}

/* A card is where its pod's interface is, whatever its instance says by now. */
static const char *attached_to(const struct json_doc *list, const char *name)
{
	const char *full = json_get_str(nic_pod_entry(list, name), "name");
	const char *slash = full ? strchr(full, '/') : NULL;

	return slash ? slash + 1 : full;
}

static void add(struct world *w, struct guest *g, const struct json *iface, const struct json *network)
{
	struct sim_nic *n = &g->nics[g->n_nics];
	const struct obj *pod = world_pod_of(w, g->uid);
	CLEANUP(json_doc_freep)
	struct json_doc *list = pod ? nic_annotation(obj_json(pod), ANN_NETWORKS) : NULL;
	const char *there = attached_to(list, json_str_or(json_get(iface, "name"), ""));

	MUST(g->n_nics < SIM_NICS_MAX);
	g->n_nics++;
	*n = (struct sim_nic){ .tap = nic_is_secondary(network),
		.down = str_eq(json_get_str(iface, "state"), "down") };
	str_copy(n->name, sizeof(n->name), json_str_or(json_get(iface, "name"), ""));
	str_copy(n->network, sizeof(n->network),
		there ? there : json_str_or(json_at(network, "/multus/networkName"), ""));
}

/* At its start, and where it arrives. */
void sim_nics_new(struct world *w, struct guest *g, const struct json *vmi)
{
	const struct json *spec = json_get(vmi, "spec");

	g->n_nics = 0;
	JSON_EACH (it, json_at(spec, "/domain/devices/interfaces"))
		if (!nic_absent(it.val))
			add(w, g, it.val, nic_network(spec, json_get_str(it.val, "name")));
}

void sim_nics_tell(struct json_doc *d, const struct guest *g)
{
	struct json *list = json_new_arr(d);

	for (size_t i = 0; i < g->n_nics; i++) {
		const struct sim_nic *n = &g->nics[i];
		struct json *o = json_new_obj(d);

		json_set_str(d, o, "name", n->name);
		json_set_str(d, o, "mac", n->tap ? "02:00:00:00:00:02" : "02:00:00:00:00:01");
		json_set_str(d, o, "backend", n->tap ? "tap" : "slirp");
		json_set_str(d, o, "link", n->down ? "down" : "up");
		json_append(d, list, o);
	}
	json_set(d, json_root(d), "interfaces", list);
}

/* Repeating one is ok, as the launcher has it (kubevirt/wire/wire.h). */
static void change(struct world *w, struct guest *g, const struct json *args, const char *what)
{
	const char *name = json_get_str(args, "name");
	struct sim_nic *n = find(g, name);

	if (str_eq(what, GUEST_PLUG_NIC) && !n) {
		add(w, g, json_get(args, "interface"), json_get(args, "network"));
		find(g, name)->down = false; /* links are set by themselves */
	} else if (str_eq(what, GUEST_UNPLUG_NIC) && n) {
		*n = g->nics[--g->n_nics];
	} else if (str_eq(what, GUEST_SET_LINK) && n) {
		n->down = str_eq(json_get_str(args, "state"), "down");
	}
}

bool sim_nic_act(struct world *w, struct guest *g, const struct intent *i)
{
	const struct json *args = json_root(i->doc);
	struct guest_nic *f = &g->link.facts.nic;

	if (str_eq(i->action, GUEST_NIC_SEEN)) {
		f->done = false;
		return true;
	}
	if (!str_eq(i->action, GUEST_PLUG_NIC) && !str_eq(i->action, GUEST_UNPLUG_NIC) &&
		!str_eq(i->action, GUEST_SET_LINK))
		return false;
	if (!g->link.facts.connected || g->state != GUEST_RUNS)
		return true;
	str_copy(g->nic_name, sizeof(g->nic_name), json_str_or(json_get(args, "name"), ""));
	*f = (struct guest_nic){ .busy = true, .name = g->nic_name };
	sim_nics_forget(g);
	g->nic_args = json_doc_from(args);
	g->nic_action = i->action;
	return true;
}

void sim_nics_forget(struct guest *g)
{
	json_doc_free(TAKE(g->nic_args));
}

/* The launcher gets round to it; who asked may not be there any more. */
void sim_nics_step(struct world *w, struct guest *g)
{
	struct guest_nic *f = &g->link.facts.nic;

	if (!g->nic_args || world_chance(w, w->faults.slow))
		return;
	if (g->state == GUEST_RUNS && world_chance(w, w->faults.refuse)) {
		*f = (struct guest_nic){ .done = f->busy,
			.name = g->nic_name,
			.error = "QEMU refused",
			.retry_at = loop_wall_ms(w->loop) + RETRY_MS };
	} else if (g->state == GUEST_RUNS) {
		change(w, g, json_root(g->nic_args), g->nic_action);
		*f = (struct guest_nic){ .done = f->busy, .name = g->nic_name };
	}
	sim_nics_forget(g);
}

/* ---- what was expected ---- */
bool sim_nic_as_wanted(struct guest *g, const struct json *spec, const char *name)
{
	const struct json *iface = nic_interface(spec, name);
	const struct sim_nic *n = find(g, name);

	if (!iface || nic_absent(iface))
		return !n;
	return n && n->down == str_eq(json_get_str(iface, "state"), "down") &&
	       str_eq(n->network, json_str_or(json_at(nic_network(spec, name), "/multus/networkName"), ""));
}
