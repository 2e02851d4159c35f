/* SPDX-License-Identifier: Apache-2.0 */
/* What launchers are told, and what becomes of the answers. */
#include "base/log.h"
#include "base/mem.h"
#include "kubevirt/handler/links_impl.h"
#include "kubevirt/handler/tap.h"

#include <unistd.h>

static struct link *connected(struct links *l, const char *uid)
{
	struct link *k = link_find(l, uid);

	return k && k->client && k->facts.connected ? k : NULL;
}

struct link *link_connected(struct links *l, const char *uid)
{
	return connected(l, uid);
}

static void started(void *arg, const struct json *ok, const struct err *e)
{
	struct link *k = arg;

	if (!e) {
		k->facts.start = GUEST_START_ACCEPTED;
	} else if (e->code == ERR_UNREACHABLE) {
		k->facts.start = GUEST_START_NO; /* link_lost() follows */
		return;
	} else if (e->code == ERR_TIMEOUT) {
		k->facts.start = GUEST_START_NO;
		link_lost(k, e);
		return;
	} else {
		links_start_failed(k->all, k->uid, e);
		return;
	}
	link_changed(k);
}

void links_starting(struct links *l, const char *uid, bool yes)
{
	struct link *k = link_find(l, uid);

	if (k)
		k->facts.start = yes ? GUEST_START_ASKED : GUEST_START_NO;
}

/* Opens the tap of each; -1 when one can not be had. */
static int open_taps(const struct link *k, const struct json *taps, struct json_doc *d, struct json *host,
	int *files, size_t *n, struct err *e)
{
	JSON_EACH (it, taps) {
		const char *name = json_get_str(it.val, "name"), *mac = json_get_str(it.val, "mac");

		if (*n >= WIRE_FILES_MAX)
			return err_set(e, ERR_INVALID, "more than %d secondary networks", WIRE_FILES_MAX);
		if (tap_open(link_launcher(k), json_get_str(it.val, "podInterface"), mac, &files[*n], e) < 0)
			return err_wrap(e, "interface %s", name);
		++*n;
		json_append_str(d, json_need_arr(d, host, "taps"), name);
		json_set_str(d, json_need_obj(d, host, "macs"), name, mac);
	}
	return 0;
}

void links_start(struct links *l, const char *uid, const struct json *args, const struct json *taps)
{
	struct link *k = connected(l, uid);
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(args);
	int files[WIRE_FILES_MAX];
	struct err e;
	size_t n = 0;

	if (!k) {
		k = link_find(l, uid);
		if (k)
			k->facts.start = GUEST_START_NO;
		return;
	}
	if (open_taps(k, taps, d, json_need_obj(d, json_root(d), "host"), files, &n, &e) < 0) {
		while (n)
			close(files[--n]);
		links_start_failed(l, uid, &e);
		return;
	}
	k->facts.start = GUEST_START_ASKED;
	wire_client_call_files(k->client, WIRE_start, json_root(d), files, n, started, k);
}

void links_start_failed(struct links *l, const char *uid, const struct err *e)
{
	struct link *k = link_find(l, uid);

	if (!k)
		return;
	k->facts.start = GUEST_START_REFUSED;
	free(k->start_error);
	k->start_error = mem_strdup(e->msg);
	k->facts.start_error = k->start_error;
	link_changed(k);
}

/* ---- memory ---- */
static void put_number(struct json_doc *d, struct json *o, const char *key, const struct json *v)
{
	if (v)
		json_set_i64(d, o, key, json_i64(v));
}

/* The answer may be here before the STATE that says the same. */
static void memory_answered(struct link *k, const struct json *ok)
{
	struct json *memory = k->state ? json_get(json_root(k->state), "memory") : NULL;

	if (!memory || !ok)
		return;
	put_number(k->state, memory, "current", json_get(ok, "current"));
	put_number(k->state, memory, "requested", json_get(ok, "requested"));
	json_set_bool(k->state, memory, "resizing", false);
}

/* A newer request must not be taken for the end of an older one. */
static void memory_done(struct link *k, int64_t bytes, const struct json *ok, const struct err *e)
{
	struct guest_memory *m = &k->facts.memory;

	if (!m->busy || m->target != bytes)
		return;
	m->busy = false;
	/* Without launcher there is no result: asked again when it is back. */
	m->done = !e || e->code != ERR_UNREACHABLE;
	m->complete = ok && json_bool(json_get(ok, "complete"));
	m->passing = e && (e->code == ERR_TIMEOUT || e->code == ERR_UNAVAILABLE || e->code == ERR_CONFLICT);
	memory_answered(k, ok);
	m->current = json_i64(json_at(k->facts.state, "/memory/current"));
	free(k->memory_error);
	m->error = k->memory_error = e ? mem_strdup(e->msg) : NULL;
	link_changed(k);
}

