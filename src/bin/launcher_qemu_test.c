/* SPDX-License-Identifier: Apache-2.0 */
/* The launcher as a whole, with a real QEMU and the test guest (make guest-image), without any Kubernetes. usage:
 * launcher_qemu_test VIRT_LAUNCHER GUEST_DISK; exit status 77 (skipped) without QEMU or the guest. As root the
 * launcher is started as uid 107 without capabilities, as in its pod. */
#include "kubevirt/wire/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GI (1ull << 30)
#define BOOT_LIMIT_MS 90000 /* emulation on a loaded machine */
#define EXIT_SKIPPED 77

static const char *launcher_path, *guest_disk;

struct rig {
	struct loop *loop;
	char dir[64];
	pid_t pid;
	struct wire_client *client;
	struct json_doc *state; /* the latest */
	int console, events, reboots, lost;
	struct str screen;
	/* of the latest call */
	bool answered;
	struct json_doc *ok;
	enum err_code code;
	char text[512];
};

/* ---- the wire, waiting ---- */

static void keep_state(struct rig *r, const struct json *data)
{
	json_doc_free(r->state);
	r->state = json_doc_from(data);
}

static void on_event(void *arg, const char *event, const struct json *data)
{
	struct rig *r = arg;

	r->events++;
	if (str_eq(event, "state"))
		keep_state(r, data);
	if (str_eq(event, "guest-reboot"))
		r->reboots++;
}

static void on_lost(void *arg, const struct err *why)
{
	((struct rig *)arg)->lost++;
}

static void on_reply(void *arg, const struct json *ok, const struct err *e)
{
	struct rig *r = arg;

	r->answered = true;
	json_doc_free(TAKE(r->ok));
	if (ok)
		r->ok = json_doc_from(ok);
	r->code = e ? e->code : ERR_NONE;
	str_copy(r->text, sizeof(r->text), e ? e->msg : "");
}

static void call(struct rig *r, enum wire_verb v, const struct json *args)
{
	r->answered = false;
	wire_client_call(r->client, v, args, on_reply, r);
	while (!r->answered)
		loop_step(r->loop, 100);
}

static void call_ok(struct rig *r, enum wire_verb v, const char *args)
{
	CLEANUP(json_doc_freep) struct json_doc *d = args ? json_lit(args) : NULL;

	call(r, v, d ? json_root(d) : NULL);
	if (r->code)
		fail_msg("%s: %s", wire_verbs[v].name, r->text);
}

/* Lets time pass, and events in. */
static void settle(struct rig *r, int ms)
{
	int64_t end = time_mono_now() + ms;

	while (time_mono_now() < end)
		loop_step(r->loop, (int)(end - time_mono_now()));
}

static const char *phase(struct rig *r)
{
	return json_str_or(json_at(json_root(r->state), "/phase"), "");
}

static void wait_phase(struct rig *r, const char *want, int limit_ms)
{
	int64_t end = time_mono_now() + limit_ms;

	while (!str_eq(phase(r), want) && time_mono_now() < end && !str_eq(phase(r), "Failed"))
		loop_step(r->loop, 50);
	if (!str_eq(phase(r), want)) {
		CLEANUP(mem_freep) char *text = json_write(json_root(r->state), NULL);

		fail_msg("phase is not %s: %s", want, text);
	}
}

static uint64_t memory_now(struct rig *r, const char *key)
{
	return json_u64(json_get(json_at(json_root(r->state), "/memory"), key));
}

/* ---- setting up ---- */

static void connect_launcher(struct rig *r)
{
	static const struct wire_client_ops ops = { on_event, on_lost };
	CLEANUP(mem_freep) char *path = file_join(r->dir, WIRE_SOCKET);
	struct err e;

	for (int i = 0; i < 500 && !r->client; i++) {
		r->client = wire_client_new(r->loop, path, &ops, r, &e);
		if (!r->client)
			loop_step(r->loop, 10);
	}
	assert_non_null(r->client);
	call_ok(r, WIRE_hello, NULL);
	keep_state(r, json_root(r->ok));
}

