/* SPDX-License-Identifier: Apache-2.0 */
#include "kubevirt/health/metrics.h"

#include <inttypes.h>

void metric_family(struct str *out, const char *name, const char *type, const char *help)
{
	str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_escaped(struct str *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '\n')
			str_add(out, "\\n");
		else if (*text == '"' || *text == '\\')
			str_addf(out, "\\%c", *text);
		else
			str_addc(out, *text);
	}
}

static void add_name(struct str *out, const char *name, const struct metric_label *labels)
{
	str_add(out, name);
	for (size_t i = 0; labels && labels[i].name; i++) {
		str_addf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
		add_escaped(out, labels[i].value);
		str_addc(out, '"');
	}
	if (labels && labels[0].name)
		str_addc(out, '}');
}

void metric_i64(struct str *out, const char *name, const struct metric_label *labels, int64_t value)
{
	add_name(out, name, labels);
	str_addf(out, " %" PRId64 "\n", value);
}

void metric_milli(struct str *out, const char *name, const struct metric_label *labels, int64_t milli)
{
	add_name(out, name, labels);
	str_addf(out, " %s%" PRId64 ".%03d\n", milli < 0 ? "-" : "", (milli < 0 ? -milli : milli) / 1000,
		(int)((milli < 0 ? -milli : milli) % 1000));
}
