/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/mem.h"
#include "base/yaml_scalar.h"

#include <string.h>

#define YAML_STEP 2
/* A key in front of ": " must be shorter than 1024 characters (YAML 1.1, 9.3.1). */
#define YAML_SIMPLE_KEY_MAX 1000

static void put_members(const struct json *v, int indent, bool inline_first, struct str *out);
static void put_items(const struct json *v, int indent, bool inline_first, struct str *out);

static void put_indent(int indent, struct str *out)
{
	for (int i = 0; i < indent; i++)
		str_addc(out, ' ');
}

/* Only ASCII that means nothing special, and text above it that yaml_add_quoted() would not escape. */
static bool chars_are_plain(const char *s, size_t len, bool newlines)
{
	CLEANUP(str_done) struct str quoted = { 0 };

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < 0x20 && !(newlines && c == '\n'))
			return false;
	}
	for (size_t i = 0; i < len; i++) {
		if ((signed char)s[i] >= 0 && s[i] != 0x7f)
			continue;
		/* quoting escapes what a plain or block scalar can not hold */
		yaml_add_quoted(&quoted, s, len);
		return !strstr(quoted.data, "\\u");
	}
	return true;
}

/* YAML 1.1 readers other than ours know dates and base 60 numbers. */
static bool looks_like_time(const char *s, size_t len)
{
	return *s >= '0' && *s <= '9' && (memchr(s, ':', len) || (len > 5 && s[4] == '-'));
}

static bool is_plain(const char *s, size_t len)
{
	if (len == 0 || strchr("-?:,[]{}#&*!|>'\"%@`=< ", s[0]) || s[len - 1] == ' ' || s[len - 1] == ':')
		return false;
	if (memchr(s, 0, len) || strstr(s, ": ") || strstr(s, " #"))
		return false;
	/* at the start of a line it would end the document */
	if (strncmp(s, "...", 3) == 0)
		return false;
	/* inside of flow collections these would end it; we write none, but people paste */
	if (strpbrk(s, ",[]{}"))
		return false;
	return yaml_resolve(s, len).kind == YS_STR && !looks_like_time(s, len) &&
	       chars_are_plain(s, len, false);
}

static bool is_block(const char *s, size_t len)
{
	const char *nl = memchr(s, '\n', len);

	/* a first line that is empty or indented would need an indentation indicator */
	return nl && s[0] != ' ' && s[0] != '\n' && chars_are_plain(s, len, true);
}

static void put_block(const char *s, size_t len, int indent, struct str *out)
{
	bool ends = s[len - 1] == '\n';

	str_addc(out, '|');
	if (!ends)
		str_addc(out, '-');
	else if (len >= 2 && s[len - 2] == '\n')
		str_addc(out, '+');
	str_addc(out, '\n');
	for (size_t i = 0; i < len;) {
		const char *nl = memchr(s + i, '\n', len - i);
		size_t n = nl ? (size_t)(nl - (s + i)) : len - i;

		if (n)
			put_indent(indent, out);
		str_addn(out, s + i, n);
		str_addc(out, '\n');
		i += n + 1;
	}
}

/* A scalar or empty container with its newline; indent is for the lines of a block. */
static void put_scalar(const struct json *v, int indent, struct str *out)
{
	const char *s = json_str(v);
	size_t len = json_str_len(v);

	if (s && is_block(s, len)) {
		put_block(s, len, indent, out);
		return;
	}
	if (!s)
		json_write_to(v, out);
	else if (is_plain(s, len))
		str_addn(out, s, len);
	else
		yaml_add_quoted(out, s, len);
	str_addc(out, '\n');
}

static void put_key(const struct json_iter *it, int indent, struct str *out)
{
	size_t start = out->len;

	if (is_plain(it->key, it->key_len))
		str_addn(out, it->key, it->key_len);
	else
		yaml_add_quoted(out, it->key, it->key_len);
	if (out->len - start > YAML_SIMPLE_KEY_MAX) {
		CLEANUP(mem_freep) char *key = mem_strdup(out->data + start);
		out->len = start;
		str_addf(out, "? %s\n", key);
		put_indent(indent, out);
	}
	str_addc(out, ':');
}

static void put_members(const struct json *v, int indent, bool inline_first, struct str *out)
{
	JSON_EACH (it, v) {
		if (it.i > 0 || !inline_first)
			put_indent(indent, out);
		put_key(&it, indent, out);
		if (json_len(it.val) == 0) {
			str_addc(out, ' ');
			put_scalar(it.val, indent + YAML_STEP, out);
			continue;
		}
		str_addc(out, '\n');
		if (json_is_obj(it.val))
			put_members(it.val, indent + YAML_STEP, false, out);
		else
			put_items(it.val, indent, false, out);
	}
}

static void put_items(const struct json *v, int indent, bool inline_first, struct str *out)
{
	JSON_EACH (it, v) {
		if (it.i > 0 || !inline_first)
			put_indent(indent, out);
		str_add(out, "- ");
		if (json_len(it.val) == 0)
			put_scalar(it.val, indent + YAML_STEP, out);
		else if (json_is_obj(it.val))
			put_members(it.val, indent + YAML_STEP, true, out);
		else
			put_items(it.val, indent + YAML_STEP, true, out);
	}
}

void yaml_write(const struct json *v, struct str *out)
{
	if (json_len(v) == 0)
		put_scalar(v, YAML_STEP, out);
	else if (json_is_obj(v))
		put_members(v, 0, false, out);
	else
		put_items(v, 0, false, out);
}
