/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-shim: stands beside one container for as long as that runs, and outlives the node agent.
 *
 *   coracle-shim [--adopt] DIR LOG LOG_MAX OOM_FILE -- RUNTIME run... -- RUNTIME delete...
 *
 * It is the container's parent (as subreaper): starts the runtime, which leaves the container behind and its pid in DIR/pid;
 * copies stdout and stderr to LOG in the form that Kubernetes' tools know ("TIME stdout F line"), rotated to LOG.1; and
 * tells what happens in DIR/status, replaced as a whole each time:
 *   shim PID
 *   pid PID START_MS START_TICKS
 *   exit CODE SIGNAL END_MS OOM_KILLS
 *   error TEXT           (the runtime could not start it)
 * Then it becomes the runtime's delete command.
 *
 * The container's output goes through two FIFOs in DIR, which the container holds open for reading too: when a shim is killed,
 * nobody gets SIGPIPE, and another one (--adopt) takes over a container that runs. That one is not its parent: the exit code
 * is then told as EXIT_UNKNOWN. Nothing is allocated and no library used but libc: there is one of these
 * per container. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384 /* longer lines are cut into parts, marked P */
#define TEXT_MAX 1024
#define STAMP_MAX 48
#define EXIT_UNKNOWN 255 /* as other runtimes say it */

struct stream {
	int fd;
	const char *name;
	size_t len;
	char buf[LINE_MAX_BYTES];
};
struct shim {
	const char *dir, *log, *oom_file;
	long log_max, log_len;
	int log_fd;
	pid_t runtime, main;
	bool runtime_ended, main_ended;
	int runtime_status, main_status;
	long long started, ended;
	unsigned long long
		ticks; /* start of main, /proc/PID/stat field 22: with the pid it names the process */
	bool adopted;
	struct stream out, err;
};

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- status ---- */
static void in_dir(const struct shim *s, const char *name, char path[4096])
{
	snprintf(path, 4096, "%s/%s", s->dir, name);
}

