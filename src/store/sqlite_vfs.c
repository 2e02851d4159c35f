/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_vfs.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#define WAL_AHEAD (1024 * 1024)      /* made at once */
#define WAL_AHEAD_MIN (256 * 1024)   /* when less is left */
#define WAL_GATHER_MAX (1024 * 1024) /* of frames in memory; larger commits are written in pieces */
#define WAL_PIECE (64 * 1024)

struct wal_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	/* written by SQLite, not yet by us: contiguous from `at` on */
	char *data;
	size_t len, cap;
	sqlite3_int64 at;
	sqlite3_int64 used, size; /* end of what was written since the last restart of the log; of the file */
};

static struct wal_file *wal_of(sqlite3_file *f)
{
	return CONTAINER_OF(f, struct wal_file, base);
}

/* SQLite's unix files take no more than 128 KiB at once, and say nothing of it. */
static int write_pieces(struct wal_file *w, const char *data, size_t len, sqlite3_int64 at)
{
	int rc = SQLITE_OK;

	for (size_t done = 0, n; done < len && rc == SQLITE_OK; done += n) {
		n = len - done < WAL_PIECE ? len - done : WAL_PIECE;
		rc = w->real->pMethods->xWrite(w->real, data + done, (int)n, at + (sqlite3_int64)done);
	}
	return rc;
}

static int wal_flush(struct wal_file *w)
{
	int rc;

	if (w->len == 0)
		return SQLITE_OK;
	rc = write_pieces(w, w->data, w->len, w->at);
	if (w->at + (sqlite3_int64)w->len > w->size)
		w->size = w->at + (sqlite3_int64)w->len;
	w->used = w->at + (sqlite3_int64)w->len;
	w->len = 0; /* after an error too: SQLite gives the commit up and writes its frames again */
	return rc;
}

static int wal_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
	struct wal_file *w = wal_of(f);
	size_t len = (size_t)n;

	if (w->len > 0 && (at != w->at + (sqlite3_int64)w->len || w->len + len > WAL_GATHER_MAX)) {
		int rc = wal_flush(w);

		if (rc != SQLITE_OK)
			return rc;
	}
	if (w->len == 0)
		w->at = at;
	w->data = mem_grow(w->data, &w->cap, w->len + len, 1);
	memcpy(w->data + w->len, data, len);
	w->len += len;
	return SQLITE_OK;
}

static int wal_sync(sqlite3_file *f, int flags)
{
	struct wal_file *w = wal_of(f);
	int rc = wal_flush(w);

	return rc == SQLITE_OK ? w->real->pMethods->xSync(w->real, flags) : rc;
}

static int wal_close(sqlite3_file *f)
{
	struct wal_file *w = wal_of(f);
	int flushed = wal_flush(w), rc = w->real->pMethods->xClose(w->real);

	free(w->data);
	w->data = NULL;
	return flushed == SQLITE_OK ? rc : flushed;
}

static int wal_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
	int rc = wal_flush(wal_of(f));

	return rc == SQLITE_OK ? wal_of(f)->real->pMethods->xRead(wal_of(f)->real, data, n, at) : rc;
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct wal_file *w = wal_of(f);
	int rc = wal_flush(w);

	if (rc == SQLITE_OK)
		rc = w->real->pMethods->xTruncate(w->real, size);
	if (rc == SQLITE_OK)
		w->size = size;
	return rc;
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	int rc = wal_flush(wal_of(f));

	return rc == SQLITE_OK ? wal_of(f)->real->pMethods->xFileSize(wal_of(f)->real, ret) : rc;
}

static int wal_control(sqlite3_file *f, int op, void *arg)
{
	int rc = wal_flush(wal_of(f));

	return rc == SQLITE_OK ? wal_of(f)->real->pMethods->xFileControl(wal_of(f)->real, op, arg) : rc;
}

