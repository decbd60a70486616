# shellcheck shell=sh
# The driver: the part of ghdeploy that runs on the host.
#
# It reads one command a line from stdin, "ID COMMAND ARGUMENT…", and answers with JSON events, one
# a line, the last of them {"id":ID,"event":"done","rc":RC}. Arguments that hold blanks, backslashes
# or control characters are written with the escapes of printf %b. What is long comes behind the line,
# and the last argument tells how many bytes it has: a shell reads its stdin byte by byte. At EOF it
# waits for the jobs it has started and goes. Every child inherits fd 9, the lock: it is free only when
# all are gone.
#
# It needs sh (dash, bash, BusyBox ash), tar, sha256sum, flock, stat, xargs, find, awk, sed, tr, dd, od and,
# where services have to act, Docker Compose v2. Of files it prints the content of those alone that it is
# asked for by `content`.
#
# It may be killed between any two commands, and any write may find the disk full. So what is put
# into place is complete and on the disk before, and renamed; and what is done is written down after.
set -u -f
export LC_ALL=C
# What it keeps for itself is nobody else's business; what is made in the live tree says so itself.
umask 077
# A client that is gone must not stop a step half way: a write to nowhere fails and is passed over.
trap '' HUP PIPE
# Told to end, it ends what it is doing first. A shell that waits for a line may do so on after a trap.
trap 'ended=1; [ -n "$busy" ] || { leave; exit; }' TERM
nl='
'
busy='' ended='' locked='' jobs='' missing='' unsealed='' have='' root='' d='' st=''

# take BYTES: v, the lines that come behind a command. The last of them is "end": what was cut off is
# not taken for the whole.
take() {
  v=$nl$(dd bs="$1" count=1 iflag=fullblock status=none)
  case $v in *"${nl}end") v=${v%"${nl}end"} v=${v#"$nl"} ;; *) return 1 ;; esac
}
decode() { case $1 in *\\*) v=$(printf '%b.' "$1"); v=${v%.} ;; *) v=$1 ;; esac; }

# Events. Jobs print too, so once there are any, each one prints under a lock of its own: only short
# writes to a pipe stay in one piece by themselves.
say() { if [ -n "$jobs" ]; then { flock 8; printf '%s\n' "$1"; } 8>>"$d/print" || printf '%s\n' "$1"; else printf '%s\n' "$1"; fi; }
answer() { say "{\"id\":$id,\"event\":\"done\",\"rc\":$1}"; }
# text EVENT < lines: one event a line, whatever bytes are in it. The last line must end, too.
text() {
  tr -d '\000-\010\013-\037\177' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e "s/^/{\"id\":$id,\"event\":\"$1\",\"text\":\"/" -e 's/$/"}/'
}
tell() { if [ -n "$jobs" ]; then { flock 8; text "$1"; } 8>>"$d/print"; else text "$1"; fi; }
trouble() { say "{\"id\":$id,\"event\":\"trouble\",\"what\":\"$1\"}"; [ -z "${2-}" ] || printf '%s\n' "$2" | tell out; }

# have: the digests of all manifests, in the form "SHA256  UNIT".
digest() { have=$(cd "$d/manifest" 2>/dev/null && set +f && sha256sum -- * 2>/dev/null); }
# names [PARTS PART]: the managed files, each with a NUL behind it. Names with escapes are looked at one
# by one.
names() {
  (set +f; awk -v parts="${1-1}" -v part="${2-0}" '
    FNR == 1 { unit++ }
    unit % parts == part && /^[fl]/ { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, ""); print "./" $0 }' "$d/manifest"/* 2>/dev/null) | tr '\n' '\0'
}
# listing < names: what must change when a file is touched in any way: inode, size, type and mode, times
# to the nanosecond. A write or a rename cannot leave the ctime as it was.
listing() { xargs -0 -r stat -c '%i %s %f %.9Y %.9Z %n' 2>/dev/null; }

# Whether the host provably has, byte for byte, what was deployed last: the manifests and the listing are
# those of which seal has noted the digests. Of many files, there are two halves at a time.
clean() { [ -z "$have" ] || { { printf '%s\n' "$have"; listing <"$d/names"; } | proves seen.sum; }; } 2>/dev/null
clean_too() { [ ! -s "$d/names.too" ] || { listing <"$d/names.too" | proves seen.too; }; } 2>/dev/null
proves() { [ -s "$d/$1" ] && sha256sum -c "$d/$1" >/dev/null 2>&1; }

