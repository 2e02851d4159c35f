/* SPDX-License-Identifier: Apache-2.0 */
/* kubevirt/wire/wire.h - what virt-handler and virt-launcher say to each other.
 *
 * One JSON object per line over launcher.sock (mode 0600, in the VM's directory, mode 0700, uid 107). Requests carry
 * an id of the client's choice, and say with "files" how many descriptors come with their first byte; replies may come
 * in another order; events come in between. Every connection is equal:
 * the handler, a test and a console may be connected at the same time.
 *
 * -> {"id":1,"verb":"hello"}
 * <- {"id":1,"ok":STATE}            this connection gets events from now on
 * -> {"id":2,"verb":"start","args":{"vmi":VMI,"host":HOST}}
 * <- {"id":2,"ok":{"phase":"Preparing"}}
 *                                   accepted; the rest comes as state events. Repeating it for the same metadata.uid is
 *                                   ok and changes nothing (handler restart). INVALID: a field that can not be served
 * <- {"event":"state","data":STATE} after every change, coalesced per turn; always the whole state
 * -> {"id":3,"verb":"set-memory","args":{"bytes":2147483648}}
 *                                   wanted guest memory in total, boot memory included. "max": the maximum from now on,
 *                                   where room for more than that at start was reserved (ANN_MEMORY_ROOM)
 * <- {"id":3,"ok":{"requested":2147483648,"current":2147483648,"complete":true}}
 *                                   when reached; or after 30 s with what was reached and "complete":false
 * <- {"id":3,"error":{"code":"INVALID","message":"..."}}
 *                                   refused before QEMU was asked. CONFLICT: a newer set-memory took over, or the phase
 *                                   does not allow it. UNAVAILABLE: the guest went away. code: err_name()
 * -> {"id":11,"verb":"plug-nic","files":1,"args":{"interface":INTERFACE,"network":NETWORK,"mac":"02:.."}}
 *                                   of the VMI's spec; with the request comes the descriptor of a tap device (SCM_RIGHTS).
 *                                   ok when QEMU has the card; also when it had it already
 * -> {"id":12,"verb":"unplug-nic","args":{"name":"extra"}}
 *                                   ok when the guest has let go and the tap is closed, or there is no such card. TIMEOUT
 *                                   after 30 s: the guest may still let go later, a state event tells. CONFLICT: not booted
 * -> {"id":13,"verb":"set-link","args":{"name":"extra","state":"down"}}       or "up"
 * -> {"id":14,"verb":"offer-disk","files":1,"args":{"id":"hp-volume-1f.."}}
 *                                   by an attachment pod: the open disk of a volume that is to be plugged
 *                                   (SCM_RIGHTS). Kept, shown in STATE "volumes". Offering it again is ok. The
 *                                   connection says nothing more and ends when the launcher has let go of the disk
 * -> {"id":15,"verb":"plug-disk","args":{"id":"hp-volume-1f..","disk":DISK}}
 *                                   of the VMI's spec. ok at once, the rest shows in STATE; repeating it changes
 *                                   nothing. A CD-ROM drive of that name, with or without a medium, gets it as its
 *                                   medium. NOT_FOUND: not offered
 * -> {"id":16,"verb":"unplug-disk","args":{"id":"hp-volume-1f.."}}
 *                                   ok at once, also for one that is not there. Waits for a guest that boots. Then
 *                                   guest, QEMU and launcher let go, and it vanishes from STATE
 * -> {"id":3,"verb":"set-cpus","args":{"sockets":2}}    "remove":1: CPUs may be taken away
 * <- {"id":3,"ok":{"sockets":2}}    the machine has them, and a guest that runs has acknowledged them or said nothing for
 *                                   3 s. Repeating it is ok and changes nothing
 * <- {"id":3,"error":...}           as set-memory; INVALID also for what the guest keeps. How many there are: STATE
 * -> {"id":4,"verb":"pause"} {"id":5,"verb":"unpause"}              idempotent
 * -> {"id":6,"verb":"shutdown","args":{"graceSeconds":30}}
 *                                   power button until the grace ends, then kill. 0: kill. Absent: the VMI's own
 * -> {"id":7,"verb":"kill"} {"id":8,"verb":"reset"}
 * -> {"id":9,"verb":"console","args":{"mode":"takeover"}}
 * <- {"id":9,"ok":{}}               from the next byte on the connection is the serial console, raw, both ways, until
 *                                   either end closes. Nothing old is replayed (it is in console.log). "takeover"
 *                                   (default) ends earlier takeover and shared consoles; "shared" joins; "listen" reads
 * -> {"id":10,"verb":"release"}     the final state was recorded: the launcher ends (exit status 0 after Succeeded, 1
 *                                   after Failed). Without it it ends after WIRE_LINGER_MS
 * -> {"id":11,"verb":"stats"}       what the guest costs by now, for metrics; nothing is measured until it is asked
 * <- {"id":11,"ok":{"vcpus":[{"id":0,"ms":1230}],"userMs":900,"systemMs":400,"resident":312475648,
 *                   "balloon":1073741824,"guestTotal":952606720,"guestAvailable":901775360}}
 *                                   ms: time each vCPU's thread has run; userMs, systemMs, resident: QEMU as a whole.
 *                                   What can not be told is left out
 * <- {"event":"guest-reboot","data":{"count":1}}
 * <- {"event":"io-error","data":{"disk":"rootdisk","nospace":true,"message":"No space left on device"}}
 * <- {"event":"guest-agent","data":{"connected":true}}
 *
 * STATE: {"protocol":1,"version":"v0.1.0","phase":"Running","reason":"","message":"","pid":7,"qemuPid":12,
 *   "name":"vm-alpine","namespace":"default","uid":"...","domain":"default_vm-alpine","machine":"pc-q35-7.2",
 *   "accelerator":"tcg",
 *   "memory":{"guestAtBoot":1073741824,"requested":1073741824,"current":1073741824,"max":4294967296,
 *             "resizing":false,"error":"","offline":0,"guestTotal":952606720,"guestAvailable":901775360},
 *   "cpus":{"sockets":1,"cores":1,"threads":1,"maxSockets":4,"changing":false,"error":"","unacknowledged":0},
 *   "guest":{"booted":true,"agent":false,"reboots":0},
 *   "interfaces":[{"name":"default","mac":"02:..","guestIP":"10.0.2.2","masquerade":true,"backend":"slirp","link":"up",
 *                "leaving":false}],
 *   "disks":[{"name":"containerdisk","target":"vda","size":33554432}],
 *   "volumes":[{"id":"hp-volume-1f..","name":"data","phase":"offered","target":"","size":1073741824,"error":""}],
 *   "startedAtMs":1767323045000}
 * memory may have "note": why there is less room than was asked for.
 * phase of a volume: offered, plugging, ready, unplugging. "error": what the last attempt came to; it is made
 * again when the error has gone, after 10 s; of unplugging, that the guest takes longer than 30 s.
 * Absent parts are unknown yet; memory is there once the guest has run. "max" equals "guestAtBoot" when no room was
 * reserved: set-memory above is then INVALID. "error": why the last set-memory failed. "offline": bytes plugged that the
 * guest's operating system does not use. "guestTotal" (MemTotal) and "guestAvailable": once the balloon driver reports.
 * reason in a final phase: GuestShutdown, Shutdown (both Succeeded); Killed, GraceExpired, GuestPanicked, QemuCrashed,
 * OutOfMemory, StartFailed, PrepareFailed (Failed; message says why). In Paused: PausedByUser, PausedIOError.
 *
 * VMI: the VirtualMachineInstance object; unknown members are ignored. HOST: facts it does not hold, all optional:
 *   {"allowEmulation":true,
 *    "accelerator":"kvm"|"tcg",                             skips the probe
 *    "machine":"pc-q35-7.2",                                else status.machine.type, else spec.domain.machine.type
 *    "maxGuestBytes":4294967296,                            room; else domain.memory.maxGuest; else none
 *    "containerDisks":{"VOLUME":"/dir or file"},            else /var/run/kubevirt/container-disks/VOLUME
 *    "disks":{"VOLUME":"/dir"},                             claims, hostDisks, files: else as kubevirt/api/handoff.h says
 *    "files":{"VOLUME":{"userdata":"text","networkdata":"text"}},   contents of Secrets named by volumes
 *    "taps":["extra"],                                      secondary networks: names, in the order of the request's "files"
 *    "macs":{"extra":"02:..."},                             their cards' addresses, else interfaces[].macAddress
 *    "network":"slirp"|"passt",                             else slirp: kubevirt/launcher/net.h
 *    "podMAC":"02:...","dns":["10.43.0.10"],"search":["default.svc.cluster.local"]}
 *
 * The latest STATE is also in state.json of the VM's directory, the final one too. */
