/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards of a running guest: what QEMU is told in which order, and what is taken back. qemu.md 2.2, 8, 9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "kubevirt/launcher/launcher_impl.h"
#include "kubevirt/wire/client.h"
#include "qemu/fake_qmp.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS 200

/* A launcher whose guest runs, its QEMU, and somebody who talks to it. */
struct rig {
	struct loop *loop;
	struct launcher l;
	struct fake_qmp *fake;
	struct wire_client *client;
	char dir[64], *socket;
	char log[2048];         /* what QEMU was told */
	char refuse[64];        /* the command that fails */
	bool deaf;              /* a guest that lets nothing go */
	struct json_doc *added; /* the latest device */
	int replies, failures;
	enum err_code code;
};

static const char *qemu(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret)
{
	struct rig *r = arg;
	const char *what = json_get_str(args, "id");

	if (!strcmp(cmd, "query-status") || !strcmp(cmd, "qmp_capabilities"))
		return "{'status':'running'}";
	if (!what)
		what = json_get_str(args, "fdname");
	if (!what)
		what = json_get_str(args, "name");
	snprintf(r->log + strlen(r->log), sizeof(r->log) - strlen(r->log), "%s:%s ", cmd, what ? what : "");
	if (!strcmp(cmd, r->refuse)) {
		ret->error = "no";
		return NULL;
	}
	if (!strcmp(cmd, "device_add")) {
		json_doc_free(r->added);
		r->added = json_doc_from(args);
	}
	if (!strcmp(cmd, "device_del") && !r->deaf) {
		CLEANUP(mem_freep) char *data = str_printf("{'device':'%s','path':'/x'}", what);

		fake_qmp_event(r->fake, "DEVICE_DELETED", "{'path':'/x/virtio-backend'}");
		fake_qmp_event(r->fake, "DEVICE_DELETED", data);
	}
	return NULL;
}

static void on_ready(void *arg)
{
}

static void on_event(void *arg, const char *name, const struct json *data)
{
	struct rig *r = arg;

	if (!strcmp(name, "DEVICE_DELETED") && json_get_str(data, "device"))
		nic_device_deleted(&r->l, json_get_str(data, "device"));
}

static void on_closed(void *arg, const struct err *e)
{
}

static enum wire_phase phase(void *arg)
{
	return WIRE_PHASE_RUNNING;
}

static void on_verb(void *arg, enum wire_verb v, const struct json *args, struct wire_call *call)
{
	struct rig *r = arg;

	if (v == WIRE_plug_nic)
		nic_plug(&r->l, args, call);
	else if (v == WIRE_unplug_nic)
		nic_unplug(&r->l, args, call);
	else
		nic_set_link(&r->l, args, call);
}

static void nothing(void *arg)
{
}

static void on_reply(void *arg, const struct json *ok, const struct err *e)
{
	struct rig *r = arg;

	r->replies++;
	r->failures += e != NULL;
	r->code = e ? e->code : ERR_NONE;
}

static void steps(struct rig *r)
{
	for (int i = 0; i < STEPS; i++)
		loop_step(r->loop, 0);
}

