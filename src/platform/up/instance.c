/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/up/instance.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOCK_TEXT_MAX 256
#define LOOK_EVERY_MS 20 /* there is no event for a lock being given up */

/* A lock of the open file: asking does not take it, and it ends with the process however that ends. */
static struct flock whole_file(short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static void parse(const char *text, struct instance *ret)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	char *rest = copy;
	char *pid = str_next(&rest, ' '), *start = rest ? str_next(&rest, ' ') : NULL;
	char *port = rest ? str_next(&rest, ' ') : NULL, *version = rest ? str_next(&rest, '\n') : NULL;
	int64_t n;

	if (!version || !str_to_i64(pid, 1, INT32_MAX, &n))
		return;
	ret->pid = (pid_t)n;
	str_to_u64(start, &ret->start);
	if (str_to_i64(port, 0, 65535, &n))
		ret->port = (int)n;
	str_copy(ret->version, sizeof(ret->version), version);
}

void instance_look(const char *data_dir, struct instance *ret)
{
	CLEANUP(mem_freep) char *path = file_join(data_dir, INSTANCE_LOCK);
	CLEANUP(mem_freep) char *text = NULL;
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct flock l = whole_file(F_WRLCK);

	memset(ret, 0, sizeof(*ret));
	/* A write lock could be had from a read-only descriptor's view: the kernel only compares. */
	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &l) < 0)
		return;
	ret->running = l.l_type != F_UNLCK;
	if (file_read(path, LOCK_TEXT_MAX, &text, NULL, NULL) == 0)
		parse(text, ret);
	if (ret->pid && proc_start_time(ret->pid) != ret->start)
		ret->pid = 0;
}

int instance_lock(const char *data_dir, int *ret_fd, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(data_dir, INSTANCE_LOCK);
	CLEANUP(fd_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct flock l = whole_file(F_WRLCK);
	struct instance other;

	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (fcntl(fd, F_OFD_SETLK, &l) == 0) {
		if (ftruncate(fd, 0) < 0)
			return err_sys(e, "empty %s", path);
		*ret_fd = fd;
		fd = -1;
		return 0;
	}
	if (errno != EAGAIN && errno != EACCES)
		return err_sys(e, "lock %s", path);
	instance_look(data_dir, &other);
	if (!other.pid)
		return err_set(e, ERR_CONFLICT, "another coracle runs in %s", data_dir);
	return err_set(e, ERR_CONFLICT, "another coracle (%s, pid %d, port %d) runs in %s", other.version,
		(int)other.pid, other.port, data_dir);
}

int instance_tell(int lock_fd, int port, const char *version, struct err *e)
{
	CLEANUP(mem_freep)
	char *text = str_printf("%d %llu %d %s\n", (int)getpid(),
		(unsigned long long)proc_start_time(getpid()), port, version);

	if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		return err_sys(e, "write the lock file");
	return 0;
}

int instance_signal(const struct instance *i, int sig, struct err *e)
{
	CLEANUP(fd_closep) int fd = i->pid > 0 ? (int)syscall(SYS_pidfd_open, i->pid, 0) : -1;

	if (fd < 0 || proc_start_time(i->pid) != i->start)
		return err_set(e, ERR_NOT_FOUND, "no such process any more");
	if (syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0)
		return errno == ESRCH ? err_set(e, ERR_NOT_FOUND, "no such process any more")
				      : err_sys(e, "signal process %d", (int)i->pid);
	return 0;
}

bool instance_wait_gone(const char *data_dir, int timeout_ms)
{
	int64_t until = time_mono_now() + timeout_ms;
	struct instance i;

	for (;;) {
		instance_look(data_dir, &i);
		if (!i.running)
			return true;
		if (time_mono_now() >= until)
			return false;
		poll(NULL, 0, LOOK_EVERY_MS);
	}
}

static bool has_any(const char *data_dir, const char *const *names)
{
	for (size_t i = 0; names[i]; i++) {
		CLEANUP(mem_freep) char *path = file_join(data_dir, names[i]);

		if (file_exists(path))
			return true;
	}
	return false;
}

bool instance_is_ours(const char *data_dir)
{
	static const char *const marks[] = { INSTANCE_LOCK, "state.db", "pki", "pods", NULL };

	return !str_eq(data_dir, "/") && has_any(data_dir, marks);
}

int instance_remove(const char *data_dir, struct err *e)
{
	static const char *const sure[] = { INSTANCE_LOCK, "state.db", "pki", NULL };
	/* what also the programs make that outlive it, on their way out; up.log is where the demo has it write */
	static const char *const parts[] = { "images", "installed", "kubeconfig", "kubevirt", "logs", "pods",
		"releases", "run", "runtime", "up.log", "volumes", NULL };

	if (str_eq(data_dir, "/") || !file_exists(data_dir))
		return 0;
	if (has_any(data_dir, sure))
		return file_remove_tree(data_dir, e);
	for (size_t i = 0; parts[i]; i++) {
		CLEANUP(mem_freep) char *path = file_join(data_dir, parts[i]);

		if (file_exists(path) && file_remove_tree(path, e) < 0)
			return -1;
	}
	if (rmdir(data_dir) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
		return err_sys(e, "remove '%s'", data_dir);
	return 0;
}

char *instance_path(const char *path)
{
	CLEANUP(mem_freep) char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	CLEANUP(mem_freep) char *whole = *path == '/' ? mem_strdup(path) : cwd ? file_join(cwd, path) : NULL;
	struct str out = { 0 };

	if (!whole)
		return NULL;
	for (char *rest = whole; rest;) {
		const char *part = str_next(&rest, '/');
		char *slash;

		if (!*part || str_eq(part, "."))
			continue;
		if (!str_eq(part, "..")) {
			str_addf(&out, "/%s", part);
		} else if (out.len && (slash = strrchr(out.data, '/'))) {
			out.len = (size_t)(slash - out.data);
			*slash = 0;
		}
	}
	if (!out.len)
		str_addc(&out, '/');
	return str_take(&out);
}
