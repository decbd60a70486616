#!/bin/sh
# Runs ghdeploy with the inputs of the action. They come from the environment and are never part of a script: no
# shell reads them, and nothing splits them into words.
#
# The private key goes to stdin, so that it is in the environment of no process that ghdeploy starts.
#
# `none`, the default of the inputs for secrets, says that they were not given. One that was given and is empty is passed
# on as it is, and ghdeploy reports it: the secret does not exist, or GitHub withholds it from this run.
set -eu

refuse() {
  echo "::error::$1"
  echo "result=invalid" >>"$GITHUB_OUTPUT"
  exit 2
}

# option NAME VARIABLE COMMAND…: passes the input NAME on, which only these commands have an option for. ghdeploy
# ignores the variables of other commands' options, and nobody would notice that `push` did nothing.
option() {
  name=$1 variable=$2
  shift 2
  eval "value=\${INPUT_$variable:-}"
  [ -n "$value" ] || return 0
  case " $* " in
    *" $COMMAND "*) export "GHDEPLOY_$variable=$value" ;;
    *) [ "$value" = false ] || refuse "the input \`$name\` has no effect on this command, only on: $*" ;;
  esac
}
option check CHECK gate build
option junit JUNIT gate build
option needs NEEDS gate build
option base BASE plan comment gate build
option push PUSH build
option prune PRUNE sync
option force FORCE sync

# mksh has no printf of its own, and the arguments of a program are visible to every user.
put() { printf '%s\n' "$1"; }
case $(command -v printf) in /*) put() { print -r -- "$1"; } ;; esac

is_blank() {
  case $1 in *[![:space:]]*) return 1 ;; esac
}
case ${KNOWN_HOSTS-none} in
  none) ;;
  *)
    if ! is_blank "$KNOWN_HOSTS"; then GHDEPLOY_KNOWN_HOSTS=$KNOWN_HOSTS; fi
    export "GHDEPLOY_KNOWN_HOSTS=${GHDEPLOY_KNOWN_HOSTS:-}" ;;
esac

if [ "${SSH_KEY-none}" = none ]; then
  exec </dev/null
elif ! is_blank "$SSH_KEY"; then
  # Through a named pipe, whose content is on no disk. A here-document is a temporary file in mksh and older bash.
  # A pipeline would leave this shell between the runner and ghdeploy, and it passes no signal on.
  if pipe=$(mktemp -d "${RUNNER_TEMP:-/tmp}/ghdeploy.XXXXXX" 2>/dev/null) && mkfifo -m 600 "$pipe/key" 2>/dev/null; then
    put "$SSH_KEY" >"$pipe/key" &
    exec <"$pipe/key"
    rm -rf "$pipe"
    GHDEPLOY_SSH_KEY=-
  else # where there are no named pipes
    rm -rf "$pipe"
    exec </dev/null
    GHDEPLOY_SSH_KEY=$SSH_KEY
  fi
  export GHDEPLOY_SSH_KEY
else
  exec </dev/null
  export "GHDEPLOY_SSH_KEY=${GHDEPLOY_SSH_KEY:-}"
fi
unset SSH_KEY KNOWN_HOSTS INPUT_SSH_KEY INPUT_GITHUB_TOKEN

# Replaces this shell, so that the signal of a cancelled run reaches ghdeploy directly.
exec "$BINARY" "$COMMAND"
