"""Where what comes in over HTTP goes: to the judging thread of this process, onto Kafka, or to another process.

Owns the contract of them all, and who counts. Refuses to know HTTP: `api.ingest` turns requests into messages and
outcomes into answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import generate_latest

from api.problems import ProblemError
from models.records import Judgement
from streams.cloudevents import Message, Rejected
from streams.metrics import Metrics


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

    async def checks(self) -> list[Check]:
        """How it stands, for /readyz; waits for nothing outside this machine."""


class Counts(Protocol):
    """What is counted, where /metrics can tell all of it."""

    def rejected(self, reason: str) -> None:
        """Count a message that could not be judged."""

    async def told(self) -> bytes:
        """All of it in Prometheus' text form. Raises ProblemError."""


class OwnCounts:
    """Counts in this process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def rejected(self, reason: str) -> None:
        """Count a message that could not be judged."""
        self._metrics.rejected.labels(reason).inc()

    def looked(self, seconds: float) -> None:
        """Count a still that another process looked at."""
        self._metrics.look_seconds.observe(seconds)

    async def told(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self._metrics.registry)
