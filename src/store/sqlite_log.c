/* SPDX-License-Identifier: Apache-2.0 */
/* A change is one row at the end of the table: its leaf page, where one begins its parent and the first page.
 * The value of before is the row that the change calls prev; compaction deletes those rows. */
#include "store/sqlite_log.h"

#include "base/mem.h"
#include "base/str.h"
#include "store/revs.h"
#include "store/sqlite_vfs.h"

#include <sqlite3.h>

#define LOG_FORMAT 2
#define LOG_CACHE_KIB 1024
#define LOG_COMPACT_REVS 200         /* in one transaction, so that writes wait shortly */
#define LOG_MAP_BYTES "1073741824"   /* while everything is read */
#define LOG_GROW_BYTES (1024 * 1024) /* of the database file, at a time */

enum log_stmt {
	LOG_BEGIN,
	LOG_COMMIT,
	LOG_ROLLBACK,
	LOG_INSERT,
	LOG_DROP_OLD,
	LOG_DROP_DELETED,
	LOG_COMPACTED,
	LOG_STMTS
};
struct undo {
	const char *key;
	uint64_t rev;
};
struct sqlite_log {
	sqlite3 *db;
	sqlite3_stmt *stmts[LOG_STMTS];
	uint64_t revision, compacted, compacting;
	struct revs *revs; /* NULL until something is read or written */
	struct undo *undo; /* of this transaction */
	size_t n_undo, cap_undo;
	int wal_pages;
};

static const char *const log_texts[LOG_STMTS] = {
	[LOG_BEGIN] = "BEGIN IMMEDIATE",
	[LOG_COMMIT] = "COMMIT",
	[LOG_ROLLBACK] = "ROLLBACK",
	[LOG_INSERT] = "INSERT INTO changes(rev, prev, deleted, key, value) VALUES(?1, ?2, ?3, ?4, ?5)",
	[LOG_DROP_OLD] = ("DELETE FROM changes WHERE rev IN "
			  "(SELECT prev FROM changes WHERE rev > ?1 AND rev <= ?2 AND prev > 0)"),
	[LOG_DROP_DELETED] = "DELETE FROM changes WHERE rev > ?1 AND rev <= ?2 AND deleted",
	[LOG_COMPACTED] = "UPDATE meta SET value = ?1 WHERE name = 'compact_rev'",
};
static const char log_meta[] =
	"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
	"INSERT OR IGNORE INTO meta VALUES('format', 2), ('compact_rev', 0)";
static const char log_table[] =
	"CREATE TABLE IF NOT EXISTS changes(rev INTEGER PRIMARY KEY, prev INTEGER NOT NULL,"
	" deleted INTEGER NOT NULL, key TEXT NOT NULL, value BLOB)";
/* Format 1 had the rows as they stand in `current` and the values before each change in `log`. */
static const char log_from_1[] =
	"INSERT INTO changes SELECT c.rev, ifnull(l.prev_rev, 0), 0, c.key, c.value"
	" FROM current c LEFT JOIN log l ON l.rev = c.rev;"
	"INSERT INTO changes SELECT l.prev_rev, ifnull(p.prev_rev, 0), 0, l.key, l.old"
	" FROM log l LEFT JOIN log p ON p.rev = l.prev_rev WHERE l.prev_rev > 0;"
	"INSERT INTO changes SELECT rev, prev_rev, 1, key, NULL FROM log WHERE deleted;"
	"DROP TABLE current; DROP TABLE log; UPDATE meta SET value = 2 WHERE name = 'format'";

static int log_err(struct err *e, sqlite3 *db, const char *what)
{
	return err_set(e, ERR_INTERNAL, "%s: %s", what, db ? sqlite3_errmsg(db) : "out of memory");
}

