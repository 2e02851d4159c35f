/* SPDX-License-Identifier: Apache-2.0 */
#include "store/etcd_proto.h"

#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* RangeRequest */
enum { RANGE_KEY = 1, RANGE_END = 2, RANGE_LIMIT = 3, RANGE_REV = 4, RANGE_KEYS_ONLY = 8 };
/* TxnRequest; Compare; RequestOp */
enum { TXN_COMPARE = 1 };
enum { CMP_RESULT = 1, CMP_TARGET = 2, CMP_KEY = 3, CMP_VERSION = 4, CMP_MOD_REV = 6 };
enum { TARGET_VERSION = 0, TARGET_MOD = 2 };
enum { OP_RANGE = 1, OP_PUT = 2, OP_DELETE = 3 };
/* WatchRequest, WatchCreateRequest */
enum { WATCH_CREATE = 1, WATCH_CANCEL = 2, WATCH_PROGRESS = 3 };
enum {
	CREATE_KEY = 1,
	CREATE_END = 2,
	CREATE_START = 3,
	CREATE_NOTIFY = 4,
	CREATE_PREV = 6,
	CREATE_ID = 7,
	CREATE_FRAGMENT = 8
};
/* answers */
enum { HEADER = 1, HEADER_REV = 3, HEADER_TERM = 4 };
enum { RANGE_KVS = 2, RANGE_MORE = 3 };
enum { KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VERSION = 4, KV_VALUE = 5 };
enum { TXN_SUCCEEDED = 2, TXN_RESPONSES = 3 };
enum {
	WATCHED_ID = 2,
	WATCHED_CREATED = 3,
	WATCHED_CANCELED = 4,
	WATCHED_COMPACT = 5,
	WATCHED_REASON = 6,
	WATCHED_EVENTS = 11
};
enum { EVENT_TYPE = 1, EVENT_KV = 2, EVENT_PREV = 3 };

/* ---- writing ---- */
static void put_varint(struct str *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		str_addc(out, (char)(v | 0x80));
	str_addc(out, (char)v);
}

static void put_number(struct str *out, unsigned field, int64_t v)
{
	if (v == 0)
		return;
	put_varint(out, field << 3 | WIRE_VARINT);
	put_varint(out, (uint64_t)v);
}

static void put_bytes(struct str *out, unsigned field, const void *data, size_t len)
{
	put_varint(out, field << 3 | WIRE_BYTES);
	put_varint(out, len);
	str_addn(out, data, len);
}

static void put_text(struct str *out, unsigned field, const char *s)
{
	if (s)
		put_bytes(out, field, s, strlen(s));
}

static void put_message(struct str *out, unsigned field, const struct str *m)
{
	put_bytes(out, field, str_cstr(m), m->len);
}

void etcd_put_range(struct str *out, const struct etcd_range *r)
{
	put_text(out, RANGE_KEY, r->key);
	put_text(out, RANGE_END, r->end);
	put_number(out, RANGE_LIMIT, r->limit);
	put_number(out, RANGE_REV, r->rev);
	put_number(out, RANGE_KEYS_ONLY, r->keys_only);
}

static void compare(struct str *out, const char *key, int64_t target, unsigned field, int64_t v)
{
	struct str c = { 0 };

	put_number(&c, CMP_TARGET, target); /* the result that is asked for, EQUAL, is 0 */
	put_text(&c, CMP_KEY, key);
	put_varint(&c, field << 3 | WIRE_VARINT); /* one of several: said even if 0 */
	put_varint(&c, (uint64_t)v);
	put_message(out, TXN_COMPARE, &c);
	str_done(&c);
}

void etcd_txn_if_mod(struct str *out, const char *key, int64_t rev)
{
	compare(out, key, TARGET_MOD, CMP_MOD_REV, rev);
}

void etcd_txn_if_version(struct str *out, const char *key, int64_t version)
{
	compare(out, key, TARGET_VERSION, CMP_VERSION, version);
}

static void txn_op(struct str *out, enum etcd_branch branch, unsigned op, const struct str *m)
{
	struct str o = { 0 };

	put_message(&o, op, m);
	put_message(out, branch, &o);
	str_done(&o);
}

