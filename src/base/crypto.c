/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include "base/mem.h"
#include "base/ossl.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

int ossl_err(struct err *e, enum err_code code, const char *fmt, ...)
{
	char text[512], why[256];
	unsigned long n = ERR_get_error();
	va_list ap;

	ERR_clear_error();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!n)
		return err_set(e, code, "%s", text);
	const char *reason = ERR_reason_error_string(n);
	if (reason)
		str_copy(why, sizeof(why), reason);
	else
		ERR_error_string_n(n, why, sizeof(why));
	return err_set(e, code, "%s: %s", text, why);
}

void ossl_bio_freep(BIO **p)
{
	BIO_free_all(*p);
}

void ossl_pkey_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

void ossl_x509_freep(X509 **p)
{
	X509_free(*p);
}

void ossl_name_freep(X509_NAME **p)
{
	X509_NAME_free(*p);
}

BIO *ossl_bio(const char *pem)
{
	size_t len = strlen(pem);
	BIO *b;

	MUST(len <= INT_MAX);
	b = BIO_new_mem_buf(pem, (int)len);
	MUST(b);
	return b;
}

char *ossl_bio_take(BIO *mem)
{
	char *data = NULL;
	long len = BIO_get_mem_data(mem, &data);

	return mem_strndup(len > 0 ? data : "", len > 0 ? (size_t)len : 0);
}

