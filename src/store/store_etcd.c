/* SPDX-License-Identifier: Apache-2.0 */
/* A store in an etcd cluster. One connection to one member carries everything; the watch on it is the one source of order: our
 * own writes are acknowledged when their events come, between those of others. */
#include "store/store_etcd.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

static void collect_answer(void *arg, const void *data, size_t len)
{
	struct str *to = arg;

	str_clear(to);
	str_addn(to, data, len);
}

struct grpc_call *store_etcd_call(struct store_etcd *s, const char *path, const struct str *message,
	const struct grpc_call_ops *ops, void *arg)
{
	struct grpc_call *c =
		grpc_call_new(s->loop, etcd_link_client(s->link), path, ETCD_ANSWER_MAX_MS, ops, arg);

	grpc_call_send(c, message);
	grpc_call_end(c);
	return c;
}

/* ---- keys ---- */
static char *their_key(const struct store_etcd *s, const char *key)
{
	MUST(str_starts(key, s->own));
	return str_printf("%s%s", s->prefix, key + strlen(s->own));
}

char *store_etcd_own_key(const struct store_etcd *s, struct etcd_bytes key)
{
	size_t n = strlen(s->prefix);

	if (key.len < n)
		return mem_strdup("");
	return str_printf("%s%.*s", s->own, (int)(key.len - n), key.data + n);
}

/* FNV-1a */
static size_t hash(const char *key, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)key[i]) * 16777619u;
	return h % ETCD_BUCKETS;
}

static struct etcd_write *find(struct store_etcd *s, struct etcd_bytes key)
{
	struct etcd_write *w = s->by_key[hash(key.data, key.len)];

	while (w && (strlen(w->key) != key.len || memcmp(w->key, key.data, key.len) != 0))
		w = w->hash_next;
	return w;
}

/* ---- trouble ---- */
static void note_full(struct store_etcd *s, const char *text)
{
	if (!s->full)
		log_error("store: etcd is out of space: %s", text);
	s->full = true;
	s->full_asked = loop_mono_ms(s->loop);
	err_set(&s->base.trouble, ERR_INTERNAL,
		"etcd takes no writes, its database is full (alarm NOSPACE): compact and defragment it, "
		"raise its quota, "
		"then disarm the alarm");
}

static bool is_full(int status, const char *text)
{
	return status == GRPC_RESOURCE_EXHAUSTED && strstr(text, "database space exceeded");
}

/* ---- writes ---- */
static void write_free(struct etcd_write *w)
{
	struct etcd_write **p = &w->s->by_key[hash(w->key, strlen(w->key))];

	while (*p != w)
		p = &(*p)->hash_next;
	*p = w->hash_next;
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		w->s->writes_end = w->prev;
	if (w->call)
		grpc_call_cancel(w->call);
	free(w->key);
	str_done(&w->value);
	free(w);
}

void store_etcd_finish(struct etcd_write *w, uint64_t rev, enum err_code code, const char *text)
{
	store_done_fn *done = w->done;
	void *arg = w->arg;
	struct err e = { 0 };

	write_free(w);
	if (code != ERR_NONE)
		err_set(&e, code, "%s", text);
	if (done)
		done(arg, rev, code == ERR_NONE ? NULL : &e);
}

static void refused(struct etcd_write *w)
{
	store_etcd_finish(w, 0, ERR_CONFLICT, "the key is not at the expected revision");
}

static void write_message(void *arg, const void *data, size_t len)
{
	struct etcd_write *w = arg;
	struct etcd_txn_answer a;
	struct err e = { 0 };

	if (etcd_get_txn(data, len, &a, &e) < 0)
		return; /* done() finds it without answer */
	w->answered = true;
	if (a.succeeded) {
		w->state = WRITE_ACCEPTED;
		w->rev = (uint64_t)a.rev;
	} else if (a.n == 2 && (uint64_t)a.gets[1].mod_rev == w->mark) {
		w->state = WRITE_REFUSED;
		w->target = (uint64_t)a.gets[0].mod_rev;
	} else { /* nothing was written: it was sent under a mark that is not ours any more */
		w->state = WRITE_WAITS;
		if (w->mark == w->s->mark_rev)
			etcd_link_drop(w->s->link, "another server uses this one's identity");
	}
}

