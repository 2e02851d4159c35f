/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include "base/mem.h"
#include "base/ossl.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

void key_pair_done(struct key_pair *kp)
{
	free(kp->key_pem);
	free(kp->cert_pem);
	*kp = (struct key_pair){ 0 };
}

static void general_names_freep(GENERAL_NAMES **p)
{
	GENERAL_NAMES_free(*p);
}

static void extensions_freep(X509_EXTENSION **p)
{
	X509_EXTENSION_free(*p);
}

static int set_name(X509 *x, const struct cert_spec *spec, struct err *e)
{
	CLEANUP(ossl_name_freep) X509_NAME *n = X509_NAME_new();

	MUST(n);
	/* set 0: each O is an RDN of its own, as Go writes them */
	for (const char *const *o = spec->orgs; o && *o; o++)
		if (X509_NAME_add_entry_by_NID(
			    n, NID_organizationName, MBSTRING_UTF8, (const uint8_t *)*o, -1, -1, 0) != 1)
			return ossl_err(e, ERR_BAD_REQUEST, "organization \"%.100s\" of a certificate", *o);
	if (spec->common_name && X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8,
					 (const uint8_t *)spec->common_name, -1, -1, 0) != 1)
		return ossl_err(
			e, ERR_BAD_REQUEST, "common name \"%.100s\" of a certificate", spec->common_name);
	if (X509_set_subject_name(x, n) != 1)
		return ossl_err(e, ERR_INTERNAL, "subject of a certificate");
	return 0;
}

static int add_conf_ext(X509 *x, X509 *issuer, int nid, const char *value, struct err *e)
{
	CLEANUP(extensions_freep) X509_EXTENSION *ext = NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext || X509_add_ext(x, ext, -1) != 1)
		return ossl_err(e, ERR_INTERNAL, "certificate extension %s", OBJ_nid2sn(nid));
	return 0;
}

static void san_push(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();

	MUST(g && s && ASN1_STRING_set(s, data, (int)len) == 1);
	GENERAL_NAME_set0_value(g, type, s);
	MUST(sk_GENERAL_NAME_push(names, g) > 0);
}

static int add_san(X509 *x, const struct cert_spec *spec, struct err *e)
{
	CLEANUP(general_names_freep) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	MUST(names);
	for (const char *const *d = spec->dns_names; d && *d; d++)
		san_push(names, GEN_DNS, *d, strlen(*d));
	for (const char *const *a = spec->ip_addrs; a && *a; a++) {
		uint8_t b[16];
		if (inet_pton(AF_INET, *a, b) == 1)
			san_push(names, GEN_IPADD, b, 4);
		else if (inet_pton(AF_INET6, *a, b) == 1)
			san_push(names, GEN_IPADD, b, 16);
		else
			return err_set(e, ERR_BAD_REQUEST, "\"%.100s\" is not an IP address", *a);
	}
	if (sk_GENERAL_NAME_num(names) && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) != 1)
		return ossl_err(e, ERR_INTERNAL, "alternative names of a certificate");
	return 0;
}

int ossl_usages(X509 *x, X509 *issuer, const struct cert_spec *spec, struct err *e)
{
	const char *usage = spec->is_ca ? "critical,digitalSignature,keyEncipherment,keyCertSign"
					: "critical,digitalSignature,keyEncipherment";
	const char *ext = spec->server && spec->client ? "serverAuth,clientAuth"
			  : spec->server               ? "serverAuth"
			  : spec->client               ? "clientAuth"
						       : NULL;

	if (add_conf_ext(x, issuer, NID_basic_constraints,
		    spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE", e) < 0 ||
		add_conf_ext(x, issuer, NID_key_usage, usage, e) < 0 ||
		add_conf_ext(x, issuer, NID_subject_key_identifier, "hash", e) < 0 ||
		add_conf_ext(x, issuer, NID_authority_key_identifier, "keyid", e) < 0)
		return -1;
	return ext ? add_conf_ext(x, issuer, NID_ext_key_usage, ext, e) : 0;
}

int ossl_serial_and_times(X509 *x, const struct cert_spec *spec, struct err *e)
{
	BIGNUM *n = BN_new();
	bool ok;

	/* 127 random bits, never zero: unique without a counter (RFC 5280 4.1.2.2) */
	MUST(n && BN_rand(n, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
	ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	if (!ok || !ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(spec->not_before_ms / 1000)) ||
		!ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(spec->not_after_ms / 1000)))
		return ossl_err(e, ERR_BAD_REQUEST, "serial number and validity of a certificate");
	return 0;
}

static int write_pair(EVP_PKEY *k, X509 *x, struct key_pair *ret, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *kb = BIO_new(BIO_s_mem());
	CLEANUP(ossl_bio_freep) BIO *cb = BIO_new(BIO_s_mem());

	MUST(kb && cb);
	if (PEM_write_bio_PKCS8PrivateKey(kb, k, NULL, NULL, 0, NULL, NULL) != 1 ||
		PEM_write_bio_X509(cb, x) != 1)
		return ossl_err(e, ERR_INTERNAL, "writing a certificate");
	ret->key_pem = ossl_bio_take(kb);
	ret->cert_pem = ossl_bio_take(cb);
	return 0;
}

int cert_make(const struct cert_spec *spec, const struct key_pair *ca, struct key_pair *ret, struct err *e)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = EVP_EC_gen("P-256");
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	CLEANUP(ossl_pkey_freep) EVP_PKEY *ca_key = NULL;
	CLEANUP(ossl_x509_freep) X509 *ca_cert = NULL;

	if (!k || !x)
		return ossl_err(e, ERR_INTERNAL, "making a key");
	if (ca && (!(ca_key = ossl_private_key(ca->key_pem, e)) || !(ca_cert = ossl_cert(ca->cert_pem, e))))
		return err_wrap(
			e, "CA of the certificate \"%.100s\"", spec->common_name ? spec->common_name : "");
	if (X509_set_version(x, X509_VERSION_3) != 1 || X509_set_pubkey(x, k) != 1)
		return ossl_err(e, ERR_INTERNAL, "making a certificate");
	if (ossl_serial_and_times(x, spec, e) < 0 || set_name(x, spec, e) < 0)
		return -1;
	if (X509_set_issuer_name(x, X509_get_subject_name(ca_cert ? ca_cert : x)) != 1)
		return ossl_err(e, ERR_INTERNAL, "issuer of a certificate");
	if (ossl_usages(x, ca_cert ? ca_cert : x, spec, e) < 0 || add_san(x, spec, e) < 0)
		return -1;
	if (X509_sign(x, ca_key ? ca_key : k, EVP_sha256()) <= 0)
		return ossl_err(e, ERR_INTERNAL, "signing a certificate");
	return write_pair(k, x, ret, e);
}

