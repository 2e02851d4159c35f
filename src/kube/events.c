/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/events.h"

#include "api/meta.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "kube/keymap.h"

#include <inttypes.h>

#define EVENTS_TRIES_MAX 3
#define EVENTS_RETRY_MS 1000
/* Whatever is told about is usually followed by a write that somebody waits for, and the server commits in order. */
#define EVENTS_WAIT_MS 50
#define EVENT_MESSAGE_MAX 1024 /* the API refuses more */

static const struct kind kind_event = { .group = "",
	.version = "v1",
	.kind = "Event",
	.plural = "events",
	.singular = "event",
	.namespaced = true };

/* One Event object on the server. */
struct known {
	struct event_recorder *r;
	char *id; /* key in the map: what makes two events the same */
	char *ns, *name;
	struct json_doc *doc; /* as it would be created now */
	int64_t last_ms;
	uint64_t order;            /* grows with each event: what its name ends in */
	int64_t count, sent, told; /* times seen; in the request under way; known to the server */
	bool fresh;                /* waits for events_send() */
	bool exists;
	int tries;
	struct kube_call *call;
};

struct event_recorder {
	struct kube_client *client;
	char *component, *host;
	struct keymap known;
	struct loop_timer *retry, *send;
	uint64_t last_order;
};

static void known_free(void *p)
{
	struct known *k = p;

	if (!k)
		return;
	kube_call_cancel(k->call);
	json_doc_free(k->doc);
	free(k->id);
	free(k->ns);
	free(k->name);
	free(k);
}

static void events_retry(void *arg);
static void events_send(void *arg);

struct event_recorder *events_new(struct kube_client *c, const char *component, const char *host)
{
	struct event_recorder *r = MEM_NEW(struct event_recorder);

	r->client = c;
	r->component = mem_strdup(component);
	r->host = host ? mem_strdup(host) : NULL;
	r->retry = loop_timer_new(kube_client_loop(c), events_retry, r);
	r->send = loop_timer_new(kube_client_loop(c), events_send, r);
	return r;
}

void events_free(struct event_recorder *r)
{
	if (!r)
		return;
	keymap_done(&r->known, known_free);
	loop_timer_free(r->retry);
	loop_timer_free(r->send);
	free(r->component);
	free(r->host);
	free(r);
}

static void known_send(struct known *k);

static void known_sent(void *arg, const struct obj *o, const struct err *e)
{
	struct known *k = arg;

	k->call = NULL;
	if (!e) {
		k->exists = true;
		k->told = k->sent;
		k->tries = 0;
		if (k->count > k->told)
			known_send(k);
		return;
	}
	if (e->code == ERR_NOT_FOUND && k->exists) { /* it has expired: begin another */
		k->exists = false;
		known_send(k);
		return;
	}
	log_debug("event %s/%s: %s", k->ns, k->name, e->msg);
	if (err_retry(e->code) == RETRY_BACK_OFF && e->code != ERR_FORBIDDEN && ++k->tries < EVENTS_TRIES_MAX)
		loop_timer_set(k->r->retry, EVENTS_RETRY_MS);
	else
		k->tries = EVENTS_TRIES_MAX;
}

/* Timestamps have whole seconds, lists come in the order of names, and kubectl sorts the latter by the former: with
 * names that grow it tells a story in the order in which it happened. The rest is chance, for others name events too. */
static uint64_t next_order(struct event_recorder *r, int64_t now)
{
	uint64_t order = ((uint64_t)now << 20) | (kube_client_random(r->client) & 0xfffff);

	if (order <= r->last_order)
		order = r->last_order + 1 + (kube_client_random(r->client) & 0xff);
	r->last_order = order;
	return order;
}

static void new_name(struct known *k)
{
	const char *object = json_at_str(json_root(k->doc), "/involvedObject/name");

	if (k->tries || k->name) /* that one may be taken */
		k->order += 1 + (kube_client_random(k->r->client) & 0xff);

	free(k->name);
	k->name = str_printf("%.*s.%016" PRIx64, 200, object ? object : "", k->order);
	json_put_str(k->doc, json_root(k->doc), "/metadata/name", k->name);
}

static void known_send(struct known *k)
{
	CLEANUP(json_doc_freep) struct json_doc *patch = NULL;
	char now[TIME_TEXT_MAX];

	time_rfc3339(k->last_ms, now);
	k->sent = k->count;
	if (!k->exists) {
		new_name(k);
		json_set_i64(k->doc, json_root(k->doc), "count", k->count);
		json_set_str(k->doc, json_root(k->doc), "lastTimestamp", now);
		k->call = kube_create(k->r->client, &kind_event, k->ns, json_root(k->doc), known_sent, k);
		return;
	}
	patch = json_lit("{}");
	json_set_i64(patch, json_root(patch), "count", k->count);
	json_set_str(patch, json_root(patch), "lastTimestamp", now);
	k->call = kube_patch(k->r->client, &kind_event, k->ns, k->name, NULL, KUBE_PATCH_STRATEGIC,
		json_root(patch), known_sent, k);
}

