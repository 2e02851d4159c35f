/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/cpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "qemu/fake_qmp.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PLACES_MAX 64
#define STEPS_MAX 400000

enum guest { OBEYS, DEAF, KEEPS };
struct place {
	bool there, own;
	char id[32];
};
/* A QEMU with places for CPUs, told highest first, and its guest. */
struct rig {
	struct loop *loop;
	struct fake_qmp *fake;
	struct qmp *qmp;
	struct cpus *cpus;
	unsigned max, cores, threads;
	struct place places[PLACES_MAX];
	enum guest guest;
	char keeps[32];    /* a guest that KEEPS gives up all but this one */
	char refuse[32];   /* device_add of this id fails */
	char log[1024];    /* device_add and device_del, in order */
	char deleted[128]; /* path of an event that is due */
	struct str answer;
	int ready, done;
	enum err_code code;
	char text[256];
};

static unsigned place_of(const struct rig *r, unsigned socket, unsigned core, unsigned thread)
{
	return (socket * r->cores + core) * r->threads + thread;
}

static const char *places(struct rig *r)
{
	str_clear(&r->answer);
	str_addc(&r->answer, '[');
	for (unsigned i = r->max * r->cores * r->threads; i-- > 0;) {
		const struct place *p = &r->places[i];

		str_addf(&r->answer,
			"%s{'props':{'core-id':%u,'thread-id':%u,'socket-id':%u},'vcpus-count':1,'type':'"
			"qemu64-x86_64-cpu'",
			r->answer.len > 1 ? "," : "", i / r->threads % r->cores, i % r->threads,
			i / r->threads / r->cores);
		if (p->there)
			str_addf(&r->answer, ",'qom-path':'/machine/%s%s'",
				p->own ? "unattached/device[0]" : "peripheral/", p->own ? "" : p->id);
		str_addc(&r->answer, '}');
	}
	str_addc(&r->answer, ']');
	return str_cstr(&r->answer);
}

static void tell_ost(struct rig *r, const char *id, int source, int status)
{
	CLEANUP(mem_freep)
	char *text =
		str_printf("{'info':{'device':'%s','slot':'1','slot-type':'CPU','source':%d,'status':%d}}",
			id, source, status);

	fake_qmp_event(r->fake, "ACPI_DEVICE_OST", text);
}

static const char *add(struct rig *r, const struct json *args, struct fake_answer *ret)
{
	struct place *p = &r->places[place_of(r, (unsigned)json_i64(json_get(args, "socket-id")),
		(unsigned)json_i64(json_get(args, "core-id")),
		(unsigned)json_i64(json_get(args, "thread-id")))];
	const char *id = json_str_or(json_get(args, "id"), "");

	assert_string_equal(json_get_str(args, "driver"), "qemu64-x86_64-cpu");
	assert_false(p->there);
	if (!strcmp(id, r->refuse)) {
		ret->error = "no more memory";
		return NULL;
	}
	p->there = true;
	str_copy(p->id, sizeof(p->id), id);
	snprintf(r->log + strlen(r->log), sizeof(r->log) - strlen(r->log), "+%s ", id + sizeof("vcpu-") - 1);
	if (r->guest != DEAF)
		tell_ost(r, id, 1, 0);
	return NULL;
}

static const char *del(struct rig *r, const char *id)
{
	snprintf(r->log + strlen(r->log), sizeof(r->log) - strlen(r->log), "-%s ", id + sizeof("vcpu-") - 1);
	if (r->guest == DEAF)
		return NULL;
	if (r->guest == KEEPS && !strcmp(id, r->keeps)) {
		tell_ost(r, id, 3, 0x84);
		tell_ost(r, id, 3, 0x81);
		return NULL;
	}
	for (size_t i = 0; i < PLACES_MAX; i++)
		if (r->places[i].there && !strcmp(r->places[i].id, id))
			r->places[i].there = false;
	tell_ost(r, id, 3, 0);
	snprintf(r->deleted, sizeof(r->deleted), "{'path':'/machine/peripheral/%s/lapic'}", id);
	fake_qmp_event(r->fake, "DEVICE_DELETED", r->deleted);
	return NULL;
}

static const char *qemu(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret)
{
	struct rig *r = arg;

	if (!strcmp(cmd, "query-hotpluggable-cpus"))
		return places(r);
	if (!strcmp(cmd, "device_add"))
		return add(r, args, ret);
	if (!strcmp(cmd, "device_del"))
		return del(r, json_str_or(json_get(args, "id"), ""));
	return NULL;
}

static void on_ready(void *arg)
{
	((struct rig *)arg)->ready++;
}
static void on_event(void *arg, const char *name, const struct json *data)
{
	struct rig *r = arg;

	if (!strcmp(name, "ACPI_DEVICE_OST"))
		cpus_on_ost(r->cpus, data);
	else if (!strcmp(name, "DEVICE_DELETED"))
		cpus_on_deleted(r->cpus, data);
}
static void on_closed(void *arg, const struct err *e)
{
	struct rig *r = arg;

	cpus_set_qmp(r->cpus, NULL);
	qmp_free(TAKE(r->qmp));
}
static void on_changed(void *arg)
{
}
static void on_done(void *arg, const struct err *e)
{
	struct rig *r = arg;

	r->done++;
	r->code = e ? e->code : ERR_NONE;
	str_copy(r->text, sizeof(r->text), e ? e->msg : "");
}

