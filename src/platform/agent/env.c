/* SPDX-License-Identifier: Apache-2.0 */
/* A container's environment: the image's, the platform's, the spec's, with everything that refers to other objects. */
#include "platform/agent/impl.h"

#include "api/meta.h"
#include "api/quantity.h"

#include <inttypes.h>
#include <string.h>

#define ENV_MAX 4096 /* variables */

static void env_set(struct strv *env, const char *name, const char *value)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->len; i++)
		if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
			free(env->items[i]);
			env->items[i] = str_printf("%s=%s", name, value);
			return;
		}
	strv_addf(env, "%s=%s", name, value);
}

static const char *env_get(const struct strv *env, const char *name, size_t n)
{
	for (size_t i = 0; env && i < env->len; i++)
		if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=')
			return env->items[i] + n + 1;
	return NULL;
}

char *env_expand(const char *text, const struct strv *env)
{
	struct str out = { 0 };

	for (const char *c = text; *c; c++) {
		const char *end = c[0] == '$' && c[1] == '(' ? strchr(c + 2, ')') : NULL;
		const char *value = end ? env_get(env, c + 2, (size_t)(end - c - 2)) : NULL;

		if (value) {
			str_add(&out, value);
			c = end;
		} else {
			str_addc(&out, *c);
			if (c[0] == '$' && c[1] == '$')
				c++;
		}
	}
	return str_take(&out);
}

/* metadata.labels['x'] -> x; NULL if it is not of that form. Caller frees. */
static char *subscript(const char *path, const char *map)
{
	size_t n = strlen(map), len = strlen(path);

	if (strncmp(path, map, n) != 0 || len < n + 4 || strncmp(path + n, "['", 2) != 0 ||
		!str_eq(path + len - 2, "']"))
		return NULL;
	return mem_strndup(path + n + 2, len - n - 4);
}

static char *map_text(const struct json *map)
{
	struct str out = { 0 };

	JSON_EACH (it, map) {
		const char *v = json_str_or(it.val, "");

		str_addf(&out, "%s%.*s=\"", out.len ? "\n" : "", (int)it.key_len, it.key);
		for (; *v; v++) {
			if (*v == '"' || *v == '\\')
				str_addc(&out, '\\');
			if (*v == '\n')
				str_add(&out, "\\n");
			else
				str_addc(&out, *v);
		}
		str_addc(&out, '"');
	}
	return str_take(&out);
}

char *field_value(const struct pod *p, const char *path)
{
	const struct json *o = obj_json(p->obj);
	CLEANUP(mem_freep) char *label = subscript(path, "metadata.labels");
	CLEANUP(mem_freep) char *annotation = subscript(path, "metadata.annotations");

	if (label)
		return mem_strdup(json_str_or(json_get(json_at(o, "/metadata/labels"), label), ""));
	if (annotation)
		return mem_strdup(json_str_or(json_get(json_at(o, "/metadata/annotations"), annotation), ""));
	if (str_eq(path, "metadata.labels") || str_eq(path, "metadata.annotations"))
		return map_text(json_at(
			o, str_eq(path, "metadata.labels") ? "/metadata/labels" : "/metadata/annotations"));
	if (str_eq(path, "metadata.name"))
		return mem_strdup(obj_name(p->obj));
	if (str_eq(path, "metadata.namespace"))
		return mem_strdup(obj_namespace(p->obj));
	if (str_eq(path, "metadata.uid"))
		return mem_strdup(p->uid);
	if (str_eq(path, "spec.nodeName"))
		return mem_strdup(p->agent->node_name);
	if (str_eq(path, "spec.serviceAccountName"))
		return mem_strdup(json_str_or(json_at(o, "/spec/serviceAccountName"), ""));
	if (str_eq(path, "status.podIP") || str_eq(path, "status.podIPs"))
		return mem_strdup(pod_ip(p));
	if (str_eq(path, "status.hostIP") || str_eq(path, "status.hostIPs"))
		return mem_strdup(net_host_ip(p->agent->net));
	return NULL;
}

