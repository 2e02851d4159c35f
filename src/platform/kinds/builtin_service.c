/* SPDX-License-Identifier: Apache-2.0 */
/* Service and Endpoints, and how selectors are shown. */
#include "platform/kinds/builtin.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/pod_check.h"

#include <string.h>

FIELD_TABLE(load_balancer_fields, "io.k8s.api.core.v1.LoadBalancerStatus", "Addresses of a load balancer.",
	ROW_LIST("ingress", "Ways in."), ROW_STR("ingress[].ip", "Address of the way in."),
	ROW_STR("ingress[].hostname", "Name of the way in."),
	ROW_ENUM("ingress[].ipMode", "Proxy|VIP", "Whether packets keep the address they were sent to."),
	ROW_LIST("ingress[].ports", "Ports of the way in."),
	{ "ingress[].ports[].port", F_INT32, FIELD_REQUIRED, "Port." },
	{ "ingress[].ports[].protocol", F_STRING, FIELD_REQUIRED, "TCP, UDP or SCTP.",
		.enums = "SCTP|TCP|UDP" },
	ROW_STR("ingress[].ports[].error", "Why it does not work."));
FIELD_TABLE(service_fields, "io.k8s.api.core.v1.Service", "A name and address for a set of pods.",
	ROW_OBJ("spec", "What is wanted."), ROW_KEYED("spec.ports", "port,protocol", "Ports."),
	ROW_STR("spec.ports[].name", "Name."),
	{ "spec.ports[].protocol", F_STRING, 0, "TCP, UDP or SCTP.", .deflt = "\"TCP\"",
		.enums = "SCTP|TCP|UDP" },
	{ "spec.ports[].port", F_INT32, FIELD_REQUIRED, "Port of the service.", .min = 1, .max = 65535 },
	ROW_IOS("spec.ports[].targetPort", "Port of the pods."),
	{ "spec.ports[].nodePort", F_INT32, 0, "Port of the nodes.", .max = 65535 },
	ROW_STR("spec.ports[].appProtocol", "Protocol of the application."),
	{ "spec.selector", F_MAP, FIELD_ATOMIC, "Labels of the pods.", .items = F_STRING },
	ROW_STR("spec.clusterIP", "Address, None for headless."), ROW_STRS("spec.clusterIPs", "Addresses."),
	{ "spec.type", F_STRING, 0, "ClusterIP, NodePort, LoadBalancer or ExternalName.",
		.deflt = "\"ClusterIP\"", .enums = "ClusterIP|ExternalName|LoadBalancer|NodePort" },
	ROW_STRS("spec.externalIPs", "Further addresses."),
	{ "spec.sessionAffinity", F_STRING, 0, "None or ClientIP.", .deflt = "\"None\"",
		.enums = "ClientIP|None" },
	ROW_OBJ("spec.sessionAffinityConfig", "Settings of the affinity."),
	ROW_OBJ("spec.sessionAffinityConfig.clientIP", "Affinity by the client's address."),
	{ "spec.sessionAffinityConfig.clientIP.timeoutSeconds", F_INT32, 0, "How long it sticks.", .min = 1,
		.max = 86400 },
	ROW_STR("spec.loadBalancerIP", "Deprecated."),
	ROW_STRS("spec.loadBalancerSourceRanges", "Who may come."),
	ROW_STR("spec.externalName", "Name of an ExternalName service."),
	ROW_ENUM("spec.externalTrafficPolicy", "Cluster|Local",
		"Where traffic from outside may go: Cluster or Local."),
	{ "spec.internalTrafficPolicy", F_STRING, 0, "Where traffic from inside may go: Cluster or Local.",
		.enums = "Cluster|Local" },
	ROW_I32("spec.healthCheckNodePort", "Port for health checks."),
	ROW_BOOL("spec.publishNotReadyAddresses", "Pods count before they are ready."),
	ROW_STRS("spec.ipFamilies", "IPv4, IPv6."),
	ROW_ENUM("spec.ipFamilyPolicy", "PreferDualStack|RequireDualStack|SingleStack",
		"How many families of addresses it gets."),
	ROW_BOOL("spec.allocateLoadBalancerNodePorts", "Whether node ports are made."),
	ROW_STR("spec.loadBalancerClass", "Class of load balancer."),
	ROW_STR("spec.trafficDistribution", "Preference."), ROW_OBJ("status", "What is."),
	{ "status.loadBalancer", F_REF, 0, "Addresses of the load balancer.", .deflt = "{}",
		.ref = &load_balancer_fields },
	ROW_CONDITIONS("status.conditions", condition_fields));