void ask_end(struct ask *a, const struct json *ok, const struct err *e)
{
	for (struct ask **at = &a->link->asks; *at; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			break;
		}
	if (a->answer)
		a->answer(a->arg, ok, e);
	else if (a->fn)
		a->fn(a->arg, e);
	else if (a->nic)
		link_nic_done(a->link, a, e);
	else
		memory_done(a->link, a->bytes, ok, e);
	free(a->nic);
	free(a->leaves);
	free(a);
}

static void ask_answered(void *arg, const struct json *ok, const struct err *e)
{
	ask_end(arg, ok, e);
}

void link_ask_files(struct link *k, enum wire_verb v, const struct json *args, const int *files, size_t n,
	const struct ask *spec)
{
	struct ask *a = MEM_NEW(struct ask);

	*a = *spec;
	a->link = k;
	a->next = k->asks;
	k->asks = a;
	wire_client_call_files(k->client, v, args, files, n, ask_answered, a);
}

static void ask_send(struct link *k, enum wire_verb v, const struct json *args, const struct ask *spec)
{
	link_ask_files(k, v, args, NULL, 0, spec);
}

void link_ask(struct link *k, enum wire_verb v, const struct json *args, links_done_fn *fn, void *arg)
{
	ask_send(k, v, args, &(struct ask){ .fn = fn, .arg = arg });
}

void links_set_memory(struct links *l, const char *uid, int64_t bytes, int64_t max)
{
	struct link *k = connected(l, uid);
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct json *args;

	if (!k || guest_memory_is(&k->facts, bytes))
		return;
	d = json_doc_new();
	args = json_new_obj(d);
	json_set_i64(d, args, "bytes", bytes);
	if (max > 0)
		json_set_i64(d, args, "max", max);
	k->facts.memory = (struct guest_memory){ .busy = true, .target = bytes };
	log_info("%s: guest memory to %lld MiB", k->key, (long long)(bytes >> 20));
	ask_send(k, WIRE_set_memory, args, &(struct ask){ .bytes = bytes });
}

void links_memory_seen(struct links *l, const char *uid)
{
	struct link *k = link_find(l, uid);

	if (k && k->facts.memory.done)
		k->facts.memory = (struct guest_memory){ 0 };
}

/* ---- verbs whose outcome shows in the STATE ---- */
static void told(void *arg, const struct json *ok, const struct err *e)
{
	struct link *k = arg;

	if (e && e->code != ERR_UNREACHABLE)
		log_warn("%s: %s", k->key, e->msg);
}

void links_tell(struct links *l, const char *uid, enum wire_verb verb, const struct json *args)
{
	struct link *k = connected(l, uid);

	if (k)
		wire_client_call(k->client, verb, args, told, k);
}

void links_shutdown(struct links *l, const char *uid, int64_t grace_seconds)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct json *args = json_new_obj(d);
	struct link *k = connected(l, uid);

	if (!k)
		return;
	json_set_i64(d, args, "graceSeconds", grace_seconds);
	k->facts.stop_asked = true;
	wire_client_call(k->client, WIRE_shutdown, args, told, k);
}

void links_kill(struct links *l, const char *uid)
{
	struct link *k = connected(l, uid);

	if (!k)
		return;
	k->facts.kill_asked = true;
	wire_client_call(k->client, WIRE_kill, NULL, told, k);
}

void links_release(struct links *l, const char *uid)
{
	struct link *k = connected(l, uid);

	if (!k)
		return;
	k->facts.release_asked = true;
	wire_client_call(k->client, WIRE_release, NULL, told, k);
}

bool links_ask(struct links *l, const char *uid, enum wire_verb verb, links_done_fn *fn, void *arg)
{
	struct link *k = connected(l, uid);

	if (!k)
		return false;
	ask_send(k, verb, NULL, &(struct ask){ .fn = fn, .arg = arg });
	return true;
}

bool links_stats(struct links *l, const char *uid, links_answer_fn *fn, void *arg)
{
	struct link *k = connected(l, uid);

	if (!k)
		return false;
	ask_send(k, WIRE_stats, NULL, &(struct ask){ .answer = fn, .arg = arg });
	return true;
}
