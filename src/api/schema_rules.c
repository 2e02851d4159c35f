/* SPDX-License-Identifier: Apache-2.0 */
/* x-kubernetes-validations: compiled, checked when a definition is written, asked about every object (kubernetes-api.md 4). */
#include "api/schema_int.h"

#include <string.h>

#include "api/cel.h"
#include "base/mem.h"

#define RESET_COST 50000 /* the arena of the values is emptied when this much was done in it */
enum { VAR_SELF, VAR_OLD, VARS };

struct rule {
	struct cel_program *program, *message;
	char *field_path; /* "a.b", or NULL */
	bool uses_old, optional_old;
	const struct json *json;
	char *failed; /* why it could not be compiled */
};
struct schema_rules {
	bool compiled;
	struct rule *items;
	size_t n;
};

struct schema_rules *schema_rules_new(void)
{
	return MEM_NEW(struct schema_rules);
}

void schema_rules_free(struct schema_rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		cel_program_free(r->items[i].program);
		cel_program_free(r->items[i].message);
		free(r->items[i].field_path);
		free(r->items[i].failed);
	}
	free(r->items);
	free(r);
}

/* ---- compiling ---- */

static char *trimmed(const char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	n = strlen(s);
	while (n && strchr(" \t\r\n", s[n - 1]))
		n--;
	return mem_strndup(s, n);
}

static bool is_resource(const struct schema *s)
{
	return (s->flags & (SF_ROOT | SF_EMBEDDED)) != 0;
}

static struct cel_env *env_of(const struct schema *s, bool optional_old)
{
	struct cel_env *env = cel_env_new();
	const struct cel_type *self = cel_type_of_schema(env, s, is_resource(s));

	if (!self) {
		cel_env_free(env);
		return NULL;
	}
	cel_env_add(env, "self", self);
	cel_env_add(env, "oldSelf", optional_old ? cel_type_optional(env, self) : self);
	return env;
}

/* A piece of a field path in quotes; *p stands behind the opening quote. */
static bool read_quoted(const char **p, struct str *out)
{
	static const char from[] = "abfnrtv'\\", to[] = "\a\b\f\n\r\t\v'\\";

	for (; **p && **p != '\''; (*p)++) {
		const char *at;

		if (**p != '\\') {
			str_addc(out, **p);
			continue;
		}
		(*p)++;
		at = **p ? strchr(from, **p) : NULL;
		if (!at)
			return false;
		str_addc(out, to[at - from]);
	}
	return *(*p)++ == '\'' && *(*p)++ == ']';
}

/* ".a.b['c d']" to "a.b.c d"; NULL with *ret_why if that is no path below s. */
static char *read_field_path(const struct schema *s, const char *path, const char **ret_why)
{
	CLEANUP(str_done) struct str out = { 0 };

	for (const char *p = path; *p;) {
		CLEANUP(str_done) struct str name = { 0 };
		const struct schema *below;

		if (*p == '.') {
			size_t n = strcspn(++p, ".[]");

			str_addn(&name, p, n);
			p += n;
		} else if (p[0] == '[' && p[1] == '\'') {
			p += 2;
			if (!read_quoted(&p, &name)) {
				*ret_why = "invalid string literal";
				return NULL;
			}
		} else {
			*ret_why = "expected [ or .";
			return NULL;
		}
		below = schema_prop_of(s, str_cstr(&name), name.len);
		if (!below) {
			*ret_why = "does not refer to a valid field";
			return NULL;
		}
		if (below == s->additional)
			str_addf(&out, "[%s]", str_cstr(&name));
		else
			str_addf(&out, "%s%s", out.len ? "." : "", str_cstr(&name));
		s = below;
	}
	return str_take(&out);
}

static int compile_text(const struct json *text, const struct cel_env *env, const char *type,
	const char *wrong_type, struct cel_program **ret, struct err *e)
{
	const struct cel_type *want = cel_type_named((struct cel_env *)env, type);
	int failed;

	if (strlen(json_str(text)) != json_str_len(text))
		return err_set(e, ERR_INVALID, "compilation failed: the expression contains a NUL character");
	failed = cel_compile(json_str(text), env, want, ret, e);
	if (failed && str_starts(e->msg, "must evaluate to"))
		err_set(e, ERR_INVALID, "%s", wrong_type);
	return failed;
}

