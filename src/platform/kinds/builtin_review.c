/* SPDX-License-Identifier: Apache-2.0 */
/* What is posted and not stored: bindings, and the questions of authentication.k8s.io and authorization.k8s.io. The answers are
 * made in review.c. */
#include "platform/kinds/builtin.h"

FIELD_TABLE(user_info_fields, NULL, "A user.", ROW_STR("username", "Name."), ROW_STR("uid", "UID."),
	ROW_STRS("groups", "Groups."), ROW_LMAP("extra", "Further facts."));
FIELD_TABLE(token_review_fields, "io.k8s.api.authentication.v1.TokenReview", "Whose token is this?",
	ROW_OBJ("spec", "The question."), ROW_STR("spec.token", "Token."),
	ROW_STRS("spec.audiences", "Audiences."), ROW_OBJ("status", "The answer."),
	ROW_BOOL("status.authenticated", "Whether it is good."),
	ROW_REF("status.user", user_info_fields, "Whose it is."),
	ROW_STRS("status.audiences", "Audiences it is good for."), ROW_STR("status.error", "Why not."));
FIELD_TABLE(token_request_fields, "io.k8s.api.authentication.v1.TokenRequest", "A token, please.",
	ROW_OBJ("spec", "The question."), ROW_STRS("spec.audiences", "Audiences."),
	ROW_INT("spec.expirationSeconds", "Lifetime wanted."),
	ROW_OBJ("spec.boundObjectRef", "Object it dies with."),
	ROW_STR("spec.boundObjectRef.kind", "Pod, Secret or Node."),
	ROW_STR("spec.boundObjectRef.apiVersion", "API version of the object."),
	ROW_STR("spec.boundObjectRef.name", "Name of the object."),
	ROW_STR("spec.boundObjectRef.uid", "UID of the object."), ROW_OBJ("status", "The answer."),
	ROW_STR("status.token", "Token."), ROW_TIME("status.expirationTimestamp", "End of its life."));
FIELD_TABLE(self_subject_review_fields, "io.k8s.api.authentication.v1.SelfSubjectReview", "Who am I?",
	ROW_OBJ("status", "The answer."), ROW_REF("status.userInfo", user_info_fields, "You."));

FIELD_TABLE(attribute_selector_fields, NULL, "A selector.", ROW_STR("rawSelector", "As in the URL."),
	ROW_LIST("requirements", "The same taken apart."),
	{ "requirements[].key", F_STRING, FIELD_REQUIRED, "What is selected by." },
	{ "requirements[].operator", F_STRING, FIELD_REQUIRED, "In, NotIn, Exists or DoesNotExist." },
	ROW_STRS("requirements[].values", "Values for In and NotIn."));
FIELD_TABLE(resource_attributes_fields, NULL, "A request for a resource.", ROW_STR("namespace", "Namespace."),
	ROW_STR("verb", "Verb."), ROW_STR("group", "API group."), ROW_STR("version", "Version."),
	ROW_STR("resource", "Resource."), ROW_STR("subresource", "Subresource."), ROW_STR("name", "Name."),
	ROW_REF("fieldSelector", attribute_selector_fields, "Field selector of a list."),
	ROW_REF("labelSelector", attribute_selector_fields, "Label selector of a list."));
#define ATTRIBUTE_ROWS                                                                                       \
	ROW_OBJ("spec", "The question."),                                                                    \
		ROW_REF("spec.resourceAttributes", resource_attributes_fields, "A request for a resource."), \
		ROW_OBJ("spec.nonResourceAttributes", "Another request."),                                   \
		ROW_STR("spec.nonResourceAttributes.path", "Path of the URL."),                              \
		ROW_STR("spec.nonResourceAttributes.verb", "Method, in lower case.")
#define ANSWER_ROWS                                                                             \
	ROW_OBJ("status", "The answer."), ROW_BOOL("status.allowed", "Whether it is allowed."), \
		ROW_BOOL("status.denied", "Whether it is forbidden, whatever others say."),     \
		ROW_STR("status.reason", "Why."), ROW_STR("status.evaluationError", "What went wrong.")
#define WHO_ROWS                                                                       \
	ROW_STR("spec.user", "Who."), ROW_STRS("spec.groups", "Groups of that user."), \
		ROW_LMAP("spec.extra", "Further facts."), ROW_STR("spec.uid", "UID of that user.")
FIELD_TABLE(access_review_fields, "io.k8s.api.authorization.v1.SubjectAccessReview",
	"May somebody do something?", ATTRIBUTE_ROWS, WHO_ROWS, ANSWER_ROWS);
FIELD_TABLE(local_access_review_fields, "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
	"May somebody do something in this namespace?", ATTRIBUTE_ROWS, WHO_ROWS, ANSWER_ROWS);
