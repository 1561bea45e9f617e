"""OCSF events for Splunk's HTTP Event Collector.

Owns the envelope. Splunk answers once it has taken the event, not once it is indexed; indexer acknowledgement is not
asked for. https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from detector.notice import Notice
from streams.outbox.call import Outcome
from streams.sinks import ocsf
from streams.sinks.configuration import Splunk
from streams.sinks.web import WebSink

PATH: Final = "/services/collector/event"


class SplunkSink(WebSink):
    """Posts to the collector at `spec.url`."""

    def __init__(self, spec: Splunk) -> None:
        super().__init__(spec, spec.url.rstrip("/") + PATH, spec.ca)
        self._given = spec
        self._channel = str(uuid.uuid5(uuid.NAMESPACE_URL, f"strayframe:{self.name}"))

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Post one event. The channel is what a collector with acknowledgement asks every client for."""
        headers = {"authorization": f"Splunk {self._given.token.read()}", "x-splunk-request-channel": self._channel}
        return await self.post(self._envelope(notice), headers)

    def _envelope(self, notice: Notice) -> dict[str, Any]:
        told = {
            "time": round(notice.at.timestamp(), 3),
            "source": "strayframe",
            "sourcetype": self._given.sourcetype,
            "event": ocsf.event(notice),
        }
        return told | ({} if self._given.index is None else {"index": self._given.index})
