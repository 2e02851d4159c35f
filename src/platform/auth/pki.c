/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/auth/pki.h"

#include "base/file.h"
#include "base/mem.h"

#include <netdb.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>

#define DAY_MS (24LL * 3600 * 1000)
#define PEM_MAX (256 * 1024)

void pki_done(struct pki *p)
{
	key_pair_done(&p->ca);
	key_pair_done(&p->serving);
	key_pair_done(&p->admin);
	key_pair_done(&p->front_ca);
	key_pair_done(&p->front_client);
	free(p->sa_key);
	*p = (struct pki){ 0 };
}

/* ---- files ---- */
static int pair_read(const char *dir, const char *name, struct key_pair *ret, struct err *e)
{
	CLEANUP(mem_freep) char *crt = str_printf("%s/%s.crt", dir, name);
	CLEANUP(mem_freep) char *key = str_printf("%s/%s.key", dir, name);
	struct key_pair kp = { 0 };

	if (file_read(crt, PEM_MAX, &kp.cert_pem, NULL, e) < 0 ||
		file_read(key, PEM_MAX, &kp.key_pem, NULL, e) < 0) {
		key_pair_done(&kp);
		return -1;
	}
	*ret = kp;
	return 0;
}

static int pair_write(const char *dir, const char *name, const struct key_pair *kp, struct err *e)
{
	CLEANUP(mem_freep) char *crt = str_printf("%s/%s.crt", dir, name);
	CLEANUP(mem_freep) char *key = str_printf("%s/%s.key", dir, name);

	/* the certificate last: a pair counts as there when it is */
	if (file_write_atomic(key, kp->key_pem, strlen(kp->key_pem), 0600, e) < 0)
		return -1;
	return file_write_atomic(crt, kp->cert_pem, strlen(kp->cert_pem), 0644, e);
}

static bool has_all(const struct strv *have, const char *const *want)
{
	for (size_t i = 0; want && want[i]; i++)
		if (!strv_has(have, want[i]))
			return false;
	return true;
}

/* What was kept still serves: key and certificate match, time is left, names are there. */
static bool pair_good(const struct key_pair *kp, const struct cert_spec *spec, int64_t now_ms)
{
	struct cert_info info = { 0 };
	bool good;

	if (cert_info(kp->cert_pem, &info, NULL) < 0)
		return false;
	good = cert_key_match(kp->cert_pem, kp->key_pem) &&
	       info.not_after_ms > now_ms + PKI_RENEW_DAYS * DAY_MS &&
	       str_eq(info.common_name, spec->common_name) && has_all(&info.dns_names, spec->dns_names) &&
	       has_all(&info.ip_addrs, spec->ip_addrs);
	cert_info_done(&info);
	return good;
}

/* ca NULL: self-signed. *made tells that a new one was written: what it signed is void then. */
static int pair_need(const char *dir, const char *name, struct cert_spec *spec, const struct key_pair *ca,
	bool renew, int64_t now_ms, struct key_pair *ret, bool *made, struct err *e)
{
	struct err missing = { 0 };

	*made = false;
	if (!renew && pair_read(dir, name, ret, &missing) == 0) {
		if (pair_good(ret, spec, now_ms))
			return 0;
		key_pair_done(ret);
	}
	spec->not_before_ms = now_ms - DAY_MS;
	spec->not_after_ms = now_ms + (spec->is_ca ? PKI_CA_DAYS : PKI_CERT_DAYS) * DAY_MS;
	*made = true;
	if (cert_make(spec, ca, ret, e) < 0 || pair_write(dir, name, ret, e) < 0)
		return err_wrap(e, "certificate '%s'", name);
	return 0;
}

/* ---- the serving certificate's names ---- */
static bool is_address(const char *s)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

static void add_san(struct strv *dns, struct strv *ips, const char *san)
{
	struct strv *to = is_address(san) ? ips : dns;

	if (!strv_has(to, san))
		strv_add(to, san);
}

static void usual_sans(struct strv *dns, struct strv *ips)
{
	static const char *const usual[] = { "127.0.0.1", "localhost", "kubernetes", "kubernetes.default",
		"kubernetes.default.svc", "kubernetes.default.svc.cluster.local" };
	char host[256] = "";

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		add_san(dns, ips, usual[i]);
	if (gethostname(host, sizeof(host) - 1) == 0 && host[0])
		add_san(dns, ips, host);
}

