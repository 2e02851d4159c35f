/* SPDX-License-Identifier: Apache-2.0 */
/* One container's processes: started through coracle-shim, followed through the shim's status file and its end, stopped by
 * signals. After a restart of the agent all of it is read back from the container's directory. */
#include "platform/agent/impl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATUS_MAX 8192
#define MESSAGE_MAX 1024
#define TERMINATION_MESSAGE_MAX 4096
#define TERMINATION_LOG_MAX 2048

char *ctr_id(const struct ctr *c, int attempt)
{
	return str_printf("%s-%s-%d", c->pod->uid, c->name, attempt);
}

char *ctr_log_path(const struct ctr *c, int attempt)
{
	return str_printf("%s/%s/%d.log", c->pod->log_dir, c->name, attempt);
}

char *ctr_cgroup(const struct ctr *c)
{
	return str_printf("/coracle%d/pod%s/%s", net_instance(c->pod->agent->net), c->pod->uid, c->name);
}

static char *attempt_dir(const struct ctr *c, int attempt)
{
	return str_printf("%s/c/%s/%d", c->pod->dir, c->name, attempt);
}

void ctr_end_done(struct ctr_end *e)
{
	free(e->id);
	free(e->message);
	memset(e, 0, sizeof(*e));
}

bool ctr_active(const struct ctr *c)
{
	return c->shim > 0 || c->state == CTR_STARTING || c->state == CTR_RUNNING;
}

void ctr_free(struct ctr *c)
{
	if (!c)
		return;
	probes_stop(c);
	image_get_cancel(c->get);
	image_free(c->image);
	loop_child_free(c->shim_end);
	if (c->watch >= 0)
		inotify_rm_watch(c->pod->agent->inotify, c->watch);
	ctr_end_done(&c->end);
	ctr_end_done(&c->last);
	json_doc_free(c->resources);
	free(c->name);
	free(c->image_reason);
	free(c->image_message);
	free(c->dir);
	free(c->config_error);
	free(c->config_reason);
	free(c);
}

/* ---- what the shim says ---- */
struct shim_status {
	int64_t shim, pid, started, code, sig, ended, oom;
	bool running, exited;
	char error[MESSAGE_MAX];
};

static bool take_num(char **rest, int64_t *ret)
{
	char *word = *rest ? str_next(rest, ' ') : NULL;

	return word && str_to_i64(word, INT64_MIN, INT64_MAX, ret);
}

static void read_line(char *line, struct shim_status *s)
{
	char *rest = line, *word = str_next(&rest, ' ');

	if (str_eq(word, "shim"))
		take_num(&rest, &s->shim);
	else if (str_eq(word, "pid"))
		s->running = take_num(&rest, &s->pid) && take_num(&rest, &s->started);
	else if (str_eq(word, "exit"))
		s->exited = take_num(&rest, &s->code) && take_num(&rest, &s->sig) &&
			    take_num(&rest, &s->ended) && take_num(&rest, &s->oom);
	else if (str_eq(word, "error") && rest)
		str_copy(s->error, sizeof(s->error), rest);
}

static bool shim_status(const char *dir, struct shim_status *ret)
{
	CLEANUP(mem_freep) char *path = file_join(dir, "status");
	CLEANUP(mem_freep) char *text = NULL;

	memset(ret, 0, sizeof(*ret));
	if (file_read(path, STATUS_MAX, &text, NULL, NULL) < 0)
		return false;
	for (char *rest = text; rest;)
		read_line(str_next(&rest, '\n'), ret);
	return true;
}

/* The end of an attempt as recorded; false if there is none. */
static bool end_from(const struct ctr *c, int attempt, const struct shim_status *s, struct ctr_end *ret)
{
	if (!s->exited && !*s->error)
		return false;
	ret->set = true;
	ret->id = ctr_id(c, attempt);
	ret->started_ms = s->started;
	if (s->exited) {
		ret->code = (int)s->code;
		ret->signal = (int)s->sig;
		ret->finished_ms = s->ended;
		ret->oom = s->oom > 0;
	} else {
		ret->code = 128;
		ret->start_failed = true;
		ret->message = mem_strdup(s->error);
	}
	return true;
}

