/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1767323045000) /* 2026-01-02T03:04:05Z */
#define DAY_MS INT64_C(86400000)

static void hashes_match_published_values(void **state)
{
	char hex[SHA256_HEX_LEN + 1];

	crypto_sha256_hex("abc", 3, hex); /* FIPS 180-2 B.1 */
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_sha1_hex("abc", 3, hex);
	assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void uuids_have_version_and_variant(void **state)
{
	char a[37], b[37];

	crypto_uuid(a);
	crypto_uuid(b);
	assert_int_equal(strlen(a), 36);
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
	/* RFC 9562 A.4: www.example.com in the DNS name space */
	crypto_uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com", a);
	assert_string_equal(a, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

static void base64_round_trips(void **state)
{
	static const char *const std[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };

	for (size_t i = 0; i < ARRAY_LEN(std); i++) { /* RFC 4648 10 */
		CLEANUP(str_done) struct str enc = { 0 }, dec = { 0 };
		b64_encode("foobar", i, false, &enc);
		assert_string_equal(str_cstr(&enc), std[i]);
		assert_int_equal(b64_decode(std[i], strlen(std[i]), false, &dec, NULL), 0);
		assert_int_equal(dec.len, i);
		assert_memory_equal(str_cstr(&dec), "foobar", i);
	}
	CLEANUP(str_done) struct str url = { 0 };
	b64_encode("\xfb\xff\xfe\x01", 4, true, &url);
	assert_string_equal(str_cstr(&url), "-__-AQ");
}

static void broken_base64_is_refused(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "=",
		"Zg==Zg==", "Zh==", "Zm9=", "Z-==", "Zm 9v" };
	CLEANUP(str_done) struct str out = { 0 };
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(b64_decode(bad[i], strlen(bad[i]), false, &out, &e), -1);
	assert_int_equal(b64_decode("Zg==", 4, true, &out, &e), -1);
	assert_int_equal(out.len, 0);
	assert_int_equal(b64_decode("Zm9v\nYmFy\r\n", 10, false, &out, &e), 0);
	assert_string_equal(str_cstr(&out), "foobar");
}

static void make_ca(const char *cn, struct key_pair *ret)
{
	struct cert_spec spec = { .common_name = cn,
		.is_ca = true,
		.not_before_ms = NOW_MS,
		.not_after_ms = NOW_MS + 365 * DAY_MS };
	struct err e;

	assert_int_equal(cert_make(&spec, NULL, ret, &e), 0);
}

static void a_certificate_says_what_was_asked_for(void **state)
{
	CLEANUP(key_pair_done) struct key_pair ca = { 0 }, kp = { 0 };
	CLEANUP(cert_info_done) struct cert_info i = { 0 };
	struct cert_spec spec = { .common_name = "system:node:n1",
		.orgs = (const char *const[]){ "system:nodes", "a,b=c", NULL },
		.dns_names = (const char *const[]){ "n1", "*.svc", NULL },
		.ip_addrs = (const char *const[]){ "10.0.0.1", "fd00::1", NULL },
		.server = true,
		.client = true,
		.not_before_ms = NOW_MS,
		.not_after_ms = NOW_MS + DAY_MS };
	struct err e;

	make_ca("ca", &ca);
	assert_int_equal(cert_make(&spec, &ca, &kp, &e), 0);
	assert_int_equal(cert_info(kp.cert_pem, &i, &e), 0);
	assert_string_equal(i.common_name, "system:node:n1");
	assert_int_equal(i.orgs.len, 2);
	assert_string_equal(i.orgs.items[1], "a,b=c");
	assert_int_equal(i.dns_names.len, 2);
	assert_string_equal(i.dns_names.items[1], "*.svc");
	assert_int_equal(i.ip_addrs.len, 2);
	assert_string_equal(i.ip_addrs.items[1], "fd00::1");
	assert_true(i.not_before_ms == NOW_MS && i.not_after_ms == NOW_MS + DAY_MS);
	assert_false(i.is_ca);
	assert_true(cert_key_match(kp.cert_pem, kp.key_pem));
	assert_false(cert_key_match(kp.cert_pem, ca.key_pem));
	cert_info_done(&i);
	assert_int_equal(cert_info(ca.cert_pem, &i, &e), 0);
	assert_true(i.is_ca);
}

static void bad_certificate_input_is_an_error(void **state)
{
	struct cert_spec spec = { .common_name = "x",
		.ip_addrs = (const char *const[]){ "not an address", NULL } };
	struct key_pair kp = { 0 };
	struct cert_info i;
	struct err e;

	assert_int_equal(cert_make(&spec, NULL, &kp, &e), -1);
	assert_null(kp.cert_pem);
	assert_int_equal(cert_info("no certificate", &i, &e), -1);
	assert_int_equal(
		cert_make(&(struct cert_spec){ .common_name = "x" },
			&(struct key_pair){ .key_pem = (char *)"-", .cert_pem = (char *)"-" }, &kp, &e),
		-1);
}

static void tokens_verify_with_key_or_certificate_only(void **state)
{
	CLEANUP(key_pair_done) struct key_pair a = { 0 }, b = { 0 };
	CLEANUP(mem_freep) char *token = NULL;
	CLEANUP(mem_freep) char *claims = NULL;
	CLEANUP(mem_freep) char *header = NULL;
	CLEANUP(mem_freep) char *peeked = NULL;
	struct err e;

	make_ca("a", &a);
	make_ca("b", &b);
	assert_int_equal(jwt_sign(a.key_pem, "k1", "{\"sub\":\"x\"}", &token, &e), 0);
	assert_int_equal(jwt_verify(a.key_pem, token, &claims, &e), 0);
	assert_string_equal(claims, "{\"sub\":\"x\"}");
	free(TAKE(claims));
	assert_int_equal(jwt_verify(a.cert_pem, token, &claims, &e), 0);
	free(TAKE(claims));
	assert_int_equal(jwt_verify(b.key_pem, token, &claims, &e), -1);
	assert_int_equal(e.code, ERR_UNAUTHORIZED);
	assert_int_equal(jwt_peek(token, &header, &peeked, &e), 0);
	assert_string_equal(header, "{\"alg\":\"ES256\",\"kid\":\"k1\"}");
	/* any changed character must break it */
	for (size_t i = 0; token[i]; i++) {
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(jwt_verify(a.key_pem, token, &claims, &e), -1);
		assert_int_equal(e.code, ERR_UNAUTHORIZED);
		token[i] = was;
	}
	assert_int_equal(jwt_verify(a.key_pem, token, &claims, &e), 0);
}

/* RFC 8725 3.1: the token does not choose the algorithm */
static void unsigned_tokens_are_refused(void **state)
{
	CLEANUP(key_pair_done) struct key_pair a = { 0 };
	CLEANUP(str_done) struct str t = { 0 };
	char *claims = NULL;
	struct err e;

	make_ca("a", &a);
	b64_encode("{\"alg\":\"none\"}", 14, true, &t);
	str_add(&t, ".e30.");
	assert_int_equal(jwt_verify(a.key_pem, t.data, &claims, &e), -1);
	assert_int_equal(jwt_verify(a.key_pem, "", &claims, &e), -1);
	assert_int_equal(jwt_verify(a.key_pem, "a.b", &claims, &e), -1);
	assert_int_equal(jwt_verify(a.key_pem, "a.b.c.d", &claims, &e), -1);
	assert_null(claims);
}

static void the_key_set_names_the_public_key(void **state)
{
	CLEANUP(key_pair_done) struct key_pair a = { 0 };
	CLEANUP(mem_freep) char *from_key = NULL;
	CLEANUP(mem_freep) char *from_cert = NULL;
	struct err e;

	make_ca("a", &a);
	assert_int_equal(jwks_text(a.key_pem, "k1", &from_key, &e), 0);
	assert_int_equal(jwks_text(a.cert_pem, "k1", &from_cert, &e), 0);
	assert_string_equal(from_key, from_cert);
	assert_non_null(strstr(from_key, "\"kid\":\"k1\""));
	assert_non_null(strstr(from_key, "\"crv\":\"P-256\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_match_published_values),
		cmocka_unit_test(uuids_have_version_and_variant),
		cmocka_unit_test(base64_round_trips),
		cmocka_unit_test(broken_base64_is_refused),
		cmocka_unit_test(a_certificate_says_what_was_asked_for),
		cmocka_unit_test(bad_certificate_input_is_an_error),
		cmocka_unit_test(tokens_verify_with_key_or_certificate_only),
		cmocka_unit_test(unsigned_tokens_are_refused),
		cmocka_unit_test(the_key_set_names_the_public_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
