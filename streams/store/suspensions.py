"""Suspensions in the store: what a judge's turn writes, what persons do, and what both read.

Owns the one row that orders them: whoever moves a switch first locks the number of what persons said. A judge that
decided on an older number is refused with Overtaken and writes nothing; a person decides on what is stored at that
moment. Refuses to decide: `detector.suspension.step` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from detector.notice import Notice
from detector.policy import BEFORE, Held, Mode
from detector.roll import Roll, Sample
from detector.scope import Scope, SuspensionId, of_record
from detector.suspension import Actor, Do, Event, Refusal, State, Suspension, Transition, step
from detector.switchboard import HOUR, LEAKS_MOST, Standing, Turn
from models.errors import StrayframeError
from models.records import Alert, AlertId, Kind
from streams.judge import Overtaken
from streams.store import rows, schema
from streams.store.database import Database
from streams.store.queries import Page
from streams.store.suspension_schema import rolls, suspensions, transitions, words

WORDS: Final = "suspension_words"
"""Where `meta` counts what persons said, as decimal digits. Its row is the lock of all that moves a switch."""
KILL, MODE = "kill-switch", "mode"
ON, OFF = "on", "off"
SETTLED: Final = 10_000
"""Switches that are armed again and still known to a judge, the latest: an alert may come late."""

Tell = Callable[[Connection, Iterable[Notice]], None]
"""Stores notices in the caller's transaction."""


class NotMoved(StrayframeError):
    """The switch cannot do that: `refusal` says why, `now` how it stands."""

    def __init__(self, refusal: Refusal, now: Suspension, what: Do) -> None:
        super().__init__(f"{what.value}: {refusal.value}; {now.scope} is {now.state.value}")
        self.refusal, self.now = refusal, now


class Changed(StrayframeError):
    """The switch is no longer as the person saw it."""

    def __init__(self, now: Suspension) -> None:
        super().__init__(f"{now.scope} is {now.state.value} at version {now.version} by now; look at it again")
        self.now = now


