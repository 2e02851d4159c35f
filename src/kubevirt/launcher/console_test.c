/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/console.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
	struct loop *loop;
	struct console *console;
	int guest;
};

static void make_pair(int *ours, int *theirs)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p), 0);
	*ours = p[0];
	*theirs = p[1];
}

static void rig_open(struct rig *r)
{
	int theirs;

	r->loop = loop_new();
	r->console = console_new(r->loop);
	make_pair(&r->guest, &theirs);
	console_attach(r->console, theirs);
}

static int add(struct rig *r, enum console_mode mode)
{
	int ours, theirs;

	make_pair(&ours, &theirs);
	console_add(r->console, theirs, mode, NULL);
	return ours;
}

static void rig_close(struct rig *r)
{
	console_free(r->console);
	close(r->guest);
	loop_free(r->loop);
}

static void spin(struct rig *r)
{
	for (int i = 0; i < 10; i++)
		loop_step(r->loop, 1);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void hears(struct rig *r, int fd, const char *want)
{
	char buf[256] = "";

	spin(r);
	if (recv(fd, buf, sizeof(buf) - 1, 0) < 0)
		buf[0] = '\0';
	assert_string_equal(buf, want);
}

static bool hung_up(struct rig *r, int fd)
{
	char c;

	spin(r);
	return recv(fd, &c, 1, 0) == 0;
}

/* qemu.md 16.16 */
static void two_clients_both_receive_and_type(void **state)
{
	struct rig r;
	int a, b;

	rig_open(&r);
	say(r.guest, "before anybody\n"); /* nothing old is replayed */
	spin(&r);
	a = add(&r, CONSOLE_SHARED);
	b = add(&r, CONSOLE_SHARED);
	say(r.guest, "login: ");
	hears(&r, a, "login: ");
	hears(&r, b, "login: ");
	say(a, "ro");
	hears(&r, r.guest, "ro");
	say(b, "ot\n");
	hears(&r, r.guest, "ot\n");
	close(a);
	close(b);
	spin(&r);
	assert_int_equal(console_clients(r.console), 0);
	rig_close(&r);
}

static void a_new_console_takes_over_but_leaves_listeners(void **state)
{
	struct rig r;
	int old, listener, fresh;

	rig_open(&r);
	old = add(&r, CONSOLE_TAKEOVER);
	listener = add(&r, CONSOLE_LISTEN);
	fresh = add(&r, CONSOLE_TAKEOVER);
	assert_true(hung_up(&r, old));
	say(r.guest, "x");
	hears(&r, listener, "x");
	hears(&r, fresh, "x");
	say(listener, "rm -rf /\n"); /* who listens can not type */
	hears(&r, r.guest, "");
	assert_int_equal(console_clients(r.console), 2);
	close(old);
	close(listener);
	close(fresh);
	rig_close(&r);
}

/* Nobody reads: the guest is slowed down, memory stays bounded, nothing is lost for the others. */
static void a_slow_client_holds_the_guest_back(void **state)
{
	struct rig r;
	char block[4096];
	size_t sent = 0, got = 0;
	int slow;

	memset(block, 'x', sizeof(block));
	rig_open(&r);
	slow = add(&r, CONSOLE_TAKEOVER);
	for (int idle = 0; idle < 50 && sent < (16 << 20);) {
		ssize_t n = send(r.guest, block, sizeof(block), MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		idle = n > 0 ? 0 : idle + 1;
		loop_step(r.loop, 0);
	}
	assert_true(sent < (4 << 20)); /* socket buffers and CONSOLE_HIGH, not 16 MiB */
	for (int i = 0; i < 100000 && got < sent; i++) {
		ssize_t n = recv(slow, block, sizeof(block), 0);

		if (n > 0)
			got += (size_t)n;
		loop_step(r.loop, 0);
	}
	assert_int_equal(got, sent);
	close(slow);
	rig_close(&r);
}

static void a_stuck_client_is_dropped(void **state)
{
	struct rig r;
	char block[65536];
	int stuck;

	memset(block, 'x', sizeof(block));
	rig_open(&r);
	stuck = add(&r, CONSOLE_LISTEN);
	for (int i = 0; i < 2000 && console_clients(r.console); i++) {
		(void)!send(r.guest, block, sizeof(block), MSG_NOSIGNAL);
		loop_step(r.loop, 5);
	}
	assert_int_equal(console_clients(r.console), 0);
	close(stuck);
	rig_close(&r);
}

static void the_guests_end_hangs_up(void **state)
{
	struct rig r;
	int a;

	rig_open(&r);
	a = add(&r, CONSOLE_TAKEOVER);
	say(r.guest, "bye");
	spin(&r);
	console_hang_up(r.console);
	hears(&r, a, "bye");
	assert_true(hung_up(&r, a));
	close(a);
	rig_close(&r);
}

static void modes_have_names(void **state)
{
	enum console_mode m;

	assert_true(console_mode_parse(NULL, &m) && m == CONSOLE_TAKEOVER);
	assert_true(console_mode_parse("listen", &m) && m == CONSOLE_LISTEN);
	assert_true(console_mode_parse("shared", &m) && m == CONSOLE_SHARED);
	assert_false(console_mode_parse("x", &m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_clients_both_receive_and_type),
		cmocka_unit_test(a_new_console_takes_over_but_leaves_listeners),
		cmocka_unit_test(a_slow_client_holds_the_guest_back),
		cmocka_unit_test(a_stuck_client_is_dropped),
		cmocka_unit_test(the_guests_end_hangs_up),
		cmocka_unit_test(modes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