static void spawn_launcher(struct rig *r)
{
	CLEANUP(mem_freep) char *log = file_join(r->dir, "launcher.log");
	struct proc_spec spec = PROC_SPEC_INIT;
	struct strv argv = { 0 };
	struct err e;

	if (geteuid() == 0)
		for (const char *const *p = (const char *const[]){ "setpriv", "--reuid", "107", "--regid",
			     "107", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
			     "--no-new-privs", NULL };
			*p; p++)
			strv_add(&argv, *p);
	strv_add(&argv, launcher_path);
	strv_add(&argv, "--dir");
	strv_add(&argv, r->dir);
	strv_add(&argv, "--allow-emulation");
	strv_add(&argv, "--debug");
	spec.argv = strv_argv(&argv);
	spec.stderr_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	spec.die_with_parent = true;
	assert_int_equal(proc_spawn(&spec, &r->pid, &e), 0);
	close(spec.stderr_fd);
	strv_done(&argv);
}

static void start_launcher(struct rig *r)
{
	if (geteuid() == 0)
		assert_int_equal(chown(r->dir, 107, 107), 0);
	spawn_launcher(r);
	connect_launcher(r);
}

static int set_up(void **state)
{
	struct rig *r = MEM_NEW(struct rig);

	snprintf(r->dir, sizeof(r->dir), "/tmp/launcher-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->console = -1;
	r->loop = loop_new();
	start_launcher(r);
	*state = r;
	return 0;
}

static int set_up_directory_of_root(void **state)
{
	struct rig *r = MEM_NEW(struct rig);

	snprintf(r->dir, sizeof(r->dir), "/tmp/launcher-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(chmod(r->dir, 0755), 0);
	r->console = -1;
	r->loop = loop_new();
	spawn_launcher(r);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
	}
	wire_client_free(r->client);
	if (r->console >= 0)
		close(r->console);
	json_doc_free(r->state);
	json_doc_free(r->ok);
	str_done(&r->screen);
	loop_free(r->loop);
	if (!getenv("KEEP"))
		file_remove_tree(r->dir, NULL);
	free(r);
	return 0;
}

static int exit_status(struct rig *r, int limit_ms)
{
	int64_t end = time_mono_now() + limit_ms;
	int status;

	while (time_mono_now() < end)
		if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
			r->pid = 0;
			return status;
		} else {
			loop_step(r->loop, 20);
		}
	return -1;
}

