/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite in WAL mode with synchronous=FULL. One writer thread commits whatever was queued while it waited for
 * the disk before (group commit, no timer); another copies the WAL back, off the path of commits.
 *
 * A write that is alone, in a loop that has nothing else to do, is committed by the loop itself: handing it to
 * the writer and its result back means waking two sleeping threads, which costs as much as a good disk's sync.
 * It is done only as long as the disk is that fast (docs/decisions/0010). */
#include "store/store.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/awake.h"
#include "store/sqlite_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define SQL_WAL_COPY_PAGES 1000   /* copied back when there are so many new ones */
#define SQL_WAL_FORCE_PAGES 8192  /* writer does it itself: the copier can not keep up */
#define SQL_LOOP_COMMIT_NS 250000 /* commits by the loop: while they take less than this on average */
#define SQL_LOOP_IDLE_NS \
	25000 /* and nobody else had anything done by the loop for longer than this meanwhile */

struct sql_op {
	struct sql_op *next;
	char *key, *value; /* value NULL: delete */
	size_t len;
	uint64_t expect, rev, compact_upto; /* compact_upto > 0: no write but a compaction */
	store_done_fn *done;
	void *arg;
	bool conflict;
};
struct sql_batch {
	struct sql_op *ops;
	struct store_sqlite *store;
	struct err trouble;
	uint64_t compacted;
};
struct store_sqlite {
	struct store base;
	struct loop *loop;
	char *path;
	int lock_fd;
	struct sqlite_log *log; /* of whoever is busy */
	struct sqlite_copier *copier;
	struct sqlite_past *past; /* NULL: nobody wants it yet, or no more */
	uint64_t past_since;      /* told so far */
	bool past_over;
	struct awake *awake;
	struct loop_timer *compact_timer, *turn;
	uint64_t loaded_at;
	uint64_t mark;     /* revision when the timer was set: everything up to it is old when it fires */
	int64_t queued_ns; /* when the write that waits for its turn came */
	pthread_t writer_thread, copier_thread;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t queued, copy;
	struct sql_op *queue, **queue_end;
	unsigned posted;           /* batches on their way to the loop */
	int wal_pages, wal_copied; /* in the WAL; of them when the copier was last called */
	int64_t commit_ns;         /* moving average */
	bool busy;                 /* somebody commits */
	bool chores;               /* for the writer, when nothing is queued */
	bool waiting;              /* the loop's turn decides who commits what is queued */
	bool stopping, dropped;
};

static struct store_sqlite *sql_of(struct store *s)
{
	return CONTAINER_OF(s, struct store_sqlite, base);
}

static int64_t sql_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sql_op_free(struct sql_op *op)
{
	free(op->key);
	free(op->value);
	free(op);
}

static void sql_ops_free(struct sql_op *op)
{
	while (op) {
		struct sql_op *next = op->next;

		sql_op_free(op);
		op = next;
	}
}

/* ---- committing: by whoever is busy ---- */
static int sql_apply(struct store_sqlite *s, struct sql_op *op, bool *ret_more, struct err *e)
{
	if (op->compact_upto > 0)
		return sqlite_log_compact(s->log, op->compact_upto, ret_more, e);
	return sqlite_log_write(s->log,
		&(struct sqlite_log_write){ op->key, op->value, op->len, op->rev, op->expect }, &op->conflict,
		e);
}

static int sql_commit(struct store_sqlite *s, struct sql_op *ops, bool *ret_more, struct err *e)
{
	if (sqlite_log_begin(s->log, e) < 0)
		return -1;
	for (struct sql_op *op = ops; op; op = op->next) {
		if (sql_apply(s, op, ret_more, e) < 0) {
			sqlite_log_rollback(s->log);
			return -1;
		}
	}
	return sqlite_log_commit(s->log, e);
}

static struct sql_batch *sql_run_batch(struct store_sqlite *s, struct sql_op *ops, bool *ret_more)
{
	struct sql_batch *b = MEM_NEW(struct sql_batch);

	b->store = s;
	b->ops = ops;
	if (sql_commit(s, ops, ret_more, &b->trouble) < 0)
		*ret_more = false;
	b->compacted = sqlite_log_compacted(s->log);
	return b;
}

/* Of the queue, under the lock. */
static struct sql_op *sql_take(struct store_sqlite *s)
{
	struct sql_op *ops = s->queue;

