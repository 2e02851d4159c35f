/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: the tables of PodSpec and everything it is made of, shared by the workload kinds' templates. Volumes are in
 * builtin_volume.c. */
#include "base/mem.h"
#include "platform/kinds/builtin.h"
#include "platform/kinds/pod_check.h"

#include <string.h>

FIELD_TABLE(affinity_term_fields, "io.k8s.api.core.v1.PodAffinityTerm", "Pods near or far.",
	ROW_REF("labelSelector", label_selector_fields, "Pods that count."),
	ROW_STRS("matchLabelKeys", "Label keys whose values must be this pod's."),
	ROW_STRS("mismatchLabelKeys", "Label keys whose values must not be this pod's."),
	ROW_REF("namespaceSelector", label_selector_fields, "Namespaces that count, by label."),
	ROW_STRS("namespaces", "Namespaces that count, by name; the pod's own if none are named."),
	{ "topologyKey", F_STRING, FIELD_REQUIRED, "Node label that makes a domain." });

FIELD_TABLE(pod_affinity_fields, "io.k8s.api.core.v1.PodAffinity", "Placement relative to other pods.",
	ROW_REFS("requiredDuringSchedulingIgnoredDuringExecution", affinity_term_fields, "Must hold."),
	ROW_LIST("preferredDuringSchedulingIgnoredDuringExecution", "Should hold."),
	{ "preferredDuringSchedulingIgnoredDuringExecution[].weight", F_INT32, FIELD_REQUIRED,
		"How much it counts, 1 to 100.", .min = 1, .max = 100 },
	{ "preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm", F_REF, FIELD_REQUIRED,
		"The term.", .ref = &affinity_term_fields });

FIELD_TABLE(affinity_fields, "io.k8s.api.core.v1.Affinity", "Placement rules.",
	ROW_OBJ("nodeAffinity", "Placement by node."),
	ROW_REF("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", node_selector_fields,
		"Must hold."),
	ROW_LIST("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", "Should hold."),
	{ "nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight", F_INT32, FIELD_REQUIRED,
		"How much it counts, 1 to 100.", .min = 1, .max = 100 },
	{ "nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference", F_REF, FIELD_REQUIRED,
		"The term.", .ref = &node_selector_term_fields },
	ROW_REF("podAffinity", pod_affinity_fields, "Near these pods."),
	ROW_REF("podAntiAffinity", pod_affinity_fields, "Away from these pods."));

/* ---- what is done to a container ---- */
FIELD_TABLE(exec_action_fields, "io.k8s.api.core.v1.ExecAction", "A command run in the container.",
	ROW_STRS("command", "Program and arguments; there is no shell unless it is named."));
FIELD_TABLE(http_action_fields, "io.k8s.api.core.v1.HTTPGetAction", "An HTTP request.",
	ROW_STR("path", "Path asked for."),
	{ "port", F_INT_OR_STRING, FIELD_REQUIRED, "Port, by number or name." },
	ROW_STR("host", "Host; the pod's address if none is named."),
	{ "scheme", F_STRING, 0, "HTTP or HTTPS.", .deflt = "\"HTTP\"", .enums = "HTTP|HTTPS" },
	ROW_LIST("httpHeaders", "Headers sent along."),
	{ "httpHeaders[].name", F_STRING, FIELD_REQUIRED, "Name of the header." },
	{ "httpHeaders[].value", F_STRING, FIELD_REQUIRED, "Value of the header." });
FIELD_TABLE(tcp_action_fields, "io.k8s.api.core.v1.TCPSocketAction", "A TCP connection.",
	{ "port", F_INT_OR_STRING, FIELD_REQUIRED, "Port, by number or name." },
	ROW_STR("host", "Host; the pod's address if none is named."));

