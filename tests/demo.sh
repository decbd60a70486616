#!/usr/bin/env bash
# Shows what ghdeploy does, on this machine, with a real sshd and a real Docker Engine: it deploys five projects
# to a "host" over SSH, changes one config file, and shows that only the service that mounts it restarts.
#
#   tests/demo.sh        as root, with sudo, or as a user in the group `docker`
#
# It installs what is missing (tests/setup.sh demo) and builds ghdeploy. It removes everything else at the end,
# also after a failure or Ctrl-C: containers, network, sshd, files. Nothing else on the machine is touched.
# Exits with 0 only if every claim was verified.
#   DEMO_BINARY=FILE      use this binary instead of building one
set -euo pipefail

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin              # sshd is there, and ordinary users lack it
PATH=${HOME:-/root}/.cargo/bin:$PATH    # where rustup puts cargo

say()  { printf '\n== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die()  { printf 'demo: %s\n' "$*" >&2; exit 1; }
run() { # prints the command, quoted as a shell needs it, then runs it
  local word
  printf '\n$'
  for word; do
    case $word in
      *[!A-Za-z0-9_./=:@,+-]*) printf " '%s'" "$word" ;;
      *)                       printf ' %s' "$word" ;;
    esac
  done
  echo
  "$@"
}

CLAIMS=0 FAILED=0
claim() { # TEXT COMMAND...: prints the text, and whether the command proves it
  local text=$1
  shift
  CLAIMS=$((CLAIMS + 1))
  if "$@"; then printf '   [ok]    %s\n' "$text"
  else
    FAILED=$((FAILED + 1))
    printf '   [FALSE] %s\n' "$text"
  fi
}

# The demo must use its own host and repository, not those that the caller's environment or workflow run names.
for name in $(compgen -v GHDEPLOY_) $(compgen -v GITHUB_) $(compgen -v GIT_); do
  case $name in GIT_SSL_*) ;; *) unset "$name" ;; esac
done

# ---------------------------------------------------------------------------------- machine, binary

say "Preparing: tools, ghdeploy, images"
run tests/setup.sh demo
docker version >/dev/null 2>&1 ||
  die "$(id -un) may not use Docker Engine: run 'sudo tests/demo.sh', or join the group docker and log in again"

build() {
  if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && ! command -v cargo >/dev/null; then
    # Under sudo, Rust and target/ belong to the calling user.
    # shellcheck disable=SC2016  # that user's $HOME
    sudo -H -u "$SUDO_USER" sh -c 'PATH=$HOME/.cargo/bin:$PATH; exec cargo build --locked'
  else
    cargo build --locked
  fi
}
if [ -n "${DEMO_BINARY:-}" ]; then
  binary=$(realpath "$DEMO_BINARY")
else
  printf '\n$ cargo build --locked\n'
  build
  binary=$(realpath "${CARGO_TARGET_DIR:-target}/debug/ghdeploy")
fi
run tests/images.sh

# ---------------------------------------------------------------------------------------- clean up

WORK=$(mktemp -d "${TMPDIR:-/tmp}/ghdeploy-demo.XXXXXX")
ROOT=$WORK/srv/services
ID=ghdeploy-demo-$$            # unique prefix of the Compose projects, by which the demo finds its own
SSHD_PID=''

containers() { # the IDs of the demo's containers, including stopped ones
  docker ps -a --format '{{.ID}} {{.Label "com.docker.compose.project"}}' |
    awk -v prefix="$ID-" 'index($2, prefix) == 1 { print $1 }'
}

