/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/callout/convert.h"

#include "base/mem.h"
#include "platform/callout/callout.h"

#include <string.h>

#define REVIEW "apiextensions.k8s.io/v1"
#define ANSWER_MAX (64 * 1024 * 1024)
#define SLOTS 1024

/* One object in one version: asked for, or known. */
struct wish {
	unsigned refs;
	char *key; /* NULL: not to be remembered */
	uint64_t rv;
	struct obj *from, *to; /* to NULL: still asked for, or failed */
	bool pending;
	struct err err;
	struct waiter *waiters;
	struct wish *hash_next, *older, *newer; /* while remembered */
	bool remembered;
};
struct waiter {
	struct convert *c;
	struct waiter *next;
};
/* A review under way. */
struct asking {
	struct converter *v;
	struct resource *res;
	char *api_version;
	char uid[37];
	struct backend *backend;
	struct http_call *call;
	struct loop_timer *later; /* it could not even be asked */
	struct err err;
	struct wish **wishes;
	size_t n;
	struct asking *next, **prev;
};
struct converter {
	struct callouts *out;
	struct wish *slots[SLOTS];
	struct wish *newest, *oldest;
	size_t n;
	struct asking *askings;
	struct convert *converts;
};
struct convert {
	struct converter *v;
	struct wish **wishes;
	size_t n, left;
	struct err err;
	convert_fn *fn;
	void *arg;
	struct loop_timer *later;
	struct convert *next, **prev;
};

/* ---- whether, and what from ---- */
static const struct json *conversion_of(const struct resource *r)
{
	return r->crd ? json_at(obj_json(r->crd), "/spec/conversion") : NULL;
}

bool convert_remote(const struct resource *r)
{
	return r->def->converted;
}

const char *convert_storage(const struct resource *r, char *buf)
{
	struct kind k = *r->kind;

	if (r->def->storage_version)
		k.version = r->def->storage_version;
	return kind_api_version(&k, buf);
}

bool convert_is_in(const struct obj *o, const char *api_version)
{
	static const char head[] = "{\"apiVersion\":\"";
	size_t len, n = strlen(api_version), at = strlen(head);
	const char *text = obj_text(o, &len);

	if (len > at + n && memcmp(text, head, at) == 0)
		return memcmp(text + at, api_version, n) == 0 && text[at + n] == '"';
	return str_eq(json_get_str(obj_json(o), "apiVersion"), api_version);
}

/* ---- what is remembered ---- */
static struct converter *converter_of(struct callouts *out)
{
	if (!out->converter) {
		out->converter = MEM_NEW(struct converter);
		out->converter->out = out;
	}
	return out->converter;
}

static char *wish_key(const struct resource *r, const char *api_version, const struct obj *o)
{
	return str_printf("%s\n%s\n%s", r->storage, obj_key(o), api_version);
}

static size_t slot_of(const char *key, uint64_t rv)
{
	size_t h = (size_t)rv * 31;

	for (; *key; key++)
		h = h * 33 + (unsigned char)*key;
	return h % SLOTS;
}

static void wish_unref(struct wish *w)
{
	if (--w->refs > 0)
		return;
	free(w->key);
	obj_unref(w->from);
	obj_unref(w->to);
	free(w);
}

static struct wish *wish_find(struct converter *v, const char *key, uint64_t rv)
{
	struct wish *w = v->slots[slot_of(key, rv)];

	while (w && (w->rv != rv || !str_eq(w->key, key)))
		w = w->hash_next;
	return w;
}

static void wish_forget(struct converter *v, struct wish *w)
{
	struct wish **p = &v->slots[slot_of(w->key, w->rv)];

	if (!w->remembered)
		return;
	while (*p != w)
		p = &(*p)->hash_next;
	*p = w->hash_next;
	*(w->older ? &w->older->newer : &v->oldest) = w->newer;
	*(w->newer ? &w->newer->older : &v->newest) = w->older;
	w->remembered = false;
	v->n--;
	wish_unref(w);
}

