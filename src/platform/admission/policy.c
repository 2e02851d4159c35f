/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/policy.h"

#include "base/log.h"
#include "base/mem.h"
#include "platform/request/audit.h"
#include "platform/admission/policy_impl.h"
#include "platform/request/request_impl.h"

#include <string.h>

#define GROUP "admissionregistration.k8s.io"
static const char *const storages[] = { GROUP "/validatingadmissionpolicies",
	GROUP "/validatingadmissionpolicybindings" };

/* A binding in force. */
struct bound {
	const struct obj *obj;
	struct policy *policy; /* shared by its bindings; owned by policies */
	struct request_match match;
};
struct policies {
	struct admitter *adm;
	struct bucket_watch watches[2];
	bool stale;
	struct policy **items;
	size_t n_items;
	struct bound *bindings;
	size_t n;
};

/* ---- which requests ---- */

static void match_done(struct request_match *m)
{
	for (size_t i = 0; i < m->n_rules; i++)
		hook_unref(m->rules[i]);
	for (size_t i = 0; i < m->n_excludes; i++)
		hook_unref(m->excludes[i]);
	hook_unref(m->selectors);
	free(m->rules);
	free(m->excludes);
	*m = (struct request_match){ 0 };
}

static struct selector *selector_of(const struct json *match, const char *key)
{
	struct selector *s = NULL;
	struct err e = { 0 };

	if (json_is_obj(json_get(match, key)) && selector_from_json(json_get(match, key), &s, &e) < 0)
		log_error("apiserver: %s of an admission policy: %s", key, e.msg);
	return s;
}

static struct hook *rule_hook(const struct json *match, const struct json *rule, bool selectors)
{
	static const char any[] = "{'rules':[{'operations':['*'],'apiGroups':['*'],'apiVersions':['*'],"
				  "'resources':['*','*/*'],'scope':'*'}]}";
	struct hook *h = MEM_NEW(struct hook);

	h->refs = 1;
	h->equivalent = rule && !str_eq(json_get_str(match, "matchPolicy"), "Exact");
	if (selectors) {
		h->namespaces = selector_of(match, "namespaceSelector");
		h->objects = selector_of(match, "objectSelector");
	}
	h->doc = rule ? json_doc_new() : json_lit(any);
	if (rule) {
		json_set_root(h->doc, json_new_obj(h->doc));
		json_append(
			h->doc, json_need_arr(h->doc, json_root(h->doc), "rules"), json_copy(h->doc, rule));
	}
	return h;
}

static void match_init(struct request_match *m, const struct json *match)
{
	const struct json *rules = json_get(match, "resourceRules"),
			  *excludes = json_get(match, "excludeResourceRules");

	m->any = !json_len(rules);
	m->rules = mem_zalloc((json_len(rules) + 1) * sizeof(*m->rules));
	m->excludes = mem_zalloc((json_len(excludes) + 1) * sizeof(*m->excludes));
	JSON_EACH (it, rules)
		m->rules[m->n_rules++] = rule_hook(match, it.val, true);
	JSON_EACH (it, excludes)
		m->excludes[m->n_excludes++] = rule_hook(match, it.val, false);
	m->selectors = rule_hook(match, NULL, true);
}

static bool name_fits(const struct hook *h, const char *name)
{
	const struct json *names =
		json_get(json_item(json_get(json_root(h->doc), "rules"), 0), "resourceNames");

	JSON_EACH (it, names) {
		if (str_eq(json_str(it.val), name))
			return true;
	}
	return !json_len(names);
}

/* The version to show objects in; NULL: not meant. */
static struct resource *match_ask(
	const struct request_match *m, const struct hook_subject *t, const char *name)
{
	struct resource *as = NULL;

	if (m->any)
		as = hook_matches(m->selectors, t) ? t->res : NULL;
	for (size_t i = 0; i < m->n_rules && !as; i++)
		if (name_fits(m->rules[i], name))
			as = hook_matches(m->rules[i], t);
	for (size_t i = 0; i < m->n_excludes && as; i++)
		if (name_fits(m->excludes[i], name) && hook_matches(m->excludes[i], t))
			as = NULL;
	return as;
}

