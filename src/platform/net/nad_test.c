/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/net/nad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"

static void both_forms_of_the_annotation_are_read(void **state)
{
	struct nad_request r[NAD_REQUESTS_MAX];
	struct err e;
	size_t n;

	assert_int_equal(nad_requests_parse("a, other/b@eth7", "default", r, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(r[0].ns, "default");
	assert_string_equal(r[0].name, "a");
	assert_string_equal(r[0].ifname, "net1");
	assert_string_equal(r[1].ns, "other");
	assert_string_equal(r[1].ifname, "eth7");
	nad_requests_done(r, n);
	assert_int_equal(nad_requests_parse("[{\"name\":\"x\",\"namespace\":\"y\",\"interface\":\"pod12\","
					    "\"mac\":\"02:00:00:00:00:01\"},{\"name\":\"z\"}]",
				 "default", r, &n, &e),
		0);
	assert_int_equal(n, 2);
	assert_string_equal(r[0].mac, "02:00:00:00:00:01");
	assert_string_equal(r[0].ifname, "pod12");
	assert_string_equal(r[1].ifname, "net2");
	assert_string_equal(r[1].ns, "default");
	nad_requests_done(r, n);
	assert_int_equal(nad_requests_parse(NULL, "default", r, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(nad_requests_parse("[]", "default", r, &n, &e), 0);
	assert_int_equal(n, 0);
}

static void refused_request(const char *text, const char *part)
{
	struct nad_request r[NAD_REQUESTS_MAX];
	struct err e;
	size_t n;

	assert_int_equal(nad_requests_parse(text, "default", r, &n, &e), -1);
	assert_int_equal(n, 0);
	if (!strstr(e.msg, part))
		fail_msg("%s: %s", text, e.msg);
}

static void a_bad_request_is_refused(void **state)
{
	refused_request("[{", "");
	refused_request("[{\"interface\":\"a\"}]", "no name");
	refused_request("a@eth0", "eth0");
	refused_request("a@a-name-that-is-too-long", "interface name");
	refused_request("a@x,b@x", "two networks");
	refused_request("[{\"name\":\"a\",\"mac\":\"nonsense\"}]", "MAC");
	refused_request("[{\"name\":\"a\",\"ips\":[\"10.0.0.1/8\"]}]", "addresses");
}

static void refused_config(const char *text, const char *part)
{
	struct net_link l = { .bridge = "kept" };
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	struct err e;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	assert_int_equal(nad_config_parse(copy, &l, &e), -1);
	if (!strstr(e.msg, part))
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(l.bridge, "kept");
}

static void only_bridges_are_served_and_the_rest_is_refused_by_name(void **state)
{
	struct net_link l = { 0 };
	struct err e;

	assert_int_equal(nad_config_parse("{\"cniVersion\":\"0.3.1\",\"type\":\"bridge\",\"mtu\":1300,"
					  "\"name\":\"new-fancy-net\"}",
				 &l, &e),
		0);
	assert_string_equal(l.bridge, NAD_DEFAULT_BRIDGE);
	assert_int_equal(l.mtu, 1300);
	assert_int_equal(nad_config_parse("{\"plugins\":[{\"type\":\"bridge\",\"bridge\":\"br1\",\"ipam\":{},"
					  "\"macspoofchk\":false}]}",
				 &l, &e),
		0);
	assert_string_equal(l.bridge, "br1");
	assert_int_equal(l.mtu, 0);
	refused_config("", "empty");
	refused_config("{", "spec.config");
	refused_config("{'type':'ptp'}", "\"ptp\"");
	refused_config("{'type':'bridge','bridge':'cor0'}", "pod network");
	refused_config("{'type':'bridge','vlan':7}", "VLAN");
	refused_config("{'type':'bridge','macspoofchk':true}", "macspoofchk");
	refused_config("{'type':'bridge','ipam':{'type':'host-local'}}", "host-local");
	refused_config("{'plugins':[{'type':'bridge'},{'type':'tuning'}]}", "chains");
}

static void a_made_address_is_local_and_always_the_same(void **state)
{
	char a[18], b[18];

	net_make_mac("u", "net1", a);
	net_make_mac("u", "net1", b);
	assert_string_equal(a, b);
	assert_true(str_starts(a, "02:") && strlen(a) == 17);
	net_make_mac("u", "net2", b);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_of_the_annotation_are_read),
		cmocka_unit_test(a_bad_request_is_refused),
		cmocka_unit_test(only_bridges_are_served_and_the_rest_is_refused_by_name),
		cmocka_unit_test(a_made_address_is_local_and_always_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
