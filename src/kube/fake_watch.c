/* SPDX-License-Identifier: Apache-2.0 */
/* Watchers of the fake API. kubernetes-api.md 2.7. */
#include "kube/fake_api.h"

#include "api/meta.h"
#include "kube/fake_impl.h"

#include <inttypes.h>

#define BOOKMARK_AFTER_MS 1000

static bool watch_wants(const struct fake_call *c, const struct obj *o)
{
	const struct json *v = o ? obj_json(o) : NULL;

	if (!o || (!str_empty(c->ns) && !str_eq(c->ns, obj_namespace(o))))
		return false;
	return (!c->labels || selector_matches(c->labels, json_get(meta_of(v), "labels"))) &&
	       (!c->fields || field_selector_matches(c->fields, v));
}

static void line_add(struct str *out, const char *type, const struct obj *o)
{
	size_t len;
	const char *text = obj_text(o, &len);

	str_addf(out, "{\"type\":\"%s\",\"object\":", type);
	str_addn(out, text, len);
	str_add(out, "}\n");
}

/* How an event looks through a selector: leaving it is a deletion of the old object at the new version. */
static bool event_line(const struct fake_call *c, const struct fake_event *ev, struct str *out)
{
	bool before = watch_wants(c, ev->old), after = watch_wants(c, ev->new);

	if (before && after) {
		line_add(out, "MODIFIED", ev->new);
	} else if (after) {
		line_add(out, "ADDED", ev->new);
	} else if (before) {
		struct obj *gone = fake_with_rv(ev->old, ev->rv);

		line_add(out, "DELETED", gone);
		obj_unref(gone);
	}
	return before || after;
}

static void bookmark_line(const struct fake_call *c, struct str *out)
{
	char version[KIND_API_VERSION_MAX];

	str_addf(out,
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\","
		"\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"}}}\n",
		c->kind->k->kind, kind_api_version(c->kind->k, version), c->client->f->rv);
}

static void expired_line(uint64_t rv, uint64_t now, struct str *out)
{
	str_addf(out,
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"
		"\"status\":\"Failure\",\"message\":\"too old resource version: %" PRIu64 " (%" PRIu64 ")\","
		"\"reason\":\"Expired\",\"code\":410}}\n",
		rv, now);
}

void fake_watch_notify(struct fake_api *f, const struct fake_kind *fk)
{
	for (struct fake_call *c = f->calls; c; c = c->next) {
		if (c->state != FAKE_WATCHING || c->dead)
			continue;
		if (c->kind == fk)
			fake_call_arm(c, fake_latency(f));
		else if (c->bookmarks)
			fake_call_arm(c, BOOKMARK_AFTER_MS);
	}
}

/* Everything new, as lines. true: the watch is to end after them, as a fault. */
static bool collect(struct fake_call *c, struct str *out)
{
	struct fake_api *f = c->client->f;
	const struct fake_faults *faults = &f->faults;

	if (c->initial) {
		c->initial = false;
		for (size_t i = 0; i < c->kind->objs.len; i++)
			if (watch_wants(c, c->kind->objs.items[i].val))
				line_add(out, "ADDED", c->kind->objs.items[i].val);
		c->seen = c->told = f->rv;
	}
	if (c->seen < f->floor || fake_chance(f, faults->expire_watch)) {
		expired_line(c->seen, f->rv, out);
		return true;
	}
	for (size_t i = 0; i < f->n_log; i++) {
		const struct fake_event *ev = &f->log[i];

		if (ev->rv <= c->seen || ev->kind != c->kind)
			continue;
		if (fake_chance(f, faults->drop_watch))
			return true;
		if (event_line(c, ev, out)) {
			c->told = ev->rv;
			if (fake_chance(f, faults->repeat_event))
				event_line(c, ev, out);
		}
	}
	c->seen = f->rv;
	return false;
}

/* Sends in two pieces, cut anywhere. false: the watcher has gone meanwhile. */
static bool send(struct fake_call *c, const struct str *out)
{
	size_t cut = (size_t)rng_below(&c->client->f->rng, out->len + 1);

	if (!out->len)
		return true;
	c->busy = true;
	if (cut)
		c->data(c->arg, 200, out->data, cut);
	if (!c->cancelled && cut < out->len)
		c->data(c->arg, 200, out->data + cut, out->len - cut);
	c->busy = false;
	if (!c->cancelled)
		return true;
	fake_call_free(c);
	return false;
}

void fake_watch_fire(struct fake_call *c)
{
	struct fake_api *f = c->client->f;
	CLEANUP(str_done) struct str out = { 0 };
	int64_t now = loop_mono_ms(f->loop);
	struct err e = { 0 };
	bool end = collect(c, &out), broken = end && rng_below(&f->rng, 2);

	if (!end && c->bookmarks && f->rv > c->told && !out.len) {
		bookmark_line(c, &out);
		c->told = f->rv;
	}
	if (!send(c, &out))
		return;
	if (end || now >= c->ends) {
		if (broken)
			err_set(&e, ERR_UNREACHABLE, "fake: the watch broke");
		fake_call_end(c, broken ? &e : NULL);
		return;
	}
	if (c->bookmarks && f->rv > c->told)
		fake_call_arm(c, BOOKMARK_AFTER_MS);
	fake_call_arm(c, c->ends - now);
}
