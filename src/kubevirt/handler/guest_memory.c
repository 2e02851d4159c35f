/* SPDX-License-Identifier: Apache-2.0 */
/* A change of memory in place, steps 4 and 5 of kubevirt/api/handoff.h. rollout.md 3.3, 7.4; decisions
 * 10 to 12. */
#include "kubevirt/handler/guest.h"

#include <inttypes.h>

#include "api/meta.h"
#include "api/quantity.h"
#include "base/mem.h"
#include "kubevirt/api/handoff.h"
#include "kubevirt/api/names.h"

#define PERCENT 100
#define RETRY_MS 1000   /* doubled by each further failure */
#define BOOT_MS 300000  /* so long a guest may take until its driver serves requests */
#define MESSAGE_MAX 800 /* events hold 1024 bytes */

static const struct json *compute(const struct json *list)
{
	JSON_EACH (it, list)
		if (str_eq(json_get_str(it.val, "name"), POD_CONTAINER_COMPUTE))
			return it.val;
	return NULL;
}

/* What the pod has to request for a guest of that size: rollout.md 3.3 step 3. Huge pages are counted
 * apart. */
static int64_t pod_need(const struct guest_view *v, const struct json *vmi, int64_t guest)
{
	const struct json *domain = json_at(vmi, "/spec/domain"), *res = json_get(domain, "resources");
	const struct json *given = json_at(res, "/requests/memory");
	const char *text = meta_annotation(obj_json(v->pod), ANN_MEMORY_OVERHEAD);
	int64_t overhead = 0, need;

	if (!str_to_i64(text ? text : "", 0, INT64_MAX, &overhead))
		overhead = quantity_bytes(json_at(vmi, "/status/memory/memoryOverhead"));
	if (overhead < 0 || json_bool(json_get(res, "overcommitGuestOverhead")))
		overhead = 0;
	if (json_at(domain, "/memory/hugepages"))
		return overhead;
	if (!given)
		given = json_at(res, "/limits/memory");
	need = given ? quantity_bytes(given) : guest / v->config->memory_overcommit * PERCENT;
	return need + overhead;
}

bool guest_pod_covers(const struct guest_view *v, const struct json *vmi, int64_t guest)
{
	const struct json *pod = v->pod ? obj_json(v->pod) : NULL;
	const struct json *asked = json_get(compute(json_at(pod, "/spec/containers")), "resources");
	const struct json *has = json_get(compute(json_at(pod, "/status/containerStatuses")), "resources");
	const struct json *limit = json_at(asked, "/limits/memory");
	int64_t request = quantity_bytes(json_at(asked, "/requests/memory"));

	if (!pod || !has || request < pod_need(v, vmi, guest))
		return false;
	if (quantity_bytes(json_at(has, "/requests/memory")) < request)
		return false;
	return !limit || quantity_bytes(json_at(has, "/limits/memory")) >= quantity_bytes(limit);
}

bool guest_memory_is(const struct guest_facts *f, int64_t bytes)
{
	const struct json *told = json_get(f->state, "memory");

	return !f->memory.busy && json_i64(json_get(told, "current")) == bytes &&
	       json_i64(json_get(told, "requested")) == bytes && !json_bool(json_get(told, "resizing"));
}

static void finish(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t guest)
{
	struct json *status = json_need_obj(d, vmi, "status"), *memory = json_need_obj(d, status, "memory");
	char text[QUANTITY_TEXT_MAX];

	json_set_str(d, memory, "guestCurrent", quantity_bytes_text(guest, text));
	json_set_str(d, memory, "guestRequested", text);
	cond_remove(d, status, COND_HOT_MEMORY);
	meta_set_annotation(d, vmi, ANN_HOT_MEMORY_FAILURES, NULL);
}

static void give_up(const struct guest_view *v, struct json_doc *d, struct json *vmi, char *why /* taken */,
	struct guest_memory_step *ret)
{
	int64_t current = v->facts->memory.done ? v->facts->memory.current : 0;
	struct json *status = json_need_obj(d, vmi, "status");
	char text[QUANTITY_TEXT_MAX];

	if (current > 0)
		json_set_str(d, json_need_obj(d, status, "memory"), "guestCurrent",
			quantity_bytes_text(current, text));
	cond_set(d, status, COND_HOT_MEMORY, "False", HOT_MEMORY_FAILED, why, v->now);
	meta_set_annotation(d, vmi, ANN_HOT_MEMORY_FAILURES, NULL);
	ret->failure = why;
}

static char *shortfall(const struct guest_memory *m)
{
	char asked[QUANTITY_TEXT_MAX], has[QUANTITY_TEXT_MAX];

	if (m->error)
		return mem_strndup(m->error, MESSAGE_MAX);
	return str_printf("%s were asked for, the guest %s %s", quantity_bytes_text(m->target, asked),
		m->current > m->target ? "does not go below" : "took no more than",
		quantity_bytes_text(m->current, has));
}

/* Before its driver is there a guest takes nothing, and everything afterwards (qemu.md 5.1): no failure yet. */
static bool still_booting(const struct guest_view *v)
{
	int64_t since = json_i64(json_get(v->facts->state, "startedAtMs"));

	return !json_bool(json_at(v->facts->state, "/guest/booted")) && v->now - since < BOOT_MS;
}

/* ---- attempts (rollout.md 7.12) ---- */
struct attempts {
	int64_t count, next; /* failed so far; wall ms of the next one */
};

static struct attempts attempts_of(const struct json *vmi, int64_t target)
{
	const char *given = meta_annotation(vmi, ANN_HOT_MEMORY_FAILURES);
	CLEANUP(mem_freep) char *text = given ? mem_strdup(given) : NULL;
	struct attempts a = { 0 };
	int64_t about;
	char *rest = text;