static void service_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_get(o, "spec");

	const char *type = json_get_str(spec, "type");

	JSON_EACH (it, json_get(spec, "ports")) {
		const struct json *target = json_get(it.val, "targetPort");

		/* protobuf has no other way to say that there is none */
		if (!json_get(it.val, "port"))
			continue;
		if (json_is_null(target) || (json_is_int(target) && json_i64(target) == 0) ||
			(json_is_str(target) && json_str_len(target) == 0))
			json_set_copy(d, it.val, "targetPort", json_get(it.val, "port"));
	}
	if (str_eq(json_get_str(spec, "sessionAffinity"), "ClientIP"))
		default_int(d, json_need_obj(d, json_need_obj(d, spec, "sessionAffinityConfig"), "clientIP"),
			"timeoutSeconds", 10800);
	if (str_eq(type, "NodePort") || str_eq(type, "LoadBalancer"))
		default_str(d, spec, "externalTrafficPolicy", "Cluster");
	if (spec && !str_eq(type, "ExternalName"))
		default_str(d, spec, "internalTrafficPolicy", "Cluster");
	if (str_eq(type, "LoadBalancer"))
		default_bool(d, spec, "allocateLoadBalancerNodePorts", true);
}

/* Cluster addresses are in 10.97/16 to 10.103/16 by a hash of the name: stable, and nobody routes to them but this host's own
 * rules. service.c goes on from there if it is taken. */
static int service_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	struct json *spec = json_need_obj(d, o, "spec");
	const char *type = json_str_or(json_get(spec, "type"), "ClusterIP");
	const char *ip = json_get_str(spec, "clusterIP");
	uint8_t hash[32];

	if (old && str_empty(ip) && json_at_str(old, "/spec/clusterIP")) {
		json_set_copy(d, spec, "clusterIP", json_at(old, "/spec/clusterIP"));
		json_set_copy(d, spec, "clusterIPs", json_at(old, "/spec/clusterIPs"));
	}
	ip = json_get_str(spec, "clusterIP");
	if (str_eq(type, "ExternalName"))
		return 0;
	if (str_empty(ip)) {
		CLEANUP(mem_freep)
		char *key = str_printf("%s/%s", json_str_or(json_at(o, "/metadata/namespace"), ""),
			json_str_or(json_at(o, "/metadata/name"), ""));

		if (str_eq(key, "default/kubernetes")) {
			json_set_str(d, spec, "clusterIP", "10.96.0.1");
		} else {
			crypto_sha256(key, strlen(key), hash);
			json_set_strf(d, spec, "clusterIP", "10.%d.%d.%d", 97 + hash[0] % 7, hash[1],
				1 + hash[2] % 254);
		}
	}
	if (json_len(json_get(spec, "clusterIPs")) == 0) {
		json_set(d, spec, "clusterIPs", json_new_arr(d));
		json_append(d, json_get(spec, "clusterIPs"), json_copy(d, json_get(spec, "clusterIP")));
	}
	/* who fills the endpoints of such a service himself may fill in what he likes */
	if (!old && str_eq(ip, "None") && json_len(json_get(spec, "selector")) == 0 &&
		!json_get(spec, "ipFamilyPolicy") && json_len(json_get(spec, "ipFamilies")) == 0) {
		json_append_str(d, json_need_arr(d, spec, "ipFamilies"), "IPv4");
		json_append_str(d, json_get(spec, "ipFamilies"), "IPv6");
		json_set_str(d, spec, "ipFamilyPolicy", "RequireDualStack");
	}
	if (json_len(json_get(spec, "ipFamilies")) == 0)
		json_append_str(d, json_need_arr(d, spec, "ipFamilies"), "IPv4");
	default_str(d, spec, "ipFamilyPolicy", "SingleStack");
	return 0;
}

/* One port of one protocol once, and one name once. */
static void port_repeated_check(
	const struct json *ports, const struct json *port, size_t i, const char *at, struct causes *c)
{
	CLEANUP(mem_freep) char *name_at = str_printf("%s.name", at);

	for (size_t k = 0; k < i; k++) {
		const struct json *other = json_item(ports, k);

		if (json_eq(json_get(other, "port"), json_get(port, "port")) &&
			str_eq(json_get_str(other, "protocol"), json_get_str(port, "protocol")))
			cause_text(c, "FieldValueDuplicate", at,
				"Duplicate value: "
				"{\"Name\":\"\",\"Protocol\":\"%s\",\"AppProtocol\":null,\"Port\":%lld,"
				"\"TargetPort\":0,\"NodePort\":0}",
				json_str_or(json_get(port, "protocol"), ""),
				(long long)json_i64(json_get(port, "port")));
		if (json_str_len(json_get(port, "name")) > 0 &&
			json_eq(json_get(other, "name"), json_get(port, "name")))
			cause_duplicate(c, name_at, json_get(port, "name"));
	}
}

