/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/vm_config.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* KubeVirt's rule (qemu.md 2.2): a guest above this gets more room for later devices. */
#define BIG_GUEST (2ull << 30)
#define PORTS_SMALL 8
#define PORTS_BIG 16
#define FREE_SMALL 3
#define FREE_BIG 6
/* Root ports sit behind 00:02.0 and up, eight functions a slot. */
#define PORT_SLOT 2
#define SATA_PORTS 6

/* ---- architectures ---- */

static const struct {
	const char *name, *binary, *machine_options, *emulated_cpu, *ram;
} archs[] = {
	[VM_X86_64] = { "amd64", "qemu-system-x86_64", "usb=off,vmport=off,dump-guest-core=off", "qemu64",
		"pc.ram" },
	[VM_AARCH64] = { "arm64", "qemu-system-aarch64", "usb=off,dump-guest-core=off", "cortex-a72",
		"mach-virt.ram" },
};

const char *vm_binary(enum vm_arch a)
{
	return archs[a].binary;
}

const char *vm_arch_name(enum vm_arch a)
{
	return archs[a].name;
}

bool vm_arch_is_host(enum vm_arch a)
{
#if defined(__aarch64__)
	return a == VM_AARCH64;
#elif defined(__x86_64__)
	return a == VM_X86_64;
#else
	return false;
#endif
}

bool vm_arch_of(const char *text, enum vm_arch *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(archs); i++)
		if (str_eq(archs[i].name, text)) {
			*ret = (enum vm_arch)i;
			return true;
		}
	return false;
}

/* ---- checks ---- */

/* What may become an id or stand inside a comma-separated option. */
static bool plain(const char *s, size_t max)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= max &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+") == n;
}

/* A DNS label. Without dots and underscores, which separate the parts of node names. */
static bool name_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= VM_NAME_MAX &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == n;
}

static int check_disk(const struct vm_disk *d, enum vm_arch arch, struct err *e)
{
	if (!name_ok(d->name))
		return err_set(
			e, ERR_INVALID, "disk name \"%s\" can not be a device id", d->name ? d->name : "");
	if (d->empty && !d->cdrom)
		return err_set(e, ERR_INVALID, "disk \"%s\": only a CD-ROM drive can be empty", d->name);
	if (!d->empty && (!d->file || d->file[0] != '/'))
		return err_set(e, ERR_INVALID, "disk \"%s\": its file must be an absolute path", d->name);
	if (d->serial && !plain(d->serial, 256))
		return err_set(e, ERR_INVALID, "disk \"%s\": serial \"%s\" has characters QEMU can not take",
			d->name, d->serial);
	if (d->cdrom && d->bus == VM_VIRTIO)
		return err_set(e, ERR_INVALID, "disk \"%s\": a CD-ROM needs bus sata or scsi", d->name);
	if (arch == VM_AARCH64 && d->bus == VM_SATA)
		return err_set(e, ERR_INVALID, "disk \"%s\": arm64 machines have no bus sata", d->name);
	if (d->readonly && d->bus == VM_SATA && !d->cdrom)
		return err_set(e, ERR_INVALID, "disk \"%s\": a SATA disk can not be read-only", d->name);
	return 0;
}

/* As disks', and underscores: KubeVirt allows them in names of networks. */
static bool nic_name_ok(const char *s)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(s ? s : "");

	for (char *c = copy; *c; c++)
		if (*c == '_')
			*c = '-';
	return name_ok(copy);
}

int vm_nic_check(const struct vm_nic *n, struct err *e)
{
	unsigned b[6];
	char end;

	if (!nic_name_ok(n->name))
		return err_set(e, ERR_INVALID, "interface name \"%s\" can not be a device id",
			n->name ? n->name : "");
	if (!n->mac || strlen(n->mac) != 17 ||
		sscanf(n->mac, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) !=
			6)
		return err_set(e, ERR_INVALID, "interface \"%s\": \"%s\" is no MAC address", n->name,
			n->mac ? n->mac : "");
	if (n->model && !plain(n->model, 64))
		return err_set(e, ERR_INVALID, "interface \"%s\": model \"%s\"", n->name, n->model);
	return 0;
}

