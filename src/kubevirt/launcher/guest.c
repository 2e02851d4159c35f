/* SPDX-License-Identifier: Apache-2.0 */
/* The running guest: QEMU's events, balloon statistics, and the three ways to an end: it goes by itself, it is asked,
 * it is killed. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "qemu/qmp_cmds.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define BALLOON_PATH "/machine/peripheral/balloon0"
#define CGROUP_FILE_MAX 4096
#define UNKNOWN_STAT UINT64_MAX /* the driver has not said */

const struct sm_state stop_states[] = {
	[S_NONE] = { "none", SM_TO(S_ASKING) | SM_TO(S_QUITTING) | SM_TO(S_KILLING) | SM_TO(S_GONE) },
	[S_ASKING] = { "power button",
		SM_TO(S_ASKING) | SM_TO(S_QUITTING) | SM_TO(S_KILLING) | SM_TO(S_GONE) },
	[S_QUITTING] = { "quit", SM_TO(S_KILLING) | SM_TO(S_GONE) },
	[S_KILLING] = { "kill", SM_TO(S_GONE) },
	[S_GONE] = { "gone", 0 },
};

/* ---- the end ---- */

/* Where this process' memory group is: "N:memory:/path" (version 1) or "0::/path". In a container the path may lead
 * nowhere and the group is what is mounted; so both are tried. */
static void memory_group_files(struct strv *ret)
{
	CLEANUP(mem_freep) char *text = NULL;
	char *rest;
	size_t len;

	if (file_read("/proc/self/cgroup", CGROUP_FILE_MAX, &text, &len, NULL) == 0) {
		rest = text;
		for (char *line; (line = str_next(&rest, '\n'));) {
			char *controllers = strchr(line, ':'),
			     *path = controllers ? strchr(controllers + 1, ':') : NULL;

			if (!path)
				continue;
			*path++ = '\0';
			if (str_eq(controllers + 1, "memory"))
				strv_addf(ret, "/sys/fs/cgroup/memory%s/memory.oom_control", path);
			else if (!controllers[1])
				strv_addf(ret, "/sys/fs/cgroup%s/memory.events", path);
		}
	}
	strv_add(ret, "/sys/fs/cgroup/memory.events");
	strv_add(ret, "/sys/fs/cgroup/memory/memory.oom_control");
}

/* SIGKILL is what the kernel sends when a memory limit is hit: no event, no message (qemu.md 5.1). -1: not to be seen
 * here. */
int64_t oom_kill_count(void)
{
	struct strv files = { 0 };
	long long n = -1;

	memory_group_files(&files);
	for (size_t i = 0; i < files.len && n < 0; i++) {
		CLEANUP(mem_freep) char *text = NULL;
		char *at;
		size_t len;

		if (file_read(files.items[i], CGROUP_FILE_MAX, &text, &len, NULL) < 0)
			continue;
		at = strstr(text, "oom_kill ");
		if (at && sscanf(at, "oom_kill %lld", &n) != 1)
			n = -1;
	}
	strv_done(&files);
	return n;
}

static void linger_over(void *arg)
{
	loop_stop(((struct launcher *)arg)->loop);
}

/* No process is left: the final phase. */
static void conclude(struct launcher *l)
{
	if (l->stop.at != S_GONE)
		sm_move(&l->stop, S_GONE);
	loop_timer_stop(l->balloon);
	if (l->resize)
		resize_set_qmp(l->resize, NULL);
	nic_end(l);
	if (l->cpus)
		cpus_set_qmp(l->cpus, NULL);
	spawn_done(l);
	plug_end(l);
	console_hang_up(l->console);
	l->exit_status = l->end.phase == WIRE_PHASE_SUCCEEDED ? 0 : 1;
	phase_set(l, l->end.phase, l->end.reason, l->end.message);
	/* Whoever wants the final state has this long, or says `release`. */
	loop_timer_free(l->stop_timer);
	l->stop_timer = loop_timer_new(l->loop, linger_over, l);
	loop_timer_set(l->stop_timer, l->terminating ? 0 : WIRE_LINGER_MS);
}

