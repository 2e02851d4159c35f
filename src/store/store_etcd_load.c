/* SPDX-License-Identifier: Apache-2.0 */
/* Everything there is, page by page at one revision; and the history that etcd still has, so that watchers resume after a restart
 * (kubernetes-api.md 8, 99). */
#include "store/store_etcd.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* ---- calls that are waited for ---- */
struct waited {
	struct str answer;
	int status;
	char *text;
	bool done;
};

static void waited_message(void *arg, const void *data, size_t len)
{
	struct waited *w = arg;

	str_clear(&w->answer);
	str_addn(&w->answer, data, len);
}

static void waited_done(void *arg, int status, const char *text)
{
	struct waited *w = arg;

	w->done = true;
	w->status = status;
	w->text = mem_strdup(text);
}

static void waited_clear(struct waited *w)
{
	str_done(&w->answer);
	free(w->text);
	*w = (struct waited){ 0 };
}

/* Again on the next member if one fails; reads do no harm twice. */
static int get_waiting(
	struct store_etcd *s, const struct etcd_range *r, int64_t until, struct str *ret, struct err *e)
{
	static const struct grpc_call_ops ops = { waited_message, waited_done };
	CLEANUP(str_done) struct str m = { 0 };
	struct waited w = { 0 };

	etcd_put_range(&m, r);
	while (loop_mono_ms(s->loop) < until) {
		struct http2_client *c = etcd_link_client(s->link);
		struct grpc_call *call;

		if (!c) {
			loop_step(s->loop, ETCD_TICK_MS);
			continue;
		}
		call = store_etcd_call(s, ETCD_RANGE, &m, &ops, &w);
		while (!w.done && etcd_link_client(s->link) == c)
			loop_step(s->loop, ETCD_TICK_MS);
		if (!w.done)
			grpc_call_forget(call);
		if (w.done && w.status == GRPC_OK) {
			*ret = w.answer;
			free(w.text);
			return 0;
		}
		if (w.done && w.status != GRPC_UNAVAILABLE && w.status != GRPC_DEADLINE_EXCEEDED) {
			err_set(e, ERR_INTERNAL, "etcd: %s", w.text);
			waited_clear(&w);
			return -1;
		}
		if (w.done)
			loop_step(s->loop, ETCD_TICK_MS);
		waited_clear(&w);
	}
	return err_set(e, ERR_TIMEOUT, "etcd does not answer");
}

/* ---- rows ---- */
struct pages {
	struct store_etcd *s;
	int64_t rev;     /* all pages are of this; 0: the first one tells */
	uint64_t newest; /* revision of a row */
	int64_t limit;
	char *next; /* NULL: no more */
};
typedef int row_fn(void *arg, const struct store_row *r, struct err *e);

static void pages_init(struct pages *p, struct store_etcd *s)
{
	*p = (struct pages){ .s = s, .limit = ETCD_PAGE_FIRST, .next = mem_strdup(s->from) };
}

static struct etcd_range pages_range(const struct pages *p)
{
	return (struct etcd_range){ .key = p->next, .end = p->s->to, .limit = p->limit, .rev = p->rev };
}

/* Gives a page's rows, and finds where the next one begins. */
static int pages_take(struct pages *p, const struct str *answer, row_fn *fn, void *arg, struct err *e)
{
	struct etcd_range_answer a;
	struct etcd_kv kv = { 0 };
	int64_t n = 0;
	int more;

	if (etcd_get_range(str_cstr(answer), answer->len, &a, e) < 0)
		return -1;
	if (!p->rev)
		p->rev = a.rev;
	while ((more = etcd_next_kv(&a.kvs, &kv, e)) > 0) {
		CLEANUP(mem_freep) char *key = store_etcd_own_key(p->s, kv.key);
		struct store_row row = { key, (uint64_t)kv.mod_rev, kv.value.data, kv.value.len };

		if (row.rev > p->newest)
			p->newest = row.rev;
		n++;
		if (fn && fn(arg, &row, e) < 0)
			return -1;
	}
	if (more < 0)
		return -1;
	free(p->next);
	/* no key has a byte below 1 in it */
	p->next = a.more && n > 0 ? str_printf("%.*s\x01", (int)kv.key.len, kv.key.data) : NULL;
	p->limit = n == 0 ? p->limit : (int64_t)(ETCD_PAGE_BYTES / (answer->len / (size_t)n + 1));
	p->limit = p->limit < 1 ? 1 : p->limit > ETCD_PAGE_MAX ? ETCD_PAGE_MAX : p->limit;
	return 0;
}

