/* SPDX-License-Identifier: Apache-2.0 */
/* The core group but for Pods: namespaces, nodes, services, configuration, storage claims, events. */
#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/pod_check.h"
#include "platform/kinds/limit_kinds.h"

#include <string.h>

static const char *const cat_all[] = { "all", NULL };
const struct subresource status_only[] = { { "status", NULL, NULL, NULL, VERBS_STATUS }, { 0 } };

/* ---- Namespace ---- */
FIELD_TABLE(namespace_fields, "io.k8s.api.core.v1.Namespace", "A scope for names.",
	ROW_OBJ("spec", "What is wanted."), ROW_STRS("spec.finalizers", "Who must agree before it goes."),
	ROW_OBJ("status", "What is."), ROW_STR("status.phase", "Active or Terminating."),
	ROW_CONDITIONS("status.conditions", plain_condition_fields));

static int namespace_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	struct json *labels = json_need_obj(d, json_need_obj(d, o, "metadata"), "labels");

	json_set_copy(d, labels, "kubernetes.io/metadata.name", json_at(o, "/metadata/name"));
	if (!old) {
		struct json *finalizers = json_need_arr(d, json_need_obj(d, o, "spec"), "finalizers");

		if (json_len(finalizers) == 0)
			json_append_str(d, finalizers, "kubernetes");
		json_set_str(d, json_need_obj(d, o, "status"), "phase", "Active");
	}
	return 0;
}

static const struct subresource namespace_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "finalize", NULL, NULL, NULL, VERB_UPDATE },
	{ 0 },
};
static const struct subresource node_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "proxy", NULL, NULL, "NodeProxyOptions", VERBS_PROXY },
	{ 0 },
};
static const struct subresource service_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "proxy", NULL, NULL, "ServiceProxyOptions", VERBS_PROXY },
	{ 0 },
};
static const struct column namespace_columns[] = {
	{ "Status", "string", NULL, "Phase.", 0, ".status.phase", NULL },
	COLUMN_AGE,
	{ 0 },
};

/* ---- Node ---- */
FIELD_TABLE(node_condition_fields, "io.k8s.api.core.v1.NodeCondition", "A condition of a node.",
	CONDITION_ROWS, ROW_TIME("lastHeartbeatTime", "When it was last confirmed."));
FIELD_TABLE(node_config_fields, "io.k8s.api.core.v1.NodeConfigSource",
	"Deprecated: where the node agent's configuration comes from.", ROW_OBJ("configMap", "A ConfigMap."),
	{ "configMap.namespace", F_STRING, FIELD_REQUIRED, "Namespace of the ConfigMap." },
	{ "configMap.name", F_STRING, FIELD_REQUIRED, "Name of the ConfigMap." },
	ROW_STR("configMap.uid", "UID of the ConfigMap."),
	ROW_STR("configMap.resourceVersion", "Version of the ConfigMap."),
	{ "configMap.kubeletConfigKey", F_STRING, FIELD_REQUIRED, "Key with the configuration." });
