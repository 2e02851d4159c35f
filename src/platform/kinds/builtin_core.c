/* SPDX-License-Identifier: Apache-2.0 */
/* The core group but for Pods, Services, Events and claims: namespaces, nodes, configuration, limits. */
#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/limit_kinds.h"

#include <string.h>

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

static const char *const no_names[] = { "no", NULL }, *const ns_names[] = { "ns", NULL },
			 *const cm_names[] = { "cm", NULL }, *const sa_names[] = { "sa", NULL };
static const char *const quota_names[] = { "quota", NULL }, *const limits_names[] = { "limits", NULL };
static const char *const node_selectable[] = { "spec.unschedulable=false", NULL };
static const char *const namespace_selectable[] = { "status.phase", NULL };
static const char *const secret_selectable[] = { "type", NULL };

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