static void external_name_check(const struct json *spec, struct causes *c)
{
	const struct json *name = json_get(spec, "externalName");

	if (!str_eq(json_get_str(spec, "type"), "ExternalName"))
		return;
	if (json_str_len(name) == 0)
		cause_required(c, "spec.externalName", NULL);
	else if (!name_is_dns1123_subdomain(json_str(name)))
		cause_invalid(c, "spec.externalName", name, "%s", DNS_SUBDOMAIN_TEXT);
}

static void service_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec");
	const char *ip = json_get_str(spec, "clusterIP");
	size_t i = 0;
	bool several = json_len(json_get(spec, "ports")) > 1;

	if (!str_eq(json_get_str(spec, "type"), "ExternalName") && !str_eq(ip, "None") &&
		json_len(json_get(spec, "ports")) == 0)
		cause_required(c, "spec.ports", "");
	JSON_EACH (it, json_get(spec, "ports")) {
		CLEANUP(mem_freep) char *at = str_printf("spec.ports[%zu].name", i);
		CLEANUP(mem_freep) char *target_at = str_printf("spec.ports[%zu].targetPort", i);
		CLEANUP(mem_freep) char *one_at = str_printf("spec.ports[%zu]", i++);
		const char *name = json_get_str(it.val, "name");

		if (several && str_empty(name))
			cause_required(c, at, "");
		else if (!str_empty(name) && !name_is_dns1123_label(name))
			cause_invalid(c, at, json_get(it.val, "name"), "%s", DNS_LABEL_TEXT);
		port_check(json_get(it.val, "targetPort"), target_at, c);
		port_repeated_check(json_get(spec, "ports"), it.val, it.i, one_at, c);
	}
	selector_values_check(json_get(spec, "selector"), "spec.selector", c);
	external_name_check(spec, c);
	if (old && !str_empty(json_at_str(old, "/spec/clusterIP")) &&
		!str_eq(ip, json_at_str(old, "/spec/clusterIP")) &&
		!str_eq(json_get_str(spec, "type"), "ExternalName"))
		cause_text(c, "FieldValueInvalid", "spec.clusterIPs[0]",
			"Invalid value: [\"%s\"]: may not change once set", ip ? ip : "");
}

static struct json *service_external_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	if (str_eq(json_at_str(o, "/spec/type"), "ExternalName"))
		return json_new_str(d, json_at_str(o, "/spec/externalName"));
	JSON_EACH (it, json_at(o, "/spec/externalIPs"))
		str_addf(&s, "%s%s", s.len ? "," : "", json_str_or(it.val, ""));
	if (!s.len && str_eq(json_at_str(o, "/spec/type"), "LoadBalancer"))
		return json_new_str(d, "<pending>");
	return json_new_str(d, s.len ? s.data : "<none>");
}

static struct json *service_address_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const char *ip = json_at_str(o, "/spec/clusterIP");

	return json_new_str(d, str_empty(ip) ? "<none>" : ip);
}

static struct json *service_ports_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/spec/ports")) {
		str_addf(&s, "%s%lld", s.len ? "," : "", (long long)json_i64(json_get(it.val, "port")));
		if (json_i64(json_get(it.val, "nodePort")))
			str_addf(&s, ":%lld", (long long)json_i64(json_get(it.val, "nodePort")));
		str_addf(&s, "/%s", json_str_or(json_get(it.val, "protocol"), "TCP"));
	}
	return json_new_str(d, s.len ? s.data : "<none>");
}

/* One requirement as text, after its key so that sorting sorts by key. */
static void add_expression(struct strv *out, const struct json *e)
{
	const char *key = json_str_or(json_get(e, "key"), ""), *op = json_str_or(json_get(e, "operator"), "");
	CLEANUP(strv_done) struct strv values = { 0 };
	CLEANUP(mem_freep) char *list = NULL, *text = NULL;

	JSON_EACH (it, json_get(e, "values"))
		strv_add(&values, json_str_or(it.val, ""));
	strv_sort(&values);
	list = strv_join(&values, ",");
	if (str_eq(op, "Exists"))
		text = str_printf("%s", key);
	else if (str_eq(op, "DoesNotExist"))
		text = str_printf("!%s", key);
	else
		text = str_printf("%s %s (%s)", key, str_eq(op, "In") ? "in" : "notin", list);
	strv_add(out, text);
}

/* "a=b,c in (d,e)", as kubectl prints selectors: a LabelSelector, or a plain map of labels. */
struct json *cell_selector_at(struct json_doc *d, const struct json *selector)
{
	const struct json *labels = json_get(selector, "matchLabels");
	const struct json *expressions = json_get(selector, "matchExpressions");
	CLEANUP(strv_done) struct strv parts = { 0 };
	CLEANUP(mem_freep) char *text = NULL;

