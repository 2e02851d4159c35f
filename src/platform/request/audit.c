/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/request/audit.h"

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct audit {
	struct loop *loop;
	char *path;
	int fd;
	int64_t size;
	uint64_t lost;
	bool told; /* that it can not be written */
};
struct audit_note {
	char id[37];
	int64_t received_ms;
	struct user as;          /* who came; the request's user is who they act for */
	char *peer;              /* at the end the connection may be gone */
	struct strv annotations; /* key, value, key, value, ... */
};

/* ---- the file ---- */
static int audit_reopen(struct audit *a, struct err *e)
{
	struct stat st;

	a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (a->fd < 0 || fstat(a->fd, &st) < 0)
		return err_sys(e, "open the audit log '%s'", a->path);
	a->size = st.st_size;
	return 0;
}

struct audit *audit_open(struct loop *l, const char *path, struct err *e)
{
	struct audit *a = MEM_NEW(struct audit);

	a->loop = l;
	a->path = mem_strdup(path);
	if (audit_reopen(a, e) == 0)
		return a;
	audit_close(a);
	return NULL;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a->path);
	free(a);
}

uint64_t audit_lost(const struct audit *a)
{
	return a->lost;
}

/* FILE.3 to FILE.4, ..., FILE to FILE.1 */
static void audit_rotate(struct audit *a)
{
	struct err e = { 0 };

	for (int i = AUDIT_FILES - 1; i >= 0; i--) {
		CLEANUP(mem_freep)
		char *from = i > 0 ? str_printf("%s.%d", a->path, i) : mem_strdup(a->path);
		CLEANUP(mem_freep) char *to = str_printf("%s.%d", a->path, i + 1);

		if (rename(from, to) < 0 && errno != ENOENT)
			log_warn("audit: rename '%s': %s", from, strerror(errno));
	}
	close(a->fd);
	if (audit_reopen(a, &e) < 0)
		log_error("audit: %s", e.msg);
}

static void audit_line(struct audit *a, const struct str *line)
{
	ssize_t n;

	if (a->size > 0 && a->size + (int64_t)line->len > AUDIT_FILE_MAX)
		audit_rotate(a);
	n = a->fd >= 0 ? write(a->fd, line->data, line->len) : -1;
	if (n == (ssize_t)line->len) {
		a->size += n;
		a->told = false;
		return;
	}
	/* half a line would spoil the next one too */
	if (n > 0 && ftruncate(a->fd, a->size) < 0)
		a->size += n;
	a->lost++;
	if (!a->told)
		log_error("audit: write '%s': %s", a->path, n < 0 ? strerror(errno) : "disk full");
	a->told = true;
}

/* ---- notes ---- */
static bool of_interest(const struct request *r)
{
	static const char *const health[] = { "/healthz", "/livez", "/readyz" };
	const char *path = request_path(r);

	for (size_t i = 0; i < ARRAY_LEN(health); i++)
		if (str_starts(path, health[i]))
			return false;
	return true;
}

struct audit_note *audit_begin(struct audit *a, const struct request *r)
{
	struct audit_note *n;

	if (!a || !of_interest(r))
		return NULL;
	n = MEM_NEW(struct audit_note);
	crypto_uuid(n->id);
	n->received_ms = loop_wall_ms(a->loop);
	user_copy(&n->as, request_user(r));
	n->peer = mem_strdup(request_http(r) ? http_req_peer(request_http(r)) : "127.0.0.1:0");
	return n;
}

void audit_note_free(struct audit_note *n)
{
	if (!n)
		return;
	user_done(&n->as);
	free(n->peer);
	strv_done(&n->annotations);
	free(n);
}

void audit_annotate(struct audit_note *n, const char *key, const char *value)
{
	if (!n || n->annotations.len >= 2 * AUDIT_NOTES_MAX)
		return;
	for (size_t i = 0; i < n->annotations.len; i += 2)
		if (str_eq(n->annotations.items[i], key))
			return;
	strv_add(&n->annotations, key);
	strv_add(&n->annotations, value);
}

/* ---- the line ---- */
static void set_user(struct json_doc *d, struct json *o, const char *key, const struct user *u)
{
	user_to_json(d, json_need_obj(d, o, key), u);
}

/* "127.0.0.1:4711" or "[::1]:4711" */
static void set_source(struct json_doc *d, struct json *o, const char *peer)
{
	const char *colon = strrchr(peer, ':');
	bool brackets = *peer == '[';
	size_t n = colon ? (size_t)(colon - peer) : strlen(peer);

	json_append(d, json_need_arr(d, o, "sourceIPs"),
		brackets && n > 2 ? json_new_strn(d, peer + 1, n - 2) : json_new_strn(d, peer, n));
}

static void set_object(struct json_doc *d, struct json *o, const struct reqinfo *i)
{
	const struct {
		const char *key, *value;
	} fields[] = { { "resource", i->plural }, { "namespace", i->ns }, { "name", i->name },
		{ "apiGroup", i->group }, { "apiVersion", i->version }, { "subresource", i->sub } };
	struct json *ref;

	if (!i->resource_request)
		return;
	ref = json_need_obj(d, o, "objectRef");
	for (size_t k = 0; k < ARRAY_LEN(fields); k++)
		if (!str_empty(fields[k].value))
			json_set_str(d, ref, fields[k].key, fields[k].value);
}

static void set_agent(struct json_doc *d, struct json *o, const struct request *r)
{
	const char *agent = request_header(r, "User-Agent");

	if (agent)
		json_set(d, o, "userAgent", json_new_strn(d, agent, strnlen(agent, AUDIT_USER_AGENT_MAX)));
}

void audit_write(struct audit *a, struct audit_note *n, struct request *r, enum audit_stage stage, int status)
{
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'kind':'Event','apiVersion':'audit.k8s.io/v1','level':'Metadata'}");
	CLEANUP(str_done) struct str line = { 0 };
	struct json *o = json_root(d);
	char text[TIME_TEXT_MAX];
	const struct reqinfo *i;

	if (!a || !n)
		return;
	i = request_info(r);
	json_set_str(d, o, "auditID", n->id);
	json_set_str(d, o, "stage", stage == AUDIT_STARTED ? "ResponseStarted" : "ResponseComplete");
	json_set_str(d, o, "requestURI", request_raw_path(r));
	json_set_str(d, o, "verb", i->verb);
	set_user(d, o, "user", &n->as);
	if (!str_eq(n->as.name, request_user(r)->name))
		set_user(d, o, "impersonatedUser", request_user(r));
	set_source(d, o, n->peer);
	set_agent(d, o, r);
	set_object(d, o, i);
	if (status > 0)
		json_set(d, json_need_obj(d, o, "responseStatus"), "code", json_new_i64(d, status));
	json_set_str(d, o, "requestReceivedTimestamp", time_rfc3339_micro(n->received_ms, text));
	json_set_str(d, o, "stageTimestamp", time_rfc3339_micro(loop_wall_ms(a->loop), text));
	for (size_t k = 0; k + 1 < n->annotations.len; k += 2)
		json_set_str(d, json_need_obj(d, o, "annotations"), n->annotations.items[k],
			n->annotations.items[k + 1]);
	json_write_to(o, &line);
	str_addc(&line, '\n');
	audit_line(a, &line);
}
