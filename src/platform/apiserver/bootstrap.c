/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/bootstrap.h"

#include "base/mem.h"

#include <string.h>

#define RBAC "rbac.authorization.k8s.io"
#define RBAC_V1 "rbac.authorization.k8s.io/v1"

/* ---- roles: upstream's, cut to the groups served here ---- */
#define RW "'create','delete','deletecollection','patch','update'"
#define RO "'get','list','watch'"
static const struct {
	const char *name, *labels, *rules; /* rules NULL: aggregated by the label in `labels` */
} cluster_roles[] = {
	{ "cluster-admin", NULL,
		"[{'apiGroups':['*'],'resources':['*'],'verbs':['*']},{'nonResourceURLs':['*'],'verbs':['*']}"
		"]" },
	{ "admin", "rbac.authorization.k8s.io/aggregate-to-admin", NULL },
	{ "edit", "rbac.authorization.k8s.io/aggregate-to-edit", NULL },
	{ "view", "rbac.authorization.k8s.io/aggregate-to-view", NULL },
	{ "system:aggregate-to-admin", "rbac.authorization.k8s.io/aggregate-to-admin",
		"[{'apiGroups':['authorization.k8s.io'],'resources':['localsubjectaccessreviews'],'verbs':['"
		"create']},"
		"{'apiGroups':['rbac.authorization.k8s.io'],'resources':['rolebindings','roles'],'verbs':[" RO
		"," RW "]}]" },
	{ "system:aggregate-to-edit", "rbac.authorization.k8s.io/aggregate-to-edit",
		"[{'apiGroups':[''],'resources':['pods/attach','pods/exec','pods/portforward','pods/"
		"proxy','secrets','services/proxy'],"
		"'verbs':[" RO
		"]},{'apiGroups':[''],'resources':['serviceaccounts'],'verbs':['impersonate']},"
		"{'apiGroups':[''],'resources':['pods','pods/attach','pods/exec','pods/portforward','pods/"
		"proxy','configmaps','events',"
		"'persistentvolumeclaims','secrets','serviceaccounts','services','services/"
		"proxy','endpoints'],'verbs':[" RW "]},"
		"{'apiGroups':[''],'resources':['pods/eviction','serviceaccounts/token'],'verbs':['create']},"
		"{'apiGroups':['apps'],'resources':['daemonsets','deployments','deployments/"
		"rollback','deployments/scale','replicasets',"
		"'replicasets/scale','statefulsets','statefulsets/scale'],'verbs':[" RW "]},"
		"{'apiGroups':['batch'],'resources':['cronjobs','jobs'],'verbs':[" RW "]},"
		"{'apiGroups':['policy'],'resources':['poddisruptionbudgets'],'verbs':[" RW "]},"
		"{'apiGroups':['networking.k8s.io'],'resources':['ingresses','networkpolicies'],'verbs':[" RW
		"]},"
		"{'apiGroups':['coordination.k8s.io'],'resources':['leases'],'verbs':[" RO "," RW "]}]" },
	{ "system:aggregate-to-view", "rbac.authorization.k8s.io/aggregate-to-view",
		"[{'apiGroups':[''],'resources':['configmaps','endpoints','persistentvolumeclaims','"
		"persistentvolumeclaims/status','pods',"
		"'pods/log','pods/status','bindings','events','limitranges','namespaces','namespaces/"
		"status','resourcequotas',"
		"'serviceaccounts','services','services/status'],'verbs':[" RO "]},"
		"{'apiGroups':['apps'],'resources':['controllerrevisions','daemonsets','daemonsets/"
		"status','deployments',"
		"'deployments/scale','deployments/status','replicasets','replicasets/scale','replicasets/"
		"status','statefulsets',"
		"'statefulsets/scale','statefulsets/status'],'verbs':[" RO "]},"
		"{'apiGroups':['batch'],'resources':['cronjobs','jobs','jobs/status'],'verbs':[" RO "]},"
		"{'apiGroups':['discovery.k8s.io'],'resources':['endpointslices'],'verbs':[" RO "]},"
		"{'apiGroups':['policy'],'resources':['poddisruptionbudgets','poddisruptionbudgets/"
		"status'],'verbs':[" RO "]},"
		"{'apiGroups':['networking.k8s.io'],'resources':['ingresses','networkpolicies'],'verbs':[" RO
		"]}]" },
	{ "system:basic-user", NULL,
		"[{'apiGroups':['authorization.k8s.io'],'resources':['selfsubjectaccessreviews','"
		"selfsubjectrulesreviews'],'verbs':"
		"['create']},{'apiGroups':['authentication.k8s.io'],'resources':['selfsubjectreviews'],'"
		"verbs':['create']}]" },
	{ "system:discovery", NULL,
		"[{'nonResourceURLs':['/api','/api/*','/apis','/apis/*','/healthz','/livez','/openapi','/"
		"openapi/*','/readyz',"
		"'/version','/version/'],'verbs':['get']}]" },
	{ "system:public-info-viewer", NULL,
		"[{'nonResourceURLs':['/healthz','/healthz/*','/livez','/livez/*','/readyz','/readyz/*','/"
		"version','/version/'],'verbs':"
		"['get']}]" },
	{ "system:monitoring", NULL,
		"[{'nonResourceURLs':['/healthz','/healthz/*','/livez','/livez/*','/metrics','/metrics/*','/"
		"readyz','/readyz/*'],"
		"'verbs':['get']}]" },
	{ "system:service-account-issuer-discovery", NULL,
		"[{'nonResourceURLs':['/.well-known/openid-configuration','/openid/v1/"
		"jwks'],'verbs':['get']}]" },
	{ "system:auth-delegator", NULL,
		"[{'apiGroups':['authentication.k8s.io'],'resources':['tokenreviews'],'verbs':['create']},"
		"{'apiGroups':['authorization.k8s.io'],'resources':['subjectaccessreviews'],'verbs':['create'"
		"]}]" },
};
static const struct {
	const char *name, *role, *group;
} cluster_bindings[] = {
	{ "cluster-admin", "cluster-admin", "system:masters" },
	{ "system:basic-user", "system:basic-user", "system:authenticated" },
	{ "system:discovery", "system:discovery", "system:authenticated" },
	{ "system:monitoring", "system:monitoring", "system:monitoring" },
	{ "system:service-account-issuer-discovery", "system:service-account-issuer-discovery",
		"system:serviceaccounts" },
};

