/* SPDX-License-Identifier: Apache-2.0 */
/* Small groups: coordination, events, policy, scheduling, storage, discovery, networking, certificates. */
#include "base/mem.h"
#include "base/time.h"
#include "platform/kinds/builtin.h"

#include <string.h>

FIELD_TABLE(lease_fields, "io.k8s.api.coordination.v1.Lease", "Who leads, or is alive.",
	ROW_OBJ("spec", "State."), ROW_STR("spec.holderIdentity", "Who holds it."),
	{ "spec.leaseDurationSeconds", F_INT32, 0, "For how long.", .min = 1, .max = INT32_MAX },
	ROW_MICROTIME("spec.acquireTime", "Since when."), ROW_MICROTIME("spec.renewTime", "Last renewed."),
	{ "spec.leaseTransitions", F_INT32, 0, "How often it changed hands.", .max = INT32_MAX },
	ROW_STR("spec.strategy", "Strategy."), ROW_STR("spec.preferredHolder", "Who should hold it."));
static const struct column lease_columns[] = {
	{ "Holder", "string", NULL, "Who holds it.", 0, ".spec.holderIdentity", NULL },
	COLUMN_AGE,
	{ 0 },
};

/* events.k8s.io/v1 shows the same objects as core/v1 in another shape. */
FIELD_TABLE(new_event_fields, "io.k8s.api.events.v1.Event", "Something that happened to an object.",
	ROW_MICROTIME("eventTime", "When first, in microseconds."), ROW_OBJ("series", "A row of the same."),
	ROW_I32("series.count", "How often."), ROW_MICROTIME("series.lastObservedTime", "When last."),
	ROW_STR("reportingController", "Program."), ROW_STR("reportingInstance", "Which instance of it."),
	ROW_STR("action", "What was done."), ROW_STR("reason", "What, one CamelCase word."),
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
	{ "deprecatedCount", "count" }, { NULL, NULL }
};

static void event_rename(struct json_doc *d, struct json *o, int from, int to)
{
	for (size_t i = 0; event_names[i][0]; i++) {
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

/* ---- policy ---- */
FIELD_TABLE(pdb_fields, "io.k8s.api.policy.v1.PodDisruptionBudget", "How many pods may be evicted.",
	ROW_OBJ("spec", "What is wanted."), ROW_IOS("spec.minAvailable", "Pods that must stay."),
	ROW_IOS("spec.maxUnavailable", "Pods that may go."),
	{ "spec.selector", F_REF, FIELD_REPLACE, "Pods meant.", .ref = &label_selector_fields },
	ROW_ENUM("spec.unhealthyPodEvictionPolicy", "AlwaysAllow|IfHealthyBudget",
		"Whether pods that are not ready may always be evicted."),
	ROW_OBJ("status", "What is."), ROW_INT("status.observedGeneration", "Generation acted upon."),
	{ "status.disruptedPods", F_MAP, 0, "Pods being evicted, and since when.", .items = F_TIME },
	{ "status.disruptionsAllowed", F_INT32, 0, "Evictions allowed now.", .deflt = "0" },
	{ "status.currentHealthy", F_INT32, 0, "Healthy pods.", .deflt = "0" },
	{ "status.desiredHealthy", F_INT32, 0, "Healthy pods wanted.", .deflt = "0" },
	{ "status.expectedPods", F_INT32, 0, "Pods counted.", .deflt = "0" },
	ROW_CONDITIONS("status.conditions", condition_fields));

static void check_part(const struct json *spec, const char *key, struct causes *c)
{
	const struct json *v = json_get(spec, key);
	CLEANUP(mem_freep) char *field = str_printf("spec.%s", key);
	CLEANUP(mem_freep) char *number = NULL;
	const char *text = json_str(v);
	int64_t n;

	if (json_is_int(v) && json_i64(v) < 0)
		cause_invalid(c, field, v, "must be greater than or equal to 0");
	if (!text)
		return;
	number = mem_strndup(text, str_ends(text, "%") ? strlen(text) - 1 : 0);
	if (!str_to_i64(number, 0, INT64_MAX, &n))
		cause_invalid(c, field, v,
			"a valid percent string must be a numeric string followed by an ending '%%' (e.g. "
			"'1%%',  or "
			"'93%%', regex used for validation is '[0-9]+%%')");
	else if (n > 100)
		cause_invalid(c, field, v, "must not be greater than 100%%");
}

static void pdb_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec");

	if (json_get(spec, "minAvailable") && json_get(spec, "maxUnavailable"))
		cause_invalid(c, "spec", spec, "minAvailable and maxUnavailable cannot be both set");
	check_part(spec, "minAvailable", c);
	check_part(spec, "maxUnavailable", c);
}

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
	{ "value", F_INT32, FIELD_IMMUTABLE, "Priority; higher goes first.", .deflt = "0" },
	ROW_BOOL("globalDefault", "For pods that name none."), ROW_STR("description", "Description."),
	{ "preemptionPolicy", F_STRING, FIELD_IMMUTABLE, "Whether it may push others out.",
		.deflt = "\"PreemptLowerPriority\"", .enums = "Never|PreemptLowerPriority" });