static int check_memory(const struct vm_config *c, struct err *e)
{
	uint64_t block = vm_memory_block(c), room = vm_memory_room(c);

	if (room % block || vm_memory_spare(c) % block || c->plugged % block ||
		((room || c->hugepages) && c->memory % block))
		return err_set(e, ERR_INVALID,
			"room for memory of %llu bytes over %llu: both must be multiples of %lluMi",
			(unsigned long long)room, (unsigned long long)c->memory,
			(unsigned long long)(block >> 20));
	if (c->plugged > room)
		return err_set(e, ERR_INVALID, "%llu bytes of a room of %llu", (unsigned long long)c->plugged,
			(unsigned long long)room);
	return 0;
}

static int check_shape(const struct vm_config *c, struct err *e)
{
	uint64_t cpus = (uint64_t)c->max_sockets * c->cores * c->threads;

	if (!plain(c->machine, 64) || !plain(c->uuid, 64))
		return err_set(e, ERR_INVALID, "machine type \"%s\" or uuid \"%s\" is not usable",
			c->machine ? c->machine : "", c->uuid ? c->uuid : "");
	if (c->cpu &&
		strspn(c->cpu, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,+=") !=
			strlen(c->cpu))
		return err_set(e, ERR_INVALID, "CPU model \"%s\" is not usable", c->cpu);
	if (!c->sockets || !c->cores || !c->threads || c->max_sockets < c->sockets)
		return err_set(e, ERR_INVALID, "CPU topology %u(max %u)/%u/%u", c->sockets, c->max_sockets,
			c->cores, c->threads);
	if (cpus > VM_CPUS_MAX)
		return err_set(e, ERR_INVALID, "%llu CPUs: QEMU takes %d at most", (unsigned long long)cpus,
			VM_CPUS_MAX);
	if (c->memory < (1u << 20) || c->memory % 1024)
		return err_set(e, ERR_INVALID, "guest memory of %llu bytes: at least 1Mi, in whole KiB",
			(unsigned long long)c->memory);
	return check_memory(c, e);
}

int vm_config_check(const struct vm_config *c, struct err *e)
{
	struct strv names = { 0 };
	size_t sata = 0;
	int r = check_shape(c, e);

	for (size_t i = 0; !r && i < c->n_disks; i++) {
		r = check_disk(&c->disks[i], c->arch, e);
		sata += c->disks[i].bus == VM_SATA;
		if (!r && strv_has(&names, c->disks[i].name))
			r = err_set(e, ERR_INVALID, "two disks are named \"%s\"", c->disks[i].name);
		if (!r)
			strv_add(&names, c->disks[i].name);
	}
	strv_done(&names);
	for (size_t i = 0; !r && i < c->n_nics; i++) {
		r = vm_nic_check(&c->nics[i], e);
		if (!r && strv_has(&names, c->nics[i].name))
			r = err_set(e, ERR_INVALID, "two interfaces are named \"%s\"", c->nics[i].name);
		if (!r)
			strv_add(&names, c->nics[i].name);
	}
	strv_done(&names);
	if (!r && sata > SATA_PORTS)
		r = err_set(e, ERR_INVALID, "%zu SATA disks: the controller has %d ports", sata, SATA_PORTS);
	return r;
}

/* ---- root ports ---- */

static void port_set(struct vm_ports *p, size_t i, const char *kind, const char *name)
{
	snprintf(p->ids[i], sizeof(p->ids[i]), "%s-%s", kind, name);
	p->owner[i] = p->ids[i];
}

void vm_ports_of(const struct vm_config *c, struct vm_ports *ret)
{
	size_t total = c->memory > BIG_GUEST ? PORTS_BIG : PORTS_SMALL;
	size_t spare = c->memory > BIG_GUEST ? FREE_BIG : FREE_SMALL;

	memset(ret, 0, sizeof(*ret));
	ret->owner[PORT_SERIAL] = "vser0";
	ret->owner[PORT_BALLOON] = "balloon0";
	ret->owner[PORT_SCSI] = "scsi0";
	ret->owner[PORT_RNG] = "rngdev0"; /* kept for it even when there is none: places do not shift */
	ret->owner[PORT_MEM] = "vmem";
	ret->n = PORT_FIRST_DISK;
	for (size_t i = 0; i < c->n_disks; i++)
		if (c->disks[i].bus == VM_VIRTIO)
			port_set(ret, ret->n++, "disk", c->disks[i].name);
	for (size_t i = 0; i < c->n_nics; i++)
		port_set(ret, ret->n++, "nic", c->nics[i].name);
	ret->n = ret->n + spare > total ? ret->n + spare : total;
	if (vm_memory_spare(c)) /* behind all others: places do not shift */
		ret->owner[ret->n++] = vm_memory_id(1);
}

static int port_find(const struct vm_ports *p, const char *kind, const char *name)
{
	char id[VM_NAME_MAX + 8];

	snprintf(id, sizeof(id), "%s-%s", kind, name);
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->owner[i], id))
			return (int)i;
	return -1;
}

