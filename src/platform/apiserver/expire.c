/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/expire.h"

#include "base/mem.h"
#include "base/time.h"

#include <string.h>

/* How late an object may go: several are taken at once. */
#define EXPIRE_SLACK_MS 10000

struct expirer {
	struct apiserver *s;
	struct bucket *bucket;
	int64_t ttl_ms;
	struct bucket_watch watch;
	struct loop_timer *timer;
	struct expirer *next;
};

/* The last time somebody wrote it, as far as the object tells. */
static int64_t written_at(const struct obj *o)
{
	static const char *const times[] = { "/metadata/creationTimestamp", "/lastTimestamp", "/eventTime",
		"/series/lastObservedTime", "/deprecatedLastTimestamp" };
	int64_t latest = 0, t;

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		const char *text = json_at_str(obj_json(o), times[i]);

		if (text && time_parse(text, &t) && t > latest)
			latest = t;
	}
	return latest;
}

static void expire(void *arg)
{
	struct expirer *x = arg;
	int64_t now = loop_wall_ms(x->s->loop), next = INT64_MAX;
	const struct obj *o;

	for (size_t i = 0; (o = bucket_at(x->bucket, i)); i++) {
		int64_t at = written_at(o) + x->ttl_ms;
		uint64_t rev;

		if (at > now)
			next = at < next ? at : next;
		else if (bucket_latest(x->bucket, obj_key(o), &rev) == o)
			objects_remove(x->s->objects, x->bucket, o, NULL, NULL);
	}
	if (next < INT64_MAX)
		loop_timer_set(x->timer, next - now + EXPIRE_SLACK_MS);
}

static void changed(struct bucket_watch *w, const struct bucket_change *c)
{
	struct expirer *x = w->arg;

	if (c->type == BUCKET_ADDED && !loop_timer_armed(x->timer))
		loop_timer_set(x->timer, x->ttl_ms);
}

static void never_gone(struct bucket_watch *w)
{
	(void)w;
}

static struct expirer *follow(struct expirer *list, struct apiserver *s, struct resource *r)
{
	struct bucket *b = objects_bucket_of(s->objects, r);
	struct expirer *x;

	for (x = list; x; x = x->next)
		if (x->bucket == b)
			return list;
	x = MEM_NEW(struct expirer);
	*x = (struct expirer){ .s = s, .bucket = b, .ttl_ms = r->def->ttl_seconds * 1000, .next = list };
	x->watch = (struct bucket_watch){ .arg = x, .change = changed, .gone = never_gone };
	x->timer = loop_timer_new(s->loop, expire, x);
	bucket_watch_add(b, &x->watch, "");
	if (bucket_len(b) > 0)
		loop_timer_set(x->timer, 0);
	return x;
}

struct expirer *expirer_new(struct apiserver *s)
{
	const struct group_version *gv;
	struct expirer *list = NULL;

	for (size_t i = 0; (gv = registry_gv_at(s->objects->registry, i)); i++)
		for (size_t j = 0; j < gv->n; j++)
			if (gv->items[j]->def->ttl_seconds > 0)
				list = follow(list, s, gv->items[j]);
	return list;
}

void expirer_free(struct expirer *x)
{
	while (x) {
		struct expirer *next = x->next;

		bucket_watch_remove(&x->watch);
		loop_timer_free(x->timer);
		free(x);
		x = next;
	}
}
