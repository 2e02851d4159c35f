/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest costs at this moment, for metrics: asked of QEMU and of the kernel when somebody wants to know, never before. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "qemu/qmp_cmds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STAT_FILE_MAX 4096
#define VCPUS_MAX 4096 /* in one answer */

struct stats_call {
	struct launcher *l;
	struct wire_call *call;
	struct json_doc *d;
};

bool stats_cpu_times(const char *stat, int64_t hz, int64_t *ret_user_ms, int64_t *ret_system_ms)
{
	const char *p = strrchr(stat, ')'); /* the name before it may be anything */
	uint64_t user, system;

	/* state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime */
	if (!p || hz <= 0 ||
		sscanf(p + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64, &user,
			&system) != 2)
		return false;
	*ret_user_ms = (int64_t)(user * 1000 / (uint64_t)hz);
	*ret_system_ms = (int64_t)(system * 1000 / (uint64_t)hz);
	return true;
}

/* thread 0: the whole process */
static bool times_of(pid_t pid, int64_t thread, int64_t *ret_user, int64_t *ret_system)
{
	CLEANUP(mem_freep) char *text = NULL;
	char path[64];
	size_t len;

	if (thread)
		snprintf(path, sizeof(path), "/proc/%d/task/%" PRId64 "/stat", (int)pid, thread);
	else
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	return file_read(path, STAT_FILE_MAX, &text, &len, NULL) == 0 &&
	       stats_cpu_times(text, sysconf(_SC_CLK_TCK), ret_user, ret_system);
}

static void put_process(struct stats_call *s, struct json *o)
{
	CLEANUP(mem_freep) char *text = NULL;
	int64_t user, system;
	uint64_t pages;
	char path[64];
	size_t len;

	if (times_of(s->l->qemu_pid, 0, &user, &system)) {
		json_set_i64(s->d, o, "userMs", user);
		json_set_i64(s->d, o, "systemMs", system);
	}
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)s->l->qemu_pid);
	if (file_read(path, STAT_FILE_MAX, &text, &len, NULL) == 0 &&
		sscanf(text, "%*s %" SCNu64, &pages) == 1)
		json_set_i64(s->d, o, "resident", (int64_t)pages * sysconf(_SC_PAGESIZE));
}

static void put_vcpus(struct stats_call *s, const struct json *cpus)
{
	struct json *list = json_need_arr(s->d, json_root(s->d), "vcpus");

	JSON_EACH (it, cpus) {
		int64_t thread = json_i64(json_get(it.val, "thread-id")), user, system;
		struct json *o;

		if (it.i >= VCPUS_MAX || thread <= 0 || !times_of(s->l->qemu_pid, thread, &user, &system))
			continue;
		o = json_new_obj(s->d);
		json_set_i64(s->d, o, "id", json_i64(json_get(it.val, "cpu-index")));
		json_set_i64(s->d, o, "ms", user + system);
		json_append(s->d, list, o);
	}
}

static void finish(struct stats_call *s, const struct err *e)
{
	if (e)
		wire_call_fail(s->call, e);
	else
		wire_call_ok(s->call, json_root(s->d));
	json_doc_free(s->d);
	free(s);
}

/* A guest without a balloon has no balloon to tell of, and the rest all the same. */
static void on_balloon(void *arg, const struct json *ret, const struct err *e)
{
	struct stats_call *s = arg;

	if (!e)
		json_set_i64(s->d, json_root(s->d), "balloon", json_i64(json_get(ret, "actual")));
	finish(s, NULL);
}

static void on_cpus(void *arg, const struct json *ret, const struct err *e)
{
	struct stats_call *s = arg;
	struct launcher *l = s->l;
	struct err gone;

	if (e || !l->qmp || l->qemu_pid <= 0) {
		err_set(&gone, ERR_UNAVAILABLE, "QEMU does not answer");
		finish(s, e ? e : &gone);
		return;
	}
	put_vcpus(s, ret);
	put_process(s, json_root(s->d));
	if (l->stats.total) {
		json_set_i64(s->d, json_root(s->d), "guestTotal", (int64_t)l->stats.total);
		json_set_i64(s->d, json_root(s->d), "guestAvailable", (int64_t)l->stats.available);
	}
	qmp_send_query_balloon(l->qmp, NULL, on_balloon, s);
}

void stats_answer(struct launcher *l, struct wire_call *call)
{
	struct stats_call *s = MEM_NEW(struct stats_call);

	*s = (struct stats_call){ .l = l, .call = call, .d = json_doc_new() };
	json_set_root(s->d, json_new_obj(s->d));
	qmp_send_query_cpus_fast(l->qmp, NULL, on_cpus, s);
}
