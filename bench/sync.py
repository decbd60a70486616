#!/usr/bin/env python3
"""Compares `ghdeploy sync` of files with a bare `ssh host true` and with its peers, in one run, as ratios of medians.

    bench/sync.py --ssh-config FILE --host ALIAS [--binary target/release/ghdeploy] [--other BINARY] [--runs 9]
        [--first 3] [--ansible] [W24] [W240] [WBIG]

Nothing to do, a fresh checkout (every mtime is new), one file of one service changed, and the first sync of all.
Peers: rsync of the whole tree, with --ansible also Ansible's `synchronize`. It works in a temporary directory on both
sides and needs no Docker: every sync is --no-restart. If the host has Docker Compose, a first sync also validates
every project with it; `PATH=... sshd` without Docker shows the files alone. bench/services.py has containers.

To see the cost of a round trip, connect to the host through a link with a delay (tc netem, network namespaces).
"""

import os

from lab import Lab, options, put, workload

ANSIBLE = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.posix.synchronize: {{src: {top}/services/, dest: {to}, delete: true, archive: true}}
"""


def fresh(top):
    """Gives every file a new mtime, like a checkout in a workflow."""
    for folder, _, files in os.walk(top):
        for name in files:
            os.utime(os.path.join(folder, name))


def main():
    parser = options(__doc__, runs=9)
    parser.add_argument("--first", type=int, default=3, help="runs of the first sync")
    parser.add_argument("--ansible", action="store_true")
    parser.add_argument("workloads", nargs="*", default=["W24", "WBIG"])
    args = parser.parse_args()
    with Lab(args) as lab:
        for kind in args.workloads:
            top = f"{lab.here}/{kind}"
            services = workload(kind, top)
            edited = f"{top}/services/svc007/config/c3.conf"
            # label, root on the host, command
            rivals = [(label, label.replace(" ", "-"), binary) for label, binary in lab.binaries()]
            rivals = [(label, lab.ghdeploy(binary, top, root, "sync", "--no-restart"), root) for label, root, binary in rivals]
            rivals.append(("rsync", lab.rsync(top, "rsync"), "rsync"))
            if args.ansible:
                put(f"{lab.here}/play.yml", ANSIBLE.format(top=top, to=f"{lab.there}/ansible").encode())
                play = ["ansible-playbook", "-i", f"{args.host},", "--ssh-common-args", f"-F {args.ssh_config}", f"{lab.here}/play.yml"]
                rivals.append(("ansible synchronize", play, "ansible"))
            for _ in range(args.first):
                lab.bare()
                for label, argv, root in rivals:
                    lab.on_host(f"rm -rf {lab.there}/{root}; sync")
                    lab.measure(f"{label}: first", argv)
            for _ in range(args.runs):
                lab.bare()
                for label, argv, _ in rivals:
                    lab.measure(f"{label}: nothing to do", argv)
                for label, argv, _ in rivals:
                    fresh(top)
                    lab.measure(f"{label}: fresh checkout", argv)
                with open(edited, "ab") as file:
                    file.write(b"x")
                for label, argv, _ in rivals:
                    lab.measure(f"{label}: one file", argv)
            lab.report(f"{kind}, {services} services")


if __name__ == "__main__":
    main()
