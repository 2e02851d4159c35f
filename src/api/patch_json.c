/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6902 as evanphx/json-patch v4 reads it, which is what KubeVirt's clients lean on (kubevirt-api.md 1.1). */
#include "api/patch.h"

#include <string.h>

#include "api/obj.h"
#include "base/mem.h"

/* copies may double an object with every operation: bytes they may add up to */
#define COPIED_BYTES_MAX OBJ_BYTES_MAX

struct job {
	struct json_doc *d;
	size_t copied;
};

/* The container a pointer's last segment names a place in. */
struct spot {
	struct json *in;
	char *key; /* unescaped last segment */
};

static void spot_done(struct spot *s)
{
	free(s->key);
}

static char *unescape(const char *p, size_t len)
{
	char *out = mem_alloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '~' && i + 1 < len && (p[i + 1] == '0' || p[i + 1] == '1'))
			out[n++] = p[++i] == '0' ? '~' : '/';
		else
			out[n++] = p[i];
	}
	out[n] = '\0';
	return out;
}

/* An index within [0, max]; negative ones count from one behind it: -1 is max. */
static bool read_index(const char *key, size_t max, size_t *ret)
{
	int64_t i;

	if (!str_to_i64(key, -(int64_t)max - 1, (int64_t)max, &i))
		return false;
	if (i < 0)
		i += (int64_t)max + 1;
	*ret = (size_t)i;
	return true;
}

static struct json *child(struct json *in, const char *key)
{
	size_t i;

	if (json_is_obj(in))
		return json_get(in, key);
	if (!json_is_arr(in) || !json_len(in) || !read_index(key, json_len(in) - 1, &i))
		return NULL;
	return json_item(in, i);
}

/* false: the parent is missing or no container. The whole document has in NULL. */
static bool find_spot(struct json *root, const char *pointer, struct spot *ret)
{
	struct json *at = root;

	if (!pointer || (*pointer && *pointer != '/'))
		return false;
	if (!*pointer)
		return true;
	for (const char *p = pointer + 1;;) {
		size_t n = strcspn(p, "/");
		char *key = unescape(p, n);

		if (!p[n]) {
			ret->in = at;
			ret->key = key;
			return json_is_obj(at) || json_is_arr(at);
		}
		at = child(at, key);
		free(key);
		if (!at)
			return false;
		p += n + 1;
	}
}

static const char *do_add(struct job *j, const struct spot *s, struct json *v)
{
	size_t i;

	if (!s->in) {
		json_set_root(j->d, v);
		return NULL;
	}
	if (json_is_obj(s->in)) {
		json_set(j->d, s->in, s->key, v);
		return NULL;
	}
	if (str_eq(s->key, "-")) {
		json_append(j->d, s->in, v);
		return NULL;
	}
	if (!read_index(s->key, json_len(s->in), &i))
		return "no such index";
	json_insert(j->d, s->in, i, v);
	return NULL;
}

static const char *do_replace(struct job *j, const struct spot *s, struct json *v)
{
	size_t i;

	if (!s->in || json_is_obj(s->in))
		return do_add(j, s, v); /* a missing member is added */
	if (!json_len(s->in) || !read_index(s->key, json_len(s->in) - 1, &i))
		return "no such index";
	json_replace_item(j->d, s->in, i, v);
	return NULL;
}

static const char *do_remove(const struct spot *s)
{
	size_t i;

	if (!s->in)
		return "the whole document cannot be removed";
	if (json_is_obj(s->in))
		return json_remove(s->in, s->key) ? NULL : "no such member";
	if (!json_len(s->in) || !read_index(s->key, json_len(s->in) - 1, &i))
		return "no such index";
	json_remove_item(s->in, i);
	return NULL;
}

static const char *do_test(const struct job *j, const struct spot *s, const struct json *value)
{
	const struct json *have = s->in ? child(s->in, s->key) : json_root(j->d);

	if (s->in && !have && !json_is_obj(s->in))
		return "no such index";
	/* a missing member equals null */
	return json_eq(have, value) ? NULL : "test failed";
}

static const char *do_from(struct job *j, const struct json *op, const struct spot *to, bool move)
{
	CLEANUP(spot_done) struct spot from = { 0 };
	size_t len = 0;

	if (!find_spot(json_root(j->d), json_get_str(op, "from"), &from))
		return "from is missing";
	const struct json *src = from.in ? child(from.in, from.key) : json_root(j->d);
	if (!src)
		return "from is missing";
	free(json_write(src, &len));
	j->copied += len;
	if (j->copied > COPIED_BYTES_MAX)
		return "too much is copied";
	struct json *v = json_copy(j->d, src);
	if (!move)
		return do_add(j, to, v);
	const char *why = do_remove(&from);
	if (why)
		return why;
	/* the target is looked for again: removing may have taken or shifted it */
	CLEANUP(spot_done) struct spot again = { 0 };
	if (!find_spot(json_root(j->d), json_get_str(op, "path"), &again))
		return "path is missing";
	return do_add(j, &again, v);
}

/* NULL or why not. */
static const char *run(struct job *j, const struct json *op)
{
	const char *name = json_get_str(op, "op");
	const struct json *value = json_get(op, "value");
	CLEANUP(spot_done) struct spot s = { 0 };

	if (!name)
		return "no op";
	if (!find_spot(json_root(j->d), json_get_str(op, "path"), &s))
		return "path is missing";
	if (str_eq(name, "add"))
		return do_add(j, &s, json_copy(j->d, value));
	if (str_eq(name, "replace"))
		return do_replace(j, &s, json_copy(j->d, value));
	if (str_eq(name, "remove"))
		return do_remove(&s);
	if (str_eq(name, "test"))
		return do_test(j, &s, value);
	if (str_eq(name, "move") || str_eq(name, "copy"))
		return do_from(j, op, &s, *name == 'm');
	return "unknown op";
}

int patch_json(const struct json *current, const struct json *patch, struct json_doc **ret, struct err *e)
{
	if (!json_is_arr(patch))
		return err_set(e, ERR_BAD_REQUEST, "a JSON patch must be an array of operations");
	if (json_len(patch) > PATCH_OPS_MAX)
		return err_set(e, ERR_TOO_LARGE,
			"The allowed maximum operations in a JSON patch is %d, got %zu", PATCH_OPS_MAX,
			json_len(patch));

	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(current);
	struct job j = { .d = d };
	bool deepens = false;
	JSON_EACH (it, patch) {
		const char *why = run(&j, it.val);

		if (why)
			return err_set(e, ERR_INVALID, "%s", PATCH_REJECTED);
		deepens |= !str_eq(json_get_str(it.val, "op"), "test");
	}
	/* an object stays one: all behind this counts on it */
	if (json_is_obj(current) && !json_is_obj(json_root(d)))
		return err_set(e, ERR_INVALID, "%s", PATCH_REJECTED);
	if (deepens && !json_depth_ok(json_root(d)))
		return err_set(e, ERR_INVALID, "%s", PATCH_REJECTED);
	*ret = TAKE(d);
	return 0;
}
