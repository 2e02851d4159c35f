/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "kubevirt/launcher/net.h"
#include "qemu/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_TAIL (4 * 1024)

/* The descriptors QEMU inherits, in proc_spec's order: PROC_FD_BASE and up. */
enum { FD_QMP, FD_RESCUE, FD_CONSOLE, FD_AGENT, FD_NET };

/* Programs put their name in front of an error and hints behind it: the last line with the name, else the last one. */
static char *pick_line(char *text, const char *name)
{
	char *rest = text, *last = NULL, *named = NULL;

	for (char *line; (line = str_next(&rest, '\n'));) {
		line[strcspn(line, "\r")] = '\0';
		if (!*line)
			continue;
		last = line;
		if (name && str_starts(line, name))
			named = line;
	}
	if (!named && !last)
		return NULL;
	return mem_strdup(named ? named : last);
}

char *last_line(const char *path, const char *name)
{
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char buf[LOG_TAIL + 1];
	ssize_t n;

	if (size <= 0)
		return NULL;
	n = pread(fd, buf, LOG_TAIL, size > LOG_TAIL ? size - LOG_TAIL : 0);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return pick_line(buf, name);
}

static int open_log(struct launcher *l, const char *name, int *ret, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(l->dir, name);

	*ret = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	return *ret < 0 ? err_sys(e, "opening \"%s\"", path) : 0;
}

/* ---- passt ---- */

static void passt_exited(void *arg, pid_t pid, int wait_status)
{
	struct launcher *l = arg;
	CLEANUP(mem_freep) char *path = file_join(l->dir, "passt.log"), *why = NULL;
	struct err e;

	for (size_t i = 0; i < VM_NICS_MAX; i++) {
		if (l->passt_pid[i] != pid)
			continue;
		l->passt_pid[i] = 0;
		loop_child_free(TAKE(l->passt_child[i]));
	}
	if (l->qemu_pid <= 0 && l->prep.at >= P_GREETING)
		return; /* it ends with its QEMU */
	why = last_line(path, NULL);
	log_warn("passt ended (wait status %d): %s", wait_status, why ? why : "no message");
	err_set(&e, ERR_SYSTEM, "passt ended: %s", why ? why : "no message");
	prepare_failed(l, "StartFailed", &e); /* once the guest runs, it only has no network any more */
}

/* One end of the pair is left in config->nics[i].fd for QEMU. */
static int start_passt(struct launcher *l, size_t i, struct err *e)
{
	struct strv argv = { 0 };
	struct proc_spec spec = PROC_SPEC_INIT;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	net_passt_argv(l->domain, &l->domain->nics[i], PROC_FD_BASE, &argv);
	spec.argv = strv_argv(&argv);
	spec.fds[0] = pair[1];
	spec.n_fds = 1;
	spec.die_with_parent = true;
	r = open_log(l, "passt.log", &spec.stderr_fd, e);
	if (!r)
		r = proc_spawn(&spec, &l->passt_pid[i], e);
	if (spec.stderr_fd >= 0)
		close(spec.stderr_fd);
	strv_done(&argv);
	close(pair[1]);
	if (r < 0) {
		l->passt_pid[i] = 0;
		close(pair[0]);
		return -1;
	}
	l->config->nics[i].fd = pair[0];
	l->passt_child[i] = loop_child_new(l->loop, l->passt_pid[i], passt_exited, l);
	return 0;
}

