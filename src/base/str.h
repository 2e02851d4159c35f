/* SPDX-License-Identifier: Apache-2.0 */
/* base/str.h - text: a growable buffer and the few string helpers libc lacks. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise, then add. data is NUL-terminated whenever it is not NULL; len does not count the NUL. */
struct str {
	char *data;
	size_t len, cap;
};
void str_done(struct str *s); /* frees and zeroes; usable with CLEANUP(str_done) */
void str_clear(struct str *s);
void str_reserve(struct str *s, size_t extra);
void str_add(struct str *s, const char *text);
void str_addn(struct str *s, const char *text, size_t n);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_addv(struct str *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void str_drop_front(struct str *s, size_t n);
/* Moves the text out ("" if nothing was added); the caller frees. */
char *str_take(struct str *s);
const char *str_cstr(const struct str *s); /* "" if empty */

char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

bool str_eq(const char *a, const char *b); /* both NULL is equal, one NULL is not */
bool str_empty(const char *s);             /* NULL or "" */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
bool str_in(const char *s, const char *const *list); /* list ends with NULL */
/* Whole-string decimal parse; false on anything else, on overflow, or outside [min, max]. */
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
bool str_to_u64(const char *s, uint64_t *ret);
/* Splits off the part before `sep` and moves *rest behind it (NULL when it was the last). Writes a NUL into the text. */
char *str_next(char **rest, char sep);
/* copies at most cap-1 bytes, always terminates; true if it all fitted */
bool str_copy(char *to, size_t cap, const char *from);
char *str_lower(const char *s); /* ASCII; caller frees */
int str_hex(int c);             /* the value of a hexadecimal digit; -1: it is none */

/* A list of owned strings. Zero-initialise. */
struct strv {
	char **items;
	size_t len, cap;
};
void strv_done(struct strv *v);
void strv_add(struct strv *v, const char *s);
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_take(struct strv *v, char *s); /* v owns s from now on */
bool strv_has(const struct strv *v, const char *s);
void strv_sort(struct strv *v);
/* items followed by a NULL, for exec; borrowed until the next add */
char **strv_argv(struct strv *v);
char *strv_join(const struct strv *v, const char *sep); /* caller frees */
