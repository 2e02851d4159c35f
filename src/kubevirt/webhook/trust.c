/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: ours, those we accept, and the one we show to virt-handler. Rebuilt from the caches whenever one changes; a set
 * that does not fit together is logged and the old one stays in use. */
#include <string.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/webhook/server_impl.h"

static const struct json *data_of(const struct cache *c)
{
	const struct obj *o = cache_at(c, 0);
	return o ? json_get(obj_json(o), "data") : NULL;
}

/* Secrets hold base64. */
static char *secret_text(const struct cache *c, const char *key)
{
	const char *b64 = json_get_str(data_of(c), key);
	struct str out = { 0 };

	if (!b64 || b64_decode(b64, strlen(b64), false, &out, NULL) < 0) {
		str_done(&out);
		return NULL;
	}
	return str_take(&out);
}

/* SHA-256 of the DER of every certificate in a PEM text. */
static void hash_certs(const char *pem, struct strv *ret)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";

	for (const char *p = pem; p && (p = strstr(p, begin));) {
		CLEANUP(str_done) struct str b64 = { 0 }, der = { 0 };
		const char *stop = strstr(p, end);
		char hex[SHA256_HEX_LEN + 1];
		if (!stop)
			return;
		for (p += strlen(begin); p < stop; p++)
			if (!strchr(" \r\n\t", *p))
				str_addc(&b64, *p);
		if (b64_decode(str_cstr(&b64), b64.len, false, &der, NULL) < 0)
			continue;
		crypto_sha256_hex(der.data, der.len, hex);
		strv_add(ret, hex);
	}
}

/* The ConfigMap's lists are JSON arrays in text form; the first entry of a header list is what we use. */
static void take_list(const struct json *data, const char *key, struct strv *ret)
{
	const char *text = json_get_str(data, key);
	CLEANUP(json_doc_freep) struct json_doc *d = text ? json_parse(text, strlen(text), NULL) : NULL;

	JSON_EACH (it, d ? json_root(d) : NULL)
		if (json_str(it.val))
			strv_add(ret, json_str(it.val));
}

static char *first_of(const struct json *data, const char *key, const char *deflt)
{
	CLEANUP(strv_done) struct strv list = { 0 };
	take_list(data, key, &list);
	return mem_strdup(list.len ? list.items[0] : deflt);
}

static void proxy_done(struct front_proxy *p)
{
	strv_done(&p->ca_hashes);
	strv_done(&p->allowed_names);
	free(p->user_header);
	free(p->group_header);
	free(p->extra_prefix);
	*p = (struct front_proxy){ 0 };
}

static void reload_proxy(struct virt_api *a)
{
	const struct json *data = data_of(a->authentication);

	proxy_done(&a->proxy);
	hash_certs(json_get_str(data, "requestheader-client-ca-file"), &a->proxy.ca_hashes);
	take_list(data, "requestheader-allowed-names", &a->proxy.allowed_names);
	a->proxy.user_header = first_of(data, "requestheader-username-headers", "X-Remote-User");
	a->proxy.group_header = first_of(data, "requestheader-group-headers", "X-Remote-Group");
	a->proxy.extra_prefix = first_of(data, "requestheader-extra-headers-prefix", "X-Remote-Extra-");
}

static void add_ca(struct str *bundle, const char *pem)
{
	if (!str_empty(pem))
		str_addf(bundle, "%s%s", pem, str_ends(pem, "\n") ? "" : "\n");
}

static void reload_server(struct virt_api *a)
{
	CLEANUP(mem_freep)
	char *cert = secret_text(a->api_secret, "tls.crt"), *key = secret_text(a->api_secret, "tls.key");
	const struct json *auth = data_of(a->authentication);
	CLEANUP(str_done) struct str cas = { 0 };
	struct err e;

	if (!cert || !key)
		return;
	add_ca(&cas, json_get_str(auth, "requestheader-client-ca-file"));
	add_ca(&cas, json_get_str(auth, "client-ca-file"));
	add_ca(&cas, json_get_str(data_of(a->kubevirt_ca), KV_CA_BUNDLE_KEY));
	const struct tls_server_spec spec = {
		.cert_pem = cert, .key_pem = key, .client_ca_pem = cas.len ? cas.data : NULL
	};
	struct tls_ctx *tls = tls_server_new(&spec, &e);
	if (!tls) {
		log_error("the certificate in Secret %s can not be used: %s", KV_SECRET_API, e.msg);
		return;
	}
	tls_unref(a->server_tls);
	a->server_tls = tls;
	if (a->http)
		http_server_set_tls(a->http, tls);
}

static void reload_handler(struct virt_api *a)
{
	CLEANUP(mem_freep) char *cert = secret_text(a->handler_secret, "tls.crt");
	CLEANUP(mem_freep) char *key = secret_text(a->handler_secret, "tls.key");
	const char *ca = json_get_str(data_of(a->kubevirt_ca), KV_CA_BUNDLE_KEY);
	struct err e;

	if (!cert || !key || str_empty(ca))
		return;
	const struct tls_client_spec spec = {
		.ca_pem = ca, .cert_pem = cert, .key_pem = key, .server_name = KV_CN_HANDLER_SERVER
	};
	struct tls_ctx *tls = tls_client_new(&spec, &e);
	if (!tls) {
		log_error("the certificate in Secret %s can not be used: %s", KV_SECRET_HANDLER, e.msg);
		return;
	}
	tls_unref(a->handler_tls);
	a->handler_tls = tls;
}

void trust_reload(struct virt_api *a)
{
	reload_proxy(a);
	reload_server(a);
	reload_handler(a);
}

void trust_done(struct virt_api *a)
{
	proxy_done(&a->proxy);
	tls_unref(a->server_tls);
	tls_unref(a->handler_tls);
}
