/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/migration/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api/meta.h"
#include "base/mem.h"
#include "kubevirt/api/names.h"
#include "kubevirt/vmi/facts.h"

#define NOW 1700000000000
#define MOVING(resources)                                                                                    \
	"{'metadata':{'namespace':'n','name':'v','labels':{'kubevirt.io/"                                    \
	"memory-hotplug-overhead-ratio':'1.5'}},'spec':"                                                     \
	"{'domain':{'memory':{'guest':'2Gi','maxGuest':'4Gi'},'resources':{" resources                       \
	"}}},'status':{'phase':'Running','memory':{'guestAtBoot':'1Gi','guestCurrent':'1Gi','"               \
	"guestRequested':'1Gi'},"                                                                            \
	"'migrationState':{'startTimestamp':'x'},'conditions':[{'type':'HotMemoryChange','status':'True'}]}" \
	"}"

struct scene {
	struct obj *about;
	struct json_doc *d;
	struct json *vmi;
	struct kv_config config;
	struct plan *plan;
};

static void init(struct scene *s, const char *vmi)
{
	s->about = obj_from_doc(json_lit(vmi));
	s->d = obj_draft(s->about);
	s->vmi = json_root(s->d);
	s->plan = plan_new();
	kv_config_from(NULL, &s->config);
}

static void done(struct scene *s)
{
	json_doc_free(s->d);
	obj_unref(s->about);
	plan_free(s->plan);
}

static void hand_off(struct scene *s, const char *requests)
{
	CLEANUP(mem_freep)
	char *text = str_printf(
		"{'metadata':{'name':'p','annotations':{'kubevirt.io/memory-overhead-bytes':'157286400'}},"
		"'spec':{'containers':[{'name':'side'},{'name':'compute','resources':{'requests':{%s}}}]}}",
		requests);
	CLEANUP(obj_unrefp) struct obj *pod = obj_from_doc(json_lit(text));

	memory_handoff(s->d, s->vmi, pod);
}

/* 64 */
static void the_label_counts_huge_pages(void **state)
{
	struct scene s;

	init(&s, MOVING(""));
	hand_off(&s, "'cpu':'1','memory':'150Mi','hugepages-1Gi':'1Gi'");
	assert_string_equal(meta_label(s.vmi, LABEL_POD_MEMORY_REQUESTS), "1174Mi");
	assert_string_equal(json_at_str(s.vmi, "/status/migrationState/targetMemoryOverhead"), "150Mi");
	hand_off(&s, "'cpu':'1','memory':'150Mi'");
	assert_string_equal(meta_label(s.vmi, LABEL_POD_MEMORY_REQUESTS), "150Mi");
	done(&s);
}

/* 65 */
static void a_pod_that_covers_it_ends_the_change(void **state)
{
	struct scene s;

	init(&s, MOVING("'requests':{'memory':'2Gi'}"));
	hand_off(&s, "'memory':'2198Mi'");
	assert_null(memory_handoff_short(s.vmi, &s.config));
	memory_arrived(s.d, s.vmi, s.about, NULL, NULL, NOW, s.plan);
	assert_int_equal(vmi_guest_requested(s.vmi), 2LL << 30);
	assert_null(vmi_cond(s.vmi, COND_HOT_MEMORY));
	assert_null(meta_label(s.vmi, LABEL_POD_MEMORY_REQUESTS));
	assert_null(meta_label(s.vmi, LABEL_MEMORY_OVERHEAD_RATIO));
	assert_int_equal(plan_len(s.plan), 0);
	done(&s);
}

static void too_small(const char *vmi, const char *requests, const char *part)
{
	struct scene s;

	init(&s, vmi);
	if (requests)
		hand_off(&s, requests);
	CLEANUP(mem_freep) char *why = memory_handoff_short(s.vmi, &s.config);
	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, why);
	memory_arrived(s.d, s.vmi, s.about, why, NULL, NOW, s.plan);
	assert_int_equal(plan_len(s.plan), 1);
	assert_true(plan_at(s.plan, 0)->warning);
	assert_non_null(strstr(plan_at(s.plan, 0)->message, "failed to update guest memory"));
	assert_null(vmi_cond(s.vmi, COND_HOT_MEMORY));
	assert_int_equal(vmi_guest_requested(s.vmi), 1LL << 30);
	assert_null(meta_label(s.vmi, LABEL_POD_MEMORY_REQUESTS));
	done(&s);
}

/* 66; rollout.md 7.13: checked without a request as well */
static void a_pod_that_is_too_small_leaves_the_guest_alone(void **state)
{
	too_small(
		MOVING("'requests':{'memory':'2Gi'}"), "'memory':'2197Mi'", "has 2197Mi, 2198Mi are needed");
	too_small(MOVING(""), "'memory':'1Gi'", "2198Mi are needed");
	too_small(MOVING(""), NULL, "did not say");
}

static void a_label_that_is_no_quantity_is_too_small(void **state)
{
	struct scene s;

	init(&s, MOVING(""));
	meta_set_label(s.d, s.vmi, LABEL_POD_MEMORY_REQUESTS, "much");
	CLEANUP(mem_freep) char *why = memory_handoff_short(s.vmi, &s.config);
	assert_non_null(strstr(why, "\"much\""));
	done(&s);
}

/* 67 */
static void a_device_that_is_refused_is_a_failure(void **state)
{
	struct scene s;
	const struct json *c;

	init(&s, MOVING(""));
	hand_off(&s, "'memory':'2198Mi'");
	memory_arrived(s.d, s.vmi, s.about, NULL, "no free PCI port", NOW, s.plan);
	c = vmi_cond(s.vmi, COND_HOT_MEMORY);
	assert_string_equal(json_get_str(c, "status"), "False");
	assert_string_equal(json_get_str(c, "reason"), "Memory Hotplug Failed");
	assert_string_equal(json_get_str(c, "message"), "no free PCI port");
	assert_int_equal(vmi_guest_requested(s.vmi), 1LL << 30);
	assert_int_equal(plan_len(s.plan), 1);
	done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_label_counts_huge_pages),
		cmocka_unit_test(a_pod_that_covers_it_ends_the_change),
		cmocka_unit_test(a_pod_that_is_too_small_leaves_the_guest_alone),
		cmocka_unit_test(a_label_that_is_no_quantity_is_too_small),
		cmocka_unit_test(a_device_that_is_refused_is_a_failure),
	};

	return cmocka_run_group_tests_name("migration_memory", tests, NULL, NULL);
}
