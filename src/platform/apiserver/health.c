/* SPDX-License-Identifier: Apache-2.0 */
/* /healthz, /livez and /readyz, each check of them by name, with verbose and exclude (kubernetes-api.md 1.3). */
#include "platform/apiserver/server.h"

#include "base/mem.h"

#include <string.h>

/* A check answers NULL, or why it fails. */
struct check {
	const char *name;
	const char *(*trouble)(const struct apiserver *s);
};

static const char *no_trouble(const struct apiserver *s)
{
	return NULL;
}

static const char *trouble_of_store(const struct apiserver *s)
{
	const struct err *e = store_trouble(s->objects->store);

	return e ? e->msg : NULL;
}

static const struct check checks[] = { { "ping", no_trouble }, { "store", trouble_of_store } };

static const struct check *check_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (str_eq(checks[i].name, name))
			return &checks[i];
	return NULL;
}

/* exclude= may be given several times. */
static bool is_excluded(const struct request *r, const char *check)
{
	const char *name, *value;

	for (size_t i = 0; request_query_each(r, &i, &name, &value);)
		if (str_eq(name, "exclude") && str_eq(value, check))
			return true;
	return false;
}

static void note_unknown_exclusions(const struct request *r, struct str *out)
{
	const char *name, *value;

	for (size_t i = 0; request_query_each(r, &i, &name, &value);)
		if (str_eq(name, "exclude") && !check_named(value))
			str_addf(out, "warn: some health checks cannot be excluded: no matches for \"%s\"\n",
				value);
}

static void reply(const struct apiserver *s, struct request *r, const char *path, const struct check *only)
{
	CLEANUP(str_done) struct str out = { 0 };
	bool failed = false;

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		const char *trouble = checks[i].trouble(s);

		if (only && only != &checks[i])
			continue;
		if (!only && is_excluded(r, checks[i].name)) {
			str_addf(&out, "[+]%s excluded: ok\n", checks[i].name);
		} else if (trouble) {
			str_addf(&out, "[-]%s failed: %s\n", checks[i].name, trouble);
			failed = true;
		} else {
			str_addf(&out, "[+]%s ok\n", checks[i].name);
		}
	}
	request_add_header(r, "X-Content-Type-Options", "nosniff");
	request_add_header(r, "Cache-Control", "no-cache, private");
	if (!failed && !request_query(r, "verbose")) {
		request_reply_text(r, 200, "ok");
		return;
	}
	note_unknown_exclusions(r, &out);
	str_addf(&out, "%s check %s\n", path + 1, failed ? "failed" : "passed");
	request_reply_text(r, failed ? 500 : 200, out.data);
}

bool health_serve(struct apiserver *s, struct request *r, const char *path)
{
	static const char *const roots[] = { "/healthz", "/livez", "/readyz" };
	const struct check *only;
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(roots) && !name; i++)
		if (str_starts(path, roots[i]) && (!path[strlen(roots[i])] || path[strlen(roots[i])] == '/'))
			name = path + strlen(roots[i]);
	if (!name)
		return false;
	name += *name == '/';
	only = check_named(name);
	if (*name && !only)
		request_reply_text(r, 404, "404 page not found\n");
	else
		reply(s, r, path, only);
	return true;
}
