/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

static struct schema *compile(const char *text)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	struct schema *s = NULL;
	struct err e = { 0 };

	if (schema_compile(json_root(d), "schema", &s, NULL, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

static void schema_freep(struct schema **s)
{
	schema_free(*s);
}

static void expect_json(const struct json *got, const char *want)
{
	CLEANUP(json_doc_freep) struct json_doc *w = json_lit(want);

	if (!json_eq(got, json_root(w))) {
		CLEANUP(mem_freep) char *text = json_write(got, NULL);
		fail_msg("%s, not %s", text, want);
	}
}

/* All causes as "field: message", joined by "; ". */
static char *complaints(const struct schema *s, const char *text, const char *old)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit(text);
	CLEANUP(json_doc_freep) struct json_doc *o = old ? json_lit(old) : NULL;
	CLEANUP(causes_done) struct causes c = { 0 };
	struct str all = { 0 };

	schema_validate(s, json_root(d), o ? json_root(o) : NULL, &c);
	for (size_t i = 0; i < c.len; i++)
		str_addf(&all, "%s%s: %s", i ? "; " : "", c.items[i].field, c.items[i].message);
	return str_take(&all);
}

static void expect_complaints(const struct schema *s, const char *text, const char *want)
{
	CLEANUP(mem_freep) char *got = complaints(s, text, NULL);

	assert_string_equal(got, want);
}

/* kubernetes-api.md 8.76 */
static void unknown_fields_are_pruned(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'spec':{'type':'object','properties':{'a':{'type':'string'},"
		"'list':{'type':'array','items':{'type':'object','properties':{'x':{'type':'integer'}}}},"
		"'map':{'type':'object','additionalProperties':{'type':'object','properties':{'y':{'type':'"
		"string'}}}},"
		"'any':{'type':'object','x-kubernetes-preserve-unknown-fields':true,'properties':{'k':{'type'"
		":'object'}}},"
		"'free':{'type':'object','additionalProperties':true},"
		"'empty':{'type':'object'},"
		"'obj':{'type':'object','x-kubernetes-embedded-resource':true,'properties':{'spec':{'type':'"
		"object'}}}}}}}");
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit(
		"{'apiVersion':'v1','kind':'K','metadata':{'name':'n','bogus':1,'generateName':null,'labels':"
		"{'l':'v'}},'zap':1,"
		"'spec':{'a':'x','foo':1,'list':[{'x':1,'bar':2},{'baz':3}],'map':{'k':{'y':'1','z':2}},"
		"'any':{'q':{'r':1},'k':{'gone':1}},'free':{'a':{'b':1}},'empty':{'a':1},"
		"'obj':{'apiVersion':'v1','kind':'P','metadata':{'name':'p','junk':1},'other':1,'spec':{'s':"
		"1}}}}");
	CLEANUP(strv_done) struct strv unknown = { 0 };

	schema_prune(s, json_root(d), &unknown);
	expect_json(json_root(d),
		"{'apiVersion':'v1','kind':'K','metadata':{'name':'n','labels':{'l':'v'}},"
		"'spec':{'a':'x','list':[{'x':1},{}],'map':{'k':{'y':'1'}},'any':{'q':{'r':1},'k':{}},'free':"
		"{'a':{}},"
		"'empty':{},'obj':{'apiVersion':'v1','kind':'P','metadata':{'name':'p'},'spec':{}}}}");
	CLEANUP(mem_freep) char *paths = strv_join(&unknown, " ");
	assert_string_equal(paths, "metadata.bogus zap spec.foo spec.list[0].bar spec.list[1].baz "
				   "spec.map.k.z spec.any.k.gone spec.free.a.b spec.empty.a "
				   "spec.obj.metadata.junk spec.obj.other spec.obj.spec.s");
}

/* kubernetes-api.md 8.76, 8.77 */
static void defaults_fill_gaps_and_nulls(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'spec':{'type':'object','default':{},'properties':{"
		"'a':{'type':'string','default':'A'},'n':{'type':'string','nullable':true,'default':'N'},"
		"'l':{'type':'array','items':{'type':'object','properties':{'p':{'type':'string','default':'"
		"TCP'}}}},"
		"'m':{'type':'object','additionalProperties':{'type':'object','properties':{'q':{'type':'"
		"integer','default':7}}}}"
		"}}}}");
	CLEANUP(json_doc_freep) struct json_doc *d = json_lit("{}");
	CLEANUP(json_doc_freep)
	struct json_doc *d2 = json_lit("{'spec':{'a':null,'n':null,'l':[{},{'p':'UDP'}],'m':{'x':{}}}}");

	assert_true(schema_default(s, d, json_root(d)));
	expect_json(json_root(d), "{'spec':{'a':'A','n':'N'}}");
	assert_false(schema_default(s, d, json_root(d)));
	assert_true(schema_default(s, d2, json_root(d2)));
	expect_json(
		json_root(d2), "{'spec':{'a':'A','n':null,'l':[{'p':'TCP'},{'p':'UDP'}],'m':{'x':{'q':7}}}}");
}

static void nulls_of_built_in_kinds_are_dropped(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'a':{'type':'string'},'t':{'type':'string','nullable':true},"
		"'l':{'type':'array','items':{'type':'object','properties':{'x':{'type':'object'}}}},"
		"'m':{'type':'object','additionalProperties':{'type':'string'}}}}");
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'metadata':{'creationTimestamp':null,'name':null},'a':null,'t':null,'"
				      "l':[{'x':null}],'m':{'k':null}}");

	schema_drop_nulls(s, json_root(d));
	expect_json(json_root(d), "{'metadata':{},'t':null,'l':[{}],'m':{'k':null}}");
}

/* kubernetes-api.md 8.29, 8.78 */
static void violations_read_as_in_kubernetes(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','required':['spec'],'properties':{'spec':{'type':'object','required':['r'],"
		"'properties':{"
		"'r':{'type':'string'},'i':{'type':'integer','minimum':1,'maximum':5},'s':{'type':'string','"
		"maxLength':3,'minLength':2},"
		"'e':{'type':'string','enum':['A','B']},'p':{'type':'string','pattern':'^[a-z]+$'},"
		"'t':{'type':'string','format':'date-time'},'q':{'x-kubernetes-int-or-string':true,"
		"'anyOf':[{'type':'integer'},{'type':'string'}],'pattern':'^[0-9]+$'},"
		"'set':{'type':'array','x-kubernetes-list-type':'set','maxItems':3,'minItems':1,'items':{'"
		"type':'string'}}"
		","
		"'map':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
		"'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'}}}},"
		"'b':{'type':'boolean'},'n':{'type':'number'},'o':{'type':'object','maxProperties':1,"
		"'additionalProperties':{'type':'string'}}}}}}");

	expect_complaints(s, "{}", "spec: Required value");
	expect_complaints(s, "{'spec':{}}", "spec.r: Required value");
	expect_complaints(s, "{'spec':{'r':'x','i':'x'}}",
		"spec.i: Invalid value: \"string\": spec.i in body must be of type integer: \"string\"");
	expect_complaints(s, "{'spec':{'r':null}}",
		"spec.r: Invalid value: \"null\": spec.r in body must be of type string: \"null\"");
	expect_complaints(s, "{'spec':{'r':'x','i':0}}",
		"spec.i: Invalid value: 0: spec.i in body should be greater than or equal to 1");
	expect_complaints(s, "{'spec':{'r':'x','i':6}}",
		"spec.i: Invalid value: 6: spec.i in body should be less than or equal to 5");
	expect_complaints(s, "{'spec':{'r':'x','i':3.0,'n':3,'q':3}}", "");
	expect_complaints(s, "{'spec':{'r':'x','i':3.5}}",
		"spec.i: Invalid value: \"number\": spec.i in body must be of type integer: \"number\"");
	expect_complaints(
		s, "{'spec':{'r':'x','s':'abcd'}}", "spec.s: Too long: may not be more than 3 bytes");
	expect_complaints(s, "{'spec':{'r':'x','s':'a'}}",
		"spec.s: Invalid value: \"a\": spec.s in body should be at least 2 chars long");
	expect_complaints(s, "{'spec':{'r':'x','e':'C'}}",
		"spec.e: Unsupported value: \"C\": supported values: \"A\", \"B\"");
	expect_complaints(s, "{'spec':{'r':'x','p':'A'}}",
		"spec.p: Invalid value: \"A\": spec.p in body should match '^[a-z]+$'");
	expect_complaints(s, "{'spec':{'r':'x','t':'soon'}}",
		"spec.t: Invalid value: \"soon\": spec.t in body must be of type date-time: \"soon\"");
	expect_complaints(s, "{'spec':{'r':'x','q':true}}",
		"spec.q: Invalid value: \"boolean\": spec.q in body must be of type integer,string: "
		"\"boolean\"");
	expect_complaints(s, "{'spec':{'r':'x','q':'x'}}",
		"spec.q: Invalid value: \"x\": spec.q in body should match '^[0-9]+$'");
	expect_complaints(s, "{'spec':{'r':'x','set':['a','b','a']}}", "spec.set[2]: Duplicate value: \"a\"");
	expect_complaints(s, "{'spec':{'r':'x','set':['a','b','c','d']}}",
		"spec.set: Too many: 4: must have at most 3 items");
	expect_complaints(s, "{'spec':{'r':'x','set':[]}}",
		"spec.set: Invalid value: 0: spec.set in body should have at least 1 items");
	expect_complaints(s, "{'spec':{'r':'x','map':[{'k':'a'},{'k':'a'}]}}",
		"spec.map[1]: Duplicate value: {\"k\":\"a\"}");
	expect_complaints(s, "{'spec':{'r':'x','map':[{}]}}", "spec.map[0].k: Required value");
	expect_complaints(s, "{'spec':{'r':'x','o':{'a':'1','b':'2'}}}",
		"spec.o: Too many: 2: must have at most 1 item");
	expect_complaints(s, "{'spec':{'r':'x','o':{'a':1}}}",
		"spec.o.a: Invalid value: \"integer\": spec.o.a in body must be of type string: \"integer\"");
	expect_complaints(s, "{'spec':{'r':'x'},'metadata':{'labels':{'a':1}}}",
		"metadata.labels.a: Invalid value: \"integer\": metadata.labels.a in body must be of type "
		"string: \"integer\"");
	/* all of them at once */
	expect_complaints(s, "{'spec':{'e':'C','b':1}}",
		"spec.r: Required value; spec.e: Unsupported value: \"C\": supported values: \"A\", \"B\"; "
		"spec.b: Invalid value: \"integer\": spec.b in body must be of type boolean: \"integer\"");
}

