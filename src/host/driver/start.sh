# shellcheck shell=sh
# The start of the driver, the part of ghdeploy that runs on the host: its protocol, the settings of the shell
# and the variables that the parts share. The parts are joined in the order that src/host/script.rs lists.
#
# The driver reads one command per line from stdin, "ID COMMAND ARGUMENT…", and answers with JSON events, one
# per line. The last one of a command is {"id":ID,"event":"done","rc":RC}. "ID +COMMAND ARGUMENT…" is carried
# out only if the command before it has succeeded, and fails otherwise. Arguments that hold blanks,
# backslashes or control characters are written with the escapes of printf %b. Long data follows the line, and
# the last argument is its size in bytes, because a shell reads its stdin byte by byte. At EOF the driver
# waits for the jobs that it has started and exits. Every child inherits fd 9, the lock, so the lock is free
# only when all of them have exited.
#
# It needs sh (dash, bash, mksh, BusyBox ash), tar, gzip, sha256sum, flock, stat, xargs, find, awk, sed, tr,
# dd, od, readlink and, where services have to act, Docker Compose v2. It prints the content of a file only
# for the command `content`.
#
# It may be killed between any two commands, and any write may find the disk full. Therefore content is
# complete and on the disk before it is renamed into place, and a step is recorded after it is done.
#
# POSIX sh has no local variables. These have a meaning outside the function that sets them; all others are
# working variables of one function, which it sets before it reads them.
#
#   variable  set by           meaning
#   nl        start            a newline
#   mark      start            the word by which the client recognises the driver
#   early     start            not empty if fd 4 has a list of containers that counts
#   label     start            the prefix of Compose's labels
#   busy      main             not empty while a command is carried out
#   ended     start (on TERM)  not empty once a stop was requested: no further command is read
#   upload    receive          the process of the upload that is under way
#   id        main             the number of the command
#   status    answer           the status of the last command that was no job
#   released  main             the release whose images are still to be listed
#   root      open_root        the root, absolute; the working directory of every step below
#   data      open_root        ROOT/.ghdeploy
#   stage     open_root        ROOT/.ghdeploy/stage/PID, the stage of this run
#   locked    open_root        not empty while this driver holds the lock
#   scratch   make_scratch     the stage of a driver that only looks, outside of the root
#   prints    open_root        the file that jobs lock to print
#   missing   open_root        the tools that the host lacks, each after a blank
#   jobs      job              not empty once a job was started
#   keeps_output  job          not empty in a job
#   looks     main             the ids of the containers that a job reports once it has succeeded; "-": of all
#   digests   hash_manifests   lines "SHA256  UNIT": the digests of all recorded manifests
#   named     report_records   what host_only reports, for report_named
#   pending   report_records   not empty if a swap was interrupted
#   unsealed  facts            not empty if the listing proved nothing, so that a new one is worth making
#   value     take, decode     their result
#   line      each, loops      the line that is being read
#   path      parse_*          its path, decoded
#   name      parse_*          its path in text form
#   mode      parse_entry      mode, size, digest and name of a manifest line
#   hash      parse_entry      digest and name of a manifest line
#   found     look             a manifest line about a path as it is now
#   kind      look, probe      the kind in that line
#   staged    each command     the folder of the command's unit in the stage
#   copies    keep, store      digests of the copies that are not among the objects yet
#   copied    keep, store      how many those are
#   claimed   claim            not empty if the file in pending/ is the very manifest that will be recorded
#   to        stage_kept       the folder that `take_kept` copies to
#   units     facts, probe_new lines that begin with the units that are wanted
#   movable   know_movable     the folders that may be links, each on a line
#   absent    enter            not empty if there is no such folder, or a link is on the way
#   inside    go_beside        the folder that it went to last, or empty
#   way       facts, seal      path lines of the links that are on the way to managed files
#   from      object           the path of an object
#   plugin    find_compose     Compose's program, or empty
set -u -f
mark=$1 early=${2-}
# Only these variables of the session reach Docker. Any other one would decide over the host's own .env, as
# COMPOSE_FILE would, or fill in a ${VARIABLE} of a compose file, unseen. src/state/host_only.rs has the same
# list.
nl='
'
IFS=$nl
for name in $(export -p); do
  name=${name%%=*} name=${name##* }
  case $name in
    PATH | HOME | USER | LOGNAME | SHELL | PWD | TMPDIR | XDG_RUNTIME_DIR | XDG_CONFIG_HOME | \
      SSH_AUTH_SOCK | DOCKER_HOST | DOCKER_CONTEXT | DOCKER_CONFIG | DOCKER_CERT_PATH | DOCKER_TLS | \
      DOCKER_TLS_VERIFY | DOCKER_API_VERSION | DOCKER_BUILDKIT | BUILDX_BUILDER | BUILDX_CONFIG | \
      SSL_CERT_FILE | SSL_CERT_DIR | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | ALL_PROXY | http_proxy | \
      https_proxy | no_proxy | all_proxy) ;;
    # A further line of a value.
    '' | [0-9]* | *[!A-Za-z0-9_]*) ;;
    # Some variables of some shells cannot be unset.
    *) command unset -v "$name" 2>/dev/null || : ;;
  esac
done
unset IFS
export PWD LC_ALL=C
# What the driver keeps for itself is private. Steps that write to the live tree set a umask of their own.
umask 077
# A login to a registry may be in the memory of this process.
# shellcheck disable=SC3045 # all of these shells have it
ulimit -c 0 2>/dev/null || :
# The loss of the client must not stop a step half way: a write to a closed pipe fails and is ignored.
trap '' HUP PIPE
# A stop request lets the command finish. A shell that waits for a line may go on waiting after a trap.
trap 'ended=1; stop_upload; [ -n "$busy" ] || { leave; exit; }' TERM
label=com.docker.compose
busy='' ended='' upload='' locked='' scratch='' prints='' jobs='' keeps_output='' missing='' unsealed=''
digests='' root='' data='' stage='' looks='' released='' status=0
units='' movable='' absent='' inside='' way=''
# The client ignores what login files have printed before this, also if their last line has no end.
printf '\n%s\n' "$mark"
