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
