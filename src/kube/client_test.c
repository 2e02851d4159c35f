/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a true HTTPS server, whose answers each test writes itself. */
#include "kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/time.h"
#include "kube/cache.h"

static const struct kind widget = { .group = "demo.io",
	.version = "v1",
	.kind = "Widget",
	.plural = "widgets",
	.namespaced = true,
	.has_status = true };

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct key_pair kp; /* the server's */
	struct kube_config config;
	struct kube_client *client;
	struct str log; /* "METHOD path [body]\n" of each request */
	char *auth;
	struct http_req *watch;
	/* what a list or watch brought */
	struct str got;
	struct kube_call *call;
	int ended;
	struct err e;
};

static void reply(struct http_req *r, int status, const char *single_quoted)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(single_quoted);
	CLEANUP(mem_freep) char *text = json_write(json_root(d), NULL);

	http_req_reply(r, status, "application/json", text, strlen(text));
}

static void watch_gone(void *arg)
{
	struct fixture *f = arg;

	f->watch = NULL;
}

static void list_pages(struct http_req *r)
{
	const char *token = http_req_query(r, "continue");

	if (!token)
		reply(r, 200,
			"{'kind':'WidgetList','metadata':{'resourceVersion':'7','continue':'p 2'},"
			"'items':[{'metadata':{'name':'a','namespace':'n','resourceVersion':'5'}}]}");
	else
		reply(r, 200,
			str_eq(token, "p 2") ? "{'metadata':{'resourceVersion':'7'},'items':[{'metadata':"
					       "{'name':'b','namespace':'n','resourceVersion':'6'}}]}"
					     : "{'metadata':{},'items':[]}");
}

static void serve(void *arg, struct http_req *r)
{
	struct fixture *f = arg;
	const char *path = http_req_path(r), *auth = http_req_header(r, "Authorization");
	size_t len;
	const char *body = http_req_body(r, &len);

	str_addf(&f->log, "%s %s %.*s\n", http_req_method(r), http_req_raw_path(r), (int)len,
		body ? body : "");
	free(f->auth);
	f->auth = mem_strdup(auth ? auth : "");
	if (str_eq(http_req_query(r, "watch"), "true")) {
		f->watch = r;
		http_req_on_abort(r, watch_gone, f);
		http_req_stream(r, 200, "application/json");
	} else if (str_ends(path, "/widgets") && str_eq(http_req_method(r), "GET")) {
		list_pages(r);
	} else if (str_ends(path, "/missing")) {
		reply(r, 404,
			"{'kind':'Status','status':'Failure','message':'widgets.demo.io \\'missing\\' not "
			"found',"
			"'reason':'NotFound','code':404}");
	} else if (str_ends(path, "/html")) {
		http_req_reply(r, 502, "text/html", "<h1>bad gateway</h1>", 20);
	} else if (str_ends(path, "/never")) {
		http_req_kill(r);
	} else if (str_eq(http_req_method(r), "DELETE")) {
		reply(r, 200, "{'kind':'Status','status':'Success'}");
	} else {
		reply(r, 200,
			"{'kind':'Widget','metadata':{'name':'x','namespace':'n','resourceVersion':'9'}}");
	}
}

static void start_server(struct fixture *f, int port)
{
	struct tls_server_spec tls_spec = { .cert_pem = f->kp.cert_pem, .key_pem = f->kp.key_pem };
	struct http_server_spec spec = { .handler = serve, .arg = f };
	struct err e;

	spec.tls = tls_server_new(&tls_spec, &e);
	assert_non_null(spec.tls);
	f->server = http_server_new(f->loop, &spec);
	assert_int_equal(http_server_listen(f->server, "127.0.0.1", port, &f->config.port, &e), 0);
	tls_unref(spec.tls);
}

static void make_server(struct fixture *f)
{
	int64_t now = time_wall_now();
	struct cert_spec spec = { .common_name = "test",
		.ip_addrs = (const char *const[]){ "127.0.0.1", NULL },
		.server = true,
		.not_before_ms = now - 60000,
		.not_after_ms = now + 3600000 };
	struct err e;

	assert_int_equal(cert_make(&spec, NULL, &f->kp, &e), 0);
	f->config.ca_pem = mem_strdup(f->kp.cert_pem);
	start_server(f, 0);
}

