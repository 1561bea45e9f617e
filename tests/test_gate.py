"""Who may: every route against every role and scope, tokens that see their own, and the open default."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Served, events, picture, post, right, serving, still
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app as command
from api.gate.rates import Rate
from api.gate.secret import digest, password_digest
from api.gate.table import TABLE, Anybody, row_of
from api.problems import ProblemError
from detector.access import ROLES, SCOPES, BadName, Permission, Role, service, user_name
from streams.settings import Settings
from streams.store.access import Access
from streams.store.audit import Audit
from streams.store.own import merged
from streams.store.queries import Page
from streams.store.sql import SqlStore

DOCS = Path(__file__).parents[1] / "docs"
NOW = datetime.now(UTC)
SOON = NOW + timedelta(hours=1)
PASSWORD = "a long enough password"
ANYBODY = ["GET /", "GET /healthz", "GET /readyz", "GET /openapi.json", "GET /v1/session", "POST /v1/session"]
ANYBODY += ["GET /v1/session/oidc", "GET /v1/session/oidc/callback"]
SIGNED_IN = ["DELETE /v1/session"]
DOING = ("propose", "suspend", "reject", "resume", "probe", "ramp", "force", "stopped")
ASKED: dict[Permission, list[str]] = {
    Permission.METRICS: ["GET /metrics"],
    Permission.INGEST: ["POST /v1/stills", "POST /v1/events"],
    Permission.READ: [
        "GET /v1/alerts",
        "GET /v1/alerts/{id}",
        "GET /v1/alerts/{id}/triage",
        "GET /v1/incidents",
        "GET /v1/incidents/{id}",
        "GET /v1/incidents/{id}/triage",
        "GET /v1/coverage",
        "GET /v1/stream",
        "GET /v1/placeholders",
        "GET /v1/placeholders/{id}",
        "GET /v1/changes",
        "GET /v1/suspensions",
        "GET /v1/suspensions/{id}",
        "GET /v1/integrations",
        "GET /v1/policy",
        "GET /v1/kill-switch",
    ],
    Permission.REACH: [
        "GET /v1/incidents/{id}/reach",
        "GET /v1/incidents/{id}/reach.csv",
        "GET /v1/incidents/{id}/notification",
        "GET /v1/rights",
    ],
    Permission.TRIAGE: [
        "PATCH /v1/alerts/{id}/triage",
        "PATCH /v1/incidents/{id}/triage",
        "POST /v1/placeholders/{id}/confirm",
        "POST /v1/placeholders/{id}/reject",
        "DELETE /v1/placeholders/{id}",
    ],
    Permission.ACT: [
        "POST /v1/suspensions",
        *(f"POST /v1/suspensions/{{id}}/{do}" for do in DOING),
        "PUT /v1/kill-switch",
    ],
    Permission.APPROVE: ["POST /v1/suspensions/{id}/approve", "PUT /v1/integrations/{name}/mode"],
    Permission.HOOKS: [
        "GET /v1/hooks",
        "POST /v1/hooks",
        "GET /v1/hooks/{id}",
        "PATCH /v1/hooks/{id}",
        "DELETE /v1/hooks/{id}",
        "POST /v1/hooks/{id}/rotate",
        "POST /v1/hooks/{id}/test",
        "GET /v1/hooks/{id}/deliveries",
        "POST /v1/hooks/{id}/deliveries/{delivery}/replay",
        "GET /v1/sinks",
        "GET /v1/sinks/{name}",
        "POST /v1/sinks/{name}/test",
        "GET /v1/sinks/{name}/deliveries",
        "POST /v1/sinks/{name}/deliveries/{delivery}/replay",
    ],
    Permission.ADMIN: [
        "GET /v1/users",
        "POST /v1/users",
        "PUT /v1/users/{name}/roles",
        "DELETE /v1/users/{name}",
        "GET /v1/tokens",
        "POST /v1/tokens",
        "DELETE /v1/tokens/{id}",
    ],
    Permission.AUDIT: ["GET /v1/audit"],
}
"""Said a second time, beside api/gate/table.py: whoever opens a route to somebody says so in two places."""
ROUTES = {route: needs for needs, routes in ASKED.items() for route in routes}


def documented() -> dict[str, dict[str, bool]]:
    """The table of docs/access.md: for each role, and for tokens, which permissions it may have."""
    text = (DOCS / "access.md").read_text()
    head = re.search(r"^\| permission \| lets one \| (.+) \|$", text, re.MULTILINE)
    assert head is not None
    held: dict[str, dict[str, bool]] = {name: {} for name in head[1].split(" | ")}
    for name, cells in re.findall(
        r"^\| `([a-z]+)` \| [^|]+ \| ((?:yes|no)(?: \| (?:yes|no))+) \|$", text, re.MULTILINE
    ):
        for column, cell in zip(held, cells.split(" | "), strict=True):
            held[column][name] = cell == "yes"
    return held


# --- the table -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guarded:
    """A server where one has to sign in, with a person of each role and a token of each scope."""

    served: Served
    store: SqlStore
    people: dict[str, dict[str, str]]
    tokens: dict[str, dict[str, str]]

    def ask(self, who: dict[str, str] | None, route: str, **more: Any) -> httpx.Response:
        """A request on a route, whose names are all `none`; `who` are the headers that prove it."""
        method, path = route.split(" ")
        if path == "/v1/stream":
            more |= {"params": {"cursor": "none"}}  # it would not end
        return self.served.client.request(method, re.sub(r"\{\w+\}", "none", path), headers=who, **more)


def token(access: Access, name: str, *scopes: Permission, integrations: list[str] | None = None) -> dict[str, str]:
    """A token's header; its secret is easy to write."""
    secret = f"sf_{name}"
    access.add_token(name, digest(secret), scopes, integrations, NOW, NOW + timedelta(days=1), "tests")
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    url = f"sqlite:///{tmp_path_factory.mktemp('gate') / 'store.db'}"
    with SqlStore(url) as store:
        access = Access(store.database)
        people = {}
        for role in Role:
            access.add_user(role.value, password_digest(PASSWORD) if role is Role.VIEWER else "", [role], NOW)
            access.sign_in(role.value, digest(f"session-{role.value}"), NOW, SOON)
            people[role.value] = {"cookie": f"strayframe_session=session-{role.value}"}
        tokens = {scope.value: token(access, scope.value, scope) for scope in SCOPES}
        tokens["homeview"] = token(access, "homeview", *SCOPES, integrations=["homeview"])
        tokens["both"] = token(access, "both", *SCOPES, integrations=["homeview", "other"])
        tokens["other"] = token(access, "other", *SCOPES, integrations=["other"])
        tokens["everything"] = token(access, "everything", *SCOPES)
        settings = Settings(store=url, access="sign-in", warm_up_cameras=0, warm_up_share=0, rate_address=100_000)
        with serving(create_app(settings)) as served:
            served.ready()
            yield Guarded(served, store, people, tokens)


