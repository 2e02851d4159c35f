/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of a running guest, from the descriptor that comes to what QEMU is told: qemu.md 8, 16.31 to 16.36. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "kubevirt/launcher/attach.h"
#include "kubevirt/launcher/launcher_impl.h"
#include "kubevirt/launcher/place.h"
#include "kubevirt/wire/client.h"
#include "qemu/fake_qmp.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define STEPS 200

/* A launcher whose guest runs, its QEMU, and somebody who talks to it. */
struct rig {
	struct loop *loop;
	struct launcher l;
	struct fake_qmp *fake;
	struct wire_client *client, *pod;
	char dir[64], *socket;
	char log[2048];         /* what QEMU was told, but for what never changes */
	char refuse[64];        /* the command that fails */
	bool deaf;              /* a guest that lets nothing go */
	struct json_doc *added; /* the latest blockdev or device */
	struct json_doc *node;  /* the latest blockdev of a file */
	int replies, failures;
};

static const char *qemu(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret)
{
	struct rig *r = arg;
	const char *what = json_get_str(args, "node-name");

	if (!strcmp(cmd, "query-status") || !strcmp(cmd, "qmp_capabilities"))
		return "{'status':'running'}";
	if (!what)
		what = json_get_str(args, "id");
	snprintf(r->log + strlen(r->log), sizeof(r->log) - strlen(r->log), "%s%s%s ", cmd, what ? ":" : "",
		what ? what : "");
	if (!strcmp(cmd, r->refuse)) {
		ret->error = "no";
		return NULL;
	}
	if (!strcmp(cmd, "blockdev-add") && strstr(what, ".file")) {
		json_doc_free(r->node);
		r->node = json_doc_from(args);
	}
	if (!strcmp(cmd, "device_add") || (!strcmp(cmd, "blockdev-add") && strstr(what, ".file"))) {
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
	const char *id = json_get_str(data, "device");

	if (!strcmp(name, "DEVICE_DELETED") && id)
		plug_device_deleted(&r->l, id);
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

	if (v == WIRE_offer_disk)
		plug_offer(&r->l, args, call);
	else if (v == WIRE_plug_disk)
		plug_plug(&r->l, args, call);
	else
		plug_unplug(&r->l, args, call);
}

static void nothing(void *arg)
{
}

static void on_reply(void *arg, const struct json *ok, const struct err *e)
{
	struct rig *r = arg;

	r->replies++;
	r->failures += e != NULL;
}

/* Each round carries a message one way; a plug is a dozen of them. */
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
	struct json_doc *vmi = json_lit(
		"{'metadata':{'name':'v','uid':'u'},'spec':{'domain':{'memory':{'guest':'1Gi'},'devices':{'"
		"disks':["
		"{'name':'root','disk':{'bus':'scsi'}},{'name':'cd','cdrom':{'bus':'scsi'}}]}},'volumes':["
		"{'name':'root','containerDisk':{'image':'i'}}]}}");
	int pair[2];
	struct err e;

	memset(r, 0, sizeof(*r));
	str_copy(r->dir, sizeof(r->dir), "/tmp/plug-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->socket = file_join(r->dir, "s");
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
	plug_end(&r->l);
	wire_client_free(r->client);
	wire_client_free(r->pod);
	wire_server_free(r->l.server);
	qmp_free(r->l.qmp);
	fake_qmp_free(r->fake);
	loop_timer_free(r->l.push);
	domain_free(r->l.domain);
	free(r->l.ports);
	json_doc_free(r->added);
	json_doc_free(r->node);
	loop_free(r->loop);
	file_remove_tree(r->dir, NULL);
	free(r->socket);
}

static void offer(struct rig *r, const char *id, int flags)
{
	static const struct wire_client_ops client = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	CLEANUP(mem_freep) char *path = file_join(r->dir, id);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(fd, MIB), 0);
	close(fd);
	fd = open(path, flags | O_CLOEXEC);
	json_set_str(d, json_root(d), "id", id);
	wire_client_free(r->pod); /* each has a connection of its own */
	r->pod = wire_client_new(r->loop, r->socket, &client, r, NULL);
	wire_client_call_files(r->pod, WIRE_offer_disk, json_root(d), &fd, 1, on_reply, r);
	steps(r);
}

static void plug(struct rig *r, const char *id, const char *disk)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}"), *k = json_lit(disk);

	json_set_str(d, json_root(d), "id", id);
	json_set_copy(d, json_root(d), "disk", json_root(k));
	wire_client_call(r->client, WIRE_plug_disk, json_root(d), on_reply, r);
	steps(r);
}

