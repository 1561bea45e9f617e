"""Leases: one judging process per store, and one that dispatches.

Owns who holds a lease, since when, and when another may take over. Refuses to trust it alone: whoever holds an old
epoch may believe what it likes, its transactions change nothing, because every commit carries the fence
(docs/store.md says the whole argument). Time is the database's.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Row, select, update

from models.errors import StrayframeError
from streams.store.database import Database, StoreUnavailable
from streams.store.schema import leases, now

JUDGE: Final = "judge"
"""The lease of whoever judges; of matchers that share the work, each has one of its own (`judge_of`)."""
DISPATCH: Final = "dispatch"
"""The lease of whoever carries notices out."""
BEATS: Final = 3
"""Heartbeats per lease: two may be missed before a third party may take over."""
POLL_SECONDS: Final = 1.0
"""Seconds between two looks of a standby. A look is one small read."""
PROC: Final = Path("/proc")


class Fenced(StrayframeError):
    """Another judge has taken the store over, or moved this partition; nothing was written. Stop judging."""


class LeaseHeld(StrayframeError):
    """Another process holds the lease. The message says who, where, since when and when it could be replaced."""

    does: ClassVar[str] = "dispatches for"

    def __init__(self, holder: Holder, since: datetime, beat_at: datetime, free_at: datetime) -> None:
        super().__init__(
            f"{holder.who} (process {holder.pid} on {holder.host}) {self.does} this store since {_clock(since)}; its "
            f"last heartbeat was at {_clock(beat_at)}. Stop it, or wait: if it stays silent it can be taken over from "
            f"{_clock(free_at)} on"
        )
        self.holder = holder
        self.since = since
        self.beat_at = beat_at
        self.free_at = free_at


class JudgeRunning(LeaseHeld):
    """Another process judges this store."""

    does = "judges"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that may hold the lease. `place` is where its `pid` means something: one boot, one pid namespace."""

    who: str
    host: str
    place: str
    pid: int
    start: int

    @classmethod
    def this_process(cls, who: str) -> Holder:
        """The process that asks. `who` is what a person would call it: worker, serve, demo."""
        pid = os.getpid()
        return cls(who, socket.gethostname(), _place(), pid, process_start(pid) or 0)

    def is_gone(self) -> bool:
        """Whether the process certainly runs no more. False wherever that cannot be told from here."""
        if self.place != _place():
            return False
        if not (PROC / "self" / "stat").exists():
            return not _answers(self.pid)
        return process_start(self.pid) != self.start


class Lease:
    """The right to judge, or what else `name` stands for, held from `acquire` to `release`; a thread beats meanwhile.

    `epoch` grows with every holder. Safe for several threads. As a context manager it releases at the end.
    """

    def __init__(self, database: Database, epoch: int, seconds: float, name: str = JUDGE) -> None:
        self.name = name
        self.epoch = epoch
        self._database = database
        self._seconds = seconds
        self._fenced = threading.Event()
        self._beat = update(leases).where(*self._mine()).values(beat_at=now())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="strayframe-lease", daemon=True)
        self._thread.start()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def lost(self) -> bool:
        """Whether somebody is known to have taken over. False proves nothing: only a commit's fence does."""
        return self._fenced.is_set()

    def check(self) -> None:
        """Raise Fenced when somebody is known to have taken over. Costs nothing; for loops that read for long."""
        if self.lost:
            raise Fenced(f"another {self.name} took this store over from epoch {self.epoch}")

    def fence(self, connection: Connection) -> None:
        """Beat inside a transaction. Raises Fenced when the epoch moved on: the transaction must then be rolled back.

        To be the transaction's last statement: until it ends, nobody can take over, nor the thread beat.
        """
        if connection.execute(self._beat).rowcount != 1:
            self._fenced.set()
        self.check()

    def beat(self) -> None:
        """Say that the holder lives. Raises Fenced, StoreUnavailable."""
        with self._database.writing() as connection:
            self.fence(connection)

    def release(self) -> None:
        """Give the lease back, for the next one to take at once. Twice is once; a lost lease is left alone."""
        self.stop()
        with self._database.writing() as connection:
            connection.execute(update(leases).where(*self._mine()).values(beat_at=None))

    def stop(self) -> None:
        """End the heartbeat and leave the lease to run out, as a process that dies does."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _mine(self) -> tuple[Any, ...]:
        return (leases.c.name == self.name, leases.c.epoch == self.epoch, leases.c.beat_at.is_not(None))

    def _run(self) -> None:
        while not self._stop.wait(self._seconds / BEATS):
            try:
                self._database.end_silent()  # what stands in the judge's way: this thread alone does not wait for it
                self.beat()
            except Fenced:
                return
            except StrayframeError:  # the store is away for now; the next beat or the next commit will tell
                continue


@dataclass(frozen=True, slots=True)
class Held:
    """How a lease stands: who held it last and, where nobody gave it back, its last heartbeat. `silent`: the holder is
    gone, or was silent for so long that it may be taken over."""

    holder: Holder
    since: datetime
    beat_at: datetime | None
    silent: bool


def state_of(database: Database, name: str) -> Held | None:
    """How a lease stands, None where nobody ever held it."""
    with database.reading() as connection:
        row = connection.execute(select(leases, now().label("now")).where(leases.c.name == name)).one_or_none()
    if row is None:
        return None
    try:
        _require_free(row)
    except LeaseHeld:
        return Held(_holder(row), row.since, row.beat_at, silent=False)
    return Held(_holder(row), row.since, row.beat_at, silent=row.beat_at is not None)


def judge_of(share: str) -> str:
    """The name of the lease of a share, K/N."""
    return f"{JUDGE} {share}"


def _division(name: str) -> str | None:
    """In how many shares the judge of this name has the work divided; None for no judge's name."""
    judge, _, share = name.partition(" ")
    return (share.partition("/")[2] or "1") if judge == JUDGE else None


