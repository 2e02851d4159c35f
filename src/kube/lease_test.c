/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/fake_api.h"

static const struct kind lease_kind = { .group = "coordination.k8s.io",
	.version = "v1",
	.kind = "Lease",
	.plural = "leases",
	.namespaced = true };

struct member {
	struct kube_client *client;
	struct lease *lease;
	int led, lost, released;
	bool free_when_lost;
};
struct fixture {
	struct loop *loop;
	struct fake_api *api;
	struct member a, b;
};

static void on_leading(void *arg)
{
	struct member *m = arg;

	m->led++;
}

static void on_lost(void *arg)
{
	struct member *m = arg;

	m->lost++;
	if (m->free_when_lost)
		lease_free(TAKE(m->lease));
}

static void on_released(void *arg)
{
	struct member *m = arg;

	m->released++;
	m->lease = NULL;
}

static void join(struct fixture *f, struct member *m, const char *name)
{
	static const struct lease_ops ops = { .leading = on_leading, .lost = on_lost };
	struct kube_transport t = fake_api_transport(f->api, name);

	m->client = kube_client_new_transport(f->loop, &t);
	m->lease = lease_new(m->client, "n", "boss", name, &ops, m);
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);

	f->loop = loop_new_sim(1700000000000);
	f->api = fake_api_new(f->loop);
	fake_api_add_kind(f->api, &lease_kind);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lease_free(f->a.lease);
	lease_free(f->b.lease);
	kube_client_free(f->a.client);
	kube_client_free(f->b.client);
	fake_api_free(f->api);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void run(struct fixture *f, int64_t ms)
{
	struct loop_timer *t = loop_timer_new(f->loop, stop, f->loop);

	loop_timer_set(t, ms);
	loop_run(f->loop);
	loop_timer_free(t);
}

static const char *spec(struct fixture *f, const char *pointer)
{
	const struct obj *o = fake_api_get(f->api, &lease_kind, "n/boss");
	const char *s = o ? json_at_str(obj_json(o), pointer) : NULL;

	return s ? s : "";
}

static int64_t number(struct fixture *f, const char *pointer)
{
	return json_i64(json_at(obj_json(fake_api_get(f->api, &lease_kind, "n/boss")), pointer));
}

static void one_leads_and_renews(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a, "a");
	run(f, 100);
	join(f, &f->b, "b");
	run(f, 60000);
	assert_true(lease_is_leader(f->a.lease));
	assert_false(lease_is_leader(f->b.lease));
	assert_int_equal(f->a.led, 1);
	assert_int_equal(f->a.lost + f->b.lost + f->b.led, 0);
	assert_string_equal(spec(f, "/spec/holderIdentity"), "a");
	assert_string_equal(spec(f, "/spec/acquireTime"), "2023-11-14T22:13:20.000000Z");
	assert_int_equal(number(f, "/spec/leaseDurationSeconds"), 15);
	assert_int_equal(number(f, "/spec/leaseTransitions"), 0);
	assert_in_range(fake_api_writes(f->api), 15, 17); /* every 4 s */
}

static void a_released_lease_is_taken_at_once(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a, "a");
	run(f, 100);
	join(f, &f->b, "b");
	run(f, 5000);
	lease_release(f->a.lease, on_released, &f->a);
	run(f, 100);
	assert_int_equal(f->a.released, 1);
	assert_int_equal(f->a.lost, 0);
	assert_true(lease_is_leader(f->b.lease));
	assert_string_equal(spec(f, "/spec/holderIdentity"), "b");
	assert_int_equal(number(f, "/spec/leaseTransitions"), 1);
}

/* The renewal that is under way when the stop comes does not spoil giving back. */
static void release_waits_for_the_renewal_under_way(void **state)
{
	struct fixture *f = *state;

	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .latency_max_ms = 400 });
	join(f, &f->a, "a");
	for (int i = 0; i < 40; i++) {
		run(f, 3000 + i * 50);
		assert_true(lease_is_leader(f->a.lease));
		lease_release(f->a.lease, on_released, &f->a);
		run(f, 2000);
		assert_int_equal(f->a.released, i + 1);
		assert_string_equal(spec(f, "/spec/holderIdentity"), "");
		assert_int_equal(number(f, "/spec/leaseDurationSeconds"), 1);
		kube_client_free(f->a.client);
		join(f, &f->a, "a");
	}
}

static void a_dead_leader_is_followed_after_its_time(void **state)
{
	struct fixture *f = *state;

	join(f, &f->a, "a");
	run(f, 100);
	join(f, &f->b, "b");
	run(f, 5000);
	fake_api_disconnect(f->api, "a");
	lease_free(TAKE(f->a.lease));
	run(f, 12000);
	assert_false(lease_is_leader(f->b.lease));
	run(f, 4000);
	assert_true(lease_is_leader(f->b.lease));
}

static void a_leader_that_can_not_renew_says_so_before_another_leads(void **state)
{
	struct fixture *f = *state;

	f->a.free_when_lost = true;
	join(f, &f->a, "a");
	run(f, 5500); /* just renewed */
	fake_api_faults(f->api, &(struct fake_faults){ .seed = 1, .fail_request = 1000 });
	run(f, 7000);
	assert_int_equal(f->a.lost, 0);
	run(f, 6000);
	assert_int_equal(f->a.lost, 1);
	assert_null(f->a.lease);
}

static void a_lease_taken_by_force_is_lost(void **state)
{
	struct fixture *f = *state;
	struct json_doc *d;

	f->a.free_when_lost = true;
	join(f, &f->a, "a");
	run(f, 5000);
	d = obj_draft(fake_api_get(f->api, &lease_kind, "n/boss"));
	json_put_str(d, json_root(d), "/spec/holderIdentity", "thief");
	fake_api_put(f->api, &lease_kind, d);
	run(f, 100);
	assert_int_equal(f->a.lost, 1);
	assert_string_equal(spec(f, "/spec/holderIdentity"), "thief");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_leads_and_renews, setup, teardown),
		cmocka_unit_test_setup_teardown(a_released_lease_is_taken_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(release_waits_for_the_renewal_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_leader_is_followed_after_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_leader_that_can_not_renew_says_so_before_another_leads, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lease_taken_by_force_is_lost, setup, teardown),
	};

	log_set_level(LOG_ERROR); /* failures are made on purpose */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
