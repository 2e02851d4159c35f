/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "kubevirt/launcher/b64.h"
#include "kubevirt/launcher/net.h"

#include <string.h>

#define GI (1ull << 30)

/* The user guide's VM, as its VMI looks after admission. */
static const char guide[] =
	"{'metadata':{'name':'vm-alpine','namespace':'default','uid':'9d8b7c6a-1111-4222-8333-444455556666'},"
	"'spec':{"
	"'domain':{'cpu':{'cores':1,'sockets':1,'threads':1,'maxSockets':4,'model':'host-model'},"
	"'firmware':{'uuid':'5d307ca9-b3ef-428c-8861-06e72d69f223'},'machine':{'type':'q35'},"
	"'memory':{'guest':'1Gi','maxGuest':'4Gi'},"
	"'devices':{'disks':[{'name':'containerdisk','disk':{'bus':'virtio'}}],"
	"'interfaces':[{'name':'default','masquerade':{},'model':'virtio'}]}},"
	"'networks':[{'name':'default','pod':{}}],"
	"'volumes':[{'name':'containerdisk','containerDisk':{'image':'registry:5000/kubevirt/"
	"alpine-container-disk-demo:devel'}},"
	"{'name':'seed','cloudInitNoCloud':{'userDataBase64':'I2Nsb3VkLWNvbmZpZwo='}}],"
	"'terminationGracePeriodSeconds':0}}";

static struct json_doc *guide_with(const char *pointer, const char *value)
{
	struct json_doc *d = json_lit(guide), *v;

	if (pointer && value) {
		v = json_lit(value);
		json_put(d, json_root(d), pointer, json_copy(d, json_root(v)));
		json_doc_free(v);
	} else if (pointer) {
		json_remove_at(json_root(d), pointer);
	}
	return d;
}

static struct domain *read_ok(const char *pointer, const char *value, const char *host)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = guide_with(pointer, value), *h = host ? json_lit(host) : NULL;
	struct domain *dom = NULL;
	struct err e = { 0 };

	if (domain_from_vmi(json_root(d), h ? json_root(h) : NULL, &dom, &e) < 0)
		fail_msg("%s", e.msg);
	return dom;
}

