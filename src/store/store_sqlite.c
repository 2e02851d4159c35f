/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite in WAL mode with synchronous=FULL. One writer thread commits whatever was queued while it waited for the disk
 * before (group commit, no timer); another copies the WAL back, off the path of commits. The history (table log) keeps each
 * old value once, written by the statement that also checks the expected revision; the value after a change is the old one
 * of the next change of its key, or the current row. That spares a third of the bytes of keeping both.
 *
 * The revision is not stored by itself: the newest row of the log has it, and compaction never takes that. */
#include "store/store.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SQL_CACHE_KIB 1024
#define SQL_COMPACT_BATCH 1000
#define SQL_WAL_COPY_PAGES 1000  /* copied back from here on */
#define SQL_WAL_FORCE_PAGES 8192 /* writer does it itself: the copier can not keep up */

struct sql_op {
	struct sql_op *next;
	char *key, *value; /* value NULL: delete */
	size_t len;
	uint64_t expect, rev, compact_before; /* compact_before > 0: no write but a compaction */
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
enum sql_stmt {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_CREATE,
	SQL_LOG_CREATE,
	SQL_LOG_CHANGE,
	SQL_UPDATE,
	SQL_DELETE,
	SQL_COMPACT,
	SQL_COMPACTED,
	SQL_STMTS
};
struct store_sqlite {
	struct store base;
	struct loop *loop;
	char *path;
	int lock_fd;
	sqlite3 *db, *copier_db;
	sqlite3_stmt *stmts[SQL_STMTS];
	struct loop_timer *compact_timer;
	uint64_t mark; /* revision when the timer was set: everything up to it is old when it fires */
	pthread_t writer, copier;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t queued, copy;
	struct sql_op *queue, **queue_end;
	unsigned posted; /* batches on their way to the loop */
	int wal_pages;
	bool stopping, dropped;
};

static const char *const sql_texts[SQL_STMTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_CREATE] = "INSERT INTO current(key, rev, create_rev, value) VALUES(?1, ?2, ?2, ?3) ON CONFLICT "
		       "DO NOTHING",
	[SQL_LOG_CREATE] = "INSERT INTO log(rev, key, deleted, prev_rev) VALUES(?2, ?1, 0, 0)",
	[SQL_LOG_CHANGE] = "INSERT INTO log(rev, key, deleted, prev_rev, old) "
			   "SELECT ?2, key, ?4, rev, value FROM current WHERE key = ?1 AND rev = ?3",
	[SQL_UPDATE] = "UPDATE current SET rev = ?2, value = ?3 WHERE key = ?1",
	[SQL_DELETE] = "DELETE FROM current WHERE key = ?1",
	[SQL_COMPACT] =
		"DELETE FROM log WHERE rev IN (SELECT rev FROM log WHERE rev < ?1 ORDER BY rev LIMIT ?2)",
	[SQL_COMPACTED] = "UPDATE meta SET value = ?1 WHERE name = 'compact_rev'",
};
static const char sql_schema[] =
	"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
	"INSERT OR IGNORE INTO meta VALUES('format', 1), ('compact_rev', 0);"
	"CREATE TABLE IF NOT EXISTS current(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
	" rev INTEGER NOT NULL, create_rev INTEGER NOT NULL, value BLOB NOT NULL);"
	"CREATE TABLE IF NOT EXISTS log(rev INTEGER PRIMARY KEY, key TEXT NOT NULL,"
	" deleted INTEGER NOT NULL, prev_rev INTEGER NOT NULL, old BLOB);";
#define SQL_FORMAT 1

static struct store_sqlite *sql_of(struct store *s)
{
	return CONTAINER_OF(s, struct store_sqlite, base);
}

static int sql_err(struct err *e, sqlite3 *db, const char *what)
{
	return err_set(e, ERR_INTERNAL, "%s: %s", what, db ? sqlite3_errmsg(db) : "out of memory");
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

static void sql_enqueue(struct store_sqlite *s, struct sql_op *op)
{
	pthread_mutex_lock(&s->lock);
	*s->queue_end = op;
	s->queue_end = &op->next;
	pthread_cond_signal(&s->queued);
	pthread_mutex_unlock(&s->lock);
}

/* ---- the writer thread ---- */
static int sql_run(struct store_sqlite *s, enum sql_stmt which, struct err *e)
{
	sqlite3_stmt *st = s->stmts[which];
	int rc = sqlite3_step(st);

	if (rc != SQLITE_DONE)
		sql_err(e, s->db, sql_texts[which]);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static void sql_bind_key(sqlite3_stmt *st, const struct sql_op *op)
{
	sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)op->rev);
}

