/* SPDX-License-Identifier: Apache-2.0 */
#include "api/status.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define VALUE_TEXT_MAX 1024    /* of a bad value shown back */
#define MESSAGE_TEXT_MAX 65536 /* of all causes in one message */

void causes_done(struct causes *c)
{
	for (size_t i = 0; i < c->len; i++) {
		free(c->items[i].message);
		free(c->items[i].field);
	}
	free(c->items);
	*c = (struct causes){ 0 };
}

static void add_cause(struct causes *c, const char *reason, const char *field, char *message /* taken */)
{
	if (c->len >= CAUSES_MAX) {
		c->dropped++;
		free(message);
		return;
	}
	c->items = mem_grow(c->items, &c->cap, c->len + 1, sizeof(*c->items));
	c->items[c->len++] = (struct cause){
		.reason = reason, .message = message, .field = mem_strdup(field ? field : "")
	};
}

/* Cut at a character boundary. */
static void cut(struct str *s, size_t max)
{
	if (s->len <= max)
		return;
	while (max > 0 && ((unsigned char)s->data[max] & 0xc0) == 0x80)
		max--;
	s->len = max;
	s->data[max] = '\0';
	str_add(s, "...");
}

/* Adds ": value" as Go's %q and %v would: strings and everything compound as JSON. */
static void add_value(struct str *s, const struct json *value)
{
	CLEANUP(str_done) struct str text = { 0 };

	json_write_to(value, &text);
	cut(&text, VALUE_TEXT_MAX);
	str_add(s, ": ");
	str_add(s, str_cstr(&text));
}

void cause_invalid(struct causes *c, const char *field, const struct json *value, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	if (!c)
		return;
	str_add(&s, "Invalid value");
	if (value)
		add_value(&s, value);
	str_add(&s, ": ");
	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	add_cause(c, "FieldValueInvalid", field, str_take(&s));
}

void cause_required(struct causes *c, const char *field, const char *detail)
{
	if (!c)
		return;
	add_cause(c, "FieldValueRequired", field,
		str_empty(detail) ? mem_strdup("Required value") : str_printf("Required value: %s", detail));
}

void cause_duplicate(struct causes *c, const char *field, const struct json *value)
{
	struct str s = { 0 };

	if (!c)
		return;
	str_add(&s, "Duplicate value");
	if (value)
		add_value(&s, value);
	add_cause(c, "FieldValueDuplicate", field, str_take(&s));
}

void cause_forbidden(struct causes *c, const char *field, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	if (!c)
		return;
	str_add(&s, "Forbidden: ");
	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	add_cause(c, "FieldValueForbidden", field, str_take(&s));
}

void cause_not_supported(
	struct causes *c, const char *field, const struct json *value, const char *const *allowed)
{
	struct str s = { 0 };

	if (!c)
		return;
	str_add(&s, "Unsupported value");
	if (value)
		add_value(&s, value);
	for (size_t i = 0; allowed && allowed[i]; i++) {
		str_add(&s, i ? ", " : ": supported values: ");
		str_addf(&s, "\"%s\"", allowed[i]);
	}
	add_cause(c, "FieldValueNotSupported", field, str_take(&s));
}

void cause_too_long(struct causes *c, const char *field, size_t max_bytes)
{
	if (c)
		add_cause(c, "FieldValueTooLong", field,
			str_printf("Too long: may not be more than %zu byte%s", max_bytes,
				max_bytes == 1 ? "" : "s"));
}

static const char *type_name(const struct json *v)
{
	switch (json_type(v)) {
	case JSON_BOOL:
		return "boolean";
	case JSON_INT:
		return "integer";
	case JSON_UINT: /* more than an int64 holds */
	case JSON_REAL:
		return "number";
	case JSON_STR:
		return "string";
	case JSON_ARR:
		return "array";
	case JSON_OBJ:
		return "object";
	case JSON_NULL:
		break;
	}
	return "null";
}

void cause_type(struct causes *c, const char *field, const char *want, const struct json *got)
{
	const char *name = type_name(got);

	if (c)
		add_cause(c, "FieldValueTypeInvalid", field,
			str_printf("Invalid value: \"%s\": %s in body must be of type %s: \"%s\"", name,
				field, want, name));
}

void cause_text(struct causes *c, const char *reason, const char *field, const char *fmt, ...)
{
	struct str s = { 0 };
	va_list ap;

	if (!c)
		return;
	va_start(ap, fmt);
	str_addv(&s, fmt, ap);
	va_end(ap);
	add_cause(c, reason, field, str_take(&s));
}

/* `Kind.group "name"` */
static void add_subject(struct str *s, const char *what, const struct kind *k, const char *name)
{
	str_add(s, what);
	if (!str_empty(k->group))
		str_addf(s, ".%s", k->group);
	str_addf(s, " \"%s\"", name ? name : "");
}

static bool said_before(const struct causes *c, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (str_eq(c->items[j].field, c->items[i].field) &&
			str_eq(c->items[j].message, c->items[i].message))
			return true;
	return false;
}

static void add_causes_text(struct str *s, const struct causes *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->len; i++)
		n += !said_before(c, i);
	if (n > 1)
		str_addc(s, '[');
	n = 0;
	for (size_t i = 0; i < c->len && s->len < MESSAGE_TEXT_MAX; i++) {
		if (said_before(c, i))
			continue;
		if (n++)
			str_add(s, ", ");
		str_addf(s, "%s: %s", str_empty(c->items[i].field) ? "<nil>" : c->items[i].field,
			c->items[i].message);
	}
	if (c->dropped)
		str_addf(s, ", and %zu more", c->dropped);
	if (n > 1)
		str_addc(s, ']');
}