/* The guide's VM with a seed; `patch` is put at `pointer`. */
/* Nobody listens there now; others run guests on this host, too. */
static int free_port(void)
{
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static struct json_doc *start_args(const char *pointer, const char *patch)
{
	static const char vmi[] =
		"{'vmi':{'metadata':{'name':'vm-alpine','namespace':'default','uid':'9d8b7c6a-1111-4222-8333-"
		"444455556666'},"
		"'spec':{'domain':{'cpu':{'cores':1,'sockets':1,'threads':1,'maxSockets':4},'machine':{'type'"
		":'q35'},"
		"'memory':{'guest':'1Gi','maxGuest':'4Gi'},'devices':{"
		"'disks':[{'name':'containerdisk','disk':{'bus':'virtio'}},{'name':'seed','disk':{'bus':'"
		"virtio'}}],"
		"'interfaces':[{'name':'default','masquerade':{},'ports':[{'port':0}]}]}},"
		"'networks':[{'name':'default','pod':{}}],'terminationGracePeriodSeconds':30,"
		"'volumes':[{'name':'containerdisk','containerDisk':{'image':'x'}},"
		"{'name':'seed','cloudInitNoCloud':{'userData':'#cloud-config'}}]}},'host':{}}";
	struct json_doc *d = json_lit(vmi);

	json_put(d, json_root(d), "/vmi/spec/domain/devices/interfaces/0/ports/0/port",
		json_new_i64(d, free_port()));
	json_put_str(d, json_root(d), "/host/containerDisks/containerdisk", guest_disk);
	if (pointer) {
		CLEANUP(json_doc_freep) struct json_doc *v = json_lit(patch);

		json_put(d, json_root(d), pointer, json_copy(d, json_root(v)));
	}
	return d;
}

static void start_vm(struct rig *r, const char *pointer, const char *patch)
{
	CLEANUP(json_doc_freep) struct json_doc *d = start_args(pointer, patch);

	call(r, WIRE_start, json_root(d));
	if (r->code)
		fail_msg("start: %s", r->text);
	wait_phase(r, "Running", 30000);
}

/* ---- the console ---- */

static void on_console(void *arg, int fd, const struct str *first, const struct err *e)
{
	struct rig *r = arg;

	r->answered = true;
	r->console = fd;
	if (fd >= 0)
		str_addn(&r->screen, str_cstr(first), first->len);
}

static void open_console(struct rig *r)
{
	CLEANUP(mem_freep) char *path = file_join(r->dir, WIRE_SOCKET);
	struct err e;

	r->answered = false;
	assert_non_null(wire_console_open(r->loop, path, NULL, on_console, r, &e));
	while (!r->answered)
		loop_step(r->loop, 50);
	assert_true(r->console >= 0);
}

/* Waits for text on the screen and forgets everything up to its end. */
static void expect(struct rig *r, const char *text, int limit_ms)
{
	int64_t end = time_mono_now() + limit_ms;
	char *at;

	while (!(at = r->screen.data ? memmem(r->screen.data, r->screen.len, text, strlen(text)) : NULL)) {
		struct pollfd p = { .fd = r->console, .events = POLLIN };
		char buf[4096];
		ssize_t n;

		if (time_mono_now() > end)
			fail_msg("no \"%s\" on the console: %s", text, str_cstr(&r->screen));
		loop_step(r->loop, 0);
		if (poll(&p, 1, 20) < 1)
			continue;
		n = recv(r->console, buf, sizeof(buf), 0);
		if (n == 0)
			fail_msg("the console ended: %s", str_cstr(&r->screen));
		for (ssize_t i = 0; i < n; i++)
			if (buf[i])
				str_addc(&r->screen, buf[i]);
	}
	str_drop_front(&r->screen, (size_t)(at - r->screen.data) + strlen(text));
}

static void type(struct rig *r, const char *text)
{
	assert_int_equal(send(r->console, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void log_in(struct rig *r)
{
	open_console(r);
	expect(r, "login: ", BOOT_LIMIT_MS);
	type(r, "root\n");
	expect(r, "# ", 10000);
}

/* The number a command prints. */
static uint64_t ask_guest(struct rig *r, const char *command)
{
	CLEANUP(mem_freep) char *line = str_printf("echo VAL''UE=$(%s)E''ND\n", command);
	char *end;
	uint64_t v = 0;

	type(r, line);
	expect(r, "VALUE=", 10000);
	for (int i = 0; i < 100 && !strstr(str_cstr(&r->screen), "END"); i++) {
		char buf[256];
		ssize_t n = recv(r->console, buf, sizeof(buf), MSG_DONTWAIT);

		if (n > 0)
			str_addn(&r->screen, buf, (size_t)n);
		loop_step(r->loop, 20);
	}
	end = strstr(str_cstr(&r->screen), "END");
	assert_non_null(end);
	*end = '\0';
	assert_true(str_to_u64(r->screen.data, &v));
	str_clear(&r->screen);
	return v;
}

static uint64_t mem_total_kib(struct rig *r)
{
	return ask_guest(r, "awk '/MemTotal/{print $2}' /proc/meminfo");
}

static uint64_t uptime_s(struct rig *r)
{
	return ask_guest(r, "cut -d. -f1 /proc/uptime");
}

static void set_memory(struct rig *r, uint64_t bytes)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();

	json_set_root(d, json_new_obj(d));
	json_set_i64(d, json_root(d), "bytes", (int64_t)bytes);
	call(r, WIRE_set_memory, json_root(d));
}

static uint64_t status_field(pid_t pid, const char *field, int base)
{
	CLEANUP(mem_freep) char *path = str_printf("/proc/%d/status", (int)pid), *text = NULL;
	size_t len;
	char *at;

	assert_int_equal(file_read(path, 65536, &text, &len, NULL), 0);
	at = strstr(text, field);
	assert_non_null(at);
	return strtoull(at + strlen(field), NULL, base);
}

/* ---- the journeys ---- */

/* The main one: boot, log in, grow, the guest sees it and was not restarted, shrink, power off.
 * qemu.md 16.4, 16.6, 16.17, 16.55 */
static void memory_grows_and_shrinks_while_the_guest_runs(void **state)
{
	struct rig *r = *state;
	uint64_t before, after, up;
	int64_t start;
	pid_t qemu;

	start_vm(r, NULL, NULL);
	assert_true(str_starts(json_at_str(json_root(r->state), "/machine"), "pc-q35-"));
	qemu = (pid_t)json_i64(json_at(json_root(r->state), "/qemuPid"));
	assert_int_equal(status_field(qemu, "Seccomp:", 10), 2);
	if (geteuid() == 0) {
		assert_int_equal(status_field(qemu, "Uid:", 10), 107);
		assert_int_equal(status_field(qemu, "CapEff:", 16), 0);
		assert_int_equal(status_field(qemu, "NoNewPrivs:", 10), 1);
	}
	log_in(r);
	before = mem_total_kib(r);
	up = uptime_s(r);
	start = time_mono_now();
	set_memory(r, 2 * GI);
	print_message("1Gi -> 2Gi: %lld ms\n", (long long)(time_mono_now() - start));
	assert_int_equal(r->code, ERR_NONE);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	assert_true(json_u64(json_at(json_root(r->ok), "/current")) == 2 * GI);
	loop_step(r->loop, 10);
	assert_true(memory_now(r, "current") == 2 * GI && memory_now(r, "guestAtBoot") == GI);
	settle(r, 500);
	after = mem_total_kib(r);
	assert_int_equal(after - before, 1 << 20);
	assert_true(uptime_s(r) >= up);
	/* what the balloon tells equals what the guest says */
	for (int i = 0; i < 60 && memory_now(r, "guestTotal") != after * 1024; i++)
		loop_step(r->loop, 100);
	assert_int_equal(memory_now(r, "guestTotal"), after * 1024);
	set_memory(r, GI);
	assert_int_equal(r->code, ERR_NONE);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	settle(r, 500);
	assert_int_equal(mem_total_kib(r), before);
	start = time_mono_now();
	call_ok(r, WIRE_shutdown, "{'graceSeconds':30}");
	wait_phase(r, "Succeeded", 10000); /* qemu.md 16.14 */
	print_message("power-off: %lld ms\n", (long long)(time_mono_now() - start));
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "Shutdown");
	call_ok(r, WIRE_release, NULL);
	assert_int_equal(exit_status(r, 5000), 0);
}

static unsigned online_cpus(struct rig *r)
{
	return (unsigned)ask_guest(r, "grep -c ^processor /proc/cpuinfo");
}

static void set_cpus(struct rig *r, unsigned sockets)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	int64_t start = time_mono_now();

	json_set_root(d, json_new_obj(d));
	json_set_i64(d, json_root(d), "sockets", sockets);
	call(r, WIRE_set_cpus, json_root(d));
	print_message("%u sockets: %lld ms %s\n", sockets, (long long)(time_mono_now() - start), r->text);
}

static void expect_cpus(struct rig *r, unsigned n)
{
	for (int i = 0; i < 40 && online_cpus(r) != n; i++)
		settle(r, 50);
	assert_int_equal(online_cpus(r), n);
}

/* qemu.md 16.27, 16.28, 16.29, 16.30; decision 20. Boots with two sockets, of which the second is one that was added before it
 * ran. */
static void cpus_are_added_while_the_guest_runs(void **state)
{
	struct rig *r = *state;
	uint64_t up;

	start_vm(r, "/vmi/spec/domain/cpu", "{'sockets':2,'cores':1,'threads':1,'maxSockets':6}");
	assert_int_equal(json_i64(json_at(json_root(r->state), "/cpus/sockets")), 2);
	log_in(r);
	assert_int_equal(online_cpus(r), 2);
	up = uptime_s(r);
	for (int i = 0; i < 60 && !json_bool(json_at(json_root(r->state), "/guest/booted")); i++)
		loop_step(r->loop, 100);
	set_cpus(r, 3);
	assert_int_equal(r->code, ERR_NONE);
	assert_int_equal(json_i64(json_at(json_root(r->ok), "/sockets")), 3);
	expect_cpus(r, 3);
	set_cpus(r, 6);
	assert_int_equal(r->code, ERR_NONE);
	expect_cpus(r, 6);
	settle(r, 100);
	assert_int_equal(json_i64(json_at(json_root(r->state), "/cpus/unacknowledged")), 0);
	set_cpus(r, 6); /* said again: nothing happens */
	assert_int_equal(r->code, ERR_NONE);
	set_cpus(r, 7);
	assert_int_equal(r->code, ERR_INVALID);
	set_cpus(r, 2); /* never under TCG */
	assert_int_equal(r->code, ERR_INVALID);
	expect_cpus(r, 6);
	assert_true(uptime_s(r) >= up);
	assert_int_equal(json_i64(json_at(json_root(r->state), "/cpus/sockets")), 6);
	call_ok(r, WIRE_kill, NULL);
}

/* qemu.md 16.18 */
/* rollout.md 7.6, 7.7: one guest that was started with a floor, and with room above its maximum */
static void memory_goes_below_its_start_and_above_its_maximum(void **state)
{
	struct rig *r = *state;
	uint64_t floor;

	CLEANUP(json_doc_freep)
	struct json_doc *d = start_args("/vmi/metadata/annotations",
		"{'coracle.dev/memory-floor':'1Gi','coracle.dev/memory-room':'4000Gi'}");

	json_put_str(d, json_root(d), "/vmi/spec/domain/memory/guest", "1536Mi");
	json_put_str(d, json_root(d), "/vmi/spec/domain/memory/maxGuest", "2Gi");
	call(r, WIRE_start, json_root(d));
	assert_int_equal(r->code, ERR_NONE);
	wait_phase(r, "Running", 30000);
	/* more room than a processor of 40 address bits has: less of it, and it is said */
	assert_non_null(strstr(json_str_or(json_at(json_root(r->state), "/memory/note"), ""),
		"4000Gi of room for memory were asked for, the guest's processor can address 960Gi"));
	log_in(r);
	for (int i = 0; i < 100 && memory_now(r, "current") != 3 * GI / 2; i++)
		loop_step(r->loop, 100);
	assert_true(memory_now(r, "current") == 3 * GI / 2 && memory_now(r, "guestAtBoot") == 3 * GI / 2);
	set_memory(r, GI);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	settle(r, 500);
	floor = mem_total_kib(r);
	assert_in_range(floor, 850 << 10, 1 << 20);
	call_ok(r, WIRE_set_memory, "{'bytes':3221225472,'max':3221225472}");
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	settle(r, 500);
	assert_int_equal(mem_total_kib(r) - floor, 2 << 20);
	loop_step(r->loop, 10);
	assert_true(memory_now(r, "max") == 3 * GI && memory_now(r, "current") == 3 * GI);
	set_memory(r, GI);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	settle(r, 500);
	assert_int_equal(mem_total_kib(r), floor);
}

static void impossible_sizes_are_refused_and_nothing_happens(void **state)
{
	struct rig *r = *state;

	start_vm(r, NULL, NULL);
	set_memory(r, 5 * GI);
	assert_int_equal(r->code, ERR_INVALID);
	set_memory(r, GI / 2);
	assert_int_equal(r->code, ERR_INVALID);
	set_memory(r, GI + 4096);
	assert_int_equal(r->code, ERR_INVALID);
	assert_true(memory_now(r, "current") == GI);
}

/* qemu.md 16.19: asked for before the driver is there, served when it is */
static void memory_asked_for_during_boot_arrives(void **state)
{
	struct rig *r = *state;

	start_vm(r, NULL, NULL);
	set_memory(r, 2 * GI);
	assert_int_equal(r->code, ERR_NONE);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	assert_true(json_u64(json_at(json_root(r->ok), "/current")) == 2 * GI);
}

/* qemu.md 16.20: an operating system that does not take what it is given */
static void memory_that_stays_offline_is_reported(void **state)
{
	struct rig *r = *state;

	start_vm(r, NULL, NULL);
	log_in(r);
	for (int i = 0; i < 100 && !memory_now(r, "guestTotal"); i++)
		loop_step(r->loop, 100);
	type(r, "killall uevent; echo offline > /sys/devices/system/memory/auto_online_blocks; echo "
		"do''ne\n");
	expect(r, "done", 10000);
	set_memory(r, GI + GI / 2);
	assert_int_equal(r->code, ERR_NONE);
	for (int i = 0; i < 100 && !memory_now(r, "offline"); i++)
		loop_step(r->loop, 100);
	assert_true(memory_now(r, "offline") >= GI / 2 - (64 << 20));
	assert_true(memory_now(r, "current") == GI + GI / 2);
}

/* qemu.md 16.21 */
static void shrinking_gives_memory_back_to_the_host(void **state)
{
	struct rig *r = *state;
	uint64_t full, after;
	pid_t qemu;

	start_vm(r, NULL, NULL);
	qemu = (pid_t)json_i64(json_at(json_root(r->state), "/qemuPid"));
	log_in(r);
	set_memory(r, 3 * GI);
	assert_int_equal(r->code, ERR_NONE);
	type(r, "mkdir /mnt; mount -t tmpfs -o size=2g t /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=1500; "
		"rm /mnt/x; "
		"echo do''ne\n");
	expect(r, "done", 60000);
	full = status_field(qemu, "VmRSS:", 10);
	assert_true(full > 1500 * 1024);
	set_memory(r, GI);
	/* refused until the balloon has told that it is free again */
	for (int i = 0; i < 60 && r->code == ERR_INVALID; i++) {
		settle(r, 500);
		set_memory(r, GI);
	}
	assert_int_equal(r->code, ERR_NONE);
	assert_true(json_bool(json_at(json_root(r->ok), "/complete")));
	after = status_field(qemu, "VmRSS:", 10);
	print_message("resident: %llu MiB used, %llu MiB after the shrink\n", (unsigned long long)full / 1024,
		(unsigned long long)after / 1024);
	assert_true(after + 1000 * 1024 < full);
}

/* qemu.md 16.11, 16.13, 16.24, 16.61 */
/* rollout.md 5.1: real numbers of a real guest, which grow */
static void what_the_guest_costs(struct rig *r)
{
	int64_t before, ms;

	call_ok(r, WIRE_stats, NULL);
	before = json_i64(json_at(json_root(r->ok), "/vcpus/0/ms"));
	assert_true(before > 0);
	assert_int_equal(json_len(json_at(json_root(r->ok), "/vcpus")), 1);
	assert_true(json_i64(json_at(json_root(r->ok), "/userMs")) > 0);
	assert_true(json_i64(json_at(json_root(r->ok), "/resident")) > 16 << 20);
	assert_int_equal(json_i64(json_at(json_root(r->ok), "/balloon")), GI);
	type(r, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo cou''nted\n");
	expect(r, "counted", BOOT_LIMIT_MS);
	call_ok(r, WIRE_stats, NULL);
	ms = json_i64(json_at(json_root(r->ok), "/vcpus/0/ms"));
	assert_true(ms > before);
	assert_true(json_i64(json_at(json_root(r->ok), "/userMs")) >= ms / 2);
}

static void pause_reboot_and_identity(void **state)
{
	struct rig *r = *state;
	CLEANUP(mem_freep) char *log = file_join(r->dir, "console.log"), *text = NULL;
	size_t len;

	start_vm(r, NULL, NULL);
	log_in(r);
	what_the_guest_costs(r);
	for (int i = 0; i < 2; i++) {
		call_ok(r, WIRE_pause, NULL);
		wait_phase(r, "Paused", 1000);
		assert_string_equal(json_at_str(json_root(r->state), "/reason"), "PausedByUser");
	}
	for (int i = 0; i < 2; i++) {
		call_ok(r, WIRE_unpause, NULL);
		wait_phase(r, "Running", 1000);
	}
	set_memory(r, GI + GI / 2);
	assert_int_equal(r->code, ERR_NONE);
	type(r, "reboot -f\n");
	expect(r, "login: ", BOOT_LIMIT_MS);
	for (int i = 0; i < 100 && memory_now(r, "current") != GI + GI / 2; i++)
		loop_step(r->loop, 100);
	assert_true(memory_now(r, "current") == GI + GI / 2);
	assert_int_equal(r->reboots, 1);
	assert_string_equal(phase(r), "Running");
	settle(r, 5000); /* resets closer together count as one */
	call_ok(r, WIRE_reset, NULL);
	expect(r, "login: ", BOOT_LIMIT_MS);
	assert_int_equal(r->reboots, 2);
	assert_int_equal(file_read(log, 1 << 20, &text, &len, NULL), 0);
	assert_non_null(strstr(text, "CG cidata"));
	assert_non_null(strstr(text, "9d8b7c6a-1111-4222-8333-444455556666"));
}

/* qemu.md 16.12 */
static void a_guest_that_powers_off_has_succeeded(void **state)
{
	struct rig *r = *state;

	start_vm(r, NULL, NULL);
	log_in(r);
	type(r, "poweroff -f\n");
	wait_phase(r, "Succeeded", 10000);
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "GuestShutdown");
}

/* qemu.md 16.12 */
static void a_killed_qemu_has_failed_with_the_cause(void **state)
{
	struct rig *r = *state;
	CLEANUP(mem_freep) char *path = file_join(r->dir, WIRE_STATE_FILE), *text = NULL;
	size_t len;

	start_vm(r, NULL, NULL);
	kill((pid_t)json_i64(json_at(json_root(r->state), "/qemuPid")), SIGKILL);
	wait_phase(r, "Failed", 5000);
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "QemuCrashed");
	assert_non_null(strstr(json_at_str(json_root(r->state), "/message"), "signal 9"));
	assert_int_equal(file_read(path, 65536, &text, &len, NULL), 0);
	assert_non_null(strstr(text, "\"phase\":\"Failed\""));
	call_ok(r, WIRE_release, NULL);
	assert_int_equal(WEXITSTATUS(exit_status(r, 5000)), 1);
}

