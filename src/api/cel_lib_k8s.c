/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' quantity(), semver() and format libraries. */
#include "api/cel_int.h"

#include <ctype.h>
#include <string.h>

#include "api/quantity.h"

#define ARGS                                                                                         \
	struct cel_run *r __attribute__((unused)), const struct cel_node *n __attribute__((unused)), \
		const struct cel_value *a, size_t n_args __attribute__((unused))
#define TEXT_MAX 256 /* bytes of a quantity or version */
#define NANO INT64_C(1000000000)

/* ---- quantities ---- */

static bool parse_quantity(const struct cel_value *v, struct quantity *ret)
{
	char text[TEXT_MAX];

	if (v->n >= sizeof(text) || memchr(v->s, '\0', v->n))
		return false;
	memcpy(text, v->s, v->n);
	text[v->n] = '\0';
	return quantity_parse(text, ret, NULL) == 0;
}

static struct cel_value keep_quantity(struct cel_run *r, const struct quantity *q)
{
	struct quantity *copy = arena_alloc(r->arena, sizeof(*copy));

	*copy = *q;
	return cel_opaque(CEL_QUANTITY, copy);
}

static struct cel_value f_quantity(ARGS)
{
	struct quantity q;

	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	if (!parse_quantity(&a[0], &q))
		return cel_fail(r, "quantities must match the regular expression "
				   "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
	return keep_quantity(r, &q);
}

static struct cel_value f_is_quantity(ARGS)
{
	struct quantity q;

	return a[0].kind == CEL_STRING ? cel_bool(parse_quantity(&a[0], &q)) : cel_no_overload();
}

static struct cel_value f_is_integer(ARGS)
{
	const struct quantity *q = a[0].p;

	return a[0].kind == CEL_QUANTITY ? cel_bool(q->nano == 0) : cel_no_overload();
}

static struct cel_value f_as_integer(ARGS)
{
	const struct quantity *q = a[0].p;

	if (a[0].kind != CEL_QUANTITY)
		return cel_no_overload();
	return q->nano ? cel_fail(r, "cannot convert value to integer") : cel_int(q->value);
}

static struct cel_value f_as_float(ARGS)
{
	const struct quantity *q = a[0].p;

	if (a[0].kind != CEL_QUANTITY)
		return cel_no_overload();
	return cel_double((double)q->value + (double)q->nano / 1e9);
}

static struct cel_value f_sign(ARGS)
{
	const struct quantity *q = a[0].p;

	if (a[0].kind != CEL_QUANTITY)
		return cel_no_overload();
	return cel_int(q->value < 0 ? -1 : q->value > 0 || q->nano > 0);
}

static struct cel_value add_quantities(struct cel_run *r, const struct cel_value *a, bool minus)
{
	struct quantity x, y = { 0 };
	__int128 nanos, other;

