/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu/vm_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define GI (1ull << 30)
#define MI (1ull << 20)

static struct vm_config small(void)
{
	struct vm_config c = { .name = "default_vm",
		.uuid = "9d8b7c6a-1111-4222-8333-444455556666",
		.machine = "pc-q35-7.2",
		.memory = GI,
		.max_memory = 4 * GI,
		.sockets = 1,
		.cores = 1,
		.threads = 1,
		.max_sockets = 4,
		.fd_qmp = 10,
		.fd_rescue = 11,
		.fd_console = 12,
		.fd_agent = 13,
		.console_log = "/d/console.log",
		.only_migratable = true,
		.paused = true };

	c.disks[0] = (struct vm_disk){ .name = "root",
		.bus = VM_VIRTIO,
		.file = "/d/root.qcow2",
		.format = VM_QCOW2,
		.base = "/i/disk.qcow2",
		.base_format = VM_QCOW2,
		.bootindex = 1,
		.serial = "S1" };
	c.disks[1] =
		(struct vm_disk){ .name = "ci", .bus = VM_VIRTIO, .file = "/d/ci.img", .readonly = true };
	c.n_disks = 2;
	c.nics[0] = (struct vm_nic){
		.name = "default", .mac = "02:00:00:00:00:01", .netdev = VM_NET_STREAM_FD, .fd = 14
	};
	c.n_nics = 1;
	return c;
}

/* The whole command line, argument by argument: qemu.md 2.1 */
static void the_baseline_is_literally_this(void **state)
{
	static const char *const want[] = {
		"qemu-system-x86_64",
		"-name",
		"guest=default_vm,debug-threads=on",
		"-uuid",
		"9d8b7c6a-1111-4222-8333-444455556666",
		"-no-user-config",
		"-nodefaults",
		"-display",
		"none",
		"-no-shutdown",
		"-only-migratable",
		"-sandbox",
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine",
		"pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off",
		"-accel",
		"tcg,thread=multi",
		"-cpu",
		"qemu64",
		"-m",
		"size=1024M,maxmem=4096M",
		"-smp",
		"1,sockets=4,cores=1,threads=1,maxcpus=4",
		"-chardev",
		"socket,id=qmp,fd=10,server=on,wait=off",
		"-mon",
		"chardev=qmp,mode=control",
		"-chardev",
		"socket,id=mon2,fd=11,server=on,wait=off",
		"-mon",
		"chardev=mon2,mode=control",
		"-chardev",
		"socket,id=console,fd=12,server=on,wait=off,logfile=/d/console.log,logappend=on",
		"-serial",
		"chardev:console",
		"-device",
		"pcie-root-port,id=rp0,bus=pcie.0,chassis=1,slot=1,addr=0x2.0x0,multifunction=on",
		"-device",
		"pcie-root-port,id=rp1,bus=pcie.0,chassis=2,slot=2,addr=0x2.0x1",
		"-device",
		"pcie-root-port,id=rp2,bus=pcie.0,chassis=3,slot=3,addr=0x2.0x2",
		"-device",
		"pcie-root-port,id=rp3,bus=pcie.0,chassis=4,slot=4,addr=0x2.0x3",
		"-device",
		"pcie-root-port,id=rp4,bus=pcie.0,chassis=5,slot=5,addr=0x2.0x4",
		"-device",
		"pcie-root-port,id=rp5,bus=pcie.0,chassis=6,slot=6,addr=0x2.0x5",
		"-device",
		"pcie-root-port,id=rp6,bus=pcie.0,chassis=7,slot=7,addr=0x2.0x6",
		"-device",
		"pcie-root-port,id=rp7,bus=pcie.0,chassis=8,slot=8,addr=0x2.0x7",
		"-device",
		"pcie-root-port,id=rp8,bus=pcie.0,chassis=9,slot=9,addr=0x3.0x0,multifunction=on",
		"-device",
		"pcie-root-port,id=rp9,bus=pcie.0,chassis=10,slot=10,addr=0x3.0x1",
		"-device",
		"pcie-root-port,id=rp10,bus=pcie.0,chassis=11,slot=11,addr=0x3.0x2",
		"-device",
		"virtio-serial-pci,id=vser0,bus=rp0",
		"-chardev",
		"socket,id=ga,fd=13,server=on,wait=off",
		"-device",
		"virtserialport,bus=vser0.0,nr=1,chardev=ga,name=org.qemu.guest_agent.0,id=gaport",
		"-device",
		"virtio-balloon-pci,id=balloon0,bus=rp1",
		"-device",
		"virtio-scsi-pci,id=scsi0,bus=rp2",
		"-object",
		"{\"qom-type\":\"memory-backend-ram\",\"id\":\"vmem0\",\"size\":3221225472,\"reserve\":"
		"false}",
		"-device",
		"{\"driver\":\"virtio-mem-pci\",\"id\":\"vmem\",\"bus\":\"rp4\",\"memdev\":\"vmem0\","
		"\"requested-size\":0,"
		"\"block-size\":2097152}",
		"-blockdev",
		"{\"driver\":\"file\",\"node-name\":\"d-root.base.file\",\"filename\":\"/i/"
		"disk.qcow2\",\"read-only\":true,"
		"\"auto-read-only\":false}",
		"-blockdev",
		"{\"driver\":\"qcow2\",\"node-name\":\"d-root.base\",\"file\":\"d-root.base.file\","
		"\"backing\":null,\"read-only\":true}",
		"-blockdev",
		"{\"driver\":\"file\",\"node-name\":\"d-root.file\",\"filename\":\"/d/"
		"root.qcow2\",\"discard\":\"unmap\"}",
		"-blockdev",
		"{\"driver\":\"qcow2\",\"node-name\":\"d-root\",\"file\":\"d-root.file\",\"backing\":\"d-"
		"root.base\","
		"\"discard\":\"unmap\"}",
		"-device",
		"virtio-blk-pci,id=disk-root,drive=d-root,bus=rp5,write-cache=on,bootindex=1,serial=S1,"
		"werror=stop,rerror=stop",
		"-blockdev",
		"{\"driver\":\"file\",\"node-name\":\"d-ci.file\",\"filename\":\"/d/"
		"ci.img\",\"read-only\":true,"
		"\"auto-read-only\":false}",
		"-blockdev",
		"{\"driver\":\"raw\",\"node-name\":\"d-ci\",\"file\":\"d-ci.file\",\"read-only\":true}",
		"-device",
		"virtio-blk-pci,id=disk-ci,drive=d-ci,bus=rp6,write-cache=on,werror=stop,rerror=stop",
		"-netdev",
		"stream,id=net-default,server=off,addr.type=fd,addr.str=14",
		"-device",
		"virtio-net-pci,id=nic-default,netdev=net-default,mac=02:00:00:00:00:01,bus=rp7,romfile=",
		"-S",
	};
	struct vm_config c = small();
	struct strv v = { 0 };
	struct err e;

	assert_int_equal(vm_config_check(&c, &e), 0);
	vm_argv(&c, &v);
	for (size_t i = 0; i < ARRAY_LEN(want) && i < v.len; i++)
		assert_string_equal(v.items[i], want[i]);
	assert_int_equal(v.len, ARRAY_LEN(want));
	strv_done(&v);
}

