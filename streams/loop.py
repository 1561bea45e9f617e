"""The loop of a session: messages from Kafka, judged, and what followed stored in one transaction with the offsets.

Owns batches and their commit sequence. Refuses to skip a message: each is judged or put aside with its reason, and
whatever the broker lost is counted. worker.py opens sessions; docs/worker.md is the page for operators.

The commit sequence of a batch
    1. Judge every message in hand; what cannot be judged is sent to the dead-letter topic.
    2. Wait until the brokers have acknowledged every dead letter.
    3. One database transaction: scenes, alerts, incidents, coverage and the offsets, fenced by the lease's epoch.
    4. Tell the consumer group the offsets, for lag tools. A failure is logged and harmless.

A crash before 3 repeats the batch: the same engine state judges the same messages alike, alerts have ids that derive
from their deliveries, and only dead letters may come twice (their headers tell). A crash after 3 repeats nothing,
because the offsets are read from the store, never from the group. When 3 fails the engine is ahead of the store, so
everything is thrown away and opened anew from the store.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from detector.engine import Changes
from models.errors import StrayframeError
from models.records import Delivery, Kind
from streams.cloudevents import Message, Rejected, parse_headers
from streams.health import READY, Health
from streams.judge import Begun, Move, tell_stored
from streams.kafka.client import Record
from streams.kafka.deadletters import DeadLetters
from streams.kafka.reader import Reader, Replaced
from streams.messages import Read, age_of, delivery_of, integration_of, parsed
from streams.scenes import Aside
from streams.settings import Settings
from streams.stop import Stop
from streams.wiring import ALL, OpenJudge, Part

log = structlog.get_logger(__name__)

GLANCE_SECONDS: Final = 0.5
"""Longest wait for a message, so that a signal or a lost lease is seen soon."""

HAND: Final = 50
"""Messages polled at a time while reading ahead or fetching pictures, at most: a few megabytes, and four to a batch."""

HANDS: Final = 2
"""Polls that are read ahead of the one in hand, at most: of messages without a still nobody ever has too many."""

LOOK_UP: Final = 4
"""Messages judged between two looks at whether those who look at stills want more."""

Place = tuple[str, int, int]
"""Where a message lies: topic, partition, offset."""


class Poisoned(StrayframeError):
    """The engine failed on a message; `place` says which. The same message must not be judged again."""

    def __init__(self, place: Place, detail: str) -> None:
        super().__init__(detail)
        self.place = place


@dataclass(frozen=True, slots=True)
class Step:
    """A message, and what can be done with it: judge what was begun of it, put it aside, or (None) nothing."""

    record: Record
    begun: Begun | Rejected | None


@dataclass(frozen=True, slots=True)
class Hand:
    """One poll's messages, begun, with the moves that they make."""

    steps: list[Step]
    moves: list[Move]