#define USER_PRIORITY_MAX 1000000000 /* beyond are the system's own */
static void priorityclass_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	static const char *const system[] = { "system-cluster-critical", "system-node-critical", NULL };
	const char *name = json_at_str(o, "/metadata/name");

	if (str_in(name, system))
		return;
	if (str_starts(name, "system-"))
		cause_forbidden(c, "metadata.name",
			"priority class names with 'system-' prefix are reserved for system use only");
	if (json_i64(json_get(o, "value")) > USER_PRIORITY_MAX)
		cause_forbidden(c, "value", "maximum allowed value of a user defined priority is 1000000000");
}

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

FIELD_TABLE_ATOMIC(topology_term_fields, "io.k8s.api.core.v1.TopologySelectorTerm",
	"Requirements on node labels, all of which must hold.",
	ROW_LIST("matchLabelExpressions", "Requirements."),
	{ "matchLabelExpressions[].key", F_STRING, FIELD_REQUIRED, "Label key." },
	{ "matchLabelExpressions[].values", F_LIST, FIELD_REQUIRED | FIELD_ATOMIC,
		"Values, one of which it must have.", .items = F_STRING });
FIELD_TABLE(storageclass_fields, "io.k8s.api.storage.v1.StorageClass", "A class of storage.",
	{ "provisioner", F_STRING, FIELD_REQUIRED | FIELD_IMMUTABLE, "Who makes volumes." },
	{ "parameters", F_MAP, FIELD_IMMUTABLE, "Settings for whoever makes volumes.", .items = F_STRING },
	{ "reclaimPolicy", F_STRING, FIELD_IMMUTABLE, "What becomes of its volumes when their claims go.",
		.deflt = "\"Delete\"", .enums = "Delete|Recycle|Retain" },
	ROW_STRS("mountOptions", "Mount options."),
	ROW_BOOL("allowVolumeExpansion", "Whether claims may grow."),
	{ "volumeBindingMode", F_STRING, FIELD_IMMUTABLE, "When claims are bound.", .deflt = "\"Immediate\"",
		.enums = "Immediate|WaitForFirstConsumer" },
	ROW_REFS("allowedTopologies", topology_term_fields, "Where volumes may be."));
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
	{ "addressType", F_STRING, FIELD_REQUIRED | FIELD_IMMUTABLE, "Kind of the addresses.",
		.enums = "FQDN|IPv4|IPv6" },
	{ "endpoints", F_LIST, FIELD_ATOMIC, "Endpoints.", .max = 1000 },
	{ "endpoints[].addresses", F_LIST, FIELD_REQUIRED | FIELD_SET, "Addresses.", .min = 1, .max = 100,
		.items = F_STRING },
	{ "endpoints[].conditions", F_OBJECT, 0, "Conditions.", .deflt = "{}" },
	ROW_BOOL("endpoints[].conditions.ready", "Ready."),
	ROW_BOOL("endpoints[].conditions.serving", "Serving."),
	ROW_BOOL("endpoints[].conditions.terminating", "Terminating."),
	ROW_STR("endpoints[].hostname", "Host name."),
	ROW_REF("endpoints[].targetRef", object_reference_fields, "The pod."),
	ROW_STR("endpoints[].nodeName", "Node."), ROW_STR("endpoints[].zone", "Zone."),
	ROW_OBJ("endpoints[].hints", "Who should use it."),
	ROW_LIST("endpoints[].hints.forZones", "Zones that should."),
	{ "endpoints[].hints.forZones[].name", F_STRING, FIELD_REQUIRED, "Name of the zone." },
	ROW_LIST("endpoints[].hints.forNodes", "Nodes that should."),
	{ "endpoints[].hints.forNodes[].name", F_STRING, FIELD_REQUIRED, "Name of the node." },
	ROW_SMAP("endpoints[].deprecatedTopology", "Deprecated."), ROW_LIST("ports", "Ports."),
	{ "ports[].name", F_STRING, 0, "Name.", .deflt = "\"\"" }, ROW_I32("ports[].port", "Port."),
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

