/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that are answered and not stored: who am I, may somebody, whose token is this (kubernetes-api.md 1.5, 5.3). */
#include "platform/auth/auth.h"
#include "platform/apiserver/write.h"

#include "base/mem.h"
#include "base/time.h"

#include <string.h>

static void user_from_spec(const struct json *spec, struct user *u)
{
	u->name = mem_strdup(json_str_or(json_get(spec, "user"), ""));
	u->uid = mem_strdup(json_str_or(json_get(spec, "uid"), ""));
	JSON_EACH (it, json_get(spec, "groups")) {
		if (json_str(it.val))
			strv_add(&u->groups, json_str(it.val));
	}
	JSON_EACH (it, json_get(spec, "extra")) {
		CLEANUP(mem_freep) char *key = str_lower(it.key);

		JSON_EACH (v, it.val) {
			if (json_str(v.val))
				strv_addf(&u->extra, "%s=%s", key, json_str(v.val));
		}
	}
}

/* ---- access ---- */
static void access_from(const struct json *spec, const struct user *u, struct access *a)
{
	const struct json *r = json_get(spec, "resourceAttributes"),
			  *n = json_get(spec, "nonResourceAttributes");

	*a = (struct access){ .user = u, .resource_request = json_is_obj(r) };
	a->verb = json_str_or(json_get(r ? r : n, "verb"), "");
	a->group = json_get_str(r, "group");
	a->version = json_get_str(r, "version");
	a->plural = json_str_or(json_get(r, "resource"), "");
	a->sub = json_get_str(r, "subresource");
	a->ns = json_get_str(r, "namespace");
	a->name = json_get_str(r, "name");
	a->path = json_str_or(json_get(n, "path"), "");
}

/* local: of a LocalSubjectAccessReview; self: of a SelfSubjectAccessReview. */
static void check_spec(const struct json *spec, bool self, bool local, struct causes *c)
{
	const struct json *res = json_get(spec, "resourceAttributes"),
			  *path = json_get(spec, "nonResourceAttributes");

	if (json_is_obj(res) && json_is_obj(path))
		cause_invalid(c, "spec.nonResourceAttributes", path,
			"cannot be specified in combination with resourceAttributes");
	else if (!json_is_obj(res) && !json_is_obj(path))
		cause_text(c, "FieldValueInvalid", "spec.resourceAttributes",
			"Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes "
			"must be "
			"specified");
	if (local && json_is_obj(path))
		cause_invalid(c, "spec.nonResourceAttributes", path, "disallowed on this kind of request");
	if (!self && str_empty(json_get_str(spec, "user")) && json_len(json_get(spec, "groups")) == 0)
		cause_text(c, "FieldValueInvalid", "spec.user",
			"Invalid value: \"\": at least one of user or group must be specified");
}

static void check_selectors(const struct json *res, struct causes *c)
{
	static const char *const members[] = { "fieldSelector", "labelSelector" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *sel = json_get(res, members[i]), *raw = json_get(sel, "rawSelector");
		CLEANUP(mem_freep) char *at = str_printf("spec.resourceAttributes.%s", members[i]);
		CLEANUP(mem_freep) char *raw_at = str_printf("%s.rawSelector", at);
		CLEANUP(mem_freep) char *needs_at = str_printf("%s.requirements", at);
		CLEANUP(mem_freep)
		char *detail =
			str_printf("when %s is specified, requirements or rawSelector is required", at);

		if (json_str_len(raw) > 0 && json_len(json_get(sel, "requirements")) > 0)
			cause_invalid(c, raw_at, raw, "may not specified at the same time as requirements");
		else if (json_is_obj(sel) && json_str_len(raw) == 0 &&
			 json_len(json_get(sel, "requirements")) == 0)
			cause_required(c, needs_at, detail);
	}
}

