/* SPDX-License-Identifier: Apache-2.0 */
/* base/time.h - times as text. All times are milliseconds since 1970, UTC; the clock itself is base/loop.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TIME_TEXT_MAX 48 /* whatever the numbers are */
/* "2026-01-02T03:04:05Z": metav1.Time */
char *time_rfc3339(int64_t ms, char buf[TIME_TEXT_MAX]);
/* "2026-01-02T03:04:05.678000Z": metav1.MicroTime */
char *time_rfc3339_micro(int64_t ms, char buf[TIME_TEXT_MAX]);
/* Any RFC 3339 time, fraction and offset included. */
bool time_parse(const char *text, int64_t *ret_ms);
/* Age as kubectl prints it: 75s, 4m25s, 3h2m, 5d (kubernetes-api.md 2.8). */
char *time_age(int64_t ms, char buf[TIME_TEXT_MAX]);
/* Go durations: "1m30s", "168h", "1.5h", "100ms". */
bool time_parse_duration(const char *text, int64_t *ret_ms);
/* For programs without a loop (command lines): the real clocks. */
int64_t time_wall_now(void);
int64_t time_mono_now(void);
int64_t time_mono_us(void); /* the same clock, finer: to measure how long something took */
