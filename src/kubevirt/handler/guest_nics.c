/* SPDX-License-Identifier: Apache-2.0 */
/* Cards on secondary networks come and go while the guest runs, and every link goes up and down. What is wanted is in the VMI's
 * spec, what the pod is attached to in its annotation, what the guest has in the launcher's STATE: each pass derives one step
 * from the three, so a restart at any point goes on where things are. rollout.md 3.6 */
#include "kubevirt/handler/guest.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/api/nics.h"

#define DEVICES_MAX 256 /* a launcher that tells of more is not believed */
#define BOOT_MS 300000  /* a guest that does not say so has booted by then, as the launcher has it */
#define POD_NETWORK_IF "eth0"
#define MESSAGE_MAX 800

static const struct json *told_list(const struct guest_view *v)
{
	const struct json *told = json_get(v->facts->state, "interfaces");

	return json_len(told) <= DEVICES_MAX ? told : NULL;
}

static bool is_tap(const struct json *told)
{
	return str_eq(json_get_str(told, "backend"), "tap");
}

static struct json_doc *pod_status(const struct guest_view *v)
{
	return v->pod ? nic_annotation(obj_json(v->pod), ANN_NETWORK_STATUS) : NULL;
}

/* The card of a secondary network that can be connected by a bridge: what this program does. */
static bool by_bridge(const struct json *iface, const struct json *network)
{
	return nic_is_secondary(network) && json_is_obj(json_get(iface, "bridge")) && !nic_absent(iface);
}

/* ---- actions ---- */
static struct json *begin(const struct guest_view *v, struct json_doc **ret, const char *name)
{
	struct json_doc *d = json_doc_new();
	struct json *args = json_new_obj(d);
	char ifname[NIC_IFNAME_MAX];

	json_set_root(d, args);
	json_set_str(d, args, "uid", v->uid);
	json_set_str(d, args, "name", name);
	nic_pod_ifname(name, ifname);
	json_set_str(d, args, "podInterface", ifname);
	*ret = d;
	return args;
}

static void plug(const struct guest_view *v, const struct json *iface, const struct json *network,
	const struct json *entry, struct plan *out)
{
	struct json_doc *d;
	struct json *args = begin(v, &d, json_get_str(iface, "name"));

	json_set_copy(d, args, "interface", iface);
	json_set_copy(d, args, "network", network);
	json_set_str(d, args, "mac", json_get_str(entry, "mac"));
	plan_action(out, GUEST_PLUG_NIC, v->key, d);
}

static void unplug(const struct guest_view *v, const char *name, struct plan *out)
{
	struct json_doc *d;

	begin(v, &d, name);
	plan_action(out, GUEST_UNPLUG_NIC, v->key, d);
}

static void set_link(const struct guest_view *v, const char *name, const char *state, struct plan *out)
{
	struct json_doc *d;
	struct json *args = begin(v, &d, name);

	json_set_str(d, args, "state", state);
	plan_action(out, GUEST_SET_LINK, v->key, d);
}

/* ---- what is to be done ---- */
/* A guest that can not listen yet, or stands still, lets go of nothing: it is asked when it can. */
static bool can_unplug(const struct guest_view *v, struct plan *out)
{
	int64_t ready = json_i64(json_get(v->facts->state, "startedAtMs")) + BOOT_MS;

	if (str_eq(json_get_str(v->facts->state, "phase"), "Paused"))
		return false;
	if (json_bool(json_at(v->facts->state, "/guest/booted")) || v->now >= ready)
		return true;
	plan_again_at(out, ready);
	return false;
}

static bool step_out(const struct guest_view *v, const struct json *spec, struct plan *out)
{
	JSON_EACH (it, told_list(v)) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *iface = nic_interface(spec, name);

		if (!is_tap(it.val) || (iface && !nic_absent(iface)) || !can_unplug(v, out))
			continue;
		unplug(v, name, out);
		return true;
	}
	return false;
}

static bool step_in(
	const struct guest_view *v, const struct json *spec, const struct json_doc *pod, struct plan *out)
{
	JSON_EACH (it, json_get(spec, "networks")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *iface = nic_interface(spec, name), *entry = nic_pod_entry(pod, name);

		if (!by_bridge(iface, it.val) || !entry || nic_named(told_list(v), name))
			continue;
		plug(v, iface, it.val, entry, out);
		return true;
	}
	return false;
}

static void step_link(const struct guest_view *v, const struct json *spec, struct plan *out)
{
	JSON_EACH (it, told_list(v)) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *iface = nic_interface(spec, name);
		const char *want = str_eq(json_get_str(iface, "state"), "down") ? "down" : "up";
		const char *is = json_get_str(it.val, "link");

		if (!iface || nic_absent(iface) || !is || str_eq(is, want) ||
			json_bool(json_get(it.val, "leaving")))
			continue;
		set_link(v, name, want, out);
		return;
	}
}

/* What came of the step before. True: nothing more just now. */
static bool report(const struct guest_view *v, struct plan *out)
{
	const struct guest_nic *n = &v->facts->nic;
	struct json_doc *d;

	if (n->done) {
		begin(v, &d, n->name ? n->name : "");
		plan_action(out, GUEST_NIC_SEEN, v->key, d);
		if (n->error) {
			CLEANUP(mem_freep) char *text = mem_strndup(n->error, MESSAGE_MAX);
			plan_event(out, v->vmi, true, "NetworkInterfaceFailed", "interface %s: %s",
				n->name ? n->name : "", text);
		}
		return true; /* seen, then the next */
	}
	if (n->retry_at > v->now) {
		plan_again_at(out, n->retry_at);
		return true;
	}
	return n->busy;
}