FIELD_TABLE(node_fields, "io.k8s.api.core.v1.Node", "A machine that runs pods.",
	{ "spec", F_OBJECT, 0, "What is wanted.", .deflt = "{}" },
	ROW_BOOL("spec.unschedulable", "No new pods."), ROW_STR("spec.podCIDR", "Addresses of its pods."),
	ROW_SET("spec.podCIDRs", "Addresses of its pods."), ROW_STR("spec.providerID", "Id at the provider."),
	ROW_STR("spec.externalID", "Deprecated."), ROW_LIST("spec.taints", "What pods must put up with."),
	{ "spec.taints[].key", F_STRING, FIELD_REQUIRED, "Key." }, ROW_STR("spec.taints[].value", "Value."),
	{ "spec.taints[].effect", F_STRING, FIELD_REQUIRED,
		"What happens to pods that do not put up with it.",
		.enums = "NoExecute|NoSchedule|PreferNoSchedule" },
	ROW_TIME("spec.taints[].timeAdded", "Since when."),
	ROW_REF("spec.configSource", node_config_fields, "Deprecated: the agent's configuration."),
	ROW_OBJ("status", "What is."), ROW_QMAP("status.capacity", "All there is."),
	ROW_QMAP("status.allocatable", "What pods may use."), ROW_STR("status.phase", "Deprecated."),
	ROW_CONDITIONS("status.conditions", node_condition_fields),
	ROW_KEYED("status.addresses", "type", "Addresses."),
	ROW_KEY("status.addresses[].type", "Hostname, InternalIP, ..."),
	{ "status.addresses[].address", F_STRING, FIELD_REQUIRED, "Address." },
	{ "status.daemonEndpoints", F_OBJECT, 0, "Ports of the node's programs.", .deflt = "{}" },
	{ "status.daemonEndpoints.kubeletEndpoint", F_OBJECT, 0, "Where the node agent listens.",
		.deflt = "{\"Port\":0}" },
	{ "status.daemonEndpoints.kubeletEndpoint.Port", F_INT32, FIELD_REQUIRED, "Port of the node agent." },
	{ "status.nodeInfo", F_OBJECT, 0, "Facts.", .deflt = "{}" },
	{ "status.nodeInfo.machineID", F_STRING, 0, "Machine id.", .deflt = "\"\"" },
	{ "status.nodeInfo.systemUUID", F_STRING, 0, "System UUID.", .deflt = "\"\"" },
	{ "status.nodeInfo.bootID", F_STRING, 0, "Boot id.", .deflt = "\"\"" },
	{ "status.nodeInfo.kernelVersion", F_STRING, 0, "Kernel.", .deflt = "\"\"" },
	{ "status.nodeInfo.osImage", F_STRING, 0, "Operating system.", .deflt = "\"\"" },
	{ "status.nodeInfo.containerRuntimeVersion", F_STRING, 0, "OCI runtime.", .deflt = "\"\"" },
	{ "status.nodeInfo.kubeletVersion", F_STRING, 0, "Node agent.", .deflt = "\"\"" },
	{ "status.nodeInfo.kubeProxyVersion", F_STRING, 0, "Deprecated.", .deflt = "\"\"" },
	{ "status.nodeInfo.operatingSystem", F_STRING, 0, "linux.", .deflt = "\"\"" },
	{ "status.nodeInfo.architecture", F_STRING, 0, "amd64, arm64.", .deflt = "\"\"" },
	ROW_OBJ("status.nodeInfo.swap", "Swap."), ROW_INT("status.nodeInfo.swap.capacity", "Bytes of swap."),
	ROW_LIST("status.images", "Images present."), ROW_STRS("status.images[].names", "Names."),
	ROW_INT("status.images[].sizeBytes", "Size."), ROW_STRS("status.volumesInUse", "Volumes in use."),
	ROW_LIST("status.volumesAttached", "Volumes attached."),
	{ "status.volumesAttached[].name", F_STRING, FIELD_REQUIRED, "Name of the volume." },
	{ "status.volumesAttached[].devicePath", F_STRING, FIELD_REQUIRED, "Device it is." },
	ROW_OBJ("status.config", "Deprecated: the agent's configuration."),
	ROW_REF("status.config.assigned", node_config_fields, "What it shall use."),
	ROW_REF("status.config.active", node_config_fields, "What it uses."),
	ROW_REF("status.config.lastKnownGood", node_config_fields, "What it falls back to."),
	ROW_STR("status.config.error", "What went wrong with it."),
	ROW_LIST("status.runtimeHandlers", "OCI runtimes that can be asked for."),
	ROW_STR("status.runtimeHandlers[].name", "Name; empty for the default one."),
	ROW_OBJ("status.runtimeHandlers[].features", "What it can do."),
	ROW_BOOL("status.runtimeHandlers[].features.recursiveReadOnlyMounts", "Recursive read-only mounts."),
	ROW_BOOL("status.runtimeHandlers[].features.userNamespaces", "User namespaces."),
	ROW_OBJ("status.features", "What the node's runtime can do."),
	ROW_BOOL("status.features.supplementalGroupsPolicy", "Strict supplemental groups."));

static struct json *node_status_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *ready = NULL;
	const char *text;

	JSON_EACH (it, json_at(o, "/status/conditions"))
		if (str_eq(json_get_str(it.val, "type"), "Ready"))
			ready = it.val;
	text = !ready ? "Unknown" : str_eq(json_get_str(ready, "status"), "True") ? "Ready" : "NotReady";
	if (json_bool(json_at(o, "/spec/unschedulable")))
		return json_new_strf(d, "%s,SchedulingDisabled", text);
	return json_new_str(d, text);
}

static struct json *node_roles_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	CLEANUP(strv_done) struct strv roles = { 0 };
	CLEANUP(mem_freep) char *text = NULL;

	JSON_EACH (it, json_at(o, "/metadata/labels"))
		if (str_starts(it.key, prefix) && it.key[sizeof(prefix) - 1])
			strv_add(&roles, it.key + sizeof(prefix) - 1);
	strv_sort(&roles);
	text = strv_join(&roles, ",");
	return json_new_str(d, *text ? text : "<none>");
}

static struct json *node_info(struct json_doc *d, const struct json *o, const char *key)
{
	const char *text = json_get_str(json_at(o, "/status/nodeInfo"), key);