static int sql_create(struct store_sqlite *s, struct sql_op *op, struct err *e)
{
	sqlite3_stmt *st = s->stmts[SQL_CREATE];

	sql_bind_key(st, op);
	sqlite3_bind_blob64(st, 3, op->value, op->len, SQLITE_STATIC);
	if (sql_run(s, SQL_CREATE, e) < 0)
		return -1;
	op->conflict = sqlite3_changes(s->db) != 1;
	if (op->conflict)
		return 0;
	sql_bind_key(s->stmts[SQL_LOG_CREATE], op);
	return sql_run(s, SQL_LOG_CREATE, e);
}

static int sql_change(struct store_sqlite *s, struct sql_op *op, struct err *e)
{
	sqlite3_stmt *st = s->stmts[SQL_LOG_CHANGE];
	enum sql_stmt then = op->value ? SQL_UPDATE : SQL_DELETE;

	sql_bind_key(st, op);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)op->expect);
	sqlite3_bind_int(st, 4, !op->value);
	if (sql_run(s, SQL_LOG_CHANGE, e) < 0)
		return -1;
	op->conflict = sqlite3_changes(s->db) != 1;
	if (op->conflict)
		return 0;
	st = s->stmts[then];
	sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
	if (op->value) {
		sqlite3_bind_int64(st, 2, (sqlite3_int64)op->rev);
		sqlite3_bind_blob64(st, 3, op->value, op->len, SQLITE_STATIC);
	}
	return sql_run(s, then, e);
}

/* One statement a transaction takes at most SQL_COMPACT_BATCH rows, so that writes wait shortly. *ret_more: call again. */
static int sql_compact_step(struct store_sqlite *s, struct sql_op *op, bool *ret_more, struct err *e)
{
	sqlite3_stmt *st = s->stmts[SQL_COMPACT];
	sqlite3_stmt *done = s->stmts[SQL_COMPACTED];

	sqlite3_bind_int64(st, 1, (sqlite3_int64)op->compact_before);
	sqlite3_bind_int64(st, 2, SQL_COMPACT_BATCH);
	if (sql_run(s, SQL_COMPACT, e) < 0)
		return -1;
	*ret_more = sqlite3_changes(s->db) == SQL_COMPACT_BATCH;
	if (sqlite3_changes(s->db) == 0)
		return 0;
	sqlite3_bind_int64(done, 1, (sqlite3_int64)op->rev);
	return sql_run(s, SQL_COMPACTED, e);
}

static int sql_apply(struct store_sqlite *s, struct sql_op *op, bool *ret_more, struct err *e)
{
	if (op->compact_before > 0)
		return sql_compact_step(s, op, ret_more, e);
	if (op->expect == 0 && op->value)
		return sql_create(s, op, e);
	return sql_change(s, op, e);
}

static int sql_commit(struct store_sqlite *s, struct sql_op *ops, bool *ret_more, struct err *e)
{
	if (sql_run(s, SQL_BEGIN, e) < 0)
		return -1;
	for (struct sql_op *op = ops; op; op = op->next) {
		if (sql_apply(s, op, ret_more, e) < 0) {
			sql_run(s, SQL_ROLLBACK, NULL);
			return -1;
		}
	}
	if (sql_run(s, SQL_COMMIT, e) < 0) {
		if (!sqlite3_get_autocommit(s->db))
			sql_run(s, SQL_ROLLBACK, NULL);
		return -1;
	}
	return 0;
}