int vm_port_take(struct vm_ports *p, const char *kind, const char *name)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->owner[i]) {
			port_set(p, i, kind, name);
			return (int)i;
		}
	return -1;
}

void vm_port_give(struct vm_ports *p, const char *kind, const char *name)
{
	int i = port_find(p, kind, name);

	if (i >= 0)
		p->owner[i] = NULL;
}

static size_t port_of(const struct vm_ports *p, const char *kind, const char *name)
{
	int i = port_find(p, kind, name);

	if (i < 0)
		mem_bug("device without a root port", __FILE__, __LINE__);
	return (size_t)i;
}

/* ---- the command line ---- */

static void opt(struct strv *v, const char *name)
{
	strv_add(v, name);
}

static __attribute__((format(printf, 3, 4))) void opt2(struct strv *v, const char *name, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	strv_add(v, name);
	strv_take(v, str_take(&s));
}

/* A comma in a value of a comma-separated option is written twice. */
static void add_escaped(struct str *s, const char *value)
{
	for (; *value; value++) {
		if (*value == ',')
			str_addc(s, ',');
		str_addc(s, *value);
	}
}

static void add_object(struct strv *v, const char *option, struct json_doc *d /* taken */)
{
	strv_add(v, option);
	strv_take(v, json_write(json_root(d), NULL));
	json_doc_free(d);
}

static void add_memory(const struct vm_config *c, struct strv *v)
{
	uint64_t room = vm_memory_room(c);
	bool mi = c->memory % (1 << 20) == 0;
	unsigned long long boot = mi ? c->memory >> 20 : c->memory >> 10;

	if (room)
		opt2(v, "-m", "size=%lluM,maxmem=%lluM", boot,
			(unsigned long long)((c->memory + room + vm_memory_spare(c)) >> 20));
	else
		opt2(v, "-m", "size=%llu%c", boot, mi ? 'M' : 'K');
	if (c->hugepages) {
		/* The name keeps it interchangeable with plain memory on the other end of a migration (qemu.md 7.6). */
		opt2(v, "-object",
			"memory-backend-file,id=%s,size=%llu%c,mem-path=%s,prealloc=on,"
			"x-use-canonical-path-for-ramblock-id=off",
			archs[c->arch].ram, boot, mi ? 'M' : 'K', c->hugepages);
	}
	opt2(v, "-smp", "%u,sockets=%u,cores=%u,threads=%u,maxcpus=%u", c->sockets * c->cores * c->threads,
		c->max_sockets, c->cores, c->threads, c->max_sockets * c->cores * c->threads);
}

