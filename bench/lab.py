"""What the benchmarks share: the host, workloads, and measurements as ratios to a bare `ssh host true`.

Every measurement of a run is taken in turn with the others, so that a noisy machine slows down all of them alike. The
login shell must read no slow start-up file (`SetEnv HOME=` in sshd_config): that counts for `ssh host true` as well, and
makes every ratio look better than it is.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time


def options(doc, runs):
    """The options of every benchmark that needs a host."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ssh-config", required=True, help="file for `ssh -F`")
    parser.add_argument("--host", required=True, help="alias in that file")
    parser.add_argument("--binary", default="target/release/ghdeploy")
    parser.add_argument("--other", help="another binary, to compare with")
    parser.add_argument("--runs", type=int, default=runs)
    return parser


class Lab:
    """A temporary directory here and one on the host, and what was measured so far."""

    def __init__(self, args):
        self.args = args
        self.ssh = ["ssh", "-F", args.ssh_config, args.host]
        self.here = tempfile.mkdtemp()
        self.there = self.on_host("mktemp -d")
        self.took = {}
        self.memory = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.here)
        self.on_host(f"rm -rf {self.there}")

    def on_host(self, script):
        return subprocess.run([*self.ssh, script], check=True, capture_output=True, text=True).stdout.strip()

    def binaries(self):
        """Label and path of each binary that is measured."""
        yield "ghdeploy", os.path.abspath(self.args.binary)
        if self.args.other:
            yield "other ghdeploy", os.path.abspath(self.args.other)

    def ghdeploy(self, binary, top, root, *argv):
        to_host = ["--ssh-config", self.args.ssh_config, "--host", self.args.host, "--root", f"{self.there}/{root}"]
        return [binary, "-C", top, "-q", *to_host, *argv]

    def rsync(self, top, root):
        return ["rsync", "-az", "--delete", "-e", f"ssh -F {self.args.ssh_config}", f"{top}/services/", f"{self.args.host}:{self.there}/{root}"]

    def measure(self, what, argv):
        """Runs a command, and notes how long it took and the peak memory of its largest process."""
        begin = time.monotonic()
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - begin
        if status:
            raise SystemExit(f"{what}: {' '.join(argv)}\n{said.decode()}")
        self.took.setdefault(what, []).append(took)
        self.memory[what] = max(self.memory.get(what, 0), usage.ru_maxrss)
        time.sleep(0.3)  # what the host does after the answer must not slow down the next one

    def bare(self):
        self.measure("ssh host true", [*self.ssh, "true"])

    def report(self, title):
        """Prints the medians as ratios, with the range, and the memory. Forgets them."""
        bare = statistics.median(self.took["ssh host true"])
        print(f"{title}, as ratios of medians to `ssh host true` (range; runs; peak memory of the largest process)")
        for what, took in self.took.items():
            ratio, low, high = (function(took) / bare for function in (statistics.median, min, max))
            print(f"  {what:44} {ratio:7.3f}  ({low:.2f}–{high:.2f}; {len(took)}; {self.memory[what] // 1024} MiB)", flush=True)
        self.took, self.memory = {}, {}


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


COMPOSE = """\
name: bench-{name}
services:
  web:
    image: {image}
    command: [sleep, "100000"]
    network_mode: none
    stop_signal: SIGKILL
    labels: {{version: "1"}}
    volumes: ["./config:/config:ro"]
"""


def workload(kind, top, image="bench/web:1", compose=COMPOSE):
    """Writes the files of a workload, the same bytes every time, and returns its number of services.

    W24: 24 services of 10 files, 7 MB. W240: ten times that. WBIG: W24 and 20,000 files of 2 KB, 48 MB. A number: as
    many services of two files.
    """
    dice = random.Random(kind)
    services = {"W24": 24, "W240": 240, "WBIG": 24}.get(kind) or int(kind)
    for service in range(services):
        name = f"svc{service:03}"
        folder = f"{top}/services/{name}"
        put(f"{folder}/docker-compose.yml", compose.format(name=name, image=image).encode())
        for number in range(8 if kind.startswith("W") else 1):
            put(f"{folder}/config/c{number}.conf", dice.randbytes(dice.randint(512, 10240)).hex().encode())
        if kind.startswith("W"):
            put(f"{folder}/assets/bundle.bin", dice.randbytes(200 * 1024))
        if kind == "WBIG":
            for number in range(service, 20000, 24):
                put(f"{folder}/data/{number % 64:02x}/f{number:05}.txt", dice.randbytes(1024).hex().encode())
    subprocess.run(["git", "init", "-q", top], check=True)
    return services
