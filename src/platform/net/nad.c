/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/net/nad.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

const struct kind nad_kind = { .group = "k8s.cni.cncf.io",
	.version = "v1",
	.kind = "NetworkAttachmentDefinition",
	.plural = "network-attachment-definitions",
	.singular = "network-attachment-definition",
	.namespaced = true };

struct json_doc *nad_crd(void)
{
	return json_lit("{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition',"
			"'metadata':{'name':'network-attachment-definitions.k8s.cni.cncf.io'},'spec':{"
			"'group':'k8s.cni.cncf.io','scope':'Namespaced','names':{'plural':'network-"
			"attachment-definitions',"
			"'singular':'network-attachment-definition','kind':'NetworkAttachmentDefinition',"
			"'listKind':'NetworkAttachmentDefinitionList','shortNames':['net-attach-def']},"
			"'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{"
			"'type':'object','description':'A network that pods can be attached to, beside the "
			"pod network.',"
			"'properties':{'apiVersion':{'type':'string'},'kind':{'type':'string'},'metadata':{'"
			"type':'object'},"
			"'spec':{'type':'object','properties':{'config':{'type':'string',"
			"'description':'Configuration of a network plugin, as JSON.'}}}}}}}]}}");
}

/* ---- requests ---- */
static bool ifname_ok(const char *s)
{
	size_t n = strlen(s);

	if (!n || n >= NET_IFNAME_MAX || !strcmp(s, "lo") || !strcmp(s, "eth0") || s[0] == '.' || s[0] == '-')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	return true;
}

static bool mac_ok(const char *s)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
			return false;
	return !s[17];
}

static int put_request(struct nad_request *r, size_t i, const char *ns, const char *name, const char *ifname,
	const char *mac, struct err *e)
{
	CLEANUP(mem_freep) char *ordinal = str_printf("net%zu", i + 1);

	if (str_empty(name))
		return err_set(e, ERR_INVALID, "network %zu has no name", i);
	if (!ifname || !*ifname)
		ifname = ordinal;
	if (!ifname_ok(ifname))
		return err_set(e, ERR_INVALID, "network %s: interface name \"%s\"", name, ifname);
	if (mac && *mac && !mac_ok(mac))
		return err_set(e, ERR_INVALID, "network %s: \"%s\" is no MAC address", name, mac);
	r->ns = mem_strdup(ns);
	r->name = mem_strdup(name);
	str_copy(r->ifname, sizeof(r->ifname), ifname);
	str_copy(r->mac, sizeof(r->mac), mac ? mac : "");
	return 0;
}

static int from_json(
	const struct json *list, const char *pod_ns, struct nad_request *ret, size_t *n, struct err *e)
{
	if (json_len(list) > NAD_REQUESTS_MAX)
		return err_set(e, ERR_INVALID, "more than %d networks", NAD_REQUESTS_MAX);
	JSON_EACH (it, list) {
		const char *name = json_get_str(it.val, "name");

		if (json_len(json_get(it.val, "ips")))
			return err_set(e, ERR_INVALID, "network %s: addresses can not be asked for here",
				name ? name : "");
		if (put_request(&ret[it.i], it.i, json_str_or(json_get(it.val, "namespace"), pod_ns), name,
			    json_get_str(it.val, "interface"), json_get_str(it.val, "mac"), e) < 0)
			return -1;
		++*n;
	}
	return 0;
}

static int from_list(char *text, const char *pod_ns, struct nad_request *ret, size_t *n, struct err *e)
{
	for (char *item; (item = str_next(&text, ','));) {
		char *ifname, *name;
		const char *ns = pod_ns;

		item += strspn(item, " \t\n");
		item[strcspn(item, " \t\n")] = 0;
		if (*n >= NAD_REQUESTS_MAX)
			return err_set(e, ERR_INVALID, "more than %d networks", NAD_REQUESTS_MAX);
		if ((ifname = strchr(item, '@')))
			*ifname++ = 0;
		name = strchr(item, '/');
		if (name) {
			*name++ = 0;
			ns = item;
		}
		if (put_request(&ret[*n], *n, ns, name ? name : item, ifname, NULL, e) < 0)
			return -1;
		++*n;
	}
	return 0;
}

