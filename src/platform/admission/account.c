/* SPDX-License-Identifier: Apache-2.0 */
/* What ServiceAccount admission adds to a new pod: the kube-api-access volume with token, CA and namespace, mounted in every
 * container that has nothing there (kubernetes-api.md 1.5). */
#include "platform/admission/plugins.h"

#include "base/crypto.h"
#include "base/mem.h"

#define MOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define NAME_PREFIX "kube-api-access-"
#define ACCESS_TOKEN_SECONDS 3607 /* as upstream, which tells its own requests by it */

static bool wanted(const struct json *spec, const struct json *account)
{
	const struct json *pod = json_get(spec, "automountServiceAccountToken");

	if (json_is_bool(pod))
		return json_bool(pod);
	return json_bool_or(json_get(account, "automountServiceAccountToken"), true);
}

static void random_suffix(char ret[6])
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	unsigned char raw[5];

	crypto_random(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		ret[i] = letters[raw[i] % (sizeof(letters) - 1)];
	ret[5] = 0;
}

static bool mounts_it(const struct json *ctr)
{
	JSON_EACH (it, json_get(ctr, "volumeMounts"))
		if (str_eq(json_get_str(it.val, "mountPath"), MOUNT_PATH))
			return true;
	return false;
}

static bool add_mounts(struct json_doc *d, const struct json *list, const char *volume)
{
	bool any = false;

	JSON_EACH (it, list) {
		struct json *m;

		if (!json_is_obj(it.val) || mounts_it(it.val))
			continue;
		m = json_new_obj(d);
		json_set_str(d, m, "name", volume);
		json_set_bool(d, m, "readOnly", true);
		json_set_str(d, m, "mountPath", MOUNT_PATH);
		json_append(d, json_need_arr(d, it.val, "volumeMounts"), m);
		any = true;
	}
	return any;
}

void account_mount(struct json_doc *draft, const struct json *account)
{
	struct json *spec = json_get(json_root(draft), "spec");
	CLEANUP(json_doc_freep) struct json_doc *v = NULL;
	CLEANUP(mem_freep) char *name = NULL;
	struct json *volume;
	char suffix[6];
	bool any;

	if (!json_is_obj(spec) || !wanted(spec, account))
		return;
	/* Of a template that was made from a pod: one is enough. */
	JSON_EACH (it, json_get(spec, "volumes"))
		if (str_starts(json_str_or(json_get(it.val, "name"), ""), NAME_PREFIX))
			name = mem_strdup(json_get_str(it.val, "name"));
	if (name) {
		add_mounts(draft, json_get(spec, "containers"), name);
		add_mounts(draft, json_get(spec, "initContainers"), name);
		return;
	}
	random_suffix(suffix);
	name = str_printf("%s%s", NAME_PREFIX, suffix);
	any = add_mounts(draft, json_get(spec, "containers"), name);
	any = add_mounts(draft, json_get(spec, "initContainers"), name) || any;
	if (!any)
		return;
	v = json_lit("{'name':'','projected':{'defaultMode':420,'sources':["
		     "{'serviceAccountToken':{'expirationSeconds':0,'path':'token'}},"
		     "{'configMap':{'name':'kube-root-ca.crt','items':[{'key':'ca.crt','path':'ca.crt'}]}},"
		     "{'downwardAPI':{'items':[{'path':'namespace','fieldRef':{'apiVersion':'v1','fieldPath':"
		     "'metadata.namespace'}}]}}"
		     "]}}");
	json_put_str(v, json_root(v), "/name", name);
	json_put(v, json_root(v), "/projected/sources/0/serviceAccountToken/expirationSeconds",
		json_new_i64(v, ACCESS_TOKEN_SECONDS));
	volume = json_copy(draft, json_root(v));
	json_append(draft, json_need_arr(draft, spec, "volumes"), volume);
}