def test_every_route_stands_in_the_table_and_in_the_matrix_of_this_test(guarded: Guarded) -> None:
    paths = guarded.served.client.get("/openapi.json").json()["paths"]
    there = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    listed = {f"{method} {path}" for method, path in TABLE}
    assert there | {"GET /openapi.json"} == listed
    assert listed == {*ROUTES, *ANYBODY, *SIGNED_IN}


@pytest.mark.parametrize("role", Role, ids=str)
def test_a_role_may_what_the_manual_says_on_every_route(guarded: Guarded, role: Role) -> None:
    may = documented()[role.value]
    assert may.keys() == {each.value for each in Permission}
    for route, needs in ROUTES.items():
        refused = guarded.ask(guarded.people[role.value], route).status_code == 403
        assert refused is not may[needs.value], f"{role}: {route}"


def test_a_token_may_what_its_scopes_say_and_never_what_only_persons_may(guarded: Guarded) -> None:
    assert {name for name, may in documented()["token"].items() if may} == {scope.value for scope in SCOPES}
    assert not service("x", Permission, None).permissions & {Permission.APPROVE, Permission.ADMIN}
    for scope in SCOPES:
        for route, needs in ROUTES.items():
            refused = guarded.ask(guarded.tokens[scope.value], route).status_code == 403
            assert refused is (needs is not scope), f"{scope}: {route}"