/* ---- configuration ---- */

static void drop(struct policies *p)
{
	for (size_t i = 0; i < p->n; i++) {
		match_done(&p->bindings[i].match);
		obj_unref(p->bindings[i].obj);
	}
	for (size_t i = 0; i < p->n_items; i++) {
		match_done(&p->items[i]->match);
		policy_free(p->items[i]);
	}
	free(p->bindings);
	free(p->items);
	p->bindings = NULL;
	p->items = NULL;
	p->n = p->n_items = 0;
}

static struct policy *find_policy(const struct policies *p, const char *name)
{
	for (size_t i = 0; i < p->n_items; i++)
		if (str_eq(obj_name(p->items[i]->obj), name))
			return p->items[i];
	return NULL;
}

/* Only policies that are bound are of interest. */
static void refresh(struct policies *p)
{
	const struct bucket *policies = objects_bucket(p->adm->objects, storages[0]),
			    *bindings = objects_bucket(p->adm->objects, storages[1]);
	const struct obj *o;

	drop(p);
	p->stale = false;
	p->bindings = mem_zalloc((bucket_len(bindings) + 1) * sizeof(*p->bindings));
	p->items = mem_zalloc((bucket_len(policies) + 1) * sizeof(*p->items));
	for (size_t i = 0; (o = bucket_at(bindings, i)); i++) {
		const char *name = json_at_str(obj_json(o), "/spec/policyName");
		const struct obj *of = name ? bucket_get(policies, name) : NULL;
		struct bound *b;

		if (!of)
			continue;
		b = &p->bindings[p->n++];
		b->obj = obj_ref(o);
		b->policy = find_policy(p, name);
		match_init(&b->match, json_at(obj_json(o), "/spec/matchResources"));
		if (b->policy)
			continue;
		b->policy = p->items[p->n_items++] = policy_compile(of);
		match_init(&b->policy->match, json_at(obj_json(of), "/spec/matchConstraints"));
		/* without constraints it would be about nothing, not everything */
		b->policy->match.any = false;
	}
}

static void policies_changed(struct bucket_watch *b, const struct bucket_change *c)
{
	(void)c;
	CONTAINER_OF(b, struct policies, watches[0])->stale = true;
}

static void bindings_changed(struct bucket_watch *b, const struct bucket_change *c)
{
	(void)c;
	CONTAINER_OF(b, struct policies, watches[1])->stale = true;
}

static void never_gone(struct bucket_watch *b)
{
	(void)b;
}

struct policies *policies_new(struct admitter *adm)
{
	struct policies *p = MEM_NEW(struct policies);

	p->adm = adm;
	p->stale = true;
	for (size_t i = 0; i < 2; i++) {
		p->watches[i].change = i == 0 ? policies_changed : bindings_changed;
		p->watches[i].gone = never_gone;
		bucket_watch_add(objects_bucket(adm->objects, storages[i]), &p->watches[i], "");
	}
	return p;
}

void policies_free(struct policies *p)
{
	if (!p)
		return;
	drop(p);
	bucket_watch_remove(&p->watches[0]);
	bucket_watch_remove(&p->watches[1]);
	free(p);
}

/* ---- one request ---- */

struct asking {
	struct policies *p;
	const struct admission_in *in;
	struct strv *warnings;
	const struct bound *b;
	char *message, *reason;    /* of the first denial */
	struct json_doc *failures; /* for the audit log; NULL: none */
};

static bool has_action(const struct bound *b, const char *action)
{
	JSON_EACH (it, json_at(obj_json(b->obj), "/spec/validationActions")) {
		if (str_eq(json_str(it.val), action))
			return true;
	}
	return false;
}

static void first_denial(struct asking *a, const char *message, const char *reason)
{
	if (a->message)
		return;
	a->message = str_printf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s",
		obj_name(a->b->policy->obj), obj_name(a->b->obj), message);
	a->reason = mem_strdup(str_empty(reason) ? "Invalid" : reason);
}

