# shellcheck shell=sh
# The lock: who works on the host, and when a driver that waits for a dead connection may be stopped.

# open_root read|write SECONDS HOLDER ROOT: goes to the root. To write, it makes the root and takes the lock,
# waiting up to SECONDS for it. HOLDER, one line of JSON, says who holds it from then on.
open_root() {
  missing=
  for tool in tar sha256sum flock stat xargs find awk sed tr od readlink; do
    command -v $tool >/dev/null || missing="$missing $tool"
  done
  [ -z "$missing" ] || { fail tools "$missing"; return; }
  seconds=$2 holder=$3 root=$4 data=$4/.ghdeploy stage=$4/.ghdeploy/stage/$$
  prints=$data/print.lock
  ! is_unusable || { fail records "$out"; return; }
  if [ "$1" != write ]; then
    # An unreadable folder must not pass for an empty one.
    ! out=$(obstacle read) || { fail write "$out"; return; }
    cd "$root" 2>/dev/null || cd /
    return 0
  fi
  set -- "$data/manifest" "$data/pending" "$data/objects"
  if ! { [ -d "$1" ] && [ -d "$2" ] && [ -d "$3" ] && open_locks 2>/dev/null; }; then
    out=$({ (umask 022; mkdir -p -- "$root") && mkdir -p -- "$@" && open_locks; } 2>&1) ||
      { fail write "$(obstacle write || print "$out")"; return; }
  fi
  cd "$root" || { fail write "$root cannot be entered"; return; }
  exec 9>>"$data/lock"
  waited=0 last='' tries=0
  until flock -n 9; do
    # A run that has answered may still be sealing: that takes less than a second.
    if [ "$tries" -lt 20 ] && sleep 0.05 2>/dev/null; then tries=$((tries + 1)); continue; fi
    # It may be half written while it is read.
    other=$(cat "$data/lock.json" 2>/dev/null)
    case $other in *"$nl"*) other=null ;; '{'*'}') ;; *) other=null ;; esac
    [ "$other" = "$last" ] || { last=$other; event busy "\"holder\":$other"; }
    [ "$waited" -lt "$seconds" ] || { fail busy; return; }
    [ -z "$ended" ] || return 1
    # If this driver's own client has gone, the write fails and the driver stops waiting.
    event waiting 2>/dev/null || return 1
    ! is_abandoned || kill "$pid" 2>/dev/null || :
    sleep 1; waited=$((waited + 1))
  done
  locked=1
  # Another run may have changed containers after the list was begun.
  [ $((waited + tries)) = 0 ] && [ ! -e "$data/run.json" ] || early=
  print "$holder" 2>/dev/null >"$data/lock.json"
}
# obstacle read|write: says what keeps this user from reading, or from writing, what a run needs first, and
# who the user is. Fails if nothing does.
obstacle() {
  go_up "$root"
  # What lies in a closed folder seems not to be there.
  if [ "$at" != "$root" ] && [ -d "$at" ] && [ ! -x "$at" ]; then refuse "$at" 'cannot be entered'; return; fi
  # A root of someone else is fine as long as ours is ours.
  if [ "$1" = read ]; then set -- "$root" "$data"
  elif [ -d "$data" ]; then set -- "$data" "$data/manifest" "$data/pending" "$data/objects"
  else set -- "$at"
  fi
  for at do
    [ -e "$at" ] || continue
    [ -d "$at" ] || { refuse "$at" 'Not a directory'; return; }
    if [ ! -r "$at" ] || [ ! -x "$at" ] || { [ $# != 2 ] && [ ! -w "$at" ]; }; then refuse "$at"; return; fi
  done
  [ $# != 2 ] || return 1
  for at in "$data/lock" "$data/print.lock"; do
    [ ! -e "$at" ] || [ -w "$at" ] || { refuse "$at"; return; }
  done
  return 1
}
# go_up PATH: sets at to it or, if nothing is there, to the nearest folder on the way that there is.
go_up() {
  at=$1
  until [ -e "$at" ] || [ -L "$at" ] || [ -z "$at" ]; do at=${at%/*}; done
  at=${at:-/}
}
# refuse PATH [WHY]: says why, by default that it is not permitted, and whose the path is. Root may write
# everywhere but to a file system for reading.
refuse() {
  why=${2-Permission denied}
  [ $# = 2 ] || [ "$(id -u)" != 0 ] || why='Read-only file system'
  print "$1: $why" "@owner $(stat -c %U -- "$1")" "@user $(id -un 2>/dev/null || id -u)"
}
# is_unusable: whether one of our own files and folders has become something else. Sets out to which, and what
# it is. A link would lead elsewhere what is written.
is_unusable() {
  for at in "$data" "$data/manifest" "$data/pending" "$data/objects" "$data/releases" "$data/stage"; do
    [ ! -L "$at" ] || { out="$at is a link to $(readlink -- "$at")"; return; }
    [ ! -e "$at" ] || [ -d "$at" ] || { out="$at is not a folder"; return; }
  done
  for at in lock lock.json print.lock heartbeat state.json history.jsonl kept key failed.log listing folders \
    names.0 names.1 proof.0 proof.1; do
    at=$data/$at
    [ ! -L "$at" ] || { out="$at is a link to $(readlink -- "$at")"; return; }
    [ ! -e "$at" ] || [ -f "$at" ] || { out="$at is not a file"; return; }
    [ ! -e "$at" ] || [ -r "$at" ] || { out=$(refuse "$at"); return; }
  done
  set +f
  for at in "$data/manifest"/* "$data/pending"/*; do
    [ ! -L "$at" ] || { out="$at is a link to $(readlink -- "$at")"; break; }
    [ ! -e "$at" ] || [ -f "$at" ] || { out="$at is not a file"; break; }
    [ ! -e "$at" ] || [ -r "$at" ] || { out=$(refuse "$at"); break; }
    at=
  done
  set -f
  [ -n "$at" ]
}
open_locks() { printf '' >>"$data/lock" && printf '' >>"$data/print.lock"; }
# heartbeat idle|busy: notes the time at which this driver last heard from its client, and whether it works
# since.
heartbeat() { [ -z "$locked" ] || print "$$ $1" 2>/dev/null >"$data/heartbeat" || :; }
# is_abandoned: whether the driver that holds the lock has waited for its client longer than a client is ever
# silent. The network between them may have died without a word, and TCP finds out after hours. That driver,
# pid, may be stopped: it is at no step, it awaits its jobs, and its client, if it lives, sees the connection
# end. Proof that pid is the holder is its fd 9, which only the holder's can be.
is_abandoned() {
  { read -r pid at <"$data/heartbeat"; } 2>/dev/null && [ "$at" = idle ] || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  theirs=$(stat -L -c %d:%i "/proc/$pid/fd/9" 2>/dev/null) &&
    [ "$theirs" = "$(stat -L -c %d:%i "$data/lock")" ] &&
    [ -n "$(find "$data/heartbeat" -mmin +1 2>/dev/null)" ]
}
# leave: cleans up at the end, also after a run that was interrupted before. No client waits for this.
leave() {
  wait; jobs=
  [ -n "$locked" ] || { [ -z "$scratch" ] || rm -rf "$scratch"; return 0; }
  # That of an earlier run, too.
  [ ! -d "$data/stage" ] || rm -rf "$data/stage"
  [ -z "$unsealed" ] || seal
  printf '' >"$data/heartbeat"
  printf '' >"$data/lock.json"
}
