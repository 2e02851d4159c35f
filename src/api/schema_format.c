/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI formats that are checked. All others are ignored (kubernetes-api.md 4). */
#include "api/schema_int.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"

#define SHORT_MAX 64
#define LABEL_MAX 63
#define HOST_MAX 255
#define ISBN10_DIGITS 10
#define ISBN13_DIGITS 13
#define CARD_DIGITS 19

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
	if (!len || pad > 2 || (pad && s[n] != '=') || (pad == 2 && s[n + 1] != '='))
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

/* As Kubernetes does: any address, if it has a dot; leading zeroes of the parts are let be. */
static bool is_dotted(const char *s, size_t len)
{
	char buf[SHORT_MAX];
	size_t n = 0;

	if (len >= sizeof(buf) || strlen(s) != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool begins = i == 0 || s[i - 1] == '.';

		while (begins && s[i] == '0' && s[i + 1] >= '0' && s[i + 1] <= '9')
			i++;
		buf[n++] = s[i];
	}
	buf[n] = '\0';
	return is_address(AF_INET, buf, n);
}

static bool is_ipv4(const char *s, size_t len)
{
	return is_dotted(s, len) || (memchr(s, '.', len) && is_address(AF_INET6, s, len));
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

/* A letter or a digit; what is not ASCII counts as one. */
static bool is_host_char(char c)
{
	return (unsigned char)c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Two letters at least */
static bool is_top_label(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_host_char(s[i]) || (s[i] >= '0' && s[i] <= '9'))
			return false;
	return n >= 2 && n <= LABEL_MAX;
}

/* One label may have a dash after its first character and nowhere else, strange as that is; with dots the last one is letters. */
static bool is_hostname(const char *s, size_t len)
{
	const char *end = s + len, *dot = memchr(s, '.', len);
	size_t n = 1;

	if (!len || len > HOST_MAX || !is_host_char(*s))
		return false;
	if (!dot) {
		n += len > 1 && s[1] == '-';
		while (n < len && is_host_char(s[n]))
			n++;
		return n == len && len <= LABEL_MAX;
	}
	for (; dot; dot = memchr(s, '.', (size_t)(end - s))) {
		n = (size_t)(dot - s);
		if (!n || n > LABEL_MAX || !is_host_char(*s) || !is_host_char(dot[-1]))
			return false;
		for (size_t i = 0; i < n; i++)
			if (!is_host_char(s[i]) && s[i] != '-')
				return false;
		s = dot + 1;
	}
	return is_top_label(s, (size_t)(end - s));
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
	const char *at = memrchr(s, '@', len);

	return at && at > s && at + 1 < s + len && at[1] != '.' && s[len - 1] != '.' && !strpbrk(s, " \t\n");
}

/* "1h5m", and also what people write: a number and a unit anywhere, "1 day", "2 weeks", "P1D" */
static bool is_duration(const char *s, size_t len)
{
	static const char *const short_units[] = { "ns", "us", "ms", "s", "m", "h", "d", "w", "hr", "wk",
		NULL };
	static const char *const long_units[] = { "nano", "µs", "micro", "milli", "sec", "min", "hour", "day",
		"week" };
	int64_t ms;

	if (len < SHORT_MAX && time_parse_duration(s, &ms))
		return true;
	for (const char *p = s; (p += strcspn(p, "0123456789")) < s + len;) {
		char unit[16];
		size_t n = 0;

		p += strspn(p, "0123456789");
		for (p += strspn(p, " \t");
			is_host_char(*p) && !(*p >= '0' && *p <= '9') && n < sizeof(unit) - 1; p++)
			unit[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
		unit[n] = '\0';
		if (str_in(unit, short_units))
			return true;
		for (size_t i = 0; i < ARRAY_LEN(long_units); i++)
			if (str_starts(unit, long_units[i]))
				return true;
	}
	return false;
}

static bool is_colour(const char *s, size_t len)
{
	bool hash = *s == '#';

	if (len != 3 + (size_t)hash && len != 6 + (size_t)hash)
		return false;
	for (size_t i = hash; i < len; i++)
		if (!is_hex(s[i]))
			return false;
	return true;
}

/* A pattern of the cases left: 9 a digit, h a hex digit, the rest itself */
static bool is_like(const char *pattern, const char *s, size_t len)
{
	if (strlen(pattern) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (pattern[i] == '9'       ? !(s[i] >= '0' && s[i] <= '9')
			: pattern[i] == 'h' ? !is_hex(s[i])
					    : s[i] != pattern[i])
			return false;
	return true;
}

static bool is_ssn(const char *s, size_t len)
{
	return is_like("999-99-9999", s, len) || is_like("999 99 9999", s, len);
}

static bool is_object_id(const char *s, size_t len)
{
	return is_like("hhhhhhhhhhhhhhhhhhhhhhhh", s, len);
}

/* Dashes may be left out */
static bool is_uuid_of(const char *s, size_t len, char version)
{
	size_t at = len == 36 ? 14 : 12, variant = len == 36 ? 19 : 16;

	return is_uuid(s, len) && len > variant && s[at] == version &&
	       (version == '3' || strchr("89abAB", s[variant]));
}

static bool is_uuid3(const char *s, size_t len)
{
	return is_uuid_of(s, len, '3');
}

static bool is_uuid4(const char *s, size_t len)
{
	return is_uuid_of(s, len, '4');
}

static bool is_uuid5(const char *s, size_t len)
{
	return is_uuid_of(s, len, '5');
}

/* Only digits, where spaces and dashes may stand between them; X is 10 at the end of an ISBN. */
static size_t digits_of(const char *s, size_t len, int *ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == ' ' || s[i] == '-')
			continue;
		if (n == max || ((s[i] < '0' || s[i] > '9') && !(s[i] == 'X' && n == ISBN10_DIGITS - 1)))
			return 0;
		ret[n++] = s[i] == 'X' ? 10 : s[i] - '0';
	}
	return n;
}

static bool is_isbn10(const char *s, size_t len)
{
	int d[CARD_DIGITS], sum = 0;

	if (digits_of(s, len, d, ISBN10_DIGITS) != ISBN10_DIGITS)
		return false;
	for (int i = 0; i < ISBN10_DIGITS; i++)
		sum += (i + 1) * d[i];
	return sum % 11 == 0;
}

static bool is_isbn13(const char *s, size_t len)
{
	int d[CARD_DIGITS], sum = 0;

	if (digits_of(s, len, d, ISBN13_DIGITS) != ISBN13_DIGITS)
		return false;
	for (int i = 0; i < ISBN13_DIGITS; i++)
		sum += (i % 2 ? 3 : 1) * d[i];
	return sum % 10 == 0;
}

static bool is_isbn(const char *s, size_t len)
{
	return is_isbn10(s, len) || is_isbn13(s, len);
}

static bool is_credit_card(const char *s, size_t len)
{
	int d[CARD_DIGITS], sum = 0;
	size_t n = digits_of(s, len, d, CARD_DIGITS);

	for (size_t i = 0; i < n; i++) {
		int x = d[n - 1 - i] * (i % 2 ? 2 : 1);

		sum += x > 9 ? x - 9 : x;
	}
	return n >= ISBN13_DIGITS && sum % 10 == 0;
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
	{ "bsonobjectid", is_object_id },
	{ "uuid3", is_uuid3 },
	{ "uuid4", is_uuid4 },
	{ "uuid5", is_uuid5 },
	{ "isbn", is_isbn },
	{ "isbn10", is_isbn10 },
	{ "isbn13", is_isbn13 },
	{ "creditcard", is_credit_card },
	{ "ssn", is_ssn },
	{ "hexcolor", is_colour },
};

schema_format_fn *schema_format(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(formats); i++)
		if (str_eq(formats[i].name, name))
			return formats[i].fn;
	return NULL;
}
