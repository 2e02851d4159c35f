/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/apiserver/deadline.h"

#include "platform/apiserver/server.h"

#include "base/mem.h"
#include "base/time.h"

#include <string.h>

struct deadlines {
	struct loop *loop;
	struct loop_timer *timer;
	struct deadline *first;
};

/* False: whoever works on it can not let go of it now. */
static bool time_is_up(struct request *r)
{
	struct err e = { 0 };

	if (!request_abandon(r))
		return false;
	err_set(&e, ERR_TIMEOUT,
		"Timeout: request did not complete within requested timeout - context deadline exceeded");
	request_fail(r, &e, NULL, NULL, NULL);
	return true;
}

static struct deadline *due(const struct deadlines *ds, int64_t now)
{
	for (struct deadline *d = ds->first; d; d = d->next)
		if (d->at <= now)
			return d;
	return NULL;
}

static void tick(void *arg)
{
	struct deadlines *ds = arg;
	int64_t now = loop_mono_ms(ds->loop);
	struct deadline *d;

	/* from the start each time: an answer may make room for other requests, and those end, too */
	while ((d = due(ds, now))) {
		d->at = now + DEADLINE_TICK_MS;
		(void)time_is_up(d->r);
	}
	if (ds->first)
		loop_timer_set(ds->timer, DEADLINE_TICK_MS);
}

struct deadlines *deadlines_new(struct loop *l)
{
	struct deadlines *ds = MEM_NEW(struct deadlines);

	ds->loop = l;
	ds->timer = loop_timer_new(l, tick, ds);
	return ds;
}

void deadlines_free(struct deadlines *ds)
{
	if (!ds)
		return;
	while (ds->first)
		deadline_over(ds->first);
	loop_timer_free(ds->timer);
	free(ds);
}

/* Others answer these, in their own time, or they go on for as long as somebody listens. */
static bool is_endless(struct apiserver *s, const struct reqinfo *i)
{
	static const char *const subs[] = { "exec", "attach", "log", "portforward", "proxy", NULL };
	const struct group_version *gv;

	if (!i->resource_request)
		return false;
	if (str_eq(i->verb, "watch") || (i->sub && str_in(i->sub, subs)))
		return true;
	gv = registry_gv(s->objects->registry, i->group, i->version);
	return gv && gv->remote;
}

int deadline_begin(
	struct apiserver *s, struct deadline *d, struct request *r, const struct reqinfo *i, struct err *e)
{
	struct deadlines *ds = s->deadlines;
	const char *asked = request_query(r, "timeout"), *method = request_method(r);
	bool read = str_eq(method, "GET") || str_eq(method, "HEAD");
	int64_t ms = read ? DEADLINE_READ_MS : DEADLINE_WRITE_MS, wanted = 0;

	if (is_endless(s, i))
		return 0;
	if (!str_empty(asked) && !time_parse_duration(asked, &wanted))
		return err_set(e, ERR_BAD_REQUEST,
			"invalid timeout specified in the request URL - time: invalid duration \"%.100s\"",
			asked);
	if (wanted > 0 && wanted < ms)
		ms = wanted;
	d->r = r;
	d->at = loop_mono_ms(ds->loop) + ms;
	d->next = ds->first;
	d->prev = &ds->first;
	if (d->next)
		d->next->prev = &d->next;
	ds->first = d;
	if (!loop_timer_armed(ds->timer))
		loop_timer_set(ds->timer, DEADLINE_TICK_MS);
	return 0;
}

void deadline_over(struct deadline *d)
{
	if (!d->prev)
		return;
	*d->prev = d->next;
	if (d->next)
		d->next->prev = d->prev;
	d->prev = NULL;
}