static int setup(void **state)
{
	struct fixture *f = MEM_NEW(struct fixture);
	struct err e;

	f->loop = loop_new();
	f->config.host = mem_strdup("127.0.0.1");
	make_server(f);
	f->client = kube_client_new(f->loop, &f->config, &e);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kube_client_free(f->client);
	for (int i = 0; i < 5; i++)
		loop_step(f->loop, 1);
	http_server_free(f->server);
	for (int i = 0; i < 5; i++)
		loop_step(f->loop, 1);
	loop_free(f->loop);
	kube_config_done(&f->config);
	key_pair_done(&f->kp);
	str_done(&f->log);
	str_done(&f->got);
	free(f->auth);
	free(f);
	return 0;
}

/* Runs the loop until the condition holds; a test that hangs fails after 5 s. */
#define UNTIL(f, cond)                                    \
	do {                                              \
		int64_t end_ = time_mono_now() + 5000;    \
		while (!(cond) && time_mono_now() < end_) \
			loop_step((f)->loop, 20);         \
		assert_true(cond);                        \
	} while (0)

static void verbs_send_what_the_api_expects(void **state)
{
	struct fixture *f = *state;
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{'a':1}");
	CLEANUP(obj_unrefp) struct obj *o = NULL;
	struct err e = { 0 };

	assert_int_equal(kube_get_wait(f->client, &widget, "n", "x", &o, &e), 0);
	assert_int_equal(obj_rv(o), 9);
	assert_string_equal(obj_key(o), "n/x");
	assert_int_equal(kube_create_wait(f->client, &widget, "n", json_root(d), NULL, &e), 0);
	kube_client_set_manager(f->client, "me");
	assert_int_equal(kube_patch_wait(f->client, &widget, "n", "x", "status", KUBE_PATCH_MERGE,
				 json_root(d), NULL, &e),
		0);
	assert_int_equal(
		kube_patch_wait(f->client, &widget, "n", "x", NULL, KUBE_PATCH_APPLY, json_root(d), NULL, &e),
		0);
	assert_int_equal(kube_delete_wait(f->client, &widget, "n", "x", NULL, &e), 0);
	assert_string_equal(str_cstr(&f->log),
		"GET /apis/demo.io/v1/namespaces/n/widgets/x \n"
		"POST /apis/demo.io/v1/namespaces/n/widgets {\"a\":1}\n"
		"PATCH /apis/demo.io/v1/namespaces/n/widgets/x/status?fieldManager=me {\"a\":1}\n"
		"PATCH /apis/demo.io/v1/namespaces/n/widgets/x?fieldManager=me&force=true {\"a\":1}\n"
		"DELETE /apis/demo.io/v1/namespaces/n/widgets/x \n");
}

static void errors_keep_the_servers_words(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	assert_int_equal(kube_get_wait(f->client, &widget, "n", "missing", NULL, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "not found"));
	assert_int_equal(kube_get_wait(f->client, &widget, "n", "html", NULL, &e), -1);
	assert_true(e.code != ERR_NONE && err_retry(e.code) == RETRY_BACK_OFF);
	assert_non_null(strstr(e.msg, "bad gateway"));
	assert_int_equal(kube_get_wait(f->client, &widget, "n", "never", NULL, &e), -1);
	assert_int_equal(e.code, ERR_UNREACHABLE);
}

static void an_unknown_certificate_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kube_config c = f->config;
	struct fixture other = { .loop = f->loop };
	struct kube_client *client;
	struct err e = { 0 };

	make_server(&other); /* another CA of the same name */
	c.port = other.config.port;
	client = kube_client_new(f->loop, &c, &e);
	assert_int_equal(kube_get_wait(client, &widget, "n", "x", NULL, &e), -1);
	assert_int_equal(e.code, ERR_UNREACHABLE);
	kube_client_free(client);
	http_server_free(other.server);
	kube_config_done(&other.config);
	key_pair_done(&other.kp);
	str_done(&other.log);
}