static char *line_of(const struct vm_config *c)
{
	struct strv v = { 0 };
	char *s;

	vm_argv(c, &v);
	s = strv_join(&v, " ");
	strv_done(&v);
	return s;
}

static void expect(const struct vm_config *c, const char *part, bool there)
{
	CLEANUP(mem_freep) char *s = line_of(c);

	if (!!strstr(s, part) != there)
		fail_msg("%s \"%s\" in: %s", there ? "no" : "unexpected", part, s);
}

/* qemu.md 16.26 */
static void without_room_there_is_no_maxmem_and_no_device(void **state)
{
	struct vm_config c = small();

	c.max_memory = c.memory;
	expect(&c, "-m size=1024M -smp", true);
	expect(&c, "maxmem", false);
	expect(&c, "vmem", false);
	c.max_memory = 0;
	expect(&c, "maxmem", false);
	c.memory = 1000 * 1024;
	expect(&c, "-m size=1000K ", true);
}

/* rollout.md 68: block 2Mi, or that of the pages behind it; 7.6, 7.7 */
static void memory_devices_fit_what_is_asked_for(void **state)
{
	struct vm_config c = small();
	struct json_doc *d;

	c.memory = 64 * MI;
	c.max_memory = 256 * MI;
	c.plugged = 64 * MI;
	expect(&c, "\"id\":\"vmem0\",\"size\":201326592,", true);
	expect(&c, "\"requested-size\":67108864,\"block-size\":2097152}", true);
	c = small();
	c.plugged = GI / 2;
	expect(&c, "\"requested-size\":536870912,\"block-size\":2097152}", true);
	expect(&c, "vmem1", false);
	c.room = 6 * GI;
	assert_true(vm_memory_spare(&c) == 2 * GI);
	expect(&c, "-m size=1024M,maxmem=6144M", true);
	expect(&c, "vmem1", false); /* only its place */
	expect(&c, "id=rp11,", true);
	d = vm_memory_object(&c, 1);
	assert_string_equal(json_get_str(json_root(d), "id"), "vmem1");
	assert_int_equal(json_i64(json_get(json_root(d), "size")), 2 * GI);
	json_doc_free(d);
	d = vm_memory_device(&c, 1);
	assert_string_equal(json_get_str(json_root(d), "bus"), "rp11");
	assert_int_equal(json_i64(json_get(json_root(d), "requested-size")), 0);
	json_doc_free(d);

	c.hugepages = "/dev/hugepages";
	c.block = GI;
	c.plugged = 0;
	expect(&c, "memory-backend=pc.ram", true);
	expect(&c,
		"-object memory-backend-file,id=pc.ram,size=1024M,mem-path=/dev/hugepages,prealloc=on,"
		"x-use-canonical-path-for-ramblock-id=off",
		true);
	expect(&c, "\"block-size\":1073741824,\"prealloc\":true}", true);
}

