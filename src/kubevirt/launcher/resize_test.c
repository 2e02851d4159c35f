/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/launcher/resize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"
#include "qemu/fake_qmp.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GI (1ull << 30)
#define MI (1ull << 20)
#define STEPS_MAX 200000

/* A QEMU whose guest follows, follows late, or not at all. */
struct rig {
	struct loop *loop;
	struct fake_qmp *fake;
	struct qmp *qmp;
	struct resize *resize;
	uint64_t requested, plugged, floor;        /* the guest never goes below floor */
	uint64_t second_requested, second_plugged; /* of the device that is added later */
	bool refuse_second;
	int objects, devices;
	struct vm_config config;
	int gets, gets_until_follow, sets, ready;
	uint64_t set_log[64];
	bool stuck;
	int done, complete, changed;
	enum err_code code;
	char text[256], answer[64];
};

static bool second(const struct json *args)
{
	return str_eq(json_get_str(args, "path"), "/machine/peripheral/vmem1");
}

static void told(struct rig *r, const struct json *args, struct fake_answer *ret)
{
	uint64_t value = json_u64(json_get(args, "value"));

	r->gets = 0;
	if (second(args))
		r->second_requested = value;
	else
		r->requested = value;
	r->set_log[r->sets++ % 64] = r->requested + r->second_requested;
	if (value % (2 * MI))
		ret->error = "'requested-size' has to be multiples of 'block-size' (0x200000)";
}

static const char *qemu(void *arg, const char *cmd, const struct json *args, struct fake_answer *ret)
{
	struct rig *r = arg;

	if (!strcmp(cmd, "qom-set")) {
		told(r, args, ret);
		return NULL;
	}
	if (!strcmp(cmd, "object-add"))
		r->objects++;
	if (!strcmp(cmd, "object-del"))
		r->objects--;
	if (!strcmp(cmd, "device_add") && r->refuse_second) {
		ret->error = "not enough space, currently 0x0 in use";
		return NULL;
	}
	if (!strcmp(cmd, "device_add"))
		r->devices++;
	if (strcmp(cmd, "qom-get") != 0)
		return NULL;
	if (!r->stuck && ++r->gets > r->gets_until_follow)
		r->plugged = r->requested > r->floor ? r->requested : r->floor;
	if (!r->stuck)
		r->second_plugged = r->second_requested;
	snprintf(r->answer, sizeof(r->answer), "%llu",
		(unsigned long long)(second(args) ? r->second_plugged : r->plugged));
	return r->answer;
}

static void on_ready(void *arg)
{
	((struct rig *)arg)->ready++;
}

static void on_closed(void *arg, const struct err *e)
{
	struct rig *r = arg;

	resize_set_qmp(r->resize, NULL);
	qmp_free(TAKE(r->qmp));
}

static void on_changed(void *arg)
{
	((struct rig *)arg)->changed++;
}

static void on_done(void *arg, bool complete, const struct err *e)
{
	struct rig *r = arg;

	r->done++;
	r->complete += complete;
	r->code = e ? e->code : ERR_NONE;
	str_copy(r->text, sizeof(r->text), e ? e->msg : "");
}

