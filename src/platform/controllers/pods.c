/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/controllers/pods.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

bool pod_is_active(const struct obj *pod)
{
	const char *phase = json_at_str(obj_json(pod), "/status/phase");

	return !obj_deleting(pod) && !str_eq(phase, "Succeeded") && !str_eq(phase, "Failed");
}

static const struct json *ready_condition(const struct obj *pod)
{
	return cond_find(json_at(obj_json(pod), "/status/conditions"), "Ready");
}

bool pod_is_ready(const struct obj *pod)
{
	return str_eq(json_get_str(ready_condition(pod), "status"), "True");
}

bool pod_is_available(const struct obj *pod, int64_t min_ready_seconds, int64_t now_ms, int64_t *ret_at)
{
	int64_t since;

	if (!pod_is_ready(pod))
		return false;
	if (min_ready_seconds <= 0)
		return true;
	if (!time_parse(json_str_or(json_get(ready_condition(pod), "lastTransitionTime"), ""), &since))
		return false;
	since += min_ready_seconds * 1000;
	if (since <= now_ms)
		return true;
	if (ret_at && (!*ret_at || since < *ret_at))
		*ret_at = since;
	return false;
}

void template_hash(const struct json *pod_template, int64_t collisions, char ret[16])
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(pod_template);
	CLEANUP(str_done) struct str text = { 0 };
	uint8_t sum[32];

	json_remove_at(json_root(d), "/metadata/labels/pod-template-hash");
	json_write_to(json_root(d), &text);
	if (collisions)
		str_addf(&text, "#%lld", (long long)collisions);
	crypto_sha256(text.data, text.len, sum);
	for (int i = 0; i < 10; i++)
		ret[i] = alphabet[sum[i] % 27];
	ret[10] = 0;
}

struct json_doc *pod_from_template(const struct json *t, const struct kind *owner_kind,
	const struct obj *owner, const char *generate_name)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d), *meta;
	char version[KIND_API_VERSION_MAX];

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "v1");
	json_set_str(d, o, "kind", "Pod");
	meta = json_need_obj(d, o, "metadata");
	json_set_str(d, meta, "generateName", generate_name);
	json_set_str(d, meta, "namespace", obj_namespace(owner));
	if (json_at(t, "/metadata/labels"))
		json_set_copy(d, meta, "labels", json_at(t, "/metadata/labels"));
	if (json_at(t, "/metadata/annotations"))
		json_set_copy(d, meta, "annotations", json_at(t, "/metadata/annotations"));
	if (json_at(t, "/metadata/finalizers"))
		json_set_copy(d, meta, "finalizers", json_at(t, "/metadata/finalizers"));
	json_set_copy(d, o, "spec", json_get(t, "spec"));
	meta_add_owner(d, o, kind_api_version(owner_kind, version), owner_kind->kind, obj_name(owner),
		obj_uid(owner), true);
	return d;
}

const char *owner_uid(const struct obj *o, const char *kind)
{
	const struct json *ref = meta_controller_ref(obj_json(o));

	return str_eq(json_get_str(ref, "kind"), kind) ? json_str_or(json_get(ref, "uid"), "") : "";
}

int64_t int_or_percent(const struct json *v, int64_t total, bool round_up)
{
	const char *text = json_str(v);
	int64_t n;
	char *end;

	if (!text)
		return json_i64(v);
	n = strtol(text, &end, 10);
	if (*end != '%')
		return 0;
	return round_up ? (n * total + 99) / 100 : n * total / 100;
}

static void emit_owner(const struct obj *o, const char *kind, key_emit_fn *emit, void *arg)
{
	const struct json *ref = meta_controller_ref(obj_json(o));
	CLEANUP(mem_freep) char *key = NULL;

	if (!str_eq(json_get_str(ref, "kind"), kind))
		return;
	key = kind_key(obj_namespace(o), json_get_str(ref, "name"));
	emit(arg, key);
}

void key_owner_deployment(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	emit_owner(o, "Deployment", emit, arg);
}

void key_owner_replicaset(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	emit_owner(o, "ReplicaSet", emit, arg);
}

void key_owner_daemonset(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	emit_owner(o, "DaemonSet", emit, arg);
}

void key_owner_job(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	emit_owner(o, "Job", emit, arg);
}
