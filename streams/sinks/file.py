"""OCSF events as lines at the end of a file, each on the disk before it counts as delivered.

Owns that lines are whole: one that a full disk cut off is ended before the next. The file is opened for each event, so
whoever rotates logs may move it at any moment and needs tell nobody. Refuses to delete.
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import Final

from detector.notice import Notice
from streams.outbox.call import Outcome, Result
from streams.sinks import ocsf
from streams.sinks.configuration import OcsfFile
from streams.sinks.sink import Sink

MODE: Final = 0o640
"""Of a file that is made: it names accounts, and a forwarder's group has to read it."""


class FileSink(Sink):
    """Appends to `spec.path`."""

    def __init__(self, spec: OcsfFile) -> None:
        super().__init__(spec)
        self._path = Path(spec.path)
        self._group = spec.assignee_group

    @property
    def place(self) -> str:
        """The file."""
        return str(self._path)

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Append one line and have the disk keep it."""
        try:
            size = await asyncio.to_thread(append, self._path, ocsf.line(notice, self._group))
        except OSError as error:
            return Outcome(Result.RETRY, f"{self._path}: {error.strerror}")
        return Outcome(Result.DELIVERED, f"{size} bytes appended to {self._path}")

    async def probe(self) -> str:
        """Whether the file, or one in its folder, may be written."""
        there = self._path if self._path.exists() else self._path.parent
        return "" if os.access(there, os.W_OK) else f"{there} cannot be written"


def append(path: Path, line: bytes) -> int:
    """Append the line with its end and wait for the disk; the bytes that were written. Raises OSError."""
    new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, MODE)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        left = written = memoryview((b"\n" if torn else b"") + line + b"\n")
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        _keep_name(path.parent)
    return len(written)


def _keep_name(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
