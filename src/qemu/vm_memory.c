/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that comes and goes: how much of it, and the devices that bring it. qemu.md 5.1, 2.2; rollout.md 7.4 to 7.7. */
#include "qemu/vm_config.h"

#include "base/json.h"
#include "base/mem.h"

/* Address widths: QEMU's own x86 models have 40 bits, "host" what the host has; cortex-a72 has 44. */
#define X86_BITS 40
#define ARM_BITS 44
#define PCI_AND_HOLES (64ull << 30)              /* the 64-bit PCI window, the hole below 4 GiB, alignment */
#define RELOCATED ((1ull << 40) + PCI_AND_HOLES) /* with an AMD processor memory moves above 1 TiB */

uint64_t vm_memory_limit(enum vm_arch arch, enum vm_accel accel, const char *cpu, int host_bits)
{
	bool host = accel == VM_KVM && (!cpu || str_eq(cpu, "host"));
	int bits = arch == VM_AARCH64 ? ARM_BITS : X86_BITS;

	if (host && host_bits >= 32 && host_bits <= 57)
		bits = host_bits;
	if (bits <= 37)
		return (1ull << bits) / 2;
	return (1ull << bits) - (bits > X86_BITS && arch == VM_X86_64 ? RELOCATED : PCI_AND_HOLES);
}

uint64_t vm_memory_room(const struct vm_config *c)
{
	return c->max_memory > c->memory ? c->max_memory - c->memory : 0;
}

uint64_t vm_memory_spare(const struct vm_config *c)
{
	return vm_memory_room(c) && c->room > c->max_memory ? c->room - c->max_memory : 0;
}

uint64_t vm_memory_block(const struct vm_config *c)
{
	return c->block ? c->block : VM_BLOCK_SIZE;
}

const char *vm_memory_id(size_t i)
{
	static const char *const ids[VM_MEM_DEVICES] = { "vmem", "vmem1" };

	return ids[i];
}

struct json_doc *vm_memory_object(const struct vm_config *c, size_t i)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "qom-type", c->hugepages ? "memory-backend-file" : "memory-backend-ram");
	json_set_strf(d, o, "id", "vmem%zu", i);
	json_set_i64(d, o, "size", (int64_t)(i ? vm_memory_spare(c) : vm_memory_room(c)));
	json_set_bool(d, o, "reserve", false);
	if (c->hugepages)
		json_set_str(d, o, "mem-path", c->hugepages);
	return d;
}

static size_t port_of_memory(const struct vm_config *c, size_t i)
{
	struct vm_ports *p = MEM_NEW(struct vm_ports);
	size_t at = PORT_MEM;

	vm_ports_of(c, p);
	for (size_t k = 0; k < p->n; k++)
		if (str_eq(p->owner[k], vm_memory_id(i)))
			at = k;
	free(p);
	return at;
}

struct json_doc *vm_memory_device(const struct vm_config *c, size_t i)
{
	struct json_doc *d = json_doc_new();
	struct json *o = json_new_obj(d);

	json_set_root(d, o);
	json_set_str(d, o, "driver", "virtio-mem-pci");
	json_set_str(d, o, "id", vm_memory_id(i));
	json_set_strf(d, o, "bus", "rp%zu", port_of_memory(c, i));
	json_set_strf(d, o, "memdev", "vmem%zu", i);
	json_set_i64(d, o, "requested-size", i ? 0 : (int64_t)c->plugged);
	json_set_i64(d, o, "block-size", (int64_t)vm_memory_block(c));
	/* Without a page behind it a huge page kills QEMU when it is touched; so they are taken while it is plugged. */
	if (c->hugepages)
		json_set_bool(d, o, "prealloc", true);
	return d;
}