# deviations [LISTING…]: a line for each managed file that is not what was deployed last. Only a file
# whose entry in the listing (those files, or made now) is the one that was seen last is not hashed.
deviations() {
  known=$d/seen; [ -r "$known" ] || known=/dev/null
  # "h LINE" is a plain file of the right mode: its content decides. At all others one must look.
  lines=$(if [ $# -gt 0 ]; then cat -- "$@"; else names | listing; fi | (set +f; awk '
    function name(l) { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* \.\//, "", l); return l }
    k == "s" { seen[name($0)] = $0; next }
    k == "n" { p = name($0); now[p] = $0; type[p] = $3; next }
    { p = $0; sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", p) }
    /^[fl]/ && p in now && p in seen && seen[p] == now[p] { next }
    /^f/ && p in now && type[p] ~ /^8/ {
      x = index("4567cdef", substr(type[p], length(type[p]) - 1, 1)) > 0
      if (x == ($2 ~ /^7/)) { print "h " $0; next }
    }
    { print "x " $0 }' k=s "$known" k=n - k=m "$d/manifest"/*)) || return 1
  [ -n "$lines" ] || return 0
  { printf '%s\n' "$lines" | sed -n 's/^x //p'; printf '%s\n' "$lines" | sed -n 's/^h //p' | failing; } | each differs
}

# sums < manifest lines: plain files in the format of sha256sum, which leaves their names as they are.
sums() { sed -n 's/^f [0-7]* [0-9]* \([0-9a-f]*\) /\1  .\//p'; }
# failing < manifest lines of plain files: those whose content is not proven to be so.
failing() {
  all=$(cat)
  { printf '%s\n' "$all" | sums | sha256sum -c 2>/dev/null | sed -n 's/^\.\/\(.*\): OK$/g \1/p'; printf '%s\n' "$all" | sed 's/^/m /'
  } | awk '{ l = substr($0, 3); p = l } $1 == "g" { good[l]; next } { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", p) } l != "" && !(p in good) { print l }'
}

# each COMMAND < manifest lines: calls it with kind, mode, digest, path, and the path in text form.
each() {
  while IFS= read -r line; do
    entry
    "$1" "${line%% *}" "${mode%% *}" "${hash%% *}" "$path" "$name" || return 1
  done
}
entry() {
  name=${line#* * * * }; hash=${line#* * * }; mode=${line#* }
  case $line in [A-Z]*) decode "$name"; path=$v ;; *) path=$name ;; esac
}
# where: takes a line "p PATH", or "P PATH" in text form, apart.
where() { name=${line#? }; case $line in P*) decode "$name"; path=$v ;; *) path=$name ;; esac; }

# look PATH NAME: now, a manifest line about what lies at PATH below the working directory. Beside f
# and l the kinds are m missing, d directory, o something else, u unreadable.
look() {
  k=f; m=644; h=-
  if [ -L "./$1" ]; then k=l; m=777; h=$(readlink -n "./$1" | sha256sum)
  elif [ -d "./$1" ]; then k=d
  elif [ -f "./$1" ]; then [ ! -x "./$1" ] || m=755; h=$(sha256sum 2>/dev/null <"./$1") || { k=u; h=-; }
  elif [ -e "./$1" ]; then k=o
  else k=m; fi
  capital "$2"
  now="$k $m 0 ${h%% *} $2"
}
capital() { case $1 in *\\*) case $k in f) k=F ;; l) k=L ;; m) k=M ;; d) k=D ;; o) k=O ;; u) k=U ;; esac ;; esac; }
# unlike KIND MODE DIGEST PATH NAME: whether something else lies there. Of the mode only the
# executable bit counts.
unlike() {
  look "$4" "$5"
  case $2 in 7*) want="$1 7?? 0 $3 *" ;; *) want="$1 6?? 0 $3 *" ;; esac
  # shellcheck disable=SC2254 # a pattern is meant
  case $now in $want) return 1 ;; esac
}
differs() { ! unlike "$@" || printf '%s\n' "$now"; }

# seal: notes the listing, so that the next run can prove that nothing changed since. Nothing is
# noted of a file that is not as recorded: what does not look as it was seen last is hashed once more.
seal() {
  unsealed=
  digest
  rm -f "$d/seen.sum"
  [ -n "$have" ] || return 0
  parts=1
  [ "$(set +f; awk 'END { print NR }' "$d/manifest"/*)" -lt 2000 ] || parts=2
  names $parts 1 >"$d/names.new" && mv -f "$d/names.new" "$d/names.too" || return 0
  names $parts 0 >"$d/names.new" && mv -f "$d/names.new" "$d/names" || return 0
  at=$(stat -c %.9Z "$d/names" 2>/dev/null)
  case $at in *.?????????) ;; *) return 0 ;; esac # no nanoseconds, no proof
  # Past the tick of the clock in which the last write was: any later one has another ctime.
  sleep 0.02 2>/dev/null || sleep 1
  listing <"$d/names" >"$d/seen.new"
  listing <"$d/names.too" >"$d/seen.more"
  deviations "$d/seen.new" "$d/seen.more" >"$d/seen.bad" || return 0
  # What was written since the names were is too fresh to tell a later write by its ctime. There is
  # proof only when the list is complete.
  if (set +f; awk -v at="$at" '
    k == "b" { sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, ""); bad["./" $0]; less = 1; next }
    k == "m" { sub(/^[fl] [^ ]* [^ ]* [^ ]* /, "./"); if (!($0 in good)) less = 1; next }
    { p = $0; sub(/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* /, "", p) }
    p in bad || ($5 "") > (at "") { less = 1; next }
    { good[p]; print }
    END { exit less }' k=b "$d/seen.bad" k=n "$d/seen.new" "$d/seen.more" k=m "$d/manifest"/* >"$d/seen.less"); then
    v=$(sha256sum <"$d/seen.more") && printf '%s\n' "$v" >"$d/seen.too" &&
      v=$({ printf '%s\n' "$have"; cat -- "$d/seen.new"; } | sha256sum) && printf '%s\n' "$v" >"$d/seen.sum"
  fi
  mv -f "$d/seen.less" "$d/seen"; rm -f "$d/seen.new" "$d/seen.more" "$d/seen.bad"
}

