"""`strayframe audit`: verify the chain of entries, and export it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import typer

from api.commands.opened import opened
from api.options import fail
from detector.chain import Anchor, BadAnchor
from streams.settings import Settings
from streams.store.audit import Audit

TOLD: Final = 20
"""Faults that are told one by one; --json has all."""


def verify(settings: Settings, anchors: Sequence[str], *, as_json: bool) -> int:
    """Say what is wrong with the chain. Exit code 1: something is."""
    try:
        wanted = [Anchor.of(text) for text in anchors]
    except BadAnchor as error:
        fail(str(error))
    with opened(settings) as store:
        head, found = Audit(store.database).verify(wanted)
    if as_json:
        wrong = [{"wrong": each.wrong.value, "entry": each.number, "detail": each.says} for each in found]
        typer.echo(json.dumps({"anchor": str(head), "sound": not found, "faults": wrong}, indent=2))
        return 1 if found else 0
    for each in found[:TOLD]:
        typer.secho(f"{each.wrong.value}: {each.says}", fg=typer.colors.RED)
    if found:
        fail(f"the chain is not sound: {len(found)} faults, the first at entry {found[0].number}", 1)
    typer.echo(f"{head.number} entries, each as it was written and in its place\nanchor {head}")
    return 0


def export(settings: Settings, out: Path | None, since: int) -> int:
    """Write the entries as JSON lines."""
    with opened(settings) as store, _writing(out) as file:
        for entry in Audit(store.database).entries(since):
            file.write(json.dumps(entry.record(), ensure_ascii=False) + "\n")
    return 0


@contextmanager
def _writing(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("w", encoding="utf-8") as file:
            yield file
    except OSError as error:
        fail(f"{out}: {error.strerror}")
