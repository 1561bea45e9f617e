"""What a benchmark says: what was done, ours beside a named peer in the same run, and the bars it is held to.

Every benchmark that `make bench` runs has `measure(say, *, quick)`, which gives rows and says how far it is, and ends
its file with `main(measure, __doc__)`. A bar that is missed makes the exit status 1: a benchmark is a check that
can fail. Times are medians over repeats, ours and the peer's taken in turns.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand: `value` must be at least (else at most) `limit`. `what` names the value with its unit."""

    what: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the demand is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{self.what}: {self.value:.4g} ({sign} {self.limit:g}){'' if self.met else '  MISSED'}"


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `ours` and `peers` (name to figure) share `unit`; `options` says what both were run with."""

    work: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    bars: tuple[Bar, ...] = ()
    options: str = ""

    @property
    def met(self) -> bool:
        """Whether every bar is met."""
        return all(bar.met for bar in self.bars)


Say = Callable[[str], None]


class Measure(Protocol):
    """What a benchmark module does; `quick` takes a smaller size whose figures mean nothing, to see that it runs."""

    def __call__(self, say: Say, *, quick: bool) -> list[Row]: ...


def show(rows: list[Row]) -> str:
    """The rows as lines that a person reads."""
    lines = []
    for row in rows:
        beside = "".join(f"; {name} {figure:.4g}" for name, figure in row.peers.items())
        lines.append(f"{row.work}: {row.ours:.4g} {row.unit}{beside}")
        if row.options:
            lines.append(f"    {row.options}")
        lines += [f"    {bar}" for bar in row.bars]
    return "\n".join(lines)


def main(measure: Measure, about: str | None) -> None:
    """The command line of one benchmark: prints its rows; exits with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small size, to see that it runs; bars mean nothing")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    chosen = parser.parse_args()
    rows = measure(lambda line: print(line, file=sys.stderr, flush=True), quick=chosen.quick)
    print(show(rows))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) | {"met": row.met} for row in rows], indent=1) + "\n")
    sys.exit(0 if chosen.quick or all(row.met for row in rows) else 1)
