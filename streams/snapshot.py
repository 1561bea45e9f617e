"""The snapshot: a judge's memory of scenes in one file, so that the next start need not compute it anew.

Owns the file: what lies where, its version, its checksums, when and how it is written. Refuses to be believed: the
store says which scenes there are, and a file that is torn, foreign or of another version is refused as a whole.

A file begins with a preamble: magic, version, and where the directory lies. The parts follow, each at a multiple of
`PAGE`, then the directory: JSON with the store's identity and each part's name, type, shape, place and CRC-32C. It is
written beside, synced, and renamed, so that there is the old file or the new one and never half of one. When it is
read, it is mapped and the checksums are proved; the parts are used where they lie, and pages are copied when they are
first written to.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from crc32c import crc32c
from numpy.typing import NDArray

from detector.image import Image
from detector.memory import Memory
from models.errors import SnapshotRefused

MAGIC: Final = b"strayimg"
VERSION: Final = 4
"""Of the file's form, and of the index's tables in it. What codes and keys mean has no number: `Image.of` computes some
rows anew and compares."""
PREAMBLE: Final = struct.Struct("<8sIQQI")
"""Magic, version, the directory's place, its bytes and its CRC-32C."""
PAGE: Final = 4096
"""Bytes to a multiple of which each part begins: memory is mapped in pages, and tables must lie on cache lines."""
CHUNK: Final = 4 << 20
"""Bytes that are copied, summed and written at a time, so that what changes meanwhile is written as it was summed."""

log = structlog.get_logger(__name__)


Part = NDArray[Any] | Sequence[bytes | memoryview]
"""A buffer, or the pieces of one, which are bytes."""


