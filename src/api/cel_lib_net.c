/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' ip(), cidr() and url(). */
#include "api/cel_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))

/* ---- addresses ---- */

struct addr {
	bool six;
	int bits; /* of a CIDR */
	unsigned char b[16];
};

static bool parse_addr(const char *s, size_t n, struct addr *ret)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char text[INET6_ADDRSTRLEN];
	struct addr a = { 0 };

	if (n >= sizeof(text) || memchr(s, '\0', n))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, a.b) == 1) {
		*ret = a;
		return true;
	}
	/* zones and IPv4 written as IPv6 are refused */
	if (inet_pton(AF_INET6, text, a.b) != 1 || memcmp(a.b, mapped, sizeof(mapped)) == 0)
		return false;
	a.six = true;
	*ret = a;
	return true;
}

static void addr_text(const struct addr *a, struct str *out)
{
	uint16_t g[8];
	int best = -1, best_len = 1;

	if (!a->six) {
		str_addf(out, "%u.%u.%u.%u", a->b[0], a->b[1], a->b[2], a->b[3]);
		return;
	}
	for (int i = 0; i < 8; i++)
		g[i] = (uint16_t)(a->b[2 * i] << 8 | a->b[2 * i + 1]);
	for (int i = 0; i < 8; i++) {
		int len = 0;

		while (i + len < 8 && !g[i + len])
			len++;
		if (len > best_len) {
			best = i;
			best_len = len;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == best) {
			str_add(out, "::");
			i += best_len - 1;
			continue;
		}
		if (i && i != best + best_len)
			str_addc(out, ':');
		else if (i && best < 0)
			str_addc(out, ':');
		str_addf(out, "%x", g[i]);
	}
}

static bool parse_cidr(const char *s, size_t n, struct addr *ret)
{
	const char *slash = memchr(s, '/', n);
	CLEANUP(mem_freep) char *bits = NULL;
	struct addr a;
	int64_t v;

	if (!slash || !parse_addr(s, (size_t)(slash - s), &a))
		return false;
	bits = mem_strndup(slash + 1, (size_t)(s + n - slash - 1));
	if (!isdigit((unsigned char)bits[0]) || (bits[0] == '0' && bits[1]) ||
		!str_to_i64(bits, 0, a.six ? 128 : 32, &v))
		return false;
	a.bits = (int)v;
	*ret = a;
	return true;
}

static struct cel_value keep(struct cel_run *r, enum cel_kind kind, const struct addr *a)
{
	struct addr *copy = arena_alloc(r->arena, sizeof(*copy));

	*copy = *a;
	return cel_opaque(kind, copy);
}

static struct cel_value f_ip(ARGS)
{
	struct addr addr;

	if (a[0].kind == CEL_CIDR) {
		addr = *(const struct addr *)a[0].p;
		addr.bits = 0;
		return keep(r, CEL_IP, &addr);
	}
	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (!parse_addr(a[0].s, a[0].n, &addr))
		return cel_fail(r,
			"IP Address '%.*s' parse error during conversion from string: unable to parse IP",
			(int)(a[0].n < 64 ? a[0].n : 64), a[0].s);
	return keep(r, CEL_IP, &addr);
}

static struct cel_value f_is_ip(ARGS)
{
	struct addr addr;

	return a[0].kind == CEL_STRING ? cel_bool(parse_addr(a[0].s, a[0].n, &addr)) : cel_no_overload();
}

static struct cel_value f_is_canonical(ARGS)
{
	CLEANUP(str_done) struct str text = { 0 };
	struct addr addr;

	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (!parse_addr(a[0].s, a[0].n, &addr))
		return cel_fail(r,
			"IP Address '%.*s' parse error during conversion from string: unable to parse IP",
			(int)(a[0].n < 64 ? a[0].n : 64), a[0].s);
	addr_text(&addr, &text);
	return cel_bool(text.len == a[0].n && memcmp(text.data, a[0].s, text.len) == 0);
}

static struct cel_value f_family(ARGS)
{
	return a[0].kind == CEL_IP ? cel_int(((const struct addr *)a[0].p)->six ? 6 : 4) : cel_no_overload();
}

static bool all_zero(const struct addr *a)
{
	static const unsigned char zero[16];

	return memcmp(a->b, zero, a->six ? 16 : 4) == 0;
}

static bool is_loopback(const struct addr *a)
{
	static const unsigned char one[16] = { [15] = 1 };

	return a->six ? memcmp(a->b, one, 16) == 0 : a->b[0] == 127;
}

static bool is_local_multicast(const struct addr *a)
{
	return a->six ? a->b[0] == 0xff && (a->b[1] & 0x0f) == 2 : a->b[0] == 224 && !a->b[1] && !a->b[2];
}