def test_whoever_is_not_signed_in_gets_nothing_but_probes_and_the_way_in(guarded: Guarded) -> None:
    for route in [*ROUTES, *SIGNED_IN]:
        for who in (None, {"authorization": "Bearer sf_wrong"}, {"authorization": "Basic YTpi"}):
            answer = guarded.ask(who, route)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (401, "not-signed-in"), route
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert guarded.ask({"cookie": "strayframe_session=wrong"}, route).status_code == 401
    for route in ANYBODY:
        assert guarded.ask(None, route).status_code in (200, 404, 422), route


def test_a_request_without_a_row_reaches_no_route(tmp_path: Path) -> None:
    app = create_app(Settings(store=f"sqlite:///{tmp_path}/store.db"))
    app.add_api_route("/v1/secrets", lambda: "all of them")
    app.add_api_route("/v1/alerts", lambda: "gone", methods=["DELETE"])
    with serving(app) as served:
        assert served.client.get("/v1/secrets").status_code == 404
        answer = served.client.delete("/v1/alerts")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_the_row_is_that_of_the_route_that_answers() -> None:
    for (method, path), row in TABLE.items():
        sample = re.sub(r"\{\w+\}", "x", path)
        asked = row_of(method, sample)
        assert (asked.path, asked.row) == (path, row)
    with pytest.raises(ProblemError):
        row_of("GET", "/v1/alerts/a/b")
    assert {row.needs for row in TABLE.values()} == {*Permission, *Anybody}


def test_no_cache_on_the_way_keeps_an_answer(guarded: Guarded) -> None:
    answer = guarded.ask(guarded.people["viewer"], "GET /v1/alerts")
    assert answer.headers["cache-control"] == "private, no-cache"


def test_the_document_names_the_right_of_each_operation(guarded: Guarded) -> None:
    document = guarded.served.client.get("/openapi.json").json()
    for route, needs in ROUTES.items():
        method, path = route.split(" ")
        operation = document["paths"][path][method.lower()]
        assert operation["x-permission"] == needs.value
        assert {"401", "403", "429"} <= operation["responses"].keys()
    assert document["components"]["securitySchemes"].keys() == {"token", "session"}


# --- persons ---------------------------------------------------------------------------------------------------


def test_a_password_opens_a_session_that_scripts_and_other_sites_cannot_use(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.served.url) as browser:
        wrong = browser.post("/v1/session", json={"name": "viewer", "password": "wrong"})
        nobody = browser.post("/v1/session", json={"name": "nemo", "password": "wrong"})
        assert [one.json()["type"].rpartition(":")[2] for one in (wrong, nobody)] == ["sign-in-failed"] * 2
        answer = browser.post("/v1/session", json={"name": "Viewer", "password": PASSWORD})
        assert answer.json() == {
            "access": "sign-in",
            "name": "viewer",
            "via": "session",
            "roles": ["viewer"],
            "permissions": ["metrics", "read"],
            "integrations": None,
        }
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert browser.get("/v1/alerts").status_code == 200
        for header in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            assert browser.delete("/v1/session", headers=header).status_code == 403
        assert browser.delete("/v1/session", headers={"sec-fetch-site": "same-origin"}).status_code == 204
        assert browser.get("/v1/alerts").status_code == 401
    said = [entry.said for entry in Audit(guarded.store.database).page().items]
    whats = [(one.what, one.actor) for one in said if one.subject == "viewer"]
    assert ("signed-in", "viewer") in whats
    assert ("signed-out", "viewer") in whats
    assert [one.via for one in said if one.what == "sign-in.refused"] == ["nobody", "nobody"]