static int load_rows(
	struct store_etcd *s, struct pages *p, row_fn *fn, void *arg, int64_t until, struct err *e)
{
	while (p->next) {
		CLEANUP(str_done) struct str answer = { 0 };
		struct etcd_range r = pages_range(p);

		if (get_waiting(s, &r, until, &answer, e) < 0 || pages_take(p, &answer, fn, arg, e) < 0)
			return -1;
	}
	return 0;
}

/* Revision of the newest write as of a revision; *ret_any: there was one, and not just the first server. */
static int load_head(
	struct store_etcd *s, int64_t at, int64_t until, uint64_t *ret, bool *ret_any, struct err *e)
{
	CLEANUP(str_done) struct str answer = { 0 };
	struct etcd_range r = { .key = s->head, .rev = at, .keys_only = true };
	struct etcd_range_answer a;
	struct etcd_kv kv = { 0 };

	if (get_waiting(s, &r, until, &answer, e) < 0 ||
		etcd_get_range(str_cstr(&answer), answer.len, &a, e) < 0 || etcd_next_kv(&a.kvs, &kv, e) < 0)
		return -1;
	*ret = (uint64_t)kv.mod_rev;
	*ret_any = kv.version > 1;
	return 0;
}

/* ---- history ---- */
struct past_change {
	uint64_t rev, prev_rev;
	char *key, *old;
	size_t old_len;
	bool deleted;
};
struct etcd_past {
	uint64_t since, until; /* everything after `since` up to `until` */
	struct past_change *changes;
	size_t n, cap;
	bool done;
};

static void past_clear(struct etcd_past *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->changes[i].key);
		free(p->changes[i].old);
	}
	p->n = 0;
}

static void past_add(struct store_etcd *s, const struct etcd_event *ev)
{
	struct etcd_past *p = s->past;
	bool created = !ev->deleted && ev->kv.create_rev == ev->kv.mod_rev;
	uint64_t rev = (uint64_t)ev->kv.mod_rev;

	if (rev > p->until)
		return;
	if (!created && !ev->has_prev) { /* its old value is compacted already: the history begins after it */
		past_clear(p);
		p->since = rev;
		return;
	}
	p->changes = mem_grow(p->changes, &p->cap, p->n + 1, sizeof(*p->changes));
	p->changes[p->n++] = (struct past_change){ .rev = rev,
		.prev_rev = created ? 0 : (uint64_t)ev->prev.mod_rev,
		.key = store_etcd_own_key(s, ev->kv.key),
		.old = created ? NULL : mem_strndup(ev->prev.value.data, ev->prev.value.len),
		.old_len = created ? 0 : ev->prev.value.len,
		.deleted = ev->deleted };
}

void store_etcd_past(struct store_etcd *s, const struct etcd_watch_answer *a)
{
	struct etcd_past *p = s->past;
	struct etcd_read events = a->events;
	struct etcd_event ev;
	int more;

	if (!p || p->done)
		return;
	if (a->canceled && (uint64_t)a->compact_rev > p->since && (uint64_t)a->compact_rev < p->until) {
		p->since = (uint64_t)a->compact_rev;
		store_etcd_watch(s, true, p->since + 1);
		return;
	}
	if (a->canceled) {
		past_clear(p);
		p->since = p->until;
		p->done = true;
		return;
	}
	while ((more = etcd_next_event(&events, &ev, NULL)) > 0) {
		past_add(s, &ev);
		p->done |= (uint64_t)ev.kv.mod_rev >= p->until;
	}
}