class Killed(StrayframeError):
    """The kill switch is on: nothing acts."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a person said that holds for more than one scope, and when. `integration` is empty for the kill switch."""

    at: datetime
    actor: str
    subject: str
    integration: str
    value: str
    why: str

    @property
    def is_on(self) -> bool:
        """Of the kill switch: whether it is on."""
        return self.value == ON


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks of a switch. `version` is the one that the person saw."""

    what: Do
    actor: str
    why: str
    at: datetime
    version: int | None = None


@dataclass(frozen=True, slots=True)
class StoredSuspension:
    """A switch as the store holds it."""

    seq: int
    suspension: Suspension


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """A move as the store holds it; `told` is its event."""

    seq: int
    suspension: SuspensionId
    version: int
    before: State
    after: State
    share: float
    rules: str
    event: Event


@dataclass(frozen=True, slots=True)
class Acted:
    """What a person's request did."""

    suspension: Suspension
    transition: StoredTransition


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An integration as it is told: its mode, None where the default holds, and how far it is warm."""

    integration: str
    mode: Mode | None
    first_seen: datetime | None = None
    warm_at: datetime | None = None
    cameras: int = 0
    known: int = 0
    accounts: int = 0


class Suspensions:
    """The switches of a store. Safe for several threads; every method may raise StoreUnavailable.

    `tell` stores notices of what persons did in the transaction that did it.
    """

    def __init__(self, database: Database, tell: Tell | None = None) -> None:
        self._database = database
        self._tell = tell

    # --- reading ----------------------------------------------------------------------------------------

    def page(
        self, state: State | None = None, integration: str | None = None, after: int | None = None, limit: int = 50
    ) -> Page[StoredSuspension]:
        """Switches that were ever touched, newest first."""
        found = select(suspensions).order_by(suspensions.c.seq.desc()).limit(limit + 1)
        if state is not None:
            found = found.where(suspensions.c.state == state.value)
        if integration is not None:
            found = found.where(suspensions.c.integration == integration)
        if after is not None:
            found = found.where(suspensions.c.seq < after)
        with self._database.reading() as connection:
            items = [StoredSuspension(row.seq, _suspension(row)) for row in connection.execute(found)]
        kept = tuple(items[:limit])
        return Page(kept, kept[-1].seq if len(items) > limit else None)

    def one(self, id: SuspensionId) -> Suspension | None:
        """The switch of that id, or None."""
        with self._database.reading() as connection:
            return _one(connection, id)

    def transitions(self, id: SuspensionId, limit: int = 100) -> list[StoredTransition]:
        """The latest moves of a switch, oldest first."""
        found = select(transitions).where(transitions.c.suspension == id)
        with self._database.reading() as connection:
            latest = connection.execute(found.order_by(transitions.c.version.desc()).limit(limit)).all()
        return [_transition(row) for row in reversed(latest)]

    def words(self) -> int:
        """How often persons have spoken: one small read, to see whether all is still as it was."""
        with self._database.reading() as connection:
            return _number(connection)

    def kill_switch(self) -> Word | None:
        """What was last said of the kill switch; None where nobody ever touched it."""
        with self._database.reading() as connection:
            return _latest(connection, KILL).get("")

    def stand(self) -> tuple[bool, dict[State, int]]:
        """Whether the kill switch is on, and how many switches are in each state."""
        counted = select(suspensions.c.state, func.count().label("switches")).group_by(suspensions.c.state)
        with self._database.reading() as connection:
            states = {State(row.state): row.switches for row in connection.execute(counted)}
            return _is_killed(connection), states

    def integrations(self) -> list[Enrolled]:
        """Every integration that was seen, or has a mode, by name."""
        with self._database.reading() as connection:
            modes = _modes(connection)
            seen = connection.execute(select(rolls)).all()
        found = {
            row.integration: Enrolled(
                row.integration,
                modes.get(row.integration),
                row.first_seen,
                row.warm_at,
                row.cameras,
                row.known,
                row.accounts,
            )
            for row in seen
        }
        found |= {name: Enrolled(name, mode) for name, mode in modes.items() if name not in found}
        return [found[name] for name in sorted(found)]

    def standing(self) -> Standing:
        """All that a judge's switchboard starts from. The number of words first: whatever is said while this is read
        makes it old, and the next commit finds out."""
        armed = suspensions.c.state == State.ARMED.value
        with self._database.reading() as connection:
            number = _number(connection)
            held = [_suspension(row) for row in connection.execute(select(suspensions).where(~armed))]
            settled = select(suspensions).where(armed).order_by(suspensions.c.seq.desc()).limit(SETTLED)
            held += [_suspension(row) for row in connection.execute(settled)]
            policys = [each.event for each in _of_last_hour(connection)]
            capped = (Held.RATE_CAP.value, Held.LINKS_CAP.value)
            return Standing(
                number,
                killed=_is_killed(connection),
                modes=_modes(connection),
                suspensions=held,
                rolls=[_roll(row) for row in connection.execute(select(rolls))],
                leaks=_leaks(connection),
                orders=[each.at for each in policys if each.what is Do.SUSPEND],
                capped=max((e.at for e in policys if e.page and e.numbers.get("held") in capped), default=None),
            )

    # --- persons ----------------------------------------------------------------------------------------

    def act(self, of: Scope | SuspensionId, asked: Asked, *, dry_run: bool = False) -> Acted | None:
        """Do what a person asks of a switch, in one transaction; None where there is none of that id.

        Raises NotMoved, Changed, Killed. With `dry_run` nothing is kept.
        """
        with self._database.writing() as connection:
            number = lock(connection)
            id_ = of.id if isinstance(of, Scope) else of
            now = _one(connection, id_) or (Suspension(of) if isinstance(of, Scope) else None)
            if now is None:
                return None
            moved = _stepped(now, asked)
            if moved.acts and _is_killed(connection):
                raise Killed("the kill switch is on: nothing acts until a person turns it off")
            told = _told(moved)
            if not dry_run:
                self._write(connection, [moved], [moved.after])
                self._speak(connection, number, [moved])
            return Acted(moved.after, told)

    def say(self, subject: str, integration: str, value: str, *, actor: str, why: str, at: datetime) -> Word:
        """Set an integration's mode (`MODE`), or the kill switch (`KILL`, no integration)."""
        word = Word(at, actor, subject, integration, value, why)
        with self._database.writing() as connection:
            number = lock(connection)
            connection.execute(
                words.insert().values(
                    at=at, actor=actor, subject=subject, integration=integration, value=value, why=why
                )
            )
            self._speak(connection, number, [])
        return word

    def _speak(self, connection: Connection, number: int, moved: Sequence[Transition]) -> None:
        """Let judges know that a person spoke, and tell what happened."""
        meta = schema.meta
        connection.execute(update(meta).where(meta.c.name == WORDS).values(value=str(number + 1).encode()))
        if self._tell is not None:
            self._tell(connection, [told for each in moved if (told := each.notice) is not None])

    # --- the judge --------------------------------------------------------------------------------------

    def write(self, connection: Connection, turn: Turn) -> None:
        """Write a judge's turn in its transaction. Raises Overtaken when a person spoke since it was decided."""
        said = lock(connection) if turn.switches else _number(connection)
        if said != turn.words:  # also where nothing moved: with another mode something might have
            raise Overtaken("a person spoke since this was decided; nothing was written")
        if turn.switches:
            self._write(connection, turn.transitions, turn.switches)
        if turn.rolls:
            insert = _insert(connection)(rolls)
            new = {column.name: insert.excluded[column.name] for column in rolls.c if column.name != "integration"}
            upsert = insert.on_conflict_do_update(index_elements=["integration"], set_=new)
            connection.execute(upsert, [_of_roll(each) for each in turn.rolls])

    def _write(self, connection: Connection, moved: Sequence[Transition], switches: Sequence[Suspension]) -> None:
        """Compare and set each switch by its version, and keep how it came to be as it is."""
        for switch in switches:
            version = switch.version - sum(each.after.id == switch.id for each in moved)
            values = _of_suspension(switch)
            if version == 0:
                made = _insert(connection)(suspensions).values(values).on_conflict_do_nothing(index_elements=["id"])
            else:
                seen = (suspensions.c.id == switch.id, suspensions.c.version == version)
                made = update(suspensions).where(*seen).values(values)
            if connection.execute(made, execution_options={"preserve_rowcount": True}).rowcount != 1:
                raise Overtaken(f"{switch.scope} moved since version {version}; nothing was written")
        if moved:
            connection.execute(transitions.insert().values(stored_at=schema.now()), [_of_transition(m) for m in moved])


