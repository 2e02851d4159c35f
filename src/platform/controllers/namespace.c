/* SPDX-License-Identifier: Apache-2.0 */
/* What every namespace gets: a ServiceAccount "default" and the API server's CA as ConfigMap kube-root-ca.crt. And the end of
 * one: its content is deleted by an action (cleaner.c), then the finalizer goes (kubernetes-api.md 2.4). */
#include "platform/controllers/controllers.h"

#include "base/mem.h"
#include "platform/controllers/cleaner.h"
#include "platform/clients/kinds.h"

#define ROOT_CA "kube-root-ca.crt"

static struct json_doc *plain(const char *kind, const char *ns, const char *name)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "apiVersion", "v1");
	json_set_str(d, o, "kind", kind);
	json_set_str(d, json_need_obj(d, o, "metadata"), "name", name);
	json_set_str(d, json_need_obj(d, o, "metadata"), "namespace", ns);
	return d;
}

static void ensure_ca(const struct look *l, const char *ns, const char *ca_pem, struct plan *out)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, ROOT_CA);
	const struct obj *old = look_get(l, &pk_configmap, key);
	struct json_doc *d = old ? obj_draft(old) : plain("ConfigMap", ns, ROOT_CA);

	json_set_str(d, json_need_obj(d, json_root(d), "data"), "ca.crt", ca_pem);
	if (old)
		plan_change(out, &pk_configmap, old, NULL, d);
	else
		plan_ensure(out, &pk_configmap, d);
}

static void namespace_decide(const struct look *l, const char *key, struct plan *out)
{
	const struct platform_env *env = look_env(l);
	const struct obj *ns = look_get(l, &pk_namespace, key);
	CLEANUP(mem_freep) char *account = kind_key(key, "default");

	if (!ns)
		return;
	if (obj_deleting(ns)) {
		/* asked again until nothing is left: finalizers of others may take their time */
		plan_action(out, "clean", key, NULL);
		plan_again_at(out, look_now(l) + CLEANER_AGAIN_MS);
		return;
	}
	if (!look_get(l, &pk_serviceaccount, account))
		plan_ensure(out, &pk_serviceaccount, plain("ServiceAccount", key, "default"));
	ensure_ca(l, key, env->ca_pem, out);
}

static void key_namespace_of(const struct look *l, const struct obj *o, key_emit_fn *emit, void *arg)
{
	if (str_eq(obj_name(o), ROOT_CA) || str_eq(obj_name(o), "default"))
		emit(arg, obj_namespace(o));
}

static void namespace_action(
	void *arg, const struct intent *i, void (*done)(void *done_arg, const struct err *e), void *done_arg)
{
	struct platform_env *env = arg;

	cleaner_start(env->client, i->key, done, done_arg);
}

const struct controller namespace_controller = {
	.name = "namespace",
	.decide = namespace_decide,
	.action = namespace_action,
	.watches = {
		{ .kind = &pk_namespace, .keys = key_self },
		{ .kind = &pk_serviceaccount, .keys = key_namespace_of },
		{ .kind = &pk_configmap, .keys = key_namespace_of },
	},
};
