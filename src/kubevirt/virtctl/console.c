/* SPDX-License-Identifier: Apache-2.0 */
/* virtctl console: the guest's serial console on this terminal, or on pipes.
 *
 * The server says 400 while the guest is not running yet: that is asked again every second (kubevirt-api.md 2.3), as is 404
 * while there is a VM that is to run. Standard input may be a pipe or a file: when it ends, the
 * console stays open until the guest has been quiet for
 * QUIET_MS, so that `printf 'root\nuptime\n' | virtctl console vm` shows the answers. Empty input only watches. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "api/status.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/ws.h"
#include "kubevirt/api/kinds.h"
#include "kubevirt/virtctl/virtctl.h"

#define ESCAPE 0x1d /* ^] */
#define RETRY_MS 1000
#define QUIET_MS 2000
#define PIECE 4096
#define GOODBYE_STEPS 5
#define GOODBYE_STEP_MS 10
#define UNSENT_MAX (64 * 1024)
#define ANSWER_TIMEOUT_MS 30000
#define TOKEN_MAX (64 * 1024)

struct console {
	struct virtctl *v;
	struct tls_ctx *tls;
	struct http_client *http;
	char *path, *authorization;
	char key[WS_KEY_MAX];
	struct http_header headers[10]; /* of the handshake: they must live as long as the call */
	struct ws *ws;
	struct loop_timer *retry, *quiet, *file_input;
	struct loop_fd *input;
	struct loop_signal *term, *intr;
	struct termios saved;
	bool raw, connected, sent, input_ended, status_shown, finished;
	int64_t started, deadline;
	int64_t told; /* seconds waited, when last told */
	struct kube_call *looking;
	struct err refusal; /* the server's last */
	int rc;
	struct err *e;
};

size_t console_until_escape(const char *data, size_t len, bool *ret_escape)
{
	const char *at = memchr(data, ESCAPE, len);
	*ret_escape = at != NULL;
	return at ? (size_t)(at - data) : len;
}

static void finish(struct console *c, int rc)
{
	if (c->finished)
		return;
	c->finished = true;
	c->rc = rc;
	loop_stop(c->v->loop);
}

/* ---- the terminal ---- */

static void terminal_raw(struct console *c)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &c->saved) < 0)
		return;
	t = c->saved;
	cfmakeraw(&t);
	c->raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

static void terminal_restore(struct console *c)
{
	if (c->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &c->saved);
	c->raw = false;
}

static int write_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- input ---- */

static void input_end(struct console *c)
{
	c->input_ended = true;
	loop_fd_free(c->input);
	c->input = NULL;
	if (c->sent)
		loop_timer_set(c->quiet, QUIET_MS);
}

static void take_input(struct console *c, const char *data, size_t len)
{
	bool escape = false;

	if (c->raw)
		len = console_until_escape(data, len, &escape);
	if (len) {
		ws_send(c->ws, WS_BINARY, data, len);
		c->sent = true;
	}
	if (escape)
		finish(c, 0);
}