static char *entry_text(X509_NAME_ENTRY *entry)
{
	uint8_t *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
	char *text;

	/* an embedded NUL would make "admin\0.evil" read as "admin" */
	if (len < 0 || memchr(utf8, 0, (size_t)len))
		text = mem_strdup("");
	else
		text = mem_strndup((char *)utf8, (size_t)len);
	OPENSSL_free(utf8);
	return text;
}

char *ossl_name_cn(const X509_NAME *n)
{
	int i = X509_NAME_get_index_by_NID(n, NID_commonName, -1);

	return i < 0 ? mem_strdup("") : entry_text(X509_NAME_get_entry(n, i));
}

void ossl_name_orgs(const X509_NAME *n, struct strv *ret)
{
	for (int i = -1; (i = X509_NAME_get_index_by_NID(n, NID_organizationName, i)) >= 0;)
		strv_take(ret, entry_text(X509_NAME_get_entry(n, i)));
}

char *ossl_common_name(const X509 *x)
{
	return ossl_name_cn(X509_get_subject_name(x));
}

void ossl_orgs(const X509 *x, struct strv *ret)
{
	ossl_name_orgs(X509_get_subject_name(x), ret);
}

static void read_san(const X509 *x, struct cert_info *ret)
{
	CLEANUP(general_names_freep)
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		char ip[INET6_ADDRSTRLEN];

		if (type == GEN_DNS) {
			int len = ASN1_STRING_length(s);
			const void *data = ASN1_STRING_get0_data(s);
			if (!memchr(data, 0, (size_t)len))
				strv_take(&ret->dns_names, mem_strndup(data, (size_t)len));
		} else if (type == GEN_IPADD) {
			int af = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;
			if (af == AF_INET6 && ASN1_STRING_length(s) != 16)
				continue;
			if (inet_ntop(af, ASN1_STRING_get0_data(s), ip, sizeof(ip)))
				strv_add(&ret->ip_addrs, ip);
		}
	}
}

static int64_t asn1_ms(const ASN1_TIME *t)
{
	struct tm tm = { 0 };

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

int cert_info(const char *pem, struct cert_info *ret, struct err *e)
{
	CLEANUP(ossl_x509_freep) X509 *x = ossl_cert(pem, e);

	if (!x)
		return -1;
	*ret = (struct cert_info){
		.common_name = ossl_common_name(x),
		.not_before_ms = asn1_ms(X509_get0_notBefore(x)),
		.not_after_ms = asn1_ms(X509_get0_notAfter(x)),
		.is_ca = (X509_get_extension_flags(x) & EXFLAG_CA) != 0,
	};
	ossl_orgs(x, &ret->orgs);
	read_san(x, ret);
	return 0;
}

void cert_info_done(struct cert_info *i)
{
	free(i->common_name);
	strv_done(&i->orgs);
	strv_done(&i->dns_names);
	strv_done(&i->ip_addrs);
	*i = (struct cert_info){ 0 };
}

bool cert_key_match(const char *cert_pem, const char *key_pem)
{
	CLEANUP(ossl_x509_freep) X509 *x = ossl_cert(cert_pem, NULL);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = ossl_private_key(key_pem, NULL);

	return x && k && X509_check_private_key(x, k) == 1;
}