static void decide_end(struct launcher *l, enum wire_phase p, const char *reason, const char *message)
{
	if (l->end.known)
		return;
	l->end.known = true;
	l->end.phase = p;
	l->end.reason = reason;
	str_copy(l->end.message, sizeof(l->end.message), message ? message : "");
}

/* Exit without anybody having asked for it. */
static void decide_crash(struct launcher *l, int wait_status)
{
	CLEANUP(mem_freep) char *path = file_join(l->dir, "qemu.log"), *line = last_line(path, "qemu-system");
	char msg[512];

	if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL && oom_kill_count() > l->oom_kills &&
		l->oom_kills >= 0) {
		decide_end(l, WIRE_PHASE_FAILED, "OutOfMemory",
			"QEMU was killed: the memory limit of its pod was reached");
		return;
	}
	if (WIFSIGNALED(wait_status))
		snprintf(msg, sizeof(msg), "QEMU was ended by signal %d (%s)%s%s", WTERMSIG(wait_status),
			strsignal(WTERMSIG(wait_status)), line ? ": " : "", line ? line : "");
	else
		snprintf(msg, sizeof(msg), "QEMU ended with status %d%s%s", WEXITSTATUS(wait_status),
			line ? ": " : "", line ? line : "");
	decide_end(l, WIRE_PHASE_FAILED, l->prep.at == P_DONE ? "QemuCrashed" : "StartFailed", msg);
}

void guest_exited(void *arg, pid_t pid, int wait_status)
{
	struct launcher *l = arg;

	(void)pid;
	l->qemu_pid = 0;
	loop_child_free(TAKE(l->qemu_child));
	if (!l->end.known && prepare_retry(l, wait_status))
		return;
	decide_crash(l, wait_status); /* only if nothing was decided before */
	if (l->prep.at != P_DONE && l->prep.at != P_FAILED)
		prepare_cancel(l);
	conclude(l);
}

/* ---- stopping ---- */

static void on_stop_timer(void *arg);

static void arm_stop(struct launcher *l, int64_t ms)
{
	if (!l->stop_timer)
		l->stop_timer = loop_timer_new(l->loop, on_stop_timer, l);
	loop_timer_set(l->stop_timer, ms);
}

static void quit_now(struct launcher *l)
{
	if (l->stop.at == S_QUITTING || l->stop.at == S_KILLING || l->stop.at == S_GONE)
		return;
	if (!l->qmp) {
		sm_move(&l->stop, S_KILLING);
		kill(l->qemu_pid, SIGKILL);
		return;
	}
	sm_move(&l->stop, S_QUITTING);
	qmp_send_quit(l->qmp, NULL, NULL, NULL);
	arm_stop(l, QUIT_LIMIT_MS);
}

static void push_button(struct launcher *l)
{
	int64_t left = l->stop_deadline - loop_mono_ms(l->loop);

	sm_move(&l->stop, S_ASKING);
	qmp_send_cont(
		l->qmp, NULL, NULL, NULL); /* a paused guest hears no button; no harm to a running one */
	qmp_send_system_powerdown(l->qmp, NULL, NULL, NULL);
	arm_stop(l, left < POWERDOWN_EVERY_MS ? left : POWERDOWN_EVERY_MS);
}

static void on_stop_timer(void *arg)
{
	struct launcher *l = arg;

	if (l->stop.at == S_QUITTING) {
		log_warn("QEMU did not quit within %d ms, killing it", QUIT_LIMIT_MS);
		sm_move(&l->stop, S_KILLING);
		if (l->qemu_pid > 0)
			kill(l->qemu_pid, SIGKILL);
		return;
	}
	if (l->stop.at != S_ASKING)
		return;
	if (loop_mono_ms(l->loop) >= l->stop_deadline) {
		decide_end(l, WIRE_PHASE_FAILED, "GraceExpired",
			"the guest did not power off within its grace period and was stopped");
		quit_now(l);
	} else {
		push_button(l);
	}
}

