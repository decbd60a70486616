# shellcheck shell=sh
# Lines: the text forms that come from the client and lie in manifests, and a look at one path in the same
# form.
#
# A manifest line is "KIND MODE SIZE SHA256 NAME", a path line "p NAME". A capital KIND or P says that NAME
# has escapes. The kinds of a manifest are f (file) and l (link); those of a look are also d directory, o
# something else, u unreadable and m missing; e is a directory that is empty.

# take BYTES: sets value to the lines that follow a command. The last of them must be "end", so that truncated
# data does not pass for the whole.
take() {
  value=$nl$(dd bs="$1" count=1 iflag=fullblock status=none)
  case $value in *"${nl}end") value=${value%"${nl}end"} value=${value#"$nl"} ;; *) return 1 ;; esac
}
# take_short BYTES: the same for lines none of which is "end". The shell, which reads byte by byte, has read a
# kilobyte sooner than it has started dd.
take_short() {
  [ "$1" -le 1000 ] || { take "$1"; return; }
  value=
  while IFS= read -r line; do
    [ "$line" != end ] || { value=${value%"$nl"}; return 0; }
    value=$value$line$nl
  done
  return 1
}
# decode TEXT: sets value to the text without its escapes.
decode() { case $1 in *\\*) value=$(printf '%b.' "$1"); value=${value%.} ;; *) value=$1 ;; esac; }

# each COMMAND < manifest lines: calls "COMMAND KIND MODE SHA256 PATH NAME" for each, with the line in $line.
# Functions that are documented with these five parameters are such commands.
each() {
  while IFS= read -r line; do
    parse_entry
    "$1" "${line%% *}" "${mode%% *}" "${hash%% *}" "$path" "$name" || return 1
  done
}
# parse_entry, parse_path: take $line apart, a manifest line or a path line.
parse_entry() {
  name=${line#* * * * }; hash=${line#* * * }; mode=${line#* }
  case $line in [A-Z]*) decode "$name"; path=$value ;; *) path=$name ;; esac
}
parse_path() { name=${line#? }; case $line in P*) decode "$name"; path=$value ;; *) path=$name ;; esac; }

# plain_paths < manifest lines: "./PATH" of those without escapes. with_lines COMMAND… < lines: runs it with
# the lines as its last arguments, in as many calls as it takes.
plain_paths() { sed -n 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /.\//p'; }
with_lines() { tr '\n' '\0' | xargs -0 -r "$@"; }
# sums < manifest lines: plain files in the format of sha256sum, which leaves their names as they are.
sums() { sed -n 's/^f [0-7]* [0-9]* \([0-9a-f]*\) /\1  .\//p'; }

# look PATH NAME: sets found to a manifest line about PATH, below the working directory, as it is now.
look() {
  kind=f; mode=644; hash=-
  if [ "$absent" = barred ]; then kind=u
  elif [ -n "$absent" ]; then kind=m
  elif [ -L "./$1" ]; then kind=l; mode=777; hash=$(readlink -n "./$1" | sha256sum)
  elif [ -d "./$1" ]; then
    kind=d
    ! is_empty "./$1" || kind=e
  elif [ -f "./$1" ]; then
    [ ! -x "./$1" ] || mode=755
    hash=$({ hash_open "$1" 7<"./$1"; } 2>/dev/null) || { kind=u; hash=-; }
  elif [ -e "./$1" ]; then kind=o
  else kind=m; fi
  mark_escapes "$2"
  found="$kind $mode 0 ${hash%% *} $2"
}
# is_empty FOLDER: whether it has no entry. Of a folder that this user may not read, that is not known.
is_empty() (
  [ -r "$1" ] && cd "$1" 2>/dev/null || exit 1
  set +f
  for entry in * .[!.]* ..?*; do if [ -e "./$entry" ] || [ -L "./$entry" ]; then exit 1; fi; done
)
# hash_open FILE: the digest of fd 7, which is that file.
hash_open() { is_open "$1" && sha256sum <&7; }
# mark_escapes NAME: makes kind a capital if NAME has escapes.
mark_escapes() {
  case $1 in *\\*) ;; *) return ;; esac
  case $kind in
    f) kind=F ;; l) kind=L ;; m) kind=M ;; d) kind=D ;; e) kind=E ;; o) kind=O ;; u) kind=U ;;
  esac
}
# differs KIND MODE SHA256 PATH NAME: whether something else lies at PATH. Only the executable bit of the mode
# counts.
differs() {
  look "$4" "$5"
  case $2 in 7*) want="$1 7?? 0 $3 *" ;; *) want="$1 6?? 0 $3 *" ;; esac
  # shellcheck disable=SC2254 # a pattern is meant
  case $found in $want) return 1 ;; esac
}
# print_found, print_wanted KIND MODE SHA256 PATH NAME: if something else lies at PATH, the line about that,
# or the line itself.
print_found() { ! differs "$@" || print "$found"; }
print_wanted() { ! differs "$@" || print "$line"; }
