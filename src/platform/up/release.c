/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/release.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *release_bin(const char *data_dir, const char *version)
{
	return str_printf("%s/releases/%s/bin", data_dir, version);
}

char *release_own_dir(struct err *e)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n < 0) {
		err_sys(e, "find our own program");
		return NULL;
	}
	path[n] = 0;
	slash = strrchr(path, '/');
	if (slash)
		*slash = 0;
	return mem_strdup(path);
}

/* The time is copied too, so that equal size and time mean the same file. */
static bool same(const struct stat *a, const char *path)
{
	struct stat b;

	return stat(path, &b) == 0 && a->st_size == b.st_size && a->st_mtim.tv_sec == b.st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

static int store_one(const char *from, const struct stat *st, const char *to, struct err *e)
{
	CLEANUP(mem_freep) char *fresh = str_printf("%s.new", to);
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (file_copy(from, fresh, 0755, e) < 0)
		return -1;
	/* Synced first: a power cut must not leave an empty program under a good name. */
	CLEANUP(fd_closep) int fd = open(fresh, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0 || futimens(fd, times) < 0 || rename(fresh, to) < 0) {
		err_sys(e, "replace %s", to);
		unlink(fresh);
		return -1;
	}
	return 0;
}

int release_store(const char *data_dir, const char *version, const char *from, const char *const *names,
	struct strv *missing, struct err *e)
{
	CLEANUP(mem_freep) char *bin = release_bin(data_dir, version);
	bool changed = false;

	if (file_mkdirs(bin, 0755, e) < 0)
		return -1;
	for (size_t i = 0; names[i]; i++) {
		CLEANUP(mem_freep) char *src = file_join(from, names[i]);
		CLEANUP(mem_freep) char *to = file_join(bin, names[i]);
		struct stat st;

		if (stat(src, &st) < 0) {
			if (missing && !file_exists(to))
				strv_add(missing, names[i]);
			continue;
		}
		if (same(&st, to))
			continue;
		if (store_one(src, &st, to, e) < 0)
			return err_wrap(e, "release store");
		changed = true;
	}
	if (changed) {
		CLEANUP(fd_closep) int fd = open(bin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || fsync(fd) < 0)
			return err_sys(e, "sync %s", bin);
	}
	return 0;
}
