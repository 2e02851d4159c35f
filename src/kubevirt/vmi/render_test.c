/* SPDX-License-Identifier: Apache-2.0 */
/* Launcher pods and what they need: kubevirt-api.md 7, 7.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/vmi/render.h"

#define MIB (1024LL * 1024)
#define GIB (1024 * MIB)
#define VMI_UID "22222222-2222-4222-8222-222222222222"

static struct pod_resources resources(const char *configuration, const char *domain)
{
	CLEANUP(mem_freep) char *conf = str_printf("{'spec':{'configuration':{%s}}}", configuration);
	CLEANUP(mem_freep) char *text = str_printf("{'spec':{'architecture':'amd64','domain':{%s}}}", domain);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	struct json_doc *vmi = json_lit(text);
	struct kv_config c;
	struct pod_resources r;

	kv_config_from(json_root(cr), &c);
	pod_resources_of(json_root(vmi), &c, -1, &r);
	r.hugepage_size = r.hugepage_size ? "yes" : NULL; /* the text goes with vmi */
	json_doc_free(vmi);
	return r;
}

/* "Check: guest 1Gi, 1 vCPU, graphics on: 288Mi, pod request 1312Mi; graphics off: 256Mi." */
static void the_example_of_the_chapter(void **state)
{
	struct pod_resources r = resources("", "'memory':{'guest':'1Gi'}");

	assert_int_equal(r.overhead, 288 * MIB);
	assert_int_equal(r.memory_request, 1312 * MIB);
	assert_int_equal(r.memory_limit, -1);
	assert_int_equal(r.cpu_request, 100);
	r = resources("", "'memory':{'guest':'1Gi'},'devices':{'autoattachGraphicsDevice':false}");
	assert_int_equal(r.overhead, 256 * MIB);
}

static void the_overhead_is_a_sum(void **state)
{
	assert_int_equal(resources("", "'cpu':{'sockets':2,'cores':2},'memory':{'guest':'1Gi'}").overhead,
		(288 + 24) * MIB);
	/* page tables, only for a request */
	assert_int_equal(resources("", "'resources':{'requests':{'memory':'1Gi'}}").overhead, 290 * MIB);
	assert_int_equal(resources("", "'memory':{'guest':'1Gi','reservedOverhead':{'addedOverhead':'10Mi'}}")
				 .overhead,
		298 * MIB);
	assert_int_equal(
		resources("'additionalGuestMemoryOverheadRatio':'1.5'", "'memory':{'guest':'1Gi'}").overhead,
		432 * MIB);
	assert_int_equal(
		resources("", "'cpu':{'dedicatedCpuPlacement':true},'memory':{'guest':'1Gi'}").overhead,
		388 * MIB);
	assert_int_equal(
		resources("", "'devices':{'tpm':{}},'memory':{'guest':'1Gi'}").overhead, (288 + 53) * MIB);
}

static void memory_is_request_or_limit_or_guest(void **state)
{
	struct pod_resources r = resources("", "'memory':{'guest':'2Gi'},'resources':{'requests':{'memory':'"
					       "1Gi'},'limits':{'memory':'4Gi'}}");

	assert_int_equal(r.memory_request, GIB + r.overhead);
	assert_int_equal(r.memory_limit, 4 * GIB + r.overhead);
	r = resources("", "'resources':{'limits':{'memory':'4Gi'}}");
	assert_int_equal(r.memory_request, 4 * GIB + r.overhead);
	r = resources("'developerConfiguration':{'memoryOvercommit':200}", "'memory':{'guest':'2Gi'}");
	assert_int_equal(r.memory_request, GIB + r.overhead);
	r = resources("", "'memory':{'guest':'2Gi'},'resources':{'overcommitGuestOverhead':true}");
	assert_int_equal(r.memory_request, 2 * GIB);
	r = resources("", "'memory':{'guest':'2Gi','hugepages':{'pageSize':'1Gi'}}");
	assert_int_equal(r.hugepages, 2 * GIB);
	assert_int_equal(r.memory_request, r.overhead);
}

static void cpus_are_shared_unless_dedicated(void **state)
{
	assert_int_equal(resources("", "'cpu':{'sockets':4}").cpu_request, 400);
	assert_int_equal(resources("'developerConfiguration':{'cpuAllocationRatio':1}", "'cpu':{'sockets':4}")
				 .cpu_request,
		4000);
	assert_int_equal(
		resources("", "'cpu':{'sockets':4},'resources':{'requests':{'cpu':'1500m'}}").cpu_request,
		1500);
	struct pod_resources r = resources("", "'cpu':{'sockets':4,'dedicatedCpuPlacement':true}");
	assert_int_equal(r.cpu_request, 4000);
	assert_int_equal(r.cpu_limit, 4000);
}

