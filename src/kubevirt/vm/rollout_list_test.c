/* SPDX-License-Identifier: Apache-2.0 */
/* What a person is told of a VM's edits: rollout.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/vm/rollout.h"

#define VM_UID "11111111-1111-4111-8111-111111111111"

struct story {
	struct obj *vm, *vmi, *revisions[2];
	struct kv_config config;
	struct edits edits;
};

static struct obj *made(const char *fmt, const char *text)
{
	struct str out = { 0 };

	for (const char *p = fmt; *p; p++)
		if (*p == '$')
			str_add(&out, text);
		else
			str_addc(&out, *p);
	struct obj *o = obj_from_doc(json_lit(str_cstr(&out)));
	str_done(&out);
	return o;
}

/* start, now: the template's spec; instance: spec and status of the instance; waits: its ANN_NICS_WAIT. */
static struct story tell_waiting(const char *start, const char *now, const char *instance, const char *waits)
{
	struct story s = { 0 };
	CLEANUP(json_doc_freep)
	struct json_doc *cr =
		json_lit("{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'},"
			 "'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}");

	kv_config_from(json_root(cr), &s.config);
	s.vm = made("{'metadata':{'name':'v','namespace':'n','uid':'" VM_UID
		    "','generation':2},'spec':{'template':{'spec':$}}}",
		now);
	CLEANUP(mem_freep)
	char *vmi =
		str_printf("{'metadata':{'name':'v','namespace':'n','uid':'u','annotations':{'" ANN_NICS_WAIT
			   "':'%s'}},$}",
			waits);
	s.vmi = made(vmi, instance);
	s.revisions[0] = made("{'metadata':{'name':'revision-start-vm-" VM_UID
			      "-2','namespace':'n'},'data':{'spec':{'template':{'spec':$}}}}",
		now);
	s.revisions[1] = made("{'metadata':{'name':'revision-start-vm-" VM_UID
			      "-1','namespace':'n'},'data':{'spec':{'template':{'spec':$}}}}",
		start);
	const struct obj *revisions[] = { s.revisions[0], s.revisions[1] };
	rollout_list(&(struct rollout_in){ .vm = s.vm,
			     .vmi = s.vmi,
			     .revision = rollout_revision(s.vm, s.vmi, revisions, 2),
			     .config = &s.config },
		&s.edits);
	return s;
}

static struct story tell(const char *start, const char *now, const char *instance)
{
	return tell_waiting(start, now, instance, "");
}

static void done(struct story *s)
{
	rollout_done(&s->edits);
	obj_unref(s->vm);
	obj_unref(s->vmi);
	obj_unref(s->revisions[0]);
	obj_unref(s->revisions[1]);
}

static void check(int line, const char *start, const char *now, const char *instance, const char *want)
{
	struct story s = tell(start, now, instance);
	struct str have = { 0 };

	for (size_t i = 0; i < s.edits.n; i++) {
		const struct change *c = &s.edits.items[i];
		str_addf(&have, "%s %s %s -> %s|", change_state_name(c->state),
			c->path + sizeof("spec.template.spec.") - 1, c->was ? c->was : "-",
			c->is ? c->is : "-");
	}
	if (!str_eq(str_cstr(&have), want))
		fail_msg("line %d: \"%s\", wanted \"%s\"", line, str_cstr(&have), want);
	str_done(&have);
	done(&s);
}
#define TELLS(start, now, instance, want) check(__LINE__, start, now, instance, want)

#define STARTED "'virtualMachineRevisionName':'revision-start-vm-" VM_UID "-1','phase':'Running',"
#define GUEST(spec, current)                                                                         \
	"'spec':{'domain':{'memory':{'guest':'" spec "','maxGuest':'8Gi'}},'architecture':'amd64'}," \
	"'status':{" STARTED "'memory':{'guestAtBoot':'1Gi','guestCurrent':'" current                \
	"','guestRequested':'" current "'}}"
#define MEMORY(size) "{'domain':{'memory':{'guest':'" size "'}}}"

static void memory_is_followed_into_the_guest(void **state)
{
	TELLS(MEMORY("1Gi"), MEMORY("1Gi"), GUEST("1Gi", "1Gi"), "");
	TELLS(MEMORY("1Gi"), MEMORY("2Gi"), GUEST("1Gi", "1Gi"),
		"going domain.memory.guest \"1Gi\" -> \"2Gi\"|");
	TELLS(MEMORY("1Gi"), MEMORY("2Gi"), GUEST("2Gi", "1Gi"),
		"applying domain.memory.guest \"1Gi\" -> \"2Gi\"|");
	TELLS(MEMORY("1Gi"), MEMORY("2Gi"), GUEST("2Gi", "2Gi"),
		"live domain.memory.guest \"1Gi\" -> \"2Gi\"|");
	/* on its way back: the guest still has what is not wanted any more */
	TELLS(MEMORY("1Gi"), MEMORY("1Gi"), GUEST("1Gi", "2Gi"),
		"applying domain.memory.guest \"2Gi\" -> \"1Gi\"|");
}

