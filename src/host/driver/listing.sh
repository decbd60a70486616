# shellcheck shell=sh
# The list of containers. It may be begun before the rest of the driver has arrived: see src/host/script.rs.

# within SECONDS COMMAND…: runs it for at most so long. A Docker Engine that is unwell may never answer.
within() {
  seconds=$1; shift
  "$@" & child=$!
  # The timer does not hold the lock.
  (sleep "$seconds" & trap 'kill $!; exit' TERM; wait $!; kill -9 "$child") >/dev/null 2>&1 9>&- & timer=$!
  wait "$child"; rc=$?
  kill "$timer" 2>/dev/null
  # The status of a process that got signal 9.
  [ $rc != 137 ] || return 124
  return $rc
}
# list_containers: prints an event for each container of any project, "ID NAME PROJECT SERVICE NUMBER ONEOFF
# STATE STATUS PORTS IMAGE NETWORKS FOLDER", separated by tabs: "@listed" for those that run in networks of
# their own, "@other" for all others. At the end comes "= STATUS": 0 if these are all containers, 124 if
# Docker did not answer in time.
list_containers() {
  label=com.docker.compose
  format='{{if and (eq .State "running") .Networks}}@listed{{else}}@other{{end}} {{.ID}}\t{{.Names}}'
  for field in project service container-number oneoff; do
    format=$format'\t{{.Label "'$label.$field'"}}'
  done
  format=$format'\t{{.State}}\t{{.Status}}\t{{.Ports}}\t{{.Image}}\t{{.Networks}}'
  format=$format'\t{{.Label "'$label.project.working_dir'"}}'
  printf '\n'
  within 15 docker ps -a --filter "label=$label.project" --format "$format" 2>&1 </dev/null
  printf '= %s\n' "$?"
}