/* Decides how it ended; stops QEMU if there is one. */
void guest_finish(struct launcher *l, enum wire_phase p, const char *reason, const char *message)
{
	if (l->stop.at == S_GONE)
		return;
	decide_end(l, p, reason, message);
	prepare_cancel(l);
	if (l->qemu_pid <= 0) {
		conclude(l);
		return;
	}
	if (l->phase != WIRE_PHASE_STOPPING)
		phase_set(l, WIRE_PHASE_STOPPING, NULL, NULL);
	quit_now(l);
}

void guest_kill(struct launcher *l, const char *reason, const char *message)
{
	guest_finish(l, WIRE_PHASE_FAILED, reason, message);
}

void guest_stop(struct launcher *l, int grace_s)
{
	if (l->stop.at == S_GONE || l->stop.at == S_QUITTING || l->stop.at == S_KILLING)
		return;
	if (l->qemu_pid <= 0) {
		guest_finish(l, WIRE_PHASE_SUCCEEDED, "Shutdown", "there was no guest yet");
		return;
	}
	if (grace_s <= 0 || l->prep.at != P_DONE || !l->qmp) {
		guest_kill(l, "Killed", "stopped without a grace period");
		return;
	}
	l->stop_deadline = loop_mono_ms(l->loop) + (int64_t)grace_s * 1000;
	if (l->phase != WIRE_PHASE_STOPPING)
		phase_set(l, WIRE_PHASE_STOPPING, "Shutdown", NULL);
	push_button(l);
}

/* ---- statistics ---- */

static uint64_t stat_value(const struct json *stats, const char *key)
{
	uint64_t v = json_u64(json_get(stats, key));

	return v == UNKNOWN_STAT ? 0 : v;
}

static void on_stats(void *arg, const struct json *ret, const struct err *e)
{
	struct launcher *l = arg;
	const struct json *stats = json_get(ret, "stats");
	struct guest_stats s;
	bool booted;

	if (e || !l->resize)
		return;
	booted = json_u64(json_get(ret, "last-update")) > 0;
	s.total = stat_value(stats, "stat-total-memory");
	s.available = stat_value(stats, "stat-available-memory");
	if (!s.available)
		s.available = stat_value(stats, "stat-free-memory");
	resize_set_stats(l->resize, &s);
	/* Only what others act on is told: the free memory changes all the time. */
	if (booted != l->booted || s.total != l->stats.total)
		state_changed(l);
	l->booted |= booted;
	l->stats = s;
}

static void balloon_interval(struct launcher *l, int seconds)
{
	qmp_send_qom_set(l->qmp,
		&(struct qmp_qom_set){ .path = BALLOON_PATH,
			.property = "guest-stats-polling-interval",
			.value = (uint64_t)seconds },
		NULL, NULL);
}

void guest_balloon_due(void *arg)
{
	struct launcher *l = arg;
	bool fast = loop_mono_ms(l->loop) < l->balloon_fast_until;

	if (!l->qmp)
		return;
	if (l->phase == WIRE_PHASE_RUNNING)
		qmp_send_qom_get(l->qmp,
			&(struct qmp_qom_get){ .path = BALLOON_PATH, .property = "guest-stats" }, on_stats,
			l);
	if (!fast && l->balloon_fast_until) {
		l->balloon_fast_until = 0;
		balloon_interval(l, BALLOON_SLOW_S);
	}
	loop_timer_set(l->balloon, (fast ? BALLOON_FAST_S : BALLOON_SLOW_S) * 1000);
}

static void balloon_fast(struct launcher *l)
{
	if (!l->balloon_fast_until)
		balloon_interval(l, BALLOON_FAST_S);
	l->balloon_fast_until = loop_mono_ms(l->loop) + BALLOON_FAST_FOR_MS;
	loop_timer_set(l->balloon, 1000);
}

/* ---- memory ---- */

static void on_resize_changed(void *arg)
{
	struct launcher *l = arg;

	state_changed(l);
	if (l->qmp && l->stop.at == S_NONE)
		balloon_fast(l);
}

