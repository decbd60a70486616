# shellcheck shell=sh
# Folders: the way to a managed file. A link on it may lead anywhere.
#
# A container that may write to a folder can put a link in the place of a folder below it at any moment. Who
# follows the link reads and writes elsewhere, with the rights of this user. So managed files are only reached
# through `enter`, and named by their last component from there. There is one exception: a link in the place
# of a project's own folder, or of a folder above it. An administrator who moves a project to another disk
# leaves such a link, and no container can make one that has only folders of the project.

# know_movable [UNIT]: sets movable, the folders that may be links: those of all known projects and of UNIT,
# and those above them.
know_movable() {
  # A run asks for what it knows already.
  case ${1-} in
    '' | *[%+*]*) ;;
    *) case $movable in *"$nl$1$nl"*) return ;; esac ;;
  esac
  movable=$nl$(
    print "$units" "${1-}"
    set +f
    print "$data/manifest"/* "$data/pending"/*
  )
  # The name of a unit is the path of its folder, with %XX for most bytes that are not plain.
  movable=$nl$(print "$movable" | awk '
    function digit(at) { return index("0123456789ABCDEF", substr(name, at, 1)) - 1 }
    {
      name = $1; folder = ""; sub(/.*\//, "", name)
      if (name ~ /^[+*]/) next
      while (at = index(name, "%")) {
        folder = folder substr(name, 1, at - 1) sprintf("%c", digit(at + 1) * 16 + digit(at + 2))
        name = substr(name, at + 3)
      }
      folder = folder name
      while (!(folder in seen)) {
        seen[folder]; print folder
        if (!sub(/\/[^\/]*$/, "", folder)) break
      }
    }')$nl
}

# enter FOLDER: goes to FOLDER, a path below the root, or "." for the root. Sets absent to "missing" if there
# is no such folder. Fails, and sets absent to "barred", if a link is on the way. $movable must be known.
#
# No name is trusted: the kernel says which folder the working directory is. Names may change afterwards, but
# they do not move the working directory.
enter() {
  absent='' base=$1
  until [ "$base" = . ]; do
    case $movable in *"$nl$base$nl"*) break ;; esac
    case $base in */*) base=${base%/*} ;; *) base=. ;; esac
  done
  cd -P "$root/$base" 2>/dev/null || { absent=missing; return 0; }
  [ "$base" != "$1" ] || return 0
  here=$PWD rest=$1
  [ "$base" = . ] || rest=${1#"$base/"}
  if cd -P "./$rest" 2>/dev/null; then
    [ "$PWD" != "${here%/}/$rest" ] || return 0
    cd "$here" || exit 1
  elif [ -d "./$rest" ]; then print "$1 cannot be entered" >&2; absent=barred; return 1
  else absent=missing
  fi
  at=.
  IFS=/
  for part in $rest; do
    at=$at/$part
    [ ! -L "$at" ] || { unset IFS; barred "${1%"$rest"}${at#./}" "$at"; return; }
    # Whether the folder is there, only its owner sees.
    [ ! -d "$at" ] || [ -x "$at" ] || {
      unset IFS
      print "${1%"$rest"}${at#./} cannot be entered" >&2
      absent=barred
      return 1
    }
  done
  unset IFS
  [ -n "$absent" ] || barred "$1" "$1"
}
# barred NAME PATH: says that a link is at PATH, below the working directory, and fails.
barred() {
  absent=barred
  print "$1 is a link to $(readlink -- "./$2"), and the files below it are not touched" >&2
  return 1
}
# make_folders BYTES, followed by path lines: makes those folders below the root that are missing, as far as
# this user may. Docker would make them the folders of root.
make_folders() {
  take "$1" || return 1
  know_movable
  umask 022
  print "$value" | sed '/^$/d' | while IFS= read -r line; do
    parse_path
    above=. names=$path/
    while [ -n "$names" ] && enter "$above" 2>/dev/null && [ -z "$absent" ]; do
      entry=${names%%/*} names=${names#*/}
      [ -d "./$entry" ] || mkdir -- "./$entry" 2>/dev/null || break
      if [ "$above" = . ]; then above=$entry; else above=$above/$entry; fi
    done
  done
  :
}
# each_in COMMAND < manifest lines: like `each`, in the folder of each file. PATH is its name there.
each_in() {
  inside=
  while IFS= read -r line; do
    parse_entry
    go_beside "$path" || :
    "$1" "${line%% *}" "${mode%% *}" "${hash%% *}" "${path##*/}" "$name" || return 1
  done
}
# go_beside PATH: goes to the folder that holds PATH. $inside is the one that it went to last.
go_beside() {
  case $1 in */*) dir=${1%/*} ;; *) dir=. ;; esac
  if [ "$dir" = "$inside" ]; then [ "$absent" != barred ]; else inside=$dir; enter "$dir"; fi
}

# ways < manifest lines or path lines: the folders that lead to them, as path lines, each after those above
# it. Those that are movable are left out, unless their names have escapes.
ways() {
  { print "$movable" | sed 's/^/m /'; cat; } | awk '
    $1 == "m" && !lines { skip[substr($0, 3)]; next }
    {
      lines = 1
      kind = $1 ~ /[A-Z]/ ? "P " : "p "
      if ($1 == "p" || $1 == "P") sub(/^. /, ""); else sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "")
      for (n = 0; sub(/\/[^\/]*$/, "") && !(kind $0 in seen); ) { seen[kind $0]; found[++n] = $0 }
      for (; n; n--) if (kind == "P " || !(found[n] in skip)) print kind found[n]
    }'
}
# are_folders: whether no link is on the way to any managed file, as far as the last run knew them.
are_folders() {
  [ -r "$data/folders" ] || return 1
  IFS=$nl
  # shellcheck disable=SC2013 # lines are meant, and `read` would be slow
  for line in $(cat "$data/folders"); do
    parse_path
    [ ! -L "./$path" ] || return 1
  done
}
# links < path lines of folders: those that are links and must not be. $movable must be known.
links() {
  at=
  while IFS= read -r line; do
    parse_path
    [ -z "$at" ] || case $path in "$at"/*) continue ;; esac
    [ -L "./$path" ] || continue
    case $movable in *"$nl$path$nl"*) continue ;; esac
    at=$path
    print "$line"
  done
}
# report_links PATH-LINES: reports each with the target of the link.
report_links() {
  [ -n "$1" ] || return 0
  print "$1" | while IFS= read -r line; do
    parse_path
    printf '%s\t%s\n' "$line" "$(readlink -n -- "./$path" | tr '\n\t' '??')"
  done | report link
}
# reachable PATH-LINES < lines that end like manifest lines or path lines: those of files that are not below
# one of these links.
reachable() {
  if [ -z "$1" ]; then cat; return; fi
  { print "$1"; print; cat; } | awk '
    !lines { if ($0 == "") lines = 1; else link[$0]; next }
    {
      path = $0
      if ($1 == "x" || $1 == "h") sub(/^. /, "", path)
      kind = path ~ /^[A-Z]/ ? "P " : "p "
      if (path ~ /^[pP] /) sub(/^. /, "", path); else sub(/^[^ ]* [^ ]* [^ ]* [^ ]* /, "", path)
      while (sub(/\/[^\/]*$/, "", path)) if (kind path in link) next
      print
    }'
}
# is_open FILE: whether fd 7 is that file of the working directory, and not one that a link leads to. A writer
# of the folder may change the name between any two looks at it.
is_open() { [ "$(stat -L -c %d:%i /proc/self/fd/7)" = "$(stat -c %d:%i "./$1")" ]; }
