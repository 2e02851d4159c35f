/* SPDX-License-Identifier: Apache-2.0 */
/* From the start request to a running guest: accelerator, machine type, disks, network, QEMU, first commands. One step
 * is awaited at a time; each ends in the next one or in Failed with a reason. */
#include "kubevirt/launcher/launcher_impl.h"

#include "base/file.h"
#include "base/log.h"
#include "kubevirt/launcher/seed.h"
#include "qemu/firmware.h"
#include "qemu/qmp_cmds.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BALLOON_PATH "/machine/peripheral/balloon0"
#define CPUINFO_MAX (1 << 20)
#define KVM_PLAIN_CPU "kvm64" /* where -cpu host is not possible (qemu.md 1) */

static const struct sm_state prep_states[] = {
	[P_NEW] = { "new", SM_TO(P_PROBE) | SM_TO(P_MACHINE) | SM_TO(P_FAILED) },
	[P_PROBE] = { "accelerator", SM_TO(P_MACHINE) | SM_TO(P_FAILED) },
	[P_MACHINE] = { "machine type", SM_TO(P_DISK) | SM_TO(P_FAILED) },
	[P_DISK] = { "disks", SM_TO(P_GREETING) | SM_TO(P_FAILED) },
	[P_GREETING] = { "QEMU's start", SM_TO(P_SETUP) | SM_TO(P_FAILED) },
	[P_SETUP] = { "first commands", SM_TO(P_DONE) | SM_TO(P_FAILED) },
	[P_DONE] = { "done", 0 },
	[P_FAILED] = { "failed", 0 },
};

void prepare_failed(struct launcher *l, const char *reason, const struct err *e)
{
	if (l->prep.at == P_FAILED || l->prep.at == P_DONE)
		return;
	sm_move(&l->prep, P_FAILED);
	guest_finish(l, WIRE_PHASE_FAILED, reason, e->msg);
}

void prepare_cancel(struct launcher *l)
{
	proc_run_free(TAKE(l->run));
	accel_probe_free(TAKE(l->probe));
	if (l->prep.states && l->prep.at != P_DONE && l->prep.at != P_FAILED)
		sm_move(&l->prep, P_FAILED);
}

/* ---- the machine as QEMU gets it ---- */

static void fill_config(struct launcher *l)
{
	struct vm_config *c = l->config;
	const struct domain *d = l->domain;

	c->binary = l->qemu_bin;
	c->name = d->full;
	c->uuid = d->uuid;
	c->machine = l->machine;
	c->cpu = d->cpu_model ? d->cpu_model : l->plain_cpu ? KVM_PLAIN_CPU : NULL;
	c->arch = d->arch;
	c->memory = d->base;
	c->max_memory = d->max_memory;
	c->sockets = d->fixed_cpus ? d->sockets : 1; /* the others are added before it runs (qemu.md 6) */
	c->plugged = d->memory - d->base;
	c->room = d->room;
	c->block = d->block;
	c->hugepages = d->hugepages;
	c->firmware_code = l->firmware_code;
	c->firmware_vars = l->firmware_vars;
	c->cores = d->cores;
	c->threads = d->threads;
	c->max_sockets = d->max_sockets;
	c->fd_qmp = PROC_FD_BASE;
	c->fd_rescue = PROC_FD_BASE + 1;
	c->fd_console = PROC_FD_BASE + 2;
	c->fd_agent = PROC_FD_BASE + 3;
	c->console_log = arena_printf(d->arena, "%s/console.log", l->dir);
	c->rng = d->rng;
	c->smbios = "manufacturer=KubeVirt,product=None,family=KubeVirt";
	c->only_migratable = true;
	c->paused = true;
	disks_fill(l);
}

/* "address sizes	: 46 bits physical, 48 bits virtual"; 0: the host does not say. */
static int host_address_bits(void)
{
	CLEANUP(mem_freep) char *text = NULL;
	const char *at;
	size_t len;
	int bits = 0;

	if (file_read("/proc/cpuinfo", CPUINFO_MAX, &text, &len, NULL) < 0)
		return 0;
	at = strstr(text, "address sizes");
	if (!at || sscanf(at, "address sizes : %d bits", &bits) != 1)
		return 0;
	return bits;
}

