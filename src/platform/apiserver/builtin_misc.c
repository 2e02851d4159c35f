/* SPDX-License-Identifier: Apache-2.0 */
/* Small groups: coordination, events, policy, scheduling, storage, discovery, networking, certificates. */
#include "base/mem.h"
#include "base/time.h"
#include "platform/apiserver/builtin.h"

FIELD_TABLE(lease_fields, "io.k8s.api.coordination.v1.Lease", "Who leads, or is alive.",
	ROW_OBJ("spec", "State."), ROW_STR("spec.holderIdentity", "Who holds it."),
	ROW_I32("spec.leaseDurationSeconds", "For how long."),
	{ "spec.acquireTime", F_STRING, FIELD_NULLABLE, "Since when.", .format = "date-time" },
	{ "spec.renewTime", F_STRING, FIELD_NULLABLE, "Last renewed.", .format = "date-time" },
	ROW_I32("spec.leaseTransitions", "How often it changed hands."),
	ROW_STR("spec.strategy", "Strategy."), ROW_STR("spec.preferredHolder", "Who should hold it."));
static const struct column lease_columns[] = {
	{ "Holder", "string", NULL, "Who holds it.", 0, ".spec.holderIdentity", NULL },
	COLUMN_AGE,
	{ 0 },
};

/* events.k8s.io/v1 shows the same objects as core/v1 in another shape. */
FIELD_TABLE(new_event_fields, "io.k8s.api.events.v1.Event", "Something that happened to an object.",
	{ "eventTime", F_STRING, FIELD_NULLABLE, "When first, in microseconds.", .format = "date-time" },
	ROW_OBJ("series", "A row of the same."), ROW_I32("series.count", "How often."),
	ROW_STR("series.lastObservedTime", "When last."), ROW_STR("reportingController", "Program."),
	ROW_STR("reportingInstance", "Which instance of it."), ROW_STR("action", "What was done."),
	ROW_STR("reason", "What, one CamelCase word."),
	ROW_REF("regarding", object_reference_fields, "Whom it happened to."),
	ROW_REF("related", object_reference_fields, "Another object."), ROW_STR("note", "What, for people."),
	ROW_STR("type", "Normal or Warning."), ROW_OBJ("deprecatedSource", "Who says so."),
	ROW_STR("deprecatedSource.component", "Program."), ROW_STR("deprecatedSource.host", "Node."),
	ROW_TIME("deprecatedFirstTimestamp", "When first."),
	ROW_TIME("deprecatedLastTimestamp", "When last."), ROW_I32("deprecatedCount", "How often."));

static const char *const event_names[][2] = { /* events.k8s.io, core */
	{ "regarding", "involvedObject" }, { "note", "message" },
	{ "reportingController", "reportingComponent" }, { "deprecatedSource", "source" },
	{ "deprecatedFirstTimestamp", "firstTimestamp" }, { "deprecatedLastTimestamp", "lastTimestamp" },
	{ "deprecatedCount", "count" }
};

static void event_rename(struct json_doc *d, struct json *o, int from, int to)
{
	for (size_t i = 0; i < ARRAY_LEN(event_names); i++) {
		const struct json *v = json_get(o, event_names[i][from]);

		if (!v)
			continue;
		json_set_copy(d, o, event_names[i][to], v);
		json_remove(o, event_names[i][from]);
	}
}

static void event_to_stored(struct json_doc *d, struct json *o)
{
	event_rename(d, o, 0, 1);
}

static void event_from_stored(struct json_doc *d, struct json *o)
{
	event_rename(d, o, 1, 0);
}

static struct json *event_age_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char *const at[] = { "/series/lastObservedTime", "/deprecatedLastTimestamp",
		"/eventTime", "/metadata/creationTimestamp" };
	char buf[TIME_TEXT_MAX];
	int64_t t;

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		if (time_parse(json_str_or(json_at(o, at[i]), ""), &t))
			return json_new_str(d, time_age(now_ms - t, buf));
	return json_new_str(d, "<unknown>");
}

