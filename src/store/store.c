/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

int store_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e)
{
	return s->ops->load(s, ops, arg, e);
}

uint64_t store_revision(const struct store *s)
{
	return s->revision;
}

uint64_t store_compacted(const struct store *s)
{
	return s->compacted;
}

uint64_t store_next(const struct store *s)
{
	return s->next;
}

void store_write(struct store *s, const struct store_write *w)
{
	s->ops->write(s, w);
}

void store_compact(struct store *s, uint64_t before)
{
	s->ops->compact(s, before);
}

const struct err *store_trouble(const struct store *s)
{
	return s->trouble.code == ERR_NONE ? NULL : &s->trouble;
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}
