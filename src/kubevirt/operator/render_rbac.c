/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and rights. One table: who may do what; roles, bindings and the operator's union follow. */
#include "kubevirt/operator/render.h"

#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#define READ "get,list,watch"
#define WRITE "get,list,watch,create,update,patch,delete"

enum role {
	ROLE_API,
	ROLE_CONTROLLER,
	ROLE_HANDLER,
	ROLE_OPERATOR,
	ROLE_ADMIN,
	ROLE_EDIT,
	ROLE_VIEW,
	ROLE_DEFAULT,
	ROLE_IT_VIEW,
	ROLE_MAX
};

static const struct {
	const char *name;
	const char *account; /* bound to this ServiceAccount; NULL: not bound here */
	const char *label;   /* aggregated into this built-in role */
} roles[ROLE_MAX] = {
	[ROLE_API] = { "kubevirt-apiserver", KV_SA_API, NULL },
	[ROLE_CONTROLLER] = { "kubevirt-controller", KV_SA_CONTROLLER, NULL },
	[ROLE_HANDLER] = { "kubevirt-handler", KV_SA_HANDLER, NULL },
	[ROLE_OPERATOR] = { "kubevirt-operator", KV_SA_OPERATOR, NULL },
	[ROLE_ADMIN] = { "kubevirt.io:admin", NULL, "rbac.authorization.k8s.io/aggregate-to-admin" },
	[ROLE_EDIT] = { "kubevirt.io:edit", NULL, "rbac.authorization.k8s.io/aggregate-to-edit" },
	[ROLE_VIEW] = { "kubevirt.io:view", NULL, "rbac.authorization.k8s.io/aggregate-to-view" },
	[ROLE_DEFAULT] = { "kubevirt.io:default", NULL, NULL },
	[ROLE_IT_VIEW] = { "instancetype.kubevirt.io:view", NULL, NULL },
};

#define VM_KINDS                                                                    \
	"virtualmachines,virtualmachineinstances,virtualmachineinstancemigrations," \
	"virtualmachineinstancereplicasets"
#define IT_KINDS                                                                                    \
	"virtualmachineinstancetypes,virtualmachineclusterinstancetypes,virtualmachinepreferences," \
	"virtualmachineclusterpreferences"
#define IT_CLUSTER_KINDS "virtualmachineclusterinstancetypes,virtualmachineclusterpreferences"
#define VM_SUBS                                                                                         \
	"virtualmachines/start,virtualmachines/stop,virtualmachines/restart,virtualmachines/addvolume," \
	"virtualmachines/removevolume,virtualmachines/migrate,virtualmachines/portforward"
#define VMI_READ_SUBS                                                  \
	"virtualmachineinstances/guestosinfo,virtualmachineinstances/" \
	"filesystemlist,virtualmachineinstances/userlist"
#define VMI_SUBS                                                                                            \
	"virtualmachineinstances/pause,virtualmachineinstances/unpause,virtualmachineinstances/softreboot," \
	"virtualmachineinstances/reset,virtualmachineinstances/freeze,virtualmachineinstances/unfreeze,"    \
	"virtualmachineinstances/addvolume,virtualmachineinstances/removevolume"
#define VMI_STREAMS \
	"virtualmachineinstances/console,virtualmachineinstances/vnc,virtualmachineinstances/portforward"

