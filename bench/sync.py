#!/usr/bin/env python3
"""Compares `ghdeploy sync` with a bare `ssh host true` and with rsync, in one run, as ratios of the medians.

    bench/sync.py --ssh-config FILE --host ALIAS [--binary target/release/ghdeploy] [--runs 5]
        [--image IMAGE] [--other BINARY] [W24] [WBIG]

W24:  24 services, 10 files each, 7 MB.   WBIG: W24 and 20,000 files of 2 KB, 48 MB.
It works in a temporary directory on both sides and needs no Docker: every sync is --no-restart. With --image, an
image of the host that has `sleep`, the services run, and containers are compared, too. With --other, the no-op of
another binary is measured in the same run. To see the cost of a round trip, connect to the host through a link with
a delay (tc netem, network namespaces).
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time

COMPOSE = """\
name: bench-{name}
services:
  web:
    image: {image}
    command: [sleep, "100000"]
    network_mode: none
    stop_signal: SIGKILL
    volumes: ["./config:/config:ro"]
"""


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def workload(kind, top, image):
    """Writes the files of a workload; the same bytes every time."""
    dice = random.Random(kind)
    for service in range(24):
        name = f"svc{service:03}"
        folder = f"{top}/services/{name}"
        put(f"{folder}/docker-compose.yml", COMPOSE.format(name=name, image=image).encode())
        for number in range(8):
            put(f"{folder}/config/c{number}.conf", dice.randbytes(dice.randint(512, 10240)).hex().encode())
        put(f"{folder}/assets/bundle.bin", dice.randbytes(200 * 1024))
        if kind == "WBIG":
            for number in range(service, 20000, 24):
                put(f"{folder}/data/{number % 64:02x}/f{number:05}.txt", dice.randbytes(1024).hex().encode())


def run(argv):
    begin = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def fresh(top):
    """Gives every file a new mtime, like a checkout in a workflow."""
    for folder, _, files in os.walk(top):
        for name in files:
            os.utime(os.path.join(folder, name))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ssh-config", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--binary", default="target/release/ghdeploy")
    parser.add_argument("--other")
    parser.add_argument("--image")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("workloads", nargs="*", default=["W24", "WBIG"])
    args = parser.parse_args()
    ssh = ["ssh", "-F", args.ssh_config, args.host]
    remote = subprocess.run([*ssh, "mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip()
    local = tempfile.mkdtemp()
    try:
        for kind in args.workloads:
            top = f"{local}/{kind}"
            workload(kind, top, args.image or "bench/web:1")
            subprocess.run(["git", "init", "-q", top], check=True)
            root = f"{remote}/{kind}"
            sync = [os.path.abspath(args.binary), "-C", top, "-q", "--ssh-config", args.ssh_config, "--host", args.host, "--root", root, "sync", *([] if args.image else ["--no-restart"])]
            rsync = ["rsync", "-az", "--delete", "-e", f"ssh -F {args.ssh_config}", f"{top}/services/", f"{args.host}:{root}-rsync/"]
            edited = f"{top}/services/svc007/config/c3.conf"
            times = {}

            def measure(what, argv, prepare=lambda: None):
                prepare()
                times.setdefault(what, []).append(run(argv))
                time.sleep(0.3)  # work that the host does after the answer must not slow down the next run

            def edit():
                with open(edited, "ab") as file:
                    file.write(b"x")

            measure("ghdeploy first", sync)
            if not args.image:
                measure("rsync first", rsync)
            for _ in range(args.runs):
                measure("ssh true", [*ssh, "true"])
                measure("ghdeploy no-op", sync)
                if args.other:
                    measure("other ghdeploy no-op", [os.path.abspath(args.other), *sync[1:]])
                if args.image:
                    continue
                measure("rsync no-op", rsync)
                measure("ghdeploy fresh checkout", sync, lambda: fresh(top))
                measure("rsync fresh checkout", rsync)
                measure("ghdeploy one file", sync, edit)
                measure("rsync one file", rsync)
            bare = statistics.median(times["ssh true"])
            print(f"{kind}: medians of {args.runs}, as ratios to `ssh host true`")
            for what, took in times.items():
                print(f"  {what:26} {statistics.median(took) / bare:6.2f}  ({min(took) / bare:.2f}–{max(took) / bare:.2f})")
    finally:
        shutil.rmtree(local)
        if args.image:
            containers = "docker ps -aq --filter label=com.docker.compose.project --filter name=^bench-svc"
            subprocess.run([*ssh, f"docker rm -f $({containers}) >/dev/null"], check=False)
        subprocess.run([*ssh, "rm", "-rf", remote], check=False)


if __name__ == "__main__":
    main()