FIELD_TABLE(probe_fields, "io.k8s.api.core.v1.Probe", "A check of a container's health.",
	ROW_REF("exec", exec_action_fields, "A command that must exit with 0."),
	ROW_REF("httpGet", http_action_fields, "A request that must be answered with 200 to 399."),
	ROW_REF("tcpSocket", tcp_action_fields, "A port that must accept."),
	ROW_OBJ("grpc", "A health check by gRPC."),
	{ "grpc.port", F_INT32, FIELD_REQUIRED, "Port.", .min = 1, .max = 65535 },
	{ "grpc.service", F_STRING, 0, "Service named in the request.", .deflt = "\"\"" },
	{ "initialDelaySeconds", F_INT32, 0, "Seconds before the first check.", .max = INT32_MAX },
	{ "timeoutSeconds", F_INT32, 0, "Seconds until a check fails.", .deflt = "1", .min = 1,
		.max = INT32_MAX },
	{ "periodSeconds", F_INT32, 0, "Seconds between checks.", .deflt = "10", .min = 1, .max = INT32_MAX },
	{ "successThreshold", F_INT32, 0, "Successes in a row to be well.", .deflt = "1", .min = 1,
		.max = INT32_MAX },
	{ "failureThreshold", F_INT32, 0, "Failures in a row to be ill.", .deflt = "3", .min = 1,
		.max = INT32_MAX },
	ROW_INT("terminationGracePeriodSeconds", "Grace when killed for failing, instead of the pod's."));

FIELD_TABLE(lifecycle_handler_fields, "io.k8s.api.core.v1.LifecycleHandler",
	"What is done at a point of a container's life.", ROW_REF("exec", exec_action_fields, "A command."),
	ROW_REF("httpGet", http_action_fields, "An HTTP request."),
	ROW_REF("tcpSocket", tcp_action_fields, "Deprecated: a TCP connection; never made."),
	ROW_OBJ("sleep", "A pause."), { "sleep.seconds", F_INT, FIELD_REQUIRED, "Seconds." });

/* ---- environment ---- */
#define OPTIONAL ROW_BOOL("optional", "Whether it may be missing.")
FIELD_TABLE_ATOMIC(configmap_key_fields, "io.k8s.api.core.v1.ConfigMapKeySelector", "A key of a ConfigMap.",
	ROW_STR("name", "Name of the ConfigMap."), { "key", F_STRING, FIELD_REQUIRED, "Key." }, OPTIONAL);
FIELD_TABLE_ATOMIC(secret_key_fields, "io.k8s.api.core.v1.SecretKeySelector", "A key of a Secret.",
	ROW_STR("name", "Name of the Secret."), { "key", F_STRING, FIELD_REQUIRED, "Key." }, OPTIONAL);
FIELD_TABLE_ATOMIC(file_key_fields, "io.k8s.api.core.v1.FileKeySelector",
	"A key of a file with environment variables.",
	{ "volumeName", F_STRING, FIELD_REQUIRED, "Volume with the file." },
	{ "path", F_STRING, FIELD_REQUIRED, "Path of the file in the volume." },
	{ "key", F_STRING, FIELD_REQUIRED, "Key in the file." },
	{ "optional", F_BOOL, 0, "Whether it may be missing.", .deflt = "false" });
FIELD_TABLE(env_var_fields, "io.k8s.api.core.v1.EnvVar", "An environment variable.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name." }, ROW_STR("value", "Value; $(VAR) is replaced."),
	ROW_OBJ("valueFrom", "Where the value comes from, instead of value."),
	ROW_REF("valueFrom.fieldRef", object_field_fields, "A field of the pod."),
	ROW_REF("valueFrom.resourceFieldRef", resource_field_fields, "A resource of a container."),
	ROW_REF("valueFrom.configMapKeyRef", configmap_key_fields, "A key of a ConfigMap."),
	ROW_REF("valueFrom.secretKeyRef", secret_key_fields, "A key of a Secret."),
	ROW_REF("valueFrom.fileKeyRef", file_key_fields, "A key of a file."));
