/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards: what launchers are told about them, and what they are given. */
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/handler/links_impl.h"
#include "kubevirt/handler/tap.h"

static struct link *begin(struct links *l, const char *uid, const char *name)
{
	struct link *k = link_find(l, uid);

	if (!k || !k->client || !k->facts.connected || k->facts.nic.busy)
		return NULL;
	free(k->nic_name);
	free(TAKE(k->nic_error));
	k->nic_name = mem_strdup(name ? name : "");
	k->facts.nic = (struct guest_nic){ .busy = true, .name = k->nic_name };
	return k;
}

void link_nic_done(struct link *k, const struct ask *a, const struct err *e)
{
	struct guest_nic *n = &k->facts.nic;

	if (!n->busy)
		return;
	n->busy = false;
	/* Without launcher there is no result: what it has is seen when it is back. Neither is "not now" one. */
	n->done = !e || (e->code != ERR_UNREACHABLE && e->code != ERR_CONFLICT);
	if (e) {
		n->retry_at = loop_wall_ms(k->all->spec.loop) + GUEST_NIC_RETRY_MS;
		n->error = k->nic_error = mem_strdup(e->msg);
		log_warn("%s: interface %s: %s", k->key, k->nic_name, e->msg);
	} else if (a && a->leaves) {
		tap_close(link_launcher(k), a->leaves);
	}
	link_changed(k);
}

void links_plug_nic(struct links *l, const char *uid, const struct json *args)
{
	struct link *k = begin(l, uid, json_get_str(args, "name"));
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const char *mac = json_get_str(json_get(args, "interface"), "macAddress");
	struct json *o;
	struct err e;
	int fd;

	if (!k)
		return;
	if (!mac)
		mac = json_get_str(args, "mac");
	if (tap_open(link_launcher(k), json_get_str(args, "podInterface"), mac, &fd, &e) < 0) {
		link_nic_done(k, NULL, &e);
		return;
	}
	d = json_doc_new();
	o = json_new_obj(d);
	json_set_copy(d, o, "interface", json_get(args, "interface"));
	json_set_copy(d, o, "network", json_get(args, "network"));
	json_set_str(d, o, "mac", mac);
	log_info("%s: plugging interface %s", k->key, k->nic_name);
	link_ask_files(k, WIRE_plug_nic, o, &fd, 1, &(struct ask){ .nic = mem_strdup(k->nic_name) });
}

void links_unplug_nic(struct links *l, const char *uid, const struct json *args)
{
	struct link *k = begin(l, uid, json_get_str(args, "name"));
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	if (!k)
		return;
	d = json_doc_new();
	o = json_new_obj(d);
	json_set_str(d, o, "name", k->nic_name);
	log_info("%s: unplugging interface %s", k->key, k->nic_name);
	link_ask_files(k, WIRE_unplug_nic, o, NULL, 0,
		&(struct ask){ .nic = mem_strdup(k->nic_name),
			.leaves = mem_strdup(json_str_or(json_get(args, "podInterface"), "")) });
}

void links_set_link(struct links *l, const char *uid, const struct json *args)
{
	struct link *k = begin(l, uid, json_get_str(args, "name"));
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	if (!k)
		return;
	d = json_doc_new();
	o = json_new_obj(d);
	json_set_str(d, o, "name", k->nic_name);
	json_set_str(d, o, "state", json_str_or(json_get(args, "state"), "up"));
	link_ask_files(k, WIRE_set_link, o, NULL, 0, &(struct ask){ .nic = mem_strdup(k->nic_name) });
}

void links_nic_seen(struct links *l, const char *uid)
{
	struct link *k = link_find(l, uid);

	if (!k || !k->facts.nic.done)
		return;
	k->facts.nic.done = false;
	link_changed(k);
}
