/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/ossl.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <string.h>

#define ES256_HALF 32
#define ES256_DER_MAX 80
#define JWT_MAX 16384

static void md_ctx_freep(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

static void ecdsa_sig_freep(ECDSA_SIG **p)
{
	ECDSA_SIG_free(*p);
}

static bool is_p256(const EVP_PKEY *k)
{
	char name[64] = "";
	size_t len = 0;

	return EVP_PKEY_is_a(k, "EC") && EVP_PKEY_get_group_name(k, name, sizeof(name), &len) == 1 &&
	       (str_eq(name, "prime256v1") || str_eq(name, "P-256"));
}

static int es256_sign(EVP_PKEY *k, const char *data, size_t len, uint8_t ret[2 * ES256_HALF], struct err *e)
{
	CLEANUP(md_ctx_freep) EVP_MD_CTX *m = EVP_MD_CTX_new();
	CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = NULL;
	uint8_t der[ES256_DER_MAX];
	const uint8_t *p = der;
	size_t der_len = sizeof(der);

	MUST(m);
	if (EVP_DigestSignInit(m, NULL, EVP_sha256(), NULL, k) != 1 ||
		EVP_DigestSign(m, der, &der_len, (const uint8_t *)data, len) != 1)
		return ossl_err(e, ERR_INTERNAL, "signing a token");
	sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
	if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, ES256_HALF) < 0 ||
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + ES256_HALF, ES256_HALF) < 0)
		return ossl_err(e, ERR_INTERNAL, "signing a token");
	return 0;
}

static bool es256_verify(EVP_PKEY *k, const char *data, size_t len, const uint8_t rs[2 * ES256_HALF])
{
	CLEANUP(md_ctx_freep) EVP_MD_CTX *m = EVP_MD_CTX_new();
	CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t der[ES256_DER_MAX], *p = der;
	BIGNUM *r = BN_bin2bn(rs, ES256_HALF, NULL), *s = BN_bin2bn(rs + ES256_HALF, ES256_HALF, NULL);
	int der_len;

	MUST(m && sig && r && s);
	MUST(ECDSA_SIG_set0(sig, r, s) == 1);
	der_len = i2d_ECDSA_SIG(sig, &p);
	return der_len > 0 && EVP_DigestVerifyInit(m, NULL, EVP_sha256(), NULL, k) == 1 &&
	       EVP_DigestVerify(m, der, (size_t)der_len, (const uint8_t *)data, len) == 1;
}

int jwt_sign(
	const char *key_pem, const char *key_id, const char *claims_json, char **ret_token, struct err *e)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = ossl_private_key(key_pem, e);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	CLEANUP(mem_freep) char *header = NULL;
	CLEANUP(str_done) struct str t = { 0 };
	uint8_t rs[2 * ES256_HALF];
	struct json *h = json_new_obj(d);

	if (!k)
		return err_wrap(e, "token signing key");
	if (!is_p256(k))
		return err_set(e, ERR_BAD_REQUEST, "token signing key is not an EC P-256 key");
	json_set_root(d, h);
	json_set_str(d, h, "alg", "ES256");
	json_set_str(d, h, "kid", key_id);
	header = json_write(h, NULL);
	b64_encode(header, strlen(header), true, &t);
	str_addc(&t, '.');
	b64_encode(claims_json, strlen(claims_json), true, &t);
	if (es256_sign(k, t.data, t.len, rs, e) < 0)
		return -1;
	str_addc(&t, '.');
	b64_encode(rs, sizeof(rs), true, &t);
	*ret_token = str_take(&t);
	return 0;
}

struct jwt_parts {
	struct str header, claims, sig;
	size_t signed_len;
};

static void jwt_parts_done(struct jwt_parts *p)
{
	str_done(&p->header);
	str_done(&p->claims);
	str_done(&p->sig);
}

