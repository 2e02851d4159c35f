/* SPDX-License-Identifier: Apache-2.0 */
/* base/file.h - files and directories. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

/* Whole file, NUL-terminated; more than max bytes is ERR_TOO_LARGE. The caller frees. ERR_NOT_FOUND if absent. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);
/* Writes path.tmp-XXXX, fsyncs, renames, fsyncs the directory: the old or the new content, never a mixture. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* Without fsync, for files that a reboot may lose. Still by rename. */
int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
int file_mkdirs(const char *path, mode_t mode, struct err *e); /* with parents; existing is fine */
int file_remove_tree(
	const char *path, struct err *e); /* does not follow links or cross mounts; absent is fine */
bool file_exists(const char *path);
int file_copy(const char *from, const char *to, mode_t mode, struct err *e); /* reflink if possible */
char *file_join(const char *dir, const char *name);                          /* caller frees */
/* Names in a directory (no . and ..), sorted. Absent directory: empty. */
int file_list(const char *dir, struct strv *ret, struct err *e);
