# shellcheck shell=sh
# Facts: what is deployed, and what lies at the paths that a client asks for.

# facts containers|files BYTES BYTES, followed by lines "UNIT SHA256" or "UNIT SHA256 long", and by the lines
# of host_only: reports the state; for each unit "same", if its manifest has that digest, or else its
# manifest or, if the wanted one is long, only its digest; pending manifests; the files that deviate; what
# host_only reports; and the containers, if those are asked for.
facts() {
  { is_rest_clean && are_folders; } & rest=$!
  # They come as two texts, because a shell takes long to cut a long one in two.
  take "$2" || return 1
  wants=$nl$value$nl units=$value
  take_short "$3" || return 1
  asked=$value
  report_records; proven=$?
  if [ "$1" = files ]; then [ -z "$named" ] || print "$named" | report_named
  else
    # Docker has worked on a list that was begun early meanwhile.
    out=$(listed_containers)
    [ -z "$early" ] || { early=; exec 4<&-; }
    report_containers "${out##*"$nl= "}" "${out%"$nl= "*}"
  fi
  case $proven in
    2) ;;
    0) wait "$rest" || proven= ;;
    *) proven= ;;
  esac
  [ -n "$pending" ] || [ -z "$proven" ] || return 0
  know_movable
  way=$(set +f; cat "$data/manifest"/* "$data/pending"/* 2>/dev/null | ways | links)
  report_links "$way"
  # After a swap that was interrupted, any of its files may have arrived.
  [ -z "$pending" ] || (set +f; cat "$data/pending"/*) |
    sed 's/^[fl] [0-7]* [0-9]* [0-9a-f]* /p /; s/^[FL] [0-7]* [0-9]* [0-9a-f]* /P /' |
    reachable "$way" | existing | probe hash | report found
  [ -z "$proven" ] || return 0
  unsealed=1
  out=$(deviations) || { output 'the files could not be compared with the records'; return 1; }
  [ -z "$out" ] || print "$out" | report found
}
# report_records: reports the state and the manifests of units. Sets named to what host_only reports, and
# pending if there are pending manifests. The status is 0 if the first half of the files is provably as it was
# deployed, and 2 if nothing is recorded.
report_records() {
  named='' pending=''
  hash_manifests
  is_clean & clean=$!
  [ -z "$asked" ] || { make_key; named=$(look_at_host_only "$asked"); }
  [ ! -e "$data/run.json" ] || report note <"$data/run.json"
  [ ! -e "$data/state.json" ] || report_state "$data/state.json"
  out='' left=$digests$nl
  set +f
  for file in "$data/manifest"/* "$data/pending"/*; do
    [ -f "$file" ] || continue
    unit=${file##*/} which=${file%/*} which=${which##*/}
    if [ "$which" = manifest ]; then
      # The lines are in the same order.
      value=${left%%"$nl"*}
      case $value in
        *"  $unit") left=${left#*"$nl"} ;;
        *) value=$digests$nl; value=${value%%"  $unit$nl"*}; value=${value##*"$nl"} ;;
      esac
      hash=${value%% *}
      case $wants in
        *"$nl$unit $hash$nl"* | *"$nl$unit $hash long$nl"*)
          out="$out{\"id\":$id,\"event\":\"same\",\"unit\":\"$unit\"}$nl"; continue ;;
        *"$nl$unit "*)
          want=${wants#*"$nl$unit "}
          case ${want%%"$nl"*} in *' long')
            value="\"unit\":\"$unit\",\"digest\":\"$hash\""
            out="$out{\"id\":$id,\"event\":\"differs\",$value}$nl"; continue ;; esac ;;
      esac
    else pending=1
    fi
    report_manifest "$which" "$file"
  done
  set -f
  [ -z "$out" ] || emit "${out%"$nl"}"
  [ -n "$digests" ] || return 2
  wait "$clean" || return 1
}
# report_state FILE: reports a state. What is not JSON makes an event that is not JSON.
report_state() { event state "\"state\":$(tr '\n' ' ' <"$1")"; }
# report_manifest manifest|pending FILE: reports the file as the manifest of the unit of that name. The last
# entry is "\end", unless the file is cut off; and bytes that no manifest has are not left out.
report_manifest() {
  event "$1" "\"unit\":\"${2##*/}\""
  { cat -- "$2"; print '\end'; } | tr '\000-\010\013-\037\177' '\134' | report entry
}
# manifest UNIT BYTES, followed by checks of the client's manifest of this unit: reports how the recorded one
# can be made of it, see src/host/comparison.rs; or without checks the recorded one.
manifest() {
  take "$2" || return 1
  file=$data/manifest/$1
  [ -n "$value" ] || { report_manifest manifest "$file"; return; }
  print "$value" | awk '
    function tell() { if (same) print "=" same; same = 0 }
    k == "c" { check[++n] = $0; at = 1; next }
    {
      own = substr($4, 1, 5) length($0) % 10
      for (i = at; i <= n && i < at + 200 && check[i] != own; ) i++
      if (i > n || check[i] != own) { tell(); print "+" $0; next }
      if (i > at) { tell(); print "-" (i - at) }
      same++; at = i + 1
    }
    END { tell(); if (n >= at) print "-" (n - at + 1) }' k=c - k=m "$file" |
    tr '\000-\010\013-\037\177' '\134' | report entry
}

