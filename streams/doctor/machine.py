"""The doctor at this machine: its clock, the models, the index of whoever runs here, the snapshot.

Owns what is asked of the operating system. Refuses to load an index.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from models.errors import SnapshotRefused, StrayframeError
from models.shift import shipped
from streams.doctor.finding import Finding, fine, look, wrong
from streams.doctor.store import room
from streams.settings import Settings
from streams.snapshot import check as check_snapshot

UNSYNCHRONISED: Final = 5
"""TIME_ERROR of adjtimex(2): the kernel was not told by anybody that the clock is right."""
TIMEX_BYTES: Final = 512
"""Room for a struct timex, 208 bytes on 64 bits; all zero, it only asks."""
READY_SECONDS: Final = 3.0


def ntp() -> Finding:
    """Whether something keeps the clock right, as the kernel has it."""
    try:
        told = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (AttributeError, OSError):
        told = -1
    if told < 0:
        return fine("clock", "the system does not tell whether it is synchronised")
    if told == UNSYNCHRONISED:
        return look("clock", "nothing is known to keep this clock right", "run chrony or systemd-timesyncd on the host")
    return fine("clock", "synchronised, as the kernel has it")


def models() -> Finding:
    """The model that is shipped, and the compiled parts that stills need."""
    missing = [name for name in ("crc32c", "numba", "simplejpeg", "blake3") if importlib.util.find_spec(name) is None]
    if missing:
        return wrong(
            "models", f"{', '.join(missing)} is not installed", "install the package anew, with its dependencies"
        )
    try:
        shipped()
    except (StrayframeError, OSError, ValueError) as error:
        return wrong("models", f"the scene-shift model cannot be read ({error})", "install the package anew")
    return fine("models", "the scene-shift model and the compiled parts load")


def snapshot(settings: Settings, identity: str | None, now: datetime) -> Iterator[Finding]:
    """The snapshot, where one is asked for: whole in its outline, of this store, and as young as it should be."""
    if not settings.snapshot:
        yield fine("snapshot", "none is asked for: the index is computed anew at each start")
        return
    path = Path(settings.snapshot)
    if not path.exists():
        yield look("snapshot", f"{path} does not exist", "the first is written after `snapshot_minutes` of judging")
        return
    if identity is not None:
        try:
            check_snapshot(path, identity)
        except SnapshotRefused as refused:
            yield wrong(
                "snapshot", str(refused), "delete it: the next start computes the index, and a new one is written"
            )
            return
    age = now - datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
    if age > timedelta(minutes=3 * settings.snapshot_minutes):
        minutes = age.total_seconds() / 60
        yield look("snapshot", f"{path} is {minutes:.0f} minutes old", "look for `snapshot.failed` in the judge's log")
    else:
        yield fine("snapshot", f"{path} is {age.total_seconds() / 60:.0f} minutes old")
    yield room("snapshot", path.absolute().parent)


def index(settings: Settings) -> Finding:
    """The index, as the process says of itself that runs on this machine with these settings."""
    port = settings.metrics_port or settings.port
    host = settings.host if settings.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    url = f"http://[{host}]:{port}/readyz" if ":" in host else f"http://{host}:{port}/readyz"
    try:
        answer = httpx.get(url, timeout=READY_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return look("index", f"nothing answers at {url}", "ask where `serve` or `worker` runs; else start it")
    if answer.is_success:
        return fine("index", f"{url}: ready")
    return wrong(
        "index", f"{url} answers {answer.status_code}: {answer.text[:300]}", "wait while it loads; else read its log"
    )
