"""Who acts now: the caller on whose behalf this thread or task works.

Owns the one place where it is kept. Refuses to decide who it is: the gate does for requests, a command for its
operator. It is ambient, so that what a person did is written down in the transaction of the deed, however deep that
lies.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from detector.access import PROGRAM, Caller, operator

acting: Final[ContextVar[Caller]] = ContextVar("acting", default=PROGRAM)


@contextmanager
def acting_as(caller: Caller) -> Iterator[Caller]:
    """Within the block the caller acts."""
    before = acting.set(caller)
    try:
        yield caller
    finally:
        acting.reset(before)


def login() -> str:
    """The name under which this process runs; its number where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def the_operator() -> Caller:
    """Whoever runs this command."""
    return operator(login())
