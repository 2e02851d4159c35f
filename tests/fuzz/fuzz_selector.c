/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors, quantities, times, JSONPaths, regular expressions and URLs from outside: the small texts of requests and
 * definitions. The first byte chooses what the rest is. */
#include "api/jsonpath.h"
#include "api/quantity.h"
#include "api/re.h"
#include "api/selector.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/time.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char object_text[] = "{\"metadata\":{\"name\":\"a\",\"labels\":{\"a\":\"b\",\"c/"
				  "d\":\"e\"}},\"spec\":{\"list\":[{\"type\":\"x\",\"n\":1},"
				  "{\"type\":\"y\",\"n\":[1,2,{\"z\":null}]}],\"s\":\"text\"}}";

static void fuzz_labels(const char *text, const struct json *o)
{
	CLEANUP(selector_freep) struct selector *s = NULL, *again = NULL;
	CLEANUP(str_done) struct str out = { 0 };
	const struct json *labels = json_at(o, "/metadata/labels");

	if (selector_parse_labels(text, &s, NULL) < 0)
		return;
	selector_text(s, &out);
	if (out.len > SELECTOR_TEXT_MAX)
		return;
	MUST(selector_parse_labels(str_cstr(&out), &again, NULL) == 0);
	MUST(selector_matches(s, labels) == selector_matches(again, labels));
}

static void fuzz_fields(const char *text, const struct json *o)
{
	CLEANUP(field_selector_freep) struct field_selector *s = NULL;
	const char *path;

	if (field_selector_parse(text, &s, NULL) < 0)
		return;
	for (size_t i = 0; field_selector_each(s, &i, &path);)
		MUST(path);
	(void)field_selector_matches(s, o);
}

/* Of fractions of a byte the canonical text knows nothing: it rounds up. */
static void fuzz_amount(const char *text)
{
	char one[QUANTITY_TEXT_MAX], two[QUANTITY_TEXT_MAX];
	struct quantity q, again;

	if (quantity_parse(text, &q, NULL) < 0)
		return;
	MUST(quantity_parse(quantity_text(&q, one), &again, NULL) == 0);
	MUST(quantity_cmp(&q, &again) <= 0 && again.value - q.value <= 1);
	MUST(str_eq(quantity_text(&again, two), one));
}

static void fuzz_time(const char *text)
{
	char buf[TIME_TEXT_MAX];
	int64_t ms, again;

	if (time_parse(text, &ms) && ms >= 0 && ms < 253402300800000)
		MUST(time_parse(time_rfc3339_micro(ms, buf), &again) && again == ms);
	(void)time_parse_duration(text, &ms);
}

static void count(void *arg, const struct json *v)
{
	++*(size_t *)arg;
}

static void fuzz_path(const char *text, const struct json *o)
{
	struct jsonpath *p = NULL;
	size_t n = 0;

	if (jsonpath_parse(text, &p, NULL) < 0)
		return;
	jsonpath_each(p, o, count, &n);
	MUST((n > 0) == (jsonpath_first(p, o) != NULL));
	jsonpath_free(p);
}

static void fuzz_re(const char *text)
{
	CLEANUP(re_freep) struct re *r = NULL;

	if (re_compile(text, &r, NULL) == 0)
		(void)re_matches(r, object_text, sizeof(object_text) - 1);
}

static void fuzz_url(const char *text)
{
	struct url u = { 0 };

	if (url_parse(text, &u, NULL) == 0)
		MUST(u.scheme && u.host && u.path);
	url_done(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_doc_freep) struct json_doc *d = json_parse(object_text, sizeof(object_text) - 1, NULL);
	CLEANUP(mem_freep) char *text = NULL;

	if (len < 1)
		return 0;
	text = mem_strndup((const char *)data + 1, len - 1);
	switch (data[0]) {
	case 'l':
		fuzz_labels(text, json_root(d));
		break;
	case 'f':
		fuzz_fields(text, json_root(d));
		break;
	case 'q':
		fuzz_amount(text);
		break;
	case 't':
		fuzz_time(text);
		break;
	case 'p':
		fuzz_path(text, json_root(d));
		break;
	case 'r':
		fuzz_re(text);
		break;
	case 'u':
		fuzz_url(text);
		break;
	}
	return 0;
}
