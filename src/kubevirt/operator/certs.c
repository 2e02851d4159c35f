/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/operator/certs.h"

#include "api/meta.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/time.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/api/names.h"

#include <string.h>

#define CERT_TEXT_MAX (64 * 1024)
#define CERT_BACKDATE_MS (5 * 60 * 1000LL) /* clocks differ */

/* Every leaf: Secret, common name, further name, and what it is for. %s is the install namespace. */
static const struct leaf {
	const char *secret, *common_name, *dns;
	bool server, client;
} leaves[] = {
	{ KV_SECRET_API, "virt-api.%s.pod.cluster.local", KV_SERVICE_API ".%s.svc", true, false },
	{ KV_SECRET_CONTROLLER, "virt-controller.%s.pod.cluster.local", "virt-controller.%s.svc", true,
		false },
	{ KV_SECRET_OPERATOR, "kubevirt-operator.%s.pod.cluster.local", KV_SERVICE_OPERATOR_WEBHOOK ".%s.svc",
		true, false },
	{ KV_SECRET_HANDLER, KV_CN_HANDLER_CLIENT, NULL, false, true },
	{ KV_SECRET_HANDLER_SERVER, KV_CN_HANDLER_SERVER, KV_CN_HANDLER_SERVER, true, false },
};

static char *from_b64(const struct json *v)
{
	CLEANUP(str_done) struct str text = { 0 };

	if (!json_is_str(v) || json_str_len(v) > CERT_TEXT_MAX ||
		b64_decode(json_str(v), json_str_len(v), false, &text, NULL) < 0)
		return NULL;
	return str_take(&text);
}

/* false unless the Secret holds a matching pair. */
static bool pair_read(const struct obj *secret, struct key_pair *ret)
{
	const struct json *data = secret ? json_get(obj_json(secret), "data") : NULL;
	struct key_pair kp = { .cert_pem = from_b64(json_get(data, "tls.crt")),
		.key_pem = from_b64(json_get(data, "tls.key")) };

	if (!kp.cert_pem || !kp.key_pem || !cert_key_match(kp.cert_pem, kp.key_pem)) {
		key_pair_done(&kp);
		return false;
	}
	*ret = kp;
	return true;
}

/* When a certificate is to be replaced; 0 if it can not be read. */
static int64_t renew_at(const char *pem)
{
	struct cert_info info = { 0 };
	int64_t at;

	if (cert_info(pem, &info, NULL) < 0)
		return 0;
	at = info.not_after_ms - (info.not_after_ms - info.not_before_ms) * CERT_RENEW_PERCENT / 100;
	cert_info_done(&info);
	return at;
}

static void plan_secret(
	struct plan *out, const char *ns, const char *name, const struct obj *old, const struct key_pair *kp)
{
	struct json_doc *d = old ? obj_draft(old) : json_doc_new();
	struct json *o = old ? json_root(d) : json_new_obj(d);
	CLEANUP(str_done) struct str crt = { 0 };
	CLEANUP(str_done) struct str key = { 0 };
	struct json *data;

	if (!old) {
		json_set_root(d, o);
		json_set_str(d, o, "apiVersion", "v1");
		json_set_str(d, o, "kind", "Secret");
		json_set_str(d, json_need_obj(d, o, "metadata"), "name", name);
		json_set_str(d, json_need_obj(d, o, "metadata"), "namespace", ns);
		json_set_str(d, o, "type", "kubernetes.io/tls");
	}
	meta_set_label(d, o, LABEL_MANAGED_BY, KV_VIRT_OPERATOR);
	b64_encode(kp->cert_pem, strlen(kp->cert_pem), false, &crt);
	b64_encode(kp->key_pem, strlen(kp->key_pem), false, &key);
	data = json_need_obj(d, o, "data");
	json_set_str(d, data, "tls.crt", str_cstr(&crt));
	json_set_str(d, data, "tls.key", str_cstr(&key));
	if (old)
		plan_change(out, &kind_secret, old, NULL, d);
	else
		plan_create(out, &kind_secret, d);
}

static const struct obj *ns_get(const struct look *l, const struct kind *k, const char *ns, const char *name)
{
	CLEANUP(mem_freep) char *key = kind_key(ns, name);

	return look_get(l, k, key);
}

static int64_t duration_of(const struct json *cr, const char *pointer, int64_t deflt)
{
	const char *text = json_at_str(cr, pointer);
	int64_t ms;

	return text && time_parse_duration(text, &ms) && ms > 60000 ? ms : deflt;
}

static int ensure_ca(const struct look *l, const char *ns, const struct json *cr, struct plan *out,
	struct key_pair *ret, struct err *e)
{
	const struct obj *secret = ns_get(l, &kind_secret, ns, KV_SECRET_CA);
	int64_t now = look_now(l), at = 0;
	CLEANUP(mem_freep) char *name = NULL;
	struct cert_spec spec = { .is_ca = true, .not_before_ms = now - CERT_BACKDATE_MS };

	if (pair_read(secret, ret)) {
		at = renew_at(ret->cert_pem);
		if (at > now) {
			plan_again_at(out, at);
			return 0;
		}
		key_pair_done(ret);
	}
	name = str_printf("kubevirt.io@%lld", (long long)(now / 1000));
	spec.common_name = name;
	spec.not_after_ms =
		now + duration_of(cr, "/spec/certificateRotateStrategy/selfSigned/ca/duration", CERT_CA_MS);
	if (cert_make(&spec, NULL, ret, e) < 0)
		return err_wrap(e, "make the CA of the installation");
	plan_secret(out, ns, KV_SECRET_CA, secret, ret);
	return 0;
}