def test_the_cookie_goes_by_https_alone_where_browsers_come_by_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore(url) as store:
        Access(store.database).add_user("kim", password_digest(PASSWORD), [Role.ADMIN], NOW)
    settings = Settings(store=url, access="sign-in", public_url="https://strayframe.example")
    with serving(create_app(settings)) as served:
        served.ready()
        signed = served.client.post("/v1/session", json={"name": "kim", "password": PASSWORD})
        assert "secure" in signed.headers["set-cookie"].lower()


def test_whoever_is_signed_in_acts_under_no_other_name(guarded: Guarded) -> None:
    begin = {"action": "force", "integration": "homeview", "where": {"cachenode": "cache-9"}, "why": "drill"}
    ask = guarded.ask
    responder, approver = guarded.people["responder"], guarded.people["approver"]
    assert ask(responder, "POST /v1/suspensions", json=begin | {"actor": "approver"}).status_code == 403
    done = ask(responder, "POST /v1/suspensions", json=begin | {"actor": "responder"}).json()
    assert done["transition"]["actor"] == "responder"
    path = f"/v1/suspensions/{done['suspension']['id']}"
    assert ask(approver, f"POST {path}/resume", json={"why": "over"}).status_code == 200
    own = ask(approver, f"POST {path}/approve", json={"why": "over"})
    assert (own.status_code, own.json()["refusal"]) == (409, "same-person")
    assert ask(approver, f"POST {path}/approve", json={"why": "over", "actor": "responder"}).status_code == 403
    assert ask(responder, f"POST {path}/approve", json={"why": "over"}).status_code == 403
    put = ask(guarded.tokens["act"], "PUT /v1/kill-switch", json={"on": False, "why": "over"})
    assert put.json()["actor"] == "token:act"


def test_admins_make_users_and_tokens_and_what_they_end_ends_at_once(guarded: Guarded) -> None:
    admin, ask = guarded.people["admin"], guarded.ask
    new = {"name": "Lee@Example.com", "password": PASSWORD, "roles": ["viewer"]}
    made = ask(admin, "POST /v1/users", json=new)
    assert (made.status_code, made.json()["name"]) == (201, "lee@example.com")
    assert ask(admin, "POST /v1/users", json=new).json()["type"].endswith(":name-taken")
    assert ask(admin, "POST /v1/users", json=new | {"name": "token:x"}).status_code == 422
    assert ask(admin, "POST /v1/users", json=new | {"password": "short"}).status_code == 422
    with httpx.Client(base_url=guarded.served.url) as lee:
        lee.post("/v1/session", json={"name": "lee@example.com", "password": PASSWORD})
        assert lee.get("/v1/users").status_code == 403
        put = ask(admin, "PUT /v1/users/lee@example.com/roles", json={"roles": ["viewer", "admin"]})
        assert put.json()["roles"] == ["admin", "viewer"]
        assert "lee@example.com" in [user["name"] for user in lee.get("/v1/users").json()["items"]]
        assert ask(admin, "DELETE /v1/users/lee@example.com").status_code == 204
        assert lee.get("/v1/users").status_code == 401
    assert ask(admin, "DELETE /v1/users/lee@example.com").status_code == 404
    wrong = ask(admin, "POST /v1/tokens", json={"name": "x", "scopes": ["approve"]})
    assert wrong.status_code == 422
    token = ask(admin, "POST /v1/tokens", json={"name": "siem", "scopes": ["read"]}).json()
    assert token["secret"].startswith("sf_")
    bearer = {"authorization": f"Bearer {token['secret']}"}
    assert ask(bearer, "GET /v1/alerts").status_code == 200
    listed = ask(admin, "GET /v1/tokens").text
    assert token["id"] in listed
    assert token["secret"] not in listed
    assert ask(admin, f"DELETE /v1/tokens/{token['id']}").json()["holds"] is False
    assert ask(bearer, "GET /v1/alerts").status_code == 401