static void events_retry(void *arg)
{
	struct event_recorder *r = arg;

	for (size_t i = 0; i < r->known.len; i++) {
		struct known *k = r->known.items[i].val;

		if (!k->call && k->count > k->told && k->tries < EVENTS_TRIES_MAX)
			known_send(k);
	}
}

static void events_send(void *arg)
{
	struct event_recorder *r = arg;

	for (size_t i = 0; i < r->known.len; i++) {
		struct known *k = r->known.items[i].val;

		if (!k->fresh)
			continue;
		k->fresh = false;
		if (!k->call)
			known_send(k);
	}
}

/* Makes room: what is too old to be counted further, else the oldest of all. */
static void events_forget(struct event_recorder *r, int64_t now)
{
	struct known *oldest = NULL;

	for (size_t i = r->known.len; i-- > 0;) {
		struct known *k = r->known.items[i].val;

		if (k->call || k->fresh)
			continue;
		if (now - k->last_ms > EVENTS_AGGREGATE_MS)
			known_free(keymap_take(&r->known, k->id));
		else if (!oldest || k->last_ms < oldest->last_ms)
			oldest = k;
	}
	if (oldest && r->known.len >= EVENTS_KNOWN_MAX)
		known_free(keymap_take(&r->known, oldest->id));
}

static struct json_doc *event_doc(const struct event_recorder *r, const struct obj *about, const char *ns,
	bool warning, const char *reason, const char *message, int64_t now)
{
	struct json_doc *d = json_lit("{'kind':'Event','apiVersion':'v1','metadata':{},'involvedObject':{},"
				      "'source':{}}");
	struct json *root = json_root(d), *ref = json_get(root, "involvedObject");
	const struct json *o = obj_json(about);
	CLEANUP(mem_freep) char *text = mem_strndup(message, EVENT_MESSAGE_MAX);
	char stamp[TIME_TEXT_MAX];

	json_put_str(d, root, "/metadata/namespace", ns);
	json_set_str(d, ref, "kind", json_get_str(o, "kind"));
	json_set_str(d, ref, "apiVersion", json_get_str(o, "apiVersion"));
	json_set_str(d, ref, "name", obj_name(about));
	if (!str_empty(obj_namespace(about)))
		json_set_str(d, ref, "namespace", obj_namespace(about));
	if (!str_empty(obj_uid(about)))
		json_set_str(d, ref, "uid", obj_uid(about));
	if (obj_rv(about))
		json_set_strf(d, ref, "resourceVersion", "%" PRIu64, obj_rv(about));
	json_set_str(d, root, "type", warning ? "Warning" : "Normal");
	json_set_str(d, root, "reason", reason);
	json_set_str(d, root, "message", text);
	json_set_str(d, root, "firstTimestamp", time_rfc3339(now, stamp));
	json_set_str(d, root, "lastTimestamp", stamp);
	json_set_i64(d, root, "count", 1);
	json_put_str(d, root, "/source/component", r->component);
	if (r->host)
		json_put_str(d, root, "/source/host", r->host);
	json_set_str(d, root, "reportingComponent", r->component);
	json_set_str(d, root, "reportingInstance", r->host ? r->host : "");
	return d;
}

void events_record(struct event_recorder *r, const struct obj *about, bool warning, const char *reason,
	const char *message)
{
	const char *ns = str_empty(obj_namespace(about)) ? "default" : obj_namespace(about);
	const char *kind = json_get_str(obj_json(about), "kind");
	CLEANUP(mem_freep)
	char *id = str_printf("%s|%s|%s|%d|%s|%s", kind ? kind : "", obj_key(about), obj_uid(about), warning,
		reason, message);
	struct known *k = keymap_get(&r->known, id);
	int64_t now = loop_wall_ms(kube_client_loop(r->client));

	if (k && now - k->last_ms > EVENTS_AGGREGATE_MS && !k->call && !k->fresh) {
		known_free(keymap_take(&r->known, id));
		k = NULL;
	}
	if (!k) {
		if (r->known.len >= EVENTS_KNOWN_MAX)
			events_forget(r, now);
		if (r->known.len >= EVENTS_KNOWN_MAX)
			return; /* all under way: the server does not keep up */
		k = MEM_NEW(struct known);
		k->r = r;
		k->id = mem_strdup(id);
		k->order = next_order(r, now);
		k->ns = mem_strdup(ns);
		k->doc = event_doc(r, about, ns, warning, reason, message, now);
		keymap_put(&r->known, id, k);
	}
	k->last_ms = now;
	k->count++;
	if (k->call)
		return; /* known_sent() sees the new count */
	k->tries = 0;
	k->fresh = true;
	if (!loop_timer_armed(r->send))
		loop_timer_set(r->send, EVENTS_WAIT_MS);
}