	return json_new_str(d, str_empty(text) ? "<unknown>" : text);
}

static struct json *node_os_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return node_info(d, o, "osImage");
}

static struct json *node_kernel_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return node_info(d, o, "kernelVersion");
}

static struct json *node_runtime_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return node_info(d, o, "containerRuntimeVersion");
}

/* Nothing set aside: pods may use all there is. */
static void node_default(struct json_doc *d, struct json *o)
{
	struct json *status = json_get(o, "status");

	if (!json_get(status, "allocatable") && json_len(json_get(status, "capacity")) > 0)
		json_set_copy(d, status, "allocatable", json_get(status, "capacity"));
}

static const char *node_address(const struct json *o, const char *type)
{
	JSON_EACH (it, json_at(o, "/status/addresses"))
		if (str_eq(json_get_str(it.val, "type"), type))
			return json_get_str(it.val, "address");
	return "<none>";
}

static struct json *node_internal_ip_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, node_address(o, "InternalIP"));
}

static struct json *node_external_ip_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, node_address(o, "ExternalIP"));
}

static const struct column node_columns[] = {
	{ "Status", "string", NULL, "Whether it is ready.", 0, NULL, node_status_cell },
	{ "Roles", "string", NULL, "Roles.", 0, NULL, node_roles_cell },
	COLUMN_AGE,
	{ "Version", "string", NULL, "Node agent.", 0, ".status.nodeInfo.kubeletVersion", NULL },
	{ "Internal-IP", "string", NULL, "Address.", 1, NULL, node_internal_ip_cell },
	{ "External-IP", "string", NULL, "Address.", 1, NULL, node_external_ip_cell },
	{ "OS-Image", "string", NULL, "Operating system.", 1, NULL, node_os_cell },
	{ "Kernel-Version", "string", NULL, "Kernel.", 1, NULL, node_kernel_cell },
	{ "Container-Runtime", "string", NULL, "OCI runtime.", 1, NULL, node_runtime_cell },
	{ 0 },
};

/* ---- Service, Endpoints ---- */
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

/* ---- ConfigMap, Secret, ServiceAccount ---- */
#define CONFIG_DATA_MAX (1024 * 1024) /* kubernetes-api.md 2.2 */

FIELD_TABLE(configmap_fields, "io.k8s.api.core.v1.ConfigMap", "Configuration as keys and values.",
	ROW_SMAP("data", "Texts."), ROW_BMAP("binaryData", "Bytes."),
	ROW_BOOL("immutable", "No changes any more."));

FIELD_TABLE(secret_fields, "io.k8s.api.core.v1.Secret", "Configuration that is secret.",
	ROW_BMAP("data", "Bytes."), ROW_SMAP("stringData", "Texts, put into data; write only."),
	{ "type", F_STRING, FIELD_IMMUTABLE, "What kind of secret it is.", .deflt = "\"Opaque\"" },
	ROW_BOOL("immutable", "No changes any more."));

static size_t map_bytes(const struct json *map)
{
	size_t n = 0;

	JSON_EACH (it, map)
		n += it.key_len + json_str_len(it.val);
	return n;
}

