/* SPDX-License-Identifier: Apache-2.0 */
/* VMs, instance types and preferences on their way in. rollout.md 3.7, 4.1; texts are KubeVirt's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/instancetype/test_lookup.h"

#define OBJECTS                                                                                              \
	"[{'kind':'VirtualMachineClusterInstancetype','metadata':{'name':'small'},'spec':{'cpu':{'guest':1}" \
	","                                                                                                  \
	"'memory':{'guest':'512Mi'}}},"                                                                      \
	"{'kind':'VirtualMachineClusterInstancetype','metadata':{'name':'odd'},'spec':{'cpu':{'guest':3},"   \
	"'memory':{'guest':'2Gi'}}},"                                                                        \
	"{'kind':'VirtualMachineClusterPreference','metadata':{'name':'needs1Gi'},'spec':{'requirements':{"  \
	"'memory':{'guest':'1Gi'}}}},"                                                                       \
	"{'kind':'VirtualMachineClusterPreference','metadata':{'name':'spread'},'spec':{'cpu':{"             \
	"'preferredCPUTopology':'spread'}}},"                                                                \
	"{'kind':'VirtualMachineClusterPreference','metadata':{'name':'arm'},'spec':{'"                      \
	"preferredArchitecture':"                                                                            \
	"'arm64','machine':{'preferredMachineType':'virt'},'volumes':{'preferredStorageClassName':'fast'}}}" \
	","                                                                                                  \
	"{'kind':'PersistentVolumeClaim','metadata':{'name':'labelled','namespace':'n','labels':{"           \
	"'instancetype.kubevirt.io/default-instancetype':'small',"                                           \
	"'instancetype.kubevirt.io/default-preference':'p',"                                                 \
	"'instancetype.kubevirt.io/default-preference-kind':'VirtualMachinePreference'}}},"                  \
	"{'kind':'PersistentVolumeClaim','metadata':{'name':'bare','namespace':'n'}},"                       \
	"{'kind':'DataVolume','metadata':{'name':'dv','namespace':'n'},'spec':{'source':{'pvc':{'name':"     \
	"'golden','namespace':'images'}}}},"                                                                 \
	"{'kind':'DataSource','metadata':{'name':'ds','namespace':'images'},'spec':{'source':{'pvc':{"       \
	"'name':'golden','namespace':'images'}}}},"                                                          \
	"{'kind':'PersistentVolumeClaim','metadata':{'name':'golden','namespace':'images','labels':{"        \
	"'instancetype.kubevirt.io/default-instancetype':'odd'}}}]"

struct seen {
	struct json_doc *objects, *vm, *after;
	struct causes causes;
	struct err e;
	int rc;
};

static struct json_doc *vm_doc(const char *spec, const char *template)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'metadata':{'name':'v','namespace':'n'},'spec':{%s%s'template':{'spec':%s}}}",
			spec, *spec ? "," : "", template);
	return json_lit(text);
}

static struct seen validate(const char *spec, const char *template)
{
	struct seen s = { .objects = json_lit(OBJECTS), .vm = vm_doc(spec, template) };
	struct it_lookup l = test_lookup(s.objects);
	struct kv_config c;

	kv_config_from(NULL, &c);
	it_validate_vm(json_root(s.vm), &c, &l, &s.after, &s.causes);
	return s;
}

static struct seen mutate(const char *spec, const char *template, const char *old_spec)
{
	struct seen s = { .objects = json_lit(OBJECTS), .vm = vm_doc(spec, template) };
	struct it_lookup l = test_lookup(s.objects);
	CLEANUP(json_doc_freep) struct json_doc *old = old_spec ? vm_doc(old_spec, template) : NULL;

	s.rc = it_mutate_vm(s.vm, json_root(s.vm), old ? json_root(old) : NULL, &l, &s.causes, &s.e);
	return s;
}

static void done(struct seen *s)
{
	json_doc_free(s->objects);
	json_doc_free(s->vm);
	json_doc_free(s->after);
	causes_done(&s->causes);
}

static void assert_cause(const struct seen *s, const char *reason, const char *field, const char *message)
{
	assert_int_equal(s->causes.len, 1);
	assert_string_equal(s->causes.items[0].reason, reason);
	assert_string_equal(s->causes.items[0].field, field);
	if (!strstr(s->causes.items[0].message, message))
		fail_msg("%s", s->causes.items[0].message);
}

#define BARE "{'domain':{'devices':{}}}"

static void conflicts_are_causes_with_paths(void **state)
{
	struct seen s = validate("'instancetype':{'name':'small'}",
		"{'domain':{'cpu':{'sockets':2,'cores':1},'memory':{'guest':'1Gi'}}}");

	assert_int_equal(s.causes.len, 3);
	assert_null(s.after);
	assert_string_equal(s.causes.items[0].reason, "FieldValueInvalid");
	assert_string_equal(s.causes.items[0].field, "spec.template.spec.domain.cpu.sockets");
	assert_string_equal(s.causes.items[0].message,
		"VM field(s) spec.template.spec.domain.cpu.sockets conflicts with selected instance type");
	assert_string_equal(s.causes.items[2].field, "spec.template.spec.domain.memory.guest");
	done(&s);
}

/* 91 */
static void requirements_are_checked_with_type_and_with_request(void **state)
{
#define UNMET "failure checking preference requirements: insufficient Memory resources of 512Mi provided by "
	struct seen s = validate("'instancetype':{'name':'small'},'preference':{'name':'needs1Gi'}", BARE);

	assert_cause(&s, "FieldValueNotFound", "spec.instancetype", UNMET "instance type");
	done(&s);
	s = validate("'preference':{'name':'needs1Gi'}",
		"{'domain':{'devices':{},'resources':{'requests':{'memory':'512Mi'}}}}");
	assert_cause(&s, "FieldValueNotFound", "spec.template.spec.domain.memory", UNMET "VirtualMachine");
	done(&s);
	s = validate("'preference':{'name':'needs1Gi'}",
		"{'domain':{'devices':{},'resources':{'requests':{'memory':'1Gi'}}}}");
	assert_int_equal(s.causes.len, 0);
	assert_non_null(s.after);
	done(&s);
}

