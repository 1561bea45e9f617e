"""The worker: a judge that reads Kafka, session after session until it is told to stop.

Owns the process, its exit codes, and what ends a session or the process. Refuses to know messages (loop.py).
docs/worker.md is its page for operators.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from models.errors import StrayframeError
from streams import allocation, tracing
from streams import log as logs
from streams.cloudevents import parse_headers
from streams.health import Health, HealthServer
from streams.kafka.client import KafkaRefused, require_crc32c
from streams.kafka.deadletters import DeadLetters
from streams.kafka.reader import Reader, cameras_of
from streams.kafka.topics import partitions_of, require_topics
from streams.loop import Loop, Place, Poisoned
from streams.messages import Read
from streams.metrics import Metrics
from streams.outbox.dispatch import Dispatcher
from streams.scenes import read_record
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

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before the store or Kafka is tried again: doubled each time, up to what an operator still calls soon."""


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