static void now_running(struct ctr *c, const struct shim_status *s)
{
	struct loop *l = c->pod->agent->loop;
	int64_t age = loop_wall_ms(l) - s->started;

	c->state = CTR_RUNNING;
	c->main = (pid_t)s->pid;
	c->main_start = proc_start_time(c->main);
	c->started_ms = s->started;
	c->started_mono = loop_mono_ms(l) - (age > 0 ? age : 0);
	probes_start(c);
}

/* What the program left in its termination message file (kubelet's limit), or the end of its log if it was asked for. */
static void read_message(struct ctr *c)
{
	CLEANUP(mem_freep) char *file = file_join(c->dir, "termination-log");
	CLEANUP(mem_freep) char *text = NULL;
	size_t len = 0;

	if (c->end.message || file_read(file, TERMINATION_MESSAGE_MAX, &text, &len, NULL) < 0)
		return;
	if (len)
		c->end.message = TAKE(text);
	else if (c->end.code &&
		 str_eq(json_get_str(ctr_spec(c), "terminationMessagePolicy"), "FallbackToLogsOnError"))
		c->end.message = logs_tail(c, TERMINATION_LOG_MAX);
}

static void now_ended(struct ctr *c)
{
	int64_t ran = c->end.started_ms ? c->end.finished_ms - c->end.started_ms : 0;

	c->state = CTR_ENDED;
	c->main = 0;
	c->ready = c->started = false;
	probes_stop(c);
	logs_container_ended(c);
	read_message(c);
	if (!c->end.finished_ms)
		c->end.finished_ms = loop_wall_ms(c->pod->agent->loop);
	if (!c->end.started_ms)
		c->end.started_ms = c->end.finished_ms;
	c->failures = ran >= BACK_OFF_FORGET_MS ? 1 : c->failures + 1;
	c->restart_told = false;
	c->restart_at = loop_mono_ms(c->pod->agent->loop);
	if (c->failures > 1)
		c->restart_at += back_off_ms(c->failures - 1, BACK_OFF_MIN_MS, BACK_OFF_MAX_MS);
}

void ctr_status_changed(struct ctr *c)
{
	struct shim_status s;

	if (!c->dir || !shim_status(c->dir, &s))
		return;
	if (c->state == CTR_STARTING && s.running) {
		now_running(c, &s);
		pod_event(c->pod, false, "Started", "Started container %s", c->name);
		if (c->stopping)
			ctr_stop(c, 0, NULL);
		resize_check(c->pod);
	}
	if ((c->state == CTR_STARTING || c->state == CTR_RUNNING) && end_from(c, c->attempt, &s, &c->end)) {
		now_ended(c);
		if (c->end.start_failed)
			pod_event(c->pod, true, "Failed", "Error: %s", c->end.message);
	}
	pod_kick(c->pod);
}

/* ---- the shim's end ---- */
static int spawn_shim(struct ctr *c, bool adopting, struct err *e);
static void shim_ended(void *arg, pid_t pid, int wait_status);

static void delete_done(void *arg, const struct proc_result *r)
{
}

static void runtime_delete(const struct ctr *c)
{
	const struct runtime *rt = &c->pod->agent->runtime;
	CLEANUP(mem_freep) char *id = ctr_id(c, c->attempt);
	CLEANUP(mem_freep) char *root = str_printf("--root=%s", rt->root);

	proc_run(c->pod->agent->loop, (char *const[]){ rt->path, root, "delete", "--force", id, NULL }, NULL,
		10000, delete_done, NULL);
}

