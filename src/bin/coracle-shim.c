/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-shim: stands beside one container for as long as that runs, and outlives the node agent.
 *
 *   coracle-shim [--adopt] [--tty] [--stdin | --stdin-once] DIR LOG LOG_MAX OOM_FILE -- RUNTIME run... -- RUNTIME delete...
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
 * is then told as EXIT_UNKNOWN. A terminal (--tty: the runtime sends its master to DIR/console) can not be taken over: it hangs
 * up with the shim.
 *
 * Who wants to see the output live, or to type, connects to DIR/attach (SOCK_SEQPACKET). The first byte of a packet says what the
 * rest is: from us 1 stdout, 2 stderr; to us 0 stdin, 4 the terminal's columns and rows (two bytes each, low one first), 5 that
 * this connection feeds stdin, 255 that stdin ends. With --stdin-once the first one that feeds stdin ends it by going. A
 * connection that does not read stops the container's output, for CLIENT_STALL_MS at most: then it is cut.
 *
 * Nothing is allocated and no library used but libc: there is one of these
 * per container. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 16384 /* longer lines are cut into parts, marked P */
#define TEXT_MAX 1024
#define STAMP_MAX 48
#define EXIT_UNKNOWN 255 /* as other runtimes say it */
#define FIFO_OUT 0622
#define FIFO_IN 0644
#define CLIENTS_MAX 8
#define CLIENT_STALL_MS 30000
#define CLIENT_LAST_MS 2000 /* for the last output, when the container has ended */

enum { TO_STDIN = 0, FROM_STDOUT = 1, FROM_STDERR = 2, TO_SIZE = 4, TO_FEED = 5, TO_STDIN_END = 255 };

struct stream {
	int fd;
	const char *name;
	unsigned char number;
	size_t len;
	char buf[LINE_MAX_BYTES];
};
/* Attached. */
struct client {
	int fd; /* -1: free */
	bool feeds, full;
	long long full_since;
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
	bool tty, with_stdin, stdin_once, stdin_over;
	int dir_fd, listen_fd, console_fd, in_fd; /* -1: none */
	struct client clients[CLIENTS_MAX];
	size_t in_len; /* what stdin did not take yet */
	char in[LINE_MAX_BYTES];
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

/* ---- attached clients ---- */
static void stdin_close(struct shim *s)
{
	if (s->in_fd >= 0)
		close(s->in_fd);
	s->in_fd = -1;
	s->in_len = 0;
}

static void stdin_end(struct shim *s)
{
	if (!s->stdin_once || s->tty)
		return;
	s->stdin_over = true;
	if (!s->in_len)
		stdin_close(s);
}

static void client_drop(struct shim *s, struct client *c)
{
	close(c->fd);
	c->fd = -1;
	if (c->feeds)
		stdin_end(s);
}

static void check_full(struct client *c)
{
	struct pollfd p = { c->fd, POLLOUT, 0 };

	c->full = poll(&p, 1, 0) == 0;
	if (c->full)
		c->full_since = now_ms();
}

static bool any_full(const struct shim *s)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0 && s->clients[i].full)
			return true;
	return false;
}

/* There is room: nothing is read for clients while one of them is full. */
static void to_clients(struct shim *s, unsigned char number, char *data, size_t len)
{
	struct iovec v[2] = { { &number, 1 }, { data, len } };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };

	for (struct client *c = s->clients; c < s->clients + CLIENTS_MAX; c++) {
		if (c->fd < 0)
			continue;
		if (sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			client_drop(s, c);
		else
			check_full(c);
	}
}

/* Waits until nobody is full, but not long. */
static void clients_catch_up(struct shim *s)
{
	long long end = now_ms() + CLIENT_LAST_MS;

	for (struct client *c = s->clients; c < s->clients + CLIENTS_MAX; c++) {
		struct pollfd p = { c->fd, POLLOUT, 0 };

		if (c->fd < 0 || !c->full)
			continue;
		c->full = false;
		if (poll(&p, 1, end > now_ms() ? (int)(end - now_ms()) : 0) <= 0)
			client_drop(s, c);
	}
}

static void client_accept(struct shim *s)
{
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct client *c = s->clients;

	while (c < s->clients + CLIENTS_MAX && c->fd >= 0)
		c++;
	if (fd >= 0 && c < s->clients + CLIENTS_MAX)
		*c = (struct client){ .fd = fd };
	else if (fd >= 0)
		close(fd);
}

static void stdin_push(struct shim *s)
{
	ssize_t n = s->in_fd < 0 ? -1 : write(s->in_fd, s->in, s->in_len);

	if (n < 0 && s->in_fd >= 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		s->in_len = 0;
		return;
	}
	s->in_len -= (size_t)n;
	memmove(s->in, s->in + n, s->in_len);
	if (s->stdin_over && !s->in_len)
		stdin_close(s);
}