#pragma once

#include "base/err.h"
#include "base/json.h"

#define WIRE_PROTOCOL 1
#define WIRE_LINE_MAX (1024 * 1024) /* a VMI with inline user data fits; more ends the connection */
#define WIRE_FILES_MAX 16           /* descriptors with one request */
#define WIRE_LINGER_MS 20000
#define WIRE_SOCKET "launcher.sock"
#define WIRE_STATE_FILE "state.json"

#define WIRE_PHASES(X)            \
	X(IDLE, "Idle")           \
	X(PREPARING, "Preparing") \
	X(STARTING, "Starting")   \
	X(RUNNING, "Running")     \
	X(PAUSED, "Paused")       \
	X(STOPPING, "Stopping")   \
	X(SUCCEEDED, "Succeeded") \
	X(FAILED, "Failed")

enum wire_phase {
#define X(id, name) WIRE_PHASE_##id,
	WIRE_PHASES(X)
#undef X
		WIRE_PHASE_MAX
};
const char *wire_phase_name(enum wire_phase p);
bool wire_phase_parse(const char *name, enum wire_phase *ret);

#define WIRE_IN(p) (1u << WIRE_PHASE_##p)
#define WIRE_ALWAYS ((1u << WIRE_PHASE_MAX) - 1)
#define WIRE_GUEST (WIRE_IN(RUNNING) | WIRE_IN(PAUSED)) /* a guest to talk to */
#define WIRE_FINAL (WIRE_IN(SUCCEEDED) | WIRE_IN(FAILED))
#define WIRE_QEMU (WIRE_GUEST | WIRE_IN(STARTING) | WIRE_IN(STOPPING))

