/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: the tables of PodSpec and everything it is made of, shared by the workload kinds' templates. */
#include "base/mem.h"
#include "platform/apiserver/builtin.h"

#include <string.h>

FIELD_TABLE(object_meta_fields, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "Metadata of an object.",
	ROW_STR("name", "Name, unique within the namespace."),
	ROW_STR("generateName", "Prefix from which the server makes a unique name."),
	ROW_STR("namespace", "Namespace of the object."), ROW_SMAP("labels", "Labels, for selecting."),
	ROW_SMAP("annotations", "Annotations, for programs."),
	ROW_SET("finalizers", "Who must agree before the object goes."),
	ROW_TIME("creationTimestamp", "When the object was made."),
	ROW_TIME("deletionTimestamp", "When the object is to go."),
	ROW_INT("deletionGracePeriodSeconds", "Seconds until it goes."),
	ROW_INT("generation", "Counts changes of the desired state."),
	ROW_STR("resourceVersion", "Version of this object."), ROW_STR("uid", "Unique id in time and space."),
	ROW_STR("selfLink", "No longer filled in."),
	{ "ownerReferences", F_LIST, FIELD_LIST_MAP, "Objects this one belongs to.", .keys = "uid" },
	ROW_STR("ownerReferences[].apiVersion", "API version of the owner."),
	ROW_STR("ownerReferences[].kind", "Kind of the owner."),
	ROW_STR("ownerReferences[].name", "Name of the owner."),
	ROW_KEY("ownerReferences[].uid", "UID of the owner."),
	ROW_BOOL("ownerReferences[].controller", "Whether the owner manages this object."),
	ROW_BOOL("ownerReferences[].blockOwnerDeletion",
		"Whether foreground deletion of the owner waits for this object."),
	ROW_ANY("managedFields", "Which manager set which fields."));

FIELD_TABLE(label_selector_fields, "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
	"A query over labels.", ROW_SMAP("matchLabels", "Labels that must be equal."),
	ROW_LIST("matchExpressions", "Further requirements, all of which must hold."),
	{ "matchExpressions[].key", F_STRING, FIELD_REQUIRED, "Label key." },
	{ "matchExpressions[].operator", F_STRING, FIELD_REQUIRED, "In, NotIn, Exists or DoesNotExist." },
	ROW_STRS("matchExpressions[].values", "Values for In and NotIn."));

FIELD_TABLE(object_reference_fields, "io.k8s.api.core.v1.ObjectReference", "A reference to another object.",
	ROW_STR("apiVersion", "API version."), ROW_STR("kind", "Kind."), ROW_STR("name", "Name."),
	ROW_STR("namespace", "Namespace."), ROW_STR("uid", "UID."),
	ROW_STR("resourceVersion", "Resource version."),
	ROW_STR("fieldPath", "Part of the object that is meant."));

FIELD_TABLE(condition_fields, NULL, "A condition.",
	{ "type", F_STRING, FIELD_REQUIRED, "Type of the condition." },
	{ "status", F_STRING, FIELD_REQUIRED, "True, False or Unknown." },
	ROW_STR("reason", "Why, one CamelCase word."), ROW_STR("message", "Why, for people."),
	ROW_TIME("lastTransitionTime", "When the status last changed."),
	ROW_TIME("lastProbeTime", "When it was last looked at."),
	ROW_TIME("lastUpdateTime", "When it was last written."),
	ROW_TIME("lastHeartbeatTime", "When it was last confirmed."),
	ROW_INT("observedGeneration", "Generation the condition speaks of."));