static void client_packet(struct shim *s, struct client *c)
{
	unsigned char p[LINE_MAX_BYTES + 1];
	ssize_t n = recv(c->fd, p, sizeof(p), MSG_DONTWAIT);
	struct winsize size = { 0 };

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(s, c);
	} else if (p[0] == TO_STDIN && n > 1 && !s->stdin_over) {
		memcpy(s->in, p + 1, (size_t)n - 1);
		s->in_len = (size_t)n - 1;
		stdin_push(s);
	} else if (p[0] == TO_SIZE && n == 5 && s->tty && s->in_fd >= 0) {
		size.ws_col = (unsigned short)(p[1] | p[2] << 8);
		size.ws_row = (unsigned short)(p[3] | p[4] << 8);
		ioctl(s->in_fd, TIOCSWINSZ, &size);
	} else if (p[0] == TO_FEED) {
		c->feeds = true;
	} else if (p[0] == TO_STDIN_END) {
		stdin_end(s);
	}
}

/* A socket in DIR, whose path may be longer than an address can be. */
static int listen_in_dir(const struct shim *s, const char *name, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", s->dir_fd, name);
	unlinkat(s->dir_fd, name, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, CLIENTS_MAX) < 0) {
		fprintf(stderr, "coracle-shim: %s: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* The runtime has made the terminal: its master comes in a message. */
static void console_take(struct shim *s)
{
	char byte, room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	int conn = s->console_fd < 0 ? -1 : accept4(s->console_fd, NULL, NULL, SOCK_CLOEXEC);
	struct cmsghdr *h;

	if (conn < 0)
		return;
	h = recvmsg(conn, &m, MSG_CMSG_CLOEXEC) > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
		memcpy(&s->out.fd, CMSG_DATA(h), sizeof(int));
		fcntl(s->out.fd, F_SETFL, fcntl(s->out.fd, F_GETFL) | O_NONBLOCK);
		s->in_fd = fcntl(s->out.fd, F_DUPFD_CLOEXEC, 3);
	}
	close(conn);
	close(s->console_fd);
	s->console_fd = -1;
	unlinkat(s->dir_fd, "console", 0);
}

/* ---- output ---- */
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
		to_clients(s, st->number, st->buf + st->len, (size_t)n);
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
	do
		clients_catch_up(s);
	while (pump(s, st));
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
static int fifo_open(const struct shim *s, const char *name, int mode, int flags)
{
	char path[4096];

	in_dir(s, name, path);
	if (mkfifo(path, (mode_t)mode) < 0 && errno != EEXIST)
		return -1;
	/* programs without rights may open /dev/stdout again; the directory itself is closed to them */
	chmod(path, (mode_t)mode);
	return open(path, O_CLOEXEC | flags);
}

static int streams_open(struct shim *s)
{
	if (!s->tty)
		s->out.fd = fifo_open(s, "stdout", FIFO_OUT, O_RDWR | O_NONBLOCK);
	s->err.fd = fifo_open(s, "stderr", FIFO_OUT, O_RDWR | O_NONBLOCK);
	return (!s->tty && s->out.fd < 0) || s->err.fd < 0 ? -1 : 0;
}

/* The container's end of stdin, and ours. Without --stdin-once it never ends: both hold it open for both directions, as above. */
static int stdin_open(struct shim *s)
{
	int theirs;

	if (!s->with_stdin || s->tty)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!s->stdin_once) {
		s->in_fd = fifo_open(s, "stdin", FIFO_IN, O_RDWR | O_NONBLOCK);
		return fifo_open(s, "stdin", FIFO_IN, O_RDWR);
	}
	theirs = fifo_open(s, "stdin", FIFO_IN, O_RDONLY | O_NONBLOCK);
	s->in_fd = fifo_open(s, "stdin", FIFO_IN, O_WRONLY | O_NONBLOCK);
	if (theirs >= 0)
		fcntl(theirs, F_SETFL, 0);
	return theirs;
}

static int start_runtime(struct shim *s, char **argv)
{
	/* With a terminal these are for what the runtime itself has to say. */
	int err = fifo_open(s, "stderr", FIFO_OUT, O_RDWR);
	int out = s->tty ? err : fifo_open(s, "stdout", FIFO_OUT, O_RDWR), in = stdin_open(s);
	sigset_t none;

	if (out < 0 || err < 0 || in < 0 || streams_open(s) < 0)
		return -1;
	if (s->tty && (s->console_fd = listen_in_dir(s, "console", SOCK_STREAM)) < 0)
		return -1;
	s->runtime = fork();
	if (s->runtime < 0)
		return -1;
	if (s->runtime == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		write_oom_score("0");
		dup2(in, 0);
		dup2(out, 1);
		dup2(err, 2);
		if (s->tty && fchdir(s->dir_fd) < 0) /* the console's path is "console" */
			_exit(127);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(in);
	if (out != err)
		close(out);
	close(err);
	return 0;
}

/* ---- waiting ---- */
enum { P_EVENT, P_LISTEN, P_CONSOLE, P_OUT, P_ERR, P_IN, P_CLIENTS, P_COUNT = P_CLIENTS + CLIENTS_MAX };

static void poll_clients(struct shim *s, struct pollfd *p)
{
	for (int i = 0; i < CLIENTS_MAX; i++) {
		const struct client *c = &s->clients[i];
		/* one that hung up is told again and again: not watched while nothing can be done about it */
		bool watch = c->full || !s->in_len;

		p[i] = (struct pollfd){ watch ? c->fd : -1,
			(short)((s->in_len ? 0 : POLLIN) | (c->full ? POLLOUT : 0)), 0 };
	}
}

static void serve_clients(struct shim *s, const struct pollfd *p)
{
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd < 0 || c->fd != p[i].fd)
			continue;
		if (p[i].revents & POLLOUT)
			c->full = false;
		else if (c->full && now_ms() - c->full_since >= CLIENT_STALL_MS)
			client_drop(s, c);
		else if ((p[i].revents & (POLLHUP | POLLERR)) && !(p[i].revents & POLLIN))
			client_drop(s, c);
		if (c->fd >= 0 && (p[i].revents & POLLIN) && !s->in_len)
			client_packet(s, c);
	}
}

