/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/kinds/hook_client.h"

#include <string.h>

#include "api/semantics.h"
#include "base/mem.h"
#include "base/str.h"

#define PORT_MAX 65535
#define URL_FORM "; desired format: https://host[/path]"

static void bad_text(struct causes *c, const char *at, const char *text, size_t n, const char *detail)
{
	cause_text(c, "FieldValueInvalid", at, "Invalid value: \"%.*s\": %s", (int)n, text, detail);
}

static void check_url(const char *url, const char *at, struct causes *c)
{
	const char *colon = strstr(url, "://"), *host = colon ? colon + 3 : url + strlen(url);
	size_t scheme = colon ? (size_t)(colon - url) : 0, n = strcspn(host, "/?#");
	const char *user = memchr(host, '@', n), *query = strchr(host, '?'), *fragment = strchr(host, '#');

	if (scheme != strlen("https") || strncmp(url, "https", scheme) != 0)
		bad_text(c, at, url, scheme, "'https' is the only allowed URL scheme" URL_FORM);
	if (n == 0 || (user && user + 1 == host + n))
		bad_text(c, at, "", 0, "host must be specified" URL_FORM);
	if (user)
		bad_text(c, at, host, (size_t)(user - host), "user information is not permitted in the URL");
	if (fragment && fragment[1])
		bad_text(c, at, fragment + 1, strlen(fragment + 1), "fragments are not permitted in the URL");
	if (query && (!fragment || query < fragment) && query[1])
		bad_text(c, at, query + 1, strcspn(query + 1, "#"),
			"query parameters are not permitted in the URL");
}

static void check_path(const struct json *v, const char *at, struct causes *c)
{
	const char *path = json_str(v), *step, *end;

	if (str_empty(path) || str_eq(path, "/"))
		return;
	if (str_eq(path, "//")) {
		cause_invalid(c, at, v, "segment[0] may not be empty");
		return;
	}
	if (*path != '/')
		cause_invalid(c, at, v, "must start with a '/'");
	step = path + 1;
	end = path + strlen(path);
	if (end > step && end[-1] == '/')
		end--;
	for (size_t i = 0; step <= end; i++) {
		const char *slash = memchr(step, '/', (size_t)(end - step)), *stop = slash ? slash : end;
		CLEANUP(mem_freep) char *text = mem_strndup(step, (size_t)(stop - step));
		CLEANUP(mem_freep) char *error = *text ? name_subdomain_error(text) : NULL;

		if (!*text)
			cause_invalid(c, at, v, "segment[%zu] may not be empty", i);
		else if (error)
			cause_invalid(c, at, v, "segment[%zu]: %s", i, error);
		step = stop + 1;
	}
}

static void check_service(const struct json *service, const char *at, struct causes *c)
{
	static const char *const needed[] = { "name", "namespace" };
	const struct json *port = json_get(service, "port");
	CLEANUP(mem_freep) char *port_at = str_printf("%s.port", at);
	CLEANUP(mem_freep) char *path_at = str_printf("%s.path", at);

	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, needed[i]);

		if (str_empty(json_get_str(service, needed[i])))
			cause_required(c, path, NULL);
	}
	if (json_is_num(port) && (json_i64(port) < 1 || json_i64(port) > PORT_MAX))
		cause_invalid(
			c, port_at, port, "port is not valid: must be between 1 and %d, inclusive", PORT_MAX);
	check_path(json_get(service, "path"), path_at, c);
}

void hook_client_check(const struct json *client, const char *at, struct causes *c)
{
	const char *url = json_get_str(client, "url");
	const struct json *service = json_get(client, "service");
	CLEANUP(mem_freep) char *url_at = str_printf("%s.url", at);
	CLEANUP(mem_freep) char *service_at = str_printf("%s.service", at);

	if (!url == !json_is_obj(service))
		cause_required(c, at, "exactly one of url or service is required");
	else if (url)
		check_url(url, url_at, c);
	else
		check_service(service, service_at, c);
}

void hook_versions_check(const struct json *versions, const char *at, const char *none, struct causes *c)
{
	static const char *const spoken[] = { "v1", "v1beta1", NULL };
	bool known = false;

	if (json_len(versions) == 0) {
		cause_required(c, at, none);
		return;
	}
	JSON_EACH (it, versions) {
		CLEANUP(mem_freep) char *here = str_printf("%s[%zu]", at, it.i);
		CLEANUP(mem_freep) char *error = name_label_1035_error(json_str_or(it.val, ""));
		bool twice = false;

		for (size_t i = 0; i < it.i; i++)
			twice |= json_eq(json_item(versions, i), it.val);
		if (twice)
			cause_invalid(c, here, it.val, "duplicate version");
		else if (error)
			cause_invalid(c, here, it.val, "%s", error);
		known |= str_in(json_str_or(it.val, ""), spoken);
	}
	if (!known)
		cause_invalid(c, at, versions, "must include at least one of v1, v1beta1");
}

/* ---- what it is asked about ---- */
static bool has_text(const struct json *list, const char *s)
{
	JSON_EACH (it, list)
		if (str_eq(json_str(it.val), s))
			return true;
	return false;
}