/* These say that nothing was written. */
static enum err_code failure_of(int status, const char *text)
{
	if (is_full(status, text))
		return ERR_INTERNAL;
	if (strstr(text, "too large") || strstr(text, "larger than max"))
		return ERR_TOO_LARGE;
	if (status == GRPC_RESOURCE_EXHAUSTED)
		return ERR_TOO_MANY_REQUESTS;
	return status == GRPC_INVALID_ARGUMENT || status == 7 || status == 16 ? ERR_INTERNAL : ERR_NONE;
}

static void write_done(void *arg, int status, const char *text)
{
	struct etcd_write *w = arg;
	struct store_etcd *s = w->s;
	enum err_code code = failure_of(status, text);
	CLEANUP(mem_freep) char *full = NULL;

	w->call = NULL;
	if (is_full(status, text))
		note_full(s, text);
	if (w->answered) {
		if (w->state == WRITE_ACCEPTED && w->rev <= s->base.revision)
			store_etcd_finish(w, w->rev, ERR_NONE, NULL); /* it was among what was read anew */
		else if (w->state == WRITE_WAITS && w->mark != s->mark_rev && s->mark_rev)
			store_etcd_send(w);
	} else if (code != ERR_NONE) {
		full = s->full && code == ERR_INTERNAL ? mem_strdup(s->base.trouble.msg)
						       : str_printf("etcd: %s", text);
		store_etcd_finish(w, 0, code, full);
	} else { /* no leader, no answer in time: it may be written, it may yet be */
		w->state = WRITE_UNKNOWN;
		w->target = 0;
		if (!s->marking)
			store_etcd_put_mark(s);
	}
	store_etcd_pump(s);
	store_etcd_settle(s);
}

/* All or nothing, if the key is as expected and no later connection of this server has begun: a write that a broken
 * connection left behind somewhere can not come true once its fate has been told. */
void store_etcd_send(struct etcd_write *w)
{
	static const struct grpc_call_ops ops = { write_message, write_done };
	struct store_etcd *s = w->s;
	CLEANUP(str_done) struct str m = { 0 };

	str_reserve(&m, w->value.len + 512);
	etcd_txn_if_mod(&m, w->key, (int64_t)w->expect);
	etcd_txn_if_mod(&m, s->mark, (int64_t)s->mark_rev);
	if (w->deletes)
		etcd_txn_delete(&m, ETCD_THEN, w->key);
	else
		etcd_txn_put(&m, ETCD_THEN, w->key, str_cstr(&w->value), w->value.len);
	etcd_txn_put(&m, ETCD_THEN, s->head, "", 0);
	etcd_txn_get(&m, ETCD_ELSE, s->head, true);
	etcd_txn_get(&m, ETCD_ELSE, s->mark, true);
	w->state = WRITE_SENT;
	w->mark = s->mark_rev;
	w->answered = w->overtaken = false;
	w->target = 0;
	w->call = store_etcd_call(s, ETCD_TXN, &m, &ops, w);
}

static void refuse_later(void *arg)
{
	struct etcd_write *w = arg;

	refused(w);
}

static void etcd_write(struct store *base, const struct store_write *spec)
{
	struct store_etcd *s = store_etcd_of(base);
	struct etcd_write *w = MEM_NEW(struct etcd_write);
	size_t at;

	*w = (struct etcd_write){ .s = s,
		.key = their_key(s, spec->key),
		.deletes = !spec->value,
		.expect = spec->expect,
		.deadline = loop_mono_ms(s->loop) + ETCD_WRITE_MAX_MS,
		.done = spec->done,
		.arg = spec->arg };
	if (spec->value)
		str_addn(&w->value, spec->value, spec->len);
	at = hash(w->key, strlen(w->key));
	w->hash_next = s->by_key[at];
	s->by_key[at] = w;
	w->prev = s->writes_end;
	*s->writes_end = w;
	s->writes_end = &w->next;
	if (w->deletes && w->expect == 0) {
		w->state = WRITE_REFUSED;
		w->target = UINT64_MAX; /* settled by the call below alone */
		loop_later(s->loop, refuse_later, w);
	} else if (s->mark_rev) {
		store_etcd_send(w);
	}
}

/* ---- events ---- */
static bool same_effect(const struct etcd_write *w, const struct etcd_event *ev)
{
	if (w->deletes || ev->deleted)
		return w->deletes && ev->deleted;
	return w->value.len == ev->kv.value.len &&
	       memcmp(str_cstr(&w->value), ev->kv.value.data, w->value.len) == 0;
}

