/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/b64.h - base64 for user data. base/crypto.h has it too, but with OpenSSL behind it, which a process
 * that exists once per VM does not load. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Decodes standard base64 (line ends are skipped, padding may be missing) into out, which holds len + 1 bytes, and
 * ends it with a NUL. False if text is not base64. */
bool b64_text(char *out, const char *text, size_t len, size_t *ret_len);
