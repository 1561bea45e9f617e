"""OCSF events posted to a URL, one JSON object each.

Owns the headers. Refuses to know what receives them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from detector.notice import Notice
from streams.outbox.call import Outcome
from streams.sinks import ocsf
from streams.sinks.configuration import OcsfHttp
from streams.sinks.web import WebSink

ID: Final = "strayframe-notice"
"""Header with the notice's id: the same at every attempt; `metadata.uid` of the event is it, too."""


class HttpSink(WebSink):
    """Posts to `spec.url`."""

    def __init__(self, spec: OcsfHttp) -> None:
        super().__init__(spec, spec.url, spec.ca)
        self._given = spec

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Post one event."""
        headers = {name.lower(): value for name, value in self._given.headers.items()} | {ID: notice.id}
        if self._given.authorization is not None:
            headers["authorization"] = self._given.authorization.read()
        return await self.post(ocsf.event(notice, self._given.assignee_group), headers)
