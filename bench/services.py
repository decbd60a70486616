#!/usr/bin/env python3
"""Compares `ghdeploy sync` of running services with a bare `ssh host true` and with its peers, in one run, as ratios
of medians.

    bench/services.py --ssh-config FILE --host ALIAS --image IMAGE [--binary target/release/ghdeploy]
        [--other BINARY] [--runs 9] [--services 24] [--health N] [--loop]

IMAGE is an image of the host that has `sleep` and `true`. Nothing to do, one config file changed (a restart), one
compose file changed (an up), each verified without waiting for stability (`health.stable_for: 0`). Peers: rsync of
the whole tree and one `docker compose` over ssh; the same without rsync; with --loop also `up -d` over ssh in a loop
over all services. With --health, a deploy of N projects that become healthy after a while."""

import os
import re

from lab import COMPOSE, Lab, options, put, workload

CONFIG = b"health: {stable_for: 0s}\n"
SLOW = COMPOSE + """\
    healthcheck: {{test: ["CMD", "true"], interval: 5s}}
"""


def main():
    parser = options(__doc__, runs=9)
    parser.add_argument("--image", required=True)
    parser.add_argument("--services", default="24")
    parser.add_argument("--health", type=int, default=0)
    parser.add_argument("--loop", action="store_true")
    args = parser.parse_args()
    with Lab(args) as lab:
        try:
            if int(args.services):
                one_of(lab, args.services)
            if args.health:
                healthy(lab, str(args.health))
        finally:
            lab.on_host("docker ps -aq --filter label=com.docker.compose.project --filter name=^bench- | xargs -r docker rm -f")


def one_of(lab, number):
    """One service of many changes."""
    args = lab.args
    top = f"{lab.here}/all"
    workload(number if number != "24" else "W24", top, args.image)
    put(f"{top}/ghdeploy.yml", CONFIG)
    folder = f"{top}/services/svc007"
    config, compose = f"{folder}/config/c0.conf", f"{folder}/docker-compose.yml"
    # The peers have a folder, containers and names of their own.
    peer = f"{lab.here}/peer"
    workload("1", peer, args.image, COMPOSE.replace("bench-", "bench-peer-"))
    first, version = True, 1

    def edit():
        with open(config, "ab") as file:
            file.write(b"x")

    def define():
        nonlocal version
        version += 1
        with open(compose, encoding="utf-8") as file:
            text = re.sub(r'version: "\d+"', f'version: "{version}"', file.read())
        put(compose, text.encode())

    def over_ssh(what):
        compose = f"ssh -F {args.ssh_config} {args.host} 'cd {lab.there}/peer/svc000 && docker compose {what}'"
        return ["sh", "-c", f'"$@" && {compose}', "sh", *lab.rsync(peer, "peer")]

    def alone(what):
        return [*lab.ssh, f"cd {lab.there}/peer/svc000 && docker compose {what}"]

    lab.measure("rsync, ssh, compose up: first, of one", over_ssh("up -d"))

    for _ in range(args.runs):
        lab.bare()
        for label, binary in lab.binaries():
            sync = lab.ghdeploy(binary, top, "all", "sync")
            if first:
                lab.measure(f"{label}: first", sync)
                first = False
            lab.measure(f"{label}: nothing to do", sync)
            edit()
            lab.measure(f"{label}: restart of one", sync)
            define()
            lab.measure(f"{label}: up of one", sync)
        lab.measure("ssh, compose restart", alone("restart"))
        lab.measure("ssh, compose up --force-recreate", alone("up -d --force-recreate"))
        lab.measure("rsync, ssh, compose restart", over_ssh("restart"))
        lab.measure("rsync, ssh, compose up --force-recreate", over_ssh("up -d --force-recreate"))
    if args.loop:
        every = [*lab.ssh]
        folders = " ".join(f"{lab.there}/all/svc{number:03}" for number in range(int(args.services)))
        script = f"for d in {folders}; do {' '.join(every)} \"cd $d && docker compose up -d\"; done"
        lab.measure("ssh, compose up, for each service", ["sh", "-c", script])
    lab.report(f"{number} services")


def healthy(lab, number):
    """Many projects that wait for their health."""
    top = f"{lab.here}/health"
    workload(number, top, lab.args.image, SLOW)
    put(f"{top}/ghdeploy.yml", CONFIG)
    lab.bare()
    for label, binary in lab.binaries():
        lab.on_host("docker ps -aq --filter label=com.docker.compose.project --filter name=^bench- | xargs -r docker rm -f")
        lab.measure(f"{label}: first, until all are healthy", lab.ghdeploy(binary, top, label.replace(" ", "-"), "sync"))
    lab.report(f"{number} projects whose health takes 5 s")


if __name__ == "__main__":
    main()
