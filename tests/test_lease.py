"""The lease: one judge per store, real processes, both databases."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from test_store import TOPIC, alert_of, batch_of

from streams.judge import Move
from streams.store import database as databases
from streams.store import lease as leasing
from streams.store import migrations
from streams.store.database import Database, StoreUnavailable
from streams.store.lease import Fenced, Holder, JudgeRunning, acquire, process_start, standby
from streams.store.schema import database_time, leases
from streams.store.sql import SqlStore

HERE = Path(__file__).parent


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    found = Database(url)
    migrations.upgrade(found)
    yield found
    found.close()


def silent_for(database: Database, seconds: float) -> None:
    """As if the holder's last heartbeat had been that long ago."""
    with database.writing() as connection:
        back = database_time(connection) - timedelta(seconds=seconds)
        connection.execute(leases.update().values(beat_at=back))


def held_by(database: Database, holder: Holder) -> None:
    """As if that process held the lease."""
    with database.writing() as connection:
        values = {"holder": holder.who, "host": holder.host, "place": holder.place, "pid": holder.pid}
        connection.execute(leases.update().values(process_start=holder.start, **values))


def beat_at(database: Database) -> object:
    with database.reading() as connection:
        return connection.scalar(select(leases.c.beat_at))


def test_a_second_judge_is_refused_and_told_who_where_since_when_and_until_when(database: Database) -> None:
    with acquire(database, 30, "worker"), pytest.raises(JudgeRunning) as caught:
        acquire(database, 30)
    refused = caught.value
    assert (refused.holder.who, refused.holder.pid, refused.holder.host) == (
        "worker",
        os.getpid(),
        socket.gethostname(),
    )
    assert refused.free_at - refused.beat_at == timedelta(seconds=30)
    assert refused.since is not None
    assert refused.since <= refused.beat_at
    for said in ("worker", str(os.getpid()), socket.gethostname(), f"{refused.free_at:%Y-%m-%dT%H:%M:%S}Z"):
        assert said in str(refused)


def test_the_epoch_grows_with_every_holder(database: Database) -> None:
    epochs = []
    for _ in range(3):
        with acquire(database, 30) as lease:
            epochs.append(lease.epoch)
    silent = acquire(database, 30)
    silent.stop()
    silent_for(database, 31)
    with acquire(database, 30) as lease:
        epochs += [silent.epoch, lease.epoch]
    assert epochs == [1, 2, 3, 4, 5]


def test_a_silent_holder_is_replaced_after_its_own_lease_and_not_before(database: Database) -> None:
    first = acquire(database, 100)
    first.stop()
    silent_for(database, 90)
    with pytest.raises(JudgeRunning):
        acquire(database, 1)  # a shorter lease of the newcomer's does not count
    silent_for(database, 101)
    with acquire(database, 1) as second:
        with pytest.raises(Fenced):
            first.beat()
        assert first.lost
        with pytest.raises(Fenced):
            first.check()
        first.release()  # leaves the other's lease alone
        second.beat()


def test_a_beat_keeps_the_lease(database: Database) -> None:
    with acquire(database, 100) as lease:
        silent_for(database, 99)
        before = beat_at(database)
        lease.beat()
        assert beat_at(database) > before  # type: ignore[operator]
        with pytest.raises(JudgeRunning):
            acquire(database, 100)


def test_the_thread_beats_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    beaten = threading.Event()
    monkeypatch.setattr(leasing.Lease, "beat", lambda self: beaten.set())
    lease = acquire(database, 0.03)
    assert beaten.wait(60)
    lease.stop()


def test_the_thread_outlives_a_store_that_is_away_and_ends_when_it_is_fenced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception] = [StoreUnavailable("away"), StoreUnavailable("away"), Fenced("gone")]

    def beat(_: object) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(leasing.Lease, "beat", beat)
    lease = acquire(database, 0.03)
    lease._thread.join(60)
    assert not lease._thread.is_alive()
    assert answers == []


def test_a_released_lease_is_free_at_once_and_released_twice_is_released_once(database: Database) -> None:
    lease = acquire(database, 1000)
    lease.release()
    with acquire(database, 1000) as next_one:
        lease.release()
        next_one.beat()


def test_two_that_come_at_once_are_one_holder(database: Database) -> None:
    together = threading.Barrier(8)
    answers: list[leasing.Lease | JudgeRunning] = []

    def come() -> None:
        together.wait()
        try:
            answers.append(acquire(database, 60))
        except JudgeRunning as refused:
            answers.append(refused)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [answer for answer in answers if isinstance(answer, leasing.Lease)]
    assert len(winners) == 1
    assert len(answers) == 8
    winners[0].release()


# --- whether the holder's process is gone ----------------------------------------------------------------------