FIELD_TABLE(node_selector_fields, "io.k8s.api.core.v1.NodeSelector", "Terms of which one must hold.",
	ROW_LIST("nodeSelectorTerms", "Alternatives."),
	ROW_LIST("nodeSelectorTerms[].matchExpressions", "Requirements on node labels."),
	ROW_STR("nodeSelectorTerms[].matchExpressions[].key", "Label key."),
	ROW_STR("nodeSelectorTerms[].matchExpressions[].operator",
		"In, NotIn, Exists, DoesNotExist, Gt or Lt."),
	ROW_STRS("nodeSelectorTerms[].matchExpressions[].values", "Values."),
	ROW_LIST("nodeSelectorTerms[].matchFields", "Requirements on node fields."),
	ROW_STR("nodeSelectorTerms[].matchFields[].key", "Field."),
	ROW_STR("nodeSelectorTerms[].matchFields[].operator", "In or NotIn."),
	ROW_STRS("nodeSelectorTerms[].matchFields[].values", "Values."));

FIELD_TABLE(resource_requirement_fields, "io.k8s.api.core.v1.ResourceRequirements",
	"Resources wanted and allowed.", ROW_QMAP("limits", "The most that may be used."),
	ROW_QMAP("requests", "What is set aside."), ROW_KEYED("claims", "name", "Resource claims used."),
	ROW_KEY("claims[].name", "Name of the claim."),
	ROW_STR("claims[].request", "Request within the claim."));

static const struct field_table affinity_term_fields;
FIELD_TABLE(preferred_node_term_fields, NULL, "A preferred node term.",
	ROW_LIST("matchExpressions", "Requirements on node labels."),
	ROW_STR("matchExpressions[].key", "Label key."),
	ROW_STR("matchExpressions[].operator", "In, NotIn, Exists, DoesNotExist, Gt or Lt."),
	ROW_STRS("matchExpressions[].values", "Values."),
	ROW_LIST("matchFields", "Requirements on node fields."), ROW_STR("matchFields[].key", "Field."),
	ROW_STR("matchFields[].operator", "In or NotIn."), ROW_STRS("matchFields[].values", "Values."));

static const struct field affinity_term_rows[] = {
	ROW_REF("labelSelector", label_selector_fields, "Pods that count."),
	ROW_STRS("matchLabelKeys", "Keys taken over from the pod."),
	ROW_STRS("mismatchLabelKeys", "Keys that must differ."),
	ROW_REF("namespaceSelector", label_selector_fields, "Namespaces that count."),
	ROW_STRS("namespaces", "Namespaces."),
	ROW_STR("topologyKey", "Node label that makes a domain."),
};
static const struct field_table affinity_term_fields = { "io.k8s.api.core.v1.PodAffinityTerm",
	"Pods near or far.", affinity_term_rows, sizeof(affinity_term_rows) / sizeof(affinity_term_rows[0]) };

FIELD_TABLE(pod_affinity_fields, "io.k8s.api.core.v1.PodAffinity", "Placement relative to other pods.",
	ROW_REFS("requiredDuringSchedulingIgnoredDuringExecution", affinity_term_fields, "Must hold."),
	ROW_LIST("preferredDuringSchedulingIgnoredDuringExecution", "Should hold."),
	ROW_I32("preferredDuringSchedulingIgnoredDuringExecution[].weight", "1 to 100."),
	ROW_REF("preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm", affinity_term_fields,
		"The term."));

FIELD_TABLE(affinity_fields, "io.k8s.api.core.v1.Affinity", "Placement rules.",
	ROW_OBJ("nodeAffinity", "Placement by node."),
	ROW_REF("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", node_selector_fields,
		"Must hold."),
	ROW_LIST("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", "Should hold."),
	ROW_I32("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight", "1 to 100."),
	ROW_REF("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference",
		preferred_node_term_fields, "The term."),
	ROW_REF("podAffinity", pod_affinity_fields, "Near these pods."),
	ROW_REF("podAntiAffinity", pod_affinity_fields, "Away from these pods."));

FIELD_TABLE(key_items_fields, NULL, "A key shown as a file.", { "key", F_STRING, FIELD_REQUIRED, "Key." },
	{ "path", F_STRING, FIELD_REQUIRED, "Path of the file." }, ROW_I32("mode", "File mode."));

