/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/pod_check.h"

#include <arpa/inet.h>
#include <string.h>

#include "api/quantity.h"
#include "api/semantics.h"
#include "base/mem.h"

#define PORT_NAME_MAX 15
#define PORT_MAX 65535

/* Where something is, as text that lives as long as the block. */
#define AT(name, ...) CLEANUP(mem_freep) char *name = str_printf(__VA_ARGS__)

static bool one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* ---- ports ---- */

static void port_name_check(const struct json *v, const char *at, struct causes *c)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz", digits[] = "0123456789";
	const char *s = json_str(v);
	size_t n = strlen(s);
	bool letter = false, other = false;

	for (size_t i = 0; i < n; i++) {
		letter |= one_of(s[i], letters);
		other |= !one_of(s[i], letters) && !one_of(s[i], digits) && s[i] != '-' &&
			 !(s[i] >= 'A' && s[i] <= 'Z');
		letter |= s[i] >= 'A' && s[i] <= 'Z';
	}
	if (n > PORT_NAME_MAX)
		cause_invalid(c, at, v, "must be no more than %d characters", PORT_NAME_MAX);
	if (other || n == 0)
		cause_invalid(
			c, at, v, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
	if (!letter && !other)
		cause_invalid(c, at, v, "must contain at least one letter (a-z)");
	if (strstr(s, "--"))
		cause_invalid(c, at, v, "must not contain consecutive hyphens");
	if (n > 0 && (s[0] == '-' || s[n - 1] == '-'))
		cause_invalid(c, at, v, "must not begin or end with a hyphen");
}

void port_check(const struct json *port, const char *at, struct causes *c)
{
	if (json_is_str(port))
		port_name_check(port, at, c);
	else if (json_i64(port) < 1 || json_i64(port) > PORT_MAX)
		cause_invalid(c, at, port, "must be between 1 and %d, inclusive", PORT_MAX);
}

static void ports_check(const struct json *ports, const char *at, bool host_network, struct causes *c)
{
	CLEANUP(strv_done) struct strv names = { 0 };

	JSON_EACH (it, ports) {
		const struct json *name = json_get(it.val, "name"), *host = json_get(it.val, "hostPort");
		AT(name_at, "%s.ports[%zu].name", at, it.i);
		AT(host_at, "%s.ports[%zu].hostPort", at, it.i);

		if (json_str_len(name) > 0) {
			port_name_check(name, name_at, c);
			if (strv_has(&names, json_str(name)))
				cause_duplicate(c, name_at, name);
			strv_add(&names, json_str(name));
		}
		if (host_network && json_i64(host) != json_i64(json_get(it.val, "containerPort")))
			cause_invalid(
				c, host_at, host, "must match `containerPort` when `hostNetwork` is true");
	}
}

/* ---- handlers ---- */

/* How many of the members there are; the only one in *ret. */
static size_t members_of(const struct json *o, const char *const *names, const char **ret)
{
	size_t n = 0;

	for (; *names; names++)
		if (!json_is_null(json_get(o, *names))) {
			*ret = *names;
			n++;
		}
	return n;
}

static void handler_check(const struct json *h, const char *at, struct causes *c)
{
	static const char *const kinds[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep", NULL };
	const char *kind = NULL;
	size_t n = members_of(h, kinds, &kind);

	if (n == 0) {
		cause_required(c, at, "must specify a handler type");
		return;
	}
	if (n > 1) {
		AT(kind_at, "%s.%s", at, kind);
		cause_forbidden(c, kind_at, "may not specify more than 1 handler type");
		return;
	}
	const struct json *v = json_get(h, kind);
	if (str_eq(kind, "exec")) {
		AT(command_at, "%s.exec.command", at);
		if (json_len(json_get(v, "command")) == 0)
			cause_required(c, command_at, NULL);
	} else if (!str_eq(kind, "sleep")) {
		AT(port_at, "%s.%s.port", at, kind);
		port_check(json_get(v, "port"), port_at, c);
	}
}

static void handlers_check(const struct json *container, const char *at, struct causes *c)
{
	static const char *const paths[] = { "livenessProbe", "readinessProbe", "startupProbe" };
	static const char *const events[] = { "postStart", "preStop" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		AT(probe_at, "%s.%s", at, paths[i]);
		if (json_get(container, paths[i]))
			handler_check(json_get(container, paths[i]), probe_at, c);
	}
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		const struct json *h = json_get(json_get(container, "lifecycle"), events[i]);
		AT(event_at, "%s.lifecycle.%s", at, events[i]);
		if (h)
			handler_check(h, event_at, c);
	}
}

