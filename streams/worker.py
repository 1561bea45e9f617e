"""The worker: stills from Kafka, judged, and what followed stored in one transaction with the offsets.

Owns the loop, its batches and what ends it. Refuses to skip a message: each is judged or put aside with its reason,
and whatever the broker lost is counted. docs/worker.md is its page for operators.

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from detector.engine import Changes
from models.errors import StrayframeError
from models.records import Delivery, Kind
from streams import allocation, tracing
from streams import log as logs
from streams.cloudevents import Message, Rejected, parse_headers
from streams.health import READY, Health, HealthServer
from streams.judge import Begun, Move, tell_stored
from streams.kafka.client import KafkaRefused, Record, require_crc32c
from streams.kafka.deadletters import DeadLetters
from streams.kafka.reader import Reader, Replaced, cameras_of
from streams.kafka.topics import partitions_of, require_topics
from streams.messages import Read, age_of, delivery_of, integration_of, parsed
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.scenes import Aside, read_record
from streams.settings import Settings
from streams.share import WHOLE, Share
from streams.stop import FAILED, STOPPED, Stop
from streams.store.database import StoreUnavailable
from streams.store.lease import Fenced, Holder, JudgeRunning
from streams.wiring import ALL, OpenJudge, Part, await_judge, open_judge

log = structlog.get_logger(__name__)

WHO: Final = "worker"
"""What the lease calls this process."""

REFUSED: Final = 3
FENCED: Final = 4
"""Exit codes beside those of every process: another judge lives; another judge took over."""

GLANCE_SECONDS: Final = 0.5
"""Longest wait for a message, so that a signal or a lost lease is seen soon."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before the store or Kafka is tried again: doubled each time, up to what an operator still calls soon."""

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


def run(settings: Settings, *, standby: bool = False, read: Read = parse_headers, share: Share = WHOLE) -> int:
    """Judge until told to stop; the exit code. `standby` waits while another judge lives instead of giving up."""
    logs.configure(settings.log_level, settings.log_format)
    allocation.keep()
    metrics = Metrics()
    health = Health(metrics)
    try:
        if settings.traces:
            tracing.begin()
        with Stop() as stop, ExitStack() as stack:
            if settings.metrics_port:
                server = HealthServer(health, settings.host, settings.metrics_port)
                stack.callback(server.close)
            dispatcher = stack.enter_context(Dispatcher(settings, metrics))
            made = Supervisor(settings, metrics, health, stop, standby, read, dispatcher.noticed, share=share)
            return made.run()
    except JudgeRunning as running:
        log.error("worker.refused", reason=str(running))
        return REFUSED
    except Fenced as fenced:
        log.error("worker.fenced", reason=f"{fenced}. Nothing more was stored; this worker ends")
        return FENCED
    except StrayframeError as error:
        log.error("worker.failed", reason=str(error))
        return FAILED


def match(settings: Settings, *, standby: bool = False, share: Share = WHOLE) -> int:
    """The same for a matcher: it reads what workers have seen in the place of the stills. Which are late they say.

    One with a share reads its own partitions; its group, for lag tools, is its own, too.
    """
    instead = {"topic_stills": settings.topic_scenes, "topic_scenes": "", "when_behind": "all", "processes": 1}
    if not share.is_whole:
        instead["kafka_group"] = f"{settings.kafka_group}.{share.number}of{share.of}"
    return run(settings.model_copy(update=instead), standby=standby, read=read_record, share=share)