def test_a_name_is_one_persons_whatever_its_letters() -> None:
    assert user_name(" Anna@Example.com ") == "anna@example.com"
    for bad in ("", "two words", "token:siem", "x" * 201, "a\x00b"):
        with pytest.raises(BadName):
            user_name(bad)


# --- whose alerts ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leaked(guarded: Guarded) -> dict[str, str]:
    """An incident of each of two integrations."""
    with httpx.Client(base_url=guarded.served.url, headers=guarded.tokens["everything"], timeout=60) as c:
        events(c, *(right(f"r{home}", "enrol", f"cam-{home}", f"acct-{home}") for home in range(2)))
        for number, name in enumerate(("homeview", "other")):
            sent = still(f"d{number}", "acct-1", "cam-0", 5 + number, integration=name, cachenode="cache-1")
            assert post(c, sent, picture(0, number)).json()["verdict"] == "leak"
        return {one["integration"]: one["id"] for one in c.get("/v1/incidents").json()["items"]}


OWN = ["/v1/alerts", "/v1/incidents", "/v1/suspensions", "/v1/coverage", "/v1/integrations"]


def test_a_token_sees_its_own_integrations_everywhere(guarded: Guarded, leaked: dict[str, str]) -> None:
    def seen(who: str, path: str) -> set[str]:
        items = guarded.ask(guarded.tokens[who], f"GET {path}").json()["items"]
        return {one.get("integration") or one.get("name") or one["scope"]["integration"] for one in items}

    begin = {"action": "propose", "where": {"cachenode": "cache-1"}, "why": "drill"}
    for name in ("homeview", "other"):
        body = begin | {"integration": name}
        assert guarded.ask(guarded.tokens["both"], "POST /v1/suspensions", json=body).status_code == 200
    for path in OWN:
        assert seen("everything", path) == {"homeview", "other"}, path
        assert seen("homeview", path) == {"homeview"}, path
        assert seen("both", path) == {"homeview", "other"}, path
    assert seen("homeview", "/v1/alerts?integration=other") == set()
    assert seen("homeview", f"/v1/alerts?incident={leaked['other']}") == set()
    coverage = guarded.ask(guarded.tokens["homeview"], "GET /v1/coverage").json()
    assert coverage["judged"] == 1


def test_what_is_anothers_is_not_there(guarded: Guarded, leaked: dict[str, str]) -> None:
    everything, own = guarded.tokens["everything"], guarded.tokens["homeview"]
    ids: dict[str, dict[str, str]] = {"homeview": {}, "other": {}}
    for kind in ("alerts", "suspensions"):
        for one in guarded.ask(everything, f"GET /v1/{kind}").json()["items"]:
            ids[one.get("integration") or one["scope"]["integration"]][kind] = one["id"]
    for name, status in (("homeview", 200), ("other", 404)):
        paths = [f"/v1/suspensions/{ids[name]['suspensions']}"]
        paths += [f"/v1/alerts/{ids[name]['alerts']}{tail}" for tail in ("", "/triage")]
        tails = ("", "/triage", "/reach", "/reach.csv", "/notification")
        paths += [f"/v1/incidents/{leaked[name]}{tail}" for tail in tails]
        for path in paths:
            assert guarded.ask(own, f"GET {path}").status_code == status, path
        said = guarded.ask(own, f"PATCH /v1/incidents/{leaked[name]}/triage", json={"note": "seen"})
        assert said.status_code == status
        moved = guarded.ask(own, f"POST /v1/suspensions/{ids[name]['suspensions']}/reject", json={"why": "no"})
        assert (moved.status_code == 404) is (status == 404)
    key = {"idempotency-key": "seen-again"}
    for replayed in (None, "true"):
        path = f"{guarded.served.url}/v1/incidents/{leaked['homeview']}/triage"
        again = httpx.patch(path, json={"note": "seen again"}, headers=own | key)
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (200, replayed)
    begin = {"action": "suspend", "integration": "other", "why": "not mine"}
    assert guarded.ask(own, "POST /v1/suspensions", json=begin).status_code == 404