def ended() -> int:
    """The process id of a process that ran and ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_holder_here_whose_process_is_gone_is_replaced_at_once(database: Database) -> None:
    acquire(database, 1000).stop()
    held_by(database, replace(Holder.this_process("worker"), pid=ended()))
    with acquire(database, 1000) as lease:
        assert lease.epoch == 2


def test_a_process_id_given_to_another_process_is_told_by_its_start(database: Database) -> None:
    acquire(database, 1000).stop()
    here = Holder.this_process("worker")
    held_by(database, replace(here, start=here.start - 1))
    with acquire(database, 1000) as lease:
        assert lease.epoch == 2


@pytest.mark.parametrize("place", ["another boot pid:[1]", ""])
def test_a_holder_elsewhere_is_waited_for_whatever_its_process_id(database: Database, place: str) -> None:
    acquire(database, 1000).stop()
    held_by(database, replace(Holder.this_process("worker"), pid=ended(), place=place))
    with pytest.raises(JudgeRunning):
        acquire(database, 1000)


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert process_start(child.pid) is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked how
    assert process_start(child.pid) is None
    child.wait()
    assert child.stdin is not None
    child.stdin.close()


def test_without_proc_a_process_is_looked_for_by_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "PROC", tmp_path)
    here = Holder.this_process("worker")
    assert not here.is_gone()
    assert replace(here, pid=ended()).is_gone()
    assert not replace(here, host="elsewhere", place="elsewhere", pid=ended()).is_gone()


# --- standby -----------------------------------------------------------------------------------------------------


def test_a_standby_waits_until_the_lease_is_free(database: Database) -> None:
    first = acquire(database, 1000)
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) == 3:
            first.release()
        return False

    second = standby(database, 1000, wait)
    assert second is not None
    assert (second.epoch, len(waited)) == (2, 3)
    second.release()


def test_a_standby_that_is_told_to_stop_takes_nothing(database: Database) -> None:
    with acquire(database, 1000) as first:
        assert standby(database, 1000, lambda _: True) is None
        first.beat()


# --- stopped and woken -----------------------------------------------------------------------------------------

JUDGE = """
import os, signal, sys
import test_store as t
from models.errors import StrayframeError
from streams.store.sql import SqlStore

def sleep(*_):
    print("stopping", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

store = SqlStore(sys.argv[1])
store.acquire(1.0, "sleeper")
store.claim(t.TOPIC, 0, 0)
write = store.writing.write
def amid(connection, *given, **rights):
    write(connection, *given, **rights)
    driver = connection.connection.driver_connection
    with driver.pipeline():
        driver.execute("SELECT 1").fetchone()  # sent and answered; the pipeline has no end yet
        sleep()

if sys.argv[2] == "amid":
    store.writing.write = amid
elif sys.argv[2] == "behind":
    store.writing.write = lambda *given, **rights: (write(*given, **rights), sleep())
else:
    sleep()
try:
    store.commit(t.batch_of(t.alert_of(1), moves=(t.Move(t.TOPIC, 0, 0, 5),)))
    print("committed", flush=True)
except StrayframeError as error:
    print(type(error).__name__, flush=True)
"""


def sleeper(url: str, where: str) -> subprocess.Popen[str]:
    """A judge that stops itself (SIGSTOP) before its commit, amid the rows of its transaction or behind them."""
    paths = os.pathsep.join((str(HERE), str(HERE.parent)))
    child = subprocess.Popen(
        [sys.executable, "-c", JUDGE, url, where],
        env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "stopping\n"
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    return child


def woken(child: subprocess.Popen[str]) -> str:
    """What the judge said once it went on."""
    os.kill(child.pid, signal.SIGCONT)
    said, _ = child.communicate(timeout=60)
    return said.strip()


def test_a_judge_that_was_stopped_and_replaced_commits_nothing_when_it_wakes(url: str) -> None:
    child = sleeper(url, "before")
    try:
        with SqlStore(url) as store:
            taken = store.standby(30, threading.Event().wait)
            assert taken is not None
            assert store.claim(TOPIC, 0, 0) == 0
            assert woken(child) == "Fenced"
            assert (store.counts().alerts, store.positions(TOPIC)) == (0, {0: 0})
            store.commit(batch_of(alert_of(1), moves=(Move(TOPIC, 0, 0, 5),)))
            assert (store.counts().alerts, store.positions(TOPIC)) == (1, {0: 5})
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("where", ["amid", "behind"])
def test_on_postgresql_what_a_judge_holds_that_was_stopped_inside_its_transaction_is_freed(
    postgres_url: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "IDLE_SECONDS", 1)
    SqlStore(postgres_url).close()
    child = sleeper(postgres_url, where)
    try:
        with SqlStore(postgres_url) as store:
            taken = store.standby(1.5, threading.Event().wait)
            assert taken is not None
            store.claim(TOPIC, 0, 0)
            store.commit(batch_of(alert_of(1), moves=(Move(TOPIC, 0, 0, 5),)))  # waits for the locks of the sleeper
            before = store.counts()
            assert woken(child) in ("Fenced", "StoreUnavailable")
            assert store.counts() == before
            assert store.positions(TOPIC) == {0: 5}
    finally:
        child.kill()
        child.wait()


def acquire_whatever_it_takes(store: SqlStore, pause: threading.Event) -> None:
    """Try until the holder counts as silent and the lease is really asked for."""
    while True:
        try:
            store.acquire(30)
        except JudgeRunning:
            pause.wait(0.05)
        else:
            return


def test_sqlite_lets_nobody_in_while_a_judge_sleeps_inside_its_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.database.BUSY_SECONDS", 1)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    child = sleeper(url, "behind")
    try:
        with Database(url).reading() as connection:
            assert connection.scalar(select(leases.c.epoch)) == 1  # reading goes on
        waiting = SqlStore(url, upgrade=False)
        silent = threading.Event()
        with pytest.raises(StoreUnavailable, match="locked"):
            acquire_whatever_it_takes(waiting, silent)
        assert woken(child) == "committed"  # nobody had taken over: its batch counts, once
        assert waiting.standby(30, silent.wait) is not None
        assert waiting.alert(alert_of(1).id) is not None
        assert waiting.positions(TOPIC) == {0: 5}
        waiting.close()
    finally:
        child.kill()
        child.wait()