static int wal_lock(sqlite3_file *f, int how)
{
	return wal_of(f)->real->pMethods->xLock(wal_of(f)->real, how);
}

static int wal_unlock(sqlite3_file *f, int how)
{
	return wal_of(f)->real->pMethods->xUnlock(wal_of(f)->real, how);
}

static int wal_check_lock(sqlite3_file *f, int *ret)
{
	return wal_of(f)->real->pMethods->xCheckReservedLock(wal_of(f)->real, ret);
}

static int wal_sector(sqlite3_file *f)
{
	return wal_of(f)->real->pMethods->xSectorSize(wal_of(f)->real);
}

static int wal_device(sqlite3_file *f)
{
	return wal_of(f)->real->pMethods->xDeviceCharacteristics(wal_of(f)->real);
}

static const sqlite3_io_methods wal_methods = {
	.iVersion = 1,
	.xClose = wal_close,
	.xRead = wal_read,
	.xWrite = wal_write,
	.xTruncate = wal_truncate,
	.xSync = wal_sync,
	.xFileSize = wal_size,
	.xLock = wal_lock,
	.xUnlock = wal_unlock,
	.xCheckReservedLock = wal_check_lock,
	.xFileControl = wal_control,
	.xSectorSize = wal_sector,
	.xDeviceCharacteristics = wal_device,
};

/* ---- room ahead ---- */
static struct wal_file *wal_file_of(sqlite3 *db)
{
	sqlite3_file *f = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK || !f ||
		f->pMethods != &wal_methods)
		return NULL;
	return wal_of(f);
}

bool sqlite_vfs_wants_room(sqlite3 *db)
{
	const struct wal_file *w = wal_file_of(db);

	return w && w->len == 0 && w->used > 0 && w->size - w->used < WAL_AHEAD_MIN;
}

/* An error leaves the file as it is or longer: nothing is lost, the next commits only take longer. */
void sqlite_vfs_make_room(sqlite3 *db)
{
	struct wal_file *w = wal_file_of(db);
	static const char zeroes[WAL_PIECE];

	if (!w || !sqlite_vfs_wants_room(db))
		return;
	for (int done = 0; done < WAL_AHEAD; done += WAL_PIECE, w->size += WAL_PIECE)
		if (write_pieces(w, zeroes, WAL_PIECE, w->size) != SQLITE_OK)
			return;
	w->real->pMethods->xSync(w->real, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

/* ---- the VFS ---- */
static sqlite3_vfs *below(sqlite3_vfs *v)
{
	return v->pAppData;
}

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct wal_file *w = wal_of(f);
	int rc;

	if (!(flags & SQLITE_OPEN_WAL))
		return below(v)->xOpen(below(v), name, f, flags, ret_flags);
	*w = (struct wal_file){ .real = (sqlite3_file *)(w + 1) };
	rc = below(v)->xOpen(below(v), name, w->real, flags, ret_flags);
	if (rc != SQLITE_OK)
		return rc;
	rc = w->real->pMethods->xFileSize(w->real, &w->size);
	if (rc != SQLITE_OK) {
		w->real->pMethods->xClose(w->real);
		return rc;
	}
	w->base.pMethods = &wal_methods;
	return SQLITE_OK;
}

static sqlite3_vfs the_vfs;
static bool registered;

static void register_once(void)
{
	const sqlite3_vfs *unix_excl = sqlite3_vfs_find("unix-excl");

	if (!unix_excl)
		return;
	the_vfs = *unix_excl;
	the_vfs.pNext = NULL;
	the_vfs.zName = SQLITE_VFS_NAME;
	the_vfs.pAppData = (void *)unix_excl;
	the_vfs.szOsFile = (int)sizeof(struct wal_file) + unix_excl->szOsFile;
	the_vfs.xOpen = vfs_open;
	registered = sqlite3_vfs_register(&the_vfs, 0) == SQLITE_OK;
}

bool sqlite_vfs_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_once);
	return registered;
}
