"""The judging process: messages in, judgements out, and what they changed into the store, one transaction a batch.

Owns the straight way from a message to a stored alert; the worker, HTTP ingest and the demo all run it, and the
replay runs it without a store. Refuses to know where messages come from: sources hand them over and say how far
they have read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from time import perf_counter
from typing import ClassVar, Final, NamedTuple, Protocol

import structlog

from detector.engine import AGAIN, LATE, Changes, Engine, Knowledge
from detector.learned import Learned
from detector.notice import Notice
from detector.suspension import Transition
from detector.switchboard import Switchboard
from detector.telling import audible
from detector.turn import Standing, Turn
from models.errors import StrayframeError
from models.fingerprint import Still
from models.placeholder import Shelf
from models.records import (
    Alert,
    ChangeDeployed,
    Delivery,
    DeliveryId,
    Event,
    IncidentId,
    Judgement,
    RightChanged,
    StillOpened,
    Verdict,
    Withdrawal,
)
from streams import tracing
from streams.beside import Beside
from streams.cloudevents import Message, Rejected, instant
from streams.crew import Crew
from streams.decode import Decoder
from streams.metrics import Metrics

log = structlog.get_logger(__name__)

AHEAD: Final = timedelta(hours=1)
"""How far a sender's clock may be ahead of ours. One still from the year 9999 would keep an incident open for ever."""


@dataclass(frozen=True, slots=True)
class Move:
    """How far a partition was read: from `first` (inclusive) to `next` (exclusive). `lost` of them were gone.

    `followed`: another matcher keeps the partition's offsets.
    """

    topic: str
    partition: int
    first: int
    next: int
    lost: int = 0
    followed: bool = False


class Unwatched(StrEnum):
    """What became of a still that got no verdict on its picture: passed over because it was late, or put aside."""

    LATE = "late"
    REJECTED = "rejected"


Counted = Verdict | Unwatched
"""What coverage tells apart."""


def counted(word: str) -> Counted:
    """What the word, as it is stored, stands for."""
    return Unwatched(word) if word in set(Unwatched) else Verdict(word)


class Covered(NamedTuple):
    """What coverage is counted by: deliveries of one integration within one hour (UTC, by delivery time; of a message
    that was put aside, by the time that Kafka has)."""

    hour: datetime
    integration: str
    verdict: Counted


@dataclass(slots=True)
class Batch:
    """All that one transaction writes: what the engine's knowledge became, counts, plain facts, notices, what
    suspensions became, offsets.

    `judged` is what the desk is told, `folded` how far the log of other matchers was taken up (None: as before).
    """

    changes: Changes = field(default_factory=Changes)
    covered: Counter[Covered] = field(default_factory=Counter)
    opened: list[StillOpened] = field(default_factory=list)
    deployed: list[tuple[DeliveryId, ChangeDeployed]] = field(default_factory=list)
    moves: Sequence[Move] = ()
    notices: list[Notice] = field(default_factory=list)
    turn: Turn | None = None
    judged: list[Judgement] = field(default_factory=list)
    folded: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that can be judged. Its still, if it has one, is being looked at, or will be when that is asked for;
    a delivery without a look is late."""

    message: Message
    look: Callable[[], Still] | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What other matchers have learned, oldest first, up to this number of their log."""

    seq: int
    learned: Sequence[Learned]


class Store(Protocol):
    """What the judge needs of a store. `streams.store.sql.SqlStore` is it, on SQLite and on PostgreSQL."""

    def knowledge(self) -> Knowledge:
        """All that earlier batches added up to, for `Engine.restore`."""

    def rulings(self) -> int:
        """How often persons have ruled on placeholders."""

    def snoozed(self) -> Set[IncidentId]:
        """Incidents whose notices persons hold back now."""

    def shelf(self) -> Shelf:
        """The placeholders, with what persons said of them."""

    def standing(self) -> Standing:
        """How suspensions stand, with what persons said of them."""

    def news(self, after: int | None = None) -> News | None:
        """What other matchers have told behind a number, or since the last commit of this one; None: nothing."""

    def commit(self, batch: Batch) -> None:
        """Write the batch in one transaction, or nothing.

        Raises Fenced when another judge has taken over, Overtaken when a person spoke since `batch.turn` was decided.
        """


class Overtaken(StrayframeError):
    """A person acted on suspensions since this was decided. Nothing was written; decide again on what is stored."""

    retry: ClassVar[bool] = True


class EngineTorn(StrayframeError):
    """The engine failed in the middle of a judgement; what it knows by now is not stored. Start from the store."""

    retry: ClassVar[bool] = True


