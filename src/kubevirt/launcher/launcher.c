/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"

#include <signal.h>
#include <sys/stat.h>

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

int launcher_new(struct loop *loop, const struct launcher_spec *spec, struct launcher **ret, struct err *e)
{
	static const struct wire_server_ops ops = { .phase = phase_now, .verb = verbs_dispatch };
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
	l->oom_kills = oom_kill_count();
	l->push = loop_timer_new(loop, state_push_due, l);
	l->balloon = loop_timer_new(loop, guest_balloon_due, l);
	l->space = loop_timer_new(loop, guest_space_due, l);
	l->console = console_new(loop);
	if (wire_server_new(loop, l->socket, &ops, l, &l->server, e) < 0) {
		launcher_free(l);
		return -1;
	}
	l->term = loop_signal_new(loop, SIGTERM, on_signal, l);
	l->intr = loop_signal_new(loop, SIGINT, on_signal, l);
	state_changed(l);
	*ret = l;
	return 0;
}

void launcher_free(struct launcher *l)
{
	if (!l)
		return;
	if (l->server && loop_timer_armed(l->push))
		state_push_due(l); /* the last word, for whoever listens, and on disk */
	prepare_cancel(l);
	if (l->resize)
		resize_set_qmp(l->resize, NULL);
	spawn_done(l);
	console_free(l->console);
	wire_server_free(l->server);
	resize_free(l->resize);
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
	domain_free(l->domain);
	free(l->machine);
	free(l->dir);
	free(l->socket);
	free(l->qemu_bin);
	free(l);
}