static bool is_local_unicast(const struct addr *a)
{
	return a->six ? a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80 : a->b[0] == 169 && a->b[1] == 254;
}

static bool is_global_unicast(const struct addr *a)
{
	bool multicast = a->six ? a->b[0] == 0xff : (a->b[0] & 0xf0) == 0xe0;
	bool broadcast = !a->six && (a->b[0] & a->b[1] & a->b[2] & a->b[3]) == 255;

	return !broadcast && !multicast && !all_zero(a) && !is_loopback(a) && !is_local_unicast(a);
}

#define ASK(fn, test)                                                                    \
	static struct cel_value fn(ARGS)                                                 \
	{                                                                                \
		return a[0].kind == CEL_IP ? cel_bool(test(a[0].p)) : cel_no_overload(); \
	}
ASK(f_unspecified, all_zero)
ASK(f_loopback, is_loopback)
ASK(f_local_multicast, is_local_multicast)
ASK(f_local_unicast, is_local_unicast)
ASK(f_global_unicast, is_global_unicast)

/* ---- networks ---- */

static struct cel_value bad_cidr(struct cel_run *r, const struct cel_value *v)
{
	return cel_fail(r, "network address parse error during conversion from string: '%.*s' is no CIDR",
		(int)(v->n < 64 ? v->n : 64), v->s);
}

static struct cel_value f_cidr(ARGS)
{
	struct addr addr;

	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	return parse_cidr(a[0].s, a[0].n, &addr) ? keep(r, CEL_CIDR, &addr) : bad_cidr(r, &a[0]);
}

static struct cel_value f_is_cidr(ARGS)
{
	struct addr addr;

	return a[0].kind == CEL_STRING ? cel_bool(parse_cidr(a[0].s, a[0].n, &addr)) : cel_no_overload();
}

static bool same_prefix(const struct addr *x, const struct addr *y, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	if (x->six != y->six || memcmp(x->b, y->b, (size_t)whole) != 0)
		return false;
	return !rest || ((x->b[whole] ^ y->b[whole]) & (0xff << (8 - rest) & 0xff)) == 0;
}

static struct cel_value f_contains_ip(ARGS)
{
	struct cel_value ip = a[1];
	const struct addr *net = a[0].p;

	if (a[0].kind != CEL_CIDR)
		return cel_no_overload();
	if (ip.kind == CEL_STRING)
		ip = f_ip(r, n, &a[1], 1);
	if (ip.kind != CEL_IP)
		return ip.kind == CEL_ERROR ? ip : cel_no_overload();
	return cel_bool(same_prefix(net, ip.p, net->bits));
}

static struct cel_value f_contains_cidr(ARGS)
{
	struct cel_value other = a[1];
	const struct addr *net = a[0].p;

	if (a[0].kind != CEL_CIDR)
		return cel_no_overload();
	if (other.kind == CEL_STRING)
		other = f_cidr(r, n, &a[1], 1);
	if (other.kind != CEL_CIDR)
		return other.kind == CEL_ERROR ? other : cel_no_overload();
	return cel_bool(
		((const struct addr *)other.p)->bits >= net->bits && same_prefix(net, other.p, net->bits));
}

static struct cel_value f_masked(ARGS)
{
	struct addr addr;

	if (a[0].kind != CEL_CIDR)
		return cel_no_overload();
	addr = *(const struct addr *)a[0].p;
	for (int i = addr.bits; i < (addr.six ? 128 : 32); i++)
		addr.b[i / 8] &= (unsigned char)~(0x80 >> i % 8);
	return keep(r, CEL_CIDR, &addr);
}

static struct cel_value f_prefix_length(ARGS)
{
	return a[0].kind == CEL_CIDR ? cel_int(((const struct addr *)a[0].p)->bits) : cel_no_overload();
}

/* ---- URLs, as requests name them: absolute, or an absolute path ---- */

struct url_value {
	struct cel_value scheme, host, name, port, path, query; /* strings; host with port */
	const char *text;
};

static bool is_hex(char c)
{
	return isxdigit((unsigned char)c) != 0;
}

static bool good_escapes(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == '%' && (n - i < 3 || !is_hex(s[i + 1]) || !is_hex(s[i + 2])))
			return false;
	return true;
}

static bool all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return true;
}