	if (!rest || !str_to_i64(str_next(&rest, ' '), 0, INT64_MAX, &about) || about != target || !rest)
		return a;
	if (!str_to_i64(str_next(&rest, ' '), 0, HOT_MEMORY_ATTEMPTS_MAX, &a.count) || !rest ||
		!str_to_i64(rest, 0, INT64_MAX, &a.next))
		return (struct attempts){ 0 };
	return a;
}

/* One more has failed, for a reason that may pass. False: that was the last. */
static bool put_off(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t target,
	struct guest_memory_step *ret)
{
	struct attempts a = attempts_of(vmi, target);
	CLEANUP(mem_freep) char *text = NULL, *message = NULL;

	if (++a.count >= HOT_MEMORY_ATTEMPTS_MAX)
		return false;
	a.next = v->now + (RETRY_MS << (a.count - 1));
	text = str_printf("%" PRId64 " %" PRId64 " %" PRId64, target, a.count, a.next);
	message = str_printf("attempt %" PRId64 " of %d: %.*s", a.count, HOT_MEMORY_ATTEMPTS_MAX, MESSAGE_MAX,
		v->facts->memory.error ? v->facts->memory.error : "");
	meta_set_annotation(d, vmi, ANN_HOT_MEMORY_FAILURES, text);
	cond_set(d, json_need_obj(d, vmi, "status"), COND_HOT_MEMORY, "True", HOT_MEMORY_IN_PLACE, message,
		v->now);
	ret->again = a.next;
	return true;
}

/* It was written off, and the guest took it all the same: later, when it had booted or found memory. */
static bool came_late(
	const struct guest_view *v, const struct json *cond, const struct json *vmi, int64_t guest)
{
	const char *target = meta_annotation(vmi, ANN_HOT_MEMORY_TARGET);
	int64_t about = 0;

	return str_eq(json_get_str(cond, "status"), "False") && target &&
	       str_to_i64(target, 0, INT64_MAX, &about) && about == guest && !v->facts->memory.done &&
	       guest_memory_is(v->facts, guest);
}

/* A result is about the wanted size: that settles it. */
static void settle(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t guest,
	struct guest_memory_step *ret)
{
	if (v->facts->memory.complete)
		finish(v, d, vmi, guest);
	else if (!v->facts->memory.error && still_booting(v))
		ret->set = guest;
	else if (!v->facts->memory.passing || !put_off(v, d, vmi, guest, ret))
		give_up(v, d, vmi, shortfall(&v->facts->memory), ret);
}

/* Nothing is to change, and yet the launcher was told another size last: that was taken back before it came, and would come
 * late. It is told again what holds. */
static void take_back(const struct guest_view *v, struct json_doc *d, struct json *vmi, int64_t guest,
	struct guest_memory_step *ret)
{
	const struct guest_memory *m = &v->facts->memory;
	const struct json *told = json_get(v->facts->state, "memory");
	int64_t current = json_i64(json_get(told, "current")),
		requested = json_i64(json_get(told, "requested"));

	if (guest <= 0 || requested <= 0 || (requested == guest && current == guest) ||
		quantity_bytes(json_at(vmi, "/status/memory/guestRequested")) != guest)
		return;
	if (m->done && m->target == guest) {
		if (!m->complete && !m->passing)
			give_up(v, d, vmi, shortfall(m), ret);
		return;
	}
	if (requested == guest || (m->busy && m->target == guest) ||
		str_eq(json_get_str(v->facts->state, "phase"), "Paused") ||
		(guest > current && !guest_pod_covers(v, vmi, guest)))
		return;
	ret->set = guest;
}

void guest_memory(
	const struct guest_view *v, struct json_doc *d, struct json *vmi, struct guest_memory_step *ret)
{
	const struct guest_memory *m = &v->facts->memory;
	const struct json *told = json_get(v->facts->state, "memory");
	const struct json *cond = cond_find(json_at(vmi, "/status/conditions"), COND_HOT_MEMORY);
	int64_t guest = quantity_bytes(json_at(vmi, "/spec/domain/memory/guest"));
	int64_t current = json_i64(json_get(told, "current"));
	struct attempts attempts = attempts_of(vmi, guest);

	ret->seen = m->done;
	if (came_late(v, cond, vmi, guest))
		finish(v, d, vmi, guest);
	if (!cond)
		take_back(v, d, vmi, guest, ret);
	if (!str_eq(json_get_str(cond, "status"), "True") ||
		!str_eq(json_get_str(cond, "reason"), HOT_MEMORY_IN_PLACE))
		return;
	if (m->done && m->target == guest) {
		settle(v, d, vmi, guest, ret);
		return;
	}
	if (meta_annotation(vmi, ANN_TEST_MEMORY_FAIL)) {
		give_up(v, d, vmi, str_printf("failed on request of annotation %s", ANN_TEST_MEMORY_FAIL),
			ret);
		return;
	}
	if (guest <= 0 || !told || (m->busy && m->target == guest))
		return;
	if (guest_memory_is(v->facts, guest)) {
		finish(v, d, vmi, guest);
		return;
	}
	/* A guest that stands still takes nothing; it is asked when it goes on. */
	if (str_eq(json_get_str(v->facts->state, "phase"), "Paused"))
		return;
	/* Room first, then the guest; the other way round when it shrinks. */
	if (guest > current && !guest_pod_covers(v, vmi, guest))
		return;
	if (attempts.next > v->now) {
		ret->again = attempts.next;
		return;
	}
	ret->set = guest;
}
