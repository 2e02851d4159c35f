/* SPDX-License-Identifier: Apache-2.0 */
/* store/sqlite_log.h - the database of store_sqlite.c: one table, a row for each change, added at its end and
 * never changed (docs/decisions/0010). What stands now is the newest row of each key; which one that is, is
 * known in memory.
 *
 * One thread at a time: whoever commits. Every function that can fail says why in e and leaves no transaction
 * open, except that after a failed write the caller rolls back. */
#pragma once

#include "store/store.h"

struct sqlite_log;
/* path exists. Makes the tables, or converts those of an older version. */
struct sqlite_log *sqlite_log_open(const char *path, struct err *e);
void sqlite_log_close(struct sqlite_log *l);               /* NULL is fine */
uint64_t sqlite_log_revision(const struct sqlite_log *l);  /* newest in the table */
uint64_t sqlite_log_compacted(const struct sqlite_log *l); /* changes up to this have lost their old values */

struct sqlite_log_write {
	const char *key, *value; /* value NULL: delete. Both live until commit or rollback */
	size_t len;
	uint64_t rev, expect; /* as in store_write */
};
int sqlite_log_begin(struct sqlite_log *l, struct err *e);
int sqlite_log_write(
	struct sqlite_log *l, const struct sqlite_log_write *w, bool *ret_conflict, struct err *e);
/* A part of what has to go to forget the history up to upto. *ret_more: again, in another transaction. */
int sqlite_log_compact(struct sqlite_log *l, uint64_t upto, bool *ret_more, struct err *e);
int sqlite_log_commit(struct sqlite_log *l, struct err *e); /* failed: rolled back */
void sqlite_log_rollback(struct sqlite_log *l);
/* What stands, by key. */
int sqlite_log_load(struct sqlite_log *l, const struct store_load_ops *ops, void *arg, struct err *e);

/* The history up to the revision the log was opened at, newest first, some of it at a time: on a connection of its own, beside
 * whoever commits. Nothing after `compacted` may be dropped meanwhile. */
struct sqlite_past;
struct sqlite_past *sqlite_past_open(const char *path, uint64_t compacted, uint64_t newest, struct err *e);
int sqlite_past_read(struct sqlite_past *p, size_t max, const struct store_load_ops *ops, void *arg,
	struct store_past *ret, struct err *e);
void sqlite_past_close(struct sqlite_past *p); /* NULL is fine */

/* ---- the write-ahead log ---- */
int sqlite_log_wal_pages(const struct sqlite_log *l); /* in it after the last commit */
void sqlite_log_restart_wal(
	struct sqlite_log *l); /* copies all of it back, and starts again at its beginning */
/* Copies back what there is, on a connection of its own, beside whoever commits. */
struct sqlite_copier;
struct sqlite_copier *sqlite_copier_open(const char *path, struct err *e);
void sqlite_copier_run(struct sqlite_copier *c);
void sqlite_copier_close(struct sqlite_copier *c); /* NULL is fine; before the log */
/* Room on disk for the coming commits: milliseconds, when it wants any. */
bool sqlite_log_wants_room(struct sqlite_log *l);
void sqlite_log_make_room(struct sqlite_log *l);