FIELD_TABLE(ingress_backend_fields, "io.k8s.api.networking.v1.IngressBackend", "Where requests go.",
	ROW_OBJ("service", "A service."),
	{ "service.name", F_STRING, FIELD_REQUIRED, "Name of the service." },
	{ "service.port", F_OBJECT, FIELD_ATOMIC, "Port of the service." },
	ROW_STR("service.port.name", "Port by name."), ROW_I32("service.port.number", "Port by number."),
	ROW_REF("resource", typed_local_reference_fields, "Another object, instead of a service."));
FIELD_TABLE(ingress_fields, "io.k8s.api.networking.v1.Ingress", "Ways in by HTTP.",
	ROW_OBJ("spec", "What is wanted."), ROW_STR("spec.ingressClassName", "Who makes it work."),
	ROW_REF("spec.defaultBackend", ingress_backend_fields, "Where requests go that fit no rule."),
	ROW_LIST("spec.tls", "Hosts that are served by TLS."),
	ROW_STRS("spec.tls[].hosts", "Names of the hosts."),
	ROW_STR("spec.tls[].secretName", "Secret with key and certificate."),
	ROW_LIST("spec.rules", "Rules, by host."),
	ROW_STR("spec.rules[].host", "Name of the host; all if none is named."),
	ROW_OBJ("spec.rules[].http", "Rules, by path."),
	{ "spec.rules[].http.paths", F_LIST, FIELD_REQUIRED | FIELD_ATOMIC, "Paths and where they lead." },
	ROW_STR("spec.rules[].http.paths[].path", "Path."),
	{ "spec.rules[].http.paths[].pathType", F_STRING, FIELD_REQUIRED, "How paths are compared.",
		.enums = "Exact|ImplementationSpecific|Prefix" },
	{ "spec.rules[].http.paths[].backend", F_REF, FIELD_REQUIRED, "Where it leads.",
		.ref = &ingress_backend_fields },
	ROW_OBJ("status", "What is."),
	{ "status.loadBalancer", F_OBJECT, 0, "Addresses of the load balancer.", .deflt = "{}" },
	ROW_LIST("status.loadBalancer.ingress", "Ways in."),
	ROW_STR("status.loadBalancer.ingress[].ip", "Address of the way in."),
	ROW_STR("status.loadBalancer.ingress[].hostname", "Name of the way in."),
	ROW_LIST("status.loadBalancer.ingress[].ports", "Ports of the way in."),
	{ "status.loadBalancer.ingress[].ports[].port", F_INT32, FIELD_REQUIRED, "Port." },
	{ "status.loadBalancer.ingress[].ports[].protocol", F_STRING, FIELD_REQUIRED, "TCP, UDP or SCTP.",
		.enums = "SCTP|TCP|UDP" },
	ROW_STR("status.loadBalancer.ingress[].ports[].error", "Why it does not work."));

static struct json *ingress_hosts_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };
	size_t n = 0;

	JSON_EACH (it, json_at(o, "/spec/rules")) {
		const char *host = json_get_str(it.val, "host");

		if (!str_empty(host) && n++ < 3)
			str_addf(&s, "%s%s", s.len ? "," : "", host);
	}
	if (n > 3)
		str_addf(&s, " + %zu more...", n - 3);
	return json_new_str(d, s.len ? s.data : "*");
}

static struct json *ingress_address_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(str_done) struct str s = { 0 };

	JSON_EACH (it, json_at(o, "/status/loadBalancer/ingress")) {
		const char *ip = json_get_str(it.val, "ip");

		str_addf(&s, "%s%s", s.len ? "," : "",
			!str_empty(ip) ? ip : json_str_or(json_get(it.val, "hostname"), ""));
	}
	return json_new_str(d, str_cstr(&s));
}

static struct json *ingress_ports_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, json_len(json_at(o, "/spec/tls")) ? "80, 443" : "80");
}