static void wish_remember(struct converter *v, struct wish *w)
{
	struct wish **p = &v->slots[slot_of(w->key, w->rv)], *old, *next;

	w->hash_next = *p;
	*p = w;
	w->older = v->newest;
	w->newer = NULL;
	*(v->newest ? &v->newest->newer : &v->oldest) = w;
	v->newest = w;
	w->remembered = true;
	w->refs++;
	v->n++;
	for (old = v->oldest; old && v->n > CONVERTED_MAX; old = next) {
		next = old->newer;
		if (!old->pending)
			wish_forget(v, old);
	}
}

static struct wish *wish_new(struct converter *v, char *key, const struct obj *from)
{
	struct wish *w = MEM_NEW(struct wish);

	w->refs = 1;
	w->key = key;
	w->rv = obj_rv(from);
	w->from = obj_ref(from);
	w->pending = true;
	if (key)
		wish_remember(v, w);
	return w;
}

struct obj *convert_known(struct callouts *out, struct resource *r, const struct obj *o)
{
	char av[KIND_API_VERSION_MAX];
	CLEANUP(mem_freep) char *key = NULL;
	struct wish *w;

	if (!convert_remote(r))
		return object_present(r, o);
	kind_api_version(r->kind, av);
	if (convert_is_in(o, av))
		return obj_ref(o);
	if (!out->converter)
		return NULL;
	key = wish_key(r, av, o);
	w = wish_find(out->converter, key, obj_rv(o));
	return w && w->to ? obj_ref(w->to) : NULL;
}

void convert_note(
	struct callouts *out, struct resource *r, const struct obj *stored, const struct obj *in_version)
{
	struct converter *v = converter_of(out);
	char av[KIND_API_VERSION_MAX];
	CLEANUP(mem_freep) char *key = wish_key(r, kind_api_version(r->kind, av), stored);
	struct wish *w;

	if (wish_find(v, key, obj_rv(stored)))
		return;
	w = wish_new(v, TAKE(key), stored);
	w->pending = false;
	w->to = obj_ref(in_version);
	wish_unref(w);
}

void convert_forget(struct callouts *out, const char *storage)
{
	struct converter *v = out->converter;
	CLEANUP(mem_freep) char *prefix = str_printf("%s\n", storage);

	for (struct wish *w = v ? v->newest : NULL, *older; w; w = older) {
		older = w->older;
		if (str_starts(w->key, prefix))
			wish_forget(v, w);
	}
}

/* ---- ends ---- */
static void convert_free(struct convert *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct waiter **p = &c->wishes[i]->waiters, *w;

		while ((w = *p)) {
			if (w->c != c) {
				p = &w->next;
				continue;
			}
			*p = w->next;
			free(w);
		}
		wish_unref(c->wishes[i]);
	}
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	loop_timer_free(c->later);
	free(c->wishes);
	free(c);
}

void convert_cancel(struct convert *c)
{
	if (c)
		convert_free(c);
}

static void convert_end(void *arg)
{
	struct convert *c = arg;
	convert_fn *fn = c->fn;
	void *fn_arg = c->arg;
	struct err e = { 0 };
	size_t n = c->n;
	struct obj **objs = mem_zalloc((n + 1) * sizeof(struct obj *));

	for (size_t i = 0; i < n; i++) {
		if (c->wishes[i]->to)
			objs[i] = obj_ref(c->wishes[i]->to);
		else if (e.code == ERR_NONE)
			err_copy(&e, &c->wishes[i]->err);
	}
	convert_free(c);
	fn(fn_arg, objs, e.code == ERR_NONE ? NULL : &e);
	for (size_t i = 0; i < n; i++)
		obj_unref(objs[i]);
	free(objs);
}

/* The wish is fulfilled, or never will be. */
static void wish_over(struct converter *v, struct wish *w, struct obj *to, const struct err *e)
{
	struct waiter *waiter;

	w->pending = false;
	w->to = to;
	if (e)
		err_copy(&w->err, e);
	while ((waiter = w->waiters)) {
		struct convert *c = waiter->c;

		w->waiters = waiter->next;
		free(waiter);
		if (--c->left == 0)
			loop_timer_set(c->later, 0);
	}
	if (!to && w->key)
		wish_forget(v, w);
}