def test_whoever_sees_some_integrations_only_is_refused_what_is_about_all(guarded: Guarded) -> None:
    for (method, path), row in TABLE.items():
        if isinstance(row.needs, Permission) and row.needs in SCOPES:
            status = guarded.ask(guarded.tokens["homeview"], f"{method} {path}").status_code
            assert (status == 403) is not row.own, f"{method} {path}"


def test_stills_come_in_with_the_scope_and_for_the_own_integration(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.served.url, timeout=60) as c:
        sent = still("d9", "acct-7", "cam-7", 9)
        for who, status in (("read", 403), ("other", 403), ("homeview", 200), ("ingest", 200)):
            c.headers = httpx.Headers(guarded.tokens[who])
            assert post(c, sent, picture(7)).status_code == status, who


def test_pages_of_several_integrations_leave_nothing_out_and_double_nothing() -> None:
    @dataclass(frozen=True)
    class Item:
        seq: int

    rows = {"a": [9, 7, 6, 1], "b": [8, 3, 2], "c": list[int]()}

    def read(one: str, after: int | None, limit: int) -> Page[Item]:
        found = [Item(seq) for seq in rows[one] if after is None or seq < after]
        return Page(tuple(found[:limit]), found[limit - 1].seq if len(found) > limit else None)

    def every(limit: int, after: int | None = None) -> list[int]:
        page = merged(rows, lambda one: read(one, after, limit), limit)
        seen = [item.seq for item in page.items]
        return seen if page.next is None else seen + every(limit, page.next)

    for limit in range(1, 9):
        assert every(limit) == [9, 8, 7, 6, 3, 2, 1], limit


# --- how often -------------------------------------------------------------------------------------------------


def test_a_rate_lets_so_many_through_at_once_and_then_so_many_a_minute() -> None:
    rate = Rate(60)
    assert [rate.wait("a", 0.0) for _ in range(60)] == [0] * 60
    assert rate.wait("a", 0.0) == 1
    assert rate.wait("b", 0.0) == 0, "another one's are another's"
    assert rate.wait("a", 1.0) == 0
    assert rate.wait("a", 1.0) == 1, "what had to wait was not counted"
    assert [rate.wait("a", 100.0) for _ in range(60)] == [0] * 60


