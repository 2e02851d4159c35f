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

/* What the texts of a reqinfo lie in: the path, and the path cut into its segments. */
struct own {
	struct reqinfo info;
	char *name; /* from a selector */
	char text[];
};

void reqinfo_free(struct reqinfo *i)
{
	struct own *o = i ? CONTAINER_OF(i, struct own, info) : NULL;

	if (!o)
		return;
	free(o->name);
	free(o);
}

/* The next segment, cut off, or NULL at the end of the path. */
static char *segment(char **p)
{
	char *s;

	while (**p == '/')
		(*p)++;
	if (!**p)
		return NULL;
	s = *p;
	*p += strcspn(s, "/");
	if (**p)
		*(*p)++ = '\0';
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

/* namespaces/NS is an object; what follows is a namespaced resource but for its two subresources. */
static bool ends_namespace(const char *p)
{
	static const char *const subs[] = { "status", "finalize" };
	size_t n;

	p += strspn(p, "/");
	n = strcspn(p, "/");
	for (size_t i = 0; i < ARRAY_LEN(subs); i++)
		if (n == strlen(subs[i]) && memcmp(p, subs[i], n) == 0)
			return true;
	return n == 0;
}

/* p goes through the path that is cut; what follows the subresource is needed whole. */
static bool parse_resource(struct reqinfo *i, char *p, const char *cut)
{
	i->plural = segment(&p);
	if (!i->plural)
		return false;
	if (str_eq(i->plural, "namespaces")) {
		i->ns = segment(&p);
		if (ends_namespace(p)) {
			i->name = i->ns;
		} else {
			i->plural = segment(&p);
			i->name = segment(&p);
		}
	} else {
		i->name = segment(&p);
	}
	if (i->name)
		i->sub = segment(&p);
	if (i->sub && *p)
		i->sub_rest = i->path + (p - cut) - 1;
	return true;
}

/* What comes before the resource in the deprecated paths; no resource is called so. */
static char *skip_watch(struct reqinfo *i, char *p)
{
	i->old_watch = str_starts(p, "watch/");
	return i->old_watch ? p + strlen("watch") : p;
}

static bool parse_path(struct reqinfo *i, char *cut)
{
	char *p;

	if (str_starts(cut, "/api/")) {
		p = cut + 4;
		i->group = "";
	} else if (str_starts(cut, "/apis/")) {
		p = cut + 5;
		i->group = segment(&p);
	} else {
		return false;
	}
	i->version = segment(&p);
	return i->group && i->version && parse_resource(i, skip_watch(i, p), cut);
}

/* resourceNames rules match a list or watch of one name. */
static char *name_from_selector(const struct request *r)
{
	const char *text = request_query(r, "fieldSelector");
	CLEANUP(field_selector_freep) struct field_selector *s = NULL;
	const char *name;

	if (str_empty(text) || field_selector_parse(text, &s, NULL) < 0)
		return NULL;
	name = field_selector_value(s, "metadata.name");
	return str_empty(name) ? NULL : mem_strdup(name);
}

struct reqinfo *reqinfo_new(const struct request *r)
{
	const char *path = request_path(r);
	size_t size = strlen(path) + 1;
	struct own *o = mem_zalloc(sizeof(*o) + 2 * size);
	struct reqinfo *i = &o->info;

	memcpy(o->text, path, size);
	memcpy(o->text + size, path, size);
	i->path = o->text;
	i->resource_request = parse_path(i, o->text + size);
	if (!i->resource_request) {
		i->verb = path_verb(request_method(r));
		return i;
	}
	i->verb = verb_of(r, i);
	if (!i->name && (str_eq(i->verb, "list") || str_eq(i->verb, "watch")))
		i->name = o->name = name_from_selector(r);
	return i;
}
