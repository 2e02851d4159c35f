/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a ValidatingAdmissionPolicy or a binding of one. */
#include "platform/kinds/policy_check.h"

#include "api/semantics.h"
#include "base/mem.h"
#include "platform/kinds/expressions.h"
#include "platform/kinds/hook_client.h"

#include <ctype.h>
#include <string.h>

static bool is_identifier(const char *s)
{
	static const char *const reserved[] = { "true", "false", "null", "in", "as", "break", "const",
		"continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace",
		"return", "var", "void", "while", NULL };

	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			return false;
	return !str_in(s, reserved);
}

struct programs {
	struct cel_program **items;
	size_t n, cap;
};

static void keep(struct programs *p, struct cel_program *program)
{
	p->items = mem_grow(p->items, &p->cap, p->n + 1, sizeof(struct cel_program *));
	p->items[p->n++] = program;
}

/* Each may use those before it. */
static void check_variables(const struct json *list, struct cel_env *env, const struct cel_type *object,
	struct programs *programs, struct causes *c)
{
	CLEANUP(strv_done) struct strv seen = { 0 };

	JSON_EACH (it, list) {
		CLEANUP(mem_freep) char *at = str_printf("spec.variables[%zu].expression", it.i);
		CLEANUP(mem_freep) char *name_at = str_printf("spec.variables[%zu].name", it.i);
		const char *name = json_get_str(it.val, "name");
		struct cel_program *p = expression_check(json_get(it.val, "expression"), env, "D", at, c);

		if (str_empty(name))
			cause_required(c, name_at, "name is not specified");
		else if (!is_identifier(name))
			cause_invalid(c, name_at, json_get(it.val, "name"), "must be a valid CEL identifier");
		else if (strv_has(&seen, name))
			cause_duplicate(c, name_at, json_get(it.val, "name"));
		else if (p)
			cel_type_add(env, object, name, cel_program_type(p));
		if (p)
			keep(programs, p);
		strv_add(&seen, name ? name : "");
	}
}

static void check_validation(const struct json *v, size_t i, const struct cel_env *env, struct causes *c)
{
	/* the last one is taken, but not told of */
	static const char *const taken[] = { "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized",
		NULL };
	static const char *const reasons[] = { "Forbidden", "Invalid", "RequestEntityTooLarge", NULL };
	CLEANUP(mem_freep) char *at = str_printf("spec.validations[%zu]", i);
	CLEANUP(mem_freep) char *expression = str_printf("%s.expression", at);
	CLEANUP(mem_freep) char *message = str_printf("%s.message", at);
	CLEANUP(mem_freep) char *message_expression = str_printf("%s.messageExpression", at);
	CLEANUP(mem_freep) char *reason = str_printf("%s.reason", at);
	const char *text = json_get_str(v, "message");

	cel_program_free(expression_check(json_get(v, "expression"), env, "b", expression, c));
	if (!str_empty(json_get_str(v, "messageExpression")))
		cel_program_free(
			expression_check(json_get(v, "messageExpression"), env, "s", message_expression, c));
	if (text && *text && strspn(text, " \t\r\n") == strlen(text))
		cause_invalid(c, message, json_get(v, "message"), "must be non-empty if specified");
	else if (text && strchr(text, '\n'))
		cause_invalid(c, message, json_get(v, "message"), "must not contain line breaks");
	if (json_get(v, "reason") && !str_in(json_str_or(json_get(v, "reason"), ""), taken))
		cause_not_supported(c, reason, json_get(v, "reason"), reasons);
}

static void check_expressions(const struct json *spec, struct causes *c)
{
	unsigned with = RV_WITH_POLICY | (json_is_obj(json_get(spec, "paramKind")) ? RV_WITH_PARAMS : 0);
	const struct cel_type *variables;
	struct cel_env *env = request_env(with, &variables);
	struct programs programs = { 0 };

	match_conditions_check(json_get(spec, "matchConditions"), with, "spec.matchConditions", c);
	check_variables(json_get(spec, "variables"), env, variables, &programs, c);
	JSON_EACH (it, json_get(spec, "validations"))
		check_validation(it.val, it.i, env, c);
	JSON_EACH (it, json_get(spec, "auditAnnotations")) {
		CLEANUP(mem_freep) char *at = str_printf("spec.auditAnnotations[%zu].valueExpression", it.i);

		cel_program_free(expression_check(json_get(it.val, "valueExpression"), env, "sN", at, c));
	}
	for (size_t i = 0; i < programs.n; i++)
		cel_program_free(programs.items[i]);
	free(programs.items);
	cel_env_free(env);
}

