/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.h - logging to stderr, one line a message: time level program message key=value...
 * A library function either returns an error or logs, never both. The only process-wide state of the code base:
 * level and program name, set once by main() before anything else runs. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
bool log_on(enum log_level level);
void log_at(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_on(LOG_DEBUG) ? log_at(LOG_DEBUG, __VA_ARGS__) : (void)0)
