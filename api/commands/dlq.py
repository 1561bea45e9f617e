"""`strayframe dlq`: the dead letters, listed, shown and sent back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import typer

from api.commands.topics import require_kafka
from api.options import fail
from models.errors import StrayframeError
from streams.cloudevents import instant
from streams.kafka.letters import Letter, Place, letters, open_letter, replay
from streams.settings import Settings

DETAIL: Final = 100
"""Characters of a detail that fit into a list."""


def show_all(settings: Settings, reason: str | None, *, replayed: bool, as_objects: bool) -> int:
    """List the letters, oldest first, and count them by reason."""
    found = [each for each in _letters(settings, reason) if replayed or not each.replayed]
    for letter in found:
        typer.echo(json.dumps(_told(letter)) if as_objects else _line(letter))
    if not as_objects:
        counted = Counter(letter.reason for letter in found)
        typer.echo(", ".join(f"{count} {name}" for name, count in counted.most_common()) or "no dead letters")
    return 0


def show(settings: Settings, place: str, value: Path | None) -> int:
    """Say what one letter holds; its value, which may be somebody's picture, only goes into a file."""
    require_kafka(settings)
    try:
        letter, message = open_letter(settings, Place.parse(place))
    except StrayframeError as error:
        fail(str(error))
    for name, said in _told(letter).items():
        typer.echo(f"{name}: {said}")
    typer.echo(f"key: {_text(message.key)}")
    for name, raw in message.headers:
        typer.echo(f"header {name}: {_text(raw)}")
    if value is not None:
        try:
            value.write_bytes(message.value or b"")
        except OSError as error:
            fail(f"{value}: {error.strerror}")
    return 0


def send_back(settings: Settings, places: list[str], reason: str | None, *, again: bool) -> int:
    """Send letters back; exit code 1 when one of them could not be."""
    if not places and reason is None:
        fail("say which: places as `strayframe dlq list` shows them, or --reason")
    require_kafka(settings)
    left = 0
    try:
        for letter, why_not in replay(settings, _chosen(settings, places, reason, again=again)):
            left += bool(why_not)
            typer.echo(f"{letter.place}: {why_not or 'sent back to ' + letter.origin[0]}")
    except StrayframeError as error:
        fail(str(error))
    return 1 if left else 0


def _chosen(settings: Settings, places: list[str], reason: str | None, *, again: bool) -> list[Place]:
    if places:
        return [Place.parse(place) for place in places]
    return [each.place for each in _letters(settings, reason) if again or not each.replayed]


def _letters(settings: Settings, reason: str | None) -> list[Letter]:
    require_kafka(settings)
    try:
        return [each for each in letters(settings) if reason is None or each.reason == reason]
    except StrayframeError as error:
        fail(str(error))


def _line(letter: Letter) -> str:
    state = " (replayed)" if letter.replayed else ""
    return f"{letter.place}  {instant(letter.when)}  {letter.reason}{state}  {letter.detail[:DETAIL]}"


def _told(letter: Letter) -> dict[str, Any]:
    topic, partition, offset = letter.origin
    return {
        "place": str(letter.place),
        "when": instant(letter.when),
        "reason": letter.reason,
        "detail": letter.detail,
        "origin": f"{topic}/{partition}/{offset}",
        "bytes": letter.size,
        "dropped": letter.dropped,
        "copies": [str(place) for place in letter.copies],
        "replayed": letter.replayed,
    }


def _text(raw: bytes | None) -> str:
    """As text that a terminal can show, and nothing that it would obey."""
    if raw is None:
        return "(none)"
    text = raw[:1000].decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
