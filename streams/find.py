"""Finds one delivery in an event file by its id, or says what is there in its place.

Owns the sentence for an id that is not there, is there from several sources, or belongs to another kind of event.
Refuses to judge: it reads the lines and nothing else.
"""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import Final

from models.errors import StrayframeError
from models.records import ChangeDeployed, Delivery, DeliveryId, Event, StillOpened
from streams.cloudevents import Rejected, parse_line
from streams.replay import lines

SUGGESTED: Final = 5
"""Ids that are suggested in the place of one that the file does not hold."""


class NotExplained(StrayframeError):
    """The delivery cannot be explained: not in the file, in it from several sources, or its still cannot be had."""


def find(path: Path, id: str, source: str | None = None) -> DeliveryId:
    """The delivery of that id in the file. Raises NotExplained, with near ids, unless it is there just once."""
    sources: dict[str, None] = {}
    instead: list[str] = []
    near = _NearIds(id)
    for line in lines(path):
        try:
            message = parse_line(line.text)
        except Rejected as rejected:
            if _id_in(line.text) == id:
                instead.append(f"line {line.number} has that id and cannot be judged ({rejected})")
            continue
        if isinstance(message.event, Delivery):
            near.offer(message.key.id)
            if message.key.id == id:
                sources[message.key.source] = None
        elif message.key.id == id:
            instead.append(f"line {line.number} has that id and is no delivery but {_kind(message.event)}")
    if source is None and len(sources) == 1:
        return DeliveryId(next(iter(sources)), id)
    if source is not None and source in sources:
        return DeliveryId(source, id)
    if sources:
        named = ", ".join(repr(name) for name in sources)
        raise NotExplained(f"{path} has delivery {id!r} from {named}: choose with --source")
    raise NotExplained(f"{path} has no delivery {id!r}: {'; '.join(instead) or near.told()}")


class _NearIds:
    """The ids that are most like the one that was asked for."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._best: list[tuple[int, str]] = []

    def offer(self, id: str) -> None:
        """Consider an id: how long its beginning and its end are the same."""
        entry = (_alike(self._id, id), id)
        if entry in self._best:
            return
        if len(self._best) < SUGGESTED:
            heapq.heappush(self._best, entry)
        elif entry[0] > self._best[0][0]:
            heapq.heapreplace(self._best, entry)

    def told(self) -> str:
        """The nearest ids in a few words."""
        if not self._best:
            return "it has no delivery at all"
        best = sorted(self._best, key=lambda entry: (-entry[0], entry[1]))
        return f"near it are {', '.join(name for _, name in best)}"


def _alike(a: str, b: str) -> int:
    """Characters that two ids have in common at the beginning and at the end; a typing error leaves all but one."""
    head = _same(a, b)
    return head + _same(a[head:][::-1], b[head:][::-1])


def _same(a: str, b: str) -> int:
    """How many characters both begin with."""
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _id_in(text: bytes) -> str | None:
    """The id of a line that is no acceptable event, where it has one."""
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError):
        return None
    id_ = attributes.get("id") if isinstance(attributes, dict) else None
    return id_ if isinstance(id_, str) else None


def _kind(event: Event) -> str:
    match event:
        case ChangeDeployed():
            return "a deployed change"
        case StillOpened():
            return "the opening of a still"
        case _:
            return "a right to a camera"
