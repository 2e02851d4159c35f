/* SPDX-License-Identifier: Apache-2.0 */
/* x-kubernetes-validations: kubernetes-api.md 4 and 79. */
#include "api/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static void schema_freep(struct schema **s)
{
	schema_free(*s);
}

/* JSON with single quotes for double ones, and backticks for the single ones of expressions. */
static struct json_doc *lit(const char *text)
{
	CLEANUP(mem_freep) char *copy = mem_strdup(text);
	struct err e = { 0 };
	struct json_doc *d;

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p == '`' ? '\'' : *p;
	d = json_parse(copy, strlen(copy), &e);
	if (!d)
		fail_msg("%s: %s", text, e.msg);
	return d;
}

static struct schema *compile(const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *d = lit(text);
	struct schema *s = NULL;
	struct err e = { 0 };

	if (schema_compile(json_root(d), "S", &s, NULL, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return s;
}

static char *joined(const struct causes *c)
{
	struct str all = { 0 };

	for (size_t i = 0; i < c->len; i++)
		str_addf(&all, "%s%s: %s", i ? "; " : "", c->items[i].field, c->items[i].message);
	return str_take(&all);
}

/* What is wrong with the rules themselves. */
static char *faults(const char *text)
{
	CLEANUP(schema_freep) struct schema *s = compile(text);
	CLEANUP(causes_done) struct causes c = { 0 };

	schema_check_rules(s, "S", &c);
	return joined(&c);
}

static char *complaints(const struct schema *s, const char *text, const char *old)
{
	CLEANUP(json_doc_freep) struct json_doc *d = lit(text);
	CLEANUP(json_doc_freep) struct json_doc *o = old ? lit(old) : NULL;
	CLEANUP(causes_done) struct causes c = { 0 };

	schema_validate(s, json_root(d), o ? json_root(o) : NULL, &c);
	return joined(&c);
}

static void expect(const struct schema *s, const char *text, const char *old, const char *want)
{
	CLEANUP(mem_freep) char *got = complaints(s, text, old);

	assert_string_equal(got, want);
}

static void a_broken_rule_refuses_its_schema(void **state)
{
	static const struct {
		const char *schema, *field, *message;
	} cases[] = {
		{ "{'type':'object','properties':{'spec':{'type':'object','properties':{'a':{'type':'integer'"
		  "}},"
		  "'x-kubernetes-validations':[{'rule':'self.a > 0'},{'rule':'self.b > 0'}]}}}",
			"S.properties[spec].x-kubernetes-validations[1].rule",
			"compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b > 0\n | "
			"....^" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'1 +'}]}",
			"S.x-kubernetes-validations[0].rule", "Syntax error" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'1'}]}",
			"S.x-kubernetes-validations[0].rule", "cel expression must evaluate to a bool" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':''}]}",
			"S.x-kubernetes-validations[0].rule", "rule is not specified" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'self.metadata.labels.size() > 0'}]}",
			"S.x-kubernetes-validations[0].rule", "undefined field 'labels'" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','messageExpression':'1'}]}",
			"S.x-kubernetes-validations[0].messageExpression",
			"messageExpression must evaluate to a string" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','messageExpression':'self.x'}]"
		  "}",
			"S.x-kubernetes-validations[0].messageExpression", "undefined field 'x'" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','fieldPath':'.nope'}]}",
			"S.x-kubernetes-validations[0].fieldPath",
			"Invalid value: \".nope\": must be a valid path" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','reason':'Nope'}]}",
			"S.x-kubernetes-validations[0].reason", "Unsupported value" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','message':'a\\nb'}]}",
			"S.x-kubernetes-validations[0].message", "must not contain line breaks" },
		{ "{'type':'object','x-kubernetes-validations':[{'rule':'true','optionalOldSelf':true}]}",
			"S.x-kubernetes-validations[0].optionalOldSelf",
			"may not be set if oldSelf is not used in rule" },
		{ "{'type':'object','properties':{'l':{'type':'array','items':{'type':'string','maxLength':5,"
		  "'x-kubernetes-validations':[{'rule':'self == oldSelf'}]}}}}",
			"S.properties[l].items.x-kubernetes-validations[0].rule",
			"oldSelf cannot be used on the uncorrelatable portion of the schema within "
			"S.properties[l]" },
		{ "{'type':'object','properties':{'p':{'type':'object','x-kubernetes-preserve-unknown-fields'"
		  ":true,"
		  "'x-kubernetes-validations':[{'rule':'self.x == 1'}]}}}",
			"S.properties[p].x-kubernetes-validations[0].rule", "undefined field 'x'" },
		{ "{'type':'object','properties':{'a':{'type':'integer','default':0,"
		  "'x-kubernetes-validations':[{'rule':'self > 0'}]}}}",
			"S.properties[a].default", "failed rule: self > 0" },
		{ "{'type':'object','properties':{'a':{'type':'string'}},"
		  "'x-kubernetes-validations':[{'rule':'self.a == 1'}]}",
			"S.x-kubernetes-validations[0].rule",
			"found no matching overload for '_==_' applied to '(string, int)'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep) char *got = faults(cases[i].schema);

		if (!str_starts(got, cases[i].field) || !strstr(got, cases[i].message))
			fail_msg("%s: %s", cases[i].schema, got);
	}
}

