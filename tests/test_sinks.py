"""Sinks through the dispatcher against receivers on loopback that speak their protocol, real ones where Debian has
them: each is told once what it wants, a dead one holds up no other, and no secret gets into a log."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from kafka import KafkaConsumer
from notices import every, incidents
from programs import Process, free_port, need, wait_until
from receivers import Receiver, close, hang, status
from test_cli import run

from api.commands.demo import played
from detector.notice import Notice, NoticeType, notice
from streams.judge import Batch
from streams.metrics import Metrics
from streams.outbox import call, courier, dispatch
from streams.outbox.call import Result, State
from streams.outbox.dispatch import Dispatcher
from streams.settings import Settings
from streams.sinks import alertmanager, trial
from streams.sinks import syslog as syslog_sink
from streams.sinks.alertmanager import AlertmanagerSink
from streams.sinks.configuration import SinkError
from streams.sinks.file import append
from streams.sinks.roster import sinks_of
from streams.sinks.sink import Sink
from streams.store.hooks import Hooks, Logged
from streams.store.outbox import Outbox
from streams.store.sql import SqlStore
from streams.store.words import KILL, ON

WAIT = 60.0
TOKEN = "a-token-that-nobody-may-see"
TOLD = [n for n in every() if n.type is not NoticeType.TEST]


class House:
    """A store, its file of sinks, and what the dispatcher makes of both."""

    def __init__(self, folder: Path, sinks: str, **settings: Any) -> None:
        (folder / "sinks.toml").write_text(textwrap.dedent(sinks))
        self.settings = Settings(store=f"sqlite:///{folder / 's.db'}", sinks=str(folder / "sinks.toml"), **settings)
        self.store = SqlStore(self.settings.store)
        self.store.acquire(600, "test")
        self.metrics = Metrics()

    def tell(self, *told: Notice) -> None:
        self.store.commit(Batch(notices=list(told)))

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.settings, self.metrics)

    def log(self, name: str) -> list[Logged]:
        """What the sink was told, oldest first."""
        return list(Hooks(self.store.database).log(f"sink:{name}", limit=500).items)[::-1]

    def until(self, name: str, state: State, count: int) -> list[Logged]:
        """Wait until so many calls of the sink stand so."""
        log = lambda: [one for one in self.log(name) if one.state is state]  # noqa: E731
        assert wait_until(lambda: len(log()) >= count, WAIT), self.log(name)
        return log()

    def sink(self, name: str) -> Sink:
        return next(sink for sink in sinks_of(self.settings) if sink.spec.name == name)


@pytest.fixture
def housed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a house with these sinks: `housed(toml)`."""
    monkeypatch.setenv("A_TOKEN", TOKEN)
    with ExitStack() as ends:

        def make(sinks: str, **settings: Any) -> House:
            made = House(tmp_path, sinks, **settings)
            ends.enter_context(made.store)
            return made

        yield make


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and rests of hundredths of a second."""
    monkeypatch.setattr(call, "FIRST_RETRY", timedelta(seconds=0.02))
    monkeypatch.setattr(courier, "FIRST_REST", 0.01)


def raised(n: int) -> Notice:
    return notice(NoticeType.ALERT_RAISED, datetime(2026, 3, 1, tzinfo=UTC), "tv", {"alert": f"al-{n}"}, str(n))


async def tried(sink: Sink) -> Any:
    """The outcome of one marked test."""
    now = partial(datetime.now, UTC)
    _, attempt = await trial.attempt(sink, now)
    return attempt.outcome


# --- a file ------------------------------------------------------------------------------------------------


def test_a_file_has_one_line_for_each_notice_in_order(housed: Any, tmp_path: Path) -> None:
    path = tmp_path / "ocsf.jsonl"
    house = housed(f'[disk]\ntype = "ocsf-file"\npath = "{path}"')
    with house.dispatcher():
        house.tell(*TOLD)
        house.until("disk", State.DELIVERED, len(TOLD))
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert {event["metadata"]["uid"] for event in events} == {n.id for n in TOLD}
    incident = [event["time"] for event in events if event["class_uid"] == 2005]
    assert incident == sorted(incident)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_rotated_is_made_anew_and_a_torn_line_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    append(path, b'{"n":1}')
    path.rename(tmp_path / "f.1")
    append(path, b'{"n":2}')
    with path.open("ab") as file:
        file.write(b'{"n":')  # what a full disk leaves
    append(path, b'{"n":3}')
    assert path.read_text() == '{"n":2}\n{"n":\n{"n":3}\n'
    assert (tmp_path / "f.1").read_text() == '{"n":1}\n'


@pytest.mark.usefixtures("soon")
def test_a_file_that_cannot_be_written_is_tried_again_and_holds_up_no_other(housed: Any, tmp_path: Path) -> None:
    gone = tmp_path / "not" / "there.jsonl"
    house = housed(
        f'[bad]\ntype = "ocsf-file"\npath = "{gone}"\n[good]\ntype = "ocsf-file"\npath = "{tmp_path / "good.jsonl"}"'
    )
    with house.dispatcher():
        house.tell(raised(1), raised(2))
        house.until("good", State.DELIVERED, 2)
        assert wait_until(lambda: any(one.attempts for one in house.log("bad")), WAIT)
        gone.parent.mkdir()
        house.until("bad", State.DELIVERED, 2)
    assert "No such file" in next(a.outcome.detail for one in house.log("bad") for a in one.attempts)
    assert len(gone.read_text().splitlines()) == 2


def test_the_kill_switch_does_not_stop_telling(housed: Any, tmp_path: Path) -> None:
    suspension = next(n for n in TOLD if n.type is NoticeType.SUSPENSION_REQUESTED)
    house = housed(f'[disk]\ntype = "ocsf-file"\npath = "{tmp_path / "f"}"')
    house.store.suspensions.say(KILL, "", ON, actor="ann", why="a test", at=datetime.now(UTC))
    with Receiver() as receiver, house.dispatcher():
        hook = Hooks(house.store.database).add(receiver.url, datetime.now(UTC))
        house.tell(suspension)
        house.until("disk", State.DELIVERED, 1)
        (held,) = Hooks(house.store.database).log(hook.id).items
        assert held.state is State.WAITING
        assert receiver.arrived == []


# --- HTTP: OCSF, Splunk, PagerDuty -----------------------------------------------------------------------


@pytest.mark.usefixtures("soon")
def test_ocsf_is_posted_with_the_notices_id_until_it_is_taken(housed: Any) -> None:
    with Receiver([status(500), close, status(410), status(201)]) as receiver:
        house = housed(
            f"""
            [siem]
            type = "ocsf-http"
            url = "{receiver.url}"
            authorization = {{env = "A_TOKEN"}}
            headers = {{X-Tenant = "cameras"}}
            """
        )
        with house.dispatcher():
            house.tell(raised(1))
            (log,) = house.until("siem", State.DELIVERED, 1)
    assert [a.outcome.status for a in log.attempts] == [500, None, 410, 201]
    assert {one.headers["strayframe-notice"] for one in receiver.arrived} == {raised(1).id}
    assert receiver.arrived[0].headers["authorization"] == TOKEN
    assert receiver.arrived[0].headers["x-tenant"] == "cameras"
    assert json.loads(receiver.arrived[3].body)["class_uid"] == 2004


def test_a_secret_that_a_receiver_sends_back_is_not_logged(housed: Any) -> None:
    with Receiver([status(403, body=f"no such token: {TOKEN}".encode())]) as receiver:
        house = housed(f'[s]\ntype = "splunk"\nurl = "{receiver.url}"\ntoken = {{env = "A_TOKEN"}}')
        with house.dispatcher():
            house.tell(raised(1))
            assert wait_until(lambda: any(one.attempts for one in house.log("s")), WAIT)
    (log,) = house.log("s")
    assert log.attempts[0].outcome.detail == "HTTP 403: no such token: ***"
    kept = b"".join(path.read_bytes() for path in Path(house.settings.sinks).parent.glob("s.db*"))
    assert TOKEN.encode() not in kept


def test_splunk_takes_events_by_the_collectors_protocol(housed: Any) -> None:
    with Receiver([status(200, body=b'{"text":"Success","code":0}')]) as receiver:
        house = housed(
            f"""
            [splunk]
            type = "splunk"
            url = "{receiver.url.removesuffix("/hook")}"
            token = {{env = "A_TOKEN"}}
            index = "cameras"
            """
        )
        with house.dispatcher():
            house.tell(TOLD[0])
            (log,) = house.until("splunk", State.DELIVERED, 1)
    (request,) = receiver.arrived
    assert request.headers["authorization"] == f"Splunk {TOKEN}"
    assert re.fullmatch(r"[0-9a-f-]{36}", request.headers["x-splunk-request-channel"])
    body = json.loads(request.body)
    assert body["time"] == TOLD[0].at.timestamp()
    assert (body["index"], body["sourcetype"], body["event"]["class_uid"]) == ("cameras", "strayframe:ocsf", 2004)
    assert log.attempts[0].outcome.detail == 'HTTP 200: {"text":"Success","code":0}'


@pytest.mark.usefixtures("soon")
def test_pagerduty_is_asked_to_open_and_close_one_incident(housed: Any) -> None:
    told = list(incidents())
    with Receiver([status(429, "retry-after: 0"), status(202)]) as receiver:
        house = housed(
            f'[pager]\ntype = "pagerduty"\nurl = "{receiver.url}"\nrouting_key = {{env = "A_TOKEN"}}\nseverity = "high"'
        )
        with house.dispatcher():
            house.tell(TOLD[0], *told)
            house.until("pager", State.DELIVERED, len(told))
    bodies = [json.loads(one.body) for one in receiver.arrived]
    assert [b["event_action"] for b in bodies] == ["trigger"] * len(told) + ["resolve"]  # the first one twice
    assert {b["dedup_key"] for b in bodies} == {told[0].data["incident"]}
    assert {b["routing_key"] for b in bodies} == {TOKEN}


def test_a_dead_sink_holds_up_neither_hooks_nor_other_sinks(
    housed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "LEAVE_SECONDS", 0.1)
    with Receiver([hang]) as dead, Receiver() as alive:
        house = housed(
            f"""
            [dead]
            type = "ocsf-http"
            url = "{dead.url}"
            [gone]
            type = "cef-syslog"
            host = "127.0.0.1"
            port = {free_port()}
            tls = false
            [disk]
            type = "ocsf-file"
            path = "{tmp_path / "f"}"
            """,
            hook_networks="127.0.0.0/8",
        )
        hook = Hooks(house.store.database).add(alive.url, datetime.now(UTC))
        with house.dispatcher():
            house.tell(*(raised(n) for n in range(10)))
            house.until("disk", State.DELIVERED, 10)
            alive.until(10)
            dead.until(1)
        assert hook.id
        assert {one.state for one in house.log("dead")} == {State.WAITING}
        waiting = Outbox(house.store.database).waiting()
        assert (waiting["sink:dead"].count, waiting["sink:gone"].count) == (10, 10)


# --- Alertmanager, the real one --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running Alertmanager."""
    folder = tmp_path_factory.mktemp("alertmanager")
    name = "prometheus-alertmanager"
    program = need(partial(shutil.which, name), name, "An Alertmanager")
    (folder / "am.yml").write_text("route:\n  receiver: none\nreceivers:\n  - name: none\n")
    url = f"http://127.0.0.1:{free_port()}"
    options = ["--config.file=am.yml", "--storage.path=data", "--cluster.listen-address="]
    process = Process.start(folder, "am", [program, *options, f"--web.listen-address={url.removeprefix('http://')}"])
    try:
        assert wait_until(lambda: answers(f"{url}/-/ready"), WAIT), (folder / "am.log").read_text()
        yield url
    finally:
        process.end(signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def active(url: str) -> list[dict[str, Any]]:
    """The alerts that the Alertmanager takes for standing."""
    found: list[dict[str, Any]] = httpx.get(f"{url}/api/v2/alerts", trust_env=False).json()
    return found


def test_a_real_alertmanager_shows_what_stands_and_drops_what_ended(housed: Any, manager: str) -> None:
    opened, *_, resolved = incidents()
    house = housed(f'[am]\ntype = "alertmanager"\nurl = "{manager}"\nlabels = {{team = "cameras"}}')
    with house.dispatcher():
        house.tell(TOLD[0], opened)
        house.until("am", State.DELIVERED, 1)
        (shown,) = active(manager)
        house.tell(resolved)
        house.until("am", State.DELIVERED, 2)
    assert shown["labels"] == {
        "alertname": "StrayframeIncident",
        "incident": opened.data["incident"],
        "integration": opened.integration,
        "team": "cameras",
    }
    assert active(manager) == []


def test_what_stands_is_said_again_and_what_ended_is_not(housed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, *_, resolved = incidents()
    monkeypatch.setattr(alertmanager, "REPEAT", timedelta(seconds=0.05))
    other = notice(NoticeType.INCIDENT_OPENED, opened.at, "tv", {"incident": "in-other"}, "other")
    with Receiver([status(200)]) as receiver:
        house = housed(f'[am]\ntype = "alertmanager"\nurl = "{receiver.url}"')
        with house.dispatcher():
            house.tell(opened, other, resolved)
            house.until("am", State.DELIVERED, 3)
            seen = len(receiver.arrived)
            receiver.until(seen + 3)
        first, *_ = (json.loads(one.body) for one in receiver.arrived[seen + 1 :])
    assert [alert["labels"]["incident"] for alert in first] == ["in-other"]
    assert datetime.fromisoformat(first[0]["endsAt"]) > datetime.now(UTC) + timedelta(minutes=14)
    assert len(house.log("am")) == 3


def test_a_restart_says_again_what_stood_before(housed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, *_ = incidents()
    with Receiver([status(200)]) as receiver:
        house = housed(f'[am]\ntype = "alertmanager"\nurl = "{receiver.url}"')
        with house.dispatcher():
            house.tell(opened)
            house.until("am", State.DELIVERED, 1)
        before = len(receiver.arrived)
        with house.dispatcher():
            receiver.until(before + 1)
    (again,) = json.loads(receiver.arrived[before].body)
    assert again["labels"]["incident"] == opened.data["incident"]


def test_an_alertmanager_remembers_what_stands_and_nothing_that_is_over(housed: Any) -> None:
    opened, *_, resolved = incidents()
    now = datetime.now(UTC)

    async def story(sink: AlertmanagerSink) -> None:
        assert (await sink.attempt(opened, now)).result is Result.DELIVERED
        assert await sink.repeat([], now) is not None
        assert list(sink._said.values()) == [opened]
        assert (await sink.attempt(resolved, now)).result is Result.DELIVERED
        assert await sink.repeat([opened], now) is None, "what was told before this session is older"
        assert sink._said == {}

    with Receiver([status(200)] * 3) as receiver:
        asyncio.run(story(housed(f'[am]\ntype = "alertmanager"\nurl = "{receiver.url}"').sink("am")))


def test_what_was_told_is_read_once_a_session(housed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, *_ = incidents()
    monkeypatch.setattr(alertmanager, "REPEAT", timedelta(seconds=0.05))
    read: list[str] = []
    standing = Outbox.standing

    def watched(self: Outbox, target: str) -> list[Notice]:
        read.append(target)
        return standing(self, target)

    monkeypatch.setattr(Outbox, "standing", watched)
    with Receiver([status(200)]) as receiver:
        house = housed(f'[am]\ntype = "alertmanager"\nurl = "{receiver.url}"')
        with house.dispatcher():
            house.tell(opened)
            receiver.until(4)
    assert read == ["sink:am"]


def test_an_alertmanager_without_its_secret_ends_no_dispatcher(housed: Any, tmp_path: Path) -> None:
    opened, *_ = incidents()
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    with Receiver([status(400, body=TOKEN.encode())]) as receiver:
        house = housed(f'[am]\ntype = "alertmanager"\nurl = "{receiver.url}"\nauthorization = {{file = "{secret}"}}')
        sink = house.sink("am")
        again = asyncio.run(sink.repeat([opened], datetime.now(UTC)))
        assert (again.result, again.whole) == (Result.RETRY, "HTTP 400: ***")
        secret.unlink()
        again = asyncio.run(sink.repeat([opened], datetime.now(UTC)))
    assert (again.result, "cannot be read" in again.detail) == (Result.RETRY, True)


# --- Kafka ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("swept")
def test_kafka_has_an_event_for_each_notice_keyed_by_what_it_is_about(housed: Any, kafka: str, topic: Any) -> None:
    name = topic(partitions=3)
    house = housed(f'[bus]\ntype = "ocsf-kafka"\ntopic = "{name}"', kafka=kafka)
    with house.dispatcher():
        house.tell(*TOLD)
        logs = house.until("bus", State.DELIVERED, len(TOLD))
    reader = KafkaConsumer(name, bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=5000)
    try:
        records = [record for record, _ in zip(reader, TOLD, strict=False)]
    finally:
        reader.close()
    assert {dict(r.headers)["strayframe_notice"].decode() for r in records} == {n.id for n in TOLD}
    of_incident = [r for r in records if json.loads(r.value)["class_uid"] == 2005]
    assert len({(r.key, r.partition) for r in of_incident}) == 1
    times = [json.loads(r.value)["time"] for r in sorted(of_incident, key=lambda r: r.offset)]
    assert times == sorted(times)
    assert re.fullmatch(rf"acknowledged as {name} \d:\d+", logs[0].attempts[0].outcome.detail)


# --- syslog, by a real rsyslog ---------------------------------------------------------------------------------


@contextmanager
def rsyslog(folder: Path, *, tls: bool = False) -> Iterator[tuple[int, Path]]:
    """A running rsyslog that writes what it gets to a file: its port and the file."""
    folder.mkdir()
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    program = need(lambda: shutil.which("rsyslogd", path=path), "rsyslog", "An rsyslog")
    port, out = free_port(), folder / "out.log"
    stream = ""
    if tls:
        need(lambda: next(map(str, Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")), None), "rsyslog-openssl", "TLS")
        stream = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"'
    files = "".join(
        f'global(DefaultNetstreamDriver{name}File="{folder / file}")\n'
        for name, file in (("CA", "ca.pem"), ("Cert", "cert.pem"), ("Key", "key.pem"))
    )
    (folder / "rsyslog.conf").write_text(
        f"""global(workDirectory="{folder}" maxMessageSize="64k")
{files if tls else ""}module(load="imtcp" {stream})
template(name="whole" type="string" string="%pri% %timereported:::date-rfc3339% %app-name% %msgid% %msg%\\n")
ruleset(name="out") {{ action(type="omfile" file="{out}" template="whole") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="out")
"""
    )
    if tls:
        authority = trustme.CA()
        served = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(folder / "ca.pem")
        served.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        served.private_key_pem.write_to_path(folder / "key.pem")
    options = ["-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslogd.pid")]
    process = Process.start(folder, "rsyslog", [program, *options])
    try:
        assert wait_until(lambda: listens(port), WAIT), (folder / "rsyslog.log").read_text()
        yield port, out
    finally:
        process.end(signal.SIGTERM)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_a_real_rsyslog_reads_every_notice_whole(housed: Any, tmp_path: Path, tls: bool) -> None:
    with rsyslog(tmp_path / "rsyslog", tls=tls) as (port, out):
        ca = f'ca = "{tmp_path / "rsyslog" / "ca.pem"}"' if tls else ""
        house = housed(
            f'[soc]\ntype = "cef-syslog"\nhost = "127.0.0.1"\nport = {port}\ntls = {str(tls).lower()}\n{ca}\n'
        )
        with house.dispatcher():
            house.tell(*TOLD)
            house.until("soc", State.DELIVERED, len(TOLD))
        assert wait_until(lambda: out.exists() and len(out.read_text().splitlines()) == len(TOLD), WAIT)
    lines = out.read_text().splitlines()
    assert {re.search(r"externalId=(\S+)", line)[1] for line in lines} == {n.id for n in TOLD}  # type: ignore[index]
    for line in lines:
        assert re.match(r"1\d\d 2026-01-0\S+ strayframe [a-z.]+ \ufeff?CEF:0\|Strayframe\|", line), line
    assert all(len(one.attempts) == 1 for one in house.log("soc"))


def test_a_syslog_receiver_that_does_not_read_has_not_been_told(housed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_sink, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections into its backlog, and reads nothing
        house = housed(f'[soc]\ntype = "cef-syslog"\nhost = "127.0.0.1"\nport = {deaf.getsockname()[1]}\ntls = false')
        outcome = asyncio.run(tried(house.sink("soc")))
    assert (outcome.result, outcome.detail) == (Result.RETRY, "sent, and not closed by the receiver within 0.2 s")


def test_a_syslog_receiver_whose_certificate_is_not_trusted_is_told_nothing(housed: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    read: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        try:
            plain, _ = listening.accept()
            with context.wrap_socket(plain, server_side=True) as link:
                read.append(link.recv(1000))
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        house = housed(f'[soc]\ntype = "cef-syslog"\nhost = "127.0.0.1"\nport = {listening.getsockname()[1]}')
        outcome = asyncio.run(tried(house.sink("soc")))
        thread.join(WAIT)
    assert outcome.result is Result.RETRY
    assert "certificate" in outcome.detail.lower()
    assert read == []


# --- Apprise ---------------------------------------------------------------------------------------------------


def test_anything_else_is_told_by_apprise(
    housed: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver([status(500), status(200)]) as receiver:
        monkeypatch.setenv("CHAT", receiver.url.replace("http://", "json://ann:secret@"))
        house = housed('[chat]\ntype = "apprise"\nurl = {env = "CHAT"}')
        assert house.sink("chat").place == "json:// by Apprise"
        refused, taken = (asyncio.run(tried(house.sink("chat"))) for _ in range(2))
    assert refused.result is Result.RETRY
    assert taken.result is Result.DELIVERED
    body = json.loads(receiver.arrived[1].body)
    assert body["title"] == "TEST from Strayframe: nothing happened"
    assert "Nothing happened" in body["message"]
    assert "secret" not in "".join(capfd.readouterr())


# --- the file of sinks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sinks", "says"),
    [
        ("type = 1", "type stands outside of a table"),
        ("[A]\ntype = 'splunk'", r"\[A\] a sink's name has small letters"),
        ("[a]", r"\[a\] type: None is none; there are ocsf-file, "),
        ("[a]\ntype = 'sms'", r"\[a\] type: 'sms' is none"),
        ("[a]\ntype = 'ocsf-file'", r"\[a\] path: Field required"),
        ("[a]\ntype = 'ocsf-file'\npath = 'x'\nfsync = false", r"\[a\] fsync: there is no such option"),
        ("[a]\ntype = 'ocsf-file'\npath = 'x'\nseverity = 'bad'", r"\[a\] severity: Input should be 'informational'"),
        ("[a]\ntype = 'ocsf-file'\npath = 'x'\nevents = ['alert.lost']", r"\[a\] events.*'alert.raised'"),
        ("[a]\ntype = 'ocsf-kafka'\ntopic = 'x'", r"\[a\] no Kafka is named"),
        ("[a]\ntype = 'ocsf-http'\nurl = 'ftp://x'", r"\[a\] url: String should match"),
        ("[a]\ntype = 'ocsf-http'\nurl = 'https://u:p@x'", r"\[a\] url: String should match"),
        ("[a]\ntype = 'ocsf-http'\nurl = 'https://x'\nca = '/none'", r"\[a\] ca, certificate or key cannot be used"),
        ("[a]\ntype = 'cef-syslog'\nhost = 'x'\nport = 1\nfacility = 'mail'", r"\[a\] facility: one of local0"),
        ("[a]\ntype = 'splunk'\nurl = 'https://x'\ntoken = 'tok-123'", r"\[a\] token: a secret is not written here"),
        ("[a]\ntype = 'splunk'\nurl = 'https://x'\ntoken = {}", r"\[a\] token: name one place"),
        ("[a]\ntype = 'splunk'\nurl = 'https://x'\ntoken = {env = 'NONE_SUCH'}", "variable NONE_SUCH is"),
        ("[a]\ntype = 'splunk'\nurl = 'https://x'\ntoken = {file = '/none'}", r"the file /none cannot be read"),
        ("[a]\ntype = 'apprise'\nurl = {env = 'A_TOKEN'}", r"\[a\] url: Apprise knows no such service"),
        ("[a]\n[a]", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_bad_file_of_sinks_is_told_in_a_sentence(housed: Any, sinks: str, says: str) -> None:
    house = housed(sinks)
    with pytest.raises(SinkError, match=says) as caught:
        sinks_of(house.settings)
    assert str(caught.value).startswith(house.settings.sinks)
    assert "tok-123" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_secret_in_a_file_may_be_replaced_while_it_runs(housed: Any, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("one\n")
    with Receiver([status(200)]) as receiver:
        house = housed(f'[s]\ntype = "splunk"\nurl = "{receiver.url}"\ntoken = {{file = "{secret}"}}')
        sink = house.sink("s")
        asyncio.run(tried(sink))
        secret.write_text("two\n")
        asyncio.run(tried(sink))
        secret.unlink()
        outcome = asyncio.run(tried(sink))
    assert [one.headers["authorization"] for one in receiver.arrived] == ["Splunk one", "Splunk two"]
    assert outcome.result is Result.RETRY
    assert "cannot be read" in outcome.detail


def test_a_demo_tells_no_sink_what_it_plays(housed: Any) -> None:
    house = housed('[disk]\ntype = "ocsf-file"\npath = "x"')
    assert sinks_of(house.settings)
    assert sinks_of(played(house.settings, house.settings.store)) == []


# --- at the terminal ---------------------------------------------------------------------------------------------


def test_sinks_are_dealt_with_at_the_terminal(housed: Any, tmp_path: Path) -> None:
    with Receiver([status(200, body=b"noted"), status(503, body=b"indexers are full")]) as receiver:
        house = housed(
            f"""
            [siem]
            type = "ocsf-http"
            url = "{receiver.url}"
            authorization = {{env = "A_TOKEN"}}
            severity = "medium"
            """
        )
        store = ("--store", house.settings.store)
        both = (*store, "--sinks", house.settings.sinks)
        listed = json.loads(run("sinks", "list", "--json", *both)[1])
        taken, refused = (run("sinks", "test", "siem", *both) for _ in range(2))
    assert [(one["name"], one["type"], one["place"]) for one in listed] == [("siem", "ocsf-http", receiver.url)]
    assert TOKEN not in json.dumps(listed)
    assert (taken[0], "HTTP 200: noted" in taken[1]) == (0, True)
    assert (refused[0], "HTTP 503: indexers are full" in refused[1]) == (1, True)
    event = json.loads(receiver.arrived[0].body)
    assert (event["verdict"], event["message"]) == ("Test", "TEST from Strayframe: nothing happened")
    log = json.loads(run("sinks", "log", "siem", "--json", *store)[1])
    assert [one["state"] for one in log] == ["failed", "delivered"]
    assert run("sinks", "replay", "siem", log[0]["id"], *store)[0] == 0
    assert json.loads(run("sinks", "show", "siem", "--json", *both)[1])["waiting"] == 1
    noted = [json.loads(line)["what"] for line in run("audit", "export", *store)[1].splitlines()]
    assert noted == ["sink.tested", "sink.tested", "sink.replayed"]
    assert run("sinks", "forget", "siem", *both)[0] == 1  # it is still there
    Path(house.settings.sinks).write_text("")
    assert "1 notices" in run("sinks", "forget", "siem", *both)[1]
    assert run("sinks", "show", "siem", *both)[0] == 1


def test_a_bad_file_of_sinks_ends_commands_and_servers_before_they_begin(housed: Any) -> None:
    house = housed("[a]")
    given = ("--store", house.settings.store, "--sinks", house.settings.sinks)
    for command in (("sinks", "list"), ("serve",)):
        code, _, err = run(*command, *given)
        assert (code, "[a] type" in err) == (2, True)