FIELD_TABLE(downward_item_fields, NULL, "A fact about the pod shown as a file.",
	{ "path", F_STRING, FIELD_REQUIRED, "Path of the file." }, ROW_OBJ("fieldRef", "A field of the pod."),
	ROW_STR("fieldRef.apiVersion", "Version of the path."),
	ROW_STR("fieldRef.fieldPath", "Path of the field."),
	ROW_OBJ("resourceFieldRef", "A resource of a container."),
	ROW_STR("resourceFieldRef.containerName", "Container."),
	ROW_QTY("resourceFieldRef.divisor", "Divisor."),
	ROW_STR("resourceFieldRef.resource", "limits.cpu and the like."), ROW_I32("mode", "File mode."));

FIELD_TABLE(pvc_spec_fields, "io.k8s.api.core.v1.PersistentVolumeClaimSpec", "What storage is wanted.",
	ROW_STRS("accessModes", "ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod."),
	ROW_REF("selector", label_selector_fields, "Volumes that may be used."),
	ROW_REF("resources", resource_requirement_fields, "Size wanted."),
	ROW_STR("volumeName", "Volume bound."), ROW_STR("storageClassName", "Class of storage."),
	ROW_STR("volumeAttributesClassName", "Class of attributes."),
	ROW_ENUM("volumeMode", "Block|Filesystem", "Filesystem or Block."),
	ROW_ANY("dataSource", "Where the content comes from."),
	ROW_ANY("dataSourceRef", "Where the content comes from."));

FIELD_TABLE(volume_source_fields, NULL, "Where a volume comes from.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the volume." },
	ROW_OBJ("emptyDir", "A directory that lives as long as the pod."),
	ROW_STR("emptyDir.medium", "\"\" or Memory."), ROW_QTY("emptyDir.sizeLimit", "Size limit."),
	ROW_OBJ("hostPath", "A path of the node."),
	{ "hostPath.path", F_STRING, FIELD_REQUIRED, "Path on the node." },
	ROW_STR("hostPath.type", "What must be or is made there."),
	ROW_OBJ("configMap", "A ConfigMap as files."), ROW_STR("configMap.name", "Name."),
	ROW_REFS("configMap.items", key_items_fields, "Keys to show."),
	ROW_I32("configMap.defaultMode", "File mode."),
	ROW_BOOL("configMap.optional", "Whether it may be missing."), ROW_OBJ("secret", "A Secret as files."),
	ROW_STR("secret.secretName", "Name."), ROW_REFS("secret.items", key_items_fields, "Keys to show."),
	ROW_I32("secret.defaultMode", "File mode."),
	ROW_BOOL("secret.optional", "Whether it may be missing."),
	ROW_OBJ("downwardAPI", "Facts about the pod as files."),
	ROW_REFS("downwardAPI.items", downward_item_fields, "Files."),
	ROW_I32("downwardAPI.defaultMode", "File mode."),
	ROW_OBJ("projected", "Several sources in one directory."),
	ROW_I32("projected.defaultMode", "File mode."), ROW_LIST("projected.sources", "Sources."),
	ROW_OBJ("projected.sources[].configMap", "A ConfigMap."),
	ROW_STR("projected.sources[].configMap.name", "Name."),
	ROW_REFS("projected.sources[].configMap.items", key_items_fields, "Keys to show."),
	ROW_BOOL("projected.sources[].configMap.optional", "Whether it may be missing."),
	ROW_OBJ("projected.sources[].secret", "A Secret."),
	ROW_STR("projected.sources[].secret.name", "Name."),
	ROW_REFS("projected.sources[].secret.items", key_items_fields, "Keys to show."),
	ROW_BOOL("projected.sources[].secret.optional", "Whether it may be missing."),
	ROW_OBJ("projected.sources[].downwardAPI", "Facts about the pod."),
	ROW_REFS("projected.sources[].downwardAPI.items", downward_item_fields, "Files."),
	ROW_OBJ("projected.sources[].serviceAccountToken", "A token of the pod's service account."),
	ROW_STR("projected.sources[].serviceAccountToken.audience", "Audience."),
	ROW_INT("projected.sources[].serviceAccountToken.expirationSeconds", "Lifetime."),
	ROW_STR("projected.sources[].serviceAccountToken.path", "Path of the file."),
	ROW_ANY("projected.sources[].clusterTrustBundle", "A trust bundle."),
	ROW_OBJ("persistentVolumeClaim", "A claim of the pod's namespace."),
	ROW_STR("persistentVolumeClaim.claimName", "Name of the claim."),
	ROW_BOOL("persistentVolumeClaim.readOnly", "Mounted read-only."),
	ROW_OBJ("image", "The files of an OCI image, read-only."), ROW_STR("image.reference", "Image."),
	ROW_STR("image.pullPolicy", "Always, Never or IfNotPresent."),
	ROW_OBJ("ephemeral", "A claim made for the pod."),
	ROW_OBJ("ephemeral.volumeClaimTemplate", "Template of the claim."),
	ROW_REF("ephemeral.volumeClaimTemplate.metadata", object_meta_fields, "Metadata."),
	ROW_REF("ephemeral.volumeClaimTemplate.spec", pvc_spec_fields, "What storage is wanted."),
	ROW_ANY("csi", "A CSI volume."), ROW_ANY("nfs", "An NFS share."), ROW_ANY("iscsi", "An iSCSI disk."),
	ROW_ANY("fc", "A Fibre Channel disk."), ROW_ANY("rbd", "A Ceph block device."),
	ROW_ANY("cephfs", "A Ceph file system."), ROW_ANY("glusterfs", "A Gluster volume."),
	ROW_ANY("local", "A local disk."), ROW_ANY("gitRepo", "A git checkout."),
	ROW_ANY("flexVolume", "A flex volume."));