	s->queue = NULL;
	s->queue_end = &s->queue;
	s->waiting = false;
	return ops;
}

static void sql_add(struct store_sqlite *s, struct sql_op *op)
{
	*s->queue_end = op;
	s->queue_end = &op->next;
}

/* Under the lock. Counted from the last copy: commits that go on keep the WAL from beginning again, and copying after each of
 * them would have the disk sync twice as often. */
static bool sql_wants_copy(const struct store_sqlite *s)
{
	return s->wal_pages - s->wal_copied >= SQL_WAL_COPY_PAGES;
}

/* Under the lock. */
static void sql_committed(struct store_sqlite *s, int64_t took_ns)
{
	s->commit_ns += (took_ns - s->commit_ns) / 8;
	s->wal_pages = sqlite_log_wal_pages(s->log);
	if (s->wal_pages < s->wal_copied) /* it begins again */
		s->wal_copied = 0;
	if (sql_wants_copy(s))
		pthread_cond_signal(&s->copy);
}

/* ---- telling the callers, on the loop ---- */
static void sql_ack_op(struct store_sqlite *s, struct sql_op *op, const struct err *trouble)
{
	struct err e = { 0 };

	if (op->compact_upto > 0)
		return;
	if (trouble) {
		op->done(op->arg, op->rev, trouble);
	} else if (op->conflict) {
		err_set(&e, ERR_CONFLICT, "key '%s' is not at revision %llu", op->key,
			(unsigned long long)op->expect);
		op->done(op->arg, op->rev, &e);
	} else {
		s->base.revision = op->rev;
		op->done(op->arg, op->rev, NULL);
	}
}

/* In the order of the revisions. */
static void sql_tell(struct sql_batch *b)
{
	struct store_sqlite *s = b->store;
	bool failed = b->trouble.code != ERR_NONE;

	if (failed && s->base.trouble.code == ERR_NONE)
		log_error("store: %s", b->trouble.msg);
	s->base.trouble = b->trouble;
	s->base.compacted = b->compacted;
	for (struct sql_op *op = b->ops; op && !s->dropped; op = op->next)
		sql_ack_op(s, op, failed ? &b->trouble : NULL);
	sql_ops_free(b->ops);
	free(b);
}

static void sql_acknowledge(void *arg)
{
	struct sql_batch *b = arg;
	struct store_sqlite *s = b->store;

	pthread_mutex_lock(&s->lock);
	s->posted--;
	pthread_mutex_unlock(&s->lock);
	sql_tell(b);
}

/* ---- the writer thread ---- */
/* Also before a pause: room for the coming commits, and what is too much for the copier. */
static bool sql_housework(struct store_sqlite *s)
{
	return sqlite_log_wal_pages(s->log) >= SQL_WAL_FORCE_PAGES || sqlite_log_wants_room(s->log);
}

static void sql_do_housework(struct store_sqlite *s)
{
	if (sqlite_log_wal_pages(s->log) >= SQL_WAL_FORCE_PAGES)
		sqlite_log_restart_wal(s->log);
	sqlite_log_make_room(s->log);
}

/* A compaction that is not finished goes to the end of the queue again: writes in between. Under the lock. */
static void sql_requeue(struct store_sqlite *s, const struct sql_op *ops)
{
	for (; ops; ops = ops->next) {
		struct sql_op *again;

		if (ops->compact_upto == 0)
			continue;
		again = MEM_NEW(struct sql_op);
		again->compact_upto = ops->compact_upto;
		sql_add(s, again);
		return;
	}
}

/* Called and returns with the lock held. */
static void sql_write_batch(struct store_sqlite *s, struct sql_op *ops)
{
	struct sql_batch *b;
	bool more = false;
	int64_t began;

	s->posted++;
	pthread_mutex_unlock(&s->lock);
	began = sql_now_ns();
	b = sql_run_batch(s, ops, &more);
	pthread_mutex_lock(&s->lock);
	sql_committed(s, sql_now_ns() - began);
	if (more && !s->stopping)
		sql_requeue(s, ops);
	pthread_mutex_unlock(&s->lock);
	loop_post(s->loop, sql_acknowledge, b);
	sql_do_housework(s);
	pthread_mutex_lock(&s->lock);
}

/* The same. */
static void sql_write_chores(struct store_sqlite *s)
{
	s->chores = false;
	pthread_mutex_unlock(&s->lock);
	sql_do_housework(s);
	pthread_mutex_lock(&s->lock);
}