static void tell_other(struct store_etcd *s, const struct etcd_event *ev)
{
	CLEANUP(mem_freep) char *key = store_etcd_own_key(s, ev->kv.key);
	struct store_event told = { .key = key,
		.rev = (uint64_t)ev->kv.mod_rev,
		.value = ev->deleted ? NULL : ev->kv.value.data,
		.len = ev->kv.value.len };

	if (s->base.follow)
		s->base.follow->change(s->base.follow_arg, &told);
}

/* False: whose it is will be known when the write of this key is answered, which is a matter of a moment. */
static bool take_event(struct store_etcd *s, const struct etcd_event *ev)
{
	uint64_t rev = (uint64_t)ev->kv.mod_rev;
	struct etcd_write *w;
	bool ours = false;

	if (rev <= s->base.revision)
		return true; /* told already, before the connection changed */
	w = find(s, ev->kv.key);
	if (w && w->state == WRITE_SENT)
		return false;
	if (w && w->state == WRITE_ACCEPTED)
		ours = w->rev == rev;
	else if (w && w->state == WRITE_UNKNOWN)
		ours = !w->overtaken && same_effect(w, ev);
	if (w && !ours)
		w->overtaken = true;
	s->base.revision = rev;
	s->resume = rev + 1;
	if (ours)
		store_etcd_finish(w, rev, ERR_NONE, NULL);
	else if (rev > s->skip)
		tell_other(s, ev);
	return true;
}

static void drop_batch(struct store_etcd *s)
{
	struct etcd_batch *b = s->batches;

	s->batches = b->next;
	if (!s->batches)
		s->batches_end = &s->batches;
	free(b->data);
	free(b);
}

void store_etcd_pump(struct store_etcd *s)
{
	struct etcd_event ev;
	struct err e = { 0 };

	if (s->pumping || s->loading)
		return;
	s->pumping = true; /* callbacks write and ask, which may lead here */
	while (s->batches) {
		struct etcd_batch *b = s->batches;
		struct etcd_read before = b->events;
		int more = etcd_next_event(&b->events, &ev, &e);

		if (more < 0)
			etcd_link_drop(s->link, e.msg);
		if (more <= 0) {
			drop_batch(s);
		} else if (!take_event(s, &ev)) {
			b->events = before;
			break;
		}
	}
	s->pumping = false;
}

static void wait_end(struct store_wait *w, const struct err *e)
{
	store_sync_fn *fn = w->fn;
	void *arg = w->arg;

	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	free(w);
	fn(arg, e);
}

/* The first of those whose time has come; callbacks may change the lists. */
static struct store_wait *due_wait(struct store_etcd *s)
{
	struct store_wait *w = s->waits;

	while (w && (w->state != SYNC_WAITS || w->target > s->base.revision))
		w = w->next;
	return w;
}

static struct etcd_write *due_write(struct store_etcd *s)
{
	struct etcd_write *w = s->writes;

	while (w && !(w->state == WRITE_REFUSED && w->target <= s->base.revision))
		w = w->next;
	return w;
}

void store_etcd_settle(struct store_etcd *s)
{
	struct store_wait *wait;
	struct etcd_write *w;

	if (s->loading || s->pumping)
		return;
	while ((w = due_write(s)))
		refused(w);
	while ((wait = due_wait(s)))
		wait_end(wait, NULL);
	/* Their event would have come by now: they were not written, and can no longer be */
	for (w = s->writes; w && s->mark_rev; w = w->next)
		if (w->state == WRITE_UNKNOWN && w->target && w->target <= s->base.revision)
			store_etcd_send(w);
}

/* ---- the watch ---- */
static void note_term(struct store_etcd *s, uint64_t term);