/* Of a LocalSubjectAccessReview the namespace, besides. */
static void check_metadata(const struct json *o, bool local, struct causes *c)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_from(json_get(o, "metadata"));

	json_remove(json_root(d), "managedFields");
	json_remove(json_root(d), "creationTimestamp");
	if (local)
		json_remove(json_root(d), "namespace");
	if (json_len(json_root(d)) > 0)
		cause_invalid(c, "metadata", json_get(o, "metadata"),
			local ? "must be empty except for namespace" : "must be empty");
}

static int review_access(struct apiserver *s, struct request *r, const struct kind *k, const char *ns,
	struct json_doc *d, struct causes *c, struct err *e)
{
	const char *plural = k->plural;
	bool local = str_eq(plural, "localsubjectaccessreviews"),
	     self = str_eq(plural, "selfsubjectaccessreviews");
	struct json *o = json_root(d), *spec = json_need_obj(d, o, "spec"), *status;
	CLEANUP(str_done) struct str reason = { 0 };
	struct user other = { 0 };
	const struct user *u = request_user(r);
	struct access a;
	bool allowed;

	check_spec(spec, self, local, c);
	check_selectors(json_get(spec, "resourceAttributes"), c);
	check_metadata(o, local, c);
	if (local && json_is_obj(json_get(spec, "resourceAttributes")) &&
		!str_eq(json_str_or(json_at(spec, "/resourceAttributes/namespace"), ""), ns))
		cause_invalid(c, "spec.resourceAttributes.namespace",
			json_at(spec, "/resourceAttributes/namespace"), "must match metadata.namespace");
	if (c->len > 0)
		return causes_to_err(c, k, "", e);
	if (!self) {
		user_from_spec(spec, &other);
		u = &other;
	}
	access_from(spec, u, &a);
	allowed = access_explain(s->auth, &a, &reason);
	user_done(&other);
	json_set(d, o, "status", json_new_obj(d));
	status = json_get(o, "status");
	json_set_bool(d, status, "allowed", allowed);
	if (reason.len > 0)
		json_set_strf(d, status, "reason", "RBAC: %s", reason.data);
	return 0;
}

/* ---- rules ---- */
struct rules_out {
	struct json_doc *d;
	struct json *status;
};

static bool add_rule(void *arg, const struct json *rule)
{
	struct rules_out *out = arg;
	static const char *const members[] = { "verbs", "apiGroups", "resources", "resourceNames" };
	struct json *to = json_new_obj(out->d);
	bool paths = json_len(json_get(rule, "nonResourceURLs")) > 0;

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_get(rule, members[i]) && (!paths || i == 0))
			json_set_copy(out->d, to, members[i], json_get(rule, members[i]));
	if (paths)
		json_set_copy(out->d, to, "nonResourceURLs", json_get(rule, "nonResourceURLs"));
	json_append(out->d, json_get(out->status, paths ? "nonResourceRules" : "resourceRules"), to);
	return true;
}

static int review_rules(struct apiserver *s, struct request *r, struct json_doc *d, struct err *e)
{
	struct json *o = json_root(d);
	const char *ns = json_at_str(o, "/spec/namespace");
	struct rules_out out = { .d = d };

	if (str_empty(ns))
		return err_set(e, ERR_BAD_REQUEST, "no namespace on request");
	json_set(d, o, "status", json_new_obj(d));
	out.status = json_get(o, "status");
	json_set(d, out.status, "resourceRules", json_new_arr(d));
	json_set(d, out.status, "nonResourceRules", json_new_arr(d));
	json_set_bool(d, out.status, "incomplete", false);
	if (user_in(request_user(r), GROUP_MASTERS)) {
		CLEANUP(json_doc_freep)
		struct json_doc *all = json_lit("[{'verbs':['*'],'apiGroups':['*'],'resources':['*']},{'"
						"verbs':['*'],'nonResourceURLs':['*']}]");

		add_rule(&out, json_item(json_root(all), 0));
		add_rule(&out, json_item(json_root(all), 1));
	}
	access_each_rule(s->auth, request_user(r), ns, add_rule, &out);
	return 0;
}