def lock(connection: Connection) -> int:
    """Wait until nobody else moves a switch, keep others out until this transaction ends; the number of words."""
    meta = schema.meta
    found = connection.scalar(select(meta.c.value).where(meta.c.name == WORDS).with_for_update())
    assert found is not None, "the migration that made the tables made this row"
    return int(found)


def _stepped(now: Suspension, asked: Asked) -> Transition:
    if asked.version is not None and asked.version != now.version:
        raise Changed(now)
    moved = step(now, Event(asked.what, Actor(asked.actor), asked.at, "person", asked.why))
    if isinstance(moved, Refusal):
        raise NotMoved(moved, now, asked.what)
    return moved


def _number(connection: Connection) -> int:
    meta = schema.meta
    return int(connection.scalar(select(meta.c.value).where(meta.c.name == WORDS)) or 0)


def _latest(connection: Connection, subject: str) -> dict[str, Word]:
    """The latest word on the subject, by integration."""
    newest = select(func.max(words.c.seq)).where(words.c.subject == subject).group_by(words.c.integration)
    found = connection.execute(select(words).where(words.c.seq.in_(newest)))
    return {row.integration: Word(row.at, row.actor, row.subject, row.integration, row.value, row.why) for row in found}


def killed() -> ColumnElement[bool]:
    """Within a statement: whether the kill switch is on."""
    last = select(words.c.value).where(words.c.subject == KILL).order_by(words.c.seq.desc()).limit(1)
    return func.coalesce(last.scalar_subquery(), OFF) == ON


def _is_killed(connection: Connection) -> bool:
    return bool(connection.scalar(select(killed())))


def _modes(connection: Connection) -> dict[str, Mode]:
    return {name: Mode(word.value) for name, word in _latest(connection, MODE).items()}


