/* SPDX-License-Identifier: Apache-2.0 */
/* Files made from objects: configMap, secret, downwardAPI, projected. Updated as a whole, the way
 * kubelet does it: a new directory,
 * `..data` moved over to it, and links to `..data/NAME` that never change. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "base/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_DEFAULT 0644

struct file {
	char *path; /* relative, checked */
	char *data;
	size_t len;
	mode_t mode;
};
struct payload {
	struct file *items;
	size_t len, cap;
};

static void payload_done(struct payload *l)
{
	for (size_t i = 0; i < l->len; i++) {
		free(l->items[i].path);
		free(l->items[i].data);
	}
	free(l->items);
	memset(l, 0, sizeof(*l));
}

bool volume_is_projection(const struct json *spec)
{
	return json_get(spec, "configMap") || json_get(spec, "secret") || json_get(spec, "downwardAPI") ||
	       json_get(spec, "projected");
}

static bool path_is_safe(const char *path)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(path);

	if (!*path || *path == '/' || str_starts(path, ".."))
		return false;
	for (char *rest = copy; rest;)
		if (str_eq(str_next(&rest, '/'), ".."))
			return false;
	return true;
}

static int add_file(
	struct payload *l, const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	struct file *f;

	if (!path_is_safe(path))
		return err_set(e, ERR_INVALID, "path \"%s\" is absolute or leads out of the volume", path);
	l->items = mem_grow(l->items, &l->cap, l->len + 1, sizeof(l->items[0]));
	f = &l->items[l->len++];
	*f = (struct file){ .path = mem_strdup(path), .data = mem_dup(data, len), .len = len, .mode = mode };
	return 0;
}

static mode_t mode_of(const struct json *item, mode_t deflt)
{
	const struct json *m = json_get(item, "mode");

	return json_is_int(m) ? (mode_t)json_i64(m) & 0777 : deflt;
}

/* ---- sources ---- */
static int add_key(struct payload *l, const struct json *o, const char *key, bool secret, const char *path,
	mode_t mode, bool *ret_found, struct err *e)
{
	const struct json *v = json_get(json_get(o, "data"), key);
	bool binary = secret;
	CLEANUP(str_done) struct str text = { 0 };

	if (!v && !secret) {
		v = json_get(json_get(o, "binaryData"), key);
		binary = true;
	}
	*ret_found = v != NULL;
	if (!v)
		return 0;
	if (!binary)
		return add_file(l, path, json_str_or(v, ""), json_str_len(v), mode, e);
	if (b64_decode(json_str_or(v, ""), json_str_len(v), false, &text, e) < 0)
		return err_wrap(e, "key %s", key);
	return add_file(l, path, str_cstr(&text), text.len, mode, e);
}

static int add_all(
	struct payload *l, const struct json *o, const char *part, bool secret, mode_t mode, struct err *e)
{
	bool found;

	JSON_EACH (it, json_get(o, part)) {
		CLEANUP(mem_freep) char *key = mem_strndup(it.key, it.key_len);

		if (add_key(l, o, key, secret, key, mode, &found, e) < 0)
			return -1;
	}
	return 0;
}

static int from_object(const struct pod *p, const struct json *src, bool secret, mode_t mode,
	struct payload *l, struct err *e)
{
	const char *name = json_get_str(src, "name");
	const struct json *items = json_get(src, "items");
	bool optional = json_bool(json_get(src, "optional")), found;
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *o;

	if (!name)
		name = json_str_or(json_get(src, "secretName"), "");
	key = kind_key(obj_namespace(p->obj), name);
	o = cache_get(secret ? p->agent->secrets : p->agent->configmaps, key);
	if (!o)
		return optional ? 0
				: err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found",
					  secret ? "secret" : "configmap", name);
	if (!json_len(items))
		return add_all(l, obj_json(o), "data", secret, mode, e) < 0 ||
				       (!secret && add_all(l, obj_json(o), "binaryData", false, mode, e) < 0)
			       ? -1
			       : 0;
	JSON_EACH (it, items) {
		const char *k = json_str_or(json_get(it.val, "key"), ""),
			   *path = json_str_or(json_get(it.val, "path"), k);

		if (add_key(l, obj_json(o), k, secret, path, mode_of(it.val, mode), &found, e) < 0)
			return -1;
		if (!found && !optional)
			return err_set(e, ERR_NOT_FOUND, "references non-existent %s key: %s",
				secret ? "secret" : "config", k);
	}
	return 0;
}