static void note_failure(struct asking *a, const struct denial *d)
{
	const struct json *b = obj_json(a->b->obj);
	struct json *o;

	if (!a->failures) {
		a->failures = json_doc_new();
		json_set_root(a->failures, json_new_arr(a->failures));
	}
	o = json_new_obj(a->failures);
	json_set_str(a->failures, o, "message", d->message);
	json_set_str(a->failures, o, "policy", obj_name(a->b->policy->obj));
	json_set_str(a->failures, o, "binding", obj_name(a->b->obj));
	json_set_copy(a->failures, o, "validationActions", json_at(b, "/spec/validationActions"));
	json_append(a->failures, json_root(a->failures), o);
}

/* All of them in one annotation. */
static void tell_failures(struct asking *a)
{
	CLEANUP(str_done) struct str text = { 0 };

	if (!a->failures)
		return;
	json_write_to(json_root(a->failures), &text);
	if (a->in->client && *a->in->client && request_audit(*a->in->client))
		audit_annotate(request_audit(*a->in->client),
			"validation.policy.admission.k8s.io/validation_failure", str_cstr(&text));
	else /* nobody asked for an audit log */
		log_info("apiserver: audit: user '%s', %s %s '%s': %s", a->in->user->name, a->in->operation,
			a->in->res->kind->plural, a->in->name, str_cstr(&text));
	json_doc_free(a->failures);
}

static void denied(void *arg, const struct denial *d)
{
	struct asking *a = arg;

	if (has_action(a->b, "Warn"))
		strv_addf(a->warnings,
			"Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s",
			obj_name(a->b->policy->obj), obj_name(a->b->obj), d->message);
	if (has_action(a->b, "Audit"))
		note_failure(a, d);
	if (has_action(a->b, "Deny"))
		first_denial(a, d->message, d->reason);
}

/* It is not the request's fault: what counts is the failure policy. */
static void misconfigured(struct asking *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void misconfigured(struct asking *a, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 };
	va_list ap;

	if (a->b->policy->ignore_failure)
		return;
	str_add(&text, "failed to configure binding: ");
	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	first_denial(a, str_cstr(&text), NULL);
}

static void evaluate(struct asking *a, struct resource *as, const struct obj *params)
{
	policy_evaluate(a->b->policy, a->p->adm, a->in, as, params ? obj_json(params) : NULL, denied, a);
}

static void no_params(struct asking *a)
{
	if (str_eq(json_at_str(obj_json(a->b->obj), "/spec/paramRef/parameterNotFoundAction"), "Deny"))
		misconfigured(a, "no params found for policy binding with `Deny` parameterNotFoundAction");
}

static void each_selected(struct asking *a, struct resource *as, struct resource *kind, const char *ns)
{
	const struct json *ref = json_at(obj_json(a->b->obj), "/spec/paramRef/selector");
	CLEANUP(mem_freep) char *prefix = str_empty(ns) ? mem_strdup("") : str_printf("%s/", ns);
	const struct bucket *b = objects_bucket_of(a->p->adm->objects, kind);
	struct selector *sel = NULL;
	const struct obj *o;
	struct err e = { 0 };
	bool any = false;

	if (selector_from_json(ref, &sel, &e) < 0) {
		misconfigured(a, "%s", e.msg);
		return;
	}
	for (size_t i = bucket_seek(b, prefix); (o = bucket_at(b, i)) && str_starts(obj_key(o), prefix);
		i++) {
		if (!selector_matches(sel, json_at(obj_json(o), "/metadata/labels")))
			continue;
		any = true;
		evaluate(a, as, o);
	}
	selector_free(sel);
	if (!any)
		no_params(a);
}

