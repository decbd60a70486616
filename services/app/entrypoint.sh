#!/bin/sh
# Loads the secrets from AWS SSM, decrypted by KMS, as environment variables of this process alone: they are
# neither in the image nor in `docker inspect`. The command replaces this process, so signals reach it.
set -eu
exec chamber exec app/production -- "$@"