static void read_past(struct store_etcd *s, struct etcd_past *p)
{
	int64_t until = loop_mono_ms(s->loop) + ETCD_HISTORY_MAX_MS;
	CLEANUP(str_done) struct str m = { 0 };

	p->since = p->until > ETCD_HISTORY_MAX ? p->until - ETCD_HISTORY_MAX : 0;
	s->past = p;
	if (etcd_link_client(s->link))
		store_etcd_watch(s, true, p->since + 1);
	while (!p->done && s->past_id && loop_mono_ms(s->loop) < until)
		loop_step(s->loop, ETCD_TICK_MS);
	s->past = NULL;
	if (!p->done) { /* a history with a hole is none */
		log_warn("store: the history could not be read from etcd: watchers start anew");
		past_clear(p);
		p->since = p->until;
	}
	if (s->past_id && s->watch) {
		etcd_put_watch_cancel(&m, s->past_id);
		grpc_call_send(s->watch, &m);
	}
	s->past_id = 0;
}

static int give_past(const struct etcd_past *p, const struct store_load_ops *ops, void *arg, struct err *e)
{
	for (size_t i = p->n; i-- > 0;) {
		const struct past_change *c = &p->changes[i];

		if (ops->change(arg,
			    &(struct store_change){
				    c->rev, c->prev_rev, c->key, c->deleted, c->old, c->old_len },
			    e) < 0)
			return -1;
	}
	return 0;
}

static int load_all(struct store_etcd *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	int64_t until = loop_mono_ms(s->loop) + ETCD_LOAD_MAX_MS;
	struct etcd_past past = { 0 };
	struct pages p;
	bool any;
	int ret;

	pages_init(&p, s);
	ret = load_rows(s, &p, ops->row, arg, until, e);
	free(p.next);
	if (ret < 0 || load_head(s, p.rev, until, &past.until, &any, e) < 0)
		return -1;
	if (any)
		read_past(s, &past);
	else
		past.since = past.until;
	s->skip = (uint64_t)p.rev;
	s->base.compacted = past.since;
	if (p.newest > s->base.revision)
		s->base.revision = p.newest;
	if (past.until > s->base.revision)
		s->base.revision = past.until;
	ret = give_past(&past, ops, arg, e);
	past_clear(&past);
	free(past.changes);
	return ret;
}

int store_etcd_load(struct store *base, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_etcd *s = store_etcd_of(base);
	int ret;

	s->loading = true;
	ret = load_all(s, ops, arg, e);
	s->loading = false;
	s->loaded = ret == 0;
	loop_timer_set(
		s->tick, 0); /* events that came meanwhile: when the caller is done with what it was given */
	return ret < 0 ? err_wrap(e, "read everything from etcd") : 0;
}

/* ---- catching up after a gap ---- */
struct etcd_reload {
	struct store_etcd *s;
	struct pages pages;
	struct grpc_call *call;
	struct str answer;
	struct str *got; /* all pages; told when they are complete */
	size_t n, cap;
	bool head; /* asked for: the last thing */
};

void store_etcd_reload_free(struct store_etcd *s)
{
	struct etcd_reload *r = TAKE(s->reload);

	if (!r)
		return;
	grpc_call_forget(r->call);
	for (size_t i = 0; i < r->n; i++)
		str_done(&r->got[i]);
	free(r->got);
	str_done(&r->answer);
	free(r->pages.next);
	free(r);
}

static int tell_row(void *arg, const struct store_row *row, struct err *e)
{
	struct store_etcd *s = arg;

	if (s->base.follow)
		s->base.follow->row(s->base.follow_arg, row);
	return 0;
}

static const struct etcd_write *earliest_accepted(const struct store_etcd *s, uint64_t until)
{
	const struct etcd_write *first = NULL;

	for (const struct etcd_write *w = s->writes; w; w = w->next)
		if (w->state == WRITE_ACCEPTED && w->rev <= until && (!first || w->rev < first->rev))
			first = w;
	return first;
}

/* A write whose answer was lost is in the state as it was meant, or will be sent again. */
struct seek {
	struct etcd_write *w;
	const char *key;
	uint64_t rev; /* 0: no such key */
	bool same;
};

static int seek_row(void *arg, const struct store_row *row, struct err *e)
{
	struct seek *k = arg;

	if (!str_eq(row->key, k->key))
		return 0;
	k->rev = row->rev;
	k->same = !k->w->deletes && row->len == k->w->value.len &&
		  memcmp(row->value, str_cstr(&k->w->value), row->len) == 0;
	return 0;
}

