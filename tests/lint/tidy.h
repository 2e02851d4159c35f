/* SPDX-License-Identifier: Apache-2.0 */
/* Put in front of every file that clang-tidy looks at: what it can not know, as it sees one file at a time. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* They all return -1. */
#define err_set(...) (err_set(__VA_ARGS__), -1)
#define err_sys(...) (err_sys(__VA_ARGS__), -1)
#define err_wrap(...) (err_wrap(__VA_ARGS__), -1)
/* What is not empty is not NULL. */
#define str_empty(s) (!(s) || str_empty(s))
