/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/domain.h"

#include "api/quantity.h"
#include "kubevirt/api/handoff.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MIB (1ull << 20)

void domain_free(struct domain *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_nics; i++)
		fd_closep(&d->nics[i].fd);
	arena_free(d->arena); /* d is in it */
}

void domain_freep(struct domain **d)
{
	domain_free(*d);
}

static const char *keep(struct domain *d, const char *s)
{
	return s ? arena_strdup(d->arena, s) : NULL;
}

/* ---- who it is ---- */

static int read_identity(struct domain *d, const struct json *vmi, const struct json *host, struct err *e)
{
	const char *machine = json_get_str(host, "machine"), *arch = json_at_str(vmi, "/spec/architecture");
	int64_t grace = DOMAIN_GRACE_S;

	d->name = keep(d, json_at_str(vmi, "/metadata/name"));
	d->ns = keep(d, json_str_or(json_at(vmi, "/metadata/namespace"), "default"));
	d->uid = keep(d, json_at_str(vmi, "/metadata/uid"));
	if (str_empty(d->name) || str_empty(d->uid))
		return err_set(e, ERR_INVALID, "metadata.name and metadata.uid are needed");
	d->full = arena_printf(d->arena, "%s_%s", d->ns, d->name);
	d->uuid = keep(d, json_str_or(json_at(vmi, "/spec/domain/firmware/uuid"), d->uid));
	d->hostname = keep(d, json_str_or(json_at(vmi, "/spec/hostname"), d->name));
	if (!machine)
		machine = json_at_str(vmi, "/status/machine/type");
	if (!machine)
		machine = json_at_str(vmi, "/spec/domain/machine/type");
	if (arch && !vm_arch_of(arch, &d->arch))
		return err_set(e, ERR_INVALID, "spec.architecture: %s guests can not be run", arch);
	d->machine = keep(d, !str_empty(machine) ? machine : d->arch == VM_AARCH64 ? "virt" : "q35");
	if (json_is_int(json_at(vmi, "/spec/terminationGracePeriodSeconds")))
		grace = json_i64(json_at(vmi, "/spec/terminationGracePeriodSeconds"));
	d->grace_s = grace < 0 ? 0 : grace > DOMAIN_GRACE_MAX_S ? DOMAIN_GRACE_MAX_S : (int)grace;
	d->start_paused = str_eq(json_at_str(vmi, "/spec/startStrategy"), "Paused");
	d->rng = json_is_obj(json_at(vmi, "/spec/domain/devices/rng"));
	d->serial_console = json_bool_or(json_at(vmi, "/spec/domain/devices/autoattachSerialConsole"), true);
	d->allow_emulation = json_bool(json_get(host, "allowEmulation"));
	d->accelerator = keep(d, json_get_str(host, "accelerator"));
	d->network = keep(d, json_get_str(host, "network"));
	if (d->arch != VM_AARCH64 && json_is_obj(json_at(vmi, "/spec/domain/firmware/bootloader/efi")))
		return err_set(e, ERR_INVALID,
			"spec.domain.firmware.bootloader.efi: this launcher boots by BIOS only");
	return 0;
}

/* ---- memory and CPUs ---- */

/* A size that an annotation gives; 0: none. */
static uint64_t annotated(const struct json *vmi, const char *name)
{
	const struct json *text = json_get(json_at(vmi, "/metadata/annotations"), name);
	int64_t bytes = text ? quantity_bytes(text) : -1;

	return bytes > 0 ? (uint64_t)bytes : 0;
}

static int read_pages(struct domain *d, const struct json *vmi, struct err *e)
{
	const struct json *huge = json_at(vmi, "/spec/domain/memory/hugepages");
	int64_t size = quantity_bytes(json_get(huge, "pageSize"));

	d->block = VM_BLOCK_SIZE;
	if (!json_is_obj(huge))
		return 0;
	if (size < (int64_t)MIB || (size & (size - 1)))
		return err_set(e, ERR_INVALID,
			"spec.domain.memory.hugepages.pageSize: \"%s\" is no page size",
			json_str_or(json_get(huge, "pageSize"), ""));
	d->hugepages = HANDOFF_HUGEPAGES_DIR;
	if ((uint64_t)size > d->block)
		d->block = (uint64_t)size;
	if (d->memory % (uint64_t)size)
		return err_set(e, ERR_INVALID,
			"spec.domain.memory.guest: %lluMi are no whole number of huge pages of %lluMi",
			(unsigned long long)(d->memory / MIB), (unsigned long long)((uint64_t)size / MIB));
	return 0;
}

