/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions from outside: read, checked and evaluated against a fixed object, once untyped and once as a schema types it.
 * Whatever they say, they end, within what they may cost, and what checked as a bool is one. */
#include "api/cel.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char object[] =
	"{'a':1,'s':'hello','l':[1,2,3],'names':['x','y'],'m':{'k':'v'},'d':1.5,'nul':null,'t':true,"
	"'when':'2024-02-29T12:30:45Z','for':'90s','raw':'aGVsbG8=','port':'http','items':[{'n':'a','v':1},"
	"{'n':'b','v':2}],'empty':[]}";
static const char types[] = "{'type':'object','properties':{'a':{'type':'integer'},'s':{'type':'string'},'l':"
			    "{'type':'array','items':"
			    "{'type':'integer'}},'names':{'type':'array','x-kubernetes-list-type':'set','"
			    "items':{'type':'string'}},"
			    "'m':{'type':'object','additionalProperties':{'type':'string'}},'d':{'type':'"
			    "number'},'nul':{'type':'string',"
			    "'nullable':true},'t':{'type':'boolean'},'when':{'type':'string','format':'date-"
			    "time'},'for':{'type':'string',"
			    "'format':'duration'},'raw':{'type':'string','format':'byte'},'port':{'x-"
			    "kubernetes-int-or-string':true},"
			    "'items':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-"
			    "keys':['n'],'items':{'type':"
			    "'object','required':['n'],'properties':{'n':{'type':'string'},'v':{'type':'"
			    "integer'}}}},'empty':{'type':"
			    "'array','items':{'type':'string'}}}}";

static void try_expression(const char *text, const struct schema *s, const struct json *v)
{
	CLEANUP(cel_env_freep) struct cel_env *env = cel_env_new();
	CLEANUP(cel_program_freep) struct cel_program *p = NULL, *as_bool = NULL;
	CLEANUP(cel_run_freep) struct cel_run *r = cel_run_new();
	CLEANUP(json_doc_freep) struct json_doc *d = json_doc_new();
	struct cel_value self, ret;
	bool yes;

	cel_env_add(env, "self", s ? cel_type_of_schema(env, s, true) : cel_type_named(env, "D"));
	if (cel_compile(text, env, NULL, &p, NULL) < 0) {
		MUST(cel_compile(text, env, cel_type_named(env, "b"), &as_bool, NULL) < 0);
		return;
	}
	self = s ? cel_from_schema(r, s, v, true) : cel_from_json(r, v);
	if (cel_eval(p, r, &self, &ret, NULL) == 0) {
		MUST(ret.kind != CEL_ERROR);
		(void)cel_to_json(r, d, &ret);
	}
	MUST(cel_run_left(r) + CEL_COST_MAX >= CEL_BUDGET_MAX);
	if (cel_compile(text, env, cel_type_named(env, "b"), &as_bool, NULL) == 0)
		(void)cel_eval_bool(as_bool, r, &self, &yes, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(mem_freep) char *text = mem_strndup((const char *)data, len);
	CLEANUP(json_doc_freep) struct json_doc *o = json_lit(object), *t = json_lit(types);
	struct schema *s = NULL;

	/* expressions come out of JSON: they are UTF-8 */
	CLEANUP(json_doc_freep) struct json_doc *clean = json_doc_new();
	const char *expression = json_str(json_new_strn(clean, text, strlen(text)));

	MUST(schema_compile(json_root(t), "", &s, NULL, NULL) == 0);
	try_expression(expression, NULL, json_root(o));
	try_expression(expression, s, json_root(o));
	schema_free(s);
	return 0;
}
