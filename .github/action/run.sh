#!/bin/sh
# Runs ghdeploy with the inputs of the action. They come from the environment and are never part of a script.
# The private key goes to stdin, so that it is in the environment of no process that ghdeploy starts.
set -eu

if [ -n "${SSH_KEY:-}" ]; then
  exec <<KEY
$SSH_KEY
KEY
  GHDEPLOY_SSH_KEY=-
  export GHDEPLOY_SSH_KEY
else
  exec </dev/null
fi
unset SSH_KEY INPUT_SSH_KEY INPUT_GITHUB_TOKEN

# Replaces this shell, so that the signal of a cancelled run reaches ghdeploy directly.
exec "$BINARY" "$COMMAND"
