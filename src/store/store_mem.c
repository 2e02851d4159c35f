/* SPDX-License-Identifier: Apache-2.0 */
/* The store of tests: everything in memory, gone with the process. Acknowledges in the next turn, so that callers
 * see the same order of events as with a disk. */
#include "store/store.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

struct mem_row {
	char *key, *value;
	size_t len;
	uint64_t rev;
};
struct mem_change {
	uint64_t rev, prev_rev;
	char *key, *old;
	size_t old_len;
	bool deleted;
};
struct mem_ack {
	store_done_fn *done;
	void *arg;
	uint64_t rev;
	bool conflict;
	struct mem_ack *next;
};
struct store_mem {
	struct store base;
	struct loop *loop;
	struct loop_timer *timer;
	struct mem_row *rows; /* by key */
	size_t n_rows, cap_rows;
	struct mem_change *log;
	size_t n_log, cap_log;
	struct mem_ack *acks, **acks_end;
};

static struct store_mem *mem_of(struct store *s)
{
	return CONTAINER_OF(s, struct store_mem, base);
}

/* The row's place, or where it belongs. */
static size_t mem_find(const struct store_mem *m, const char *key, bool *ret_found)
{
	size_t lo = 0, hi = m->n_rows;

	*ret_found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int cmp = strcmp(m->rows[mid].key, key);

		if (cmp == 0) {
			*ret_found = true;
			return mid;
		}
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void mem_log(struct store_mem *m, uint64_t rev, uint64_t prev_rev, const char *key, char *old,
	size_t old_len, bool deleted)
{
	m->log = mem_grow(m->log, &m->cap_log, m->n_log + 1, sizeof(*m->log));
	m->log[m->n_log++] = (struct mem_change){ .rev = rev,
		.prev_rev = prev_rev,
		.key = mem_strdup(key),
		.old = old,
		.old_len = old_len,
		.deleted = deleted };
}

static void mem_apply(struct store_mem *m, const struct store_write *w, uint64_t rev, size_t at, bool found)
{
	struct mem_row *row;

	if (!found) {
		m->rows = mem_grow(m->rows, &m->cap_rows, m->n_rows + 1, sizeof(*m->rows));
		memmove(&m->rows[at + 1], &m->rows[at], (m->n_rows - at) * sizeof(*m->rows));
		m->n_rows++;
		m->rows[at] = (struct mem_row){ .key = mem_strdup(w->key),
			.value = mem_strndup(w->value, w->len),
			.len = w->len,
			.rev = rev };
		mem_log(m, rev, 0, w->key, NULL, 0, false);
		return;
	}
	row = &m->rows[at];
	mem_log(m, rev, row->rev, w->key, row->value, row->len, !w->value);
	if (w->value) {
		row->value = mem_strndup(w->value, w->len);
		row->len = w->len;
		row->rev = rev;
		return;
	}
	free(row->key);
	m->n_rows--;
	memmove(&m->rows[at], &m->rows[at + 1], (m->n_rows - at) * sizeof(*m->rows));
}

static void mem_acknowledge(void *arg)
{
	struct store_mem *m = arg;
	struct mem_ack *list = m->acks;
	struct err e = { 0 };

	m->acks = NULL;
	m->acks_end = &m->acks;
	while (list) {
		struct mem_ack *a = list;

		list = a->next;
		if (a->conflict) {
			err_set(&e, ERR_CONFLICT, "the key is not at the expected revision");
			a->done(a->arg, a->rev, &e);
		} else {
			m->base.revision = a->rev;
			a->done(a->arg, a->rev, NULL);
		}
		free(a);
	}
}

static void mem_write(struct store *s, const struct store_write *w)
{
	struct store_mem *m = mem_of(s);
	struct mem_ack *a = MEM_NEW(struct mem_ack);
	bool found;
	size_t at = mem_find(m, w->key, &found);

	*a = (struct mem_ack){ .done = w->done, .arg = w->arg, .rev = s->next++ };
	a->conflict = (found ? m->rows[at].rev : 0) != w->expect || (!found && !w->value);
	if (!a->conflict)
		mem_apply(m, w, a->rev, at, found);
	if (!m->acks)
		loop_timer_set(m->timer, 0);
	*m->acks_end = a;
	m->acks_end = &a->next;
}

static int mem_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_mem *m = mem_of(s);

	for (size_t i = 0; i < m->n_rows; i++) {
		const struct mem_row *r = &m->rows[i];

		if (ops->row(arg, &(struct store_row){ r->key, r->rev, r->value, r->len }, e) < 0)
			return -1;
	}
	for (size_t i = m->n_log; i-- > 0;) {
		const struct mem_change *c = &m->log[i];

		if (ops->change(arg,
			    &(struct store_change){
				    c->rev, c->prev_rev, c->key, c->deleted, c->old, c->old_len },
			    e) < 0)
			return -1;
	}
	return 0;
}

static void mem_change_done(struct mem_change *c)
{
	free(c->key);
	free(c->old);
}

static void mem_compact(struct store *s, uint64_t before)
{
	struct store_mem *m = mem_of(s);
	size_t n = 0;

	while (n + STORE_HISTORY_MIN < m->n_log && m->log[n].rev < before) {
		s->compacted = m->log[n].rev;
		mem_change_done(&m->log[n++]);
	}
	m->n_log -= n;
	if (n > 0)
		memmove(m->log, m->log + n, m->n_log * sizeof(*m->log));
}

static void mem_free(struct store *s)
{
	struct store_mem *m = mem_of(s);

	for (size_t i = 0; i < m->n_rows; i++) {
		free(m->rows[i].key);
		free(m->rows[i].value);
	}
	for (size_t i = 0; i < m->n_log; i++)
		mem_change_done(&m->log[i]);
	while (m->acks) {
		struct mem_ack *a = m->acks;

		m->acks = a->next;
		free(a);
	}
	loop_timer_free(m->timer);
	free(m->rows);
	free(m->log);
	free(m);
}

static const struct store_ops mem_ops = {
	.load = mem_load, .write = mem_write, .compact = mem_compact, .free = mem_free
};

struct store *store_mem_new(struct loop *l)
{
	struct store_mem *m = MEM_NEW(struct store_mem);

	m->base.ops = &mem_ops;
	m->base.next = 1;
	m->loop = l;
	m->acks_end = &m->acks;
	m->timer = loop_timer_new(l, mem_acknowledge, m);
	return &m->base;
}
