/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/launcher.h"

#include "base/file.h"
#include "base/log.h"
#include "kubevirt/launcher/launcher_impl.h"

#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

static enum wire_phase phase_now(void *arg)
{
	return ((struct launcher *)arg)->phase;
}

void launcher_terminate(struct launcher *l)
{
	log_info("asked to end");
	if (l->phase == WIRE_PHASE_IDLE || l->stop.at == S_GONE) {
		loop_stop(l->loop);
		return;
	}
	l->terminating = true;
	guest_stop(l, l->domain->grace_s);
}

static void on_signal(void *arg)
{
	launcher_terminate(arg);
}

int launcher_status(const struct launcher *l)
{
	return l->exit_status;
}

/* ---- the directory ---- */

static int launcher_open(struct launcher *l, struct err *e)
{
	static const struct wire_server_ops ops = { .phase = phase_now, .verb = verbs_dispatch };

	if (wire_server_new(l->loop, l->socket, &ops, l, &l->server, e) < 0)
		return -1;
	state_changed(l);
	return 0;
}

static void dir_wait_end(struct launcher *l)
{
	if (l->dir_watch)
		loop_fd_free(TAKE(l->dir_watch));
	if (l->dir_notify >= 0)
		close(l->dir_notify);
	l->dir_notify = -1;
}

static void on_dir_changed(void *arg, int what)
{
	struct launcher *l = arg;
	char buf[4096];
	struct err e;

	(void)what;
	while (read(l->dir_notify, buf, sizeof(buf)) > 0)
		;
	if (access(l->dir, W_OK | X_OK) < 0)
		return;
	dir_wait_end(l);
	if (launcher_open(l, &e) < 0) {
		log_error("%s", e.msg);
		l->exit_status = 2;
		loop_stop(l->loop);
	}
}

/* The kubelet made it, as root; virt-handler gives it to us as soon as it sees our pod (api/handoff.h). */
static int dir_wait(struct launcher *l, struct err *e)
{
	l->dir_notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (l->dir_notify < 0 || inotify_add_watch(l->dir_notify, l->dir, IN_ATTRIB) < 0)
		return err_sys(e, "watching \"%s\"", l->dir);
	log_info("waiting until \"%s\" is ours", l->dir);
	l->dir_watch = loop_fd_new(l->loop, l->dir_notify, LOOP_READ, on_dir_changed, l);
	on_dir_changed(l, LOOP_READ); /* it may have happened in between */
	return 0;
}

int launcher_new(struct loop *loop, const struct launcher_spec *spec, struct launcher **ret, struct err *e)
{
	struct launcher *l;

	if (file_mkdirs(spec->dir, 0700, e) < 0)
		return err_wrap(e, "the VM's directory");
	l = MEM_NEW(struct launcher);
	l->loop = loop;
	l->spec = *spec;
	l->dir = mem_strdup(spec->dir);
	l->socket = spec->socket ? mem_strdup(spec->socket) : file_join(spec->dir, WIRE_SOCKET);
	l->qemu_bin = spec->qemu ? mem_strdup(spec->qemu) : NULL;
	l->stop.states = stop_states;
	l->dir_notify = -1;
	l->oom_kills = oom_kill_count();
	l->push = loop_timer_new(loop, state_push_due, l);
	l->balloon = loop_timer_new(loop, guest_balloon_due, l);
	l->space = loop_timer_new(loop, guest_space_due, l);
	l->console = console_new(loop);
	if ((access(l->dir, W_OK | X_OK) < 0 ? dir_wait(l, e) : launcher_open(l, e)) < 0) {
		launcher_free(l);
		return -1;
	}
	l->term = loop_signal_new(loop, SIGTERM, on_signal, l);
	l->intr = loop_signal_new(loop, SIGINT, on_signal, l);
	*ret = l;
	return 0;
}

void launcher_free(struct launcher *l)
{
	if (!l)
		return;
	if (l->server && loop_timer_armed(l->push))
		state_push_due(l); /* the last word, for whoever listens, and on disk */
	dir_wait_end(l);
	prepare_cancel(l);
	if (l->resize)
		resize_set_qmp(l->resize, NULL);
	nic_end(l);
	spawn_done(l);
	plug_end(l);
	console_free(l->console);
	wire_server_free(l->server);
	resize_free(l->resize);
	cpus_free(l->cpus);
	loop_timer_free(l->push);
	loop_timer_free(l->balloon);
	loop_timer_free(l->space);
	loop_timer_free(l->stop_timer);
	if (l->term)
		loop_signal_free(l->term);
	if (l->intr)
		loop_signal_free(l->intr);
	for (size_t i = 0; i < VM_DISKS_MAX; i++) {
		image_done(&l->images[i]);
		free(l->files[i]);
	}
	for (size_t i = 0; i < VM_NICS_MAX; i++)
		strv_done(&l->hostfwd[i]);
	strv_done(&l->argv);
	free(l->config);
	free(l->ports);
	domain_free(l->domain);
	free(l->machine);
	free(l->firmware_vars);
	free(l->dir);
	free(l->socket);
	free(l->qemu_bin);
	free(l);
}
