"""`strayframe doctor`: what is wrong, for a person at a terminal or a program (--json)."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Final

import typer

from streams.doctor.finding import Finding, State
from streams.doctor.rounds import rounds
from streams.settings import Settings

MARKS: Final = {State.FINE: "ok  ", State.LOOK: "look", State.WRONG: "BAD "}
COLOURS: Final = {State.FINE: None, State.LOOK: typer.colors.YELLOW, State.WRONG: typer.colors.RED}


def run(settings: Settings, *, as_json: bool) -> int:
    """Look at everything and print what was found. Exit code 1: something is wrong."""
    found = list[Finding]()
    for finding in rounds(settings, partial(datetime.now, UTC)):
        found.append(finding)
        if not as_json:
            _print(finding)
    bad = sum(finding.state is State.WRONG for finding in found)
    looks = sum(finding.state is State.LOOK for finding in found)
    if as_json:
        typer.echo(json.dumps({"fine": not bad, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        typer.echo(f"{len(found)} things looked at: {bad} wrong, {looks} to look at")
    return 1 if bad else 0


def _print(finding: Finding) -> None:
    typer.secho(f"{MARKS[finding.state]}  {finding.check}: {finding.says}", fg=COLOURS[finding.state])
    if finding.do:
        typer.echo(f"      -> {finding.do}")