/* ---- tokens ---- */
static char **audiences_of(const struct json *list, struct strv *v)
{
	JSON_EACH (it, list) {
		if (json_str(it.val))
			strv_add(v, json_str(it.val));
	}
	return v->len > 0 ? strv_argv(v) : NULL;
}

static int review_token(struct apiserver *s, struct json_doc *d, struct err *err)
{
	struct json *o = json_root(d), *status;
	CLEANUP(strv_done) struct strv wanted = { 0 };
	CLEANUP(strv_done) struct strv got = { 0 };
	const char *token = json_at_str(o, "/spec/token");
	char **audiences = audiences_of(json_at(o, "/spec/audiences"), &wanted);
	struct user u = { 0 };
	struct err e = { 0 };

	if (str_empty(token))
		return err_set(err, ERR_BAD_REQUEST, "token is required for TokenReview in authentication");
	json_set(d, o, "status", json_new_obj(d));
	status = json_get(o, "status");
	if (token_check(s->auth, token, (const char *const *)audiences, &u, &got, &e) < 0) {
		json_need_obj(d, status, "user");
		json_set_str(d, status, "error", e.msg);
	} else {
		json_set_bool(d, status, "authenticated", true);
		user_to_json(d, json_need_obj(d, status, "user"), &u);
		for (size_t i = 0; i < got.len; i++)
			json_append_str(d, json_need_arr(d, status, "audiences"), got.items[i]);
	}
	user_done(&u);
	return 0;
}

static int review_self(struct apiserver *s, struct request *r, struct json_doc *d)
{
	struct json *o = json_root(d);
	char when[TIME_TEXT_MAX];

	json_set_str(d, json_need_obj(d, o, "metadata"), "creationTimestamp",
		time_rfc3339(loop_wall_ms(s->loop), when));

	json_set(d, o, "status", json_new_obj(d));
	user_to_json(d, json_need_obj(d, json_get(o, "status"), "userInfo"), request_user(r));
	return 0;
}

void server_review(struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	const char *plural = res->kind->plural;
	char av[KIND_API_VERSION_MAX];
	struct err e = { 0 };
	CLEANUP(causes_done) struct causes c = { 0 };
	enum shape shape;
	int ret;

	if (request_shape(r, res, false, &shape) < 0)
		return; /* no Tables of these: 406 */
	if (str_eq(plural, "bindings")) {
		server_bind(s, r, res, i);
		return;
	}
	ret = body_decode(s, r, res, &d, NULL, &e);

	if (ret == 0 && !json_is_obj(json_root(d)))
		ret = err_set(&e, ERR_BAD_REQUEST, "the body is no object");
	if (ret == 0) {
		json_set_str(d, json_root(d), "apiVersion", kind_api_version(res->kind, av));
		json_set_str(d, json_root(d), "kind", res->kind->kind);
		json_need_obj(d, json_root(d), "metadata");
		if (res->kind->namespaced)
			json_set_str(d, json_need_obj(d, json_root(d), "metadata"), "namespace", i->ns);
		if (str_eq(plural, "tokenreviews"))
			ret = review_token(s, d, &e);
		else if (str_eq(plural, "selfsubjectreviews"))
			ret = review_self(s, r, d);
		else if (str_eq(plural, "selfsubjectrulesreviews"))
			ret = review_rules(s, r, d, &e);
		else
			ret = review_access(s, r, res->kind, i->ns, d, &c, &e);
	}
	if (ret < 0)
		request_fail(r, &e, res->kind, NULL, &c);
	else
		request_reply_json(r, 201, json_root(d));
}

/* ---- serviceaccounts/token ---- */
static const struct kind token_request_kind = {
	.group = "authentication.k8s.io", .version = "v1", .kind = "TokenRequest", .plural = "tokenrequests"
};

/* A token on its way. */
struct token_op {
	struct apiserver *s;
	struct request *r;
	struct resource *res;
	char *ns, *name;
	struct json_doc *body;
	struct strv warnings;
	struct admit *admit;
	struct causes causes;
	const char *missing; /* what the token was to be bound to */
};