static void data_keys_validate(const struct json *o, const char *member, struct causes *c)
{
	JSON_EACH (it, json_get(o, member)) {
		CLEANUP(mem_freep) char *at = str_printf("%s[%s]", member, it.key);

		if (!it.key_len || it.key_len > 253 ||
			strspn(it.key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789-_.") != it.key_len)
			cause_invalid(c, at, NULL,
				"a valid config key must consist of alphanumeric characters, '-', '_' or "
				"'.'");
	}
}

static void config_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	if (map_bytes(json_get(o, "data")) + map_bytes(json_get(o, "binaryData")) > CONFIG_DATA_MAX)
		cause_too_long(c, "data", CONFIG_DATA_MAX);
	data_keys_validate(o, "data", c);
	data_keys_validate(o, "binaryData", c);
	if (old && json_bool(json_get(old, "immutable")) &&
		(!json_eq(json_get(o, "data"), json_get(old, "data")) ||
			!json_eq(json_get(o, "binaryData"), json_get(old, "binaryData"))))
		cause_forbidden(c, "data", "field is immutable when `immutable` is set");
	if (old && json_bool(json_get(old, "immutable")) && !json_bool(json_get(o, "immutable")))
		cause_forbidden(c, "immutable", "field is immutable when `immutable` is set");
}

/* Keys that well-known types of secrets must have; of alternatives, one. */
static const struct {
	const char *type, *keys[2];
	bool either;
} secret_types[] = {
	{ "kubernetes.io/dockercfg", { ".dockercfg" }, false },
	{ "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, false },
	{ "kubernetes.io/basic-auth", { "username", "password" }, true },
	{ "kubernetes.io/ssh-auth", { "ssh-privatekey" }, false },
	{ "kubernetes.io/tls", { "tls.crt", "tls.key" }, false },
};

static void secret_keys_validate(const struct json *o, size_t which, struct causes *c)
{
	const struct json *data = json_get(o, "data");

	for (size_t i = 0; i < ARRAY_LEN(secret_types[0].keys) && secret_types[which].keys[i]; i++) {
		CLEANUP(mem_freep) char *at = str_printf("data[%s]", secret_types[which].keys[i]);

		if (json_get(data, secret_types[which].keys[i])) {
			if (secret_types[which].either)
				return;
		} else if (!secret_types[which].either || i > 0) {
			cause_required(c, at, "");
		}
	}
}

static void secret_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const char *type = json_get_str(o, "type");

	config_validate(env, o, old, c);
	for (size_t i = 0; i < ARRAY_LEN(secret_types); i++)
		if (str_eq(type, secret_types[i].type))
			secret_keys_validate(o, i, c);
	if (str_eq(type, "kubernetes.io/service-account-token") &&
		str_empty(json_get_str(
			json_at(o, "/metadata/annotations"), "kubernetes.io/service-account.name")))
		cause_required(c, "metadata.annotations[kubernetes.io/service-account.name]", "");
}

static int secret_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	JSON_EACH (it, json_get(o, "stringData")) {
		CLEANUP(str_done) struct str text = { 0 };

		b64_encode(json_str_or(it.val, ""), json_str_len(it.val), false, &text);
		json_set_str(d, json_need_obj(d, o, "data"), it.key, str_cstr(&text));
	}
	json_remove(o, "stringData");
	return 0;
}

static struct json *data_count_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(
		d, (int64_t)(json_len(json_get(o, "data")) + json_len(json_get(o, "binaryData"))));
}
static const struct column configmap_columns[] = {
	{ "Data", "string", NULL, "Number of keys.", 0, NULL, data_count_cell },
	COLUMN_AGE,
	{ 0 },
};
static const struct column secret_columns[] = {
	{ "Type", "string", NULL, "Type.", 0, ".type", NULL },
	{ "Data", "string", NULL, "Number of keys.", 0, NULL, data_count_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(serviceaccount_fields, "io.k8s.api.core.v1.ServiceAccount", "An identity for pods.",
	ROW_KEYED("secrets", "name", "Secrets its pods may use."),
	{ "secrets[].name", F_STRING, 0, "Name of the Secret.", .deflt = "\"\"" },
	ROW_STR("secrets[].namespace", "Namespace of the Secret."),
	ROW_STR("secrets[].kind", "Kind: Secret."),
	ROW_STR("secrets[].apiVersion", "API version of the Secret."),
	ROW_STR("secrets[].uid", "UID of the Secret."),
	ROW_STR("secrets[].resourceVersion", "Version of the Secret that is meant."),
	ROW_STR("secrets[].fieldPath", "Part of the Secret that is meant."),
	ROW_REFS("imagePullSecrets", local_reference_fields, "Secrets for fetching images."),
	ROW_BOOL("automountServiceAccountToken", "Whether tokens are mounted."));

static struct json *secrets_count_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, (int64_t)json_len(json_get(o, "secrets")));
}
static const struct column serviceaccount_columns[] = {
	{ "Secrets", "string", NULL, "Number of secrets.", 0, NULL, secrets_count_cell },
	COLUMN_AGE,
	{ 0 },
};
static const struct subresource serviceaccount_subs[] = {
	{ "token", "authentication.k8s.io", "v1", "TokenRequest", VERB_CREATE },
	{ 0 },
};

/* ---- Event (core/v1; events.k8s.io/v1 is in builtin_misc.c) ---- */
FIELD_TABLE(event_fields, "io.k8s.api.core.v1.Event", "Something that happened to an object.",
	ROW_REF("involvedObject", object_reference_fields, "Whom it happened to."),
	ROW_STR("reason", "What, one CamelCase word."), ROW_STR("message", "What, for people."),
	{ "source", F_OBJECT, 0, "Who says so.", .deflt = "{}" }, ROW_STR("source.component", "Program."),
	ROW_STR("source.host", "Node."), ROW_TIME("firstTimestamp", "When first."),
	ROW_TIME("lastTimestamp", "When last."), ROW_I32("count", "How often."),
	ROW_STR("type", "Normal or Warning."), ROW_MICROTIME("eventTime", "When first, in microseconds."),
	ROW_OBJ("series", "A row of the same."), ROW_I32("series.count", "How often."),
	ROW_MICROTIME("series.lastObservedTime", "When last."), ROW_STR("action", "What was done."),
	ROW_REF("related", object_reference_fields, "Another object it is about."),
	{ "reportingComponent", F_STRING, 0, "Program.", .deflt = "\"\"" },
	{ "reportingInstance", F_STRING, 0, "Which instance of it.", .deflt = "\"\"" });

