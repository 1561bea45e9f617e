"""The store's contract, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nursery import born
from sqlalchemy import event, text

from detector.engine import Changes
from detector.folding import Incidents
from detector.incident import State
from detector.tally import Counted, Tally
from models.errors import NaiveTimeError
from models.records import (
    AccountId,
    Alert,
    AlertId,
    CameraId,
    ChangeDeployed,
    DeliveryId,
    Kind,
    Level,
    RightAction,
    RightChanged,
    SceneId,
    StillOpened,
    Verdict,
    Withdrawal,
    alert_id,
)
from models.scene import Camera, Scene, Standing
from streams.judge import Batch, Covered, Move
from streams.store import migrations, schema
from streams.store.database import BadStoreUrl, Database, StoreRefused, StoreUnavailable
from streams.store.lease import Fenced
from streams.store.migrations import SchemaOutdated, SchemaTooNew
from streams.store.queries import IncidentFilter, Queries
from streams.store.sql import SqlStore
from streams.store.walk import AlertFilter

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOPIC = "stills.delivered"


def alert_of(n: int, kind: Kind = Kind.LEAK, **changed: Any) -> Alert:
    """Alert number n: delivered n minutes after noon to viewer-n, of owner-n's camera own-n."""
    delivery = DeliveryId("//cloud", f"d{n}")
    owner = AccountId(f"owner-{n}") if kind is Kind.LEAK else None
    alert = Alert(
        id=alert_id(delivery, owner),
        kind=kind,
        level=Level.ACTING,
        delivery=delivery,
        delivered_at=NOON + timedelta(minutes=n),
        recipient=AccountId(f"viewer-{n}"),
        camera=CameraId(f"cam-{n}"),
        owner=owner,
        owner_camera=CameraId(f"own-{n}") if owner else None,
        presumed=False,
        raised_by=DeliveryId("//cloud", f"r{n}"),
        raised_at=NOON + timedelta(minutes=n, microseconds=1),
        rule="scene_of_another",
        why="why ✓",
        numbers={"distance": 0.03, "bits": 7, "standing": "confirmed"},
        scene=SceneId(f"sc-{n}"),
        attributes={"integration": "display", "cachenode": "c-1"},
    )
    return replace(alert, **changed)


def scene_of(n: int) -> Scene:
    return Scene(
        SceneId(f"sc-{n}"), CameraId(f"cam-{n % 7}"), AccountId("a"), Standing.CONFIRMED, DeliveryId("s", str(n)),
        NOON, NOON + timedelta(microseconds=n), n, bytes(range(256)) * 3,
    )  # fmt: skip


def counted() -> Counted:
    """Three deliveries on one path, in a minute and its hour."""
    tally = Tally()
    for _ in range(3):
        tally.add("display", NOON, {"integration": "display", "cachenode": "c-1", "network": "poor"})
    return tally.drain()


def batch_of(*alerts: Alert, moves: tuple[Move, ...] = ()) -> Batch:
    """A batch that raises these alerts, folded into incidents, and touches every table."""
    folded = Incidents()
    touched = {incident.id: incident for alert in alerts if (incident := folded.add(alert))}
    changes = Changes(
        scenes=[scene_of(1), scene_of(2)],
        cameras=[
            Camera(CameraId("cam-1"), AccountId("a"), NOON, NOON, b"\x00body"),
            Camera(CameraId("c"), None, NOON, NOON, b""),
        ],
        rights=[RightChanged(CameraId("cam-1"), AccountId("a"), RightAction.ENROL, NOON)],
        raised=list(alerts),
        incidents=list(touched.values()),
        counted=counted(),
    )  # fmt: skip
    covered = Counter({Covered(NOON, "display", Verdict.CLEAR): 3, Covered(NOON, "", Verdict.LEAK): len(alerts)})
    opened = [StillOpened(DeliveryId("//cloud", "d1"), NOON, AccountId("viewer-1"))]
    deployed = [(DeliveryId("ci", "1"), ChangeDeployed("cache", "2.0", NOON))]
    return Batch(changes, covered, opened, deployed, moves=moves)


