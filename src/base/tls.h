/* SPDX-License-Identifier: Apache-2.0 */
/* base/tls.h - TLS contexts for servers and clients. TLS 1.2 and newer. Contexts are reference counted; a connection
 * keeps the context it was made with, so certificates can be replaced under running connections. */
#pragma once

#include "base/crypto.h"

struct tls_ctx;
/* Offers "h2" and "http/1.1"; a client that names neither is given HTTP/1.1. */
struct tls_server_spec {
	const char *cert_pem, *key_pem;
	/* PEM bundle of CAs whose client certificates are accepted; NULL: none asked for. A client without certificate is let in
	 * (the HTTP layer decides); one with a bad certificate is refused by the handshake. */
	const char *client_ca_pem;
};
struct tls_client_spec {
	const char *ca_pem;             /* NULL: the system's */
	const char *cert_pem, *key_pem; /* NULL: anonymous */
	const char *server_name; /* verified against the certificate and sent as SNI; NULL: host of the URL */
	bool insecure;           /* no verification: --insecure-skip-tls-verify only */
	const char *alpn;        /* the one protocol offered; NULL: "http/1.1" */
};
struct tls_ctx *tls_server_new(const struct tls_server_spec *spec, struct err *e);
struct tls_ctx *tls_client_new(const struct tls_client_spec *spec, struct err *e);
struct tls_ctx *tls_ref(struct tls_ctx *t);
void tls_unref(struct tls_ctx *t);
void tls_unrefp(struct tls_ctx **t);
