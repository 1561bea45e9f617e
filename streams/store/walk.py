"""How the alerts that pass a filter are found: the statement behind a page, newest first.

Owns which index of streams/store/schema.py a filter walks. Refuses to run a statement. Each of those indexes begins
with what is asked for and goes on with kind, level, whether the alert is withdrawn, and what pages are ordered by: the
number, or where a span of time is asked for the time of delivery and the number. A question that leaves one of the
three open walks each of its values, and a filter that may hold in two ways (an account is recipient or owner) walks
each way. The walks are merged as they are read: a page costs what it shows, however many other alerts there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import product
from typing import Any, Final

from sqlalchemy import ColumnElement, UnaryExpression, bindparam, or_, select, tuple_, union_all
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
_BELOW = bindparam("below", type_=_A.seq.type)
_LIMIT = bindparam("limit", type_=_A.seq.type, literal_execute=True)
_SINCE, _BEFORE = bindparam("since", type_=_A.delivered_at.type), bindparam("before", type_=_A.delivered_at.type)
_COLUMNS: Final[list[Any]] = [schema.alerts, schema.age.label("age")]
_STORED: Final = (schema.age > -_BELOW,)
_DELIVERED: Final = (_A.delivered_at >= _SINCE, tuple_(_A.delivered_at, _A.seq) < tuple_(_BEFORE, _BELOW))
SHAPES: Final = 512
"""Statements kept: one for each set of filters that was asked for, so that a page does not pay for building it."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; None means any. All that are given must hold.

    `account` is the recipient or the owner, `camera` the claimed camera or the owner's; `since` (inclusive) and
    `until` (exclusive) go by delivery time, and so does the order of the pages where one of them is given; `withdrawn`
    False: only those that stand.
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

    @property
    def timed(self) -> bool:
        """Whether a span of time is asked for."""
        return self.since is not None or self.until is not None


ANY: Final = AlertFilter()
"""The filter that every alert passes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement depends on, beside its parameters. `given` are filters of `WAYS`; the first one is walked."""

    given: tuple[str, ...]
    kind: Kind | None
    level: Level | None
    withdrawn: bool | None
    timed: bool
    sqlite: bool


@lru_cache(maxsize=SHAPES)
def statement(shape: Shape) -> Any:
    """The statement of a page: at most `limit` alerts, newest first. Its parameters are those of `asked`, `limit`, and
    where the page begins: alerts whose number is smaller than `below`; of a span those delivered at `since` or later
    whose time and number come before `before` and `below`."""
    marks = _marks(shape)
    if not shape.timed and not shape.given and len(marks) == EVERY_MARK:
        return select(schema.alerts).where(_A.seq < _BELOW).order_by(_A.seq.desc()).limit(_LIMIT)
    aside = [_in_any_way(shape, name) for name in shape.given[1:]]
    between = _DELIVERED if shape.timed else _STORED
    walks: list[Any] = [
        select(*_COLUMNS).where(*way, *mark, *between, *aside) for way in _ways(shape) for mark in marks
    ]
    if not shape.sqlite:  # PostgreSQL merges walks that end by themselves; SQLite reads no further than it needs anyway
        walks = [_newest_first(shape, walk).limit(_LIMIT) for walk in walks]
    merged: Any = union_all(*walks) if len(walks) > 1 else walks[0]
    return _newest_first(shape, merged).limit(_LIMIT)


def ways(name: str) -> list[Condition]:
    """How an alert may pass one filter of `WAYS`, whose value is the parameter of that name."""
    return [column == bindparam(name) for column in WAYS[name]]


def asked(wanted: AlertFilter) -> dict[str, Any]:
    """The values of the filters of `WAYS` that are given."""
    return {name: getattr(wanted, name) for name in WAYS if getattr(wanted, name) is not None}


def _newest_first(shape: Shape, found: Any) -> Any:
    columns = found.selected_columns
    return found.order_by(*((columns.delivered_at.desc(), columns.seq.desc()) if shape.timed else (columns.age,)))


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


def _in_any_way(shape: Shape, name: str) -> Condition:
    return or_(*(_aside(shape, column) == bindparam(name) for column in WAYS[name]))


def _aside(shape: Shape, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column, kept out of SQLite's choice of an index: it knows no statistics and may pick the wrong one.

    A unary plus says that to SQLite (sqlite.org/optoverview.html); PostgreSQL chooses by its statistics.
    """
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type) if shape.sqlite else column
