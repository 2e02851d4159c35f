/* SPDX-License-Identifier: Apache-2.0 */
/* domain.devices.interfaces and networks. They are compared with the instance, which knows what was plugged and unplugged since
 * the start; order means nothing. rollout.md 3.6, 6.84-87, 7.15, decision 4. */
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"
#include "kubevirt/vm/vm_impl.h"

#include <string.h>

#define NICS "domain.devices.interfaces"
#define NETS "networks"
#define SPEC "spec.template.spec."
#define MEANING_STAGE "network interfaces updated in template spec"
#define MEANING_T1 "a non-live-updatable field was changed in the template spec"
#define MEANING_NOT_MIGRATABLE "another network for an interface needs a VM that can be migrated"
#define MEANING_NO_MIGRATION \
	MEANING_STAGE        \
	". The running pod can not be attached to the network and live migration is not possible"

struct nics_case {
	const struct vm_seen *seen;
	struct edits *r;
	const struct json *vmi, *was, *is; /* specs: of the instance, of the start, of the template */
	bool live;
	/* the pair being compared */
	const char *name;
};

static struct change *note(struct nics_case *c, const char *shown, const struct json *was,
	const struct json *is, const char *why /* NULL: can go live */)
{
	CLEANUP(mem_freep) char *path = str_printf(SPEC "%s", shown);
	struct change *k = rollout_add(c->r, path, was, is, LIVE_NICS);

	k->staged = why || !c->live;
	k->why = why ? why : k->staged ? MEANING_STAGE : NULL;
	return k;
}

static void note_item(
	struct nics_case *c, const char *list, const struct json *was, const struct json *is, const char *why)
{
	CLEANUP(mem_freep)
	char *shown = str_printf("%s[%s]", list, json_str_or(json_get(was ? was : is, "name"), ""));
	note(c, shown, was, is, why);
}

/* The instance's own list; part of the draft. */
static struct json *draft_list(struct nics_case *c, const char *pointer)
{
	struct json *spec = json_get(rollout_vmi(c->seen, c->r), "spec");

	if (str_eq(pointer, "networks"))
		return json_need_arr(c->r->vmi, spec, "networks");
	return json_need_arr(c->r->vmi,
		json_need_obj(c->r->vmi, json_need_obj(c->r->vmi, spec, "domain"), "devices"), "interfaces");
}

static struct json *draft_item(struct nics_case *c, const char *pointer, const char *name)
{
	JSON_EACH (it, draft_list(c, pointer))
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

/* ---- what is new ---- */
static void added(struct nics_case *c, const struct json *nic)
{
	const struct json *net = nic_network(c->is, json_get_str(nic, "name"));
	/* KubeVirt leaves other bindings out without a word; RestartRequired says it (rollout.md 7.15) */
	const char *why = nic_can_plug(nic, net) ? NULL : MEANING_T1;
	struct json *list;

	note_item(c, NICS, NULL, nic, why);
	if (net)
		note_item(c, NETS, NULL, net, why);
	if (why || !c->live)
		return;
	list = draft_list(c, "interfaces"); /* makes the draft */
	json_append(c->r->vmi, list, json_copy(c->r->vmi, nic));
	json_append(c->r->vmi, draft_list(c, "networks"), json_copy(c->r->vmi, net));
}

/* ---- what both have ---- */
static void on_more(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	if (!json_is_null(a))
		*(bool *)arg = false;
}

/* Everything that `less` says, `more` says too. */
static bool covers(const char *list, const struct json *more, const struct json *less)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *a = json_new_arr(d), *b = json_new_arr(d);
	bool yes = true;

	json_append(d, a, json_copy(d, less));
	json_append(d, b, json_copy(d, more));
	spec_diff(list, a, b, on_more, &yes);
	return yes;
}

/* What the template is compared with: how it was at the start, if the instance only has defaults beside that; else the
 * instance's own, which was copied from a later template. */
static const struct json *base_of(const char *list, const struct json *in_vmi, const struct json *at_start)
{
	return at_start && covers(list, in_vmi, at_start) ? at_start : in_vmi;
}

static const char *state_of(const struct json *nic)
{
	const char *s = json_get_str(nic, "state");

	return str_empty(s) ? "up" : s;
}

static void on_nic(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	if (!str_ends(dotted, ".state")) /* by itself, against the instance */
		note(arg, shown, a, b, MEANING_T1);
}

/* Is the network that the template wants what the pod still has? Then nothing has to be done but to take the wish back. */
static bool is_what_the_pod_has(const struct vm_seen *s, const struct json *want)
{
	CLEANUP(mem_freep) char *has = nic_waiting(obj_json(s->vmi), json_get_str(want, "name"));
	CLEANUP(mem_freep) char *wants = nic_definition(want, obj_namespace(s->vmi));

	return has && nic_is_secondary(want) && str_eq(has, wants);
}