static void watch_message(void *arg, const void *data, size_t len)
{
	struct store_etcd *s = arg;
	struct etcd_watch_answer a;
	struct etcd_batch *b;
	struct err e = { 0 };

	if (etcd_get_watch(data, len, &a, &e) < 0) {
		etcd_link_drop(s->link, e.msg);
		return;
	}
	note_term(s, a.term);
	if (a.id == s->past_id) {
		store_etcd_past(s, &a);
		return;
	}
	if (a.id == s->live_id && a.canceled && a.compact_rev > 0 && !s->loaded) {
		s->resume = (uint64_t)a.compact_rev + 1; /* nothing was read yet: what is lost is history */
		store_etcd_watch(s, false, s->resume);
		return;
	}
	if (a.id != s->live_id && a.id >= 0) /* below 0: it could not be made */
		return;
	if (a.canceled && a.compact_rev > 0) {
		store_etcd_reload(s);
	} else if (a.canceled) {
		CLEANUP(mem_freep)
		char *why = str_printf("the watch was ended: %.*s", (int)a.reason.len, a.reason.data);

		etcd_link_drop(s->link, why);
	}
	if (a.created || a.canceled)
		return;
	b = MEM_NEW(struct etcd_batch);
	b->data = mem_dup(data, len);
	b->events = etcd_reader(b->data, len);
	*s->batches_end = b;
	s->batches_end = &b->next;
	store_etcd_pump(s);
	store_etcd_settle(s);
}

static void watch_done(void *arg, int status, const char *text)
{
	struct store_etcd *s = arg;
	CLEANUP(mem_freep) char *why = str_printf("the watch has ended: %s", text);

	s->watch = NULL;
	etcd_link_drop(s->link, why);
}

void store_etcd_watch(struct store_etcd *s, bool prev, uint64_t start)
{
	static const struct grpc_call_ops ops = { watch_message, watch_done };
	struct etcd_watch w = {
		.key = s->from, .end = s->to, .start = (int64_t)start, .id = ++s->watch_ids, .prev = prev
	};
	CLEANUP(str_done) struct str m = { 0 };

	if (!s->watch)
		s->watch = grpc_call_new(s->loop, etcd_link_client(s->link), ETCD_WATCH, 0, &ops, s);
	*(prev ? &s->past_id : &s->live_id) = w.id;
	etcd_put_watch(&m, &w);
	grpc_call_send(s->watch, &m);
}

static void ask(struct store_etcd *s);

/* ---- a new connection: the mark, which voids what the last one left behind ---- */
static void marked(struct store_etcd *s, const struct etcd_txn_answer *a)
{
	uint64_t head = a->n > 0 ? (uint64_t)a->gets[0].mod_rev : 0;

	s->mark_rev = (uint64_t)a->rev;
	s->lost_at = 0;
	s->full = false;
	err_clear(&s->base.trouble);
	etcd_link_good(s->link);
	if (!s->open) {
		s->base.revision = head;
		s->resume = head + 1;
		store_etcd_watch(s, false, s->resume);
		s->open = true;
	}
	for (struct etcd_write *w = s->writes; w; w = w->next) {
		if (w->state == WRITE_SENT) { /* under an earlier mark: written by now, or never */
			grpc_call_cancel(TAKE(w->call));
			w->state = WRITE_UNKNOWN;
		}
		if (w->state == WRITE_WAITS)
			store_etcd_send(w);
		else if (w->state == WRITE_UNKNOWN)
			w->target = head;
	}
	store_etcd_pump(s);
	store_etcd_settle(s);
}

/* What was on its way to a leader that is no more may be lost, and nobody says so before long: a new mark settles it. */
static void note_term(struct store_etcd *s, uint64_t term)
{
	bool newer = s->term && term > s->term;

	if (term > s->term)
		s->term = term;
	if (!newer)
		return;
	if (s->marking)
		grpc_call_cancel(TAKE(s->marking));
	if (s->asking)
		grpc_call_cancel(TAKE(s->asking));
	for (struct store_wait *w = s->waits; w; w = w->next)
		if (w->state == SYNC_ASKED)
			w->state = SYNC_NEW;
	store_etcd_put_mark(s);
	ask(s);
}

static void mark_message(void *arg, const void *data, size_t len)
{
	collect_answer(&((struct store_etcd *)arg)->answer, data, len);
}

static void mark_done(void *arg, int status, const char *text)
{
	struct store_etcd *s = arg;
	CLEANUP(str_done) struct str answer = s->answer;
	struct etcd_txn_answer a;
	struct err e = { 0 };

	s->answer = (struct str){ 0 };
	s->marking = NULL;
	if (is_full(status, text)) {
		note_full(s, text); /* reads and watches go on; the tick asks again */
		s->lost_at = 0;
		etcd_link_good(s->link);
	} else if (status != GRPC_OK) {
		CLEANUP(mem_freep) char *why = str_printf("nothing can be written through it: %s", text);

		etcd_link_drop(s->link, why);
	} else if (etcd_get_txn(str_cstr(&answer), answer.len, &a, &e) < 0) {
		etcd_link_drop(s->link, e.msg);
	} else {
		marked(s, &a);
	}
}