static struct json *event_regarding_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(mem_freep) char *kind = str_lower(json_str_or(json_at(o, "/regarding/kind"), ""));

	return json_new_strf(d, "%s/%s", kind, json_str_or(json_at(o, "/regarding/name"), ""));
}
static const struct column new_event_columns[] = {
	{ "Last Seen", "string", NULL, "When last.", 0, NULL, event_age_cell },
	{ "Type", "string", NULL, "Normal or Warning.", 0, ".type", NULL },
	{ "Reason", "string", NULL, "What.", 0, ".reason", NULL },
	{ "Object", "string", NULL, "Whom it happened to.", 0, NULL, event_regarding_cell },
	{ "Message", "string", NULL, "What, for people.", 0, ".note", NULL },
	{ 0 },
};

/* ---- policy ---- */
FIELD_TABLE(pdb_fields, "io.k8s.api.policy.v1.PodDisruptionBudget", "How many pods may be evicted.",
	ROW_OBJ("spec", "What is wanted."), ROW_IOS("spec.minAvailable", "Pods that must stay."),
	ROW_IOS("spec.maxUnavailable", "Pods that may go."),
	ROW_REF("spec.selector", label_selector_fields, "Pods meant."),
	ROW_STR("spec.unhealthyPodEvictionPolicy", "Policy for ill pods."), ROW_OBJ("status", "What is."),
	ROW_INT("status.observedGeneration", "Generation acted upon."),
	ROW_ANY("status.disruptedPods", "Pods being evicted."),
	ROW_I32("status.disruptionsAllowed", "Evictions allowed now."),
	ROW_I32("status.currentHealthy", "Healthy pods."),
	ROW_I32("status.desiredHealthy", "Healthy pods wanted."),
	ROW_I32("status.expectedPods", "Pods counted."),
	{ "status.conditions", F_REF_LIST, FIELD_LIST_MAP, "Conditions.", .keys = "type",
		.ref = &condition_fields });

static struct json *or_na(struct json_doc *d, const struct json *v)
{
	return json_is_null(v) ? json_new_str(d, "N/A") : json_copy(d, v);
}

static struct json *pdb_min_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return or_na(d, json_at(o, "/spec/minAvailable"));
}

static struct json *pdb_max_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return or_na(d, json_at(o, "/spec/maxUnavailable"));
}

static struct json *pdb_allowed_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_i64(d, json_i64(json_at(o, "/status/disruptionsAllowed")));
}
static const struct column pdb_columns[] = {
	{ "Min Available", "string", NULL, "Pods that must stay.", 0, NULL, pdb_min_cell },
	{ "Max Unavailable", "string", NULL, "Pods that may go.", 0, NULL, pdb_max_cell },
	{ "Allowed Disruptions", "integer", NULL, "Evictions allowed now.", 0, NULL, pdb_allowed_cell },
	COLUMN_AGE,
	{ 0 },
};

/* ---- scheduling, storage, discovery, networking ---- */
FIELD_TABLE(priorityclass_fields, "io.k8s.api.scheduling.v1.PriorityClass", "A priority with a name.",
	{ "value", F_INT32, FIELD_REQUIRED, "Priority." },
	ROW_BOOL("globalDefault", "For pods that name none."), ROW_STR("description", "Description."),
	{ "preemptionPolicy", F_STRING, 0, "Whether it may push others out.",
		.deflt = "\"PreemptLowerPriority\"", .enums = "Never|PreemptLowerPriority" });
static struct json *global_default_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_bool(d, json_bool(json_get(o, "globalDefault")));
}
static const struct column priorityclass_columns[] = {
	{ "Value", "integer", NULL, "Priority.", 0, ".value", NULL },
	{ "Global-Default", "boolean", NULL, "For pods that name none.", 0, NULL, global_default_cell },
	COLUMN_AGE,
	{ "PreemptionPolicy", "string", NULL, "Whether it may push others out.", 0, ".preemptionPolicy",
		NULL },
	{ 0 },
};

