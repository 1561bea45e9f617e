"""What the doctor found: one thing that was looked at, how it is, and what to do.

Owns the words. Refuses to mend anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something is. Only `wrong` makes the command fail."""

    FINE = "fine"
    LOOK = "look"
    """It works; somebody should look at it all the same."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing, and where it is not fine, one that says what to do."""

    check: str
    state: State
    says: str
    do: str = ""


def fine(check: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(check, State.FINE, says)


def look(check: str, says: str, do: str) -> Finding:
    """Something to look at."""
    return Finding(check, State.LOOK, says, do)


def wrong(check: str, says: str, do: str) -> Finding:
    """Something that does not work."""
    return Finding(check, State.WRONG, says, do)