static int jwt_split(const char *token, struct jwt_parts *p, struct err *e)
{
	const char *a = strchr(token, '.'), *b = a ? strchr(a + 1, '.') : NULL;
	struct err why;

	if (!b || strchr(b + 1, '.') || strlen(token) > JWT_MAX)
		return err_set(e, ERR_UNAUTHORIZED, "not a signed token");
	p->signed_len = (size_t)(b - token);
	if (b64_decode(token, (size_t)(a - token), true, &p->header, &why) < 0 ||
		b64_decode(a + 1, (size_t)(b - a - 1), true, &p->claims, &why) < 0 ||
		b64_decode(b + 1, strlen(b + 1), true, &p->sig, &why) < 0)
		return err_set(e, ERR_UNAUTHORIZED, "token: %s", why.msg);
	/* these leave as C strings */
	if (memchr(str_cstr(&p->header), 0, p->header.len) || memchr(str_cstr(&p->claims), 0, p->claims.len))
		return err_set(e, ERR_UNAUTHORIZED, "token holds a NUL byte");
	return 0;
}

int jwt_verify(const char *key_pem, const char *token, char **ret_claims, struct err *e)
{
	CLEANUP(jwt_parts_done) struct jwt_parts p = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *h = NULL;
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = NULL;
	struct err why;

	if (jwt_split(token, &p, e) < 0)
		return -1;
	h = json_parse(str_cstr(&p.header), p.header.len, &why);
	if (!h)
		return err_set(e, ERR_UNAUTHORIZED, "token header: %s", why.msg);
	/* the algorithm is ours to choose, never the token's (RFC 8725 3.1) */
	if (!str_eq(json_get_str(json_root(h), "alg"), "ES256"))
		return err_set(e, ERR_UNAUTHORIZED, "token is not signed with ES256");
	k = ossl_any_key(key_pem, e);
	if (!k)
		return err_wrap(e, "token key");
	if (!is_p256(k))
		return err_set(e, ERR_BAD_REQUEST, "token key is not an EC P-256 key");
	if (p.sig.len != 2 * ES256_HALF || !es256_verify(k, token, p.signed_len, (const uint8_t *)p.sig.data))
		return ossl_err(e, ERR_UNAUTHORIZED, "token signature does not verify");
	*ret_claims = str_take(&p.claims);
	return 0;
}

int jwt_peek(const char *token, char **ret_header, char **ret_claims, struct err *e)
{
	CLEANUP(jwt_parts_done) struct jwt_parts p = { 0 };

	if (jwt_split(token, &p, e) < 0)
		return -1;
	*ret_header = str_take(&p.header);
	*ret_claims = str_take(&p.claims);
	return 0;
}

static int add_coordinate(EVP_PKEY *k, const char *param, struct str *out, struct err *e)
{
	uint8_t b[ES256_HALF];
	BIGNUM *n = NULL;
	int r;

	if (EVP_PKEY_get_bn_param(k, param, &n) != 1)
		return ossl_err(e, ERR_INTERNAL, "reading a public key");
	r = BN_bn2binpad(n, b, sizeof(b));
	BN_free(n);
	if (r < 0)
		return ossl_err(e, ERR_INTERNAL, "reading a public key");
	b64_encode(b, sizeof(b), true, out);
	return 0;
}

int jwks_text(const char *key_pem, const char *key_id, char **ret, struct err *e)
{
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = ossl_any_key(key_pem, e);
	CLEANUP(str_done) struct str x = { 0 }, y = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *key = json_new_obj(d), *root = json_new_obj(d);

	if (!k)
		return -1;
	if (!is_p256(k))
		return err_set(e, ERR_BAD_REQUEST, "token key is not an EC P-256 key");
	if (add_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_X, &x, e) < 0 ||
		add_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_Y, &y, e) < 0)
		return -1;
	json_set_root(d, root);
	json_set_str(d, key, "use", "sig");
	json_set_str(d, key, "kty", "EC");
	json_set_str(d, key, "kid", key_id);
	json_set_str(d, key, "crv", "P-256");
	json_set_str(d, key, "alg", "ES256");
	json_set_str(d, key, "x", str_cstr(&x));
	json_set_str(d, key, "y", str_cstr(&y));
	json_append(d, json_need_arr(d, root, "keys"), key);
	*ret = json_write(root, NULL);
	return 0;
}