void etcd_txn_put(struct str *out, enum etcd_branch b, const char *key, const char *value, size_t len)
{
	struct str m = { 0 };

	str_reserve(&m, len + strlen(key) + 16);
	put_text(&m, 1, key);
	put_bytes(&m, 2, value, len);
	txn_op(out, b, OP_PUT, &m);
	str_done(&m);
}

void etcd_txn_delete(struct str *out, enum etcd_branch b, const char *key)
{
	struct str m = { 0 };

	put_text(&m, 1, key);
	txn_op(out, b, OP_DELETE, &m);
	str_done(&m);
}

void etcd_txn_get(struct str *out, enum etcd_branch b, const char *key, bool keys_only)
{
	struct str m = { 0 };

	etcd_put_range(&m, &(struct etcd_range){ .key = key, .keys_only = keys_only });
	txn_op(out, b, OP_RANGE, &m);
	str_done(&m);
}

void etcd_put_compact(struct str *out, int64_t rev)
{
	put_number(out, 1, rev);
}

void etcd_put_watch(struct str *out, const struct etcd_watch *w)
{
	struct str m = { 0 };

	put_text(&m, CREATE_KEY, w->key);
	put_text(&m, CREATE_END, w->end);
	put_number(&m, CREATE_START, w->start);
	put_number(&m, CREATE_NOTIFY, 1);
	put_number(&m, CREATE_PREV, w->prev);
	put_number(&m, CREATE_ID, w->id);
	put_number(&m, CREATE_FRAGMENT, 1); /* an answer of many events comes in pieces of bounded size */
	put_message(out, WATCH_CREATE, &m);
	str_done(&m);
}

void etcd_put_watch_cancel(struct str *out, int64_t id)
{
	struct str m = { 0 };

	put_number(&m, 1, id);
	put_message(out, WATCH_CANCEL, &m);
	str_done(&m);
}

void etcd_put_progress(struct str *out)
{
	put_bytes(out, WATCH_PROGRESS, "", 0);
}

