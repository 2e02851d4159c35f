/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments virt-api and virt-controller, DaemonSet virt-handler, and the budgets that keep one replica of each. */
#include "kubevirt/operator/render.h"

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

static struct json *container(const struct render_in *in, struct json_doc *d, enum component c)
{
	const struct operator_settings *s = in->settings;
	const char *pull = json_str_or(json_at(in->cr, "/spec/imagePullPolicy"), "IfNotPresent");
	struct json *o = render_lit(d,
		"{'name':'%s','image':'%s','imagePullPolicy':'%s','command':['/usr/libexec/coracle/%s'],"
		"'env':[{'name':'POD_NAME','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},{'name':'"
		"POD_NAMESPACE',"
		"'valueFrom':{'fieldRef':{'fieldPath':'metadata.namespace'}}},{'name':'NODE_NAME','valueFrom'"
		":{'fieldRef':"
		"{'fieldPath':'spec.nodeName'}}},{'name':'POD_IP','valueFrom':{'fieldRef':{'fieldPath':'"
		"status.podIP'}}},{'name':"
		"'KUBEVIRT_HOST_DIR','value':'%s'},{'name':'KUBEVIRT_VERSION','value':'%s'}],"
		"'ports':[{'name':'metrics','containerPort':8443,'protocol':'TCP'}],"
		"'resources':{'requests':{'cpu':'5m','memory':'16Mi'}},"
		"'readinessProbe':{'httpGet':{'scheme':'HTTPS','port':8443,'path':'/"
		"healthz'},'periodSeconds':10,'timeoutSeconds':5},"
		"'livenessProbe':{'httpGet':{'scheme':'HTTPS','port':8443,'path':'/"
		"healthz'},'initialDelaySeconds':15,"
		"'periodSeconds':10,'timeoutSeconds':10,'failureThreshold':6}}",
		component_name(c), in->target->images[c], pull, component_name(c), s->host_dir,
		in->target->version);

	for (size_t i = 0; i < s->extra_env.len; i++) {
		CLEANUP(mem_freep) char *copy = mem_strdup(s->extra_env.items[i]);
		char *value = copy;
		const char *name = str_next(&value, '=');
		struct json *env = json_new_obj(d);

		json_set_str(d, env, "name", name);
		json_set_str(d, env, "value", value ? value : "");
		json_append(d, json_get(o, "env"), env);
	}
	return o;
}

static struct json *pod_template(
	const struct render_in *in, struct json_doc *d, enum component c, const char *account, int grace)
{
	struct json *t = render_lit(d,
		"{'metadata':{'labels':{'%s':'%s','name':'%s','prometheus.kubevirt.io':'true'}},'spec':{'"
		"serviceAccountName':'%s',"
		"'priorityClassName':'kubevirt-cluster-critical','terminationGracePeriodSeconds':%d,'"
		"tolerations':[{'key':"
		"'CriticalAddonsOnly','operator':'Exists'}],'nodeSelector':{'kubernetes.io/"
		"os':'linux'},'containers':[]}}",
		LABEL_APP, component_name(c), component_name(c), account, grace);
	const struct json *secrets = json_at(in->cr, "/spec/imagePullSecrets");

	render_mark(d, t, in);
	json_append(d, json_at(t, "/spec/containers"), container(in, d, c));
	if (json_len(secrets))
		json_set_copy(d, json_get(t, "spec"), "imagePullSecrets", secrets);
	return t;
}

/* spec.infra or spec.workloads of the CR: where the pods go (operator.md 1.1). */
static void place(struct json_doc *d, struct json *template, const struct json *component)
{
	const struct json *p = json_get(component, "nodePlacement");
	struct json *spec = json_get(template, "spec");

	JSON_EACH (it, json_get(p, "nodeSelector"))
		json_set_copy(d, json_need_obj(d, spec, "nodeSelector"), it.key, it.val);
	JSON_EACH (it, json_get(p, "tolerations"))
		json_append(d, json_need_arr(d, spec, "tolerations"), json_copy(d, it.val));
	if (json_get(p, "affinity"))
		json_set_copy(d, spec, "affinity", json_get(p, "affinity"));
}

static int64_t replicas_of(const struct render_in *in)
{
	const struct json *wanted = json_at(in->cr, "/spec/infra/replicas");

	if (json_is_int(wanted) && json_i64(wanted) > 0)
		return json_i64(wanted);
	return in->nodes <= 1 ? 1 : 2;
}

