/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096

/* The exception to "no global state" that base/log.h announces. */
static enum log_level log_level = LOG_INFO;
static char log_program[32] = "-";

void log_init(const char *program, enum log_level level)
{
	str_copy(log_program, sizeof(log_program), program);
	log_level = level;
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

bool log_on(enum log_level level)
{
	return level <= log_level;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char line[LOG_LINE_MAX], when[TIME_TEXT_MAX];
	int saved = errno;
	va_list ap;

	if (!log_on(level))
		return;
	int head = snprintf(line, sizeof(line), "%s %s %s ", time_rfc3339_micro(time_wall_now(), when),
		names[level], log_program);
	va_start(ap, fmt);
	errno = saved; /* for %m */
	int body = vsnprintf(line + head, sizeof(line) - 1 - (size_t)head, fmt, ap);
	va_end(ap);

	size_t len = (size_t)head + (body > 0 ? (size_t)body : 0);
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	/* one line a message: whoever logs untrusted text can not forge a second line */
	for (size_t i = (size_t)head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = ' ';
	line[len++] = '\n';
	/* one write a line, so that lines of several processes do not mix; nothing to do on failure */
	ssize_t n = write(STDERR_FILENO, line, len);
	(void)n;
	errno = saved;
}
