"""The live judge beside a replay: the same incidents, the same words, whatever the batches and restarts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cloud import START, enrolled, rounds

from detector.engine import Engine
from detector.incident import Incident
from detector.notice import Notice, NoticeType
from detector.triage import Act, Did, Ruling
from models.records import ChangeDeployed, DeliveryId
from streams.cloudevents import Message
from streams.decode import Decoder
from streams.judge import Batch, Judge
from streams.metrics import Metrics
from streams.store.cases import Cases
from streams.store.sql import SqlStore

DEPLOYED = Message(ChangeDeployed("image-cache", "7", START + timedelta(minutes=20)), DeliveryId("ci", "1"))
CLOUD = [*(enrolled(camera) for camera in range(6)), DEPLOYED, *rounds(cameras=6, each=14, leaks_from=6)]


class Noted(SqlStore):
    """A store that keeps the notices it is given."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.notices: list[Notice] = []

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.notices += batch.notices


def replayed() -> tuple[dict[str, Incident], list[Notice]]:
    """What a judge without a store concludes, in one batch."""
    judge = Judge(Engine(), Decoder(b"any key"), Metrics())
    for message in CLOUD:
        judge.take(message)
    changes = judge.commit()
    return {incident.id: incident for incident in changes.incidents}, changes.notices


@pytest.mark.parametrize("batch", [1, 13])
def test_a_judge_that_starts_again_has_the_incidents_of_a_replay(tmp_path: Path, batch: int) -> None:
    url, notices = f"sqlite:///{tmp_path / 's.db'}", list[Notice]()
    for begin in range(0, len(CLOUD), 40):
        with Noted(url) as store:
            store.acquire(60)
            engine = Engine()
            engine.restore(store.knowledge())
            judge = Judge(engine, Decoder(b"any key"), Metrics(), store)
            for number, message in enumerate(CLOUD[begin : begin + 40], 1):
                judge.take(message)
                if number % batch == 0:
                    judge.commit()
            judge.commit()
            notices += store.notices
    expected, told = replayed()
    assert len(expected) == 1
    assert notices == told
    with SqlStore(url) as store:
        assert {incident.id: store.incident(incident.id) for incident in store.incidents().items} == expected


def test_of_a_snoozed_incident_only_its_beginnings_and_ends_are_told(tmp_path: Path) -> None:
    with Noted(f"sqlite:///{tmp_path / 's.db'}") as store:
        store.acquire(60)
        judge = Judge(Engine(), Decoder(b"any key"), Metrics(), store)
        for message in CLOUD:
            judge.take(message)
            judge.commit()
            for incident in store.incidents().items:
                if store.snoozed() == set():
                    until = "2999-01-01T00:00:00+00:00"
                    Cases(store.database).act(incident.id, [Act(Did.SNOOZED, until)], "kim", START)
        assert {notice.type for notice in store.notices} == {NoticeType.ALERT_RAISED, NoticeType.INCIDENT_OPENED}
        assert store.counts().alerts > 2
        assert sum(notice.type is NoticeType.ALERT_RAISED for notice in store.notices) == 1


def test_a_false_positive_is_data(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path / 's.db'}") as store:
        store.acquire(60)
        judge = Judge(Engine(), Decoder(b"any key"), Metrics(), store)
        for message in CLOUD:
            judge.take(message)
        judge.commit()
        cases, alerts = Cases(store.database), [stored.alert for stored in store.alerts().items]
        (incident,) = store.incidents().items
        assert list(cases.ruled()) == []
        cases.act(alerts[0].id, [Act(Did.RULED, "false_positive")], "kim", START)
        assert list(cases.ruled()) == [(alerts[0], Ruling.FALSE_POSITIVE)]
        cases.act(incident.id, [Act(Did.RULED, "true_positive")], "kim", START)
        said = {alert.id: ruling for alert, ruling in cases.ruled()}
        assert said.pop(alerts[0].id) is Ruling.FALSE_POSITIVE
        assert set(said.values()) == {Ruling.TRUE_POSITIVE}
        assert len(said) == len(alerts) - 1
