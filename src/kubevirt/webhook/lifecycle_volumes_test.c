/* SPDX-License-Identifier: Apache-2.0 */
/* addvolume and removevolume: kubevirt-api.md 2.1, 2.2, decision 4, kubevirt issue 13222. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/patch.h"
#include "base/mem.h"
#include "kubevirt/webhook/lifecycle.h"

#define SPEC(more)                                                                                      \
	"{'domain':{'devices':{'disks':[{'name':'root','disk':{'bus':'virtio'}},{'name':'cd','cdrom':{" \
	"'bus':'scsi'}}" more
#define MORE_VOLUMES "]}},'volumes':[{'name':'root','containerDisk':{'image':'i'}}"
#define PLAIN SPEC("") MORE_VOLUMES "]}"
#define HOT                                         \
	SPEC(",{'name':'a','disk':{'bus':'scsi'}}") \
	MORE_VOLUMES ",{'name':'a','persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}]}"
#define VM(spec) "{'metadata':{'name':'v'},'spec':{'template':{'spec':" spec "}}}"
#define VMI(phase, meta, spec) \
	"{'metadata':{'name':'v'" meta "},'spec':" spec ",'status':{'phase':'" phase "'}}"
#define ADD(name)        \
	"{'name':'" name \
	"','disk':{'serial':'S'},'volumeSource':{'persistentVolumeClaim':{'claimName':'" name "'}}}"
#define ADD_AS(disk) \
	"{'name':'a','disk':{" disk "},'volumeSource':{'persistentVolumeClaim':{'claimName':'a'}}}"
#define REMOVE(name) "{'name':'" name "'}"
#define OWNED ",'ownerReferences':[{'kind':'VirtualMachine','name':'v','uid':'u','controller':true}]"

struct row {
	const char *resource, *sub, *vm, *vmi, *body;
	const char *want; /* the object afterwards; or "409 text" */
	bool imperative;
};

static void check(size_t i, const struct row *row)
{
	const struct lifecycle_verb *v = lifecycle_find(row->resource, row->sub, "PUT");
	CLEANUP(json_doc_freep) struct json_doc *vm = row->vm ? json_lit(row->vm) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *vmi = row->vmi ? json_lit(row->vmi) : NULL;
	CLEANUP(json_doc_freep) struct json_doc *body = json_lit(row->body), *after = NULL, *want = NULL;
	CLEANUP(json_doc_freep)
	struct json_doc *cr = json_lit(
		row->imperative ? "{'spec':{'configuration':{'developerConfiguration':{'featureGates':["
				  "'HotplugVolumes']}}}}"
				: "{}");
	CLEANUP(str_done) struct str text = { 0 };
	struct kv_config config;
	struct lifecycle_in in = { .ns = "n",
		.name = "v",
		.vm = vm ? json_root(vm) : NULL,
		.vmi = vmi ? json_root(vmi) : NULL,
		.body = json_root(body),
		.config = &config };
	struct lifecycle_out out = { 0 };
	struct err e = { 0 };

	kv_config_from(json_root(cr), &config);
	if (lifecycle_run(v, &in, &out, &e) < 0) {
		str_addf(&text, "%d %s", err_http(e.code), e.msg);
		if (!str_starts(str_cstr(&text), row->want) && !strstr(str_cstr(&text), row->want + 4))
			fail_msg("row %zu: %s", i, str_cstr(&text));
		assert_memory_equal(text.data, row->want, 3);
		return;
	}
	assert_int_equal(out.status, 202);
	assert_int_equal(out.n_steps, 1); /* one write: nothing to be left half done */
	assert_true(out.again);
	if (patch_json(str_eq(row->resource, "virtualmachines") ? in.vm : in.vmi, json_root(out.steps[0].ops),
		    &after, &e) < 0)
		fail_msg("row %zu: %s", i, e.msg);
	if (row->want[0] != '{')
		fail_msg("row %zu: not refused", i);
	want = json_lit(row->want);
	if (!json_eq(json_root(after), json_root(want)))
		fail_msg("row %zu: %s", i, json_write(json_root(after), NULL));
	lifecycle_done(&out);
}

#define VM_ROW "virtualmachines"
#define VMI_ROW "virtualmachineinstances"
#define ADDED                                                    \
	SPEC(",{'serial':'S','name':'a','disk':{'bus':'scsi'}}") \
	MORE_VOLUMES ",{'name':'a','persistentVolumeClaim':{'claimName':'a','hotpluggable':true}}]}"
#define MARKED(names, spec)                                                            \
	"{'metadata':{'name':'v','annotations':{'coracle.dev/volumes-at-once':'" names \
	"'}},'spec':{'template':{"                                                     \
	"'spec':" spec "}}}"