static void with_params(struct asking *a, struct resource *as, const struct json *param_kind)
{
	const struct json *ref = json_at(obj_json(a->b->obj), "/spec/paramRef");
	struct resource *kind = registry_find_kind(a->p->adm->objects->registry,
		json_str_or(json_get(param_kind, "apiVersion"), ""),
		json_str_or(json_get(param_kind, "kind"), ""));
	const char *ns = json_get_str(ref, "namespace"), *name = json_get_str(ref, "name");
	CLEANUP(mem_freep) char *key = NULL;
	const struct obj *o;

	if (!kind) {
		misconfigured(a, "failed to find resource referenced by paramKind: '%s, Kind=%s'",
			json_str_or(json_get(param_kind, "apiVersion"), ""),
			json_str_or(json_get(param_kind, "kind"), ""));
		return;
	}
	if (!json_is_obj(ref)) {
		evaluate(a, as, NULL);
		return;
	}
	if (!kind->kind->namespaced && !str_empty(ns)) {
		misconfigured(a, "paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
		return;
	}
	if (kind->kind->namespaced && str_empty(ns))
		ns = a->in->ns;
	if (kind->kind->namespaced && str_empty(ns)) {
		misconfigured(a,
			"cannot use namespaced paramRef in policy binding that matches cluster-scoped "
			"resources");
		return;
	}
	if (str_empty(name)) {
		each_selected(a, as, kind, kind->kind->namespaced ? ns : NULL);
		return;
	}
	key = kind_key(kind->kind->namespaced ? ns : "", name);
	o = bucket_get(objects_bucket_of(a->p->adm->objects, kind), key);
	if (o)
		evaluate(a, as, o);
	else
		no_params(a);
}

static void ask(struct asking *a, const struct bound *b, const struct hook_subject *t)
{
	struct resource *as = match_ask(&b->policy->match, t, a->in->name);
	const struct json *param_kind = json_at(obj_json(b->policy->obj), "/spec/paramKind");

	a->b = b;
	if (!as || !match_ask(&b->match, t, a->in->name))
		return;
	if (b->policy->broken)
		misconfigured(a, "%s", b->policy->broken);
	else if (json_is_obj(param_kind))
		with_params(a, as, param_kind);
	else
		evaluate(a, as, NULL);
}

static int code_of(const char *reason)
{
	static const struct {
		const char *reason;
		int code;
	} codes[] = { { "Unauthorized", 401 }, { "Forbidden", 403 }, { "RequestEntityTooLarge", 413 } };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (str_eq(codes[i].reason, reason))
			return codes[i].code;
	return 422;
}

static struct json_doc *refusal(const struct asking *a)
{
	const struct kind *k = a->in->res->kind;
	struct json_doc *d;
	struct json *details, *cause;
	struct err e = { 0 };

	err_set(&e, ERR_FORBIDDEN, "%s%s%s \"%s\" is forbidden: %s", k->plural,
		str_empty(k->group) ? "" : ".", str_empty(k->group) ? "" : k->group, a->in->name, a->message);
	d = status_from_err(&e, k, a->in->name, NULL);
	json_set_str(d, json_root(d), "reason", a->reason);
	json_set_i64(d, json_root(d), "code", code_of(a->reason));
	details = json_need_obj(d, json_root(d), "details");
	cause = json_new_obj(d);
	json_set_str(d, cause, "message", a->message);
	json_append(d, json_need_arr(d, details, "causes"), cause);
	return d;
}

/* Policies can not lock out those who would change them. */
static bool exempt(const struct admission_in *in)
{
	return str_eq(in->res->kind->group, GROUP) && strstr(in->res->kind->plural, "admissionpolic");
}

bool policies_any(struct policies *p)
{
	if (p && p->stale)
		refresh(p);
	return p && p->n > 0;
}

int policies_ask(struct policies *p, const struct admission_in *in, struct strv *warnings,
	struct json_doc **ret_status)
{
	struct asking a = { .p = p, .in = in, .warnings = warnings };
	struct hook_subject t;

	if (!policies_any(p) || exempt(in))
		return 0;
	t = (struct hook_subject){ .adm = p->adm,
		.res = in->res,
		.sub = in->sub,
		.operation = in->operation,
		.ns = in->ns,
		.object = in->object,
		.old = in->old ? obj_json(in->old) : NULL };
	for (size_t i = 0; i < p->n; i++)
		ask(&a, &p->bindings[i], &t);
	tell_failures(&a);
	if (!a.message)
		return 0;
	*ret_status = refusal(&a);
	free(a.message);
	free(a.reason);
	return -1;
}