/* A shim was killed beside its container, which runs on: another one takes over. false: there is nothing to take over. */
static bool adopt(struct ctr *c)
{
	struct agent *a = c->pod->agent;
	struct err e = { 0 };

	if (c->state != CTR_RUNNING || c->main <= 0 || !c->main_start ||
		proc_start_time(c->main) != c->main_start || c->adoptions >= CTR_ADOPTIONS_MAX)
		return false;
	c->adoptions++;
	if (c->watch < 0)
		c->watch = inotify_add_watch(a->inotify, c->dir, IN_MOVED_TO | IN_ONLYDIR);
	if (c->watch < 0 || spawn_shim(c, true, &e) < 0)
		return false;
	c->shim_end = loop_child_new(a->loop, c->shim, shim_ended, c);
	log_warn(
		"%s: the supervisor of container %s was killed; another one took over", c->pod->key, c->name);
	return true;
}

static void shim_ended(void *arg, pid_t pid, int wait_status)
{
	struct ctr *c = arg;
	CLEANUP(mem_freep) char *cgroup = ctr_cgroup(c);

	loop_child_free(TAKE(c->shim_end));
	c->shim = 0;
	ctr_status_changed(c);
	if (adopt(c))
		return;
	if (c->state == CTR_STARTING || c->state == CTR_RUNNING) {
		/* Killed before its container ran, or beside one that can not be taken over: nobody would tell the end. */
		cgroup_kill(c->pod->agent->cgroups, cgroup);
		runtime_delete(c);
		c->end = (struct ctr_end){ .set = true,
			.code = 137,
			.signal = SIGKILL,
			.started_ms = c->started_ms,
			.id = ctr_id(c, c->attempt),
			.message = mem_strdup("the container's supervisor was killed") };
		now_ended(c);
	}
	if (c->watch >= 0)
		inotify_rm_watch(c->pod->agent->inotify, c->watch);
	c->watch = -1;
	bundle_remove(c->dir);
	pod_kick(c->pod);
}

/* ---- starting ---- */
static void drop_old_attempts(const struct ctr *c)
{
	CLEANUP(mem_freep) char *base = str_printf("%s/c/%s", c->pod->dir, c->name);
	struct strv names = { 0 };

	file_list(base, &names, NULL);
	for (size_t i = 0; i < names.len; i++) {
		CLEANUP(mem_freep) char *dir = file_join(base, names.items[i]);
		int64_t n;

		if (!str_to_i64(names.items[i], 0, INT32_MAX, &n) || n >= c->attempt - 1)
			continue;
		bundle_remove(dir);
		file_remove_tree(dir, NULL);
		CLEANUP(mem_freep) char *log = ctr_log_path(c, (int)n);
		CLEANUP(mem_freep) char *older = str_printf("%s.1", log);
		unlink(log);
		unlink(older);
	}
	strv_done(&names);
}

bool ctr_has_terminal(const struct ctr *c)
{
	return json_bool(json_get(ctr_spec(c), "tty"));
}

static void shim_options(const struct ctr *c, struct strv *words)
{
	const struct json *spec = ctr_spec(c);

	if (ctr_has_terminal(c))
		strv_add(words, "--tty");
	if (json_bool(json_get(spec, "stdin")))
		strv_add(words, json_bool(json_get(spec, "stdinOnce")) ? "--stdin-once" : "--stdin");
}