FIELD_TABLE(probe_fields, "io.k8s.api.core.v1.Probe", "A check of a container's health.",
	ROW_OBJ("exec", "A command that must exit with 0."), ROW_STRS("exec.command", "Command."),
	ROW_OBJ("httpGet", "An HTTP request that must succeed."), ROW_STR("httpGet.path", "Path."),
	ROW_IOS("httpGet.port", "Port."), ROW_STR("httpGet.host", "Host; the pod's address by default."),
	{ "httpGet.scheme", F_STRING, 0, "HTTP or HTTPS.", .deflt = "\"HTTP\"" },
	ROW_LIST("httpGet.httpHeaders", "Headers."), ROW_STR("httpGet.httpHeaders[].name", "Name."),
	ROW_STR("httpGet.httpHeaders[].value", "Value."), ROW_OBJ("tcpSocket", "A port that must accept."),
	ROW_IOS("tcpSocket.port", "Port."), ROW_STR("tcpSocket.host", "Host."),
	ROW_OBJ("grpc", "A gRPC health check."), ROW_I32("grpc.port", "Port."),
	ROW_STR("grpc.service", "Service."),
	ROW_I32("initialDelaySeconds", "Seconds before the first check."),
	{ "timeoutSeconds", F_INT32, 0, "Seconds until a check fails.", .deflt = "1" },
	{ "periodSeconds", F_INT32, 0, "Seconds between checks.", .deflt = "10" },
	{ "successThreshold", F_INT32, 0, "Successes in a row to be well.", .deflt = "1" },
	{ "failureThreshold", F_INT32, 0, "Failures in a row to be ill.", .deflt = "3" },
	ROW_INT("terminationGracePeriodSeconds", "Grace when killed for failing."));

FIELD_TABLE(lifecycle_handler_fields, NULL, "What is done at a point of the life.",
	ROW_OBJ("exec", "A command."), ROW_STRS("exec.command", "Command."),
	ROW_ANY("httpGet", "An HTTP request."), ROW_ANY("tcpSocket", "A TCP connection."),
	ROW_OBJ("sleep", "A pause."), ROW_INT("sleep.seconds", "Seconds."));