/* ---- asking ---- */
static void asking_free(struct asking *a)
{
	http_call_cancel(a->call);
	backend_unref(a->backend);
	loop_timer_free(a->later);
	for (size_t i = 0; i < a->n; i++)
		wish_unref(a->wishes[i]);
	free(a->wishes);
	*a->prev = a->next;
	if (a->next)
		a->next->prev = a->prev;
	resource_unref(a->res);
	free(a->api_version);
	free(a);
}

static void asking_failed(struct asking *a, const char *why)
{
	struct err e = { 0 };

	for (size_t i = 0; i < a->n; i++) {
		const struct kind *k = a->res->kind;
		const char *av = json_str_or(json_get(obj_json(a->wishes[i]->from), "apiVersion"), "");

		err_set(&e, ERR_INTERNAL, "conversion webhook for %s, Kind=%s failed: %s", av, k->kind, why);
		wish_over(a->v, a->wishes[i], NULL, &e);
	}
	asking_free(a);
}

/* A webhook converts what is in an object, not which object it is: of metadata only labels and annotations are its. */
static struct obj *accept(
	struct asking *a, const struct obj *from, const struct json *got, size_t i, struct str *why)
{
	static const char *const its_own[] = { "labels", "annotations" };
	const struct json *was = obj_json(from), *meta = json_get(got, "metadata");
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct resource *to =
		registry_find_kind(a->v->out->objects->registry, a->api_version, a->res->kind->kind);
	struct json *o;

	if (!json_is_obj(got) || !str_eq(json_get_str(got, "apiVersion"), a->api_version) ||
		!str_eq(json_get_str(got, "kind"), json_get_str(was, "kind")) || !json_is_obj(meta)) {
		str_addf(why, "webhook returned invalid converted object at index %zu: expected %s, Kind=%s",
			i, a->api_version, json_str_or(json_get(was, "kind"), ""));
		return NULL;
	}
	if (!str_eq(json_str_or(json_get(meta, "name"), ""), obj_name(from)) ||
		!str_eq(json_str_or(json_get(meta, "namespace"), ""), obj_namespace(from)) ||
		!str_eq(json_str_or(json_get(meta, "uid"), ""), obj_uid(from))) {
		str_addf(why,
			"webhook returned invalid metadata at index %zu: name, namespace and uid must stay",
			i);
		return NULL;
	}
	d = json_doc_from(got);
	o = json_root(d);
	json_set_copy(d, o, "metadata", json_get(was, "metadata"));
	for (size_t k = 0; k < ARRAY_LEN(its_own); k++) {
		if (json_get(meta, its_own[k]))
			json_set_copy(d, json_get(o, "metadata"), its_own[k], json_get(meta, its_own[k]));
		else
			json_remove(json_get(o, "metadata"), its_own[k]);
	}
	if (to) {
		schema_prune(resource_schema(to), o, NULL);
		schema_default(resource_schema(to), d, o);
	}
	objects_normalize(d);
	return obj_from_doc(TAKE(d));
}

static void read_objects(struct asking *a, const struct json *list)
{
	CLEANUP(str_done) struct str why = { 0 };
	struct obj **got = mem_zalloc(a->n * sizeof(*got));
	size_t i = 0;

	JSON_EACH (it, list) {
		if (why.len == 0)
			got[i] = accept(a, a->wishes[i]->from, it.val, i, &why);
		i++;
	}
	if (why.len > 0) {
		for (i = 0; i < a->n; i++)
			obj_unref(got[i]);
		asking_failed(a, why.data);
	} else {
		for (i = 0; i < a->n; i++)
			wish_over(a->v, a->wishes[i], got[i], NULL);
		asking_free(a);
	}
	free(got);
}