/* qemu.md 16.14: in firmware nobody hears the button */
static void a_deaf_guest_ends_at_its_grace_period(void **state)
{
	struct rig *r = *state;
	int64_t start;

	start_vm(r, "/vmi/spec/domain/devices/disks/0/bootOrder", "7");
	start = time_mono_now();
	call_ok(r, WIRE_shutdown, "{'graceSeconds':1}");
	wait_phase(r, "Stopping", 1000);
	while (!str_eq(phase(r), "Failed") && time_mono_now() - start < 10000)
		loop_step(r->loop, 50);
	assert_in_range(time_mono_now() - start, 900, 2500);
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "GraceExpired");
}

/* What goes wrong before the guest runs. */
static void fails_with(
	struct rig *r, const char *pointer, const char *patch, const char *reason, const char *part)
{
	CLEANUP(json_doc_freep) struct json_doc *d = start_args(pointer, patch);
	const char *message;

	call(r, WIRE_start, json_root(d));
	assert_int_equal(r->code, ERR_NONE);
	for (int i = 0; i < 200 && !str_eq(phase(r), "Failed"); i++)
		loop_step(r->loop, 50);
	assert_string_equal(json_str_or(json_at(json_root(r->state), "/reason"), ""), reason);
	message = json_str_or(json_at(json_root(r->state), "/message"), "");
	if (!strstr(message, part))
		fail_msg("\"%s\" is not in \"%s\"", part, message);
}

