/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/render.h"

#include "base/mem.h"
#include "base/yaml.h"
#include "kubevirt/api/crd.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"
#include "kubevirt/webhook/configs.h"

static void render_crds(struct rendering *r)
{
	for (size_t i = 0; kinds_own[i]; i++)
		if (kinds_own[i] != &kind_kubevirt)
			render_add(r, &kind_crd, STAGE_CRD, crd_render(r->doc, kinds_own[i]));
}

static void render_services(const struct render_in *in, struct rendering *r)
{
	static const struct {
		const char *name, *selector;
		int port;
		const char *target;
	} services[] = {
		{ KV_SERVICE_API, KV_VIRT_API, 443, "8443" },
		/* The operator's own hooks are answered by virt-api's program too: it has all rules of validation. */
		{ KV_SERVICE_OPERATOR_WEBHOOK, KV_VIRT_API, 443, "8443" },
	};

	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		render_add(r, &kind_service, STAGE_SERVICE,
			render_lit(r->doc,
				"{'apiVersion':'v1','kind':'Service','metadata':{'name':'%s','namespace':'%s'"
				",'labels':{'%s':'%s'}},"
				"'spec':{'selector':{'%s':'%s'},'type':'ClusterIP','ports':[{'port':%d,'"
				"targetPort':%s,"
				"'protocol':'TCP'}]}}",
				services[i].name, in->settings->ns, LABEL_APP, services[i].selector,
				LABEL_APP, services[i].selector, services[i].port, services[i].target));
	render_add(r, &kind_service, STAGE_SERVICE,
		render_lit(r->doc,
			"{'apiVersion':'v1','kind':'Service','metadata':{'name':'kubevirt-prometheus-metrics'"
			",'namespace':'%s',"
			"'labels':{'prometheus.kubevirt.io':'true'}},'spec':{'clusterIP':'None','selector':"
			"{'prometheus.kubevirt.io':'true'},'ports':[{'name':'metrics','port':443,'targetPort'"
			":8443,"
			"'protocol':'TCP'}]}}",
			in->settings->ns));
}

static void render_webhooks(const struct render_in *in, struct rendering *r)
{
	static const enum hook_side sides[] = { HOOK_MUTATING, HOOK_VALIDATING, HOOK_OPERATOR };
	static const char *const versions[] = { "v1", "v1alpha3" };

	for (size_t i = 0; i < ARRAY_LEN(sides); i++)
		render_add(r, sides[i] == HOOK_MUTATING ? &kind_mutatingwebhook : &kind_validatingwebhook,
			STAGE_WEBHOOK,
			webhook_config_render(r->doc, sides[i], in->settings->ns, NULL, in->ca_b64));
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		render_add(r, &kind_apiservice, STAGE_WEBHOOK,
			apiservice_render(r->doc, versions[i], in->settings->ns, in->ca_b64));
}

void render_install(const struct render_in *in, struct rendering *ret)
{
	struct rendering r = { .doc = json_doc_new() };

	render_crds(&r);
	render_rbac(in, &r);
	render_services(in, &r);
	render_webhooks(in, &r);
	render_workloads(in, &r);
	for (size_t i = 0; i < r.len; i++)
		render_mark(r.doc, r.items[i].o, in);
	*ret = r;
}

static void yaml_document(struct str *out, const struct json *o)
{
	str_add(out, "---\n");
	yaml_write(o, out);
}

/* Who virt-operator is, and what it may. */
static void manifest_rights(struct json_doc *d, const char *ns, struct str *out)
{
	struct json *role;

	yaml_document(out,
		render_lit(d,
			"{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'%s','namespace':'%s',"
			"'labels':{'%s':''}}}",
			KV_SA_OPERATOR, ns, LABEL_APP));
	role = render_lit(d,
		"{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':"
		"'kubevirt-operator','labels':{'%s':''}}}",
		LABEL_APP);
	json_set(d, role, "rules", render_operator_rules(d));
	yaml_document(out, role);
	yaml_document(out,
		render_lit(d,
			"{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRoleBinding','metadata':"
			"{'name':'kubevirt-operator','labels':{'%s':''}},'roleRef':{'apiGroup':'rbac."
			"authorization.k8s.io','kind':"
			"'ClusterRole','name':'kubevirt-operator'},'subjects':[{'kind':'ServiceAccount','"
			"name':'%s','namespace':'%s'}]}",
			LABEL_APP, KV_SA_OPERATOR, ns));
	yaml_document(out, render_lit(d,
				   "{'apiVersion':'rbac.authorization.k8s.io/"
				   "v1','kind':'RoleBinding','metadata':{'name':"
				   "'kubevirt-operator-auth-reader','namespace':'kube-system'},'roleRef':{'"
				   "apiGroup':'rbac.authorization.k8s.io',"
				   "'kind':'Role','name':'extension-apiserver-authentication-reader'},'"
				   "subjects':[{'kind':'ServiceAccount','name':"
				   "'%s','namespace':'%s'}]}",
				   KV_SA_OPERATOR, ns));
}