static int log_run(struct sqlite_log *l, enum log_stmt which, struct err *e)
{
	sqlite3_stmt *st = l->stmts[which];
	int rc = sqlite3_step(st);

	if (rc != SQLITE_DONE)
		log_err(e, l->db, log_texts[which]);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int log_run_text(struct sqlite_log *l, const char *text, struct err *e)
{
	return sqlite3_exec(l->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : log_err(e, l->db, text);
}

/* ---- what stands ---- */
static int log_index(struct sqlite_log *l, struct err *e)
{
	static const char query[] = "SELECT rev, deleted, key FROM changes ORDER BY rev";
	sqlite3_stmt *st = NULL;
	int rc;

	if (l->revs)
		return 0;
	if (sqlite3_prepare_v2(l->db, query, -1, &st, NULL) != SQLITE_OK)
		return log_err(e, l->db, query);
	l->revs = revs_new();
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		revs_set(l->revs, (const char *)sqlite3_column_text(st, 2),
			sqlite3_column_int(st, 1) ? 0 : (uint64_t)sqlite3_column_int64(st, 0));
	if (rc != SQLITE_DONE) {
		log_err(e, l->db, query);
		revs_free(l->revs);
		l->revs = NULL;
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- writing ---- */
int sqlite_log_begin(struct sqlite_log *l, struct err *e)
{
	l->n_undo = 0;
	l->compacting = l->compacted;
	return log_index(l, e) < 0 ? -1 : log_run(l, LOG_BEGIN, e);
}

int sqlite_log_write(
	struct sqlite_log *l, const struct sqlite_log_write *w, bool *ret_conflict, struct err *e)
{
	sqlite3_stmt *st = l->stmts[LOG_INSERT];
	int ret;

	*ret_conflict = revs_get(l->revs, w->key) != w->expect || (!w->expect && !w->value);
	if (*ret_conflict)
		return 0;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)w->rev);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)w->expect);
	sqlite3_bind_int(st, 3, !w->value);
	sqlite3_bind_text(st, 4, w->key, -1, SQLITE_STATIC);
	if (w->value)
		sqlite3_bind_blob64(st, 5, w->value, w->len, SQLITE_STATIC);
	ret = log_run(l, LOG_INSERT, e);
	sqlite3_clear_bindings(st);
	if (ret < 0)
		return -1;
	l->undo = mem_grow(l->undo, &l->cap_undo, l->n_undo + 1, sizeof(*l->undo));
	l->undo[l->n_undo++] = (struct undo){ w->key, w->expect };
	revs_set(l->revs, w->key, w->value ? w->rev : 0);
	return 0;
}

int sqlite_log_compact(struct sqlite_log *l, uint64_t upto, bool *ret_more, struct err *e)
{
	static const enum log_stmt drops[] = { LOG_DROP_OLD, LOG_DROP_DELETED };
	uint64_t to = upto > l->compacting + LOG_COMPACT_REVS ? l->compacting + LOG_COMPACT_REVS : upto;

	*ret_more = false;
	if (to <= l->compacting)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(drops); i++) {
		sqlite3_bind_int64(l->stmts[drops[i]], 1, (sqlite3_int64)l->compacting);
		sqlite3_bind_int64(l->stmts[drops[i]], 2, (sqlite3_int64)to);
		if (log_run(l, drops[i], e) < 0)
			return -1;
	}
	sqlite3_bind_int64(l->stmts[LOG_COMPACTED], 1, (sqlite3_int64)to);
	if (log_run(l, LOG_COMPACTED, e) < 0)
		return -1;
	l->compacting = to;
	*ret_more = to < upto;
	return 0;
}

void sqlite_log_rollback(struct sqlite_log *l)
{
	while (l->n_undo > 0) {
		l->n_undo--;
		revs_set(l->revs, l->undo[l->n_undo].key, l->undo[l->n_undo].rev);
	}
	if (!sqlite3_get_autocommit(l->db))
		log_run(l, LOG_ROLLBACK, NULL);
}

int sqlite_log_commit(struct sqlite_log *l, struct err *e)
{
	if (log_run(l, LOG_COMMIT, e) < 0) {
		sqlite_log_rollback(l);
		return -1;
	}
	l->compacted = l->compacting;
	return 0;
}

/* ---- reading, at start ---- */
static const char log_by_rev[] = "SELECT value FROM changes WHERE rev = ?1";

/* NULL with no error: the value is NULL, or there is no such row. */
static int log_value(sqlite3_stmt *by_rev, uint64_t rev, const char **ret, size_t *ret_len, struct err *e)
{
	int rc;

	sqlite3_reset(by_rev);
	sqlite3_bind_int64(by_rev, 1, (sqlite3_int64)rev);
	rc = sqlite3_step(by_rev);
	if (rc != SQLITE_ROW)
		return err_set(e, ERR_INTERNAL, "the row of revision %llu %s", (unsigned long long)rev,
			rc == SQLITE_DONE ? "is missing" : "can not be read");
	*ret = sqlite3_column_blob(by_rev, 0);
	*ret_len = (size_t)sqlite3_column_bytes(by_rev, 0);
	if (!*ret && sqlite3_column_type(by_rev, 0) != SQLITE_NULL)
		*ret = "";
	return 0;
}

static int log_load_rows(struct sqlite_log *l, sqlite3_stmt *by_rev, const struct store_load_ops *ops,
	void *arg, struct err *e)
{
	CLEANUP(mem_freep) struct rev_entry *list = revs_sorted(l->revs);

	for (size_t i = 0; i < revs_len(l->revs); i++) {
		struct store_row r = { .key = list[i].key, .rev = list[i].rev };

		if (log_value(by_rev, r.rev, &r.value, &r.len, e) < 0 || ops->row(arg, &r, e) < 0)
			return -1;
	}
	return 0;
}