# shellcheck disable=SC2317,SC2329  # called by trap
cleanup() {
  local rc=$? ids
  trap '' INT TERM HUP         # a second Ctrl-C must not interrupt the cleanup
  trap - EXIT
  set +e
  say "Cleaning up"
  if [ -n "$SSHD_PID" ]; then
    # The sessions first, because they are found by their parent.
    # shellcheck disable=SC2046
    kill $(pgrep -P "$SSHD_PID") "$SSHD_PID" 2>/dev/null
    wait "$SSHD_PID" 2>/dev/null
  fi
  # The step of an interrupted sync may still run on the host and hold the lock. Let it finish first.
  [ ! -e "$ROOT/.ghdeploy/lock" ] || flock -w 60 "$ROOT/.ghdeploy/lock" true
  ids=$(containers)
  # shellcheck disable=SC2086
  [ -z "$ids" ] || docker rm -f -v $ids >/dev/null
  ids=$(docker network ls -q --filter "name=^$ID-")
  # shellcheck disable=SC2086
  [ -z "$ids" ] || docker network rm $ids >/dev/null
  cd /
  rm -rf "$WORK" 2>/dev/null ||   # an ordinary user cannot remove what a container wrote as root
    docker run --rm -v "$WORK:/w" ghdeploy-test/busybox:1 sh -c 'rm -rf /w/* /w/.[!.]*'
  rm -rf "$WORK"
  note "removed the containers, the network, the sshd and the temporary files"
  exit "$rc"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# -------------------------------------------------------------------------------------------- sshd

say "A host: an sshd on loopback, with its own keys, that accepts only this demo"
mkdir "$WORK/ssh" "$WORK/bin"
ssh-keygen -q -t ed25519 -N '' -C ghdeploy-demo-host -f "$WORK/ssh/host_key"
ssh-keygen -q -t ed25519 -N '' -C ghdeploy-demo-client -f "$WORK/ssh/client_key"
cp "$WORK/ssh/client_key.pub" "$WORK/ssh/authorized_keys"
if [ "$(id -u)" = 0 ]; then mkdir -p /run/sshd; fi   # the empty directory that sshd needs if it runs as root
# Without PAM, sshd refuses accounts with a locked password, such as root on Ubuntu.
pam=no
case $(getent shadow "$(id -un)" 2>/dev/null | cut -d: -f2) in '!'*) pam=yes ;; esac

ssh_host() {
  ssh -F none -i "$WORK/ssh/client_key" -o IdentitiesOnly=yes -o BatchMode=yes -o LogLevel=ERROR \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$WORK/ssh/known_hosts" -o ConnectTimeout=5 \
    -p "$PORT" "$(id -un)@127.0.0.1" "$@"
}
in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_sshd() { # on PORT; fails if another process has taken the port
  cat >"$WORK/ssh/sshd_config" <<C
Port $PORT
ListenAddress 127.0.0.1
HostKey $WORK/ssh/host_key
PidFile none
AuthorizedKeysFile $WORK/ssh/authorized_keys
AllowUsers $(id -un)
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM $pam
UseDNS no
PrintMotd no
C
  echo "[127.0.0.1]:$PORT $(cut -d' ' -f1,2 "$WORK/ssh/host_key.pub")" >"$WORK/ssh/known_hosts"
  # In a separate session, so that Ctrl-C reaches the cleanup and not sshd. sshd requires its full path.
  setsid "$(command -v sshd)" -D -f "$WORK/ssh/sshd_config" -E "$WORK/ssh/log" </dev/null >/dev/null 2>&1 &
  SSHD_PID=$!
  for _ in $(seq 100); do
    kill -0 "$SSHD_PID" 2>/dev/null || return 1
    if ssh_host true 2>/dev/null; then return 0; fi
    sleep 0.05
  done
  return 1
}
up=''
for _ in 1 2 3 4 5; do
  PORT=$((20000 + RANDOM % 30000))
  if in_use "$PORT"; then continue; fi
  if start_sshd; then up=1; break; fi
  kill "$SSHD_PID" 2>/dev/null || true
done
if [ -z "$up" ]; then
  tail -n 5 "$WORK/ssh/log" >&2 || true
  die "the demo's sshd did not start"
fi
ssh_host docker compose version >/dev/null || die "docker compose does not work over SSH for $(id -un)"
note "$(id -un)@127.0.0.1:$PORT, projects below $ROOT"

# -------------------------------------------------------------------------------------- repository

say "A repository: one folder per project"
REPO=$WORK/repo
mkdir -p "$REPO"/services/{proxy/routes,web/html,crontab/crontabs,app,redis}
cd "$REPO"
printf '.env\ndata/\n' >.gitignore

cat >services/proxy/compose.yaml <<E
name: $ID-proxy
services:
  proxy:
    image: ghdeploy-test/web:1
    volumes: [./routes:/www:ro]
    networks: [edge]