static void what_is_staged_comes_first_and_takes_the_others_along(void **state)
{
	TELLS("{'hostname':'a','nodeSelector':{'z':'a'},'domain':{'memory':{'guest':'1Gi'}}}",
		"{'hostname':'b','nodeSelector':{'z':'b'},'domain':{'memory':{'guest':'2Gi'}}}",
		"'spec':{'nodeSelector':{'z':'b'},'domain':{'memory':{'guest':'1Gi','maxGuest':'8Gi'}},"
		"'architecture':'amd64'},"
		"'status':{" STARTED
		"'memory':{'guestAtBoot':'1Gi','guestCurrent':'1Gi','guestRequested':'1Gi'}}",
		"staged domain.memory.guest \"1Gi\" -> \"2Gi\"|staged hostname \"a\" -> \"b\"|"
		"live nodeSelector.z \"a\" -> \"b\"|");
}

#define CARD(more) "{'name':'b','bridge':{}" more "}"
#define CARDS(cards, nets)                                                       \
	"{'domain':{'devices':{'interfaces':[{'name':'a','masquerade':{}}" cards \
	"]}},'networks':[{'name':'a',"                                           \
	"'pod':{}}" nets "]}"
#define NET2 ",{'name':'b','multus':{'networkName':'y'}}"
#define NET ",{'name':'b','multus':{'networkName':'x'}}"
/* What the instance's spec has is live when its status says so. */
static void cards_are_followed_into_the_guest(void **state)
{
	static const struct {
		const char *card, *status, *word;
	} rows[] = {
		{ "," CARD(""), "", "applying" },
		{ "," CARD(""), ",{'name':'b','linkState':'up'}", "live" },
		{ "," CARD(",'state':'down'"), ",{'name':'b','linkState':'up'}", "applying" },
		{ "," CARD(",'state':'down'"), ",{'name':'b','linkState':'down'}", "live" },
		{ "," CARD(",'state':'up'"), ",{'name':'b','linkState':'down'}", "applying" },
		{ "," CARD(",'state':'absent'"), ",{'name':'b','linkState':'up'}", "applying" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *now =
			str_printf("{'domain':{'devices':{'interfaces':[{'name':'a','masquerade':{}}%s]}},"
				   "'networks':[{'name':'a','pod':{}}" NET "]}",
				rows[i].card);
		CLEANUP(mem_freep)
		char *instance = str_printf(
			"'spec':%s,'status':{" STARTED "'interfaces':[{'name':'a'}%s]}", now, rows[i].status);
		struct story s = tell(CARDS("", ""), now, instance);

		assert_true(s.edits.n > 0);
		for (size_t n = 0; n < s.edits.n; n++)
			assert_string_equal(change_state_name(s.edits.items[n].state), rows[i].word);
		done(&s);
	}
}

/* 87: another definition is reached by a migration; until then the guest is on the old network. */
static void a_card_on_its_old_network_waits(void **state)
{
	static const char there[] = "'interfaces':[{'name':'a'},{'name':'b','linkState':'up'}],"
				    "'conditions':[{'type':'LiveMigratable','status':'True'}]}";
	const char *start = CARDS("," CARD(""), NET), *now = CARDS("," CARD(""), NET2);
	CLEANUP(mem_freep) char *instance = str_printf("'spec':%s,'status':{" STARTED "%s", now, there);
	struct story s;

	TELLS(start, now, instance, "live networks[b].multus.networkName \"x\" -> \"y\"|");
	s = tell_waiting(start, now, instance, "b=n/x");
	assert_int_equal(s.edits.n, 1);
	assert_string_equal(change_state_name(s.edits.items[0].state), "applying");
	done(&s);
}

static void volumes_are_followed_into_the_guest(void **state)
{
	static const char with[] =
		"{'domain':{'devices':{'disks':[{'name':'d','disk':{'bus':'scsi'}}]}},'volumes':[{"
		"'name':'d','persistentVolumeClaim':{'claimName':'c','hotpluggable':true}}]}";
	static const char without[] = "{'domain':{'devices':{'disks':[]}},'volumes':[]}";
	static const struct {
		bool plug;
		const char *status, *word;
	} rows[] = {
		{ true, "", "applying" },
		{ true, "{'name':'d','phase':'Pending'}", "applying" },
		{ true, "{'name':'d','phase':'Ready'}", "live" },
		{ false, "{'name':'d','phase':'Detaching'}", "applying" },
		{ false, "", "live" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *start = rows[i].plug ? without : with, *now = rows[i].plug ? with : without;
		CLEANUP(mem_freep)
		char *instance = str_printf(
			"'spec':%s,'status':{" STARTED "'volumeStatus':[%s]}", now, rows[i].status);
		struct story s = tell(start, now, instance);

		assert_true(s.edits.n > 0);
		for (size_t n = 0; n < s.edits.n; n++)
			assert_string_equal(change_state_name(s.edits.items[n].state), rows[i].word);
		done(&s);
	}
}

/* With strategy Migration the instance keeps its claim until the volume has moved. */
static void a_claim_that_is_to_be_moved_waits(void **state)
{
#define CLAIM(name) "{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'" name "'}}]}"
	struct story s = { 0 };

	CLEANUP(json_doc_freep)
	struct json_doc *cr =
		json_lit("{'spec':{'configuration':{'vmRolloutStrategy':'LiveUpdate'},"
			 "'workloadUpdateStrategy':{'workloadUpdateMethods':['LiveMigrate']}}}");
	kv_config_from(json_root(cr), &s.config);
	s.vm = made("{'metadata':{'name':'v','namespace':'n','uid':'" VM_UID
		    "'},'spec':{'updateVolumesStrategy':'Migration','template':{'spec':$}}}",
		CLAIM("to"));
	s.vmi = made(
		"{'metadata':{'name':'v','namespace':'n','uid':'u'},'spec':$,'status':{'phase':'Running',"
		"'volumeStatus':[{'name':'d'}],'conditions':[{'type':'VolumesChange','status':'True'}]}}",
		CLAIM("from"));
	s.revisions[0] = made("{'metadata':{'name':'revision-start-vm-" VM_UID
			      "-1','namespace':'n'},'data':{'spec':{'template':{'spec':$}}}}",
		CLAIM("from"));
	rollout_list(
		&(struct rollout_in){
			.vm = s.vm, .vmi = s.vmi, .revision = s.revisions[0], .config = &s.config },
		&s.edits);
	assert_int_equal(s.edits.n, 1);
	assert_string_equal(change_state_name(s.edits.items[0].state), "applying");
	done(&s);
}

/* Plugged and unplugged since the start: the template says nothing of it any more. */
static void what_has_not_quite_left_is_told(void **state)
{
	TELLS(CARDS("", ""), CARDS("", ""),
		"'spec':" CARDS("", "") ",'status':{" STARTED "'interfaces':[{'name':'a'},{'ipAddress':'x'}],"
					"'volumeStatus':[{'name':'d','phase':'Detaching'}]}",
		"applying volumes[d] {\"name\":\"d\"} -> -|");
	TELLS(CARDS("", ""), CARDS("", ""),
		"'spec':" CARDS("", "") ",'status':{" STARTED "'interfaces':[{'name':'a'},{'name':'b'}]}",
		"applying domain.devices.interfaces[b] {\"name\":\"b\"} -> -|");
	TELLS(CARDS("", ""), CARDS("", ""),
		"'spec':" CARDS("", "") ",'status':{" STARTED "'interfaces':[{'name':'a','linkState':'up'}]}",
		"");
}

static void the_revision_that_the_instance_names_counts(void **state)
{
	struct story s = tell(MEMORY("1Gi"), MEMORY("2Gi"), GUEST("2Gi", "2Gi"));
	const struct obj *both[] = { s.revisions[0], s.revisions[1] };

	assert_ptr_equal(rollout_revision(s.vm, s.vmi, both, 2), s.revisions[1]);
	assert_ptr_equal(rollout_revision(s.vm, NULL, both, 2), s.revisions[0]); /* the newest */
	assert_null(rollout_revision(s.vmi, NULL, both, 2));                     /* not its own */
	done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_followed_into_the_guest),
		cmocka_unit_test(what_is_staged_comes_first_and_takes_the_others_along),
		cmocka_unit_test(cards_are_followed_into_the_guest),
		cmocka_unit_test(a_card_on_its_old_network_waits),
		cmocka_unit_test(volumes_are_followed_into_the_guest),
		cmocka_unit_test(a_claim_that_is_to_be_moved_waits),
		cmocka_unit_test(what_has_not_quite_left_is_told),
		cmocka_unit_test(the_revision_that_the_instance_names_counts),
	};

	return cmocka_run_group_tests_name("rollout_list", tests, NULL, NULL);
}
