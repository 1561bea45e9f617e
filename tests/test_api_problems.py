"""Errors and the OpenAPI document: each error is a documented problem, each operation is described."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Served, headers, serving, still

from api import cursor, problems
from api.app import create_app
from api.problems import BUSY, MEDIA_TYPE, ProblemError
from streams.settings import Settings
from streams.store.database import BadStoreUrl

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = tmp_path_factory.mktemp("problems") / "store.db"
    with serving(create_app(Settings(store=f"sqlite:///{store}", still_bytes=10_000))) as running:
        yield running.ready()


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, it) for path, methods in document["paths"].items() for method, it in methods.items()]


JPEG = headers(still("d", "a", "c", 1))
OFF = {"on": False, "actor": "kim", "why": "drill over"}
JSON = {"content-type": "application/json"}
HALF = r"\ud800bcdefghijklmnop"
"""Half of a character, as JSON writes it, in a password that is long enough."""


def form(charset: str, account: bytes) -> dict[str, Any]:
    """A request with a form whose account is written in that charset."""
    head = b'--B\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    file = b'--B\r\ncontent-disposition: form-data; name="still"; filename="a.jpg"\r\n\r\nx\r\n'
    kind = f"multipart/form-data; boundary=B; charset={charset}"
    return {"content": file + head % (b"account", account) + b"--B--\r\n", "headers": {"content-type": kind}}


ERRORS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nothing", {}, 404, "not-found"),
    ("GET", "/docs", {}, 404, "not-found"),
    ("GET", "/v1/alerts/", {}, 404, "not-found"),
    ("GET", "/v1/alerts/none", {}, 404, "no-such-alert"),
    ("GET", "/v1/incidents/none", {}, 404, "no-such-incident"),
    ("DELETE", "/v1/alerts", {}, 405, "method-not-allowed"),
    ("GET", "/v1/stills", {}, 405, "method-not-allowed"),
    ("GET", "/v1/alerts?cursor=nonsense", {}, 400, "bad-cursor"),
    ("GET", "/v1/alerts?limit=0", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?limit=501", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?limit=many", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?kind=theft", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?acount=acct-1", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?account=%00", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts/%00", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?since=2026-01-05", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?since=2026-01-05T00:00:00", {}, 422, "bad-parameter"),
    ("GET", "/v1/alerts?since=0001-01-01T00:00:00%2B10:00", {}, 422, "bad-parameter"),
    ("GET", "/v1/coverage?until=then", {}, 422, "bad-parameter"),
    ("GET", "/v1/incidents?integration=", {}, 422, "bad-parameter"),
    ("POST", "/v1/stills", {"content": b"x" * 10_001, "headers": JPEG}, 413, "too-large"),
    ("POST", "/v1/stills", {"content": b"x", "headers": {"content-type": "image/gif"}}, 415, "unsupported-media-type"),
    ("POST", "/v1/stills", {"content": b"x"}, 415, "unsupported-media-type"),
    ("POST", "/v1/stills", {"content": b"x", "headers": {"content-type": "image/jpeg"}}, 422, "rejected"),
    ("POST", "/v1/stills", {"files": {"other": b"x"}}, 422, "rejected"),
    ("POST", "/v1/events", {"json": []}, 422, "rejected"),
    ("POST", "/v1/events", {"content": b"x", "headers": {"content-type": "text/csv"}}, 415, "unsupported-media-type"),
    ("GET", f"/v1/changes?cursor={cursor.encode('changes', 10**18 - 1)}", {}, 400, "bad-cursor"),
    ("PUT", "/v1/kill-switch", {"json": OFF | {"why": "a\0b"}}, 422, "bad-parameter"),
    ("PUT", "/v1/kill-switch", {"json": OFF | {"actor": "a\0b"}}, 422, "bad-parameter"),
    ("PATCH", "/v1/alerts/none/triage", {"json": {"actor": "kim", "note": "a\0b"}}, 422, "bad-parameter"),
    ("PUT", "/v1/kill-switch", {"json": OFF, "headers": {"host": "[::1"}}, 403, "not-local"),
    ("PUT", "/v1/kill-switch", {"json": OFF, "headers": {"origin": "http://["}}, 403, "not-allowed"),
    ("PUT", "/v1/kill-switch", {"json": OFF, "headers": {"origin": "null"}}, 403, "not-allowed"),
    (
        "POST",
        "/v1/users",
        {"content": f'{{"name": "kim", "password": "{HALF}", "roles": ["viewer"]}}', "headers": JSON},
        422,
        "bad-parameter",
    ),
    (
        "POST",
        "/v1/session",
        {"content": f'{{"name": "kim", "password": "{HALF}"}}', "headers": JSON},
        422,
        "bad-parameter",
    ),
    ("POST", "/v1/stills", form("utf-7", b"+2AA-"), 422, "rejected"),
    ("POST", "/v1/stills", form("punycode", b"a-\xff.."), 400, "bad-request"),
    (
        "POST",
        "/v1/events",
        {"content": b"{}", "headers": {"content-type": "application/cloudevents-batch+json"}},
        400,
        "bad-request",
    ),
    (
        "POST",
        "/v1/events",
        {"content": b"x" * 4_000_001, "headers": {"content-type": "application/cloudevents-batch+json"}},
        413,
        "too-large",
    ),
    (
        "POST",
        "/v1/events",
        {"content": b"[" + b"1," * 10_000 + b"1]", "headers": {"content-type": "application/cloudevents-batch+json"}},
        413,
        "too-large",
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "name"), ERRORS, ids=[f"{m} {p} {n}" for m, p, _, _, n in ERRORS]
)
def test_every_error_is_a_problem_with_a_stable_type(
    served: Served, method: str, path: str, sent: dict[str, Any], status: int, name: str
) -> None:
    answer = served.client.request(method, path, **sent)
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (status, status, problems.PREFIX + name)
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert body["title"]
    assert body["type"] in {problem.type for problem in problems.CATALOGUE}


def test_a_refusal_says_what_is_accepted(served: Served) -> None:
    assert served.client.delete("/v1/alerts").headers["allow"] == "GET"
    wrong = served.client.post("/v1/stills", content=b"x", headers={"content-type": "image/gif"})
    assert "image/jpeg" in wrong.headers["accept"]
    unknown = served.client.get("/v1/alerts", params={"acount": "x", "limit": 0}).json()
    assert {error["parameter"] for error in unknown["errors"]} == {"acount", "limit"}


def test_a_fault_of_ours_shows_no_internals(tmp_path: Path) -> None:
    class Broken:
        def rejected(self, reason: str) -> None:
            """Count nothing."""

        async def told(self) -> bytes:
            raise ZeroDivisionError("the password is swordfish")

    with serving(create_app(Settings(store=f"sqlite:///{tmp_path / 's.db'}"), counts=Broken())) as served:
        answer = served.client.get("/metrics")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:strayframe:problem:internal")
    assert "swordfish" not in answer.text
    assert "ZeroDivision" not in answer.text


def test_a_store_that_cannot_be_reached_is_not_ready_and_reads_are_told_when_to_come_again() -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/none"
    with serving(create_app(Settings(store=nowhere))) as served:
        assert served.client.get("/healthz").json() == {"status": "ok"}
        for path in ("/v1/alerts", "/v1/alerts/a", "/v1/incidents", "/v1/coverage"):
            answer = served.client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:strayframe:problem:store-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        taken = served.client.post("/v1/stills", content=b"x", headers=JPEG)
        assert (taken.status_code, taken.json()["type"]) == (503, "urn:strayframe:problem:loading")
        ready = served.client.get("/readyz")
        assert ready.status_code == 503
        assert "secret" not in ready.text
        assert {check["name"]: check["ok"] for check in ready.json()["checks"]} == {
            "index": False,
            "lease": False,
            "store": False,
            "kill-switch": True,
        }


def test_a_store_url_that_is_no_good_is_told_before_anything_starts() -> None:
    with pytest.raises(BadStoreUrl):
        create_app(Settings(store="mysql://somewhere/else"))


def test_every_problem_is_documented_and_every_documented_one_exists() -> None:
    table = re.findall(r"^\| `(urn:\S+)` \| (\d+) \|", (ROOT / "docs/problems.md").read_text(), re.MULTILINE)
    assert table == [(problem.type, str(problem.status)) for problem in problems.CATALOGUE]


def test_every_problem_named_in_the_code_is_in_the_catalogue() -> None:
    named = {value for value in vars(problems).values() if isinstance(value, problems.Problem)}
    assert named == set(problems.CATALOGUE)
    assert len({problem.name for problem in named}) == len(problems.CATALOGUE)


def test_whatever_may_pass_says_when_to_ask_again() -> None:
    assert {problem.status for problem in problems.CATALOGUE if problem.retry} == {409, 429, 503}
    assert {problem.retry for problem in problems.CATALOGUE if problem.status == 503} == {True}
    assert int(problems.response(ProblemError(BUSY)).headers["retry-after"]) > 0


def test_the_document_is_openapi_3_1_and_describes_every_operation(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, it in operations(document):
        assert it["summary"], (path, method)
        assert it["description"], (path, method)
        assert set(it["tags"]) <= tags
    ids = [it["operationId"] for _, _, it in operations(document)]
    assert len(set(ids)) == len(ids)


def test_every_error_in_the_document_is_a_problem(document: dict[str, Any]) -> None:
    for path, method, it in operations(document):
        for status, answer in it["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                assert list(answer["content"]) == [MEDIA_TYPE], (path, method, status)
                assert answer["content"][MEDIA_TYPE]["examples"]
                assert int(status) != 503 or answer["headers"]["Retry-After"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', httpx.Response(200, json=document).text))
    assert names <= set(document["components"]["schemas"])
    assert "ProblemDocument" in names


def test_every_parameter_and_body_has_a_meaning(document: dict[str, Any]) -> None:
    for path, method, it in operations(document):
        for parameter in it.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("examples"), (path, parameter["name"])
        assert (method in ("post", "patch", "put")) == ("requestBody" in it), path


def test_every_operation_is_in_the_manual(document: dict[str, Any]) -> None:
    manual = (ROOT / "docs/api.md").read_text()
    for path, method, _ in operations(document):
        if path != "/":
            assert f"{method.upper()} {path}" in manual


def test_the_front_door_leads_to_what_is_served(served: Served) -> None:
    welcome = served.client.get("/").json()
    for name in ("alerts", "incidents", "coverage", "hooks", "openapi", "ready", "metrics"):
        assert served.client.get(welcome[name]).status_code == 200, name


def test_nothing_that_is_served_loads_anything_from_elsewhere(served: Served) -> None:
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert served.client.get(path).status_code == 404


def test_metrics_are_prometheus_text(served: Served) -> None:
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "\nstrayframe_ready 1.0\n" in answer.text