# open read|write WAIT HOLDER ROOT: goes to the root; to write, makes it and takes the lock.
open_() {
  missing=
  for tool in tar sha256sum flock stat xargs find awk sed tr od readlink; do command -v $tool >/dev/null || missing="$missing $tool"; done
  [ -z "$missing" ] || { trouble tools "$missing"; return 1; }
  holder=$3 root=$4 d=$4/.ghdeploy st=$4/.ghdeploy/stage
  if [ "$1" = read ]; then
    # What may not be looked at must not pass for empty.
    for dir in "$root" "$d"; do
      [ ! -e "$dir" ] || { [ -r "$dir" ] && [ -x "$dir" ]; } || { trouble write "$dir: Permission denied"; return 1; }
    done
    cd "$root" 2>/dev/null || cd /
    return 0
  fi
  if ! { [ -d "$d/manifest" ] && [ -d "$d/pending" ] && [ -d "$d/objects" ] && printf '' 2>/dev/null >>"$d/lock" && printf '' 2>/dev/null >>"$d/print"; }; then
    out=$({ (umask 022; mkdir -p -- "$root") && mkdir -p -- "$d/manifest" "$d/pending" "$d/objects" && : >>"$d/lock" && : >>"$d/print"; } 2>&1) || { trouble write "$out"; return 1; }
  fi
  cd "$root" || { trouble write "$root cannot be entered"; return 1; }
  exec 9>>"$d/lock"
  waited=0 last='' tries=0
  until flock -n 9; do
    # A run that is through may still be sealing: that takes no second.
    if [ "$tries" -lt 20 ] && sleep 0.05 2>/dev/null; then tries=$((tries + 1)); continue; fi
    # Written while it is read it may be half.
    now=$(cat "$d/lock.json" 2>/dev/null)
    case $now in *"$nl"*) now=null ;; '{'*'}') ;; *) now=null ;; esac
    [ "$now" = "$last" ] || { last=$now; say "{\"id\":$id,\"event\":\"busy\",\"holder\":$now}"; }
    [ "$waited" -lt "$2" ] || { trouble busy; return 1; }
    [ -z "$ended" ] || return 1
    # Whoever has gone does not wait any more: a write to nowhere fails.
    printf '%s\n' "{\"id\":$id,\"event\":\"tick\"}" 2>/dev/null || return 1
    ! abandoned || kill "$pid" 2>/dev/null || :
    sleep 1; waited=$((waited + 1))
  done
  locked=1
  printf '%s\n' "$holder" 2>/dev/null >"$d/lock.json"
}
# beat idle|busy: when this driver last heard anything of its client, and whether it is at work since.
beat() { [ -z "$locked" ] || printf '%s\n' "$$ $1" 2>/dev/null >"$d/beat" || :; }
# abandoned: whether the driver that holds the lock has been waiting for its client for longer than a client is
# ever silent. The network between them may have gone without a word, and TCP finds out after hours. That
# driver, pid, may be told to end: it is at no step, what its jobs are doing it awaits, and its client, if it
# lives, sees the connection end. It is only told if it is what it says: nobody else has the lock as fd 9.
abandoned() {
  { read -r pid at <"$d/beat"; } 2>/dev/null && [ "$at" = idle ] || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  theirs=$(stat -L -c %d:%i "/proc/$pid/fd/9" 2>/dev/null) && [ "$theirs" = "$(stat -L -c %d:%i "$d/lock")" ] || return 1
  [ -n "$(find "$d/beat" -mmin +1 2>/dev/null)" ]
}
# leave: what a run leaves behind, also one that was cut off before. Nobody waits for this.
leave() {
  wait; jobs=
  [ -n "$locked" ] || return 0
  [ ! -d "$st" ] || rm -rf "$st"
  [ -z "$unsealed" ] || seal
  printf '' >"$d/beat"
  printf '' >"$d/lock.json"
}

# facts, with "UNIT DIGEST" lines: the state, "same" for all units whose manifest has that digest or else
# their manifest, the manifests of all other units, pending ones, and what deviates.
facts() {
  clean_too & too=$!
  take "$1" || return 1
  wants=$nl$v$nl pending=
  digest
  [ ! -e "$d/state.json" ] || say "{\"id\":$id,\"event\":\"state\",\"state\":$(cat "$d/state.json")}"
  set +f
  for file in "$d/manifest"/* "$d/pending"/*; do
    [ -f "$file" ] || continue
    unit=${file##*/} which=${file%/*} which=${which##*/}
    if [ "$which" = manifest ]; then
      v=$have$nl; v=${v%%"  $unit$nl"*}; v=${v##*"$nl"}
      case $wants in *"$nl$unit $v$nl"*) say "{\"id\":$id,\"event\":\"same\",\"unit\":\"$unit\"}"; continue ;; esac
    else pending=1; fi
    say "{\"id\":$id,\"event\":\"$which\",\"unit\":\"$unit\"}"
    tell entry <"$file"
  done
  # Of a swap that was cut off, one must look what has come.
  [ -z "$pending" ] || sed -e 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /p /' -e 's/^[FL] [0-7]* [0-9]* [0-9a-f]* /P /' "$d/pending"/* | present | probed hash | tell found
  set -f
  clean && wait "$too" && return
  unsealed=1
  out=$(deviations) || { printf 'the files could not be compared with the records\n' | tell out; return 1; }
  [ -z "$out" ] || printf '%s\n' "$out" | tell found
}