static void a_missing_container_disk_is_named(void **state)
{
	fails_with(*state, "/host/containerDisks/containerdisk", "'/nonexistent'", "PrepareFailed",
		"volume \"containerdisk\": the image is not mounted at \"/nonexistent\"");
}

/* qemu.md 16.3 */
static void a_refused_start_quotes_qemus_last_words(void **state)
{
	fails_with(*state, "/host/machine", "'pc-q35-99.9'", "StartFailed", "unsupported machine type");
}

static void an_unknown_machine_alias_fails(void **state)
{
	fails_with(*state, "/host/machine", "'nonsense'", "StartFailed", "no machine type \"nonsense\"");
}

static void start_is_idempotent_for_the_same_vmi_only(void **state)
{
	struct rig *r = *state;
	CLEANUP(json_doc_freep)
	struct json_doc *d = start_args(NULL, NULL), *other = start_args("/vmi/metadata/uid", "'another'");

	start_vm(r, NULL, NULL);
	call(r, WIRE_start, json_root(d));
	assert_int_equal(r->code, ERR_NONE);
	assert_string_equal(json_at_str(json_root(r->ok), "/phase"), "Running");
	call(r, WIRE_start, json_root(other));
	assert_int_equal(r->code, ERR_CONFLICT);
	/* a handler that was restarted learns everything by hello */
	wire_client_free(TAKE(r->client));
	connect_launcher(r);
	assert_string_equal(phase(r), "Running");
	assert_true(memory_now(r, "current") == GI);
	call_ok(r, WIRE_kill, NULL);
	while (!str_eq(phase(r), "Failed"))
		loop_step(r->loop, 50);
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "Killed");
}

