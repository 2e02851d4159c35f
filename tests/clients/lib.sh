# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What tests/clients/run and tests/clients/suites share. Sourced; needs $TOP. Makes $WORK, which goes when the shell ends, as
# the servers started here do.

CORACLE=${CORACLE_BIN:-$TOP/build/bin}/coracle
GO_SERIES=go1.25.14 # what go.mod asks for, where the go found is older; see docs/decisions/0012

WORK=$(mktemp -d "${TMPDIR:-/tmp}/coracle-clients.XXXXXX")
SERVERS=()
stop_servers() {
	local pid
	for pid in "${SERVERS[@]}"; do kill "$pid" 2>/dev/null; done
	for pid in "${SERVERS[@]}"; do wait "$pid" 2>/dev/null; done
	SERVERS=()
}
stop_all() {
	stop_servers
	rm -rf "$WORK"
}
trap stop_all EXIT
trap 'exit 1' INT TERM

result() { printf '%s - %s\n' "$1" "$2"; }
comment() { sed 's/^/# /' "$1" | tail -n "${2:-40}"; }

# start_server NAME [OPTION]...: the kubeconfig of a server of its own is then $WORK/NAME/kubeconfig
start_server() {
	local name=$1 i
	shift
	mkdir -p "$WORK/$name"
	rm -f "$WORK/$name.log" # of the one before, which says that it answers
	"$CORACLE" server --data-dir "$WORK/$name" --port 0 "$@" >"$WORK/$name.log" 2>&1 &
	SERVERS+=($!)
	for ((i = 0; i < 300; i++)); do
		! grep -q 'API server answers' "$WORK/$name.log" || return 0
		kill -0 "${SERVERS[-1]}" 2>/dev/null || break
		sleep 0.1
	done
	result 'not ok' "the server '$name' starts"
	comment "$WORK/$name.log"
	return 1
}

# Any go that can fetch another release of itself will do; else the one that setup unpacked
# shellcheck disable=SC2034 # GO is for who sources this
find_go() {
	local go
	for go in "$(command -v go)" "$TOP/build/tools/go-1.24/bin/go"; do
		[ -x "$go" ] || continue
		case $("$go" env GOVERSION 2>/dev/null) in
		go1.2[5-9]* | go1.[3-9][0-9]*) GO=$go ;;
		go1.2[1-4]*) GO=$go && export GOTOOLCHAIN=$GO_SERIES ;;
		*) continue ;;
		esac
		return 0
	done
	echo "no go of 1.21 or later, neither in PATH nor in build/tools; run: scripts/setup test"
	return 1
}
