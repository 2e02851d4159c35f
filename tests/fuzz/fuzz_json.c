/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and YAML from outside: what was understood and written again is understood as the same. */
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(const struct json *v)
{
	CLEANUP(str_done) struct str json = { 0 }, yaml = { 0 };
	CLEANUP(json_doc_freep) struct json_doc *a = NULL, *b = NULL;
	struct err e = { 0 };

	json_write_to(v, &json);
	a = json_parse(json.data, json.len, &e);
	MUST(a && json_eq(json_root(a), v));
	yaml_write(v, &yaml);
	b = yaml_parse(str_cstr(&yaml), yaml.len, &e);
	MUST(b && json_eq(json_root(b), v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *j = NULL, *y = NULL;
	CLEANUP(strv_done) struct strv dups = { 0 };
	struct err e = { 0 };

	j = json_parse_dups((const char *)data, len, &dups, &e);
	if (j)
		again(json_root(j));
	y = yaml_parse((const char *)data, len, &e);
	if (y && json_depth_ok(json_root(y)))
		again(json_root(y));
	return 0;
}