static int spawn_shim(struct ctr *c, bool adopting, struct err *e)
{
	const struct agent *a = c->pod->agent;
	CLEANUP(mem_freep) char *id = ctr_id(c, c->attempt);
	CLEANUP(mem_freep) char *log = ctr_log_path(c, c->attempt);
	CLEANUP(mem_freep) char *log_max = str_printf("%d", CTR_LOG_MAX);
	CLEANUP(mem_freep) char *cgroup = ctr_cgroup(c);
	CLEANUP(mem_freep) char *oom = cgroup_oom_file(a->cgroups, cgroup);
	CLEANUP(mem_freep) char *root = str_printf("--root=%s", a->runtime.root);
	CLEANUP(mem_freep) char *rlog = str_printf("--log=%s/runtime.log", c->dir);
	CLEANUP(mem_freep) char *bundle = str_printf("--bundle=%s", c->dir);
	CLEANUP(mem_freep) char *pidfile = str_printf("--pid-file=%s/pid", c->dir);
	char *manager = a->runtime.crun ? "--cgroup-manager=cgroupfs" : "--systemd-cgroup=false";
	struct proc_spec spec = PROC_SPEC_INIT;

	char *const run[] = { c->dir, log, log_max, oom, "--", a->runtime.path, root, rlog,
		"--log-format=json", manager, "run", "--detach", bundle, pidfile, NULL };
	char *const del[] = { id, "--", a->runtime.path, root, manager, "delete", "--force", id, NULL };
	CLEANUP(strv_done) struct strv words = { 0 };

	strv_add(&words, a->shim);
	if (adopting)
		strv_add(&words, "--adopt");
	shim_options(c, &words);
	for (char *const *word = run; *word; word++)
		strv_add(&words, *word);
	if (ctr_has_terminal(c))
		strv_add(&words, "--console-socket=console");
	for (char *const *word = del; *word; word++)
		strv_add(&words, *word);
	spec.argv = strv_argv(&words);
	spec.new_session = true;
	return proc_spawn(&spec, &c->shim, e);
}

static void config_failed(struct ctr *c, const char *reason, const struct err *e)
{
	struct loop *l = c->pod->agent->loop;

	if (!str_eq(c->config_error, e->msg))
		pod_event(c->pod, true, "Failed", "Error: %s", e->msg);
	free(c->config_error);
	free(c->config_reason);
	c->config_error = mem_strdup(e->msg);
	c->config_reason = mem_strdup(reason);
	c->config_retry = loop_mono_ms(l) + back_off_ms(++c->config_failures, 1000, 60000);
	bundle_remove(c->dir);
	pod_kick(c->pod);
}

void ctr_start(struct ctr *c)
{
	struct agent *a = c->pod->agent;
	struct err e = { 0 };
	CLEANUP(mem_freep) char *log_dir = str_printf("%s/%s", c->pod->log_dir, c->name);

	if (c->state == CTR_ENDED) {
		ctr_end_done(&c->last);
		c->last = c->end;
		memset(&c->end, 0, sizeof(c->end));
		c->attempt++;
		c->state = CTR_IDLE;
		free(TAKE(c->dir));
		drop_old_attempts(c);
	}
	if (!c->dir)
		c->dir = attempt_dir(c, c->attempt);
	c->stopping = false;
	c->term_sent = 0;
	if (file_mkdirs(c->dir, 0700, &e) < 0 || file_mkdirs(log_dir, 0750, &e) < 0) {
		config_failed(c, "CreateContainerError", &e);
		return;
	}
	if (bundle_write(c, &e) < 0) {
		config_failed(c,
			e.code == ERR_NOT_FOUND || e.code == ERR_INVALID ? "CreateContainerConfigError"
									 : "CreateContainerError",
			&e);
		return;
	}
	c->watch = inotify_add_watch(a->inotify, c->dir, IN_MOVED_TO | IN_ONLYDIR);
	if (c->watch < 0 || spawn_shim(c, false, &e) < 0) {
		if (!e.code)
			err_sys(&e, "watching %s", c->dir);
		config_failed(c, "CreateContainerError", &e);
		return;
	}
	c->shim_end = loop_child_new(a->loop, c->shim, shim_ended, c);
	c->state = CTR_STARTING;
	c->attempted = true;
	c->config_failures = 0;
	free(TAKE(c->config_error));
	free(TAKE(c->config_reason));
	pod_event(c->pod, false, "Created", "Created container %s", c->name);
}

