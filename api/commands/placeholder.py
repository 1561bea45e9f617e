"""`strayframe placeholder`: pictures that anybody may get, shown to a person, and what the person says of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.commands.opened import opened
from api.options import fail
from api.placeholders import PlaceholderBody
from models.placeholder import Gallery, Look, Placeholder, PlaceholderId, State
from streams.acting import login
from streams.cloudevents import instant
from streams.placeholder import from_file
from streams.settings import Settings
from streams.store.sql import SomebodysHome, SqlStore
from streams.wiring import decoder

SHORTEST: Final = 6
"""Characters that the beginning of an id needs at least to stand for it, `ph-` included."""


def show(settings: Settings, *, as_json: bool) -> int:
    """Print candidates and what was ruled, those that most accounts got first."""
    with opened(settings) as store:
        found = store.placeholders()
    if as_json:
        typer.echo(json.dumps([_record(one) for one in found], ensure_ascii=False, indent=2))
        return 0
    if not found:
        typer.echo("no placeholders: no picture was got by five unrelated accounts, and none was added")
        return 0
    Console().print(_table(found))
    return 0


def add(settings: Settings, files: Sequence[Path]) -> int:
    """Confirm the pictures in these files; one that is a candidate already is confirmed as such. All or none."""
    with opened(settings) as store:
        read = decoder(settings, store)
        given = [from_file(path, read) for path in files]
        known = Gallery()
        for held in store.placeholders(shown=False):
            known.add(held.id, Look.from_bytes(held.body))
        for one in given:
            same = known.find(Look.from_bytes(one.body))
            if same is None or same == one.id:
                store.put_placeholder(one)
                typer.echo(f"{one.id} confirmed: {one.label}")
            else:
                store.rule(same, State.CONFIRMED, login(), _now())
                typer.echo(f"{same} confirmed: {one.label} is the picture that was met before")
    return 0


def confirm(settings: Settings, id: str, by: str | None) -> int:
    """A candidate is a placeholder: nobody's home."""
    with opened(settings) as store:
        one = _the(store, id)
        try:
            store.rule(one.id, State.CONFIRMED, by or login(), _now())
        except SomebodysHome as error:
            fail(str(error), 1)
    typer.echo(f"{one.id} confirmed: it is never judged again, and what was learned from it is taken out")
    return 0


def reject(settings: Settings, id: str, by: str | None) -> int:
    """A candidate is no placeholder: it is judged like any still, and not shown as a candidate again."""
    said = (State.REJECTED, by or login(), _now())
    return _ruled(settings, id, lambda store, one: store.rule(one, *said), "rejected")


def remove(settings: Settings, id: str) -> int:
    """Forget a placeholder, and what was said of it."""
    return _ruled(settings, id, lambda store, one: store.remove_placeholder(one), "removed")


def _ruled(settings: Settings, id: str, do: Callable[[SqlStore, PlaceholderId], bool], said: str) -> int:
    with opened(settings) as store:
        one = _the(store, id)
        do(store, one.id)
    typer.echo(f"{one.id} {said}")
    return 0


def _the(store: SqlStore, id: str) -> Placeholder:
    """The placeholder of that id, or whose id alone begins so."""
    found = [p for p in store.placeholders(shown=False) if p.id == id or (len(id) >= SHORTEST and p.id.startswith(id))]
    if len(found) != 1:
        fail(f"{'no placeholder' if not found else f'{len(found)} placeholders'} of id {id}", 1)
    return found[0]


def _record(one: Placeholder) -> dict[str, Any]:
    return PlaceholderBody.of(one).model_dump(mode="json")


def _table(found: Sequence[Placeholder]) -> Table:
    said = "`strayframe placeholder confirm ID` or `reject ID` settles a candidate."
    table = Table(box=box.SIMPLE_HEAD, caption=said)
    for heading in ("id", "state", "accounts", "stills", "first seen", "last seen", "first camera or file"):
        table.add_column(heading, overflow="fold")
    for one in found:
        times = [_moment(one.first_seen) or "", _moment(one.last_seen) or ""]
        whence = one.label or one.camera or ""
        state = f"{one.state.value} by {one.ruled_by}" if one.ruled_by else one.state.value
        table.add_row(one.id, escape(state), str(one.accounts), str(one.stills), *times, escape(whence))
    return table


def _now() -> datetime:
    return datetime.now(UTC)


def _moment(when: datetime | None) -> str | None:
    return None if when is None else instant(when)