static void a_layout_that_can_not_be_is_refused(void **state)
{
	struct seen s = validate("'instancetype':{'name':'odd'},'preference':{'name':'spread'}", BARE);

	assert_cause(&s, "FieldValueInvalid", "instancetype.spec.cpu.guest", "3 vCPUs provided by");
	done(&s);
}

/* KubeVirt takes the VM, and its controller waits for the type. */
static void what_can_not_be_found_is_not_refused(void **state)
{
	struct seen s = validate("'instancetype':{'name':'none'}", "{'domain':{'cpu':{'sockets':2}}}");

	assert_int_equal(s.causes.len, 0);
	assert_null(s.after);
	done(&s);
	s = validate("'instancetype':{'name':'none'},'preference':{'name':'needs1Gi'}", BARE);
	assert_int_equal(s.causes.len, 0);
	done(&s);
}

/* 92 */
static void a_new_name_under_the_same_revision_is_refused(void **state)
{
#define OLD "'instancetype':{'name':'a','revisionName':'r'}"
	struct seen s = mutate("'instancetype':{'name':'b','revisionName':'r'}", BARE, OLD);

	assert_cause(&s, "FieldValueInvalid", "spec.instancetype.revisionName",
		"the Matcher Name has been updated without updating the RevisionName");
	done(&s);
	s = mutate("'instancetype':{'name':'b','revisionName':'r2'}", BARE, OLD);
	assert_int_equal(s.causes.len, 0);
	done(&s);
	s = mutate("'instancetype':{'name':'b'}", BARE, OLD);
	assert_int_equal(s.causes.len, 0);
	done(&s);
	s = mutate("'preference':{'name':'b','revisionName':'r'}", BARE,
		"'preference':{'name':'a','revisionName':'r'}");
	assert_cause(&s, "FieldValueInvalid", "spec.preference.revisionName", "without updating");
	done(&s);
}