# present < lines "p PATH" (P: in text form) below the root: those that name anything, and those in text
# form.
present() {
  all=$(cat)
  printf '%s\n' "$all" | sed -n '/^P/p'
  printf '%s\n' "$all" | (cd "$root" 2>/dev/null || exit; sed -n 's/^p /.\//p' | tr '\n' '\0' | xargs -0 -r stat -c '%n' 2>/dev/null) | sed 's/^\.\//p /'
}
# probed hash|type < such lines: what lies there. With "type" nothing is hashed, and absolute paths are
# taken as they are, "~/" is the home directory.
probed() {
  out=$(while IFS= read -r line; do
    where
    # shellcheck disable=SC2088 # a literal tilde is meant
    case $path in '~/'*) full=${HOME-}/${path#??} ;; /*) full=$path ;; *) full=$root/$path ;; esac
    if [ "$1" = type ]; then
      if [ -f "$full" ]; then k=f; elif [ -d "$full" ]; then k=d; elif [ -e "$full" ]; then k=o; elif [ -L "$full" ]; then k=l; else k=m; fi
      capital "$name"
      printf '%s\n' "$k 644 0 - $name"
    elif [ -f "$full" ] && [ ! -L "$full" ] && [ -r "$full" ] && [ "${line%% *}" = p ]; then
      if [ -x "$full" ]; then printf '%s\n' "+x $name"; else printf '%s\n' "+f $name"; fi
    elif [ -L "$full" ] || [ -e "$full" ]; then look "$path" "$name"; printf '%s\n' "$now"; fi
  done)
  printf '%s\n' "$out" | sed -n '/^[^+]/p'
  [ "$1" = type ] || for v in f:644 x:755; do
    printf '%s\n' "$out" | sed -n "s/^+${v%:*} /.\\//p" | tr '\n' '\0' | xargs -0 -r sha256sum -- 2>/dev/null | sed "s/^\\([0-9a-f]*\\)  \\.\\//f ${v#*:} 0 \\1 /"
  done
}

# receive few|many < a gzipped tar of so many files: takes it as the new stage. What is put into place (the
# files, and the manifests that are recorded) is on the disk before; many files are there sooner with all
# that the filesystem holds.
receive() (
  rm -rf "$st" && mkdir -m 700 "$st" && cd "$st" || exit 1
  # Folders are renamed into place as they come out of it.
  umask 022
  tar -xzpmof - && {
    if [ "$1" = many ]; then sync -f . 2>/dev/null || :
    else flush_found . '(' -path './*/files/*' -o -path './*/inplace/*' -o -path './*/new' -o -path './*/old' ')'; fi
    exit 0
  }
  # What has not come in full makes room again.
  rc=$?; cd / && rm -rf "$st"; exit $rc
)

# What follows works on a unit in the stage, u, and its lists there. Those that end in _in_place are
# of files that are written in place; put, keep and undo are of files, reads and sweep of paths.

# arrived: whether every staged file is as it was sent.
arrived() {
  [ -d "$u" ] || { printf 'nothing is staged\n'; return 1; }
  bad=
  for list in put:files in_place:inplace; do
    [ -s "$u/${list%:*}" ] || continue
    bad=$bad$(cd "$u/${list#*:}" || exit
      if sums <"$u/${list%:*}" | sha256sum -c >/dev/null 2>&1; then sed '/^f /d' "$u/${list%:*}"; else cat -- "$u/${list%:*}"; fi | each differs) || bad=none
  done
  [ -z "$bad" ] || { printf 'staged files did not arrive as they were sent:\n%s\n' "$bad"; return 1; }
}