static void rig_open_as(struct rig *r, const struct resize_spec *spec)
{
	static const struct qmp_ops qops = { .ready = on_ready, .closed = on_closed };
	static const struct resize_ops rops = { on_changed };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	r->loop = loop_new();
	r->fake = fake_qmp_new(r->loop, pair[0], qemu, r);
	r->qmp = qmp_new(r->loop, pair[1], 0, &qops, r);
	r->resize = resize_new(r->loop, spec, &rops, r);
	fake_qmp_greet(r->fake);
	for (int i = 0; !r->ready && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	resize_set_qmp(r->resize, r->qmp);
}

static void rig_open(struct rig *r, uint64_t boot, uint64_t max)
{
	*r = (struct rig){ 0 };
	rig_open_as(
		r, &(struct resize_spec){ .base = boot, .boot = boot, .max = max, .block = VM_BLOCK_SIZE });
}

static void rig_close(struct rig *r)
{
	resize_free(r->resize);
	qmp_free(r->qmp);
	fake_qmp_free(r->fake);
	loop_free(r->loop);
}

static void wait_done(struct rig *r, int n)
{
	for (int i = 0; r->done < n && i < STEPS_MAX; i++)
		loop_step(r->loop, 10);
	assert_int_equal(r->done, n);
}

/* qemu.md 16.17 */
static void a_grow_is_confirmed_as_soon_as_the_guest_has_it(void **state)
{
	struct rig r;
	int64_t start;

	rig_open(&r, GI, 4 * GI);
	r.gets_until_follow = 5;
	start = time_mono_now();
	resize_request(r.resize, 2 * GI, on_done, &r);
	assert_true(resize_active(r.resize));
	wait_done(&r, 1);
	assert_in_range(time_mono_now() - start, 0, 250);
	assert_int_equal(r.complete, 1);
	assert_int_equal(r.sets, 1); /* in one go */
	assert_true(resize_current(r.resize) == 2 * GI && resize_requested(r.resize) == 2 * GI);
	assert_false(resize_active(r.resize));
	assert_string_equal(resize_error(r.resize), "");
	rig_close(&r);
}

static void a_shrink_goes_in_steps_of_a_quarter(void **state)
{
	struct rig r;

	rig_open(&r, GI, 4 * GI);
	resize_request(r.resize, 4 * GI, on_done, &r);
	wait_done(&r, 1);
	r.sets = 0;
	resize_request(r.resize, GI, on_done, &r);
	wait_done(&r, 2);
	assert_int_equal(r.complete, 2);
	assert_true(r.sets >= 4);
	for (int i = 0; i < r.sets; i++) {
		uint64_t before = GI + (i ? r.set_log[i - 1] : 3 * GI), after = GI + r.set_log[i];

		assert_true(before - after <= before / 4);
		assert_int_equal(r.set_log[i] % (2 * MI), 0);
	}
	assert_true(resize_current(r.resize) == GI);
	rig_close(&r);
}

/* qemu.md 16.18 and 16.22: nothing is sent */
static void requests_out_of_range_never_reach_qemu(void **state)
{
	static const struct {
		uint64_t wanted;
		const char *part;
	} bad[] = { { GI / 2, "restart" }, { 5 * GI, "maximum of 4096Mi" },
		{ 2 * GI + 4096, "multiple of 2Mi" } };
	struct rig r;

	rig_open(&r, GI, 4 * GI);
	for (int i = 0; i < 3; i++) {
		resize_request(r.resize, bad[i].wanted, on_done, &r);
		assert_int_equal(r.done, i + 1);
		assert_int_equal(r.code, ERR_INVALID);
		assert_non_null(strstr(r.text, bad[i].part));
	}
	resize_request(r.resize, 3 * GI, on_done, &r);
	wait_done(&r, 4);
	resize_set_stats(r.resize, &(struct guest_stats){ .total = 3000 * MI, .available = 1000 * MI });
	resize_request(r.resize, 2 * GI, on_done, &r);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "less than the 2000Mi the guest uses"));
	assert_int_equal(r.sets, 1);
	rig_close(&r);
}

static void without_room_only_what_is_there_already_is_fine(void **state)
{
	struct rig r;

	rig_open(&r, GI, GI);
	resize_request(r.resize, GI, on_done, &r);
	assert_int_equal(r.complete, 1);
	resize_request(r.resize, 2 * GI, on_done, &r);
	assert_int_equal(r.code, ERR_INVALID);
	assert_non_null(strstr(r.text, "no room"));
	assert_int_equal(r.sets, 0);
	rig_close(&r);
}

static void a_newer_request_takes_over(void **state)
{
	struct rig r;

	rig_open(&r, GI, 4 * GI);
	r.stuck = true;
	resize_request(r.resize, 2 * GI, on_done, &r);
	resize_request(r.resize, 3 * GI, on_done, &r);
	assert_int_equal(r.done, 1);
	assert_int_equal(r.code, ERR_CONFLICT);
	r.stuck = false;
	wait_done(&r, 2);
	assert_int_equal(r.complete, 1);
	assert_true(resize_current(r.resize) == 3 * GI);
	rig_close(&r);
}

/* qemu.md 16.19, 16.24: what the guest takes later is seen without a request */
static void late_plugging_is_followed(void **state)
{
	struct rig r;

	rig_open(&r, GI, 4 * GI);
	resize_request(r.resize, 2 * GI, on_done, &r);
	wait_done(&r, 1);
	r.stuck = true; /* the guest was reset: the device is empty until its driver is back */
	r.plugged = 0;
	resize_look(r.resize);
	for (int i = 0; resize_current(r.resize) != GI && i < 1000; i++)
		loop_step(r.loop, 5);
	assert_true(resize_current(r.resize) == GI);
	assert_true(resize_requested(r.resize) == 2 * GI);
	r.stuck = false;
	for (int i = 0; resize_current(r.resize) != 2 * GI && i < 1000; i++)
		loop_step(r.loop, 5);
	assert_true(resize_current(r.resize) == 2 * GI);
	rig_close(&r);
}

