/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/admission/policy_impl.h"

#include "base/mem.h"

#include <string.h>

/* ---- compiling ---- */

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_variables; i++)
		cel_program_free(p->variables[i]);
	for (size_t i = 0; i < p->n_validations; i++) {
		cel_program_free(p->validations[i].program);
		cel_program_free(p->validations[i].message);
	}
	match_conditions_free(p->conditions);
	free(p->names);
	free(p->variables);
	free(p->validations);
	free(p->broken);
	obj_unref(p->obj);
	free(p);
}

static int compile_variables(
	struct policy *p, struct cel_env *env, const struct cel_type *object, struct err *e)
{
	const struct json *list = json_at(obj_json(p->obj), "/spec/variables");

	p->names = mem_zalloc((json_len(list) + 1) * sizeof(*p->names));
	p->variables = mem_zalloc((json_len(list) + 1) * sizeof(*p->variables));
	JSON_EACH (it, list) {
		struct cel_program **program = &p->variables[p->n_variables];
		const char *name = json_str_or(json_get(it.val, "name"), "");

		if (cel_compile(json_str_or(json_get(it.val, "expression"), ""), env, NULL, program, e) < 0)
			return err_wrap(e, "variable '%.64s'", name);
		p->names[p->n_variables++] = name;
		cel_type_add(env, object, name, cel_program_type(*program));
	}
	return 0;
}

static int compile_validations(struct policy *p, struct cel_env *env, struct err *e)
{
	const struct json *list = json_at(obj_json(p->obj), "/spec/validations");

	p->validations = mem_zalloc((json_len(list) + 1) * sizeof(*p->validations));
	JSON_EACH (it, list) {
		struct validation *v = &p->validations[p->n_validations++];
		const char *message = json_get_str(it.val, "messageExpression");

		v->json = it.val;
		if (cel_compile(json_str_or(json_get(it.val, "expression"), ""), env,
			    cel_type_named(env, "b"), &v->program, e) < 0 ||
			(!str_empty(message) &&
				cel_compile(message, env, cel_type_named(env, "s"), &v->message, e) < 0))
			return -1;
	}
	return 0;
}

struct policy *policy_compile(const struct obj *o)
{
	const struct json *spec = json_get(obj_json(o), "spec");
	unsigned with = RV_WITH_POLICY | (json_is_obj(json_get(spec, "paramKind")) ? RV_WITH_PARAMS : 0);
	struct policy *p = MEM_NEW(struct policy);
	const struct cel_type *variables;
	struct cel_env *env = request_env(with, &variables);
	struct err e = { 0 };

	p->obj = obj_ref(o);
	p->ignore_failure = str_eq(json_get_str(spec, "failurePolicy"), "Ignore");
	if (match_conditions_new(json_get(spec, "matchConditions"), with, &p->conditions, &e) < 0 ||
		compile_variables(p, env, variables, &e) < 0 || compile_validations(p, env, &e) < 0)
		p->broken = mem_strdup(e.msg);
	cel_env_free(env);
	return p;
}

/* ---- evaluating ---- */

struct evaluation {
	const struct policy *p;
	struct request_values values;
	denial_fn *fn;
	void *arg;
};

static struct cel_value variable(void *arg, struct cel_run *r, size_t i)
{
	struct evaluation *ev = arg;
	struct cel_value v;
	struct err e = { 0 };
	CLEANUP(mem_freep) char *text = NULL;

	if (cel_eval(ev->p->variables[i], r, ev->values.vars, &v, &e) == 0)
		return v;
	text = str_printf("composited variable \"%s\" fails to evaluate: %s", ev->p->names[i], e.msg);
	return cel_error(r, text);
}

static void deny(struct evaluation *ev, char *message /* taken */, const char *reason)
{
	CLEANUP(mem_freep) char *owned = message;
	struct denial d = { .message = owned, .reason = reason };

	ev->fn(ev->arg, &d);
}

static char *trimmed(const char *s, size_t n)
{
	while (n && strchr(" \t\r\n", s[n - 1]))
		n--;
	while (n && strchr(" \t\r\n", *s)) {
		s++;
		n--;
	}
	return mem_strndup(s, n);
}

static char *message_of(struct evaluation *ev, const struct validation *v)
{
	const char *text = json_get_str(v->json, "message"),
		   *expression = json_get_str(v->json, "expression");
	CLEANUP(mem_freep) char *shown = NULL;
	struct cel_value value;

	if (v->message && cel_eval(v->message, ev->values.run, ev->values.vars, &value, NULL) == 0 &&
		value.kind == CEL_STRING) {
		shown = trimmed(value.s, value.n);
		if (*shown && strlen(shown) <= CEL_MESSAGE_MAX && !strchr(shown, '\n'))
			return TAKE(shown);
	}
	if (!str_empty(text))
		return trimmed(text, strlen(text));
	free(shown);
	shown = trimmed(expression, strlen(expression));
	return str_printf("failed expression: %s", shown);
}

static void ask_validation(struct evaluation *ev, const struct validation *v)
{
	struct err e = { 0 };
	bool holds = false;

	if (cel_eval_bool(v->program, ev->values.run, ev->values.vars, &holds, &e) < 0) {
		if (!ev->p->ignore_failure)
			deny(ev,
				str_printf("expression '%.400s' resulted in error: %s",
					json_str_or(json_get(v->json, "expression"), ""), e.msg),
				NULL);
		return;
	}
	if (!holds)
		deny(ev, message_of(ev, v), json_get_str(v->json, "reason"));
}

void policy_evaluate(const struct policy *p, struct admitter *adm, const struct admission_in *in,
	struct resource *as, const struct json *params, denial_fn *fn, void *arg)
{
	struct evaluation ev = { .p = p, .fn = fn, .arg = arg };
	struct err e = { 0 };
	int match;

	request_values_init(&ev.values, adm, in, as);
	ev.values.vars[RV_PARAMS] = cel_from_json(ev.values.run, params);
	ev.values.vars[RV_VARIABLES] =
		cel_lazy_object(ev.values.run, p->names, p->n_variables, variable, &ev);
	match = match_conditions_ask(p->conditions, &ev.values, &e);
	if (match < 0 && !p->ignore_failure)
		deny(&ev, mem_strdup(e.msg), NULL);
	for (size_t i = 0; match > 0 && i < p->n_validations; i++)
		ask_validation(&ev, &p->validations[i]);
	request_values_done(&ev.values);
}
