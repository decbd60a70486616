# shellcheck shell=sh
# How docker reaches its engine, by Docker's own rules and without a call of it, one per line: "KEY VALUE".
# https://docs.docker.com/engine/manage-resources/contexts/
# one_line FILE: its content in one line, if there is such a file.
one_line() { [ ! -s "$1" ] || tr '\n' ' ' <"$1"; }
config=${DOCKER_CONFIG:-${HOME-}/.docker} at=${DOCKER_HOST-} name=
if [ -n "$at" ]; then print 'by DOCKER_HOST'
else
  name=${DOCKER_CONTEXT-}
  [ -n "$name" ] ||
    name=$(one_line "$config/config.json" | sed -n 's/.*"currentContext" *: *"\([^"]*\)".*/\1/p')
  case $name in
    '' | default) at=unix:///var/run/docker.sock ;;
    *)
      print "context $name"
      # Its description is in a folder that is called by the digest of its name.
      at=$(printf %s "$name" | sha256sum)
      at=$(one_line "$config/contexts/meta/${at%% *}/meta.json" |
        sed -n 's/.*"docker" *: *{[^}]*"Host" *: *"\([^"]*\)".*/\1/p') ;;
  esac
fi
print "address $at" "machine $(cat /proc/sys/kernel/hostname)"