void guest_nics(const struct guest_view *v, const struct json *vmi, struct plan *out)
{
	const struct json *spec = json_get(vmi, "spec");
	CLEANUP(json_doc_freep) struct json_doc *pod = NULL;

	if (report(v, out))
		return;
	pod = pod_status(v);
	if (!step_out(v, spec, out) && !step_in(v, spec, pod, out))
		step_link(v, spec, out);
}

/* ---- start ---- */
bool guest_nic_taps(
	const struct guest_view *v, struct json_doc *d, struct json *args, const char **ret_missing)
{
	const struct json *spec = json_get(obj_json(v->vmi), "spec");
	CLEANUP(json_doc_freep) struct json_doc *pod = pod_status(v);

	JSON_EACH (it, json_get(spec, "networks")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *iface = nic_interface(spec, name), *entry = nic_pod_entry(pod, name);
		struct json *tap;
		char ifname[NIC_IFNAME_MAX];

		if (!by_bridge(iface, it.val))
			continue;
		if (!entry) {
			*ret_missing = name;
			return false;
		}
		tap = json_new_obj(d);
		nic_pod_ifname(name, ifname);
		json_set_str(d, tap, "name", name);
		json_set_str(d, tap, "podInterface", ifname);
		json_set_str(d, tap, "mac", json_get_str(iface, "macAddress"));
		if (!json_get_str(tap, "mac"))
			json_set_str(d, tap, "mac", json_get_str(entry, "mac"));
		json_append(d, json_need_arr(d, args, "taps"), tap);
	}
	return true;
}

/* ---- status.interfaces ---- */
static void put_addresses(struct json_doc *d, struct json *nic, const struct json *pod)
{
	const char *ip = json_get_str(pod, "podIP");
	struct json *all = json_new_arr(d);

	if (str_empty(ip)) {
		json_remove(nic, "ipAddress");
		json_remove(nic, "ipAddresses");
		return;
	}
	JSON_EACH (it, json_get(pod, "podIPs"))
		if (json_get_str(it.val, "ip"))
			json_append_str(d, all, json_get_str(it.val, "ip"));
	if (!json_len(all))
		json_append_str(d, all, ip);
	json_set_str(d, nic, "ipAddress", ip);
	json_set(d, nic, "ipAddresses", all);
}

/* The entry as it was, at the end of the new list: what others put there stays. */
static struct json *keep_entry(
	struct json_doc *d, struct json *list, const struct json *old, const char *name)
{
	const struct json *was = nic_named(old, name);
	struct json *nic = was ? json_copy(d, was) : json_new_obj(d);

	json_set_str(d, nic, "name", name);
	json_append(d, list, nic);
	return nic;
}

static void put_told(const struct guest_view *v, struct json_doc *d, struct json *nic,
	const struct json *told, const struct json *entry)
{
	const struct json *pod = v->pod ? json_get(obj_json(v->pod), "status") : NULL;
	char ifname[NIC_IFNAME_MAX];

	json_set_str(d, nic, "mac", json_get_str(told, "mac"));
	json_set_str(d, nic, "infoSource", entry ? "domain, multus-status" : "domain");
	json_set_str(d, nic, "linkState", json_str_or(json_get(told, "link"), "up"));
	json_set_i64(d, nic, "queueCount", 1);
	nic_pod_ifname(json_get_str(nic, "name"), ifname);
	json_set_str(d, nic, "podInterfaceName", is_tap(told) ? ifname : POD_NETWORK_IF);
	/* Of the pod network the guest's address is the pod's, also with masquerade, where it sees another one. */
	if (!is_tap(told) && pod)
		put_addresses(d, nic, pod);
}

static void put_attached(struct json_doc *d, struct json *nic, const struct json *entry)
{
	static const char *const of_the_guest[] = { "mac", "linkState", "queueCount", "interfaceName", NULL };

	for (size_t i = 0; of_the_guest[i]; i++)
		json_remove(nic, of_the_guest[i]);
	json_set_str(d, nic, "infoSource", "multus-status");
	json_set_str(d, nic, "podInterfaceName", json_get_str(entry, "interface"));
}

/* Those that the guest has, the pod network's first; then those that only the pod is attached to. */
void guest_nic_status(const struct guest_view *v, struct json_doc *d, struct json *vmi)
{
	struct json *status = json_need_obj(d, vmi, "status"), *list = json_new_arr(d);
	const struct json *told = told_list(v), *old = json_get(status, "interfaces");
	CLEANUP(json_doc_freep) struct json_doc *pod = pod_status(v);

	if (!told)
		return;
	for (int taps = 0; taps < 2; taps++)
		JSON_EACH (it, told) {
			const char *name = json_str_or(json_get(it.val, "name"), "");
			if (is_tap(it.val) == taps)
				put_told(v, d, keep_entry(d, list, old, name), it.val,
					taps ? nic_pod_entry(pod, name) : NULL);
		}
	JSON_EACH (it, json_at(vmi, "/spec/networks")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *entry = nic_pod_entry(pod, name);

		if (nic_is_secondary(it.val) && entry && !nic_named(told, name))
			put_attached(d, keep_entry(d, list, old, name), entry);
	}
	if (json_len(list) || old)
		json_set(d, status, "interfaces", list);
}
