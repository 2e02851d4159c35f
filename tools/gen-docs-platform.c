/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks from the tables of the platform, and the arrows of tools/layers. */
#include "gen-docs.h"

#include "base/file.h"
#include "base/mem.h"
#include "platform/kinds/builtin.h"

#define LAYERS_MAX (64 << 10)

/* ---- what is served ---- */
static void add_verbs(struct str *out, unsigned verbs)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { VERB_CREATE, "create" }, { VERB_GET, "get" }, { VERB_LIST, "list" },
		{ VERB_WATCH, "watch" }, { VERB_UPDATE, "update" }, { VERB_PATCH, "patch" },
		{ VERB_DELETE, "delete" }, { VERB_DELETECOLLECTION, "deletecollection" } };
	const char *sep = "";

	if (!verbs || verbs == VERBS_ALL) {
		str_add(out, "all");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (verbs & names[i].bit) {
			str_addf(out, "%s%s", sep, names[i].name);
			sep = " ";
		}
}

static void add_resource(struct str *out, const struct resource_def *r)
{
	const char *sep = "";

	str_addf(out, "| %s%s%s | %s | ", r->kind.group, *r->kind.group ? "/" : "", r->kind.version,
		r->kind.plural);
	add_verbs(out, r->verbs);
	str_add(out, " | ");
	for (const struct subresource *s = r->subresources; s && s->name; s++) {
		str_addf(out, "%s%s", sep, s->name);
		sep = " ";
	}
	str_add(out, " |\n");
}

static void served(struct str *out, const char *top)
{
	str_add(out, "| group and version | resource | verbs | subresources |\n|---|---|---|---|\n");
	for (size_t i = 0; builtin_groups[i]; i++)
		for (const struct resource_def *r = builtin_groups[i]; r->kind.kind; r++)
			add_resource(out, r);
}

/* ---- the rooms ---- */
static void layers(struct str *out, const char *top)
{
	CLEANUP(mem_freep) char *path = file_join(top, "tools/layers"), *text = NULL;
	size_t len;
	char *rest, *line;

	if (file_read(path, LAYERS_MAX, &text, &len, NULL) < 0)
		return;
	str_add(out, "| room | may include |\n|---|---|\n");
	rest = text;
	while ((line = str_next(&rest, '\n'))) {
		char *may = line, *room;

		if (!*line || *line == '#')
			continue;
		room = str_next(&may, ':');
		while (may && *may == ' ')
			may++;
		str_addf(out, "| `src/%s` | %s |\n", room, str_empty(may) ? "nothing" : may);
	}
}

const struct block blocks[] = {
	{ "served", served },
	{ "layers", layers },
	{ NULL, NULL },
};
