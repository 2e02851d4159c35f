/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/webhook/configs.h"

#include "base/mem.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#define HOOK_TIMEOUT_SECONDS 10

static void add_rule(struct json_doc *d, struct json *hook, const struct hook *h)
{
	struct json *rule = json_new_obj(d);
	CLEANUP(mem_freep) char *list = mem_strdup(h->operations);
	char *rest = list;

	json_append_str(d, json_need_arr(d, rule, "apiGroups"), h->kind->group);
	json_append_str(d, json_need_arr(d, rule, "apiVersions"), h->kind->version);
	if (str_eq(h->kind->group, KV_GROUP))
		json_append_str(d, json_need_arr(d, rule, "apiVersions"), "v1alpha3");
	for (char *op; (op = str_next(&rest, ','));)
		json_append_str(d, json_need_arr(d, rule, "operations"), op);
	CLEANUP(mem_freep)
	char *resource = str_printf("%s%s%s", h->kind->plural, h->sub ? "/" : "", h->sub ? h->sub : "");
	json_append_str(d, json_need_arr(d, rule, "resources"), resource);
	json_append(d, json_need_arr(d, hook, "rules"), rule);
}

struct json *webhook_config_render(
	struct json_doc *d, enum hook_side side, const char *ns, const char *service, const char *ca_b64)
{
	static const struct {
		const struct kind *kind;
		const char *name, *service, *label;
	} configs[] = {
		[HOOK_MUTATING] = { &kind_mutatingwebhook, "virt-api-mutator", KV_SERVICE_API, KV_VIRT_API },
		[HOOK_VALIDATING] = { &kind_validatingwebhook, "virt-api-validator", KV_SERVICE_API,
			KV_VIRT_API },
		/* KubeVirt's operator answers these itself; here virt-api does, under the name in its certificate. */
		[HOOK_OPERATOR] = { &kind_validatingwebhook, "virt-operator-validator", KV_SERVICE_API,
			KV_VIRT_OPERATOR },
	};
	struct json *o = json_new_obj(d), *list = json_new_arr(d);
	char version[KIND_API_VERSION_MAX];

	json_set_str(d, o, "apiVersion", kind_api_version(configs[side].kind, version));
	json_set_str(d, o, "kind", configs[side].kind->kind);
	struct json *meta = json_need_obj(d, o, "metadata");
	json_set_str(d, meta, "name", configs[side].name);
	json_set_str(d, json_need_obj(d, meta, "labels"), LABEL_APP, configs[side].label);
	json_set(d, o, "webhooks", list);
	for (const struct hook *h = hooks; h->path; h++) {
		if (h->side != side)
			continue;
		struct json *hook = json_new_obj(d);
		json_set_str(d, hook, "name", h->name);
		json_append_str(d, json_need_arr(d, hook, "admissionReviewVersions"), "v1");
		struct json *client = json_need_obj(d, hook, "clientConfig");
		struct json *svc = json_need_obj(d, client, "service");
		json_set_str(d, svc, "namespace", ns);
		json_set_str(d, svc, "name", service ? service : configs[side].service);
		json_set_str(d, svc, "path", h->path);
		json_set_i64(d, svc, "port", 443);
		json_set_str(d, client, "caBundle", ca_b64);
		json_set_str(d, hook, "failurePolicy", h->may_be_missed ? "Ignore" : "Fail");
		json_set_str(d, hook, "matchPolicy", "Equivalent");
		json_set_str(d, hook, "sideEffects", "None");
		json_set_i64(d, hook, "timeoutSeconds", HOOK_TIMEOUT_SECONDS);
		add_rule(d, hook, h);
		if (h->when) {
			struct json *when = json_new_obj(d);
			json_set_str(d, when, "name", "concerns-us");
			json_set_str(d, when, "expression", h->when);
			json_append(d, json_need_arr(d, hook, "matchConditions"), when);
		}
		json_append(d, list, hook);
	}
	return o;
}

struct json *apiservice_render(struct json_doc *d, const char *version, const char *ns, const char *ca_b64)
{
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "apiVersion", "apiregistration.k8s.io/v1");
	json_set_str(d, o, "kind", "APIService");
	struct json *meta = json_need_obj(d, o, "metadata");
	json_set_strf(d, meta, "name", "%s.subresources.kubevirt.io", version);
	json_set_str(d, json_need_obj(d, meta, "labels"), LABEL_APP, "virt-api-aggregator");
	struct json *spec = json_need_obj(d, o, "spec");
	json_set_str(d, spec, "group", "subresources.kubevirt.io");
	json_set_str(d, spec, "version", version);
	json_set_i64(d, spec, "groupPriorityMinimum", 1000);
	json_set_i64(d, spec, "versionPriority", 15);
	json_set_str(d, spec, "caBundle", ca_b64);
	struct json *svc = json_need_obj(d, spec, "service");
	json_set_str(d, svc, "namespace", ns);
	json_set_str(d, svc, "name", KV_SERVICE_API);
	json_set_i64(d, svc, "port", 443);
	return o;
}
