"""`strayframe doctor`: a whole installation is fine, and each fault is named with what to do about it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from programs import free_port
from receivers import Receiver, status
from test_cli import run

from detector.notice import NoticeType, notice
from streams.doctor import machine, stream
from streams.doctor import store as at_store
from streams.doctor.finding import Finding, State
from streams.doctor.rounds import rounds
from streams.health import READY, Health, HealthServer
from streams.kafka.topics import create_topics
from streams.metrics import Metrics
from streams.outbox.call import Attempt, Outcome, Result
from streams.outbox.call import State as CallState
from streams.settings import Settings
from streams.snapshot import write
from streams.store import lease as leasing
from streams.store import migrations
from streams.store.database import Database
from streams.store.hooks import Hooks
from streams.store.outbox import Outbox, put
from streams.store.sql import SqlStore
from streams.store.words import KILL, ON

pytestmark = [pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"), pytest.mark.usefixtures("swept")]

NOW = datetime.now(UTC)
TOLD = notice(NoticeType.ALERT_RAISED, NOW, "tv", {"alert": "al-1"}, "1")


class Clinic:
    """An installation that is whole, but for what a test takes away."""

    def __init__(self, folder: Path, ends: ExitStack, **more: Any) -> None:
        self.folder = folder
        (folder / "sinks.toml").write_text(f'[disk]\ntype = "ocsf-file"\npath = "{folder / "f.jsonl"}"')
        self.store = ends.enter_context(SqlStore(f"sqlite:///{folder / 's.db'}"))
        self.store.acquire(600, "judge")
        ends.enter_context(leasing.acquire(self.store.database, 600, "dispatcher", leasing.DISPATCH))
        write(folder / "index", self.store.identity(), {})
        self.health = Health(Metrics())
        self.health.now(READY)
        served = HealthServer(self.health, "127.0.0.1", 0)
        ends.callback(served.close)
        files = {"sinks": str(folder / "sinks.toml"), "snapshot": str(folder / "index")}
        self.settings = Settings(store=f"sqlite:///{folder / 's.db'}", metrics_port=served.port, **(files | more))

    def found(self, now: datetime | None = None) -> dict[str, list[Finding]]:
        """What the doctor says of each thing."""
        said: dict[str, list[Finding]] = {}
        for finding in rounds(self.settings, partial(datetime.now, UTC) if now is None else lambda: now):
            said.setdefault(finding.check, []).append(finding)
        return said

    def one(self, check: str, state: State, now: datetime | None = None) -> Finding:
        """The one finding of a check in that state, which says what to do."""
        (found,) = [finding for finding in self.found(now)[check] if finding.state is state]
        assert found.do
        return found


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    """A whole installation."""
    with ExitStack() as ends:
        yield Clinic(tmp_path, ends)


def test_a_whole_installation_is_fine(clinic: Clinic, tmp_path: Path) -> None:
    found = clinic.found()
    assert {f.check for each in found.values() for f in each if f.state is not State.FINE} <= {"clock"}
    assert {"models", "clock", "store", "judge", "dispatch", "kill-switch", "hooks", "sink disk", "snapshot", "kafka",
            "index", "disk"} == found.keys()  # fmt: skip
    given = [
        f"--{name}={getattr(clinic.settings, name.replace('-', '_'))}" for name in ("store", "sinks", "metrics-port")
    ]
    code, out, _ = run("doctor", *given)
    assert (code, "0 wrong" in out) == (0, True)
    code, out, _ = run("doctor", "--json", *given)
    told = json.loads(out)
    assert (code, told["fine"]) == (0, True)
    assert told["findings"][0].keys() == {"check", "state", "says", "do"}


def test_a_store_that_does_not_exist_yet_is_not_made(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:///{tmp_path / 'none.db'}")
    found = [finding for finding in rounds(settings, partial(datetime.now, UTC)) if finding.check == "store"]
    assert [(f.state, "does not exist yet" in f.says) for f in found] == [(State.LOOK, True)]
    assert list(tmp_path.iterdir()) == []


def test_an_older_schema_is_named_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    database = Database(url)
    with database.writing() as connection:
        command.upgrade(migrations.configuration(connection), "0004")
    (found,) = at_store.looked_at(database, Settings(store=url))
    assert (found.state, "store upgrade" in found.do) == (State.WRONG, True)
    assert migrations.revision(database) == "0004"
    database.close()


def test_a_database_that_does_not_answer_and_a_url_that_is_none_end_the_command_with_1(tmp_path: Path) -> None:
    for url in (f"postgresql://nobody@127.0.0.1:{free_port()}/none", "mysql://x/y"):
        code, out, err = run("doctor", f"--store={url}", f"--port={free_port()}")
        assert (code, "BAD   store" in out, err) == (1, True, "")


def test_who_judges_and_who_dispatches_is_told(clinic: Clinic) -> None:
    clinic.store.close()
    assert "no process judges" in clinic.one("judge", State.LOOK).says


def test_a_judge_that_fell_silent_is_wrong(clinic: Clinic) -> None:
    assert clinic.store.lease is not None
    clinic.store.lease.stop()
    with clinic.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE leases SET beat_at = beat_at - 3600000000 WHERE name = 'judge'")
    assert "was last heard of at" in clinic.one("judge", State.WRONG).says


def test_the_kill_switch_is_told_with_who_and_why(clinic: Clinic) -> None:
    clinic.store.suspensions.say(KILL, "", ON, actor="ann", why="a drill", at=NOW)
    assert "by ann: a drill" in clinic.one("kill-switch", State.LOOK).says


def waits(clinic: Clinic, hook: bool) -> str:
    """A notice waits for a hook, or for a sink that the file does not name, after one attempt that failed."""
    database = clinic.store.database

    class Wanting:
        name = Hooks(database).add("https://partner.example/x", NOW).id if hook else "sink:gone"

        def wants(self, _: object) -> bool:
            return True

    outbox = Outbox(database)
    with database.writing() as connection:
        put(connection, [TOLD])
    outbox.route(outbox.unrouted(), [Wanting()], NOW)  # type: ignore[list-item]
    due = outbox.due(Wanting.name, NOW)
    assert due is not None
    outcome = Outcome(Result.RETRY, "HTTP 503: full", 503)
    outbox.record(due, Attempt(NOW, 0.1, outcome), CallState.WAITING, NOW + timedelta(hours=1))
    return Wanting.name


def test_a_hook_for_which_something_waits_too_long_is_wrong_with_what_it_answered(clinic: Clinic) -> None:
    hook = waits(clinic, hook=True)
    assert clinic.found()[f"hook {hook}"][0].state is State.FINE
    late = clinic.one(f"hook {hook}", State.WRONG, datetime.now(UTC) + timedelta(minutes=11))
    assert "the last attempt: HTTP 503: full" in late.says


def test_a_hook_that_was_disabled_is_told(clinic: Clinic) -> None:
    hooks = Hooks(clinic.store.database)
    hook = hooks.add("https://partner.example/x", NOW)
    hooks.change(hook.id, {"enabled": False}, NOW)
    assert "disabled by hand" in clinic.one(f"hook {hook.id}", State.LOOK).says


def test_what_waits_for_a_sink_that_is_no_longer_there_is_told(clinic: Clinic) -> None:
    waits(clinic, hook=False)
    assert "sinks forget gone" in clinic.one("sink gone", State.LOOK).do


def test_a_sink_that_cannot_be_reached_is_wrong_and_one_that_can_is_not_told_anything(clinic: Clinic) -> None:
    with Receiver([status(200)]) as receiver:
        (clinic.folder / "sinks.toml").write_text(
            f'[up]\ntype = "ocsf-http"\nurl = "{receiver.url}"\n'
            f'[down]\ntype = "cef-syslog"\nhost = "127.0.0.1"\nport = {free_port()}\n'
            f'[disk]\ntype = "ocsf-file"\npath = "{clinic.folder / "none" / "f"}"\n'
        )
        found = clinic.found()
        assert receiver.arrived == []
    assert [found[f"sink {name}"][0].state for name in ("up", "down", "disk")] == [
        State.FINE,
        State.WRONG,
        State.WRONG,
    ]


def test_a_bad_file_of_sinks_is_wrong_and_the_rest_is_looked_at(clinic: Clinic) -> None:
    (clinic.folder / "sinks.toml").write_text("[a]")
    assert "[a] type" in clinic.one("sinks", State.WRONG).says
    assert clinic.found()["index"][0].state is State.FINE


@pytest.mark.parametrize(
    ("spoil", "state", "says"),
    [
        (lambda path: path.unlink(), State.LOOK, "does not exist"),
        (lambda path: path.write_bytes(b"x" * 100), State.WRONG, "is no snapshot"),
        (lambda path: write(path, "another", {}), State.WRONG, "is of another store"),
    ],
    ids=["missing", "torn", "foreign"],
)
def test_a_snapshot_that_cannot_be_used_is_told(
    clinic: Clinic, spoil: Callable[[Path], Any], state: State, says: str
) -> None:
    spoil(clinic.folder / "index")
    assert says in clinic.one("snapshot", state).says


def test_an_old_snapshot_is_told(clinic: Clinic) -> None:
    assert "minutes old" in clinic.one("snapshot", State.LOOK, datetime.now(UTC) + timedelta(hours=1)).says


def test_an_index_that_is_loading_and_a_process_that_is_not_there_are_told(clinic: Clinic) -> None:
    clinic.health.now("loading the index")
    assert "loading the index" in clinic.one("index", State.WRONG).says
    found = machine.index(clinic.settings.model_copy(update={"metrics_port": free_port()}))
    assert (found.state, "nothing answers" in found.says) == (State.LOOK, True)


def test_clocks_that_are_apart_are_wrong(clinic: Clinic) -> None:
    with_store = at_store.clock(clinic.store.database, datetime.now(UTC) + timedelta(seconds=30))
    assert (with_store.state, "30" in with_store.says or "29" in with_store.says) == (State.WRONG, True)
    assert at_store.clock(clinic.store.database, datetime.now(UTC)).state is State.FINE


def test_the_same_is_asked_of_postgresql(postgres_url: str) -> None:
    with SqlStore(postgres_url) as store:
        found = list(at_store.looked_at(store.database, Settings(store=postgres_url)))
        assert [f.check for f in found] == ["store", "judge", "dispatch", "kill-switch"]
        assert at_store.clock(store.database, datetime.now(UTC)).state is State.FINE
        assert at_store.clock(store.database, datetime.now(UTC) - timedelta(seconds=9)).state is State.WRONG


def test_brokers_topics_and_the_brokers_clock_are_looked_at(kafka: str) -> None:
    ours = f"test.{uuid.uuid4().hex}"
    names = {f"topic_{name}": f"{ours}.{name}" for name in ("stills", "rights", "changes", "rejected")}
    settings = Settings(kafka=kafka, **names)  # type: ignore[arg-type]
    now = partial(datetime.now, UTC)
    missing = list(stream.looked_at(settings, now))
    assert [f.check for f in missing if f.state is State.WRONG] == ["topics"] * 4
    create_topics(settings, 1, 1)
    made = list(stream.looked_at(settings, now))
    assert [(f.check, f.state) for f in made] == [("kafka", State.FINE), ("topics", State.FINE), ("clock", State.FINE)]
    assert "from the broker's" in made[-1].says
    assert stream.clock(settings, lambda: datetime.now(UTC) + timedelta(minutes=1)).state is State.WRONG


def test_brokers_that_do_not_answer_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.client.BOOTSTRAP_SECONDS", 1.0)
    settings = Settings(kafka=f"127.0.0.1:{free_port()}")
    (found,) = stream.looked_at(settings, partial(datetime.now, UTC))
    assert (found.check, found.state) == ("kafka", State.WRONG)