static int serving_need(struct pki *p, const char *dir, const struct strv *dns, const struct strv *ips,
	bool renew, int64_t now_ms, bool *made, struct err *e)
{
	struct cert_spec spec = { .common_name = "kube-apiserver", .server = true };

	spec.dns_names = (const char *const *)strv_argv((struct strv *)dns);
	spec.ip_addrs = (const char *const *)strv_argv((struct strv *)ips);
	return pair_need(dir, "apiserver", &spec, &p->ca, renew, now_ms, &p->serving, made, e);
}

static int sa_key_need(struct pki *p, const char *dir, struct err *e)
{
	CLEANUP(mem_freep) char *path = str_printf("%s/sa.key", dir);
	struct cert_spec spec = { .common_name = "service-accounts", .not_after_ms = PKI_CA_DAYS * DAY_MS };
	struct key_pair kp = { 0 };
	int ret = 0;

	if (file_read(path, PEM_MAX, &p->sa_key, NULL, NULL) < 0) {
		/* any key will do; it comes with a certificate nobody needs */
		ret = cert_make(&spec, NULL, &kp, e);
		if (ret == 0) {
			p->sa_key = TAKE(kp.key_pem);
			ret = file_write_atomic(path, p->sa_key, strlen(p->sa_key), 0600, e);
		}
		key_pair_done(&kp);
	}
	if (ret == 0)
		crypto_sha256_hex(p->sa_key, strlen(p->sa_key), p->sa_key_id);
	return ret;
}

/* Hash of the first certificate's DER: how connections name the CA that vouches for them. */
static int pem_hash(const char *pem, char ret[SHA256_HEX_LEN + 1], struct err *e)
{
	static const char head[] = "-----BEGIN CERTIFICATE-----", tail[] = "-----END";
	CLEANUP(str_done) struct str text = { 0 }, der = { 0 };
	const char *from = strstr(pem, head), *to = from ? strstr(from, tail) : NULL;

	if (!to)
		return err_set(e, ERR_INTERNAL, "not a PEM certificate");
	for (const char *c = from + strlen(head); c < to; c++)
		if (*c > ' ')
			str_addc(&text, *c);
	if (b64_decode(text.data, text.len, false, &der, e) < 0)
		return -1;
	crypto_sha256_hex(der.data, der.len, ret);
	return 0;
}

static int clients_need(
	struct pki *p, const char *dir, bool new_ca, bool new_front, int64_t now_ms, struct err *e)
{
	static const char *const masters[] = { "system:masters", NULL };
	struct cert_spec admin = { .common_name = "kubernetes-admin", .orgs = masters, .client = true };
	struct cert_spec front = { .common_name = "front-proxy-client", .client = true };
	bool made;

	if (pair_need(dir, "admin", &admin, &p->ca, new_ca, now_ms, &p->admin, &made, e) < 0)
		return -1;
	return pair_need(dir, "front-proxy-client", &front, &p->front_ca, new_front, now_ms, &p->front_client,
		&made, e);
}

int pki_load(struct pki *p, const char *dir, const char *const *sans, int64_t now_ms, struct err *e)
{
	struct cert_spec ca = { .common_name = "coracle-ca", .is_ca = true };
	struct cert_spec front = { .common_name = "coracle-front-proxy-ca", .is_ca = true };
	CLEANUP(strv_done) struct strv dns = { 0 };
	CLEANUP(strv_done) struct strv ips = { 0 };
	bool new_ca, new_front, made;

	usual_sans(&dns, &ips);
	for (size_t i = 0; sans && sans[i]; i++)
		add_san(&dns, &ips, sans[i]);
	if (file_mkdirs(dir, 0700, e) < 0 || sa_key_need(p, dir, e) < 0 ||
		pair_need(dir, "ca", &ca, NULL, false, now_ms, &p->ca, &new_ca, e) < 0 ||
		pair_need(dir, "front-proxy-ca", &front, NULL, false, now_ms, &p->front_ca, &new_front, e) <
			0 ||
		serving_need(p, dir, &dns, &ips, new_ca, now_ms, &made, e) < 0 ||
		clients_need(p, dir, new_ca, new_front, now_ms, e) < 0)
		return -1;
	return pem_hash(p->front_ca.cert_pem, p->front_issuer, e);
}

int pki_add_san(struct pki *p, const char *dir, const char *san, int64_t now_ms, struct err *e)
{
	struct cert_info info = { 0 };
	bool made;
	int ret;

	if (cert_info(p->serving.cert_pem, &info, e) < 0)
		return -1;
	add_san(&info.dns_names, &info.ip_addrs, san);
	key_pair_done(&p->serving);
	ret = serving_need(p, dir, &info.dns_names, &info.ip_addrs, false, now_ms, &made, e);
	cert_info_done(&info);
	return ret < 0 ? -1 : made;
}
