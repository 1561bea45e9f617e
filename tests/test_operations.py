"""What docs/operations.md promises who installs it: every schema that was ever released is upgraded with its data, and
a backup taken while a judge writes, by the commands of the page, brings back all of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from conftest import plain
from services import postgres_programs
from sqlalchemy import MetaData, func, select, text
from test_store import alert_of, batch_of, everything

from detector.notice import NoticeType, notice
from detector.scope import named
from detector.suspension import Do
from detector.triage import Act, Did
from models.records import Kind
from streams.judge import Batch, Move
from streams.metrics import Metrics
from streams.outbox.call import Attempt, Outcome, Result, State
from streams.store import migrations
from streams.store.cases import Cases
from streams.store.database import Database
from streams.store.hooks import Hooks
from streams.store.outbox import Outbox
from streams.store.sql import SqlStore
from streams.store.suspensions import Asked
from streams.store.words import KILL, OFF

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/operations.md"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLACE = ("stills.delivered", 0)


def lived_in(store: SqlStore) -> None:
    """Give a store something of everything that persons and judges leave behind."""
    store.acquire(1, "test")
    store.claim(*PLACE, 0)
    alerts = [alert_of(1), alert_of(2), alert_of(3, Kind.SHIFT)]
    store.commit(batch_of(*alerts, moves=(Move(*PLACE, 0, 7),)))
    hook = Hooks(store.database).add("https://partner.example/hook", NOW)
    told = [notice(NoticeType.ALERT_RAISED, NOW, "tv", {"alert": f"al-{n}"}, str(n)) for n in (1, 2)]
    store.commit(Batch(notices=told))
    outbox = Outbox(store.database)

    class Wanting:
        name = hook.id

        def wants(self, _: object) -> bool:
            return True

    outbox.route(outbox.unrouted(), [Wanting()], NOW)  # type: ignore[list-item]
    due = outbox.due(hook.id, NOW)
    assert due is not None
    outbox.record(due, Attempt(NOW, 0.1, Outcome(Result.DELIVERED, "HTTP 204", 204)), State.DELIVERED)
    asked = Asked(Do.SUSPEND, "ann", "a leak", NOW)
    store.suspensions.act(named("tv", {"cachenode": "cache-3"}), asked)
    store.suspensions.say(KILL, "", OFF, actor="ann", why="over", at=NOW)
    Cases(store.database).act(alerts[0].id, [Act(Did.NOTED, "seen")], "ann", NOW)
    store.identity()
    store.digest_key()
    store.hook_key()


Rows = dict[str, list[dict[str, Any]]]


def rows_of(database: Database) -> Rows:
    """Every row of every table, as the database itself has them; but for the lease, which beats."""
    kept: Rows = {}
    with database.reading() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name not in ("alembic_version", "leases"):
                kept[table.name] = [dict(row._mapping) for row in connection.execute(select(table))]
    return kept


def put_back(database: Database, rows: Rows, made: set[str]) -> Rows:
    """Store what of these rows the present schema has a place for; what was stored. `made` are rows of `meta` that
    migrations make: one that comes later than this schema is not there yet."""
    stored: Rows = {}
    with database.writing() as connection:
        tables = MetaData()
        tables.reflect(connection)
        here = set(connection.scalars(select(tables.tables["meta"].c.name)))
        rows = rows | {"meta": [row for row in rows["meta"] if row["name"] not in made - here]}
        for name in {"meta", "audit_head"} & tables.tables.keys():  # whose rows migrations make
            connection.execute(tables.tables[name].delete())
        for table in tables.sorted_tables:
            names = table.columns.keys()
            stored[table.name] = [{key: row[key] for key in names if key in row} for row in rows.get(table.name, [])]
            if stored[table.name]:
                connection.execute(table.insert(), stored[table.name])
                if not database.is_sqlite and "seq" in names:  # as the program would have drawn them
                    last = connection.scalar(select(func.max(table.c.seq)))
                    sequence = connection.scalar(text(f"SELECT pg_get_serial_sequence('{table.name}', 'seq')"))
                    connection.execute(text(f"SELECT setval('{sequence}', {last})"))
    return stored


def emptied(database: Database) -> None:
    """The database without a table."""
    if database.is_sqlite:
        database.close()
        for path in Path(str(database.engine.url.database)).parent.glob("store.db*"):
            path.unlink()
    else:
        with database.writing() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_every_schema_that_was_released_is_upgraded_with_its_data(url: str) -> None:
    with SqlStore(url) as store:
        made = {row["name"] for row in rows_of(store.database)["meta"]}
        lived_in(store)
        rows = rows_of(store.database)
    filled = {name for name, found in rows.items() if found}
    assert {"alerts", "incidents", "scenes", "cameras", "rights", "notices", "calls", "attempts", "hooks", "offsets",
            "suspensions", "transitions", "words", "triage", "triage_log", "meta", "coverage"} <= filled  # fmt: skip
    database = Database(url)
    for revision in migrations.REVISIONS:
        emptied(database)
        with database.writing() as connection:
            command.upgrade(migrations.configuration(connection), revision)
        before = put_back(database, rows, made)
        assert migrations.upgrade(database) == (revision, migrations.HEAD)
        after = rows_of(database)
        for name, stored in before.items():
            if name in ("alembic_version", "leases"):
                continue
            keys = stored[0].keys() if stored else ()
            kept = [{key: row[key] for key in keys} for row in after[name]] if stored else []
            assert [row for row in stored if row not in kept] == [], (revision, name)
        works(url, revision)
    database.close()


def works(url: str, revision: str) -> None:
    """The program goes on with the store: reads what it knew, and stores the next batch."""
    with SqlStore(url) as store:
        store.acquire(600, "test")
        known = store.knowledge()
        assert {alert.id for alert in known.alerts} == {alert_of(1).id, alert_of(2).id, alert_of(3, Kind.SHIFT).id}
        assert len(list(known.scenes)) == 2, revision
        if revision == "0001":
            assert all(incident.resolved is not None for incident in known.incidents)
        store.claim(*PLACE, 0)
        store.commit(batch_of(alert_of(9), moves=(Move(*PLACE, 7, 8),)))
        assert store.alert(alert_of(9).id) is not None


# --- backup and restore ----------------------------------------------------------------------------------------


def commands(heading: str) -> list[str]:
    """The lines of the first shell block under a heading of the page."""
    part = PAGE.read_text().partition(f"### {heading}\n")[2]
    block = re.search(r"```sh\n(.+?)```", part, re.DOTALL)
    assert block is not None, heading
    return [line for line in block[1].strip().splitlines() if not line.startswith("#")]


def shell(line: str, folder: Path, **variables: str) -> None:
    """Run a line of the page as somebody would who installed it."""
    path = f"{Path(sys.executable).parent}:{postgres_programs()}:{os.environ['PATH']}"
    environment = {**os.environ, **variables, "PATH": path}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stderr)


class Writing:
    """A judge that commits batch after batch while something else goes on."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.committed = 100

    def __enter__(self) -> Writing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._stop.wait(0.005):
            self._store.commit(batch_of(alert_of(self.committed)))
            self.committed += 1