static void read_answer(struct asking *a, const char *body, size_t len)
{
	struct err e = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(body, len, &e);
	const struct json *r = d ? json_get(json_root(d), "response") : NULL, *result = json_get(r, "result"),
			  *list = json_get(r, "convertedObjects");
	const char *message = json_get_str(result, "message");
	CLEANUP(mem_freep) char *why = NULL;

	if (!d)
		why = mem_strdup(e.msg);
	else if (!json_is_obj(r))
		why = mem_strdup("no response provided");
	else if (!str_eq(json_get_str(r, "uid"), a->uid))
		why = str_printf("expected response.uid=\"%s\", got \"%.64s\"", a->uid,
			json_str_or(json_get(r, "uid"), ""));
	else if (!str_eq(json_get_str(result, "status"), "Success"))
		why = str_empty(message) ? str_printf("response.result.status was '%.64s', not 'Success'",
						   json_str_or(json_get(result, "status"), ""))
					 : mem_strdup(message);
	else if (json_len(list) != a->n)
		why = str_printf("webhook returned %zu objects, expected %zu", json_len(list), a->n);
	if (why)
		asking_failed(a, why);
	else
		read_objects(a, list);
}

static void answered(void *arg, const struct http_response *r, const struct err *e)
{
	struct asking *a = arg;
	CLEANUP(mem_freep) char *why = NULL;

	a->call = NULL;
	if (!e && r->status == 200) {
		read_answer(a, r->body, r->len);
		return;
	}
	why = e ? mem_strdup(e->msg) : str_printf("the server answered %d", r->status);
	asking_failed(a, why);
}

static void not_asked(void *arg)
{
	struct asking *a = arg;
	CLEANUP(mem_freep) char *why = mem_strdup(a->err.msg);

	asking_failed(a, why);
}

static void write_review(struct asking *a, struct str *out)
{
	size_t len;

	crypto_uuid(a->uid);
	str_addf(out,
		"{\"kind\":\"ConversionReview\",\"apiVersion\":\"" REVIEW "\",\"request\":{\"uid\":\"%s\","
		"\"desiredAPIVersion\":\"%s\",\"objects\":[",
		a->uid, a->api_version);
	for (size_t i = 0; i < a->n; i++) {
		const char *text = obj_text(a->wishes[i]->from, &len);

		str_add(out, i ? "," : "");
		str_addn(out, text, len);
	}
	str_add(out, "]}}");
}

static int call(struct asking *a, struct err *e)
{
	static const struct http_header headers[] = { { "Content-Type", "application/json" },
		{ "Accept", "application/json" }, { "User-Agent", "kube-apiserver-conversion" } };
	CLEANUP(str_done) struct str pem = { 0 };
	CLEANUP(str_done) struct str body = { 0 };
	CLEANUP(mem_freep) char *path = NULL;
	struct callout at;
	struct http_call_spec spec = { .method = "POST",
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body_max = ANSWER_MAX,
		.timeout_ms = CONVERT_TIMEOUT_S * 1000,
		.done = answered,
		.arg = a };

	callout_read(json_at(conversion_of(a->res), "/webhook/clientConfig"), &at, &pem);
	a->backend = callout_backend(a->v->out, &at, CONVERT_TIMEOUT_S, &path, e);
	if (!a->backend)
		return -1;
	write_review(a, &body);
	spec.path = path;
	spec.body = body.data;
	spec.len = body.len;
	a->call = http_client_call(a->backend->client, &spec);
	return 0;
}

/* Takes the wishes. */
static void ask(
	struct converter *v, struct resource *r, const char *api_version, struct wish **wishes, size_t n)
{
	struct asking *a = MEM_NEW(struct asking);

	*a = (struct asking){ .v = v,
		.res = resource_ref(r),
		.api_version = mem_strdup(api_version),
		.wishes = mem_dup(wishes, n * sizeof(*wishes)),
		.n = n,
		.next = v->askings,
		.prev = &v->askings };
	if (a->next)
		a->next->prev = &a->next;
	v->askings = a;
	if (call(a, &a->err) == 0)
		return;
	a->later = loop_timer_new(v->out->objects->loop, not_asked, a);
	loop_timer_set(a->later, 0);
}

static void ask_all(
	struct converter *v, struct resource *r, const char *api_version, struct wish **wishes, size_t n)
{
	size_t from = 0, size = 0, len;

