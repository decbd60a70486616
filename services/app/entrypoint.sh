#!/bin/sh
# Secrets come from AWS SSM, decrypted by KMS, as environment variables of this process alone: they are
# neither in the image nor in `docker inspect`. The command takes this process over, so signals reach it.
set -eu
exec chamber exec app/production -- "$@"