static void token_op_free(struct token_op *t)
{
	admit_cancel(t->admit);
	resource_unref(t->res);
	free(t->ns);
	free(t->name);
	json_doc_free(t->body);
	strv_done(&t->warnings);
	causes_done(&t->causes);
	free(t);
}

static void token_op_aborted(void *arg)
{
	token_op_free(arg);
}

static int bound_object(struct token_op *t, const struct json *ref, struct token_spec *spec, struct err *e)
{
	static const char *const kinds[][4] = { { "Pod", "pod", "pods", "pods" },
		{ "Secret", "secret", "secrets", "secrets" }, { "Node", "node", "nodes", "minions" } };
	const char *kind = json_str_or(json_get(ref, "kind"), ""), *uid = json_get_str(ref, "uid");
	const char *version = json_str_or(json_get(ref, "apiVersion"), "");
	const char *name = json_str_or(json_get(ref, "name"), "");

	if (!json_is_obj(ref))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		CLEANUP(mem_freep) char *key = kind_key(str_eq(kind, "Node") ? NULL : t->ns, name);

		if (!str_eq(kind, kinds[i][0]))
			continue;
		if (!*name)
			return err_set(e, ERR_BAD_REQUEST, "Name parameter required.");
		spec->bound_kind = kinds[i][1];
		spec->bound = objects_get(t->s->objects, kinds[i][3], key);
		if (!spec->bound) {
			t->missing = kinds[i][2];
			return err_set(e, ERR_NOT_FOUND, "%s \"%s\" not found", kinds[i][2], name);
		}
		if (!str_empty(uid) && !str_eq(uid, obj_uid(spec->bound)))
			return err_set(e, ERR_CONFLICT,
				"Operation cannot be fulfilled on %s \"%s\": the UID in the bound object "
				"reference (%s) does not match the UID in record. The object might have been "
				"deleted and then recreated",
				kinds[i][2], name, uid);
		return 0;
	}
	return err_set(e, ERR_BAD_REQUEST, "cannot bind token to object of type %s, Kind=%s",
		str_eq(version, "v1") ? "/v1" : version, kind);
}

static int check_seconds(struct token_op *t, const struct json *v, int64_t seconds, struct err *e)
{
	if (seconds >= TOKEN_SECONDS_MIN && seconds <= TOKEN_SECONDS_MAX)
		return 0;
	cause_invalid(&t->causes, "spec.expirationSeconds", v,
		seconds < TOKEN_SECONDS_MIN ? "may not specify a duration less than 10 minutes"
					    : "may not specify a duration larger than 2^32 seconds");
	return causes_to_err(&t->causes, &token_request_kind, "", e);
}

static int token_answer(struct token_op *t, struct err *e)
{
	struct json_doc *d = t->body;
	struct json *o = json_root(d), *spec = json_need_obj(d, o, "spec"), *status,
		    *meta = json_need_obj(d, o, "metadata");
	const struct json *seconds = json_get(spec, "expirationSeconds");
	CLEANUP(strv_done) struct strv audiences = { 0 };
	CLEANUP(mem_freep) char *key = kind_key(t->ns, t->name);
	CLEANUP(mem_freep) char *token = NULL;
	struct token_spec k = { .account = objects_get(t->s->objects, "serviceaccounts", key),
		.seconds = TOKEN_SECONDS };
	char when[TIME_TEXT_MAX];
	int64_t expires;

	if (!k.account)
		return err_set(e, ERR_NOT_FOUND, "serviceaccounts \"%s\" not found", t->name);
	if (json_is_int(seconds))
		k.seconds = json_i64(seconds);
	k.audiences = (const char *const *)audiences_of(json_get(spec, "audiences"), &audiences);
	if (check_seconds(t, seconds, k.seconds, e) < 0 ||
		bound_object(t, json_get(spec, "boundObjectRef"), &k, e) < 0 ||
		token_make(t->s->auth, &k, &token, &expires, e) < 0)
		return -1;
	json_set_i64(d, spec, "expirationSeconds", k.seconds);
	if (audiences.len == 0)
		json_append_str(d, json_need_arr(d, spec, "audiences"), AUTH_ISSUER);
	if (!json_get(spec, "boundObjectRef"))
		json_set(d, spec, "boundObjectRef", json_new_null(d));
	json_set_str(d, meta, "creationTimestamp", time_rfc3339(loop_wall_ms(t->s->loop), when));
	json_set(d, o, "status", json_new_obj(d));
	status = json_get(o, "status");
	json_set_str(d, status, "token", token);
	json_set_str(d, status, "expirationTimestamp", time_rfc3339(expires, when));
	return 0;
}