static void compile_rule(const struct schema *s, const struct json *j, struct rule *rule)
{
	CLEANUP(cel_env_freep) struct cel_env *env = NULL;
	const char *path = json_get_str(j, "fieldPath"), *why;
	struct err e = { 0 };

	rule->json = j;
	rule->optional_old = json_bool(json_get(j, "optionalOldSelf"));
	env = env_of(s, rule->optional_old);
	if (!env) {
		rule->failed = mem_strdup("the schema here has no type that rules can see");
		return;
	}
	if (!json_is_str(json_get(j, "rule"))) {
		rule->failed = mem_strdup("rule is not specified");
		return;
	}
	if (compile_text(json_get(j, "rule"), env, "b", "cel expression must evaluate to a bool",
		    &rule->program, &e) < 0) {
		rule->failed = mem_strdup(e.msg);
		return;
	}
	rule->uses_old = cel_program_uses(rule->program, VAR_OLD);
	if (!str_empty(json_get_str(j, "messageExpression")))
		(void)compile_text(json_get(j, "messageExpression"), env, "s", "", &rule->message, &e);
	if (!str_empty(path))
		rule->field_path = read_field_path(s, path, &why);
}

static struct schema_rules *rules_of(const struct schema *s)
{
	struct schema_rules *r = s->rule_set;

	if (r->compiled)
		return r;
	r->compiled = true;
	r->items = mem_zalloc(json_len(s->rules) * sizeof(*r->items));
	JSON_EACH (it, s->rules)
		compile_rule(s, it.val, &r->items[r->n++]);
	return r;
}

/* ---- checking a definition ---- */

struct checking {
	struct causes *causes;
	const char *uncorrelatable; /* path of what makes old values below it unknown, or NULL */
};

static void text_empty(struct causes *c, const char *path, const struct json *v, bool expression)
{
	if (expression)
		cause_required(c, path, "messageExpression must be non-empty if specified");
	else
		cause_invalid(c, path, v, "must be non-empty if specified");
}

static void check_texts(struct checking *c, const struct json *j, const char *at)
{
	static const char *const reasons[] = { "FieldValueDuplicate", "FieldValueForbidden",
		"FieldValueInvalid", "FieldValueRequired", NULL };
	static const char *const members[] = { "message", "messageExpression", "fieldPath" };
	const char *rule = json_get_str(j, "rule");

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *v = json_get(j, members[i]);
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, members[i]);
		CLEANUP(mem_freep) char *text = json_str_len(v) ? trimmed(json_str(v)) : NULL;

		if (!text)
			continue;
		if (!*text)
			text_empty(c->causes, path, v, i == 1);
		else if (i != 1 && strpbrk(text, "\r\n"))
			cause_invalid(c->causes, path, v, "must not contain line breaks");
	}
	if (rule && strchr(rule, '\n') && str_empty(json_get_str(j, "message"))) {
		CLEANUP(mem_freep) char *path = str_printf("%s.message", at);
		cause_required(c->causes, path, "message must be specified if rule contains line breaks");
	}
	if (json_get(j, "reason") && !str_in(json_str_or(json_get(j, "reason"), ""), reasons)) {
		CLEANUP(mem_freep) char *path = str_printf("%s.reason", at);
		cause_not_supported(c->causes, path, json_get(j, "reason"), reasons);
	}
}

/* In the names of Kubernetes' own struct */
static void bad_rule(struct causes *c, const char *path, const struct json *rule, const char *why)
{
	static const struct {
		const char *member, *shown, *absent;
	} parts[] = { { "rule", "Rule", "\"\"" }, { "message", "Message", "\"\"" },
		{ "messageExpression", "MessageExpression", "\"\"" }, { "reason", "Reason", "null" },
		{ "fieldPath", "FieldPath", "\"\"" }, { "optionalOldSelf", "OptionalOldSelf", "null" } };
	CLEANUP(str_done) struct str s = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		str_addf(&s, "%s\"%s\":", i ? "," : "", parts[i].shown);
		if (json_get(rule, parts[i].member))
			json_write_to(json_get(rule, parts[i].member), &s);
		else
			str_add(&s, parts[i].absent);
	}
	cause_text(c, "FieldValueInvalid", path, "Invalid value: {%s}: %s", str_cstr(&s), why);
}