static struct schema *full_schema(void)
{
	return compile(
		"{'type':'object','properties':{'spec':{'type':'object','properties':{"
		"'min':{'type':'integer'},'max':{'type':'integer'},"
		"'when':{'type':'string','format':'date-time'},'for':{'type':'string','format':'duration'},"
		"'raw':{'type':'string','format':'byte'},'ratio':{'type':'number'},"
		"'port':{'x-kubernetes-int-or-string':true},"
		"'labels':{'type':'object','additionalProperties':{'type':'string'},"
		"'x-kubernetes-validations':[{'rule':'self.all(k, k.size() < 4)'}]},"
		"'a-b':{'type':'string'},'namespace':{'type':'string'},"
		"'maybe':{'type':'string','nullable':true,'x-kubernetes-validations':[{'rule':'self != "
		"`x`'}]}},"
		"'x-kubernetes-validations':["
		"{'rule':'!has(self.min) || !has(self.max) || self.min <= self.max','message':' min over max "
		"'},"
		"{'rule':'!has(self.when) || self.when < "
		"timestamp(`2030-01-01T00:00:00Z`)','fieldPath':'.when'},"
		"{'rule':'!has(self.__for__) || self.__for__ <= "
		"duration(`1h`)','reason':'FieldValueForbidden',"
		"'fieldPath':'.for','messageExpression':'`is ` + string(self.__for__)'},"
		"{'rule':'!has(self.raw) || self.raw == b`hello`'},"
		"{'rule':'!has(self.ratio) || self.ratio * 2.0 <= 1.0'},"
		"{'rule':'!has(self.port) || (type(self.port) == int ? self.port > 0 : self.port.size() > "
		"1)'},"
		"{'rule':'!has(self.a__dash__b) || self.a__dash__b != self.__namespace__'}]}},"
		"'x-kubernetes-validations':["
		"{'rule':'!has(self.metadata.name) || self.metadata.name != "
		"`forbidden`','reason':'FieldValueDuplicate'},"
		"{'rule':'self.kind == `K`','messageExpression':'``'}]}");
}