networks:
  edge: {name: $ID-edge}
E
echo 'web -> web:8080' >services/proxy/routes/index.html

cat >services/web/compose.yaml <<E
name: $ID-web
services:
  web:
    image: ghdeploy-test/web:1
    command: [httpd, -f, -p, "8080", -h, /www, -c, /etc/httpd.conf]
    volumes:
      - ./httpd.conf:/etc/httpd.conf:ro
      - ./html:/www:ro
    networks: [edge]
  worker:
    image: ghdeploy-test/busybox:1
    command: [sleep, "86400"]
    stop_signal: SIGKILL
    networks: [edge]
networks:
  edge: {name: $ID-edge, external: true}
E
echo 'I:index.html' >services/web/httpd.conf
echo 'welcome'      >services/web/html/index.html
echo 'back soon'    >services/web/html/maintenance.html

cat >services/crontab/compose.yaml <<E
name: $ID-crontab
services:
  crontab:
    image: ghdeploy-test/busybox:1
    command: [crond, -f, -c, /etc/crontabs]
    stop_signal: SIGKILL
    volumes: [./crontabs:/etc/crontabs:ro]
    networks: [edge]
networks:
  edge: {name: $ID-edge, external: true}
E
echo '0 4 * * * echo nightly' >services/crontab/crontabs/root

cat >services/app/compose.yaml <<E
name: $ID-app
services:
  app:
    image: ghdeploy-test/busybox:1
    command: [sleep, "86400"]
    stop_signal: SIGKILL
    env_file: app.env
    environment:
      API_TOKEN: \${API_TOKEN}
    networks: [edge]
networks:
  edge: {name: $ID-edge, external: true}
E
echo 'LOG_LEVEL=info' >services/app/app.env

cat >services/redis/compose.yaml <<E
name: $ID-redis
services:
  redis:
    image: ghdeploy-test/busybox:1
    command: [sleep, "86400"]
    stop_signal: SIGKILL
    volumes:
      - ./redis.conf:/etc/redis.conf:ro
      - ./data:/data
    networks: [edge]
networks:
  edge: {name: $ID-edge, external: true}
E
echo 'appendonly yes' >services/redis/redis.conf

commit() { git -c user.name=demo -c user.email=demo@localhost -c commit.gpgsign=false commit -q -m "$1"; }
git -c init.defaultBranch=main init -q .
git add -A
commit 'Five projects'
run find services -type f

say "On the host, two things that are not in the repository: a .env with a secret, and data"
mkdir -p "$ROOT/app" "$ROOT/redis/data"
echo 'API_TOKEN=only-the-host-knows' >"$ROOT/app/.env"
head -c 4096 /dev/urandom >"$ROOT/redis/data/dump.rdb"
chmod 600 "$ROOT/app/.env"

# ------------------------------------------------------------------------------------ observations

# PROJECT/SERVICE CONTAINER STARTED STATE, one container per line
snapshot() {
  containers | xargs -r docker inspect --format \
    '{{index .Config.Labels "com.docker.compose.project"}}/{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.StartedAt}} {{.State.Status}}' |
    sed "s|^$ID-||" | sort
}
# The inode, mode, size and time of every file and folder on the host
host_files() { find "$ROOT" -printf '%P %i %m %s %T@\n' | sort; }
unmanaged() {
  (cd "$ROOT" && stat -c '%n %i %a %s %Y' app/.env redis/data/dump.rdb && sha256sum app/.env redis/data/dump.rdb)
}
container() { # PROJECT/SERVICE
  docker ps -q --filter "label=com.docker.compose.project=$ID-${1%/*}" --filter "label=com.docker.compose.service=${1#*/}"
}
inside() { # PROJECT/SERVICE COMMAND...
  local id
  id=$(container "$1")
  shift
  docker exec "$id" "$@"
}
sync_ok() { run ghdeploy "$@" || die "'ghdeploy $*' failed with exit code $?"; }
code_is() { # CODE COMMAND...: runs it without output
  local want=$1 got=0
  shift
  "$@" >/dev/null 2>&1 || got=$?
  [ "$got" = "$want" ]
}

unmanaged_first=$(unmanaged)