def whole(store: SqlStore, least: int, most: int) -> None:
    """Each batch is there with all that it wrote, or not at all; those from before the backup are."""
    rows = everything(store)
    alerts = [a.alert for a in store.alerts(limit=500).items]
    numbers = sorted(
        int(a.delivery.id.removeprefix("d")) for a in alerts if int(a.delivery.id.removeprefix("d")) >= 100
    )
    assert numbers == list(range(100, 100 + len(numbers)))
    assert least <= 100 + len(numbers) <= most
    assert len(rows["hooks"]) == 1
    assert len(rows["suspensions"]) == 1


def goes_on(store: SqlStore) -> None:
    """Somebody judges on from the restored store."""
    assert store.standby(60, threading.Event().wait, "restored") is not None  # the backup holds the old judge's lease
    store.claim(*PLACE, 0)
    store.commit(batch_of(alert_of(9), moves=(Move(*PLACE, 7, 8),)))


def test_a_backup_of_sqlite_taken_while_a_judge_writes_brings_everything_back(tmp_path: Path) -> None:
    source = SqlStore(f"sqlite:///{tmp_path / 'strayframe.db'}")
    (backup,) = commands("Backup on SQLite")
    with source:
        lived_in(source)
        with Writing(source) as writing:
            before = writing.committed
            shell(backup, tmp_path)
            after = writing.committed + 1
        secrets = (source.identity(), source.digest_key(), source.hook_key())
    for line in commands("Restore on SQLite"):
        shell(line, tmp_path)
    with SqlStore(f"sqlite:///{tmp_path / 'strayframe.db'}") as restored:
        whole(restored, before, after)
        assert (restored.identity(), restored.digest_key(), restored.hook_key()) == secrets
        goes_on(restored)