static void matchers_say_what_they_want(void **state)
{
	static const struct {
		const char *spec, *reason, *field;
	} rows[] = {
		{ "'instancetype':{}", "FieldValueNotFound", "spec.instancetype" },
		{ "'preference':{'kind':'VirtualMachinePreference'}", "FieldValueNotFound",
			"spec.preference" },
		{ "'instancetype':{'name':'a','inferFromVolume':'v'}", "FieldValueNotSupported",
			"spec.instancetype.name" },
		{ "'instancetype':{'kind':'a','inferFromVolume':'v'}", "FieldValueNotSupported",
			"spec.instancetype.kind" },
		{ "'preference':{'name':'a','inferFromVolumeFailurePolicy':'Maybe'}", "FieldValueInvalid",
			"spec.preference.inferFromVolumeFailurePolicy" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct seen s = mutate(rows[i].spec, BARE, NULL);
		assert_cause(&s, rows[i].reason, rows[i].field, "");
		done(&s);
	}
}

#define VOLUMES(source) \
	"{'domain':{'devices':{},'memory':{'guest':'1Gi'}},'volumes':[{'name':'root'," source "}]}"
#define INFER "'inferFromVolume':'root'"
#define CLAIM(name) "'persistentVolumeClaim':{'claimName':'" name "'}"

static void volumes_say_what_suits_them(void **state)
{
	static const struct {
		const char *volume, *more, *want;
	} rows[] = {
		{ CLAIM("labelled"), "", "small" },
		{ "'dataVolume':{'name':'dv'}", "", "odd" },
		{ "'dataVolume':{'name':'labelled'}", "",
			"small" }, /* the claim is there without its DataVolume */
		{ "'dataVolume':{'name':'t'}",
			"'dataVolumeTemplates':[{'metadata':{'name':'t'},'spec':{'source':{'pvc':{'name':'"
			"golden',"
			"'namespace':'images'}}}}],",
			"odd" },
		{ "'dataVolume':{'name':'t'}",
			"'dataVolumeTemplates':[{'metadata':{'name':'t'},'spec':{'sourceRef':{'kind':'"
			"DataSource',"
			"'name':'ds','namespace':'images'}}}],",
			"odd" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *spec = str_printf("%s'instancetype':{" INFER "}", rows[i].more);
		CLEANUP(mem_freep) char *template = str_printf(VOLUMES("%s"), rows[i].volume);
		struct seen s = mutate(spec, template, NULL);
		if (s.rc < 0)
			fail_msg("row %zu: %s", i, s.e.msg);
		assert_string_equal(json_at_str(json_root(s.vm), "/spec/instancetype/name"), rows[i].want);
		assert_null(json_at(json_root(s.vm), "/spec/instancetype/inferFromVolume"));
		assert_non_null(json_at(json_root(s.vm), "/spec/template/spec/domain/memory"));
		done(&s);
	}
	struct seen s = mutate("'preference':{" INFER "}", VOLUMES(CLAIM("labelled")), NULL);
	assert_string_equal(json_at_str(json_root(s.vm), "/spec/preference/name"), "p");
	assert_string_equal(
		json_at_str(json_root(s.vm), "/spec/preference/kind"), "VirtualMachinePreference");
	done(&s);
}

static void volumes_that_say_nothing(void **state)
{
	static const struct {
		const char *volume, *error;
		bool may_be_ignored;
	} rows[] = {
		{ CLAIM("bare"),
			"unable to find required instancetype.kubevirt.io/default-instancetype label on the "
			"volume",
			true },
		{ CLAIM("none"), "persistentvolumeclaims \"none\" not found", false },
		{ "'containerDisk':{'image':'x'}",
			"unable to infer defaults from volume root as type is not supported", true },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep) char *template = str_printf(VOLUMES("%s"), rows[i].volume);
		struct seen s = mutate("'instancetype':{" INFER "}", template, NULL);
		assert_int_equal(s.rc, -1);
		assert_int_equal(s.e.code, ERR_BAD_REQUEST);
		assert_string_equal(s.e.msg, rows[i].error);
		done(&s);
		s = mutate(
			"'instancetype':{" INFER ",'inferFromVolumeFailurePolicy':'Ignore'}", template, NULL);
		assert_int_equal(s.rc, rows[i].may_be_ignored ? 0 : -1);
		if (rows[i].may_be_ignored)
			assert_null(json_at(json_root(s.vm), "/spec/instancetype"));
		done(&s);
	}
	/* memory that was meant for the case that nothing is inferred */
	struct seen s = mutate("'instancetype':{" INFER ",'inferFromVolumeFailurePolicy':'Ignore'}",
		VOLUMES(CLAIM("labelled")), NULL);
	assert_int_equal(s.rc, 0);
	assert_null(json_at(json_root(s.vm), "/spec/template/spec/domain/memory"));
	done(&s);
	s = mutate("'instancetype':{'inferFromVolume':'other'}", VOLUMES(CLAIM("labelled")), NULL);
	assert_string_equal(s.e.msg, "unable to find volume other to infer defaults");
	done(&s);
}

static void a_preference_goes_before_the_clusters_defaults(void **state)
{
	struct seen s = mutate("'preference':{'name':'arm'},'dataVolumeTemplates':[{'metadata':{'name':'t'},"
			       "'spec':{'storage':{}}},{'metadata':{'name':'u'},'spec':{'pvc':{"
			       "'storageClassName':'own'}}}]",
		BARE, NULL);
	const struct json *o = json_root(s.vm);

	assert_int_equal(s.rc, 0);
	assert_string_equal(json_at_str(o, "/spec/template/spec/architecture"), "arm64");
	assert_string_equal(json_at_str(o, "/spec/template/spec/domain/machine/type"), "virt");
	assert_string_equal(
		json_at_str(o, "/spec/dataVolumeTemplates/0/spec/storage/storageClassName"), "fast");
	assert_string_equal(json_at_str(o, "/spec/dataVolumeTemplates/1/spec/pvc/storageClassName"), "own");
	done(&s);
}

static void types_and_preferences_are_checked_themselves(void **state)
{
	static const struct {
		enum it_side side;
		const char *spec, *field, *text, *warning;
	} rows[] = {
		{ IT_INSTANCETYPE, "{'memory':{'overcommitPercent':50}}", NULL, NULL, NULL },
		{ IT_INSTANCETYPE, "{'memory':{'overcommitPercent':101}}", "spec.memory.overcommitPercent",
			"spec.memory.overcommitPercent '101': must be in range between 0 and 100.", NULL },
		{ IT_INSTANCETYPE, "{'memory':{'overcommitPercent':5,'hugepages':{}}}",
			"spec.memory.overcommitPercent",
			"spec.memory.overcommitPercent and spec.memory.hugepages should not be requested "
			"together.",
			NULL },
		{ IT_INSTANCETYPE, "{'launchSecurity':{}}", NULL, NULL,
			"launchSecurity is deprecated and will be removed in a future release. Use "
			"preference "
			"instead." },
		{ IT_PREFERENCE, "{'cpu':{'preferredCPUTopology':'frob'}}", "spec.cpu.preferredCPUTopology",
			"unknown preferredCPUTopology frob", NULL },
		{ IT_PREFERENCE, "{'cpu':{'preferredCPUTopology':'preferCores'}}", NULL, NULL,
			"PreferredCPUTopology preferCores is deprecated for removal in a future release, "
			"please "
			"use cores instead" },
		{ IT_PREFERENCE,
			"{'cpu':{'preferredCPUTopology':'spread','spreadOptions':{'across':'CoresThreads','"
			"ratio':3}"
			"}}",
			"spec.cpu.spreadOptions.ratio",
			"only a ratio of 2 (1 core 2 threads) is allowed when spreading vCPUs over cores and "
			"threads",
			NULL },
		{ IT_PREFERENCE,
			"{'cpu':{'preferredCPUTopology':'spread','spreadOptions':{'across':'Frob'}}}",
			"spec.cpu.spreadOptions.across", "across Frob is not supported", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep) char *text = str_printf("{'spec':%s}", rows[i].spec);
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
		CLEANUP(strv_done) struct strv warnings = { 0 };
		struct causes causes = { 0 };

		it_validate(json_root(d), rows[i].side, &causes, &warnings);
		assert_int_equal(causes.len, rows[i].field ? 1 : 0);
		if (rows[i].field) {
			assert_string_equal(causes.items[0].field, rows[i].field);
			assert_string_equal(causes.items[0].message, rows[i].text);
		}
		assert_int_equal(warnings.len, rows[i].warning ? 1 : 0);
		if (rows[i].warning)
			assert_string_equal(warnings.items[0], rows[i].warning);
		causes_done(&causes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conflicts_are_causes_with_paths),
		cmocka_unit_test(requirements_are_checked_with_type_and_with_request),
		cmocka_unit_test(a_layout_that_can_not_be_is_refused),
		cmocka_unit_test(what_can_not_be_found_is_not_refused),
		cmocka_unit_test(a_new_name_under_the_same_revision_is_refused),
		cmocka_unit_test(matchers_say_what_they_want),
		cmocka_unit_test(volumes_say_what_suits_them),
		cmocka_unit_test(volumes_that_say_nothing),
		cmocka_unit_test(a_preference_goes_before_the_clusters_defaults),
		cmocka_unit_test(types_and_preferences_are_checked_themselves),
	};

	return cmocka_run_group_tests_name("instancetype admission", tests, NULL, NULL);
}