# candidate UNIT: in stage/UNIT/candidate, the files that Compose reads, as they will be: staged ones
# over the live ones. Lists: reads (paths in text form), gone (files that will be removed).
candidate() {
  u=$st/$1 c=$st/$1/candidate
  arrived && into "$c" || return 1
  while IFS= read -r line; do
    where
    case $path in */*) into "$c/${path%/*}" || return 1 ;; esac
    for from in "$u/files/$path" "$u/inplace/$path" "$st/+shared/files/$path" "$root/$path"; do
      [ -e "$from" ] || continue
      [ "$from" != "$root/$path" ] || ! grep -qxF -- "$line" "$u/gone" 2>/dev/null || continue
      ln -sf -- "$from" "$c/$path" || return 1
      break
    done
  done <"$u/reads"
}

# keep KIND MODE DIGEST PATH NAME: copies what lies at PATH, for the objects; store takes the copies in.
# If it is no longer what was found there, somebody is at work on it: nothing is replaced then.
keep() {
  case " $kept " in *" $3 "*) ! unlike "$@" || other "$5"; return ;; esac
  if [ -L "./$4" ]; then case $1 in [lL]) readlink -n "./$4" >"$u/kept/$3" || return 1 ;; *) other "$5"; return ;; esac
  elif [ -f "./$4" ]; then case $1 in [fF]) cp -p -- "./$4" "$u/kept/$3" || return 1 ;; *) other "$5"; return ;; esac
  else other "$5"; return; fi
  kept="$kept $3" count=$((count + 1))
  [ "$count" -lt 500 ] || store
}
other() { printf 'changed while it was to be replaced: %s\n' "$1"; return 1; }
# store: the copies become objects once they are proven to be what they are called.
store() {
  [ "$count" -gt 0 ] || return 0
  cd "$u/kept" || return 1
  # shellcheck disable=SC2046,SC2086 # digests
  set -- $(sha256sum -- $kept)
  while [ $# -gt 1 ] && [ "$1" = "$2" ]; do shift 2; count=$((count - 1)); done
  [ "$count" = 0 ] || { other "$(sed -n "s/^[^ ]* [^ ]* [^ ]* ${2-} //p" "$u/keep")"; return 1; }
  # What is kept in this run is noted for its release, before it is there: nothing else may need it.
  # shellcheck disable=SC2086
  { printf '%s\n' $kept | cat >>"$d/kept" && flush $kept && mv -f -- $kept "$d/objects/" && cd "$root"; } || return 1
  kept=
}
# flush FILE…: to the disk. Where sync takes no files, a crash of the host may lose what is new.
flush() { sync -- "$@" 2>/dev/null || :; }
# flush_found FIND-ARGUMENT…: the same for all files that find finds.
flush_found() { find "$@" -type f -print0 | xargs -0 -r sync -- 2>/dev/null || :; }
into() { [ -d "$1" ] || mkdir -p -- "$1"; }

# place FROM DIR: renames what is in FROM/DIR into DIR, which is there below the root; whole directories
# where there is none of the name. Those are noted, for the way back.
place() (
  set +f
  from=$1 dir=$2
  set --
  for entry in "$from/$dir"/* "$from/$dir"/.[!.]* "$from/$dir"/..?*; do
    at=$dir/${entry##*/}
    if [ -L "$entry" ] || [ ! -d "$entry" ]; then [ -L "$entry" ] || [ -e "$entry" ] || continue
    elif [ -d "$at" ]; then place "$from" "$at" || exit 1; continue
    else (cd "$from" && find "$at" -depth -type d -print0) >>"$notes" || exit 1; fi
    set -- "$@" "$entry"
    [ $# -lt 200 ] || { mv -f -- "$@" "$dir/" || exit 1; set --; }
  done
  [ $# = 0 ] || mv -f -- "$@" "$dir/"
)
# fit MODE FILE: of the mode only the executable bit counts, unless the file is private.
fit() { case $1 in ?00) chmod "$1" "$2" ;; 7*) [ -x "$2" ] || chmod "$1" "$2" ;; *) [ ! -x "$2" ] || chmod "$1" "$2" ;; esac; }
# write FILE MODE PATH: puts the content into the file that is there.
write() { { [ -e "./$3" ] || printf '' >"./$3"; } && fit "$2" "./$3" && cat -- "$1" >"./$3" && flush "./$3"; }
write_staged() { write "$u/inplace/$4" "$2" "$4"; }
write_kept() { write "$d/objects/$3" "$2" "$4"; }
# vacant < manifest lines: whether no file that is to come would overwrite anybody's.
vacant() {
  all=$(cat)
  [ -n "$all" ] || return 0
  all=$(printf '%s\n' "$all" | sed -n 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /.\//p' | tr '\n' '\0' | xargs -0 -r stat -c '%f %n' 2>/dev/null | sed -n '/^4/d; s/^[^ ]* \.\///p'
    printf '%s\n' "$all" | sed -n '/^[FL]/p' | each occupied)
  [ -z "$all" ] || { printf 'appeared while the files were being put in place: %s\n' "$all"; return 1; }
}
occupied() { [ ! -L "./$4" ] && { [ ! -e "./$4" ] || [ -d "./$4" ]; } || printf '%s\n' "$5"; }
# A directory goes with its last file; what holds anything else stays, for rmdir refuses it.
sweep() { while IFS= read -r line; do where; rmdir -- "./$path" 2>/dev/null || :; done; }
delete() {
  all=$(cat)
  [ -n "$all" ] || return 0
  printf '%s\n' "$all" | sed -n 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /.\//p' | tr '\n' '\0' | xargs -0 -r rm -f -- || return 1
  printf '%s\n' "$all" | sed -n '/^[FL]/p' | each remove
}
remove() { rm -f -- "./$4"; }

# claim UNIT LIST: what is listed may be on the host from now on, and is ours, until that is recorded.
# What a run that was cut off has claimed stays so.
claim() {
  fresh=
  if [ -e "$d/pending/$1" ]; then cat -- "$d/pending/$1" "$u/$2" >"$u/claim"
  elif ln -- "$u/$2" "$d/pending/$1" 2>/dev/null; then fresh=1; return 0
  else cp -- "$u/$2" "$u/claim"; fi && flush "$u/claim" && mv -f -- "$u/claim" "$d/pending/$1"
}
record() {
  if [ ! -s "$u/$2" ]; then rm -f -- "$d/manifest/$1" "$d/pending/$1"
  elif [ -n "$fresh" ]; then mv -f -- "$d/pending/$1" "$d/manifest/$1"
  else mv -f -- "$u/$2" "$d/manifest/$1" && rm -f -- "$d/pending/$1"; fi
}