# ------------------------------------------------------------------------------------------- sync

ln -s "$binary" "$WORK/bin/ghdeploy"
PATH=$WORK/bin:$PATH
GHDEPLOY_HOST=$(id -un)@127.0.0.1:$PORT
GHDEPLOY_ROOT=$ROOT
GHDEPLOY_SSH_KEY=$WORK/ssh/client_key
GHDEPLOY_KNOWN_HOSTS=$WORK/ssh/known_hosts
export GHDEPLOY_HOST GHDEPLOY_ROOT GHDEPLOY_SSH_KEY GHDEPLOY_KNOWN_HOSTS
say "Where to deploy (the same as the options --host, --root, --ssh-key and --known-hosts)"
for name in $(compgen -v GHDEPLOY_); do note "export $name=${!name}"; done

say "1. The first sync brings everything up"
sync_ok sync
run docker ps --filter "name=^$ID-" --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}'
running() { [ "$(snapshot | awk '$4 == "running" { printf "%s ", $1 }')" = "$1" ]; }
page_is() { [ "$(inside web/web wget -q -O - http://127.0.0.1:8080/)" = "$1" ]; }
token_is() { inside app/app env | grep -x "API_TOKEN=$1" >/dev/null; }
unmanaged_same() { [ "$(unmanaged)" = "$unmanaged_first" ]; }
echo
claim "all six services of the five projects run" \
  running 'app/app crontab/crontab proxy/proxy redis/redis web/web web/worker '
claim "web answers: welcome" page_is welcome
claim "app has the secret from the host's own .env" token_is only-the-host-knows
claim "the host's .env and data are untouched" unmanaged_same

say "2. A second sync has nothing to do"
before=$(snapshot)
sync_ok sync
echo
same_containers() { [ "$(snapshot)" = "$before" ]; }
claim "no container was restarted or replaced" same_containers
claim "there is nothing left to do (sync --dry-run --exit-code exits 0)" code_is 0 ghdeploy sync --dry-run --exit-code

say "3. One config file changes; a dry run shows what that would do"
run sed -i 's/index.html/maintenance.html/' services/web/httpd.conf
run git --no-pager diff --unified=0
git add -A
commit 'Maintenance page'
files=$(host_files)
sync_ok sync --dry-run
echo
same_files() { [ "$(host_files)" = "$files" ]; }
claim "there is something to do (--exit-code exits 10)" code_is 10 ghdeploy sync --dry-run --exit-code
claim "the dry runs changed no file on the host, not even the lock" same_files
claim "and no container" same_containers

say "4. The sync: only the service that mounts the file restarts"
sync_ok sync
after=$(snapshot)
printf '\n   %-18s %-14s %-14s %s\n' SERVICE 'STARTED BEFORE' 'STARTED AFTER' RESTARTED
join -j 1 -a 1 -a 2 -e '-' -o 0,1.2,1.3,2.2,2.3 <(echo "$before") <(echo "$after") |
  while read -r service id1 start1 id2 start2; do
    restarted=no
    if [ "$id1 $start1" != "$id2 $start2" ]; then restarted=yes; fi
    printf '   %-18s %-14s %-14s %s\n' "$service" "${start1:11:12}" "${start2:11:12}" "$restarted"
    if [ "$restarted" = yes ]; then echo "$service" >>"$WORK/restarted"; fi
  done
echo
only_web() { [ "$(cat "$WORK/restarted" 2>/dev/null)" = web/web ]; }
same_content() { inside web/web cat /etc/httpd.conf | cmp -s - services/web/httpd.conf; }
claim "web was restarted and nothing else, not even worker in the same project" only_web
claim "all six services run" running 'app/app crontab/crontab proxy/proxy redis/redis web/web web/worker '
run docker exec "$(container web/web)" cat /etc/httpd.conf
echo
claim "the container sees the committed file" same_content
claim "web uses it and answers: back soon" page_is 'back soon'
claim "the host's .env and data are still untouched" unmanaged_same
claim "there is nothing left to do" code_is 0 ghdeploy sync --dry-run --exit-code

printf '\nclaims: %d passed, %d failed\n' "$((CLAIMS - FAILED))" "$FAILED"
[ "$FAILED" = 0 ]