static const struct json *named_container(const struct pod *p, const char *name)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		JSON_EACH (it, json_get(pod_spec(p), lists[i]))
			if (str_eq(json_get_str(it.val, "name"), name))
				return it.val;
	return NULL;
}

/* Without a limit of its own a container may use the whole node. */
static int64_t resource_milli(const struct pod *p, const struct json *ctr, const char *what)
{
	CLEANUP(mem_freep) char *kind = mem_strdup(what);
	char *resource = strchr(kind, '.');
	const struct json *v;
	int64_t n = -1;

	if (!resource)
		return -1;
	*resource++ = 0;
	v = json_get(json_get(json_get(ctr, "resources"), kind), resource);
	if (str_eq(resource, "cpu"))
		n = quantity_millis(v);
	else if ((n = quantity_bytes(v)) >= 0)
		n = n > INT64_MAX / 1000 ? INT64_MAX : n * 1000;
	if (n >= 0 || str_eq(kind, "requests"))
		return n < 0 ? 0 : n;
	if (str_eq(resource, "cpu"))
		return p->agent->cpu_millis;
	return str_eq(resource, "memory") ? p->agent->memory_bytes * 1000 : 0;
}

char *resource_field_value(const struct pod *p, const struct json *ref, const struct ctr *self, struct err *e)
{
	const char *name = json_get_str(ref, "containerName"),
		   *what = json_str_or(json_get(ref, "resource"), "");
	const struct json *ctr = name ? named_container(p, name) : self ? ctr_spec(self) : NULL;
	int64_t n = ctr ? resource_milli(p, ctr, what) : -1;
	struct quantity divisor = { .value = 1 };
	int64_t by;

	if (n < 0) {
		err_set(e, ERR_INVALID, "resourceFieldRef %s: no such container or resource", what);
		return NULL;
	}
	if (json_get(ref, "divisor") && quantity_from_json(json_get(ref, "divisor"), &divisor, e) < 0)
		return NULL;
	by = quantity_milli(&divisor);
	if (by <= 0)
		by = 1000;
	return str_printf("%" PRId64, n / by + (n % by != 0));
}

/* A key of a ConfigMap or Secret. Secrets come decoded. NULL with ERR_NOT_FOUND, or with ERR_NONE if optional. */
static char *ref_value(const struct pod *p, const struct json *ref, bool secret, struct err *e)
{
	const char *name = json_str_or(json_get(ref, "name"), ""),
		   *key = json_str_or(json_get(ref, "key"), "");
	CLEANUP(mem_freep) char *full = kind_key(obj_namespace(p->obj), name);
	const struct obj *o = cache_get(secret ? p->agent->secrets : p->agent->configmaps, full);
	const struct json *v = o ? json_get(json_get(obj_json(o), "data"), key) : NULL;
	struct str text = { 0 };

	if (v && !secret)
		return mem_strdup(json_str_or(v, ""));
	if (v && b64_decode(json_str_or(v, ""), json_str_len(v), false, &text, e) == 0)
		return str_take(&text);
	str_done(&text);
	if (!v && json_bool(json_get(ref, "optional")))
		err_clear(e);
	else if (!o)
		err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found", secret ? "secret" : "configmap", name);
	else if (!v)
		err_set(e, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key,
			secret ? "Secret" : "ConfigMap", obj_namespace(p->obj), name);
	return NULL;
}