/* Of whichever shape: events.k8s.io names members otherwise. */
static const struct json *event_at(const struct json *o, const char *core, const char *other)
{
	const struct json *v = json_at(o, core);

	return v ? v : json_at(o, other);
}

static struct json *event_age(struct json_doc *d, const struct json *o, int64_t now_ms, bool first)
{
	const char *texts[] = {
		first ? NULL : json_at_str(o, "/series/lastObservedTime"),
		json_str(first ? event_at(o, "/firstTimestamp", "/deprecatedFirstTimestamp")
			       : event_at(o, "/lastTimestamp", "/deprecatedLastTimestamp")),
		json_at_str(o, "/eventTime"),
		json_at_str(o, "/metadata/creationTimestamp"),
	};
	char buf[TIME_TEXT_MAX];
	int64_t t;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!str_empty(texts[i]) && time_parse(texts[i], &t))
			return json_new_str(d, time_age(now_ms - t, buf));
	return json_new_str(d, "<unknown>");
}

static struct json *event_last_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return event_age(d, o, now_ms, false);
}

static struct json *event_first_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return event_age(d, o, now_ms, true);
}

static struct json *event_object_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *ref = event_at(o, "/involvedObject", "/regarding");
	CLEANUP(mem_freep) char *kind = str_lower(json_str_or(json_get(ref, "kind"), ""));
	const char *name = json_get_str(ref, "name");

	return str_empty(name) ? json_new_str(d, kind) : json_new_strf(d, "%s/%s", kind, name);
}

static struct json *event_part_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(
		d, json_str_or(event_at(o, "/involvedObject/fieldPath", "/regarding/fieldPath"), ""));
}

static struct json *event_source_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const char *component = json_str(event_at(o, "/source/component", "/deprecatedSource/component"));
	const char *host = json_str(event_at(o, "/source/host", "/deprecatedSource/host"));

	if (str_empty(component))
		component = json_str_or(event_at(o, "/reportingComponent", "/reportingController"), "");
	if (str_empty(host))
		host = json_str_or(json_at(o, "/reportingInstance"), "");
	return str_empty(host) ? json_new_str(d, component) : json_new_strf(d, "%s, %s", component, host);
}

static struct json *event_message_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(mem_freep) char *text = mem_strdup(json_str_or(event_at(o, "/message", "/note"), ""));
	size_t n = strlen(text);

	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	return json_new_str(d, text);
}

static struct json *event_count_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *v = json_at(o, "/series/count");

	if (!v)
		v = event_at(o, "/count", "/deprecatedCount");
	return json_new_i64(d, json_i64(v) > 0 ? json_i64(v) : 1);
}

const struct column event_columns[] = {
	{ "Last Seen", "string", NULL, "When last.", 0, NULL, event_last_cell },
	{ "Type", "string", NULL, "Normal or Warning.", 0, ".type", NULL },
	{ "Reason", "string", NULL, "What.", 0, ".reason", NULL },
	{ "Object", "string", NULL, "Whom it happened to.", 0, NULL, event_object_cell },
	{ "Subobject", "string", NULL, "Which part of it.", 1, NULL, event_part_cell },
	{ "Source", "string", NULL, "Who says so.", 1, NULL, event_source_cell },
	{ "Message", "string", NULL, "What, for people.", 0, NULL, event_message_cell },
	{ "First Seen", "string", NULL, "When first.", 1, NULL, event_first_cell },
	{ "Count", "string", NULL, "How often.", 1, NULL, event_count_cell },
	{ "Name", "string", "name", "Name of the event.", 1, ".metadata.name", NULL },
	{ 0 },
};
static const char *const event_selectable[] = { "involvedObject.kind", "involvedObject.namespace",
	"involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
	"involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent",
	"source|source.component|reportingComponent", "type", NULL };

/* ---- PersistentVolume, PersistentVolumeClaim ---- */
FIELD_TABLE(pv_fields, "io.k8s.api.core.v1.PersistentVolume", "A piece of storage.",
	ROW_REF("spec", pv_spec_fields, "What it is."), ROW_OBJ("status", "What is."),
	ROW_STR("status.phase", "Phase."), ROW_STR("status.message", "Why, for people."),
	ROW_STR("status.reason", "Why."), ROW_TIME("status.lastPhaseTransitionTime", "Since when."));