/* ---- reading ---- */
static bool get_varint(struct etcd_read *r, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
		uint8_t b = *r->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static int broken(struct err *e)
{
	return err_set(e, ERR_BAD_REQUEST, "etcd's answer is not readable");
}

static bool skip(struct etcd_read *r, size_t n)
{
	if ((size_t)(r->end - r->p) < n)
		return false;
	r->p += n;
	return true;
}

int etcd_next(struct etcd_read *r, struct err *e)
{
	uint64_t tag, len;
	bool ok;

	if (r->p == r->end)
		return 0;
	if (!get_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
		return broken(e);
	r->field = (uint32_t)(tag >> 3);
	r->number = 0;
	r->bytes = (struct etcd_bytes){ "", 0 };
	switch (tag & 7) {
	case WIRE_VARINT:
		ok = get_varint(r, &r->number);
		break;
	case WIRE_BYTES:
		ok = get_varint(r, &len) && len <= (uint64_t)(r->end - r->p);
		if (ok) {
			r->bytes = (struct etcd_bytes){ (const char *)r->p, (size_t)len };
			r->p += len;
		}
		break;
	case WIRE_FIXED64:
		ok = skip(r, 8);
		break;
	case WIRE_FIXED32:
		ok = skip(r, 4);
		break;
	default:
		ok = false;
	}
	return ok ? 1 : broken(e);
}

static struct etcd_read inside(const struct etcd_read *r)
{
	return etcd_reader(r->bytes.data, r->bytes.len);
}

static int get_header(const struct etcd_read *at, int64_t *ret_rev, uint64_t *ret_term, struct err *e)
{
	struct etcd_read r = inside(at);
	int more;

	while ((more = etcd_next(&r, e)) > 0)
		if (r.field == HEADER_REV)
			*ret_rev = (int64_t)r.number;
		else if (r.field == HEADER_TERM && ret_term)
			*ret_term = r.number;
	return more;
}

static int get_kv(const struct etcd_read *at, struct etcd_kv *ret, struct err *e)
{
	struct etcd_read r = inside(at);
	int more;

	*ret = (struct etcd_kv){ .key = { "", 0 }, .value = { "", 0 } };
	while ((more = etcd_next(&r, e)) > 0) {
		if (r.field == KV_KEY)
			ret->key = r.bytes;
		else if (r.field == KV_VALUE)
			ret->value = r.bytes;
		else if (r.field == KV_CREATE)
			ret->create_rev = (int64_t)r.number;
		else if (r.field == KV_MOD)
			ret->mod_rev = (int64_t)r.number;
		else if (r.field == KV_VERSION)
			ret->version = (int64_t)r.number;
	}
	return more;
}

int etcd_next_kv(struct etcd_read *r, struct etcd_kv *ret, struct err *e)
{
	int more;

	while ((more = etcd_next(r, e)) > 0)
		if (r->field == RANGE_KVS)
			return get_kv(r, ret, e) < 0 ? -1 : 1;
	return more;
}

int etcd_get_range(const void *data, size_t len, struct etcd_range_answer *ret, struct err *e)
{
	struct etcd_read r = etcd_reader(data, len);
	int more;

	*ret = (struct etcd_range_answer){ .kvs = r };
	while ((more = etcd_next(&r, e)) > 0) {
		if (r.field == HEADER && get_header(&r, &ret->rev, NULL, e) < 0)
			return -1;
		if (r.field == RANGE_MORE)
			ret->more = r.number != 0;
	}
	return more;
}

/* One ResponseOp; only those of gets are of interest. */
static int get_response(const struct etcd_read *at, struct etcd_txn_answer *ret, struct err *e)
{
	struct etcd_read r = inside(at);
	int more;

	while ((more = etcd_next(&r, e)) > 0) {
		struct etcd_range_answer a;
		struct etcd_kv *kv = &ret->gets[ret->n];

		if (r.field != OP_RANGE)
			continue;
		if (ret->n == ETCD_TXN_GETS_MAX)
			return broken(e);
		*kv = (struct etcd_kv){ 0 };
		if (etcd_get_range(r.bytes.data, r.bytes.len, &a, e) < 0 || etcd_next_kv(&a.kvs, kv, e) < 0)
			return -1;
		ret->n++;
	}
	return more;
}

int etcd_get_txn(const void *data, size_t len, struct etcd_txn_answer *ret, struct err *e)
{
	struct etcd_read r = etcd_reader(data, len);
	int more;

	*ret = (struct etcd_txn_answer){ 0 };
	while ((more = etcd_next(&r, e)) > 0) {
		if (r.field == HEADER && get_header(&r, &ret->rev, NULL, e) < 0)
			return -1;
		if (r.field == TXN_SUCCEEDED)
			ret->succeeded = r.number != 0;
		if (r.field == TXN_RESPONSES && get_response(&r, ret, e) < 0)
			return -1;
	}
	return more;
}

int etcd_get_watch(const void *data, size_t len, struct etcd_watch_answer *ret, struct err *e)
{
	struct etcd_read r = etcd_reader(data, len);
	int more;

	*ret = (struct etcd_watch_answer){ .events = r, .reason = { "", 0 } };
	while ((more = etcd_next(&r, e)) > 0) {
		if (r.field == HEADER && get_header(&r, &ret->rev, &ret->term, e) < 0)
			return -1;
		if (r.field == WATCHED_ID)
			ret->id = (int64_t)r.number;
		else if (r.field == WATCHED_CREATED)
			ret->created = r.number != 0;
		else if (r.field == WATCHED_CANCELED)
			ret->canceled = r.number != 0;
		else if (r.field == WATCHED_COMPACT)
			ret->compact_rev = (int64_t)r.number;
		else if (r.field == WATCHED_REASON)
			ret->reason = r.bytes;
	}
	return more;
}

static int get_event(const struct etcd_read *at, struct etcd_event *ret, struct err *e)
{
	struct etcd_read r = inside(at);
	int more;

	*ret = (struct etcd_event){ 0 };
	while ((more = etcd_next(&r, e)) > 0) {
		if (r.field == EVENT_TYPE)
			ret->deleted = r.number == 1;
		if (r.field == EVENT_KV && get_kv(&r, &ret->kv, e) < 0)
			return -1;
		if (r.field == EVENT_PREV) {
			ret->has_prev = true;
			if (get_kv(&r, &ret->prev, e) < 0)
				return -1;
		}
	}
	return more;
}

int etcd_next_event(struct etcd_read *r, struct etcd_event *ret, struct err *e)
{
	int more;

	while ((more = etcd_next(r, e)) > 0)
		if (r->field == WATCHED_EVENTS)
			return get_event(r, ret, e) < 0 ? -1 : 1;
	return more;
}