static void a_guest_that_ends_ends_the_request(void **state)
{
	struct rig r;

	rig_open(&r, GI, 4 * GI);
	r.stuck = true;
	resize_request(r.resize, 2 * GI, on_done, &r);
	for (int i = 0; i < 20; i++)
		loop_step(r.loop, 1);
	fake_qmp_free(TAKE(r.fake));
	wait_done(&r, 1);
	assert_int_equal(r.code, ERR_UNAVAILABLE);
	resize_request(r.resize, 2 * GI, on_done, &r);
	assert_int_equal(r.done, 2);
	assert_int_equal(r.code, ERR_UNAVAILABLE);
	rig_close(&r);
}

/* qemu.md 16.21: ends at the deadline, tells the real size, and stops squeezing */
static void a_shrink_that_does_not_finish_is_taken_back(void **state)
{
	struct rig r;
	int64_t start;

	rig_open(&r, GI, 4 * GI);
	resize_request(r.resize, 2 * GI, on_done, &r);
	wait_done(&r, 1);
	r.floor = 700 * MI;
	start = time_mono_now();
	resize_request(r.resize, GI, on_done, &r);
	wait_done(&r, 2);
	assert_in_range(time_mono_now() - start, RESIZE_DEADLINE_MS - 100, RESIZE_DEADLINE_MS + 1000);
	assert_int_equal(r.complete, 1);
	assert_int_equal(r.code, ERR_NONE);
	assert_true(resize_current(r.resize) == GI + 700 * MI);
	assert_true(r.requested == 700 * MI && resize_requested(r.resize) == GI + 700 * MI);
	assert_non_null(strstr(resize_error(r.resize), "did not follow"));
	rig_close(&r);
}

static void steps_are_pure_arithmetic(void **state)
{
	const struct resize_spec spec = { .base = GI, .boot = GI, .max = 64 * GI, .block = VM_BLOCK_SIZE };
	const struct resize_spec huge = { .base = GI, .boot = GI, .max = 64 * GI, .block = GI };

	assert_true(resize_next_step(&spec, 2 * GI, 3 * GI) == 3 * GI);
	assert_true(resize_next_step(&spec, 4 * GI, GI) == 3 * GI);
	assert_true(resize_next_step(&spec, 4 * GI, 3 * GI + 512 * MI) == 3 * GI + 512 * MI);
	assert_true((resize_next_step(&spec, 1234 * MI, GI) - GI) % (2 * MI) == 0);
	for (uint64_t at = 64 * GI; at > GI;) {
		uint64_t next = resize_next_step(&spec, at, GI);

		assert_true(next < at && next >= GI);
		at = next;
	}
	for (uint64_t at = 8 * GI; at > GI;) {
		uint64_t next = resize_next_step(&huge, at, GI);

		assert_true(next < at && next >= GI && next % GI == 0);
		at = next;
	}
}

/* rollout.md 7.6: the main memory is smaller than what the guest was started with */
static void a_guest_with_a_floor_shrinks_below_its_start(void **state)
{
	struct rig r = { .requested = GI, .plugged = GI };

	rig_open_as(&r,
		&(struct resize_spec){ .base = GI, .boot = 2 * GI, .max = 4 * GI, .block = VM_BLOCK_SIZE });
	assert_true(resize_requested(r.resize) == 2 * GI);
	resize_look(r.resize);
	for (int i = 0; resize_current(r.resize) != 2 * GI && i < 1000; i++)
		loop_step(r.loop, 5);
	assert_true(resize_current(r.resize) == 2 * GI);
	resize_request(r.resize, GI, on_done, &r);
	wait_done(&r, 1);
	assert_int_equal(r.complete, 1);
	assert_true(resize_current(r.resize) == GI);
	resize_request(r.resize, GI / 2, on_done, &r);
	assert_int_equal(r.code, ERR_INVALID);
	resize_request(r.resize, 4 * GI, on_done, &r);
	wait_done(&r, 3);
	assert_true(resize_current(r.resize) == 4 * GI);
	rig_close(&r);
}