static void a_rotated_token_is_read_again(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/kube-token-XXXXXX";
	int fd = mkstemp(path);
	struct kube_client *client;
	struct err e = { 0 };

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(file_write(path, "one\n", 4, 0600, &e), 0);
	f->config.token_path = mem_strdup(path);
	client = kube_client_new(f->loop, &f->config, &e);
	assert_int_equal(kube_get_wait(client, &widget, "n", "x", NULL, &e), 0);
	assert_string_equal(f->auth, "Bearer one");
	assert_int_equal(file_write(path, "two\n", 4, 0600, &e), 0);
	assert_int_equal(kube_get_wait(client, &widget, "n", "x", NULL, &e), 0);
	assert_string_equal(f->auth, "Bearer two");
	unlink(path);
	kube_client_free(client);
}

static void on_list(void *arg, struct obj *const *items, size_t n, uint64_t rv, const struct err *e)
{
	struct fixture *f = arg;

	f->ended++;
	if (e)
		err_copy(&f->e, e);
	for (size_t i = 0; items && i < n; i++)
		str_addf(&f->got, "%s %s/%s\n", obj_key(items[i]),
			json_get_str(obj_json(items[i]), "apiVersion"),
			json_get_str(obj_json(items[i]), "kind"));
	str_addf(&f->got, "at %d\n", (int)rv);
}

static void a_list_joins_its_pages(void **state)
{
	struct fixture *f = *state;
	struct kube_list_opts o = { .ns = "n", .label_selector = "a=b,c", .limit = 1 };

	kube_list(f->client, &widget, &o, on_list, f);
	UNTIL(f, f->ended);
	assert_int_equal(f->e.code, ERR_NONE);
	assert_string_equal(str_cstr(&f->got), "n/a demo.io/v1/Widget\nn/b demo.io/v1/Widget\nat 7\n");
	assert_non_null(strstr(str_cstr(&f->log), "limit=1&continue=p"));
}

static void on_event(void *arg, enum kube_event type, const struct obj *o)
{
	struct fixture *f = arg;

	str_addf(&f->got, "%d %s@%d\n", type, obj_key(o), (int)obj_rv(o));
	if (str_eq(obj_name(o), "stop"))
		kube_call_cancel(TAKE(f->call));
	if (str_eq(obj_name(o), "quit"))
		kube_client_free(TAKE(f->client));
}

static void on_end(void *arg, const struct err *e)
{
	struct fixture *f = arg;

	f->ended++;
	f->call = NULL;
	if (e)
		err_copy(&f->e, e);
}

static const struct kube_watch_ops watch_ops = { .event = on_event, .ended = on_end };

static void say(struct fixture *f, const char *text)
{
	CLEANUP(mem_freep) char *s = mem_strdup(text);

	for (char *p = s; *p; p++)
		if (*p == '\'')
			*p = '"';
	http_req_write(f->watch, s, strlen(s));
}

static void start_watch(struct fixture *f)
{
	f->call = kube_watch(f->client, &widget, NULL, 7, &watch_ops, f);
	UNTIL(f, f->watch);
}

static void a_watch_reads_lines_cut_anywhere(void **state)
{
	struct fixture *f = *state;

	start_watch(f);
	assert_non_null(
		strstr(str_cstr(&f->log), "/apis/demo.io/v1/widgets?watch=true&allowWatchBookmarks=true&"
					  "resourceVersion=7&timeoutSeconds="));
	say(f, "{'type':'ADDED','object':{'metadata':{'name':'a','resourceVersion':'8'}}}\n{'type':'MODI");
	UNTIL(f, str_eq(str_cstr(&f->got), "0 a@8\n"));
	say(f, "FIED','object':{'metadata':{'name':'a','resourceVersion':'9'}}}");
	for (int i = 0; i < 3; i++)
		loop_step(f->loop, 5);
	assert_string_equal(str_cstr(&f->got), "0 a@8\n");
	say(f, "\n{'type':'DELETED','object':{'metadata':{'name':'a','resourceVersion':'10'}}}\n"
	       "{'type':'BOOKMARK','object':{'metadata':{'resourceVersion':'12'}}}\n");
	http_req_end(f->watch);
	UNTIL(f, f->ended);
	assert_int_equal(f->e.code, ERR_NONE);
	assert_string_equal(str_cstr(&f->got), "0 a@8\n1 a@9\n2 a@10\n3 @12\n");
}