class Loop:
    """One session's batches: read, judge, store. The sequence is the module's."""

    def __init__(
        self,
        settings: Settings,
        opened: OpenJudge,
        reader: Reader,
        letters: DeadLetters,
        health: Health,
        poison: Mapping[Place, str],
        went_well: Callable[[], None] = lambda: None,
        read: Read = parse_headers,
        part: Part = ALL,
    ) -> None:
        self._settings = settings
        self._read = read
        self._part = part
        self._judge = opened.judge
        self._claims = opened.claims
        self._lease = opened.store.lease
        self._reader = reader
        self._letters = letters
        self._health = health
        self._metrics = health.metrics
        self._poison = poison
        self._went_well = went_well
        self._ahead: deque[Hand] = deque()
        self._last_still: Record | None = None
        self._aside = 0

    def run(self, stop: Stop) -> None:
        """Judge batch after batch until told to stop. Raises Fenced, StoreUnavailable, KafkaUnavailable, ..."""
        while not stop.asked:
            if self._lease is not None:
                self._lease.check()
            try:
                taken, moves, folded = self._fill(stop)
            except Replaced:
                if self._lease is not None:
                    self._lease.beat()  # raises Fenced where it was this store's next judge who took the seat
                raise
            if moves or folded:
                self._store(moves, taken)
            self._tell_lag()
            if self._reader.rights_read and self._health.state != READY:
                self._health.now(READY)
                self._went_well()
                log.info("worker.ready")

    def _fill(self, stop: Stop) -> tuple[int, list[Move], bool]:
        """Judge until the batch is full or its time is over; how many messages it holds, the moves they make, and
        whether anything was taken up of what other matchers learned.

        No message waits longer than that for more. What the others had stored before a message was read is known when
        it is judged.
        """
        taken, moves, folded = 0, list[Move](), False
        end: float | None = None
        while (room := self._settings.batch_stills - taken) > 0 and not stop.asked:
            left = GLANCE_SECONDS if end is None else end - time.monotonic()
            if left <= 0 or (taken and self._ahead and len(self._ahead[0].steps) > room):
                break
            hand = self._ahead.popleft() if self._ahead else self._poll(min(left, GLANCE_SECONDS), room)
            folded |= not self._part.share.is_whole and self._judge.fold()
            self._judge_all(hand.steps)
            taken += len(hand.steps)
            moves += hand.moves
            if end is None:
                if not moves:
                    break
                end = time.monotonic() + self._settings.batch_seconds
        return taken, moves, folded

    def _judge_all(self, steps: Sequence[Step]) -> None:
        for number, step in enumerate(steps):
            if number % LOOK_UP == 0:
                self._read_ahead()
            self._finish(step)

    def _read_ahead(self) -> None:
        """Give whoever looks at stills what has come, so that there is work during verdicts and commits."""
        while self._judge.hungry and len(self._ahead) < HANDS and self._reader.has_more:
            hand = self._poll(0, min(HAND, self._settings.batch_stills))
            if not hand.moves:
                return
            self._ahead.append(hand)

    def _poll(self, seconds: float, limit: int) -> Hand:
        haul = self._reader.poll(seconds, limit if self._claims is None else min(limit, HAND))
        said = [(record, self._parse(record)) for record in haul.records]
        if self._claims is not None:
            self._claims.expect(m.dataref for _, m in said if isinstance(m, Message) and m.dataref and not m.late)
        return Hand([Step(record, self._begin(record, message)) for record, message in said], haul.moves)

    def _parse(self, record: Record) -> Message | Rejected | None:
        if (detail := self._poison.get(_place(record))) is not None:
            return Rejected("failed", detail)
        with _boundary(record):
            return self._placed(parsed(record, self._settings, self._read))

    def _placed(self, said: Message | Rejected | None) -> Message | Rejected | None:
        """A still of a camera whose stills another matcher judges is put aside: of one camera only one may say."""
        if isinstance(said, Message) and isinstance(said.event, Delivery) and not self._part.mine(said.event.camera):
            return Rejected("misplaced", f"it lies in a partition of share {self._part.share}; its camera's do not")
        return said

    def _begin(self, record: Record, said: Message | Rejected | None) -> Begun | Rejected | None:
        if not isinstance(said, Message):
            return said
        with _boundary(record):
            try:
                return self._judge.begin(said)
            except Rejected as rejected:
                return rejected

    def _finish(self, step: Step) -> None:
        """Judge one message, or put it aside."""
        match step.begun:
            case None:
                return
            case Aside():
                self._count_aside(step.record)
                return
            case Rejected(reason=reason, detail=detail):
                self._put_aside(step.record, reason, detail)
                return
            case begun:
                with _boundary(step.record):
                    self._judge.finish(begun)
        if step.record.topic == self._settings.topic_stills:
            self._last_still = step.record

    def _put_aside(self, record: Record, reason: str, detail: str) -> None:
        self._letters.send(record, reason, detail)
        self._metrics.rejected.labels(reason).inc()
        self._count_aside(record)
        log.warning(
            "message.rejected",
            delivery=delivery_of(record),
            reason=reason,
            detail=detail,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )

    def _count_aside(self, record: Record) -> None:
        if record.topic == self._settings.topic_stills:
            self._judge.put_aside(datetime.fromtimestamp(record.timestamp / 1000, UTC), integration_of(record))
        self._aside += 1

    def _store(self, moves: list[Move], taken: int) -> None:
        """Steps 2 to 4 of the commit sequence; step 1 is done."""
        self._letters.settle()
        changes = self._judge.commit(_joined(moves))
        self._reader.stored(moves)
        self._tell(changes, moves, taken)

    def _tell(self, changes: Changes, moves: list[Move], taken: int) -> None:
        now = datetime.now(UTC)
        for move in moves:
            self._metrics.lost.labels(move.topic).inc(move.lost)
        for alert in changes.raised:
            if alert.kind is Kind.LEAK:
                self._metrics.alert_seconds.observe(max(0.0, (now - alert.delivered_at).total_seconds()))
            tell_stored(alert)
        log.info(
            "batch.stored",
            messages=taken,
            rejected=self._aside,
            lost=sum(move.lost for move in moves),
            raised=len(changes.raised),
            withdrawn=len(changes.withdrawn),
        )
        self._aside = 0

    def _tell_lag(self) -> None:
        """Told on each turn: it grows while nothing arrives, because no data is not the same as healthy."""
        lag = None if self._last_still is None else age_of(self._last_still)
        self._health.lags(lag, self._reader.behind() + sum(len(hand.steps) for hand in self._ahead))


@contextmanager
def _boundary(record: Record) -> Iterator[None]:
    """Behind this nothing that a message holds can stop the loop: it is put aside and counted by the next session."""
    try:
        yield
    except Exception as error:
        if isinstance(error, StrayframeError) and error.retry:
            raise
        log.exception(
            "message.failed",
            delivery=delivery_of(record),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        raise Poisoned(_place(record), f"{type(error).__name__}: {error}") from error


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def _joined(moves: Iterable[Move]) -> list[Move]:
    """One move for each partition in the place of several that follow upon each other."""
    joined: dict[tuple[str, int], Move] = {}
    for move in moves:
        place = (move.topic, move.partition)
        before = joined.get(place, replace(move, lost=0))
        joined[place] = Move(*place, before.first, move.next, before.lost + move.lost, move.followed)
    return list(joined.values())
