/* SPDX-License-Identifier: Apache-2.0 */
#include "api/members.h"

#include <string.h>

#include "base/mem.h"

#define SMALL 32

bool members_too_many(const struct json *map, const struct json *patch, struct err *e)
{
	size_t n = json_len(map), m = json_len(patch);

	if (n + m <= MEMBERS_WORK_MAX / (m + 1))
		return false;
	err_set(e, ERR_TOO_LARGE, "maps of %zu and %zu members are too large to merge", n, m);
	return true;
}

static int compare(const char *a, size_t na, const char *b, size_t nb)
{
	int d = memcmp(a, b, na < nb ? na : nb);

	return d ? d : na < nb ? -1 : na > nb;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return compare(x->key, x->len, y->key, y->len);
}

void members_init(struct members *m, const struct json *obj)
{
	*m = (struct members){ .obj = obj };
	if (!json_is_obj(obj) || json_len(obj) <= SMALL)
		return;
	m->sorted = mem_alloc(json_len(obj) * sizeof(*m->sorted));
	JSON_EACH (it, obj)
		m->sorted[m->n++] = (struct member){ it.key, it.key_len, it.val };
	qsort(m->sorted, m->n, sizeof(*m->sorted), compare_members);
}

void members_done(struct members *m)
{
	free(m->sorted);
	*m = (struct members){ 0 };
}

struct json *members_get(const struct members *m, const char *key, size_t len)
{
	size_t lo = 0, hi = m->n;

	if (!m->sorted)
		return json_getn(m->obj, key, len);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int d = compare(m->sorted[mid].key, m->sorted[mid].len, key, len);

		if (d == 0)
			return m->sorted[mid].v;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