static void sql_ack_op(struct store_sqlite *s, struct sql_op *op, const struct err *trouble)
{
	struct err e = { 0 };

	if (op->compact_before > 0) {
		if (!trouble && op->rev > s->base.compacted)
			s->base.compacted = op->rev;
	} else if (trouble) {
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

/* On the loop: tell the callers, in the order of the revisions. */
static void sql_acknowledge(void *arg)
{
	struct sql_batch *b = arg;
	struct store_sqlite *s = b->store;
	bool failed = b->trouble.code != ERR_NONE;

	pthread_mutex_lock(&s->lock);
	s->posted--;
	pthread_mutex_unlock(&s->lock);
	if (failed && s->base.trouble.code == ERR_NONE)
		log_error("store: %s", b->trouble.msg);
	s->base.trouble = b->trouble;
	for (struct sql_op *op = b->ops; op && !s->dropped; op = op->next)
		sql_ack_op(s, op, failed ? &b->trouble : NULL);
	sql_ops_free(b->ops);
	free(b);
}

static int sql_wal_hook(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct store_sqlite *s = arg;

	(void)db, (void)name;
	pthread_mutex_lock(&s->lock);
	s->wal_pages = pages;
	if (pages >= SQL_WAL_COPY_PAGES)
		pthread_cond_signal(&s->copy);
	pthread_mutex_unlock(&s->lock);
	return SQLITE_OK;
}

static struct sql_op *sql_take_queue(struct store_sqlite *s, bool *ret_stopping)
{
	struct sql_op *ops;

	pthread_mutex_lock(&s->lock);
	while (!s->queue && !s->stopping)
		pthread_cond_wait(&s->queued, &s->lock);
	ops = s->queue;
	s->queue = NULL;
	s->queue_end = &s->queue;
	if (ops)
		s->posted++;
	*ret_stopping = s->stopping;
	pthread_mutex_unlock(&s->lock);
	return ops;
}

static int sql_wal_length(struct store_sqlite *s)
{
	int pages;

	pthread_mutex_lock(&s->lock);
	pages = s->wal_pages;
	pthread_mutex_unlock(&s->lock);
	return pages;
}

/* A compaction that is not finished goes to the end of the queue again: writes in between. */
static void sql_requeue(struct store_sqlite *s, const struct sql_op *ops)
{
	for (; ops; ops = ops->next) {
		struct sql_op *again;

		if (ops->compact_before == 0)
			continue;
		again = MEM_NEW(struct sql_op);
		again->compact_before = ops->compact_before;
		again->rev = ops->rev;
		sql_enqueue(s, again);
		return;
	}
}

static void *sql_writer(void *arg)
{
	struct store_sqlite *s = arg;
	struct sql_op *ops;
	bool stopping = false;

	while ((ops = sql_take_queue(s, &stopping))) {
		struct sql_batch *b = MEM_NEW(struct sql_batch);
		bool more = false;

		b->store = s;
		b->ops = ops;
		if (sql_commit(s, ops, &more, &b->trouble) == 0 && more && !stopping)
			sql_requeue(s, ops);
		loop_post(s->loop, sql_acknowledge, b);
		if (sql_wal_length(s) >= SQL_WAL_FORCE_PAGES)
			sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	}
	return NULL;
}

static void *sql_copier(void *arg)
{
	struct store_sqlite *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		if (s->wal_pages < SQL_WAL_COPY_PAGES) {
			pthread_cond_wait(&s->copy, &s->lock);
			continue;
		}
		s->wal_pages = 0;
		pthread_mutex_unlock(&s->lock);
		sqlite3_wal_checkpoint_v2(s->copier_db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the loop's side ---- */
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
	op = MEM_NEW(struct sql_op);
	op->compact_before = upto + 1;
	op->rev = upto;
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

/* ---- reading, at start ---- */
static const char *sql_text(sqlite3_stmt *st, int col, size_t *ret_len)
{
	const char *v = sqlite3_column_blob(st, col);

	*ret_len = (size_t)sqlite3_column_bytes(st, col);
	if (!v && sqlite3_column_type(st, col) != SQLITE_NULL)
		return "";
	return v;
}

static int sql_load_row(sqlite3_stmt *st, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_row r = { .key = (const char *)sqlite3_column_text(st, 0),
		.rev = (uint64_t)sqlite3_column_int64(st, 1) };

	r.value = sql_text(st, 2, &r.len);
	return ops->row(arg, &r, e);
}

static int sql_load_change(sqlite3_stmt *st, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_change c = { .rev = (uint64_t)sqlite3_column_int64(st, 0),
		.key = (const char *)sqlite3_column_text(st, 1),
		.deleted = sqlite3_column_int(st, 2) != 0,
		.prev_rev = (uint64_t)sqlite3_column_int64(st, 3) };

	c.old = sql_text(st, 4, &c.old_len);
	return ops->change(arg, &c, e);
}

typedef int sql_each_fn(sqlite3_stmt *st, const struct store_load_ops *ops, void *arg, struct err *e);
static int sql_each(sqlite3 *db, const char *query, sql_each_fn *fn, const struct store_load_ops *ops,
	void *arg, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc, ret = 0;

	if (sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
		return sql_err(e, db, query);
	while (ret == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		ret = fn(st, ops, arg, e);
	if (ret == 0 && rc != SQLITE_DONE)
		ret = sql_err(e, db, query);
	sqlite3_finalize(st);
	return ret;
}

static int sql_load(struct store *base, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_sqlite *s = sql_of(base);

	if (sql_each(s->db, "SELECT key, rev, value FROM current ORDER BY key", sql_load_row, ops, arg, e) <
			0 ||
		sql_each(s->db, "SELECT rev, key, deleted, prev_rev, old FROM log ORDER BY rev DESC",
			sql_load_change, ops, arg, e) < 0)
		return -1;
	/* Nothing of it is read again */
	sqlite3_db_release_memory(s->db);
	return 0;
}

static int sql_number(sqlite3 *db, const char *query, uint64_t *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
		return sql_err(e, db, query);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : sql_err(e, db, query);
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

static int sql_connect(const char *path, sqlite3 **ret, struct err *e)
{
	static const char pragmas[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
		"PRAGMA temp_store=MEMORY; PRAGMA busy_timeout=10000";
	CLEANUP(mem_freep) char *cache = str_printf("PRAGMA cache_size=-%d", SQL_CACHE_KIB);

	if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK)
		return sql_err(e, *ret, "open");
	if (sqlite3_exec(*ret, pragmas, NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(*ret, cache, NULL, NULL, NULL) != SQLITE_OK)
		return sql_err(e, *ret, "set up");
	return 0;
}

static int sql_open_db(struct store_sqlite *s, struct err *e)
{
	uint64_t format = 0;

	if (sql_connect(s->path, &s->db, e) < 0)
		return -1;
	if (sqlite3_exec(s->db, sql_schema, NULL, NULL, NULL) != SQLITE_OK)
		return sql_err(e, s->db, "make tables");
	if (sql_number(s->db, "SELECT value FROM meta WHERE name = 'format'", &format, e) < 0 ||
		sql_number(s->db, "SELECT value FROM meta WHERE name = 'compact_rev'", &s->base.compacted,
			e) < 0 ||
		sql_number(s->db, "SELECT ifnull(max(rev), 0) FROM log", &s->base.revision, e) < 0)
		return -1;
	if (format != SQL_FORMAT)
		return err_set(e, ERR_INTERNAL, "format %llu is not known to this version",
			(unsigned long long)format);
	for (int i = 0; i < SQL_STMTS; i++)
		if (sqlite3_prepare_v3(s->db, sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->stmts[i],
			    NULL) != SQLITE_OK)
			return sql_err(e, s->db, sql_texts[i]);
	sqlite3_wal_hook(s->db, sql_wal_hook, s);
	return sql_connect(s->path, &s->copier_db, e);
}

static void sql_close(struct store_sqlite *s)
{
	for (int i = 0; i < SQL_STMTS; i++)
		sqlite3_finalize(s->stmts[i]);
	sqlite3_close(s->copier_db);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	loop_timer_free(s->compact_timer);
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
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->queued);
	pthread_cond_broadcast(&s->copy);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->writer, NULL);
	pthread_join(s->copier, NULL);
	do {
		pthread_mutex_lock(&s->lock);
		posted = s->posted;
		pthread_mutex_unlock(&s->lock);
	} while (posted > 0 && loop_step(s->loop, 100));
	sql_close(s);
}

static const struct store_ops sql_ops = { sql_load, sql_write, sql_compact, sql_free };

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
	if (sql_lock_file(s, e) < 0 || sql_make_file(s->path, e) < 0 || sql_open_db(s, e) < 0) {
		err_wrap(e, "store '%s'", path);
		sql_close(s);
		return NULL;
	}
	s->base.next = s->mark = s->base.revision + 1;
	if (pthread_create(&s->writer, NULL, sql_writer, s) != 0 ||
		pthread_create(&s->copier, NULL, sql_copier, s) != 0)
		mem_bug("pthread_create", __FILE__, __LINE__);
	return &s->base;
}
