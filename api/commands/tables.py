"""Tables for people at a terminal.

Owns how one looks, and that what others wrote into a cell is shown as it is: a name, a reason or an address in square
brackets is no markup. Refuses to know what a table is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.markup import escape
from rich.table import Table

ID_SHOWN: Final = 11
"""Characters of an id that a list shows, `su-` included: enough to name it to another command."""


def table_of(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose cells are folded where the terminal is narrow; none is cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def minute(when: datetime | None) -> str:
    """A moment to the minute, in UTC; nothing where there is none."""
    return "" if when is None else f"{when:%Y-%m-%d %H:%M}"