/* false: nothing more will come */
static bool read_input(struct console *c)
{
	char buf[PIECE];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n > 0) {
		take_input(c, buf, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	input_end(c);
	return false;
}

static void on_input(void *arg, int what)
{
	struct console *c = arg;

	if (!c->ws)
		return; /* lost in this very round */
	if (read_input(c) && c->input && ws_pending(c->ws) > UNSENT_MAX)
		loop_fd_set(c->input, 0); /* until the server has taken it: on_drained() */
}

static void on_file_input(void *arg)
{
	struct console *c = arg;

	if (!c->ws)
		return;
	if (ws_pending(c->ws) > UNSENT_MAX || read_input(c))
		loop_timer_set(c->file_input, ws_pending(c->ws) > UNSENT_MAX ? 10 : 0);
}

static void input_start(struct console *c)
{
	struct stat st;

	terminal_raw(c);
	if (fstat(STDIN_FILENO, &st) < 0) {
		c->input_ended = true;
	} else if (S_ISREG(st.st_mode)) { /* the loop can not wait for files: they are always ready */
		c->file_input = loop_timer_new(c->v->loop, on_file_input, c);
		loop_timer_set(c->file_input, 0);
	} else if (S_ISCHR(st.st_mode) && !isatty(STDIN_FILENO)) { /* /dev/null */
		c->input_ended = true;
	} else {
		c->input = loop_fd_new(c->v->loop, STDIN_FILENO, LOOP_READ, on_input, c);
	}
}

/* ---- the connection ---- */

static void on_message(void *arg, enum ws_kind kind, const void *data, size_t len)
{
	struct console *c = arg;

	if (kind != WS_BINARY)
		return;
	if (write_all(data, len) < 0)
		finish(c, 0); /* whoever read our output has gone */
	if (c->input_ended && c->sent)
		loop_timer_set(c->quiet, QUIET_MS);
}

static void on_closed(void *arg, const struct err *e)
{
	struct console *c = arg;

	c->ws = NULL;
	terminal_restore(c);
	if (e->code == ERR_NONE) {
		fputs("\nThe console was closed: the guest stopped, or somebody else connected to it.\n",
			stderr);
		finish(c, 0);
		return;
	}
	err_copy(c->e, e);
	finish(c, err_wrap(c->e, "the console was lost"));
}

static void on_drained(void *arg)
{
	struct console *c = arg;
	if (c->input)
		loop_fd_set(c->input, LOOP_READ);
}

static void on_quiet(void *arg)
{
	finish(arg, 0);
}

static void status_end(struct console *c)
{
	if (c->status_shown && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	c->status_shown = false;
}

static void on_upgraded(void *arg, const struct http_response *r, struct http_stream *s)
{
	static const struct ws_ops ops = { on_message, on_closed, on_drained };
	struct console *c = arg;

	status_end(c);
	fprintf(stderr, "Successfully connected to %s console.%s\n", c->v->args[0],
		isatty(STDIN_FILENO) ? " The escape sequence is ^]" : "");
	c->ws = ws_client(s);
	c->connected = true;
	ws_start(c->ws, &ops, c);
	input_start(c);
}

/* A line that counts up on a terminal; elsewhere one line every ten seconds. */
static void show_wait(struct console *c, const char *why)
{
	int64_t seconds = (loop_mono_ms(c->v->loop) - c->started) / 1000;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[KWaiting for %s: %s (%lld s)", c->v->args[0], why,
			(long long)seconds);
	else if (!c->status_shown || seconds >= c->told + 10)
		fprintf(stderr, "Waiting for %s: %s (%lld s)\n", c->v->args[0], why, (long long)seconds);
	else
		return;
	c->told = seconds;
	c->status_shown = true;
	fflush(stderr);
}

static void give_up(struct console *c, const struct err *why)
{
	status_end(c);
	err_copy(c->e, why);
	finish(c, err_wrap(c->e, "Can't access VMI %s", c->v->args[0]));
}

static void wait_on(struct console *c, const struct err *why)
{
	struct err late;

	if (loop_mono_ms(c->v->loop) + RETRY_MS <= c->deadline) {
		show_wait(c, why->msg);
		loop_timer_set(c->retry, RETRY_MS);
		return;
	}
	err_copy(&late, why);
	err_wrap(&late, "no console within %g minutes", c->v->timeout_minutes);
	give_up(c, &late);
}

/* No instance. If there is a VM that is to run, there will be one: `virtctl start vm && virtctl console vm` comes here. */
static void on_vm(void *arg, const struct obj *o, const struct err *e)
{
	struct console *c = arg;
	const struct json *spec = o ? json_get(obj_json(o), "spec") : NULL;
	bool halted = str_eq(json_get_str(spec, "runStrategy"), "Halted") ||
		      (json_is_bool(json_get(spec, "running")) && !json_bool(json_get(spec, "running")));
	struct err why;

	c->looking = NULL;
	if (e || halted) {
		if (halted)
			err_set(&c->refusal, ERR_CONFLICT, "VM is halted; virtctl start %s starts it",
				c->v->args[0]);
		give_up(c, &c->refusal);
		return;
	}
	err_set(&why, ERR_BAD_REQUEST, "VM is not started yet");
	wait_on(c, &why);
}

static void on_refused(void *arg, const struct http_response *r, const struct err *e)
{
	struct console *c = arg;

	if (e) {
		give_up(c, e);
		return;
	}
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(r->body, r->len, NULL);
	status_to_err(d ? json_root(d) : NULL, r->status, &c->refusal);
	if (r->status == 400)
		wait_on(c, &c->refusal);
	else if (r->status == 404)
		c->looking = kube_get(c->v->client, &kind_vm, c->v->ns, c->v->args[0], on_vm, c);
	else
		give_up(c, &c->refusal);
}

static void dial(void *arg)
{
	struct console *c = arg;
	size_t n = ARRAY_LEN(c->headers) - 1;

	ws_client_headers(c->key, c->headers, &n, "plain.kubevirt.io");
	if (c->authorization)
		c->headers[n++] = (struct http_header){ "Authorization", c->authorization };
	const struct http_call_spec spec = { .method = "GET",
		.path = c->path,
		.headers = c->headers,
		.n_headers = n,
		.timeout_ms = ANSWER_TIMEOUT_MS,
		.done = on_refused,
		.upgraded = on_upgraded,
		.arg = c };
	http_client_call(c->http, &spec);
}

static void on_signal(void *arg)
{
	finish(arg, 0);
}

static int credentials(struct console *c, struct err *e)
{
	const struct kube_config *k = &c->v->config;
	const struct tls_client_spec tls = { .ca_pem = k->ca_pem,
		.cert_pem = k->cert_pem,
		.key_pem = k->key_pem,
		.server_name = k->server_name,
		.insecure = k->insecure };
	CLEANUP(mem_freep) char *token = NULL;
	size_t len;

	c->tls = tls_client_new(&tls, e);
	if (!c->tls)
		return -1;
	if (k->token_path) {
		if (file_read(k->token_path, TOKEN_MAX, &token, &len, e) < 0)
			return -1;
		token[strcspn(token, "\r\n")] = 0;
	} else if (k->token) {
		token = mem_strdup(k->token);
	}
	if (token)
		c->authorization = str_printf("Bearer %s", token);
	return 0;
}

static void console_done(struct console *c)
{
	terminal_restore(c);
	if (c->ws)
		ws_close(c->ws, 1000);
	for (int i = 0; c->connected && i < GOODBYE_STEPS; i++)
		loop_step(c->v->loop, GOODBYE_STEP_MS); /* let the close frame and the last input leave */
	kube_call_cancel(c->looking);
	http_client_free(c->http);
	loop_timer_free(c->retry);
	loop_timer_free(c->quiet);
	loop_timer_free(c->file_input);
	loop_fd_free(c->input);
	loop_signal_free(c->term);
	loop_signal_free(c->intr);
	tls_unref(c->tls);
	free(c->path);
	free(c->authorization);
}

int console_run(struct virtctl *v, struct err *e)
{
	struct console c = { .v = v, .e = e, .started = loop_mono_ms(v->loop) };
	CLEANUP(str_done) struct str path = { 0 };

	c.deadline = c.started + (int64_t)(v->timeout_minutes * 60000);
	str_add(&path, "/apis/subresources.kubevirt.io/v1/namespaces/");
	url_encode(v->ns, &path);
	str_addf(&path, "/%s/", kind_vmi.plural);
	url_encode(v->args[0], &path);
	str_add(&path, "/console");
	c.path = str_take(&path);
	if (credentials(&c, e) < 0) {
		console_done(&c);
		return -1;
	}
	const struct http_client_spec spec = {
		.host = v->config.host, .port = v->config.port, .tls = c.tls, .conns_max = 2
	};
	c.http = http_client_new(v->loop, &spec);
	c.retry = loop_timer_new(v->loop, dial, &c);
	c.quiet = loop_timer_new(v->loop, on_quiet, &c);
	c.term = loop_signal_new(v->loop, SIGTERM, on_signal, &c);
	c.intr = loop_signal_new(v->loop, SIGINT, on_signal, &c);
	dial(&c);
	while (!c.finished)
		loop_run(v->loop);
	console_done(&c);
	return c.rc;
}
