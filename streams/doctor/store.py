"""The doctor at the store: whether it answers, its schema, who judges and dispatches, what is held back.

Owns that nothing is changed: no schema is upgraded, no file made. Refuses to count rows, which takes long.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from models.errors import StrayframeError
from streams.doctor.finding import Finding, fine, look, wrong
from streams.settings import Settings
from streams.store.database import Database
from streams.store.lease import DISPATCH, JUDGE, judge_of, state_of
from streams.store.migrations import SchemaOutdated, SchemaTooNew, check
from streams.store.schema import now as its_now
from streams.store.schema import shares
from streams.store.suspensions import Suspensions

ROOM_BYTES: Final = 2_000_000_000
"""Free on the disk of an SQLite store or a snapshot: below, a day of a busy cloud may not fit."""
APART: Final = timedelta(seconds=2)
"""Between our clock and another's: leases and lateness are told in seconds."""


def looked_at(database: Database, settings: Settings) -> Iterator[Finding]:
    """The store, from whether it answers to who works for it. Ends at what makes the rest pointless."""
    try:
        check(database)
    except SchemaOutdated as error:
        yield wrong("store", str(error), "run `strayframe store upgrade`, or start `serve` or `worker`, which do it")
        return
    except SchemaTooNew as error:
        yield wrong(
            "store", str(error), "run the newer program; to go back, restore the backup from before its upgrade"
        )
        return
    except StrayframeError as error:
        yield wrong("store", str(error), "see that the database runs, and that the setting `store` names it")
        return
    yield fine("store", f"{database.name} answers, its schema is current")
    yield from _postgres(database) if not database.is_sqlite else _disk(settings)
    for judge in judging(database):
        yield _lease(database, judge, "judges", "no still is judged: start `strayframe serve` or `strayframe worker`")
    yield _lease(database, DISPATCH, "dispatches", "nobody is told anything: start `strayframe serve` or `worker`")
    yield _kill_switch(database)


def judging(database: Database) -> list[str]:
    """The leases of those who are to judge: one, or one for each matcher that shares the work."""
    with database.reading() as connection:
        of = connection.scalar(select(func.max(shares.c.of))) or 1
    return [JUDGE] if of == 1 else [judge_of(f"{number}/{of}") for number in range(1, of + 1)]


def clock(database: Database, ours: datetime) -> Finding:
    """Our clock against the database's."""
    with database.reading() as connection:
        theirs: datetime = connection.execute(select(its_now())).scalar_one()
    return compared("the database's", abs(theirs - ours))


def compared(whose: str, apart: timedelta) -> Finding:
    """What a difference of clocks means."""
    seconds = apart.total_seconds()
    if apart > APART:
        return wrong(
            "clock",
            f"this machine's clock and {whose} are {seconds:.1f} s apart",
            "have both set by NTP: signatures of hooks are refused beyond five minutes, and lag is told wrongly",
        )
    return fine("clock", f"{seconds:.1f} s from {whose}")


def room(check: str, folder: Path) -> Finding:
    """Whether there is room on the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        return look(check, f"{free / 1e9:.1f} GB are free where {folder} lies", "make room: a full disk stops judging")
    return fine(check, f"{free / 1e9:.0f} GB are free where {folder} lies")


def path_of(settings: Settings) -> Path:
    """The file of an SQLite store."""
    return Path(make_url(settings.store).database or "").absolute()


def _disk(settings: Settings) -> Iterator[Finding]:
    yield room("disk", path_of(settings).parent)


def _postgres(database: Database) -> Iterator[Finding]:
    with database.reading() as connection:
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
        follows = connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one()
    if encoding != "UTF8":
        yield wrong(
            "store", f"the database's encoding is {encoding}", "make one with ENCODING 'UTF8', and restore into it"
        )
    if follows:
        yield wrong("store", "this PostgreSQL is a standby and takes no writes", "have `store` name the primary")


def _lease(database: Database, name: str, does: str, without: str) -> Finding:
    held = state_of(database, name)
    if held is None or held.beat_at is None:
        return look(name, f"no process {does}", without)
    who = f"{held.holder.who} (process {held.holder.pid} on {held.holder.host})"
    if held.silent:
        return wrong(name, f"{who} was last heard of at {held.beat_at:%Y-%m-%d %H:%M:%S} UTC", without)
    return fine(name, f"{who} {does} since {held.since:%Y-%m-%d %H:%M} UTC")


def _kill_switch(database: Database) -> Finding:
    word = Suspensions(database).kill_switch()
    if word is None or not word.is_on:
        return fine("kill-switch", "off")
    said = f"on since {word.at:%Y-%m-%d %H:%M} UTC, by {word.actor}: {word.why}"
    return look("kill-switch", said, "nothing acts; `strayframe kill-switch off` once that is no longer wanted")
