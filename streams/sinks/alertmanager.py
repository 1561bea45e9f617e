"""Incidents and suspensions as alerts of an Alertmanager, said again while they stand, since it forgets what nobody
repeats and what it held when it was restarted.

Owns labels, which are the same for all that is said of one thing, and when an alert ends. Refuses alerts of incidents.
https://prometheus.io/docs/alerting/latest/clients/
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from detector.notice import Notice
from streams.cloudevents import instant
from streams.outbox.call import Outcome, Result
from streams.sinks.configuration import Alertmanager, SinkError
from streams.sinks.episode import Phase, episode
from streams.sinks.severity import severity
from streams.sinks.web import WebSink
from streams.sinks.wording import headline

PATH: Final = "/api/v2/alerts"
REPEAT: Final = timedelta(minutes=1)
"""Between two times that what stands is said: as Prometheus itself does. An alert that nobody repeats ends after
`expires_minutes`, a quarter of an hour, which outlasts a restart of ours."""
AT_ONCE: Final = 200
"""Alerts in one request: some 200 kB."""


class AlertmanagerSink(WebSink):
    """Posts alerts to the Alertmanager at `spec.url`."""

    def __init__(self, spec: Alertmanager) -> None:
        super().__init__(spec, spec.url.rstrip("/") + PATH, spec.ca)
        self._given = spec
        self._said: dict[str, Notice] = {}
        self._lock = asyncio.Lock()

    @property
    def every(self) -> timedelta:
        """How often what stands is to be said again."""
        return REPEAT

    def wants(self, notice: Notice) -> bool:
        """All that makes an episode."""
        return super().wants(notice) and episode(notice) is not None

    async def attempt(self, notice: Notice, at: datetime) -> Outcome:
        """Post one alert. What is said last of a thing is remembered, to be said again while it stands."""
        async with self._lock:
            outcome = await self._post([self.alert(notice, at)])
            if outcome.result is Result.DELIVERED and (found := episode(notice)) is not None:
                self._said[found.key] = notice
        return outcome

    async def repeat(self, told: Sequence[Notice], at: datetime) -> Outcome | None:
        """Say again what stands of what was told, before this session or in it; None where nothing does."""
        async with self._lock:
            for notice in told:
                if (found := episode(notice)) is not None:
                    self._said.setdefault(found.key, notice)  # what this session said came later
            self._said = {key: notice for key, notice in self._said.items() if self._stands(notice)}
            stands = [self.alert(notice, at) for notice in self._said.values()]
            try:
                outcomes = [await self._post(stands[n : n + AT_ONCE]) for n in range(0, len(stands), AT_ONCE)]
            except SinkError as error:
                return Outcome(Result.RETRY, str(error))
        failed = [outcome for outcome in outcomes if outcome.result is not Result.DELIVERED]
        return self.hushed((failed or outcomes)[0]) if outcomes else None

    def close(self) -> None:
        """Forget what was said: the next session is told what was recorded of it. It has a loop of its own, and so the
        lock anew."""
        self._said, self._lock = {}, asyncio.Lock()

    def alert(self, notice: Notice, at: datetime) -> dict[str, Any]:
        """The alert of a notice that makes an episode, as it is said at `at`."""
        found = episode(notice)
        assert found is not None
        family = notice.type.partition(".")[0]
        over = found.phase is Phase.OVER
        begun = min(str(notice.data.get("opened") or instant(notice.at)), instant(notice.at))
        labels = {"alertname": f"Strayframe{family.title()}", family: found.key, "integration": notice.integration}
        return {
            "labels": {name: value for name, value in (labels | self._given.labels).items() if value},
            "annotations": {
                "summary": headline(notice),
                "severity": severity(notice).name.lower(),
                "phase": found.phase.value,
                "notice": notice.id,
            },
            "startsAt": begun,
            "endsAt": instant(notice.at if over else at + timedelta(minutes=self._given.expires_minutes)),
        }

    async def _post(self, alerts: list[dict[str, Any]]) -> Outcome:
        headers = {} if self._given.authorization is None else {"authorization": self._given.authorization.read()}
        return await self.post(alerts, headers)

    def _stands(self, notice: Notice) -> bool:
        found = episode(notice)
        return self.wants(notice) and found is not None and found.phase is not Phase.OVER