/* qemu.md 13 */
static void arm64_is_another_machine(void **state)
{
	struct vm_config c = small();
	enum vm_arch a;

	assert_true(vm_arch_of("arm64", &a) && a == VM_AARCH64);
	assert_true(vm_arch_of("amd64", &a) && a == VM_X86_64);
	assert_false(vm_arch_of("s390x", &a));
	c.arch = VM_AARCH64;
	c.machine = "virt-7.2";
	c.firmware_code = "/c.fd";
	c.firmware_vars = "/v.fd";
	expect(&c,
		"-machine virt-7.2,usb=off,dump-guest-core=off,gic-version=3,pflash0=fw-code,pflash1=fw-vars "
		"-accel tcg,thread=multi -cpu cortex-a72 ",
		true);
	expect(&c, "qemu-system-aarch64 ", true);
	expect(&c, "vmport", false);
	c.accel = VM_KVM;
	expect(&c, "gic-version=host", true);
	expect(&c, "-cpu host", true);
}

/* A q35 whose processor has 40 bits starts with up to 975 GiB (QEMU 7.2, emulated). */
static void the_room_ends_where_the_addresses_do(void **state)
{
	assert_true(vm_memory_limit(VM_X86_64, VM_TCG, NULL, 48) == 960 * GI);
	assert_true(vm_memory_limit(VM_X86_64, VM_KVM, "EPYC", 48) == 960 * GI);
	assert_true(vm_memory_limit(VM_X86_64, VM_KVM, NULL, 0) == 960 * GI);
	assert_true(vm_memory_limit(VM_X86_64, VM_KVM, NULL, 39) == 448 * GI);
	assert_true(vm_memory_limit(VM_X86_64, VM_KVM, "host", 48) > 200 * 1024 * GI);
	assert_true(vm_memory_limit(VM_AARCH64, VM_TCG, NULL, 40) > 15 * 1024 * GI);
}

/* qemu.md 16.2 */
static void one_accelerator_only(void **state)
{
	struct vm_config c = small();

	c.accel = VM_KVM;
	expect(&c, "-accel kvm -cpu host", true);
	expect(&c, "tcg", false);
	c.cpu = "EPYC";
	expect(&c, "-cpu EPYC", true);
	c.accel = VM_TCG;
	expect(&c, "kvm", false);
}

/* qemu.md 16.32, and KubeVirt's rule for spare ports */
static void every_device_has_its_own_port_and_some_are_free(void **state)
{
	struct vm_config c = small();
	struct vm_ports *p = MEM_NEW(struct vm_ports);
	size_t used = 0;

	vm_ports_of(&c, p);
	assert_int_equal(p->n, 11); /* 8 are in use, 3 free */
	for (size_t i = 0; i < p->n; i++) {
		used += p->owner[i] != NULL;
		for (size_t k = 0; k < i; k++)
			assert_true(!p->owner[i] || !str_eq(p->owner[i], p->owner[k]));
	}
	assert_int_equal(used, 8);
	/* 2.2: QEMU takes a second device on a port and the guest never sees it */
	for (int i = 8; i < 11; i++)
		assert_int_equal(vm_port_take(p, "nic", i == 9 ? "b" : i == 8 ? "a" : "c"), i);
	assert_int_equal(vm_port_take(p, "nic", "d"), -1);
	vm_port_give(p, "nic", "b");
	vm_port_give(p, "nic", "never-there");
	assert_int_equal(vm_port_take(p, "disk", "d"), 9);
	c.n_disks = c.n_nics = 0;
	vm_ports_of(&c, p);
	assert_int_equal(p->n, 8);
	c.memory = c.max_memory = 3 * GI;
	vm_ports_of(&c, p);
	assert_int_equal(p->n, 16);
	free(p);
}

