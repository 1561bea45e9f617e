"""Processes for tests that are born of one in which everything is loaded: to start anew each time would take seconds.

Owns the mother, one for each process that runs tests: a Python that has the imports of commands and the compiled code,
and forks when it is asked to. What is born has memory, pid, environment, folder, output and end of its own, as if it
had been started. Refuses to stand for every start: test_house.py, test_cli.py and test_crash.py start from the disk.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ORDER_BYTES = 1 << 16
"""Room for one order: words, environment, folder."""


class Born:
    """A running process, as subprocess.Popen shows one; a `with` waits for its end."""

    def __init__(self, words: Sequence[str], link: socket.socket) -> None:
        self.args = list(words)
        self._link = link
        self.stdout: IO[str] | None = None
        self.pid = int(link.recv(32))
        self.returncode: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        with contextlib.suppress(TimeoutError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; TimeoutError when it runs longer than so many seconds."""
        if self.returncode is None:
            self._link.settimeout(timeout)
            try:
                self.returncode = int(self._link.recv(32))
            except BlockingIOError:
                raise TimeoutError from None
            self._link.close()
        return self.returncode

    def send_signal(self, sign: signal.Signals) -> None:
        """Send a signal; one that has ended gets none."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def born(
    words: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    out: int = 1,
    errors: int = 2,
) -> Born:
    """Start `strayframe WORDS`, or the Python file that the first word names. Its output goes to these descriptors."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    order = json.dumps([list(words), dict(environment), str(folder or Path.cwd())]).encode()
    with theirs:
        socket.send_fds(mother()[0], [order], [theirs.fileno(), out, errors])
    return Born(words, mine)


def telling(words: Sequence[str], errors: int = 2) -> Born:
    """The same with a pipe from its output."""
    mine, theirs = os.pipe()
    try:
        child = born(words, out=theirs, errors=errors)
    finally:
        os.close(theirs)
    child.stdout = os.fdopen(mine)
    return child


@cache
def mother() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The line on which the mother takes orders, and herself. She ends when it is closed: with this process."""
    mine, hers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with hers:
        command = [sys.executable, __file__, str(hers.fileno())]
        return mine, subprocess.Popen(command, pass_fds=[hers.fileno()], stdin=subprocess.DEVNULL)


# --- in the mother -------------------------------------------------------------------------------------------


def bear(orders: socket.socket) -> None:
    """Load everything, then fork for each order until nobody is left to give one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # she ends with who gives orders
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that mind a child are waited for by nobody
    while True:
        order, (link, *output) = receive(orders)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            mind(socket.socket(fileno=link), output, *json.loads(order))
        for each in (link, *output):
            os.close(each)


def receive(orders: socket.socket) -> tuple[bytes, list[int]]:
    """An order with its descriptors; an empty one at the end."""
    order, descriptors, *_ = socket.recv_fds(orders, ORDER_BYTES, 3)
    return order, descriptors or [-1]


def load() -> None:
    """What commands import and compile, once for all that are born."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command does it
    for name in ("alembic.command", "api.commands.serve", "streams.worker", "streams.looking", "streams.rekey"):
        import_module(name)
    import_module("streams.warm").warm()
    gc.collect()
    gc.freeze()


def mind(link: socket.socket, output: list[int], words: list[str], environment: dict[str, str], folder: str) -> None:
    """Fork once more, say the child's pid and, when it has ended, how."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        link.close()
        live(output, words, environment, folder)
    for each in output:
        os.close(each)
    link.send(str(child).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(OSError):  # nobody may want to know any more
        link.send(str(code).encode())
    os._exit(0)


def live(output: list[int], words: list[str], environment: dict[str, str], folder: str) -> None:
    """Be the process that was asked for; ends by SystemExit, as a started one does."""
    out, errors = output
    os.dup2(out, 1)
    os.dup2(errors, 2)
    for each in {out, errors} - {1, 2}:
        os.close(each)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    if words[0].endswith(".py"):
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.argv = ["strayframe", *words]
        import_module("api.cli").main()
    raise SystemExit


if __name__ == "__main__":
    bear(socket.socket(fileno=int(sys.argv[1])))