	if (a[0].kind != CEL_QUANTITY || (a[1].kind != CEL_QUANTITY && a[1].kind != CEL_INT))
		return cel_no_overload();
	x = *(const struct quantity *)a[0].p;
	if (a[1].kind == CEL_QUANTITY)
		y = *(const struct quantity *)a[1].p;
	else
		y.value = a[1].i;
	other = (__int128)y.value * NANO + y.nano;
	nanos = (__int128)x.value * NANO + x.nano + (minus ? -other : other);
	if (nanos >= (__int128)INT64_MAX * NANO || nanos <= (__int128)INT64_MIN * NANO)
		return cel_fail(r, "quantity overflow");
	x.value = (int64_t)(nanos / NANO);
	x.nano = (int32_t)(nanos % NANO);
	if (x.nano < 0) {
		x.nano += (int32_t)NANO;
		x.value--;
	}
	return keep_quantity(r, &x);
}

static struct cel_value f_plus(ARGS)
{
	return add_quantities(r, a, false);
}

static struct cel_value f_minus(ARGS)
{
	return add_quantities(r, a, true);
}

/* ---- semantic versions ---- */

struct semver {
	uint64_t n[3];
	const char *pre, *build; /* "" if none */
	const char *text;
};

static bool read_part(const char **p, uint64_t *ret)
{
	const char *from = *p;
	uint64_t v = 0;

	for (; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return false;
	*ret = v;
	return *p > from && (*from != '0' || *p == from + 1);
}

/* "a.b-1.2" up to `end`: dotted, none empty; numbers without leading zeros if `strict`. */
static bool good_words(const char *s, bool strict)
{
	for (;;) {
		size_t len = strcspn(s, "."), digits = strspn(s, "0123456789");

		if (!len || (strict && digits >= len && len > 1 && *s == '0'))
			return false;
		for (size_t i = 0; i < len; i++)
			if (!isalnum((unsigned char)s[i]) && s[i] != '-')
				return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

/* v1.2 -> 1.2.0 and the like, if asked for. */
static char *normalized(struct cel_run *r, char *text)
{
	CLEANUP(str_done) struct str out = { 0 };
	char *rest = text + strcspn(text, "-+");
	size_t parts = 0;

	if (*text == 'v')
		text++;
	for (char *p = text; p < rest;) {
		size_t len = strcspn(p, ".-+");

		while (len > 1 && *p == '0') {
			p++;
			len--;
		}
		str_addf(&out, "%s%.*s", parts++ ? "." : "", (int)len, p);
		p += len;
		if (p < rest)
			p++;
	}
	for (; parts > 0 && parts < 3; parts++)
		str_add(&out, ".0");
	str_add(&out, rest);
	return arena_strdup(r->arena, str_cstr(&out));
}

static bool parse_semver(struct cel_run *r, const struct cel_value *v, bool normalize, struct semver *ret)
{
	struct semver s = { .pre = "", .build = "" };
	char *text, *plus, *minus;
	const char *p;

	if (v->n >= TEXT_MAX || memchr(v->s, '\0', v->n) || !cel_pay(r, 1 + v->n / 10))
		return false;
	text = cel_cstr(r, v);
	if (normalize)
		text = normalized(r, text);
	s.text = arena_strdup(r->arena, text);
	plus = strchr(text, '+');
	if (plus) {
		*plus = '\0';
		s.build = plus + 1;
	}
	minus = strchr(text, '-');
	if (minus) {
		*minus = '\0';
		s.pre = minus + 1;
	}
	p = text;
	for (int i = 0; i < 3; i++) {
		if (!read_part(&p, &s.n[i]) || (i < 2 && *p++ != '.'))
			return false;
	}
	if (*p || (minus && !good_words(s.pre, true)) || (plus && !good_words(s.build, false)))
		return false;
	*ret = s;
	return true;
}

static struct cel_value f_semver(ARGS)
{
	bool normalize = n_args > 1 && a[1].kind == CEL_BOOL && a[1].b;
	struct semver s, *copy;

	if (a[0].kind != CEL_STRING || (n_args > 1 && a[1].kind != CEL_BOOL))
		return cel_no_overload();
	if (!parse_semver(r, &a[0], normalize, &s))
		return cel_fail(r, "No Major.Minor.Patch elements found");
	copy = arena_alloc(r->arena, sizeof(*copy));
	*copy = s;
	return cel_opaque(CEL_SEMVER, copy);
}

static struct cel_value f_is_semver(ARGS)
{
	bool normalize = n_args > 1 && a[1].kind == CEL_BOOL && a[1].b;
	struct semver s;

	if (a[0].kind != CEL_STRING || (n_args > 1 && a[1].kind != CEL_BOOL))
		return cel_no_overload();
	return cel_bool(parse_semver(r, &a[0], normalize, &s));
}

static int cmp_words(const char *a, const char *b)
{
	if (!*a || !*b)
		return (*a == '\0') - (*b == '\0'); /* a release comes after its previews */
	for (;;) {
		size_t la = strcspn(a, "."), lb = strcspn(b, ".");
		bool na = strspn(a, "0123456789") >= la, nb = strspn(b, "0123456789") >= lb;
		int c;

		if (na && nb && la != lb)
			return la < lb ? -1 : 1;
		if (na != nb)
			return na ? -1 : 1;
		c = strncmp(a, b, la < lb ? la : lb);
		if (c || la != lb)
			return c ? (c < 0 ? -1 : 1) : la < lb ? -1 : 1;
		if (!a[la] || !b[lb])
			return !a[la] && !b[lb] ? 0 : !a[la] ? -1 : 1;
		a += la + 1;
		b += lb + 1;
	}
}

static int cmp_semver(const struct semver *a, const struct semver *b)
{
	for (int i = 0; i < 3; i++)
		if (a->n[i] != b->n[i])
			return a->n[i] < b->n[i] ? -1 : 1;
	return cmp_words(a->pre, b->pre);
}

static struct cel_value part(const struct cel_value *v, int i)
{
	return v->kind == CEL_SEMVER ? cel_int((int64_t)((const struct semver *)v->p)->n[i])
				     : cel_no_overload();
}

static struct cel_value f_major(ARGS)
{
	return part(&a[0], 0);
}

static struct cel_value f_minor(ARGS)
{
	return part(&a[0], 1);
}

static struct cel_value f_patch(ARGS)
{
	return part(&a[0], 2);
}

/* ---- comparing both ---- */

static bool compare_two(const struct cel_value *a, int *ret)
{
	if (a[0].kind != a[1].kind || (a[0].kind != CEL_QUANTITY && a[0].kind != CEL_SEMVER))
		return false;
	*ret = a[0].kind == CEL_QUANTITY ? quantity_cmp(a[0].p, a[1].p) : cmp_semver(a[0].p, a[1].p);
	return true;
}

static struct cel_value f_greater(ARGS)
{
	int c;

	return compare_two(a, &c) ? cel_bool(c > 0) : cel_no_overload();
}

static struct cel_value f_less(ARGS)
{
	int c;

	return compare_two(a, &c) ? cel_bool(c < 0) : cel_no_overload();
}

static struct cel_value f_compare(ARGS)
{
	int c;

	return compare_two(a, &c) ? cel_int(c) : cel_no_overload();
}

/* ---- named formats ---- */

struct format {
	const char *function, *name;
	void (*check)(const char *s, size_t n, struct strv *errors);
};

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253
#define LABEL_TEXT                                                                                        \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must " \
	"start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "    \
	"validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_TEXT                                                                                    \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', " \
	"and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "      \
	"validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_1035_TEXT                                                                                 \
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "    \
	"alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', " \
	"regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED_TEXT                                                                                     \
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with " \
	"an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "          \
	"validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_TEXT                                                                                       \
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " \
	"and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "    \
	"'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!lower_alnum(s[i]) && (s[i] != '-' || i == 0 || i + 1 == n))
			return false;
	return n > 0;
}

static bool is_subdomain(const char *s, size_t n)
{
	for (;;) {
		const char *dot = memchr(s, '.', n);
		size_t len = dot ? (size_t)(dot - s) : n;

		if (!is_label(s, len))
			return false;
		if (!dot)
			return true;
		s += len + 1;
		n -= len + 1;
	}
}

static bool is_word(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((unsigned char)s[i] < 128 && isalnum((unsigned char)s[i])) &&
			(!strchr("-_.", s[i]) || !s[i] || i == 0 || i + 1 == n))
			return false;
	return n > 0;
}

static void too_long(struct strv *errors, size_t max)
{
	strv_addf(errors, "must be no more than %zu characters", max);
}

static void check_label(const char *s, size_t n, struct strv *errors)
{
	if (n > LABEL_MAX)
		too_long(errors, LABEL_MAX);
	if (!is_label(s, n))
		strv_add(errors, LABEL_TEXT);
}

static void check_subdomain(const char *s, size_t n, struct strv *errors)
{
	if (n > SUBDOMAIN_MAX)
		too_long(errors, SUBDOMAIN_MAX);
	if (!is_subdomain(s, n))
		strv_add(errors, SUBDOMAIN_TEXT);
}

static void check_1035(const char *s, size_t n, struct strv *errors)
{
	if (n > LABEL_MAX)
		too_long(errors, LABEL_MAX);
	if (!is_label(s, n) || (*s >= '0' && *s <= '9'))
		strv_add(errors, LABEL_1035_TEXT);
}

/* What generateName begins with: a dash at the end counts as a letter. */
static void check_prefix(
	const char *s, size_t n, struct strv *errors, void (*check)(const char *, size_t, struct strv *))
{
	CLEANUP(mem_freep) char *copy = mem_strndup(s, n);

	if (n > 1 && copy[n - 1] == '-')
		copy[n - 1] = 'a';
	check(copy, n, errors);
}

static void check_label_prefix(const char *s, size_t n, struct strv *errors)
{
	check_prefix(s, n, errors, check_label);
}

static void check_subdomain_prefix(const char *s, size_t n, struct strv *errors)
{
	check_prefix(s, n, errors, check_subdomain);
}

static void check_1035_prefix(const char *s, size_t n, struct strv *errors)
{
	check_prefix(s, n, errors, check_1035);
}

static void check_qualified(const char *s, size_t n, struct strv *errors)
{
	const char *slash = memchr(s, '/', n);
	CLEANUP(strv_done) struct strv prefix = { 0 };

	if (slash && memchr(slash + 1, '/', n - (size_t)(slash - s) - 1)) {
		strv_add(errors,
			"a qualified name must consist of alphanumeric characters, '-', '_' or '.', and "
			"must start and end with an alphanumeric character with an optional DNS subdomain "
			"prefix and '/' (e.g. 'example.com/MyName')");
		return;
	}
	if (slash == s)
		strv_add(errors, "prefix part must be non-empty");
	else if (slash)
		check_subdomain(s, (size_t)(slash - s), &prefix);
	for (size_t i = 0; i < prefix.len; i++)
		strv_addf(errors, "prefix part %s", prefix.items[i]);
	if (slash) {
		n -= (size_t)(slash + 1 - s);
		s = slash + 1;
	}
	if (!n)
		strv_add(errors, "name part must be non-empty");
	else if (n > LABEL_MAX)
		strv_addf(errors, "name part must be no more than %d characters", LABEL_MAX);
	if (!is_word(s, n))
		strv_add(errors, QUALIFIED_TEXT);
}

static void check_value(const char *s, size_t n, struct strv *errors)
{
	if (n > LABEL_MAX)
		too_long(errors, LABEL_MAX);
	if (n && !is_word(s, n))
		strv_add(errors, VALUE_TEXT);
}

static void check_schema(const char *s, const char *format, const char *text, struct strv *errors)
{
	if (!schema_format(format)(s, strlen(s)))
		strv_add(errors, text);
}

static void check_uri(const char *s, size_t n, struct strv *errors)
{
	const struct cel_value v = cel_strn(s, n);
	struct cel_run *r = cel_run_new();
	struct cel_value ok = cel_find_fn("isURL", 5)->call(r, NULL, &v, 1);

	if (ok.kind != CEL_BOOL || !ok.b)
		strv_addf(errors, "parse \"%s\": invalid URI for request", s);
	cel_run_free(r);
}

static void check_uuid(const char *s, size_t n, struct strv *errors)
{
	(void)n;
	check_schema(s, "uuid", "does not match the UUID format", errors);
}

static void check_byte(const char *s, size_t n, struct strv *errors)
{
	(void)n;
	check_schema(s, "byte", "invalid base64", errors);
}

static void check_date(const char *s, size_t n, struct strv *errors)
{
	(void)n;
	check_schema(s, "date", "invalid date", errors);
}

static void check_datetime(const char *s, size_t n, struct strv *errors)
{
	(void)n;
	check_schema(s, "date-time", "invalid datetime", errors);
}

static const struct format formats[] = {
	{ "format.dns1123Label", "DNS1123Label", check_label },
	{ "format.dns1123Subdomain", "DNS1123Subdomain", check_subdomain },
	{ "format.dns1035Label", "DNS1035Label", check_1035 },
	{ "format.qualifiedName", "QualifiedName", check_qualified },
	{ "format.dns1123LabelPrefix", "DNS1123LabelPrefix", check_label_prefix },
	{ "format.dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", check_subdomain_prefix },
	{ "format.dns1035LabelPrefix", "DNS1035LabelPrefix", check_1035_prefix },
	{ "format.labelValue", "LabelValue", check_value },
	{ "format.uri", "URI", check_uri },
	{ "format.uuid", "uuid", check_uuid },
	{ "format.byte", "byte", check_byte },
	{ "format.date", "date", check_date },
	{ "format.datetime", "datetime", check_datetime },
};

static struct cel_value f_format(ARGS)
{
	(void)a;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (str_eq(formats[i].function, n->fn->name))
			return cel_opaque(CEL_FORMAT, &formats[i]);
	return cel_no_overload();
}

static struct cel_value f_format_named(ARGS)
{
	struct cel_value v;

	if (a[0].kind != CEL_STRING)
		return cel_no_overload();
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const char *name = formats[i].function + strlen("format.");

		if (strlen(name) == a[0].n && memcmp(name, a[0].s, a[0].n) == 0) {
			v = cel_opaque(CEL_FORMAT, &formats[i]);
			return cel_optional(r, &v);
		}
	}
	return cel_optional(r, NULL);
}

static struct cel_value f_validate(ARGS)
{
	CLEANUP(strv_done) struct strv errors = { 0 };
	CLEANUP(mem_freep) char *text = NULL;
	struct cel_value *items, list;

