/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/b64.h"

#include <stdint.h>
#include <string.h>

bool b64_text(char *out, const char *text, size_t len, size_t *ret_len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	size_t n = 0, have = 0, pad = 0, count = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at;

		if (text[i] == '\n' || text[i] == '\r')
			continue;
		if (text[i] == '=') {
			pad++;
			continue;
		}
		at = text[i] ? strchr(digits, text[i]) : NULL;
		if (!at || pad)
			return false;
		bits = (bits << 6) | (uint32_t)(at - digits);
		have += 6;
		count++;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have & 0xff);
		}
	}
	if (count % 4 == 1 || pad > 2)
		return false;
	out[n] = '\0';
	*ret_len = n;
	return true;
}
