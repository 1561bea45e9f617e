"""Hooks as people deal with them: over HTTP, at the terminal, with the manual's receiver; and what they may reach."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import free_port, wait_until
from receivers import Receiver, hang, status
from rich.console import Console
from serving import Served, serving
from test_cli import run

from api.app import create_app
from api.commands.listen import listening
from detector.notice import NoticeType, notice
from streams.outbox import http
from streams.outbox.http import NoAnswer, post
from streams.outbox.reach import BadHookUrl, Reach, Unreachable
from streams.outbox.secret import secret_of
from streams.outbox.webhook import BadSecret, BadSignature, signed, verified
from streams.settings import Settings, SettingsError, load
from streams.store.sql import SqlStore

ROOT = Path(__file__).parents[1]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOPBACK = Reach((ipaddress.ip_network("127.0.0.0/8"),))
SECRET = secret_of(b"key", "hk-1", 1)
WAIT = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the store lies."""
    return tmp_path_factory.mktemp("hooks")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    """One server for all tests, so each looks at hooks of its own."""
    settings = Settings(store=f"sqlite:///{folder / 's.db'}", hook_networks="127.0.0.0/8")
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


# --- at the terminal ----------------------------------------------------------------------------------------


def test_hooks_are_dealt_with_at_the_terminal(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path / 's.db'}")
    reach = ("--hook-networks", "127.0.0.0/8")
    assert "hooks add" in run("hooks", "list", *store)[1]
    with Receiver([status(204), status(500)]) as receiver:
        code, out, _ = run("hooks", "add", receiver.url, "--event", "alert.raised", "--json", *store, *reach)
        hook = json.loads(out)
        assert code == 0
        id_ = hook["id"]
        code, out, _ = run("hooks", "test", id_, *store, *reach)
        assert (code, "HTTP 204" in out) == (0, True)
        code, out, _ = run("hooks", "test", id_, *store, *reach)
        assert (code, "HTTP 500" in out) == (1, True)
        assert verified(hook["secret"], receiver.arrived[0].headers, receiver.arrived[0].body)["type"] == "test"
    assert id_ in run("hooks", "list", *store)[1]
    assert hook["secret"] not in run("hooks", "show", id_, *store)[1]
    assert json.loads(run("hooks", "show", id_, "--json", *store)[1])["events"] == ["alert.raised"]
    newest, _ = json.loads(run("hooks", "deliveries", id_, "--json", *store)[1])
    assert newest["state"] == "failed"
    assert "HTTP 500" in run("hooks", "deliveries", id_, "--state", "failed", *store)[1]
    assert run("hooks", "deliveries", id_, "--state", "eaten", *store)[0] == 2
    assert run("hooks", "replay", id_, newest["id"], *store)[0] == 0
    assert run("hooks", "replay", id_, "ca-0", *store)[0] == 1
    assert "whsec_" in run("hooks", "rotate", id_, *store)[1]
    assert run("hooks", "disable", id_, *store)[0] == 0
    assert "disabled" in run("hooks", "list", *store)[1]
    assert run("hooks", "enable", id_, *store)[0] == 0
    assert run("hooks", "remove", id_, *store)[0] == 0
    assert run("hooks", "show", id_, *store)[0] == 1


def test_a_url_or_an_event_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path / 's.db'}")
    code, _, err = run("hooks", "add", "https://10.0.0.1/", *store)
    assert (code, "hook_networks" in err) == (2, True)
    code, _, err = run("hooks", "add", "https://a.example/", "--event", "alert.eaten", *store)
    assert (code, "there is no event 'alert.eaten'" in err) == (2, True)
    assert run("hooks", "listen", "--secret", "whsec_%")[0] == 2


def test_the_listener_prints_what_is_signed_and_refuses_what_is_not() -> None:
    out = StringIO()
    server = listening("127.0.0.1", 0, SECRET, Console(file=out, width=100))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    told = b'{"type":"alert.raised","timestamp":"2026-03-01T12:00:00.000Z","data":{"alert":"al-1"}}'
    good = signed([SECRET], "no-1", datetime.now(UTC), told)
    forged = signed([secret_of(b"other", "hk-1", 1)], "no-2", datetime.now(UTC), told)
    try:
        codes = [asyncio.run(post(url, told, headers, LOOPBACK)).status for headers in (good, good, forged)]
        codes.append(asyncio.run(post(url, b"x" * 20_001, good, LOOPBACK)).status)
        assert wait_until(lambda: out.getvalue().count("al-1") == 2, WAIT)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert codes == [204, 204, 401, 413]
    assert out.getvalue().count("again: to be ignored") == 1
    assert "refused: No matching signature found" in out.getvalue()