static void a_watch_ends_with_its_error_event(void **state)
{
	struct fixture *f = *state;

	start_watch(f);
	say(f, "{'type':'ERROR','object':{'kind':'Status','status':'Failure','reason':'Expired','code':410,"
	       "'message':'too old resource version: 1 (236)'}}\n"
	       "{'type':'ADDED','object':{'metadata':{'name':'late','resourceVersion':'8'}}}\n");
	UNTIL(f, f->ended);
	assert_int_equal(f->e.code, ERR_EXPIRED);
	assert_string_equal(str_cstr(&f->got), "");
}

static void a_broken_connection_ends_a_watch_with_an_error(void **state)
{
	struct fixture *f = *state;

	start_watch(f);
	http_req_kill(TAKE(f->watch));
	UNTIL(f, f->ended);
	assert_int_equal(f->e.code, ERR_UNREACHABLE);
}

static void a_watch_may_be_cancelled_from_its_own_event(void **state)
{
	struct fixture *f = *state;

	start_watch(f);
	say(f, "{'type':'ADDED','object':{'metadata':{'name':'stop','resourceVersion':'8'}}}\n"
	       "{'type':'ADDED','object':{'metadata':{'name':'more','resourceVersion':'9'}}}\n");
	UNTIL(f, !f->watch);
	assert_string_equal(str_cstr(&f->got), "0 stop@8\n");
	assert_int_equal(f->ended, 0);
}

static void the_client_may_be_freed_from_an_event(void **state)
{
	struct fixture *f = *state;

	start_watch(f);
	say(f, "{'type':'ADDED','object':{'metadata':{'name':'quit','resourceVersion':'8'}}}\n"
	       "{'type':'ADDED','object':{'metadata':{'name':'more','resourceVersion':'9'}}}\n");
	UNTIL(f, !f->client);
	assert_string_equal(str_cstr(&f->got), "0 quit@8\n");
	assert_int_equal(f->ended, 0);
}

static void on_cache_change(void *arg, const struct obj *old, const struct obj *new)
{
	struct fixture *f = arg;

	str_addf(&f->got, "%c%s ", !old ? '+' : !new ? '-' : '~', obj_name(new ? new : old));
}

static void a_cache_outlives_a_restart_of_the_server(void **state)
{
	struct fixture *f = *state;
	struct cache *c = cache_new(f->client, &widget, NULL);
	int64_t since;

	cache_on_change(c, on_cache_change, f);
	cache_start(c);
	UNTIL(f, f->watch);
	assert_string_equal(str_cstr(&f->got), "+a +b ");
	say(f, "{'type':'ADDED','object':{'metadata':{'name':'c','namespace':'n','resourceVersion':'8'}}}\n");
	UNTIL(f, cache_len(c) == 3);
	http_server_free(TAKE(f->server));
	for (int64_t end = time_mono_now() + 300; time_mono_now() < end;)
		loop_step(f->loop, 10);
	assert_int_equal(cache_len(c), 3);
	str_clear(&f->log);
	start_server(f, f->config.port);
	since = time_mono_now();
	UNTIL(f, f->watch);
	assert_true(time_mono_now() - since < 1000);
	/* It goes on where it was, without another list. */
	assert_non_null(strstr(str_cstr(&f->log), "resourceVersion=8&"));
	say(f, "{'type':'DELETED','object':{'metadata':{'name':'c','namespace':'n','resourceVersion':'9'}}}"
	       "\n");
	UNTIL(f, cache_len(c) == 2);
	assert_string_equal(str_cstr(&f->got), "+a +b +c -c ");
	cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(verbs_send_what_the_api_expects, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_keep_the_servers_words, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unknown_certificate_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotated_token_is_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_joins_its_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_reads_lines_cut_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_ends_with_its_error_event, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_broken_connection_ends_a_watch_with_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_may_be_cancelled_from_its_own_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cache_outlives_a_restart_of_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(the_client_may_be_freed_from_an_event, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