/* ---- the pod ---- */
static struct json_doc *pod_as(const char *name, const char *meta, const char *spec,
	const char *configuration, bool kvm, bool foreign)
{
	CLEANUP(mem_freep) char *conf = str_printf("{'spec':{'configuration':{%s}}}", configuration);
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'namespace':'n','name':'%s','uid':'" VMI_UID "'%s},'spec':{"
		"'architecture':'amd64','domain':{'machine':{'type':'q35'},'memory':{'guest':'1Gi'}}%s}}",
		name, meta, spec);
	CLEANUP(json_doc_freep) struct json_doc *cr = json_lit(conf);
	CLEANUP(obj_unrefp) struct obj *vmi = obj_from_doc(json_lit(text));
	struct kv_config c;

	kv_config_from(json_root(cr), &c);
	return launcher_pod_render(&(struct render_pod_in){ .vmi = vmi,
		.config = &c,
		.launcher_image = "coracle.dev/virt-launcher:v1",
		.host_dir = "/var/run/kubevirt",
		.kvm = kvm,
		.foreign = foreign });
}
static struct json_doc *pod_of(
	const char *name, const char *meta, const char *spec, const char *configuration, bool kvm)
{
	return pod_as(name, meta, spec, configuration, kvm, false);
}
#define POD(id, ...) CLEANUP(json_doc_freep) struct json_doc *id = pod_of(__VA_ARGS__)
#define TEXT(d, at) json_str_or(json_at(json_root(d), at), "(none)")

static void the_pod_is_found_by_its_labels(void **state)
{
	POD(p, "a.b",
		",'labels':{'x':'y'},'annotations':{'k':'v','kubectl.kubernetes.io/"
		"last-applied-configuration':'{}'}",
		"", "", false);
	const struct json *o = json_root(p);

	assert_string_equal(meta_label(o, "kubevirt.io"), "virt-launcher");
	assert_string_equal(meta_label(o, "kubevirt.io/created-by"), VMI_UID);
	assert_string_equal(meta_label(o, "vm.kubevirt.io/name"), "a");
	assert_string_equal(meta_label(o, "vmi.kubevirt.io/id"), "a.b");
	assert_string_equal(meta_label(o, "x"), "y");
	assert_string_equal(meta_annotation(o, "k"), "v");
	assert_string_equal(meta_annotation(o, "kubevirt.io/domain"), "a.b");
	assert_string_equal(meta_annotation(o, "kubevirt.io/memory-overhead-bytes"), "301989888");
	assert_null(meta_annotation(o, "kubectl.kubernetes.io/last-applied-configuration"));
	assert_string_equal(json_get_str(meta_controller_ref(o), "uid"), VMI_UID);
	assert_string_equal(TEXT(p, "/spec/hostname"), "a");
	assert_string_equal(
		TEXT(p, "/spec/readinessGates/0/conditionType"), "kubevirt.io/virtual-machine-unpaused");
}

static void a_second_attempt_has_the_same_name(void **state)
{
	POD(a, "v", "", "", "", false);
	POD(b, "v", ",'labels':{'x':'y'}", "", "", true);
	CLEANUP(mem_freep) char *long_name = mem_alloc(254);

	assert_string_equal(meta_str(json_root(a), "name"), meta_str(json_root(b), "name"));
	memset(long_name, 'x', 253);
	long_name[253] = 0;
	POD(c, long_name, "", "", "", false);
	assert_true(strlen(meta_str(json_root(c), "name")) <= 253);
	assert_true(strlen(meta_label(json_root(c), "vmi.kubevirt.io/id")) == 63);
	assert_true(strlen(TEXT(c, "/spec/hostname")) == 63);
}

static void the_container_is_locked_down(void **state)
{
	POD(p, "v", "", "", "", false);

	assert_string_equal(TEXT(p, "/spec/containers/0/name"), "compute");
	assert_int_equal(
		json_i64(json_at(json_root(p), "/spec/containers/0/securityContext/runAsUser")), 107);
	assert_string_equal(TEXT(p, "/spec/containers/0/securityContext/capabilities/drop/0"), "ALL");
	assert_false(json_bool_or(json_at(json_root(p), "/spec/automountServiceAccountToken"), true));
	assert_string_equal(TEXT(p, "/spec/restartPolicy"), "Never");
	assert_int_equal(json_i64(json_at(json_root(p), "/spec/terminationGracePeriodSeconds")), 60);
	assert_string_equal(TEXT(p, "/spec/volumes/0/hostPath/path"), "/var/run/kubevirt/vms/" VMI_UID);
}