def test_the_receiver_of_the_manual_works(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/hooks.md").read_text(), re.DOTALL)
    assert len(code.strip().splitlines()) <= 40
    (tmp_path / "receiver.py").write_text(code)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environment = {**os.environ, "HOOK_SECRET": SECRET, "PORT": str(port)}
    request = notice(
        NoticeType.SUSPENSION_REQUESTED, NOON, "tv", {"suspension": "su-1", "scope": {"cachenode": "c3"}}, "1"
    )
    body = json.dumps({"type": request.type, "timestamp": "2026-03-01T12:00:00Z", "data": dict(request.data)}).encode()
    with subprocess.Popen(
        [sys.executable, tmp_path / "receiver.py"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            headers = signed([SECRET], request.id, datetime.now(UTC), body)
            answers = list[int]()
            assert wait_until(lambda: bool(said(url, body, headers, answers)), WAIT)
            assert said(url, body, headers, answers)
            assert said(url, body + b" ", headers, answers)
            assert answers == [204, 204, 401]
        finally:
            process.terminate()
        assert process.stdout is not None
        assert process.stdout.read() == "stop: su-1 {'cachenode': 'c3'}\n"


def said(url: str, body: bytes, headers: dict[str, str], answers: list[int]) -> bool:
    try:
        answers.append(asyncio.run(post(url, body, headers, LOOPBACK)).status)
    except NoAnswer:
        return False
    return True


# --- signatures and secrets -----------------------------------------------------------------------------------


def test_a_signature_is_of_the_moment_whatever_its_zone() -> None:
    told, at = b"{}", datetime.now(UTC)
    elsewhere = at.astimezone(timezone(timedelta(hours=-8)))
    assert signed([SECRET], "no-1", elsewhere, told) == signed([SECRET], "no-1", at, told)
    assert verified(SECRET, signed([SECRET], "no-1", elsewhere, told), told) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,\u00e9"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "99999999999999999999"},
        {"webhook-id": "no-2"},
    ],
    ids=str,
)
def test_whatever_is_wrong_with_a_webhook_is_one_error(headers: dict[str, str]) -> None:
    good = signed([SECRET], "no-1", datetime.now(UTC), b"{}")
    with pytest.raises(BadSignature):
        verified(SECRET, good | headers if headers else {}, b"{}")
    for body in (b"\xff", b"{", b"[]x"):
        with pytest.raises(BadSignature):
            verified(SECRET, good, body)


def test_a_secret_that_is_none_is_told() -> None:
    for secret in ("", "whsec_", "whsec_\u00e9"):
        with pytest.raises(BadSecret):
            signed([secret], "no-1", NOON, b"{}")


@given(st.binary(min_size=1), st.text(min_size=1), st.integers(1, 5))
def test_each_hook_and_rotation_has_a_secret_of_its_own(key: bytes, hook: str, generation: int) -> None:
    own = secret_of(key, hook, generation)
    assert own == secret_of(key, hook, generation)
    assert own not in (secret_of(key, hook, generation + 1), secret_of(key, hook + "x", generation))
    assert own != secret_of(key + b"x", hook, generation)


# --- reach ------------------------------------------------------------------------------------------------------


def test_a_name_is_resolved_once_and_every_address_of_it_is_checked() -> None:
    asked = list[str]()

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async def both(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "partner.example")
        assert asyncio.run(post(url, b"{}", {}, LOOPBACK, resolve=resolve)).status == 204
        assert asked == ["partner.example"]
        assert receiver.arrived[0].headers["host"].startswith("partner.example:")
        for resolves in (resolve, both):  # rebound, and half of it not public
            with pytest.raises(Unreachable, match=r"10\.0\.0\.1"):
                asyncio.run(post(url, b"{}", {}, LOOPBACK, resolve=resolves))
        assert len(receiver.arrived) == 1


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "255.255.255.255",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_an_address_that_is_not_public_is_not_reached(address: str) -> None:
    with pytest.raises(Unreachable):
        Reach().check(address, plain=False)


def test_public_addresses_are_reached_over_tls_and_named_networks_in_any_way() -> None:
    for address in ("93.184.216.34", "2606:4700::1111"):
        Reach().check(address, plain=False)
        with pytest.raises(Unreachable, match="https"):
            Reach().check(address, plain=True)
    named = Reach.of("10.2.0.0/16, fd00::/8")
    named.check("10.2.3.4", plain=True)
    named.check("fd00::1", plain=True)
    with pytest.raises(Unreachable):
        named.check("10.3.0.1", plain=False)


def test_a_network_that_is_none_is_told_by_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="hook_networks"):
        load({"hook_networks": "10.0.0.0/8,nonsense"}, {}, None)


def test_a_name_without_an_address_and_a_silent_receiver_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match="no address"):
        asyncio.run(post("https://nowhere.invalid/", b"{}", {}, LOOPBACK))
    with Receiver([hang]) as receiver, pytest.raises(NoAnswer, match=r"within 0\.3 s"):
        asyncio.run(post(receiver.url, b"{}", {}, LOOPBACK, seconds=0.3))
    with pytest.raises(NoAnswer, match="ConnectError"):
        asyncio.run(post(f"http://127.0.0.1:{free_port()}/", b"{}", {}, LOOPBACK))
    with pytest.raises(BadHookUrl):
        LOOPBACK.check_url("https://" + "x" * http.SAYS_BYTES * 10)


def test_an_answer_may_ask_for_a_pause_in_seconds_or_until_a_date() -> None:
    later = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with Receiver(
        [status(503, f"retry-after: {later}"), status(429, "retry-after: 7"), status(429, "retry-after: soon")]
    ) as r:
        after = [asyncio.run(post(r.url, b"{}", {}, LOOPBACK)).after for _ in range(3)]
    assert after[0] is not None
    assert timedelta(seconds=60) < after[0] <= timedelta(seconds=90)
    assert after[1:] == [timedelta(seconds=7), None]
