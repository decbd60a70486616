# shellcheck shell=sh
# Releases: the state, the history, what the last releases need, and the removal of what none of them needs.

# write_state JSON, write_history JSON: record one line each.
write_state() {
  file=$data/state.json
  print_lines "$1" >"$file.new" && flush "$file.new" && mv -f "$file.new" "$file"
}
# write_note JSON: notes the run that is under way, or, if JSON is empty, that it has ended.
write_note() {
  file=$data/run.json
  if [ -z "$1" ]; then rm -f "$file"
  else print_lines "$1" >"$file.new" && flush "$file.new" && mv -f "$file.new" "$file"; fi
}
write_history() {
  file=$data/history.jsonl
  # A line that was cut off by a full disk has no end.
  [ ! -s "$file" ] || [ -z "$(tail -c 1 -- "$file")" ] || printf '\n' >>"$file"
  print_lines "$1" >>"$file" && flush "$file"
}
# print_lines TEXT…: like print. A shell that fails to print does not say why; cat does.
print_lines() { print "$@" 2>/dev/null || { printf '\n' | cat; return 1; }; }

# release NUMBER: keeps what is recorded now under this number, so that a rollback can return to it. `value`
# is what list_images prints, if the client knows it; "later": it is listed at the end of the run.
release() (
  new=$data/releases/new
  # The state is copied: that of the last release takes the place of a damaged one.
  { [ ! -e "$new" ] && [ ! -e "$data/releases/$1" ] || rm -rf "$new" "$data/releases/$1"; } &&
    mkdir -p -- "$new/manifest" && cp -p -- "$data/state.json" "$new" && flush "$new/state.json" || exit 1
  set +f
  for file in "$data/manifest"/*; do
    [ ! -e "$file" ] || link "$data/manifest"/* "$new/manifest" || exit 1
    break
  done
  case $value in
    later) ;;
    '') list_images >"$new/images" ;;
    *) print "$value" >"$new/images" ;;
  esac
  # The uploaded content is kept as well, because a file may be edited in place before it is replaced. Whether
  # it has the digest that it is named by is checked when it is used.
  for file in "$stage/+objects"/*; do
    [ ! -e "$file" ] || mv -f -- "$stage/+objects"/* "$data/objects/" || exit 1
    break
  done
  mv -- "$new" "$data/releases/$1" &&
    { [ ! -e "$data/kept" ] || mv -f -- "$data/kept" "$data/releases/$1/kept"; }
)
# list_images: prints the image that each service runs or ran to its end: "ID PROJECT SERVICE NAME". The name
# may mean another image later.
list_images() {
  ids=$(docker ps -aq --filter "label=$label.oneoff=False")
  format="{{.Image}} {{index .Config.Labels \"$label.project\"}} {{index .Config.Labels \"$label.service\"}}"
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || inspect "$format {{.Config.Image}}" $ids || :
} 2>/dev/null </dev/null
# link FILE… FOLDER: the same files in another folder. None of them is ever written to.
link() { ln -- "$@" 2>/dev/null || cp -p -- "$@"; }

# collect KEEP RELEASE…: removes all releases but the last KEEP and those RELEASEs, and the objects to which
# no kept release and no recorded or pending manifest refers. A list that is damaged or cannot be read might
# refer to any object, so then all of them stay. This takes no room: the disk may be full.
collect() (
  cd "$data" && [ -d releases ] || exit 0
  set +f
  for dir in releases/*; do print "${dir##*/}"; done | awk -v keep="$1" -v stay="$*" '
    /^[0-9]+$/ {
      all[++n] = $0 + 0
      for (i = n; i > 1 && all[i - 1] < all[i]; i--) { swap = all[i]; all[i] = all[i - 1]; all[i - 1] = swap }
    }
    END {
      words = split(stay, word, " ")
      for (i = 2; i <= words; i++) stays[word[i] + 0]
      for (i = keep + 1; i <= n; i++) if (!(all[i] in stays)) print "releases/" all[i]
    }' | xargs -r rm -rf --
  lists=$(find . '(' -path ./objects -o -path ./stage ')' -prune -o \
    -type f '(' -path '*/manifest/*' -o -path '*/pending/*' -o -name kept ')' -print) || exit 1
  [ -n "$lists" ] || exit 0
  # Releases share most of their manifests by hard links: each is read once.
  # shellcheck disable=SC2086 # names without blanks
  lists=$(stat -c '%i %n' $lists) || exit 1
  lists=$(print "$lists" | awk '!seen[$1]++ { print $2 }')
  # shellcheck disable=SC2086
  unused=$(find objects -type f | awk '
    k == "u" {
      digest = NF > 1 ? $4 : $1
      if (length(digest) != 64 || digest !~ /^[0-9a-f]*$/) is_damaged = 1
      used[digest]; next
    }
    { name = $0; sub(/.*\//, "", name); if (!(name in used)) unused[name] }
    END { if (!is_damaged) for (name in unused) print "objects/" name }' k=u $lists k=o -) || exit 1
  print "$unused" | xargs -r rm -f --
  # A history of more than 1000 lines is cut to the last 500.
  [ ! -f history.jsonl ] || awk 'END { exit NR > 1000 }' history.jsonl || {
    awk '
      { line[NR % 500] = $0 }
      END { for (i = NR + 1; i <= NR + 500; i++) print line[i % 500] }' history.jsonl >history.new &&
      mv -f history.new history.jsonl
  }
)

# releases: reports the lines of the history, and the numbers of the releases that are kept.
releases() {
  # Its last line may be cut off, and has no end then.
  [ ! -f "$data/history.jsonl" ] || { cat -- "$data/history.jsonl"; print; } | sed '/^$/d' | report history
  set +f
  for file in "$data/releases"/*/state.json; do
    [ ! -f "$file" ] || { file=${file%/*}; print "${file##*/}"; }
  done | sed '/[^0-9]/d' | report kept
  set -f
}
# images: reports what the containers ran when the kept releases were made.
images() {
  set +f
  cat -- "$data/releases"/*/images 2>/dev/null | report image
  set -f
}
# snapshot NUMBER all|state: reports what was deployed when that release was made, or only its state.
snapshot() {
  from=$data/releases/$1
  report_state "$from/state.json"
  [ "$2" = all ] || return 0
  [ ! -f "$from/images" ] || { cat -- "$from/images"; print; } | sed '/^$/d' | report image
  set +f
  for file in "$from/manifest"/*; do
    [ ! -f "$file" ] || report_manifest manifest "$file"
  done
  set -f
}
# content MAX < lines "SHA256 p PATH": reports each content in hex: that object, or else, also if the digest
# is "-", what lies at the path. "-" stands for what is not there, "+" for more than MAX bytes, "!" for a file
# that only its owner may read and whose digest is "-".
content() {
  inside=''
  know_movable
  sed '/^$/d' | while IFS= read -r line; do
    hash=${line%% *} line=${line#* }
    parse_path
    if object "$hash"; then path=$from inside=''; cd "$data/objects" || path=
    elif ! go_beside "$path" 2>/dev/null || [ -n "$absent" ]; then path=
    fi
    file=${path##*/}
    if [ -z "$path" ]; then hex=-
    elif [ -L "./$file" ]; then hex=$(readlink -n -- "./$file" | hex)
    elif [ ! -f "./$file" ] || [ ! -r "./$file" ]; then hex=-
    elif case $hash$(stat -c %a -- "./$file") in -*00) ;; *) false ;; esac; then hex='!'
    elif [ "$(stat -c %s -- "./$file")" -gt "$1" ]; then hex=+
    else hex=$(hex_open "$file" 7<"./$file") || hex=-; fi
    event content "\"hex\":\"$hex\""
  done
}
hex() { od -A n -v -t x1 | tr -d ' \n'; }
# hex_open FILE: that of fd 7, which is that file.
hex_open() { is_open "$1" && hex <&7; }
