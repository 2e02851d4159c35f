/* SPDX-License-Identifier: Apache-2.0 */
/* The KubeVirt CR. operator.md 1.6, rollout.md 1.3. */
#include "kubevirt/api/validate_impl.h"

#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/gates.h"

static bool listed(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), name))
			return true;
	return false;
}

static void check_gates(const struct json *conf, struct causes *causes)
{
	const struct json *dev = json_get(conf, "developerConfiguration");

	JSON_EACH (it, json_get(dev, "featureGates"))
		if (json_str(it.val) && listed(json_get(dev, "disabledFeatureGates"), json_str(it.val)))
			cause_text(causes, REASON_FORBIDDEN,
				"spec.configuration.developerConfiguration.featureGates",
				"feature gate %s is both enabled and disabled", json_str(it.val));
}

static void check_patches(const struct json *spec, struct causes *causes)
{
	JSON_EACH (it, json_at(spec, "/customizeComponents/patches")) {
		const char *text = json_get_str(it.val, "patch");
		CLEANUP(mem_freep) char *field = str_printf("spec.customizeComponents.patches[%zu]", it.i);
		struct err e;
		CLEANUP(json_doc_freep)
		struct json_doc *d =
			text ? json_parse(text, json_str_len(json_get(it.val, "patch")), &e) : NULL;
		if (!d)
			cause_text(causes, REASON_INVALID, field, "patch %s is not valid JSON: %s",
				text ? text : "", text ? e.msg : "missing");
	}
}

static bool duration(const struct json *strategy, const char *which, const char *key, int64_t *ret)
{
	const char *text = json_get_str(json_get(strategy, which), key);
	return text && time_parse_duration(text, ret);
}

static void check_certificates(const struct json *spec, struct causes *causes)
{
	static const char at[] = "spec.certificateRotateStrategy.selfSigned";
	const struct json *s = json_at(spec, "/certificateRotateStrategy/selfSigned");
	int64_t ca, server, before;
	bool old_style = json_get(s, "caRotateInterval") || json_get(s, "certRotateInterval") ||
			 json_get(s, "caOverlapInterval");

	if (old_style && (json_get(s, "ca") || json_get(s, "server")))
		cause_text(causes, REASON_INVALID, at,
			"caRotateInterval, certRotateInterval and caOverlapInterval are deprecated and "
			"conflict with ca and server");
	bool has_ca = duration(s, "ca", "duration", &ca),
	     has_server = duration(s, "server", "duration", &server);
	if (!has_ca)
		ca = 168LL * 3600 * 1000;
	if (!has_server)
		server = 24LL * 3600 * 1000;
	if (server > ca)
		cause_text(causes, REASON_INVALID, at, "server.duration exceeds ca.duration");
	if (duration(s, "ca", "renewBefore", &before) && before > ca)
		cause_text(causes, REASON_INVALID, at, "ca.renewBefore exceeds ca.duration");
	if (duration(s, "server", "renewBefore", &before) && before > server)
		cause_text(causes, REASON_INVALID, at, "server.renewBefore exceeds server.duration");
}

static void check_strategy(const struct json *spec, struct causes *causes)
{
	const struct json *w = json_get(spec, "workloadUpdateStrategy");
	static const char *const intervals[] = { "batchEvictionInterval", "batchEvictInterval" };
	int64_t ms;

	JSON_EACH (it, json_get(w, "workloadUpdateMethods"))
		if (!str_eq(json_str(it.val), "LiveMigrate") && !str_eq(json_str(it.val), "Evict"))
			cause_text(causes, REASON_NOT_SUPPORTED,
				"spec.workloadUpdateStrategy.workloadUpdateMethods",
				"unknown workload update method %s: LiveMigrate and Evict are known",
				json_str_or(it.val, "?"));
	for (size_t i = 0; i < ARRAY_LEN(intervals); i++) {
		CLEANUP(mem_freep) char *field = str_printf("spec.workloadUpdateStrategy.%s", intervals[i]);
		if (json_get_str(w, intervals[i]) && !time_parse_duration(json_get_str(w, intervals[i]), &ms))
			cause_text(causes, REASON_INVALID, field, "%s is not a duration such as 1m30s",
				json_get_str(w, intervals[i]));
	}
	const struct json *replicas = json_at(spec, "/infra/replicas");
	if (json_is_num(replicas) && json_i64(replicas) < 1)
		cause_text(causes, REASON_INVALID, "spec.infra.replicas", "infra replica count can't be 0");
}

void kubevirt_validate(const struct json *kv, const struct json *old, size_t count, struct causes *causes)
{
	const struct json *spec = json_get(kv, "spec");

	if (!old && count > 0)
		cause_text(causes, REASON_FORBIDDEN, "", "Kubevirt is already created");
	check_gates(json_get(spec, "configuration"), causes);
	check_patches(spec, causes);
	check_certificates(spec, causes);
	check_strategy(spec, causes);
}

void kubevirt_validate_delete(const struct json *kv, size_t vmis, struct causes *causes)
{
	if (str_eq(json_at_str(kv, "/spec/uninstallStrategy"), "BlockUninstallIfWorkloadsExist") && vmis > 0)
		cause_text(causes, REASON_FORBIDDEN, "",
			"Rejecting the uninstall request, since there are still Virtual Machine Instances "
			"present. Either delete all "
			"Virtual Machine Instances or change the uninstall strategy before uninstalling "
			"KubeVirt.");
}

void kubevirt_warnings(const struct json *kv, const struct json *old, struct strv *warnings)
{
	static const char *const spelling[][2] = { { "batchEvictSize", "batchEvictionSize" },
		{ "batchEvictInterval", "batchEvictionInterval" } };
	static const char dev[] = "/spec/configuration/developerConfiguration";
	const struct json *w = json_at(kv, "/spec/workloadUpdateStrategy");

	gates_warnings(json_at(kv, dev), json_at(old, dev), warnings);
	for (size_t i = 0; i < ARRAY_LEN(spelling); i++) /* decision 3 */
		if (json_get(w, spelling[i][0]))
			strv_addf(warnings,
				"spec.workloadUpdateStrategy.%s: the API's own name of this field is %s%s",
				spelling[i][0], spelling[i][1],
				json_get(w, spelling[i][1]) ? ", which is set too and wins" : "");
}