static void *sql_writer(void *arg)
{
	struct store_sqlite *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		bool mine = !s->busy && (!s->waiting || s->stopping);

		if (mine && (s->queue || s->chores)) {
			s->busy = true;
			if (s->queue)
				sql_write_batch(s, sql_take(s));
			else
				sql_write_chores(s);
			s->busy = false;
		} else if (s->stopping && !s->busy) {
			break;
		} else {
			pthread_cond_wait(&s->queued, &s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void *sql_copy(void *arg)
{
	struct store_sqlite *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		if (!sql_wants_copy(s)) {
			pthread_cond_wait(&s->copy, &s->lock);
			continue;
		}
		s->wal_copied = s->wal_pages;
		pthread_mutex_unlock(&s->lock);
		sqlite_copier_run(s->copier);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the loop's side ---- */
/* Under the lock. Nothing else is queued or on its way, the disk is quick, and between the write and now the
 * loop did nothing else: everything that was ready has been served, and it was next to nothing. */
static bool sql_alone(const struct store_sqlite *s)
{
	return s->queue && !s->queue->next && s->queue->compact_upto == 0 && s->posted == 0 &&
	       s->commit_ns < SQL_LOOP_COMMIT_NS && s->wal_pages < SQL_WAL_FORCE_PAGES &&
	       sql_now_ns() - s->queued_ns < SQL_LOOP_IDLE_NS;
}

static void sql_turn(void *arg)
{
	struct store_sqlite *s = arg;
	struct sql_batch *b;
	struct sql_op *ops;
	bool more = false;
	int64_t began;

	pthread_mutex_lock(&s->lock);
	if (s->busy || !s->queue || !sql_alone(s)) {
		s->waiting = false;
		if (!s->busy && s->queue)
			pthread_cond_signal(&s->queued);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	s->busy = true;
	ops = sql_take(s);
	pthread_mutex_unlock(&s->lock);
	awake_hold(s->awake);
	began = sql_now_ns();
	b = sql_run_batch(s, ops, &more);
	pthread_mutex_lock(&s->lock);
	sql_committed(s, sql_now_ns() - began);
	s->chores = sql_housework(s);
	s->busy = false;
	if (s->chores)
		pthread_cond_signal(&s->queued);
	pthread_mutex_unlock(&s->lock);
	sql_tell(b);
}

static void sql_enqueue(struct store_sqlite *s, struct sql_op *op)
{
	bool first;

	pthread_mutex_lock(&s->lock);
	first = !s->queue && !s->busy;
	sql_add(s, op);
	if (first)
		s->waiting = true;
	pthread_mutex_unlock(&s->lock);
	if (!first) /* the turn that was set, or the writer when it has done, takes this one too */
		return;
	s->queued_ns = sql_now_ns();
	loop_timer_set(s->turn, 0);
}

static void sql_end_past(struct store_sqlite *s)
{
	sqlite_past_close(s->past);
	s->past = NULL;
	s->past_over = true;
}

static void sql_compact(struct store *base, uint64_t before)
{
	struct store_sqlite *s = sql_of(base);
	struct sql_op *op;
	uint64_t upto = before > 0 ? before - 1 : 0;

	if (base->revision <= STORE_HISTORY_MIN)
		return;
	if (upto > base->revision - STORE_HISTORY_MIN)
		upto = base->revision - STORE_HISTORY_MIN;
	if (upto <= base->compacted)
		return;
	sql_end_past(s);
	op = MEM_NEW(struct sql_op);
	op->compact_upto = upto;
	sql_enqueue(s, op);
}

static void sql_compact_due(void *arg)
{
	struct store_sqlite *s = arg;
	uint64_t mark = s->mark;

	sql_compact(&s->base, mark);
	s->mark = s->base.next;
	if (s->mark != mark) /* an idle store sets no timer */
		loop_timer_set(s->compact_timer, STORE_COMPACT_EVERY_MS);
}

static void sql_write(struct store *base, const struct store_write *w)
{
	struct store_sqlite *s = sql_of(base);
	struct sql_op *op = MEM_NEW(struct sql_op);

	*op = (struct sql_op){ .key = mem_strdup(w->key),
		.expect = w->expect,
		.rev = base->next++,
		.done = w->done,
		.arg = w->arg };
	if (w->value) {
		op->value = mem_dup(w->value, w->len);
		op->len = w->len;
	}
	if (!loop_timer_armed(s->compact_timer))
		loop_timer_set(s->compact_timer, STORE_COMPACT_EVERY_MS);
	sql_enqueue(s, op);
}

static int sql_load(struct store *base, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_sqlite *s = sql_of(base);

	sql_end_past(s);
	s->past_over = false;
	s->loaded_at = s->past_since = base->revision;
	return sqlite_log_load(s->log, ops, arg, e);
}

static int sql_past(struct store *base, size_t max, const struct store_load_ops *ops, void *arg,
	struct store_past *ret, struct err *e)
{
	struct store_sqlite *s = sql_of(base);
	struct store_past past = { .since = s->past_since };

	if (!s->past && !s->past_over)
		s->past = sqlite_past_open(s->path, base->compacted, s->loaded_at, e);
	if (!s->past && !s->past_over)
		return -1;
	if (s->past && sqlite_past_read(s->past, max, ops, arg, &past, e) < 0) {
		sql_end_past(s);
		return -1;
	}
	s->past_since = past.since;
	if (!past.more)
		sql_end_past(s);
	*ret = past;
	return 0;
}

/* ---- opening and closing ---- */
static int sql_lock_file(struct store_sqlite *s, struct err *e)
{
	CLEANUP(mem_freep) char *path = str_printf("%s.lock", s->path);

	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_sys(e, "open '%s'", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_UNAVAILABLE, "'%s' is in use by another process", s->path);
	return err_sys(e, "lock '%s'", path);
}

/* SQLite gives its other files the mode of the first. */
static int sql_make_file(const char *path, struct err *e)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(e, "open '%s'", path) : 0;
}

static int sql_open_files(struct store_sqlite *s, struct err *e)
{
	if (sql_lock_file(s, e) < 0 || sql_make_file(s->path, e) < 0)
		return -1;
	s->log = sqlite_log_open(s->path, e);
	s->copier = s->log ? sqlite_copier_open(s->path, e) : NULL;
	return s->copier ? 0 : -1;
}

static void sql_close(struct store_sqlite *s)
{
	awake_free(s->awake);
	sqlite_past_close(s->past);
	sqlite_copier_close(s->copier);
	sqlite_log_close(s->log);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	loop_timer_free(s->compact_timer);
	loop_timer_free(s->turn);
	pthread_cond_destroy(&s->queued);
	pthread_cond_destroy(&s->copy);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* The batches posted to the loop but not yet acknowledged are acknowledged to nobody: run them off. */
static void sql_free(struct store *base)
{
	struct store_sqlite *s = sql_of(base);
	unsigned posted;

	s->dropped = true;
	loop_timer_stop(s->turn);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->queued);
	pthread_cond_broadcast(&s->copy);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->writer_thread, NULL);
	pthread_join(s->copier_thread, NULL);
	do {
		pthread_mutex_lock(&s->lock);
		posted = s->posted;
		pthread_mutex_unlock(&s->lock);
	} while (posted > 0 && loop_step(s->loop, 100));
	sql_close(s);
}

static const struct store_ops sql_ops = {
	.load = sql_load, .past = sql_past, .write = sql_write, .compact = sql_compact, .free = sql_free
};

struct store *store_sqlite_open(struct loop *l, const char *path, struct err *e)
{
	struct store_sqlite *s = MEM_NEW(struct store_sqlite);

	s->base.ops = &sql_ops;
	s->loop = l;
	s->path = mem_strdup(path);
	s->lock_fd = -1;
	s->queue_end = &s->queue;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->queued, NULL);
	pthread_cond_init(&s->copy, NULL);
	s->compact_timer = loop_timer_new(l, sql_compact_due, s);
	s->turn = loop_timer_new(l, sql_turn, s);
	s->awake = awake_new();
	if (sql_open_files(s, e) < 0) {
		err_wrap(e, "store '%s'", path);
		sql_close(s);
		return NULL;
	}
	s->base.compacted = sqlite_log_compacted(s->log);
	s->base.revision = sqlite_log_revision(s->log);
	s->base.next = s->mark = s->base.revision + 1;
	if (pthread_create(&s->writer_thread, NULL, sql_writer, s) != 0 ||
		pthread_create(&s->copier_thread, NULL, sql_copy, s) != 0)
		mem_bug("pthread_create", __FILE__, __LINE__);
	return &s->base;
}
