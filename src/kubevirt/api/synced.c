/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/api/synced.h"

#include <stdlib.h>
#include <string.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"

void synced_keys_done(struct synced_keys *k)
{
	strv_done(&k->labels);
	strv_done(&k->annotations);
}

void synced_keys_add(struct strv *patterns, const char *list)
{
	CLEANUP(mem_freep) char *text = mem_strdup(list);

	for (char *rest = text, *one; rest && (one = str_next(&rest, ','));)
		if (*one)
			strv_add(patterns, one);
}

static bool is_reserved(const char *key)
{
	const char *slash = strchr(key, '/');
	size_t n = slash ? (size_t)(slash - key) : 0;
	static const char *const domains[] = { "kubevirt.io", "coracle.dev" };

	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		size_t d = strlen(domains[i]);
		if (n >= d && !strncmp(key + n - d, domains[i], d) && (n == d || key[n - d - 1] == '.'))
			return true;
	}
	return false;
}

static bool matches(const struct strv *patterns, const char *key)
{
	if (is_reserved(key))
		return false;
	for (size_t i = 0; i < patterns->len; i++) {
		const char *p = patterns->items[i];
		size_t n = strlen(p);

		if (n > 1 && p[n - 1] == '*' ? !strncmp(p, key, n - 1) : str_eq(p, key))
			return true;
	}
	return false;
}

bool synced_label(const struct synced_keys *k, const char *key)
{
	return k && matches(&k->labels, key);
}

bool synced_annotation(const struct synced_keys *k, const char *key)
{
	static const char *const own[] = { ANN_DESCHEDULER_EVICT, ANN_DESCHEDULER_PREFER_NO_EVICTION,
		ANN_SKIP_BACKUP_HOOKS, ANN_ENFORCE_PLACEMENT, NULL };

	return str_in(key, own) || (k && matches(&k->annotations, key));
}

typedef bool synced_fn(const struct synced_keys *k, const char *key);
typedef bool set_fn(struct json_doc *d, struct json *o, const char *key, const char *value);

static bool follow(const struct synced_keys *k, synced_fn *synced, const struct json *have,
	const struct json *want, struct json_doc *d, struct json *to, set_fn *set)
{
	bool differs = false;

	JSON_EACH (it, want) {
		if (!json_is_str(it.val) || !synced(k, it.key) ||
			str_eq(json_get_str(have, it.key), json_str(it.val)))
			continue;
		differs = true;
		if (to)
			set(d, to, it.key, json_str(it.val));
	}
	JSON_EACH (it, have) {
		if (json_get(want, it.key) || !synced(k, it.key))
			continue;
		differs = true;
		if (to)
			set(d, to, it.key, NULL);
	}
	return differs;
}

bool synced_follow(const struct synced_keys *k, const struct json *have, const struct json *labels,
	const struct json *annotations, struct json_doc *d, struct json *to)
{
	bool l = follow(k, synced_label, json_get(have, "labels"), labels, d, to, meta_set_label);
	bool a = follow(
		k, synced_annotation, json_get(have, "annotations"), annotations, d, to, meta_set_annotation);

	return l || a;
}