FIELD_TABLE(env_from_fields, "io.k8s.api.core.v1.EnvFromSource", "Environment from a whole object.",
	ROW_STR("prefix", "Put before each name."), ROW_OBJ("configMapRef", "A ConfigMap."),
	ROW_STR("configMapRef.name", "Name of the ConfigMap."),
	ROW_BOOL("configMapRef.optional", "Whether it may be missing."), ROW_OBJ("secretRef", "A Secret."),
	ROW_STR("secretRef.name", "Name of the Secret."),
	ROW_BOOL("secretRef.optional", "Whether it may be missing."));

/* ---- rights ---- */
FIELD_TABLE(selinux_fields, "io.k8s.api.core.v1.SELinuxOptions", "An SELinux label.",
	ROW_STR("user", "User part."), ROW_STR("role", "Role part."), ROW_STR("type", "Type part."),
	ROW_STR("level", "Level part."));
FIELD_TABLE(seccomp_fields, "io.k8s.api.core.v1.SeccompProfile", "Which system calls are allowed.",
	{ "type", F_STRING, FIELD_REQUIRED, "Kind of profile.",
		.enums = "Localhost|RuntimeDefault|Unconfined" },
	ROW_STR("localhostProfile", "File on the node, for Localhost."));
FIELD_TABLE(apparmor_fields, "io.k8s.api.core.v1.AppArmorProfile", "An AppArmor profile.",
	{ "type", F_STRING, FIELD_REQUIRED, "Kind of profile.",
		.enums = "Localhost|RuntimeDefault|Unconfined" },
	ROW_STR("localhostProfile", "Profile loaded on the node, for Localhost."));
FIELD_TABLE(windows_fields, "io.k8s.api.core.v1.WindowsSecurityContextOptions", "Rights on Windows.",
	ROW_STR("gmsaCredentialSpecName", "Managed service account by name."),
	ROW_STR("gmsaCredentialSpec", "Managed service account in full."),
	ROW_STR("runAsUserName", "User of the entry point."),
	ROW_BOOL("hostProcess", "Whether it runs as a process of the host."));
/* What containers and whole pods have in common. */
#define SECURITY_ROWS                                                                         \
	ROW_INT("runAsUser", "User id of the entry point."),                                  \
		ROW_INT("runAsGroup", "Group id of the entry point."),                        \
		ROW_BOOL("runAsNonRoot", "Whether user 0 is refused."),                       \
		ROW_REF("seLinuxOptions", selinux_fields, "SELinux label."),                  \
		ROW_REF("seccompProfile", seccomp_fields, "Which system calls are allowed."), \
		ROW_REF("appArmorProfile", apparmor_fields, "AppArmor profile."),             \
		ROW_REF("windowsOptions", windows_fields, "Rights on Windows.")
FIELD_TABLE(security_context_fields, "io.k8s.api.core.v1.SecurityContext", "Rights of a container.",
	ROW_OBJ("capabilities", "Capabilities given or taken."),
	ROW_STRS("capabilities.add", "Given beyond the usual ones."),
	ROW_STRS("capabilities.drop", "Taken from the usual ones."),
	ROW_BOOL("privileged", "Whether it has the rights of root on the node."),
	ROW_BOOL("readOnlyRootFilesystem", "Whether its root file system is read-only."),
	ROW_BOOL("allowPrivilegeEscalation", "Whether programs can gain rights."),
	ROW_ENUM("procMount", "Default|Unmasked", "What of /proc is hidden."), SECURITY_ROWS);