static const struct {
	enum role role;
	const char *groups, *resources, *verbs;
} rules[] = {
	/* virt-api: checks requests, acts on VMs for users, finds what reviews need */
	{ ROLE_API, "kubevirt.io", "*", "get,list,watch,update,patch,create,delete" },
	{ ROLE_API, "instancetype.kubevirt.io,migrations.kubevirt.io", "*", READ },
	{ ROLE_API, "", "pods,nodes,namespaces,secrets,persistentvolumeclaims,configmaps,serviceaccounts",
		READ },
	{ ROLE_API, "apps", "controllerrevisions", READ },
	/* which instance type suits a volume */
	{ ROLE_API, "cdi.kubevirt.io", "datavolumes,datasources", "get" },
	{ ROLE_API, "snapshot.storage.k8s.io", "volumesnapshots", "get" },
	{ ROLE_API, "authorization.k8s.io", "subjectaccessreviews", "create" },
	{ ROLE_API, "", "events", "create,patch,update" },
	/* virt-controller */
	{ ROLE_CONTROLLER, "kubevirt.io", "*", "*" },
	{ ROLE_CONTROLLER, "instancetype.kubevirt.io,migrations.kubevirt.io", "*", WRITE },
	{ ROLE_CONTROLLER, "", "pods,configmaps,persistentvolumeclaims,secrets", WRITE },
	{ ROLE_CONTROLLER, "", "pods/status,pods/resize", "get,patch,update" },
	{ ROLE_CONTROLLER, "", "pods/eviction", "create" },
	{ ROLE_CONTROLLER, "", "pods/finalizers", "update" },
	{ ROLE_CONTROLLER, "", "nodes", "get,list,watch,patch,update" },
	{ ROLE_CONTROLLER, "", "namespaces,resourcequotas,limitranges,serviceaccounts", READ },
	{ ROLE_CONTROLLER, "", "events", "create,patch,update,list,watch" },
	{ ROLE_CONTROLLER, "apps", "controllerrevisions", WRITE },
	{ ROLE_CONTROLLER, "apps", "deployments,daemonsets", READ },
	{ ROLE_CONTROLLER, "policy", "poddisruptionbudgets", WRITE },
	{ ROLE_CONTROLLER, "storage.k8s.io", "storageclasses", READ },
	{ ROLE_CONTROLLER, "coordination.k8s.io", "leases", WRITE },
	{ ROLE_CONTROLLER, "subresources.kubevirt.io", "*", "get,update" },
	/* virt-handler */
	{ ROLE_HANDLER, "kubevirt.io", "virtualmachineinstances", "get,list,watch,update,patch" },
	{ ROLE_HANDLER, "kubevirt.io", "kubevirts,virtualmachineinstancemigrations", READ },
	{ ROLE_HANDLER, "", "nodes", "get,list,watch,patch,update" },
	{ ROLE_HANDLER, "", "nodes/status", "get,patch,update" },
	{ ROLE_HANDLER, "", "pods,configmaps,secrets,persistentvolumeclaims,persistentvolumes", READ },
	{ ROLE_HANDLER, "", "events", "create,patch,update" },
	/* virt-operator: besides the union of all of the above */
	{ ROLE_OPERATOR, "kubevirt.io", "*", "*" },
	{ ROLE_OPERATOR, "apiextensions.k8s.io", "customresourcedefinitions,customresourcedefinitions/status",
		WRITE },
	{ ROLE_OPERATOR, "admissionregistration.k8s.io", "*", WRITE },
	{ ROLE_OPERATOR, "apiregistration.k8s.io", "apiservices", WRITE },
	{ ROLE_OPERATOR, "rbac.authorization.k8s.io", "clusterroles,clusterrolebindings,roles,rolebindings",
		WRITE },
	{ ROLE_OPERATOR, "rbac.authorization.k8s.io", "clusterroles,roles", "bind,escalate" },
	{ ROLE_OPERATOR, "", "services,serviceaccounts,secrets,configmaps,pods,endpoints", WRITE },
	{ ROLE_OPERATOR, "", "namespaces,nodes", "get,list,watch,patch,update" },
	{ ROLE_OPERATOR, "", "events", "create,patch,update,list,watch" },
	{ ROLE_OPERATOR, "apps", "deployments,daemonsets,controllerrevisions,replicasets", WRITE },
	{ ROLE_OPERATOR, "batch", "jobs", WRITE },
	{ ROLE_OPERATOR, "policy", "poddisruptionbudgets", WRITE },
	{ ROLE_OPERATOR, "coordination.k8s.io", "leases", WRITE },
	{ ROLE_OPERATOR, "scheduling.k8s.io", "priorityclasses", READ },
	{ ROLE_OPERATOR, "instancetype.kubevirt.io,migrations.kubevirt.io", "*", WRITE },
	{ ROLE_OPERATOR, "authorization.k8s.io", "subjectaccessreviews", "create" },
	{ ROLE_OPERATOR, "subresources.kubevirt.io", "*", "get,update" },
	/* people */
	{ ROLE_ADMIN, "kubevirt.io", VM_KINDS, WRITE ",deletecollection" },
	{ ROLE_ADMIN, "subresources.kubevirt.io", VM_SUBS "," VMI_SUBS, "update" },
	{ ROLE_ADMIN, "subresources.kubevirt.io", VMI_STREAMS "," VMI_READ_SUBS, "get" },
	{ ROLE_ADMIN, "subresources.kubevirt.io", "virtualmachines/expand-spec,virtualmachines/portforward",
		"get" },
	{ ROLE_ADMIN, "subresources.kubevirt.io", "expand-vm-spec", "update" },
	{ ROLE_ADMIN, "instancetype.kubevirt.io", IT_KINDS, WRITE ",deletecollection" },
	{ ROLE_EDIT, "kubevirt.io", VM_KINDS, WRITE },
	{ ROLE_EDIT, "subresources.kubevirt.io", VM_SUBS "," VMI_SUBS, "update" },
	{ ROLE_EDIT, "subresources.kubevirt.io", VMI_STREAMS "," VMI_READ_SUBS, "get" },
	{ ROLE_EDIT, "subresources.kubevirt.io", "virtualmachines/expand-spec,virtualmachines/portforward",
		"get" },
	{ ROLE_EDIT, "subresources.kubevirt.io", "expand-vm-spec", "update" },
	{ ROLE_EDIT, "instancetype.kubevirt.io", IT_KINDS, WRITE },
	{ ROLE_VIEW, "kubevirt.io", VM_KINDS ",kubevirts", READ },
	{ ROLE_VIEW, "subresources.kubevirt.io", VMI_READ_SUBS, "get" },
	{ ROLE_VIEW, "subresources.kubevirt.io", "virtualmachines/expand-spec", "get" },
	{ ROLE_VIEW, "subresources.kubevirt.io", "expand-vm-spec", "update" },
	{ ROLE_VIEW, "instancetype.kubevirt.io", IT_KINDS, READ },
	{ ROLE_DEFAULT, "subresources.kubevirt.io", "version,guestfs", "get,list" },
	{ ROLE_IT_VIEW, "instancetype.kubevirt.io", IT_CLUSTER_KINDS, READ },
};