/* Room that the processor can not address keeps QEMU from starting; less of it does no harm. */
static int fit_address_space(struct launcher *l, struct err *e)
{
	struct domain *d = l->domain;
	uint64_t limit = vm_memory_limit(d->arch, l->config->accel, d->cpu_model, host_address_bits()) /
			 d->block * d->block;

	if (d->memory > limit)
		return err_set(e, ERR_INVALID,
			"spec.domain.memory.guest: %lluMi are more than the %lluMi that the guest's "
			"processor can "
			"address here",
			(unsigned long long)(d->memory >> 20), (unsigned long long)(limit >> 20));
	if (d->room <= limit)
		return 0;
	snprintf(l->room_note, sizeof(l->room_note),
		"%lluGi of room for memory were asked for, the guest's processor can address %lluGi here",
		(unsigned long long)(d->room >> 30), (unsigned long long)(limit >> 30));
	log_warn("%s", l->room_note);
	d->room = limit;
	if (d->max_memory > limit)
		d->max_memory = limit;
	return 0;
}

static int firmware(struct launcher *l, struct err *e)
{
	const char *vars;

	if (!firmware_needed(l->domain->arch) || l->firmware_vars)
		return 0;
	if (firmware_find(l->domain->arch, &l->firmware_code, &vars, e) < 0)
		return -1;
	l->firmware_vars = file_join(l->dir, "firmware-vars.fd");
	return firmware_copy_vars(vars, l->firmware_vars, e);
}

void prepare_launch(struct launcher *l)
{
	struct err e;

	if (fit_address_space(l, &e) < 0 || firmware(l, &e) < 0) {
		prepare_failed(l, "PrepareFailed", &e);
		return;
	}
	fill_config(l);
	if (spawn_network(l, &e) < 0) {
		prepare_failed(l, "PrepareFailed", &e);
		return;
	}
	vm_boot_order(l->config);
	if (vm_config_check(l->config, &e) < 0) {
		prepare_failed(l, "PrepareFailed", &e);
		return;
	}
	if (l->prep.at == P_DISK) {
		sm_move(&l->prep, P_GREETING);
		phase_set(l, WIRE_PHASE_STARTING, NULL, NULL);
	}
	if (spawn_qemu(l, &e) < 0)
		prepare_failed(l, "StartFailed", &e);
}

/* ---- machine type ---- */

static void disks_start(struct launcher *l)
{
	sm_move(&l->prep, P_DISK);
	state_changed(l);
	disks_make(l);
}

static const char *qemu_of(const struct launcher *l)
{
	return l->qemu_bin ? l->qemu_bin : vm_binary(l->domain->arch);
}

static void on_machine_help(void *arg, const struct proc_result *r)
{
	struct launcher *l = arg;
	struct err e;
	int ok = -1;

	if (!proc_ok(r))
		err_set(&e, ERR_SYSTEM, "asking %s for its machine types: %s", qemu_of(l),
			r->e && r->e->code ? r->e->msg : "it failed");
	else
		ok = vm_machine_resolve(r->out, l->domain->machine, &l->machine, &e);
	proc_run_free(TAKE(l->run));
	if (ok < 0)
		prepare_failed(l, "StartFailed", &e);
	else
		disks_start(l);
}

/* A name with a version is taken as it is; QEMU itself refuses an unknown one. */
static bool versioned(const char *machine)
{
	const char *dash = strrchr(machine, '-');

	return dash && dash[1] >= '0' && dash[1] <= '9';
}

static void machine_start(struct launcher *l)
{
	char *argv[] = { (char *)qemu_of(l), "-machine", "help", NULL };

	sm_move(&l->prep, P_MACHINE);
	if (versioned(l->domain->machine)) {
		l->machine = mem_strdup(l->domain->machine);
		disks_start(l);
		return;
	}
	l->run = proc_run(l->loop, argv, NULL, TOOL_LIMIT_MS, on_machine_help, l);
}

