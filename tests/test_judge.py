"""The judge: what the engine's failure leaves behind is never stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cloud import START, delivered, enrolled

from detector.engine import LATE, Engine, Knowledge
from models.records import Delivery, IncidentId, Verdict
from streams.cloudevents import Rejected
from streams.decode import Decoder
from streams.judge import Batch, Covered, EngineTorn, Judge, Unwatched
from streams.metrics import Metrics


class Kept:
    """A store that keeps the batches it is given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def knowledge(self) -> Knowledge:
        return Knowledge()

    def commit(self, batch: Batch) -> None:
        self.batches.append(batch)

    def rulings(self) -> int:
        return 0

    def snoozed(self) -> frozenset[IncidentId]:
        return frozenset()


def test_what_is_said_to_have_happened_lies_not_in_the_future() -> None:
    message = delivered(1, 0)
    judge = Judge(Engine(), Decoder(b"k"), Metrics(), now=lambda: message.event.time - timedelta(minutes=61))
    judge.take(enrolled(0, message.event.time + timedelta(days=30)))
    with pytest.raises(Rejected, match="bad_time"):
        judge.take(message)
    in_time = Judge(Engine(), Decoder(b"k"), Metrics(), now=lambda: message.event.time - timedelta(minutes=59))
    assert in_time.take(message) is not None


def test_of_a_late_still_the_rights_alone_are_judged_and_it_counts_as_late() -> None:
    kept = Kept()
    judge = Judge(Engine(), Decoder(b"k"), Metrics(), kept)  # type: ignore[arg-type]
    judge.take(enrolled(0))
    late = replace(delivered(1, 0), data=None, dataref="https://nobody.fetches/this.jpg", late=True)
    allowed = judge.take(late)
    stranger = judge.take(replace(delivered(2, 0, viewer=1), late=True))
    assert allowed is not None
    assert stranger is not None
    assert (allowed.verdict, allowed.rule) == (Verdict.UNJUDGED, LATE)
    assert (stranger.verdict, stranger.rule) == (Verdict.LEAK, "no-right")
    judge.put_aside(START + timedelta(minutes=30), "displays")
    judge.commit()
    assert kept.batches[0].covered == {
        Covered(START, "displays", Unwatched.LATE): 1,
        Covered(START, "displays", Verdict.LEAK): 1,
        Covered(START, "displays", Unwatched.REJECTED): 1,
    }


def test_a_still_that_another_process_looked_at_gets_the_same_verdict() -> None:
    here, there = (Judge(Engine(), Decoder(b"k"), Metrics()) for _ in range(2))
    look = Decoder(b"k")
    for judge in (here, there):
        judge.take(enrolled(0))
    for minute in range(6):
        message = delivered(minute, 0)
        assert message.data is not None
        seen = replace(message, data=None, still=look.still(message.data))
        assert there.take(seen) == here.take(message)


def test_half_a_judgement_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine.judge

    def stumble(self: Engine, delivery: Delivery, look: Callable[[], Any]) -> Any:
        whole(self, delivery, look)
        raise ZeroDivisionError

    store = Kept()
    judge = Judge(Engine(), Decoder(b"k"), Metrics(), store)
    judge.take(enrolled(0))
    monkeypatch.setattr(Engine, "judge", stumble)
    with pytest.raises(ZeroDivisionError):
        judge.take(delivered(1, 0))
    for attempt in (lambda: judge.take(delivered(2, 0)), judge.commit):
        with pytest.raises(EngineTorn) as torn:
            attempt()
        assert torn.value.retry
    assert store.batches == []
