"""The command `strayframe serve` for tests: started as its users start it, with its processes by what they do.

Owns starting and ending it. Refuses to send it anything but the question whether it is ready.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from nursery import Born, born
from serving import WAIT_SECONDS

from streams.store.lease import process_start

Process = Born | subprocess.Popen[bytes]


@contextmanager
def serve(store: Path, *more: str, command: Path | None = None) -> Iterator[tuple[Process, httpx.Client]]:
    """The command on a free port, its log beside the store; killed afterwards if it still runs. `command` is a program
    to be started from the disk."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--store", f"sqlite:///{store}", "--port", str(port), "--lease-seconds", "600"]
    words = ["serve", *options, "--log-format", "json", *more]
    with (
        store.with_suffix(".log").open("wb") as log,
        subprocess.Popen([command, *words], stderr=log) if command else born(words, errors=log.fileno()) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS, verify=False) as client,
    ):
        try:
            yield process, client
        finally:
            process.kill()


def until_ready(
    process: Process,
    client: httpx.Client,
    status: int = 200,
    path: str = "/readyz",
    seconds: float = WAIT_SECONDS,
) -> httpx.Response:
    never = threading.Event()
    for _ in range(int(seconds / 0.05)):
        assert process.poll() is None
        try:
            if (answer := client.get(path)).status_code == status:
                return answer
        except httpx.TransportError:
            pass
        never.wait(0.05)
    raise AssertionError("it did not become ready")


def pids(store: Path) -> dict[str, int]:
    """The processes that `serve --processes` started last, by what they do."""
    logged = [json.loads(line) for line in store.with_suffix(".log").read_text().splitlines() if line.startswith("{")]
    return {event["role"]: event["pid"] for event in logged if event["event"] == "process.started"}


def is_running(pid: int) -> bool:
    return process_start(pid) is not None