static struct json *capacity_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *v = json_at(o, "/spec/capacity/storage");

	if (!v)
		v = json_at(o, "/status/capacity/storage");
	return v ? json_copy(d, v) : json_new_str(d, "");
}

static struct json *access_modes_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char *const names[][2] = { { "ReadWriteOnce", "RWO" }, { "ReadOnlyMany", "ROX" },
		{ "ReadWriteMany", "RWX" }, { "ReadWriteOncePod", "RWOP" } };
	CLEANUP(str_done) struct str s = { 0 };
	bool claim = str_eq(json_get_str(o, "kind"), "PersistentVolumeClaim");
	const struct json *modes = json_at(o, claim ? "/status/accessModes" : "/spec/accessModes");

	if (claim && str_empty(json_at_str(o, "/spec/volumeName")))
		modes = NULL; /* not bound: neither size nor modes are known */
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		JSON_EACH (it, modes)
			if (str_eq(json_str(it.val), names[i][0]))
				str_addf(&s, "%s%s", s.len ? "," : "", names[i][1]);
	return json_new_str(d, str_cstr(&s));
}

static struct json *pv_claim_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const char *name = json_at_str(o, "/spec/claimRef/name");

	return name ? json_new_strf(d, "%s/%s", json_str_or(json_at(o, "/spec/claimRef/namespace"), ""), name)
		    : json_new_str(d, "");
}

static struct json *text_or(struct json_doc *d, const struct json *o, const char *pointer, const char *deflt)
{
	const char *s = json_at_str(o, pointer);

	return json_new_str(d, str_empty(s) ? deflt : s);
}

static struct json *attributes_class_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeAttributesClassName", "<unset>");
}

static struct json *pv_reason_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/status/reason", "");
}

static struct json *volume_mode_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeMode", "<unset>");
}

static struct json *claim_phase_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	if (json_at(o, "/metadata/deletionTimestamp"))
		return json_new_str(d, "Terminating");
	return text_or(d, o, "/status/phase", "");
}

static struct json *claim_volume_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/volumeName", "");
}

static struct json *claim_class_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return text_or(d, o, "/spec/storageClassName", "");
}

static const struct column pv_columns[] = {
	{ "Capacity", "string", NULL, "Size.", 0, NULL, capacity_cell },
	{ "Access Modes", "string", NULL, "Access modes.", 0, NULL, access_modes_cell },
	{ "Reclaim Policy", "string", NULL, "What happens when released.", 0,
		".spec.persistentVolumeReclaimPolicy", NULL },
	{ "Status", "string", NULL, "Phase.", 0, NULL, claim_phase_cell },
	{ "Claim", "string", NULL, "Claim.", 0, NULL, pv_claim_cell },
	{ "StorageClass", "string", NULL, "Class.", 0, ".spec.storageClassName", NULL },
	{ "VolumeAttributesClass", "string", NULL, "Class of attributes.", 0, NULL, attributes_class_cell },
	{ "Reason", "string", NULL, "Why it is in that phase.", 0, NULL, pv_reason_cell },
	COLUMN_AGE,
	{ "VolumeMode", "string", NULL, "Mode.", 1, NULL, volume_mode_cell },
	{ 0 },
};

static int pv_prepare(const struct write_env *env, struct json_doc *d, struct json *o, const struct json *old,
	struct err *e)
{
	if (!old)
		json_set_str(d, json_need_obj(d, o, "status"), "phase", "Pending");
	return 0;
}

FIELD_TABLE(pvc_fields, "io.k8s.api.core.v1.PersistentVolumeClaim", "A wish for storage.",
	ROW_REF("spec", pvc_spec_fields, "What is wanted."),
	ROW_REF("status", pvc_status_fields, "What is."));

static int pvc_prepare(const struct write_env *env, struct json_doc *d, struct json *o,
	const struct json *old, struct err *e)
{
	default_str(d, json_need_obj(d, o, "spec"), "volumeMode", "Filesystem");
	if (!old)
		json_set_str(d, json_need_obj(d, o, "status"), "phase", "Pending");
	return 0;
}

/* But for what a bound claim may change, and what is decided later. */
static bool claim_spec_same(const struct json *a, const struct json *b)
{
	static const char *const later[] = { "volumeName", "storageClassName" };
	CLEANUP(json_doc_freep) struct json_doc *da = json_doc_from(a);
	CLEANUP(json_doc_freep) struct json_doc *db = json_doc_from(b);
	struct json *sides[2] = { json_root(da), json_root(db) };

	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		if (str_empty(json_get_str(b, later[i]))) {
			json_remove(sides[0], later[i]);
			json_remove(sides[1], later[i]);
		}
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		json_remove(json_get(sides[i], "resources"), "requests");
		json_remove(sides[i], "volumeAttributesClassName");
	}
	return json_eq(sides[0], sides[1]);
}