FIELD_TABLE(pod_security_context_fields, "io.k8s.api.core.v1.PodSecurityContext", "Rights of a pod.",
	ROW_INTS("supplementalGroups", "Further group ids of every first process."),
	ROW_ENUM("supplementalGroupsPolicy", "Merge|Strict", "Whether the image's groups are added."),
	ROW_INT("fsGroup", "Group that owns volumes."),
	ROW_ENUM("fsGroupChangePolicy", "Always|OnRootMismatch", "When volumes get that group."),
	ROW_LIST("sysctls", "Kernel settings of the pod."),
	{ "sysctls[].name", F_STRING, FIELD_REQUIRED, "Name of the setting." },
	{ "sysctls[].value", F_STRING, FIELD_REQUIRED, "Value of the setting." },
	ROW_ENUM("seLinuxChangePolicy", "MountOption|Recursive", "How volumes get their label."),
	SECURITY_ROWS);

/* ---- containers ---- */
FIELD_TABLE(volume_mount_fields, "io.k8s.api.core.v1.VolumeMount", "A volume shown in a container.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the volume." },
	{ "mountPath", F_STRING, FIELD_REQUIRED, "Path in the container." },
	ROW_STR("subPath", "Part of the volume that is shown."),
	ROW_STR("subPathExpr", "The same, with $(VAR) replaced."),
	ROW_BOOL("readOnly", "Whether nothing may be written."),
	ROW_ENUM("recursiveReadOnly", "Disabled|Enabled|IfPossible",
		"Whether that holds for what is mounted below."),
	ROW_ENUM("mountPropagation", "Bidirectional|HostToContainer|None",
		"Which way later mounts become visible."));
#define CONTAINER_ROWS                                                                                      \
	{ "name", F_STRING, FIELD_REQUIRED, "Name, unique within the pod." },                               \
		ROW_STR("image", "OCI image."),                                                             \
		ROW_ENUM("imagePullPolicy", "Always|IfNotPresent|Never", "When to fetch the image."),       \
		ROW_STRS("command", "Entry point, instead of the image's."),                                \
		ROW_STRS("args", "Arguments, instead of the image's."),                                     \
		ROW_STR("workingDir", "Working directory, instead of the image's."),                        \
		ROW_KEYED("ports", "containerPort,protocol", "Ports that are served."),                     \
		ROW_STR("ports[].name", "Name, for services to refer to."),                                 \
		{ "ports[].containerPort", F_INT32, FIELD_REQUIRED, "Port.", .min = 1, .max = 65535 },      \
		{ "ports[].hostPort", F_INT32, 0, "Port of the node that leads to it.", .max = 65535 },     \
		ROW_STR("ports[].hostIP", "Address of the node that leads to it."),                         \
		{ "ports[].protocol", F_STRING, 0, "TCP, UDP or SCTP.", .deflt = "\"TCP\"",                 \
			.enums = "SCTP|TCP|UDP" },                                                          \
		ROW_KEYED_REFS("env", env_var_fields, "name", "Environment."),                              \
		ROW_REFS("envFrom", env_from_fields, "Environment from whole objects."),                    \
		{ "resources", F_REF, 0, "Resources wanted and allowed.", .deflt = "{}",                    \
			.ref = &resource_requirement_fields },                                              \
		ROW_LIST("resizePolicy", "What a change of a resource needs."),                             \
		{ "resizePolicy[].resourceName", F_STRING, FIELD_REQUIRED, "cpu or memory." },              \
		{ "resizePolicy[].restartPolicy", F_STRING, FIELD_REQUIRED, "Whether it is restarted.",     \
			.enums = "NotRequired|RestartContainer" },                                          \
		ROW_STR("restartPolicy", "When it alone is restarted, whatever the pod's policy; Always "   \
					 "makes a sidecar of an "                                           \
					 "init container."),                                                \
		ROW_LIST("restartPolicyRules", "Exceptions to that, by exit code."),                        \
		{ "restartPolicyRules[].action", F_STRING, FIELD_REQUIRED, "What is done then: Restart." }, \
		ROW_OBJ("restartPolicyRules[].exitCodes", "Exit codes meant."),                             \
		{ "restartPolicyRules[].exitCodes.operator", F_STRING, FIELD_REQUIRED, "In or NotIn." },    \
		{ "restartPolicyRules[].exitCodes.values", F_LIST, FIELD_SET, "Exit codes.",                \
			.items = F_INT32 },                                                                 \
		ROW_KEYED_REFS("volumeMounts", volume_mount_fields, "mountPath", "Volumes shown in it."),   \
		ROW_KEYED("volumeDevices", "devicePath", "Volumes given to it as disks."),                  \
		{ "volumeDevices[].name", F_STRING, FIELD_REQUIRED, "Name of the claim's volume." },        \
		ROW_KEY("volumeDevices[].devicePath", "Path in the container."),                            \
		ROW_REF("livenessProbe", probe_fields, "It is restarted when this fails."),                 \
		ROW_REF("readinessProbe", probe_fields, "It gets no traffic while this fails."),            \
		ROW_REF("startupProbe", probe_fields, "The other probes wait for this."),                   \
		ROW_OBJ("lifecycle", "What is done at points of its life."),                                \
		ROW_REF("lifecycle.postStart", lifecycle_handler_fields, "After the start."),               \
		ROW_REF("lifecycle.preStop", lifecycle_handler_fields, "Before the stop."),                 \
		ROW_STR("lifecycle.stopSignal", "Signal that stops it, instead of the image's."),           \
		{ "terminationMessagePath", F_STRING, 0, "File with its last words.",                       \
			.deflt = "\"/dev/termination-log\"" },                                              \
		{ "terminationMessagePolicy", F_STRING, 0, "Whether the log stands in for that file.",      \
			.deflt = "\"File\"", .enums = "FallbackToLogsOnError|File" },                       \
		ROW_REF("securityContext", security_context_fields, "Rights."),                             \
		ROW_BOOL("stdin", "Whether standard input is kept open."),                                  \
		ROW_BOOL("stdinOnce", "Whether it is closed after the first user."),                        \
		ROW_BOOL("tty", "Whether it gets a terminal.")