static void refused(const char *pointer, const char *value, const char *part)
{
	CLEANUP(json_doc_freep) struct json_doc *d = guide_with(pointer, value);
	struct domain *dom = NULL;
	struct err e = { 0 };

	assert_int_equal(domain_from_vmi(json_root(d), NULL, &dom, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_null(dom);
	if (!strstr(e.msg, part))
		fail_msg("\"%s\" is not in \"%s\"", part, e.msg);
}

static void the_guides_vm_is_understood(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d = read_ok(NULL, NULL, "{'containerDisks':{'containerdisk':'/mnt/cd'}}");

	assert_string_equal(d->full, "default_vm-alpine");
	assert_string_equal(d->uuid, "5d307ca9-b3ef-428c-8861-06e72d69f223");
	assert_string_equal(d->machine, "q35");
	assert_null(d->cpu_model);
	assert_true(d->memory == GI && d->max_memory == 4 * GI);
	assert_int_equal(d->max_sockets, 4);
	assert_int_equal(d->grace_s, 0);
	assert_int_equal(d->n_disks, 2);
	assert_string_equal(d->disks[0].image_dir, "/mnt/cd");
	assert_int_equal(d->disks[0].bus, VM_VIRTIO);
	assert_int_equal(d->disks[1].kind, VOL_NO_CLOUD); /* a volume without a disk gets one */
	assert_string_equal(d->disks[1].user_data, "#cloud-config\n");
	assert_int_equal(d->n_nics, 1);
	assert_string_equal(d->nics[0].guest_ip, "10.0.2.2");
	assert_string_equal(d->nics[0].gateway, "10.0.2.1");
	assert_true(d->nics[0].all_ports);
	assert_true(str_starts(d->nics[0].mac, "02:"));
}

static void defaults_hold_where_nothing_is_said(void **state)
{
	CLEANUP(domain_freep) struct domain *d = read_ok("/spec/domain/cpu", NULL, NULL);
	CLEANUP(domain_freep) struct domain *g = read_ok("/spec/terminationGracePeriodSeconds", NULL, NULL);

	assert_true(d->sockets == 1 && d->cores == 1 && d->threads == 1 && d->max_sockets == 1);
	assert_string_equal(d->disks[0].image_dir, "/var/run/kubevirt/container-disks/containerdisk");
	assert_int_equal(g->grace_s, 30);
	assert_true(g->serial_console);
	assert_false(g->rng || g->start_paused || g->allow_emulation);
}

/* decisions 12: room only where the VMI or the handler names one, in whole blocks */
static void room_is_what_was_reserved(void **state)
{
	CLEANUP(domain_freep) struct domain *none = read_ok("/spec/domain/memory/maxGuest", NULL, NULL);
	CLEANUP(domain_freep) struct domain *host = read_ok(NULL, NULL, "{'maxGuestBytes':2147483648}");
	CLEANUP(domain_freep) struct domain *odd = read_ok("/spec/domain/memory/maxGuest", "'4097Mi'", NULL);
	CLEANUP(domain_freep) struct domain *same = read_ok("/spec/domain/memory/maxGuest", "'1Gi'", NULL);
	CLEANUP(domain_freep)
	struct domain *unaligned = read_ok("/spec/domain/memory/guest", "'1025Mi'", NULL);

	assert_true(none->max_memory == GI);
	assert_true(host->max_memory == 2 * GI);
	assert_true(odd->max_memory == 4 * GI);
	assert_true(same->max_memory == GI);
	assert_true(unaligned->max_memory == unaligned->memory);
}

/* rollout.md 1.2: an automatic maximum may be as large as 512; the VM starts with what QEMU can keep places for */
static void more_sockets_than_qemu_has_places_for_are_cut(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d =
		read_ok("/spec/domain/cpu", "{'sockets':32,'cores':2,'threads':3,'maxSockets':85}", NULL);
	CLEANUP(domain_freep)
	struct domain *arm = read_ok("/spec/architecture", "'arm64'", NULL);

	assert_int_equal(d->sockets, 32);
	assert_int_equal(d->max_sockets, 42);
	assert_false(d->fixed_cpus);
	assert_true(arm->fixed_cpus);
	assert_int_equal(arm->max_sockets, 1);
}

/* rollout.md 7.6, 7.7: annotations of the owner; what does not fit is as if it were not there */
static void floor_and_room_come_from_annotations(void **state)
{
	static const struct {
		const char *annotations;
		uint64_t base, room;
	} rows[] = {
		{ "{'coracle.dev/memory-floor':'1Gi'}", GI, 4 * GI },
		{ "{'coracle.dev/memory-floor':'1Gi','coracle.dev/memory-room':'8Gi'}", GI, 8 * GI },
		{ "{'coracle.dev/memory-room':'2Gi'}", 3 * GI / 2, 4 * GI }, /* not above the maximum */
		{ "{'coracle.dev/memory-floor':'512Mi'}", 3 * GI / 2, 4 * GI },
		{ "{'coracle.dev/memory-floor':'1025Mi'}", 3 * GI / 2, 4 * GI },
		{ "{'coracle.dev/memory-floor':'2Gi'}", 3 * GI / 2, 4 * GI },
		{ "{'coracle.dev/memory-floor':'much'}", 3 * GI / 2, 4 * GI },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(json_doc_freep)
		struct json_doc *d = guide_with("/metadata/annotations", rows[i].annotations);
		CLEANUP(domain_freep) struct domain *dom = NULL;
		struct err e = { 0 };

		json_put_str(d, json_root(d), "/spec/domain/memory/guest", "1536Mi");
		assert_int_equal(domain_from_vmi(json_root(d), NULL, &dom, &e), 0);
		assert_true(dom->memory == 3 * GI / 2 && dom->max_memory == 4 * GI);
		assert_true(dom->base == rows[i].base && dom->room == rows[i].room);
	}
}

/* rollout.md 68 */
static void huge_pages_are_the_blocks(void **state)
{
	CLEANUP(domain_freep)
	struct domain *small = read_ok("/spec/domain/memory/hugepages", "{'pageSize':'2Mi'}", NULL);
	CLEANUP(domain_freep)
	struct domain *large = read_ok("/spec/domain/memory/hugepages", "{'pageSize':'1Gi'}", NULL);

	assert_true(small->block == 2 << 20 && large->block == GI);
	assert_string_equal(large->hugepages, "/dev/hugepages");
	refused("/spec/domain/memory/hugepages", "{'pageSize':'4Gi'}", "no whole number of huge pages");
	refused("/spec/domain/memory/hugepages", "{'pageSize':'3Mi'}", "is no page size");
}

/* decision 8 */
static void arm64_has_other_defaults(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = guide_with("/spec/architecture", "'arm64'");
	CLEANUP(domain_freep) struct domain *dom = NULL;
	struct err e = { 0 };

	json_remove_at(json_root(d), "/spec/domain/machine");
	json_remove_at(json_root(d), "/spec/domain/devices/disks");
	assert_int_equal(domain_from_vmi(json_root(d), NULL, &dom, &e), 0);
	assert_int_equal(dom->arch, VM_AARCH64);
	assert_string_equal(dom->machine, "virt");
	assert_int_equal(dom->disks[0].bus, VM_VIRTIO);
	assert_int_equal(dom->max_sockets, 1); /* qemu.md 13 */
	refused("/spec/architecture", "'s390x'", "s390x guests can not be run");
}

static void memory_and_cpus_may_come_from_resources(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d =
		guide_with("/spec/domain/resources", "{'requests':{'memory':'64M','cpu':'1500m'}}");
	CLEANUP(domain_freep) struct domain *dom = NULL;
	struct err e;

	json_remove_at(json_root(d), "/spec/domain/memory");
	json_remove_at(json_root(d), "/spec/domain/cpu");
	assert_int_equal(domain_from_vmi(json_root(d), NULL, &dom, &e), 0);
	assert_true(dom->memory == 64000000 / 1024 * 1024);
	assert_int_equal(dom->sockets, 2);
}

static void secrets_come_from_the_handler(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d =
		read_ok("/spec/volumes/1", "{'name':'seed','cloudInitNoCloud':{'secretRef':{'name':'s'}}}",
			"{'files':{'seed':{'userdata':'from the secret','networkdata':'net'}}}");

	assert_string_equal(d->disks[1].user_data, "from the secret");
	assert_string_equal(d->disks[1].network_data, "net");
}

static void another_network_moves_guest_and_gateway(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d = read_ok("/spec/networks/0/pod", "{'vmNetworkCIDR':'192.168.100.0/28'}", NULL);

	assert_string_equal(d->nics[0].gateway, "192.168.100.1");
	assert_string_equal(d->nics[0].guest_ip, "192.168.100.2");
	assert_int_equal(d->nics[0].prefix, 28);
}

static void the_mac_is_stable_unless_given(void **state)
{
	CLEANUP(domain_freep) struct domain *a = read_ok(NULL, NULL, NULL), *b = read_ok(NULL, NULL, NULL);
	CLEANUP(domain_freep)
	struct domain *spec = read_ok("/spec/domain/devices/interfaces/0/macAddress", "'02:00:00:aa:bb:cc'",
		"{'podMAC':'02:11:11:11:11:11'}");
	CLEANUP(domain_freep) struct domain *pod = read_ok(NULL, NULL, "{'podMAC':'02:11:11:11:11:11'}");

	assert_string_equal(a->nics[0].mac, b->nics[0].mac);
	assert_string_equal(spec->nics[0].mac, "02:00:00:aa:bb:cc");
	assert_string_equal(pod->nics[0].mac, "02:11:11:11:11:11");
}

static void what_can_not_be_served_is_an_error_with_its_path(void **state)
{
	refused("/metadata/uid", NULL, "metadata.uid");
	refused("/spec/domain/memory/guest", "'12'", "spec.domain.memory.guest");
	refused("/spec/domain/cpu/cores", "300", "spec.domain.cpu");
	refused("/spec/domain/cpu/sockets", "256", "spec.domain.cpu");
	refused("/spec/domain/devices/disks/0/disk/bus", "'nvme'", "bus \"nvme\"");
	refused("/spec/domain/devices/disks/0", "{'name':'ghost','disk':{}}", "no volume is named \"ghost\"");
	refused("/spec/volumes/1", "{'name':'x','downwardMetrics':{}}", "downwardMetrics");
	refused("/spec/volumes/1", "{'name':'x','emptyDisk':{'capacity':'10'}}", "emptyDisk.capacity");
	refused("/spec/volumes/1/cloudInitNoCloud/userDataBase64", "'***'", "base64");
	refused("/spec/networks/0", "{'name':'default','multus':{'networkName':'n'}}", "binding bridge");
	refused("/spec/networks/0", "{'name':'default','multus':{'networkName':'n','default':true}}",
		"secondary networks");
	refused("/spec/networks/0/pod", "{'vmNetworkCIDR':'10.0.0.0'}", "vmNetworkCIDR");
	refused("/spec/domain/devices/interfaces/0", "{'name':'default','sriov':{}}",
		"masquerade and bridge");
	refused("/spec/domain/devices/interfaces/0/ports", "[{'port':70000}]", "ports[0].port");
	refused("/spec/domain/firmware/bootloader", "{'efi':{}}", "efi");
}

static void secondary_networks_hang_on_taps(void **state)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = guide_with("/spec/networks/-", "{'name':'extra','multus':{'networkName':'n'}}");
	CLEANUP(json_doc_freep) struct json_doc *host = json_lit("{'macs':{'extra':'02:AA-00:00:00:01'}}");
	struct json *nics = json_at(json_root(d), "/spec/domain/devices/interfaces");
	CLEANUP(json_doc_freep)
	struct json_doc *nic = json_lit("{'name':'extra','bridge':{},'state':'down'}"),
			*gone = json_lit("{'name':'gone','bridge':{},'state':'absent'}");
	CLEANUP(domain_freep) struct domain *dom = NULL;
	struct err e;

	json_append(d, nics, json_copy(d, json_root(gone)));
	json_append(d, nics, json_copy(d, json_root(nic)));
	assert_int_equal(domain_from_vmi(json_root(d), json_root(host), &dom, &e), 0);
	assert_int_equal(dom->n_nics, 2); /* absent ones are not there at all */
	assert_string_equal(dom->nics[1].mac, "02:aa:00:00:00:01");
	assert_true(dom->nics[1].tap && dom->nics[1].down && !dom->nics[0].tap && !dom->nics[0].down);
	assert_int_equal(dom->nics[1].fd, -1);
	domain_nic_remove(dom, "default");
	assert_int_equal(dom->n_nics, 1);
	assert_non_null(domain_nic_find(dom, "extra"));
	assert_null(domain_nic_find(dom, "default"));
}

static void passt_gets_addresses_and_ports(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d = read_ok("/spec/domain/devices/interfaces/0/ports",
		"[{'port':80},{'port':53,'protocol':'UDP'},{'port':443,'protocol':'TCP'}]",
		"{'dns':['10.43.0.10'],'search':['default.svc.cluster.local','svc.cluster.local']}");
	struct strv v = { 0 };
	CLEANUP(mem_freep) char *line = NULL;

	net_passt_argv(d, &d->nics[0], 10, &v);
	line = strv_join(&v, " ");
	strv_done(&v);
	assert_string_equal(line,
		"passt -f -q -e -F 10 -4 -a 10.0.2.2 -n 24 -g 10.0.2.1 --no-map-gw -D 10.43.0.10 "
		"-S default.svc.cluster.local svc.cluster.local -t 80,443 -u 53");
}

static bool only_some(bool udp, uint16_t port)
{
	return !udp && port != 25;
}

static void slirp_gets_the_same(void **state)
{
	CLEANUP(domain_freep)
	struct domain *d = read_ok("/spec/domain/devices/interfaces/0/ports",
		"[{'port':80},{'port':53,'protocol':'UDP'}]", NULL);
	struct strv fwd = { 0 };
	struct vm_nic n = { 0 };

	net_slirp(d, &d->nics[0], only_some, &fwd, &n);
	assert_string_equal(n.net, "10.0.2.1/24");
	assert_string_equal(n.dhcp_start, "10.0.2.2");
	assert_string_equal(n.dns, "10.0.2.3");
	assert_string_equal(fwd.items[0], "tcp::80-10.0.2.2:80");
	assert_string_equal(fwd.items[1], "udp::53-10.0.2.2:53");
	strv_done(&fwd);
}

static void without_a_list_the_privileged_ports_that_can_be_had_are_forwarded(void **state)
{
	CLEANUP(domain_freep) struct domain *d = read_ok(NULL, NULL, NULL);
	struct strv fwd = { 0 }, v = { 0 };
	struct vm_nic n = { 0 };

	net_slirp(d, &d->nics[0], only_some, &fwd, &n);
	assert_int_equal(fwd.len, 1022);
	assert_true(strv_has(&fwd, "tcp::22-10.0.2.2:22"));
	assert_false(strv_has(&fwd, "tcp::25-10.0.2.2:25"));
	net_passt_argv(d, &d->nics[0], 10, &v);
	assert_true(strv_has(&v, "1-1023"));
	strv_done(&fwd);
	strv_done(&v);
}

static void base64_is_read_strictly(void **state)
{
	char out[64];
	size_t n;

	assert_true(b64_text(out, "aGVs\nbG8=", 9, &n));
	assert_string_equal(out, "hello");
	assert_true(b64_text(out, "aGVsbG8", 7, &n)); /* padding may be missing */
	assert_int_equal(n, 5);
	assert_true(b64_text(out, "", 0, &n));
	assert_int_equal(n, 0);
	assert_false(b64_text(out, "aGVsb", 5, &n));
	assert_false(b64_text(out, "aG=sbG8=", 8, &n));
	assert_false(b64_text(out, "a b=", 4, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guides_vm_is_understood),
		cmocka_unit_test(defaults_hold_where_nothing_is_said),
		cmocka_unit_test(room_is_what_was_reserved),
		cmocka_unit_test(more_sockets_than_qemu_has_places_for_are_cut),
		cmocka_unit_test(floor_and_room_come_from_annotations),
		cmocka_unit_test(huge_pages_are_the_blocks),
		cmocka_unit_test(arm64_has_other_defaults),
		cmocka_unit_test(memory_and_cpus_may_come_from_resources),
		cmocka_unit_test(secrets_come_from_the_handler),
		cmocka_unit_test(another_network_moves_guest_and_gateway),
		cmocka_unit_test(the_mac_is_stable_unless_given),
		cmocka_unit_test(what_can_not_be_served_is_an_error_with_its_path),
		cmocka_unit_test(secondary_networks_hang_on_taps),
		cmocka_unit_test(passt_gets_addresses_and_ports),
		cmocka_unit_test(slirp_gets_the_same),
		cmocka_unit_test(without_a_list_the_privileged_ports_that_can_be_had_are_forwarded),
		cmocka_unit_test(base64_is_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
