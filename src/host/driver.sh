# shellcheck shell=sh
# The driver: the part of ghdeploy that runs on the host.
#
# It reads one command a line from stdin, "ID COMMAND ARGUMENT…", and answers with JSON events, one
# a line, the last of them {"id":ID,"event":"done","rc":RC}. Arguments that hold blanks, backslashes
# or control characters are written with the escapes of printf %b. At EOF it waits for the jobs it
# has started and goes. Every child inherits fd 9, the lock: it is free only when all are gone.
#
# It needs sh (dash, bash, BusyBox ash), tar, sha256sum, flock, stat, xargs, find, awk, sed, tr and,
# where services have to act, Docker Compose v2. It never prints the content of a file.
set -u -f
export LC_ALL=C
umask 022
# A client that is gone must not stop a step half way: a write to nowhere fails and is passed over.
trap '' HUP PIPE
nl='
'
locked=
jobs=

decode() { case $1 in *\\*) v=$(printf '%b.' "$1"); v=${v%.} ;; *) v=$1 ;; esac; }

# Events. Jobs print too, so once there are any, each one prints under a lock of its own.
say() { if [ -n "$jobs" ]; then { flock 8; printf '%s\n' "$1"; } 8>>"$st/print.lock"; else printf '%s\n' "$1"; fi; }
answer() { say "{\"id\":$id,\"event\":\"done\",\"rc\":$1}"; }
# text EVENT < lines: one event a line, whatever bytes are in it.
text() {
  tr -d '\000-\010\013-\037\177' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e "s/^/{\"id\":$id,\"event\":\"$1\",\"text\":\"/" -e 's/$/"}/'
}
trouble() { say "{\"id\":$id,\"event\":\"trouble\",\"what\":\"$1\"}"; [ -z "${2-}" ] || say "$(printf '%s\n' "$2" | text out)"; }

# The digests of all manifests, in the form "SHA256  UNIT".
digests() { (cd "$d/manifest" 2>/dev/null || exit 0; set +f; set -- *; [ ! -e "$1" ] || sha256sum -- "$@"); }
manifests() { (cd "$d/manifest" 2>/dev/null || exit 0; set +f; set -- *; [ ! -e "$1" ] || cat -- "$@"); }
# What must change when a managed file is touched in any way: inode, size, type and mode, times to
# the nanosecond. A write or a rename cannot leave the ctime as it was.
listing() { xargs -0 -r stat -c '%i %s %f %.9Y %.9Z %n' 2>/dev/null <"$d/names"; }

# clean: whether the host provably has, byte for byte, what was deployed last.
clean() {
  seen=; [ ! -r "$d/seen.sum" ] || read -r seen <"$d/seen.sum"
  [ -n "$seen" ] && [ "$seen" != - ] || return 1
  v=$({ printf '%s' "$have"; listing; } | sha256sum)
  [ "${v%% *}" = "$seen" ]
}