static void a_full_machine_still_fits(void **state)
{
	struct vm_config *c = MEM_NEW(struct vm_config);
	char names[VM_DISKS_MAX][16], nics[VM_NICS_MAX][16];
	struct strv v = { 0 };
	struct err e;

	*c = small();
	for (c->n_disks = 0; c->n_disks < VM_DISKS_MAX; c->n_disks++) {
		snprintf(names[c->n_disks], 16, "d%zu", c->n_disks);
		c->disks[c->n_disks] = (struct vm_disk){ .name = names[c->n_disks], .file = "/f" };
	}
	for (c->n_nics = 0; c->n_nics < VM_NICS_MAX; c->n_nics++) {
		snprintf(nics[c->n_nics], 16, "n%zu", c->n_nics);
		c->nics[c->n_nics] = (struct vm_nic){
			.name = nics[c->n_nics], .mac = "02:00:00:00:00:01", .netdev = VM_NET_SLIRP
		};
	}
	assert_int_equal(vm_config_check(c, &e), 0);
	vm_argv(c, &v);
	assert_true(v.len > 0);
	strv_done(&v);
	free(c);
}

static void buses_name_their_devices(void **state)
{
	struct vm_config c = small();

	c.disks[0].bus = VM_SCSI;
	c.disks[1].bus = VM_SATA;
	c.disks[1].cdrom = true;
	expect(&c, "scsi-hd,id=disk-root,drive=d-root,bus=scsi0.0,channel=0,scsi-id=0,lun=0,write-cache=on",
		true);
	expect(&c, "ide-cd,id=disk-ci,drive=d-ci,bus=ide.0,werror", true);
	c.disks[0].cache = VM_CACHE_DIRECTSYNC;
	expect(&c, "scsi-id=0,lun=0,write-cache=off", true);
	c.rng = true;
	expect(&c, "virtio-rng-pci,id=rngdev0,rng=rng0,bus=rp3", true);
	c.rng = false;
	expect(&c, "rng", false);
}

static void an_empty_drive_does_not_keep_the_disks_from_booting(void **state)
{
	struct vm_config c = { .disks = { { .name = "cd", .cdrom = true, .empty = true },
				       { .name = "iso", .cdrom = true }, { .name = "root" },
				       { .name = "data" } },
		.n_disks = 4 };
	struct vm_disk *disks = c.disks;

	vm_boot_order(&c);
	assert_int_equal(disks[0].bootindex, 0);
	assert_int_equal(disks[1].bootindex, 3);
	assert_int_equal(disks[2].bootindex, 1);
	assert_int_equal(disks[3].bootindex, 2);
	/* an order that is given stands */
	disks[1].bootindex = disks[2].bootindex = 0;
	vm_boot_order(&c);
	assert_int_equal(disks[1].bootindex, 0);
	assert_int_equal(disks[2].bootindex, 0);
}

static void slirp_gets_the_guests_network(void **state)
{
	struct vm_config c = small();
	struct strv fwd = { 0 };

	strv_add(&fwd, "tcp::80-10.0.2.2:80");
	c.nics[0] = (struct vm_nic){ .name = "default",
		.mac = "02:00:00:00:00:01",
		.netdev = VM_NET_SLIRP,
		.net = "10.0.2.1/24",
		.host = "10.0.2.1",
		.dhcp_start = "10.0.2.2",
		.dns = "10.0.2.3",
		.hostfwd = &fwd };
	expect(&c,
		"-netdev "
		"user,id=net-default,ipv6=off,net=10.0.2.1/24,host=10.0.2.1,dhcpstart=10.0.2.2,dns=10.0.2.3,"
		"hostfwd=tcp::80-10.0.2.2:80",
		true);
	strv_done(&fwd);
}

