/* SPDX-License-Identifier: Apache-2.0 */
/* coracle up and server: in the foreground, telling what goes on; the log is DIR/logs/coracle.log. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "bin/coracle.h"
#include "kube/cache.h"
#include "platform/up/drain.h"
#include "platform/up/instance.h"
#include "platform/up/up.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define KUBECONFIG_MAX (256 * 1024)
#define START_LEFT_MS 2000 /* after a signal */

struct program {
	const struct args *args;
	struct loop *loop;
	struct up *up;
	struct cache *kubevirts;
	struct loop_timer *drop; /* the cache can not be freed from its own callback */
	struct loop_timer
		*impatience; /* a start that waits for others (the store) is left when it is to stop */
	int64_t begun;       /* mono ms */
	int lock_fd, err_fd; /* err_fd: the terminal's stderr */
	bool available, stopping;
	int status;
};

static const struct kind kind_kv = {
	.group = "kubevirt.io", .version = "v1", .kind = "KubeVirt", .plural = "kubevirts", .namespaced = true
};
/* What pods run; the rest of our programs runs on the host. */
static const char *const programs[] = { "virt-operator", "virt-api", "virt-controller", "virt-handler",
	"virt-launcher", NULL };

static double seconds(const struct program *p)
{
	return (double)(time_mono_now() - p->begun) / 1000;
}

static void say_line(void *arg, const char *line)
{
	puts(line);
}

static void tell_systemd(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	CLEANUP(fd_closep) int fd = -1;

	if (str_empty(path) || !str_copy(to.sun_path, sizeof(to.sun_path), path))
		return;
	if (*path == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warn("systemd: %s", strerror(errno));
}

/* ---- once the server answers ---- */
static void share_kubeconfig(struct program *p)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct err e = { 0 };
	size_t len;

	if (!p->args->default_dir)
		return;
	if (file_read(up_kubeconfig(p->up), KUBECONFIG_MAX, &text, &len, &e) < 0 ||
		file_mkdirs(INSTANCE_ETC_DIR, 0755, &e) < 0 ||
		file_write_atomic(INSTANCE_ETC_DIR "/kubeconfig", text, len, 0600, &e) < 0)
		log_warn("%s", e.msg);
}

static void answering(void *arg)
{
	struct program *p = arg;
	struct err e = { 0 };

	if (instance_tell(p->lock_fd, up_port(p->up), CORACLE_VERSION, &e) < 0)
		log_warn("%s", e.msg);
	log_info("answering on port %d after %.3f s", up_port(p->up), seconds(p));
	printf("API server answers on https://127.0.0.1:%d after %.2f s\n", up_port(p->up), seconds(p));
	printf("  export KUBECONFIG=%s\n", up_kubeconfig(p->up));
	share_kubeconfig(p);
	tell_systemd("READY=1\nSTATUS=the API server answers\n");
}

/* ---- KubeVirt ---- */
static void drop_cache(void *arg)
{
	struct program *p = arg;

	cache_free(TAKE(p->kubevirts));
}

static void next_steps(const struct program *p)
{
	const char *dir = p->args->data_dir;

	printf("KubeVirt is Available after %.2f s\n", seconds(p));
	printf("  kubectl get vm --all-namespaces     the virtual machines\n"
	       "  %s/logs    what each part says\n"
	       "  Ctrl-C                              stops the control plane; virtual machines run on\n",
		dir);
}

static void kubevirt_changed(void *arg, const struct obj *old, const struct obj *new)
{
	struct program *p = arg;

	JSON_EACH (it, json_at(new ? obj_json(new) : NULL, "/status/conditions"))
		if (str_eq(json_get_str(it.val, "type"), "Available") &&
			str_eq(json_get_str(it.val, "status"), "True"))
			p->available = true;
	if (!p->available || loop_timer_armed(p->drop))
		return;
	log_info("KubeVirt is Available after %.3f s", seconds(p));
	next_steps(p);
	tell_systemd("STATUS=KubeVirt is Available\n");
	loop_timer_set(p->drop, 0);
}

static void started(void *arg)
{
	struct program *p = arg;

	log_info("all parts started after %.3f s", seconds(p));
	if (p->args->verb != VERB_UP)
		return;
	p->kubevirts = cache_new(up_client(p->up), &kind_kv, NULL);
	cache_on_change(p->kubevirts, kubevirt_changed, p);
	cache_start(p->kubevirts);
}

/* ---- the end ---- */
static void stopped(void *arg)
{
	struct program *p = arg;
	size_t left = up_left_running(p->up);

	if (left)
		printf("The control plane has stopped. %zu pod%s (virtual machines) run%s on:\n"
		       "  coracle up --data-dir %s      finds them again\n"
		       "  coracle down --data-dir %s    stops them\n",
			left, left == 1 ? "" : "s", left == 1 ? "s" : "", p->args->data_dir,
			p->args->data_dir);
	else
		printf("Stopped.\n");
	loop_stop(p->loop);
}