static void add_budget(
	const struct render_in *in, struct rendering *r, enum component c, enum stage stage, int64_t replicas)
{
	if (replicas < 2)
		return; /* none for one replica: it would only block a drain (operator.md 2.7) */
	render_add(r, &kind_pdb, stage,
		render_lit(r->doc,
			"{'apiVersion':'policy/"
			"v1','kind':'PodDisruptionBudget','metadata':{'name':'%s-pdb','namespace':'%s'},"
			"'spec':{'minAvailable':%lld,'selector':{'matchLabels':{'%s':'%s'}}}}",
			component_name(c), in->settings->ns, (long long)(replicas - 1), LABEL_APP,
			component_name(c)));
}

static void add_deployment(const struct render_in *in, struct rendering *r, enum component c,
	enum stage stage, const char *account)
{
	struct json_doc *d = r->doc;
	int64_t replicas = replicas_of(in);
	struct json *o = render_lit(d,
		"{'apiVersion':'apps/"
		"v1','kind':'Deployment','metadata':{'name':'%s','namespace':'%s','labels':{'%s':'%s','name':"
		"'%s'}},'spec':{'replicas':%lld,'selector':{'matchLabels':{'%s':'%s'}},'strategy':{'type':'"
		"RollingUpdate',"
		"'rollingUpdate':{'maxSurge':1,'maxUnavailable':0}}}}",
		component_name(c), in->settings->ns, LABEL_APP, component_name(c), component_name(c),
		(long long)replicas, LABEL_APP, component_name(c));
	struct json *t = pod_template(in, d, c, account, c == COMPONENT_API ? 30 : 10);
	struct json *box = json_item(json_at(t, "/spec/containers"), 0);

	place(d, t, json_at(in->cr, "/spec/infra"));
	json_set(d, json_get(t, "spec"), "securityContext",
		render_lit(d, "{'runAsNonRoot':true,'runAsUser':1001}"));
	json_set(d, box, "securityContext",
		render_lit(d, "{'allowPrivilegeEscalation':false,'capabilities':{'drop':['ALL']}}"));
	if (c == COMPONENT_CONTROLLER) {
		json_append_str(d, json_get(box, "command"), "--launcher-image");
		json_append_str(d, json_get(box, "command"), in->target->images[COMPONENT_LAUNCHER]);
	}
	json_set(d, json_get(o, "spec"), "template", t);
	render_add(r, &kind_deployment, stage, o);
	add_budget(in, r, c, stage, replicas);
}

static void add_handler(const struct render_in *in, struct rendering *r)
{
	struct json_doc *d = r->doc;
	const char *host_dir = in->settings->host_dir;
	struct json *o = render_lit(d,
		"{'apiVersion':'apps/"
		"v1','kind':'DaemonSet','metadata':{'name':'virt-handler','namespace':'%s','labels':{'%s':"
		"'virt-handler'}},'spec':{'selector':{'matchLabels':{'%s':'virt-handler'}},'updateStrategy':{"
		"'type':'RollingUpdate',"
		"'rollingUpdate':{'maxUnavailable':1}}}}",
		in->settings->ns, LABEL_APP, LABEL_APP);
	struct json *t = pod_template(in, d, COMPONENT_HANDLER, KV_SA_HANDLER, 330);
	struct json *box = json_item(json_at(t, "/spec/containers"), 0);

	place(d, t, json_at(in->cr, "/spec/workloads"));
	json_set_bool(d, json_get(t, "spec"), "hostPID", true);
	json_set(d, box, "securityContext", render_lit(d, "{'privileged':true}"));
	json_append(d, json_get(box, "ports"),
		render_lit(d, "{'name':'console','containerPort':%d,'protocol':'TCP'}", KV_PORT_HANDLER));
	json_set(d, box, "volumeMounts",
		render_lit(d, "[{'name':'kubevirt-host-dir','mountPath':'%s'}]", host_dir));
	json_set(d, json_get(t, "spec"), "volumes",
		render_lit(d,
			"[{'name':'kubevirt-host-dir','hostPath':{'path':'%s','type':'DirectoryOrCreate'}}]",
			host_dir));
	json_set(d, json_get(o, "spec"), "template", t);
	render_add(r, &kind_daemonset, STAGE_HANDLER, o);
}

void render_workloads(const struct render_in *in, struct rendering *r)
{
	add_deployment(in, r, COMPONENT_API, STAGE_API, KV_SA_API);
	add_deployment(in, r, COMPONENT_CONTROLLER, STAGE_CONTROLLER, KV_SA_CONTROLLER);
	add_handler(in, r);
}