def _end_others(database: Database, lease: Lease) -> None:
    """End the leases of judges that have the work divided otherwise, where they are silent. Raises JudgeRunning while
    one of them lives.

    To be called under the own lease: of two that start at once, at least one sees the other.
    """
    with database.writing() as connection:
        for row in connection.execute(select(leases, now().label("now")).where(leases.c.beat_at.is_not(None))).all():
            if _division(row.name) in (None, _division(lease.name)):
                continue
            _require_free(row)
            as_seen = (leases.c.name == row.name, leases.c.epoch == row.epoch, leases.c.beat_at == row.beat_at)
            if connection.execute(update(leases).where(*as_seen).values(beat_at=None)).rowcount != 1:
                raise StoreUnavailable(f"{row.name} came back at this very moment")


def acquire(database: Database, lease_seconds: float, who: str = "strayframe", name: str = JUDGE) -> Lease:
    """Take the lease. Raises LeaseHeld (JudgeRunning for a judge's) while another holds it, StoreUnavailable.

    A judge's is also held while judges live that have the work divided in another number of shares.

    It is free when it was released, when its holder was silent for the holder's own `lease_seconds`, or when the
    holder ran on this machine and its process is gone.
    """
    mine = Holder.this_process(who)
    database.end_silent()  # the holder may have been stopped with the lease's row locked
    while True:
        with database.reading() as connection:
            row = connection.execute(select(leases, now().label("now")).where(leases.c.name == name)).one_or_none()
        if row is not None:
            _require_free(row)
        with database.writing() as connection:
            epoch = _take(database, connection, name, row, mine, lease_seconds)
        if epoch is not None:
            lease = Lease(database, epoch, lease_seconds, name)
            if _division(name) is not None:
                _alone(database, lease)
            return lease


def _alone(database: Database, lease: Lease) -> None:
    try:
        _end_others(database, lease)
    except BaseException:
        lease.release()
        raise


def standby(
    database: Database,
    lease_seconds: float,
    wait: Callable[[float], bool],
    who: str = "strayframe",
    name: str = JUDGE,
) -> Lease | None:
    """Wait until the lease is free and take it. `wait(seconds)` returns True to give up; then the answer is None.

    `threading.Event.wait` is such a function. A store that is away for a while is waited for as well.
    """
    while True:
        try:
            return acquire(database, lease_seconds, who, name)
        except (LeaseHeld, StoreUnavailable):
            if wait(POLL_SECONDS):
                return None


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it does not run (a zombie does not).

    Field 22 of /proc/PID/stat, proc(5). The program's name, in brackets before it, may itself hold brackets.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _take(
    database: Database, connection: Connection, name: str, seen: Row[Any] | None, mine: Holder, seconds: float
) -> int | None:
    """The new epoch, or None when the lease is not as it was `seen`."""
    values = {
        "holder": mine.who,
        "host": mine.host,
        "place": mine.place,
        "pid": mine.pid,
        "process_start": mine.start,
        "lease_seconds": seconds,
        "since": now(),
        "beat_at": now(),
    }
    if seen is None:
        first = database.insert(leases).values(name=name, epoch=1, **values).on_conflict_do_nothing()
        inserted = connection.execute(first, execution_options={"preserve_rowcount": True})
        return 1 if inserted.rowcount == 1 else None
    as_seen = (
        leases.c.name == name,
        leases.c.epoch == seen.epoch,
        leases.c.beat_at.is_not_distinct_from(seen.beat_at),
    )
    taken = connection.execute(update(leases).where(*as_seen).values(epoch=seen.epoch + 1, **values))
    return seen.epoch + 1 if taken.rowcount == 1 else None


def _require_free(row: Row[Any]) -> None:
    if row.beat_at is None:
        return
    holder = _holder(row)
    free_at = row.beat_at + timedelta(seconds=row.lease_seconds)
    if row.now < free_at and not holder.is_gone():
        held = LeaseHeld if _division(row.name) is None else JudgeRunning
        raise held(holder, row.since, row.beat_at, free_at)


def _holder(row: Row[Any]) -> Holder:
    return Holder(row.holder, row.host, row.place, row.pid, row.process_start)


def _place() -> str:
    """Names this boot and this pid namespace; the host's name does where the system tells neither."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _clock(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