/* The first of all servers puts the head, too, so that all agree on a revision to begin with. */
void store_etcd_put_mark(struct store_etcd *s)
{
	static const struct grpc_call_ops ops = { mark_message, mark_done };
	CLEANUP(str_done) struct str m = { 0 };

	etcd_txn_if_mod(&m, s->head, 0);
	etcd_txn_put(&m, ETCD_THEN, s->mark, "", 0);
	etcd_txn_put(&m, ETCD_THEN, s->head, "", 0);
	etcd_txn_get(&m, ETCD_THEN, s->head, true);
	etcd_txn_put(&m, ETCD_ELSE, s->mark, "", 0);
	etcd_txn_get(&m, ETCD_ELSE, s->head, true);
	s->marking = store_etcd_call(s, ETCD_TXN, &m, &ops, s);
}

static void up(void *arg)
{
	struct store_etcd *s = arg;

	s->silent_ticks = 0;
	s->term = 0;
	s->past_id = 0;
	store_etcd_put_mark(s);
	if (s->open)
		store_etcd_watch(s, false, s->resume);
}

static void forget(struct grpc_call **c)
{
	grpc_call_forget(TAKE(*c));
}

static void down(void *arg, const struct err *e)
{
	struct store_etcd *s = arg;

	forget(&s->marking);
	forget(&s->watch);
	forget(&s->asking);
	str_clear(&s->answer);
	str_clear(&s->asked);
	store_etcd_compact_down(s->compact);
	store_etcd_reload_free(s);
	while (s->batches)
		drop_batch(s);
	s->past_id = 0;
	s->mark_rev = 0;
	if (!s->lost_at)
		s->lost_at = loop_mono_ms(s->loop);
	for (struct etcd_write *w = s->writes; w; w = w->next) {
		if (w->call)
			forget(&w->call);
		if (w->state == WRITE_SENT)
			w->state = WRITE_UNKNOWN;
		w->target = w->state == WRITE_UNKNOWN ? 0 : w->target;
	}
	for (struct store_wait *w = s->waits; w; w = w->next)
		if (w->state == SYNC_ASKED)
			w->state = SYNC_NEW;
}

/* ---- sync: how far is the newest write? One question for all who ask meanwhile ---- */
static void ask_message(void *arg, const void *data, size_t len)
{
	collect_answer(&((struct store_etcd *)arg)->asked, data, len);
}

static void ask_done(void *arg, int status, const char *text)
{
	struct store_etcd *s = arg;
	CLEANUP(str_done) struct str answer = s->asked;
	struct etcd_range_answer a;
	struct etcd_kv head = { 0 };
	struct err e = { 0 };

	s->asked = (struct str){ 0 };
	s->asking = NULL;
	if (status != GRPC_OK || etcd_get_range(str_cstr(&answer), answer.len, &a, &e) < 0 ||
		etcd_next_kv(&a.kvs, &head, &e) < 0) {
		CLEANUP(mem_freep)
		char *why =
			str_printf("the newest revision was not told: %s", status != GRPC_OK ? text : e.msg);

		etcd_link_drop(s->link, why);
		return;
	}
	for (struct store_wait *w = s->waits; w; w = w->next) {
		if (w->state != SYNC_ASKED)
			continue;
		w->state = SYNC_WAITS;
		w->target = (uint64_t)head.mod_rev;
	}
	store_etcd_settle(s);
	ask(s);
}

static void ask(struct store_etcd *s)
{
	static const struct grpc_call_ops ops = { ask_message, ask_done };
	CLEANUP(str_done) struct str m = { 0 };
	bool any = false;

	if (s->asking || !etcd_link_client(s->link))
		return;
	for (struct store_wait *w = s->waits; w; w = w->next) {
		if (w->state != SYNC_NEW)
			continue;
		w->state = SYNC_ASKED;
		any = true;
	}
	if (!any)
		return;
	etcd_put_range(&m, &(struct etcd_range){ .key = s->head, .keys_only = true });
	s->asking = store_etcd_call(s, ETCD_RANGE, &m, &ops, s);
}