static void unplug(struct rig *r, const char *id)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");

	json_set_str(d, json_root(d), "id", id);
	wire_client_call(r->client, WIRE_unplug_disk, json_root(d), on_reply, r);
	steps(r);
}

/* "id:phase:target:error ..." as in STATE */
static const char *volumes(struct rig *r, char text[512])
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	size_t n = 0;

	plug_state(&r->l, d, json_root(d));
	text[0] = 0;
	JSON_EACH (it, json_get(json_root(d), "volumes"))
		n += (size_t)snprintf(text + n, 512 - n, "%s:%s:%s:%s ", json_get_str(it.val, "id"),
			json_get_str(it.val, "phase"), json_str_or(json_get(it.val, "target"), ""),
			json_get_str(it.val, "error"));
	return text;
}

#define SCSI "{'name':'a','serial':'S-1','disk':{'bus':'scsi'}}"
#define VIRTIO "{'name':'b','disk':{'bus':'virtio'}}"
#define DISC "{'name':'cd','cdrom':{'bus':'scsi'}}"

static void a_disk_is_plugged_and_let_go(void **state)
{
	char text[512];
	struct rig r;

	rig_open(&r);
	plug(&r, "p1", SCSI);
	assert_int_equal(r.failures, 1); /* not offered */
	offer(&r, "p1", O_RDWR);
	assert_string_equal(volumes(&r, text), "p1:offered:: ");
	plug(&r, "p1", SCSI);
	assert_string_equal(
		r.log, "add-fd blockdev-add:d-a.file blockdev-add:d-a remove-fd device_add:disk-a ");
	assert_string_equal(volumes(&r, text), "p1:ready:sdb: ");
	assert_string_equal(json_get_str(json_root(r.added), "serial"), "S-1");
	assert_int_equal(
		json_i64(json_get(json_root(r.added), "lun")), 2); /* behind the disk and the drive */
	r.log[0] = 0;
	plug(&r, "p1", SCSI);
	offer(&r, "p1", O_RDWR);
	assert_string_equal(r.log, ""); /* repeating changes nothing */
	unplug(&r, "p1");
	assert_string_equal(r.log, "device_del:disk-a blockdev-del:d-a blockdev-del:d-a.file ");
	assert_string_equal(volumes(&r, text), "");
	unplug(&r, "p1");
	assert_int_equal(r.failures, 1);
	rig_close(&r);
}

