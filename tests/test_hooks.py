"""Hooks over HTTP: their secrets, tests, deliveries, replays, and URLs that they cannot have. Sinks, as far as they are
shown there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from receivers import Receiver, status
from serving import Served, serving

from api.app import create_app
from detector.notice import NoticeType, notice
from streams.outbox.webhook import verified
from streams.settings import Settings
from streams.store.sql import SqlStore

TOKEN = "a-token-that-nobody-may-see"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the store lies."""
    return tmp_path_factory.mktemp("hooks")


@pytest.fixture(scope="module")
def splunk() -> Iterator[Receiver]:
    """Takes what the sink of that name is told."""
    with Receiver([status(200)]) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def served(folder: Path, splunk: Receiver) -> Iterator[Served]:
    """One server for all tests, so each looks at hooks of its own."""
    (folder / "token").write_text(TOKEN)
    (folder / "sinks.toml").write_text(
        f'[splunk]\ntype = "splunk"\nurl = "{splunk.url}"\ntoken = {{file = "{folder / "token"}"}}\nevents = []'
    )
    settings = Settings(
        store=f"sqlite:///{folder / 's.db'}", hook_networks="127.0.0.0/8", sinks=str(folder / "sinks.toml")
    )
    with serving(create_app(settings)) as running:
        running.until(lambda: running.client.get("/v1/hooks").status_code == 200)
        yield running


def made(served: Served, url: str, **more: Any) -> dict[str, Any]:
    answer = served.client.post("/v1/hooks", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/hooks/{body['id']}"
    return body


def tell(folder: Path, *numbers: int) -> None:
    """Store notices as another process would: the judge of the served app has the lease, so without one."""
    from streams.store.outbox import put

    with SqlStore(f"sqlite:///{folder / 's.db'}") as store, store.database.writing() as connection:
        put(connection, [notice(NoticeType.ALERT_RAISED, NOON, "tv", {"alert": f"al-{n}"}, str(n)) for n in numbers])


# --- over HTTP ---------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_never_stored(served: Served, folder: Path) -> None:
    hook = made(served, "https://partner.example/hook", integration="tv", events=["alert.raised"])
    assert hook["secret"].startswith("whsec_")
    shown = served.client.get(f"/v1/hooks/{hook['id']}").json()
    assert shown == {name: value for name, value in hook.items() if name != "secret"}
    assert served.client.get("/v1/hooks").json()["items"][0] == shown
    kept = b"".join(path.read_bytes() for path in folder.glob("s.db*"))
    assert hook["id"].encode() in kept
    assert hook["secret"].removeprefix("whsec_").encode() not in kept


def test_a_notice_is_carried_out_by_the_process_that_serves(served: Served, folder: Path) -> None:
    with Receiver() as receiver:
        hook = made(served, receiver.url)
        tell(folder, 1, 2)
        receiver.until(2)
        path = f"/v1/hooks/{hook['id']}/deliveries"
        served.until(lambda: len(served.client.get(path, params={"state": "delivered"}).json()["items"]) == 2)
        second, first = served.client.get(path).json()["items"]
        assert first["body"] == json.loads(receiver.arrived[0].body)
        assert (first["notice"], first["due"]) == (receiver.ids[0], None)
        assert first["attempts"][0]["status"] == 204
        again = served.client.post(f"{path}/{second['id']}/replay", json={})
        assert (again.status_code, again.json()["state"]) in {(202, "waiting"), (202, "delivered")}
        receiver.until(3)
        assert receiver.ids[2] == second["notice"]
    assert verified(hook["secret"], receiver.arrived[0].headers, receiver.arrived[0].body) == first["body"]


def test_hooks_and_deliveries_come_in_pages(served: Served, folder: Path) -> None:
    with Receiver() as receiver:
        hook = made(served, receiver.url, dry_run=True)
        others = [made(served, receiver.url, dry_run=True)["id"] for _ in range(2)]
        tell(folder, *range(10, 15))
        path = f"/v1/hooks/{hook['id']}/deliveries"
        served.until(lambda: len(served.client.get(path, params={"state": "dry_run"}).json()["items"]) == 5)
        assert paged(served, path, 2) == [one["id"] for one in served.client.get(path).json()["items"]]
        assert paged(served, "/v1/hooks", 2)[:3] == [*others[::-1], hook["id"]]
        assert receiver.arrived == []


def paged(served: Served, path: str, limit: int) -> list[str]:
    found, url = list[str](), f"{path}?limit={limit}"
    while True:
        answer = served.client.get(url)
        found += [one["id"] for one in answer.json()["items"]]
        if "next" not in answer.links:
            return found
        url = answer.links["next"]["url"]


def test_a_hook_is_changed_disabled_and_removed(served: Served) -> None:
    hook = made(served, "https://partner.example/hook", integration="tv", events=["alert.raised"])
    path = f"/v1/hooks/{hook['id']}"
    changed = served.client.patch(path, json={"integration": None, "dry_run": True}).json()
    assert (changed["integration"], changed["dry_run"], changed["events"]) == (None, True, ["alert.raised"])
    off = served.client.patch(path, json={"enabled": False}).json()
    assert off["disabled"]
    assert off["disabled_why"] == "disabled by hand"
    assert served.client.patch(path, json={"enabled": True}).json()["disabled"] is None
    assert served.client.patch(path, json={"url": "https://127.0.0.1.example/x"}).status_code == 200
    assert served.client.delete(path).status_code == 204
    assert served.client.get(path).status_code == 404
    assert served.client.delete(path).json()["type"] == "urn:strayframe:problem:no-such-hook"


def test_rotation_gives_another_secret_and_says_until_when_the_first_holds(served: Served) -> None:
    hook = made(served, "https://partner.example/hook")
    path = f"/v1/hooks/{hook['id']}"
    kept = served.client.post(f"{path}/rotate", json={}).json()
    assert kept["secret"] not in ("", hook["secret"])
    assert kept["previous_until"] > kept["created"]
    assert served.client.get(path).json()["previous_until"] == kept["previous_until"]
    leaked = served.client.post(f"{path}/rotate", json={"keep_hours": 0}).json()
    assert leaked["previous_until"] is None
    assert len({hook["secret"], kept["secret"], leaked["secret"]}) == 3


def test_a_test_says_what_came_back(served: Served) -> None:
    with Receiver([status(204), status(500, body=b"not today")]) as receiver:
        hook = made(served, receiver.url, events=["suspension.requested"])
        path = f"/v1/hooks/{hook['id']}"
        taken = served.client.post(f"{path}/test", json={}).json()
        refused = served.client.post(f"{path}/test", json={}).json()
    assert (taken["state"], refused["state"]) == ("delivered", "failed")
    assert refused["attempts"][0]["detail"] == "HTTP 500: not today"
    assert verified(hook["secret"], receiver.arrived[0].headers, receiver.arrived[0].body)["type"] == "test"
    assert [one["id"] for one in served.client.get(f"{path}/deliveries").json()["items"]] == [
        refused["id"],
        taken["id"],
    ]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://partner.example/", "https://HOST"),
        ("https:///path", "https://HOST"),
        ("https://user:word@partner.example/", "no password"),
        ("https://partner.example/#part", "no fragment"),
        ("https://partner.example:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://partner.example/\u00e9", "ASCII"),
        ("https://10.1.2.3/", "10.1.2.3 is not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("https://[64:ff9b::a00:1]/", "not public"),
        ("https://[fe80::1]/", "not public"),
        ("http://93.184.216.34/", "use https"),
    ],
)
def test_a_url_that_can_never_be_called_is_refused_at_once(served: Served, url: str, says: str) -> None:
    answer = served.client.post("/v1/hooks", json={"url": url})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:strayframe:problem:bad-hook-url")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "name"),
    [
        ("POST", "/v1/hooks", {"url": "https://a.example", "secret": "x"}, 422, "bad-parameter"),
        ("POST", "/v1/hooks", {"url": "https://a.example", "events": ["alert.eaten"]}, 422, "bad-parameter"),
        ("GET", "/v1/hooks/none", None, 404, "no-such-hook"),
        ("PATCH", "/v1/hooks/none", {"dry_run": True}, 404, "no-such-hook"),
        ("POST", "/v1/hooks/none/rotate", {}, 404, "no-such-hook"),
        ("POST", "/v1/hooks/none/test", {}, 404, "no-such-hook"),
        ("GET", "/v1/hooks/none/deliveries", None, 404, "no-such-hook"),
        ("POST", "/v1/hooks/none/deliveries/x/replay", {}, 404, "no-such-hook"),
        ("GET", "/v1/hooks?cursor=nonsense", None, 400, "bad-cursor"),
    ],
)
def test_what_is_wrong_is_a_problem(
    served: Served, method: str, path: str, body: dict[str, Any] | None, status: int, name: str
) -> None:
    answer = served.client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:strayframe:problem:{name}")


