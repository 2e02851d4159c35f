/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/domain.h - what a VirtualMachineInstance asks for, as the launcher needs it (kubevirt-api.md 9).
 *
 * A pure reading of the VMI and of the handler's facts (wire.h, HOST): no file is touched. Strings live in the
 * domain's arena. Fields this program does not know are ignored; volumes and buses it can not serve are errors, not
 * silently dropped. */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "qemu/vm_config.h"

#define DOMAIN_GRACE_S 30 /* terminationGracePeriodSeconds when the VMI has none */
#define DOMAIN_GRACE_MAX_S 86400
#define DOMAIN_FORWARDS_MAX 128
#define CONTAINER_DISK_DIR "/var/run/kubevirt/container-disks"

enum volume_kind {
	VOL_CONTAINER_DISK,
	VOL_NO_CLOUD,
	VOL_CONFIG_DRIVE,
	VOL_EMPTY,
	VOL_CLAIM,     /* the disk itself is used */
	VOL_EPHEMERAL, /* a claim under an overlay */
	VOL_HOST_DISK,
	VOL_FILES, /* a ConfigMap, Secret, ...: the files of a directory, as a read-only disk */
	VOL_NONE   /* a CD-ROM drive without a medium */
};

struct domain_disk {
	const char *name, *serial;
	enum vm_bus bus;
	bool cdrom, readonly;
	int boot_order; /* 0: none */
	enum volume_kind kind;
	const char *
		image_dir; /* VOL_CONTAINER_DISK: where the image is mounted, or the disk file itself; VOL_FILES */
	const char *image_path; /* path inside the image; NULL: the only file under /disk */
	uint64_t capacity;      /* VOL_EMPTY: bytes, whole MiB */
	const char *file;       /* VOL_CLAIM, VOL_EPHEMERAL, VOL_HOST_DISK: the disk image */
	const char *device;     /* a claim: the block device that it is instead, if there is one */
	const char *label;      /* VOL_FILES: of the file system; NULL: none was given */
	enum vm_cache cache;
	const char *error_policy; /* as struct vm_disk has it */
	bool shareable;
	/* the cloud-init kinds */
	const char *user_data, *network_data;
	size_t user_data_len, network_data_len;
};

enum nic_binding { NIC_MASQUERADE, NIC_BRIDGE };
struct domain_forward {
	bool udp;
	uint16_t port;
};
struct domain_nic {
	const char *name, *mac, *model; /* model: QEMU's device; NULL: virtio-net-pci */
	enum nic_binding binding;
	int boot_order;
	bool down;         /* the link, as it is */
	bool tap, leaving; /* tap: a secondary network. leaving: the guest was asked to let go of it */
	int fd;            /* of the tap, until QEMU has it; -1 */
	bool all_ports;    /* none were listed */
	struct domain_forward forwards[DOMAIN_FORWARDS_MAX];
	size_t n_forwards;
	/* masquerade: the guest's side */
	char guest_ip[16], gateway[16];
	int prefix;
};

struct domain {
	struct arena *arena;
	const char *name, *ns, *uid, *full;    /* full: NS_NAME */
	const char *uuid, *hostname, *machine; /* machine may be an alias */
	enum vm_arch arch;
	const char *cpu_model;       /* NULL: the accelerator's own default */
	uint64_t memory, max_memory; /* max_memory == memory: no room above */
	uint64_t
		base; /* main memory; less than memory: the rest comes by virtio-mem and can go (rollout.md 7.6) */
	uint64_t room;  /* how far max_memory can be raised while it runs (rollout.md 7.7); else max_memory */
	uint64_t block; /* of what is plugged: 2Mi, or the size of a huge page */
	const char *hugepages; /* the file system of huge pages; NULL: ordinary ones */
	unsigned sockets, cores, threads, max_sockets;
	bool fixed_cpus; /* this kind of machine takes none while it runs */
	int grace_s;
	bool start_paused, rng, serial_console, allow_emulation;
	const char *accelerator; /* "kvm", "tcg", or NULL: probe */
	const char *network;     /* "passt"; anything else: slirp */
	const char *dns[3];
	size_t n_dns;
	const char *search;
	struct domain_disk disks[VM_DISKS_MAX];
	size_t n_disks;
	struct domain_nic nics[VM_NICS_MAX];
	size_t n_nics;
};

/* host may be NULL. ERR_INVALID with the field's path. */
int domain_from_vmi(const struct json *vmi, const struct json *host, struct domain **ret, struct err *e);
/* One card by itself, of a secondary network: strings go into the domain's arena. mac may be NULL. */
int domain_read_tap_nic(struct domain *d, const struct json *interface, const struct json *network,
	const char *mac, struct domain_nic *ret, struct err *e);
struct domain_nic *domain_nic_find(struct domain *d, const char *name); /* NULL: none */
void domain_nic_remove(struct domain *d, const char *name);
/* The part that domain_disks.c reads. */
int domain_read_disks(struct domain *d, const struct json *vmi, const struct json *host, struct err *e);
/* One disk that is plugged later: as the VMI names it. Strings live in d's arena. */
int domain_read_plugged(struct domain *d, const struct json *disk, struct domain_disk *ret, struct err *e);
void domain_free(struct domain *d); /* closes what descriptors it holds */
void domain_freep(struct domain **d);
