/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/launcher/console.h - the serial console, shared by several clients.
 *
 * QEMU's socket takes one client; the launcher is it, and stays connected whether or not somebody looks (qemu.md 3.9;
 * what nobody sees is in console.log, written by QEMU). Output goes to all clients. A client that does not keep up
 * first slows the guest's output down, and is dropped when it took nothing for CONSOLE_STUCK_MS. A new interactive
 * client ends the earlier ones (KubeVirt), unless it asks to share. */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#define CONSOLE_HIGH (64 * 1024) /* unsent bytes of one client at which reading from the guest stops */
#define CONSOLE_STUCK_MS 5000
#define CONSOLE_INPUT_MAX (16 * 1024) /* unsent input at which reading from clients stops */
#define CONSOLE_CLIENTS_MAX 32

enum console_mode { CONSOLE_TAKEOVER, CONSOLE_SHARED, CONSOLE_LISTEN };
bool console_mode_parse(const char *text, enum console_mode *ret); /* NULL: takeover */

struct console;
struct console *console_new(struct loop *l);
void console_free(struct console *c);
/* fd: connected to QEMU's console socket, taken. Clients may be there before and stay after it ends. */
void console_attach(struct console *c, int fd);
/* fd taken. first: input that came before, may be NULL. */
void console_add(struct console *c, int fd, enum console_mode mode, const struct str *first);
size_t console_clients(const struct console *c);
void console_hang_up(struct console *c); /* what is unsent still goes out as far as sockets take it */