static void on_net(
	void *arg, const char *dotted, const char *shown, const struct json *a, const struct json *b)
{
	struct nics_case *c = arg;
	struct json *net;

	if (!str_ends(dotted, ".multus.networkName") || json_is_null(a) || json_is_null(b)) {
		note(c, shown, a, b, MEANING_T1);
		return;
	}
	if (is_what_the_pod_has(c->seen, nic_network(c->is, c->name)))
		return; /* see rollout_nics_cancel() */
	if (!vmi_cond_is(obj_json(c->seen->vmi), COND_LIVE_MIGRATABLE, "True")) {
		note(c, shown, a, b, MEANING_NOT_MIGRATABLE);
		return;
	}
	note(c, shown, a, b, NULL);
	net = c->live ? draft_item(c, "networks", c->name) : NULL;
	if (net)
		json_put(c->r->vmi, net, "/multus/networkName", json_copy(c->r->vmi, b));
}

static void compare(struct nics_case *c, const char *list, const struct json *base, const struct json *is,
	spec_diff_fn *fn)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *a = json_new_arr(d), *b = json_new_arr(d);

	json_append(d, a, json_copy(d, base));
	json_append(d, b, json_copy(d, is));
	spec_diff(list, a, b, fn, c);
}

static void compare_state(struct nics_case *c, const struct json *has, const struct json *want)
{
	CLEANUP(mem_freep) char *shown = str_printf(NICS "[%s].state", c->name);
	const struct json *net = nic_network(c->vmi, c->name);
	bool leaves = nic_absent(want), by_bridge = json_is_obj(json_get(has, "bridge"));
	struct json *nic;

	if (str_eq(state_of(has), state_of(want)))
		return;
	if (leaves && !(by_bridge && nic_is_secondary(net))) {
		note(c, shown, json_get(has, "state"), json_get(want, "state"), MEANING_T1);
		return;
	}
	note(c, shown, json_get(has, "state"), json_get(want, "state"), NULL);
	nic = c->live ? draft_item(c, "interfaces", c->name) : NULL;
	if (!nic)
		return;
	if (json_get_str(want, "state"))
		json_set_str(c->r->vmi, nic, "state", json_get_str(want, "state"));
	else
		json_remove(nic, "state");
}

static bool can_migrate(const struct nics_case *c)
{
	return c->seen->config->workload_methods & KV_UPDATE_LIVE_MIGRATE &&
	       !vmi_cond_is(obj_json(c->seen->vmi), COND_LIVE_MIGRATABLE, "False");
}

/* Decision 19, as with memory and CPUs: what works neither in place nor by a migration waits for a restart. */
static void stuck(struct nics_case *c, const struct json *nic, const struct json *net)
{
	const struct json *vmi = obj_json(c->seen->vmi);
	CLEANUP(mem_freep) char *has = nic_waiting(vmi, c->name);
	CLEANUP(mem_freep) char *wants = nic_definition(net, obj_namespace(c->seen->vmi));
	CLEANUP(mem_freep) char *shown = str_printf(NETS "[%s].multus.networkName", c->name);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *was = json_new_obj(d);

	if (!has || str_eq(has, wants) || can_migrate(c))
		return;
	if (str_empty(has)) {
		note_item(c, NICS, NULL, nic, MEANING_NO_MIGRATION);
		note_item(c, NETS, NULL, net, MEANING_NO_MIGRATION);
		return;
	}
	json_set_str(d, was, "name", has);
	note(c, shown, json_get(was, "name"), json_at(net, "/multus/networkName"), MEANING_NO_MIGRATION);
}

/* Added since the start, taken out again, and the guest has not got it: the edit was put back (decision 5). So it is with one
 * that only a migration could bring. */
static bool taken_back(const struct vm_seen *s, const char *name)
{
	const struct json *was = json_get(s->start, "spec"), *is = json_get(s->template, "spec");

	return nic_is_secondary(nic_network(json_get(obj_json(s->vmi), "spec"), name)) &&
	       !nic_interface(is, name) && !nic_network(is, name) && !nic_interface(was, name) &&
	       !nic_network(was, name) && !nic_named(json_at(obj_json(s->vmi), "/status/interfaces"), name);
}