static void check_message(struct checking *c, const struct schema *s, const struct json *j, const char *at)
{
	CLEANUP(cel_env_freep)
	struct cel_env *env = env_of(s, json_bool(json_get(j, "optionalOldSelf")));
	CLEANUP(cel_program_freep) struct cel_program *p = NULL;
	CLEANUP(mem_freep) char *path = str_printf("%s.messageExpression", at);
	struct err e = { 0 };

	if (env && compile_text(json_get(j, "messageExpression"), env, "s",
			   "messageExpression must evaluate to a string", &p, &e) < 0)
		bad_rule(c->causes, path, j, e.msg);
}

static void check_field_path(struct checking *c, const struct schema *s, const struct json *j, const char *at)
{
	const struct json *v = json_get(j, "fieldPath");
	CLEANUP(mem_freep) char *path = str_printf("%s.fieldPath", at);
	const char *why = NULL;
	CLEANUP(mem_freep) char *found = read_field_path(s, json_str_or(v, ""), &why);

	if (!found)
		cause_invalid(c->causes, path, v, "must be a valid path");
}

static void check_rule(struct checking *c, const struct schema *s, const struct rule *rule, const char *at)
{
	const struct json *j = rule->json;
	CLEANUP(mem_freep) char *path = str_printf("%s.rule", at);

	check_texts(c, j, at);
	if (str_empty(json_get_str(j, "rule"))) {
		cause_required(c->causes, path, "rule is not specified");
		return;
	}
	if (rule->failed) {
		bad_rule(c->causes, path, j, rule->failed);
		return;
	}
	if (!str_empty(json_get_str(j, "messageExpression")) && !rule->message)
		check_message(c, s, j, at);
	if (!str_empty(json_get_str(j, "fieldPath")) && !rule->field_path)
		check_field_path(c, s, j, at);
	if (json_get(j, "optionalOldSelf") && !rule->uses_old) {
		CLEANUP(mem_freep) char *optional = str_printf("%s.optionalOldSelf", at);
		cause_invalid(c->causes, optional, json_get(j, "optionalOldSelf"),
			"may not be set if oldSelf is not used in rule");
	}
	if (rule->uses_old && c->uncorrelatable)
		cause_invalid(c->causes, path, json_get(j, "rule"),
			"oldSelf cannot be used on the uncorrelatable portion of the schema within %s",
			c->uncorrelatable);
}

static void check_default(struct checking *c, const struct schema *s, const char *at)
{
	CLEANUP(causes_done) struct causes wrong = { 0 };
	CLEANUP(mem_freep) char *path = str_printf("%s.default", at);

	schema_evaluate(s, s->deflt, NULL, &wrong, NULL);
	for (size_t i = 0; i < wrong.len; i++) {
		CLEANUP(mem_freep)
		char *below = str_eq(wrong.items[i].field, "<nil>")
				      ? mem_strdup(path)
				      : str_printf("%s.%s", path, wrong.items[i].field);
		cause_text(c->causes, wrong.items[i].reason, below, "%s", wrong.items[i].message);
	}
}

static void check_below(struct checking *c, const struct schema *s, const char *at, const char *cut);

static void check_schema(struct checking *c, const struct schema *s, const char *at)
{
	size_t before = c->causes->len;

	if (s->rules) {
		const struct schema_rules *r = rules_of(s);

		for (size_t i = 0; i < r->n; i++) {
			CLEANUP(mem_freep) char *path = str_printf("%s.x-kubernetes-validations[%zu]", at, i);
			check_rule(c, s, &r->items[i], path);
		}
	}
	for (size_t i = 0; i < s->n_props; i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.properties[%s]", at, s->props[i].name);
		check_below(c, s->props[i].s, path, s->flags & SF_MAP_ATOMIC ? at : NULL);
	}
	if (s->additional) {
		CLEANUP(mem_freep) char *path = str_printf("%s.additionalProperties", at);
		check_below(c, s->additional, path, s->flags & SF_MAP_ATOMIC ? at : NULL);
	}
	if (s->items) {
		CLEANUP(mem_freep) char *path = str_printf("%s.items", at);
		check_below(c, s->items, path, s->list_type != SCHEMA_LIST_MAP ? at : NULL);
	}
	if (s->deflt && (s->flags & SF_HAS_RULES) && c->causes->len == before)
		check_default(c, s, at);
}

/* cut: from here on old values can not be found, because of what stands there. */
static void check_below(struct checking *c, const struct schema *s, const char *at, const char *cut)
{
	const char *outer = c->uncorrelatable;

	if (!(s->flags & SF_HAS_RULES))
		return;
	if (!outer)
		c->uncorrelatable = cut;
	check_schema(c, s, at);
	c->uncorrelatable = outer;
}

