/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of Kubernetes' core API that VM objects embed. */
#include "kubevirt/api/tables.h"

/* clang-format off */
FIELD_TABLE(label_selector_fields, "LabelSelector", "Which objects are meant, by their labels; an empty one means all.",
	STRINGMAP("matchLabels", "Labels that must all be there with these values."),
	LIST("matchExpressions", "Further demands, all of which must hold."),
	S("matchExpressions[].key", "Label the demand is about.", MUSTHAVE),
	S("matchExpressions[].operator", "In, NotIn, Exists or DoesNotExist.", MUSTHAVE),
	STRINGS("matchExpressions[].values", "Values for In and NotIn."),
);

FIELD_TABLE(node_selector_term_fields, "NodeSelectorTerm", "Demands on a node; all must hold.",
	LIST("matchExpressions", "Demands on the node's labels."),
	S("matchExpressions[].key", "Label the demand is about.", MUSTHAVE),
	S("matchExpressions[].operator", "In, NotIn, Exists, DoesNotExist, Gt or Lt.", MUSTHAVE),
	STRINGS("matchExpressions[].values", "Values compared with the label's."),
	LIST("matchFields", "Demands on the node's fields, such as metadata.name."),
	S("matchFields[].key", "Field the demand is about.", MUSTHAVE),
	S("matchFields[].operator", "In, NotIn, Exists, DoesNotExist, Gt or Lt.", MUSTHAVE),
	STRINGS("matchFields[].values", "Values compared with the field's."),
);

FIELD_TABLE(pod_affinity_term_fields, "PodAffinityTerm", "Pods to be near to, or away from.",
	REF("labelSelector", label_selector_fields, "Which pods are meant."),
	REF("namespaceSelector", label_selector_fields, "In which namespaces, by label."),
	STRINGS("namespaces", "In which namespaces, by name."),
	STRINGS("matchLabelKeys", "Label keys whose values are taken from the incoming pod."),
	STRINGS("mismatchLabelKeys", "Label keys whose values must differ from the incoming pod's."),
	S("topologyKey", "Node label that says what near means.", MUSTHAVE),
);

FIELD_TABLE(affinity_fields, "Affinity", "Where a virtual machine may or should run.",
	O("nodeAffinity", "Rules about nodes."),
	LIST("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", "Wishes with weights."),
	REF("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference", node_selector_term_fields, "The wish.", MUSTHAVE),
	I32("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight", "Its weight, 1 to 100.", MUSTHAVE),
	O("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", "Demands; one of the terms must hold."),
	REFS("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", node_selector_term_fields, "The alternatives.", MUSTHAVE),
	O("podAffinity", "Rules about pods to be near to."),
	LIST("podAffinity.preferredDuringSchedulingIgnoredDuringExecution", "Wishes with weights."),
	REF("podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm", pod_affinity_term_fields, "The wish.", MUSTHAVE),
	I32("podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight", "Its weight, 1 to 100.", MUSTHAVE),
	REFS("podAffinity.requiredDuringSchedulingIgnoredDuringExecution", pod_affinity_term_fields, "Demands; all must hold."),
	O("podAntiAffinity", "Rules about pods to be away from."),
	LIST("podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution", "Wishes with weights."),
	REF("podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm", pod_affinity_term_fields, "The wish.", MUSTHAVE),
	I32("podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight", "Its weight, 1 to 100.", MUSTHAVE),
	REFS("podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution", pod_affinity_term_fields, "Demands; all must hold."),
);

FIELD_TABLE(toleration_fields, "Toleration", "A node taint that the virtual machine puts up with.",
	S("key", "Taint key; empty with operator Exists means every taint."),
	S("operator", "Equal (default) or Exists."),
	S("value", "Taint value for Equal."),
	S("effect", "NoSchedule, PreferNoSchedule or NoExecute; empty means all."),
	I("tolerationSeconds", "How long a NoExecute taint is put up with."),
);

