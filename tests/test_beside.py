"""The thread that looks beside the judge: what is seen does not depend on who looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from cloud import in_memory, rounds, still, told

from detector.engine import Engine
from models.fingerprint import Still
from streams.beside import AHEAD, Beside
from streams.decode import Decoder
from streams.judge import Judge
from streams.metrics import Metrics

KEY = b"any key"


@pytest.fixture
def beside() -> Iterator[Beside]:
    with Beside(Decoder(KEY)) as made:
        yield made


class Failing(Decoder):
    """Fails on stills of one byte, as no decoder should."""

    def still(self, data: bytes) -> Still:
        if len(data) == 1:
            raise ZeroDivisionError
        return super().still(data)


def digest(data: bytes) -> bytes:
    return Decoder(KEY).still(data).digest


def test_verdicts_and_alerts_are_those_of_one_who_looks_alone() -> None:
    messages = rounds(4, 12, leaks_from=8)
    with Beside(Decoder(KEY)) as beside:
        judge = Judge(Engine(), Decoder(KEY), Metrics(), crew=beside)
        begun = [judge.begin(message) for message in messages]
        judged = [judgement for each in begun if (judgement := judge.finish(each)) is not None]
    verdicts, alerts = in_memory(messages)
    changes = judge.commit()
    withdrawn = {withdrawal.alert for withdrawal in changes.withdrawn}
    assert {word: sum(j.verdict.value == word for j in judged) for word in verdicts} == verdicts
    assert told([alert for alert in changes.raised if alert.id not in withdrawn]) == told(alerts)


def test_looks_may_be_asked_for_in_any_order_or_never(beside: Beside) -> None:
    stills = [still(camera, moment) for camera in range(3) for moment in range(4)]
    looks = [beside.look(data) for data in stills]
    for number in (11, 3, 0, 3):
        assert looks[number]().digest == digest(stills[number])


def test_one_who_waits_looks_at_the_next_meanwhile(beside: Beside) -> None:
    held, go = threading.Event(), threading.Event()
    seen: list[str] = []

    def see(data: bytes) -> Still:
        seen.append(threading.current_thread().name)
        if data == b"first":
            held.set()
            assert go.wait(60)
        else:
            go.set()
        return Decoder(KEY).unseen(data, "")

    beside.see = see  # type: ignore[method-assign]
    first = beside.look(b"first")
    assert held.wait(60)
    beside.look(b"next")
    first()
    assert seen == ["strayframe-look", threading.current_thread().name]


def test_what_waits_is_bounded(beside: Beside) -> None:
    data, looks = still(0, 0), 0
    while beside.hungry:
        beside.look(data)
        looks += 1
    assert looks >= AHEAD


def test_a_failure_meets_whoever_asks_and_nobody_else() -> None:
    with Beside(Failing(KEY)) as beside:
        bad, good = beside.look(b"?"), beside.look(still(1, 1))
        assert good().digest == digest(still(1, 1))
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                bad()


def test_leaving_it_forgets_what_waits_and_ends_the_thread() -> None:
    before = threading.active_count()
    with Beside(Decoder(KEY)) as beside:
        for moment in range(2 * AHEAD):
            beside.look(still(0, moment))
    assert threading.active_count() == before
