/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that many kinds share: metadata, selectors, references, conditions. */
#include "platform/kinds/builtin.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

FIELD_TABLE_ATOMIC(owner_fields, META "OwnerReference", "An object this one belongs to.",
	{ "apiVersion", F_STRING, FIELD_REQUIRED, "API version of the owner." },
	{ "kind", F_STRING, FIELD_REQUIRED, "Kind of the owner." },
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the owner." },
	{ "uid", F_STRING, FIELD_REQUIRED, "UID of the owner." },
	ROW_BOOL("controller", "Whether the owner manages this object."),
	ROW_BOOL("blockOwnerDeletion", "Whether foreground deletion of the owner waits for this object."));

FIELD_TABLE(manager_fields, META "ManagedFieldsEntry", "Fields that one manager has set.",
	ROW_STR("manager", "Who set them."), ROW_ENUM("operation", "Apply|Update", "How they were set."),
	ROW_STR("apiVersion", "Version of the schema the fields are named in."),
	ROW_TIME("time", "When they last changed."),
	ROW_STR("fieldsType", "Format of the fields; there is only FieldsV1."),
	ROW_OPEN("fieldsV1", "The fields, as a tree of their names."),
	ROW_STR("subresource", "Subresource they were written through."));

FIELD_TABLE(object_meta_fields, META "ObjectMeta", "Metadata of an object.",
	ROW_STR("name", "Name, unique within the namespace."),
	ROW_STR("generateName", "Prefix from which the server makes a unique name."),
	ROW_STR("namespace", "Namespace of the object."), ROW_SMAP("labels", "Labels, for selecting."),
	ROW_SMAP("annotations", "Annotations, for programs."),
	ROW_SET("finalizers", "Who must agree before the object goes."),
	ROW_TIME("creationTimestamp", "CreationTimestamp is a timestamp: when the object was made."),
	ROW_TIME("deletionTimestamp", "When the object is to go."),
	ROW_INT("deletionGracePeriodSeconds", "Seconds until it goes."),
	ROW_INT("generation", "Counts changes of the desired state."),
	ROW_STR("resourceVersion", "Version of this object, for optimistic locking."),
	ROW_STR("uid", "Unique id in time and space."),
	ROW_STR("selfLink", "Deprecated: no longer filled in."),
	ROW_KEYED_REFS("ownerReferences", owner_fields, "uid", "Objects this one belongs to."),
	ROW_REFS("managedFields", manager_fields, "Which manager set which fields."));

FIELD_TABLE_ATOMIC(label_selector_fields, META "LabelSelector", "A query over labels.",
	ROW_SMAP("matchLabels", "Labels that must be equal."),
	ROW_LIST("matchExpressions", "Further requirements, all of which must hold."),
	{ "matchExpressions[].key", F_STRING, FIELD_REQUIRED, "Label key." },
	{ "matchExpressions[].operator", F_STRING, FIELD_REQUIRED, "In, NotIn, Exists or DoesNotExist." },
	ROW_STRS("matchExpressions[].values", "Values for In and NotIn."));

#define OBJECT_REFERENCE_ROWS                                                                             \
	ROW_STR("apiVersion", "API version of the object."), ROW_STR("kind", "Kind of the object."),      \
		ROW_STR("name", "Name of the object."), ROW_STR("namespace", "Namespace of the object."), \
		ROW_STR("uid", "UID of the object."),                                                     \
		ROW_STR("resourceVersion", "Version of the object that is meant."),                       \
		ROW_STR("fieldPath", "Part of the object that is meant.")
FIELD_TABLE_ATOMIC(object_reference_fields, "io.k8s.api.core.v1.ObjectReference",
	"A reference to another object.", OBJECT_REFERENCE_ROWS);
/* The one reference that is applied member by member. */
FIELD_TABLE(claim_reference_fields, NULL, "A reference to a claim.", OBJECT_REFERENCE_ROWS);

FIELD_TABLE(condition_fields, META "Condition", "A condition.", CONDITION_ROWS,
	{ "observedGeneration", F_INT, 0, "Generation the condition speaks of." });
FIELD_TABLE(plain_condition_fields, NULL, "A condition.", CONDITION_ROWS);

FIELD_TABLE_ATOMIC(node_selector_term_fields, "io.k8s.api.core.v1.NodeSelectorTerm",
	"Requirements on a node, all of which must hold.",
	ROW_LIST("matchExpressions", "Requirements on node labels."),
	{ "matchExpressions[].key", F_STRING, FIELD_REQUIRED, "Label key." },
	{ "matchExpressions[].operator", F_STRING, FIELD_REQUIRED,
		"In, NotIn, Exists, DoesNotExist, Gt or Lt." },
	ROW_STRS("matchExpressions[].values", "Values; one number for Gt and Lt."),
	ROW_LIST("matchFields", "Requirements on node fields."),
	{ "matchFields[].key", F_STRING, FIELD_REQUIRED, "Field, such as metadata.name." },
	{ "matchFields[].operator", F_STRING, FIELD_REQUIRED, "In or NotIn." },
	ROW_STRS("matchFields[].values", "Values."));
FIELD_TABLE_ATOMIC(node_selector_fields, "io.k8s.api.core.v1.NodeSelector", "Terms of which one must hold.",
	{ "nodeSelectorTerms", F_REF_LIST, FIELD_REQUIRED | FIELD_ATOMIC, "Alternatives.",
		.ref = &node_selector_term_fields });

FIELD_TABLE(resource_requirement_fields, "io.k8s.api.core.v1.ResourceRequirements",
	"Resources wanted and allowed.", ROW_QMAP("limits", "The most that may be used."),
	ROW_QMAP("requests", "What is set aside."),
	{ "claims", F_LIST, FIELD_LIST_MAP | FIELD_REPLACE, "Claims of spec.resourceClaims that are used.",
		.keys = "name" },
	ROW_KEY("claims[].name", "Name of the claim."),
	ROW_STR("claims[].request", "Request within the claim; all of it if none is named."));
