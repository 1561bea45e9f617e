"""Signing in at a provider, which is a process of its own that checks PKCE, nonce and redirect."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from serving import Served, serving

from api.app import create_app
from api.gate.oidc import Unusable, claim_of, person_of
from api.gate.secret import password_digest
from detector.access import Role
from streams.settings import Settings, SettingsError, load
from streams.store.access import Access
from streams.store.audit import Audit, AuditFilter
from streams.store.sql import SqlStore

NOW = datetime.now(UTC)
PROVIDER = Path(__file__).with_name("provider.py")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", PROVIDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    with SqlStore(f"sqlite:///{tmp_path_factory.mktemp('oidc') / 'store.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def served(issuer: str, store: SqlStore) -> Iterator[Served]:
    settings = Settings(
        store=str(store.database.engine.url),
        access="sign-in",
        public_url="http://127.0.0.1",
        oidc_issuer=issuer,
        oidc_client="strayframe",
        oidc_secret="secret",  # type: ignore[arg-type]
        oidc_roles="groups",
        oidc_roles_map="soc=analyst,soc-lead=approver,soc-lead=auditor",
    )
    with serving(create_app(settings)) as found:
        yield found.ready()


def tell(issuer: str, subject: str, **claims: Any) -> None:
    """Have the provider know somebody."""
    assert httpx.put(f"{issuer}/users/{subject}", json=claims).status_code == 204


class Browser:
    """Somebody's browser, which keeps cookies and follows no redirect by itself."""

    def __init__(self, served: Served) -> None:
        self.client = httpx.Client(base_url=served.url, timeout=60)

    def leave(self) -> str:
        """Go to sign in; where that leads."""
        answer = self.client.get("/v1/session/oidc")
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def permit(self, url: str, subject: str) -> str:
        """Say who one is at the provider; path and query that lead back."""
        back = urlsplit(httpx.post(url, data={"sub": subject}).headers["location"])
        return f"{back.path}?{back.query}"

    def sign_in(self, subject: str) -> httpx.Response:
        """All of the way."""
        return self.client.get(self.permit(self.leave(), subject))

    def who(self) -> dict[str, Any]:
        """Who is signed in."""
        told: dict[str, Any] = self.client.get("/v1/session").json()
        return told


@pytest.fixture
def browse(served: Served) -> Iterator[Callable[[], Browser]]:
    """Opens another browser each time."""
    opened: list[Browser] = []

    def another() -> Browser:
        opened.append(Browser(served))
        return opened[-1]

    yield another
    for each in opened:
        each.client.close()


def test_a_person_comes_back_with_the_roles_that_the_provider_says(
    browse: Callable[[], Browser], issuer: str, store: SqlStore
) -> None:
    tell(issuer, "u-1", email="Kim@Example.com", email_verified=True, groups=["soc", "kitchen"])
    kim = browse()
    url = kim.leave()
    asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert {"state", "nonce"} <= asked.keys()
    assert asked["redirect_uri"] == "http://127.0.0.1/v1/session/oidc/callback"
    back = kim.client.get(kim.permit(url, "u-1"))
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert "httponly" in back.headers["set-cookie"].lower()
    assert (kim.who()["name"], kim.who()["roles"]) == ("kim@example.com", ["analyst"])
    assert kim.client.get("/v1/incidents").status_code == 200
    assert kim.client.get("/v1/users").status_code == 403

    tell(issuer, "u-1", email="kim@example.com", groups=["soc-lead"])
    again = browse()
    assert again.sign_in("u-1").status_code == 303
    assert again.who()["roles"] == ["approver", "auditor"]
    entries = Audit(store.database).page(AuditFilter(what="signed-in", actor="kim@example.com")).items
    assert [entry.said.detail["roles"] for entry in entries] == [["approver", "auditor"], ["analyst"]]
    assert entries[0].said.detail["known_as"] == f"{issuer} u-1"
    assert again.client.delete("/v1/session").status_code == 204
    assert again.who()["name"] is None


