"""`strayframe rights import`: a CSV file of owners and grants to Kafka, or into the store."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from api.options import fail
from models.errors import NaiveTimeError, StrayframeError
from models.records import utc
from streams.rights_file import BEGINNING, RightsFile, read
from streams.settings import Settings

TOLD = 20
"""Bad rows that are told one by one."""


def run(settings: Settings, file: Path, *, dry_run: bool, as_of: str | None) -> int:
    """Import all rows or, when one is bad, none; the exit code is then 1."""
    rights = _read(file, _moment(as_of))
    for bad in rights.bad[:TOLD]:
        typer.secho(f"{file}:{bad.line}: {bad.detail}", err=True, fg=typer.colors.RED)
    if rights.bad:
        fail(f"{len(rights.bad)} bad rows, {len(rights.rights)} good ones; nothing was imported", 1)
    if not dry_run:
        try:
            _produce(settings, rights) if settings.kafka else _store(settings, rights)
        except StrayframeError as error:
            fail(str(error))
    where = f"produced to {settings.topic_rights}" if settings.kafka else f"in {settings.store.split('@')[-1]}"
    said = "would be imported" if dry_run else where
    typer.echo(f"{len(rights.rights)} rights {said}; {rights.repeated} repeated rows")
    return 0


def _read(file: Path, as_of: datetime) -> RightsFile:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return read(lines, as_of=as_of)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except StrayframeError as error:
        fail(f"{file}: {error}")


def _moment(text: str | None) -> datetime:
    if text is None:
        return BEGINNING
    try:
        return utc(datetime.fromisoformat(text))
    except (ValueError, NaiveTimeError):
        fail(f"--as-of {text!r} is not RFC 3339 with a zone, such as 2026-01-05T09:00:00Z")


def _produce(settings: Settings, rights: RightsFile) -> None:
    from streams.kafka.client import Outlet

    with Outlet(settings) as outlet:
        for message in rights.messages():
            outlet.send(message)


def _store(settings: Settings, rights: RightsFile) -> None:
    from streams.acting import acting_as, the_operator
    from streams.metrics import Metrics
    from streams.store.audit import Audit
    from streams.wiring import open_judge

    opened = open_judge(settings, Metrics(), who="rights import", stills=False)
    try:
        with acting_as(the_operator()):
            Audit(opened.store.database).note("rights.imported", rights=len(rights.rights))
        for message in rights.messages():
            opened.judge.take(message)
        opened.judge.commit()
    finally:
        opened.close()