FIELD_TABLE(env_var_fields, "io.k8s.api.core.v1.EnvVar", "An environment variable.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name." }, ROW_STR("value", "Value; $(VAR) is replaced."),
	ROW_OBJ("valueFrom", "Where the value comes from."),
	ROW_OBJ("valueFrom.fieldRef", "A field of the pod."),
	{ "valueFrom.fieldRef.apiVersion", F_STRING, 0, "Version of the path.", .deflt = "\"v1\"" },
	ROW_STR("valueFrom.fieldRef.fieldPath", "Path of the field."),
	ROW_OBJ("valueFrom.resourceFieldRef", "A resource of a container."),
	ROW_STR("valueFrom.resourceFieldRef.containerName", "Container."),
	ROW_QTY("valueFrom.resourceFieldRef.divisor", "Divisor."),
	ROW_STR("valueFrom.resourceFieldRef.resource", "limits.cpu and the like."),
	ROW_OBJ("valueFrom.configMapKeyRef", "A key of a ConfigMap."),
	ROW_STR("valueFrom.configMapKeyRef.name", "Name."), ROW_STR("valueFrom.configMapKeyRef.key", "Key."),
	ROW_BOOL("valueFrom.configMapKeyRef.optional", "May be missing."),
	ROW_OBJ("valueFrom.secretKeyRef", "A key of a Secret."),
	ROW_STR("valueFrom.secretKeyRef.name", "Name."), ROW_STR("valueFrom.secretKeyRef.key", "Key."),
	ROW_BOOL("valueFrom.secretKeyRef.optional", "May be missing."));