static int ensure_leaf(const struct look *l, const char *ns, const struct json *cr, const struct leaf *leaf,
	const struct key_pair *ca, struct plan *out, struct err *e)
{
	const struct obj *secret = ns_get(l, &kind_secret, ns, leaf->secret);
	int64_t now = look_now(l);
	struct key_pair kp = { 0 };
	CLEANUP(mem_freep) char *cn = NULL;
	CLEANUP(mem_freep) char *dns = NULL;
	CLEANUP(mem_freep) char *long_dns = NULL;
	const char *names[4] = { 0 };
	struct cert_spec spec = {
		.server = leaf->server, .client = leaf->client, .not_before_ms = now - CERT_BACKDATE_MS
	};

	if (pair_read(secret, &kp)) {
		int64_t at = renew_at(kp.cert_pem);

		key_pair_done(&kp);
		if (at > now) {
			plan_again_at(out, at);
			return 0;
		}
	}
	cn = strchr(leaf->common_name, '%')
		     ? str_printf("%.*s%s%s", (int)strcspn(leaf->common_name, "%"), leaf->common_name, ns,
			       strchr(leaf->common_name, '%') + 2)
		     : mem_strdup(leaf->common_name);
	if (leaf->dns && strchr(leaf->dns, '%')) {
		dns = str_printf("%.*s%s.svc", (int)strcspn(leaf->dns, "%"), leaf->dns, ns);
		long_dns = str_printf("%s.cluster.local", dns);
		names[0] = dns;
		names[1] = long_dns;
		names[2] = "localhost";
	} else if (leaf->dns) {
		names[0] = leaf->dns;
	}
	spec.common_name = cn;
	spec.dns_names = names[0] ? names : NULL;
	spec.not_after_ms =
		now +
		duration_of(cr, "/spec/certificateRotateStrategy/selfSigned/server/duration", CERT_LEAF_MS);
	if (cert_make(&spec, ca, &kp, e) < 0)
		return err_wrap(e, "make the certificate of secret '%s'", leaf->secret);
	plan_secret(out, ns, leaf->secret, secret, &kp);
	key_pair_done(&kp);
	return 0;
}

/* The present CA first, then the ones before it that are still valid: peers may still show leaves of those. */
static char *bundle_text(const struct obj *config, const char *ca_pem, int64_t now)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	CLEANUP(str_done) struct str out = { 0 };
	const char *p = config ? json_at_str(obj_json(config), "/data/" KV_CA_BUNDLE_KEY) : NULL;
	size_t n = 1;

	str_add(&out, ca_pem);
	for (p = p ? strstr(p, begin) : NULL; p && n < CERT_BUNDLE_MAX; n++) {
		const char *next = strstr(p + 1, begin);
		CLEANUP(mem_freep) char *one = next ? mem_strndup(p, (size_t)(next - p)) : mem_strdup(p);
		struct cert_info info = { 0 };

		if (!strstr(ca_pem, one) && cert_info(one, &info, NULL) == 0) {
			if (info.not_after_ms > now)
				str_add(&out, one);
			cert_info_done(&info);
		}
		p = next;
	}
	return str_take(&out);
}

static void ensure_bundle(
	const struct look *l, const char *ns, const char *bundle, const struct obj *old, struct plan *out)
{
	struct json_doc *d = old ? obj_draft(old) : json_doc_new();
	struct json *o = old ? json_root(d) : json_new_obj(d);

	if (!old) {
		json_set_root(d, o);
		json_set_str(d, o, "apiVersion", "v1");
		json_set_str(d, o, "kind", "ConfigMap");
		json_set_str(d, json_need_obj(d, o, "metadata"), "name", KV_CONFIGMAP_CA);
		json_set_str(d, json_need_obj(d, o, "metadata"), "namespace", ns);
	}
	meta_set_label(d, o, LABEL_MANAGED_BY, KV_VIRT_OPERATOR);
	json_set_str(d, json_need_obj(d, o, "data"), KV_CA_BUNDLE_KEY, bundle);
	if (old)
		plan_change(out, &kind_configmap, old, NULL, d);
	else
		plan_create(out, &kind_configmap, d);
}

int certs_ensure(const struct look *l, const struct operator_settings *s, const struct json *cr,
	struct plan *out, char **ret_ca_b64, struct err *e)
{
	const struct obj *config = ns_get(l, &kind_configmap, s->ns, KV_CONFIGMAP_CA);
	CLEANUP(mem_freep) char *bundle = NULL;
	CLEANUP(str_done) struct str b64 = { 0 };
	CLEANUP(key_pair_done) struct key_pair ca = { 0 };

	if (ensure_ca(l, s->ns, cr, out, &ca, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++)
		if (ensure_leaf(l, s->ns, cr, &leaves[i], &ca, out, e) < 0)
			return -1;
	bundle = bundle_text(config, ca.cert_pem, look_now(l));
	ensure_bundle(l, s->ns, bundle, config, out);
	b64_encode(bundle, strlen(bundle), false, &b64);
	*ret_ca_b64 = str_take(&b64);
	return 0;
}
