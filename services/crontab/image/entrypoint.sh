#!/bin/sh
# Loads the secrets from AWS SSM as environment variables. Both commands exec, so signals reach supercronic.
set -eu
exec chamber exec crontab/production -- "$@"