/* As for disks of the start: past the host's page cache where its file system can do that. */
static void how_it_is_cached_is_minded(void **state)
{
	static const struct {
		const char *cache, *write_cache;
		bool direct;
	} rows[] = { { "none", "on", true }, { "directsync", "off", true }, { "writethrough", "off", false },
		{ "writeback", "on", false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(mem_freep)
		char *disk = str_printf("{'name':'a','cache':'%s','disk':{'bus':'scsi'}}", rows[i].cache);
		CLEANUP(mem_freep) char *path = NULL;
		CLEANUP(fd_closep) int probe = -1;
		struct rig r;

		rig_open(&r);
		offer(&r, "p1", O_RDWR);
		path = file_join(r.dir, "p1");
		probe = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
		plug(&r, "p1", disk);
		assert_int_equal(
			json_bool(json_at(json_root(r.node), "/cache/direct")), rows[i].direct && probe >= 0);
		assert_string_equal(json_get_str(json_root(r.added), "write-cache"),
			rows[i].direct && probe < 0 ? "off" : rows[i].write_cache);
		rig_close(&r);
	}
}

/* qemu.md 16.34: nodes go only after DEVICE_DELETED, and the port with them */
static void a_guest_that_keeps_it_is_waited_for(void **state)
{
	char text[512];
	struct rig r;

	rig_open(&r);
	offer(&r, "p1", O_RDWR);
	plug(&r, "p1", VIRTIO);
	assert_string_equal(json_get_str(json_root(r.added), "bus"), "rp5");
	r.deaf = true;
	r.log[0] = 0;
	unplug(&r, "p1");
	assert_string_equal(r.log, "device_del:disk-b ");
	assert_string_equal(volumes(&r, text), "p1:unplugging:: ");
	/* 16.32: its port is taken as long */
	offer(&r, "p2", O_RDWR);
	plug(&r, "p2", "{'name':'c','disk':{'bus':'virtio'}}");
	assert_non_null(strstr(volumes(&r, text), "no free PCIe port"));
	fake_qmp_event(r.fake, "DEVICE_DELETED", "{'device':'disk-b','path':'/x'}");
	steps(&r);
	assert_null(strstr(volumes(&r, text), "p1"));
	plug(&r, "p2", "{'name':'c','disk':{'bus':'virtio'}}");
	assert_non_null(strstr(volumes(&r, text), "p2:ready:vda"));
	rig_close(&r);
}

/* 16.33: a guest that does not listen yet is not asked; one that may be asked later is */
static void an_unplug_waits_for_the_guest_to_boot(void **state)
{
	char text[512];
	struct rig r;

	rig_open(&r);
	r.l.booted = false;
	r.l.started_wall = loop_wall_ms(r.loop);
	offer(&r, "p1", O_RDWR);
	plug(&r, "p1", VIRTIO);
	r.log[0] = 0;
	unplug(&r, "p1");
	assert_string_equal(r.log, "");
	assert_string_equal(volumes(&r, text), "p1:unplugging:: ");
	r.l.booted = true;
	for (int i = 0; i < 1000 && *volumes(&r, text); i++)
		loop_step(r.loop, 10);
	assert_string_equal(text, "");
	rig_close(&r);
}

static void a_refused_step_is_taken_back(void **state)
{
	static const struct {
		const char *refuse, *log;
	} rows[] = {
		{ "device_add", "add-fd blockdev-add:d-b.file blockdev-add:d-b remove-fd device_add:disk-b "
				"blockdev-del:d-b blockdev-del:d-b.file " },
		{ "blockdev-add",
			"add-fd blockdev-add:d-b.file blockdev-add:d-b remove-fd blockdev-del:d-b.file " },
		{ "add-fd", "add-fd " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512];
		struct rig r;

		rig_open(&r);
		str_copy(r.refuse, sizeof(r.refuse), rows[i].refuse);
		offer(&r, "p1", O_RDWR);
		plug(&r, "p1", VIRTIO);
		assert_string_equal(r.log, rows[i].log);
		assert_true(str_starts(volumes(&r, text), "p1:offered::"));
		assert_non_null(strstr(text, rows[i].refuse));
		/* nothing is left that would be in the way, its port neither */
		r.refuse[0] = 0;
		plug(&r, "p1", VIRTIO);
		assert_string_equal(volumes(&r, text), "p1:ready:vda: ");
		rig_close(&r);
	}
}

/* 16.36 */
static void a_disc_goes_into_the_drive_and_out(void **state)
{
	char text[512];
	struct rig r;

	rig_open(&r);
	offer(&r, "p1", O_RDWR);
	plug(&r, "p1", DISC);
	assert_string_equal(r.log,
		"add-fd blockdev-add:d-cd.file blockdev-add:d-cd remove-fd blockdev-open-tray:disk-cd "
		"blockdev-insert-medium:d-cd blockdev-close-tray:disk-cd ");
	/* a descriptor that can be written is all there is; the disc is read-only above it */
	assert_null(json_get(json_root(r.added), "read-only"));
	assert_string_equal(volumes(&r, text), "p1:ready:sr0: ");
	/* one at a time */
	offer(&r, "p2", O_RDONLY);
	plug(&r, "p2", DISC);
	assert_non_null(strstr(volumes(&r, text), "is there still"));
	r.log[0] = 0;
	unplug(&r, "p1");
	assert_string_equal(r.log, "blockdev-open-tray:disk-cd blockdev-remove-medium:disk-cd "
				   "blockdev-close-tray:disk-cd blockdev-del:d-cd blockdev-del:d-cd.file ");
	plug(&r, "p2", DISC);
	assert_true(json_bool(json_get(json_root(r.added), "read-only")));
	rig_close(&r);
}

static void what_has_no_place_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *disk, *part;
	} rows[] = {
		{ "{'name':'root','disk':{'bus':'scsi'}}", "since the start" },
		{ "{'name':'x','disk':{'bus':'sata'}}", "sata" },
		{ "{'name':'x','cdrom':{'bus':'scsi'}}", "drives can not be plugged" },
		{ "{'name':'x','lun':{'bus':'scsi'}}", "lun" },
	};
	char text[512];
	struct rig r;

	rig_open(&r);
	offer(&r, "p1", O_RDWR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		plug(&r, "p1", rows[i].disk);
		assert_non_null(strstr(volumes(&r, text), rows[i].part));
	}
	assert_string_equal(r.log, "");
	assert_int_equal(r.failures, ARRAY_LEN(rows));
	rig_close(&r);
}

/* ---- attachment pods ---- */
static void *attach(void *arg)
{
	CLEANUP(fd_closep) int conn = -1;
	static struct err e;

	return attach_offer(arg, &conn, &e) < 0 ? &e : NULL;
}

