/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/workqueue.h"

#include "base/mem.h"
#include "kube/keymap.h"

#define NOT_QUEUED ((size_t)-1)

struct wq_item {
	char *key;
	int64_t due; /* mono ms */
	uint64_t seq;
	size_t pos; /* in the heap */
	bool out;   /* taken, not yet done */
	bool again; /* added while out, to be due at again_due */
	int64_t again_due;
};

struct workqueue {
	struct loop *loop;
	struct loop_timer *timer;
	loop_fn *ready;
	void *arg;
	struct keymap items;
	struct wq_item **heap; /* the smallest (due, seq) first */
	size_t len, cap;
	uint64_t seq;
};

static bool item_before(const struct wq_item *a, const struct wq_item *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void heap_place(struct workqueue *q, size_t pos, struct wq_item *it)
{
	q->heap[pos] = it;
	it->pos = pos;
}

static void heap_up(struct workqueue *q, size_t pos)
{
	struct wq_item *it = q->heap[pos];

	while (pos > 0 && item_before(it, q->heap[(pos - 1) / 2])) {
		heap_place(q, pos, q->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_place(q, pos, it);
}

static void heap_down(struct workqueue *q, size_t pos)
{
	struct wq_item *it = q->heap[pos];

	for (;;) {
		size_t child = 2 * pos + 1;

		if (child >= q->len)
			break;
		if (child + 1 < q->len && item_before(q->heap[child + 1], q->heap[child]))
			child++;
		if (!item_before(q->heap[child], it))
			break;
		heap_place(q, pos, q->heap[child]);
		pos = child;
	}
	heap_place(q, pos, it);
}

static struct wq_item *heap_pop(struct workqueue *q)
{
	struct wq_item *top = q->heap[0], *last = q->heap[--q->len];

	if (q->len) {
		heap_place(q, 0, last);
		heap_down(q, 0);
	}
	top->pos = NOT_QUEUED;
	return top;
}

static void item_free(void *p)
{
	struct wq_item *it = p;

	if (!it)
		return;
	free(it->key);
	free(it);
}

static void wq_arm(struct workqueue *q)
{
	int64_t wait;

	if (!q->len) {
		loop_timer_stop(q->timer);
		return;
	}
	wait = q->heap[0]->due - loop_mono_ms(q->loop);
	loop_timer_set(q->timer, wait > 0 ? wait : 0);
}

static void wq_fire(void *arg)
{
	struct workqueue *q = arg;

	q->ready(q->arg);
}

struct workqueue *wq_new(struct loop *l, loop_fn *ready, void *arg)
{
	struct workqueue *q = MEM_NEW(struct workqueue);

	q->loop = l;
	q->ready = ready;
	q->arg = arg;
	q->timer = loop_timer_new(l, wq_fire, q);
	return q;
}

void wq_free(struct workqueue *q)
{
	if (!q)
		return;
	loop_timer_free(q->timer);
	keymap_done(&q->items, item_free);
	free(q->heap);
	free(q);
}

static void wq_queue(struct workqueue *q, struct wq_item *it, int64_t due)
{
	if (it->pos != NOT_QUEUED) {
		if (due >= it->due)
			return;
		it->due = due;
		it->seq = q->seq++;
		heap_up(q, it->pos);
		wq_arm(q);
		return;
	}
	it->due = due;
	it->seq = q->seq++;
	q->heap = mem_grow(q->heap, &q->cap, q->len + 1, sizeof(q->heap[0]));
	heap_place(q, q->len, it);
	heap_up(q, q->len++);
	wq_arm(q);
}

void wq_add_after(struct workqueue *q, const char *key, int64_t delay_ms)
{
	struct wq_item *it = keymap_get(&q->items, key);
	int64_t due = loop_mono_ms(q->loop) + (delay_ms > 0 ? delay_ms : 0);

	if (!it) {
		it = MEM_NEW(struct wq_item);
		it->key = mem_strdup(key);
		it->pos = NOT_QUEUED;
		keymap_put(&q->items, key, it);
	}
	if (!it->out) {
		wq_queue(q, it, due);
	} else if (!it->again || due < it->again_due) {
		it->again = true;
		it->again_due = due;
	}
}

void wq_add(struct workqueue *q, const char *key)
{
	wq_add_after(q, key, 0);
}

bool wq_take(struct workqueue *q, const char **ret_key)
{
	struct wq_item *it;

	if (!wq_due(q))
		return false;
	it = heap_pop(q);
	it->out = true;
	wq_arm(q);
	*ret_key = it->key;
	return true;
}

void wq_done(struct workqueue *q, const char *key)
{
	struct wq_item *it = keymap_get(&q->items, key);

	MUST(it && it->out);
	it->out = false;
	if (it->again) {
		it->again = false;
		wq_queue(q, it, it->again_due);
		return;
	}
	item_free(keymap_take(&q->items, key));
	wq_arm(q);
}

bool wq_due(const struct workqueue *q)
{
	return q->len && q->heap[0]->due <= loop_mono_ms(q->loop);
}

size_t wq_len(const struct workqueue *q)
{
	return q->len;
}