static size_t slurp(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

static long oom_kills(const struct shim *s)
{
	char text[TEXT_MAX], *at;

	slurp(s->oom_file, text, sizeof(text));
	at = strstr(text, "oom_kill ");
	return at ? strtol(at + 9, NULL, 10) : 0;
}

static void tell(const struct shim *s, const char *error)
{
	char path[4096], tmp[4096], text[TEXT_MAX + 512];
	int n = snprintf(text, sizeof(text), "shim %d\n", (int)getpid()), fd;

	if (s->started)
		n += snprintf(
			text + n, sizeof(text) - n, "pid %d %lld %llu\n", (int)s->main, s->started, s->ticks);
	if (s->main_ended && s->adopted)
		n += snprintf(text + n, sizeof(text) - n, "exit %d 0 %lld %ld\n", EXIT_UNKNOWN, s->ended,
			oom_kills(s));
	else if (s->main_ended)
		n += snprintf(text + n, sizeof(text) - n, "exit %d %d %lld %ld\n",
			WIFEXITED(s->main_status) ? WEXITSTATUS(s->main_status)
						  : 128 + WTERMSIG(s->main_status),
			WIFSIGNALED(s->main_status) ? WTERMSIG(s->main_status) : 0, s->ended, oom_kills(s));
	if (error)
		n += snprintf(text + n, sizeof(text) - n, "error %.*s\n", TEXT_MAX, error);
	in_dir(s, "status", path);
	in_dir(s, "status.new", tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* A full disk must not lose the exit: then the file stays as it was and the agent sees us end without one. */
	if (fd < 0 || write(fd, text, (size_t)n) != n || fsync(fd) < 0 || rename(tmp, path) < 0)
		fprintf(stderr, "coracle-shim: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* ---- log ---- */
static void log_open(struct shim *s)
{
	struct stat st;

	s->log_fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	s->log_len = s->log_fd >= 0 && fstat(s->log_fd, &st) == 0 ? st.st_size : 0;
}

static void log_write(struct shim *s, const char *text, size_t len)
{
	char old[4096];

	if (s->log_len > 0 && s->log_len + (long)len > s->log_max) {
		snprintf(old, sizeof(old), "%s.1", s->log);
		rename(s->log, old);
		if (s->log_fd >= 0)
			close(s->log_fd);
		log_open(s);
	}
	/* What a full disk does not take is lost; the container goes on. */
	if (s->log_fd >= 0 && write(s->log_fd, text, len) == (ssize_t)len)
		s->log_len += (long)len;
}

static void log_line(struct shim *s, const struct stream *st, const char *line, size_t len, bool full)
{
	char text[LINE_MAX_BYTES + STAMP_MAX + 16];
	struct timespec t;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	n = strftime(text, STAMP_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(text + n, STAMP_MAX, ".%09ldZ %s %c ", t.tv_nsec, st->name, full ? 'F' : 'P');
	memcpy(text + n, line, len);
	text[n + len] = '\n';
	log_write(s, text, n + len + 1);
}

static void lines(struct shim *s, struct stream *st)
{
	size_t at = 0;

	for (char *nl; (nl = memchr(st->buf + at, '\n', st->len - at)); at = (size_t)(nl - st->buf) + 1)
		log_line(s, st, st->buf + at, (size_t)(nl - st->buf) - at, true);
	if (at == 0 && st->len == sizeof(st->buf)) {
		log_line(s, st, st->buf, st->len, false);
		at = st->len;
	}
	memmove(st->buf, st->buf + at, st->len - at);
	st->len -= at;
}

/* false: nothing there now. At the end of file the descriptor is closed. */
static bool pump(struct shim *s, struct stream *st)
{
	ssize_t n = st->fd < 0 ? -1 : read(st->fd, st->buf + st->len, sizeof(st->buf) - st->len);

	if (n > 0) {
		st->len += (size_t)n;
		lines(s, st);
		return true;
	}
	if (n == 0 || (st->fd >= 0 && errno != EAGAIN && errno != EINTR)) {
		close(st->fd);
		st->fd = -1;
	}
	return false;
}

static void drain(struct shim *s, struct stream *st)
{
	while (pump(s, st))
		;
	if (st->len)
		log_line(s, st, st->buf, st->len, true);
	st->len = 0;
}

/* ---- processes ---- */
static void nothing(int sig)
{
	(void)sig;
}

static void write_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, score, strlen(score)) < 0 && errno != EACCES && errno != EPERM)
		fprintf(stderr, "coracle-shim: oom_score_adj: %s\n", strerror(errno));
	close(fd);
}

/* Opened for both directions, so that neither end ever sees the other one missing. flags: O_NONBLOCK for us. */
static int fifo_open(const struct shim *s, const char *name, int flags)
{
	char path[4096];

	in_dir(s, name, path);
	if (mkfifo(path, 0622) < 0 && errno != EEXIST)
		return -1;
	chmod(path,
		0622); /* writers without rights may open /dev/stdout again; the directory itself is closed to them */
	return open(path, O_RDWR | O_CLOEXEC | flags);
}

static int streams_open(struct shim *s)
{
	s->out.fd = fifo_open(s, "stdout", O_NONBLOCK);
	s->err.fd = fifo_open(s, "stderr", O_NONBLOCK);
	return s->out.fd < 0 || s->err.fd < 0 ? -1 : 0;
}

static int start_runtime(struct shim *s, char **argv)
{
	int out = fifo_open(s, "stdout", 0), err = fifo_open(s, "stderr", 0);
	sigset_t none;

	if (out < 0 || err < 0 || streams_open(s) < 0)
		return -1;
	s->runtime = fork();
	if (s->runtime < 0)
		return -1;
	if (s->runtime == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		write_oom_score("0");
		dup2(out, 1);
		dup2(err, 2);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(out);
	close(err);
	return 0;
}

static unsigned long long start_ticks(pid_t pid)
{
	char path[64], text[1024], *at;
	unsigned long long ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	slurp(path, text, sizeof(text));
	at = strrchr(text, ')'); /* the name may hold anything */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at + 1, NULL, 10);
	return ticks;
}

/* Follows a container that another shim started: until its main process, named by pid and start, is gone. */
static int adopt(struct shim *s)
{
	char path[4096], text[TEXT_MAX], *at;
	int fd;

	s->adopted = true;
	in_dir(s, "status", path);
	slurp(path, text, sizeof(text));
	at = strstr(text, "\npid ");
	if (!at)
		return -1;
	s->main = (pid_t)strtol(at + 5, &at, 10);
	s->started = strtoll(at, &at, 10);
	s->ticks = strtoull(at, &at, 10);
	if (s->main <= 0 || !s->ticks || streams_open(s) < 0)
		return -1;
	tell(s, NULL);
	fd = (int)syscall(SYS_pidfd_open, s->main, 0);
	while (fd >= 0 && start_ticks(s->main) == s->ticks) {
		struct pollfd p[3] = { { fd, POLLIN, 0 }, { s->out.fd, POLLIN, 0 },
			{ s->err.fd, POLLIN, 0 } };

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents)
			pump(s, &s->out);
		if (p[2].revents)
			pump(s, &s->err);
		if (p[0].revents)
			break;
	}
	drain(s, &s->out);
	drain(s, &s->err);
	s->main_ended = true;
	s->ended = now_ms();
	return 0;
}

/* The last message of the runtime's own log: {"level":"error","msg":"...","time":...} */
static void runtime_error(const struct shim *s, char error[TEXT_MAX])
{
	char path[4096], text[8192], *at = NULL, *next, *end;
	size_t len;

	in_dir(s, "runtime.log", path);
	len = slurp(path, text, sizeof(text));
	for (next = text; (next = strstr(next, "\"msg\":\"")); at = next)
		next += 7;
	if (at && (end = strstr(at, "\",\"time\"")))
		*end = 0;
	while (!at && len > 0 && text[len - 1] == '\n')
		text[--len] = 0;
	if (!at && len)
		at = text;
	snprintf(error, TEXT_MAX, "%.*s", TEXT_MAX - 1,
		at ? at : "the container runtime failed without saying why");
	for (char *c = error; *c; c++)
		if (*c == '\n')
			*c = ' ';
}

static void runtime_ended(struct shim *s)
{
	char path[4096], text[TEXT_MAX];

	in_dir(s, "pid", path);
	if (s->runtime_status == 0 && slurp(path, text, sizeof(text)))
		s->main = (pid_t)strtol(text, NULL, 10);
	if (s->main > 0) {
		s->started = now_ms();
		s->ticks = start_ticks(s->main);
		tell(s, NULL);
	}
}

static void reap(struct shim *s)
{
	int status;
	pid_t pid;

	/* The container may end before the runtime that started it: keep the statuses of strangers until we know who it is.
	 * That is one at most worth keeping, as the runtime is waited for first. */
	while (!s->runtime_ended && (pid = waitpid(s->runtime, &status, WNOHANG)) == s->runtime) {
		s->runtime_ended = true;
		s->runtime_status = status;
		runtime_ended(s);
	}
	while (s->runtime_ended && (pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->main) {
			s->main_ended = true;
			s->main_status = status;
			s->ended = now_ms();
		}
}

static void serve(struct shim *s, int sigfd)
{
	struct signalfd_siginfo info;

	while (!s->main_ended && !(s->runtime_ended && s->main <= 0)) {
		struct pollfd p[3] = { { sigfd, POLLIN, 0 }, { s->out.fd, POLLIN, 0 },
			{ s->err.fd, POLLIN, 0 } };

		if (poll(p, 3, -1) < 0)
			continue;
		if (p[1].revents)
			pump(s, &s->out);
		if (p[2].revents)
			pump(s, &s->err);
		if (p[0].revents && read(sigfd, &info, sizeof(info)) > 0)
			reap(s);
	}
	drain(s, &s->out);
	drain(s, &s->err);
}

static char **after_dashes(char **argv)
{
	while (*argv && strcmp(*argv, "--") != 0)
		argv++;
	if (!*argv || !argv[1])
		return NULL;
	*argv = NULL;
	return argv + 1;
}

int main(int argc, char **argv)
{
	static struct shim s = { .out = { .fd = -1, .name = "stdout" },
		.err = { .fd = -1, .name = "stderr" } };
	static const int spared[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
	bool adopting = argc > 1 && strcmp(argv[1], "--adopt") == 0;
	char **args = argv + adopting;
	char **run = argc - adopting > 5 ? after_dashes(args + 5) : NULL,
	     **del = run ? after_dashes(run) : NULL;
	char error[TEXT_MAX];
	sigset_t child;
	int sigfd;

	if (!del) {
		fprintf(stderr,
			"usage: coracle-shim [--adopt] DIR LOG LOG_MAX OOM_FILE -- RUN... -- DELETE...\n");
		return 2;
	}
	s.dir = args[1];
	s.log = args[2];
	s.log_max = strtol(args[3], NULL, 10);
	s.oom_file = args[4];
	for (size_t i = 0; i < sizeof(spared) / sizeof(spared[0]); i++)
		sigaction(spared[i], &(struct sigaction){ .sa_handler = nothing, .sa_flags = SA_RESTART },
			NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	sigfd = signalfd(-1, &child, SFD_CLOEXEC);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	write_oom_score("-998");
	log_open(&s);
	if (adopting) {
		if (adopt(&s) < 0)
			return 1;
		tell(&s, NULL);
		sigprocmask(SIG_UNBLOCK, &child, NULL);
		execvp(del[0], del);
		return 1;
	}
	tell(&s, NULL);
	if (sigfd < 0 || start_runtime(&s, run) < 0) {
		snprintf(error, sizeof(error), "starting %s: %s", run[0], strerror(errno));
		tell(&s, error);
		return 1;
	}
	serve(&s, sigfd);
	if (s.main <= 0)
		runtime_error(&s, error);
	tell(&s, s.main > 0 ? NULL : error);
	sigprocmask(SIG_UNBLOCK, &child, NULL);
	execvp(del[0], del);
	return 1;
}