static void volumes_of_a_vm(void **state)
{
	static const struct row rows[] = {
		/* stopped: the template; running: marked to go to the guest at once */
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, ADD("a"), VM(ADDED) },
		{ VM_ROW, "addvolume", VM(PLAIN), VMI("Running", "", PLAIN), ADD("a"), MARKED("a", ADDED) },
		{ VM_ROW, "addvolume", MARKED("z", PLAIN), VMI("Running", "", PLAIN), ADD("a"),
			MARKED("z,a", ADDED) },
		{ VM_ROW, "addvolume", MARKED("a", PLAIN), VMI("Running", "", HOT), ADD("a"),
			MARKED("a", ADDED) },
		{ VM_ROW, "addvolume", VM(PLAIN), VMI("Succeeded", "", PLAIN), ADD("a"), VM(ADDED) },
		{ VM_ROW, "removevolume", VM(HOT), VMI("Running", "", HOT), REMOVE("a"), MARKED("a", PLAIN) },
		/* a drive gets it as its disc, and stays when that goes */
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, ADD("cd"),
			VM(SPEC("") MORE_VOLUMES ",{'name':'cd','persistentVolumeClaim':{'claimName':'cd',"
						 "'hotpluggable':true}}]}") },
		{ VM_ROW, "removevolume",
			VM(SPEC("") MORE_VOLUMES ",{'name':'cd','persistentVolumeClaim':{'claimName':'cd',"
						 "'hotpluggable':true}}]}"),
			NULL, REMOVE("cd"), VM(PLAIN) },
		{ VM_ROW, "addvolume", VM(HOT), NULL, ADD("a"),
			"409 Unable to add volume [a] because volume with that name already exists" },
		{ VM_ROW, "addvolume", VM(HOT), NULL,
			"{'name':'b','disk':{},'volumeSource':{'dataVolume':{'name':'a'}}}",
			"409 Unable to add volume source [b] because it already exists" },
		{ VM_ROW, "removevolume", VM(PLAIN), NULL, REMOVE("a"),
			"409 Unable to remove volume [a] because it does not exist" },
		{ VM_ROW, "removevolume", VM(PLAIN), NULL, REMOVE("root"),
			"409 because it is not hotpluggable" },
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, "{'name':'a','disk':{}}", "400 VolumeSource" },
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, "{'disk':{},'volumeSource':{}}", "400 name" },
		{ VM_ROW, "addvolume", VM(PLAIN), NULL,
			"{'name':'a','volumeSource':{'persistentVolumeClaim':{'claimName':'a'}}}",
			"400 disk" },
		{ VM_ROW, "removevolume", VM(PLAIN), NULL, "{}", "400 name" },
		/* what the guest could never get is not taken (rollout.md 2.6) */
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, ADD_AS("'lun':{'bus':'scsi'}"), "409 LUNs" },
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, ADD_AS("'disk':{'bus':'sata'}"), "409 neither bus" },
		{ VM_ROW, "addvolume", VM(PLAIN), VMI("Running", "", PLAIN), ADD_AS("'cdrom':{'bus':'scsi'}"),
			"409 there is no CD-ROM drive of that name" },
		{ VM_ROW, "addvolume", VM(PLAIN), NULL, ADD_AS("'cdrom':{'bus':'scsi'}"),
			VM(SPEC(",{'name':'a','cdrom':{'bus':'scsi'}}") MORE_VOLUMES
				",{'name':'a','persistentVolumeClaim':{'claimName':'a',"
				"'hotpluggable':true}}]}") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(i, &rows[i]);
}

static void volumes_of_an_instance(void **state)
{
	static const struct row rows[] = {
		{ VMI_ROW, "addvolume", NULL, VMI("Running", "", PLAIN), ADD("a"),
			VMI("Running", "", ADDED) },
		{ VMI_ROW, "removevolume", NULL, VMI("Running", "", HOT), REMOVE("a"),
			VMI("Running", "", PLAIN) },
		{ VMI_ROW, "addvolume", NULL, VMI("Scheduled", "", PLAIN), ADD("a"),
			"409 VMI is not running" },
		{ VMI_ROW, "addvolume", NULL, VMI("Running", OWNED, PLAIN), ADD("a"),
			"400 belongs to a VirtualMachine" },
		{ VMI_ROW, "addvolume", NULL, VMI("Running", OWNED, PLAIN), ADD("a"),
			VMI("Running", OWNED, ADDED), true },
		{ VMI_ROW, "removevolume", NULL, NULL, REMOVE("a"), "404 not found" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(i, &rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volumes_of_a_vm),
		cmocka_unit_test(volumes_of_an_instance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
