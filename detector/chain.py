"""The chain of audit entries: what the digest of each one covers, and what is wrong with a chain.

Owns digest and verification. Refuses to store. An entry's digest covers what it says and the digest of the one before
it, so that nothing can be changed, taken out or moved without every later digest being another. Whoever can rewrite
all of them is found out by an anchor: number and digest of an entry, kept where the store's writers cannot reach.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from models.errors import StrayframeError

GENESIS: Final = "0" * 64
"""Stands for the digest before the first entry."""
_ANCHOR: Final = re.compile(r"(0|[1-9][0-9]{0,17}):([0-9a-f]{64})")


class BadAnchor(StrayframeError):
    """The text is no anchor: NUMBER:DIGEST, as `audit verify` prints it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Number and digest of an entry; the number 0 is before the first."""

    number: int = 0
    digest: str = GENESIS

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"

    @classmethod
    def of(cls, text: str) -> Anchor:
        """The anchor that was written so. Raises BadAnchor."""
        found = _ANCHOR.fullmatch(text.strip())
        if found is None:
            raise BadAnchor(f"{text!r} is no anchor: NUMBER:DIGEST, as `strayframe audit verify` prints it")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Said:
    """What an entry says: who, by which way in, did what, to what."""

    at: datetime
    actor: str
    via: str
    what: str
    subject: str
    integration: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in its place: `before` is the digest of the one before it."""

    number: int
    said: Said
    before: str
    digest: str

    @property
    def anchor(self) -> Anchor:
        """What to keep elsewhere of it."""
        return Anchor(self.number, self.digest)

    def record(self) -> dict[str, Any]:
        """As JSON has it; `digest_of` can be recomputed from it by anybody."""
        return {"number": self.number, **_record(self.said), "before": self.before, "digest": self.digest}


class Wrong(StrEnum):
    """What can be wrong with a chain."""

    CHANGED = "changed"
    MISSING = "missing"
    MISPLACED = "misplaced"
    CUT_OFF = "cut-off"
    NOT_AS_ANCHORED = "not-as-anchored"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, at an entry."""

    wrong: Wrong
    number: int
    says: str


def after(last: Anchor, said: Said) -> Entry:
    """The entry that follows the last one."""
    return Entry(last.number + 1, said, last.digest, digest_of(last.digest, said))


def digest_of(before: str, said: Said) -> str:
    """SHA-256 of the digest before, a line feed, and what is said as JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(_record(said), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(f"{before}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def faults(entries: Iterable[Entry], head: Anchor, anchors: Iterable[Anchor] = ()) -> Iterator[Fault]:
    """Everything that is wrong with the entries, which come by their numbers; nothing for a sound chain.

    `head` is the last entry as it is kept beside them; `anchors` were kept elsewhere.
    """
    wanted = {anchor.number: anchor for anchor in anchors}
    last = Anchor()
    for entry in entries:
        yield from _of_one(last, entry)
        yield from _not_anchored(wanted.pop(entry.number, None), entry.digest)
        last = entry.anchor
    yield from _of_end(last, head)
    for anchor in wanted.values():
        if anchor != Anchor():
            yield Fault(Wrong.CUT_OFF, anchor.number, f"entry {anchor.number} was there once, and is not now")


def _of_one(last: Anchor, entry: Entry) -> Iterator[Fault]:
    expected = last.number + 1
    if entry.number > expected:
        gone = (
            f"entry {expected} is" if entry.number == expected + 1 else f"entries {expected} to {entry.number - 1} are"
        )
        yield Fault(Wrong.MISSING, expected, f"{gone} missing")
    elif entry.before != last.digest:
        says = f"entry {entry.number} does not follow entry {last.number}: one of them was moved, replaced or put in"
        yield Fault(Wrong.MISPLACED, entry.number, says)
    if entry.digest != digest_of(entry.before, entry.said):
        yield Fault(Wrong.CHANGED, entry.number, f"entry {entry.number} was changed after it was written")


def _of_end(last: Anchor, head: Anchor) -> Iterator[Fault]:
    if head.number > last.number:
        says = f"the chain ends with entry {last.number}; it was written up to entry {head.number}"
        yield Fault(Wrong.CUT_OFF, last.number + 1, says)
    elif head != last:
        says = f"entry {last.number} is not the last one that was written, which has the number {head.number}"
        yield Fault(Wrong.MISPLACED, last.number, says)


def _not_anchored(anchor: Anchor | None, digest: str) -> Iterator[Fault]:
    if anchor is not None and anchor.digest != digest:
        says = f"entry {anchor.number} is not as it was when its anchor was taken: the chain up to it was rewritten"
        yield Fault(Wrong.NOT_AS_ANCHORED, anchor.number, says)


def _record(said: Said) -> dict[str, Any]:
    return {
        "at": said.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "actor": said.actor,
        "via": said.via,
        "what": said.what,
        "subject": said.subject,
        "integration": said.integration,
        "detail": dict(said.detail),
    }
