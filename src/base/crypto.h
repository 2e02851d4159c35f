/* SPDX-License-Identifier: Apache-2.0 */
/* base/crypto.h - hashes, random bytes, keys, certificates, signed tokens. With base/tls.c and base/http_*.c the only
 * users of OpenSSL. Keys are ECDSA P-256. PEM texts are NUL-terminated strings owned by the caller. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define SHA256_HEX_LEN 64
void crypto_random(void *buf, size_t len); /* never fails: aborts */
void crypto_uuid(char ret[37]);            /* random, version 4 */
void crypto_uuid5(const char *namespace_uuid, const char *name, char ret[37]);
void crypto_sha256(const void *data, size_t len, uint8_t ret[32]);
void crypto_sha256_hex(const void *data, size_t len, char ret[SHA256_HEX_LEN + 1]);
void crypto_sha1(const void *data, size_t len, uint8_t ret[20]); /* for WebSocket handshakes only */
void crypto_sha1_hex(const void *data, size_t len, char ret[41]);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/* Base64, standard or URL-safe without padding. */
void b64_encode(const void *data, size_t len, bool url, struct str *out);
int b64_decode(const char *text, size_t len, bool url, struct str *out, struct err *e);

struct key_pair {
	char *key_pem;  /* PKCS#8 */
	char *cert_pem; /* may be a chain */
};
void key_pair_done(struct key_pair *kp);

struct cert_spec {
	const char *common_name;      /* CN: the user name for Kubernetes */
	const char *const *orgs;      /* O: the groups; NULL-terminated or NULL */
	const char *const *dns_names; /* SANs, NULL-terminated or NULL */
	const char *const *ip_addrs;
	bool is_ca, server, client; /* key usage */
	int64_t not_before_ms, not_after_ms;
};
/* Self-signed when ca is NULL. */
int cert_make(const struct cert_spec *spec, const struct key_pair *ca, struct key_pair *ret, struct err *e);
/* What a certificate says (first one of the PEM). */
struct cert_info {
	char *common_name;
	struct strv orgs, dns_names, ip_addrs;
	int64_t not_before_ms, not_after_ms;
	bool is_ca;
};
int cert_info(const char *pem, struct cert_info *ret, struct err *e);
void cert_info_done(struct cert_info *i);
/* Requests for certificates (PKCS#10), whose signature is checked: who asks has the key. */
struct csr_info {
	char *common_name; /* "": none */
	struct strv orgs;
	unsigned hosts, others; /* alternative names: DNS names and addresses; all else */
};
int csr_info(const char *pem, struct csr_info *ret, struct err *e);
void csr_info_done(struct csr_info *i);
/* Subject, alternative names and key are the request's; usage and times those of spec, whose names are not looked at. */
int csr_sign(const char *pem, const struct cert_spec *spec, const struct key_pair *ca, char **ret_cert_pem,
	struct err *e);
bool cert_key_match(const char *cert_pem, const char *key_pem);

/* ES256 JSON web tokens over a key pair's key. */
int jwt_sign(
	const char *key_pem, const char *key_id, const char *claims_json, char **ret_token, struct err *e);
/* Checks the signature only; the caller checks exp, aud, iss. ret_claims: JSON text, caller frees. key_pem may hold a
 * private or public key or a certificate. ERR_UNAUTHORIZED if it does not verify. */
int jwt_verify(const char *key_pem, const char *token, char **ret_claims, struct err *e);
/* Claims without any check, for routing by kid/iss. */
int jwt_peek(const char *token, char **ret_header, char **ret_claims, struct err *e);
/* {"keys":[...]} for /openid/v1/jwks; key id is as given to jwt_sign. */
int jwks_text(const char *key_pem, const char *key_id, char **ret, struct err *e);