# swap UNIT: the one moment in which live files change. Lists: keep (what is replaced or removed), del,
# sweep (directories that may be empty then), undel (what comes where nothing was), in_place, put; new
# (the manifest).
swap() {
  u=$st/$1 kept='' count=0 notes=$st/$1/made
  [ -d "$u/candidate" ] || arrived || return 1
  into "$u/kept" && each keep <"$u/keep" && store && claim "$1" new && printf '' >"$u/begun" || return 1
  umask 022
  { [ ! -s "$u/del" ] || delete <"$u/del"; } && sweep <"$u/sweep" && vacant <"$u/undel" &&
    each write_staged <"$u/in_place" && { [ ! -s "$u/put" ] || place "$u/files" .; } && record "$1" new || return 1
  printf '' >"$u/through" || :
}
# restore UNIT: undoes a swap, also half of one. Lists: undo, undo_in_place (what was there before),
# undel (what has come); old (the manifest). It writes no more than it frees, for the disk may be full.
restore() {
  u=$st/$1 kept='' count=0 fresh='' notes=/dev/null
  [ -e "$u/begun" ] || return 0
  # Services may have written to the new files meanwhile; that is not lost, either.
  if [ -e "$u/through" ]; then each spare <"$u/put" && each spare <"$u/in_place" && store || return 1; fi
  # While a swap is pending the manifest is the old one still.
  [ -e "$d/pending/$1" ] || claim "$1" old || return 1
  umask 022
  each overwritten <"$u/undo_in_place" | each write_kept || return 1
  each came <"$u/undel" | delete || return 1
  [ ! -e "$u/made" ] || xargs -0 -r rmdir -- <"$u/made" 2>/dev/null || :
  lost=$(each lost <"$u/undo")
  [ -z "$lost" ] || { printf '%s\n' "$lost" | each back && flush_found "$u/back" && place "$u/back" .; } || return 1
  record "$1" old
}
spare() {
  unlike "$@" || return 0
  case $now in [fFlL]*) v=${now#* * * }; keep "${now%% *}" - "${v%% *}" "$4" "$5" ;; esac
}
# came: what a swap has put there is no longer in the stage; anything else at that path is not ours.
came() { [ -e "$u/files/$4" ] || [ -L "$u/files/$4" ] || printf '%s\n' "$line"; }
overwritten() { ! unlike "$@" || printf '%s\n' "$line"; }
lost() { [ -e "$u/inplace/$4" ] || overwritten "$@"; }
back() {
  case $4 in */*) into "$u/back/${4%/*}" ;; *) into "$u/back" ;; esac || return 1
  case $1 in
    [lL]) v=$(cat -- "$d/objects/$3" && printf .) && ln -s -- "${v%.}" "$u/back/$4" ;;
    *) cp -p -- "$d/objects/$3" "$u/back/$4" && fit "$2" "$u/back/$4" ;;
  esac
}

# fetch UNIT: stages what the lists put and in_place name, out of the objects.
fetch() {
  u=$st/$1 bad=
  for list in put:files in_place:inplace; do
    to=$u/${list#*:}
    bad=$bad$(each taken <"$u/${list%:*}") || return 1
  done
  [ -z "$bad" ] || { printf 'no longer on the host: %s\n' "$bad"; return 1; }
}
taken() {
  [ -f "$d/objects/$3" ] || { printf '%s\n' "$5"; return; }
  case $4 in */*) into "$to/${4%/*}" ;; *) into "$to" ;; esac || return 1
  case $1 in
    [lL]) v=$(cat -- "$d/objects/$3" && printf .) && ln -s -- "${v%.}" "$to/$4" ;;
    *) cp -- "$d/objects/$3" "$to/$4" && chmod "$2" "$to/$4" ;;
  esac
}

