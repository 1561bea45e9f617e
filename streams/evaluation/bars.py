"""The minima that an evaluation can be held to: read from a TOML file, compared with what was found.

Owns their names (docs/evaluate.md). Refuses a name that it does not know.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.errors import StrayframeError
from streams.evaluation.damage import KINDS
from streams.evaluation.damage.trial import Tried
from streams.evaluation.score import NAMELESS, Score, Share


class BarsError(StrayframeError):
    """A file of minima cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """What bars are compared with."""

    score: Score
    damages: Sequence[Tried] = ()


def _least(shares: Mapping[str, Share]) -> float:
    return min((share.value for kind, share in shares.items() if kind != NAMELESS), default=1.0)


def _damages(found: Found, *, held: bool) -> float:
    tried = [each for each in found.damages if KINDS[each.kind].held is held]
    return min((each.named / each.trials for each in tried), default=1.0)


AT_LEAST: Final[dict[str, Callable[[Found], float]]] = {
    "named": lambda found: found.score.of_all(found.score.named).value,
    "named_each": lambda found: _least(found.score.of_kind(found.score.named)),
    "told": lambda found: found.score.of_all(found.score.told).value,
    "at_once": lambda found: Share(found.score.at_once, found.score.prompt).value,
    "acting_each": lambda found: _least(found.score.of_kind(found.score.acting)),
    "damages_each": lambda found: _damages(found, held=False),
    "held_damages_each": lambda found: _damages(found, held=True),
}
AT_MOST: Final[dict[str, Callable[[Found], float]]] = {
    "false_leaks": lambda found: found.score.false_leaks.total(),
    "misnamed": lambda found: found.score.misnamed,
    "false_acting": lambda found: found.score.false_acting,
    "false_shifts_per_thousand": lambda found: 1e3 * found.score.false(found.score.false_shifts).value,
    "unjudged": lambda found: Share(found.score.unjudged, found.score.judged).value,
    "waited_p95": lambda found: found.score.waited()[1] if found.score.waits else 0,
}


def read(path: Path) -> dict[str, float]:
    """The bars in a file, by name. Raises BarsError."""
    try:
        bars = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BarsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BarsError(f"{path} is not TOML: {error}") from None
    for name, bar in bars.items():
        if name not in AT_LEAST | AT_MOST:
            raise BarsError(f"{path}: no bar is called {name!r}; there are {', '.join(AT_LEAST | AT_MOST)}")
        if isinstance(bar, bool) or not isinstance(bar, int | float):
            raise BarsError(f"{path}: {name} = {bar!r} is not a number")
    return bars


def short(bars: Mapping[str, float], found: Found) -> list[str]:
    """A sentence for each bar that is not reached, in the file's order."""
    sentences = []
    for name, bar in bars.items():
        least = name in AT_LEAST
        value = (AT_LEAST if least else AT_MOST)[name](found)
        if value < bar if least else value > bar:
            sentences.append(f"{name} is {value:.4g}; {'at least' if least else 'at most'} {bar:g} is asked for")
    return sentences