# probe_new < path lines of files, and lines "u UNIT" about the units that they are of: reports what lies at
# each path, and the links on the way there.
probe_new() {
  all=$(cat)
  units=$units$nl$(print "$all" | sed -n 's/^u //p') all=$(print "$all" | sed '/^[pP] /!d')
  know_movable
  way=$(print "$all" | ways | links)
  report_links "$way"
  print "$all" | reachable "$way" | existing | probe hash | report found
}
# existing < path lines below the root: those at whose path something lies or, behind a folder that is closed
# to the user, may lie, and all with escapes.
existing() {
  all=$(cat)
  print "$all" | sed -n '/^P/p'
  print "$all" | sed -n 's/^p /.\//p' |
    (cd "$root" 2>/dev/null || exit; with_lines stat -c '%n' 2>/dev/null) | sed 's/^\.\//p /'
  closed=$(print "$all" | ways | (cd "$root" 2>/dev/null || exit
    while IFS= read -r line; do
      parse_path
      [ ! -d "./$path" ] || [ -x "./$path" ] || print "$line"
    done))
  [ -z "$closed" ] || { print "$closed"; print; print "$all"; } | awk '
    !lines { if ($0 == "") lines = 1; else closed[substr($0, 3)]; next }
    /^p / { path = substr($0, 3); while (sub(/\/[^\/]*$/, "", path)) if (path in closed) { print; next } }'
}
# probe hash|type < path lines: a manifest line about each path. With "type" nothing is hashed, absolute paths
# are taken as they are, and "~/" is the home directory. With "hash" many files are hashed at a time: "+f" and
# "+x" mark them.
probe() {
  inside=
  out=$(while IFS= read -r line; do
    parse_path
    if [ "$1" = type ]; then
      # shellcheck disable=SC2088 # a literal tilde is meant
      case $path in '~/'*) full=${HOME-}/${path#??} ;; /*) full=$path ;; *) full=$root/$path ;; esac
      if [ -f "$full" ]; then kind=f
      elif [ -d "$full" ]; then kind=d
      elif [ -e "$full" ]; then kind=o
      elif [ -L "$full" ]; then kind=l
      else kind=m; fi
      mark_escapes "$name"
      print "$kind 644 0 - $name"
      continue
    fi
    go_beside "$path" 2>/dev/null || { look . "$name"; print "$found"; continue; }
    full=./${path##*/}
    if [ -n "$absent" ]; then continue
    elif [ -f "$full" ] && [ ! -L "$full" ] && [ -r "$full" ] && [ "${line%% *}" = p ]; then
      if [ -x "$full" ]; then print "+x $name"; else print "+f $name"; fi
    elif [ -L "$full" ] || [ -e "$full" ]; then look "${path##*/}" "$name"; print "$found"; fi
  done)
  print "$out" | sed -n '/^[^+]/p'
  [ "$1" = type ] || for value in f:644 x:755; do
    print "$out" | sed -n "s/^+${value%:*} /.\\//p" | with_lines sha256sum -- 2>/dev/null |
      sed "s/^\\([0-9a-f]*\\)  \\.\\//f ${value#*:} 0 \\1 /"
  done
}
