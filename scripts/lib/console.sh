# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# Talking to a guest's serial console like a person would, through any command that joins its stdin
# and stdout to it (virtctl console, socat). One console at a time. Sourced after say.sh.
#
#   console_open CMD...          start it
#   console_expect WHAT SECONDS  wait until the console has said WHAT (a fixed string); what was read
#                                is left in CONSOLE_SEEN. 1 when time is up or the console is gone.
#   console_send TEXT            type TEXT (no newline is added)
#   console_login SECONDS        from whatever is on the screen to a root shell
#   console_run CMD              run CMD in that shell; its output in CONSOLE_OUT, status returned
#   console_close

CONSOLE_PID='' CONSOLE_IN='' CONSOLE_OUTFD='' CONSOLE_SEEN='' CONSOLE_OUT=''

console_open() {
	CONSOLE_SEEN=''
	coproc CONPROC { exec "$@" 2>&1; }
	# Copies: bash drops the coprocess's own variables and descriptors as soon as it ends
	CONSOLE_PID=$CONPROC_PID
	exec {CONSOLE_OUTFD}<&"${CONPROC[0]}" {CONSOLE_IN}>&"${CONPROC[1]}"
}

# In a shell of its own: a console that has gone must not take the script with it
console_send() { (trap '' PIPE && printf '%s' "$1" >&"$CONSOLE_IN") 2>/dev/null; }

console_expect() {
	local what=$1 until=$((SECONDS + $2)) chunk rc
	CONSOLE_SEEN=''
	while :; do
		chunk='' rc=0
		# Byte by byte would do, but a pipe that is quiet for 50 ms has said what it had to say
		IFS= read -r -d '' -n 4096 -t 0.05 chunk <&"$CONSOLE_OUTFD" || rc=$?
		CONSOLE_SEEN+=$chunk
		[[ $CONSOLE_SEEN == *"$what"* ]] && return 0
		[ "$rc" -eq 0 ] || [ "$rc" -gt 128 ] || return 1
		[ $SECONDS -lt "$until" ] || return 1
	done
}

# The prompt is made to differ from everything the echo of its own command could show
console_login() {
	local seconds=$1 try
	for ((try = 0; try < seconds; try += 2)); do
		console_send $'\n'
		if console_expect 'login: ' 2; then
			console_send $'root\n'
			console_expect '# ' 10 || continue
		elif [[ $CONSOLE_SEEN != *'# '* ]]; then
			continue
		fi
		console_run true && return 0
	done
	return 1
}

console_run() {
	local turn mark out status
	turn=${EPOCHREALTIME//[!0-9]/}
	mark="mark$turn."
	# mark and its number meet only in the output, never in the echo of what was typed
	console_send "echo; echo ma''rk$turn.begin; $1; echo ma''rk$turn.end=\$?."$'\n'
	console_expect "${mark}end=" 20 || return 255
	out=${CONSOLE_SEEN#*"${mark}begin"}
	status=${out##*"${mark}end="}
	if [[ $status != *.* ]]; then
		console_expect . 5 || return 255
		status+=$CONSOLE_SEEN
	fi
	out=${out%%"${mark}end="*}
	out=${out//$'\r'/}
	out=${out#$'\n'}
	CONSOLE_OUT=${out%$'\n'}
	return "${status%%.*}"
}

console_close() {
	[ -n "$CONSOLE_IN" ] || return 0
	exec {CONSOLE_IN}>&- {CONSOLE_OUTFD}<&-
	kill "$CONSOLE_PID" 2>/dev/null || :
	wait "$CONSOLE_PID" 2>/dev/null || :
	CONSOLE_IN='' CONSOLE_OUTFD='' CONSOLE_PID=''
}
