# shellcheck shell=sh
# What Compose reads beside managed files: compose files of a default name, the host's own .env, env files.
#
# Owns `key`, random bytes without which the digest of an env file shows nothing about its content. The key
# never leaves the host.

# In the order of `compose_names` in src/state/host_only.rs.
compose_names='compose.yaml
compose.yml
docker-compose.yml
docker-compose.yaml
compose.override.yml
compose.override.yaml
docker-compose.override.yml
docker-compose.override.yaml'

# host_only BYTES, followed by lines "KIND PATH-LINE" of these kinds:
#   c[INDICES]  a folder: reports the compose files in it, except the names of these indices
#   n           the name of a variable that further env files are asked for
#   s           an env file: reports "d DIGEST"; if it can be read, also "n +", "v NAME=VALUE" for each of
#               Compose's own variables in it, and of those that are asked for "f NAME" for each that it
#               defines, and "e NAME" for each that it leaves empty
#   d           an env file: reports "d DIGEST"
# DIGEST is "-" for a file that does not exist, and "+" if it cannot be read or there is no key. Before the
# first digest, "k NAME" names the key.
host_only() {
  take "$1" || return 1
  make_key
  look_at_host_only "$value" | report_named
}
# make_key: makes the key, if there is none. Only who holds the lock does.
make_key() {
  [ -z "$locked" ] || [ -s "$data/key" ] ||
    { dd if=/dev/urandom bs=32 count=1 status=none | hex >"$data/key.new" &&
      flush "$data/key.new" && mv -f "$data/key.new" "$data/key"; } 2>/dev/null || :
}
# look_at_host_only LINES: prints the events about these lines of host_only. It runs in a process of its own.
look_at_host_only() {
  key='' names=' ' IFS=$nl
  for line in $1; do
    what=${line%% *} line=${line#* }
    parse_path
    case $what in
      '') ;;
      n) names="$names$path " ;;
      c*) print_compose_files "${what#c}" "${path:+$path/}" "${name:+$name/}" ;;
      *) print_env_file "$what" ;;
    esac
  done
}
# print_compose_files INDICES FOLDER/ NAME/
print_compose_files() {
  number=0
  for entry in $compose_names; do
    case $1 in *$number*) ;; *)
      [ ! -e "$root/$2$entry" ] || { look "$2$entry" "$3$entry"; print "@compose $found"; } ;;
    esac
    number=$((number + 1))
  done
}
# print_env_file s|d: prints the events about the one at $path.
print_env_file() {
  # shellcheck disable=SC2088 # a literal tilde is meant
  case $path in '~/'*) path=${HOME-}/${path#??} ;; /*) ;; *) path=$root/$path ;; esac
  if [ ! -e "$path" ] && [ ! -L "$path" ]; then print '@env d -'; return; fi
  if [ ! -f "$path" ] || [ ! -r "$path" ]; then print '@env d +'; return; fi
  [ -n "$key" ] || name_key
  [ "$key" != - ] && value=$(digest_of "$data/key" "$path" "$data/key") || value=+
  print "@env d $value"
  [ "$1" = d ] || settings <"$path"
}
# name_key: sets key to the name of the key, and prints it; "-": there is none that can be read.
name_key() {
  key=-
  [ ! -s "$data/key" ] || [ ! -r "$data/key" ] || key=$(digest_of "$data/key")
  print "@env k $key"
}
# digest_of FILE…: the start of the digest of their content.
digest_of() { printf '%.32s\n' "$(cat -- "$@" | sha256sum)"; }
# settings < env file: an event for each assignment of one of Compose's own variables that decide what a
# project is, with the value as it is written, and one for each variable in $names. A value that goes on in
# the next line is cut off.
settings() {
  asked=$names awk '
    function end(text, mark, i, c) {
      for (i = 1; (c = substr(text, i, 1)) != ""; i++) if (c == "\\") i++; else if (c == mark) return i
      return 0
    }
    BEGIN { print "@env n +" }
    NR == 1 { sub(/^\357\273\277/, "") }
    { sub(/\r$/, "") }
    open != "" { if (end($0, open)) open = ""; next }
    {
      sub(/^[ \t]+/, ""); sub(/^export[ \t]+/, "")
      if (/^#/ || !match($0, /[=:]/)) next
      name = substr($0, 1, RSTART - 1); value = substr($0, RSTART + 1)
      sub(/[ \t]+$/, "", name); sub(/^[ \t]+/, "", value)
      mark = substr(value, 1, 1)
      if (mark != "\"" && mark != "\047") sub(/([ \t]+#.*|[ \t]+)$/, "", value)
      else if (last = end(substr(value, 2), mark)) value = substr(value, 1, last + 1)
      else { open = mark; value = mark }
      if (name ~ /^COMPOSE_(FILE|PATH_SEPARATOR|PROFILES|PROJECT_NAME)$/) print "@env v " name "=" value
      if (name != "" && index(ENVIRON["asked"], " " name " ")) {
        if (value == "" || value == "\"\"" || value == "\047\047") print "@env e " name
        else print "@env f " name
      }
    }'
}

# folders BYTES, followed by path lines: for each the folder that it leads to once links are followed; "-":
# there is none; "+": that cannot be told, because a folder above it is closed to the user.
folders() {
  take "$1" || return 1
  print "$value" | sed '/^$/d' | while IFS= read -r line; do
    parse_path
    if (cd -P -- "$path" && pwd -P) 2>/dev/null; then continue; fi
    at=$path
    while [ ! -e "$at" ]; do at=$(dirname -- "$at"); done
    if [ -d "$at" ] && [ ! -x "$at" ]; then print +; else print -; fi
  done | report output
}