void guest_running(struct launcher *l)
{
	static const struct resize_ops ops = { .changed = on_resize_changed };

	const struct domain *d = l->domain;
	const struct resize_spec spec = { .base = d->base,
		.boot = d->memory,
		.max = d->max_memory,
		.room = d->room,
		.block = d->block,
		.config = l->config };

	l->resize = resize_new(l->loop, &spec, &ops, l);
	resize_set_qmp(l->resize, l->qmp);
	l->started_wall = loop_wall_ms(l->loop);
	l->user_paused = l->domain->start_paused;
	phase_set(l, l->user_paused ? WIRE_PHASE_PAUSED : WIRE_PHASE_RUNNING,
		l->user_paused ? "PausedByUser" : NULL, NULL);
	balloon_fast(l);
}

/* ---- CPUs ---- */

static void on_cpus_changed(void *arg)
{
	state_changed(arg);
}

void guest_cpus_new(struct launcher *l)
{
	static const struct cpus_ops ops = { .changed = on_cpus_changed };
	const struct cpus_spec spec = { .cores = l->domain->cores,
		.threads = l->domain->threads,
		.max_sockets = l->domain->max_sockets,
		.sockets = l->config->sockets,
		.removable = l->config->accel == VM_KVM };

	l->cpus = cpus_new(l->loop, &spec, &ops, l);
	cpus_set_qmp(l->cpus, l->qmp);
}

/* ---- events ---- */

static void on_ost(struct launcher *l, const struct json *data)
{
	if (l->cpus)
		cpus_on_ost(l->cpus, data);
}

static void on_unplug_refused(struct launcher *l, const struct json *data)
{
	if (l->cpus)
		cpus_on_refused(l->cpus, data);
}

static void on_shutdown(struct launcher *l, const struct json *data)
{
	bool asked = l->phase == WIRE_PHASE_STOPPING;

	if (!json_bool(json_get(data, "guest")))
		return; /* our own quit */
	if (str_eq(json_get_str(data, "reason"), "guest-panic"))
		guest_finish(l, WIRE_PHASE_FAILED, "GuestPanicked", "the guest's kernel panicked");
	else
		guest_finish(l, WIRE_PHASE_SUCCEEDED, asked ? "Shutdown" : "GuestShutdown",
			"the guest powered off");
}

static void on_stop(struct launcher *l, const struct json *data)
{
	(void)data;
	if (l->phase == WIRE_PHASE_RUNNING)
		phase_set(l, WIRE_PHASE_PAUSED, l->io_error ? "PausedIOError" : "PausedByUser", NULL);
}

static void on_resume(struct launcher *l, const struct json *data)
{
	(void)data;
	l->io_error = false;
	if (l->phase == WIRE_PHASE_PAUSED)
		phase_set(l, WIRE_PHASE_RUNNING, NULL, NULL);
}

static void on_reset(struct launcher *l, const struct json *data)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	int64_t now = loop_mono_ms(l->loop);
	bool again = l->last_reset && now - l->last_reset < REBOOT_DEBOUNCE_MS;

	(void)data;
	l->last_reset = now;
	if (l->resize)
		resize_look(l->resize); /* virtio-mem drops to nothing and comes back with the driver */
	if (l->cpus)
		cpus_on_reset(l->cpus);
	if (again || l->prep.at != P_DONE)
		return;
	l->reboots++;
	l->booted = false;
	balloon_fast(l);
	state_changed(l);
	d = json_doc_new();
	json_set_root(d, json_new_obj(d));
	json_set_i64(d, json_root(d), "count", l->reboots);
	wire_server_event(l->server, "guest-reboot", json_root(d));
}

/* The VMI's name of a disk, from QEMU's name of its block node. */
static const char *disk_of_node(const struct launcher *l, const char *node)
{
	char own[VM_NODE_NAME_MAX];

	for (size_t i = 0; i < l->domain->n_disks; i++) {
		vm_node_name(l->domain->disks[i].name, own);
		if (str_eq(own, node))
			return l->domain->disks[i].name;
	}
	if (plug_of_node(l, node))
		return plug_of_node(l, node);
	return node;
}