static struct json *words(struct json_doc *d, const char *text)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	struct json *list = json_new_arr(d);
	char *rest = copy;

	if (!*text)
		json_append_str(d, list, "");
	else
		while (rest)
			json_append_str(d, list, str_next(&rest, ','));
	return list;
}

static struct json *rules_of(struct json_doc *d, enum role role, bool all_components)
{
	struct json *list = json_new_arr(d);

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct json *rule;

		if (rules[i].role != role && !(all_components && rules[i].role < ROLE_OPERATOR))
			continue;
		rule = json_new_obj(d);
		json_set(d, rule, "apiGroups", words(d, rules[i].groups));
		json_set(d, rule, "resources", words(d, rules[i].resources));
		json_set(d, rule, "verbs", words(d, rules[i].verbs));
		json_append(d, list, rule);
	}
	return list;
}

struct json *render_operator_rules(struct json_doc *d)
{
	struct json *list = rules_of(d, ROLE_OPERATOR, true);

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct json *rule;

		if (rules[i].role <= ROLE_OPERATOR)
			continue;
		rule = json_new_obj(d);
		json_set(d, rule, "apiGroups", words(d, rules[i].groups));
		json_set(d, rule, "resources", words(d, rules[i].resources));
		json_set(d, rule, "verbs", words(d, rules[i].verbs));
		json_append(d, list, rule);
	}
	return list;
}