def test_a_backup_of_postgresql_taken_while_a_judge_writes_brings_everything_back(
    postgres_url: str, tmp_path: Path
) -> None:
    (backup,) = commands("Backup on PostgreSQL")
    with SqlStore(postgres_url) as source:
        lived_in(source)
        with Writing(source) as writing:
            before = writing.committed
            shell(backup, tmp_path, DATABASE_URL=plain(postgres_url))
            after = writing.committed + 1
        held = everything(source)["meta"]
    name = f"{postgres_url.rpartition('/')[2]}_restored"
    other = f"{postgres_url.rpartition('/')[0]}/{name}"
    server = plain(postgres_url).rpartition("/")[0] + "/postgres"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            for line in commands("Restore on PostgreSQL"):
                shell(line, tmp_path, DATABASE_URL=plain(other))
            with SqlStore(other) as restored:
                whole(restored, before, after)
                assert {row[0] for row in everything(restored)["meta"]} == {row[0] for row in held}
                goes_on(restored)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- the page --------------------------------------------------------------------------------------------------


ALARMS = [
    "StrayframeDown",
    "StrayframeLag",
    "StrayframeCoverageLow",
    "StrayframeDeadLetters",
    "StrayframeOutboxStuck",
    "StrayframeJudgeStalled",
    "StrayframeStoreUnavailable",
    "StrayframeKillSwitchOn",
    "StrayframeSuspensionFailed",
    "StrayframeUnjudgedHigh",
    "StrayframeSnapshotOld",
]


def test_every_alarm_has_its_runbook() -> None:
    headings = re.findall(r"^### (Strayframe\w+)$", PAGE.read_text(), re.MULTILINE)
    assert headings == sorted(set(headings), key=headings.index)
    assert set(ALARMS) <= set(headings)
    rules = [path for path in (ROOT / "docker").rglob("*.y*ml") if "alert:" in path.read_text()]
    named_there = {name for path in rules for name in re.findall(r"alert: (\w+)", path.read_text())}
    assert named_there <= set(headings)


def test_the_page_names_only_commands_and_metrics_that_there_are() -> None:
    from typer.main import get_command

    from api.cli import app

    page = PAGE.read_text()
    top = get_command(app)
    for line in re.findall(r"`strayframe ([a-z-]+(?: [a-z-]+)?)", page):
        first, _, second = line.partition(" ")
        known = top.commands[first]  # type: ignore[attr-defined]
        if hasattr(known, "commands") and second:
            assert second in known.commands, line
    families = {f.name for f in Metrics().registry.collect()}
    for name in re.findall(r"`(strayframe_\w+)", page):
        assert re.sub(r"_(total|bucket|sum|count)$", "", name) in families, name