/* The disk's file system was full: go on by itself once there is room (qemu.md 16.15). */
void guest_space_due(void *arg)
{
	struct launcher *l = arg;
	struct statvfs st;

	if (!l->io_error || l->phase != WIRE_PHASE_PAUSED || !l->qmp)
		return;
	if (statvfs(l->dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= SPACE_ENOUGH) {
		log_info("there is space again, the guest goes on");
		qmp_send_cont(l->qmp, NULL, NULL, NULL);
		return;
	}
	loop_timer_set(l->space, SPACE_EVERY_MS);
}

static void on_io_error(struct launcher *l, const struct json *data)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *o;

	/* Every request in flight fails with an event of its own: one is enough until the guest runs again. */
	if (!str_eq(json_get_str(data, "action"), "stop") || l->io_error)
		return;
	l->io_error = true;
	if (json_bool(json_get(data, "nospace")))
		loop_timer_set(l->space, SPACE_EVERY_MS);
	d = json_doc_new();
	o = json_new_obj(d);
	json_set_root(d, o);
	json_set_str(d, o, "disk", disk_of_node(l, json_get_str(data, "node-name")));
	json_set_bool(d, o, "nospace", json_bool(json_get(data, "nospace")));
	json_set_str(d, o, "message", json_get_str(data, "reason"));
	log_warn("disk %s: %s", json_str_or(json_get(o, "disk"), "?"),
		json_str_or(json_get(o, "message"), "I/O error"));
	wire_server_event(l->server, "io-error", o);
}

static void on_memory_size(struct launcher *l, const struct json *data)
{
	(void)data;
	if (l->resize)
		resize_look(l->resize);
}

static void on_device_deleted(struct launcher *l, const struct json *data)
{
	if (l->cpus)
		cpus_on_deleted(l->cpus, data);
	const char *id = json_get_str(data, "device"); /* parts of a device have none */

	if (!id)
		return;
	nic_device_deleted(l, id);
	plug_device_deleted(l, id);
}

static void on_port(struct launcher *l, const struct json *data)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	bool open = json_bool(json_get(data, "open"));

	if (!str_eq(json_get_str(data, "id"), "gaport") || open == l->agent)
		return;
	l->agent = open;
	l->booted |= open;
	d = json_doc_new();
	json_set_root(d, json_new_obj(d));
	json_set_bool(d, json_root(d), "connected", open);
	wire_server_event(l->server, "guest-agent", json_root(d));
	state_changed(l);
}

static const struct {
	const char *name;
	void (*fn)(struct launcher *l, const struct json *data);
} events[] = {
	{ "ACPI_DEVICE_OST", on_ost },
	{ "BLOCK_IO_ERROR", on_io_error },
	{ "DEVICE_DELETED", on_device_deleted },
	{ "DEVICE_UNPLUG_GUEST_ERROR", on_unplug_refused },
	{ "MEMORY_DEVICE_SIZE_CHANGE", on_memory_size },
	{ "RESET", on_reset },
	{ "RESUME", on_resume },
	{ "SHUTDOWN", on_shutdown },
	{ "STOP", on_stop },
	{ "VSERPORT_CHANGE", on_port },
};

static void on_event(void *arg, const char *name, const struct json *data)
{
	struct launcher *l = arg;

	log_debug("QEMU: %s", name);
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (!strcmp(events[i].name, name)) {
			events[i].fn(l, data);
			return;
		}
}

static void on_ready(void *arg)
{
	prepare_qmp_ready(arg);
}

static void on_closed(void *arg, const struct err *e)
{
	struct launcher *l = arg;

	/* Usually QEMU has ended and its exit status, which says more, is about to arrive. */
	log_debug("QMP: %s", e->msg);
	if (l->resize)
		resize_set_qmp(l->resize, NULL);
	nic_end(l);
	if (l->cpus)
		cpus_set_qmp(l->cpus, NULL);
	qmp_free(TAKE(l->qmp));
	if (e->code != ERR_UNREACHABLE)
		guest_finish(l, WIRE_PHASE_FAILED, "QemuCrashed", e->msg);
}

const struct qmp_ops guest_qmp_ops = { .ready = on_ready, .event = on_event, .closed = on_closed };
