# shellcheck shell=sh
# The main loop: one command per line, until EOF or a stop request.

# list DIR: the names of what is in a folder below the root, one level deep.
list() {
  know_movable
  enter "$1" 2>/dev/null && [ -z "$absent" ] || return 0
  set +f
  for entry in * .[!.]* ..?*; do if [ -e "./$entry" ] || [ -L "./$entry" ]; then print "$entry"; fi; done
}
# room: prints how many KiB are free below the root and the folder that there is, or what keeps the user from
# writing there.
room() {
  ! obstacle write || return 1
  go_up "$root"
  print "$(df -Pk -- "$at" | awk 'NR == 2 { print $4 }') $at"
}

# skip ARGUMENT…: answers a command that comes after one that has failed, and drops the data that follows it.
skip() {
  case $command in state | history | note | release) for size; do :; done; take_short "$size" ;; esac
  value=
  answer 1
}

while busy=; [ -z "$ended" ] && heartbeat idle && IFS= read -r line; do
  busy=1; heartbeat busy
  IFS=' '
  # shellcheck disable=SC2086 # to be split
  set -- $line
  unset IFS
  [ $# -gt 1 ] || continue
  id=$1 command=$2; shift 2
  words=$#
  while [ $words -gt 0 ]; do decode "$1"; shift; set -- "$@" "$value"; words=$((words - 1)); done
  case $command in
    +*) command=${command#+}; [ "$status" = 0 ] || { skip "$@"; continue; } ;;
  esac
  case $command in
    open) open_root "$@" || { answer 1; exit 1; }; answer 0 ;;
    stage) receive "$1"; answer $? ;;
    facts | manifest) "$command" "$@"; answer $? ;;
    host_only | folders | make_folders) "$command" "$1"; answer $? ;;
    probe) take "$2" || continue
      if [ "$1" = hash ]; then print "$value" | probe_new
      else print "$value" | sed '/^$/d' | probe type | report found; fi
      answer 0 ;;
    state | history | note) take_short "$1" || continue; run "write_$command" "$value" ;;
    candidate | swap | restore | stage_kept | list | room) run "$command" "$@" ;;
    release) take_short "$2" || continue
      [ "$value" != later ] || released=$1
      run release "$1" ;;
    containers) tell_containers "$@"; answer $? ;;
    act) dir=$root/$1 looks=$2; shift 2; job compose "$dir" "$@"; looks= ;;
    script) take "$1" || continue; run eval "$value" ;;
    compose | externals)
      dir=$root/$1; [ "$2" = live ] || dir=$stage/$3/candidate/$1; shift 3
      if [ -n "$locked$scratch" ]; then job "$command" "$dir" "$@"; else run "$command" "$dir" "$@"; fi ;;
    hook) dir=$root/$1; shift; job hook "$dir" "$@" ;;
    docker)
      if [ "$1" = compose ]; then shift; set -- exec_compose "$@"; else set -- docker "$@"; fi
      if [ -n "$locked$scratch" ] && [ -d "$stage" ]; then job "$@"; else run "$@"; fi ;;
    pull) take "$3" || continue; job pull "$1" "$2"; value= ;;
    heartbeat) answer 0 ;;
    remove) job remove_service "$@" ;;
    releases | images) "$command"; answer 0 ;;
    snapshot) [ -f "$data/releases/$1/state.json" ] || { answer 1; continue; }
      snapshot "$1" "$2"; answer 0 ;;
    content) take "$2" || continue
      print "$value" | content "$1"; answer 0 ;;
    finish) wait; jobs=; answer 0
      [ -z "$released" ] || { list_images >"$data/releases/$released/images"; released=; }
      rm -rf "$data/stage"; collect "$@"; seal ;;
    *) fail command "$command"; answer 2 ;;
  esac
done
leave