FIELD_TABLE(container_fields, "io.k8s.api.core.v1.Container", "A container of a pod.",
	{ "name", F_STRING, FIELD_REQUIRED, "Name, unique within the pod." }, ROW_STR("image", "OCI image."),
	ROW_ENUM("imagePullPolicy", "Always|IfNotPresent|Never", "When to pull the image."),
	ROW_STRS("command", "Entry point."), ROW_STRS("args", "Arguments."),
	ROW_STR("workingDir", "Working directory."),
	ROW_KEYED("ports", "containerPort,protocol", "Ports that are served."),
	ROW_STR("ports[].name", "Name."),
	{ "ports[].containerPort", F_INT32, FIELD_REQUIRED, "Port.", .min = 1, .max = 65535 },
	ROW_I32("ports[].hostPort", "Port of the node."), ROW_STR("ports[].hostIP", "Address of the node."),
	{ "ports[].protocol", F_STRING, 0, "TCP, UDP or SCTP.", .deflt = "\"TCP\"", .enums = "SCTP|TCP|UDP" },
	ROW_KEYED_REFS("env", env_var_fields, "name", "Environment."),
	ROW_LIST("envFrom", "Environment from whole objects."),
	ROW_STR("envFrom[].prefix", "Put before each name."),
	ROW_OBJ("envFrom[].configMapRef", "A ConfigMap."), ROW_STR("envFrom[].configMapRef.name", "Name."),
	ROW_BOOL("envFrom[].configMapRef.optional", "May be missing."),
	ROW_OBJ("envFrom[].secretRef", "A Secret."), ROW_STR("envFrom[].secretRef.name", "Name."),
	ROW_BOOL("envFrom[].secretRef.optional", "May be missing."),
	ROW_REF("resources", resource_requirement_fields, "Resources wanted and allowed."),
	ROW_LIST("resizePolicy", "What a resize of a resource needs."),
	ROW_STR("resizePolicy[].resourceName", "cpu or memory."),
	ROW_STR("resizePolicy[].restartPolicy", "NotRequired or RestartContainer."),
	ROW_STR("restartPolicy", "Of init containers: Always makes a sidecar."),
	{ "volumeMounts", F_LIST, FIELD_LIST_MAP, "Volumes shown in the container.", .keys = "mountPath" },
	ROW_STR("volumeMounts[].name", "Name of the volume."),
	ROW_KEY("volumeMounts[].mountPath", "Path in the container."),
	ROW_STR("volumeMounts[].subPath", "Part of the volume."),
	ROW_STR("volumeMounts[].subPathExpr", "The same, expanded."),
	ROW_BOOL("volumeMounts[].readOnly", "Mounted read-only."),
	ROW_STR("volumeMounts[].recursiveReadOnly", "With submounts."),
	ROW_STR("volumeMounts[].mountPropagation", "None, HostToContainer or Bidirectional."),
	{ "volumeDevices", F_LIST, FIELD_LIST_MAP, "Block volumes.", .keys = "devicePath" },
	ROW_STR("volumeDevices[].name", "Name of the volume."),
	ROW_KEY("volumeDevices[].devicePath", "Path in the container."),
	ROW_REF("livenessProbe", probe_fields, "Restarted when this fails."),
	ROW_REF("readinessProbe", probe_fields, "Gets no traffic while this fails."),
	ROW_REF("startupProbe", probe_fields, "The others wait for this."), ROW_OBJ("lifecycle", "Hooks."),
	ROW_REF("lifecycle.postStart", lifecycle_handler_fields, "After the start."),
	ROW_REF("lifecycle.preStop", lifecycle_handler_fields, "Before the stop."),
	ROW_STR("lifecycle.stopSignal", "Signal."),
	{ "terminationMessagePath", F_STRING, 0, "File with the last words.",
		.deflt = "\"/dev/termination-log\"" },
	{ "terminationMessagePolicy", F_STRING, 0, "File or FallbackToLogsOnError.", .deflt = "\"File\"" },
	ROW_OBJ("securityContext", "Rights."), ROW_OBJ("securityContext.capabilities", "Capabilities."),
	ROW_STRS("securityContext.capabilities.add", "Given."),
	ROW_STRS("securityContext.capabilities.drop", "Taken."),
	ROW_BOOL("securityContext.privileged", "As root of the node."),
	ROW_INT("securityContext.runAsUser", "User id."), ROW_INT("securityContext.runAsGroup", "Group id."),
	ROW_BOOL("securityContext.runAsNonRoot", "Refuse user 0."),
	ROW_BOOL("securityContext.readOnlyRootFilesystem", "Root file system read-only."),
	ROW_BOOL("securityContext.allowPrivilegeEscalation", "Whether setuid programs gain rights."),
	ROW_STR("securityContext.procMount", "Kind of /proc."),
	ROW_ANY("securityContext.seLinuxOptions", "SELinux label."),
	ROW_ANY("securityContext.seccompProfile", "Seccomp profile."),
	ROW_ANY("securityContext.appArmorProfile", "AppArmor profile."),
	ROW_ANY("securityContext.windowsOptions", "For Windows."),
	ROW_BOOL("stdin", "Keep standard input open."),
	ROW_BOOL("stdinOnce", "Close it after the first user."), ROW_BOOL("tty", "Give it a terminal."),
	ROW_STR("targetContainerName", "Of ephemeral containers: whose namespaces to share."));

