/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_STEP 65536
#define COPY_STEP (1 << 20)
#define TREE_DEPTH_MAX 512 /* file_remove_tree(): one open directory a level */

static int open_failed(struct err *e, const char *what, const char *path)
{
	int r = err_sys(e, "%s %s", what, path);

	if (e && errno == ENOENT)
		e->code = ERR_NOT_FOUND;
	return r;
}

/* The size is a hint only: files in /proc and /sys say 0, pipes nothing. */
static int read_all(int fd, const char *path, size_t max, struct str *s, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		if ((uint64_t)st.st_size > max)
			return err_set(e, ERR_TOO_LARGE, "%s has more than %zu bytes", path, max);
		str_reserve(s, (size_t)st.st_size + 1);
	}
	for (;;) {
		if (s->cap - s->len < 2)
			str_reserve(s, READ_STEP);
		size_t room = s->cap - s->len - 1;
		ssize_t n = read(fd, s->data + s->len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", path);
		if (n == 0)
			return 0;
		s->len += (size_t)n;
		s->data[s->len] = '\0';
		if (s->len > max)
			return err_set(e, ERR_TOO_LARGE, "%s has more than %zu bytes", path, max);
	}
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(str_done) struct str s = { 0 };

	if (fd < 0)
		return open_failed(e, "open", path);
	str_reserve(&s, 0);
	if (read_all(fd, path, max, &s, e))
		return -1;
	if (ret_len)
		*ret_len = s.len;
	*ret = str_take(&s);
	return 0;
}

static int write_all(int fd, const char *path, const char *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "write %s", path);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_dir_of(const char *path, struct err *e)
{
	CLEANUP(mem_freep) char *dir = mem_strdup(path);
	char *slash = strrchr(dir, '/');

	if (slash)
		slash[slash == dir] = '\0';
	CLEANUP(fd_closep) int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_sys(e, "sync directory of %s", path);
	return 0;
}

static int fill_and_rename(int fd, const char *tmp, const char *path, const void *data, size_t len,
	mode_t mode, bool sync, struct err *e)
{
	if (write_all(fd, tmp, data, len, e))
		return -1;
	/* mkstemp() made it 0600; the umask is not asked, mode is what the caller meant */
	if (fchmod(fd, mode))
		return err_sys(e, "set the mode of %s", tmp);
	if (sync && fsync(fd))
		return err_sys(e, "sync %s", tmp);
	if (rename(tmp, path))
		return err_sys(e, "rename %s to %s", tmp, path);
	return 0;
}

static int write_by_rename(
	const char *path, const void *data, size_t len, mode_t mode, bool sync, struct err *e)
{
	CLEANUP(mem_freep) char *tmp = str_printf("%s.tmp-XXXXXX", path);
	CLEANUP(fd_closep) int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd < 0)
		return open_failed(e, "create", tmp);
	if (fill_and_rename(fd, tmp, path, data, len, mode, sync, e)) {
		unlink(tmp);
		return -1;
	}
	return sync ? sync_dir_of(path, e) : 0;
}

int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	return write_by_rename(path, data, len, mode, true, e);
}