/* Which ports this process, and so QEMU, can listen on: one that it can not would keep QEMU from starting. */
static bool port_free(bool udp, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	CLEANUP(fd_closep) int fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

int spawn_network(struct launcher *l, struct err *e)
{
	bool passt = str_eq(l->domain->network, NET_PASST);

	for (size_t i = 0; i < l->domain->n_nics; i++) {
		const struct domain_nic *n = &l->domain->nics[i];
		struct vm_nic *to = &l->config->nics[i];

		*to = (struct vm_nic){ .name = n->name,
			.mac = n->mac,
			.model = n->model,
			.bootindex = n->boot_order,
			.fd = -1 };
		if (n->tap) {
			to->netdev = VM_NET_TAP_FD;
			to->fd = fcntl(n->fd, F_DUPFD_CLOEXEC, 3);
			to->mtu = nic_mtu(n->fd);
			if (to->fd < 0)
				return err_sys(e, "interface \"%s\"", n->name);
			continue;
		}
		if (passt) {
			to->netdev = VM_NET_STREAM_FD;
			if (start_passt(l, i, e) < 0)
				return err_wrap(e, "interface \"%s\"", n->name);
			continue;
		}
		strv_done(&l->hostfwd[i]);
		net_slirp(l->domain, n, port_free, &l->hostfwd[i], to);
	}
	l->config->n_nics = l->domain->n_nics;
	return 0;
}

/* ---- QEMU ---- */

static int listen_in(struct launcher *l, const char *name, int *ret, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(l->dir, name);

	return unix_listen(path, 0600, 4, ret, e);
}

static int connect_in(struct launcher *l, const char *name, int *ret, struct err *e)
{
	CLEANUP(mem_freep) char *path = file_join(l->dir, name);

	return unix_connect(path, ret, e);
}

static int open_descriptors(struct launcher *l, struct proc_spec *spec, struct err *e)
{
	static const char *const names[] = { [FD_QMP] = "qmp.sock",
		[FD_RESCUE] = "rescue.sock",
		[FD_CONSOLE] = "console.sock",
		[FD_AGENT] = "agent.sock" };

	for (int i = 0; i < FD_NET; i++) {
		if (listen_in(l, names[i], &spec->fds[i], e) < 0)
			return -1;
		spec->n_fds++;
	}
	for (size_t i = 0; i < l->config->n_nics; i++) {
		struct vm_nic *n = &l->config->nics[i];

		if (n->netdev == VM_NET_SLIRP)
			continue;
		if (spec->n_fds >= PROC_FDS_MAX)
			return err_set(e, ERR_INVALID, "more than %d interfaces with descriptors",
				PROC_FDS_MAX - FD_NET);
		spec->fds[spec->n_fds] = n->fd; /* closed with the others */
		n->fd = PROC_FD_BASE + (int)spec->n_fds++;
	}
	return open_log(l, "qemu.log", &spec->stderr_fd, e);
}

static int connect_qemu(struct launcher *l, struct err *e)
{
	int qmp, con;

	/* The sockets listen already; QEMU greets when it is up. */
	if (connect_in(l, "qmp.sock", &qmp, e) < 0)
		return -1;
	l->qmp = qmp_new(l->loop, qmp, QEMU_GREETING_MS, &guest_qmp_ops, l);
	if (connect_in(l, "console.sock", &con, e) < 0)
		return -1;
	console_attach(l->console, con);
	return 0;
}

int spawn_qemu(struct launcher *l, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_INIT;
	int r = open_descriptors(l, &spec, e);

	if (!r) {
		if (!l->ports)
			l->ports = MEM_NEW(struct vm_ports);
		vm_ports_of(l->config, l->ports);
		strv_done(&l->argv);
		vm_argv(l->config, &l->argv);
		spec.argv = strv_argv(&l->argv);
		spec.stdout_fd = spec.stderr_fd;
		spec.die_with_parent = true;
		r = proc_spawn(&spec, &l->qemu_pid, e);
	}
	for (size_t i = 0; i < spec.n_fds; i++)
		close(spec.fds[i]);
	if (spec.stderr_fd >= 0)
		close(spec.stderr_fd);
	if (r < 0) {
		l->qemu_pid = 0;
		return -1;
	}
	l->qemu_child = loop_child_new(l->loop, l->qemu_pid, guest_exited, l);
	return connect_qemu(l, e);
}

void spawn_done(struct launcher *l)
{
	qmp_free(TAKE(l->qmp));
	if (l->qemu_pid > 0) {
		kill(l->qemu_pid, SIGKILL);
		loop_child_free(TAKE(l->qemu_child));
		waitpid(l->qemu_pid, NULL, 0);
		l->qemu_pid = 0;
	}
	for (size_t i = 0; i < VM_NICS_MAX; i++) {
		if (l->passt_pid[i] <= 0)
			continue;
		kill(l->passt_pid[i], SIGKILL);
		loop_child_free(TAKE(l->passt_child[i]));
		waitpid(l->passt_pid[i], NULL, 0);
		l->passt_pid[i] = 0;
	}
}