class Judge:
    """Takes messages one by one and stores what followed from them when told to commit.

    With a `crew`, other processes look at the stills, or a thread does: `begin` messages for as long as the judge is
    `hungry`, and `finish` them in the same order. Verdicts do not depend on it.

    After `commit` has failed the engine is ahead of the store: throw the judge away and start from the store. When the
    engine itself fails, half of a judgement may be in it: from then on `take` and `commit` raise EngineTorn.
    `fetch` brings a picture named by `dataref`; without it such messages are rejected. With a clock, `now`, events that
    are timed more than `AHEAD` of it are rejected, too. `stored` is called after each batch that was stored,
    `noticed` after one that held notices. Without a `board` nothing is ever suspended. With `tells` the desk of several
    matchers is told every judgement.
    """

    def __init__(
        self,
        engine: Engine,
        decoder: Decoder,
        metrics: Metrics,
        store: Store | None = None,
        fetch: Callable[[str], bytes] | None = None,
        now: Callable[[], datetime] | None = None,
        crew: Crew | Beside | None = None,
        stored: Callable[[], None] | None = None,
        noticed: Callable[[], None] | None = None,
        board: Switchboard | None = None,
        tells: bool = False,
    ) -> None:
        self.engine = engine
        self._decoder = decoder
        self._metrics = metrics
        self._store = store
        self._fetch = fetch
        self._now = now
        self._crew = crew
        self._tell_stored = stored
        self._tell_noticed = noticed
        self._batch = Batch()
        self._torn = False
        self._rulings = 0
        self._board = board
        self._tells = tells
        self._judged: list[Judgement] = []
        self._apart: list[Alert] = []
        self._withdrawn: list[Withdrawal] = []
        self._traces: dict[str, str] = {}
        self.transitions: list[Transition] = []
        """What the last batch did to suspensions, in order."""

    @property
    def hungry(self) -> bool:
        """Whether a further message may be begun before the first is finished, to keep other processes busy."""
        return self._crew is not None and self._crew.hungry

    @property
    def whole(self) -> bool:
        """Whether the engine never failed in the middle of a judgement."""
        return not self._torn

    def take(self, message: Message) -> Judgement | None:
        """Judge a delivery, or take note of any other event. Raises Rejected for a message nobody can judge."""
        return self.finish(self.begin(message))

    def begin(self, message: Message) -> Begun:
        """Check a message, and hand its still over to be looked at. Raises Rejected for one that nobody can judge.

        Of a late delivery the rights are judged and the picture is passed over.
        """
        self._require_whole()
        self._require_past(message.event)
        if message.late or not isinstance(message.event, Delivery):
            return Begun(message)
        return Begun(message, self._to_look(message))

    def finish(self, begun: Begun) -> Judgement | None:
        """Judge what was begun."""
        self._require_whole()
        message = begun.message
        match message.event:
            case Delivery() as delivery:
                if message.trace is None and not tracing.is_on():
                    return self._deliver(delivery, begun.look)
                return self._traced(delivery, begun.look, message.trace)
            case RightChanged() as right:
                self._torn = True
                self.engine.right(right)
                self._torn = False
            case StillOpened() as opened:
                self._batch.opened.append(opened)
            case ChangeDeployed() as change:
                self.engine.change(change)
                self._batch.deployed.append((message.key, change))
        return None

    def put_aside(self, when: datetime, integration: str) -> None:
        """Count a still that cannot be judged; `when` is Kafka's time, since the message's own may be what is wrong."""
        self._batch.covered[Covered(_hour(when), integration, Unwatched.REJECTED)] += 1

    def fold(self) -> bool:
        """Take up what other matchers have stored since; whether there was anything, which is then to be committed."""
        self._require_whole()
        news = None if self._store is None else self._store.news(self._batch.folded)
        if news is None:
            return False
        for learned in news.learned:
            self._torn = True
            raised = self.engine.fold(learned)
            self._torn = False
            if self._board is not None:
                judged = {alert.id for judgement in learned.judged for alert in judgement.alerts}
                self._judged += learned.judged
                self._apart += [alert for alert in learned.raised if alert.id not in judged]
                self._apart += raised
                self._withdrawn += learned.withdrawn
        self._batch.folded = news.seq
        return bool(news.learned)

    def commit(self, moves: Sequence[Move] = ()) -> Changes:
        """Store the batch in hand with the offsets that it moves; returns what the engine's knowledge became."""
        self._require_whole()
        batch, self._batch = self._batch, Batch()
        batch.changes, batch.moves = self.engine.drain(), moves
        batch.notices += batch.changes.notices
        traces, self._traces = self._traces, {}
        if self._store is None:
            self._decide(batch)
        else:
            if batch.notices:
                batch.notices = audible(batch.notices, self._store.snoozed())
            with self._metrics.commit_seconds.time():
                self._write(batch, self._store, traces)
            self._shelve(self._store)
        self._judged, self._apart, self._withdrawn = [], [], []
        if self._board is not None:
            self._board.settle()
        if self._tell_noticed is not None and batch.notices:
            self._tell_noticed()
        if self._store is not None and self._tell_stored is not None:
            self._tell_stored()
        self._metrics.stored(batch.changes)
        return batch.changes

    def _write(self, batch: Batch, store: Store, traces: Mapping[str, str]) -> None:
        """Store the batch. When a person has spoken since its suspensions were decided, they are decided again."""
        told = batch.notices
        while True:
            batch.notices = [*told, *self._decide(batch)]
            if traces:
                batch.notices = [_following(notice, traces) for notice in batch.notices]
            try:
                return store.commit(batch)
            except Overtaken:
                assert self._board is not None
                self._board.take(store.standing())

    def _decide(self, batch: Batch) -> list[Notice]:
        if self._board is None:
            return []
        now = None if self._now is None else self._now()
        withdrawn = [*self._withdrawn, *batch.changes.withdrawn]
        batch.turn = self._board.turn(self._judged, withdrawn, now, self._apart)
        self.transitions = batch.turn.transitions
        return batch.turn.notices

    def _shelve(self, store: Store) -> None:
        """A person may have ruled on a placeholder meanwhile; what follows from it is stored by the next commit."""
        rulings = store.rulings()
        if rulings != self._rulings:
            shelf = store.shelf()
            self.engine.shelve(shelf)
            self._rulings = shelf.version

    def _traced(self, delivery: Delivery, look: Callable[[], Still] | None, trace: str | None) -> Judgement:
        """Judge it as part of its trace, which what it leads to is part of as well."""
        key = delivery.key
        with tracing.span(
            "strayframe.judge", trace, kind="CONSUMER", delivery_source=key.source, delivery_id=key.id
        ) as own:
            judgement = self._deliver(delivery, look)
            own.say(verdict=judgement.verdict.value, rule=judgement.rule)
        if judgement.alerts and own.traceparent is not None:
            self._traces |= {alert.id: own.traceparent for alert in judgement.alerts}
        return judgement

    def _deliver(self, delivery: Delivery, look: Callable[[], Still] | None) -> Judgement:
        self._torn = True
        begin = perf_counter()
        judgement = self.engine.judge(delivery, look)
        self._metrics.judge_seconds.observe(perf_counter() - begin)
        self._torn = False
        if judgement.rule != AGAIN:  # the same delivery counts once
            self._batch.covered[_covered(judgement)] += 1
            self._metrics.late.inc() if judgement.rule == LATE else self._metrics.judged(judgement)
            if self._board is not None:
                self._judged.append(judgement)
            if self._tells:
                self._batch.judged.append(judgement)
        return judgement

    def _require_past(self, event: Event) -> None:
        """A right may be made for later; what is said to have happened has happened."""
        if self._now is None or isinstance(event, RightChanged):
            return
        if event.time > self._now() + AHEAD:
            raise Rejected("bad_time", f"time {instant(event.time)} lies in the future: the sender's clock is wrong")

    def _require_whole(self) -> None:
        if self._torn:
            raise EngineTorn("the engine failed in the middle of a judgement; it is opened anew from the store")

    def _to_look(self, message: Message) -> Callable[[], Still]:
        if (still := message.still) is not None:
            return lambda: still
        data = message.data if message.data is not None else self._fetched(message)
        if self._crew is not None:
            return self._crew.look(data)
        return partial(self._decoder.timed, data, self._metrics.look_seconds.observe)

    def _fetched(self, message: Message) -> bytes:
        if self._fetch is None or message.dataref is None:
            raise Rejected("no_picture", "the picture is named by dataref, and nothing here may fetch it")
        return self._fetch(message.dataref)


def tell_stored(alert: Alert) -> None:
    """Log an alert that was stored: by its delivery it is found in what the camera cloud logs."""
    log.warning(
        "alert.stored",
        alert=alert.id,
        delivery=str(alert.delivery),
        raised_by=str(alert.raised_by),
        kind=alert.kind,
        certainty=alert.level,
        rule=alert.rule,
    )


def _following(notice: Notice, traces: Mapping[str, str]) -> Notice:
    """The notice as part of the trace of the alert that it tells of, or that it goes back to: one of those it names,
    else the last one of the batch, which is what an incident's notice follows."""
    named = [notice.data.get("alert"), *reversed(notice.data.get("alerts", ()))]
    trace = next((traces[alert] for alert in named if alert in traces), None)
    if trace is None and notice.data.get("alert") is None:
        *_, trace = traces.values()
    return replace(notice, trace=trace)


def _covered(judgement: Judgement) -> Covered:
    what = Unwatched.LATE if judgement.rule == LATE else judgement.verdict
    return Covered(_hour(judgement.delivery.time), judgement.delivery.integration, what)


def _hour(when: datetime) -> datetime:
    return when.replace(minute=0, second=0, microsecond=0)
