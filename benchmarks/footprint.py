"""What a node costs before anybody asks: `python -m benchmarks.footprint`."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import ClassVar

import trio

from benchmarks.rows import Size, show
from benchmarks.store import make_job
from pylon.app.store import Store, open_store
from pylon.model.ids import PaymentHash
from pylon.model.job import Job, JobState, Offered, Settled
from pylon.model.money import Msat
from pylon.model.wallet import IssuedInvoice
from pylon.ports.records import Change

STORED_JOBS = 100_000
OPEN_JOBS = 1_000  # of them, not yet ended
SAVED_AT_ONCE = 1_000
IDLE_SECONDS = 1.0
HELPS = 5
PYLON = (sys.executable, "-m", "pylon")


class _LlamaServer(BaseHTTPRequestHandler):
    """As much of llama.cpp's server as a node asks before it takes jobs."""

    _ANSWERS: ClassVar = {
        "/health": {"status": "ok"},
        "/v1/models": {"data": [{"id": "instant"}]},
        "/props": {"total_slots": 4},
    }

    def do_GET(self) -> None:
        body = json.dumps(self._ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def measure() -> list[Size]:
    with _llama_server() as url, tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "PYLON_LLAMA_SERVER_URL": url,
            "PYLON_LEDGER": f"{folder}/ledger.db",
            "PYLON_RELAY_PORT": "17777",
            "XDG_DATA_HOME": folder,
        }
        _run(f"{folder}/home", "init", environ=environ)
        started, memory = _serving(f"{folder}/home", environ)
        trio.run(_fill, Path(folder, "home", "pylon.db"))
        filled, _ = _serving(f"{folder}/home", environ)
        helps = [_help(environ) for _ in range(HELPS)]
    serving = "pylon run, from the command to the line that says it takes jobs"
    return [
        Size("idle memory", memory, "MB", "RSS of pylon run with its relay, no embedded model", 90),
        Size("start, empty", started, "s", serving),
        Size("start, 100,000 jobs", filled, "s", f"{serving}; {OPEN_JOBS:,} of them open", 2),
        Size("pylon --help", median(helps) * 1e3, "ms", f"median of {HELPS}", 300),
    ]


@contextmanager
def _llama_server() -> Generator[str, None, None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _LlamaServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _run(home: str, *words: str, environ: dict[str, str]) -> None:
    command = [*PYLON, "--home", home, *words]
    subprocess.run(command, env=environ, check=True, capture_output=True)  # noqa: S603 - our own program


def _serving(home: str, environ: dict[str, str]) -> tuple[float, float]:
    """Start a node; return the seconds until it serves, and its memory in MB while idle."""
    command = [*PYLON, "--home", home, "run", "--json"]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    began = time.perf_counter()
    with subprocess.Popen(command, env=environ, stdout=pipe, stderr=null, text=True) as node:  # noqa: S603 - our own program
        try:
            assert node.stdout is not None
            assert "npub" in json.loads(node.stdout.readline())
            seconds = time.perf_counter() - began
            time.sleep(IDLE_SECONDS)
            return seconds, _memory(node.pid)
        finally:
            node.terminate()


def _memory(pid: int) -> float:
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.check_output(command)) / 1024  # noqa: S603 - a fixed command


def _help(environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([*PYLON, "--help"], env=environ, check=True, capture_output=True)  # noqa: S603 - our own program
    return time.perf_counter() - began


async def _fill(path: Path) -> None:
    """Give a home a past: jobs with facts and evidence, nearly all ended."""
    async with open_store(path) as store:
        for start in range(0, STORED_JOBS, SAVED_AT_ONCE):
            await _save(store, ended=start >= OPEN_JOBS)


async def _save(store: Store, *, ended: bool) -> None:
    now = int(time.time())
    changes: list[Change[Job, JobState]] = []
    for _ in range(SAVED_AT_ONCE):
        job = make_job()
        state: JobState = Settled(job.request.id) if ended else _offered(job, now)
        changes.append(
            Change(
                job.id,
                state,
                now,
                facts=job,
                peer=job.customer,
                final=ended,
                due=None if ended else now + 86_400,
                evidence=(job.request,),
            )
        )
    await store.jobs.save(changes)


def _offered(job: Job, now: int) -> Offered:
    invoice = IssuedInvoice("lnbcrt1", PaymentHash(job.id), Msat(12_000), now, now + 86_400)
    return Offered(invoice)


if __name__ == "__main__":
    show(measure())