# release NUMBER: keeps what is recorded now under this number, for the way back to it.
release() (
  new=$d/releases/new
  rm -rf "$new" "$d/releases/$1" && mkdir -p -- "$new/manifest" && alike "$d/state.json" "$new" || exit 1
  set +f
  for file in "$d/manifest"/*; do
    [ ! -e "$file" ] || alike "$d/manifest"/* "$new/manifest" || exit 1
    break
  done
  # Which image each service runs: a name may be given to another one later.
  ids=$(docker ps -q --filter label=com.docker.compose.oneoff=False 2>/dev/null)
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || docker inspect --type container --format '{{.Image}} {{index .Config.Labels "com.docker.compose.project"}} {{index .Config.Labels "com.docker.compose.service"}} {{.Config.Image}}' $ids >"$new/images" 2>/dev/null || :
  # What was sent is kept, too, for a file may be edited in place before it is replaced. Whether it is what
  # it is called is looked at when it is needed.
  for file in "$st/+objects"/*; do
    [ ! -e "$file" ] || mv -f -- "$st/+objects"/* "$d/objects/" || exit 1
    break
  done
  mv -- "$new" "$d/releases/$1" && { [ ! -e "$d/kept" ] || mv -f -- "$d/kept" "$d/releases/$1/kept"; }
)
# alike FILE… DIR: the same files in another directory. None of them is ever written to.
alike() { ln -- "$@" 2>/dev/null || cp -p -- "$@"; }

# collect KEEP: of the releases the last KEEP stay, of the objects those that a release, or what is on its
# way, refers to. What cannot be read might refer to any: then all stay.
collect() (
  cd "$d" && [ -d releases ] || exit 0
  set +f
  for dir in releases/*; do printf '%s\n' "${dir##*/}"; done | awk -v keep="$1" '
    /^[0-9]+$/ { all[++n] = $0 + 0; for (i = n; i > 1 && all[i - 1] < all[i]; i--) { v = all[i]; all[i] = all[i - 1]; all[i - 1] = v } }
    END { for (i = keep + 1; i <= n; i++) print "releases/" all[i] }' | xargs -r rm -rf --
  lists=$(find . '(' -path ./objects -o -path ./stage ')' -prune -o -type f '(' -path '*/manifest/*' -o -path '*/pending/*' -o -name kept ')' -print) || exit 1
  [ -n "$lists" ] || exit 0
  # Most releases share most of their manifests: each is read once.
  # shellcheck disable=SC2086 # names without blanks
  lists=$(stat -c '%i %n' $lists) || exit 1
  lists=$(printf '%s\n' "$lists" | awk '!seen[$1]++ { print $2 }')
  find objects -type f >objects.all || exit 1
  # shellcheck disable=SC2086
  awk '
    k == "u" { if (NF > 1) used[$4]; else used[$1]; next }
    { name = $0; sub(/.*\//, "", name) }
    !(name in used)' k=u $lists k=o objects.all >objects.idle && xargs -r rm -f -- <objects.idle
  rm -f objects.all objects.idle
  # Of a long history the last 500 lines stay.
  [ ! -f history.jsonl ] || awk 'END { exit NR > 1000 }' history.jsonl || {
    awk '{ line[NR % 500] = $0 } END { for (i = NR + 1; i <= NR + 500; i++) print line[i % 500] }' history.jsonl >history.new &&
      mv -f history.new history.jsonl
  }
)

# content MAX < lines "SHA256 p PATH": the bytes of each in hex, from the objects or else from its path, or
# from its path alone when the digest is "-". "-" is said of what is not there, "+" of more than MAX bytes.
content() {
  sed '/^$/d' | while IFS= read -r line; do
    from=$d/objects/${line%% *} line=${line#* }
    where
    [ -f "$from" ] || from=$root/$path
    if [ -L "$from" ]; then hex=$(readlink -n -- "$from" | hex)
    elif [ ! -f "$from" ] || [ ! -r "$from" ]; then hex=-
    elif [ "$(stat -c %s -- "$from")" -gt "$1" ]; then hex=+
    else hex=$(hex <"$from"); fi
    say "{\"id\":$id,\"event\":\"content\",\"hex\":\"$hex\"}"
  done
}
hex() { od -A n -v -t x1 | tr -d ' \n'; }

# releases: a line for each release that was ever made, and the numbers of those that are kept.
releases() {
  [ ! -f "$d/history.jsonl" ] || tell record <"$d/history.jsonl"
  set +f
  for file in "$d/releases"/*/state.json; do
    [ ! -f "$file" ] || { file=${file%/*}; printf '%s\n' "${file##*/}"; }
  done | sed '/[^0-9]/d' | tell kept
  set -f
}
# snapshot NUMBER: what was deployed when that release was made.
snapshot() {
  say "{\"id\":$id,\"event\":\"state\",\"state\":$(cat -- "$d/releases/$1/state.json")}"
  [ ! -f "$d/releases/$1/images" ] || tell image <"$d/releases/$1/images"
  set +f
  for file in "$d/releases/$1/manifest"/*; do
    [ -f "$file" ] || continue
    say "{\"id\":$id,\"event\":\"manifest\",\"unit\":\"${file##*/}\"}"
    tell entry <"$file"
  done
  set -f
}

