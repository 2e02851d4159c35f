/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that name instance types and preferences, in admission and in virt-controller. Input: the VM, an array of objects {kind,
 * metadata, ...} that can be looked up. What is admitted is never changed but in the copy, what comes of an expansion names
 * nothing any more, and is its own expansion. */
#include "api/meta.h"
#include "kubevirt/api/config.h"
#include "kubevirt/instancetype/instancetype.h"
#include "split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct json *get(struct it_lookup *l, const struct kind *k, const char *ns, const char *name)
{
	JSON_EACH (it, (const struct json *)l->arg)
		if (str_eq(json_get_str(it.val, "kind"), k->kind) && str_eq(meta_str(it.val, "name"), name))
			return it.val;
	return NULL;
}

static void fuzz_expand(const struct json *vm, const struct kv_config *c, struct it_lookup *l)
{
	CLEANUP(json_doc_freep)
	struct json_doc *compared = NULL, *started = NULL, *whole = NULL, *again = NULL;
	struct err e = { 0 };

	(void)instancetype_expand(vm, IT_COMPARE, c, l, &compared, &e);
	(void)instancetype_expand(vm, IT_START, c, l, &started, &e);
	if (instancetype_expand_vm(vm, c, l, &whole, &e) < 0 || !whole)
		return;
	MUST(!it_matcher(json_root(whole), IT_INSTANCETYPE) && !it_matcher(json_root(whole), IT_PREFERENCE));
	MUST(instancetype_expand_vm(json_root(whole), c, l, &again, &e) == 0 && !again);
}

static void fuzz_keep(const struct json *vm, struct it_lookup *l)
{
	for (int side = 0; side < IT_SIDES; side++) {
		struct it_ref ref;
		struct err e = { 0 };

		if (it_ref_decide(vm, (enum it_side)side, l, &ref, &e) == 0)
			it_ref_done(&ref);
	}
}

static void fuzz_admit(const struct json *vm, const struct kv_config *c, struct it_lookup *l)
{
	CLEANUP(json_doc_freep) struct json_doc *draft = json_doc_from(vm), *expanded = NULL;
	CLEANUP(causes_done) struct causes one = { 0 }, two = { 0 };
	struct err e = { 0 };

	(void)it_mutate_vm(draft, json_root(draft), NULL, l, &one, &e);
	(void)it_mutate_vm(draft, json_root(draft), vm, l, &one, &e);
	it_validate_vm(vm, c, l, &expanded, &two);
}

static void fuzz_one(const struct json *vm, const struct json *objects)
{
	CLEANUP(json_doc_freep) struct json_doc *keep = json_doc_from(vm);
	CLEANUP(strv_done) struct strv warnings = { 0 };
	struct it_lookup l = { .get = get, .arg = (void *)objects };
	struct kv_config c;

	kv_config_from(NULL, &c);
	fuzz_expand(vm, &c, &l);
	fuzz_keep(vm, &l);
	fuzz_admit(vm, &c, &l);
	JSON_EACH (it, objects) {
		CLEANUP(causes_done) struct causes causes = { 0 };
		it_validate(it.val, it.i % 2 ? IT_PREFERENCE : IT_INSTANCETYPE, &causes, &warnings);
	}
	MUST(json_eq(vm, json_root(keep)));
}

/* ---- other types in places: what changed bytes hardly ever make of JSON ---- */
#define MUTANTS 16
#define EDITS 3

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

static struct json *odd_value(struct json_doc *d, uint64_t *state)
{
	static const char *const texts[] = { "null", "true", "0", "-1", "9223372036854775807", "1e300", "''",
		"'x'", "[]", "['x']", "[{}]", "[null]", "{}", "{'name':1}", "'1Gi'", "[{'name':'a'}]" };
	CLEANUP(json_doc_freep) struct json_doc *v = json_lit(texts[next(state) % ARRAY_LEN(texts)]);

	return json_copy(d, json_root(v));
}

/* Goes down somewhere and puts something else there. */
static void edit(struct json_doc *d, struct json *v, uint64_t *state)
{
	size_t n = json_len(v), at = n ? next(state) % n : 0;
	struct json *below = NULL;
	CLEANUP(mem_freep) char *key = NULL;

	JSON_EACH (it, v)
		if (at-- == 0) {
			below = it.val;
			key = it.key ? mem_strdup(it.key) : NULL;
			at = it.i;
			break;
		}
	if (!n)
		return;
	if (json_len(below) && next(state) % 6)
		edit(d, below, state);
	else if (key)
		json_set(d, v, key, odd_value(d, state));
	else
		json_replace_item(d, v, at, odd_value(d, state));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_doc_freep)
	struct json_doc *vm = split_json(data, len, 0), *objects = split_json(data, len, 1);
	uint64_t state = len;

	if (!vm || !objects)
		return 0;
	for (size_t i = 0; i < len; i++)
		state = (state ^ data[i]) * 1099511628211ull;
	fuzz_one(json_root(vm), json_root(objects));
	for (int i = 0; i < MUTANTS; i++) {
		CLEANUP(json_doc_freep) struct json_doc *a = json_doc_from(json_root(vm));
		CLEANUP(json_doc_freep) struct json_doc *b = json_doc_from(json_root(objects));

		for (int n = 0; n < EDITS; n++)
			if (next(&state) % 2)
				edit(a, json_root(a), &state);
			else
				edit(b, json_root(b), &state);
		fuzz_one(json_root(a), json_root(b));
	}
	return 0;
}
