/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/agent/cgroup.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PROCS_MAX (1 << 20)

struct cgroups {
	char *memory, *cpu; /* where the controller's hierarchy is mounted; NULL: there is none */
	bool memory_v2, cpu_v2;
	struct strv roots; /* every hierarchy */
};

int64_t cgroup_shares(int64_t milli)
{
	int64_t n = milli > INT64_MAX / 1024 ? 262144 : milli * 1024 / 1000;

	return n < 2 ? 2 : n > 262144 ? 262144 : n;
}

int64_t cgroup_quota(int64_t milli)
{
	int64_t n;

	if (milli < 0 || milli > INT64_MAX / CGROUP_CPU_PERIOD)
		return -1;
	n = milli * CGROUP_CPU_PERIOD / 1000;
	return n < 1000 ? 1000 : n;
}

static bool is_v2(const char *path)
{
	struct statfs st;

	return statfs(path, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC;
}

static bool offers(const char *root, const char *controller)
{
	CLEANUP(mem_freep) char *path = file_join(root, "cgroup.controllers");
	CLEANUP(mem_freep) char *text = NULL;

	return file_read(path, 4096, &text, NULL, NULL) == 0 && strstr(text, controller) != NULL;
}

static char *find(const char *controller, bool *ret_v2)
{
	CLEANUP(mem_freep) char *v1 = file_join(CGROUP_ROOT, controller);

	*ret_v2 = !file_exists(v1);
	if (!*ret_v2)
		return TAKE(v1);
	if (is_v2(CGROUP_ROOT))
		return mem_strdup(CGROUP_ROOT);
	if (offers(CGROUP_ROOT "/unified", controller))
		return mem_strdup(CGROUP_ROOT "/unified");
	return NULL;
}

struct cgroups *cgroups_new(void)
{
	struct cgroups *g = MEM_NEW(struct cgroups);
	struct strv names = { 0 };

	if (is_v2(CGROUP_ROOT)) {
		g->memory = mem_strdup(CGROUP_ROOT);
		g->cpu = mem_strdup(CGROUP_ROOT);
		g->memory_v2 = g->cpu_v2 = true;
		strv_add(&g->roots, CGROUP_ROOT);
		return g;
	}
	g->memory = find("memory", &g->memory_v2);
	g->cpu = find("cpu", &g->cpu_v2);
	file_list(CGROUP_ROOT, &names, NULL);
	for (size_t i = 0; i < names.len; i++)
		strv_addf(&g->roots, "%s/%s", CGROUP_ROOT, names.items[i]);
	strv_done(&names);
	return g;
}

void cgroups_free(struct cgroups *g)
{
	if (!g)
		return;
	free(g->memory);
	free(g->cpu);
	strv_done(&g->roots);
	free(g);
}

bool cgroups_v2(const struct cgroups *g)
{
	return g->roots.len == 1;
}

static int put(const char *root, const char *path, const char *file, const char *text, struct err *e)
{
	CLEANUP(mem_freep) char *full = str_printf("%s%s/%s", root, path, file);
	CLEANUP(fd_closep) int fd = open(full, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_sys(e, "writing %s to %s", text, full);
	return 0;
}

static int put_num(const char *root, const char *path, const char *file, int64_t n, struct err *e)
{
	CLEANUP(mem_freep) char *text = str_printf("%" PRId64, n);

	return put(root, path, file, text, e);
}

static int set_memory(const struct cgroups *g, const char *path, int64_t bytes, struct err *e)
{
	int64_t used;

	if (!g->memory_v2)
		return put_num(g->memory, path, "memory.limit_in_bytes", bytes, e);
	/* v1 says EBUSY; v2 would kill. */
	if (bytes >= 0 && cgroup_memory(g, path, &used) && used > bytes)
		return err_set(e, ERR_UNAVAILABLE, "%" PRId64 " bytes are in use, over the limit of %" PRId64,
			used, bytes);
	return bytes < 0 ? put(g->memory, path, "memory.max", "max", e)
			 : put_num(g->memory, path, "memory.max", bytes, e);
}

static int set_cpu(const struct cgroups *g, const char *path, const struct cgroup_limits *l, struct err *e)
{
	int64_t shares = cgroup_shares(l->cpu_request), quota = cgroup_quota(l->cpu_limit);
	CLEANUP(mem_freep) char *max = NULL;

	if (!g->cpu_v2)
		return put_num(g->cpu, path, "cpu.shares", shares, e) < 0 ||
				       put_num(g->cpu, path, "cpu.cfs_quota_us", quota, e) < 0
			       ? -1
			       : 0;
	max = quota < 0 ? str_printf("max %d", CGROUP_CPU_PERIOD)
			: str_printf("%" PRId64 " %d", quota, CGROUP_CPU_PERIOD);
	/* As the runtimes translate shares */
	if (put_num(g->cpu, path, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, e) < 0)
		return -1;
	return put(g->cpu, path, "cpu.max", max, e);
}

int cgroup_set(const struct cgroups *g, const char *path, const struct cgroup_limits *l, struct err *e)
{
	if (g->memory && set_memory(g, path, l->memory, e) < 0)
		return -1;
	return g->cpu ? set_cpu(g, path, l, e) : 0;
}

char *cgroup_oom_file(const struct cgroups *g, const char *path)
{
	return str_printf("%s%s/%s", g->memory ? g->memory : "/nonexistent", path,
		g->memory_v2 ? "memory.events" : "memory.oom_control");
}

bool cgroup_memory(const struct cgroups *g, const char *path, int64_t *ret_bytes)
{
	CLEANUP(mem_freep) char *file = NULL;
	CLEANUP(mem_freep) char *text = NULL;
	char *nl;

	if (!g->memory)
		return false;
	file = str_printf(
		"%s%s/%s", g->memory, path, g->memory_v2 ? "memory.current" : "memory.usage_in_bytes");
	if (file_read(file, 64, &text, NULL, NULL) < 0)
		return false;
	if ((nl = strchr(text, '\n')))
		*nl = 0;
	return str_to_i64(text, 0, INT64_MAX, ret_bytes);
}

static void kill_in(const char *dir)
{
	CLEANUP(mem_freep) char *procs = file_join(dir, "cgroup.procs");
	CLEANUP(mem_freep) char *text = NULL;
	struct strv names = { 0 };

	if (file_read(procs, PROCS_MAX, &text, NULL, NULL) < 0)
		return;
	for (char *rest = text; rest;) {
		char *line = str_next(&rest, '\n');
		int64_t pid;

		if (str_to_i64(line, 2, INT32_MAX, &pid))
			kill((pid_t)pid, SIGKILL);
	}
	file_list(dir, &names, NULL);
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *sub = file_join(dir, names.items[i]);
		struct stat st;

		if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode))
			kill_in(sub);
	}
	strv_done(&names);
}

