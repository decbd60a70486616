#!/bin/sh
# Restores a dump made by ../crontab/jobs/backup-postgres into the database `app`, all or nothing:
#
#   ./restore.sh app-2026-01-31T033000Z.dump
#
# No service reads this file, so ghdeploy syncs it and restarts nothing.
set -eu

dump=${1:?usage: restore.sh DUMP}
case $dump in
    /*) ;;
    *) dump=$PWD/$dump ;;
esac
cd "$(dirname "$0")"

docker compose exec -T postgres \
    pg_restore --username=postgres --dbname=app --clean --if-exists --single-transaction --exit-on-error <"$dump"