static void add_machine(const struct vm_config *c, struct strv *v)
{
	struct str name = { 0 }, machine = { 0 };

	str_add(&name, "guest=");
	add_escaped(&name, c->name ? c->name : "vm");
	str_add(&name, ",debug-threads=on");
	opt(v, c->binary ? c->binary : vm_binary(c->arch));
	opt(v, "-name");
	strv_take(v, str_take(&name));
	opt2(v, "-uuid", "%s", c->uuid);
	opt(v, "-no-user-config");
	opt(v, "-nodefaults");
	opt2(v, "-display", "none");
	opt(v, "-no-shutdown"); /* power-off is an event and a state, then we quit (qemu.md 4) */
	if (c->only_migratable)
		opt(v, "-only-migratable");
	opt2(v, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	str_addf(&machine, "%s,%s", c->machine, archs[c->arch].machine_options);
	if (c->arch == VM_AARCH64)
		str_addf(&machine, ",gic-version=%s", c->accel == VM_KVM ? "host" : "3");
	if (c->hugepages)
		str_addf(&machine, ",memory-backend=%s", archs[c->arch].ram);
	if (c->firmware_code)
		str_add(&machine, ",pflash0=fw-code,pflash1=fw-vars");
	opt(v, "-machine");
	strv_take(v, str_take(&machine));
	/* One accelerator only: a fallback list picks KVM wherever it opens (qemu.md 1) */
	opt2(v, "-accel", "%s", c->accel == VM_KVM ? "kvm" : "tcg,thread=multi");
	opt2(v, "-cpu", "%s", c->cpu ? c->cpu : c->accel == VM_KVM ? "host" : archs[c->arch].emulated_cpu);
	add_memory(c, v);
	if (c->smbios)
		opt2(v, "-smbios", "type=1,%s", c->smbios);
}

static void add_channels(const struct vm_config *c, struct strv *v)
{
	if (c->fd_qmp >= 0) {
		opt2(v, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", c->fd_qmp);
		opt2(v, "-mon", "chardev=qmp,mode=control");
	}
	if (c->fd_rescue >= 0) {
		opt2(v, "-chardev", "socket,id=mon2,fd=%d,server=on,wait=off", c->fd_rescue);
		opt2(v, "-mon", "chardev=mon2,mode=control");
	}
	if (c->fd_console >= 0) {
		struct str s = { 0 };

		str_addf(&s, "socket,id=console,fd=%d,server=on,wait=off", c->fd_console);
		if (c->console_log) {
			str_add(&s, ",logfile=");
			add_escaped(&s, c->console_log);
			str_add(&s, ",logappend=on");
		}
		opt(v, "-chardev");
		strv_take(v, str_take(&s));
		opt2(v, "-serial", "chardev:console");
	}
}

static void add_fixed_devices(const struct vm_config *c, const struct vm_ports *ports, struct strv *v)
{
	for (size_t i = 0; i < ports->n; i++)
		opt2(v, "-device",
			"pcie-root-port,id=rp%zu,bus=pcie.0,chassis=%zu,slot=%zu,addr=0x%zx.0x%zx%s", i,
			i + 1, i + 1, PORT_SLOT + i / 8, i % 8, i % 8 ? "" : ",multifunction=on");
	opt2(v, "-device", "virtio-serial-pci,id=vser0,bus=rp%d", PORT_SERIAL);
	if (c->fd_agent >= 0) {
		opt2(v, "-chardev", "socket,id=ga,fd=%d,server=on,wait=off", c->fd_agent);
		opt2(v, "-device",
			"virtserialport,bus=vser0.0,nr=1,chardev=ga,name=org.qemu.guest_agent.0,id=gaport");
	}
	opt2(v, "-device", "virtio-balloon-pci,id=balloon0,bus=rp%d", PORT_BALLOON);
	opt2(v, "-device", "virtio-scsi-pci,id=scsi0,bus=rp%d", PORT_SCSI);
	if (c->rng) {
		opt2(v, "-object", "rng-random,id=rng0,filename=/dev/urandom");
		opt2(v, "-device", "virtio-rng-pci,id=rngdev0,rng=rng0,bus=rp%d", PORT_RNG);
	}
	if (vm_memory_room(c)) {
		add_object(v, "-object", vm_memory_object(c, 0));
		add_object(v, "-device", vm_memory_device(c, 0));
	}
}

struct lanes {
	unsigned scsi, sata;
};

static void add_node(void *arg, const struct json *o)
{
	strv_add(arg, "-blockdev");
	strv_take(arg, json_write(o, NULL));
}

/* "driver,key=value,...": the other spelling of the same. */
static void add_device(struct strv *v, const struct json *o)
{
	struct str s = { 0 };

	JSON_EACH (it, o) {
		if (!str_eq(it.key, "driver"))
			str_addf(&s, ",%.*s=", (int)it.key_len, it.key);
		if (json_is_bool(it.val))
			str_add(&s, json_bool(it.val) ? "on" : "off");
		else if (json_is_str(it.val))
			str_add(&s, json_str(it.val));
		else
			str_addf(&s, "%lld", (long long)json_i64(it.val));
	}
	strv_add(v, "-device");
	strv_take(v, str_take(&s));
}

static void add_disk(
	const struct vm_disk *d, const struct vm_ports *ports, struct lanes *lane, struct strv *v)
{
	CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
	char bus[16];

	vm_disk_nodes(d, add_node, v);
	snprintf(bus, sizeof(bus), "rp%zu", d->bus == VM_VIRTIO ? port_of(ports, "disk", d->name) : 0);
	add_device(v, vm_disk_device(doc, d, bus,
			      d->bus == VM_SCSI   ? lane->scsi++
			      : d->bus == VM_SATA ? lane->sata++
						  : 0));
}

struct json *vm_nic_device(struct json_doc *d, const struct vm_nic *n, const char *bus)
{
	struct json *o = json_new_obj(d);

	json_set_str(d, o, "driver", n->model ? n->model : "virtio-net-pci");
	json_set_strf(d, o, "id", "nic-%s", n->name);
	json_set_strf(d, o, "netdev", "net-%s", n->name);
	json_set_str(d, o, "mac", n->mac);
	json_set_str(d, o, "bus", bus);
	json_set_str(d, o, "romfile", "");
	if (n->mtu && !n->model)
		json_set_i64(d, o, "host_mtu", n->mtu);
	if (n->bootindex)
		json_set_i64(d, o, "bootindex", n->bootindex);
	return o;
}

static void add_nic(const struct vm_nic *n, const struct vm_ports *ports, struct strv *v)
{
	CLEANUP(json_doc_freep) struct json_doc *doc = json_doc_new();
	struct str s = { 0 };
	char bus[16];

	switch (n->netdev) {
	case VM_NET_STREAM_FD:
		str_addf(&s, "stream,id=net-%s,server=off,addr.type=fd,addr.str=%d", n->name, n->fd);
		break;
	case VM_NET_TAP_FD:
		str_addf(&s, "tap,id=net-%s,fd=%d", n->name, n->fd);
		break;
	case VM_NET_SLIRP:
		str_addf(&s, "user,id=net-%s", n->name);
		if (n->net)
			str_addf(&s, ",ipv6=off,net=%s,host=%s,dhcpstart=%s,dns=%s", n->net, n->host,
				n->dhcp_start, n->dns);
		for (size_t k = 0; n->hostfwd && k < n->hostfwd->len; k++)
			str_addf(&s, ",hostfwd=%s", n->hostfwd->items[k]);
		break;
	}
	strv_add(v, "-netdev");
	strv_take(v, str_take(&s));
	snprintf(bus, sizeof(bus), "rp%zu", port_of(ports, "nic", n->name));
	add_device(v, vm_nic_device(doc, n, bus));
}

void vm_argv(const struct vm_config *c, struct strv *ret)
{
	struct vm_ports *ports = MEM_NEW(struct vm_ports);
	struct lanes lane = { 0 };

	vm_ports_of(c, ports);
	add_machine(c, ret);
	if (c->firmware_code) {
		vm_firmware_nodes(c, add_node, ret);
	}
	add_channels(c, ret);
	add_fixed_devices(c, ports, ret);
	for (size_t i = 0; i < c->n_disks; i++)
		add_disk(&c->disks[i], ports, &lane, ret);
	for (size_t i = 0; i < c->n_nics; i++)
		add_nic(&c->nics[i], ports, ret);
	if (c->paused)
		opt(ret, "-S");
	if (c->incoming)
		opt2(ret, "-incoming", "%s", c->incoming);
	free(ports);
}

/* ---- machine names ---- */

int vm_machine_resolve(const char *help, const char *wanted, char **ret, struct err *e)
{
	size_t want = strlen(wanted);

	/* "q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)" */
	for (const char *line = help, *next; line && *line; line = next) {
		const char *nl = strchr(line, '\n'), *end = nl ? nl : line + strlen(line), *alias;

		next = nl ? nl + 1 : NULL;
		if ((size_t)(end - line) <= want || strncmp(line, wanted, want) || line[want] != ' ')
			continue;
		alias = memmem(line, (size_t)(end - line), "(alias of ", 10);
		if (!alias) {
			*ret = mem_strdup(wanted);
			return 0;
		}
		alias += 10;
		*ret = mem_strndup(alias, strcspn(alias, ")\n"));
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "this QEMU has no machine type \"%s\"", wanted);
}