/* Room only where virtio-mem can use it: whole blocks on both sides (qemu.md 5.1, decisions 12). */
static void read_room(struct domain *d, const struct json *vmi, int64_t max)
{
	uint64_t floor = annotated(vmi, ANN_MEMORY_FLOOR), room = annotated(vmi, ANN_MEMORY_ROOM);

	d->base = d->max_memory = d->memory;
	if (d->memory % d->block == 0) {
		if (max > 0 && (uint64_t)max > d->memory)
			d->max_memory = (uint64_t)max / d->block * d->block;
		if (floor >= (uint64_t)MEMORY_FLOOR_MIN && floor < d->memory && floor % d->block == 0)
			d->base = floor;
	}
	d->room = d->max_memory;
	if (d->max_memory > d->base && room > d->room)
		d->room = room / d->block * d->block;
}

static int read_memory(struct domain *d, const struct json *vmi, const struct json *host, struct err *e)
{
	static const char *const places[] = { "/spec/domain/memory/guest",
		"/spec/domain/resources/requests/memory", "/spec/domain/resources/limits/memory" };
	const struct json *max = json_at(vmi, "/spec/domain/memory/maxGuest");
	int64_t guest = -1, room = 0;

	for (size_t i = 0; i < ARRAY_LEN(places) && guest < 0; i++)
		if (json_at(vmi, places[i]))
			guest = quantity_bytes(json_at(vmi, places[i]));
	if (guest < (int64_t)MIB)
		return err_set(e, ERR_INVALID, "spec.domain.memory.guest: a size of at least 1Mi is needed");
	d->memory = (uint64_t)guest & ~1023ull;
	if (json_is_int(json_get(host, "maxGuestBytes")))
		room = json_i64(json_get(host, "maxGuestBytes"));
	else if (max)
		room = quantity_bytes(max);
	if (read_pages(d, vmi, e) < 0)
		return -1;
	read_room(d, vmi, room);
	return 0;
}

static unsigned cpu_field(const struct json *cpu, const char *key)
{
	int64_t v = json_i64(json_get(cpu, key));

	return v <= 0 ? 0 : v > VM_CPUS_MAX ? VM_CPUS_MAX + 1 : (unsigned)v;
}

static int read_cpus(struct domain *d, const struct json *vmi, struct err *e)
{
	const struct json *cpu = json_at(vmi, "/spec/domain/cpu");
	const struct json *res = json_at(vmi, "/spec/domain/resources");
	const char *model = json_get_str(cpu, "model");
	unsigned long room;
	int64_t milli = -1;

	d->sockets = cpu_field(cpu, "sockets");
	d->cores = cpu_field(cpu, "cores");
	d->threads = cpu_field(cpu, "threads");
	if (!d->sockets && !d->cores && !d->threads) {
		const struct json *q = json_at(res, "/limits/cpu");

		milli = quantity_millis(q ? q : json_at(res, "/requests/cpu"));
		d->sockets = milli > 0 && milli <= VM_CPUS_MAX * 1000 ? (unsigned)((milli + 999) / 1000) : 1;
	}
	d->sockets = d->sockets ? d->sockets : 1;
	d->cores = d->cores ? d->cores : 1;
	d->threads = d->threads ? d->threads : 1;
	d->max_sockets = cpu_field(cpu, "maxSockets");
	d->fixed_cpus = d->arch == VM_AARCH64; /* qemu.md 13: no CPU hotplug there */
	/* An automatic maximum may be more than QEMU can keep a place for (rollout.md 1.2: up to 512 CPUs). */
	room = VM_CPUS_MAX / (d->cores * d->threads);
	if (d->max_sockets > room)
		d->max_sockets = room;
	if (d->max_sockets < d->sockets || d->fixed_cpus)
		d->max_sockets = d->sockets;
	if ((uint64_t)d->max_sockets * d->cores * d->threads > VM_CPUS_MAX)
		return err_set(e, ERR_INVALID,
			"spec.domain.cpu: %u sockets of %u cores of %u threads are more than %d CPUs",
			d->max_sockets, d->cores, d->threads, VM_CPUS_MAX);
	if (model && strcmp(model, "host-model") != 0 && strcmp(model, "host-passthrough") != 0)
		d->cpu_model = keep(d, model);
	return 0;
}