static void check_match(const struct json *match, const char *at, struct causes *c)
{
	static const char *const rules[] = { "resourceRules", "excludeResourceRules" };
	static const char *const selectors[] = { "namespaceSelector", "objectSelector" };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, rules[i]);

		hook_rules_check(json_get(match, rules[i]), path, c);
	}
	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		CLEANUP(mem_freep) char *path = str_printf("%s.%s", at, selectors[i]);

		hook_selector_check(json_get(match, selectors[i]), path, c);
	}
}

void policy_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec"), *kind = json_get(spec, "paramKind");

	(void)env;
	if (!json_len(json_get(spec, "validations")) && !json_len(json_get(spec, "auditAnnotations")))
		cause_required(c, "spec.validations",
			"validations or auditAnnotations must contain at least one item");
	if (!json_is_obj(json_get(spec, "matchConstraints")))
		cause_required(c, "spec.matchConstraints", "");
	else if (!json_len(json_at(spec, "/matchConstraints/resourceRules")))
		cause_required(c, "spec.matchConstraints.resourceRules", "");
	check_match(json_get(spec, "matchConstraints"), "spec.matchConstraints", c);
	if (json_is_obj(kind)) {
		if (str_empty(json_get_str(kind, "apiVersion")))
			cause_required(c, "spec.paramKind.apiVersion", "");
		if (str_empty(json_get_str(kind, "kind")))
			cause_required(c, "spec.paramKind.kind", "");
	}
	/* what is stored was checked: an update elsewhere does not pay again */
	if (!old || !json_eq(spec, json_get(old, "spec")))
		check_expressions(spec, c);
}

static void check_actions(const struct json *list, struct causes *c)
{
	static const char *const actions[] = { "Audit", "Deny", "Warn", NULL };
	bool deny = false, warn = false;

	if (!json_len(list))
		cause_required(c, "spec.validationActions", "at least one validation action is required");
	JSON_EACH (it, list) {
		CLEANUP(mem_freep) char *at = str_printf("spec.validationActions[%zu]", it.i);

		if (!str_in(json_str_or(it.val, ""), actions))
			cause_not_supported(c, at, it.val, actions);
		deny |= str_eq(json_str(it.val), "Deny");
		warn |= str_eq(json_str(it.val), "Warn");
	}
	if (deny && warn)
		cause_invalid(c, "spec.validationActions", list,
			"must not contain both Deny and Warn (repeating the same validation failure "
			"information in "
			"the API response and headers serves no purpose)");
}

static void check_ref(const struct json *ref, struct causes *c)
{
	bool name = !str_empty(json_get_str(ref, "name")), selector = json_is_obj(json_get(ref, "selector"));

	if (!name && !selector)
		cause_required(c, "spec.paramRef", "one of name or selector must be specified");
	if (name && selector) {
		cause_forbidden(c, "spec.paramRef.name", "name and selector are mutually exclusive");
		cause_forbidden(c, "spec.paramRef.selector", "name and selector are mutually exclusive");
	}
}

void policy_binding_validate(
	const struct write_env *env, const struct json *o, const struct json *old, struct causes *c)
{
	const struct json *spec = json_get(o, "spec"), *ref = json_get(spec, "paramRef");
	const char *name = json_get_str(spec, "policyName");
	CLEANUP(mem_freep) char *error = name ? name_subdomain_error(name) : NULL;

	(void)env;
	(void)old;
	if (str_empty(name))
		cause_required(c, "spec.policyName", "");
	else if (error)
		cause_invalid(c, "spec.policyName", json_get(spec, "policyName"), "%s", error);
	if (json_is_obj(ref)) {
		check_ref(ref, c);
		if (str_empty(json_get_str(ref, "parameterNotFoundAction")))
			cause_required(c, "spec.paramRef.parameterNotFoundAction", "");
	}
	check_match(json_get(spec, "matchResources"), "spec.matchResources", c);
	check_actions(json_get(spec, "validationActions"), c);
}
