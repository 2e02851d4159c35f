/* SPDX-License-Identifier: Apache-2.0 */
/* Content negotiation (kubernetes-api.md 2.8): entries in the order given, weights aside. */
#include "platform/request/request.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

#define ACCEPT_PARAMS_MAX 8

struct media {
	char text[256];
	const char *type;
	const char *params[ACCEPT_PARAMS_MAX]; /* "as=Table" */
	size_t n;
	double weight;
};

static char *trim(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = '\0';
	return s;
}

/* Parameters that do not make another representation. */
static bool param_ignored(const char *p)
{
	return strncasecmp(p, "charset=", 8) == 0 || strncasecmp(p, "q=", 2) == 0 ||
	       strncasecmp(p, "pretty=", 7) == 0 || strncasecmp(p, "stream=", 7) == 0;
}

static bool media_parse(const char *s, size_t len, struct media *m)
{
	char *rest;

	*m = (struct media){ .weight = 1 };
	if (len >= sizeof(m->text))
		return false;
	memcpy(m->text, s, len);
	rest = m->text;
	m->type = trim(str_next(&rest, ';'));
	while (rest) {
		char *p = trim(str_next(&rest, ';'));

		if (strncasecmp(p, "q=", 2) == 0)
			m->weight = strtod(p + 2, NULL);
		if (param_ignored(p) || !*p)
			continue;
		if (m->n == ACCEPT_PARAMS_MAX)
			return false;
		m->params[m->n++] = p;
	}
	return m->type[0] != '\0';
}

static bool media_has(const struct media *m, const char *param)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcasecmp(m->params[i], param) == 0)
			return true;
	return false;
}

static bool media_matches(const struct media *want, const struct media *offer)
{
	size_t slash = strcspn(offer->type, "/") + 1;

	if (str_eq(want->type, "*/*"))
		return true;
	if (strncasecmp(want->type, offer->type, slash) == 0 && str_eq(want->type + slash, "*"))
		return want->n == 0;
	if (strcasecmp(want->type, offer->type) != 0 || want->n != offer->n)
		return false;
	for (size_t i = 0; i < want->n; i++)
		if (!media_has(offer, want->params[i]))
			return false;
	return true;
}

static int media_choose(const struct media *want, const char *const *offers, size_t n)
{
	struct media offer;

	for (size_t i = 0; i < n; i++)
		if (media_parse(offers[i], strlen(offers[i]), &offer) && media_matches(want, &offer))
			return (int)i;
	return -1;
}

int request_accept(const struct request *r, const char *const *offers, size_t n)
{
	const char *accept = request_header(r, "Accept");
	double best_weight = 0;
	int best = -1;

	if (str_empty(accept))
		return 0;
	for (const char *p = accept; *p;) {
		size_t len = strcspn(p, ",");
		struct media want;
		int found;

		if (media_parse(p, len, &want) && want.weight > best_weight) {
			found = media_choose(&want, offers, n);
			if (found >= 0) {
				best = found;
				best_weight = want.weight;
			}
		}
		p += len;
		if (*p)
			p++;
	}
	return best;
}

void request_fail_accept(struct request *r, const char *const *offers, size_t n)
{
	CLEANUP(str_done) struct str list = { 0 };
	struct err e = { 0 };

	for (size_t i = 0; i < n; i++)
		str_addf(&list, "%s%s", i ? ", " : "", offers[i]);
	err_set(&e, ERR_NOT_ACCEPTABLE, "only the following media types are accepted: %s", str_cstr(&list));
	request_fail(r, &e, NULL, NULL, NULL);
}