static struct store_wait *etcd_sync(struct store *base, store_sync_fn *fn, void *arg)
{
	struct store_etcd *s = store_etcd_of(base);
	struct store_wait *w = MEM_NEW(struct store_wait);

	*w = (struct store_wait){ .deadline = loop_mono_ms(s->loop) + ETCD_SYNC_MAX_MS,
		.fn = fn,
		.arg = arg,
		.next = s->waits,
		.prev = &s->waits };
	if (w->next)
		w->next->prev = &w->next;
	s->waits = w;
	ask(s);
	return w;
}

static void etcd_sync_cancel(struct store *base, struct store_wait *w)
{
	*w->prev = w->next;
	if (w->next)
		w->next->prev = w->prev;
	free(w);
}

/* ---- time ---- */
/* Is the member still there? A broken host closes no connection. */
static void look_at_member(struct store_etcd *s, int64_t now)
{
	struct http2_client *c = etcd_link_client(s->link);
	int64_t heard = c ? http2_client_heard(c) : now;
	CLEANUP(str_done) struct str m = { 0 };

	/* in ticks: when it is we who sleep, we hear what came meanwhile before the next one */
	if (!c || !s->watch || now - heard <= ETCD_QUIET_MS) {
		s->silent_ticks = 0;
		return;
	}
	if (s->silent_ticks == 0) {
		etcd_put_progress(&m);
		grpc_call_send(s->watch, &m);
	}
	if (++s->silent_ticks > ETCD_SILENT_MS / ETCD_TICK_MS)
		etcd_link_drop(s->link, "it says nothing any more");
}

static struct etcd_write *late_write(struct store_etcd *s, int64_t now)
{
	struct etcd_write *w = s->writes;

	while (w && (w->deadline > now || w->target == UINT64_MAX))
		w = w->next;
	return w;
}

static struct store_wait *late_wait(struct store_etcd *s, int64_t now)
{
	struct store_wait *w = s->waits;

	while (w && w->deadline > now)
		w = w->next;
	return w;
}

static void give_up_late(struct store_etcd *s, int64_t now)
{
	struct etcd_write *w;
	struct store_wait *wait;
	struct err e = { 0 };

	while ((w = late_write(s, now))) /* its event may come yet: it is then told as another's */
		store_etcd_finish(w, 0, s->full ? ERR_INTERNAL : ERR_TIMEOUT,
			s->full ? s->base.trouble.msg
				: "etcd does not answer; whether the write has happened is not known");
	while ((wait = late_wait(s, now))) {
		err_set(&e, ERR_TIMEOUT,
			"etcd does not answer: whether this is the newest state is not known");
		wait_end(wait, &e);
	}
}

static void tick(void *arg)
{
	struct store_etcd *s = arg;
	int64_t now = loop_mono_ms(s->loop);

	look_at_member(s, now);
	give_up_late(s, now);
	if (s->lost_at && now - s->lost_at > ETCD_OUTAGE_MS)
		err_set(&s->base.trouble, ERR_UNAVAILABLE, "no member of etcd answers: %s",
			etcd_link_trouble(s->link)->msg);
	if (s->full && now - s->full_asked > ETCD_SPACE_EVERY_MS && etcd_link_client(s->link) &&
		!s->marking) {
		s->full_asked = now;
		store_etcd_put_mark(s);
	}
	ask(s);
	store_etcd_pump(s);
	store_etcd_settle(s);
	loop_timer_set(s->tick, ETCD_TICK_MS);
}

/* ---- opening and closing ---- */
static bool writes_left(const struct store_etcd *s)
{
	for (const struct etcd_write *w = s->writes; w; w = w->next)
		if (w->target != UINT64_MAX)
			return true;
	return false;
}

static void no_message(void *arg, const void *data, size_t len)
{
}

static void flagged(void *arg, int status, const char *text)
{
	*(bool *)arg = true;
}

/* The mark of a server that is gone is of no use. */
static void remove_mark(struct store_etcd *s, int64_t until)
{
	static const struct grpc_call_ops ops = { no_message, flagged };
	CLEANUP(str_done) struct str m = { 0 };
	struct grpc_call *c;
	bool gone = false;

	if (!s->mark_rev || !etcd_link_client(s->link))
		return;
	etcd_txn_if_mod(&m, s->mark, (int64_t)s->mark_rev);
	etcd_txn_delete(&m, ETCD_THEN, s->mark);
	c = store_etcd_call(s, ETCD_TXN, &m, &ops, &gone);
	while (!gone && etcd_link_client(s->link) && loop_mono_ms(s->loop) < until)
		loop_step(s->loop, ETCD_TICK_MS);
	if (!gone && etcd_link_client(s->link))
		grpc_call_cancel(c);
	else if (!gone)
		grpc_call_forget(c);
}

