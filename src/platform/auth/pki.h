/* SPDX-License-Identifier: Apache-2.0 */
/* platform/auth/pki.h - the server's own certificates and keys under DIR/pki, made at the first start and kept: one CA for
 * servers and clients, one for the front proxy (aggregated APIs trust it), the key that signs service-account tokens. */
#pragma once

#include "base/crypto.h"

#define PKI_CA_DAYS 3650
#define PKI_CERT_DAYS 365
#define PKI_RENEW_DAYS 30 /* certificates with less left are made anew at start */

struct pki {
	struct key_pair ca, serving, admin;
	struct key_pair front_ca, front_client;
	char *sa_key; /* PEM */
	char sa_key_id[SHA256_HEX_LEN + 1];
	char front_issuer[SHA256_HEX_LEN + 1]; /* http_req_client_issuer() of the front proxy's CA */
};
/* sans: names and addresses for the serving certificate besides the usual ones; NULL-terminated or NULL. */
int pki_load(struct pki *p, const char *dir, const char *const *sans, int64_t now_ms, struct err *e);
/* True if the serving certificate had to be made anew for the additional address. */
int pki_add_san(struct pki *p, const char *dir, const char *san, int64_t now_ms, struct err *e);
void pki_done(struct pki *p);
