/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens, certificates and keys from outside. No token that we did not sign is taken for one of ours. */
#include "base/crypto.h"
#include "base/mem.h"
#include "platform/auth/auth.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Of no use to anybody: made for this test. Its public half alone verifies. */
static const char key[] = "-----BEGIN PUBLIC KEY-----\n"
			  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE38QLgLByNiTUh2O5n+kgDGksrYVr\n"
			  "vgGgYKgYDjp4Vwqx97wxrYcMvN13ze/dgpjPo0XHePck7T8ViXS+DeT+1w==\n"
			  "-----END PUBLIC KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(mem_freep) char *text = mem_strndup((const char *)data, len);
	CLEANUP(mem_freep) char *header = NULL, *claims = NULL, *verified = NULL;
	CLEANUP(str_done) struct str raw = { 0 };
	struct cert_info info = { 0 };
	struct err e = { 0 };

	(void)jwt_peek(text, &header, &claims, &e);
	if (jwt_verify(key, text, &verified, &e) == 0)
		MUST(strstr(verified, "\"signed\":true"));
	(void)b64_decode(text, strlen(text), true, &raw, &e);
	(void)bootstrap_token_is(text);
	(void)cert_info(text, &info, &e);
	cert_info_done(&info);
	return 0;
}
