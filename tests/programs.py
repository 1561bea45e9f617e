"""Programs that the tests' services are made of: found or installed, run to their end, or started and ended by id.

Owns processes and Debian packages. Refuses to know what the programs are for (services.py does). A process is
known by pid and start tick, so that a pid that was given out again is never taken for ours.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

STOP_SECONDS = 30.0
"""How long a service may take to end after being asked, before it is killed. Both end within 2 s when idle."""

POLL_SECONDS = 0.05
"""How often a starting or ending service is looked at."""


class ServiceError(Exception):
    """A service cannot be had. The message is one sentence that says what to do about it."""


def start_tick(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Look until `done` holds; False when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Programs started by this process. Held so that they are reaped, and not warned about when they outlive us."""


class Process:
    """One started program, its id noted in `FOLDER/NAME.pid` so that a later run can end it."""

    def __init__(self, pid: int, tick: int) -> None:
        self.pid = pid
        self.tick = tick

    @classmethod
    def start(cls, folder: Path, name: str, command: Sequence[str], user: str | None = None) -> Process:
        """Run `command` in `folder`, away from the terminal, with its output appended to `FOLDER/NAME.log`."""
        with (folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **as_user(user),
            )  # fmt: skip
        process = cls(child.pid, start_tick(child.pid) or 0)
        _children[child.pid] = child
        (folder / f"{name}.pid").write_text(f"{process.pid} {process.tick}")
        return process

    @classmethod
    def noted(cls, note: Path) -> Process:
        """The process that a `.pid` file speaks of, running or not."""
        pid, tick = note.read_text().split()
        return cls(int(pid), int(tick))

    def alive(self) -> bool:
        """Whether it still runs."""
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            return False
        return start_tick(self.pid) == self.tick

    def end(self, sign: signal.Signals, seconds: float = STOP_SECONDS) -> None:
        """Send `sign` and wait; SIGKILL when that was not enough. Ending an ended one changes nothing."""
        for each in (sign, signal.SIGKILL):
            if not self.alive():
                return
            os.kill(self.pid, each)
            if wait_until(lambda: not self.alive(), seconds):
                return
        raise ServiceError(f"Process {self.pid} does not end; look at it with ps.")


def as_user(user: str | None) -> dict[str, Any]:
    """Options for subprocess that run a program as `user`, or as ourselves when None."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def run(command: Sequence[str], doing: str, user: str | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end and return its output; ServiceError says what we were `doing` when it failed."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **as_user(user)
    )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["no output"]
        raise ServiceError(f"{doing} failed ({errors[0].strip()}).")
    return done.stdout + done.stderr


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(found: Callable[[], str | None], package: str, what: str) -> str:
    """The path of a program; missing, its package is installed with apt if we are root, else ServiceError."""
    path = found()
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install(package)
        path = found()
    if path is None:
        raise ServiceError(f"{what} is needed: install it as root with `apt-get install {package}`.")
    return path


def install(package: str) -> None:
    """Install a Debian package, one installation at a time even when several runs ask."""
    sys.stderr.write(f"services: installing {package} with apt-get\n")
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    with locked(Path(tempfile.gettempdir()) / f"strayframe-apt-{os.geteuid()}.lock"):
        run([*quiet, "update"], "Reading Debian's package lists")
        run([*quiet, "install", "--no-install-recommends", package], f"Installing {package}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock; the operating system lets go of it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(names: Sequence[str]) -> int:
    """Have programs that are called like their Debian packages; prints their paths."""
    try:
        for name in names:
            sys.stdout.write(need(partial(shutil.which, name), name, name) + "\n")
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
