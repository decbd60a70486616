# shellcheck shell=sh
# Docker: jobs that run beside each other and the driver, and what is read of containers.

# job COMMAND…: runs it in the background and answers when it ends. What it prints when it fails is kept.
job() { jobs=1; (keeps_output=1; run "$@") & }
# keep_output COMMAND…: keeps what the command has printed, for the people on the host. Docker and Compose
# quote values in their messages, so the client shows only what it knows to be none.
keep_output() {
  [ -n "$locked" ] || return 0
  log=$data/failed.log
  # A question about what may be missing is no failure. A registry might repeat a login.
  case "$*" in
    'pull '* | 'docker image '* | 'docker network inspect '* | 'docker volume inspect '*) return ;;
  esac
  # Beyond 256 KiB it starts anew, and of one command it gets the last lines.
  [ -z "$(find "$log" -size +512)" ] || rm -f -- "$log"
  at=$(stat -c %y "$data/heartbeat")
  {
    print "=== ${at%%.*} $*"
    print "$out" | awk '
      { l[NR % 400] = $0 }
      END { for (i = NR - 399; i <= NR; i++) if (i > 0) print l[i % 400] }'
  } >>"$log"
} 2>/dev/null
# compose DIR ARGUMENT…: docker compose in that folder. The subshell that calls it is not left.
compose() { umask 022; cd "$1" && shift && exec_compose "$@"; }
# exec_compose ARGUMENT…: becomes docker compose. `docker` starts Compose as a program of its own, after it
# has asked it what it is. Started at once, it takes a third of the time.
exec_compose() {
  find_compose
  [ -n "$plugin" ] || exec docker compose "$@"
  # From this variable, Compose knows that it stands for `docker compose`.
  DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND=docker exec "$plugin" compose "$@"
}
# find_compose: sets plugin to the program that `docker compose` starts, found as the Docker CLI does it
# (https://github.com/docker/cli/blob/master/cli-plugins/manager/manager.go). It is empty if `docker` may do
# something else as well, because it is a script, or a link to a program of another name.
find_compose() {
  plugin=
  docker=$(command -v docker) && [ -r "$docker" ] || return 0
  [ ! -L "$docker" ] || case $(readlink -f "$docker") in */docker) ;; *) return 0 ;; esac
  IFS= read -r head <"$docker" || :
  case $head in ?ELF*) ;; *) return 0 ;; esac
  config=${DOCKER_CONFIG:-${HOME-}/.docker}
  [ ! -e "$config/config.json" ] || ! grep -q cliPluginsExtraDirs "$config/config.json" || return 0
  for dir in "$config" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
    [ -e "$dir/cli-plugins/docker-compose" ] || continue
    [ ! -x "$dir/cli-plugins/docker-compose" ] || plugin=$dir/cli-plugins/docker-compose
    return 0
  done
}
# pull IMAGE PLATFORM: pulls an image, for the host's own platform if PLATFORM is "-". The first line of value
# is a config.json that names a credential helper, the second what that answers. Only this `docker pull` and
# the helper have it, in their environment, which no compose file sees.
pull() {
  config=$stage/pull.$id
  mkdir -p -- "$config" && cd "$config" || return 1
  set +f
  # Contexts and certificates stay the user's.
  ln -s -- "${DOCKER_CONFIG:-${HOME-}/.docker}"/* . 2>/dev/null; rm -f config.json
  print "${value%%"$nl"*}" >config.json
  print '#!/bin/sh' "exec awk 'BEGIN { print ENVIRON[\"GHDEPLOY_LOGIN\"] }'" >docker-credential-ghdeploy
  chmod 700 docker-credential-ghdeploy
  [ -x docker-credential-ghdeploy ] || { print noexec; return 1; }
  context=$(docker context inspect --format '{{.Name}}' 2>/dev/null)
  case $2 in -) set -- "$1" ;; *) set -- --platform "$2" "$1" ;; esac
  PATH=$config:$PATH DOCKER_CONFIG=$config DOCKER_CONTEXT=$context GHDEPLOY_LOGIN=${value#*"$nl"} \
    docker pull --quiet "$@"
  rc=$?
  rm -rf "$config"
  return $rc
}
# externals DIR KIND/KEY… - KIND/NAME…: those of the external networks and volumes before the dash that do not
# exist. Those of the names after it count as existing. The names may be values of .env, and are not printed.
externals() {
  dir=$1 asked=; shift
  while [ "$1" != - ]; do asked="$asked$1$nl"; shift; done
  shift
  # The values of all variables are in it.
  config=$(compose "$dir" --ansi never config --format json 2>/dev/null) || return 1
  print "$asked" | while IFS= read -r one; do
    [ -n "$one" ] || continue
    kind=${one%%/*}
    # As Compose prints it: two blanks for each level.
    name=$(print "$config" | awk -v kind="${kind}s" -v key="${one#*/}" '
      /^  "/ { inside = $0 == "  \"" kind "\": {"; own = 0; next }
      inside && /^    "/ { own = index($0, "    \"" key "\": {") == 1; next }
      own && /^      "name": "/ { sub(/^      "name": "/, ""); sub(/",?$/, ""); print; exit }')
    [ -n "$name" ] || continue
    for made in "$@"; do [ "$made" != "$kind/$name" ] || continue 2; done
    out=$(docker "$kind" inspect --format . "$name" 2>&1 </dev/null) && continue
    case $out in *[Nn]'o such '* | *'not found'*) print "$one" ;; esac
  done
}
# hook DIR SECONDS CONTAINER ARGUMENT…: the same for at most SECONDS, even if no client waits for it.
# CONTAINER, which it makes, is removed if it is left over, before the start and after a timeout; "-" stands
# for none. "@" stands for a command on the host, in a session of its own: what it leaves there would hold
# the lock.
hook() {
  dir=$1 seconds=$2 container=$3; shift 3
  rm -f "$data/timeout.$$.$id"
  drop "$container"
  own=
  [ "$container" != @ ] || own=$(command -v setsid)
  (
    umask 022
    cd "$dir" || exit
    [ "$container" = @ ] || exec_compose "$@"
    # shellcheck disable=SC2086 # the name of a program, or nothing
    exec $own "$@"
  ) & child=$!
  # The timer does not hold the lock, which would stay for another second. It touches only what is this
  # driver's alone: a mark with its own name, and the process that it has started.
  (
    while [ "$seconds" -gt 0 ] && kill -0 "$child"; do sleep 1; seconds=$((seconds - 1)); done
    kill -0 "$child" || exit
    : >"$data/timeout.$$.$id"
    # Docker before version 25 awaits its plugin whatever signal it gets
    # (https://github.com/docker/cli/issues/4402), and leaves it behind when it is killed alone.
    # shellcheck disable=SC2046 # a list of ids
    kill -9 $(family "$child")
  ) >/dev/null 2>&1 9>&- &
  wait "$child" 2>/dev/null; rc=$?
  # shellcheck disable=SC2046 # a list of ids
  [ -z "$own" ] || kill -9 $(family "$child" | sed 1d) 2>/dev/null
  [ ! -e "$data/timeout.$$.$id" ] || drop "$container"
  return $rc
}
# family PID: it, its session, its children, their children and so on, each before those that it has started.
family() {
  set +f
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v pid="$1" '
    { own = $1; sub(/.*\) [^ ]* /, ""); parent[own] = $1; if ($3 == pid && own != pid) s[own] }
    END {
      all[pid]; print pid
      for (p in s) { all[p]; print p }
      do {
        more = 0
        for (p in parent) if (!(p in all) && (parent[p] in all)) { all[p]; print p; more = 1 }
      } while (more)
    }'
}
# drop CONTAINER: removes it if it was made by `docker compose run`, and no other container of that name.
drop() {
  case $1 in [-@]) return ;; esac
  [ "$(inspect "{{index .Config.Labels \"$label.oneoff\"}}" "$1" 2>/dev/null)" != True ] ||
    docker rm -f "$1" >/dev/null 2>&1 || :
}
# inspect FORMAT CONTAINER…
inspect() { docker inspect --type container --format "$@"; }
# remove_service PROJECT SERVICE: stops and removes its containers. Volumes stay.
remove_service() {
  ids=$(docker ps -aq --filter "label=$label.project=$1" --filter "label=$label.service=$2") || return 1
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || { docker stop $ids && docker rm $ids; } >/dev/null
}
# listed_containers: the list. One that was begun before this driver is as good, unless something may have
# changed since then.
listed_containers() { if [ -n "$early" ]; then cat <&4; else list_containers; fi; }
# report_containers STATUS LIST: reports $named and what list_containers has printed. Of the containers of
# this root that have ended, and of those without a network of their own, also "ID POLICY RETRIES RESTARTS
# NETWORK PID IPC ERROR".
report_containers() {
  if [ "$1" = 0 ]; then
    print "$named" "$2" | report_named
    case $2 in *"$nl@other "*) report_inspected "$2" ;; esac
  else
    print "$named" | report_named
    output "${2#"$nl"}"
  fi
  event docker "\"rc\":$1"
}
report_inspected() { # LIST
  # A container that Docker failed to start has no exit status 0. Those of other folders do not matter.
  ids=$(print "$1" | sed -n 's/^@other //p' | at="${root%/}/" real="$(pwd -P)/" awk -F '\t' '
    NF > 11 && (index($12 "/", ENVIRON["at"]) == 1 || index($12 "/", ENVIRON["real"]) == 1) &&
      ($7 ~ /^(running|paused|restarting)$/ ? $11 == "" : $8 !~ /^Exited \(0\)/) { print $1 }')
  [ -n "$ids" ] || return 0
  format='{{.Id}}	{{with .HostConfig}}{{.RestartPolicy.Name}}	{{.RestartPolicy.MaximumRetryCount}}'
  format=$format'	{{$.RestartCount}}	{{.NetworkMode}}	{{.PidMode}}	{{.IpcMode}}{{end}}'
  format=$format'	{{.State.Error}}'
  # shellcheck disable=SC2086 # a list of ids
  out=$(within 15 inspect "$format" $ids 2>/dev/null </dev/null)
  [ -z "$out" ] || print "$out" | report inspected
}
# tell_containers [ID…]: reports these containers, or those of all projects. The engine may fail on one that
# somebody removes at the same time, Podman also on those of others; then those that are there are listed.
tell_containers() {
  tries=0
  until out=$(containers "$@" 2>&1 </dev/null); do
    [ "$tries" -lt 3 ] || { output "$out"; return 1; }
    tries=$((tries + 1))
    sleep 1
    set --
  done
  [ -z "$out" ] || emit "$out"
}
# containers [ID…]: prints an event for each of these containers, or of any project, without its environment,
# or else what went wrong. A container that vanishes meanwhile is left out.
containers() {
  ids=$*
  [ -n "$ids" ] || ids=$(docker ps -aq --no-trunc --filter "label=$label.project") || return 1
  [ -n "$ids" ] || return 0
  format='{"id":'$id',"event":"container","container":{"health":'
  format=$format'{{with .State.Health}}{{json .Status}}{{else}}null{{end}}'
  # Only numbers: a test may hold a secret.
  # shellcheck disable=SC2016 # a variable of Docker's template
  format=$format',"probe":{{with .State.Health}}{{$last := "null"}}{{range .Log}}'
  # shellcheck disable=SC2016 # the same
  format=$format'{{$last = .ExitCode}}{{end}}{{$last}}{{else}}null{{end}}'
  format=$format',"healthcheck":{{with .Config.Healthcheck}}{"interval":{{json .Interval}},"timeout":'
  format=$format'{{json .Timeout}},"start_period":{{json .StartPeriod}},"retries":{{json .Retries}}}'
  format=$format'{{else}}null{{end}}'
  for field in id:ID name:Name image:Image image_name:Config.Image state:State.Status \
    exit_code:State.ExitCode restarts:RestartCount created:Created started:State.StartedAt \
    stop_timeout:Config.StopTimeout restart_policy:HostConfig.RestartPolicy.Name; do
    format=$format',"'${field%:*}'":{{json .'${field#*:}'}}'
  done
  for field in project:project service:service oneoff:oneoff replaces:replace; do
    format=$format',"'${field%:*}'":{{with index .Config.Labels "'$label.${field#*:}'"}}{{json .}}'
    format=$format'{{else}}""{{end}}'
  done
  # shellcheck disable=SC2086 # a list of ids
  out=$(inspect "$format}}" $ids 2>&1) && { print "$out"; return; }
  ! print "$out" | grep -v -e '^{' -e '^$' -e 'No such container' || return 1
  print "$out" | sed -n '/^{/p'
}