/* id, on the wire, phases in which it is legal, the client's time limit in ms. Arguments: wire.c. */
#define WIRE_VERBS(V)                                   \
	V(hello, "hello", WIRE_ALWAYS, 5000)            \
	V(start, "start", WIRE_ALWAYS, 5000)            \
	V(set_memory, "set-memory", WIRE_GUEST, 40000)  \
	V(plug_nic, "plug-nic", WIRE_GUEST, 15000)      \
	V(unplug_nic, "unplug-nic", WIRE_GUEST, 40000)  \
	V(set_link, "set-link", WIRE_GUEST, 5000)       \
	V(set_cpus, "set-cpus", WIRE_GUEST, 75000)      \
	V(offer_disk, "offer-disk", WIRE_ALWAYS, 5000)  \
	V(plug_disk, "plug-disk", WIRE_GUEST, 5000)     \
	V(unplug_disk, "unplug-disk", WIRE_GUEST, 5000) \
	V(pause, "pause", WIRE_GUEST, 5000)             \
	V(unpause, "unpause", WIRE_GUEST, 5000)         \
	V(shutdown, "shutdown", WIRE_ALWAYS, 5000)      \
	V(kill, "kill", WIRE_ALWAYS, 5000)              \
	V(reset, "reset", WIRE_GUEST, 5000)             \
	V(stats, "stats", WIRE_GUEST, 2000)             \
	V(console, "console", WIRE_QEMU, 5000)          \
	V(release, "release", WIRE_FINAL, 5000)

enum wire_verb {
#define V(id, name, phases, limit) WIRE_##id,
	WIRE_VERBS(V)
#undef V
		WIRE_VERB_MAX
};

enum wire_type { WIRE_STR, WIRE_UINT, WIRE_OBJ };
struct wire_arg {
	const char *name;
	enum wire_type type;
	bool must;
};
struct wire_verb_info {
	const char *name;
	unsigned phases;
	int limit_ms;
	const struct wire_arg *args; /* ends with a NULL name */
};
extern const struct wire_verb_info wire_verbs[WIRE_VERB_MAX];

bool wire_verb_parse(const char *name, enum wire_verb *ret);
/* Is the verb legal now, are its arguments as declared? args may be NULL. BAD_REQUEST, or CONFLICT for the phase. */
int wire_check(enum wire_verb v, enum wire_phase now, const struct json *args, struct err *e);