static void etcd_free(struct store *base)
{
	struct store_etcd *s = store_etcd_of(base);
	int64_t until = loop_mono_ms(s->loop) + ETCD_CLOSE_MAX_MS;

	base->follow = NULL;
	for (struct etcd_write *w = s->writes; w; w = w->next)
		w->done = NULL;
	while (s->link && writes_left(s) && loop_mono_ms(s->loop) < until)
		loop_step(s->loop, ETCD_TICK_MS);
	if (s->link)
		remove_mark(s, until);
	loop_timer_free(s->tick);
	etcd_link_free(TAKE(s->link));
	while (s->writes) {
		if (s->writes->call)
			forget(&s->writes->call);
		if (s->writes->target == UINT64_MAX)
			loop_step(s->loop, 0); /* it is on its way */
		else
			write_free(s->writes);
	}
	store_etcd_compact_free(s->compact);
	store_etcd_reload_free(s);
	forget(&s->marking);
	forget(&s->watch);
	forget(&s->asking);
	while (s->waits)
		etcd_sync_cancel(base, s->waits);
	while (s->batches)
		drop_batch(s);
	str_done(&s->answer);
	str_done(&s->asked);
	free(s->own);
	free(s->prefix);
	free(s->from);
	free(s->to);
	free(s->head);
	free(s->mark);
	free(s);
}

static const struct store_ops etcd_ops = { .load = store_etcd_load,
	.write = etcd_write,
	.compact = store_etcd_compact,
	.free = etcd_free,
	.sync = etcd_sync,
	.sync_cancel = etcd_sync_cancel };

static int connect_to(struct store_etcd *s, const struct store_etcd_spec *spec, struct err *e)
{
	static const struct etcd_link_ops link_ops = { up, down };
	CLEANUP(tls_unrefp) struct tls_ctx *tls = NULL;
	int64_t until = loop_mono_ms(s->loop) + ETCD_OPEN_MAX_MS;

	if (strstr(spec->endpoints, "https:")) {
		tls = tls_client_new(&(struct tls_client_spec){ .ca_pem = spec->ca_pem,
					     .cert_pem = spec->cert_pem,
					     .key_pem = spec->key_pem,
					     .alpn = "h2" },
			e);
		if (!tls)
			return err_wrap(e, "etcd");
	}
	s->link = etcd_link_new(s->loop, spec->endpoints, tls, &link_ops, s, e);
	if (!s->link)
		return err_wrap(e, "etcd");
	while (!s->open && loop_mono_ms(s->loop) < until)
		loop_step(s->loop, ETCD_TICK_MS);
	if (!s->open)
		return err_set(e, ERR_UNREACHABLE, "no member of etcd (%s) answers: %s", spec->endpoints,
			etcd_link_trouble(s->link)->msg);
	return 0;
}

struct store *store_etcd_open(struct loop *l, const struct store_etcd_spec *spec, struct err *e)
{
	struct store_etcd *s = MEM_NEW(struct store_etcd);
	char id[37];

	s->base.ops = &etcd_ops;
	s->loop = l;
	s->own = mem_strdup(spec->own);
	s->prefix = mem_strdup(spec->prefix);
	s->from = str_printf("%s/", spec->prefix);
	s->to = str_printf("%s0", spec->prefix); /* '0' follows '/' */
	s->head = str_printf("%s-coracle/head", spec->prefix);
	crypto_uuid(id);
	s->mark = str_printf("%s-coracle/servers/%s", spec->prefix, spec->id ? spec->id : id);
	s->writes_end = &s->writes;
	s->batches_end = &s->batches;
	s->lost_at = loop_mono_ms(l);
	s->tick = loop_timer_new(l, tick, s);
	loop_timer_set(s->tick, ETCD_TICK_MS);
	if (connect_to(s, spec, e) < 0) {
		etcd_free(&s->base);
		return NULL;
	}
	s->compact = store_etcd_compact_new(s, spec->compact_every_ms);
	return &s->base;
}
