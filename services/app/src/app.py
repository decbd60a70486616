"""A small web application: `python -m app web|worker|migrate`.

The web process answers requests and queues jobs in Redis, the worker takes them from there, and migrate
brings the database's schema up to date. All settings are environment variables.
"""

import hmac
import logging
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import redis

QUEUE = "app:jobs"
MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_LOCK = 4711  # any number, the same in every process

log = logging.getLogger("app")


def database() -> psycopg.Connection:
    return psycopg.connect(connect_timeout=5)  # libpq reads PGHOST, PGUSER, PGDATABASE, PGPASSWORD


def queue() -> redis.Redis:
    return redis.Redis(
        host=os.environ["REDIS_HOST"],
        username=os.environ["REDIS_USER"],
        password=os.environ["REDIS_PASSWORD"],
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/healthz":  # shows that this process answers, not that the database does
            self.reply(200, "ok")
        elif self.path == "/":
            with database() as connection:
                (count,) = connection.execute("SELECT count(*) FROM digests").fetchone()
            self.reply(200, f"{count} digests so far")
        else:
            self.reply(404, "not found")

    def do_POST(self) -> None:
        wanted = f"Bearer {os.environ['JOBS_TOKEN']}".encode()
        if not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted):
            self.reply(401, "unauthorized")
        elif self.path == "/jobs/digest":
            queue().lpush(QUEUE, "digest")
            self.reply(202, "queued")
        else:
            self.reply(404, "not found")

    def reply(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        if self.path != "/healthz":
            log.info(format, *args)


def web() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()


def worker() -> None:
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    jobs = queue()
    while not stopping:
        if job := jobs.brpop([QUEUE], timeout=5):
            log.info("job: %s", job[1].decode())
            with database() as connection:
                connection.execute("INSERT INTO digests DEFAULT VALUES")


def migrate() -> None:
    with database() as connection:  # one transaction: all of it or nothing
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)")
        done = {name for (name,) in connection.execute("SELECT name FROM migrations")}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in done:
                log.info("migration: %s", path.name)
                connection.execute(path.read_text())
                connection.execute("INSERT INTO migrations VALUES (%s)", [path.name])


if __name__ == "__main__":
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(levelname)s %(message)s")
    commands = {"web": web, "worker": worker, "migrate": migrate}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit("usage: python -m app web|worker|migrate")
    commands[sys.argv[1]]()