int nad_requests_parse(const char *text, const char *pod_ns, struct nad_request ret[NAD_REQUESTS_MAX],
	size_t *ret_n, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text ? text : "");
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	size_t n = 0, start = strspn(copy, " \t\n");
	int r;

	*ret_n = 0;
	if (!copy[start])
		return 0;
	if (copy[start] == '[') {
		d = json_parse(copy, strlen(copy), e);
		r = d ? from_json(json_root(d), pod_ns, ret, &n, e) : -1;
	} else {
		r = from_list(copy + start, pod_ns, ret, &n, e);
	}
	for (size_t i = 0; !r && i < n; i++)
		for (size_t k = 0; !r && k < i; k++)
			if (str_eq(ret[i].ifname, ret[k].ifname))
				r = err_set(e, ERR_INVALID, "two networks want interface %s", ret[i].ifname);
	if (r < 0) {
		nad_requests_done(ret, n);
		return -1;
	}
	*ret_n = n;
	return 0;
}

void nad_requests_done(struct nad_request *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].ns);
		free(list[i].name);
	}
}

/* ---- configurations ---- */
/* What the plugin takes that would change what the network is: none of it is served, so none of it may be on. */
static int refuse_options(const struct json *c, struct err *e)
{
	static const char *const flags[] = { "isGateway", "isDefaultGateway", "ipMasq", "macspoofchk",
		"disableContainerInterface", "portIsolation", NULL };

	for (size_t i = 0; flags[i]; i++)
		if (json_bool(json_get(c, flags[i])))
			return err_set(
				e, ERR_INVALID, "option %s of plugin bridge is not supported", flags[i]);
	if (json_i64(json_get(c, "vlan")) || json_len(json_get(c, "vlanTrunk")))
		return err_set(e, ERR_INVALID, "VLANs of plugin bridge are not supported");
	if (json_get_str(json_get(c, "ipam"), "type"))
		return err_set(e, ERR_INVALID,
			"address management (ipam \"%s\") is not supported: leave ipam out, addresses are "
			"given "
			"inside the guest",
			json_get_str(json_get(c, "ipam"), "type"));
	return 0;
}

static int parse_plugin(const struct json *c, struct net_link *ret, struct err *e)
{
	const char *type = json_get_str(c, "type"),
		   *bridge = json_str_or(json_get(c, "bridge"), NAD_DEFAULT_BRIDGE);
	int64_t mtu = json_i64(json_get(c, "mtu"));

	if (!str_eq(type, "bridge"))
		return err_set(e, ERR_INVALID, "network plugin \"%s\" is not supported, only bridge is",
			type ? type : "");
	if (!ifname_ok(bridge))
		return err_set(e, ERR_INVALID, "bridge name \"%s\"", bridge);
	/* cor0: pods have addresses there that we hand out */
	if (str_starts(bridge, "cor") && bridge[3] && strspn(bridge + 3, "0123456789") == strlen(bridge + 3))
		return err_set(e, ERR_INVALID, "bridge %s is a pod network", bridge);
	if (mtu && (mtu < 68 || mtu > 65535))
		return err_set(e, ERR_INVALID, "mtu %lld", (long long)mtu);
	if (refuse_options(c, e) < 0)
		return -1;
	str_copy(ret->bridge, sizeof(ret->bridge), bridge);
	ret->mtu = (int)mtu;
	return 0;
}

int nad_config_parse(const char *config, struct net_link *ret, struct err *e)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const struct json *list;

	if (str_empty(config))
		return err_set(e, ERR_INVALID,
			"spec.config is empty: configuration files on nodes are not supported");
	if (strlen(config) > NAD_CONFIG_MAX)
		return err_set(e, ERR_TOO_LARGE, "spec.config has more than %d bytes", NAD_CONFIG_MAX);
	d = json_parse(config, strlen(config), e);
	if (!d)
		return err_wrap(e, "spec.config");
	list = json_get(json_root(d), "plugins");
	if (!list)
		return parse_plugin(json_root(d), ret, e);
	if (json_len(list) != 1)
		return err_set(e, ERR_INVALID, "chains of network plugins are not supported");
	return parse_plugin(json_item(list, 0), ret, e);
}