# suspects [LISTING] < manifest lines: those whose entry in the listing (a file, or made now) is not
# the one that was seen last. "x LINE" is missing or of another type or mode, "h LINE" is to be hashed.
suspects() {
  { sed 's/^/m /'; [ ! -r "$d/seen" ] || sed 's/^/s /' "$d/seen"
    if [ $# = 1 ]; then cat -- "$1"; else listing; fi | sed 's/^/n /'
  } | awk '
    function name(l) { sub(/^([^ ]* )([^ ]* )([^ ]* )([^ ]* )([^ ]* )([^ ]* )\.\//, "", l); return l }
    $1 == "m" { line[++count] = substr($0, 3); next }
    $1 == "s" { seen[name($0)] = substr($0, 3); next }
    $1 == "n" { now[name($0)] = substr($0, 3); type[name($0)] = $4 }
    END { for (i = 1; i <= count; i++) {
      p = line[i]; sub(/^([^ ]* )([^ ]* )([^ ]* )([^ ]* )/, "", p)
      if (line[i] !~ /^f/) { print "x " line[i]; continue }
      if (p in seen && p in now && seen[p] == now[p]) continue
      x = index("4567cdef", substr(type[p], length(type[p]) - 1, 1)) > 0
      print (p in now && type[p] ~ /^8/ && x == (line[i] ~ /^f 7/) ? "h " : "x ") line[i] } }'
}

# failing < manifest lines of plain files: the lines whose content is not so below the working directory.
failing() {
  lines=$(cat)
  { printf '%s\n' "$lines" | sed 's/^/m /'
    printf '%s\n' "$lines" | sed -n 's/^f [0-7]* [0-9]* \([0-9a-f]*\) /\1  .\//p' | sha256sum -c 2>/dev/null |
      sed -n -e '/: OK$/d' -e 's/: FAILED\( open or read\)*$//' -e 's/^\.\//b /p'
  } | awk '$1 == "m" { l = substr($0, 3); p = l; sub(/^([^ ]* )([^ ]* )([^ ]* )([^ ]* )/, "", p); line[p] = l; next } { print line[substr($0, 3)] }'
}

# each COMMAND < manifest lines: calls it with kind, mode, digest, path, and the path in text form.
each() {
  while IFS= read -r line; do
    name=${line#* * * * }; hash=${line#* * * }; mode=${line#* }
    case $line in [A-Z]*) decode "$name"; path=$v ;; *) path=$name ;; esac
    "$1" "${line%% *}" "${mode%% *}" "${hash%% *}" "$path" "$name" || return 1
  done
}

# look PATH NAME: one manifest line about what lies at PATH below the working directory. Beside f and
# l the kinds are m missing, d directory, o something else, u unreadable.
look() {
  k=f; m=644; h=-
  if [ -L "./$1" ]; then k=l; m=777; h=$(readlink -n "./$1" | sha256sum)
  elif [ -d "./$1" ]; then k=d
  elif [ -f "./$1" ]; then [ ! -x "./$1" ] || m=755; h=$(sha256sum <"./$1" 2>/dev/null) || { k=u; h=-; }
  elif [ -e "./$1" ]; then k=o
  else k=m; fi
  case $2 in *\\*) case $k in f) k=F ;; l) k=L ;; m) k=M ;; d) k=D ;; o) k=O ;; u) k=U ;; esac ;; esac
  printf '%s\n' "$k $m 0 ${h%% *} $2"
}
# compare KIND MODE DIGEST PATH NAME: what lies there, if that is not it. Of the mode only the
# executable bit counts.
compare() {
  now=$(look "$4" "$5")
  case $2 in 7*) want="$1 7?? 0 $3 *" ;; *) want="$1 6?? 0 $3 *" ;; esac
  # shellcheck disable=SC2254 # a pattern is meant
  case $now in $want) ;; *) printf '%s\n' "$now" ;; esac
}

# deviations [LISTING]: a line for each managed file that is not what was deployed last.
deviations() {
  lines=$(manifests | suspects "$@")
  [ -n "$lines" ] || return 0
  { printf '%s\n' "$lines" | sed -n 's/^x //p'; printf '%s\n' "$lines" | sed -n 's/^h //p' | failing; } | each compare
}

# seal: notes the listing, so that the next run can prove that nothing changed since. It holds only
# files that are as recorded: what does not look as it was seen last is hashed once more.
seal() {
  printf -- '-\n' >"$d/seen.sum"
  case $(stat -c %.9Z . 2>/dev/null) in *.?????????) ;; *) return 0 ;; esac # no nanoseconds, no proof
  { manifests | sed -n 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /.\//p' | tr '\n' '\0'; manifests | sed -n '/^[FL]/p' | each name; } >"$d/names.new"
  mv -f "$d/names.new" "$d/names"
  sleep 0.02 # past the tick of the last write: a later one has another ctime
  listing >"$d/seen.new"
  bad=$(deviations "$d/seen.new")
  if [ -z "$bad" ]; then
    v=$({ digests; cat "$d/seen.new"; } | sha256sum)
    mv -f "$d/seen.new" "$d/seen" && printf '%s\n' "${v%% *}" >"$d/seen.sum"
  else
    { printf '%s\n' "$bad" | sed 's/^/b /'; sed 's/^/n /' "$d/seen.new"; } | awk '
      $1 == "b" { l = $0; sub(/^([^ ]* )([^ ]* )([^ ]* )([^ ]* )([^ ]* )/, "", l); bad["./" l]; next }
      { l = $0; sub(/^([^ ]* )([^ ]* )([^ ]* )([^ ]* )([^ ]* )([^ ]* )/, "", l); if (!(l in bad)) print substr($0, 3) }' >"$d/seen.less"
    mv -f "$d/seen.less" "$d/seen"; rm -f "$d/seen.new"
  fi
}
name() { printf './%s\0' "$4"; }

