/* SPDX-License-Identifier: Apache-2.0 */
/* What metadata may say: names, labels, annotations, owners, finalizers. Texts are apimachinery's. */
#include "api/semantics.h"

#include <string.h>

#include "api/meta.h"
#include "base/mem.h"

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253
#define ANNOTATIONS_BYTES_MAX (256 * 1024)

#define LABEL_TEXT                                                                                        \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must " \
	"start and end "                                                                                  \
	"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "    \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_TEXT                                                                                    \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " \
	"and must start "                                                                                 \
	"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "       \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_KEY_TEXT                                                                                       \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "   \
	"an "                                                                                                \
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " \
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_TEXT                                                                                     \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and " \
	"must start "                                                                                        \
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "   \
	"for validation "                                                                                    \
	"is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
	return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? of n characters */
static bool is_label_part(const char *s, size_t n)
{
	if (!n || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_lower_alnum(s[i]) && s[i] != '-')
			return false;
	return true;
}

static bool is_subdomain(const char *s, size_t len)
{
	const char *end = s + len;

	while (true) {
		const char *dot = memchr(s, '.', (size_t)(end - s));
		size_t n = (size_t)((dot ? dot : end) - s);

		if (!is_label_part(s, n))
			return false;
		if (!dot)
			return true;
		s = dot + 1;
	}
}

bool name_is_dns1123_label(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n <= LABEL_MAX && is_label_part(s, n);
}

bool name_is_dns1123_subdomain(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n && n <= SUBDOMAIN_MAX && is_subdomain(s, n);
}

#define LABEL_1035_TEXT                                                                                 \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "    \
	"alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', " \
	"regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

static char *name_error(size_t n, size_t max, bool good, const char *text)
{
	struct str s = { 0 };

	if (n > max)
		str_addf(&s, "must be no more than %zu characters", max);
	if (!good) {
		str_add(&s, s.len ? "," : "");
		str_add(&s, text);
	}
	return s.len ? str_take(&s) : NULL;
}

char *name_label_1035_error(const char *s)
{
	size_t n = strlen(s);

	return name_error(n, LABEL_MAX, is_label_part(s, n) && !(*s >= '0' && *s <= '9'), LABEL_1035_TEXT);
}

char *name_subdomain_error(const char *s)
{
	size_t n = strlen(s);

	return name_error(n, SUBDOMAIN_MAX, is_subdomain(s, n), SUBDOMAIN_TEXT);
}

static bool is_name_part(const char *s, size_t n)
{
	if (!n || n > LABEL_MAX || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
			return false;
	return true;
}

bool name_is_label_key(const char *s)
{
	const char *slash = s ? strchr(s, '/') : NULL;

	if (!s)
		return false;
	if (slash) {
		size_t n = (size_t)(slash - s);

		if (!n || n > SUBDOMAIN_MAX || !is_subdomain(s, n))
			return false;
		s = slash + 1;
	}
	return is_name_part(s, strlen(s));
}

bool name_is_label_value(const char *s)
{
	return s && (!*s || is_name_part(s, strlen(s)));
}

/* RBAC objects and APIServices may be called anything that fits a path segment ("kubevirt.io:admin", "v1."). */
static void check_name(const struct write_rules *r, const struct json *name, struct causes *c)
{
	const char *s = json_str_or(name, "");
	int max = r->name_max ? r->name_max : SUBDOMAIN_MAX;

	if (str_empty(s)) {
		cause_required(c, "metadata.name", "name or generateName is required");
		return;
	}
	if (str_eq(r->kind->group, "rbac.authorization.k8s.io") ||
		str_eq(r->kind->group, "apiregistration.k8s.io")) {
		if (str_eq(s, ".") || str_eq(s, ".."))
			cause_invalid(c, "metadata.name", name, "may not be '%s'", s);
		if (strpbrk(s, "/%"))
			cause_invalid(c, "metadata.name", name, "may not contain '%c'", *strpbrk(s, "/%"));
		return;
	}
	if (strlen(s) > (size_t)max)
		cause_invalid(c, "metadata.name", name, "must be no more than %d bytes", max);
	if (max <= LABEL_MAX ? !is_label_part(s, strlen(s)) : !is_subdomain(s, strlen(s)))
		cause_invalid(c, "metadata.name", name, "%s", max <= LABEL_MAX ? LABEL_TEXT : SUBDOMAIN_TEXT);
}

static void check_labels(const struct json *labels, struct causes *c)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	JSON_EACH (it, labels) {
		const char *value = json_str_or(it.val, "");

		if (!name_is_label_key(it.key))
			cause_invalid(c, "metadata.labels", json_new_str(d, it.key), "%s", LABEL_KEY_TEXT);
		if (strlen(value) > LABEL_MAX)
			cause_invalid(
				c, "metadata.labels", it.val, "must be no more than %d bytes", LABEL_MAX);
		else if (!name_is_label_value(value))
			cause_invalid(c, "metadata.labels", it.val, "%s", LABEL_VALUE_TEXT);
	}
}

static void check_annotations(const struct json *annotations, struct causes *c)
{
	size_t total = 0;

	JSON_EACH (it, annotations) {
		CLEANUP(mem_freep) char *lower = str_lower(it.key);

		if (!name_is_label_key(lower)) {
			CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
			cause_invalid(
				c, "metadata.annotations", json_new_str(d, it.key), "%s", LABEL_KEY_TEXT);
		}
		total += it.key_len + json_str_len(it.val);
	}
	if (total > ANNOTATIONS_BYTES_MAX)
		cause_too_long(c, "metadata.annotations", ANNOTATIONS_BYTES_MAX);
}

static void check_owners(const struct json *owners, struct causes *c)
{
	static const char *const needed[] = { "apiVersion", "kind", "name", "uid" };
	const char *controller = NULL;

	JSON_EACH (it, owners) {
		for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
			if (json_str_len(json_get(it.val, needed[i])))
				continue;
			CLEANUP(mem_freep)
			char *path = str_printf("metadata.ownerReferences[%zu].%s", it.i, needed[i]);
			cause_invalid(c, path, json_get(it.val, needed[i]), "must not be empty");
		}
		if (!json_bool(json_get(it.val, "controller")))
			continue;
		const char *name = json_str_or(json_get(it.val, "name"), "");
		if (controller)
			cause_invalid(c, "metadata.ownerReferences", owners,
				"Only one reference can have Controller set to true. Found \"true\" in "
				"references for %s and %s",
				controller, name);
		controller = name;
	}
}

static void check_finalizers(const struct json *finalizers, struct causes *c)
{
	JSON_EACH (it, finalizers) {
		if (name_is_label_key(json_str_or(it.val, "")))
			continue;
		CLEANUP(mem_freep) char *path = str_printf("metadata.finalizers[%zu]", it.i);
		cause_invalid(c, path, it.val, "%s", LABEL_KEY_TEXT);
	}
}

void meta_validate(const struct write_rules *r, const struct json *o, struct causes *c)
{
	const struct json *m = meta_of(o);

	check_name(r, json_get(m, "name"), c);
	check_labels(json_get(m, "labels"), c);
	check_annotations(json_get(m, "annotations"), c);
	check_owners(json_get(m, "ownerReferences"), c);
	check_finalizers(json_get(m, "finalizers"), c);
}