void schema_check_rules(const struct schema *s, const char *at, struct causes *causes)
{
	struct checking c = { .causes = causes };

	check_below(&c, s, at, NULL);
}

/* ---- evaluating ---- */

/* A value on the way down, and its old one. */
struct spot {
	const struct spot *up;
	const struct json *v, *old; /* old NULL: not known, or there was none */
	const struct jpath *at;
};
struct evaluation {
	struct cel_run *run;
	struct causes *causes, *tolerated;
	bool broke; /* nothing more is evaluated */
};

static const char *type_text(const struct schema *s)
{
	static const char *const names[] = { "", "object", "array", "string", "integer", "number",
		"boolean" };

	return names[s->type];
}

/* Upstream's name for the place without a name is that of a nil pointer. */
static char *place_text(const struct jpath *at)
{
	return at ? jpath_text(at) : mem_strdup("<nil>");
}

/* Nothing changed here, or in the nearest value around that has an old one. */
static bool unchanged(const struct spot *spot)
{
	while (spot && !spot->old)
		spot = spot->up;
	return spot && json_eq(spot->v, spot->old);
}

static void add_cause(struct causes *to, const struct schema *s, const struct rule *rule, const char *path,
	const char *text)
{
	const char *reason = json_get_str(rule->json, "reason");
	CLEANUP(mem_freep) char *quoted = str_printf("\"%s\"", type_text(s));

	if (str_eq(reason, "FieldValueForbidden"))
		cause_forbidden(to, path, "%s", text);
	else if (str_eq(reason, "FieldValueRequired"))
		cause_required(to, path, text);
	else if (str_eq(reason, "FieldValueDuplicate"))
		cause_text(to, reason, path, "Duplicate value: %s", quoted);
	else
		cause_text(to, "FieldValueInvalid", path, "Invalid value: %s: %s", quoted, text);
}