static void manifest_deployment(struct json_doc *d, const struct operator_settings *s, struct str *out)
{
	yaml_document(out,
		render_lit(d,
			"{'apiVersion':'apps/"
			"v1','kind':'Deployment','metadata':{'name':'virt-operator','namespace':'%s','labels'"
			":{'%s':"
			"'virt-operator'}},'spec':{'replicas':1,'selector':{'matchLabels':{'%s':'virt-"
			"operator'}},'strategy':{'type':"
			"'RollingUpdate'},'template':{'metadata':{'labels':{'%s':'virt-operator','name':'"
			"virt-operator',"
			"'prometheus.kubevirt.io':'true'},'annotations':{'openshift.io/"
			"required-scc':'restricted-v2'}},'spec':{"
			"'serviceAccountName':'%s','priorityClassName':'kubevirt-cluster-critical','"
			"terminationGracePeriodSeconds':10,"
			"'tolerations':[{'key':'CriticalAddonsOnly','operator':'Exists'}],'nodeSelector':{'"
			"kubernetes.io/os':'linux'},"
			"'containers':[{'name':'virt-operator','image':'%s','imagePullPolicy':'IfNotPresent',"
			"'command':"
			"['/usr/libexec/coracle/"
			"virt-operator'],'env':[{'name':'VIRT_OPERATOR_IMAGE','value':'%s'},{'name':"
			"'KUBEVIRT_VERSION','value':'%s'},{'name':'KUBEVIRT_HOST_DIR','value':'%s'},{'name':'"
			"POD_NAME','valueFrom':{"
			"'fieldRef':{'fieldPath':'metadata.name'}}},{'name':'POD_NAMESPACE','valueFrom':{'"
			"fieldRef':{'fieldPath':"
			"'metadata.namespace'}}}],'resources':{'requests':{'cpu':'10m','memory':'16Mi'}},'"
			"securityContext':{"
			"'allowPrivilegeEscalation':false,'capabilities':{'drop':['ALL']},'runAsUser':1001}}]"
			",'securityContext':{"
			"'runAsNonRoot':true}}}}}",
			s->ns, LABEL_APP, LABEL_APP, LABEL_APP, KV_SA_OPERATOR, s->images[COMPONENT_OPERATOR],
			s->images[COMPONENT_OPERATOR], s->version, s->host_dir));
}

void render_manifest(const struct operator_settings *s, struct str *out)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	yaml_document(out,
		render_lit(d,
			"{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s','labels':{'%s':'',"
			"'pod-security.kubernetes.io/enforce':'privileged'}}}",
			s->ns, LABEL_APP));
	yaml_document(out, crd_render(d, &kind_kubevirt));
	yaml_document(out,
		render_lit(d,
			"{'apiVersion':'scheduling.k8s.io/v1','kind':'PriorityClass','metadata':{'name':"
			"'kubevirt-cluster-critical'},'value':1000000000,'globalDefault':false,'description':"
			"'For the control plane of virtual machines.'}"));
	manifest_rights(d, s->ns, out);
	manifest_deployment(d, s, out);
}

void render_cr(const struct operator_settings *s, struct str *out)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	yaml_document(out, render_lit(d,
				   "{'apiVersion':'kubevirt.io/"
				   "v1','kind':'KubeVirt','metadata':{'name':'%s','namespace':"
				   "'%s'},'spec':{'certificateRotateStrategy':{},'configuration':{'"
				   "developerConfiguration':{}},'customizeComponents':{},"
				   "'imagePullPolicy':'IfNotPresent','workloadUpdateStrategy':{}}}",
				   KV_CR_NAME_DEFAULT, s->ns));
}
