"""Suspensions in the store: what a judge's turn writes, what persons do, and what both read.

Owns the order of the two: whoever moves a switch first locks the number of what persons said (words.py). A judge that
decided on an older number is refused with Overtaken and writes nothing; a person decides on what is stored at that
moment. Refuses to decide: `detector.suspension.step` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from detector.notice import Notice
from detector.policy import Mode
from detector.scope import Scope, SuspensionId
from detector.suspension import EVIDENCE_MOST, Actor, Do, Event, Refusal, State, Suspension, Transition, step
from detector.turn import LEAKS_MOST, Standing, Turn
from models.errors import StrayframeError
from models.records import AlertId, IncidentId, Kind
from streams.judge import Overtaken
from streams.store import audit, rows, schema
from streams.store.database import Database
from streams.store.queries import Page
from streams.store.standing import standing
from streams.store.suspension_rows import (
    StoredSuspension,
    StoredTransition,
    of_roll,
    of_suspension,
    of_transition,
    to_suspension,
    to_transition,
    told,
)
from streams.store.suspension_schema import evidence, rolls, suspensions, transitions, words
from streams.store.words import KILL, Word, count, is_killed, latest, lock, modes, number

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


class NoneOfThese(StrayframeError):
    """The incident that was named has no leak in the scope that still stands."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks of a switch. `version` is the one that the person saw.

    With an `incident` the order rests on its leaks in the scope: whoever looks at either finds the other.
    """

    what: Do
    actor: str
    why: str
    at: datetime
    version: int | None = None
    incident: IncidentId | None = None


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
            items = [StoredSuspension(row.seq, to_suspension(row)) for row in connection.execute(found)]
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
        return [to_transition(row) for row in reversed(latest)]

    def incidents(self, ids: Sequence[SuspensionId]) -> dict[SuspensionId, tuple[IncidentId, ...]]:
        """The incidents whose alerts each of these switches was ever moved on, in their order; none are left out."""
        alerts = schema.alerts
        found = (
            select(evidence.c.suspension, alerts.c.incident)
            .join(alerts, alerts.c.id == evidence.c.alert)
            .where(evidence.c.suspension.in_(ids), alerts.c.incident.is_not(None))
            .distinct()
        )
        named: dict[SuspensionId, tuple[IncidentId, ...]] = dict.fromkeys(ids, ())
        with self._database.reading() as connection:
            for suspension, incident in sorted(map(tuple, connection.execute(found))):
                named[suspension] += (incident,)
        return named

    def of_incident(self, id: IncidentId, integration: str) -> list[Suspension]:
        """The switches that were ever moved on an alert of this incident of that integration, oldest first."""
        alerts = schema.alerts
        its = select(alerts.c.incident).where(alerts.c.id == evidence.c.alert).scalar_subquery()
        rests = exists().where(evidence.c.suspension == suspensions.c.id, its == id)  # an incident may have any alerts
        found = select(suspensions).where(suspensions.c.integration == integration, rests).order_by(suspensions.c.seq)
        with self._database.reading() as connection:
            return [to_suspension(row) for row in connection.execute(found)]

    def words(self) -> int:
        """How often persons have spoken: one small read, to see whether all is still as it was."""
        with self._database.reading() as connection:
            return number(connection)

    def kill_switch(self) -> Word | None:
        """What was last said of the kill switch; None where nobody ever touched it."""
        with self._database.reading() as connection:
            return latest(connection, KILL).get("")

    def kill_told(self, *, named: bool = True) -> str:
        """How the kill switch stands, in words; by whom and why, where that may be `named`."""
        word = self.kill_switch()
        return "off" if word is None else word.told(named=named)

    def stand(self) -> tuple[bool, dict[State, int]]:
        """Whether the kill switch is on, and how many switches are in each state."""
        counted = select(suspensions.c.state, func.count().label("switches")).group_by(suspensions.c.state)
        with self._database.reading() as connection:
            states = {State(row.state): row.switches for row in connection.execute(counted)}
            return is_killed(connection), states

    def integrations(self) -> list[Enrolled]:
        """Every integration that was seen, or has a mode, by name."""
        with self._database.reading() as connection:
            set_ = modes(connection)
            seen = connection.execute(select(rolls)).all()
        found = {
            row.integration: Enrolled(
                row.integration,
                set_.get(row.integration),
                row.first_seen,
                row.warm_at,
                row.cameras,
                row.known,
                row.accounts,
            )
            for row in seen
        }
        found |= {name: Enrolled(name, mode) for name, mode in set_.items() if name not in found}
        return [found[name] for name in sorted(found)]

    def standing(self) -> Standing:
        """All that a judge's switchboard starts from."""
        with self._database.reading() as connection:
            return standing(connection)

    # --- persons ----------------------------------------------------------------------------------------

    def act(self, of: Scope | SuspensionId, asked: Asked, *, dry_run: bool = False) -> Acted | None:
        """Do what a person asks of a switch, in one transaction; None where there is none of that id.

        Raises NotMoved, Changed, Killed, NoneOfThese. With `dry_run` nothing is kept.
        """
        with self._database.writing() as connection:
            said = lock(connection)
            id_ = of.id if isinstance(of, Scope) else of
            now = _one(connection, id_) or (Suspension(of) if isinstance(of, Scope) else None)
            if now is None:
                return None
            moved = _stepped(now, asked, _leaks_in(connection, now.scope, asked.incident))
            if moved.acts and is_killed(connection):
                raise Killed("the kill switch is on: nothing acts until a person turns it off")
            if not dry_run:
                self._write(connection, [moved], [moved.after])
                self._speak(connection, said, [moved])
                _audited(connection, moved)
            return Acted(moved.after, told(moved))

    def say(self, subject: str, integration: str, value: str, *, actor: str, why: str, at: datetime) -> Word:
        """Set an integration's mode (`MODE`), or the kill switch (`KILL`, no integration)."""
        word = Word(at, actor, subject, integration, value, why)
        with self._database.writing() as connection:
            said = lock(connection)
            connection.execute(
                words.insert().values(
                    at=at, actor=actor, subject=subject, integration=integration, value=value, why=why
                )
            )
            self._speak(connection, said, [])
            audit.write(connection, subject, integration, integration, actor=actor, value=value, why=why)
        return word

    def _speak(self, connection: Connection, said: int, moved: Sequence[Transition]) -> None:
        """Let judges know that a person spoke, and tell what happened."""
        count(connection, said)
        if self._tell is not None:
            self._tell(connection, [told for each in moved if (told := each.notice) is not None])

    # --- the judge --------------------------------------------------------------------------------------

    def write(self, connection: Connection, turn: Turn) -> None:
        """Write a judge's turn in its transaction. Raises Overtaken when a person spoke since it was decided."""
        said = lock(connection) if turn.switches else number(connection)
        if said != turn.words:  # also where nothing moved: with another mode something might have
            raise Overtaken("a person spoke since this was decided; nothing was written")
        if turn.switches:
            self._write(connection, turn.transitions, turn.switches)
        if turn.rolls:
            insert = _insert(connection)(rolls)
            new = {column.name: insert.excluded[column.name] for column in rolls.c if column.name != "integration"}
            upsert = insert.on_conflict_do_update(index_elements=["integration"], set_=new)
            connection.execute(upsert, [of_roll(each) for each in turn.rolls])

    def _write(self, connection: Connection, moved: Sequence[Transition], switches: Sequence[Suspension]) -> None:
        """Compare and set each switch by its version, and keep how it came to be as it is."""
        for switch in switches:
            version = switch.version - sum(each.after.id == switch.id for each in moved)
            values = of_suspension(switch)
            if version == 0:
                made = _insert(connection)(suspensions).values(values).on_conflict_do_nothing(index_elements=["id"])
            else:
                seen = (suspensions.c.id == switch.id, suspensions.c.version == version)
                made = update(suspensions).where(*seen).values(values)
            if connection.execute(made, execution_options={"preserve_rowcount": True}).rowcount != 1:
                raise Overtaken(f"{switch.scope} moved since version {version}; nothing was written")
        rests = {(m.after.id, alert) for m in moved for alert in m.event.evidence}
        if rests:
            named = [{"suspension": id_, "alert": alert} for id_, alert in sorted(rests)]
            connection.execute(_insert(connection)(evidence).on_conflict_do_nothing(), named)
        if moved:
            connection.execute(transitions.insert().values(stored_at=schema.now()), [of_transition(m) for m in moved])


