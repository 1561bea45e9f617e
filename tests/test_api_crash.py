"""`strayframe serve`, one process or several: killed, stopped, doubled. What was answered is stored, nothing twice."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import httpx
import pytest
from serve_command import is_running, pids, serve, until_ready
from serving import WAIT_SECONDS, events, picture, post, right, still

from streams.store.sql import SqlStore

OWNER = right("r", "enrol", "cam", "owner")


def settle(client: httpx.Client, answered: set[str], numbers: range) -> None:
    """Everything that was answered is stored; sent again, everything gets the answer that is stored, once."""
    assert answered <= set(stored(client))
    with ThreadPoolExecutor(16) as many:
        again = list(many.map(lambda number: send(client, number), numbers))
    assert answered <= set(again)
    assert sorted(stored(client)) == sorted(str(alert) for alert in again)


def send(client: httpx.Client, number: int) -> str | None:
    """Hand in a stranger's delivery; its alert's id, or None when none was answered."""
    sent = still(f"d{number}", f"viewer-{number}", "cam", number)
    try:
        answer = post(client, sent, picture(1, number, size=(320, 180)))
    except httpx.TransportError:
        return None
    if answer.status_code == 503:
        return None
    assert answer.status_code == 200, answer.text
    (alert,) = answer.json()["alerts"]
    return str(alert["id"])


def stored(client: httpx.Client) -> list[str]:
    found: list[str] = []
    url = "/v1/alerts?limit=50"
    while url:
        answer = client.get(url)
        found += [alert["id"] for alert in answer.json()["items"]]
        url = answer.links.get("next", {}).get("url", "")
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_kill_at_any_moment_loses_no_answer_and_doubles_no_alert(tmp_path: Path, seed: int) -> None:
    numbers = range(120)
    with serve(tmp_path / "s.db") as (process, client):
        until_ready(process, client)
        events(client, OWNER)
        killer = threading.Timer(Random(seed).uniform(0.02, 0.4), process.kill)
        with ThreadPoolExecutor(16) as many:
            killer.start()
            answered = {alert for alert in many.map(lambda number: send(client, number), numbers) if alert}
        killer.join()
    with serve(tmp_path / "s.db") as (process, client):
        until_ready(process, client)
        settle(client, answered, numbers)
        counted = client.get("/v1/coverage").json()["items"]
        assert sum(item["deliveries"] for item in counted) >= len(numbers)


def test_told_to_stop_it_answers_what_it_has_and_leaves_in_order(tmp_path: Path) -> None:
    with serve(tmp_path / "s.db") as (process, client):
        until_ready(process, client)
        events(client, OWNER)
        with ThreadPoolExecutor(8) as many:
            sent = [many.submit(send, client, number) for number in range(40)]
            sent[3].result()
            process.send_signal(signal.SIGTERM)
            answered = {alert for one in sent if (alert := one.result())}
        assert process.wait(WAIT_SECONDS) == 0
    with serve(tmp_path / "s.db") as (process, client):
        until_ready(process, client)
        assert answered == set(stored(client))


def test_a_second_server_reads_and_takes_over_when_the_first_is_gone(tmp_path: Path) -> None:
    with serve(tmp_path / "s.db") as (first, client):
        until_ready(first, client)
        events(client, OWNER)
        assert send(client, 1)
        with serve(tmp_path / "s.db") as (second, other):
            until_ready(second, other, 503)
            assert len(stored(other)) == 1
            refused = post(other, still("d2", "viewer-2", "cam", 2), picture(1, 2))
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:strayframe:problem:not-judging")
            first.kill()
            first.wait()
            until_ready(second, other)
            taken = post(other, still("d2", "viewer-2", "cam", 2), picture(1, 2))
            assert (taken.status_code, taken.json().get("verdict")) == (200, "leak"), taken.text
            assert len(stored(other)) == 2


def test_several_processes_are_mended_when_killed_and_leave_in_order_without_a_loss(tmp_path: Path) -> None:
    """Either role is killed while answers are due: no answer is lost, no alert doubled. Then told to stop, they answer
    what they have."""
    store = tmp_path / "s.db"
    with serve(store, "--processes", "2") as (process, client):
        until_ready(process, client)
        assert sorted(pids(store)) == ["answers", "http-1", "http-2"]
        events(client, OWNER)
        settle(client, killed(store, "answers", client, range(60)), range(60))
        settle(client, killed(store, "http-1", client, range(60, 120)), range(120))
        until_ready(process, client)
        before = set(stored(client))
        with ThreadPoolExecutor(8) as many:
            sent = [many.submit(send, client, number) for number in range(120, 160)]
            sent[3].result()
            process.send_signal(signal.SIGTERM)
            answered = {alert for one in sent if (alert := one.result())}
        assert process.wait(WAIT_SECONDS) == 0
        assert not [name for name, pid in pids(store).items() if is_running(pid)]
    with SqlStore(f"sqlite:///{store}") as kept:
        assert before | answered == {one.alert.id for one in kept.alerts(limit=500).items}


def killed(store: Path, role: str, client: httpx.Client, numbers: range) -> set[str]:
    """Kill that process while deliveries are handed in, and wait until another has its place; what was answered."""
    before, never = pids(store), threading.Event()
    with ThreadPoolExecutor(16) as many:
        sent = [many.submit(send, client, number) for number in numbers]
        sent[20].result()
        os.kill(before[role], signal.SIGKILL)
        answered = {alert for one in sent if (alert := one.result())}
    while pids(store) == before:
        never.wait(0.05)
    assert {name for name, pid in pids(store).items() if pid != before[name]} == {role}
    while client.get("/readyz").status_code != 200:
        never.wait(0.05)
    return answered


def test_a_killed_parent_leaves_no_orphan(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    with serve(store, "--processes", "2") as (process, client):
        until_ready(process, client)
        process.kill()
        process.wait()
        never = threading.Event()
        while left := [name for name, pid in pids(store).items() if is_running(pid)]:
            assert left
            never.wait(0.05)