	if (a[0].kind != CEL_FORMAT || a[1].kind != CEL_STRING)
		return cel_no_overload();
	if (!cel_pay(r, 1 + a[1].n / 5))
		return cel_over_budget();
	text = mem_strndup(a[1].s, a[1].n);
	if (strlen(text) != a[1].n)
		strv_add(&errors, "must not contain NUL");
	else
		((const struct format *)a[0].p)->check(text, a[1].n, &errors);
	if (!errors.len)
		return cel_optional(r, NULL);
	items = cel_items(r, errors.len);
	if (!items)
		return cel_over_budget();
	for (size_t i = 0; i < errors.len; i++)
		items[i] = cel_str_copy(r, errors.items[i], strlen(errors.items[i]));
	list = cel_list_of(r, items, errors.len);
	return cel_optional(r, &list);
}

/* ---- for all opaque kinds ---- */

bool cel_opaque_text(const struct cel_value *v, struct str *out)
{
	char text[QUANTITY_TEXT_MAX];

	switch (v->kind) {
	case CEL_QUANTITY:
		str_add(out, quantity_text(v->p, text));
		return true;
	case CEL_SEMVER:
		str_add(out, ((const struct semver *)v->p)->text);
		return true;
	case CEL_FORMAT:
		str_add(out, ((const struct format *)v->p)->name);
		return true;
	case CEL_IP:
	case CEL_CIDR:
	case CEL_URL:
		return cel_net_text(v, out);
	default:
		return false;
	}
}

bool cel_opaque_equal(const struct cel_value *a, const struct cel_value *b)
{
	switch (a->kind) {
	case CEL_QUANTITY:
		return quantity_cmp(a->p, b->p) == 0;
	case CEL_SEMVER:
		return cmp_semver(a->p, b->p) == 0;
	case CEL_IP:
	case CEL_CIDR:
	case CEL_URL:
		return cel_net_equal(a, b);
	default:
		return a->p == b->p;
	}
}

#define FORMAT(name)                                  \
	{                                             \
		"format." name, ":F", f_format, false \
	}
const struct cel_fn cel_fns_k8s[] = {
	{ "quantity", "s:Q", f_quantity, false },
	{ "isQuantity", "s:b", f_is_quantity, false },
	{ "isInteger", "Q.:b", f_is_integer, false },
	{ "asInteger", "Q.:i", f_as_integer, false },
	{ "asApproximateFloat", "Q.:d", f_as_float, false },
	{ "sign", "Q:i", f_sign, false },
	{ "add", "Q.Q:Q|Q.i:Q", f_plus, false },
	{ "sub", "Q.Q:Q|Q.i:Q", f_minus, false },
	{ "isGreaterThan", "Q.Q:b|V.V:b", f_greater, false },
	{ "isLessThan", "Q.Q:b|V.V:b", f_less, false },
	{ "compareTo", "Q.Q:i|V.V:i", f_compare, false },
	{ "semver", "s:V|sb:V", f_semver, false },
	{ "isSemver", "s:b|sb:b", f_is_semver, false },
	{ "major", "V.:i", f_major, false },
	{ "minor", "V.:i", f_minor, false },
	{ "patch", "V.:i", f_patch, false },
	FORMAT("dns1123Label"),
	FORMAT("dns1123Subdomain"),
	FORMAT("dns1035Label"),
	FORMAT("qualifiedName"),
	FORMAT("dns1123LabelPrefix"),
	FORMAT("dns1123SubdomainPrefix"),
	FORMAT("dns1035LabelPrefix"),
	FORMAT("labelValue"),
	FORMAT("uri"),
	FORMAT("uuid"),
	FORMAT("byte"),
	FORMAT("date"),
	FORMAT("datetime"),
	{ "format.named", "s:OF", f_format_named, false },
	{ "validate", "F.s:OLs", f_validate, false },
	{ 0 },
};