FIELD_TABLE(container_fields, "io.k8s.api.core.v1.Container", "A container of a pod.", CONTAINER_ROWS);
FIELD_TABLE(ephemeral_container_fields, "io.k8s.api.core.v1.EphemeralContainer",
	"A container added to a running pod, for debugging.", CONTAINER_ROWS,
	ROW_STR("targetContainerName", "Container whose namespaces it shares."));

FIELD_TABLE(toleration_fields, "io.k8s.api.core.v1.Toleration", "A taint that is put up with.",
	ROW_STR("key", "Taint key; empty: all."), ROW_ENUM("operator", "Equal|Exists", "Equal or Exists."),
	ROW_STR("value", "Taint value."),
	ROW_ENUM("effect", "|NoExecute|NoSchedule|PreferNoSchedule", "Taint effect; empty: all."),
	ROW_INT("tolerationSeconds", "For how long a NoExecute taint is put up with."));

FIELD_TABLE(pod_spec_fields, "io.k8s.api.core.v1.PodSpec", "What a pod consists of.",
	ROW_KEYED_REFS("containers", container_fields, "name", "Containers."),
	ROW_KEYED_REFS("initContainers", container_fields, "name",
		"Containers run one after the other before the others."),
	ROW_KEYED_REFS(
		"ephemeralContainers", ephemeral_container_fields, "name", "Containers added for debugging."),
	{ "volumes", F_REF_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "Volumes.", .keys = "name",
		.ref = &volume_source_fields },
	{ "restartPolicy", F_STRING, 0, "What happens when a container ends.", .deflt = "\"Always\"",
		.enums = "Always|Never|OnFailure" },
	{ "terminationGracePeriodSeconds", F_INT, 0, "Seconds between asking and killing.", .deflt = "30" },
	ROW_INT("activeDeadlineSeconds", "Seconds after which the pod fails."),
	{ "dnsPolicy", F_STRING, 0, "Where names are looked up.", .deflt = "\"ClusterFirst\"",
		.enums = "ClusterFirst|ClusterFirstWithHostNet|Default|None" },
	{ "nodeSelector", F_MAP, FIELD_ATOMIC, "Labels the node must have.", .items = F_STRING },
	ROW_STR("serviceAccountName", "Service account."),
	ROW_STR("serviceAccount", "Old name of serviceAccountName."),
	ROW_BOOL("automountServiceAccountToken", "Whether a token is mounted."),
	ROW_STR("nodeName", "Node it runs on."), ROW_BOOL("hostNetwork", "Uses the node's network."),
	ROW_BOOL("hostPID", "Uses the node's processes."), ROW_BOOL("hostIPC", "Uses the node's IPC."),
	ROW_BOOL("hostUsers", "Uses the node's user ids."),
	ROW_BOOL("shareProcessNamespace", "One process namespace for all containers."),
	{ "securityContext", F_REF, 0, "Rights of all containers.", .deflt = "{}",
		.ref = &pod_security_context_fields },
	ROW_KEYED("imagePullSecrets", "name", "Secrets for fetching images."),
	ROW_KEY("imagePullSecrets[].name", "Name of the Secret."), ROW_STR("hostname", "Host name inside."),
	ROW_STR("subdomain", "Subdomain."), ROW_STR("hostnameOverride", "Whole host name."),
	ROW_REF("affinity", affinity_fields, "Placement rules."),
	{ "schedulerName", F_STRING, 0, "Who places it.", .deflt = "\"default-scheduler\"" },
	ROW_REFS("tolerations", toleration_fields, "Taints it puts up with."),
	ROW_KEYED("hostAliases", "ip", "Lines of /etc/hosts."), ROW_KEY("hostAliases[].ip", "Address."),
	ROW_STRS("hostAliases[].hostnames", "Names."), ROW_STR("priorityClassName", "Priority class."),
	ROW_I32("priority", "Priority."),
	ROW_ENUM("preemptionPolicy", "Never|PreemptLowerPriority", "Whether it may push others out."),
	ROW_OBJ("dnsConfig", "Resolver settings."), ROW_STRS("dnsConfig.nameservers", "Servers."),
	ROW_STRS("dnsConfig.searches", "Search list."), ROW_LIST("dnsConfig.options", "Options."),
	ROW_STR("dnsConfig.options[].name", "Name."), ROW_STR("dnsConfig.options[].value", "Value."),
	ROW_LIST("readinessGates", "Conditions that must hold for readiness."),
	{ "readinessGates[].conditionType", F_STRING, FIELD_REQUIRED, "Type of the condition." },
	ROW_STR("runtimeClassName", "Runtime class."),
	ROW_BOOL("enableServiceLinks", "Whether services become environment variables."),
	ROW_QMAP("overhead", "Cost of the runtime."),
	ROW_KEYED("topologySpreadConstraints", "topologyKey,whenUnsatisfiable", "How pods spread."),
	{ "topologySpreadConstraints[].maxSkew", F_INT32, FIELD_REQUIRED, "Largest difference of domains.",
		.min = 1, .max = INT32_MAX },
	ROW_KEY("topologySpreadConstraints[].topologyKey", "Node label that makes a domain."),
	{ "topologySpreadConstraints[].whenUnsatisfiable", F_STRING, FIELD_REQUIRED,
		"What is done if it can not hold.", .enums = "DoNotSchedule|ScheduleAnyway" },
	ROW_REF("topologySpreadConstraints[].labelSelector", label_selector_fields, "Pods that count."),
	ROW_I32("topologySpreadConstraints[].minDomains", "Domains there should at least be."),
	ROW_ENUM("topologySpreadConstraints[].nodeAffinityPolicy", "Honor|Ignore",
		"Whether nodes it can not run on count."),
	ROW_ENUM("topologySpreadConstraints[].nodeTaintsPolicy", "Honor|Ignore",
		"Whether nodes with taints it does not put up with count."),
	ROW_STRS("topologySpreadConstraints[].matchLabelKeys", "Label keys whose values must be this pod's."),
	ROW_BOOL("setHostnameAsFQDN", "Host name with domain."), ROW_OBJ("os", "Operating system."),
	{ "os.name", F_STRING, FIELD_REQUIRED, "linux or windows." },
	ROW_KEYED("schedulingGates", "name", "Must be gone before scheduling."),
	ROW_KEY("schedulingGates[].name", "Name."),
	{ "resourceClaims", F_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "Claims on devices.",
		.keys = "name" },
	ROW_KEY("resourceClaims[].name", "Name within the pod."),
	ROW_STR("resourceClaims[].resourceClaimName", "A ResourceClaim of the namespace."),
	ROW_STR("resourceClaims[].resourceClaimTemplateName", "Template of a claim made for the pod."),
	ROW_REF("resources", resource_requirement_fields, "Resources of the whole pod."));