	for (size_t i = 0; i < n; i++) {
		obj_text(wishes[i]->from, &len);
		if (i > from && (i - from >= CONVERT_BATCH || size + len > CONVERT_BATCH_BYTES)) {
			ask(v, r, api_version, wishes + from, i - from);
			from = i;
			size = 0;
		}
		size += len;
	}
	if (n > from)
		ask(v, r, api_version, wishes + from, n - from);
}

/* ---- starting ---- */
static struct wish *wish_for(struct converter *v, struct resource *r, const char *api_version,
	const struct obj *o, bool fresh, bool *ret_new)
{
	CLEANUP(mem_freep) char *key = fresh ? NULL : wish_key(r, api_version, o);
	struct wish *w = key ? wish_find(v, key, obj_rv(o)) : NULL;

	*ret_new = false;
	if (w) {
		w->refs++;
		return w;
	}
	if (convert_is_in(o, api_version)) {
		w = MEM_NEW(struct wish);
		w->refs = 1;
		w->from = obj_ref(o);
		w->to = obj_ref(o);
		return w;
	}
	*ret_new = true;
	return wish_new(v, TAKE(key), o);
}

struct convert *convert_start(struct callouts *out, struct resource *r, const char *api_version,
	const struct obj *const *objs, size_t n, bool fresh, convert_fn *fn, void *arg)
{
	struct converter *v = converter_of(out);
	struct convert *c = MEM_NEW(struct convert);
	struct wish **asked = mem_alloc((n + 1) * sizeof(*asked));
	size_t n_asked = 0;
	bool new;

	*c = (struct convert){
		.v = v, .n = n, .fn = fn, .arg = arg, .next = v->converts, .prev = &v->converts
	};
	if (c->next)
		c->next->prev = &c->next;
	v->converts = c;
	c->later = loop_timer_new(out->objects->loop, convert_end, c);
	c->wishes = mem_alloc((n + 1) * sizeof(*c->wishes));
	for (size_t i = 0; i < n; i++) {
		struct wish *w = c->wishes[i] = wish_for(v, r, api_version, objs[i], fresh, &new);

		if (new) {
			w->refs++;
			asked[n_asked++] = w;
		}
		if (w->pending) {
			struct waiter *x = MEM_NEW(struct waiter);

			*x = (struct waiter){ c, w->waiters };
			w->waiters = x;
			c->left++;
		}
	}
	if (c->left == 0)
		loop_timer_set(c->later, 0);
	ask_all(v, r, api_version, asked, n_asked);
	free(asked);
	return c;
}

void converter_free(struct callouts *out)
{
	struct converter *v = out->converter;

	if (!v)
		return;
	while (v->converts)
		convert_free(v->converts);
	while (v->askings)
		asking_free(v->askings);
	while (v->newest)
		wish_forget(v, v->newest);
	free(v);
	out->converter = NULL;
}

/* ---- for one answer ---- */
struct then {
	struct request *r;
	struct resource *res;
	int status;
	struct convert *convert;
	convert_then_fn *fn;
	void *arg;
};

static void then_free(struct then *t)
{
	convert_cancel(t->convert);
	resource_unref(t->res);
	free(t);
}

static void then_aborted(void *arg)
{
	then_free(arg);
}

static void then_converted(void *arg, struct obj *const *objs, const struct err *e)
{
	struct then *t = arg;

	t->convert = NULL;
	request_on_abort(t->r, NULL, NULL);
	if (e)
		request_fail(t->r, e, NULL, NULL, NULL);
	else
		t->fn(t->arg, t->r, t->res, t->status, objs[0]);
	then_free(t);
}

void convert_then(struct callouts *out, struct request *r, struct resource *res, int status,
	const struct obj *o, convert_then_fn *fn, void *arg)
{
	CLEANUP(obj_unrefp) struct obj *known = convert_known(out, res, o);
	char av[KIND_API_VERSION_MAX];
	struct then *t;

	if (known) {
		fn(arg, r, res, status, known);
		return;
	}
	t = MEM_NEW(struct then);
	*t = (struct then){ .r = r, .res = resource_ref(res), .status = status, .fn = fn, .arg = arg };
	request_on_abort(r, then_aborted, t);
	t->convert =
		convert_start(out, res, kind_api_version(res->kind, av), &o, 1, false, then_converted, t);
}
