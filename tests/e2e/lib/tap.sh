# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Test results as TAP on stdout. A check that fails is counted and the script goes on; need() is for
# what the rest cannot do without.
#
#   t_ok NAME CMD...        passes when CMD does; its output is shown as comments when not
#   t_is NAME GOT WANT      passes when both are the same text
#   t_need NAME CMD...      as t_ok, but a failure ends the script (cleaning up by its traps)
#   t_end                   the plan; exit status of the script

T_COUNT=0 T_FAILED=0

t_result() {
	T_COUNT=$((T_COUNT + 1))
	if [ "$1" -eq 0 ]; then
		printf 'ok %d - %s\n' "$T_COUNT" "$2"
	else
		T_FAILED=$((T_FAILED + 1))
		printf 'not ok %d - %s\n' "$T_COUNT" "$2"
	fi
}

t_ok() {
	local name=$1 out rc=0
	shift
	# In this very shell, so that CMD may set variables; hence a file and not a substitution
	out=$(mktemp)
	"$@" >"$out" 2>&1 || rc=$?
	t_result "$rc" "$name"
	[ "$rc" -eq 0 ] || sed 's/^/# /' "$out"
	rm -f "$out"
	return 0
}

t_is() {
	local rc=0
	[ "$2" = "$3" ] || rc=1
	t_result "$rc" "$1"
	[ "$rc" -eq 0 ] || printf '# got:  %s\n# want: %s\n' "${2//$'\n'/$'\n'#       }" "${3//$'\n'/$'\n'#       }"
	return 0
}

t_need() {
	local before=$T_FAILED
	t_ok "$@"
	[ "$T_FAILED" -eq "$before" ] || t_end
}

t_end() {
	printf '1..%d\n' "$T_COUNT"
	[ "$T_FAILED" -eq 0 ]
	exit
}
