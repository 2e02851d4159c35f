/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of an instance goes, without an agent: for `coracle uninstall`. */
#include "platform/agent/impl.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOUNTS_MAX (16 << 20)
#define CMDLINE_MAX 65536
#define SHIM_WAIT_MS 10000
#define GROUP_WAIT_MS 5000
#define GROUP_LOOK_MS 20 /* there is no event in version 1 */

/* Found by what they were started with, "…/coracle-shim DIR/pods/…": what they have noted may be deleted already. */
static bool is_shim_of(const char *pid, const char *pods_dir)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/%s/cmdline", pid);
	CLEANUP(mem_freep) char *text = NULL;
	size_t len = 0, n = strlen(pods_dir);
	const char *arg;

	if (file_read(path, CMDLINE_MAX, &text, &len, NULL) < 0 || !text)
		return false;
	arg = memchr(text, 0, len);
	if (!arg || !str_ends(text, "/coracle-shim"))
		return false;
	arg++;
	return (size_t)(text + len - arg) > n && strncmp(arg, pods_dir, n) == 0 && arg[n] == '/';
}

/* Until the shims are through: they delete what the runtime keeps of their containers. */
static void wait_for_shims(const char *pods_dir)
{
	CLEANUP(strv_done) struct strv pids = { 0 };

	file_list("/proc", &pids, NULL);
	for (size_t i = 0; i < pids.len; i++) {
		int64_t pid;
		CLEANUP(fd_closep) int fd = -1;

		if (!str_to_i64(pids.items[i], 1, INT32_MAX, &pid) || !is_shim_of(pids.items[i], pods_dir))
			continue;
		fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		struct pollfd p = { fd, POLLIN, 0 };

		if (fd >= 0 && poll(&p, 1, SHIM_WAIT_MS) == 0)
			log_warn("the shim %s does not end", pids.items[i]);
	}
}

/* Mounts below a directory, deepest first. */
static void unmount_below(const char *dir)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct strv points = { 0 };
	size_t n = strlen(dir);

	if (file_read("/proc/self/mounts", MOUNTS_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *rest = text; rest;) {
		char *line = str_next(&rest, '\n');

		str_next(&line, ' ');
		char *point = line ? str_next(&line, ' ') : NULL;

		if (point && strncmp(point, dir, n) == 0 && point[n] == '/')
			strv_add(&points, point);
	}
	for (size_t i = points.len; i > 0; i--)
		umount2(points.items[i - 1], MNT_DETACH);
	strv_done(&points);
}

/* What was killed is in its group until it has been reaped, by a shim that may not be found any more. */
static void remove_group(const struct cgroups *g, const char *group)
{
	int64_t until = time_mono_now() + GROUP_WAIT_MS;

	for (;;) {
		cgroup_remove(g, group);
		if (!cgroup_there(g, group))
			return;
		if (time_mono_now() >= until)
			break;
		cgroup_kill(g, group); /* a shim was about to start another */
		poll(NULL, 0, GROUP_LOOK_MS);
	}
	log_warn("the control group %s has processes that do not end", group);
}

int agent_remove_all(const char *data_dir, struct err *e)
{
	CLEANUP(mem_freep) char *pods_dir = file_join(data_dir, "pods");
	struct cgroups *g = cgroups_new();
	int n = net_claimed(data_dir);

	if (n >= 0) {
		CLEANUP(mem_freep) char *cgroup = str_printf("/coracle%d", n);

		cgroup_kill(g, cgroup);
		wait_for_shims(pods_dir);
		remove_group(g, cgroup);
	}
	cgroups_free(g);
	unmount_below(data_dir);
	return net_remove_all(data_dir, e);
}