FIELD_TABLE(pod_spec_fields, "io.k8s.api.core.v1.PodSpec", "What a pod consists of.",
	ROW_KEYED_REFS("containers", container_fields, "name", "Containers."),
	ROW_KEYED_REFS("initContainers", container_fields, "name",
		"Containers run one after the other before the others."),
	ROW_KEYED_REFS("ephemeralContainers", container_fields, "name", "Containers added for debugging."),
	{ "volumes", F_REF_LIST, FIELD_LIST_MAP | FIELD_RETAIN_KEYS, "Volumes.", .keys = "name",
		.ref = &volume_source_fields },
	ROW_ENUM("restartPolicy", "Always|Never|OnFailure", "What happens when a container ends."),
	ROW_INT("terminationGracePeriodSeconds", "Seconds between asking and killing."),
	ROW_INT("activeDeadlineSeconds", "Seconds after which the pod fails."),
	ROW_ENUM("dnsPolicy", "ClusterFirst|ClusterFirstWithHostNet|Default|None",
		"Where names are looked up."),
	ROW_SMAP("nodeSelector", "Labels the node must have."),
	ROW_STR("serviceAccountName", "Service account."),
	ROW_STR("serviceAccount", "Old name of serviceAccountName."),
	ROW_BOOL("automountServiceAccountToken", "Whether a token is mounted."),
	ROW_STR("nodeName", "Node it runs on."), ROW_BOOL("hostNetwork", "Uses the node's network."),
	ROW_BOOL("hostPID", "Uses the node's processes."), ROW_BOOL("hostIPC", "Uses the node's IPC."),
	ROW_BOOL("hostUsers", "Uses the node's user ids."),
	ROW_BOOL("shareProcessNamespace", "One process namespace for all containers."),
	ROW_OBJ("securityContext", "Rights."), ROW_INT("securityContext.runAsUser", "User id."),
	ROW_INT("securityContext.runAsGroup", "Group id."),
	ROW_BOOL("securityContext.runAsNonRoot", "Refuse user 0."),
	ROW_INTS("securityContext.supplementalGroups", "Further groups."),
	ROW_STR("securityContext.supplementalGroupsPolicy", "Merge or Strict."),
	ROW_INT("securityContext.fsGroup", "Group that owns volumes."),
	ROW_STR("securityContext.fsGroupChangePolicy", "When it is set."),
	ROW_LIST("securityContext.sysctls", "Kernel settings."),
	ROW_STR("securityContext.sysctls[].name", "Name."),
	ROW_STR("securityContext.sysctls[].value", "Value."),
	ROW_ANY("securityContext.seLinuxOptions", "SELinux label."),
	ROW_STR("securityContext.seLinuxChangePolicy", "How it is set."),
	ROW_ANY("securityContext.seccompProfile", "Seccomp profile."),
	ROW_ANY("securityContext.appArmorProfile", "AppArmor profile."),
	ROW_ANY("securityContext.windowsOptions", "For Windows."),
	ROW_KEYED("imagePullSecrets", "name", "Secrets for pulling images."),
	ROW_KEY("imagePullSecrets[].name", "Name."), ROW_STR("hostname", "Host name inside."),
	ROW_STR("subdomain", "Subdomain."), ROW_STR("hostnameOverride", "Whole host name."),
	ROW_REF("affinity", affinity_fields, "Placement rules."), ROW_STR("schedulerName", "Who places it."),
	ROW_LIST("tolerations", "Taints it puts up with."),
	ROW_STR("tolerations[].key", "Taint key; empty: all."),
	ROW_ENUM("tolerations[].operator", "Equal|Exists", "Equal or Exists."),
	ROW_STR("tolerations[].value", "Taint value."),
	ROW_STR("tolerations[].effect", "Taint effect; empty: all."),
	ROW_INT("tolerations[].tolerationSeconds", "For how long."),
	ROW_KEYED("hostAliases", "ip", "Lines of /etc/hosts."), ROW_KEY("hostAliases[].ip", "Address."),
	ROW_STRS("hostAliases[].hostnames", "Names."), ROW_STR("priorityClassName", "Priority class."),
	ROW_I32("priority", "Priority."), ROW_STR("preemptionPolicy", "Whether it may push others out."),
	ROW_OBJ("dnsConfig", "Resolver settings."), ROW_STRS("dnsConfig.nameservers", "Servers."),
	ROW_STRS("dnsConfig.searches", "Search list."), ROW_LIST("dnsConfig.options", "Options."),
	ROW_STR("dnsConfig.options[].name", "Name."), ROW_STR("dnsConfig.options[].value", "Value."),
	ROW_LIST("readinessGates", "Conditions that must hold for readiness."),
	ROW_STR("readinessGates[].conditionType", "Condition type."),
	ROW_STR("runtimeClassName", "Runtime class."),
	ROW_BOOL("enableServiceLinks", "Whether services become environment variables."),
	ROW_QMAP("overhead", "Cost of the runtime."),
	ROW_LIST("topologySpreadConstraints", "How pods spread."),
	ROW_I32("topologySpreadConstraints[].maxSkew", "Largest difference."),
	ROW_STR("topologySpreadConstraints[].topologyKey", "Node label that makes a domain."),
	ROW_STR("topologySpreadConstraints[].whenUnsatisfiable", "DoNotSchedule or ScheduleAnyway."),
	ROW_REF("topologySpreadConstraints[].labelSelector", label_selector_fields, "Pods that count."),
	ROW_I32("topologySpreadConstraints[].minDomains", "Domains at least."),
	ROW_STR("topologySpreadConstraints[].nodeAffinityPolicy", "Honor or Ignore."),
	ROW_STR("topologySpreadConstraints[].nodeTaintsPolicy", "Honor or Ignore."),
	ROW_STRS("topologySpreadConstraints[].matchLabelKeys", "Keys taken over from the pod."),
	ROW_BOOL("setHostnameAsFQDN", "Host name with domain."), ROW_OBJ("os", "Operating system."),
	ROW_STR("os.name", "Name."), ROW_KEYED("schedulingGates", "name", "Must be gone before scheduling."),
	ROW_KEY("schedulingGates[].name", "Name."), ROW_ANY("resourceClaims", "Resource claims."),
	ROW_REF("resources", resource_requirement_fields, "Resources of the whole pod."));

