/* SPDX-License-Identifier: Apache-2.0 */
/* What the host can do, found out once at start: KVM by running code in it, machine types by asking
 * QEMU. */
#include "kubevirt/handler/handler_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/config.h"
#include "qemu/firmware.h"

#define MACHINES_MS 20000

static void answered(struct handler *h)
{
	if (!h->kvm_known || !h->machines_known)
		return;
	h->node.known = true;
	controllers_kick(h->controllers, h->nodes.name, h->spec.node);
}

static void on_kvm(void *arg, const struct accel_result *r)
{
	struct handler *h = arg;

	h->node.kvm = *r;
	h->kvm_known = true;
	log_info("KVM is %s: %s", accel_name(r->verdict), r->text);
	accel_probe_free(TAKE(h->probe));
	answered(h);
}

static void ask_machines(struct handler *h, enum vm_arch arch);

/* Those of other architectures, as far as they are installed; nothing waits for them. */
static void ask_others(struct handler *h, int next)
{
	if (next < VM_ARCH_MAX && vm_arch_is_host((enum vm_arch)next))
		next++;
	if (!h->spec.qemu && next < VM_ARCH_MAX)
		ask_machines(h, (enum vm_arch)next);
}

static void take_machines(struct handler *h, enum vm_arch arch, const char *help)
{
	const char *code, *vars;

	if (!vm_arch_is_host(arch) && !h->spec.qemu) {
		if (firmware_needed(arch) && firmware_find(arch, &code, &vars, NULL) < 0)
			return;
		log_info("%s guests are emulated", vm_arch_name(arch));
		strv_add(&h->node.emulates, vm_arch_name(arch));
	}
	node_machines(help, &h->node.machines);
}

static void on_machines(void *arg, const struct proc_result *r)
{
	struct handler *h = arg;
	enum vm_arch arch = h->machines_of;
	bool host = vm_arch_is_host(arch) || h->spec.qemu;

	if (proc_ok(r))
		take_machines(h, arch, r->out);
	else if (host)
		log_error("QEMU does not tell its machine types: %s", r->e && r->e->code ? r->e->msg
								      : r->err           ? r->err
											 : "");
	proc_run_free(TAKE(h->machines));
	h->machines_known = true;
	ask_others(h, host ? 0 : (int)arch + 1);
	answered(h);
}

static void ask_machines(struct handler *h, enum vm_arch arch)
{
	const char *qemu = h->spec.qemu ? h->spec.qemu : vm_binary(arch);
	char *argv[] = { (char *)qemu, "-machine", "help", NULL };

	h->machines_of = arch;
	h->machines = proc_run(h->spec.loop, argv, NULL, MACHINES_MS, on_machines, h);
}

void probe_start(struct handler *h)
{
	enum vm_arch own = VM_X86_64;

	vm_arch_of(kv_arch_host(), &own);
	h->probe = accel_probe_new(
		h->spec.loop, h->spec.kvm ? h->spec.kvm : "/dev/kvm", h->spec.measure, on_kvm, h);
	ask_machines(h, own);
}

void probe_free(struct handler *h)
{
	if (h->probe)
		accel_probe_free(h->probe);
	if (h->machines)
		proc_run_free(h->machines);
	strv_done(&h->node.machines);
	strv_done(&h->node.emulates);
}