# job COMMAND…: runs it beside the others; its output and its exit status are told when it ends.
job() {
  jobs=1
  (
    out=$("$@" 2>&1 </dev/null); rc=$?
    # A command may end with any status, so none of them says that its time was over.
    [ "$1" != hook ] || [ ! -e "$d/late.$id" ] || { rm -f "$d/late.$id"; rc=-1; }
    { flock 8; [ -z "$out" ] || printf '%s\n' "$out" | text out; printf '%s\n' "{\"id\":$id,\"event\":\"done\",\"rc\":$rc}"; } 8>>"$d/print"
  ) &
}
compose() { umask 022; cd "$1" && shift && docker compose "$@"; }
# hook DIR SECONDS CONTAINER ARGUMENT…: docker compose, which has so much time and no more, even if nobody
# waits for it. What it leaves of its container goes. Who watches the time holds nothing of ours.
hook() {
  dir=$1 seconds=$2 container=$3; shift 3
  rm -f "$d/late.$id"
  drop "$container"
  (umask 022; cd "$dir" && exec docker compose "$@") & child=$!
  (
    while [ "$seconds" -gt 0 ] && kill -0 "$child"; do sleep 1; seconds=$((seconds - 1)); done
    kill -0 "$child" || exit
    : >"$d/late.$id"
    # Before version 25 docker awaits its plugin, whatever it is told (https://github.com/docker/cli/issues/4402),
    # and killed alone it leaves it behind.
    # shellcheck disable=SC2046 # a list of ids
    kill -9 $(family "$child")
  ) >/dev/null 2>&1 9>&- &
  wait "$child" 2>/dev/null; rc=$?
  [ ! -e "$d/late.$id" ] || drop "$container"
  return $rc
}
# family PID: it and all that it has started, and so on, those that have started others first.
family() {
  set +f
  cat /proc/[0-9]*/stat 2>/dev/null | awk -v pid="$1" '
    { own = $1; sub(/.*\) [^ ]* /, ""); parent[own] = $1 }
    END {
      all[pid]; print pid
      do {
        more = 0
        for (p in parent) if (!(p in all) && (parent[p] in all)) { all[p]; print p; more = 1 }
      } while (more)
    }'
}
# drop CONTAINER: removes what `docker compose run` has made (- is none), and nothing else of that name.
drop() {
  [ "$1" = - ] || [ "$(docker inspect --type container --format '{{index .Config.Labels "com.docker.compose.oneoff"}}' "$1" 2>/dev/null)" != True ] ||
    docker rm -f "$1" >/dev/null 2>&1 || :
}
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
  ! printf '%s\n' "$out" | grep -v -e '^{' -e '^$' -e 'No such container'
}

# left DIR: what is in a folder below the root, one level deep.
left() {
  cd "$root/$1" 2>/dev/null || return 0
  set +f
  for entry in * .[!.]* ..?*; do [ ! -e "./$entry" ] && [ ! -L "./$entry" ] || printf '%s\n' "$entry"; done
  set -f
  cd "$root" || return 1
}
# quietly COMMAND…: what it prints is told as text, whatever it is.
quietly() {
  out=$("$@" 2>&1 </dev/null); rc=$?
  [ -z "$out" ] || printf '%s\n' "$out" | tell out
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
# write_state JSON, write_history JSON: one line each.
write_state() { printed "$1" >"$d/state.json.new" && flush "$d/state.json.new" && mv -f "$d/state.json.new" "$d/state.json"; }
write_history() {
  f=$d/history.jsonl
  # A line that found the disk full has no end.
  [ ! -s "$f" ] || [ -z "$(tail -c 1 -- "$f")" ] || printf '\n' >>"$f"
  printed "$1" >>"$f" && flush "$f"
}
# A shell that cannot print does not say why; cat does.
printed() { printf '%s\n' "$1" 2>/dev/null || { printf '\n' | cat; return 1; }; }

while busy=; [ -z "$ended" ] && beat idle && IFS= read -r line; do
  busy=1; beat busy
  IFS=' '
  # shellcheck disable=SC2086 # to be split
  set -- $line
  unset IFS
  [ $# -gt 1 ] || continue
  id=$1 command=$2; shift 2
  left=$#
  while [ $left -gt 0 ]; do decode "$1"; shift; set -- "$@" "$v"; left=$((left - 1)); done
  case $command in
    open) open_ "$@" || { answer 1; exit 1; }; answer 0 ;;
    receive) st=$1/.ghdeploy/stage; receive "$2"; exit $? ;;
    stage) out=$(dd bs="$1" count=1 iflag=fullblock status=none | receive few 2>&1); rc=$?
      [ -z "$out" ] || printf '%s\n' "$out" | tell out; answer $rc ;;
    facts) facts "$1"; answer $? ;;
    probe) take "$2" || continue
      if [ "$1" = hash ]; then v=$(printf '%s\n' "$v" | present); fi
      printf '%s\n' "$v" | sed '/^$/d' | probed "$1" | tell found; answer 0 ;;
    state | history) take "$1" || continue; quietly "write_$command" "$v"; answer $? ;;
    candidate | swap | restore | fetch | release | left) quietly "$command" "$1"; answer $? ;;
    containers) out=$(containers 2>&1 </dev/null); rc=$?
      if [ $rc = 0 ]; then [ -z "$out" ] || say "$out"; else printf '%s\n' "$out" | tell out; fi; answer $rc ;;
    compose) dir=$root/$1; [ "$2" = live ] || dir=$st/$3/candidate/$1; shift 3; job compose "$dir" "$@" ;;
    hook) dir=$root/$1; shift; job hook "$dir" "$@" ;;
    docker) if [ -n "$locked" ] && [ -d "$st" ]; then job docker "$@"; else quietly docker "$@"; answer $?; fi ;;
    beat) answer 0 ;;
    writable) quietly writable "$1"; answer $? ;;
    remove) job remove_service "$@" ;;
    releases) releases; answer 0 ;;
    snapshot) [ -f "$d/releases/$1/state.json" ] || { answer 1; continue; }
      snapshot "$1"; answer 0 ;;
    content) take "$2" || continue
      printf '%s\n' "$v" | content "$1"; answer 0 ;;
    finish) wait; jobs=; answer 0; rm -rf "$st"; collect "$1"; seal ;;
    *) trouble command "$command"; answer 2 ;;
  esac
done
leave