def everything(store: SqlStore) -> dict[str, list[Any]]:
    """Every row of every table but the lease's, which beats by itself."""
    with store.database.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(table.select())), key=repr)
            for table in schema.metadata.sorted_tables
            if table is not schema.leases
        }


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    with SqlStore(url) as opened:
        opened.acquire(60, "test")
        yield opened


# --- round trips -------------------------------------------------------------------------------------------


def test_every_record_comes_back_as_it_was_stored(store: SqlStore) -> None:
    leak, shift = alert_of(1), alert_of(2, Kind.SHIFT, scene=None, level=Level.SHOWN, presumed=True)
    batch = batch_of(leak, shift)
    store.commit(batch)
    knowledge = store.knowledge()
    assert list(knowledge.rights) == batch.changes.rights
    assert sorted(knowledge.cameras, key=lambda camera: camera.id) == sorted(
        batch.changes.cameras, key=lambda camera: camera.id
    )
    assert sorted(knowledge.scenes, key=lambda scene: scene.id) == batch.changes.scenes
    assert list(knowledge.alerts) == [leak, shift]
    assert [store.incident(incident.id) for incident in knowledge.incidents] == batch.changes.incidents
    assert dict(knowledge.members) == dict.fromkeys((leak.id, shift.id), batch.changes.incidents[0].id)
    assert list(knowledge.deployed) == [change for _, change in batch.deployed]
    assert [(slot, bucket.having({"cachenode": "c-1"})) for slot, bucket in knowledge.counted] == [
        (slot, 3) for slot, _ in batch.changes.counted.changed
    ]
    assert store.coverage() == batch.covered


def test_knowledge_may_be_read_more_than_once(store: SqlStore) -> None:
    store.commit(batch_of(alert_of(1)))
    knowledge = store.knowledge()
    assert list(knowledge.scenes) == list(knowledge.scenes) != []


def test_an_empty_store_knows_nothing(store: SqlStore) -> None:
    knowledge = store.knowledge()
    parts = (knowledge.rights, knowledge.cameras, knowledge.scenes, knowledge.alerts, knowledge.incidents)
    assert [list(part) for part in parts] == [[], [], [], [], []]
    assert store.counts().alerts == 0
    assert store.alerts().items == ()


