"""A sink as a target: what an operator has put into the file of sinks, told through the outbox like a hook.

Owns which notices it wants, what every attempt has in common, and that no secret gets into the log. Sinks may reach any
address, private ones included: an operator named them, not a partner. Refuses to schedule and to know a protocol.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import datetime
from typing import Final

from detector.notice import Notice, NoticeType
from streams.outbox.call import SINK, Outcome, Result
from streams.outbox.reach import Reach
from streams.sinks.configuration import SinkError, Spec
from streams.sinks.severity import ends, severity

ANYWHERE: Final = Reach.of("0.0.0.0/0,::/0")
"""What sinks may reach. Hooks are given by partners and reach public addresses; sinks are the operator's own."""


class Sink(ABC):
    """One sink. Used by one courier at a time; `close` ends what it keeps open, and the next `send` opens it anew."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @property
    def name(self) -> str:
        """Its calls are kept under this."""
        return target_of(self.spec.name)

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it leads, for a person; without a secret."""

    @abstractmethod
    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Hand the notice over, once, within a bounded time. May raise SinkError."""

    def wants(self, notice: Notice) -> bool:
        """Whether it is to be told. What ends something passes the severity; a test is for whom it is meant alone."""
        spec = self.spec
        return (
            notice.type is not NoticeType.TEST
            and (spec.integrations is None or notice.integration in spec.integrations)
            and (spec.events is None or notice.type in spec.events)
            and (severity(notice) >= spec.least or ends(notice))
        )

    async def send(self, notice: Notice, at: datetime) -> Outcome:
        """One attempt; a secret that a receiver sent back does not get into the log."""
        try:
            outcome = await self.attempt(notice, at)
        except SinkError as error:
            outcome = Outcome(Result.RETRY, str(error))
        return self.hushed(outcome)

    async def probe(self) -> str:
        """Look whether it could be told now, without telling it; what is wrong, empty where nothing is."""
        return ""

    def close(self) -> None:  # noqa: B027
        """Let go of connections. Most sinks keep none."""

    def hushed(self, outcome: Outcome) -> Outcome:
        """The outcome without the sink's secrets in it."""
        detail, says = outcome.detail, outcome.says
        for _, secret in self.spec.secrets():
            try:
                kept = secret.read()
            except SinkError:
                continue
            detail, says = detail.replace(kept, "***"), says.replace(kept, "***")
        return replace(outcome, detail=detail, says=says)


def target_of(name: str) -> str:
    """The target under which the calls of the sink of that name are kept."""
    return SINK + name