/* ---- environment ---- */

static void env_check(const struct json *env, const char *at, struct causes *c)
{
	static const char *const sources[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef",
		"secretKeyRef", "fileKeyRef", NULL };

	JSON_EACH (it, env) {
		const struct json *from = json_get(it.val, "valueFrom");
		AT(name_at, "%s.env[%zu].name", at, it.i);
		AT(from_at, "%s.env[%zu].valueFrom", at, it.i);
		AT(path_at, "%s.fieldRef.fieldPath", from_at);
		const char *which = NULL;
		size_t n = members_of(from, sources, &which);

		if (json_str_len(json_get(it.val, "name")) == 0)
			cause_required(c, name_at, NULL);
		if (!from)
			continue;
		if (json_str_len(json_get(it.val, "value")) > 0 && n > 0)
			cause_text(c, "FieldValueInvalid", from_at,
				"Invalid value: \"\": may not be specified when `value` is not empty");
		else if (n == 0)
			cause_text(c, "FieldValueInvalid", from_at,
				"Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, "
				"`configMapKeyRef` or `secretKeyRef`");
		else if (n > 1)
			cause_text(c, "FieldValueInvalid", from_at,
				"Invalid value: \"\": may not have more than one field specified at a time");
		else if (str_eq(which, "fieldRef") &&
			 json_str_len(json_get(json_get(from, "fieldRef"), "fieldPath")) == 0)
			cause_required(c, path_at, NULL);
	}
}

/* ---- resources ---- */

static void resources_check(const struct json *resources, const char *at, struct causes *c)
{
	static const char *const lists[] = { "limits", "requests" };
	const struct json *limits = json_get(resources, "limits");

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		JSON_EACH (it, json_get(resources, lists[i])) {
			AT(one_at, "%s.resources.%s[%s]", at, lists[i], it.key);
			struct quantity q;

			if (quantity_from_json(it.val, &q, NULL) == 0 && q.value < 0)
				cause_invalid(c, one_at, it.val, "must be greater than or equal to 0");
		}
	JSON_EACH (it, json_get(resources, "requests")) {
		const struct json *limit = json_get(limits, it.key);
		AT(requests_at, "%s.resources.requests", at);
		struct quantity asked, most;
		char text[QUANTITY_TEXT_MAX];

		if (limit && quantity_from_json(it.val, &asked, NULL) == 0 &&
			quantity_from_json(limit, &most, NULL) == 0 && quantity_cmp(&asked, &most) > 0)
			cause_invalid(c, requests_at, it.val, "must be less than or equal to %s limit of %s",
				it.key, quantity_text(&most, text));
	}
}

static void mounts_check(const struct json *mounts, const char *at, struct causes *c)
{
	CLEANUP(strv_done) struct strv paths = { 0 };

	JSON_EACH (it, mounts) {
		const struct json *path = json_get(it.val, "mountPath");
		AT(path_at, "%s.volumeMounts[%zu].mountPath", at, it.i);

		if (json_str_len(path) == 0)
			cause_required(c, path_at, NULL);
		else if (strv_has(&paths, json_str(path)))
			cause_invalid(c, path_at, path, "must be unique");
		else
			strv_add(&paths, json_str(path));
	}
}

/* ---- the pod's own ---- */

static void volumes_check(const struct json *volumes, const char *at, struct causes *c)
{
	static const char *const needed[][2] = { { "secret", "secretName" }, { "configMap", "name" },
		{ "persistentVolumeClaim", "claimName" }, { "hostPath", "path" } };

	JSON_EACH (it, volumes) {
		const struct json *name = json_get(it.val, "name");
		AT(one_at, "%s.volumes[%zu]", at, it.i);
		AT(name_at, "%s.name", one_at);
		size_t n = 0;

		if (json_str_len(name) > 0 && !name_is_dns1123_label(json_str(name)))
			cause_invalid(c, name_at, name, "%s", DNS_LABEL_TEXT);
		for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
			const struct json *source = json_get(it.val, needed[i][0]);
			AT(key_at, "%s.%s.%s", one_at, needed[i][0], needed[i][1]);

			if (source && json_str_len(json_get(source, needed[i][1])) == 0)
				cause_required(c, key_at, NULL);
		}
		JSON_EACH (m, it.val) {
			AT(source_at, "%s.%s", one_at, m.key);

			if (!str_eq(m.key, "name") && n++ > 0)
				cause_forbidden(c, source_at, "may not specify more than 1 volume type");
		}
	}
}