static void a_tap_is_inherited_and_its_mtu_told(void **state)
{
	struct vm_config c = small();

	c.nics[0] = (struct vm_nic){
		.name = "extra", .mac = "02:00:00:00:00:01", .netdev = VM_NET_TAP_FD, .fd = 14, .mtu = 1300
	};
	expect(&c, "-netdev tap,id=net-extra,fd=14", true);
	expect(&c, "romfile=,host_mtu=1300", true);
	c.nics[0].model = "e1000"; /* has no such property */
	expect(&c, "host_mtu", false);
}

static void commas_do_not_break_out_of_an_option(void **state)
{
	struct vm_config c = small();

	c.console_log = "/d,logfile=/etc/x";
	c.name = "a,process=evil";
	expect(&c, "logfile=/d,,logfile=/etc/x,logappend", true);
	expect(&c, "guest=a,,process=evil,debug", true);
}

static void refused(const struct vm_config *c, const char *part)
{
	struct err e;

	assert_int_equal(vm_config_check(c, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	if (!strstr(e.msg, part))
		fail_msg("\"%s\" is not in \"%s\"", part, e.msg);
}

static void what_qemu_would_get_wrong_is_refused(void **state)
{
	struct vm_config c;

	c = small(), c.disks[0].name = "a,b";
	refused(&c, "device id");
	c = small(), c.disks[1].name = "root";
	refused(&c, "two disks");
	c = small(), c.disks[0].file = "nbd:evil";
	refused(&c, "absolute path");
	c = small(), c.disks[0].serial = "x,discard=off";
	refused(&c, "serial");
	c = small(), c.disks[0].cdrom = true;
	refused(&c, "CD-ROM");
	c = small(), c.nics[0].mac = "02:00:00:00:00:01,x=y";
	refused(&c, "MAC");
	c = small(), c.max_memory = 4 * GI + 4096;
	refused(&c, "2Mi");
	c = small(), c.memory = GI + MI;
	refused(&c, "2Mi");
	c = small(), c.max_sockets = 0;
	refused(&c, "topology");
	c = small(), c.max_sockets = 64, c.cores = 8;
	refused(&c, "CPUs");
	c = small(), c.machine = "q35,kernel=x";
	refused(&c, "machine");
	c = small(), c.cpu = "qemu64 -evil";
	refused(&c, "CPU model");
}

static void long_disk_names_keep_node_names_short_and_apart(void **state)
{
	char a[VM_NODE_NAME_MAX], b[VM_NODE_NAME_MAX];

	vm_node_name("a-volume-with-a-name-as-long-as-kubernetes-allows-for-such-1", a);
	vm_node_name("a-volume-with-a-name-as-long-as-kubernetes-allows-for-such-2", b);
	assert_string_not_equal(a, b);
	assert_true(strlen(a) + strlen(".base.file") < VM_NODE_NAME_MAX);
	vm_node_name("root", a);
	assert_string_equal(a, "d-root");
}

/* qemu.md 16.6 */
static void aliases_resolve_to_versioned_machines(void **state)
{
	static const char help[] =
		"Supported machines are:\n"
		"microvm              microvm (i386)\n"
		"pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)\n"
		"q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)\n"
		"pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)\n";
	char *got = NULL;
	struct err e;

	assert_int_equal(vm_machine_resolve(help, "q35", &got, &e), 0);
	assert_string_equal(got, "pc-q35-7.2");
	free(got);
	assert_int_equal(vm_machine_resolve(help, "microvm", &got, &e), 0);
	assert_string_equal(got, "microvm");
	free(got);
	assert_int_equal(vm_machine_resolve(help, "pc-q35", &got, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_baseline_is_literally_this),
		cmocka_unit_test(without_room_there_is_no_maxmem_and_no_device),
		cmocka_unit_test(memory_devices_fit_what_is_asked_for),
		cmocka_unit_test(arm64_is_another_machine),
		cmocka_unit_test(the_room_ends_where_the_addresses_do),
		cmocka_unit_test(one_accelerator_only),
		cmocka_unit_test(every_device_has_its_own_port_and_some_are_free),
		cmocka_unit_test(a_full_machine_still_fits),
		cmocka_unit_test(buses_name_their_devices),
		cmocka_unit_test(an_empty_drive_does_not_keep_the_disks_from_booting),
		cmocka_unit_test(slirp_gets_the_guests_network),
		cmocka_unit_test(a_tap_is_inherited_and_its_mtu_told),
		cmocka_unit_test(commas_do_not_break_out_of_an_option),
		cmocka_unit_test(what_qemu_would_get_wrong_is_refused),
		cmocka_unit_test(long_disk_names_keep_node_names_short_and_apart),
		cmocka_unit_test(aliases_resolve_to_versioned_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
