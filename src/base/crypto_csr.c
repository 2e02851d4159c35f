/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for certificates (PKCS#10). */
#include "base/crypto.h"

#include "base/mem.h"
#include "base/ossl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CSR_PEM "CERTIFICATE REQUEST"

static void req_freep(X509_REQ **p)
{
	X509_REQ_free(*p);
}

static void exts_freep(STACK_OF(X509_EXTENSION) * *p)
{
	sk_X509_EXTENSION_pop_free(*p, X509_EXTENSION_free);
}

static void names_freep(GENERAL_NAMES **p)
{
	GENERAL_NAMES_free(*p);
}

/* Whoever asks has the key that he asks for: the request is signed with it. */
static X509_REQ *request_of(const char *pem, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(pem);
	CLEANUP(req_freep) X509_REQ *r = NULL;
	EVP_PKEY *key;

	if (!strstr(pem, "-----BEGIN " CSR_PEM "-----")) {
		err_set(e, ERR_BAD_REQUEST, "PEM block type must be " CSR_PEM);
		return NULL;
	}
	r = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
	if (!r) {
		ossl_err(e, ERR_BAD_REQUEST, "the certificate request is not readable");
		return NULL;
	}
	key = X509_REQ_get0_pubkey(r);
	if (!key || X509_REQ_verify(r, key) != 1) {
		ossl_err(e, ERR_BAD_REQUEST, "the certificate request is not signed with its own key");
		return NULL;
	}
	return TAKE(r);
}

static GENERAL_NAMES *alternative_names(X509_REQ *r)
{
	CLEANUP(exts_freep) STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(r);

	return exts ? X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL) : NULL;
}

int csr_info(const char *pem, struct csr_info *ret, struct err *e)
{
	CLEANUP(req_freep) X509_REQ *r = request_of(pem, e);
	CLEANUP(names_freep) GENERAL_NAMES *names = NULL;

	if (!r)
		return -1;
	*ret = (struct csr_info){ 0 };
	ret->common_name = ossl_name_cn(X509_REQ_get_subject_name(r));
	ossl_name_orgs(X509_REQ_get_subject_name(r), &ret->orgs);
	names = alternative_names(r);
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		int type = sk_GENERAL_NAME_value(names, i)->type;

		if (type == GEN_DNS || type == GEN_IPADD)
			ret->hosts++;
		else
			ret->others++;
	}
	ERR_clear_error();
	return 0;
}

void csr_info_done(struct csr_info *i)
{
	free(i->common_name);
	strv_done(&i->orgs);
	*i = (struct csr_info){ 0 };
}

/* Names are the request's own; nothing else of its extensions is kept. */
static int take_names(X509 *x, X509_REQ *r, struct err *e)
{
	CLEANUP(names_freep) GENERAL_NAMES *names = alternative_names(r);

	if (X509_set_subject_name(x, X509_REQ_get_subject_name(r)) != 1 ||
		X509_set_pubkey(x, X509_REQ_get0_pubkey(r)) != 1 ||
		(names && sk_GENERAL_NAME_num(names) &&
			X509_add1_ext_i2d(x, NID_subject_alt_name, names,
				X509_NAME_entry_count(X509_REQ_get_subject_name(r)) == 0, 0) != 1))
		return ossl_err(e, ERR_INTERNAL, "names of a certificate");
	return 0;
}

int csr_sign(const char *pem, const struct cert_spec *spec, const struct key_pair *ca, char **ret_cert_pem,
	struct err *e)
{
	CLEANUP(req_freep) X509_REQ *r = request_of(pem, e);
	CLEANUP(ossl_x509_freep) X509 *x = X509_new();
	CLEANUP(ossl_pkey_freep) EVP_PKEY *ca_key = NULL;
	CLEANUP(ossl_x509_freep) X509 *ca_cert = NULL;
	CLEANUP(ossl_bio_freep) BIO *out = BIO_new(BIO_s_mem());

	MUST(x && out);
	if (!r || !(ca_key = ossl_private_key(ca->key_pem, e)) || !(ca_cert = ossl_cert(ca->cert_pem, e)))
		return -1;
	if (X509_set_version(x, X509_VERSION_3) != 1 ||
		X509_set_issuer_name(x, X509_get_subject_name(ca_cert)) != 1)
		return ossl_err(e, ERR_INTERNAL, "issuer of a certificate");
	if (ossl_serial_and_times(x, spec, e) < 0 || take_names(x, r, e) < 0 ||
		ossl_usages(x, ca_cert, spec, e) < 0)
		return -1;
	if (X509_sign(x, ca_key, EVP_sha256()) <= 0 || PEM_write_bio_X509(out, x) != 1)
		return ossl_err(e, ERR_INTERNAL, "signing a certificate");
	*ret_cert_pem = ossl_bio_take(out);
	return 0;
}