# open read|write WAIT HOLDER ROOT: goes to the root; to write, makes it and takes the lock.
open_() {
  missing=
  for tool in tar sha256sum flock stat xargs find awk sed tr readlink; do command -v $tool >/dev/null || missing="$missing $tool"; done
  [ -z "$missing" ] || { trouble tools "$missing"; return 1; }
  holder=$3 root=$4 d=$4/.ghdeploy st=$4/.ghdeploy/stage
  if [ "$1" = read ]; then cd "$root" 2>/dev/null || cd /; return 0; fi
  out=$({ mkdir -p -- "$root" && { [ -d "$d" ] || mkdir -m 700 -- "$d"; } && mkdir -p -- "$d/manifest" "$d/pending" "$d/objects" && : >>"$d/lock"; } 2>&1) || { trouble write "$out"; return 1; }
  cd "$root" || { trouble write; return 1; }
  exec 9>>"$d/lock"
  waited=0 last='' tries=0
  until flock -n 9; do
    # A run that is through may still be sealing: that takes no second.
    if [ "$tries" -lt 20 ] && sleep 0.05 2>/dev/null; then tries=$((tries + 1)); continue; fi
    now=$(cat "$d/lock.json" 2>/dev/null)
    [ "$now" = "$last" ] || { last=$now; say "{\"id\":$id,\"event\":\"busy\",\"holder\":${now:-null}}"; }
    [ "$waited" -lt "$2" ] || { trouble busy; return 1; }
    sleep 1; waited=$((waited + 1))
  done
  locked=1
  printf '%s\n' "$holder" >"$d/lock.json"
}

# facts, then "UNIT DIGEST" lines up to "end": the state, "same" for all units whose manifest has that
# digest or else their manifest, the manifests of all other units, pending ones, and what deviates.
facts() {
  wants=$nl
  while IFS= read -r line && [ "$line" != end ]; do wants="$wants$line$nl"; done
  have=$(digests)$nl
  [ ! -r "$d/state.json" ] || say "{\"id\":$id,\"event\":\"state\",\"state\":$(cat "$d/state.json")}"
  set +f
  for file in "$d/manifest"/* "$d/pending"/*; do
    [ -e "$file" ] || continue
    unit=${file##*/} which=${file%/*} which=${which##*/}
    if [ "$which" = manifest ]; then
      digest=${have%%"  $unit$nl"*}; digest=${digest##*"$nl"}
      case $wants in *"$nl$unit $digest$nl"*) say "{\"id\":$id,\"event\":\"same\",\"unit\":\"$unit\"}"; continue ;; esac
    fi
    say "{\"id\":$id,\"event\":\"$which\",\"unit\":\"$unit\"}"
    text entry <"$file"
  done
  set -f
  clean || deviations | text found
}