static void rig_open(struct rig *r, unsigned max, unsigned cores, unsigned threads, bool removable)
{
	static const struct qmp_ops qops = { .ready = on_ready, .event = on_event, .closed = on_closed };
	static const struct cpus_ops cops = { on_changed };
	const struct cpus_spec spec = {
		.cores = cores, .threads = threads, .max_sockets = max, .sockets = 1, .removable = removable
	};
	int pair[2];

	memset(r, 0, sizeof(*r));
	r->max = max;
	r->cores = cores;
	r->threads = threads;
	for (unsigned i = 0; i < cores * threads; i++)
		r->places[i].there = r->places[i].own = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	r->loop = loop_new();
	r->fake = fake_qmp_new(r->loop, pair[0], qemu, r);
	r->qmp = qmp_new(r->loop, pair[1], 0, &qops, r);
	r->cpus = cpus_new(r->loop, &spec, &cops, r);
	fake_qmp_greet(r->fake);
	for (int i = 0; !r->ready && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	cpus_set_qmp(r->cpus, r->qmp);
}

static void rig_close(struct rig *r)
{
	cpus_free(r->cpus);
	qmp_free(r->qmp);
	fake_qmp_free(r->fake);
	loop_free(r->loop);
	str_done(&r->answer);
}

static void ask(struct rig *r, unsigned sockets, bool may_remove)
{
	cpus_request(r->cpus,
		&(struct cpus_request){ .sockets = sockets, .may_remove = may_remove, .guest_runs = true },
		on_done, r);
}

static void wait_done(struct rig *r, int n)
{
	for (int i = 0; r->done < n && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	assert_int_equal(r->done, n);
}

/* qemu.md 16.27 */
static void cpus_are_added_in_ascending_order_and_whole_sockets(void **state)
{
	struct rig r;

	rig_open(&r, 4, 2, 1, false);
	assert_int_equal(cpus_sockets(r.cpus), 1);
	ask(&r, 3, false);
	wait_done(&r, 1);
	assert_int_equal(r.code, ERR_NONE);
	assert_string_equal(r.log, "+1-0-0 +1-1-0 +2-0-0 +2-1-0 ");
	assert_int_equal(cpus_sockets(r.cpus), 3);
	assert_int_equal(cpus_unacknowledged(r.cpus), 0);
	assert_false(cpus_active(r.cpus));
	rig_close(&r);
}

static void what_is_there_already_is_not_added_again(void **state)
{
	struct rig r;

	rig_open(&r, 4, 1, 2, false);
	/* as after a restart: somebody else has added a part of socket 1 */
	r.places[2] = (struct place){ .there = true, .id = "vcpu-1-0-0" };
	ask(&r, 2, false);
	wait_done(&r, 1);
	assert_string_equal(r.log, "+1-0-1 ");
	ask(&r, 2, false);
	wait_done(&r, 2);
	assert_int_equal(r.code, ERR_NONE);
	assert_string_equal(r.log, "+1-0-1 ");
	rig_close(&r);
}

/* The machine has them; whether its system uses them is its own business, and told. */
static void a_guest_that_says_nothing_is_not_waited_for_for_ever(void **state)
{
	struct rig r;

	rig_open(&r, 2, 1, 1, false);
	r.guest = DEAF;
	ask(&r, 2, false);
	wait_done(&r, 1);
	assert_int_equal(r.code, ERR_NONE);
	assert_int_equal(cpus_sockets(r.cpus), 2);
	assert_int_equal(cpus_unacknowledged(r.cpus), 1);
	tell_ost(&r, "vcpu-1-0-0", 1, 0);
	for (int i = 0; cpus_unacknowledged(r.cpus) && i < STEPS_MAX; i++)
		loop_step(r.loop, 10);
	assert_int_equal(cpus_unacknowledged(r.cpus), 0);
	rig_close(&r);
}

/* qemu.md 16.28, 16.29; decision 20: under emulation nothing is ever removed */
static void what_can_not_be_is_refused_before_qemu_is_asked(void **state)
{
	struct rig r;

	rig_open(&r, 4, 1, 1, false);
	ask(&r, 5, false);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "more than the 4"));
	ask(&r, 0, false);
	assert_int_equal(r.code, ERR_INVALID);
	ask(&r, 3, false);
	wait_done(&r, 3);
	ask(&r, 2, true);
	wait_done(&r, 4);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "has 3 sockets: under emulation CPUs can not be removed"));
	assert_string_equal(r.log, "+1-0-0 +2-0-0 ");
	rig_close(&r);
}