static void existing(struct nics_case *c, const struct json *has)
{
	const struct json *want = nic_interface(c->is, c->name);
	const struct json *net = nic_network(c->vmi, c->name), *want_net = nic_network(c->is, c->name);
	size_t before = c->r->n;

	/* On its way out: not revived. A new one of the name comes when it has gone. */
	if (nic_absent(has) || taken_back(c->seen, c->name)) /* see rollout_nics_cancel() */
		return;
	if (!want) {
		note_item(c, NICS, has, NULL, MEANING_T1);
		if (net && !want_net)
			note_item(c, NETS, net, NULL, MEANING_T1);
		return;
	}
	compare(c, NICS, base_of(NICS, has, nic_interface(c->was, c->name)), want, on_nic);
	if (net && want_net)
		compare(c, NETS, base_of(NETS, net, nic_network(c->was, c->name)), want_net, on_net);
	compare_state(c, has, want);
	if (c->r->n == before && want_net && !nic_absent(want))
		stuck(c, want, want_net);
}

/* Neither the template nor its form at the start has any: the instance got the default one. */
static bool automatic(const struct nics_case *c)
{
	return !json_len(json_at(c->is, "/domain/devices/interfaces")) &&
	       !json_len(json_get(c->is, "networks")) &&
	       !json_len(json_at(c->was, "/domain/devices/interfaces")) &&
	       !json_len(json_get(c->was, "networks"));
}

void rollout_nics(const struct vm_seen *s, struct edits *r)
{
	struct nics_case c = { .seen = s,
		.r = r,
		.vmi = json_get(obj_json(s->vmi), "spec"),
		.was = json_get(s->start, "spec"),
		.is = json_get(s->template, "spec"),
		.live = rollout_live(s) };
	size_t before = r->n;

	if (automatic(&c))
		return;
	if (vmi_migrating(obj_json(s->vmi)))
		c.live = false; /* see below */
	JSON_EACH (it, json_at(c.vmi, "/domain/devices/interfaces")) {
		c.name = json_str_or(json_get(it.val, "name"), "");
		existing(&c, it.val);
	}
	JSON_EACH (it, json_at(c.is, "/domain/devices/interfaces"))
		if (!nic_interface(c.vmi, json_get_str(it.val, "name")) && !nic_absent(it.val))
			added(&c, it.val);
	if (!rollout_live(s) || !vmi_migrating(obj_json(s->vmi)))
		return;
	/* Not for a restart but for the end of the migration */
	for (size_t i = before; i < r->n; i++)
		if (str_eq(r->items[i].why, MEANING_STAGE)) {
			r->items[i].staged = false;
			r->items[i].why = NULL;
			rollout_busy(r, "HotPlugNetworkInterfaceError",
				"a change of network interfaces waits for the end of a migration");
		}
}

static void drop_named(struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			json_iter_remove(&it);
}

static void cancel_cards(const struct vm_seen *s, struct edits *r)
{
	JSON_EACH (it, json_at(obj_json(s->vmi), "/spec/domain/devices/interfaces")) {
		const char *name = json_get_str(it.val, "name");
		struct json *spec;

		if (!name || nic_absent(it.val) || !taken_back(s, name))
			continue;
		spec = json_get(rollout_vmi(s, r), "spec");
		drop_named(json_at(spec, "/domain/devices/interfaces"), name);
		drop_named(json_get(spec, "networks"), name);
	}
}

void rollout_nics_cancel(const struct vm_seen *s, struct edits *r)
{
	const struct json *vmi = obj_json(s->vmi), *spec = json_get(s->template, "spec");

	if (vmi_phase(vmi) != VMI_RUNNING || vmi_migrating(vmi))
		return;
	cancel_cards(s, r);
	JSON_EACH (it, json_at(vmi, "/spec/networks")) {
		const char *name = json_get_str(it.val, "name");
		const struct json *want = nic_network(spec, name);
		const struct json *net = json_at(want, "/multus/networkName");
		struct json *now;

		if (!want || json_eq(json_at(it.val, "/multus/networkName"), net) ||
			!is_what_the_pod_has(s, want))
			continue;
		now = (struct json *)nic_network(json_get(rollout_vmi(s, r), "spec"), name);
		json_put(r->vmi, now, "/multus/networkName", json_copy(r->vmi, net));
	}
}

/* ---- absent, and gone ---- */
bool rollout_nics_gone(const void *seen, const char *name)
{
	const struct vm_seen *s = seen;
	const struct json *vmi = s->vmi ? obj_json(s->vmi) : NULL;
	const struct json *spec = json_at(obj_json(s->vm), "/spec/template/spec");

	return vmi_phase(vmi) == VMI_RUNNING && !obj_deleting(s->vmi) &&
	       nic_absent(nic_interface(spec, name)) && !nic_interface(json_get(vmi, "spec"), name) &&
	       !nic_network(json_get(vmi, "spec"), name) &&
	       !nic_named(json_at(vmi, "/status/interfaces"), name);
}