static bool split_host(struct url_value *u)
{
	const char *s = u->host.s, *end = s + u->host.n, *colon = NULL, *at;

	if (u->host.n && *s == '[') {
		at = memchr(s, ']', u->host.n);
		if (!at)
			return false;
		u->name = cel_strn(s + 1, (size_t)(at - s - 1));
		if (at + 1 < end && at[1] != ':')
			return false;
		colon = at + 1 < end ? at + 1 : NULL;
	} else {
		for (at = s; at < end; at++)
			if (*at == ':')
				colon = at;
		u->name = cel_strn(s, (size_t)((colon ? colon : end) - s));
	}
	u->port = colon ? cel_strn(colon + 1, (size_t)(end - colon - 1)) : cel_str("");
	if (!all_digits(u->port.s, u->port.n))
		return false;
	for (at = s; at < end; at++)
		if (strchr(" \"<>\\^`{|}#%", *at))
			return false;
	return true;
}

static bool read_scheme(const char **p, const char *end, struct url_value *u)
{
	const char *colon = *p;

	if (!isalpha((unsigned char)*colon))
		return false;
	while (colon < end && (isalnum((unsigned char)*colon) || strchr("+-.", *colon)))
		colon++;
	if (colon >= end || *colon != ':')
		return false;
	u->scheme = cel_strn(*p, (size_t)(colon - *p));
	*p = colon + 1;
	return true;
}

static bool parse_url(const char *s, size_t n, struct url_value *u)
{
	const char *p = s, *end = s + n, *stop, *at;

	u->scheme = u->host = u->name = u->port = u->path = u->query = cel_str("");
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	if (!n || (*p != '/' && !read_scheme(&p, end, u)))
		return false;
	stop = memchr(p, '?', (size_t)(end - p));
	if (stop)
		u->query = cel_strn(stop + 1, (size_t)(end - stop - 1));
	else
		stop = end;
	if (u->scheme.n && (p >= stop || *p != '/'))
		return u->scheme.n && p < stop; /* opaque: mailto:x */
	if (u->scheme.n && stop - p >= 2 && p[1] == '/') {
		p += 2;
		at = memchr(p, '/', (size_t)(stop - p));
		if (!at)
			at = stop;
		for (const char *q = p; q < at; q++)
			if (*q == '@')
				p = q + 1;
		u->host = cel_strn(p, (size_t)(at - p));
		if (!split_host(u))
			return false;
		p = at;
	}
	u->path = cel_strn(p, (size_t)(stop - p));
	return good_escapes(p, (size_t)(stop - p));
}

static struct cel_value f_url(ARGS)
{
	struct url_value *u;

	if (a[0].kind != CEL_STRING || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	u = arena_alloc(r->arena, sizeof(*u));
	u->text = cel_cstr(r, &a[0]);
	if (!parse_url(u->text, a[0].n, u))
		return cel_fail(r,
			"URL parse error during conversion from string: parse \"%.64s\": invalid URI for "
			"request",
			u->text);
	return cel_opaque(CEL_URL, u);
}

static struct cel_value f_is_url(ARGS)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct url_value u;

	if (a[0].kind != CEL_STRING || !cel_pay(r, a[0].n / 10))
		return cel_no_overload();
	text = mem_strndup(a[0].s, a[0].n);
	return cel_bool(strlen(text) == a[0].n && parse_url(text, a[0].n, &u));
}

#define URL_PART(fn, member)                                                             \
	static struct cel_value fn(ARGS)                                                 \
	{                                                                                \
		return a[0].kind == CEL_URL ? ((const struct url_value *)a[0].p)->member \
					    : cel_no_overload();                         \
	}
URL_PART(f_scheme, scheme)
URL_PART(f_host, host)
URL_PART(f_hostname, name)
URL_PART(f_port, port)

/* What is not allowed in a path is escaped, what is stays as it was written. */
static struct cel_value f_escaped_path(ARGS)
{
	CLEANUP(str_done) struct str out = { 0 };
	struct cel_value path;

	if (a[0].kind != CEL_URL)
		return cel_no_overload();
	path = ((const struct url_value *)a[0].p)->path;
	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.s[i];

		if (c < 128 && (isalnum(c) || strchr("-_.~$&+,/:;=@!'()*%[]", c)))
			str_addc(&out, (char)c);
		else
			str_addf(&out, "%%%02X", c);
	}
	return cel_str_copy(r, str_cstr(&out), out.len);
}

static bool unescape(const char *s, size_t n, struct str *out)
{
	for (size_t i = 0; i < n; i++) {
		char hex[3] = "";

		if (s[i] != '%') {
			str_addc(out, s[i] == '+' ? ' ' : s[i]);
			continue;
		}
		if (n - i < 3 || !is_hex(s[i + 1]) || !is_hex(s[i + 2]))
			return false;
		memcpy(hex, s + i + 1, 2);
		str_addc(out, (char)strtol(hex, NULL, 16));
		i += 2;
	}
	return true;
}

struct query {
	struct cel_pair *pairs;
	size_t n;
};