static void junctors_are_evaluated(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{"
		"'any':{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}},"
		"'anyOf':[{'required':['a']},{'required':['b']}]},"
		"'one':{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}},"
		"'oneOf':[{'required':['a']},{'required':['b']}]},"
		"'any2':{'type':'object','properties':{'c':{'type':'object','properties':{'d':{'type':'"
		"integer'}}}},"
		"'anyOf':[{'required':['e']},{'properties':{'c':{'properties':{'d':{'minimum':5}}}}}]},"
		"'not':{'type':'string','not':{'enum':['x']}},"
		"'all':{'type':'integer','allOf':[{'minimum':1},{'maximum':3}]}}}");

	expect_complaints(s, "{'any':{'a':'1'},'one':{'b':'1'},'not':'y','all':2}", "");
	expect_complaints(s, "{'any':{}}",
		"<nil>: Invalid value: \"\": \"any\" must validate at least one schema (anyOf); any.a: "
		"Required "
		"value");
	/* of two that fail the one that came further tells why */
	expect_complaints(s, "{'any2':{'c':{'d':1}}}",
		"<nil>: Invalid value: \"\": \"any2\" must validate at least one schema (anyOf); any2.c.d: "
		"Invalid "
		"value: 1: any2.c.d in body should be greater than or equal to 5");
	expect_complaints(s, "{'one':{}}",
		"<nil>: Invalid value: \"\": \"one\" must validate one and only one schema (oneOf). Found "
		"none "
		"valid; one.a: Required value");
	expect_complaints(s, "{'one':{'a':'1','b':'2'}}",
		"<nil>: Invalid value: \"\": \"one\" must validate one and only one "
		"schema (oneOf). "
		"Found 2 valid alternatives");
	expect_complaints(
		s, "{'not':'x'}", "<nil>: Invalid value: \"\": \"not\" must not validate the schema (not)");
	expect_complaints(s, "{'all':5}",
		"all: Invalid value: 5: all in body should be less than or equal to 3; <nil>: Invalid value: "
		"\"\": "
		"\"all\" must validate all the schemas (allOf)");
}

