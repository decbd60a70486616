#!/usr/bin/env python3
"""Compares `ghdeploy plan` over a whole repository with `docker compose config -q` of one of its projects, in
one run, as the ratio of the medians.

    bench/plan.py [--binary target/release/ghdeploy] [--projects 100] [--runs 21]

Each project has three realistic services, with env files, mounts, labels, networks, anchors and an extended
service. The last commit changes one image, one mounted file and one env file. Needs Docker Compose, but no
Docker Engine.
"""

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time

COMPOSE = """\
x-common: &common
  restart: unless-stopped
  logging: {{driver: local, options: {{max-size: 10m}}}}
services:
  web:
    <<: *common
    extends: {{file: ../shared/common.yml, service: base}}
    image: registry.example.org/{name}/web:${{TAG:-1.2}}
    environment:
      URL: https://{name}.example.org
      DB: postgres://db:5432/${{DB_NAME}}
      TZ: ${{TZ:-Etc/UTC}}
    env_file: [web.env]
    ports: ["127.0.0.1:{port}:8080"]
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ./conf.d:/etc/nginx/conf.d:ro
      - data:/data
    networks: [default, web]
    labels:
      traefik.enable: "true"
      traefik.http.routers.{name}.rule: Host(`{name}.example.org`)
      traefik.http.services.{name}.loadbalancer.server.port: "8080"
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080"], interval: 10s}}
    depends_on: {{db: {{condition: service_healthy}}}}
  worker:
    <<: *common
    image: registry.example.org/{name}/worker:${{TAG:-1.2}}
    command: [worker, --queue, "{name}"]
    env_file: [web.env]
    volumes: ["./worker.yml:/worker.yml:ro"]
    depends_on: [db]
  db:
    <<: *common
    image: postgres:16.4
    environment: {{POSTGRES_DB: "${{DB_NAME}}", POSTGRES_PASSWORD_FILE: /run/secrets/password}}
    secrets: [password]
    volumes: [data:/var/lib/postgresql/data, "./initdb:/docker-entrypoint-initdb.d:ro"]
    healthcheck: {{test: [CMD, pg_isready], interval: 5s}}
networks:
  web: {{external: true}}
volumes:
  data: {{}}
secrets:
  password: {{file: ./password}}
"""


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def repository(top, projects):
    put(f"{top}/services/shared/common.yml", "services:\n  base: {env_file: [tz.env], init: true}\n")
    put(f"{top}/services/shared/tz.env", "TZ=Etc/UTC\n")
    for number in range(projects):
        name = f"app{number:03}"
        folder = f"{top}/services/{name}"
        put(f"{folder}/compose.yml", COMPOSE.format(name=name, port=20000 + number))
        put(f"{folder}/.env", f"DB_NAME={name}\nTAG=1.3\n")
        for path in ("web.env", "nginx.conf", "conf.d/a.conf", "conf.d/b.conf", "worker.yml", "password", "initdb/1.sql"):
            put(f"{folder}/{path}", f"A={number}\n")
    git(top, "init", "--quiet")
    commit(top)
    put(f"{top}/services/app003/.env", "DB_NAME=app003\nTAG=1.4\n")
    put(f"{top}/services/app005/nginx.conf", "B=1\n")
    put(f"{top}/services/app007/web.env", "B=1\n")
    commit(top)
    git(top, "gc", "--quiet")  # packed, like a fresh clone


def git(top, *argv):
    subprocess.run(["git", "-c", "user.name=b", "-c", "user.email=b@example.org", *argv], cwd=top, check=True)


def commit(top):
    git(top, "add", "--all", "--force")
    git(top, "commit", "--quiet", "--message", "x")


def run(argv, cwd):
    begin = time.monotonic()
    subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begin


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default="target/release/ghdeploy")
    options.add_argument("--projects", type=int, default=100)
    options.add_argument("--runs", type=int, default=21)
    options = options.parse_args()
    binary = os.path.abspath(options.binary)
    with tempfile.TemporaryDirectory() as top:
        repository(top, options.projects)
        plan = [binary, "plan", "--base", "HEAD~1", "--head", "HEAD", "--format", "json"]
        compose = ["docker", "compose", "config", "-q"]
        one = f"{top}/services/app000"
        mine, theirs, checks = [], [], []
        run(plan, top)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        run(compose, one)
        for _ in range(options.runs):
            mine.append(run(plan, top))
            theirs.append(run(compose, one))
            checks.append(run([binary, "check", "--quiet"], top))
        of = statistics.median(theirs)
        print(f"{options.projects} projects, {3 * options.projects} services, medians of {options.runs} runs")
        print(f"plan of two revisions / docker compose config -q of one project: {statistics.median(mine) / of:.2f}")
        print(f"check / docker compose config -q of one project: {statistics.median(checks) / of:.2f}")
        # git's processes are children of ghdeploy, so this is the peak of the largest process of all.
        print(f"memory of a plan at its peak: {memory / 1024:.0f} MB")


if __name__ == "__main__":
    main()
