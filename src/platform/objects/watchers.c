/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/objects/watchers.h"

#include "base/mem.h"
#include "base/str.h"
#include "store/revs.h"

#include <string.h>

struct watch_scope {
	struct watchers *of;
	char *name;                          /* "", "ns/", "ns/name" or "name" */
	struct bucket_watch *watches, **end; /* in the order added */
	struct watch_scope *next, **prev;    /* all of them; not the one of everything */
	bool told;                           /* right now: it stays, even when all have left */
};
struct watchers {
	struct watch_scope all;
	struct watch_scope *scopes;
	struct revs *by_name;      /* to the scope's address */
	struct bucket_watch *walk; /* next one of a walk under way */
	size_t n;
};

struct watchers *watchers_new(void)
{
	struct watchers *ws = MEM_NEW(struct watchers);

	ws->all.of = ws;
	ws->all.end = &ws->all.watches;
	return ws;
}

void watchers_free(struct watchers *ws)
{
	if (!ws)
		return;
	MUST(!ws->n && !ws->scopes);
	revs_free(ws->by_name);
	free(ws);
}

/* NULL: nobody watches it. Not the scope of everything, which has no name. */
static struct watch_scope *find(const struct watchers *ws, const char *name)
{
	return ws->by_name ? (struct watch_scope *)(uintptr_t)revs_get(ws->by_name, name) : NULL;
}

static struct watch_scope *scope_new(struct watchers *ws, const char *name)
{
	struct watch_scope *s = MEM_NEW(struct watch_scope);

	s->of = ws;
	s->name = mem_strdup(name);
	s->end = &s->watches;
	s->next = ws->scopes;
	s->prev = &ws->scopes;
	if (s->next)
		s->next->prev = &s->next;
	ws->scopes = s;
	if (!ws->by_name)
		ws->by_name = revs_new();
	revs_set(ws->by_name, name, (uint64_t)(uintptr_t)s);
	return s;
}

static void scope_tidy(struct watch_scope *s)
{
	if (s->watches || s->told || s == &s->of->all)
		return;
	revs_set(s->of->by_name, s->name, 0);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	free(s->name);
	free(s);
}

void watchers_add(struct watchers *ws, struct bucket_watch *w, const char *scope)
{
	struct watch_scope *s = &ws->all;

	if (*scope && !(s = find(ws, scope)))
		s = scope_new(ws, scope);
	w->next = NULL;
	w->prev = s->end;
	*s->end = w;
	s->end = &w->next;
	w->scope = s;
	ws->n++;
}

void watchers_remove(struct bucket_watch *w)
{
	struct watch_scope *s = w->scope;

	if (!s)
		return;
	if (s->of->walk == w)
		s->of->walk = w->next;
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		s->end = w->prev;
	w->scope = NULL;
	s->of->n--;
	scope_tidy(s);
}

static void tell_scope(struct watch_scope *s, const struct bucket_change *c)
{
	if (!s)
		return;
	s->told = true;
	for (struct bucket_watch *w = s->watches; w; w = s->of->walk) {
		s->of->walk = w->next;
		w->change(w, c);
	}
	s->told = false;
	scope_tidy(s);
}

void watchers_tell(struct watchers *ws, const char *key, const struct bucket_change *c)
{
	const char *slash = strchr(key, '/');

	tell_scope(&ws->all, c);
	if (!ws->scopes)
		return;
	if (slash) {
		CLEANUP(mem_freep) char *ns = mem_strndup(key, (size_t)(slash - key) + 1);

		tell_scope(find(ws, ns), c);
	}
	tell_scope(find(ws, key), c);
	ws->walk = NULL;
}

struct bucket_watch *watchers_any(const struct watchers *ws)
{
	return ws->all.watches ? ws->all.watches : ws->scopes ? ws->scopes->watches : NULL;
}

size_t watchers_len(const struct watchers *ws)
{
	return ws->n;
}