FIELD_TABLE(pod_template_fields, "io.k8s.api.core.v1.PodTemplateSpec", "What pods are made from.",
	ROW_REF("metadata", object_meta_fields, "Metadata of the pods."),
	ROW_REF("spec", pod_spec_fields, "What a pod consists of."));

void default_str(struct json_doc *d, struct json *obj, const char *key, const char *text)
{
	if (json_is_null(json_get(obj, key)))
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

static void default_container(struct json_doc *d, struct json *c)
{
	default_str(d, c, "imagePullPolicy",
		image_is_latest(json_get_str(c, "image")) ? "Always" : "IfNotPresent");
	if (!json_get(c, "resources"))
		json_set(d, c, "resources", json_new_obj(d));
}

/* A limit without a request is its own request. */
static void default_requests(struct json_doc *d, struct json *c)
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

void default_pod_spec(struct json_doc *d, struct json *spec)
{
	static const char *const lists[] = { "containers", "initContainers" };
	const char *account;

	if (!json_is_obj(spec))
		return;
	default_str(d, spec, "restartPolicy", "Always");
	default_str(d, spec, "dnsPolicy", "ClusterFirst");
	default_int(d, spec, "terminationGracePeriodSeconds", 30);
	default_str(d, spec, "schedulerName", "default-scheduler");
	if (!json_get(spec, "securityContext"))
		json_set(d, spec, "securityContext", json_new_obj(d));
	account = json_get_str(spec, "serviceAccountName");
	if (str_empty(account))
		account = json_get_str(spec, "serviceAccount");
	if (!str_empty(account)) {
		CLEANUP(mem_freep) char *name = mem_strdup(account);

		json_set_str(d, spec, "serviceAccountName", name);
		json_set_str(d, spec, "serviceAccount", name);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		JSON_EACH (it, json_get(spec, lists[i])) {
			default_container(d, it.val);
			default_requests(d, it.val);
		}
	}
	JSON_EACH (it, json_get(spec, "volumes")) {
		struct json *v = it.val;

		if (json_is_obj(json_get(v, "configMap")))
			default_int(d, json_get(v, "configMap"), "defaultMode", 420);
		if (json_is_obj(json_get(v, "secret")))
			default_int(d, json_get(v, "secret"), "defaultMode", 420);
		if (json_is_obj(json_get(v, "projected")))
			default_int(d, json_get(v, "projected"), "defaultMode", 420);
		if (json_is_obj(json_get(v, "downwardAPI")))
			default_int(d, json_get(v, "downwardAPI"), "defaultMode", 420);
		if (json_is_obj(json_get(v, "hostPath")))
			default_str(d, json_get(v, "hostPath"), "type", "");
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
		cause_invalid(causes, name_at, json_get(c, "name"),
			"a lowercase RFC 1123 label must consist of lower case "
			"alphanumeric characters or '-', and must start and end with an alphanumeric "
			"character");
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
}