static void add_invalid_text(struct str *s, const struct causes *c, const struct kind *k, const char *name)
{
	if (k) {
		add_subject(s, k->kind, k, name);
		str_add(s, " is invalid: ");
	}
	add_causes_text(s, c);
}

int causes_to_err(const struct causes *c, const struct kind *k, const char *name, struct err *e)
{
	CLEANUP(str_done) struct str s = { 0 };

	add_invalid_text(&s, c, k, name);
	return err_set(e, ERR_INVALID, "%s", str_cstr(&s));
}

/* The text of an error is bounded, that of a Status need not be: if this error came from these causes, say it all. */
static char *full_message(
	const struct err *e, const struct kind *k, const char *name, const struct causes *causes)
{
	CLEANUP(str_done) struct str s = { 0 };

	if (causes && causes->len && e->code == ERR_INVALID) {
		add_invalid_text(&s, causes, k, name);
		if (s.len >= ERR_MSG_MAX && strncmp(s.data, e->msg, strlen(e->msg)) == 0)
			return str_take(&s);
	}
	return mem_strdup(e->msg);
}

static void add_details(struct json_doc *d, struct json *status, const struct err *e, const struct kind *k,
	const char *name, const struct causes *causes)
{
	bool always = e->code == ERR_INVALID || e->code == ERR_NOT_FOUND;

	/* these are about the request, not about an object */
	if (e->code == ERR_BAD_REQUEST || e->code == ERR_UNSUPPORTED_MEDIA_TYPE ||
		e->code == ERR_NOT_ACCEPTABLE) {
		k = NULL;
		name = NULL;
	}
	if (!k && str_empty(name) && (!causes || !causes->len) && !always)
		return;
	struct json *details = json_need_obj(d, status, "details");
	if (!str_empty(name))
		json_set_str(d, details, "name", name);
	if (k) {
		if (!str_empty(k->group))
			json_set_str(d, details, "group", k->group);
		json_set_str(d, details, "kind", e->code == ERR_INVALID ? k->kind : k->plural);
	}
	if (!causes || !causes->len)
		return;
	struct json *list = json_need_arr(d, details, "causes");
	for (size_t i = 0; i < causes->len; i++) {
		struct json *c = json_new_obj(d);

		json_set_str(d, c, "reason", causes->items[i].reason);
		json_set_str(d, c, "message", causes->items[i].message);
		if (!str_empty(causes->items[i].field))
			json_set_str(d, c, "field", causes->items[i].field);
		json_append(d, list, c);
	}
}

static struct json_doc *new_status(const char *outcome)
{
	struct json_doc *d = json_doc_new();
	struct json *s = json_new_obj(d);

	json_set_root(d, s);
	json_set_str(d, s, "kind", "Status");
	json_set_str(d, s, "apiVersion", "v1");
	json_need_obj(d, s, "metadata");
	json_set_str(d, s, "status", outcome);
	return d;
}

struct json_doc *status_from_err(
	const struct err *e, const struct kind *k, const char *name, const struct causes *causes)
{
	struct json_doc *d = new_status("Failure");
	struct json *s = json_root(d);
	CLEANUP(mem_freep) char *message = full_message(e, k, name, causes);

	json_set_str(d, s, "message", message);
	json_set_str(d, s, "reason", err_reason(e->code));
	add_details(d, s, e, k, name, causes);
	json_set_i64(d, s, "code", err_http(e->code));
	return d;
}

struct json_doc *status_success(const struct kind *k, const char *name, const char *uid)
{
	struct json_doc *d = new_status("Success");
	struct json *s = json_root(d);

	if (k || !str_empty(name)) {
		struct json *details = json_need_obj(d, s, "details");

		json_set_str(d, details, "name", name);
		if (k && !str_empty(k->group))
			json_set_str(d, details, "group", k->group);
		if (k)
			json_set_str(d, details, "kind", k->plural);
		if (!str_empty(uid))
			json_set_str(d, details, "uid", uid);
	}
	return d;
}

int status_to_err(const struct json *status, int http_status, struct err *e)
{
	const char *message = json_get_str(status, "message");
	int64_t code = json_i64(json_get(status, "code"));

	if (code < 400 || code > 599)
		code = http_status;
	enum err_code ec = err_from_wire((int)code, json_get_str(status, "reason"));
	if (ec == ERR_NONE)
		ec = ERR_INTERNAL;
	if (str_empty(message))
		return err_set(e, ec, "the server answered %d without saying why", http_status);
	return err_set(e, ec, "%s", message);
}

static int err_about(
	struct err *e, enum err_code code, const struct kind *k, const char *name, const char *tail)
{
	CLEANUP(str_done) struct str s = { 0 };

	add_subject(&s, k->plural, k, name);
	return err_set(e, code, "%s%s", str_cstr(&s), tail);
}

int err_not_found(struct err *e, const struct kind *k, const char *name)
{
	return err_about(e, ERR_NOT_FOUND, k, name, " not found");
}

int err_exists(struct err *e, const struct kind *k, const char *name)
{
	return err_about(e, ERR_EXISTS, k, name, " already exists");
}

int err_conflict(struct err *e, const struct kind *k, const char *name)
{
	CLEANUP(str_done) struct str s = { 0 };

	add_subject(&s, k->plural, k, name);
	return err_set(e, ERR_CONFLICT,
		"Operation cannot be fulfilled on %s: the object has been modified; please apply your "
		"changes to the "
		"latest version and try again",
		str_cstr(&s));
}