static void sigterm_powers_the_guest_off(void **state)
{
	struct rig *r = *state;

	start_vm(r, NULL, NULL);
	log_in(r);
	kill(r->pid, SIGTERM);
	assert_int_equal(exit_status(r, 15000), 0);
}

/* A QEMU that does not even answer is killed in the end. */
static void a_frozen_qemu_is_killed(void **state)
{
	struct rig *r = *state;
	pid_t qemu;

	start_vm(r, NULL, NULL);
	qemu = (pid_t)json_i64(json_at(json_root(r->state), "/qemuPid"));
	assert_int_equal(kill(qemu, SIGSTOP), 0);
	call(r, WIRE_pause, NULL);
	assert_int_equal(r->code, ERR_TIMEOUT);
	call_ok(r, WIRE_shutdown, "{'graceSeconds':1}");
	for (int i = 0; i < 200 && !str_eq(phase(r), "Failed"); i++)
		loop_step(r->loop, 100);
	assert_string_equal(json_at_str(json_root(r->state), "/reason"), "GraceExpired");
	assert_true(kill(qemu, 0) != 0);
}

static void sigterm_without_a_guest_just_ends(void **state)
{
	struct rig *r = *state;

	kill(r->pid, SIGTERM);
	assert_int_equal(exit_status(r, 2000), 0);
}

