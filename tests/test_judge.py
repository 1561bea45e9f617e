"""The judge: what the engine's failure leaves behind is never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cloud import delivered, enrolled

from detector.engine import Engine, Knowledge
from models.records import Delivery
from streams.decode import Decoder
from streams.judge import Batch, EngineTorn, Judge
from streams.metrics import Metrics


class Kept:
    """A store that keeps the batches it is given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def knowledge(self) -> Knowledge:
        return Knowledge()

    def commit(self, batch: Batch) -> None:
        self.batches.append(batch)


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