static void on_signal(void *arg)
{
	struct program *p = arg;

	if (p->stopping) {
		loop_stop(p->loop); /* the second time: at once */
		return;
	}
	p->stopping = true;
	log_info("stopping");
	printf("Stopping the control plane ...\n");
	tell_systemd("STOPPING=1\n");
	if (p->up)
		up_stop(p->up);
	else /* run() stops it as soon as it has started */
		loop_timer_set(p->impatience, START_LEFT_MS);
}

/* Nothing of ours runs yet but the API server, which is not there for anybody before it has started. */
static void leave_start(void *arg)
{
	const struct program *p = arg;

	if (p->up)
		return;
	log_info("left in the middle of starting");
	printf("Stopped.\n");
	fflush(stdout);
	_exit(0);
}

static void failed(void *arg, const struct err *e)
{
	struct program *p = arg;

	dprintf(p->err_fd, "coracle: %s\n", e->msg);
	p->status = 1;
	p->stopping = true;
	up_stop(p->up);
}

/* ---- start ---- */
/* From here on stderr is the log; what the user has to know goes to stdout and err_fd. */
static int open_log(struct program *p, struct err *e)
{
	CLEANUP(mem_freep) char *dir = file_join(p->args->data_dir, "logs");
	CLEANUP(mem_freep) char *path = file_join(dir, "coracle.log");
	CLEANUP(mem_freep) char *old = str_printf("%s.1", path);
	CLEANUP(fd_closep) int fd = -1;
	struct stat st;

	if (file_mkdirs(dir, 0755, e) < 0)
		return -1;
	if (stat(path, &st) == 0 && st.st_size > UP_LOG_MAX)
		rename(path, old);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	p->err_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0 || p->err_fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return err_sys(e, "log %s", path);
	return 0;
}

static int prepare(struct program *p, struct err *e)
{
	CLEANUP(mem_freep) char *run_dir = file_join(p->args->data_dir, "run");
	CLEANUP(mem_freep) char *mark = file_join(p->args->data_dir, DRAIN_ALL_MARK);

	if (geteuid() != 0 && p->args->verb == VERB_UP)
		return err_set(e, ERR_FORBIDDEN,
			"up runs pods and virtual machines on this host and has to be root");
	/* Open to pass through, for the virtual machines' user; what is secret has a mode of its own. */
	if (file_mkdirs(p->args->data_dir, 0755, e) < 0 || file_mkdirs(run_dir, 0700, e) < 0 ||
		instance_lock(p->args->data_dir, &p->lock_fd, e) < 0 || open_log(p, e) < 0)
		return -1;
	unlink(mark);
	log_info("%s in %s", CORACLE_VERSION, p->args->data_dir);
	return 0;
}

static int run(struct program *p, struct err *e)
{
	bool whole = p->args->verb == VERB_UP;
	struct up_spec spec = { .data_dir = p->args->data_dir,
		.port = p->args->port,
		.version = CORACLE_VERSION,
		.controllers = !p->args->bare,
		.agent = whole,
		.bare = p->args->bare,
		.audit_log = p->args->audit_log,
		.max_inflight = p->args->max_inflight,
		.store = p->args->store,
		.listen = p->args->listen,
		.plugins_off = p->args->plugins_off,
		.programs = whole ? programs : NULL,
		.installer = whole ? "virt-operator" : NULL,
		.host_dir = "kubevirt",
		.say = say_line,
		.answering = answering,
		.started = started,
		.stopped = stopped,
		.failed = failed,
		.arg = p };

	p->up = up_start(p->loop, &spec, e);
	if (p->up) {
		if (p->stopping)
			up_stop(p->up);
		loop_run(p->loop);
	}
	cache_free(p->kubevirts);
	up_free(p->up);
	return p->up ? p->status : -1;
}

int cmd_up(const struct args *a)
{
	struct program p = { .args = a, .begun = time_mono_now(), .lock_fd = -1, .err_fd = -1 };
	struct loop_signal *term, *intr;
	struct err e = { 0 };
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("coracle", a->verbose ? LOG_DEBUG : LOG_INFO);
	p.loop = loop_new();
	/* Before anything is begun, so that nothing is left in the middle. */
	term = loop_signal_new(p.loop, SIGTERM, on_signal, &p);
	intr = loop_signal_new(p.loop, SIGINT, on_signal, &p);
	p.drop = loop_timer_new(p.loop, drop_cache, &p);
	p.impatience = loop_timer_new(p.loop, leave_start, &p);
	status = prepare(&p, &e) < 0 ? -1 : run(&p, &e);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_timer_free(p.drop);
	loop_timer_free(p.impatience);
	loop_free(p.loop);
	if (status < 0) {
		dprintf(p.err_fd >= 0 ? p.err_fd : STDERR_FILENO, "coracle: %s\n", e.msg);
		status = 1;
	}
	if (p.err_fd >= 0)
		log_info("ended");
	fd_closep(&p.err_fd);
	fd_closep(&p.lock_fd);
	return status;
}