static bool written(struct etcd_reload *r, struct etcd_write *w, uint64_t *ret_rev)
{
	CLEANUP(mem_freep) char *key = store_etcd_own_key(r->s, etcd_text(w->key));
	struct seek k = { .w = w, .key = key };

	for (size_t i = 0; i < r->n; i++) {
		struct pages again = { .s = r->s, .limit = 1, .rev = 1 };

		pages_take(&again, &r->got[i], seek_row, &k, NULL);
		free(again.next);
	}
	*ret_rev = k.rev ? k.rev : r->s->base.revision;
	return k.rev ? k.same : w->deletes;
}

static void reload_tell(struct etcd_reload *r, uint64_t head)
{
	struct store_etcd *s = r->s;
	const struct etcd_write *w;
	struct etcd_write *next;
	uint64_t rev;

	if (r->pages.newest > head)
		head = r->pages.newest;
	if (head > s->base.revision)
		s->base.revision = head;
	s->resume = (uint64_t)r->pages.rev + 1;
	s->skip = (uint64_t)r->pages.rev;
	while ((w = earliest_accepted(s, s->base.revision)))
		store_etcd_finish((struct etcd_write *)w, w->rev, ERR_NONE, NULL);
	for (struct etcd_write *u = s->writes; u; u = next) {
		next = u->next;
		if (u->state == WRITE_UNKNOWN && written(r, u, &rev))
			store_etcd_finish(u, rev, ERR_NONE, NULL);
	}
	for (size_t i = 0; i < r->n; i++) {
		struct pages again = { .s = s, .limit = 1, .rev = 1 };

		pages_take(&again, &r->got[i], tell_row, s, NULL);
		free(again.next);
	}
	if (s->base.follow)
		s->base.follow->over(s->base.follow_arg);
}

static void reload_step(struct etcd_reload *r);

static void reload_message(void *arg, const void *data, size_t len)
{
	struct etcd_reload *r = arg;

	str_clear(&r->answer);
	str_addn(&r->answer, data, len);
}

static int reload_take(struct etcd_reload *r, struct err *e)
{
	struct store_etcd *s = r->s;
	struct etcd_range_answer a;
	struct etcd_kv kv = { 0 };

	if (!r->head) {
		if (pages_take(&r->pages, &r->answer, NULL, NULL, e) < 0)
			return -1;
		r->got = mem_grow(r->got, &r->cap, r->n + 1, sizeof(*r->got));
		r->got[r->n++] = r->answer;
		r->answer = (struct str){ 0 };
		r->head = !r->pages.next;
		reload_step(r);
		return 0;
	}
	if (etcd_get_range(str_cstr(&r->answer), r->answer.len, &a, e) < 0 ||
		etcd_next_kv(&a.kvs, &kv, e) < 0)
		return -1;
	reload_tell(r, (uint64_t)kv.mod_rev);
	store_etcd_reload_free(s);
	store_etcd_watch(s, false, s->resume);
	store_etcd_settle(s);
	return 0;
}

static void reload_done(void *arg, int status, const char *text)
{
	struct etcd_reload *r = arg;
	struct store_etcd *s = r->s;
	struct err e = { 0 };

	r->call = NULL;
	if (status == GRPC_OK && reload_take(r, &e) == 0)
		return;
	etcd_link_drop(s->link, status == GRPC_OK ? e.msg : text);
}

static void reload_step(struct etcd_reload *r)
{
	static const struct grpc_call_ops ops = { reload_message, reload_done };
	struct etcd_range range = pages_range(&r->pages);
	CLEANUP(str_done) struct str m = { 0 };

	if (r->head)
		range = (struct etcd_range){ .key = r->s->head, .rev = r->pages.rev, .keys_only = true };
	etcd_put_range(&m, &range);
	r->call = store_etcd_call(r->s, ETCD_RANGE, &m, &ops, r);
}

void store_etcd_reload(struct store_etcd *s)
{
	if (s->reload)
		return;
	log_warn("store: changes after revision %llu are compacted: reading everything again",
		(unsigned long long)s->base.revision);
	s->reload = MEM_NEW(struct etcd_reload);
	s->reload->s = s;
	pages_init(&s->reload->pages, s);
	reload_step(s->reload);
}