/* Pages are looked at where the kernel has them, and not kept: most of them are read once, here. */
static void log_map(struct sqlite_log *l, bool on)
{
	log_run_text(l, on ? "PRAGMA mmap_size=" LOG_MAP_BYTES : "PRAGMA mmap_size=0", NULL);
}

int sqlite_log_load(struct sqlite_log *l, const struct store_load_ops *ops, void *arg, struct err *e)
{
	sqlite3_stmt *by_rev = NULL;
	int ret = -1;

	log_map(l, true);
	if (log_index(l, e) == 0) {
		if (sqlite3_prepare_v2(l->db, log_by_rev, -1, &by_rev, NULL) != SQLITE_OK)
			log_err(e, l->db, "read the tables");
		else
			ret = log_load_rows(l, by_rev, ops, arg, e);
		sqlite3_finalize(by_rev);
	}
	log_map(l, false);
	/* Nothing of it is read again */
	sqlite3_db_release_memory(l->db);
	return ret;
}

/* ---- opening ---- */
static int log_connect(const char *path, sqlite3 **ret, struct err *e)
{
	/* secure_delete FAST: what is deleted is overwritten where the page is written anyway; freed pages are
	 * not written only for that, as Debian's default would */
	static const char pragmas[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
		"PRAGMA temp_store=MEMORY; PRAGMA busy_timeout=10000; PRAGMA secure_delete=FAST";
	CLEANUP(mem_freep) char *cache = str_printf("PRAGMA cache_size=-%d", LOG_CACHE_KIB);
	int grow = LOG_GROW_BYTES;

	if (!sqlite_vfs_register())
		return err_set(e, ERR_INTERNAL, "SQLite has no VFS 'unix-excl'");
	if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    SQLITE_VFS_NAME) != SQLITE_OK)
		return log_err(e, *ret, "open");
	sqlite3_file_control(*ret, "main", SQLITE_FCNTL_CHUNK_SIZE, &grow);
	if (sqlite3_exec(*ret, pragmas, NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(*ret, cache, NULL, NULL, NULL) != SQLITE_OK)
		return log_err(e, *ret, "set up");
	return 0;
}

