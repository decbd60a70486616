# shellcheck shell=sh
# Events: the only part that prints to the client.

# print TEXT…: prints each on a line of its own.
print() { printf '%s\n' "$@"; }
# mksh has no printf of its own, and a program takes no long argument.
[ -z "${KSH_VERSION-}" ] ||
  case $(command -v printf) in /*) print() { for text; do command print -r -- "$text"; done; } ;; esac
# alone COMMAND…: runs it while no job prints. Only short writes to a pipe stay in one piece by themselves, so
# once there are jobs, everyone prints under a lock.
alone() { if [ -n "$jobs" ]; then { flock 8; "$@"; } 8>>"$prints"; else "$@"; fi; }
# emit LINES: prints whole events.
emit() { alone print "$1" || print "$1"; }
# event NAME [FIELDS]: prints one event; FIELDS is the inside of a JSON object.
event() { emit "{\"id\":$id,\"event\":\"$1\"${2:+,$2}}"; }
# answer STATUS: the command is done.
answer() { status=$1; event "done" "\"rc\":$1"; }
# fail KIND [TEXT]: reports a foreseen failure of the host, and fails.
fail() { event failure "\"kind\":\"$1\""; output "${2-}"; return 1; }
# report EVENT < lines: prints an event with a text for each line, whatever bytes are in it. The last line
# must end, too.
report() { alone text "$1"; }
text() {
  tr -d '\000-\010\013-\037\177' |
    sed 's/\\/\\\\/g; s/"/\\"/g; s/	/\\t/g; s/^/{"id":'"$id"',"event":"'"$1"'","text":"/; s/$/"}/'
}
# report_named < lines "@EVENT TEXT" without NUL: the same for events of several names. Other lines are left
# out.
report_named() { alone named; }
named() {
  sed -n 's/\\/\\\\/g; s/"/\\"/g; s/	/\\t/g; s/[[:cntrl:]]//g
    s/^@\([a-z]*\) \(.*\)$/{"id":'"$id"',"event":"\1","text":"\2"}/p'
}
# output TEXT: reports the output of tools, unless there is none.
output() { [ -z "$1" ] || print "$1" | report output; }
# run COMMAND…: runs it without stdin, reports its output and answers with its status.
run() {
  out=$("$@" 2>&1 </dev/null); rc=$?
  # A command may end with any status, so none of them can mean that a hook timed out.
  [ "$1" != hook ] || [ ! -e "$data/timeout.$$.$id" ] || { rm -f "$data/timeout.$$.$id"; rc=-1; }
  [ -z "$keeps_output" ] || [ $rc = 0 ] || alone keep_output "$@"
  output "$out"
  # shellcheck disable=SC2086 # a list of ids
  case $rc$looks in 0-) tell_containers ;; 0?*) tell_containers $looks ;; esac || :
  answer $rc
}