static void open_with_room(struct rig *r)
{
	*r = (struct rig){ .config = { .memory = GI, .max_memory = 2 * GI, .room = 4 * GI } };
	rig_open_as(r, &(struct resize_spec){ .base = GI,
			       .boot = GI,
			       .max = 2 * GI,
			       .room = 4 * GI,
			       .block = VM_BLOCK_SIZE,
			       .config = &r->config });
}

/* rollout.md 7.7, 69: a second device when the first is not enough, once */
static void a_raised_maximum_brings_a_second_device(void **state)
{
	struct rig r;

	open_with_room(&r);
	resize_request(r.resize, 3 * GI, on_done, &r);
	assert_int_equal(r.code, ERR_INVALID); /* not before the maximum is raised */
	assert_true(resize_set_max(r.resize, 3 * GI) == 3 * GI);
	resize_request(r.resize, 2 * GI, on_done, &r);
	wait_done(&r, 2);
	assert_int_equal(r.devices, 0); /* the first has that */
	resize_request(r.resize, 3 * GI, on_done, &r);
	wait_done(&r, 3);
	assert_int_equal(r.complete, 2);
	assert_int_equal(r.objects, 1);
	assert_int_equal(r.devices, 1);
	assert_true(resize_current(r.resize) == 3 * GI);
	assert_true(r.requested == GI && r.second_requested == GI);
	assert_true(resize_set_max(r.resize, 100 * GI) == 4 * GI); /* all there is */
	resize_request(r.resize, 4 * GI, on_done, &r);
	wait_done(&r, 4);
	assert_int_equal(r.devices, 1);
	/* emptied in reverse */
	resize_request(r.resize, 3 * GI / 2, on_done, &r);
	wait_done(&r, 5);
	assert_true(r.requested == GI / 2 && r.second_requested == 0);
	assert_true(resize_current(r.resize) == 3 * GI / 2);
	assert_true(resize_set_max(r.resize, GI) == 3 * GI / 2); /* never below what is wanted */
	rig_close(&r);
}

/* 67: what QEMU refuses is said, and leaves nothing behind */
static void a_second_device_that_is_refused_leaves_nothing(void **state)
{
	struct rig r;

	open_with_room(&r);
	resize_set_max(r.resize, 4 * GI);
	r.refuse_second = true;
	resize_request(r.resize, 3 * GI, on_done, &r);
	wait_done(&r, 1);
	assert_int_equal(r.complete, 0);
	assert_non_null(strstr(r.text, "not enough space"));
	for (int i = 0; r.objects && i < 1000; i++)
		loop_step(r.loop, 5);
	assert_int_equal(r.objects, 0);
	assert_true(resize_current(r.resize) == GI);
	r.refuse_second = false;
	resize_request(r.resize, 3 * GI, on_done, &r);
	wait_done(&r, 2);
	assert_true(resize_current(r.resize) == 3 * GI);
	rig_close(&r);
}

/* A newer value while the second device is being plugged. */
static void a_newer_request_overtakes_the_second_device(void **state)
{
	struct rig r;

	open_with_room(&r);
	resize_set_max(r.resize, 4 * GI);
	resize_request(r.resize, 3 * GI, on_done, &r);
	resize_request(r.resize, 4 * GI, on_done, &r);
	assert_int_equal(r.code, ERR_CONFLICT);
	wait_done(&r, 2);
	assert_int_equal(r.complete, 1);
	assert_int_equal(r.devices, 1);
	assert_true(resize_current(r.resize) == 4 * GI);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_grow_is_confirmed_as_soon_as_the_guest_has_it),
		cmocka_unit_test(a_shrink_goes_in_steps_of_a_quarter),
		cmocka_unit_test(requests_out_of_range_never_reach_qemu),
		cmocka_unit_test(without_room_only_what_is_there_already_is_fine),
		cmocka_unit_test(a_newer_request_takes_over),
		cmocka_unit_test(late_plugging_is_followed),
		cmocka_unit_test(a_guest_that_ends_ends_the_request),
		cmocka_unit_test(a_shrink_that_does_not_finish_is_taken_back),
		cmocka_unit_test(steps_are_pure_arithmetic),
		cmocka_unit_test(a_guest_with_a_floor_shrinks_below_its_start),
		cmocka_unit_test(a_raised_maximum_brings_a_second_device),
		cmocka_unit_test(a_second_device_that_is_refused_leaves_nothing),
		cmocka_unit_test(a_newer_request_overtakes_the_second_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