	if (!json_is_obj(labels) && !json_is_arr(expressions))
		labels = selector;
	JSON_EACH (it, labels) {
		CLEANUP(mem_freep) char *one = str_printf("%s=%s", it.key, json_str_or(it.val, ""));

		strv_add(&parts, one);
	}
	JSON_EACH (it, expressions)
		add_expression(&parts, it.val);
	strv_sort(&parts);
	text = strv_join(&parts, ",");
	return json_new_str(d, *text ? text : "<none>");
}

struct json *cell_selector(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return cell_selector_at(d, json_at(o, "/spec/selector"));
}

struct json *cell_pod_selector(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return cell_selector_at(d, json_at(o, "/spec/podSelector"));
}

static const struct column service_columns[] = {
	{ "Type", "string", NULL, "Type.", 0, ".spec.type", NULL },
	{ "Cluster-IP", "string", NULL, "Address.", 0, NULL, service_address_cell },
	{ "External-IP", "string", NULL, "Addresses outside.", 0, NULL, service_external_cell },
	{ "Port(s)", "string", NULL, "Ports.", 0, NULL, service_ports_cell },
	COLUMN_AGE,
	{ "Selector", "string", NULL, "Labels of the pods.", 1, NULL, cell_selector },
	{ 0 },
};

FIELD_TABLE_ATOMIC(endpoint_address_fields, "io.k8s.api.core.v1.EndpointAddress",
	"An address behind a service.", { "ip", F_STRING, FIELD_REQUIRED, "Address." },
	ROW_STR("hostname", "Host name."), ROW_STR("nodeName", "Node it is on."),
	ROW_REF("targetRef", object_reference_fields, "Pod it belongs to."));
FIELD_TABLE(endpoints_fields, "io.k8s.api.core.v1.Endpoints", "Addresses behind a service.",
	ROW_LIST("subsets", "Addresses with their ports."),
	ROW_REFS("subsets[].addresses", endpoint_address_fields, "Ready addresses."),
	ROW_REFS("subsets[].notReadyAddresses", endpoint_address_fields, "Addresses that are not ready."),
	ROW_LIST("subsets[].ports", "Ports."), ROW_STR("subsets[].ports[].name", "Name."),
	{ "subsets[].ports[].port", F_INT32, FIELD_REQUIRED, "Port.", .min = 1, .max = 65535 },
	{ "subsets[].ports[].protocol", F_STRING, 0, "TCP, UDP or SCTP.", .deflt = "\"TCP\"",
		.enums = "SCTP|TCP|UDP" },
	ROW_STR("subsets[].ports[].appProtocol", "Protocol of the application."));

static struct json *endpoints_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };
	size_t n = 0;

	JSON_EACH (subset, json_get(o, "subsets")) {
		JSON_EACH (address, json_get(subset.val, "addresses")) {
			JSON_EACH (port, json_get(subset.val, "ports")) {
				if (n++ < 3)
					str_addf(&s, "%s%s:%lld", s.len ? "," : "",
						json_str_or(json_get(address.val, "ip"), ""),
						(long long)json_i64(json_get(port.val, "port")));
			}
		}
	}
	if (n > 3)
		str_addf(&s, " + %zu more...", n - 3);
	return json_new_str(d, s.len ? s.data : "<none>");
}
static const struct column endpoints_columns[] = {
	{ "Endpoints", "string", NULL, "Ready addresses.", 0, NULL, endpoints_cell },
	COLUMN_AGE,
	{ 0 },
};

static const char *const cat_all[] = { "all", NULL };
static const struct subresource service_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "proxy", NULL, NULL, "ServiceProxyOptions", VERBS_PROXY },
	{ 0 },
};
static const char *const svc_names[] = { "svc", NULL };
static const char *const ep_names[] = { "ep", NULL };
static const char *const service_selectable[] = { "spec.clusterIP", "spec.type", NULL };

const struct resource_def builtin_service[] = {
	{ .kind = { CORE("Service", "services", "service"), .short_names = svc_names, .categories = cat_all,
		  .namespaced = true, .has_status = true, .fields = &service_fields },
		.rules = { .name_max = 63, .create_on_update = true },
		.subresources = service_subs,
		.columns = service_columns,
		.selectable = service_selectable,
		.hooks = { .deflt = service_default,
			.prepare = service_prepare,
			.validate = service_validate },
		.storage = "services/specs",
		.delete_returns = true },
	{ .kind = { CORE("Endpoints", "endpoints", "endpoints"), .short_names = ep_names, .namespaced = true,
		  .fields = &endpoints_fields },
		.rules = { .create_on_update = true },
		.columns = endpoints_columns,
		.storage = "services/endpoints",
		.deprecation =
			"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice" },
	{ .kind = { 0 } },
};
