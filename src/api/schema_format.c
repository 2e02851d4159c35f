/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI formats that are checked. All others are ignored (kubernetes-api.md 4). */
#include "api/schema_int.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"

#define SHORT_MAX 64

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_date_time(const char *s, size_t len)
{
	int64_t ms;

	return len < SHORT_MAX && time_parse(s, &ms);
}

static bool is_date(const char *s, size_t len)
{
	char buf[32];
	int64_t ms;

	if (len != 10)
		return false;
	memcpy(buf, s, 10);
	memcpy(buf + 10, "T00:00:00Z", 11);
	return time_parse(buf, &ms);
}

static bool is_byte(const char *s, size_t len)
{
	size_t n = 0;

	for (; n < len; n++) {
		char c = s[n];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '+' || c == '/' || c == '\n' || c == '\r'))
			break;
	}
	size_t pad = len - n;
	if (pad > 2 || (pad && s[n] != '=') || (pad == 2 && s[n + 1] != '='))
		return false;
	size_t breaks = 0;
	for (size_t i = 0; i < n; i++)
		breaks += s[i] == '\n' || s[i] == '\r';
	return (len - breaks) % 4 == 0;
}

static bool is_address(int family, const char *s, size_t len)
{
	unsigned char addr[16];

	return len < SHORT_MAX && strlen(s) == len && inet_pton(family, s, addr) == 1;
}

static bool is_ipv4(const char *s, size_t len)
{
	return is_address(AF_INET, s, len);
}

static bool is_ipv6(const char *s, size_t len)
{
	return is_address(AF_INET6, s, len);
}

static bool is_cidr(const char *s, size_t len)
{
	char buf[SHORT_MAX];
	int64_t bits;

	if (len >= sizeof(buf) || strlen(s) != len)
		return false;
	memcpy(buf, s, len + 1);
	char *slash = strchr(buf, '/');
	if (!slash)
		return false;
	*slash = '\0';
	if (is_ipv4(buf, strlen(buf)))
		return str_to_i64(slash + 1, 0, 32, &bits);
	return is_ipv6(buf, strlen(buf)) && str_to_i64(slash + 1, 0, 128, &bits);
}

/* 48, 64 or 160 bits in pairs of hex digits between ':' or '-', or in fours between '.', as Go's ParseMAC reads them */
static bool is_mac(const char *s, size_t len)
{
	size_t group = len > 4 && s[4] == '.' ? 4 : 2, digits = 0;
	char sep = len > group ? s[group] : '\0';

	if (sep != (group == 4 ? '.' : ':') && !(group == 2 && sep == '-'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (i % (group + 1) == group) {
			if (s[i] != sep)
				return false;
		} else if (is_hex(s[i])) {
			digits++;
		} else {
			return false;
		}
	}
	return len % (group + 1) == group && (digits == 12 || digits == 16 || digits == 40);
}

static bool is_uuid(const char *s, size_t len)
{
	size_t digits = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '-' && (digits == 8 || digits == 12 || digits == 16 || digits == 20) &&
			s[i - 1] != '-')
			continue;
		if (!is_hex(s[i]))
			return false;
		digits++;
	}
	return digits == 32;
}

static bool is_hostname(const char *s, size_t len)
{
	size_t label = 0;

	if (!len || len > 255)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			     (s[i] >= '0' && s[i] <= '9');

		if (s[i] == '.') {
			if (!label || s[i - 1] == '-')
				return false;
			label = 0;
		} else if ((!alnum && (s[i] != '-' || !label)) || ++label > 63) {
			return false;
		}
	}
	return s[len - 1] != '-';
}

static bool is_uri(const char *s, size_t len)
{
	size_t colon = strcspn(s, ":");

	if (s[0] == '/')
		return strpbrk(s, " \t\n") == NULL;
	return colon > 0 && colon < len &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == colon &&
	       !strpbrk(s, " \t\n");
}

static bool is_email(const char *s, size_t len)
{
	const char *at = memchr(s, '@', len);

	return at && at > s && at + 1 < s + len && !strpbrk(s, " \t\n");
}

static bool is_duration(const char *s, size_t len)
{
	int64_t ms;

	return len < SHORT_MAX && time_parse_duration(s, &ms);
}

static const struct {
	const char *name;
	schema_format_fn *fn;
} formats[] = {
	{ "date-time", is_date_time },
	{ "datetime", is_date_time },
	{ "date", is_date },
	{ "byte", is_byte },
	{ "ipv4", is_ipv4 },
	{ "ipv6", is_ipv6 },
	{ "cidr", is_cidr },
	{ "mac", is_mac },
	{ "uuid", is_uuid },
	{ "hostname", is_hostname },
	{ "uri", is_uri },
	{ "email", is_email },
	{ "duration", is_duration },
};

schema_format_fn *schema_format(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(formats); i++)
		if (str_eq(formats[i].name, name))
			return formats[i].fn;
	return NULL;
}