static void pvc_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	if (json_len(json_at(o, "/spec/accessModes")) == 0)
		cause_required(c, "spec.accessModes", "at least 1 access mode is required");
	if (!json_at(o, "/spec/resources/requests/storage"))
		cause_required(c, "spec.resources[storage]", "");
	if (old && !claim_spec_same(json_get(o, "spec"), json_get(old, "spec")))
		cause_forbidden(c, "spec",
			"spec is immutable after creation except resources.requests and "
			"volumeAttributesClassName for bound claims");
}

static const struct column pvc_columns[] = {
	{ "Status", "string", NULL, "Phase.", 0, NULL, claim_phase_cell },
	{ "Volume", "string", NULL, "Volume.", 0, NULL, claim_volume_cell },
	{ "Capacity", "string", NULL, "Size.", 0, NULL, capacity_cell },
	{ "Access Modes", "string", NULL, "Access modes.", 0, NULL, access_modes_cell },
	{ "StorageClass", "string", NULL, "Class.", 0, NULL, claim_class_cell },
	{ "VolumeAttributesClass", "string", NULL, "Class of attributes.", 0, NULL, attributes_class_cell },
	COLUMN_AGE,
	{ "VolumeMode", "string", NULL, "Mode.", 1, NULL, volume_mode_cell },
	{ 0 },
};

/* ---- ResourceQuota, LimitRange ---- */
FIELD_TABLE(quota_fields, "io.k8s.api.core.v1.ResourceQuota", "Limits of a namespace.",
	ROW_OBJ("spec", "What is wanted."), ROW_QMAP("spec.hard", "Limits."),
	{ "spec.scopes", F_LIST, FIELD_ATOMIC | FIELD_IMMUTABLE, "What counts.", .items = F_STRING },
	{ "spec.scopeSelector", F_OBJECT, FIELD_ATOMIC | FIELD_IMMUTABLE, "What counts, by expressions." },
	ROW_LIST("spec.scopeSelector.matchExpressions", "Requirements, all of which must hold."),
	{ "spec.scopeSelector.matchExpressions[].scopeName", F_STRING, FIELD_REQUIRED,
		"Scope, such as PriorityClass." },
	{ "spec.scopeSelector.matchExpressions[].operator", F_STRING, FIELD_REQUIRED,
		"In, NotIn, Exists or DoesNotExist." },
	ROW_STRS("spec.scopeSelector.matchExpressions[].values", "Values for In and NotIn."),
	ROW_OBJ("status", "What is."), ROW_QMAP("status.hard", "Limits."), ROW_QMAP("status.used", "Used."));
FIELD_TABLE(limitrange_fields, "io.k8s.api.core.v1.LimitRange", "Limits of single objects.",
	ROW_OBJ("spec", "What is wanted."), ROW_LIST("spec.limits", "Limits."),
	{ "spec.limits[].type", F_STRING, FIELD_REQUIRED,
		"What they are for: Container, Pod or PersistentVolumeClaim." },
	ROW_QMAP("spec.limits[].max", "Most."), ROW_QMAP("spec.limits[].min", "Least."),
	ROW_QMAP("spec.limits[].default", "Default limit."),
	ROW_QMAP("spec.limits[].defaultRequest", "Default request."),
	ROW_QMAP("spec.limits[].maxLimitRequestRatio", "Largest ratio."));

/* "requests.cpu: 1/2, pods: 3/10": limits of limits in a column of their own. */
static struct json *quota_text(struct json_doc *d, const struct json *o, bool limits)
{
	CLEANUP(strv_done) struct strv names = { 0 };
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/status/hard"))
		if (str_starts(it.key, "limits.") == limits)
			strv_add(&names, it.key);
	strv_sort(&names);
	for (size_t i = 0; i < names.len; i++)
		str_addf(&s, "%s%s: %s/%s", i ? ", " : "", names.items[i],
			json_str_or(json_get(json_at(o, "/status/used"), names.items[i]), "0"),
			json_str_or(json_get(json_at(o, "/status/hard"), names.items[i]), "0"));
	return json_new_str(d, str_cstr(&s));
}

static struct json *quota_request_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return quota_text(d, o, false);
}

static struct json *quota_limit_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return quota_text(d, o, true);
}

