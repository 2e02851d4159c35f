/* SPDX-License-Identifier: Apache-2.0 */
/* store/sqlite_vfs.h - how SQLite writes its write-ahead log here. For store_sqlite.c only.
 *
 * SQLite writes a frame by two system calls and a file that grows: the first costs time for each page, the
 * second a commit of the file system's own journal in each fdatasync. So the frames of a commit are gathered and
 * written in one piece before the sync, and the file is made longer ahead of need, with zeroes that are on disk
 * before they are needed: a commit then overwrites blocks that the file has already. Nothing is weaker: a sync
 * still returns when everything before it is on disk, and zeroes behind the last frame end a recovery as the end
 * of the file would.
 *
 * Everything else is the VFS "unix-excl": the file belongs to one process (store_sqlite.c holds a lock), whose
 * connections share the WAL's index in its memory, without a system call for each lock. */
#pragma once

#include <stdbool.h>

#include <sqlite3.h>

#define SQLITE_VFS_NAME "coracle"
/* Registers the VFS; again is fine. False: SQLite refuses. */
bool sqlite_vfs_register(void);
/* Lengthens the WAL of db when it is nearly used up. After a commit, by whoever may use db. Takes milliseconds
 * when it does. */
bool sqlite_vfs_wants_room(sqlite3 *db);
void sqlite_vfs_make_room(sqlite3 *db);
