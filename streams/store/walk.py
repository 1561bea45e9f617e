"""How the alerts that pass a filter are found: the statement behind a page, newest stored first.

Owns which index of streams/store/schema.py a filter walks. Refuses to run a statement. Each of those indexes begins
with what is asked for and goes on with kind, level, whether the alert is withdrawn, and the number that pages are
ordered by. A question that leaves one of the three open walks each of its values, and a filter that may hold in two
ways (an account is recipient or owner) walks each way. The walks are merged as they are read: a page costs what it
shows, however many other alerts there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import product
from typing import Any, Final

from sqlalchemy import ColumnElement, UnaryExpression, bindparam, or_, select, union_all
from sqlalchemy.sql.operators import custom_op

from models.records import AccountId, CameraId, IncidentId, Kind, Level
from streams.store import schema

Condition = ColumnElement[bool]
_A: Final = schema.alerts.c
WAYS: Final[dict[str, tuple[ColumnElement[Any], ...]]] = {
    "account": (_A.recipient, _A.owner),
    "camera": (_A.camera, _A.owner_camera),
    "incident": (_A.incident,),
    "integration": (_A.integration,),
}
"""The columns in which a filter may hold. The first filter that is given is walked and the others are looked at on the
way: those that keep few alerts stand first."""
EVERY_MARK: Final = len(Kind) * len(Level) * 2
"""Walks of a question that leaves kind, level and standing open."""
_ABOVE, _BELOW = bindparam("above", type_=_A.seq.type), bindparam("below", type_=_A.seq.type)
_SINCE, _UNTIL = bindparam("since", type_=_A.delivered_at.type), bindparam("until", type_=_A.delivered_at.type)
_LIMIT = bindparam("limit", type_=_A.seq.type)
_COLUMNS: Final[list[Any]] = [schema.alerts, schema.age.label("age")]
_BETWEEN: Final = (schema.age > -_BELOW, schema.age < -_ABOVE)
SHAPES: Final = 512
"""Statements kept: one for each set of filters that was asked for, so that a page does not pay for building it."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; None means any. All that are given must hold.

    `account` is the recipient or the owner, `camera` the claimed camera or the owner's; `since` (inclusive) and
    `until` (exclusive) go by delivery time; `withdrawn` False: only those that stand.
    """

    kind: Kind | None = None
    level: Level | None = None
    account: AccountId | None = None
    camera: CameraId | None = None
    integration: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    incident: IncidentId | None = None
    withdrawn: bool | None = None


ANY: Final = AlertFilter()
"""The filter that every alert passes."""


class Span(Enum):
    """How a filter's span of time is used: not given; so short that all of its alerts are looked at and sorted; or so
    long that it only bounds the walk, and is looked at on the way."""

    NONE = 0
    SHORT = 1
    LONG = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement depends on, beside its parameters. `given` are filters of `WAYS`; the first one is walked."""

    given: tuple[str, ...]
    kind: Kind | None
    level: Level | None
    withdrawn: bool | None
    since: bool
    until: bool
    span: Span
    sqlite: bool


@lru_cache(maxsize=SHAPES)
def statement(shape: Shape) -> Any:
    """The statement of a page. Its parameters are those of `asked`, and `above`, `below` and `limit`: alerts whose
    number lies strictly between the two, newest first, at most so many."""
    marks = _marks(shape)
    if shape.span is Span.SHORT:
        return _sorted(_timed(shape, _A.delivered_at) + _looked_at(shape))
    if shape.span is Span.NONE and not shape.given and len(marks) == EVERY_MARK:
        return _numbered(select(schema.alerts))
    aside = [_in_any_way(shape, name) for name in shape.given[1:]]
    if shape.span is Span.LONG:
        aside += _timed(shape, _aside(shape, _A.delivered_at))
    walks: list[Any] = [
        select(*_COLUMNS).where(*way, *mark, *_BETWEEN, *aside) for way in _ways(shape) for mark in marks
    ]
    if not shape.sqlite:  # PostgreSQL merges walks that end by themselves; SQLite reads no further than it needs anyway
        walks = [walk.order_by(schema.age).limit(_LIMIT) for walk in walks]
    merged: Any = walks[0]
    if len(walks) > 1:
        merged = union_all(*walks)
    return merged.order_by(merged.selected_columns.age).limit(_LIMIT)


def ways(name: str) -> list[Condition]:
    """How an alert may pass one filter of `WAYS`, whose value is the parameter of that name."""
    return [column == bindparam(name) for column in WAYS[name]]


def asked(wanted: AlertFilter) -> dict[str, Any]:
    """The parameters of a filter."""
    names = (*WAYS, "since", "until")
    return {name: getattr(wanted, name) for name in names if getattr(wanted, name) is not None}


def inside(column: ColumnElement[Any], since: Any, until: Any) -> list[Condition]:
    """That a time lies in [since, until); None leaves a side open."""
    after = [] if since is None else [column >= since]
    return after + ([] if until is None else [column < until])


def _numbered(found: Any) -> Any:
    return found.where(_A.seq > _ABOVE, _A.seq < _BELOW).order_by(_A.seq.desc()).limit(_LIMIT)


def _sorted(conditions: list[Condition]) -> Any:
    """Sorts numbers, and reads the alerts of a page only."""
    few = select(_A.seq).where(*conditions, *_BETWEEN).order_by(schema.age).limit(_LIMIT)
    return select(schema.alerts).where(_A.seq.in_(few)).order_by(schema.age)


def _marks(shape: Shape) -> list[list[Condition]]:
    """Kind, level and standing of an alert that passes: one or each of the values of each."""
    kinds = Kind if shape.kind is None else (shape.kind,)
    levels = Level if shape.level is None else (shape.level,)
    either = (False, True) if shape.withdrawn is None else (shape.withdrawn,)
    return [
        [_A.kind == kind.value, _A.level == level.value, schema.gone == int(gone)]
        for kind, level, gone in product(kinds, levels, either)
    ]


def _ways(shape: Shape) -> list[list[Condition]]:
    """Conditions of which exactly one holds for an alert that passes the filter that is walked."""
    if not shape.given:
        return [[]]
    name = shape.given[0]
    first, *rest = WAYS[name]
    return [[first == bindparam(name)], *([column == bindparam(name), first != bindparam(name)] for column in rest)]


def _looked_at(shape: Shape) -> list[Condition]:
    """Every filter but the span of time, none of them to be walked."""
    looked_at = [_in_any_way(shape, name) for name in shape.given]
    if shape.kind is not None:
        looked_at.append(_aside(shape, _A.kind) == shape.kind.value)
    if shape.level is not None:
        looked_at.append(_aside(shape, _A.level) == shape.level.value)
    if shape.withdrawn is not None:
        looked_at.append(schema.gone + 0 == int(shape.withdrawn))
    return looked_at


def _in_any_way(shape: Shape, name: str) -> Condition:
    return or_(*(_aside(shape, column) == bindparam(name) for column in WAYS[name]))


def _timed(shape: Shape, column: ColumnElement[Any]) -> list[Condition]:
    return inside(column, _SINCE if shape.since else None, _UNTIL if shape.until else None)


def _aside(shape: Shape, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column, kept out of SQLite's choice of an index: it knows no statistics and may pick the wrong one.

    A unary plus says that to SQLite (sqlite.org/optoverview.html); PostgreSQL chooses by its statistics.
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type) if shape.sqlite else column