def _of_last_hour(connection: Connection) -> list[StoredTransition]:
    """What the policy did within the hour before the last thing it did."""
    policys = ~transitions.c.person
    last = connection.scalar(select(func.max(transitions.c.at)).where(policys))
    if last is None:
        return []
    return [
        _transition(row)
        for row in connection.execute(select(transitions).where(policys, transitions.c.at > last - HOUR))
    ]


def _leaks(connection: Connection) -> list[Alert]:
    """Leaks raised in the last day that stand, as many as a switchboard keeps."""
    alerts = schema.alerts
    leaks = select(alerts).where(alerts.c.kind == Kind.LEAK.value, alerts.c.withdrawn_at.is_(None))
    found = [
        rows.to_alert(row) for row in connection.execute(leaks.order_by(alerts.c.seq.desc()).limit(10 * LEAKS_MOST))
    ]
    latest = max((each.raised_at for each in found), default=None)
    return [each for each in found if latest is not None and each.raised_at >= latest - BEFORE]


def _one(connection: Connection, id_: SuspensionId) -> Suspension | None:
    row = connection.execute(select(suspensions).where(suspensions.c.id == id_)).one_or_none()
    return None if row is None else _suspension(row)


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


# --- rows --------------------------------------------------------------------------------------------------


def _of_suspension(s: Suspension) -> rows.Values:
    return {
        "id": s.id,
        "integration": s.scope.integration,
        "breadth": s.scope.breadth.value,
        "scope": s.scope.record(),
        "state": s.state.value,
        "version": s.version,
        "share": s.share,
        "since": s.since,
        "ordered": s.ordered,
        "settled": s.settled,
        "evidence": {"alerts": list(s.evidence)},
        "carried": s.carried,
        "shadow": s.shadow,
        "asked": s.asked,
        "approved": s.approved,
        "clean": s.clean,
        "last": s.last,
    }


def _suspension(row: Row[Any]) -> Suspension:
    return Suspension(
        of_record(row.scope),
        State(row.state),
        row.version,
        row.share,
        row.since,
        row.ordered,
        row.settled,
        tuple(AlertId(alert) for alert in row.evidence["alerts"]),
        row.carried,
        row.shadow,
        row.asked,
        row.approved,
        row.clean,
        row.last,
    )


def _of_transition(moved: Transition) -> rows.Values:
    after, event = moved.after, moved.event
    return {
        "suspension": after.id,
        "version": after.version,
        "at": event.at,
        "what": event.what.value,
        "before": moved.before.value,
        "after": after.state.value,
        "share": after.share,
        "shadow": after.shadow,
        "actor": event.actor.name,
        "person": event.actor.person,
        "reason": event.reason,
        "why": event.why,
        "numbers": event.numbers,
        "evidence": {"alerts": list(event.evidence)},
        "page": event.page,
        "rules": moved.rules,
    }


def _transition(row: Row[Any]) -> StoredTransition:
    event = Event(
        Do(row.what),
        Actor(row.actor, row.person),
        row.at,
        row.reason,
        row.why,
        dict(row.numbers),
        tuple(AlertId(alert) for alert in row.evidence["alerts"]),
        shadow=row.shadow,
        page=row.page,
    )
    before, after = State(row.before), State(row.after)
    return StoredTransition(
        row.seq, SuspensionId(row.suspension), row.version, before, after, row.share, row.rules, event
    )


def _told(moved: Transition) -> StoredTransition:
    """As it will be stored; its number is not known yet."""
    after = moved.after
    event = replace(moved.event, shadow=after.shadow)
    return StoredTransition(0, after.id, after.version, moved.before, after.state, after.share, moved.rules, event)


def _of_roll(roll: Roll) -> rows.Values:
    return {
        "integration": roll.integration,
        "first_seen": roll.first_seen,
        "warm_at": roll.warm_at,
        "cameras": len(roll.cameras),
        "known": roll.known_cameras,
        "accounts": len(roll.accounts),
        "known_cameras": roll.cameras.to_bytes(),
        "known_accounts": roll.accounts.to_bytes(),
    }


def _roll(row: Row[Any]) -> Roll:
    cameras, accounts = Sample.from_bytes(row.known_cameras), Sample.from_bytes(row.known_accounts)
    return Roll(row.integration, row.first_seen, row.warm_at, cameras, accounts)