static void *attach_on(void *arg)
{
	return attach_run(arg) ? arg : NULL;
}

static void an_attachment_pod_makes_and_offers_the_disk(void **state)
{
	char text[512];
	struct rig r;
	pthread_t thread;
	void *failed = NULL;
	struct stat st;

	rig_open(&r);
	CLEANUP(mem_freep) char *file = file_join(r.dir, "disk.img");
	struct attach_spec s = {
		.socket = r.socket, .id = "hp-1", .file = file, .size = 3 * MIB + 7, .uid = (int)getuid()
	};
	assert_int_equal(pthread_create(&thread, NULL, attach, &s), 0);
	for (int i = 0; i < 1000 && !*volumes(&r, text); i++)
		loop_step(r.loop, 10);
	steps(&r);
	pthread_join(thread, &failed);
	assert_null(failed);
	assert_string_equal(text, "hp-1:offered:: ");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 3 * MIB);
	rig_close(&r);
}

/* Given up and wanted again at once, a volume has the same pod: it must not wait for another one. */
static void a_disk_that_was_sent_away_is_offered_again(void **state)
{
	char text[512];
	struct rig r;
	pthread_t thread;
	void *failed = NULL;
	sigset_t end;

	rig_open(&r);
	CLEANUP(mem_freep) char *file = file_join(r.dir, "disk.img");
	struct attach_spec s = {
		.socket = r.socket, .id = "hp-1", .file = file, .size = 3 * MIB, .uid = (int)getuid()
	};
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, NULL); /* for the thread alone */
	assert_int_equal(pthread_create(&thread, NULL, attach_on, &s), 0);
	for (int i = 0; i < 1000 && !*volumes(&r, text); i++)
		loop_step(r.loop, 10);
	unplug(&r, "hp-1");
	assert_string_equal(volumes(&r, text), "");
	for (int i = 0; i < 1000 && !*volumes(&r, text); i++)
		loop_step(r.loop, 10);
	assert_string_equal(text, "hp-1:offered:: ");
	plug(&r, "hp-1", SCSI);
	assert_string_equal(volumes(&r, text), "hp-1:ready:sdb: ");
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, &failed);
	assert_null(failed);
	rig_close(&r);
}

/* ---- images ---- */
static void an_image_fits_or_is_refused(void **state)
{
	uint64_t size = 0;
	struct err e;

	assert_int_equal(place_size(100 * MIB, 200 * MIB, &size, &e), 0);
	assert_true(size == 100 * MIB);
	/* kubevirt-api.md 9: a tenth less is tolerated */
	assert_int_equal(place_size(100 * MIB, 95 * MIB, &size, &e), 0);
	assert_true(size == 94 * MIB);
	assert_int_equal(place_size(100 * MIB, 80 * MIB, &size, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(place_size(1000, 80 * MIB, &size, &e), -1);
}

static void an_image_that_is_there_stays_and_links_are_not_followed(void **state)
{
	char dir[] = "/tmp/plug-test-XXXXXX";
	struct stat st;
	struct err e;

	assert_non_null(mkdtemp(dir));
	CLEANUP(mem_freep) char *file = file_join(dir, "disk.img"), *link = file_join(dir, "link");
	assert_int_equal(place_disk(file, 0, (int)getuid(), &e), -1);
	assert_int_equal(place_disk(file, 2 * MIB, (int)getuid(), &e), 0);
	assert_int_equal(place_disk(file, 5 * MIB, (int)getuid(), &e), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	assert_int_equal(symlink(file, link), 0);
	assert_int_equal(place_disk(link, 2 * MIB, (int)getuid(), &e), -1);
	file_remove_tree(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_is_plugged_and_let_go),
		cmocka_unit_test(how_it_is_cached_is_minded),
		cmocka_unit_test(a_guest_that_keeps_it_is_waited_for),
		cmocka_unit_test(an_unplug_waits_for_the_guest_to_boot),
		cmocka_unit_test(a_refused_step_is_taken_back),
		cmocka_unit_test(a_disc_goes_into_the_drive_and_out),
		cmocka_unit_test(what_has_no_place_is_refused_with_a_reason),
		cmocka_unit_test(an_attachment_pod_makes_and_offers_the_disk),
		cmocka_unit_test(a_disk_that_was_sent_away_is_offered_again),
		cmocka_unit_test(an_image_fits_or_is_refused),
		cmocka_unit_test(an_image_that_is_there_stays_and_links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