static void rig_open(struct rig *r)
{
	static const struct qmp_ops ops = { .ready = on_ready, .event = on_event, .closed = on_closed };
	static const struct wire_server_ops wire = { .phase = phase, .verb = on_verb };
	static const struct wire_client_ops client = { 0 };
	CLEANUP(json_doc_freep)
	struct json_doc *vmi =
		json_lit("{'metadata':{'name':'v','uid':'u'},'spec':{'domain':{'memory':{'guest':'1Gi'},"
			 "'devices':{'interfaces':[{'name':'default','masquerade':{}}]}},'networks':["
			 "{'name':'default','pod':{}}]}}");
	int pair[2];
	struct err e;

	memset(r, 0, sizeof(*r));
	str_copy(r->dir, sizeof(r->dir), "/tmp/nic-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->socket = file_join(r->dir, "s");
	r->l.dir = r->dir;
	r->loop = r->l.loop = loop_new();
	r->l.push = loop_timer_new(r->loop, nothing, NULL);
	assert_int_equal(domain_from_vmi(json_root(vmi), NULL, &r->l.domain, &e), 0);
	r->l.ports = MEM_NEW(struct vm_ports);
	r->l.ports->n = PORT_FIRST_DISK + 1; /* one is free */
	for (int i = 0; i < PORT_FIRST_DISK; i++)
		r->l.ports->owner[i] = "fixed";
	r->l.booted = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	r->fake = fake_qmp_new(r->loop, pair[1], qemu, r);
	fake_qmp_greet(r->fake);
	r->l.qmp = qmp_new(r->loop, pair[0], 0, &ops, r);
	assert_int_equal(wire_server_new(r->loop, r->socket, &wire, r, &r->l.server, &e), 0);
	r->client = wire_client_new(r->loop, r->socket, &client, r, &e);
	assert_non_null(r->client);
	steps(r);
	r->log[0] = 0;
}

static void rig_close(struct rig *r)
{
	nic_end(&r->l);
	wire_client_free(r->client);
	wire_server_free(r->l.server);
	qmp_free(r->l.qmp);
	fake_qmp_free(r->fake);
	loop_timer_free(r->l.push);
	domain_free(r->l.domain);
	free(r->l.ports);
	json_doc_free(r->added);
	loop_free(r->loop);
	file_remove_tree(r->dir, NULL);
	free(r->socket);
}

/* Ends in `want`; QEMU was told log, from nothing. */
static void expect(struct rig *r, const char *log, enum err_code want)
{
	steps(r);
	assert_string_equal(r->log, log);
	assert_int_equal(r->code, want);
	r->log[0] = 0;
}

static void plug(struct rig *r, const char *name, const char *more, bool with_tap)
{
	CLEANUP(mem_freep)
	char *text = str_printf("{'interface':{'name':'%s','bridge':{}%s},'network':{'name':'%s','multus':{"
				"'networkName':'n'}},'mac':'02:00:00:00:00:01'}",
		name, more, name);
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	int fd = with_tap ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	wire_client_call_files(r->client, WIRE_plug_nic, json_root(d), &fd, with_tap, on_reply, r);
}

static void say(struct rig *r, enum wire_verb v, const char *args)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(args);

	wire_client_call(r->client, v, json_root(d), on_reply, r);
}

#define PLUGGED "getfd:net-red netdev_add:net-red device_add:nic-red "
#define GONE "device_del:nic-red netdev_del:net-red "

static void a_card_is_plugged_and_let_go(void **state)
{
	struct rig r;

	rig_open(&r);
	plug(&r, "red", "", true);
	expect(&r, PLUGGED, ERR_NONE);
	assert_string_equal(json_get_str(json_root(r.added), "mac"), "02:00:00:00:00:01");
	assert_string_equal(json_get_str(json_root(r.added), "bus"), "rp5");
	assert_int_equal(r.l.domain->n_nics, 2);
	plug(&r, "red", "", true); /* a handler that was restarted */
	expect(&r, "", ERR_NONE);
	plug(&r, "blue", "", true); /* 2.2: a port for each */
	expect(&r, "", ERR_UNAVAILABLE);
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	expect(&r, GONE, ERR_NONE);
	assert_int_equal(r.l.domain->n_nics, 1);
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	expect(&r, "", ERR_NONE);
	/* 16.37: again by the same name, on the same port */
	plug(&r, "red", ",'state':'down'", true);
	expect(&r, PLUGGED "set_link:nic-red ", ERR_NONE);
	assert_true(domain_nic_find(r.l.domain, "red")->down);
	rig_close(&r);
}

static void what_qemu_refuses_is_taken_back(void **state)
{
	struct rig r;

	rig_open(&r);
	plug(&r, "red", "", false);
	expect(&r, "", ERR_BAD_REQUEST);
	plug(&r, "red", ",'macAddress':'nonsense'", true);
	expect(&r, "", ERR_INVALID);
	str_copy(r.refuse, sizeof(r.refuse), "netdev_add");
	plug(&r, "red", "", true);
	expect(&r, "getfd:net-red netdev_add:net-red closefd:net-red ", ERR_INVALID);
	str_copy(r.refuse, sizeof(r.refuse), "device_add");
	plug(&r, "red", "", true);
	expect(&r, PLUGGED "netdev_del:net-red ", ERR_INVALID);
	assert_int_equal(r.l.domain->n_nics, 1);
	r.refuse[0] = 0;
	plug(&r, "red", "", true); /* its port is free again */
	expect(&r, PLUGGED, ERR_NONE);
	rig_close(&r);
}