FIELD_TABLE(topology_spread_fields, "TopologySpreadConstraint", "How virtual machines spread over parts of the cluster.",
	REF("labelSelector", label_selector_fields, "Which pods are counted."),
	STRINGS("matchLabelKeys", "Label keys that narrow down the counted pods."),
	I32("maxSkew", "By how much the parts may differ.", MUSTHAVE),
	I32("minDomains", "How many parts there must be at least."),
	S("nodeAffinityPolicy", "Honor or Ignore node affinity when counting."),
	S("nodeTaintsPolicy", "Honor or Ignore taints when counting."),
	S("topologyKey", "Node label that names the part.", MUSTHAVE),
	S("whenUnsatisfiable", "DoNotSchedule or ScheduleAnyway.", MUSTHAVE),
);

FIELD_TABLE(dns_config_fields, "PodDNSConfig", "Resolver settings handed to the guest by DHCP.",
	STRINGS("nameservers", "Addresses of name servers."),
	STRINGS("searches", "Search domains."),
	LIST("options", "Resolver options."),
	S("options[].name", "Name of the option."),
	S("options[].value", "Its value."),
);

FIELD_TABLE(object_name_fields, "LocalObjectReference", "An object of the same namespace.",
	S("name", "Name of the object."),
);

FIELD_TABLE(condition_fields, "Condition", "One aspect of an object's state.",
	S("type", "What the condition is about.", MUSTHAVE),
	S("status", "True, False or Unknown.", MUSTHAVE),
	S("reason", "Why, in one word."),
	S("message", "Why, for people."),
	T("lastProbeTime", "When it was last looked at."),
	T("lastTransitionTime", "When the status last changed."),
);

FIELD_TABLE(pvc_spec_fields, "PersistentVolumeClaimSpec", "Storage that is asked for.",
	STRINGS("accessModes", "ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod."),
	O("dataSource", "Object the volume is filled from."),
	S("dataSource.apiGroup", "Group of that object."),
	S("dataSource.kind", "Its kind.", MUSTHAVE),
	S("dataSource.name", "Its name.", MUSTHAVE),
	O("dataSourceRef", "Object the volume is filled from, of any kind."),
	S("dataSourceRef.apiGroup", "Group of that object."),
	S("dataSourceRef.kind", "Its kind.", MUSTHAVE),
	S("dataSourceRef.name", "Its name.", MUSTHAVE),
	S("dataSourceRef.namespace", "Its namespace."),
	O("resources", "How much is asked for."),
	QUANTITIES("resources.limits", "At most."),
	QUANTITIES("resources.requests", "At least."),
	REF("selector", label_selector_fields, "Which volumes may be bound."),
	S("storageClassName", "Class of storage."),
	S("volumeAttributesClassName", "Class of volume attributes."),
	S("volumeMode", "Filesystem or Block."),
	S("volumeName", "Volume to bind."),
);

FIELD_TABLE(data_volume_spec_fields, "DataVolumeSpec", "A volume to be made and filled by the data importer.",
	LIST("checkpoints", "Stages of a multi-stage import."),
	S("checkpoints[].current", "Identifier of this stage.", MUSTHAVE),
	S("checkpoints[].previous", "Identifier of the stage before.", MUSTHAVE),
	S("contentType", "kubevirt or archive."),
	B("finalCheckpoint", "The last stage is among the checkpoints."),
	B("preallocation", "Allocate all space at once."),
	S("priorityClassName", "Priority of the importer pods."),
	REF("pvc", pvc_spec_fields, "The claim to make."),
	ANY("source", "Where the data comes from."),
	O("sourceRef", "An object that says where the data comes from."),
	S("sourceRef.kind", "Its kind.", MUSTHAVE),
	S("sourceRef.name", "Its name.", MUSTHAVE),
	S("sourceRef.namespace", "Its namespace."),
	REF("storage", pvc_spec_fields, "The claim to make, with what is missing taken from the storage profile."),
);
