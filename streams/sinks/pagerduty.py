"""Incidents and suspensions for PagerDuty's Events API v2: what needs eyes triggers, what is done acknowledges, what is
over resolves.

Owns the event. An incident's alerts are in the incident, so a storm of them pages once.
https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from detector.notice import Notice
from streams.cloudevents import instant
from streams.outbox.call import Outcome
from streams.sinks.configuration import PagerDuty
from streams.sinks.episode import Phase, episode
from streams.sinks.severity import Severity, severity
from streams.sinks.web import WebSink
from streams.sinks.wording import PRODUCT, headline

ACTIONS: Final = {Phase.OPEN: "trigger", Phase.HANDLED: "acknowledge", Phase.OVER: "resolve"}
SEVERITIES: Final = {
    Severity.INFORMATIONAL: "info",
    Severity.LOW: "warning",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}
SUMMARY: Final = 1024
"""Longest summary that the API takes, in characters."""


class PagerDutySink(WebSink):
    """Enqueues events for one service."""

    def __init__(self, spec: PagerDuty) -> None:
        super().__init__(spec, spec.url, spec.ca)
        self._key = spec.routing_key

    def wants(self, notice: Notice) -> bool:
        """All that makes an episode."""
        return super().wants(notice) and episode(notice) is not None

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Enqueue one event."""
        body = event(notice) | {"routing_key": self._key.read()}
        return await self.post(body, {})


def event(notice: Notice) -> dict[str, Any]:
    """The event of a notice that makes an episode, but for the routing key. Its key is the episode's, so that the same
    event twice is one."""
    found = episode(notice)
    assert found is not None
    told: dict[str, Any] = {"event_action": ACTIONS[found.phase], "dedup_key": found.key}
    if found.phase is Phase.OPEN:
        told["client"] = PRODUCT
        told["payload"] = {
            "summary": headline(notice)[:SUMMARY],
            "source": notice.integration or PRODUCT.lower(),
            "severity": SEVERITIES[severity(notice)],
            "timestamp": instant(notice.at),
            "class": notice.type.value,
            "custom_details": {"notice": notice.id, **notice.data},
        }
    return told
