/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/nics.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/meta.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"

#define ANNOTATION_MAX (64 << 10)
#define IFNAME_DIGITS 11

const struct json *nic_named(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

const struct json *nic_interface(const struct json *vmi_spec, const char *name)
{
	return nic_named(json_at(vmi_spec, "/domain/devices/interfaces"), name);
}

const struct json *nic_network(const struct json *vmi_spec, const char *name)
{
	return nic_named(json_get(vmi_spec, "networks"), name);
}

bool nic_absent(const struct json *iface)
{
	return str_eq(json_get_str(iface, "state"), "absent");
}

bool nic_is_secondary(const struct json *network)
{
	const struct json *multus = json_get(network, "multus");

	return json_is_obj(multus) && !json_bool(json_get(multus, "default"));
}

bool nic_can_plug(const struct json *iface, const struct json *network)
{
	return nic_is_secondary(network) &&
	       (json_is_obj(json_get(iface, "bridge")) || json_is_obj(json_get(iface, "sriov")));
}

void nic_pod_ifname(const char *network, char ret[NIC_IFNAME_MAX])
{
	char hex[SHA256_HEX_LEN + 1];

	crypto_sha256_hex(network, strlen(network), hex);
	snprintf(ret, NIC_IFNAME_MAX, "pod%.*s", IFNAME_DIGITS, hex);
}

void nic_make_mac(const char *firmware_uuid, const char *name, char ret[NIC_MAC_LEN])
{
	CLEANUP(mem_freep) char *text = str_printf("%s/%s", firmware_uuid, name);
	char hex[SHA256_HEX_LEN + 1];

	crypto_sha256_hex(text, strlen(text), hex);
	snprintf(ret, NIC_MAC_LEN, "02:%.2s:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4, hex + 6, hex + 8);
}

char *nic_definition(const struct json *network, const char *ns)
{
	const char *name = json_str_or(json_at(network, "/multus/networkName"), "");

	return strchr(name, '/') ? mem_strdup(name) : str_printf("%s/%s", ns, name);
}

char *nic_waiting(const struct json *vmi, const char *network)
{
	const char *given = meta_annotation(vmi, ANN_NICS_WAIT);
	CLEANUP(mem_freep) char *text = given ? mem_strdup(given) : NULL;
	CLEANUP(mem_freep) char *name = str_printf("%s=", network);

	for (char *rest = text; rest && *rest;) {
		char *one = str_next(&rest, ' ');

		if (str_starts(one, name))
			return mem_strdup(one + strlen(name));
	}
	return NULL;
}

static void drop(struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			json_iter_remove(&it);
}

void nic_drop_absent(struct json *vmi_spec, nic_pick_fn *pick, const void *arg)
{
	struct json *nics = json_at(vmi_spec, "/domain/devices/interfaces");
	CLEANUP(strv_done) struct strv gone = { 0 };

	JSON_EACH (it, nics) {
		const char *name = json_str_or(json_get(it.val, "name"), "");

		if (nic_absent(it.val) && (!pick || pick(arg, name)))
			strv_add(&gone, name);
	}
	for (size_t i = 0; i < gone.len; i++) {
		drop(nics, gone.items[i]);
		drop(json_get(vmi_spec, "networks"), gone.items[i]);
	}
}

/* ---- annotations ---- */
struct json_doc *nic_annotation(const struct json *pod, const char *annotation)
{
	const char *text = meta_annotation(pod, annotation);
	struct json_doc *d;

	if (!text || strlen(text) > ANNOTATION_MAX)
		return NULL;
	d = json_parse(text, strlen(text), NULL);
	if (d && !json_is_arr(json_root(d))) {
		json_doc_free(d);
		return NULL;
	}
	return d;
}

const struct json *nic_pod_entry(const struct json_doc *list, const char *network)
{
	char ifname[NIC_IFNAME_MAX];

	nic_pod_ifname(network, ifname);
	JSON_EACH (it, list ? json_root(list) : NULL)
		if (str_eq(json_get_str(it.val, "interface"), ifname))
			return it.val;
	return NULL;
}

/* An address as the pod's annotation wants it. */
static void put_mac(struct json_doc *d, struct json *o, const struct json *vmi, const struct json *iface)
{
	const char *given = json_get_str(iface, "macAddress");
	char mac[NIC_MAC_LEN];

	if (str_empty(given) || strlen(given) >= sizeof(mac))
		nic_make_mac(json_str_or(json_at(vmi, "/spec/domain/firmware/uuid"), meta_str(vmi, "uid")),
			json_get_str(iface, "name"), mac);
	else
		str_copy(mac, sizeof(mac), given);
	for (char *c = mac; *c; c++)
		*c = *c == '-' ? ':' : (char)tolower((unsigned char)*c);
	json_set_str(d, o, "mac", mac);
}

static struct json *request(
	struct json_doc *d, const struct json *vmi, const struct json *network, const struct json *iface)
{
	CLEANUP(mem_freep)
	char *full = nic_definition(network, json_str_or(json_at(vmi, "/metadata/namespace"), "default"));
	char *name = strchr(full, '/');
	char ifname[NIC_IFNAME_MAX];
	struct json *o = json_new_obj(d);

	*name++ = 0;
	nic_pod_ifname(json_get_str(network, "name"), ifname);
	json_set_str(d, o, "name", name);
	json_set_str(d, o, "namespace", full);
	put_mac(d, o, vmi, iface);
	json_set_str(d, o, "interface", ifname);
	return o;
}

static bool in_guest(const struct json *vmi, const char *name)
{
	const struct json *told = nic_named(json_at(vmi, "/status/interfaces"), name);

	return strstr(json_str_or(json_get(told, "infoSource"), ""), "domain") != NULL;
}

char *nic_networks_wanted(const struct json *vmi, const struct json *pod)
{
	const struct json *spec = json_get(vmi, "spec");
	CLEANUP(json_doc_freep) struct json_doc *has = pod ? nic_annotation(pod, ANN_NETWORKS) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *list = json_new_arr(d);

	JSON_EACH (it, json_get(spec, "networks")) {
		const char *name = json_str_or(json_get(it.val, "name"), "");
		const struct json *iface = nic_interface(spec, name), *kept = nic_pod_entry(has, name);

		if (!nic_is_secondary(it.val) || !iface)
			continue;
		if (nic_absent(iface) && !(kept && in_guest(vmi, name)))
			continue;
		if (kept)
			json_append(d, list, json_copy(d, kept));
		else if (!pod || !json_is_obj(json_get(iface, "sriov")))
			json_append(d, list, request(d, vmi, it.val, iface));
	}
	return json_len(list) ? json_write(list, NULL) : NULL;
}
