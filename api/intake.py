"""Where what comes in over HTTP goes: to the judging thread of this process, or onto Kafka.

Owns the contract of both. Refuses to know HTTP: `api.ingest` turns requests into messages and outcomes into answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from api.problems import ProblemError
from models.records import Judgement
from streams.cloudevents import Message, Rejected


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that readiness depends on: its name, whether it holds, and in words how it stands."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A message was taken, and what it led to is stored (or acknowledged by Kafka). `judgement`: for a delivery
    that was judged here."""

    judgement: Judgement | None = None


Outcome = Taken | Rejected | ProblemError
"""What became of one message. ProblemError: it met a fault of ours, alone among the others."""


class Intake(Protocol):
    """Takes messages. `receipt_only` says that the answer to a still is a receipt and no verdict."""

    receipt_only: bool

    async def start(self) -> None:
        """Begin, without waiting until ready."""

    async def stop(self) -> None:
        """Finish what is in hand, store it, and let go of everything."""

    async def take(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome a message, in their order, each stored before this returns. Raises ProblemError for all."""

    def checks(self) -> list[Check]:
        """How it stands, for /readyz; answers at once."""
