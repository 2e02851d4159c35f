/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"

#include "base/mem.h"
#include "base/ossl.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define ALPN_MAX 32
#define KNOWN_CERTS 64 /* of clients: connections with the same one share it, and the work of reading it */
#define SHARED_DEPTH 3 /* of a chain */

struct tls_ctx {
	int refs;
	SSL_CTX *ctx;
	bool server, insecure;
	X509 *known[KNOWN_CERTS]; /* of servers: last used first */
	char *server_name;
	char *clients; /* of servers: the CAs of client certificates, as given; NULL */
};

struct tls_ctx *tls_ref(struct tls_ctx *t)
{
	if (t)
		t->refs++;
	return t;
}

void tls_unref(struct tls_ctx *t)
{
	if (!t || --t->refs)
		return;
	for (size_t i = 0; i < KNOWN_CERTS; i++)
		X509_free(t->known[i]);
	/* a handshake under way keeps t->ctx, not t */
	SSL_CTX_set_cert_verify_callback(t->ctx, NULL, NULL);
	SSL_CTX_free(t->ctx);
	free(t->server_name);
	free(t->clients);
	free(t);
}

void tls_unrefp(struct tls_ctx **t)
{
	tls_unref(*t);
}

bool tls_is_server(const struct tls_ctx *t)
{
	return t->server;
}

bool tls_same_clients(const struct tls_ctx *a, const struct tls_ctx *b)
{
	return a && b && str_eq(a->clients, b->clients);
}

static struct tls_ctx *ctx_new(bool server)
{
	struct tls_ctx *t = MEM_NEW(struct tls_ctx);

	ERR_clear_error();
	t->refs = 1;
	t->server = server;
	t->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	MUST(t->ctx);
	MUST(SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) == 1);
	/* Idle connections are the many: they keep no record buffers. */
	SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A peer that just closes: HTTP's own framing tells whether something is missing. */
	SSL_CTX_set_options(
		t->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	return t;
}

/* All certificates of a bundle become trust anchors; names (may be NULL) collects what a server asks clients for. */
static int add_anchors(X509_STORE *store, STACK_OF(X509_NAME) * names, const char *pem, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(pem);
	int n = 0;

	for (;;) {
		CLEANUP(ossl_x509_freep) X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
		if (!x)
			break;
		if (X509_STORE_add_cert(store, x) != 1)
			return ossl_err(e, ERR_BAD_REQUEST, "CA certificate number %d", n + 1);
		X509_NAME *name = names ? X509_NAME_dup(X509_get_subject_name(x)) : NULL;
		if (name)
			MUST(sk_X509_NAME_push(names, name) > 0);
		n++;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return ossl_err(e, ERR_BAD_REQUEST, "CA certificate number %d is not readable", n + 1);
	ERR_clear_error();
	/* any certificate of the bundle is an anchor, self-signed or not, as for Go clients */
	MUST(X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1);
	return n ? 0 : err_set(e, ERR_BAD_REQUEST, "the CA bundle holds no certificate");
}

/* The certificate and the rest of its chain, then the key, which must belong to it. */
static int use_pair(SSL_CTX *ctx, const char *cert_pem, const char *key_pem, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(cert_pem);
	CLEANUP(ossl_x509_freep) X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	CLEANUP(ossl_pkey_freep) EVP_PKEY *k = NULL;

	if (!x || SSL_CTX_use_certificate(ctx, x) != 1)
		return ossl_err(e, ERR_BAD_REQUEST, "certificate is not usable");
	for (X509 *more; (more = PEM_read_bio_X509(b, NULL, NULL, NULL));)
		MUST(SSL_CTX_add0_chain_cert(ctx, more) == 1);
	ERR_clear_error();
	k = ossl_private_key(key_pem, e);
	if (!k)
		return -1;
	if (SSL_CTX_use_PrivateKey(ctx, k) != 1 || SSL_CTX_check_private_key(ctx) != 1)
		return ossl_err(e, ERR_BAD_REQUEST, "key does not belong to the certificate");
	return 0;
}

/* A client that offers only what we do not speak learns it in the handshake. */
static int pick_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
	unsigned int in_len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)out, out_len, ours, sizeof(ours) - 1, in, in_len) ==
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Where x is, or could go. */
static size_t known_at(const struct tls_ctx *t, const X509 *x)
{
	size_t i = 0;

	while (i < KNOWN_CERTS - 1 && t->known[i] && X509_cmp(t->known[i], x) != 0)
		i++;
	return i;
}