def test_who_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with SqlStore(url) as store:
        bearer = token(Access(store.database), "siem", Permission.READ)
    settings = Settings(store=url, access="sign-in", rate_token=3, rate_address=4)
    with serving(create_app(settings)) as served:
        served.ready()
        answers = [served.client.get("/v1/alerts", headers=bearer) for _ in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert answers[-1].json()["type"].endswith(":too-many-requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        tries = [served.client.get("/v1/alerts", headers={"authorization": f"Bearer sf_{n}"}) for n in range(4)]
        assert [each.status_code for each in tries] == [401, 401, 401, 429]
        assert served.client.get("/readyz").status_code == 200, "probes are never held back"


def test_a_password_is_not_tried_quickly(guarded: Guarded) -> None:
    body = {"name": "somebody@else", "password": "x"}
    codes = {guarded.served.client.post("/v1/session", json=body).status_code for _ in range(11)}
    assert codes == {401, 429}


# --- where nobody signs in -------------------------------------------------------------------------------------


def test_open_everybody_here_may_everything_and_is_told_so(tmp_path: Path) -> None:
    with serving(create_app(Settings(store=f"sqlite:///{tmp_path}/store.db"))) as served:
        c = served.ready().client
        assert c.get("/").json()["access"] == "open"
        told = c.get("/v1/session").json()
        assert (told["access"], told["name"], len(told["permissions"])) == ("open", None, len(Permission))
        assert c.get("/v1/audit").status_code == 200
        assert c.put("/v1/kill-switch", json={"on": False, "why": "x"}).status_code == 422, "an act has a name"
        for header in ({"host": "strayframe.example"}, {"x-forwarded-for": "10.0.0.1"}):
            answer = c.get("/v1/alerts", headers=header)
            assert answer.json()["type"].endswith(":not-local"), header
        foreign = {"sec-fetch-site": "cross-site"}
        assert c.post("/v1/tokens", json={"name": "x", "scopes": ["read"]}, headers=foreign).status_code == 403


def test_open_it_listens_nowhere_else(tmp_path: Path) -> None:
    options = ["--store", f"sqlite:///{tmp_path}/store.db", "--port", "0"]
    for host in ("0.0.0.0", "::", "192.0.2.1", "strayframe.example"):
        result = CliRunner().invoke(command, ["serve", *options, "--host", host])
        assert result.exit_code == 2
        assert "access is open" in result.stderr
        assert "docs/access.md" in result.stderr


# --- the command line ------------------------------------------------------------------------------------------


def run(store: str, *words: str, given: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(command, [*words, "--store", store], input=given)
    return result.exit_code, result.output


def test_users_and_tokens_are_kept_from_the_command_line(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    assert run(store, "users", "add", "Kim", "--role", "admin", given="short\n")[0] == 2
    assert run(store, "users", "add", "Kim", "--role", "admin", "--role", "viewer", given=f"{PASSWORD}\n")[0] == 0
    assert run(store, "users", "add", "kim", "--role", "admin", given=f"{PASSWORD}\n")[0] == 1
    assert run(store, "users", "roles", "kim", "auditor") == (0, "kim: auditor\n")
    assert "auditor" in run(store, "users", "list")[1]
    code, told = run(store, "tokens", "create", "siem", "--scope", "read", "--integration", "homeview")
    assert code == 0
    id_, secret = told.split()[0], told.split()[2]
    assert run(store, "tokens", "create", "siem", "--scope", "approve")[0] == 2
    listed = run(store, "tokens", "list", "--json")[1]
    assert secret not in listed
    assert '"homeview"' in listed
    with SqlStore(store) as opened:
        found = Access(opened.database).token(digest(secret))
        assert found is not None
        assert found.caller().name == "token:siem"
        assert run(store, "tokens", "revoke", id_)[0] == 0
        again = Access(opened.database).token(digest(secret))
        assert again is not None
        assert not again.holds(NOW)
    assert run(store, "tokens", "revoke", "tk-none")[0] == 1
    assert run(store, "users", "remove", "kim")[0] == 0
    assert run(store, "users", "remove", "kim")[0] == 1
    with SqlStore(store) as opened:
        entries = Audit(opened.database).page().items
        assert {entry.said.via for entry in entries} == {"store"}
        assert [entry.said.what for entry in reversed(entries)] == [
            "user.added",
            "user.roles",
            "token.created",
            "token.revoked",
            "user.removed",
        ]


def test_no_secret_lies_in_the_store(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    run(store, "users", "add", "kim", "--role", "admin", given=f"{PASSWORD}\n")
    secret = run(store, "tokens", "create", "siem", "--scope", "read")[1].split()[2]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert secret.encode() not in kept
    assert PASSWORD.encode() not in kept
    assert b"$argon2id$" in kept


def test_a_listener_on_loopback_is_had(tmp_path: Path) -> None:
    from api.commands.serve import listener

    with listener(Settings(store=f"sqlite:///{tmp_path}/s.db", host="localhost", port=0)) as found:
        assert found.family == socket.AF_INET
    assert ROLES[Role.APPROVER] > ROLES[Role.RESPONDER] > ROLES[Role.ANALYST] > ROLES[Role.VIEWER]