void cgroup_kill(const struct cgroups *g, const char *path)
{
	for (size_t i = 0; i < g->roots.len; i++) {
		CLEANUP(mem_freep) char *dir = str_printf("%s%s", g->roots.items[i], path);

		kill_in(dir);
	}
}

static void remove_in(const char *dir)
{
	DIR *d = opendir(dir);

	if (!d)
		return;
	for (struct dirent *de; (de = readdir(d));) {
		CLEANUP(mem_freep) char *sub = NULL;

		if (de->d_type != DT_DIR || str_eq(de->d_name, ".") || str_eq(de->d_name, ".."))
			continue;
		sub = file_join(dir, de->d_name);
		remove_in(sub);
	}
	closedir(d);
	if (rmdir(dir) < 0 && errno != ENOENT)
		log_debug("cgroup %s stays: %s", dir, strerror(errno));
}

bool cgroup_there(const struct cgroups *g, const char *path)
{
	for (size_t i = 0; i < g->roots.len; i++) {
		CLEANUP(mem_freep) char *dir = str_printf("%s%s", g->roots.items[i], path);

		if (file_exists(dir))
			return true;
	}
	return false;
}

void cgroup_remove(const struct cgroups *g, const char *path)
{
	for (size_t i = 0; i < g->roots.len; i++) {
		CLEANUP(mem_freep) char *dir = str_printf("%s%s", g->roots.items[i], path);

		remove_in(dir);
	}
}