static void add_invalid(struct evaluation *ev, const struct schema *s, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void add_invalid(struct evaluation *ev, const struct schema *s, const char *path, const char *fmt, ...)
{
	CLEANUP(str_done) struct str text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	str_addv(&text, fmt, ap);
	va_end(ap);
	cause_text(ev->causes, "FieldValueInvalid", path, "Invalid value: \"%s\": %s", type_text(s),
		str_cstr(&text));
}

/* The rule's message, else the rule. */
static char *rule_text(const struct rule *rule)
{
	const char *message = json_get_str(rule->json, "message");

	return trimmed(str_empty(message) ? json_str_or(json_get(rule->json, "rule"), "") : message);
}

static char *evaluated_message(struct evaluation *ev, const struct rule *rule, const struct cel_value *vars)
{
	CLEANUP(mem_freep) char *text = NULL;
	struct cel_value v;

	if (!rule->message || cel_eval(rule->message, ev->run, vars, &v, NULL) < 0 || v.kind != CEL_STRING ||
		v.n > CEL_MESSAGE_MAX)
		return NULL;
	text = mem_strndup(v.s, v.n);
	char *shown = trimmed(text);
	if (*shown && !strchr(shown, '\n'))
		return shown;
	free(shown);
	return NULL;
}

static void rule_failed(struct evaluation *ev, const struct schema *s, const struct rule *rule,
	const struct spot *spot, const struct cel_value *vars)
{
	CLEANUP(mem_freep) char *path = place_text(spot->at);
	CLEANUP(mem_freep) char *text = NULL, *rule_as_text = NULL;

	struct causes *to = !rule->uses_old && unchanged(spot) ? ev->tolerated : ev->causes;

	if (!to)
		return;
	text = evaluated_message(ev, rule, vars);
	if (!text) {
		rule_as_text = rule_text(rule);
		text = str_empty(json_get_str(rule->json, "message"))
			       ? str_printf("failed rule: %s", rule_as_text)
			       : TAKE(rule_as_text);
	}
	if (rule->field_path) {
		char *longer = str_printf("%s%s%s", spot->at ? path : "",
			spot->at && rule->field_path[0] != '[' ? "." : "", rule->field_path);
		free(path);
		path = longer;
	}
	add_cause(to, s, rule, path, text);
}

static void rule_broke(struct evaluation *ev, const struct schema *s, const struct rule *rule,
	const struct spot *spot, const struct err *e)
{
	CLEANUP(mem_freep) char *path = place_text(spot->at);
	CLEANUP(mem_freep) char *text = rule_text(rule);

	if (e->code == ERR_TOO_LARGE) {
		ev->broke = true;
		if (str_starts(e->msg, "operation cancelled"))
			add_invalid(ev, s, path,
				"'%s': no further validation rules will be run due to call cost exceeds "
				"limit for "
				"rule: %s",
				e->msg, text);
		else
			add_invalid(ev, s, path, "%s", e->msg);
	} else if (str_starts(e->msg, "no such overload")) {
		add_invalid(ev, s, path,
			"'%s': call arguments did not match a supported operator, function or macro "
			"signature for "
			"rule: %s",
			e->msg, text);
	} else {
		add_invalid(ev, s, path, "%s evaluating rule: %s", e->msg, text);
	}
}

static void evaluate_rule(
	struct evaluation *ev, const struct schema *s, const struct rule *rule, const struct spot *spot)
{
	struct cel_value vars[VARS];
	uint64_t left = cel_run_left(ev->run);
	bool good = false;
	struct err e = { 0 };

	if (rule->failed) {
		CLEANUP(mem_freep) char *path = place_text(spot->at);
		add_invalid(ev, s, path, "rule compile error: %s", rule->failed);
		return;
	}
	if (rule->uses_old && !spot->old && !rule->optional_old)
		return;
	vars[VAR_SELF] = cel_from_schema(ev->run, s, spot->v, is_resource(s));
	vars[VAR_OLD] = spot->old ? cel_from_schema(ev->run, s, spot->old, is_resource(s)) : cel_null();
	if (rule->optional_old)
		vars[VAR_OLD] = cel_optional(ev->run, spot->old ? &vars[VAR_OLD] : NULL);
	if (cel_eval_bool(rule->program, ev->run, vars, &good, &e) < 0)
		rule_broke(ev, s, rule, spot, &e);
	else if (!good)
		rule_failed(ev, s, rule, spot, vars);
	if (left - cel_run_left(ev->run) > RESET_COST) {
		left = cel_run_left(ev->run);
		cel_run_free(ev->run);
		ev->run = cel_run_new();
		cel_run_set_budget(ev->run, left);
	}
}

static void evaluate(struct evaluation *ev, const struct schema *s, const struct spot *spot);

static void evaluate_members(struct evaluation *ev, const struct schema *s, const struct spot *spot)
{
	const struct json *old = s->flags & SF_MAP_ATOMIC ? NULL : spot->old;

	JSON_EACH (it, spot->v) {
		struct jpath at = { .up = spot->at, .key = it.key, .len = it.key_len };
		const struct schema *below = schema_prop_of(s, it.key, it.key_len);
		struct spot here = { .up = spot, .v = it.val, .at = &at };

		at.of_map = spot->at && below && below == s->additional;
		if (!below || !(below->flags & SF_HAS_RULES) || ev->broke)
			continue;
		here.old = json_is_obj(old) ? json_getn(old, it.key, it.key_len) : NULL;
		evaluate(ev, below, &here);
	}
}

static void evaluate_items(struct evaluation *ev, const struct schema *s, const struct spot *spot)
{
	JSON_EACH (it, spot->v) {
		struct jpath at = { .up = spot->at, .index = it.i };
		struct spot here = { .up = spot, .v = it.val, .at = &at };

		if (ev->broke)
			return;
		here.old = schema_old_item(s, it.val, spot->old);
		evaluate(ev, s->items, &here);
	}
}

static void evaluate(struct evaluation *ev, const struct schema *s, const struct spot *spot)
{
	if (json_is_null(spot->v))
		return;
	if (s->rules) {
		const struct schema_rules *r = rules_of(s);

		for (size_t i = 0; i < r->n && !ev->broke; i++)
			evaluate_rule(ev, s, &r->items[i], spot);
	}
	if (json_is_obj(spot->v))
		evaluate_members(ev, s, spot);
	else if (json_is_arr(spot->v) && s->items && (s->items->flags & SF_HAS_RULES))
		evaluate_items(ev, s, spot);
}

void schema_evaluate(const struct schema *s, const struct json *v, const struct json *old,
	struct causes *causes, struct causes *tolerated)
{
	struct evaluation ev = { .run = cel_run_new(), .causes = causes, .tolerated = tolerated };
	struct spot spot = { .v = v, .old = json_is_null(old) ? NULL : old };

	evaluate(&ev, s, &spot);
	cel_run_free(ev.run);
}