FIELD_TABLE(self_access_review_fields, "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
	"May I do something?", ATTRIBUTE_ROWS, ANSWER_ROWS);
FIELD_TABLE(rules_review_fields, "io.k8s.api.authorization.v1.SelfSubjectRulesReview", "What may I do?",
	ROW_OBJ("spec", "The question."), ROW_STR("spec.namespace", "Namespace."),
	ROW_OBJ("status", "The answer."), ROW_LIST("status.resourceRules", "Resources."),
	ROW_STRS("status.resourceRules[].verbs", "Verbs."),
	ROW_STRS("status.resourceRules[].apiGroups", "API groups."),
	ROW_STRS("status.resourceRules[].resources", "Resources."),
	ROW_STRS("status.resourceRules[].resourceNames", "Names."),
	ROW_LIST("status.nonResourceRules", "Other paths."),
	ROW_STRS("status.nonResourceRules[].verbs", "Verbs."),
	ROW_STRS("status.nonResourceRules[].nonResourceURLs", "Paths."),
	ROW_BOOL("status.incomplete", "Whether there may be more."),
	ROW_STR("status.evaluationError", "What went wrong."));

#define AUTHN(k, p, s) \
	.group = "authentication.k8s.io", .version = "v1", .kind = k, .plural = p, .singular = s
#define AUTHZ(k, p, s) .group = "authorization.k8s.io", .version = "v1", .kind = k, .plural = p, .singular = s

FIELD_TABLE(binding_fields, "io.k8s.api.core.v1.Binding", "Which node a pod shall run on.",
	{ "target", F_REF, FIELD_REQUIRED, "The node.", .ref = &object_reference_fields });

const struct resource_def builtin_review[] = {
	/* what pods/binding takes, posted to the namespace */
	{ .kind = { .group = "",
		  .version = "v1",
		  .kind = "Binding",
		  .plural = "bindings",
		  .singular = "binding",
		  .namespaced = true,
		  .fields = &binding_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHN("TokenReview", "tokenreviews", "tokenreview"), .fields = &token_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHN("SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"),
		  .fields = &self_subject_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHZ("SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"),
		  .fields = &access_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHZ("LocalSubjectAccessReview", "localsubjectaccessreviews",
			    "localsubjectaccessreview"),
		  .namespaced = true, .fields = &local_access_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHZ("SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"),
		  .fields = &self_access_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { AUTHZ("SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"),
		  .fields = &rules_review_fields },
		.verbs = VERB_CREATE,
		.transient = true },
	{ .kind = { 0 } },
};

/* ---- bodies of subresources ---- */
FIELD_TABLE(eviction_fields, "io.k8s.api.policy.v1.Eviction", "A pod shall go, if its budget allows.",
	ROW_OBJ("deleteOptions", "How to delete it."),
	ROW_STR("deleteOptions.apiVersion", "API version of the options."),
	ROW_STR("deleteOptions.kind", "Kind of the options."),
	ROW_STRS("deleteOptions.dryRun", "All: do everything but the deletion."),
	ROW_INT("deleteOptions.gracePeriodSeconds", "Seconds until the pod goes."),
	ROW_BOOL("deleteOptions.orphanDependents", "Deprecated: use propagationPolicy."),
	ROW_OBJ("deleteOptions.preconditions", "What must hold."),
	ROW_STR("deleteOptions.preconditions.resourceVersion", "Version the pod must have."),
	ROW_STR("deleteOptions.preconditions.uid", "UID the pod must have."),
	ROW_STR("deleteOptions.propagationPolicy", "What becomes of dependents."),
	ROW_BOOL("deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential",
		"Whether what can not be read is removed."));
FIELD_TABLE(scale_fields, "io.k8s.api.autoscaling.v1.Scale", "The size of an object.",
	ROW_OBJ("spec", "What is wanted."), ROW_I32("spec.replicas", "Size wanted."),
	ROW_OBJ("status", "What is."), { "status.replicas", F_INT32, FIELD_REQUIRED, "Size." },
	ROW_STR("status.selector", "Labels of what is counted, as text."));

const struct kind builtin_bodies[] = {
	{ .group = "", .version = "v1", .kind = "Binding", .fields = &binding_fields },
	{ .group = "", .version = "v1", .kind = "Binding", .fields = &binding_fields },
	{ .group = "policy", .version = "v1", .kind = "Eviction", .fields = &eviction_fields },
	{ .group = "autoscaling", .version = "v1", .kind = "Scale", .fields = &scale_fields },
	{ .group = "authentication.k8s.io",
		.version = "v1",
		.kind = "TokenRequest",
		.fields = &token_request_fields },
	{ 0 },
};
