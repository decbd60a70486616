#!/bin/sh
# Secrets come from AWS SSM as environment variables. Both exec, so signals reach supercronic.
set -eu
exec chamber exec crontab/production -- "$@"