static void render_account(const struct render_in *in, struct rendering *r, enum role role)
{
	const char *ns = in->settings->ns;
	const char *account = roles[role].account;

	render_add(r, &kind_serviceaccount, STAGE_RBAC,
		render_lit(r->doc,
			"{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'%s','namespace':'%s'}"
			"}",
			account, ns));
	render_add(r, &kind_clusterrolebinding, STAGE_RBAC,
		render_lit(r->doc,
			"{'apiVersion':'rbac.authorization.k8s.io/"
			"v1','kind':'ClusterRoleBinding','metadata':{'name':'%s'},"
			"'roleRef':{'apiGroup':'rbac.authorization.k8s.io','kind':'ClusterRole','name':'%s'},"
			"'subjects':[{'kind':'ServiceAccount','name':'%s','namespace':'%s'}]}",
			roles[role].name, roles[role].name, account, ns));
}

void render_rbac(const struct render_in *in, struct rendering *r)
{
	for (enum role role = 0; role < ROLE_MAX; role++) {
		struct json *o;

		if (role == ROLE_OPERATOR)
			continue; /* comes with the manifest */
		o = render_lit(r->doc,
			"{'apiVersion':'rbac.authorization.k8s.io/"
			"v1','kind':'ClusterRole','metadata':{'name':'%s'}}",
			roles[role].name);
		if (roles[role].label)
			json_set_str(r->doc, json_need_obj(r->doc, json_get(o, "metadata"), "labels"),
				roles[role].label, "true");
		json_set(r->doc, o, "rules", rules_of(r->doc, role, false));
		render_add(r, &kind_clusterrole, STAGE_RBAC, o);
		if (roles[role].account)
			render_account(in, r, role);
	}
	render_add(r, &kind_clusterrolebinding, STAGE_RBAC,
		render_lit(r->doc,
			"{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding',"
			"'metadata':{'name':'kubevirt.io:default'},'roleRef':{'apiGroup':'rbac.authorization."
			"k8s.io',"
			"'kind':'ClusterRole','name':'kubevirt.io:default'},'subjects':[{'kind':'Group',"
			"'apiGroup':'rbac.authorization.k8s.io','name':'system:authenticated'},{'kind':'"
			"Group',"
			"'apiGroup':'rbac.authorization.k8s.io','name':'system:unauthenticated'}]}"));
	/* Everybody may choose among the cluster's types (kubevirt-api.md 10). */
	render_add(r, &kind_clusterrolebinding, STAGE_RBAC,
		render_lit(r->doc,
			"{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding',"
			"'metadata':{'name':'instancetype.kubevirt.io:view'},'roleRef':{'apiGroup':"
			"'rbac.authorization.k8s.io','kind':'ClusterRole','name':'instancetype.kubevirt.io:"
			"view'},"
			"'subjects':[{'kind':'Group','apiGroup':'rbac.authorization.k8s.io','name':"
			"'system:authenticated'}]}"));
	/* virt-api authenticates the aggregator by a ConfigMap of kube-system (kubernetes-api.md 5.4) */
	render_add(r, &kind_rolebinding, STAGE_RBAC,
		render_lit(r->doc,
			"{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'RoleBinding','metadata':"
			"{'name':'kubevirt-apiserver-auth-reader','namespace':'kube-system'},'roleRef':{'"
			"apiGroup':"
			"'rbac.authorization.k8s.io','kind':'Role','name':'extension-apiserver-"
			"authentication-reader'},"
			"'subjects':[{'kind':'ServiceAccount','name':'%s','namespace':'%s'}]}",
			KV_SA_API, in->settings->ns));
}