static void values_are_typed_by_the_schema(void **state)
{
	static const struct {
		const char *spec, *want;
	} cases[] = {
		{ "{}", "" },
		{ "{'min':1,'max':2}", "" },
		{ "{'min':3,'max':2}", "spec: Invalid value: \"object\": min over max" },
		{ "{'when':'2029-01-01T00:00:00Z'}", "" },
		{ "{'when':'2031-01-01T00:00:00+01:00'}",
			"spec.when: Invalid value: \"object\": failed rule: !has(self.when) || self.when < "
			"timestamp('2030-01-01T00:00:00Z')" },
		{ "{'for':'30m'}", "" },
		{ "{'for':'90m'}", "spec.for: Forbidden: is 5400s" },
		{ "{'raw':'aGVsbG8='}", "" },
		{ "{'raw':'aGVsbG9v'}", "spec: Invalid value: \"object\": failed rule: !has(self.raw) || "
					"self.raw == b'hello'" },
		{ "{'ratio':0}", "" },
		{ "{'ratio':1}", "spec: Invalid value: \"object\": failed rule: !has(self.ratio) || "
				 "self.ratio * 2.0 <= 1.0" },
		{ "{'port':80}", "" },
		{ "{'port':'http'}", "" },
		{ "{'port':'h'}", "spec: Invalid value: \"object\": failed rule: !has(self.port) || "
				  "(type(self.port) == "
				  "int ? self.port > 0 : self.port.size() > 1)" },
		{ "{'a-b':'x','namespace':'y'}", "" },
		{ "{'a-b':'x','namespace':'x'}",
			"spec: Invalid value: \"object\": failed rule: !has(self.a__dash__b) || "
			"self.a__dash__b != self.__namespace__" },
		{ "{'a-b':'x'}",
			"spec: Invalid value: \"object\": no such key: __namespace__ evaluating rule: "
			"!has(self.a__dash__b) || self.a__dash__b != self.__namespace__" },
		{ "{'labels':{'abc':'d'}}", "" },
		{ "{'labels':{'abcd':'d'}}",
			"spec.labels: Invalid value: \"object\": failed rule: self.all(k, k.size() < 4)" },
		{ "{'maybe':null}", "" },
		{ "{'maybe':'x'}", "spec.maybe: Invalid value: \"string\": failed rule: self != 'x'" },
	};
	CLEANUP(schema_freep) struct schema *s = full_schema();

	(void)state;
	CLEANUP(causes_done) struct causes c = { 0 };
	schema_check_rules(s, "S", &c);
	assert_int_equal(c.len, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep)
		char *whole = str_printf("{'kind':'K','metadata':{'name':'x'},'spec':%s}", cases[i].spec);
		CLEANUP(mem_freep) char *got = complaints(s, whole, NULL);

		if (!str_eq(got, cases[i].want))
			fail_msg("%s\n want %s\n got  %s", whole, cases[i].want, got);
	}
	expect(s, "{'kind':'K','metadata':{'name':'forbidden'}}", NULL, "<nil>: Duplicate value: \"object\"");
	expect(s, "{'kind':'L','metadata':{}}", NULL,
		"<nil>: Invalid value: \"object\": failed rule: self.kind == 'K'");
}

static void null_members_are_absent(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'a':{'type':'string','nullable':true},'m':{'type':'object',"
		"'additionalProperties':{'type':'string','nullable':true}}},'x-kubernetes-validations':["
		"{'rule':'!has(self.a)','message':'has a'},"
		"{'rule':'!has(self.m) || self.m.all(k, self.m[k] == dyn(null))','message':'no null'}]}");

	(void)state;
	expect(s, "{'a':null}", NULL, "");
	expect(s, "{'a':''}", NULL, "<nil>: Invalid value: \"object\": has a");
	expect(s, "{'m':{'x':null}}", NULL, "");
	expect(s, "{'m':{'x':'y'}}", NULL, "<nil>: Invalid value: \"object\": no null");
}

static void rules_wait_for_a_sound_object(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s =
		compile("{'type':'object','properties':{'a':{'type':'integer'},'b':{'type':'string',"
			"'pattern':'^x'}},'required':['b'],"
			"'x-kubernetes-validations':[{'rule':'self.a > 0','message':'small'}]}");

	(void)state;
	expect(s, "{'a':0}", NULL,
		"b: Required value; <nil>: Invalid value: null: some validation rules were not checked "
		"because the "
		"object was invalid; correct the existing errors to complete validation");
	expect(s, "{'a':0,'b':'y'}", NULL,
		"b: Invalid value: \"y\": b in body should match '^x'; <nil>: Invalid value: \"object\": "
		"small");
}