FIELD_TABLE(pod_template_fields, "io.k8s.api.core.v1.PodTemplateSpec", "What pods are made from.",
	ROW_REF("metadata", object_meta_fields, "Metadata of the pods."),
	ROW_REF("spec", pod_spec_fields, "What a pod consists of."));

void default_str(struct json_doc *d, struct json *obj, const char *key, const char *text)
{
	const struct json *v = json_get(obj, key);

	/* in Go an empty string is none */
	if (json_is_null(v) || (json_is_str(v) && json_str_len(v) == 0))
		json_set_str(d, obj, key, text);
}

void default_int(struct json_doc *d, struct json *obj, const char *key, int64_t n)
{
	if (json_is_null(json_get(obj, key)))
		json_set_i64(d, obj, key, n);
}

void default_bool(struct json_doc *d, struct json *obj, const char *key, bool b)
{
	if (json_is_null(json_get(obj, key)))
		json_set_bool(d, obj, key, b);
}

static bool image_is_latest(const char *image)
{
	const char *slash = image ? strrchr(image, '/') : NULL;
	const char *name = slash ? slash + 1 : image;
	const char *colon;

	if (!name || strchr(name, '@'))
		return false;
	colon = strchr(name, ':');
	return !colon || str_eq(colon, ":latest");
}