/* An encrypted key would otherwise ask on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

EVP_PKEY *ossl_private_key(const char *pem, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(pem);
	EVP_PKEY *k;

	ERR_clear_error();
	k = PEM_read_bio_PrivateKey(b, NULL, no_password, NULL);
	if (!k)
		ossl_err(e, ERR_BAD_REQUEST, "private key is not readable");
	return k;
}

X509 *ossl_cert(const char *pem, struct err *e)
{
	CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(pem);
	X509 *x;

	ERR_clear_error();
	x = PEM_read_bio_X509(b, NULL, no_password, NULL);
	if (!x)
		ossl_err(e, ERR_BAD_REQUEST, "certificate is not readable");
	return x;
}

EVP_PKEY *ossl_any_key(const char *pem, struct err *e)
{
	EVP_PKEY *k = NULL;

	if (strstr(pem, "-----BEGIN CERTIFICATE-----")) {
		CLEANUP(ossl_x509_freep) X509 *x = ossl_cert(pem, e);
		if (x && !(k = X509_get_pubkey(x)))
			ossl_err(e, ERR_BAD_REQUEST, "public key of the certificate is not readable");
		return k;
	}
	if (strstr(pem, "-----BEGIN PUBLIC KEY-----")) {
		CLEANUP(ossl_bio_freep) BIO *b = ossl_bio(pem);
		k = PEM_read_bio_PUBKEY(b, NULL, no_password, NULL);
		if (!k)
			ossl_err(e, ERR_BAD_REQUEST, "public key is not readable");
		return k;
	}
	return ossl_private_key(pem, e);
}

void crypto_random(void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		int n = len > 65536 ? 65536 : (int)len;
		MUST(RAND_bytes(p, n) == 1);
		p += n;
		len -= (size_t)n;
	}
}

static void uuid_text(uint8_t b[16], int version, char ret[37])
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	b[6] = (uint8_t)((b[6] & 0x0f) | version << 4);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[o++] = '-';
		ret[o++] = hex[b[i] >> 4];
		ret[o++] = hex[b[i] & 15];
	}
	ret[o] = '\0';
}

void crypto_uuid(char ret[37])
{
	uint8_t b[16];

	crypto_random(b, sizeof(b));
	uuid_text(b, 4, ret);
}

static void digest(const EVP_MD *md, const void *data, size_t len, uint8_t *ret)
{
	MUST(EVP_Digest(data, len, ret, NULL, md, NULL) == 1);
}

void crypto_uuid5(const char *namespace_uuid, const char *name, char ret[37])
{
	uint8_t ns[16], hash[20];
	struct str text = { 0 };
	size_t n = 0;

	for (const char *p = namespace_uuid; *p && n < 32; p++) {
		int v = str_hex(*p);
		if (v < 0)
			continue;
		ns[n / 2] = (uint8_t)(n % 2 ? ns[n / 2] | v : v << 4);
		n++;
	}
	MUST(n == 32);
	str_addn(&text, (char *)ns, sizeof(ns));
	str_add(&text, name);
	digest(EVP_sha1(), text.data, text.len, hash);
	str_done(&text);
	uuid_text(hash, 5, ret);
}

static void to_hex(const uint8_t *b, size_t n, char *ret)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = hex[b[i] >> 4];
		ret[2 * i + 1] = hex[b[i] & 15];
	}
	ret[2 * n] = '\0';
}

void crypto_sha256(const void *data, size_t len, uint8_t ret[32])
{
	digest(EVP_sha256(), data, len, ret);
}

void crypto_sha256_hex(const void *data, size_t len, char ret[SHA256_HEX_LEN + 1])
{
	uint8_t b[32];

	crypto_sha256(data, len, b);
	to_hex(b, sizeof(b), ret);
}

void crypto_sha1(const void *data, size_t len, uint8_t ret[20])
{
	digest(EVP_sha1(), data, len, ret);
}

void crypto_sha1_hex(const void *data, size_t len, char ret[41])
{
	uint8_t b[20];

	crypto_sha1(data, len, b);
	to_hex(b, sizeof(b), ret);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

#define B64_COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void b64_encode(const void *data, size_t len, bool url, struct str *out)
{
	const char *abc = url ? B64_COMMON "-_" : B64_COMMON "+/";
	const uint8_t *p = data;

	str_reserve(out, (len + 2) / 3 * 4);
	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t v = (uint32_t)p[i] << 16;
		char q[4];

		if (left > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		q[0] = abc[v >> 18];
		q[1] = abc[v >> 12 & 63];
		q[2] = left > 1 ? abc[v >> 6 & 63] : '=';
		q[3] = left > 2 ? abc[v & 63] : '=';
		str_addn(out, q, url && left < 3 ? left + 1 : 4);
	}
}

static int b64_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return -1;
}

/* Standard text may be broken into lines, as Go's decoder (and so kubectl users) has it. */
int b64_decode(const char *text, size_t len, bool url, struct str *out, struct err *e)
{
	CLEANUP(str_done) struct str got = { 0 };
	uint32_t v = 0;
	size_t n = 0, pad = 0;

	str_reserve(&got, len / 4 * 3 + 3);
	for (size_t i = 0; i < len; i++) {
		int d = b64_value(text[i], url);

		if (!url && (text[i] == '\n' || text[i] == '\r'))
			continue;
		if (!url && text[i] == '=' && (n % 4 == 2 || n % 4 == 3) && n % 4 + pad < 4) {
			pad++;
			continue;
		}
		if (d < 0 || pad)
			return err_set(e, ERR_BAD_REQUEST, "illegal base64 data at input byte %zu", i);
		v = v << 6 | (uint32_t)d;
		if (++n % 4 == 0) {
			str_addc(&got, (char)(v >> 16));
			str_addc(&got, (char)(v >> 8));
			str_addc(&got, (char)v);
		}
	}
	/* unused low bits must be zero: one text per value */
	if (n % 4 == 1 || (!url && n % 4 && n % 4 + pad != 4) || (n % 4 == 2 && v & 15) ||
		(n % 4 == 3 && v & 3))
		return err_set(e, ERR_BAD_REQUEST, "illegal base64 data at input byte %zu", len);
	if (n % 4 == 2)
		str_addc(&got, (char)(v >> 4));
	if (n % 4 == 3) {
		str_addc(&got, (char)(v >> 10));
		str_addc(&got, (char)(v >> 2));
	}
	str_addn(out, str_cstr(&got), got.len);
	return 0;
}