# probe, then lines "p PATH" (P: in text form) up to "end": what lies there. With "type" as its
# argument nothing is hashed. Absolute paths are taken as they are, "~/" is the home directory.
probe() {
  out=$(while IFS= read -r line && [ "$line" != end ]; do
    name=${line#? }
    case $line in P*) decode "$name"; path=$v ;; *) path=$name ;; esac
    # shellcheck disable=SC2088 # a literal tilde is meant
    case $path in '~/'*) full=$HOME/${path#??} ;; /*) full=$path ;; *) full=./$path ;; esac
    if [ -f "$full" ] && [ ! -L "$full" ] && [ -r "$full" ]; then
      if [ "$1" = type ]; then printf '%s\n' "f 644 0 - $name"
      else case $line in P*) look "$path" "$name" ;; *) if [ -x "$full" ]; then printf '%s\n' "+x $name"; else printf '%s\n' "+f $name"; fi ;; esac; fi
    elif [ "$1" = type ]; then if [ -d "$full" ]; then printf '%s\n' "d 0 0 - $name"; elif [ -e "$full" ]; then printf '%s\n' "o 0 0 - $name"; else printf '%s\n' "m 0 0 - $name"; fi
    elif [ -L "$full" ] || [ -e "$full" ]; then look "$path" "$name"; fi
  done)
  { printf '%s\n' "$out" | sed -n '/^[^+]/p'
    for x in f:644 x:755; do
      printf '%s\n' "$out" | sed -n "s/^+${x%:*} /.\\//p" | tr '\n' '\0' | xargs -0 -r sha256sum -- 2>/dev/null | sed "s/^\\([0-9a-f]*\\)  \\.\\//f ${x#*:} 0 \\1 /"
    done
  } | text found
}

# arrived UNIT: whether every staged file is as it was sent.
arrived() {
  bad=
  for list in put:files in_place:inplace; do
    [ -s "$st/$1/${list%:*}" ] || continue
    bad=$bad$(cd "$st/$1/${list#*:}" && { sed -n '/^f/p' "../${list%:*}" | failing; sed -n '/^[FLl]/p' "../${list%:*}"; } | each compare) || bad=none
  done
  [ -z "$bad" ] || { printf 'staged files did not arrive as they were sent:\n%s\n' "$bad"; return 1; }
}

