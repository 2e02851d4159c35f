/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a server: its database's files live in memory until they are synced, so that killing it is a power cut: what was
 * not synced is gone, but for some writes that got out early, whole or torn. Faults can be switched on while it runs.
 *
 *   POWERCUT_SEED     number: which writes get out early
 *   POWERCUT_CONTROL  file of two bytes, read at each call: a fault (below) and how many per cent of the calls have it
 *
 * Faults: 'N' writes find no space, 'W' writes fail, 'H' writes are cut in half, 'S' syncs fail, and what they should have
 * made durable is then lost, as Linux does it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define FDS 4096

struct file {
	struct file *next;
	dev_t dev;
	ino_t ino;
	char *image;
	bool *dirty; /* by page */
	size_t len, cap;
};
static struct file *files, *of_fd[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t chance;
static const volatile char *control;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static ssize_t pass_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return REAL(pwrite)(fd, p, n, at);
}

static unsigned below(unsigned n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (unsigned)((chance >> 20) % n);
}

static void begin(void)
{
	const char *path = getenv("POWERCUT_CONTROL"), *seed = getenv("POWERCUT_SEED");
	int fd = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
	void *m = fd >= 0 ? mmap(NULL, 2, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	control = m == MAP_FAILED ? "\0\0" : m;
	chance = (seed ? strtoull(seed, NULL, 10) : 1) * 2654435761u + 88172645463325252ull;
	if (fd >= 0)
		close(fd);
}

static bool fault(char which)
{
	return control[0] == which && below(100) < (unsigned char)control[1];
}

static bool is_database(const char *path)
{
	size_t n = strlen(path);

	return (n > 3 && strcmp(path + n - 3, ".db") == 0) || (n > 7 && strcmp(path + n - 7, ".db-wal") == 0);
}

static void room(struct file *f, size_t len)
{
	size_t cap = f->cap ? f->cap : 64 * PAGE;

	while (cap < len)
		cap *= 2;
	if (cap == f->cap)
		return;
	f->image = realloc(f->image, cap);
	f->dirty = realloc(f->dirty, cap / PAGE);
	if (!f->image || !f->dirty)
		abort();
	memset(f->image + f->cap, 0, cap - f->cap);
	memset(f->dirty + f->cap / PAGE, 0, (cap - f->cap) / PAGE);
	f->cap = cap;
}

static void track(int fd)
{
	struct stat st;
	struct file *f;

	if (fd < 0 || fd >= FDS || REAL(fstat)(fd, &st) < 0)
		return;
	pthread_mutex_lock(&lock);
	if (!control)
		begin();
	for (f = files; f && (f->dev != st.st_dev || f->ino != st.st_ino); f = f->next)
		;
	if (!f) {
		f = calloc(1, sizeof(*f));
		f->dev = st.st_dev;
		f->ino = st.st_ino;
		f->next = files;
		files = f;
		room(f, (size_t)st.st_size);
		f->len = (size_t)st.st_size;
		if (REAL(pread)(fd, f->image, f->len, 0) != (ssize_t)f->len)
			abort();
	}
	of_fd[fd] = f;
	pthread_mutex_unlock(&lock);
}

static int open_any(const char *name, const char *path, int flags, mode_t mode)
{
	int (*fn)(const char *, int, ...) = (int (*)(const char *, int, ...))real(name);
	int fd = fn(path, flags, mode);

	if (fd >= 0 && is_database(path))
		track(fd);
	return fd;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_any("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return open_any("open64", path, flags, mode);
}

static struct file *file_of(int fd)
{
	return fd >= 0 && fd < FDS ? of_fd[fd] : NULL;
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS)
		of_fd[fd] = NULL;
	return REAL(close)(fd);
}

/* A name that comes back may have the same inode. */
int unlink(const char *path)
{
	struct stat st;
	struct file **p = &files;

	if (is_database(path) && stat(path, &st) == 0) {
		pthread_mutex_lock(&lock);
		while (*p && ((*p)->dev != st.st_dev || (*p)->ino != st.st_ino))
			p = &(*p)->next;
		if (*p)
			*p = (*p)->next; /* leaked: others may have it open */
		pthread_mutex_unlock(&lock);
	}
	return REAL(unlink)(path);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	struct file *f = file_of(fd);
	size_t from = (size_t)at, len;

	if (!f)
		return REAL(pread)(fd, buf, n, at);
	pthread_mutex_lock(&lock);
	len = from >= f->len ? 0 : f->len - from < n ? f->len - from : n;
	memcpy(buf, f->image + from, len);
	pthread_mutex_unlock(&lock);
	return (ssize_t)len;
}

ssize_t pread64(int fd, void *buf, size_t n, off_t at)
{
	return pread(fd, buf, n, at);
}

/* The kernel writes back when it likes, in any order, and sectors one by one. */
static void maybe_early(int fd, const void *buf, size_t n, off_t at)
{
	if (below(4) > 0)
		return;
	if (below(4) == 0)
		n = n / 1024 * 512;
	if (n > 0 && pass_pwrite(fd, buf, n, at) < 0)
		return;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	struct file *f = file_of(fd);
	size_t from = (size_t)at;

	if (!f)
		return pass_pwrite(fd, buf, n, at);
	pthread_mutex_lock(&lock);
	if (fault('N') || fault('W')) {
		errno = control[0] == 'N' ? ENOSPC : EIO;
		pthread_mutex_unlock(&lock);
		return -1;
	}
	if (n > 1 && fault('H'))
		n /= 2;
	room(f, from + n);
	memcpy(f->image + from, buf, n);
	for (size_t p = from / PAGE; p <= (from + n - 1) / PAGE; p++)
		f->dirty[p] = true;
	if (from + n > f->len)
		f->len = from + n;
	maybe_early(fd, buf, n, at);
	pthread_mutex_unlock(&lock);
	return (ssize_t)n;
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at)
{
	return pwrite(fd, buf, n, at);
}

int ftruncate(int fd, off_t len)
{
	struct file *f = file_of(fd);

	if (!f)
		return REAL(ftruncate)(fd, len);
	pthread_mutex_lock(&lock);
	room(f, (size_t)len);
	if ((size_t)len < f->len)
		memset(f->image + len, 0, f->len - (size_t)len);
	f->len = (size_t)len;
	pthread_mutex_unlock(&lock);
	return 0;
}

int ftruncate64(int fd, off_t len)
{
	return ftruncate(fd, len);
}

int fstat(int fd, struct stat *st)
{
	struct file *f = file_of(fd);
	int rc = REAL(fstat)(fd, st);

	if (f && rc == 0)
		st->st_size = (off_t)f->len;
	return rc;
}

int fstat64(int fd, struct stat64 *st)
{
	struct file *f = file_of(fd);
	int (*fn)(int, struct stat64 *) = (int (*)(int, struct stat64 *))real("fstat64");
	int rc = fn(fd, st);

	if (f && rc == 0)
		st->st_size = (off_t)f->len;
	return rc;
}

static int make_durable(int fd, struct file *f)
{
	struct stat st;
	bool lost = fault('S');

	for (size_t p = 0; p * PAGE < f->len; p++) {
		size_t n = f->len - p * PAGE < PAGE ? f->len - p * PAGE : PAGE;

		if (!f->dirty[p])
			continue;
		f->dirty[p] = false;
		if (!lost && pass_pwrite(fd, f->image + p * PAGE, n, (off_t)(p * PAGE)) != (ssize_t)n)
			abort();
	}
	if (lost) {
		errno = EIO;
		return -1;
	}
	if (REAL(fstat)(fd, &st) == 0 && (size_t)st.st_size != f->len &&
		REAL(ftruncate)(fd, (off_t)f->len) < 0)
		abort();
	return 0;
}

int fdatasync(int fd)
{
	struct file *f = file_of(fd);
	int rc;

	if (!f)
		return REAL(fdatasync)(fd);
	pthread_mutex_lock(&lock);
	rc = make_durable(fd, f);
	pthread_mutex_unlock(&lock);
	return rc;
}

int fsync(int fd)
{
	return file_of(fd) ? fdatasync(fd) : REAL(fsync)(fd);
}