static char *value_from(const struct ctr *c, const struct json *from, struct err *e)
{
	const struct json *ref;
	char *v;

	if ((ref = json_get(from, "fieldRef"))) {
		v = field_value(c->pod, json_str_or(json_get(ref, "fieldPath"), ""));
		if (!v)
			err_set(e, ERR_INVALID, "unsupported fieldPath: %s",
				json_str_or(json_get(ref, "fieldPath"), ""));
		return v;
	}
	if ((ref = json_get(from, "resourceFieldRef")))
		return resource_field_value(c->pod, ref, c, e);
	if ((ref = json_get(from, "configMapKeyRef")))
		return ref_value(c->pod, ref, false, e);
	if ((ref = json_get(from, "secretKeyRef")))
		return ref_value(c->pod, ref, true, e);
	err_set(e, ERR_INVALID, "a variable without a known source");
	return NULL;
}

static int add_from(const struct ctr *c, const struct json *source, struct strv *env, struct err *e)
{
	const struct json *ref = json_get(source, "configMapRef");
	bool secret = !ref;
	const char *prefix = json_str_or(json_get(source, "prefix"), "");
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *o;

	if (secret)
		ref = json_get(source, "secretRef");
	key = kind_key(obj_namespace(c->pod->obj), json_str_or(json_get(ref, "name"), ""));
	o = cache_get(secret ? c->pod->agent->secrets : c->pod->agent->configmaps, key);
	if (!o && !json_bool(json_get(ref, "optional")))
		return err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found", secret ? "secret" : "configmap",
			json_str_or(json_get(ref, "name"), ""));
	JSON_EACH (it, o ? json_get(obj_json(o), "data") : NULL) {
		CLEANUP(mem_freep) char *name = str_printf("%s%.*s", prefix, (int)it.key_len, it.key);
		CLEANUP(str_done) struct str text = { 0 };

		if (secret &&
			b64_decode(json_str_or(it.val, ""), json_str_len(it.val), false, &text, NULL) < 0)
			continue;
		env_set(env, name, secret ? str_cstr(&text) : json_str_or(it.val, ""));
	}
	return 0;
}

static int add_one(const struct ctr *c, const struct json *var, struct strv *env, struct err *e)
{
	const char *name = json_str_or(json_get(var, "name"), "");
	const struct json *from = json_get(var, "valueFrom");
	CLEANUP(mem_freep) char *value = NULL;
	struct err why = { 0 };

	if (!from) {
		value = env_expand(json_str_or(json_get(var, "value"), ""), env);
	} else {
		value = value_from(c, from, &why);
		if (!value && why.code) {
			err_copy(e, &why);
			return -1;
		}
	}
	if (value)
		env_set(env, name, value);
	return 0;
}

int env_build(const struct ctr *c, const struct json *spec, struct strv *ret, struct err *e)
{
	const struct agent *a = c->pod->agent;
	struct strv env = { 0 };
	int r = 0;
	CLEANUP(mem_freep) char *port = str_printf("%d", a->api_port);
	const char *host = json_get_str(pod_spec(c->pod), "hostname");

	env_set(&env, "PATH",
		c->image->own
			? "/usr/libexec/coracle:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
			: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_set(&env, "HOSTNAME", host ? host : obj_name(c->pod->obj));
	JSON_EACH (it, c->image->config ? json_at(json_root(c->image->config), "/config/Env") : NULL) {
		CLEANUP(mem_freep) char *text = mem_strdup(json_str_or(it.val, ""));
		char *eq = strchr(text, '=');

		if (eq) {
			*eq = 0;
			env_set(&env, text, eq + 1);
		}
	}
	env_set(&env, "KUBERNETES_SERVICE_HOST", a->api_host);
	env_set(&env, "KUBERNETES_SERVICE_PORT", port);
	env_set(&env, "KUBERNETES_SERVICE_PORT_HTTPS", port);
	JSON_EACH (it, json_get(spec, "envFrom"))
		if (r == 0)
			r = add_from(c, it.val, &env, e);
	JSON_EACH (it, json_get(spec, "env"))
		if (r == 0 && env.len < ENV_MAX)
			r = add_one(c, it.val, &env, e);
	if (r == 0) {
		strv_done(ret);
		*ret = env;
	} else {
		strv_done(&env);
	}
	return r;
}