static void unchanged_invalid_values_are_let_be(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'a':{'type':'string','enum':['A']},'b':{'type':'string'},"
		"'l':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"
		"'items':{'type':'object','required':['k'],'properties':{'k':{'type':'string'},'v':{'type':'"
		"integer'},"
		"'w':{'type':'integer'}}}}}}");
	CLEANUP(mem_freep) char *same = complaints(s, "{'a':'Z','b':'2'}", "{'a':'Z','b':'1'}");
	CLEANUP(mem_freep) char *changed = complaints(s, "{'a':'Y','b':'2'}", "{'a':'Z','b':'1'}");
	CLEANUP(mem_freep)
	char *item = complaints(
		s, "{'l':[{'k':'n','w':1},{'k':'a','v':'x','w':2}]}", "{'l':[{'k':'a','v':'x','w':1}]}");

	assert_string_equal(same, "");
	assert_string_equal(changed, "a: Unsupported value: \"Y\": supported values: \"A\"");
	assert_string_equal(item, "");
}

static void immutable_fields_may_be_set_once(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'a':{'type':'string',"
		"'x-kubernetes-validations':[{'rule':'self == oldSelf','message':'field is immutable'}]}}}");
	CLEANUP(mem_freep) char *set = complaints(s, "{'a':'1'}", "{}");
	CLEANUP(mem_freep) char *kept = complaints(s, "{'a':'1'}", "{'a':'1'}");
	CLEANUP(mem_freep) char *changed = complaints(s, "{'a':'2'}", "{'a':'1'}");

	assert_string_equal(set, "");
	assert_string_equal(kept, "");
	assert_string_equal(changed, "a: Invalid value: \"string\": field is immutable");
}