FIELD_TABLE(storageclass_fields, "io.k8s.api.storage.v1.StorageClass", "A class of storage.",
	{ "provisioner", F_STRING, FIELD_REQUIRED, "Who makes volumes." },
	ROW_SMAP("parameters", "Settings."),
	{ "reclaimPolicy", F_STRING, 0, "Delete or Retain.", .deflt = "\"Delete\"" },
	ROW_STRS("mountOptions", "Mount options."),
	ROW_BOOL("allowVolumeExpansion", "Whether claims may grow."),
	{ "volumeBindingMode", F_STRING, 0, "Immediate or WaitForFirstConsumer.", .deflt = "\"Immediate\"" },
	ROW_ANY("allowedTopologies", "Where volumes may be."));
static const struct column storageclass_columns[] = {
	{ "Provisioner", "string", NULL, "Who makes volumes.", 0, ".provisioner", NULL },
	{ "ReclaimPolicy", "string", NULL, "What happens when released.", 0, ".reclaimPolicy", NULL },
	{ "VolumeBindingMode", "string", NULL, "When claims are bound.", 0, ".volumeBindingMode", NULL },
	{ "AllowVolumeExpansion", "boolean", NULL, "Whether claims may grow.", 0, ".allowVolumeExpansion",
		NULL },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(endpointslice_fields, "io.k8s.api.discovery.v1.EndpointSlice", "Addresses behind a service.",
	{ "addressType", F_STRING, FIELD_REQUIRED, "IPv4, IPv6 or FQDN." },
	ROW_LIST("endpoints", "Endpoints."), ROW_STRS("endpoints[].addresses", "Addresses."),
	ROW_OBJ("endpoints[].conditions", "Conditions."), ROW_BOOL("endpoints[].conditions.ready", "Ready."),
	ROW_BOOL("endpoints[].conditions.serving", "Serving."),
	ROW_BOOL("endpoints[].conditions.terminating", "Terminating."),
	ROW_STR("endpoints[].hostname", "Host name."),
	ROW_REF("endpoints[].targetRef", object_reference_fields, "The pod."),
	ROW_STR("endpoints[].nodeName", "Node."), ROW_STR("endpoints[].zone", "Zone."),
	ROW_ANY("endpoints[].hints", "Hints."), ROW_SMAP("endpoints[].deprecatedTopology", "Deprecated."),
	ROW_LIST("ports", "Ports."), ROW_STR("ports[].name", "Name."), ROW_I32("ports[].port", "Port."),
	{ "ports[].protocol", F_STRING, 0, "Protocol.", .deflt = "\"TCP\"" },
	ROW_STR("ports[].appProtocol", "Protocol of the application."));

static struct json *slice_ports_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_get(o, "ports"))
		str_addf(&s, "%s%lld", s.len ? "," : "", (long long)json_i64(json_get(it.val, "port")));
	return json_new_str(d, s.len ? s.data : "<unset>");
}

static struct json *slice_endpoints_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };
	size_t n = 0;

	JSON_EACH (endpoint, json_get(o, "endpoints")) {
		JSON_EACH (it, json_get(endpoint.val, "addresses"))
			if (n++ < 3)
				str_addf(&s, "%s%s", s.len ? "," : "", json_str_or(it.val, ""));
	}
	if (n > 3)
		str_addf(&s, " + %zu more...", n - 3);
	return json_new_str(d, s.len ? s.data : "<unset>");
}
static const struct column slice_columns[] = {
	{ "AddressType", "string", NULL, "Kind of addresses.", 0, ".addressType", NULL },
	{ "Ports", "string", NULL, "Ports.", 0, NULL, slice_ports_cell },
	{ "Endpoints", "string", NULL, "Addresses.", 0, NULL, slice_endpoints_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(ingress_fields, "io.k8s.api.networking.v1.Ingress", "Ways in by HTTP.",
	ROW_ANY("spec", "What is wanted."), ROW_ANY("status", "What is."));
FIELD_TABLE(networkpolicy_fields, "io.k8s.api.networking.v1.NetworkPolicy", "Who may talk to whom.",
	ROW_ANY("spec", "What is wanted."));

FIELD_TABLE(csr_fields, "io.k8s.api.certificates.v1.CertificateSigningRequest", "A certificate, please.",
	ROW_OBJ("spec", "The request."), ROW_BYTES("spec.request", "PKCS#10, PEM."),
	ROW_STR("spec.signerName", "Who should sign."), ROW_I32("spec.expirationSeconds", "Lifetime wanted."),
	ROW_STRS("spec.usages", "Usages."), ROW_STR("spec.username", "Who asks."),
	ROW_STR("spec.uid", "UID."), ROW_STRS("spec.groups", "Groups."),
	ROW_ANY("spec.extra", "Further facts."), ROW_OBJ("status", "The answer."),
	ROW_BYTES("status.certificate", "Certificate."),
	{ "status.conditions", F_REF_LIST, FIELD_LIST_MAP, "Conditions.", .keys = "type",
		.ref = &condition_fields });

static const struct subresource csr_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "approval", NULL, NULL, NULL, VERBS_STATUS },
	{ 0 },
};