static const struct column quota_columns[] = {
	{ "Request", "string", NULL, "Used and allowed of requests and numbers.", 0, NULL,
		quota_request_cell },
	{ "Limit", "string", NULL, "Used and allowed of limits.", 0, NULL, quota_limit_cell },
	COLUMN_AGE,
	{ 0 },
};

struct json *cell_created(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, json_at_str(o, "/metadata/creationTimestamp"));
}
const struct column created_columns[] = {
	{ "Created At", "date", NULL, "When it was made.", 0, NULL, cell_created },
	{ 0 },
};

static const char *const no_names[] = { "no", NULL }, *const svc_names[] = { "svc", NULL },
			 *const ep_names[] = { "ep", NULL };
static const char *const ns_names[] = { "ns", NULL }, *const cm_names[] = { "cm", NULL },
			 *const sa_names[] = { "sa", NULL };
static const char *const ev_names[] = { "ev", NULL }, *const pv_names[] = { "pv", NULL },
			 *const pvc_names[] = { "pvc", NULL };
static const char *const quota_names[] = { "quota", NULL }, *const limits_names[] = { "limits", NULL };
static const char *const node_selectable[] = { "spec.unschedulable=false", NULL };
static const char *const namespace_selectable[] = { "status.phase", NULL };
static const char *const secret_selectable[] = { "type", NULL };
static const char *const service_selectable[] = { "spec.clusterIP", "spec.type", NULL };

#define CORE(k, p, s) .group = "", .version = "v1", .kind = k, .plural = p, .singular = s

const struct resource_def builtin_core[] = {
	{ .kind = { CORE("Namespace", "namespaces", "namespace"), .short_names = ns_names, .has_status = true,
		  .fields = &namespace_fields },
		.verbs = VERBS_ALL & ~VERB_DELETECOLLECTION,
		.rules = { .name_max = 63 },
		.subresources = namespace_subs,
		.columns = namespace_columns,
		.selectable = namespace_selectable,
		.hooks = { .prepare = namespace_prepare },
		.delete_returns = true },
	{ .kind = { CORE("Node", "nodes", "node"), .short_names = no_names, .has_status = true,
		  .fields = &node_fields },
		.subresources = node_subs,
		.columns = node_columns,
		.selectable = node_selectable,
		.hooks = { .deflt = node_default },
		.storage = "minions" },
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
	{ .kind = { CORE("ConfigMap", "configmaps", "configmap"), .short_names = cm_names, .namespaced = true,
		  .fields = &configmap_fields },
		.columns = configmap_columns,
		.hooks = { .validate = config_validate } },
	{ .kind = { CORE("Secret", "secrets", "secret"), .namespaced = true, .fields = &secret_fields },
		.columns = secret_columns,
		.selectable = secret_selectable,
		.hooks = { .prepare = secret_prepare, .validate = secret_validate } },
	{ .kind = { CORE("ServiceAccount", "serviceaccounts", "serviceaccount"), .short_names = sa_names,
		  .namespaced = true, .fields = &serviceaccount_fields },
		.subresources = serviceaccount_subs,
		.columns = serviceaccount_columns,
		.delete_returns = true },
	{ .kind = { CORE("Event", "events", "event"), .short_names = ev_names, .namespaced = true,
		  .fields = &event_fields },
		.rules = { .create_on_update = true },
		.columns = event_columns,
		.selectable = event_selectable,
		.ttl_seconds = 3600 },
	{ .kind = { CORE("PersistentVolume", "persistentvolumes", "persistentvolume"),
		  .short_names = pv_names, .has_status = true, .fields = &pv_fields },
		.subresources = status_only,
		.columns = pv_columns,
		.hooks = { .prepare = pv_prepare },
		.delete_returns = true },
	{ .kind = { CORE("PersistentVolumeClaim", "persistentvolumeclaims", "persistentvolumeclaim"),
		  .short_names = pvc_names, .namespaced = true, .has_status = true, .fields = &pvc_fields },
		.subresources = status_only,
		.columns = pvc_columns,
		.hooks = { .prepare = pvc_prepare, .validate = pvc_validate },
		.delete_returns = true },
	{ .kind = { CORE("ResourceQuota", "resourcequotas", "resourcequota"), .short_names = quota_names,
		  .namespaced = true, .has_status = true, .fields = &quota_fields },
		.subresources = status_only,
		.columns = quota_columns,
		.hooks = { .validate = quota_validate },
		.delete_returns = true },
	{ .kind = { CORE("LimitRange", "limitranges", "limitrange"), .short_names = limits_names,
		  .namespaced = true, .fields = &limitrange_fields },
		.columns = created_columns,
		.rules = { .create_on_update = true },
		.hooks = { .deflt = limitrange_default, .validate = limitrange_validate } },
	{ .kind = { 0 } },
};
