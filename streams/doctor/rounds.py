"""The doctor's rounds: what is looked at, in which order, and that one thing that is wrong hides no other.

Owns the order. Nothing is changed and nobody is told anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from models.errors import StrayframeError
from streams.doctor import machine, outlets, stream
from streams.doctor import store as at_store
from streams.doctor.finding import Finding, State, look, wrong
from streams.settings import Settings
from streams.store.database import BadStoreUrl, Database
from streams.store.sql import SqlStore


def rounds(settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Everything that was found, in the order in which it was looked at. Raises nothing that can be said instead."""
    yield machine.models()
    yield machine.ntp()
    try:
        database = Database(settings.store)
    except BadStoreUrl as error:
        yield wrong("store", str(error), "mend the setting `store`")
        database = None
    try:
        yield from _stored(database, settings, now)
    finally:
        if database is not None:
            database.close()
    yield from stream.looked_at(settings, now)
    yield machine.index(settings)


def _stored(database: Database | None, settings: Settings, now: Callable[[], datetime]) -> Iterator[Finding]:
    """The store and what can only be told with it."""
    whole = None
    if database is not None and database.is_sqlite and not at_store.path_of(settings).exists():
        yield look("store", f"{database.name} does not exist yet", "`strayframe serve` or `worker` makes it")
    elif database is not None:
        found = list(at_store.looked_at(database, settings))
        yield from found
        whole = database if found[0].state is State.FINE else None
    identity = None
    if whole is not None:
        try:
            yield at_store.clock(whole, now())
            yield from outlets.hooks(whole, now())
            identity = _identity(settings) if settings.snapshot and Path(settings.snapshot).exists() else None
        except StrayframeError as error:
            yield wrong("store", str(error), "see that the database runs")
            whole = None
    yield from machine.snapshot(settings, identity, now())
    yield from outlets.sinks(whole, settings, now())


def _identity(settings: Settings) -> str:
    with SqlStore(settings.store, upgrade=False) as store:
        return store.identity()
