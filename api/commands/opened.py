"""The store as the commands have it: without its lease, so that whoever judges or dispatches goes on meanwhile.

Owns that what is wrong with it ends the command in one sentence, and that whoever runs the command is written down as
the operator: who can open the store is believed. Judges look at what a person said after their next
commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.options import fail
from models.errors import StrayframeError
from streams.acting import acting_as, the_operator
from streams.settings import Settings
from streams.store.sql import SqlStore


@contextmanager
def opened(settings: Settings) -> Iterator[SqlStore]:
    """The store of the settings; an error that can be told ends the command with exit code 2."""
    try:
        with acting_as(the_operator()), SqlStore(settings.store) as store:
            yield store
    except StrayframeError as error:
        fail(str(error))
