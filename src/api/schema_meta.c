/* SPDX-License-Identifier: Apache-2.0 */
/* ObjectMeta: the metadata of every kind, with its keys for patches. */
#include "api/fields.h"
#include "api/schema_int.h"

/* clang-format off */
FIELD_TABLE(owner_reference_fields, NULL, "Another object this one belongs to.",
	{ "apiVersion", F_STRING, FIELD_REQUIRED, "API version of the owner." },
	{ "kind", F_STRING, FIELD_REQUIRED, "Kind of the owner." },
	{ "name", F_STRING, FIELD_REQUIRED, "Name of the owner." },
	{ "uid", F_STRING, FIELD_REQUIRED, "UID of the owner." },
	{ "controller", F_BOOL, 0, "Whether the owner controls this object." },
	{ "blockOwnerDeletion", F_BOOL, 0, "Whether this object keeps its owner from going under foreground deletion." });

FIELD_TABLE(managed_fields_fields, NULL, "Which manager owns which fields.",
	{ "manager", F_STRING, 0, "Name of the manager." },
	{ "operation", F_STRING, 0, "Apply or Update." },
	{ "apiVersion", F_STRING, 0, "Version the fields are named in." },
	{ "time", F_TIME, 0, "When the entry last changed." },
	{ "fieldsType", F_STRING, 0, "FieldsV1." },
	{ "fieldsV1", F_ANY, 0, "The fields." },
	{ "subresource", F_STRING, 0, "Subresource the fields were written through." });

FIELD_TABLE(schema_meta_table, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "Standard metadata of an object.",
	{ "name", F_STRING, 0, "Name, unique within the namespace." },
	{ "generateName", F_STRING, 0, "Prefix of a name the server makes." },
	{ "namespace", F_STRING, 0, "Namespace of the object." },
	{ "selfLink", F_STRING, FIELD_DEPRECATED, "No longer filled." },
	{ "uid", F_STRING, 0, "Unique in time and space; made by the server." },
	{ "resourceVersion", F_STRING, 0, "Version of the object; made by the server." },
	{ "generation", F_INT, 0, "Counts changes of what is wanted." },
	{ "creationTimestamp", F_TIME, 0, "CreationTimestamp is a timestamp: when the object was created." },
	{ "deletionTimestamp", F_TIME, 0, "When the object is going to be deleted." },
	{ "deletionGracePeriodSeconds", F_INT, 0, "Time allowed to end gracefully." },
	{ "labels", F_MAP, 0, "Keys and values to select objects by.", .items = F_STRING },
	{ "annotations", F_MAP, 0, "Keys and values kept with the object.", .items = F_STRING },
	{ "ownerReferences", F_REF_LIST, FIELD_LIST_MAP, "Objects this one belongs to.",
	  .keys = "uid", .ref = &owner_reference_fields },
	{ "finalizers", F_LIST, FIELD_SET | FIELD_MERGE, "Must be empty before the object goes.",
	  .items = F_STRING },
	{ "managedFields", F_REF_LIST, FIELD_ATOMIC, "Which manager owns which fields.",
	  .ref = &managed_fields_fields });
/* clang-format on */
