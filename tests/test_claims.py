"""The claim check: pictures come from the places that are allowed, within limits, and nobody else is asked."""

from __future__ import annotations

import io
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from cloud import Cloud, enrolled, in_memory, rounds, told

from models.records import Delivery
from streams import log
from streams.claims import FETCHES, TRIES, ClaimCheck
from streams.cloudevents import Message, Rejected
from streams.settings import Settings, SettingsError, load

PICTURE = b"\xff\xd8" + bytes(20_000) + b"\xff\xd9"


class Pictures(ThreadingHTTPServer):
    """A server of pictures that keeps what it was asked."""

    daemon_threads = True

    def __init__(self, authority: trustme.CA | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked: list[tuple[str, str]] = []
        self.failures = 0
        self.pictures: dict[str, bytes] = {"/a.jpg": PICTURE}
        self.gate = threading.Barrier(1)
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("pictures.example").configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about."""


class _Answers(BaseHTTPRequestHandler):
    server: Pictures

    def do_GET(self) -> None:
        self.server.asked.append((self.headers["Host"], self.path))
        path = self.path.partition("?")[0]
        self.server.gate.wait(10)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        elif path == "/elsewhere":
            self.send_response(302)
            self.send_header("location", "/a.jpg")
            self.end_headers()
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(10_000))
        elif path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)  # a server that never ends and never pauses for long
        elif path in self.server.pictures:
            self.send_response(200)
            self.send_header("content-length", str(len(self.server.pictures[path])))
            self.end_headers()
            self.wfile.write(self.server.pictures[path])
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    with Pictures() as server:
        yield server
        server.shutdown()


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def bring(server: Pictures, dataref: str, **settings: Any) -> bytes:
    """One picture, from a server that is allowed unless told otherwise."""
    given: dict[str, Any] = {"dataref_origins": server.origin, "dataref_private": True, "still_bytes": 100_000}
    with ClaimCheck(Settings(**given | settings), sleep=lambda _: None) as claims:
        return claims(dataref)


def refused(server: Pictures, dataref: str, **settings: Any) -> Rejected:
    with pytest.raises(Rejected) as rejected:
        bring(server, dataref, **settings)
    return rejected.value


def test_a_picture_comes_from_an_allowed_place(pictures: Pictures) -> None:
    assert bring(pictures, f"{pictures.origin}/a.jpg?signature=1") == PICTURE
    assert pictures.asked == [(f"127.0.0.1:{pictures.port}", "/a.jpg?signature=1")]


@pytest.mark.parametrize(
    "dataref",
    [
        "http://localhost:{port}/a.jpg",
        "https://127.0.0.1:{port}/a.jpg",
        "http://127.0.0.1/a.jpg",
        "http://user@127.0.0.1:{port}/a.jpg",
        "http://127.0.0.1:{port}.evil.example/a.jpg",
        "ftp://127.0.0.1:{port}/a.jpg",
        "//127.0.0.1:{port}/a.jpg",
        "a.jpg",
        "file:///etc/hostname",
        "http://[",
        "",
    ],
)
def test_a_place_that_is_not_allowed_is_never_asked(
    pictures: Pictures, dataref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("not even its name is looked up"))
    assert refused(pictures, dataref.format(port=pictures.port)).reason == "bad_dataref"
    assert pictures.asked == []


def test_a_private_address_is_never_asked_unless_that_is_allowed(pictures: Pictures) -> None:
    rejected = refused(pictures, f"{pictures.origin}/a.jpg", dataref_private=False)
    assert rejected.reason == "bad_dataref"
    assert "dataref_private" in rejected.detail
    assert pictures.asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "192.168.1.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1"),
        *("::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a00:1::"),
    ],
)
def test_a_name_that_leads_inside_is_not_followed(address: str) -> None:
    settings = Settings(dataref_origins="http://pictures.example")  # type: ignore[arg-type]
    with (
        ClaimCheck(settings, resolve=lambda *_: [address]) as claims,
        pytest.raises(Rejected, match="a private address"),
    ):
        claims("http://pictures.example/a.jpg")


def test_a_redirect_is_not_followed(pictures: Pictures) -> None:
    rejected = refused(pictures, f"{pictures.origin}/elsewhere")
    assert rejected.reason == "bad_dataref"
    assert [path for _, path in pictures.asked] == ["/elsewhere"]


@pytest.mark.parametrize("path", ["/a.jpg", "/endless"])
def test_a_picture_is_not_read_beyond_the_largest_still(pictures: Pictures, path: str) -> None:
    assert refused(pictures, f"{pictures.origin}{path}", still_bytes=15_000).reason == "too_large"


def test_a_picture_that_is_not_there_is_asked_for_once(pictures: Pictures) -> None:
    rejected = refused(pictures, f"{pictures.origin}/gone.jpg?signature=secret")
    assert (rejected.reason, len(pictures.asked)) == ("no_picture", 1)
    assert "secret" not in str(rejected)


def test_the_log_holds_no_signature_of_a_reference(pictures: Pictures) -> None:
    written = io.StringIO()
    log.configure("debug", "text", written)
    assert bring(pictures, f"{pictures.origin}/a.jpg?signature=secret") == PICTURE
    assert "secret" not in written.getvalue()


def test_a_server_that_stumbles_is_asked_again(pictures: Pictures) -> None:
    pictures.failures = TRIES - 1
    assert bring(pictures, f"{pictures.origin}/a.jpg") == PICTURE
    assert len(pictures.asked) == TRIES


def test_a_server_that_stays_down_is_given_up_and_said_to_be_unreachable(pictures: Pictures) -> None:
    pictures.failures = 10 * TRIES
    rejected = refused(pictures, f"{pictures.origin}/a.jpg")
    assert (rejected.reason, len(pictures.asked)) == ("unreachable", TRIES)
    assert "503" in rejected.detail


def test_a_server_that_drips_is_given_up(pictures: Pictures) -> None:
    rejected = refused(pictures, f"{pictures.origin}/slow", dataref_seconds=0.2)
    assert rejected.reason == "unreachable"
    assert "too long" in rejected.detail


def test_tls_checks_the_name_although_its_address_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: ExitStack
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = ends.enter_context(Pictures(authority))
    ends.callback(server.shutdown)
    names = [f"https://{name}:{server.port}" for name in ("pictures.example", "other.example")]
    settings = Settings(dataref_origins=",".join(names), dataref_private=True)  # type: ignore[arg-type]
    claims = ends.enter_context(ClaimCheck(settings, resolve=lambda *_: ["127.0.0.1"], sleep=lambda _: None))
    assert claims(f"{names[0]}/a.jpg") == PICTURE
    assert server.asked == [(f"pictures.example:{server.port}", "/a.jpg")]
    with pytest.raises(Rejected, match="unreachable"):
        claims(f"{names[1]}/a.jpg")
    assert len(server.asked) == 1, "the connection of one name is not another's"


def test_pictures_that_are_expected_are_fetched_side_by_side(pictures: Pictures, ends: ExitStack) -> None:
    """The server answers only when as many are there as may be asked for at the same time."""
    pictures.gate = threading.Barrier(FETCHES)
    datarefs = [f"{pictures.origin}/a.jpg?{number}" for number in range(FETCHES)]
    settings = Settings(dataref_origins=pictures.origin, dataref_private=True)  # type: ignore[arg-type]
    claims = ends.enter_context(ClaimCheck(settings))
    claims.expect(datarefs)
    assert [claims(dataref) for dataref in datarefs] == [PICTURE] * FETCHES


@pytest.mark.parametrize("form", ["a b.jpg", "file://{folder}/a%20b.jpg", "file://localhost{folder}/a%20b.jpg"])
def test_a_picture_comes_from_the_folder(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.jpg").write_bytes(PICTURE)
    with ClaimCheck(Settings(dataref_folder=str(tmp_path / "in"))) as claims:
        assert claims(form.format(folder=tmp_path / "in")) == PICTURE


@pytest.mark.parametrize("form", ["../out.jpg", "file://{folder}/out.jpg", "file://elsewhere/out.jpg", "link", "queue"])
def test_nothing_outside_the_folder_is_read(form: str, tmp_path: Path) -> None:
    import os

    (tmp_path / "in").mkdir()
    (tmp_path / "out.jpg").write_bytes(PICTURE)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out.jpg")
    os.mkfifo(tmp_path / "in" / "queue")  # reading it would wait for a writer for ever
    with ClaimCheck(Settings(dataref_folder=str(tmp_path / "in"))) as claims, pytest.raises(Rejected):
        claims(form.format(folder=tmp_path))


def test_places_are_settings_that_are_checked() -> None:
    given = load({}, {"STRAYFRAME_DATAREF_ORIGINS": "https://A.example/, http://b.example:80,https://[::1]:8443"}, None)
    assert given.dataref_origins == ("https://a.example", "http://b.example", "https://[::1]:8443")
    for wrong in ("a.example", "https://a.example/path", "https://u@a.example", "*"):
        with pytest.raises(SettingsError, match="dataref_origins"):
            load({}, {"STRAYFRAME_DATAREF_ORIGINS": wrong}, None)


def test_a_worker_judges_stills_that_stay_outside_of_kafka(kafka: str, tmp_path: Path, pictures: Pictures) -> None:
    homes, stills = [enrolled(camera) for camera in range(4)], rounds(cameras=4, each=9, leaks_from=5, leak_every=5)
    verdicts, alerts = in_memory([*homes, *stills])
    references = []
    for message in stills:
        assert isinstance(message.event, Delivery)
        assert message.data is not None
        pictures.pictures[f"/{message.key.id}.jpg"] = message.data
        references.append(Message(message.event, message.key, None, f"{pictures.origin}/{message.key.id}.jpg"))
    lost = Message(references[0].event, stills[0].key, None, f"{pictures.origin}/nowhere.jpg")
    place = Cloud(
        kafka,
        f"sqlite:///{tmp_path}/{uuid.uuid4().hex}.db",
        dataref_origins=pictures.origin,
        dataref_private=True,
    )
    try:
        place.produce([*homes, lost, *references])
        place.judge_all()
        assert place.verdicts() == verdicts
        assert told(place.alerts()) == told(alerts)
        (letter,) = place.rejects()
        assert dict(letter.headers)["strayframe_reason"] == b"no_picture"
    finally:
        place.remove()
