/* SPDX-License-Identifier: Apache-2.0 */
#include "api/kind.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

const char *kind_api_version(const struct kind *k, char buf[KIND_API_VERSION_MAX])
{
	size_t group = str_empty(k->group) ? 0 : strlen(k->group), at = 0;

	if (group > 0 && group + 1 < KIND_API_VERSION_MAX) {
		memcpy(buf, k->group, group);
		buf[group] = '/';
		at = group + 1;
	}
	str_copy(buf + at, KIND_API_VERSION_MAX - at, k->version);
	return buf;
}

/* Unreserved characters of RFC 3986 stay, all else is percent-encoded. */
static void add_segment(struct str *out, const char *seg)
{
	static const char hex[] = "0123456789ABCDEF";

	str_addc(out, '/');
	for (const unsigned char *p = (const unsigned char *)seg; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || strchr("-._~", *p);

		if (plain) {
			str_addc(out, (char)*p);
		} else {
			char enc[3] = { '%', hex[*p >> 4], hex[*p & 15] };
			str_addn(out, enc, sizeof(enc));
		}
	}
}

void kind_path(const struct kind *k, const char *ns, const char *name, const char *sub, struct str *out)
{
	if (str_empty(k->group)) {
		str_add(out, "/api");
	} else {
		str_add(out, "/apis");
		add_segment(out, k->group);
	}
	add_segment(out, k->version);
	if (k->namespaced && !str_empty(ns)) {
		str_add(out, "/namespaces");
		add_segment(out, ns);
	}
	add_segment(out, k->plural);
	if (str_empty(name))
		return;
	add_segment(out, name);
	if (str_empty(sub))
		return;
	/* a subresource may have several segments ("sev/setup"): its slashes separate */
	str_addc(out, '/');
	str_add(out, sub);
}

char *kind_group_resource(const struct kind *k)
{
	if (str_empty(k->group))
		return mem_strdup(k->plural);
	return str_printf("%s.%s", k->plural, k->group);
}

bool kind_is(const struct kind *a, const struct kind *b)
{
	if (a == b)
		return true;
	if (!a || !b)
		return false;
	return str_eq(a->plural, b->plural) && str_eq(a->group ? a->group : "", b->group ? b->group : "");
}

char *kind_key(const char *ns, const char *name)
{
	struct str key = { 0 };

	if (str_empty(ns))
		return mem_strdup(name);
	str_reserve(&key, strlen(ns) + strlen(name) + 1);
	str_add(&key, ns);
	str_addc(&key, '/');
	str_add(&key, name);
	return str_take(&key);
}

void kind_key_split(const char *key, char **ret_ns, char **ret_name)
{
	const char *slash = strchr(key, '/');

	*ret_ns = slash ? mem_strndup(key, (size_t)(slash - key)) : mem_strdup("");
	*ret_name = mem_strdup(slash ? slash + 1 : key);
}