static const struct json *by_name(const struct json *list, const char *name)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

/* ---- interfaces ---- */

/* Stable for a VM's interface over all its starts, in the locally administered range. */
static const char *make_mac(struct domain *d, const char *name)
{
	uint64_t h = 14695981039346656037ull;

	for (const char *p = d->uuid; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	for (const char *p = name; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ull;
	return arena_printf(d->arena, "02:%02x:%02x:%02x:%02x:%02x", (unsigned)(h >> 32) & 0xff,
		(unsigned)(h >> 24) & 0xff, (unsigned)(h >> 16) & 0xff, (unsigned)(h >> 8) & 0xff,
		(unsigned)h & 0xff);
}

/* As the guest shows it: lower case, with colons. */
static const char *keep_mac(struct domain *d, const char *mac)
{
	char *copy = arena_printf(d->arena, "%s", mac);

	for (char *p = copy; *p; p++)
		*p = *p == '-' ? ':' : (char)tolower((unsigned char)*p);
	return copy;
}

/* 10.0.2.0/24: the guest gets .2, its gateway is .1 */
static int read_cidr(struct domain_nic *n, const char *cidr, struct err *e)
{
	char ip[16];
	const char *slash = strchr(cidr, '/');
	struct in_addr a, guest, gw;
	int64_t prefix;

	if (!slash || (size_t)(slash - cidr) >= sizeof(ip) || !str_to_i64(slash + 1, 8, 30, &prefix))
		return err_set(e, ERR_INVALID, "vmNetworkCIDR \"%s\"", cidr);
	memcpy(ip, cidr, (size_t)(slash - cidr));
	ip[slash - cidr] = '\0';
	if (inet_pton(AF_INET, ip, &a) != 1)
		return err_set(e, ERR_INVALID, "vmNetworkCIDR \"%s\"", cidr);
	gw.s_addr = htonl((ntohl(a.s_addr) & (uint32_t)(0xffffffffu << (32 - prefix))) + 1);
	guest.s_addr = htonl(ntohl(gw.s_addr) + 1);
	inet_ntop(AF_INET, &gw, n->gateway, sizeof(n->gateway));
	inet_ntop(AF_INET, &guest, n->guest_ip, sizeof(n->guest_ip));
	n->prefix = (int)prefix;
	return 0;
}

static int read_ports(struct domain_nic *n, const struct json *ports, struct err *e)
{
	n->all_ports = json_len(ports) == 0;
	JSON_EACH (it, ports) {
		int64_t port = json_i64(json_get(it.val, "port"));
		const char *proto = json_str_or(json_get(it.val, "protocol"), "TCP");

		if (port < 1 || port > 65535)
			return err_set(e, ERR_INVALID, "ports[%zu].port: %lld", it.i, (long long)port);
		if (n->n_forwards >= DOMAIN_FORWARDS_MAX)
			return err_set(e, ERR_INVALID, "ports: more than %d", DOMAIN_FORWARDS_MAX);
		n->forwards[n->n_forwards++] =
			(struct domain_forward){ .udp = !strcasecmp(proto, "UDP"), .port = (uint16_t)port };
	}
	return 0;
}

static int read_model(struct domain_nic *n, const char *model, struct err *e)
{
	static const char *const known[] = { "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", NULL };

	if (str_empty(model) || !strcmp(model, "virtio"))
		return 0;
	for (size_t i = 0; known[i]; i++)
		if (!strcmp(known[i], model)) {
			n->model = known[i];
			return 0;
		}
	return err_set(e, ERR_INVALID, "model \"%s\" is not supported", model);
}

/* What every card has, whatever it hangs on. */
static int read_card(
	struct domain *d, struct domain_nic *n, const struct json *iface, const char *mac, struct err *e)
{
	if (json_get_str(iface, "macAddress"))
		mac = json_get_str(iface, "macAddress");
	n->name = keep(d, json_str_or(json_get(iface, "name"), ""));
	n->mac = str_empty(mac) ? make_mac(d, n->name) : keep_mac(d, mac);
	n->boot_order = (int)json_i64(json_get(iface, "bootOrder"));
	n->down = str_eq(json_get_str(iface, "state"), "down");
	n->fd = -1;
	return read_model(n, json_get_str(iface, "model"), e);
}

static int read_pod_nic(struct domain *d, struct domain_nic *n, const struct json *iface,
	const struct json *net, const struct json *host, struct err *e)
{
	if (json_get(iface, "masquerade"))
		n->binding = NIC_MASQUERADE;
	else if (json_get(iface, "bridge") || json_get(iface, "passtBinding"))
		n->binding = NIC_BRIDGE;
	else
		return err_set(e, ERR_INVALID, "only the bindings masquerade and bridge are supported");
	if (read_card(d, n, iface, json_get_str(host, "podMAC"), e) < 0 ||
		read_ports(n, json_get(iface, "ports"), e) < 0)
		return -1;
	return read_cidr(n, json_str_or(json_at(net, "/pod/vmNetworkCIDR"), "10.0.2.0/24"), e);
}

int domain_read_tap_nic(struct domain *d, const struct json *interface, const struct json *network,
	const char *mac, struct domain_nic *ret, struct err *e)
{
	struct domain_nic n = { .binding = NIC_BRIDGE, .tap = true, .fd = -1 };

	if (!json_get(network, "multus") || json_bool(json_at(network, "/multus/default")))
		return err_set(
			e, ERR_INVALID, "only the pod network and secondary networks (multus) are supported");
	if (!json_get(interface, "bridge"))
		return err_set(e, ERR_INVALID, "a secondary network needs the binding bridge");
	if (read_card(d, &n, interface, mac, e) < 0)
		return -1;
	*ret = n;
	return 0;
}

static int read_nic(struct domain *d, struct domain_nic *n, const struct json *iface, const struct json *vmi,
	const struct json *host, struct err *e)
{
	const char *name = json_str_or(json_get(iface, "name"), "");
	const struct json *net = by_name(json_at(vmi, "/spec/networks"), name);

	if (json_is_obj(json_get(net, "pod")))
		return read_pod_nic(d, n, iface, net, host, e);
	return domain_read_tap_nic(d, iface, net, json_get_str(json_get(host, "macs"), name), n, e);
}

struct domain_nic *domain_nic_find(struct domain *d, const char *name)
{
	for (size_t i = 0; i < d->n_nics; i++)
		if (str_eq(d->nics[i].name, name))
			return &d->nics[i];
	return NULL;
}

void domain_nic_remove(struct domain *d, const char *name)
{
	struct domain_nic *n = domain_nic_find(d, name);

	if (!n)
		return;
	fd_closep(&n->fd);
	d->n_nics--;
	memmove(n, n + 1, (size_t)(&d->nics[d->n_nics] - n) * sizeof(*n));
}

static int read_nics(struct domain *d, const struct json *vmi, const struct json *host, struct err *e)
{
	JSON_EACH (it, json_at(vmi, "/spec/domain/devices/interfaces")) {
		struct domain_nic *n = &d->nics[d->n_nics];

		if (str_eq(json_get_str(it.val, "state"), "absent"))
			continue;
		if (d->n_nics >= VM_NICS_MAX)
			return err_set(
				e, ERR_INVALID, "spec.domain.devices.interfaces: more than %d", VM_NICS_MAX);
		if (read_nic(d, n, it.val, vmi, host, e) < 0)
			return err_wrap(e, "spec.domain.devices.interfaces[%zu]", it.i);
		d->n_nics++;
	}
	JSON_EACH (it, json_get(host, "dns"))
		if (d->n_dns < ARRAY_LEN(d->dns) && json_str(it.val))
			d->dns[d->n_dns++] = keep(d, json_str(it.val));
	if (json_len(json_get(host, "search"))) {
		struct str s = { 0 };

		JSON_EACH (it, json_get(host, "search"))
			str_addf(&s, "%s%s", s.len ? " " : "", json_str_or(it.val, ""));
		d->search = keep(d, str_cstr(&s));
		str_done(&s);
	}
	return 0;
}

int domain_from_vmi(const struct json *vmi, const struct json *host, struct domain **ret, struct err *e)
{
	struct arena *a = arena_new();
	struct domain *d = arena_alloc(a, sizeof(*d));

	d->arena = a;
	if (read_identity(d, vmi, host, e) < 0 || read_memory(d, vmi, host, e) < 0 ||
		read_cpus(d, vmi, e) < 0 || domain_read_disks(d, vmi, host, e) < 0 ||
		read_nics(d, vmi, host, e) < 0) {
		arena_free(a);
		return -1;
	}
	*ret = d;
	return 0;
}
