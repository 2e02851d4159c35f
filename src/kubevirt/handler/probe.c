/* SPDX-License-Identifier: Apache-2.0 */
/* What the host can do, found out once at start: KVM by running code in it, machine types by asking
 * QEMU. */
#include "kubevirt/handler/handler_impl.h"

#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/api/config.h"

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

static void on_machines(void *arg, const struct proc_result *r)
{
	struct handler *h = arg;

	h->machines = NULL;
	h->machines_known = true;
	if (proc_ok(r))
		node_machines(r->out, &h->node.machines);
	else
		log_error("QEMU does not tell its machine types: %s", r->e && r->e->code ? r->e->msg
								      : r->err           ? r->err
											 : "");
	answered(h);
}

void probe_start(struct handler *h)
{
	const char *qemu = h->spec.qemu;
	char *argv[] = { NULL, "-machine", "help", NULL };

	if (!qemu)
		qemu = str_eq(kv_arch_host(), "arm64") ? "qemu-system-aarch64" : "qemu-system-x86_64";
	argv[0] = (char *)qemu;
	h->probe = accel_probe_new(
		h->spec.loop, h->spec.kvm ? h->spec.kvm : "/dev/kvm", h->spec.measure, on_kvm, h);
	h->machines = proc_run(h->spec.loop, argv, NULL, MACHINES_MS, on_machines, h);
}

void probe_free(struct handler *h)
{
	if (h->probe)
		accel_probe_free(h->probe);
	if (h->machines)
		proc_run_free(h->machines);
	strv_done(&h->node.machines);
}