/* Transition rules */
static void old_values_are_found_where_they_can_be(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{"
		"'fixed':{'type':'string','x-kubernetes-validations':[{'rule':'self == "
		"oldSelf','message':'fixed'}]},"
		"'grows':{'type':'integer','x-kubernetes-validations':[{'rule':'oldSelf.hasValue() ? self >= "
		"oldSelf.value() : self == 1','optionalOldSelf':true,'message':'grows'}]},"
		"'l':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
		"'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'},'v':{'type':'"
		"integer',"
		"'x-kubernetes-validations':[{'rule':'self >= oldSelf','message':'shrinks'}]}}}},"
		"'set':{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'},"
		"'x-kubernetes-validations':[{'rule':'self.all(x, x in oldSelf) && self == "
		"oldSelf','message':'set'}]},"
		"'m':{'type':'object','additionalProperties':{'type':'integer','x-kubernetes-validations':[{'"
		"rule':"
		"'self != oldSelf + 1','message':'next'}]}}}}");

	(void)state;
	CLEANUP(causes_done) struct causes c = { 0 };
	schema_check_rules(s, "S", &c);
	assert_int_equal(c.len, 0);
	expect(s, "{'fixed':'a'}", NULL, "");
	expect(s, "{'fixed':'a'}", "{}", "");
	expect(s, "{'fixed':'a'}", "{'fixed':'a'}", "");
	expect(s, "{'fixed':'b'}", "{'fixed':'a'}", "fixed: Invalid value: \"string\": fixed");
	expect(s, "{'grows':1}", NULL, "");
	expect(s, "{'grows':2}", NULL, "grows: Invalid value: \"integer\": grows");
	expect(s, "{'grows':3}", "{'grows':2}", "");
	expect(s, "{'grows':1}", "{'grows':2}", "grows: Invalid value: \"integer\": grows");
	expect(s, "{'l':[{'k':'b','v':5},{'k':'a','v':2}]}", "{'l':[{'k':'a','v':1},{'k':'b','v':5}]}", "");
	expect(s, "{'l':[{'k':'b','v':4},{'k':'a','v':2}]}", "{'l':[{'k':'a','v':1},{'k':'b','v':5}]}",
		"l[0].v: Invalid value: \"integer\": shrinks");
	expect(s, "{'set':['b','a']}", "{'set':['a','b']}", "");
	expect(s, "{'set':['b','c']}", "{'set':['a','b']}", "set: Invalid value: \"array\": set");
	expect(s, "{'m':{'x':2}}", "{'m':{'x':1}}", "m[x]: Invalid value: \"integer\": next");
	expect(s, "{'m':{'y':2}}", "{'m':{'x':1}}", "");
}

static void what_did_not_change_may_stay_wrong(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile("{'type':'object','properties':{'a':{'type':'integer','x-kubernetes-"
				   "validations':[{'rule':'self > 0',"
				   "'message':'small'}]},'b':{'type':'string'},"
				   "'l':{'type':'array','items':{'type':'integer','x-kubernetes-validations':"
				   "[{'rule':'self > 0',"
				   "'message':'small'}]}}}}");

	(void)state;
	expect(s, "{'a':0,'b':'2'}", "{'a':0,'b':'1'}", "");
	expect(s, "{'a':-1}", "{'a':0}", "a: Invalid value: \"integer\": small");
	/* items of this list have no old values, but the list has */
	expect(s, "{'l':[0,1],'b':'x'}", "{'l':[0,1]}", "");
	expect(s, "{'l':[0,2]}", "{'l':[0,1]}", "l[0]: Invalid value: \"integer\": small");
}

static void embedded_resources_show_their_names(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'t':{'type':'object','x-kubernetes-embedded-resource':true,"
		"'x-kubernetes-preserve-unknown-fields':true,'x-kubernetes-validations':["
		"{'rule':'self.kind == `Pod` && self.metadata.name.startsWith(`p`)','message':'no "
		"pod'}]}}}");

	(void)state;
	CLEANUP(causes_done) struct causes c = { 0 };
	schema_check_rules(s, "S", &c);
	assert_int_equal(c.len, 0);
	expect(s, "{'t':{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p'},'spec':{}}}", NULL, "");
	expect(s, "{'t':{'apiVersion':'v1','kind':'Job','metadata':{'name':'p'}}}", NULL,
		"t: Invalid value: \"object\": no pod");
}

static void a_costly_rule_ends_the_evaluation(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'l':{'type':'array','items':{'type':'integer'},"
		"'x-kubernetes-validations':[{'rule':'self.all(a, self.all(b, self.all(c, a + b + c >= 0)))',"
		"'message':'cubic'}]}},'x-kubernetes-validations':[{'rule':'true'}]}");
	CLEANUP(str_done) struct str text = { 0 };

	(void)state;
	str_add(&text, "{'l':[0");
	for (int i = 0; i < 300; i++)
		str_add(&text, ",0");
	str_add(&text, "]}");
	expect(s, str_cstr(&text), NULL,
		"l: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further "
		"validation "
		"rules will be run due to call cost exceeds limit for rule: cubic");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_rule_refuses_its_schema),
		cmocka_unit_test(values_are_typed_by_the_schema),
		cmocka_unit_test(null_members_are_absent),
		cmocka_unit_test(rules_wait_for_a_sound_object),
		cmocka_unit_test(old_values_are_found_where_they_can_be),
		cmocka_unit_test(what_did_not_change_may_stay_wrong),
		cmocka_unit_test(embedded_resources_show_their_names),
		cmocka_unit_test(a_costly_rule_ends_the_evaluation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