static int from_pod(
	const struct pod *p, const struct json *src, mode_t mode, struct payload *l, struct err *e)
{
	JSON_EACH (it, json_get(src, "items")) {
		const struct json *field = json_get(it.val, "fieldRef"),
				  *resource = json_get(it.val, "resourceFieldRef");
		CLEANUP(mem_freep)
		char *v = field ? field_value(p, json_str_or(json_get(field, "fieldPath"), ""))
				: resource_field_value(p, resource, NULL, e);
		const char *path = json_str_or(json_get(it.val, "path"), "");

		if (!v)
			return err_set(e, ERR_INVALID, "downwardAPI item %s can not be had", path);
		if (add_file(l, path, v, strlen(v), mode_of(it.val, mode), e) < 0)
			return -1;
	}
	return 0;
}

static int from_token(struct pod *p, const struct vol *v, const struct json *src, mode_t mode,
	struct payload *l, struct err *e)
{
	const char *why = NULL, *path = json_str_or(json_get(src, "path"), "token");
	const char *token = token_get(p, v->name, json_str_or(json_get(src, "audience"), ""), &why);

	if (token)
		return add_file(l, path, token, strlen(token), mode, e);
	/* Still being asked for: nothing to complain of yet */
	return why ? err_set(e, ERR_UNAVAILABLE, "%s", why)
		   : err_set(e, ERR_TIMEOUT, "waiting for a service account token");
}

static int collect(
	struct pod *p, const struct vol *v, const struct json *spec, struct payload *l, struct err *e)
{
	const struct json *src, *projected = json_get(spec, "projected");
	mode_t mode = MODE_DEFAULT;

	JSON_EACH (it, spec)
		if (json_is_int(json_get(it.val, "defaultMode")))
			mode = (mode_t)json_i64(json_get(it.val, "defaultMode")) & 0777;
	if ((src = json_get(spec, "configMap")))
		return from_object(p, src, false, mode, l, e);
	if ((src = json_get(spec, "secret")))
		return from_object(p, src, true, mode, l, e);
	if ((src = json_get(spec, "downwardAPI")))
		return from_pod(p, src, mode, l, e);
	JSON_EACH (it, json_get(projected, "sources")) {
		int r = 0;

		if ((src = json_get(it.val, "configMap")))
			r = from_object(p, src, false, mode, l, e);
		else if ((src = json_get(it.val, "secret")))
			r = from_object(p, src, true, mode, l, e);
		else if ((src = json_get(it.val, "downwardAPI")))
			r = from_pod(p, src, mode, l, e);
		else if ((src = json_get(it.val, "serviceAccountToken")))
			r = from_token(p, v, src, mode, l, e);
		if (r < 0)
			return -1;
	}
	return 0;
}

/* ---- writing ---- */
static void hash_of(const struct payload *l, char ret[SHA256_HEX_LEN + 1])
{
	CLEANUP(str_done) struct str all = { 0 };

	for (size_t i = 0; i < l->len; i++) {
		str_addf(&all, "%s %o %zu ", l->items[i].path, (unsigned)l->items[i].mode, l->items[i].len);
		str_addn(&all, l->items[i].data, l->items[i].len);
	}
	crypto_sha256_hex(str_cstr(&all), all.len, ret);
}