static void token_refused(struct token_op *t, const struct err *e)
{
	struct kind bound = { .group = "", .plural = t->missing };
	const char *name = json_at_str(json_root(t->body), "/spec/boundObjectRef/name");

	if (e->code != ERR_NOT_FOUND)
		request_fail(t->r, e, &token_request_kind, "", &t->causes);
	else if (t->missing)
		request_fail(t->r, e, &bound, name, NULL);
	else
		request_fail(t->r, e, t->res->kind, t->name, NULL);
}

static void token_admitted(void *arg, struct json_doc *status, const struct json *object)
{
	struct token_op *t = arg;
	struct err e = { 0 };
	int code = (int)json_i64(json_get(status ? json_root(status) : NULL, "code"));

	t->admit = NULL;
	request_on_abort(t->r, NULL, NULL);
	for (size_t i = 0; i < t->warnings.len; i++)
		request_warn(t->r, "%s", t->warnings.items[i]);
	json_doc_free(t->body);
	t->body = json_doc_from(object);
	if (status)
		request_reply_json(t->r, code ? code : 500, json_root(status));
	else if (token_answer(t, &e) < 0)
		token_refused(t, &e);
	else
		request_reply_json(t->r, 201, json_root(t->body));
	token_op_free(t);
}

void server_token_request(
	struct apiserver *s, struct request *r, struct resource *res, const struct reqinfo *i)
{
	CLEANUP(json_doc_freep) struct json_doc *d = NULL;
	struct admission_in in = { .res = res,
		.sub = "token",
		.operation = "CREATE",
		.ns = i->ns,
		.name = i->name,
		.user = request_user(r),
		.options_kind = "CreateOptions" };
	struct token_op *t;
	struct admit *admit;
	struct json *meta;
	struct err e = { 0 };

	if (body_decode(s, r, NULL, &d, NULL, &e) < 0 || !json_is_obj(json_root(d))) {
		err_set(&e, ERR_BAD_REQUEST, "%s", e.code ? e.msg : "the body is no object");
		request_fail(r, &e, NULL, NULL, NULL);
		return;
	}
	json_set_str(d, json_root(d), "apiVersion", "authentication.k8s.io/v1");
	json_set_str(d, json_root(d), "kind", "TokenRequest");
	meta = json_need_obj(d, json_root(d), "metadata");
	if (!str_empty(json_get_str(meta, "name")) && !str_eq(json_get_str(meta, "name"), i->name)) {
		CLEANUP(causes_done) struct causes c = { 0 };

		cause_invalid(&c, "metadata.name", json_get(meta, "name"),
			"must match the service account name if specified");
		causes_to_err(&c, &token_request_kind, i->name, &e);
		request_fail(r, &e, &token_request_kind, i->name, &c);
		return;
	}
	json_set_str(d, meta, "name", i->name);
	json_set_str(d, meta, "namespace", i->ns);
	t = MEM_NEW(struct token_op);
	*t = (struct token_op){
		.s = s, .r = r, .res = resource_ref(res), .ns = mem_strdup(i->ns), .name = mem_strdup(i->name)
	};
	request_on_abort(r, token_op_aborted, t);
	in.object = json_root(d);
	in.client = &t->r;
	admit = admit_start(s->admitter, &in, &t->warnings, token_admitted, t);
	if (admit)
		t->admit = admit;
}