/* ---- accelerator ---- */

static void on_probe(void *arg, const struct accel_result *r)
{
	struct launcher *l = arg;
	struct err e;

	log_info("KVM is %s: %s", accel_name(r->verdict), r->text);
	accel_probe_free(TAKE(l->probe));
	if (r->verdict != ACCEL_USABLE && !l->domain->allow_emulation) {
		err_set(&e, ERR_UNAVAILABLE, "%s; emulation is not allowed", r->text);
		prepare_failed(l, "StartFailed", &e);
		return;
	}
	l->config->accel = r->verdict == ACCEL_USABLE ? VM_KVM : VM_TCG;
	machine_start(l);
}

void prepare_start(struct launcher *l)
{
	const char *accel = l->domain->accelerator;

	/* Another processor than the host's is always emulated. */
	if (!vm_arch_is_host(l->domain->arch))
		accel = "tcg";

	l->prep = (struct sm){ prep_states, P_NEW };
	l->config = MEM_NEW(struct vm_config);
	phase_set(l, WIRE_PHASE_PREPARING, NULL, NULL);
	if (accel) {
		l->config->accel = str_eq(accel, "kvm") ? VM_KVM : VM_TCG;
		machine_start(l);
		return;
	}
	sm_move(&l->prep, P_PROBE);
	l->probe = accel_probe_new(
		l->loop, l->spec.kvm ? l->spec.kvm : "/dev/kvm", l->spec.measure, on_probe, l);
}

/* ---- the first commands ---- */

static void on_cont(void *arg, const struct json *ret, const struct err *e)
{
	struct launcher *l = arg;

	(void)ret;
	if (l->prep.at != P_SETUP)
		return;
	if (e) {
		prepare_failed(l, "StartFailed", e);
		return;
	}
	sm_move(&l->prep, P_DONE);
	nic_close_files(l);
	guest_running(l);
}

/* Everything anew but the disks. */
static void relaunch(struct launcher *l)
{
	struct err e;

	spawn_done(l);
	fill_config(l);
	if (spawn_network(l, &e) < 0 || spawn_qemu(l, &e) < 0)
		prepare_failed(l, "StartFailed", &e);
}

bool prepare_retry(struct launcher *l, int wait_status)
{
	bool aborted = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT;

	if (l->prep.at != P_GREETING || !aborted || l->config->accel != VM_KVM || l->domain->cpu_model ||
		l->plain_cpu)
		return false;
	l->plain_cpu = true;
	log_warn("QEMU aborted with -cpu host, starting it again with -cpu %s", KVM_PLAIN_CPU);
	relaunch(l);
	return true;
}

static void go(struct launcher *l)
{
	if (l->domain->start_paused)
		qmp_send_query_status(l->qmp, NULL, on_cont, l);
	else
		qmp_send_cont(l->qmp, NULL, on_cont, l);
}

static void on_cpus(void *arg, const struct err *e)
{
	struct launcher *l = arg;

	if (l->prep.at != P_SETUP || (e && e->code == ERR_UNAVAILABLE))
		return; /* QEMU has ended, and its exit says why */
	if (e)
		prepare_failed(l, "StartFailed", e);
	else
		go(l);
}

void prepare_qmp_ready(struct launcher *l)
{
	if (l->prep.at != P_GREETING)
		return;
	sm_move(&l->prep, P_SETUP);
	qmp_send_qom_set(l->qmp,
		&(struct qmp_qom_set){ .path = BALLOON_PATH,
			.property = "guest-stats-polling-interval",
			.value = BALLOON_FAST_S },
		NULL, NULL);
	nic_links_down(l);
	guest_cpus_new(l);
	if (l->domain->sockets > l->config->sockets)
		cpus_request(l->cpus, &(struct cpus_request){ .sockets = l->domain->sockets }, on_cpus, l);
	else
		go(l);
}