/* An httpGet without a path asks for /. */
static void default_handlers(struct json_doc *d, struct json *c)
{
	static const char *const paths[] = { "/livenessProbe/httpGet", "/readinessProbe/httpGet",
		"/startupProbe/httpGet", "/lifecycle/postStart/httpGet", "/lifecycle/preStop/httpGet" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct json *get = json_at(c, paths[i]);

		if (get && str_empty(json_get_str(get, "path")))
			json_set_str(d, get, "path", "/");
	}
}

static void default_container(struct json_doc *d, struct json *c)
{
	default_handlers(d, c);
	default_str(d, c, "imagePullPolicy",
		image_is_latest(json_get_str(c, "image")) ? "Always" : "IfNotPresent");
}

/* On the host's network a container's port is the host's. */
static void default_port(struct json_doc *d, struct json *port)
{
	if (json_i64(json_get(port, "hostPort")) == 0 && json_is_num(json_get(port, "containerPort")))
		json_set_copy(d, port, "hostPort", json_get(port, "containerPort"));
}

static void default_container_requests(struct json_doc *d, struct json *c)
{
	struct json *resources = json_get(c, "resources");
	const struct json *limits = json_get(resources, "limits");

	if (!json_is_obj(limits) || json_len(limits) == 0)
		return;
	JSON_EACH (it, limits) {
		struct json *requests = json_need_obj(d, resources, "requests");

		if (!json_get(requests, it.key))
			json_set_copy(d, requests, it.key, it.val);
	}
}

/* A volume of nothing but a name is an empty directory. */
static void default_volume(struct json_doc *d, struct json *v)
{
	struct json *claim = json_at(v, "/ephemeral/volumeClaimTemplate/spec");

	if (json_is_obj(v) && json_len(v) == (json_get(v, "name") != NULL))
		json_set(d, v, "emptyDir", json_new_obj(d));
	if (claim)
		default_str(d, claim, "volumeMode", "Filesystem");
}