def test_a_way_back_that_was_not_begun_in_this_browser_leads_nowhere(
    browse: Callable[[], Browser], issuer: str
) -> None:
    tell(issuer, "u-1", email="kim@example.com", groups=["soc"])
    victim, thief = browse(), browse()
    back = thief.permit(thief.leave(), "u-1")
    for browser in (victim, browse()):
        refused = browser.client.get(back)
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (401, "sign-in-failed")
        assert browser.who()["name"] is None
    victim.leave()
    assert victim.client.get(back).status_code == 401, "the state is another one's"
    thief.client.cookies.set("strayframe_signing_in", "forged", path="/v1/session/oidc")
    assert thief.client.get(back).status_code == 401


def test_a_code_is_good_once_and_a_refusal_is_none(browse: Callable[[], Browser], issuer: str) -> None:
    tell(issuer, "u-1", email="kim@example.com", groups=["soc"])
    kim = browse()
    url = kim.leave()
    back = kim.permit(url, "u-1")
    assert kim.client.get(back).status_code == 303
    assert kim.client.get(back).status_code == 401
    denied = urlsplit(httpx.post(kim.leave(), data={"action": "deny"}).headers["location"])
    assert kim.client.get(f"{denied.path}?{denied.query}").status_code == 401


def test_nobody_gets_in_without_a_role_or_under_anothers_name(
    browse: Callable[[], Browser], issuer: str, store: SqlStore
) -> None:
    Access(store.database).add_user("lee@example.com", password_digest("a long enough password"), [Role.ADMIN], NOW)
    tell(issuer, "u-1", email="kim@example.com", groups=["soc"])
    assert browse().sign_in("u-1").status_code == 303
    cases = [
        ("u-2", {"email": "max@example.com", "groups": ["kitchen"]}, 403, "not-allowed"),
        ("u-3", {"email": "eve@example.com", "email_verified": False, "groups": ["soc"]}, 403, "not-allowed"),
        ("u-7", {"email": "eve@example.com", "email_verified": "false", "groups": ["soc"]}, 403, "not-allowed"),
        ("u-4", {"groups": ["soc"]}, 403, "not-allowed"),
        ("u-5", {"email": "KIM@example.com", "groups": ["soc-lead"]}, 409, "name-taken"),
        ("u-6", {"email": "lee@example.com", "groups": ["soc"]}, 409, "name-taken"),
    ]
    for subject, claims, status, problem in cases:
        tell(issuer, subject, **claims)
        browser = browse()
        answer = browser.sign_in(subject)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, problem), subject
        assert browser.who()["name"] is None
    refused = Audit(store.database).page(AuditFilter(what="sign-in.refused")).items
    assert len(refused) == len(cases)


def test_a_provider_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    settings = Settings(
        store=f"sqlite:///{tmp_path}/store.db",
        access="sign-in",
        public_url="http://127.0.0.1",
        oidc_issuer="http://127.0.0.1:9",
        oidc_client="strayframe",
    )
    with serving(create_app(settings)) as served:
        answer = served.ready().client.get("/v1/session/oidc")
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "provider-unavailable")
        assert int(answer.headers["retry-after"]) > 0


def test_roles_are_found_where_the_settings_say() -> None:
    keycloak = {"sub": "1", "email": "a@b", "realm_access": {"roles": ["viewer", "x"]}, "a.b": ["admin"]}
    assert claim_of(keycloak, "realm_access.roles") == ["viewer", "x"]
    assert claim_of(keycloak, "a.b") == ["admin"]
    assert claim_of(keycloak, "realm_access.none.at.all") is None
    assert person_of(keycloak, Settings(oidc_roles="realm_access.roles")) == ("a@b", {Role.VIEWER})
    assert person_of({"email": "a@b", "roles": "viewer admin"}, Settings())[1] == {Role.VIEWER, Role.ADMIN}
    with pytest.raises(Unusable):
        person_of(keycloak | {"email": ["a@b"]}, Settings(oidc_roles="realm_access.roles"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"oidc_issuer": "id.example.com"}, "oidc_issuer"),
        ({"oidc_issuer": "http://id.example.com"}, "has to begin with https"),
        ({"oidc_issuer": "https://id.example.com"}, "needs oidc_client and public_url"),
        ({"oidc_roles_map": "soc=boss"}, "is not VALUE=ROLE; the roles are viewer"),
        ({"access": "closed"}, "access"),
    ],
)
def test_settings_that_would_let_nobody_in_are_refused_at_the_start(options: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(options, {})