def write(path: Path, identity: str, parts: Mapping[str, Part]) -> int:
    """Write parts for the store of this identity, in the place of what was there; the file's bytes. Raises OSError."""
    beside = _beside(path)
    try:
        beside.touch(0o600)  # fingerprints of homes are personal data: for this user alone
        with beside.open("wb") as file:
            file.write(bytes(PREAMBLE.size))
            entries = [_write_part(file, name, part) for name, part in parts.items()]
            directory = json.dumps({"identity": identity, "parts": entries}).encode()
            place = file.tell()
            file.write(directory)
            size = file.tell()
            file.seek(0)
            file.write(PREAMBLE.pack(MAGIC, VERSION, place, len(directory), crc32c(directory)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)
    return size


def read(path: Path, identity: str) -> dict[str, NDArray[Any]]:
    """The parts, mapped: writing to them changes no file. Raises SnapshotRefused, and FileNotFoundError."""
    mapped, directory = _mapped(path, identity)
    mapped.madvise(mmap.MADV_WILLNEED)
    return {entry["name"]: _read_part(path, mapped, entry) for entry in directory["parts"]}


def check(path: Path, identity: str) -> None:
    """Look at the file's outline: its form, its store, its directory; the parts' checksums take a start to prove.
    Raises as `read` does."""
    mapped, _ = _mapped(path, identity)
    mapped.close()


def _mapped(path: Path, identity: str) -> tuple[mmap.mmap, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < PREAMBLE.size:
                raise SnapshotRefused(f"{path} is torn: it has no preamble")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotRefused(f"{path} cannot be read: {error.strerror}") from error
    directory = _directory(path, mapped)
    if directory["identity"] != identity:
        raise SnapshotRefused(f"{path} is of another store")
    return mapped, directory


def load(path: Path, identity: str) -> Image | None:
    """What the file holds, ready to start from; None, and a line in the log, when there is none that can be used."""
    try:
        return _image(path, identity)
    except FileNotFoundError:
        log.info("snapshot.missing", path=str(path), instead="the index is rebuilt from the store")
    except SnapshotRefused as refused:
        log.warning("snapshot.refused", reason=str(refused), instead="the index is rebuilt from the store")
    return None


class Keeper:
    """Writes a memory's snapshots: every so many seconds after a commit, beside the judging, and when it closes.

    A write that fails is logged and changes nothing: the last file stays, and the next attempt is made in its turn.
    `now` is a clock in seconds. `written` is called after each write that went well.
    """

    def __init__(
        self,
        path: Path,
        identity: str,
        memory: Memory,
        seconds: float,
        now: Callable[[], float] = time.monotonic,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self._path, self._identity, self._memory = path, identity, memory
        self._seconds, self._now = seconds, now
        self._due = now() + seconds
        self._tell_written = written
        self._thread: threading.Thread | None = None

    def stored(self) -> None:
        """To be called after each commit, by who judges. Copies what may change and leaves; a thread writes."""
        if self._now() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = self._now() + self._seconds
        began, hold = time.monotonic(), ExitStack()
        hold.enter_context(self._memory.index.reading())
        parts = self._memory.parts()
        held_up = time.monotonic() - began
        self._thread = threading.Thread(target=self._write, args=(parts, hold, held_up), name="snapshot")
        self._thread.start()

    def close(self, *, last: bool) -> None:
        """Wait until nothing is being written; with `last`, write once more."""
        if self._thread is not None:
            self._thread.join()
        if last:
            self._write(self._memory.parts(), ExitStack(), 0.0)

    def _write(self, parts: Mapping[str, Part], hold: ExitStack, held_up: float) -> None:
        began = time.monotonic()
        try:
            with hold:
                size = write(self._path, self._identity, parts)
        except OSError as error:
            log.error("snapshot.failed", path=str(self._path), reason=error.strerror)
            return
        seconds = round(time.monotonic() - began, 3)
        self._tell_written()
        log.info("snapshot.written", path=str(self._path), bytes=size, seconds=seconds, held_up=round(held_up, 3))


def _image(path: Path, identity: str) -> Image:
    parts = read(path, identity)
    try:
        return Image.of(parts)
    except KeyError as missing:
        raise SnapshotRefused(f"{path} has no part {missing}") from missing
    except ValueError as error:
        raise SnapshotRefused(f"{path} is of another version: {error}") from error


def _directory(path: Path, mapped: mmap.mmap) -> dict[str, Any]:
    magic, version, place, size, checksum = PREAMBLE.unpack_from(mapped)
    if magic != MAGIC:
        raise SnapshotRefused(f"{path} is no snapshot")
    if version != VERSION:
        raise SnapshotRefused(f"{path} is of version {version}; this program writes and reads {VERSION}")
    raw = mapped[place : place + size]
    if len(raw) != size or crc32c(raw) != checksum:
        raise SnapshotRefused(f"{path} is torn: its directory does not have its checksum")
    directory: dict[str, Any] = json.loads(raw)
    return directory


def _write_part(file: Any, name: str, part: Part) -> dict[str, Any]:
    file.write(bytes(-file.tell() % PAGE))
    place, checksum = file.tell(), 0
    for chunk in _chunks(part) if isinstance(part, np.ndarray) else _gathered(part):
        checksum = crc32c(chunk, checksum)
        file.write(chunk)
    shape = part.shape if isinstance(part, np.ndarray) else (file.tell() - place,)
    kind = part.dtype.str if isinstance(part, np.ndarray) else np.dtype(np.uint8).str
    return {"name": name, "type": kind, "shape": shape, "at": place, "crc": checksum}


def _chunks(part: NDArray[Any]) -> Iterator[bytes]:
    """Whole rows at a time: one that turns blank meanwhile is all there or all blank."""
    raw = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    row = part[:1].nbytes or 1
    step = max(1, CHUNK // row) * row
    for start in range(0, raw.size, step):
        yield raw[start : start + step].tobytes()


def _gathered(pieces: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    """Small pieces together, large ones cut."""
    held: list[bytes | memoryview] = []
    size = 0
    for piece in pieces:
        for at in range(0, len(piece), CHUNK):
            held.append(piece[at : at + CHUNK])
            size += len(held[-1])
            if size >= CHUNK:
                yield b"".join(held)
                held, size = [], 0
    yield b"".join(held)


def _read_part(path: Path, mapped: mmap.mmap, entry: dict[str, Any]) -> NDArray[Any]:
    kind, count = np.dtype(entry["type"]), int(np.prod(entry["shape"], dtype=np.int64))
    try:
        flat = np.frombuffer(mapped, kind, count, entry["at"]) if count else np.empty(0, kind)
    except ValueError:
        flat = None
    if flat is None or crc32c(flat.view(np.uint8).data) != entry["crc"]:
        raise SnapshotRefused(f"{path} is torn: part {entry['name']} does not have its checksum")
    return flat.reshape(entry["shape"])


def _beside(path: Path) -> Path:
    """Where the next file is written. What another process left there under its own number is taken away."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