static struct cel_value add_query(struct cel_run *r, struct query *q, const char *s, size_t n, size_t max)
{
	CLEANUP(str_done) struct str key = { 0 }, val = { 0 };
	const char *eq = memchr(s, '=', n);
	size_t key_len = eq ? (size_t)(eq - s) : n, i = 0;
	struct cel_value k, v, *items;

	if (!n || !unescape(s, key_len, &key) || (eq && !unescape(eq + 1, n - key_len - 1, &val)))
		return cel_null(); /* broken pairs are left out */
	k = cel_str_copy(r, str_cstr(&key), key.len);
	v = cel_str_copy(r, str_cstr(&val), val.len);
	while (i < q->n && !cel_equal(r, &q->pairs[i].key, &k))
		i++;
	if (!cel_pay(r, 2 + i / 8))
		return cel_over_budget();
	if (i == q->n) {
		items = cel_items(r, 1);
		if (!items || i >= max)
			return cel_over_budget();
		items[0] = v;
		q->pairs[q->n++] = (struct cel_pair){ k, cel_list_of(r, items, 1) };
		return cel_null();
	}
	items = cel_items(r, q->pairs[i].val.list->n + 1);
	if (!items)
		return cel_over_budget();
	memcpy(items, q->pairs[i].val.list->items, q->pairs[i].val.list->n * sizeof(*items));
	items[q->pairs[i].val.list->n] = v;
	q->pairs[i].val = cel_list_of(r, items, q->pairs[i].val.list->n + 1);
	return cel_null();
}

static struct cel_value f_query(ARGS)
{
	struct cel_value query, done;
	struct query q = { 0 };
	size_t max = 1;

	if (a[0].kind != CEL_URL)
		return cel_no_overload();
	query = ((const struct url_value *)a[0].p)->query;
	for (size_t i = 0; i < query.n; i++)
		max += query.s[i] == '&';
	if (!cel_pay(r, 1 + max + query.n / 10))
		return cel_over_budget();
	q.pairs = arena_alloc(r->arena, max * sizeof(*q.pairs));
	for (size_t at = 0; at <= query.n;) {
		const char *amp = memchr(query.s + at, '&', query.n - at);
		size_t to = amp ? (size_t)(amp - query.s) : query.n;

		done = add_query(r, &q, query.s + at, to - at, max);
		if (done.kind == CEL_ERROR)
			return done;
		at = to + 1;
	}
	return cel_map_of(r, q.pairs, q.n);
}

/* ---- for all opaque kinds ---- */

bool cel_net_text(const struct cel_value *v, struct str *out)
{
	const struct addr *addr = v->p;

	if (v->kind == CEL_URL) {
		str_add(out, ((const struct url_value *)v->p)->text);
		return true;
	}
	addr_text(addr, out);
	if (v->kind == CEL_CIDR)
		str_addf(out, "/%d", addr->bits);
	return true;
}

bool cel_net_equal(const struct cel_value *a, const struct cel_value *b)
{
	const struct addr *x = a->p, *y = b->p;

	if (a->kind == CEL_URL)
		return str_eq(((const struct url_value *)a->p)->text, ((const struct url_value *)b->p)->text);
	return x->six == y->six && x->bits == y->bits && memcmp(x->b, y->b, sizeof(x->b)) == 0;
}

const struct cel_fn cel_fns_net[] = {
	{ "ip", "s:I|C.:I", f_ip, false },
	{ "isIP", "s:b", f_is_ip, false },
	{ "ip.isCanonical", "s:b", f_is_canonical, false },
	{ "family", "I.:i", f_family, false },
	{ "isUnspecified", "I.:b", f_unspecified, false },
	{ "isLoopback", "I.:b", f_loopback, false },
	{ "isLinkLocalMulticast", "I.:b", f_local_multicast, false },
	{ "isLinkLocalUnicast", "I.:b", f_local_unicast, false },
	{ "isGlobalUnicast", "I.:b", f_global_unicast, false },
	{ "cidr", "s:C", f_cidr, false },
	{ "isCIDR", "s:b", f_is_cidr, false },
	{ "containsIP", "C.s:b|C.I:b", f_contains_ip, false },
	{ "containsCIDR", "C.s:b|C.C:b", f_contains_cidr, false },
	{ "masked", "C.:C", f_masked, false },
	{ "prefixLength", "C.:i", f_prefix_length, false },
	{ "url", "s:U", f_url, false },
	{ "isURL", "s:b", f_is_url, false },
	{ "getScheme", "U.:s", f_scheme, false },
	{ "getHost", "U.:s", f_host, false },
	{ "getHostname", "U.:s", f_hostname, false },
	{ "getPort", "U.:s", f_port, false },
	{ "getEscapedPath", "U.:s", f_escaped_path, false },
	{ "getQuery", "U.:PsLs", f_query, false },
	{ 0 },
};