static struct json_doc *object(const char *api_version, const char *kind, const char *ns, const char *name)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *meta;

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", api_version);
	json_set_str(d, o, "kind", kind);
	meta = json_need_obj(d, o, "metadata");
	json_set_str(d, meta, "name", name);
	json_set_str(d, meta, "namespace", ns);
	return d;
}

static struct json_doc *rbac_object(const char *kind, const char *ns, const char *name)
{
	struct json_doc *d = object(RBAC_V1, kind, ns, name);
	struct json *meta = json_get(json_root(d), "metadata");

	json_set_str(d, json_need_obj(d, meta, "labels"), "kubernetes.io/bootstrapping", "rbac-defaults");
	json_set_str(d, json_need_obj(d, meta, "annotations"), "rbac.authorization.kubernetes.io/autoupdate",
		"true");
	return d;
}

static void set_literal(struct json_doc *d, const char *key, const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *v = json_lit(text);

	json_set_copy(d, json_root(d), key, json_root(v));
}

/* What is aggregated is worked out when it is asked (rbac.c); the stored rules show it as of now. */
static void add_aggregate(struct json_doc *d, const char *label)
{
	struct json *rules = json_need_arr(d, json_root(d), "rules"), *selectors, *s;
	static const char *const from[][2] = { { "-to-admin", "admin,edit,view" },
		{ "-to-edit", "edit,view" }, { "-to-view", "view" } };
	const char *parts = "";

	selectors =
		json_need_arr(d, json_need_obj(d, json_root(d), "aggregationRule"), "clusterRoleSelectors");
	s = json_new_obj(d);
	json_append(d, selectors, s);
	json_set_str(d, json_need_obj(d, s, "matchLabels"), label, "true");
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		if (str_ends(label, from[i][0]))
			parts = from[i][1];
	for (size_t i = 0; i < ARRAY_LEN(cluster_roles); i++) {
		const char *n = cluster_roles[i].name;
		CLEANUP(json_doc_freep) struct json_doc *v = NULL;

		if (!str_starts(n, "system:aggregate-to-") ||
			!strstr(parts, n + strlen("system:aggregate-to-")))
			continue;
		v = json_lit(cluster_roles[i].rules);
		JSON_EACH (it, json_root(v)) {
			json_append(d, rules, json_copy(d, it.val));
		}
	}
}

static void add_labels(struct json_doc *d, const char *label)
{
	struct json *labels = json_need_obj(d, json_get(json_root(d), "metadata"), "labels");

	json_set_str(d, labels, label, "true");
	/* admin has all that edit has, edit all that view has */
	if (str_ends(label, "-to-view"))
		json_set_str(d, labels, "rbac.authorization.k8s.io/aggregate-to-edit", "true");
	if (!str_ends(label, "-to-admin"))
		json_set_str(d, labels, "rbac.authorization.k8s.io/aggregate-to-admin", "true");
}

static void make_roles(struct apiserver *s)
{
	for (size_t i = 0; i < ARRAY_LEN(cluster_roles); i++) {
		struct json_doc *d = rbac_object("ClusterRole", NULL, cluster_roles[i].name);

		if (cluster_roles[i].rules)
			set_literal(d, "rules", cluster_roles[i].rules);
		else
			add_aggregate(d, cluster_roles[i].labels);
		if (cluster_roles[i].rules && cluster_roles[i].labels)
			add_labels(d, cluster_roles[i].labels);
		objects_make(s->objects, RBAC, "clusterroles", d);
	}
}