static struct json *ingress_class_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(d, json_str_or(json_at(o, "/spec/ingressClassName"), "<none>"));
}
static const struct column ingress_columns[] = {
	{ "Class", "string", NULL, "Who makes it work.", 0, NULL, ingress_class_cell },
	{ "Hosts", "string", NULL, "Hosts of its rules.", 0, NULL, ingress_hosts_cell },
	{ "Address", "string", NULL, "Addresses of the load balancer.", 0, NULL, ingress_address_cell },
	{ "Ports", "string", NULL, "Ports that are served.", 0, NULL, ingress_ports_cell },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(network_port_fields, "io.k8s.api.networking.v1.NetworkPolicyPort", "Ports that are meant.",
	{ "protocol", F_STRING, 0, "TCP, UDP or SCTP.", .deflt = "\"TCP\"", .enums = "SCTP|TCP|UDP" },
	ROW_IOS("port", "Port by number or name; all if none is named."),
	ROW_I32("endPort", "Last port of a range that starts at port."));
FIELD_TABLE(network_peer_fields, "io.k8s.api.networking.v1.NetworkPolicyPeer", "Whom is talked to.",
	ROW_REF("podSelector", label_selector_fields, "Pods by label."),
	ROW_REF("namespaceSelector", label_selector_fields, "Namespaces by label."),
	ROW_OBJ("ipBlock", "A range of addresses."),
	{ "ipBlock.cidr", F_STRING, FIELD_REQUIRED, "The range, such as 10.0.0.0/8." },
	ROW_STRS("ipBlock.except", "Ranges within it that are not meant."));
FIELD_TABLE(networkpolicy_fields, "io.k8s.api.networking.v1.NetworkPolicy", "Who may talk to whom.",
	ROW_OBJ("spec", "What is wanted."),
	ROW_REF("spec.podSelector", label_selector_fields, "Pods it is about; empty: all of the namespace."),
	ROW_LIST("spec.ingress", "What may come in."),
	ROW_REFS("spec.ingress[].ports", network_port_fields, "To which ports."),
	ROW_REFS("spec.ingress[].from", network_peer_fields, "From whom."),
	ROW_LIST("spec.egress", "What may go out."),
	ROW_REFS("spec.egress[].ports", network_port_fields, "To which ports."),
	ROW_REFS("spec.egress[].to", network_peer_fields, "To whom."),
	ROW_STRS("spec.policyTypes", "Ingress, Egress: which directions it restricts."));

static void networkpolicy_default(struct json_doc *d, struct json *o)
{
	struct json *spec = json_get(o, "spec"), *types;

	if (!json_is_obj(spec) || json_len(json_get(spec, "policyTypes")) > 0)
		return;
	types = json_need_arr(d, spec, "policyTypes");
	json_append_str(d, types, "Ingress");
	if (json_len(json_get(spec, "egress")) > 0)
		json_append_str(d, types, "Egress");
}
static const struct column networkpolicy_columns[] = {
	{ "Pod-Selector", "string", NULL, "Pods it is about.", 0, NULL, cell_pod_selector },
	COLUMN_AGE,
	{ 0 },
};

FIELD_TABLE(csr_condition_fields, "io.k8s.api.certificates.v1.CertificateSigningRequestCondition",
	"Approved, Denied or Failed.", CONDITION_ROWS,
	ROW_TIME("lastUpdateTime", "When it was last written."));
FIELD_TABLE(csr_fields, "io.k8s.api.certificates.v1.CertificateSigningRequest", "A certificate, please.",
	ROW_OBJ("spec", "The request."), ROW_BYTES("spec.request", "PKCS#10, PEM."),
	ROW_STR("spec.signerName", "Who should sign."), ROW_I32("spec.expirationSeconds", "Lifetime wanted."),
	ROW_STRS("spec.usages", "Usages."), ROW_STR("spec.username", "Who asks."),
	ROW_STR("spec.uid", "UID."), ROW_STRS("spec.groups", "Groups."),
	ROW_LMAP("spec.extra", "Further facts."), ROW_OBJ("status", "The answer."),
	ROW_BYTES("status.certificate", "Certificate."),
	{ "status.conditions", F_REF_LIST, FIELD_LIST_MAP | FIELD_REPLACE, "What was decided.",
		.keys = "type", .ref = &csr_condition_fields });

static struct json *csr_lifetime_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	char buf[TIME_TEXT_MAX];
	const struct json *seconds = json_at(o, "/spec/expirationSeconds");

	if (!seconds)
		return json_new_str(d, "<none>");
	return json_new_str(d, time_age(json_i64(seconds) * 1000, buf));
}

