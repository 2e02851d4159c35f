# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# How every script of this tree talks: to stderr, one line per step, in colour only where somebody
# looks. Sourced, never run.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
	SAY_BOLD=$'\e[1m' SAY_RED=$'\e[31m' SAY_GREEN=$'\e[32m' SAY_DIM=$'\e[2m' SAY_OFF=$'\e[0m'
else
	SAY_BOLD='' SAY_RED='' SAY_GREEN='' SAY_DIM='' SAY_OFF=''
fi

say() { printf '%s\n' "${SAY_BOLD}==>${SAY_OFF} $*" >&2; }
note() { printf '%s\n' "    ${SAY_DIM}$*${SAY_OFF}" >&2; }
die() {
	printf '%s\n' "${SAY_RED}error:${SAY_OFF} $1" >&2
	shift
	local line
	for line in "$@"; do printf '       %s\n' "$line" >&2; done
	exit 1
}

# run_logged LOG WHAT CMD...: run CMD with its output in LOG; on a terminal show that it is alive and
# how far it is (its last line); elsewhere only begin and end. On failure show the log's end.
run_logged() {
	local log=$1 what=$2 pid rc=0 start=$SECONDS last
	shift 2
	mkdir -p "$(dirname "$log")"
	say "$what"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	if [ -t 2 ]; then
		while kill -0 "$pid" 2>/dev/null; do
			last=$(tail -n 1 "$log" 2>/dev/null | tr -cd '[:print:]' | cut -c1-80)
			printf '\r\e[K    %s%3ds %s%s' "$SAY_DIM" $((SECONDS - start)) "$last" "$SAY_OFF" >&2
			# read -t waits without a process of its own; nothing ever writes there
			read -r -t 0.3 <> <(:) || :
		done
		printf '\r\e[K' >&2
	fi
	wait "$pid" || rc=$?
	if [ "$rc" -ne 0 ]; then
		printf '%s\n' "${SAY_RED}failed${SAY_OFF} ($rc): $what; the end of $log:" >&2
		tail -n 25 "$log" >&2
		return "$rc"
	fi
	note "done in $((SECONDS - start)) s"
}