@dataclass(slots=True)
class Supervisor:
    """Opens sessions one after the other: a fault that may pass ends one, and the next starts from the store.

    At the very start nothing is tried twice: a wrong address or password is said at once. A message on which the
    engine failed ends a session too, since half a judgement may be in the engine; the next one puts it aside.
    """

    settings: Settings
    metrics: Metrics
    health: Health
    stop: Stop
    standby: bool
    read: Read = parse_headers
    noticed: Callable[[], None] | None = None
    judged: bool = False
    pause: float = FIRST_PAUSE
    poison: dict[Place, str] = field(default_factory=dict)
    share: Share = WHOLE

    def run(self) -> int:
        """Judge until told to stop. Raises what no retry helps against."""
        require_crc32c()
        while not self.stop.asked:
            try:
                self._session()
            except Poisoned as poisoned:
                self.poison[poisoned.place] = str(poisoned)
                self.judged = True  # it did judge: what ended it was a message, not its surroundings
                log.error("engine.torn", reason="the message is put aside, the rest is judged again from the store")
            except StrayframeError as error:
                if not self.judged or not (error.retry or _is_own_lease(error)):
                    raise
                self.metrics.store_unavailable.inc(isinstance(error, StoreUnavailable))
                log.warning("worker.retrying", reason=str(error), seconds=self.pause)
                self.health.now(f"waiting to try again: {error}")
                self.stop.wait(self.pause)
                self.pause = min(self.pause * 2, LONGEST_PAUSE)
        log.info("worker.stopped")
        return STOPPED

    def _session(self) -> None:
        for problem in require_topics(self.settings):
            log.warning("topics.problem", problem=problem)
        part = self._part()
        opened = self._open(part)
        if opened is None:
            return
        with ExitStack() as stack:
            stack.callback(opened.close)
            self.health.watches(opened.store.suspensions.kill_told)
            stack.callback(self.health.watches, None)
            letters = DeadLetters(self.settings)
            stack.callback(letters.close)
            self.health.now("reading rights")
            reader = Reader(self.settings, opened.store, self.share)
            try:
                log.info("worker.started", store=opened.store.database.name, kafka=self.settings.kafka)
                parts = (self.settings, opened, reader, letters, self.health, self.poison, self._went_well)
                loop = Loop(*parts, read=self.read, part=part)
                loop.run(self.stop)
            except BaseException:
                reader.close(leave=False)
                raise
            reader.close(leave=True)

    def _open(self, part: Part) -> OpenJudge | None:
        self.health.now("loading the index")
        looks = self.read is parse_headers  # a matcher is told what was seen
        more: Any = {"processes": self.settings.processes, "noticed": self.noticed, "part": part, "beside": looks}
        if not self.standby:
            return open_judge(self.settings, self.metrics, who=WHO, **more)
        return await_judge(self.settings, self.metrics, self._stand_by, who=WHO, **more)

    def _part(self) -> Part:
        """What of the work is this process's; there may be more partitions in the next session."""
        if self.share.is_whole:
            return ALL
        partitions = partitions_of(self.settings, self.settings.topic_stills)
        if partitions < self.share.of:
            raise KafkaRefused(f"{self.settings.topic_stills} has {partitions} partitions: too few for {self.share}")
        return Part(self.share, cameras_of(self.share, partitions))

    def _stand_by(self, seconds: float) -> bool:
        self.health.now("standing by: another judge holds the store, or the store is away")
        asked = self.stop.wait(seconds)
        self.health.now("loading the index")
        return asked

    def _went_well(self) -> None:
        self.judged, self.pause = True, FIRST_PAUSE


def _is_own_lease(error: StrayframeError) -> bool:
    """Whether what stands in the way is the lease of our own earlier session, which a store that was away still has."""
    return isinstance(error, JudgeRunning) and error.holder == Holder.this_process(WHO)


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
            folded = not self._part.share.is_whole and self._judge.fold()
            try:
                taken, moves = self._fill(stop)
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

    def _fill(self, stop: Stop) -> tuple[int, list[Move]]:
        """Judge until the batch is full or its time is over; how many messages it holds, and the moves they make.

        No message waits longer than that for more.
        """
        taken, moves = 0, list[Move]()
        end: float | None = None
        while (room := self._settings.batch_stills - taken) > 0 and not stop.asked:
            left = GLANCE_SECONDS if end is None else end - time.monotonic()
            if left <= 0 or (taken and self._ahead and len(self._ahead[0].steps) > room):
                break
            hand = self._ahead.popleft() if self._ahead else self._poll(min(left, GLANCE_SECONDS), room)
            self._judge_all(hand.steps)
            taken += len(hand.steps)
            moves += hand.moves
            if end is None:
                if not moves:
                    break
                end = time.monotonic() + self._settings.batch_seconds
        return taken, moves

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
