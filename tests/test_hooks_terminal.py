"""Hooks at the terminal, and receivers for people who write theirs: the listener and the one in the manual."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from programs import free_port, wait_until
from receivers import Receiver, status
from rich.console import Console
from test_cli import run

from api.commands.listen import listening
from detector.notice import NoticeType, notice
from streams.outbox.http import NoAnswer, post
from streams.outbox.reach import Reach
from streams.outbox.secret import secret_of
from streams.outbox.webhook import signed, verified

ROOT = Path(__file__).parents[1]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOPBACK = Reach((ipaddress.ip_network("127.0.0.0/8"),))
SECRET = secret_of(b"key", "hk-1", 1)
WAIT = 60.0


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