static void formats_are_checked(void **state)
{
	static const struct {
		const char *format, *yes, *no;
	} cases[] = {
		{ "date-time", "2026-01-02T03:04:05Z", "2026-01-02" },
		{ "date", "2026-01-02", "2026-13-02" },
		{ "byte", "aGVsbG8=", "aGVsbG8" },
		{ "ipv4", "10.0.0.1", "10.0.0" },
		{ "ipv6", "fe80::1", "10.0.0.1" },
		{ "cidr", "10.0.0.0/8", "10.0.0.0/33" },
		{ "mac", "02:00:00:00:00:01", "02:00:00:00:00" },
		{ "uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810" },
		{ "hostname", "a.b-c.de", "-a" },
		{ "hostname", "localhost", "a.b" },
		{ "duration", "1m30s", "soon" },
		{ "duration", "2 weeks", "5x" },
		{ "uuid3", "6fa459ea-ee8a-3ca4-894e-db77e160355e", "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
		{ "uuid4", "16fd2706-8baf-433b-82eb-8c7fada847da", "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
		{ "uuid5", "886313e1-3b8a-5372-9b90-0c9aee199e5d", "6ba7b810-9dad-11d1-80b4-00c04fd430c8" },
		{ "isbn10", "0-321-75104-3", "0321751042" },
		{ "isbn", "978-0321751041", "1" },
		{ "creditcard", "4111 1111 1111 1111", "4111111111111112" },
		{ "ssn", "111-11-1111", "111111111" },
		{ "hexcolor", "#fff", "#ffff" },
		{ "bsonobjectid", "507f1f77bcf86cd799439011", "x" },
		{ "unheard-of", "anything", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mem_freep)
		char *text =
			str_printf("{'type':'object','properties':{'a':{'type':'string','format':'%s'}}}",
				cases[i].format);
		CLEANUP(schema_freep) struct schema *s = compile(text);
		CLEANUP(mem_freep) char *yes = str_printf("{'a':'%s'}", cases[i].yes);
		CLEANUP(mem_freep) char *no = cases[i].no ? str_printf("{'a':'%s'}", cases[i].no) : NULL;
		CLEANUP(mem_freep) char *good = complaints(s, yes, NULL);
		CLEANUP(mem_freep) char *bad = no ? complaints(s, no, NULL) : NULL;

		assert_string_equal(good, "");
		if (bad && !*bad)
			fail_msg("%s accepts %s", cases[i].format, cases[i].no);
	}
}

/* kubernetes-api.md 8.81 */
static void what_is_not_structural_is_refused(void **state)
{
	static const struct {
		const char *schema, *field;
	} cases[] = {
		{ "{'properties':{}}", "at.type" },
		{ "{'type':'string'}", "at.type" },
		{ "{'type':'object','properties':{'a':{}}}", "at.properties[a].type" },
		{ "{'type':'object','properties':{'a':{'type':'wrong'}}}", "at.properties[a].type" },
		{ "{'type':'object','properties':{'a':{'type':'array'}}}", "at.properties[a].items" },
		{ "{'type':'object','properties':{'a':{'$ref':'#/x','type':'object'}}}",
			"at.properties[a].$ref" },
		{ "{'type':'object','properties':{'a':{'type':'object'}},'additionalProperties':{'type':'"
		  "string'}}",
			"at.additionalProperties" },
		{ "{'type':'object','properties':{'a':{'type':'string','pattern':'('}}}",
			"at.properties[a].pattern" },
		{ "{'type':'object','properties':{'a':{'type':'string','default':1}}}",
			"at.properties[a].default" },
		{ "{'type':'object','anyOf':[{'properties':{'a':{'type':'string'}}}]}",
			"at.anyOf[0].properties[a].type" },
		{ "{'type':'object','anyOf':[{'default':1}]}", "at.anyOf[0].default" },
		{ "{'type':'object','properties':{'a':{'type':'array','x-kubernetes-list-type':'map','items':"
		  "{'type':'object'}}}}",
			"at.properties[a].x-kubernetes-list-map-keys" },
		{ "{'type':'object','properties':{'a':{'type':'array','x-kubernetes-list-type':'map',"
		  "'x-kubernetes-list-map-keys':['k'],'items':{'type':'object','properties':{'k':{'type':'"
		  "string'}}}}}}",
			"at.properties[a].x-kubernetes-list-map-keys[0]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(cases[i].schema);
		CLEANUP(causes_done) struct causes c = { 0 };
		struct schema *s = NULL;
		struct err e = { 0 };

		if (schema_compile(json_root(d), "at", &s, &c, &e) == 0)
			fail_msg("%s should be refused", cases[i].schema);
		assert_null(s);
		assert_int_equal(e.code, ERR_INVALID);
		assert_string_equal(c.items[0].field, cases[i].field);
	}
}

/* kubernetes-api.md 8.77: what Go's decoders make of it, too */
static void null_means_absent_where_there_is_none(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s = compile(
		"{'type':'object','properties':{'a':{'type':'string'},'n':{'type':'string','nullable':true},"
		"'d':{'type':'string','default':'x'},'o':{'type':'object','properties':{'a':{'type':"
		"'integer'}}},'l':{'type':'array','items':{'type':'string'}}}}");
	CLEANUP(json_doc_freep)
	struct json_doc *d = json_lit("{'a':null,'n':null,'d':null,'o':{'a':null},'l':[null],'u':null}");
	CLEANUP(strv_done) struct strv unknown = { 0 };

	schema_prune(s, json_root(d), &unknown);
	schema_default(s, d, json_root(d));
	CLEANUP(mem_freep) char *text = json_write(json_root(d), NULL);
	assert_string_equal(text, "{\"n\":null,\"d\":\"x\",\"o\":{},\"l\":[null]}");
	assert_int_equal(unknown.len, 1);
}

/* kubernetes-api.md 8.81: Kubernetes' own words and paths */
static void definitions_are_refused_in_kubernetes_words(void **state)
{
	static const struct {
		const char *schema, *said; /* all of it, by "; " */
	} cases[] = {
		{ "{}", "S.type: Required value: must not be empty at the root" },
		{ "{'type':'array','items':{'type':'string'}}",
			"S.type: Invalid value: \"array\": must be object at the root" },
		{ "{'type':'object','nullable':true}",
			"S.nullable: Forbidden: nullable cannot be true at the root" },
		{ "{'type':'object','properties':{'a':{'$ref':'#/x'}}}",
			"S.properties[a].$ref: Forbidden: $ref is not supported" },
		{ "{'type':'object','properties':{'a':{'type':'foo'}}}",
			"S.properties[a].type: Unsupported value: \"foo\": supported values: \"array\", "
			"\"boolean\", "
			"\"integer\", \"number\", \"object\", \"string\"" },
		{ "{'type':'object','properties':{'a':{'type':'array','items':[{'type':'string'}]}}}",
			"S.properties[a].items: Forbidden: items must be a schema object and not an array" },
		{ "{'type':'object','properties':{'metadata':{'type':'object','properties':{'name':{'type':'"
		  "string','default':"
		  "'x'}}}}}",
			"S.properties[metadata].properties[name].default: Forbidden: must not be set in "
			"top-level metadata" },
		{ "{'type':'object','properties':{'metadata':{'type':'object','properties':{'labels':{'type':"
		  "'object'}}}}}",
			"S.properties[metadata]: Forbidden: must not specify anything other than name and "
			"generateName, but "
			"metadata is implicitly specified" },
		{ "{'type':'object','properties':{'a':{'type':'string','pattern':'(['}}}",
			"S.properties[a].pattern: Invalid value: \"([\": must be a valid regular expression, "
			"but isn't: error "
			"parsing regexp: missing closing ]: `[`" },
		{ "{'type':'object','properties':{'a':{'type':'array','items':{'type':'object'},'x-"
		  "kubernetes-list-type':'set'}}}",
			"S.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as "
			"item of a list with "
			"x-kubernetes-list-type=set" },
		{ "{'type':'object','properties':{'a':{'type':'array','items':{'type':'object','properties':{"
		  "'k':{'type':"
		  "'string'}}},'x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k']}}}",
			"S.properties[a].items.properties[k].default: Required value: this property is in "
			"x-kubernetes-list-map-keys, so it must have a default or be a required property" },
		{ "{'type':'object','properties':{'a':{'type':'array','items':{'type':'object','required':['"
		  "q']},"
		  "'x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['q','q']}}}",
			"S.properties[a].x-kubernetes-list-map-keys: Invalid value: [\"q\",\"q\"]: entries "
			"must all be names of "
			"item properties; S.properties[a].x-kubernetes-list-map-keys: Invalid value: "
			"[\"q\",\"q\"]: entries must "
			"all be names of item properties; S.properties[a].x-kubernetes-list-map-keys: "
			"Invalid value: "
			"[\"q\",\"q\"]: must not contain duplicate entries" },
		{ "{'type':'object','properties':{'a':{'type':'string','x-kubernetes-embedded-resource':true}"
		  "}}",
			"S.properties[a].properties: Required value: must not be empty if "
			"x-kubernetes-embedded-resource is true "
			"without x-kubernetes-preserve-unknown-fields; S.properties[a].type: Invalid value: "
			"\"string\": must be "
			"object if x-kubernetes-embedded-resource is true" },
		{ "{'type':'object','properties':{'a':{'type':'object','x-kubernetes-preserve-unknown-fields'"
		  ":false}}}",
			"S.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be "
			"true or undefined" },
		{ "{'type':'object','properties':{'x':{'type':'integer'}},'oneOf':[{'properties':{'x':{'"
		  "title':'a','nullable':"
		  "true},'y':{'minimum':1}}}]}",
			"S.oneOf[0].properties[x].nullable: Forbidden: must be false to be structural; "
			"S.oneOf[0].properties[x].title: Forbidden: must be empty to be structural; "
			"S.properties[y]: Required "
			"value: because it is defined in S.oneOf[0].properties[y]" },
		/* not refused: they say nothing */
		{ "{'type':'object','properties':{'a':{'type':'object','additionalProperties':false},'b':{'"
		  "type':'string',"
		  "'x-kubernetes-int-or-string':true},'c':{'type':'string','default':null}}}",
			"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(cases[i].schema);
		CLEANUP(causes_done) struct causes c = { 0 };
		CLEANUP(str_done) struct str said = { 0 };

		schema_check(json_root(d), "S", false, &c);
		for (size_t k = 0; k < c.len; k++)
			str_addf(&said, "%s%s: %s", k ? "; " : "", c.items[k].field, c.items[k].message);
		assert_string_equal(str_cstr(&said), cases[i].said);
		if (!*cases[i].said) {
			CLEANUP(schema_freep) struct schema *s = compile(cases[i].schema);

			assert_non_null(s);
		}
	}
}

static void patches_find_their_keys(void **state)
{
	CLEANUP(schema_freep)
	struct schema *s =
		compile("{'type':'object','properties':{'l':{'type':'array','x-kubernetes-list-type':'map',"
			"'x-kubernetes-list-map-keys':['k'],'items':{'type':'object','required':['k'],"
			"'properties':{'k':{'type':'string'}}}},"
			"'v':{'type':'array','x-kubernetes-patch-merge-key':'name','x-kubernetes-patch-"
			"strategy':'merge,retainKeys',"
			"'items':{'type':'object'}},'m':{'type':'object','x-kubernetes-map-type':'atomic',"
			"'additionalProperties':{'type':'string'}},'s':{'type':'array','x-kubernetes-list-"
			"type':'set',"
			"'items':{'type':'string'}}}}");
	const struct schema *meta = schema_member(s, "metadata");

	assert_string_equal(schema_merge_key(schema_member(s, "l")), "k");
	assert_int_equal(schema_list_type(schema_member(s, "l")), SCHEMA_LIST_MAP);
	assert_string_equal(schema_list_keys(schema_member(s, "l"))->items[0], "k");
	assert_non_null(schema_member(schema_items(schema_member(s, "l")), "k"));
	assert_string_equal(schema_merge_key(schema_member(s, "v")), "name");
	assert_true(schema_retain_keys(schema_member(s, "v")));
	assert_int_equal(schema_list_type(schema_member(s, "v")), SCHEMA_LIST_ATOMIC);
	assert_true(schema_map_atomic(schema_member(s, "m")));
	assert_int_equal(schema_list_type(schema_member(s, "s")), SCHEMA_LIST_SET);
	assert_string_equal(schema_merge_key(schema_member(meta, "ownerReferences")), "uid");
	assert_true(schema_merges(schema_member(meta, "finalizers")));
	assert_null(schema_member(s, "nothing"));
	assert_null(schema_member(NULL, "x"));
}

/* kubernetes-api.md 8.16, 8.35: before anything takes a member for what its table says */
static void types_are_looked_at_everywhere(void **state)
{
	struct schema *s =
		compile("{'type':'object','properties':{'spec':{'type':'object','properties':{"
			"'n':{'type':'integer'},'q':{'x-kubernetes-int-or-string':true},"
			"'l':{'type':'array','items':{'type':'object','properties':{'a':{'type':'string'}}}},"
			"'m':{'type':'object','additionalProperties':{'type':'string'}},"
			"'z':{'type':'string','nullable':true}}}}}");
	static const struct {
		const char *text, *path, *want;
	} bad[] = {
		{ "{'spec':'x'}", "spec", "object" },
		{ "{'spec':{'n':'1'}}", "spec.n", "integer" },
		{ "{'spec':{'q':true}}", "spec.q", "integer,string" },
		{ "{'spec':{'l':{'a':1}}}", "spec.l", "array" },
		{ "{'spec':{'l':[{'a':'x'},null]}}", "spec.l[1]", "object" },
		{ "{'spec':{'l':[{'a':'x'},{'a':[]}]}}", "spec.l[1].a", "string" },
		{ "{'spec':{'m':[]}}", "spec.m", "map" },
		{ "{'spec':{'m':{'k':1}}}", "spec.m.k", "string" },
		{ "{'metadata':{'labels':5}}", "metadata.labels", "map" },
	};
	static const char *const good[] = { "{}",
		"{'spec':{'z':null,'n':1,'q':'5','l':[{}],'m':{'k':''},'other':[1]}}" };
	struct schema_misfit m;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(bad[i].text);

		assert_false(schema_types_fit(s, json_root(d), &m));
		assert_string_equal(m.path, bad[i].path);
		assert_string_equal(m.want, bad[i].want);
		free(m.path);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		CLEANUP(json_doc_freep) struct json_doc *d = json_lit(good[i]);

		assert_true(schema_types_fit(s, json_root(d), &m));
	}
	schema_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_fields_are_pruned),
		cmocka_unit_test(defaults_fill_gaps_and_nulls),
		cmocka_unit_test(nulls_of_built_in_kinds_are_dropped),
		cmocka_unit_test(violations_read_as_in_kubernetes),
		cmocka_unit_test(junctors_are_evaluated),
		cmocka_unit_test(unchanged_invalid_values_are_let_be),
		cmocka_unit_test(immutable_fields_may_be_set_once),
		cmocka_unit_test(formats_are_checked),
		cmocka_unit_test(what_is_not_structural_is_refused),
		cmocka_unit_test(null_means_absent_where_there_is_none),
		cmocka_unit_test(definitions_are_refused_in_kubernetes_words),
		cmocka_unit_test(patches_find_their_keys),
		cmocka_unit_test(types_are_looked_at_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