/* qemu.md 8, 9: the backend and the port go only after DEVICE_DELETED, whenever that comes */
static void a_deaf_guest_keeps_its_card_until_it_lets_go(void **state)
{
	struct rig r;

	rig_open(&r);
	plug(&r, "red", "", true);
	expect(&r, PLUGGED, ERR_NONE);
	r.l.booted = false;
	r.l.started_wall = loop_wall_ms(r.loop);
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	expect(&r, "", ERR_CONFLICT); /* it would be lost */
	r.l.booted = r.deaf = true;
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	steps(&r);
	assert_string_equal(r.log, "device_del:nic-red ");
	assert_true(domain_nic_find(r.l.domain, "red")->leaving);
	r.log[0] = 0;
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	expect(&r, "", ERR_CONFLICT);
	say(&r, WIRE_set_link, "{'name':'red','state':'down'}");
	expect(&r, "", ERR_CONFLICT);
	plug(&r, "red", "", true);
	expect(&r, "", ERR_CONFLICT);
	r.code = ERR_INTERNAL;
	fake_qmp_event(r.fake, "DEVICE_DELETED", "{'device':'nic-red','path':'/x'}");
	expect(&r, "netdev_del:net-red ", ERR_NONE);
	assert_null(domain_nic_find(r.l.domain, "red"));
	rig_close(&r);
}

static void a_card_that_leaves_unasked_is_seen(void **state)
{
	struct rig r;

	rig_open(&r);
	plug(&r, "red", "", true);
	expect(&r, PLUGGED, ERR_NONE);
	fake_qmp_event(r.fake, "DEVICE_DELETED", "{'device':'nic-red','path':'/x'}");
	expect(&r, "netdev_del:net-red ", ERR_NONE);
	assert_int_equal(r.l.domain->n_nics, 1);
	rig_close(&r);
}

static void links_go_down_and_up(void **state)
{
	struct rig r;

	rig_open(&r);
	say(&r, WIRE_set_link, "{'name':'default','state':'down'}");
	expect(&r, "set_link:nic-default ", ERR_NONE);
	assert_true(r.l.domain->nics[0].down);
	say(&r, WIRE_set_link, "{'name':'default','state':'up'}");
	expect(&r, "set_link:nic-default ", ERR_NONE);
	assert_false(r.l.domain->nics[0].down);
	say(&r, WIRE_set_link, "{'name':'default','state':'sideways'}");
	expect(&r, "", ERR_BAD_REQUEST);
	say(&r, WIRE_set_link, "{'name':'ghost','state':'up'}");
	expect(&r, "", ERR_NOT_FOUND);
	say(&r, WIRE_unplug_nic, "{'name':'default'}");
	expect(&r, "", ERR_INVALID);
	rig_close(&r);
}

static void the_end_of_qemu_ends_what_runs(void **state)
{
	struct rig r;

	rig_open(&r);
	plug(&r, "red", "", true);
	expect(&r, PLUGGED, ERR_NONE);
	r.deaf = true;
	say(&r, WIRE_unplug_nic, "{'name':'red'}");
	steps(&r);
	nic_end(&r.l);
	steps(&r);
	assert_int_equal(r.code, ERR_UNAVAILABLE);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_is_plugged_and_let_go),
		cmocka_unit_test(what_qemu_refuses_is_taken_back),
		cmocka_unit_test(a_deaf_guest_keeps_its_card_until_it_lets_go),
		cmocka_unit_test(a_card_that_leaves_unasked_is_seen),
		cmocka_unit_test(links_go_down_and_up),
		cmocka_unit_test(the_end_of_qemu_ends_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
