/* SPDX-License-Identifier: Apache-2.0 */
#include "api/patch.h"

#include <string.h>

#include "api/members.h"
#include "base/mem.h"

struct diff {
	struct json_doc *d;
	struct json *ops;
	struct str path;
	bool tests;
};

static struct json *add_op(struct diff *x, const char *op)
{
	struct json *o = json_new_obj(x->d);

	json_set_str(x->d, o, "op", op);
	json_set_str(x->d, o, "path", str_cstr(&x->path));
	json_append(x->d, x->ops, o);
	return o;
}

/* "test" of null also passes where nothing stands: there the server sees no difference either. */
static void expect_old(struct diff *x, const struct json *old)
{
	if (x->tests)
		json_set_copy(x->d, add_op(x, "test"), "value", old);
}

static void replace(struct diff *x, const struct json *a, const struct json *b)
{
	expect_old(x, a);
	json_set_copy(x->d, add_op(x, "replace"), "value", b);
}

static size_t enter(struct diff *x, const char *segment)
{
	size_t len = x->path.len;

	json_pointer_add(&x->path, segment);
	return len;
}

static size_t enter_index(struct diff *x, size_t i)
{
	size_t len = x->path.len;

	str_addf(&x->path, "/%zu", i);
	return len;
}

static void leave(struct diff *x, size_t len)
{
	x->path.len = len;
	if (x->path.data)
		x->path.data[len] = '\0';
}

static void diff(struct diff *x, const struct json *a, const struct json *b);

static void diff_objects(struct diff *x, const struct json *a, const struct json *b)
{
	CLEANUP(members_done) struct members was = { 0 };
	CLEANUP(members_done) struct members is = { 0 };

	members_init(&was, a);
	members_init(&is, b);
	JSON_EACH (it, a) {
		const struct json *now = members_get(&is, it.key, it.key_len);
		size_t len = enter(x, it.key);

		if (now) {
			diff(x, it.val, now);
		} else {
			expect_old(x, it.val);
			add_op(x, "remove");
		}
		leave(x, len);
	}
	JSON_EACH (it, b) {
		if (members_get(&was, it.key, it.key_len))
			continue;
		size_t len = enter(x, it.key);
		json_set_copy(x->d, add_op(x, "add"), "value", it.val);
		leave(x, len);
	}
}

/* What both ends have in common stays; of the middle, items are compared in place and the rest goes or comes. */
static void diff_arrays(struct diff *x, const struct json *a, const struct json *b)
{
	size_t na = json_len(a), nb = json_len(b), head = 0, tail = 0;
	CLEANUP(mem_freep) const struct json **va = mem_alloc((na + 1) * sizeof(*va));
	CLEANUP(mem_freep) const struct json **vb = mem_alloc((nb + 1) * sizeof(*vb));

	JSON_EACH (it, a)
		va[it.i] = it.val;
	JSON_EACH (it, b)
		vb[it.i] = it.val;
	while (head < na && head < nb && json_eq(va[head], vb[head]))
		head++;
	while (tail < na - head && tail < nb - head && json_eq(va[na - 1 - tail], vb[nb - 1 - tail]))
		tail++;
	size_t both = (na < nb ? na : nb) - head - tail;
	for (size_t i = head; i < head + both; i++) {
		size_t len = enter_index(x, i);
		diff(x, va[i], vb[i]);
		leave(x, len);
	}
	for (size_t i = na - tail; i > head + both; i--) {
		size_t len = enter_index(x, i - 1);
		expect_old(x, va[i - 1]);
		add_op(x, "remove");
		leave(x, len);
	}
	for (size_t i = head + both; i < nb - tail; i++) {
		size_t len = enter_index(x, i);
		json_set_copy(x->d, add_op(x, "add"), "value", vb[i]);
		leave(x, len);
	}
}

static void diff(struct diff *x, const struct json *a, const struct json *b)
{
	if (json_is_obj(a) && json_is_obj(b))
		diff_objects(x, a, b);
	else if (json_is_arr(a) && json_is_arr(b))
		diff_arrays(x, a, b);
	else if (!json_eq(a, b))
		replace(x, a, b);
}

struct json *patch_diff(struct json_doc *d, const struct json *a, const struct json *b, bool tests)
{
	struct diff x = { .d = d, .ops = json_new_arr(d), .tests = tests };

	diff(&x, a, b);
	str_done(&x.path);
	return x.ops;
}