def _stepped(now: Suspension, asked: Asked, evidence: tuple[AlertId, ...]) -> Transition:
    if asked.version is not None and asked.version != now.version:
        raise Changed(now)
    moved = step(now, Event(asked.what, Actor(asked.actor), asked.at, "person", asked.why, evidence=evidence))
    if isinstance(moved, Refusal):
        raise NotMoved(moved, now, asked.what)
    return moved


def _audited(connection: Connection, moved: Transition) -> None:
    """The entry of what a person did to a switch."""
    now, event = moved.after, moved.event
    told = {"scope": str(now.scope), "state": now.state.value, "version": now.version, "why": event.why}
    audit.write(
        connection, f"suspension.{event.what.value}", now.id, now.scope.integration, actor=event.actor.name, **told
    )


def _leaks_in(connection: Connection, of: Scope, incident: IncidentId | None) -> tuple[AlertId, ...]:
    """The latest leaks of the incident that stand and lie in the scope; none where no incident is named."""
    if incident is None:
        return ()
    alerts = schema.alerts
    leaks = select(alerts).where(
        alerts.c.incident == incident, alerts.c.kind == Kind.LEAK.value, alerts.c.withdrawn_at.is_(None)
    )
    latest = map(rows.to_alert, connection.execute(leaks.order_by(alerts.c.seq.desc()).limit(LEAKS_MOST)))
    found = [each.id for each in latest if of.holds(each.integration, each.recipient, each.attributes)]
    if not found:
        raise NoneOfThese(f"no leak of {incident} that stands lies in {of}")
    return tuple(found[:EVIDENCE_MOST])


def _one(connection: Connection, id_: SuspensionId) -> Suspension | None:
    row = connection.execute(select(suspensions).where(suspensions.c.id == id_)).one_or_none()
    return None if row is None else to_suspension(row)


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
