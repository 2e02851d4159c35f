/* SPDX-License-Identifier: Apache-2.0 */
/* qemu/vm_config.h - one virtual machine as QEMU is asked to build it, and its command line.
 *
 * A plain value: all strings are borrowed and must outlive it. vm_config_check() finds what QEMU would refuse or
 * silently get wrong; vm_argv() is a pure function of the config. Device ids and PCI places are fixed by the names and
 * the order in the config: a migration target matches devices by guest PCI path, a restarted supervisor by id (qemu.md
 * 2.1). */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdint.h>

#define VM_DISKS_MAX 64
#define VM_NICS_MAX 16
#define VM_PORTS_MAX 128
#define VM_CPUS_MAX 255
#define VM_BLOCK_SIZE (2ull << 20) /* virtio-mem's granularity (qemu.md 5.1) */
#define VM_MEM_DEVICES 2           /* of virtio-mem: one from boot, one for a maximum that was raised */
#define VM_NAME_MAX 64             /* of a disk or NIC: they become ids */

enum vm_accel { VM_TCG, VM_KVM };
enum vm_arch { VM_X86_64, VM_AARCH64, VM_ARCH_MAX };
enum vm_format { VM_RAW, VM_QCOW2 };
enum vm_bus { VM_VIRTIO, VM_SCSI, VM_SATA };

enum vm_cache {
	VM_CACHE_DEFAULT,
	VM_CACHE_NONE,
	VM_CACHE_WRITETHROUGH,
	VM_CACHE_WRITEBACK,
	VM_CACHE_DIRECTSYNC
};

struct vm_disk {
	const char *name;
	enum vm_bus bus;
	bool cdrom, readonly;
	bool empty;       /* a CD-ROM drive without a medium: no file */
	const char *file; /* or "/dev/fdset/N" */
	enum vm_format format;
	const char *base; /* backing file, read-only; NULL: none */
	enum vm_format base_format;
	bool block_device; /* file is one */
	bool base_device;  /* base is one */
	bool opened_rw; /* file is a descriptor that can be written: can not be had otherwise, even if the disk is not */
	int bootindex; /* 0: none */
	const char *serial;
	enum vm_cache cache;
	const char *error_policy; /* stop, ignore, report, enospc; NULL: stop */
	bool shareable;           /* others may write it too */
};

enum vm_netdev { VM_NET_STREAM_FD, VM_NET_SLIRP, VM_NET_TAP_FD };
struct vm_nic {
	const char *name, *mac, *model; /* model NULL: virtio-net-pci */
	enum vm_netdev netdev;
	int fd;  /* of the stream or tap */
	int mtu; /* that the guest is told of; 0: none. virtio only */
	/* slirp only: guest network; NULL: its own defaults. hostfwd: NULL or "tcp::80-:80"... */
	const char *net, *host, *dhcp_start, *dns;
	const struct strv *hostfwd;
	int bootindex;
};

struct vm_config {
	const char *binary; /* NULL: vm_binary(arch) */
	const char *name, *uuid;
	enum vm_arch arch;
	const char *machine; /* versioned: pc-q35-7.2 */
	enum vm_accel accel;
	const char *cpu;             /* NULL: host under KVM; under TCG qemu64, arm64 cortex-a72 */
	uint64_t memory, max_memory; /* bytes; max_memory <= memory: no room, no maxmem (qemu.md 16.26) */
	uint64_t plugged;      /* of the room, what the guest gets at boot: the rest of memory that can be
	                              * taken back (rollout.md 7.6) */
	uint64_t room;         /* above max_memory: address space and a port for a second device
	                              * (rollout.md 7.7); else 0 or max_memory */
	uint64_t block;        /* size of a page of huge ones; 0: VM_BLOCK_SIZE and ordinary pages */
	const char *hugepages; /* where their file system is; NULL: ordinary pages */
	unsigned sockets, cores, threads, max_sockets;
	/* Descriptors QEMU inherits; listening sockets. -1: none of that. */
	int fd_qmp, fd_rescue, fd_console, fd_agent;
	const char *console_log;
	bool rng;
	const char *smbios;                        /* after "type=1,"; NULL: none */
	const char *firmware_code, *firmware_vars; /* UEFI; NULL: SeaBIOS (arm64 always has them) */
	bool only_migratable, paused;              /* paused: -S */
	const char *incoming;                      /* "defer" or NULL */
	struct vm_disk disks[VM_DISKS_MAX];
	size_t n_disks;
	struct vm_nic nics[VM_NICS_MAX];
	size_t n_nics;
};