def test_a_delivery_that_never_was_is_not_replayed(served: Served) -> None:
    hook = made(served, "https://partner.example/hook")
    answer = served.client.post(f"/v1/hooks/{hook['id']}/deliveries/ca-0/replay", json={})
    assert answer.json()["type"] == "urn:strayframe:problem:no-such-delivery"


# --- sinks ---------------------------------------------------------------------------------------------------


def test_a_sink_is_listed_tried_and_told_again(served: Served, splunk: Receiver) -> None:
    listed = served.client.get("/v1/sinks")
    (one,) = listed.json()["items"]
    assert (one["name"], one["type"], one["events"]) == ("splunk", "splunk", [])
    assert TOKEN not in listed.text
    assert served.client.get("/v1/sinks/splunk").json() == one
    tried = served.client.post("/v1/sinks/splunk/test", json={}).json()
    assert (tried["state"], tried["attempts"][0]["status"]) == ("delivered", 200)
    again = served.client.post(f"/v1/sinks/splunk/deliveries/{tried['id']}/replay", json={})
    assert again.status_code == 202
    splunk.until(2)
    (logged,) = served.client.get("/v1/sinks/splunk/deliveries").json()["items"]
    assert logged["notice"] == tried["notice"]
    assert {one.headers["authorization"] for one in splunk.arrived} == {f"Splunk {TOKEN}"}


def test_a_sink_that_the_file_does_not_name_is_a_problem(served: Served) -> None:
    for path in ("/v1/sinks/none", "/v1/sinks/none/deliveries"):
        assert served.client.get(path).json()["type"] == "urn:strayframe:problem:no-such-sink"
    missing = served.client.post("/v1/sinks/splunk/deliveries/ca-0/replay", json={})
    assert missing.json()["type"] == "urn:strayframe:problem:no-such-delivery"
