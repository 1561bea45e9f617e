"""How soon the command answers and the server is ready: `strayframe --help`, and `strayframe serve` up to /readyz.

    python benchmarks/start.py [--quick] [--json FILE]

CPU time of whole processes, for what else the machine does takes wall time only; beside the help stands a Python that
does nothing, and one that imports typer alone. The server's time is by the clock, from the process's start to the first
200 of /readyz, with an empty store, and with compiled code on the disk as any start but the first finds it.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from rows import Bar, Row, Say, main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

REPEATS, STARTS = 15, 3
HELP = "import sys; from api.cli import main; sys.argv = ['strayframe', '--help']; main()"
READY_SECONDS = 180.0
"""A start that compiles takes a minute."""


def cpu_seconds(code: str) -> float:
    """CPU time of a Python that runs this and ends."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def seconds_to_ready() -> float:
    """From the start of `strayframe serve` to the moment at which it says that it is ready."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        options = ["serve", "--port", str(port), "--store", f"sqlite:///{folder}/store.db"]
        begin = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-c", "from api.cli import main; main()", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server:
            try:
                while not ready(port):
                    if server.poll() is not None or time.monotonic() - begin > READY_SECONDS:
                        raise SystemExit("strayframe serve did not become ready")
                    time.sleep(0.01)
                return time.monotonic() - begin
            finally:
                server.terminate()


def ready(port: int) -> bool:
    """Whether the server says that it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # not there yet, or 503
        return False


def measure(say: Say, *, quick: bool) -> list[Row]:
    """Medians; the first start of all is not counted, for it may compile."""
    say("the help")
    taken: dict[str, list[float]] = {HELP: [], "import typer": [], "pass": []}
    for _ in range(3 if quick else REPEATS):
        for code, each in taken.items():
            each.append(cpu_seconds(code))
    ours, typer, bare = (statistics.median(each) for each in taken.values())
    rows = [
        Row(
            "`strayframe --help`, CPU time",
            "s",
            ours,
            {"import typer": typer, "a Python that does nothing": bare},
            (Bar("s", ours, 0.3, at_least=False),),
            f"median of {len(taken[HELP])}",
        )
    ]
    say("the server")
    starts = [seconds_to_ready() for _ in range(1 + (1 if quick else STARTS))][1:]
    rows.append(
        Row("`strayframe serve`, started to ready", "s", statistics.median(starts), options=f"of {len(starts)}")
    )
    return rows


if __name__ == "__main__":
    main(measure, __doc__)