static void add_binding(struct json_doc *d, const char *kind, const char *role, const char *const *groups)
{
	struct json *o = json_root(d), *ref = json_need_obj(d, o, "roleRef"),
		    *subjects = json_need_arr(d, o, "subjects");

	json_set_str(d, ref, "apiGroup", RBAC);
	json_set_str(d, ref, "kind", kind);
	json_set_str(d, ref, "name", role);
	for (; *groups; groups++) {
		struct json *subject = json_new_obj(d);

		json_set_str(d, subject, "kind", "Group");
		json_set_str(d, subject, "apiGroup", RBAC);
		json_set_str(d, subject, "name", *groups);
		json_append(d, subjects, subject);
	}
}

static void make_bindings(struct apiserver *s)
{
	static const char *const everybody[] = { "system:authenticated", "system:unauthenticated", NULL };
	struct json_doc *d;

	for (size_t i = 0; i < ARRAY_LEN(cluster_bindings); i++) {
		const char *const groups[] = { cluster_bindings[i].group, NULL };

		d = rbac_object("ClusterRoleBinding", NULL, cluster_bindings[i].name);
		add_binding(d, "ClusterRole", cluster_bindings[i].role, groups);
		objects_make(s->objects, RBAC, "clusterrolebindings", d);
	}
	d = rbac_object("ClusterRoleBinding", NULL, "system:public-info-viewer");
	add_binding(d, "ClusterRole", "system:public-info-viewer", everybody);
	objects_make(s->objects, RBAC, "clusterrolebindings", d);
	d = rbac_object("Role", "kube-system", "extension-apiserver-authentication-reader");
	set_literal(d, "rules",
		"[{'apiGroups':[''],'resources':['configmaps'],'resourceNames':['extension-apiserver-"
		"authentication'],"
		"'verbs':['get','list','watch']}]");
	objects_make(s->objects, RBAC, "roles", d);
}

/* What backends of aggregated APIs trust (5.4). */
static void make_front_proxy_config(struct apiserver *s)
{
	struct json_doc *d = object("v1", "ConfigMap", "kube-system", "extension-apiserver-authentication");
	struct json *data = json_need_obj(d, json_root(d), "data");

	json_set_str(d, data, "client-ca-file", s->pki.ca.cert_pem);
	json_set_str(d, data, "requestheader-client-ca-file", s->pki.front_ca.cert_pem);
	json_set_str(d, data, "requestheader-allowed-names", "[\"front-proxy-client\"]");
	json_set_str(d, data, "requestheader-username-headers", "[\"X-Remote-User\"]");
	json_set_str(d, data, "requestheader-uid-headers", "[\"X-Remote-Uid\"]");
	json_set_str(d, data, "requestheader-group-headers", "[\"X-Remote-Group\"]");
	json_set_str(d, data, "requestheader-extra-headers-prefix", "[\"X-Remote-Extra-\"]");
	objects_make(s->objects, "", "configmaps", d);
}

static void make_priority(struct apiserver *s, const char *name, int64_t value)
{
	struct json_doc *d = object("scheduling.k8s.io/v1", "PriorityClass", NULL, name);

	json_set_i64(d, json_root(d), "value", value);
	json_set_str(d, json_root(d), "description", "Used for system critical pods.");
	objects_make(s->objects, "scheduling.k8s.io", "priorityclasses", d);
}

void bootstrap_make(struct apiserver *s)
{
	static const char *const names[] = { "default", "kube-node-lease", "kube-public", "kube-system" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		objects_make(s->objects, "", "namespaces", object("v1", "Namespace", NULL, names[i]));
	make_roles(s);
	make_bindings(s);
	make_front_proxy_config(s);
	make_priority(s, "system-cluster-critical", 2000000000);
	make_priority(s, "system-node-critical", 2000001000);
}

/* ---- every namespace ---- */
struct namespaces {
	struct apiserver *s;
	struct bucket_watch watch;
};

static void furnish(struct apiserver *s, const char *ns)
{
	struct json_doc *d;

	if (s->bare)
		return;
	objects_make(s->objects, "", "serviceaccounts", object("v1", "ServiceAccount", ns, "default"));
	d = object("v1", "ConfigMap", ns, "kube-root-ca.crt");
	json_set_str(d, json_need_obj(d, json_root(d), "data"), "ca.crt", s->pki.ca.cert_pem);
	objects_make(s->objects, "", "configmaps", d);
}

static void namespace_changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct namespaces *n = CONTAINER_OF(w, struct namespaces, watch);

	if (c->type == BUCKET_ADDED)
		furnish(n->s, obj_name(c->obj));
}

static void namespace_gone(struct bucket_watch *w)
{
	(void)w;
}

struct namespaces *namespaces_new(struct apiserver *s)
{
	struct namespaces *n = MEM_NEW(struct namespaces);
	struct bucket *b = objects_bucket(s->objects, "namespaces");
	const struct obj *o;

	n->s = s;
	n->watch.change = namespace_changed;
	n->watch.gone = namespace_gone;
	for (size_t i = 0; (o = bucket_at(b, i)); i++)
		if (!obj_deleting(o))
			furnish(s, obj_name(o));
	bucket_watch_add(b, &n->watch, "");
	return n;
}

void namespaces_free(struct namespaces *n)
{
	if (!n)
		return;
	bucket_watch_remove(&n->watch);
	free(n);
}