# candidate UNIT: in stage/UNIT/candidate, the files that Compose reads, as they will be: staged ones
# over the live ones. Lists: reads (paths in text form), gone (files that will be removed).
candidate() {
  arrived "$1" || return 1
  c=$st/$1/candidate
  mkdir -p "$c" || return 1
  while IFS= read -r line; do
    case $line in P*) decode "${line#? }"; path=$v ;; *) path=${line#? } ;; esac
    case $path in */*) mkdir -p -- "$c/${path%/*}" || return 1 ;; esac
    for from in "$st/$1/files/$path" "$st/$1/inplace/$path" "$st/+shared/files/$path" "$root/$path"; do
      [ -e "$from" ] || continue
      ! grep -qxF -- "$line" "$st/$1/gone" 2>/dev/null || [ "$from" != "$root/$path" ] || continue
      ln -sf -- "$from" "$c/$path" || return 1
      break
    done
  done <"$st/$1/reads"
}

# keep KIND MODE DIGEST PATH NAME: puts what lies at PATH among the objects, under its digest. If it
# is no longer what was found there, somebody is at work on it: nothing is replaced then.
keep() {
  [ ! -e "$d/objects/$3" ] || return 0
  case $1 in
    [lL]) readlink -n "./$4" >"$d/objects/new" ;;
    *) cp -- "./$4" "$d/objects/new" ;;
  esac || return 1
  v=$(sha256sum <"$d/objects/new")
  [ "${v%% *}" = "$3" ] || { rm -f "$d/objects/new"; printf 'changed while it was to be replaced: %s\n' "$5"; return 1; }
  mv -f "$d/objects/new" "$d/objects/$3"
}
into() { [ -d "$1" ] || mkdir -p -- "$1"; }
# place FROM: renames every file below FROM to the same path below the root, a directory at a time.
place() {
  [ -d "$1" ] || return 0
  (cd "$1" && find . -type d -exec sh -c '
    from=$1 root=$2; shift 2
    move() { [ $# = 1 ] || { to=$1; shift; mv -f -- "$@" "$to/"; }; }
    for dir do
      [ -d "$root/$dir" ] || mkdir -p -- "$root/$dir" || exit 1
      cd "$from/$dir" || exit 1
      set -- "$root/$dir"
      for file in * .[!.]* ..?*; do
        if [ -f "$file" ] || [ -L "$file" ]; then set -- "$@" "$file"; fi
        if [ $# -gt 200 ]; then move "$@" || exit 1; set -- "$root/$dir"; fi
      done
      move "$@" || exit 1
    done' sh "$1" "$root" {} +)
}
# in_place KIND MODE DIGEST PATH NAME: writes staged content into the file that is there.
in_place() { cat -- "$from/$4" >"./$4"; }
# A directory goes with its last file; what holds anything else stays, for rmdir refuses it.
remove() { rm -f -- "./$4"; }
sweep() { while IFS= read -r line; do case $line in P*) decode "${line#? }"; path=$v ;; *) path=${line#? } ;; esac; rmdir -- "./$path" 2>/dev/null || :; done; }
delete() {
  sed -n 's/^[fl] [0-7]* [0-9]* [0-9a-f-]* /.\//p' "$1" | tr '\n' '\0' | xargs -0 -r rm -f -- || return 1
  sed -n '/^[FL]/p' "$1" | each remove
}

# swap UNIT: the one moment in which live files change. Lists in the stage: keep (what is replaced or
# removed), del, sweep (directories that may be empty then), in_place; files; new (the manifest).
swap() {
  u=$st/$1
  [ -d "$u/candidate" ] || arrived "$1" || return 1
  each keep <"$u/keep" || return 1
  cp -- "$u/new" "$d/pending/$1.new" && mv -f "$d/pending/$1.new" "$d/pending/$1" || return 1
  delete "$u/del" && sweep <"$u/sweep" || return 1
  from=$u/inplace; each in_place <"$u/in_place" || return 1
  place "$u/files" || return 1
  record "$1"
}
record() {
  if [ -s "$d/pending/$1" ]; then mv -f "$d/pending/$1" "$d/manifest/$1"; else rm -f "$d/pending/$1" "$d/manifest/$1"; fi
}
# restore UNIT: undoes a swap, also half of one. Lists: undo (what was there before), new (what goes).
restore() {
  u=$st/$1
  rm -rf "$u/back"; mkdir -p "$u/back" || return 1
  delete "$u/undel" || return 1
  each back <"$u/undo" || return 1
  from=$u/back; each in_place <"$u/undo_in_place" || return 1
  each drop_back <"$u/undo_in_place" || return 1
  place "$u/back" && sweep <"$u/undo_sweep" || return 1
  cp -- "$u/old" "$d/pending/$1.new" && mv -f "$d/pending/$1.new" "$d/pending/$1" || return 1
  record "$1"
}
back() {
  case $4 in */*) into "$u/back/${4%/*}" || return 1 ;; esac
  case $1 in
    [lL]) v=$(cat -- "$d/objects/$3"; printf .); ln -s -- "${v%.}" "$u/back/$4" ;;
    *) cp -- "$d/objects/$3" "$u/back/$4" && chmod "$2" "$u/back/$4" ;;
  esac
}
drop_back() { rm -f -- "$u/back/$4"; }

# job COMMAND…: runs it beside the others; its output and its exit status are told when it ends.
job() {
  jobs=1
  (
    exec 8>>"$st/print.lock" </dev/null
    "$@" >"$st/job.$id" 2>&1
    rc=$?
    flock 8
    text out <"$st/job.$id"
    printf '%s\n' "{\"id\":$id,\"event\":\"done\",\"rc\":$rc}"
    rm -f "$st/job.$id"
  ) &
}
compose() { cd "$1" && shift && docker compose "$@"; }
# remove_service PROJECT SERVICE: stops and removes its containers; volumes stay.
remove_service() {
  ids=$(docker ps -aq --filter "label=com.docker.compose.project=$1" --filter "label=com.docker.compose.service=$2") || return 1
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || { docker stop $ids && docker rm $ids; } >/dev/null
}
# containers: one JSON object for each container of any project, without its environment. One that
# vanishes between the two commands is passed over.
containers() {
  ids=$(docker ps -aq --no-trunc --filter label=com.docker.compose.project) || return 1
  [ -n "$ids" ] || return 0
  label() { printf '{{with index .Config.Labels "com.docker.compose.%s"}}{{json .}}{{else}}""{{end}}' "$1"; }
  # shellcheck disable=SC2086 # a list of ids
  out=$(docker inspect --type container --format '{"id":'"$id"',"event":"container","container":{"id":{{json .ID}},"name":{{json .Name}},"project":'"$(label project)"',"service":'"$(label service)"',"oneoff":'"$(label oneoff)"',"replaces":'"$(label replace)"',"image":{{json .Image}},"image_name":{{json .Config.Image}},"state":{{json .State.Status}},"exit_code":{{json .State.ExitCode}},"restarts":{{json .RestartCount}},"created":{{json .Created}},"started":{{json .State.StartedAt}},"stop_timeout":{{json .Config.StopTimeout}},"health":{{with .State.Health}}{{json .Status}}{{else}}null{{end}}}}' $ids 2>&1) && { printf '%s\n' "$out"; return; }
  printf '%s\n' "$out" | grep '^{'
  ! printf '%s\n' "$out" | grep -v '^{' | grep -v 'No such container'
}

