/* SPDX-License-Identifier: Apache-2.0 */
/* base/ossl.h - what the OpenSSL users of base share. Private to base/crypto*.c, base/tls.c and base/http_*.c. */
#pragma once

#include "base/tls.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* Sets e to text plus the first queued OpenSSL reason, and empties the queue. Returns -1. */
int ossl_err(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void ossl_bio_freep(BIO **p);
void ossl_pkey_freep(EVP_PKEY **p);
void ossl_x509_freep(X509 **p);
void ossl_name_freep(X509_NAME **p);

BIO *ossl_bio(const char *pem); /* read-only view of the text */
EVP_PKEY *ossl_private_key(const char *pem, struct err *e);
/* Of a private key, public key or certificate. */
EVP_PKEY *ossl_any_key(const char *pem, struct err *e);
X509 *ossl_cert(const char *pem, struct err *e);
char *ossl_bio_take(BIO *mem); /* its bytes as text; the caller frees */

/* First commonName and all organizations of a subject. */
char *ossl_common_name(const X509 *x);
void ossl_orgs(const X509 *x, struct strv *ret);
char *ossl_name_cn(const X509_NAME *n);
void ossl_name_orgs(const X509_NAME *n, struct strv *ret);

/* Parts of a certificate that is being made. */
int ossl_serial_and_times(X509 *x, const struct cert_spec *spec, struct err *e);
int ossl_usages(X509 *x, X509 *issuer, const struct cert_spec *spec, struct err *e);

/* A connection's SSL. host (clients only) is verified against the certificate: names as DNS, addresses as IP. */
SSL *tls_ssl_new(const struct tls_ctx *t, const char *host, struct err *e);
bool tls_is_server(const struct tls_ctx *t);
bool tls_same_clients(
	const struct tls_ctx *a, const struct tls_ctx *b); /* both believe the same client CAs */
/* Why a handshake or connection failed; lib_err is the libevent-saved OpenSSL error or 0. Returns -1. */
int tls_conn_err(struct err *e, const SSL *ssl, unsigned long lib_err, const char *what);
/* The verified client certificate of a server connection. false: none. issuer: hex SHA-256 of the trust anchor. */
bool tls_peer(SSL *ssl, char **ret_cn, struct strv *ret_orgs, char ret_issuer[SHA256_HEX_LEN + 1]);