/* api/handoff.h: the directory may become the launcher's after it has started */
static void the_launcher_waits_for_its_directory(void **state)
{
	struct rig *r = *state;
	CLEANUP(mem_freep) char *path = file_join(r->dir, WIRE_SOCKET);

	if (geteuid() != 0)
		skip();
	for (int i = 0; i < 30; i++)
		loop_step(r->loop, 10);
	assert_false(file_exists(path));
	assert_int_equal(kill(r->pid, 0), 0);
	assert_int_equal(chown(r->dir, 107, 107), 0);
	assert_int_equal(chmod(r->dir, 0700), 0);
	connect_launcher(r);
	assert_string_equal(phase(r), "Idle");
}

/* The launcher is its pod's main process: without it there is no guest (and no orphan). */
static void qemu_dies_with_its_launcher(void **state)
{
	struct rig *r = *state;
	pid_t qemu;

	start_vm(r, NULL, NULL);
	qemu = (pid_t)json_i64(json_at(json_root(r->state), "/qemuPid"));
	kill(r->pid, SIGKILL);
	for (int i = 0; i < 100 && kill(qemu, 0) == 0 && proc_start_time(qemu); i++)
		settle(r, 20);
	assert_true(kill(qemu, 0) != 0 || status_field(qemu, "State:\tZ", 10) == 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			memory_grows_and_shrinks_while_the_guest_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			impossible_sizes_are_refused_and_nothing_happens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cpus_are_added_while_the_guest_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			memory_goes_below_its_start_and_above_its_maximum, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_asked_for_during_boot_arrives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_that_stays_offline_is_reported, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shrinking_gives_memory_back_to_the_host, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pause_reboot_and_identity, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_that_powers_off_has_succeeded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_killed_qemu_has_failed_with_the_cause, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_deaf_guest_ends_at_its_grace_period, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_missing_container_disk_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refused_start_quotes_qemus_last_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unknown_machine_alias_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(start_is_idempotent_for_the_same_vmi_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sigterm_powers_the_guest_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frozen_qemu_is_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sigterm_without_a_guest_just_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_launcher_waits_for_its_directory, set_up_directory_of_root, tear_down),
		cmocka_unit_test_setup_teardown(qemu_dies_with_its_launcher, set_up, tear_down),
	};
	char copy[] = "/tmp/launcher-guest-XXXXXX";
	int fd, r;

	if (argc < 3 || access(argv[2], R_OK) < 0 || (access("/usr/bin/qemu-system-x86_64", X_OK) < 0)) {
		print_message("skipped: needs qemu-system-x86_64 and the guest image (make guest-image)\n");
		return EXIT_SKIPPED;
	}
	launcher_path = argv[1];
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	/* a place uid 107 can read */
	fd = mkstemp(copy);
	close(fd);
	if (file_copy(argv[2], copy, 0444, NULL) < 0)
		return 1;
	chmod(copy, 0444);
	guest_disk = copy;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(copy);
	return r;
}
