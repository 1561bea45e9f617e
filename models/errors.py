"""The one tree of exceptions. Each says whether trying again can help; the docstring is the message's general form."""

from __future__ import annotations

from typing import ClassVar


class StrayframeError(Exception):
    """Something Strayframe cannot do. `retry` tells whether the same thing may succeed later."""

    retry: ClassVar[bool] = False


class NaiveTimeError(StrayframeError, ValueError):
    """A time without a zone was given; Strayframe keeps UTC only and guesses no zone."""


class SnapshotRefused(StrayframeError):
    """A snapshot is torn, of another store or of another version. Nothing of it is used; the store has it all."""