void default_requests(struct json_doc *d, struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		JSON_EACH (it, json_get(spec, lists[i]))
			default_container_requests(d, it.val);
}

void default_pod_spec(struct json_doc *d, struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };
	const char *account;

	if (!json_is_obj(spec))
		return;
	account = json_get_str(spec, "serviceAccountName");
	if (str_empty(account))
		account = json_get_str(spec, "serviceAccount");
	if (!str_empty(account)) {
		CLEANUP(mem_freep) char *name = mem_strdup(account);

		json_set_str(d, spec, "serviceAccountName", name);
		json_set_str(d, spec, "serviceAccount", name);
	}
	JSON_EACH (it, json_get(spec, "volumes"))
		default_volume(d, it.val);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		JSON_EACH (it, json_get(spec, lists[i])) {
			default_container(d, it.val);
			if (json_bool(json_get(spec, "hostNetwork")))
				JSON_EACH (port, json_get(it.val, "ports"))
					default_port(d, port.val);
		}
	}
}

static void validate_container(
	const struct json *c, const char *at, const struct strv *volumes, struct causes *causes)
{
	CLEANUP(mem_freep) char *name_at = str_printf("%s.name", at);
	CLEANUP(mem_freep) char *image_at = str_printf("%s.image", at);
	const char *name = json_get_str(c, "name");
	size_t i = 0;

	if (str_empty(name))
		cause_required(causes, name_at, "");
	else if (!name_is_dns1123_label(name))
		cause_invalid(causes, name_at, json_get(c, "name"), "%s", DNS_LABEL_TEXT);
	if (str_empty(json_get_str(c, "image")))
		cause_required(causes, image_at, "");
	JSON_EACH (it, json_get(c, "volumeMounts")) {
		const char *volume = json_get_str(it.val, "name");
		CLEANUP(mem_freep) char *mount_at = str_printf("%s.volumeMounts[%zu].name", at, i++);

		if (str_empty(volume))
			cause_required(causes, mount_at, "");
		else if (!strv_has(volumes, volume))
			cause_text(causes, "FieldValueNotFound", mount_at, "Not found: \"%s\"", volume);
	}
}

void validate_pod_spec(const struct json *spec, const char *at, struct causes *causes)
{
	static const char *const lists[] = { "initContainers", "containers" };
	CLEANUP(strv_done) struct strv volumes = { 0 };
	CLEANUP(strv_done) struct strv names = { 0 };
	CLEANUP(mem_freep) char *containers_at = str_printf("%s.containers", at);
	size_t i = 0;

	JSON_EACH (it, json_get(spec, "volumes")) {
		const char *name = json_get_str(it.val, "name");
		CLEANUP(mem_freep) char *name_at = str_printf("%s.volumes[%zu].name", at, i++);

		if (str_empty(name))
			cause_required(causes, name_at, "");
		else if (strv_has(&volumes, name))
			cause_duplicate(causes, name_at, json_get(it.val, "name"));
		else
			strv_add(&volumes, name);
	}
	if (json_len(json_get(spec, "containers")) == 0)
		cause_required(causes, containers_at, "");
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		i = 0;
		JSON_EACH (it, json_get(spec, lists[l])) {
			CLEANUP(mem_freep) char *one_at = str_printf("%s.%s[%zu]", at, lists[l], i++);
			const char *name = json_get_str(it.val, "name");

			validate_container(it.val, one_at, &volumes, causes);
			if (name && strv_has(&names, name)) {
				CLEANUP(mem_freep) char *dup_at = str_printf("%s.name", one_at);

				cause_duplicate(causes, dup_at, json_get(it.val, "name"));
			} else if (name) {
				strv_add(&names, name);
			}
		}
	}
	pod_check(spec, at, causes);
}