/* decision 20, where it is safe */
static void cpus_go_highest_first_and_socket_0_stays(void **state)
{
	struct rig r;

	rig_open(&r, 4, 2, 1, true);
	ask(&r, 3, true);
	wait_done(&r, 1);
	r.log[0] = '\0';
	ask(&r, 2, false);
	wait_done(&r, 2);
	assert_int_equal(r.code, ERR_INVALID); /* not without leave */
	ask(&r, 1, true);
	wait_done(&r, 3);
	assert_int_equal(r.code, ERR_NONE);
	assert_string_equal(r.log, "-2-1-0 -2-0-0 -1-1-0 -1-0-0 ");
	assert_int_equal(cpus_sockets(r.cpus), 1);
	ask(&r, 2, true);
	wait_done(&r, 4);
	assert_int_equal(cpus_sockets(r.cpus), 2);
	rig_close(&r);
}

/* rollout.md 7.5: on refusal the socket is made whole again, and it is said */
static void what_the_guest_keeps_it_keeps_whole(void **state)
{
	struct rig r;

	rig_open(&r, 3, 2, 1, true);
	ask(&r, 3, true);
	wait_done(&r, 1);
	r.log[0] = '\0';
	r.guest = KEEPS;
	str_copy(r.keeps, sizeof(r.keeps), "vcpu-1-0-0");
	ask(&r, 1, true);
	wait_done(&r, 2);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "the guest keeps its CPU vcpu-1-0-0: it is in use"));
	assert_string_equal(r.log, "-2-1-0 -2-0-0 -1-1-0 -1-0-0 +1-1-0 ");
	assert_int_equal(cpus_sockets(r.cpus), 2);
	assert_string_equal(cpus_error(r.cpus), r.text);
	rig_close(&r);
}

static void a_removal_that_completes_late_is_noticed(void **state)
{
	struct rig r;

	rig_open(&r, 2, 1, 1, true);
	ask(&r, 2, true);
	wait_done(&r, 1);
	/* at the guest's reset, say */
	r.places[1].there = false;
	fake_qmp_event(r.fake, "DEVICE_DELETED", "{'path':'/machine/peripheral/vcpu-1-0-0/lapic'}");
	for (int i = 0; cpus_sockets(r.cpus) != 1 && i < STEPS_MAX; i++)
		loop_step(r.loop, 10);
	assert_int_equal(cpus_sockets(r.cpus), 1);
	assert_false(cpus_active(r.cpus));
	rig_close(&r);
}

/* limit 11 of rollout.md 7: the newest value wins */
static void a_newer_request_takes_over(void **state)
{
	struct rig r;

	rig_open(&r, 4, 1, 1, false);
	ask(&r, 2, false);
	ask(&r, 4, false);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.code, ERR_CONFLICT);
	wait_done(&r, 2);
	assert_int_equal(r.code, ERR_NONE);
	assert_string_equal(r.log, "+1-0-0 +2-0-0 +3-0-0 ");
	rig_close(&r);
}

static void what_qemu_refuses_is_told_with_what_was_reached(void **state)
{
	struct rig r;

	rig_open(&r, 4, 1, 1, false);
	str_copy(r.refuse, sizeof(r.refuse), "vcpu-2-0-0");
	ask(&r, 4, false);
	wait_done(&r, 1);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "no more memory"));
	assert_int_equal(cpus_sockets(r.cpus), 2);
	/* and can be tried again */
	r.refuse[0] = '\0';
	ask(&r, 4, false);
	wait_done(&r, 2);
	assert_int_equal(cpus_sockets(r.cpus), 4);
	rig_close(&r);
}

static void a_guest_that_ends_ends_the_request(void **state)
{
	struct rig r;

	rig_open(&r, 2, 1, 1, false);
	r.guest = DEAF;
	ask(&r, 2, false);
	for (int i = 0; cpus_sockets(r.cpus) < 2 && i < STEPS_MAX; i++)
		loop_step(r.loop, 10);
	cpus_set_qmp(r.cpus, NULL);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.code, ERR_UNAVAILABLE);
	ask(&r, 2, false);
	assert_int_equal(r.code, ERR_UNAVAILABLE);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus_are_added_in_ascending_order_and_whole_sockets),
		cmocka_unit_test(what_is_there_already_is_not_added_again),
		cmocka_unit_test(a_guest_that_says_nothing_is_not_waited_for_for_ever),
		cmocka_unit_test(what_can_not_be_is_refused_before_qemu_is_asked),
		cmocka_unit_test(cpus_go_highest_first_and_socket_0_stays),
		cmocka_unit_test(what_the_guest_keeps_it_keeps_whole),
		cmocka_unit_test(a_removal_that_completes_late_is_noticed),
		cmocka_unit_test(a_newer_request_takes_over),
		cmocka_unit_test(what_qemu_refuses_is_told_with_what_was_reached),
		cmocka_unit_test(a_guest_that_ends_ends_the_request),
	};

	return cmocka_run_group_tests_name("cpus", tests, NULL, NULL);
}