static void tolerations_check(const struct json *tolerations, const char *at, struct causes *c)
{
	JSON_EACH (it, tolerations) {
		const struct json *value = json_get(it.val, "value"), *op = json_get(it.val, "operator");
		const struct json *effect = json_get(it.val, "effect");
		bool exists = str_eq(json_str(op), "Exists");
		AT(one_at, "%s.tolerations[%zu]", at, it.i);
		AT(op_at, "%s.operator", one_at);
		AT(effect_at, "%s.effect", one_at);

		if (json_str_len(json_get(it.val, "key")) == 0 && !exists)
			cause_text(c, "FieldValueInvalid", op_at,
				"Invalid value: \"%s\": operator must be Exists when `key` is empty, which "
				"means \"match all values and all keys\"",
				json_str_or(op, ""));
		if (exists && json_str_len(value) > 0)
			cause_text(c, "FieldValueInvalid", op_at,
				"Invalid value: \"%s\": value must be empty when `operator` is 'Exists'",
				json_str(value));
		if (json_get(it.val, "tolerationSeconds") && !str_eq(json_str(effect), "NoExecute"))
			cause_text(c, "FieldValueInvalid", effect_at,
				"Invalid value: \"%s\": effect must be 'NoExecute' when `tolerationSeconds` "
				"is "
				"set",
				json_str_or(effect, ""));
	}
}

static bool is_address(const char *s)
{
	unsigned char buf[sizeof(struct in6_addr)];

	return s && (inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1);
}

static void aliases_check(const struct json *aliases, const char *at, struct causes *c)
{
	JSON_EACH (it, aliases) {
		AT(ip_at, "%s.hostAliases[%zu].ip", at, it.i);

		if (!is_address(json_get_str(it.val, "ip")))
			cause_text(c, "FieldValueInvalid", ip_at,
				"Invalid value: \"%s\": must be a valid IP address, (e.g. 10.9.8.7 or "
				"2001:db8::ffff)",
				json_str_or(json_get(it.val, "ip"), ""));
		JSON_EACH (name, json_get(it.val, "hostnames")) {
			AT(name_at, "%s.hostAliases[%zu].hostnames[%zu]", at, it.i, name.i);

			if (!name_is_dns1123_subdomain(json_str_or(name.val, "")))
				cause_invalid(c, name_at, name.val, "%s", DNS_SUBDOMAIN_TEXT);
		}
	}
}

void selector_values_check(const struct json *labels, const char *at, struct causes *c)
{
	JSON_EACH (it, labels)
		if (!name_is_label_value(json_str_or(it.val, "")))
			cause_invalid(c, at, it.val,
				"a valid label must be an empty string or consist of alphanumeric "
				"characters, '-', "
				"'_' or '.', and must start and end with an alphanumeric character (e.g. "
				"'MyValue',  or 'my_value',  or '12345', regex used for validation is "
				"'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
}

void pod_check(const struct json *spec, const char *at, struct causes *c)
{
	static const char *const lists[] = { "containers", "initContainers" };
	const struct json *account = json_get(spec, "serviceAccountName");
	const struct json *deadline = json_get(spec, "activeDeadlineSeconds");
	AT(account_at, "%s.serviceAccountName", at);
	AT(deadline_at, "%s.activeDeadlineSeconds", at);
	AT(selector_at, "%s.nodeSelector", at);

	volumes_check(json_get(spec, "volumes"), at, c);
	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		JSON_EACH (it, json_get(spec, lists[l])) {
			AT(one_at, "%s.%s[%zu]", at, lists[l], it.i);

			ports_check(json_get(it.val, "ports"), one_at,
				json_bool(json_get(spec, "hostNetwork")), c);
			env_check(json_get(it.val, "env"), one_at, c);
			mounts_check(json_get(it.val, "volumeMounts"), one_at, c);
			handlers_check(it.val, one_at, c);
			resources_check(json_get(it.val, "resources"), one_at, c);
		}
	if (deadline && json_i64(deadline) < 1)
		cause_invalid(c, deadline_at, deadline, "must be between 1 and 2147483647, inclusive");
	selector_values_check(json_get(spec, "nodeSelector"), selector_at, c);
	if (json_str_len(account) > 0 && !name_is_dns1123_subdomain(json_str(account)))
		cause_invalid(c, account_at, account, "%s", DNS_SUBDOMAIN_TEXT);
	tolerations_check(json_get(spec, "tolerations"), at, c);
	aliases_check(json_get(spec, "hostAliases"), at, c);
}
