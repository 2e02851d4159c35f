/* SPDX-License-Identifier: Apache-2.0 */
/* Event of core/v1; that of events.k8s.io/v1, the same objects, is in builtin_misc.c. */
#include "platform/kinds/builtin.h"

#include "base/mem.h"
#include "base/time.h"

#include <string.h>

FIELD_TABLE(event_fields, "io.k8s.api.core.v1.Event", "Something that happened to an object.",
	ROW_REF("involvedObject", object_reference_fields, "Whom it happened to."),
	ROW_STR("reason", "What, one CamelCase word."), ROW_STR("message", "What, for people."),
	{ "source", F_OBJECT, 0, "Who says so.", .deflt = "{}" }, ROW_STR("source.component", "Program."),
	ROW_STR("source.host", "Node."), ROW_TIME("firstTimestamp", "When first."),
	ROW_TIME("lastTimestamp", "When last."), ROW_I32("count", "How often."),
	ROW_STR("type", "Normal or Warning."), ROW_MICROTIME("eventTime", "When first, in microseconds."),
	ROW_OBJ("series", "A row of the same."), ROW_I32("series.count", "How often."),
	ROW_MICROTIME("series.lastObservedTime", "When last."), ROW_STR("action", "What was done."),
	ROW_REF("related", object_reference_fields, "Another object it is about."),
	{ "reportingComponent", F_STRING, 0, "Program.", .deflt = "\"\"" },
	{ "reportingInstance", F_STRING, 0, "Which instance of it.", .deflt = "\"\"" });

/* Of whichever shape: events.k8s.io names members otherwise. */
static const struct json *event_at(const struct json *o, const char *core, const char *other)
{
	const struct json *v = json_at(o, core);

	return v ? v : json_at(o, other);
}

static struct json *event_age(struct json_doc *d, const struct json *o, int64_t now_ms, bool first)
{
	const char *texts[] = {
		first ? NULL : json_at_str(o, "/series/lastObservedTime"),
		json_str(first ? event_at(o, "/firstTimestamp", "/deprecatedFirstTimestamp")
			       : event_at(o, "/lastTimestamp", "/deprecatedLastTimestamp")),
		json_at_str(o, "/eventTime"),
		json_at_str(o, "/metadata/creationTimestamp"),
	};
	char buf[TIME_TEXT_MAX];
	int64_t t;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!str_empty(texts[i]) && time_parse(texts[i], &t))
			return json_new_str(d, time_age(now_ms - t, buf));
	return json_new_str(d, "<unknown>");
}

static struct json *event_last_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return event_age(d, o, now_ms, false);
}

static struct json *event_first_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return event_age(d, o, now_ms, true);
}

static struct json *event_object_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *ref = event_at(o, "/involvedObject", "/regarding");
	CLEANUP(mem_freep) char *kind = str_lower(json_str_or(json_get(ref, "kind"), ""));
	const char *name = json_get_str(ref, "name");

	return str_empty(name) ? json_new_str(d, kind) : json_new_strf(d, "%s/%s", kind, name);
}

static struct json *event_part_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	return json_new_str(
		d, json_str_or(event_at(o, "/involvedObject/fieldPath", "/regarding/fieldPath"), ""));
}

static struct json *event_source_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const char *component = json_str(event_at(o, "/source/component", "/deprecatedSource/component"));
	const char *host = json_str(event_at(o, "/source/host", "/deprecatedSource/host"));

	if (str_empty(component))
		component = json_str_or(event_at(o, "/reportingComponent", "/reportingController"), "");
	if (str_empty(host))
		host = json_str_or(json_at(o, "/reportingInstance"), "");
	return str_empty(host) ? json_new_str(d, component) : json_new_strf(d, "%s, %s", component, host);
}

static struct json *event_message_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	CLEANUP(mem_freep) char *text = mem_strdup(json_str_or(event_at(o, "/message", "/note"), ""));
	size_t n = strlen(text);

	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		text[--n] = '\0';
	return json_new_str(d, text);
}

static struct json *event_count_cell(struct json_doc *d, const struct json *o, int64_t now_ms)
{
	const struct json *v = json_at(o, "/series/count");

	if (!v)
		v = event_at(o, "/count", "/deprecatedCount");
	return json_new_i64(d, json_i64(v) > 0 ? json_i64(v) : 1);
}

const struct column event_columns[] = {
	{ "Last Seen", "string", NULL, "When last.", 0, NULL, event_last_cell },
	{ "Type", "string", NULL, "Normal or Warning.", 0, ".type", NULL },
	{ "Reason", "string", NULL, "What.", 0, ".reason", NULL },
	{ "Object", "string", NULL, "Whom it happened to.", 0, NULL, event_object_cell },
	{ "Subobject", "string", NULL, "Which part of it.", 1, NULL, event_part_cell },
	{ "Source", "string", NULL, "Who says so.", 1, NULL, event_source_cell },
	{ "Message", "string", NULL, "What, for people.", 0, NULL, event_message_cell },
	{ "First Seen", "string", NULL, "When first.", 1, NULL, event_first_cell },
	{ "Count", "string", NULL, "How often.", 1, NULL, event_count_cell },
	{ "Name", "string", "name", "Name of the event.", 1, ".metadata.name", NULL },
	{ 0 },
};
static const char *const event_selectable[] = { "involvedObject.kind", "involvedObject.namespace",
	"involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
	"involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent",
	"source|source.component|reportingComponent", "type", NULL };

static const char *const ev_names[] = { "ev", NULL };

const struct resource_def builtin_event[] = {
	{ .kind = { CORE("Event", "events", "event"), .short_names = ev_names, .namespaced = true,
		  .fields = &event_fields },
		.rules = { .create_on_update = true },
		.columns = event_columns,
		.selectable = event_selectable,
		.ttl_seconds = 3600 },
	{ .kind = { 0 } },
};