static int log_number(sqlite3 *db, const char *query, uint64_t *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc;

	if (sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
		return log_err(e, db, query);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : log_err(e, db, query);
}

static int log_tables(struct sqlite_log *l, struct err *e)
{
	uint64_t format = 0;

	if (log_run_text(l, log_meta, e) < 0 ||
		log_number(l->db, "SELECT value FROM meta WHERE name = 'format'", &format, e) < 0)
		return -1;
	if (format != 1 && format != LOG_FORMAT)
		return err_set(e, ERR_INTERNAL, "format %llu is not known to this version",
			(unsigned long long)format);
	if (log_run_text(l, log_table, e) < 0)
		return -1;
	return format == 1 ? log_run_text(l, log_from_1, e) : 0;
}

static int log_wal_hook(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_log *l = arg;

	(void)db, (void)name;
	l->wal_pages = pages;
	return SQLITE_OK;
}

static int log_open(struct sqlite_log *l, const char *path, struct err *e)
{
	if (log_connect(path, &l->db, e) < 0 || log_run_text(l, log_texts[LOG_BEGIN], e) < 0)
		return -1;
	if (log_tables(l, e) < 0)
		return -1; /* closing rolls back */
	if (log_run_text(l, log_texts[LOG_COMMIT], e) < 0 ||
		log_number(l->db, "SELECT value FROM meta WHERE name = 'compact_rev'", &l->compacted, e) <
			0 ||
		log_number(l->db, "SELECT ifnull(max(rev), 0) FROM changes", &l->revision, e) < 0)
		return -1;
	for (int i = 0; i < LOG_STMTS; i++)
		if (sqlite3_prepare_v3(l->db, log_texts[i], -1, SQLITE_PREPARE_PERSISTENT, &l->stmts[i],
			    NULL) != SQLITE_OK)
			return log_err(e, l->db, log_texts[i]);
	sqlite3_wal_hook(l->db, log_wal_hook, l);
	return 0;
}

struct sqlite_log *sqlite_log_open(const char *path, struct err *e)
{
	struct sqlite_log *l = MEM_NEW(struct sqlite_log);

	if (log_open(l, path, e) == 0)
		return l;
	sqlite_log_close(l);
	return NULL;
}

void sqlite_log_close(struct sqlite_log *l)
{
	if (!l)
		return;
	for (int i = 0; i < LOG_STMTS; i++)
		sqlite3_finalize(l->stmts[i]);
	sqlite3_close(l->db);
	revs_free(l->revs);
	free(l->undo);
	free(l);
}

uint64_t sqlite_log_revision(const struct sqlite_log *l)
{
	return l->revision;
}

uint64_t sqlite_log_compacted(const struct sqlite_log *l)
{
	return l->compacted;
}

/* ---- the write-ahead log ---- */
int sqlite_log_wal_pages(const struct sqlite_log *l)
{
	return l->wal_pages;
}

void sqlite_log_restart_wal(struct sqlite_log *l)
{
	sqlite3_wal_checkpoint_v2(l->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
}

bool sqlite_log_wants_room(struct sqlite_log *l)
{
	return sqlite_vfs_wants_room(l->db);
}

void sqlite_log_make_room(struct sqlite_log *l)
{
	sqlite_vfs_make_room(l->db);
}

struct sqlite_copier {
	sqlite3 *db;
};

struct sqlite_copier *sqlite_copier_open(const char *path, struct err *e)
{
	struct sqlite_copier *c = MEM_NEW(struct sqlite_copier);

	if (log_connect(path, &c->db, e) == 0)
		return c;
	sqlite_copier_close(c);
	return NULL;
}

void sqlite_copier_run(struct sqlite_copier *c)
{
	sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

void sqlite_copier_close(struct sqlite_copier *c)
{
	if (!c)
		return;
	sqlite3_close(c->db);
	free(c);
}

/* ---- the history, later ---- */
struct sqlite_past {
	sqlite3 *db;
	sqlite3_stmt *changes, *by_rev;
	uint64_t compacted, below; /* told is everything from here on */
};

struct sqlite_past *sqlite_past_open(const char *path, uint64_t compacted, uint64_t newest, struct err *e)
{
	static const char changes[] =
		"SELECT rev, prev, deleted, key FROM changes WHERE rev > ?1 AND rev < ?2 ORDER BY rev DESC";
	struct sqlite_past *p = MEM_NEW(struct sqlite_past);

	p->compacted = compacted;
	p->below = newest + 1;
	if (log_connect(path, &p->db, e) == 0) {
		if (sqlite3_prepare_v2(p->db, changes, -1, &p->changes, NULL) == SQLITE_OK &&
			sqlite3_prepare_v2(p->db, log_by_rev, -1, &p->by_rev, NULL) == SQLITE_OK)
			return p;
		log_err(e, p->db, "read the history");
	}
	sqlite_past_close(p);
	return NULL;
}

static int past_change(struct sqlite_past *p, const struct store_load_ops *ops, void *arg, struct err *e)
{
	struct store_change c = { .rev = (uint64_t)sqlite3_column_int64(p->changes, 0),
		.prev_rev = (uint64_t)sqlite3_column_int64(p->changes, 1),
		.deleted = sqlite3_column_int(p->changes, 2) != 0,
		.key = (const char *)sqlite3_column_text(p->changes, 3) };

	if ((c.prev_rev && log_value(p->by_rev, c.prev_rev, &c.old, &c.old_len, e) < 0) ||
		ops->change(arg, &c, e) < 0)
		return -1;
	p->below = c.rev;
	return 0;
}

/* Each time anew: a statement that stands half way would keep the WAL from beginning again. */
int sqlite_past_read(struct sqlite_past *p, size_t max, const struct store_load_ops *ops, void *arg,
	struct store_past *ret_past, struct err *e)
{
	int rc = SQLITE_ROW, ret = 0;

	sqlite3_bind_int64(p->changes, 1, (sqlite3_int64)p->compacted);
	sqlite3_bind_int64(p->changes, 2, (sqlite3_int64)p->below);
	for (size_t n = 0; n < max && ret == 0 && (rc = sqlite3_step(p->changes)) == SQLITE_ROW; n++)
		ret = past_change(p, ops, arg, e);
	if (ret == 0 && rc != SQLITE_ROW && rc != SQLITE_DONE)
		ret = log_err(e, p->db, "read the history");
	ret_past->more = ret == 0 && rc == SQLITE_ROW;
	if (ret == 0)
		ret_past->since = ret_past->more ? p->below - 1 : p->compacted;
	sqlite3_reset(p->changes);
	sqlite3_reset(p->by_rev);
	return ret;
}

void sqlite_past_close(struct sqlite_past *p)
{
	if (!p)
		return;
	sqlite3_finalize(p->changes);
	sqlite3_finalize(p->by_rev);
	sqlite3_close(p->db);
	free(p);
}
