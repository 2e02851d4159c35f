/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/request/reqinfo.h"

#include "api/selector.h"
#include "base/mem.h"

#include <string.h>
#include <strings.h>

bool query_true(const struct request *r, const char *name)
{
	const char *v = request_query(r, name);

	return v && !str_eq(v, "0") && strcasecmp(v, "false") != 0;
}

void reqinfo_done(struct reqinfo *i)
{
	free(i->path);
	free(i->group);
	free(i->version);
	free(i->plural);
	free(i->ns);
	free(i->name);
	free(i->sub);
	free(i->sub_rest);
	*i = (struct reqinfo){ 0 };
}

/* The next segment, or NULL at the end of the path. */
static char *segment(const char **p)
{
	size_t n;
	char *s;

	while (**p == '/')
		(*p)++;
	n = strcspn(*p, "/");
	if (n == 0)
		return NULL;
	s = mem_strndup(*p, n);
	*p += n;
	return s;
}

static const char *verb_of(const struct request *r, const struct reqinfo *i)
{
	const char *m = request_method(r);

	if (i->old_watch)
		return str_eq(m, "GET") || str_eq(m, "HEAD") ? "watch" : "";
	if (str_eq(m, "GET") || str_eq(m, "HEAD")) {
		if (i->name)
			return "get";
		return query_true(r, "watch") ? "watch" : "list";
	}
	if (str_eq(m, "DELETE"))
		return i->name ? "delete" : "deletecollection";
	return str_eq(m, "POST") ? "create" : str_eq(m, "PUT") ? "update" : str_eq(m, "PATCH") ? "patch" : "";
}

static const char *path_verb(const char *method)
{
	static const char *const verbs[][2] = { { "GET", "get" }, { "HEAD", "head" }, { "POST", "post" },
		{ "PUT", "put" }, { "PATCH", "patch" }, { "DELETE", "delete" }, { "OPTIONS", "options" } };

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verbs[i][0], method))
			return verbs[i][1];
	return "";
}

static bool parse_resource(struct reqinfo *i, const char *p)
{
	i->plural = segment(&p);
	if (!i->plural)
		return false;
	if (str_eq(i->plural, "namespaces")) {
		char *ns = segment(&p);
		const char *after = p;
		char *next = ns ? segment(&p) : NULL;

		/* namespaces/NS is an object; what follows is a namespaced resource but for its two subresources */
		if (!next || str_eq(next, "status") || str_eq(next, "finalize")) {
			free(next);
			i->name = ns;
			i->ns = ns ? mem_strdup(ns) : NULL;
			p = after;
		} else {
			i->ns = ns;
			free(i->plural);
			i->plural = next;
			i->name = segment(&p);
		}
	} else {
		i->name = segment(&p);
	}
	if (i->name)
		i->sub = segment(&p);
	if (i->sub && p[0] == '/' && p[1])
		i->sub_rest = mem_strdup(p);
	return true;
}

/* What comes before the resource in the deprecated paths; no resource is called so. */
static const char *skip_watch(struct reqinfo *i, const char *p)
{
	i->old_watch = str_starts(p, "/watch/");
	return i->old_watch ? p + 6 : p;
}

static bool parse_path(struct reqinfo *i, const char *path)
{
	const char *p;

	if (str_starts(path, "/api/")) {
		p = path + 4;
		i->group = mem_strdup("");
	} else if (str_starts(path, "/apis/")) {
		p = path + 5;
		i->group = segment(&p);
	} else {
		return false;
	}
	i->version = segment(&p);
	return i->group && i->version && parse_resource(i, skip_watch(i, p));
}

/* resourceNames rules match a list or watch of one name. */
static void name_from_selector(const struct request *r, struct reqinfo *i)
{
	const char *text = request_query(r, "fieldSelector");
	CLEANUP(field_selector_freep) struct field_selector *s = NULL;
	const char *name;

	if (i->name || str_empty(text) || field_selector_parse(text, &s, NULL) < 0)
		return;
	name = field_selector_value(s, "metadata.name");
	if (!str_empty(name))
		i->name = mem_strdup(name);
}

void reqinfo_read(const struct request *r, struct reqinfo *ret)
{
	struct reqinfo i = { .path = mem_strdup(request_path(r)) };

	i.resource_request = parse_path(&i, i.path);
	if (!i.resource_request) {
		i.verb = path_verb(request_method(r));
	} else {
		i.verb = verb_of(r, &i);
		if (str_eq(i.verb, "list") || str_eq(i.verb, "watch"))
			name_from_selector(r, &i);
	}
	*ret = i;
}