/* ---- stopping ---- */
/* By pid and start time: never a process that got the number later. */
static void signal_main(const struct ctr *c, int sig)
{
	CLEANUP(fd_closep) int fd = c->main > 0 ? (int)syscall(SYS_pidfd_open, c->main, 0) : -1;

	if (fd < 0 || proc_start_time(c->main) != c->main_start)
		return;
	if (syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 && errno != ESRCH)
		log_warn("signal %d to container %s of %s: %s", sig, c->name, c->pod->key, strerror(errno));
}

void ctr_kill_now(struct ctr *c)
{
	CLEANUP(mem_freep) char *cgroup = ctr_cgroup(c);

	signal_main(c, SIGKILL);
	if (json_bool(json_get(pod_spec(c->pod), "hostPID")))
		cgroup_kill(c->pod->agent->cgroups, cgroup);
}

void ctr_stop(struct ctr *c, int64_t grace_ms, const char *reason)
{
	int64_t now = loop_mono_ms(c->pod->agent->loop);

	if (!c->stopping && reason)
		pod_event(c->pod, false, "Killing", "%s", reason);
	c->stopping = true;
	if (c->state != CTR_RUNNING)
		return; /* when it has started */
	if (!c->term_sent) {
		c->term_sent = now;
		if (grace_ms > 0)
			signal_main(c, SIGTERM);
		probes_stop(c);
	}
	if (now >= c->term_sent + grace_ms)
		ctr_kill_now(c);
	else
		pod_kick_at(c->pod, c->term_sent + grace_ms);
}

/* ---- after a restart of the agent ---- */
static int last_attempt(const struct ctr *c)
{
	CLEANUP(mem_freep) char *base = str_printf("%s/c/%s", c->pod->dir, c->name);
	struct strv names = { 0 };
	int64_t n, max = -1;

	file_list(base, &names, NULL);
	for (size_t i = 0; i < names.len; i++)
		if (str_to_i64(names.items[i], 0, INT32_MAX, &n) && n > max)
			max = n;
	strv_done(&names);
	return (int)max;
}

/* The same pid may be somebody else's by now: ours has its directory in the command line. A shim that has become the runtime's
 * delete counts as gone; what it left is cleaned up by us. */
static bool is_shim(pid_t pid, const char *dir)
{
	CLEANUP(mem_freep) char *exe = str_printf("/proc/%d/cmdline", (int)pid);
	CLEANUP(mem_freep) char *text = NULL;
	size_t len = 0;

	return pid > 0 && file_read(exe, 65536, &text, &len, NULL) == 0 &&
	       memmem(text, len, dir, strlen(dir));
}

static void follow_shim(struct ctr *c, pid_t shim)
{
	struct agent *a = c->pod->agent;

	if (!is_shim(shim, c->dir))
		return;
	c->shim_end = loop_pid_new(a->loop, shim, shim_ended, c);
	if (!c->shim_end)
		return;
	c->shim = shim;
	c->watch = inotify_add_watch(a->inotify, c->dir, IN_MOVED_TO | IN_ONLYDIR);
}

void ctr_reattach(struct ctr *c)
{
	struct shim_status s;
	int n = last_attempt(c);

	if (n < 0)
		return;
	c->attempt = n;
	c->dir = attempt_dir(c, n);
	if (n > 0) {
		CLEANUP(mem_freep) char *before = attempt_dir(c, n - 1);

		if (shim_status(before, &s))
			end_from(c, n - 1, &s, &c->last);
	}
	if (!shim_status(c->dir, &s)) {
		bundle_remove(c->dir); /* never got as far as a shim: the number is used again */
		return;
	}
	c->attempted = true;
	resources_load(c);
	follow_shim(c, (pid_t)s.shim);
	shim_status(c->dir, &s); /* watched from here on */
	c->state = CTR_STARTING;
	if (s.running)
		now_running(c, &s);
	if (end_from(c, n, &s, &c->end)) {
		now_ended(c);
		if (!c->shim) {
			runtime_delete(c);
			bundle_remove(c->dir);
		}
	} else if (!c->shim) {
		c->shim_end = NULL;
		shim_ended(c, 0, -1);
	}
}