static const char *const ev[] = { "ev", NULL }, *const pdb[] = { "pdb", NULL }, *const pc[] = { "pc", NULL };
static const char *const sc[] = { "sc", NULL }, *const ing[] = { "ing", NULL },
			 *const netpol[] = { "netpol", NULL };
static const char *const csr[] = { "csr", NULL };
static const char *const new_event_selectable[] = { "regarding.kind", "regarding.namespace", "regarding.name",
	"regarding.uid", "reason", "reportingController", "type", NULL };

#define KIND(g, k, p, s) .group = g, .version = "v1", .kind = k, .plural = p, .singular = s

const struct resource_def builtin_misc[] = {
	{ .kind = { KIND("coordination.k8s.io", "Lease", "leases", "lease"), .namespaced = true,
		  .fields = &lease_fields },
		.rules = { .needs_rv = true, .create_on_update = true },
		.columns = lease_columns },
	{ .kind = { KIND("events.k8s.io", "Event", "events", "event"), .short_names = ev, .namespaced = true,
		  .fields = &new_event_fields },
		.rules = { .create_on_update = true },
		.columns = new_event_columns,
		.selectable = new_event_selectable,
		.storage = "events",
		.not_storage = true,
		.ttl_seconds = 3600,
		.hooks = { .to_stored = event_to_stored, .from_stored = event_from_stored } },
	{ .kind = { KIND("policy", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget"),
		  .short_names = pdb, .namespaced = true, .has_status = true, .fields = &pdb_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.subresources = status_only,
		.columns = pdb_columns },
	{ .kind = { KIND("scheduling.k8s.io", "PriorityClass", "priorityclasses", "priorityclass"),
		  .short_names = pc, .fields = &priorityclass_fields },
		.rules = { .generation = GEN_ALL_BUT_META },
		.columns = priorityclass_columns },
	{ .kind = { KIND("storage.k8s.io", "StorageClass", "storageclasses", "storageclass"),
		  .short_names = sc, .fields = &storageclass_fields },
		.columns = storageclass_columns },
	{ .kind = { KIND("discovery.k8s.io", "EndpointSlice", "endpointslices", "endpointslice"),
		  .namespaced = true, .fields = &endpointslice_fields },
		.rules = { .generation = GEN_ALL_BUT_META },
		.columns = slice_columns },
	{ .kind = { KIND("networking.k8s.io", "Ingress", "ingresses", "ingress"), .short_names = ing,
		  .namespaced = true, .has_status = true, .fields = &ingress_fields },
		.rules = { .generation = GEN_SPEC },
		.subresources = status_only },
	{ .kind = { KIND("networking.k8s.io", "NetworkPolicy", "networkpolicies", "networkpolicy"),
		  .short_names = netpol, .namespaced = true, .fields = &networkpolicy_fields },
		.rules = { .generation = GEN_SPEC } },
	{ .kind = { KIND("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests",
			    "certificatesigningrequest"),
		  .short_names = csr, .has_status = true, .fields = &csr_fields },
		.subresources = csr_subs },
	{ .kind = { 0 } },
};