static void container_disks_are_image_volumes(void **state)
{
	POD(p, "v", "",
		",'volumes':[{'name':'ci','cloudInitNoCloud':{}},{'name':'root','containerDisk':{'image':'r/"
		"d:1','imagePullPolicy':'Always',"
		"'imagePullSecret':'s'}}]",
		"", false);

	assert_int_equal(json_len(json_at(json_root(p), "/spec/volumes")), 2);
	assert_string_equal(TEXT(p, "/spec/volumes/1/image/reference"), "r/d:1");
	assert_string_equal(TEXT(p, "/spec/volumes/1/image/pullPolicy"), "Always");
	assert_string_equal(TEXT(p, "/spec/containers/0/volumeMounts/1/mountPath"),
		"/var/run/kubevirt/container-disks/root");
	assert_string_equal(
		TEXT(p, "/spec/containers/0/volumeMounts/1/name"), TEXT(p, "/spec/volumes/1/name"));
	assert_string_equal(TEXT(p, "/spec/imagePullSecrets/0/name"), "s");
}

static void it_goes_where_guests_can_run(void **state)
{
	POD(p, "v", "",
		",'nodeSelector':{'zone':'a'},'tolerations':[{'key':'k'}],'terminationGracePeriodSeconds':0",
		"'developerConfiguration':{'nodeSelectors':{'pool':'vms'}}", false);

	assert_string_equal(TEXT(p, "/spec/nodeSelector/kubevirt.io~1schedulable"), "true");
	assert_string_equal(TEXT(p, "/spec/nodeSelector/kubernetes.io~1arch"), "amd64");
	assert_string_equal(TEXT(p, "/spec/nodeSelector/machine-type.node.kubevirt.io~1q35"), "true");
	assert_string_equal(TEXT(p, "/spec/nodeSelector/zone"), "a");
	assert_string_equal(TEXT(p, "/spec/nodeSelector/pool"), "vms");
	assert_string_equal(TEXT(p, "/spec/tolerations/0/key"), "k");
	assert_int_equal(json_i64(json_at(json_root(p), "/spec/terminationGracePeriodSeconds")), 30);
}

/* handoff.h: KVM or emulation */
static void kvm_is_asked_for_where_it_is_offered(void **state)
{
	static const char limit[] = "/spec/containers/0/resources/limits/devices.kubevirt.io~1kvm";
	POD(with, "v", "", "", "", true);
	POD(without, "v", "", "", "", false);
	POD(emulated, "v", "", "", "'developerConfiguration':{'useEmulation':true}", true);

	assert_string_equal(TEXT(with, limit), "1");
	assert_string_equal(TEXT(without, limit), "(none)");
	assert_string_equal(TEXT(emulated, limit), "(none)");
}

/* docs/decisions/0008: what no node can run as it is, is emulated where that is possible */
static void another_architecture_goes_where_it_is_emulated(void **state)
{
	CLEANUP(json_doc_freep) struct json_doc *d = pod_as("v", "", "", "", true, true);

	assert_string_equal(TEXT(d, "/spec/nodeSelector/coracle.dev~1emulates-amd64"), "true");
	assert_string_equal(TEXT(d, "/spec/nodeSelector/kubernetes.io~1arch"), "(none)");
	assert_string_equal(
		TEXT(d, "/spec/containers/0/resources/limits/devices.kubevirt.io~1kvm"), "(none)");
}

/* rollout.md 68 */
static void huge_pages_are_mounted_where_the_launcher_looks(void **state)
{
	CLEANUP(obj_unrefp)
	struct obj *vmi = obj_from_doc(
		json_lit("{'metadata':{'namespace':'n','name':'v','uid':'" VMI_UID
			 "'},'spec':{'domain':{'memory':{'guest':'1Gi','hugepages':{'pageSize':'2Mi'"
			 "}}}}}"));
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct kv_config c;

	kv_config_from(NULL, &c);
	d = launcher_pod_render(
		&(struct render_pod_in){ .vmi = vmi, .config = &c, .launcher_image = "i", .host_dir = "/h" });
	assert_string_equal(TEXT(d, "/spec/volumes/1/emptyDir/medium"), "HugePages-2Mi");
	assert_string_equal(TEXT(d, "/spec/containers/0/volumeMounts/1/mountPath"), "/dev/hugepages");
	assert_string_equal(TEXT(d, "/spec/containers/0/resources/limits/hugepages-2Mi"), "1Gi");
	assert_string_equal(TEXT(d, "/spec/containers/0/resources/requests/hugepages-2Mi"), "1Gi");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_the_chapter),
		cmocka_unit_test(the_overhead_is_a_sum),
		cmocka_unit_test(memory_is_request_or_limit_or_guest),
		cmocka_unit_test(cpus_are_shared_unless_dedicated),
		cmocka_unit_test(the_pod_is_found_by_its_labels),
		cmocka_unit_test(a_second_attempt_has_the_same_name),
		cmocka_unit_test(the_container_is_locked_down),
		cmocka_unit_test(container_disks_are_image_volumes),
		cmocka_unit_test(it_goes_where_guests_can_run),
		cmocka_unit_test(kvm_is_asked_for_where_it_is_offered),
		cmocka_unit_test(huge_pages_are_mounted_where_the_launcher_looks),
		cmocka_unit_test(another_architecture_goes_where_it_is_emulated),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
