#!/bin/sh
# Runs ghdeploy with what the inputs of the action say; they come by the environment, never as a part of a script.
# The private key goes to its stdin: so it is in the environment of no process that ghdeploy starts.
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

# In the place of this shell, so that a cancelled run reaches it at once.
exec "$BINARY" "$COMMAND"