static struct json *csr_condition_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	static const char *const order[] = { "Approved", "Denied", "Failed" };
	CLEANUP(str_done) struct str s = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		JSON_EACH (it, json_at(o, "/status/conditions"))
			if (str_eq(json_get_str(it.val, "type"), order[i])) {
				str_addf(&s, "%s%s", s.len ? "," : "", order[i]);
				break;
			}
	if (!s.len)
		str_add(&s, "Pending");
	if (json_at_str(o, "/status/certificate"))
		str_add(&s, ",Issued");
	return json_new_str(d, s.data);
}
static const struct column csr_columns[] = {
	COLUMN_AGE,
	{ "SignerName", "string", NULL, "Who should sign.", 0, ".spec.signerName", NULL },
	{ "Requestor", "string", NULL, "Who asks.", 0, ".spec.username", NULL },
	{ "RequestedDuration", "string", NULL, "Lifetime wanted.", 0, NULL, csr_lifetime_cell },
	{ "Condition", "string", NULL, "What was decided.", 0, NULL, csr_condition_cell },
	{ 0 },
};

static const struct subresource csr_subs[] = {
	{ "status", NULL, NULL, NULL, VERBS_STATUS },
	{ "approval", NULL, NULL, NULL, VERBS_STATUS },
	{ 0 },
};

static const char *const ev[] = { "ev", NULL }, *const pdb[] = { "pdb", NULL }, *const pc[] = { "pc", NULL };
static const char *const sc[] = { "sc", NULL }, *const ing[] = { "ing", NULL },
			 *const netpol[] = { "netpol", NULL };
static const char *const csr_selectable[] = { "spec.signerName", NULL };
static const char *const csr[] = { "csr", NULL };
static const char *const new_event_selectable[] = { "regarding.kind", "regarding.namespace", "regarding.name",
	"regarding.uid", "regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath", "reason",
	"reportingController", "type", NULL };

#define KIND(g, k, p, s) .group = g, .version = "v1", .kind = k, .plural = p, .singular = s

const struct resource_def builtin_misc[] = {
	{ .kind = { KIND("coordination.k8s.io", "Lease", "leases", "lease"), .namespaced = true,
		  .fields = &lease_fields },
		.rules = { .needs_rv = true, .create_on_update = true },
		.columns = lease_columns },
	{ .kind = { KIND("events.k8s.io", "Event", "events", "event"), .short_names = ev, .namespaced = true,
		  .fields = &new_event_fields },
		.rules = { .create_on_update = true },
		.columns = event_columns,
		.selectable = new_event_selectable,
		.storage = "events",
		.not_storage = true,
		.ttl_seconds = 3600,
		.hooks = { .to_stored = event_to_stored,
			.from_stored = event_from_stored,
			.renamed = event_names } },
	{ .kind = { KIND("policy", "PodDisruptionBudget", "poddisruptionbudgets", "poddisruptionbudget"),
		  .short_names = pdb, .namespaced = true, .has_status = true, .fields = &pdb_fields },
		.rules = { .generation = GEN_SPEC, .needs_rv = true },
		.subresources = status_only,
		.columns = pdb_columns,
		.hooks = { .validate = pdb_validate } },
	{ .kind = { KIND("scheduling.k8s.io", "PriorityClass", "priorityclasses", "priorityclass"),
		  .short_names = pc, .fields = &priorityclass_fields },
		.rules = { .generation = GEN_ALL_BUT_META },
		.columns = priorityclass_columns,
		.hooks = { .validate = priorityclass_validate } },
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
		.subresources = status_only,
		.columns = ingress_columns },
	{ .kind = { KIND("networking.k8s.io", "NetworkPolicy", "networkpolicies", "networkpolicy"),
		  .short_names = netpol, .namespaced = true, .fields = &networkpolicy_fields },
		.rules = { .generation = GEN_SPEC },
		.columns = networkpolicy_columns,
		.hooks = { .deflt = networkpolicy_default } },
	{ .kind = { KIND("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests",
			    "certificatesigningrequest"),
		  .short_names = csr, .has_status = true, .fields = &csr_fields },
		.subresources = csr_subs,
		.selectable = csr_selectable,
		.columns = csr_columns },
	{ .kind = { 0 } },
};
