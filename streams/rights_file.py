"""Owners and grants from a CSV file to records: the bulk way in for a cloud that already has customers.

Owns the file's columns, its line numbers and its complaints. Refuses to decide where the rights go: embedded the caller
hands them to the judge, with Kafka it produces them. The same row gives the same event id each time, so that a file
may be imported twice.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from models.errors import NaiveTimeError, StrayframeError
from models.records import AccountId, CameraId, DeliveryId, RightAction, RightChanged, utc
from streams.cloudevents import LONGEST_VALUE, Message, acceptable, event_id

SOURCE = "rights-file"
"""CloudEvents' source of rights that came from a file."""
REQUIRED = ("camera", "account")
COLUMNS = (*REQUIRED, "action", "time")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Time of rows that carry none, where the caller names no other: rights held before any still was delivered."""


class BadRightsFile(StrayframeError):
    """The file is no table of rights at all: its first line does not name the columns, or it is not UTF-8 CSV."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be imported: its line in the file, counted from 1, and what is wrong with it in words."""

    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class RightsFile:
    """What a file holds, in its order. `repeated` counts rows that say the same as an earlier one."""

    rights: list[RightChanged] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    repeated: int = 0

    def messages(self) -> Iterator[Message]:
        """The rights as messages with deterministic ids, for the judge or for Kafka."""
        for right in self.rights:
            yield Message(right, DeliveryId(SOURCE, event_id(right)))


def read(lines: Iterable[str], *, as_of: datetime = BEGINNING) -> RightsFile:
    """Read a whole file of rights. `as_of` is the time of rows that carry none.

    Open the file with `newline=""` and `encoding="utf-8-sig"`. Every bad row is told, none ends the reading. Raises
    BadRightsFile when the first line does not name the columns, NaiveTimeError when `as_of` carries no zone.
    """
    default = utc(as_of)
    reader = csv.reader(lines, strict=True)
    found = RightsFile()
    seen: set[RightChanged] = set()
    repeated = 0
    try:
        columns = _columns(next(reader, []))
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            try:
                right = _right(columns, row, default)
            except _Bad as bad:
                found.bad.append(BadRow(reader.line_num, str(bad)))
                continue
            if right in seen:
                repeated += 1
                continue
            seen.add(right)
            found.rights.append(right)
    except csv.Error as error:
        raise BadRightsFile(f"line {reader.line_num}: not CSV ({error})") from None
    except UnicodeDecodeError:
        raise BadRightsFile(f"after line {reader.line_num}: not UTF-8") from None
    return RightsFile(found.rights, found.bad, repeated)


class _Bad(Exception):
    """What is wrong with a row."""


def _columns(header: list[str]) -> list[str]:
    names = [name.strip().lower() for name in header]
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        told = ", ".join(header) if header else "nothing"
        raise BadRightsFile(f"the first line must name the columns camera, account[, action][, time]; it has {told}")
    return names


def _right(columns: list[str], row: list[str], default: datetime) -> RightChanged:
    if len(row) != len(columns):
        raise _Bad(f"{len(row)} cells where the first line names {len(columns)}")
    cells = dict(zip(columns, (cell.strip() for cell in row), strict=True))
    return RightChanged(
        CameraId(_named(cells, "camera")), AccountId(_named(cells, "account")), _action(cells), _time(cells, default)
    )


def _named(cells: Mapping[str, str], name: str) -> str:
    value = cells[name]
    if not value:
        raise _Bad(f"{name} is empty")
    if not acceptable(value):
        raise _Bad(f"{name} must be printable text of at most {LONGEST_VALUE} bytes")
    return value


def _action(cells: Mapping[str, str]) -> RightAction:
    text = cells.get("action", "").lower() or RightAction.ENROL.value
    for action in RightAction:
        if text == action.value:
            return action
    raise _Bad(f"action {text!r} is not one of {', '.join(RightAction)}")


def _time(cells: Mapping[str, str], default: datetime) -> datetime:
    text = cells.get("time", "")
    if not text:
        return default
    try:
        return utc(datetime.fromisoformat(text))
    except NaiveTimeError:
        raise _Bad(f"time {text!r} carries no zone; write 2026-01-05T09:00:00Z") from None
    except (ValueError, OverflowError):
        raise _Bad(f"time {text!r} is not RFC 3339; write 2026-01-05T09:00:00Z") from None
