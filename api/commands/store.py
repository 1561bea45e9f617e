"""`strayframe store`: the schema brought up to date, and a look at who judges."""

from __future__ import annotations

import typer

from api.commands.opened import opened
from api.options import fail
from models.errors import StrayframeError
from streams.settings import Settings
from streams.store.sql import SqlStore


def upgrade(settings: Settings) -> int:
    """Bring the schema up to date; twice is once."""
    with opened(settings) as store:
        typer.echo(f"the schema of {store.database.name} is current")
    return 0


def check(settings: Settings) -> int:
    """Say whether the store answers and its schema is current, and what it holds. Exit code 2: something is wrong."""
    try:
        with SqlStore(settings.store, upgrade=False) as store:
            counts = store.counts()
            typer.echo(
                f"{store.database.name}: the schema is current; {counts.cameras} cameras, {counts.scenes} scenes, "
                f"{sum(counts.stills.values())} stills judged, {counts.alerts} alerts, {counts.incidents} incidents"
            )
    except StrayframeError as error:
        fail(str(error))
    return 0