/* Ids: a NIC's device is nic-NAME, its backend net-NAME, whenever it was plugged. */
/* Which device sits on which root port. QEMU accepts a second device on an occupied port and the guest never sees it
 * (qemu.md 2.2), so nothing is plugged without asking here. */
struct vm_ports {
	const char *owner[VM_PORTS_MAX]; /* device id, borrowed or static; NULL: free */
	size_t n;
	char ids[VM_PORTS_MAX][VM_NAME_MAX + 8]; /* storage of owner[] */
};
enum { PORT_SERIAL, PORT_BALLOON, PORT_SCSI, PORT_RNG, PORT_MEM, PORT_FIRST_DISK };

int vm_config_check(const struct vm_config *c, struct err *e);
/* As vm_argv() places them, spare ports included. */
void vm_ports_of(const struct vm_config *c, struct vm_ports *ret);
/* For what is plugged later. Device id: "KIND-NAME". The index of the port that is its own from now on; -1: none
 * is free. It is given back when the guest has let go of the device, not before. */
int vm_port_take(struct vm_ports *p, const char *kind, const char *name);
void vm_port_give(struct vm_ports *p, const char *kind, const char *name);
/* A NIC by itself; part of vm_config_check(). */
int vm_nic_check(const struct vm_nic *n, struct err *e);
/* The config must have passed the check. Adds to ret, argv[0] first. */
void vm_argv(const struct vm_config *c, struct strv *ret);
/* The name of a disk's top block node; long disk names are shortened with a hash. */
#define VM_NODE_NAME_MAX 32
void vm_node_name(const char *disk, char ret[VM_NODE_NAME_MAX]);
/* What of a disk goes to QEMU by -blockdev or blockdev-add, the lowest node first. o is borrowed for the call. */
typedef void vm_node_fn(void *arg, const struct json *o);
void vm_disk_nodes(const struct vm_disk *d, vm_node_fn *fn, void *arg);
void vm_firmware_nodes(const struct vm_config *c, vm_node_fn *fn, void *arg);
/* For -device or device_add: members in QEMU's own spelling, "driver" first. bus: root port, of a virtio disk.
 * lun: on the SCSI bus, or the SATA port. */
struct json *vm_disk_device(struct json_doc *doc, const struct vm_disk *d, const char *bus, unsigned lun);
/* Where nobody gives an order: the disks as they stand, then the discs in drives. Firmware of arm64 looks at none that is not
 * named, and an empty drive in front of all keeps it from starting anything. */
void vm_boot_order(struct vm_config *c);
/* The same of a card, whose netdev is "net-NAME". */
struct json *vm_nic_device(struct json_doc *doc, const struct vm_nic *n, const char *bus);
/* Guest memory virtio-mem can add; 0: none. */
uint64_t vm_memory_room(const struct vm_config *c);
/* What a second device could add to that; 0: no room was reserved. */
uint64_t vm_memory_spare(const struct vm_config *c);
/* virtio-mem's granularity: that of the pages behind it. */
uint64_t vm_memory_block(const struct vm_config *c);
/* The device i as device_add takes it, and the object behind it; i is 0 or 1. Ids: vmem, vmem1. */
const char *vm_memory_id(size_t i);
struct json_doc;
struct json_doc *vm_memory_object(const struct vm_config *c, size_t i);
struct json_doc *vm_memory_device(const struct vm_config *c, size_t i);

/* The most memory, maximum included, that the machine can address: by the width of its processor's addresses, less what
 * firmware and PCI need (QEMU: "phys-bits too low"). host_bits: of the host's processor, 0 if not known. */
uint64_t vm_memory_limit(enum vm_arch arch, enum vm_accel accel, const char *cpu, int host_bits);

const char *vm_binary(enum vm_arch a);
/* In Kubernetes' spelling: "amd64", "arm64"; false for others. */
bool vm_arch_of(const char *text, enum vm_arch *ret);
const char *vm_arch_name(enum vm_arch a);
bool vm_arch_is_host(enum vm_arch a); /* of what this program was built for: others have no KVM here */

/* The versioned name behind a machine alias, from the text of `-machine help`; ERR_NOT_FOUND. Caller frees. */
int vm_machine_resolve(const char *help, const char *wanted, char **ret, struct err *e);