int file_write(const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	return write_by_rename(path, data, len, mode, false, e);
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	CLEANUP(mem_freep) char *p = mem_strdup(path);
	struct stat st;

	for (char *q = p + 1; *p && *q; q++) {
		if (*q != '/' || q[-1] == '/')
			continue;
		*q = '\0';
		/* a parent that can not be made (read-only, no permission) may well exist: the last one tells */
		if (mkdir(p, mode) && errno == ENOTDIR)
			return err_sys(e, "make directory %s", path);
		*q = '/';
	}
	if (mkdir(p, mode) == 0)
		return 0;
	if (errno == EEXIST && stat(p, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return open_failed(e, "make directory", path);
}

static int remove_in(int dir, const char *name, const char *path, int depth, struct err *e);

/* What the directory `fd` (taken) holds. */
static int empty_dir(int fd, const char *path, int depth, struct err *e)
{
	DIR *d = fdopendir(fd);
	int r = 0;

	if (!d) {
		err_sys(e, "read directory %s", path);
		close(fd);
		return -1;
	}
	for (struct dirent *ent; r == 0 && (ent = readdir(d));) {
		if (str_eq(ent->d_name, ".") || str_eq(ent->d_name, ".."))
			continue;
		CLEANUP(mem_freep) char *below = file_join(path, ent->d_name);
		r = remove_in(dirfd(d), ent->d_name, below, depth, e);
	}
	closedir(d);
	return r;
}

/* Comparing st_dev would miss a bind mount from the same file system: emptying one deletes the host's own files. */
static int open_dir_here(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int remove_in(int dir, const char *name, const char *path, int depth, struct err *e)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	int why = errno;
	if (why != EISDIR && why != EPERM)
		return err_sys(e, "remove %s", path);
	CLEANUP(fd_closep) int fd = open_dir_here(dir, name);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == EXDEV)
		return err_sys(e, "remove %s: something is mounted there", path);
	if (fd < 0) {
		errno = errno == ENOTDIR ? why : errno;
		return err_sys(e, "remove %s", path);
	}
	if (depth >= TREE_DEPTH_MAX)
		return err_set(e, ERR_TOO_LARGE, "remove %s: nested deeper than %d", path, TREE_DEPTH_MAX);
	int taken = fd;
	fd = -1;
	if (empty_dir(taken, path, depth + 1, e))
		return -1;
	if (unlinkat(dir, name, AT_REMOVEDIR) && errno != ENOENT)
		return err_sys(e, "remove %s", path);
	return 0;
}

int file_remove_tree(const char *path, struct err *e)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(path);
	size_t n = strlen(copy);

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (!*name || str_eq(name, ".") || str_eq(name, ".."))
		return err_set(e, ERR_BAD_REQUEST, "remove %s: not a name in a directory", path);
	if (slash)
		*slash = '\0';
	/* by way of its directory, to see whether path itself is a mount point */
	const char *parent = !slash ? "." : slash == copy ? "/" : copy;
	CLEANUP(fd_closep) int dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(e, "open directory of %s", path);
	return remove_in(dir, name, path, 0, e);
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Copies by the kernel where it can (across some file systems it refuses), else by hand. */
static int copy_data(int in, int out, const char *from, const char *to, struct err *e)
{
	CLEANUP(mem_freep) char *buf = NULL;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, COPY_STEP, 0);
		if (n < 0)
			break;
		if (n == 0 && lseek(in, 0, SEEK_CUR) > 0)
			return 0;
		if (n == 0)
			break; /* files of /proc: claim to be empty here */
	}
	buf = mem_alloc(COPY_STEP);
	for (;;) {
		ssize_t n = read(in, buf, COPY_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, "read %s", from);
		if (n == 0)
			return 0;
		if (write_all(out, to, buf, (size_t)n, e))
			return -1;
	}
}

int file_copy(const char *from, const char *to, mode_t mode, struct err *e)
{
	CLEANUP(fd_closep) int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP(mem_freep) char *tmp = str_printf("%s.tmp-XXXXXX", to);

	if (in < 0)
		return open_failed(e, "open", from);
	CLEANUP(fd_closep) int out = mkostemp(tmp, O_CLOEXEC);
	if (out < 0)
		return open_failed(e, "create", tmp);
	if (copy_data(in, out, from, tmp, e) || fill_and_rename(out, tmp, to, "", 0, mode, false, e)) {
		unlink(tmp);
		return -1;
	}
	return 0;
}

char *file_join(const char *dir, const char *name)
{
	return str_printf("%s%s%s", dir, str_ends(dir, "/") || !*dir ? "" : "/", name);
}

int file_list(const char *dir, struct strv *ret, struct err *e)
{
	DIR *d = opendir(dir);
	struct strv names = { 0 };

	if (!d && errno != ENOENT)
		return err_sys(e, "read directory %s", dir);
	if (d) {
		for (struct dirent *ent; (ent = readdir(d));)
			if (!str_eq(ent->d_name, ".") && !str_eq(ent->d_name, ".."))
				strv_add(&names, ent->d_name);
		closedir(d);
	}
	strv_sort(&names);
	strv_done(ret);
	*ret = names;
	return 0;
}