/* Not empty, and * alone */
static void check_wild(const struct json *rule, const char *member, const char *what, bool empty_is_one,
	const char *at, struct causes *c)
{
	const struct json *list = json_get(rule, member);
	CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, member);

	if (json_len(list) == 0)
		cause_required(c, path, NULL);
	if (json_len(list) > 1 && has_text(list, "*"))
		cause_invalid(c, path, list, "if '*' is present, must not specify other %s", what);
	JSON_EACH (it, list) {
		CLEANUP(mem_freep) char *here = str_printf("%s[%zu]", path, it.i);

		if (!empty_is_one && json_str_len(it.val) == 0)
			cause_required(c, here, NULL);
	}
}

/* A wildcard for its subresources, or of all resources, that was named before it */
static bool stands_before(const struct json *list, size_t i, const char *text)
{
	for (size_t k = 0; k < i; k++)
		if (str_eq(json_str(json_item(list, k)), text))
			return true;
	return false;
}

static void check_resource(const struct json *list, size_t i, const char *at, struct causes *c)
{
	const struct json *v = json_item(list, i);
	const char *text = json_str_or(v, ""), *slash = strchr(text, '/');
	CLEANUP(mem_freep) char *here = str_printf("%s[%zu]", at, i);
	CLEANUP(mem_freep) char *all_subs = slash ? str_printf("%.*s/*", (int)(slash - text), text) : NULL;
	CLEANUP(mem_freep) char *all_resources = slash ? str_printf("*/%s", slash + 1) : NULL;

	if (!*text) {
		cause_required(c, here, NULL);
		return;
	}
	if (all_subs && stands_before(list, i, all_subs))
		cause_invalid(c, here, v, "if '%s' is present, must not specify %s", all_subs, text);
	if (all_resources && stands_before(list, i, all_resources))
		cause_invalid(c, here, v, "if '%s' is present, must not specify %s", all_resources, text);
}

static void check_resources(const struct json *rule, const char *at, struct causes *c)
{
	const struct json *list = json_get(rule, "resources");
	CLEANUP(mem_freep) char *path = str_printf("%s.resources", at);
	bool plain = false;

	if (json_len(list) == 0)
		cause_required(c, path, NULL);
	JSON_EACH (it, list) {
		const char *text = json_str_or(it.val, "");

		check_resource(list, it.i, path, c);
		if (*text && !strchr(text, '/')) /* the last one tells, as it does there */
			plain = !str_eq(text, "*");
	}
	if (json_len(list) > 1 && has_text(list, "*/*"))
		cause_invalid(c, path, list, "if '*/*' is present, must not specify other resources");
	if (has_text(list, "*") && plain)
		cause_invalid(c, path, list,
			"if '*' is present, must not specify other resources without subresources");
}

void hook_rules_check(const struct json *rules, const char *at, struct causes *c)
{
	static const char *const operations[] = { "*", "CONNECT", "CREATE", "DELETE", "UPDATE", NULL };

	JSON_EACH (it, rules) {
		CLEANUP(mem_freep) char *here = str_printf("%s[%zu]", at, it.i);

		check_wild(it.val, "operations", "operations", true, here, c);
		JSON_EACH (op, json_get(it.val, "operations")) {
			CLEANUP(mem_freep) char *path = str_printf("%s.operations[%zu]", here, op.i);

			if (!str_in(json_str_or(op.val, ""), operations))
				cause_not_supported(c, path, op.val, operations);
		}
		check_wild(it.val, "apiGroups", "API groups", true, here, c);
		check_wild(it.val, "apiVersions", "API versions", false, here, c);
		check_resources(it.val, here, c);
	}
}

/* ---- selectors ---- */
#define VALUE_TEXT                                                                                       \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " \
	"and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "    \
	"'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static void check_expression(const struct json *e, const char *at, struct causes *c)
{
	static const char *const listed[] = { "In", "NotIn", NULL }, *const bare[] = { "Exists",
		"DoesNotExist", NULL };
	const struct json *operator= json_get(e, "operator"), *values = json_get(e, "values");
	CLEANUP(mem_freep) char *operator_at = str_printf("%s.operator", at);
	CLEANUP(mem_freep) char *values_at = str_printf("%s.values", at);
	CLEANUP(mem_freep) char *key_at = str_printf("%s.key", at);
	const char *name = json_str_or(operator, "");

	if (str_in(name, listed) && json_len(values) == 0)
		cause_required(c, values_at, "must be specified when `operator` is 'In' or 'NotIn'");
	else if (str_in(name, bare) && json_len(values) > 0)
		cause_forbidden(
			c, values_at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	else if (!str_in(name, listed) && !str_in(name, bare))
		cause_invalid(c, operator_at, operator, "not a valid selector operator");
	if (!name_is_label_key(json_str_or(json_get(e, "key"), "")))
		cause_invalid(c, key_at, json_get(e, "key"), HOOK_KEY_TEXT);
}

void hook_selector_check(const struct json *selector, const char *at, struct causes *c)
{
	CLEANUP(mem_freep) char *labels_at = str_printf("%s.matchLabels", at);

	JSON_EACH (it, json_get(selector, "matchLabels")) {
		if (!name_is_label_key(it.key))
			cause_text(c, "FieldValueInvalid", labels_at, "Invalid value: \"%s\": %s", it.key,
				HOOK_KEY_TEXT);
		if (!name_is_label_value(json_str_or(it.val, "")))
			cause_invalid(c, labels_at, it.val, VALUE_TEXT);
	}
	JSON_EACH (it, json_get(selector, "matchExpressions")) {
		CLEANUP(mem_freep) char *here = str_printf("%s.matchExpressions[%zu]", at, it.i);

		check_expression(it.val, here, c);
	}
}