instants = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001 - the strategy adds the zone
    datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.timezones() | st.just(timezone(timedelta(hours=-11)))
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    when=instants,
    numbers=st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text(), max_size=4),
    attributes=st.dictionaries(st.text(), st.text(), max_size=4),
    key=st.integers(min_value=0),
)
def test_any_time_number_and_attribute_survives(
    store: SqlStore, when: datetime, numbers: dict[str, Any], attributes: dict[str, str], key: int
) -> None:
    attributes.pop("integration", None)  # a column of its own, printable by the time it comes here
    changed: dict[str, Any] = {"delivered_at": when.astimezone(UTC), "numbers": numbers, "attributes": attributes}
    alert = alert_of(1, id=AlertId(f"al-{key}-{hash((when, str(numbers), str(attributes)))}"), **changed)
    store.commit(Batch(Changes(raised=[alert])))
    found = store.alert(alert.id)
    assert found is not None
    assert found.alert == alert
    assert found.alert.delivered_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused_and_nothing_is_stored(store: SqlStore) -> None:
    before = everything(store)
    naive = replace(scene_of(1), first_seen=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(NaiveTimeError, match="no time zone"):
        store.commit(Batch(Changes(scenes=[scene_of(2), naive])))
    assert everything(store) == before


# --- once is once ------------------------------------------------------------------------------------------


def test_the_same_batch_twice_doubles_no_alert_no_right_no_fact(store: SqlStore) -> None:
    batch = batch_of(alert_of(1), alert_of(2))
    store.commit(batch)
    once = everything(store)
    store.commit(batch)
    twice = everything(store)
    once.pop("coverage")
    assert sum(row[-1] for row in twice.pop("coverage")) == 2 * batch.covered.total()  # its offsets fence that
    assert twice == once


def test_an_alert_that_is_there_stays_as_it_was(store: SqlStore) -> None:
    store.commit(batch_of(alert_of(1)))
    store.commit(Batch(Changes(raised=[alert_of(1, why="something else", level=Level.SHOWN)])))
    found = store.alert(alert_of(1).id)
    assert found is not None
    assert found.alert == alert_of(1)


def test_scenes_and_cameras_are_what_the_last_batch_says(store: SqlStore) -> None:
    store.commit(batch_of())
    changed = replace(scene_of(1), seen=99, body=b"new", standing=Standing.HELD)
    store.commit(Batch(Changes(scenes=[changed], removed=[SceneId("sc-2"), SceneId("never-there")])))
    assert list(store.knowledge().scenes) == [changed]


def test_a_withdrawn_alert_stays_visible_and_leaves_the_engines_knowledge(store: SqlStore) -> None:
    folded = Incidents()
    alerts = [alert_of(1), alert_of(2)]
    incident = [folded.add(alert) for alert in alerts][-1]
    assert incident is not None
    store.commit(Batch(Changes(raised=alerts, incidents=[incident])))
    folded.withdraw(alerts[0].id)
    withdrawal = Withdrawal(alerts[0].id, NOON, "a grant arrived late")
    again = Withdrawal(alerts[0].id, NOON + timedelta(hours=1), "twice")
    store.commit(Batch(Changes(withdrawn=[withdrawal], incidents=[incident])))
    store.commit(Batch(Changes(withdrawn=[again])))
    found = store.alert(alerts[0].id)
    assert found is not None
    assert found.withdrawal == withdrawal
    assert found.incident == incident.id
    assert list(store.knowledge().alerts) == [alerts[1]]
    assert store.incident(incident.id) == incident
    assert [stored.alert for stored in store.alerts(AlertFilter(withdrawn=True)).items] == [alerts[0]]
    assert [stored.alert for stored in store.alerts(AlertFilter(withdrawn=False)).items] == [alerts[1]]
    assert (store.counts().alerts, store.counts().withdrawn) == (2, 1)


def test_a_growing_incident_keeps_its_alerts_and_its_place(store: SqlStore) -> None:
    folded = Incidents()
    for n in range(1, 4):
        incident = folded.add(alert_of(n))
        assert incident is not None
        store.commit(Batch(Changes(raised=[alert_of(n)], incidents=[incident])))
    (summary,) = store.incidents().items
    assert (summary.leaks, summary.viewers, summary.owners, summary.stands) == (3, 3, 3, True)
    assert store.incident(summary.id) == incident
    assert len(store.alerts(AlertFilter(incident=summary.id)).items) == 3
    assert store.incidents(IncidentFilter("another")).items == ()
    assert store.incidents(IncidentFilter(state=State.OPEN)).items == (summary,)
    assert store.incidents(IncidentFilter(state=State.RESOLVED)).items == ()
    assert store.incidents(IncidentFilter(until=summary.first)).items == ()
    assert store.incidents(IncidentFilter(since=summary.last, until=summary.last)).items == (summary,)


def test_coverage_adds_up_and_is_cut_by_hours(store: SqlStore) -> None:
    later = NOON + timedelta(hours=1)
    for hour, stills in ((NOON, 2), (NOON, 3), (later, 4)):
        store.commit(Batch(covered=Counter({Covered(hour, "display", Verdict.CLEAR): stills})))
    assert store.coverage(since=NOON, until=later) == {Covered(NOON, "display", Verdict.CLEAR): 5}
    assert store.coverage(since=later) == {Covered(later, "display", Verdict.CLEAR): 4}
    assert store.counts().stills == {Verdict.CLEAR: 9}


def test_the_digest_key_is_drawn_once(store: SqlStore, url: str) -> None:
    key = store.digest_key()
    assert len(key) == 32
    with SqlStore(url) as another:
        assert another.digest_key() == key


# --- offsets and the fence -----------------------------------------------------------------------------------


def test_a_partition_begins_where_it_is_claimed_and_goes_on_where_it_was_left(store: SqlStore) -> None:
    assert store.positions(TOPIC) == {}
    assert store.claim(TOPIC, 0, 17) == 17
    store.commit(Batch(moves=[Move(TOPIC, 0, 17, 20), Move(TOPIC, 0, 20, 30, lost=4)]))
    assert store.positions(TOPIC) == {0: 30}
    assert store.claim(TOPIC, 0, 0) == 30
    assert store.lost(TOPIC) == 4


@pytest.mark.parametrize(
    "move", [Move(TOPIC, 0, 9, 12), Move(TOPIC, 1, 10, 12), Move("other", 0, 10, 12)],
    ids=["not the next offset", "never claimed", "another topic"],
)  # fmt: skip
def test_a_batch_that_does_not_begin_where_the_partition_stands_changes_nothing(store: SqlStore, move: Move) -> None:
    store.claim(TOPIC, 0, 10)
    before = everything(store)
    with pytest.raises(Fenced):
        store.commit(batch_of(alert_of(1), moves=(move,)))
    assert everything(store) == before


def take_over(store: SqlStore, url: str) -> SqlStore:
    """Another judge, after this one has fallen silent for longer than its lease."""
    with store.database.writing() as connection:
        connection.execute(schema.leases.update().values(beat_at=NOON - timedelta(days=900)))
    other = SqlStore(url)
    other.acquire(60, "other")
    return other


@pytest.mark.parametrize("moves", [(), (Move(TOPIC, 0, 0, 5),)], ids=["no moves", "moves"])
def test_a_judge_that_was_replaced_changes_nothing(store: SqlStore, url: str, moves: tuple[Move, ...]) -> None:
    store.claim(TOPIC, 0, 0)
    with take_over(store, url) as other:
        before = everything(other)
        with pytest.raises(Fenced):
            store.commit(batch_of(alert_of(1), moves=moves))
        with pytest.raises(Fenced):
            store.claim(TOPIC, 0, 0)
        assert everything(other) == before
        other.commit(batch_of(alert_of(1)))
        assert other.counts().alerts == 1


def test_a_claimed_partition_belongs_to_the_newer_judge(store: SqlStore, url: str) -> None:
    store.claim(TOPIC, 0, 0)
    store.commit(Batch(moves=[Move(TOPIC, 0, 0, 5)]))
    with take_over(store, url) as other:
        with pytest.raises(Fenced):
            other.commit(Batch(moves=[Move(TOPIC, 0, 5, 6)]))
        assert other.claim(TOPIC, 0, 0) == 5
        other.commit(Batch(moves=[Move(TOPIC, 0, 5, 6)]))
        assert other.positions(TOPIC) == {0: 6}


def test_without_a_lease_nothing_is_written(url: str) -> None:
    with SqlStore(url) as store:
        with pytest.raises(Fenced):
            store.commit(batch_of(alert_of(1)))
        assert store.counts().alerts == 0


# --- crashes ---------------------------------------------------------------------------------------------------


def test_a_failure_at_any_statement_leaves_nothing_half(store: SqlStore) -> None:
    store.claim(TOPIC, 0, 0)
    before = everything(store)
    batch = batch_of(alert_of(1), moves=(Move(TOPIC, 0, 0, 5),))
    batch.changes.withdrawn.append(Withdrawal(alert_of(1).id, NOON, "x"))
    batch.changes.removed.append(SceneId("sc-2"))
    seen = 0

    class Crash(BaseException):
        pass

    while True:
        left = seen

        def count(*_: object) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1

        event.listen(store.database.engine, "before_cursor_execute", count)
        try:
            store.commit(batch)
            break
        except Crash:
            seen += 1
        finally:
            event.remove(store.database.engine, "before_cursor_execute", count)
        assert everything(store) == before
    assert seen >= 12, "every table's statement was interrupted once"
    assert store.positions(TOPIC) == {0: 5}


CHILD = """
import os, signal, sys
from sqlalchemy import event
import test_store as t
from streams.store.sql import SqlStore
from streams.store.walk import AlertFilter
store = SqlStore(sys.argv[1])
store.acquire(60, "child")
store.claim(t.TOPIC, 0, 0)
left = int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(store.database.engine, "before_cursor_execute", count)
store.commit(t.batch_of(t.alert_of(1), moves=(t.Move(t.TOPIC, 0, 0, 5),)))
print("committed", flush=True)
"""


@pytest.mark.parametrize("statements", [2, 7, 10])
def test_a_judge_killed_between_two_statements_leaves_nothing_half(url: str, statements: int, tmp_path: Path) -> None:
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    assert born([str(program), url, str(statements)]).wait(60) == -signal.SIGKILL
    with SqlStore(url) as store:
        store.acquire(60, "after")  # at once: the holder's process is gone
        found = store.counts()
        held = (found.alerts, found.scenes, found.rights, found.incidents, found.opened, found.stills)
        assert held == (0, 0, 0, 0, 0, {})
        assert store.claim(TOPIC, 0, 99) == 0
        store.commit(batch_of(alert_of(1), moves=(Move(TOPIC, 0, 0, 5),)))
        assert store.counts().alerts == 1


# --- questions ---------------------------------------------------------------------------------------------------

WANTED: list[tuple[AlertFilter, Callable[[Alert], bool]]] = [
    (AlertFilter(), lambda a: True),
    (AlertFilter(kind=Kind.SHIFT), lambda a: a.kind is Kind.SHIFT),
    (AlertFilter(level=Level.SHOWN), lambda a: a.level is Level.SHOWN),
    (AlertFilter(account=AccountId("p1")), lambda a: "p1" in (a.recipient, a.owner)),
    (AlertFilter(camera=CameraId("c2")), lambda a: "c2" in (a.camera, a.owner_camera)),
    (AlertFilter(integration="tv"), lambda a: a.integration == "tv"),
    (AlertFilter(since=NOON + timedelta(minutes=20)), lambda a: a.delivered_at >= NOON + timedelta(minutes=20)),
    (AlertFilter(until=NOON + timedelta(minutes=20)), lambda a: a.delivered_at < NOON + timedelta(minutes=20)),
    (
        AlertFilter(account=AccountId("p1"), camera=CameraId("c2"), kind=Kind.LEAK),
        lambda a: "p1" in (a.recipient, a.owner) and "c2" in (a.camera, a.owner_camera) and a.kind is Kind.LEAK,
    ),
    (
        AlertFilter(since=NOON + timedelta(minutes=9), until=NOON + timedelta(minutes=30), account=AccountId("p0")),
        lambda a: (
            NOON + timedelta(minutes=9) <= a.delivered_at < NOON + timedelta(minutes=30)
            and "p0" in (a.recipient, a.owner)
        ),
    ),
    (
        AlertFilter(integration="tv", level=Level.ACTING, withdrawn=False),
        lambda a: a.integration == "tv" and a.level is Level.ACTING and withdrawn_at(a) is None,
    ),
    (AlertFilter(withdrawn=True), lambda a: withdrawn_at(a) is not None),
    (
        AlertFilter(account=AccountId("p1"), withdrawn=True, since=NOON + timedelta(minutes=9)),
        lambda a: (
            "p1" in (a.recipient, a.owner)
            and withdrawn_at(a) is not None
            and a.delivered_at >= NOON + timedelta(minutes=9)
        ),
    ),
]


def withdrawn_at(alert: Alert) -> datetime | None:
    """When an alert of `mixed` is withdrawn."""
    return NOON if int(alert.delivery.id[1:]) % 9 == 4 else None


def mixed() -> list[Alert]:
    """Sixty alerts of few people, cameras and integrations, whose delivery times run against their order."""
    return [
        alert_of(
            n,
            Kind.SHIFT if n % 5 == 0 else Kind.LEAK,
            level=Level.SHOWN if n % 3 else Level.ACTING,
            delivered_at=NOON + timedelta(minutes=59 - n // 2),
            recipient=AccountId(f"p{n % 4}"),
            owner=AccountId(f"p{(n + n // 7) % 5}"),
            camera=CameraId(f"c{n % 6}"),
            owner_camera=CameraId(f"c{n % 7}"),
            attributes={"integration": "tv"} if n % 2 else {},
        )
        for n in range(60)
    ]


@pytest.mark.parametrize("few", [0, 5000], ids=["frequent", "rare"])
def test_every_filter_pages_through_exactly_its_alerts_newest_first(
    store: SqlStore, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.queries.FEW", few)
    alerts = mixed()
    gone = [Withdrawal(alert.id, at, "x") for alert in alerts if (at := withdrawn_at(alert)) is not None]
    store.commit(Batch(Changes(raised=alerts, withdrawn=gone)))
    for wanted, passes in WANTED:
        found: list[Alert] = []
        after: int | None = None
        while True:
            page = store.alerts(wanted, after, limit=7)
            assert len(page.items) <= 7
            found += [stored.alert for stored in page.items]
            if (after := page.next) is None:
                break
        newest = alerts[::-1]
        if wanted.since or wanted.until:
            newest.sort(key=lambda alert: alert.delivered_at, reverse=True)  # of one moment the newest stored first
        assert found == [alert for alert in newest if passes(alert)], wanted


def test_alerts_stored_meanwhile_do_not_shift_a_page(store: SqlStore) -> None:
    store.commit(Batch(Changes(raised=mixed()[:10])))
    first = store.alerts(limit=4)
    store.commit(Batch(Changes(raised=mixed()[10:])))
    second = store.alerts(after=first.next, limit=4)
    assert [stored.alert for stored in second.items] == mixed()[5:1:-1]


def test_late_alerts_shift_no_page_of_a_span(store: SqlStore) -> None:
    alerts, day = mixed(), AlertFilter(since=NOON, until=NOON + timedelta(days=1))
    store.commit(Batch(Changes(raised=alerts[10:])))
    first = store.alerts(day, limit=4)
    store.commit(Batch(Changes(raised=alerts[:10])))  # delivered later than all of the first page
    second = store.alerts(day, first.next, limit=4)
    assert [stored.alert for stored in (*first.items, *second.items)] == alerts[11:9:-1] + alerts[13:11:-1] + (
        alerts[15:13:-1] + alerts[17:15:-1]
    )


def test_a_span_begins_where_another_filters_page_ended_or_at_its_own_end(store: SqlStore) -> None:
    alerts = mixed()
    store.commit(Batch(Changes(raised=alerts)))
    span = AlertFilter(since=NOON + timedelta(minutes=40), until=NOON + timedelta(minutes=50))
    behind = {
        "one of the span": store.alerts(limit=30).next,  # two are delivered at each moment
        "a later one": store.alerts(AlertFilter(since=NOON), limit=1).next,
        "none that is there": 10**9,
    }
    found = {name: store.alerts(span, after, limit=1).items[0].alert for name, after in behind.items()}
    assert found == {"one of the span": alerts[33], "a later one": alerts[21], "none that is there": alerts[21]}


def test_what_is_not_there_is_none(store: SqlStore) -> None:
    assert store.alert(AlertId("al-0")) is None
    assert store.incident(alert_of(1).id) is None  # type: ignore[arg-type]


# --- schema and errors -----------------------------------------------------------------------------------------


def compared(_object: object, name: str | None, type_: str, *_: object) -> bool:
    """All but indexes of expressions, which databases give back in their own words: tests/test_store_plans.py."""
    return not (type_ == "index" and name is not None and name.endswith(("_walk", "_span")))


@contextmanager
def migrated(url: str) -> Iterator[Database]:
    """A database that was empty, after every migration."""
    database = Database(url)
    assert migrations.upgrade(database) == (None, migrations.HEAD)
    yield database
    database.close()


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrations_from_empty_equal_the_declared_schema(empty_url: str) -> None:
    with migrated(empty_url) as database, database.reading() as connection:
        options = {"compare_type": True, "include_object": compared}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def test_migrations_from_empty_make_the_tables_that_the_schema_makes(tmp_path: Path) -> None:
    def made(database: Database) -> list[Any]:
        kept = "name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite%' AND type <> 'trigger'"
        query = f"SELECT name, sql FROM sqlite_master WHERE {kept}"
        with database.reading() as connection:
            rows = connection.execute(text(query)).all()
            return sorted((name, re.sub(r"[\s\"]+", "", sql or "")) for name, sql in rows)

    declared = Database(f"sqlite:///{tmp_path / 'declared.db'}")
    with declared.writing() as connection:
        schema.metadata.create_all(connection)
    with (
        migrated(f"sqlite:///{tmp_path / 'migrated.db'}") as found,
        SqlStore(f"sqlite:///{tmp_path / 's.db'}") as moulded,
    ):
        assert made(found) == made(declared) == made(moulded.database)
    declared.close()


def test_the_program_knows_exactly_the_migrations_that_are_shipped(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    with database.reading() as connection:
        scripts = ScriptDirectory.from_config(migrations.configuration(connection))
    database.close()
    shipped = [script.revision for script in scripts.walk_revisions()]
    assert shipped[::-1] == list(migrations.REVISIONS)
    assert scripts.get_current_head() == migrations.HEAD


def test_upgrading_twice_is_upgrading_once(empty_url: str) -> None:
    database = Database(empty_url)
    assert migrations.upgrade(database) == (None, migrations.HEAD)
    assert migrations.upgrade(database) == (migrations.HEAD, migrations.HEAD)
    migrations.check(database)
    database.close()


def test_incidents_of_a_program_that_knew_no_end_count_as_quiet(empty_url: str) -> None:
    database = Database(empty_url)
    with database.writing() as connection:
        command.upgrade(migrations.configuration(connection), "0003")
        moment = 1_800_000_000_000_000 if database.is_sqlite else "'2027-01-15T08:00:00Z'"
        connection.execute(
            text(
                "INSERT INTO incidents (id, integration, opened, first, last, leaks, shifts, viewers, owners) "
                f"VALUES ('in-old', 'tv', {moment}, {moment}, {moment}, 1, 0, 1, 1)"
            )
        )
    database.close()
    with SqlStore(empty_url) as store:
        (old,) = store.knowledge().incidents
    assert old.resolved == datetime(2027, 1, 15, 14, tzinfo=UTC)
    assert (old.state, old.reopened, old.news, old.analysis) == (State.RESOLVED, 0, False, None)


def test_an_empty_database_is_outdated_until_it_is_upgraded(empty_url: str) -> None:
    with pytest.raises(SchemaOutdated, match="strayframe store upgrade"):
        SqlStore(empty_url, upgrade=False)
    SqlStore(empty_url).close()
    SqlStore(empty_url, upgrade=False).close()


def test_a_store_of_a_newer_program_is_refused(url: str) -> None:
    with SqlStore(url) as store, store.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for upgrade in (True, False):
        with pytest.raises(SchemaTooNew, match="9999"):
            SqlStore(url, upgrade=upgrade)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("", "cannot be read"),
        ("nonsense", "cannot be read"),
        ("mysql://u:secret@h/n", "begins with 'mysql'"),
        ("postgresql://u:secret@h", "names no database"),
        ("postgresql://u:secret@h:port/n", "cannot be read"),
        ("sqlite://", "outlives the process"),
        ("sqlite:///:memory:", "outlives the process"),
        ("sqlite://store.db", "three slashes"),
        ("sqlite:////no/such/folder/store.db", "folder does not exist"),
    ],
)
def test_a_bad_url_is_told_in_one_sentence_without_its_password(bad: str, says: str) -> None:
    with pytest.raises(BadStoreUrl, match=says) as caught:
        Database(bad)
    assert "secret" not in str(caught.value)
    assert not caught.value.retry


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:1/n", "postgresql://127.0.0.1:1/n?password=secret"])
def test_a_server_that_does_not_answer_is_worth_another_try(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
        SqlStore(url)
    assert caught.value.retry
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database at all, but long enough" * 50)
    with pytest.raises(StoreRefused, match="not a database") as caught:
        SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    assert not caught.value.retry


def test_a_full_disk_keeps_what_was_there_and_is_worth_another_try(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.acquire(60)
        store.commit(batch_of(alert_of(1)))
        before = everything(store)
        connection = store.database.engine.raw_connection()
        connection.execute("PRAGMA max_page_count = 1")  # as full as it is now
        connection.close()
        scenes = [replace(scene_of(n), body=os.urandom(4000)) for n in range(3, 300)]
        with pytest.raises(StoreUnavailable, match="full") as caught:
            store.commit(Batch(Changes(scenes=scenes)))
        assert caught.value.retry
        assert everything(store) == before


def test_reading_needs_no_lease_and_no_upgrade(store: SqlStore, url: str) -> None:
    store.commit(batch_of(alert_of(1)))
    reader = Queries(Database(url))
    assert [stored.alert for stored in reader.alerts().items] == [alert_of(1)]
    reader.database.close()


def test_sqlite_is_opened_durable_and_with_foreign_keys(tmp_path: Path) -> None:
    with SqlStore(f"sqlite:///{tmp_path / 'store.db'}") as store, store.database.reading() as connection:
        found = [connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]