static void remember(struct tls_ctx *t, X509 *x)
{
	size_t i = known_at(t, x);

	MUST(X509_up_ref(x) == 1);
	X509_free(t->known[i]);
	memmove(t->known + 1, t->known, i * sizeof(X509 *));
	t->known[0] = x;
}

/* A certificate as OpenSSL reads it takes 7 kB and stays with its connection, and watchers come by the thousand, mostly with
 * the same few. So libssl gets those that were read and verified before, byte for byte the same, in the chain that it keeps;
 * it is verified again all the same. */
static int verify_client(X509_STORE_CTX *c, void *arg)
{
	struct tls_ctx *t = arg;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(c);
	int n = chain ? sk_X509_num(chain) : 0, ok;

	for (int i = 0; i < n && i < SHARED_DEPTH; i++) {
		X509 *x = sk_X509_value(chain, i), *known = t->known[known_at(t, x)];

		if (!known || X509_cmp(known, x) != 0)
			continue;
		MUST(X509_up_ref(known) == 1);
		(void)sk_X509_set(chain, i, known);
		if (x == X509_STORE_CTX_get0_cert(c))
			X509_STORE_CTX_set_cert(c, known);
		X509_free(x);
	}
	ok = X509_verify_cert(c);
	for (int i = 0; ok == 1 && i < n && i < SHARED_DEPTH; i++)
		remember(t, sk_X509_value(chain, i));
	return ok;
}

static int ask_clients(struct tls_ctx *t, const char *ca_pem, struct err *e)
{
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

	MUST(names);
	if (add_anchors(SSL_CTX_get_cert_store(t->ctx), names, ca_pem, e) < 0) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return err_wrap(e, "client CAs");
	}
	SSL_CTX_set_client_CA_list(t->ctx, names); /* takes names */
	MUST(X509_STORE_set_purpose(SSL_CTX_get_cert_store(t->ctx), X509_PURPOSE_SSL_CLIENT) == 1);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(t->ctx, verify_client, t);
	return 0;
}

struct tls_ctx *tls_server_new(const struct tls_server_spec *spec, struct err *e)
{
	CLEANUP(tls_unrefp) struct tls_ctx *t = ctx_new(true);
	uint8_t id[32];

	if (use_pair(t->ctx, spec->cert_pem, spec->key_pem, e) < 0)
		goto failed;
	if (spec->client_ca_pem && ask_clients(t, spec->client_ca_pem, e) < 0)
		goto failed;
	t->clients = spec->client_ca_pem ? mem_strdup(spec->client_ca_pem) : NULL;
	SSL_CTX_set_alpn_select_cb(t->ctx, pick_alpn, NULL);
	/* Sessions live in tickets only. Ticket keys belong to the context: a replaced one resumes nothing of the old. */
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	MUST(SSL_CTX_set_num_tickets(t->ctx, 1) == 1);
	crypto_random(id, sizeof(id));
	MUST(SSL_CTX_set_session_id_context(t->ctx, id, sizeof(id)) == 1);
	return TAKE(t);
failed:
	err_wrap(e, "TLS server");
	return NULL;
}

struct tls_ctx *tls_client_new(const struct tls_client_spec *spec, struct err *e)
{
	CLEANUP(tls_unrefp) struct tls_ctx *t = ctx_new(false);
	const char *proto = spec->alpn ? spec->alpn : "http/1.1";
	unsigned char alpn[ALPN_MAX + 1];