# quietly COMMAND…: what it prints is told as text, whatever it is.
quietly() {
  out=$("$@" 2>&1); rc=$?
  [ -z "$out" ] || say "$(printf '%s\n' "$out" | text out)"
  return $rc
}
# writable ROOT: whether the user may write there, told without writing.
writable() {
  [ -z "$missing" ] || { printf 'the host lacks:%s\n' "$missing"; return 1; }
  at=$1
  while [ ! -e "$at" ]; do at=$(dirname -- "$at"); done
  if [ ! -d "$at" ] || [ ! -w "$at" ] || [ ! -x "$at" ]; then
    printf '%s is not a directory that the user %s may write to\n' "$at" "$(id -un)"
    return 1
  fi
  free=$(df -Pk -- "$at" | awk 'NR == 2 { printf "%.1f GB free", $4 / 1048576 }')
  if [ "$at" = "$1" ]; then printf '%s may be written, %s\n' "$1" "$free"; else printf '%s will be made, %s\n' "$1" "$free"; fi
}
write_state() { printf '%s\n' "$1" >"$d/state.json.new" && mv -f "$d/state.json.new" "$d/state.json"; }

while IFS= read -r line; do
  IFS=' '
  # shellcheck disable=SC2086 # to be split
  set -- $line
  unset IFS
  id=$1 command=$2; shift 2
  rest=${line#* * }
  left=$#
  while [ $left -gt 0 ]; do decode "$1"; shift; set -- "$@" "$v"; left=$((left - 1)); done
  case $command in
    open) open_ "$@" || { answer 1; exit 1; }; answer 0 ;;
    receive) st=$1/.ghdeploy/stage; rm -rf "$st" && mkdir -m 700 "$st" && cd "$st" && exec tar -xzpmof -; exit 1 ;;
    facts) facts; answer 0 ;;
    probe) probe "${1-hash}"; answer 0 ;;
    candidate | swap | restore) quietly "$command" "$1"; answer $? ;;
    state) quietly write_state "$rest"; answer $? ;;
    history) printf '%s\n' "$rest" >>"$d/history.jsonl"; answer $? ;;
    containers) out=$(containers 2>&1); rc=$?
      if [ $rc = 0 ]; then [ -z "$out" ] || say "$out"; else say "$(printf '%s\n' "$out" | text out)"; fi; answer $rc ;;
    compose) dir=$root/$1; [ "$2" = live ] || dir=$st/$3/candidate/$1; shift 3; job compose "$dir" "$@" ;;
    docker) if [ -n "$locked" ] && [ -d "$st" ]; then job docker "$@"; else quietly docker "$@"; answer $?; fi ;;
    writable) quietly writable "$1"; answer $? ;;
    remove) job remove_service "$@" ;;
    finish) wait; jobs=; rm -rf "$st"; answer $?; seal ;;
    *) trouble command "$command"; answer 2 ;;
  esac
done
wait
[ -z "$locked" ] || rm -f "$d/lock.json"