static int write_files(const struct pod *p, const struct payload *l, const char *dir, struct err *e)
{
	const struct json *group = json_at(pod_spec(p), "/securityContext/fsGroup");

	if (file_mkdirs(dir, 0755, e) < 0)
		return -1;
	for (size_t i = 0; i < l->len; i++) {
		const struct file *f = &l->items[i];
		CLEANUP(mem_freep) char *path = file_join(dir, f->path);
		char *slash = strrchr(path, '/');
		mode_t mode = json_is_int(group) ? f->mode | 040 : f->mode;

		*slash = 0;
		if (file_mkdirs(path, 0755, e) < 0)
			return -1;
		*slash = '/';
		if (file_write(path, f->data, f->len, mode, e) < 0)
			return -1;
		if (json_is_int(group) && chown(path, (uid_t)-1, (gid_t)json_i64(group)) < 0)
			return err_sys(e, "owner of %s", path);
	}
	return 0;
}

static int point_to(const char *top, const char *name, const char *target, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(top, name);
	CLEANUP(mem_freep) char *tmp = str_printf("%s/..tmp", top);
	char now[4096];
	ssize_t n = readlink(path, now, sizeof(now) - 1);

	if (n > 0) {
		now[n] = 0;
		if (str_eq(now, target))
			return 0;
	}
	unlink(tmp);
	if (symlink(target, tmp) < 0 || rename(tmp, path) < 0)
		return err_sys(e, "linking %s", path);
	return 0;
}

static bool has_top(const struct payload *l, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < l->len; i++)
		if (strncmp(l->items[i].path, name, n) == 0 &&
			(l->items[i].path[n] == '/' || !l->items[i].path[n]))
			return true;
	return false;
}

static int link_names(const struct payload *l, const char *top, struct err *e)
{
	struct strv names = { 0 };
	int r = 0;

	for (size_t i = 0; i < l->len && r == 0; i++) {
		CLEANUP(mem_freep) char *name = mem_strndup(l->items[i].path, strcspn(l->items[i].path, "/"));
		CLEANUP(mem_freep) char *target = str_printf("..data/%s", name);

		r = point_to(top, name, target, e);
	}
	file_list(top, &names, NULL);
	for (size_t i = 0; i < names.len && r == 0; i++) {
		CLEANUP(mem_freep) char *path = file_join(top, names.items[i]);

		if (!str_starts(names.items[i], "..") && !has_top(l, names.items[i]))
			unlink(path);
	}
	strv_done(&names);
	return r;
}

static int swap(struct pod *p, struct vol *v, const struct payload *l, const char *top, struct err *e)
{
	CLEANUP(mem_freep) char *data = file_join(top, "..data");
	CLEANUP(mem_freep) char *dir = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	CLEANUP(mem_freep) char *old_dir = NULL;
	char old[256];
	ssize_t n = readlink(data, old, sizeof(old) - 1);

	if (n > 0) {
		old[n] = 0;
		old_dir = file_join(top, old);
	}
	do {
		free(name);
		free(dir);
		name = str_printf("..v%u", ++v->generation);
		dir = file_join(top, name);
	} while (file_exists(dir));
	if (file_mkdirs(top, 0755, e) < 0 || write_files(p, l, dir, e) < 0 ||
		point_to(top, "..data", name, e) < 0 || link_names(l, top, e) < 0)
		return -1;
	if (old_dir)
		file_remove_tree(old_dir, NULL);
	return 0;
}

int project_volume(struct pod *p, struct vol *v, const struct json *spec, struct err *e)
{
	CLEANUP(mem_freep) char *top = str_printf("%s/mem/%s", p->dir, v->name);
	CLEANUP(payload_done) struct payload l = { 0 };
	char hash[SHA256_HEX_LEN + 1];

	if (collect(p, v, spec, &l, e) < 0)
		return -1;
	hash_of(&l, hash);
	if (v->path && str_eq(hash, v->hash))
		return 0;
	if (swap(p, v, &l, top, e) < 0)
		return -1;
	str_copy(v->hash, sizeof(v->hash), hash);
	v->mem = true;
	if (!v->path)
		v->path = TAKE(top);
	return 0;
}