	MUST(strlen(proto) <= ALPN_MAX);
	alpn[0] = (unsigned char)strlen(proto);
	memcpy(alpn + 1, proto, alpn[0]);
	if (spec->ca_pem) {
		if (add_anchors(SSL_CTX_get_cert_store(t->ctx), NULL, spec->ca_pem, e) < 0)
			goto failed;
	} else if (!spec->insecure && SSL_CTX_set_default_verify_paths(t->ctx) != 1) {
		ossl_err(e, ERR_SYSTEM, "the system's CA certificates");
		goto failed;
	}
	if (spec->cert_pem && use_pair(t->ctx, spec->cert_pem, spec->key_pem ? spec->key_pem : "", e) < 0)
		goto failed;
	t->insecure = spec->insecure;
	SSL_CTX_set_verify(t->ctx, spec->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	MUST(SSL_CTX_set_alpn_protos(t->ctx, alpn, alpn[0] + 1u) == 0);
	if (spec->server_name)
		t->server_name = mem_strdup(spec->server_name);
	return TAKE(t);
failed:
	err_wrap(e, "TLS client");
	return NULL;
}

static bool is_ip(const char *host)
{
	uint8_t b[16];

	return inet_pton(AF_INET, host, b) == 1 || inet_pton(AF_INET6, host, b) == 1;
}

SSL *tls_ssl_new(const struct tls_ctx *t, const char *host, struct err *e)
{
	SSL *ssl = SSL_new(t->ctx);
	const char *name = t->server_name ? t->server_name : host;

	MUST(ssl);
	if (t->server || !name)
		return ssl;
	if (is_ip(name)) {
		if (!t->insecure && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) != 1)
			goto failed;
		return ssl;
	}
	if (SSL_set_tlsext_host_name(ssl, name) != 1)
		goto failed;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (!t->insecure && SSL_set1_host(ssl, name) != 1)
		goto failed;
	return ssl;
failed:
	ossl_err(e, ERR_BAD_REQUEST, "TLS server name \"%.200s\"", name);
	SSL_free(ssl);
	return NULL;
}

int tls_conn_err(struct err *e, const SSL *ssl, unsigned long lib_err, const char *what)
{
	long v = SSL_get_verify_result(ssl);
	const char *why = lib_err ? ERR_reason_error_string(lib_err) : NULL;

	ERR_clear_error();
	if (v != X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
		return err_set(
			e, ERR_UNREACHABLE, "%s: certificate: %s", what, X509_verify_cert_error_string(v));
	return err_set(e, ERR_UNREACHABLE, "%s: TLS: %s", what, why ? why : "connection closed");
}

static void store_ctx_freep(X509_STORE_CTX **p)
{
	X509_STORE_CTX_free(*p);
}

static void anchor_of(STACK_OF(X509) * chain, char ret_issuer[SHA256_HEX_LEN + 1])
{
	X509 *anchor = sk_X509_value(chain, sk_X509_num(chain) - 1);
	uint8_t *der = NULL;
	int len = i2d_X509(anchor, &der);

	MUST(len > 0);
	crypto_sha256_hex(der, (size_t)len, ret_issuer);
	OPENSSL_free(der);
}

/* A resumed session carries the certificate but not its chain, so it is verified again: it may have expired since. */
static bool verify_again(SSL *ssl, X509 *x, char ret_issuer[SHA256_HEX_LEN + 1])
{
	CLEANUP(store_ctx_freep) X509_STORE_CTX *c = X509_STORE_CTX_new();

	MUST(c);
	if (X509_STORE_CTX_init(
		    c, SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl)), x, SSL_get_peer_cert_chain(ssl)) != 1 ||
		X509_STORE_CTX_set_purpose(c, X509_PURPOSE_SSL_CLIENT) != 1 || X509_verify_cert(c) != 1) {
		ERR_clear_error();
		return false;
	}
	anchor_of(X509_STORE_CTX_get0_chain(c), ret_issuer);
	return true;
}

bool tls_peer(SSL *ssl, char **ret_cn, struct strv *ret_orgs, char ret_issuer[SHA256_HEX_LEN + 1])
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);

	if (!x || !(SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) || SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	if (chain && sk_X509_num(chain) > 0)
		anchor_of(chain, ret_issuer);
	else if (!verify_again(ssl, x, ret_issuer))
		return false;
	*ret_cn = ossl_common_name(x);
	ossl_orgs(x, ret_orgs);
	return true;
}