/* Sleeps until something happens and sees to it; true: event_fd is readable. */
static bool turn(struct shim *s, int event_fd)
{
	bool full = any_full(s);
	struct pollfd p[P_COUNT] = { [P_EVENT] = { event_fd, POLLIN, 0 },
		[P_LISTEN] = { s->listen_fd, POLLIN, 0 },
		[P_CONSOLE] = { s->console_fd, POLLIN, 0 },
		[P_OUT] = { full ? -1 : s->out.fd, POLLIN, 0 },
		[P_ERR] = { full ? -1 : s->err.fd, POLLIN, 0 },
		[P_IN] = { s->in_len ? s->in_fd : -1, POLLOUT, 0 } };

	poll_clients(s, p + P_CLIENTS);
	if (poll(p, P_COUNT, full ? 1000 : -1) < 0)
		return false;
	if (p[P_CONSOLE].revents)
		console_take(s);
	if (p[P_OUT].revents)
		pump(s, &s->out);
	if (p[P_ERR].revents && !any_full(s))
		pump(s, &s->err);
	if (p[P_IN].revents)
		stdin_push(s);
	serve_clients(s, p + P_CLIENTS);
	if (p[P_LISTEN].revents)
		client_accept(s);
	return p[P_EVENT].revents != 0;
}

static void drain_all(struct shim *s)
{
	console_take(s);
	drain(s, &s->out);
	drain(s, &s->err);
	for (struct client *c = s->clients; c < s->clients + CLIENTS_MAX; c++)
		if (c->fd >= 0)
			client_drop(s, c);
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
	/* An end that somebody has told already must not be taken back: with --stdin-once it is over. */
	if (s->with_stdin && !s->stdin_once && !s->tty)
		s->in_fd = fifo_open(s, "stdin", FIFO_IN, O_RDWR | O_NONBLOCK);
	tell(s, NULL);
	fd = (int)syscall(SYS_pidfd_open, s->main, 0);
	while (fd >= 0 && start_ticks(s->main) == s->ticks && !turn(s, fd))
		;
	drain_all(s);
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
	console_take(s);
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

	while (!s->main_ended && !(s->runtime_ended && s->main <= 0))
		if (turn(s, sigfd) && read(sigfd, &info, sizeof(info)) > 0)
			reap(s);
	drain_all(s);
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

/* Options before DIR; what follows them. */
static char **read_options(struct shim *s, char **args, bool *adopting)
{
	for (; *args && strncmp(*args, "--", 2) == 0; args++) {
		if (strcmp(*args, "--adopt") == 0)
			*adopting = true;
		else if (strcmp(*args, "--tty") == 0)
			s->tty = true;
		else if (strcmp(*args, "--stdin") == 0)
			s->with_stdin = true;
		else if (strcmp(*args, "--stdin-once") == 0)
			s->with_stdin = s->stdin_once = true;
		else
			break;
	}
	return args;
}

int main(int argc, char **argv)
{
	static struct shim s = { .out = { .fd = -1, .name = "stdout", .number = FROM_STDOUT },
		.err = { .fd = -1, .name = "stderr", .number = FROM_STDERR },
		.listen_fd = -1,
		.console_fd = -1,
		.in_fd = -1 };
	static const int spared[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
	bool adopting = false;
	char **args = read_options(&s, argv + 1, &adopting);
	char **run = argv + argc - args > 4 ? after_dashes(args + 4) : NULL,
	     **del = run ? after_dashes(run) : NULL;
	char error[TEXT_MAX];
	sigset_t child;
	int sigfd;

	if (!del) {
		fprintf(stderr, "usage: coracle-shim [--adopt] [--tty] [--stdin | --stdin-once] DIR LOG "
				"LOG_MAX OOM_FILE -- RUN... -- DELETE...\n");
		return 2;
	}
	s.dir = args[0];
	s.log = args[1];
	s.log_max = strtol(args[2], NULL, 10);
	s.oom_file = args[3];
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
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s.clients[i].fd = -1;
	s.dir_fd = open(s.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	s.listen_fd = listen_in_dir(&s, "attach", SOCK_SEQPACKET);
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
